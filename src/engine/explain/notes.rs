//! What each reason means, which paragraph it comes from, and what somebody who wants the page cached can do about it: one
//! table over all the words of decisions and refusals. The matches have no wildcard, so that a new word can't be
//! forgotten here.

use crate::engine::draft::Refused;
use crate::engine::markers::Mark;
use crate::engine::plan::{PassWhy, StaleWhy, ValidateWhy};
use crate::semantics::cache_status::Forward;
use crate::semantics::freshness::{Forbids, Source};
use crate::semantics::reuse::Why;
use crate::semantics::storable::NotStored;

/// One reason, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it means, a clause without a full stop.
    pub says: &'static str,
    /// Where that is laid down: an RFC's paragraph, or the configuration's field.
    pub source: &'static str,
    /// What to change to have it cached; `None` where there is nothing to want.
    pub advice: Option<&'static str>,
}

const fn note(says: &'static str, source: &'static str, advice: &'static str) -> Note {
    Note { says, source, advice: Some(advice) }
}

const fn fine(says: &'static str, source: &'static str) -> Note {
    Note { says, source, advice: None }
}

const SHORTER_PATHS: &str = "use shorter paths; there is no rule for this";
const LARGER_OBJECTS: &str = "raise `memory.max_object`, if there is the memory for it";
const CLIENTS_DECIDE: &str = "set `client_revalidate: ignore` in a rule, if clients are not to decide that";

pub const fn refused(why: Refused) -> Note {
    match why {
        Refused::Semantics(why) => not_stored(why),
        Refused::Tags => note(
            "it has more than 1,024 tags, or one of more than 1,024 bytes, and what can't be purged is not kept",
            "docs/purging.md",
            "send fewer or shorter tags, or purge by a common prefix of the URL instead",
        ),
        Refused::PathTooDeep => note(
            "its path has more than 32 segments, and no purge by prefix could be sure to reach it",
            "docs/purging.md",
            SHORTER_PATHS,
        ),
        Refused::TooLarge => note(
            "its body is larger than the largest object that is kept",
            "memory.max_object",
            LARGER_OBJECTS,
        ),
        Refused::Incomplete => note(
            "its body broke off before its end",
            "RFC 9112 §8",
            "look at the origin: it announced more bytes than it sent, or closed the connection",
        ),
        Refused::FillBudget => note(
            "too many bodies were being downloaded at once to keep this one as well",
            "memory.capacity",
            "raise `memory.capacity`: downloads may take a quarter of it on top",
        ),
        Refused::Superseded => {
            fine("a newer answer was stored, or a purge came, while it was on its way", "docs/purging.md")
        }
    }
}

const fn not_stored(why: NotStored) -> Note {
    match why {
        NotStored::Method => {
            fine("only answers to GET, and to reads keyed by their body, are stored", "RFC 9111 §3")
        }
        NotStored::RequestNoStore => note(
            "the client asked with `Cache-Control: no-store` that its answer be stored nowhere",
            "RFC 9111 §5.2.1.5",
            "have the client leave `no-store` away: other clients' requests are not affected",
        ),
        NotStored::NoStore => note(
            "the origin says `no-store`",
            "RFC 9111 §5.2.2.5",
            "fix the origin, have it send `CDN-Cache-Control: max-age=…` for caches like this one, or set `ttl` with `force: true` in a rule",
        ),
        NotStored::Private => note(
            "the origin says `private`: it is meant for one user",
            "RFC 9111 §5.2.2.7",
            "if everybody gets the same page, fix the origin, have it send `CDN-Cache-Control: max-age=…`, or set `ttl` with `force: true` in a rule",
        ),
        NotStored::Authorization => note(
            "the request carried `Authorization`, and the answer doesn't say that it may be shared all the same",
            "RFC 9111 §3.5",
            "have the origin send `public` or `s-maxage` if everybody with a right to it gets the same; no rule lifts this",
        ),
        NotStored::SetCookie => note(
            "it sets a cookie, which everybody else would get too",
            "RFC 9111 §7.3",
            "fix the origin so that it sets no cookie on public pages, or set `set_cookie: strip` in a rule to store and serve it without",
        ),
        NotStored::VaryStar => note(
            "`Vary: *`, or a `Vary` that can't be read: no later request is known to want the same",
            "RFC 9111 §4.1",
            "have the origin name the request fields that matter in `Vary`; no rule lifts this",
        ),
        NotStored::Status => fine(
            "answers with this status belong to one request (206, 304, 412, 416) or are not final",
            "RFC 9111 §3",
        ),
        NotStored::NotUnderstood => note(
            "`must-understand` with a status that this cache doesn't know",
            "RFC 9111 §5.2.2.3",
            "have the origin send a status of RFC 9110, or leave `must-understand` away",
        ),
        NotStored::ErrorStatus => note(
            "it is an error, and no rule asks for errors of this kind to be kept",
            "RFC 9111 §3",
            "add a rule with `match: { status: […] }` that names the status and sets `ttl`, if it is to be kept",
        ),
        NotStored::NoLifetime => note(
            "nothing says for how long it is fresh, and nothing allows a guess",
            "RFC 9111 §4.2",
            "have the origin send `Cache-Control: max-age=…`, or set `ttl` (always) or `default_ttl` (where the origin is silent) in a rule",
        ),
        NotStored::NoValidator => note(
            "it would have to be validated before each use, and has nothing to validate with",
            "RFC 9111 §4.3.1",
            "have the origin send an `ETag` or `Last-Modified` beside `no-cache` or `max-age=0`, or set `ttl` in a rule (with `force: true` against `no-cache`)",
        ),
    }
}

pub const fn pass(why: PassWhy) -> Note {
    match why {
        PassWhy::Rule => note(
            "a rule says `cache: bypass`: neither looked up nor stored",
            "rules[].cache",
            "take `cache: bypass` out of that rule, or add a later one with `cache: on`",
        ),
        PassWhy::Method => fine("only GET and HEAD are answered from the store", "RFC 9111 §4"),
        PassWhy::Body => note(
            "a GET or HEAD with a body may mean something else than one without",
            "RFC 9110 §9.3.1",
            "send what selects the answer in the URL, or use QUERY or POST with `key.body`",
        ),
        PassWhy::BodyTooLarge => note(
            "a rule keys it by its body, and the body is larger than the rule's `max`, or of unknown length",
            "rules[].key.body",
            "raise `key.body.max` in that rule, or send a `Content-Length`",
        ),
        PassWhy::Precondition => note(
            "`If-Match` and `If-Unmodified-Since` are for the origin to judge",
            "RFC 9111 §4.3.2",
            "send `If-None-Match` or `If-Modified-Since` instead, which the store may answer",
        ),
        PassWhy::AmbiguousPath => note(
            "its path reads two ways, as sent and decoded, and different rules match: it may be an attempt to slip past one",
            "rules[].match.path",
            "ask for the plain form of the path, without encoded slashes, dots or backslashes",
        ),
        PassWhy::ConnectionNamed => note(
            "`Connection` names a field that selects or authorises the answer, which the origin would not see",
            "RFC 9110 §7.6.1",
            "fix the client: `Connection` may name hop-by-hop fields only",
        ),
        PassWhy::Upgrade => fine("it asks for another protocol", "RFC 9110 §7.8"),
        PassWhy::RangeOfLargeObject => note(
            "it asks for a range of an object that is known to be too large to be kept",
            "memory.max_object",
            LARGER_OBJECTS,
        ),
        PassWhy::Head => fine(
            "a HEAD that the store can't answer is sent on by itself; a GET would be stored",
            "RFC 9110 §9.3.2",
        ),
        PassWhy::Unselectable => note(
            "its path has more than 32 segments, or its URL no normal form: no purge could be sure to reach it",
            "docs/purging.md",
            SHORTER_PATHS,
        ),
        PassWhy::ReadYourWrites => fine(
            "its client has just changed something, and reads past the cache for a while",
            "rules[].read_your_writes",
        ),
        PassWhy::Unsynced => note(
            "this node is cut off from the fleet's purge log, and `when_unsynced` is `bypass`",
            "shared.when_unsynced",
            "bring the shared store back; or set `when_unsynced: revalidate`, which asks the origin once per key and period",
        ),
    }
}

pub const fn validate(why: ValidateWhy) -> Note {
    match why {
        ValidateWhy::Reuse(why) => reuse(why),
        ValidateWhy::Invalidated => fine(
            "a purge in mode invalidate, or a write to this URL, asks for the origin's word before the next use",
            "RFC 9111 §4.4",
        ),
        ValidateWhy::Unsynced => note(
            "this node is cut off from the fleet's purge log: a purge may have been missed",
            "shared.when_unsynced",
            "bring the shared store back; `docs/fleet.md` says what the settings trade",
        ),
    }
}

const fn reuse(why: Why) -> Note {
    match why {
        Why::Stale => note(
            "its lifetime is over, and nothing allows a stale answer",
            "RFC 9111 §4.2.4",
            "have the origin send a longer `max-age` or `stale-while-revalidate`, or set `ttl` or `stale_while_revalidate` in a rule",
        ),
        Why::NoCache => note(
            "the origin says `no-cache`: every use needs its word",
            "RFC 9111 §5.2.2.4",
            "have the origin send a lifetime instead of `no-cache`, or set `ttl` with `force: true` in a rule",
        ),
        Why::RequestNoCache => {
            note("the client asks with `no-cache` for the origin's word", "RFC 9111 §5.2.1.4", CLIENTS_DECIDE)
        }
        Why::RequestMaxAge => {
            note("the client asks with `max-age` for something younger", "RFC 9111 §5.2.1.1", CLIENTS_DECIDE)
        }
        Why::RequestMinFresh => note(
            "the client asks with `min-fresh` for something that stays fresh longer",
            "RFC 9111 §5.2.1.3",
            CLIENTS_DECIDE,
        ),
    }
}

pub const fn stale(why: StaleWhy) -> Note {
    match why {
        StaleWhy::WhileRevalidate => fine(
            "its lifetime is over; it is served stale while it is fetched anew in the background",
            "RFC 5861 §3",
        ),
        StaleWhy::MaxStale => {
            fine("its lifetime is over, and the client's `max-stale` accepts that", "RFC 9111 §5.2.1.2")
        }
        StaleWhy::IfError => fine("the origin fails, and `stale-if-error` covers for it", "RFC 5861 §4"),
        StaleWhy::Disconnected => {
            fine("the origin can't be reached, and nothing forbids a stale answer", "RFC 9111 §4.2.4")
        }
    }
}

/// Why a rule's `stale_while_revalidate` or `stale_if_error` does nothing for a page.
pub const fn forbids_stale(why: Forbids) -> Note {
    match why {
        Forbids::NoCache => note(
            "the origin says `no-cache`: every use needs its word",
            "RFC 9111 §5.2.2.4",
            "have the origin send a lifetime instead of `no-cache`",
        ),
        Forbids::MustRevalidate => note(
            "the origin says `must-revalidate`",
            "RFC 9111 §5.2.2.2",
            "have the origin leave `must-revalidate` away; no rule lifts it",
        ),
        Forbids::ProxyRevalidate => note(
            "the origin says `proxy-revalidate`",
            "RFC 9111 §5.2.2.8",
            "have the origin leave `proxy-revalidate` away; no rule lifts it",
        ),
        Forbids::SMaxage => note(
            "the origin's `s-maxage` forbids it where no `stale-…` directive stands beside it",
            "RFC 9111 §5.2.2.10",
            "have the origin send `stale-while-revalidate` or `stale-if-error` in the same field, or set `stale_despite_s_maxage: true` in the rule",
        ),
        Forbids::Unreadable => note(
            "the origin sends a lifetime that can't be read",
            "RFC 9111 §4.2.1",
            "fix the origin's `Cache-Control`",
        ),
    }
}

/// Why a request goes forward for want of anything usable.
pub const fn forward(why: Forward) -> Note {
    match why {
        Forward::UriMiss => fine("nothing is stored under its key", "RFC 9111 §4"),
        Forward::VaryMiss => fine(
            "the key is stored, but no variant of it is for a request with these fields",
            "RFC 9111 §4.1",
        ),
        Forward::Stale => fine("what is stored was purged for good", "docs/purging.md"),
        Forward::Bypass => fine("the store is not asked", "RFC 9211 §2.2"),
        Forward::Method => fine("the store has no part in this method", "RFC 9111 §4"),
        Forward::Miss => fine("nothing usable is stored", "RFC 9111 §4"),
        Forward::Request => fine("the request asks for the origin's word", "RFC 9111 §5.2.1"),
        Forward::Partial => fine("only a part of it is stored", "RFC 9111 §3.3"),
    }
}

pub const fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::NotShareable => {
            "the last answer could not be shared, so that requests don't wait for each other's"
        }
        Mark::NotShareableAuthorized => {
            "the last answer to a request with `Authorization` could not be shared; such requests don't wait for each other's"
        }
        Mark::NotShareableWithCookie => {
            "the last answer to a request with `Cookie` could not be shared; such requests don't wait for each other's"
        }
        Mark::TooLarge => "the object is too large to be kept; ranges of it are asked for as ranges",
    }
}

/// Where a lifetime comes from, and the paragraph.
pub const fn lifetime(source: Source) -> (&'static str, &'static str) {
    match source {
        Source::Rule => ("a rule's `ttl`", "rules[].ttl"),
        Source::SMaxage => ("the origin's `s-maxage`", "RFC 9111 §5.2.2.10"),
        Source::MaxAge => ("the origin's `max-age`", "RFC 9111 §5.2.2.1"),
        Source::Expires => ("the origin's `Expires`", "RFC 9111 §5.3"),
        Source::Negative => ("a rule's `negative_ttl`", "rules[].negative_ttl"),
        Source::Default => ("a rule's `default_ttl`", "rules[].default_ttl"),
        Source::Heuristic => ("a guess from `Last-Modified`", "RFC 9111 §4.2.2"),
        Source::None => ("nowhere: it is validated before each use", "RFC 9111 §4.3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a configuration or a document that exists, or an RFC with a paragraph.
    fn is_a_source(text: &str) -> bool {
        let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(text).is_file();
        let rfc = text.strip_prefix("RFC ").and_then(|rest| rest.split_once(" §"));
        let rfc = rfc.is_some_and(|(number, paragraph)| {
            number.len() == 4 && paragraph.starts_with(|c: char| c.is_ascii_digit())
        });
        let field = ["rules[].", "memory.", "shared."].iter().any(|section| text.starts_with(section));
        document || rfc || field
    }

    #[test]
    fn every_reason_names_its_source_and_whoever_is_kept_from_caching_is_told_what_to_do() {
        let stored = NotStored::ALL.map(|why| refused(Refused::Semantics(why)));
        let own = Refused::OWN.map(refused);
        let stale = StaleWhy::ALL.map(stale);
        let forbids = Forbids::ALL.map(forbids_stale);
        for note in stored.iter().chain(&own).chain(&stale).chain(&forbids) {
            assert!(is_a_source(note.source), "{note:?}");
            assert!(!note.says.is_empty() && !note.says.ends_with('.'), "{note:?}");
        }
        let silent = |why: &NotStored| refused(Refused::Semantics(*why)).advice.is_none();
        let silent: Vec<_> = NotStored::ALL.iter().copied().filter(silent).collect();
        assert_eq!(silent, [NotStored::Method, NotStored::Status]);
    }
}
