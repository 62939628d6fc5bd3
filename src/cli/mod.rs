//! The command line: one file per sub-command. Exit status: 0 ok, 1 failed, 2 usage, 64 bad configuration.

mod check;
mod client;
mod demo_origin;
mod descriptors;
mod explain;
mod handover;
mod man;
mod purge;
mod schema;
mod serve;
mod top;
mod warm;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A configuration that can't be used (BSD sysexits' EX_USAGE, as linkerd and others have it).
pub const BAD_CONFIGURATION: u8 = 64;

/// An HTTP reverse-proxy edge cache.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default)
    Serve(serve::Args),
    /// Validate a configuration: print every error at once, and warnings
    Check(check::Args),
    /// Purge by tag, URL, prefix or host, and print the receipt
    Purge(purge::Args),
    /// Say what would be done with a request, and why, step by step
    Explain(explain::Args),
    /// Fetch many URLs through the proxy, so that visitors find them stored
    Warm(warm::Args),
    /// Watch a running instance in the terminal: rates, hit ratio, latency, origins, what is hot and what is not stored
    Top(top::Args),
    /// Print the JSON Schema of the configuration, for editors; or its reference, for people
    Schema(schema::Args),
    /// Run the sample origin that the default configuration uses, alone
    DemoOrigin(demo_origin::Args),
    /// Write the manual pages of all commands
    #[command(hide = true)]
    Man(man::Args),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// Configuration file [env: LARDER_CONFIG] [default: ./config.yaml, else built in]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The environment's file. Not by clap: what is set for all commands must not conflict with an argument of one.
fn config_of_environment() -> Option<PathBuf> {
    std::env::var_os("LARDER_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from)
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Warm(args) => warm::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::DemoOrigin(args) => demo_origin::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Runs what a command has to wait for, on this thread.
fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(1, format_args!("cannot start: {error}")),
    }
}

/// A result on standard output. Who has closed it (`| head`) has read enough: no error.
fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", plain(&text.to_string()));
}

/// One sentence on standard error.
fn fail(status: u8, sentence: impl std::fmt::Display) -> ExitCode {
    eprintln!("larder: {}", plain(&sentence.to_string()));
    ExitCode::from(status)
}

/// Without what a terminal would obey: URLs, tags and words come from sites and servers.
fn plain(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_site_says_is_obeyed_by_the_terminal() {
        assert_eq!(plain("\u{1b}]0;x\u{7} \u{9b}2J\r"), "\u{fffd}]0;x\u{fffd} \u{fffd}2J\u{fffd}");
        assert_eq!(plain("one\n\ttwo ü"), "one\n\ttwo ü");
    }
}
