//! A store loses nothing and keeps nothing half, whenever its process is killed.
//!
//! The test program starts itself as a worker, kills it by SIGKILL at random moments, opens the file and holds it to what the
//! worker told: every write that returned is there, and of those under way each is there whole or not at all.
//! `SWARMSTATE_KILLS` sets how many kills there are over all tests (450), `SWARMSTATE_SEED` repeats the work of a run; the moments of
//! the kills are the machine's.

#![cfg(all(feature = "sqlite", unix))]

mod account;
mod file;
mod worker;
mod world;

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use account::Account;
use swarmstate::{Clock, Durability, Sqlite, Store, Timestamp};
use worker::{TASK, Task};
use world::Random;

const DEFAULT_KILLS: u64 = 450;
/// After so many kills the rest is checked, and a new file begun.
const KILLS_PER_FILE: u64 = 25;
const START: i64 = 1_700_000_000_000;

#[test]
fn no_kill_loses_or_halves_a_write_at_full_durability() {
    kill_and_check("no_kill_loses_or_halves_a_write_at_full_durability", Durability::Full);
}

#[test]
fn no_kill_loses_or_halves_a_write_at_normal_durability() {
    kill_and_check("no_kill_loses_or_halves_a_write_at_normal_durability", Durability::Normal);
}

/// Half of all kills; in the process that `name` started again, the work.
fn kill_and_check(name: &str, durability: Durability) {
    if let Some(task) = Task::given() {
        worker::work(&task);
    }
    let number = |variable: &str| env::var(variable).ok().map(|text| text.parse().expect("it is a number"));
    let seed = number("SWARMSTATE_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_nanos() as u64);
    let mut kills = number("SWARMSTATE_KILLS").unwrap_or(DEFAULT_KILLS).div_ceil(2);
    println!("SWARMSTATE_SEED={seed} repeats this run");
    for file in 0.. {
        let round = kills.min(KILLS_PER_FILE);
        Ordeal::new(name, durability, seed.wrapping_add(file)).go_through(round);
        kills -= round;
        if kills == 0 {
            break;
        }
    }
}

/// One file, and the kills that it has to survive.
struct Ordeal<'n> {
    name: &'n str,
    folder: tempfile::TempDir,
    clock: Clock,
    random: Random,
    task: Task,
    account: Account,
    /// The parent's own connections, in those runs in which the worker is not alone.
    attached: Option<Sqlite>,
}

impl<'n> Ordeal<'n> {
    fn new(name: &'n str, durability: Durability, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let task = Task { path: folder.path().join("state.db"), durability, seed, run: 0, now: START, next: None };
        let clock = Clock::manual(Timestamp::from_millis(START));
        Self { name, folder, clock, random: Random::new(&[seed]), task, account: Account::new(seed), attached: None }
    }

    fn go_through(mut self, kills: u64) {
        for run in 0..kills {
            self.task.run = run;
            self.kill_one();
            if self.random.below(4) == 0 {
                self.kill_while_opening();
            }
            self.check();
        }
        self.attached = None;
        self.check_the_end();
        self.folder.close().expect("the folder can be removed");
    }

    /// Starts a worker, kills it at some moment, and takes down what it told.
    fn kill_one(&mut self) {
        let micros = match self.random.below(6) {
            0 => self.random.below(15_000),
            _ => 8_000 + self.random.below(90_000),
        };
        self.task.next = Some(self.account.next());
        let lines = self.run_for(Duration::from_micros(micros));
        self.account.begin_run(self.task.now);
        for line in &lines {
            self.account.take_down(line);
        }
    }

    /// Kills one that finds the log of the one before, while it opens the file.
    fn kill_while_opening(&mut self) {
        self.task.next = None;
        let life = Duration::from_micros(self.random.below(9_000));
        let lines = self.run_for(life);
        assert!(lines.iter().all(|line| line == "opened"), "{lines:?}");
    }

    fn run_for(&self, life: Duration) -> Vec<String> {
        let mut child = Command::new(env::current_exe().expect("it runs"))
            .args(["--exact", self.name, "--nocapture"])
            .env(TASK, self.task.encode())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started again");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let reader = thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix('@').map(str::to_owned)).collect()
        });
        thread::sleep(life);
        child.kill().expect("it runs");
        let status = child.wait().expect("it was started");
        let lines: Vec<String> = reader.join().expect("it only reads");
        assert_eq!(status.code(), None, "the worker ended by itself: {:?}", lines.last());
        lines
    }

    /// Holds the file to what was told, and leaves it at one of the states that are possible.
    fn check(&mut self) {
        let store = match self.attached.take() {
            Some(store) => store,
            None => self.open(),
        };
        self.account.settle(&store);
        self.account.note_last_number(file::assert_sound(&self.task.path));
        self.attached = (self.random.below(2) == 0).then_some(store);
        self.clock.advance(Duration::from_secs(1));
        self.task.now += 1000;
    }

    fn open(&self) -> Sqlite {
        worker::open(&self.task.path, self.task.durability, self.clock.clone())
    }

    fn check_the_end(&mut self) {
        let store = self.open();
        self.account.begin_run(self.task.now);
        self.account.settle(&store);
        for snapshot in store.history().expect("it can be read") {
            assert!(store.drop_snapshot(snapshot.info().id).expect("it can be written"));
        }
        store.compact().expect("it can be written");
        self.account.assert_state(&store);
        store.close().expect("it was open");
        assert_is_one_file(&self.task.path);
        file::assert_nothing_left_over(&self.task.path);
    }
}

/// The last to close takes the log along.
fn assert_is_one_file(path: &Path) {
    let folder = path.parent().expect("it is in a folder").read_dir().expect("the folder is there");
    let names: Vec<_> = folder.map(|entry| entry.expect("it can be read").file_name()).collect();
    assert_eq!(names, ["state.db"]);
}
