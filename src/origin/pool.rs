//! HTTP/1.1 connections between two requests.

use super::http1::H1;
use crate::time::Mono;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Newest last, by server. Their number is bounded by what `max_connections` leaves beside the busy ones. Nobody
/// listens on them: what a server says or closes meanwhile is found when one is taken or swept.
pub(super) struct Pool {
    idle: Mutex<Vec<VecDeque<Box<H1>>>>,
    idle_timeout: Duration,
}

impl Pool {
    pub fn new(servers: usize, idle_timeout: Duration) -> Self {
        let idle = (0..servers).map(|_| VecDeque::new()).collect();
        Self { idle: Mutex::new(idle), idle_timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<VecDeque<Box<H1>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, conn: &H1, now: Mono) -> bool {
        now.since(conn.idle_since) >= self.idle_timeout || conn.age.is_over(now)
    }

    /// The connection that was used last and is still good. The others that are tried on the way are closed.
    pub fn take(&self, server: usize, now: Mono) -> Option<Box<H1>> {
        loop {
            let mut conn = self.lock().get_mut(server)?.pop_back()?;
            if !self.is_over(&conn, now) && conn.is_quiet() {
                conn.reused = true;
                return Some(conn);
            }
            conn.retire();
        }
    }

    pub fn put(&self, mut conn: Box<H1>, now: Mono) {
        conn.rest(now);
        if self.is_over(&conn, now) {
            conn.retire();
        } else if let Some(list) = self.lock().get_mut(conn.server) {
            list.push_back(conn);
        }
    }

    /// Closes the longest unused until at most `room` are left.
    pub fn shrink(&self, room: usize) {
        let mut gone = Vec::new();
        let mut lists = self.lock();
        let mut total: usize = lists.iter().map(VecDeque::len).sum();
        while total > room {
            let oldest =
                lists.iter_mut().filter(|l| !l.is_empty()).min_by_key(|l| l.front().map(|c| c.idle_since));
            let Some(conn) = oldest.and_then(VecDeque::pop_front) else { break };
            gone.push(conn);
            total -= 1;
        }
        drop(lists); // every request takes it; closing asks the kernel
        gone.into_iter().for_each(|conn| conn.retire());
    }

    /// Closes what has been unused for too long, and what servers have closed.
    pub fn sweep(&self, now: Mono) {
        let servers = self.lock().len();
        for server in 0..servers {
            let mut at = 0;
            loop {
                // One at a time, and looked at without the lock: each costs a call to the kernel.
                let next = self.lock().get_mut(server).and_then(|list| list.remove(at));
                let Some(mut conn) = next else { break };
                if self.is_over(&conn, now) || !conn.is_quiet() {
                    conn.retire();
                } else if let Some(list) = self.lock().get_mut(server) {
                    list.insert(at.min(list.len()), conn);
                    at += 1;
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.lock().iter().map(VecDeque::len).sum()
    }
}
