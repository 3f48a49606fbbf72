//! What a client leaves behind that ends at some step of its work: all or nothing, and nothing that stays in the way.

use std::thread;
use std::time::Duration;

use swarmstate::{Clock, Error, Namespace, Range, Reader, Redis, RedisOptions, Store, StoreExt, Timestamp, Value};

use super::options;
use super::proxy::{Mode, Proxy};
use super::servers::{self, End, Server};

/// A clock that is far enough on for what was left over to be cleared away.
fn later() -> (Clock, Duration) {
    (Clock::manual(Timestamp::from_millis(1_700_000_000_000)), Duration::from_secs(2 * 3_600))
}

/// Opens a store whose calls give up early; on a machine with much else to do opening it meets that bound too.
fn open_hasty(url: &str, options: &RedisOptions) -> Redis {
    (0..100).find_map(|_| Redis::open(url, options.clone()).ok()).expect("the server answers")
}

/// Runs `work` through a proxy that ends after so many answers, for every number until the work is done; after each, what another
/// client finds is judged by `assert_whole`, which is told whether the work said that it was done.
/// Answers how many steps the work took.
fn end_at_every_step(
    server: &Server,
    proxy: &Proxy,
    scheme: &str,
    work: impl Fn(&Redis, &Clock) -> Result<(), Error>,
    assert_whole: impl Fn(&Redis, bool),
) -> i64 {
    for answers in 0.. {
        let (clock, long) = later();
        let options = RedisOptions { clock: clock.clone(), timeout: Duration::from_millis(150), ..options(150) };
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port);
        proxy.set(Mode::Pass);
        let other = Redis::open(&url, RedisOptions { timeout: Duration::from_secs(5), ..options.clone() });
        let other = other.expect("the server answers");
        other.set("before", "k", 1).expect("valid");
        let dying = open_hasty(&url, &options);
        proxy.spend(answers);
        let is_done = work(&dying, &clock).is_ok();
        drop(dying);
        proxy.set(Mode::Pass);
        // Connections that the proxy ended are made anew.
        let _ = other.usage();
        clock.advance(long);
        assert_whole(&other, is_done);
        other.compact().expect("it answers");
        assert_nothing_is_left_over(server, &other);
        if is_done {
            return answers;
        }
    }
    unreachable!("some number of answers is enough")
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
    for (server, proxy, scheme) in servers_behind_proxies() {
        let steps = end_at_every_step(
            &server,
            &proxy,
            scheme,
            |store, _| store.set("first", "k", 1).map(drop),
            |store, is_done| {
                let names = store.namespaces(&Range::default()).expect("it answers");
                assert!(names == ["before", "first"] || (!is_done && names == ["before"]), "{names:?}");
                store.set("first", "l", 2).expect("the namespace can be written");
                assert_eq!(store.namespaces(&Range::default()).expect("it answers"), ["before", "first"]);
            },
        );
        assert!(steps >= 2, "{scheme}: {steps} steps are too few to have ended between the two slots");
    }
}

/// A single server, and a cluster of one master.
fn servers_behind_proxies() -> [(Server, Proxy, &'static str); 2] {
    let single = Server::own(&[]);
    let (proxy, to_cluster) = (Proxy::to(single.port), Proxy::new());
    let cluster = start_cluster_behind(&to_cluster);
    [(single, proxy, "redis"), (cluster, to_cluster, "redis+cluster")]
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
        |store, _| store.snapshot().map(drop),
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
        |store, _| {
            let id = proxy_is_open_while(&proxy, || store.snapshot().expect("it is taken").info().id);
            store.drop_snapshot(id).map(drop)
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
fn proxy_is_open_while<R>(proxy: &Proxy, work: impl FnOnce() -> R) -> R {
    let left = proxy.left();
    proxy.set(Mode::Pass);
    let done = work();
    proxy.spend(left);
    done
}

#[test]
fn a_client_that_dies_in_a_restore_leaves_the_old_state_or_the_new_one() {
    for (server, proxy, scheme) in servers_behind_proxies() {
        let names = ["before", "n1", "n2"];
        let set_all = |store: &Redis, value: i64| {
            for name in names {
                store.set(name, "k", value).expect("valid");
            }
        };

        let steps = end_at_every_step(
            &server,
            &proxy,
            scheme,
            |store, _| {
                let snapshot = proxy_is_open_while(&proxy, || {
                    set_all(store, 1);
                    let snapshot = store.snapshot().expect("it is taken");
                    set_all(store, 2);
                    snapshot
                });
                store.restore(&*snapshot)
            },
            |store, is_done| {
                let found = names.map(|name| store.increment(name, "k", 0).expect("it answers"));
                let is_restored = found == [1, 1, 1];
                let is_whole = is_restored || found == [2, 2, 2] || scheme == "redis+cluster";
                assert!(if is_done { is_restored } else { is_whole }, "{scheme}: {found:?}");
                let snapshot = store.history().expect("it answers").pop().expect("it was taken");
                store.restore(&*snapshot).expect("a repeat completes it");
                assert_eq!(names.map(|name| store.increment(name, "k", 0)), [Ok(1), Ok(1), Ok(1)]);
            },
        );
        assert!(steps >= 1, "{scheme}: it never ended halfway");
    }
}

#[test]
fn a_client_that_dies_while_it_forgets_a_namespace_leaves_one_that_can_be_written() {
    for (server, proxy, scheme) in servers_behind_proxies() {
        let steps = end_at_every_step(
            &server,
            &proxy,
            scheme,
            |store, clock| {
                proxy_is_open_while(&proxy, || {
                    store.set("gone", "k", 1).expect("valid");
                    store.delete("gone", "k").expect("valid");
                });
                clock.advance(later().1);
                store.compact()
            },
            |store, _| {
                assert_eq!(store.namespaces(&Range::default()).expect("it answers"), ["before"]);
                store.set("gone", "k", 2).expect("the namespace can be written");
                store.compact().expect("it answers");
                assert_eq!(store.namespaces(&Range::default()).expect("it answers"), ["before", "gone"]);
                assert_eq!(store.increment("gone", "k", 0), Ok(2));
            },
        );
        assert!(steps >= 2, "{scheme}: {steps} steps are too few to have ended between the two slots");
    }
}

/// Does `work` on a cluster one of whose masters takes no writes, and answers a store that sees what was done: thirty namespaces
/// were at 1 when the snapshot was taken, and at 2 when the work began.
fn leave_halfway(work: impl Fn(&Redis, &dyn swarmstate::Snapshot) -> Result<(), Error>) -> (Vec<Server>, Redis) {
    let servers = servers::start_cluster(End::WithProcess);
    let url = servers::cluster_url(&servers);
    let asked = options(500);
    let other = Redis::open(&url, RedisOptions { timeout: Duration::from_secs(10), ..asked.clone() });
    let (dying, other) = (Redis::open(&url, asked).expect("it answers"), other.expect("it answers"));
    for name in thirty() {
        other.set(&name, "k", 1).expect("valid");
    }
    let id = other.snapshot().expect("it is taken").info().id;
    for name in thirty() {
        other.set(&name, "k", 2).expect("valid");
    }
    let snapshot = dying.snapshot_by_id(id).expect("it is retained");
    // Neither the master of the catalogue nor that of the first namespace, which would end the work before it began.
    let tag = other.address().rsplit('"').nth(1).expect("a prefix").replace(':', "%3A");
    let busy = [format!("{{{tag}}}i"), format!("{{{tag}:n0}}h")].map(|key| {
        let answer = servers::command(servers[0].port, &["CLUSTER", "KEYSLOT", &key]);
        let slot = answer.trim().trim_start_matches(':').parse::<u16>().expect("a slot");
        [5_460, 10_922, 16_383].iter().position(|last| slot <= *last).expect("a master")
    });
    let paused = servers[(0..3).find(|place| !busy.contains(place)).expect("one of three")].port;
    servers::command(paused, &["CLIENT", "PAUSE", "60000", "WRITE"]);

    let ended = work(&dying, &*snapshot);

    assert!(matches!(ended, Err(Error::Unavailable { .. })), "{ended:?}");
    drop((snapshot, dying));
    servers::command(paused, &["CLIENT", "UNPAUSE"]);
    (servers, other)
}

fn thirty() -> impl Iterator<Item = String> {
    (0..30).map(|number| format!("n{number}"))
}

#[test]
fn a_restore_that_ended_halfway_on_a_cluster_is_completed_by_repeating_it() {
    let (_servers, store) = leave_halfway(|store, snapshot| store.restore(snapshot));

    let found = thirty().map(|name| store.increment(&name, "k", 0).expect("it answers")).collect::<Vec<_>>();
    assert!(found.iter().all(|value| [1, 2].contains(value)), "{found:?}");
    assert!(found.contains(&1) && found.contains(&2), "some namespaces are done: {found:?}");
    let snapshot = store.history().expect("it answers").pop().expect("it is retained");
    store.restore(&*snapshot).expect("every master answers");
    assert!(thirty().all(|name| store.increment(&name, "k", 0) == Ok(1)));
}

#[test]
fn a_clear_that_ended_halfway_on_a_cluster_is_completed_by_repeating_it() {
    let (_servers, store) = leave_halfway(|store, _| store.clear());

    let left = store.usage().expect("it answers").entries;
    assert!(0 < left && left < 30, "some namespaces are done: {left} are left");
    store.clear().expect("every master answers");
    assert_eq!(store.usage().expect("it answers").entries, 0);
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
