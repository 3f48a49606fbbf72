//! A call of a tool: decodes its arguments, calls one operation, encodes what it answers.
//!
//! A missing key is a success; whatever REST refuses is an error of the tool with the same `code`. An answer stands twice: as
//! `structuredContent`, and as a text with the value for agents that are shown no more than that.

use std::fmt::Write;

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Deserialize;

use super::Call;
use super::tools::Tool;
use crate::error::Error;
use crate::service::app::App;
use crate::service::context::check_name;
use crate::service::json::{self, Document};
use crate::service::members::Members;
use crate::service::ops::{Address, Keys, Precondition, Query, read_value};
use crate::service::problem;
use crate::service::refusal::{Reason, Refusal, Result};
use crate::value::Entry;

/// What a tool has done.
struct Done {
    message: String,
    /// The value, as a text for who sees no more.
    shown: String,
    namespace: Option<String>,
    /// The members that the tool has besides.
    add: Box<dyn FnOnce(Document) -> Document>,
}

/// Carries out a call.
pub(super) fn carry_out(app: &App, tool: Tool, call: &Call, capabilities: &[String]) -> CallToolResult {
    match done(app, tool, call, capabilities) {
        Ok(done) => {
            let document = Document::object().flag("success", true).text("message", &done.message);
            let document = document.optional_text("namespace", done.namespace.as_deref());
            let text = format!("{}{}", done.message, done.shown);
            result(CallToolResult::success(vec![ContentBlock::text(text)]), (done.add)(document))
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The answer to a call that is refused.
pub(super) fn refused(refusal: &Refusal) -> CallToolResult {
    let detail = problem::detail(&refusal.reason);
    let (_, code, _) = problem::kind(&refusal.reason);
    let document = Document::object().flag("success", false).text("message", &detail);
    let text = format!("{code}: {detail}");
    result(CallToolResult::error(vec![ContentBlock::text(text)]), problem::facts(document, refusal))
}

fn result(mut result: CallToolResult, document: Document) -> CallToolResult {
    let text = document.finish();
    let mut reader = serde_json::Deserializer::from_slice(&text);
    // The text is our own, and nests as deep as a value may.
    reader.disable_recursion_limit();
    result.structured_content = serde_json::Value::deserialize(&mut reader).ok();
    result
}

fn done(app: &App, tool: Tool, call: &Call, capabilities: &[String]) -> Result<Done> {
    let members = Members::of(call.arguments.read()?)?;
    if tool == Tool::Info {
        return info(app, call, capabilities);
    }
    let key = if tool == Tool::List { "" } else { members.required_text("key")? };
    if tool != Tool::List {
        check_name("key", key)?;
    }
    let namespace = namespace(app, call, &members)?;
    let rights = if tool.writes() { call.caller.check_write(&namespace) } else { call.caller.check_read() };
    let worked = rights.and_then(|()| work(&app.keys, tool, Address { namespace: &namespace, key }, &members));
    worked.map_err(|refusal| refusal.within(&namespace))
}

/// The namespace that is named, else the one of the task, else the agent's.
fn namespace(app: &App, call: &Call, members: &Members<'_>) -> Result<String> {
    let namespace = match members.text("namespace")? {
        Some(named) => named.to_owned(),
        None => app.registry.resolve(&call.caller, call.task.as_deref())?,
    };
    check_name("namespace", &namespace)?;
    Ok(namespace)
}

fn info(app: &App, call: &Call, capabilities: &[String]) -> Result<Done> {
    let caller = call.caller.clone();
    let namespace = match app.registry.resolve(&caller, call.task.as_deref()) {
        Ok(namespace) => Some(namespace),
        // Without a task and an agent there is none; each call names its own.
        Err(Refusal { reason: Reason::Store(Error::Invalid { .. }), .. }) if caller.agent.is_none() => None,
        Err(refusal) => return Err(refusal),
    };
    let who = caller.agent.as_deref().map_or_else(|| "no agent".to_owned(), |agent| format!("agent {agent}"));
    let lead = if caller.is_lead { ", a lead" } else { "" };
    let place = namespace.as_deref().unwrap_or("none: name one in each call");
    let message = format!("you are {who}{lead}; the namespace of calls that name none: {place}");
    let shown = format!("; capabilities: {}", capabilities.join(", "));
    let capabilities = capabilities.to_vec();
    let add = move |document: Document| {
        document
            .optional_text("agentId", caller.agent.as_deref())
            .flag("lead", caller.is_lead)
            .list("scopes", caller.scopes.names(), json::write_text)
            .list("capabilities", capabilities, json::write_text)
    };
    Ok(Done { message, shown, namespace, add: Box::new(add) })
}

fn work(keys: &Keys, tool: Tool, address: Address<'_>, members: &Members<'_>) -> Result<Done> {
    let Address { namespace, key } = address;
    match tool {
        Tool::Set => {
            let (value, expiry) = (read_value(members)?, keys.expiry(members)?);
            let entry = keys.put(address, &value, expiry, &precondition(members)?)?;
            Ok(with_entry(namespace, format!("set {key} in {namespace}"), Some(&entry)))
        }
        Tool::Get => {
            let entry = keys.get(address)?;
            let state = if entry.is_some() { "read" } else { "found nothing, never written or expired, at" };
            Ok(with_entry(namespace, format!("{state} {key} in {namespace}"), entry.as_ref()))
        }
        Tool::Delete => delete(keys, address, &precondition(members)?),
        Tool::Increment => {
            let by = members.integer("by")?.unwrap_or(1);
            let entry = keys.increment(address, by, &precondition(members)?)?;
            Ok(with_entry(namespace, format!("added {by} to {key} in {namespace}"), Some(&entry)))
        }
        Tool::Claim => {
            let (value, seconds) = keys.read_claim(members)?;
            let (claimed, entry) = keys.claim(address, &value, seconds)?;
            let state = if claimed { "claimed" } else { "did not claim, as somebody holds it:" };
            let done = with_entry(namespace, format!("{state} {key} in {namespace}"), Some(&entry));
            let add = done.add;
            Ok(Done { add: Box::new(move |document| add(document).flag("claimed", claimed)), ..done })
        }
        Tool::Info | Tool::List => list(keys, namespace, members),
    }
}

fn delete(keys: &Keys, address: Address<'_>, precondition: &Precondition) -> Result<Done> {
    let Address { namespace, key } = address;
    let deleted = match keys.delete(address, precondition) {
        Ok(()) => true,
        Err(Refusal { reason: Reason::Store(Error::NotFound { .. }), .. }) => false,
        Err(refusal) => return Err(refusal),
    };
    let state = if deleted { "deleted" } else { "there was nothing to delete at" };
    Ok(Done {
        message: format!("{state} {key} in {namespace}"),
        shown: String::new(),
        namespace: Some(namespace.to_owned()),
        add: Box::new(move |document| document.flag("deleted", deleted)),
    })
}

fn list(keys: &Keys, namespace: &str, members: &Members<'_>) -> Result<Done> {
    let whole = |name| Ok::<_, Refusal>(members.revision(name)?);
    let owned = |name| Ok::<_, Refusal>(members.text(name)?.map(str::to_owned));
    let query = Query::of(owned("prefix")?.unwrap_or_default(), whole("limit")?, owned("cursor")?, whole("offset")?)?;
    let page = keys.list(namespace, &query)?;
    let mut shown = String::new();
    for entry in &page.items {
        let _ = write!(shown, "\n{} = {}", entry.key(), text(entry));
    }
    if let Some(next) = &page.next {
        let _ = write!(shown, "\nmore with cursor {next:?}");
    }
    let total = page.total.map_or_else(String::new, |total| format!(" of {total}"));
    let message = format!("listed {}{total} entries in {namespace}", page.items.len());
    let place = namespace.to_owned();
    let add = move |document: Document| {
        document
            .list("entries", page.items, |out, entry| out.extend(json::entry(&place, &entry)))
            .optional_number("total", page.total)
            .optional_text("nextCursor", page.next.as_deref())
    };
    Ok(Done { message, shown, namespace: Some(namespace.to_owned()), add: Box::new(add) })
}

fn with_entry(namespace: &str, message: String, entry: Option<&Entry>) -> Done {
    let shown = entry.map_or_else(String::new, |entry| format!(": {}", text(entry)));
    let entry = entry.map_or_else(|| b"null".to_vec(), |entry| json::entry(namespace, entry));
    let add = move |document: Document| document.raw("entry", &entry);
    Done { message, shown, namespace: Some(namespace.to_owned()), add: Box::new(add) }
}

/// A value as JSON, and how it is encoded where it is not itself.
fn text(entry: &Entry) -> String {
    let (value, encoding) = json::value(entry);
    let value = String::from_utf8_lossy(&value).into_owned();
    encoding.map_or(value.clone(), |encoding| format!("{value} ({encoding})"))
}

fn precondition(members: &Members<'_>) -> Result<Precondition> {
    Ok(members.revision("ifRevision")?.map_or(Precondition::None, |revision| Precondition::AnyOf(vec![revision])))
}
