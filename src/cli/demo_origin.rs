//! `larder demo-origin`: the sample origin, alone.

use super::{fail, say};
use crate::clock::Clock;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

pub fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format_args!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::bind(args.listen).await {
            Ok(listener) => listener,
            Err(error) => return fail(1, format_args!("cannot listen on {}: {error}", args.listen)),
        };
        say(format_args!("demo origin on http://{}", listener.local_addr().unwrap_or(args.listen)));
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            return fail(1, "cannot listen for signals");
        };
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        match crate::demo::serve(listener, Clock::system(), stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, error),
        }
    })
}
