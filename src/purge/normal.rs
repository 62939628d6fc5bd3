//! The normal form in which purges and entries name a URL: RFC 3986 §6.2.2 (case, percent-encoding, dot segments)
//! and §6.2.3 (scheme: empty path, default port). Only selectors use it; keys of entries stay raw. Two URLs that
//! differ in the raw but agree here are purged together, which is the safe direction.
//!
//! An IRI is converted first (RFC 3987 §3.1): what is not ASCII is percent-encoded as UTF-8. Host names that are not
//! ASCII are refused, because their conversion (IDNA) is the caller's choice.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// Why a text doesn't name a URL, a host or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadUrl {
    #[error("a URL needs a scheme, http or https")]
    Scheme,
    #[error(
        "no host, or characters that a host name can't have (write international names in their xn-- form)"
    )]
    Host,
    #[error("the port is no number from 1 to 65535")]
    Port,
    #[error("a prefix is host/path, without scheme, query or fragment")]
    Prefix,
}

impl BadUrl {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Port => "port",
            Self::Prefix => "prefix",
        }
    }
}

/// A URL in normal form, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: &'static str,
    host: String,
    /// Only where it is not the scheme's default.
    port: Option<u16>,
    path: String,
    query: Option<String>,
}

impl Target {
    /// From the parts of a request; `authority` is `host` or `host:port`. The scheme is `http` or `https`, in any case.
    pub fn new(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> Result<Self, BadUrl> {
        let (scheme, default_port) = known_scheme(scheme)?;
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.filter(|port| *port != default_port),
            path: normal_path(path),
            query: query.map(|query| percent(query, is_query)),
        })
    }

    /// From an absolute URL or IRI. A fragment and user information are dropped.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(BadUrl::Scheme)?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match target.split_once('?') {
            Some((path, query)) => Self::new(scheme, authority, path, Some(query)),
            None => Self::new(scheme, authority, target, None),
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// What follows the first `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// With another query, which is brought into normal form.
    #[must_use]
    pub fn with_query(&self, query: Option<&str>) -> Self {
        Self { query: query.map(|query| percent(query, is_query)), ..self.clone() }
    }

    /// `//authority/path?query`.
    pub fn without_scheme(&self) -> String {
        self.url().split_off(self.scheme.len() + 1)
    }

    /// `host`, without port; IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `host`, or `host:port` where the port is not the scheme's default.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Always begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `scheme://authority` (RFC 6454).
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// `scheme://authority/path?query`. An empty query is not the same as none (RFC 3986 §6.2.3).
    pub fn url(&self) -> String {
        let mut url = self.origin();
        url.push_str(&self.path);
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }
}

/// A host, or a host with a port, as a purge names it without a scheme. Ports 80 and 443 are dropped: without the
/// scheme nobody can say whether they are the default, and a host without port stands for all of its ports.
pub fn schemeless_authority(text: &str) -> Result<String, BadUrl> {
    let (host, port) = split_authority(text)?;
    Ok(match port.filter(|port| !matches!(port, 80 | 443)) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// `host/path` in normal form, without a slash at the end: `h/blog/` means the same as `h/blog`, and `h/` is `h`.
pub fn prefix(text: &str) -> Result<String, BadUrl> {
    if text.contains("://") || text.contains(['?', '#']) {
        return Err(BadUrl::Prefix);
    }
    let (authority, path) =
        text.split_at_checked(text.find('/').unwrap_or(text.len())).ok_or(BadUrl::Prefix)?;
    let mut prefix = schemeless_authority(authority)?;
    prefix.push_str(normal_path(path).trim_end_matches('/'));
    Ok(prefix)
}

/// RFC 3986 §6.2.2.1: scheme and host are case-insensitive.
fn known_scheme(scheme: &str) -> Result<(&'static str, u16), BadUrl> {
    if scheme.eq_ignore_ascii_case("https") {
        Ok(("https", 443))
    } else if scheme.eq_ignore_ascii_case("http") {
        Ok(("http", 80))
    } else {
        Err(BadUrl::Scheme)
    }
}

/// RFC 3986 §3.2. A dot at the end of a host name names the same host, and is dropped.
fn split_authority(authority: &str) -> Result<(String, Option<u16>), BadUrl> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    if let Some(literal) = authority.strip_prefix('[') {
        let (address, rest) = literal.split_once(']').ok_or(BadUrl::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| BadUrl::Host)?;
        let port = match rest {
            "" => None,
            _ => parse_port(rest.strip_prefix(':').ok_or(BadUrl::Host)?)?,
        };
        return Ok((format!("[{address}]"), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (authority, None),
    };
    if !host.bytes().all(|b| b == b'%' || is_unreserved(b) || is_sub_delim(b)) {
        return Err(BadUrl::Host);
    }
    let mut host = percent(host, |b| is_unreserved(b) || is_sub_delim(b));
    host.make_ascii_lowercase();
    // After decoding: `a%2e` is `a.`, which is `a`. A second dot would be an empty label.
    let name = host.strip_suffix('.').unwrap_or(&host);
    if name.is_empty() || name.ends_with('.') {
        return Err(BadUrl::Host);
    }
    Ok((name.to_owned(), port))
}

/// RFC 3986 §3.2.3 allows an empty port, which is none.
fn parse_port(digits: &str) -> Result<Option<u16>, BadUrl> {
    match digits {
        "" => Ok(None),
        _ if !digits.bytes().all(|b| b.is_ascii_digit()) => Err(BadUrl::Port),
        _ => digits.parse().ok().filter(|port| *port != 0).map(Some).ok_or(BadUrl::Port),
    }
}

/// Percent-encoding first, so that `%2e%2e` is seen as the dot segment it is; then §5.2.4, then §6.2.3: an empty
/// path is `/`.
fn normal_path(path: &str) -> String {
    remove_dot_segments(&percent(path, is_path))
}

fn remove_dot_segments(path: &str) -> String {
    if path.starts_with('/') && !path.contains("/.") {
        return path.to_owned(); // as nearly all are
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A dot segment at the end leaves the slash before it.
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}

/// RFC 3986 §6.2.2.1, §6.2.2.2: escapes in upper case, unreserved characters not escaped; and what may not stand in a
/// URI at all (spaces, quotes, `%` without digits, anything beyond ASCII) is escaped, as RFC 3987 §3.1 does.
fn percent(text: &str, allowed: fn(u8) -> bool) -> String {
    if text.bytes().all(|byte| byte != b'%' && allowed(byte)) {
        return text.to_owned(); // as nearly all are
    }
    let mut normal = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let (byte, escaped) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high << 4 | low, true)
                }
                _ => (byte, false),
            },
            _ => (byte, false),
        };
        if is_unreserved(byte) || (!escaped && allowed(byte)) {
            normal.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(normal, "%{byte:02X}");
        }
    }
    normal
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 §2.3.
const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §2.2.
const fn is_sub_delim(b: u8) -> bool {
    matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 3986 §3.3: `pchar` and the slash.
fn is_path(b: u8) -> bool {
    is_sub_delim(b) || matches!(b, b':' | b'@' | b'/')
}

/// RFC 3986 §3.4.
fn is_query(b: u8) -> bool {
    is_path(b) || b == b'?'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> String {
        Target::parse(text).map_or_else(|e| e.as_str().to_owned(), |t| t.url())
    }

    #[test]
    fn a_dot_at_the_end_of_a_host_is_none_and_two_are_wrong() {
        let host = |url: &str| Target::parse(url).map(|t| t.host().to_owned());
        assert_eq!(host("http://a./"), Ok("a".into()));
        assert_eq!(host("http://A%2e/"), Ok("a".into()));
        for bad in ["http://../", "http://a../", "http://./", "http://a%2e./"] {
            assert_eq!(host(bad), Err(BadUrl::Host), "{bad}");
        }
    }

    #[test]
    fn rfc3986_6_2_equivalent_urls_have_one_normal_form() {
        let table = [
            // The examples of the invalidation draft.
            ("HTTPS://www.example.com:443/fo%6f/bar", "https://www.example.com/foo/bar"),
            ("https://www.example.com/../foo/bar", "https://www.example.com/foo/bar"),
            ("https://www.example.com/foo/bar/", "https://www.example.com/foo/bar/"),
            ("https://www.example.com/foo/bar?", "https://www.example.com/foo/bar?"),
            ("https://www.example.com/foo/bar?x", "https://www.example.com/foo/bar?x"),
            ("https://www.example.com/Foo/bar", "https://www.example.com/Foo/bar"),
            // §6.2.2.1 and §6.2.2.2.
            ("http://EXAMPLE.com/%7Esmith/%3a%2f", "http://example.com/~smith/%3A%2F"),
            ("http://e/%zz%4", "http://e/%25zz%254"),
            ("http://e/a b\"<ü>", "http://e/a%20b%22%3C%C3%BC%3E"),
            ("http://e/?q=[a]%5bb%5D&x=%41/?", "http://e/?q=%5Ba%5D%5Bb%5D&x=A/?"),
            // §6.2.2.3 and §5.2.4.
            ("http://e/a/./b/../c", "http://e/a/c"),
            ("http://e/a/%2E%2e/b", "http://e/b"),
            ("http://e/a/b/..", "http://e/a/"),
            ("http://e/a/.", "http://e/a/"),
            ("http://e/..", "http://e/"),
            ("http://e/a//../b", "http://e/a/b"),
            ("http://e/a//b", "http://e/a//b"),
            ("http://e/...", "http://e/..."),
            // §6.2.3.
            ("http://e", "http://e/"),
            ("http://e?q", "http://e/?q"),
            ("http://e:80/", "http://e/"),
            ("http://e:/", "http://e/"),
            ("http://e:443/", "http://e:443/"),
            ("https://e:0080/", "https://e:80/"),
            ("http://user:pw@e./#f", "http://e/"),
            ("http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ];
        for (given, normal) in table {
            assert_eq!(url(given), normal, "{given}");
            assert_eq!(url(normal), normal, "normal forms are fixed points: {normal}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let table = [
            ("", "scheme"),
            ("/path", "scheme"),
            ("//host/path", "scheme"),
            ("ftp://e/", "scheme"),
            ("http:///path", "host"),
            ("http://?q", "host"),
            ("http://:80/", "host"),
            ("http://ex ample/", "host"),
            ("http://münchen.example/", "host"),
            ("http://[::1/", "host"),
            ("http://[::1]x/", "host"),
            ("http://e:x/", "port"),
            ("http://e:0/", "port"),
            ("http://e:65536/", "port"),
            ("http://1:2:3/", "port"),
        ];
        for (given, reason) in table {
            assert_eq!(url(given), reason, "{given}");
        }
    }

    #[test]
    fn prefixes_end_at_a_boundary_and_have_no_scheme() {
        let table = [
            ("shop.example.com/blog", Ok("shop.example.com/blog")),
            ("Shop.example.com:443/blog/", Ok("shop.example.com/blog")),
            ("shop.example.com:8080/b%6Cog//", Ok("shop.example.com:8080/blog")),
            ("shop.example.com/", Ok("shop.example.com")),
            ("shop.example.com", Ok("shop.example.com")),
            ("shop.example.com/a/../b", Ok("shop.example.com/b")),
            ("https://shop.example.com/blog", Err(BadUrl::Prefix)),
            ("shop.example.com/blog?x", Err(BadUrl::Prefix)),
            ("/blog", Err(BadUrl::Host)),
            ("", Err(BadUrl::Host)),
        ];
        for (given, wanted) in table {
            assert_eq!(prefix(given), wanted.map(str::to_owned), "{given}");
        }
    }

    proptest! {
        /// Whatever stands in a URL: no panic, and normalising twice changes nothing more.
        #[test]
        fn normal_forms_are_fixed_points(text in "(https?://)?[a-zA-Z0-9.:\\[\\]@%/?#\"ü .]{0,40}") {
            if let Ok(target) = Target::parse(&text) {
                let normal = target.url();
                prop_assert_eq!(Target::parse(&normal).map(|again| again.url()), Ok(normal));
            }
            if let Ok(normal) = prefix(&text) {
                prop_assert_eq!(prefix(&normal), Ok(normal));
            }
        }

        #[test]
        fn nothing_that_comes_from_the_network_makes_it_panic(text in ".{0,60}") {
            let _ = (Target::parse(&text), prefix(&text), schemeless_authority(&text));
            let _ = Target::new("http", &text, &text, Some(&text));
        }
    }
}
