//! Several operations at once, all or none.

use serde_json::json;

use crate::given::{ENGINES, Service};

const PATH: &str = "/api/kv/_/n";

#[test]
fn a_batch_is_carried_out_whole_and_answers_what_stands() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        let old = operator.set("/api/kv/_/n/old", "1").body["revision"].clone();
        operator.set("/api/kv/_/n/gone", "1");

        let body = json!({"operations": [
            {"op": "check", "key": "old", "revision": old},
            {"op": "check", "key": "none", "revision": 0},
            {"op": "set", "key": "new", "value": "x", "valueType": "string", "expiresInSec": 60},
            {"op": "delete", "key": "gone"},
            {"op": "incr", "key": "count", "by": 4},
            {"op": "set", "key": "old", "value": 2, "ifRevision": old},
        ]});
        let answer = operator.post(PATH, &body.to_string());

        assert_eq!(answer.status, 200, "{engine}: {}", answer.text);
        let values = answer.body["entries"].as_array().expect("a batch answers entries").iter();
        let values: Vec<_> = values.map(|entry| entry["value"].clone()).collect();
        assert_eq!(values, [json!(2), json!(null), json!("x"), json!(null), json!(4), json!(2)], "{engine}");
        assert_eq!(operator.get("/api/kv/_/n?keysOnly=true").keys(), ["count", "new", "old"], "{engine}");
    }
}

#[test]
fn a_batch_that_fails_changes_nothing_and_names_the_operation() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        operator.set("/api/kv/_/n/text", "\"x\"");
        // What fails at which place, and how.
        let table = [
            (json!([{"op": "set", "key": "a", "value": 1}, {"op": "check", "key": "b", "revision": 9}]), 1, 412),
            (json!([{"op": "set", "key": "a", "value": 1}, {"op": "delete", "key": "b", "ifRevision": 9}]), 1, 412),
            (json!([{"op": "set", "key": "a", "value": 1}, {"op": "incr", "key": "text"}]), 1, 409),
            (json!([{"op": "incr", "key": "text"}, {"op": "check", "key": "b", "revision": 9}]), 1, 412),
            (json!([{"op": "set", "key": "a", "value": 1}, {"op": "set", "key": "b c", "value": 1}]), 1, 400),
            (json!([{"op": "set", "key": "a", "value": 1}, {"op": "rename", "key": "b"}]), 1, 400),
            (json!([{"op": "set", "key": "a"}]), 0, 400),
            (json!([{"op": "check", "key": "a"}]), 0, 400),
        ];
        for (operations, place, status) in table {
            let refused = operator.post(PATH, &json!({"operations": operations}).to_string());
            assert_eq!((refused.status, &refused.body["operation"]), (status, &json!(place)), "{engine} {operations}");
            assert_eq!(operator.get(PATH).keys(), ["text"], "{engine} {operations}");
        }
    }
}

#[test]
fn a_batch_has_one_to_sixty_four_operations_on_a_key_each() {
    let service = Service::new();
    let operator = service.operator();
    let batch = |count: usize| {
        let operations: Vec<_> = (0..count).map(|n| json!({"op": "incr", "key": format!("k{n}")})).collect();
        operator.post(PATH, &json!({"operations": operations}).to_string()).status
    };
    let twice = json!({"operations": [{"op": "incr", "key": "k"}, {"op": "incr", "key": "k"}]});

    assert_eq!([batch(0), batch(1), batch(64), batch(65)], [400, 200, 200, 400]);
    assert_eq!(operator.post(PATH, &twice.to_string()).status, 400);
    assert_eq!(operator.post(PATH, "{}").status, 400);
    assert_eq!(operator.post(PATH, r#"{"operations":[7]}"#).status, 400);
}
