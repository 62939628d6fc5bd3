//! Cloudflare, Fastly and the invalidation draft.

use super::*;

const OK: &str =
    r#"200 application/json {"success":true,"errors":[],"messages":[],"result":{"id":"1767225600123-7"}}"#;
const FASTLY: &str = r#"200 application/json {"status":"ok","id":"1767225600123-7"}"#;

#[test]
fn cloudflare_clients() {
    let cases: &[Case] = &[
        (
            "FOSHttpCache, tags",
            "POST /client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache HTTP/1.1\n\
             Host: api.cloudflare.com\nAuthorization: Bearer t\nContent-Length: 25\n\n\
             {\"tags\":[\"Node-1\",\"page\"]}",
            "hard: tag-any-case node-1, tag-any-case page",
            OK,
        ),
        (
            "FOSHttpCache, clear",
            "POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: api.cloudflare.com\nAccept: application/json\n\
             Authorization: Bearer t\nContent-Length: 25\n\n{\"purge_everything\":true}",
            "hard: everything",
            OK,
        ),
        (
            "FOSHttpCache, URLs with and without headers",
            "POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: api.cloudflare.com\nAuthorization: Bearer t\n\n\
             {\"files\":[\"https://www.example.com/css/a.css\",{\"url\":\"http://www.example.com/cat.jpg\",\
             \"headers\":{\"CF-IPCountry\":\"US\",\"CF-Device-Type\":\"desktop\"}}]}",
            "hard: url https://www.example.com/css/a.css, url http://www.example.com/cat.jpg",
            OK,
        ),
        (
            "cloudflare-go, hosts",
            "POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: api.cloudflare.com\nUser-Agent: cloudflare-go/v4\n\
             Content-Type: application/json\n\n{\"hosts\":[\"www.example.com\",\"Images.example.com\"]}",
            "hard: host www.example.com, host images.example.com",
            OK,
        ),
        (
            "curl, prefixes",
            "POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: h\nContent-Type: application/json\n\n\
             {\"prefixes\": [\"www.example.com/foo\", \"images.example.com/bar/baz/\", \"a.example\"]}",
            "hard: prefix www.example.com/foo, prefix images.example.com/bar/baz, host a.example",
            OK,
        ),
        (
            "several kinds at once",
            "POST /client/v4/zones/z/purge_cache HTTP/1.1\nHost: h\n\n\
             {\"tags\":[\"a\"],\"hosts\":[\"b.example\"],\"purge_everything\":false}",
            "hard: tag-any-case a, host b.example",
            OK,
        ),
    ];
    check(cases, admin);
}

#[test]
fn fastly_clients() {
    let cases: &[Case] = &[
        (
            "go-fastly, one key",
            "POST /service/SU1Z0isxPaozGVKXdv0eY/purge/article-17 HTTP/1.1\nHost: api.fastly.com\n\
             User-Agent: FastlyGo/9.0.0\nFastly-Key: t\nAccept: application/json\nContent-Length: 0",
            "hard: tag article-17",
            FASTLY,
        ),
        (
            "go-fastly, one key, soft",
            "POST /service/S/purge/article-17 HTTP/1.1\nHost: api.fastly.com\nFastly-Key: t\nFastly-Soft-Purge: 1",
            "soft: tag article-17",
            FASTLY,
        ),
        (
            "a key that is a path, encoded or not",
            "POST /service/S/purge/%2Fbooks/1%3Fx HTTP/1.1\nHost: api.fastly.com\nFastly-Key: t",
            "hard: tag /books/1?x",
            FASTLY,
        ),
        (
            "fastly-api, keys in the body",
            "POST /service/S/purge HTTP/1.1\nHost: api.fastly.com\nContent-Type: application/json\nFastly-Key: t\n\n\
             {\"surrogate_keys\":[\"k1\",\"K2\"]}",
            "hard: tag k1, tag K2",
            r#"200 application/json {"k1":"1767225600123-7","K2":"1767225600123-7"}"#,
        ),
        (
            "Fastly for Magento, keys in the header, soft",
            "POST /service/S/purge HTTP/1.1\nHost: api.fastly.com\nFastly-Key: t\nFastly-Soft-Purge: 1\n\
             Surrogate-Key: k1 k2 k1",
            "soft: tag k1, tag k2",
            r#"200 application/json {"k1":"1767225600123-7","k2":"1767225600123-7"}"#,
        ),
        (
            "go-fastly, all: never soft",
            "POST /service/S/purge_all HTTP/1.1\nHost: api.fastly.com\nFastly-Key: t\nFastly-Soft-Purge: 1",
            "hard: everything",
            r#"200 application/json {"status":"ok"}"#,
        ),
    ];
    check(cases, admin);
}

#[test]
fn invalidation_draft() {
    let cases: &[Case] = &[
        (
            "uri, by the draft's example of normalisation",
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: h\nContent-Type: application/json\n\n\
             {\"type\":\"uri\",\"selectors\":[\"HTTPS://www.example.com:443/fo%6f/bar\"]}",
            "invalidate: url https://www.example.com/foo/bar",
            "200 -",
        ),
        (
            "uri, removed, with a member that nobody knows",
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: h\n\n\
             {\"type\":\"uri\",\"selectors\":[\"https://e/a\",\"https://e/b\"],\"purge\":true,\"later\":{\"x\":[1]}}",
            "hard: url https://e/a, url https://e/b",
            "200 -",
        ),
        (
            "uri-prefix",
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: h\n\n\
             {\"type\":\"uri-prefix\",\"selectors\":[\"https://e:8443/foo/bar\",\"https://E:443/x/\",\"http://e\"]}",
            "invalidate: prefix e:8443/foo/bar, prefix e/x, host e",
            "200 -",
        ),
        (
            "origin",
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: h\n\n\
             {\"type\":\"origin\",\"selectors\":[\"https://example.com:443\",\"http://example.com:8080\"]}",
            "invalidate: site https://example.com, site http://example.com:8080",
            "200 -",
        ),
        (
            "group",
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: h\n\n\
             {\"type\":\"group\",\"selectors\":[\"https://a:443\",\"https://b:443\"],\"groups\":[\"Scripts\",\"x y\"]}",
            "invalidate: group Scripts of https://a, group x y of https://a, group Scripts of https://b, \
             group x y of https://b",
            "200 -",
        ),
    ];
    check(cases, admin);
}
