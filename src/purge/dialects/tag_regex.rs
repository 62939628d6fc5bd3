//! Regular expressions over a raw tag header that stand for a set of tags.
//!
//! The header is a list, so a client that means "one of these tags" says so between `(^|,)` and `(,|$)`. Read as exact
//! tags these select at least what the expression would: entries split the header on commas *and* white space.
//!
//! Two clients leave the left side open and mean tags all the same: API Platform with `(a|b)($|\,)`, and FOSHttpCache
//! before version 2 with `(a|b)(,.+)?$`. They are known by that ending. Everybody else's open side is taken at its word
//! (`node:1` is also `node:10`), and stays an expression.

use super::literal::{is_everything, words};
use std::collections::HashSet;

/// What an expression over tags selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSet {
    Everything,
    Exactly(Vec<String>),
    /// Only the engine can say.
    Like,
}

pub fn read(pattern: &str) -> TagSet {
    if is_everything(pattern) {
        return TagSet::Everything;
    }
    let fos_1 = pattern.strip_suffix("(,.+)?$").map(|list| format!("{list}(,|$)"));
    let open_left = fos_1.is_some() || pattern.ends_with("($|\\,)");
    let Some(words) = words(fos_1.as_deref().unwrap_or(pattern)) else { return TagSet::Like };
    let mut seen = HashSet::new();
    let mut tags = Vec::new();
    for word in &words {
        let after = word.text.strip_prefix(is_separator);
        let left = word.start || after.is_some() || open_left;
        let text = after.unwrap_or(&word.text);
        let before = text.strip_suffix(is_separator);
        let right = word.end || before.is_some();
        let tag = before.unwrap_or(text);
        if !left || !right || tag.is_empty() || tag.contains(is_separator) {
            return TagSet::Like;
        }
        if seen.insert(tag) {
            tags.push(tag.to_owned());
        }
    }
    TagSet::Exactly(tags)
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(tags: &[&str]) -> TagSet {
        TagSet::Exactly(tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    #[test]
    fn the_shapes_of_known_clients_are_exact_sets() {
        let table = [
            ("(^|,)(product\\-1|site)(,|$)", set(&["product-1", "site"])),
            ("((^|,)cat_p_1(,|$))|((^|,)cat_p_2(,|$))", set(&["cat_p_1", "cat_p_2"])),
            ("((^|,)cat_p_1(,|$))", set(&["cat_p_1"])),
            ("(/books/1|/books/2\\?x\\=1)($|\\,)", set(&["/books/1", "/books/2?x=1"])),
            ("/books/1($|\\,)", set(&["/books/1"])),
            ("(^|\\,)(/a|/b)($|\\,)", set(&["/a", "/b"])),
            ("(a|b)(,.+)?$", set(&["a", "b"])),
            ("^(a|b)$", set(&["a", "b"])),
            ("(^|\\s)node\\:1(\\s|$)", set(&["node:1"])),
            ("(^|,)\\<b\\>(,|$)", set(&["<b>"])),
            ("(^|,)a(,|$)|(^|,)a(,|$)", set(&["a"])),
            (".*", TagSet::Everything),
        ];
        for (pattern, wanted) in table {
            assert_eq!(read(pattern), wanted, "{pattern}");
        }
    }

    #[test]
    fn what_an_exact_set_could_miss_stays_an_expression() {
        let table = [
            "node:1",
            "a|b",
            "^a",
            "a$",
            "(a|b)(,|$)",
            "a|b($|\\,)",
            "(^|,)a b(,|$)",
            "(^|,)a,b(,|$)",
            "(^|,)(,|$)",
            "(^|,)cat_p_.*(,|$)",
            "(^|,)a.b(,|$)",
            "(?i)(^|,)a(,|$)",
        ];
        for pattern in table {
            assert_eq!(read(pattern), TagSet::Like, "{pattern}");
        }
    }

    proptest! {
        /// Whatever line the expression matches holds one of the tags.
        #[test]
        fn an_exact_set_selects_at_least_what_the_expression_does(
            edges in prop::sample::select(vec![
                ("(^|,)(", ")(,|$)"), ("^(", ")$"), ("(^|,)(?:", ")(,|$)"), ("(^|\\s)(", ")(\\s|$)"), ("(", ")"),
                ("", ""), ("^", "$"), ("((^|,)", "(,|$))"), (",", ","), ("(^|,)(", ")"), ("(", ")(,|$)"),
            ]),
            parts in prop::collection::vec("[ab,|^$ ()-]{0,4}", 1..4),
            line in "[ab, -]{0,8}",
        ) {
            let pattern = format!("{}{}{}", edges.0, parts.join("|"), edges.1);
            if let (TagSet::Exactly(tags), Ok(engine)) = (read(&pattern), regex::Regex::new(&pattern))
                && engine.is_match(&line)
            {
                let of_line: Vec<&str> = line.split([',', ' ']).collect();
                prop_assert!(tags.iter().any(|tag| of_line.contains(&tag.as_str())), "{pattern} on {line}");
            }
        }

        #[test]
        fn any_list_of_tags_comes_back(tags in prop::collection::vec("[!-+\\--~é]{1,12}", 1..40)) {
            let quoted: Vec<String> = tags.iter().map(|tag| regex::escape(tag)).collect();
            let mut distinct = Vec::new();
            tags.iter().for_each(|tag| if !distinct.contains(tag) { distinct.push(tag.clone()) });
            prop_assert_eq!(read(&format!("(^|,)({})(,|$)", quoted.join("|"))), TagSet::Exactly(distinct));
        }
    }
}
