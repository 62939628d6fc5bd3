//! Query parameters of the admin listener's lists, read strictly: a misspelt filter must not list everything.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

/// Parameters by name, decoded, each at most once.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// Reads the query of a request that may have these parameters.
///
/// # Errors
/// A sentence that names what is wrong.
pub fn parse(uri: &Uri, known: &[&str]) -> Result<Query, String> {
    let mut query = Query::default();
    for pair in uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let text = percent_decode_str(&text).decode_utf8().map(|text| text.into_owned());
            text.map_err(|_| format!("{name}: not UTF-8"))
        };
        let (name, value) = (decode(name)?, decode(value)?);
        if !known.contains(&name.as_str()) {
            return Err(format!("{name}: not known; expected one of {}", known.join(", ")));
        }
        if query.get(&name).is_some() {
            return Err(format!("{name}: given twice"));
        }
        query.0.push((name, value));
    }
    Ok(query)
}

impl Query {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `limit`, from 1 to `most`.
    pub fn limit(&self, default: usize, most: usize) -> Result<usize, String> {
        let Some(text) = self.get("limit") else { return Ok(default) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| format!("limit: expected a number from 1 to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, String> {
        parse(&format!("/x?{query}").parse().unwrap(), &["tag", "limit"])
    }

    #[test]
    fn parameters_are_decoded_and_unknown_or_repeated_ones_refused() {
        assert_eq!(read("tag=a%26b+c&limit=5").unwrap().get("tag"), Some("a&b c"));
        assert_eq!(read("").unwrap().get("tag"), None);
        for bad in ["tags=a", "tag=a&tag=b", "tag=%ff", "TAG=a"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_have_a_range() {
        let limit = |query: &str| read(query).unwrap().limit(10, 100).ok();
        assert_eq!(["", "limit=1", "limit=100"].map(limit), [Some(10), Some(1), Some(100)]);
        assert_eq!(["limit=0", "limit=101", "limit=x", "limit=-1", "limit="].map(limit), [None; 5]);
    }
}
