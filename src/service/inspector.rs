//! The inspector's own files, which a browser loads from the address of the API.
//!
//! They are part of the program, and nothing is loaded from elsewhere. The policy lets no other script run, no text become HTML
//! and nobody frame the page; the key that a person types is held by the page in memory alone.

use axum::http::{HeaderValue, header};

use super::answer::{Answer, text};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and text of every file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("inspector/index.html")),
    ("/inspector/inspector.css", CSS, include_str!("inspector/inspector.css")),
    ("/inspector/icon.svg", "image/svg+xml", include_str!("inspector/icon.svg")),
    ("/inspector/app.js", SCRIPT, include_str!("inspector/app.js")),
    ("/inspector/api.js", SCRIPT, include_str!("inspector/api.js")),
    ("/inspector/dom.js", SCRIPT, include_str!("inspector/dom.js")),
    ("/inspector/json.js", SCRIPT, include_str!("inspector/json.js")),
    ("/inspector/list.js", SCRIPT, include_str!("inspector/list.js")),
    ("/inspector/value.js", SCRIPT, include_str!("inspector/value.js")),
    ("/inspector/difference.js", SCRIPT, include_str!("inspector/difference.js")),
    ("/inspector/keys.js", SCRIPT, include_str!("inspector/keys.js")),
    ("/inspector/live.js", SCRIPT, include_str!("inspector/live.js")),
    ("/inspector/snapshots.js", SCRIPT, include_str!("inspector/snapshots.js")),
    ("/inspector/threads.js", SCRIPT, include_str!("inspector/threads.js")),
    ("/inspector/access.js", SCRIPT, include_str!("inspector/access.js")),
];

/// The file at a path; `None` where there is none.
pub(super) fn file(path: &str) -> Option<Answer> {
    let (_, kind, content) = FILES.iter().find(|(known, ..)| *known == path)?;
    let mut answer = text(kind, *content);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    Some(answer)
}
