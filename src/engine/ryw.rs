//! `read_your_writes`: a client that has changed something reads past the cache for a while, so that it sees what it
//! did even where the invalidation of RFC 9111 §4.4 does not reach: other URLs, other nodes.
//!
//! What makes a request one of such a client is a cookie in the answer to its write:
//! `larder_ryw=EXPIRY.MAC`, expiry in Unix seconds. It is signed, because a request with it costs the origin a request:
//! nobody shall have it who did not write, nor for longer, nor on another host. It says nothing of who the client is.
//!
//! The cookie is ours alone. It is taken out of every request before anything looks at the request's cookies, so it is in no
//! key, selects no variant, withholds no heuristic lifetime, and never reaches an origin. A cookie that can't be read, or is
//! not ours, is taken out all the same and means nothing.

use crate::engine::policy::Policy;
use crate::engine::request::Incoming;
use crate::engine::site::{Engine, Site};
use crate::semantics::invalidate;
use crate::time::Wall;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::{hmac, rand};
use std::time::Duration;

/// The cookie's name.
pub const NAME: &str = "larder_ryw";

/// Of several cookies of this name in one request no more are looked at.
const TRIED: usize = 4;

/// Separates this use of `server.secret` from its others.
const LABEL: &[u8] = b"larder read-your-writes 1";

/// Signs cookies. `Debug` shows no key.
#[derive(Clone, Debug)]
pub struct Signer(hmac::Key);

impl Signer {
    /// From `server.secret`: the same on every node that has the same.
    pub fn new(secret: &str) -> Self {
        let label = hmac::Key::new(hmac::HMAC_SHA256, LABEL);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&label, secret.as_bytes()).as_ref()))
    }

    /// For this process alone. `None`: the system has no randomness to give.
    pub fn random() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok().map(Self)
    }

    /// `Set-Cookie` for a client that has written, good for `lasts` from `now` on, rounded up to seconds.
    pub fn cookie(&self, host: &str, secure: bool, lasts: Duration, now: Wall) -> Option<HeaderValue> {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let expiry = now.0.saturating_add(lasts).div_ceil(1000).to_string();
        let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &message(host, &expiry)));
        let secure = if secure { "; Secure" } else { "" };
        let max_age = lasts.div_ceil(1000);
        let cookie =
            format!("{NAME}={expiry}.{mac}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
        HeaderValue::try_from(cookie).ok()
    }

    /// Whether this value of the cookie was made for `host` and still holds. The comparison takes the same time whatever
    /// differs.
    pub fn holds(&self, value: &[u8], host: &str, now: Wall) -> bool {
        let Ok(value) = std::str::from_utf8(value) else { return false };
        let Some((expiry, mac)) = value.split_once('.') else { return false };
        let Ok(mac) = URL_SAFE_NO_PAD.decode(mac) else { return false };
        // What was signed is the text. Only what we have written verifies, and that is a number.
        let genuine = hmac::verify(&self.0, &message(host, expiry), &mac).is_ok();
        genuine && expiry.parse().is_ok_and(|expiry: u64| now < Wall::from_secs(expiry))
    }
}

/// No host has a zero byte in it.
fn message(host: &str, expiry: &str) -> Vec<u8> {
    [host.as_bytes(), &[0], expiry.as_bytes()].concat()
}

/// Whether a `Cookie` line may hold our cookie.
pub fn is_in(line: &[u8]) -> bool {
    line.windows(NAME.len()).any(|window| window == NAME.as_bytes())
}

/// Takes our cookie out of a request; the values it had. Lines without it stay as they are.
pub fn take(headers: &mut HeaderMap) -> Vec<Box<[u8]>> {
    let mut values = Vec::new();
    if !headers.get_all(COOKIE).iter().any(|line| is_in(line.as_bytes())) {
        return values;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let mut found = false;
        let mut kept: Vec<&[u8]> = Vec::new();
        for pair in line.as_bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii) {
            match pair.strip_prefix(NAME.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
                Some(value) => {
                    found = true;
                    values.push(value.into());
                }
                None if pair.is_empty() => {}
                None => kept.push(pair),
            }
        }
        let line = match (found, kept.is_empty()) {
            (false, _) => Ok(line),
            (true, true) => continue,
            (true, false) => HeaderValue::from_bytes(&kept.join(&b"; "[..])),
        };
        if let Ok(line) = line {
            headers.append(COOKIE, line);
        }
    }
    values
}

impl Engine {
    /// Whether this request is of a client that wrote lately. Takes the cookie that says so out of it. Does nothing where no
    /// rule asks for it.
    pub(super) fn wrote_lately(&self, site: &Site, incoming: &mut Incoming) -> bool {
        if !site.rules.read_your_writes() {
            return false;
        }
        let values = take(&mut incoming.headers);
        let now = self.clock.now().wall;
        let holds = |value: &[u8]| self.signer(site).is_some_and(|s| s.holds(value, &incoming.host, now));
        values.iter().take(TRIED).any(|value| holds(value))
    }

    /// What to tell the client whose request was answered with this status.
    pub(super) fn has_written(
        &self,
        site: &Site,
        policy: &Policy,
        incoming: &Incoming,
        status: StatusCode,
    ) -> Option<HeaderValue> {
        let lasts = policy.read_your_writes?;
        if !invalidate::is_write(&incoming.method, status) {
            return None;
        }
        let (secure, now) = (incoming.scheme == "https", self.clock.now().wall);
        self.signer(site)?.cookie(&incoming.host, secure, lasts, now)
    }

    fn signer<'a>(&'a self, site: &'a Site) -> Option<&'a Signer> {
        site.signer.as_ref().or(self.own_signer.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_767_225_600_500);

    fn value(cookie: &HeaderValue) -> Vec<u8> {
        let text = cookie.to_str().unwrap();
        text.strip_prefix("larder_ryw=").unwrap().split(';').next().unwrap().as_bytes().to_vec()
    }

    #[test]
    fn the_cookie_is_as_the_interface_says() {
        let signer = Signer::new("secret");
        let text = |secure| {
            let cookie = signer.cookie("a.example", secure, Duration::from_millis(4500), NOW).unwrap();
            cookie.to_str().unwrap().to_owned()
        };
        let (plain, secure) = (text(false), text(true));
        assert!(plain.starts_with("larder_ryw=1767225605."), "{plain}");
        assert!(plain.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=5"), "{plain}");
        assert_eq!(secure, format!("{plain}; Secure"));
    }

    #[test]
    fn it_holds_on_its_host_until_its_end_for_whoever_has_the_secret() {
        let signer = Signer::new("secret");
        let cookie = value(&signer.cookie("a.example", true, Duration::from_secs(5), NOW).unwrap());
        let after = |ms| Wall(NOW.0 + ms);
        assert!(signer.holds(&cookie, "a.example", NOW));
        assert!(Signer::new("secret").holds(&cookie, "a.example", after(5000)));
        assert!(!signer.holds(&cookie, "a.example", after(5500)), "over");
        assert!(!signer.holds(&cookie, "b.example", NOW), "another host");
        assert!(!Signer::new("other").holds(&cookie, "a.example", NOW), "another secret");
        let (one, two) = (Signer::random().unwrap(), Signer::random().unwrap());
        let own = value(&one.cookie("a.example", true, Duration::from_secs(5), NOW).unwrap());
        assert!(one.holds(&own, "a.example", NOW) && !two.holds(&own, "a.example", NOW));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let signer = Signer::new("secret");
        let cookie = value(&signer.cookie("a.example", false, Duration::from_secs(5), NOW).unwrap());
        for at in 0..cookie.len() {
            let mut changed = cookie.clone();
            changed[at] = if changed[at] == b'9' { b'8' } else { b'9' };
            assert!(changed == cookie || !signer.holds(&changed, "a.example", NOW), "{at}");
        }
        let text = String::from_utf8(cookie).unwrap();
        let (expiry, mac) = text.split_once('.').unwrap();
        for wrong in [
            "".to_owned(),
            ".".to_owned(),
            expiry.to_owned(),
            format!("{expiry}."),
            format!(".{mac}"),
            format!("+{expiry}.{mac}"),
            format!("0{expiry}.{mac}"),
            format!("{expiry}.{mac}="),
            format!("{expiry}.{mac}A"),
            format!("{expiry}.{}", mac.get(1..).unwrap()),
            format!("99999999999999999999999.{mac}"),
        ] {
            assert!(!signer.holds(wrong.as_bytes(), "a.example", NOW), "{wrong}");
        }
        assert!(!signer.holds(b"\xff.\xff", "a.example", NOW));
    }

    #[test]
    fn it_is_taken_out_and_everything_else_stays() {
        let cases: [(&[&str], &[&str], &[&str]); 7] = [
            (&["a=1;b=2"], &["a=1;b=2"], &[]),
            (&["larder_ryw=x"], &[], &["x"]),
            (&["a=1; larder_ryw=x;b=2"], &["a=1; b=2"], &["x"]),
            (&["a=1", "larder_ryw=x", "b=2"], &["a=1", "b=2"], &["x"]),
            (&["larder_ryw=x; larder_ryw=y=z", "larder_ryw="], &[], &["x", "y=z", ""]),
            (&["xlarder_ryw=1;  larder_ryw2=3"], &["xlarder_ryw=1;  larder_ryw2=3"], &[]),
            (&["larder_ryw"], &["larder_ryw"], &[]),
        ];
        for (sent, kept, taken) in cases {
            let mut headers = HeaderMap::new();
            sent.iter().for_each(|line| {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            });
            let values = take(&mut headers);
            assert_eq!(
                values.iter().map(|v| &**v).collect::<Vec<_>>(),
                taken.iter().map(|t| t.as_bytes()).collect::<Vec<_>>()
            );
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), kept, "{sent:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_cookies_never_panic(line in proptest::collection::vec(0x20u8..0x7f, 0..80)) {
            let line = [&b"larder_ryw="[..], &line].concat();
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(&line).unwrap());
            for value in take(&mut headers) {
                assert!(!Signer::new("s").holds(&value, "a.example", NOW));
            }
        }
    }
}
