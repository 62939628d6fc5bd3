//! All stored variants of one key, replaced as a whole on every change, so that a reader never sees half of one.

use super::entry::{Described, Entry, birth_order};
use crate::semantics::vary;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variants of one key, most recent first. Never empty in the store.
#[derive(Debug, Default)]
pub struct Resource {
    pub variants: SmallVec<[Arc<Entry>; 1]>,
    /// It has left the store, or another has taken its place.
    left: AtomicBool,
}

impl Resource {
    pub fn new(variants: impl Into<SmallVec<[Arc<Entry>; 1]>>) -> Self {
        Self { variants: variants.into(), left: AtomicBool::new(false) }
    }

    /// Whether it is what the store has, or is about to have, under its key. Once false it stays so: who keeps a copy
    /// ([`super::Near`]) asks before each use (rulings 22). False by the time the write that replaced it has returned.
    pub fn is_current(&self) -> bool {
        !self.left.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// The entry this request selects (RFC 9111 §4.1): among those whose nominated fields match, one with a
    /// `Vary` before one without, then the most recent by `Date`.
    pub fn select(&self, request: &HeaderMap) -> Option<&Arc<Entry>> {
        if let [only] = self.variants.as_slice()
            && only.nominated().is_empty()
        {
            return Some(only);
        }
        /// What a `Vary` nominates, and its normal form in this request.
        type Variant<'a> = (&'a [HeaderName], Box<[u8]>);
        let mut computed: Option<Variant<'_>> = None;
        let mut best: Option<&Arc<Entry>> = None;
        for entry in &self.variants {
            let nominated = entry.nominated();
            let matches = nominated.is_empty() || {
                let fits = |c: &Variant<'_>| std::ptr::eq(c.0, nominated) || c.0 == nominated;
                if !computed.as_ref().is_some_and(fits) {
                    computed = Some((nominated, vary::variant(nominated, request)));
                }
                computed.as_ref().is_some_and(|(_, v)| **v == *entry.variant())
            };
            let rank = |e: &Entry| (!e.nominated().is_empty(), e.date);
            if matches && best.is_none_or(|b| rank(entry) > rank(b)) {
                best = Some(entry);
            }
        }
        best
    }

    /// What a request for a variant that is not stored is told apart by: the normal form of the most recent
    /// entry's nominated fields. Requests for different variants must not wait for each other.
    pub fn variant_hint(&self, request: &HeaderMap) -> Option<Box<[u8]>> {
        let newest = self.variants.iter().find(|e| !e.nominated().is_empty())?;
        Some(vary::variant(newest.nominated(), request))
    }

    /// This resource with `entry` first: it takes the place of the entry for the same variant; at most `max`
    /// remain, and how many the limit pushed out is returned. `None` when what is there was born later: an
    /// older fill never replaces a newer one (rulings 22).
    pub fn with(&self, entry: Arc<Entry>, max: usize) -> Option<(Resource, usize)> {
        let same = |e: &Arc<Entry>| e.nominated() == entry.nominated() && e.variant() == entry.variant();
        if self.variants.iter().any(|e| same(e) && birth_order(&e.born) > birth_order(&entry.born)) {
            return None;
        }
        let mut variants = SmallVec::with_capacity(self.variants.len() + 1);
        variants.push(entry.clone());
        variants.extend(self.variants.iter().filter(|e| !same(e)).cloned());
        let dropped = variants.len().saturating_sub(max.max(1));
        variants.truncate(max.max(1));
        Some((Resource::new(variants), dropped))
    }

    /// This resource with `old` replaced by `new`; `None` when `old` is no longer in it.
    pub fn replaced(&self, old: &Arc<Entry>, new: Arc<Entry>) -> Option<Resource> {
        let at = self.variants.iter().position(|e| Arc::ptr_eq(e, old))?;
        let mut variants = self.variants.clone();
        if let Some(slot) = variants.get_mut(at) {
            *slot = new;
        }
        Some(Resource::new(variants))
    }

    /// This resource without `gone`; `None` when nothing would change.
    pub fn without(&self, gone: &Arc<Entry>) -> Option<Resource> {
        let variants: SmallVec<[_; 1]> =
            self.variants.iter().filter(|e| !Arc::ptr_eq(e, gone)).cloned().collect();
        (variants.len() != self.variants.len()).then_some(Resource::new(variants))
    }

    pub fn weight(&self) -> u64 {
        self.variants.iter().map(|e| e.weight()).fold(0, u64::saturating_add)
    }
}
