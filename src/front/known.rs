//! What is known of a message that is refused: the log of a refusal should say what was asked for, as far as it
//! had been read. Nothing here is trusted, and nothing here is decided by.

use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Method, request};

/// Of each text, bytes: what is refused may be refused for its length.
const LONGEST: usize = 2048;

/// As much of a head as could be made out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub method: Option<Method>,
    /// As sent; empty when there is none.
    pub target: String,
    /// Lower-case; empty when there is none.
    pub host: String,
    pub user_agent: Option<String>,
}

impl Known {
    /// Out of the beginning of an HTTP/1 message, complete or not, well-formed or not.
    pub fn from_http1(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
        let mut known = Self {
            method: words.next().and_then(|word| Method::from_bytes(word.get(..word.len().min(32))?).ok()),
            target: text(words.next().unwrap_or_default()),
            ..Self::default()
        };
        for line in lines.take_while(|line| !line.is_empty()) {
            let mut halves = line.splitn(2, |byte| *byte == b':');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
            if name.eq_ignore_ascii_case(b"host") {
                known.host = text(value.trim_ascii()).to_ascii_lowercase();
            } else if name.eq_ignore_ascii_case(b"user-agent") {
                known.user_agent = Some(text(value.trim_ascii()));
            }
        }
        known
    }

    /// Out of a parsed head.
    pub fn of(parts: &request::Parts) -> Self {
        let field = |headers: &HeaderMap, name| headers.get(name).map(|value| text(value.as_bytes()));
        let authority = parts.uri.authority().map(|authority| text(authority.as_str().as_bytes()));
        Self {
            method: Some(parts.method.clone()),
            target: parts.uri.path_and_query().map(|t| text(t.as_str().as_bytes())).unwrap_or_default(),
            host: authority.or_else(|| field(&parts.headers, HOST)).unwrap_or_default().to_ascii_lowercase(),
            user_agent: field(&parts.headers, USER_AGENT),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..LONGEST).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_there_is() {
        let known = Known::from_http1(b"POST /x?y HTTP/1.1\r\nHost: A.com\r\nUser-Agent: u \r\n\r\nhost: b");
        assert_eq!((known.method, &*known.target, &*known.host), (Some(Method::POST), "/x?y", "a.com"));
        assert_eq!(known.user_agent.as_deref(), Some("u"));
        for bytes in
            [&b""[..], b"\r\n", b"\xff", b" ", b"GE", b"GET", b"GET ", b"GET /\r\nHost", b"\0 \0\n:\n"]
        {
            let _ = Known::from_http1(bytes);
        }
        let long = Known::from_http1(format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)).as_bytes());
        assert_eq!(long.target.len(), LONGEST);
    }
}
