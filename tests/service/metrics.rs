//! What the service counts of itself.

use serde_json::json;

use crate::given::Service;

#[test]
fn requests_are_counted_by_operation_and_status_without_names_or_secrets() {
    let service = Service::new();
    let operator = service.agent("some-agent");
    operator.set("/api/kv/secret-key", "\"secret-value\"");
    operator.get("/api/kv/secret-key");
    operator.get("/api/kv/none");
    operator.tool("kv-get", json!({"key": "secret-key"}));
    service.anonymous().post("/mcp", "{}");
    operator.get("/secret/path");

    let counted = operator.get("/metrics");

    assert_eq!(counted.status, 200);
    for line in [
        "swarmstate_requests_total{operation=\"put\",status=\"200\"} 1",
        "swarmstate_requests_total{operation=\"get\",status=\"200\"} 1",
        "swarmstate_requests_total{operation=\"get\",status=\"404\"} 1",
        "swarmstate_request_seconds_count{operation=\"get\"} 2",
        "swarmstate_requests_total{operation=\"mcp\",status=\"200\"} 1",
        "swarmstate_requests_total{operation=\"mcp\",status=\"401\"} 1",
        "swarmstate_requests_total{operation=\"other\",status=\"404\"} 1",
    ] {
        assert!(counted.text.contains(line), "{line}: {}", counted.text);
    }
    for secret in ["secret", "none", "some-agent", service.server.api_key()] {
        assert!(!counted.text.contains(secret), "{secret}: {}", counted.text);
    }
}

#[test]
fn only_the_operator_sees_the_counts() {
    let service = Service::new();
    let admin = service.token("a", &["read", "write", "admin"]);

    assert_eq!(service.anonymous().get("/metrics").status, 401);
    assert_eq!(admin.get("/metrics").status, 403);
    assert_eq!(service.operator().post("/metrics", "{}").status, 405);
}
