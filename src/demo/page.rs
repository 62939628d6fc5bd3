//! The frame round every page: title, navigation, the stamp that says when it was made, and the panel that
//! explains its caching headers. The panel and the headers come from the same list of lessons.

use super::assets;
use crate::body::OutBody;
use crate::time::Wall;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use http::{Response, StatusCode};
use std::borrow::Cow;
use std::fmt::Write;

/// When, and as the how-manieth request of this origin, an answer was made.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub at: Wall,
    pub request: u64,
}

impl Stamp {
    /// `12:00:01`, UTC.
    pub fn time(&self) -> String {
        let second = self.at.secs() % 86_400;
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

/// A response header, and what it does to a cache, in a sentence or two of plain text.
#[derive(Clone, Debug)]
pub struct Lesson {
    name: HeaderName,
    value: Cow<'static, str>,
    says: &'static str,
}

impl Lesson {
    pub fn new(name: HeaderName, value: impl Into<Cow<'static, str>>, says: &'static str) -> Self {
        Self { name, value: value.into(), says }
    }

    pub fn cache_control(value: &'static str, says: &'static str) -> Self {
        Self::new(CACHE_CONTROL, value, says)
    }
}

/// Which link of the navigation is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Home,
    Shelf,
    News,
    Search,
    Account,
    Lab,
}

const NAVIGATION: [(Section, &str, &str); 5] = [
    (Section::Shelf, "/products", "Shelf"),
    (Section::News, "/news", "News"),
    (Section::Search, "/search", "Search"),
    (Section::Account, "/account", "Account"),
    (Section::Lab, "/#laboratory", "Laboratory"),
];

/// Scripts, styles and pictures come from here and nowhere else.
const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Clone, Debug)]
pub struct Page {
    pub status: StatusCode,
    /// Plain text.
    pub title: Cow<'static, str>,
    pub section: Section,
    /// HTML.
    pub body: String,
    pub lessons: Vec<Lesson>,
    /// HTML: what to try here, or what the absence of a header means.
    pub remark: Cow<'static, str>,
}

impl Page {
    pub fn new(title: impl Into<Cow<'static, str>>, section: Section, body: String) -> Self {
        let title = title.into();
        Self { status: StatusCode::OK, title, section, body, lessons: Vec::new(), remark: Cow::Borrowed("") }
    }

    pub fn teaching(mut self, lessons: impl IntoIterator<Item = Lesson>) -> Self {
        self.lessons.extend(lessons);
        self
    }

    pub fn remarking(mut self, remark: impl Into<Cow<'static, str>>) -> Self {
        self.remark = remark.into();
        self
    }

    pub fn render(&self, stamp: &Stamp) -> Response<OutBody> {
        let html = format!(
            include_str!("assets/layout.html"),
            title = escape(&self.title),
            logo = include_str!("assets/logo.svg"),
            icon = assets::address("pantry.svg"),
            style = assets::address("site.css"),
            script = assets::address("panel.js"),
            navigation = navigation(self.section),
            time = stamp.time(),
            request = stamp.request,
            body = self.body,
            lessons = lessons(&self.lessons),
            remark = self.remark,
        );
        let mut response = Response::new(OutBody::full(html));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        for lesson in &self.lessons {
            // Never refused: values are literals, or numbers put into them.
            if let Ok(value) = HeaderValue::from_str(&lesson.value) {
                headers.append(lesson.name.clone(), value);
            }
        }
        response
    }
}

fn navigation(current: Section) -> String {
    NAVIGATION.iter().fold(String::new(), |mut html, (section, href, label)| {
        let here = if *section == current { " aria-current=\"page\"" } else { "" };
        let _ = write!(html, "<li><a href=\"{href}\"{here}>{label}</a></li>");
        html
    })
}

fn lessons(lessons: &[Lesson]) -> String {
    lessons.iter().fold(String::new(), |mut html, lesson| {
        let _ = write!(
            html,
            "<div><dt><code>{}: {}</code></dt><dd>{}</dd></div>",
            field_name(&lesson.name),
            escape(&lesson.value),
            escape(lesson.says)
        );
        html
    })
}

/// `cache-control` → `Cache-Control`, as people write it.
fn field_name(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| match word {
        "cdn" => "CDN".to_owned(),
        "etag" => "ETag".to_owned(),
        _ => {
            let mut letters = word.chars();
            letters.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(letters).collect()
        }
    });
    words.collect::<Vec<String>>().join("-")
}

/// Text for HTML content and quoted attributes.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
        html
    })
}

/// 404 for whatever is not here.
pub fn missing() -> Page {
    let body = "<h1>Nothing on this shelf</h1>\
                <p class=\"lead\">We looked behind the flour, too. Back to <a href=\"/\">the shop</a>.</p>"
        .to_owned();
    let mut page = Page::new("Not found", Section::Home, body).remarking(
        "A 404 without any caching header. A cache that follows the standard by default does not keep it: asking again \
         asks the origin again. In Larder a rule with <code>negative_ttl</code> changes that.",
    );
    page.status = StatusCode::NOT_FOUND;
    page
}
