//! `larder warm`: fetches a list of URLs through the proxy, so that visitors find them stored. Says of every one what became of
//! it. Interrupted, it ends what is on its way and prints the table; run again, it finds the first part fresh and goes on.

mod fetch;
mod sitemap;
mod tally;

use super::{fail, say};
use clap::ArgGroup;
use fetch::Fetcher;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::Read;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tally::Tally;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// URLs of one run.
const MOST: usize = 1_000_000;

/// Interrupted, as shells say it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Args {
    /// A sitemap, or an index of sitemaps; fetched through the proxy too
    #[arg(long, value_name = "URL", group = "what")]
    sitemap: Option<String>,
    /// A file with one URL per line, `-` for standard input; empty lines and those that begin with # are passed over
    #[arg(long, value_name = "FILE", group = "what")]
    urls: Option<String>,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: u16,
    /// Requests per second at most, as `50/s`
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<f64>,
    /// The proxy
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    to: String,
    /// A field to send with every request, as `Accept-Language: de`; which variant is warmed depends on it
    #[arg(short = 'H', long = "header", value_name = "FIELD: VALUE")]
    headers: Vec<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        _ => Err("expected requests per second, as `50/s`".to_owned()),
    }
}

pub fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format_args!("cannot start: {error}")),
    };
    match runtime.block_on(warm(args)) {
        Ok((tally, interrupted)) => {
            say(&tally);
            match (interrupted, tally.failed()) {
                (true, _) => fail(
                    INTERRUPTED,
                    "interrupted; run it again to go on: what is stored is passed over quickly",
                ),
                (false, 0) => ExitCode::SUCCESS,
                (false, failed) => fail(1, format_args!("{failed} failed")),
            }
        }
        Err(why) => fail(1, why),
    }
}

/// What became of all, and whether it was interrupted.
async fn warm(args: &Args) -> Result<(Tally, bool), String> {
    let fetcher = Arc::new(Fetcher::new(&args.to, &args.headers)?);
    let urls = list(args, &fetcher).await?;
    let stop = stop_on_interrupt();
    let bar = ProgressBar::new(urls.len() as u64);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let tally = run_all(urls, args, &fetcher, &stop, &bar).await;
    bar.finish_and_clear();
    let interrupted = *stop.borrow();
    Ok((tally, interrupted))
}

async fn list(args: &Args, fetcher: &Fetcher) -> Result<VecDeque<String>, String> {
    let text = match (&args.sitemap, args.urls.as_deref()) {
        (Some(url), _) => return sitemap::all(url, fetcher, MOST).await,
        (None, Some("-")) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
            text
        }
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?,
        (None, None) => return Err("neither --sitemap nor --urls".to_owned()), // clap has seen to it
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let urls: VecDeque<String> = lines.take(MOST + 1).map(str::to_owned).collect();
    match urls.len() {
        0 => Err("the list holds no URL".to_owned()),
        count if count > MOST => Err(format!("more than {MOST} URLs: split the list")),
        _ => Ok(urls),
    }
}

/// True once somebody has pressed Ctrl-C.
fn stop_on_interrupt() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        // The second time it ends at once.
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    stopped
}

async fn run_all(
    urls: VecDeque<String>,
    args: &Args,
    fetcher: &Arc<Fetcher>,
    stop: &watch::Receiver<bool>,
    bar: &ProgressBar,
) -> Tally {
    let queue = Arc::new(Mutex::new(urls));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let pace = args.rate.map(|rate| {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Arc::new(tokio::sync::Mutex::new(ticks))
    });
    let mut workers = JoinSet::new();
    for _ in 0..args.concurrency {
        let (queue, tally, pace) = (queue.clone(), tally.clone(), pace.clone());
        let (fetcher, stop, bar) = (fetcher.clone(), stop.clone(), bar.clone());
        workers.spawn(async move {
            loop {
                if let Some(pace) = &pace {
                    pace.lock().await.tick().await;
                }
                if *stop.borrow() {
                    return;
                }
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(url) = next else { return };
                let fate = fetcher.fetch(&url).await;
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(&url, fate);
                bar.set_message(tally.in_a_word());
                bar.inc(1);
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let left = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    tally.left = left;
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        for wrong in ["0/s", "-1", "50/m", "fast", "", "inf", "NaN"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
