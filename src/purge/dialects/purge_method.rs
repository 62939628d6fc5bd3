//! `PURGE`, `PURGEKEYS` and `PURGETAGS`.
//!
//! `PURGE` has been given many meanings by header fields. Read in this order: Magento's and WordPress' patterns, a list of
//! tags in any field that carries tags, FOSHttpCache's `Clear-Cache`, a path with `*`, and at last the URL. A call to a
//! Fastly service is known by its header fields, and answered in JSON.

use super::conditions::{Ban, Condition};
use super::{AnswerShape, Bad, Call, Fault, Urls, both_schemes, fastly, fields, own_host};
use crate::purge::{Mode, Purge, Selector};

const SOFT: &str = "xkey-softpurge";

/// Fields with a list of exact tags.
const TAG_LISTS: [&str; 9] = [
    SOFT,
    "xkey-purge",
    "xkey",
    "key",
    "surrogate-key",
    "cache-tag",
    "cache-tags",
    "x-cache-tags",
    "edge-cache-tag",
];

const MAGENTO: &str = "x-magento-tags-pattern";
const WORDPRESS: &str = "x-purge-method";
const WORDPRESS_TAGS: &str = "x-cache-tags-pattern";
/// Names the deployment that a response came from. Entries don't carry it, so it means all of them.
const POOL: &str = "x-pool";

pub fn purge(call: &Call<'_>, urls: Urls<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let headers = call.headers;
    let fastly = headers.contains_key("fastly-key") || headers.contains_key("fastly-soft-purge");
    if let Some(purge) = tag_pattern(call, urls)? {
        return Ok((purge, AnswerShape::Purged));
    }
    if let Some(method) = fields::one(headers, WORDPRESS)? {
        return Ok((wordpress(call, &method, urls)?, AnswerShape::Purged));
    }
    if let Some(purge) = wordpress_tags(call, urls)? {
        return Ok((purge, AnswerShape::Purged));
    }
    if let Some(purge) = tag_list(call)? {
        let shape = match () {
            () if fastly => AnswerShape::FastlyOne,
            () if headers.contains_key("surrogate-key") => AnswerShape::NoContent,
            () => AnswerShape::Invalidated,
        };
        return Ok((purge, shape));
    }
    if fields::is(headers, "clear-cache", "true") || fields::is(headers, "clear-cache", "1") {
        return Ok((Purge::everything(Mode::Hard), AnswerShape::Purged));
    }
    let purge = Purge { mode: fastly::mode(headers), ..url(call, urls)? };
    Ok((purge, if fastly { AnswerShape::FastlyOne } else { AnswerShape::Purged }))
}

/// FOSHttpCache and Ibexa: `xkey-purge` removes, `xkey-softpurge` expires.
pub fn purge_keys(call: &Call<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let purge = tag_list(call)?.ok_or_else(|| {
        Bad(Fault::Nothing, "xkey-purge or xkey-softpurge with tags was expected".to_owned())
    })?;
    let soft = purge.mode == Mode::Soft;
    Ok((purge, AnswerShape::PurgedAndExpired { soft }))
}

/// FOSHttpCache for Symfony's own cache.
pub fn purge_tags(call: &Call<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let purge = tag_list(call)?
        .ok_or_else(|| Bad(Fault::Nothing, "X-Cache-Tags with tags was expected".to_owned()))?;
    Ok((purge, AnswerShape::Purged))
}

/// The request's own URL, all variants, under both schemes; or all URLs that fit it, if it has a `*`.
pub fn url(call: &Call<'_>, urls: Urls<'_>) -> Result<Purge, Bad> {
    let host = own_host(call)?;
    let target = call.target();
    if target.contains('*') {
        let url = Condition::url_wildcard("the path", target)?;
        return Ban { host: Some(Condition::host("Host", &host)), url, ..Ban::default() }.into_purge(urls);
    }
    let selectors = both_schemes(&host, &target, urls)
        .map_err(|e| Bad(Fault::Url, format!("the URL {host}{target}: {e}")))?;
    Ok(Purge::new(Mode::Hard, selectors))
}

/// Exact tags from any of the fields that carry them. Soft if only the soft field is used, or if Fastly's field says so;
/// one purge has one mode, and the stricter one is safe.
pub fn tag_list(call: &Call<'_>) -> Result<Option<Purge>, Bad> {
    let Some(tags) = fields::list(call.headers, &TAG_LISTS)? else { return Ok(None) };
    let named = |name: &&&str| call.headers.contains_key(**name);
    let only_soft = TAG_LISTS.iter().filter(named).all(|name| *name == SOFT);
    let mode = if only_soft { Mode::Soft } else { fastly::mode(call.headers) };
    Ok(Some(Purge::new(mode, tags.into_iter().map(Selector::Tag).collect())))
}

/// Magento (`PURGE`, both fields of its VCL) and, by `BAN`, whoever copied it.
pub fn tag_pattern(call: &Call<'_>, urls: Urls<'_>) -> Result<Option<Purge>, Bad> {
    if call.headers.contains_key(POOL) {
        return Ok(Some(Purge::everything(Mode::Hard)));
    }
    let Some(pattern) = fields::one(call.headers, MAGENTO)? else { return Ok(None) };
    let tags = Condition::tag_regex(MAGENTO, pattern)?;
    Ban { tags, ..Ban::default() }.into_purge(urls).map(Some)
}

/// Proxy Cache Purge and the plug-ins that copied its `X-Purge-Method`. The path is the expression.
fn wordpress(call: &Call<'_>, method: &str, urls: Urls<'_>) -> Result<Purge, Bad> {
    match method.to_ascii_lowercase().as_str() {
        "default" | "exact" => url(call, urls),
        "regex" => {
            let host = Some(Condition::host("Host", &own_host(call)?));
            let url = Condition::url_regex("the path", call.target())?;
            Ban { host, url, ..Ban::default() }.into_purge(urls)
        }
        "tags" => wordpress_tags(call, urls)?.ok_or_else(|| {
            Bad(Fault::Header, format!("{WORDPRESS_TAGS}: a regular expression was expected"))
        }),
        other => Err(Bad(
            Fault::Header,
            format!(
                "{WORDPRESS}: `{other}` is not known; `default`, `exact`, `regex` or `tags` was expected"
            ),
        )),
    }
}

/// An expression over tags.
pub fn wordpress_tags(call: &Call<'_>, urls: Urls<'_>) -> Result<Option<Purge>, Bad> {
    let Some(pattern) = fields::one(call.headers, WORDPRESS_TAGS)? else { return Ok(None) };
    let tags = Condition::tag_regex(WORDPRESS_TAGS, pattern)?;
    Ban { tags, ..Ban::default() }.into_purge(urls).map(Some)
}
