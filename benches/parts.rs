//! The parts of a hit, each by itself: `cargo bench`. Times belong to the machine and its load; what a whole hit costs is
//! counted by `bench/instructions`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // what can't be set up can't be measured

use bytes::Bytes;
use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use larder::clock::Clock;
use larder::engine::fast::{self, Plain, Shape};
use larder::engine::plan::{self, Found, Lookup, Seen, Wishes};
use larder::engine::policy::{KeyPolicy, Policy};
use larder::engine::rules::{RequestFacts, RuleSet};
use larder::engine::{Engine, Site, key};
use larder::front::handler::Limits;
use larder::front::http1;
use larder::observe::Metrics;
use larder::observe::metrics::Vocabulary;
use larder::purge::{Check, Mode, Purge, PurgeLog, Selector, Selectors, Tags};
use larder::semantics::cache_control::RequestDirectives;
use larder::semantics::freshness::{Freshness, Source, StaleUse};
use larder::store::entry::{Meta, Place};
use larder::store::{Key, Memory, memory};
use larder::time::{Mono, Wall};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PLAIN: Plain<'_> = Plain { tls: false, host: b"shop.example", target: b"/products/1?page=2" };

fn main() {
    divan::main();
}

const fn freshness() -> Freshness {
    Freshness {
        lifetime: Duration::from_secs(86_400),
        source: Source::MaxAge,
        initial_age: Duration::ZERO,
        stale: StaleUse {
            while_revalidate: Duration::ZERO,
            if_error: Duration::ZERO,
            when_disconnected: true,
            max_stale: true,
        },
        must_validate: false,
        immutable: false,
        no_transform: false,
    }
}

fn selectors() -> Selectors {
    Selectors::new("http", "shop.example", "/products/1", Some("page=2"), &Tags::default()).unwrap()
}

/// An engine with one entry, which the fast lane serves.
fn engine() -> Arc<Engine> {
    let rules: Vec<Arc<str>> = vec![Arc::from("none")];
    let words = Vocabulary { outcomes: &["hit"], rules: &rules, ..Vocabulary::default() };
    let site = Site {
        rules: RuleSet::new(Arc::from("app"), Vec::new()).unwrap(),
        origins: HashMap::new(),
        server_name: "larder".to_owned(),
        via: HeaderValue::from_static("1.1 larder"),
        schemes: vec!["http"],
        max_object: 1 << 20,
        generation: 1,
        signer: None,
        tails: std::sync::OnceLock::new(),
    };
    let memory = Memory::new(1 << 30, memory::Policy::TinyLfu);
    let purges = Arc::new(PurgeLog::alone(larder::purge::Limits::default()));
    let engine = Engine::new(Clock::system(), memory, purges, Metrics::new(&words), None, None, site);
    let site = engine.site_owned();
    let facts = RequestFacts {
        method: &Method::GET,
        scheme: "http",
        host: "shop.example",
        path: "/products/1",
        query: Some("page=2"),
        headers: &HeaderMap::new(),
    };
    let resolved = site.rules.resolve(&facts);
    let meta = meta(&engine, &resolved.policy);
    let body = Bytes::from(vec![b'x'; 1024]);
    let entry = engine.seal(&site, &resolved.policy, meta, body, 1024, None);
    engine.put(&the_key(), Arc::new(entry), &resolved.policy);
    engine.remember(&PLAIN, &the_key(), &resolved, &site);
    engine
}

fn meta(engine: &Engine, policy: &Policy) -> Meta {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "public, max-age=86400"),
        ("etag", "\"v1\""),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Meta {
        status: http::StatusCode::OK,
        headers,
        freshness: freshness(),
        control: HeaderMap::new(),
        arrived: engine.clock.mono(),
        began: Mono(0),
        received: Wall(0),
        date: Wall(0),
        keep: Duration::ZERO,
        nominated: Arc::from([]),
        variant: Box::default(),
        born: engine.purges.cursor(),
        selectors: Arc::new(selectors()),
        place: Arc::new(Place {
            scheme: "http",
            authority: "shop.example".into(),
            url: "/products/1?page=2".into(),
        }),
        raw_tags: Box::default(),
        fetch_time: Duration::ZERO,
        rule: policy.rule.clone(),
        origin: Arc::from("app"),
    }
}

fn the_key() -> Key {
    let parts = key::Parts {
        scheme: "http",
        host: "shop.example",
        path: "/products/1",
        query: Some("page=2"),
        origin: "app",
        rule_bits: &[],
        body: None,
    };
    key::build(1, black_box(&parts), &KeyPolicy::default(), &HeaderMap::new())
}

fn no_fields(_: &HeaderName, _: &mut dyn FnMut(&[u8])) {}

/// The whole look-up of the fast lane: the thread's own table, purge check, plan.
#[divan::bench(threads = [1, 2])]
fn near_hit(bencher: Bencher) {
    let engine = engine();
    let now = engine.clock.mono();
    bencher.bench(|| engine.fast_hit(black_box(&PLAIN), || None, no_fields, now).expect("a hit"));
}

/// What is in no thread's table: memo, and the store's look-up.
#[divan::bench(threads = [1, 2])]
fn store_look_up(bencher: Bencher) {
    let (engine, key) = (engine(), the_key());
    bencher.bench(|| engine.memory.get(black_box(&key)).expect("stored"));
}

#[divan::bench]
fn head_completion(bencher: Bencher) {
    let engine = engine();
    let hit = engine.fast_hit(&PLAIN, || None, no_fields, engine.clock.mono()).expect("a hit");
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        fast::complete(black_box(&hit), &Shape::Whole, &mut out);
        black_box(&out).len()
    });
}

#[divan::bench]
fn plan_decide() -> plan::Plan {
    let freshness = freshness();
    let found = Found { freshness, age: Duration::from_secs(7), verdict: Seen::Clean, unsynced: false };
    let wishes = Wishes { honour_client: true, early_refresh: None };
    plan::decide(black_box(Lookup::Found(found)), &RequestDirectives::default(), wishes, Duration::ZERO, 0.5)
}

#[divan::bench]
fn key_build() -> Key {
    the_key()
}

/// Nothing was purged since the last check of this entry.
#[divan::bench]
fn purge_check_unchanged(bencher: Bencher) {
    let (log, check, selectors) =
        (PurgeLog::alone(larder::purge::Limits::default()), Check::new(), selectors());
    let born = log.cursor();
    bencher
        .bench_local(|| check.verify(black_box(&log), born, || Cow::Borrowed(&selectors), Default::default));
}

/// Something else was purged since: every selector is looked at.
#[divan::bench]
fn purge_check_after_a_purge(bencher: Bencher) {
    let (log, selectors) = (PurgeLog::alone(larder::purge::Limits::default()), selectors());
    let born = log.cursor();
    log.apply_local(&Arc::new(Purge::new(Mode::Hard, vec![Selector::tag("other")])), Wall(0));
    bencher.bench_local(|| {
        Check::new().verify(black_box(&log), born, || Cow::Borrowed(&selectors), Default::default)
    });
}

#[divan::bench(args = [false, true])]
fn request_head(bencher: Bencher, browser: bool) {
    let lines = if browser {
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.7\r\n\
         Referer: https://shop.example.com/products?page=3&sort=price\r\nSec-Fetch-Dest: document\r\n\
         Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-CH-UA: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\nUpgrade-Insecure-Requests: 1\r\n"
    } else {
        ""
    };
    let head = format!("GET /products/1?page=2 HTTP/1.1\r\nHost: shop.example\r\n{lines}\r\n");
    let limits = Limits::default();
    bencher.bench_local(|| http1::accepts(black_box(head.as_bytes()), &limits));
}
