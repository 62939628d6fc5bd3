//! The screens, on paper: a shop under load, seen through windows of several sizes.

use super::theme::Theme;
use super::*;
use crate::cli::top::feed::Update;
use crate::cli::top::status::Status;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};
use std::time::Duration;

/// A fleet's node after so many seconds under load.
pub fn snapshot(second: u64) -> Value {
    // A tide, so that charts have something to show.
    let tide = |period: u64| (0..second).map(|s| (s % period).min(period - s % period)).sum::<u64>();
    let (hits, misses) = (second * 900 + tide(40) * 40, second * 20 + tide(14) * 6);
    let buckets = |count: u64| json!([count / 2, count / 4, count / 8, count / 16, count / 50, 0]);
    json!({
        "version": "0.1.0", "name": "edge-1", "uptime_s": 7000 + second, "at_s": second, "draining": false,
        "requests": { "hit": hits, "stale": second, "revalidated": second * 3, "miss": misses, "collapsed": second * 2,
                      "pass": second * 7, "error": second / 10 },
        "requests_total": hits + misses + second * 13 + second / 10,
        "hit_ratio": 0.951, "byte_hit_ratio": 0.8888,
        "bytes": { "client": hits * 9000 + misses * 12_000, "origin": misses * 12_000 },
        "latency": { "bounds_ms": [0.5, 1.0, 2.5, 10.0, 100.0, null], "outcomes": {
            "hit": { "buckets": buckets(hits) }, "miss": { "buckets": [0, 0, misses / 9, misses, misses / 3, misses / 70] } } },
        "not_stored": [ { "reason": "no-store", "count": 51_020 + second }, { "reason": "set-cookie", "count": 4711 },
                        { "reason": "too-large", "count": 3 } ],
        "stale_served": [ { "why": "stale-while-revalidate", "count": second } ],
        "refused": [ { "reason": "too-many-requests", "count": 17 } ],
        "connections": 1204, "inflight": 3,
        "memory": { "bytes": 220_000_000 + second * 300_000, "capacity": 536_870_912, "resident": 410_000_000, "entries": 30_412, "evicted_size": second * 4 },
        "origins": {
            "app": { "up": true, "waiting": 0, "answers": { "2xx": misses, "5xx": second / 8 },
                     "latency": { "buckets": [0, 0, 0, misses, misses / 3, misses / 70] },
                     "servers": [ { "url": "http://10.0.0.5:3000", "healthy": true, "breaker": "closed", "in_flight": 2, "latency_ms": 7.1 },
                                  { "url": "http://10.0.0.6:3000", "healthy": false, "breaker": "closed", "in_flight": 0 },
                                  { "url": "http://10.0.0.9:3000", "healthy": true, "backup": true, "breaker": "open" } ] },
            "search": { "up": false, "waiting": 12, "answers": { "error": 40 }, "servers": [] } },
        "hottest": {
            "pages": (0..20).map(|n| json!({ "url": format!("shop.example.com/products/{n}"), "share": 0.2 / f64::from(n + 1) })).collect::<Vec<_>>(),
            "tags": [ { "tag": "products", "share": 0.31 }, { "tag": "a-tag-with-a-name-that-is-longer-than-any-column-of-any-window", "share": 0.2 },
                      { "tag": "steer\u{1b}[2Jing", "share": 0.1 } ] },
        "purges": [ { "summary": "tag product:7", "mode": "hard", "who": "deploy", "when": "2026-11-24T18:59:39Z", "matched": 10_000, "matched_exact": false },
                    { "summary": "everything", "mode": "invalidate", "who": "", "when": "2026-11-24T07:00:01Z", "matched": null } ],
        "shared": { "state": "up", "hits": second * 9, "misses": second, "latency_ms": 0.4, "synced": true, "unsynced_s": 0.1, "waiting_purges": 0,
                    "nodes": [ { "name": "edge-1", "own": true, "applied": "1790000000250-0", "silent_ms": 0 },
                               { "name": "edge-2", "own": false, "applied": "1790000000000-3", "silent_ms": 480 } ] },
    })
}

pub fn status(second: u64) -> Status {
    serde_json::from_value(snapshot(second)).unwrap()
}

fn app(theme: Theme) -> App {
    let mut app = App::new("127.0.0.1:9080".to_owned(), theme);
    for second in 1..=150 {
        app.update(Update::Snapshot(Box::new(status(second))));
    }
    app
}

/// What stands there, a line each.
pub fn text(paper: &TestBackend) -> String {
    let buffer = paper.buffer();
    let width = usize::from(buffer.area.width).max(1);
    let line =
        |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    buffer.content.chunks(width).map(|cells| line(cells).trim_end().to_owned() + "\n").collect()
}

fn drawn(app: &App, width: u16, height: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    terminal.backend().clone()
}

#[test]
fn at_80_by_24_everything_that_matters_fits() {
    insta::assert_snapshot!(text(&drawn(&app(Theme::Plain), 80, 24)));
}

#[test]
fn at_160_by_50_there_are_charts_and_all_lists() {
    insta::assert_snapshot!(text(&drawn(&app(Theme::Plain), 160, 50)));
}

#[test]
fn once_it_is_text() {
    insta::assert_snapshot!(super::text(&app(Theme::Plain), 80));
}

#[test]
fn in_a_larger_window_no_list_is_missing() {
    let larger = text(&drawn(&app(Theme::Plain), 160, 50));
    for title in [
        "Answers",
        "Origins",
        "Fleet",
        "Hottest pages",
        "Hottest tags",
        "Not stored",
        "Recent purges",
        "Stale",
        "Answered by",
    ] {
        assert!(larger.contains(title), "{title}");
    }
    assert!(!larger.contains("more list"));
    assert!(
        text(&drawn(&app(Theme::Plain), 80, 24)).contains("in a larger window"),
        "what is left out is said"
    );
}

#[test]
fn a_window_of_any_size_is_drawn() {
    let mut app = app(Theme::Colour);
    for help in [false, true] {
        app.help = help;
        for width in [0, 1, 2, 20, 49, 50, 75, 76, 99, 100, 139, 140, 300] {
            for height in [0, 1, 9, 10, 11, 24, 33, 34, 120] {
                drawn(&app, width, height);
            }
        }
    }
    assert!(text(&drawn(&app, 49, 24)).contains("needs 50 columns"));
}

#[test]
fn before_the_first_rates_and_without_anything_it_stands_as_well() {
    let mut app = App::new("h:1".to_owned(), Theme::Plain);
    drawn(&app, 80, 24);
    let mut bare = snapshot(0);
    for part in ["origins", "hottest", "purges", "shared", "not_stored", "stale_served", "refused"] {
        bare.as_object_mut().unwrap().remove(part);
    }
    bare["requests"] = json!({});
    app.update(Update::Snapshot(Box::new(serde_json::from_value(bare).unwrap())));
    let screen = text(&drawn(&app, 80, 24));
    for part in ["– / s", "nobody has asked", "nothing has been purged", "no answer carried a tag"] {
        assert!(screen.contains(part), "{part} in\n{screen}");
    }
    assert!(!screen.contains("Fleet"), "this node is alone");
}

#[test]
fn what_is_held_or_lost_is_said() {
    let mut app = app(Theme::Plain);
    app.event(&key('p'));
    assert!(text(&drawn(&app, 80, 24)).contains("9080  held"));
    app.event(&key('p'));
    app.update(Update::Lost {
        why: "no connection to 127.0.0.1:9080".to_owned(),
        again: Duration::from_secs(4),
    });
    app.tick();
    let screen = text(&drawn(&app, 100, 24));
    assert!(screen.contains("connection lost"), "{screen}");
    assert!(
        screen.contains("trying again in 3 s; the figures are 1 s old: no connection to 127.0.0.1:9080"),
        "{screen}"
    );
    app.event(&key('?'));
    assert!(text(&drawn(&app, 80, 24)).contains("hold the figures, and go on"));
}

fn key(char: char) -> ratatui::crossterm::event::Event {
    ratatui::crossterm::event::Event::Key(ratatui::crossterm::event::KeyCode::Char(char).into())
}

#[test]
fn nothing_steers_the_terminal_and_no_colour_means_none() {
    let plain = drawn(&app(Theme::Plain), 160, 50);
    assert!(plain.buffer().content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let coloured = drawn(&app(Theme::Colour), 160, 50);
    assert!(coloured.buffer().content.iter().any(|cell| cell.fg == Color::Red));
    assert!(!text(&coloured).contains('\u{1b}'));
    assert!(!super::text(&app(Theme::Plain), 80).contains('\u{1b}'));
}
