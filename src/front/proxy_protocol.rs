//! The PROXY protocol, versions 1 and 2: a load balancer's word on who the client is, in front of the first
//! byte of the connection. Where a listener has it switched on it is required: guessing would let a client
//! that reaches the port directly name any address it likes.
//!
//! The parser takes what the specification gives and nothing else. TLVs are skipped.

use super::listener::canonical;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A version 1 line with its line end (specification §2.1).
const V1_MAX: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;
/// The whole header: more is refused.
pub const HEADER_MAX: usize = 536;

/// Who is at both ends, as the load balancer saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A correct beginning.
    Partial,
    /// `length` bytes belong to the header. Without addresses (a health check of the load balancer itself,
    /// or a family that is not IP) the socket's own stand.
    Complete { length: usize, addresses: Option<Addresses> },
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("no PROXY protocol header")]
    Missing,
    #[error("malformed PROXY protocol header")]
    Malformed,
    #[error("PROXY protocol header of {0} bytes, at most {HEADER_MAX} are read")]
    TooLong(usize),
    #[error("connection ended before the PROXY protocol header did")]
    Truncated,
    #[error("reading the PROXY protocol header: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads exactly the header off `socket`, so that TLS or HTTP begins at the next byte. The caller bounds the
/// time.
///
/// # Errors
/// Anything but a well-formed header within [`HEADER_MAX`] bytes.
pub async fn read(socket: &mut TcpStream) -> Result<Option<Addresses>, ProxyError> {
    let mut buffer = [0u8; HEADER_MAX];
    let mut taken = 0;
    loop {
        let free = buffer.get_mut(taken..).unwrap_or_default();
        let seen = taken + socket.peek(free).await?;
        if seen == taken {
            return Err(ProxyError::Truncated);
        }
        let (end, complete) = match parse(buffer.get(..seen).unwrap_or_default())? {
            // All of a partial header is header: take it off, so that the next peek waits for more.
            Parsed::Partial => (seen, None),
            Parsed::Complete { length, addresses } => (length, Some(addresses)),
        };
        socket.read_exact(buffer.get_mut(taken..end).unwrap_or_default()).await?;
        taken = end;
        if let Some(addresses) = complete {
            return Ok(addresses);
        }
    }
}

/// Looks at the first bytes of a connection.
///
/// # Errors
/// See [`ProxyError`]; a prefix of a header is no error.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    if starts(bytes, V2_SIGNATURE) {
        parse_v2(bytes)
    } else if starts(bytes, b"PROXY ") {
        parse_v1(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

/// `bytes` begins with `what`, as far as it goes.
fn starts(bytes: &[u8], what: &[u8]) -> bool {
    bytes.iter().zip(what).all(|(a, b)| a == b)
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let Some(lf) = bytes.iter().take(V1_MAX).position(|&b| b == b'\n') else {
        return if bytes.len() < V1_MAX { Ok(Parsed::Partial) } else { Err(ProxyError::Malformed) };
    };
    let line = bytes.get(..lf).and_then(|l| l.strip_suffix(b"\r")).ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let addresses = v1_addresses(line).ok_or(ProxyError::Malformed)?;
    Ok(Parsed::Complete { length: lf + 1, addresses })
}

/// `None`: malformed. `Some(None)`: UNKNOWN, whose remainder is to be ignored (§2.1).
fn v1_addresses(line: &str) -> Option<Option<Addresses>> {
    let rest = line.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = rest.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || -> Option<u16> {
        let word = words.next()?;
        let plain = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse().ok().filter(|_| plain)
    };
    let (from, to) = (port()?, port()?);
    words.next().is_none().then(|| Some(addresses(source, from, destination, to)))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let Some(head) = bytes.first_chunk::<V2_HEAD>() else {
        return Ok(Parsed::Partial);
    };
    let [.., version_command, family, high, low] = *head;
    let length = V2_HEAD + usize::from(u16::from_be_bytes([high, low]));
    // Version 2; LOCAL is 0, PROXY is 1.
    if version_command >> 4 != 2 || version_command & 0xf > 1 {
        return Err(ProxyError::Malformed);
    }
    if length > HEADER_MAX {
        return Err(ProxyError::TooLong(length));
    }
    let Some(body) = bytes.get(V2_HEAD..length) else {
        return Ok(Parsed::Partial);
    };
    let addresses = match (version_command & 0xf, family) {
        // LOCAL: whatever follows is to be skipped (§2.2).
        (0, _) => None,
        (_, 0x11) => Some(v2_addresses::<4>(body, |a| Ipv4Addr::from(a).into())?),
        (_, 0x21) => Some(v2_addresses::<16>(body, |a| Ipv6Addr::from(a).into())?),
        // Unspecified, and UNIX stream sockets: nothing that compares with a network address.
        (_, 0x00 | 0x31) => None,
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Parsed::Complete { length, addresses })
}

fn v2_addresses<const N: usize>(body: &[u8], ip: fn([u8; N]) -> IpAddr) -> Result<Addresses, ProxyError> {
    let take = |body: &mut &[u8]| -> Option<[u8; N]> {
        let (first, rest) = body.split_first_chunk::<N>()?;
        *body = rest;
        Some(*first)
    };
    let mut rest = body;
    let read = (|| {
        let (source, destination) = (take(&mut rest)?, take(&mut rest)?);
        let [a, b, c, d] = *rest.first_chunk::<4>()?;
        Some(addresses(ip(source), u16::from_be_bytes([a, b]), ip(destination), u16::from_be_bytes([c, d])))
    })();
    read.ok_or(ProxyError::Malformed)
}

fn addresses(source: IpAddr, from: u16, destination: IpAddr, to: u16) -> Addresses {
    Addresses {
        source: canonical(SocketAddr::new(source, from)),
        destination: canonical(SocketAddr::new(destination, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header
    }

    fn four() -> Vec<u8> {
        v2(1, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0x30, 0x39, 1, 0xbb])
    }

    fn complete(bytes: &[u8]) -> (usize, Option<(String, String)>) {
        match parse(bytes) {
            Ok(Parsed::Complete { length, addresses }) => {
                (length, addresses.map(|a| (a.source.to_string(), a.destination.to_string())))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn well_formed_headers() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 12345 443\r\n";
        assert_eq!(
            complete(&[line, &b"GET / "[..]].concat()),
            (line.len(), pair("1.2.3.4:12345", "5.6.7.8:443"))
        );
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(complete(line), (line.len(), pair("[2001:db8::1]:1", "[::1]:65535")));
        let line = b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n";
        assert_eq!(complete(line).1, pair("1.2.3.4:1", "[::1]:2"), "IPv4 in IPv6's clothes");
        assert_eq!(complete(b"PROXY UNKNOWN\r\n"), (15, None));
        assert_eq!(complete(b"PROXY UNKNOWN what ever\r\n").1, None);
        assert_eq!(complete(&four()), (28, pair("1.2.3.4:12345", "5.6.7.8:443")));
        let mut six = [0u8; 36];
        six[15] = 1;
        six[31] = 2;
        assert_eq!(complete(&v2(1, 0x21, &six)), (52, pair("[::1]:0", "[::2]:0")));
        let with_tlv = v2(1, 0x11, &[&[0u8; 12][..], &[4, 0, 1, 0]].concat());
        assert_eq!(complete(&with_tlv).0, 32);
        assert_eq!(complete(&v2(0, 0x11, &[])), (16, None), "LOCAL");
        assert_eq!(complete(&v2(1, 0x00, &[9; 7])), (23, None), "AF_UNSPEC");
        assert_eq!(complete(&v2(1, 0x31, &[0; 216])).1, None, "AF_UNIX");
        assert_eq!(complete(&v2(1, 0x11, &[0; 520])).0, HEADER_MAX);
    }

    #[test]
    fn every_prefix_is_partial() {
        for whole in [b"PROXY TCP4 1.2.3.4 5.6.7.8 12345 443\r\n".to_vec(), four()] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]).unwrap(), Parsed::Partial, "{end}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bad in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"proxy tcp4 ",
            b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY UNKNOWNX\r\n",
            b"PROXY TCP4 \xff.2.3.4 5.6.7.8 1 2\r\n",
            long.as_bytes(),
            &v2(2, 0x11, &[0; 12]),
            &v2(1, 0x12, &[0; 12]),
            &v2(1, 0x41, &[0; 12]),
            &v2(1, 0x11, &[0; 11]),
            &v2(1, 0x21, &[0; 35]),
            &v2(1, 0x11, &[0; 521]),
        ] {
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        let mut version_1 = four();
        version_1[12] = 0x11;
        assert!(parse(&version_1).is_err());
        assert!(parse(&[b'x'; 2000]).is_err());
        assert!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 2000]].concat()).is_err());
    }

    #[tokio::test]
    async fn the_reader_takes_the_header_and_not_a_byte_more() {
        for header in [b"PROXY TCP4 1.2.3.4 5.6.7.8 12345 443\r\n".to_vec(), four()] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(address).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            client.set_nodelay(true).unwrap();
            let (reading, ()) = tokio::join!(read(&mut server), async {
                for byte in &header {
                    client.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client.write_all(b"GET").await.unwrap();
            });
            assert_eq!(reading.unwrap().unwrap().source.to_string(), "1.2.3.4:12345");
            let mut rest = [0; 3];
            server.read_exact(&mut rest).await.unwrap();
            assert_eq!(&rest, b"GET");
        }
    }

    #[tokio::test]
    async fn an_early_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"PROXY TCP4 1.2").await.unwrap();
        drop(client);
        assert!(matches!(read(&mut server).await, Err(ProxyError::Truncated | ProxyError::Io(_))));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use proptest::prelude::*;
        proptest!(|(v2: bool, tail in proptest::collection::vec(any::<u8>(), 0..600))| {
            let start: &[u8] = if v2 { V2_SIGNATURE } else { b"PROXY " };
            let bytes = [start, &tail].concat();
            if let Ok(Parsed::Complete { length, .. }) = parse(&bytes) {
                prop_assert!(length <= bytes.len() && length <= HEADER_MAX);
            }
        });
    }
}
