//! The map against the standard library's ordered map, and what a version promises: snapshots stand still, memory comes back, and depth
//! does not matter.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use swarmstate::map::{Change, Leaf, Map};

type Model = BTreeMap<Vec<u8>, u32>;

/// A key, its value in the base and its value now.
type Row = (Vec<u8>, Option<u32>, Option<u32>);

/// A leaf with a number for its value, and a share of the census for as long as its allocation lives.
#[derive(Clone, Debug)]
struct Item(Arc<(Vec<u8>, u32, Arc<()>)>);

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

impl Leaf for Item {
    fn key(&self) -> &[u8] {
        &self.0.0
    }

    fn is_same(&self, other: &Self) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Item {
    fn value(&self) -> u32 {
        self.0.1
    }

    fn pair(&self) -> (Vec<u8>, u32) {
        (self.0.0.clone(), self.0.1)
    }
}

/// Makes items and knows how many of them are still in memory.
#[derive(Default)]
struct Census(Arc<()>);

impl Census {
    fn item(&self, key: &[u8], value: u32) -> Item {
        Item(Arc::new((key.to_vec(), value, self.0.clone())))
    }

    fn map(&self, model: &Model) -> Map<Item> {
        let mut map = Map::new();
        for (key, value) in model {
            map.insert(self.item(key, *value));
        }
        map
    }

    fn numbered(&self, count: u32) -> Map<Item> {
        self.map(&(0..count).map(|number| (agent(number), number)).collect())
    }

    fn living(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

fn agent(number: u32) -> Vec<u8> {
    format!("agent/{number:07}/state").into_bytes()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, u32),
    Upsert(Vec<u8>, u32),
    GetMut(Vec<u8>, u32),
    Remove(Vec<u8>),
    Get(Vec<u8>),
    Snapshot,
    Restore(usize),
}

/// Families of keys: small alphabets meet prefixes, ends, zero bytes and 0xFF often; others are long, numbered, random or a chain.
fn family() -> impl Strategy<Value = BoxedStrategy<Vec<u8>>> {
    let narrow = vec(prop::sample::select(&b"\0a\xFF"[..]), 0..6).boxed();
    let random = vec(any::<u8>(), 0..4).boxed();
    let one_byte = vec(any::<u8>(), 0..2).boxed();
    let long = (narrow.clone(), 0_usize..3).prop_map(|(tail, level)| [vec![b'p'; 200 * level], tail].concat()).boxed();
    let numbered = (0..2_000_u32).prop_map(agent).boxed();
    let chain = (0_usize..40).prop_map(|len| vec![b'a'; len]).boxed();
    prop::sample::select(vec![narrow, random, one_byte, long, numbered, chain])
}

fn step(key: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        5 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Upsert(key, value)),
        2 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::GetMut(key, value)),
        5 => key.clone().prop_map(Step::Remove),
        2 => key.prop_map(Step::Get),
        1 => Just(Step::Snapshot),
        1 => (0_usize..8).prop_map(Step::Restore),
    ]
}

fn model_of(key: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Model> {
    prop::collection::btree_map(key, any::<u32>(), 0..80)
}

/// A map beside the model that says what it must hold, with all snapshots taken so far.
#[derive(Default)]
struct Pair {
    census: Census,
    map: Map<Item>,
    model: Model,
    snapshots: Vec<(Map<Item>, Model)>,
}

impl Pair {
    fn apply(&mut self, step: Step) {
        match step {
            Step::Insert(key, value) => {
                let replaced = self.map.insert(self.census.item(&key, value));
                assert_eq!(replaced.map(|item| item.value()), self.model.insert(key, value));
            }
            Step::Upsert(key, value) => self.upsert(key, value),
            Step::GetMut(key, value) => {
                let found = self.map.get_mut(&key).map(|item| *item = self.census.item(&key, value));
                let expected = self.model.get_mut(&key).map(|old| *old = value);
                assert_eq!(found, expected);
            }
            Step::Remove(key) => {
                assert_eq!(self.map.remove(&key).map(|item| item.pair()), self.model.remove_entry(&key));
            }
            Step::Get(key) => assert_eq!(self.map.get(&key).map(Item::value), self.model.get(&key).copied()),
            Step::Snapshot => self.snapshots.push((self.map.clone(), self.model.clone())),
            Step::Restore(which) => {
                if let Some((map, model)) = self.snapshots.get(which) {
                    (self.map, self.model) = (map.clone(), model.clone());
                }
            }
        }
        assert_eq!((self.map.len(), self.map.is_empty()), (self.model.len(), self.model.is_empty()));
    }

    fn upsert(&mut self, key: Vec<u8>, value: u32) {
        let mut seen = None;
        let census = &self.census;
        let replaced = self.map.upsert(&key, |old| {
            seen = old.map(Item::value);
            census.item(&key, value)
        });
        let expected = self.model.insert(key, value);
        assert_eq!((seen, replaced.map(|item| item.value())), (expected, expected));
    }

    /// Checks the map and all snapshots, then lets go of them and checks that no item is left.
    fn finish(self) {
        assert_equal(&self.map, &self.model);
        for (map, model) in &self.snapshots {
            assert_equal(map, model);
            assert_eq!(changes(&self.map, map), expected_changes(&self.model, model));
            assert_eq!(changes(map, &self.map), expected_changes(model, &self.model));
        }
        let Self { census, map, snapshots, .. } = self;
        drop((map, snapshots));
        assert_eq!(census.living(), 0);
    }
}

fn assert_equal(map: &Map<Item>, model: &Model) {
    let expected: Vec<_> = model.clone().into_iter().collect();
    let mut backward: Vec<_> = map.iter_back().map(Item::pair).collect();
    backward.reverse();
    assert_eq!(map.iter().map(Item::pair).collect::<Vec<_>>(), expected);
    assert_eq!(backward, expected);
    assert_eq!(map.first().map(Item::pair), expected.first().cloned());
    assert_eq!(map.last().map(Item::pair), expected.last().cloned());
    assert_eq!(map.len(), model.len());
}

fn row(change: Change<'_, Item>) -> Row {
    match change {
        Change::Added(now) => (now.key().to_vec(), None, Some(now.value())),
        Change::Removed(base) => (base.key().to_vec(), Some(base.value()), None),
        Change::Replaced { base, now } => {
            assert_eq!(base.key(), now.key());
            (now.key().to_vec(), Some(base.value()), Some(now.value()))
        }
    }
}

/// The rows of a diff whose values differ: an item stored again is a change to the map, but not to the model.
fn changes(now: &Map<Item>, base: &Map<Item>) -> Vec<Row> {
    now.diff(base).map(row).filter(|(_, base, now)| base != now).collect()
}

fn all_keys(now: &Model, base: &Model) -> Vec<Vec<u8>> {
    now.keys().chain(base.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn expected_changes(now: &Model, base: &Model) -> Vec<Row> {
    let rows =
        all_keys(now, base).into_iter().map(|key| (key.clone(), base.get(&key).copied(), now.get(&key).copied()));
    rows.filter(|(_, base, now)| base != now).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_answers_as_the_standard_map_does(steps in family().prop_flat_map(|key| vec(step(key), 0..300))) {
        let mut pair = Pair::default();
        for step in steps {
            pair.apply(step);
        }
        pair.finish();
    }

    #[test]
    fn a_range_holds_the_keys_of_a_prefix_beyond_the_cursor(
        (model, prefixes, cursors) in family().prop_flat_map(|key| (model_of(key.clone()), vec(key.clone(), 4), vec(key, 8)))
    ) {
        let map = Census::default().map(&model);
        let halves = prefixes.iter().map(|prefix| prefix[..prefix.len() / 2].to_vec());
        for prefix in halves.chain(prefixes.clone()).chain([Vec::new()]) {
            let all: Vec<&[u8]> = model.keys().map(Vec::as_slice).filter(|key| key.starts_with(&prefix)).collect();
            let stored = model.keys().take(8).cloned();
            for cursor in stored.chain(cursors.iter().cloned()).map(Some).chain([None]) {
                let cursor = cursor.as_deref();
                let mut after = all.clone();
                after.retain(|key| cursor.is_none_or(|cursor| *key > cursor));
                let mut before = all.clone();
                before.retain(|key| cursor.is_none_or(|cursor| *key < cursor));
                before.reverse();

                prop_assert_eq!(map.range(&prefix, cursor).map(Leaf::key).collect::<Vec<_>>(), after);
                prop_assert_eq!(map.range_back(&prefix, cursor).map(Leaf::key).collect::<Vec<_>>(), before);
            }
        }
    }

    #[test]
    fn a_diff_is_right_and_sorted_for_maps_without_a_common_history(
        (now, base) in family().prop_flat_map(|key| (model_of(key.clone()), model_of(key)))
    ) {
        let census = Census::default();
        let (map, base_map) = (census.map(&now), census.map(&base));

        let keys: Vec<_> = map.diff(&base_map).map(|change| row(change).0).collect();

        prop_assert_eq!(keys, all_keys(&now, &base), "no item is the same, so every key is a change");
        prop_assert_eq!(changes(&map, &base_map), expected_changes(&now, &base));
    }

    #[test]
    fn a_diff_is_right_for_maps_of_different_families(
        (now, base) in (family(), family()).prop_flat_map(|(one, other)| (model_of(one), model_of(other)))
    ) {
        let census = Census::default();

        prop_assert_eq!(changes(&census.map(&now), &census.map(&base)), expected_changes(&now, &base));
    }
}

#[test]
fn a_diff_visits_what_changed_and_not_what_is_there() {
    for count in [1_000, 100_000] {
        let census = Census::default();
        let base = census.numbered(count);
        let mut now = base.clone();
        for number in (0..count).step_by(count as usize / 10) {
            now.insert(census.item(&agent(number), 1));
        }
        COMPARED.set(0);

        let found = now.diff(&base).count();

        assert_eq!(found, 10);
        assert_eq!(COMPARED.get(), 10 * 10, "the ten leaves beside each change");
    }
}

#[test]
fn a_version_is_the_same_as_its_clone_until_a_write() {
    let census = Census::default();
    let mut map = census.numbered(10);
    let snapshot = map.clone();
    assert!(map.is_same(&snapshot) && map.diff(&snapshot).next().is_none());
    assert!(Map::<Item>::new().is_same(&Map::default()));

    assert!(map.get_mut(b"agent/0000001/stat").is_none() && map.remove(b"agent/0000077/state").is_none());
    assert!(map.is_same(&snapshot), "a miss copies nothing");

    map.insert(census.item(&agent(1), 7));
    assert!(!map.is_same(&snapshot));
    assert_eq!(snapshot.get(&agent(1)).map(Item::value), Some(1));
}

#[test]
fn a_panic_in_make_leaves_the_map_as_it_was() {
    let mut map = Census::default().numbered(100);
    let (snapshot, model) = (map.clone(), map.iter().map(Item::pair).collect::<Model>());
    for key in ["agent/0000005/state", "agent/0000005", "agent/9/state", ""] {
        let outcome = catch_unwind(AssertUnwindSafe(|| map.upsert(key.as_bytes(), |_| panic!("no leaf"))));

        assert!(outcome.is_err());
        assert_equal(&map, &model);
        assert_equal(&snapshot, &model);
    }
}

/// The length of the longest key that a store takes, with room for what the layers above add.
const LONGEST: usize = 4_104;

/// A thread whose stack a recursion over the deepest chain would overflow.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().stack_size(128 * 1024).spawn(work).expect("a thread starts")
}

fn chain(census: &Census, value: u32) -> Map<Item> {
    census.map(&(0..=LONGEST).map(|len| (vec![b'a'; len], value)).collect())
}

#[test]
fn the_deepest_chain_needs_no_deep_stack() {
    let work = || {
        let census = Census::default();
        let mut map = chain(&census, 0);
        let snapshot = map.clone();
        let longest = vec![b'a'; LONGEST];

        assert_eq!(map.upsert(&longest, |_| census.item(&longest, 1)).map(|old| old.value()), Some(0));
        *map.get_mut(&longest).unwrap() = census.item(&longest, 2);
        assert_eq!(map.diff(&snapshot).count(), 1);
        assert_eq!(map.diff(&chain(&census, 3)).count(), LONGEST + 1);
        assert_eq!((map.iter().count(), map.iter_back().count()), (LONGEST + 1, LONGEST + 1));
        assert_eq!(map.range(&longest[..9], Some(&longest[..4_000])).count(), LONGEST - 4_000);
        assert_eq!(map.range_back(b"", Some(&longest)).count(), LONGEST);
        assert_eq!(map.remove(&longest).map(|old| old.value()), Some(2));
        assert_eq!((map.first().unwrap().key().len(), map.last().unwrap().key().len()), (0, LONGEST - 1));

        drop(map);
        assert_eq!(census.living(), LONGEST + 1);
        drop(snapshot);
        assert_eq!(census.living(), 0);
    };
    on_a_small_stack(work).join().unwrap();
}

#[test]
fn versions_of_a_deep_chain_that_several_threads_drop_at_once_are_freed() {
    let census = Census::default();
    let map = chain(&census, 0);
    let mut versions = vec![map.clone(); 4];
    for (step, version) in versions.iter_mut().enumerate() {
        version.remove(&vec![b'a'; 1_000 * step]);
    }
    drop(map);

    let threads: Vec<_> = versions.into_iter().map(|version| on_a_small_stack(move || drop(version))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    assert_eq!(census.living(), 0);
}

/// A small generator, so that one run is the same everywhere (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn key(&mut self) -> Vec<u8> {
        match self.below(3) {
            0 => (0..self.below(5)).map(|_| b"\0a\xFF"[self.below(3) as usize]).collect(),
            1 => agent(self.below(300) as u32),
            _ => [vec![b'p'; 300], vec![b'q'; self.below(4) as usize]].concat(),
        }
    }

    fn step(&mut self, value: u32) -> Step {
        let key = self.key();
        match self.below(100) {
            0..30 => Step::Insert(key, value),
            30..60 => Step::Upsert(key, value),
            60..70 => Step::GetMut(key, value),
            70..90 => Step::Remove(key),
            90..97 => Step::Get(key),
            97..99 => Step::Snapshot,
            _ => Step::Restore(self.below(40) as usize),
        }
    }
}

#[test]
fn memory_is_clean_under_valgrind_for_one_seed() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut pair = Pair::default();
    for number in 0..2_000 {
        pair.apply(random.step(number));
        if number % 100 == 0 {
            let cursor = random.key();
            let beyond = (Bound::Excluded(cursor.clone()), Bound::Unbounded);
            let expected: Vec<_> = pair.model.range(beyond).map(|(key, _)| key.as_slice()).collect();
            assert_eq!(pair.map.range(b"", Some(&cursor)).map(Leaf::key).collect::<Vec<_>>(), expected);
        }
    }
    pair.finish();
}
