//! Operations on one thread that meet at every step: whatever happens between two calls to the store, no checkpoint that is
//! there loses a byte.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use swarmstate::checkpoint::{Origin, Query, Retention, Task, Threads, Version};
use swarmstate::{Error, Result, Store};

use crate::engines::Engine;
use crate::given::{ROOT, checkpoint, ids, read, values, write};
use crate::marks::{keys, named_chunks};
use crate::meeting::{Action, Meeting};

/// What the channel holds at a checkpoint: a long value that each one lengthens, and a short one from 100 on.
fn value(number: usize) -> Vec<u8> {
    if number >= 100 {
        return number.to_string().into_bytes();
    }
    let noise = (0..30_000 + 700 * number).scan(1_u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    });
    noise.collect()
}

fn put(threads: &Threads, number: usize, parent: usize) -> Result<()> {
    let (id, version, parent) = (format!("{number:03}"), format!("{number}"), format!("{parent:03}"));
    let bytes = value(number);
    let mut new = checkpoint(&id, &[("a", Version::Text(&version), Some(&bytes))]);
    new.parent_id = Some(&parent);
    let run = if number.is_multiple_of(2) { "even" } else { "odd" };
    new.origin = Origin { run_id: Some(run), ..Origin::default() };
    threads.put(ROOT, &new)
}

fn happens(result: Result<()>) {
    result.expect("nobody is in its way");
}

/// Goes back to one of the snapshots that the thread began with.
fn restore(store: &dyn Store, number: usize) {
    let taken = store.history().expect("it can be read");
    happens(store.restore(&*taken[number]));
}

const OPERATIONS: &[fn(&Threads) -> Result<()>] = &[
    |threads| put(threads, 8, 5),
    |threads| put(threads, 5, 4),
    |threads| put(threads, 108, 5),
    |threads| threads.put_writes(ROOT, "005", Task { id: "task", path: "" }, &[write(0, b"write")]),
    |threads| threads.prune("thread", 1),
    |threads| threads.delete_runs(&["odd"]),
    |threads| threads.copy("thread", "copy"),
    |threads| threads.get(ROOT, None).map(drop),
];

const INTRUDERS: &[&Action] = &[
    &|_, threads| happens(put(threads, 9, 5)),
    &|_, threads| happens(put(threads, 9, 3)),
    &|_, threads| happens(threads.prune("thread", 1)),
    &|_, threads| happens(threads.prune("thread", 2)),
    &|_, threads| happens(threads.delete_runs(&["odd"])),
    &|_, threads| happens(threads.delete("thread")),
    &|store, _| restore(store, 0),
    &|store, threads| {
        happens(threads.prune("thread", 1));
        happens(put(threads, 9, 5));
        restore(store, 1);
    },
    &|_, threads| {
        happens(threads.delete("thread"));
        happens(put(threads, 0, 0));
        happens(put(threads, 9, 0));
    },
];

/// A thread of six checkpoints, with a snapshot behind the fourth and one behind the last.
fn begin(store: &dyn Store, threads: &Threads) {
    for number in 0..6 {
        happens(put(threads, number, number.saturating_sub(1)));
        if number == 3 || number == 5 {
            store.snapshot().expect("it is taken");
        }
    }
}

/// A saver that has put the thread, and remembers what it put, and the store that lets the intruder in before its call `at`.
fn meeting(store: &Arc<dyn Store>, at: usize, intruder: &'static Action) -> (Threads, Arc<Meeting>) {
    let meeting = Arc::new(Meeting::new(store.clone(), intruder));
    let threads = Threads::new(meeting.clone());
    begin(&**store, &threads);
    meeting.at.store(meeting.calls.load(Ordering::SeqCst) + at, Ordering::SeqCst);
    (threads, meeting)
}

/// Every checkpoint of a thread has the bytes that were put, and all that the thread's rows name is there.
fn assert_whole(store: &Arc<dyn Store>, thread_id: &str) {
    let threads = Threads::new(store.clone());
    let mut listing =
        threads.list(&Query { thread_id: Some(thread_id), ..Query::default() }).expect("it can be listed");
    while let Some(found) = listing.next().expect("it can be read") {
        let number: usize = found.checkpoint_id.parse().expect("it is a number");
        let saved = listing.load(found).expect("it can be read");
        assert_eq!(values(&saved.contents().expect("it is whole")), [("a", value(number))]);
    }
    let (stored, named) = (keys(&**store, thread_id, "chunk:"), named_chunks(&**store, thread_id));
    assert_eq!(named.difference(&stored).collect::<BTreeSet<_>>(), BTreeSet::new());
}

/// Runs the operation with the intruder before its call `at`; `false` when it makes fewer calls.
fn met(store: &Arc<dyn Store>, operation: fn(&Threads) -> Result<()>, intruder: &'static Action, at: usize) -> bool {
    let (threads, meeting) = meeting(store, at, intruder);

    let result = operation(&threads);

    assert!(matches!(result, Ok(()) | Err(Error::Conflict(_))), "{result:?}");
    assert_whole(store, "thread");
    assert_whole(store, "copy");
    happens(Threads::new(store.clone()).prune("thread", 1));
    assert_eq!(keys(&**store, "thread", "chunk:"), named_chunks(&**store, "thread"));
    meeting.calls.load(Ordering::SeqCst) > meeting.at.load(Ordering::SeqCst)
}

fn no_meeting_of_two_operations_loses_a_byte(engine: &Engine) {
    for operation in OPERATIONS {
        for intruder in INTRUDERS {
            let met_at = (0..).take_while(|at| met(&engine.store(), *operation, *intruder, *at)).count();
            assert!((1..200).contains(&met_at), "they met at {met_at} calls");
        }
    }
}

fn a_put_that_meets_a_sweep_is_there_afterwards(engine: &Engine) {
    let intruder: &'static Action = &|_, threads| happens(threads.prune("thread", 1));
    for at in 0..10 {
        let store = engine.store();
        let (threads, _) = meeting(&store, at, intruder);

        put(&threads, 8, 4).expect("it is put");

        let saved = read(&threads, ROOT, Some("008"));
        assert_eq!(values(&saved.contents().expect("it is whole")), [("a", value(8))]);
    }
}

fn puts_that_meet_on_a_thread_past_its_time_are_both_there_and_nothing_else(engine: &Engine) {
    let intruder: &'static Action = &|_, threads| happens(put(threads, 9, 5));
    let retention = Retention { ttl: Some(Duration::from_secs(60)), ..Retention::default() };
    let mut met_at = 0;
    for at in 0..10 {
        let store = engine.store();
        let (threads, meeting) = meeting(&store, at, intruder);
        happens(put(&Threads::with_retention(store.clone(), retention), 6, 5));
        engine.pass(60_000);

        happens(put(&threads, 8, 5));

        let has_met = meeting.calls.load(Ordering::SeqCst) > meeting.at.load(Ordering::SeqCst);
        met_at += usize::from(has_met);
        let found: Vec<String> =
            ids(&Threads::new(store.clone()), Query::default()).into_iter().map(|(_, _, id)| id).collect();
        assert_eq!(found, if has_met { vec!["009", "008"] } else { vec!["008"] });
        assert_whole(&store, "thread");
        assert_eq!(keys(&*store, "thread", "value:").len(), found.len());
    }
    assert!((3..10).contains(&met_at), "they met at {met_at} calls");
}

/// Each engine runs each case as a test of its own.
macro_rules! on {
    ($engine:ident) => {
        mod $engine {
            use crate::engines::Engine;

            #[test]
            fn no_meeting_of_two_operations_loses_a_byte() {
                super::no_meeting_of_two_operations_loses_a_byte(&Engine::$engine());
            }

            #[test]
            fn a_put_that_meets_a_sweep_is_there_afterwards() {
                super::a_put_that_meets_a_sweep_is_there_afterwards(&Engine::$engine());
            }

            #[test]
            fn puts_that_meet_on_a_thread_past_its_time_are_both_there_and_nothing_else() {
                super::puts_that_meet_on_a_thread_past_its_time_are_both_there_and_nothing_else(&Engine::$engine());
            }
        }
    };
}

on!(memory);
#[cfg(feature = "redis")]
on!(redis);
#[cfg(feature = "redis")]
on!(redis_cluster);
#[cfg(feature = "sqlite")]
on!(sqlite);
