//! What eight threads that write lose when something happens to the servers: nothing that was acknowledged, and nothing is doubled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use swarmstate::{Error, Key, Namespace, Reader, Redis, Store, StoreExt};

use super::proxy::{Mode, Proxy};
use super::servers::{self, End, Server};
use super::{open, through};

const THREADS: usize = 8;
const SURVIVES_A_KILL: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

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
    let (namespace, key) = (Namespace::new(&*name).expect("short"), Key::new("k").expect("short"));
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
    // The one that takes the slot is told first, and everybody is.
    let others = servers.iter().enumerate().filter(|(place, _)| *place != to).map(|(_, server)| server);
    for server in std::iter::once(&servers[to]).chain(others) {
        servers::command(server.port, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
    }
    // The next move begins when all agree on this one: a server that takes a slot before it has heard of the last move may be
    // overruled by those that have.
    let views = || servers.iter().map(who_holds_what).collect::<Vec<_>>();
    while views().windows(2).any(|pair| pair[0] != pair[1]) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Who is a master of which epoch, and of which slots, as one server sees it.
fn who_holds_what(server: &Server) -> Vec<Vec<String>> {
    let nodes = servers::command(server.port, &["CLUSTER", "NODES"]);
    let told = nodes.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let mut told = told
        .filter(|words| words.len() > 7)
        .map(|words| {
            let slots = words[8..].iter().filter(|slots| !slots.starts_with('['));
            [words[0].clone(), words[6].clone()].into_iter().chain(slots.cloned()).collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    told.sort();
    told
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
            let home = [10_922, 5_460, 0].iter().position(|last| slot > last).map_or(0, |place| 2 - place);
            move_slot(&servers, *slot, home, (home + 1) % 3);
            move_slot(&servers, *slot, (home + 1) % 3, home);
        }
    });

    assert_nothing_lost_or_doubled(&store, &seen);
    let unsure: u64 = seen.unsure.iter().map(|unsure| unsure.load(Ordering::Relaxed)).sum();
    assert_eq!(unsure, 0, "a redirection is no error");
}

/// A replica of a cluster's master, which knows all that it knows.
fn start_replica(master: &Server) -> Server {
    let bus = servers::free_port().to_string();
    let replica = Server::own(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"]);
    let id = servers::command(master.port, &["CLUSTER", "MYID"]).lines().nth(1).expect("an id").trim().to_owned();
    let port = replica.port.to_string();
    servers::command(master.port, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    while !servers::command(replica.port, &["CLUSTER", "REPLICATE", &id]).starts_with("+OK") {
        thread::sleep(Duration::from_millis(50));
    }
    while !servers::command(replica.port, &["INFO", "replication"]).contains("master_link_status:up") {
        thread::sleep(Duration::from_millis(50));
    }
    replica
}

#[test]
fn a_master_that_fails_is_followed_to_the_one_that_takes_its_place() {
    let mut servers = servers::start_cluster(End::WithProcess);
    let _replicas = servers.iter().map(start_replica).collect::<Vec<_>>();
    // The one that is named is the one that will be gone.
    let store = open(&format!("redis+cluster://127.0.0.1:{}", servers[0].port), 30_000);
    let names = (0..12).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let mut revisions = Vec::new();
    for name in &names {
        revisions.push(store.set(name, "k", 1).expect("valid"));
        let waited = servers.iter().map(|server| servers::command(server.port, &["WAIT", "1", "5000"]));
        waited.for_each(drop);
    }

    drop(servers.remove(0));

    for (name, revision) in names.iter().zip(revisions) {
        // Under a condition, since a write that meets the end of its connection may have happened.
        let revision = store.replace(name, "k", 2, revision).expect("another master takes the place");
        store.replace(name, "k", 3, revision).expect("it goes on");
    }
    assert_eq!(store.usage().expect("it answers").entries, 12);
}

#[test]
fn a_master_that_hands_over_under_writes_loses_nothing_and_doubles_nothing() {
    let servers = servers::start_cluster(End::WithProcess);
    let replicas = servers.iter().map(start_replica).collect::<Vec<_>>();
    let store = open(&servers::cluster_url(&servers), 30_000);
    let is_master = |server: &Server| servers::command(server.port, &["INFO", "replication"]).contains("role:master");

    let seen = write_meanwhile(&store, || {
        for replica in &replicas {
            thread::sleep(Duration::from_millis(200));
            servers::command(replica.port, &["CLUSTER", "FAILOVER"]);
            servers::wait_for("the replica that takes over", || is_master(replica).then_some(()));
        }
        thread::sleep(Duration::from_millis(300));
    });

    assert!(!servers.iter().any(is_master), "every master handed over");
    assert_nothing_lost_or_doubled(&store, &seen);
}

#[test]
fn a_way_that_delays_bytes_and_breaks_off_in_the_middle_of_them_loses_nothing_and_doubles_nothing() {
    let server = Server::own(&[]);
    let proxy = Proxy::to(server.port);
    let store = through(&proxy, 10_000);
    proxy.falter_every(40);

    let seen = write_meanwhile(&store, || {
        servers::wait_for("connections that broke off", || (proxy.breaks() >= 20).then_some(()));
        proxy.set(Mode::Pass);
        thread::sleep(Duration::from_millis(100));
    });

    assert_nothing_lost_or_doubled(&store, &seen);
}
