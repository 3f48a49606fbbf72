//! Refusals: what each door says of them, and how they look as `application/problem+json`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::json::Document;
use super::refusal::{Reason, Refusal};
use crate::error::Error;

/// Status, code and title of a refusal.
pub(super) fn kind(reason: &Reason) -> (StatusCode, &'static str, &'static str) {
    match reason {
        Reason::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
        Reason::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Reason::NoRoute => (StatusCode::NOT_FOUND, "no_route", "No such route"),
        Reason::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
        Reason::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected", "Another server's name"),
        Reason::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "Not JSON"),
        Reason::Late(_) => (StatusCode::REQUEST_TIMEOUT, "timeout", "Too slow"),
        Reason::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
        Reason::Often => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
        Reason::Store(error) => store_kind(error),
    }
}

fn store_kind(error: &Error) -> (StatusCode, &'static str, &'static str) {
    match error {
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found", "Not found"),
        Error::Conflict(_) => (StatusCode::PRECONDITION_FAILED, "conflict", "Conflict"),
        Error::WrongType { .. } => (StatusCode::CONFLICT, "wrong_type", "Wrong type"),
        Error::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid", "Invalid request"),
        Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large"),
        Error::Unsupported { .. } => (StatusCode::NOT_IMPLEMENTED, "unsupported", "Not supported"),
        Error::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt", "Damaged data"),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available"),
    }
}

/// What a client is told: the store's own words, but nothing of files and servers behind it.
pub(super) fn detail(reason: &Reason) -> String {
    match reason {
        Reason::Store(Error::Corrupt { .. }) => "stored data is damaged; tell whoever runs the service".to_owned(),
        Reason::Store(Error::Unavailable { .. }) => {
            "the store does not answer; the write may have happened: repeat it under a revision".to_owned()
        }
        other => other.to_string(),
    }
}

/// Adds what a program reads of a refusal: its code, and what it concerns.
pub(super) fn facts(document: Document, refusal: &Refusal) -> Document {
    let (_, code, _) = kind(&refusal.reason);
    let mut document = document.text("code", code);
    if let Reason::Store(Error::Conflict(conflict)) = &refusal.reason {
        document = document.number("revision", conflict.actual);
    }
    if let Some(namespace) = &refusal.namespace {
        document = document.text("namespace", namespace);
    }
    if let Some(place) = refusal.operation {
        document = document.number("operation", place as u64);
    }
    document
}

/// The response.
pub(super) fn response(refusal: &Refusal) -> Response<Body> {
    let (status, _, title) = kind(&refusal.reason);
    let detail = detail(&refusal.reason);
    let document = Document::object()
        .text("type", "about:blank")
        .text("title", title)
        .number("status", status.as_u16())
        .text("detail", &detail)
        .text("error", &detail);
    let mut response = Response::new(Body::from(facts(document, refusal).finish()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match refusal.reason {
        Reason::Unauthenticated(_) => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"swarmstate\""));
        }
        Reason::Method(allowed) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        Reason::Busy(_) | Reason::Often => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}
