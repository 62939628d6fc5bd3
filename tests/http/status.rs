//! `Cache-Status`, word for word, for every row of the table in standards.md §3.

use crate::support::House;
use larder::purge::Mode;

const FRESH: &str =
    "200 OK\nETag: \"1\"\nCache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=300\n\nx";
const NOT_MODIFIED: &str = "304 Not Modified\nETag: \"1\"";

#[tokio::test]
async fn rfc9211_2_hits() {
    let mut house = House::new("").await;
    assert_eq!(house.fetched("/x", FRESH).await.cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    house.advance(24);
    assert_eq!(house.get("/x").await.cache_status(), "larder; hit; ttl=36");
    assert_eq!(house.send("HEAD", "/x", &[]).await.cache_status(), "larder; hit; ttl=36");
    assert_eq!(
        house.send("GET", "/x", &[("If-None-Match", "*")]).await.cache_status(),
        "larder; hit; ttl=36"
    );
    assert_eq!(
        house.send("GET", "/x", &[("Range", "bytes=0-0")]).await.cache_status(),
        "larder; hit; ttl=36"
    );
    house.advance(39);
    assert_eq!(house.get("/x").await.cache_status(), "larder; hit; ttl=-3; detail=stale-while-revalidate");
}

#[tokio::test]
async fn rfc9211_2_2_forwarded() {
    let mut house = House::new("").await;
    house.fetched("/x", FRESH).await;
    let (reply, _) = house.exchange("GET", "/x", &[("Cache-Control", "no-cache")], NOT_MODIFIED).await;
    assert_eq!(reply.cache_status(), "larder; fwd=request; fwd-status=304; stored; ttl=60");
    house.advance(100);
    let (reply, _) = house.exchange("GET", "/x", &[], "503 Busy\n\n").await;
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error");
    let (reply, _) = house.exchange("GET", "/x", &[], NOT_MODIFIED).await;
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=60");
    house.purge_url(Mode::Invalidate, "/x");
    let (reply, _) = house.exchange("GET", "/x", &[], NOT_MODIFIED).await;
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=60");
    house.purge_url(Mode::Hard, "/x");
    assert_eq!(house.fetched("/x", FRESH).await.cache_status(), "larder; fwd=stale; stored; ttl=60");
    for (method, answer) in
        [("POST", "200 OK\n\n"), ("PUT", "409 Conflict\n\n"), ("DELETE", "204 No Content\n\n")]
    {
        assert_eq!(house.exchange(method, "/y", &[], answer).await.0.cache_status(), "larder; fwd=method");
    }
    assert_eq!(
        house.fetched("/z", "200 OK\n\n").await.cache_status(),
        "larder; fwd=uri-miss; detail=no-lifetime"
    );
    let (reply, _) = house.exchange("HEAD", "/head", &[], "200 OK\n").await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; detail=head");
}

#[tokio::test]
async fn rfc9211_2_5_an_answer_that_was_stale_when_it_came() {
    let mut house = House::new("").await;
    let reply = house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Control: max-age=0\n\nx").await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; stored; ttl=0");
}

#[tokio::test]
async fn rfc9211_2_not_on_errors_of_our_own() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/x", &[]).await;
    drop(house.origin.next().await);
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("cache-status")), (502, None));
    let reply = house.send("GET", "/x", &[("Cache-Control", "only-if-cached")]).await;
    assert_eq!((reply.status, reply.header("cache-status")), (504, None));
}

#[tokio::test]
async fn the_name_is_the_servers() {
    let origin = crate::support::Origin::start().await;
    let yaml = format!(
        "server: {{ name: \"edge one\", listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let loaded = larder::config::parse("t.yaml", &yaml, std::path::Path::new("."), &|_| None);
    let Ok(_) = loaded else { return }; // a name with a blank is refused where names must be tokens
    let mut house = House::start(&yaml, origin).await;
    assert_eq!(house.fetched("/x", FRESH).await.cache_status(), "\"edge one\"; fwd=uri-miss; stored; ttl=60");
}
