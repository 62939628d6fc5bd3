//! What is kept: entries (plain data and shared body chunks), the resource that gathers the variants of one
//! key, and the memory tier. The store knows nothing of origins, sockets or requests in flight; what may be
//! stored and what may be served is decided elsewhere.

pub mod entry;
pub mod forms;
pub mod index;
pub mod kept;
pub mod key;
pub mod matched;
pub mod memory;
pub mod meta;
pub mod near;
pub mod resource;
pub mod shelf;
mod sketch;
pub mod text;
mod urls;

pub use entry::Entry;
pub use key::Key;
pub use memory::Memory;
pub use near::Near;
pub use resource::Resource;

/// A place in a table, as an index.
fn wide(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
