//! Pages over REST: agents make them, list them, let browsers in and remove them.
//!
//! An agent manages what it made, leads and admins everything. A page that goes takes along what it remembers.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::administration::listed;
use super::answer::{document, empty};
use super::app::App;
use super::auth::Caller;
use super::context::Context;
use super::json::Document;
use super::members::{Members, decode as decode_body};
use super::ops::{MAX_VALUE_BYTES, decode_cursor, too_large};
use super::pages::{Access, WebPage};
use super::refusal::{Refusal, Result};
use super::route::{ListQuery, Publishing, decode};
use super::session::{SESSION, Session};
use crate::error::Error;

/// Carries out what a request wants of the pages.
pub(super) fn pages(
    app: &App,
    caller: &Caller,
    wanted: &Publishing,
    query: &str,
    body: &[u8],
) -> Result<Response<Body>> {
    match wanted {
        Publishing::List => list(app, caller, query),
        Publishing::Make => make(app, caller, body),
        Publishing::Remove(id) => remove(app, &managed(app, caller, id)?.0),
        Publishing::Launch(id) => {
            let (id, page) = managed(app, caller, id)?;
            launch(app, &id, &page)
        }
    }
}

/// A page that the caller may launch and remove, with its id.
fn managed(app: &App, caller: &Caller, id: &str) -> Result<(String, WebPage)> {
    let id = decode(id)?;
    let page = app.pages.get(&id)?;
    match caller.may_manage(page.agent_id.as_deref()) {
        true => Ok((id, page)),
        false => Err(Refusal::forbidden("only the agent that made a page, leads and admins launch and remove it")),
    }
}

/// A page of those that the caller manages.
fn list(app: &App, caller: &Caller, query: &str) -> Result<Response<Body>> {
    let query = ListQuery::read(query)?.query;
    let (mut after, mut rows) = (decode_cursor(query.cursor.as_deref())?, Vec::new());
    loop {
        let wanted = query.limit + 1 - rows.len();
        let read = app.pages.list(after.as_deref(), wanted)?;
        let is_last = read.len() < wanted;
        after = read.last().map(|(id, _)| id.clone());
        rows.extend(read.into_iter().filter(|(_, page)| caller.may_manage(page.agent_id.as_deref())));
        if is_last || rows.len() > query.limit {
            return listed("pages", query.limit, rows, |id, page| shown(app, id, &page));
        }
    }
}

fn make(app: &App, caller: &Caller, body: &[u8]) -> Result<Response<Body>> {
    base(app)?;
    let body = decode_body(body)?;
    let members = Members::of(&body)?;
    let (html, title) = (members.required_text("html")?, members.text("title")?.unwrap_or(""));
    if html.len() > MAX_VALUE_BYTES {
        return Err(too_large("the page in bytes", html.len(), MAX_VALUE_BYTES));
    }
    let access = Access::of(members.required_text("authMode")?, members.text("password")?)?;
    let (id, page) = app.pages.make(html, title, access, caller.agent.as_deref())?;
    Ok(document(StatusCode::CREATED, shown(app, &id, &page)))
}

/// Removes a page. What a request under way wrote meanwhile goes too.
fn remove(app: &App, id: &str) -> Result<Response<Body>> {
    let namespace = Context::Page(id).key()?;
    app.keys.clear(&namespace)?;
    app.pages.remove(id)?;
    app.keys.clear(&namespace)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Lets one browser in by the URL, and whoever asks by the cookie.
fn launch(app: &App, id: &str, page: &WebPage) -> Result<Response<Body>> {
    let url = format!("{}/p/{id}", base(app)?);
    if page.access == Access::Public {
        return Ok(document(StatusCode::OK, Document::object().text("url", &url)));
    }
    let cookie = cookie(app, &app.pages.session(id))?;
    let answer = Document::object().text("url", &format!("{url}?code={}", app.pages.code(id)?));
    let mut answer = document(StatusCode::OK, answer);
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(answer)
}

fn base(app: &App) -> Result<&str> {
    let missing = || Error::unsupported("this server has no listener for pages; start it with --pages-port");
    Ok(app.pages_url.as_deref().ok_or_else(missing)?)
}

fn shown(app: &App, id: &str, page: &WebPage) -> Document {
    Document::object()
        .text("id", id)
        .text("title", &page.title)
        .text("authMode", page.access.name())
        .optional_text("agentId", page.agent_id.as_deref())
        .number("createdAt", page.created_at)
        .optional_text("url", app.pages_url.as_ref().map(|base| format!("{base}/p/{id}")).as_deref())
}

/// What the cookie of a page is called; a browser takes the longer name from this host alone, over TLS.
pub(super) fn cookie_name(app: &App, page: &str) -> String {
    let prefix = if is_secure(app) { "__Host-" } else { "" };
    format!("{prefix}swarm_page_{page}")
}

/// The header that gives a browser a session. No script reads the cookie, and no other site's request carries it.
pub(super) fn cookie(app: &App, session: &Session) -> Result<HeaderValue> {
    let name = cookie_name(app, &session.page);
    let value = app.pages.key()?.cookie(session);
    let secure = if is_secure(app) { "; Secure" } else { "" };
    let seconds = SESSION.as_secs();
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).map_err(|_| Error::corrupt("a cookie of a page").into())
}

fn is_secure(app: &App) -> bool {
    app.pages_url.as_deref().is_some_and(|url| url.starts_with("https:"))
}
