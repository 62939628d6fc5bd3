//! Which field governs caching here: `Larder-CDN-Cache-Control`, `CDN-Cache-Control` (RFC 9213),
//! `Surrogate-Control` (W3C Edge Architecture), `Cache-Control` — the first that is present and valid.
//!
//! **The two CDN fields** are structured dictionaries and read strictly, because a field that two products
//! read differently is worse than none (RFC 9213 §2.1): a syntax error anywhere, upper-case keys included, or
//! an empty field, and the field is as good as absent; a member of the wrong type (`max-age="60"`,
//! `max-age=60.5`, `no-store=1`) is ignored, never converted; parameters are ignored; of a repeated key the
//! last counts. A field that says nothing we know (`CDN-Cache-Control: none`) is still the chosen one: it
//! lifts `Cache-Control: no-store` and leaves heuristics to decide. The grammar is RFC 9651's, whose newer
//! types make a member ignorable where RFC 8941 would have thrown the whole field away.
//!
//! **`Surrogate-Control`** is older than any of this, and its field users write it by hand, so it is read with
//! the forgiving reader of [`cache_control`](super::cache_control). `max-age=A+B` is a lifetime of A and B
//! more seconds in which the response may be used stale, either while it is refreshed or when that fails.
//! A directive with parameters (`max-age=60;abc`) speaks to the surrogates named there only; one that names
//! us, `larder`, wins over one that names nobody. `content="ESI/1.0"` is about processing and
//! `no-store-remote` about surrogates far from the origin, which we are not; both are ignored. A field with
//! nothing in it that tells us how to cache does not govern: frameworks send `content="ESI/1.0"` beside a
//! `Cache-Control: private` that they mean.

use super::cache_control::{Argument, Directive, ResponseDirectives, delta_seconds, members};
use http::header::CDN_CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

const LARDER_CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("larder-cdn-cache-control");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
/// The name by which `Surrogate-Control` directives may address this product.
const SURROGATE_ID: &[u8] = b"larder";

/// The field that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    LarderCdnCacheControl,
    CdnCacheControl,
    SurrogateControl,
    CacheControl,
}

impl Field {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LarderCdnCacheControl => "larder-cdn-cache-control",
            Self::CdnCacheControl => "cdn-cache-control",
            Self::SurrogateControl => "surrogate-control",
            Self::CacheControl => "cache-control",
        }
    }
}

/// The governing field and what it says. Unless it is `Cache-Control`, `Cache-Control` and `Expires`
/// have no say (RFC 9213 §2.2).
pub fn governing(headers: &HeaderMap) -> (Field, ResponseDirectives) {
    if let Some(said) = dictionary(headers, LARDER_CDN_CACHE_CONTROL) {
        (Field::LarderCdnCacheControl, said)
    } else if let Some(said) = dictionary(headers, CDN_CACHE_CONTROL) {
        (Field::CdnCacheControl, said)
    } else if let Some(said) = surrogate(headers) {
        (Field::SurrogateControl, said)
    } else {
        (Field::CacheControl, ResponseDirectives::parse(headers))
    }
}

/// Removes what only this cache may see: `Larder-CDN-Cache-Control`, `Surrogate-Control` (interface.md §2.3).
pub fn strip_private_fields(headers: &mut HeaderMap) {
    headers.remove(LARDER_CDN_CACHE_CONTROL);
    headers.remove(SURROGATE_CONTROL);
}

/// RFC 9213 §2.1. `None`: absent, empty or not a dictionary.
fn dictionary(headers: &HeaderMap, field: HeaderName) -> Option<ResponseDirectives> {
    let lines: Vec<&[u8]> = headers.get_all(field).iter().map(|line| line.as_bytes()).collect();
    let members: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if members.is_empty() {
        return None;
    }
    let mut said = ResponseDirectives::default();
    for (key, member) in &members {
        if let ListEntry::Item(item) = member {
            add_member(&mut said, key.as_str(), &item.bare_item);
        }
    }
    Some(said)
}

/// The types are those of §2.1: seconds are Integers, directives without argument Booleans, lists of fields
/// Strings. What has another type falls through to the last arm.
fn add_member(said: &mut ResponseDirectives, key: &str, value: &BareItem) {
    match (key, value) {
        ("max-age", BareItem::Integer(n)) => match u64::try_from(*n) {
            Ok(seconds) => said.max_age = Some(seconds),
            // The right type and no lifetime: invalid freshness information (RFC 9111 §4.2.1).
            Err(_) => said.unreadable_lifetime = true,
        },
        ("s-maxage", BareItem::Integer(n)) => match u64::try_from(*n) {
            Ok(seconds) => said.s_maxage = Some(seconds),
            Err(_) => said.unreadable_lifetime = true,
        },
        ("stale-while-revalidate", BareItem::Integer(n)) => {
            said.stale_while_revalidate = u64::try_from(*n).ok();
        }
        ("stale-if-error", BareItem::Integer(n)) => said.stale_if_error = u64::try_from(*n).ok(),
        ("no-cache", BareItem::Boolean(true)) => said.no_cache.add(None),
        ("no-cache", BareItem::String(list)) => said.no_cache.add(Some(list.as_str().as_bytes())),
        ("private", BareItem::Boolean(true)) => said.private.add(None),
        ("private", BareItem::String(list)) => said.private.add(Some(list.as_str().as_bytes())),
        ("no-store", BareItem::Boolean(on)) => said.no_store = *on,
        ("public", BareItem::Boolean(on)) => said.public = *on,
        ("must-revalidate", BareItem::Boolean(on)) => said.must_revalidate = *on,
        ("proxy-revalidate", BareItem::Boolean(on)) => said.proxy_revalidate = *on,
        ("must-understand", BareItem::Boolean(on)) => said.must_understand = *on,
        ("no-transform", BareItem::Boolean(on)) => said.no_transform = *on,
        ("immutable", BareItem::Boolean(on)) => said.immutable = *on,
        _ => {}
    }
}

/// `None`: absent, or nothing in it tells this cache how to cache.
fn surrogate(headers: &HeaderMap) -> Option<ResponseDirectives> {
    if !headers.contains_key(SURROGATE_CONTROL) {
        return None;
    }
    let mut said = ResponseDirectives::default();
    let mut governs = false;
    let mut extension = None;
    // What names us is taken in first: of a repeated directive the first counts.
    for wanted in [Target::Us, Target::Everyone] {
        for line in headers.get_all(SURROGATE_CONTROL) {
            for member in members(line.as_bytes(), b',') {
                let mut parts = members(member, b';');
                let directive = parts.next().and_then(Directive::read);
                let Some(directive) = directive.filter(|_| Target::of(parts) == wanted) else { continue };
                if let Some((lifetime, extra)) = extended_lifetime(&directive) {
                    if said.max_age.is_none() {
                        said.max_age = Some(lifetime);
                        extension = Some(extra);
                    }
                    governs = true;
                } else {
                    governs |= said.add(&directive);
                }
            }
        }
    }
    said.stale_while_revalidate = said.stale_while_revalidate.or(extension);
    said.stale_if_error = said.stale_if_error.or(extension);
    governs.then_some(said)
}

/// Whom a directive of `Surrogate-Control` speaks to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Everyone,
    Us,
    Others,
}

impl Target {
    fn of<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Self {
        parameters.filter(|id| !id.is_empty()).fold(Self::Everyone, |target, id| {
            if target == Self::Us || id.eq_ignore_ascii_case(SURROGATE_ID) { Self::Us } else { Self::Others }
        })
    }
}

/// `max-age=A+B`.
fn extended_lifetime(directive: &Directive<'_>) -> Option<(u64, u64)> {
    let Argument::Value(value) = &directive.argument else { return None };
    let mut parts = value.splitn(2, |byte| *byte == b'+');
    let lifetime = delta_seconds(parts.next()?)?;
    let extension = delta_seconds(parts.next()?)?;
    directive.name.eq_ignore_ascii_case(b"max-age").then_some((lifetime, extension))
}

#[cfg(test)]
mod tests {
    use super::super::cache_control::Qualified;
    use super::*;
    use http::HeaderValue;

    fn chosen(lines: &[(&'static str, &str)]) -> (Field, ResponseDirectives) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        governing(&headers)
    }

    fn lifetime(seconds: u64) -> ResponseDirectives {
        ResponseDirectives { max_age: Some(seconds), ..ResponseDirectives::default() }
    }

    const LARDER: &str = "larder-cdn-cache-control";
    const CDN: &str = "cdn-cache-control";
    const SURROGATE: &str = "surrogate-control";
    const CC: &str = "cache-control";

    #[test]
    fn rfc9213_2_2_the_first_valid_field_of_the_target_list_governs_alone() {
        let all = [(CC, "max-age=4"), (SURROGATE, "max-age=3"), (CDN, "max-age=2"), (LARDER, "max-age=1")];
        assert_eq!(chosen(&all), (Field::LarderCdnCacheControl, lifetime(1)));
        assert_eq!(chosen(&all[..3]), (Field::CdnCacheControl, lifetime(2)));
        assert_eq!(chosen(&all[..2]), (Field::SurrogateControl, lifetime(3)));
        assert_eq!(chosen(&all[..1]), (Field::CacheControl, lifetime(4)));
        assert_eq!(chosen(&[]), (Field::CacheControl, ResponseDirectives::default()));

        let (field, said) = chosen(&[(CC, "no-store, private, s-maxage=9"), (CDN, "max-age=60")]);
        assert_eq!(
            (field, said),
            (Field::CdnCacheControl, lifetime(60)),
            "nothing of the others is mixed in"
        );
    }

    #[test]
    fn rfc9213_2_4_a_targeted_field_that_is_not_on_the_list_changes_nothing() {
        for name in ["akamai-cdn-cache-control", "cloudflare-cdn-cache-control", "larder-cache-control"] {
            assert_eq!(
                chosen(&[(name, "max-age=60"), (CC, "max-age=4")]),
                (Field::CacheControl, lifetime(4))
            );
        }
    }

    #[test]
    fn rfc9213_2_1_an_empty_field_or_a_parse_error_makes_the_next_field_govern() {
        for value in [
            "",
            "  ",
            ",",
            "max-age=60, &&&",
            "max-age=60,",
            "MaX-aGe=60",
            "max-age =60",
            "max-age= 60",
            "max-age=60 no-store",
            "max-age=60; ",
            "no-store, max-age=\"60",
            "max-age=0x10",
            "max-age=1.2345",
            "max-age=9999999999999999",
            "max-age='60'",
            "no-cache=\"\u{e9}\"",
        ] {
            assert_eq!(
                chosen(&[(CDN, value), (CC, "max-age=4")]),
                (Field::CacheControl, lifetime(4)),
                "{value}"
            );
            let larder = [(LARDER, value), (CDN, "max-age=5"), (CC, "max-age=4")];
            assert_eq!(chosen(&larder), (Field::CdnCacheControl, lifetime(5)), "{value}");
        }
        // One bad line spoils the field: lines are one dictionary (RFC 9651 §4.2).
        let lines = [(CDN, "max-age=60"), (CDN, "&"), (CC, "max-age=4")];
        assert_eq!(chosen(&lines).0, Field::CacheControl);
    }

    #[test]
    fn rfc9213_2_1_values_of_the_wrong_type_are_not_consumed() {
        for value in [
            "max-age=\"60\"",
            "max-age=60.5",
            "max-age=60.0",
            "max-age",
            "max-age=?1",
            "max-age=a60",
            "max-age=(60)",
            "max-age=:NjA=:",
            "s-maxage=\"60\"",
            "stale-if-error=\"60\", stale-while-revalidate=1.5",
            "no-store=1",
            "no-store=\"\"",
            "no-cache=1",
            "no-cache=(\"a\" \"b\")",
            "private=token",
            "public=1, immutable=\"a\", must-understand=yes",
        ] {
            let expected = (Field::CdnCacheControl, ResponseDirectives::default());
            assert_eq!(chosen(&[(CDN, value), (CC, "no-store")]), expected, "{value}");
        }
    }

    #[test]
    fn rfc9213_2_2_every_directive_is_understood_in_a_targeted_field() {
        let (_, said) = chosen(&[
            (CDN, "max-age=1, s-maxage=2, no-cache, private, no-store, public, must-revalidate"),
            (CDN, "proxy-revalidate, must-understand, no-transform, immutable"),
            (CDN, "stale-while-revalidate=3, stale-if-error=4"),
        ]);
        let mut headers = HeaderMap::new();
        headers.append(
            "cache-control",
            HeaderValue::from_static(
                "max-age=1, s-maxage=2, no-cache, private, no-store, public, must-revalidate, proxy-revalidate, \
                 must-understand, no-transform, immutable, stale-while-revalidate=3, stale-if-error=4",
            ),
        );
        assert_eq!(said, ResponseDirectives::parse(&headers));
    }

    #[test]
    fn rfc9213_2_1_values_parameters_and_duplicates() {
        let said = |value| chosen(&[(CDN, value)]).1;
        assert_eq!(said("max-age=60;foo=bar, none;x"), lifetime(60), "parameters mean nothing");
        assert_eq!(said("max-age=60, max-age=10"), lifetime(10), "of a repeated key the last counts");
        assert_eq!(said("no-store, no-store=?0, max-age=1"), lifetime(1));
        assert_eq!(said("no-store=?0, max-age=1"), lifetime(1));
        assert_eq!(said("max-age=060"), lifetime(60));
        assert_eq!(said("max-age=999999999999999"), lifetime(999_999_999_999_999));
        assert!(said("max-age=-1").unreadable_lifetime);
        assert!(said("max-age=60, s-maxage=-1").unreadable_lifetime);
        assert_eq!(said("stale-if-error=-1").stale_if_error, None);
        let names = Qualified::Fields(vec![HeaderName::from_static("a"), HeaderName::from_static("b")]);
        assert_eq!(said("no-cache=\"a, B\"").no_cache, names);
        assert_eq!(said("private=\"a b\"").private, Qualified::Whole);
        assert_eq!(said("private=\"\"").private, Qualified::Whole);
        assert_eq!(said("no-cache=?0").no_cache, Qualified::Absent);
    }

    #[test]
    fn rfc9213_2_2_a_field_without_a_known_directive_is_still_chosen() {
        for value in ["none", "foo=1", "x=@1767225600", "x=%\"caf%c3%a9\"", "x=(1 2);y"] {
            let expected = (Field::CdnCacheControl, ResponseDirectives::default());
            assert_eq!(chosen(&[(CDN, value), (CC, "no-store")]), expected, "{value}");
        }
    }

    #[test]
    fn edge_arch_surrogate_control_is_read_forgivingly() {
        for (value, expected) in [
            ("max-age=3600", 3600),
            ("max-age=\"3600\"", 3600),
            ("MaX-aGe=3600", 3600),
            ("max-age=2147483648", 2_147_483_648),
            ("max-age=99999999999", 99_999_999_999),
            ("foobar, max-age=3600", 3600),
            ("max-age=3600, content=\"ESI/1.0\"", 3600),
            ("content=\"ESI/1.0, max-age=1\", max-age=3600", 3600),
            ("max-age=3600, no-store-remote", 3600),
            ("max-age=0", 0),
        ] {
            let said = chosen(&[(CC, "max-age=1"), (SURROGATE, value)]);
            assert_eq!(said, (Field::SurrogateControl, lifetime(expected)), "{value}");
        }
        assert!(chosen(&[(CC, "max-age=9"), (SURROGATE, "no-store")]).1.no_store);
        assert!(chosen(&[(SURROGATE, "max-age =100")]).1.unreadable_lifetime, "suite");
        assert!(chosen(&[(SURROGATE, "max-age= 100")]).1.unreadable_lifetime, "suite");
    }

    #[test]
    fn edge_arch_max_age_a_plus_b_is_a_lifetime_and_a_stale_window() {
        for (value, max_age, swr, sie) in [
            ("max-age=600+60", 600, Some(60), Some(60)),
            ("max-age=\"600+60\"", 600, Some(60), Some(60)),
            ("max-age=0+60", 0, Some(60), Some(60)),
            ("max-age=600+60, stale-if-error=5", 600, Some(60), Some(5)),
            ("stale-while-revalidate=5, max-age=600+60", 600, Some(5), Some(60)),
            ("max-age=10, max-age=600+60", 10, None, None),
            ("max-age=600+60, max-age=10", 600, Some(60), Some(60)),
            ("max-age=600, stale-while-revalidate=30, stale-if-error=40", 600, Some(30), Some(40)),
        ] {
            let (field, said) = chosen(&[(SURROGATE, value)]);
            assert_eq!(field, Field::SurrogateControl);
            let found = (said.max_age, said.stale_while_revalidate, said.stale_if_error);
            assert_eq!(found, (Some(max_age), swr, sie), "{value}");
            assert!(!said.unreadable_lifetime, "{value}");
        }
        for value in ["max-age=600+", "max-age=+60", "max-age=1+2+3", "max-age=600+x", "max-age=600 + 60"] {
            assert!(chosen(&[(SURROGATE, value)]).1.unreadable_lifetime, "{value}");
        }
        // Only this field has the form.
        assert!(chosen(&[(CC, "max-age=600+60")]).1.unreadable_lifetime);
    }

    #[test]
    fn edge_arch_directives_for_other_surrogates_are_skipped() {
        let governed = |value| {
            let (field, said) = chosen(&[(CC, "max-age=4"), (SURROGATE, value)]);
            (field == Field::SurrogateControl).then_some(said)
        };
        assert_eq!(governed("max-age=3600;larder"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600 ; LARDER"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600;abc;larder"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600;larder;abc"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600;"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600;not-for-you"), None);
        assert_eq!(governed("no-store;not-for-you"), None);
        assert_eq!(governed("no-store;abc, max-age=60"), Some(lifetime(60)));
        // The more specific target wins, wherever it stands.
        assert_eq!(governed("max-age=60, max-age=3600;larder"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=3600;larder, max-age=60"), Some(lifetime(3600)));
        assert_eq!(governed("max-age=60+5, max-age=3600;larder"), Some(lifetime(3600)));
    }

    #[test]
    fn edge_arch_a_field_that_does_not_speak_of_caching_does_not_govern() {
        for value in
            ["", "content=\"ESI/1.0\"", "no-store-remote", "foo", "content=\"ESI/1.0\";larder", ",;,"]
        {
            assert_eq!(chosen(&[(CC, "private"), (SURROGATE, value)]).0, Field::CacheControl, "{value}");
        }
    }

    #[test]
    fn interface_2_3_only_our_own_fields_are_kept_from_the_client() {
        let mut headers = HeaderMap::new();
        for name in [LARDER, SURROGATE, CDN, CC] {
            headers.append(name, HeaderValue::from_static("max-age=1"));
            headers.append(name, HeaderValue::from_static("max-age=2"));
        }
        strip_private_fields(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, [CC, CDN]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let lines = [CDN_CACHE_CONTROL, SURROGATE_CONTROL].map(|name| (name, value.clone()));
                let _ = governing(&HeaderMap::from_iter(lines));
            }
        }
    }
}
