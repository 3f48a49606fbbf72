//! The process that is killed: threads that write, and one that takes, restores and drops snapshots and compacts.
//!
//! It tells its parent each thing that it begins, where only that shows what may have happened, and each that returned, in
//! lines of less than the 4,096 bytes that a pipe takes whole. Restores and clears happen while nothing else is written, so that the
//! parent knows what they replace.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use parking_lot::RwLock;
use swarmstate::{Clock, Durability, Error, Snapshot, Sqlite, SqliteOptions, Store, Timestamp, msgpack};

use super::world::{self, Random, THREADS};

/// Holds what a worker has to do; its presence makes a test program one.
pub(crate) const TASK: &str = "SWARMSTATE_DURABILITY_TASK";

/// What a worker has to do.
pub(crate) struct Task {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) seed: u64,
    pub(crate) run: u64,
    pub(crate) now: i64,
    /// The number of each thread's next batch; `None` for a worker that only opens the file.
    pub(crate) next: Option<[u64; THREADS]>,
}

impl Task {
    pub(crate) fn encode(&self) -> String {
        let durability = if self.durability == Durability::Full { "full" } else { "normal" };
        let next = self.next.map_or_else(|| "-".to_owned(), |next| next.map(|number| number.to_string()).join(","));
        format!("{durability} {} {} {} {next} {}", self.seed, self.run, self.now, self.path.display())
    }

    pub(crate) fn given() -> Option<Self> {
        let text = env::var(TASK).ok()?;
        let mut parts = text.splitn(6, ' ');
        let mut part = || parts.next().expect("a task has six parts");
        let durability = if part() == "full" { Durability::Full } else { Durability::Normal };
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let (seed, run, now) = (number(part()), number(part()), number(part()) as i64);
        let next = match part() {
            "-" => None,
            list => Some(std::array::from_fn(|thread| number(list.split(',').nth(thread).expect("one for each")))),
        };
        Some(Self { path: part().into(), durability, seed, run, now, next })
    }
}

/// Opens the store as the worker and its parent do.
pub(crate) fn open(path: &Path, durability: Durability, clock: Clock) -> Sqlite {
    let options = SqliteOptions { durability, clock, ..SqliteOptions::default() };
    Sqlite::open(path, options).expect("a store opens, however its last user ended")
}

/// Tells the parent. A worker whose parent is gone ends.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(format!("@{line}\n").as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(3);
    }
}

/// Works until it is killed.
pub(crate) fn work(task: &Task) -> ! {
    let clock = Clock::manual(Timestamp::from_millis(task.now));
    let store = open(&task.path, task.durability, clock);
    tell("opened");
    let Some(next) = task.next else {
        loop {
            thread::park();
        }
    };
    let alone = RwLock::new(());
    thread::scope(|scope| {
        for (thread, first) in next.into_iter().enumerate() {
            let (store, alone) = (&store, &alone);
            scope.spawn(move || fail_loudly(|| write(store, task.seed, (thread, first), alone)));
        }
        fail_loudly(|| keep(&store, task, &alone));
    });
    unreachable!("it works until it is killed")
}

/// The parent learns of an error by its line; the exit alone could pass for the kill.
fn fail_loudly(work: impl FnOnce() -> Result<(), Error>) {
    if let Err(error) = work() {
        tell(&format!("failed {error}"));
        std::process::exit(4);
    }
}

fn write(store: &Sqlite, seed: u64, (thread, first): (usize, u64), alone: &RwLock<()>) -> Result<(), Error> {
    for number in first.. {
        let batch = world::batch(seed, thread, number);
        let _shared = alone.read();
        let revision = match store.write(&batch) {
            Ok(outcomes) => outcomes.iter().map(|outcome| outcome.revision).max().unwrap_or(0),
            Err(Error::Conflict(_)) => 0,
            Err(error) => return Err(error),
        };
        tell(&format!("wrote {thread} {number} {revision}"));
    }
    Ok(())
}

/// One after another, what is not a batch.
fn keep(store: &Sqlite, task: &Task, alone: &RwLock<()>) -> Result<(), Error> {
    let mut random = Random::new(&[task.seed, task.run]);
    let mut ids: Vec<u64> = store.history()?.iter().map(|snapshot| snapshot.info().id).collect();
    loop {
        match random.below(10) {
            0..4 if ids.len() < 8 => ids.push(take(store)?),
            4 | 5 if !ids.is_empty() => {
                let id = ids[random.below(ids.len() as u64) as usize];
                let _all = alone.write();
                tell(&format!("restoring {id}"));
                store.restore(&*store.snapshot_by_id(id)?)?;
                tell(&format!("restored {id}"));
            }
            6 | 7 if !ids.is_empty() => {
                let id = ids.swap_remove(random.below(ids.len() as u64) as usize);
                tell(&format!("dropping {id}"));
                store.drop_snapshot(id)?;
                tell(&format!("dropped {id}"));
            }
            8 => store.compact()?,
            9 if random.below(8) == 0 => {
                let _all = alone.write();
                tell("clearing");
                store.clear()?;
                tell("cleared");
            }
            _ => thread::yield_now(),
        }
    }
}

/// Takes a snapshot, and tells how far each thread had come in it.
fn take(store: &Sqlite) -> Result<u64, Error> {
    tell("taking");
    let snapshot: Arc<dyn Snapshot> = store.snapshot()?;
    let pairs: Vec<_> = (0..THREADS).map(world::count_address).collect();
    let counts = snapshot.get_many(&pairs)?.into_iter().map(|entry| {
        let count = entry.map_or(0, |entry| msgpack::read_integer(entry.value()).expect("an integer"));
        count.to_string()
    });
    let id = snapshot.info().id;
    tell(&format!("took {id} {}", counts.collect::<Vec<_>>().join(" ")));
    Ok(id)
}
