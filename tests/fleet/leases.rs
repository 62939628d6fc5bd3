//! One fetch for a whole fleet, and what happens when the one that fetches doesn't deliver.

use crate::support::*;

/// Waits until a node has a request for a cold page on its way.
async fn fetching(node: &Caller) {
    eventually("a request on its way", PATIENCE, async || node.metric("larder_inflight", &[]).await >= 1.0)
        .await;
}

scenario! {
    async fn one_cold_key_300_clients_on_three_nodes_cost_one_origin_request(engine: Engine) {
        let fleet = Fleet::plan().nodes(3).start(&engine).await;
        fleet.origin.hold("/cold");
        let [one, two, three] = &fleet.nodes[..] else { unreachable!() };
        let crowds = async {
            tokio::join!(one.crowd(100, "/cold"), two.crowd(100, "/cold"), three.crowd(100, "/cold"))
        };
        let gate = async {
            for node in &fleet.nodes {
                eventually("100 clients", PATIENCE, async || {
                    node.metric("larder_connections", &[]).await >= 100.0
                })
                .await;
                fetching(node).await;
            }
            fleet.origin.release("/cold");
        };
        let ((a, b, c), ()) = tokio::join!(crowds, gate);
        let answers: Vec<Answer> = [a, b, c].concat();
        assert_eq!(answers.len(), 300);
        assert!(answers.iter().all(|answer| answer.version() == 1));
        assert_eq!(fleet.origin.hits("/cold"), 1);
    }
}

scenario! {
    async fn the_holder_is_killed_and_the_others_go_on_within_the_leases_wait(engine: Engine) {
        let mut fleet = Fleet::plan().nodes(3).shared("lease", "10s").start(&engine).await;
        fleet.origin.hold("/cold");
        let holder = fleet.nodes[0].clone();
        let doomed = tokio::spawn(async move { holder.try_get("/cold").await });
        fleet.origin.asked("/cold", 1).await;
        // Who asks from now on is answered at once; the holder's request stays where it is.
        let _held = fleet.origin.answer_newcomers("/cold");
        let (first, others) = fleet.nodes.split_at_mut(1);
        let killed = async {
            fetching(&others[0]).await;
            fetching(&others[1]).await;
            assert_eq!(fleet.origin.hits("/cold"), 1, "the others wait for the holder");
            first[0].kill();
            now()
        };
        let (a, b, killed) = tokio::join!(others[0].crowd(30, "/cold"), others[1].crowd(30, "/cold"), killed);
        let answers = [a, b].concat();
        assert!(answers.iter().all(|answer| answer.version() == 1));
        let last = answers.iter().map(|answer| answer.began + answer.took).max().unwrap();
        let waited = last.saturating_sub(killed);
        eprintln!("after the holder's death the others had their answers in {waited:?} (lease: 10 s)");
        assert!(waited < ms(5000), "{waited:?}");
        assert_eq!(fleet.origin.hits("/cold"), 2, "one of them took over");
        assert!(doomed.await.unwrap().is_err());
    }
}

scenario! {
    async fn a_holder_that_never_delivers_is_waited_for_as_long_as_the_lease(engine: Engine) {
        let fleet = Fleet::plan().shared("lease", "1s").start(&engine).await;
        fleet.origin.hold("/cold");
        let holder = fleet.nodes[0].clone();
        let slow = tokio::spawn(async move { holder.get("/cold").await });
        fleet.origin.asked("/cold", 1).await;
        let held = fleet.origin.answer_newcomers("/cold");
        let answer = fleet.nodes[1].get("/cold").await;
        assert_eq!(answer.version(), 1);
        assert!(answer.took >= ms(500) && answer.took < ms(5000), "{:?}", answer.took);
        assert_eq!(fleet.origin.hits("/cold"), 2);
        held.unwrap().send_replace(false);
        assert_eq!(slow.await.unwrap().version(), 1);
    }
}

scenario! {
    async fn nobody_queues_for_what_cannot_be_shared(engine: Engine) {
        let fleet = Fleet::plan().nodes(3).start(&engine).await;
        fleet.origin.page("/private", |page| {
            page.cache_control = "no-store".into();
            page.delay = ms(200);
        });
        let [one, two, three] = &fleet.nodes[..] else { unreachable!() };
        for round in ["first", "again"] {
            let (a, b, c) = tokio::join!(
                one.crowd(10, "/private"),
                two.crowd(10, "/private"),
                three.crowd(10, "/private")
            );
            let slowest = [a, b, c].concat().iter().map(|answer| answer.took).max().unwrap();
            eprintln!("{round}: 30 answers that can't be shared, of 200 ms each, in {slowest:?}");
            // One after the other they would take six seconds.
            assert!(slowest < ms(4500), "{round}: {slowest:?}");
        }
    }
}

scenario! {
    async fn a_lease_ends_with_its_fetch(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        fleet.share("/a").await;
        eventually("no lease left", PATIENCE, async || {
            !fleet.server().keys().await.iter().any(|key| key.contains(":v1:") && key.contains("}:l"))
        })
        .await;
    }
}

scenario! {
    async fn a_refresh_that_is_left_to_another_node_is_nobodys_failure(engine: Engine) {
        // The lease outlasts the patience of those who wait (10 s).
        let fleet = Fleet::plan().shared("lease", "30s").start(&engine).await;
        let [one, two] = &fleet.nodes[..] else { unreachable!() };
        fleet.origin.page("/page", |page| page.cache_control = "max-age=1, stale-while-revalidate=60".into());
        fleet.share("/page").await;
        two.get("/page").await.assert_hit();
        for node in [one, two] {
            eventually("the page to be stale", PATIENCE, async || {
                let listed = node.admin("/entries?prefix=site.example/page").await.json();
                listed["entries"][0]["ttl_s"].as_i64().is_some_and(|ttl| ttl < 0)
            })
            .await;
        }
        fleet.origin.hold("/page");
        one.get("/page").await; // stale; it refreshes, for both
        fleet.origin.asked("/page", 2).await;
        let held = fleet.origin.answer_newcomers("/page");
        fleet.origin.bump("/page");
        two.get("/page").await; // stale; it waits for the other one's refresh
        fetching(two).await;
        let new = two.send_with("GET", "/page", &[("cache-control", "no-cache")]).await;
        assert_eq!(new.version(), 2, "{:?}", new.headers);
        assert_eq!(new.header("proxy-status"), "");
        held.unwrap().send_replace(false);
    }
}
