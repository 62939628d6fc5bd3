//! Header fields as purge calls use them: one pattern, or a list of tags.

use super::{Bad, Fault, MAX_ITEMS};
use http::HeaderMap;
use std::collections::HashSet;

/// The one value of a field. A pattern can't be split over lines, and an empty one would match everything, which
/// nobody says by saying nothing: both are errors. Bytes that are no UTF-8 are replaced, as in stored tags.
pub fn one(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Bad> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Bad(Fault::Header, format!("{name}: given more than once; one line was expected")));
    }
    match String::from_utf8_lossy(value.as_bytes()).trim() {
        "" => Err(Bad(Fault::Header, format!("{name}: is empty; a value was expected"))),
        text => Ok(Some(text.to_owned())),
    }
}

/// The tags in all lines of these fields, each once, split on commas and white space. `None` if there is no such field.
pub fn list(headers: &HeaderMap, names: &[&'static str]) -> Result<Option<Vec<String>>, Bad> {
    let mut present = None;
    let mut seen = HashSet::new();
    let mut tags = Vec::new();
    for name in names {
        for value in headers.get_all(*name) {
            present = Some(*name);
            let value = String::from_utf8_lossy(value.as_bytes());
            for tag in value.split([',', ' ', '\t']).filter(|tag| !tag.is_empty()) {
                if seen.insert(tag.to_owned()) {
                    tags.push(tag.to_owned());
                }
            }
        }
    }
    let Some(name) = present else { return Ok(None) };
    match tags.len() {
        0 => Err(Bad(Fault::Nothing, format!("{name}: is empty; tags were expected"))),
        1..=MAX_ITEMS => Ok(Some(tags)),
        n => Err(Bad(Fault::TooMany, format!("{name}: {n} tags; at most {MAX_ITEMS} were expected"))),
    }
}

/// Whether one of the lines is exactly this, in any case.
pub fn is(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    headers.get_all(name).iter().any(|v| v.as_bytes().trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Whether one of the comma-separated members is exactly this, in any case.
pub fn has_token(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}
