//! An engine whose store is filled by hand, with responses as origins send them: for `bench/memory.rs` and `tests/memory.rs`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use larder::clock::Clock;
use larder::engine::draft::{Asked, Base, draft};
use larder::engine::policy::{KeyPolicy, Policy};
use larder::engine::rules::{RequestFacts, Resolved, RuleSet};
use larder::engine::{Engine, Site, key};
use larder::observe::Metrics;
use larder::observe::metrics::Vocabulary;
use larder::purge::PurgeLog;
use larder::store::{Key, Memory};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub struct House {
    engine: Arc<Engine>,
    site: Arc<Site>,
    resolved: Resolved,
}

impl House {
    pub fn new(memory: Memory) -> Self {
        let rules: Vec<Arc<str>> = vec![Arc::from("none")];
        let words = Vocabulary { outcomes: &["hit"], rules: &rules, ..Vocabulary::default() };
        let site = Site {
            rules: RuleSet::new(Arc::from("app"), Vec::new()).unwrap(),
            origins: HashMap::new(),
            server_name: "larder".to_owned(),
            via: HeaderValue::from_static("1.1 larder"),
            schemes: vec!["http"],
            max_object: 1 << 30,
            generation: 1,
            signer: None,
            tails: OnceLock::new(),
        };
        // A small table: it is not what is measured.
        let limits = larder::purge::Limits { buckets: 1024, ..larder::purge::Limits::default() };
        let purges = Arc::new(PurgeLog::alone(limits));
        let engine = Engine::new(Clock::system(), memory, purges, Metrics::new(&words), None, None, site);
        let site = engine.site_owned();
        let facts = RequestFacts {
            method: &Method::GET,
            scheme: "https",
            host: "shop.example",
            path: "/",
            query: None,
            headers: &HeaderMap::new(),
        };
        let resolved = site.rules.resolve(&facts);
        Self { engine, site, resolved }
    }

    pub fn memory(&self) -> &Memory {
        &self.engine.memory
    }

    /// Stores response number `n` with a body of that many bytes, as a fetch does; returns the bytes of its fields as the origin
    /// sent them.
    pub fn put(&self, n: u64, size: u64, vary: bool) -> u64 {
        let policy: &Policy = &self.resolved.policy;
        let path = path(n);
        let now = self.engine.now();
        let base = Base::new("https", "shop.example", &path, None).unwrap();
        let mut request = HeaderMap::new();
        request.insert("accept-encoding", HeaderValue::from_static("gzip"));
        let asked = Asked {
            method: &Method::GET,
            headers: &request,
            target: &format!("https://shop.example{path}"),
            base: &base,
            born: self.engine.purges.cursor(),
            sent: now,
        };
        let fields = fields(n, size, vary);
        let drafted =
            draft(&asked, http::StatusCode::OK, &fields, policy, Some(Vec::new()), now, 0.0).unwrap();
        let body = Bytes::from(vec![b'x'; size as usize].into_boxed_slice());
        let entry = self.engine.seal(&self.site, policy, drafted.meta, body, size, None);
        self.engine.put(&self.key(&path), Arc::new(entry), policy);
        "HTTP/1.1 200 OK\r\n\r\n".len() as u64 + larder::store::entry::field_bytes(&fields) as u64
    }

    pub fn remove(&self, n: u64) {
        let key = self.key(&path(n));
        if let Some(resource) = self.memory().get(&key) {
            resource.variants().iter().for_each(|entry| {
                self.memory().remove(&key, entry);
            });
        }
    }

    /// As the sweeper does after a purge of everything.
    pub fn purge(&self) {
        let all: Vec<_> = self.memory().iter().collect();
        for (key, resource) in all {
            resource.variants().iter().for_each(|entry| {
                self.memory().remove(&key, entry);
            });
        }
    }

    fn key(&self, path: &str) -> Key {
        let parts = key::Parts {
            scheme: "https",
            host: "shop.example",
            path,
            query: None,
            origin: &self.resolved.policy.origin,
            rule_bits: &self.resolved.key_bits,
            body: None,
        };
        key::build(self.engine.seed, &parts, &KeyPolicy::default(), &HeaderMap::new())
    }
}

fn path(n: u64) -> String {
    format!("/products/{}/{n}", n % 100)
}

/// Twelve fields, thirteen with `Vary`.
fn fields(n: u64, size: u64, vary: bool) -> HeaderMap {
    let text = |value: String| HeaderValue::try_from(value).unwrap();
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("date", "Tue, 24 Nov 2026 19:00:00 GMT"),
        ("server", "nginx"),
        ("content-type", "text/html; charset=utf-8"),
        ("last-modified", "Sun, 01 Nov 2026 08:00:00 GMT"),
        ("cache-control", "public, max-age=86400"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-frame-options", "SAMEORIGIN"),
    ] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    fields.insert("content-length", size.into());
    fields.insert("etag", text(format!("\"{n:016x}\"")));
    fields.insert("x-request-id", text(format!("{:032x}", u128::from(n) * 0x9e37_79b9_7f4a_7c15)));
    if vary {
        fields.insert("vary", HeaderValue::from_static("Accept-Encoding"));
    }
    fields
}

/// Bytes of this process in memory.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a system that tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}
