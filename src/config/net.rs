//! Values about the network: addresses, CIDRs, hosts, URLs, header names.

use super::report::Class;
use super::scalar::{Refusal, Scalar, Single, text_schema};
use crate::engine::rules::glob::HostGlob;
use http::{HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Debug)]
pub struct Address;
impl Single for Address {}

impl Scalar<SocketAddr> for Address {
    fn what() -> String {
        "an address (`127.0.0.1:8080`, `[::1]:8080`)".into()
    }
    fn parse(text: &str) -> Result<SocketAddr, Refusal> {
        text.parse().map_err(|_| {
            let refusal = Refusal::new(format!("`{text}` is no address to listen on"));
            match text.rsplit_once(':') {
                Some(("" | "*", port)) => refusal.help(format!(
                    "every interface: `0.0.0.0:{port}`, this machine only: `127.0.0.1:{port}`"
                )),
                Some(("localhost", port)) => refusal.help(format!("`127.0.0.1:{port}` or `[::1]:{port}`")),
                None if text.parse::<IpAddr>().is_ok() => {
                    refusal.help("add the port: `127.0.0.1:8080`, `[::1]:8080`")
                }
                _ => refusal.help("an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`"),
            }
        })
    }
    fn show(value: &SocketAddr) -> Json {
        json!(value.to_string())
    }
    fn schema() -> Json {
        text_schema(".+:[0-9]+")
    }
}

/// `10.0.0.0/8`; an address alone is that address.
#[derive(Debug)]
pub struct Cidr;
impl Single for Cidr {}

impl Scalar<IpNet> for Cidr {
    fn what() -> String {
        "a range of addresses (`10.0.0.0/8`)".into()
    }
    fn parse(text: &str) -> Result<IpNet, Refusal> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| net.trunc()).map_err(|_| {
            Refusal::new(format!("`{text}` is no range of addresses"))
                .help("`10.0.0.0/8`, `fd00::/8`, or one address `10.1.2.3`")
        })
    }
    fn show(value: &IpNet) -> Json {
        json!(value.to_string())
    }
    fn schema() -> Json {
        text_schema("[0-9a-fA-F.:]+(/[0-9]+)?")
    }
}

/// A host pattern.
#[derive(Debug)]
pub struct HostPattern;
impl Single for HostPattern {}

impl Scalar<HostGlob> for HostPattern {
    fn what() -> String {
        "a host (`shop.example.com`, `*.example.com`)".into()
    }
    fn parse(text: &str) -> Result<HostGlob, Refusal> {
        if !text.is_ascii() {
            return Err(Refusal::new(format!("`{text}` is no host as it travels"))
                .help("write it in its `xn--` form"));
        }
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split('/').next().unwrap_or_default();
            return Err(Refusal::new(format!("`{text}` is no host"))
                .help(format!("without scheme and path: `{host}`")));
        }
        HostGlob::new(text).map_err(|e| super::matching::glob_refusal(text, &e))
    }
    fn show(value: &HostGlob) -> Json {
        json!(value.source())
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// One server of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The built-in sample origin.
    Demo,
    Url {
        tls: bool,
        /// Without brackets, if it is an IPv6 address.
        host: Arc<str>,
        port: u16,
    },
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo => f.write_str("demo"),
            Self::Url { tls, host, port } => {
                let (scheme, default) = if *tls { ("https", 443) } else { ("http", 80) };
                let brackets = host.contains(':');
                let (open, close) = if brackets { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}")?;
                if *port == default { Ok(()) } else { write!(f, ":{port}") }
            }
        }
    }
}

#[derive(Debug)]
pub struct UpstreamUrl;
impl Single for UpstreamUrl {}

impl Scalar<Upstream> for UpstreamUrl {
    fn what() -> String {
        "a server (`http://127.0.0.1:3000`, or `demo`)".into()
    }
    fn parse(text: &str) -> Result<Upstream, Refusal> {
        if text == "demo" {
            return Ok(Upstream::Demo);
        }
        let refusal = |why: &str| Refusal::new(format!("`{text}` is no server: {why}"));
        let example = "`http://127.0.0.1:3000`, `https://app.internal`, or the word `demo`";
        let uri: Uri = text.parse().map_err(|_| refusal("it is no URL").help(example))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(refusal("only http and https are spoken").help(example)),
            None => return Err(refusal("it has no scheme").help(format!("write `http://{text}`"))),
        };
        let authority = uri.authority().ok_or_else(|| refusal("it has no host").help(example))?;
        if authority.as_str().contains('@') {
            let help = "set the `Authorization` header in a rule's `request_headers`";
            let refusal =
                Refusal::new("a server's URL has no place for a user name and a password").help(help);
            return Err(Refusal { secret: true, ..refusal });
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(
                refusal("it has a path").help("a path goes into a rule: `rewrite: { prefix: /path }`")
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // `Authority::port` takes a port that is no number for none.
        let port = match authority.as_str().strip_prefix(authority.host()).and_then(|p| p.strip_prefix(':')) {
            Some(port) => port.parse().ok().filter(|p| *p > 0),
            None => Some(if tls { 443 } else { 80 }),
        };
        let port = port.ok_or_else(|| refusal("its port is no number from 1 to 65535").help(example))?;
        if host.is_empty() {
            return Err(refusal("it has no host").help(example));
        }
        Ok(Upstream::Url { tls, host: Arc::from(host), port })
    }
    fn show(value: &Upstream) -> Json {
        json!(value.to_string())
    }
    fn schema() -> Json {
        text_schema("demo|https?://[^/]+/?")
    }
}

/// The `Host` that an origin sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// That of the server's URL.
    Server,
    Literal(HeaderValue),
}

#[derive(Debug)]
pub struct HostHeaderWord;
impl Single for HostHeaderWord {}

impl Scalar<HostHeader> for HostHeaderWord {
    fn what() -> String {
        "`preserve`, `server` or a host".into()
    }
    fn parse(text: &str) -> Result<HostHeader, Refusal> {
        match text {
            "preserve" => return Ok(HostHeader::Preserve),
            "server" => return Ok(HostHeader::Server),
            _ => {}
        }
        let is_host = HostGlob::new(text).is_ok_and(|h| h.exact().is_some());
        match HeaderValue::from_str(text) {
            Ok(value) if is_host => Ok(HostHeader::Literal(value)),
            _ => {
                let refusal = Refusal::new(format!("`{text}` is no host"));
                Err(refusal.help(
                    "`preserve` (the client's), `server` (that of the URL), or a host: `shop.example.com`",
                ))
            }
        }
    }
    fn show(value: &HostHeader) -> Json {
        match value {
            HostHeader::Preserve => json!("preserve"),
            HostHeader::Server => json!("server"),
            HostHeader::Literal(host) => json!(host.to_str().unwrap_or_default()),
        }
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// A path as it goes into a request: `/healthz?full=1`.
#[derive(Debug)]
pub struct UrlPath;
impl Single for UrlPath {}

impl Scalar<String> for UrlPath {
    fn what() -> String {
        "a path (`/healthz`)".into()
    }
    fn parse(text: &str) -> Result<String, Refusal> {
        if !text.starts_with('/') {
            return Err(Refusal::new(format!("`{text}` is no path"))
                .help(format!("a path starts with `/`: `/{text}`")));
        }
        match text.parse::<http::uri::PathAndQuery>() {
            Ok(_) if text.len() <= 1024 => Ok(text.to_owned()),
            _ => {
                Err(Refusal::new(format!("`{text}` is no path"))
                    .help("percent-encode what a URL can't carry"))
            }
        }
    }
    fn show(value: &String) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        text_schema("/.*")
    }
}

/// An HTTP(S) URL of another service, kept as text.
#[derive(Debug)]
pub struct ServiceUrl;
impl Single for ServiceUrl {}

impl Scalar<String> for ServiceUrl {
    fn what() -> String {
        "a URL (`http://127.0.0.1:4317`)".into()
    }
    fn parse(text: &str) -> Result<String, Refusal> {
        let uri = text.parse::<Uri>().ok();
        let good =
            uri.is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some());
        // It is shown in logs and listings.
        if text.contains('@') {
            return Err(
                Refusal::new("a URL with a user or a password").help("put them into `tracing.headers`")
            );
        }
        match good {
            true => Ok(text.to_owned()),
            false => Err(Refusal::new(format!("`{text}` is no URL")).help("`http://127.0.0.1:4317`")),
        }
    }
    fn show(value: &String) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        text_schema("https?://.+")
    }
}

/// Where the shared tier is. May hold a password: `Debug` and `check --print` blank it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL, with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn blanked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return super::scalar::BLANK.to_owned() };
        match rest.rsplit_once('@') {
            Some((_, hosts)) => format!("{scheme}://{}@{hosts}", super::scalar::BLANK),
            None => self.0.clone(),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({})", self.blanked())
    }
}

#[derive(Debug)]
pub struct RedisUrlText;
impl Single for RedisUrlText {}

impl Scalar<RedisUrl> for RedisUrlText {
    const SECRET: bool = true;
    fn what() -> String {
        "a URL (`redis://127.0.0.1:6379`)".into()
    }
    fn parse(text: &str) -> Result<RedisUrl, Refusal> {
        let help =
            "`redis://h:6379`, `rediss://h`, `redis+cluster://h1,h2,h3`, `redis+sentinel://h1,h2/name`";
        let refusal = |why: &str| Err(Refusal::new(format!("no address of a Redis: {why}")).help(help));
        let Some((scheme, rest)) = text.split_once("://") else { return refusal("it has no scheme") };
        let rest = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return refusal("a host is empty");
        }
        match scheme {
            "redis" | "rediss" if hosts.len() > 1 => refusal("several hosts are a cluster or sentinels"),
            "redis+sentinel" | "rediss+sentinel" if path.is_empty() => {
                refusal("sentinels need the master's name")
            }
            "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "redis+sentinel"
            | "rediss+sentinel" => Ok(RedisUrl(text.to_owned())),
            _ => refusal("its scheme is not known here"),
        }
    }
    fn show(value: &RedisUrl) -> Json {
        json!(value.blanked())
    }
    fn schema() -> Json {
        text_schema("rediss?(\\+cluster|\\+sentinel)?://.+")
    }
}

/// The name of a header.
#[derive(Debug)]
pub struct Header;
impl Single for Header {}

impl Scalar<HeaderName> for Header {
    fn what() -> String {
        "the name of a header".into()
    }
    fn parse(text: &str) -> Result<HeaderName, Refusal> {
        HeaderName::try_from(text).map_err(|_| {
            let refusal = Refusal::new(format!("`{text}` is no name of a header"));
            match text.split_once(':') {
                Some((name, _)) => refusal.help(format!("only the name: `{name}`")),
                None => refusal.help("letters, digits and `-`, as in `X-Tenant`"),
            }
        })
    }
    fn show(value: &HeaderName) -> Json {
        json!(value.as_str())
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// The name of a header that a rule may set or remove: not one that the proxy needs to frame messages and to
/// speak for itself.
#[derive(Debug)]
pub struct EditableHeader;
impl Single for EditableHeader {}

impl Scalar<HeaderName> for EditableHeader {
    fn what() -> String {
        <Header as Scalar<HeaderName>>::what()
    }
    fn parse(text: &str) -> Result<HeaderName, Refusal> {
        let name = Header::parse(text)?;
        let refused = match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding"
            | "upgrade" | "content-length" => {
                "it belongs to the connection (RFC 9110 §7.6.1), not to the message"
            }
            "host" => "set `host_header` at the origin instead",
            "age" | "cache-status" | "via" | "proxy-status" | "cdn-loop" => {
                "the proxy itself speaks through it"
            }
            _ => return Ok(name),
        };
        let class = Class::Conflict;
        Err(Refusal { class, ..Refusal::new(format!("`{text}` can't be edited")) }.help(refused))
    }
    fn show(value: &HeaderName) -> Json {
        Header::show(value)
    }
    fn schema() -> Json {
        <Header as Scalar<HeaderName>>::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let show = |text| UpstreamUrl::parse(text).map(|u| u.to_string()).map_err(|e| e.message);
        for (text, shown) in [
            ("demo", "demo"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("https://app.internal/", "https://app.internal"),
            ("https://app.internal:443", "https://app.internal"),
            ("http://[::1]:81", "http://[::1]:81"),
        ] {
            assert_eq!(show(text).unwrap(), shown);
        }
        for text in [
            "",
            "app",
            "app:3000",
            "ftp://x",
            "http://",
            "http:///x",
            "http://u:p@h",
            "http://h/x",
            "http://h?x",
            "http://h:0",
            "http://h:99999",
            "http://h:x",
            "unix:/x",
        ] {
            assert!(show(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_of_the_shared_tier_is_blanked() {
        let url = RedisUrlText::parse("rediss://user:p@ss@h:6379/0").unwrap();
        assert_eq!(format!("{url:?}"), "RedisUrl(rediss://***@h:6379/0)");
        for text in
            ["h:6379", "http://h", "redis://", "redis://a,b", "redis+cluster://a,,b", "redis+sentinel://a,b"]
        {
            assert!(RedisUrlText::parse(text).is_err(), "{text}");
        }
        assert!(RedisUrlText::parse("redis+sentinel://a,b/main").is_ok());
    }
}
