//! Every dialect by what its clients send, byte for byte, and by the answer that they read.

mod admin;
mod arbitrary;
mod ban;
mod purge;
mod refused;

use super::*;
use crate::purge::{Mode, Predicate};
use http::{HeaderName, HeaderValue};

/// A request as it came over the wire, taken apart the way a listener does.
pub struct Wire {
    method: Method,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Wire {
    /// Lines may end in a bare LF here, for legibility; a blank line ends the head.
    pub fn read(raw: &str) -> Self {
        let (head, body) = raw.split_once("\n\n").unwrap_or((raw.trim_end(), ""));
        let head = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        let mut lines = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut lines);
        assert!(request.parse(head.as_bytes()).unwrap().is_complete(), "{raw}");
        let mut headers = HeaderMap::new();
        for line in request.headers.iter() {
            headers.append(
                HeaderName::from_bytes(line.name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(line.value).unwrap(),
            );
        }
        let target = request.path.unwrap();
        let (authority, target) = match target.split_once("://") {
            Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => (headers.get("host").map_or("", |host| host.to_str().unwrap()), target),
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method: request.method.unwrap().parse().unwrap(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            query,
            body: body.as_bytes().to_vec(),
            headers,
        }
    }

    pub fn call(&self) -> Call<'_> {
        Call {
            method: &self.method,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// The mode, the selectors, then the predicates as the log carries them.
pub fn shown(purge: &Purge) -> String {
    let selector = |selector: &Selector| match selector {
        Selector::TagAnyCase(tag) => format!("tag-any-case {tag}"),
        other => other.to_string(),
    };
    let predicate = |predicate: &Predicate| serde_json::to_string(predicate).unwrap();
    let named: Vec<String> =
        purge.selectors.iter().map(selector).chain(purge.predicates.iter().map(predicate)).collect();
    format!("{}: {}", purge.mode.as_str(), named.join(", "))
}

/// Status, content type, body, without the line feed at its end.
pub fn answered((status, headers, body): Answer) -> String {
    let kind = headers.get("content-type").map_or("-", |kind| kind.to_str().unwrap());
    format!("{} {kind} {}", status.as_u16(), body.trim_end_matches('\n')).trim_end().to_owned()
}

pub const DONE: Done<'_> = Done { id: "1767225600123-7", matched: 3, complete: true };

/// Who sends it, what they send, what it purges, what they are answered.
pub type Case = (&'static str, &'static str, &'static str, &'static str);

pub fn check(cases: &[Case], parse: fn(&Call<'_>, Urls<'_>) -> Result<Parsed, BadCall>) {
    for (who, raw, wanted, wanted_answer) in cases {
        let wire = Wire::read(raw);
        match parse(&wire.call(), &plain) {
            Ok(Parsed::Purge(purge, shape)) => {
                assert_eq!(shown(&purge), *wanted, "{who}");
                assert_eq!(answered(answer(&shape, &DONE)), *wanted_answer, "{who}");
                let waiting = answer(&shape, &Done { complete: false, ..DONE });
                assert_eq!(waiting.0, StatusCode::ACCEPTED, "{who}: 200 would promise too much");
            }
            other => panic!("{who}: {other:?}"),
        }
    }
}

#[test]
fn a_forced_refresh_is_recognised_and_ordinary_requests_are_nobodys_purge() {
    let table = [
        ("GET /a HTTP/1.1\nHost: e\nCache-Control: no-cache", Parsed::Refresh),
        ("HEAD /a HTTP/1.1\nHost: e\nCache-Control: max-age=0, No-Cache", Parsed::Refresh),
        ("GET /a HTTP/1.1\nHost: e\nX-Refresh: 1", Parsed::Refresh),
        ("GET /a HTTP/1.1\nHost: e\nX-Refresh: 0", Parsed::NotAPurge),
        ("GET /a HTTP/1.1\nHost: e\nCache-Control: max-age=0", Parsed::NotAPurge),
        ("GET /a HTTP/1.1\nHost: e\nCache-Control: x=no-cache", Parsed::NotAPurge),
        ("POST /a HTTP/1.1\nHost: e\nCache-Control: no-cache", Parsed::NotAPurge),
        ("GET /a HTTP/1.1\nHost: e\nxkey-purge: a", Parsed::NotAPurge),
        ("purge /a HTTP/1.1\nHost: e", Parsed::NotAPurge),
        ("POST /purge HTTP/1.1\nHost: e", Parsed::NotAPurge),
    ];
    for (raw, wanted) in table {
        let wire = Wire::read(raw);
        assert_eq!(public(&wire.call(), &plain), Ok(wanted), "{raw}");
        assert_eq!(admin(&wire.call(), &plain), Ok(Parsed::NotAPurge), "{raw}");
    }
    for method in ["PURGE", "PURGEKEYS", "PURGETAGS", "BAN", "URIBAN", "FULLBAN"] {
        assert!(is_purge_method(&method.parse().unwrap()), "{method}");
    }
    assert!(!is_purge_method(&Method::POST));
}

#[test]
fn rules_may_rewrite_every_url_and_name_it_under_more_schemes() {
    let rewrite = |url: &str| {
        assert!(url.starts_with("http"), "{url}");
        let kept = url.split_once('?').map_or(url, |(kept, _)| kept);
        Ok(vec![Selector::url(kept)?, Selector::url(&kept.replacen("http://", "https://", 1))?])
    };
    let wire = Wire::read("PURGE /a?utm_source=x HTTP/1.1\nHost: e");
    let Ok(Parsed::Purge(purge, _)) = public(&wire.call(), &rewrite) else { panic!() };
    assert_eq!(shown(&purge), "hard: url http://e/a, url https://e/a");
}

#[test]
fn fastly_key_is_a_token() {
    let key = |raw: &str| fastly_key(&Wire::read(raw).headers).map(<[u8]>::to_vec);
    assert_eq!(key("POST /service/x/purge_all HTTP/1.1\nFastly-Key:  s3cret "), Some(b"s3cret".to_vec()));
    assert_eq!(key("POST /service/x/purge_all HTTP/1.1\nFastly-Key: "), None);
    assert_eq!(key("POST /service/x/purge_all HTTP/1.1\nAuthorization: Bearer x"), None);
}
