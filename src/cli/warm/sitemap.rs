//! Sitemaps (sitemaps.org 0.9): a `urlset` lists pages, a `sitemapindex` lists sitemaps. Text files with one URL per line are
//! sitemaps too.

use super::fetch::Fetcher;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::{HashSet, VecDeque};

/// An index names at most 50,000 sitemaps by the protocol; ours gives up earlier.
const MOST_SITEMAPS: usize = 2000;

/// What one document says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    pages: Vec<String>,
    sitemaps: Vec<String>,
}

/// All pages, each once, in order.
///
/// # Errors
/// A sitemap that can't be had or read, more than `most` pages, none at all.
pub async fn all(url: &str, fetcher: &Fetcher, most: usize) -> Result<VecDeque<String>, String> {
    let mut due = VecDeque::from([url.to_owned()]);
    let mut seen = HashSet::from([url.to_owned()]);
    let mut pages = VecDeque::new();
    let mut known = HashSet::new();
    while let Some(url) = due.pop_front() {
        let text = fetcher.read(&url).await?;
        let listed = parse(&text).map_err(|why| format!("{url}: {why}"))?;
        for sitemap in listed.sitemaps {
            if seen.insert(sitemap.clone()) {
                due.push_back(sitemap);
            }
        }
        if seen.len() > MOST_SITEMAPS {
            return Err(format!("more than {MOST_SITEMAPS} sitemaps"));
        }
        pages.extend(listed.pages.into_iter().filter(|page| known.insert(page.clone())));
        if pages.len() > most {
            return Err(format!("more than {most} pages"));
        }
    }
    if pages.is_empty() { Err(format!("{url} lists no page")) } else { Ok(pages) }
}

fn parse(bytes: &[u8]) -> Result<Listed, String> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("it is gzip: name the plain one, or serve it with Content-Encoding".to_owned());
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('<') {
        let pages = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        return Ok(Listed { pages, ..Listed::default() });
    }
    let mut reader = Reader::from_str(text);
    let mut listed = Listed::default();
    // The element round the current `loc`, and the text of that so far.
    let (mut of_sitemap, mut loc): (bool, Option<String>) = (false, None);
    loop {
        match reader.read_event().map_err(|error| format!("no sitemap: {error}"))? {
            Event::Eof => return Ok(listed),
            Event::Start(start) => match start.local_name().as_ref() {
                "sitemap" => of_sitemap = true,
                "url" => of_sitemap = false,
                "loc" => loc = Some(String::new()),
                _ => {}
            },
            Event::Text(piece) => {
                if let Some(loc) = &mut loc {
                    loc.push_str(&piece);
                }
            }
            Event::CData(piece) => {
                if let Some(loc) = &mut loc {
                    loc.push_str(&piece);
                }
            }
            Event::GeneralRef(entity) => {
                if let Some(loc) = &mut loc {
                    let whole = format!("&{};", &*entity);
                    loc.push_str(&quick_xml::escape::unescape(&whole).map_err(|error| error.to_string())?);
                }
            }
            Event::End(end) if end.local_name().as_ref() == "loc" => {
                let url = loc.take().map(|text| text.trim().to_owned()).filter(|url| !url.is_empty());
                let list = if of_sitemap { &mut listed.sitemaps } else { &mut listed.pages };
                list.extend(url);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_sitemaps_are_told_apart() {
        let pages = br#"<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
            xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
            <url><loc> http://h/a?b=1&amp;c=2 </loc><lastmod>2026-01-01</lastmod></url>
            <url><loc><![CDATA[http://h/x&y]]></loc></url></urlset>"#;
        assert_eq!(parse(pages).unwrap().pages, ["http://h/a?b=1&c=2", "http://h/x&y"]);
        let index = b"<sitemapindex><sitemap><loc>http://h/1.xml</loc></sitemap></sitemapindex>";
        assert_eq!(parse(index).unwrap().sitemaps, ["http://h/1.xml"]);
        assert_eq!(parse(b"http://h/a\n\nhttp://h/b\n").unwrap().pages, ["http://h/a", "http://h/b"]);
        assert!(parse(&[0x1f, 0x8b, 8, 0]).is_err());
        assert!(parse(b"<urlset><url></urlset>").is_err());
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
