//! The figures at the top, each with its course over the last minutes: a row each where there is little room, a tile each where
//! there is more.

use super::theme::{Theme, Tone};
use crate::cli::top::format;
use crate::cli::top::history::History;
use crate::cli::top::status::Status;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{RenderDirection, Sparkline};

/// Rates jump about, and are taken over so many seconds.
pub const RATE: f64 = 5.0;

/// So are ratios and quantiles.
pub const MINUTE: f64 = 60.0;

/// Columns of a row: the name, the figure, the note; the chart has the rest.
const NAME: u16 = 11;
const FIGURE: u16 = 12;
const NOTE: u16 = 31;

/// Charts are drawn with eight heights a cell, of values that are whole numbers.
const SCALE: f64 = 1000.0;

/// One figure.
pub struct Metric {
    pub name: &'static str,
    pub figure: String,
    pub note: String,
    tone: Tone,
    /// The newest first, as shares of the chart's height.
    course: Vec<Option<f64>>,
}

/// All of them. `cells`: how wide the charts are.
pub fn all(history: &History, cells: usize) -> Vec<Metric> {
    let Some(now) = history.last() else { return Vec::new() };
    vec![
        requests(history, now, cells),
        origins(history, now, cells),
        hit_ratio(history, now, cells),
        bytes_saved(history, now, cells),
        latency(history, cells),
        memory(history, now, cells),
    ]
}

fn requests(history: &History, now: &Status, cells: usize) -> Metric {
    let read = |status: &Status| status.requests_total;
    Metric {
        name: "Requests",
        figure: format!("{} / s", format::rate(history.rate(RATE, read))),
        note: match now.connections {
            1 => "1 connection".to_owned(),
            connections => format!("{} connections", format::count(connections)),
        },
        tone: Tone::Accent,
        course: by_largest(history.rates(cells, read)),
    }
}

fn origins(history: &History, now: &Status, cells: usize) -> Metric {
    let received = history.rate(RATE, |status| status.bytes.origin);
    let received = received.map_or_else(|| format::NONE.to_owned(), format::bytes);
    Metric {
        name: "At origins",
        figure: format!("{} / s", format::rate(history.rate(RATE, Status::origin_requests))),
        note: format!("{received}/s in · {} under way", format::count(now.inflight)),
        tone: Tone::Fair,
        course: by_largest(history.rates(cells, Status::origin_requests)),
    }
}

fn hit_ratio(history: &History, now: &Status, cells: usize) -> Metric {
    let all = |status: &Status| status.requests_total;
    Metric {
        name: "Hit ratio",
        figure: format::percent(history.share(MINUTE, Status::hits, all)),
        note: format!("last minute · {} in all", format::percent(now.hit_ratio)),
        tone: Tone::Good,
        course: history.shares(cells, Status::hits, all),
    }
}

fn bytes_saved(history: &History, now: &Status, cells: usize) -> Metric {
    let all = |status: &Status| status.bytes.client;
    let sent = history.rate(RATE, all).map_or_else(|| format::NONE.to_owned(), format::bytes);
    Metric {
        name: "Bytes saved",
        figure: format::percent(history.share(MINUTE, Status::saved_bytes, all)),
        note: format!("{sent}/s out · {} in all", format::percent(now.byte_hit_ratio)),
        tone: Tone::Good,
        course: history.shares(cells, Status::saved_bytes, all),
    }
}

fn latency(history: &History, cells: usize) -> Metric {
    let quantile = |of| format::took(history.quantile(MINUTE, of, Status::buckets));
    Metric {
        name: "Latency p50",
        figure: quantile(0.5),
        note: format!("p90 {} · p99 {}", quantile(0.9), quantile(0.99)),
        tone: Tone::Accent,
        // Of the slowest that are still common: the middle hardly moves.
        course: by_largest(history.quantiles(cells, 0.99, Status::buckets)),
    }
}

#[allow(clippy::cast_precision_loss)] // for people
fn memory(history: &History, now: &Status, cells: usize) -> Metric {
    let used = |status: &Status| {
        (status.memory.capacity > 0).then(|| status.memory.bytes as f64 / status.memory.capacity as f64)
    };
    let evicted = format::rate(history.rate(MINUTE, |status| status.memory.evicted_size));
    let capacity = format::bytes(now.memory.capacity as f64);
    Metric {
        name: "Memory",
        figure: format::bytes(now.memory.bytes as f64),
        note: match now.memory.resident {
            Some(resident) => {
                format!("of {capacity} · {evicted} evicted/s · {} resident", format::bytes(resident as f64))
            }
            None => format!("of {capacity} · {evicted} evicted/s"),
        },
        tone: Tone::Accent,
        course: history.series(cells, |_, status| used(status)),
    }
}

/// As shares of the largest.
fn by_largest(values: Vec<Option<f64>>) -> Vec<Option<f64>> {
    let largest = values.iter().flatten().copied().fold(0.0, f64::max);
    let share = |value: f64| if largest > 0.0 { value / largest } else { 0.0 };
    values.into_iter().map(|value| value.map(share)).collect()
}

/// As many of a note's parts as there is room for, so that no figure loses its end; the first in any case.
fn fitted(note: &str, width: u16) -> &str {
    let mut note = note;
    while note.chars().count() > usize::from(width)
        && let Some((start, _)) = note.rsplit_once(" · ")
    {
        note = start;
    }
    note
}

/// One figure as text.
pub fn text(metric: &Metric) -> String {
    format!("{:<12}{:>12}  {}", metric.name, metric.figure, metric.note)
}

/// A row each: name, figure, chart, note.
pub fn rows(frame: &mut Frame, area: Rect, history: &History, theme: Theme) {
    // Where the window is narrow the chart goes first, then the end of the note.
    let chart = area.width.saturating_sub(NAME + FIGURE + NOTE + 4);
    for (metric, row) in all(history, chart.into()).iter().zip(area.rows()) {
        let [name, figure, _, course, _, note] = Layout::horizontal([
            Constraint::Length(NAME),
            Constraint::Length(FIGURE),
            Constraint::Length(2),
            Constraint::Length(chart),
            Constraint::Length(if chart > 0 { 2 } else { 0 }),
            Constraint::Fill(1),
        ])
        .areas(row);
        frame.render_widget(Span::styled(metric.name, theme.style(Tone::Quiet)), name);
        let text = Line::styled(metric.figure.clone(), theme.style(Tone::Strong));
        frame.render_widget(text.right_aligned(), figure);
        draw_course(frame, course, metric, theme);
        frame.render_widget(Span::styled(fitted(&metric.note, note.width), theme.style(Tone::Quiet)), note);
    }
}

/// Rows of a tile without its chart.
pub const TILE_TEXT: u16 = 2;

/// Three tiles beside each other, in two rows: name and figure, the chart, the note.
pub fn tiles(frame: &mut Frame, area: Rect, history: &History, theme: Theme) {
    let rows = Layout::vertical([Constraint::Fill(1); 2]).spacing(1).split(area);
    let places: Vec<Rect> = rows
        .iter()
        .flat_map(|row| Layout::horizontal([Constraint::Fill(1); 3]).spacing(3).split(*row).to_vec())
        .collect();
    let cells = places.first().map_or(0, |place| place.width.into());
    for (metric, place) in all(history, cells).iter().zip(places) {
        let [head, course, note] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
                .areas(place);
        frame.render_widget(Span::styled(metric.name, theme.style(Tone::Quiet)), head);
        let figure = Line::styled(metric.figure.clone(), theme.style(Tone::Strong));
        frame.render_widget(figure.right_aligned(), head);
        draw_course(frame, course, metric, theme);
        frame.render_widget(Span::styled(fitted(&metric.note, note.width), theme.style(Tone::Quiet)), note);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // shares of one
fn draw_course(frame: &mut Frame, area: Rect, metric: &Metric, theme: Theme) {
    let cells = metric.course.iter().map(|value| value.map(|share| (share.clamp(0.0, 1.0) * SCALE) as u64));
    let chart = Sparkline::default()
        .data(cells.collect::<Vec<_>>())
        .max(SCALE as u64)
        .direction(RenderDirection::RightToLeft)
        .style(theme.style(metric.tone));
    frame.render_widget(chart, area);
}
