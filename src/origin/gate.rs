//! `max_connections` and the bounded queue before it. First come, first served; whoever gives up (its client went
//! away) leaves the queue.

use super::error::OriginError;
use super::settings::Queue;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: Queue,
}

/// One who waits, counted for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gate {
    pub fn new(max: usize, queue: Queue) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(max)), waiting: AtomicUsize::new(0), queue }
    }

    /// One of the `max_connections`, held until it is dropped.
    ///
    /// # Errors
    /// `QueueFull` at once, `QueueTimeout` after `queue.wait`.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, OriginError> {
        // A semaphore hands freed permits to its waiters first: this can't overtake them.
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= self.queue.length {
            return Err(OriginError::QueueFull);
        }
        match tokio::time::timeout(self.queue.wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(OriginError::QueueTimeout),
        }
    }

    /// How many more requests could start now; what idle connections may take up.
    pub fn room(&self) -> usize {
        self.permits.available_permits()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
