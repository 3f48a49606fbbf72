//! What the inspector reads, and that a service that only reads refuses every write.

use std::sync::Arc;

use serde_json::json;
use swarmstate::checkpoint::{ChannelValue, NewCheckpoint, Origin, Place, Seen, Threads, Typed, Version};
use swarmstate::service::{ServeOptions, Server};
use swarmstate::store::ReadOnly;
use swarmstate::waiting::Waiting;
use swarmstate::{Batch, Error, Expiry, Key, Memory, Namespace, Operation, Reader, Store, StoreExt};

use crate::given::{Client, ENGINES, Service};

/// Puts a checkpoint whose one channel holds an object of LangGraph's serializer.
fn put(threads: &Threads, thread: &str, graph: &str, id: &str, parent: Option<&str>) {
    let value = Typed { form: "msgpack", bytes: b"\xc7\x0e\x05\x94\xa1m\xa5Point\x81\xa1x\x01\xa1v" };
    let mut seen = Seen::default();
    seen.add_node("plan");
    seen.add_channel("point", Version::Integer(0));
    let new = NewCheckpoint {
        checkpoint_id: id,
        parent_id: parent,
        checkpoint: Typed { form: "msgpack", bytes: b"\x92\x04\xa3now" },
        seen: Some(seen),
        metadata: Typed { form: "json", bytes: br#"{"step":1}"# },
        origin: Origin::default(),
        versions: vec![("point", Version::Integer(1))],
        values: vec![ChannelValue { channel: "point", version: Version::Integer(1), value: Some(value) }],
    };
    threads.put(Place { thread_id: thread, checkpoint_ns: graph }, &new).expect("a checkpoint is stored");
}

#[test]
fn names_of_any_characters_are_listed_with_sizes_and_shown() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.store.set("<b> & /%2F?", "../\u{202e}key", "v").expect("a store takes any name");
        service.store.set("\u{1f}own", "k", 1).expect("a store takes any name");

        let operator = service.operator();
        let namespaces = operator.get("/api/inspect/namespaces");
        let query = "namespace=%3Cb%3E%20%26%20%2F%252F%3F";
        let entries = operator.get(&format!("/api/inspect/entries?{query}"));
        let entry = operator.get(&format!("/api/inspect/entry?{query}&key=..%2F%E2%80%AEkey"));
        let hidden = operator.get("/api/inspect/entries?namespace=%1Fown");

        let listed = &namespaces.body["namespaces"];
        assert_eq!((listed.as_array().map(Vec::len), &listed[0]["entries"]), (Some(1), &json!(1)), "{engine}");
        assert_eq!(entries.body["entries"][0]["preview"], "\"v\"", "{engine}");
        assert_eq!((entry.value(), &entry.body["exact"]), (&json!("v"), &json!(true)), "{engine}");
        assert_eq!(hidden.status, 400, "{engine}");
    }
}

#[test]
fn a_long_value_is_cut_and_told_to_be() {
    let service = Service::new();
    service.store.set("n", "k", &*"x".repeat(5 << 20)).expect("memory writes");

    let entry = service.operator().get("/api/inspect/entry?namespace=n&key=k");

    assert!(entry.text.len() < 2 << 20);
    assert_eq!((&entry.body["exact"], &entry.value()["$length"]), (&json!(false), &json!(5 << 20)));
}

#[test]
fn a_snapshot_is_compared_with_this_moment() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        operator.set("/api/kv/_/n/gone", "1");
        let id = operator.post("/api/snapshots", "").body["id"].clone();
        operator.delete("/api/kv/_/n/gone");

        let diff = operator.get(&format!("/api/snapshots/{id}/diff?base=now"));
        let entry = operator.get(&format!("/api/inspect/entry?namespace=n&key=gone&snapshot={id}"));

        assert_eq!(diff.body["changes"], json!([{"change": "added", "namespace": "n", "key": "gone"}]), "{engine}");
        assert_eq!(entry.value(), 1, "{engine}");
    }
}

#[test]
fn threads_are_listed_page_by_page_and_a_checkpoint_shows_its_state_without_executing_it() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let threads = Threads::new(service.store.clone());
        for (thread, graph, id, parent) in
            [("a/b?", "", "1", None), ("a/b?", "", "2", Some("1")), ("a/b?", "sub", "2", None), ("z", "", "1", None)]
        {
            put(&threads, thread, graph, id, parent);
        }

        let operator = service.operator();
        let first = operator.get("/api/inspect/threads?limit=1");
        let cursor = first.body["nextCursor"].as_str().expect("there is more").to_owned();
        let second = operator.get(&format!("/api/inspect/threads?limit=1&cursor={cursor}"));
        let (mut seen, mut next, mut first_row) = (Vec::new(), String::new(), None);
        loop {
            let page = operator.get(&format!("/api/inspect/checkpoints?thread=a%2Fb%3F&limit=1{next}")).body;
            let row = page["checkpoints"][0].clone();
            first_row.get_or_insert(row.clone());
            seen.push((row["checkpointId"].clone(), row["graph"].clone()));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        let shown = operator.get("/api/inspect/checkpoint?thread=a%2Fb%3F&checkpoint=2").body;

        assert_eq!(first.body["threads"][0]["threadId"], "a/b?", "{engine}");
        assert_eq!((&second.body["threads"][0]["threadId"], &second.body["nextCursor"]), (&json!("z"), &json!(null)));
        let wanted = [("2", ""), ("2", "sub"), ("1", "")].map(|(id, graph)| (json!(id), json!(graph)));
        assert_eq!(seen, wanted, "{engine}");
        let point = json!({"$type": "m.Point", "$fields": {"x": 1}});
        assert_eq!((&shown["channels"][0]["value"], &shown["parentId"]), (&point, &json!("1")), "{engine}");
        let whole = json!({"v": 4, "ts": "now", "id": "2", "versions_seen": {"plan": {"point": 0}}});
        assert_eq!((&shown["metadata"], &shown["checkpoint"]), (&json!({"step": 1}), &whole), "{engine}");
        assert_eq!(first_row.expect("there is a page")["checkpoint"], whole, "{engine}");
    }
}

#[test]
fn what_is_not_there_or_not_asked_rightly_is_refused_and_only_admins_look() {
    let service = Service::new();
    let operator = service.operator();

    let table = [
        ("/api/inspect/entries", 400),
        ("/api/inspect/entry?namespace=n&key=k", 404),
        ("/api/inspect/entry?namespace=n&key=k&snapshot=9", 404),
        ("/api/inspect/entry?namespace=n&key=k&snapshot=x", 400),
        ("/api/inspect/threads?cursor=x", 400),
        ("/api/inspect/checkpoints?thread=t&cursor=dGE", 400),
        ("/api/inspect/checkpoint?thread=t&checkpoint=1", 404),
        ("/api/inspect/other", 404),
    ];
    for (path, status) in table {
        assert_eq!(operator.get(path).status, status, "{path}");
    }
    assert_eq!(operator.post("/api/inspect", "").status, 405);
    assert_eq!(service.token("a", &["read", "write"]).get("/api/inspect").status, 403);
    assert_eq!(service.anonymous().get("/api/inspect/threads").status, 401);
}

#[test]
fn the_page_is_open_to_all_and_lets_no_other_script_run() {
    let service = Service::new();
    let page = service.anonymous().get("/");

    let policy = page.header("content-security-policy").unwrap_or("").to_owned();
    assert!(page.text.contains("/inspector/app.js"));
    assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for path in page.text.split('"').filter(|part| part.starts_with("/inspector/")) {
        let file = service.anonymous().get(path);
        assert_eq!((file.status, file.header("x-content-type-options")), (200, Some("nosniff")), "{path}");
    }
    assert_eq!(service.anonymous().get("/inspector/../Cargo.toml").status, 401);
    assert_eq!(service.anonymous().post("/", "{}").status, 405);
}

/// Every request of the OpenAPI document that is no read.
fn writes(client: &Client) -> Vec<(String, String)> {
    let document = client.get("/openapi.json").body;
    let mut writes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("a document has paths") {
        let path = path.replace("{namespace}", "n").replace("{key}", "k").replace("{id}", "1");
        let methods = methods.as_object().expect("a path has methods").keys();
        writes.extend(methods.filter(|method| *method != "get").map(|method| (method.to_uppercase(), path.clone())));
    }
    writes
}

#[test]
fn nothing_is_written_through_a_service_that_only_reads_by_any_door() {
    for engine in ENGINES {
        let service = Service::on(engine);
        service.store.set("n", "k", 1).expect("a store writes");
        let snapshot = service.store.snapshot().expect("a store takes snapshots").info().id;
        service.store.set("n", "k", 2).expect("a store writes");
        let options = ServeOptions { clock: service.clock.clone(), ..ServeOptions::default() };
        let (store, nobody) = (ReadOnly::new(service.store.clone()), ReadOnly::new(Arc::new(Memory::new())));
        let server = Server::start(Arc::new(store), Arc::new(nobody), options).expect("there is a free port");
        let reading = Service { server, ..service };
        let operator = reading.operator().with("X-Agent-ID", "a");
        let before = (operator.get("/api/kv/_/n/k").text, operator.get("/api/snapshots").text);

        let body = json!({"value": 3, "seconds": 9, "id": "a", "agentId": "a", "scopes": ["read"],
            "operations": [{"op": "set", "key": "k", "value": 3}]});
        let mut refused = 0;
        for (method, path) in writes(&operator) {
            let path = path.replace("snapshots/1/", &format!("snapshots/{snapshot}/"));
            let answer =
                operator.send(&method, &path, &if method == "DELETE" { String::new() } else { body.to_string() });
            assert!(matches!(answer.status, 400..=599), "{engine}: {method} {path}: {}", answer.text);
            refused += usize::from(answer.code() == "unsupported");
        }
        for (tool, arguments) in [
            ("kv-set", json!({"key": "k", "value": 3, "namespace": "n"})),
            ("kv-incr", json!({"key": "k", "namespace": "n"})),
            ("kv-delete", json!({"key": "k", "namespace": "n"})),
            ("kv-claim", json!({"key": "new", "seconds": 9, "namespace": "n"})),
        ] {
            assert_eq!(operator.tool(tool, arguments)["success"], false, "{engine}: {tool}");
        }

        let after = (operator.get("/api/kv/_/n/k").text, operator.get("/api/snapshots").text);
        assert_eq!((after, operator.get("/api/inspect").body["readOnly"].as_bool()), (before, Some(true)), "{engine}");
        assert!(refused >= 15, "{engine}: {refused}");
    }
}

#[test]
fn a_store_to_be_read_alone_refuses_every_write_and_reads_as_the_store_does() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    store.set("n", "k", 1).expect("memory writes");
    let snapshot = store.snapshot().expect("memory takes snapshots");
    let reading = ReadOnly::new(store.clone());
    let set = || Operation::Set {
        namespace: Namespace::new("n").expect("it is short"),
        key: Key::new("k").expect("it is short"),
        value: 2.into(),
        expiry: Expiry::Never,
    };

    let mut batch = Batch::new();
    batch.push(set());
    let refusals = [
        reading.write(&batch).err(),
        reading.apply(set(), None).err(),
        reading.clear().err(),
        reading.snapshot().err(),
        reading.restore(&*snapshot).err(),
        reading.drop_snapshot(snapshot.info().id).err(),
        reading.compact().err(),
        reading.with_waiting(Waiting::plainly()).clear().err(),
    ];

    for refusal in refusals {
        assert!(matches!(refusal, Some(Error::Unsupported { .. })), "{refusal:?}");
    }
    assert_eq!((store.history().map(|history| history.len()), reading.sweep(9)), (Ok(1), Ok(0)));
    assert_eq!((reading.usage(), reading.capabilities()), (store.usage(), store.capabilities()));
}
