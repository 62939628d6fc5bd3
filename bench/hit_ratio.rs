//! The maps that the memory tier could be made of, by what they keep and what they cost:
//! `cargo run --release --example hit_ratio`.
//!
//! Each is filled by the same traces (generated, from fixed seeds): look up, and store on a miss. Printed are the share of hits by number and by
//! bytes, the bytes each key takes beside itself and its value, and nanoseconds per look-up of a full map, by one thread and by
//! two. Times belong to the machine and its load. The decision is in `docs/decisions/0011-memory-map.md`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // what can't be set up can't be measured

use larder::clock::Clock;
use larder::store::Key;
use larder::store::kept::Kept;
use larder::store::key::BuildKeyHasher;
use larder::store::shelf::{Charge, Order, Shelf};
use larder::time::Mono;
use std::hint::black_box;
use std::sync::Arc;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A value and the bytes it is charged with.
type Value = Arc<u64>;

trait Map: Send + Sync {
    fn get(&self, key: &Key) -> Option<Value>;
    fn put(&self, key: &Key, value: Value);
}

/// On our shelf, with its key: that of its number.
#[derive(Clone)]
struct Placed(Value, u64);

impl Kept for Placed {
    fn is_under(&self, asked: &Key) -> bool {
        *asked.as_bytes() == self.1.to_le_bytes()
    }
    fn key(&self, _: u64) -> Option<Key> {
        Some(key(self.1))
    }
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Map for Shelf<Placed> {
    fn get(&self, key: &Key) -> Option<Value> {
        Shelf::get(self, key).map(|placed| placed.0)
    }
    fn put(&self, key: &Key, value: Value) {
        let weight = *value;
        let charge = Charge { weight, useless_after: Mono(u64::MAX) };
        let seen = self.peek(key);
        let number = key.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.exchange(key, seen.as_ref(), Some((Placed(value, number), charge)));
        self.evict(key, weight, drop);
    }
}

type Moka = moka::sync::Cache<Key, Value, BuildKeyHasher>;

impl Map for Moka {
    fn get(&self, key: &Key) -> Option<Value> {
        Moka::get(self, key)
    }
    fn put(&self, key: &Key, value: Value) {
        self.insert(key.clone(), value);
    }
}

#[derive(Clone)]
struct ByValue;

impl quick_cache::Weighter<Key, Value> for ByValue {
    fn weight(&self, _: &Key, value: &Value) -> u64 {
        **value
    }
}

type Quick = quick_cache::sync::Cache<Key, Value, ByValue, BuildKeyHasher>;

impl Map for Quick {
    fn get(&self, key: &Key) -> Option<Value> {
        Quick::get(self, key)
    }
    fn put(&self, key: &Key, value: Value) {
        self.insert(key.clone(), value);
    }
}

const NAMES: [&str; 5] = ["TinyLFU (ours)", "CLOCK (ours)", "moka TinyLFU", "moka LRU", "quick_cache"];

fn maps(capacity: u64, items: usize) -> [Arc<dyn Map>; 5] {
    let moka = |policy| -> Arc<dyn Map> {
        let map: Moka = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(policy)
            .weigher(|_: &Key, value: &Value| u32::try_from(**value).unwrap_or(u32::MAX))
            .build_with_hasher(BuildKeyHasher::default());
        Arc::new(map)
    };
    let quick: Quick = quick_cache::sync::Cache::with(
        items,
        capacity,
        ByValue,
        BuildKeyHasher::default(),
        Default::default(),
    );
    [
        Arc::new(Shelf::<Placed>::new(capacity, Order::Frequency)),
        Arc::new(Shelf::<Placed>::new(capacity, Order::Recency)),
        moka(moka::policy::EvictionPolicy::tiny_lfu()),
        moka(moka::policy::EvictionPolicy::lru()),
        Arc::new(quick),
    ]
}

fn key(n: u64) -> Key {
    Key::new(1, &n.to_le_bytes())
}

/// From 100 bytes to 1 MiB, the same for the same number; the median near 10 KiB, as pages and their parts have it.
fn size(n: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(n ^ 0x5eed);
    (100.0 * 10_486f64.powf(random.f64())) as u64
}

/// By rank, the chances falling as `1 / rank^skew`.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(items: u64, skew: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: u64| (rank as f64).powf(-skew);
        Self(
            (1..=items)
                .map(|rank| {
                    sum += weight(rank);
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        let at = random.f64() * self.0.last().unwrap();
        self.0.partition_point(|sum| *sum < at) as u64
    }
}

const ITEMS: u64 = 100_000;
const LOOK_UPS: u64 = 2_000_000;

/// Name, and which item each look-up asks for.
fn traces() -> Vec<(&'static str, Vec<u64>)> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut zipf = |skew: f64, share_of_scan: f64, change: u64| -> Vec<u64> {
        let table = Zipf::new(ITEMS, skew);
        let (mut scanned, mut moved) = (0, 0);
        (0..LOOK_UPS)
            .map(|n| {
                if random.f64() < share_of_scan {
                    scanned += 1;
                    return 1_000_000_000 + scanned;
                }
                if change > 0 && n % change == 0 {
                    moved += 1;
                }
                // What is popular changes: every so often the ranks belong to other items.
                (table.draw(&mut random) + moved * 97) % ITEMS
            })
            .collect()
    };
    let mut all = vec![
        ("zipf 0.8", zipf(0.8, 0.0, 0)),
        ("zipf 1.0", zipf(1.0, 0.0, 0)),
        ("zipf 0.9, a fifth scans", zipf(0.9, 0.2, 0)),
        ("zipf 0.9, half scans", zipf(0.9, 0.5, 0)),
        ("zipf 1.0, changing", zipf(1.0, 0.0, 2_000)),
    ];
    // Round and round through a little more than fits, as crawlers do, beside readers.
    let table = Zipf::new(ITEMS, 1.0);
    let mut at = 0;
    let round = (0..LOOK_UPS).map(|n| {
        if n % 2 == 0 {
            return table.draw(&mut random);
        }
        at = (at + 1) % 8_000;
        2_000_000_000 + at
    });
    all.push(("zipf 1.0 and a loop", round.collect()));
    all
}

fn ratios() {
    let total: u64 = (0..ITEMS).map(size).sum();
    for share in [2, 10] {
        let capacity = total * share / 100;
        println!(
            "\nroom for {share} % of the bytes ({} MiB); hits in % of requests / of bytes",
            capacity >> 20
        );
        print!("{:26}", "");
        NAMES.iter().for_each(|name| print!("{name:>18}"));
        println!();
        for (name, trace) in traces() {
            print!("{name:26}");
            for map in maps(capacity, (ITEMS * share / 100) as usize) {
                let (mut hits, mut bytes, mut asked, mut counted) = (0u64, 0u64, 0u64, 0u64);
                for (n, item) in trace.iter().enumerate() {
                    let key = key(*item);
                    let weight = size(*item);
                    let found = map.get(&key).is_some();
                    // The first half fills it.
                    if n as u64 >= LOOK_UPS / 2 {
                        counted += 1;
                        asked += weight;
                        hits += u64::from(found);
                        bytes += if found { weight } else { 0 };
                    }
                    if !found {
                        map.put(&key, Arc::new(weight));
                    }
                }
                let percent = |a: u64, b: u64| 100.0 * a as f64 / b as f64;
                print!("{:>18}", format!("{:.1} / {:.1}", percent(hits, counted), percent(bytes, asked)));
            }
            println!();
        }
    }
}

const MANY: u64 = 1_000_000;

fn costs(which: usize) {
    let clock = Clock::system();
    let keys: Vec<Key> = (0..MANY).map(key).collect();
    let values: Vec<Value> = (0..MANY).map(|_| Arc::new(1)).collect();
    let table = Zipf::new(MANY, 0.9);
    let mut random = fastrand::Rng::with_seed(3);
    let popular: Vec<u64> = (0..MANY).map(|_| table.draw(&mut random)).collect();
    println!(
        "\n{MANY} values          bytes each   one hot key   by popularity   ... two threads, each (ns)"
    );
    {
        let before = resident();
        // Only this one.
        let map = maps(2 * MANY, MANY as usize).into_iter().nth(which).unwrap();
        for (key, value) in keys.iter().zip(&values) {
            map.put(key, value.clone());
        }
        let each = (resident().saturating_sub(before)) / MANY;
        let run = |asked: &[u64]| {
            let began = clock.elapsed();
            for n in asked {
                black_box(map.get(&keys[*n as usize]));
            }
            (clock.elapsed() - began).as_nanos() / asked.len() as u128
        };
        let hot = run(&vec![1; 500_000]);
        let mixed = run(&popular);
        let (a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| run(&popular));
            (run(&popular), other.join().unwrap())
        });
        println!("{:18}{each:>18}{hot:>14}{mixed:>16}{:>17}", NAMES[which], (a + b) / 2);
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a system that tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

fn main() {
    match std::env::args().nth(1) {
        // Each in a process of its own: what one frees is not the next one's.
        Some(which) if which == "r" => ratios(),
        Some(which) => costs(which.parse().expect("a number")),
        None => {
            let own = std::env::current_exe().unwrap();
            (0..NAMES.len()).for_each(|n| drop(std::process::Command::new(&own).arg(n.to_string()).status()));
            ratios();
        }
    }
}
