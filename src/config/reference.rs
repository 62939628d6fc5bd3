//! The reference of all fields as Markdown (`docs/configuration.md`, `larder schema --markdown`), from the same tables that
//! read a file and make the JSON Schema. What a field does, and when to turn it, is said in the table's own comments.

use super::Root;
use super::section::{Field, Inside, Section};
use crate::engine::policy::Policy;
use crate::engine::rules::patch::{
    BodyKey, Caching, ClientRevalidate, Coalesce, EarlyRefresh, KeyPatch, Patch, Setting, VaryPatch,
};
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;
use std::sync::Arc;

const HEAD: &str = "\
# Configuration

<!-- Written by `larder schema --markdown` from the tables that read a file, in src/config/. Change it there; then
     `LARDER_BLESS=1 cargo test --lib config::reference` writes it anew. -->

Every field, what it takes, what holds without it, and when to turn it. The file is YAML: `larder -c FILE`, else the one that `LARDER_CONFIG` names, else
`./config.yaml`, else a built-in sample. No field must be given but an origin's `servers`; `larder --origin URL` needs no file at all.

* **Durations** are written `250ms` `5s` `10m` `2h` `7d`, **sizes** `512B` `64KiB` `512MiB` `2GiB`, **shares** `10%` or `0.1`. A bare number is refused as a duration or size.
  `on` and `off` are the same as `true` and `false`. Where a list is taken, one value alone is a list of one.
* **`${NAME}`** and `${NAME:-default}` in a value stand for environment variables; `$${` for a plain `${`. A variable that is not set, without a default, is an error.
* **`larder check`** finds every mistake at once, each with its place and what would be right; unknown keys are mistakes. `larder check --print` shows all that holds, secrets blanked.
  `larder schema` prints the JSON Schema for editors.
* **Reloading** (`kill -HUP`, or `POST /reload` on the admin listener) puts a new file in force without losing a connection or an entry. These stay until the next start, and the log says
  so: `server.listen`, `server.proxy_protocol`, `server.threads`, `server.shutdown_grace`, `admin.address`, `memory.capacity`, `memory.policy`, `shared`, `log.access`, `log.level`, in a fleet `server.secret`, and `tracing` but for its `sample`. It also
  tells what is different now, field by field.
* **Rules**: every one that matches applies, top to bottom, and **the last one that sets a field wins**; `tags` add up, header edits are merged by name, `key` and `vary` leaf by leaf.
  Every field of a rule also takes `default`, which puts back what holds without rules. So the general rules come first.
";

/// All of it.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let without_rules = without_rules().show();
    for field in Root::fields() {
        let form = (field.form)();
        let Some(inside) = form.inside else { continue };
        let path = format!("{}{}", field.key, inside.at);
        let given = (field.key == "rules").then_some(&without_rules);
        let said = inside.about.starts_with(field.doc.trim_end_matches('.'));
        let about = if said { inside.about.to_owned() } else { format!("{} {}", field.doc, inside.about) };
        section(&mut out, "##", &path, &about, &inside, given);
    }
    out
}

/// One table, and those of what is inside. `given` = what holds where no rule says otherwise, for the fields of rules.
fn section(
    out: &mut String,
    level: &str,
    path: &str,
    about: &str,
    inside: &Inside,
    given: Option<&Map<String, Json>>,
) {
    let column = if given.is_some() { "without rules" } else { "default" };
    let _ = write!(out, "\n{level} `{path}`\n\n{about}\n\n");
    let _ = writeln!(out, "| field | takes | {column} | what it does, and when to turn it |");
    let _ = writeln!(out, "| --- | --- | --- | --- |");
    let mut within = Vec::new();
    for field in &inside.fields {
        let form = (field.form)();
        let mut takes = text(&form.takes);
        let shown = given.and_then(|given| given.get(field.key));
        if let Some(inside) = form.inside {
            let below = format!("{path}.{}{}", field.key, inside.at);
            takes = format!("[{takes}](#{})", anchor(&below));
            let leaves = shown.and_then(Json::as_object).filter(|_| matches!(field.key, "key" | "vary"));
            within.push((below, inside, leaves));
        }
        let default = default(field, shown);
        let _ = writeln!(out, "| `{}` | {takes} | {default} | {} |", field.key, text(field.doc));
    }
    for (path, inside, given) in within {
        section(out, "###", &path, inside.about, &inside, given);
    }
}

/// A cell: a bar would end it.
fn text(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The fragment by which Markdown renderers know the heading `` `path` ``.
fn anchor(path: &str) -> String {
    path.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

fn default(field: &Field, given: Option<&Json>) -> String {
    match given.unwrap_or(&field.default) {
        Json::Null if field.required => "must be given".to_owned(),
        Json::Null => "–".to_owned(),
        Json::Array(list) if list.is_empty() => "none".to_owned(),
        Json::Object(map) if map.is_empty() => "–".to_owned(),
        Json::Object(_) => "as below".to_owned(),
        value => format!("`{}`", text(&inline(value))),
    }
}

/// YAML in one line.
fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(key, v)| format!("{key}: {}", inline(v))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

/// What holds where no rule matches, as a rule would say it. What no rule could say (no `min_ttl`, no rewriting) is not there.
fn without_rules() -> Patch {
    let base = Policy::base(Arc::from("app"));
    Patch {
        cache: Setting::To(if base.bypass { Caching::Bypass } else { Caching::On }),
        ttl: Setting::To(base.store.ttl.map(|ttl| ttl.value)),
        force: Setting::To(base.store.force),
        default_ttl: base.store.default_ttl.map_or(Setting::Keep, |ttl| Setting::To(ttl.value)),
        min_ttl: base.store.min_ttl.map_or(Setting::Keep, |ttl| Setting::To(ttl.value)),
        max_ttl: base.store.max_ttl.map_or(Setting::Keep, Setting::To),
        negative_ttl: Setting::To(base.store.negative_ttl),
        heuristic: Setting::To(base.store.heuristic),
        stale_while_revalidate: Setting::To(base.store.stale_while_revalidate),
        stale_if_error: Setting::To(base.store.stale_if_error),
        strict_s_maxage: Setting::To(base.store.strict_s_maxage),
        stale_despite_s_maxage: Setting::To(base.store.stale_despite_s_maxage),
        client_revalidate: Setting::To(match base.client_revalidate_honour {
            true => ClientRevalidate::Honour,
            false => ClientRevalidate::Ignore,
        }),
        jitter: Setting::To((base.jitter > 0.0).then_some(base.jitter)),
        early_refresh: Setting::To(base.early_refresh.map(|beta| EarlyRefresh { beta })),
        browser_ttl: Setting::To(base.browser_ttl),
        keep: Setting::To(base.keep),
        key: KeyPatch {
            query: Setting::To(base.key.query),
            sort: Setting::To(base.key.sort),
            headers: Setting::To(base.key.headers),
            cookies: Setting::To(base.key.cookies),
            body: Setting::To(base.key.body_max.map(|max| BodyKey { max })),
        },
        vary: VaryPatch {
            ignore: Setting::To(base.store.vary_ignore),
            max_variants: Setting::To(base.max_variants),
        },
        set_cookie: Setting::To(base.store.set_cookie),
        coalesce: Setting::To(base.coalesce.map(|wait| Coalesce { wait })),
        after_write: Setting::To(base.after_write),
        read_your_writes: Setting::To(base.read_your_writes),
        compress: Setting::To(base.compress),
        rate: Setting::To(base.rate),
        ..Patch::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, report::Class};
    use std::path::Path;

    #[test]
    fn the_committed_reference_is_what_the_tables_say() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let written = reference();
        if std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::write(&file, &written).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        let line = committed.lines().zip(written.lines()).position(|(is, should)| is != should);
        assert!(
            committed == written,
            "docs/configuration.md differs (first in line {:?}): LARDER_BLESS=1 writes it anew",
            line.map(|l| l + 1)
        );
    }

    /// Every `Example:`, put where its field stands. Only what other fields would have to be given may be missed.
    #[test]
    fn every_example_is_accepted_where_it_belongs() {
        let mut seen = 0;
        for field in Root::fields() {
            try_inside(&field, "{ ", " }", &mut seen);
        }
        assert!(seen > 100, "{seen} examples");
    }

    fn try_inside(field: &Field, before: &str, after: &str, seen: &mut usize) {
        let Some(inside) = (field.form)().inside else { return };
        let (mut open, mut close) = (format!("{before}{}: ", field.key), after.to_owned());
        if inside.at.starts_with('[') {
            open.push('[');
            close.insert(0, ']');
        } else if inside.at.starts_with('.') {
            open.push_str("{ app: ");
            close.insert_str(0, " }");
        }
        let (open, close) = (format!("{open}{{ "), format!(" }}{close}"));
        for field in &inside.fields {
            if let Some((_, example)) = field.doc.split_once("Example: `") {
                let example = example.trim_end_matches('`');
                let example =
                    example.strip_prefix("{ ").and_then(|e| e.strip_suffix(" }")).unwrap_or(example);
                accepted(&format!("{open}{example}{close}"));
                *seen += 1;
            }
            try_inside(field, &open, &close, seen);
        }
    }

    fn accepted(yaml: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
        let Err(report) = config::parse("example", yaml, &folder, &|_| None) else { return };
        let missed = |class: Class| matches!(class, Class::MissingKey | Class::NoOrigin);
        assert!(report.findings().iter().all(|f| missed(f.class)), "{yaml}\n{report}");
    }
}
