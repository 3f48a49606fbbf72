//! Lists: order, limits, cursors and totals.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use swarmstate::StoreExt;

use crate::given::{Answer, Client, ENGINES, Service};

/// All keys below a path by cursors, and how many pages they took.
fn walked(client: &Client, path: &str) -> (Vec<String>, usize) {
    let (mut keys, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let at = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let page: Answer = client.get(&format!("{path}{at}"));
        keys.extend(page.keys().into_iter().map(str::to_owned));
        pages += 1;
        cursor = page.body["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return (keys, pages);
        }
    }
}

#[test]
fn a_list_is_by_prefix_in_ascending_bytes_and_counts_its_matches() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let operator = service.operator();
        for key in ["daily-b", "Daily-x", "daily-a", "daily", "d"] {
            operator.set(&format!("/api/kv/_/n/{key}"), "1");
        }

        let listed = operator.get("/api/kv/_/n?prefix=daily-&limit=50");
        let first = operator.get("/api/kv/_/n?limit=2");
        let cursor = first.body["nextCursor"].as_str().expect("there is more");
        let second = operator.get(&format!("/api/kv/_/n?limit=2&cursor={cursor}"));

        assert_eq!((listed.keys(), &listed.body["total"]), (vec!["daily-a", "daily-b"], &json!(2)), "{engine}");
        assert_eq!(listed.body["nextCursor"], json!(null), "{engine}");
        assert_eq!((first.keys(), &first.body["total"]), (vec!["Daily-x", "d"], &json!(5)), "{engine}");
        assert_eq!((second.keys(), &second.body["total"]), (vec!["daily", "daily-a"], &json!(null)), "{engine}");
        assert_eq!(walked(&operator, "/api/kv/_/n?limit=1").0.len(), 5, "{engine}");
        assert_eq!(operator.get("/api/kv/_/n?offset=3").keys(), ["daily-a", "daily-b"], "{engine}");
    }
}

#[test]
fn a_query_that_is_wrong_is_refused() {
    let service = Service::new();
    let wrong = [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "offset=-1",
        "offset=x",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=a2s&offset=1",
        "keysOnly=yes",
    ];

    for query in wrong {
        let refused = service.operator().get(&format!("/api/kv/_/n?{query}"));
        assert_eq!(refused.status, 400, "{query}: {}", refused.text);
    }
    assert_eq!(service.operator().get("/api/kv/_/n?limit=1000&colour=red").status, 200);
}

#[test]
fn a_page_ends_once_its_values_take_eight_mebibytes() {
    let service = Service::new();
    let large = "x".repeat(3 << 20);
    for key in ["a", "b", "c", "d"] {
        service.store.set("n", key, &*large).expect("a store takes large values");
    }

    let first = service.operator().get("/api/kv/_/n");
    let (keys, pages) = walked(&service.operator(), "/api/kv/_/n?limit=100");

    assert_eq!((first.keys(), &first.body["total"]), (vec!["a", "b", "c"], &json!(4)));
    assert_eq!((keys, pages), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), 2));
}

#[test]
fn paging_neither_repeats_nor_skips_what_stood_still_while_others_write() {
    for engine in ["memory", "sqlite"] {
        let service = Service::on(engine);
        for n in 0..200 {
            service.store.set("n", &format!("k{n:03}"), n).expect("the store is open");
        }
        let (operator, is_done) = (service.operator(), AtomicBool::new(false));

        let keys = thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..1000).cycle() {
                    if is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    service.store.set("n", &format!("k{:03}-x", n % 200), n).expect("the store is open");
                    service.store.delete("n", &format!("k{:03}-x", (n + 100) % 200)).expect("the store is open");
                }
            });
            let keys = walked(&operator, "/api/kv/_/n?limit=7").0;
            is_done.store(true, Ordering::Relaxed);
            keys
        });

        let stood: Vec<_> = keys.iter().filter(|key| !key.ends_with("-x")).cloned().collect();
        assert_eq!(stood, (0..200).map(|n| format!("k{n:03}")).collect::<Vec<_>>(), "{engine}");
        assert!(keys.is_sorted(), "{engine}");
    }
}

#[test]
fn namespaces_are_listed_without_those_of_the_integrations() {
    for engine in ENGINES {
        let service = Service::on(engine);
        for namespace in ["a", "task:agent:x", "\u{1f}threads", "\u{1f}z", "ä b"] {
            service.store.set(namespace, "k", 1).expect("a store takes any name");
        }
        let operator = service.operator();

        let all = operator.get("/api/namespaces");
        let first = operator.get("/api/namespaces?limit=1");
        let cursor = first.body["nextCursor"].as_str().expect("there is more");
        let second = operator.get(&format!("/api/namespaces?limit=2&cursor={cursor}"));

        assert_eq!(all.body["namespaces"], json!(["a", "task:agent:x", "ä b"]), "{engine}");
        assert_eq!(first.body["namespaces"], json!(["a"]), "{engine}");
        assert_eq!(second.body["namespaces"], json!(["task:agent:x", "ä b"]), "{engine}");
        assert_eq!(second.body["nextCursor"], json!(null), "{engine}");
        assert_eq!(operator.get("/api/namespaces?prefix=%1F").body["namespaces"], json!([]), "{engine}");
        assert_eq!(
            operator.get("/api/namespaces?prefix=task:").body["namespaces"],
            json!(["task:agent:x"]),
            "{engine}"
        );
    }
}

#[test]
fn a_list_shows_keys_that_no_door_can_name() {
    let service = Service::new();
    service.store.set("n", "a b", 1).expect("a store takes any name");

    let listed = service.operator().get("/api/kv/_/n");
    let read = service.operator().get("/api/kv/_/n/a%20b");

    assert_eq!((listed.keys(), read.status), (vec!["a b"], 400));
}
