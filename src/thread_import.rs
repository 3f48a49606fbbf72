//! One thread out of an export, which holds nothing else, into a store.
//!
//! What is arriving is seen by nobody until all of it has come, and goes again where that fails. What an export is, is left to
//! [`transfer`](crate::transfer), and what a thread is to [`checkpoint`](crate::checkpoint).

use std::io::Read;
use std::path::Path;

use crate::checkpoint::{Arrival, Threads, check_record, is_head, thread_in};
use crate::error::{Error, Result};
use crate::key::Namespace;
use crate::store::{Capabilities, Expiry};
use crate::transfer::{Arrivals, Failure, NewEntry, Pending, Progress, read_twice, read_twice_from};

/// Makes the thread that an export of [`Threads::records`] holds, and answers its id.
///
/// It gets the id `thread_id`, or keeps its own. Checkpoints and writes are the same as they were, the thread's time to live
/// included. `progress` is told, after every batch, how many records are done, of how many.
///
/// # Cost
/// As [`import`](crate::transfer::import()).
///
/// # Errors
/// `Invalid` and `TooLarge` for what is no whole export of one thread, or of one whose time is over; `Conflict` where a thread
/// of that id lives: nothing is written. With any other error nothing is seen of the thread either: repeat it.
pub fn import_thread(
    source: &mut dyn Read,
    threads: &Threads,
    thread_id: Option<&str>,
    progress: Progress<'_>,
) -> Result<String, Failure> {
    Arriving::new(threads, thread_id, progress).run(&mut |arriving| read_twice(source, arriving))
}

/// Imports a thread from a file, without a copy of it.
///
/// # Errors
/// As [`import_thread`].
pub fn import_thread_from(
    path: &Path,
    threads: &Threads,
    thread_id: Option<&str>,
    progress: Progress<'_>,
) -> Result<String, Failure> {
    Arriving::new(threads, thread_id, progress).run(&mut |arriving| read_twice_from(path, arriving))
}

/// A thread of which some records have been read, or written.
struct Arriving<'a> {
    threads: &'a Threads,
    /// The id that it shall have; its own until the first record is read.
    thread_id: Option<String>,
    progress: Progress<'a>,
    /// The namespace that it was exported from.
    source: Option<Namespace<'static>>,
    has_head: bool,
    /// Its records, as counted in the first reading.
    total: u64,
    arrival: Option<Arrival<'a>>,
    pending: Pending,
    head: Option<NewEntry>,
    done: u64,
}

impl<'a> Arriving<'a> {
    fn new(threads: &'a Threads, thread_id: Option<&str>, progress: Progress<'a>) -> Self {
        Self {
            threads,
            thread_id: thread_id.map(str::to_owned),
            progress,
            source: None,
            has_head: false,
            total: 0,
            arrival: None,
            pending: Pending::default(),
            head: None,
            done: 0,
        }
    }

    fn run(mut self, read: &mut dyn FnMut(&mut Self) -> Result<(), Failure>) -> Result<String, Failure> {
        let result = read(&mut self);
        if result.is_err()
            && let Some(arrival) = &self.arrival
        {
            arrival.abandon();
        }
        result.map(|()| self.thread_id.expect("a thread that has come has an id"))
    }

    fn check(&mut self, entry: &NewEntry) -> Result<()> {
        self.require_one_thread(&entry.namespace)?;
        check_record(&entry.key, &entry.value, entry.expires_at)
    }

    fn require_one_thread(&mut self, namespace: &Namespace<'static>) -> Result<()> {
        match &self.source {
            None => {
                let own = thread_in(namespace)?;
                self.thread_id.get_or_insert(own);
                self.source = Some(namespace.clone());
                Ok(())
            }
            Some(source) if source == namespace => Ok(()),
            Some(source) => Err(Error::invalid(format!(
                "the export holds more than a thread: {:?} and {:?}; import it as a whole into a store of its own",
                source.as_str(),
                namespace.as_str()
            ))),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let entries = self.pending.entries();
        if entries.is_empty() {
            return Ok(());
        }
        let arrival = self.arrival.as_mut().expect("it is made between the readings");
        arrival.write(entries.iter().map(|entry| (entry.key.borrow(), entry.value.clone(), Expiry::Never)))?;
        self.done += entries.len() as u64;
        self.pending.clear();
        (self.progress)(self.done, self.total)?;
        Ok(())
    }
}

impl Arrivals for Arriving<'_> {
    fn capabilities(&self) -> &Capabilities {
        self.threads.capabilities()
    }

    fn judge(&mut self, entry: &NewEntry) -> Result<()> {
        self.check(entry)?;
        self.has_head |= is_head(&entry.key);
        self.total += 1;
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let Some(thread_id) = self.thread_id.as_deref().filter(|_| self.has_head) else {
            return Err(Error::invalid("the export holds no thread: nothing says that one lives"));
        };
        self.arrival = Some(self.threads.arrival(thread_id)?);
        Ok(())
    }

    fn take(&mut self, entry: NewEntry) -> Result<(), Failure> {
        // Somebody may have written to the file since it was judged.
        self.check(&entry)?;
        if is_head(&entry.key) {
            self.head = Some(entry);
            return Ok(());
        }
        if self.pending.has_no_room_for(&entry, self.threads.capabilities()) {
            self.flush()?;
        }
        self.pending.push(entry);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let Some(NewEntry { value, expires_at, .. }) = self.head.take() else {
            return Err(Error::invalid("the export was changed while it was read").into());
        };
        let arrival = self.arrival.as_mut().expect("it is made between the readings");
        arrival.finish(value, expires_at)?;
        (self.progress)(self.total, self.total)?;
        Ok(())
    }
}
