//! Fastly's purge API: `POST /service/{any}/purge/{key}`, `/purge` with keys in the body or in `Surrogate-Key`, and
//! `/purge_all`. `Fastly-Soft-Purge: 1` makes the first two soft; purging all is always hard, as at Fastly.

use super::json::Members;
use super::{AnswerShape, Bad, Call, Fault, MAX_ITEMS, fields};
use crate::purge::{Mode, Purge, Selector};
use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// What a path below `/service/` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// As it stands in the path, percent-encoded. It may hold slashes.
    Key(&'a str),
    Keys,
    All,
}

impl<'a> Route<'a> {
    pub fn of(path: &'a str) -> Option<Self> {
        let (service, action) = path.strip_prefix("/service/")?.split_once('/')?;
        match action {
            _ if service.is_empty() => None,
            "purge" => Some(Self::Keys),
            "purge_all" => Some(Self::All),
            _ => action.strip_prefix("purge/").filter(|key| !key.is_empty()).map(Self::Key),
        }
    }
}

/// The mode that `Fastly-Soft-Purge` asks for.
pub fn mode(headers: &HeaderMap) -> Mode {
    if fields::is(headers, "fastly-soft-purge", "1") { Mode::Soft } else { Mode::Hard }
}

pub fn read(call: &Call<'_>) -> Result<(Purge, AnswerShape), Bad> {
    match Route::of(call.path) {
        Some(Route::Key(key)) => {
            let key = percent_decode_str(key).decode_utf8_lossy();
            Ok((Purge::new(mode(call.headers), vec![Selector::tag(&key)]), AnswerShape::FastlyOne))
        }
        Some(Route::Keys) => {
            let keys = keys(call)?;
            let selectors = keys.iter().map(|key| Selector::tag(key)).collect();
            Ok((Purge::new(mode(call.headers), selectors), AnswerShape::FastlyKeys(keys)))
        }
        Some(Route::All) => Ok((Purge::everything(Mode::Hard), AnswerShape::FastlyAll)),
        None => Err(Bad(Fault::Nothing, "a path of the purge API was expected".to_owned())),
    }
}

/// From both places, if both are used.
fn keys(call: &Call<'_>) -> Result<Vec<String>, Bad> {
    let mut keys = fields::list(call.headers, &["surrogate-key"])?.unwrap_or_default();
    if !call.body.trim_ascii().is_empty() {
        let mut body = Members::parse(call.body)?;
        keys.extend(body.strings("surrogate_keys")?);
        body.finish("`surrogate_keys`")?;
    }
    match keys.len() {
        0 => Err(Bad(
            Fault::Nothing,
            "nothing to purge; keys were expected in `surrogate_keys` or Surrogate-Key".to_owned(),
        )),
        1..=MAX_ITEMS => Ok(keys),
        n => Err(Bad(Fault::TooMany, format!("{n} keys; at most {MAX_ITEMS} were expected"))),
    }
}
