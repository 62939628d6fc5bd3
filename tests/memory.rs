//! What the store charges is what memory takes: capacity is a promise about resident memory, and eviction goes by the charge.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

use larder::store::{Memory, memory::Policy};

#[path = "../bench/lib/stored.rs"]
#[allow(dead_code)]
mod stored;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One test: resident memory is the whole process's.
#[test]
fn what_is_charged_is_within_15_percent_of_what_is_taken_and_so_is_a_full_store() {
    for (count, size, vary) in [(60_000, 200, false), (40_000, 1024, true), (4_000, 20_000, false)] {
        let house = stored::House::new(Memory::new(u64::MAX, Policy::TinyLfu));
        house.put(u64::MAX, size, vary);
        let (before, charged_before) = (stored::resident(), house.memory().bytes());
        (0..count).for_each(|n| {
            house.put(n, size, vary);
        });
        let taken = (stored::resident() - before) as f64;
        let charged = (house.memory().bytes() - charged_before) as f64;
        let ratio = taken / charged;
        assert!((0.85..1.15).contains(&ratio), "{count} of {size} bytes: {taken} taken, {charged} charged");
        // Leaked: what it frees would be used again by the next, and not be counted.
        std::mem::forget(house);
    }

    let (before, capacity) = (stored::resident(), 64 << 20);
    let house = stored::House::new(Memory::new(capacity, Policy::TinyLfu));
    let mut random = fastrand::Rng::with_seed(5);
    let mut written = 0;
    for n in 0.. {
        let size = (100.0 * 1_000f64.powf(random.f64())) as u64;
        written += size + house.put(n, size, false);
        if n % 7 == 0 {
            house.remove(random.u64(..=n));
        }
        if written > 5 * capacity {
            break;
        }
    }
    let taken = stored::resident() - before;
    assert!(house.memory().bytes() <= capacity);
    // 15 %, and a part of the 64 MiB for pages that are only partly used (docs/ARCHITECTURE.md).
    assert!(taken <= capacity + capacity * 15 / 100 + (32 << 20), "{taken} of {capacity}");
}
