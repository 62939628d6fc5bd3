//! Masters with replicas, and those that lose them.

use super::*;

async fn replica_of(store: &std::ffi::OsString, master: &Server) -> Server {
    let replica = Server::start(store);
    replica.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]).await;
    let linked = async {
        loop {
            let redis::Value::BulkString(info) = replica.ask(&["INFO", "replication"]).await else {
                panic!()
            };
            if String::from_utf8(info).unwrap().contains("master_link_status:up") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(AMPLE, linked).await.expect("no replication");
    replica
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rulings_18_a_master_with_a_replica_is_proven_by_its_acknowledgements() {
    for store in stores() {
        let master = Server::start(&store);
        let replica = replica_of(&store, &master).await;
        let nodes = three(&master).await;
        let reach = nodes[0].everywhere(nodes[0].purge("t")).await;
        assert_eq!((reach.applied, reach.total), (3, 3));
        assert!(nodes[0].transport.lock().proof.is_wanted());
        // The replica hangs: the master answers on, and proves nothing.
        replica.signal(rustix::process::Signal::STOP);
        eventually("unsynced", || nodes.iter().all(|node| !node.state().synced)).await;
        let at = nodes[0].purge("u");
        let reach = nodes[0].transport.reach(at, Duration::from_millis(500)).await;
        assert_eq!(reach.missing, ["fleet unreachable"]);
        replica.signal(rustix::process::Signal::CONT);
        nodes[0].everywhere(at).await;
        settled(&nodes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_left_by_its_replica_proves_nothing_and_the_new_one_does() {
    for store in stores() {
        let old = Server::start(&store);
        let new = replica_of(&store, &old).await;
        let nodes = three(&old).await;
        nodes[0].everywhere(nodes[0].purge("t")).await;
        // Promoted, and nobody tells the old one. One node goes with the new.
        new.ask(&["REPLICAOF", "NO", "ONE"]).await;
        nodes[0].gate.point_at(new.port);
        nodes[0].gate.shut();
        nodes[0].gate.open();
        eventually("those who stay are unsynced", || !nodes[1].state().synced && !nodes[2].state().synced)
            .await;
        nodes[0].synced().await;
        let born = nodes[1].purges.cursor();
        let at = nodes[0].purge("u");
        // Nobody else is there any more.
        assert_eq!(nodes[0].everywhere(at).await.total, 1);
        assert_eq!(nodes[1].verdict(born, "u"), Verdict::Clean);
        for node in &nodes[1..] {
            node.gate.point_at(new.port);
            node.gate.shut();
            node.gate.open();
        }
        eventually("it reaches them", || nodes[1].verdict(born, "u") == Verdict::Hard).await;
        settled(&nodes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_not_asked() {
    for store in stores() {
        let master = Server::start(&store);
        let replica = replica_of(&store, &master).await;
        let node = TestNode::start(replica.port, "a").await;
        eventually("refused", || matches!(node.transport.lock().link, Link::Lost(CallError::NotNow))).await;
        assert_eq!(node.state().position, None);
        assert!(!node.state().synced);
    }
}
