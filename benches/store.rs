//! The memory engine as a whole, without Python: what an operation takes, and what an entry weighs beside `im::HashMap`.
//!
//! An entry here has all that a store knows of it: key, value, kind, revision and times. The rival holds key and value alone, in one
//! flat map. Weights are resident memory, read in a fresh process each.
//!
//! `cargo bench --no-default-features --bench store [-- --quick]`; a full run writes `benches/results/store.json`.

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use swarmstate::{Expiry, Key, Kind, Memory, MemoryOptions, Namespace, Operation, Reader, Store, Value};

const NAMESPACE: &str = "agents";
const VALUE_BYTES: usize = 100;
const ROUNDS: usize = 15;
const OPERATIONS: usize = 10_000;

/// Keys of 19 bytes.
fn key(number: usize) -> String {
    format!("agent/{number:07}/state")
}

/// A msgpack bin of [`VALUE_BYTES`] in all.
fn value() -> [u8; VALUE_BYTES] {
    let mut bytes = [0; VALUE_BYTES];
    bytes[..2].copy_from_slice(&[0xc4, VALUE_BYTES as u8 - 2]);
    bytes
}

fn set(store: &Memory, key: &str, bytes: &[u8]) {
    let (namespace, key) = (Namespace::new(NAMESPACE).expect("short"), Key::new(key).expect("short"));
    let value = Value::borrowed(Kind::Bytes, bytes);
    let outcome = store.apply(Operation::Set { namespace, key, value, expiry: Expiry::Never }, None);
    assert!(outcome.expect("an open store").written);
}

fn get(store: &Memory, key: &str) -> usize {
    let (namespace, key) = (Namespace::new(NAMESPACE).expect("short"), Key::new(key).expect("short"));
    store.get(&namespace, &key).expect("an open store").map_or(0, |entry| entry.value().len())
}

fn filled(stored: usize) -> Memory {
    let options = MemoryOptions { max_history: Some(1), ..MemoryOptions::default() };
    let store = Memory::with_options(options).expect("a bound above 0");
    (0..stored).for_each(|number| set(&store, &key(number), &value()));
    store
}

fn filled_im(stored: usize) -> im::HashMap<Arc<str>, Arc<[u8]>> {
    (0..stored).map(|number| (key(number).into(), value().as_slice().into())).collect()
}

/// The median time of one of [`OPERATIONS`] over some rounds, in nanoseconds.
fn median_ns(mut work: impl FnMut()) -> f64 {
    let mut times = [0; ROUNDS];
    for time in &mut times {
        let started = Instant::now();
        work();
        *time = started.elapsed().as_nanos();
    }
    times.sort_unstable();
    times[ROUNDS / 2] as f64 / OPERATIONS as f64
}

fn time(stored: usize, rows: &mut Vec<String>) {
    let store = filled(stored);
    // A stride that is prime to every size visits the keys in no order.
    let keys: Vec<String> = (0..OPERATIONS).map(|turn| key(turn * 7_919 % stored)).collect();
    let (value, empty) = (value(), [0xc4, 0]);
    let figures = [
        ("set, same length", median_ns(|| keys.iter().for_each(|key| set(&store, key, &value)))),
        (
            "set, another length",
            median_ns(|| {
                keys.chunks(2).for_each(|pair| {
                    set(&store, &pair[0], &empty);
                    set(&store, &pair[0], &value);
                });
            }),
        ),
        ("get", median_ns(|| keys.iter().for_each(|key| assert_eq!(black_box(get(&store, key)), VALUE_BYTES)))),
        ("snapshot", median_ns(|| (0..OPERATIONS).for_each(|_| drop(black_box(store.snapshot()))))),
    ];
    for (row, ns) in figures {
        println!("{row:28} {stored:>9} {ns:>10.1} ns");
        rows.push(format!(r#"    {{"row": "{row}", "keys": {stored}, "store": {ns:.1}}}"#));
    }
}

/// Compares resident bytes per entry; nothing where the system does not tell them.
fn weigh(stored: usize, rows: &mut Vec<String>) -> Option<()> {
    let ask = |name: &str| -> Option<f64> {
        let asked =
            Command::new(env::current_exe().ok()?).args(["--weigh", name, &stored.to_string()]).output().ok()?;
        String::from_utf8(asked.stdout).ok()?.trim().parse().ok()
    };
    let (ours, rival) = (ask("store")?, ask("im::HashMap")?);
    let (row, ratio) = ("resident bytes per entry", ours / rival);
    println!("{row:28} {stored:>9} {ours:>10.1} beside {rival:.1} of im::HashMap: {ratio:.3}");
    let figures = format!(r#""store": {ours:.1}, "im::HashMap": {rival:.1}, "ratio": {ratio:.4}"#);
    rows.push(format!(r#"    {{"row": "{row}", "keys": {stored}, {figures}}}"#));
    Some(())
}

/// Prints by how much the process grew for each entry while `fill` ran.
fn print_weight<T>(stored: usize, fill: impl FnOnce(usize) -> T) {
    let before = resident_bytes();
    let kept = fill(stored);
    println!("{}", (resident_bytes() - before) / stored as f64);
    std::mem::forget(kept);
}

fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("nan kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) * 1024.0
}

fn save(rows: &[String]) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let head = [
        format!(r#"  "machine": "{}, {threads} threads""#, name.trim_start_matches([' ', '\t', ':'])),
        format!(r#"  "rustc": "{}""#, String::from_utf8_lossy(&rustc).trim()),
        format!(r#"  "swarmstate": "{}""#, env!("CARGO_PKG_VERSION")),
        r#"  "durability": "none, in memory""#.to_owned(),
        r#"  "unit": "ns per operation, median of rounds; bytes""#.to_owned(),
    ];
    let json = format!("{{\n{},\n  \"rows\": [\n{}\n  ]\n}}\n", head.join(",\n"), rows.join(",\n"));
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/store.json"), json).expect("the file of results");
    println!("\nwritten to benches/results/store.json");
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, stored] = &arguments[..]
        && flag == "--weigh"
    {
        let stored = stored.parse().expect("a number of keys");
        return if name == "store" { print_weight(stored, filled) } else { print_weight(stored, filled_im) };
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let mut rows = Vec::new();
    for stored in if is_quick { [1_000, 100_000] } else { [1_000, 1_000_000] } {
        time(stored, &mut rows);
    }
    let largest = if is_quick { 100_000 } else { 1_000_000 };
    weigh(largest, &mut rows);
    if !is_quick {
        save(&rows);
    }
}
