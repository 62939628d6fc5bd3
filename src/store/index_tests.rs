//! The index against full scans of the store, and what purges count.

use super::*;
use crate::purge::{
    Born, Mode, Predicate, PredicateSpec, Purge, PurgeId, Selector, Selectors, extract_tags,
    predicate::Pattern,
};
use crate::semantics::freshness::{Freshness, Source, StaleUse};
use crate::store::Memory;
use crate::store::entry::{Described, Meta, Place, PreparedHead};
use crate::store::memory::Policy;
use crate::time::{Mono, Wall};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::Duration;

/// An entry of this URL, with these tags in `Cache-Tag` and these groups, for one variant.
fn entry(url: &str, tags: &str, groups: &str, variant: &str) -> Arc<Entry> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let scheme = if scheme == "https" { "https" } else { "http" };
    let (authority, path) = rest.split_once('/').unwrap();
    let path = format!("/{path}");
    let mut headers = HeaderMap::new();
    headers.insert("cache-tag", HeaderValue::from_str(tags).unwrap());
    headers.insert("cache-groups", HeaderValue::from_str(groups).unwrap());
    let tags = extract_tags(&headers).unwrap();
    let nominated: &[HeaderName] = &[http::header::ACCEPT_LANGUAGE];
    let meta = Meta {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        freshness: Freshness {
            lifetime: Duration::from_secs(3600),
            source: Source::MaxAge,
            initial_age: Duration::ZERO,
            stale: StaleUse::default(),
            must_validate: false,
            immutable: false,
            no_transform: false,
        },
        control: HeaderMap::new(),
        arrived: Mono(0),
        began: Mono(0),
        received: Wall(0),
        date: Wall(0),
        keep: Duration::ZERO,
        nominated: nominated.into(),
        variant: variant.as_bytes().into(),
        born: Born { id: PurgeId(1), local: 0 },
        selectors: Arc::new(Selectors::new(scheme, authority, &path, None, &tags).unwrap()),
        place: Arc::new(Place { scheme, authority: authority.into(), url: path.into() }),
        raw_tags: tags.raw().into(),
        fetch_time: Duration::ZERO,
        rule: Arc::from("r"),
        origin: Arc::from("o"),
    };
    Arc::new(Entry::new(meta, bytes::Bytes::new(), 0, None, PreparedHead::default()))
}

fn key(text: &str) -> Key {
    Key::new(7, text.as_bytes())
}

fn roomy() -> Memory {
    Memory::new(64 << 20, Policy::Lru)
}

/// What a full scan of the store finds: every set and every tag.
fn assert_index_is_what_a_scan_finds(memory: &Memory) {
    let stored: Vec<(Key, Arc<Entry>)> = memory
        .iter()
        .flat_map(|(k, r)| r.variants().iter().map(|e| (k.clone(), e.clone())).collect::<Vec<_>>())
        .collect();
    let index = memory.index();
    let mut places: HashMap<SelectorHash, HashSet<*const Entry>> = HashMap::new();
    let mut tags: HashMap<SelectorHash, HashSet<*const Entry>> = HashMap::new();
    for (_, entry) in &stored {
        for hash in entry.selectors().url_and_host() {
            places.entry(*hash).or_default().insert(Arc::as_ptr(entry));
        }
        for hash in entry.selectors().explicit() {
            tags.entry(*hash).or_default().insert(Arc::as_ptr(entry));
        }
    }
    assert_eq!(index.len() as usize, stored.len());
    assert_eq!(memory.stats().entries.load(Ordering::Relaxed), index.len());
    let state = index.lock();
    let members = |slots: &Slots| -> HashSet<*const Entry> {
        let slots = slots.after(None, usize::MAX);
        slots.iter().map(|s| Arc::as_ptr(&state.records[*s as usize].entry)).collect()
    };
    let urls = state.urls.iter(&state.records).map(|(h, s)| (h, members(&s)));
    let hosts = state.hosts.iter().map(|(h, s)| (*h, members(s)));
    assert_eq!(urls.chain(hosts).collect::<HashMap<_, _>>(), places);
    assert_eq!(state.urls.len() + state.hosts.len(), places.len());
    assert_eq!(state.tags.iter().map(|(h, t)| (*h, members(&t.slots))).collect::<HashMap<_, _>>(), tags);
    let named: HashSet<_> =
        state.tags.iter().filter_map(|(h, t)| Some((t.name.known()?.clone(), *h))).collect();
    assert_eq!(state.names.iter().map(|(n, h)| (n.clone(), *h)).collect::<HashSet<_>>(), named);
    for (at, record) in &state.records {
        assert_eq!(record.entry.seat.slot.load(Ordering::Relaxed) as usize, at);
        assert!(
            stored
                .iter()
                .any(|(k, e)| *k == state.record(at as Slot).unwrap().key() && Arc::ptr_eq(e, &record.entry))
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u8,
        variant: u8,
        tags: Vec<u8>,
    },
    /// Replaces a variant that is stored, or was once.
    Replace {
        old: usize,
        tags: Vec<u8>,
    },
    Remove {
        old: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tags = || proptest::collection::vec(0u8..5, 0..4);
    let step = prop_oneof![
        4 => (0u8..6, 0u8..4, tags()).prop_map(|(key, variant, tags)| Step::Put { key, variant, tags }),
        1 => (any::<proptest::sample::Index>(), tags()).prop_map(|(old, tags)| Step::Replace { old: old.index(64), tags }),
        1 => any::<proptest::sample::Index>().prop_map(|old| Step::Remove { old: old.index(64) }),
    ];
    proptest::collection::vec(step, 1..64)
}

fn run(memory: &Memory, steps: &[Step]) {
    let mut made: Vec<(u8, Arc<Entry>)> = Vec::new();
    let build = |key: u8, variant: &str, tags: &[u8]| {
        let tags: Vec<String> = tags.iter().map(|t| format!("T{t}")).collect();
        entry(&format!("http://h{}.example/p{key}", key % 2), &tags.join(","), "\"a b\"", variant)
    };
    for step in steps {
        match step {
            Step::Put { key: k, variant, tags } => {
                let new = build(*k, &variant.to_string(), tags);
                memory.put(&key(&k.to_string()), new.clone(), 3);
                made.push((*k, new));
            }
            Step::Replace { old, tags } => {
                let Some((k, old)) = made.get(*old).cloned() else { continue };
                let new = build(k, &String::from_utf8_lossy(old.variant()), tags);
                memory.replace(&key(&k.to_string()), &old, new.clone());
                made.push((k, new));
            }
            Step::Remove { old } => {
                let Some((k, old)) = made.get(*old) else { continue };
                memory.remove(&key(&k.to_string()), old);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_what_a_scan_finds_after_any_puts_replacements_and_removals(steps in steps()) {
        let memory = roomy();
        run(&memory, &steps);
        assert_index_is_what_a_scan_finds(&memory);
    }

    #[test]
    fn the_index_is_what_a_scan_finds_although_entries_are_evicted(steps in steps(), room in 1u64..8, lru: bool) {
        let memory = Memory::new(room * 1000, if lru { Policy::Lru } else { Policy::TinyLfu });
        for steps in steps.chunks(9) {
            run(&memory, steps);
            assert_index_is_what_a_scan_finds(&memory);
        }
    }
}

#[test]
fn the_index_is_what_a_scan_finds_after_writers_raced_with_each_other_and_with_evictions() {
    let memory = Memory::new(20_000, Policy::Lru);
    std::thread::scope(|scope| {
        for writer in 0..4u8 {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..400u16 {
                    let k = (round % 13).to_string();
                    let url = format!("http://h/p{k}");
                    let new = entry(&url, &format!("t{},w{writer}", round % 7), "", &(round % 3).to_string());
                    memory.put(&key(&k), new.clone(), 2);
                    if round % 3 == 0 {
                        memory.remove(&key(&k), &new);
                    }
                }
            });
        }
    });
    assert_index_is_what_a_scan_finds(&memory);
}

#[test]
fn an_emptied_store_leaves_nothing_in_the_index() {
    let memory = roomy();
    for n in 0..10_000u32 {
        memory.put(&key(&n.to_string()), entry(&format!("http://h/{n}"), &format!("all,t{n}"), "", ""), 1);
    }
    assert_eq!(memory.index().size_of(Scope::Carrying(SelectorHash::tag("all"))), 10_000);
    for (k, resource) in memory.iter().collect::<Vec<_>>() {
        memory.remove(&k, &resource.variants()[0]);
    }
    let state = memory.index().lock();
    assert!(state.records.is_empty() && state.records.capacity() <= 4096);
    assert!(state.hosts.is_empty() && state.urls.len() == 0 && state.urls.capacity() <= 8192);
    assert!(state.tags.is_empty() && state.tags.capacity() <= 8192);
    assert!(state.names.is_empty());
}

#[test]
fn tags_are_listed_by_name_with_their_entries_page_by_page() {
    let memory = roomy();
    for (n, tags) in ["b,a:1,A:1", "a:2", "a:2,a:10"].iter().enumerate() {
        memory.put(&key(&n.to_string()), entry(&format!("http://h/{n}"), tags, "\"a b\", \"c\"", ""), 1);
    }
    let names = |prefix: &str, after: Option<&str>, limit| {
        let tags = memory.index().tags(prefix, after, limit);
        tags.iter().map(|t| format!("{} {}", t.tag, t.entries)).collect::<Vec<_>>()
    };
    assert_eq!(names("", None, 99), ["A:1 1", "a b 3", "a:1 1", "a:10 1", "a:2 2", "b 1", "c 3"]);
    assert_eq!(names("a:", None, 2), ["a:1 1", "a:10 1"]);
    assert_eq!(names("a:", Some("a:10"), 2), ["a:2 2"]);
    assert_eq!(names("a:", Some("A"), 1), ["a:1 1"]);
    assert_eq!(names("x", None, 2), Vec::<String>::new());
}

#[test]
fn a_count_has_each_stored_variant_once_whatever_selects_it() {
    let memory = roomy();
    let put = |url: &str, tags: &str, variant: &str| {
        memory.put(&key(url), entry(url, tags, "\"g\"", variant), 9);
    };
    put("http://a.example/x", "t,u", "de");
    put("http://a.example/x", "t", "en");
    put("https://a.example/x", "T", "");
    put("http://a.example:8080/x/y", "t", "");
    put("http://b.example/x", "v", "");
    let count = |selectors: &[Result<Selector, crate::purge::normal::BadUrl>]| {
        let selectors = selectors.iter().map(|s| s.clone().unwrap()).collect();
        let matched = memory.index().matched(&Purge::new(Mode::Hard, selectors));
        assert!(matched.exact);
        matched.count
    };
    let tag = |t: &str| Ok(Selector::tag(t));
    assert_eq!(count(&[tag("t")]), 3);
    assert_eq!(count(&[tag("t"), tag("u"), tag("v"), tag("w")]), 4);
    assert_eq!(count(&[Ok(Selector::tag_any_case("T"))]), 4);
    assert_eq!(count(&[Selector::url("http://a.example/x")]), 2);
    assert_eq!(count(&[Selector::url_any_scheme("http://a.example/x")]), 3);
    assert_eq!(count(&[Selector::url("http://a.example/x"), tag("t")]), 3);
    assert_eq!(count(&[Selector::host("a.example")]), 4);
    assert_eq!(count(&[Selector::host("a.example:8080")]), 1);
    assert_eq!(count(&[Selector::prefix("a.example/x")]), 4);
    assert_eq!(count(&[Selector::prefix("a.example/x/y"), Selector::prefix("b.example/x"), tag("v")]), 2);
    assert_eq!(count(&[Selector::prefix("a.example/z"), Selector::prefix("c.example/x")]), 0);
    assert_eq!(count(&[Selector::site("https://a.example")]), 1);
    assert_eq!(count(&[Selector::group("http://a.example", "g")]), 2);
    assert_eq!(count(&[Ok(Selector::Everything), tag("t")]), 5);
    let spec = PredicateSpec { url: Some(Pattern::Regex("^/x$".into())), ..PredicateSpec::default() };
    let ban = Purge { predicates: vec![Predicate::compile(spec).unwrap()], ..Purge::new(Mode::Hard, vec![]) };
    assert_eq!(memory.index().matched(&ban).count, 4);
}

#[test]
fn rulings_29_a_count_over_ten_thousand_is_exact_for_one_tag_and_else_a_lower_bound() {
    let memory = roomy();
    for n in 0..10_050u32 {
        let tags = if n < 10 { "all,few" } else { "all" };
        memory.put(&key(&n.to_string()), entry(&format!("http://h/{n}"), tags, "", ""), 1);
    }
    let count = |tags: &[&str]| {
        memory.index().matched(&Purge::new(Mode::Hard, tags.iter().map(|t| Selector::tag(t)).collect()))
    };
    assert_eq!((count(&["all"]).count, count(&["all"]).exact), (10_050, true));
    assert_eq!((count(&["few", "none"]).count, count(&["few", "none"]).exact), (10, true));
    let both = count(&["few", "all"]);
    assert!(both.count >= 10_000 && both.count <= 10_050 && !both.exact, "{both:?}");
}

#[test]
fn rulings_22_a_resource_is_current_for_as_long_as_the_store_has_exactly_it() {
    let memory = roomy();
    let (one, other) = (entry("http://h/x", "", "", "1"), entry("http://h/x", "", "", "2"));
    let stored = || memory.get(&key("x")).unwrap();
    memory.put(&key("x"), one.clone(), 9);
    let alone = stored();
    assert!(alone.is_current());
    memory.put(&key("x"), other.clone(), 9);
    let both = stored();
    assert!(both.is_current() && !alone.is_current());
    // Put again in its own place, where a form has been added: the same list of variants, anew.
    memory.replace(&key("x"), &other, other.clone());
    assert!(!both.is_current() && stored().is_current() && !stored().is_same(&both));
    memory.remove(&key("x"), &other);
    assert!(alone.is_current() && stored().is_same(&alone), "the very same is stored again");
    memory.replace(&key("x"), &one, one.clone());
    assert!(alone.is_current());
    memory.remove(&key("x"), &one);
    assert!(!alone.is_current() && memory.get(&key("x")).is_none());

    let small = Memory::new(2000, Policy::Lru);
    small.put(&key("x"), one, 9);
    let held = small.get(&key("x")).unwrap();
    for n in 0..9 {
        small.put(&key(&n.to_string()), entry(&format!("http://h/{n}"), "", "", ""), 9);
    }
    assert!(small.get(&key("x")).is_none() && !held.is_current(), "evicted");
}
