//! Clients and purgers that go on by themselves while a test breaks things, and note everything that should not have been.

use super::oracle::{Life, Oracle};
use super::{Caller, Origin, now};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

/// A node as the load sees it.
#[derive(Clone, Debug)]
pub struct Target {
    pub life: Life,
    pub caller: Caller,
    /// It is being killed, or down: errors are the test's own doing.
    pub down: bool,
    /// It is stopped: only a few ask it, and wait.
    pub shy: bool,
}

/// What clients and purgers share.
#[derive(Debug)]
pub struct Shared {
    pub targets: RwLock<Vec<Target>>,
    pub origin: Arc<Origin>,
    pub oracle: Oracle,
    pages: u64,
    stop: AtomicBool,
    seed: u64,
    pub seen: Seen,
}

/// What has happened.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: AtomicU64,
    pub hits: AtomicU64,
    pub purges: AtomicU64,
    /// Of which everywhere, or in the log, when they were answered.
    pub done: AtomicU64,
    /// Answers that must not have been: stale, wrong, 5xx, broken.
    wrong: Mutex<Vec<String>>,
    latencies: Mutex<Vec<Duration>>,
}

impl Seen {
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    pub fn latencies(&self) -> Vec<Duration> {
        self.latencies.lock().unwrap().clone()
    }

    fn note(&self, what: String) {
        eprintln!("[{:8.3} s] {what}", now().as_secs_f64());
        self.wrong.lock().unwrap().push(what);
    }
}

/// Clients and purgers at work. Dropped: they stop.
#[derive(Debug)]
pub struct Load {
    pub shared: Arc<Shared>,
    tasks: tokio::task::JoinSet<()>,
}

impl Load {
    /// `pages` of all sizes, clients and purgers; every choice follows from the seed.
    pub fn start(
        callers: Vec<Caller>,
        origin: Arc<Origin>,
        max_unsynced: Duration,
        (clients, purgers, pages): (u64, u64, u64),
        seed: u64,
    ) -> Self {
        for number in 0..pages {
            let size = [0, 0, 500, 3_000, 20_000, 100_000][usize::try_from(number % 6).unwrap()];
            let delay = Duration::from_millis([0, 3, 15, 60][usize::try_from(number % 4).unwrap()]);
            origin.page(&path(number), |page| (page.size, page.delay) = (size, delay));
        }
        let target =
            |(node, caller)| Target { life: Life { node, number: 0 }, caller, down: false, shy: false };
        let shared = Arc::new(Shared {
            targets: RwLock::new(callers.into_iter().enumerate().map(target).collect()),
            origin,
            oracle: Oracle::new(max_unsynced),
            pages,
            stop: AtomicBool::new(false),
            seed,
            seen: Seen::default(),
        });
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..clients {
            tasks.spawn(shared.clone().client(number));
        }
        for number in 0..purgers {
            tasks.spawn(shared.clone().purger(1000 + number));
        }
        Self { shared, tasks }
    }

    /// Ends it when everybody has got the answer to what they asked last.
    pub async fn stop(self) -> Arc<Shared> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        self.shared
    }
}

pub fn path(number: u64) -> String {
    format!("/page/{number}")
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn random(&self, number: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(number))
    }

    /// A node that should be up, and a page; few pages get most of the requests.
    fn choice(&self, random: &mut fastrand::Rng) -> (Option<Target>, String) {
        let bold = random.u8(0..30) == 0;
        let asked = |t: &&Target| !t.down && (bold || !t.shy);
        let up: Vec<Target> = self.targets.read().unwrap().iter().filter(asked).cloned().collect();
        let page = random.u64(0..self.pages).min(random.u64(0..self.pages));
        (random.choice(up), path(page))
    }

    /// Whether what this process answers is still of interest.
    fn is_same(&self, target: &Target) -> bool {
        let targets = self.targets.read().unwrap();
        targets.get(target.life.node).is_some_and(|t| t.life == target.life && !t.down)
    }

    async fn client(self: Arc<Self>, number: u64) {
        let mut random = self.random(number);
        while !self.stopped() {
            let (target, path) = self.choice(&mut random);
            match target {
                Some(target) => self.ask(&target, &path).await,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            tokio::time::sleep(Duration::from_millis(random.u64(0..10))).await;
        }
    }

    /// One request, judged.
    pub async fn ask(&self, target: &Target, path: &str) {
        let answer = match target.caller.try_get(path).await {
            Ok(answer) => answer,
            Err(_) if !self.is_same(target) => return,
            Err(error) => return self.seen.note(format!("{path} of {}: {error}", target.caller.name)),
        };
        self.seen.requests.fetch_add(1, Ordering::Relaxed);
        self.seen.hits.fetch_add(u64::from(answer.is_hit()), Ordering::Relaxed);
        self.seen.latencies.lock().unwrap().push(answer.took);
        let who = format!("{path} of {} ({:?})", target.caller.name, target.life);
        let Some(version) = answer.try_version() else {
            return self.seen.note(format!(
                "{who}: {} {:?} {:?}",
                answer.status,
                answer.headers,
                answer.text()
            ));
        };
        let least = self.oracle.least(path, target.life, answer.began);
        if version < least {
            self.seen.note(format!(
                "STALE: {who}: version {version}, not {least}; began at {:.3} s, took {:?}: {} age {}",
                answer.began.as_secs_f64(),
                answer.took,
                answer.header("cache-status"),
                answer.header("age"),
            ));
        }
    }

    async fn purger(self: Arc<Self>, number: u64) {
        let mut random = self.random(number);
        while !self.stopped() {
            if let (Some(target), path) = self.choice(&mut random) {
                self.purge(&target, &path, &mut random).await;
            }
            tokio::time::sleep(Duration::from_millis(random.u64(5..60))).await;
        }
    }

    /// A new version at the origin, and a purge of the old in one of the ways there are.
    async fn purge(&self, target: &Target, path: &str, random: &mut fastrand::Rng) {
        if random.u8(0..10) == 0 {
            return self.write(target, path).await;
        }
        let version = self.origin.bump(path);
        let mode = ["hard", "hard", "invalidate", "soft"][random.usize(0..4)];
        let fleet = random.u8(0..4) > 0;
        let mut purge = match random.u8(0..40) {
            0 => json!({ "hosts": ["site.example"] }),
            1..5 => json!({ "prefixes": [format!("site.example{path}")] }),
            5..15 => json!({ "urls": [format!("http://site.example{path}")] }),
            _ => json!({ "tags": [format!("page:{path}")] }),
        };
        purge["mode"] = mode.into();
        purge["wait"] = if fleet { "fleet" } else { "node" }.into();
        let receipt = match target.caller.try_purge(&purge).await {
            Ok(receipt) => receipt,
            Err(_) if !self.is_same(target) => return,
            Err(error) => return self.seen.note(format!("purge on {}: {error}", target.caller.name)),
        };
        self.seen.purges.fetch_add(1, Ordering::Relaxed);
        self.seen.done.fetch_add(u64::from(receipt.status == 200), Ordering::Relaxed);
        match receipt.status {
            200 | 202 => {
                let everywhere = fleet && receipt.total == self.targets.read().unwrap().len();
                self.oracle.purged(path, version, target.life, everywhere, &receipt);
            }
            status => self.seen.note(format!("purge on {}: {status} {}", target.caller.name, receipt.said)),
        }
    }

    /// A write through the proxy, which changes the page: whoever wrote reads it on the same node (RFC 9111 §4.4).
    async fn write(&self, target: &Target, path: &str) {
        let before = self.origin.version(path);
        match target.caller.try_send("POST", path).await {
            Ok(answer) if answer.status == 204 => {
                self.oracle.written(path, before + 1, target.life, answer.began + answer.took);
            }
            Ok(answer) => self.seen.note(format!("write on {}: {}", target.caller.name, answer.status)),
            Err(_) if !self.is_same(target) => {}
            Err(error) => self.seen.note(format!("write on {}: {error}", target.caller.name)),
        }
    }
}
