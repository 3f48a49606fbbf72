//! Which namespace a call means that names none.

use crate::given::Service;

#[test]
fn the_task_goes_before_the_agent_and_a_named_namespace_before_both() {
    let service = Service::new();
    let operator = service.operator();
    operator.post("/api/tasks", r#"{"id":"thread","contextKey":"task:slack:C1:2"}"#);
    operator.post("/api/tasks", r#"{"id":"bare","agentId":"worker"}"#);
    operator.post("/api/tasks", r#"{"id":"empty"}"#);
    let table = [
        (Some("thread"), Some("a"), "/api/kv", "task:slack:C1:2"),
        (Some("bare"), Some("a"), "/api/kv", "task:agent:worker"),
        (Some("empty"), Some("a"), "/api/kv", "task:agent:a"),
        (Some("unknown"), Some("a"), "/api/kv", "task:agent:a"),
        (None, Some("a"), "/api/kv", "task:agent:a"),
        (Some("thread"), None, "/api/kv", "task:slack:C1:2"),
        (Some("thread"), Some("a"), "/api/kv/_/own", "own"),
    ];

    for (task, agent, path, namespace) in table {
        let client = agent.map_or(service.operator(), |agent| service.agent(agent));
        let client = if let Some(task) = task { client.with("X-Source-Task-Id", task) } else { client };
        assert_eq!(client.get(path).body["namespace"], namespace, "{task:?} {agent:?} {path}");
    }
}

#[test]
fn a_token_speaks_for_its_agent_without_a_header() {
    let service = Service::new();
    let bob = service.token("bob", &["read", "write"]);

    let listed = bob.get("/api/kv");

    assert_eq!(listed.body["namespace"], "task:agent:bob");
}

#[test]
fn without_task_agent_and_name_a_call_is_refused() {
    let service = Service::new();

    let refused = service.operator().get("/api/kv/k");

    assert_eq!((refused.status, refused.code()), (400, "invalid"));
    assert!(refused.text.contains("X-Agent-ID"), "{}", refused.text);
}

#[test]
fn an_id_that_would_reach_into_another_namespace_is_refused() {
    let service = Service::new();
    for client in [service.agent("a:b"), service.agent("a").with("X-Source-Task-Id", "t:1")] {
        assert_eq!(client.get("/api/kv").status, 400);
    }
}

#[test]
fn a_page_header_from_outside_is_never_believed() {
    let service = Service::new();
    let forged = service.agent("a").with("X-Page-Id", "p1");

    let written = forged.set("/api/kv/k", "1");
    let refused = forged.set("/api/kv/_/task:page:p1/k", "1");

    assert_eq!(written.body["namespace"], "task:agent:a");
    assert_eq!(refused.status, 403);
}
