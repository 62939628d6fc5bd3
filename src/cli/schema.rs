//! `larder schema`: the JSON Schema of the configuration, or its reference for people.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the reference of all fields as Markdown instead (docs/configuration.md)
    #[arg(long)]
    markdown: bool,
}

pub fn run(args: &Args) -> ExitCode {
    if args.markdown {
        super::say(crate::config::reference().trim_end());
    } else {
        super::say(format_args!("{:#}", crate::config::schema()));
    }
    ExitCode::SUCCESS
}
