//! The order of what is told, what is kept for those who come back, and how far behind one may be.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::{Change, Changes, Last, Next, ReaderId, Scope};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::value::{Entry, Kind, Revision, Stamp, Value};

fn changes() -> Changes {
    Changes::new(Clock::manual(Timestamp::from_millis(0)))
}

fn watch(changes: &Changes, last: Last) -> ReaderId {
    changes.open(Scope::Namespace("n".into(), "".into()), last, None).expect("there is room")
}

fn entry(key: &str, revision: Revision, value_bytes: usize) -> Entry {
    let now = Timestamp::from_millis(0);
    let value = Value::shared(Kind::Json, vec![0; value_bytes]);
    let stamp = Stamp { revision, created_at: now, updated_at: now, expires_at: None };
    Entry::new(&Key::new(key).expect("a key"), &value, stamp)
}

fn write(changes: &Changes, namespace: &str, revision: Revision) {
    changes.begin(namespace).set(&entry("k", revision, 1));
}

/// What a watcher hears up to now: revisions, and 0 for a reset.
fn heard(changes: &Changes, reader: ReaderId) -> Vec<Revision> {
    let mut heard = Vec::new();
    while let Poll::Ready(Some(next)) = changes.poll(reader, Waker::noop()) {
        match next {
            Next::Reset(_) => heard.push(0),
            Next::Sign(_) => {}
            Next::Event(event) => match &event.change {
                Change::Set(entry) => heard.push(entry.revision()),
                Change::Delete { revision, .. } => heard.push(*revision),
                Change::Reset => heard.push(0),
            },
        }
    }
    heard
}

#[test]
fn a_change_waits_for_an_older_write_that_is_still_under_way() {
    let changes = changes();
    let reader = watch(&changes, Last::None);
    let first = changes.begin("n");
    let second = changes.begin("n");

    second.set(&entry("k", 2, 1));
    let before = heard(&changes, reader);
    let third = changes.begin("n");
    first.set(&entry("k", 1, 1));

    assert_eq!((before, heard(&changes, reader)), (vec![], vec![1, 2]));
    third.nothing();
}

#[test]
fn a_write_under_way_when_the_first_watch_begins_is_told() {
    let changes = changes();
    let writing = changes.begin("n");

    let reader = watch(&changes, Last::None);
    writing.set(&entry("k", 7, 1));

    assert_eq!(heard(&changes, reader), [7]);
}

#[test]
fn nobody_knows_what_came_of_a_write_whose_answer_is_missing() {
    let changes = changes();
    let reader = watch(&changes, Last::None);
    let answer = |error: Error| changes.begin("n").heard(Result::<()>::Err(error)).is_err();

    let refused = answer(Error::invalid("x"));
    let after_refusal = heard(&changes, reader);
    let lost = answer(Error::Unavailable { what: "x".to_owned() });
    let other = changes.begin("m");
    drop(other);

    assert_eq!((refused, after_refusal), (true, vec![]));
    assert_eq!((lost, heard(&changes, reader)), (true, vec![0]));
}

#[test]
fn what_nobody_knows_is_told_behind_all_that_may_have_come_before_it() {
    let changes = changes();
    let reader = watch(&changes, Last::None);
    let (older, lost) = (changes.begin("n"), changes.begin("n"));

    drop(lost);
    let later = changes.begin("n");
    older.set(&entry("k", 1, 1));
    let held = heard(&changes, reader);
    later.set(&entry("k", 2, 1));

    // A reset stands for all that came before it.
    assert_eq!((held, heard(&changes, reader)), (vec![], vec![0]));
}

#[test]
fn a_restore_is_told_again_once_older_writes_have_ended() {
    let changes = changes();
    let reader = watch(&changes, Last::None);
    let writing = changes.begin("n");

    changes.reset(None);
    let at_once = heard(&changes, reader);
    writing.set(&entry("k", 1, 1));

    assert_eq!((at_once, heard(&changes, reader)), (vec![0], vec![0]));
}

#[test]
fn a_watcher_a_thousand_events_behind_is_reset_and_goes_on() {
    let changes = changes();
    let (slow, quick) = (watch(&changes, Last::None), watch(&changes, Last::None));
    (1..=1000).for_each(|revision| write(&changes, "n", revision));
    let quick_heard = heard(&changes, quick).len();

    write(&changes, "n", 1001);
    let reset = heard(&changes, slow);
    write(&changes, "n", 1002);

    assert_eq!((quick_heard, reset, heard(&changes, slow)), (1000, vec![0], vec![1002]));
    assert_eq!(heard(&changes, quick), [1001, 1002]);
}

#[test]
fn events_are_kept_by_number_and_by_room() {
    let changes = changes();
    let place = |number| watch(&changes, Last::Number(number));
    let begun = watch(&changes, Last::None);
    (1..=65_537).for_each(|revision| write(&changes, "other", revision));
    write(&changes, "n", 1);

    let (first, last) = (place(2), place(1));
    let after_number = (heard(&changes, first), heard(&changes, last));
    (0..9).for_each(|_| changes.begin("other").set(&entry("k", 1, 2 << 20)));

    assert_eq!(after_number, (vec![1], vec![0]));
    assert_eq!(heard(&changes, place(65_538)), [0], "more than 16 MiB came since");
    assert_eq!(heard(&changes, place(65_541)), Vec::<u64>::new());
    assert_eq!(heard(&changes, begun), [0], "its event is kept no longer");
}

#[test]
fn a_watch_ends_once_its_check_says_no() {
    let changes = changes();
    let allowed = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = allowed.clone();
    let stays = Arc::new(move || asked.load(std::sync::atomic::Ordering::Relaxed));
    let scope = Scope::Namespaces("".into());
    let reader = changes.open(scope, Last::None, Some(stays)).expect("there is room");
    let _ = changes.poll(reader, Waker::noop());

    changes.tend();
    let before = changes.poll(reader, Waker::noop()).is_pending();
    allowed.store(false, std::sync::atomic::Ordering::Relaxed);
    changes.tend();

    assert!(before);
    assert!(matches!(changes.poll(reader, Waker::noop()), Poll::Ready(None)));
}

#[test]
fn only_so_many_watch_and_one_that_leaves_makes_room() {
    let changes = changes();
    let readers: Vec<_> = (0..4096).map(|_| watch(&changes, Last::None)).collect();
    let open = || changes.open(Scope::Namespace("n".into(), "".into()), Last::None, None);

    let full = open().is_err();
    changes.leave(readers[7]);

    assert_eq!((full, open().is_ok()), (true, true));
}

#[test]
fn nothing_is_kept_before_somebody_watches_and_nothing_of_a_namespace_at_rest() {
    let changes = changes();
    write(&changes, "n", 1);

    let state = changes.state.lock();

    assert_eq!((state.log.last(), state.flows.len()), (0, 0));
}

proptest! {
    /// However the ends of writes that overlap are mixed, what is told are their revisions in ascending order, all in the end.
    #[test]
    fn overlapping_writes_are_told_in_the_order_of_their_revisions(
        order in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..60),
    ) {
        let changes = changes();
        let reader = watch(&changes, Last::None);
        let (mut under_way, mut revision, mut told) = (Vec::new(), 0, Vec::new());
        let mut written = Vec::new();

        for (begins, place) in order {
            if begins || under_way.is_empty() {
                under_way.push((changes.begin("n"), None));
            } else {
                let place = place.index(under_way.len());
                // A write takes its revision at some moment, and its caller hears of that at a later one.
                if under_way[place].1.is_none() {
                    revision += 1;
                    under_way[place].1 = Some(revision);
                } else {
                    let (writing, revision) = under_way.swap_remove(place);
                    let revision = revision.expect("it took one");
                    written.push(revision);
                    writing.set(&entry("k", revision, 1));
                }
            }
            told.extend(heard(&changes, reader));
            changes.clock.advance(Duration::from_millis(1));
        }
        for (writing, revision) in under_way {
            match revision {
                Some(revision) => {
                    written.push(revision);
                    writing.set(&entry("k", revision, 1));
                }
                None => writing.nothing(),
            }
        }
        told.extend(heard(&changes, reader));
        written.sort_unstable();

        prop_assert_eq!(told, written);
    }
}
