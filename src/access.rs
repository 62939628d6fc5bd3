//! Who may look, purge and administer: bearer tokens with scopes, compared in constant time; and the admin listener's
//! guards against being used by a browser on somebody else's behalf (rulings 6, interface.md §5). A leaf module: the
//! admin listener asks it, and the public ones where somebody purges.

pub mod sessions;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use std::net::{IpAddr, SocketAddr};

/// What a token may do. `Admin` implies all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Read,
    Purge,
    Admin,
}

#[derive(Clone)]
pub struct Token {
    pub name: String,
    pub secret: String,
    pub allow: Vec<Scope>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("name", &self.name).field("allow", &self.allow).finish_non_exhaustive()
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    NoToken,
    WrongToken,
    /// The token is known, but not for this.
    Scope,
    ForeignHost,
    ForeignOrigin,
    /// A POST that a form on a foreign page could send as well.
    Form,
}

impl Denied {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::Scope | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Form => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    pub const fn explain(self) -> &'static str {
        match self {
            Self::NoToken => "a token is needed: Authorization: Bearer TOKEN",
            Self::WrongToken => "the token is not known",
            Self::Scope => "the token does not allow this",
            Self::ForeignHost => "the Host is not this listener's address",
            Self::Form => "a POST needs Content-Type: application/json, or a token",
            Self::ForeignOrigin => "requests from pages of another origin are refused",
        }
    }
}

/// The checks, for one configuration.
#[derive(Clone, Debug)]
pub struct Gate {
    pub tokens: Vec<Token>,
    pub address: SocketAddr,
}

impl Gate {
    /// Once any token is set, everything but `/livez` and `/readyz` needs one.
    pub fn allows(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Denied> {
        self.admit(headers, scope).map(drop)
    }

    /// The same, and whose token it is; `None` where none are set.
    pub fn admit(&self, headers: &HeaderMap, scope: Scope) -> Result<Option<&str>, Denied> {
        if self.tokens.is_empty() { Ok(None) } else { self.token(headers, scope).map(Some) }
    }

    /// The name of the token that was given, if it allows `scope`. Where no tokens are set there is none to give.
    pub fn token(&self, headers: &HeaderMap, scope: Scope) -> Result<&str, Denied> {
        let given = headers.get(AUTHORIZATION).ok_or(Denied::NoToken)?.as_bytes();
        let (scheme, given) = given.split_at_checked(7).ok_or(Denied::WrongToken)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Denied::NoToken);
        }
        // Every token is compared, and each in constant time: how long it takes tells nothing.
        let mut known = None;
        for token in &self.tokens {
            if equal(token.secret.as_bytes(), given.trim_ascii()) {
                known = Some(token);
            }
        }
        let token = known.ok_or(Denied::WrongToken)?;
        let allowed = token.allow.contains(&scope) || token.allow.contains(&Scope::Admin);
        if allowed { Ok(&token.name) } else { Err(Denied::Scope) }
    }

    /// `Host` must be an address or a name that can't be rebound (an IP literal, `localhost`), or, where tokens
    /// are set, come with one; `Origin`, if any, must be this listener's own. A page whose name was rebound to
    /// this address may send any `Authorization` it likes: what nobody checks proves nothing.
    pub fn same_site(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        let token = !self.tokens.is_empty() && headers.contains_key(AUTHORIZATION);
        if !token && !is_literal(host) {
            return Err(Denied::ForeignHost);
        }
        self.own_origin(headers)
    }

    /// The second half of [`Gate::same_site`].
    pub fn own_origin(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        match headers.get(ORIGIN).map(|o| o.to_str().unwrap_or("")) {
            None => Ok(()),
            Some(origin) => {
                let own = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
                if own { Ok(()) } else { Err(Denied::ForeignOrigin) }
            }
        }
    }
}

/// rulings 6: a form on a foreign page can be sent with a browser's help, but neither as JSON nor with a token.
pub fn no_form(method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
    if method != Method::POST || headers.contains_key(AUTHORIZATION) {
        return Ok(());
    }
    let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Denied::Form) }
}

fn is_literal(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Compares all bytes whatever they are; only the lengths may show.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn gate() -> Gate {
        let token = |name: &str, secret: &str, allow: &[Scope]| Token {
            name: name.into(),
            secret: secret.into(),
            allow: allow.into(),
        };
        Gate {
            tokens: vec![token("r", "read-me", &[Scope::Read]), token("a", "all", &[Scope::Admin])],
            address: ([127, 0, 0, 1], 9080).into(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn tokens_open_what_their_scopes_say() {
        let allows = |value: &'static str, scope| gate().allows(&headers(&[("authorization", value)]), scope);
        assert_eq!(gate().allows(&HeaderMap::new(), Scope::Read), Err(Denied::NoToken));
        assert_eq!(allows("Bearer read-me", Scope::Read), Ok(()));
        assert_eq!(allows("bearer read-me", Scope::Purge), Err(Denied::Scope));
        assert_eq!(allows("Bearer all", Scope::Purge), Ok(()));
        assert_eq!(allows("Bearer read-m", Scope::Read), Err(Denied::WrongToken));
        assert_eq!(allows("Basic cmVhZC1tZQ==", Scope::Read), Err(Denied::NoToken));
        assert_eq!(allows("x", Scope::Read), Err(Denied::WrongToken));
        let open = Gate { tokens: Vec::new(), ..gate() };
        assert_eq!(open.allows(&HeaderMap::new(), Scope::Admin), Ok(()));
    }

    #[test]
    fn where_no_tokens_are_set_nobody_has_one() {
        let open = Gate { tokens: Vec::new(), ..gate() };
        for value in ["Bearer ", "Bearer all", "Bearer"] {
            let given = headers(&[("authorization", value)]);
            assert_eq!(open.token(&given, Scope::Purge), Err(Denied::WrongToken), "{value}");
        }
        assert_eq!(open.token(&HeaderMap::new(), Scope::Purge), Err(Denied::NoToken));
        assert_eq!(gate().token(&headers(&[("authorization", "Bearer all")]), Scope::Purge), Ok("a"));
    }

    #[test]
    fn the_name_of_the_token_is_known_to_the_log() {
        let given = headers(&[("authorization", "Bearer all")]);
        assert_eq!(gate().admit(&given, Scope::Purge), Ok(Some("a")));
    }

    #[test]
    fn rulings_6_posts_that_a_form_could_send_are_refused() {
        let post = |pairs: &[_]| no_form(&Method::POST, &headers(pairs));
        assert_eq!(post(&[("content-type", "application/json")]), Ok(()));
        assert_eq!(post(&[("content-type", "Application/JSON; charset=utf-8")]), Ok(()));
        assert_eq!(post(&[("authorization", "Bearer x")]), Ok(()));
        for form in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
        {
            assert_eq!(post(&[("content-type", form)]), Err(Denied::Form));
        }
        assert_eq!(post(&[]), Err(Denied::Form));
        assert_eq!(no_form(&Method::GET, &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let same_site = |pairs: &[_]| gate().same_site(&headers(pairs));
        assert_eq!(same_site(&[("host", "127.0.0.1:9080")]), Ok(()));
        assert_eq!(same_site(&[("host", "[::1]:9080")]), Ok(()));
        assert_eq!(same_site(&[("host", "localhost")]), Ok(()));
        assert_eq!(same_site(&[("host", "evil.example:9080")]), Err(Denied::ForeignHost));
        assert_eq!(same_site(&[]), Err(Denied::ForeignHost));
        let own = [("host", "127.0.0.1:9080"), ("origin", "http://127.0.0.1:9080")];
        assert_eq!(same_site(&own), Ok(()));
        let by_name = [("host", "larder.internal:9080"), ("authorization", "Bearer read-me")];
        assert_eq!(same_site(&by_name), Ok(()), "a token will be asked for");
        let open = Gate { tokens: Vec::new(), ..gate() };
        assert_eq!(open.same_site(&headers(&by_name)), Err(Denied::ForeignHost), "nobody checks this one");
        let foreign = [("host", "127.0.0.1:9080"), ("origin", "http://evil.example")];
        assert_eq!(same_site(&foreign), Err(Denied::ForeignOrigin));
        assert_eq!(same_site(&[("host", "127.0.0.1"), ("origin", "null")]), Err(Denied::ForeignOrigin));
    }
}
