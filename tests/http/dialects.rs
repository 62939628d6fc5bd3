//! Other products' purge calls, as their clients put them on the wire: what they are answered, what is gone, what stays
//! (interface.md §3.1). Who may send them is in `dialects_callers`; how each one is read, in `purge::dialects`.

use crate::support::{House, Origin, Reply, parse, soon};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// With these fields in the sections `server` and `admin`, and one rule with the fields `rule`.
pub async fn house(server: &str, admin: &str, rule: &str) -> House {
    let origin = Origin::start().await;
    let yaml = yaml(&origin, server, admin, rule);
    House::start(&yaml, origin).await
}

pub fn yaml(origin: &Origin, server: &str, admin: &str, rule: &str) -> String {
    format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}]{server} }}\n\
         admin: {{ address: \"127.0.0.1:0\"{admin} }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"], retries: 0 }} }}\nrules: [{{ name: all, origin: app{rule} }}]\n",
        origin.address
    )
}

pub const FROM_HERE: &str = ", purge_from: [127.0.0.1/32]";

/// A test may purge.
pub async fn open_house() -> House {
    house("", FROM_HERE, "").await
}

/// Sends these bytes, whose lines end in LF here for legibility and in CRLF on the wire, and a body after an empty
/// line with its length. `{here}` is the address itself.
pub async fn wire(to: SocketAddr, raw: &str) -> Reply {
    let mut stream = TcpStream::connect(to).await.unwrap();
    exchange(&mut stream, raw).await
}

/// The same on a connection that goes on.
pub async fn exchange(stream: &mut TcpStream, raw: &str) -> Reply {
    let here = stream.peer_addr().unwrap().to_string();
    let raw = raw.replace("{here}", &here);
    let (head, body) = raw.split_once("\n\n").unwrap_or((raw.trim_end(), ""));
    let length = if body.is_empty() { String::new() } else { format!("\nContent-Length: {}", body.len()) };
    let head = format!("{head}{length}\n\n").replace('\n', "\r\n");
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    let mut bytes = Vec::new();
    soon("an answer", async {
        loop {
            if bytes.windows(4).any(|w| w == b"\r\n\r\n") {
                let reply = parse(&bytes, false);
                if !reply.truncated {
                    return reply;
                }
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "no answer to {raw}");
        }
    })
    .await
}

/// Status, content type and body, in a line; ids are written ID.
fn told(reply: &Reply) -> String {
    let mut body = reply.text().trim_end().to_owned();
    if let Some(at) = body.find("17672256") {
        let id: String = body[at..].chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        body = body.replace(&id, "ID");
    }
    format!("{} {} {body}", reply.status, reply.header("content-type").unwrap_or("-")).trim_end().to_owned()
}

/// What is stored before every call, and the tags of each. How they are joined and in which field they come is the
/// product's.
const STOCK: [(&str, &[&str]); 4] =
    [("/a", &["node:1", "list"]), ("/a/b", &["list"]), ("/b?q=1", &["node:10"]), ("/c", &["other"])];

async fn stocked(tag_field: &str) -> House {
    let mut house = open_house().await;
    let between = if tag_field.contains("Magento") || tag_field.starts_with("X-") { "," } else { " " };
    for (path, tags) in STOCK {
        let tags = tags.join(between);
        let page = format!(
            "200 OK\n{tag_field}: {tags}\nContent-Type: text/html\nCache-Control: max-age=60\n\n{path}"
        );
        let reply = house.fetched(path, &page).await;
        assert_eq!(reply.header(tag_field), None, "tags are for caches");
    }
    house
}

/// What the stock has lost, and nothing else has reached the origin.
async fn assert_gone(house: &mut House, gone: &[&str], who: &str) {
    for (path, _) in STOCK {
        if gone.contains(&path) {
            house.fetched(path, "200 OK\nCache-Control: no-store\n\nnew").await.assert_status("; fwd=");
        } else {
            let reply = house.get(path).await;
            assert!(reply.cache_status().contains("; hit"), "{who}: {path} is gone: {reply:?}");
        }
    }
    house.quiet().await;
}

/// Who, the field that carries its tags, what it sends, what it is told, what is gone.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const ALL: &[&str] = &["/a", "/a/b", "/b?q=1", "/c"];
const TEXT: &str = "200 text/plain; charset=utf-8 ";

async fn check(cases: &[Case]) {
    for (who, tag_field, raw, answer, gone) in cases {
        let mut house = stocked(tag_field).await;
        let answer = if answer.starts_with(|c: char| c.is_ascii_digit()) {
            (*answer).to_owned()
        } else {
            format!("{TEXT}{answer}")
        };
        assert_eq!(told(&wire(house.address(), raw).await), answer, "{who}");
        assert_gone(&mut house, gone, who).await;
    }
}

#[tokio::test]
async fn foshttpcache() {
    check(&[
        (
            "Varnish, a URL",
            "X-Cache-Tags",
            "PURGE /a HTTP/1.1\nHost: site.example\nContent-Length: 0",
            "Purged",
            &["/a"],
        ),
        (
            "Varnish, tags",
            "X-Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nX-Host: .*\nX-Url: .*\nX-Content-Type: .*\n\
             X-Cache-Tags: (^|,)(node\\:1|list)(,|$)",
            "Banned",
            &["/a", "/a/b"],
        ),
        (
            "Varnish, a path on a host: X-Host is read, not removed as a stranger's",
            "X-Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nX-Host: ^(site\\.example|b)$\nX-Url: ^/a/\nX-Content-Type: .*",
            "Banned",
            &["/a", "/a/b"],
        ),
        (
            "Varnish, another host",
            "X-Cache-Tags",
            "BAN / HTTP/1.1\nHost: site.example\nX-Host: ^(other.example)$\nX-Url: .*\nX-Content-Type: .*",
            "Banned",
            &[],
        ),
        (
            "Varnish, a content type",
            "X-Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nX-Host: .*\nX-Url: ^/[ac]$\nX-Content-Type: text/.*",
            "Banned",
            &["/a", "/c"],
        ),
        (
            "Varnish, another content type",
            "X-Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nX-Host: .*\nX-Url: .*\nX-Content-Type: image/png",
            "Banned",
            &[],
        ),
        (
            "xkey",
            "xkey",
            "PURGEKEYS / HTTP/1.1\nHost: {here}\nxkey-purge: list nothing",
            "Purged 2 objects, expired 0 objects",
            &["/a", "/a/b"],
        ),
        (
            "Symfony, tags",
            "X-Cache-Tags",
            "PURGETAGS / HTTP/1.1\nHost: {here}\nX-Cache-Tags: other,node:10",
            "Purged",
            &["/b?q=1", "/c"],
        ),
        ("Symfony, all", "X-Cache-Tags", "PURGE / HTTP/1.1\nHost: {here}\nClear-Cache: true", "Purged", ALL),
        ("nothing matched", "xkey", "PURGE /nothing HTTP/1.1\nHost: site.example", "Purged", &[]),
    ])
    .await;
}

#[tokio::test]
async fn magento_and_wordpress() {
    check(&[
        (
            "Magento, tags",
            "X-Magento-Tags",
            "PURGE http://{here}/ HTTP/1.1\nHost: {here}\n\
             X-Magento-Tags-Pattern: ((^|,)node:1(,|$))|((^|,)nothing(,|$))\nConnection: close",
            "Purged",
            &["/a"],
        ),
        (
            "Magento, all",
            "X-Magento-Tags",
            "PURGE / HTTP/1.1\nHost: {here}\nX-Magento-Tags-Pattern: .*",
            "Purged",
            ALL,
        ),
        ("Magento, a pool", "X-Magento-Tags", "PURGE / HTTP/1.1\nHost: {here}\nX-Pool: shop", "Purged", ALL),
        (
            "Proxy Cache Purge, a page",
            "X-Cache-Tags",
            "PURGE /b?q=1 HTTP/1.1\nHost: site.example\nX-Purge-Method: default\n\
             User-Agent: WordPress/6.5; https://site.example\nAccept: */*\nConnection: close",
            "Purged",
            &["/b?q=1"],
        ),
        (
            "Proxy Cache Purge, a site",
            "X-Cache-Tags",
            "PURGE /.* HTTP/1.1\nHost: site.example\nX-Purge-Method: regex",
            "Purged",
            ALL,
        ),
        (
            "Proxy Cache Purge, another site",
            "X-Cache-Tags",
            "PURGE /.* HTTP/1.1\nHost: other.example\nX-Purge-Method: regex",
            "Purged",
            &[],
        ),
        (
            "Proxy Cache Purge, tags",
            "X-Cache-Tags",
            "PURGE / HTTP/1.1\nHost: site.example\nX-Purge-Method: tags\nX-Cache-Tags-Pattern: (^|,)(other)(,|$)",
            "Purged",
            &["/c"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn drupal_shopware_and_ibexa() {
    check(&[
        (
            "varnish_purger: an open expression hits more",
            "Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nCache-Tags: node:1",
            "Ban added.",
            &["/a", "/b?q=1"],
        ),
        (
            "an open expression that misses",
            "Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nCache-Tags: node:[2-9]",
            "Ban added.",
            &[],
        ),
        (
            "ZeroConfig, a list",
            "Cache-Tags",
            "BAN /tags HTTP/1.1\nHost: {here}\nCache-Tags: node:1 other",
            "Ban added.",
            &["/a", "/c"],
        ),
        (
            "ZeroConfig, a wildcard",
            "Cache-Tags",
            "PURGE /a* HTTP/1.1\nHost: site.example",
            "Purged",
            &["/a", "/a/b"],
        ),
        (
            "purge_purger_http",
            "Purge-Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nPurge-Cache-Tags: (^|\\s)node\\:1(\\s|$)",
            "Ban added.",
            &["/a"],
        ),
        ("image purge", "Cache-Tags", "URIBAN /b?q=1 HTTP/1.1\nHost: site.example", "Banned", &["/b?q=1"]),
        (
            "Shopware, tags",
            "xkey",
            "PURGE / HTTP/1.1\nHost: {here}\nUser-Agent: GuzzleHttp/7\nxkey: list nothing",
            "Invalidated 2 objects",
            &["/a", "/a/b"],
        ),
        ("Shopware, all", "xkey", "BAN / HTTP/1.1\nHost: {here}", "Banned", ALL),
        ("a site, by name", "xkey", "BAN / HTTP/1.1\nHost: site.example", "Banned", ALL),
        ("another site, by name", "xkey", "BAN / HTTP/1.1\nHost: other.example", "Banned", &[]),
        ("Ibexa", "xkey", "PURGE / HTTP/1.1\nHost: {here}\nkey: other", "Invalidated 1 objects", &["/c"]),
    ])
    .await;
}

#[tokio::test]
async fn api_platform_laravel_and_typo3() {
    check(&[
        (
            "API Platform, Varnish",
            "Cache-Tags",
            "BAN / HTTP/1.1\nHost: {here}\nApiPlatform-Ban-Regex: (other|node:1)($|\\,)",
            "Banned",
            &["/a", "/c"],
        ),
        (
            "API Platform, xkey",
            "xkey",
            "PURGE / HTTP/1.1\nHost: {here}\nxkey: node:10",
            "Invalidated 1 objects",
            &["/b?q=1"],
        ),
        (
            "API Platform, Souin",
            "Surrogate-Key",
            "PURGE /souin-api/souin HTTP/1.1\nHost: {here}\nSurrogate-Key: node:1, other",
            "204 -",
            &["/a", "/c"],
        ),
        (
            "Laravel, a URL",
            "xkey",
            "BAN http://{here}/ HTTP/1.1\nHost: {here}\nX-Ban-Host: site.example\nX-Ban-Url: /a/b",
            "Banned",
            &["/a/b"],
        ),
        (
            "Laravel, an expression",
            "xkey",
            "BAN / HTTP/1.1\nHost: {here}\nX-Ban-Host: site.example\nX-Ban-Regex: ^/[bc]",
            "Banned",
            &["/b?q=1", "/c"],
        ),
        (
            "Laravel, a host",
            "xkey",
            "FULLBAN / HTTP/1.1\nHost: {here}\nX-Ban-Host: site.example",
            "Banned",
            ALL,
        ),
        ("TYPO3", "xkey", "BAN / HTTP/1.1\nHost: {here}\nVarnish-Ban-TYPO3-Pid: 7", "Banned", ALL),
        (
            "Fastly's client, a URL",
            "Surrogate-Key",
            "PURGE /a HTTP/1.1\nHost: site.example\nFastly-Key: t",
            r#"200 application/json {"status":"ok","id":"ID"}"#,
            &["/a"],
        ),
    ])
    .await;
}

/// Everything is told in the client's own words, and nothing of a call that is wrong is carried out.
#[tokio::test]
async fn a_call_that_cannot_be_read_is_400_and_purges_nothing() {
    for (raw, part) in [
        ("PURGEKEYS / HTTP/1.1\nHost: {here}", "xkey-purge"),
        ("BAN / HTTP/1.1\nHost: {here}\nCache-Tags: (?=x)", "look-around"),
        ("BAN / HTTP/1.1\nHost: {here}\nX-Host: .*\nX-Url: (\nX-Content-Type: .*", "x-url: "),
        ("PURGE / HTTP/1.1\nHost: {here}\nX-Magento-Tags-Pattern:", "x-magento-tags-pattern: is empty"),
    ] {
        let mut house = stocked("xkey").await;
        let reply = wire(house.address(), raw).await;
        assert_eq!(reply.status, 400, "{raw}: {reply:?}");
        assert!(reply.text().contains(part), "{raw}: {reply:?}");
        assert_gone(&mut house, &[], raw).await;
        assert_eq!(house.metric("larder_requests_total{rule=\"none\",outcome=\"error\"}").await, 1.0);
    }
}

const STALE: &str = "200 OK\nETag: \"1\"\nSurrogate-Key: k other\n\
                     Cache-Control: max-age=60, stale-while-revalidate=30\n\nold";
const NEW: &str = "200 OK\nETag: \"2\"\nSurrogate-Key: k\nCache-Control: max-age=60\n\nnew";

/// The stale windows begin with a soft purge, and are kept.
#[tokio::test]
async fn soft_purges_keep_the_stale_window() {
    let fastly = "POST /service/S/purge/k HTTP/1.1\nHost: {here}\nFastly-Key: t\nFastly-Soft-Purge: 1\nContent-Length: 0";
    let fastly_keys = "POST /service/S/purge HTTP/1.1\nHost: {here}\nFastly-Key: t\nFastly-Soft-Purge: 1\n\
                       Surrogate-Key: k nothing\nContent-Length: 0";
    let fastly_url = "PURGE /x HTTP/1.1\nHost: site.example\nFastly-Soft-Purge: 1";
    let xkey = "PURGEKEYS / HTTP/1.1\nHost: {here}\nxkey-softpurge: k nothing";
    for (admin, raw, answer) in [
        (true, fastly, r#"200 application/json {"status":"ok","id":"ID"}"#),
        (true, fastly_keys, r#"200 application/json {"k":"ID","nothing":"ID"}"#),
        (false, fastly_url, r#"200 application/json {"status":"ok","id":"ID"}"#),
        (false, xkey, "200 text/plain; charset=utf-8 Purged 0 objects, expired 1 objects"),
    ] {
        let mut house = open_house().await;
        house.fetched("/x", STALE).await;
        house.advance(5);
        let to = if admin { house.running.admin().unwrap() } else { house.address() };
        assert_eq!(told(&wire(to, raw).await), answer, "{raw}");
        let stale = house.get("/x").await;
        assert_eq!(stale.text(), "old", "{raw}");
        stale.assert_status("detail=stale-while-revalidate");
        house.origin.next().await.answer(NEW).await;
        house.settled().await;
        assert_eq!(house.get("/x").await.text(), "new", "{raw}");
    }
}

async fn check_admin(tag_field: &str, cases: &[(&str, &str, &str, &[&str])]) {
    for (who, raw, answer, gone) in cases {
        let mut house = stocked(tag_field).await;
        assert_eq!(told(&wire(house.running.admin().unwrap(), raw).await), *answer, "{who}");
        assert_gone(&mut house, gone, who).await;
    }
}

/// Their head, before the body.
macro_rules! cloudflare {
    ($body:literal) => {
        concat!(
            "POST /client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache HTTP/1.1\nHost: {here}\n",
            "Authorization: Bearer t\nContent-Type: application/json\n\n",
            $body
        )
    };
}

#[tokio::test]
async fn cloudflare() {
    let done = r#"200 application/json {"success":true,"errors":[],"messages":[],"result":{"id":"ID"}}"#;
    check_admin(
        "Cache-Tag",
        &[
            (
                "files, one with headers",
                cloudflare!(r#"{"files":["http://site.example/a",{"url":"https://site.example/c","headers":{"Origin":"x"}}]}"#),
                done,
                &["/a", "/c"],
            ),
            ("tags, in any case", cloudflare!(r#"{"tags":["LIST","nothing"]}"#), done, &["/a", "/a/b"]),
            ("prefixes", cloudflare!(r#"{"prefixes":["site.example/a"]}"#), done, &["/a", "/a/b"]),
            ("hosts", cloudflare!(r#"{"hosts":["site.example"]}"#), done, ALL),
            ("another host", cloudflare!(r#"{"hosts":["www.site.example"]}"#), done, &[]),
            ("everything", cloudflare!(r#"{"purge_everything":true}"#), done, ALL),
            (
                "nothing",
                cloudflare!(r#"{"purge_everything":false}"#),
                "400 application/json {\"success\":false,\"errors\":[{\"code\":1012,\"message\":\
                 \"nothing to purge; at least one was expected of `purge_everything`, `files`, `tags`, `hosts`, `prefixes`\"}],\
                 \"messages\":[],\"result\":null}",
                &[],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn fastly() {
    check_admin(
        "Surrogate-Key",
        &[
            (
                "a key",
                "POST /service/SU1Z0isxPaozGVKXdv0eY/purge/node%3A1 HTTP/1.1\nHost: {here}\n\
                 User-Agent: FastlyGo/9.0.0\nFastly-Key: t\nAccept: application/json\nContent-Length: 0",
                r#"200 application/json {"status":"ok","id":"ID"}"#,
                &["/a"],
            ),
            (
                "a key with slashes selects nothing here",
                "POST /service/S/purge/books/1 HTTP/1.1\nHost: {here}\nFastly-Key: t\nContent-Length: 0",
                r#"200 application/json {"status":"ok","id":"ID"}"#,
                &[],
            ),
            (
                "keys in the body",
                "POST /service/S/purge HTTP/1.1\nHost: {here}\nContent-Type: application/json\n\
                 Fastly-Key: t\n\n{\"surrogate_keys\":[\"list\",\"other\"]}",
                r#"200 application/json {"list":"ID","other":"ID"}"#,
                &["/a", "/a/b", "/c"],
            ),
            (
                "keys in the header",
                "POST /service/S/purge HTTP/1.1\nHost: {here}\nFastly-Key: t\nSurrogate-Key: node:10\nContent-Length: 0",
                r#"200 application/json {"node:10":"ID"}"#,
                &["/b?q=1"],
            ),
            (
                "all",
                "POST /service/S/purge_all HTTP/1.1\nHost: {here}\nFastly-Key: t\nContent-Length: 0",
                r#"200 application/json {"status":"ok"}"#,
                ALL,
            ),
        ],
    )
    .await;
}

macro_rules! draft {
    ($body:literal) => {
        concat!(
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: {here}\nContent-Type: application/json\n\n",
            $body
        )
    };
}

#[tokio::test]
async fn the_invalidation_draft() {
    check_admin(
        "Cache-Tag",
        &[
            (
                "uri",
                draft!(r#"{"type":"uri","selectors":["http://site.example/%61"],"purge":true}"#),
                "200 -",
                &["/a"],
            ),
            (
                "uri-prefix",
                draft!(r#"{"type":"uri-prefix","selectors":["http://site.example/a"],"purge":true}"#),
                "200 -",
                &["/a", "/a/b"],
            ),
            (
                "origin",
                draft!(r#"{"type":"origin","selectors":["http://site.example"],"purge":true}"#),
                "200 -",
                ALL,
            ),
            (
                "another origin",
                draft!(r#"{"type":"origin","selectors":["http://site.example:81"],"purge":true}"#),
                "200 -",
                &[],
            ),
            (
                "a type that nobody knows",
                draft!(r#"{"type":"colour","selectors":["http://site.example"]}"#),
                "501 application/json {\"error\":\"`type`: colour is not; `uri`, `uri-prefix`, `origin` and `group` are supported\"}",
                &[],
            ),
        ],
    )
    .await;
}

/// Without `purge` the draft asks for validation, and a group is one origin's.
#[tokio::test]
async fn the_invalidation_draft_validates_groups_of_one_origin() {
    let mut house = open_house().await;
    let page = "200 OK\nETag: \"1\"\nCache-Groups: \"g\"\nCache-Control: max-age=60\n\nold";
    house.fetched("/x", page).await;
    let call = async |origin: &str| {
        let body = format!(r#"{{"type":"group","selectors":["{origin}"],"groups":["g"]}}"#);
        let raw = format!(
            "POST /.well-known/http-invalidation HTTP/1.1\nHost: {{here}}\nContent-Type: application/json\n\n{body}"
        );
        assert_eq!(told(&wire(house.running.admin().unwrap(), &raw).await), "200 -");
    };
    call("http://other.example").await;
    house.get("/x").await.assert_hit();
    call("http://site.example").await;
    let (reply, seen) = house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
    assert_eq!((seen.header("if-none-match"), reply.text()), (Some("\"1\""), "old".into()));
}
