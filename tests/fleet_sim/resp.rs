//! A server's side of a connection.

use crate::store::{APPEND, LEAVE, Mood, NUMBER, Reply, SYNC, Store};
use larder::purge::PurgeId;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

/// How often a blocked command looks again.
const LOOK: Duration = Duration::from_millis(4);

fn texts() -> &'static [(String, &'static str); 4] {
    static ALL: OnceLock<[(String, &'static str); 4]> = OnceLock::new();
    ALL.get_or_init(|| {
        [APPEND, SYNC, NUMBER, LEAVE].map(|text| (redis::Script::new(text).get_hash().to_owned(), text))
    })
}

/// Serves until the client goes, or the server closes its connections.
pub async fn serve(mut stream: TcpStream, store: Arc<Mutex<Store>>, server: usize, portion: usize) {
    let (close, reset) = {
        let store = store.lock().unwrap();
        (store.servers[server].closed.clone(), store.servers[server].reset.clone())
    };
    let (closed, reset) = (close.notified(), reset.notified());
    tokio::pin!(closed, reset);
    let mut input = Vec::new();
    let mut wrote_at = 0;
    loop {
        let reading = next_command(&mut stream, &mut input);
        let command = tokio::select! {
            biased;
            () = &mut closed => return,
            () = &mut reset => return,
            command = reading => command,
        };
        let Ok(command) = command else { return };
        let reply = answer(&command, &store, server, portion, &mut wrote_at).await;
        let mood = store.lock().unwrap().servers[server].mood;
        if let Mood::Slow(ms) = mood {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let mut out = Vec::new();
        reply.write(&mut out);
        if stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

async fn answer(
    command: &[Vec<u8>],
    store: &Mutex<Store>,
    server: usize,
    portion: usize,
    wrote_at: &mut u64,
) -> Reply {
    let text = |at: usize| std::str::from_utf8(&command[at]).unwrap();
    match text(0) {
        name @ ("EVALSHA" | "EVAL") => {
            let mut store = store.lock().unwrap();
            let server = &mut store.servers[server];
            let Some((digest, script)) = texts().iter().find(|(digest, script)| match name {
                "EVAL" => *script == text(1),
                _ => digest == text(1),
            }) else {
                return Reply::Error("ERR unknown script");
            };
            if name == "EVAL" {
                server.scripts.insert(digest.clone());
            } else if !server.scripts.contains(digest) {
                return Reply::Error("NOSCRIPT No matching script. Please use EVAL.");
            }
            let keys: usize = text(2).parse().unwrap();
            let (keys, args) = command[3..].split_at(keys);
            let reply = server.script(script, keys, args, portion);
            *wrote_at = server.data.offset;
            reply
        }
        "INFO" if text(1) == "memory" => {
            Reply::Bulk(b"maxmemory:0\r\nmaxmemory_policy:noeviction\r\n".to_vec())
        }
        "INFO" => store.lock().unwrap().servers[server].info(),
        "WAIT" => {
            let patience = Duration::from_millis(text(2).parse().unwrap());
            let look = || store.lock().unwrap().servers[server].acknowledged >= Some(*wrote_at);
            Reply::Int(i64::from(blocked(patience, look).await))
        }
        "XREAD" => {
            let patience = Duration::from_millis(text(4).parse().unwrap());
            let after: PurgeId = text(7).parse().unwrap();
            let look = || {
                let store = store.lock().unwrap();
                store.servers[server].data.records.last().is_some_and(|last| last.id > after)
            };
            match blocked(patience, look).await {
                true => Reply::Array(vec![Reply::Bulk(b"something".to_vec())]),
                false => Reply::Nil,
            }
        }
        _ => Reply::Error("ERR unknown command"),
    }
}

async fn blocked(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = tokio::time::sleep(patience);
    tokio::pin!(until);
    loop {
        if holds() {
            return true;
        }
        tokio::select! {
            biased;
            () = &mut until => return holds(),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn next_command(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
    loop {
        if let Some((command, used)) = parse(input) {
            input.drain(..used);
            return Ok(command);
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// An array of strings, and how long it was; `None` if it isn't complete.
fn parse(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut at = 0;
    let number = |mark: u8, at: &mut usize| -> Option<usize> {
        let line = input.get(*at..)?;
        let end = line.windows(2).position(|two| two == b"\r\n")?;
        assert_eq!(line[0], mark, "not what a client sends");
        *at += end + 2;
        std::str::from_utf8(&line[1..end]).unwrap().parse().ok()
    };
    let count = number(b'*', &mut at)?;
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let length = number(b'$', &mut at)?;
        parts.push(input.get(at..at + length)?.to_vec());
        at += length + 2;
        if at > input.len() {
            return None;
        }
    }
    Some((parts, at))
}
