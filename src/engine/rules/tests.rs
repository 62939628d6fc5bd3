//! Rules as requirements, and the index against a naive scan.

use super::conditions::StatusPattern;
use super::glob::{Glob, HostGlob, PathGlob};
use super::patch::{BodyKey, Caching, Coalesce, KeyPatch, Setting};
use super::template::Template;
use super::*;
use crate::engine::policy::{HeaderEdits, HeaderSource, KeyPolicy, QueryKey, Respond, Rewrite};
use crate::semantics::storable::RuleTtl;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use std::borrow::Cow;
use std::time::Duration;

fn paths(list: &[&str]) -> Conditions {
    Conditions { paths: Some(list.iter().map(|p| PathGlob::new(p).unwrap()).collect()), ..Default::default() }
}

fn globs(list: &[&str]) -> Vec<Glob> {
    list.iter().map(|g| Glob::new(g).unwrap()).collect()
}

fn rule(name: &str, conditions: Conditions, patch: Patch) -> Rule {
    Rule { name: Arc::from(name), conditions, patch, sets: Vec::new() }
}

fn set(rules: Vec<Rule>) -> RuleSet {
    RuleSet::new(Arc::from("app"), rules).unwrap()
}

fn ttl(seconds: u64) -> Patch {
    Patch { ttl: Setting::To(Some(Duration::from_secs(seconds))), ..Default::default() }
}

fn bypass() -> Patch {
    Patch { cache: Setting::To(Caching::Bypass), ..Default::default() }
}

struct Request {
    host: &'static str,
    query: Option<&'static str>,
    headers: HeaderMap,
}

fn get() -> Request {
    Request { host: "shop.example.com", query: None, headers: HeaderMap::new() }
}

impl Request {
    fn facts<'a>(&'a self, path: &'a str) -> RequestFacts<'a> {
        RequestFacts {
            method: &Method::GET,
            scheme: "http",
            host: self.host,
            path,
            query: self.query,
            headers: &self.headers,
        }
    }
}

fn names(rules: &RuleSet, path: &str) -> Vec<String> {
    let request = get();
    let resolved = rules.resolve(&request.facts(path));
    rules.matched(&resolved).map(|r| r.name.to_string()).collect()
}

#[test]
fn without_rules_the_base_policy_holds() {
    let rules = set(vec![]);
    let resolved = rules.resolve(&get().facts("/x"));
    assert_eq!(&*resolved.policy.origin, "app");
    assert_eq!(&*resolved.policy.rule, "none");
    assert!(!resolved.policy.bypass && resolved.repeatable && rules.only_path_and_host());
}

#[test]
fn the_last_match_wins_field_by_field_and_default_resets() {
    let reset = Patch { ttl: Setting::Default, coalesce: Setting::Default, ..Default::default() };
    let off = Patch { coalesce: Setting::To(None), ..ttl(60) };
    let rules = set(vec![
        rule("all", Conditions::default(), off),
        rule("news", paths(&["/news/**"]), ttl(5)),
        rule("live", paths(&["/news/live"]), reset),
    ]);
    let seconds = |path: &str| rules.resolve(&get().facts(path)).policy.store.ttl.map(|t| t.value.as_secs());
    assert_eq!(seconds("/"), Some(60));
    assert_eq!(seconds("/news/x"), Some(5));
    assert_eq!(seconds("/news/live"), None);
    let live = rules.resolve(&get().facts("/news/live")).policy;
    assert_eq!(live.coalesce, Some(Duration::from_secs(10)));
    assert_eq!(&*live.rule, "live");
    assert_eq!(rules.resolve(&get().facts("/")).policy.coalesce, None);
    assert_eq!(names(&rules, "/news/live"), ["all", "news", "live"]);
}

#[test]
fn tags_are_a_union_and_header_edits_merge_by_name() {
    let tags =
        |list: &[&str]| Setting::To(list.iter().map(|t| Template::parse(t).unwrap()).collect::<Vec<_>>());
    let x = HeaderName::from_static("x-a");
    let fixed = |v| HeaderSource::Fixed(HeaderValue::from_static(v));
    let first = Patch {
        tags: tags(&["site", "{id}"]),
        response_headers: Setting::To(HeaderEdits { set: vec![(x.clone(), fixed("1"))], remove: vec![] }),
        ..Default::default()
    };
    let second = Patch {
        tags: tags(&["site", "{id}"]),
        response_headers: Setting::To(HeaderEdits { set: vec![], remove: vec![x.clone()] }),
        ..Default::default()
    };
    let rules = set(vec![
        rule("shop", paths(&["/shops/{id}/**"]), first),
        rule("product", paths(&["/shops/*/products/{id}"]), second),
    ]);
    let request = get();
    let facts = request.facts("/shops/7/products/9");
    let resolved = rules.resolve(&facts);
    let tags: Vec<_> =
        resolved.policy.tags.iter().map(|t| t.render(&resolved.captures, &facts).unwrap()).collect();
    assert_eq!(tags, ["site", "7", "9"], "each rule sees its own captures");
    assert_eq!(resolved.policy.response_headers, HeaderEdits { set: vec![], remove: vec![x] });
}

#[test]
fn force_belongs_to_the_ttl_of_its_own_rule() {
    let force = Patch { force: Setting::To(true), ..ttl(60) };
    let rules =
        set(vec![rule("force", Conditions::default(), force), rule("plain", paths(&["/plain"]), ttl(5))]);
    assert!(rules.resolve(&get().facts("/")).policy.store.force);
    assert!(!rules.resolve(&get().facts("/plain")).policy.store.force);
}

#[test]
fn rules_that_name_a_status_join_when_the_origin_has_answered() {
    let errors = Conditions { statuses: Some(vec![StatusPattern::Class(5)]), ..paths(&["/api/**"]) };
    let rules = set(vec![rule("all", Conditions::default(), ttl(60)), rule("errors", errors, ttl(1))]);
    let resolved = rules.resolve(&get().facts("/api/x"));
    assert!(resolved.awaits_response());
    assert!(!resolved.policy.store.names_status);
    let ok = rules.resolve_response(&resolved, StatusCode::OK, None);
    assert!(Arc::ptr_eq(&ok, &resolved.policy));
    let failed = rules.resolve_response(&resolved, StatusCode::BAD_GATEWAY, None);
    let any_status = RuleTtl { value: Duration::from_secs(1), any_status: true };
    assert_eq!(failed.store.ttl, Some(any_status));
    assert!(failed.store.names_status);
    assert_eq!(&*failed.rule, "errors");
    let elsewhere = rules.resolve(&get().facts("/x"));
    assert!(!elsewhere.awaits_response());
}

#[test]
fn rulings_36_where_the_two_readings_match_different_rules_nothing_is_cached() {
    let deny = Patch {
        respond: Setting::To(Respond { status: StatusCode::FORBIDDEN, location: None, body: None }),
        ..Default::default()
    };
    let static_origin = Patch { origin: Setting::To(Arc::from("files")), ..ttl(60) };
    let rules = set(vec![
        rule("static", paths(&["/static/**"]), static_origin),
        rule("admin", paths(&["/admin/**"]), bypass()),
        rule("internal", paths(&["/internal/**"]), deny),
    ]);
    for path in ["/static/..%2fadmin/x", "/static/%2e%2e/admin", "/static/..%255cadmin"] {
        let resolved = rules.resolve(&get().facts(path));
        assert!(resolved.disagree && resolved.policy.bypass, "{path}");
        assert_eq!(&*resolved.policy.origin, "files", "the raw path picks the origin");
    }
    let disguised = rules.resolve(&get().facts("//internal/x"));
    assert_eq!(disguised.policy.respond.as_ref().map(|r| r.status), Some(StatusCode::FORBIDDEN));
    let harmless = rules.resolve(&get().facts("/static/a%20b.css"));
    assert!(!harmless.disagree && !harmless.policy.bypass);
    assert!(!rules.resolve(&get().facts("/.well-known/x")).disagree);
}

#[test]
fn rulings_36_a_response_rule_cannot_undo_the_bypass() {
    let on = Patch { cache: Setting::To(Caching::On), ..Default::default() };
    let found = Conditions { statuses: Some(vec![StatusPattern::Exact(200)]), ..Default::default() };
    let rules = set(vec![rule("admin", paths(&["/admin/**"]), bypass()), rule("ok", found, on)]);
    let resolved = rules.resolve(&get().facts("/x/..%2fadmin/y"));
    assert!(rules.resolve_response(&resolved, StatusCode::OK, None).bypass);
}

#[test]
fn rulings_4_rules_with_header_or_cookie_conditions_are_in_the_key() {
    let tenant = Conditions {
        headers: vec![(HeaderName::from_static("x-tenant"), globs(&["acme"]))],
        ..Default::default()
    };
    let rules = set(vec![rule("tenant", tenant, ttl(5)), rule("docs", paths(&["/docs/**"]), ttl(60))]);
    let mut request = get();
    assert!(rules.resolve(&request.facts("/docs/x")).key_bits.is_empty());
    request.headers.insert("x-tenant", HeaderValue::from_static("acme"));
    assert_eq!(rules.resolve(&request.facts("/")).key_bits.len(), 1);
}

#[test]
fn repeatable_where_no_rule_that_could_match_looks_further() {
    let query = Conditions { query: vec![(Glob::new("x").unwrap(), globs(&["1"]))], ..paths(&["/q/**"]) };
    let rules = set(vec![rule("query", query, ttl(5)), rule("docs", paths(&["/docs/**"]), ttl(60))]);
    assert!(rules.resolve(&get().facts("/docs/x")).repeatable);
    assert!(!rules.resolve(&get().facts("/q/x")).repeatable);
    assert!(!rules.resolve(&get().facts("/docs/..%2fq/x")).repeatable);
    assert!(!rules.only_path_and_host());
}

#[test]
fn a_policy_is_merged_once_per_set_of_rules() {
    let rules = set(vec![rule("a", paths(&["/a/**"]), ttl(1)), rule("b", paths(&["/b/**"]), ttl(2))]);
    let one = rules.resolve(&get().facts("/a/1")).policy;
    let two = rules.resolve(&get().facts("/a/2")).policy;
    assert!(Arc::ptr_eq(&one, &two));
    assert!(!Arc::ptr_eq(&one, &rules.resolve(&get().facts("/b/1")).policy));
}

#[test]
fn the_merged_policies_are_bounded() {
    // One rule per bit of the query: 2^11 sets.
    let bit = |i: usize| {
        let name = Glob::new(&format!("b{i}")).unwrap();
        rule(
            &format!("r{i}"),
            Conditions { query: vec![(name, globs(&["*"]))], ..Default::default() },
            ttl(1),
        )
    };
    let rules = set((0..11).map(bit).collect());
    let headers = HeaderMap::new();
    for mask in 0..2048usize {
        let query: Vec<_> = (0..11).filter(|i| mask & (1 << i) != 0).map(|i| format!("b{i}")).collect();
        let query = query.join("&");
        let facts = RequestFacts { query: Some(&query), headers: &headers, ..get_facts(&headers) };
        assert_eq!(rules.matched(&rules.resolve(&facts)).count(), mask.count_ones() as usize);
    }
    assert!(rules.merged.load().len() <= MAX_MERGED);
}

fn get_facts(headers: &HeaderMap) -> RequestFacts<'_> {
    RequestFacts { method: &Method::GET, scheme: "http", host: "h", path: "/", query: None, headers }
}

#[test]
fn more_than_a_thousand_rules_are_refused() {
    assert!(RuleSet::new(Arc::from("app"), vec![Rule::default(); MAX_RULES + 1]).is_err());
}

#[test]
fn key_leaves_are_merged_one_by_one() {
    let first = KeyPatch {
        query: Setting::To(QueryKey::None),
        body: Setting::To(Some(BodyKey { max: 9 })),
        ..Default::default()
    };
    let second = KeyPatch { query: Setting::Default, sort: Setting::To(true), ..Default::default() };
    let patch = |key| Patch { key, ..Default::default() };
    let rules =
        set(vec![rule("a", Conditions::default(), patch(first)), rule("b", paths(&["/b"]), patch(second))]);
    let key = rules.resolve(&get().facts("/b")).policy.key.clone();
    assert_eq!((key.query, key.sort, key.body_max), (QueryKey::All, true, Some(9)));
}

#[test]
fn coalescing_has_a_wait_of_its_own() {
    let wait = Coalesce { wait: Duration::from_secs(3) };
    let patch = Patch { coalesce: Setting::To(Some(wait)), ..Default::default() };
    let rules = set(vec![rule("a", Conditions::default(), patch)]);
    assert_eq!(rules.resolve(&get().facts("/")).policy.coalesce, Some(wait.wait));
}

#[test]
fn queries_are_filtered_and_sorted_without_touching_what_stays() {
    let exclude = |list: &[&str]| QueryKey::Exclude(globs(list));
    let include = |list: &[&str]| QueryKey::Include(globs(list));
    let cases: &[(QueryKey, bool, Option<&str>, Option<&str>)] = &[
        (QueryKey::All, false, None, None),
        (QueryKey::All, false, Some("b=1&a=2"), Some("b=1&a=2")),
        (QueryKey::All, false, Some(""), Some("")),
        (QueryKey::None, false, Some("a=1"), None),
        (exclude(&["utm_*", "gclid"]), false, Some("a=%7e&utm_x=1&gclid=2&b"), Some("a=%7e&b")),
        (exclude(&["utm_*"]), false, Some("%75tm_x=1&a=1"), Some("a=1")),
        (exclude(&["utm_*"]), false, Some("utm_x=1"), None),
        (include(&["id"]), false, Some("x=1&id=2&id=1"), Some("id=2&id=1")),
        (QueryKey::All, true, Some("b=1&a=2&b=0&a=1"), Some("a=2&a=1&b=1&b=0")),
        (QueryKey::All, true, Some("%62=1&a=2"), Some("a=2&%62=1")),
    ];
    for (query, sort, sent, kept) in cases {
        let key = KeyPolicy { query: query.clone(), sort: *sort, ..Default::default() };
        assert_eq!(key.apply_query(*sent).as_deref(), *kept, "{query:?} {sent:?}");
    }
    let key = KeyPolicy { query: exclude(&["x"]), sort: true, ..Default::default() };
    assert!(matches!(key.apply_query(Some("a=1&b=2")), Some(Cow::Borrowed(_))));
}

#[test]
fn a_rewrite_works_on_whole_segments() {
    let rewrite = |strip: Option<&str>, prefix: Option<&str>| Rewrite {
        strip_prefix: strip.map(str::to_owned),
        prefix: prefix.map(str::to_owned),
    };
    let strip = rewrite(Some("/api/"), None);
    assert_eq!(strip.apply("/api/x"), "/x");
    assert_eq!(strip.apply("/api"), "/");
    assert_eq!(strip.apply("/apis"), "/apis");
    assert_eq!(rewrite(Some("/api"), Some("/v2")).apply("/api/x"), "/v2/x");
    assert_eq!(rewrite(None, Some("/v2/")).apply("/x"), "/v2/x");
}

#[test]
fn a_header_template_can_not_split_a_header() {
    let edits = HeaderEdits {
        set: vec![(
            HeaderName::from_static("x-id"),
            HeaderSource::Template(Template::parse("{query.id}").unwrap()),
        )],
        remove: vec![],
    };
    let mut request = get();
    request.query = Some("id=1%0d%0aSet-Cookie:%20x=1");
    let mut out = HeaderMap::new();
    out.insert("x-id", HeaderValue::from_static("forged"));
    edits.apply(&mut out, &Captures::default(), &request.facts("/"));
    assert!(out.is_empty());
}

#[test]
fn the_engine_does_not_know_the_configuration() {
    fn look(folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains(concat!("crate::", "config")), "{} imports config", path.display());
            }
        }
    }
    look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine"));
}

/// A small world in which patterns and requests often meet.
fn pattern() -> impl Strategy<Value = String> {
    let segment =
        prop::sample::select(vec!["a", "b", "*", "**", "{x}", "a*", "*.css", "b.css", "", "%61", "a**"]);
    prop::collection::vec(segment, 1..4).prop_map(|s| format!("/{}", s.join("/")))
}

fn a_path() -> impl Strategy<Value = String> {
    let segment =
        prop::sample::select(vec!["a", "b", "ab", "x.css", "b.css", "", "..", "%61", "%2e", "a%2fb"]);
    prop::collection::vec(segment, 0..5).prop_map(|s| format!("/{}", s.join("/")))
}

fn host_pattern() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["h.x", "*.x", "*", "h.x:81", "*.h.x", "g*", "i"]).prop_map(str::to_owned)
}

fn a_rule() -> impl Strategy<Value = Conditions> {
    let paths = prop::option::of(prop::collection::vec(pattern(), 0..3));
    let hosts = prop::option::of(prop::collection::vec(host_pattern(), 0..3));
    (paths, hosts, prop::option::of(Just("1"))).prop_map(|(paths, hosts, query)| Conditions {
        paths: paths.map(|list| list.iter().filter_map(|p| PathGlob::new(p).ok()).collect()),
        hosts: hosts.map(|list| list.iter().map(|h| HostGlob::new(h).unwrap()).collect()),
        query: query.map(|v| (Glob::new("q").unwrap(), globs(&[v]))).into_iter().collect(),
        ..Default::default()
    })
}

/// Every condition of every rule, without an index.
fn scan(rules: &RuleSet, facts: &RequestFacts<'_>, path: &[u8], lenient: bool) -> Vec<Arc<str>> {
    let host = Host::new(facts.host, facts.scheme);
    let holds = |r: &&Rule| {
        let c = &r.conditions;
        let on = |p: &PathGlob| if lenient { p.matches_decoded(path) } else { p.matches_raw(path) };
        c.hosts.as_ref().is_none_or(|list| list.iter().any(|h| h.matches(&host)))
            && c.paths.as_ref().is_none_or(|list| list.iter().any(on))
            && c.hold_beyond(facts)
    };
    rules.rules().filter(holds).map(|r| r.name.clone()).collect()
}

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_finds(
        conditions in prop::collection::vec(a_rule(), 0..12),
        requests in prop::collection::vec(
            (a_path(), prop::sample::select(vec!["h.x", "h.x:81", "g.h.x", "i", "z"]), prop::option::of(Just("q=1"))), 1..20),
    ) {
        let rules = conditions.into_iter().enumerate();
        let rules = set(rules.map(|(i, c)| rule(&i.to_string(), c, Patch::default())).collect());
        let headers = HeaderMap::new();
        for (path, host, query) in &requests {
            let facts = RequestFacts { host, path, query: *query, ..get_facts(&headers) };
            let raw = path::upper_triplets(path);
            let expected = scan(&rules, &facts, &raw, false);
            let lenient = path::lenient(&raw).map(|p| scan(&rules, &facts, &p, true));
            let resolved = rules.resolve(&facts);
            let found: Vec<_> = rules.matched(&resolved).map(|r| r.name.clone()).collect();
            prop_assert_eq!(&found, &expected, "{} {}", host, path);
            prop_assert_eq!(resolved.disagree, lenient.is_some_and(|l| l != expected), "{}", path);
        }
    }

    #[test]
    fn a_path_pattern_never_panics_and_its_shape_means_what_its_regex_means(pattern in "[/a.*{}x%2]{0,12}", text in "/[/a.x%2]{0,12}") {
        if let Ok(glob) = PathGlob::new(&pattern) {
            let _ = glob.matches_decoded(text.as_bytes());
            prop_assert_eq!(glob.captures(text.as_bytes()).is_some(), glob.matches_raw(text.as_bytes()));
        }
    }
}
