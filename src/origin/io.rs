//! The byte stream to a server, plain or TLS; and what ties the place of an upgraded connection to its life.

use super::server::Busy;
use std::io::{self, BufRead, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(super) enum Stream {
    Plain(TcpStream),
    // Boxed: some kilobytes.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Nothing has come since the last answer: no end, no error, and no bytes that nobody asked for, which would be taken
    /// for the answer to the next request (RFC 9112 §9.2). This asks the kernel, now; what the reactor has heard may be
    /// older. (Under TLS it may be a harmless record; then a good connection is given up.) And TLS may have more in hand than it was
    /// asked for: what came in the same segment as the answer's end has been decrypted with it.
    pub fn is_quiet(&mut self) -> bool {
        let socket = match self {
            Self::Plain(stream) => &*stream,
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                if !would_block(&session.reader().fill_buf()) {
                    return false;
                }
                &*socket
            }
        };
        let mut byte = [MaybeUninit::uninit(); 1];
        would_block(&socket2::SockRef::from(socket).peek(&mut byte))
    }

    /// What was written may still have to be flushed.
    pub const fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Says that nothing more will come (RFC 8446 §6.1), if the socket takes it at once. TCP says it by itself.
    pub fn goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            let _ = Pin::new(&mut **stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(&mut **s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(&mut **s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(&mut **s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(&mut **s).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(&mut **s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }
}

/// The place in `max_connections` of an upgraded connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Place(Arc<Mutex<Option<Busy>>>);

impl Place {
    pub fn hold(&self, busy: Busy) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(busy);
    }
}

/// A stream with its place: given back when the stream is dropped, which is when whoever tunnels is done with it.
pub(super) struct Placed {
    stream: Stream,
    _place: Place,
}

impl Placed {
    pub const fn new(stream: Stream, place: Place) -> Self {
        Self { stream, _place: place }
    }
}

impl AsyncRead for Placed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
