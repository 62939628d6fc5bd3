//! The HTTP cache invalidation API (draft-nottingham-http-invalidation): one object with `type`, `selectors`, `groups`
//! and `purge`. Members that are not known are ignored, because the draft says so; a `type` that is not known is 501.
//!
//! Without `purge` the responses must be validated before they are used again; with it they are removed. A prefix
//! here has a scheme, and ours have none: the prefix is invalidated under both.

use super::json::{Members, expected};
use super::{AnswerShape, Bad, Call, Fault, MAX_ITEMS, Urls};
use crate::purge::normal::{BadUrl, Target};
use crate::purge::{Mode, Purge, Selector};
use serde_json::Value;

pub const PATH: &str = "/.well-known/http-invalidation";

pub fn read(call: &Call<'_>, urls: Urls<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let mut body = Members::parse(call.body)?;
    let Some(Value::String(kind)) = body.take("type") else { return Err(expected("type", "a string")) };
    let mode = if body.flag("purge")? { Mode::Hard } else { Mode::Invalidate };
    let given = body.strings("selectors")?;
    let selectors = match kind.as_str() {
        "uri" => each(&given, urls)?,
        "uri-prefix" => each(&given, |text| prefix(text).map(|prefix| vec![prefix]))?,
        "origin" => each(&given, |text| origin(text).map(|site| vec![site]))?,
        "group" => groups(&given, &body.strings("groups")?)?,
        _ => {
            let known = "`uri`, `uri-prefix`, `origin` and `group` are supported";
            return Err(Bad(Fault::Unsupported, format!("`type`: {kind} is not; {known}")));
        }
    };
    if selectors.is_empty() {
        return Err(Bad(Fault::Nothing, "`selectors`: at least one was expected".to_owned()));
    }
    Ok((Purge::new(mode, selectors), AnswerShape::Draft))
}

fn each(
    given: &[String],
    read: impl Fn(&str) -> Result<Vec<Selector>, BadUrl>,
) -> Result<Vec<Selector>, Bad> {
    let mut selectors = Vec::with_capacity(given.len());
    for (at, text) in given.iter().enumerate() {
        selectors.extend(read(text).map_err(|e| Bad(Fault::Url, format!("`selectors[{at}]`: {e}: {text}")))?);
    }
    Ok(selectors)
}

/// `scheme://host/path`; a query has no segments that a prefix could end at.
fn prefix(text: &str) -> Result<Selector, BadUrl> {
    let target = Target::parse(text)?;
    if text.contains(['?', '#']) {
        return Err(BadUrl::Prefix);
    }
    Selector::prefix(&format!("{}{}", target.authority(), target.path()))
}

/// `scheme://host[:port]` and nothing after it (RFC 6454 §6.2).
fn origin(text: &str) -> Result<Selector, BadUrl> {
    match text.split_once("://") {
        Some((_, authority)) if authority.contains(['/', '?', '#']) => Err(BadUrl::Host),
        _ => Selector::site(text),
    }
}

/// Each of the names on each of the origins (RFC 9875 §2.1: a group belongs to one origin).
fn groups(origins: &[String], names: &[String]) -> Result<Vec<Selector>, Bad> {
    if names.is_empty() {
        return Err(Bad(Fault::Nothing, "`groups`: at least one was expected with this `type`".to_owned()));
    }
    let pairs = origins.len().saturating_mul(names.len());
    if pairs > MAX_ITEMS {
        return Err(Bad(
            Fault::TooMany,
            format!("`selectors` times `groups` is {pairs}; at most {MAX_ITEMS} were expected"),
        ));
    }
    each(origins, |text| {
        origin(text)?;
        names.iter().map(|name| Selector::group(text, name)).collect()
    })
}
