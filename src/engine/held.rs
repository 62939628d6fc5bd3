//! What a look-up brought, and where the request goes from there.

use crate::engine::plan::{Found, Seen, ValidateWhy};
use crate::engine::site::Engine;
use crate::semantics::cache_status::Forward;
use crate::semantics::validate;
use crate::store::entry::Described;
use crate::store::{Entry, Resource};
use crate::time::Now;
use http::HeaderMap;
use std::sync::Arc;

/// What the store had when we looked.
pub(super) struct Held {
    pub resource: Option<Resource>,
    /// The key is stored, but none of its variants fits.
    pub other_variants: bool,
    pub entry: Option<(Arc<Entry>, Seen)>,
    /// This node may have missed a purge of it.
    pub unsynced: bool,
}

impl Held {
    pub(super) fn variant_hint(&self, headers: &HeaderMap) -> Option<Box<[u8]>> {
        self.resource.as_ref()?.variant_hint(headers)
    }

    /// What a conditional request may name: the selected entry, unless it was purged for good (rulings 14). Other
    /// variants are not offered: where `Vary` selects none, nothing says that this request could have one.
    pub(super) fn candidate(&self, engine: &Engine) -> Option<Arc<Entry>> {
        let (entry, _) = self.entry.as_ref()?;
        let usable =
            validate::has_validator(&**entry) && engine.verdict(entry) != crate::purge::Verdict::Hard;
        usable.then(|| entry.clone())
    }
}

/// As the plan takes it.
pub(super) fn found(entry: &Entry, seen: Seen, now: Now) -> Found {
    Found { freshness: entry.freshness(), age: entry.age(now.mono), verdict: seen, unsynced: false }
}

/// Where a request is going, and why.
#[derive(Clone, Copy)]
pub(super) struct Going {
    pub forward: Forward,
    pub why: Option<ValidateWhy>,
}
