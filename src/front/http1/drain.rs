//! The word that this process is going away, as a connection listens for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::sync::watch;

type Change = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Drain {
    told: watch::Receiver<bool>,
    on: bool,
    /// Who is woken when `told` changes. Kept from wait to wait: registering anew takes a lock that all
    /// connections share, and the waker of a connection's task does not change.
    registered: Option<(Waker, Change)>,
}

impl Drain {
    pub fn new(mut told: watch::Receiver<bool>) -> Self {
        let on = *told.borrow_and_update();
        Self { told, on, registered: None }
    }

    /// Whether draining has begun. One atomic load when it hasn't.
    pub fn is_on(&mut self) -> bool {
        if !self.on && !matches!(self.told.has_changed(), Ok(false)) {
            self.on = *self.told.borrow_and_update();
        }
        self.on
    }

    /// Ready when draining has begun, else the task will be woken by it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_on() {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|(waker, _)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut told = self.told.clone();
        let mut change: Change = Box::pin(async move {
            // Nobody left who could say it: then it will not be said.
            if told.wait_for(|&on| on).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let polled = change.as_mut().poll(cx);
        self.on = polled.is_ready();
        self.registered = Some((cx.waker().clone(), change));
        polled
    }
}
