//! Who may write where, as one table.

use crate::given::{Client, Service};

/// A caller, a namespace, and whether the caller writes there.
pub(crate) const TABLE: [(&str, &str, bool); 20] = [
    ("plain", "task:agent:plain", true),
    ("plain", "task:agent:other", false),
    ("plain", "task:agent:lead", false),
    ("plain", "task:page:p1", false),
    ("plain", "task:slack:C1:2", true),
    ("plain", "swarm:experiments", true),
    ("lead", "task:agent:lead", true),
    ("lead", "task:agent:plain", true),
    ("lead", "task:page:p1", false),
    ("lead", "swarm:experiments", true),
    ("admin", "task:agent:admin", true),
    ("admin", "task:agent:plain", false),
    ("admin", "task:page:p1", false),
    ("operator", "task:agent:plain", false),
    ("operator", "task:page:p1", false),
    ("operator", "swarm:experiments", true),
    ("reader", "task:agent:reader", false),
    ("reader", "swarm:experiments", false),
    ("operator as plain", "task:agent:plain", true),
    ("operator as lead", "task:agent:plain", true),
];

fn caller(service: &Service, name: &str) -> Client {
    match name {
        "operator" => service.operator(),
        "operator as plain" => service.agent("plain"),
        "operator as lead" => service.agent("lead"),
        "admin" => service.token("admin", &["read", "write", "admin"]),
        "reader" => service.token("reader", &["read"]),
        agent => service.token(agent, &["read", "write"]),
    }
}

#[test]
fn who_may_write_where_is_as_the_table_says() {
    let service = Service::new();
    service.operator().post("/api/agents", r#"{"id":"lead","lead":true}"#);

    for (name, namespace, may_write) in TABLE {
        let client = caller(&service, name);
        let (path, status) = (format!("/api/kv/_/{namespace}/k"), if may_write { 200 } else { 403 });
        assert_eq!(client.set(&path, "1").status, status, "{name} sets in {namespace}");
        let batch = r#"{"operations":[{"op":"set","key":"k","value":1}]}"#;
        let batched = client.post(&format!("/api/kv/_/{namespace}"), batch).status;
        assert_eq!(batched, status, "{name} batches in {namespace}");
        let claimed = client.post(&format!("{path}2/claim"), r#"{"seconds":9}"#).status;
        assert_eq!(claimed, status, "{name} claims in {namespace}");
        let counted = client.post(&format!("{path}3/incr"), "").status;
        assert_eq!(counted, status, "{name} counts in {namespace}");
        let deleted = client.delete(&path).status;
        assert_eq!(deleted, if may_write { 204 } else { 403 }, "{name} deletes in {namespace}");
    }
}

#[test]
fn every_authenticated_caller_reads_every_namespace() {
    let service = Service::new();
    service.agent("owner").set("/api/kv/k", "1");
    service.operator().post("/api/agents", r#"{"id":"lead","lead":true}"#);

    for (name, ..) in TABLE {
        let read = caller(&service, name).get("/api/kv/_/task:agent:owner/k");
        assert_eq!((read.status, read.value()), (200, &serde_json::json!(1)), "{name}");
    }
}

#[test]
fn a_lead_is_what_the_registry_says_and_nothing_else() {
    let service = Service::new();
    let boss = service.token("boss", &["read", "write"]);
    let path = "/api/kv/_/task:agent:other/k";
    let before = boss.set(path, "1");

    service.operator().post("/api/agents", r#"{"id":"boss","lead":true}"#);
    let during = boss.set(path, "2");
    service.operator().delete("/api/agents/boss");
    let after = boss.set(path, "3");

    assert_eq!([before.status, during.status, after.status], [403, 200, 403]);
}

#[test]
fn a_token_speaks_for_no_other_agent() {
    let service = Service::new();
    let bob = service.token("bob", &["read", "write"]);

    let forged = bob.clone().with("X-Agent-ID", "alice").set("/api/kv/k", "1");
    let own = bob.with("X-Agent-ID", "bob").set("/api/kv/k", "1");
    let admin = service.token("root", &["admin", "write"]).with("X-Agent-ID", "alice").set("/api/kv/k", "1");

    assert_eq!([forged.status, own.status, admin.status], [403, 200, 200]);
    assert_eq!(admin.body["namespace"], "task:agent:alice");
}
