//! Another server becomes the master: one that lagged, one that a sentinel chose, one beside a master that does not know yet.

use crate::support::server::sentinel;
use crate::support::*;

/// A master, a replica that has caught up, and the network between them.
async fn pair(engine: &Engine) -> (Server, Server, FaultProxy) {
    let (master, replica) = (Server::start(engine).await, Server::start(engine).await);
    let between = FaultProxy::before(master.address()).await;
    replica.follow(between.address).await;
    (master, replica, between)
}

/// Waits until the replica has everything that the master has.
async fn caught_up(master: &Server, replica: &Server) {
    eventually("a replica that has caught up", PATIENCE, async || {
        let (ours, theirs) =
            (master.info("master_repl_offset").await, replica.info("slave_repl_offset").await);
        ours.is_some() && ours == theirs
    })
    .await;
}

scenario! {
    async fn failed_over_to_a_replica_that_lagged(engine: Engine) {
        let (master, replica, between) = pair(&engine).await;
        let mut fleet = Fleet::plan().shared("timeout", "200ms").shared("max_unsynced", "3s").before(master).await;
        for path in ["/a", "/b"] {
            fleet.share(path).await;
            fleet.nodes[1].get(path).await.assert_hit();
        }
        caught_up(fleet.server(), &replica).await;
        between.set(Fault::BlackHole(Way::Both));
        // The replica has the old value of /a, and never hears of its purge.
        let version = fleet.origin.bump("/a");
        fleet.nodes[0].purge_page("/a", "fleet").await.assert_everywhere(2);
        for node in &fleet.nodes {
            assert_eq!(node.get("/a").await.version(), version);
        }
        fleet.server_mut().kill();
        replica.promote().await;
        let began = now();
        for node in &fleet.nodes {
            node.proxy().retarget(replica.address());
        }
        while now() - began < ms(500) {
            for node in &fleet.nodes {
                assert_eq!(node.get("/a").await.version(), version, "{}", node.name);
                assert_eq!(node.get("/b").await.version(), 1);
            }
        }
        fleet.server = Some(replica);
        fleet.assembled().await;
        eprintln!("well again {:?} after the fail-over", now() - began);
        // Who comes now finds the old value in the store, and the purge in the log.
        let new = fleet.join().await;
        assert_eq!(fleet.nodes[new].get("/a").await.version(), version);
        fleet.share("/c").await;
        fleet.nodes[1].get("/c").await.assert_hit();
    }
}

scenario! {
    async fn a_sentinel_names_another_master(engine: Engine) {
        let (mut master, replica) = (Server::start(&engine).await, Server::start(&engine).await);
        replica.follow(master.address()).await;
        let sentinel = sentinel(&engine, &master).await;
        eventually("a sentinel that knows the replica", PATIENCE, async || {
            sentinel.tell::<Vec<redis::Value>>(&["SENTINEL", "REPLICAS", "main"]).await.len() == 1
        })
        .await;
        let url = format!("redis+sentinel://{}/main", sentinel.address());
        let fleet = Fleet::plan().shared("timeout", "200ms").shared("max_unsynced", "2s").at(&url).await;
        fleet.share("/a").await;
        fleet.nodes[1].get("/a").await.assert_hit();
        let version = fleet.origin.bump("/a");
        fleet.nodes[0].purge_page("/a", "fleet").await.assert_everywhere(2);
        master.kill();
        let began = now();
        let mut asked = 0;
        eventually("the fleet on another master", PATIENCE, async || {
            for node in &fleet.nodes {
                asked += 1;
                assert_eq!(node.get("/a").await.version(), version);
                let cold = node.get(&format!("/cold/{asked}")).await;
                assert_eq!(cold.version(), 1);
                assert!(cold.took < ms(3000), "{:?}", cold.took);
            }
            let at: Vec<String> = sentinel.tell(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]).await;
            at[1] == replica.port().to_string() && fleet.nodes[0].is_synced().await && fleet.nodes[1].is_synced().await
        })
        .await;
        let seen = now() - began;
        fleet.assembled().await;
        fleet.share("/b").await;
        fleet.nodes[1].get("/b").await.assert_hit();
        eprintln!("the master was replaced and the fleet was on it {seen:?} after its death; {asked} requests meanwhile");
    }
}

scenario! {
    async fn a_master_that_was_cut_off_and_replaced_is_believed_no_longer_than_max_unsynced(engine: Engine) {
        let (master, replica, between) = pair(&engine).await;
        let mut fleet = Fleet::plan().shared("timeout", "200ms").shared("max_unsynced", "3s").before(master).await;
        for node in &fleet.nodes {
            node.get("/a").await.version();
        }
        caught_up(fleet.server(), &replica).await;
        // node1 goes on with the old master, which its replica has left without a word; node2 is with the new one.
        between.set(Fault::BlackHole(Way::Both));
        replica.promote().await;
        fleet.nodes[1].proxy().retarget(replica.address());
        eventually("a purge in the new master's log", PATIENCE, async || {
            fleet.nodes[1].purge(&serde_json::json!({ "tags": ["x"], "wait": "node" })).await.status == 200
        })
        .await;
        let version = fleet.origin.bump("/a");
        let receipt = fleet.nodes[1].purge_page("/a", "node").await;
        assert_eq!(receipt.status, 200, "{}", receipt.said);
        let mut old = 0;
        loop {
            let answer = fleet.nodes[0].get("/a").await;
            let late = answer.began.saturating_sub(receipt.at);
            if answer.version() == version {
                eprintln!("{old} old answers beside the old master, the new one {late:?} after the purge");
                break;
            }
            assert!(late < ms(3000), "old content as fresh {late:?} after the purge");
            old += 1;
            tokio::time::sleep(ms(5)).await;
        }
        fleet.nodes[0].proxy().retarget(replica.address());
        fleet.server = Some(replica);
        fleet.assembled().await;
    }
}
