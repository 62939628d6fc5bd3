//! The lists below the figures. Each is a title, with the names of its columns beside it, and rows of one width.

use super::metrics::{MINUTE, RATE};
use super::theme::{Theme, Tone};
use crate::cli::top::format;
use crate::cli::top::history::History;
use crate::cli::top::status::{Node, OUTCOMES, Origin, Server, Shared, Status};
use ratatui::text::{Line, Span};

/// Rows of a list at most, however large the window.
const MOST: usize = 20;

/// See the head of this file.
pub struct Section {
    pub title: Line<'static>,
    pub rows: Vec<Line<'static>>,
}

/// What sections are made of.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    pub history: &'a History,
    pub now: &'a Status,
    pub width: u16,
    pub theme: Theme,
}

/// How to make one.
pub type Maker = for<'a> fn(Made<'a>) -> Section;

/// A cell of a row: columns, text, tone. Aligned to the right.
type Cell = (usize, String, Tone);

impl Made<'_> {
    fn section(self, title: &str, columns: &[(usize, &str)], rows: Vec<Line<'static>>) -> Section {
        let columns = columns.iter().map(|(width, name)| (*width, (*name).to_owned(), Tone::Quiet)).collect();
        Section { title: self.row(title, Tone::Strong, columns), rows }
    }

    /// The name has what the cells leave over.
    fn row(self, name: &str, tone: Tone, cells: Vec<Cell>) -> Line<'static> {
        let cells_width: usize = cells.iter().map(|(width, ..)| width).sum();
        let room = usize::from(self.width).saturating_sub(cells_width);
        let name = format::fit(name, room);
        let padding = " ".repeat(room.saturating_sub(format::columns_of(&name)));
        let mut spans = vec![Span::styled(name, self.theme.style(tone)), Span::raw(padding)];
        for (width, text, tone) in cells {
            let text = format::fit(&text, width);
            spans.push(Span::raw(" ".repeat(width.saturating_sub(format::columns_of(&text)))));
            spans.push(Span::styled(text, self.theme.style(tone)));
        }
        Line::from(spans)
    }

    fn nothing(self, says: &str) -> Vec<Line<'static>> {
        vec![self.row(says, Tone::Quiet, Vec::new())]
    }

    /// Names with a figure each.
    fn pairs<'b>(
        self,
        title: &str,
        column: &str,
        pairs: impl Iterator<Item = (&'b str, String)>,
        otherwise: &str,
    ) -> Section {
        let mut rows: Vec<_> = pairs
            .take(MOST)
            .map(|(name, figure)| self.row(name, Tone::Text, vec![(11, figure, Tone::Text)]))
            .collect();
        if rows.is_empty() {
            rows = self.nothing(otherwise);
        }
        self.section(title, &[(11, column)], rows)
    }
}

/// How requests were answered.
pub fn answers(made: Made) -> Section {
    let Made { history, now, .. } = made;
    let came = OUTCOMES.iter().filter(|outcome| now.outcome(outcome) > 0);
    let row = |outcome: &&str| {
        let count = |status: &Status| status.outcome(outcome);
        let quantile = |of| format::took(history.quantile(MINUTE, of, |status| status.buckets_of(outcome)));
        let cells = vec![
            (8, format::rate(history.rate(RATE, count)), Tone::Text),
            (8, format::percent(history.share(MINUTE, count, |status| status.requests_total)), Tone::Text),
            (10, quantile(0.5), Tone::Text),
        ];
        let tone = if *outcome == "error" { Tone::Bad } else { Tone::Text };
        made.row(outcome, tone, cells)
    };
    let mut rows: Vec<_> = came.map(row).collect();
    if rows.is_empty() {
        rows = made.nothing("nobody has asked for anything yet");
    }
    made.section("Answers", &[(8, "/ s"), (8, "share"), (10, "p50")], rows)
}

/// What is amiss comes first.
pub fn origins(made: Made) -> Section {
    let Made { history, now, .. } = made;
    let mut origins: Vec<_> = now.origins.iter().collect();
    origins.sort_by_key(|(name, origin)| (origin.up, (*name).clone()));
    let mut rows = Vec::new();
    for (name, origin) in origins.iter().take(MOST) {
        let of = |status: &Status, read: fn(&Origin) -> u64| status.origins.get(*name).map_or(0, read);
        let answered = |status: &Status| of(status, Origin::answered);
        let failed = |status: &Status| of(status, Origin::failed);
        let took = history.quantile(MINUTE, 0.5, |status| {
            status.origins.get(*name).map(|origin| origin.latency.buckets.clone()).unwrap_or_default()
        });
        let failures = history.share(MINUTE, failed, answered);
        let failing = failures.is_some_and(|share| share > 0.0);
        let cells = vec![
            if origin.up { (5, "up".to_owned(), Tone::Good) } else { (5, "down".to_owned(), Tone::Bad) },
            (7, format::rate(history.rate(RATE, answered)), Tone::Text),
            (9, format::took(took), Tone::Text),
            (8, format::percent(failures), if failing { Tone::Bad } else { Tone::Text }),
        ];
        rows.push(made.row(name, Tone::Text, cells));
        let mut servers: Vec<_> = origin.servers.iter().collect();
        servers.sort_by_key(|server| server.word().1);
        rows.extend(servers.into_iter().take(MOST).map(|server| self::server(made, server)));
        if origin.waiting > 0 {
            let says = format!("  waiting for a connection: {}", format::count(origin.waiting));
            rows.push(made.row(&says, Tone::Fair, Vec::new()));
        }
    }
    made.section("Origins", &[(5, ""), (7, "/ s"), (9, "p50"), (8, "failed")], rows)
}

fn server(made: Made, server: &Server) -> Line<'static> {
    let (word, good) = server.word();
    let backup = if server.backup { " (backup)" } else { "" };
    let url = server.url.strip_prefix("http://").unwrap_or(&server.url);
    let busy = format!("{} busy", format::count(server.in_flight));
    let cells =
        vec![(11, word.to_owned(), if good { Tone::Quiet } else { Tone::Bad }), (9, busy, Tone::Quiet)];
    made.row(&format!("  {url}{backup}"), Tone::Quiet, cells)
}

/// The store that nodes share, and how far each node is.
pub fn fleet(made: Made) -> Section {
    let Some(shared) = &made.now.shared else { return made.section("Fleet", &[], Vec::new()) };
    let mut rows = store(made, shared);
    let newest = shared.nodes.iter().map(Node::position_ms).max().unwrap_or(0);
    let mut nodes: Vec<_> = shared.nodes.iter().collect();
    nodes.sort_by_key(|node| (std::cmp::Reverse(newest - node.position_ms()), node.name.clone()));
    for node in nodes.into_iter().take(MOST) {
        let behind = newest - node.position_ms();
        let name = format!("  {}{}", node.name, if node.own { " (own)" } else { "" });
        #[allow(clippy::cast_precision_loss)] // for people
        let cells = vec![
            (9, format::milliseconds(behind as f64), if behind > 0 { Tone::Fair } else { Tone::Text }),
            (9, format::milliseconds(node.silent_ms as f64), Tone::Text),
        ];
        rows.push(made.row(&name, Tone::Text, cells));
    }
    made.section("Fleet", &[(9, "behind"), (9, "silent")], rows)
}

fn store(made: Made, shared: &Shared) -> Vec<Line<'static>> {
    let hits = made.history.share(
        MINUTE,
        |status| status.shared.as_ref().map_or(0, |shared| shared.hits),
        |status| status.shared.as_ref().map_or(0, |shared| shared.hits + shared.misses),
    );
    let tone = match shared.state.as_str() {
        "up" => Tone::Good,
        "degraded" => Tone::Fair,
        _ => Tone::Bad,
    };
    let took = shared.latency_ms.map_or_else(|| format::NONE.to_owned(), format::milliseconds);
    let store = format!("store {} · hits {} · takes {took}", shared.state, format::percent(hits));
    let mut rows = vec![made.row(&store, tone, Vec::new())];
    if !shared.synced || shared.waiting_purges > 0 {
        let since = shared.unsynced_s.map_or_else(|| "never yet".to_owned(), |s| format!("{s:.1} s ago"));
        let log = format!("in step {since} · {} purges wait", format::count(shared.waiting_purges));
        rows.push(made.row(&log, if shared.synced { Tone::Fair } else { Tone::Bad }, Vec::new()));
    }
    rows
}

pub fn not_stored(made: Made) -> Section {
    let reasons = made.now.not_stored.iter().map(|why| (&*why.reason, format::count(why.count)));
    made.pairs("Not stored, and why", "answers", reasons, "everything that was fetched could be stored")
}

pub fn stale(made: Made) -> Section {
    let reasons = made.now.stale_served.iter().map(|why| (&*why.why, format::count(why.count)));
    made.pairs("Stale, by what allowed it", "answers", reasons, "none")
}

pub fn refused(made: Made) -> Section {
    let reasons = made.now.refused.iter().map(|why| (&*why.reason, format::count(why.count)));
    made.pairs("Answered by the proxy itself", "answers", reasons, "nothing was refused")
}

/// Where all are of one host, it is said once.
pub fn pages(made: Made) -> Section {
    let pages = &made.now.hottest.pages;
    let host = |url: &str| url.split('/').next().unwrap_or_default().to_owned();
    let first = pages.first().map(|page| host(&page.url));
    let one = first.filter(|first| pages.iter().all(|page| host(&page.url) == *first));
    let title = match &one {
        Some(host) => format!("Hottest pages of {host}"),
        None => "Hottest pages".to_owned(),
    };
    let skip = one.map_or(0, |host| host.len());
    let pages = pages
        .iter()
        .map(|page| (page.url.get(skip..).unwrap_or(&page.url), format::percent(Some(page.share))));
    made.pairs(&title, "requests", pages, "nobody has asked for anything yet")
}

pub fn tags(made: Made) -> Section {
    let tags = made.now.hottest.tags.iter().map(|tag| (&*tag.tag, format::percent(Some(tag.share))));
    made.pairs("Hottest tags", "requests", tags, "no answer carried a tag")
}

pub fn purges(made: Made) -> Section {
    let mut rows = Vec::new();
    for purge in made.now.purges.iter().take(MOST) {
        let matched = match (purge.matched, purge.matched_exact) {
            (None, _) => "counting".to_owned(),
            (Some(matched), Some(false)) => format!("≥ {}", format::count(matched)),
            (Some(matched), _) => format::count(matched),
        };
        // The time of day, and Z for UTC.
        let when = purge.when.get(11..19).unwrap_or_default();
        let by = if purge.who.is_empty() { String::new() } else { format!("  {}", purge.who) };
        let says = format!("{when}Z {} {}{by}", purge.mode, purge.summary);
        rows.push(made.row(&says, Tone::Text, vec![(10, matched, Tone::Text)]));
    }
    if rows.is_empty() {
        rows = made.nothing("nothing has been purged");
    }
    made.section("Recent purges", &[(10, "matched")], rows)
}
