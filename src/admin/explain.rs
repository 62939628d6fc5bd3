//! `POST /explain`: what would be done with a request, and why. Who only looks may ask; nothing changes by it.

use super::purge_request::Members;
use super::{Admin, json_response, problem};
use crate::engine::explain::Question;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// Header fields of one question: as many as a listener takes by default.
const MOST_FIELDS: usize = 100;

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: expected {expected}")]
struct Wrong {
    /// `url`, `headers.x`, or `body`.
    member: String,
    expected: String,
}

fn wrong(member: impl Into<String>, expected: impl Into<String>) -> Wrong {
    Wrong { member: member.into(), expected: expected.into() }
}

pub async fn explain(State(admin): State<Arc<Admin>>, body: Result<Bytes, BytesRejection>) -> Response {
    let question = match body {
        Ok(body) => parse(&body),
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    match question {
        Ok(question) => {
            let explained = admin.engine.explain(question, &admin.normaliser).await;
            match serde_json::to_value(&explained) {
                Ok(body) => json_response(StatusCode::OK, &body),
                Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the explanation could not be written"),
            }
        }
        Err(why) => {
            let body = json!({ "error": why.to_string(), "member": why.member, "expected": why.expected });
            json_response(StatusCode::BAD_REQUEST, &body)
        }
    }
}

const MEMBERS: &str = "`url`, `method` and `headers`";

fn parse(body: &[u8]) -> Result<Question, Wrong> {
    let Members(members) = serde_json::from_slice(body)
        .map_err(|error| wrong("body", format!("a JSON object with {MEMBERS} ({error})")))?;
    let (mut url, mut method, mut headers) = (None, None, None);
    for (name, value) in &members {
        let given = match name.as_str() {
            "url" => url.replace(value),
            "method" => method.replace(value),
            "headers" => headers.replace(value),
            _ => return Err(wrong(name.chars().take(100).collect::<String>(), MEMBERS)),
        };
        if given.is_some() {
            return Err(wrong(name, "only one member of this name"));
        }
    }
    let url = url.and_then(Value::as_str).ok_or_else(|| wrong("url", "a URL with scheme and host"))?;
    let (tls, authority, target) = parts(url)?;
    let method = match method {
        None => Method::GET,
        Some(text) => text
            .as_str()
            .and_then(|text| Method::from_bytes(text.as_bytes()).ok())
            .ok_or_else(|| wrong("method", "a method, as GET"))?,
    };
    let headers = headers.map(fields).transpose()?.unwrap_or_default();
    Ok(Question { method, tls, authority, target, headers })
}

/// Whether it is https, the authority, and path and query as they would be sent.
fn parts(url: &str) -> Result<(bool, String, String), Wrong> {
    let expected = |what: &str| wrong("url", what);
    if url.contains('#') {
        return Err(expected("a URL without a fragment: what follows the # never reaches a server"));
    }
    let scheme_and_host = || expected("a URL with scheme and host, as http://shop.example.com/path");
    let uri: Uri = url.parse().map_err(|_| match url.is_ascii() {
        true => scheme_and_host(),
        false => expected("a URL whose characters beyond ASCII are percent-encoded"),
    })?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(scheme_and_host()),
    };
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(scheme_and_host)?.as_str();
    if authority.contains('@') {
        return Err(expected("a URL without user and password; send `Authorization` among the headers"));
    }
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // `http://h?x` asks for `/?x`.
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok((tls, authority.to_owned(), target))
}

/// `{"Accept": "text/html", "Cookie": ["a=1", "b=2"]}`
fn fields(given: &Value) -> Result<HeaderMap, Wrong> {
    let given = given.as_object().ok_or_else(|| wrong("headers", "an object of names and values"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let member = || format!("headers.{}", name.chars().take(100).collect::<String>());
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong(member(), "a name that a header field can have"))?;
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let value = value.as_str().and_then(|text| HeaderValue::from_str(text.trim()).ok());
            let value =
                value.ok_or_else(|| wrong(member(), "a string that a header field can have, or a list"))?;
            if headers.len() >= MOST_FIELDS {
                return Err(wrong("headers", format!("at most {MOST_FIELDS} fields")));
            }
            headers.append(key.clone(), value);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_with_its_defaults() {
        let question = parse(br#"{"url":"https://Shop.example:8443/a%2f?b=1"}"#).unwrap();
        assert_eq!((question.method, question.tls), (Method::GET, true));
        assert_eq!(
            (question.authority.as_str(), question.target.as_str()),
            ("Shop.example:8443", "/a%2f?b=1")
        );
        let all = br#"{"method":"POST","headers":{"Accept":"x","cookie":["a=1","b=2"]},"url":"http://h?x"}"#;
        let question = parse(all).unwrap();
        assert_eq!((question.method, question.target.as_str()), (Method::POST, "/?x"));
        assert_eq!(question.headers.get_all("cookie").iter().count(), 2);
        assert_eq!(parse(br#"{"url":"http://[::1]:80"}"#).unwrap().authority, "[::1]:80");
    }

    #[test]
    fn whatever_is_not_understood_is_named() {
        let many = format!(r#"{{"url":"http://h/","headers":{{"a":[{}]}}}}"#, vec!["\"x\""; 101].join(","));
        for (body, member) in [
            ("", "body"),
            ("[]", "body"),
            ("{}", "url"),
            (r#"{"url":1}"#, "url"),
            (r#"{"url":"/x"}"#, "url"),
            (r#"{"url":"h/x"}"#, "url"),
            (r#"{"url":"ftp://h/x"}"#, "url"),
            (r#"{"url":"http:///x"}"#, "url"),
            (r#"{"url":"http://h/x#y"}"#, "url"),
            (r#"{"url":"http://u:p@h/x"}"#, "url"),
            (r#"{"url":"http://h/a b"}"#, "url"),
            (r#"{"url":"http://h/","url":"http://h/"}"#, "url"),
            (r#"{"url":"http://h/","uri":"x"}"#, "uri"),
            (r#"{"url":"http://h/","method":"G T"}"#, "method"),
            (r#"{"url":"http://h/","method":null}"#, "method"),
            (r#"{"url":"http://h/","headers":[]}"#, "headers"),
            (r#"{"url":"http://h/","headers":{"a b":"x"}}"#, "headers.a b"),
            (r#"{"url":"http://h/","headers":{"a":1}}"#, "headers.a"),
            (r#"{"url":"http://h/","headers":{"a":"x\r\ny: z"}}"#, "headers.a"),
            (many.as_str(), "headers"),
        ] {
            assert_eq!(parse(body.as_bytes()).expect_err(body).member, member, "{body}");
        }
    }
}
