//! Redis and Valkey servers as processes: started on free ports, stopped, killed, restarted empty or with what they had.

use super::process::{Process, free_port};
use super::{PATIENCE, eventually, ms, now, soon};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisResult};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which server program.
#[derive(Clone, Debug)]
pub struct Engine {
    pub name: &'static str,
    binary: PathBuf,
}

impl Engine {
    /// `redis-server` of the path, or what `LARDER_REDIS` names. Without one the test fails: a fleet can't be tried
    /// without a store.
    pub fn redis() -> Self {
        let binary = std::env::var_os("LARDER_REDIS").map(PathBuf::from).or_else(|| in_path("redis-server"));
        let binary = binary.expect("redis-server is needed (Debian: apt-get install redis-server)");
        Self { name: "redis", binary }
    }

    /// What `LARDER_VALKEY` names (`tests/tools/valkey` prints one). `None`, and said so, where it is unset.
    pub fn valkey() -> Option<Self> {
        match std::env::var_os("LARDER_VALKEY") {
            Some(binary) => Some(Self { name: "valkey", binary: binary.into() }),
            None => {
                eprintln!("SKIPPED: LARDER_VALKEY names no valkey-server; this scenario ran on Redis only");
                None
            }
        }
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// One server. Dropped: killed.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    dir: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    password: Option<String>,
    process: Option<Process>,
}

impl Server {
    pub async fn start(engine: &Engine) -> Self {
        Self::with(engine, &[]).await
    }

    /// `options` as on the command line: `["--maxmemory", "4mb"]`.
    pub async fn with(engine: &Engine, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let password = options.iter().skip_while(|o| *o != "--requirepass").nth(1).cloned();
        let dir = tempfile::tempdir().unwrap();
        let mut server =
            Self { engine: engine.clone(), dir, port: free_port(), options, password, process: None };
        // Between the choice of a port and its use another test may take it.
        for _ in 0..5 {
            if server.try_run().await {
                return server;
            }
            server.port = free_port();
        }
        panic!("{} does not start:\n{}", engine.name, server.log());
    }

    /// Starts the process; whether it answers.
    async fn try_run(&mut self) -> bool {
        let dir = self.dir.path();
        let mut command = Command::new(&self.engine.binary);
        if self.options.iter().any(|o| o == "--sentinel") {
            command.arg(dir.join("sentinel.conf"));
        }
        command
            .current_dir(dir)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"])
            .arg(dir)
            .arg("--logfile")
            .arg(dir.join("log"))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !self.options.iter().any(|o| o == "--sentinel") {
            // Values lie uncompressed, so that a test can look for plain text; nothing is written to disk unless asked for.
            command.args(["--save", "", "--rdbcompression", "no", "--repl-diskless-sync-delay", "0"]);
            command.args(["--enable-debug-command", "yes", "--repl-ping-replica-period", "1"]);
        }
        let mut process = Process::spawn(&mut command);
        let begin = now();
        while process.is_alive() && now() - begin < PATIENCE {
            if self.ask::<String>(&["PING"]).await.is_ok_and(|pong| pong == "PONG") {
                self.process = Some(process);
                return true;
            }
            tokio::time::sleep(ms(10)).await;
        }
        false
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub async fn pause(&self) {
        self.process().pause().await;
    }

    pub fn resume(&self) {
        self.process().resume();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// On the same port, with what was on disk (`--appendonly yes`).
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.try_run().await, "{} does not start again:\n{}", self.engine.name, self.log());
    }

    /// On the same port, with nothing.
    pub async fn restart_empty(&mut self) {
        self.kill();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else if !path.ends_with("log") {
                std::fs::remove_file(path).unwrap();
            }
        }
        assert!(self.try_run().await, "{} does not start again:\n{}", self.engine.name, self.log());
    }

    pub async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let password = self.password.as_ref().map_or(String::new(), |p| format!(":{p}@"));
        let client = redis::Client::open(format!("redis://{password}127.0.0.1:{}", self.port))?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// One command on a connection of its own; an error reply, or no answer, is an error.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        let (name, arguments) = command.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    /// The same where nothing can go wrong.
    pub async fn tell<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let answer = soon("an answer of the store", self.ask(command)).await;
        answer.unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// A field of `INFO`.
    pub async fn info(&self, field: &str) -> Option<String> {
        let info: String = self.tell(&["INFO", "everything"]).await;
        info.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).map(|v| v.trim().to_owned())
    }

    /// All keys, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.tell(&["KEYS", "*"]).await;
        keys.sort();
        keys
    }

    /// Makes this a replica of what is at `master`, and waits until it has caught up.
    pub async fn follow(&self, master: SocketAddr) {
        let port = master.port().to_string();
        self.tell::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        eventually("a replica that has caught up", PATIENCE, async || {
            self.info("master_link_status").await.as_deref() == Some("up")
        })
        .await;
    }

    /// Makes this a master.
    pub async fn promote(&self) {
        self.tell::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    }
}

/// A sentinel that watches one master under the name `main`, alone: its word is enough.
pub async fn sentinel(engine: &Engine, master: &Server) -> Server {
    let server = Server {
        engine: engine.clone(),
        dir: tempfile::tempdir().unwrap(),
        port: free_port(),
        options: vec!["--sentinel".into()],
        password: None,
        process: None,
    };
    let config = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 3000\nsentinel parallel-syncs main 1\n",
        master.port()
    );
    std::fs::write(server.dir.path().join("sentinel.conf"), config).unwrap();
    let mut server = server;
    assert!(server.try_run().await, "the sentinel does not start:\n{}", server.log());
    server
}
