//! `/api/products`: the catalogue as JSON in English, German or French, to show `Vary` and `Cache-Groups`.

use super::data::{Language, price_text};
use super::site::Call;
use crate::body::OutBody;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, VARY,
};
use http::{HeaderMap, Response};
use serde_json::{Value, json};

/// RFC 9875: a name for what belongs together on this origin.
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// RFC 9875: on the answer to an unsafe request, which of them is out of date now.
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");
/// What shows every price: the list and this catalogue.
pub const CATALOGUE: &str = "\"catalogue\"";

pub fn products(call: &Call<'_>) -> Response<OutBody> {
    let language = preferred(&call.head.headers);
    let (version, products) = call.site.shop().products();
    let products: Vec<Value> = products
        .map(|(goods, shelf)| {
            json!({
                "id": goods.id,
                "name": goods.name(language),
                "size": goods.size,
                "price": price_text(shelf.price),
                "currency": "EUR",
                "stock": shelf.stock,
                "version": shelf.version,
                "url": format!("/products/{}", goods.id),
            })
        })
        .collect();
    let catalogue = json!({ "language": language.as_str(), "version": version, "products": products });
    let mut response = Response::new(OutBody::full(format!("{catalogue:#}\n")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.as_str()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
    headers.insert(CACHE_GROUPS, HeaderValue::from_static(CATALOGUE));
    let tag = format!("\"catalogue-{}-{version}-{:x}\"", language.as_str(), call.site.epoch());
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// The language the client likes best (RFC 9110 §12.5.4) by its primary subtag; English when it has no wish that can
/// be met. Of equal weights the one named first.
fn preferred(request: &HeaderMap) -> Language {
    let ranges = request.get_all(ACCEPT_LANGUAGE).iter().filter_map(|v| v.to_str().ok());
    let mut best = (Language::English, 0.0_f32);
    for range in ranges.flat_map(|list| list.split(',')) {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
        let primary = tag.trim().split('-').next().unwrap_or("");
        let language = Language::ALL.into_iter().find(|l| l.as_str().eq_ignore_ascii_case(primary));
        if let Some(language) = language
            && weight > best.1
        {
            best = (language, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_12_5_4_the_highest_weight_wins_and_zero_means_no() {
        for (field, expected) in [
            ("", "en"),
            ("de", "de"),
            ("fr-CA, en;q=0.5", "fr"),
            ("en;q=0.2, de;q=0.7, fr;q=0.7", "de"),
            ("DE-at", "de"),
            ("de;q=0", "en"),
            ("ja, *", "en"),
            ("de;q=oops, fr;q=0.1", "fr"),
        ] {
            let mut request = HeaderMap::new();
            request.insert(ACCEPT_LANGUAGE, field.parse().unwrap());
            assert_eq!(preferred(&request).as_str(), expected, "{field}");
        }
    }
}
