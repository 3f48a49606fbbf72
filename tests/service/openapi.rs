//! The OpenAPI document: that it tells of routes that exist, and of all of them.

use serde_json::Value;

use crate::given::Service;

#[test]
fn every_operation_of_the_document_has_a_route_and_a_status_that_it_tells() {
    let service = Service::new();
    let document = service.anonymous().get("/openapi.json").body;
    let paths = document["paths"].as_object().expect("a document has paths");
    let mut seen = 0;

    for (path, methods) in paths {
        let asked = path.replace("{namespace}", "n").replace("{key}", "k").replace("{id}", "1");
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let body = if matches!(method.as_str(), "put" | "post") { "{}" } else { "" };
            let answer = service.agent("a").send(&method.to_uppercase(), &asked, body);
            let told = operation["responses"].as_object().expect("an operation has responses");
            assert!(told.contains_key(&answer.status.to_string()), "{method} {path}: {}", answer.text);
            assert!(!matches!(answer.code(), "no_route" | "method_not_allowed"), "{method} {path}: {}", answer.text);
            seen += 1;
        }
    }

    assert_eq!((document["openapi"].as_str(), seen), (Some("3.1.0"), 39));
}

#[test]
fn the_lists_tell_that_they_can_be_watched() {
    let service = Service::new();
    let document = service.anonymous().get("/openapi.json").body;

    for path in ["/api/kv", "/api/kv/_/{namespace}", "/api/namespaces"] {
        let list = &document["paths"][path]["get"];
        assert!(list["description"].as_str().is_some_and(|text| text.contains("watch=true")), "{path}");
        assert!(list["responses"]["200"]["content"]["text/event-stream"].is_object(), "{path}");
    }
}

#[test]
fn every_schema_that_is_named_is_there() {
    let service = Service::new();
    let answer = service.anonymous().get("/openapi.json");
    let schemas = answer.body["components"]["schemas"].as_object().expect("a document has schemas");

    let named = answer.text.split("\"#/components/schemas/").skip(1);
    let named: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();

    assert!(named.len() > 50);
    for name in named {
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[test]
fn the_page_tells_of_every_operation_and_runs_no_script() {
    let service = Service::new();
    let page = service.anonymous().get("/docs");
    let document = service.anonymous().get("/openapi.json").body;

    for path in document["paths"].as_object().map(|paths| paths.keys()).into_iter().flatten() {
        assert!(page.text.contains(&format!("<code>{path}</code>")), "{path}");
    }
    let policy = page.header("content-security-policy").unwrap_or("").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!((page.status, page.body), (200, Value::Null));
}
