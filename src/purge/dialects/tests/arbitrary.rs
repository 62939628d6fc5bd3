//! Whatever bytes arrive, the readers return; and a purge that they return names something.

use super::*;
use proptest::prelude::*;

const METHODS: [&str; 8] = ["PURGE", "PURGEKEYS", "PURGETAGS", "BAN", "URIBAN", "FULLBAN", "POST", "GET"];

const FIELDS: [&str; 27] = [
    "xkey",
    "xkey-purge",
    "xkey-softpurge",
    "key",
    "surrogate-key",
    "cache-tag",
    "cache-tags",
    "x-cache-tags",
    "x-host",
    "x-url",
    "x-content-type",
    "apiplatform-ban-regex",
    "purge-cache-tags",
    "x-magento-tags-pattern",
    "x-pool",
    "x-purge-method",
    "x-cache-tags-pattern",
    "x-ban-host",
    "x-ban-url",
    "x-ban-regex",
    "varnish-ban-all",
    "clear-cache",
    "fastly-key",
    "fastly-soft-purge",
    "cache-control",
    "x-refresh",
    "edge-cache-tag",
];

const PATHS: [&str; 9] = [
    "",
    "/",
    "/tags",
    "*",
    "/client/v4/zones/z/purge_cache",
    "/service/s/purge",
    "/service/s/purge_all",
    "/service/s/purge/k",
    "/.well-known/http-invalidation",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>().prop_filter("a field value", |b| *b >= 32 && *b != 127), 0..24),
        "[ab,|^$().*+?\\\\/\\[\\] -]{0,24}".prop_map(String::into_bytes),
        prop::sample::select(vec![".*", "1", "true", "tags", "regex", "exact", "default", "no-cache"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let member = prop::sample::select(vec![
        "type",
        "selectors",
        "groups",
        "purge",
        "tags",
        "files",
        "hosts",
        "prefixes",
        "surrogate_keys",
        "url",
        "x",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1e999".to_owned()),
        "\"(uri|uri-prefix|origin|group|http://e/a|e/b|é|)\"",
    ];
    let json = leaf.prop_recursive(4, 24, 4, move |inner| {
        let member = (member.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..32),
        json.prop_map(String::into_bytes),
        Just(b"[".repeat(5000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn readers_never_panic_and_never_return_an_empty_purge(
        method in prop::sample::select(METHODS.to_vec()),
        authority in prop_oneof![Just("e.example".to_owned()), "[a:.\\[\\]0-9%@é*]{0,8}"],
        path in prop_oneof![
            prop::sample::select(PATHS.to_vec()).prop_map(str::to_owned), "/?[a/*.?()%|\\\\é#]{0,12}",
        ],
        query in prop::option::of("[a*=&%]{0,6}"),
        lines in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), value()), 0..5),
        body in body(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        let method: Method = method.parse().unwrap();
        let call = Call {
            method: &method, authority: &authority, path: &path, query: query.as_deref(), headers: &headers, body: &body,
        };
        for parse in [public, admin] {
            match parse(&call, &plain) {
                Ok(Parsed::Purge(purge, shape)) => {
                    prop_assert!(purge.size() > 0);
                    prop_assert!(answer(&shape, &DONE).0.is_success());
                }
                Ok(Parsed::Refresh | Parsed::NotAPurge) => {}
                Err(bad) => {
                    prop_assert!(bad.answer().0.as_u16() >= 400 && !bad.reason.is_empty());
                }
            }
        }
    }

    /// Hosts and URLs alone are scoped to the request's host: nothing public without tags, a pattern on hosts or a
    /// word for everything reaches another site.
    #[test]
    fn a_url_purge_stays_on_its_host(path in "/[a-z*/.]{0,8}", query in prop::option::of("[a=*]{0,4}")) {
        let headers = HeaderMap::new();
        let method: Method = "PURGE".parse().unwrap();
        let call = Call {
            method: &method, authority: "e.example", path: &path, query: query.as_deref(), headers: &headers, body: b"",
        };
        let Ok(Parsed::Purge(purge, _)) = public(&call, &plain) else { panic!() };
        prop_assert_eq!(purge.mode, Mode::Hard);
        for selector in &purge.selectors {
            prop_assert!(selector.to_string().contains("e.example"), "{}", selector);
        }
        for predicate in &purge.predicates {
            prop_assert!(predicate.spec().host.is_some());
        }
    }
}
