//! Who may write where, as one table that both doors run.

use serde_json::json;
use swarmstate::StoreExt;

use crate::given::{Client, Service};

const NAMESPACES: [&str; 8] = [
    "task:agent:plain",
    "task:agent:lead",
    "task:agent:other",
    "task:agent:plain:sub",
    "task:page:p1",
    "task:page:p1:sub",
    "task:slack:C1:2",
    "swarm:experiments",
];

/// A caller, and whether the caller writes in each of the namespaces.
const TABLE: [(&str, [u8; 8]); 14] = [
    ("plain", [1, 0, 0, 0, 0, 0, 1, 1]),
    ("other", [0, 0, 1, 0, 0, 0, 1, 1]),
    ("lead", [1, 1, 1, 1, 0, 0, 1, 1]),
    ("admin", [0, 0, 0, 0, 0, 0, 1, 1]),
    ("admin as plain", [1, 0, 0, 0, 0, 0, 1, 1]),
    ("admin as lead", [1, 1, 1, 1, 0, 0, 1, 1]),
    ("operator", [0, 0, 0, 0, 0, 0, 1, 1]),
    ("operator as plain", [1, 0, 0, 0, 0, 0, 1, 1]),
    ("operator as lead", [1, 1, 1, 1, 0, 0, 1, 1]),
    ("operator as p1", [0, 0, 0, 0, 0, 0, 1, 1]),
    ("plain who only writes", [1, 0, 0, 0, 0, 0, 1, 1]),
    ("plain who only reads", [0; 8]),
    ("lead who only reads", [0; 8]),
    ("admin who does not write", [0; 8]),
];

fn caller(service: &Service, name: &str) -> Client {
    let (who, how) = name.split_once(' ').unwrap_or((name, ""));
    let client = match (who, how) {
        ("operator", _) => service.operator(),
        (_, "who only writes") => service.token(who, &["write"]),
        (_, "who only reads") => service.token(who, &["read"]),
        (_, "who does not write") => service.token(who, &["read", "admin"]),
        ("admin", _) => service.token(who, &["read", "write", "admin"]),
        _ => service.token(who, &["read", "write"]),
    };
    how.strip_prefix("as ").map_or(client.clone(), |agent| client.with("X-Agent-ID", agent))
}

fn service_with_a_lead() -> Service {
    let service = Service::new();
    service.operator().post("/api/agents", r#"{"id":"lead","lead":true}"#);
    service
}

#[test]
fn who_may_write_where_at_rest_is_as_the_table_says() {
    let service = service_with_a_lead();
    for (name, row) in TABLE {
        let client = caller(&service, name);
        for (namespace, may_write) in NAMESPACES.iter().zip(row) {
            let path = format!("/api/kv/_/{namespace}");
            let batch = r#"{"operations":[{"op":"set","key":"b","value":1}]}"#;
            let answers = [
                ("sets", client.set(&format!("{path}/k"), "1")),
                ("batches", client.post(&path, batch)),
                ("claims", client.post(&format!("{path}/c/claim"), r#"{"seconds":9}"#)),
                ("counts", client.post(&format!("{path}/n/incr"), "")),
                ("deletes", client.delete(&format!("{path}/k"))),
            ];
            for (what, answer) in answers {
                let is_done = matches!(answer.status, 200 | 204);
                assert_eq!(is_done, may_write == 1, "{name} {what} in {namespace}: {}", answer.text);
                assert!(is_done || (answer.status, answer.code()) == (403, "forbidden"), "{}", answer.text);
            }
        }
    }
}

#[test]
fn who_may_write_where_over_mcp_is_as_the_table_says() {
    let service = service_with_a_lead();
    for (name, row) in TABLE {
        let client = caller(&service, name);
        for (namespace, may_write) in NAMESPACES.iter().zip(row) {
            let calls = [
                ("kv-set", json!({"key": "k", "value": 1, "namespace": namespace})),
                ("kv-claim", json!({"key": "c", "seconds": 9, "namespace": namespace})),
                ("kv-incr", json!({"key": "n", "namespace": namespace})),
                ("kv-delete", json!({"key": "k", "namespace": namespace})),
            ];
            for (tool, arguments) in calls {
                let answer = client.tool(tool, arguments);
                assert_eq!(answer["success"], may_write == 1, "{name} calls {tool} in {namespace}: {answer}");
                assert!(may_write == 1 || answer["code"] == "forbidden", "{answer}");
            }
        }
    }
}

#[test]
fn everyone_with_the_scope_reads_every_namespace_at_both_doors() {
    let service = service_with_a_lead();
    for namespace in NAMESPACES {
        service.store.set(namespace, "k", 1).expect("a store takes any name");
    }

    for (name, _) in TABLE {
        let (client, may_read) = (caller(&service, name), name != "plain who only writes");
        for namespace in NAMESPACES {
            let read = client.get(&format!("/api/kv/_/{namespace}/k"));
            let listed = client.get(&format!("/api/kv/_/{namespace}"));
            let statuses = if may_read { [200, 200] } else { [403, 403] };
            assert_eq!([read.status, listed.status], statuses, "{name} in {namespace}");
            for (tool, arguments) in
                [("kv-get", json!({"key": "k", "namespace": namespace})), ("kv-list", json!({"namespace": namespace}))]
            {
                assert_eq!(client.tool(tool, arguments)["success"], may_read, "{name} calls {tool} in {namespace}");
            }
        }
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
