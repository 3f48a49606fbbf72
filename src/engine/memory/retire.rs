//! Where states go that nobody needs any more.
//!
//! Freeing takes time for every entry. Large states are therefore dropped on one background thread, started when
//! it is first needed, so that neither a caller nor an interpreter's lock waits for it. Nothing here is needed for
//! correctness: where there is no such thread, or it has much to do, the caller drops the state itself.

use std::sync::mpsc::{SyncSender, sync_channel};

use parking_lot::Mutex;

/// States of up to so many entries are dropped where they are, so that small stores never start the thread.
const MOST_ENTRIES_DROPPED_IN_PLACE: u64 = 500;
/// Large states that wait to be dropped before callers drop their own.
const MOST_WAITING: usize = 64;

type Grave = Box<dyn Send>;

/// The thread of this process: a forked child starts its own.
static UNDERTAKER: Mutex<Option<(u32, SyncSender<Grave>)>> = Mutex::new(None);

/// Drops `state`, which frees at most `entries`, without holding the caller up.
pub(super) fn retire<T: Send + 'static>(state: T, entries: u64) {
    if entries <= MOST_ENTRIES_DROPPED_IN_PLACE {
        return;
    }
    // The lock is held for a hand-over only; a caller that finds it taken does not wait for it.
    let Some(mut undertaker) = UNDERTAKER.try_lock() else { return };
    let here = std::process::id();
    if undertaker.as_ref().is_none_or(|(process, _)| *process != here) {
        // A parent's sender is forgotten: closing it takes a lock that the parent's thread may have held at the fork.
        std::mem::forget(undertaker.take());
        *undertaker = start().map(|sender| (here, sender));
    }
    let Some((_, sender)) = undertaker.as_ref() else { return };
    let refused = sender.try_send(Box::new(state));
    drop(undertaker);
    drop(refused);
}

fn start() -> Option<SyncSender<Grave>> {
    let (sender, receiver) = sync_channel::<Grave>(MOST_WAITING);
    let thread = std::thread::Builder::new().name("swarmstate-drop".into());
    thread.spawn(move || receiver.iter().for_each(drop)).ok()?;
    Some(sender)
}
