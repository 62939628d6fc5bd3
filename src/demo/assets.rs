//! The static files, compiled in. Pages link to them with a digest of the content in the query, so that a year's
//! `immutable` lifetime outlives no new version.

use crate::body::OutBody;
use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

static ASSETS: [Asset; 4] = [
    Asset {
        name: "site.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("assets/site.css"),
    },
    Asset {
        name: "panel.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("assets/panel.js"),
    },
    Asset { name: "pantry.svg", content_type: "image/svg+xml", content: include_bytes!("assets/pantry.svg") },
    Asset { name: "window.png", content_type: "image/png", content: include_bytes!("assets/window.png") },
];

pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The address to link to.
pub fn address(name: &str) -> String {
    let digest = find(name).map_or(0, Asset::digest);
    format!("/static/{name}?v={:08x}", digest >> 32)
}

impl Asset {
    fn digest(&self) -> u64 {
        xxh3_64(self.content)
    }

    pub fn response(&self) -> Response<OutBody> {
        let mut response = Response::new(OutBody::full(Bytes::from_static(self.content)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{:016x}\"", self.digest())) {
            headers.insert(ETAG, tag);
        }
        response
    }
}
