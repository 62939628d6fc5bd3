//! `larder warm`, interrupted and run again.

use crate::support::{House, larder, pieces, reads};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::process::{Command, Stdio};

const PAGE: &str = "200 OK\nCache-Control: max-age=60\n\nx";

/// The rows of the table.
fn rows(table: &str) -> Vec<(String, u64)> {
    let row = |line: &str| {
        let (count, what) = line.trim().split_once("  ")?;
        Some((what.to_owned(), count.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

fn row(what: &str, count: u64) -> (String, u64) {
    (what.to_owned(), count)
}

#[tokio::test]
async fn interrupted_it_ends_what_is_on_its_way_and_run_again_it_asks_the_origin_for_the_rest_only() {
    let mut house = House::new("").await;
    let mut urls = String::new();
    for n in 0..8 {
        writeln!(urls, "http://site.example/{n}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("urls.txt");
    std::fs::write(&file, urls).unwrap();
    let to = format!("http://{}", house.address());
    let arguments = ["warm", "--urls", file.to_str().unwrap(), "--concurrency", "1", "--to", &to];

    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut table = pieces(child.stdout.take().unwrap());
    let mut says = pieces(child.stderr.take().unwrap());
    for n in 0..2 {
        let asked = house.origin.next().await;
        assert_eq!(asked.target, format!("/{n}"));
        asked.answer(PAGE).await;
    }
    let on_its_way = house.origin.next().await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (mut said, mut told) = (String::new(), String::new());
    reads(&mut says, &mut said, Some("larder: stopping; what is on its way gets 10s")).await;
    on_its_way.answer(PAGE).await;
    reads(&mut table, &mut told, None).await;
    assert_eq!(rows(&told), [row("stored", 3), row("already fresh", 0), row("not tried", 5)], "{told}");
    reads(&mut says, &mut said, None).await;
    assert!(said.contains("run it again to go on"), "{said}");
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(130));

    let again = async {
        for n in 3..8 {
            let asked = house.origin.next().await;
            assert_eq!(asked.target, format!("/{n}"), "what is fresh is not asked for");
            asked.answer(PAGE).await;
        }
    };
    let ((code, table, err), ()) = tokio::join!(larder(&arguments), again);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(rows(&table), [row("stored", 5), row("already fresh", 3)], "{table}");
    house.quiet().await;
}

#[tokio::test]
async fn what_is_served_stale_is_not_called_fresh() {
    let mut house = House::new("stale_if_error: 1h").await;
    house.fetched("/s", PAGE).await;
    house.advance(100);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("urls.txt");
    std::fs::write(&file, "http://site.example/s\n").unwrap();
    let to = format!("http://{}", house.address());
    let arguments = ["warm", "--urls", file.to_str().unwrap(), "--to", &to];
    let failing = async {
        let asked = house.origin.next().await;
        asked.answer("503 Service Unavailable\n\nno").await;
    };
    let ((code, table, _), ()) = tokio::join!(larder(&arguments), failing);
    assert_eq!(code, Some(0), "{table}");
    assert_eq!(rows(&table)[2], row("served stale: stale-if-error", 1), "{table}");
}

#[tokio::test]
async fn a_rate_out_of_all_bounds_is_a_usage_error() {
    for rate in ["1e-300/s", "0", "-1/s", "1e9/s", "fast"] {
        let (code, _, err) = larder(&["warm", "--urls", "-", &format!("--rate={rate}")]).await;
        assert_eq!(code, Some(2), "{rate}: {err}");
        assert!(err.contains("from 0.001/s to 1000000/s"), "{rate}: {err}");
    }
}
