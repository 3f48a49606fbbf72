//! What a store on Redis keeps to when servers, connections and clients fail. Every server here is real, and of the test's own.

#![cfg(feature = "redis")]

use std::thread;
use std::time::{Duration, Instant};

use swarmstate::{Error, Namespace, Range, Reader, Redis, RedisOptions, Snapshot, Store, StoreExt, Value};

mod crash;
mod load;
#[path = "../contract/proxy.rs"]
mod proxy;
#[path = "../contract/servers.rs"]
mod servers;
mod troubles;

use proxy::{Mode, Proxy};
use servers::Server;

fn options(timeout_millis: u64) -> RedisOptions {
    RedisOptions {
        prefix: servers::fresh_prefix(),
        timeout: Duration::from_millis(timeout_millis),
        ..Default::default()
    }
}

fn open(url: &str, timeout_millis: u64) -> Redis {
    Redis::open(url, options(timeout_millis)).expect("the server answers")
}

fn through(proxy: &Proxy, timeout_millis: u64) -> Redis {
    open(&format!("redis://127.0.0.1:{}", proxy.port), timeout_millis)
}

fn counter(store: &Redis, key: &str) -> u64 {
    u64::try_from(store.increment("n", key, 0).expect("the server answers")).expect("it only rises")
}

#[test]
fn a_server_that_pauses_ends_calls_at_their_time_and_serves_again() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 300);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["CLIENT", "PAUSE", "60000", "WRITE"]);

    let started = Instant::now();
    let paused = store.set("n", "k", 2);
    let waited = started.elapsed();

    assert!(matches!(&paused, Err(Error::Unavailable { what }) if what.contains("may have happened")), "{paused:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    servers::command(server.port, &["CLIENT", "UNPAUSE"]);
    let revision = store.set("n", "k", 3).expect("it serves again");
    assert!(store.replace("n", "k", 4, revision).is_ok());
}

#[test]
fn a_connection_that_falls_silent_is_replaced() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 300);
    store.set("n", "k", 1).expect("valid");
    proxy.set(Mode::Silent);
    assert!(matches!(store.contains("n", "k"), Err(Error::Unavailable { .. })));

    // The old connection stays silent for ever; only a new one can answer.
    proxy.set(Mode::Pass);

    assert_eq!(store.contains("n", "k"), Ok(true));
}

#[test]
fn a_write_under_a_condition_whose_answer_was_lost_succeeds_once() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 5_000);
    let first = store.set("n", "k", 1).expect("valid");
    proxy.set(Mode::CutOneAnswer);

    let second = store.replace("n", "k", 2, first).expect("it happened, and a repeat tells");

    let entry = store.get(&Namespace::new("n").expect("short"), &swarmstate::Key::new("k").expect("short"));
    assert_eq!(entry.expect("it answers").map(|entry| entry.revision()), Some(second));
    assert!(second > first && matches!(store.replace("n", "k", 3, first), Err(Error::Conflict(_))));
    proxy.set(Mode::CutOneAnswer);
    assert!(store.replace("n", "new", 1, 0).is_ok(), "an absent key is a condition too");
}

#[test]
fn a_write_without_a_condition_whose_answer_was_lost_may_have_happened_once() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 5_000);
    store.increment("n", "k", 1).expect("valid");
    proxy.set(Mode::CutOneAnswer);

    let lost = store.increment("n", "k", 1);

    assert!(matches!(&lost, Err(Error::Unavailable { what }) if what.contains("may have happened")), "{lost:?}");
    assert_eq!(counter(&store, "k"), 2);
}

#[test]
fn a_restore_or_clear_whose_answer_was_lost_is_not_done_over_later_writes() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let options = options(5_000);
    let open = |port| Redis::open(&format!("redis://127.0.0.1:{port}"), options.clone()).expect("the server answers");
    let (store, other) = (open(proxy.port), open(server.port));
    store.set("n", "k", 1).expect("valid");
    let snapshot = store.snapshot().expect("it answers");
    other.set("n", "k", 2).expect("valid");

    for change in [
        |store: &Redis, snapshot: &dyn Snapshot| store.restore(snapshot),
        |store: &Redis, _: &dyn Snapshot| store.clear(),
    ] {
        proxy.set(Mode::CutOneAnswer);
        let lost = change(&store, &*snapshot);
        other.set("n", "k", 3).expect("valid");

        assert!(matches!(&lost, Err(Error::Unavailable { what }) if what.contains("may have happened")), "{lost:?}");
        assert_eq!(counter(&store, "k"), 3);
    }
}

#[test]
fn a_read_whose_answer_was_lost_is_repeated() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 5_000);
    store.set("n", "k", 1).expect("valid");
    proxy.set(Mode::CutOneAnswer);

    assert_eq!(store.contains("n", "k"), Ok(true));
}

#[test]
fn scripts_that_the_server_forgot_are_loaded_again() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 5_000);
    store.set("n", "k", 1).expect("valid");

    servers::command(server.port, &["SCRIPT", "FLUSH"]);

    assert_eq!(store.increment("n", "k", 1), Ok(2));
}

#[test]
fn a_server_without_memory_writes_nothing_and_says_so() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 2_000);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["CONFIG", "SET", "maxmemory", "1"]);

    let refused = store.set("n", "new", 2);

    assert!(matches!(&refused, Err(Error::Unavailable { what }) if what.contains("out of memory")), "{refused:?}");
    servers::command(server.port, &["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.usage().expect("it answers").entries, 1);
}

#[test]
fn a_replica_is_waited_for_until_it_is_a_master() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 5_000);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    servers::command(server.port, &["REPLICAOF", "127.0.0.1", "1"]);

    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            servers::command(server.port, &["REPLICAOF", "NO", "ONE"]);
        });
        assert_eq!(store.increment("n", "k", 1), Ok(2));
    });
}

#[test]
fn a_wrong_password_is_named_and_no_secret_is_shown() {
    let server = Server::own(&["--requirepass", "right"]);
    let url = |user: &str| format!("redis://{user}127.0.0.1:{}", server.port);

    for user in ["", ":wrong@", "somebody:wrong@"] {
        let refused = Redis::open(&url(user), options(1_000)).map(drop);
        let Err(Error::Invalid { what }) = refused else { panic!("{refused:?}") };
        assert!(what.contains("refuses") && !what.contains("wrong"), "{what}");
    }

    let store = open(&url(":right@"), 1_000);
    assert!(store.set("n", "k", 1).is_ok() && !store.address().contains("right"));
}

#[test]
fn a_server_that_is_not_there_is_named_at_once() {
    let refused = Redis::open("redis://u:secret@127.0.0.1:1", options(5_000)).map(drop);

    let Err(Error::Unavailable { what }) = refused else { panic!("{refused:?}") };
    assert!(what.contains("127.0.0.1:1") && !what.contains("secret"), "{what}");
}

#[test]
fn a_node_of_a_cluster_is_opened_by_the_url_of_a_cluster_only() {
    let refused = Redis::open(&servers::single().replace("redis:", "redis+cluster:"), options(1_000)).map(drop);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");

    let node = servers::cluster().replace("redis+cluster:", "redis:").split(',').next().expect("one").to_owned();
    let refused = Redis::open(&node, options(1_000)).map(drop);

    assert!(matches!(refused, Err(Error::Invalid { what }) if what.contains("redis+cluster:")));
}

#[test]
fn two_prefixes_are_strangers_whatever_they_hold() {
    let url = servers::single();
    let base = servers::fresh_prefix();
    let stores = ["", ":", ":n", "}", "{", "%", "{n}"].map(|end| {
        let options = RedisOptions { prefix: format!("{base}{end}"), ..RedisOptions::default() };
        Redis::open(url, options).expect("the server answers")
    });
    for (number, store) in (0..).zip(&stores) {
        store.set("n", "k", number).expect("valid");
        store.set("n:n", "k", number).expect("valid");
    }

    stores[0].clear().expect("it answers");

    assert_eq!(stores[0].usage().expect("it answers").entries, 0);
    for (number, store) in (0..).zip(&stores).skip(1) {
        assert_eq!(store.namespaces(&Range::default()), Ok(vec!["n".to_owned(), "n:n".to_owned()]));
        assert_eq!(store.increment("n", "k", 0), Ok(number));
    }
}

#[test]
fn a_view_of_one_namespace_is_a_cut_that_goes_with_its_owner() {
    for url in [servers::single(), servers::cluster()] {
        let store = open(url, 5_000);
        let (name, absent) = (Namespace::new("n").expect("short"), Namespace::new("absent").expect("short"));
        store.set("n", "k", 1).expect("valid");
        let before = store.snapshot().expect("it is taken");

        let (view, nothing) =
            (store.view_of(&name).expect("it is taken"), store.view_of(&absent).expect("it is taken"));
        store.set("n", "k", 2).expect("valid");
        store.set("absent", "k", 2).expect("valid");

        let key = swarmstate::Key::new("k").expect("short");
        let seen = view.get(&name, &key).expect("it answers").expect("it was there");
        assert_eq!(seen.value(), Value::from(1).as_bytes());
        assert_eq!(nothing.get(&absent, &key).expect("it answers").map(|entry| entry.revision()), None);
        assert_eq!(store.namespaces(&Range::default()), Ok(vec!["absent".to_owned(), "n".to_owned()]));
        assert_eq!(store.history().expect("it answers").len(), 1);
        drop((view, nothing));
        assert_eq!(store.snapshot().expect("it is taken").info().parent, Some(before.info().id));
    }
}
