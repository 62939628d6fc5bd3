//! What is stored and what is not, and for which reason. Lifetimes have their tests in `freshness`.

use super::super::freshness::StaleUse;
use super::*;
use http::HeaderValue;

/// 2026-01-01 00:00:00, when every response here arrives.
const NOW: Wall = Wall::from_secs(1_767_225_600);
const TARGET: &str = "http://example.com/a/b?q=1";

const DATE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
const EXPIRES: (&str, &str) = ("expires", "Thu, 01 Jan 2026 01:00:00 GMT");
const MODIFIED: (&str, &str) = ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT");
const ETAG: (&str, &str) = ("etag", "\"v1\"");
const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
const COOKIE: (&str, &str) = ("cookie", "a=b");
const CREDENTIALS: (&str, &str) = ("authorization", "Basic x");

type Fields<'a> = &'a [(&'static str, &'static str)];

const fn cc(value: &'static str) -> (&'static str, &'static str) {
    ("cache-control", value)
}

fn map(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

/// A request and its answer, and the options of the rules that match.
#[derive(Clone)]
struct Case {
    method: Method,
    request: HeaderMap,
    status: u16,
    response: HeaderMap,
    options: Options,
}

impl Case {
    fn get(response: Fields<'_>) -> Self {
        let options = Options::default();
        Self { method: Method::GET, request: HeaderMap::new(), status: 200, response: map(response), options }
    }
    fn method(mut self, method: &str) -> Self {
        self.method = Method::from_bytes(method.as_bytes()).unwrap();
        self
    }
    fn request(mut self, fields: Fields<'_>) -> Self {
        self.request = map(fields);
        self
    }
    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
    fn options(mut self, options: &Options) -> Self {
        self.options = options.clone();
        self
    }
    fn assess(&self) -> Result<Storable, NotStored> {
        let exchange = Exchange {
            method: &self.method,
            request: &self.request,
            status: StatusCode::from_u16(self.status).unwrap(),
            response: &self.response,
            request_time: NOW,
            response_time: NOW,
            target: TARGET,
        };
        assess(&exchange, &self.options)
    }
    fn refused(&self) -> Option<NotStored> {
        self.assess().err()
    }
    /// Stored, and with which lifetime.
    fn lifetime(&self) -> Result<u64, NotStored> {
        self.assess().map(|storable| storable.freshness.lifetime.as_secs())
    }
}

fn named() -> Options {
    Options { names_status: true, ..Options::default() }
}

fn all_statuses() -> Options {
    let heuristic = Options::default().heuristic.unwrap();
    Options {
        heuristic: Some(Heuristic { statuses: HeuristicStatuses::All, ..heuristic }),
        ..Options::default()
    }
}

fn rule_ttl(any_status: bool) -> Options {
    Options { ttl: Some(RuleTtl { value: Duration::from_secs(9), any_status }), ..Options::default() }
}

fn forced() -> Options {
    Options { force: true, ..rule_ttl(false) }
}

#[test]
fn rfc9111_3_only_get_and_post_are_stored() {
    for method in
        ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "QUERY", "PURGE", "get", "FOO"]
    {
        assert_eq!(Case::get(&[FRESH]).method(method).refused(), Some(NotStored::Method), "{method}");
    }
    assert_eq!(Case::get(&[FRESH]).lifetime(), Ok(3600));
}

#[test]
fn rfc9110_9_3_3_post_needs_explicit_freshness_and_its_own_uri_in_content_location() {
    let post = |response: Fields<'_>| Case::get(response).method("POST");
    for (location, same) in [
        (TARGET, true),
        ("HTTP://EXAMPLE.com/a/b?q=1", true),
        ("//example.com/a/b?q=1", true),
        ("/a/b?q=1", true),
        ("/a/./b?q=1", true),
        ("/a/c/../b?q=1", true),
        ("b?q=1", true),
        ("./b?q=1", true),
        ("../a/b?q=1", true),
        ("../../../a/b?q=1", true),
        ("?q=1", true),
        ("", true),
        ("#top", true),
        ("/a/b?q=1#top", true),
        ("/a/b", false),
        ("/a/b?q=2", false),
        ("/A/b?q=1", false),
        ("/a/b/?q=1", false),
        ("a/b?q=1", false),
        ("c?u=http://example.com/a/b?q=1", false),
        ("https://example.com/a/b?q=1", false),
        ("http://example.org/a/b?q=1", false),
        ("http://example.com:8080/a/b?q=1", false),
        ("http://user@example.com/a/b?q=1", false),
        ("//example.org/a/b?q=1", false),
        ("urn:b?q=1", false),
        ("http:/a/b?q=1", false),
    ] {
        let expected = if same { None } else { Some(NotStored::Method) };
        assert_eq!(post(&[FRESH, ("content-location", location)]).refused(), expected, "{location}");
    }
    let own = ("content-location", TARGET);
    assert_eq!(post(&[EXPIRES, DATE, own]).lifetime(), Ok(3600));
    assert_eq!(post(&[FRESH]).refused(), Some(NotStored::Method), "no Content-Location");
    assert_eq!(post(&[FRESH, own, own]).refused(), Some(NotStored::Method), "two");
    assert_eq!(
        post(&[own, ETAG, MODIFIED, DATE]).refused(),
        Some(NotStored::Method),
        "no explicit freshness"
    );
    assert_eq!(
        post(&[own, ETAG]).options(&rule_ttl(true)).refused(),
        Some(NotStored::Method),
        "a rule is not the origin"
    );
    assert_eq!(post(&[cc("max-age=60, no-store"), own]).refused(), Some(NotStored::NoStore));
}

#[test]
fn rfc3986_5_2_references_are_resolved_against_the_target() {
    for (reference, target, same) in [
        ("/", "http://h/", true),
        ("", "http://h/", true),
        (".", "http://h/a/b", false),
        (".", "http://h/a/", true),
        ("..", "http://h/a/", false),
        ("http://h", "http://h/", true),
        ("//h", "http://h/", true),
        ("//h?q", "http://h/?q", true),
        ("http://h:80/", "http://h/", true),
        ("/a/..", "http://h/", true),
        ("/a/../", "http://h/", true),
        ("/..", "http://h/", true),
        ("x", "no target", false),
        ("/x", "", false),
    ] {
        assert_eq!(refers_to(reference, target), same, "{reference} {target}");
    }
}

#[test]
fn rfc9111_5_2_1_5_a_client_s_no_store_keeps_the_response_out() {
    for (request, expected) in [
        (cc("no-store"), Some(NotStored::RequestNoStore)),
        (cc("max-age=0, No-Store"), Some(NotStored::RequestNoStore)),
        (cc("no-cache"), None),
        (cc("only-if-cached"), None),
        (cc("x=\"no-store\""), None),
        (("pragma", "no-store"), None),
    ] {
        assert_eq!(Case::get(&[FRESH]).request(&[request]).refused(), expected, "{request:?}");
    }
    let case = Case::get(&[FRESH]).request(&[cc("no-store")]).options(&forced());
    assert_eq!(case.refused(), Some(NotStored::RequestNoStore), "no rule overrules the client");
}

#[test]
fn rfc9111_3_statuses_that_are_never_stored() {
    let named = Options { force: true, names_status: true, ..rule_ttl(true) };
    for status in [100, 101, 103, 199, 206, 304, 412, 416] {
        for options in [Options::default(), named.clone()] {
            let case = Case::get(&[FRESH, ETAG, cc("public")]).status(status).options(&options);
            assert_eq!(case.refused(), Some(NotStored::Status), "{status}");
        }
    }
}

#[test]
fn rfc9111_3_any_other_final_status_is_stored_with_explicit_freshness() {
    // Those of the conformance suite among them, known or not.
    for status in
        [200, 201, 203, 204, 299, 300, 301, 302, 303, 307, 308, 401, 403, 404, 405, 410, 418, 451, 499, 999]
    {
        for response in [FRESH, cc("s-maxage=3600"), cc("public, max-age=3600"), EXPIRES] {
            assert_eq!(
                Case::get(&[response, DATE]).status(status).lifetime(),
                Ok(3600),
                "{status} {response:?}"
            );
        }
    }
}

#[test]
fn rfc9111_3_g_without_explicit_freshness_the_status_must_be_cacheable_or_public() {
    for status in [201, 202, 302, 303, 307, 401, 403, 418, 451, 299, 499] {
        let case = Case::get(&[ETAG, MODIFIED, DATE]).status(status);
        assert_eq!(case.refused(), Some(NotStored::NoLifetime), "{status}");
        let case = Case::get(&[ETAG, MODIFIED, DATE, cc("public")]).status(status);
        let stored = case.assess().unwrap().freshness;
        assert_eq!((stored.source, stored.lifetime), (Source::None, Duration::ZERO), "{status} public");
    }
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410] {
        let stored = Case::get(&[ETAG]).status(status).assess().unwrap().freshness;
        assert_eq!((stored.source, stored.lifetime), (Source::None, Duration::ZERO), "{status}");
    }
}

#[test]
fn rfc9111_3_neither_lifetime_nor_validator() {
    for response in [
        &[][..],
        &[DATE],
        &[cc("public")],
        &[cc("foo")],
        &[("last-modified", "x")],
        &[("cdn-cache-control", "none"), EXPIRES],
    ] {
        assert_eq!(Case::get(response).refused(), Some(NotStored::NoLifetime), "{response:?}");
    }
    // With a validator it is stored, and used only after validation: its lifetime is zero.
    let stored = Case::get(&[ETAG]).assess().unwrap().freshness;
    assert!(!stored.is_fresh(stored.initial_age));
    // Not when the answer may be one person's.
    for header in [COOKIE, CREDENTIALS] {
        let case = Case::get(&[ETAG, cc("public")]).request(&[header]);
        assert_eq!(case.refused(), Some(NotStored::NoLifetime), "{header:?}");
    }
}

#[test]
fn rfc9111_5_2_2_5_no_store() {
    for response in [
        &[cc("no-store")][..],
        &[cc("No-StOrE")],
        &[cc("max-age=10000, no-store"), EXPIRES, DATE],
        &[cc("public, s-maxage=60"), cc("no-store")],
        &[FRESH, ("surrogate-control", "no-store")],
        &[FRESH, ("cdn-cache-control", "no-store, max-age=60")],
        &[cc("no-store, private, no-cache")],
    ] {
        assert_eq!(Case::get(response).refused(), Some(NotStored::NoStore), "{response:?}");
    }
    for response in [
        &[cc("no-store"), ("surrogate-control", "max-age=60")][..],
        &[cc("no-store"), ("cdn-cache-control", "max-age=60")],
        &[cc("no-store"), ("larder-cdn-cache-control", "max-age=60")],
    ] {
        assert_eq!(Case::get(response).lifetime(), Ok(60), "{response:?}");
    }
}

#[test]
fn rfc9111_5_2_2_7_private() {
    for response in [
        &[cc("private, max-age=3600")][..],
        &[cc("s-maxage=3600, PRIVATE")],
        &[cc("public, private, max-age=3600")],
        &[cc("private=\"\", max-age=3600")],
        &[FRESH, ("cdn-cache-control", "private, max-age=60")],
    ] {
        assert_eq!(Case::get(response).refused(), Some(NotStored::Private), "{response:?}");
    }
    let case = Case::get(&[cc("private, max-age=3600"), ("cdn-cache-control", "max-age=60")]);
    assert_eq!(case.lifetime(), Ok(60));
}

#[test]
fn rfc9111_5_2_2_7_and_4_a_list_of_fields_is_what_is_stored_without() {
    let omit = |value| {
        let storable = Case::get(&[cc(value), ETAG, ("a", "1"), ("b", "2")]).assess().unwrap();
        assert!(!storable.freshness.must_validate, "{value}");
        storable.omit.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(omit("max-age=60"), "");
    assert_eq!(omit("max-age=60, private=\"a, X-User\""), "a x-user");
    assert_eq!(omit("max-age=60, no-cache=\"a, b\""), "a b");
    assert_eq!(omit("max-age=60, no-cache=\"a, b\", private=\"B, c\""), "b c a");
}

#[test]
fn rfc9111_5_2_2_7_and_4_a_list_that_names_what_is_needed_concerns_the_whole_response() {
    for name in ["Vary", "content-encoding", "a, Content-Type"] {
        let mut case = Case::get(&[ETAG]);
        let mut with = |directive: &str| {
            let value = format!("max-age=60, {directive}=\"{name}\"");
            case.response.insert("cache-control", HeaderValue::try_from(value).unwrap());
            case.assess()
        };
        assert_eq!(with("private").unwrap_err(), NotStored::Private, "{name}");
        let storable = with("no-cache").unwrap();
        assert!(storable.freshness.must_validate && storable.omit.is_empty(), "{name}");
    }
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_stored_with_a_validator_and_never_used_without_validation() {
    for response in
        [&[cc("no-cache"), ETAG][..], &[cc("max-age=60, no-cache"), ETAG], &[cc("No-CaChE"), MODIFIED]]
    {
        let stored = Case::get(response).assess().unwrap().freshness;
        assert!(stored.must_validate, "{response:?}");
        assert_eq!(stored.stale, StaleUse::default(), "{response:?}");
    }
    for response in [
        &[cc("max-age=10000, no-cache"), EXPIRES, DATE][..],
        &[FRESH, ("cdn-cache-control", "no-cache, max-age=9")],
    ] {
        assert_eq!(Case::get(response).refused(), Some(NotStored::NoValidator), "{response:?}");
    }
}

#[test]
fn rfc9111_3_5_authorization() {
    for (response, expected) in [
        (&[EXPIRES, DATE][..], Some(NotStored::Authorization)),
        (&[FRESH], Some(NotStored::Authorization)),
        (&[cc("max-age=60, proxy-revalidate")], Some(NotStored::Authorization)),
        (&[cc("max-age=60, s-maxage=x"), ETAG], Some(NotStored::Authorization)),
        (&[cc("public; max-age=60"), ETAG], Some(NotStored::Authorization)),
        (&[cc("max-age=60, no-cache"), ETAG], Some(NotStored::Authorization)),
        (&[cc("max-age=60, public")], None),
        (&[cc("max-age=60, must-revalidate")], None),
        (&[cc("s-maxage=60")], None),
        (&[cc("public"), EXPIRES, DATE], None),
        // The governing field's directives count (RFC 9213 §2.2), the others' don't.
        (&[cc("public"), ("cdn-cache-control", "max-age=60")], Some(NotStored::Authorization)),
        (&[cc("private"), ("cdn-cache-control", "max-age=60, public")], None),
        (&[cc("max-age=60"), ("surrogate-control", "max-age=60")], Some(NotStored::Authorization)),
        (&[cc("public, private")], Some(NotStored::Private)),
    ] {
        let case = Case::get(response).request(&[CREDENTIALS]);
        assert_eq!(case.refused(), expected, "{response:?}");
        if expected == Some(NotStored::Authorization) {
            assert_eq!(case.clone().options(&forced()).refused(), expected, "no rule lifts it: {response:?}");
        }
    }
    // A cookie is no credential in the sense of §3.5.
    assert_eq!(Case::get(&[FRESH]).request(&[COOKIE]).refused(), None);
}

#[test]
fn interface_2_2_set_cookie_is_refused_or_stripped() {
    let cookie = ("set-cookie", "a=b");
    let strip = Options { set_cookie: SetCookie::Strip, ..Options::default() };
    for response in [
        &[FRESH, cookie][..],
        &[cc("public, max-age=60"), cookie],
        &[("cdn-cache-control", "max-age=60"), cookie],
    ] {
        assert_eq!(Case::get(response).refused(), Some(NotStored::SetCookie), "{response:?}");
        assert_eq!(
            Case::get(response).options(&forced()).refused(),
            Some(NotStored::SetCookie),
            "{response:?}"
        );
        let storable = Case::get(response).options(&strip).assess().unwrap();
        assert_eq!(storable.omit, [SET_COOKIE], "{response:?}");
    }
    assert!(Case::get(&[FRESH]).options(&strip).assess().unwrap().omit.is_empty());
}

#[test]
fn standards_8_7_a_list_that_names_set_cookie_stores_the_rest() {
    for directive in ["max-age=60, private=\"Set-Cookie\"", "max-age=60, no-cache=\"set-cookie\""] {
        let storable = Case::get(&[cc(directive), ("set-cookie", "a=b")]).assess().unwrap();
        assert_eq!(storable.omit, [SET_COOKIE], "{directive}");
    }
}

/// Needs `vary::parse`.
#[test]
fn rfc9111_4_1_vary_star_is_not_stored() {
    for vary in ["*", "*, Accept", "Accept, *", " * "] {
        for options in [Options::default(), forced()] {
            let mut case = Case::get(&[FRESH, ETAG]).options(&options);
            case.response.insert("vary", HeaderValue::from_static(vary));
            assert_eq!(case.refused(), Some(NotStored::VaryStar), "{vary}");
        }
    }
    assert_eq!(Case::get(&[FRESH, ("vary", "accept-encoding")]).refused(), None);
}

#[test]
fn rfc9111_5_2_2_3_must_understand() {
    let directives = cc("max-age=3600, must-understand, no-store");
    for status in 200..600 {
        let Ok(storable) = Case::get(&[directives]).status(status).options(&named()).assess() else {
            continue;
        };
        assert_eq!(storable.freshness.lifetime.as_secs(), 3600);
        assert!(is_understood(StatusCode::from_u16(status).unwrap()), "{status}");
    }
    for (status, expected) in [
        (200, None),
        (301, None),
        (404, None),
        (302, None),
        (299, Some(NotStored::NotUnderstood)),
        (451, Some(NotStored::NotUnderstood)),
        (599, Some(NotStored::NotUnderstood)),
    ] {
        for directives in [cc("max-age=3600, must-understand, no-store"), cc("max-age=3600, must-understand")]
        {
            assert_eq!(
                Case::get(&[directives]).status(status).refused(),
                expected,
                "{status} {directives:?}"
            );
            let options = Options { names_status: true, ..forced() };
            assert_eq!(
                Case::get(&[directives]).status(status).options(&options).refused(),
                expected,
                "{status}"
            );
        }
    }
    // It lifts nothing but no-store.
    let case = Case::get(&[cc("max-age=60, must-understand, no-store, private")]);
    assert_eq!(case.refused(), Some(NotStored::Private));
}

#[test]
fn rulings_7_error_statuses_need_explicit_freshness_and_a_rule_that_names_them() {
    for status in [400, 413, 414, 428, 429, 431, 500, 501, 502, 503, 504, 511, 599] {
        let stored = |response: Fields<'_>, options: &Options| {
            Case::get(response).status(status).options(options).lifetime()
        };
        let refused = Err(NotStored::ErrorStatus);
        assert_eq!(stored(&[FRESH], &Options::default()), refused, "{status} not named");
        assert_eq!(stored(&[FRESH], &named()), Ok(3600), "{status}");
        assert_eq!(stored(&[EXPIRES, DATE], &named()), Ok(3600), "{status}");
        assert_eq!(stored(&[("cdn-cache-control", "max-age=60")], &named()), Ok(60), "{status}");
        assert_eq!(stored(&[ETAG, MODIFIED, DATE], &named()), refused, "{status} without freshness");
        assert_eq!(stored(&[cc("public"), ETAG], &named()), refused, "{status} without freshness");
        assert_eq!(stored(&[], &Options { names_status: true, ..rule_ttl(true) }), Ok(9), "{status} by rule");
        assert_eq!(stored(&[], &rule_ttl(true)), refused, "{status} rule does not name it");
        assert_eq!(stored(&[FRESH], &rule_ttl(false)), refused, "{status}");
        let default = Options { default_ttl: rule_ttl(true).ttl, names_status: true, ..Options::default() };
        assert_eq!(stored(&[], &default), refused, "{status}: a default is not explicit");
        // More specific reasons come first.
        assert_eq!(stored(&[cc("no-store")], &Options::default()), Err(NotStored::NoStore), "{status}");
    }
    for status in [401, 403, 404, 405, 410, 418] {
        assert_eq!(
            Case::get(&[FRESH]).status(status).lifetime(),
            Ok(3600),
            "{status} is no error status here"
        );
    }
}

#[test]
fn rulings_33_heuristics_of_all_statuses_cover_error_statuses_by_that_choice() {
    let stored =
        |status, response: Fields<'_>| Case::get(response).status(status).options(&all_statuses()).refused();
    for status in [414, 501] {
        assert_eq!(stored(status, &[MODIFIED, DATE]), None, "{status}");
        assert_eq!(stored(status, &[ETAG]), Some(NotStored::ErrorStatus), "{status} without Last-Modified");
        assert_eq!(
            stored(status, &[FRESH]),
            Some(NotStored::ErrorStatus),
            "{status}: explicit is another matter"
        );
    }
    for status in [400, 413, 500, 502, 503, 504, 599] {
        assert_eq!(stored(status, &[MODIFIED, DATE]), Some(NotStored::ErrorStatus), "{status}");
        assert_eq!(stored(status, &[MODIFIED, DATE, cc("public")]), None, "{status} public");
    }
}

#[test]
fn rulings_2_force_lifts_private_no_store_and_no_cache_with_the_ttl_of_its_rule() {
    for directives in ["private", "no-store", "no-cache", "no-store, private, no-cache, max-age=0"] {
        let storable = Case::get(&[cc(directives)]).options(&forced()).assess().unwrap();
        assert_eq!((storable.freshness.lifetime.as_secs(), storable.freshness.source), (9, Source::Rule));
        assert!(!storable.freshness.must_validate, "{directives}");
        // Not without a ttl that acts here.
        let no_ttl = Options { force: true, ..Options::default() };
        assert!(Case::get(&[cc(directives)]).options(&no_ttl).refused().is_some(), "{directives}");
        assert!(
            Case::get(&[cc(directives)]).status(404).options(&forced()).refused().is_some(),
            "{directives}"
        );
        let named = Options { force: true, ..rule_ttl(true) };
        assert_eq!(
            Case::get(&[cc(directives)]).status(404).options(&named).lifetime(),
            Ok(9),
            "{directives}"
        );
        // And ttl alone lifts nothing.
        assert!(Case::get(&[cc(directives)]).options(&rule_ttl(true)).refused().is_some(), "{directives}");
    }
    // Other directives hold; fields that were not to be stored still aren't.
    let case = Case::get(&[cc("private=\"a\", must-revalidate"), ETAG]).options(&forced());
    let storable = case.assess().unwrap();
    assert_eq!(storable.omit.len(), 1);
    assert_eq!(storable.freshness.stale, StaleUse::default());
}

#[test]
fn a_copy_that_could_never_be_used_is_not_stored() {
    let no_validator = Some(NotStored::NoValidator);
    for (response, expected) in [
        (&[cc("no-cache, max-age=60")][..], no_validator),
        (&[cc("max-age=0, must-revalidate")], no_validator),
        (&[cc("s-maxage=0")], no_validator),
        (&[cc("s-maxage=60"), ("age", "60")], no_validator),
        (&[cc("max-age=x")], no_validator),
        // With a validator it can be confirmed.
        (&[cc("max-age=0, must-revalidate"), ETAG], None),
        (&[cc("s-maxage=0"), MODIFIED], None),
        // Where nothing forbids it, it may be used while the origin can't be reached.
        (&[cc("max-age=0")], None),
        (&[EXPIRES, ("date", "Fri, 02 Jan 2026 00:00:00 GMT")], None),
        (&[cc("s-maxage=0, stale-while-revalidate=5")], None),
        (&[cc("s-maxage=60"), ("age", "59")], None),
    ] {
        assert_eq!(Case::get(response).refused(), expected, "{response:?}");
    }
}

#[test]
fn rfc9111_4_2_3_the_age_on_arrival_is_kept() {
    let storable = Case::get(&[FRESH, ("age", "1800"), DATE]).assess().unwrap();
    assert_eq!(storable.freshness.initial_age.as_secs(), 1800);
    let storable = Case::get(&[FRESH, ("age", "7200"), DATE]).assess().unwrap();
    assert!(!storable.freshness.is_fresh(storable.freshness.initial_age), "stale on arrival");
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    use NotStored::*;
    let all = [
        Method,
        RequestNoStore,
        NoStore,
        Private,
        Authorization,
        SetCookie,
        VaryStar,
        Status,
        NotUnderstood,
        ErrorStatus,
        NoLifetime,
        NoValidator,
    ];
    let words: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), all.len());
}

proptest::proptest! {
    #[test]
    fn any_reference_is_compared_without_a_panic(reference: String, target: String) {
        let _ = refers_to(&reference, &target);
        let _ = refers_to(&reference, TARGET);
    }
}
