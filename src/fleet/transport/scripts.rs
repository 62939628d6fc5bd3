//! The four scripts that run in the store, and the names of the keys they touch.
//!
//! They are Lua with `allow-oom` (Redis 7, Valkey): a store that is full of values must still take purges and heart-beats, which are what
//! keeps those values honest. A replica refuses all of them, as they may write.
//!
//! There is no key of its own for the end of the log: a stream remembers the last id it gave, also when it was trimmed to nothing, and
//! what stands in one place can't contradict itself.

use crate::fleet::links::{CallError, Links, Role, Script};
use crate::fleet::names;
use redis::{Cmd, Pipeline, Value};
use std::sync::LazyLock;
use std::time::Duration;

/// A script, and its digest, computed once.
#[derive(Debug)]
pub struct Digested {
    pub script: Script,
    digest: LazyLock<String>,
}

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $($file:literal),+) => {
        $(#[$doc])*
        pub static $name: Digested = Digested {
            script: Script { text: concat!($(include_str!($file)),+) },
            digest: LazyLock::new(|| redis::Script::new(concat!($(include_str!($file)),+)).get_hash().to_owned()),
        };
    };
}

script!(
    /// Adds records.
    APPEND, "common.lua", "append.lua"
);
script!(
    /// Heart-beat and read.
    SYNC, "common.lua", "sync.lua"
);
script!(
    /// A write for `WAIT` to follow.
    NUMBER, "number.lua"
);
script!(
    /// Signs off.
    LEAVE, "common.lua", "leave.lua"
);

/// The log's names ([`names`]) as calls take them: all in one slot.
#[derive(Clone, Debug)]
pub struct Names {
    /// The stream.
    pub log: Vec<u8>,
    /// A hash: node → `ms applied name`.
    pub nodes: Vec<u8>,
    /// The number of this node's last write that `WAIT` followed.
    pub number: Vec<u8>,
}

impl Names {
    pub fn new(names: &names::Names, node: &str) -> Self {
        let number = names.of_log(&format!("number:{node}"));
        Self { log: names.log().into(), nodes: names.nodes().into(), number: number.into() }
    }
}

/// What a call of a script has in common with others.
#[derive(Debug)]
pub struct Run<'a> {
    pub role: Role,
    pub keys: &'a [&'a [u8]],
    pub args: &'a [&'a [u8]],
    /// Commands in the same write, after the script.
    pub then: &'a [Cmd],
    pub patience: Duration,
}

impl Digested {
    /// Runs it with what follows it: one value for each. Where the server doesn't know the script, everything is sent again with
    /// its text.
    pub async fn run(&self, links: &Links, run: Run<'_>) -> Result<Vec<Value>, CallError> {
        if run.then.is_empty() {
            let value = links.script(run.role, &self.script, run.keys, run.args, run.patience).await?;
            return Ok(vec![value]);
        }
        let route = run.keys.first().copied().unwrap_or_default();
        let pipeline = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(run.keys.len()).arg(run.keys).arg(run.args);
            let mut pipeline = Pipeline::with_capacity(1 + run.then.len());
            pipeline.add_command(command);
            for command in run.then {
                pipeline.add_command(command.clone());
            }
            pipeline
        };
        let by_digest = pipeline("EVALSHA", &self.digest);
        let values = links.call(run.role, route, &by_digest, run.patience).await?;
        match values.first() {
            Some(Value::ServerError(e)) if e.kind() == Some(redis::ServerErrorKind::NoScript) => {
                links.call(run.role, route, &pipeline("EVAL", self.script.text), run.patience).await
            }
            _ => Ok(values),
        }
    }
}
