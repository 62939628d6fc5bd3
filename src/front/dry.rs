//! A request that nobody makes, brought into normal form as if it had come from a client that nothing is known of:
//! for [`crate::engine::explain`]. The framing of messages is not part of it; that has been accepted before anything here.

use super::handler::Conn;
use super::normalise;
use super::refusal::Refusal;
use super::service::{Service, incoming};
use crate::engine::explain::{Question, Turned};
use crate::engine::purge_call::is_purge_method;
use crate::engine::request::Incoming;
use crate::interim::InterimSender;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use std::net::{Ipv4Addr, SocketAddr};

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Self {
        Self {
            word: refusal.as_str(),
            status: Some(refusal.status().as_u16()),
            says: refusal.text(),
            source: "RFC 9110 §15.5",
            refused: true,
        }
    }
}

impl Service {
    /// What [`crate::front`] does with a request before the engine sees it.
    ///
    /// # Errors
    /// It is answered here.
    pub fn dry(&self, question: Question) -> Result<Incoming, Turned> {
        let Question { method, tls, authority, target, mut headers } = question;
        if is_purge_method(&method) {
            return Err(Turned {
                word: "purge",
                status: None,
                says: "It is a purge call: carried out for those who may, refused with 405 for all others, never sent on.",
                source: "docs/purging.md",
                refused: false,
            });
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::try_from(&authority).map_err(|_| Refusal::BadHost)?);
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = normalise::host::name_of(host).to_ascii_lowercase();
        // No address of anybody: a trusted proxy only where everybody is one.
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let conn = Conn { peer: nobody, local: nobody, tls, sni: tls.then(|| name.into()) };
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target.parse::<Uri>().map_err(|_| Refusal::BadTarget)?;
        *request.headers_mut() = headers;
        let (parts, ()) = request.into_parts();
        let normal = normalise::normalise(parts, &conn, &self.settings.load())?;
        if normal.max_forwards == Some(0) {
            return Err(Turned {
                word: "max-forwards",
                status: Some(200),
                says: "OPTIONS with Max-Forwards: 0 is answered by whoever holds it.",
                source: "RFC 9110 §7.6.2",
                refused: false,
            });
        }
        Ok(incoming(normal, crate::body::empty_in(), InterimSender::none(), false, None))
    }
}
