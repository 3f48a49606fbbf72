//! Answers that wait to be read: all large ones share one room, so that clients who ask for much and read nothing cannot fill
//! the memory.
//!
//! An answer takes its room until its last part is handed to the connection, and it is handed over in small parts. Small
//! answers ask for no room, so that they are served whatever the others do.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Answer, finished};
use super::app::App;
use super::refusal::{Reason, Refusal};
use crate::error::Error;

/// What every answer may take without asking for room, and the part that is handed over at a time.
const FREE: usize = 64 * 1024;

const NO_ROOM: Reason = Reason::Busy("too many large answers wait to be read; repeat in a moment");

/// How long is waited for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer, which holds its room until it is read; a refusal where there is none. `method` tells whether what was asked for
/// can have changed anything.
pub(super) async fn hold(app: &App, method: &Method, answer: Answer) -> Answer {
    let size = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    if size <= FREE {
        return answer;
    }
    match tokio::time::timeout(PATIENCE, app.room_for_answer(size)).await {
        Ok(Some(room)) => answer.map(|body| Body::new(Held { body, left: Bytes::new(), _room: room })),
        Ok(None) | Err(_) => finished(Err(refusal(method))),
    }
}

fn refusal(method: &Method) -> Refusal {
    match *method == Method::GET || *method == Method::HEAD {
        true => NO_ROOM.into(),
        // What it answered is lost, so the client hears that it may have happened.
        false => Error::Unavailable { what: "answers that nobody reads take all the room".to_owned() }.into(),
    }
}

/// A body that is handed over in parts.
struct Held {
    body: Body,
    /// What was taken from the body and not yet handed over.
    left: Bytes,
    /// Given back with the body.
    _room: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.left = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let part = self.left.len().min(FREE);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        self.body.size_hint().exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(left + rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_to_change_something_is_told_that_it_may_have_happened() {
        assert_eq!(refusal(&Method::GET).reason, NO_ROOM);
        assert_eq!(refusal(&Method::HEAD).reason, NO_ROOM);
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            assert!(matches!(refusal(&method).reason, Reason::Store(Error::Unavailable { .. })), "{method}");
        }
    }
}
