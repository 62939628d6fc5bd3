//! Numbers and texts as people read them, in little room.

use super::history::Took;
use ratatui::text::Span;

/// Where nothing is known.
pub const NONE: &str = "–";

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// 1,204,503
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 0.35, 4.2, 118, 12,400
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // rates of requests and bytes
pub fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => NONE.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(rate) if rate < 1.0 => format!("{rate:.2}"),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => count(rate.round() as u64),
    }
}

/// 97.1 %; never rounded up to what it is not.
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => NONE.to_owned(),
        Some(share) if share >= 1.0 => "100 %".to_owned(),
        Some(share) => format!("{:.1} %", (share * 1000.0).floor() / 10.0),
    }
}

/// 211.0 MiB
pub fn bytes(n: f64) -> String {
    let (mut n, mut unit) = (n, 0);
    while n >= 1024.0 && unit + 1 < UNITS.len() {
        n /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && n < 100.0);
    format!("{n:.digits$} {}", UNITS.get(unit).unwrap_or(&""))
}

/// ≤ 0.5 ms, 12 ms, 1.4 s
pub fn took(took: Option<Took>) -> String {
    match took {
        None => NONE.to_owned(),
        Some(Took::AtMost(ms)) => format!("≤ {}", milliseconds(ms)),
        Some(Took::About(ms)) => milliseconds(ms),
        Some(Took::AtLeast(ms)) => format!("≥ {}", milliseconds(ms)),
    }
}

pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 9950.0 => format!("{:.0} s", ms / 1000.0),
        ms if ms >= 999.5 => format!("{:.1} s", ms / 1000.0),
        ms if ms >= 9.95 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

/// 36 s, 5 min, 2 h 3 min, 12 d 4 h
pub fn span(seconds: u64) -> String {
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, unit) in [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")] {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{} {unit}", left / length));
        }
        left %= length;
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A text from outside, in at most so many columns; what is cut off is told by a dot of three. Control characters, which could
/// steer a terminal, are left out.
pub fn fit(text: &str, columns: usize) -> String {
    let clean: String = text.chars().filter(|char| !char.is_control()).collect();
    if columns_of(&clean) <= columns {
        return clean;
    }
    let mut kept = String::new();
    let mut used = 1;
    for char in clean.chars() {
        used += columns_of(char.encode_utf8(&mut [0; 4]));
        if used > columns {
            break;
        }
        kept.push(char);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// How wide a terminal shows it.
pub fn columns_of(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_claim_no_more_than_they_know() {
        assert_eq!([0, 999, 1000, 1_204_503].map(count), ["0", "999", "1,000", "1,204,503"]);
        let rates = [None, Some(0.0), Some(0.349), Some(4.21), Some(9.99), Some(12_400.4)].map(rate);
        assert_eq!(rates, ["–", "0", "0.35", "4.2", "10", "12,400"]);
        let shares = [None, Some(0.0), Some(0.9999), Some(1.0), Some(0.123)].map(percent);
        assert_eq!(shares, ["–", "0.0 %", "99.9 %", "100 %", "12.3 %"]);
        let sizes = [0.0, 1023.0, 1024.0, 150_000.0, 5e8, 1e18].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "146 KiB", "477 MiB", "909495 TiB"]);
        let times = [0.5, 9.96, 999.6, 12_000.0].map(milliseconds);
        assert_eq!(times, ["0.5 ms", "10 ms", "1.0 s", "12 s"]);
        assert_eq!(took(Some(Took::AtMost(0.5))), "≤ 0.5 ms");
        assert_eq!([0, 59, 60, 7384, 1_051_200].map(span), ["0 s", "59 s", "1 min", "2 h 3 min", "12 d 4 h"]);
    }

    #[test]
    fn texts_from_outside_fit_and_steer_nothing() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        assert_eq!(fit("価格表です", 5), "価格…", "two columns each");
        assert_eq!(fit("a\u{1b}[2Jb\nc\u{7}", 20), "a[2Jbc");
        assert_eq!(fit("abc", 0), "");
    }
}
