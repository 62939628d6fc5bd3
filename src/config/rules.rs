//! `rules`: what the matching ones set (interface.md §2.2).

use super::compound::{Dict, Leaves, List, Off, Opt, Reset, Sect, Sparse};
use super::matching::ValueGlob;
use super::net::{EditableHeader, Header, UrlPath};
use super::report::Class;
use super::scalar::{
    BLANK, Count, Factor, Name, Refusal, Scalar, Share, Single, Size, Span, Switch, Text, Timeout, Word,
};
use super::section::{self, Cx, Field, Fields, Form, Kind, Section, put, section};
use super::tree::{Node, Value};
use crate::engine::policy::{
    AfterWrite, Algorithm, Compress, HeaderEdits, HeaderSource, QueryKey, Rate, RateBy, Respond, Rewrite,
};
use crate::engine::rules::conditions::Conditions;
use crate::engine::rules::glob::Glob;
use crate::engine::rules::patch::{
    BodyKey, Caching, ClientRevalidate, Coalesce, EarlyRefresh, KeyPatch, Patch, Setting, VaryPatch,
};
use crate::engine::rules::template::{Template, TemplateError};
use crate::engine::rules::{Assignment, Rule};
use crate::semantics::storable::{Heuristic, HeuristicStatuses, SetCookie};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

section! {
    /// What a rule sets. The last matching rule that sets a field wins; `default` puts it back.
    for Patch {
        /// Which origin to send to; part of the key.
        /// Example: `origin: app`
        origin: Setting<Arc<str>> as Reset<Name>;
        /// `bypass`: never looked up, never stored, sent on as it is.
        /// Example: `cache: bypass`
        cache: Setting<Caching> as Reset<Word>;
        /// Overrides the origin's freshness lifetime in this cache, not what browsers are told (that is `browser_ttl`). Acts on 200 203 204 300 301 308; on other statuses where the same rule's `match` names them. What must not be stored stays out: see `force`.
        /// Example: `ttl: 1h`
        ttl: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// The `ttl` beside it also stores what is marked `private`, `no-store` or `no-cache`. Never lifts `Authorization`, `Set-Cookie` or `Vary: *`. For origins that mark everything and can't be changed.
        /// Example: `{ ttl: 1m, force: true }`
        force: Setting<bool> as Reset<Switch>;
        /// The lifetime where the origin gave none. Does not act when the request had `Cookie` or `Authorization`: remove the cookie (`request_headers`) where it makes no difference.
        /// Example: `default_ttl: 5m`
        default_ttl: Setting<Duration> as Reset<Span>;
        /// No lifetime is shorter; but an explicit `no-cache` or `max-age=0` stays.
        /// Example: `min_ttl: 10s`
        min_ttl: Setting<Duration> as Reset<Span>;
        /// No lifetime is longer, the `ttl` of a rule included.
        /// Example: `max_ttl: 7d`
        max_ttl: Setting<Duration> as Reset<Span>;
        /// The lifetime of 404 and 410 where the origin gave none: a flood of wrong links does not reach the origin.
        /// Example: `negative_ttl: 10s`
        negative_ttl: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// A guess for answers without a lifetime: a share of the time since `Last-Modified` (RFC 9111 §4.2.2). Never when the request had `Cookie` or `Authorization`. Off where only what the origin says shall count.
        /// Example: `heuristic: off`
        heuristic: Setting<Option<Heuristic>> as Reset<Off<Sect>>;
        /// After expiry, serve stale for this long while it is fetched again in the background. The origin's own `stale-while-revalidate` wins. Where the origin says `s-maxage`, only its own counts, unless `stale_despite_s_maxage` is on; `must-revalidate`, `proxy-revalidate` and `no-cache` forbid it (RFC 9111 §4.2.4).
        /// Example: `stale_while_revalidate: 1m`
        stale_while_revalidate: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// After expiry, serve stale for this long when the origin fails (no answer, 500, 502, 503, 504). The origin's own `stale-if-error` wins. Where the origin says `s-maxage`, only its own counts, unless `stale_despite_s_maxage` is on; `must-revalidate`, `proxy-revalidate` and `no-cache` forbid it (RFC 9111 §4.2.4).
        /// Example: `stale_if_error: 1d`
        stale_if_error: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// `s-maxage` forbids serving stale even beside an explicit `stale-*` directive, as the letter of RFC 9111 §4.2.4 has it.
        /// Example: `strict_s_maxage: true`
        strict_s_maxage: Setting<bool> as Reset<Switch>;
        /// The `stale_*` windows of rules hold beside the origin's `s-maxage` too, which RFC 9111 §4.2.4 forbids. For applications that send `s-maxage` without a thought of stale use (Magento), where you answer for the origin too; `must-revalidate`, `proxy-revalidate`, `no-cache` and `strict_s_maxage` win over it.
        /// Example: `stale_despite_s_maxage: true`
        stale_despite_s_maxage: Setting<bool> as Reset<Switch>;
        /// Whether a client's `no-cache`, `max-age`, `min-fresh`, `Pragma: no-cache` reaches the origin. `ignore` where reloads in browsers are more than the origin can take.
        /// Example: `client_revalidate: ignore`
        client_revalidate: Setting<ClientRevalidate> as Reset<Word>;
        /// Shortens each lifetime by a random share of up to this, so that what was stored together (by `larder warm`, after a purge) does not expire together.
        /// Example: `jitter: 10%`
        jitter: Setting<Option<f64>> as Reset<Off<Share>>;
        /// Refreshes popular entries before they expire, with a probability that rises towards expiry and with how long the fetch took (XFetch). For slow pages that must never be stale.
        /// Example: `early_refresh: on`
        early_refresh: Setting<Option<EarlyRefresh>> as Reset<Off<Sect>>;
        /// How long browsers may keep it: they are sent `max-age` = this + `Age`. Short where you purge: browsers hear of no purge.
        /// Example: `browser_ttl: 1m`
        browser_ttl: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// How long an expired entry stays in memory, so that it can be validated (304) instead of fetched. The `stale-*` windows keep it as long as they last anyway.
        /// Example: `keep: 1h`
        keep: Setting<Duration> as Reset<Span>;
        /// What is part of the cache key beside scheme, host, path, query and origin. Merged leaf by leaf.
        key: KeyPatch as Leaves;
        /// How the origin's `Vary` is treated. Merged leaf by leaf.
        vary: VaryPatch as Leaves;
        /// Added to the response's own tags, for purging. Templates: `{capture}` of this rule's `path`, `{host}`, `{path}`, `{header.X}`, `{query.x}` (of the request). The tags of all matching rules count.
        /// Example: `tags: ["product:{id}", products]`
        tags: Setting<Vec<Template>> as Reset<List<TagTemplate>>;
        /// Edits of the request to the origin, made before the key and `Vary` are looked at. Merged by name.
        request_headers: Setting<HeaderEdits> as Reset<Sect>;
        /// Edits of the response to the client; what is stored stays as it came. Merged by name.
        response_headers: Setting<HeaderEdits> as Reset<Sect>;
        /// What happens to a response with `Set-Cookie`: `refuse` does not store it; `strip` stores and serves it without; `store` gives every client the first one's cookie. `strip` only where the cookie is of no use to anybody.
        /// Example: `set_cookie: strip`
        set_cookie: Setting<SetCookie> as Reset<Word>;
        /// Requests for the same cold key wait for one fetch, and get it as it arrives. What turns out not to be shareable releases all at once.
        /// Example: `coalesce: { wait: 3s }`
        coalesce: Setting<Option<Coalesce>> as Reset<Off<Sect>>;
        /// What a successful write (POST, PUT, …) does to what is stored for its URL: `invalidate` (RFC 9111 §4.4), or `refresh`: also fetch it again at once, so that the next reader does not wait.
        /// Example: `after_write: refresh`
        after_write: Setting<AfterWrite> as Reset<Word>;
        /// A client that wrote reads past the cache for this long, by a signed cookie: it sees its change on pages that the write did not invalidate. Set `server.secret`.
        /// Example: `read_your_writes: 5s`
        read_your_writes: Setting<Option<Duration>> as Reset<Off<Span>>;
        /// Compresses once in the background what the origin sends plain, keeps it beside the entry, and serves it to who accepts it. Turn it on where the origin does not compress.
        /// Example: `compress: on`
        compress: Setting<Option<Compress>> as Reset<Off<Sect>>;
        /// How many requests one client may make under this rule; hits count. More are answered 429 with `Retry-After`.
        /// Example: `rate: { requests: 100, per: 1s }`
        rate: Setting<Option<Rate>> as Reset<Off<Sect>>;
        /// Another path for the origin; key, rules and purges know the client's.
        /// Example: `rewrite: { strip_prefix: /api, prefix: /v2 }`
        rewrite: Setting<Rewrite> as Reset<Sect>;
        /// Answered here, without an origin: redirects, maintenance pages.
        /// Example: `respond: { status: 301, location: "https://www.example.com{path}" }`
        respond: Setting<Respond> as Reset<Sect>;
    }
}

section! {
    /// Heuristic freshness: a share of the time since `Last-Modified`.
    for Heuristic {
        /// The share.
        /// Example: `fraction: 20%`
        fraction: f64 as Share = 0.1;
        /// At most this long.
        /// Example: `max: 2h`
        max: Duration as Span = Duration::from_secs(3600);
        /// `usual`: 200 203 204 300 301 308; `all`: every status of RFC 9110 §15.1, and what is marked `public`.
        /// Example: `statuses: all`
        statuses: HeuristicStatuses as Word = HeuristicStatuses::Usual;
    }
}

section! {
    /// Refreshing before expiry (XFetch).
    for EarlyRefresh {
        /// Above 1 earlier, below 1 later.
        /// Example: `beta: 2`
        beta: f64 as Factor = 1.0;
    }
}

section! {
    /// What is part of the cache key beside scheme, host and path.
    for KeyPatch {
        /// Which query parameters count, by globs for their names. What is not in the key is not sent to the origin either. Take tracking parameters out; `include` where the page knows only a few.
        /// Example: `query: { exclude: ["utm_*", gclid, fbclid] }`
        query: Setting<QueryKey> as Reset<QueryKeys>;
        /// Sort parameters by name, so that `?a=1&b=2` and `?b=2&a=1` are one.
        /// Example: `sort: true`
        sort: Setting<bool> as Reset<Switch>;
        /// Request headers whose values are part of the key: tenant, device class.
        /// Example: `headers: [X-Tenant]`
        headers: Setting<Vec<HeaderName>> as Reset<List<Header>>;
        /// Cookies whose values are part of the key, by whole name. Never a session's: that is a cache per visitor.
        /// Example: `cookies: [currency]`
        cookies: Setting<Vec<String>> as Reset<List<CookieName>>;
        /// Also answer QUERY, and POST, from the store, keyed by the body's digest and `Content-Type`. For GraphQL and search that only read.
        /// Example: `body: { max: 16KiB }`
        body: Setting<Option<BodyKey>> as Reset<Off<Sect>>;
    }
}

section! {
    /// Requests keyed by their body.
    for BodyKey {
        /// Larger bodies are passed on and not cached.
        /// Example: `max: 16KiB`
        max: u64 as Size<1, 16_777_216> = 64 * 1024;
    }
}

section! {
    /// How `Vary` is treated.
    for VaryPatch {
        /// Fields of `Vary` that don't count: every client gets what the first one was sent. Safe only if the field makes no difference, or is keyed.
        /// Example: `ignore: [User-Agent]`
        ignore: Setting<Vec<HeaderName>> as Reset<List<Header>>;
        /// Variants kept per key; the one that was stored first goes first (`larder_variants_dropped_total`).
        /// Example: `max_variants: 16`
        max_variants: Setting<usize> as Reset<Count<1, 10_000>>;
    }
}

section! {
    /// Edits of headers.
    for HeaderEdits {
        /// Values by name; templates as in `tags`, braces doubled.
        /// Example: `set: { X-Tenant: "{host}" }`
        set: Vec<(HeaderName, HeaderSource)> as Sparse<HeaderValues>;
        /// Names.
        /// Example: `remove: [X-Debug]`
        remove: Vec<HeaderName> as Sparse<List<EditableHeader>>;
    }
}

section! {
    /// Requests for the same cold key wait for one fetch.
    for Coalesce {
        /// How long one waits before it fetches for itself.
        /// Example: `wait: 3s`
        wait: Duration as Timeout = crate::engine::policy::DEFAULT_COALESCE;
    }
}

section! {
    /// Compressed forms of what is stored.
    for Compress {
        /// In order of preference, for clients that accept several.
        /// Example: `algorithms: [br, gzip]`
        algorithms: Vec<Algorithm> as List<Word, 1> =
            vec![Algorithm::Zstd, Algorithm::Brotli, Algorithm::Gzip];
        /// Smaller bodies are left alone; so are those over 32 MiB, and media types that do not shrink.
        /// Example: `min: 4KiB`
        min: u64 as Size = 1024;
    }
}

section! {
    /// How many requests one client may make.
    for Rate {
        /// How many; a client may use them all at once, and gets them back evenly.
        /// Example: `requests: 100`
        requests: u32 as Count<1, 1_000_000_000>;
        /// In which time.
        /// Example: `per: 1m`
        per: Duration as Span<1> = Duration::from_secs(1);
        /// Of whom: the client's address after `trusted_proxies`, of IPv6 the first 64 bits.
        by: RateBy as Word = RateBy::Ip;
    }
}

section! {
    /// Another path for the origin.
    for Rewrite {
        /// Taken off, at a segment boundary: `/api` of `/api/x`, not of `/apis`.
        /// Example: `strip_prefix: /api`
        strip_prefix: Option<String> as Opt<UrlPath>;
        /// Put in front.
        /// Example: `prefix: /v2`
        prefix: Option<String> as Opt<UrlPath>;
    }
}

section! {
    /// Answered here, without an origin.
    for Respond {
        /// Which.
        /// Example: `status: 410`
        status: StatusCode as FinalStatus;
        /// Where to, for 3xx and 201; templates as in `tags`.
        /// Example: `location: "https://www.example.com{path}"`
        location: Option<Template> as Opt<TagTemplate>;
        /// Plain text.
        /// Example: `body: gone for good`
        body: Option<String> as Opt<Text<65_536>>;
    }
}

section::choice! { for Caching {
    On = "on" | "true",
    Bypass = "bypass" | "pass" | "off" | "false",
} }
section::choice! { for ClientRevalidate { Honour = "honour", Ignore = "ignore", } }
section::choice! { for SetCookie { Refuse = "refuse", Strip = "strip", Store = "store", } }
section::choice! { for HeuristicStatuses { Usual = "usual", All = "all", } }
section::choice! { for AfterWrite { Invalidate = "invalidate", Refresh = "refresh", } }
section::choice! { for Algorithm { Zstd = "zstd", Brotli = "br", Gzip = "gzip", } }
section::choice! { for RateBy { Ip = "ip", } }

/// A rule: `name`, `match`, and the fields of [`Patch`] side by side.
impl Section for Rule {
    const ABOUT: &'static str =
        "Every matching rule applies, top to bottom; a later one overrides field by field.";

    fn fields() -> Vec<Field> {
        let mut fields = vec![
            Field::new::<Option<Arc<str>>, Opt<Name<true>>>(
                "name",
                "Appears in explain, metrics and logs; by default `rules[2]`.",
                None,
            ),
            Field::new::<Conditions, Sect>("match", "When it applies; left out = always.", None),
        ];
        fields.extend(Patch::fields());
        fields
    }

    fn read(fields: &Fields<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let name: Option<Option<Arc<str>>> = fields.take::<_, Opt<Name<true>>>("name", None, cx);
        let conditions = fields.take::<Conditions, Sect>("match", None, cx).unwrap_or_default();
        let patch = Patch::read(fields, cx).unwrap_or_default();
        let sets = assignments(&patch);
        Some(Self { name: name.flatten().unwrap_or_else(|| Arc::from("")), conditions, patch, sets })
    }

    fn show(&self) -> Map<String, Json> {
        let mut map = Map::new();
        put(&mut map, "name", json!(*self.name));
        if !self.conditions.is_empty() {
            put(&mut map, "match", Json::Object(self.conditions.show()));
        }
        map.extend(self.patch.show());
        map
    }
}

/// What a rule sets, leaf by leaf, for `explain`.
fn assignments(patch: &Patch) -> Vec<Assignment> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = Vec::new();
    for (field, value) in patch.show() {
        match &value {
            Json::Object(leaves) if field == "key" || field == "vary" => {
                out.extend(leaves.iter().map(|(leaf, value)| Assignment {
                    field: format!("{field}.{leaf}"),
                    value: text(value),
                }));
            }
            _ => out.push(Assignment { value: text(&value), field }),
        }
    }
    out
}

/// All rules. One that can't be read leaves an empty rule in its place, so that numbers stay right.
#[derive(Debug)]
pub struct RuleList;

impl Kind<Vec<Rule>> for RuleList {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<Rule>> {
        let items = node.items();
        if items.len() > crate::engine::rules::MAX_RULES {
            cx.error(Class::TooLarge, node.place, crate::engine::rules::TooManyRules.to_string());
            return None;
        }
        let mut rules = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let rule: Option<Rule> = cx.within(format!("[{i}]"), |cx| section::read(item, cx));
            let mut rule = rule.unwrap_or_default();
            if rule.name.is_empty() {
                rule.name = Arc::from(format!("rules[{i}]"));
            }
            rules.push(rule);
        }
        Some(rules)
    }
    fn show(value: &Vec<Rule>) -> Json {
        value.iter().map(|rule| Json::Object(rule.show())).collect()
    }
    fn schema() -> Json {
        json!({ "type": ["array", "null"], "items": <Sect as Kind<Rule>>::schema() })
    }
    fn form() -> Form {
        <List<Sect> as Kind<Vec<Rule>>>::form().said(|_| "a list of maps".to_owned())
    }
    fn absent() -> Option<Vec<Rule>> {
        Some(Vec::new())
    }
}

/// `all`, `none`, `{include: […]}`, `{exclude: […]}`.
#[derive(Debug)]
pub struct QueryKeys;

impl QueryKeys {
    const HELP: &'static str = "`all`, `none`, `{ include: [id, page] }` or `{ exclude: [\"utm_*\"] }`";
}

impl Kind<QueryKey> for QueryKeys {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<QueryKey> {
        match &node.value {
            Value::Text(text) if text == "all" => return Some(QueryKey::All),
            Value::Text(text) if text == "none" => return Some(QueryKey::None),
            Value::Map(entries) => {
                if let [(key, list)] = entries.as_slice() {
                    let read = |cx: &mut Cx<'_>| <List<ValueGlob> as Kind<Vec<Glob>>>::read(list, cx);
                    match key.text.as_str() {
                        "include" => return cx.within("include", read).map(QueryKey::Include),
                        "exclude" => return cx.within("exclude", read).map(QueryKey::Exclude),
                        _ => {}
                    }
                }
            }
            Value::Broken => return None,
            Value::Text(_) | Value::Null | Value::List(_) => {}
        }
        let message = format!("`{}` is not one of its forms", cx.here());
        cx.error(Class::WrongType, node.place, message).help(Self::HELP);
        None
    }
    fn show(value: &QueryKey) -> Json {
        let list = <List<ValueGlob> as Kind<Vec<Glob>>>::show(&value.globs().to_vec());
        match value {
            QueryKey::All => json!("all"),
            QueryKey::None => json!("none"),
            QueryKey::Include(_) => json!({ "include": list }),
            QueryKey::Exclude(_) => json!({ "exclude": list }),
        }
    }
    fn schema() -> Json {
        let list = <List<ValueGlob> as Kind<Vec<Glob>>>::schema();
        json!({ "anyOf": [
            { "enum": ["all", "none"] },
            { "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
              "properties": { "include": list.clone(), "exclude": list } },
        ] })
    }
    fn form() -> Form {
        Form::plain(Self::HELP)
    }
}

/// A text with variables in it.
#[derive(Debug)]
pub struct TagTemplate;
impl Single for TagTemplate {}

impl Scalar<Template> for TagTemplate {
    fn what() -> String {
        "a text (`product:{id}`)".into()
    }
    fn parse(text: &str) -> Result<Template, Refusal> {
        if text.is_empty() || text.len() > 1024 {
            return Err(Refusal::range("a template has 1 to 1024 bytes"));
        }
        Template::parse(text).map_err(|e| template_refusal(text, &e))
    }
    fn show(value: &Template) -> Json {
        json!(value.source())
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number"], "minLength": 1 })
    }
}

fn template_refusal(text: &str, error: &TemplateError) -> Refusal {
    let refusal = Refusal::new(format!("`{text}`: {error}"));
    refusal.help(match error {
        TemplateError::Unclosed | TemplateError::Unopened => "a plain brace is written twice: `{{`, `}}`",
        TemplateError::Unknown(_) => {
            "`{host}`, `{path}`, `{header.X}`, `{query.x}`, or a capture of this rule's `path`; a plain brace is written twice"
        }
        TemplateError::HeaderName(_) => "`{header.X-Tenant}`",
    })
}

/// `set` of header edits.
#[derive(Debug)]
pub struct HeaderValues;

impl Kind<Vec<(HeaderName, HeaderSource)>> for HeaderValues {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<(HeaderName, HeaderSource)>> {
        let mut values: Vec<(HeaderName, HeaderSource)> =
            <Dict<EditableHeader, HeaderText> as Kind<_>>::read(node, cx)?;
        for (name, source) in &mut values {
            if let HeaderSource::Fixed(value) = source {
                // Kept out of `Debug`, and of HPACK's tables (RFC 7541 §7.1.3).
                value.set_sensitive(is_secret(name));
            }
        }
        Some(values)
    }
    fn show(value: &Vec<(HeaderName, HeaderSource)>) -> Json {
        let shown = |(name, source): &(HeaderName, HeaderSource)| {
            let text = if is_secret(name) { BLANK.to_owned() } else { HeaderText::text(source) };
            (name.as_str().to_owned(), json!(text))
        };
        Json::Object(value.iter().map(shown).collect())
    }
    fn schema() -> Json {
        <Dict<EditableHeader, HeaderText> as Kind<Vec<(HeaderName, HeaderSource)>>>::schema()
    }
    fn form() -> Form {
        <Dict<EditableHeader, HeaderText> as Kind<Vec<(HeaderName, HeaderSource)>>>::form()
    }
}

/// Headers whose values are nobody's business.
fn is_secret(name: &HeaderName) -> bool {
    let name = name.as_str();
    // By what is in the name: one that is blanked without need does no harm, one that is shown does.
    ["auth", "cookie", "token", "secret", "passw", "key", "verify", "signature", "credential"]
        .iter()
        .any(|s| name.contains(s))
}

/// The value of a header, perhaps a template.
#[derive(Debug)]
pub struct HeaderText;
impl Single for HeaderText {}

impl HeaderText {
    /// As it is written in a configuration.
    fn text(source: &HeaderSource) -> String {
        match source {
            HeaderSource::Fixed(value) => {
                value.to_str().unwrap_or_default().replace('{', "{{").replace('}', "}}")
            }
            HeaderSource::Template(template) => template.source().to_owned(),
        }
    }
}

impl Scalar<HeaderSource> for HeaderText {
    fn what() -> String {
        "a text".into()
    }
    fn parse(text: &str) -> Result<HeaderSource, Refusal> {
        let template = Template::parse(text).map_err(|e| template_refusal(text, &e))?;
        let Some(literal) = template.literal() else { return Ok(HeaderSource::Template(template)) };
        match HeaderValue::from_str(literal) {
            Ok(value) if value.to_str().is_ok() => Ok(HeaderSource::Fixed(value)),
            _ => {
                Err(Refusal::new("the value has characters that a header can't carry").help("visible ASCII"))
            }
        }
    }
    fn show(value: &HeaderSource) -> Json {
        json!(Self::text(value))
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

#[derive(Debug)]
pub struct CookieName;
impl Single for CookieName {}

impl Scalar<String> for CookieName {
    fn what() -> String {
        "the name of a cookie".into()
    }
    fn parse(text: &str) -> Result<String, Refusal> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "()<>@,;:\\\"/[]?={}".contains(c);
        if text.is_empty() || !text.is_ascii() || text.contains(forbidden) {
            return Err(Refusal::new(format!("`{text}` is no name of a cookie"))
                .help("only the name, as in `session`"));
        }
        if text.contains('*') {
            let refusal = Refusal::new(format!("`{text}` is a pattern"));
            return Err(refusal.help("a key needs whole names: list the cookies"));
        }
        Ok(text.to_owned())
    }
    fn show(value: &String) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

#[derive(Debug)]
pub struct FinalStatus;
impl Single for FinalStatus {}

impl Scalar<StatusCode> for FinalStatus {
    fn what() -> String {
        "a status (`404`)".into()
    }
    fn parse(text: &str) -> Result<StatusCode, Refusal> {
        let status = text.parse().ok().filter(|s| (200..=599).contains(s));
        let status = status.and_then(|s: u16| StatusCode::from_u16(s).ok());
        status.ok_or_else(|| Refusal::new(format!("`{text}` is no status of a response")).help("200 to 599"))
    }
    fn show(value: &StatusCode) -> Json {
        json!(value.as_u16())
    }
    fn schema() -> Json {
        json!({ "type": ["integer", "string"], "minimum": 200, "maximum": 599 })
    }
}
