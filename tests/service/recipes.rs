//! The recipes that agents are given, with the results that they are promised, on every engine.

use std::time::Duration;

use serde_json::json;
use swarmstate::StoreExt;

use crate::given::{ENGINES, START, Service};

#[test]
fn an_agent_counts_votes_and_lists_them() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.operator().post("/api/tasks", r#"{"id":"t1","contextKey":"task:slack:C123:1776"}"#);
        let agent = service.agent("a1").with("X-Source-Task-Id", "t1");

        let set = agent.put("/api/kv/vote-count", r#"{"value":0,"valueType":"integer"}"#);
        let sums = ["", r#"{"by":5}"#].map(|by| agent.post("/api/kv/vote-count/incr", by).value().clone());

        assert_eq!(set.body["namespace"], "task:slack:C123:1776", "{engine}");
        assert_eq!(sums, [json!(1), json!(6)], "{engine}");
        assert_eq!(agent.get("/api/kv/vote-count").value(), &json!(6), "{engine}");
        assert_eq!(agent.get("/api/kv?prefix=vote-").keys(), ["vote-count"], "{engine}");
        assert_eq!(agent.delete("/api/kv/vote-count").status, 204, "{engine}");
        assert_eq!(agent.get("/api/kv/vote-count").status, 404, "{engine}");
    }
}

#[test]
fn a_script_reads_and_writes_cursors_in_namespaces_that_it_names() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let path = "/api/kv/_/task:trackers:linear:DES-42/last-comment-id";

        let written = service.agent("a1").set(path, r#""c-17""#);

        assert_eq!((written.status, &written.body["valueType"]), (200, &json!("json")), "{engine}");
        assert_eq!(service.operator().get(path).value(), "c-17", "{engine}");
    }
}

#[test]
fn an_entry_goes_at_its_time() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let agent = service.agent("a1");

        let body = r#"{"value":{"n":42},"valueType":"json","expiresInSec":600}"#;
        let written = agent.put("/api/kv/snapshot", body);
        let before = agent.get("/api/kv/snapshot");
        service.clock.advance(Duration::from_secs(600));

        assert_eq!(written.body["namespace"], "task:agent:a1", "{engine}");
        // On a server the time is its own, which runs.
        let lasts = written.body["expiresAt"].as_i64().map(|at| at - written.body["updatedAt"].as_i64().unwrap_or(0));
        assert_eq!(lasts, Some(600_000), "{engine}");
        assert_eq!(before.value(), &json!({"n": 42}), "{engine}");
        assert_eq!(agent.get("/api/kv/snapshot").status, 404, "{engine}");
        assert_eq!(agent.delete("/api/kv/snapshot").status, 404, "{engine}");
        assert_eq!(agent.get("/api/kv").body["total"], 0, "{engine}");
    }
}

#[test]
fn a_put_replaces_value_type_and_time_and_keeps_when_the_key_was_made() {
    let service = Service::new();
    let agent = service.agent("a1");
    agent.put("/api/kv/k", r#"{"value":"x","valueType":"string","expiresInSec":60}"#);
    service.clock.advance(Duration::from_secs(1));

    let replaced = agent.set("/api/kv/k", "[1]");

    assert_eq!(replaced.body["valueType"], "json");
    assert_eq!(replaced.body["expiresAt"], json!(null));
    assert_eq!(replaced.body["createdAt"], START);
    assert_eq!(replaced.body["updatedAt"], START + 1000);
}

#[test]
fn an_increment_keeps_the_time_that_the_entry_has() {
    let service = Service::new();
    let agent = service.agent("a1");
    agent.put("/api/kv/k", r#"{"value":1,"valueType":"integer","expiresInSec":60}"#);

    let counted = agent.post("/api/kv/k/incr", "null");

    assert_eq!(counted.value(), 2);
    assert_eq!(counted.body["expiresAt"], START + 60_000);
}

#[test]
fn one_caller_claims_work_and_the_others_see_who() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let path = "/api/kv/_/jobs/next/claim";
        let claim = |who: &str| service.agent(who).post(path, &format!(r#"{{"seconds":60,"value":"{who}"}}"#));

        let (first, second) = (claim("a"), claim("b"));
        service.clock.advance(Duration::from_secs(61));
        let third = claim("c");

        assert_eq!((&first.body["claimed"], &first.body["entry"]["value"]), (&json!(true), &json!("a")), "{engine}");
        assert_eq!((&second.body["claimed"], &second.body["entry"]["value"]), (&json!(false), &json!("a")), "{engine}");
        assert_eq!((&third.body["claimed"], &third.body["entry"]["value"]), (&json!(true), &json!("c")), "{engine}");
    }
}

#[test]
fn a_claim_is_renewed_and_released_by_who_holds_it() {
    let service = Service::new();
    let agent = service.agent("a");
    let claim = agent.post("/api/kv/_/jobs/next/claim", r#"{"seconds":60}"#);
    let tag = format!("\"{}\"", claim.body["entry"]["revision"]);
    let holder = agent.clone().with("If-Match", &tag);

    let renewed = holder.put("/api/kv/_/jobs/next", r#"{"value":null,"expiresInSec":60}"#);
    let late = holder.delete("/api/kv/_/jobs/next");
    let released = agent.with("If-Match", renewed.header("etag").unwrap_or("")).delete("/api/kv/_/jobs/next");

    assert_eq!((renewed.status, late.status, released.status), (200, 412, 204));
}

#[test]
fn rust_and_the_service_see_one_state() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.store.set("swarm:experiments", "seed", 7).expect("a store takes integers");
        service.store.set("swarm:experiments", "word", "hi").expect("a store takes texts");
        let operator = service.operator();

        let seed = operator.get("/api/kv/_/swarm:experiments/seed");
        let word = operator.get("/api/kv/_/swarm:experiments/word");
        operator.post("/api/kv/_/swarm:experiments/seed/incr", "");

        assert_eq!((seed.value(), &seed.body["valueType"]), (&json!(7), &json!("integer")), "{engine}");
        assert_eq!((word.value(), &word.body["valueType"]), (&json!("hi"), &json!("string")), "{engine}");
        assert_eq!(service.store.increment("swarm:experiments", "seed", 1), Ok(9), "{engine}");
    }
}
