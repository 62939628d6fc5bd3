//! `PURGE`, `PURGEKEYS`, `PURGETAGS`.

use super::*;

const PURGED: &str = "200 text/plain; charset=utf-8 Purged";
const INVALIDATED: &str = "200 text/plain; charset=utf-8 Invalidated 3 objects";

#[test]
fn urls_are_purged_under_both_schemes_on_the_requests_host() {
    let cases: &[Case] = &[
        (
            "FOSHttpCache",
            "PURGE /articles/1?page=2 HTTP/1.1\nHost: www.example.com\nContent-Length: 0",
            "hard: url http://www.example.com/articles/1?page=2, url https://www.example.com/articles/1?page=2",
            PURGED,
        ),
        (
            "an absolute target",
            "PURGE http://WWW.example.com:80/%7ea/../b HTTP/1.1\nHost: other",
            "hard: url http://www.example.com/b, url https://www.example.com/b",
            PURGED,
        ),
        (
            "another port",
            "PURGE / HTTP/1.1\nHost: www.example.com:8080",
            "hard: url http://www.example.com:8080/, url https://www.example.com:8080/",
            PURGED,
        ),
        (
            "Proxy Cache Purge for WordPress",
            "PURGE /hello-world/ HTTP/1.1\nHost: blog.example.com\nX-Purge-Method: default\n\
             User-Agent: WordPress/6.5; https://blog.example.com\nAccept: */*\nConnection: close",
            "hard: url http://blog.example.com/hello-world/, url https://blog.example.com/hello-world/",
            PURGED,
        ),
        (
            "WordPress, exact",
            "PURGE /feed/ HTTP/1.1\nHost: blog.example.com\nX-Purge-Method: exact",
            "hard: url http://blog.example.com/feed/, url https://blog.example.com/feed/",
            PURGED,
        ),
        (
            "Drupal ZeroConfig, everything: that URL",
            "PURGE /site HTTP/1.1\nHost: 10.0.0.5",
            "hard: url http://10.0.0.5/site, url https://10.0.0.5/site",
            PURGED,
        ),
        (
            "fastly purge --url",
            "PURGE /a HTTP/1.1\nHost: www.example.com\nFastly-Key: t\nFastly-Soft-Purge: 1",
            "soft: url http://www.example.com/a, url https://www.example.com/a",
            r#"200 application/json {"status":"ok","id":"1767225600123-7"}"#,
        ),
    ];
    check(cases, public);
}

#[test]
fn wildcards_and_expressions_over_urls_hold_on_the_requests_host() {
    let cases: &[Case] = &[
        (
            "Drupal ZeroConfig, wildcard off a boundary",
            "PURGE /a* HTTP/1.1\nHost: www.example.com",
            r#"hard: {"host":{"wildcard":"www.example.com"},"url":{"prefix":"/a"}}"#,
            PURGED,
        ),
        ("wildcard at a boundary", "PURGE /a/* HTTP/1.1\nHost: e", "hard: prefix e/a", PURGED),
        ("NGINX Plus, all of a host", "PURGE /* HTTP/1.1\nHost: e:81", "hard: host e:81", PURGED),
        (
            "wildcard in the middle",
            "PURGE /a/*.jpg?x=* HTTP/1.1\nHost: e",
            r#"hard: {"host":{"wildcard":"e"},"url":{"wildcard":"/a/*.jpg?x=*"}}"#,
            PURGED,
        ),
        (
            "WordPress, whole site",
            "PURGE /.* HTTP/1.1\nHost: blog.example.com\nX-Purge-Method: regex",
            "hard: host blog.example.com",
            PURGED,
        ),
        (
            "WP Rocket, a folder",
            "PURGE /category/news/(.*) HTTP/1.1\nHost: blog.example.com\nX-Purge-Method: regex",
            r#"hard: {"host":{"wildcard":"blog.example.com"},"url":{"regex":"/category/news/(.*)"}}"#,
            PURGED,
        ),
    ];
    check(cases, public);
}

#[test]
fn tags_ignore_the_host() {
    let cases: &[Case] = &[
        (
            "API Platform, xkey",
            "PURGE / HTTP/1.1\nHost: varnish\nxkey: /books/1 /books",
            "hard: tag /books/1, tag /books",
            INVALIDATED,
        ),
        (
            "Shopware",
            "PURGE / HTTP/1.1\nHost: 10.0.0.5\nUser-Agent: GuzzleHttp/7\nxkey: product-1 category-2",
            "hard: tag product-1, tag category-2",
            INVALIDATED,
        ),
        (
            "API Platform, Souin",
            "PURGE /souin-api/souin HTTP/1.1\nHost: souin\nSurrogate-Key: /books/1, /books",
            "hard: tag /books/1, tag /books",
            "204 -",
        ),
        (
            "Varnish's xkey module, several lines",
            "PURGE / HTTP/1.1\nHost: e\nxkey-purge: a\nxkey-purge: b a",
            "hard: tag a, tag b",
            INVALIDATED,
        ),
        (
            "Ibexa before version 3",
            "PURGE / HTTP/1.1\nHost: e\nkey: location-2",
            "hard: tag location-2",
            INVALIDATED,
        ),
        ("soft", "PURGE / HTTP/1.1\nHost: e\nxkey-softpurge: a", "soft: tag a", INVALIDATED),
        (
            "both: the stricter",
            "PURGE / HTTP/1.1\nHost: e\nxkey-softpurge: a\nxkey-purge: b",
            "hard: tag a, tag b",
            INVALIDATED,
        ),
        (
            "FOSHttpCache, xkey mode, soft",
            "PURGEKEYS / HTTP/1.1\nHost: e\nxkey-softpurge: tag1 tag2",
            "soft: tag tag1, tag tag2",
            "200 text/plain; charset=utf-8 Purged 0 objects, expired 3 objects",
        ),
        (
            "Ibexa, xkey mode",
            "PURGEKEYS / HTTP/1.1\nHost: e\nxkey-purge: ez-all",
            "hard: tag ez-all",
            "200 text/plain; charset=utf-8 Purged 3 objects, expired 0 objects",
        ),
        (
            "FOSHttpCache, Symfony",
            "PURGETAGS / HTTP/1.1\nHost: e\nX-Cache-Tags: a,b",
            "hard: tag a, tag b",
            PURGED,
        ),
        (
            "FOSHttpCache, Symfony, all",
            "PURGE / HTTP/1.1\nHost: e\nClear-Cache: true",
            "hard: everything",
            PURGED,
        ),
        (
            "not cleared",
            "PURGE / HTTP/1.1\nHost: e\nClear-Cache: false",
            "hard: url http://e/, url https://e/",
            PURGED,
        ),
    ];
    check(cases, public);
}

#[test]
fn tag_patterns_of_magento_and_wordpress() {
    let cases: &[Case] = &[
        (
            "Magento, tags",
            "PURGE / HTTP/1.1\nHost: varnish\nX-Magento-Tags-Pattern: ((^|,)cat_p_1(,|$))|((^|,)cat_p_2(,|$))\n\
             Connection: close",
            "hard: tag cat_p_1, tag cat_p_2",
            PURGED,
        ),
        (
            "Magento, all",
            "PURGE / HTTP/1.1\nHost: varnish\nX-Magento-Tags-Pattern: .*",
            "hard: everything",
            PURGED,
        ),
        (
            "Magento, by hand",
            "PURGE / HTTP/1.1\nHost: varnish\nX-Magento-Tags-Pattern: cat_p_\\d+",
            r#"hard: {"tags":{"regex":"cat_p_\\d+"}}"#,
            PURGED,
        ),
        ("capistrano-magento2", "PURGE / HTTP/1.1\nHost: varnish\nX-Pool: shop", "hard: everything", PURGED),
        (
            "Proxy Cache Purge, tags",
            "PURGE / HTTP/1.1\nHost: blog.example.com\nX-Purge-Method: tags\n\
             X-Cache-Tags-Pattern: (^|,)(p\\-5|home|feed)(,|$)",
            "hard: tag p-5, tag home, tag feed",
            PURGED,
        ),
        (
            "without its method",
            "PURGE / HTTP/1.1\nHost: e\nX-Cache-Tags-Pattern: pt-.*",
            r#"hard: {"tags":{"regex":"pt-.*"}}"#,
            PURGED,
        ),
    ];
    check(cases, public);
}
