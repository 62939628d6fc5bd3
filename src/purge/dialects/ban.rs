//! `BAN`, `URIBAN` and `FULLBAN`: everybody's VCL has its own header fields for what to ban.
//!
//! | who | fields |
//! | --- | --- |
//! | FOSHttpCache, Neos | `X-Host`, `X-Url`, `X-Content-Type`, `X-Cache-Tags`: expressions, joined by *and* |
//! | API Platform | `ApiPlatform-Ban-Regex`: an expression over tags |
//! | Drupal | `Cache-Tags` or `Purge-Cache-Tags`: an expression over tags; to `/tags`, a list of exact tags |
//! | Laravel, Chassis | `X-Ban-Host`, and `X-Ban-Url` (equal) or `X-Ban-Regex`; `FULLBAN` for all of a host |
//! | Magento, WordPress | `X-Magento-Tags-Pattern`, `X-Pool`, `X-Cache-Tags-Pattern`, as with `PURGE` |
//! | TYPO3 | `Varnish-Ban-All`, `Varnish-Ban-TYPO3-Pid`, `Varnish-Ban-TYPO3-Sitename` |
//! | Shopware | none at all: everything |

use super::conditions::{Ban, Condition};
use super::purge_method::{tag_list, tag_pattern, url, wordpress_tags};
use super::{AnswerShape, Bad, Call, Fault, Urls, fields, one_host, own_host};
use crate::purge::{Mode, Purge, Selector};
use std::net::IpAddr;

const API_PLATFORM: &str = "apiplatform-ban-regex";
const DRUPAL: [&str; 2] = ["cache-tags", "purge-cache-tags"];
/// Where Drupal's ZeroConfig purger sends lists instead of expressions.
const ZERO_CONFIG: &str = "/tags";
const BAN_HOST: &str = "x-ban-host";
const BAN_URL: &str = "x-ban-url";
const BAN_REGEX: &str = "x-ban-regex";
/// Page ids and site names are header fields of responses that entries don't carry, so they mean everything.
const TYPO3: [&str; 3] = ["varnish-ban-all", "varnish-ban-typo3-pid", "varnish-ban-typo3-sitename"];

pub fn ban(call: &Call<'_>, urls: Urls<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let headers = call.headers;
    if TYPO3.iter().any(|name| headers.contains_key(*name)) {
        return Ok((Purge::everything(Mode::Hard), AnswerShape::Banned));
    }
    if let Some(purge) = tag_pattern(call, urls)? {
        return Ok((purge, AnswerShape::Purged));
    }
    if let Some(purge) = wordpress_tags(call, urls)? {
        return Ok((purge, AnswerShape::Banned));
    }
    if let Some(pattern) = fields::one(headers, API_PLATFORM)? {
        let tags = Condition::tag_regex(API_PLATFORM, pattern)?;
        return Ok((Ban { tags, ..Ban::default() }.into_purge(urls)?, AnswerShape::Banned));
    }
    if let Some(ban) = fos(call)? {
        return Ok((ban.into_purge(urls)?, AnswerShape::Banned));
    }
    if let Some(purge) = laravel(call, urls)? {
        return Ok((purge, AnswerShape::Banned));
    }
    if let Some(purge) = drupal(call, urls)? {
        return Ok((purge, AnswerShape::BanAdded));
    }
    if let Some(purge) = tag_list(call)? {
        return Ok((purge, AnswerShape::Banned));
    }
    let whole_site = call.target() == "/";
    let purge = if whole_site { site(call)? } else { url(call, urls)? };
    Ok((purge, AnswerShape::Banned))
}

/// Drupal's and Lagoon's: the request's own URL.
pub fn uri_ban(call: &Call<'_>, urls: Urls<'_>) -> Result<(Purge, AnswerShape), Bad> {
    Ok((url(call, urls)?, AnswerShape::Banned))
}

/// Laravel's: all of the host in `X-Ban-Host`, or of the request's.
pub fn full_ban(call: &Call<'_>) -> Result<(Purge, AnswerShape), Bad> {
    let purge = match fields::one(call.headers, BAN_HOST)? {
        Some(host) => Purge::new(Mode::Hard, vec![Selector::Host(one_host(BAN_HOST, &host)?)]),
        None => site(call)?,
    };
    Ok((purge, AnswerShape::Banned))
}

/// An expression over tags alone ignores the host; one over URLs or types holds on the request's host unless `X-Host`
/// says otherwise, which FOSHttpCache's default does (`.*`).
fn fos(call: &Call<'_>) -> Result<Option<Ban>, Bad> {
    let headers = call.headers;
    let host = fields::one(headers, "x-host")?;
    let url = fields::one(headers, "x-url")?;
    let content_type = fields::one(headers, "x-content-type")?;
    let tags = fields::one(headers, "x-cache-tags")?;
    if host.is_none() && url.is_none() && content_type.is_none() && tags.is_none() {
        return Ok(None);
    }
    let host = match host {
        Some(text) => Condition::host_regex("x-host", text)?,
        None if url.is_some() || content_type.is_some() => Some(Condition::host("Host", &own_host(call)?)),
        None => None,
    };
    let condition = |text: Option<String>, read: fn(&'static str, String) -> _, name| match text {
        Some(text) => read(name, text),
        None => Ok(None),
    };
    Ok(Some(Ban {
        host,
        url: condition(url, Condition::url_regex, "x-url")?,
        tags: condition(tags, Condition::tag_regex, "x-cache-tags")?,
        content_type: condition(content_type, Condition::type_regex, "x-content-type")?,
    }))
}

fn laravel(call: &Call<'_>, urls: Urls<'_>) -> Result<Option<Purge>, Bad> {
    let headers = call.headers;
    let host = fields::one(headers, BAN_HOST)?;
    let equal = fields::one(headers, BAN_URL)?;
    let like = fields::one(headers, BAN_REGEX)?;
    let absolute = equal.as_deref().filter(|url| !url.starts_with('/'));
    if let (None, Some(url)) = (&like, absolute) {
        let selectors = urls(url).map_err(|e| Bad(Fault::Url, format!("{BAN_URL}: {e}: {url}")))?;
        return Ok(Some(Purge::new(Mode::Hard, selectors)));
    }
    let url = match (equal, like) {
        (Some(_), Some(_)) => {
            let reason = format!("{BAN_URL}, {BAN_REGEX}: one of them was expected, not both");
            return Err(Bad(Fault::Header, reason));
        }
        (Some(path), None) => Some(Condition::url(BAN_URL, path)),
        (None, Some(pattern)) => Condition::url_regex(BAN_REGEX, pattern)?,
        (None, None) if host.is_none() => return Ok(None),
        (None, None) => None,
    };
    let host = match host {
        Some(host) => one_host(BAN_HOST, &host)?,
        None => own_host(call)?,
    };
    let ban = Ban { host: Some(Condition::host(BAN_HOST, &host)), url, ..Ban::default() };
    ban.into_purge(urls).map(Some)
}

fn drupal(call: &Call<'_>, urls: Urls<'_>) -> Result<Option<Purge>, Bad> {
    for name in DRUPAL {
        if !call.headers.contains_key(name) {
            continue;
        }
        if call.path == ZERO_CONFIG {
            let tags = fields::list(call.headers, &[name])?.unwrap_or_default();
            return Ok(Some(Purge::new(Mode::Hard, tags.into_iter().map(Selector::Tag).collect())));
        }
        if let Some(pattern) = fields::one(call.headers, name)? {
            let tags = Condition::tag_regex(name, pattern)?;
            return Ban { tags, ..Ban::default() }.into_purge(urls).map(Some);
        }
    }
    Ok(None)
}

/// Everything on the request's host. A host that can't be a site's (an address, a name without a dot) is the cache
/// itself, called by somebody who means all of it: Shopware does.
fn site(call: &Call<'_>) -> Result<Purge, Bad> {
    let authority = own_host(call)?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority.as_str(),
    };
    let the_cache = host.starts_with('[') || !host.contains('.') || host.parse::<IpAddr>().is_ok();
    Ok(match the_cache {
        true => Purge::everything(Mode::Hard),
        false => Purge::new(Mode::Hard, vec![Selector::Host(host.to_owned())]),
    })
}
