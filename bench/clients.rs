//! The clients of `bench/compare` for what wrk can't ask. Prints one JSON object.
//!
//!     clients cold   ADDRESS PATH CLIENTS                        all connected first, then all ask at once
//!     clients paced  ADDRESS PATH OBJECTS CLIENTS RATE SECONDS   so many requests/s over PATH0, PATH1, ...
//!     clients fill   ADDRESS PATH OBJECTS CLIENTS                each of PATH0, PATH1, ... once
//!     clients stream ADDRESS PATH                                one long body
//!
//! `cold` says when the first and the last client were done. `paced` measures from when a request was due, not from when it
//! could be sent, so that an answer that hangs counts for everyone who would have asked meanwhile (a closed loop hides those).
//! Answers must have a Content-Length and the status 200; anything else is an error and counted as one.

use bytes::BytesMut;
use larder::clock::Clock;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

type Fail = Box<dyn Error + Send + Sync>;

/// Longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest response head.
const HEAD: usize = 16 * 1024;

/// One connection, and what was read beyond the last answer (nothing, unless a server is broken).
struct Client {
    stream: TcpStream,
    host: String,
    buffer: BytesMut,
}

/// The sizes of one answer.
struct Answer {
    head: usize,
    body: u64,
}

impl Client {
    async fn connect(address: &str) -> Result<Self, Fail> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address.to_owned(), buffer: BytesMut::with_capacity(256 * 1024) })
    }

    async fn get(&mut self, path: &str) -> Result<Answer, Fail> {
        timeout(PATIENCE, self.whole(path)).await?
    }

    async fn whole(&mut self, path: &str) -> Result<Answer, Fail> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, body) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("closed before the head ended".into());
            }
            if let Some(sizes) = sizes(&self.buffer)? {
                break sizes;
            }
            if self.buffer.len() > HEAD {
                return Err("a head without an end".into());
            }
        };
        let mut left =
            (head as u64 + body).checked_sub(self.buffer.len() as u64).ok_or("more than the answer")?;
        while left > 0 {
            self.buffer.clear();
            let read = self.stream.read_buf(&mut self.buffer).await? as u64;
            if read == 0 {
                return Err("closed before the body ended".into());
            }
            left = left.checked_sub(read).ok_or("more than the answer")?;
        }
        Ok(Answer { head, body })
    }
}

/// The lengths of head and body, once the head is there.
fn sizes(bytes: &[u8]) -> Result<Option<(usize, u64)>, Fail> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    if response.code != Some(200) {
        return Err(format!("status {:?}", response.code).into());
    }
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.ok_or("no Content-Length")?.value;
    Ok(Some((head, std::str::from_utf8(length)?.parse()?)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fail> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |n: usize| {
        arguments.get(n).cloned().ok_or("an argument is missing: see the head of bench/clients.rs")
    };
    let figure = |n: usize| -> Result<usize, Fail> { Ok(text(n)?.parse()?) };
    let (kind, address, path) = (text(0)?, text(1)?, text(2)?);
    let clock = Clock::system();
    let said = match kind.as_str() {
        "cold" => cold(&clock, address, path, figure(3)?).await?,
        "paced" => {
            let plan =
                Plan { objects: figure(3)?, clients: figure(4)?, rate: figure(5)?, seconds: figure(6)? };
            paced(&clock, address, path, plan).await?
        }
        "fill" => fill(&clock, address, path, figure(3)?, figure(4)?).await?,
        "stream" => stream(&clock, address, path).await?,
        _ => return Err("cold, paced, fill or stream?".into()),
    };
    println!("{said}");
    Ok(())
}

async fn cold(clock: &Clock, address: String, path: String, clients: usize) -> Result<Value, Fail> {
    let start = Arc::new(Barrier::new(clients + 1));
    let mut asking = JoinSet::new();
    for _ in 0..clients {
        let mut client = Client::connect(&address).await?;
        let (clock, path, start) = (clock.clone(), path.clone(), Arc::clone(&start));
        asking.spawn(async move {
            start.wait().await;
            let answer = client.get(&path).await?;
            Ok::<_, Fail>((clock.elapsed(), answer.body))
        });
    }
    start.wait().await;
    let begin = clock.elapsed();
    let (mut ends, mut lengths, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    while let Some(done) = asking.join_next().await {
        match done? {
            Ok((end, length)) => {
                ends.push((end - begin).as_secs_f64());
                lengths.push(length);
            }
            Err(error) => problems.add(&error),
        }
    }
    ends.sort_by(f64::total_cmp);
    lengths.sort_unstable();
    lengths.dedup();
    Ok(json!({
        "answered": ends.len(), "first_s": ends.first(), "last_s": ends.last(), "lengths": lengths.len(),
        "errors": problems.count, "error": problems.first,
    }))
}

#[derive(Clone, Copy)]
struct Plan {
    objects: usize,
    clients: usize,
    /// Requests per second, of all clients.
    rate: usize,
    seconds: usize,
}

async fn paced(clock: &Clock, address: String, path: String, plan: Plan) -> Result<Value, Fail> {
    // All at once, so that all go stale at once: the worst that can come.
    let mut filling = JoinSet::new();
    for object in 0..plan.objects {
        let mut client = Client::connect(&address).await?;
        let path = format!("{path}{object}");
        filling.spawn(async move { client.get(&path).await });
    }
    while let Some(done) = filling.join_next().await {
        done??;
    }
    let mut asking = JoinSet::new();
    for number in 0..plan.clients {
        let client = Client::connect(&address).await?;
        asking.spawn(one_paced(clock.clone(), client, path.clone(), number, plan));
    }
    let (mut took, mut problems) = (Vec::new(), Problems::default());
    while let Some(done) = asking.join_next().await {
        let (times, problem) = done?;
        took.extend(times);
        if let Some(problem) = problem {
            problems.add(&problem);
        }
    }
    took.sort_unstable();
    let share =
        |per_mille: usize| took.get((took.len() * per_mille / 1000).min(took.len().saturating_sub(1)));
    Ok(json!({
        "requests": took.len(), "p50_us": share(500), "p99_us": share(990), "p999_us": share(999), "max_us": took.last(),
        "errors": problems.count, "error": problems.first,
    }))
}

/// One client's share of the plan: microseconds per request, and why it ended early.
async fn one_paced(
    clock: Clock,
    mut client: Client,
    path: String,
    number: usize,
    plan: Plan,
) -> (Vec<u64>, Option<Fail>) {
    let period = Duration::from_secs_f64(plan.clients as f64 / plan.rate.max(1) as f64);
    let mut due = clock.elapsed() + period.mul_f64(number as f64 / plan.clients as f64);
    let end = clock.elapsed() + Duration::from_secs(plan.seconds as u64);
    let (mut took, mut turn) = (Vec::new(), number);
    while due < end {
        let now = clock.elapsed();
        // The timer's own lateness is not the server's: who had to wait for the due time starts when woken, who was still
        // busy with the answer before was due then.
        let begin = if now < due {
            sleep(due - now).await;
            clock.elapsed()
        } else {
            due
        };
        if let Err(error) = client.get(&format!("{path}{}", turn % plan.objects)).await {
            return (took, Some(error));
        }
        took.push(u64::try_from((clock.elapsed() - begin).as_micros()).unwrap_or(u64::MAX));
        turn += plan.clients + 1;
        due += period;
    }
    (took, None)
}

async fn fill(
    clock: &Clock,
    address: String,
    path: String,
    objects: usize,
    clients: usize,
) -> Result<Value, Fail> {
    let begin = clock.elapsed();
    let mut asking = JoinSet::new();
    for number in 0..clients {
        let mut client = Client::connect(&address).await?;
        let path = path.clone();
        asking.spawn(async move {
            let mut filled = 0_usize;
            for object in (number..objects).step_by(clients) {
                client.get(&format!("{path}{object}")).await?;
                filled += 1;
            }
            Ok::<_, Fail>(filled)
        });
    }
    let (mut filled, mut problems) = (0, Problems::default());
    while let Some(done) = asking.join_next().await {
        match done? {
            Ok(count) => filled += count,
            Err(error) => problems.add(&error),
        }
    }
    let took = (clock.elapsed() - begin).as_secs_f64();
    Ok(json!({ "filled": filled, "seconds": took, "errors": problems.count, "error": problems.first }))
}

async fn stream(clock: &Clock, address: String, path: String) -> Result<Value, Fail> {
    let mut client = Client::connect(&address).await?;
    let begin = clock.elapsed();
    // As long as it takes: whoever started this has a limit of its own.
    let answer = client.whole(&path).await?;
    Ok(
        json!({ "bytes": answer.body, "head": answer.head, "seconds": (clock.elapsed() - begin).as_secs_f64() }),
    )
}

/// How many there were, and the first one's words.
#[derive(Default)]
struct Problems {
    count: usize,
    first: Option<String>,
}

impl Problems {
    fn add(&mut self, error: &Fail) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }
}
