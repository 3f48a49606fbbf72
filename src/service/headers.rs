//! What the headers of a request say: credentials, names, and conditions on revisions.
//!
//! A header that counts stands once; what stands twice is refused, so that no proxy and server read it differently.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::ops::Precondition;
use super::refusal::{Reason, Refusal, Result};
use crate::value::Revision;

/// The credentials of a bearer, whatever the case of the scheme.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str> {
    let missing = || Reason::Unauthenticated("send Authorization: Bearer with the operator's key or a token");
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else { return Err(missing().into()) };
    let (scheme, credentials) = given.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(credentials.trim()),
        false => Err(missing().into()),
    }
}

/// A header that stands once or not at all.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>> {
    let mut given = headers.get_all(name).iter();
    let (first, second) = (given.next(), given.next());
    let text = first.map(HeaderValue::to_str).transpose().ok();
    match (text, second) {
        (Some(text), None) => Ok(text),
        _ => Err(Refusal::invalid(format!("the header {name} must stand once and hold plain characters"))),
    }
}

/// What `If-Match` and `If-None-Match` require of a write.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition> {
    let both = (single(headers, &header::IF_MATCH)?, single(headers, &header::IF_NONE_MATCH)?);
    match both {
        (None, None) => Ok(Precondition::None),
        (Some(_), Some(_)) => Err(Refusal::invalid("give either If-Match or If-None-Match")),
        (Some("*"), None) => Ok(Precondition::Present),
        (Some(tags), None) => Ok(Precondition::AnyOf(revisions(tags)?)),
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, Some(_)) => Err(Refusal::invalid("a write takes If-None-Match: * alone; for revisions use If-Match")),
    }
}

/// Whether a read's header names this revision.
pub(super) fn matches(headers: &HeaderMap, name: &HeaderName, revision: Revision) -> Result<bool> {
    match single(headers, name)? {
        None => Ok(false),
        Some("*") => Ok(true),
        Some(tags) => Ok(revisions(tags)?.contains(&revision)),
    }
}

/// The revisions of a list of ETags. A weak one never matches, and neither does one that this service never gave.
fn revisions(tags: &str) -> Result<Vec<Revision>> {
    let wrong = || Refusal::invalid("an ETag is a revision in quotes, such as \"7\"; several have commas between");
    let mut revisions = Vec::new();
    for tag in tags.split(',').map(str::trim) {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = strong.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(wrong)?;
        if strong.len() == tag.len() {
            revisions.extend(inner.parse::<Revision>().ok().filter(|revision| *revision > 0));
        }
    }
    Ok(revisions)
}
