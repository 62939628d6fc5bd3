//! HTTP dates (RFC 9110 §5.6.7): all three formats in, IMF-fixdate out.
//!
//! ```text
//! IMF-fixdate   Sun, 06 Nov 1994 08:49:37 GMT     what we write
//! rfc850-date   Sunday, 06-Nov-94 08:49:37 GMT    obsolete, MUST be accepted
//! asctime-date  Sun Nov  6 08:49:37 1994          obsolete, MUST be accepted
//! ```
//!
//! What a cache adds to that (RFC 9111 §4.2): letters are matched without regard to case, and a zone other
//! than GMT, `UTC` included, makes the date invalid. Strict is the safe side here: an `Expires` that is not
//! understood is in the past (RFC 9111 §5.3). The one thing not checked is whether the day of the week agrees
//! with the date; it carries no information, and real servers get it wrong.
//!
//! Dates before 1970 are valid ("Mon, 01 Jan 0001" is what some frameworks write for "long ago"); [`Wall`] has
//! no room for them, so they become its beginning, which is just as much in the past.

use crate::time::{MONTHS, Wall, civil};

/// From Thursday on, the day that 1970 began with.
const DAYS: [&[u8]; 7] =
    [b"Thursday", b"Friday", b"Saturday", b"Sunday", b"Monday", b"Tuesday", b"Wednesday"];

const SECS_PER_DAY: i64 = 86_400;
/// Fifty mean Gregorian years.
const FIFTY_YEARS: i64 = 50 * 31_556_952;
/// 9999-12-31 23:59:59, the last second that four digits can name.
const LAST: u64 = 253_402_300_799;
/// 2026-01-01, where [`parse`] stands when it reads two-digit years.
const REFERENCE: Wall = Wall::from_secs(1_767_225_600);

/// `None` when it is no valid HTTP-date: for expiration that means "in the past" (RFC 9111 §5.3).
///
/// Two-digit years are read as in 2026: 77 to 99 are 19xx. Who knows the time calls [`parse_at`].
pub fn parse(value: &[u8]) -> Option<Wall> {
    parse_at(value, REFERENCE)
}

/// As [`parse`]; `now` decides on the century of an rfc850-date: what would lie more than 50 years ahead is
/// the most recent such year in the past (RFC 9110 §5.6.7).
pub fn parse_at(value: &[u8], now: Wall) -> Option<Wall> {
    let mut text = Text(value.trim_ascii());
    let day_name = text.letters();
    let short = DAYS.iter().any(|day| day.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(day_name)));
    let secs = if short && text.literal(b", ").is_some() {
        imf_fixdate(&mut text)?
    } else if short {
        asctime(&mut text)?
    } else if DAYS.iter().any(|day| day.eq_ignore_ascii_case(day_name)) {
        rfc850(&mut text, now)?
    } else {
        return None;
    };
    text.0.is_empty().then(|| Wall::from_secs(u64::try_from(secs).unwrap_or(0)))
}

/// IMF-fixdate, rounded down to the second.
pub fn format(at: Wall) -> [u8; 29] {
    let secs = at.secs().min(LAST);
    let (day, second) = (secs / 86_400, secs % 86_400);
    let (year, month, month_day) = civil(day);

    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in out.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    let two = |n: u64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    for (index, name) in DAYS.iter().enumerate() {
        if day % 7 == index as u64 {
            put(0, name.get(..3).unwrap_or_default());
        }
    }
    for (number, name) in (1..).zip(MONTHS) {
        if month == number {
            put(8, name.as_bytes());
        }
    }
    put(5, &two(month_day));
    put(12, &two(year / 100));
    put(14, &two(year));
    put(17, &two(second / 3600));
    put(20, &two(second / 60 % 60));
    put(23, &two(second % 60));
    out
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &mut Text<'_>) -> Option<i64> {
    let day = text.digits(2)?;
    text.literal(b" ")?;
    let month = text.month()?;
    text.literal(b" ")?;
    let year = text.digits(4)?;
    text.literal(b" ")?;
    let time = text.time_of_day()?;
    text.literal(b" GMT")?;
    seconds(year, month, day, time)
}

/// ` Nov  6 08:49:37 1994`; the day is two digits, or a space and one.
fn asctime(text: &mut Text<'_>) -> Option<i64> {
    text.literal(b" ")?;
    let month = text.month()?;
    text.literal(b" ")?;
    let day = match text.literal(b" ") {
        Some(()) => text.digits(1)?,
        None => text.digits(2)?,
    };
    text.literal(b" ")?;
    let time = text.time_of_day()?;
    text.literal(b" ")?;
    let year = text.digits(4)?;
    seconds(year, month, day, time)
}

/// `, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &mut Text<'_>, now: Wall) -> Option<i64> {
    text.literal(b", ")?;
    let day = text.digits(2)?;
    text.literal(b"-")?;
    let month = text.month()?;
    text.literal(b"-")?;
    let short_year = text.digits(2)?;
    text.literal(b" ")?;
    let time = text.time_of_day()?;
    text.literal(b" GMT")?;

    let (this_year, _, _) = civil(now.secs().min(LAST) / 86_400);
    let now = i64::try_from(now.secs().min(LAST)).unwrap_or(0);
    let this_century = i64::try_from(this_year).unwrap_or(0) / 100 * 100;
    let latest = now + FIFTY_YEARS;
    [100, 0, -100]
        .into_iter()
        .filter_map(|shift| seconds(this_century + shift + short_year, month, day, time))
        .find(|secs| *secs <= latest)
}

/// Seconds since 1970; `None` when the calendar has no such day.
fn seconds(year: i64, month: i64, day: i64, time: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=days).contains(&day).then(|| days_since_1970(year, month, day) * SECS_PER_DAY + time)
}

/// Days from 1970-01-01 to a day of the (proleptic) Gregorian calendar. The year is taken to begin in March,
/// so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Takes exactly this, in any case.
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        let (head, tail) = self.0.split_at_checked(expected.len())?;
        head.eq_ignore_ascii_case(expected).then(|| self.0 = tail)
    }

    /// Takes all letters that come now.
    fn letters(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (head, tail) = self.0.split_at(end);
        self.0 = tail;
        head
    }

    /// Takes exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let number = head
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))?;
        self.0 = tail;
        Some(number)
    }

    fn month(&mut self) -> Option<i64> {
        let name = self.letters();
        (1..)
            .zip(MONTHS)
            .find(|(_, month)| month.as_bytes().eq_ignore_ascii_case(name))
            .map(|(number, _)| number)
    }

    /// Second of the day; `23:59:60` is a leap second.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.literal(b":")?;
        let minute = self.digits(2)?;
        self.literal(b":")?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOV_6_1994: Option<u64> = Some(784_111_777);
    const AUG_18_2050: Option<u64> = Some(2_544_400_878);

    fn secs(value: &str) -> Option<u64> {
        parse(value.as_bytes()).map(Wall::secs)
    }

    #[test]
    fn rfc9110_5_6_7_all_three_formats_are_accepted() {
        for (value, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", NOV_6_1994),
            ("Sunday, 06-Nov-94 08:49:37 GMT", NOV_6_1994),
            ("Sun Nov  6 08:49:37 1994", NOV_6_1994),
            ("Sun Nov 06 08:49:37 1994", NOV_6_1994),
            ("Thursday, 18-Aug-50 02:01:18 GMT", AUG_18_2050),
            ("Thu Aug 18 02:01:18 2050", AUG_18_2050),
            // Conformance suite: the weekday is wrong, the date is right.
            ("Thu Aug  8 02:01:18 2050", Some(2_543_536_878)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Tue, 19 Jan 2038 03:14:08 GMT", Some(2_147_483_648)),
            (" Sun, 06 Nov 1994 08:49:37 GMT\t", NOV_6_1994),
        ] {
            assert_eq!(secs(value), expected, "{value}");
        }
    }

    #[test]
    fn rfc9111_4_2_letters_are_matched_without_regard_to_case() {
        for value in [
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "thu, 18 aug 2050 02:01:18 gMT",
            "THURSDAY, 18-aug-50 02:01:18 Gmt",
            "thu aug 18 02:01:18 2050",
        ] {
            assert_eq!(secs(value), AUG_18_2050, "{value}");
        }
    }

    #[test]
    fn rfc9111_4_2_a_zone_other_than_gmt_is_invalid() {
        for value in [
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thursday, 18-Aug-50 02:01:18 UTC",
        ] {
            assert_eq!(secs(value), None, "{value}");
        }
    }

    #[test]
    fn rfc9111_5_3_what_is_no_http_date_is_invalid() {
        for value in [
            "",
            "0",
            "-1",
            "foo",
            "Thu",
            "Thu,",
            "1767225600",
            "2050-08-18T02:01:18Z",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:00:00 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 32 Aug 2050 02:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Wed, 29 Feb 2023 02:01:18 GMT",
            "Thu, 29 Feb 2100 02:01:18 GMT",
            "Thu, 18 Agu 2050 02:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thurs, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT;",
            "Thu, 18 Aug +050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GM",
            "Tue Nov  6 08:49:37 94",
            "Thu, \u{661}8 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(secs(value), None, "{value}");
        }
        assert_eq!(parse(b"Thu, 18 Aug 2050 02:01:18 \xff"), None);
    }

    #[test]
    fn rfc9111_5_3_a_date_before_1970_is_valid_and_past() {
        assert_eq!(secs("Mon, 01 Jan 0001 00:00:00 GMT"), Some(0));
        assert_eq!(secs("Wed, 31 Dec 1969 23:59:59 GMT"), Some(0));
        assert_eq!(secs("Sat, 01 Jan 0000 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn rfc9110_5_6_7_a_two_digit_year_more_than_50_years_ahead_is_in_the_past() {
        let year = |value: &str, now: &str| {
            let now = parse(now.as_bytes()).unwrap();
            let text = format(parse_at(value.as_bytes(), now).unwrap());
            String::from_utf8(text[12..16].to_vec()).unwrap()
        };
        for (short, now, expected) in [
            ("75", "2026", "2075"),
            ("76", "2026", "1976"),
            ("77", "2026", "1977"),
            ("99", "2026", "1999"),
            ("00", "2026", "2000"),
            ("26", "2026", "2026"),
            // The window moves with the clock.
            ("76", "2027", "2076"),
            ("00", "2099", "2100"),
            ("48", "2099", "2148"),
            ("70", "1999", "1970"),
            ("10", "1999", "2010"),
        ] {
            let value = format!("Monday, 02-Jan-{short} 00:00:00 GMT");
            let now = format!("Thu, 01 Jan {now} 00:00:00 GMT");
            assert_eq!(year(&value, &now), expected, "{value} seen at {now}");
        }
    }

    #[test]
    fn rfc9110_5_6_7_dates_are_written_as_imf_fixdate() {
        for (at, expected) in [
            (Wall(0), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (Wall(999), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (Wall::from_secs(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"),
            (Wall::from_secs(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT"),
            (Wall::from_secs(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT"),
            (Wall::from_secs(LAST), "Fri, 31 Dec 9999 23:59:59 GMT"),
            (Wall(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&format(at)).unwrap(), expected);
        }
    }

    #[test]
    fn every_day_from_1970_to_2370_survives_being_written_and_read() {
        let mut previous_day = 0;
        for day in 0..=146_097u64 {
            let at = Wall::from_secs(day * 86_400 + day % 86_400);
            let text = format(at);
            assert_eq!(parse(&text), Some(at), "{}", String::from_utf8_lossy(&text));
            let month_day = (text[5] - b'0') * 10 + text[6] - b'0';
            assert!(month_day == previous_day + 1 || month_day == 1, "{}", String::from_utf8_lossy(&text));
            previous_day = month_day;
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(value: Vec<u8>, now: u64) {
            let _ = parse_at(&value, Wall(now));
        }

        #[test]
        fn any_near_miss_is_judged_without_a_panic(
            value in "(Sun|Sunday)[,]? [0-9]{1,2}[ -](Feb|Dec)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT)?",
            now: u64,
        ) {
            let _ = parse_at(value.as_bytes(), Wall(now));
        }

        #[test]
        fn what_is_written_is_read_back(secs in 0..=LAST) {
            let at = Wall::from_secs(secs);
            proptest::prop_assert_eq!(parse(&format(at)), Some(at));
        }
    }
}
