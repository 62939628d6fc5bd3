//! The dashboard's page, and logging in to it (rulings 6): a cookie opens what its token opens, and nothing that a page of
//! another site could send with it counts.

use crate::support::{Client, House, Origin, Reply, request, soon};
use serde_json::{Value, json};

const READ: &str = "read-and-long-enough-to-be-one";
const DEPLOY: &str = "deploy-and-long-enough-to-be-one";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn yaml(origin: &Origin, read: &str) -> String {
    format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
         admin: {{ address: \"127.0.0.1:0\", tokens: [{{ name: reader, secret: {read}, allow: [read] }}, {{ name: deploy, secret: {DEPLOY}, allow: [read, purge] }}] }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    )
}

async fn locked() -> House {
    let origin = Origin::start().await;
    let yaml = yaml(&origin, READ);
    House::start(&yaml, origin).await
}

async fn call(house: &House, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let mut all = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "Host") {
        all.push(("Host", &host));
    }
    soon("the admin listener", request(to, method, path, &all, body.as_bytes())).await
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// The cookie, as a browser would send it.
async fn log_in(house: &House, token: &str) -> String {
    let reply = call(house, "POST", "/session", &[JSON], &json!({ "token": token }).to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(token) && !cookie.contains("Secure"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_asks_nothing_of_anybody_else_and_can_not_be_framed() {
    let house = locked().await;
    let page = call(&house, "GET", "/", &[], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(
        page.header("content-security-policy"),
        Some(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    );
    assert_eq!(
        (page.header("x-content-type-options"), page.header("referrer-policy")),
        (Some("nosniff"), Some("no-referrer"))
    );
    let text = page.text();
    for (_, rest) in text.match_indices("dashboard/").map(|(at, found)| text.split_at(at + found.len())) {
        let name = rest.split('"').next().unwrap();
        let file = call(&house, "GET", &format!("/dashboard/{name}"), &[], "").await;
        assert_eq!(file.status, 200, "{name}");
        assert!(file.header("content-security-policy").is_some(), "{name}");
    }
    let module = call(&house, "GET", "/dashboard/main.js", &[], "").await;
    assert_eq!(module.header("content-type"), Some("text/javascript; charset=utf-8"));
    for name in ["none.js", "../mod.rs", "%2e%2e%2fmod.rs", "index.html"] {
        assert_eq!(call(&house, "GET", &format!("/dashboard/{name}"), &[], "").await.status, 404, "{name}");
    }
    assert_eq!(call(&house, "POST", "/", &[JSON], "{}").await.status, 405);
}

#[tokio::test]
async fn without_tokens_there_is_nothing_to_log_in_to() {
    let house = House::new("").await;
    let who = call(&house, "GET", "/session", &[], "").await;
    let all = json!({ "name": null, "allow": ["read", "purge", "admin"] });
    assert_eq!(body(&who), json!({ "needs_token": false, "session": all }));
    assert_eq!(call(&house, "POST", "/session", &[JSON], r#"{"token":"x"}"#).await.status, 400);
    // A name may have been rebound to this address, and nobody checks anything here.
    assert_eq!(call(&house, "GET", "/session", &[("Host", "larder.internal:9080")], "").await.status, 421);
}

#[tokio::test]
async fn a_session_opens_what_its_token_opens() {
    let house = locked().await;
    let who = |headers: Vec<(&'static str, String)>| {
        let house = &house;
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            body(&call(house, "GET", "/session", &headers, "").await)
        }
    };
    assert_eq!(who(vec![]).await, json!({ "needs_token": true, "session": null }));
    for (token, status) in
        [(r#"{"token":"wrong"}"#, 401), (r#"{"token":1}"#, 400), ("", 400), (r#"{"token":""}"#, 401)]
    {
        assert_eq!(call(&house, "POST", "/session", &[JSON], token).await.status, status, "{token}");
    }
    let cookie = log_in(&house, READ).await;
    let reader = json!({ "needs_token": false, "session": { "name": "reader", "allow": ["read"] } });
    assert_eq!(who(vec![("Cookie", format!("a=b; {cookie}"))]).await, reader);
    let with = [("Cookie", cookie.as_str())];
    assert_eq!(call(&house, "GET", "/status", &with, "").await.status, 200);
    assert_eq!(call(&house, "GET", "/status", &[], "").await.status, 401);
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let mut stream = Client::send(to, "GET", "/status/stream", &[("Host", &host), with[0]]).await;
    stream.until("event: status").await;
    let own = format!("http://{to}");
    let purge = [with[0], JSON, ("Origin", own.as_str())];
    assert_eq!(
        call(&house, "POST", "/purge", &purge, r#"{"everything":true}"#).await.status,
        403,
        "it may not purge"
    );
    // A token that is given with the call counts, not the cookie beside it.
    let both = [with[0], ("Authorization", "Bearer wrong")];
    assert_eq!(call(&house, "GET", "/status", &both, "").await.status, 401);

    let out = call(&house, "DELETE", "/session", &with, "").await;
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(call(&house, "GET", "/status", &with, "").await.status, 401);
}

/// A page of another site, or of another port of this host, may have the browser send the cookie.
#[tokio::test]
async fn rulings_6_with_the_cookie_only_our_own_page_may_change_anything() {
    let house = locked().await;
    let cookie = log_in(&house, DEPLOY).await;
    let (to, all) = (house.running.admin().unwrap(), r#"{"everything":true}"#);
    let (own, other) = (format!("http://{to}"), "http://127.0.0.1:8080");
    let cookie = ("Cookie", cookie.as_str());
    for (headers, status) in [
        (vec![cookie, JSON], 403),
        (vec![cookie, JSON, ("Origin", other)], 403),
        (vec![cookie, JSON, ("Origin", "null")], 403),
        (vec![cookie, ("Content-Type", "text/plain"), ("Origin", own.as_str())], 415),
        (vec![cookie, ("Origin", own.as_str())], 415),
        (vec![cookie, JSON, ("Origin", own.as_str())], 200),
    ] {
        assert_eq!(call(&house, "POST", "/purge", &headers, all).await.status, status, "{headers:?}");
    }
    let fastly = [cookie, ("Origin", other)];
    assert_eq!(call(&house, "POST", "/service/x/purge_all", &fastly, "").await.status, 415);
    assert_eq!(call(&house, "GET", "/status", &[cookie, ("Origin", other)], "").await.status, 403);
    assert_eq!(call(&house, "GET", "/session", &[("Origin", other)], "").await.status, 403);
    let login = json!({ "token": DEPLOY }).to_string();
    assert_eq!(call(&house, "POST", "/session", &[JSON, ("Origin", other)], &login).await.status, 403);
    assert_eq!(call(&house, "POST", "/session", &[("Content-Type", "text/plain")], &login).await.status, 415);
    let purges = body(&call(&house, "GET", "/purges", &[cookie], "").await);
    assert_eq!(
        (purges["purges"].as_array().unwrap().len(), &purges["purges"][0]["who"]),
        (1, &json!("deploy"))
    );
}

#[tokio::test]
async fn by_a_name_it_opens_for_who_knows_a_token() {
    let house = locked().await;
    let host = ("Host", "larder.internal:9080");
    assert_eq!(call(&house, "GET", "/", &[host], "").await.status, 200);
    assert_eq!(call(&house, "GET", "/session", &[host], "").await.status, 200);
    assert_eq!(call(&house, "GET", "/status", &[host], "").await.status, 421);
    let login = json!({ "token": READ }).to_string();
    let reply =
        call(&house, "POST", "/session", &[host, JSON, ("Origin", "http://larder.internal:9080")], &login)
            .await;
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(call(&house, "GET", "/status", &[host, ("Cookie", &cookie)], "").await.status, 200);
    // Behind a proxy that speaks TLS.
    let tls = [("Host", "larder.example"), JSON, ("Origin", "https://larder.example")];
    let reply = call(&house, "POST", "/session", &tls, &login).await;
    assert!(reply.header("set-cookie").unwrap().ends_with("; Secure"), "{reply:?}");
}

#[tokio::test]
async fn a_session_ends_with_its_time_or_its_token() {
    let house = locked().await;
    let (reader, deploy) = (log_in(&house, READ).await, log_in(&house, DEPLOY).await);
    let other = yaml(&house.origin, "another-long-enough-secret-for-this");
    let loaded = larder::config::parse("t.yaml", &other, std::path::Path::new("."), &|_| None).unwrap();
    house.running.reload(loaded.config).unwrap();
    assert_eq!(call(&house, "GET", "/status", &[("Cookie", &reader)], "").await.status, 401);
    assert_eq!(call(&house, "GET", "/status", &[("Cookie", &deploy)], "").await.status, 200);
    house.advance(12 * 3600);
    assert_eq!(call(&house, "GET", "/status", &[("Cookie", &deploy)], "").await.status, 401);
}

/// Browsers send cookies to every port of a host: the site behind this proxy must not get hold of this one.
#[tokio::test]
async fn no_origin_sees_the_cookie() {
    let mut house = House::new("").await;
    let fields = [("Cookie", "a=1; larder_session=secret; b=2")];
    let (_, seen) = house.exchange("GET", "/x", &fields, "200 OK\nCache-Control: no-store\n\nx").await;
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    let fields = [("Cookie", "larder_session=secret")];
    let (_, seen) = house.exchange("POST", "/x", &fields, "200 OK\n\nx").await;
    assert_eq!(seen.header("cookie"), None);
}
