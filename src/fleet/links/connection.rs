//! One connection to one server, shared by all callers of its role.
//!
//! The redis crate's multiplexed connection does the talking, its driver runs as a task that ends with this value. Its own time-outs
//! are off; callers bring theirs, and when they have gone their answers still arrive and are dropped. So what is
//! *outstanding* is not what is being waited for: it is counted here, by numbers, as answers come in the order of the calls.

use super::dial::Dial;
use super::error::{self, CallError, Fault, Meaning};
use super::meter::{Meter, Metered};
use crate::clock::Clock;
use crate::fleet::settings::{Address, Auth};
use crate::time::Mono;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Calls that are sent and not answered; beyond that none is accepted.
pub(super) const MOST_OUTSTANDING: u64 = 1024;
/// Calls in a row that ran out of time without the connection bringing anything: it is thrown away.
const RAN_OUT: u32 = 3;
/// But not before it was silent for so long: callers that run out at the same moment are one sign, not three.
const SHORT_SILENCE: Duration = Duration::from_millis(150);
/// A call ran out of time on a connection that was silent for so long: thrown away at once.
const LONG_SILENCE: Duration = Duration::from_secs(1);
/// Commands that wait for the socket; beyond that callers wait for their turn.
const QUEUE: usize = 128;
/// Bytes that are gathered before they must go out.
const WRITE_BUFFER: usize = 64 * 1024;

/// What it takes to connect.
#[derive(Debug)]
pub(super) struct Linker {
    pub dial: Arc<dyn Dial>,
    pub auth: Auth,
    pub db: i64,
    /// Ask a new connection whether it leads to a master.
    pub check_master: bool,
    /// Bytes that may come between two answers.
    pub most_bytes: u64,
    pub clock: Clock,
}

impl Linker {
    /// Connects for calls.
    pub async fn connect(&self, address: &Address) -> Result<Arc<Connection>, Fault> {
        let connection = self.open(address, &self.auth, self.db).await?;
        if self.check_master {
            connection.check_master().await?;
        }
        Ok(Arc::new(connection))
    }

    /// Connects with these credentials, to this database.
    pub async fn open(&self, address: &Address, auth: &Auth, db: i64) -> Result<Connection, Fault> {
        let stream = self
            .dial
            .dial(address)
            .await
            .map_err(|e| Fault::new(CallError::Connect, format_args!("{address}: {e}")))?;
        let meter = Meter::new(self.most_bytes);
        let stream = Metered::new(stream, Arc::clone(&meter));
        let mut info = RedisConnectionInfo::default().set_db(db).set_skip_set_lib_name();
        if let Some(username) = &auth.username {
            info = info.set_username(username);
        }
        if let Some(password) = &auth.password {
            info = info.set_password(password);
        }
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_write_backpressure_boundary(WRITE_BUFFER);
        let (multiplexed, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|e| Fault::of_setup(&e))?;
        Ok(Connection {
            multiplexed,
            driver: tokio::spawn(driver),
            meter,
            clock: self.clock.clone(),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            moved_at: AtomicU64::new(0),
            ran_out: AtomicU32::new(0),
        })
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    multiplexed: MultiplexedConnection,
    driver: JoinHandle<()>,
    meter: Arc<Meter>,
    clock: Clock,
    /// Number of the last call that was sent, and of the last whose answer came.
    sent: AtomicU64,
    answered: AtomicU64,
    /// [`Mono`] of the last answer, or of the call after which there was one to wait for.
    moved_at: AtomicU64,
    /// Calls that ran out of time since the last answer.
    ran_out: AtomicU32,
}

impl Connection {
    /// Sends the commands in one write and waits for as many replies as there are (two more for a transaction: of `MULTI` and
    /// `EXEC`). Waits for ever: bound it.
    pub async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Fault> {
        if self.outstanding() >= MOST_OUTSTANDING {
            return Err(Fault::own(CallError::NotNow, "too many calls under way"));
        }
        let number = self.sent.fetch_add(1, Ordering::AcqRel) + 1;
        if number == self.answered.load(Ordering::Acquire) + 1 {
            self.moved_at.store(self.clock.now().mono.0, Ordering::Release);
        }
        let replies = commands.len() + if commands.is_transaction() { 2 } else { 0 };
        let answer = self.multiplexed.clone().send_packed_commands(commands, 0, replies).await;
        let values = answer.map_err(|e| Fault::new(CallError::Broken, e))?;
        self.meter.reset();
        self.answered.fetch_max(number, Ordering::AcqRel);
        self.moved_at.store(self.clock.now().mono.0, Ordering::Release);
        self.ran_out.store(0, Ordering::Release);
        if values.len() == replies {
            Ok(values)
        } else {
            Err(Fault::new(CallError::Refused, "another number of replies than commands"))
        }
    }

    pub fn outstanding(&self) -> u64 {
        self.sent.load(Ordering::Acquire).saturating_sub(self.answered.load(Ordering::Acquire))
    }

    /// It is up, and takes calls.
    pub fn is_usable(&self) -> bool {
        let stuck = self.outstanding() >= MOST_OUTSTANDING && self.silent_for() > LONG_SILENCE;
        !stuck && !self.driver.is_finished()
    }

    /// A call ran out of time here; true when the connection is to be thrown away.
    pub fn ran_out(&self) -> bool {
        let times = self.ran_out.fetch_add(1, Ordering::AcqRel) + 1;
        let silent = self.silent_for();
        silent > LONG_SILENCE || (times >= RAN_OUT && silent >= SHORT_SILENCE)
    }

    /// How long something has been outstanding without anything coming.
    fn silent_for(&self) -> Duration {
        self.clock.now().mono.since(Mono(self.moved_at.load(Ordering::Acquire)))
    }

    /// A sentinel may be late, and a master may have become a replica since: it knows best itself.
    pub async fn check_master(&self) -> Result<(), Fault> {
        let mut role = redis::pipe();
        role.cmd("ROLE");
        match self.send(&role).await?.into_iter().next() {
            Some(Value::Array(parts)) => match parts.first() {
                Some(Value::BulkString(role)) if role == b"master" => Ok(()),
                _ => Err(Fault::new(CallError::NotNow, "not a master")),
            },
            Some(Value::ServerError(e)) => match error::meaning(&e) {
                // Not allowed to ask: what writes bring will tell.
                Meaning::Plain => Ok(()),
                Meaning::Fault(why) => Err(Fault::new(why, error::text(&e))),
                Meaning::Redirect { .. } | Meaning::Again => {
                    Err(Fault::new(CallError::NotNow, error::text(&e)))
                }
            },
            _ => Err(Fault::new(CallError::Refused, "ROLE: an answer of another shape")),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
