//! The context of a trace as it travels between programs: W3C Trace Context, `traceparent`.
//!
//! * <https://www.w3.org/TR/trace-context/>, §3.2 `traceparent`, §3.3 `tracestate`, §4 on what a participant changes
//!
//! What can't be read is as if it had not been sent (§3.2.2.3 ff.): a new trace begins, and the `tracestate` beside it goes
//! too, because it belongs to the trace that nobody can name (§3.3).

use http::{HeaderName, HeaderValue};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const SAMPLED: u8 = 0x01;
/// Level 2, §3.2.2.5.2: the trace id is random all over, so that samplers further on may draw by it.
const RANDOM: u8 = 0x02;

/// Which trace, which span of it, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Context {
    /// A `traceparent` as it was sent. `None`: it must not be used.
    pub fn parse(sent: &[u8]) -> Option<Self> {
        let (fields, more) = sent.split_at_checked(55)?;
        let [version, trace, span, flags] = [&fields[..2], &fields[3..35], &fields[36..52], &fields[53..]];
        let dashes = [fields[2], fields[35], fields[52]];
        let mut out = Self { trace: [0; 16], span: [0; 8], flags: 0 };
        let (mut read_version, mut read_flags) = ([0], [0]);
        let well = dashes == *b"---"
            && unhex(version, &mut read_version)
            && unhex(trace, &mut out.trace)
            && unhex(span, &mut out.span)
            && unhex(flags, &mut read_flags);
        let (version, flags) = (read_version[0], read_flags[0]);
        // §3.2.2.1 and §4.3: version 00 is this long and not longer; of a later one what we know is read, 0xff is none.
        let framed = match version {
            0x00 => more.is_empty(),
            0xff => false,
            _ => more.first().is_none_or(|next| *next == b'-'),
        };
        if !well || !framed || out.trace == [0; 16] || out.span == [0; 8] {
            return None;
        }
        // What we don't know is not passed on (§3.2.2.4).
        Some(Self { flags: flags & (SAMPLED | RANDOM), ..out })
    }

    /// The beginning of a new trace.
    pub fn root(sampled: bool) -> Self {
        let trace = fastrand::u128(1..).to_be_bytes();
        Self { trace, span: new_span(), flags: RANDOM | u8::from(sampled) }
    }

    /// Another span of the same trace.
    pub fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }

    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub const fn trace(&self) -> &[u8; 16] {
        &self.trace
    }

    pub const fn span(&self) -> &[u8; 8] {
        &self.span
    }

    /// As OTLP has them: the W3C's in the lowest byte.
    pub fn flags(self) -> u32 {
        u32::from(self.flags)
    }

    /// The trace's number in hexadecimal digits, as it is searched for.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }

    /// To be sent as `traceparent`, version 00.
    pub fn value(&self) -> Option<HeaderValue> {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-{:02x}", self.flags)).ok()
    }
}

fn new_span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

/// Lower-case hexadecimal digits (§3.2.2.2), two for each byte of `out`.
fn unhex(digits: &[u8], out: &mut [u8]) -> bool {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    digits.chunks_exact(2).zip(out).all(|(pair, byte)| match pair {
        [high, low] => match (value(*high), value(*low)) {
            (Some(high), Some(low)) => {
                *byte = high << 4 | low;
                true
            }
            _ => false,
        },
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn w3c_3_2_what_is_well_formed_is_read_and_sent_again() {
        let read = Context::parse(GOOD.as_bytes()).unwrap();
        assert!(read.is_sampled());
        assert_eq!(read.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(read.value().unwrap(), GOOD);
        let child = read.child();
        assert_eq!((child.trace(), child.is_sampled()), (read.trace(), true));
        assert_ne!(child.span(), read.span());
        assert!(!Context::parse(GOOD.replace("-01", "-00").as_bytes()).unwrap().is_sampled());
        // Unknown flags are not passed on.
        assert_eq!(Context::parse(GOOD.replace("-01", "-ff").as_bytes()).unwrap().flags(), 3);
    }

    #[test]
    fn w3c_4_3_a_later_version_is_read_as_far_as_it_is_known() {
        for later in ["01", "cc", "fe"] {
            let sent = GOOD.replacen("00", later, 1);
            assert_eq!(Context::parse(sent.as_bytes()), Context::parse(GOOD.as_bytes()));
            assert!(Context::parse(format!("{sent}-what-comes").as_bytes()).is_some());
            assert!(Context::parse(format!("{sent}x").as_bytes()).is_none());
        }
    }

    #[test]
    fn w3c_3_2_2_what_is_malformed_is_not_used() {
        let bad = [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-"),
            format!("{GOOD} "),
            format!(" {GOOD}"),
            GOOD.to_ascii_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0x", 1),
            GOOD.replace('-', "_"),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("-01", "-0g"),
            format!("00-{}", "é".repeat(26)),
        ];
        for sent in bad {
            assert_eq!(Context::parse(sent.as_bytes()), None, "{sent}");
        }
    }

    #[test]
    fn new_traces_differ_and_can_be_read_back() {
        let (one, other) = (Context::root(true), Context::root(false));
        assert_ne!(one.trace(), other.trace());
        for context in [one, other] {
            assert_eq!(Context::parse(context.value().unwrap().as_bytes()), Some(context));
        }
    }
}
