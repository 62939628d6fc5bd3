//! Sessions of the dashboard: a browser that has shown a token once carries a number instead of it, because an event stream
//! can't send `Authorization` (rulings 6). The number is worth as much as the token while it lives, so it is random,
//! short-lived, unknown to scripts (`HttpOnly`) and to other sites (`SameSite=Strict`); and since browsers send
//! cookies to every port of a host, the public listeners take it out of requests ([`strip`]).

use crate::time::Mono;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cookie that carries the number.
pub const COOKIE_NAME: &str = "larder_session";

/// How long one lives, used or not.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// At a time; beyond, the one that would end first ends.
const MOST: usize = 256;

/// See the head of this file.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    /// Of the token: should that be taken away, the session opens nothing.
    secret: String,
    until: Mono,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    /// For whoever has shown this secret. `None`: the system has no random numbers.
    pub fn open(&self, secret: &str, now: Mono) -> Option<String> {
        let mut number = [0; 32];
        SystemRandom::new().fill(&mut number).ok()?;
        let number = URL_SAFE_NO_PAD.encode(number);
        let mut sessions = self.lock();
        sessions.retain(|_, session| now < session.until);
        if sessions.len() >= MOST {
            let first = sessions.iter().min_by_key(|(_, session)| session.until).map(|(n, _)| n.clone());
            first.map(|first| sessions.remove(&first));
        }
        let session = Session { secret: secret.to_owned(), until: now.after(LIFETIME) };
        sessions.insert(number.clone(), session);
        Some(number)
    }

    /// The secret that the bearer of this request's cookie has shown.
    pub fn secret(&self, headers: &HeaderMap, now: Mono) -> Option<String> {
        let number = number(headers)?;
        let sessions = self.lock();
        sessions.get(number).filter(|session| now < session.until).map(|session| session.secret.clone())
    }

    pub fn close(&self, headers: &HeaderMap) {
        if let Some(number) = number(headers) {
            self.lock().remove(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// Takes the cookie out of a request that is for somebody else.
pub fn strip(headers: &mut HeaderMap) {
    let is_ours = |pair: &[u8]| {
        let pair = pair.trim_ascii();
        pair.strip_prefix(COOKIE_NAME.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
    };
    let found = |line: &HeaderValue| line.as_bytes().split(|b| *b == b';').any(is_ours);
    if !headers.get_all(COOKIE).iter().any(found) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let left: Vec<&[u8]> = line.as_bytes().split(|b| *b == b';').filter(|pair| !is_ours(pair)).collect();
        let left = left.join(&b';');
        if let (false, Ok(value)) = (left.is_empty(), HeaderValue::from_bytes(left.trim_ascii())) {
            headers.append(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_session_opens_what_its_token_opens_until_it_ends() {
        let sessions = Sessions::default();
        let number = sessions.open("secret", Mono(0)).unwrap();
        assert!(number.len() >= 43 && number != sessions.open("secret", Mono(0)).unwrap());
        let ours = cookie(&format!("a=b; {COOKIE_NAME}={number}; c=d"));
        let last = Mono(12 * 3600 * 1000 - 1);
        assert_eq!(sessions.secret(&ours, last).as_deref(), Some("secret"));
        assert_eq!(sessions.secret(&ours, Mono(last.0 + 1)), None);
        for other in ["", "a=b", &format!("x{COOKIE_NAME}={number}"), &format!("{COOKIE_NAME}=")] {
            assert_eq!(sessions.secret(&cookie(other), Mono(0)), None, "{other}");
        }
        sessions.close(&ours);
        assert_eq!(sessions.secret(&ours, Mono(0)), None);
    }

    #[test]
    fn there_are_never_more_than_256() {
        let sessions = Sessions::default();
        let first = sessions.open("first", Mono(0)).unwrap();
        let second = sessions.open("second", Mono(1)).unwrap();
        (0..255).for_each(|n| drop(sessions.open("more", Mono(2 + n))));
        assert_eq!(sessions.lock().len(), 256);
        let secret = |number| sessions.secret(&cookie(&format!("{COOKIE_NAME}={number}")), Mono(300));
        assert_eq!((secret(first), secret(second).as_deref()), (None, Some("second")));
    }

    #[test]
    fn nobody_else_sees_the_cookie() {
        for (sent, left) in [
            ("a=1", &["a=1"][..]),
            ("a=1; larder_session=x; b=2", &["a=1; b=2"]),
            ("larder_session=x; b=2", &["b=2"]),
            ("larder_session=x", &[]),
            ("xlarder_session=x;larder_session2=y", &["xlarder_session=x;larder_session2=y"]),
        ] {
            let mut headers = cookie(sent);
            strip(&mut headers);
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), left, "{sent}");
        }
    }
}
