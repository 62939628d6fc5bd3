//! Queries and forms: `name=value&name=value`, percent-encoded, `+` for a space.

use percent_encoding::percent_decode_str;

/// The pairs of a query or form in order; what is not UTF-8 is replaced.
pub fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The first value of `name`.
pub fn first(text: &str, name: &str) -> Option<String> {
    pairs(text).find(|(n, _)| n == name).map(|(_, value)| value)
}

/// The first value of `name` as a whole number within `range`: clamped into it, `default` where absent or none.
pub fn number(query: &str, name: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
    let asked = first(query, name).and_then(|v| v.parse().ok()).unwrap_or(default);
    asked.clamp(*range.start(), *range.end())
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_numbers_kept_in_bounds() {
        assert_eq!(first("q=red+len%74ils&q=x", "q").as_deref(), Some("red lentils"));
        assert_eq!(first("on", "on").as_deref(), Some(""));
        assert_eq!(first("", "on"), None);
        assert_eq!(first("q=%ff%", "q").as_deref(), Some("\u{fffd}%"));
        assert_eq!(number("ms=20", "ms", 5, 0..=10), 10);
        assert_eq!(number("ms=-1", "ms", 5, 0..=10), 5);
        assert_eq!(number("", "ms", 5, 0..=10), 5);
    }
}
