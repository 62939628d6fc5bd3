//! A store that forgets, loses and lies.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_store_that_comes_back_empty_costs_what_is_stored() {
    for store in stores() {
        let mut server = Server::start(&store);
        let nodes = three(&server).await;
        nodes[0].everywhere(nodes[0].purge("before")).await;
        let born = nodes.each_ref().map(|node| node.purges.cursor());
        server.kill();
        server.start_again();
        eventually("forks are noticed", || nodes.iter().all(|node| node.events("fork") > 0)).await;
        settled(&nodes).await;
        for (node, born) in nodes.iter().zip(born) {
            assert_eq!(node.verdict(born, "whatever"), Verdict::Hard);
            assert_eq!(node.verdict(node.purges.cursor(), "whatever"), Verdict::Clean);
        }
        // The purge from before was appended again.
        let late = TestNode::start(server.port, "late").await;
        eventually("heard again", || late.heard("before")).await;
        nodes[1].everywhere(nodes[1].purge("after")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_flushall_is_a_fork() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes.each_ref().map(|node| node.purges.cursor());
        server.ask(&["FLUSHALL"]).await;
        eventually("forks are noticed", || nodes.iter().all(|node| node.events("fork") > 0)).await;
        settled(&nodes).await;
        for (node, born) in nodes.iter().zip(born) {
            assert_eq!(node.verdict(born, "whatever"), Verdict::Hard);
        }
        let reach = nodes[2].everywhere(nodes[2].purge("t")).await;
        assert_eq!((reach.applied, reach.total), (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_log_that_is_trimmed_to_nothing_under_a_node_is_missed() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes[2].purges.cursor();
        nodes[2].gate.shut();
        eventually("the others see it fall silent", || !nodes[2].state().synced).await;
        nodes[0].everywhere(nodes[0].purge("t")).await;
        server.ask(&["XTRIM", "{larder:purge}:log", "MAXLEN", "0"]).await;
        nodes[2].gate.open();
        eventually("the gap is noticed", || nodes[2].events("trimmed") > 0).await;
        assert_eq!(nodes[2].verdict(born, "t"), Verdict::Hard);
        settled(&nodes).await;
        // Nothing was lost to those who had read it.
        assert_eq!(nodes[0].events("trimmed") + nodes[0].events("gap"), 0);
        nodes[2].everywhere(nodes[2].purge("u")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_what_nobody_can_read_is_a_gap() {
    for store in stores() {
        let server = Server::start(&store);
        let nodes = three(&server).await;
        let born = nodes[0].purges.cursor();
        server.ask(&["XADD", "{larder:purge}:log", "*", "what", "ever"]).await;
        eventually("unreadable", || nodes.iter().all(|node| node.events("unreadable") > 0)).await;
        assert_eq!(nodes[0].verdict(born, "t"), Verdict::Hard);
        settled(&nodes).await;
        // With a lower half that no node gives.
        server
            .ask(&["XADD", "{larder:purge}:log", "4000000000000-99999999", "prev", "rubbish", "r", "{}"])
            .await;
        eventually("unreadable", || nodes.iter().all(|node| node.events("unreadable") > 1)).await;
        // Later ids stand after it, whatever the clock says.
        let reach = nodes[0].everywhere(nodes[0].purge("t")).await;
        assert!(reach.id.unwrap().ms() > 4_000_000_000_000);
        settled(&nodes).await;
    }
}

/// The store holds something else under our name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_none_unsyncs_and_heals() {
    for store in stores() {
        let server = Server::start(&store);
        let node = TestNode::start(server.port, "a").await;
        node.synced().await;
        server.ask(&["SET", "{larder:purge}:log", "x"]).await;
        eventually("unsynced", || !node.state().synced).await;
        let at = node.purge("t");
        server.ask(&["DEL", "{larder:purge}:log"]).await;
        node.everywhere(at).await;
        node.synced().await;
    }
}

/// Recovery is a few round trips, however many purges go out again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_recent_purges_are_back_in_a_few_steps_after_a_fork() {
    for store in stores() {
        let server = Server::start(&store);
        let node = TestNode::start(server.port, "a").await;
        node.synced().await;
        let mut last = At::Pending(0);
        for n in 0..1_000 {
            last = node.purge(&format!("t{n}"));
        }
        node.everywhere(last).await;
        let length = async || match server.ask(&["XLEN", "{larder:purge}:log"]).await {
            redis::Value::Int(length) => length,
            other => panic!("{other:?}"),
        };
        assert!(length().await > 1_000);
        let clock = Clock::system();
        server.ask(&["DEL", "{larder:purge}:log"]).await;
        let began = clock.elapsed();
        eventually("the fork is noticed", || node.events("fork") > 0).await;
        let noticed = clock.elapsed();
        eventually("recovered", || {
            let state = node.state();
            state.waiting == 0 && state.synced && node.events("barrier") > 1
        })
        .await;
        eprintln!(
            "{}: noticed after {:?}, a thousand purges back {:?} later",
            store.display(),
            noticed - began,
            clock.elapsed() - noticed
        );
        // The purges and the barrier; no record twice.
        assert_eq!(length().await, 1_001);
        let late = TestNode::start(server.port, "late").await;
        eventually("all are there", || late.heard.lock().unwrap().len() == 1_000).await;
    }
}
