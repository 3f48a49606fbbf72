//! The registry over REST: agents, tasks and tokens, listed, made and removed.
//!
//! Whoever comes here has the scope `admin`; a token's secret is in the answer that makes it, and nowhere else.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::answer::{document, empty};
use super::app::App;
use super::auth::{Agent, Scopes, Task};
use super::json::{Document, write_text};
use super::members::{Members, decode as decode_body, text};
use super::ops::{decode_cursor, encode_cursor};
use super::refusal::{Refusal, Result};
use super::route::{Change, ListQuery, Table, decode};

/// Carries out what a request wants of a table.
pub(super) fn registry(
    app: &App,
    table: Table,
    id: Option<&str>,
    change: Change,
    query: &str,
    body: &[u8],
) -> Result<Response<Body>> {
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
        (Change::List, table, _) => list(app, table, query),
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

fn list(app: &App, table: Table, query: &str) -> Result<Response<Body>> {
    let query = ListQuery::read(query)?.query;
    let (after, limit) = (decode_cursor(query.cursor.as_deref())?, query.limit);
    let (after, wanted) = (after.as_deref(), limit + 1);
    match table {
        Table::Agents => {
            listed("agents", limit, app.registry.agents(after, wanted)?, |id, agent| agent_document(id, &agent))
        }
        Table::Tasks => listed("tasks", limit, app.registry.tasks(after, wanted)?, |id, task| task_document(id, &task)),
        Table::Tokens => listed("tokens", limit, app.registry.tokens(after, wanted)?, |id, token| {
            token_document(id, &token.agent_id, token.scopes, token.expires_at)
        }),
    }
}

/// A page of rows that were read by one more than it shows.
fn listed<T>(
    name: &str,
    limit: usize,
    mut rows: Vec<(String, T)>,
    shown: impl Fn(&str, T) -> Document,
) -> Result<Response<Body>> {
    let is_last = rows.len() <= limit;
    rows.truncate(limit);
    let next = if is_last { None } else { rows.last().map(|(id, _)| encode_cursor(id)) };
    let list = Document::object().list(name, rows, |out, (id, row)| out.extend(shown(&id, row).finish()));
    Ok(document(StatusCode::OK, list.optional_text("nextCursor", next.as_deref())))
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
