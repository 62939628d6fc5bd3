//! `larder check`: every error and warning of a configuration at once.

use super::{BAD_CONFIGURATION, ConfigArg, fail, say, serve};
use crate::app;
use crate::clock::Clock;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the configuration with every default filled in, secrets blanked
    #[arg(long)]
    print: bool,
}

pub fn run(args: &Args) -> ExitCode {
    match serve::load(args.config.config.as_deref(), None) {
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                eprint!("{}", loaded.warnings);
            }
            if let Err(error) = app::check(&loaded.config) {
                return fail(BAD_CONFIGURATION, error);
            }
            for concern in app::concerns(&loaded.config, Clock::system().now().wall) {
                eprintln!("warning: {concern}");
            }
            if args.print {
                say(loaded.normalised.trim_end());
            } else {
                say("configuration ok");
            }
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprint!("{report}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}
