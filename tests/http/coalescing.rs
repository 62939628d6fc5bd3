//! One fetch per key, however many ask (RFC 9111 §4, "collapsing requests"); rulings 8 and 10.

use crate::support::{Asked, Client, House, Origin, Reply, soon, until};

const CLIENTS: usize = 500;

/// That many clients ask for `path`; the first request at the origin, once all others wait for it.
async fn crowd(house: &mut House, path: &str, count: usize) -> (Vec<Client>, Asked) {
    let mut clients = vec![house.client("GET", path, &[]).await];
    let asked = house.origin.next().await;
    for _ in 1..count {
        clients.push(house.client("GET", path, &[]).await);
    }
    house.waiting(count - 1).await;
    (clients, asked)
}

async fn replies(clients: Vec<Client>) -> Vec<Reply> {
    let mut out = Vec::new();
    for client in clients {
        out.push(client.reply().await);
    }
    out
}

#[tokio::test]
async fn five_hundred_clients_cost_one_origin_request_and_read_while_it_arrives() {
    let mut house = House::new("").await;
    let (mut clients, mut asked) = crowd(&mut house, "/cold", CLIENTS).await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst").await;
    for client in &mut clients {
        client.until("first").await;
    }
    asked.write(b"+last").await;
    asked.done().await;
    let replies = replies(clients).await;
    assert!(replies.iter().all(|r| r.text() == "first+last" && !r.truncated), "{:?}", replies[1]);
    replies[0].assert_status("; fwd=uri-miss; stored; ttl=60");
    assert_eq!(replies[1].cache_status(), "larder; fwd=uri-miss; collapsed; ttl=60");
    house.quiet().await;
    house.get("/cold").await.assert_hit();
}

#[tokio::test]
async fn an_answer_that_cannot_be_shared_releases_all_who_wait_at_once() {
    let mut house = House::new("").await;
    let (clients, first) = crowd(&mut house, "/private", CLIENTS).await;
    first.answer("200 OK\nCache-Control: no-store\n\n0").await;
    // The origin answers none of them until it has seen them all.
    let mut all = Vec::new();
    for _ in 1..CLIENTS {
        all.push(house.origin.next().await);
    }
    for (i, asked) in all.into_iter().enumerate() {
        asked.answer(&format!("200 OK\nCache-Control: no-store\n\n{}", i + 1)).await;
    }
    let replies = replies(clients).await;
    let mut own: Vec<usize> = replies.iter().map(|r| r.text().parse().unwrap()).collect();
    own.sort_unstable();
    assert_eq!(own, (0..CLIENTS).collect::<Vec<_>>(), "everybody has an answer of their own");
    assert_eq!(replies[0].cache_status(), "larder; fwd=uri-miss; detail=no-store");
    assert_eq!(replies[1].cache_status(), "larder; fwd=uri-miss; collapsed=?0; detail=no-store");
}

#[tokio::test]
async fn a_key_that_could_not_be_shared_is_not_waited_for_until_its_origin_changes_its_mind() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: no-store\n\nown").await;
    let (a, b) = (house.client("GET", "/x", &[]).await, house.client("GET", "/x", &[]).await);
    let (first, second) = (house.origin.next().await, house.origin.next().await);
    first.answer("200 OK\nCache-Control: max-age=60\n\nshared").await;
    second.answer("200 OK\nCache-Control: max-age=60\n\nshared").await;
    assert_eq!((a.reply().await.text(), b.reply().await.text()), ("shared".into(), "shared".into()));
    house.get("/x").await.assert_hit();
    // From now on it is a key like any other: two clients, one request.
    house.advance(61);
    let (clients, asked) = crowd(&mut house, "/x", 2).await;
    asked.answer("200 OK\nCache-Control: max-age=60\n\nagain").await;
    assert!(replies(clients).await.iter().all(|r| r.text() == "again"));
    house.quiet().await;
}

#[tokio::test]
async fn what_is_meant_for_one_client_never_reaches_one_that_waited() {
    for private in ["Set-Cookie: id=1\nCache-Control: max-age=60", "Cache-Control: private, max-age=60"] {
        let mut house = House::new("").await;
        let (clients, first) = crowd(&mut house, "/me", 2).await;
        first.answer(&format!("200 OK\n{private}\n\nfor one")).await;
        house.origin.next().await.answer("200 OK\nCache-Control: no-store\n\nfor two").await;
        let replies = replies(clients).await;
        assert_eq!(replies[0].text(), "for one");
        assert_eq!(replies[1].text(), "for two", "{private}");
        assert_eq!(replies[1].header("set-cookie"), None);
    }
}

#[tokio::test]
async fn rfc9111_5_2_2_7_a_field_that_is_private_reaches_only_the_client_that_asked() {
    let mut house = House::new("").await;
    let (clients, first) = crowd(&mut house, "/page", 2).await;
    let answer = "200 OK\nSet-Cookie: id=1\nX-User: jo\nCache-Control: max-age=60, private=\"Set-Cookie, X-User\"\n\npage";
    first.answer(answer).await;
    let replies = replies(clients).await;
    assert_eq!(replies[0].header("set-cookie"), Some("id=1"));
    assert_eq!(replies[0].header("x-user"), Some("jo"));
    let later = house.get("/page").await;
    later.assert_hit();
    for reply in [&replies[1], &later] {
        assert_eq!((reply.header("set-cookie"), reply.header("x-user")), (None, None));
        assert_eq!(reply.text(), "page");
    }
    house.quiet().await;
}

#[tokio::test]
async fn variants_do_not_wait_for_each_others_bodies() {
    let mut house = House::new("").await;
    let english = house.client("GET", "/v", &[("Accept-Language", "en")]).await;
    let mut first = house.origin.next().await;
    let german = house.client("GET", "/v", &[("Accept-Language", "de")]).await;
    let also = house.client("GET", "/v", &[("Accept-Language", "de")]).await;
    house.waiting(2).await;
    let head =
        "HTTP/1.1 200 OK\r\nVary: Accept-Language\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\n";
    first.write(head.as_bytes()).await;
    // The English body is still to come when the origin is asked for the German one, once.
    let second = house.origin.next().await;
    assert_eq!(second.header("accept-language"), Some("de"));
    second.answer("200 OK\nVary: Accept-Language\nCache-Control: max-age=60\n\nHallo").await;
    assert_eq!(german.reply().await.text(), "Hallo");
    assert_eq!(also.reply().await.text(), "Hallo");
    first.write(b"Hello").await;
    first.done().await;
    assert_eq!(english.reply().await.text(), "Hello");
    house.quiet().await;
}

#[tokio::test]
async fn variants_of_a_known_resource_are_fetched_side_by_side() {
    let mut house = House::new("").await;
    let answer = |text: &str| format!("200 OK\nVary: X-Kind\nCache-Control: max-age=60\n\n{text}");
    house.exchange("GET", "/v", &[("X-Kind", "a")], &answer("a")).await;
    let b = house.client("GET", "/v", &[("X-Kind", "b")]).await;
    let c = house.client("GET", "/v", &[("X-Kind", "c")]).await;
    let (one, two) = (house.origin.next().await, house.origin.next().await);
    for asked in [one, two] {
        let kind = asked.header("x-kind").unwrap().to_owned();
        asked.answer(&answer(&kind)).await;
    }
    assert_eq!((b.reply().await.text(), c.reply().await.text()), ("b".into(), "c".into()));
    house.send("GET", "/v", &[("X-Kind", "a")]).await.assert_hit();
}

#[tokio::test]
async fn rfc9111_3_5_an_authorised_leader_shares_only_what_may_be_shared() {
    let bearer = &[("Authorization", "Bearer x")][..];
    for (control, shared) in [("max-age=60", false), ("public, max-age=60", true), ("s-maxage=60", true)] {
        let mut house = House::new("").await;
        let leader = house.client("GET", "/a", bearer).await;
        let first = house.origin.next().await;
        let waiter = house.client("GET", "/a", bearer).await;
        house.waiting(1).await;
        first.answer(&format!("200 OK\nCache-Control: {control}\n\nleader")).await;
        if !shared {
            let second = house.origin.next().await;
            assert_eq!(second.header("authorization"), Some("Bearer x"));
            second.answer("200 OK\nCache-Control: no-store\n\nwaiter").await;
        }
        assert_eq!(leader.reply().await.text(), "leader");
        assert_eq!(waiter.reply().await.text(), if shared { "leader" } else { "waiter" }, "{control}");
        house.quiet().await;
    }
}

#[tokio::test]
async fn a_waiter_with_authorization_gets_what_is_public() {
    let mut house = House::new("").await;
    let leader = house.client("GET", "/a", &[]).await;
    let first = house.origin.next().await;
    let waiter = house.client("GET", "/a", &[("Authorization", "Bearer x")]).await;
    house.waiting(1).await;
    first.answer("200 OK\nCache-Control: max-age=60\n\nall").await;
    assert_eq!((leader.reply().await.text(), waiter.reply().await.text()), ("all".into(), "all".into()));
    house.quiet().await;
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\nli";

/// The origin sends the other half; then all of it is stored.
async fn goes_on_to_the_end(house: &House, mut asked: Asked) {
    asked.write(b"ving").await;
    asked.done().await;
    house.settled().await;
    let later = house.get("/x").await;
    later.assert_hit();
    assert_eq!(later.text(), "living");
}

#[tokio::test]
async fn a_fetch_outlives_the_client_that_started_it() {
    let mut house = House::new("").await;
    let leader = house.client("GET", "/x", &[]).await;
    let mut asked = house.origin.next().await;
    let waiter = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    drop(leader);
    asked.write(HALF).await;
    drop(waiter);
    goes_on_to_the_end(&house, asked).await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_the_body_stops_nothing() {
    let mut house = House::new("").await;
    let (mut clients, mut asked) = crowd(&mut house, "/x", 3).await;
    asked.write(HALF).await;
    for client in &mut clients {
        client.until("li").await;
    }
    drop(clients.remove(0));
    drop(clients.remove(0));
    asked.write(b"ving").await;
    asked.done().await;
    assert_eq!(clients.remove(0).reply().await.text(), "living");
    house.get("/x").await.assert_hit();
}

/// What could not be stored before is fetched by each request for itself, without a task. When it can be stored after all, that
/// goes on without the client.
#[tokio::test]
async fn what_can_be_stored_after_all_is_stored_though_its_client_leaves() {
    let mut house = House::new("").await;
    for _ in 0..2 {
        house.fetched("/x", "200 OK\nCache-Control: no-store\n\nx").await;
    }
    let mut client = house.client("GET", "/x", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(HALF).await;
    client.until("li").await;
    drop(client);
    goes_on_to_the_end(&house, asked).await;
}

#[tokio::test]
async fn who_waits_alone_for_what_nobody_may_share_ends_the_fetch_by_leaving() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: no-store\n\nx").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    drop(client);
    until("the end of the fetch", || house.running.engine().flights.is_idle()).await;
    drop(asked);
    assert_eq!(house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\ny").await.text(), "y");
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn who_has_waited_long_enough_goes_alone() {
    let mut house = House::new("coalesce: { wait: 50ms }").await;
    let leader = house.client("GET", "/slow", &[]).await;
    let first = house.origin.next().await;
    let waiter = house.client("GET", "/slow", &[]).await;
    let second = house.origin.next().await;
    second.answer("200 OK\nCache-Control: max-age=60\n\nown").await;
    let reply = waiter.reply().await;
    assert_eq!(reply.text(), "own");
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; stored; collapsed=?0; ttl=60");
    first.answer("200 OK\nCache-Control: max-age=60\n\nlate").await;
    assert_eq!(leader.reply().await.text(), "late");
}

#[tokio::test]
async fn with_coalesce_off_nobody_waits() {
    let mut house = House::new("coalesce: off").await;
    let clients = [house.client("GET", "/x", &[]).await, house.client("GET", "/x", &[]).await];
    let both = [house.origin.next().await, house.origin.next().await];
    for asked in both {
        asked.answer("200 OK\nCache-Control: max-age=60\n\nx").await;
    }
    for client in clients {
        assert_eq!(client.reply().await.cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    }
}

#[tokio::test]
async fn a_failed_fetch_is_everybodys_failure() {
    // An origin that says nothing says nothing to anybody. What the leader's own fields may have caused is another matter:
    // `review_engine`.
    let origin = Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: off }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"], retries: 0, first_byte_timeout: 2s }} }}\n\
         rules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let mut house = House::start(&yaml, origin).await;
    let (clients, asked) = crowd(&mut house, "/broken", 20).await;
    let replies = replies(clients).await;
    assert!(
        replies.iter().all(|r| r.status == 504),
        "{:?}",
        replies.iter().map(|r| r.status).collect::<Vec<_>>()
    );
    drop(asked);
    house.quiet().await;
    // And nobody remembers it: the next request is a fetch of its own.
    assert_eq!(
        house.fetched("/broken", "200 OK\nCache-Control: max-age=60\n\nmended").await.text(),
        "mended"
    );
}

#[tokio::test]
async fn after_a_reset_that_the_leader_may_have_caused_another_leads() {
    let mut house = House::new("").await;
    let (clients, asked) = crowd(&mut house, "/x", 20).await;
    asked.break_off().await;
    house.origin.next().await.answer("200 OK\nCache-Control: max-age=60\n\nx").await;
    let replies = replies(clients).await;
    assert_eq!(replies.iter().filter(|r| r.status == 502).count(), 1, "the leader");
    assert_eq!(replies.iter().filter(|r| r.text() == "x").count(), 19);
    house.quiet().await;
}

#[tokio::test]
async fn rfc9112_8_a_body_that_breaks_off_is_cut_short_for_all_and_kept_by_none() {
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut house = House::new("").await;
        let (mut clients, mut asked) = crowd(&mut house, "/half", 5).await;
        asked.write(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{framing}").as_bytes()).await;
        for client in &mut clients {
            client.until("half").await;
        }
        drop(asked);
        for reply in replies(clients).await {
            assert!(reply.truncated, "{reply:?}");
            assert_eq!(reply.text(), "half");
        }
        house.settled().await;
        assert_eq!(house.fetched("/half", "200 OK\n\nwhole").await.text(), "whole");
    }
}

#[tokio::test]
async fn one_error_does_not_make_everybody_go_alone() {
    // A 503 can't be shared, but it says nothing of the next answer: a failing origin must not lose its shelter.
    let mut house = House::new("").await;
    assert_eq!(house.fetched("/x", "503 Service Unavailable\n\nbusy").await.status, 503);
    let (clients, asked) = crowd(&mut house, "/x", 10).await;
    asked.answer("200 OK\nCache-Control: max-age=60\n\nback").await;
    assert!(replies(clients).await.iter().all(|r| r.text() == "back"));
    house.quiet().await;
}

#[tokio::test]
async fn rfc9111_5_2_1_5_a_clients_no_store_is_its_own_affair() {
    let mut house = House::new("").await;
    // It neither leads others, nor keeps them from sharing later.
    let alone = house.client("GET", "/x", &[("Cache-Control", "no-store")]).await;
    let first = house.origin.next().await;
    let (clients, second) = crowd(&mut house, "/x", 5).await;
    first.answer("200 OK\nCache-Control: max-age=60\n\nalone").await;
    assert_eq!(alone.reply().await.cache_status(), "larder; fwd=uri-miss; detail=request-no-store");
    second.answer("200 OK\nCache-Control: max-age=60\n\nshared").await;
    assert!(replies(clients).await.iter().all(|r| r.text() == "shared"));
    house.quiet().await;
}

#[tokio::test]
async fn heads_are_sent_on_and_served_from_what_get_brought() {
    let mut house = House::new("").await;
    let (head, seen) =
        house.exchange("HEAD", "/h", &[], "200 OK\nContent-Length: 4\nCache-Control: max-age=60").await;
    assert_eq!((seen.method.as_str(), head.status, head.body.len()), ("HEAD", 200, 0));
    assert_eq!(head.header("content-length"), Some("4"));
    // A HEAD's answer is none to GET (RFC 9110 §9.3.2).
    house.fetched("/h", "200 OK\nCache-Control: max-age=60\n\nbody").await;
    let head = house.send("HEAD", "/h", &[]).await;
    head.assert_hit();
    assert_eq!((head.header("content-length"), head.body.len()), (Some("4"), 0));
    house.quiet().await;
}

/// Threads, real concurrency, an origin that answers at once: however requests and the end of a fetch meet, a
/// key that can be stored is fetched once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_meets_the_end_of_a_fetch_does_not_fetch_again() {
    const KEYS: usize = 60;
    let mut house = House::new("").await;
    let to = house.address();
    let clients: Vec<_> = (0..KEYS * 25)
        .map(|i| {
            tokio::spawn(async move {
                let path = format!("/k{}", i / 25);
                Client::send(to, "GET", &path, &[]).await.reply().await
            })
        })
        .collect();
    let mut fetched = 0;
    let all = async {
        for client in clients {
            assert_eq!(client.await.unwrap().text(), "x");
        }
    };
    tokio::pin!(all);
    soon("all clients", async {
        loop {
            tokio::select! {
                () = &mut all => break,
                asked = house.origin.next() => {
                    fetched += 1;
                    asked.answer("200 OK\nCache-Control: max-age=60\n\nx").await;
                }
            }
        }
    })
    .await;
    assert_eq!(fetched, KEYS);
}

#[tokio::test]
async fn a_request_with_authorization_does_not_spoil_coalescing_for_the_others() {
    let mut house = House::new("").await;
    let junk = house.client("GET", "/x", &[("Authorization", "Basic eA==")]).await;
    let asked = house.origin.next().await;
    // Another client, without it, does not wait for that answer.
    let plain = house.client("GET", "/x", &[]).await;
    let second = house.origin.next().await;
    asked.answer("200 OK\nCache-Control: max-age=60\n\nfor one").await;
    assert_eq!(junk.reply().await.text(), "for one");
    // And what it left behind keeps nobody else apart.
    let third = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    second.answer("200 OK\nCache-Control: max-age=60\n\nfor all").await;
    assert_eq!(plain.reply().await.text(), "for all");
    let reply = third.reply().await;
    assert_eq!(reply.text(), "for all");
    reply.assert_status("collapsed");
}

#[tokio::test]
async fn rfc9111_4_3_2_conditions_and_ranges_are_forwarded_for_what_is_known_to_be_unstorable() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Control: private\n\nmine").await;
    let (reply, seen) =
        house.exchange("GET", "/x", &[("If-None-Match", "\"1\"")], "304 Not Modified\nETag: \"1\"").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!(reply.status, 304);
    let part = "206 Partial Content\nCache-Control: private\nContent-Range: bytes 1-2/4\n\nin";
    let (reply, seen) = house.exchange("GET", "/x", &[("Range", "bytes=1-2")], part).await;
    assert_eq!((seen.header("range"), reply.status, reply.text().as_str()), (Some("bytes=1-2"), 206, "in"));
}
