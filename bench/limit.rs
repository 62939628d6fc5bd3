//! The limit that the machine sets: what a hit would cost if HTTP had no semantics. Part of `bench/compare`.
//!
//!     limit ADDRESS LIST
//!
//! One thread, epoll, ready-made answers. `LIST` is a file of lines `PATH STATUS BYTES`, one per answer. A request is read
//! until its empty line, the path is looked up in a hash map, and the answer, head and body in one piece, is written. No
//! header is looked at, nothing expires, nothing is counted: whatever a cache costs beyond this is its own doing, and what
//! this costs is nearly all the kernel's. It expects well-behaved clients: a request ends what was read (no pipelining), and its
//! head is at most 4 KiB; others are hung up on.
//!
//! Edge-triggered, so that a connection costs one `epoll_ctl` in its life; one `read` and one `write` per small hit. Large
//! bodies go in pieces of 64 KiB, which is cheaper over loopback than all at once (RESULTS.md, "Bytes per write").

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use slab::Slab;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// The listener's mark among the events; connections have their place in the slab.
const LISTENER: u64 = u64::MAX;
/// Longest request head.
const HEAD: usize = 4096;
/// Most bytes per `write`.
const PIECE: usize = 64 * 1024;

type Answers = HashMap<Vec<u8>, Vec<u8>>;

struct Connection {
    stream: TcpStream,
    /// What has come of the request.
    head: [u8; HEAD],
    have: usize,
    /// What has been sent of the answer, while it isn't all out. The request stays in `head` for as long.
    sent: Option<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(list)) = (arguments.next(), arguments.next()) else {
        return Err("usage: limit ADDRESS LIST".into());
    };
    let answers = answers(&std::fs::read_to_string(list)?)?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Vec::with_capacity(256);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let mark = event.data.u64();
            if mark == LISTENER {
                accept(&epoll, &listener, &mut connections)?;
                continue;
            }
            let Some(place) = usize::try_from(mark).ok() else { continue };
            let Some(connection) = connections.get_mut(place) else { continue };
            // Dropping closes the socket, and with it what epoll knew of it.
            if !matches!(connection.advance(&answers), Ok(true)) {
                connections.remove(place);
            }
        }
    }
}

/// Everything that waits at the listener.
fn accept(epoll: &OwnedFd, listener: &TcpListener, connections: &mut Slab<Connection>) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let place = connections.vacant_entry();
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(epoll, &stream, EventData::new_u64(place.key() as u64), flags)?;
        place.insert(Connection { stream, head: [0; HEAD], have: 0, sent: None });
    }
}

impl Connection {
    /// As far as the socket lets it. False when the connection is over.
    fn advance(&mut self, answers: &Answers) -> io::Result<bool> {
        if self.sent.is_some() && !self.write(answers)? {
            return Ok(true);
        }
        loop {
            let Some(room) = self.head.get_mut(self.have..).filter(|room| !room.is_empty()) else {
                return Ok(false);
            };
            let asked = room.len();
            let read = match self.stream.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            self.have += read;
            if self.head.get(..self.have).is_some_and(|head| head.ends_with(b"\r\n\r\n"))
                && !self.write(answers)?
            {
                return Ok(true);
            }
            // A short read emptied the socket: what comes later is an event of its own.
            if read < asked {
                return Ok(true);
            }
        }
    }

    /// Goes on with the answer to the request in `head`; true when it is out.
    fn write(&mut self, answers: &Answers) -> io::Result<bool> {
        let path = self.head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let answer = answers.get(path).ok_or(ErrorKind::NotFound)?;
        let mut sent = self.sent.unwrap_or(0);
        while let Some(rest) = answer.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest.get(..PIECE).unwrap_or(rest)) {
                Ok(wrote) => sent += wrote,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.sent = Some(sent);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        (self.sent, self.have) = (None, 0);
        Ok(true)
    }
}

/// The answers of a list, with about the fields that a cache sends.
fn answers(list: &str) -> Result<Answers, Box<dyn Error>> {
    let mut answers = Answers::new();
    for line in list.lines() {
        let mut words = line.split(' ');
        let (Some(path), Some(status), Some(bytes)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("not PATH STATUS BYTES: {line}").into());
        };
        let (status, bytes): (u16, usize) = (status.parse()?, bytes.parse()?);
        let mut answer = format!(
            "HTTP/1.1 {status} Answer\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Type: application/octet-stream\r\n\
             Cache-Control: max-age=86400\r\nAccept-Ranges: bytes\r\nETag: \"{bytes}\"\r\n\
             Last-Modified: Sun, 01 Nov 2026 08:00:00 GMT\r\nAge: 60\r\n"
        );
        // A 304 has no body, and some clients would wait for what this field promises.
        if status != 304 {
            answer.push_str(&format!("Content-Length: {bytes}\r\n"));
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        answer.resize(answer.len() + if status == 304 { 0 } else { bytes }, b'x');
        answers.insert(path.as_bytes().to_vec(), answer);
    }
    Ok(answers)
}
