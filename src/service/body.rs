//! Bodies: read within a limit, within their time, and within the room that all of them share.
//!
//! A body takes room as it arrives, not as it is announced, so that whoever announces much and sends little keeps nobody out.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};

use super::app::App;
use super::ops::too_large;
use super::refusal::{Reason, Refusal, Result};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long is waited for a body that nobody wants.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// What every body may take without asking for room, and the step in which more is asked for.
const FREE: usize = 64 * 1024;

const NO_ROOM: Reason = Reason::Busy("too many large bodies arrive at once; repeat in a moment");

/// Reads a body of JSON, never more than `limit` bytes of it; it may be empty.
///
/// # Errors
/// `TooLarge` above the limit, `Late` after 30 s, `Busy` where all bodies together take too much room, `MediaType` for another
/// format, `Invalid` where the client goes away.
pub(super) async fn read(app: &App, headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = length.filter(|length| *length > limit) {
        return Err(too_large("the body in bytes", length, limit));
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(app, body, limit)).await;
    let body = read.unwrap_or_else(|_| Err(Reason::Late("the body did not arrive within 30 s").into()))?;
    match body.is_empty() || is_json(headers) {
        true => Ok(body),
        false => Err(Reason::MediaType.into()),
    }
}

/// Reads a small body that nobody wants, so that the connection can go on; tells whether it did.
pub(super) async fn discard(body: Body) -> bool {
    if body.size_hint().lower() > FREE as u64 {
        return false;
    }
    let read = tokio::time::timeout(DISCARD_TIMEOUT, Limited::new(body, FREE).collect()).await;
    matches!(read, Ok(Ok(_)))
}

async fn collect(app: &App, mut body: Body, limit: usize) -> Result<Vec<u8>> {
    let (mut bytes, mut room) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("the body ended early"))?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(too_large("the body in bytes", length, limit));
        }
        while length > FREE * (room.len() + 1) {
            room.push(app.room_for(FREE).ok_or(NO_ROOM)?);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A body whose type is not told is taken for JSON; one of another type, such as a form's, is not.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = given.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
