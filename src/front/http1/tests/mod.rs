//! Requirements of HTTP/1 connections, stated on the wire: bytes in, bytes out.

mod bodiless;
mod conversation;
mod differential;
mod framing;
mod head;
mod hints;
mod limits;
mod properties;
mod support;
mod upgrade;
