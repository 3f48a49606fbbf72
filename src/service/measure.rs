//! What is kept of every request, whichever door it came to: a count for `/metrics`, and a line of the access log where one is
//! wanted.
//!
//! Neither holds a value, a key, a namespace or a secret. A line names the operation instead of the path, and the credentials
//! by their id.

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;

use super::answer::{Answer, finished};
use super::app::App;
use super::auth::{Caller, Identity};
use super::route::Route;
use super::unread::hold;

/// Who asks, which is known once a door has judged the request.
#[derive(Clone, Default)]
struct Asking(Arc<OnceLock<(String, Option<String>)>>);

/// Notes who asks, for the access log.
pub(super) fn note(parts: &Parts, identity: &Identity, caller: &Caller) {
    if let Some(asking) = parts.extensions.get::<Asking>() {
        let _ = asking.0.set((identity.name().to_owned(), caller.agent.clone()));
    }
}

/// Answers a request by `next`, and measures it.
pub(super) async fn measure(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Answer {
    let started = Instant::now();
    let operation = operation(request.method(), request.uri().path());
    let asking = app.has_access_log.then(Asking::default);
    if let Some(asking) = &asking {
        request.extensions_mut().insert(asking.clone());
    }
    let response = answered(&app, operation, request, next).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.count(operation, status, took);
    if let Some(asking) = asking {
        let at = app.keys.now().as_millis();
        // A log that nobody takes is no reason to refuse anything.
        let _ = std::io::stderr().lock().write_all(line(at, operation, status, took, &asking).as_bytes());
    }
    response
}

/// Answers a request by `next`. One that may read much has its turn first, and keeps it until its answer has room.
async fn answered(app: &App, operation: &str, request: Request<Body>, next: Next) -> Answer {
    let method = request.method().clone();
    let turn = match operation {
        "inspect" | "list" | "snapshots" if method == Method::GET || method == Method::HEAD => match app.turn().await {
            Ok(turn) => Some(turn),
            Err(busy) => return finished(Err(busy)),
        },
        _ => None,
    };
    let answer = hold(app, &method, next.run(request).await).await;
    drop(turn);
    answer
}

/// What the operation of a request is called where it is counted.
fn operation(method: &Method, path: &str) -> &'static str {
    let path = path.strip_prefix("/@swarm").unwrap_or(path);
    match path {
        "/mcp" => "mcp",
        "/sdk.js" => "sdk",
        _ if path.starts_with("/p/") => "page",
        _ => Route::of(method, path).map_or("other", |route| route.name()),
    }
}

/// A line of the access log. Nothing in it can hold a blank or the end of a line.
fn line(at: i64, operation: &str, status: u16, took: Duration, asking: &Asking) -> String {
    let (credentials, agent) = match asking.0.get() {
        Some((credentials, agent)) => (credentials.as_str(), agent.as_deref().unwrap_or("-")),
        None => ("-", "-"),
    };
    let micros = took.as_micros();
    format!("at={at} operation={operation} status={status} micros={micros} credentials={credentials} agent={agent}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_operation_and_who_asked() {
        let asking = Asking::default();
        let unknown = line(7, "get", 401, Duration::from_micros(12), &asking);
        let _ = asking.0.set(("0123456789abcdef".to_owned(), Some("bob".to_owned())));
        let known = line(7, "get", 200, Duration::from_micros(12), &asking);

        assert_eq!(unknown, "at=7 operation=get status=401 micros=12 credentials=- agent=-\n");
        assert_eq!(known, "at=7 operation=get status=200 micros=12 credentials=0123456789abcdef agent=bob\n");
    }

    #[test]
    fn an_operation_is_named_by_what_it_does_and_never_by_what_it_is_done_to() {
        let named = |method, path| operation(&method, path);

        assert_eq!(named(Method::GET, "/api/kv/_/secret/key"), "get");
        assert_eq!(named(Method::POST, "/mcp"), "mcp");
        assert_eq!(named(Method::GET, "/@swarm/api/kv/secret"), "get");
        assert_eq!(named(Method::GET, "/p/secret"), "page");
        assert_eq!(named(Method::GET, "/secret"), "other");
    }
}
