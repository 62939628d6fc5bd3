//! Entity tags (RFC 9110 §8.8.3): strong and weak comparison, lists in `If-None-Match`.

/// A parsed entity tag; `opaque` keeps the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    pub weak: bool,
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// `None` when it is no entity-tag.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let _ = value;
        None
    }
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}
