//! Handing over to a new process, without a connection refused or a request failed: SIGUSR2.
//!
//! The process that runs starts its successor (the same file, the same arguments), with copies of its listening sockets and one
//! end of a socket pair as standard input. Then, each step waiting for the one before:
//!
//! 1. the successor reads the configuration, checks it, and says `ready`; or it ends, and nothing has changed;
//! 2. the old process closes its admin listener, so that no purge reaches it any more, and says `go`;
//! 3. the successor starts, accepts, and says `serving`; or it ends, and the old process goes on;
//! 4. the old process drains.
//!
//! Connections wait in the kernel's queue, which both share, while nobody accepts. What is in memory is not handed over.

use command_fds::{CommandFdExt, FdMapping};
use sd_notify::NotifyState;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Tells a process that its standard input leads to the one before it.
const MARK: &str = "LARDER_HANDOVER";

/// How long a successor may take for each step.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first descriptor of those that are handed over, as systemd has it.
const FIRST: i32 = 3;

const READY: u8 = b'r';
const GO: u8 = b'g';
const SERVING: u8 = b's';

/// Why nothing was handed over; the old process goes on.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("cannot start a new process: {0}")]
    Start(io::Error),
    #[error("the new process ended before it was ready; it has said why")]
    Ended,
    #[error("the new process was not ready within {PATIENCE:?}")]
    Timeout,
}

/// The process that is to take over.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    link: UnixStream,
}

/// What this process was started with, noted while it can still be known.
#[derive(Clone, Debug)]
pub struct Itself {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Itself {
    /// The file by the path it was started by: what a package manager has put there meanwhile is what takes over.
    pub fn note() -> Self {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from).unwrap_or_default();
        // A bare name was found along PATH, and will be again.
        let program = if named.as_os_str().is_empty() { "/proc/self/exe".into() } else { named };
        Self { program, arguments: arguments.collect() }
    }

    /// Starts the successor with these sockets, and waits until it is ready.
    ///
    /// # Errors
    /// See [`Failed`]; the process has been ended then.
    pub async fn start_successor(&self, sockets: Vec<OwnedFd>) -> Result<Successor, Failed> {
        let (ours, theirs) = StdUnixStream::pair().map_err(Failed::Start)?;
        ours.set_nonblocking(true).map_err(Failed::Start)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env(MARK, "1")
            .env("LISTEN_FDS", sockets.len().to_string())
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .stdin(OwnedFd::from(theirs));
        let mappings = (FIRST..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command
            .fd_mappings(mappings.collect())
            .map_err(|error| Failed::Start(io::Error::other(error.to_string())))?;
        let child = command.spawn().map_err(Failed::Start)?;
        let link = UnixStream::from_std(ours).map_err(Failed::Start)?;
        // With it goes our copy of the descriptors that are the child's.
        drop(command);
        let mut successor = Successor { child, link };
        successor.hears(READY).await?;
        Ok(successor)
    }
}

impl Successor {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it accept, and waits until it does.
    ///
    /// # Errors
    /// It has failed after all.
    pub async fn go(mut self) -> Result<(), Failed> {
        self.link.write_all(&[GO]).await.map_err(|_| Failed::Ended)?;
        self.hears(SERVING).await
    }

    async fn hears(&mut self, word: u8) -> Result<(), Failed> {
        let mut said = [0];
        let heard = tokio::time::timeout(PATIENCE, self.link.read_exact(&mut said)).await;
        let failed = match heard {
            Ok(Ok(_)) if said == [word] => return Ok(()),
            Ok(_) => Failed::Ended,
            Err(_) => Failed::Timeout,
        };
        let _ = self.child.kill(); // it may be gone already
        let _ = self.child.wait();
        Err(failed)
    }
}

/// The process before this one, as its successor sees it.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// `None` for a process that was started by nobody of ours.
    ///
    /// # Errors
    /// The mark is set, and standard input is no socket.
    pub fn find() -> io::Result<Option<Self>> {
        if std::env::var_os(MARK).is_none() {
            return Ok(None);
        }
        let link = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        link.set_nonblocking(true)?;
        Ok(Some(Self(UnixStream::from_std(link)?)))
    }

    /// Says that this process could start now, and waits for the word to do so.
    ///
    /// # Errors
    /// The predecessor is gone, or has thought better of it.
    pub async fn ready(&mut self) -> io::Result<()> {
        self.0.write_all(&[READY]).await?;
        let mut said = [0];
        let heard = tokio::time::timeout(PATIENCE, self.0.read_exact(&mut said)).await;
        match heard {
            Ok(Ok(_)) if said == [GO] => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Says that this process accepts.
    pub async fn serving(mut self) {
        let _ = self.0.write_all(&[SERVING]).await; // gone already: there is nobody to tell
    }
}

/// Tells systemd, where that has started us (`Type=notify`); nothing else hears it.
pub fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
