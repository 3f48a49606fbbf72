//! Responses: JSON documents, entries with their ETag, and those without a body.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::json::{self, Document};
use super::problem;
use super::refusal::Result;
use crate::value::Entry;

/// A response.
pub(super) type Answer = Response<Body>;

/// The response to a request, with the headers that every one has.
pub(super) fn finished(answer: Result<Answer>) -> Answer {
    let mut response = answer.unwrap_or_else(|refusal| problem::response(&refusal));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON document.
pub(super) fn document(status: StatusCode, document: Document) -> Answer {
    let mut response = Response::new(Body::from(document.finish()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A text of a type.
pub(super) fn text(kind: &'static str, text: impl Into<Body>) -> Answer {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A text that is the same for everybody; no script runs in it.
pub(super) fn fixed(kind: &'static str, text: &'static str) -> Answer {
    let mut response = self::text(kind, text);
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn etag(entry: &Entry) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", entry.revision())).expect("digits and quotes are plain characters")
}

/// The entry, with its revision as ETag.
pub(super) fn entry_answer(namespace: &str, entry: &Entry) -> Answer {
    let mut response = Response::new(Body::from(json::entry(namespace, entry)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::ETAG, etag(entry));
    response
}

/// That the entry is still the one that the client has.
pub(super) fn not_modified(entry: &Entry) -> Answer {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(header::ETAG, etag(entry));
    response
}
