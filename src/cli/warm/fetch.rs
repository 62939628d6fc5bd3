//! One URL through the proxy: sent to the proxy's address under the URL's own host, read to the end, and judged by `Cache-Status`
//! (RFC 9211).

use super::tally::Fate;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// Of one URL, from the connection to the body's last byte.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of one sitemap; a site may have to make a large one first.
const SITEMAP_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a sitemap (sitemaps.org allows 50 MB).
const LONGEST_SITEMAP: usize = 64 * 1024 * 1024;

/// Fetches through one proxy.
#[derive(Debug)]
pub struct Fetcher {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// `host:port` of the proxy.
    proxy: String,
    headers: HeaderMap,
}

impl Fetcher {
    /// # Errors
    /// An address or a field that can't be used, in a sentence.
    pub fn new(to: &str, headers: &[String]) -> Result<Self, String> {
        let wrong = || format!("--to {to}: expected http://HOST[:PORT]");
        let uri: Uri = to.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let proxy = uri.authority().filter(|_| plain).ok_or_else(wrong)?.to_string();
        let mut fields = HeaderMap::new();
        fields
            .insert(USER_AGENT, HeaderValue::from_static(concat!("larder-warm/", env!("CARGO_PKG_VERSION"))));
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // What browsers send, so that the variant is warmed that they will ask for.
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
        for line in headers {
            let wrong = || format!("-H {line}: expected `Field: value`");
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
            fields.insert(name, value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, proxy, headers: fields })
    }

    pub async fn fetch(&self, url: &str) -> Fate {
        let Some(request) = self.request(url) else { return Fate::Failed("not an http URL".to_owned()) };
        match tokio::time::timeout(PATIENCE, self.ask(request)).await {
            Ok(fate) => fate,
            Err(_) => Fate::Failed(format!("no whole answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn ask(&self, request: Request<Empty<Bytes>>) -> Fate {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                return Fate::Failed(
                    if error.is_connect() { "no connection" } else { "no answer" }.to_owned(),
                );
            }
        };
        let (head, mut body) = response.into_parts();
        // To the end: a response is stored when it is whole.
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return Fate::Failed("the answer broke off".to_owned());
            }
        }
        if head.status.is_client_error() || head.status.is_server_error() {
            return Fate::Failed(format!("status {}", head.status.as_u16()));
        }
        judge(&head.headers)
    }

    /// Reads a document of the site, for sitemaps.
    ///
    /// # Errors
    /// In a sentence: no answer, none in time, one that is no success or too long.
    pub async fn read(&self, url: &str) -> Result<Bytes, String> {
        self.read_within(url, SITEMAP_PATIENCE).await
    }

    async fn read_within(&self, url: &str, patience: Duration) -> Result<Bytes, String> {
        let mut request = self.request(url).ok_or_else(|| format!("{url} is not an http URL"))?;
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let read = async {
            let response = self.client.request(request).await.map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                return Err(format!("status {}", response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), LONGEST_SITEMAP).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
        };
        match tokio::time::timeout(patience, read).await {
            Ok(read) => read.map_err(|why| format!("{url}: {why}")),
            Err(_) => Err(format!("{url}: no whole answer within {patience:?}")),
        }
    }

    fn request(&self, url: &str) -> Option<Request<Empty<Bytes>>> {
        let uri: Uri = url.parse().ok()?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().filter(|a| known && !a.as_str().contains('@'))?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = format!("http://{}{target}", self.proxy).parse().ok()?;
        *request.headers_mut() = self.headers.clone();
        let host = HeaderValue::try_from(authority.as_str()).ok()?;
        request.headers_mut().insert(HOST, host);
        Some(request)
    }
}

/// What the cache nearest to the client says: the last member.
fn judge(headers: &HeaderMap) -> Fate {
    let lines: Vec<&str> = headers.get_all("cache-status").iter().filter_map(|v| v.to_str().ok()).collect();
    let all = lines.join(", ");
    let Some(member) = all.rsplit(',').next().filter(|member| !member.trim().is_empty()) else {
        return Fate::NotCacheable("no Cache-Status: is that Larder?".to_owned());
    };
    let parameters: Vec<&str> = member.split(';').skip(1).map(str::trim).collect();
    let value = |name: &str| {
        parameters.iter().find_map(|p| p.strip_prefix(name)?.strip_prefix('=')).map(|v| v.trim_matches('"'))
    };
    let detail = || value("detail").unwrap_or("stale").to_owned();
    let is_stale = value("ttl").and_then(|ttl| ttl.parse::<i64>().ok()).is_some_and(|ttl| ttl < 0);
    if parameters.contains(&"hit") {
        // RFC 9211 §2.4: less than zero is how long it has been stale.
        return if is_stale { Fate::Stale(detail()) } else { Fate::Fresh };
    }
    if parameters.contains(&"stored") || parameters.contains(&"collapsed") {
        return Fate::Stored;
    }
    if is_stale && value("fwd") == Some("stale") {
        return Fate::Stale(detail()); // the origin was asked, and failed
    }
    let why = value("detail").or_else(|| value("fwd")).unwrap_or("not stored");
    Fate::NotCacheable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_caches_word_counts_rfc9211_2() {
        let judged = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-status", HeaderValue::from_str(value).unwrap());
            judge(&headers)
        };
        assert_eq!(judged("larder; hit; ttl=5"), Fate::Fresh);
        assert_eq!(judged("larder; fwd=uri-miss; stored; ttl=300"), Fate::Stored);
        let stale = |why: &str| Fate::Stale(why.to_owned());
        assert_eq!(
            judged("larder; hit; ttl=-3; detail=stale-while-revalidate"),
            stale("stale-while-revalidate")
        );
        assert_eq!(judged("larder; hit; ttl=-3"), stale("stale"));
        assert_eq!(judged("larder; hit; ttl=0"), Fate::Fresh);
        let failed = "larder; fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error";
        assert_eq!(judged(failed), stale("stale-if-error"));
        assert_eq!(judged("inner; hit; ttl=5, larder; fwd=uri-miss; stored; ttl=1"), Fate::Stored);
        assert_eq!(judged("larder; fwd=stale; fwd-status=304; stored; ttl=9"), Fate::Stored);
        assert_eq!(
            judged("larder; fwd=uri-miss; detail=set-cookie"),
            Fate::NotCacheable("set-cookie".to_owned())
        );
        assert_eq!(judged("larder; fwd=bypass"), Fate::NotCacheable("bypass".to_owned()));
        assert!(matches!(judge(&HeaderMap::new()), Fate::NotCacheable(_)));
    }

    #[test]
    fn a_url_goes_to_the_proxy_under_its_own_host() {
        let fetcher = Fetcher::new("http://127.0.0.1:8080", &["Accept-Language: de".to_owned()]).unwrap();
        let request = fetcher.request("https://shop.example.com/a?b=c").unwrap();
        assert_eq!(request.uri(), "http://127.0.0.1:8080/a?b=c");
        assert_eq!(request.headers()["host"], "shop.example.com");
        assert_eq!(request.headers()["accept-language"], "de");
        for wrong in ["/a", "ftp://h/", "http://u@h/", "not a url"] {
            assert!(fetcher.request(wrong).is_none(), "{wrong}");
        }
        for wrong in ["https://h", "h:1", "http://h/x", ""] {
            assert!(Fetcher::new(wrong, &[]).is_err(), "{wrong}");
        }
        assert!(Fetcher::new("http://h", &["no colon".to_owned()]).is_err());
    }
    #[tokio::test]
    async fn a_sitemap_that_does_not_come_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fetcher = Fetcher::new(&format!("http://{}", silent.local_addr().unwrap()), &[]).unwrap();
        let read = fetcher.read_within("http://h/sitemap.xml", Duration::from_millis(10)).await;
        assert_eq!(read.unwrap_err(), "http://h/sitemap.xml: no whole answer within 10ms");
    }
}
