//! Who is refused, with what, and in which order.

use std::time::Duration;

use serde_json::json;

use crate::given::{ENGINES, Service};

#[test]
fn without_good_credentials_nothing_is_told_but_that() {
    let service = Service::new();
    let key = service.server.api_key().to_owned();
    let wrong = [
        "".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {key}"),
        format!("Bearer {}", &key[1..]),
        format!("Bearer {key}x"),
        "Bearer sst_0123456789abcdef_".to_owned(),
        format!("Bearer sst_0123456789abcdef_{}", "0".repeat(64)),
        "Bearer ../../etc".to_owned(),
    ];

    for given in wrong {
        let refused = service.anonymous().with("Authorization", &given).get("/nowhere");
        assert_eq!((refused.status, refused.code()), (401, "unauthenticated"), "{given}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"swarmstate\""));
        assert!(!refused.text.contains(&key[4..]), "{given}");
    }
    assert_eq!(service.anonymous().get("/api/kv").status, 401);
    assert_eq!(service.anonymous().with("Authorization", &format!("bEARER {key}")).get("/api/namespaces").status, 200);
}

#[test]
fn a_token_that_expired_or_was_revoked_is_unknown() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        let make = |body: &str| {
            let made = operator.post("/api/tokens", body).body;
            let bearer = format!("Bearer {}", made["token"].as_str().expect("a token is shown once"));
            (
                made["id"].as_str().expect("a token has an id").to_owned(),
                service.anonymous().with("Authorization", &bearer),
            )
        };
        let (_, short) = make(r#"{"agentId":"a","scopes":["read"],"expiresInSec":60}"#);
        let (id, long) = make(r#"{"agentId":"a","scopes":["read"]}"#);
        assert_eq!((short.get("/api/kv").status, long.get("/api/kv").status), (200, 200), "{engine}");

        service.clock.advance(Duration::from_secs(61));
        let expired = short.get("/api/kv").status;
        operator.delete(&format!("/api/tokens/{id}"));

        assert_eq!((expired, long.get("/api/kv").status), (401, 401), "{engine}");
        assert_eq!([short, long].map(|client| client.post("/mcp", "{}").status), [401, 401], "{engine}");
    }
}

#[test]
fn refusals_come_in_one_order() {
    let service = Service::new();
    service.operator().set("/api/kv/_/n/text", "\"x\"");
    let (nobody, reader) = (service.anonymous(), service.token("r", &["read"]));
    let stale = service.operator().with("If-Match", "\"999\"");
    let nameless = service.operator();
    // Each request is wrong in what it is refused for, and in all that comes behind that.
    let table = [
        (&nobody, "PATCH", "/nowhere/%20", "{", 401),
        (&reader, "PATCH", "/nowhere", "{", 404),
        (&reader, "PATCH", "/api/kv/_/b%20d/k%20", "{", 405),
        (&nameless, "PUT", "/api/kv/k%20", "{", 400),
        (&nameless, "PUT", "/api/kv/k", "{", 400),
        (&reader, "PUT", "/api/kv/_/n/text", "{", 403),
        (&stale, "POST", "/api/kv/_/n/text/incr", "{", 400),
        (&stale, "POST", "/api/kv/_/n/text/incr", "{}", 412),
        (&nameless, "POST", "/api/kv/_/n/text/incr", "{}", 409),
    ];

    for (client, method, path, body, status) in table {
        let refused = client.send(method, path, body);
        assert_eq!(refused.status, status, "{method} {path}: {}", refused.text);
    }
}

#[test]
fn a_refusal_is_a_problem_document_that_names_the_namespace() {
    let service = Service::new();

    let missing = service.agent("a").get("/api/kv/none");

    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    let detail = r#"key "none" in namespace "task:agent:a" does not exist"#;
    assert_eq!(
        missing.body,
        json!({
            "type": "about:blank", "title": "Not found", "status": 404, "code": "not_found", "detail": detail,
            "error": detail, "namespace": "task:agent:a",
        })
    );
}

#[test]
fn a_path_tells_which_methods_it_takes() {
    let service = Service::new();
    let table = [
        ("PATCH", "/api/kv/_/n/k", "GET, HEAD, PUT, DELETE"),
        ("POST", "/api/kv/_/n/k", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/api/kv/_/n", "GET, HEAD, POST"),
        ("DELETE", "/api/kv", "GET, HEAD"),
        ("POST", "/api/namespaces", "GET, HEAD"),
        ("PUT", "/api/agents", "GET, HEAD, POST"),
        ("GET", "/api/tokens/x", "DELETE"),
    ];

    for (method, path, allowed) in table {
        let refused = service.operator().send(method, path, if method == "GET" { "" } else { "{}" });
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn only_json_is_read() {
    let service = Service::new();
    let put = |kind: &str| service.operator().with("Content-Type", kind).set("/api/kv/_/n/k", "1").status;

    assert_eq!(put("application/json; charset=utf-8"), 200);
    assert_eq!(put("application/x-www-form-urlencoded"), 415);
    assert_eq!(put("text/plain"), 415);
    assert_eq!(put("multipart/form-data"), 415);
}

#[test]
fn names_are_checked_after_one_decoding() {
    let service = Service::new();
    let operator = service.operator();
    let longest = "k".repeat(512);
    let good = ["a", "A.b_c:d-e", "a/b/c", "a%2Fb", "%61", &longest, "..a"];
    let bad = ["%2e%2e", "%2E", "a%20b", "%C3%A4", "a%00", "%ff", "a%252Fb", "%1Fx", "k%0d%0aX:1", &"k".repeat(513)];

    for key in good {
        assert_eq!(operator.set(&format!("/api/kv/_/n/{key}"), "1").status, 200, "{key}");
    }
    for name in bad {
        for (method, body) in [("GET", ""), ("PUT", "{\"value\":1}"), ("DELETE", "")] {
            assert_eq!(operator.send(method, &format!("/api/kv/_/n/{name}"), body).status, 400, "{method} {name}");
            assert_eq!(operator.send(method, &format!("/api/kv/_/{name}/k"), body).status, 400, "{method} {name}");
        }
    }
    assert_eq!(operator.get("/api/kv/_/n/%61").body["key"], "a");
    assert_eq!(operator.get("/api/kv/_/n/a%2Fb").status, 200);
}

#[test]
fn health_is_told_to_anybody() {
    let service = Service::new();

    let (alive, ready) = (service.anonymous().get("/healthz"), service.anonymous().get("/readyz"));
    service.store.close().expect("a store closes");

    assert_eq!((alive.status, ready.status), (200, 200));
    assert_eq!(service.anonymous().get("/healthz").status, 200);
    assert_eq!(service.anonymous().get("/readyz").status, 503);
}
