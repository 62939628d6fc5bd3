//! A new process takes over under load (SIGUSR2), and sockets come from outside (socket activation): no request fails.
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests may panic, their helpers too

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A process, and every line that it and its successors write to standard error.
struct Process {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (heard, lines) = sync_channel(1024);
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line that holds this.
    fn line(&mut self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("waited in vain for {part:?} after {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ended(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

/// Ends a process that is not our child.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn larder(config: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_remove("LARDER_CONFIG").env_remove("RUST_LOG").arg("serve").arg("-c").arg(config);
    command
}

fn config(folder: &std::path::Path, public: SocketAddr, admin: SocketAddr) -> std::path::PathBuf {
    let path = folder.join("config.yaml");
    let yaml = format!(
        "server: {{ listen: [{{ address: \"{public}\" }}] }}\nadmin: {{ address: \"{admin}\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: demo }} }}\nrules:\n  - {{ name: all, origin: app, ttl: 1h }}\n"
    );
    std::fs::write(&path, yaml).unwrap();
    path
}

/// Two addresses that are free now.
fn free() -> (SocketAddr, SocketAddr) {
    let sockets = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    (sockets[0].local_addr().unwrap(), sockets[1].local_addr().unwrap())
}

/// One request on this connection; whether the connection may be used again.
fn ask(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"GET /static/site.css HTTP/1.1\r\nHost: site.example\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if bytes.len() >= end + 4 + length.expect("a length") {
            return Ok(!head.contains("connection: close"));
        }
    }
}

/// Clients that ask without a pause until told to stop: requests that were answered, and what failed.
fn load(
    to: SocketAddr,
    clients: usize,
    stop: &Arc<AtomicBool>,
    answered: &Arc<AtomicUsize>,
) -> Vec<std::thread::JoinHandle<Vec<String>>> {
    let client = |n: usize| {
        let (stop, answered) = (stop.clone(), answered.clone());
        std::thread::spawn(move || {
            let (mut failures, mut connection) = (Vec::new(), None);
            while !stop.load(Ordering::Relaxed) {
                let mut stream = match connection.take() {
                    Some(stream) => stream,
                    None => match TcpStream::connect(to) {
                        Ok(stream) => stream,
                        Err(error) => {
                            failures.push(format!("connect: {error}"));
                            continue;
                        }
                    },
                };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                match ask(&mut stream) {
                    Ok(again) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                        // Half of them keep their connection, half come anew each time.
                        connection = (again && n.is_multiple_of(2)).then_some(stream);
                    }
                    Err(error) => failures.push(format!("request: {error}")),
                }
            }
            failures
        })
    };
    (0..clients).map(client).collect()
}

fn reach(count: usize, answered: &AtomicUsize) {
    let clock = larder::clock::Clock::system();
    while answered.load(Ordering::Relaxed) < count {
        assert!(clock.elapsed() < PATIENCE, "the load stands still");
        std::thread::yield_now();
    }
}

#[test]
fn a_new_process_takes_over_under_load_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = free();
    let path = config(folder.path(), public, admin);
    let mut old = Process::start(&mut larder(&path));
    old.line("admin on");
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = load(public, 8, &stop, &answered);
    reach(500, &answered);
    old.signal(Signal::USR2);
    let told = old.line("handed over to a new process");
    let id = told
        .split("process=")
        .nth(1)
        .and_then(|rest| rest.chars().filter(char::is_ascii_digit).collect::<String>().parse::<i32>().ok());
    let successor = Successor(Pid::from_raw(id.expect("its id")).expect("its id"));
    assert_eq!(old.ended(), 0);
    let after = answered.load(Ordering::Relaxed);
    reach(after + 500, &answered);
    stop.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} failed: {failures:?}",
        failures.len(),
        answered.load(Ordering::Relaxed)
    );
    assert!(TcpStream::connect(admin).is_ok(), "the admin listener went over too");
    kill_process(successor.0, Signal::TERM).unwrap();
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = free();
    let path = config(folder.path(), public, admin);
    let mut old = Process::start(&mut larder(&path));
    old.line("admin on");
    std::fs::write(&path, "rules: nonsense\n").unwrap();
    old.signal(Signal::USR2);
    old.line("not handed over");
    assert!(ask(&mut TcpStream::connect(public).unwrap()).unwrap());
    let mut call = TcpStream::connect(admin).unwrap();
    call.write_all(format!("GET /livez HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    call.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    old.signal(Signal::TERM);
    assert_eq!(old.ended(), 0);
}

#[test]
fn sockets_that_systemd_has_bound_are_used() {
    use command_fds::{CommandFdExt, FdMapping};
    let folder = tempfile::tempdir().unwrap();
    let sockets = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let [public, admin] = [0, 1].map(|n: usize| sockets[n].local_addr().unwrap());
    let path = config(folder.path(), public, admin);
    // Who comes before it runs is not refused.
    let mut early = TcpStream::connect(public).unwrap();
    let mut command = larder(&path);
    let copies = (3..).zip(&sockets).map(|(child_fd, socket)| FdMapping {
        parent_fd: OwnedFd::from(socket.try_clone().unwrap()),
        child_fd,
    });
    command.fd_mappings(copies.collect()).unwrap();
    command.env("LISTEN_FDS", "2").env_remove("LISTEN_PID");
    let mut process = Process::start(&mut command);
    process.line("admin on");
    assert!(ask(&mut early).unwrap());
    assert!(TcpStream::connect(admin).is_ok());
    process.signal(Signal::TERM);
    assert_eq!(process.ended(), 0);
}
