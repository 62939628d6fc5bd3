//! The origin of the counted requests, and of nothing else.

use crate::Uncounted;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The last byte of every body, and the last of nothing else that leaves.
pub const END: u8 = b'!';

pub async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(Uncounted(Box::pin(answer(stream))));
    }
}

/// Answers one request after the other.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await? > 0 {
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        let (length, cached, vary) = match read.split(|byte| *byte == b' ').nth(1) {
            Some(b"/128k") => (128 * 1024, "public, max-age=86400", ""),
            Some(b"/vary") => (1024, "public, max-age=86400", "Vary: Accept-Encoding\r\n"),
            Some(b"/none") => (1024, "no-store", ""),
            _ => (1024, "public, max-age=86400", ""),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
             Cache-Control: {cached}\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             {vary}Content-Length: {length}\r\n\r\n"
        );
        let mut whole = head.into_bytes();
        whole.resize(whole.len() + length - 1, b'x');
        whole.push(END);
        stream.write_all(&whole).await?;
        read.clear();
    }
    Ok(())
}
