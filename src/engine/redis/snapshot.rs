//! A state that stands still: snapshots and views of a store on Redis.
//!
//! What stood at a cut is what stands now, unless it changed since; then it is what was put aside when it first changed. Each read
//! is one script that finds either, or says that the cut is dropped: its parts are never mixed with what came after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use redis::Value;

use super::history::{State, gone};
use super::read::holds_something;
use super::script::{Effect, Request};
use super::{Redis, layout, reply};
use crate::clock::Clock;
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::store::{Diff, NamespaceInfo, Order, Range, Reader, Snapshot, SnapshotId, SnapshotInfo, Usage, merge_diff};
use crate::value::Entry;
use crate::waiting::Waiting;

/// Keys that are read at a time, at the most.
const PAGE: usize = 500;
/// A view says that it is still read when it was silent for so long.
const RENEWED_EVERY_MICROS: i64 = 300_000_000;

/// One cut of a store.
pub(super) struct Cut {
    redis: Redis,
    id: SnapshotId,
}

impl Cut {
    pub(super) fn new(redis: Redis, id: SnapshotId) -> Self {
        Self { redis, id }
    }

    /// Asks a namespace about the cut; `None` where it was empty then.
    fn ask(&self, namespace: &str, verb: &str, arguments: &[&[u8]]) -> Result<Option<Value>> {
        let request = Request::namespace(&self.redis.layout().namespace(namespace), verb).arg(self.id);
        let answer = self.redis.ask(&arguments.iter().fold(request, |request, argument| request.arg(*argument)))?;
        match &answer {
            answer if reply::is_word(answer, "NOTFOUND") => Err(gone(self.id)),
            Value::Nil | Value::Boolean(false) => self.redis.require_ready(self.id).map(|()| None),
            Value::Array(items) if items.is_empty() => self.redis.require_ready(self.id).map(|()| None),
            _ => Ok(Some(answer)),
        }
    }

    /// The entries of keys of one namespace.
    fn at(&self, namespace: &str, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>> {
        let mut entries = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE) {
            let Some(answer) = self.ask(namespace, "at", page)? else {
                entries.extend(page.iter().map(|_| None));
                continue;
            };
            for (key, stored) in page.iter().zip(reply::array(answer)?) {
                let stored = reply::optional_bytes(stored)?;
                entries.push(stored.map(|stored| layout::read_entry(key, &stored)).transpose()?);
            }
        }
        Ok(entries)
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
        for (position, (namespace, _)) in pairs.iter().enumerate() {
            groups.entry(namespace.as_str()).or_default().push(position);
        }
        let mut found = vec![None; pairs.len()];
        for (name, positions) in groups {
            let keys = positions.iter().map(|position| pairs[*position].1.as_bytes()).collect::<Vec<_>>();
            for (position, entry) in positions.into_iter().zip(self.at(name, &keys)?) {
                found[position] = entry;
            }
        }
        Ok(found)
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let (mut low, high) = layout::bounds(b"", range);
        let mut high = high[1..].to_vec();
        while entries.len() < range.limit {
            let most = (range.limit - entries.len()).min(PAGE);
            let Some((keys, is_all)) = self.candidates(namespace.as_str(), (&low, &high), most, range.order)? else {
                break;
            };
            let keys = keys.iter().map(Vec::as_slice).collect::<Vec<_>>();
            entries.extend(self.at(namespace.as_str(), &keys)?.into_iter().flatten());
            match (keys.last(), range.order) {
                _ if is_all => break,
                (None, _) => break,
                (Some(last), Order::Ascending) => low = [b"(", *last].concat(),
                (Some(last), Order::Descending) => high = last.to_vec(),
            }
        }
        entries.truncate(range.limit);
        Ok(entries)
    }

    /// The next keys of a range that may have stood there, and whether these are all.
    fn candidates(
        &self,
        namespace: &str,
        (low, high): (&[u8], &[u8]),
        most: usize,
        order: Order,
    ) -> Result<Option<(Vec<Vec<u8>>, bool)>> {
        let arguments = [low, high, &most.to_string().into_bytes(), layout::order_word(order).as_bytes()];
        let Some(answer) = self.ask(namespace, "candidates", &arguments)? else { return Ok(None) };
        let lists = reply::array(answer)?.into_iter().map(reply::list).collect::<Result<Vec<_>>>()?;
        let cut_off = lists.iter().filter(|list| list.len() == most).filter_map(|list| list.last());
        let end = match order {
            Order::Ascending => cut_off.min().cloned(),
            Order::Descending => cut_off.max().cloned(),
        };
        let mut keys = lists.into_iter().flatten().collect::<Vec<_>>();
        keys.retain(|key| match (&end, order) {
            (None, _) => true,
            (Some(end), Order::Ascending) => key <= end,
            (Some(end), Order::Descending) => key >= end,
        });
        keys.sort_unstable();
        keys.dedup();
        if order == Order::Descending {
            keys.reverse();
        }
        Ok(Some((keys, end.is_none())))
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        self.redis.require_ready(self.id)?;
        self.redis.namespaces_where(range, "cut", self.id.to_string().as_bytes())
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        let Some(answer) = self.ask(namespace.as_str(), "cut", &[])? else { return Ok(None) };
        if !holds_something(answer.clone())? {
            return Ok(None);
        }
        let [revision, entries, size_bytes] = reply::triple(answer)?;
        Ok(Some(NamespaceInfo { usage: Usage { entries, size_bytes }, revision }))
    }

    /// What lies between this cut and an earlier one.
    fn since(&self, base: SnapshotId) -> Result<Diff> {
        let mut diff = Diff::default();
        for (name, [added, removed, changed]) in self.changes_since(base)? {
            for (list, mut keys) in
                [(&mut diff.added, added), (&mut diff.removed, removed), (&mut diff.changed, changed)]
            {
                keys.sort_unstable();
                for key in keys {
                    list.push((name.clone(), layout::read_name(&key)?));
                }
            }
        }
        Ok(diff)
    }

    fn changes_since(&self, base: SnapshotId) -> Result<Vec<(String, Changes)>> {
        if self.redis.is_alone() {
            let request = self.redis.catalogue("differ_all", Effect::Repeatable);
            let request = request.arg(base).arg(self.id).arg(self.redis.layout().prefix());
            let answer = self.redis.ask(&request)?;
            if reply::is_word(&answer, "NOTFOUND") {
                return Err(self.which_is_gone(base));
            }
            let found = reply::array(answer)?.into_iter().map(|namespace| {
                let mut parts = reply::array(namespace)?.into_iter();
                let name = layout::read_name(&reply::bytes(parts.next().unwrap_or_default())?)?;
                Ok((name, lists(parts)?))
            });
            return found.collect();
        }
        for id in [base, self.id] {
            self.redis.require_ready(id)?;
        }
        let ids = [base.to_string(), self.id.to_string()];
        let mut found = Vec::new();
        for (name, answer) in self.redis.of_every_namespace("differ", &[ids[0].as_bytes(), ids[1].as_bytes()])? {
            if reply::is_word(&answer, "NOTFOUND") {
                return Err(self.which_is_gone(base));
            }
            found.push((name, lists(reply::array(answer)?.into_iter())?));
        }
        Ok(found)
    }

    fn which_is_gone(&self, base: SnapshotId) -> crate::error::Error {
        match self.redis.require_ready(base) {
            Err(error) => error,
            Ok(()) => gone(self.id),
        }
    }
}

/// The keys of one namespace that were added, removed and changed.
type Changes = [Vec<Vec<u8>>; 3];

fn lists(mut parts: impl Iterator<Item = Value>) -> Result<Changes> {
    let mut next = || reply::list(parts.next().unwrap_or_default());
    Ok([next()?, next()?, next()?])
}

/// A snapshot of a store on Redis. It can be read until it is dropped, by whichever process.
pub struct RedisSnapshot {
    cut: Cut,
    info: SnapshotInfo,
    waiting: Waiting,
}

impl RedisSnapshot {
    pub(super) fn new(cut: Cut, info: SnapshotInfo) -> Self {
        Self { cut, info, waiting: Waiting::plainly() }
    }

    pub(super) fn waiting(self, waiting: Waiting) -> Self {
        Self { waiting, ..self }
    }

    /// Whether it is a snapshot of the store that `redis` is a handle to.
    pub(super) fn is_of(&self, redis: &Redis) -> bool {
        self.cut.redis.address() == redis.address()
    }

    fn read<R: Send>(&self, work: impl FnOnce(&Cut) -> Result<R> + Send) -> Result<R> {
        self.waiting.run(|| work(&self.cut))
    }
}

impl Snapshot for RedisSnapshot {
    fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    fn clock(&self) -> &Clock {
        self.cut.redis.clock()
    }

    fn diff(&self, base: &dyn Snapshot) -> Result<Diff> {
        let Some(base) = base.downcast::<Self>().filter(|base| base.is_of(&self.cut.redis)) else {
            return self.waiting.run(|| merge_diff(self, base));
        };
        self.read(|cut| {
            if base.cut.id <= cut.id {
                return cut.since(base.cut.id);
            }
            let Diff { added, removed, changed } = base.cut.since(cut.id)?;
            Ok(Diff { added: removed, removed: added, changed })
        })
    }
}

/// A view of a store on Redis: a cut that is dropped with its owner.
pub(super) struct RedisView {
    cut: Cut,
    usage: Usage,
    /// When it last said that it is read, in microseconds.
    renewed: AtomicI64,
    /// A forked child leaves its parent's views alone.
    process: u32,
    waiting: Waiting,
}

impl RedisView {
    pub(super) fn new(cut: Cut, usage: Usage, now: i64) -> Self {
        let (renewed, process) = (AtomicI64::new(now), std::process::id());
        Self { cut, usage, renewed, process, waiting: Waiting::plainly() }
    }

    pub(super) fn waiting(mut self, waiting: Waiting) -> Self {
        self.waiting = waiting;
        self
    }

    fn read<R: Send>(&self, work: impl FnOnce(&Cut) -> Result<R> + Send) -> Result<R> {
        self.waiting.run(|| {
            let now = self.cut.redis.now()?;
            if now.micros.saturating_sub(self.renewed.load(Ordering::Relaxed)) > RENEWED_EVERY_MICROS {
                let request = self.cut.redis.catalogue("renew", Effect::Repeatable).arg(self.cut.id);
                self.cut.redis.ask(&request.arg(&now.micros_bytes()))?;
                self.renewed.store(now.micros, Ordering::Relaxed);
            }
            work(&self.cut)
        })
    }
}

impl Drop for RedisView {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        // Whoever drops it must not wait for the server; what fails here is freed when it is left over.
        let (redis, id) = (self.cut.redis.clone(), self.cut.id);
        let _ = thread::Builder::new().spawn(move || redis.drop_row(id, Some(State::View)));
    }
}

macro_rules! read_a_cut {
    ($type:ty) => {
        impl Reader for $type {
            fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
                let found = self.read(|cut| cut.at(namespace.as_str(), &[key.as_bytes()]))?;
                Ok(found.into_iter().next().flatten())
            }

            fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
                self.read(|cut| cut.get_many(pairs))
            }

            fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
                self.read(|cut| cut.entries(namespace, range))
            }

            fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
                let entries = self.read(|cut| cut.entries(namespace, range))?;
                Ok(entries.iter().map(|entry| entry.key().to_owned()).collect())
            }

            fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
                self.read(|cut| cut.namespaces(range))
            }

            fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
                self.read(|cut| cut.namespace(namespace))
            }

            fn usage(&self) -> Result<Usage> {
                self.read(|cut| cut.redis.require_ready(cut.id))?;
                Ok(self.usage_at_the_cut())
            }
        }
    };
}

impl RedisSnapshot {
    fn usage_at_the_cut(&self) -> Usage {
        self.info.usage
    }
}

impl RedisView {
    fn usage_at_the_cut(&self) -> Usage {
        self.usage
    }
}

read_a_cut!(RedisSnapshot);
read_a_cut!(RedisView);
