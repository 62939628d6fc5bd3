//! What [`Engine::explain`](super) tells, as data: the JSON of `POST /explain` is this, member by member.

use serde::Serialize;

/// The trace of one request that was not made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explained {
    pub request: RequestShown,
    pub decision: Decision,
    /// What could be changed to have it cached, or served from the store more often; one sentence each.
    pub advice: Vec<String>,
    /// Those that match, top to bottom.
    pub rules: Vec<RuleShown>,
    /// `None` where the request never comes to the store.
    pub key: Option<KeyShown>,
    /// All that is stored under the key.
    pub variants: Vec<VariantShown>,
    /// The variant that this request selects.
    pub entry: Option<EntryShown>,
    /// Purges that select the entry, or, where nothing is stored, this URL; the newest first.
    pub purges: Vec<PurgeShown>,
    pub remembered: Remembered,
    /// Somebody's request for the same key is at the origin.
    pub fetch_under_way: bool,
    pub origin: Option<OriginShown>,
    /// All of it in sentences, in the order in which it is decided.
    pub steps: Vec<Step>,
}

/// The request in normal form.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RequestShown {
    pub method: String,
    pub url: String,
    /// Names of fields that are taken away before anything is decided: hop-by-hop, or not a client's to set.
    pub removed_fields: Vec<String>,
}

/// What would be done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Decision {
    /// See [`Action`].
    pub action: &'static str,
    /// As in the access log: `hit`, `stale`, `miss`, `revalidated`, `pass`, `error`.
    pub outcome: &'static str,
    /// The word in `Cache-Status`, the log and the metrics; empty for a plain hit or miss.
    pub reason: &'static str,
    /// Where it is known without asking the origin.
    pub status: Option<u16>,
    /// The same, as far as it is known.
    pub cache_status: Option<String>,
    /// It is fetched anew in the background as well.
    pub refresh: bool,
    /// The shared tier is asked before the origin. What it holds is not looked up for an explanation.
    pub asks_shared_tier: bool,
    pub says: String,
    /// The RFC's paragraph, the configuration's field or the document that decides it.
    pub source: &'static str,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answered from the store.
    Serve,
    /// The origin is asked whether what is stored still holds.
    Revalidate,
    /// Fetched from the origin in full.
    Fetch,
    /// Sent on as it is.
    Pass,
    /// Answered by a rule, or by the proxy itself.
    Respond,
    /// Answered with an error.
    Refuse,
}

impl Action {
    pub const ALL: [Self; 6] =
        [Self::Serve, Self::Revalidate, Self::Fetch, Self::Pass, Self::Respond, Self::Refuse];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Revalidate => "revalidate",
            Self::Fetch => "fetch",
            Self::Pass => "pass",
            Self::Respond => "respond",
            Self::Refuse => "refuse",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleShown {
    pub name: String,
    /// `request`, or `response` for a rule that looks at status or content type.
    pub decided_by: &'static str,
    /// `None`: the answer will tell.
    pub matches: Option<bool>,
    pub sets: Vec<FieldShown>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FieldShown {
    pub field: String,
    pub value: String,
    /// The rule further down that sets the same field.
    pub overridden_by: Option<String>,
}

/// What the entry is found by.
#[derive(Clone, Debug, Serialize)]
pub struct KeyShown {
    pub scheme: String,
    pub host: String,
    pub path: String,
    /// As keyed and as sent to the origin.
    pub query: Option<String>,
    /// Names of parameters that are left out of both.
    pub query_removed: Vec<String>,
    pub origin: String,
    /// Rules whose conditions on header fields or cookies hold, which parts the cache.
    pub rules: Vec<String>,
    pub headers: Vec<ValueShown>,
    /// Names only: the values may be secrets.
    pub cookies: Vec<String>,
    /// The body is part of it. What is explained has none.
    pub body: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueShown {
    pub name: String,
    /// `None` = absent.
    pub value: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct VariantShown {
    /// The fields that `Vary` names, and their normal form in the request that fetched it.
    pub vary: Vec<ValueShown>,
    pub selected: bool,
    pub status: u16,
    pub age_s: u64,
    /// Negative once stale.
    pub ttl_s: i64,
    pub body_bytes: u64,
    /// `null`, or what a purge did to it.
    pub purged: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct EntryShown {
    pub status: u16,
    pub tier: &'static str,
    /// When it arrived, or was last confirmed.
    pub received: String,
    pub age_s: u64,
    pub lifetime_s: u64,
    /// Negative once stale; counted from the purge after a soft one.
    pub ttl_s: i64,
    /// One word: `rule`, `s-maxage`, `max-age`, `expires`, `negative-ttl`, `default-ttl`, `heuristic`, `none`.
    pub lifetime_from: &'static str,
    /// The header field that governs caching, or the rule that sets the lifetime.
    pub lifetime_by: String,
    pub must_validate: bool,
    pub stale_while_revalidate_s: u64,
    pub stale_if_error_s: u64,
    /// What the origin says that forbids stale use, but for windows of its own, and no rule lifts: `no-cache`, `must-revalidate`,
    /// `proxy-revalidate`, `s-maxage`, `unreadable-lifetime`.
    pub stale_forbidden_by: Option<&'static str>,
    /// How long it stays after expiry, to be validated.
    pub keep_s: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub tags: Vec<String>,
    pub body_bytes: u64,
    /// With fields and bookkeeping, as charged to `memory.capacity`.
    pub memory_bytes: u64,
    pub rule: String,
    pub origin: String,
    pub purged: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct PurgeShown {
    /// `tag product:7`, `prefix shop.example.com/blog`, `everything`, ….
    pub what: String,
    pub mode: &'static str,
    /// `request`, or `write` for RFC 9111 §4.4.
    pub cause: &'static str,
    /// `None` while it is not in the fleet's log.
    pub id: Option<String>,
    pub when: Option<String>,
    pub ago_s: Option<u64>,
    pub who: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Remembered {
    /// `not-shareable`, `not-shareable-authorized`, `not-shareable-with-cookie`, `too-large`.
    pub mark: Option<&'static str>,
    /// Of the last ten minutes.
    pub not_stored: Option<NotStoredShown>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct NotStoredShown {
    pub reason: &'static str,
    pub status: u16,
    pub ago_s: u64,
    pub says: &'static str,
    pub source: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct OriginShown {
    pub name: String,
    pub servers: usize,
    /// Healthy, and not left alone by the breaker.
    pub usable: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub step: &'static str,
    pub says: String,
    pub details: Vec<String>,
    pub source: Option<&'static str>,
}
