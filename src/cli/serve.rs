//! `larder serve`: runs the proxy until it is told to stop; SIGHUP reloads.

use super::{BAD_CONFIGURATION, ConfigArg, fail};
use crate::admin::reload::{Finding, Reloaded};
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::config::report::{self, Report};
use crate::config::server::Listener;
use crate::config::telemetry::Level;
use crate::config::{self, Config, Loaded};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The origin to serve, instead of any configuration file's: http://127.0.0.1:3000
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    origin: Option<String>,
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Admin listener: an address, or `off`
    #[arg(long, value_name = "ADDR|off", value_parser = parse_admin)]
    admin: Option<AdminArg>,
}

#[derive(Clone, Copy, Debug)]
struct AdminArg(Option<SocketAddr>);

fn parse_admin(text: &str) -> Result<AdminArg, String> {
    match text {
        "off" => Ok(AdminArg(None)),
        address => address.parse().map(|a| AdminArg(Some(a))).map_err(|_| "an address, or `off`".into()),
    }
}

/// The configuration that the arguments ask for: a file, else `./config.yaml`, else the built-in one.
pub(super) fn load(file: Option<&Path>, origin: Option<&str>) -> Result<Loaded, Report> {
    let env = |name: &str| std::env::var(name).ok();
    match (file, origin) {
        (Some(file), _) => config::load(file, &env),
        (None, Some(origin)) => config::builtin(Some(origin)),
        (None, None) => {
            let default = PathBuf::from("config.yaml");
            if default.is_file() { config::load(&default, &env) } else { config::builtin(None) }
        }
    }
}

/// Why there is no configuration to start with.
#[derive(Debug)]
enum Wrong {
    File(Report),
    Arguments(&'static str),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(report) => report.fmt(f),
            Self::Arguments(sentence) => writeln!(f, "error: {sentence}"),
        }
    }
}

impl Args {
    /// The configuration with the arguments' changes, or what is wrong with it.
    fn load(&self) -> Result<Loaded, Wrong> {
        let mut loaded = load(self.config.config.as_deref(), self.origin.as_deref()).map_err(Wrong::File)?;
        if let Some(address) = self.listen {
            loaded.config.server.listen = vec![Listener::on(address)];
        }
        if let Some(AdminArg(address)) = self.admin {
            loaded.config.admin.address = address;
            if loaded.config.admin.is_exposed() {
                return Err(Wrong::Arguments(
                    "--admin is not on this machine, and no `admin.tokens` are set",
                ));
            }
        }
        Ok(loaded)
    }
}

pub fn run(args: Args) -> ExitCode {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprint!("{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if !loaded.warnings.is_empty() {
        eprint!("{}", loaded.warnings);
    }
    start_tracing(loaded.config.log.level);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("larder");
    if loaded.config.server.threads > 0 {
        builder.worker_threads(loaded.config.server.threads);
    }
    match builder.build() {
        Ok(runtime) => runtime.block_on(serve(&args, loaded.config)),
        Err(error) => fail(1, format_args!("cannot start: {error}")),
    }
}

/// Everything but requests is logged to standard error, so that standard output is the access log alone.
fn start_tracing(level: Level) {
    let default = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

async fn serve(args: &Args, config: Config) -> ExitCode {
    let signals =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        return fail(1, "cannot listen for signals");
    };
    let tls: Vec<bool> = config.server.listen.iter().map(|l| l.tls.is_some()).collect();
    let mut running = match app::start(config, Clock::system()).await {
        Ok(running) => running,
        Err(error) => return fail(1, error),
    };
    announce(&running, &tls);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => drop(reload(args, &running)),
            asked = running.reload_asked() => asked.answer(reload(args, &running)),
        }
    }
    tracing::info!(connections = running.connections(), "draining");
    running.drain().await;
    ExitCode::SUCCESS
}

/// One line per listener, once it accepts.
fn announce(running: &Running, tls: &[bool]) {
    for (address, tls) in running.public().iter().zip(tls) {
        eprintln!("larder: serving {}://{address}", if *tls { "https" } else { "http" });
    }
    if let Some(address) = running.admin() {
        eprintln!("larder: admin on http://{address}");
    }
}

/// A bad file is refused, and what runs stays.
fn reload(args: &Args, running: &Running) -> Reloaded {
    match args.load() {
        Ok(loaded) => match running.reload(loaded.config) {
            Ok(kept) => {
                tracing::info!("configuration reloaded");
                for field in &kept {
                    tracing::warn!("{field} changes only at the next start");
                }
                Reloaded::Done { kept }
            }
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded");
                Reloaded::Failed(error.to_string())
            }
        },
        Err(wrong) => {
            tracing::error!("configuration not reloaded:\n{wrong}");
            match wrong {
                Wrong::File(report) => Reloaded::Refused(report.findings().iter().map(finding).collect()),
                Wrong::Arguments(sentence) => Reloaded::Failed(sentence.to_owned()),
            }
        }
    }
}

fn finding(of: &report::Finding) -> Finding {
    Finding {
        severity: of.severity.as_str(),
        class: of.class.as_str(),
        message: of.message.clone(),
        line: of.place.line,
        column: of.place.column,
        help: of.help.clone(),
    }
}
