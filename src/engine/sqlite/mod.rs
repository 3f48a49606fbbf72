//! The SQLite engine: one file, shared by any number of threads and processes of one machine.
//!
//! Reads run side by side, each on a connection of its own, and never wait for a write (WAL). Writes go through one connection
//! and in one line: whoever is first carries out what waits behind it in the same commit. Snapshots are rows; old versions are kept only
//! while one needs them. Everything here waits for a disk, so all of it runs inside the caller's [`Waiting`].

mod batch;
mod changes;
mod commit;
mod connection;
mod copier;
mod fault;
mod history;
mod line;
mod read;
mod schema;
mod snapshot;
mod sql;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
pub use snapshot::SqliteSnapshot;

use self::changes::{Attempt, Changes};
use self::commit::{Deadline, Writer};
use self::connection::{File, Link, Pool, closed};
use self::copier::Copier;
use self::history::Cut;
use self::line::{Lead, Line, Turn};
use self::read::{Moment, read_by};
use self::snapshot::SqliteView;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::{Batch, Capabilities, NamespaceInfo, Outcome, Range, Reader, Snapshot, SnapshotId, Store, Usage};
use crate::value::Entry;
use crate::waiting::Waiting;

/// Due entries that one transaction removes where all of them have to go.
const SWEPT_AT_A_TIME: usize = 10_000;

/// What a write that returned survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: every commit waits for the disk.
    #[default]
    Full,
    /// The end of the process, by whatever; a loss of power may take the last commits, whole ones and in their order.
    Normal,
}

/// How a SQLite store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What a write that returned survives.
    pub durability: Durability,
    /// How long a call waits for other processes and threads.
    pub timeout: Duration,
    /// The most snapshots that this handle leaves when it takes one; `None` = all of them.
    pub max_history: Option<usize>,
    /// Whether a file that is not there is made.
    pub create: bool,
    /// What tells the time.
    pub clock: Clock,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            timeout: Duration::from_secs(30),
            max_history: None,
            create: true,
            clock: Clock::system(),
        }
    }
}

/// A store in one SQLite file. Cloning makes another handle to the same store.
///
/// # Example
/// ```
/// use swarmstate::{Sqlite, SqliteOptions, Store, StoreExt};
///
/// let folder = std::env::temp_dir().join(format!("swarmstate-tour-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let store = Sqlite::open(&folder.join("state.db"), SqliteOptions::default())?;
/// store.set("workflow", "step", 3)?;
/// let savepoint = store.snapshot()?;
/// store.set("workflow", "step", 4)?;
/// store.restore(&*savepoint)?;
/// assert_eq!(store.increment("workflow", "step", 0)?, 3);
/// store.close()?;
/// std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
    waiting: Waiting,
}

struct Shared {
    file: Arc<File>,
    options: SqliteOptions,
    capabilities: Capabilities,
    line: Line,
    /// The connection that writes; `None` once the store is closed. Only who leads the line takes it.
    writer: Mutex<Option<Writer>>,
    pool: Pool,
    copier: Arc<Copier>,
}

impl Sqlite {
    /// Opens the store in the file at `path`, and makes it where nothing is and [`SqliteOptions::create`] says so.
    ///
    /// A new file can be read by its owner alone (0600).
    ///
    /// # Errors
    /// `NotFound` for a folder, or a file that is not to be made, that is not there; `Invalid` for a file that is no store or
    /// cannot be written, and in a process that was forked while the file was open; `Unsupported` for one of a newer release;
    /// `Corrupt` for one that is damaged; `Unavailable` for one that other processes hold too long. A file that is there stays
    /// as it is.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        if options.max_history == Some(0) {
            return Err(Error::invalid("max_history must be at least 1, or None for no bound"));
        }
        let file = File::open(path, options.create)?;
        let copier = Copier::new(file.clone(), options.clone());
        let writer = Writer::new(Link::open(&file, &options)?, options.clock.clone(), copier.clone())?;
        let capabilities = Capabilities {
            engine: "sqlite",
            persistent: true,
            waits: true,
            held_snapshots_outlive_history: false,
            ..Capabilities::memory()
        };
        let (line, pool) = (Line::default(), Pool::new());
        let shared = Shared { file, options, capabilities, line, writer: Mutex::new(Some(writer)), pool, copier };
        Ok(Self { shared: Arc::new(shared), waiting: Waiting::plainly() })
    }

    /// The file's absolute path.
    pub fn path(&self) -> &Path {
        self.shared.file.path()
    }

    fn require_open(&self) -> Result<()> {
        self.shared.file.require_own_process()?;
        self.shared.pool.require_open()
    }

    fn now(&self) -> Timestamp {
        self.shared.options.clock.now()
    }

    #[cold]
    fn named(&self, error: &rusqlite::Error) -> Error {
        fault::named(error, self.shared.file.place())
    }

    fn is_same_file(&self, other: &Self) -> bool {
        self.shared.file.is_same(&other.shared.file)
    }

    /// A connection to read by.
    fn borrow_link(&self) -> Result<Link> {
        self.shared.file.require_own_process()?;
        match self.shared.pool.take()? {
            Some(link) => Ok(link),
            None => Link::open(&self.shared.file, &self.shared.options),
        }
    }

    /// Takes back the connection of a view; in a forked child it is left alone.
    fn give_back(&self, link: Link) {
        if self.shared.file.require_own_process().is_err() {
            return;
        }
        self.waiting.run(|| {
            link.roll_back();
            self.shared.pool.put(link);
        });
    }

    /// Reads by one statement.
    fn read<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.waiting.run(|| {
            let link = self.borrow_link()?;
            let read = work(&link, Moment::Now(self.now()));
            self.shared.pool.put(link);
            read.map_err(|error| self.named(&error))
        })
    }

    /// Reads by several statements, of one moment.
    fn read_together<R: Send>(&self, work: impl FnOnce(&Link) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.waiting.run(|| {
            let link = self.borrow_link()?;
            let read = link.run(sql::BEGIN, []).and_then(|_| work(&link));
            link.roll_back();
            self.shared.pool.put(link);
            read.map_err(|error| self.named(&error))
        })
    }

    fn read_several<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.read_together(|link| work(link, Moment::Now(self.now())))
    }

    fn usage_by(&self, link: &Link) -> rusqlite::Result<Usage> {
        read::usage(link, self.now())
    }

    fn write_here(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        self.require_open()?;
        let deadline = Deadline::after(self.shared.options.timeout);
        match self.shared.line.enter(|| Some(batch.clone().into_owned()), deadline.at) {
            Turn::Lead(lead) => self.lead(&lead, batch, deadline),
            Turn::Answered(answer) => answer,
            Turn::Late => Err(self.late()),
        }
    }

    /// Writes a batch, and those that wait behind it.
    fn lead(&self, lead: &Lead<'_>, own: &Batch<'_>, deadline: Deadline) -> Result<Vec<Outcome>> {
        let mut writer = self.shared.writer.lock();
        let writing = writer.as_mut().ok_or_else(closed)?;
        writing.begin(deadline)?;
        writing.write(own, lead, deadline)
    }

    #[cold]
    fn late(&self) -> Error {
        let who = "other threads of this process were writing, or waiting for another process, all the time";
        fault::late(self.shared.file.place(), self.shared.options.timeout, who)
    }

    /// Waits for the lead, and uses the writing connection alone.
    fn alone<R>(&self, work: impl FnOnce(&mut Writer, Deadline) -> Result<R>) -> Result<R> {
        self.require_open()?;
        let deadline = Deadline::after(self.shared.options.timeout);
        match self.shared.line.enter(|| None, deadline.at) {
            Turn::Lead(_lead) => work(self.shared.writer.lock().as_mut().ok_or_else(closed)?, deadline),
            Turn::Answered(_) => unreachable!("only batches are answered"),
            Turn::Late => Err(self.late()),
        }
    }

    /// Changes the store in one transaction, which nothing shares.
    fn change<R: Send>(&self, work: impl FnOnce(&mut Changes<'_>) -> Attempt<R> + Send) -> Result<R> {
        self.waiting.run(|| self.alone(|writer, deadline| writer.run(deadline, work)))
    }

    /// Removes what nobody needs any more, with room for others in between.
    fn release(&self) -> Result<()> {
        while self.change(history::release)? {}
        Ok(())
    }

    /// Removes what is due until little is left, in transactions that let others in between.
    fn sweep_most(&self) -> Result<()> {
        while self.change(|changes| changes.sweep(SWEPT_AT_A_TIME))? == SWEPT_AT_A_TIME {}
        Ok(())
    }

    fn snapshot_of(&self, cut: Cut) -> Arc<dyn Snapshot> {
        Arc::new(SqliteSnapshot { store: self.clone(), cut })
    }
}

read_by!(Sqlite);

impl Store for Sqlite {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn write(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        batch.check(&self.shared.capabilities)?;
        self.waiting.run(|| self.write_here(batch))
    }

    fn clear(&self) -> Result<()> {
        self.change(history::clear)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.sweep_most()?;
        let (clock, most) = (&self.shared.options.clock, self.shared.options.max_history);
        let cut = self.change(|changes| {
            let (now, micros) = clock.now_and_micros();
            changes.now = now;
            changes.sweep(usize::MAX)?;
            history::take(changes, micros, most)
        })?;
        if most.is_some() {
            self.release()?;
        }
        Ok(self.snapshot_of(cut))
    }

    fn view(&self) -> Result<Arc<dyn Reader>> {
        self.waiting.run(|| {
            let link = self.borrow_link()?;
            let view = SqliteView::open(self.clone(), link, self.now()).map_err(|error| self.named(&error))?;
            Ok(Arc::new(view) as Arc<dyn Reader>)
        })
    }

    fn restore(&self, snapshot: &dyn Snapshot) -> Result<()> {
        let Some(ours) = snapshot.downcast::<SqliteSnapshot>() else {
            return Err(Error::unsupported(
                "a SQLite store cannot restore another engine's snapshot; copy it into an empty store (`ss.copy`)",
            ));
        };
        match ours.store.is_same_file(self) {
            true => self.change(|changes| history::restore(changes, &ours.cut)),
            false => self.change(|changes| history::take_over(changes, snapshot)),
        }
    }

    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>> {
        let cuts = self.read(|link, _| history::snapshots(link))?;
        Ok(cuts.into_iter().map(|cut| self.snapshot_of(cut)).collect())
    }

    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>> {
        let cut = self.read(|link, _| history::snapshot(link, id))?;
        Ok(self.snapshot_of(cut.ok_or_else(|| history::dropped(id))?))
    }

    fn drop_snapshot(&self, id: SnapshotId) -> Result<bool> {
        let is_dropped = self.change(|changes| history::drop_snapshot(changes, id))?;
        if is_dropped {
            self.release()?;
        }
        Ok(is_dropped)
    }

    fn sweep(&self, most: usize) -> Result<usize> {
        self.change(|changes| changes.sweep(most))
    }

    fn compact(&self) -> Result<()> {
        self.sweep_most()?;
        self.release()?;
        self.waiting.run(|| {
            let mut free = i64::MAX;
            // Others may fill pages meanwhile, or set more free; it ends where nothing is gained.
            while let left @ 1.. = self.alone(Writer::shrink)?
                && left < free
            {
                free = left;
            }
            self.alone(|writer, _| writer.cut_log())
        })
    }

    fn close(&self) -> Result<()> {
        self.shared.file.require_own_process()?;
        self.waiting.run(|| {
            // Whoever writes comes to an end first; who waits is refused.
            let _turn = self.shared.line.enter(|| None, None);
            let writer = self.shared.writer.lock().take();
            self.shared.copier.finish();
            self.shared.pool.close();
            drop(writer);
        });
        Ok(())
    }

    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store> {
        Arc::new(Self { shared: self.shared.clone(), waiting })
    }
}

impl Drop for Sqlite {
    /// The last handle closes the connections, which may take long, as its caller waits; in a forked child it leaves them alone.
    fn drop(&mut self) {
        if self.shared.file.require_own_process().is_err() {
            return;
        }
        if Arc::strong_count(&self.shared) == 1 {
            self.waiting.run(|| {
                self.shared.copier.finish();
                self.shared.pool.close();
                drop(self.shared.writer.lock().take());
            });
        }
    }
}
