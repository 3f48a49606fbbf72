//! Agents, tasks and tokens: who may change them, and that they lie apart from what is served.

use std::time::Duration;

use serde_json::json;

use crate::given::{Client, ENGINES, Service};

#[test]
fn agents_and_tasks_are_registered_listed_and_forgotten() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();

        let agent = operator.post("/api/agents", r#"{"id":"a","lead":true,"capabilities":["kv"]}"#);
        let task = operator.post("/api/tasks", r#"{"contextKey":"task:slack:C:1","agentId":"a"}"#);
        let id = task.body["id"].as_str().expect("a task gets an id").to_owned();

        assert_eq!((agent.status, task.status), (201, 201), "{engine}");
        let known = json!({"agents": [{"id": "a", "lead": true, "capabilities": ["kv"]}], "nextCursor": null});
        assert_eq!(operator.get("/api/agents").body, known, "{engine}");
        let known = json!({"tasks": [{"id": id, "contextKey": "task:slack:C:1", "agentId": "a"}], "nextCursor": null});
        assert_eq!(operator.get("/api/tasks").body, known, "{engine}");
        assert_eq!(operator.delete(&format!("/api/tasks/{id}")).status, 204, "{engine}");
        assert_eq!(operator.delete(&format!("/api/tasks/{id}")).status, 404, "{engine}");
        assert_eq!(operator.get("/api/tasks").body, json!({"tasks": [], "nextCursor": null}), "{engine}");
    }
}

#[test]
fn the_registry_is_listed_in_pages() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        for id in ["a", "b", "c", "d", "e"] {
            operator.post("/api/agents", &json!({"id": id}).to_string());
        }

        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = operator.get(&format!("/api/agents?limit=2{cursor}")).body;
            ids.extend(page["agents"].as_array().into_iter().flatten().map(|agent| agent["id"].clone()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }

        assert_eq!(ids, ["a", "b", "c", "d", "e"], "{engine}");
        for wrong in ["limit=0", "limit=1001", "cursor=x"] {
            assert_eq!(operator.get(&format!("/api/tokens?{wrong}")).status, 400, "{engine} {wrong}");
        }
    }
}

#[test]
fn the_secret_of_a_token_is_shown_once_and_kept_nowhere() {
    let service = Service::new();
    let operator = service.operator();

    let made = operator.post("/api/tokens", r#"{"agentId":"a","scopes":["read","admin"]}"#);
    let secret = made.body["token"].as_str().and_then(|token| token.rsplit('_').next()).expect("a token is shown");
    let listed = operator.get("/api/tokens");

    assert_eq!(listed.body["tokens"][0]["scopes"], json!(["read", "admin"]));
    assert!(!listed.text.contains(secret), "{}", listed.text);
}

#[test]
fn only_admins_reach_the_registry() {
    let service = Service::new();
    let (plain, admin) = (service.token("a", &["read", "write"]), service.token("b", &["admin"]));

    for table in ["agents", "tasks", "tokens"] {
        let path = format!("/api/{table}");
        let answers = [plain.get(&path), plain.post(&path, "{}"), plain.delete(&format!("{path}/x"))];
        assert_eq!(answers.map(|answer| answer.status), [403, 403, 403], "{table}");
        assert_eq!(admin.get(&path).status, 200, "{table}");
    }
}

#[test]
fn what_is_wrong_is_not_registered() {
    let service = Service::new();
    let wrong = [
        ("agents", "{}"),
        ("agents", r#"{"id":"a:b"}"#),
        ("agents", r#"{"id":"a","lead":"yes"}"#),
        ("agents", r#"{"id":"a","capabilities":"kv"}"#),
        ("tasks", r#"{"id":"t:1"}"#),
        ("tasks", r#"{"contextKey":"a b"}"#),
        ("tasks", r#"{"agentId":"a:b"}"#),
        ("tokens", r#"{"agentId":"a"}"#),
        ("tokens", r#"{"agentId":"a","scopes":[]}"#),
        ("tokens", r#"{"agentId":"a","scopes":["root"]}"#),
        ("tokens", r#"{"agentId":"a","scopes":["read"],"expiresInSec":0}"#),
    ];

    for (table, body) in wrong {
        assert_eq!(service.operator().post(&format!("/api/{table}"), body).status, 400, "{table} {body}");
        assert_eq!(service.operator().get(&format!("/api/{table}")).body[table], json!([]), "{table} {body}");
    }
}

#[test]
fn a_restored_snapshot_brings_no_revoked_token_back() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let made = service.operator().post("/api/tokens", r#"{"agentId":"a","scopes":["read"]}"#).body;
        let bearer = format!("Bearer {}", made["token"].as_str().expect("a token is shown"));
        let snapshot = service.store.snapshot().expect("a store takes snapshots");
        let path = format!("/api/tokens/{}", made["id"].as_str().expect("a token has an id"));

        service.operator().delete(&path);
        service.store.restore(&*snapshot).expect("a snapshot is restored");

        assert_eq!(service.anonymous().with("Authorization", &bearer).get("/api/kv").status, 401, "{engine}");
    }
}

#[test]
fn no_door_to_keys_reaches_the_registry() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.token("a", &["read"]);

        let namespaces = service.operator().get("/api/namespaces");
        let listed = service.operator().get("/api/kv/_/tokens");

        assert_eq!(namespaces.body["namespaces"], json!([]), "{engine}");
        assert_eq!(listed.body["total"], 0, "{engine}");
    }
}

#[test]
fn a_token_that_is_revoked_at_one_server_is_refused_by_the_others_within_two_seconds() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let other = service.beside();
        let made = service.operator().post("/api/tokens", r#"{"agentId":"a","scopes":["read"]}"#).body;
        let bearer = format!("Bearer {}", made["token"].as_str().expect("a token is shown"));
        let status = || Client::of(&other).with("Authorization", &bearer).get("/api/kv").status;

        let before = status();
        service.operator().delete(&format!("/api/tokens/{}", made["id"].as_str().expect("a token has an id")));
        service.clock.advance(Duration::from_secs(2));

        assert_eq!((before, status()), (200, 401), "{engine}");
    }
}
