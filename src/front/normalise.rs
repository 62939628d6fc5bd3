//! From a request as a client sent it to the one form that is matched, keyed and forwarded.
//!
//! A cache is poisoned where what is keyed differs from what the origin acts on. So everything that could
//! make an origin answer differently is settled here, before any decision: which host, which scheme, which
//! client, and which fields a client may not set at all. Pure but for the random request id.
//!
//! The order matters. `Connection` is obeyed first, on the client's own message (RFC 9110 §7.6.1), and our
//! fields are added afterwards, so that `Connection: X-Forwarded-For` cannot remove what we say.
//!
//! * Host and absolute-form: RFC 9112 §3.2, RFC 9113 §8.3.1; scheme: RFC 9110 §7.4; 421: RFC 9110 §15.5.20
//! * `Via`: RFC 9110 §7.6.3; `Max-Forwards`: §7.6.2; `CDN-Loop`: RFC 8586; `Forwarded`: RFC 7239
//! * attacks: design page "standards", §8.1, §8.3, §8.5

pub mod forwarded;
pub mod host;
pub mod spoofable;
#[cfg(test)]
mod tests;

use super::handler::Conn;
use super::refusal::Refusal;
use super::request_id::new_request_id;
use crate::access::sessions;
use crate::engine::fast::Plain;
use crate::engine::rules::glob::{Host, HostGlob};
use crate::semantics::hop;
use forwarded::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};
use ipnet::IpNet;
use std::net::IpAddr;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// A request id from outside goes into logs and the origin's: this long at most.
const REQUEST_ID_MAX: usize = 128;

/// The scheme of a request, as the client used it towards the outermost trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `ws` and `wss` are what some proxies say of a WebSocket handshake; it is an HTTP request.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("http") || text.eq_ignore_ascii_case("ws") {
            Some(Self::Http)
        } else if text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("wss") {
            Some(Self::Https)
        } else {
            None
        }
    }

    const fn of(conn: &Conn) -> Self {
        if conn.tls { Self::Https } else { Self::Http }
    }
}

/// What of the configuration this needs (`server.*`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// A token; our name in `Via` and `CDN-Loop`.
    pub server_name: String,
    /// A token, different for every running node: tells a loop from two of us in a row.
    pub node_id: String,
    /// `server.hosts`; empty: every host is served.
    pub hosts: Vec<HostGlob>,
}

impl Settings {
    /// Whether what this peer says of others is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        forwarded::contains(&self.trusted_proxies, peer)
    }
}

/// A request in normal form.
#[derive(Clone, Debug)]
pub struct Normal {
    pub method: Method,
    /// What a trusted proxy says it was, else the connection's.
    pub scheme: Scheme,
    /// Lower-case, without default port and trailing dot; with any other port.
    pub host: String,
    /// The same as it was sent, or told by a trusted proxy.
    pub asked_host: String,
    /// As sent, byte by byte; at least `/`; `*` for `OPTIONS *`.
    pub path: String,
    /// As sent, without the question mark. `Some("")` for a bare one.
    pub query: Option<String>,
    /// Of the message as received.
    pub version: Version,
    /// To be forwarded: hop-by-hop fields removed, `Host`, `Via`, `CDN-Loop`, `X-Request-Id`, `Forwarded`
    /// and `X-Forwarded-For/-Proto/-Host` ours. `TE` is absent or `trailers`; towards HTTP/1.1 it needs a
    /// `Connection: TE` beside it.
    pub headers: HeaderMap,
    /// The right-most address that is no trusted proxy.
    pub client: IpAddr,
    /// The peer is a trusted proxy.
    pub trusted_peer: bool,
    pub request_id: String,
    /// `Connection` named a field that selects or authorises a response: neither looked up nor stored.
    pub connection_named_end_to_end: bool,
    /// The protocol asked for, when this is a real upgrade request (RFC 9110 §7.8).
    pub upgrade: Option<HeaderValue>,
    /// An untrusted peer sent `Forwarded`, `X-Forwarded-For` or `Via`: it relays for somebody unknown, so
    /// its address never qualifies for `purge_from` (ruling 1).
    pub forwarded_for_untrusted: bool,
    /// As received, on OPTIONS only. Zero: the caller answers instead of forwarding. Otherwise the
    /// forwarded headers hold one less.
    pub max_forwards: Option<u32>,
}

/// Brings a request into normal form, or says why it is none that can be served.
///
/// # Errors
/// `MethodNotAllowed` (CONNECT, TRACE), `BadTarget`, `FragmentInTarget`, `SchemeMismatch`, `MissingHost`,
/// `RepeatedHost`, `BadHost`, `UnknownHost`, `Misdirected` (TLS was set up for another host), `LoopDetected`.
pub fn normalise(parts: request::Parts, conn: &Conn, settings: &Settings) -> Result<Normal, Refusal> {
    let request::Parts { method, uri, version, mut headers, .. } = parts;
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Refusal::MethodNotAllowed);
    }
    let target = uri.path_and_query().map_or("/", |p| p.as_str());
    check_target(target, &method)?;

    // Everything that `Connection` may name is read before `Connection` is obeyed.
    let peer = conn.peer.ip().to_canonical();
    let trusted_peer = settings.trusts(peer);
    let relayed = [header::FORWARDED, X_FORWARDED_FOR, header::VIA].iter().any(|n| headers.contains_key(n));
    let upgrade = upgrade_of(&method, version, &headers);
    let te_trailers = accepts_trailers(&headers);
    let sent_host = sent_host(&uri, version, &headers, conn)?;
    let connection_named_end_to_end = hop::strip(&mut headers);

    let claims = if trusted_peer {
        forwarded::resolve(&headers, peer, &settings.trusted_proxies)
    } else {
        forwarded::Claims { client: peer, scheme: None, host: None }
    };
    let scheme = claims.scheme.unwrap_or(Scheme::of(conn));
    check_scheme(&uri, scheme, conn)?;
    let asked_host = claims.host.unwrap_or(sent_host);
    let host = host::canonical(&asked_host, scheme).ok_or(Refusal::BadHost)?;
    check_host(&host, scheme, conn, trusted_peer, settings)?;
    check_loop(&headers, settings)?;

    let request_id =
        trusted_peer.then(|| given_request_id(&headers)).flatten().unwrap_or_else(new_request_id);
    let max_forwards = max_forwards(&method, &mut headers);
    spoofable::remove(&mut headers, trusted_peer);
    sessions::strip(&mut headers);
    let facts = Facts { scheme, host: &host, peer, client: claims.client, trusted_peer, version };
    set_ours(&mut headers, &facts, &request_id, settings)?;
    if te_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }

    Ok(Normal {
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        client: claims.client,
        forwarded_for_untrusted: relayed && !trusted_peer,
        method,
        scheme,
        host,
        asked_host,
        version,
        headers,
        trusted_peer,
        request_id,
        connection_named_end_to_end,
        upgrade,
        max_forwards,
    })
}

/// Whether a request target (path and query) is one we serve. The path is opaque otherwise: `%2f`, `%zz`,
/// `\` and `//` are kept, keyed and forwarded as they are.
///
/// # Errors
/// `FragmentInTarget`; `BadTarget`: white space, control or non-ASCII characters, `%00` in the path, no leading
/// `/` (but `*` for OPTIONS, RFC 9112 §3.2.4).
pub fn check_target(target: &str, method: &Method) -> Result<(), Refusal> {
    if target.contains('#') {
        return Err(Refusal::FragmentInTarget);
    }
    let printable = target.bytes().all(|b| (0x21..=0x7e).contains(&b));
    let rooted = target.starts_with('/') || (target == "*" && *method == Method::OPTIONS);
    let path = target.split('?').next().unwrap_or_default();
    if printable && rooted && !path.contains("%00") { Ok(()) } else { Err(Refusal::BadTarget) }
}

/// The host of a GET in normal form, if target and host are ones that we serve. What of [`normalise`] concerns a plain request's place;
/// whether a connection may ask for the host is for the caller to see.
pub(super) fn plain_host(plain: &Plain<'_>, settings: &Settings) -> Option<String> {
    check_target(std::str::from_utf8(plain.target).ok()?, &Method::GET).ok()?;
    let scheme = if plain.tls { Scheme::Https } else { Scheme::Http };
    let host = host::canonical(std::str::from_utf8(plain.host).ok()?, scheme)?;
    is_served(&host, scheme, settings).then_some(host)
}

/// The host of the message itself. The target's authority replaces `Host` (RFC 9112 §3.2.2, RFC 9113
/// §8.3.1). An HTTP/1.0 client that sends none means the address it connected to.
fn sent_host(uri: &http::Uri, version: Version, headers: &HeaderMap, conn: &Conn) -> Result<String, Refusal> {
    let mut lines = headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::RepeatedHost);
    }
    if let Some(authority) = uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    match host.map(HeaderValue::to_str) {
        Some(Ok(host)) if !host.is_empty() => Ok(host.to_owned()),
        None | Some(Ok(_)) if version < Version::HTTP_11 => Ok(conn.local.to_string()),
        None => Err(Refusal::MissingHost),
        Some(_) => Err(Refusal::BadHost),
    }
}

/// A target that names its scheme must name the one it came by (RFC 9110 §7.4): the connection's, or what
/// a trusted proxy vouches for.
fn check_scheme(uri: &http::Uri, effective: Scheme, conn: &Conn) -> Result<(), Refusal> {
    match uri.scheme_str() {
        None => Ok(()),
        Some(given) if given.eq_ignore_ascii_case(effective.as_str()) => Ok(()),
        Some(given) if given.eq_ignore_ascii_case(Scheme::of(conn).as_str()) => Ok(()),
        Some(_) => Err(Refusal::SchemeMismatch),
    }
}

/// Where hosts are listed, another one is not ours, and a host other than the one TLS was set up for may be
/// protected by another certificate. A trusted proxy sets up TLS for itself, so it is not asked.
fn check_host(
    host: &str,
    scheme: Scheme,
    conn: &Conn,
    trusted_peer: bool,
    settings: &Settings,
) -> Result<(), Refusal> {
    if settings.hosts.is_empty() {
        return Ok(());
    }
    if !is_served(host, scheme, settings) {
        return Err(Refusal::UnknownHost);
    }
    if trusted_peer || is_for(conn, host) { Ok(()) } else { Err(Refusal::Misdirected) }
}

/// Whether it is among the hosts that are listed, if any are.
fn is_served(host: &str, scheme: Scheme, settings: &Settings) -> bool {
    let asked = Host::new(host, scheme.as_str());
    settings.hosts.is_empty() || settings.hosts.iter().any(|glob| glob.matches(&asked))
}

/// Whether TLS was set up for this host, as far as the client has said.
pub fn is_for(conn: &Conn, host: &str) -> bool {
    let name = host::name_of(host);
    conn.sni.as_ref().is_none_or(|sni| name.eq_ignore_ascii_case(sni.trim_end_matches('.')))
}

/// RFC 8586. Each node adds `name;id=node`. Two larders in a row are a normal thing (an edge and a shield),
/// the same node twice is a loop. The field comes from outside: one that can't be read proves no loop.
fn check_loop(headers: &HeaderMap, settings: &Settings) -> Result<(), Refusal> {
    let ours = |info: &str| {
        let mut parts = info.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(&settings.server_name))
            && parts.any(|parameter| {
                parameter.split_once('=').is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("id") && value.trim_matches('"') == settings.node_id
                })
            })
    };
    let seen = headers.get_all(CDN_LOOP).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    if seen.into_iter().any(ours) { Err(Refusal::LoopDetected) } else { Ok(()) }
}

/// GET over HTTP/1.1 with `Connection: upgrade` and one `Upgrade` field, without a body. `h2c` is not one:
/// RFC 9113 §3.1 took it away, and tunnelled to an origin it carries requests past every check here.
fn upgrade_of(method: &Method, version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let named = || {
        let lines = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
        lines.flat_map(|v| v.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
    };
    if *method != Method::GET || version != Version::HTTP_11 || !named() {
        return None;
    }
    let body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|v| v != "0");
    let mut lines = headers.get_all(header::UPGRADE).iter();
    let value = lines.next()?;
    let text = value.to_str().ok()?;
    let h2c = text.split(',').any(|p| p.trim().eq_ignore_ascii_case("h2c"));
    (!body && !h2c && !text.is_empty() && lines.next().is_none()).then(|| value.clone())
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|v| v.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// What a trusted peer calls the request, when that is one short word.
pub fn given_request_id(headers: &impl forwarded::Fields) -> Option<String> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let mut lines = 0;
    let mut given = None;
    headers.each(&X_REQUEST_ID, &mut |line| {
        lines += 1;
        given = Some(line).filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(word));
    });
    let id = given.filter(|_| lines == 1)?;
    std::str::from_utf8(id).ok().map(str::to_owned)
}

/// RFC 9110 §7.6.2: counted down on OPTIONS (TRACE is never forwarded), ignored on everything else. One that
/// is no number is left alone.
fn max_forwards(method: &Method, headers: &mut HeaderMap) -> Option<u32> {
    if *method != Method::OPTIONS {
        return None;
    }
    let text = headers.get(header::MAX_FORWARDS)?.to_str().ok()?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let left: u32 = text.parse().ok()?;
    headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    Some(left)
}

struct Facts<'a> {
    scheme: Scheme,
    host: &'a str,
    peer: IpAddr,
    client: IpAddr,
    trusted_peer: bool,
    version: Version,
}

/// What the origin is told, in our words.
///
/// # Errors
/// `Internal`, which cannot happen: every text is ASCII by construction or by a check above.
fn set_ours(
    headers: &mut HeaderMap,
    facts: &Facts<'_>,
    request_id: &str,
    settings: &Settings,
) -> Result<(), Refusal> {
    let value = |text: String| HeaderValue::try_from(text).map_err(|_| Refusal::Internal);
    let host = value(facts.host.to_owned())?;
    let peer = facts.peer.to_string();
    let client = if facts.client == facts.peer { peer.clone() } else { facts.client.to_string() };
    let element = forwarded::element(&client, facts.host, facts.scheme);
    let chain = forwarded_for(headers, facts, &client, peer);
    headers.insert(header::HOST, host.clone());
    headers.insert(X_FORWARDED_HOST, host);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(facts.scheme.as_str()));
    headers.insert(X_FORWARDED_FOR, value(chain)?);
    headers.insert(header::FORWARDED, value(element)?);
    headers.insert(X_REQUEST_ID, value(request_id.to_owned())?);
    let received = match facts.version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    // Joined, not formatted, here and above: this is done for every request that the fast lane leaves.
    headers.append(header::VIA, value([received, " ", &settings.server_name].concat())?);
    headers.append(CDN_LOOP, value([&settings.server_name, ";id=", &settings.node_id].concat())?);
    Ok(())
}

/// A trusted peer's chain is continued, with the peer; anybody else's is forgotten. One line, because
/// many applications read only the first.
fn forwarded_for(headers: &HeaderMap, facts: &Facts<'_>, client: &str, peer: String) -> String {
    if !facts.trusted_peer {
        return peer;
    }
    let mut chain = String::new();
    for line in headers.get_all(X_FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()) {
        chain.push_str(line);
        chain.push_str(", ");
    }
    // The peer told us by `Forwarded`.
    if chain.is_empty() && facts.client != facts.peer {
        chain = [client, ", "].concat();
    }
    chain.push_str(&peer);
    chain
}
