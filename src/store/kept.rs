//! What the map of the memory tier asks of its values.

use super::key::Key;

/// What a shelf holds: a pointer to a value, or a few words that are as cheap to copy.
pub trait Kept: Clone {
    /// Whether the value tells by itself that it is under this key, and under no other. Asked for every look-up; else the shelf has the
    /// key beside it.
    fn is_under(&self, key: &Key) -> bool;

    /// Its key, of which the hash is given, if [`Kept::is_under`] tells it.
    fn key(&self, hash: u64) -> Option<Key>;

    /// Whether both are the same value, and not only equal ones.
    fn is_same(&self, other: &Self) -> bool;

    /// It is on the shelf from now on. Called under a lock, as is the other.
    fn comes(&self) {}

    /// It is not any more.
    fn goes(&self) {}
}
