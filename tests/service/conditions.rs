//! Conditions on revisions: `If-Match`, `If-None-Match`, ETags.

use crate::given::{ENGINES, Service};

const PATH: &str = "/api/kv/_/n/k";

#[test]
fn a_write_under_a_revision_is_carried_out_once() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        let first = operator.set(PATH, "1");
        let tag = first.header("etag").expect("an entry has an ETag").to_owned();
        let holder = operator.clone().with("If-Match", &tag);

        let (second, third) = (holder.set(PATH, "2"), holder.set(PATH, "3"));

        assert_eq!(tag, format!("\"{}\"", first.body["revision"]), "{engine}");
        assert_eq!((second.status, third.status, third.code()), (200, 412, "conflict"), "{engine}");
        assert_eq!(third.body["revision"], second.body["revision"], "{engine}");
        assert_eq!(operator.get(PATH).value(), 2, "{engine}");
    }
}

#[test]
fn the_conditions_of_every_verb_are_as_the_table_says() {
    // Whether the key is there, the header, and the statuses of PUT, INCR and DELETE.
    let table = [
        (true, "If-Match", "*", [200, 200, 204]),
        (false, "If-Match", "*", [412, 412, 412]),
        (true, "If-Match", "REVISION", [200, 200, 204]),
        (true, "If-Match", "\"1\", REVISION", [200, 200, 204]),
        (true, "If-Match", "\"999999999999999999\"", [412, 412, 412]),
        (true, "If-Match", "W/REVISION", [412, 412, 412]),
        (true, "If-Match", "\"other\"", [412, 412, 412]),
        (true, "If-Match", "7", [400, 400, 400]),
        (false, "If-Match", "\"7\"", [412, 412, 412]),
        (true, "If-None-Match", "*", [412, 412, 412]),
        (false, "If-None-Match", "*", [200, 200, 404]),
        (true, "If-None-Match", "\"7\"", [400, 400, 400]),
    ];
    for (is_there, header, value, statuses) in table {
        for (verb, status) in ["PUT", "POST", "DELETE"].into_iter().zip(statuses) {
            let service = Service::new();
            let put = r#"{"value":1,"valueType":"integer"}"#;
            let tag = if is_there { service.operator().put(PATH, put).header("etag").map(str::to_owned) } else { None };
            let value = value.replace("REVISION", tag.as_deref().unwrap_or(""));
            let client = service.operator().with(header, &value);
            let answer = match verb {
                "PUT" => client.put(PATH, put),
                "POST" => client.post(&format!("{PATH}/incr"), ""),
                _ => client.delete(PATH),
            };
            assert_eq!(answer.status, status, "{verb} with {header}: {value}, {is_there}: {}", answer.text);
        }
    }
}

#[test]
fn both_conditions_at_once_are_refused() {
    let service = Service::new();
    let client = service.operator().with("If-Match", "*").with("If-None-Match", "*");

    assert_eq!(client.set(PATH, "1").status, 400);
}

#[test]
fn a_reader_that_has_the_entry_gets_no_body() {
    let service = Service::new();
    let operator = service.operator();
    let tag = operator.set(PATH, "1").header("etag").map(str::to_owned).expect("an entry has an ETag");

    let known = operator.clone().with("If-None-Match", &tag).get(PATH);
    let other = operator.with("If-None-Match", "\"999999\", W/\"1\"").get(PATH);

    assert_eq!((known.status, &*known.text, known.header("etag")), (304, "", Some(&*tag)));
    assert_eq!(other.status, 200);
}

#[test]
fn a_head_has_the_headers_of_a_get() {
    let service = Service::new();
    let operator = service.operator();
    operator.set(PATH, "1");

    let (head, get) = (operator.send("HEAD", PATH, ""), operator.get(PATH));

    assert_eq!((head.status, &*head.text), (200, ""));
    for name in ["etag", "content-type", "content-length", "cache-control"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(get.header("cache-control"), Some("private, no-cache"));
    assert_eq!(operator.send("HEAD", "/api/kv/_/n/none", "").status, 404);
}

#[test]
fn a_condition_that_fails_is_told_before_a_value_of_another_type() {
    let service = Service::new();
    service.operator().set(PATH, "\"text\"");

    let refused = service.operator().with("If-Match", "\"999\"").post(&format!("{PATH}/incr"), "");

    assert_eq!(refused.status, 412);
}
