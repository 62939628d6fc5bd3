//! A fleet whose store is well.

use super::*;
use redis::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_reaches_every_node_and_its_receipt_says_when() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes.each_ref().map(|node| node.purges.cursor());
        let at = nodes[0].purge("t");
        assert_eq!(nodes[0].verdict(born[0], "t"), Verdict::Hard, "at once where it was made");
        let reach = nodes[0].everywhere(at).await;
        assert_eq!((reach.applied, reach.total), (3, 3));
        for (node, born) in nodes.iter().zip(born) {
            assert_eq!(node.verdict(born, "t"), Verdict::Hard);
            assert_eq!(node.verdict(born, "other"), Verdict::Clean);
            assert_eq!(node.verdict(node.purges.cursor(), "t"), Verdict::Clean);
        }
        assert!(!nodes[0].heard("t"), "its own");
        eventually("others hear of it", || nodes[1].heard("t") && nodes[2].heard("t")).await;
        // Asked for by its id.
        let id = reach.id.unwrap();
        assert_eq!(nodes[1].everywhere(At::Logged(id)).await.id, Some(id));
        assert!(nodes[0].transport.logged(at, Duration::ZERO).await.is_logged());
        assert!(nodes[0].transport.store_now().unwrap() >= id.ms());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_by_unsafe_methods_reach_the_others() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes[2].purges.cursor();
        let url = Selector::url("http://e/x").unwrap();
        let Written::Applied(applied) = nodes[0].transport.write(vec![(url, None)], Wall(0)) else {
            panic!()
        };
        nodes[0].everywhere(applied.at).await;
        assert_eq!(nodes[2].verdict(born, "t"), Verdict::MustValidate);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_selectors_are_one_purge() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes[1].purges.cursor();
        let selectors =
            (0..10_000).map(|n| Selector::tag(&format!("product-{n}-{}", "x".repeat(80)))).collect();
        let at = nodes[0].transport.submit(Purge::new(Mode::Hard, selectors), Wall(0)).at;
        nodes[0].everywhere(at).await;
        let name = |n: u32| format!("product-{n}-{}", "x".repeat(80));
        assert_eq!(nodes[1].verdict(born, &name(9_999)), Verdict::Hard);
        assert_eq!(nodes[1].verdict(born, &name(10_000)), Verdict::Clean);
    }
}

/// More than one answer holds, by number and by bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_late_reads_the_log_in_portions() {
    for store in stores() {
        let server = Server::start(&store);
        let first = TestNode::start(server.port, "first").await;
        first.synced().await;
        let mut last = At::Pending(0);
        for n in 0..600 {
            last = first.purge(&format!("t{n}"));
        }
        for n in 0..6 {
            let long =
                (0..1000).map(|k| Selector::tag(&format!("long-{n}-{k}-{}", "x".repeat(1000)))).collect();
            last = first.transport.submit(Purge::new(Mode::Hard, long), Wall(0)).at;
        }
        first.everywhere(last).await;
        let late = TestNode::start(server.port, "late").await;
        late.synced().await;
        eventually("caught up", || late.state().position == first.state().position).await;
        eventually("heard of all", || late.heard.lock().unwrap().len() >= 606).await;
        assert_eq!(late.verdict(Born::default(), "t599"), Verdict::Hard);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rulings_17_who_signs_off_is_not_waited_for_and_who_is_cut_off_is_for_a_while() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        nodes[2].transport.sign_off().await;
        eventually("two are left", || nodes[0].state().nodes.len() == 2).await;
        let reach = nodes[0].everywhere(nodes[0].purge("t")).await;
        assert_eq!((reach.applied, reach.total), (2, 2));

        nodes[1].gate.shut();
        let at = nodes[0].purge("u");
        let reach = nodes[0].transport.reach(at, Duration::from_millis(300)).await;
        assert!(reach.is_logged() && !reach.is_everywhere());
        assert_eq!((reach.applied, reach.total, reach.missing), (1, 2, vec!["b".to_owned()]));
        // Until it asks the origin for everything.
        let reach = nodes[0].everywhere(at).await;
        assert_eq!((reach.applied, reach.total), (1, 1));
        assert!(!nodes[1].state().synced);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_made_while_the_store_is_away_waits_for_it() {
    for store in stores() {
        let mut server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes.each_ref().map(|node| node.purges.cursor());
        server.kill();
        let at = nodes[0].purge("t");
        assert_eq!(nodes[0].verdict(born[0], "t"), Verdict::Hard);
        assert_eq!(nodes[1].verdict(born[1], "t"), Verdict::Clean);
        eventually("the loss is noticed", || matches!(nodes[0].transport.lock().link, Link::Lost(_))).await;
        let reach = nodes[0].transport.reach(at, Duration::from_millis(100)).await;
        assert_eq!((reach.id, reach.missing), (None, vec!["fleet unreachable".to_owned()]));
        eventually("unsynced", || nodes.iter().all(|node| !node.state().synced)).await;
        server.start_again();
        nodes[0].everywhere(at).await;
        // A node that comes back later than it counts asks the origin until it has heard of it.
        settled(&nodes).await;
        for (node, born) in nodes.iter().zip(born) {
            assert_eq!(node.verdict(born, "t"), Verdict::Hard);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_takes_purges_and_beats() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await, Value::Okay);
        assert_eq!(server.try_to_ask(&["SET", "x", "y"]).await, Err(CallError::Full));
        let reach = nodes[0].everywhere(nodes[0].purge("t")).await;
        assert_eq!((reach.applied, reach.total), (3, 3));
    }
}

/// The store answers, and takes no records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_says_when_only_the_log_is_late() {
    for store in stores() {
        let server = Server::start(&store);
        let node = TestNode::start(server.port, "a").await;
        node.synced().await;
        settled(std::slice::from_ref(&node)).await;
        assert_eq!(server.ask(&["ACL", "SETUSER", "default", "-xadd"]).await, Value::Okay);
        let at = node.purge("t");
        let reach = node.transport.reach(at, Duration::from_millis(300)).await;
        assert_eq!((reach.id, reach.missing), (None, vec!["purge log".to_owned()]));
        assert_eq!(server.ask(&["ACL", "SETUSER", "default", "+xadd"]).await, Value::Okay);
        node.everywhere(at).await;
    }
}
