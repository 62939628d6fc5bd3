//! Tests of the links: tables, scripted servers for what goes wrong, and real servers for what must go right.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

mod fake;
mod limits;
mod real;
mod real_fleets;
mod redirects;
mod replies;
mod servers;
mod simulated;
mod tables;

use super::*;
use crate::fleet::settings::{Auth, Keys, WhenUnsynced};
use redis::{Pipeline, Value};

/// Long enough for a busy machine; only a failing test waits for it.
const AMPLE: Duration = Duration::from_secs(10);

fn address(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

fn settings(topology: Topology) -> Settings {
    Settings {
        topology,
        tls: false,
        auth: Auth::default(),
        db: 0,
        namespace: "larder".into(),
        timeout: Duration::from_millis(50),
        max_object: 8 << 20,
        breaker: settings::Breaker { failures: 5, open_for: Duration::from_secs(2) },
        lease: Duration::from_secs(10),
        max_unsynced: Duration::from_secs(10),
        when_unsynced: WhenUnsynced::Revalidate,
        keys: Keys::default(),
        secret: None,
        node_name: "test".into(),
    }
}

fn pipe(commands: &[&[&str]]) -> Pipeline {
    let mut pipe = redis::pipe();
    for command in commands {
        pipe.cmd(command[0]).arg(&command[1..]);
    }
    pipe
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// Waits until it holds; by looking, since nobody tells.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn state(links: &Links, role: Role) -> RoleState {
    links.states().into_iter().find(|state| state.role == role).unwrap()
}
