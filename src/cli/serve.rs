//! `larder serve`: runs the proxy until it is told to stop; SIGHUP reloads.

use super::handover::{Failed, Itself, Predecessor, tell_systemd};
use super::{BAD_CONFIGURATION, ConfigArg, config_of_environment, descriptors, fail};
use crate::admin::reload::{Finding, Reloaded};
use crate::app::{self, Reload, Running, StartError};
use crate::clock::Clock;
use crate::config::changes::Change;
use crate::config::report::{self, Report};
use crate::config::server::Listener;
use crate::config::telemetry::Level;
use crate::config::{self, Config, Loaded};
use crate::sockets::Sockets;
use sd_notify::NotifyState;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// The configuration that the arguments ask for: a file, an origin, else the environment's file, else `./config.yaml`, else the built-in one.
pub(super) fn load(file: Option<&Path>, origin: Option<&str>) -> Result<Loaded, Report> {
    let env = |name: &str| std::env::var(name).ok();
    match (file, origin) {
        (Some(file), _) => config::load(file, &env),
        (None, Some(origin)) => config::builtin(Some(origin)),
        (None, None) => {
            let default = || Some(PathBuf::from("config.yaml")).filter(|file| file.is_file());
            match config_of_environment().or_else(default) {
                Some(file) => config::load(&file, &env),
                None => config::builtin(None),
            }
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
    descriptors::raise(loaded.config.server.limits.connections);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("larder");
    if loaded.config.server.threads > 0 {
        builder.worker_threads(loaded.config.server.threads);
    }
    let sockets = Sockets::from_environment();
    match builder.build() {
        Ok(runtime) => runtime.block_on(serve(&args, loaded.config, sockets)),
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

/// Starts, at once or, where this process takes over from another, when that one says so.
async fn start(config: Config, sockets: Sockets) -> Result<(Running, Option<Predecessor>), StartError> {
    let mut before = Predecessor::find().map_err(StartError::HandOver)?;
    if let Some(before) = &mut before {
        app::check(&config)?;
        before.ready().await.map_err(StartError::HandOver)?;
    }
    let running = app::start_on(config, Clock::system(), sockets).await?;
    Ok((running, before))
}

async fn serve(args: &Args, config: Config, sockets: Sockets) -> ExitCode {
    let Ok(mut signals) = Signals::listen() else { return fail(1, "cannot listen for signals") };
    let itself = Itself::note();
    let tls: Vec<bool> = config.server.listen.iter().map(|l| l.tls.is_some()).collect();
    let (mut running, before) = match start(config, sockets).await {
        Ok(running) => running,
        Err(error) if error.is_configuration() => return fail(BAD_CONFIGURATION, error),
        Err(error) => return fail(1, error),
    };
    announce(&running, &tls);
    tell_systemd(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
    if let Some(before) = before {
        before.serving().await;
    }
    let mut handed_over = false;
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::End => break,
                Told::Reload => drop(reload(args, &running)),
                Told::HandOver => match hand_over(&itself, &mut running).await {
                    Ok(()) => {
                        handed_over = true;
                        break;
                    }
                    Err(error) => tracing::error!(%error, "not handed over: this process goes on"),
                },
            },
            asked = running.reload_asked() => asked.answer(reload(args, &running)),
        }
    }
    tracing::info!(connections = running.connections(), "draining");
    if !handed_over {
        tell_systemd(&[NotifyState::Stopping]); // else the service runs on in the new process
    }
    tokio::select! {
        () = running.drain() => ExitCode::SUCCESS,
        () = signals.end() => fail(1, "told twice to end: not waiting for what is under way"),
    }
}

/// Starts a new process on our sockets. When this returns well it serves, and we have nothing left to do but drain.
async fn hand_over(itself: &Itself, running: &mut Running) -> Result<(), Failed> {
    let sockets = running.sockets().map_err(Failed::Start)?;
    let successor = itself.start_successor(sockets).await?;
    let id = successor.id();
    running.close_admin().await;
    if let Err(error) = successor.go().await {
        running.reopen_admin();
        return Err(error);
    }
    tracing::info!(process = id, "handed over to a new process");
    Ok(())
}

/// What a signal asks for.
enum Told {
    End,
    Reload,
    HandOver,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user2.recv() => Told::HandOver,
        }
    }

    /// The next signal that means the end; others are too late now.
    async fn end(&mut self) {
        while !matches!(self.next().await, Told::End) {}
    }
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
            Ok(reload) => {
                tell(&reload);
                let changes = reload.changes.iter().map(Change::to_json).collect();
                Reloaded::Done { changes, kept: reload.kept }
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

/// Differences that are logged one by one.
const TOLD: usize = 100;

fn tell(reload: &Reload) {
    let Reload { changes, kept } = reload;
    if changes.is_empty() {
        tracing::info!("configuration reloaded: nothing changed");
    } else {
        tracing::info!(changes = changes.len(), "configuration reloaded");
    }
    for change in changes.iter().take(TOLD) {
        tracing::info!("configuration: {change}");
    }
    if let Some(more) = changes.len().checked_sub(TOLD).filter(|more| *more > 0) {
        tracing::info!("configuration: and {more} more");
    }
    for field in kept {
        tracing::warn!("{field} changes only at the next start");
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
