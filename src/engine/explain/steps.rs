//! The trace in sentences: what a person reads in a terminal or on the dashboard. Nothing is decided here, and nothing told
//! that the data beside it doesn't hold.

use super::notes::{self, Note};
use super::trace::{Action, EntryShown, Explained, KeyShown, RuleShown, Step, ValueShown, VariantShown};
use crate::engine::markers::Mark;
use crate::semantics::freshness::{Forbids, Source};

/// Variants and purges that are told one by one.
const LINES: usize = 10;

pub fn of(explained: &Explained) -> Vec<Step> {
    let mut steps = vec![request(explained)];
    if !explained.rules.is_empty() || explained.origin.is_some() {
        steps.push(rules(&explained.rules));
    }
    if let Some(parts) = &explained.key {
        steps.push(key(parts));
        steps.push(look_up(explained));
    }
    steps.extend(explained.entry.as_ref().map(entry));
    if explained.key.is_some() {
        steps.push(purges(explained));
        steps.extend(remembered(explained));
    }
    steps.extend(origin(explained));
    steps.push(decision(explained));
    steps
}

fn step(step: &'static str, says: impl Into<String>, details: Vec<String>) -> Step {
    Step { step, says: says.into(), details, source: None }
}

fn request(explained: &Explained) -> Step {
    let request = &explained.request;
    let removed: Vec<String> = match request.removed_fields.as_slice() {
        [] => Vec::new(),
        names => vec![format!("taken away or rewritten before anything is decided: {}", names.join(", "))],
    };
    step("request", format!("{} {}", request.method, request.url), removed)
}

fn rules(rules: &[RuleShown]) -> Step {
    let mut details = Vec::new();
    for rule in rules {
        let head = match (rule.decided_by, rule.matches) {
            (_, Some(true)) => rule.name.clone(),
            (_, Some(false)) => format!("{} (does not match this response)", rule.name),
            (_, None) => format!("{} (the response decides)", rule.name),
        };
        if rule.sets.is_empty() {
            details.push(format!("{head}: sets nothing"));
        }
        for set in &rule.sets {
            let over = set.overridden_by.as_ref().map(|by| format!("  (overridden by {by})"));
            details.push(format!("{head}: {} = {}{}", set.field, set.value, over.unwrap_or_default()));
        }
    }
    let matching = rules.iter().filter(|rule| rule.matches == Some(true)).count();
    step(
        "rules",
        format!("{} {}", matching, if matching == 1 { "rule matches" } else { "rules match" }),
        details,
    )
}

fn key(key: &KeyShown) -> Step {
    let query = key.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let says = format!("{}://{}{}{query}  at origin {}", key.scheme, key.host, key.path, key.origin);
    let mut details = Vec::new();
    if !key.query_removed.is_empty() {
        details.push(format!("left out, here and at the origin: {}", key.query_removed.join(", ")));
    }
    details.extend(key.headers.iter().map(|header| format!("header {}", field(header))));
    details.extend(key.cookies.iter().map(|name| format!("cookie {name}")));
    details.extend(key.rules.iter().map(|name| format!("the conditions of rule {name}")));
    if key.body {
        details.push("the body: explained is a request with an empty one".into());
    }
    step("key", says, details)
}

fn field(field: &ValueShown) -> String {
    match &field.value {
        Some(value) => format!("{}: {value}", field.name),
        None => format!("{} absent", field.name),
    }
}

fn look_up(explained: &Explained) -> Step {
    let count = explained.variants.len();
    let says = match (count, &explained.entry) {
        (0, _) => "nothing is stored under this key".to_owned(),
        (1, Some(_)) => "stored, in one variant, which this request selects".to_owned(),
        (_, Some(_)) => format!("stored, in {count} variants, of which this request selects one"),
        (1, None) => "stored, in one variant, which is not for this request".to_owned(),
        (_, None) => format!("stored, in {count} variants, none of which is for this request"),
    };
    let varies = explained.variants.iter().any(|variant| !variant.vary.is_empty());
    let mut details: Vec<String> = Vec::new();
    if varies || count > 1 {
        details.extend(explained.variants.iter().take(LINES).map(variant));
        details.extend(count.checked_sub(LINES + 1).map(|more| format!("and {} more", more + 1)));
    }
    if explained.fetch_under_way {
        details.push("somebody's request for it is at the origin just now".into());
    }
    Step { source: Some("RFC 9111 §4"), ..step("look-up", says, details) }
}

fn variant(variant: &VariantShown) -> String {
    let fields: Vec<String> = variant.vary.iter().map(field).collect();
    let fields = if fields.is_empty() { "for every request".to_owned() } else { fields.join("; ") };
    let mark = if variant.selected { "→" } else { "·" };
    let purged = variant.purged.map(|word| format!(", {word}")).unwrap_or_default();
    format!(
        "{mark} {fields}: {}, {} old, {}{purged}",
        variant.status,
        span(variant.age_s),
        left(variant.ttl_s)
    )
}

fn entry(entry: &EntryShown) -> Step {
    let says = format!("{}, {} old, {}", entry.status, span(entry.age_s), left(entry.ttl_s));
    let source = Source::ALL.into_iter().find(|source| source.as_str() == entry.lifetime_from);
    let (from, paragraph) = notes::lifetime(source.unwrap_or(Source::None));
    let by = match entry.lifetime_by.as_str() {
        "" | "expires" | "last-modified" => String::new(),
        by => format!(" ({by})"),
    };
    let mut details = vec![format!("lifetime {}, from {from}{by}", span(entry.lifetime_s))];
    if entry.must_validate {
        details.push("every use must be validated (no-cache)".into());
    }
    let windows = [
        (entry.stale_while_revalidate_s, "stale while it is refreshed"),
        (entry.stale_if_error_s, "stale when the origin fails"),
    ];
    details.extend(windows.iter().filter(|(s, _)| *s > 0).map(|(s, what)| format!("{what}: {}", span(*s))));
    let forbids = Forbids::ALL.into_iter().find(|why| Some(why.as_str()) == entry.stale_forbidden_by);
    if let Some(why) = forbids.filter(|_| windows.iter().all(|(seconds, _)| *seconds == 0)) {
        let Note { says, source, .. } = notes::forbids_stale(why);
        details.push(format!("never stale: {says} ({source})"));
    }
    let validators = [("ETag", &entry.etag), ("Last-Modified", &entry.last_modified)];
    let there: Vec<String> =
        validators.iter().filter_map(|(name, v)| Some(format!("{name} {}", v.as_ref()?))).collect();
    details.push(match there.is_empty() {
        true => "no validator: once stale it is fetched in full".to_owned(),
        false => format!("validated by {}", there.join(", ")),
    });
    if !entry.tags.is_empty() {
        details.push(format!("tags {}", entry.tags.join(", ")));
    }
    let (body, all) = (size(entry.body_bytes), size(entry.memory_bytes));
    details.push(format!("{} tier, {body} of body, {all} in all", entry.tier));
    details.push(format!("received {}, rule {}, origin {}", entry.received, entry.rule, entry.origin));
    Step { source: Some(paragraph), ..step("entry", says, details) }
}

fn purges(explained: &Explained) -> Step {
    let of = if explained.entry.is_some() { "it" } else { "this URL" };
    let says = match explained.purges.len() {
        0 if explained.entry.is_some() => "no purge since it was fetched selects it".to_owned(),
        0 => "no purge that is remembered names this URL".to_owned(),
        1 => format!("one purge selects {of}"),
        count => format!("{count} purges select {of}"),
    };
    let line = |purge: &super::trace::PurgeShown| {
        let ago = purge.ago_s.map(|s| format!(", {} ago", span(s))).unwrap_or_default();
        let who = purge.who.as_ref().filter(|who| !who.is_empty()).map(|who| format!(" by {who}"));
        let write = if purge.cause == "write" { ", by a write to it" } else { "" };
        format!("{} ({}){ago}{}{write}", purge.what, purge.mode, who.unwrap_or_default())
    };
    let mut details: Vec<String> = explained.purges.iter().take(LINES).map(line).collect();
    details.extend(explained.purges.len().checked_sub(LINES + 1).map(|m| format!("and {} more", m + 1)));
    step("purges", says, details)
}

fn remembered(explained: &Explained) -> Option<Step> {
    let remembered = &explained.remembered;
    let mark = Mark::ALL.into_iter().find(|mark| Some(mark.as_str()) == remembered.mark);
    let mut details: Vec<String> = mark.map(|mark| notes::mark(mark).to_owned()).into_iter().collect();
    let says = match &remembered.not_stored {
        Some(last) => {
            details.insert(0, format!("{} ({})", last.says, last.source));
            format!("{} ago its answer ({}) was not stored: {}", span(last.ago_s), last.status, last.reason)
        }
        None if mark.is_some() => "its last answer is remembered".to_owned(),
        None => return None,
    };
    Some(step("remembered", says, details))
}

fn origin(explained: &Explained) -> Option<Step> {
    let origin = explained.origin.as_ref()?;
    let forward = [Action::Revalidate, Action::Fetch, Action::Pass].map(Action::as_str);
    if !forward.contains(&explained.decision.action) && !explained.decision.refresh {
        return None;
    }
    let (all, usable) = (origin.servers, origin.usable);
    Some(step(
        "origin",
        format!("{}: {usable} of {all} {} usable", origin.name, plural(all, "server")),
        Vec::new(),
    ))
}

fn decision(explained: &Explained) -> Step {
    let decision = &explained.decision;
    let verb = match Action::ALL.into_iter().find(|action| action.as_str() == decision.action) {
        Some(Action::Serve) => "served from the store",
        Some(Action::Revalidate) => "the origin is asked whether it still holds",
        Some(Action::Fetch) => "fetched from the origin",
        Some(Action::Pass) => "sent on to the origin as it is",
        Some(Action::Respond) => "answered here",
        Some(Action::Refuse) | None => "refused",
    };
    let status = decision.status.map(|status| format!(" with {status}")).unwrap_or_default();
    let mut details = Vec::new();
    details.extend(decision.cache_status.as_ref().map(|value| format!("Cache-Status: {value}")));
    let fetches = [Action::Fetch.as_str(), Action::Revalidate.as_str()].contains(&decision.action);
    if decision.asks_shared_tier {
        details.push("the shared tier is asked first, which may have it; it was not asked for this".into());
    }
    if fetches {
        details.push("whether the answer may be stored is decided when it comes".into());
    }
    Step {
        source: Some(decision.source),
        ..step("decision", format!("{verb}{status}: {}", decision.says), details)
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn left(ttl: i64) -> String {
    match u64::try_from(ttl) {
        Ok(0) => "stale from now on".to_owned(),
        Ok(seconds) => format!("fresh for {} more", span(seconds)),
        Err(_) => format!("stale for {}", span(ttl.unsigned_abs())),
    }
}

/// `36 s`, `5 min`, `2 h 3 min`, `12 d 4 h`: two units at most.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut parts = Vec::new();
    let mut left = seconds;
    for (length, unit) in UNITS {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{} {unit}", left / length));
        }
        left %= length;
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[allow(clippy::cast_precision_loss)] // one decimal
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_people_say_them() {
        let spans = [0, 59, 60, 61, 3600, 7380, 86_400, 1_051_200, 86_460].map(span);
        let expected =
            ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "2 h 3 min", "1 d", "12 d 4 h", "1 d 1 min"];
        assert_eq!(spans, expected);
        assert_eq!(
            [0, 1023, 1536, 1 << 21, 3 << 30].map(size),
            ["0 B", "1023 B", "1.5 KiB", "2.0 MiB", "3.0 GiB"]
        );
        assert_eq!([5, 0, -5].map(left), ["fresh for 5 s more", "stale from now on", "stale for 5 s"]);
    }
}
