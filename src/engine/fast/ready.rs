//! What one thread keeps at hand for a raw host and target: the key, the stored resource, and of its variants those that
//! requests of this thread have selected, each with the policy that governs it.
//!
//! Which variant a request selects was found out once, by the normal form of the fields that `Vary` nominates. It is remembered by
//! those fields as they were sent: the same bytes have the same normal form.

use super::Fields;
use super::head;
use super::memo::{Asked, Governed, Memo, Plain};
use crate::engine::site::Engine;
use crate::semantics::coding::Coding;
use crate::store::entry::Described;
use crate::store::{Entry, Key, Resource};
use http::HeaderName;
use smallvec::SmallVec;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Spellings of one resource that are remembered. Most resources have one, or one per browser.
const CHOICES: usize = 8;

/// How long what has left the store may stay with a thread that does nothing.
const SWEEP: Duration = Duration::from_secs(1);

/// See the head of this file. Immutable: another spelling makes another.
#[derive(Debug)]
pub struct Ready {
    asked: Asked,
    key: Key,
    resource: Resource,
    /// What any of the variants nominates.
    nominated: Arc<[HeaderName]>,
    choices: SmallVec<[Choice; 1]>,
}

#[derive(Clone, Debug)]
struct Choice {
    /// The nominated fields as sent.
    spelling: Box<[u8]>,
    entry: Arc<Entry>,
    governed: Arc<Governed>,
    /// Of a whole answer over HTTP/2, once there was one; see [`Ready::fields`].
    fields: [OnceLock<Option<head::Fields>>; 1 + Coding::ALL.len()],
}

type Spelling = SmallVec<[u8; 256]>;

impl Ready {
    pub(super) fn entry(&self, choice: usize) -> &Entry {
        &self.choice(choice).entry
    }

    /// The place of the prepared fields of a form, which once made is never another.
    pub(super) fn fields(&self, choice: usize, form: Option<Coding>) -> &OnceLock<Option<head::Fields>> {
        let [plain, coded @ ..] = &self.choice(choice).fields;
        let at = form.and_then(|form| Coding::ALL.iter().position(|coding| *coding == form));
        at.and_then(|at| coded.get(at)).unwrap_or(plain)
    }

    pub(super) fn governed(&self, choice: usize) -> &Governed {
        &self.choice(choice).governed
    }

    #[allow(clippy::indexing_slicing)] // from `choose`, of this very value, which never changes
    fn choice(&self, choice: usize) -> &Choice {
        &self.choices[choice]
    }

    fn is(&self, plain: &Plain<'_>, generation: u64) -> bool {
        self.asked.is(plain, generation) && self.resource.is_current()
    }

    fn choose(&self, fields: &impl Fields) -> Option<usize> {
        if self.nominated.is_empty() {
            return Some(0);
        }
        let asked = spelling(&self.nominated, fields);
        self.choices.iter().position(|choice| *choice.spelling == *asked)
    }
}

/// The values of each name, in order; nothing that is sent can look like something else.
fn spelling(nominated: &[HeaderName], fields: &impl Fields) -> Spelling {
    let mut out = Spelling::new();
    for name in nominated {
        fields(name, &mut |value| {
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(value);
        });
        out.extend_from_slice(&u32::MAX.to_le_bytes());
    }
    out
}

impl Engine {
    /// What this thread has at hand for this request.
    pub(super) fn find_ready(
        &self,
        hash: u64,
        plain: &Plain<'_>,
        fields: &impl Fields,
    ) -> Option<(Arc<Ready>, usize)> {
        let generation = self.generation.load(Ordering::Acquire);
        let found = self.near.get(hash, |ready| ready.is(plain, generation))?;
        let ready = found.value;
        if found.tell && !self.memory.get(&ready.key).is_some_and(|stored| stored.is_same(&ready.resource)) {
            return None;
        }
        let choice = ready.choose(fields)?;
        Some((ready, choice))
    }

    /// Keeps at hand what was found in the store, if it is asked for often enough.
    pub(super) fn make_ready(
        &self,
        hash: u64,
        plain: &Plain<'_>,
        memo: &Memo,
        resource: &Resource,
        (entry, governed): (&Arc<Entry>, &Arc<Governed>),
        fields: &impl Fields,
    ) {
        let weight = resource.weight();
        let known = self.near.get(hash, |ready| ready.resource.is_same(resource)).map(|found| found.value);
        if known.is_none() && !self.near.has_room(hash, weight) {
            return;
        }
        let (nominated, mut choices) = match known {
            Some(ready) => (ready.nominated.clone(), ready.choices.clone()),
            None => (nominated(resource), SmallVec::new()),
        };
        if choices.len() >= CHOICES {
            choices.clear();
        }
        let spelling = spelling(&nominated, fields).as_slice().into();
        let generation = entry.generation();
        let (entry, governed) = (entry.clone(), governed.clone());
        choices.push(Choice { spelling, entry, governed, fields: Default::default() });
        let ready = Ready {
            // The configuration in force, as the caller has compared.
            asked: Asked::new(plain, generation),
            key: memo.key.clone(),
            resource: resource.clone(),
            nominated,
            choices,
        };
        self.near.put(hash, weight, Arc::new(ready));
    }

    /// Lets go of what has left the store, also where a thread has nothing to do, and of what is stored and of no use any more.
    /// Runs for as long as it is polled; `app`
    /// runs it in the background.
    pub async fn sweep_near(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.near.sweep(|ready| self.keeps_near(ready));
            self.memory.expire(self.clock.mono());
        }
    }

    fn keeps_near(&self, ready: &Ready) -> bool {
        ready.resource.is_current() && ready.asked.generation == self.generation.load(Ordering::Acquire)
    }
}

fn nominated(resource: &Resource) -> Arc<[HeaderName]> {
    let mut names: Vec<HeaderName> =
        resource.variants().iter().flat_map(|entry| entry.nominated().iter().cloned()).collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names.into()
}
