//! The map beside `im::HashMap`: what one operation takes, and what one entry weighs.
//!
//! Both do the same work in one process, round by round in turn, so that a busy machine hits both; the ratio of a row is the median of the
//! ratios of its rounds. `flat` is one map; `nested` is one namespace inside a map of namespaces, as a store has it. The
//! rival hashes with two multiplications per eight bytes, which is faster than its default. Weights are resident memory, read in a fresh process each.
//!
//! `cargo bench --no-default-features --bench map [-- --quick]`; a full run writes `benches/results/map.json`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use swarmstate::map::{Leaf, Map};
use triomphe::ThinArc;

const NAMESPACE: &str = "agents";
const VALUE: [u8; 100] = [0; 100];

/// What a candidate must do; `get` and `count` read a byte of each value.
trait Subject: Clone + Default {
    const NAME: &'static str;

    fn set(&mut self, key: &str, value: &[u8]);
    fn get(&self, key: &str) -> Option<u8>;
    fn remove(&mut self, key: &str) -> bool;
    fn count(&self) -> usize;
    /// The length of a page of up to 100 keys in order after a cursor.
    fn page(&self, after: &str) -> usize;
    fn diff(&self, base: &Self) -> usize;
}

/// One allocation that holds the key's length, the key and the value.
#[derive(Clone)]
struct Entry(ThinArc<u32, u8>);

impl Entry {
    fn new(key: &str, value: &[u8]) -> Self {
        let (key, split) = (key.as_bytes(), key.len());
        let mut bytes = [0; 256];
        bytes[..split].copy_from_slice(key);
        bytes[split..split + value.len()].copy_from_slice(value);
        Self(ThinArc::from_header_and_slice(split as u32, &bytes[..split + value.len()]))
    }

    fn value(&self) -> &[u8] {
        &self.0.slice[self.0.header.header as usize..]
    }
}

impl Leaf for Entry {
    fn key(&self) -> &[u8] {
        &self.0.slice[..self.0.header.header as usize]
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }
}

#[derive(Clone, Default)]
struct Ours(Map<Entry>);

impl Subject for Ours {
    const NAME: &'static str = "flat map";

    fn set(&mut self, key: &str, value: &[u8]) {
        self.0.upsert(key.as_bytes(), |_| Entry::new(key, value));
    }

    fn get(&self, key: &str) -> Option<u8> {
        self.0.get(key.as_bytes()).map(|entry| entry.value()[0])
    }

    fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key.as_bytes()).is_some()
    }

    fn count(&self) -> usize {
        self.0.iter().filter(|entry| entry.value()[0] == 0).count()
    }

    fn page(&self, after: &str) -> usize {
        self.0.range(b"", Some(after.as_bytes())).take(100).map(|entry| black_box(entry.key()).len().min(1)).sum()
    }

    fn diff(&self, base: &Self) -> usize {
        self.0.diff(&base.0).count()
    }
}

/// A namespace as a leaf of the outer map.
#[derive(Clone)]
struct Space(triomphe::Arc<(&'static str, Ours)>);

impl Leaf for Space {
    fn key(&self) -> &[u8] {
        self.0.0.as_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        triomphe::Arc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Clone, Default)]
struct OursNested(Map<Space>);

impl OursNested {
    fn space(&mut self) -> &mut Ours {
        if self.0.is_empty() {
            self.0.insert(Space(triomphe::Arc::new((NAMESPACE, Ours::default()))));
        }
        &mut triomphe::Arc::make_mut(&mut self.0.get_mut(NAMESPACE.as_bytes()).expect("stored above").0).1
    }

    fn read(&self) -> &Ours {
        &self.0.get(NAMESPACE.as_bytes()).expect("filled before it is read").0.1
    }
}

impl Subject for OursNested {
    const NAME: &'static str = "nested map";

    fn set(&mut self, key: &str, value: &[u8]) {
        self.space().set(key, value);
    }

    fn get(&self, key: &str) -> Option<u8> {
        self.read().get(key)
    }

    fn remove(&mut self, key: &str) -> bool {
        self.space().remove(key)
    }

    fn count(&self) -> usize {
        self.read().count()
    }

    fn page(&self, after: &str) -> usize {
        self.read().page(after)
    }

    fn diff(&self, base: &Self) -> usize {
        self.read().diff(base.read())
    }
}

/// The rival's hasher: eight bytes at a time, folded by multiplication.
#[derive(Default)]
struct Folding(u64);

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let product = u128::from(self.0 ^ u64::from_le_bytes(word)) * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
            self.0 = (product as u64) ^ ((product >> 64) as u64);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ImMap<V> = im::HashMap<Arc<str>, V, BuildHasherDefault<Folding>>;

#[derive(Clone, Default)]
struct Im(ImMap<Arc<[u8]>>);

impl Subject for Im {
    const NAME: &'static str = "flat im";

    fn set(&mut self, key: &str, value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }

    fn get(&self, key: &str) -> Option<u8> {
        self.0.get(key).map(|value| value[0])
    }

    fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    fn count(&self) -> usize {
        self.0.iter().filter(|(_, value)| value[0] == 0).count()
    }

    fn page(&self, after: &str) -> usize {
        let mut keys: Vec<&str> = self.0.keys().map(|key| &**key).filter(|key| *key > after).collect();
        if keys.len() > 100 {
            keys.select_nth_unstable(100);
            keys.truncate(100);
        }
        keys.sort_unstable();
        keys.len()
    }

    fn diff(&self, base: &Self) -> usize {
        let differs = |(key, value)| !base.0.get(key).is_some_and(|old| Arc::ptr_eq(old, value));
        let written = self.0.iter().filter(|entry| differs(*entry)).count();
        written + base.0.keys().filter(|key| !self.0.contains_key(*key)).count()
    }
}

#[derive(Clone, Default)]
struct ImNested(ImMap<Im>);

impl Subject for ImNested {
    const NAME: &'static str = "nested im";

    fn set(&mut self, key: &str, value: &[u8]) {
        match self.0.get_mut(NAMESPACE) {
            Some(space) => space.set(key, value),
            None => {
                let mut space = Im::default();
                space.set(key, value);
                self.0.insert(NAMESPACE.into(), space);
            }
        }
    }

    fn get(&self, key: &str) -> Option<u8> {
        self.0.get(NAMESPACE).and_then(|space| space.get(key))
    }

    fn remove(&mut self, key: &str) -> bool {
        self.0.get_mut(NAMESPACE).is_some_and(|space| space.remove(key))
    }

    fn count(&self) -> usize {
        self.0[NAMESPACE].count()
    }

    fn page(&self, after: &str) -> usize {
        self.0[NAMESPACE].page(after)
    }

    fn diff(&self, base: &Self) -> usize {
        self.0[NAMESPACE].diff(&base.0[NAMESPACE])
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Row {
    GetHit,
    GetHitInTurn,
    GetMiss,
    SetInPlace,
    SetUnderSnapshot,
    SetsAfterSnapshot,
    InsertNew,
    InsertNewUnderSnapshot,
    Remove,
    Iterate,
    Page,
    Diff,
}

const ROWS: [(Row, &str); 12] = [
    (Row::GetHit, "get hit"),
    (Row::GetHitInTurn, "get hit, each after the last"),
    (Row::GetMiss, "get miss"),
    (Row::SetInPlace, "set in place"),
    (Row::SetUnderSnapshot, "set, snapshot each"),
    (Row::SetsAfterSnapshot, "set, of 1000 after a snapshot"),
    (Row::InsertNew, "insert new, in order"),
    (Row::Remove, "remove"),
    (Row::InsertNewUnderSnapshot, "insert new, snapshot each"),
    (Row::Iterate, "iterate, per entry"),
    (Row::Page, "page of 100 after a cursor"),
    (Row::Diff, "diff, 10 changes"),
];

/// The keys of one size: those stored, a random pick of them, and some that are not there.
struct Keys {
    stored: usize,
    picks: Vec<String>,
    missing: Vec<String>,
    new: Vec<String>,
}

fn key(number: usize) -> String {
    format!("agent/{number:07}/state")
}

impl Keys {
    fn new(stored: usize) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % stored
        };
        let numbers: Vec<usize> = (0..20_000).map(|_| random()).collect();
        let missing = numbers.iter().map(|number| format!("agent/{number:07}/spare")).collect();
        let picks = numbers.into_iter().map(key).collect();
        Self { stored, picks, missing, new: (stored..stored + 1_000).map(key).collect() }
    }

    fn fill<S: Subject>(&self) -> S {
        let mut subject = S::default();
        (0..self.stored).for_each(|number| subject.set(&key(number), &VALUE));
        subject
    }
}

/// Nanoseconds for one operation of `row` in one round. Afterwards the subject holds the same keys as before.
fn time<S: Subject>(row: Row, subject: &mut S, keys: &Keys, round: usize) -> f64 {
    let snapshot = subject.clone();
    if row == Row::Diff {
        keys.picks[round * 10..][..10].iter().for_each(|key| subject.set(key, &VALUE));
    }
    if row == Row::Remove {
        keys.new.iter().for_each(|key| subject.set(key, &VALUE));
    }
    let base = matches!(row, Row::Diff | Row::SetsAfterSnapshot).then_some(snapshot);
    let start = Instant::now();
    let count = run(row, subject, base.as_ref(), keys, round);
    let elapsed = start.elapsed().as_nanos() as f64 / count as f64;
    if matches!(row, Row::InsertNew | Row::InsertNewUnderSnapshot) {
        keys.new.iter().for_each(|key| assert!(subject.remove(key)));
    }
    elapsed
}

/// Does the work of a row and returns how many operations that was.
fn run<S: Subject>(row: Row, subject: &mut S, base: Option<&S>, keys: &Keys, round: usize) -> usize {
    let picks = &keys.picks;
    match row {
        Row::GetHit => picks.iter().filter(|key| subject.get(key).is_some()).count(),
        Row::GetHitInTurn => {
            let mut at = 0;
            while at < picks.len() {
                at += 1 + usize::from(subject.get(&picks[at]).expect("stored"));
            }
            picks.len()
        }
        Row::GetMiss => keys.missing.iter().filter(|key| subject.get(key).is_none()).count(),
        Row::SetInPlace => each(picks, |key| subject.set(key, &VALUE)),
        Row::SetUnderSnapshot => {
            let mut held = subject.clone();
            each(&picks[..4_000], |key| {
                subject.set(key, &VALUE);
                held = subject.clone();
            })
        }
        Row::SetsAfterSnapshot => each(&picks[round * 1_000..][..1_000], |key| subject.set(key, &VALUE)),
        Row::InsertNew => each(&keys.new, |key| subject.set(key, &VALUE)),
        Row::InsertNewUnderSnapshot => {
            let mut held = subject.clone();
            each(&keys.new, |key| {
                subject.set(key, &VALUE);
                held = subject.clone();
            })
        }
        Row::Remove => keys.new.iter().filter(|key| subject.remove(key)).count(),
        Row::Iterate => subject.count(),
        Row::Page => {
            let cursors = &picks[round..][..if keys.stored > 10_000 { 2 } else { 100 }];
            each(cursors, |key| {
                black_box(subject.page(key));
            })
        }
        Row::Diff => {
            assert_eq!(base.map(|base| subject.diff(base)), Some(10));
            1
        }
    }
}

fn each(keys: &[String], mut work: impl FnMut(&str)) -> usize {
    keys.iter().for_each(|key| work(key));
    keys.len()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A line of the report: what was measured, ours, the rival's, and ours / the rival's.
struct Figure {
    row: &'static str,
    pair: [&'static str; 2],
    keys: usize,
    ours: f64,
    rival: f64,
    ratio: f64,
}

impl Figure {
    fn print(&self) {
        println!("{:32} {:>9} {:>14.1} {:>14.1} {:>8.3}", self.row, self.keys, self.ours, self.rival, self.ratio);
    }

    fn json(&self) -> String {
        let Self { row, pair: [ours, rival], keys, .. } = self;
        let figures =
            format!(r#""{ours}": {:.1}, "{rival}": {:.1}, "ratio": {:.4}"#, self.ours, self.rival, self.ratio);
        format!(r#"    {{"row": "{row}", "keys": {keys}, {figures}}}"#)
    }
}

fn compare<A: Subject, B: Subject>(stored: usize, rounds: usize) -> Vec<Figure> {
    println!("\n{:32} {:>9} {:>14} {:>14} {:>8}", "ns", "keys", A::NAME, B::NAME, "ratio");
    let keys = Keys::new(stored);
    let (mut ours, mut rival) = (keys.fill::<A>(), keys.fill::<B>());
    let mut figures = Vec::new();
    for (row, name) in ROWS {
        let (mut our_times, mut rival_times) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            our_times.push(time(row, &mut ours, &keys, round));
            rival_times.push(time(row, &mut rival, &keys, round));
        }
        let ratio = median(our_times.iter().zip(&rival_times).map(|(ours, rival)| ours / rival).collect());
        let (ours, rival) = (median(our_times), median(rival_times));
        figures.push(Figure { row: name, pair: [A::NAME, B::NAME], keys: stored, ours, rival, ratio });
        figures[figures.len() - 1].print();
    }
    figures.extend(weigh::<A, B>(stored));
    figures
}

/// Compares resident bytes per entry; nothing where the system does not tell them.
fn weigh<A: Subject, B: Subject>(stored: usize) -> Option<Figure> {
    let ask = |name: &str| -> Option<f64> {
        let weigh =
            Command::new(env::current_exe().ok()?).args(["--weigh", name, &stored.to_string()]).output().ok()?;
        String::from_utf8(weigh.stdout).ok()?.trim().parse().ok()
    };
    let (ours, rival) = (ask(A::NAME)?, ask(B::NAME)?);
    let pair = [A::NAME, B::NAME];
    let figure = Figure { row: "resident bytes per entry", pair, keys: stored, ours, rival, ratio: ours / rival };
    figure.print();
    Some(figure)
}

/// Fills maps of `stored` keys, a million entries in all, and prints by how much the process grew for each entry.
fn print_weight<S: Subject>(stored: usize) {
    let keys = Keys::new(stored);
    let mut maps: Vec<S> = Vec::with_capacity(1_000_000 / stored);
    let before = resident_bytes();
    maps.resize_with(1_000_000 / stored, || keys.fill());
    println!("{}", (resident_bytes() - before) / (maps.len() * stored) as f64);
    std::process::exit(0);
}

fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("nan kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) * 1024.0
}

/// Writes the figures with the machine and the versions they belong to.
fn save(figures: &[Figure]) {
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_start_matches([' ', '\t', ':']);
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap_or_default();
    let version = |name: &str| {
        let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")));
        entry.and_then(|entry| entry.split('"').nth(3)).unwrap_or("unknown").to_owned()
    };
    let mut json = String::from("{\n");
    let _ = writeln!(
        json,
        r#"  "machine": "{cpu}, {} threads","#,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let _ = writeln!(json, r#"  "rustc": "{}","#, String::from_utf8_lossy(&rustc).trim());
    for name in ["swarmstate", "triomphe", "im"] {
        let _ = writeln!(json, r#"  "{name}": "{}","#, version(name));
    }
    json.push_str(
        "  \"durability\": \"none, in memory\",\n  \"unit\": \"ns per operation, median of rounds\",\n  \"rows\": [\n",
    );
    json.push_str(&figures.iter().map(Figure::json).collect::<Vec<_>>().join(",\n"));
    json.push_str("\n  ]\n}\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/map.json");
    fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results")).expect("the folder of results");
    fs::write(path, json).expect("the file of results");
    println!("\nwritten to benches/results/map.json");
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, stored] = &arguments[..]
        && flag == "--weigh"
    {
        let stored = stored.parse().expect("a number of keys");
        return match name.as_str() {
            Ours::NAME => print_weight::<Ours>(stored),
            OursNested::NAME => print_weight::<OursNested>(stored),
            Im::NAME => print_weight::<Im>(stored),
            _ => print_weight::<ImNested>(stored),
        };
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let mut figures = Vec::new();
    for (stored, rounds) in if is_quick { [(1_000, 5), (100_000, 3)] } else { [(1_000, 15), (1_000_000, 7)] } {
        figures.extend(compare::<Ours, Im>(stored, rounds));
        figures.extend(compare::<OursNested, ImNested>(stored, rounds));
    }
    if !is_quick {
        save(&figures);
    }
}
