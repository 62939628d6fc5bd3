//! `larder schema`: the JSON Schema of the configuration.

use std::process::ExitCode;

pub fn run() -> ExitCode {
    super::say(format_args!("{:#}", crate::config::schema()));
    ExitCode::SUCCESS
}
