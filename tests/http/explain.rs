//! `POST /explain` and `larder explain` (interface.md §1, §3): what is told is what the next request gets, and telling it
//! changes nothing.

use crate::support::{House, Origin, Reply, larder, request, soon};
use larder::purge::Mode;
use serde_json::{Value, json};

const PAGE: &str = "200 OK\nETag: \"1\"\nCache-Tag: t, product:7\nCache-Control: max-age=60\n\npage";
const STALE: &str = "200 OK\nETag: \"1\"\nCache-Tag: t\n\
                     Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=300\n\nold";

async fn ask(house: &House, question: &Value) -> Reply {
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let headers = [("Host", &*host), ("Content-Type", "application/json")];
    soon("an explanation", request(to, "POST", "/explain", &headers, question.to_string().as_bytes())).await
}

async fn explain(house: &House, question: Value) -> Value {
    let reply = ask(house, &question).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

async fn explain_url(house: &House, url: &str) -> Value {
    explain(house, json!({ "url": format!("http://site.example{url}") })).await
}

/// `action`, `reason` and what `Cache-Status` would say.
fn decision(explained: &Value) -> (&str, &str, &str) {
    let word = |member: &str| explained["decision"][member].as_str().unwrap_or("");
    (word("action"), word("reason"), word("cache_status"))
}

fn advice(explained: &Value) -> String {
    explained["advice"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// All the sentences.
fn told(explained: &Value) -> String {
    let mut out = String::new();
    for step in explained["steps"].as_array().unwrap() {
        out += &format!("{}: {}\n", step["step"].as_str().unwrap(), step["says"].as_str().unwrap());
        step["details"]
            .as_array()
            .unwrap()
            .iter()
            .for_each(|d| out += &format!("  {}\n", d.as_str().unwrap()));
    }
    out
}

#[tokio::test]
async fn a_miss_a_hit_and_a_stale_answer_are_told_as_the_next_request_gets_them() {
    let mut house = House::new("").await;
    let before = explain_url(&house, "/x?a=1").await;
    assert_eq!(decision(&before), ("fetch", "", "larder; fwd=uri-miss"));
    assert_eq!((&before["entry"], &before["variants"]), (&Value::Null, &json!([])));
    assert_eq!(before["origin"], json!({ "name": "app", "servers": 1, "usable": 1 }));
    assert_eq!(before["decision"]["source"], "RFC 9111 §4");

    house.fetched("/x?a=1", STALE).await;
    house.advance(24);
    let hit = explain_url(&house, "/x?a=1").await;
    let reply = house.get("/x?a=1").await;
    assert_eq!(decision(&hit), ("serve", "", reply.cache_status()));
    assert_eq!(hit["decision"]["status"], 200);
    assert_eq!(hit["decision"]["outcome"], "hit");
    let entry = &hit["entry"];
    assert_eq!(
        (&entry["age_s"], &entry["ttl_s"], &entry["lifetime_s"]),
        (&json!(24), &json!(36), &json!(60))
    );
    assert_eq!(
        (&entry["lifetime_from"], &entry["lifetime_by"]),
        (&json!("max-age"), &json!("cache-control"))
    );
    assert_eq!((&entry["tags"], &entry["tier"]), (&json!(["t"]), &json!("memory")));
    assert_eq!((&entry["etag"], &entry["body_bytes"]), (&json!("\"1\""), &json!(3)));
    assert!(entry["memory_bytes"].as_u64().unwrap() > 300);
    assert!(told(&hit).contains("fresh for 36 s more"), "{}", told(&hit));

    house.advance(40);
    let stale = explain_url(&house, "/x?a=1").await;
    assert_eq!(
        decision(&stale),
        ("serve", "stale-while-revalidate", "larder; hit; ttl=-4; detail=stale-while-revalidate")
    );
    assert_eq!(
        (&stale["decision"]["refresh"], &stale["decision"]["outcome"]),
        (&json!(true), &json!("stale"))
    );
    assert_eq!(stale["decision"]["source"], "RFC 5861 §3");
    house.quiet().await; // nothing was refreshed by the asking

    house.advance(100);
    let over = explain_url(&house, "/x?a=1").await;
    assert_eq!(decision(&over), ("revalidate", "stale", "larder; fwd=stale"));
    assert!(advice(&over).contains("stale_while_revalidate"), "{over}");
    assert!(told(&over).contains("validated by ETag \"1\""));
}

#[tokio::test]
async fn telling_changes_nothing() {
    let mut house = House::new("").await;
    house.fetched("/x", STALE).await;
    house.purge_tag(Mode::Soft, "t");
    let count = "larder_requests_total{rule=\"all\",outcome=\"hit\"}";
    let before = house.metric(count).await;
    for _ in 0..3 {
        let soft = explain_url(&house, "/x").await;
        assert_eq!(soft["decision"]["reason"], "stale-while-revalidate");
        assert_eq!(soft["entry"]["purged"], "purged-soft");
        // Noticing a soft purge starts the stale window; this must not.
        house.advance(20);
    }
    let (client, origin) = (house.client("GET", "/x", &[]).await, house.origin.next().await);
    let reply = client.reply().await;
    assert_eq!(reply.cache_status(), "larder; hit; ttl=0; detail=stale-while-revalidate");
    origin.answer(PAGE).await;
    house.settled().await;
    explain_url(&house, "/cold").await;
    assert_eq!(house.metric(count).await, before);
    assert_eq!(house.metric("larder_memory_entries").await, 1.0);
    house.quiet().await;
}

#[tokio::test]
async fn rules_are_told_with_what_each_sets_and_which_is_overridden() {
    let rules = "  - name: all\n    origin: app\n    ttl: 1m\n    tags: [site]\n    key: { query: { exclude: [\"utm_*\"] }, headers: [x-tenant], cookies: [group] }\n\
                 \x20 - name: pages\n    match: { path: \"/p/{id}\" }\n    ttl: 2m\n    tags: [\"p:{id}\"]\n\
                 \x20 - name: text\n    match: { content_type: \"text/*\" }\n    stale_if_error: 1h\n\
                 \x20 - name: other\n    match: { path: \"/q/**\" }\n    ttl: 3m\n\
                 \x20 - name: beta\n    match: { cookie: { beta: \"1\" } }\n    coalesce: off\n";
    let mut house = House::with_rules(rules, "").await;
    let question = json!({
        "url": "http://site.example/p/7?utm_source=a&b=1&utm_id=c",
        "headers": { "X-Tenant": "blue", "Cookie": "beta=1; group=g", "X-Forwarded-Host": "evil.example" },
    });
    let explained = explain(&house, question.clone()).await;
    let rules = explained["rules"].as_array().unwrap();
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["all", "pages", "text", "beta"]);
    let field = |rule: usize, field: &str| {
        rules[rule]["sets"].as_array().unwrap().iter().find(|set| set["field"] == field).unwrap().clone()
    };
    assert_eq!(field(0, "ttl"), json!({ "field": "ttl", "value": "1m", "overridden_by": "pages" }));
    assert_eq!(field(1, "ttl")["overridden_by"], Value::Null);
    assert_eq!(field(0, "tags")["overridden_by"], Value::Null, "tags are a union");
    assert_eq!((&rules[2]["decided_by"], &rules[2]["matches"]), (&json!("response"), &Value::Null));
    let key = &explained["key"];
    assert_eq!((&key["query"], &key["query_removed"]), (&json!("b=1"), &json!(["utm_source", "utm_id"])));
    assert_eq!(key["headers"], json!([{ "name": "x-tenant", "value": "blue" }]));
    assert_eq!((&key["cookies"], &key["rules"]), (&json!(["group"]), &json!(["beta"])));
    assert_eq!(
        (&key["host"], &key["path"], &key["origin"]),
        (&json!("site.example"), &json!("/p/7"), &json!("app"))
    );
    assert_eq!(explained["request"]["removed_fields"], json!(["x-forwarded-host"]));

    let fields = [("X-Tenant", "blue"), ("Cookie", "beta=1; group=g")];
    let (reply, _) = house.exchange("GET", "/p/7?b=1", &fields, "200 OK\nContent-Type: text/html\n\nx").await;
    assert_eq!(reply.status, 200);
    let stored = explain(&house, question).await;
    assert_eq!(stored["rules"][2]["matches"], true);
    let entry = &stored["entry"];
    assert_eq!((&entry["lifetime_from"], &entry["lifetime_by"]), (&json!("rule"), &json!("pages")));
    assert_eq!((&entry["tags"], &entry["stale_if_error_s"]), (&json!(["p:7", "site"]), &json!(3600)));
    assert_eq!(decision(&stored).0, "serve");
    let other = json!({ "url": "http://site.example/p/7?b=1", "headers": { "X-Tenant": "red" } });
    assert_eq!(decision(&explain(&house, other).await).0, "fetch");
}

#[tokio::test]
async fn bypass_respond_and_disguised_paths() {
    let rules = "  - name: all\n    origin: app\n  - name: never\n    match: { path: \"/admin/**\" }\n    cache: bypass\n\
                 \x20 - name: moved\n    match: { path: \"/old\" }\n    respond: { status: 301, location: \"/new\" }\n";
    let mut house = House::with_rules(rules, "").await;
    let bypass = explain_url(&house, "/admin/x").await;
    let reply = house.fetched("/admin/x", PAGE).await;
    assert_eq!(decision(&bypass), ("pass", "rule", reply.cache_status()));
    assert_eq!((&bypass["key"], &bypass["decision"]["source"]), (&Value::Null, &json!("rules[].cache")));
    assert!(bypass["decision"]["says"].as_str().unwrap().contains("`never`"), "{bypass}");
    assert!(advice(&bypass).contains("cache: on"));
    let disguised = explain_url(&house, "/x/..%2fadmin/y").await;
    let reply = house.fetched("/x/..%2fadmin/y", PAGE).await;
    assert_eq!(decision(&disguised), ("pass", "ambiguous-path", reply.cache_status()));
    let moved = explain_url(&house, "/old").await;
    assert_eq!((decision(&moved).0, &moved["decision"]["status"]), ("respond", &json!(301)));
}

#[tokio::test]
async fn methods_and_request_fields_decide_as_they_do_for_clients() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let asked = |method: &str, headers: Value| json!({ "url": "http://site.example/x", "method": method, "headers": headers });
    let none = || json!({});
    for (method, headers, expected, source) in [
        ("GET", none(), ("serve", "", "larder; hit; ttl=60"), "RFC 9111 §4.2"),
        ("HEAD", none(), ("serve", "", "larder; hit; ttl=60"), "RFC 9111 §4.2"),
        ("POST", none(), ("pass", "method", "larder; fwd=method"), "RFC 9111 §4"),
        ("DELETE", none(), ("pass", "method", "larder; fwd=method"), "RFC 9111 §4"),
        (
            "GET",
            json!({ "Cache-Control": "no-cache" }),
            ("revalidate", "request-no-cache", "larder; fwd=request"),
            "RFC 9111 §5.2.1.4",
        ),
        (
            "GET",
            json!({ "If-Match": "\"1\"" }),
            ("pass", "precondition", "larder; fwd=request; detail=precondition"),
            "RFC 9111 §4.3.2",
        ),
        (
            "GET",
            json!({ "Connection": "upgrade", "Upgrade": "websocket" }),
            ("pass", "upgrade", "larder; fwd=bypass; detail=upgrade"),
            "RFC 9110 §7.8",
        ),
        ("TRACE", none(), ("refuse", "method-not-allowed", ""), "RFC 9110 §15.5"),
        ("PURGE", none(), ("respond", "purge", ""), "docs/purging.md"),
    ] {
        let explained = explain(&house, asked(method, headers.clone())).await;
        assert_eq!(decision(&explained), expected, "{method} {headers}");
        assert_eq!(explained["decision"]["source"], source, "{method} {headers}");
    }
    let not_modified = explain(&house, asked("GET", json!({ "If-None-Match": "\"1\"" }))).await;
    assert_eq!(not_modified["decision"]["status"], 304);
    let part = explain(&house, asked("GET", json!({ "Range": "bytes=0-1" }))).await;
    assert_eq!(part["decision"]["status"], 206);
    let trace = explain(&house, asked("TRACE", json!({}))).await;
    assert_eq!(trace["decision"]["status"], 405);
    let cold = json!({ "url": "http://site.example/cold", "headers": { "Cache-Control": "only-if-cached" } });
    let cold = explain(&house, cold).await;
    assert_eq!((decision(&cold).0, &cold["decision"]["status"]), ("refuse", &json!(504)));
    let head = json!({ "url": "http://site.example/cold", "method": "HEAD" });
    assert_eq!(decision(&explain(&house, head).await), ("pass", "head", "larder; fwd=uri-miss; detail=head"));
    // The idiom of other clients: the address in the URL, the host among the headers.
    let by_header = json!({ "url": "http://127.0.0.1:8080/x", "headers": { "Host": "site.example" } });
    assert_eq!(decision(&explain(&house, by_header).await).0, "serve");
    let https = explain(&house, json!({ "url": "https://site.example/x" })).await;
    assert_eq!((decision(&https).0, &https["key"]["scheme"]), ("fetch", &json!("https")));
    house.quiet().await;
}

/// One line of advice where something prevents caching.
#[tokio::test]
async fn why_the_last_answer_was_not_stored_is_remembered_and_what_to_do_about_it() {
    let mut house = House::new("").await;
    for (path, answer, reason, part) in [
        (
            "/cookie",
            "200 OK\nSet-Cookie: a=1\nCache-Control: max-age=60\n\nx",
            "set-cookie",
            "set_cookie: strip",
        ),
        ("/private", "200 OK\nCache-Control: private\n\nx", "private", "CDN-Cache-Control"),
        ("/no-store", "200 OK\nCache-Control: no-store\n\nx", "no-store", "force: true"),
        ("/star", "200 OK\nVary: *\nCache-Control: max-age=60\n\nx", "vary-star", "Vary"),
        ("/silent", "200 OK\n\nx", "no-lifetime", "default_ttl"),
        ("/broken", "500 Oops\n\nx", "error-status", "status"),
        ("/no-cache", "200 OK\nCache-Control: no-cache, max-age=60\n\nx", "no-validator", "ETag"),
    ] {
        let reply = house.fetched(path, answer).await;
        assert!(reply.cache_status().ends_with(&format!("detail={reason}")), "{reply:?}");
        house.advance(7);
        let explained = explain_url(&house, path).await;
        let last = &explained["remembered"]["not_stored"];
        assert_eq!((&last["reason"], &last["ago_s"]), (&json!(reason), &json!(7)), "{path}");
        assert_eq!(decision(&explained).0, "fetch", "{path}");
        assert!(advice(&explained).contains(part), "{path}: {explained}");
        assert!(told(&explained).contains(&format!("was not stored: {reason}")), "{}", told(&explained));
    }
    let cookie = explain_url(&house, "/cookie").await;
    assert_eq!(cookie["remembered"]["mark"], "not-shareable");
    house.advance(600);
    let forgotten = explain_url(&house, "/cookie").await;
    assert_eq!(forgotten["remembered"], json!({ "mark": null, "not_stored": null }));
    assert_eq!(forgotten["advice"], json!([]));
}

#[tokio::test]
async fn what_breaks_off_or_grows_too_large_is_remembered_too() {
    let mut house = House::with_rules(
        "  - name: all\n    origin: app\n",
        "memory: { capacity: 64MiB, max_object: 10KiB }",
    )
    .await;
    let large = format!("200 OK\nCache-Control: max-age=60\n\n{}", "x".repeat(20_000));
    house.fetched("/large", &large).await;
    let explained = explain_url(&house, "/large").await;
    assert_eq!(explained["remembered"]["not_stored"]["reason"], "too-large");
    assert_eq!(explained["remembered"]["mark"], "too-large");
    let range = json!({ "url": "http://site.example/large", "headers": { "Range": "bytes=0-1" } });
    let range = explain(&house, range).await;
    assert_eq!(decision(&range).1, "range-of-large-object");
    let client = house.client("GET", "/short", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nabc").await;
    drop(asked);
    client.reply().await;
    house.settled().await;
    let short = explain_url(&house, "/short").await;
    assert_eq!(short["remembered"]["not_stored"]["reason"], "incomplete");
}

#[tokio::test]
async fn variants_are_told_and_which_one_is_selected() {
    let mut house = House::new("").await;
    let answer =
        |language: &str| format!("200 OK\nVary: Accept-Language\nCache-Control: max-age=60\n\n{language}");
    for language in ["de", "fr"] {
        house.exchange("GET", "/x", &[("Accept-Language", language)], &answer(language)).await;
    }
    let with = |language: &str| json!({ "url": "http://site.example/x", "headers": { "Accept-Language": language } });
    let french = explain(&house, with("FR")).await;
    assert_eq!(decision(&french).0, "serve");
    let variants = french["variants"].as_array().unwrap();
    let of = |variant: &Value| {
        (variant["vary"][0]["value"].as_str().unwrap().to_owned(), variant["selected"] == true)
    };
    let mut of: Vec<_> = variants.iter().map(of).collect();
    of.sort();
    assert_eq!(of, [("de".to_owned(), false), ("fr".to_owned(), true)]);
    assert_eq!(french["variants"][0]["vary"][0]["name"], "accept-language");
    let dutch = explain(&house, with("nl")).await;
    assert_eq!(decision(&dutch), ("fetch", "", "larder; fwd=vary-miss"));
    assert_eq!(dutch["decision"]["source"], "RFC 9111 §4.1");
    assert!(told(&dutch).contains("2 variants, none of which is for this request"), "{}", told(&dutch));
}

#[tokio::test]
async fn purges_that_touch_an_entry_are_named_with_who_asked_for_them() {
    for (mode, word, action, verdict) in [
        ("soft", "stale-while-revalidate", "serve", "purged-soft"),
        ("invalidate", "invalidated", "revalidate", "purged-invalidate"),
    ] {
        let mut house = House::new("").await;
        house.fetched("/x", STALE).await;
        house.advance(5);
        let call = json!({ "tags": ["t"], "mode": mode }).to_string();
        assert_eq!(house.purge_call(&call).await.status, 200);
        house.advance(12);
        let explained = explain_url(&house, "/x").await;
        assert_eq!((decision(&explained).0, decision(&explained).1), (action, word));
        assert_eq!(explained["entry"]["purged"], verdict);
        let purges = explained["purges"].as_array().unwrap();
        assert_eq!(purges.len(), 1, "{explained}");
        let purge = &purges[0];
        assert_eq!(
            (&purge["what"], &purge["mode"], &purge["ago_s"]),
            (&json!("tag t"), &json!(mode), &json!(12))
        );
        assert_eq!((&purge["who"], &purge["cause"]), (&json!("127.0.0.1"), &json!("request")));
        assert!(told(&explained).contains(&format!("tag t ({mode}), 12 s ago by 127.0.0.1")));
    }
}

#[tokio::test]
async fn after_a_hard_purge_what_purged_the_url_is_still_told() {
    let mut house = House::new("").await;
    house.fetched("/blog/x", PAGE).await;
    let mut settled = house.running.engine().sweeper.settled();
    house.purge_call(r#"{"prefixes":["site.example/blog"]}"#).await;
    soon("the sweeper", settled.wait_for(|settled| settled.purges == 1)).await.unwrap();
    let explained = explain_url(&house, "/blog/x").await;
    assert_eq!(decision(&explained).0, "fetch");
    assert_eq!(explained["purges"][0]["what"], "prefix site.example/blog");
    assert_eq!(explain_url(&house, "/blogs").await["purges"], json!([]));
    house.fetched("/blog/x", PAGE).await;
    assert_eq!(explain_url(&house, "/blog/x").await["purges"], json!([]), "it was fetched after the purge");
    // A write is a purge too (RFC 9111 §4.4).
    house.exchange("POST", "/blog/x", &[], "200 OK\n\n").await;
    let written = explain_url(&house, "/blog/x").await;
    assert_eq!(decision(&written), ("revalidate", "invalidated", "larder; fwd=stale"));
    assert_eq!(written["purges"][0]["cause"], "write");
}

#[tokio::test]
async fn a_fetch_under_way_is_told() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    assert_eq!(explain_url(&house, "/x").await["fetch_under_way"], true);
    asked.answer(PAGE).await;
    client.reply().await;
    house.settled().await;
    assert_eq!(explain_url(&house, "/x").await["fetch_under_way"], false);
}

#[tokio::test]
async fn bad_questions_are_refused_with_what_was_expected() {
    let house = House::new("").await;
    for (question, member) in [
        (json!({}), "url"),
        (json!({ "url": "/x" }), "url"),
        (json!({ "url": "http://h/x", "method": "G T" }), "method"),
        (json!({ "url": "http://h/x", "headers": { "a": 1 } }), "headers.a"),
        (json!({ "url": "http://h/x", "verb": "GET" }), "verb"),
        (json!([]), "body"),
    ] {
        let reply = ask(&house, &question).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &body["member"]), (400, &json!(member)), "{question}");
        assert!(body["error"].as_str().unwrap().contains("expected"), "{body}");
    }
    let host = explain(&house, json!({ "url": "http://h/x", "headers": { "Host": "a b" } })).await;
    assert_eq!((decision(&host).1, &host["decision"]["status"]), ("bad-host", &json!(400)));
}

#[tokio::test]
async fn explaining_needs_the_right_to_read() {
    let origin = Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
         admin: {{ address: \"127.0.0.1:0\", tokens: [{{ name: r, secret: read-and-long-enough-to-be-one, allow: [read] }}, {{ name: p, secret: purge-and-long-enough-to-be-one, allow: [purge] }}] }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let house = House::start(&yaml, origin).await;
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    for (token, status) in [
        (None, 401),
        (Some("Bearer purge-and-long-enough-to-be-one"), 403),
        (Some("Bearer read-and-long-enough-to-be-one"), 200),
    ] {
        let mut headers = vec![("Host", &*host), ("Content-Type", "application/json")];
        headers.extend(token.map(|token| ("Authorization", token)));
        let body = br#"{"url":"http://site.example/x"}"#;
        assert_eq!(request(to, "POST", "/explain", &headers, body).await.status, status, "{token:?}");
    }
}

/// Runs `larder explain` against this house: exit status, standard output, standard error.
async fn larder_explain(house: &House, arguments: &[&str]) -> (Option<i32>, String, String) {
    let admin = format!("http://{}", house.running.admin().unwrap());
    larder(&[&["explain"], arguments, &["--admin", &admin]].concat()).await
}

#[tokio::test]
async fn the_command_line_tells_numbered_steps() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let (code, out, _) = larder_explain(&house, &["http://site.example/x"]).await;
    assert_eq!(code, Some(0), "{out}");
    for part in [
        " 1  request     GET http://site.example/x\n",
        " 2  rules       1 rule matches\n                all: origin = app\n",
        " 3  key         http://site.example/x  at origin app\n",
        " 4  look-up     stored, in one variant, which this request selects  [RFC 9111 §4]\n",
        " 5  entry       200, 0 s old, fresh for 1 min more  [RFC 9111 §5.2.2.1]\n",
        "lifetime 1 min, from the origin's `max-age` (cache-control)\n",
        "tags product:7, t\n",
        " 6  purges      no purge since it was fetched selects it\n",
        " 7  decision    served from the store with 200: it is stored, and its lifetime is not over  [RFC 9111 §4.2]\n",
    ] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    let (_, out, _) =
        larder_explain(&house, &["-X", "POST", "http://site.example/x", "-H", "Accept: a", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["decision"]["action"], "pass");
    let (code, _, err) = larder_explain(&house, &["/x"]).await;
    assert_eq!(
        (code, err.starts_with("larder: url: expected a URL with scheme and host")),
        (Some(1), true),
        "{err}"
    );
    house.fetched("/cookie", "200 OK\nSet-Cookie: a=1\nCache-Control: max-age=60\n\nx").await;
    let (_, out, _) = larder_explain(&house, &["http://site.example/cookie"]).await;
    assert!(out.contains("\n    advice      fix the origin so that it sets no cookie on public pages, or set `set_cookie: strip`"), "{out}");
}

#[tokio::test]
async fn a_rules_window_that_does_nothing_is_told_and_what_would_help() {
    let mut house = House::new("stale_while_revalidate: 30s").await;
    house.fetched("/m", "200 OK\nETag: \"1\"\nCache-Control: s-maxage=60, max-age=60\n\npage").await;
    for (age, reason) in [(1, ""), (60, "stale")] {
        house.advance(age);
        let explained = explain_url(&house, "/m").await;
        assert_eq!(decision(&explained).1, reason);
        assert_eq!(explained["entry"]["stale_forbidden_by"], "s-maxage");
        assert!(
            told(&explained).contains("never stale: the origin's `s-maxage` forbids it"),
            "{explained:#}"
        );
        let advice = advice(&explained);
        assert!(advice.contains("`stale_while_revalidate` of the rule `all` does nothing"), "{advice}");
        assert!(advice.contains("set `stale_despite_s_maxage: true` in the rule"), "{advice}");
        assert!(!advice.contains("or set `ttl` or `stale_while_revalidate`"), "{advice}");
    }
    // Where it acts there is nothing to say.
    let mut house = House::new("stale_while_revalidate: 30s\nstale_despite_s_maxage: true").await;
    house.fetched("/m", "200 OK\nCache-Control: s-maxage=60\n\npage").await;
    let explained = explain_url(&house, "/m").await;
    assert_eq!(
        (advice(&explained).as_str(), &explained["entry"]["stale_while_revalidate_s"]),
        ("", &json!(30))
    );
    // And no rule lifts what the origin says in so many words.
    let mut house = House::new("stale_if_error: 30s\nstale_despite_s_maxage: true").await;
    house.fetched("/m", "200 OK\nETag: \"1\"\nCache-Control: max-age=60, must-revalidate\n\npage").await;
    house.advance(61);
    let advice = advice(&explain_url(&house, "/m").await);
    assert!(advice.contains("no rule lifts it") && !advice.contains("in a rule"), "{advice}");
}
