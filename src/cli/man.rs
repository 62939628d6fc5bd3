//! `larder man`: the manual pages of all commands, for packages; made from the same declarations as `--help`.

use clap::CommandFactory as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write them to; made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub fn run(args: &Args) -> ExitCode {
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(super::Cli::command(), &args.folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(1, format_args!("{}: {error}", args.folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(&Args { folder: dir.path().join("man") }), ExitCode::SUCCESS);
        let page = |name: &str| std::fs::read_to_string(dir.path().join("man").join(name)).unwrap();
        assert!(page("larder.1").contains("larder\\-purge(1)"));
        for command in super::super::Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(page(&format!("larder-{}.1", command.get_name())).contains(".SH OPTIONS"));
        }
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(run(&Args { folder: file }), ExitCode::from(1));
    }
}
