//! The pages of the shop. Each shows one way in which an origin can speak to a cache.

use super::api::{CACHE_GROUP_INVALIDATION, CACHE_GROUPS, CATALOGUE};
use super::data::{Change, Goods, Language, MAX_STOCK, Shelf, parse_price, price_text};
use super::page::{Lesson, Page, Section, escape};
use super::site::{Call, text};
use super::{drawing, form, lab};
use crate::body::OutBody;
use crate::semantics::date;
use http::header::{
    CONTENT_TYPE, COOKIE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, SET_COOKIE,
};
use http::{Response, StatusCode};
use std::fmt::Write;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Longest search, characters; the rest is ignored.
const MAX_SEARCH: usize = 100;

pub fn home(call: &Call<'_>) -> Page {
    let (_, products) = call.site.shop().products();
    let window = cards(products.take(5));
    let body = format!(
        include_str!("assets/home.html"),
        picture = super::assets::address("pantry.svg"),
        window = window,
        laboratory = lab::directory()
    );
    let tag = format!("\"home-{:x}-{}\"", call.site.epoch(), call.stamp.request);
    Page::new("Welcome", Section::Home, body)
        .teaching([
            Lesson::cache_control(
                "max-age=30, stale-while-revalidate=60",
                "Fresh for half a minute. For a minute after that the cache still answers at once with what it has, and \
                 fetches a new one behind the visitor's back (RFC 5861).",
            ),
            Lesson::new(
                ETAG,
                tag,
                "Names these very bytes. Every rendering of this page has a stamp and a tag of its own, so a check always \
                 ends in a new page.",
            ),
        ])
        .remarking(
            "Reload now and then and watch the stamp: it stands still for 30 seconds, the first reload after that \
             still shows the old one, the next a new one.",
        )
}

/// Shared by the list and the product pages: long in the cache, never unchecked in the browser.
fn long_here_short_there() -> [Lesson; 2] {
    [
        Lesson::new(
            CDN_CACHE_CONTROL,
            "max-age=300",
            "For caches that the shop runs itself, such as Larder: five minutes (RFC 9213). They ignore Cache-Control then.",
        ),
        Lesson::cache_control(
            "max-age=0, must-revalidate",
            "For browsers, which nobody can purge: ask every time.",
        ),
    ]
}

const WEAK_TAG: &str = "Names the content, and is weak (W/) because the stamp differs between renderings that say the same. While nothing \
                        changed, a check costs the origin a 304 without a body, and the stamp stays.";

pub fn products(call: &Call<'_>) -> Page {
    let (version, products) = call.site.shop().products();
    let body = format!(
        "<h1>The shelf</h1><p class=\"lead\">Twelve things that keep.</p><ul class=\"cards\">{}</ul>",
        cards(products)
    );
    Page::new("The shelf", Section::Shelf, body)
        .teaching(long_here_short_there())
        .teaching([
            Lesson::new(CACHE_TAG, "products", "A name to purge by: larder purge --tag products. Clients don't see it."),
            Lesson::new(
                CACHE_GROUPS,
                CATALOGUE,
                "The same idea as a standard (RFC 9875): when a price changes, the origin says that this group is out of date.",
            ),
            Lesson::new(ETAG, format!("W/\"products-{version}-{:x}\"", call.site.epoch()), WEAK_TAG),
        ])
        .remarking("Change a price on a product's page, then come back: the list was dropped with it.")
}

fn cards(products: impl Iterator<Item = (&'static Goods, Shelf)>) -> String {
    products.fold(String::new(), |mut html, (goods, shelf)| {
        let _ = write!(
            html,
            "<li><a class=\"card\" href=\"/products/{}\">{}<span class=\"name\">{}</span>\
             <span class=\"size\">{}</span><span class=\"price\">€ {}</span></a></li>",
            goods.id,
            drawing::of(goods),
            escape(goods.name(Language::English)),
            goods.size,
            price_text(shelf.price)
        );
        html
    })
}

/// An id that is not sold is caught by the router.
pub fn product(call: &Call<'_>, id: u32) -> Page {
    let Some((goods, shelf)) = call.site.shop().product(id) else { return super::page::missing() };
    let name = goods.name(Language::English);
    let body = format!(
        include_str!("assets/product.html"),
        picture = drawing::of(goods),
        name = escape(name),
        size = goods.size,
        note = escape(goods.note),
        id = id,
        price = price_text(shelf.price),
        stock = shelf.stock,
        version = shelf.version
    );
    Page::new(name, Section::Shelf, body)
        .teaching(long_here_short_there())
        .teaching([
            Lesson::new(
                CACHE_TAG,
                format!("product:{id}, products"),
                "Names to purge by: this page, or everything about products. Clients don't see them.",
            ),
            Lesson::new(ETAG, format!("W/\"product-{id}-{}-{:x}\"", shelf.version, call.site.epoch()), WEAK_TAG),
        ])
        .remarking(format!(
            "Change the price: the POST passes through the cache, and its success tells the cache to drop what it has for \
             this address (RFC 9111 §4.4). Or purge it by hand: <code>larder purge --tag product:{id}</code>."
        ))
}

/// `POST /products/{id}`: `price`, `stock` or `buy`, as a form or as JSON.
pub fn change(call: &Call<'_>, id: u32, form: &[u8]) -> Response<OutBody> {
    let json =
        call.head.headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
    let change = if json { change_from_json(form) } else { change_from_form(form) };
    let Some(change) = change else {
        return text(
            StatusCode::BAD_REQUEST,
            "Send price (0 to 999.99), stock (0 to 9999) or buy, as a form or as JSON.\n",
        );
    };
    if !call.site.shop().change(id, change) {
        return text(StatusCode::NOT_FOUND, "Not sold here.\n");
    }
    let mut response = see_other(&format!("/products/{id}"));
    response.headers_mut().insert(CACHE_GROUP_INVALIDATION, HeaderValue::from_static(CATALOGUE));
    response
}

fn change_from_form(form: &[u8]) -> Option<Change> {
    let form = std::str::from_utf8(form).ok()?;
    let field = |name| form::first(form, name);
    checked(field("price"), field("stock"), field("buy").is_some())
}

fn change_from_json(json: &[u8]) -> Option<Change> {
    let json: serde_json::Value = serde_json::from_slice(json).ok()?;
    // 4.5 as well as "4.5".
    let field = |name| json.get(name).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    checked(field("price"), field("stock"), field("buy").is_some_and(|v| v == "true"))
}

/// `None` when a value is out of bounds, or there is none.
fn checked(price: Option<String>, stock: Option<String>, buy: bool) -> Option<Change> {
    if price.is_none() && stock.is_none() && !buy {
        return None;
    }
    let price = match price {
        Some(text) => Some(parse_price(&text)?),
        None => None,
    };
    let stock = match stock {
        Some(text) => Some(text.trim().parse().ok().filter(|n| *n <= MAX_STOCK)?),
        None => None,
    };
    Some(Change { price, stock, buy })
}

pub fn news(call: &Call<'_>) -> Page {
    let news = call.site.shop().news();
    let list = news.articles.iter().rev().fold(String::new(), |mut html, article| {
        let _ = write!(
            html,
            "<article><h2>{}</h2><p>{}</p></article>",
            escape(article.title),
            escape(article.text)
        );
        html
    });
    let body = format!(
        include_str!("assets/news.html"),
        picture = super::assets::address("window.png"),
        articles = list
    );
    let changed = String::from_utf8_lossy(&date::format(news.changed)).into_owned();
    Page::new("News", Section::News, body)
        .teaching([Lesson::new(
            LAST_MODIFIED,
            changed,
            "All the origin says. So the cache guesses: what has not changed for days won't change in the next \
             minutes either. A tenth of the time since is usual (RFC 9111 §4.2.2), bounded by the configuration.",
        )])
        .remarking(
            "Bring out the next article: it is moments old, so the guess will be a very short lifetime, and grow.",
        )
}

/// `POST /news`: the next article comes out.
pub fn publish(call: &Call<'_>) -> Response<OutBody> {
    if call.site.shop().publish(call.stamp.at) {
        see_other("/news")
    } else {
        text(StatusCode::CONFLICT, "All news is out. It starts over with the origin.\n")
    }
}

pub fn search(call: &Call<'_>) -> Page {
    let wanted: String =
        form::first(call.query(), "q").unwrap_or_default().trim().chars().take(MAX_SEARCH).collect();
    let (_, products) = call.site.shop().products();
    let needle = wanted.to_lowercase();
    let found: Vec<_> = products
        .filter(|(goods, _)| {
            !needle.is_empty()
                && (goods.names.iter().any(|n| n.to_lowercase().contains(&needle))
                    || goods.note.to_lowercase().contains(&needle))
        })
        .collect();
    let result = match (wanted.is_empty(), found.len()) {
        (true, _) => "Any language of the catalogue will do.".to_owned(),
        (_, 1) => format!("One thing matches “{}”.", escape(&wanted)),
        (_, n) => format!("{n} things match “{}”.", escape(&wanted)),
    };
    let body = format!(
        "<h1>Search</h1><form class=\"row\" action=\"/search\" role=\"search\"><label for=\"q\">Look for</label>\
         <input id=\"q\" name=\"q\" type=\"search\" maxlength=\"{MAX_SEARCH}\" value=\"{}\" placeholder=\"tea\">\
         <button>Search</button></form><p>{result}</p><ul class=\"cards\">{}</ul>",
        escape(&wanted),
        cards(found.into_iter())
    );
    Page::new("Search", Section::Search, body)
        .teaching([Lesson::cache_control(
            "max-age=60",
            "Fresh for a minute. Path and query together are the key: every search is stored by itself.",
        )])
        .remarking(
            "Add <code>&amp;utm_source=letter</code> to the address: to a cache that is another page, unless the configuration \
             excludes such parameters from the key, as Larder's can.",
        )
}

/// A page for one visitor only, told apart by a cookie.
pub fn account(call: &Call<'_>) -> Page {
    let cookies = call.head.headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok());
    let known = cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("demo-visitor=")?.parse::<u64>().ok());
    let visitor = known.unwrap_or_else(|| call.site.next_visitor());
    let greeting = if known.is_some() { "Welcome back" } else { "Good to meet you" };
    let body = format!(
        "<h1>Your account</h1><p class=\"lead\">{greeting}, visitor no {visitor}.</p>\
         <p>We know nothing else about you. The number sits in a cookie that only this page gets.</p>"
    );
    Page::new("Your account", Section::Account, body)
        .teaching([
            Lesson::cache_control(
                "private, max-age=60",
                "The visitor's own browser may keep it for a minute. A shared cache must not store it at all.",
            ),
            Lesson::new(
                SET_COOKIE,
                format!("demo-visitor={visitor}; Path=/account; HttpOnly; SameSite=Lax"),
                "Stored by mistake, this would hand one visitor's number to all. Larder refuses to store it even where \
                 Cache-Control would allow it, unless a rule says to strip the cookie.",
            ),
        ])
        .remarking("Ask again as often as you like: every answer is made by the origin.")
}

/// 303: look at `location` with GET.
pub fn see_other(location: &str) -> Response<OutBody> {
    let mut response = text(StatusCode::SEE_OTHER, format!("See {location}\n"));
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
