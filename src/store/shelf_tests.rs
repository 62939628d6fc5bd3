//! The map against a model, its bound, and who goes.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// One that does not tell its key.
impl Kept for Arc<u64> {
    fn is_under(&self, _: &Key) -> bool {
        false
    }
    fn key(&self, _: u64) -> Option<Key> {
        None
    }
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}

fn key(n: u64) -> Key {
    Key::new(7, &n.to_le_bytes())
}

fn charge(weight: u64) -> Charge {
    Charge { weight, useless_after: Mono(u64::MAX) }
}

/// As the memory tier does; what went for want of room.
fn put(shelf: &Shelf<Arc<u64>>, n: u64, weight: u64) -> Vec<u64> {
    let seen = shelf.peek(&key(n));
    assert!(shelf.exchange(&key(n), seen.as_ref(), Some((Arc::new(n), charge(weight)))));
    let mut gone = Vec::new();
    shelf.evict(&key(n), weight, |value| gone.push(*value));
    gone
}

fn assert_sound(shelf: &Shelf<Arc<u64>>) {
    let (mut used, mut len) = (0, 0);
    for rack in &shelf.racks {
        let rack = rack.read();
        assert_eq!(rack.table.len(), rack.nodes.len());
        let mut seen = 0;
        for (queue, is_main) in [(&rack.small, false), (&rack.main, true)] {
            let (mut place, mut newer, mut weight) = (queue.head, NONE, 0);
            while let Some(node) = rack.node(place) {
                assert_eq!((node.newer, node.is_main), (newer, is_main));
                assert_eq!(rack.find(&node.key().unwrap()), Some(place));
                weight += node.weight;
                seen += 1;
                (newer, place) = (place, node.older);
            }
            assert_eq!((queue.tail, queue.weight), (newer, weight));
            used += weight;
        }
        assert_eq!(seen, rack.nodes.len());
        len += seen as u64;
    }
    assert_eq!((shelf.used(), shelf.len()), (used, len));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map_that_forgets_and_never_holds_more_than_it_may(
        steps in proptest::collection::vec((0u8..4, 0u64..40, 1u64..300), 1..400),
        recency in any::<bool>(),
    ) {
        let order = if recency { Order::Recency } else { Order::Frequency };
        let shelf = Shelf::new(2000, order);
        let mut model: HashMap<u64, Arc<u64>> = HashMap::new();
        for (what, n, weight) in steps {
            match what {
                0 | 1 => {
                    let value = Arc::new(n);
                    let seen = model.get(&n).cloned();
                    prop_assert!(shelf.exchange(&key(n), seen.as_ref(), Some((value.clone(), charge(weight)))));
                    model.insert(n, value);
                    shelf.evict(&key(n), weight, |value| {
                        assert!(model.remove(&value).is_some_and(|m| Arc::ptr_eq(&m, &value)));
                    });
                }
                2 => {
                    let seen = model.remove(&n);
                    prop_assert!(shelf.exchange(&key(n), seen.as_ref(), None));
                }
                _ => {
                    let (found, known) = (shelf.get(&key(n)), model.get(&n));
                    prop_assert_eq!(found.as_ref().map(Arc::as_ptr), known.map(Arc::as_ptr));
                }
            }
            prop_assert!(shelf.used() <= 2000);
            prop_assert_eq!(shelf.len(), model.len() as u64);
        }
        assert_sound(&shelf);
    }
}

#[test]
fn an_exchange_for_something_else_than_is_there_changes_nothing() {
    let shelf = Shelf::new(1000, Order::Frequency);
    put(&shelf, 1, 10);
    let there = shelf.peek(&key(1)).unwrap();
    assert!(!shelf.exchange(&key(1), None, Some((Arc::new(2), charge(10)))));
    assert!(!shelf.exchange(&key(1), Some(&Arc::new(1)), None));
    assert!(Arc::ptr_eq(&shelf.peek(&key(1)).unwrap(), &there));
    assert!(shelf.exchange(&key(1), Some(&there), None));
    assert!(shelf.is_empty() && shelf.used() == 0);
}

#[test]
fn a_scan_does_not_wash_out_what_is_asked_for() {
    let shelf = Shelf::new(100, Order::Frequency);
    (0..50).for_each(|n| drop(put(&shelf, n, 1)));
    for n in 1000..3000 {
        if n % 20 == 0 {
            (0..50).for_each(|n| assert!(shelf.get(&key(n)).is_some()));
        }
        assert!(shelf.get(&key(n)).is_none());
        put(&shelf, n, 1);
    }
    let left = (0..50).filter(|n| shelf.peek(&key(*n)).is_some()).count();
    assert_eq!(left, 50);
    assert_sound(&shelf);
}

#[test]
fn what_is_asked_for_more_takes_the_place_of_what_is_asked_for_less() {
    let shelf = Shelf::new(100, Order::Frequency);
    (0..100).for_each(|n| drop(put(&shelf, n, 1)));
    (0..5).for_each(|_| assert!(shelf.get(&key(1000)).is_none()));
    put(&shelf, 1000, 1);
    (2000..2100).for_each(|n| drop(put(&shelf, n, 1)));
    assert!(shelf.peek(&key(1000)).is_some() && shelf.peek(&key(2000)).is_none());
}

#[test]
fn a_large_value_must_be_worth_what_it_displaces() {
    let stays = |asked: usize| {
        let shelf = Shelf::new(100, Order::Frequency);
        for n in 0..100 {
            (0..2).for_each(|_| drop(shelf.get(&key(n))));
            put(&shelf, n, 1);
        }
        (0..asked).for_each(|_| drop(shelf.get(&key(1000))));
        put(&shelf, 1000, 8);
        (2000..2100).for_each(|n| drop(put(&shelf, n, 1)));
        shelf.peek(&key(1000)).is_some()
    };
    assert!(!stays(3) && stays(15));
}

#[test]
fn what_was_asked_for_is_forgotten_by_and_by() {
    let mut sketch = Sketch::default();
    sketch.fit(1000);
    (0..15).for_each(|_| sketch.count(7));
    assert_eq!(sketch.estimate(7), 15);
    (0..20_000u64).for_each(|n| {
        sketch.count(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        sketch.fit(1000);
    });
    assert!(sketch.estimate(7) < 8);
    (0..15).for_each(|_| sketch.count(8));
    sketch.fit(100_000);
    assert_eq!(sketch.estimate(8), 15, "also when there is more room");
}

#[test]
fn by_recency_the_longest_unused_goes() {
    let shelf = Shelf::new(100, Order::Recency);
    (0..100).for_each(|n| drop(put(&shelf, n, 1)));
    (0..50).for_each(|n| drop(shelf.get(&key(n))));
    let gone: Vec<u64> = (100..150).flat_map(|n| put(&shelf, n, 1)).collect();
    assert_eq!(gone, (50..100).collect::<Vec<_>>());
}

#[test]
fn a_large_value_takes_what_it_needs_from_all() {
    let shelf = Shelf::new(64 * RACK_BYTES, Order::Frequency);
    assert_eq!(shelf.racks.len(), 64);
    (0..640).for_each(|n| drop(put(&shelf, n, RACK_BYTES / 10)));
    put(&shelf, 1000, 8 * RACK_BYTES);
    assert!(shelf.peek(&key(1000)).is_some(), "it is not its own turn yet");
    assert!(shelf.len() > 64 * 8, "{}", shelf.len());
    assert_sound(&shelf);
}

#[test]
fn what_is_useless_goes_and_nothing_else() {
    let shelf = Shelf::new(1 << 20, Order::Frequency);
    for n in 0..10_000 {
        let charge = Charge { weight: 1, useless_after: Mono(n) };
        assert!(shelf.exchange(&key(n), None, Some((Arc::new(n), charge))));
    }
    let mut gone = Vec::new();
    (0..4).for_each(|_| shelf.expire(Mono(5500), |value| gone.push(*value)));
    gone.sort_unstable();
    assert_eq!(gone, (0..=5000).collect::<Vec<_>>(), "in whole seconds, later rather than earlier");
    assert_sound(&shelf);
}

#[test]
fn racing_exchanges_are_each_decided_on_what_is_there() {
    let shelf = Shelf::new(1 << 20, Order::Frequency);
    let add_one = |shelf: &Shelf<Arc<u64>>| loop {
        let seen = shelf.peek(&key(1));
        let value = Arc::new(seen.as_ref().map_or(0, |v| **v) + 1);
        if shelf.exchange(&key(1), seen.as_ref(), Some((value, charge(8)))) {
            return;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2000).for_each(|_| add_one(&shelf)));
        }
    });
    assert_eq!(*shelf.peek(&key(1)).unwrap(), 8000);
    assert_sound(&shelf);
}

#[test]
fn racing_writers_and_evictions_keep_the_account() {
    let shelf = Shelf::new(64 * RACK_BYTES, Order::Frequency);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let shelf = &shelf;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..5000 {
                    let n = random.u64(..2000);
                    let seen = shelf.get(&key(n));
                    let weight = random.u64(..4 << 20);
                    let new = (random.u32(..8) > 0).then(|| (Arc::new(n), charge(weight)));
                    shelf.exchange(&key(n), seen.as_ref(), new);
                    shelf.evict(&key(n), weight, drop);
                }
            });
        }
    });
    assert!(shelf.used() <= shelf.capacity());
    assert_sound(&shelf);
}
