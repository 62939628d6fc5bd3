//! A wire given to somebody who never gives it back: hyper, for a request that may become another protocol, and
//! then whoever serves that. It comes home when it is dropped, so that the connection can be closed
//! properly, and is known to be over.

use super::wire::Wire;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// `Some` until it is dropped.
pub(super) struct Lent<IO>(Option<(Wire<IO>, oneshot::Sender<Wire<IO>>)>);

impl<IO: AsyncRead + AsyncWrite + Unpin> Lent<IO> {
    /// The wire to lend, and where it comes back.
    pub fn new(wire: Wire<IO>) -> (Self, oneshot::Receiver<Wire<IO>>) {
        let (home, back) = oneshot::channel();
        (Self(Some((wire, home))), back)
    }

    fn wire(self: Pin<&mut Self>) -> io::Result<Pin<&mut Wire<IO>>> {
        let lent = self.get_mut().0.as_mut();
        lent.map(|(wire, _)| Pin::new(wire)).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<IO> Drop for Lent<IO> {
    fn drop(&mut self) {
        if let Some((wire, home)) = self.0.take() {
            // Nobody at home: the connection's task has been ended, and this ends with it.
            let _ = home.send(wire);
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lent<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.wire()?.poll_read(cx, out)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lent<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wire()?.poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire()?.poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(|(wire, _)| wire.is_write_vectored())
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire()?.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire()?.poll_shutdown(cx)
    }
}
