//! File descriptors: a connection is one, and the soft limit of most systems (1024) is for programs that use `select`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For files, origins' connections and the rest, beside the clients'.
const OTHERS: u64 = 512;

/// Raises the soft limit to the hard one, and says so when it does not suffice for `connections`.
pub fn raise(connections: usize) {
    let had = getrlimit(Resource::Nofile);
    let limit = match setrlimit(Resource::Nofile, Rlimit { current: had.maximum, maximum: had.maximum }) {
        Ok(()) => had.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit on file descriptors stays");
            had.current
        }
    };
    if let Some(limit) = limit.filter(|limit| *limit < connections as u64 + OTHERS) {
        tracing::warn!(
            limit,
            connections,
            "fewer file descriptors (RLIMIT_NOFILE) than `server.limits.connections` and {OTHERS} others may need"
        );
    }
}
