//! REST: decodes a request, calls one operation, encodes what it answers.
//!
//! Refusals come in one order: credentials, route, names, namespace, write rule, body, conditions, type. A request is judged
//! before its body is read, and a body is counted while it arrives.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};

use super::administration::registry;
use super::answer::{Answer, document, empty, entry_answer, finished, fixed, not_modified, text};
use super::app::App;
use super::auth::{Caller, Identity};
use super::body;
use super::changes::{Scope, Stays};
use super::context::{Context, check_name};
use super::headers::{bearer, matches, precondition, single};
use super::json::{self, Document};
use super::measure::note;
use super::members::{Members, decode as decode_body};
use super::openapi::{DOCUMENT, PAGE};
use super::ops::{Address, Keys, MAX_BATCH, MAX_VALUE_BYTES, Page, Query, Step, missing, read_value};
use super::problem;
use super::publish::pages;
use super::refusal::{Reason, Refusal, Result};
use super::route::{Collection, History, ListQuery, Publishing, Route, Verb, decode};
use super::session::Session;
use super::snapshots::history;
use super::{inspection, inspector, watch};
use crate::error::Error;
use crate::key::{Namespace, Prefix};
use crate::msgpack::write_json_string;
use crate::value::Entry;

pub(super) const AGENT: HeaderName = HeaderName::from_static("x-agent-id");
pub(super) const TASK: HeaderName = HeaderName::from_static("x-source-task-id");

const SMALL_BODY: usize = 64 * 1024;
/// A full value in JSON, where each of its bytes may be an escape of six.
pub(super) const VALUE_BODY: usize = 6 * MAX_VALUE_BYTES + SMALL_BODY;
const BATCH_BODY: usize = 16 * 1024 * 1024;

/// Answers a request.
pub(super) async fn handle(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    finished(answer(app, request).await)
}

async fn answer(app: Arc<App>, request: Request<Body>) -> Result<Answer> {
    let (parts, body) = request.into_parts();
    app.check_host(&parts)?;
    if let Some(answer) = open_to_all(&app, &parts).await? {
        return Ok(answer);
    }
    if parts.uri.path() == "/metrics" {
        return app.run(app.registry.waits(), move |app| metrics(app, &parts)).await;
    }
    carry_out(app, parts, body, Ready::judge).await
}

/// Judges a request, reads its body and carries it out; `judge` tells for whom and where.
pub(super) async fn carry_out(
    app: Arc<App>,
    parts: Parts,
    body: Body,
    judge: impl FnOnce(&App, &Parts) -> Result<Ready> + Send + 'static,
) -> Result<Answer> {
    let judging_waits = app.registry.reads_wait();
    if judging_waits && matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE) && body.is_end_stream() {
        // Without a body both halves are one piece of work, and hand over to another thread once.
        return app.run(true, move |app| judge(app, &parts)?.respond(app, &parts, &[])).await;
    }
    let judged = app.run(judging_waits, move |app| Ok((judge(app, &parts)?, parts))).await;
    let (ready, parts) = match judged {
        Ok(judged) => judged,
        Err(refusal) => return Ok(refused_unread(&refusal, body).await),
    };
    let body = match body::read(&app, &parts.headers, body, ready.body_limit()).await {
        Ok(body) => body,
        Err(refusal) => return Ok(closing(problem::response(&ready.told(refusal)))),
    };
    app.run(ready.waits(&app), move |app| ready.respond(app, &parts, &body)).await
}

/// The refusal of a request whose body nobody wants. Where the body is small the connection can go on behind it.
pub(super) async fn refused_unread(refusal: &Refusal, body: Body) -> Answer {
    let response = problem::response(refusal);
    if body::discard(body).await { response } else { closing(response) }
}

/// The response, told to be the last on its connection.
pub(super) fn closing(mut response: Answer) -> Answer {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What needs no credentials.
async fn open_to_all(app: &Arc<App>, parts: &Parts) -> Result<Option<Answer>> {
    let path = parts.uri.path();
    let page = inspector::file(path);
    if page.is_none() && !matches!(path, "/healthz" | "/readyz" | "/openapi.json" | "/docs") {
        return Ok(None);
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Reason::Method("GET, HEAD").into());
    }
    if page.is_some() {
        return Ok(page);
    }
    match path {
        "/openapi.json" => return Ok(Some(fixed("application/json", &DOCUMENT))),
        "/docs" => return Ok(Some(fixed("text/html; charset=utf-8", &PAGE))),
        "/readyz" => {
            let not_ready = |_| Error::Unavailable { what: "the store does not answer".to_owned() };
            let ready = Namespace::new("ready")?;
            let probe = move |app: &App| Ok(app.keys.store().namespace(&ready).map(drop).map_err(not_ready)?);
            app.run(app.waits(), probe).await?;
        }
        _ => {}
    }
    Ok(Some(document(StatusCode::OK, Document::object().text("status", "ok"))))
}

/// The counts, for the operator alone.
fn metrics(app: &App, parts: &Parts) -> Result<Answer> {
    if !app.registry.authenticate(bearer(&parts.headers)?)?.is_operator() {
        return Err(Refusal::forbidden("/metrics takes the operator's key"));
    }
    match parts.method {
        Method::GET | Method::HEAD => Ok(text("text/plain; version=0.0.4", app.metrics.shown())),
        _ => Err(Reason::Method("GET, HEAD").into()),
    }
}

/// Who watches, and so until when.
enum Watcher {
    Caller(Identity),
    Page(Session),
}

/// A request that was judged by all but its body.
pub(super) struct Ready {
    watcher: Watcher,
    caller: Caller,
    route: Route,
    /// The namespace, named or resolved; empty where the route has none.
    namespace: String,
    /// The key, decoded; empty where the route has none.
    key: String,
}

impl Ready {
    fn judge(app: &App, parts: &Parts) -> Result<Self> {
        let identity = app.registry.authenticate(bearer(&parts.headers)?)?;
        app.take_turn(&identity)?;
        let route = Route::of(&parts.method, parts.uri.path())?;
        let caller = app.registry.caller(&identity, single(&parts.headers, &AGENT)?)?;
        note(parts, &identity, &caller);
        let resolve = |caller: &Caller| app.registry.resolve(caller, single(&parts.headers, &TASK)?);
        Self::new(Watcher::Caller(identity), route, caller, resolve)
    }

    /// A request of a page's own script: whatever namespace it names, the page's is meant, and nothing but keys is there.
    pub(super) fn of_page(route: Route, session: Session) -> Result<Self> {
        let route = match route {
            Route::Entry(_, key, verb) => Route::Entry(None, key, verb),
            Route::Entries(_, collection) => Route::Entries(None, collection),
            _ => return Err(Reason::NoRoute.into()),
        };
        let caller = Caller::page(&session.page);
        let namespace = Context::Page(&session.page).key()?;
        Self::new(Watcher::Page(session), route, caller, |_| Ok(namespace))
    }

    fn new(
        watcher: Watcher,
        route: Route,
        caller: Caller,
        resolve: impl FnOnce(&Caller) -> Result<String>,
    ) -> Result<Self> {
        let (named, key) = match &route {
            Route::Entry(named, key, _) => (Some(named.as_deref()), Some(key)),
            Route::Entries(named, _) => (Some(named.as_deref()), None),
            Route::History(History::Entry(_, named, key)) => (Some(Some(&**named)), Some(key)),
            Route::Namespaces | Route::Registry(..) | Route::Pages(_) | Route::History(_) | Route::Inspect(_) => {
                (None, None)
            }
        };
        let key = key.map_or(Ok(String::new()), |key| checked("key", key))?;
        let namespace = match named {
            None => String::new(),
            Some(Some(named)) => checked("namespace", named)?,
            Some(None) => resolve(&caller)?,
        };
        let ready = Self { watcher, caller, route, namespace, key };
        ready.check_rights().map_err(|refusal| ready.told(refusal))?;
        Ok(ready)
    }

    fn check_rights(&self) -> Result<()> {
        match &self.route {
            Route::Entry(_, _, Verb::Get)
            | Route::Entries(_, Collection::List)
            | Route::Namespaces
            | Route::Pages(Publishing::List) => self.caller.check_read(),
            Route::Pages(_) => self.caller.check_publish(),
            Route::Entry(..) | Route::Entries(_, Collection::Batch) => self.caller.check_write(&self.namespace),
            Route::Registry(..) | Route::History(_) | Route::Inspect(_) => self.caller.check_admin(),
        }
    }

    /// Whether carrying it out may wait for longer than another thread takes to begin.
    fn waits(&self, app: &App) -> bool {
        match self.route {
            Route::Entry(_, _, Verb::Get) => app.keys.store().capabilities().reads_wait,
            // A list may be long, and a page's password is hashed at length: neither holds up the others.
            Route::Entries(_, Collection::List) | Route::History(_) | Route::Inspect(_) | Route::Pages(_) => true,
            _ => app.waits() || app.registry.waits(),
        }
    }

    fn address(&self) -> Address<'_> {
        Address { namespace: &self.namespace, key: &self.key }
    }

    /// The most bytes of a body.
    fn body_limit(&self) -> usize {
        match self.route {
            Route::Entry(_, _, Verb::Put | Verb::Claim) | Route::Pages(Publishing::Make) => VALUE_BODY,
            Route::Entries(_, Collection::Batch) => BATCH_BODY,
            _ => SMALL_BODY,
        }
    }

    fn respond(&self, app: &App, parts: &Parts, body: &[u8]) -> Result<Answer> {
        let query = parts.uri.query().unwrap_or("");
        let answer = match &self.route {
            Route::Entry(_, _, verb) => entry(&app.keys, self.address(), *verb, &parts.headers, body),
            Route::Entries(_, Collection::List) => self.list(app, parts, query),
            Route::Entries(_, Collection::Batch) => batch(&app.keys, &self.namespace, body),
            Route::Namespaces => self.namespaces(app, parts, query),
            Route::History(wanted) => history(&app.keys, wanted, self.address(), query),
            Route::Pages(wanted) => pages(app, &self.caller, wanted, query, body),
            Route::Inspect(wanted) => inspection::inspect(&app.keys, *wanted, query),
            Route::Registry(table, id, change) => registry(app, *table, id.as_deref(), *change, query, body),
        };
        answer.map_err(|refusal| self.told(refusal))
    }

    /// The entries of the namespace, or its changes.
    fn list(&self, app: &App, parts: &Parts, query: &str) -> Result<Answer> {
        let list = ListQuery::read(query)?;
        if list.watch {
            let prefix = Prefix::new(&*list.query.prefix)?;
            let scope = Scope::Namespace((*self.namespace).into(), prefix.as_str().into());
            return watch::answer(app, parts, scope, Some(self.stays(app)));
        }
        self::list(&app.keys, &self.namespace, &list)
    }

    /// The namespaces, or the changes in all of them.
    fn namespaces(&self, app: &App, parts: &Parts, query: &str) -> Result<Answer> {
        let ListQuery { query, watch, .. } = ListQuery::read(query)?;
        if watch {
            self.caller.check_admin()?;
            let scope = Scope::Namespaces(Prefix::new(&*query.prefix)?.as_str().into());
            return watch::answer(app, parts, scope, Some(self.stays(app)));
        }
        self::namespaces(&app.keys, &query)
    }

    /// Whether the watcher may go on.
    fn stays(&self, app: &App) -> Stays {
        match &self.watcher {
            Watcher::Caller(identity) => watch::as_long_as(app, identity),
            Watcher::Page(session) => {
                let (pages, session) = (app.pages.clone(), session.clone());
                Arc::new(move || pages.still_open(&session) == Ok(true))
            }
        }
    }

    /// The refusal with the namespace that was named or resolved.
    fn told(&self, refusal: Refusal) -> Refusal {
        if self.namespace.is_empty() { refusal } else { refusal.within(&self.namespace) }
    }
}

/// A name of the path, decoded once and checked.
fn checked(what: &str, name: &str) -> Result<String> {
    let name = decode(name)?;
    check_name(what, &name)?;
    Ok(name)
}

fn entry(keys: &Keys, address: Address<'_>, verb: Verb, headers: &HeaderMap, body: &[u8]) -> Result<Answer> {
    match verb {
        Verb::Get => {
            let entry = keys.get(address)?.ok_or_else(|| missing(address))?;
            let is_known = matches(headers, &header::IF_NONE_MATCH, entry.revision())?;
            Ok(if is_known { not_modified(&entry) } else { entry_answer(address.namespace, &entry) })
        }
        Verb::Put => {
            let body = decode_body(body)?;
            let members = Members::of(&body)?;
            let (value, expiry) = (read_value(&members)?, keys.expiry(&members)?);
            let entry = keys.put(address, &value, expiry, &precondition(headers)?)?;
            Ok(entry_answer(address.namespace, &entry))
        }
        Verb::Delete => {
            keys.delete(address, &precondition(headers)?)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Verb::Increment => {
            let body = decode_body(if body.is_empty() { b"null" } else { body })?;
            let by = Members::of_optional(&body)?.integer("by")?.unwrap_or(1);
            let entry = keys.increment(address, by, &precondition(headers)?)?;
            Ok(entry_answer(address.namespace, &entry))
        }
        Verb::Claim => {
            let body = decode_body(body)?;
            let members = Members::of(&body)?;
            let (value, seconds) = keys.read_claim(&members)?;
            let (claimed, entry) = keys.claim(address, &value, seconds)?;
            let claim = Document::object().flag("claimed", claimed);
            Ok(document(StatusCode::OK, claim.raw("entry", &json::entry(address.namespace, &entry))))
        }
    }
}

fn list(keys: &Keys, namespace: &str, list: &ListQuery) -> Result<Answer> {
    if list.keys_only {
        let page = keys.list_keys(namespace, &list.query)?;
        return Ok(page_answer(namespace, page, |out, key| {
            out.extend(Document::object().text("namespace", namespace).text("key", &key).finish());
        }));
    }
    let page = keys.list(namespace, &list.query)?;
    Ok(page_answer(namespace, page, |out, entry: Entry| out.extend(json::entry(namespace, &entry))))
}

fn page_answer<T>(namespace: &str, page: Page<T>, write: impl FnMut(&mut Vec<u8>, T)) -> Answer {
    let page = Document::object()
        .list("entries", page.items, write)
        .optional_number("total", page.total)
        .text("namespace", namespace)
        .optional_text("nextCursor", page.next.as_deref());
    document(StatusCode::OK, page)
}

fn namespaces(keys: &Keys, query: &Query) -> Result<Answer> {
    let page = keys.namespaces(query)?;
    let names = Document::object()
        .list("namespaces", page.items, |out, name| write_json_string(out, &name))
        .optional_text("nextCursor", page.next.as_deref());
    Ok(document(StatusCode::OK, names))
}

fn batch(keys: &Keys, namespace: &str, body: &[u8]) -> Result<Answer> {
    let body = decode_body(body)?;
    let operations = Members::of(&body)?.list("operations")?;
    if !(1..=MAX_BATCH).contains(&operations.len()) {
        return Err(Refusal::invalid(format!(
            "a batch has 1 to {MAX_BATCH} operations, but this one {}",
            operations.len()
        )));
    }
    let read = |(place, operation)| -> Result<Step<'_>> {
        let members = Members::of(operation).map_err(|error| Refusal::from(error).at(place))?;
        Step::read(keys, &members).map_err(|refusal| refusal.at(place))
    };
    let steps = operations.into_iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
    let entries = keys.batch(namespace, &steps)?;
    let answer = Document::object().list("entries", entries, |out, entry: Option<Entry>| match entry {
        Some(entry) => out.extend(json::entry(namespace, &entry)),
        None => out.extend_from_slice(b"null"),
    });
    Ok(document(StatusCode::OK, answer.text("namespace", namespace)))
}
