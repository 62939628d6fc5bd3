//! Values in the store: what they cost, what is believed of them, what they give away.

use crate::support::*;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeSet;

/// Outcomes of a look-up that say nothing against the value.
const FINE: [&str; 5] = ["hit", "miss", "marked", "rejected", "too-large"];

/// Look-ups that met a value which was not believed, with the reasons.
async fn disbelieved(node: &Node) -> (u64, BTreeSet<String>) {
    let text = node.admin("/metrics").await.text();
    let mut reasons = BTreeSet::new();
    let mut count = 0.0;
    for line in text.lines().filter(|l| l.starts_with("larder_shared_requests_total{")) {
        let label = |name: &str| line.split_once(&format!("{name}=\""))?.1.split('"').next();
        let (op, result) = (label("op").unwrap(), label("result").unwrap());
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let bad = match op {
            "get" => !FINE.contains(&result),
            "chunks" => !["ok", "busy"].contains(&result),
            _ => false,
        };
        if bad && value > 0.0 {
            count += value;
            reasons.insert(format!("{op} {result}"));
        }
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
    (count as u64, reasons)
}

scenario! {
    async fn what_one_node_has_fetched_the_others_find(engine: Engine) {
        let fleet = Fleet::plan().nodes(3).start(&engine).await;
        for (path, size) in [("/small", 0), ("/inline", 60_000), ("/pieces", 300_000), ("/many", 3_000_000)] {
            fleet.origin.page(path, |page| page.size = size);
            let first = fleet.share(path).await;
            for node in &fleet.nodes[1..] {
                let found = node.get(path).await;
                found.assert_hit();
                assert_eq!(found.version(), 1);
                for field in ["etag", "content-type", "cache-control"] {
                    assert_eq!(found.header(field), first.header(field), "{field}");
                }
                // From here on it is in memory.
                let before = node.shared("get", "hit").await;
                node.get(path).await.assert_hit();
                assert_eq!(node.shared("get", "hit").await, before);
            }
            assert_eq!(fleet.origin.hits(path), 1, "{path}");
        }
    }
}

scenario! {
    async fn a_hit_of_the_shared_tier_costs_one_round_trip(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        for number in 0..6 {
            fleet.origin.page(&format!("/{number}"), |page| page.size = 40_000);
            fleet.share(&format!("/{number}")).await;
        }
        let reader = &fleet.nodes[1];
        reader.get("/0").await.assert_hit();
        reader.proxy().set(Fault::Delay(ms(150)));
        let mut took = Vec::new();
        for number in 1..6 {
            let answer = reader.get(&format!("/{number}")).await;
            answer.assert_hit();
            took.push(answer.took);
        }
        let fastest = *took.iter().min().unwrap();
        eprintln!("a round trip of 150 ms makes a hit of the shared tier last {took:?}");
        assert!(fastest >= ms(150) && fastest < ms(300), "{took:?}");
    }
}

scenario! {
    async fn after_a_purge_one_fetches_for_all_also_where_the_old_copy_had_longer_to_live(engine: Engine) {
        let fleet = Fleet::plan().nodes(3).start(&engine).await;
        fleet.share("/page").await;
        for node in &fleet.nodes[1..] {
            node.get("/page").await.assert_hit();
        }
        fleet.origin.page("/page", |page| page.cache_control = "max-age=600".into());
        fleet.origin.bump("/page");
        fleet.nodes[0].purge_page("/page", "fleet").await.assert_everywhere(3);
        assert_eq!(fleet.share("/page").await.version(), 2);
        for node in &fleet.nodes[1..] {
            let found = node.get("/page").await;
            found.assert_hit();
            assert_eq!(found.version(), 2);
        }
        assert_eq!(fleet.origin.hits("/page"), 2);
    }
}

scenario! {
    async fn rfc9111_4_3_5_what_a_head_has_shown_to_be_stale_does_not_come_back_from_the_store(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        fleet.share("/page").await;
        fleet.nodes[1].get("/page").await.assert_hit();
        fleet.origin.bump("/page");
        fleet.nodes[1].send_with("HEAD", "/page", &[("cache-control", "no-cache")]).await;
        assert_eq!(fleet.nodes[1].get("/page").await.version(), 2);
    }
}

scenario! {
    async fn who_waits_and_wants_what_is_new_is_not_given_what_the_store_had(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        fleet.share("/page").await;
        let reader = &fleet.nodes[1];
        // Another page, so that connections and scripts are there.
        fleet.share("/other").await;
        reader.get("/other").await.assert_hit();
        fleet.origin.bump("/page");
        reader.proxy().set(Fault::Delay(ms(400)));
        let insists = async {
            eventually("a request on its way", PATIENCE, async || reader.metric("larder_inflight", &[]).await >= 1.0)
                .await;
            reader.send_with("GET", "/page", &[("cache-control", "no-cache")]).await
        };
        let (found, new) = tokio::join!(reader.get("/page"), insists);
        found.assert_hit();
        assert_eq!((found.version(), new.version()), (1, 2));
    }
}

/// What is done to a value.
#[derive(Clone, Copy, Debug)]
enum Damage {
    FlippedBit(usize),
    LastByte,
    Truncated,
    Empty,
    OtherVersion,
    Random,
    Longer,
    OtherType,
    AnothersValue,
}

impl Damage {
    const ALL: [Self; 10] = [
        Self::FlippedBit(20),
        Self::FlippedBit(200),
        Self::LastByte,
        Self::Truncated,
        Self::Empty,
        Self::OtherVersion,
        Self::Random,
        Self::Longer,
        Self::OtherType,
        Self::AnothersValue,
    ];

    async fn do_to(self, name: &str, other: &str, store: &mut MultiplexedConnection) {
        let mut value: Vec<u8> = redis::cmd("GET").arg(name).query_async(store).await.unwrap();
        match self {
            Self::FlippedBit(at) => value[at] ^= 1,
            Self::LastByte => *value.last_mut().unwrap() ^= 0x80,
            Self::Truncated => value.truncate(value.len() / 2),
            Self::Empty => value.clear(),
            // The number after the magic.
            Self::OtherVersion => value[4..6].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
            Self::Random => value = (0..5000).map(|_| fastrand::u8(..)).collect(),
            Self::Longer => value.extend_from_slice(b"and more"),
            Self::OtherType => {
                redis::cmd("DEL").arg(name).query_async::<()>(store).await.unwrap();
                return redis::cmd("RPUSH").arg(name).arg("a").query_async::<()>(store).await.unwrap();
            }
            Self::AnothersValue => value = redis::cmd("GET").arg(other).query_async(store).await.unwrap(),
        }
        redis::cmd("SET").arg(name).arg(value).arg("KEEPTTL").query_async::<()>(store).await.unwrap();
    }
}

const KEY: &str = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
const OTHER_KEY: &str = "\"HxAREhMUFRYXGBkaGxwdHgABAgMEBQYHCAkKCwwNDg8=\"";

/// The name of the one new record in the store.
async fn new_record(fleet: &Fleet, known: &mut BTreeSet<String>) -> String {
    let keys: BTreeSet<String> =
        fleet.server().keys().await.into_iter().filter(|k| k.contains("}:r")).collect();
    let new: Vec<String> = keys.difference(known).cloned().collect();
    *known = keys;
    assert_eq!(new.len(), 1, "{new:?}");
    new[0].clone()
}

async fn damaged_values_are_misses(engine: &Engine, plan: Plan) {
    let fleet = plan.nodes(3).start(engine).await;
    let (mut known, mut store) = (BTreeSet::new(), fleet.server().connection().await.unwrap());
    fleet.share("/other").await;
    let other = new_record(&fleet, &mut known).await;
    let reader = &fleet.nodes[1];
    for (at, damage) in Damage::ALL.into_iter().enumerate() {
        let path = format!("/{at}");
        fleet.origin.page(&path, |page| page.size = 1000);
        fleet.share(&path).await;
        let name = new_record(&fleet, &mut known).await;
        damage.do_to(&name, &other, &mut store).await;
        let (before, _) = disbelieved(reader).await;
        let answer = reader.get(&path).await;
        assert_eq!(answer.version(), 1, "{damage:?}");
        assert!(!answer.is_hit(), "{damage:?}: {:?}", answer.headers);
        assert!(answer.took < ms(1500), "{damage:?}: {:?}", answer.took);
        assert_eq!(fleet.origin.hits(&path), 2, "{damage:?}");
        let (after, reasons) = disbelieved(reader).await;
        // Of these the store itself says that there is no value.
        let absent = matches!(damage, Damage::Empty | Damage::OtherType);
        assert!(after > before || absent, "{damage:?}: not counted; so far {reasons:?}");
        eprintln!("{damage:?}: {} more, so far {reasons:?}", after - before);
        // What takes its place is good again, unless something is there that can't be replaced by a value.
        eventually("a value in its place", PATIENCE, async || fleet.nodes[1].puts().await > at as f64).await;
        fleet.nodes[2].get(&path).await.assert_hit();
        assert_eq!(fleet.origin.hits(&path), 2, "{damage:?}");
    }
}

scenario! {
    async fn corrupted_truncated_foreign_and_wrongly_keyed_values_are_misses_with_a_counter(engine: Engine) {
        damaged_values_are_misses(&engine, Fleet::plan()).await;
    }
}

scenario! {
    async fn sealed_values_that_were_tampered_with_are_misses_with_a_counter(engine: Engine) {
        damaged_values_are_misses(&engine, Fleet::plan().shared("encryption_key", KEY)).await;
    }
}

scenario! {
    async fn a_body_with_a_piece_missing_or_of_another_is_a_miss(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        let pieces = async || -> Vec<String> {
            fleet.server().keys().await.into_iter().filter(|k| k.contains("}:c:")).collect()
        };
        let share = async |path: &str| {
            fleet.origin.page(path, |page| page.size = 400_000);
            let before = pieces().await;
            fleet.share(path).await;
            let mut new: Vec<String> = pieces().await.into_iter().filter(|k| !before.contains(k)).collect();
            new.sort();
            assert!(new.len() > 1, "{new:?}");
            new
        };
        let reader = &fleet.nodes[1];
        let lacking = share("/lacking").await;
        fleet.server().tell::<()>(&["DEL", &lacking[1]]).await;
        let swapped = share("/swapped").await;
        fleet.server().tell::<()>(&["RENAME", &swapped[0], &swapped[1]]).await;
        let cut = share("/cut").await;
        fleet.server().tell::<()>(&["SETRANGE", &cut[1], "1000", "xxxx"]).await;
        for path in ["/lacking", "/swapped", "/cut"] {
            let (before, _) = disbelieved(reader).await;
            let answer = reader.get(path).await;
            assert_eq!(answer.version(), 1, "{path}");
            assert_eq!(fleet.origin.hits(path), 2, "{path}");
            let (after, reasons) = disbelieved(reader).await;
            assert!(after > before, "{path}: not counted; so far {reasons:?}");
            eprintln!("{path}: counted, so far {reasons:?}");
        }
    }
}

/// Every value in the store as it would be written to disk, uncompressed.
async fn everything_in(server: &Server) -> Vec<u8> {
    let mut store = server.connection().await.unwrap();
    let mut all = Vec::new();
    for key in server.keys().await {
        all.extend_from_slice(key.as_bytes());
        let dumped: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut store).await.unwrap();
        all.extend(dumped.unwrap_or_default());
    }
    all
}

fn contains(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|window| window == text.as_bytes())
}

scenario! {
    async fn the_store_holds_no_plain_text_when_a_key_is_set(engine: Engine) {
        for sealed in [false, true] {
            let mut plan = Fleet::plan();
            if sealed {
                plan = plan.shared("encryption_key", KEY);
            }
            let fleet = plan.start(&engine).await;
            for (path, size) in [("/confidential/small", 0), ("/confidential/large", 300_000)] {
                fleet.origin.page(path, |page| page.size = size);
                fleet.share(path).await;
                fleet.nodes[1].get(path).await.assert_hit();
            }
            let all = everything_in(fleet.server()).await;
            for text in ["as the origin sent it", "confidential", "text/plain"] {
                assert_eq!(contains(&all, text), !sealed, "{text}, sealed: {sealed}");
            }
        }
    }
}

scenario! {
    async fn who_has_another_key_misses_and_who_has_both_finds(engine: Engine) {
        let plan = Fleet::plan().nodes(1).own("secret: names").shared("encryption_key", KEY);
        let mut fleet = plan.start(&engine).await;
        let keys = |keys: &[&str]| format!("[{}]", keys.join(", "));
        let with = |plan: Plan, list: String| plan.without("encryption_key").shared("encryption_keys", &list);
        let foreign = fleet.join_with(|plan| with(plan, keys(&[OTHER_KEY]))).await;
        let rotating = fleet.join_with(|plan| with(plan, keys(&[OTHER_KEY, KEY]))).await;
        fleet.assembled().await;
        fleet.share("/a").await;
        fleet.nodes[rotating].get("/a").await.assert_hit();
        assert_eq!(fleet.origin.hits("/a"), 1);
        assert_eq!(fleet.nodes[foreign].get("/a").await.version(), 1);
        assert_eq!(fleet.origin.hits("/a"), 2);
        assert!(fleet.nodes[foreign].shared("get", "sealed").await >= 1.0);
    }
}

scenario! {
    async fn large_values_do_not_delay_small_ones(engine: Engine) {
        let fleet = Fleet::plan().start(&engine).await;
        let small = |number: usize| format!("/small/{number}");
        let large = |number: usize| format!("/large/{number}");
        for number in 0..200 {
            fleet.nodes[0].get(&small(number)).await.version();
        }
        for number in 0..6 {
            fleet.origin.page(&large(number), |page| page.size = 5 << 20);
            fleet.share(&large(number)).await;
        }
        let reader = &fleet.nodes[1];
        let look = async |number: usize| {
            let answer = reader.get(&small(number)).await;
            answer.assert_hit();
            answer.took
        };
        let mut without = Vec::new();
        for number in 0..100 {
            without.push(look(number).await);
        }
        let caller: Caller = (**reader).clone();
        let heavy = tokio::spawn(async move {
            for number in 0..6 {
                let answer = caller.get(&large(number)).await;
                answer.assert_hit();
                assert_eq!(answer.version(), 1);
            }
        });
        let mut with = Vec::new();
        for number in 100..200 {
            if heavy.is_finished() {
                break;
            }
            with.push(look(number).await);
        }
        heavy.await.unwrap();
        let looks = with.len();
        let mut quantiles = |share| (quantile(&mut without, share), quantile(&mut with, share));
        let (p50, p99) = (quantiles(0.5), quantiles(0.99));
        eprintln!(
            "small look-ups alone and beside values of 5 MiB ({looks} of them): p50 {:?} {:?}, p99 {:?} {:?}",
            p50.0, p50.1, p99.0, p99.1
        );
        // The figures that count are those of bench/fleet-values; a small one behind a large one would wait for all of it.
        assert!(p50.1 < ms(150) && looks >= 10, "{p50:?}, {looks} look-ups");
    }
}

scenario! {
    async fn what_is_larger_than_allowed_stays_on_its_node(engine: Engine) {
        let fleet = Fleet::plan().shared("max_object", "100KiB").start(&engine).await;
        fleet.origin.page("/large", |page| page.size = 200_000);
        fleet.nodes[0].get("/large").await.version();
        fleet.nodes[0].get("/large").await.assert_hit();
        fleet.share("/small").await;
        assert_eq!(fleet.nodes[1].get("/large").await.version(), 1);
        assert_eq!(fleet.origin.hits("/large"), 2);
    }
}
