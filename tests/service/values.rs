//! Values: exact JSON in and out, types, limits.

use serde_json::json;
use swarmstate::{Key, Kind, Namespace, Operation, StoreExt, Value};

use crate::given::Service;

#[test]
fn json_comes_back_exactly() {
    let service = Service::new();
    let operator = service.operator();
    let texts = [
        "null",
        "true",
        r#"{"b":1,"a":[1.5,-0.0,"ä\n"],"":{}}"#,
        "18446744073709551615",
        "-9223372036854775808",
        "1.0",
        "[]",
        r#""""#,
    ];

    for text in texts {
        let written = operator.set("/api/kv/_/n/k", text);
        let read = operator.get("/api/kv/_/n/k");
        assert_eq!((written.status, read.status), (200, 200), "{text}");
        assert!(read.text.contains(&format!("\"value\":{text},")), "{text}: {}", read.text);
    }
}

#[test]
fn what_json_cannot_say_exactly_is_refused() {
    let service = Service::new();
    let operator = service.operator();
    let deep = format!("{}{}", "[".repeat(257), "]".repeat(257));
    let texts = [
        "18446744073709551616",
        "-9223372036854775809",
        "1e400",
        r#""\ud800""#,
        r#"{"a":1,"a":2}"#,
        r#"[{"a":{"b":1,"b":2}}]"#,
        "01",
        "[1,]",
        "NaN",
        "",
        &deep,
    ];

    for text in texts {
        let refused = operator.set("/api/kv/_/n/k", text);
        assert_eq!((refused.status, refused.code()), (400, "invalid"), "{text}");
    }
    assert_eq!(operator.get("/api/kv/_/n/k").status, 404);
}

#[test]
fn a_value_may_nest_to_256_levels() {
    let service = Service::new();
    let deep = format!("{}{}", "[".repeat(256), "]".repeat(256));

    let written = service.operator().set("/api/kv/_/n/k", &deep);
    let operations = format!(r#"{{"operations":[{{"op":"set","key":"k","value":{deep}}}]}}"#);
    let batched = service.operator().post("/api/kv/_/n", &operations);

    assert_eq!((written.status, batched.status), (200, 200), "{}", batched.text);
}

#[test]
fn a_value_is_what_its_type_says() {
    let service = Service::new();
    let operator = service.operator();
    let table = [
        ("5", "integer", Some("5")),
        ("5.0", "integer", Some("5")),
        (r#""-12""#, "integer", Some("-12")),
        ("9007199254740991", "integer", Some("9007199254740991")),
        ("9007199254740992", "integer", None),
        (r#""9007199254740992""#, "integer", None),
        ("5.5", "integer", None),
        (r#""+5""#, "integer", None),
        (r#"" 5""#, "integer", None),
        (r#""""#, "integer", None),
        (r#""-""#, "integer", None),
        ("true", "integer", None),
        ("null", "integer", None),
        (r#""a b""#, "string", Some(r#""a b""#)),
        ("5", "string", None),
        ("null", "string", None),
        ("5", "json", Some("5")),
        ("5", "bytes", None),
        ("5", "float", None),
    ];

    for (value, kind, shown) in table {
        let body = format!(r#"{{"value":{value},"valueType":"{kind}"}}"#);
        let answer = operator.put("/api/kv/_/n/k", &body);
        match shown {
            Some(shown) => {
                assert!(answer.text.contains(&format!("\"value\":{shown},")), "{body}: {}", answer.text);
                assert_eq!(answer.body["valueType"], kind, "{body}");
            }
            None => assert_eq!((answer.status, answer.code()), (400, "invalid"), "{body}"),
        }
    }
}

#[test]
fn a_known_member_that_is_null_or_wrong_is_refused_and_an_unknown_one_is_nothing() {
    let service = Service::new();
    let operator = service.operator();
    let wrong = [
        r#"{"value":1,"valueType":null}"#,
        r#"{"value":1,"expiresInSec":null}"#,
        r#"{"value":1,"expiresInSec":0}"#,
        r#"{"value":1,"expiresInSec":-5}"#,
        r#"{"value":1,"expiresInSec":1.5}"#,
        r#"{"value":1,"expiresInSec":"60"}"#,
        r#"{"value":1,"expiresInSec":9007199254740991}"#,
        r#"{"valueType":"json"}"#,
        "null",
        r#"[1]"#,
        r#""x""#,
    ];

    for body in wrong {
        assert_eq!(operator.put("/api/kv/_/n/k", body).status, 400, "{body}");
    }
    assert_eq!(operator.put("/api/kv/_/n/k", r#"{"value":1,"colour":null}"#).status, 200);
    assert_eq!(operator.post("/api/kv/_/n/c/incr", r#"{"by":null}"#).status, 400);
}

#[test]
fn a_value_above_two_mebibytes_is_refused_and_one_of_them_is_taken() {
    let service = Service::new();
    let operator = service.operator();
    let mib2 = 2 * 1024 * 1024;
    let string = |length: usize| format!(r#"{{"value":"{}","valueType":"string"}}"#, "a".repeat(length));
    let escaped = format!(r#"{{"value":"{}","valueType":"string"}}"#, "\\u0061".repeat(mib2));

    let fits = operator.put("/api/kv/_/n/k", &string(mib2));
    let above = operator.put("/api/kv/_/n/k", &string(mib2 + 1));
    let fits_escaped = operator.put("/api/kv/_/n/k", &escaped);
    let json_above = operator.set("/api/kv/_/n/k", &format!("[\"{}\"]", "a".repeat(mib2)));

    assert_eq!((fits.status, above.status, fits_escaped.status, json_above.status), (200, 413, 200, 413));
    assert_eq!(above.code(), "too_large");
}

#[test]
fn counting_stays_within_what_every_json_reader_holds() {
    let service = Service::new();
    let operator = service.operator();
    operator.put("/api/kv/_/n/top", r#"{"value":9007199254740991,"valueType":"integer"}"#);

    let above = operator.post("/api/kv/_/n/top/incr", "");
    let below = operator.post("/api/kv/_/n/top/incr", r#"{"by":-1}"#);
    let zero = operator.post("/api/kv/_/n/new/incr", r#"{"by":0}"#);
    let unsafe_by = operator.post("/api/kv/_/n/new/incr", r#"{"by":9007199254740992}"#);

    assert_eq!((above.status, above.code()), (400, "invalid"));
    assert_eq!((below.value(), zero.value()), (&json!(9_007_199_254_740_990_i64), &json!(0)));
    assert_eq!(unsafe_by.status, 400);
}

#[test]
fn counting_what_is_no_integer_is_a_collision() {
    let service = Service::new();
    let operator = service.operator();
    for body in [r#"{"value":1}"#, r#"{"value":"1","valueType":"string"}"#] {
        operator.put("/api/kv/_/n/k", body);

        let refused = operator.post("/api/kv/_/n/k/incr", "");

        assert_eq!((refused.status, refused.code()), (409, "wrong_type"), "{body}");
    }
}

#[test]
fn a_large_integer_of_python_reads_exactly_and_cannot_be_counted() {
    let service = Service::new();
    service.store.set("n", "k", i64::MAX).expect("a store takes 64 bits");

    let read = service.operator().get("/api/kv/_/n/k");
    let counted = service.operator().post("/api/kv/_/n/k/incr", r#"{"by":-1}"#);

    assert!(read.text.contains("\"value\":9223372036854775807,"), "{}", read.text);
    assert_eq!(counted.status, 400);
}

#[test]
fn what_json_cannot_hold_is_read_in_base64() {
    let service = Service::new();
    service.store.set("n", "raw", &b"\x00\xff"[..]).expect("a store takes bytes");
    let nan = [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0];
    let operation = Operation::Set {
        namespace: Namespace::new("n").expect("it is short"),
        key: Key::new("nan").expect("it is short"),
        value: Value::borrowed(Kind::Json, &nan),
        expiry: swarmstate::Expiry::Never,
    };
    service.store.apply(operation, None).expect("a store takes any msgpack");
    let operator = service.operator();

    let (raw, nan) = (operator.get("/api/kv/_/n/raw"), operator.get("/api/kv/_/n/nan"));
    let listed = operator.get("/api/kv/_/n");

    assert_eq!((raw.value(), &raw.body["encoding"]), (&json!("AP8="), &json!("base64")));
    assert_eq!((nan.value(), &nan.body["encoding"]), (&json!("y3/4AAAAAAAA"), &json!("msgpack+base64")));
    assert_eq!(listed.keys(), ["nan", "raw"]);
}
