//! `compress`: what is stored is compressed once, in the background, and served to everybody who accepts it.
//!
//! What the origin sent, the plain form, is what is stored, fetched, validated and purged. A coded form is made of it when the
//! first client wants it, and kept beside it ([`crate::store::forms`]): with it it is fresh or stale, with it it is
//! purged, evicted and replaced. So no look-up can bring a coded form that is older than the plain one. Until it is there,
//! clients get the plain form. A form is an [`Entry`] of its own, with a head for the fast lane, and delivered like any other;
//! which of them answers a request is decided in [`coding`].
//!
//! A fetch makes anew the forms that what it replaces had, and the one that its own client wants.
//!
//! Bounded: two bodies at a time, of at most 32 MiB; when both places are taken the next request for the form tries again.
//! What would be larger than the plain form is given up where it becomes so.

use crate::body::Pieces;
use crate::engine::answer::Ask;
use crate::engine::fast::Fields;
use crate::engine::policy::Policy;
use crate::engine::site::{Engine, Site};
use crate::semantics::coding::{self, Coding, Codings, Pick};
use crate::store::entry::{Described, Meta};
use crate::store::forms::Form;
use crate::store::{Entry, Key};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};
use smallvec::SmallVec;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies that are compressed at the same time.
const AT_ONCE: usize = 2;

/// Larger bodies are left alone, bytes.
const LARGEST: u64 = 32 << 20;

/// Levels for what is compressed once and sent often; the figures are in `docs/decisions/0010-compressed-forms.md`.
const ZSTD: i32 = 9;
const BROTLI: u32 = 5;
const GZIP: u32 = 6;

/// Brotli's window: 4 MiB, as browsers expect.
const BROTLI_WINDOW: u32 = 22;

/// Who may compress. One per process.
#[derive(Debug)]
pub struct Compressor(Arc<Semaphore>);

impl Default for Compressor {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Compressor {
    fn is_free(&self) -> bool {
        self.0.available_permits() > 0
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// The codings that the rules offer a response in; `None` for one that is sent as it is. `length`: of its body, if it is known.
pub fn offers<'p>(policy: &'p Policy, meta: &impl Described, length: Option<u64>) -> Option<&'p [Coding]> {
    let compress = policy.compress.as_ref()?;
    let fits = length.is_none_or(|length| length >= compress.min.max(1) && length <= LARGEST);
    (fits && meta.is_codable()).then_some(&compress.algorithms[..])
}

/// The fields of the plain form as clients see them.
pub fn plain_fields(policy: &Policy, meta: &impl Described, length: Option<u64>) -> HeaderMap {
    let mut headers = meta.headers();
    if offers(policy, meta, length).is_some() {
        coding::vary(&mut headers);
    }
    headers
}

/// The forms that a fetch makes of what it brings: those that its client wants, and those that what it replaces had.
pub(super) fn wanted(policy: &Policy, request: &HeaderMap, replaces: Option<&Entry>) -> Codings {
    let Some(compress) = &policy.compress else { return Codings::new() };
    let lines = request.get_all(ACCEPT_ENCODING).iter().map(http::HeaderValue::as_bytes);
    let first = coding::acceptable(lines, &compress.algorithms).first().copied();
    let had = |coding: &Coding| replaces.is_some_and(|old| matches!(old.forms.get(*coding), Form::Made(_)));
    compress.algorithms.iter().copied().filter(|coding| Some(*coding) == first || had(coding)).collect()
}

impl Ask {
    /// The form of an entry that answers this request; starts making it where it is missing.
    pub(super) fn form(&self, entry: &Arc<Entry>, policy: &Arc<Policy>) -> Arc<Entry> {
        let offered = offers(policy, &**entry, Some(entry.length));
        let Some(offered) = offered.filter(|_| !self.directives.no_transform) else { return entry.clone() };
        let picked = coding::pick(&self.asked.method, &self.asked.headers, &**entry, offered);
        let (Pick::Coded(coding) | Pick::IfThere(coding)) = picked else { return entry.clone() };
        match entry.forms.get(coding) {
            Form::Made(form) => return form.clone(),
            Form::Missing if picked == Pick::Coded(coding) && !self.dry => {
                self.engine.make_form(&self.site, policy, &self.key, entry, coding);
            }
            Form::Missing | Form::Useless => {}
        }
        entry.clone()
    }
}

impl Engine {
    /// The form of an entry that answers a request of the fast lane, `Some(None)` for the plain one. `None`: that is the ordinary
    /// way's affair: the form is to be made first, or its head, or what the client holds decides which it is.
    pub(super) fn fast_form(
        &self,
        policy: &Policy,
        entry: &Entry,
        fields: &impl Fields,
    ) -> Option<Option<Coding>> {
        let Some(offered) = offers(policy, entry, Some(entry.length)) else { return Some(None) };
        let mut decides = false;
        [IF_NONE_MATCH, RANGE].iter().for_each(|name| fields(name, &mut |_| decides = true));
        if decides {
            return None;
        }
        let mut accept: SmallVec<[u8; 128]> = SmallVec::new();
        fields(&ACCEPT_ENCODING, &mut |line| {
            accept.extend_from_slice(line);
            accept.push(b',');
        });
        let accepted = coding::acceptable(std::iter::once(&accept[..]), offered);
        let Some(coding) = accepted.first().copied() else { return Some(None) };
        match entry.forms.get(coding) {
            Form::Made(form) => {
                let ready = form.generation() == entry.generation() && !form.head().is_empty();
                ready.then_some(Some(coding))
            }
            Form::Missing if self.compressor.is_free() => None,
            Form::Missing | Form::Useless => Some(None),
        }
    }

    /// Makes a form in the background, if it may have one, nobody else makes it, and there is a place free.
    pub(super) fn make_form(
        self: &Arc<Self>,
        site: &Arc<Site>,
        policy: &Arc<Policy>,
        key: &Key,
        entry: &Arc<Entry>,
        coding: Coding,
    ) {
        // A trailer may hold a digest, which we could not make anew.
        let may = offers(policy, &**entry, Some(entry.length))
            .is_some_and(|offered| offered.contains(&coding))
            && entry.trailers().is_none();
        let Some(permit) = may.then(|| self.compressor.permit()).flatten() else { return };
        if !entry.forms.begin(coding) {
            return;
        }
        let making = Making {
            engine: self.clone(),
            site: site.clone(),
            policy: policy.clone(),
            key: key.clone(),
            entry: entry.clone(),
            coding,
        };
        tokio::task::spawn_blocking(move || {
            making.run();
            drop(permit);
        });
    }

    /// An entry of what is stored and a new description of it: after a 304, a HEAD, or a reload. The coded forms go along, as far
    /// as they are still offered.
    pub(super) fn seal_again(&self, site: &Site, policy: &Policy, meta: Meta, old: &Entry) -> Entry {
        let entry = self.seal(site, policy, meta, old.body.clone(), old.length, old.trailers());
        for coding in offers(policy, &entry, Some(entry.length)).unwrap_or_default() {
            match old.forms.get(*coding) {
                Form::Made(form) => {
                    let form = self.seal_form(site, policy, &entry, *coding, form.body.clone(), form.length);
                    entry.forms.put(*coding, Some(Arc::new(form)));
                }
                Form::Useless => entry.forms.put(*coding, None),
                Form::Missing => {}
            }
        }
        entry
    }

    /// The coded form of `plain` with this body.
    fn seal_form(
        &self,
        site: &Site,
        policy: &Policy,
        plain: &Entry,
        coding: Coding,
        body: Pieces,
        length: u64,
    ) -> Entry {
        let meta = Meta {
            headers: coding::encoded(&plain.headers(), coding, Some(length)),
            // Only the plain form is validated, selected and matched against purges.
            control: HeaderMap::new(),
            variant: Box::default(),
            raw_tags: Box::default(),
            ..plain.describe()
        };
        self.seal(site, policy, meta, body, length, None).into_form(coding)
    }
}

/// A form on its way.
struct Making {
    engine: Arc<Engine>,
    site: Arc<Site>,
    policy: Arc<Policy>,
    key: Key,
    entry: Arc<Entry>,
    coding: Coding,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.entry.forms.end(self.coding);
    }
}

impl Making {
    /// Takes a processor for milliseconds up to a second.
    fn run(&self) {
        let coded = encode(self.coding, &self.entry.body, self.entry.length);
        // After a reload the head would be of the old configuration: the next request makes another.
        if self.engine.site().generation != self.site.generation {
            return;
        }
        let body = coded.map(Bytes::from);
        self.put(&self.entry, body.as_ref());
        // A 304 or a HEAD has put another description in its place meanwhile, of the same body.
        let resource = self.engine.memory.get(&self.key);
        for entry in resource.iter().flat_map(|resource| resource.variants()) {
            if entry.body.is_same(&self.entry.body) && !Arc::ptr_eq(entry, &self.entry) {
                self.put(entry, body.as_ref());
            }
        }
    }

    fn put(&self, entry: &Arc<Entry>, body: Option<&Bytes>) {
        let Self { engine, site, policy, coding, .. } = self;
        if offers(policy, &**entry, Some(entry.length)).is_none() {
            return;
        }
        let form = body.map(|body| {
            let length = body.len() as u64;
            Arc::new(engine.seal_form(site, policy, entry, *coding, body.clone().into(), length))
        });
        entry.forms.put(*coding, form);
        // In its own place again, where it is weighed with what it has now.
        engine.memory.replace(&self.key, entry, entry.clone());
    }
}

/// A body in a coding, or `None` if that makes it no smaller. The same bytes always make the same bytes: strong entity tags
/// depend on it.
fn encode(coding: Coding, body: &[Bytes], length: u64) -> Option<Vec<u8>> {
    let out = Smaller { bytes: Vec::new(), than: usize::try_from(length).ok()?, failed: false };
    let out = match coding {
        Coding::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD).ok()?;
            encoder.set_pledged_src_size(Some(length)).ok()?;
            feed(&mut encoder, body).ok()?;
            encoder.finish().ok()?
        }
        Coding::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(out, 64 * 1024, BROTLI, BROTLI_WINDOW);
            feed(&mut encoder, body).ok()?;
            // Swallows errors, so that ours are remembered in `failed`.
            encoder.into_inner()
        }
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP));
            feed(&mut encoder, body).ok()?;
            encoder.finish().ok()?
        }
    };
    let Smaller { bytes, failed, .. } = out;
    // A copy: shrinking would leave it in the larger block.
    (!failed).then(|| bytes.as_slice().to_vec())
}

fn feed(encoder: &mut impl Write, body: &[Bytes]) -> io::Result<()> {
    body.iter().try_for_each(|chunk| encoder.write_all(chunk))
}

/// Takes fewer bytes than `than`.
struct Smaller {
    bytes: Vec<u8>,
    than: usize,
    failed: bool,
}

impl Write for Smaller {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.failed || self.bytes.len().saturating_add(buf.len()) >= self.than {
            self.failed = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Words in a fixed disorder.
    fn sample(length: usize) -> Vec<Bytes> {
        let words = ["cache ", "purge ", "origin ", "stale ", "\n", "fresh-", "variant ", "9110 "];
        let mut state = 7u32;
        let mut text = String::new();
        while text.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(words[(state >> 24) as usize % words.len()]);
        }
        text.truncate(length);
        let bytes = Bytes::from(text);
        vec![bytes.slice(..length / 3), bytes.slice(length / 3..)]
    }

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let read = match coding {
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        };
        read.unwrap();
        out
    }

    #[test]
    fn what_is_decoded_is_what_was_stored() {
        for coding in Coding::ALL {
            for length in [1024, 100_000] {
                let body = sample(length);
                let coded = encode(coding, &body, length as u64).unwrap();
                assert!(coded.len() < length / 2, "{coding:?}: {}", coded.len());
                assert_eq!(decode(coding, &coded), body.concat(), "{coding:?}");
            }
        }
    }

    /// If this fails after an update of a codec or a change of level, change `Coding::suffix` with it: a client may hold one
    /// half of the old bytes.
    #[test]
    fn strong_tags_the_same_plain_bytes_always_make_the_same_coded_bytes() {
        let body = sample(100_000);
        let digests = Coding::ALL.map(|coding| {
            let coded = encode(coding, &body, 100_000).unwrap();
            xxhash_rust::xxh3::xxh3_64(&coded)
        });
        assert_eq!(digests, PINNED, "{digests:#x?}");
    }

    const PINNED: [u64; 3] = [0x3e07_c53c_cd09_373a, 0xefdb_f3e3_2613_c44a, 0x8d87_7ee3_1c20_dc24];

    #[test]
    fn what_does_not_shrink_is_given_up() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<Bytes> = vec![(0..200_000).map(|_| random.u8(..)).collect::<Vec<u8>>().into()];
        for coding in Coding::ALL {
            assert_eq!(encode(coding, &noise, 200_000), None, "{coding:?}");
            assert_eq!(encode(coding, &[Bytes::from_static(b"x")], 1), None, "{coding:?}");
        }
    }
}
