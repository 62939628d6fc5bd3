//! Single values: durations, sizes, shares, numbers, switches, words, texts, secrets, files.

use super::nearest::nearest;
use super::report::Class;
use super::section::{Cx, Form, Kind};
use super::tree::Node;
use serde_json::{Value as Json, json};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a text is no such value.
#[derive(Debug)]
pub struct Refusal {
    pub class: Class,
    pub message: String,
    pub help: Option<String>,
    /// The line is not shown.
    pub secret: bool,
}

impl Refusal {
    pub fn new(message: impl Into<String>) -> Self {
        Self { class: Class::BadValue, message: message.into(), help: None, secret: false }
    }

    pub fn range(message: impl Into<String>) -> Self {
        Self { class: Class::OutOfRange, ..Self::new(message) }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A value that is written as one text.
pub trait Scalar<T> {
    /// "a duration".
    fn what() -> String;
    /// The same with its limits, for the reference.
    fn form() -> String {
        Self::what()
    }
    fn parse(text: &str) -> Result<T, Refusal>;
    fn show(value: &T) -> Json;
    fn schema() -> Json;
    /// Never shown, not even in an error.
    const SECRET: bool = false;
}

/// Marks the types that implement [`Scalar`]. Only there so that the compiler can tell them from the compound
/// kinds.
pub trait Single {}

impl<T, S: Scalar<T> + Single> Kind<T> for S {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<T> {
        let text = cx.text(node, &S::what())?;
        match S::parse(text) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let finding = cx.error(refusal.class, node.place, refusal.message);
                finding.secret = S::SECRET || refusal.secret;
                if let Some(help) = refusal.help {
                    finding.help(help);
                }
                None
            }
        }
    }

    fn show(value: &T) -> Json {
        S::show(value)
    }

    fn schema() -> Json {
        S::schema()
    }

    fn form() -> Form {
        Form::plain(S::form())
    }
}

/// The schema of a text of this form, or of one with `${VARIABLES}` in it.
pub fn text_schema(pattern: &str) -> Json {
    json!({ "type": "string", "pattern": format!("^(?:{pattern})$|\\$\\{{") })
}

/// A number with one of these units directly behind it.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(u, _)| *u == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The largest unit that divides it.
fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor) && value >= *factor);
    let (unit, factor) = fits.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

fn is_bare_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Ten years: longer is a slip.
const MAX_MS: u64 = 3650 * 86_400_000;

/// A duration of at least `MIN` milliseconds.
#[derive(Debug)]
pub struct Span<const MIN: u64 = 0, const MAX: u64 = MAX_MS>;
impl<const MIN: u64, const MAX: u64> Single for Span<MIN, MAX> {}

/// A time-out: a millisecond to a day.
pub type Timeout = Span<1, 86_400_000>;

impl<const MIN: u64, const MAX: u64> Scalar<Duration> for Span<MIN, MAX> {
    fn what() -> String {
        "a duration (`250ms`, `5s`, `10m`, `2h`, `7d`)".into()
    }
    fn form() -> String {
        let least = if MIN == 0 { "0s".to_owned() } else { in_units(MIN, TIME_UNITS) };
        format!("a duration, {least} to {}", in_units(MAX, TIME_UNITS))
    }
    fn parse(text: &str) -> Result<Duration, Refusal> {
        let Some(ms) = with_unit(text, TIME_UNITS) else {
            let refusal = Refusal::new(format!("`{text}` is no duration"));
            return Err(match is_bare_number(text) {
                true if !text.contains('.') => {
                    refusal.help(format!("a duration needs a unit: `{text}s`, `{text}ms`, `{text}m`"))
                }
                _ => refusal
                    .help("a whole number and its unit, without a space: `250ms`, `5s`, `10m`, `2h`, `7d`"),
            });
        };
        if !(MIN..=MAX).contains(&ms) {
            let bounds = format!("from {} to {}", in_units(MIN, TIME_UNITS), in_units(MAX, TIME_UNITS));
            return Err(Refusal::range(format!("`{text}` is out of range")).help(bounds));
        }
        Ok(Duration::from_millis(ms))
    }
    fn show(value: &Duration) -> Json {
        let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        json!(if ms == 0 { "0s".to_owned() } else { in_units(ms, TIME_UNITS) })
    }
    fn schema() -> Json {
        text_schema("[0-9]+(ms|s|m|h|d)")
    }
}

const SIZE_UNITS: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A size of `MIN` to `MAX` bytes.
#[derive(Debug)]
pub struct Size<const MIN: u64 = 0, const MAX: u64 = { 1 << 50 }>;
impl<const MIN: u64, const MAX: u64> Single for Size<MIN, MAX> {}

impl<const MIN: u64, const MAX: u64> Scalar<u64> for Size<MIN, MAX> {
    fn what() -> String {
        "a size (`64KiB`, `512MiB`, `2GiB`)".into()
    }
    fn form() -> String {
        // The largest object that the memory tier's weights can count is a byte short of a round figure.
        let most = if MAX % 1024 == 1023 {
            format!("below {}", in_units(MAX + 1, SIZE_UNITS))
        } else {
            format!("to {}", in_units(MAX, SIZE_UNITS))
        };
        format!("a size, {} {most}", in_units(MIN, SIZE_UNITS))
    }
    fn parse(text: &str) -> Result<u64, Refusal> {
        let Some(bytes) = with_unit(text, SIZE_UNITS) else {
            let refusal = Refusal::new(format!("`{text}` is no size"));
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
            let meant = match unit.to_ascii_lowercase().as_str() {
                "k" | "kb" | "kib" => "KiB",
                "m" | "mb" | "mib" => "MiB",
                "g" | "gb" | "gib" => "GiB",
                "t" | "tb" | "tib" => "TiB",
                "" if !digits.is_empty() => {
                    return Err(
                        refusal.help(format!("a size needs a unit: `{text}B`, `{text}KiB`, `{text}MiB`"))
                    );
                }
                _ => {
                    return Err(
                        refusal.help("a whole number and its unit: `512B`, `64KiB`, `512MiB`, `2GiB`")
                    );
                }
            };
            return Err(refusal.help(format!("write `{digits}{meant}`")));
        };
        if !(MIN..=MAX).contains(&bytes) {
            let bounds = format!("from {} to {}", in_units(MIN, SIZE_UNITS), in_units(MAX, SIZE_UNITS));
            return Err(Refusal::range(format!("`{text}` is out of range")).help(bounds));
        }
        Ok(bytes)
    }
    fn show(value: &u64) -> Json {
        json!(in_units(*value, SIZE_UNITS))
    }
    fn schema() -> Json {
        text_schema("[0-9]+(B|KiB|MiB|GiB|TiB)")
    }
}

/// A share: `10%`, or `0.1`.
#[derive(Debug)]
pub struct Share;
impl Single for Share {}

impl Scalar<f64> for Share {
    fn what() -> String {
        "a share (`10%`)".into()
    }
    fn form() -> String {
        "a share, 0% to 100%".into()
    }
    fn parse(text: &str) -> Result<f64, Refusal> {
        let (number, factor) = text.strip_suffix('%').map_or((text, 1.0), |n| (n, 100.0));
        let refusal =
            || Refusal::new(format!("`{text}` is no share")).help("from `0%` to `100%`, or `0.1` for `10%`");
        let value = decimal(number).ok_or_else(refusal)? / factor;
        if value > 1.0 {
            let refusal = Refusal::range(format!("`{text}` is more than everything"));
            return Err(match factor {
                1.0 if value <= 100.0 => refusal.help(format!("did you mean `{text}%`?")),
                _ => refusal.help("from `0%` to `100%`"),
            });
        }
        Ok(value)
    }
    fn show(value: &f64) -> Json {
        // Through tenths of a millionth, so that 0.07 is `7%` and not `7.000000000000001%`.
        json!(format!("{}%", (value * 1e9).round() / 1e7))
    }
    fn schema() -> Json {
        let text = text_schema("[0-9]+(\\.[0-9]+)?%?");
        json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, text] })
    }
}

/// Digits with at most one dot: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    is_bare_number(text).then(|| text.parse().ok()).flatten()
}

/// A factor, 0.01 to 100.
#[derive(Debug)]
pub struct Factor;
impl Single for Factor {}

impl Scalar<f64> for Factor {
    fn what() -> String {
        "a number".into()
    }
    fn form() -> String {
        "a number, 0.01 to 100".into()
    }
    fn parse(text: &str) -> Result<f64, Refusal> {
        let value =
            decimal(text).ok_or_else(|| Refusal::new(format!("`{text}` is no number")).help("`1.0`"))?;
        match value {
            0.01..=100.0 => Ok(value),
            _ => Err(Refusal::range(format!("`{text}` is out of range")).help("from 0.01 to 100")),
        }
    }
    fn show(value: &f64) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "number", "minimum": 0.01, "maximum": 100 }, text_schema("[0-9.]+")] })
    }
}

/// A whole number from `MIN` to `MAX`, of whatever integer type.
#[derive(Debug)]
pub struct Count<const MIN: u64, const MAX: u64>;
impl<const MIN: u64, const MAX: u64> Single for Count<MIN, MAX> {}

impl<const MIN: u64, const MAX: u64, T: TryFrom<u64> + Copy + fmt::Display> Scalar<T> for Count<MIN, MAX> {
    fn what() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
    fn parse(text: &str) -> Result<T, Refusal> {
        let whole = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !whole {
            return Err(Refusal::new(format!("`{text}` is no whole number")).help(Self::bounds()));
        }
        let value = text.parse::<u64>().ok().filter(|v| (MIN..=MAX).contains(v));
        let out_of_range = || Refusal::range(format!("`{text}` is out of range")).help(Self::bounds());
        value.and_then(|v| T::try_from(v).ok()).ok_or_else(out_of_range)
    }
    fn show(value: &T) -> Json {
        value.to_string().parse::<u64>().map_or(Json::Null, Json::from)
    }
    fn schema() -> Json {
        json!({ "type": ["integer", "string"], "minimum": MIN, "maximum": MAX, "pattern": "^[0-9]+$|\\$\\{" })
    }
}

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    fn bounds() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
}

/// `on`, `off`, `true`, `false`.
#[derive(Debug)]
pub struct Switch;
impl Single for Switch {}

impl Scalar<bool> for Switch {
    fn what() -> String {
        "`on` or `off`".into()
    }
    fn parse(text: &str) -> Result<bool, Refusal> {
        match text {
            "on" | "true" => Ok(true),
            "off" | "false" => Ok(false),
            _ => {
                Err(Refusal::new(format!("`{text}` is neither on nor off"))
                    .help("`on`, `off`, `true`, `false`"))
            }
        }
    }
    fn show(value: &bool) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "boolean" }, text_schema("on|off|true|false")] })
    }
}

/// An enum that is written as a word.
pub trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of a [`Choice`].
#[derive(Debug)]
pub struct Word;
impl Single for Word {}

impl<T: Choice> Scalar<T> for Word {
    fn what() -> String {
        // Each value once, by its first word.
        let mut words: Vec<(T, String)> = Vec::new();
        for (word, value) in T::WORDS {
            if !words.iter().any(|(known, _)| known == value) {
                words.push((*value, format!("`{word}`")));
            }
        }
        let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
        format!("one of {}", words.join(", "))
    }
    fn parse(text: &str) -> Result<T, Refusal> {
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
            let all = <Self as Scalar<T>>::what();
            let help =
                nearest(text, &known).map_or(all.clone(), |near| format!("did you mean `{near}`? ({all})"));
            Refusal::new(format!("`{text}` is not known here")).help(help)
        })
    }
    fn show(value: &T) -> Json {
        T::WORDS.iter().find(|(_, v)| v == value).map_or(Json::Null, |(word, _)| json!(word))
    }
    fn schema() -> Json {
        let words: Vec<Json> = T::WORDS.iter().map(|(word, _)| json!(word)).collect();
        // A YAML 1.2 parser reads `true` and `false` as booleans.
        let booleans = words.iter().filter_map(|w| w.as_str()?.parse::<bool>().ok()).map(Json::from);
        let all: Vec<Json> = words.iter().cloned().chain(booleans).collect();
        json!({ "anyOf": [{ "enum": all }, { "type": "string", "pattern": "\\$\\{" }] })
    }
}

/// Any text of up to `MAX` bytes, not empty.
#[derive(Debug)]
pub struct Text<const MAX: usize = 1024>;
impl<const MAX: usize> Single for Text<MAX> {}

impl<const MAX: usize> Scalar<String> for Text<MAX> {
    fn what() -> String {
        "a text".into()
    }
    fn form() -> String {
        format!("a text of up to {MAX} bytes")
    }
    fn parse(text: &str) -> Result<String, Refusal> {
        match text.len() {
            0 => Err(Refusal::new("the text is empty")),
            len if len > MAX => Err(Refusal::range(format!("the text has more than {MAX} bytes"))),
            _ => Ok(text.to_owned()),
        }
    }
    fn show(value: &String) -> Json {
        json!(value)
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number"], "minLength": 1, "maxLength": MAX })
    }
}

/// A name that appears in logs, metrics and headers: up to 64 letters, digits, `-`, `_`, `.`; with `SPACES`
/// also spaces and other printable characters.
#[derive(Debug)]
pub struct Name<const SPACES: bool = false>;
impl<const SPACES: bool> Single for Name<SPACES> {}

impl<const SPACES: bool> Scalar<Arc<str>> for Name<SPACES> {
    fn what() -> String {
        "a name".into()
    }
    fn form() -> String {
        let letters = if SPACES { "printable characters" } else { "letters, digits, `-`, `_` or `.`" };
        format!("a name, 1 to 64 {letters}")
    }
    fn parse(text: &str) -> Result<Arc<str>, Refusal> {
        let allowed = |c: char| match SPACES {
            true => !c.is_control(),
            false => c.is_ascii_alphanumeric() || "-_.".contains(c),
        };
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            let letters = if SPACES { "printable characters" } else { "letters, digits, `-`, `_` or `.`" };
            return Err(Refusal::new(format!("`{text}` is no name")).help(format!("1 to 64 {letters}")));
        }
        Ok(Arc::from(text))
    }
    fn show(value: &Arc<str>) -> Json {
        json!(**value)
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number"], "minLength": 1, "maxLength": 64 })
    }
}

/// A secret. Shown nowhere: not by `Debug`, not by `check --print`, not in errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// How secrets are shown.
pub const BLANK: &str = "***";

#[derive(Debug)]
pub struct SecretText;
impl Single for SecretText {}

impl Scalar<Secret> for SecretText {
    const SECRET: bool = true;
    fn what() -> String {
        "a secret".into()
    }
    fn parse(text: &str) -> Result<Secret, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::new("the secret is empty").help("anybody could give an empty one"));
        }
        Ok(Secret(Arc::from(text)))
    }
    fn show(_: &Secret) -> Json {
        json!(BLANK)
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// A file that exists; relative to the folder of the configuration.
#[derive(Debug)]
pub struct File;

impl Kind<PathBuf> for File {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<PathBuf> {
        let text = cx.text(node, "a file")?;
        let path = cx.base_dir.join(text);
        if !path.is_file() {
            cx.error(Class::MissingFile, node.place, format!("there is no file `{text}`")).help(format!(
                "looked for {}; relative paths start at the configuration's folder",
                path.display()
            ));
            return None;
        }
        Some(path)
    }
    fn show(value: &PathBuf) -> Json {
        json!(value.to_string_lossy())
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
    fn form() -> Form {
        Form::plain("a file that exists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused<T: fmt::Debug, S: Scalar<T>>(text: &str) -> String {
        let refusal = S::parse(text).unwrap_err();
        format!("{} ({})", refusal.message, refusal.help.unwrap_or_default())
    }

    #[test]
    fn a_bare_number_is_no_duration_and_no_size() {
        assert_eq!(
            refused::<_, Span>("30"),
            "`30` is no duration (a duration needs a unit: `30s`, `30ms`, `30m`)"
        );
        assert_eq!(
            refused::<_, Size>("64"),
            "`64` is no size (a size needs a unit: `64B`, `64KiB`, `64MiB`)"
        );
        assert_eq!(refused::<_, Size>("64kb"), "`64kb` is no size (write `64KiB`)");
        for text in
            ["", "s", "5 s", "1.5h", "-5s", "5S", "99999999999999999999s", "18446744073709551615d", "5sx"]
        {
            assert!(<Span as Scalar<Duration>>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_and_numbers() {
        let share = |text| Share::parse(text).unwrap();
        assert_eq!((share("10%"), share("0.1"), share("0%"), share("100%")), (0.1, 0.1, 0.0, 1.0));
        assert_eq!(refused::<_, Share>("10"), "`10` is more than everything (did you mean `10%`?)");
        for text in ["", "%", "-1%", "inf", "nan", "1e1%", "1.1.1"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
        assert_eq!(<Share as Scalar<f64>>::show(&0.07), json!("7%"));
        assert_eq!(<Share as Scalar<f64>>::show(&0.005), json!("0.5%"));
        assert_eq!(
            <Count<0, 300> as Scalar<u8>>::parse("256").ok(),
            None,
            "what does not fit is out of range"
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let secret = SecretText::parse("hunter2").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(
            format!("{secret:?}{}", <SecretText as Scalar<Secret>>::show(&secret)),
            "Secret(***)\"***\""
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(ms in 0..MAX_MS, bytes in 0..(1u64 << 50), share in 0u32..=10_000) {
            let time = Duration::from_millis(ms);
            let shown = <Span as Scalar<Duration>>::show(&time);
            prop_assert_eq!(<Span as Scalar<Duration>>::parse(shown.as_str().unwrap()).unwrap(), time);
            let shown = <Size as Scalar<u64>>::show(&bytes);
            prop_assert_eq!(<Size as Scalar<u64>>::parse(shown.as_str().unwrap()).unwrap(), bytes);
            let share = f64::from(share) / 10_000.0;
            let back = Share::parse(<Share as Scalar<f64>>::show(&share).as_str().unwrap()).unwrap();
            prop_assert!((back - share).abs() < 1e-9);
        }
    }
}
