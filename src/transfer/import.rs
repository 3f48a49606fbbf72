//! Writes what an export holds into a store.
//!
//! A file is read twice: first to the end, to know that it is whole, well formed and meets no namespace that lives, and only then
//! to write. So a bad file leaves the target as it was. What cannot be read twice is kept in a file without a name meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::copy::require_absent;
use super::export::at_path;
use super::frames::Frames;
use super::record::{self, NewEntry, Record};
use super::{BATCH_BYTES, BATCH_OPERATIONS, Failure, Progress};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::{Batch, Capabilities, Condition, Store};

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entries that were written and live.
    pub entries: u64,
    /// Entries that were left out, since their time had come.
    pub expired: u64,
}

/// Writes every entry that `source` holds into `target`, into namespaces that do not exist there yet.
///
/// Values, kinds and expiries stay as they are; revisions and times are the target's own. What was due already is not there
/// afterwards, and is counted. `progress` is told, after every batch, how many records are done, of how many.
///
/// # Cost
/// O(n) time, reading everything twice; a batch of entries and the longest record of memory, and the whole export on the disk,
/// in the folder for temporary files.
///
/// # Errors
/// `Invalid` and `TooLarge` name the number of the offending record, `Conflict` the namespace that exists: nothing is written.
/// `Unavailable`, the errors of `progress`, and `Conflict` where somebody else makes one of the namespaces meanwhile, leave in
/// `target` what was written by then; nothing of others is overwritten. Delete those namespaces and repeat.
pub fn import(source: &mut dyn Read, target: &dyn Store, progress: Progress<'_>) -> Result<Imported, Failure> {
    let mut writing = Writing::new(target, progress);
    read_twice(source, &mut writing)?;
    Ok(writing.imported)
}

/// Imports from a file, without a copy of it.
///
/// # Errors
/// As [`import`].
pub fn import_from(path: &Path, target: &dyn Store, progress: Progress<'_>) -> Result<Imported, Failure> {
    let mut writing = Writing::new(target, progress);
    read_twice_from(path, &mut writing)?;
    Ok(writing.imported)
}

/// Where the entries of an export arrive: all of them are judged before the first is taken.
pub(crate) trait Arrivals {
    /// What the store that they are meant for can take.
    fn capabilities(&self) -> &Capabilities;

    /// Judges an entry in the first reading; nothing is written.
    fn judge(&mut self, entry: &NewEntry) -> Result<()>;

    /// Stands between the two readings; what it refuses is never written.
    fn begin(&mut self) -> Result<()>;

    /// Takes an entry in the second reading.
    fn take(&mut self, entry: NewEntry) -> Result<(), Failure>;

    /// Stands behind the second reading.
    fn finish(&mut self) -> Result<(), Failure>;
}

/// Gives all that an export holds to `arrivals`, and keeps in a file meanwhile what cannot be read twice.
///
/// # Errors
/// `Invalid` and `TooLarge` for what is no whole export, before anything is taken; and whatever `arrivals` answers.
pub(crate) fn read_twice(source: &mut dyn Read, arrivals: &mut dyn Arrivals) -> Result<(), Failure> {
    let mut spool = tempfile::tempfile()?;
    survey(&mut Tee { source, spool: &mut spool }, arrivals)?;
    write(&mut spool, arrivals)
}

/// Gives all that an export in a file holds to `arrivals`.
///
/// # Errors
/// As [`read_twice`].
pub(crate) fn read_twice_from(path: &Path, arrivals: &mut dyn Arrivals) -> Result<(), Failure> {
    let mut file = File::open(path).map_err(|error| at_path(path, &error))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(at_path(path, &io::ErrorKind::IsADirectory.into()).into());
    }
    if !metadata.is_file() {
        return read_twice(&mut file, arrivals);
    }
    survey(&mut file, arrivals)?;
    write(&mut file, arrivals)
}

/// Keeps in a file what is read from elsewhere.
struct Tee<'a> {
    source: &'a mut dyn Read,
    spool: &'a mut File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.spool.write_all(&buffer[..read])?;
        Ok(read)
    }
}

/// Reads an export to its end and has every entry judged.
fn survey(source: &mut dyn Read, arrivals: &mut dyn Arrivals) -> Result<(), Failure> {
    let capabilities = arrivals.capabilities().clone();
    read_all(source, &capabilities, &mut |entry| Ok(arrivals.judge(&entry)?))?;
    Ok(arrivals.begin()?)
}

/// Reads it once more and has every entry taken.
fn write(file: &mut File, arrivals: &mut dyn Arrivals) -> Result<(), Failure> {
    let capabilities = arrivals.capabilities().clone();
    file.seek(SeekFrom::Start(0))?;
    read_all(file, &capabilities, &mut |entry| arrivals.take(entry))?;
    arrivals.finish()
}

/// Reads an export to its end and gives every entry to `take`.
fn read_all(
    source: &mut dyn Read,
    capabilities: &Capabilities,
    take: &mut dyn FnMut(NewEntry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut frames = Frames::new(source)?;
    let mut order = Order::default();
    loop {
        let format = frames.format();
        let record = match frames.next()? {
            Some(frame) => record::read(format, frame),
            None => return Err(order.cut_off().into()),
        };
        let number = frames.number();
        let record = if frames.lacks_its_end() { record.map_err(may_be_cut_off) } else { record };
        match record.and_then(|record| order.admit(record, capabilities)).map_err(|error| at_record(number, error))? {
            Next::Header => {}
            Next::Entry(entry) => take(entry)?,
            Next::End => break,
        }
    }
    match frames.next()? {
        None => Ok(()),
        Some(_) => Err(at_record(frames.number(), Error::invalid("it stands behind the trailer")).into()),
    }
}

fn may_be_cut_off(error: Error) -> Error {
    Error::invalid(format!("{error}; the export ends here without the end of a line, so it may be cut off"))
}

/// Names the record in an error of its content.
fn at_record(number: u64, error: Error) -> Error {
    match error {
        Error::Invalid { what } => Error::Invalid { what: format!("record {number} of the export: {what}") },
        Error::TooLarge { what, size, limit } => {
            Error::TooLarge { what: format!("record {number} of the export: {what}"), size, limit }
        }
        other => other,
    }
}

/// What stands in the way of a record's being the next one.
#[derive(Default)]
struct Order {
    has_header: bool,
    entries: u64,
    last: Option<(Namespace<'static>, Key<'static>)>,
}

enum Next {
    Header,
    Entry(NewEntry),
    End,
}

impl Order {
    fn admit(&mut self, record: Record, capabilities: &Capabilities) -> Result<Next> {
        match record {
            Record::Header if !self.has_header => {
                self.has_header = true;
                Ok(Next::Header)
            }
            Record::Header => Err(Error::invalid("it is a second header")),
            _ if !self.has_header => Err(Error::invalid("an export begins with a header, but this is none")),
            Record::Entry(entry) => {
                entry.set_in(&entry.namespace).check(capabilities)?;
                self.follow(&entry)?;
                Ok(Next::Entry(entry))
            }
            Record::Trailer { entries } if entries == self.entries => Ok(Next::End),
            Record::Trailer { entries } => Err(Error::invalid(format!(
                "the trailer counts {entries} entries, but {} stand before it",
                self.entries
            ))),
        }
    }

    fn follow(&mut self, entry: &NewEntry) -> Result<()> {
        let address = (entry.namespace.clone(), entry.key.clone());
        if let Some(last) = &self.last
            && address <= *last
        {
            let (namespace, key) = (address.0.as_str(), address.1.as_str());
            let what = if address == *last { "comes twice" } else { "does not stand in the order of the bytes" };
            return Err(Error::invalid(format!("key {key:?} in namespace {namespace:?} {what}")));
        }
        self.last = Some(address);
        self.entries += 1;
        Ok(())
    }

    fn cut_off(&self) -> Error {
        Error::invalid(format!("the export is cut off: its trailer is missing after {} entries", self.entries))
    }
}

/// Entries on their way into a store, at most a batch of them.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Vec<NewEntry>,
    bytes: usize,
}

impl Pending {
    /// Whether `entry` has to wait for the next batch.
    pub(crate) fn has_no_room_for(&self, entry: &NewEntry, capabilities: &Capabilities) -> bool {
        let most = BATCH_OPERATIONS.min(capabilities.max_batch_operations);
        self.entries.len() >= most || (self.bytes + size(entry) > BATCH_BYTES && !self.entries.is_empty())
    }

    pub(crate) fn push(&mut self, entry: NewEntry) {
        self.bytes += size(&entry);
        self.entries.push(entry);
    }

    pub(crate) fn entries(&self) -> &[NewEntry] {
        &self.entries
    }

    /// Empties it for the next batch.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

fn size(entry: &NewEntry) -> usize {
    entry.namespace.as_bytes().len() + entry.key.as_bytes().len() + entry.value.as_bytes().len()
}

/// Entries on their way into the namespaces that they were exported from, a batch of one namespace at a time.
struct Writing<'a> {
    target: &'a dyn Store,
    progress: Progress<'a>,
    total: u64,
    pending: Pending,
    done: u64,
    imported: Imported,
    /// The namespace of the last entry that was judged.
    judged: Option<Namespace<'static>>,
    /// The namespace of the last batch.
    last: Option<Namespace<'static>>,
}

impl Arrivals for Writing<'_> {
    fn capabilities(&self) -> &Capabilities {
        self.target.capabilities()
    }

    fn judge(&mut self, entry: &NewEntry) -> Result<()> {
        self.total += 1;
        if self.judged.as_ref() != Some(&entry.namespace) {
            require_absent(self.target, entry.namespace.as_str())?;
            self.judged = Some(entry.namespace.clone());
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn take(&mut self, entry: NewEntry) -> Result<(), Failure> {
        let is_full = self.pending.has_no_room_for(&entry, self.target.capabilities());
        if is_full || self.pending.entries().first().is_some_and(|first| first.namespace != entry.namespace) {
            self.flush()?;
        }
        self.pending.push(entry);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.flush()
    }
}

impl<'a> Writing<'a> {
    fn new(target: &'a dyn Store, progress: Progress<'a>) -> Self {
        let (pending, imported) = (Pending::default(), Imported::default());
        Self { target, progress, total: 0, pending, done: 0, imported, judged: None, last: None }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let entries = self.pending.entries();
        let Some(first) = entries.first() else { return Ok(()) };
        let namespace = first.namespace.clone();
        let operations = entries.iter().map(|entry| entry.set_in(&namespace)).collect();
        let mut batch = Batch::from_parts(operations, Vec::new());
        if self.last.as_ref() != Some(&namespace) {
            batch.require(Condition::NamespaceAt { namespace: namespace.borrow(), revision: 0 });
        }
        self.target.write(&batch)?;
        let (count, expired) = (entries.len() as u64, self.count_expired()?);
        self.done += count;
        self.imported.entries += count - expired;
        self.imported.expired += expired;
        self.last = Some(namespace);
        self.pending.clear();
        (self.progress)(self.done, self.total)?;
        Ok(())
    }

    /// How many of the entries are gone at once; the target's clock judges.
    fn count_expired(&self) -> Result<u64> {
        let can_expire = self.pending.entries().iter().filter(|entry| entry.expires_at.is_some());
        let pairs: Vec<_> = can_expire.map(|entry| (entry.namespace.borrow(), entry.key.borrow())).collect();
        let found = if pairs.is_empty() { Vec::new() } else { self.target.get_many(&pairs)? };
        Ok(found.iter().filter(|entry| entry.is_none()).count() as u64)
    }
}
