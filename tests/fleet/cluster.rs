//! A store of three masters that share the slots: slots that move under load, and a master that dies.

use crate::support::load::Load;
use crate::support::*;
use std::sync::atomic::Ordering;

scenario! {
    async fn a_fleet_on_a_cluster_shares_values_and_purges(engine: Engine) {
        let cluster = Cluster::start(&engine).await;
        let fleet = Fleet::plan().before_cluster(&cluster).await;
        for number in 0..12 {
            let path = format!("/{number}");
            fleet.origin.page(&path, |page| page.size = number * 30_000);
            fleet.share(&path).await;
            fleet.nodes[1].get(&path).await.assert_hit();
        }
        for master in &cluster.masters {
            assert!(!master.keys().await.is_empty(), "values are spread over all masters");
        }
        let version = fleet.origin.bump("/3");
        fleet.nodes[1].purge_page("/3", "fleet").await.assert_everywhere(2);
        for node in &fleet.nodes {
            assert_eq!(node.get("/3").await.version(), version);
        }
    }
}

scenario! {
    async fn slots_move_under_load_and_nobody_notices(engine: Engine) {
        let cluster = Cluster::start(&engine).await;
        let unsynced = ms(3000);
        let plan = Fleet::plan().shared("timeout", "500ms").shared("max_unsynced", "3s");
        let fleet = plan.before_cluster(&cluster).await;
        let callers = fleet.nodes.iter().map(|node| (**node).clone()).collect();
        let load = Load::start(callers, fleet.origin.clone(), unsynced, (6, 2, 30), 7);
        let seen = &load.shared.seen;
        eventually("some load", PATIENCE, async || seen.requests.load(Ordering::Relaxed) > 200).await;
        let log = cluster.slot("{larder:purge}:log").await;
        let mut slots = vec![log];
        for key in cluster.keys().await.iter().filter(|k| k.contains(":v1:")).step_by(3).take(6) {
            slots.push(cluster.slot(key).await);
        }
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let to = (cluster.owner(slot).await + 1) % 3;
            let from = cluster.begin_move(slot, to).await;
            let before = seen.requests.load(Ordering::Relaxed);
            // Some load on a slot that is neither here nor there.
            eventually("load", PATIENCE, async || seen.requests.load(Ordering::Relaxed) > before + 30).await;
            cluster.move_keys(slot, from, to).await;
            eventually("load", PATIENCE, async || seen.requests.load(Ordering::Relaxed) > before + 60).await;
            cluster.end_move(slot, to).await;
        }
        let shared = load.stop().await;
        let (requests, purges) = (&shared.seen.requests, &shared.seen.purges);
        let mut latencies = shared.seen.latencies();
        eprintln!(
            "{requests:?} requests, {purges:?} purges while slots moved; p50 {:?}, p99 {:?}",
            quantile(&mut latencies, 0.5),
            quantile(&mut latencies, 0.99)
        );
        assert!(shared.seen.wrong().is_empty(), "{:#?}", shared.seen.wrong());
        fleet.assembled().await;
        fleet.share("/after").await;
        fleet.nodes[1].get("/after").await.assert_hit();
    }
}

scenario! {
    async fn a_master_of_the_cluster_dies_and_comes_back(engine: Engine) {
        let mut cluster = Cluster::start(&engine).await;
        let plan = Fleet::plan().shared("timeout", "200ms").shared("max_unsynced", "2s");
        let fleet = plan.before_cluster(&cluster).await;
        fleet.share("/a").await;
        fleet.nodes[1].get("/a").await.assert_hit();
        let at = cluster.owner(cluster.slot("{larder:purge}:log").await).await;
        cluster.masters[at].kill();
        let version = fleet.origin.bump("/a");
        let receipt = fleet.nodes[0].purge_page("/a", "node").await;
        assert_eq!(receipt.status, 202, "{}", receipt.said);
        let mut took = Vec::new();
        while now() - receipt.at < ms(2000) {
            for (at, node) in fleet.nodes.iter().enumerate() {
                let cold = node.get(&format!("/cold/{at}/{}", now().as_nanos())).await;
                assert_eq!(cold.version(), 1);
                took.push(cold.took);
                node.get("/a").await.version();
            }
        }
        let (most, worst) = (quantile(&mut took, 0.9), quantile(&mut took, 1.0));
        eprintln!("with the log's master dead a cold page took p90 {most:?}, {worst:?} at worst");
        assert!(most < ms(600), "{most:?}");
        for node in &fleet.nodes {
            assert_eq!(node.get("/a").await.version(), version, "{}: after max_unsynced", node.name);
        }
        cluster.masters[at].restart().await;
        let begin = now();
        fleet.assembled().await;
        eprintln!("well again {:?} after the master was back, with nothing of what it had", now() - begin);
        assert_eq!(fleet.nodes[1].get("/a").await.version(), version);
    }
}
