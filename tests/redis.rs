//! What a store on Redis keeps to when servers, connections and clients fail. Every server here is real, and of the test's own.

#![cfg(feature = "redis")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use swarmstate::{Clock, Error, Namespace, Range, Reader, Redis, RedisOptions, Store, StoreExt, Timestamp, Value};

#[path = "contract/proxy.rs"]
mod proxy;
#[path = "contract/servers.rs"]
mod servers;

use proxy::{Mode, Proxy};
use servers::{End, Server};

const THREADS: usize = 8;
const SURVIVES_A_KILL: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

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

/// What threads saw that incremented a counter each and replaced a value each, while something happened to the servers.
#[derive(Default)]
struct Seen {
    /// Increments that were acknowledged, and those that may have happened.
    sure: [AtomicU64; THREADS],
    unsure: [AtomicU64; THREADS],
    /// Replacements under a revision that were acknowledged.
    replaced: [AtomicU64; THREADS],
    /// Replacements that met somebody else's write, though there is nobody else.
    foreign: AtomicU64,
}

/// Writes from every thread until `meanwhile` is over.
fn write_meanwhile(store: &Redis, meanwhile: impl FnOnce()) -> Seen {
    let (seen, is_over) = (Seen::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (seen, is_over) = (&seen, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    increment(store, seen, number);
                    replace(store, seen, number);
                }
            });
        }
        meanwhile();
        is_over.store(true, Ordering::Relaxed);
    });
    seen
}

fn increment(store: &Redis, seen: &Seen, number: usize) {
    let counted = match store.increment(&format!("counter {number}"), "k", 1) {
        Ok(_) => &seen.sure[number],
        Err(Error::Unavailable { what }) if what.contains("may have happened") => &seen.unsure[number],
        Err(Error::Unavailable { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    counted.fetch_add(1, Ordering::Relaxed);
}

/// Counts by reading and replacing under the revision that was read; an unsure answer is looked up.
fn replace(store: &Redis, seen: &Seen, number: usize) {
    let name = format!("value {number}");
    let (namespace, key) = (Namespace::new(&*name).expect("short"), swarmstate::Key::new("k").expect("short"));
    let Ok(found) = store.get(&namespace, &key) else { return };
    let standing = found.as_ref().map_or(0, |entry| {
        let integer = swarmstate::msgpack::read_integer(entry.value()).expect("an integer");
        u64::try_from(integer).expect("it only rises")
    });
    // What was unsure may have happened once, since nobody else writes here.
    let sure = seen.replaced[number].load(Ordering::Relaxed);
    assert!(standing == sure || standing == sure + 1, "{name}: {standing} stands, {sure} are sure");
    seen.replaced[number].store(standing, Ordering::Relaxed);
    let next = i64::try_from(standing + 1).expect("few");
    match store.replace(&name, "k", next, found.map_or(0, |entry| entry.revision())) {
        Ok(_) => drop(seen.replaced[number].fetch_add(1, Ordering::Relaxed)),
        Err(Error::Conflict(_)) => drop(seen.foreign.fetch_add(1, Ordering::Relaxed)),
        Err(Error::Unavailable { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Nothing that was acknowledged is lost, and nothing was done twice.
fn assert_nothing_lost_or_doubled(store: &Redis, seen: &Seen) {
    for number in 0..THREADS {
        let standing = store.increment(&format!("counter {number}"), "k", 0).expect("the server answers");
        let standing = u64::try_from(standing).expect("it only rises");
        let (sure, unsure) = (seen.sure[number].load(Ordering::Relaxed), seen.unsure[number].load(Ordering::Relaxed));
        assert!(sure > 0, "thread {number} wrote nothing");
        assert!((sure..=sure + unsure).contains(&standing), "{standing} stands, {sure} sure and {unsure} unsure");
        let value = store.increment(&format!("value {number}"), "k", 0).expect("the server answers");
        let replaced = seen.replaced[number].load(Ordering::Relaxed);
        assert!((replaced..=replaced + 1).contains(&u64::try_from(value).expect("it only rises")));
    }
    assert_eq!(seen.foreign.load(Ordering::Relaxed), 0, "a thread met its own write as somebody else's");
}

#[test]
fn a_killed_server_loses_no_acknowledged_write_and_doubles_none() {
    let mut server = Server::own(&SURVIVES_A_KILL);
    let store = open(&server.url(), 5_000);

    let seen = write_meanwhile(&store, || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            server.kill_and_restart(Duration::from_millis(200));
        }
        thread::sleep(Duration::from_millis(300));
    });

    assert_nothing_lost_or_doubled(&store, &seen);
}

#[test]
fn connections_that_the_server_closes_lose_nothing_and_double_nothing() {
    let server = Server::own(&[]);
    let store = open(&server.url(), 5_000);

    let seen = write_meanwhile(&store, || {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            servers::command(server.port, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
    });

    assert_nothing_lost_or_doubled(&store, &seen);
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

/// Moves the slots of some keys from master to master and back, as `redis-cli --cluster reshard` does.
fn move_slot(servers: &[Server], slot: u16, from: usize, to: usize) {
    let id = |server: &Server| {
        let answer = servers::command(server.port, &["CLUSTER", "MYID"]);
        answer.lines().nth(1).expect("an id").trim().to_owned()
    };
    let (slot, source, target) = (slot.to_string(), id(&servers[from]), id(&servers[to]));
    servers::command(servers[to].port, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
    servers::command(servers[from].port, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    loop {
        let answer = servers::command(servers[from].port, &["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        let Some(key) = answer.lines().nth(2) else { break };
        let port = servers[to].port.to_string();
        servers::command(servers[from].port, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        thread::sleep(Duration::from_millis(5));
    }
    for server in [&servers[to], &servers[from]] {
        servers::command(server.port, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
    }
}

#[test]
fn slots_move_under_writes_and_nothing_is_lost_or_doubled() {
    let servers = servers::start_cluster(End::WithProcess);
    let store = open(&servers::cluster_url(&servers), 10_000);
    let tag = store.address().split('"').nth(1).expect("a prefix").replace(':', "%3A");
    let slots = (0..THREADS).flat_map(|number| [format!("counter {number}"), format!("value {number}")]).map(|name| {
        let answer = servers::command(servers[0].port, &["CLUSTER", "KEYSLOT", &format!("{{{tag}:{name}}}h")]);
        answer.trim().trim_start_matches(':').parse::<u16>().expect("a slot")
    });
    let slots = slots.collect::<Vec<_>>();
    write_meanwhile(&store, || thread::sleep(Duration::from_millis(200)));
    store.clear().expect("it answers");

    let seen = write_meanwhile(&store, || {
        for slot in &slots {
            let home = usize::from(*slot / 5_461).min(2);
            move_slot(&servers, *slot, home, (home + 1) % 3);
            move_slot(&servers, *slot, (home + 1) % 3, home);
        }
    });

    assert_nothing_lost_or_doubled(&store, &seen);
    let unsure: u64 = seen.unsure.iter().map(|unsure| unsure.load(Ordering::Relaxed)).sum();
    assert_eq!(unsure, 0, "a redirection is no error");
}

/// A clock that is far enough on for what was left over to be cleared away.
fn later() -> (Clock, Duration) {
    (Clock::manual(Timestamp::from_millis(1_700_000_000_000)), Duration::from_secs(2 * 3_600))
}

/// Runs `work` through a proxy that ends after so many answers, for every number until the work is done; after each, what another
/// client finds is judged by `assert_whole`, which is told whether the work said that it was done.
fn end_at_every_step(
    server: &Server,
    proxy: &Proxy,
    scheme: &str,
    work: impl Fn(&Redis) -> Result<(), Error>,
    assert_whole: impl Fn(&Redis, bool),
) {
    let mut steps = 0;
    for answers in 0.. {
        let (clock, long) = later();
        let options = RedisOptions { clock: clock.clone(), timeout: Duration::from_millis(150), ..options(150) };
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port);
        proxy.set(Mode::Pass);
        let other = Redis::open(&url, RedisOptions { timeout: Duration::from_secs(5), ..options.clone() });
        let other = other.expect("the server answers");
        other.set("before", "k", 1).expect("valid");
        let dying = Redis::open(&url, options).expect("the server answers");
        proxy.spend(answers);
        let is_done = work(&dying).is_ok();
        drop(dying);
        proxy.set(Mode::Pass);
        // Connections that the proxy ended are made anew.
        let _ = other.usage();
        clock.advance(long);
        assert_whole(&other, is_done);
        other.compact().expect("it answers");
        assert_nothing_is_left_over(server, &other);
        steps = answers;
        if is_done {
            break;
        }
    }
    assert!(steps >= 2, "{steps} steps are too few to have ended between them");
}

/// The catalogue lists the snapshots of the history and no others.
fn assert_nothing_is_left_over(server: &Server, store: &Redis) {
    let tag = store.address().rsplit('"').nth(1).expect("a prefix").replace(':', "%3A");
    let listed = servers::command(server.port, &["ZLEXCOUNT", &format!("{{{tag}}}i"), "[s", "(t"]);
    let history = store.history().expect("it answers").len();
    assert_eq!(listed.trim(), format!(":{history}"));
    let name = Namespace::new("before").expect("short");
    let cuts = servers::command(server.port, &["ZLEXCOUNT", &format!("{{{tag}:{}}}z", name.as_str()), "[s", "(t"]);
    assert_eq!(cuts.trim(), format!(":{history}"), "cuts of dropped snapshots are gone");
}

#[test]
fn a_client_that_dies_in_its_first_write_leaves_all_or_nothing() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);

    end_at_every_step(
        &server,
        &proxy,
        "redis",
        |store| store.set("first", "k", 1).map(drop),
        |store, is_done| {
            let names = store.namespaces(&Range::default()).expect("it answers");
            assert!(names == ["before", "first"] || (!is_done && names == ["before"]), "{names:?}");
            store.set("first", "l", 2).expect("the namespace can be written");
            assert_eq!(store.namespaces(&Range::default()).expect("it answers"), ["before", "first"]);
        },
    );
}

/// A cluster of one master that holds all slots and is reached through `proxy`.
fn start_cluster_behind(proxy: &Proxy) -> Server {
    let announced = proxy.port.to_string();
    let bus = servers::free_port().to_string();
    let server = Server::own(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-announce-port",
        &announced,
        "--cluster-announce-ip",
        "127.0.0.1",
    ]);
    proxy.lead_to(server.port);
    servers::command(server.port, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    while !servers::command(server.port, &["CLUSTER", "INFO"]).contains("cluster_state:ok") {
        thread::sleep(Duration::from_millis(20));
    }
    server
}

#[test]
fn a_client_of_a_cluster_that_dies_while_it_takes_a_snapshot_leaves_one_or_none() {
    let proxy = Proxy::new();
    let server = start_cluster_behind(&proxy);

    end_at_every_step(
        &server,
        &proxy,
        "redis+cluster",
        |store| store.snapshot().map(drop),
        |store, is_done| {
            let history = store.history().expect("it answers");
            assert!(history.len() == 1 || (!is_done && history.is_empty()), "{}", history.len());
            for snapshot in history {
                assert_eq!(snapshot.info().usage.entries, 1);
                assert_eq!(snapshot.namespaces(&Range::default()).expect("it answers"), ["before"]);
            }
        },
    );
}

#[test]
fn a_client_of_a_cluster_that_dies_while_it_drops_a_snapshot_leaves_it_or_none() {
    let proxy = Proxy::new();
    let server = start_cluster_behind(&proxy);

    end_at_every_step(
        &server,
        &proxy,
        "redis+cluster",
        |store| {
            proxy_is_open_while(&proxy, || store.snapshot().expect("it is taken"))
                .and_then(|id| store.drop_snapshot(id))
                .map(drop)
        },
        |store, is_done| {
            let history = store.history().expect("it answers");
            assert!(history.is_empty() || (!is_done && history.len() == 1));
            for snapshot in history {
                assert_eq!(snapshot.usage().expect("it is whole").entries, 1);
            }
        },
    );
}

/// Lets everything pass while `work` prepares what is then tried with the answers that are left.
fn proxy_is_open_while(
    proxy: &Proxy,
    work: impl FnOnce() -> std::sync::Arc<dyn swarmstate::Snapshot>,
) -> Result<u64, Error> {
    let left = proxy.left();
    proxy.set(Mode::Pass);
    let id = work().info().id;
    proxy.spend(left);
    Ok(id)
}

#[test]
fn a_namespace_that_was_empty_for_long_is_forgotten_and_its_revisions_rise_on() {
    let (clock, long) = later();
    let options = RedisOptions { clock: clock.clone(), ..options(5_000) };
    let store = Redis::open(servers::single(), options).expect("the server answers");
    let before = store.set("n", "k", Value::from(1)).expect("valid");
    store.delete("n", "k").expect("valid");
    store.compact().expect("it answers");
    let soon = store.set("n", "k", 1).expect("valid");
    store.delete("n", "k").expect("valid");
    clock.advance(long);

    store.compact().expect("it answers");

    assert!(soon > before && store.set("n", "k", 1).expect("valid") > soon);
    assert_eq!(store.namespaces(&Range::default()), Ok(vec!["n".to_owned()]));
}
