//! How it looks: a line that says what this is, the figures, the lists, a line that says which keys there are. What does not fit
//! is folded: charts become rows, lists become shorter, the less important ones are left out, and that is said.

mod fold;
mod metrics;
mod sections;
#[cfg(test)]
pub mod tests;
pub mod theme;

use super::app::App;
use super::format;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Padding, Paragraph};
use sections::{Made, Maker, Section};
use theme::Tone;

/// Below this nothing of use can be shown.
const SMALLEST: (u16, u16) = (50, 10);

/// From this on the figures have tiles, with charts of their own.
const ROOMY: (u16, u16) = (100, 34);

/// Rows of the tiles together: two of them, and what is between.
const TILES: u16 = 2 * (metrics::TILE_TEXT + 2) + 1;

/// The figures that fit in rows.
const ROWS: u16 = 6;

/// The lists beside each other: the number of columns from this width on, and what stands in each, the most important first.
const COLUMNS: [(u16, &[&[Maker]]); 3] = [
    (
        140,
        &[
            &[sections::answers, sections::origins, sections::fleet],
            &[sections::pages, sections::tags],
            &[sections::not_stored, sections::purges, sections::stale, sections::refused],
        ],
    ),
    (
        76,
        &[
            &[sections::answers, sections::origins, sections::purges, sections::stale],
            &[sections::not_stored, sections::fleet, sections::pages, sections::tags, sections::refused],
        ],
    ),
    (
        0,
        &[&[
            sections::answers,
            sections::origins,
            sections::not_stored,
            sections::fleet,
            sections::pages,
            sections::tags,
            sections::purges,
            sections::stale,
            sections::refused,
        ]],
    ),
];

/// Columns between the lists.
const GAP: u16 = 3;

const HELP: &[(&str, &str)] = &[
    ("q, ESC, Ctrl-C", "leave"),
    ("p, space", "hold the figures, and go on"),
    ("?", "this page"),
    ("", ""),
    ("rates", "over the last 5 seconds"),
    ("shares, quantiles", "over the last minute; charts: 3 s a cell"),
    ("latency's chart", "the 99th percentile"),
    ("hottest", "of late, from one request in 64"),
    ("not stored, stale", "since the process started"),
    ("≤ and ≥", "the bound of a bucket: no more is known"),
];

/// See the head of this file.
pub fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let says = format!("larder top needs {} columns and {} rows. q leaves.", SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(says).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let roomy = area.width >= ROOMY.0 && area.height >= ROOMY.1;
    let figures = if roomy { TILES } else { ROWS };
    let [head, _, top, _, lists, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(if roomy { 1 } else { 0 }),
        Constraint::Length(figures),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area.inner(Margin::new(1, 0)));
    frame.render_widget(headline(app), head);
    frame.render_widget(state(app).right_aligned(), head);
    if roomy {
        metrics::tiles(frame, top, app.shown(), app.theme);
    } else {
        metrics::rows(frame, top, app.shown(), app.theme);
    }
    let hidden = draw_lists(frame, lists, app);
    frame.render_widget(trouble(app).unwrap_or_else(|| footer(app, hidden)), foot);
    if app.help {
        draw_help(frame, area, app);
    }
}

fn headline(app: &App) -> Line<'static> {
    let Some(now) = app.shown().last() else { return Line::from("Larder") };
    let name = if now.name == "larder" { String::new() } else { format!(" {}", format::fit(&now.name, 24)) };
    let about = format!("  {} · up {}", format::fit(&now.version, 16), format::span(now.uptime_s));
    Line::from(vec![
        Span::styled(format!("Larder{name}"), app.theme.style(Tone::Strong)),
        Span::styled(about, app.theme.style(Tone::Quiet)),
    ])
}

fn state(app: &App) -> Line<'static> {
    let draining = app.shown().last().is_some_and(|now| now.draining);
    let (tone, word) = match (&app.lost, app.is_held(), draining) {
        (Some(_), ..) => (Tone::Bad, "connection lost"),
        (None, true, _) => (Tone::Fair, "held"),
        (None, false, true) => (Tone::Fair, "draining"),
        (None, false, false) => (Tone::Good, "live"),
    };
    let host = Span::styled(format!("{}  ", format::fit(&app.host, 32)), app.theme.style(Tone::Quiet));
    Line::from(vec![host, Span::styled(word, app.theme.style(tone))])
}

/// In the place of the keys while there is no connection.
fn trouble(app: &App) -> Option<Line<'static>> {
    let lost = app.lost.as_ref()?;
    let again = match lost.again_s {
        0 => "trying again".to_owned(),
        seconds => format!("trying again in {seconds} s"),
    };
    let why = format::fit(&lost.why, usize::from(u16::MAX));
    let says = format!("{again}; the figures are {} old: {why}", format::span(app.silent_s));
    Some(Line::styled(says, app.theme.style(Tone::Bad)))
}

/// Says how many lists found no room.
fn draw_lists(frame: &mut Frame, area: Rect, app: &App) -> usize {
    let history = app.shown();
    let Some(now) = history.last() else { return 0 };
    let fitting = COLUMNS.iter().find(|(from, _)| area.width >= *from);
    let columns = fitting.map_or(&[][..], |(_, columns)| *columns);
    let places = Layout::horizontal(columns.iter().map(|_| Constraint::Fill(1))).spacing(GAP).split(area);
    let mut hidden = 0;
    for (makers, place) in columns.iter().zip(places.iter()) {
        let made = Made { history, now, width: place.width, theme: app.theme };
        let sections: Vec<Section> =
            makers.iter().map(|make| make(made)).filter(|section| !section.rows.is_empty()).collect();
        let wants: Vec<u16> = sections
            .iter()
            .map(|section| u16::try_from(section.rows.len() + 1).unwrap_or(u16::MAX))
            .collect();
        let mut top = place.y;
        for (section, rows) in sections.into_iter().zip(fold::share(place.height, &wants)) {
            if rows == 0 {
                hidden += 1;
                continue;
            }
            let lines = std::iter::once(section.title).chain(section.rows).take(rows.into());
            let area = Rect { x: place.x, y: top, width: place.width, height: rows };
            frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
            top += rows + fold::BETWEEN;
        }
    }
    hidden
}

fn footer(app: &App, hidden: usize) -> Line<'static> {
    let mut text = format!("q leave · p {} · ? help", if app.is_held() { "go on" } else { "hold" });
    if hidden > 0 {
        text +=
            &format!(" · {hidden} more {} in a larger window", if hidden == 1 { "list" } else { "lists" });
    }
    Line::styled(text, app.theme.style(Tone::Quiet))
}

fn draw_help(frame: &mut Frame, area: Rect, app: &App) {
    let lines: Vec<Line> = HELP
        .iter()
        .map(|(name, says)| {
            Line::from(vec![
                Span::styled(format!("{name:<19}"), app.theme.style(Tone::Strong)),
                Span::raw(*says),
            ])
        })
        .collect();
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = u16::try_from(widest + 6).unwrap_or(u16::MAX);
    let height = u16::try_from(lines.len() + 4).unwrap_or(u16::MAX);
    let place = area.centered(Constraint::Length(width), Constraint::Length(height));
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" larder top ").padding(Padding::symmetric(2, 1));
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

/// Everything, one below the other, without charts and colours.
pub fn text(app: &App, width: u16) -> String {
    let history = app.shown();
    let Some(now) = history.last() else { return String::new() };
    let mut lines = vec![plain(&headline(app)) + " · " + &app.host, String::new()];
    lines.extend(metrics::all(history, 0).iter().map(metrics::text));
    let all = COLUMNS.last().map_or(&[][..], |(_, columns)| *columns);
    let made = Made { history, now, width, theme: app.theme };
    for section in all.iter().flat_map(|makers| makers.iter()).map(|make| make(made)) {
        if !section.rows.is_empty() {
            lines.push(String::new());
            lines.extend(std::iter::once(&section.title).chain(&section.rows).map(plain));
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn plain(line: &Line) -> String {
    line.spans.iter().map(|span| &*span.content).collect()
}
