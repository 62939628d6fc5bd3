//! Other products' purge calls, read into the one [`Purge`], and the answers that their client libraries expect.
//!
//! Pure functions over method, path, header fields and body. Nobody is authorised here and nothing is purged here: the
//! listeners ask first who calls, give the call to [`admin`] or [`public`], apply what comes back, and send what
//! [`answer`] makes of it. A call that can't be read is a [`BadCall`], and nothing of it is purged.
//!
//! * `cloudflare`, `fastly`, `draft`: JSON APIs, on the admin listener.
//! * `purge_method`, `ban`: the methods of Varnish and its kin, on the public listener.
//! * `conditions`, `tag_regex`, `literal`: bans are regular expressions that clients build from lists of tags, hosts and
//!   paths. What can be read back as such a list becomes exact selectors, of which there is room for a million; the
//!   others become predicates, of which there are 256.
//!
//! # What they have in common
//! * *More is safe.* Where a call says less than it means, or names something that entries don't carry, the larger
//!   reading is taken: a purge that hits too much costs misses, one that hits too little serves old content.
//! * *Tags ignore `Host`*, because clients send the cache's address there. URLs, wildcards and regular expressions over
//!   URLs hold on the request's host, unless the call names one.
//! * *URLs without a scheme mean both*: a client inside purges over plain HTTP what is served over TLS.
//! * *Nothing matched* is success: libraries make exceptions of 404.

pub mod answer;
mod ban;
mod cloudflare;
mod conditions;
mod draft;
mod fastly;
mod fields;
mod json;
mod literal;
mod purge_method;
mod tag_regex;

pub use answer::{Answer, AnswerShape, Done, answer, refusal};

use super::normal::{self, BadUrl};
use super::{Purge, Selector};
use http::{HeaderMap, Method, StatusCode};

/// Tags, URLs, hosts and prefixes in one call; beyond, 400 (interface.md §5).
pub const MAX_ITEMS: usize = 10_000;

/// A request, as a listener has it after its own checks.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub method: &'a Method,
    /// The effective host, `host` or `host:port`. Only the public listener's calls use it.
    pub authority: &'a str,
    /// As it was sent, percent-encoding and all; `*` and the empty path are fine.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Read in full by the listener, which bounds it. Empty for the public listener's calls, which have none.
    pub body: &'a [u8],
}

impl Call<'_> {
    /// `path?query`, which begins with a slash.
    fn target(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { self.path };
        match self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

/// Turns an absolute URL into the selectors that name it: the listener's place to apply the rules' key normalisation
/// and to add the other scheme. [`plain`] is the one without rules.
pub type Urls<'a> = &'a dyn Fn(&str) -> Result<Vec<Selector>, BadUrl>;

/// The URL as it is.
pub fn plain(url: &str) -> Result<Vec<Selector>, BadUrl> {
    Selector::url(url).map(|selector| vec![selector])
}

/// What a request turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// To be applied, then answered in this shape. `who` is still empty.
    Purge(Purge, AnswerShape),
    /// A `GET` or `HEAD` that wants its object fetched anew, if the caller may ask for that.
    Refresh,
    /// Somebody else's business.
    NotAPurge,
}

/// Whose call it is, which decides how errors look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    Cloudflare,
    Fastly,
    /// The HTTP cache invalidation draft.
    Draft,
    /// `PURGE`, `BAN` and their kin.
    Varnish,
}

impl Dialect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Fastly => "fastly",
            Self::Draft => "draft",
            Self::Varnish => "varnish",
        }
    }

    /// Whose path this is on the admin listener, whatever the method; also for answers to callers who are turned away.
    pub fn of_admin_path(path: &str) -> Option<Self> {
        if cloudflare::is_ours(path) {
            Some(Self::Cloudflare)
        } else if fastly::Route::of(path).is_some() {
            Some(Self::Fastly)
        } else if path == draft::PATH {
            Some(Self::Draft)
        } else {
            None
        }
    }
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    Method,
    Json,
    Member,
    Header,
    /// A regular expression that can't be used.
    Pattern,
    Host,
    Url,
    /// It names nothing to purge.
    Nothing,
    TooMany,
    /// Well-formed, but not known here (the draft's 501).
    Unsupported,
}

impl Fault {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Json => "json",
            Self::Member => "member",
            Self::Header => "header",
            Self::Pattern => "pattern",
            Self::Host => "host",
            Self::Url => "url",
            Self::Nothing => "nothing-named",
            Self::TooMany => "too-many",
            Self::Unsupported => "unsupported",
        }
    }

    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A call that can't be carried out; nothing of it was. The answer is [`BadCall::answer`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadCall {
    pub dialect: Dialect,
    pub fault: Fault,
    /// Names the header field or member, and what was expected.
    pub reason: String,
}

impl BadCall {
    pub const fn status(&self) -> StatusCode {
        self.fault.status()
    }

    pub fn answer(&self) -> Answer {
        refusal(self.dialect, self.status(), &self.reason)
    }
}

/// A [`BadCall`] that doesn't know its dialect yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bad(Fault, String);

impl Bad {
    fn of(self, dialect: Dialect) -> BadCall {
        BadCall { dialect, fault: self.0, reason: self.1 }
    }
}

/// Reads a call to the admin listener. [`Parsed::Refresh`] never comes from here.
pub fn admin(call: &Call<'_>, urls: Urls<'_>) -> Result<Parsed, BadCall> {
    let Some(dialect) = Dialect::of_admin_path(call.path) else { return Ok(Parsed::NotAPurge) };
    let read = match dialect {
        _ if call.method != Method::POST => {
            Err(Bad(Fault::Method, format!("{} is not for this address: POST was expected", call.method)))
        }
        Dialect::Cloudflare => cloudflare::read(call, urls),
        Dialect::Fastly => fastly::read(call),
        Dialect::Draft => draft::read(call, urls),
        Dialect::Varnish => return Ok(Parsed::NotAPurge),
    };
    read.map(|(purge, shape)| Parsed::Purge(purge, shape)).map_err(|bad| bad.of(dialect))
}

/// Whether the method is one of those that purge. Callers who may not use them get 405, and they never reach the origin.
pub fn is_purge_method(method: &Method) -> bool {
    matches!(method.as_str(), "PURGE" | "PURGEKEYS" | "PURGETAGS" | "BAN" | "URIBAN" | "FULLBAN")
}

/// Whether this asks for a forced refresh: `GET` with `no-cache` (FOSHttpCache for Varnish) or with `X-Refresh: 1`
/// (the same for nginx). It is one only from callers who may ask; from others it is an ordinary request.
pub fn is_refresh(method: &Method, headers: &HeaderMap) -> bool {
    (method == Method::GET || method == Method::HEAD)
        && (fields::is(headers, "x-refresh", "1") || fields::has_token(headers, "cache-control", "no-cache"))
}

/// Reads a call to the public listener, from somebody who may purge.
pub fn public(call: &Call<'_>, urls: Urls<'_>) -> Result<Parsed, BadCall> {
    let read = match call.method.as_str() {
        "PURGE" => purge_method::purge(call, urls),
        "PURGEKEYS" => purge_method::purge_keys(call),
        "PURGETAGS" => purge_method::purge_tags(call),
        "BAN" => ban::ban(call, urls),
        "URIBAN" => ban::uri_ban(call, urls),
        "FULLBAN" => ban::full_ban(call),
        _ if is_refresh(call.method, call.headers) => return Ok(Parsed::Refresh),
        _ => return Ok(Parsed::NotAPurge),
    };
    read.map(|(purge, shape)| Parsed::Purge(purge, shape)).map_err(|bad| bad.of(Dialect::Varnish))
}

/// The value of `Fastly-Key`, which counts as the bearer token on `/service/*`.
pub fn fastly_key(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get("fastly-key").map(|value| value.as_bytes().trim_ascii()).filter(|key| !key.is_empty())
}

/// The request's host in normal form; a call that is scoped to it can't do without.
fn own_host(call: &Call<'_>) -> Result<String, Bad> {
    one_host("Host", call.authority)
}

/// One host, in normal form. `*` may stand in a host name (RFC 3986 §3.2.2), but who writes it means several, and would
/// get none.
fn one_host(place: &str, text: &str) -> Result<String, Bad> {
    match normal::schemeless_authority(text) {
        Ok(host) if !host.contains('*') => Ok(host),
        Ok(_) => Err(Bad(Fault::Host, format!("{place}: one host was expected, not `{text}`"))),
        Err(error) => Err(Bad(Fault::Host, format!("{place}: {error}: `{text}`"))),
    }
}

/// A URL whose scheme nobody named; `target` is `path?query`.
fn both_schemes(host: &str, target: &str, urls: Urls<'_>) -> Result<Vec<Selector>, BadUrl> {
    let mut named = urls(&format!("http://{host}{target}"))?;
    for selector in urls(&format!("https://{host}{target}"))? {
        if !named.contains(&selector) {
            named.push(selector);
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests;
