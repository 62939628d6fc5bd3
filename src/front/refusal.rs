//! PLACEHOLDER (not committed)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    Malformed,
    MethodNotAllowed,
    UnknownHost,
    Misdirected,
    LoopDetected,
    BodyTooLarge,
    BodyTimeout,
    UrlTooLong,
    HeadersTooLarge,
    OnlyIfCached,
    BodyBroken,
    Internal,
    Origin(crate::origin::OriginError),
}

impl Refusal {
    pub const ALL: [Self; 1] = [Self::Malformed];
    pub fn as_str(self) -> &'static str {
        "placeholder"
    }
    pub fn from_origin(e: crate::origin::OriginError) -> Self {
        Self::Origin(e)
    }
}
pub fn response(r: Refusal, _n: &str, id: &str, _c: bool) -> http::Response<crate::body::OutBody> {
    let mut x = http::Response::new(crate::body::OutBody::full(format!("{r:?} {id}")));
    *x.status_mut() = match r {
        Refusal::OnlyIfCached => http::StatusCode::GATEWAY_TIMEOUT,
        Refusal::Origin(e) => e.status(),
        _ => http::StatusCode::BAD_REQUEST,
    };
    x
}
pub fn encode_http1(_r: &http::Response<crate::body::OutBody>, _d: crate::time::Wall) -> bytes::Bytes {
    bytes::Bytes::new()
}
