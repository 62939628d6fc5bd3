//! Calls that can't be read: an error in the dialect's own form, which names the place, and nothing is purged.

use super::*;

fn refused(raw: &str) -> BadCall {
    let wire = Wire::read(raw);
    let parse = if is_purge_method(&wire.method) { public } else { admin };
    match parse(&wire.call(), &plain) {
        Err(bad) => bad,
        Ok(parsed) => panic!("{raw}: {parsed:?}"),
    }
}

#[test]
fn bodies() {
    const CLOUDFLARE: &str = "/client/v4/zones/z/purge_cache";
    const FASTLY: &str = "/service/s/purge";
    const DRAFT: &str = "/.well-known/http-invalidation";
    let table = [
        (CLOUDFLARE, "", "json", "body: EOF"),
        (CLOUDFLARE, "{", "json", "at line 1 column 1"),
        (CLOUDFLARE, "[]", "json", "body: a JSON object was expected"),
        (CLOUDFLARE, "{\"tags\":[\"a\"]} x", "json", "trailing characters"),
        (CLOUDFLARE, "{\"tags\":[\"a\"],\"tags\":[\"b\"]}", "json", "`tags` is given twice"),
        (
            CLOUDFLARE,
            "{\"files\":[{\"url\":\"http://e/\",\"url\":\"http://f/\"}]}",
            "json",
            "`url` is given twice",
        ),
        (CLOUDFLARE, "{\"tag\":[\"a\"]}", "member", "`tag`: not known; expected were `purge_everything`"),
        (CLOUDFLARE, "{\"tags\":\"a\"}", "member", "`tags`: a list was expected"),
        (CLOUDFLARE, "{\"tags\":[\"a\",1]}", "member", "`tags[1]`: a string was expected"),
        (CLOUDFLARE, "{\"tags\":[\"\"]}", "member", "`tags[0]`: a string that is not empty"),
        (CLOUDFLARE, "{\"purge_everything\":1}", "member", "`purge_everything`: true or false"),
        (CLOUDFLARE, "{\"files\":[1]}", "member", "`files[0]`: a URL, or an object"),
        (CLOUDFLARE, "{\"files\":[{}]}", "member", "`files[0].url`: a URL was expected"),
        (CLOUDFLARE, "{\"files\":[{\"url\":\"http://e/\",\"headers\":1}]}", "member", "`files[0].headers`"),
        (CLOUDFLARE, "{\"files\":[\"/a\"]}", "url", "`files[0]`: a URL needs a scheme, http or https: /a"),
        (CLOUDFLARE, "{\"hosts\":[\"a b\"]}", "host", "`hosts[0]`: no host"),
        (
            CLOUDFLARE,
            "{\"hosts\":[\"*.example.com\"]}",
            "host",
            "`hosts[0]`: one host was expected, not `*.example.com`",
        ),
        (CLOUDFLARE, "{\"prefixes\":[\"https://e/a\"]}", "url", "`prefixes[0]`: a prefix is host/path"),
        (CLOUDFLARE, "{}", "nothing-named", "nothing to purge"),
        (CLOUDFLARE, "{\"purge_everything\":false,\"tags\":[]}", "nothing-named", "nothing to purge"),
        (FASTLY, "", "nothing-named", "`surrogate_keys` or Surrogate-Key"),
        (FASTLY, "{\"surrogate_keys\":[]}", "nothing-named", "`surrogate_keys` or Surrogate-Key"),
        (FASTLY, "{\"keys\":[\"a\"]}", "member", "`keys`: not known"),
        (FASTLY, "{\"surrogate_keys\":[1]}", "member", "`surrogate_keys[0]`"),
        (DRAFT, "{\"selectors\":[\"http://e/\"]}", "member", "`type`: a string was expected"),
        (DRAFT, "{\"type\":\"tag\",\"selectors\":[\"a\"]}", "unsupported", "`type`: tag is not; `uri`"),
        (DRAFT, "{\"type\":\"uri\"}", "nothing-named", "`selectors`: at least one"),
        (DRAFT, "{\"type\":\"uri\",\"selectors\":[\"/a\"]}", "url", "`selectors[0]`: a URL needs a scheme"),
        (
            DRAFT,
            "{\"type\":\"uri\",\"selectors\":[\"http://e/\"],\"purge\":\"yes\"}",
            "member",
            "`purge`: true or",
        ),
        (
            DRAFT,
            "{\"type\":\"uri-prefix\",\"selectors\":[\"http://e/a?b\"]}",
            "url",
            "`selectors[0]`: a prefix",
        ),
        (DRAFT, "{\"type\":\"origin\",\"selectors\":[\"http://e/\"]}", "url", "`selectors[0]`"),
        (
            DRAFT,
            "{\"type\":\"group\",\"selectors\":[\"http://e\"]}",
            "nothing-named",
            "`groups`: at least one",
        ),
    ];
    for (path, body, fault, reason) in table {
        let bad = refused(&format!("POST {path} HTTP/1.1\nHost: h\n\n{body}"));
        assert_eq!(bad.fault.as_str(), fault, "{body}: {}", bad.reason);
        assert!(bad.reason.contains(reason), "{body}: {}", bad.reason);
        assert_eq!(bad.status().as_u16(), if fault == "unsupported" { 501 } else { 400 });
    }
}

#[test]
fn header_fields() {
    let long = format!("BAN / HTTP/1.1\nHost: e\nX-Url: {}", "a".repeat(8193));
    let table = [
        ("PURGE / HTTP/1.1\nHost: a b", "host", "Host: no host"),
        ("PURGE / HTTP/1.0", "host", "Host: "),
        ("PURGE /a* HTTP/1.1\nHost: *", "host", "Host: one host was expected, not `*`"),
        ("PURGE / HTTP/1.1\nHost: e\nxkey: ", "nothing-named", "xkey: is empty"),
        ("PURGE / HTTP/1.1\nHost: e\nX-Magento-Tags-Pattern: ", "header", "x-magento-tags-pattern: is empty"),
        (
            "PURGE / HTTP/1.1\nHost: e\nX-Magento-Tags-Pattern: (a",
            "pattern",
            "x-magento-tags-pattern: regex parse",
        ),
        ("PURGE / HTTP/1.1\nHost: e\nX-Purge-Method: all", "header", "x-purge-method: `all` is not known"),
        ("PURGE / HTTP/1.1\nHost: e\nX-Purge-Method: tags", "header", "x-cache-tags-pattern: a regular"),
        ("PURGE /(a HTTP/1.1\nHost: e\nX-Purge-Method: regex", "pattern", "the path: regex parse error"),
        ("PURGEKEYS / HTTP/1.1\nHost: e", "nothing-named", "xkey-purge or xkey-softpurge"),
        ("PURGETAGS / HTTP/1.1\nHost: e", "nothing-named", "X-Cache-Tags"),
        ("BAN / HTTP/1.1\nHost: e\nX-Url: a\nX-Url: b", "header", "x-url: given more than once"),
        ("BAN / HTTP/1.1\nHost: e\nX-Url: (?=a)b", "pattern", "look-around"),
        ("BAN / HTTP/1.1\nHost: e\nX-Host: (.)\\1\nX-Url: .*", "pattern", "x-host: "),
        ("BAN / HTTP/1.1\nHost: e\nX-Content-Type: [", "pattern", "x-content-type: "),
        ("BAN / HTTP/1.1\nHost: e\nApiPlatform-Ban-Regex: (?!a)b", "pattern", "apiplatform-ban-regex: "),
        ("BAN /tags HTTP/1.1\nHost: e\nCache-Tags: ", "nothing-named", "cache-tags: is empty"),
        ("BAN / HTTP/1.1\nHost: e\nX-Ban-Url: /a\nX-Ban-Regex: b", "header", "one of them was expected"),
        ("BAN / HTTP/1.1\nHost: e\nX-Ban-Host: a/b\nX-Ban-Url: /", "host", "x-ban-host: "),
        ("BAN / HTTP/1.1\nHost: e\nX-Ban-Url: a", "url", "x-ban-url: a URL needs a scheme"),
        ("FULLBAN / HTTP/1.1\nHost: e\nX-Ban-Host: *", "host", "x-ban-host: "),
        (&long, "pattern", "x-url: a pattern of more than 8192 bytes"),
    ];
    for (raw, fault, reason) in table {
        let bad = refused(raw);
        assert_eq!(
            (bad.fault.as_str(), bad.dialect.as_str()),
            (fault, "varnish"),
            "{raw:.80}: {}",
            bad.reason
        );
        assert!(bad.reason.contains(reason), "{raw:.80}: {}", bad.reason);
        assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn more_than_ten_thousand_items_are_too_many() {
    let list = |n: usize| vec!["\"http://e\""; n].join(",");
    let post = |path: &str, body: String| refused(&format!("POST {path} HTTP/1.1\nHost: h\n\n{body}"));
    let cloudflare = "/client/v4/zones/z/purge_cache";
    let all = [
        post(cloudflare, format!("{{\"tags\":[{}]}}", list(10_001))),
        post(cloudflare, format!("{{\"tags\":[{}],\"files\":[{}]}}", list(5_001), list(5_000))),
        post("/service/s/purge", format!("{{\"surrogate_keys\":[{}]}}", list(10_001))),
        post(
            "/.well-known/http-invalidation",
            format!("{{\"type\":\"group\",\"selectors\":[{}],\"groups\":[{}]}}", list(101), list(100)),
        ),
    ];
    for bad in all {
        assert_eq!((bad.fault, bad.status()), (Fault::TooMany, StatusCode::BAD_REQUEST), "{}", bad.reason);
    }
}

#[test]
fn errors_look_as_each_client_expects_them() {
    let answers = |raw: &str| answered(refused(raw).answer());
    assert_eq!(
        answers("POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: h\n\n{\"tags\":1}"),
        "400 application/json {\"success\":false,\"errors\":[{\"code\":1012,\"message\":\"`tags`: a list was expected\"}],\
         \"messages\":[],\"result\":null}"
    );
    assert_eq!(
        answers("POST /service/s/purge HTTP/1.1\nHost: h\n\n{\"surrogate_keys\":1}"),
        "400 application/json {\"msg\":\"Bad Request\",\"detail\":\"`surrogate_keys`: a list was expected\"}"
    );
    assert_eq!(
        answers("POST /.well-known/http-invalidation HTTP/1.1\nHost: h\n\n{\"type\":1}"),
        "400 application/json {\"error\":\"`type`: a string was expected\"}"
    );
    assert_eq!(
        answers("BAN / HTTP/1.1\nHost: h\nX-Url: "),
        "400 text/plain; charset=utf-8 x-url: is empty; a value was expected"
    );
    let (status, _, body) = refusal(Dialect::Cloudflare, StatusCode::UNAUTHORIZED, "a token is needed");
    assert!(status == StatusCode::UNAUTHORIZED && body.contains("\"code\":10000"));
}

#[test]
fn rfc9110_15_5_6_other_methods_are_told_which_is_allowed() {
    for path in ["/client/v4/zones/z/purge_cache", "/service/s/purge_all", "/.well-known/http-invalidation"] {
        let bad = refused(&format!("GET {path} HTTP/1.1\nHost: h"));
        let (status, headers, _) = bad.answer();
        assert_eq!(
            (status.as_u16(), headers.get("allow").unwrap().to_str().unwrap()),
            (405, "POST"),
            "{path}"
        );
    }
    for path in [
        "/client/v4/zones//purge_cache",
        "/client/v4/zones/z/purge_cache/x",
        "/client/v4/zones/z/settings",
        "/service/s/version",
        "/service//purge_all",
        "/service/s/purge/",
        "/service/s",
        "/purge",
    ] {
        assert_eq!(Dialect::of_admin_path(path), None, "{path}");
    }
}
