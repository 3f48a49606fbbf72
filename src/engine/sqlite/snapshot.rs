//! What stands still: snapshots, which are rows of the file, and views, which are open read transactions.

use parking_lot::Mutex;

use super::connection::Link;
use super::history::{self, Cut, dropped};
use super::read::{self, Moment, read_by};
use super::{Sqlite, sql};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::store::{Diff, NamespaceInfo, Range, Reader, Snapshot, SnapshotInfo, Usage, merge_diff};
use crate::value::Entry;

/// A snapshot of a SQLite store. It can be read until it is dropped, by every process that has the file open.
pub struct SqliteSnapshot {
    pub(super) store: Sqlite,
    pub(super) cut: Cut,
}

impl SqliteSnapshot {
    /// Reads as of the snapshot, in one transaction.
    fn read<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.store
            .read_together(|link| {
                let stands = history::stands(link, self.cut.info.id)?;
                if stands { work(link, Moment::Cut(self.cut.at)).map(Some) } else { Ok(None) }
            })?
            .ok_or_else(|| dropped(self.cut.info.id))
    }

    fn read_several<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.read(work)
    }

    fn usage_by(&self, _: &Link) -> rusqlite::Result<Usage> {
        Ok(self.cut.info.usage)
    }
}

read_by!(SqliteSnapshot);
read_by!(SqliteView);

impl Snapshot for SqliteSnapshot {
    fn info(&self) -> &SnapshotInfo {
        &self.cut.info
    }

    fn clock(&self) -> &Clock {
        &self.store.shared.options.clock
    }

    fn diff(&self, base: &dyn Snapshot) -> Result<Diff> {
        match base.downcast::<Self>().filter(|base| base.store.is_same_file(&self.store)) {
            Some(base) => self.diff_here(base),
            None => merge_diff(self, base),
        }
    }
}

impl SqliteSnapshot {
    fn diff_here(&self, base: &Self) -> Result<Diff> {
        let (older, newer) = (self.cut.at.min(base.cut.at), self.cut.at.max(base.cut.at));
        let mut diff = self.read(|link, _| {
            let base_stands = history::stands(link, base.cut.info.id)?;
            base_stands.then(|| history::diff(link, older, newer)).transpose()
        })?;
        let diff = diff.take().ok_or_else(|| dropped(base.cut.info.id))?;
        Ok(if self.cut.at < base.cut.at { Diff { added: diff.removed, removed: diff.added, ..diff } } else { diff })
    }
}

/// A view of a SQLite store: a connection in a read transaction. While one is held, the log cannot be cut back to before it.
pub(super) struct SqliteView {
    store: Sqlite,
    /// The connection, held for one read at a time; `None` only while it is dropped.
    link: Mutex<Option<Link>>,
    at: Timestamp,
}

impl SqliteView {
    /// Opens a view on `link`, as of `at`.
    pub(super) fn open(store: Sqlite, link: Link, at: Timestamp) -> rusqlite::Result<Self> {
        link.run(sql::BEGIN, [])?;
        // The transaction begins with its first read.
        link.prepare_cached(sql::TOTAL)?.query_row([at.as_millis()], |_| Ok(()))?;
        Ok(Self { store, link: Mutex::new(Some(link)), at })
    }

    fn read<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.store.require_open()?;
        self.store.waiting.run(|| {
            let link = self.link.lock();
            let link = link.as_ref().expect("it is only taken by `drop`");
            work(link, Moment::Now(self.at)).map_err(|error| self.store.named(&error))
        })
    }

    fn read_several<R: Send>(&self, work: impl FnOnce(&Link, Moment) -> rusqlite::Result<R> + Send) -> Result<R> {
        self.read(work)
    }

    fn usage_by(&self, link: &Link) -> rusqlite::Result<Usage> {
        read::usage(link, self.at)
    }
}

impl Drop for SqliteView {
    fn drop(&mut self) {
        if let Some(link) = self.link.get_mut().take() {
            self.store.give_back(link);
        }
    }
}
