//! The Redis engine: one store for many processes and machines, on a server (Redis 7.0 or newer, Valkey) or a Redis Cluster.
//!
//! Every change of a namespace is one script, so it is one instant; on a single server one script may change them all. Reads are
//! plain commands. Nothing of the state is held here: what another process wrote is seen by the next call. How the bytes lie on
//! the server is `layout.rs`, how commands get there is `connection.rs`.

mod address;
mod cluster;
mod connection;
mod history;
mod layout;
mod node;
mod read;
mod reply;
mod script;
mod single;
mod snapshot;
mod time;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use address::RedisOptions;
use parking_lot::Mutex;
pub use snapshot::RedisSnapshot;

use self::address::Target;
use self::connection::Transport;
use self::layout::{Layout, Now};
use self::script::{Effect, Request};
use self::time::Offset;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::{
    Batch, Capabilities, Condition, NamespaceInfo, Operation, Outcome, Range, Reader, Snapshot, SnapshotId, Store,
    Usage,
};
use crate::value::Entry;
use crate::waiting::Waiting;

/// The most operations of one batch, which keeps the server busy for some 30 ms.
const MAX_BATCH_OPERATIONS: usize = 10_000;
/// The most bytes of one batch: the largest value, and room for names.
const MAX_BATCH_BYTES: u64 = 272 * 1024 * 1024;
/// Namespaces that are claimed by one command.
const CLAIMED_AT_ONCE: usize = 1000;

/// A store on a Redis server or cluster. Cloning makes another handle to the same store.
///
/// # Example
/// ```no_run
/// use swarmstate::{Redis, RedisOptions, StoreExt};
///
/// let store = Redis::open("redis://localhost:6379/0", RedisOptions::default())?;
/// store.set("workflow", "step", 3)?;
/// # Ok::<(), swarmstate::Error>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    waiting: Waiting,
}

struct Shared {
    transport: Transport,
    layout: Layout,
    options: RedisOptions,
    capabilities: Capabilities,
    shown: String,
    offset: Offset,
    /// When this process last looked for what others left over.
    tidied: Mutex<Option<Instant>>,
    /// The last namespace that `sweep` has looked at; `None` = it begins anew. Held to read or to set it.
    swept: Mutex<Option<String>>,
    is_closed: AtomicBool,
}

impl Redis {
    /// Opens the store at `url`: `redis[s]://[user:pass@]host[:port][/db]`, `unix:///path?db=n` or
    /// `redis[s]+cluster://h:p,h:p`. What its query says goes before `options`.
    ///
    /// # Errors
    /// `Invalid` for a wrong URL or option, or a server that is too old, of another kind, or refuses the user; `Unavailable` when
    /// none answers.
    pub fn open(url: &str, options: RedisOptions) -> Result<Self> {
        let (target, options) = Target::parse(url, options)?;
        Self::connect(target, options)
    }

    /// Opens the store whose prefix is this one's with `.name` behind it, on the same server, by connections of its own.
    ///
    /// # Errors
    /// As [`Redis::open`].
    #[cfg(feature = "service")]
    pub fn open_beside(&self, name: &str, clock: Clock) -> Result<Self> {
        let prefix = format!("{}.{name}", self.shared.options.prefix);
        let options = RedisOptions { prefix, clock, max_history: None, ..self.shared.options.clone() };
        Self::connect(self.shared.transport.target().clone(), options)
    }

    fn connect(target: Target, options: RedisOptions) -> Result<Self> {
        let layout = Layout::new(&options.prefix)?;
        let capabilities = capabilities(target.is_cluster());
        let shown = target.to_string();
        let transport = Transport::connect(target, options.timeout)?;
        let (offset, tidied, swept, is_closed) = Default::default();
        let shared = Shared { transport, layout, options, capabilities, shown, offset, tidied, swept, is_closed };
        Ok(Self { shared: Arc::new(shared), waiting: Waiting::plainly() })
    }

    /// Where the store is, without user and password, and its prefix.
    pub fn address(&self) -> String {
        format!("{}, prefix {:?}", self.shared.shown, self.shared.options.prefix)
    }

    fn clock(&self) -> &Clock {
        &self.shared.options.clock
    }

    fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    fn is_alone(&self) -> bool {
        self.shared.capabilities.one_instant
    }

    /// The way to the server, while the store is open.
    fn transport(&self) -> Result<&Transport> {
        match self.shared.is_closed.load(Ordering::Acquire) {
            false => Ok(&self.shared.transport),
            true => Err(Error::invalid("the store is closed; open it again")),
        }
    }

    fn now(&self) -> Result<Now> {
        self.shared.offset.now(self.clock(), self.transport()?)
    }

    /// Sends a request and returns its answer.
    fn ask(&self, request: &Request) -> Result<redis::Value> {
        Ok(self.transport()?.call(request)?.value)
    }

    fn catalogue(&self, verb: &str, effect: Effect) -> Request {
        Request::catalogue(&self.shared.layout.catalogue(), verb, effect)
    }

    /// Enters namespaces into the catalogue for their first write; answers the number of the last snapshot before that.
    fn claim(&self, namespaces: &[&str], now: Now) -> Result<i64> {
        let mut born = 0;
        for page in namespaces.chunks(CLAIMED_AT_ONCE) {
            let mut request = self.catalogue("register", Effect::Repeatable).arg(&now.micros_bytes());
            for name in page {
                request = request.arg(*name);
            }
            born = reply::count(self.ask(&request)?)?;
        }
        i64::try_from(born).map_err(|_| reply::unexpected())
    }

    /// Runs what waits for the server as the caller wants it run.
    fn wait<R: Send>(&self, work: impl FnOnce(&Self) -> Result<R> + Send) -> Result<R> {
        let plain = Self { shared: self.shared.clone(), waiting: Waiting::plainly() };
        self.waiting.run(|| work(&plain))
    }
}

fn capabilities(is_cluster: bool) -> Capabilities {
    Capabilities {
        engine: if is_cluster { "redis-cluster" } else { "redis" },
        persistent: true,
        waits: true,
        atomic_across_namespaces: !is_cluster,
        one_instant: !is_cluster,
        held_snapshots_outlive_history: false,
        copies_keep_revisions: false,
        max_batch_operations: MAX_BATCH_OPERATIONS,
        max_batch_bytes: MAX_BATCH_BYTES,
        ..Capabilities::memory()
    }
}

impl Reader for Redis {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        self.wait(|store| store.read_one(namespace, key))
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        self.wait(|store| store.read_many(pairs))
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.wait(|store| store.read_entries(namespace, range))
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        self.wait(|store| store.read_keys(namespace, range))
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        self.wait(|store| {
            let due = store.now()?.due();
            store.namespaces_where(range, "usage", &due)
        })
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        self.wait(|store| store.read_namespace(namespace))
    }

    fn usage(&self) -> Result<Usage> {
        self.wait(Self::read_usage)
    }
}

impl Store for Redis {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn write(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        batch.check(&self.shared.capabilities)?;
        self.wait(|store| store.carry_out(batch.operations(), batch.conditions()))
    }

    fn apply(&self, operation: Operation<'_>, condition: Option<Condition<'_>>) -> Result<Outcome> {
        operation.check(&self.shared.capabilities)?;
        let outcomes = self.wait(|store| store.carry_out(&[operation], condition.as_slice()))?;
        outcomes.into_iter().next().ok_or_else(reply::unexpected)
    }

    fn clear(&self) -> Result<()> {
        self.wait(Self::remove_everything)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        let snapshot = self.wait(Self::take_snapshot)?;
        Ok(Arc::new(snapshot.waiting(self.waiting)))
    }

    fn view(&self) -> Result<Arc<dyn Reader>> {
        let view = self.wait(Self::take_view)?;
        Ok(Arc::new(view.waiting(self.waiting)))
    }

    fn view_of(&self, namespace: &Namespace<'_>) -> Result<Arc<dyn Reader>> {
        let view = self.wait(|store| store.take_view_of(namespace.as_str()))?;
        Ok(Arc::new(view.waiting(self.waiting)))
    }

    fn restore(&self, snapshot: &dyn Snapshot) -> Result<()> {
        let Some(snapshot) = snapshot.downcast::<RedisSnapshot>().filter(|snapshot| snapshot.is_of(self)) else {
            return Err(Error::unsupported(
                "a Redis store can restore only its own snapshots; copy this one into an empty store (`ss.copy`)",
            ));
        };
        self.wait(|store| store.restore_to(snapshot))
    }

    fn history(&self) -> Result<Vec<Arc<dyn Snapshot>>> {
        let retained = self.wait(Self::retained)?;
        Ok(retained.into_iter().map(|snapshot| Arc::new(snapshot.waiting(self.waiting)) as Arc<dyn Snapshot>).collect())
    }

    fn snapshot_by_id(&self, id: SnapshotId) -> Result<Arc<dyn Snapshot>> {
        let retained = self.wait(Self::retained)?;
        let found = retained.into_iter().find(|snapshot| snapshot.info().id == id);
        let found = found.ok_or_else(|| Error::not_found(format!("snapshot {id}")))?;
        Ok(Arc::new(found.waiting(self.waiting)))
    }

    fn drop_snapshot(&self, id: SnapshotId) -> Result<bool> {
        self.wait(|store| store.drop_row(id, Some(history::State::Ready)))
    }

    fn sweep(&self, most: usize) -> Result<usize> {
        self.wait(|store| store.sweep_some(most))
    }

    fn compact(&self) -> Result<()> {
        self.wait(Self::sweep_everything)
    }

    fn close(&self) -> Result<()> {
        if !self.shared.is_closed.swap(true, Ordering::AcqRel) {
            self.shared.transport.disconnect();
        }
        Ok(())
    }

    fn with_waiting(&self, waiting: Waiting) -> Arc<dyn Store> {
        Arc::new(Self { shared: self.shared.clone(), waiting })
    }
}
