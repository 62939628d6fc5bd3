//! What waits to be written to the store: bounded in number and bytes, and never waited for. What does not fit is dropped; it is
//! in the memory of this node, and the next node asks the origin.

use super::lease::Lease;
use crate::store::{Entry, Key};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, mpsc};

/// Responses that may wait.
pub const ITEMS: usize = 1024;

/// Bytes of the bodies that may wait or be on their way, all in all; one that is larger goes when nothing else does.
pub const BYTES: u64 = 64 << 20;

/// A response on its way into the store.
#[derive(Debug)]
pub struct Item {
    pub key: Key,
    pub entry: Arc<Entry>,
    pub lease: Option<Lease>,
    /// Gives its bytes back when it is written, or dropped.
    _reserved: Reserved,
}

#[derive(Debug)]
struct Reserved {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub struct Queue {
    sender: mpsc::Sender<Item>,
    /// Shared by the writers: who has it waits for the next.
    receiver: Mutex<mpsc::Receiver<Item>>,
    used: Arc<AtomicU64>,
}

impl Default for Queue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(ITEMS);
        Self { sender, receiver: Mutex::new(receiver), used: Arc::default() }
    }
}

impl Queue {
    /// False when there is no room; then it is gone, and its lease released.
    pub fn push(&self, key: &Key, entry: Arc<Entry>, lease: Option<Lease>) -> bool {
        let Some(_reserved) = self.reserve(entry.length) else { return false };
        self.sender.try_send(Item { key: key.clone(), entry, lease, _reserved }).is_ok()
    }

    fn reserve(&self, bytes: u64) -> Option<Reserved> {
        let with = |used: u64| {
            let sum = used.saturating_add(bytes);
            (sum <= BYTES || used == 0).then_some(sum)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, with).ok()?;
        Some(Reserved { used: self.used.clone(), bytes })
    }

    /// The next one; waits for it.
    pub async fn pop(&self) -> Option<Item> {
        self.receiver.lock().await.recv().await
    }
}
