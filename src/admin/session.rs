//! `/session`: who this is, logging in with a token, logging out. For the dashboard; programs send their token with each
//! call. The pages here are reached without a token, and by any name once there are tokens: a page whose name was
//! rebound to this address has no session, and would have to know a token.

use super::{Admin, json_response, problem, refuse};
use crate::access::sessions::{COOKIE_NAME, LIFETIME};
use crate::access::{self, Denied, Scope};
use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of a request to log in.
const LONGEST_LOGIN: usize = 4096;

pub fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/session", get(who).post(log_in).delete(log_out))
        .layer(DefaultBodyLimit::max(LONGEST_LOGIN))
}

/// The cookie of a session counts as the token that opened it. What a page of another origin could send is refused here,
/// before the token is there, which by itself proves that no form has sent the request (rulings 6).
pub async fn cookie_is_the_token(
    State(admin): State<Arc<Admin>>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return next.run(request).await;
    }
    let Some(secret) = admin.sessions.secret(request.headers(), admin.engine.now().mono) else {
        return next.run(request).await;
    };
    if let Err(denied) = is_own_page(&admin, request.method(), request.headers()) {
        return refuse(request.uri().path(), denied);
    }
    if let Ok(bearer) = HeaderValue::try_from(format!("Bearer {secret}")) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    next.run(request).await
}

/// Browsers send `Origin` with everything that may change something.
fn is_own_page(admin: &Admin, method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
    access::no_form(method, headers)?;
    if !method.is_safe() && !headers.contains_key(header::ORIGIN) {
        return Err(Denied::ForeignOrigin);
    }
    admin.gate.load().own_origin(headers)
}

/// Any name will do once there are tokens; else what holds for all pages.
fn is_welcome(admin: &Admin, headers: &HeaderMap) -> Result<(), Denied> {
    let gate = admin.gate.load();
    if gate.tokens.is_empty() { gate.same_site(headers) } else { gate.own_origin(headers) }
}

async fn who(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Err(denied) = is_welcome(&admin, &headers) {
        return refuse("/session", denied);
    }
    let known = allowed(&admin, &shown(&admin, &headers));
    let needs_token = !admin.gate.load().tokens.is_empty() && known.is_null();
    let mut response =
        json_response(StatusCode::OK, &json!({ "needs_token": needs_token, "session": known }));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// With the token that the session stands for.
fn shown(admin: &Admin, headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let secret = admin.sessions.secret(&headers, admin.engine.now().mono);
    let bearer = secret.and_then(|secret| HeaderValue::try_from(format!("Bearer {secret}")).ok());
    if let (Some(bearer), false) = (bearer, headers.contains_key(header::AUTHORIZATION)) {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    headers
}

/// `null` for who has shown nothing.
fn allowed(admin: &Admin, headers: &HeaderMap) -> Value {
    let gate = admin.gate.load();
    let scopes = [("read", Scope::Read), ("purge", Scope::Purge), ("admin", Scope::Admin)];
    let mut name = None;
    let mut allow = Vec::new();
    for (word, scope) in scopes {
        if let Ok(token) = gate.admit(headers, scope) {
            name = token.map(str::to_owned).or(name);
            allow.push(word);
        }
    }
    if allow.is_empty() { Value::Null } else { json!({ "name": name, "allow": allow }) }
}

async fn log_in(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let welcome = is_welcome(&admin, &headers).and_then(|()| access::no_form(&Method::POST, &headers));
    if let Err(denied) = welcome {
        return refuse("/session", denied);
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    let Some(secret) = body.as_ref().and_then(|body| body.get("token")).and_then(Value::as_str) else {
        return problem(StatusCode::BAD_REQUEST, "expected a JSON object with the member `token`");
    };
    let mut given = HeaderMap::new();
    if let Ok(bearer) = HeaderValue::try_from(format!("Bearer {}", secret.trim())) {
        given.insert(header::AUTHORIZATION, bearer);
    }
    if admin.gate.load().tokens.is_empty() {
        return problem(StatusCode::BAD_REQUEST, "no tokens are set: there is nothing to log in to");
    }
    let session = allowed(&admin, &given);
    if session.is_null() {
        return refuse("/session", Denied::WrongToken);
    }
    let Some(number) = admin.sessions.open(secret.trim(), admin.engine.now().mono) else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no session could be made");
    };
    let cookie = set_cookie(&headers, &number, LIFETIME.as_secs());
    answer(&json!({ "needs_token": false, "session": session }), cookie)
}

async fn log_out(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Err(denied) = is_welcome(&admin, &headers) {
        return refuse("/session", denied);
    }
    admin.sessions.close(&headers);
    answer(
        &json!({ "needs_token": !admin.gate.load().tokens.is_empty(), "session": null }),
        set_cookie(&headers, "", 0),
    )
}

fn answer(body: &Value, cookie: String) -> Response {
    let mut response = json_response(StatusCode::OK, body);
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `Secure` where the page came over TLS, which a proxy in front of this listener speaks.
fn set_cookie(headers: &HeaderMap, number: &str, age: u64) -> String {
    let tls = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if tls { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={number}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}
