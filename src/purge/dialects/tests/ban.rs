//! `BAN`, `URIBAN`, `FULLBAN`.

use super::*;

const BANNED: &str = "200 text/plain; charset=utf-8 Banned";
const ADDED: &str = "200 text/plain; charset=utf-8 Ban added.";

#[test]
fn foshttpcache() {
    let cases: &[Case] = &[
        (
            "tags",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: .*\nX-Url: .*\nX-Content-Type: .*\n\
             X-Cache-Tags: (^|,)(product\\-1|cms\\:page)(,|$)",
            "hard: tag product-1, tag cms:page",
            BANNED,
        ),
        (
            "tags before version 2",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: .*\nX-Url: .*\nX-Content-Type: .*\nX-Cache-Tags: (a|b)(,.+)?$",
            "hard: tag a, tag b",
            BANNED,
        ),
        (
            "everything",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: .*\nX-Url: .*\nX-Content-Type: .*",
            "hard: everything",
            BANNED,
        ),
        (
            "a path on hosts, as they quote them: not at all",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: ^(shop.example.com|b)$\nX-Url: ^/news/\nX-Content-Type: .*",
            r#"hard: {"host":{"regex":"^(shop.example.com|b)$"},"url":{"regex":"^/news/"}}"#,
            BANNED,
        ),
        (
            "a path on quoted hosts",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: ^(a\\.example|b)$\nX-Url: ^/news/$\nX-Content-Type: .*",
            "hard: url http://a.example/news/, url https://a.example/news/, url http://b/news/, url https://b/news/",
            BANNED,
        ),
        (
            "a path on all hosts, by type",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: .*\nX-Url: \\.png$\nX-Content-Type: image/png",
            r#"hard: {"url":{"regex":"\\.png$"},"content_type":{"regex":"image/png"}}"#,
            BANNED,
        ),
        (
            "tags on one host",
            "BAN / HTTP/1.1\nHost: varnish\nX-Host: ^(a)$\nX-Url: .*\nX-Content-Type: .*\nX-Cache-Tags: (^|,)(t)(,|$)",
            r#"hard: {"host":{"regex":"^(a)$"},"tags":{"regex":"(^|,)(t)(,|$)"}}"#,
            BANNED,
        ),
        (
            "without X-Host the URL is the request's host's",
            "BAN / HTTP/1.1\nHost: www.example.com\nX-Url: ^/news/",
            "hard: prefix www.example.com/news",
            BANNED,
        ),
        (
            "without X-Host tags are still everybody's",
            "BAN / HTTP/1.1\nHost: www.example.com\nX-Cache-Tags: node",
            r#"hard: {"tags":{"regex":"node"}}"#,
            BANNED,
        ),
    ];
    check(cases, public);
}

#[test]
fn drupal() {
    let cases: &[Case] = &[
        (
            "varnish_purger: an open expression, so that node:1 is also node:10",
            "BAN / HTTP/1.1\nHost: varnish\nCache-Tags: node:1\nX-Drupal: x",
            r#"hard: {"tags":{"regex":"node:1"}}"#,
            ADDED,
        ),
        (
            "varnish_purger, bundled",
            "BAN / HTTP/1.1\nHost: varnish\nCache-Tags: node:1|node:2",
            r#"hard: {"tags":{"regex":"node:1|node:2"}}"#,
            ADDED,
        ),
        (
            "ZeroConfig, a list of tags",
            "BAN /tags HTTP/1.1\nHost: 10.0.0.5\nCache-Tags: node:1 user:3 config:x.y",
            "hard: tag node:1, tag user:3, tag config:x.y",
            ADDED,
        ),
        (
            "purge_purger_http",
            "BAN / HTTP/1.1\nHost: varnish\nPurge-Cache-Tags: (^|\\s)node\\:1(\\s|$)",
            "hard: tag node:1",
            ADDED,
        ),
        (
            "image purge",
            "URIBAN /files/styles/a.jpg?itok=x HTTP/1.1\nHost: www.example.com",
            "hard: url http://www.example.com/files/styles/a.jpg?itok=x, \
             url https://www.example.com/files/styles/a.jpg?itok=x",
            BANNED,
        ),
    ];
    check(cases, public);
}

#[test]
fn api_platform_laravel_and_typo3() {
    let cases: &[Case] = &[
        (
            "API Platform",
            "BAN / HTTP/1.1\nHost: varnish\nApiPlatform-Ban-Regex: (/books/1|/books\\?page\\=2)($|\\,)",
            "hard: tag /books/1, tag /books?page=2",
            BANNED,
        ),
        (
            "API Platform, one",
            "BAN / HTTP/1.1\nHost: varnish\nApiPlatform-Ban-Regex: (/books/1)($|\\,)",
            "hard: tag /books/1",
            BANNED,
        ),
        (
            "varnishable, URL",
            "BAN / HTTP/1.1\nHost: v:6081\nX-Ban-Host: www.example.com\nX-Ban-Url: /posts/1.html*",
            "hard: url http://www.example.com/posts/1.html*, url https://www.example.com/posts/1.html*",
            BANNED,
        ),
        (
            "varnishable, expression",
            "BAN / HTTP/1.1\nHost: v:6081\nX-Ban-Host: www.example.com\nX-Ban-Regex: ^/posts/.*",
            "hard: prefix www.example.com/posts",
            BANNED,
        ),
        (
            "varnishable, all of a host",
            "FULLBAN / HTTP/1.1\nHost: v:6081\nX-Ban-Host: www.example.com",
            "hard: host www.example.com",
            BANNED,
        ),
        (
            "Chassis: the request's host",
            "BAN / HTTP/1.1\nHost: a.example\nX-Ban-Method: regex\nX-Ban-Regex: \\.css$",
            r#"hard: {"host":{"wildcard":"a.example"},"url":{"regex":"\\.css$"}}"#,
            BANNED,
        ),
        (
            "an absolute URL",
            "BAN / HTTP/1.1\nHost: v\nX-Ban-Url: https://e/a",
            "hard: url https://e/a",
            BANNED,
        ),
        ("TYPO3, all", "BAN / HTTP/1.1\nHost: e\nVarnish-Ban-All: 1", "hard: everything", BANNED),
        (
            "TYPO3, a page, which entries don't know",
            "BAN / HTTP/1.1\nHost: e\nVarnish-Ban-TYPO3-Pid: 12\nVarnish-Ban-TYPO3-Sitename: s",
            "hard: everything",
            BANNED,
        ),
    ];
    check(cases, public);
}

#[test]
fn bans_without_fields() {
    let cases: &[Case] = &[
        (
            "Shopware, to the cache's address",
            "BAN / HTTP/1.1\nHost: 10.0.0.5:6081",
            "hard: everything",
            BANNED,
        ),
        ("Shopware, to the cache's name", "BAN / HTTP/1.1\nHost: varnish", "hard: everything", BANNED),
        ("to IPv6", "BAN / HTTP/1.1\nHost: [::1]:8080", "hard: everything", BANNED),
        ("to a site", "BAN / HTTP/1.1\nHost: Shop.example.com:8080", "hard: host shop.example.com", BANNED),
        (
            "to a URL",
            "BAN /a?b HTTP/1.1\nHost: e.example",
            "hard: url http://e.example/a?b, url https://e.example/a?b",
            BANNED,
        ),
        ("to a folder", "BAN /a/* HTTP/1.1\nHost: e.example", "hard: prefix e.example/a", BANNED),
        ("FULLBAN to a site", "FULLBAN / HTTP/1.1\nHost: e.example", "hard: host e.example", BANNED),
        ("exact tags", "BAN / HTTP/1.1\nHost: e.example\nSurrogate-Key: a b", "hard: tag a, tag b", BANNED),
    ];
    check(cases, public);
}
