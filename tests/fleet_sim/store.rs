//! Two servers as the transport sees them: each knows exactly the scripts and commands that it sends, with the meaning they have in
//! Redis (`src/fleet/transport/tests` holds the scripts to it). One leads, the other follows, late; they change places, lose what was not
//! replicated, restart empty, are trimmed; and one that was replaced goes on answering.

use crate::content;
use larder::clock::Clock;
use larder::purge::PurgeId;
use larder::purge::fleet::{Body, codec};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use tokio::sync::Notify;

pub const SERVERS: usize = 2;
pub const NAMES: [&str; SERVERS] = ["store-0", "store-1"];

macro_rules! script {
    ($($file:literal),+) => { concat!($(include_str!(concat!("../../src/fleet/transport/", $file))),+) };
}
pub const APPEND: &str = script!("common.lua", "append.lua");
pub const SYNC: &str = script!("common.lua", "sync.lua");
pub const NUMBER: &str = script!("number.lua");
pub const LEAVE: &str = script!("common.lua", "leave.lua");

/// A rule that is broken: then promises must break, or the simulation sees nothing. Most hide from the nodes what the store must tell
/// them, which is the same as nodes that don't look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Records that are missing are not missed.
    NoGaps,
    /// The end of the log is not compared with where a node stands.
    NoTails,
    /// A node that is cut off serves on as if nothing were.
    ServeUnsynced,
    /// Every master says that it has no replicas, so that its word is taken for proof.
    NoReplicas,
    /// A server claims to have numbers that another one took.
    AnyNumber,
    /// A node's position is published although it is on another branch.
    AnyBranch,
    /// A list of nodes that was lost looks like the one before.
    SameList,
}

impl Flaw {
    pub const ALL: [Self; 7] = [
        Self::NoGaps,
        Self::NoTails,
        Self::ServeUnsynced,
        Self::NoReplicas,
        Self::AnyNumber,
        Self::AnyBranch,
        Self::SameList,
    ];

    pub fn is_obvious(self) -> bool {
        matches!(self, Self::NoGaps | Self::NoTails | Self::ServeUnsynced)
    }
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// It refuses what would take memory.
    Full,
    /// It refuses everything.
    Loading,
    /// It answers late by so many ms.
    Slow(u64),
    /// What it answers means nothing.
    Rubbish,
}

#[derive(Clone, Debug)]
pub struct Stored {
    pub id: PurgeId,
    prev: Option<PurgeId>,
    payload: Arc<[u8]>,
}

/// What is replicated.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub records: Vec<Stored>,
    pub last: PurgeId,
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    since: Option<String>,
    numbers: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Purges that were ever appended; trimming forgets none.
    pub holds: BTreeSet<usize>,
    /// Counts writes.
    pub offset: u64,
}

#[derive(Debug)]
pub struct Server {
    pub data: Data,
    pub is_replica: bool,
    /// Names the branch of data it leads.
    pub history: u64,
    /// What its replica has acknowledged; `None` = it sees none.
    pub acknowledged: Option<u64>,
    /// Its clock against the true time, ms.
    pub skew: i64,
    /// All connections are to be closed. (A channel would wake them in an order of its own.)
    pub closed: Arc<Notify>,
    /// One of them is.
    pub reset: Arc<Notify>,
    pub scripts: HashSet<String>,
    pub mood: Mood,
    flaw: Flaw,
    clock: Clock,
}

#[derive(Debug)]
pub enum Reply {
    Ok,
    Nil,
    Int(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Error(&'static str),
}

impl Reply {
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => out.extend(b"+OK\r\n"),
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::Int(n) => out.extend(format!(":{n}\r\n").bytes()),
            Self::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
            Self::Bulk(bytes) => {
                out.extend(format!("${}\r\n", bytes.len()).bytes());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Self::Array(parts) => {
                out.extend(format!("*{}\r\n", parts.len()).bytes());
                parts.iter().for_each(|part| part.write(out));
            }
        }
    }
}

fn bulk(text: impl ToString) -> Reply {
    Reply::Bulk(text.to_string().into_bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Server {
    pub fn new(clock: Clock, flaw: Flaw, history: u64, is_replica: bool, skew: i64) -> Self {
        Self {
            data: Data::default(),
            is_replica,
            history,
            acknowledged: None,
            skew,
            closed: Arc::default(),
            reset: Arc::default(),
            scripts: HashSet::new(),
            mood: Mood::Well,
            flaw,
            clock,
        }
    }

    pub fn now(&self) -> u64 {
        self.clock.now().wall.0.saturating_add_signed(self.skew)
    }

    /// A script by its text; `keys` and `args` as in Redis.
    pub fn script(&mut self, script: &str, keys: &[Vec<u8>], args: &[Vec<u8>], portion: usize) -> Reply {
        if self.is_replica {
            return Reply::Error("READONLY You can't write against a read only replica.");
        }
        match self.mood {
            Mood::Full if script == APPEND => {
                return Reply::Error("OOM command not allowed when used memory > 'maxmemory'.");
            }
            Mood::Loading => return Reply::Error("LOADING the dataset is in memory soon"),
            Mood::Rubbish => return Reply::Array(vec![bulk("rubbish"), Reply::Nil]),
            Mood::Well | Mood::Full | Mood::Slow(_) => {}
        }
        self.data.offset += 1;
        match script {
            APPEND => self.append(args),
            SYNC => self.sync(keys, args, portion),
            NUMBER => {
                self.data.numbers.insert(keys[0].clone(), args[0].clone());
                Reply::Ok
            }
            LEAVE => {
                let said = format!("{} bye {}", self.now(), text(&args[1]));
                self.data.nodes.insert(args[0].clone(), said.into_bytes());
                Reply::Int(0)
            }
            _ => Reply::Error("ERR a script that nobody knows"),
        }
    }

    fn append(&mut self, args: &[Vec<u8>]) -> Reply {
        let above = text(&args[0]).parse().unwrap();
        for record in args[3..].chunks_exact(2) {
            let nonce = text(&record[0]).parse().unwrap();
            let id = PurgeId::appended(self.data.last, above, self.now(), nonce);
            self.push(id, Some(self.data.last), &record[1]);
        }
        bulk(self.data.last)
    }

    pub fn push(&mut self, id: PurgeId, prev: Option<PurgeId>, payload: &[u8]) {
        assert!(id > self.data.last, "a stream refuses ids that don't rise");
        if let (_, Body::Purge(purge)) = codec::decode(payload) {
            self.data.holds.extend(content::number(&purge));
        }
        tracing::debug!(%id, ?prev, what = %String::from_utf8_lossy(payload), "record");
        self.data.records.push(Stored { id, prev, payload: payload.into() });
        self.data.last = id;
    }

    fn sync(&mut self, keys: &[Vec<u8>], args: &[Vec<u8>], portion: usize) -> Reply {
        let position = text(&args[0]);
        let after = position.parse().unwrap_or(PurgeId::ZERO);
        let mut later = self.data.records.iter().filter(|record| record.id > after);
        let records: Vec<&Stored> = later.by_ref().take(portion).collect();
        let tail = match (later.next(), records.last()) {
            (Some(_), _) => None,
            (None, Some(last)) => Some(last.id),
            (None, None) => Some(self.data.last),
        };
        let id = |id: PurgeId| id.to_string();
        let on_branch = match records.first() {
            Some(first) => first.prev.map(id).as_deref() == Some(&position),
            None => tail.map(id).as_deref() == Some(&position),
        };
        let stands = (!position.is_empty()).then_some(after);
        let tail = match (tail, stands) {
            (Some(tail), Some(at)) if self.hides(&records, tail, at) => Some(at),
            _ => tail,
        };
        let skipped =
            records.first().and_then(|first| first.prev).zip(stands).is_some_and(|(prev, at)| prev > at);
        let records = records.into_iter().enumerate().map(|(nth, record)| {
            let prev = match nth {
                0 if skipped && self.flaw == Flaw::NoGaps => position.clone(),
                _ => record.prev.map_or_else(String::new, id),
            };
            Reply::Array(vec![bulk(record.id), bulk(prev), Reply::Bulk(record.payload.to_vec())])
        });
        let records = Reply::Array(records.collect());
        let now = self.now();
        let signed_off = |said: &Vec<u8>| text(said).split(' ').nth(1) == Some("bye");
        if !self.data.nodes.get(&args[1]).is_some_and(signed_off) {
            let applied = if on_branch || self.flaw == Flaw::AnyBranch && !position.is_empty() {
                position.as_str()
            } else {
                "0-0"
            };
            let said = format!("{now} {applied} {}", text(&args[2]));
            self.data.nodes.insert(args[1].clone(), said.into_bytes());
        }
        let since = self.data.since.get_or_insert_with(|| format!("{now} {}", text(&args[1]))).clone();
        let forget: u64 = text(&args[5]).parse().unwrap();
        self.data.nodes.retain(|_, said| {
            let at: u64 = text(said).split(' ').next().unwrap().parse().unwrap();
            now.saturating_sub(at) <= forget
        });
        let nodes =
            self.data.nodes.iter().flat_map(|(node, said)| [node, said].map(|b| Reply::Bulk(b.clone())));
        Reply::Array(vec![
            bulk(now),
            tail.map_or(Reply::Nil, bulk),
            records,
            Reply::Array(nodes.collect()),
            bulk(if self.flaw == Flaw::SameList { "since ever" } else { &since }),
            match self.data.numbers.get(&keys[2]) {
                _ if self.flaw == Flaw::AnyNumber => bulk(u64::MAX),
                Some(number) => Reply::Bulk(number.clone()),
                None => Reply::Nil,
            },
        ])
    }

    /// Whether a flaw hides that the log ends elsewhere than where the node stands.
    fn hides(&self, records: &[&Stored], tail: PurgeId, at: PurgeId) -> bool {
        records.is_empty()
            && match self.flaw {
                Flaw::NoGaps => tail > at,
                Flaw::NoTails => tail != at,
                _ => false,
            }
    }

    pub fn info(&self) -> Reply {
        let role = if self.is_replica { "slave" } else { "master" };
        let mut info = format!("# Replication\r\nrole:{role}\r\n");
        match self.acknowledged.filter(|_| self.flaw != Flaw::NoReplicas) {
            Some(offset) => info.push_str(&format!(
                "connected_slaves:1\r\nslave0:ip=10.0.0.1,port=6379,state=online,offset={offset},lag=0\r\n"
            )),
            None => info.push_str("connected_slaves:0\r\n"),
        }
        info.push_str(&format!("master_replid:{:040x}\r\n", self.history));
        bulk(info)
    }
}

/// Both of them, and who is which.
#[derive(Debug)]
pub struct Store {
    pub servers: [Server; SERVERS],
    pub master: usize,
    /// The replica follows.
    pub linked: bool,
    /// The master has another replica, which never leads: what it takes is acknowledged although the old master is
    /// still cut off.
    pub third: bool,
    /// The other one believes that it is the master, too.
    pub isolated: bool,
    histories: u64,
    /// When the store last lost data otherwise than by a fail-over, ms.
    pub lost_at: Option<u64>,
    /// What its master has on disk.
    saved: Data,
}

impl Store {
    pub fn new(clock: &Clock, flaw: Flaw, skews: [i64; SERVERS]) -> Self {
        let servers = [
            Server::new(clock.clone(), flaw, 1, false, skews[0]),
            Server::new(clock.clone(), flaw, 1, true, skews[1]),
        ];
        Self {
            servers,
            master: 0,
            linked: false,
            third: false,
            isolated: false,
            histories: 1,
            lost_at: None,
            saved: Data::default(),
        }
    }

    pub fn other(&self) -> usize {
        1 - self.master
    }

    pub fn leader(&self) -> &Server {
        &self.servers[self.master]
    }

    pub fn leader_mut(&mut self) -> &mut Server {
        &mut self.servers[self.master]
    }

    /// The replica catches up.
    pub fn replicate(&mut self) {
        if self.linked {
            let data = self.leader().data.clone();
            self.leader_mut().acknowledged = Some(data.offset);
            let (history, other) = (self.leader().history, self.other());
            self.servers[other].data = data;
            self.servers[other].history = history;
        } else if self.third {
            let leader = self.leader_mut();
            leader.acknowledged = Some(leader.data.offset);
        }
    }

    /// Becomes a replica again, or for the first time: whoever was connected is told to go.
    pub fn attach(&mut self) {
        let other = self.other();
        let server = &mut self.servers[other];
        server.is_replica = true;
        server.acknowledged = None;
        if self.isolated {
            server.closed.notify_waiters();
        }
        self.isolated = false;
        self.linked = true;
        self.replicate();
    }

    /// The replica leads, without what it hadn't got. The old one doesn't know. False if there is no replica that could.
    pub fn fail_over(&mut self) -> bool {
        if !self.linked {
            return false;
        }
        self.linked = false;
        self.third = false;
        self.isolated = true;
        self.histories += 1;
        self.master = self.other();
        let history = self.histories;
        let leader = self.leader_mut();
        leader.is_replica = false;
        leader.history = history;
        leader.acknowledged = None;
        true
    }

    pub fn save(&mut self) {
        self.saved = self.leader().data.clone();
    }

    /// Nothing is left.
    pub fn flush(&mut self) {
        self.lost_at = Some(self.leader().clock.now().mono.0);
        let leader = self.leader_mut();
        leader.data = Data { offset: leader.data.offset, ..Data::default() };
        if self.linked {
            self.replicate();
        }
    }

    /// Another process leads, with what was on disk, or with nothing.
    pub fn restart(&mut self, with_saved: bool) {
        self.lost_at = Some(self.leader().clock.now().mono.0);
        self.histories += 1;
        let (history, saved) = (self.histories, self.saved.clone());
        let leader = self.leader_mut();
        let offset = leader.data.offset;
        leader.data = Data { offset, ..if with_saved { saved } else { Data::default() } };
        leader.history = history;
        leader.acknowledged = None;
        leader.closed.notify_waiters();
        leader.scripts.clear();
        // Its replica follows the new process only once it is attached again.
        self.linked = false;
        self.third = false;
    }
}
