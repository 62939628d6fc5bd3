//! Random exchanges, and the plain facts about one that the ledger's conditions ask for. The facts are taken
//! from what was generated, not from what either side read.

use http::{HeaderMap, HeaderName, HeaderValue};
use larder::semantics::date;
use larder::time::Wall;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// 2026-01-01 00:00:00, when the first response arrives.
pub const NOW: u64 = 1_767_225_600;
pub const TARGET: &str = "http://example.com/a";

/// The directives of a response, from which soups are made: those that are written well, and those that aren't.
const PLAIN: &[&str] = &[
    "max-age=0",
    "max-age=60",
    "max-age=3600",
    "s-maxage=0",
    "s-maxage=60",
    "s-maxage=3600",
    "no-cache",
    "no-store",
    "private",
    "public",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "no-transform",
    "immutable",
    "stale-while-revalidate=600",
    "stale-if-error=600",
    "foo",
    "max-age=\"60\"",
    "max-age=0060",
];
const ODD: &[&str] = &[
    "MAX-AGE=60",
    "No-Store",
    "PRIVATE",
    "private=\"x\"",
    "no-cache=\"x\"",
    "max-age",
    "max-age=",
    "max-age=abc",
    "max-age=-60",
    "max-age=60.5",
    "max-age='60'",
    "max-age=+60",
    "max-age =60",
    "max-age=99999999999999999999",
    "ext=\"a, max-age=60\"",
    "ext=\"a, no-store\"",
    "ext=\"a",
];
const STATUSES: &[u16] = &[
    200, 200, 200, 200, 200, 200, 200, 200, 201, 203, 204, 206, 299, 301, 302, 304, 307, 308, 403, 404, 405,
    410, 414, 500, 501, 503,
];
const REQUEST: &[&str] = &[
    "no-cache",
    "max-age=0",
    "max-age=30",
    "max-age=5000",
    "max-stale",
    "max-stale",
    "max-stale=30",
    "max-stale=1000",
    "max-stale=abc",
    "min-fresh=30",
    "min-fresh=1000",
    "only-if-cached",
    "stale-if-error=600",
];

/// Two requests, and the answer to the first.
#[derive(Clone, Debug)]
pub struct Case {
    pub method: &'static str,
    pub authorization: bool,
    pub cookie: bool,
    /// `Cache-Control: no-store` in the first request.
    pub request_no_store: bool,
    pub status: u16,
    pub directives: Vec<&'static str>,
    /// On a line each, rather than on one.
    pub on_lines: bool,
    pub date: Option<String>,
    pub expires: Option<String>,
    pub last_modified: Option<String>,
    pub age: Option<&'static str>,
    /// Name and value of at most one further field.
    pub extra: Option<(&'static str, &'static str)>,
    pub etag: bool,
    /// Seconds that the first answer took, and until the second request.
    pub delay: u64,
    pub later: u64,
    pub asks: Vec<&'static str>,
    pub pragma: bool,
}

/// An HTTP-date so many seconds from the arrival of the first response.
fn at(offset: i64) -> String {
    let at = Wall::from_secs(NOW.saturating_add_signed(offset));
    String::from_utf8(date::format(at).to_vec()).unwrap()
}

pub fn cases() -> impl Strategy<Value = Case> {
    let directive = prop_oneof![24 => select(PLAIN), 1 => select(ODD)];
    let request = (
        prop_oneof![20 => Just("GET"), 1 => Just("HEAD"), 2 => Just("POST")],
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.03),
    );
    let date = prop_oneof![
        2 => Just(None),
        9 => Just(Some(at(0))),
        1 => select(vec![-3, -30, -7_200, 600]).prop_map(|offset| Some(at(offset))),
        1 => select(vec!["foo".to_owned(), "Wednesday, 31-Dec-25 23:59:30 GMT".to_owned()]).prop_map(Some),
    ];
    let expires = prop_oneof![
        6 => Just(None),
        2 => select(vec![-30, 0, 30, 3_600, 100_000]).prop_map(|offset| Some(at(offset))),
        1 => select(vec![
            "0", "-1", "foo", "Thursday, 01-Jan-26 01:00:00 GMT", "Thu Jan  1 01:00:00 2026",
            "Thu, 01 Jan 2026 01:00:00 +0000", "THU, 01 JAN 2026 01:00:00 GMT",
        ]).prop_map(|value| Some(value.to_owned())),
    ];
    let last_modified = prop_oneof![
        2 => Just(None),
        2 => select(vec![-500_000, -86_400, -36_000, -600, 0, 60]).prop_map(|offset| Some(at(offset))),
        1 => Just(Some("foo".to_owned())),
    ];
    let age = prop_oneof![
        12 => Just(None),
        2 => select(&["0", "10", "59", "60", "4000"][..]).prop_map(Some),
        1 => select(&["abc", "-5", "+50", "1.5", "0, 70", "70, 0", "99999999999999999999"][..]).prop_map(Some),
    ];
    let extra = prop_oneof![
        12 => Just(None),
        1 => select(&[
            ("set-cookie", "a=b"),
            ("vary", "*"),
            ("pragma", "no-cache"),
            ("cdn-cache-control", "max-age=120"),
            ("cdn-cache-control", "none"),
            ("content-location", TARGET),
        ][..]).prop_map(Some),
    ];
    let times = (
        select(&[0, 0, 0, 2, 5][..]),
        prop_oneof![select(&[0, 1, 29, 30, 59, 60, 61, 90, 600, 3_599, 3_600, 4_000][..]), 0u64..10_000],
    );
    (
        request,
        select(STATUSES),
        (vec(directive, 0..4), any::<bool>()),
        (date, expires, last_modified, age),
        (extra, prop::bool::weighted(0.4)),
        times,
        (vec(select(REQUEST), 0..3), prop::bool::weighted(0.1)),
    )
        .prop_map(|(request, status, directives, times, rest, wait, later)| Case {
            method: request.0,
            authorization: request.1,
            cookie: request.2,
            request_no_store: request.3,
            status,
            directives: directives.0,
            on_lines: directives.1,
            date: times.0,
            expires: times.1,
            last_modified: times.2,
            age: times.3,
            extra: rest.0,
            etag: rest.1,
            delay: wait.0,
            later: wait.1,
            asks: later.0,
            pragma: later.1,
        })
}

impl Case {
    pub fn request(&self) -> HeaderMap {
        let no_store = self.request_no_store.then_some(("cache-control", "no-store"));
        let credentials = self.authorization.then_some(("authorization", "Basic x"));
        let cookie = self.cookie.then_some(("cookie", "a=b"));
        map([no_store, credentials, cookie].into_iter().flatten())
    }

    pub fn response(&self) -> HeaderMap {
        let one_line = self.directives.join(", ");
        let lines = match self.directives.as_slice() {
            [] => vec![],
            many if self.on_lines => many.to_vec(),
            _ => vec![one_line.as_str()],
        };
        let fields = [
            ("date", self.date.as_deref()),
            ("expires", self.expires.as_deref()),
            ("last-modified", self.last_modified.as_deref()),
            ("age", self.age),
            ("etag", self.etag.then_some("\"v1\"")),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        map(lines.into_iter().map(|line| ("cache-control", line)).chain(fields).chain(self.extra))
    }

    pub fn later_request(&self) -> HeaderMap {
        let asks = self.asks.join(", ");
        let control = (!self.asks.is_empty()).then_some(("cache-control", asks.as_str()));
        map(control.into_iter().chain(self.pragma.then_some(("pragma", "no-cache"))))
    }

    pub fn says(&self, directive: &str) -> bool {
        self.directives.contains(&directive)
    }

    pub fn says_some(&self, prefix: &str) -> bool {
        self.directives.iter().any(|directive| directive.starts_with(prefix))
    }

    pub fn asks(&self, prefix: &str) -> bool {
        self.asks.iter().any(|directive| directive.starts_with(prefix))
    }

    pub fn has(&self, field: &str) -> bool {
        self.extra.is_some_and(|(name, _)| name == field)
    }

    /// A lifetime directive that is no delta-seconds.
    pub fn unreadable(&self) -> bool {
        const NO_NUMBER: [&str; 8] = [
            "max-age",
            "max-age=",
            "max-age=abc",
            "max-age=-60",
            "max-age=60.5",
            "max-age='60'",
            "max-age=+60",
            "max-age =60",
        ];
        NO_NUMBER.iter().any(|directive| self.says(directive))
    }

    pub fn is_of_another_zone(&self) -> bool {
        self.expires.as_deref().is_some_and(|date| date.ends_with("+0000"))
    }

    /// Some directive occurs with two different values, as the other crate sees it: it compares what it has
    /// unquoted with what it has not, and reads the quoted string of `ext="a, max-age=60"` as directives.
    pub fn conflicts(&self) -> bool {
        let quoted = self.says("ext=\"a, max-age=60\"").then_some("max-age=60\"");
        let said: Vec<_> = self
            .directives
            .iter()
            .copied()
            .chain(quoted)
            .map(|directive| {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                (name.trim(), value)
            })
            .collect();
        said.iter().enumerate().any(|(index, (name, value))| {
            said.iter()
                .skip(index + 1)
                .any(|(other, second)| name == other && (value != second || value.starts_with('"')))
        })
    }

    /// RFC 9111 §4.2.4; a lifetime that can't be read may have been `s-maxage`.
    pub fn forbids_stale_use(&self) -> bool {
        self.says("must-revalidate")
            || self.says("proxy-revalidate")
            || self.says_some("s-maxage")
            || self.unreadable()
    }

    /// The age at the second request if the first answer said `Age: stated` (RFC 9111 §4.2.3).
    pub fn aged(&self, stated: u64) -> u64 {
        let date = self.date.as_deref().and_then(|value| date::parse(value.as_bytes()));
        let apparent = date.map_or(0, |date| NOW.saturating_sub(date.secs()));
        apparent.max(stated.saturating_add(self.delay)).saturating_add(self.later)
    }

    /// `Age` as RFC 9111 §5.1 and §1.2.2 have it read.
    pub fn stated_age(&self) -> u64 {
        match self.age {
            Some("99999999999999999999") => u64::MAX,
            Some("70, 0") => 70,
            Some(digits) if !digits.starts_with('+') => digits.parse().unwrap_or(0),
            _ => 0,
        }
    }

    /// Nothing in the response states a lifetime.
    pub fn is_silent(&self) -> bool {
        self.expires.is_none()
            && !self.says_some("max-age")
            && !self.says_some("s-maxage")
            && !self.says_some("MAX-AGE")
    }
}

fn map<'a>(fields: impl IntoIterator<Item = (&'static str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}
