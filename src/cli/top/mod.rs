//! `larder top`: a running instance, live, in the terminal. It reads what the dashboard reads, `/status/stream`, and forgets
//! everything when it ends.

mod app;
mod feed;
mod format;
mod history;
mod screen;
mod sse;
mod status;
mod view;

use super::client::AdminArgs;
use super::{block_on, fail, say};
use app::App;
use feed::Update;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use view::theme::Theme;

/// Updates that wait to be drawn.
const UPDATES: usize = 4;

/// The first pause after the connection was lost; doubled with each attempt that fails.
const SOONEST: Duration = Duration::from_secs(1);

/// Columns of the text that `--once` prints.
const TEXT_WIDTH: u16 = 80;

/// Snapshots that rates need.
const FOR_RATES: usize = 2;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    admin: AdminArgs,
    /// Print one snapshot as text, after a second's measuring, and end
    #[arg(long)]
    once: bool,
}

pub fn run(args: &Args) -> ExitCode {
    if !args.once && !std::io::stdout().is_terminal() {
        return fail(2, "standard output is no terminal; `larder top --once` prints one snapshot as text");
    }
    block_on(watch(args))
}

async fn watch(args: &Args) -> ExitCode {
    // Told before anything is shown, as is everything that prevents the first snapshot.
    let host = match args.admin.authority() {
        Ok(host) => host,
        Err(error) => return fail(1, error),
    };
    let (sender, mut updates) = mpsc::channel(UPDATES);
    tokio::spawn(feed::follow(args.admin.clone(), sender, SOONEST));
    let mut app = App::new(host, Theme::of_environment());
    let wanted = if args.once { FOR_RATES } else { 1 };
    for _ in 0..wanted {
        match updates.recv().await {
            Some(Update::Lost { why, .. }) => return fail(1, why),
            Some(update) => app.update(update),
            None => return fail(1, "the stream of figures has ended"),
        }
    }
    if args.once {
        say(view::text(&app, TEXT_WIDTH).trim_end());
        return ExitCode::SUCCESS;
    }
    match screen::live(&mut app, updates).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format_args!("the terminal: {error}")),
    }
}
