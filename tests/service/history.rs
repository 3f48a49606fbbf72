//! Snapshots over REST.

use serde_json::json;
use swarmstate::StoreExt;

use crate::given::{ENGINES, Service};

#[test]
fn a_snapshot_is_compared_read_and_restored() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        for (key, value) in [("kept", "1"), ("changed", "1"), ("removed", "1")] {
            operator.set(&format!("/api/kv/_/n/{key}"), value);
        }

        let before = operator.post("/api/snapshots", "").body["id"].clone();
        operator.set("/api/kv/_/n/changed", "2");
        operator.set("/api/kv/_/n/added", "1");
        operator.delete("/api/kv/_/n/removed");
        service.store.set("\u{1f}own", "k", 1).expect("a store takes any name");
        let after = operator.post("/api/snapshots", "");
        let path = format!("/api/snapshots/{}/diff?base={before}", after.body["id"]);
        let diff = operator.get(&path);
        let first = operator.get(&format!("{path}&limit=2"));
        let cursor = first.body["nextCursor"].as_str().expect("there is more");
        let second = operator.get(&format!("{path}&limit=2&cursor={cursor}"));
        let old = operator.get(&format!("/api/snapshots/{before}/kv/_/n/changed"));
        let restored = operator.post(&format!("/api/snapshots/{before}/restore"), "");

        let change = |change: &str| json!({"change": change, "namespace": "n", "key": change});
        let changes = json!([change("added"), change("removed"), change("changed")]);
        let rest = json!({"changes": [change("changed")], "total": 3, "hidden": 1, "nextCursor": null});
        assert_eq!((after.status, &after.body["parent"]), (201, &before), "{engine}");
        assert_eq!((&diff.body["changes"], &diff.body["total"]), (&changes, &json!(3)), "{engine}");
        assert_eq!(first.body["changes"], json!([change("added"), change("removed")]), "{engine}");
        assert_eq!(second.body, rest, "{engine}");
        assert_eq!(old.value(), 1, "{engine}");
        assert_eq!(restored.body, json!({"restored": before}), "{engine}");
        assert_eq!(operator.get("/api/kv/_/n").keys(), ["changed", "kept", "removed"], "{engine}");
        assert_eq!(operator.get("/api/snapshots").body["snapshots"].as_array().map(Vec::len), Some(2), "{engine}");
    }
}

#[test]
fn a_snapshot_that_is_not_there_is_not_found_and_one_that_is_no_number_is_refused() {
    let service = Service::new();
    let operator = service.operator();
    let id = operator.post("/api/snapshots", "").body["id"].clone();
    let table = [
        ("GET", "/api/snapshots/99999/kv/_/n/k".to_owned(), 404),
        ("GET", format!("/api/snapshots/{id}/kv/_/n/k"), 404),
        ("GET", format!("/api/snapshots/{id}/kv/_/n/a%20b"), 400),
        ("GET", format!("/api/snapshots/99999/diff?base={id}"), 404),
        ("GET", format!("/api/snapshots/{id}/diff?base=99999"), 404),
        ("GET", format!("/api/snapshots/{id}/diff"), 400),
        ("GET", format!("/api/snapshots/{id}/diff?base=x"), 400),
        ("GET", format!("/api/snapshots/{id}/diff?base={id}&cursor=x"), 400),
        ("POST", "/api/snapshots/99999/restore".to_owned(), 404),
        ("POST", "/api/snapshots/-1/restore".to_owned(), 400),
        ("GET", format!("/api/snapshots/{id}/restore"), 405),
        ("DELETE", "/api/snapshots".to_owned(), 405),
        ("GET", format!("/api/snapshots/{id}"), 404),
    ];

    for (method, path, status) in table {
        assert_eq!(operator.send(method, &path, "").status, status, "{method} {path}");
    }
}

#[test]
fn only_admins_reach_the_snapshots() {
    let service = Service::new();
    let plain = service.token("a", &["read", "write"]);

    for (method, path) in [
        ("GET", "/api/snapshots"),
        ("POST", "/api/snapshots"),
        ("GET", "/api/snapshots/1/diff?base=1"),
        ("GET", "/api/snapshots/1/kv/_/n/k"),
        ("POST", "/api/snapshots/1/restore"),
    ] {
        assert_eq!(plain.send(method, path, "").status, 403, "{method} {path}");
    }
}
