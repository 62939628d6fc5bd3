//! The normal forms of `Accept-Encoding` (RFC 9110 §12.5.3) and `Accept-Language` (§12.5.4).
//!
//! `Accept-Encoding` comes in hundreds of spellings and has a handful of meanings. The normal form has only the codings
//! that the web uses, in lower case, `x-gzip` as `gzip` (§8.4.1), the most wanted first and a fixed order among equals.
//! It may offer the origin less than the client did (a coding nobody has heard of is dropped), never more:
//! * a refusal (`q=0`) is kept where dropping it would allow something: `identity;q=0`, and anything beside a `*`
//!   that is accepted. Elsewhere it says nothing, because a coding that is not listed is not accepted;
//! * `*;q=0` means `identity;q=0` where `identity` is not listed, and nothing where it is;
//! * a coding listed twice has its lower weight; a member that can't be read is not accepted;
//! * what is left of nothing (`foo`, an empty field) is `identity`, for to drop the field would accept everything;
//! * weights only rank (§12.4.2), so they become 1, 0.9, 0.8, ... by rank, and vanish when all are equal;
//! * `identity` that is wanted no more than each of the others is dropped: it is accepted anyway, last.
//!
//! `Accept-Language` is left alone but for white space, case (RFC 4647 §2.1) and sorting by weight: §12.5.4 notes that
//! recipients take the order among equals for a preference, so it is kept.

/// In the order of the normal form. Dictionaries first (RFC 9842: a client offers them only when it holds one).
const CODINGS: [&str; 9] = ["dcb", "dcz", "br", "zstd", "gzip", "deflate", "compress", "identity", "*"];
const IDENTITY: usize = 7;
const STAR: usize = 8;

/// The normal form; never empty, and its own normal form.
pub(super) fn encoding(value: &[u8]) -> Vec<u8> {
    let (mut weights, mut refused) = read_codings(value);
    if weights[STAR] == Some(0) {
        weights[IDENTITY] = weights[IDENTITY].or(Some(0));
        weights[STAR] = None;
    }
    let open = weights[STAR].is_some();
    if !open {
        refused.clear();
    }
    let mut wanted: Vec<(u16, &str)> = Vec::new();
    for (coding, weight) in CODINGS.into_iter().zip(weights) {
        match weight {
            Some(0) if open || coding == "identity" => refused.push(coding.to_owned()),
            Some(0) | None => {}
            Some(weight) => wanted.push((weight, coding)),
        }
    }
    if !open && wanted.len() > 1 {
        let least =
            wanted.iter().filter(|(_, coding)| *coding != "identity").map(|(weight, _)| *weight).min();
        wanted.retain(|(weight, coding)| *coding != "identity" || Some(*weight) > least);
    }
    // Stable: equals stay in the order of `CODINGS`.
    wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    refused.sort_unstable();
    refused.dedup();
    write_codings(&wanted, &refused)
}

/// The weight of each of [`CODINGS`], in thousandths, and the other codings that are refused.
fn read_codings(value: &[u8]) -> ([Option<u16>; CODINGS.len()], Vec<String>) {
    let mut weights = [None; CODINGS.len()];
    let mut refused = Vec::new();
    for (name, weight) in value.split(|b| *b == b',').filter_map(weighted) {
        let name = match name.as_str() {
            "x-gzip" => "gzip",
            "x-compress" => "compress",
            name => name,
        };
        let known =
            CODINGS.iter().position(|coding| *coding == name).and_then(|place| weights.get_mut(place));
        match known {
            Some(slot) => *slot = Some(slot.map_or(weight, |before: u16| before.min(weight))),
            None if weight == 0 => refused.push(name.to_owned()),
            None => {}
        }
    }
    (weights, refused)
}

fn write_codings(wanted: &[(u16, &str)], refused: &[String]) -> Vec<u8> {
    let mut members: Vec<String> = Vec::with_capacity(wanted.len() + refused.len());
    let (mut rank, mut before) = (10u16, None);
    for (weight, coding) in wanted {
        if before.is_some_and(|before| before != *weight) {
            // Nine codings at most, so nine ranks: it ends at 0.2.
            rank = rank.saturating_sub(1);
        }
        before = Some(*weight);
        members.push(if rank == 10 { (*coding).to_owned() } else { format!("{coding};q=0.{rank}") });
    }
    if members.is_empty() && refused.is_empty() {
        members.push("identity".to_owned());
    }
    members.extend(refused.iter().map(|coding| format!("{coding};q=0")));
    members.join(", ").into_bytes()
}

/// The normal form, or `None` if some member is no language range with at most a weight.
pub(super) fn language(value: &[u8]) -> Option<Vec<u8>> {
    let mut ranges: Vec<(String, u16)> = Vec::new();
    for member in value.split(|b| *b == b',').filter(|member| !member.trim_ascii().is_empty()) {
        let range = weighted(member)?;
        // RFC 4647 §2.1: letters, digits and hyphens, or `*`.
        if range.0 != "*" && !range.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return None;
        }
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let members: Vec<String> = ranges
        .into_iter()
        .map(|(range, weight)| match weight {
            1000 => range,
            0 => format!("{range};q=0"),
            weight => {
                let digits = format!("{weight:03}");
                format!("{range};q=0.{}", digits.trim_end_matches('0'))
            }
        })
        .collect();
    Some(members.join(", ").into_bytes())
}

/// `name`, or `name;q=0.5`: the name in lower case and the weight in thousandths. `None` for anything else.
fn weighted(member: &[u8]) -> Option<(String, u16)> {
    let (name, weight) = weighted_member(member)?;
    Some((String::from_utf8_lossy(name).to_ascii_lowercase(), weight))
}

/// The same with the name as it is written. Allocates nothing.
pub(in crate::semantics) fn weighted_member(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let is_token =
        !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b));
    if !is_token {
        return None;
    }
    let weight = match (parts.next(), parts.next()) {
        (None, _) => 1000,
        (Some([b'q' | b'Q', b'=', digits @ ..]), None) => thousandths(digits)?,
        _ => return None,
    };
    Some((name, weight))
}

/// qvalue (RFC 9110 §12.4.2): 0 or 1, and at most three decimals.
fn thousandths(qvalue: &[u8]) -> Option<u16> {
    let (whole, decimals): (u16, &[u8]) = match qvalue {
        [b @ (b'0' | b'1')] => (u16::from(b - b'0'), b""),
        [b @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (u16::from(b - b'0'), decimals),
        _ => return None,
    };
    let mut sum = whole * 1000;
    for (digit, place) in decimals.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum += u16::from(digit - b'0') * place;
    }
    (sum <= 1000).then_some(sum)
}
