//! What a stored response takes, in this process and without sockets: `cargo run --release --example memory -- 200000`.
//!
//! Stores that many responses of 1 KiB with the dozen fields that pages have, and prints what each takes beside its body and the
//! text of its fields: as the system counts resident memory, and as the store charges it. Then keeps storing bodies of
//! many sizes into a store that is long full, deletes and purges among them, and prints how far resident memory gets beyond
//! the capacity. Figures, no verdicts; `tests/memory.rs` holds the charge to what is taken.
#![allow(clippy::unwrap_used, clippy::expect_used)] // what can't be set up can't be measured

use larder::store::{Entry, Memory, memory};

#[path = "lib/stored.rs"]
mod stored;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(200_000, |n| n.parse().expect("a number"));
    println!("struct Entry                {} bytes", size_of::<Entry>());
    for vary in [false, true] {
        filled(count, vary);
    }
    churn(256 << 20, memory::Policy::TinyLfu);
    churn(256 << 20, memory::Policy::Lru);
}

/// `vary`: with a field that selects variants.
fn filled(count: u64, vary: bool) {
    let house = stored::House::new(Memory::new(u64::MAX, memory::Policy::TinyLfu));
    house.put(u64::MAX, 1024, vary);
    let before = stored::resident();
    let mut head = 0;
    for n in 0..count {
        head += house.put(n, 1024, vary);
    }
    let charged = house.memory().bytes();
    let taken = stored::resident() - before;
    let each = |bytes: u64| bytes / count;
    println!(
        "{count} of 1 KiB, Vary: {vary:5}  {} bytes each beyond {} of body and {} of fields; charged {}",
        each(taken).saturating_sub(1024 + each(head)),
        1024,
        each(head),
        each(charged),
    );
    assert_eq!(house.memory().index().len(), count + 1);
    // What it frees would be used again by the next, and not be counted.
    std::mem::forget(house);
}

fn churn(capacity: u64, policy: memory::Policy) {
    let house = stored::House::new(Memory::new(capacity, policy));
    let before = stored::resident();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut most, mut most_charged) = (0, 0);
    let mut n = 0;
    // Three times the capacity, three times over: what was freed is to be used again.
    for _ in 0..3 {
        let mut written = 0;
        while written < 3 * capacity {
            n += 1;
            // From 100 bytes to 1 MiB, as many of each magnitude.
            let size = (100.0 * 10_486f64.powf(random.f64())) as u64;
            written += size + house.put(n, size, false);
            if random.u32(..10) == 0 {
                house.remove(random.u64(..n));
            }
            if n.is_multiple_of(256) {
                most = most.max(stored::resident());
                most_charged = most_charged.max(house.memory().bytes());
            }
        }
        house.purge();
    }
    std::mem::forget(house);
    let over = most.saturating_sub(before) as i64 - capacity as i64;
    println!(
        "churn, {policy:?}: capacity {} MiB, charged at most {} MiB, resident at most {} MiB more than empty ({:+.1} %)",
        capacity >> 20,
        most_charged >> 20,
        (most - before) >> 20,
        100.0 * over as f64 / capacity as f64,
    );
}
