//! `POST /client/v4/zones/{any}/purge_cache`, as Cloudflare's clients send it.
//!
//! There is one zone here, so its name is not looked at. Any of the members may be combined, and all that any of
//! them names is purged. `headers` beside a URL choose one variant at Cloudflare; here all variants go. Tags are
//! matched in any case, because that is how Cloudflare stores them.

use super::json::{Members, expected, items};
use super::{AnswerShape, Bad, Call, Fault, MAX_ITEMS, Urls, one_host};
use crate::purge::{Mode, Purge, Selector};
use serde_json::{Map, Value};

const MEMBERS: &str = "`purge_everything`, `files`, `tags`, `hosts`, `prefixes`";

pub fn is_ours(path: &str) -> bool {
    path.strip_prefix("/client/v4/zones/")
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(zone, action)| !zone.is_empty() && action == "purge_cache")
}

pub fn read(call: &Call<'_>, urls: Urls<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let mut body = Members::parse(call.body)?;
    let everything = body.flag("purge_everything")?;
    let files = match body.take("files") {
        Some(files) => items("files", files)?,
        None => Vec::new(),
    };
    let tags = body.strings("tags")?;
    let hosts = body.strings("hosts")?;
    let prefixes = body.strings("prefixes")?;
    body.finish(MEMBERS)?;

    let count = files.len() + tags.len() + hosts.len() + prefixes.len();
    if count > MAX_ITEMS {
        return Err(Bad(Fault::TooMany, format!("{count} items; at most {MAX_ITEMS} were expected")));
    }
    let mut selectors = Vec::new();
    if everything {
        selectors.push(Selector::Everything);
    }
    for (at, file) in files.into_iter().enumerate() {
        let url = url_of(at, file)?;
        selectors.extend(urls(&url).map_err(|e| Bad(Fault::Url, format!("`files[{at}]`: {e}: {url}")))?);
    }
    selectors.extend(tags.iter().map(|tag| Selector::tag_any_case(tag)));
    for (at, host) in hosts.iter().enumerate() {
        selectors.push(Selector::Host(one_host(&format!("`hosts[{at}]`"), host)?));
    }
    for (at, prefix) in prefixes.iter().enumerate() {
        let prefix = Selector::prefix(prefix)
            .map_err(|e| Bad(Fault::Url, format!("`prefixes[{at}]`: {e}: {prefix}")))?;
        selectors.push(prefix);
    }
    if selectors.is_empty() {
        return Err(Bad(Fault::Nothing, format!("nothing to purge; at least one was expected of {MEMBERS}")));
    }
    Ok((Purge::new(Mode::Hard, selectors), AnswerShape::Cloudflare))
}

/// A string, or `{"url", "headers"}`.
fn url_of(at: usize, file: Value) -> Result<String, Bad> {
    let mut members = match file {
        Value::String(url) => return Ok(url),
        Value::Object(members) => Members::of(members),
        _ => return Err(expected(format!("files[{at}]"), "a URL, or an object with `url` and `headers`,")),
    };
    let Some(Value::String(url)) = members.take("url") else {
        return Err(expected(format!("files[{at}].url"), "a URL"));
    };
    match members.take("headers").unwrap_or_else(|| Value::Object(Map::new())) {
        Value::Object(headers) if headers.values().all(Value::is_string) => {}
        // What PHP makes of no headers.
        Value::Array(none) if none.is_empty() => {}
        _ => return Err(expected(format!("files[{at}].headers"), "an object with strings")),
    }
    members.finish("`url` and `headers`")?;
    Ok(url)
}
