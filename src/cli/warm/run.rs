//! Fetching the list: some at a time, at a pace, until it is through or somebody interrupts.

use super::fetch::Fetcher;
use super::tally::Tally;
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The wish to stop, and how long what is on its way may still take.
#[derive(Clone, Debug)]
pub struct Stop {
    wished: watch::Receiver<bool>,
    grace: Duration,
}

impl Stop {
    pub fn new(wished: watch::Receiver<bool>, grace: Duration) -> Self {
        Self { wished, grace }
    }

    pub fn has_come(&self) -> bool {
        *self.wished.borrow()
    }

    async fn come(&mut self) {
        if self.wished.wait_for(|wished| *wished).await.is_err() {
            std::future::pending().await // nobody is left who could wish it
        }
    }
}

/// What the workers share.
struct Work {
    queue: Mutex<VecDeque<String>>,
    tally: Mutex<Tally>,
    /// URLs that were begun and not ended.
    begun: Mutex<usize>,
    pace: Option<tokio::sync::Mutex<Interval>>,
    fetcher: Arc<Fetcher>,
    bar: ProgressBar,
}

/// All of them, `concurrency` at a time and `rate` a second. After the wish to stop nothing is begun any more, and what was
/// begun is waited for; what has not ended by then is counted as such.
pub async fn all(
    urls: VecDeque<String>,
    concurrency: u16,
    rate: Option<f64>,
    fetcher: &Arc<Fetcher>,
    stop: &Stop,
    bar: &ProgressBar,
) -> Tally {
    let work = Arc::new(Work {
        queue: Mutex::new(urls),
        tally: Mutex::default(),
        begun: Mutex::new(0),
        pace: rate.map(|rate| tokio::sync::Mutex::new(pace(rate))),
        fetcher: fetcher.clone(),
        bar: bar.clone(),
    });
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        workers.spawn(worker(work.clone(), stop.clone()));
    }
    let mut stop = stop.clone();
    let grace = async {
        stop.come().await;
        let grace = stop.grace;
        work.bar.suspend(|| {
            eprintln!("larder: stopping; what is on its way gets {grace:?}. Once more ends it at once.");
        });
        tokio::time::sleep(stop.grace).await;
    };
    tokio::select! {
        () = async { while workers.join_next().await.is_some() {} } => {}
        () = grace => workers.shutdown().await,
    }
    let mut tally = std::mem::take(&mut *held(&work.tally));
    tally.left = held(&work.queue).len();
    tally.cut_off = *held(&work.begun);
    tally
}

fn pace(rate: f64) -> Interval {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn worker(work: Arc<Work>, mut stop: Stop) {
    loop {
        let due = async {
            if let Some(pace) = &work.pace {
                pace.lock().await.tick().await;
            }
        };
        tokio::select! {
            biased;
            () = stop.come() => return,
            () = due => {}
        }
        let Some(url) = held(&work.queue).pop_front() else { return };
        *held(&work.begun) += 1;
        let fate = work.fetcher.fetch(&url).await;
        *held(&work.begun) -= 1;
        let mut tally = held(&work.tally);
        tally.add(&url, fate);
        work.bar.set_message(tally.in_a_word());
        work.bar.inc(1);
    }
}

/// Nobody panics while they hold one of these.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const STORED: &[u8] =
        b"HTTP/1.1 200 OK\r\nCache-Status: larder; fwd=uri-miss; stored; ttl=60\r\nContent-Length: 1\r\n\r\nx";

    /// A proxy that is asked for `/0`, `/1`, …, and a run over so many URLs.
    struct Rig {
        proxy: TcpListener,
        wish: watch::Sender<bool>,
        run: tokio::task::JoinHandle<Tally>,
    }

    impl Rig {
        async fn new(urls: usize, rate: Option<f64>, grace: Duration) -> Self {
            let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = format!("http://{}", proxy.local_addr().unwrap());
            let fetcher = Arc::new(Fetcher::new(&to, &[]).unwrap());
            let (wish, wished) = watch::channel(false);
            let urls = (0..urls).map(|n| format!("http://h/{n}")).collect();
            let run = tokio::spawn(async move {
                all(urls, 1, rate, &fetcher, &Stop::new(wished, grace), &ProgressBar::hidden()).await
            });
            Self { proxy, wish, run }
        }

        /// A connection on which the next request has come.
        async fn asked(&self) -> TcpStream {
            let (mut peer, _) = self.proxy.accept().await.unwrap();
            hear(&mut peer).await;
            peer
        }
    }

    async fn hear(peer: &mut TcpStream) {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert!(peer.read_buf(&mut heard).await.unwrap() > 0, "no whole request");
        }
    }

    fn row(tally: &Tally, what: &str) -> Option<String> {
        let text = tally.to_string();
        text.lines().find_map(|line| line.trim().strip_suffix(what).map(|count| count.trim().to_owned()))
    }

    #[tokio::test]
    async fn interrupted_it_waits_for_what_is_on_its_way_and_begins_nothing() {
        let rig = Rig::new(5, None, Duration::from_secs(3600)).await;
        let mut peer = rig.asked().await;
        peer.write_all(STORED).await.unwrap();
        hear(&mut peer).await;
        rig.wish.send_replace(true);
        peer.write_all(STORED).await.unwrap();
        let tally = rig.run.await.unwrap();
        assert_eq!(row(&tally, "stored").as_deref(), Some("2"), "{tally}");
        assert_eq!(row(&tally, "not tried").as_deref(), Some("3"), "{tally}");
        assert_eq!(row(&tally, "cut off by the interrupt"), None, "{tally}");
    }

    #[tokio::test]
    async fn what_does_not_end_within_the_grace_is_cut_off_and_said() {
        let rig = Rig::new(5, None, Duration::from_millis(1)).await;
        let _never_answered = rig.asked().await;
        rig.wish.send_replace(true);
        let tally = rig.run.await.unwrap();
        assert_eq!(row(&tally, "cut off by the interrupt").as_deref(), Some("1"), "{tally}");
        assert_eq!(row(&tally, "not tried").as_deref(), Some("4"), "{tally}");
    }

    #[tokio::test]
    async fn an_interrupt_does_not_wait_for_the_pace() {
        let rig = Rig::new(5, Some(0.001), Duration::from_secs(3600)).await;
        rig.asked().await.write_all(STORED).await.unwrap();
        rig.wish.send_replace(true);
        let tally = rig.run.await.unwrap();
        assert_eq!(row(&tally, "not tried").as_deref(), Some("4"), "{tally}");
    }
}
