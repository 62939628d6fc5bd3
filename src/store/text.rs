//! How an entry keeps its texts: in one allocation, of which nothing is parsed before it is asked for.
//!
//! ```text
//! HTTP/1.1 200 OK         ┐ the prepared head, if there is one
//! content-length: 1024    │  ┐
//! content-type: …         │  │ the stored fields: nearly always lines of that head,
//! etag: …                 ┘  ┘ else a run of their own behind it
//! three numbers           where the validators begin in these lines
//! parts                   one after the other, each its length and its bytes: see [`Part`]
//! ```
//!
//! Fields are lines as HTTP/1.1 sends them, lines of one name next to each other. That they can be told apart is what
//! `HeaderName` and `HeaderValue` promise: no colon in a name, and neither CR nor LF in a value.

use crate::semantics::fields::push_line;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// What follows the fields, in this order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// First: a look-up compares it with the key that it was asked for.
    Url,
    /// How many selectors are implicit (a byte; none: they are those of its place), and the hashes of these and the others.
    Selectors,
    /// See `semantics::vary::variant`.
    Variant,
    /// Lines.
    Control,
    RawTags,
    /// Lines.
    Trailers,
    /// The numbers (two bytes) of fields that are not to be shown in logs; counted through stored fields, control and trailers.
    Sensitive,
}

/// Fields whose place is noted: a condition asks for them on every request.
pub(super) const NOTED: [HeaderName; 3] =
    [http::header::ETAG, http::header::LAST_MODIFIED, http::header::DATE];

/// There is none.
const NOWHERE: u16 = u16::MAX;
/// It is further down than can be noted.
const FAR: u16 = u16::MAX - 1;

/// Bytes of the places.
pub(super) const PLACES: usize = 2 * 3;

/// Lines, as an iterator over names and values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines<'t>(pub &'t [u8]);

impl<'t> Iterator for Lines<'t> {
    type Item = (&'t [u8], &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr(b'\n', self.0)?;
        let line = self.0.get(..end)?.strip_suffix(b"\r")?;
        self.0 = self.0.get(end + 1..)?;
        let colon = line.iter().position(|b| *b == b':')?;
        Some((line.get(..colon)?, line.get(colon + 2..)?))
    }
}

impl<'t> Lines<'t> {
    /// From the first line of this name on.
    fn starting_at(mut self, name: &[u8]) -> Self {
        loop {
            if self.0.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b':')) {
                return self;
            }
            let next = memchr(b'\n', self.0).and_then(|end| self.0.get(end + 1..));
            let Some(next) = next else { return Self::default() };
            self.0 = next;
        }
    }

    /// The values of the lines with the name of the first.
    pub fn values_of_first(self) -> impl Iterator<Item = &'t [u8]> {
        let name = self.clone().next().map(|(name, _)| name);
        self.take_while(move |(other, _)| Some(*other) == name).map(|(_, value)| value)
    }
}

pub(super) fn push_lines(out: &mut Vec<u8>, fields: &HeaderMap) {
    fields.iter().for_each(|(name, value)| push_line(out, name, value));
}

/// Appends these lines to a map. `number`: of the first; `sensitive`: [`Part::Sensitive`].
pub(super) fn read_into(map: &mut HeaderMap, lines: &[u8], number: usize, sensitive: &[u8]) -> usize {
    if lines.is_empty() {
        return 0;
    }
    // The map's values are pieces of one copy, so that it may outlive the entry.
    let text = Bytes::copy_from_slice(lines);
    let (sensitive, _) = sensitive.as_chunks::<2>();
    let mut read = 0;
    for (name, value) in Lines(&text) {
        // What was a name and a value is one.
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(text.slice_ref(value)))
        {
            let number = number + read;
            value.set_sensitive(sensitive.iter().any(|n| usize::from(u16::from_le_bytes(*n)) == number));
            let _ = map.try_append(name, value);
        }
        read += 1;
    }
    read
}

/// Appends the places of the [`NOTED`] among `lines`, which are already in `out`.
pub(super) fn push_places(out: &mut Vec<u8>, lines: std::ops::Range<usize>) {
    let mut places = [NOWHERE; PLACES / 2];
    {
        let lines = out.get(lines).unwrap_or_default();
        for (place, name) in places.iter_mut().zip(&NOTED) {
            let rest = Lines(lines).starting_at(name.as_str().as_bytes()).0.len();
            if rest > 0 {
                *place = u16::try_from(lines.len() - rest).unwrap_or(FAR).min(FAR);
            }
        }
    }
    places.iter().for_each(|place| out.extend_from_slice(&place.to_le_bytes()));
}

/// `lines` from the first of this name on. `after`: what follows them, the places first.
pub(super) fn find<'t>(lines: &'t [u8], after: &[u8], name: &HeaderName) -> Lines<'t> {
    let noted = NOTED.iter().position(|noted| noted == name);
    let place = noted.and_then(|n| after.as_chunks::<2>().0.get(n)).map(|place| u16::from_le_bytes(*place));
    match place {
        Some(NOWHERE) => Lines::default(),
        None | Some(FAR) => Lines(lines).starting_at(name.as_str().as_bytes()),
        Some(at) => Lines(lines.get(usize::from(at)..).unwrap_or_default()),
    }
}

/// Appends a part. The length stands in front of it, seven bits to the byte, the lowest first.
pub(super) fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    let mut length = part.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(part);
}

/// A part of what follows the fields.
pub(super) fn part(after: &[u8], part: Part) -> &[u8] {
    let mut rest = after.get(PLACES..).unwrap_or_default();
    let mut taken: &[u8] = &[];
    for _ in 0..=part as usize {
        taken = take(&mut rest);
    }
    taken
}

fn take<'t>(from: &mut &'t [u8]) -> &'t [u8] {
    let (mut length, mut shift) = (0usize, 0);
    while let Some((byte, rest)) = from.split_first() {
        *from = rest;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 56 {
            break;
        }
    }
    let (part, rest) = from.split_at_checked(length).unwrap_or((from, &[]));
    *from = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field =
            |(n, v): &(&'static str, &'static str)| (HeaderName::from_static(n), HeaderValue::from_static(v));
        fields.iter().map(field).collect()
    }

    #[test]
    fn values_are_those_of_exactly_this_name_in_order() {
        let fields = map(&[("x-a", "1"), ("x-ab", ""), ("etag", "\"e\""), ("x-a", "2: 3"), ("date", "d")]);
        let mut out = b"before".to_vec();
        push_lines(&mut out, &fields);
        let lines = 6..out.len();
        push_places(&mut out, lines.clone());
        let (text, after) = (&out[lines.clone()], &out[lines.end..]);
        for name in ["x-a", "x-ab", "etag", "date", "last-modified", "x", "x-abc"] {
            let name = HeaderName::from_static(name);
            let found: Vec<&[u8]> = find(text, after, &name).values_of_first().collect();
            let expected: Vec<&[u8]> = fields.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_field_beyond_the_reach_of_its_note_is_found() {
        let long: &'static str = "x".repeat(70_000).leak();
        let fields = map(&[("x-a", long), ("etag", "\"e\"")]);
        let mut out = Vec::new();
        push_lines(&mut out, &fields);
        let lines = 0..out.len();
        push_places(&mut out, lines.clone());
        let found = find(&out[lines.clone()], &out[lines.end..], &http::header::ETAG).values_of_first();
        assert_eq!(found.collect::<Vec<_>>(), [b"\"e\""]);
    }

    proptest! {
        #[test]
        fn parts_come_back(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 7)) {
            let mut out = vec![0; PLACES];
            parts.iter().for_each(|part| push_part(&mut out, part));
            let (second, last) = (part(&out, Part::Selectors), part(&out, Part::Sensitive));
            prop_assert_eq!((second, last), (&parts[1][..], &parts[6][..]));
        }

        #[test]
        fn fields_come_back_with_what_is_not_to_be_shown(
            fields in proptest::collection::vec(("[a-c]{1,2}", proptest::collection::vec(0x20u8..=0xff, 0..9), any::<bool>()), 0..12),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value, sensitive) in fields {
                let Ok(mut value) = HeaderValue::from_bytes(&value) else { continue };
                value.set_sensitive(sensitive);
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            let mut out = Vec::new();
            push_lines(&mut out, &headers);
            let hidden: Vec<u8> = headers
                .values()
                .enumerate()
                .filter(|(_, value)| value.is_sensitive())
                .flat_map(|(n, _)| (n as u16 + 7).to_le_bytes())
                .collect();
            let mut read = HeaderMap::new();
            prop_assert_eq!(read_into(&mut read, &out, 7, &hidden), headers.len());
            prop_assert_eq!(&read, &headers);
            let shown = |map: &HeaderMap| map.values().map(HeaderValue::is_sensitive).collect::<Vec<_>>();
            prop_assert_eq!(shown(&read), shown(&headers));
        }
    }
}
