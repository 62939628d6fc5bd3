//! Small numbers for threads, so that what every request counts or remembers can lie in memory that no other thread
//! writes: two processors that write one cache line wait for each other at every request. A leaf module.

use std::sync::atomic::{AtomicU64, Ordering};

/// So many threads have a number of their own at a time, from 0; what comes beyond shares.
pub const NUMBERS: usize = 64;

/// A bit per number that is taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SEAT: Seat = Seat::take();
}

/// The number of this thread, as long as it lives; no other living thread has it. `None` when all were taken as it
/// first asked.
pub fn number() -> Option<usize> {
    SEAT.try_with(|seat| seat.0).ok().flatten()
}

/// Given back when its thread ends.
struct Seat(Option<usize>);

impl Seat {
    fn take() -> Self {
        let lowest_free = |taken: u64| taken.checked_add(1).map(|next| taken | next);
        // Acquire: what the number's last holder wrote is seen by the next one.
        let before = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest_free).ok();
        Self(before.and_then(|taken| usize::try_from(taken.trailing_ones()).ok()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(number) = self.0 {
            TAKEN.fetch_and(!(1 << number), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::{Arc, Barrier, Mutex};

    #[test]
    fn living_threads_have_different_numbers_and_the_dead_give_theirs_back() {
        let (numbers, barrier) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Barrier::new(NUMBERS + 9)));
        for round in 1..3 {
            let threads: Vec<_> = (0..NUMBERS + 9)
                .map(|_| {
                    let (numbers, barrier) = (numbers.clone(), barrier.clone());
                    std::thread::spawn(move || {
                        numbers.lock().unwrap().extend(number());
                        assert_eq!(number(), number());
                        barrier.wait();
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let numbers = std::mem::take(&mut *numbers.lock().unwrap());
            let different: HashSet<_> = numbers.iter().collect();
            assert_eq!(different.len(), numbers.len(), "round {round}");
            // Other tests of this process may hold some.
            assert!(numbers.len() > NUMBERS / 2 && numbers.iter().all(|number| *number < NUMBERS));
        }
    }
}
