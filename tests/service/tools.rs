//! The recipes that agents are given as tools, with the results that they are promised, on every engine.
//!
//! The protocol itself is proven from Python, with the official client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use swarmstate::StoreExt;

use crate::given::{ENGINES, START, Service};

fn keys(listed: &Value) -> Vec<&str> {
    listed["entries"].as_array().into_iter().flatten().filter_map(|entry| entry["key"].as_str()).collect()
}

#[test]
fn an_agent_counts_votes_in_the_namespace_of_its_conversation() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.operator().post("/api/tasks", r#"{"id":"t1","contextKey":"task:slack:C123:1776"}"#);
        let agent = service.agent("a1").with("X-Source-Task-Id", "t1");

        let set = agent.tool("kv-set", json!({"key": "vote-count", "value": 0, "valueType": "integer"}));
        let one = agent.tool("kv-incr", json!({"key": "vote-count"}));
        let six = agent.tool("kv-incr", json!({"key": "vote-count", "by": 5}));
        let read = agent.tool("kv-get", json!({"key": "vote-count"}));
        let listed = agent.tool("kv-list", json!({"prefix": "vote-"}));
        let deleted = agent.tool("kv-delete", json!({"key": "vote-count"}));
        let gone = agent.tool("kv-get", json!({"key": "vote-count"}));

        assert_eq!(set["namespace"], "task:slack:C123:1776", "{engine}");
        let values = [&one, &six, &read].map(|answer| answer["entry"]["value"].clone());
        assert_eq!(values, [json!(1), json!(6), json!(6)], "{engine}");
        assert_eq!((keys(&listed), &listed["total"]), (vec!["vote-count"], &json!(1)), "{engine}");
        assert_eq!((&deleted["deleted"], &gone["success"], &gone["entry"]), (&json!(true), &json!(true), &json!(null)));
    }
}

#[test]
fn a_value_is_json_unless_a_type_is_given() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let agent = service.agent("a1");
        let table = [
            (json!({"key": "k", "value": {"a": 1}}), json!({"a": 1}), "json"),
            (json!({"key": "k", "value": "{\"a\":1}"}), json!("{\"a\":1}"), "json"),
            (json!({"key": "k", "value": "{\"a\":1}", "valueType": "string"}), json!("{\"a\":1}"), "string"),
            (json!({"key": "k", "value": 7, "valueType": "integer"}), json!(7), "integer"),
            (json!({"key": "k", "value": "7", "valueType": "integer"}), json!(7), "integer"),
            (json!({"key": "k", "value": null}), json!(null), "json"),
        ];

        for (arguments, value, kind) in table {
            agent.tool("kv-set", arguments);
            let entry = agent.tool("kv-get", json!({"key": "k"}))["entry"].clone();
            assert_eq!((&entry["value"], &entry["valueType"]), (&value, &json!(kind)), "{engine}");
        }
    }
}

#[test]
fn a_named_namespace_is_read_by_all_and_anothers_scratchpad_is_written_by_leads_alone() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.store.set("swarm:experiments", "seed", 7).expect("a store takes integers");
        service.operator().post("/api/agents", r#"{"id":"boss","lead":true}"#);
        let note = json!({"key": "note", "value": "hi", "namespace": "task:agent:OTHER-AGENT-ID"});

        let seed = service.agent("a1").tool("kv-get", json!({"key": "seed", "namespace": "swarm:experiments"}));
        let refused = service.agent("a1").tool("kv-set", note.clone());
        let written = service.agent("boss").tool("kv-set", note);

        assert_eq!(seed["entry"]["value"], 7, "{engine}");
        assert_eq!((&refused["success"], &refused["code"]), (&json!(false), &json!("forbidden")), "{engine}");
        assert_eq!(written["success"], true, "{engine}");
    }
}

#[test]
fn an_entry_goes_at_its_time() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let agent = service.agent("a1");
        let set = json!({"key": "lock-token", "value": "xyz", "valueType": "string", "expiresInSec": 60});

        let written = agent.tool("kv-set", set);
        let before = agent.tool("kv-get", json!({"key": "lock-token"}));
        service.clock.advance(Duration::from_secs(60));
        let after = agent.tool("kv-get", json!({"key": "lock-token"}));
        let deleted = agent.tool("kv-delete", json!({"key": "lock-token"}));
        let listed = agent.tool("kv-list", json!({}));

        let times = ["expiresAt", "updatedAt"].map(|name| written["entry"][name].as_i64().expect("an entry has times"));
        assert_eq!((times[0] - times[1], &before["entry"]["value"]), (60_000, &json!("xyz")), "{engine}");
        assert_eq!((&after["entry"], &deleted["deleted"]), (&json!(null), &json!(false)), "{engine}");
        assert_eq!((keys(&listed), &listed["total"]), (vec![], &json!(0)), "{engine}");
    }
}

#[test]
fn a_counter_keeps_the_time_of_a_live_key_and_gives_none_to_a_new_one() {
    let service = Service::new();
    let agent = service.agent("a1");
    agent.tool("kv-set", json!({"key": "k", "value": 1, "valueType": "integer", "expiresInSec": 60}));

    let counted = agent.tool("kv-incr", json!({"key": "k", "by": -3}));
    let new = agent.tool("kv-incr", json!({"key": "new", "by": 4}));

    assert_eq!((&counted["entry"]["value"], &counted["entry"]["expiresAt"]), (&json!(-2), &json!(START + 60_000)));
    assert_eq!((&new["entry"]["value"], &new["entry"]["expiresAt"]), (&json!(4), &json!(null)));
}

#[test]
fn counting_what_is_no_integer_is_refused_until_it_is_made_anew() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let agent = service.agent("a1");
        agent.tool("kv-set", json!({"key": "k", "value": 1}));

        let refused = agent.tool("kv-incr", json!({"key": "k"}));
        agent.tool("kv-delete", json!({"key": "k"}));
        agent.tool("kv-set", json!({"key": "k", "value": 1, "valueType": "integer"}));
        let counted = agent.tool("kv-incr", json!({"key": "k"}));

        assert_eq!((&refused["success"], &refused["code"]), (&json!(false), &json!("wrong_type")), "{engine}");
        assert_eq!(counted["entry"]["value"], 2, "{engine}");
    }
}

#[test]
fn a_write_under_a_revision_is_carried_out_once() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let agent = service.agent("a1");
        let first = agent.tool("kv-set", json!({"key": "k", "value": 1, "ifRevision": 0}))["entry"]["revision"].clone();
        let set = |value: i64| agent.tool("kv-set", json!({"key": "k", "value": value, "ifRevision": first}));

        let (second, third) = (set(2), set(3));
        let again = agent.tool("kv-set", json!({"key": "k", "value": 4, "ifRevision": 0}));

        assert_eq!(second["success"], true, "{engine}");
        assert_eq!(
            (&third["code"], &third["revision"]),
            (&json!("conflict"), &second["entry"]["revision"]),
            "{engine}"
        );
        assert_eq!(again["code"], "conflict", "{engine}");
        assert_eq!(agent.get("/api/kv/k").value(), 2, "{engine}");
    }
}

#[test]
fn paging_neither_repeats_nor_skips_what_stood_still_while_others_write() {
    for engine in ["memory", "sqlite"] {
        let service = Service::on(engine);
        for n in 0..100 {
            service.store.set("n", &format!("k{n:03}"), n).expect("the store is open");
        }
        let (agent, is_done) = (service.agent("a1"), AtomicBool::new(false));

        let seen = thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..1000).cycle() {
                    if is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    service.store.set("n", &format!("k{:03}-x", n % 100), n).expect("the store is open");
                    service.store.delete("n", &format!("k{:03}-x", (n + 50) % 100)).expect("the store is open");
                }
            });
            let (mut seen, mut arguments) = (Vec::new(), json!({"namespace": "n", "limit": 7}));
            loop {
                let page = agent.tool("kv-list", arguments.clone());
                seen.extend(keys(&page).into_iter().map(str::to_owned));
                arguments["cursor"] = page["nextCursor"].clone();
                if page["nextCursor"].is_null() {
                    break;
                }
            }
            is_done.store(true, Ordering::Relaxed);
            seen
        });

        let stood: Vec<_> = seen.iter().filter(|key| !key.ends_with("-x")).cloned().collect();
        assert_eq!(stood, (0..100).map(|n| format!("k{n:03}")).collect::<Vec<_>>(), "{engine}");
        assert!(seen.is_sorted(), "{engine}");
    }
}
