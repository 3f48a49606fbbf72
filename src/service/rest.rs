//! REST: decodes a request, calls one operation, encodes what it answers.
//!
//! Refusals come in one order: credentials, route, names, namespace, write rule, body, conditions, type. A request is judged
//! before its body is read, and a body is counted while it arrives.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::app::App;
use super::auth::{Agent, Caller, Scopes, Task};
use super::context::check_name;
use super::json::{self, Document};
use super::members::{Members, decode as decode_body, text};
use super::ops::{Address, Keys, MAX_BATCH, MAX_VALUE_BYTES, Page, Precondition, Step, missing, null, read_value, too_large};
use super::problem;
use super::refusal::{Reason, Refusal, Result};
use super::route::{Change, Collection, ListQuery, Route, Table, Verb, decode};
use crate::key::Namespace;
use crate::value::{Entry, Revision};

const AGENT: HeaderName = HeaderName::from_static("x-agent-id");
const TASK: HeaderName = HeaderName::from_static("x-source-task-id");

const SMALL_BODY: usize = 64 * 1024;
/// A full value in JSON, where each of its bytes may be an escape of six.
const VALUE_BODY: usize = 6 * MAX_VALUE_BYTES + SMALL_BODY;
const BATCH_BODY: usize = 16 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

type Answer = Response<Body>;

/// Answers a request.
pub(super) async fn handle(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let answer = answer(app, request).await;
    let mut response = answer.unwrap_or_else(|refusal| problem::response(&refusal));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

async fn answer(app: Arc<App>, request: Request<Body>) -> Result<Answer> {
    let (parts, body) = request.into_parts();
    app.check_host(&parts)?;
    if let Some(answer) = health(&app, &parts).await? {
        return Ok(answer);
    }
    let (ready, parts) = app.run(app.registry.waits(), move |app| Ready::judge(app, &parts).map(|ready| (ready, parts))).await?;
    let namespace = ready.namespace.clone();
    let answered = respond(app, ready, parts, body).await;
    answered.map_err(|refusal| if namespace.is_empty() { refusal } else { refusal.within(&namespace) })
}

/// What needs no credentials.
async fn health(app: &Arc<App>, parts: &Parts) -> Result<Option<Answer>> {
    let path = parts.uri.path();
    if path != "/healthz" && path != "/readyz" {
        return Ok(None);
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Reason::Method("GET, HEAD").into());
    }
    if path == "/readyz" {
        let probe = |app: &App| Ok(app.keys.store().namespace(&Namespace::new("ready")?).map(drop)?);
        app.run(app.waits(), probe).await?;
    }
    Ok(Some(document(StatusCode::OK, Document::object().text("status", "ok"))))
}

/// A request that was judged by all but its body.
struct Ready {
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
        let route = Route::of(&parts.method, parts.uri.path())?;
        let caller = app.registry.caller(identity, single(&parts.headers, &AGENT)?)?;
        let (named, key) = match &route {
            Route::Entry(named, key, _) => (Some(named), decode(key)?),
            Route::Entries(named, _) => (Some(named), String::new()),
            Route::Namespaces | Route::Registry(..) => (None, String::new()),
        };
        if matches!(route, Route::Entry(..)) {
            check_name("key", &key)?;
        }
        let namespace = match named {
            None => String::new(),
            Some(Some(named)) => decode(named)?,
            Some(None) => app.registry.resolve(&caller, single(&parts.headers, &TASK)?)?,
        };
        if named.is_some() {
            check_name("namespace", &namespace)?;
        }
        let ready = Self { caller, route, namespace, key };
        ready.check_rights().map_err(|refusal| refusal.within(&ready.namespace))?;
        Ok(ready)
    }

    fn check_rights(&self) -> Result<()> {
        match &self.route {
            Route::Entry(_, _, Verb::Get) | Route::Entries(_, Collection::List) | Route::Namespaces => {
                self.caller.check_read()
            }
            Route::Entry(..) | Route::Entries(_, Collection::Batch) => self.caller.check_write(&self.namespace),
            Route::Registry(..) => self.caller.check_admin(),
        }
    }

    fn address(&self) -> Address<'_> {
        Address { namespace: &self.namespace, key: &self.key }
    }

    /// The most bytes of a body; `None` where none is read.
    fn body_limit(&self) -> Option<usize> {
        match self.route {
            Route::Entry(_, _, Verb::Put | Verb::Claim) => Some(VALUE_BODY),
            Route::Entries(_, Collection::Batch) => Some(BATCH_BODY),
            Route::Entry(_, _, Verb::Increment) | Route::Registry(_, _, Change::Make) => Some(SMALL_BODY),
            _ => None,
        }
    }
}

async fn respond(app: Arc<App>, ready: Ready, parts: Parts, body: Body) -> Result<Answer> {
    let body = match ready.body_limit() {
        Some(limit) => read_body(&app, &parts.headers, body, limit).await?,
        None => Vec::new(),
    };
    app.run(app.waits(), move |app| match &ready.route {
        Route::Entry(_, _, verb) => entry(&app.keys, &ready, *verb, &parts.headers, &body),
        Route::Entries(_, Collection::List) => list(&app.keys, &ready.namespace, parts.uri.query().unwrap_or("")),
        Route::Entries(_, Collection::Batch) => batch(&app.keys, &ready.namespace, &body),
        Route::Namespaces => namespaces(&app.keys, parts.uri.query().unwrap_or("")),
        Route::Registry(table, id, change) => registry(app, *table, id.as_deref(), *change, &body),
    })
    .await
}

fn entry(keys: &Keys, ready: &Ready, verb: Verb, headers: &HeaderMap, body: &[u8]) -> Result<Answer> {
    let address = ready.address();
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
            let body = decode_body(if body.is_empty() { b"{}" } else { body })?;
            let by = Members::of(&body)?.integer("by")?.unwrap_or(1);
            let entry = keys.increment(address, by, &precondition(headers)?)?;
            Ok(entry_answer(address.namespace, &entry))
        }
        Verb::Claim => {
            let body = decode_body(body)?;
            let members = Members::of(&body)?;
            let seconds = keys.duration(&members, "seconds")?;
            let seconds = seconds.ok_or_else(|| Refusal::invalid("\"seconds\" is missing: how long the claim holds"))?;
            let value = if members.raw("value").is_some() { read_value(&members)? } else { null() };
            let (claimed, entry) = keys.claim(address, &value, seconds)?;
            let claim = Document::object().flag("claimed", claimed);
            Ok(document(StatusCode::OK, claim.raw("entry", &json::entry(address.namespace, &entry))))
        }
    }
}

fn list(keys: &Keys, namespace: &str, query: &str) -> Result<Answer> {
    let list = ListQuery::read(query)?;
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

fn namespaces(keys: &Keys, query: &str) -> Result<Answer> {
    let page = keys.namespaces(&ListQuery::read(query)?.query)?;
    let names = Document::object()
        .list("namespaces", page.items, |out, name| crate::msgpack::write_json_string(out, &name))
        .optional_text("nextCursor", page.next.as_deref());
    Ok(document(StatusCode::OK, names))
}

fn batch(keys: &Keys, namespace: &str, body: &[u8]) -> Result<Answer> {
    let body = decode_body(body)?;
    let operations = Members::of(&body)?.list("operations")?;
    if !(1..=MAX_BATCH).contains(&operations.len()) {
        return Err(Refusal::invalid(format!("a batch has 1 to {MAX_BATCH} operations, but this one {}", operations.len())));
    }
    let read = |(place, operation): (usize, &&[u8])| -> Result<Step<'_>> {
        let members = Members::of(operation).map_err(|error| Refusal::from(error).at(place))?;
        Step::read(keys, &members).map_err(|refusal| refusal.at(place))
    };
    let steps = operations.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
    let entries = keys.batch(namespace, &steps)?;
    let answer = Document::object().list("entries", entries, |out, entry: Option<Entry>| match entry {
        Some(entry) => out.extend(json::entry(namespace, &entry)),
        None => out.extend_from_slice(b"null"),
    });
    Ok(document(StatusCode::OK, answer.text("namespace", namespace)))
}

fn registry(app: &App, table: Table, id: Option<&str>, change: Change, body: &[u8]) -> Result<Answer> {
    match (change, table, id) {
        (Change::Remove, table, id) => {
            let id = decode(id.unwrap_or_default())?;
            match table {
                Table::Agents => app.registry.remove_agent(&id),
                Table::Tasks => app.registry.remove_task(&id),
                Table::Tokens => app.registry.remove_token(&id),
            }?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (Change::List, Table::Agents, _) => listed("agents", app.registry.agents()?, |id, agent| agent_document(id, &agent)),
        (Change::List, Table::Tasks, _) => listed("tasks", app.registry.tasks()?, |id, task| task_document(id, &task)),
        (Change::List, Table::Tokens, _) => listed("tokens", app.registry.tokens()?, |id, token| {
            token_document(id, &token.agent_id, token.scopes, token.expires_at)
        }),
        (Change::Make, table, _) => {
            let body = decode_body(body)?;
            let members = Members::of(&body)?;
            let made = match table {
                Table::Agents => make_agent(app, &members),
                Table::Tasks => make_task(app, &members),
                Table::Tokens => make_token(app, &members),
            }?;
            Ok(document(StatusCode::CREATED, made))
        }
    }
}

fn listed<T>(name: &str, rows: Vec<(String, T)>, shown: impl Fn(&str, T) -> Document) -> Result<Answer> {
    let list = Document::object().list(name, rows, |out, (id, row)| out.extend(shown(&id, row).finish()));
    Ok(document(StatusCode::OK, list))
}

fn make_agent(app: &App, members: &Members<'_>) -> Result<Document> {
    let id = members.required_text("id")?;
    let capabilities = members.raw("capabilities").map(|_| texts(members, "capabilities")).transpose()?;
    let agent = Agent {
        lead: members.flag("lead")?.unwrap_or(false),
        capabilities: capabilities.map(|names| names.into_iter().map(str::to_owned).collect()),
    };
    app.registry.put_agent(id, &agent)?;
    Ok(agent_document(id, &agent))
}

fn make_task(app: &App, members: &Members<'_>) -> Result<Document> {
    let owned = |name| Ok::<_, Refusal>(members.text(name)?.map(str::to_owned));
    let task = Task { context_key: owned("contextKey")?, agent_id: owned("agentId")? };
    let id = app.registry.put_task(members.text("id")?, &task)?;
    Ok(task_document(&id, &task))
}

fn make_token(app: &App, members: &Members<'_>) -> Result<Document> {
    let agent = members.required_text("agentId")?;
    let scopes = Scopes::from_names(texts(members, "scopes")?)?;
    let (id, secret, token) = app.registry.make_token(agent, scopes, app.keys.duration(members, "expiresInSec")?)?;
    Ok(token_document(&id, agent, token.scopes, token.expires_at).text("token", &secret))
}

fn texts<'a>(members: &Members<'a>, name: &str) -> Result<Vec<&'a str>> {
    let wrong = || Refusal::invalid(format!("{name:?} must be a list of strings"));
    members.list(name)?.into_iter().map(|item| text(item).ok_or_else(wrong)).collect()
}

fn write_text(out: &mut Vec<u8>, text: impl AsRef<str>) {
    crate::msgpack::write_json_string(out, text.as_ref());
}

fn agent_document(id: &str, agent: &Agent) -> Document {
    let document = Document::object().text("id", id).flag("lead", agent.lead);
    match &agent.capabilities {
        Some(names) => document.list("capabilities", names, write_text),
        None => document.raw("capabilities", b"null"),
    }
}

fn task_document(id: &str, task: &Task) -> Document {
    Document::object()
        .text("id", id)
        .optional_text("contextKey", task.context_key.as_deref())
        .optional_text("agentId", task.agent_id.as_deref())
}

fn token_document(id: &str, agent: &str, scopes: Scopes, expires_at: Option<i64>) -> Document {
    Document::object()
        .text("id", id)
        .text("agentId", agent)
        .list("scopes", scopes.names(), write_text)
        .optional_number("expiresAt", expires_at)
}

/// The credentials of a bearer, whatever the case of the scheme.
fn bearer(headers: &HeaderMap) -> Result<&str> {
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
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>> {
    let mut given = headers.get_all(name).iter();
    let (first, second) = (given.next(), given.next());
    let text = first.map(HeaderValue::to_str).transpose().ok();
    match (text, second) {
        (Some(text), None) => Ok(text),
        _ => Err(Refusal::invalid(format!("the header {name} must stand once and hold plain characters"))),
    }
}

/// What `If-Match` and `If-None-Match` require of a write.
fn precondition(headers: &HeaderMap) -> Result<Precondition> {
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
fn matches(headers: &HeaderMap, name: &HeaderName, revision: Revision) -> Result<bool> {
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

/// Reads a body, never more than `limit` of it.
async fn read_body(app: &App, headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = length.filter(|length| *length > limit) {
        return Err(too_large("the body in bytes", length, limit));
    }
    let collect = async {
        let _room = app.room_for(length.unwrap_or(limit)).await;
        Limited::new(body, limit).collect().await
    };
    let collected = tokio::time::timeout(BODY_TIMEOUT, collect).await;
    let body = match collected {
        Err(_) => return Err(Reason::Late("the body did not arrive within 30 s").into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large("the body in bytes", limit + 1, limit)),
        Ok(Err(_)) => return Err(Refusal::invalid("the body ended early")),
        Ok(Ok(body)) => body.to_bytes().to_vec(),
    };
    match is_json(headers) || body.is_empty() {
        true => Ok(body),
        false => Err(Reason::MediaType.into()),
    }
}

/// A body whose type is not told is taken for JSON; one of another type, such as a form's, is not.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = given.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn document(status: StatusCode, document: Document) -> Answer {
    let mut response = Response::new(Body::from(document.finish()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn etag(entry: &Entry) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", entry.revision())).expect("digits and quotes are plain characters")
}

fn entry_answer(namespace: &str, entry: &Entry) -> Answer {
    let mut response = Response::new(Body::from(json::entry(namespace, entry)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::ETAG, etag(entry));
    response
}

fn not_modified(entry: &Entry) -> Answer {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(header::ETAG, etag(entry));
    response
}
