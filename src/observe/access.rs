//! The access log: one line per request on standard output, JSON or text, written by a thread of its own. When
//! the reader of the log can't keep up, lines are dropped and counted; requests never wait for it.

use crate::time::Wall;
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
}

impl AccessLog {
    pub const fn off() -> Self {
        Self { queue: None }
    }

    /// Starts the writer thread; it ends, its lines written, once the last clone is dropped.
    pub fn start(format: Format, out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(format, out, &lines))?;
        Ok(Self { queue: Some(queue) })
    }

    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
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
            let path = escaped(&r.path);
            let query = r.query.as_ref().map(|q| format!("?{}", escaped(q))).unwrap_or_default();
            let agent = escaped(r.user_agent.as_deref().unwrap_or("-"));
            writeln!(
                out,
                "{} - - [{}] \"{} {path}{query} {}\" {} {} \"-\" \"{agent}\" {} {}ms {} {}",
                r.client,
                timestamp(r.time),
                r.method,
                r.protocol,
                r.status,
                r.bytes,
                r.outcome,
                r.duration_ms,
                r.request_id,
                if r.reason.is_empty() { "-" } else { r.reason },
            )
        }
    }
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

/// RFC 3339 with milliseconds, UTC (days-to-date after Howard Hinnant's `civil_from_days`).
pub fn timestamp(at: Wall) -> String {
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_client_wrote_ends_a_quoted_field_or_a_line() {
        assert_eq!(escaped("/a?b'c"), "/a?b'c");
        assert_eq!(escaped("/\"x\\\n\u{1b}\u{85}"), "/\\\"x\\\\\\n\\u{1b}\\u{85}");
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(timestamp(Wall(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(Wall(951_782_399_999)), "2000-02-28T23:59:59.999Z");
        assert_eq!(timestamp(Wall(951_782_400_000)), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(Wall(1_767_225_600_123)), "2026-01-01T00:00:00.123Z");
    }
}
