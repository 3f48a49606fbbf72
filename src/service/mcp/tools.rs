//! Which tools there are, and what an agent reads about them.
//!
//! Descriptions are all that an agent knows before it calls: when to use a tool, when not, and what comes back.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::model::{JsonObject, Tool as Description, ToolAnnotations};
use serde_json::{Value, json};

use crate::service::auth::Caller;

/// The capability that the tools on keys need.
const KV: &str = "kv";

/// What every tool on keys is told to be for.
const WHEN: &str = "Use it for state that a later call will look up by its exact key: counters, cursors and last-seen ids of \
recurring work, votes, locks, state that sibling tasks of the same conversation share. Not for secrets or credentials (use a secret \
store), not for knowledge that is to be found by searching (use memory), not for files or long documents (store the file and keep \
its path here).";

const NAMESPACE: &str = "Where the key lives. Leave it out to use the namespace of your task's conversation (such as \
task:slack:C123:1776.5), or else your own (task:agent:<id>). Everyone reads every namespace; task:agent:<id> is written by \
that agent and leads alone, task:page:<id> by that page alone.";

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Info,
    Set,
    Get,
    Delete,
    Increment,
    Claim,
    List,
}

impl Tool {
    pub(super) const ALL: [Self; 7] =
        [Self::Info, Self::Set, Self::Get, Self::Delete, Self::Increment, Self::Claim, Self::List];

    fn name(self) -> &'static str {
        match self {
            Self::Info => "my-agent-info",
            Self::Set => "kv-set",
            Self::Get => "kv-get",
            Self::Delete => "kv-delete",
            Self::Increment => "kv-incr",
            Self::Claim => "kv-claim",
            Self::List => "kv-list",
        }
    }

    /// The tool of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Whether it exists for somebody with these capabilities.
    pub(super) fn is_within(self, capabilities: &[String]) -> bool {
        self == Self::Info || capabilities.iter().any(|capability| capability == KV)
    }

    /// Whether it changes anything.
    pub(super) fn writes(self) -> bool {
        match self {
            Self::Set | Self::Delete | Self::Increment | Self::Claim => true,
            Self::Info | Self::Get | Self::List => false,
        }
    }

    /// The tool as an agent sees it.
    pub(super) fn describe(self) -> Description {
        let hints = match self {
            Self::Info | Self::Get | Self::List => ToolAnnotations::new().read_only(true),
            Self::Set | Self::Delete => ToolAnnotations::new().destructive(true).idempotent(true),
            Self::Increment | Self::Claim => ToolAnnotations::new().destructive(false).idempotent(false),
        };
        Description::new_with_raw(self.name(), Some(self.text()), self.schema())
            .with_annotations(hints.open_world(false))
            .with_raw_output_schema(Arc::new(self.answer()))
    }

    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Info => "Tells who you are here: agent id, whether you are a lead, scopes, capabilities, and the namespace \
                that calls without one use."
                .into(),
            Self::Set => format!(
                "Stores a value under a key, with a time to live if expiresInSec is given, and replaces what was there. {WHEN} \
                To change a number that others change too, use kv-incr; to write only what you have read, pass ifRevision."
            )
            .into(),
            Self::Get => format!("Reads one key. A key that is missing or expired is a success with entry null. {WHEN}").into(),
            Self::Delete => "Removes a key; deleted is false if there was none.".into(),
            Self::Increment => "Adds to an integer atomically and returns the sum, so that no count is lost however many \
                agents count at once. A missing key starts at 0 and gets no time to live; a live one keeps its own. A key \
                whose valueType is json or string is refused (wrong_type): delete it, or use another key."
                .into(),
            Self::Claim => "Takes a key for so many seconds unless it is there already, so that exactly one of several \
                agents gets the work; claimed tells whether it was you, entry who holds it. Renew with kv-set and ifRevision and \
                expiresInSec, release with kv-delete and ifRevision."
                .into(),
            Self::List => format!(
                "Lists entries in ascending order of keys, those that begin with prefix. Pass nextCursor as cursor for the next \
                page; null is the end. {WHEN}"
            )
            .into(),
        }
    }

    fn schema(self) -> JsonObject {
        let (names, required): (&[&str], &[&str]) = match self {
            Self::Info => (&[], &[]),
            Self::Set => (&["key", "value", "valueType", "expiresInSec", "ifRevision", "namespace"], &["key", "value"]),
            Self::Get => (&["key", "namespace"], &["key"]),
            Self::Delete => (&["key", "ifRevision", "namespace"], &["key"]),
            Self::Increment => (&["key", "by", "namespace"], &["key"]),
            Self::Claim => (&["key", "seconds", "value", "valueType", "namespace"], &["key", "seconds"]),
            Self::List => (&["prefix", "limit", "cursor", "offset", "namespace"], &[]),
        };
        let properties: JsonObject = names.iter().map(|name| ((*name).to_owned(), property(name))).collect();
        let schema = json!({"type": "object", "properties": properties, "required": required});
        if let Value::Object(schema) = schema { schema } else { JsonObject::new() }
    }

    /// The schema of what it answers, also where it refuses: then with `code`, and after a conflict with `revision`.
    fn answer(self) -> JsonObject {
        let own: &[&str] = match self {
            Self::Info => &["agentId", "lead", "scopes", "capabilities"],
            Self::Set | Self::Get | Self::Increment => &["entry"],
            Self::Delete => &["deleted"],
            Self::Claim => &["claimed", "entry"],
            Self::List => &["entries", "total", "nextCursor"],
        };
        let names = ["success", "message", "namespace", "code", "revision"].iter().chain(own);
        let properties: JsonObject = names.map(|name| ((*name).to_owned(), member(name))).collect();
        let schema = json!({"type": "object", "properties": properties, "required": ["success", "message"]});
        if let Value::Object(schema) = schema { schema } else { JsonObject::new() }
    }
}

/// The schema of one member of an answer.
fn member(name: &str) -> Value {
    match name {
        "success" | "deleted" | "claimed" | "lead" => json!({"type": "boolean"}),
        "message" | "code" => json!({"type": "string"}),
        "revision" => json!({"type": "integer", "description": "The revision that stands, 0 if there is none."}),
        "entry" => entry(json!(["object", "null"])),
        "entries" => json!({"type": "array", "items": entry(json!("object"))}),
        "scopes" | "capabilities" => json!({"type": "array", "items": {"type": "string"}}),
        "total" => json!({"type": ["integer", "null"], "description": "All matches; null on a page behind a cursor."}),
        _ => json!({"type": ["string", "null"]}),
    }
}

/// The schema of an entry, where `kind` says whether there may be none.
fn entry(kind: Value) -> Value {
    let text = json!({"type": "string"});
    let millis = json!({"type": "integer", "description": "Unix milliseconds."});
    json!({"type": kind, "properties": {
        "namespace": text,
        "key": text,
        "value": {"type": ["object", "array", "string", "number", "boolean", "null"]},
        "encoding": {"type": "string", "description": "How value is encoded, where JSON cannot hold it."},
        "valueType": {"type": "string", "enum": ["json", "string", "integer", "bytes"]},
        "revision": {"type": "integer", "description": "For ifRevision."},
        "expiresAt": {"type": ["integer", "null"], "description": "Unix milliseconds; null = it stays."},
        "createdAt": millis,
        "updatedAt": millis,
    }, "required": ["namespace", "key", "value", "valueType", "revision", "expiresAt", "createdAt", "updatedAt"]})
}

/// The schema of one argument. Integers are safe ones: what every JSON reader holds exactly.
fn property(name: &str) -> Value {
    const SAFE: i64 = crate::service::members::MAX_SAFE_INTEGER;
    match name {
        "key" => json!({"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[a-zA-Z0-9._:/-]{1,512}$",
            "description": "1 to 512 letters, digits and . _ : / -"}),
        "value" => json!({"type": ["object", "array", "string", "number", "boolean", "null"],
            "description": "Any JSON; at most 2 MiB."}),
        "valueType" => json!({"type": "string", "enum": ["json", "string", "integer"], "default": "json",
            "description": "json: any JSON. string: a text, byte for byte. integer: a counter for kv-incr."}),
        "expiresInSec" => json!({"type": "integer", "minimum": 1, "maximum": SAFE,
            "description": "Seconds until the entry is gone. Without it the entry stays."}),
        "ifRevision" => json!({"type": "integer", "minimum": 0, "maximum": SAFE,
            "description": "Only if the entry is at this revision; 0 = only if there is none. Otherwise conflict."}),
        "by" => json!({"type": "integer", "minimum": -SAFE, "maximum": SAFE, "default": 1,
            "description": "What to add; may be negative."}),
        "seconds" => json!({"type": "integer", "minimum": 1, "maximum": SAFE,
            "description": "How long the claim holds."}),
        "prefix" => json!({"type": "string", "description": "What the keys begin with; no pattern."}),
        "limit" => json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        "cursor" => json!({"type": "string", "description": "nextCursor of the page before."}),
        "offset" => json!({"type": "integer", "minimum": 0, "maximum": SAFE,
            "description": "How many entries to pass over; not beside cursor."}),
        _ => json!({"type": "string", "minLength": 1, "maxLength": 512, "description": NAMESPACE}),
    }
}

/// What somebody may use: what the server offers, narrowed by the agent's own list.
pub(super) fn available(offered: &[String], caller: &Caller) -> Vec<String> {
    let own = caller.capabilities.as_deref();
    offered.iter().filter(|name| own.is_none_or(|own| own.contains(name))).cloned().collect()
}
