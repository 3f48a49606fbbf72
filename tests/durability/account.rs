//! What the worker told, what may have happened besides, and whether the store agrees.
//!
//! Told is what returned. A thread may have carried out one batch more; the keeper's last step, if it was begun and did not
//! return, happened or did not. `settle` finds out which, and fails where the store shows neither.

use std::collections::{BTreeMap, BTreeSet};

use swarmstate::{Namespace, Range, Reader, Store, Value};

use super::world::{self, Row, SHARED, State, THREADS};

/// What all threads' namespaces hold; each state counts its own share of the shared namespace.
type World = [State; THREADS];

/// The keeper's step that was begun and has not returned.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Taking,
    Dropping(u64),
    Restoring(u64),
    Clearing,
}

/// The states that a thread has passed through since a snapshot was begun.
type Passed = [Vec<State>; THREADS];

pub(crate) struct Account {
    seed: u64,
    now: i64,
    world: World,
    next: [u64; THREADS],
    snapshots: BTreeMap<u64, World>,
    last_snapshot: u64,
    /// The greatest revision that a write answered, or the last number that the file was seen to have given out.
    last_number: u64,
    begun: Option<Step>,
    passed: Option<Passed>,
}

impl Account {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World::default();
        let (next, snapshots) = ([0; THREADS], BTreeMap::new());
        Self { seed, now: 0, world, next, snapshots, last_snapshot: 0, last_number: 0, begun: None, passed: None }
    }

    pub(crate) fn next(&self) -> [u64; THREADS] {
        self.next
    }

    pub(crate) fn begin_run(&mut self, now: i64) {
        self.now = now;
    }

    /// A line of the worker's.
    pub(crate) fn take_down(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers = || rest.split(' ').map(|text| text.parse().expect("a number")).collect::<Vec<u64>>();
        match word {
            "opened" => {}
            "wrote" => self.wrote(numbers()[0] as usize, numbers()[1], numbers()[2]),
            "taking" => {
                self.begun = Some(Step::Taking);
                self.passed = Some(self.world.clone().map(|state| vec![state]));
            }
            "took" => self.took(numbers()[0], &numbers()[1..]),
            "dropping" => self.begun = Some(Step::Dropping(numbers()[0])),
            "restoring" => self.begun = Some(Step::Restoring(numbers()[0])),
            "clearing" => self.begun = Some(Step::Clearing),
            "dropped" | "restored" | "cleared" => self.happened(),
            _ => panic!("the worker {line}"),
        }
    }

    fn wrote(&mut self, thread: usize, number: u64, revision: u64) {
        assert_eq!(number, self.next[thread], "thread {thread} skipped or repeated a batch");
        let is_done = self.advance(thread);
        assert_eq!(revision > 0, is_done, "batch {number} of thread {thread} is refused when it is, and only then");
        self.last_number = self.last_number.max(revision);
        if let Some(passed) = &mut self.passed {
            passed[thread].push(self.world[thread].clone());
        }
    }

    /// Carries out a thread's next batch.
    fn advance(&mut self, thread: usize) -> bool {
        let batch = world::batch(self.seed, thread, self.next[thread]);
        self.next[thread] += 1;
        self.world[thread].apply(&batch, self.now)
    }

    /// What a thread holds if one batch more happened than it told.
    fn successor(&self, thread: usize) -> State {
        let mut state = self.world[thread].clone();
        state.apply(&world::batch(self.seed, thread, self.next[thread]), self.now);
        state
    }

    /// A snapshot that shows so many batches of each thread.
    fn took(&mut self, id: u64, counts: &[u64]) {
        let mut passed = self.passed.take().expect("it was begun");
        let held = std::array::from_fn(|thread| {
            passed[thread].push(self.successor(thread));
            let state = passed[thread].iter().find(|state| state.count(thread) == counts[thread] as i64);
            state.unwrap_or_else(|| panic!("snapshot {id} shows a state that thread {thread} never had")).live(self.now)
        });
        assert!(id > self.last_snapshot, "snapshot {id} was taken after {}", self.last_snapshot);
        self.last_snapshot = id;
        self.snapshots.insert(id, held);
        self.begun = None;
    }

    /// What the keeper began did happen.
    fn happened(&mut self) {
        match self.begun.take().expect("it was begun") {
            Step::Dropping(id) => assert!(self.snapshots.remove(&id).is_some(), "snapshot {id} is there once"),
            Step::Restoring(id) => self.world = self.snapshots[&id].clone(),
            Step::Clearing => self.world = World::default(),
            Step::Taking => unreachable!("it is told with what it took"),
        }
    }

    /// Finds out what happened of that which was under way, and holds the store to all of it.
    pub(crate) fn settle(&mut self, store: &dyn Store) {
        let found = read(store);
        match self.begun.clone() {
            Some(Step::Restoring(_) | Step::Clearing) if found != shown(&self.world, self.now) => self.happened(),
            Some(Step::Dropping(id)) if !ids(store).contains(&id) => self.happened(),
            Some(Step::Taking) => self.settle_taking(store),
            _ => {}
        }
        (self.begun, self.passed) = (None, None);
        for thread in 0..THREADS {
            if found.count(thread) != self.world[thread].count(thread) {
                self.advance(thread);
            }
        }
        self.assert_state(store);
        self.assert_snapshots(store);
    }

    fn settle_taking(&mut self, store: &dyn Store) {
        let unknown = ids(store).into_iter().find(|id| !self.snapshots.contains_key(id));
        let Some(id) = unknown else { return };
        let found = read(&*store.snapshot_by_id(id).expect("it is listed"));
        let counts: Vec<u64> = (0..THREADS).map(|thread| found.count(thread).cast_unsigned()).collect();
        self.took(id, &counts);
    }

    pub(crate) fn assert_state(&self, store: &dyn Store) {
        let expected = shown(&self.world, self.now);
        assert_same(&read(store), &expected, "the store");
        let usage = store.usage().expect("it can be read");
        let bytes: usize = expected.0.values().map(|row| row.value.len()).sum();
        assert_eq!((usage.entries, usage.size_bytes), (expected.0.len() as u64, bytes as u64));
    }

    fn assert_snapshots(&self, store: &dyn Store) {
        assert_eq!(ids(store), self.snapshots.keys().copied().collect());
        for snapshot in store.history().expect("it can be read") {
            let id = snapshot.info().id;
            // What was live when it was taken is live in it for ever.
            let expected = shown(&self.snapshots[&id], i64::MIN);
            assert_same(&read(&*snapshot), &expected, &format!("snapshot {id}"));
            assert_eq!(snapshot.usage().expect("it can be read").entries, expected.0.len() as u64);
        }
    }

    /// Holds the file to numbers that never go back.
    pub(crate) fn note_last_number(&mut self, last: u64) {
        assert!(last >= self.last_number, "the file gave out {} and stands at {last}", self.last_number);
        self.last_number = last;
    }
}

/// What a reader sees of a world at a moment: the live entries, and the sum of all counts.
fn shown(world: &World, now: i64) -> State {
    let mut shown = State::default();
    world.iter().for_each(|state| shown.0.extend(state.live(now).0));
    let total: i64 = (0..THREADS).map(|thread| world[thread].count(thread)).sum();
    if total > 0 {
        let total = Value::from(total);
        let row = Row { kind: total.kind(), value: total.as_bytes().into(), expires_at: None };
        shown.0.insert((SHARED.to_owned(), "total".to_owned()), row);
    }
    shown
}

fn ids(store: &dyn Store) -> BTreeSet<u64> {
    store.history().expect("it can be read").iter().map(|snapshot| snapshot.info().id).collect()
}

/// All that a reader shows.
fn read<R: Reader + ?Sized>(reader: &R) -> State {
    let mut state = State::default();
    for name in reader.namespaces(&Range::default()).expect("it can be read") {
        let namespace = Namespace::new(&name).expect("it was written");
        for entry in reader.entries(&namespace, &Range::default()).expect("it can be read") {
            let expires_at = entry.expires_at().map(|at| at.as_millis());
            let row = Row { kind: entry.kind(), value: entry.value().into(), expires_at };
            state.0.insert((name.clone(), entry.key().to_owned()), row);
        }
    }
    state
}

/// Equal states, or a failure that names what differs.
#[track_caller]
fn assert_same(found: &State, expected: &State, what: &str) {
    let all: BTreeSet<_> = found.0.keys().chain(expected.0.keys()).collect();
    let different: Vec<_> =
        all.into_iter().filter(|address| found.0.get(*address) != expected.0.get(*address)).collect();
    assert!(different.is_empty(), "{what} is none of the states that are possible: {different:?} differ");
}
