//! Purging as users do it: through the admin listener (interface.md §3, §5; rulings 6, 29).

use crate::support::{House, Origin, Reply, larder, request};
use serde_json::{Value, json};

const PAGE: &str = "200 OK\nETag: \"1\"\nCache-Tag: t\nCache-Control: max-age=60\n\nold";
const STALE: &str = "200 OK\nETag: \"1\"\nCache-Tag: t\n\
                     Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=30\n\nold";
const NEW: &str = "200 OK\nETag: \"2\"\nCache-Tag: t\nCache-Control: max-age=60\n\nnew";

/// Every way of naming `http://site.example/x`.
fn ways() -> [Value; 5] {
    [
        json!({ "tags": ["t"] }),
        json!({ "urls": ["http://site.example/x"] }),
        json!({ "prefixes": ["site.example/"] }),
        json!({ "hosts": ["site.example"] }),
        json!({ "everything": true }),
    ]
}

fn with_mode(way: &Value, mode: &str) -> String {
    let mut body = way.clone();
    body["mode"] = mode.into();
    body.to_string()
}

async fn post(house: &House, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("Host", &*host)]).collect();
    crate::support::soon("the admin listener", request(to, "POST", path, &headers, body.as_bytes())).await
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Purges; the receipt.
async fn purge(house: &House, body: &str) -> Value {
    let reply = post(house, "/purge", &[JSON], body).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

async fn read(house: &House, path: &str) -> Value {
    let reply = house.admin(path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn hard_what_was_purged_is_fetched_in_full() {
    for way in ways() {
        let mut house = House::new("").await;
        house.fetched("/x", STALE).await;
        let receipt = purge(&house, &with_mode(&way, "hard")).await;
        assert_eq!(receipt["matched"], 1, "{way}");
        assert_eq!(receipt["selectors"], 1, "{way}");
        assert_eq!(receipt["nodes"], json!({ "applied": 1, "total": 1, "missing": [] }));
        assert!(receipt["id"].is_string() && receipt["took_ms"].is_number(), "{receipt}");
        let (reply, seen) = house.exchange("GET", "/x", &[], NEW).await;
        assert_eq!(seen.header("if-none-match"), None, "{way}");
        assert_eq!(reply.text(), "new");
        house.get("/x").await.assert_hit();
    }
}

#[tokio::test]
async fn invalidate_the_origin_is_asked_and_its_304_revives_it() {
    for way in ways() {
        let mut house = House::new("").await;
        house.fetched("/x", STALE).await;
        assert_eq!(purge(&house, &with_mode(&way, "invalidate")).await["matched"], 1);
        let (reply, seen) = house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
        assert_eq!(seen.header("if-none-match"), Some("\"1\""), "{way}");
        assert_eq!(reply.text(), "old");
        let after = house.get("/x").await;
        after.assert_hit();
        assert_eq!(after.text(), "old", "{way}");
    }
}

#[tokio::test]
async fn invalidate_and_hard_allow_no_stale_if_error() {
    for mode in ["invalidate", "hard"] {
        for way in ways() {
            let mut house = House::new("").await;
            house.fetched("/x", STALE).await;
            purge(&house, &with_mode(&way, mode)).await;
            let reply = house.client("GET", "/x", &[]).await.reply();
            tokio::pin!(reply);
            // On a connection that was used before it is tried once more.
            let reply = loop {
                tokio::select! {
                    reply = &mut reply => break reply,
                    asked = house.origin.next() => drop(asked),
                }
            };
            assert_eq!(reply.status, 502, "{mode} {way}");
        }
    }
}

#[tokio::test]
async fn soft_the_stale_windows_start_now() {
    for way in ways() {
        let mut house = House::new("").await;
        house.fetched("/x", STALE).await;
        house.advance(5);
        purge(&house, &with_mode(&way, "soft")).await;
        let stale = house.get("/x").await;
        assert_eq!(stale.text(), "old", "{way}");
        stale.assert_status("detail=stale-while-revalidate");
        house.origin.next().await.answer(NEW).await;
        house.settled().await;
        assert_eq!(house.get("/x").await.text(), "new", "{way}");
        // Without a window it is validated.
        house.fetched("/y", PAGE).await;
        purge(&house, r#"{"tags":["t"],"mode":"soft"}"#).await;
        let (reply, seen) = house.exchange("GET", "/y", &[], "304 Not Modified\nETag: \"1\"").await;
        assert_eq!((seen.header("if-none-match"), reply.text()), (Some("\"1\""), "old".into()));
    }
}

#[tokio::test]
async fn what_is_not_selected_stays() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    for way in [
        json!({ "tags": ["T", "t2", "x"] }),
        json!({ "urls": ["http://site.example/x?", "http://site.example/X", "http://other.example/x"] }),
        json!({ "prefixes": ["site.example/xy", "site.example/x/y"] }),
        json!({ "hosts": ["example", "www.site.example", "site.example:8080"] }),
    ] {
        let receipt = purge(&house, &way.to_string()).await;
        assert_eq!((&receipt["matched"], &receipt["matched_exact"]), (&json!(0), &Value::Null), "{way}");
        house.get("/x").await.assert_hit();
    }
}

/// purge.md P6, through the API: the mode, the selector and the moment vary, the rule doesn't.
#[tokio::test]
async fn a_purge_wins_over_what_is_under_way() {
    for way in ways() {
        for mode in ["hard", "invalidate", "soft"] {
            let mut house = House::new("").await;
            // A cold miss, one who waits for it, and one who comes after the purge.
            let early = house.client("GET", "/x", &[]).await;
            let first = house.origin.next().await;
            let waiter = house.client("GET", "/x", &[]).await;
            house.waiting(1).await;
            purge(&house, &with_mode(&way, mode)).await;
            let late = house.client("GET", "/x", &[]).await;
            if way.get("tags").is_some() {
                house.waiting(2).await;
            }
            first.answer(PAGE).await;
            house.origin.next().await.answer(NEW).await;
            assert_eq!(early.reply().await.text(), "old");
            waiter.reply().await;
            assert_eq!(late.reply().await.text(), "new", "{mode} {way}");
            house.settled().await;
            let hit = house.get("/x").await;
            hit.assert_hit();
            assert_eq!(hit.text(), "new", "{mode} {way}");
        }
    }
}

#[tokio::test]
async fn all_variants_are_purged_and_counted_once_each() {
    let mut house = House::new("").await;
    let page = "200 OK\nVary: X-V\nCache-Tag: t, u\nCache-Control: max-age=60\n\nv";
    for variant in ["1", "2", "3"] {
        house.exchange("GET", "/x", &[("X-V", variant)], page).await;
    }
    house.fetched("/y", PAGE).await;
    let body = r#"{"tags":["t","u"],"urls":["http://site.example/x"],"prefixes":["site.example/x"]}"#;
    assert_eq!(purge(&house, body).await["matched"], 4);
    for variant in ["1", "2", "3"] {
        house.exchange("GET", "/x", &[("X-V", variant)], page).await;
    }
}

#[tokio::test]
async fn a_purged_url_is_keyed_like_its_requests() {
    let mut house = House::new("key: { query: { exclude: [\"utm_*\"] }, sort: true }").await;
    for url in [
        "http://site.example/x?b=2&a=1&utm_source=mail",
        "http://SITE.example:80/%78?a=1&b=2#top",
        "http://site.example/y/../x?a=1&utm_x=1&b=2",
    ] {
        house.fetched("/x?b=2&utm_medium=web&a=1", PAGE).await;
        assert_eq!(purge(&house, &json!({ "urls": [url] }).to_string()).await["matched"], 1, "{url}");
        house.fetched("/x?a=1&b=2", PAGE).await;
        purge(&house, r#"{"everything":true}"#).await;
    }
}

/// The listener speaks http. A trusted proxy in front of it also brings requests that came by https.
#[tokio::test]
async fn a_purged_url_means_both_schemes_unless_it_names_one_that_a_listener_serves() {
    let origin = Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], trusted_proxies: [127.0.0.1/32] }}\n\
         admin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let mut house = House::start(&yaml, origin).await;
    let https = [("X-Forwarded-Proto", "https")];
    house.fetched("/x", PAGE).await;
    house.exchange("GET", "/x", &https, PAGE).await;
    let receipt = purge(&house, r#"{"urls":["http://site.example/x"]}"#).await;
    assert_eq!((&receipt["selectors"], &receipt["matched"]), (&json!(1), &json!(1)));
    house.send("GET", "/x", &https).await.assert_hit();
    house.fetched("/x", PAGE).await;
    let receipt = purge(&house, r#"{"urls":["https://site.example/x"]}"#).await;
    assert_eq!((&receipt["selectors"], &receipt["matched"]), (&json!(1), &json!(2)));
    house.fetched("/x", PAGE).await;
    house.exchange("GET", "/x", &https, PAGE).await;
}

#[tokio::test]
async fn a_call_that_is_not_understood_purges_nothing_and_says_why() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    for (body, member) in [
        ("", "body"),
        ("{\"tags\":[\"t\"]", "body"),
        (r#"{"tags":["t"],"tags":["t"]}"#, "tags"),
        (r#"{"tags":["t"],"colour":1}"#, "colour"),
        (r#"{"tags":["t"],"everything":"yes"}"#, "everything"),
        (r#"{"tags":["t"],"urls":["/x"]}"#, "urls[0]"),
        (r#"{"tags":["t"],"urls":["http://site.example/","site.example/x"]}"#, "urls[1]"),
        (r#"{"tags":["t"],"urls":["http:///x"]}"#, "urls[0]"),
        (r#"{"tags":["t"],"urls":["ftp://site.example/x"]}"#, "urls[0]"),
        (r#"{"tags":["t"],"prefixes":["http://site.example/"]}"#, "prefixes[0]"),
        (r#"{"tags":["t"],"prefixes":["site.example/?x"]}"#, "prefixes[0]"),
        (r#"{"tags":["t"],"hosts":["site.example/x"]}"#, "hosts[0]"),
        ("{}", "body"),
        (r#"{"everything":false,"tags":[]}"#, "body"),
    ] {
        let reply = post(&house, "/purge", &[JSON], body).await;
        assert_eq!(reply.status, 400, "{body}");
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["member"], member, "{body}: {answer}");
        assert!(answer["expected"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    house.get("/x").await.assert_hit();
    assert_eq!(read(&house, "/purges").await["purges"], json!([]));
}

#[tokio::test]
async fn over_a_mebibyte_is_413_and_over_ten_thousand_selectors_400() {
    let house = House::new("").await;
    let long = format!("{{\"tags\":[\"{}\"]}}", "x".repeat(1024 * 1024));
    assert_eq!(post(&house, "/purge", &[JSON], &long).await.status, 413);
    let many = |count| json!({ "tags": vec!["t"; count] }).to_string();
    assert_eq!(post(&house, "/purge", &[JSON], &many(10_001)).await.status, 400);
    assert_eq!(purge(&house, &many(10_000)).await["selectors"], 10_000);
}

#[tokio::test]
async fn rulings_6_a_form_on_a_foreign_page_purges_nothing() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let body = r#"{"everything":true}"#;
    for headers in [&[][..], &[("Content-Type", "text/plain")], &[("Content-Type", "multipart/form-data")]] {
        assert_eq!(post(&house, "/purge", headers, body).await.status, 415);
    }
    let foreign = [JSON, ("Origin", "http://evil.example")];
    assert_eq!(post(&house, "/purge", &foreign, body).await.status, 403);
    let to = house.running.admin().unwrap();
    let rebound = [JSON, ("Host", "evil.example")];
    assert_eq!(request(to, "POST", "/purge", &rebound, body.as_bytes()).await.status, 421);
    assert_eq!(house.admin("/purge").await.status, 405);
    house.get("/x").await.assert_hit();
}

async fn with_tokens() -> House {
    let origin = Origin::start().await;
    let token = |name, scope| {
        format!("{{ name: {name}, secret: {name}-and-long-enough-to-be-one, allow: [{scope}] }}")
    };
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
         admin: {{ address: \"127.0.0.1:0\", tokens: [{}, {}, {}] }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        token("reader", "read"),
        token("deploy", "purge"),
        token("boss", "admin"),
        origin.address
    );
    House::start(&yaml, origin).await
}

#[tokio::test]
async fn tokens_open_what_their_scopes_say_and_their_names_are_in_the_list() {
    let house = with_tokens().await;
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let call = async |method: &str, path: &str, name: &str, body: &str| {
        let bearer = format!("Bearer {name}-and-long-enough-to-be-one");
        let headers = [("Host", &*host), ("Authorization", &*bearer)];
        request(to, method, path, &headers, body.as_bytes()).await
    };
    let body = r#"{"tags":["t"]}"#;
    assert_eq!(post(&house, "/purge", &[JSON], body).await.status, 401);
    for (name, purges, reads) in
        [("reader", 403, 200), ("deploy", 200, 403), ("boss", 200, 200), ("other", 401, 401)]
    {
        assert_eq!(call("POST", "/purge", name, body).await.status, purges, "{name}");
        for path in ["/purges", "/entries", "/tags", "/config", "/openapi.json"] {
            assert_eq!(call("GET", path, name, "").await.status, reads, "{name} {path}");
        }
    }
    for (name, status) in [("reader", 403), ("deploy", 403)] {
        assert_eq!(call("POST", "/reload", name, "").await.status, status);
    }
    let list: Value = serde_json::from_slice(&call("GET", "/purges", "boss", "").await.body).unwrap();
    let who: Vec<_> = list["purges"].as_array().unwrap().iter().map(|p| p["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["boss", "deploy"]);
    let config = call("GET", "/config", "reader", "").await.text();
    assert!(config.contains("deploy") && !config.contains("long-enough"), "{config}");
}

#[tokio::test]
async fn recent_purges_are_listed_newest_first() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let first = purge(&house, r#"{"tags":["t","u"],"mode":"soft"}"#).await;
    house.advance(1);
    let second = purge(&house, r#"{"hosts":["site.example"],"mode":"invalidate"}"#).await;
    let list = read(&house, "/purges").await;
    let newest = &list["purges"][0];
    let expected = json!({
        "id": second["id"], "summary": "host site.example", "selectors": 1, "mode": "invalidate",
        "who": "127.0.0.1", "when": "2026-01-01T00:00:01.000Z", "matched": 1,
    });
    assert_eq!(newest, &expected);
    assert_eq!(list["purges"][1]["id"], first["id"]);
    assert_eq!(list["purges"][1]["summary"], "tag t and 1 more");
    assert_eq!(read(&house, "/purges?limit=1").await["purges"].as_array().unwrap().len(), 1);
    for wrong in ["/purges?limit=0", "/purges?limit=1001", "/purges?limit=x", "/purges?last=1"] {
        assert_eq!(house.admin(wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn entries_are_listed_by_prefix_and_tag_page_by_page() {
    let mut house = House::new("").await;
    for (path, tags) in [("/a", "t"), ("/a/b?q=1", "t,u"), ("/ab", "u"), ("/c", "v")] {
        let page =
            format!("200 OK\nCache-Tag: {tags}\nCache-Groups: \"g 1\"\nCache-Control: max-age=60\n\nbody");
        house.fetched(path, &page).await;
    }
    let urls = async |query: &str| -> Vec<String> {
        let list = read(&house, &format!("/entries{query}")).await;
        list["entries"].as_array().unwrap().iter().map(|e| e["url"].as_str().unwrap().to_owned()).collect()
    };
    let site = |path: &str| format!("http://site.example{path}");
    assert_eq!(urls("").await.len(), 4);
    assert_eq!(urls("?prefix=site.example/a").await, [site("/a"), site("/a/b?q=1")]);
    assert_eq!(urls("?tag=u").await, [site("/a/b?q=1"), site("/ab")]);
    assert_eq!(urls("?tag=g+1&prefix=site.example/c").await, [site("/c")]);
    assert_eq!(urls("?prefix=other.example").await, Vec::<String>::new());
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = read(&house, &format!("/entries?limit=1{next}")).await;
        seen.extend(page["entries"].as_array().unwrap().iter().map(|e| e["url"].to_string()));
        match page["next"].as_str() {
            Some(slot) => next = format!("&next={slot}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 4);
    let one = &read(&house, "/entries?tag=v").await["entries"][0];
    assert_eq!((&one["status"], &one["age_s"], &one["ttl_s"]), (&json!(200), &json!(0), &json!(60)));
    assert_eq!((&one["tags"], &one["body_bytes"]), (&json!(["g 1", "v"]), &json!(4)));
    assert_eq!(one["purged"], Value::Null);
    for wrong in ["?tags=x", "?prefix=http://h/", "?next=x", "?limit=0"] {
        assert_eq!(house.admin(&format!("/entries{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn lists_show_what_a_purge_did_and_the_memory_comes_back() {
    let mut house = House::new("").await;
    for path in ["/a", "/b"] {
        house.fetched(path, PAGE).await;
    }
    house.fetched("/c", "200 OK\nCache-Tag: u\nCache-Control: max-age=60\n\nx").await;
    let tags = json!([{ "tag": "t", "entries": 2 }, { "tag": "u", "entries": 1 }]);
    assert_eq!(read(&house, "/tags").await, json!({ "tags": tags, "next": null }));
    let page = read(&house, "/tags?limit=1").await;
    assert_eq!((&page["tags"][0]["tag"], &page["next"]), (&json!("t"), &json!("t")));
    assert_eq!(read(&house, "/tags?next=t").await["tags"], json!([{ "tag": "u", "entries": 1 }]));
    assert_eq!(read(&house, "/tags?prefix=x").await["tags"], json!([]));
    purge(&house, r#"{"tags":["u"],"mode":"invalidate"}"#).await;
    assert_eq!(read(&house, "/entries?tag=u").await["entries"][0]["purged"], "purged-invalidate");
    let mut settled = house.running.engine().sweeper.settled();
    purge(&house, r#"{"tags":["t"]}"#).await;
    assert_eq!(read(&house, "/entries?tag=t").await["entries"], json!([]), "purged for good, swept or not");
    crate::support::soon("the sweeper", settled.wait_for(|settled| settled.freed == 2)).await.unwrap();
    assert_eq!(house.metric("larder_memory_entries").await, 1.0);
    assert_eq!(read(&house, "/tags").await["tags"], json!([{ "tag": "u", "entries": 1 }]));
}

#[tokio::test]
async fn purges_are_counted_by_kind_and_mode() {
    let house = House::new("").await;
    purge(&house, r#"{"tags":["a","b"],"prefixes":["h/x"]}"#).await;
    purge(&house, r#"{"tags":["a"],"mode":"soft"}"#).await;
    for (labels, value) in [
        ("kind=\"tag\",mode=\"hard\"", 1.0),
        ("kind=\"tag\",mode=\"soft\"", 1.0),
        ("kind=\"prefix\",mode=\"hard\"", 1.0),
        ("kind=\"everything\",mode=\"invalidate\"", 0.0),
        ("kind=\"pattern\",mode=\"hard\"", 0.0),
    ] {
        assert_eq!(house.metric(&format!("larder_purges_total{{{labels}}}")).await, value, "{labels}");
    }
    assert_eq!(house.metric("larder_purge_apply_seconds_count").await, 2.0);
}

#[tokio::test]
async fn a_reload_is_passed_to_whoever_knows_the_file() {
    use larder::admin::reload::{Finding, Reloaded};
    let mut house = House::new("").await;
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let finding = Finding {
        severity: "error",
        class: "unknown-key",
        message: "unknown key `tll`".into(),
        line: 3,
        column: 5,
        help: Some("ttl".into()),
    };
    for (outcome, status, part) in [
        (
            Reloaded::Done {
                changes: vec![serde_json::json!({ "path": "log.access" })],
                kept: vec!["server.listen"],
            },
            200,
            "\"changes\":[{\"path\":\"log.access\"}],\"changes_at_next_start\":[\"server.listen\"]",
        ),
        (Reloaded::Refused(vec![finding]), 422, "\"message\":\"unknown key `tll`\",\"line\":3"),
        (Reloaded::Failed("no".into()), 500, "\"error\":\"no\""),
    ] {
        let headers = [("Host", &*host), JSON];
        let (reply, ()) = tokio::join!(request(to, "POST", "/reload", &headers, b""), async {
            house.running.reload_asked().await.answer(outcome);
        });
        assert_eq!(reply.status, status);
        assert!(reply.text().contains(part), "{reply:?}");
    }
    let config = house.admin("/config").await;
    assert_eq!(config.header("content-type"), Some("application/yaml"));
    assert!(config.text().contains("max_object:"), "{config:?}");
    let headers = [("Host", &*host), JSON];
    let (reply, ()) = tokio::join!(request(to, "POST", "/reload", &headers, b""), async {
        drop(house.running.reload_asked().await);
    });
    assert_eq!(reply.status, 503, "nobody answered");
}

/// Runs `larder purge` against this house: exit status, standard output, standard error.
async fn larder_purge(house: &House, arguments: &[&str]) -> (Option<i32>, String, String) {
    let admin = format!("http://{}", house.running.admin().unwrap());
    larder(&[&["purge"], arguments, &["--admin", &admin]].concat()).await
}

#[tokio::test]
async fn the_command_line_purges_and_prints_the_receipt() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let (code, out, _) = larder_purge(&house, &["--tag", "t", "--url", "http://site.example/x"]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("purged 2 selectors (hard): 1 entry matched, 1 of 1 node applied, "), "{out}");
    house.fetched("/x", PAGE).await;
    let arguments = ["--host", "site.example", "--invalidate", "--wait", "fleet", "--json"];
    let (code, out, _) = larder_purge(&house, &arguments).await;
    let receipt: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &receipt["matched"]), (Some(0), &json!(1)));
    house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
    let (code, _, err) = larder_purge(&house, &["--url", "/x"]).await;
    assert_eq!(code, Some(1));
    assert!(err.starts_with("larder: urls[0]: expected a URL with scheme and host"), "{err}");
    assert_eq!(larder_purge(&house, &["--soft"]).await.0, Some(2), "no selector is a usage error");
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn the_command_line_takes_its_token_from_the_arguments() {
    let house = with_tokens().await;
    let (code, _, err) = larder_purge(&house, &["--everything"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("a token is needed"), "{err}");
    let token = ["--everything", "--token", "deploy-and-long-enough-to-be-one"];
    assert_eq!(larder_purge(&house, &token).await.0, Some(0));
}

#[tokio::test]
async fn the_api_is_described() {
    let house = House::new("").await;
    let document = read(&house, "/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        // A stream has no end.
        let ends = methods.pointer("/get/responses/200/content/text~1event-stream").is_none();
        if methods.get("get").is_some() && ends {
            let page = path.replace("{file}", "main.js");
            assert!([200, 503].contains(&house.admin(&page).await.status), "{path}");
        }
    }
}

#[tokio::test]
async fn the_sweeper_takes_all_that_is_purged_and_nothing_newer() {
    let mut house = House::new("").await;
    // More than one batch, and something that must stay.
    for n in 0..600 {
        house.fetched(&format!("/x/{n}"), PAGE).await;
    }
    house.fetched("/y", PAGE).await;
    let mut settled = house.running.engine().sweeper.settled();
    purge(&house, r#"{"prefixes":["site.example/x"]}"#).await;
    house.fetched("/x/7", NEW).await;
    crate::support::soon("the sweeper", settled.wait_for(|settled| settled.purges == 1)).await.unwrap();
    assert_eq!(house.metric("larder_memory_entries").await, 2.0);
    house.get("/y").await.assert_hit();
    assert_eq!(house.get("/x/7").await.text(), "new");
}
