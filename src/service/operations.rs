//! Every request that the service takes, told once: the OpenAPI document and the page `/docs` are made of this table.

use axum::http::Method;

/// A request, and what it answers.
pub(super) struct Described {
    pub(super) method: Method,
    /// The path, with the names of its parts in braces.
    pub(super) path: &'static str,
    /// What generated clients call it.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// What the request does besides, where a parameter asks for it.
    pub(super) more: &'static str,
    /// The headers and the parameters of the query that count.
    pub(super) takes: Vec<&'static str>,
    /// The schema of the body, and whether there must be one.
    pub(super) body: Option<(&'static str, bool)>,
    pub(super) status: u16,
    /// The schema of the answer.
    pub(super) answer: Option<&'static str>,
    /// Refusals besides those that every request has.
    pub(super) refusals: &'static [u16],
}

const CONDITIONS: &[&str] = &["X-Agent-ID", "X-Source-Task-Id", "If-Match", "If-None-Match"];
const CONTEXT: &[&str] = &["X-Agent-ID", "X-Source-Task-Id"];
const READ: &[&str] = &["X-Agent-ID", "X-Source-Task-Id", "If-None-Match"];
const LIST: &[&str] = &["X-Agent-ID", "X-Source-Task-Id", "prefix", "limit", "cursor", "offset", "keysOnly"];

const WATCH: &str = "With watch=true the answer is a stream of server-sent events that does not end: set with the entry, delete \
with {namespace, key, revision}, and reset with {namespace} where something may have been missed, so that the list is to be read \
again. prefix chooses keys, and Last-Event-ID goes on behind an event. It shows the writes made through this server process.";

const WATCH_ALL: &str = "With watch=true the answer is the stream of changes in all namespaces that begin with prefix; it takes the \
scope admin.";

/// All of them.
pub(super) fn all() -> Vec<Described> {
    let mut all = Vec::new();
    all.extend(entries(false));
    all.extend(entries(true));
    all.push(Described {
        body: Some(("Batch", true)),
        refusals: &[409, 412, 413, 415],
        ..described(Method::POST, "/api/kv/_/{namespace}", "batch", "Carries out operations, all or none", "Batched")
    });
    all.push(Described {
        takes: vec!["prefix", "limit", "cursor"],
        more: WATCH_ALL,
        ..described(Method::GET, "/api/namespaces", "listNamespaces", "Lists the namespaces", "Namespaces")
    });
    all.extend(registry());
    all.extend(pages());
    all.extend(snapshots());
    all.extend(inspection());
    all
}

fn described(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: &'static str,
) -> Described {
    let answer = (!answer.is_empty()).then_some(answer);
    let status = if answer.is_some() { 200 } else { 204 };
    Described {
        method,
        path,
        id,
        summary,
        more: "",
        takes: vec!["X-Agent-ID"],
        body: None,
        status,
        answer,
        refusals: &[],
    }
}

/// What is done with entries, where the namespace is resolved or named.
fn entries(is_named: bool) -> [Described; 6] {
    let (list, key, incr, claim) = match is_named {
        false => ("/api/kv", "/api/kv/{key}", "/api/kv/{key}/incr", "/api/kv/{key}/claim"),
        true => (
            "/api/kv/_/{namespace}",
            "/api/kv/_/{namespace}/{key}",
            "/api/kv/_/{namespace}/{key}/incr",
            "/api/kv/_/{namespace}/{key}/claim",
        ),
    };
    let id = |resolved, named| if is_named { named } else { resolved };
    // The task tells a namespace, and counts for nothing where one is named.
    let takes = |all: &'static [&'static str]| {
        let rest = || all.iter().copied().filter(|name| *name != "X-Source-Task-Id").collect();
        if is_named { rest() } else { all.to_vec() }
    };
    [
        Described {
            takes: takes(LIST),
            more: WATCH,
            ..described(Method::GET, list, id("list", "listIn"), "Lists entries by prefix", "Page")
        },
        Described {
            takes: takes(READ),
            refusals: &[304, 404],
            ..described(Method::GET, key, id("get", "getIn"), "Reads an entry", "Entry")
        },
        Described {
            takes: takes(CONDITIONS),
            body: Some(("Put", true)),
            refusals: &[412, 413, 415],
            ..described(Method::PUT, key, id("put", "putIn"), "Writes an entry", "Entry")
        },
        Described {
            takes: takes(CONDITIONS),
            refusals: &[404, 412],
            ..described(Method::DELETE, key, id("delete", "deleteIn"), "Removes an entry", "")
        },
        Described {
            takes: takes(CONDITIONS),
            body: Some(("Increment", false)),
            refusals: &[409, 412, 413, 415],
            ..described(Method::POST, incr, id("increment", "incrementIn"), "Adds to an integer", "Entry")
        },
        Described {
            takes: takes(CONTEXT),
            body: Some(("Claim", true)),
            refusals: &[413, 415],
            ..described(
                Method::POST,
                claim,
                id("claim", "claimIn"),
                "Writes a key for a while unless it is there",
                "Claimed",
            )
        },
    ]
}

/// Agents, tasks and tokens.
fn registry() -> Vec<Described> {
    let make = |path, id, summary, body, answer| Described {
        body: Some((body, true)),
        status: 201,
        refusals: &[413, 415],
        ..described(Method::POST, path, id, summary, answer)
    };
    let list = |path, id, summary, answer| Described {
        takes: vec!["X-Agent-ID", "limit", "cursor"],
        ..described(Method::GET, path, id, summary, answer)
    };
    let remove = |path, id, summary| Described { refusals: &[404], ..described(Method::DELETE, path, id, summary, "") };
    vec![
        list("/api/agents", "listAgents", "Lists the agents", "Agents"),
        make("/api/agents", "putAgent", "Registers an agent, or changes it", "Agent", "Agent"),
        remove("/api/agents/{id}", "removeAgent", "Forgets an agent"),
        list("/api/tasks", "listTasks", "Lists the tasks", "Tasks"),
        make("/api/tasks", "putTask", "Registers a task, or changes it", "NewTask", "Task"),
        remove("/api/tasks/{id}", "removeTask", "Forgets a task"),
        list("/api/tokens", "listTokens", "Lists the tokens, without their secrets", "Tokens"),
        make("/api/tokens", "makeToken", "Makes a token, and shows its secret once", "NewToken", "Token"),
        remove("/api/tokens/{id}", "removeToken", "Revokes a token"),
    ]
}

/// The pages.
fn pages() -> [Described; 4] {
    [
        described(
            Method::GET,
            "/api/pages",
            "listPages",
            "Lists the caller's pages; leads and admins see all",
            "WebPages",
        ),
        Described {
            body: Some(("NewPage", true)),
            status: 201,
            refusals: &[413, 415, 501],
            ..described(Method::POST, "/api/pages", "makePage", "Makes a page for browsers", "WebPage")
        },
        Described {
            refusals: &[404],
            ..described(Method::DELETE, "/api/pages/{id}", "removePage", "Removes a page and what it remembers", "")
        },
        Described {
            refusals: &[404, 501],
            ..described(Method::POST, "/api/pages/{id}/launch", "launchPage", "Lets one browser in, once", "Launch")
        },
    ]
}

/// The snapshots.
fn snapshots() -> [Described; 5] {
    [
        described(Method::GET, "/api/snapshots", "listSnapshots", "Lists the snapshots, oldest first", "Snapshots"),
        Described {
            status: 201,
            ..described(Method::POST, "/api/snapshots", "takeSnapshot", "Takes a snapshot", "Snapshot")
        },
        Described {
            takes: vec!["X-Agent-ID", "base", "limit", "cursor"],
            refusals: &[404],
            ..described(Method::GET, "/api/snapshots/{id}/diff", "diff", "Tells what changed since another one", "Diff")
        },
        Described {
            refusals: &[404],
            ..described(
                Method::GET,
                "/api/snapshots/{id}/kv/_/{namespace}/{key}",
                "getInSnapshot",
                "Reads an entry of a snapshot",
                "Entry",
            )
        },
        Described {
            refusals: &[404],
            ..described(Method::POST, "/api/snapshots/{id}/restore", "restore", "Goes back to a snapshot", "Restored")
        },
    ]
}

/// What the inspector reads: names of any characters, in the query.
fn inspection() -> [Described; 7] {
    let read = |path, id, summary, answer, takes: &[&'static str]| Described {
        takes: [&["X-Agent-ID"], takes].concat(),
        ..described(Method::GET, path, id, summary, answer)
    };
    let found = |described| Described { refusals: &[404], ..described };
    [
        read("/api/inspect", "inspectStore", "Tells what the store is and how much it holds", "Store", &[]),
        read(
            "/api/inspect/namespaces",
            "inspectNamespaces",
            "Lists namespaces of any name, with what they hold",
            "InspectedNamespaces",
            &["prefix", "limit", "cursor"],
        ),
        read(
            "/api/inspect/entries",
            "inspectEntries",
            "Lists keys of any name, with the beginning of their values",
            "Rows",
            &["namespace", "prefix", "limit", "cursor"],
        ),
        found(read(
            "/api/inspect/entry",
            "inspectEntry",
            "Shows an entry of any name, now or in a snapshot",
            "Inspected",
            &["namespace", "key", "snapshot"],
        )),
        read(
            "/api/inspect/threads",
            "inspectThreads",
            "Lists LangGraph's threads",
            "Threads",
            &["prefix", "limit", "cursor"],
        ),
        read(
            "/api/inspect/checkpoints",
            "inspectCheckpoints",
            "Lists a thread's checkpoints, newest first",
            "Checkpoints",
            &["thread", "limit", "cursor"],
        ),
        found(read(
            "/api/inspect/checkpoint",
            "inspectCheckpoint",
            "Shows a checkpoint's state and writes",
            "Checkpoint",
            &["thread", "graph", "checkpoint"],
        )),
    ]
}
