//! All stored variants of one key, replaced as a whole on every change, so that a reader never sees half of one.

use super::entry::{Described, Entry, birth_order, rounded};
use super::kept::Kept;
use super::key::Key;
use crate::semantics::vary;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variants of one key, most recent first. Never empty in the store. As cheap to clone as a pointer.
#[derive(Clone, Debug)]
pub struct Resource(Held);

/// Most keys have one variant, which needs no list.
#[derive(Clone, Debug)]
enum Held {
    One(Arc<Entry>),
    Several(Arc<Several>),
}

#[derive(Debug)]
struct Several {
    variants: Box<[Arc<Entry>]>,
    stored: AtomicBool,
}

impl Resource {
    pub fn new(variants: impl Into<SmallVec<[Arc<Entry>; 1]>>) -> Self {
        match variants.into().into_inner() {
            Ok([only]) => Self(Held::One(only)),
            Err(variants) => {
                let variants = variants.into_vec().into_boxed_slice();
                Self(Held::Several(Arc::new(Several { variants, stored: AtomicBool::new(false) })))
            }
        }
    }

    pub fn variants(&self) -> &[Arc<Entry>] {
        match &self.0 {
            Held::One(only) => std::slice::from_ref(only),
            Held::Several(several) => &several.variants,
        }
    }

    /// Whether it is what the store has under its key. Who keeps a copy ([`super::Near`]) asks before each use (rulings 22). It
    /// changes with the store itself, under the lock of the map: false by the time the write that replaced it has returned, and true
    /// again only if the very same is stored again.
    pub fn is_current(&self) -> bool {
        self.mark().load(Ordering::Acquire)
    }

    fn mark(&self) -> &AtomicBool {
        match &self.0 {
            Held::One(only) => &only.seat.is_alone,
            Held::Several(several) => &several.stored,
        }
    }

    /// Whether both are the same, and not only equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Held::One(a), Held::One(b)) => Arc::ptr_eq(a, b),
            (Held::Several(a), Held::Several(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The entry this request selects (RFC 9111 §4.1): among those whose nominated fields match, one with a
    /// `Vary` before one without, then the most recent by `Date`.
    pub fn select(&self, request: &HeaderMap) -> Option<&Arc<Entry>> {
        if let [only] = self.variants()
            && only.nominated().is_empty()
        {
            return Some(only);
        }
        /// What a `Vary` nominates, and its normal form in this request.
        type Variant<'a> = (&'a [HeaderName], Box<[u8]>);
        let mut computed: Option<Variant<'_>> = None;
        let mut best: Option<&Arc<Entry>> = None;
        for entry in self.variants() {
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
        let newest = self.variants().iter().find(|e| !e.nominated().is_empty())?;
        Some(vary::variant(newest.nominated(), request))
    }

    /// This resource with `entry` first: it takes the place of the entry for the same variant; at most `max`
    /// remain, and how many the limit pushed out is returned. `None` when what is there was born later: an
    /// older fill never replaces a newer one (rulings 22).
    pub fn with(&self, entry: Arc<Entry>, max: usize) -> Option<(Resource, usize)> {
        let same = |e: &Arc<Entry>| e.nominated() == entry.nominated() && e.variant() == entry.variant();
        if self.variants().iter().any(|e| same(e) && birth_order(&e.born) > birth_order(&entry.born)) {
            return None;
        }
        let mut variants = SmallVec::with_capacity(self.variants().len() + 1);
        variants.push(entry.clone());
        variants.extend(self.variants().iter().filter(|e| !same(e)).cloned());
        let dropped = variants.len().saturating_sub(max.max(1));
        variants.truncate(max.max(1));
        Some((Resource::new(variants), dropped))
    }

    /// This resource with `old` replaced by `new`; `None` when `old` is no longer in it.
    pub fn replaced(&self, old: &Arc<Entry>, new: Arc<Entry>) -> Option<Resource> {
        let at = self.variants().iter().position(|e| Arc::ptr_eq(e, old))?;
        let mut variants: SmallVec<[_; 1]> = self.variants().into();
        if let Some(slot) = variants.get_mut(at) {
            *slot = new;
        }
        Some(Resource::new(variants))
    }

    /// This resource without `gone`; `None` when nothing would change.
    pub fn without(&self, gone: &Arc<Entry>) -> Option<Resource> {
        let variants: SmallVec<[_; 1]> =
            self.variants().iter().filter(|e| !Arc::ptr_eq(e, gone)).cloned().collect();
        (variants.len() != self.variants().len()).then_some(Resource::new(variants))
    }

    pub fn weight(&self) -> u64 {
        let list = match &self.0 {
            Held::One(_) => 0,
            Held::Several(several) => {
                rounded(16 + size_of::<Several>()) + rounded(size_of_val(&*several.variants))
            }
        };
        self.variants().iter().map(|e| e.weight()).fold(list as u64, u64::saturating_add)
    }
}

impl Kept for Resource {
    fn is_under(&self, key: &Key) -> bool {
        self.variants().first().is_some_and(|entry| entry.is_under(key))
    }
    fn key(&self, hash: u64) -> Option<Key> {
        self.variants().first().map(|entry| entry.usual_key(hash))
    }
    fn is_same(&self, other: &Self) -> bool {
        Resource::is_same(self, other)
    }
    fn comes(&self) {
        self.mark().store(true, Ordering::Release);
    }
    fn goes(&self) {
        self.mark().store(false, Ordering::Release);
    }
}
