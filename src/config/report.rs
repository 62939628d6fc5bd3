//! What is wrong with a configuration, and how it is shown: message, place, the line, carets, what would be
//! right.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Findings kept; more are only counted.
const MAX_FINDINGS: usize = 200;
/// Characters of a source line that are shown.
const MAX_LINE: usize = 160;

/// A place in the text. Lines and columns start at 1; columns and width count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Place {
    /// For what is wrong with the file as a whole.
    pub const FILE: Self = Self { line: 0, column: 0, width: 0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What kind of finding it is. The text of a finding is for people; this is for tests and tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    // Errors.
    Unreadable,
    Syntax,
    TooLarge,
    UnsetVariable,
    UnknownKey,
    DuplicateKey,
    MissingKey,
    WrongType,
    BadValue,
    OutOfRange,
    MissingFile,
    NoOrigin,
    UnknownOrigin,
    DuplicateName,
    ExposedAdmin,
    TooLate,
    Conflict,
    // Warnings.
    NeverMatches,
    NoEffect,
    UndefinedCapture,
    NotKeyed,
    CacheDeception,
    SharedCookie,
    NoSecret,
    Unused,
}

impl Class {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Syntax => "syntax",
            Self::TooLarge => "too-large",
            Self::UnsetVariable => "unset-variable",
            Self::UnknownKey => "unknown-key",
            Self::DuplicateKey => "duplicate-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::BadValue => "bad-value",
            Self::OutOfRange => "out-of-range",
            Self::MissingFile => "missing-file",
            Self::NoOrigin => "no-origin",
            Self::UnknownOrigin => "unknown-origin",
            Self::DuplicateName => "duplicate-name",
            Self::ExposedAdmin => "exposed-admin",
            Self::TooLate => "too-late",
            Self::Conflict => "conflict",
            Self::NeverMatches => "never-matches",
            Self::NoEffect => "no-effect",
            Self::UndefinedCapture => "undefined-capture",
            Self::NotKeyed => "not-keyed",
            Self::CacheDeception => "cache-deception",
            Self::SharedCookie => "shared-cookie",
            Self::NoSecret => "no-secret",
            Self::Unused => "unused",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub class: Class,
    pub message: String,
    pub place: Place,
    /// Another place that has to do with it, and how.
    pub also: Option<(Place, String)>,
    /// What would be right.
    pub help: Option<String>,
    /// The line holds a secret and is not shown.
    pub secret: bool,
}

impl Finding {
    /// Says what would be right. The first word on it stands.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help.get_or_insert(text.into());
        self
    }

    pub fn also(&mut self, place: Place, what: impl Into<String>) -> &mut Self {
        self.also = Some((place, what.into()));
        self
    }
}

/// Findings on their way into a report.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    errors: usize,
    omitted: usize,
    /// Takes what comes when the list is full.
    spill: Option<Finding>,
}

impl Findings {
    pub fn error(&mut self, class: Class, place: Place, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, class, place, message.into())
    }

    pub fn warning(&mut self, class: Class, place: Place, message: impl Into<String>) -> &mut Finding {
        self.push(Severity::Warning, class, place, message.into())
    }

    fn push(&mut self, severity: Severity, class: Class, place: Place, message: String) -> &mut Finding {
        let finding = Finding { severity, class, message, place, also: None, help: None, secret: false };
        self.errors += usize::from(severity == Severity::Error);
        if self.list.len() >= MAX_FINDINGS {
            self.omitted += 1;
            return self.spill.insert(finding);
        }
        self.list.push_mut(finding)
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub fn into_report(self, name: &str, text: &str) -> Report {
        let mut list = self.list;
        list.sort_by_key(|f| (f.place.line, f.place.column));
        list.dedup();
        Report { name: Arc::from(name), text: Arc::from(text), findings: list, omitted: self.omitted }
    }
}

/// All findings about one text, in its order.
#[derive(Clone, Debug)]
pub struct Report {
    name: Arc<str>,
    text: Arc<str>,
    findings: Vec<Finding>,
    omitted: usize,
}

impl Report {
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Severity::Error).count()
    }

    /// The whole report, as a terminal shows it. `colour` adds ANSI sequences.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let mut out = String::new();
        for finding in &self.findings {
            self.render_one(finding, &paint, &mut out);
            out.push('\n');
        }
        if self.omitted > 0 {
            // Writing to a String can't fail.
            let _ = writeln!(out, "… and {} more", self.omitted);
        }
        out
    }

    fn render_one(&self, finding: &Finding, paint: &Paint, out: &mut String) {
        let head = paint.severity(finding.severity);
        let _ = writeln!(out, "{head}: {}", clean(&finding.message));
        let lines = [finding.place.line, finding.also.as_ref().map_or(0, |(place, _)| place.line)];
        let gutter = lines.iter().max().map_or(1, |n| n.to_string().len());
        self.snippet(finding.place, finding.secret, gutter, paint, out);
        if let Some((place, what)) = &finding.also {
            let _ = writeln!(out, "{:gutter$} = {}: {}", "", paint.faint("note"), clean(what));
            self.snippet(*place, finding.secret, gutter, paint, out);
        }
        if let Some(help) = &finding.help {
            for (i, line) in help.lines().enumerate() {
                let label = if i == 0 { "help:" } else { "     " };
                let _ = writeln!(out, "{:gutter$} = {} {}", "", paint.faint(label), clean(line));
            }
        }
    }

    /// `--> file:line:column`, the line, carets.
    fn snippet(&self, place: Place, secret: bool, gutter: usize, paint: &Paint, out: &mut String) {
        if place == Place::FILE {
            let _ = writeln!(out, "{:gutter$}--> {}", "", self.name);
            return;
        }
        let Place { line, column, width } = place;
        let _ = writeln!(out, "{:gutter$}--> {}:{line}:{column}", "", self.name);
        let Some(text) = self.text.lines().nth(line.saturating_sub(1)).filter(|_| !secret) else { return };
        // A long line is shown from a little before the place.
        let start = if column > MAX_LINE - 20 { column - 20 } else { 1 };
        let shown: String = text.chars().skip(start - 1).take(MAX_LINE).collect();
        let room = shown.chars().count().saturating_sub(column - start).max(1);
        let carets = "^".repeat(width.clamp(1, room));
        let bar = paint.faint("|");
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let _ = writeln!(out, "{line:>gutter$} {bar} {}", clean(&shown));
        let _ = writeln!(
            out,
            "{:gutter$} {bar} {:skip$}{}",
            "",
            "",
            paint.strong(&carets),
            skip = column - start
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// One character for each control character, so that a configuration can't drive the terminal and the carets
/// stay in their column.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn severity(&self, severity: Severity) -> String {
        match severity {
            Severity::Error => self.with("1;31", severity.as_str()),
            Severity::Warning => self.with("1;33", severity.as_str()),
        }
    }
    fn faint(&self, text: &str) -> String {
        self.with("1;34", text)
    }
    fn strong(&self, text: &str) -> String {
        self.with("1;31", text)
    }
}
