//! `PURGE`, `BAN` and their kin on the public listeners: who may, and that such a request never goes to an origin. What
//! it means and does is behind [`Engine::purge_call`].
//!
//! A caller is known by a bearer token, or by the address in `admin.purge_from`: the client's after `trusted_proxies`.
//! Somebody unknown who relays for others never qualifies by address: behind a TLS terminator on the same host every
//! client has a loopback peer (rulings 1).
//!
//! [`Engine::purge_call`]: crate::engine::Engine::purge_call

use super::handler::Conn;
use super::normalise::{self, Normal, forwarded};
use super::refusal::Refusal;
use crate::access::{Gate, Scope};
use crate::body::{InBody, OutBody};
use crate::engine::Engine;
use crate::engine::purge_call::{Called, Door, MAX_BODY, PurgeCall, is_refresh};
use crate::trace::Trace;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, request};
use http_body::Body;
use http_body_util::BodyExt;
use ipnet::IpNet;
use std::sync::Arc;

/// Who may purge on the public listeners.
#[derive(Clone, Debug)]
pub struct Purgers {
    /// `admin.purge_from`.
    pub from: Vec<IpNet>,
    pub gate: Gate,
}

impl Purgers {
    /// Under which name a purge of this caller is listed: the token's, or the address. `None`: they may not.
    fn who(&self, headers: &HeaderMap, normal: &Normal) -> Option<String> {
        match self.gate.token(headers, Scope::Purge) {
            Ok(name) => Some(name.to_owned()),
            Err(_) => self.trusts(normal).then(|| normal.client.to_string()),
        }
    }

    fn trusts(&self, normal: &Normal) -> bool {
        !normal.forwarded_for_untrusted && forwarded::contains(&self.from, normal.client)
    }

    /// Whether this asks for a refresh that rules can't talk it out of, and comes from `purge_from`.
    pub fn may_force(&self, normal: &Normal) -> bool {
        !self.from.is_empty() && is_refresh(&normal.method, &normal.headers) && self.trusts(normal)
    }
}

/// What became of a purge call; the request in normal form, for the log, if it came that far.
pub struct Handled {
    pub normal: Option<Normal>,
    pub answer: Result<Called, Refusal>,
}

/// Carries out a purge call, or refuses it.
pub async fn handle(
    engine: &Arc<Engine>,
    purgers: &Purgers,
    settings: &normalise::Settings,
    conn: &Conn,
    parts: request::Parts,
    body: InBody,
    trace: Trace,
) -> Handled {
    // Clients that purge tags send the cache's own address as the host, which `server.hosts` need not list.
    let any_host = normalise::Settings { hosts: Vec::new(), ..settings.clone() };
    let sent = parts.headers.clone();
    let normal = match normalise::normalise(parts, conn, &any_host) {
        Ok(normal) => normal,
        Err(refusal) => return Handled { normal: None, answer: Err(refusal) },
    };
    let answer = match purgers.who(&sent, &normal) {
        Some(who) => called(engine, &normal, sent, body, (who, trace)).await,
        None => Err(Refusal::PurgeNotAllowed),
    };
    Handled { normal: Some(normal), answer }
}

async fn called(
    engine: &Arc<Engine>,
    normal: &Normal,
    headers: HeaderMap,
    body: InBody,
    (who, trace): (String, Trace),
) -> Result<Called, Refusal> {
    let call = PurgeCall {
        door: Door::Public,
        method: normal.method.clone(),
        authority: normal.host.clone(),
        path: normal.path.clone(),
        query: normal.query.clone(),
        headers,
        body: read(body).await?,
        who,
        trace,
    };
    Ok(engine.purge_call(call).await)
}

async fn read(mut body: InBody) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::IncompleteBody)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > MAX_BODY {
            return Err(Refusal::BodyTooLarge);
        }
    }
    Ok(bytes.freeze())
}

pub fn response(called: Called) -> Response<OutBody> {
    let mut response = Response::new(OutBody::full(called.body));
    *response.status_mut() = called.status;
    *response.headers_mut() = called.headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Token;
    use http::{Request, Version};

    const TRUSTED: &str = "10.0.0.1";

    fn purgers(from: &[&str]) -> Purgers {
        let token = |name: &str, allow| Token { name: name.into(), secret: name.into(), allow: vec![allow] };
        let gate = Gate {
            tokens: vec![token("deploy", Scope::Purge), token("reader", Scope::Read)],
            address: ([127, 0, 0, 1], 9080).into(),
        };
        Purgers { from: from.iter().map(|net| net.parse().unwrap()).collect(), gate }
    }

    fn normal(peer: &str, fields: &[(&'static str, &'static str)]) -> (HeaderMap, Normal) {
        let mut request = Request::builder().method("PURGE").uri("/x").version(Version::HTTP_11);
        for (name, value) in [("host", "site.example")].iter().chain(fields) {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let conn = Conn {
            peer: (peer.parse::<std::net::IpAddr>().unwrap(), 1).into(),
            local: ([127, 0, 0, 1], 80).into(),
            tls: false,
            sni: None,
        };
        let settings = normalise::Settings {
            trusted_proxies: vec![TRUSTED.parse::<std::net::IpAddr>().unwrap().into()],
            server_name: "larder".into(),
            node_id: "n".into(),
            hosts: Vec::new(),
        };
        (parts.headers.clone(), normalise::normalise(parts, &conn, &settings).unwrap())
    }

    #[test]
    fn rulings_1_the_address_counts_after_trusted_proxies_and_never_through_strangers() {
        let mine = ["192.0.2.0/24", "::1/128"];
        for (from, peer, fields, who) in [
            (&mine[..], "192.0.2.7", &[][..], Some("192.0.2.7")),
            (&mine[..], "::ffff:192.0.2.7", &[], Some("192.0.2.7")),
            (&mine[..], "::1", &[], Some("::1")),
            (&mine[..], "198.51.100.1", &[], None),
            (&[], "192.0.2.7", &[], None),
            (&mine[..], "192.0.2.7", &[("x-forwarded-for", "192.0.2.8")], None),
            (&mine[..], "192.0.2.7", &[("forwarded", "for=192.0.2.8")], None),
            (&mine[..], "192.0.2.7", &[("via", "1.1 x")], None),
            (&mine[..], TRUSTED, &[("x-forwarded-for", "192.0.2.7")], Some("192.0.2.7")),
            (&mine[..], TRUSTED, &[("x-forwarded-for", "192.0.2.7, 198.51.100.1")], None),
            (&mine[..], TRUSTED, &[("x-forwarded-for", "198.51.100.1"), ("via", "1.1 x")], None),
            (&mine[..], TRUSTED, &[], None),
        ] {
            let (headers, normal) = normal(peer, fields);
            assert_eq!(purgers(from).who(&headers, &normal).as_deref(), who, "{from:?} {peer} {fields:?}");
        }
    }

    #[test]
    fn a_token_that_allows_purges_opens_from_anywhere_and_no_other_does() {
        for (value, who) in [
            ("Bearer deploy", Some("deploy")),
            ("Bearer reader", None),
            ("Bearer nobody", None),
            ("Basic deploy", None),
        ] {
            let (headers, normal) =
                normal("198.51.100.1", &[("authorization", value), ("via", "1.1 somebody")]);
            assert_eq!(purgers(&[]).who(&headers, &normal).as_deref(), who, "{value}");
        }
        let (headers, normal) = normal("198.51.100.1", &[("authorization", "Bearer ")]);
        let mut open = purgers(&[]);
        open.gate.tokens.clear();
        assert_eq!(open.who(&headers, &normal), None, "no tokens open nothing here");
    }
}
