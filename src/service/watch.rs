//! Watching over HTTP: changes as server-sent events, for as long as the watcher may see them.
//!
//! A watch is subscribed before its headers go out, so that who lists after that misses nothing. Every event has the id
//! `<boot>-<number>`; who comes back with the last one goes on behind it, or hears `reset`. What is told, and in which order, is
//! for `changes`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use hyper::body::Frame;

use super::answer::{Answer, text};
use super::app::{App, Place};
use super::auth::Identity;
use super::changes::{Change, Changes, Event, Last, Next, ReaderId, Scope, Stays};
use super::headers::single;
use super::json::{self, Document};
use super::refusal::Result;
use super::rest::closing;

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Tells proxies to hand every event on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How often it is looked after the watches.
const TENDED_EVERY: Duration = Duration::from_secs(1);

/// The stream of the changes in `scope`, from now on or behind the event that the header `Last-Event-ID` names. It goes on until
/// the watcher leaves, `stays` says no, or the server stops. `stays` is called about every second, where blocking is fine.
///
/// The connection gives up its place among those that are served at a time, and ends with the stream. Whoever calls this has
/// judged the request.
///
/// # Errors
/// `Busy` where too many watch, `Invalid` for a header that stands twice.
pub(super) fn answer(app: &App, parts: &Parts, scope: Scope, stays: Option<Stays>) -> Result<Answer> {
    let changes = app.keys.changes().clone();
    let last = single(&parts.headers, &LAST_EVENT)?.map_or(Last::None, |id| changes.behind(id));
    let namespace = match &scope {
        Scope::Namespace(namespace, _) => Some(namespace.clone()),
        Scope::Namespaces(_) => None,
    };
    let reader = changes.open(scope, last, stays)?;
    if let Some(place) = parts.extensions.get::<Place>() {
        place.give_up();
    }
    let stream = Stream { changes, reader, namespace };
    let mut answer = closing(text("text/event-stream", Body::new(stream)));
    answer.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(answer)
}

/// A watch's check: whether the credentials are still right. Where nobody can tell, they are not.
pub(super) fn as_long_as(app: &App, identity: &Identity) -> Stays {
    let (registry, identity) = (app.registry.clone(), identity.clone());
    Arc::new(move || registry.still_knows(&identity) == Ok(true))
}

/// Looks after the watches, as long as the runtime lives.
pub(super) async fn tend(app: Arc<App>) {
    loop {
        tokio::time::sleep(TENDED_EVERY).await;
        let tended = app.run(app.registry.waits(), |app| {
            app.keys.changes().tend();
            Ok(())
        });
        // A check that panicked is asked again.
        let _ = tended.await;
    }
}

/// What one watcher hears.
struct Stream {
    changes: Arc<Changes>,
    reader: ReaderId,
    /// The namespace that is watched; `None` = all of them.
    namespace: Option<Arc<str>>,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let next = self.changes.poll(self.reader, context.waker());
        next.map(|next| next.map(|next| Ok(Frame::data(self.shown(next)))))
    }
}

impl Stream {
    fn shown(&self, next: Next) -> Bytes {
        match next {
            Next::Event(event) => event.text(|event| shown(event, &self.changes.id(event.number))),
            Next::Sign(number) => format!(": watching\nid: {}\n\n", self.changes.id(number)).into(),
            Next::Reset(number) => reset(self.namespace.as_deref(), &self.changes.id(number)).into(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.changes.leave(self.reader);
    }
}

/// An event as it goes over the wire.
fn shown(event: &Event, id: &str) -> Vec<u8> {
    let namespace = event.namespace.as_deref();
    match &event.change {
        Change::Set(entry) => block("set", id, &json::entry(namespace.unwrap_or_default(), entry)),
        Change::Delete { key, revision } => {
            let data = Document::object().optional_text("namespace", namespace).text("key", key);
            block("delete", id, &data.number("revision", *revision).finish())
        }
        Change::Reset => reset(namespace, id),
    }
}

/// That anything may have changed.
fn reset(namespace: Option<&str>, id: &str) -> Vec<u8> {
    block("reset", id, &Document::object().optional_text("namespace", namespace).finish())
}

/// JSON text has no line breaks of its own, so it is one line of data.
fn block(name: &str, id: &str, data: &[u8]) -> Vec<u8> {
    let mut block = format!("event: {name}\nid: {id}\ndata: ").into_bytes();
    block.extend_from_slice(data);
    block.extend_from_slice(b"\n\n");
    block
}
