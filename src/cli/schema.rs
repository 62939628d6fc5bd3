//! `larder schema`: the JSON Schema of the configuration.

use std::process::ExitCode;

pub fn run() -> ExitCode {
    println!("{:#}", crate::config::schema());
    ExitCode::SUCCESS
}
