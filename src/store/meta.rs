//! What there is to say of a response beside its body: on its way into the store, and out of it to the other tier or a
//! successor. What is stored says it in fewer bytes ([`super::Entry`]).

use super::entry::Entry;
use crate::purge::{Born, PurgeId, Selectors, Subject};
use crate::semantics::coding;
use crate::semantics::fields::content_type;
use crate::semantics::freshness::Freshness;
use crate::time::{Mono, Wall};
use http::{HeaderMap, HeaderName, StatusCode};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Where a response belongs: `http` or `https`, `host[:port]`, and `path?query` as keyed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub scheme: &'static str,
    pub authority: Box<str>,
    pub url: Box<str>,
}

/// All of a response but its body: known when its head has arrived, and what a 304 renews.
#[derive(Clone, Debug)]
pub struct Meta {
    pub status: StatusCode,
    /// The fields a client gets, in stored form: without hop-by-hop fields, `Age`, tags and this cache's own
    /// control fields, with `Date`.
    pub headers: HeaderMap,
    pub freshness: Freshness,
    /// Fields that steer this cache and that no client sees (`Surrogate-Control` and the like, tags): a 304
    /// that omits them leaves them in force (RFC 9111 §3.2).
    pub control: HeaderMap,
    /// When the response (or the 304 that last confirmed it) arrived.
    pub arrived: Mono,
    /// When the request left that brought or last confirmed it, if this node sent it, else [`crate::purge::sync::NEVER`]. While a node is not known to have heard of every purge, it is what the age of an entry is counted from.
    pub began: Mono,
    pub received: Wall,
    /// Its `Date`, or when it was received: the most recent of several matching entries is used (RFC 9111 §4).
    pub date: Wall,
    /// How long it stays after expiry, for validation and stale-if-error.
    pub keep: Duration,
    /// The request fields that select it (`Vary`), and their normal form in the request that fetched it.
    pub nominated: Arc<[HeaderName]>,
    pub variant: Box<[u8]>,
    /// The purge log's position when its fill began.
    pub born: Born,
    pub selectors: Arc<Selectors>,
    /// What predicates (regex purges) are matched against besides the selectors.
    pub place: Arc<Place>,
    pub raw_tags: Box<str>,
    /// How long the origin took, for early refresh (XFetch).
    pub fetch_time: Duration,
    /// The rule that governed it, for logs and metrics.
    pub rule: Arc<str>,
    /// The origin it came from.
    pub origin: Arc<str>,
}

/// What decisions ask of a response, be it stored or still arriving.
pub trait Described {
    fn status(&self) -> StatusCode;
    fn freshness(&self) -> Freshness;
    fn arrived(&self) -> Mono;
    fn received(&self) -> Wall;
    fn born(&self) -> Born;
    fn nominated(&self) -> &[HeaderName];
    fn variant(&self) -> &[u8];
    fn selectors(&self) -> Cow<'_, Selectors>;
    /// What predicates (regex purges) see.
    fn subject(&self) -> Subject<'_>;
    /// The fields a client gets, to be changed.
    fn headers(&self) -> HeaderMap;
    /// Whether it may have coded forms ([`coding::is_codable`]).
    fn is_codable(&self) -> bool;
    /// How long it stays after expiry.
    fn keep(&self) -> Duration;

    /// `current_age` now (RFC 9111 §4.2.3).
    fn age(&self, now: Mono) -> Duration {
        self.freshness().age(now.since(self.arrived()))
    }

    /// Seconds of freshness left, negative when it is stale.
    fn ttl(&self, now: Mono) -> i64 {
        self.freshness().ttl(self.age(now))
    }

    /// From when on, on the monotonic clock, nobody may have any use for it: expiry plus the longest of the
    /// stale windows and `keep`.
    fn useless_after(&self) -> Mono {
        let freshness = self.freshness();
        let windows = freshness.stale.while_revalidate.max(freshness.stale.if_error).max(self.keep());
        let left = freshness.lifetime.saturating_sub(freshness.initial_age);
        self.arrived().after(left.saturating_add(windows))
    }
}

impl Described for Meta {
    fn status(&self) -> StatusCode {
        self.status
    }
    fn freshness(&self) -> Freshness {
        self.freshness
    }
    fn arrived(&self) -> Mono {
        self.arrived
    }
    fn received(&self) -> Wall {
        self.received
    }
    fn born(&self) -> Born {
        self.born
    }
    fn nominated(&self) -> &[HeaderName] {
        &self.nominated
    }
    fn variant(&self) -> &[u8] {
        &self.variant
    }
    fn selectors(&self) -> Cow<'_, Selectors> {
        Cow::Borrowed(&self.selectors)
    }
    fn subject(&self) -> Subject<'_> {
        Subject {
            authority: &self.place.authority,
            url: &self.place.url,
            tags: Some(&self.raw_tags),
            content_type: Some(content_type(&self.headers).unwrap_or("")),
        }
    }
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }
    fn is_codable(&self) -> bool {
        coding::is_codable(self.status, &self.headers, self.freshness.no_transform)
    }
    fn keep(&self) -> Duration {
        self.keep
    }
}

/// Whose selectors are meant, for who needs them rarely and may not ask for them at once.
#[derive(Clone, Debug)]
pub enum Carrier {
    Described(Arc<Selectors>),
    Stored(Arc<Entry>),
}

impl Carrier {
    pub fn selectors(&self) -> Cow<'_, Selectors> {
        match self {
            Self::Described(selectors) => Cow::Borrowed(selectors),
            Self::Stored(entry) => Cow::Owned(entry.selectors()),
        }
    }
}

/// Orders births: a greater one is later.
pub fn birth_order(born: &Born) -> (PurgeId, u64) {
    (born.id, born.local)
}
