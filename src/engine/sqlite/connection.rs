//! Connections to the file, and which process may use them.
//!
//! SQLite's locks belong to a process, and a forked child inherits the belief that it holds them: writes that it makes, even
//! over a connection of its own, can be lost after they were acknowledged. So every open file is registered with the process
//! that opened it; in a child each use of it, opening it again included, is an error, and an inherited connection is left alone for
//! ever. For the same reason the file is never opened and closed here but by SQLite: that would take its locks away.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};

use super::fault::{self, Place};
use super::{Durability, SqliteOptions, schema, sql};
use crate::error::{Error, Result};

/// Statements that a connection keeps prepared: all that the engine has.
const KEPT_STATEMENTS: usize = 128;
/// What a connection keeps of the file in memory, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// What the log is cut back to after it was copied, in bytes: no less than it grows to again.
const LOG_LIMIT: i64 = 16 * 1024 * 1024;
/// The longest that SQLite itself can be told to wait.
const LONGEST_WAIT: Duration = Duration::from_millis(i32::MAX as u64);
/// After so long without the table of open files, a process asks whether it inherited it locked for ever.
const PATIENCE: Duration = Duration::from_millis(100);
/// Connections that wait for their next reader.
const MOST_IDLE: usize = 16;

/// What a file is besides its name, which another file may take.
type Identity = (u64, u64);

/// The files that are open, by the process that opened them and how many connections it has. A forked child finds its
/// parent's here. Taken for moments only, before no other lock. A file is made under it: while the descriptor that made it is
/// open, nobody else of this process may lock the file, for closing the descriptor would take the lock away.
static OPEN: Mutex<Table> = Mutex::new(BTreeMap::new());

/// The process that last locked the table; 0 before the first.
static LAST_LOCKED_BY: AtomicU32 = AtomicU32::new(0);

type Table = BTreeMap<Identity, (u32, usize)>;

/// The file of a store, and the process that may use it.
pub(super) struct File {
    path: PathBuf,
    identity: Identity,
    process: u32,
}

impl File {
    /// Finds the file, or makes an empty one that only its owner can read.
    ///
    /// # Errors
    /// `NotFound` for a folder, or without `create` a file, that is not there; `Invalid` for what cannot be a store.
    pub(super) fn open(path: &Path, create: bool) -> Result<Arc<Self>> {
        let path = locate(path)?;
        let open = lock_table(Place(&path))?;
        if create {
            make(&path)?;
        }
        drop(open);
        let identity = identify(&path).map_err(|error| not_there(&path, &error))?;
        Ok(Arc::new(Self { path, identity, process: process::id() }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place(&self.path)
    }

    /// Refuses the use in a forked child.
    pub(super) fn require_own_process(&self) -> Result<()> {
        if process::id() == self.process { Ok(()) } else { Err(inherited(self.place(), self.process)) }
    }

    /// Refuses to write where nobody would find it.
    pub(super) fn require_in_place(&self) -> Result<()> {
        match identify(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(fault::unavailable(format!(
                "{} was replaced by another file while the store was open; close it and open it again",
                self.place()
            ))),
            Err(error) => Err(fault::unavailable(format!(
                "{} is gone while the store was open: {error}; put it back",
                self.place()
            ))),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// That this process has a connection to the file.
struct Registration {
    identity: Identity,
    process: u32,
}

impl Registration {
    /// Registers a connection that is about to be made.
    ///
    /// # Errors
    /// `Invalid` in a process that was forked while the file was open.
    fn of(file: &File) -> Result<Self> {
        let mut open = lock_table(file.place())?;
        let (process, count) = open.entry(file.identity).or_insert((file.process, 0));
        if *process != file.process {
            return Err(inherited(file.place(), *process));
        }
        *count += 1;
        Ok(Self { identity: file.identity, process: file.process })
    }
}

fn lock_table(place: Place<'_>) -> Result<MutexGuard<'static, Table>> {
    let here = process::id();
    loop {
        if let Some(table) = OPEN.try_lock_for(PATIENCE) {
            LAST_LOCKED_BY.store(here, Ordering::Relaxed);
            return Ok(table);
        }
        if ![0, here].contains(&LAST_LOCKED_BY.load(Ordering::Relaxed)) {
            return Err(inherited_locked(place));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if process::id() != self.process {
            return;
        }
        let mut open = OPEN.lock();
        if let Some((_, count)) = open.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.identity);
            }
        }
    }
}

#[cold]
fn inherited(place: Place<'_>, parent: u32) -> Error {
    Error::invalid(format!(
        "{place} was open in process {parent} when this one was forked from it, and SQLite's locks do not survive that; start \
         processes by spawn or forkserver, or open stores after the fork only"
    ))
}

#[cold]
fn inherited_locked(place: Place<'_>) -> Error {
    Error::invalid(format!(
        "{place} cannot be opened: this process was forked while a thread of its parent was opening or closing a store; start \
         processes by spawn or forkserver"
    ))
}

/// The file's absolute path, so that a later change of folder means nothing.
fn locate(path: &Path) -> Result<PathBuf> {
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() || text == b":memory:" {
        return Err(Error::invalid(format!("{} names no file; a store in memory is a memory store", Place(path))));
    }
    // A pipe would be waited for, and a device be no place to keep anything.
    let is_something_else = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
    if text.contains(&0) || is_something_else {
        return Err(Error::invalid(format!("{} is no name for a file", Place(path))));
    }
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::invalid(format!("{} cannot be resolved: {error}", Place(path))))?;
    match absolute.parent() {
        Some(folder) if !folder.is_dir() => Err(Error::not_found(format!("the folder {folder:?} of a store"))),
        _ => Ok(absolute),
    }
}

/// Makes an empty file unless there is one. It is opened only where nothing was, so nobody's locks are lost.
fn make(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::invalid(format!("{} cannot be made: {error}", Place(path)))),
    }
}

#[cfg(unix)]
fn identify(path: &Path) -> std::io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Without numbers of files, the name has to do.
#[cfg(not(unix))]
fn identify(path: &Path) -> std::io::Result<Identity> {
    use std::hash::{BuildHasher, RandomState};
    static NAMES: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    Ok((0, NAMES.get_or_init(RandomState::new).hash_one(std::fs::canonicalize(path)?)))
}

fn not_there(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("the file {}", Place(path))),
        _ => Error::invalid(format!("{} cannot be looked at: {error}", Place(path))),
    }
}

/// A connection, registered for as long as it is open.
pub(super) struct Link {
    /// Only ever `None` while it is dropped.
    connection: Option<Connection>,
    _registration: Registration,
    pub(super) file: Arc<File>,
}

impl Link {
    /// Connects, and makes the file a store if it is empty.
    ///
    /// # Errors
    /// `Invalid` for a file that is no store or cannot be written, and in a process that was forked while the file was open;
    /// `Unavailable` for one that is no longer in its place; what [`schema::prepare`] answers.
    pub(super) fn open(file: &Arc<File>, options: &SqliteOptions) -> Result<Self> {
        let place = file.place();
        let registration = Registration::of(file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&file.path, flags).map_err(|error| fault::opening(error, place))?;
        // What was opened is what the name leads to now, and nothing is written into another file than the one registered.
        file.require_in_place()?;
        let mut link = Self { connection: Some(connection), _registration: registration, file: file.clone() };
        // Before the first read, which makes a log and its index beside the file: its owner could not write into ours.
        link.require_writable()?;
        link.set_up(options).map_err(|error| fault::opening(error, place))?;
        // The first page may say that SQLite must not write into it.
        if link.query_row(sql::LENGTH, [], |_| Ok(())).is_ok() && !link.is_writable() {
            return Err(Error::unsupported(format!(
                "{place} is of a newer SQLite, and this one can only read it; upgrade swarmstate, or bring back a backup"
            )));
        }
        schema::prepare(link.connection.as_mut().expect("it was put in above"), place, options.timeout)?;
        Ok(link)
    }

    fn set_up(&self, options: &SqliteOptions) -> rusqlite::Result<()> {
        self.busy_timeout(options.timeout.min(LONGEST_WAIT))?;
        // Without it a statement is planned anew for each new parameter of a range.
        self.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // A stranger's file must not make us run what its schema says.
        self.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        self.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        self.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        let synchronous = match options.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        self.pragma_update(None, "synchronous", synchronous)?;
        self.pragma_update(None, "cache_size", -CACHE_KIB)?;
        self.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT, |_| Ok(()))
    }

    /// Has `told` be told, in each commit, of the log's pages by then; SQLite no longer copies the log of itself.
    pub(super) fn on_commit(&mut self, told: impl Fn(&mut Wal, i64) + Send + 'static) -> rusqlite::Result<()> {
        let connection = self.connection.as_mut().expect("it is only taken by `drop`");
        connection.wal_hook(Some(move |wal: &mut Wal, pages| {
            told(wal, i64::from(pages));
            Ok(())
        }))
    }

    fn require_writable(&self) -> Result<()> {
        if self.is_writable() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} is read-only; make the file and its folder writable for this user, or open a copy",
            self.file.place()
        )))
    }

    fn is_writable(&self) -> bool {
        matches!(self.is_readonly(rusqlite::MAIN_DB), Ok(false))
    }

    /// Runs a statement that returns no rows.
    pub(super) fn run(&self, statement: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.prepare_cached(statement)?.execute(parameters)
    }

    /// Ends a transaction without its changes, if one is open.
    pub(super) fn roll_back(&self) {
        if !self.is_autocommit() {
            // What fails here fails because SQLite has rolled back by itself.
            let _ = self.run(sql::ROLLBACK, []);
        }
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is only taken by `drop`")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if process::id() != self.file.process {
            std::mem::forget(self.connection.take());
        }
    }
}

/// Connections that nobody reads by at the moment; `None` once the store is closed. Taken for moments only.
pub(super) struct Pool(Mutex<Option<Vec<Link>>>);

impl Pool {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// A connection that waits, if one does; an error once the store is closed.
    pub(super) fn take(&self) -> Result<Option<Link>> {
        self.0.lock().as_mut().map(Vec::pop).ok_or_else(closed)
    }

    /// Refuses the use of a closed store.
    pub(super) fn require_open(&self) -> Result<()> {
        self.0.lock().as_ref().map(drop).ok_or_else(closed)
    }

    /// Takes a connection back, or closes it where enough of them wait.
    pub(super) fn put(&self, link: Link) {
        let mut idle = self.0.lock();
        if let Some(idle) = idle.as_mut().filter(|idle| idle.len() < MOST_IDLE) {
            idle.push(link);
            return;
        }
        // Closing may take long, so it happens without the lock.
        drop(idle);
        drop(link);
    }

    /// Closes what waits, now and ever after.
    pub(super) fn close(&self) {
        let idle = self.0.lock().take();
        drop(idle);
    }
}

#[cold]
pub(super) fn closed() -> Error {
    Error::invalid("the store is closed; open it again")
}
