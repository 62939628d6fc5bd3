//! The two readings of a path that rules are matched against: as sent, and as a lenient origin might
//! understand it (interface.md §2.1, §5; rulings 36).
//!
//! An attacker who wants `/admin` cached, or read past a `bypass`, writes it so that we and the origin see
//! different paths: `/static/..%2fadmin`, `/%61dmin`, `/static\..\admin`, `//admin`, `%252e%252e`. The lenient
//! reading undoes all of these. Where both readings match the same rules the difference is harmless; where
//! they do not, the request is not cached.

use std::borrow::Cow;

/// One round of percent-decoding; what is no valid triplet stays. Borrowed when there is nothing to decode.
pub fn decode_once(bytes: &[u8]) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode(bytes).into()
}

/// Percent-decoding until nothing changes, in one pass: after each byte the last three are looked at, and a
/// triplet that decoding has just completed is decoded in its turn. Repeating whole rounds would cost n² on
/// `%252525…`.
pub fn decode_stable(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        out.push(byte);
        while let [.., b'%', high, low] = out.as_slice()
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.truncate(out.len() - 3);
            out.push(high * 16 + low);
        }
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The path with the hex digits of its triplets in upper case (RFC 3986 §6.2.2.1: `%c3` and `%C3` are the
/// same), so that a pattern has one spelling. Borrowed when nothing changes.
pub fn upper_triplets(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut out = bytes.to_vec();
    let mut rest = out.as_mut_slice();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let tail = rest.split_at_mut(at + 1).1;
        if let [high, low, ..] = tail
            && high.is_ascii_hexdigit()
            && low.is_ascii_hexdigit()
        {
            high.make_ascii_uppercase();
            low.make_ascii_uppercase();
        }
        rest = tail;
    }
    Cow::Owned(out)
}

/// The lenient reading: decoded until stable, `\` read as `/`, dot segments and empty segments removed.
/// `None` when it is the same as `path`.
pub fn lenient(path: &[u8]) -> Option<Vec<u8>> {
    if !path.starts_with(b"/") || is_plain(path) {
        return None;
    }
    let mut decoded = decode_stable(path);
    for byte in &mut decoded {
        if *byte == b'\\' {
            *byte = b'/';
        }
    }
    let out = remove_dots(&decoded);
    (out != path).then_some(out)
}

/// A quick look that most paths pass: nothing in them that the lenient reading could change.
fn is_plain(path: &[u8]) -> bool {
    let mut slash = false;
    for &byte in path {
        if matches!(byte, b'%' | b'\\') || (slash && matches!(byte, b'/' | b'.')) {
            return false;
        }
        slash = byte == b'/';
    }
    true
}

/// RFC 3986 §5.2.4, and empty segments dropped, as many origins do.
fn remove_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut directory = true;
    for segment in path.split(|b| *b == b'/') {
        directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if directory {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(path: &str) -> String {
        lenient(path.as_bytes()).map_or_else(|| path.to_owned(), |p| String::from_utf8_lossy(&p).into_owned())
    }

    #[test]
    fn the_lenient_reading_undoes_every_disguise() {
        for (sent, meant) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/static/..%2fadmin", "/admin"),
            ("/static/%2e%2e/admin", "/admin"),
            ("/static/%252e%252e%255cadmin", "/admin"),
            ("/static\\..\\admin", "/admin"),
            ("//admin", "/admin"),
            ("/a/./b/", "/a/b/"),
            ("/a/..", "/"),
            ("/../../x", "/x"),
            ("/a/.", "/a/"),
            ("/100%", "/100%"),
            ("/100%25", "/100%"),
            ("/.well-known/x", "/.well-known/x"),
            ("*", "*"),
        ] {
            assert_eq!(read(sent), meant, "{sent}");
        }
    }

    #[test]
    fn triplets_have_one_spelling() {
        assert_eq!(&*upper_triplets("/a%c3%b6%zz%4"), b"/a%C3%B6%zz%4");
        assert!(matches!(upper_triplets("/abc"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_chain_of_encoded_percent_signs_costs_one_pass() {
        let chain = format!("/%{}", "25".repeat(100_000));
        assert_eq!(decode_stable(chain.as_bytes()), b"/%");
    }

    proptest! {
        #[test]
        fn one_pass_equals_repeated_rounds(path in "/[a%25fF0./\\\\]{0,40}") {
            let mut slow = path.clone().into_bytes();
            loop {
                let next = decode_once(&slow).into_owned();
                if next == slow { break; }
                slow = next;
            }
            prop_assert_eq!(decode_stable(path.as_bytes()), slow);
        }

        #[test]
        fn the_lenient_reading_is_stable(path in "/[a%25eE./\\\\]{0,40}") {
            if let Some(once) = lenient(path.as_bytes()) {
                prop_assert_eq!(lenient(&once), None);
            }
        }
    }
}
