//! What a server answers that cannot serve: each trouble is waited for or named, within the time of the call.

use std::net::TcpListener;
use std::thread;

use swarmstate::{Error, Key, Namespace, Range, Reader, Redis, Store, StoreExt};

use super::proxy::{Mode, Proxy};
use super::servers::{self, Server};
use super::{open, options, through};

/// A server that takes seconds to load what it wrote, and answers meanwhile that it loads.
const LOADS_SLOWLY: [&str; 8] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--key-load-delay",
    "5000",
    "--loading-process-events-interval-bytes",
    "1024",
];

/// Fills a server so that it loads for a while, and kills it; `then` is done while it loads.
fn while_it_loads(server: &mut Server, store: &Redis, then: impl FnOnce() + Send) {
    for number in 0..400 {
        store.set(&format!("filler {number}"), "k", &*"x".repeat(300)).expect("valid");
    }
    let port = server.port;
    // Rewritten, it is loaded key by key, and clients are answered between them.
    servers::command(port, &["BGREWRITEAOF"]);
    servers::wait_for("a log that is rewritten", || {
        let info = servers::command(port, &["INFO", "persistence"]);
        let is_over = info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0");
        is_over.then_some(())
    });
    thread::scope(|scope| {
        scope.spawn(move || {
            servers::wait_for("a server that loads", || {
                servers::try_command(port, &["PING"])?.starts_with("-LOADING").then_some(())
            });
            then();
        });
        server.kill_and_restart(std::time::Duration::ZERO);
    });
}

#[test]
fn a_server_that_loads_its_data_is_waited_for() {
    let mut server = Server::own(&LOADS_SLOWLY);
    let store = open(&server.url(), 60_000);
    store.set("n", "k", 1).expect("valid");

    while_it_loads(&mut server, &store, || assert_eq!(store.increment("n", "k", 1), Ok(2)));

    assert_eq!(store.increment("n", "k", 0), Ok(2));
}

#[test]
fn a_server_that_loads_beyond_the_time_of_a_call_is_named() {
    let mut server = Server::own(&LOADS_SLOWLY);
    let (patient, store) = (open(&server.url(), 60_000), open(&server.url(), 1_000));
    store.set("n", "k", 1).expect("valid");

    while_it_loads(&mut server, &patient, || {
        let refused = store.increment("n", "k", 1);
        assert!(matches!(&refused, Err(Error::Unavailable { what }) if what.contains("LOADING")), "{refused:?}");
    });

    assert_eq!(patient.usage().expect("it answers").entries, 400);
}

#[test]
fn a_server_that_stays_a_replica_is_named() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 300);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["REPLICAOF", "127.0.0.1", "1"]);

    let refused = store.set("n", "k", 2);

    let Err(Error::Unavailable { what }) = &refused else { panic!("{refused:?}") };
    assert!(what.contains("READONLY") && what.contains("nothing was done"), "{what}");
    assert_eq!(store.contains("n", "k"), Ok(true));
}

#[test]
fn a_server_that_lacks_replicas_writes_nothing_and_says_so() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 2_000);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["CONFIG", "SET", "min-replicas-to-write", "1"]);

    let refused = store.increment("n", "k", 1);

    assert!(matches!(&refused, Err(Error::Unavailable { what }) if what.contains("NOREPLICAS")), "{refused:?}");
    servers::command(server.port, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(store.increment("n", "k", 0), Ok(1));
}

#[test]
fn a_foreign_key_under_the_name_of_a_namespace_is_named_and_left_alone() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 2_000);
    let tag = store.address().rsplit('"').nth(1).expect("a prefix").replace(':', "%3A");
    for (part, name) in [("h", "one"), ("z", "other")] {
        let key = format!("{{{tag}:{name}}}{part}");
        servers::command(server.port, &["SET", &key, "somebody's"]);

        let refused = store.set(name, "k", 1);

        assert!(matches!(&refused, Err(Error::Corrupt { what }) if what.contains("WRONGTYPE")), "{refused:?}");
        assert!(matches!(store.increment(name, "k", 1), Err(Error::Corrupt { .. })));
        let listed = store.keys(&Namespace::new(name).expect("short"), &Range::default());
        assert!(matches!(listed, Err(Error::Corrupt { .. })) || part == "h", "{listed:?}");
        assert!(servers::command(server.port, &["GET", &key]).contains("somebody's"));
        let beside = format!("{{{tag}:{name}}}{}", if part == "h" { "z" } else { "h" });
        assert!(servers::command(server.port, &["EXISTS", &beside]).starts_with(":0"), "nothing is half written");
    }
}

#[test]
fn a_foreign_key_ends_a_change_of_everything_before_it_begins() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 2_000);
    let tag = store.address().rsplit('"').nth(1).expect("a prefix").replace(':', "%3A");
    for name in ["a", "b"] {
        store.set(name, "k", 1).expect("valid");
    }
    let snapshot = store.snapshot().expect("it is taken");
    store.set("a", "k", 2).expect("valid");
    let index = format!("{{{tag}:b}}z");
    servers::command(server.port, &["SET", &index, "somebody's"]);

    let id = snapshot.info().id;
    for refused in [store.restore(&*snapshot), store.clear(), store.drop_snapshot(id).map(drop)] {
        assert!(matches!(&refused, Err(Error::Corrupt { what }) if what.contains("WRONGTYPE")), "{refused:?}");
    }
    assert_eq!(store.increment("a", "k", 0), Ok(2));
    assert_eq!(
        snapshot.get(&Namespace::new("a").expect("short"), &Key::new("k").expect("short")).map(|k| k.is_some()),
        Ok(true)
    );
}

#[test]
fn a_password_that_the_server_got_later_is_named_as_missing() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 2_000);
    store.set("n", "k", 1).expect("valid");
    servers::command(server.port, &["CONFIG", "SET", "requirepass", "later"]);
    // The connection that stood before goes on; a new one needs the password.
    proxy.set(Mode::CutOneAnswer);

    let refused = store.contains("n", "k");

    assert!(matches!(&refused, Err(Error::Invalid { what }) if what.contains("refuses")), "{refused:?}");
}

#[test]
fn a_user_and_a_password_of_any_characters_open_a_store() {
    let server = Server::own(&[]);
    let rule = ["ACL", "SETUSER", "me:@/", "on", ">p@:/%?#", "~*", "+@all"];
    servers::command(server.port, &rule);
    servers::command(server.port, &["ACL", "SETUSER", "default", "off"]);

    let url = format!("redis://me%3A%40%2F:p%40%3A%2F%25%3F%23@127.0.0.1:{}/2", server.port);
    let store = open(&url, 2_000);

    store.set("n", "k", 1).expect("valid");
    assert!(!store.address().contains("p@") && !store.address().contains("me:"), "{}", store.address());
}

#[test]
fn a_database_that_is_not_there_is_an_invalid_url() {
    let server = Server::own(&[]);

    let refused = Redis::open(&format!("{}/99", server.url()), options(5_000)).err();

    assert!(matches!(&refused, Some(Error::Invalid { what }) if what.contains("DB index")), "{refused:?}");
}

#[test]
fn a_server_that_is_full_of_clients_is_waited_for_and_named() {
    let server = Server::own(&["--maxclients", "1"]);
    let first = open(&server.url(), 5_000);
    first.set("n", "k", 1).expect("valid");

    let refused = Redis::open(&server.url(), options(300)).err();

    assert!(matches!(&refused, Some(Error::Unavailable { .. })), "{refused:?}");
    drop(first);
    // The server takes a moment to see that the first one is gone.
    servers::wait_for("room for a client", || Redis::open(&server.url(), options(5_000)).ok());
}

#[test]
fn an_address_that_takes_connections_and_says_nothing_ends_at_the_time_of_the_call() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = silent.local_addr().expect("it is bound").port();

    let refused = Redis::open(&format!("redis://127.0.0.1:{port}"), options(300)).map(drop);

    assert!(matches!(&refused, Err(Error::Unavailable { what }) if what.contains(&port.to_string())), "{refused:?}");
}
