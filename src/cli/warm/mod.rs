//! `larder warm`: fetches a list of URLs through the proxy, so that visitors find them stored. Says of every one what became of
//! it. Interrupted, it waits a little for what is on its way and prints the table. It keeps no book of where it was: the
//! cache knows best what it holds, and run again it passes over what is fresh as fast as hits are, without a word with the
//! origin, and fetches what is not there or not there any more.

mod fetch;
mod run;
mod sitemap;
mod tally;

use super::{block_on, fail, say};
use clap::ArgGroup;
use fetch::Fetcher;
use indicatif::{ProgressBar, ProgressStyle};
use run::Stop;
use std::collections::VecDeque;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// URLs of one run.
const MOST: usize = 1_000_000;

/// Bytes of a list.
const LONGEST_LIST: u64 = 256 * 1024 * 1024;

/// Interrupted, as shells say it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// What is on its way when somebody interrupts gets this long.
const GRACE: Duration = Duration::from_secs(10);

/// Requests per second: from one in about a quarter of an hour to more than can be had.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1e6;

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
    /// Requests per second at most, as `50/s`; from 0.001/s to 1000000/s
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
        Ok(rate) if RATES.contains(&rate) => Ok(rate),
        _ => Err("expected requests per second, as `50/s`, from 0.001/s to 1000000/s".to_owned()),
    }
}

pub fn run(args: &Args) -> ExitCode {
    block_on(async {
        let (tally, interrupted) = match warm(args).await {
            Ok(done) => done,
            Err(why) => return fail(1, why),
        };
        say(&tally);
        match (interrupted, tally.failed()) {
            (true, _) => fail(
                INTERRUPTED,
                "interrupted; run it again to go on: what is fresh costs the origin nothing",
            ),
            (false, 0) => ExitCode::SUCCESS,
            (false, failed) => fail(1, format_args!("{failed} failed")),
        }
    })
}

/// What became of all, and whether it was interrupted.
async fn warm(args: &Args) -> Result<(Tally, bool), String> {
    let fetcher = Arc::new(Fetcher::new(&args.to, &args.headers)?);
    let urls = list(args, &fetcher).await?;
    let stop = stop_on_interrupt()?;
    let bar = ProgressBar::new(urls.len() as u64);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let tally = run::all(urls, args.concurrency, args.rate, &fetcher, &stop, &bar).await;
    bar.finish_and_clear();
    Ok((tally, stop.has_come()))
}

async fn list(args: &Args, fetcher: &Fetcher) -> Result<VecDeque<String>, String> {
    let text = match (&args.sitemap, args.urls.as_deref()) {
        (Some(url), _) => return sitemap::all(url, fetcher, MOST).await,
        (None, Some("-")) => read("standard input", std::io::stdin())?,
        (None, Some(file)) => {
            read(file, std::fs::File::open(file).map_err(|error| format!("{file}: {error}"))?)?
        }
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

fn read(name: &str, from: impl Read) -> Result<String, String> {
    let mut text = String::new();
    let bytes = from.take(LONGEST_LIST + 1).read_to_string(&mut text);
    match bytes.map_err(|error| format!("{name}: {error}"))? as u64 {
        bytes if bytes > LONGEST_LIST => {
            Err(format!("{name}: more than {LONGEST_LIST} bytes: split the list"))
        }
        _ => Ok(text),
    }
}

/// At Ctrl-C, or when the process is asked to end; the second time it ends at once.
fn stop_on_interrupt() -> Result<Stop, String> {
    let (stop, stopped) = watch::channel(false);
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return Err("cannot listen for signals".to_owned());
    };
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if again {
                std::process::exit(i32::from(INTERRUPTED));
            }
            stop.send_replace(true);
        }
    });
    Ok(Stop::new(stopped, GRACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!((rate("0.001/s"), rate("1e6")), (Ok(0.001), Ok(1e6)));
        // From the smallest on, a period fits into the clock.
        for wrong in ["0/s", "-1", "0.0009", "1e-300", "5e-324/s", "1e7", "50/m", "fast", "", "inf", "NaN"] {
            assert!(rate(wrong).unwrap_err().contains("from 0.001/s to 1000000/s"), "{wrong}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_refused() {
        assert_eq!(read("x", &b"a\nb\n"[..]).unwrap(), "a\nb\n");
        let endless = std::io::repeat(b'x');
        assert!(read("x", endless).unwrap_err().starts_with("x: more than"), "it is not read to the end");
        assert!(read("x", &[0xff][..]).is_err());
    }
}
