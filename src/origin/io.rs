//! The byte stream under hyper's connection, plain or TLS, with the three things that hyper doesn't tell and the pool
//! must know: whether any byte of an answer has come (a retry is safe only without), whether all bytes of the request
//! have left (reuse is safe only then), and whether an idle connection really is silent.

use super::server::Busy;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    /// The place in `max_connections` of an upgraded connection: given back when the stream is dropped, which is when
    /// whoever tunnels is done with it.
    busy: Option<Busy>,
}

/// The TCP socket, shared between hyper's connection and the pool, which looks at it before it uses it again. The lock
/// is uncontended: the pool looks only while nothing is under way.
#[derive(Clone, Debug)]
pub(super) struct Socket(Arc<Mutex<Wire>>);

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Wire { stream, busy: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing has come since the last answer: no end, no error, and no bytes that nobody asked for, which would be taken
    /// for the answer to the next request (RFC 9112 §9.2). hyper sees them as well, but only when its task gets to run;
    /// this asks the kernel, now. (Under TLS it may be a harmless record; then a good connection is given up.)
    pub fn is_quiet(&self) -> bool {
        let wire = self.lock();
        let mut byte = [MaybeUninit::uninit(); 1];
        let peeked = socket2::SockRef::from(&wire.stream).peek(&mut byte);
        matches!(peeked, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    pub fn hold(&self, busy: Busy) {
        self.lock().busy = Some(busy);
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.is_write_vectored()
    }
}

/// What is known of the exchange that is under way.
#[derive(Debug, Default)]
pub(super) struct Meter {
    heard: AtomicBool,
    unflushed: AtomicBool,
}

impl Meter {
    /// A new exchange begins.
    pub fn reset(&self) {
        self.heard.store(false, Ordering::Release);
    }

    /// A byte has been received in this exchange.
    pub fn heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// Bytes that hyper was given to send are still in its buffer or that of TLS.
    pub fn unflushed(&self) -> bool {
        self.unflushed.load(Ordering::Acquire)
    }
}

enum Stream {
    Plain(Socket),
    // Boxed: some kilobytes, and hyper moves its IO about.
    Tls(Box<TlsStream<Socket>>),
}

/// What hyper reads and writes.
pub(super) struct Io {
    stream: Stream,
    meter: Arc<Meter>,
}

impl Io {
    pub const fn plain(socket: Socket, meter: Arc<Meter>) -> Self {
        Self { stream: Stream::Plain(socket), meter }
    }

    pub const fn tls(stream: Box<TlsStream<Socket>>, meter: Arc<Meter>) -> Self {
        Self { stream: Stream::Tls(stream), meter }
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        // hyper writes only when it has something, and flushes only when its own buffer is empty: a write that is
        // still pending leaves bytes behind as much as one that went through.
        self.meter.unflushed.store(true, Ordering::Release);
        polled
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.stream {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(&mut **s).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            this.meter.heard.store(true, Ordering::Release);
        }
        polled
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(&mut **s).poll_write(cx, buf),
        };
        this.wrote(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(&mut **s).poll_flush(cx),
        };
        if matches!(polled, Poll::Ready(Ok(()))) {
            this.meter.unflushed.store(false, Ordering::Release);
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(&mut **s).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Tls(s) => Pin::new(&mut **s).poll_write_vectored(cx, bufs),
        };
        this.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(s) => s.is_write_vectored(),
            Stream::Tls(s) => s.is_write_vectored(),
        }
    }
}
