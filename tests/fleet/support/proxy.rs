//! A TCP proxy that plays a bad network or a broken store. What it does is switched while it runs, for the connections that are
//! open as for those that come.

use super::now;
use super::process::free_port;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// What the network, or the one at its other end, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// Bytes of that direction don't arrive before the fault ends, as when packets are lost: TCP sends them again.
    BlackHole(Way),
    /// Connections are reset, those that come too.
    Reset,
    /// Connections are reset, and nobody listens.
    Refuse,
    /// Every piece of an answer comes that much later; many can be under way.
    Delay(Duration),
    /// Answers come at so many bytes a second.
    Throttle(u64),
    /// A connection is reset after so many bytes of answers, counted from when the fault began.
    Cut(u64),
    /// Whatever is sent is swallowed, and this is the answer.
    Answer(&'static [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    FromServer,
    Both,
}

impl Fault {
    fn holds(self, way: Way) -> bool {
        matches!(self, Self::BlackHole(hole) if hole == way || hole == Way::Both)
    }
}

#[derive(Clone, Debug)]
struct Mode {
    fault: Fault,
    upstream: SocketAddr,
    /// Connections that began in an earlier one are reset.
    epoch: u64,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    turns: AtomicU64,
    sent: AtomicU64,
}

/// Dropped: it closes its connections and stops.
#[derive(Debug)]
pub struct FaultProxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    pub async fn before(upstream: SocketAddr) -> Self {
        let mode = watch::Sender::new(Mode { fault: Fault::Pass, upstream, epoch: 0 });
        let counts = Arc::new(Counts::default());
        let listener = loop {
            let address = (Ipv4Addr::LOCALHOST, free_port());
            if let Ok(listener) = TcpListener::bind(address).await {
                break listener;
            }
        };
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(address, listener, mode.subscribe(), counts.clone()));
        Self { address, mode, counts, task }
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.mode.send_modify(|mode| {
            mode.fault = fault;
            mode.epoch += u64::from(matches!(fault, Fault::Reset | Fault::Refuse));
        });
    }

    pub fn heal(&self) {
        self.set(Fault::Pass);
    }

    /// Another server stands behind it from now on: connections are reset.
    pub fn retarget(&self, upstream: SocketAddr) {
        self.mode.send_modify(|mode| {
            mode.upstream = upstream;
            mode.epoch += 1;
        });
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How often something was sent, and then something answered, on one connection: round trips, as far as nothing is pipelined.
    pub fn turns(&self) -> u64 {
        self.counts.turns.load(Ordering::Relaxed)
    }

    /// Bytes of answers so far.
    pub fn answered(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    address: SocketAddr,
    listener: TcpListener,
    mut mode: watch::Receiver<Mode>,
    counts: Arc<Counts>,
) {
    let mut listener = Some(listener);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let refuse = mode.borrow_and_update().fault == Fault::Refuse;
        match (&listener, refuse) {
            (Some(_), true) => listener = None,
            (None, false) => listener = Some(TcpListener::bind(address).await.expect("the proxy's own port")),
            _ => {}
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            Ok((client, _)) = accept => {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection(client, mode.clone(), counts.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Why a connection ends.
enum End {
    Closed,
    Reset,
}

async fn connection(mut client: TcpStream, mut mode: watch::Receiver<Mode>, counts: Arc<Counts>) {
    let began = mode.borrow_and_update().clone();
    if matches!(began.fault, Fault::Reset | Fault::Refuse) {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(mut server) = TcpStream::connect(began.upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let (swallowed, asked) = mpsc::channel(64);
        let turn = AtomicBool::new(false);
        let up = Pump { way: Way::ToServer, mode: mode.clone(), turn: &turn, counts: &counts };
        let down = Pump { way: Way::FromServer, mode: mode.clone(), turn: &turn, counts: &counts };
        let both = async {
            tokio::try_join!(
                up.run(from_client, to_server, Some(swallowed), None),
                down.run(from_server, to_client, None, Some(asked))
            )
        };
        tokio::select! {
            over = both => if over.is_ok() { End::Closed } else { End::Reset },
            _ = mode.wait_for(|mode| mode.epoch != began.epoch) => End::Reset,
        }
    };
    if matches!(end, End::Reset) {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// One direction of a connection.
struct Pump<'a> {
    way: Way,
    mode: watch::Receiver<Mode>,
    /// Something was sent since the last answer.
    turn: &'a AtomicBool,
    counts: &'a Counts,
}

/// The connection is to be reset.
struct Broken;

const PIECE: usize = 16 * 1024;
/// Pieces on their way, at most.
const UNDER_WAY: usize = 64;

impl Pump<'_> {
    /// Carries bytes until the end of the stream. `swallowed` is told of what was not sent on, `asked` that an answer is to be made up.
    async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        swallowed: Option<mpsc::Sender<()>>,
        mut asked: Option<mpsc::Receiver<()>>,
    ) -> Result<(), Broken> {
        let mut queue: VecDeque<(Duration, Vec<u8>)> = VecDeque::new();
        let mut buffer = vec![0; PIECE];
        let (mut ended, mut free_at, mut passed) = (false, Duration::ZERO, 0u64);
        let mut fault = self.mode.borrow_and_update().fault;
        loop {
            if ended && queue.is_empty() {
                let _ = to.shutdown().await;
                return Ok(());
            }
            let holds = fault.holds(self.way);
            let mine = self.way == Way::FromServer;
            let due = match (fault, queue.front()) {
                (Fault::Delay(_), Some((due, _))) if mine => *due,
                _ => Duration::ZERO,
            };
            let wait = due.max(free_at).saturating_sub(now());
            let size = match fault {
                Fault::Throttle(rate) if mine => usize::try_from(rate / 50).unwrap().clamp(1, PIECE),
                _ => PIECE,
            };
            tokio::select! {
                changed = self.mode.changed() => {
                    changed.map_err(|_| Broken)?;
                    let new = self.mode.borrow_and_update().fault;
                    if new != fault { (fault, free_at, passed) = (new, Duration::ZERO, 0); }
                }
                () = tokio::time::sleep(wait), if !holds && !queue.is_empty() => {
                    let (_, mut piece) = queue.pop_front().unwrap_or_default();
                    let cut = match fault {
                        Fault::Cut(most) if mine => {
                            piece.truncate(usize::try_from(most.saturating_sub(passed)).unwrap_or(usize::MAX).min(piece.len()));
                            passed += piece.len() as u64;
                            passed >= most
                        }
                        _ => false,
                    };
                    if let Fault::Throttle(rate) = fault && mine {
                        free_at = now() + Duration::from_secs_f64(piece.len() as f64 / rate as f64);
                    }
                    self.count(piece.len());
                    to.write_all(&piece).await.map_err(|_| Broken)?;
                    if cut { return Err(Broken); }
                }
                read = from.read(&mut buffer[..size]), if !holds && !ended && queue.len() < UNDER_WAY => {
                    let piece = &buffer[..read.map_err(|_| Broken)?];
                    match fault {
                        _ if piece.is_empty() => ended = true,
                        Fault::Answer(_) => if let Some(swallowed) = &swallowed { let _ = swallowed.try_send(()); },
                        Fault::Delay(by) => queue.push_back((now() + by, piece.to_vec())),
                        _ => queue.push_back((Duration::ZERO, piece.to_vec())),
                    }
                }
                Some(()) = next(&mut asked) => if let Fault::Answer(bytes) = fault {
                    to.write_all(bytes).await.map_err(|_| Broken)?;
                },
            }
        }
    }

    fn count(&self, bytes: usize) {
        if self.way == Way::ToServer {
            self.turn.store(true, Ordering::Relaxed);
        } else {
            self.counts.sent.fetch_add(bytes as u64, Ordering::Relaxed);
            if self.turn.swap(false, Ordering::Relaxed) {
                self.counts.turns.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn next(asked: &mut Option<mpsc::Receiver<()>>) -> Option<()> {
    match asked {
        Some(asked) => asked.recv().await,
        None => std::future::pending().await,
    }
}
