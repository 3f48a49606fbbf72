//! Watching: what is told, in which order, to whom, and how a watch goes on and ends.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::given::{Client, ENGINES, Service};

/// A watch that is under way.
pub(crate) struct Watch {
    lines: BufReader<ureq::BodyReader<'static>>,
    /// The id that was heard last.
    last: String,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    name: String,
    data: Value,
}

impl Watch {
    /// The next event; `None` at the end.
    fn next(&mut self) -> Option<Told> {
        loop {
            let told = self.block()?;
            if told.name != "sign" {
                return Some(told);
            }
        }
    }

    /// What comes up to an empty line; without an event it is a sign of life.
    fn block(&mut self) -> Option<Told> {
        let mut told = Told { name: "sign".to_owned(), data: Value::Null };
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", name)) => told.name = name.to_owned(),
                Some(("id", id)) => self.last = id.to_owned(),
                Some(("data", data)) => told.data = serde_json::from_str(data).expect("an event is JSON"),
                Some(("", _)) => {}
                other => {
                    assert_eq!((other, line.as_str()), (None, "\n"));
                    return Some(told);
                }
            }
        }
    }

    /// So many events, as name, key and value.
    fn changes(&mut self, count: usize) -> Vec<(String, String, Value)> {
        (0..count)
            .map(|_| {
                let Told { name, data } = self.next().expect("the watch goes on");
                (name, data["key"].as_str().unwrap_or("").to_owned(), data["value"].clone())
            })
            .collect()
    }
}

fn watch(client: &Client, path: &str) -> Watch {
    let (status, body) = client.open(path);
    assert_eq!(status, 200);
    Watch { lines: BufReader::new(body), last: String::new() }
}

fn resume(client: &Client, path: &str, last: &str) -> Watch {
    Watch { last: last.to_owned(), ..watch(&client.clone().with("Last-Event-ID", last), path) }
}

#[test]
fn every_door_tells_of_what_it_changes_in_the_order_of_the_writes() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        let mut watch = watch(&operator, "/api/kv/_/n?watch=true");

        operator.set("/api/kv/_/n/a", "[1]");
        operator.post("/api/kv/_/n/i/incr", r#"{"by":2}"#);
        operator.post("/api/kv/_/n/c/claim", r#"{"seconds":60,"value":"me"}"#);
        operator.post("/api/kv/_/n/c/claim", r#"{"seconds":60,"value":"you"}"#);
        let batch = r#"{"operations":[{"op":"check","key":"a","revision":REV},{"op":"delete","key":"a"},
            {"op":"delete","key":"never"},{"op":"incr","key":"i"},{"op":"set","key":"b","value":true}]}"#;
        let revision = operator.get("/api/kv/_/n/a").body["revision"].to_string();
        assert_eq!(operator.post("/api/kv/_/n", &batch.replace("REV", &revision)).status, 200);
        operator.tool("kv-set", json!({"key": "m", "value": 1, "namespace": "n"}));
        operator.delete("/api/kv/_/n/b");
        operator.delete("/api/kv/_/n/never");

        let told = watch.changes(8);
        let expected = [
            ("set", "a", json!([1])),
            ("set", "i", json!(2)),
            ("set", "c", json!("me")),
            ("delete", "a", json!(null)),
            ("set", "i", json!(3)),
            ("set", "b", json!(true)),
            ("set", "m", json!(1)),
            ("delete", "b", json!(null)),
        ];
        let expected = expected.map(|(name, key, value)| (name.to_owned(), key.to_owned(), value));
        assert_eq!(told, expected, "{engine}");
    }
}

#[test]
fn an_event_holds_the_entry_as_a_read_shows_it_or_what_was_removed() {
    let service = Service::new();
    let operator = service.operator();
    let mut watch = watch(&operator, "/api/kv/_/n?watch=true");

    let put = operator.put("/api/kv/_/n/k", r#"{"value":{"a":"\n"},"expiresInSec":60}"#);
    let set = watch.next().expect("the watch goes on");
    operator.delete("/api/kv/_/n/k");
    let deleted = watch.next().expect("the watch goes on");

    assert_eq!((set.name.as_str(), &set.data), ("set", &put.body));
    assert_eq!((deleted.name.as_str(), &deleted.data["key"]), ("delete", &json!("k")));
    assert_eq!(deleted.data["namespace"], "n");
    assert!(deleted.data["revision"].as_u64() > set.data["revision"].as_u64());
}

#[test]
fn a_watch_is_of_one_namespace_and_prefix_or_for_admins_of_many() {
    let service = Service::new();
    let operator = service.operator();
    let mut one = watch(&operator, "/api/kv/_/n?watch=true&prefix=a-");
    let mut many = watch(&operator, "/api/namespaces?watch=true&prefix=n");
    let mut own = watch(&service.agent("me"), "/api/kv?watch=true");
    let reader = service.token("bob", &["read"]);

    for path in ["m/a-1", "n/b", "n/a-1", "task:agent:me/x", "n2/k"] {
        operator.with_agent("me").set(&format!("/api/kv/_/{path}"), "1");
    }

    assert_eq!(one.changes(1)[0].1, "a-1");
    assert_eq!(many.changes(3).into_iter().map(|(_, key, _)| key).collect::<Vec<_>>(), ["b", "a-1", "k"]);
    assert_eq!(own.changes(1)[0].1, "x");
    assert_eq!(reader.open("/api/kv/_/n?watch=true").0, 200);
    assert_eq!(reader.open("/api/namespaces?watch=true").0, 403);
    assert_eq!(service.token("bob", &["write"]).open("/api/kv/_/n?watch=true").0, 403);
}

#[test]
fn who_comes_back_hears_what_it_missed_or_that_it_cannot() {
    let service = Service::new();
    let operator = service.operator();
    let path = "/api/kv/_/n?watch=true";
    let mut first = watch(&operator, path);
    // The place is told before anything happens.
    first.block();
    let start = first.last.clone();
    operator.set("/api/kv/_/n/a", "1");
    first.changes(1);
    let middle = first.last.clone();
    drop(first);
    operator.set("/api/kv/_/n/b", "2");
    operator.set("/api/kv/_/other/b", "2");
    operator.delete("/api/kv/_/n/a");

    let names = |last: &str| {
        let mut again = resume(&operator, path, last);
        operator.set("/api/kv/_/n/end", "0");
        let mut names = Vec::new();
        while names.last().is_none_or(|last| !matches!(last, (name, key) if name == "reset" || key == "end")) {
            names.extend(again.changes(1).into_iter().map(|(name, key, _)| (name, key)));
        }
        names
    };
    let told = |names: &[(&str, &str)]| {
        names.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect::<Vec<_>>()
    };

    assert_eq!(names(&middle), told(&[("set", "b"), ("delete", "a"), ("set", "end")]));
    assert_eq!(names(&start)[..3], told(&[("set", "a"), ("set", "b"), ("delete", "a")]));
    let (boot, _) = middle.split_once('-').expect("an id has a number");
    for unknown in [&format!("{boot}-999999"), &format!("{boot}-"), "0000000000000000-1", "x", "-"] {
        assert_eq!(names(unknown), told(&[("reset", "")]), "{unknown}");
    }
}

#[test]
fn a_restore_resets_every_watch_also_one_that_comes_back_later() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        let snapshot = operator.post("/api/snapshots", "").body["id"].to_string();
        let (mut live, mut cut) =
            (watch(&operator, "/api/kv/_/n?watch=true"), watch(&operator, "/api/kv/_/m?watch=true"));
        cut.block();
        let last = cut.last.clone();
        drop(cut);

        assert_eq!(operator.post(&format!("/api/snapshots/{snapshot}/restore"), "").status, 200);

        let mut back = resume(&operator, "/api/kv/_/m?watch=true", &last);
        assert_eq!(live.next(), Some(Told { name: "reset".to_owned(), data: json!({"namespace": "n"}) }), "{engine}");
        assert_eq!(back.next(), Some(Told { name: "reset".to_owned(), data: json!({"namespace": "m"}) }), "{engine}");
        operator.set("/api/kv/_/n/k", "1");
        assert_eq!(live.changes(1)[0].1, "k", "{engine}");
    }
}

#[test]
fn a_watch_ends_with_the_token_that_it_was_opened_with() {
    let service = Service::on("sqlite");
    let operator = service.operator();
    let token = |body: &str| operator.post("/api/tokens", body).body;
    let lasting = token(r#"{"agentId":"a","scopes":["read"]}"#);
    let short = token(r#"{"agentId":"a","scopes":["read"],"expiresInSec":60}"#);
    let open = |token: &Value| {
        let secret = token["token"].as_str().expect("a new token has a secret");
        watch(&service.anonymous().with("Authorization", &format!("Bearer {secret}")), "/api/kv/_/n?watch=true")
    };
    let (mut revoked, mut expired) = (open(&lasting), open(&short));

    operator.delete(&format!("/api/tokens/{}", lasting["id"].as_str().expect("a token has an id")));
    let after_revoking = revoked.next();
    service.clock.advance(Duration::from_secs(60));

    assert_eq!((after_revoking, expired.next()), (None, None));
}

#[test]
fn a_stopped_server_ends_its_watches_at_once() {
    let service = Service::new();
    let mut watch = watch(&service.operator(), "/api/kv/_/n?watch=true");

    let started = Instant::now();
    service.server.stop();

    assert_eq!(watch.next(), None);
    assert!(started.elapsed() < Duration::from_secs(8), "it waited for the watch as for a request that hangs");
}

#[test]
fn a_quiet_watch_gives_a_sign_of_life_that_moves_its_place_on() {
    let service = Service::new();
    let operator = service.operator();
    let mut watch = watch(&operator, "/api/kv/_/n?watch=true");
    watch.block();
    let first = watch.last.clone();
    operator.set("/api/kv/_/other/k", "1");

    service.clock.advance(Duration::from_secs(15));
    let sign = watch.block().map(|told| told.name);

    assert_eq!(sign.as_deref(), Some("sign"));
    assert_ne!(watch.last, first);
}

#[test]
fn who_reads_nothing_holds_up_no_writer_and_is_reset() {
    let service = Service::new();
    let operator = service.operator();
    let mut slow = watch(&operator, "/api/kv/_/n?watch=true");
    let value = format!("\"{}\"", "x".repeat(20_000));

    // More than sockets hold, and more than a thousand events.
    for _ in 0..2000 {
        assert_eq!(operator.set("/api/kv/_/n/k", &value).status, 200);
    }
    let last = operator.set("/api/kv/_/n/end", "1").body["revision"].clone();

    let mut told = Vec::new();
    while told.last().is_none_or(|told: &Told| told.name != "reset") {
        told.push(slow.next().expect("the watch goes on"));
    }
    operator.set("/api/kv/_/n/after", "1");
    let next = slow.next().expect("the watch goes on");
    assert!(told.len() < 2001, "it heard all of it");
    assert_eq!(next.data["key"], "after");
    assert!(next.data["revision"].as_u64() > last.as_u64());
}

#[derive(Clone, Debug)]
enum Act {
    Set(u8),
    Increment(u8),
    Delete(u8),
    Restore,
    Cut,
    Hear,
}

fn act() -> impl Strategy<Value = Act> {
    let key = || 0_u8..3;
    prop_oneof![
        4 => key().prop_map(Act::Set),
        3 => key().prop_map(Act::Increment),
        3 => key().prop_map(Act::Delete),
        1 => Just(Act::Restore),
        3 => Just(Act::Cut),
        2 => Just(Act::Hear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However a watch is cut and resumed, what it tells is every write since its beginning, or since a `reset`.
    #[test]
    fn a_watch_that_is_cut_and_resumed_has_no_gap(acts in prop::collection::vec(act(), 1..40)) {
        let service = Service::new();
        let operator = service.operator();
        let snapshot = operator.post("/api/snapshots", "").body["id"].to_string();
        let path = "/api/kv/_/n?watch=true";
        let mut watch = watch(&operator, path);
        watch.block();
        let (mut written, mut heard) = (Vec::<(String, Value)>::new(), Vec::new());
        let mut pending = 0_usize;

        for act in acts.into_iter().chain([Act::Cut, Act::Set(9), Act::Hear]) {
            let at = |key: u8| format!("/api/kv/_/n/{key}");
            match act {
                Act::Set(key) => {
                    let put = operator.put(&at(key), r#"{"value":1,"valueType":"integer"}"#);
                    written.push(("set".to_owned(), put.body["revision"].clone()));
                    pending += 1;
                }
                Act::Increment(key) => {
                    let sum = operator.post(&format!("{}/incr", at(key)), "");
                    written.push(("set".to_owned(), sum.body["revision"].clone()));
                    pending += 1;
                }
                Act::Delete(key) => {
                    if operator.delete(&at(key)).status == 204 {
                        written.push(("delete".to_owned(), Value::Null));
                        pending += 1;
                    }
                }
                Act::Restore => {
                    operator.post(&format!("/api/snapshots/{snapshot}/restore"), "");
                    written.clear();
                    heard.clear();
                    pending = 1;
                    while watch.next().expect("the watch goes on").name != "reset" {}
                    pending -= 1;
                }
                Act::Cut => watch = resume(&operator, path, &watch.last.clone()),
                Act::Hear => {
                    for _ in 0..std::mem::take(&mut pending) {
                        let Told { name, data } = watch.next().expect("the watch goes on");
                        let revision = if name == "delete" { Value::Null } else { data["revision"].clone() };
                        heard.push((name, revision));
                    }
                }
            }
        }

        prop_assert_eq!(heard, written);
    }
}
