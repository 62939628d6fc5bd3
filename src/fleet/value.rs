//! Stored responses as bytes in the store.

use crate::store::entry::Meta;
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

/// A response as it comes from the store: what an entry is made of, but for what belongs to one node.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `born.local` is 0, `arrived` on this node's clock, `began` zero: it was not filled here.
    pub meta: Meta,
    pub body: Arc<[Bytes]>,
    pub length: u64,
    pub trailers: Option<HeaderMap>,
}
