//! Processes that end with their test, signals, ports, and what `/proc` says.

use super::{eventually, ms};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};

/// A child process. Dropped: killed, also when it is stopped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        Self { child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to an own child");
    }

    /// Stops it where it stands, and returns once it does.
    pub async fn pause(&self) {
        self.signal(Signal::STOP);
        eventually("a stopped process", super::PATIENCE, async || self.state() == Some('T')).await;
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has; whether it ended without an error.
    pub async fn terminate(&mut self) -> bool {
        self.signal(Signal::TERM);
        let mut fine = false;
        eventually("the end of a process", super::PATIENCE, async || match self.child.try_wait().unwrap() {
            Some(status) => {
                fine = status.success();
                true
            }
            None => false,
        })
        .await;
        fine
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// R, S, D, T (stopped), Z.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on, outside the range from which the system takes ports for outgoing connections: it stays free
/// while the server on it is down. `port + 10000` is free as well (the bus of a cluster).
pub fn free_port() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..22_000);
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
    panic!("no free port");
}

/// Whether somebody accepts connections there.
pub async fn accepts(address: SocketAddr) -> bool {
    matches!(tokio::time::timeout(ms(200), tokio::net::TcpStream::connect(address)).await, Ok(Ok(_)))
}
