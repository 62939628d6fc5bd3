//! The access log: one line per request on standard output, JSON or text, written by a thread of its own. When
//! the reader of the log can't keep up, lines are dropped and counted; requests never wait for it.

use crate::time::{self, Wall};
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// `log.access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// Like Apache's combined format (the time is RFC 3339), with outcome, duration, request id and reason behind it.
    Text,
    /// Apache's combined format, and nothing else: for programs that read it.
    Combined,
}

/// Lines that may wait to be written.
const QUEUE: usize = 16 * 1024;

/// One request, as interface.md §5 "Shapes" names the fields. No cookie, no credential, no body.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// When it began. Put into words by the log's own thread.
    #[serde(serialize_with = "time")]
    pub time: Wall,
    pub request_id: String,
    pub client: IpAddr,
    pub method: Cow<'static, str>,
    pub scheme: &'static str,
    pub host: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    pub protocol: &'static str,
    pub status: u16,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<i64>,
    /// Body bytes sent.
    pub bytes: u64,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Of the trace, where the request is recorded in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// For the combined format alone.
    #[serde(skip)]
    pub referer: Option<String>,
}

fn text<S: serde::Serializer>(value: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(value)
}

fn time<S: serde::Serializer>(value: &Wall, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&timestamp(*value))
}

/// Where lines go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: Option<SyncSender<Record>>,
    referer: bool,
}

impl AccessLog {
    pub const fn off() -> Self {
        Self { queue: None, referer: false }
    }

    /// Starts the writer thread; it ends, its lines written, once the last clone is dropped.
    pub fn start(format: Format, out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(format, out, &lines))?;
        Ok(Self { queue: Some(queue), referer: format == Format::Combined })
    }

    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether [`Record::referer`] will be written.
    pub const fn wants_referer(&self) -> bool {
        self.referer
    }

    /// False when the line was dropped.
    pub fn log(&self, record: Record) -> bool {
        match &self.queue {
            None => true,
            Some(queue) => !matches!(queue.try_send(record), Err(TrySendError::Full(_))),
        }
    }
}

fn write(format: Format, out: impl Write, lines: &Receiver<Record>) {
    let mut out = std::io::BufWriter::with_capacity(64 * 1024, out);
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(record) = next {
            // A closed pipe must not end the proxy: lines go nowhere then.
            let _ = line(format, &record, &mut out);
            next = lines.try_recv().ok();
        }
        let _ = out.flush();
    }
}

fn line(format: Format, r: &Record, out: &mut impl Write) -> std::io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer(&mut *out, r)?;
            out.write_all(b"\n")
        }
        Format::Text => {
            common(r, &timestamp(r.time), "-", out)?;
            let reason = if r.reason.is_empty() { "-" } else { r.reason };
            writeln!(out, " {} {}ms {} {reason}", r.outcome, r.duration_ms, r.request_id)
        }
        Format::Combined => {
            common(r, &apache_time(r.time), r.referer.as_deref().unwrap_or("-"), out)?;
            out.write_all(b"\n")
        }
    }
}

/// What the two text formats share: Apache's `%h %l %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`.
fn common(r: &Record, time: &str, referer: &str, out: &mut impl Write) -> std::io::Result<()> {
    let path = escaped(&r.path);
    let query = r.query.as_ref().map(|q| format!("?{}", escaped(q))).unwrap_or_default();
    let (referer, agent) = (escaped(referer), escaped(r.user_agent.as_deref().unwrap_or("-")));
    write!(
        out,
        "{} - - [{time}] \"{} {path}{query} {}\" {} {} \"{referer}\" \"{agent}\"",
        r.client, r.method, r.protocol, r.status, r.bytes,
    )
}

/// What a client wrote can't end a quoted field, or a line.
fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    let harmful = |c: char| c == '"' || c == '\\' || c.is_control();
    if !text.contains(harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmful(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.into()
}

/// A moment as people count: UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

const fn civil(at: Wall) -> Civil {
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    let (year, month, day) = time::civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    Civil { year, month, day, hour, minute, second, milli: ms % 1000 }
}

/// RFC 3339 with milliseconds, UTC.
pub fn timestamp(at: Wall) -> String {
    let Civil { year, month, day, hour, minute, second, milli } = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// As Apache's `%t` has it, without the brackets.
fn apache_time(at: Wall) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = civil(at);
    let month = usize::try_from(month).ok().and_then(|month| time::MONTHS.get(month.wrapping_sub(1)));
    let month = month.copied().unwrap_or("Jan");
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names that a line of JSON can have, in order.
    const FIELDS: [&str; 21] = [
        "time",
        "request_id",
        "client",
        "method",
        "scheme",
        "host",
        "path",
        "query",
        "protocol",
        "status",
        "outcome",
        "reason",
        "rule",
        "tier",
        "age_s",
        "ttl_s",
        "bytes",
        "duration_ms",
        "origin_ms",
        "user_agent",
        "trace_id",
    ];

    #[test]
    fn nothing_a_client_wrote_ends_a_quoted_field_or_a_line() {
        assert_eq!(escaped("/a?b'c"), "/a?b'c");
        assert_eq!(escaped("/\"x\\\n\u{1b}\u{85}"), "/\\\"x\\\\\\n\\u{1b}\\u{85}");
    }

    fn record() -> Record {
        Record {
            time: Wall(1_767_225_600_123),
            request_id: "r1".into(),
            client: [192, 0, 2, 1].into(),
            method: "GET".into(),
            scheme: "https",
            host: "shop.example.com".into(),
            path: "/a\"b".into(),
            query: Some("q=1".into()),
            protocol: "HTTP/1.1",
            status: 200,
            outcome: "stale",
            reason: "stale-while-revalidate",
            rule: "all".into(),
            tier: Some("memory"),
            age_s: Some(61),
            ttl_s: Some(-1),
            bytes: 1234,
            duration_ms: 2,
            origin_ms: Some(1),
            user_agent: Some("Mozilla/5.0".into()),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            referer: Some("https://example.com/\nx".into()),
        }
    }

    fn written(format: Format, record: &Record) -> String {
        let mut out = Vec::new();
        line(format, record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_formats_are_what_the_documentation_shows() {
        let shown = [
            r#"{"time":"2026-01-01T00:00:00.123Z","request_id":"r1","client":"192.0.2.1","method":"GET","scheme":"https","host":"shop.example.com","path":"/a\"b","query":"q=1","protocol":"HTTP/1.1","status":200,"outcome":"stale","reason":"stale-while-revalidate","rule":"all","tier":"memory","age_s":61,"ttl_s":-1,"bytes":1234,"duration_ms":2,"origin_ms":1,"user_agent":"Mozilla/5.0","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
            r#"192.0.2.1 - - [2026-01-01T00:00:00.123Z] "GET /a\"b?q=1 HTTP/1.1" 200 1234 "-" "Mozilla/5.0" stale 2ms r1 stale-while-revalidate"#,
            r#"192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /a\"b?q=1 HTTP/1.1" 200 1234 "https://example.com/\nx" "Mozilla/5.0""#,
        ];
        let page = include_str!("../../docs/logs.md");
        for (format, shown) in [Format::Json, Format::Text, Format::Combined].into_iter().zip(shown) {
            assert_eq!(written(format, &record()), format!("{shown}\n"));
            assert!(page.contains(shown), "docs/logs.md does not show: {shown}");
        }
    }

    #[test]
    fn the_fields_are_those_that_are_documented_and_no_others() {
        let full: serde_json::Value = serde_json::from_str(&written(Format::Json, &record())).unwrap();
        let names: Vec<&str> = full.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, FIELDS);
        let page = include_str!("../../docs/logs.md");
        let documented: Vec<&str> = page
            .lines()
            .filter_map(|l| l.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
            .collect();
        assert_eq!(documented, FIELDS);
        // What is not known is left out.
        let bare = Record {
            query: None,
            reason: "",
            tier: None,
            age_s: None,
            ttl_s: None,
            origin_ms: None,
            user_agent: None,
            trace_id: None,
            ..record()
        };
        let bare: serde_json::Value = serde_json::from_str(&written(Format::Json, &bare)).unwrap();
        let always =
            page.lines().filter(|line| line.starts_with("| `") && line.contains("| always |")).count();
        assert_eq!(bare.as_object().unwrap().len(), always);
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(timestamp(Wall(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(Wall(951_782_399_999)), "2000-02-28T23:59:59.999Z");
        assert_eq!(timestamp(Wall(951_782_400_000)), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(Wall(1_767_225_600_123)), "2026-01-01T00:00:00.123Z");
    }
}
