//! What the fleet's tests share: real stores ([`server`]), a proxy that plays a bad network ([`proxy`]), Larder nodes as processes
//! ([`node`]), an origin that knows what it has said ([`origin`]), and all of it put together ([`fleet`]).
//!
//! Every process ends with its test, also when that fails. Ports are free ones. Nothing waits for a fixed time: what
//! has no event of its own is polled with a deadline ([`eventually`]), and times are measured with the one clock
//! ([`now`]).
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests may panic, their helpers too

pub mod caller;
pub mod client;
pub mod cluster;
pub mod fleet;
pub mod load;
pub mod node;
pub mod oracle;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod server;

pub use caller::{Caller, Receipt};
pub use client::Answer;
pub use cluster::Cluster;
pub use fleet::{Fleet, Plan};
pub use node::Node;
pub use origin::Origin;
pub use proxy::{Fault, FaultProxy, Way};
pub use server::{Engine, Server};

use larder::clock::Clock;
use std::sync::LazyLock;
use std::time::Duration;

/// Nothing in a test takes this long; a test that waits for something that never comes fails by it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Time since this process first asked for it; the one clock of all measurements.
pub fn now() -> Duration {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::system);
    CLOCK.elapsed()
}

/// Fails the test when `what` does not happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Polls until it holds, and returns how long that took. Fails the test when it doesn't within `within`.
pub async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begin = now();
    while !holds().await {
        assert!(now() - begin < within, "not within {within:?}: {what}");
        tokio::time::sleep(ms(5)).await;
    }
    now() - begin
}

/// The `share` (0.0 to 1.0) of the sorted values, for figures.
pub fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // small counts
    let at = ((values.len() as f64 - 1.0) * share).round() as usize;
    values.get(at).copied().unwrap_or_default()
}

/// A scenario is run against Redis, and against Valkey where `LARDER_VALKEY` names its server.
macro_rules! scenario {
    ($(#[$about:meta])* async fn $name:ident($engine:ident: Engine) $body:block) => {
        $(#[$about])*
        mod $name {
            use super::*;

            async fn scenario($engine: Engine) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn redis() {
                scenario(Engine::redis()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn valkey() {
                if let Some(valkey) = Engine::valkey() {
                    scenario(valkey).await;
                }
            }
        }
    };
}
pub(crate) use scenario;
