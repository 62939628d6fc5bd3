//! What a purge costs, in this process and without sockets: `cargo run --release --example purge -- 1000000`.
//!
//! Stores that many small entries with one tag, purges the tag, and prints how long the call took, what the next look at an
//! entry says, and the memory before, after the purge and after sweeping. Then what the check costs that every
//! hit makes: while nothing is purged (one load and one comparison), and after a purge of something else (every
//! selector looked up). Figures, no verdicts: they belong to the machine they were taken on.

use larder::clock::Clock;
use larder::purge::{Born, Mode, Purge, Selector, Selectors, Verdict, extract_tags};
use larder::store::entry::{Meta, Place, PreparedHead};
use larder::store::index::Scope;
use larder::store::{Entry, Key};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Done<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Done<()> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(10_000), |n| n.parse())?;
    let clock = Clock::system();
    let yaml = format!(
        "origins: {{ app: {{ servers: [\"http://127.0.0.1:9\"] }} }}\nmemory: {{ capacity: {}MiB }}\n\
         server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: off }}\nlog: {{ access: off }}\n",
        64 + count * 2 / 1024
    );
    let loaded = larder::config::parse("bench", &yaml, std::path::Path::new(""), &|_| None)?;
    let running = larder::app::start(loaded.config, clock.clone()).await?;
    let engine = running.engine();

    let began = clock.elapsed();
    let empty = resident();
    for n in 0..count {
        engine.memory.put(&Key::new(1, &n.to_le_bytes()), Arc::new(entry(n, engine.purges.cursor())?), 1);
    }
    let charged = engine.memory.bytes();
    println!(
        "entries stored              {} in {:.2?}",
        engine.memory.index().len(),
        clock.elapsed() - began
    );
    println!("charged to the memory tier  {} MiB", charged >> 20);
    println!("resident before / full      {} / {}", mib(empty), mib(resident()));

    let probe = engine.memory.get(&Key::new(1, &0u64.to_le_bytes())).ok_or("the first entry is gone")?;
    let probe = probe.variants().first().ok_or("no variant")?.clone();
    checks(&clock, engine, &probe, "nothing else purged");
    distinct(&clock, engine, "live", 100_000);
    checks(&clock, engine, &probe, "100,000 live purges");

    println!("\nverdict before              {}", engine.verdict(&probe).as_str());
    let mut settled = engine.sweeper.settled();
    let purged = engine.purge(Purge::new(Mode::Hard, vec![Selector::tag("all")]));
    let verdict = engine.verdict(&probe);
    println!(
        "purge of one tag            {:.3?} ({} matched, exact: {})",
        purged.took, purged.matched.count, purged.matched.exact
    );
    println!("verdict after               {}", verdict.as_str());
    if verdict != Verdict::Hard {
        return Err("a purged entry would be served".into());
    }
    drop(probe);
    println!("resident after the purge    {}", mib(resident()));
    let began = clock.elapsed();
    settled.wait_for(|settled| settled.freed >= purged.matched.count).await?;
    let left = engine.memory.index().size_of(Scope::All);
    println!("swept in                    {:.2?} ({left} entries left)", clock.elapsed() - began);
    println!("charged / resident then     {} MiB / {}", engine.memory.bytes() >> 20, mib(resident()));

    let (before, began) = (resident(), clock.elapsed());
    distinct(&clock, engine, "many", 10 * count);
    println!(
        "\n{} distinct purges     {:.2?}; the table remembers {}, resident {} -> {}",
        10 * count,
        clock.elapsed() - began,
        engine.purges.remembered(),
        mib(before),
        mib(resident())
    );
    running.drain().await;
    Ok(())
}

/// Purges that many tags that nothing has.
fn distinct(clock: &Clock, engine: &larder::engine::Engine, name: &str, count: u64) {
    for n in 0..count {
        let purge = Purge::new(Mode::Hard, vec![Selector::tag(&format!("{name}{n}"))]);
        engine.purges.apply_local(&Arc::new(purge), clock.now().wall);
    }
}

/// What every hit pays, in nanoseconds.
fn checks(clock: &Clock, engine: &larder::engine::Engine, probe: &Entry, when: &str) {
    const FAST: u32 = 1_000_000;
    const SLOW: u32 = 1_000;
    let per = |took: Duration, rounds: u32| took.as_secs_f64() * 1e9 / f64::from(rounds);
    engine.verdict(probe);
    let began = clock.elapsed();
    for _ in 0..FAST {
        black_box(engine.verdict(black_box(probe)));
    }
    let fast = per(clock.elapsed() - began, FAST);
    // Every purge sends every entry to the slow path once; this one leaves a bucket that the entry's selectors pass by.
    let mut slow = Duration::ZERO;
    for n in 0..SLOW {
        engine.purges.apply_local(
            &Arc::new(Purge::new(Mode::Hard, vec![Selector::tag(&format!("other{n}"))])),
            clock.now().wall,
        );
        let began = clock.elapsed();
        black_box(engine.verdict(black_box(probe)));
        slow += clock.elapsed() - began;
    }
    let began = clock.elapsed();
    for _ in 0..SLOW {
        black_box(clock.elapsed());
    }
    let reading = per(clock.elapsed() - began, SLOW);
    let slow = (per(slow, SLOW) - reading).max(0.0);
    println!("\n{when}\ncheck, unchanged log        {fast:.1} ns");
    println!(
        "check, first after a purge  {slow:.0} ns ({:.0} times; {} selectors)",
        slow / fast,
        probe.selectors().all().len()
    );
}

fn entry(n: u64, born: Born) -> Done<Entry> {
    let mut headers = http::HeaderMap::new();
    headers.insert("cache-tag", http::HeaderValue::from_static("all"));
    let tags = extract_tags(&headers)?;
    let path = format!("/product/{n}");
    let freshness = larder::semantics::freshness::Freshness {
        lifetime: Duration::from_secs(3600),
        source: larder::semantics::freshness::Source::MaxAge,
        initial_age: Duration::ZERO,
        stale: larder::semantics::freshness::StaleUse::default(),
        must_validate: false,
        immutable: false,
        no_transform: false,
    };
    let meta = Meta {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        freshness,
        control: http::HeaderMap::new(),
        arrived: larder::time::Mono(0),
        began: larder::time::Mono(0),
        received: larder::time::Wall(0),
        date: larder::time::Wall(0),
        keep: Duration::from_secs(3600),
        nominated: Arc::from([]),
        variant: Box::default(),
        born,
        selectors: Arc::new(Selectors::new("http", "shop.example", &path, None, &tags)?),
        place: Arc::new(Place { scheme: "http", authority: "shop.example".into(), url: path.into() }),
        raw_tags: tags.raw().into(),
        fetch_time: Duration::ZERO,
        rule: Arc::from("bench"),
        origin: Arc::from("app"),
    };
    let body = bytes::Bytes::from(vec![b'x'; 128]);
    Ok(Entry::new(meta, body, 128, None, PreparedHead::default()))
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
}
