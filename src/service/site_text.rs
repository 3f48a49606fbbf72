//! What browsers are shown at the listener for pages: a page with the SDK in it, the form for a password, and refusals.
//!
//! Each goes out with headers that keep its scripts to this origin and to a tab of its own.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::answer::{Answer, text};
use super::problem;
use super::refusal::{Reason, Refusal};

/// What a page may do: run its own scripts and show its own pictures, and talk to nobody but its own keys.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src data: blob:; media-src data: blob:; font-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'none'";

/// What a text of ours may do.
const OWN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui;margin:20vh auto;max-width:24rem;padding:0 1rem;color-scheme:light dark}\
    input,button{font:inherit;padding:.4rem .6rem;margin:.2rem 0}[role=alert]{color:#c22}";

/// A page's HTML with the SDK before all of its scripts; with `proof` the SDK reaches the page's keys.
pub(super) fn page(html: &str, id: &str, proof: Option<&str>) -> Answer {
    let at = head_of(html);
    let proof = proof.map_or(String::new(), |proof| format!(" data-proof=\"{proof}\""));
    let sdk = format!("<script src=\"/@swarm/sdk.js\" data-page=\"{id}\"{proof}></script>");
    sent(StatusCode::OK, format!("{}{sdk}{}", &html[..at], &html[at..]), PAGE_POLICY)
}

/// The form for a page's password, below what was wrong with the last try.
pub(super) fn form(title: &str, id: &str, status: StatusCode, wrong: &str) -> Answer {
    let title = escaped(if title.is_empty() { "A page" } else { title });
    let body = format!(
        "<h1>{title}</h1><form method=post action=\"/p/{id}\"><label>Password <input type=password name=password \
         autocomplete=current-password required autofocus></label> <button>Open</button></form>{}",
        if wrong.is_empty() { String::new() } else { format!("<p role=alert>{wrong}") }
    );
    own(status, &title, &body)
}

/// A refusal, as a page.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let plain = problem::response(refusal);
    let detail = match &refusal.reason {
        Reason::NoRoute => "There is no such page.".to_owned(),
        other => problem::detail(other),
    };
    let (status, _, title) = problem::kind(&refusal.reason);
    let mut answer = own(status, title, &format!("<h1>{title}</h1><p>{}", escaped(&detail)));
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = plain.headers().get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn own(status: StatusCode, title: &str, body: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><main>{body}</main></html>"
    );
    sent(status, html, OWN_POLICY)
}

fn sent(status: StatusCode, html: String, policy: &'static str) -> Answer {
    let mut answer: Response<Body> = text("text/html; charset=utf-8", html);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    guard(headers);
    answer
}

/// The headers of every text: not kept anywhere, not framed, not read from elsewhere, and no window left that opened it.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "noopener-allow-popups"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// Where the head of a document begins: behind comments, the doctype and the tags `html` and `head`, whichever are there.
fn head_of(html: &str) -> usize {
    let mut at = usize::from(html.starts_with('\u{feff}')) * '\u{feff}'.len_utf8();
    let mut head = at;
    loop {
        let rest = &html[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let length = match trimmed.strip_prefix("<!--") {
            Some(comment) => comment.find("-->").map(|end| 4 + end + 3),
            None => tag_length(trimmed),
        };
        let Some(length) = length else { return head };
        let is_head = begins(trimmed, "<head");
        at += length;
        if !trimmed.starts_with("<!--") {
            head = at;
        }
        if is_head {
            return head;
        }
    }
}

/// The length of a doctype or of an opening tag `html` or `head`.
fn tag_length(text: &str) -> Option<usize> {
    let is_one = ["<!doctype", "<html", "<head"].iter().any(|tag| begins(text, tag));
    if !is_one {
        return None;
    }
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Whether a text begins with a tag, in any case, and not with a longer name.
fn begins(text: &str, tag: &str) -> bool {
    let bytes = text.as_bytes();
    let is_tag = bytes.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()));
    is_tag && bytes.get(tag.len()).is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_goes_to_the_beginning_of_the_head() {
        for (before, after) in [
            ("", ""),
            ("", "<p>plain"),
            ("<!doctype html>", "<p>plain"),
            ("<!DOCTYPE html>\n<!-- a <head> -->\n<html lang=\"a>b\"><HEAD>", "<title>t</title>"),
            ("<!doctype html><html>", "<body>"),
            ("<html><head>", "<script>1</script>"),
            ("\u{feff}<head data-a='>'>", "x"),
            ("", "<header>no head</header>"),
            ("", "<!-- never closed"),
            ("", "<html never closed"),
        ] {
            assert_eq!(head_of(&format!("{before}{after}")), before.len(), "{before}|{after}");
        }
    }

    #[test]
    fn a_title_is_text_in_the_form() {
        assert_eq!(escaped("<b>\"&"), "&lt;b&gt;&quot;&amp;");
    }
}
