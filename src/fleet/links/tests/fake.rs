//! A server that says what a test wants it to say.

use super::{Address, address};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What to do upon a command.
#[derive(Clone)]
pub enum Act {
    Say(Vec<u8>),
    /// Say it once told to.
    SayAfter(Arc<Notify>, Vec<u8>),
    SayAndHangUp(Vec<u8>),
    Nothing,
}

pub fn say(text: &str) -> Act {
    Act::Say(format!("{text}\r\n").into_bytes())
}

pub struct Fake {
    pub address: Address,
    pub connections: Arc<AtomicUsize>,
    /// Commands in the order they came, words parted by spaces.
    pub heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// `answer` gets the number of the connection (from 1) and the command.
    pub async fn start(answer: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = address("127.0.0.1", listener.local_addr().unwrap().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (count, ears, answer) = (Arc::clone(&connections), Arc::clone(&heard), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (ears, answer) = (Arc::clone(&ears), Arc::clone(&answer));
                open.spawn(async move {
                    serve(stream, |command| {
                        ears.lock().unwrap().push(command.to_owned());
                        answer(number, command)
                    })
                    .await;
                });
            }
        });
        Self { address, connections, heard, task }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Reads commands and answers them until the other side hangs up.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut answer: impl FnMut(&str) -> Act) {
    let mut bytes = Vec::new();
    loop {
        while let Some((command, length)) = command(&bytes) {
            bytes.drain(..length);
            match answer(&command) {
                Act::Say(text) => {
                    if stream.write_all(&text).await.is_err() {
                        return;
                    }
                }
                Act::SayAfter(told, text) => {
                    told.notified().await;
                    let _ = stream.write_all(&text).await;
                }
                Act::SayAndHangUp(text) => {
                    let _ = stream.write_all(&text).await;
                    let _ = stream.shutdown().await;
                    return;
                }
                Act::Nothing => {}
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The first whole command, and its length in bytes.
fn command(bytes: &[u8]) -> Option<(String, usize)> {
    let (words, mut at) = number(bytes, 0)?;
    let mut command = Vec::new();
    for _ in 0..words {
        let (length, start) = number(bytes, at)?;
        at = start + length + 2;
        command.push(String::from_utf8_lossy(&bytes.get(start..at)?[..length]).into_owned());
    }
    Some((command.join(" "), at))
}

/// The number of a line `*3` or `$3`, and where the next begins.
fn number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = bytes.get(at..)?.windows(2).position(|w| w == b"\r\n")? + at;
    Some((std::str::from_utf8(&bytes[at + 1..end]).unwrap().parse().unwrap(), end + 2))
}
