//! Snapshots as the catalogue knows them: taking, listing, dropping, going back.
//!
//! On a single server each of these is one script over all namespaces. On a cluster a snapshot is entered as pending first, then cut
//! in every namespace, and becomes ready last; dropping goes the other way. What a client left halfway is freed by whoever next
//! takes a snapshot or compacts: pending ones and views that nobody has touched for an hour, and those being dropped.

use std::time::{Duration, Instant};

use redis::Value;

use super::layout::{self, Now};
use super::read::NamePages;
use super::script::{CATALOGUE, Effect, Request};
use super::snapshot::{Cut, RedisSnapshot, RedisView};
use super::{Redis, reply};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{Range, Snapshot, SnapshotId, SnapshotInfo, Usage};

/// What nobody has touched for so long is left over; far above the longest time of a call.
const LEFT_OVER: Duration = Duration::from_secs(3600);
/// How often a store without a bound looks for what is left over.
const TIDIED_EVERY: Duration = Duration::from_secs(60);
/// Tries to take a snapshot while others take theirs.
const ATTEMPTS: usize = 100;
const ROW_BYTES: usize = 41;

/// What a row of the catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Ready,
    View,
    Dropping,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Pending => "p",
            Self::Ready => "r",
            Self::View => "v",
            Self::Dropping => "d",
        }
    }
}

/// One row of the catalogue.
pub(super) struct Row {
    pub(super) state: State,
    touched: i64,
    pub(super) info: SnapshotInfo,
}

impl Row {
    fn read(id: SnapshotId, bytes: &[u8]) -> Result<Self> {
        let state = match bytes.first() {
            Some(b'p') => State::Pending,
            Some(b'r') => State::Ready,
            Some(b'v') => State::View,
            Some(b'd') => State::Dropping,
            _ => return Err(reply::unexpected()),
        };
        if bytes.len() != ROW_BYTES {
            return Err(reply::unexpected());
        }
        let number = |at: usize| reply::integer(&bytes[at..at + 8]);
        let count = |at: usize| u64::try_from(number(at)?).map_err(|_| reply::unexpected());
        let usage = Usage { entries: count(25)?, size_bytes: count(33)? };
        let parent = Some(count(17)?).filter(|parent| *parent > 0);
        Ok(Self { state, touched: number(1)?, info: SnapshotInfo { id, taken_at_micros: number(9)?, parent, usage } })
    }

    fn is_left_over(&self, now: Now) -> bool {
        let age = now.micros.saturating_sub(self.touched);
        match self.state {
            State::Ready => false,
            State::Dropping => true,
            State::Pending | State::View => age > i64::try_from(LEFT_OVER.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

impl Redis {
    pub(super) fn take_snapshot(&self) -> Result<RedisSnapshot> {
        let now = self.now()?;
        let info = self.take(State::Ready, now)?;
        self.tidy(now, self.shared.options.max_history.is_some())?;
        Ok(RedisSnapshot::new(Cut::new(self.clone(), info.id), info))
    }

    pub(super) fn take_view(&self) -> Result<RedisView> {
        let now = self.now()?;
        let info = self.take(State::View, now)?;
        Ok(RedisView::new(Cut::new(self.clone(), info.id), info.usage, now.micros))
    }

    /// Cuts one namespace for as long as its view is held.
    pub(super) fn take_view_of(&self, namespace: &str) -> Result<RedisView> {
        let now = self.now()?;
        let id = if self.is_alone() { self.take_one(namespace, now)? } else { self.take_one_apart(namespace, now)? };
        Ok(RedisView::new(Cut::new(self.clone(), id), Usage::default(), now.micros).of(namespace))
    }

    fn take_one(&self, namespace: &str, now: Now) -> Result<SnapshotId> {
        let request = self.of_one("take_one", namespace, Effect::Repeatable).arg(&now.micros_bytes());
        reply::count(self.ask(&request.arg(namespace).arg(now.due()))?)
    }

    fn take_one_apart(&self, namespace: &str, now: Now) -> Result<SnapshotId> {
        for _ in 0..ATTEMPTS {
            let request = self.catalogue("begin_one", Effect::Repeatable).arg(&now.micros_bytes()).arg(namespace);
            let numbers =
                reply::array(self.ask(&request)?)?.into_iter().map(reply::count).collect::<Result<Vec<_>>>()?;
            let [id, is_there] = numbers[..] else { return Err(reply::unexpected()) };
            let names = if is_there == 0 { Vec::new() } else { vec![namespace.to_owned()] };
            if self.mark(names, id, now)?.is_some() {
                let request = self.catalogue("finish", Effect::Repeatable).arg(id).arg(State::View.word());
                self.ask(&request.arg(0).arg(0))?;
                return Ok(id);
            }
            self.drop_one(id, namespace)?;
        }
        Err(unavailable("too many others take snapshots at once"))
    }

    /// Drops a view of one namespace.
    pub(super) fn drop_one(&self, id: SnapshotId, namespace: &str) -> Result<()> {
        if self.is_alone() {
            return self.ask(&self.of_one("drop_one", namespace, Effect::Repeatable).arg(id)).map(drop);
        }
        let request = Request::namespace(&self.layout().namespace(namespace), "free").arg(id);
        self.ask(&request)?;
        self.ask(&self.catalogue("end_drop", Effect::Repeatable).arg(id)).map(drop)
    }

    /// A verb on the catalogue and one namespace at once, on a single server.
    fn of_one(&self, verb: &str, namespace: &str, effect: Effect) -> Request {
        let (catalogue, keys) = (self.layout().catalogue(), self.layout().namespace(namespace));
        let keys: [&[u8]; 4] = [&catalogue.index, &catalogue.hash, &keys.hash, &keys.index];
        Request::script(&CATALOGUE, &keys, effect).arg(verb)
    }

    fn take(&self, kind: State, now: Now) -> Result<SnapshotInfo> {
        if !self.is_alone() {
            return self.take_apart(kind, now);
        }
        let request = self
            .catalogue("take_all", Effect::Repeatable)
            .arg(kind.word())
            .arg(&now.micros_bytes())
            .arg(self.layout().prefix())
            .arg(now.due())
            .arg(token());
        let numbers = reply::array(self.ask(&request)?)?.into_iter().map(reply::count).collect::<Result<Vec<_>>>()?;
        let [id, parent, entries, size_bytes] = numbers[..] else { return Err(reply::unexpected()) };
        Ok(info(id, parent, Usage { entries, size_bytes }, now))
    }

    /// Takes a snapshot on a cluster: one instant in each namespace.
    fn take_apart(&self, kind: State, now: Now) -> Result<SnapshotInfo> {
        for _ in 0..ATTEMPTS {
            let request = self.catalogue("begin", Effect::Repeatable).arg(kind.word()).arg(&now.micros_bytes());
            let mut begun = reply::array(self.ask(&request)?)?.into_iter();
            let mut next = || begun.next().unwrap_or_default();
            let (id, parent, names) = (reply::count(next())?, reply::count(next())?, read_names(next())?);
            let Some(usage) = self.mark(names, id, now)? else {
                self.drop_row(id, None)?;
                continue;
            };
            let request = self.catalogue("finish", Effect::Repeatable).arg(id).arg(kind.word());
            let finished = self.ask(&request.arg(usage.entries).arg(usage.size_bytes))?;
            return match reply::count(finished)? {
                1 => Ok(info(id, parent, usage, now)),
                _ => Err(unavailable("the snapshot took too long and was given up; nothing is retained")),
            };
        }
        Err(unavailable("too many others take snapshots at once; nothing is retained"))
    }

    /// Cuts every namespace; `None` where a later snapshot was quicker.
    fn mark(&self, names: Vec<String>, id: SnapshotId, now: Now) -> Result<Option<Usage>> {
        let mut usage = Usage::default();
        for (_, answer) in self.of_namespaces(names, "mark", &[id.to_string().as_bytes(), &now.due()])? {
            if reply::is_word(&answer, "STALE") {
                return Ok(None);
            }
            let numbers = reply::array(answer)?.into_iter().map(reply::count).collect::<Result<Vec<_>>>()?;
            let [entries, size_bytes] = numbers[..] else { return Err(reply::unexpected()) };
            usage.entries += entries;
            usage.size_bytes += size_bytes;
        }
        Ok(Some(usage))
    }

    /// The retained snapshots, oldest first.
    pub(super) fn retained(&self) -> Result<Vec<RedisSnapshot>> {
        let ready = self.rows()?.into_iter().filter(|row| row.state == State::Ready);
        Ok(ready.map(|row| RedisSnapshot::new(Cut::new(self.clone(), row.info.id), row.info)).collect())
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let mut parts = reply::array(self.ask(&self.catalogue("rows", Effect::Repeatable))?)?.into_iter();
        let mut rows = Vec::new();
        while let (Some(id), Some(row)) = (parts.next(), parts.next()) {
            rows.push(Row::read(reply::count(id)?, &reply::bytes(row)?)?);
        }
        Ok(rows)
    }

    /// One row; `None` where there is no such snapshot.
    pub(super) fn row(&self, id: SnapshotId) -> Result<Option<Row>> {
        let field = [b"s".as_slice(), &id.to_be_bytes()].concat();
        let found = self.ask(&Request::command("HGET", &self.layout().catalogue().hash).arg(field))?;
        reply::optional_bytes(found)?.map(|bytes| Row::read(id, &bytes)).transpose()
    }

    /// Drops a snapshot of a state, or of any; `false` where there is none.
    pub(super) fn drop_row(&self, id: SnapshotId, state: Option<State>) -> Result<bool> {
        let state = state.map_or("", State::word);
        if self.is_alone() {
            let request = self.catalogue("drop_all", Effect::Once).arg(id).arg(state).arg(self.layout().prefix());
            return Ok(reply::count(self.ask(&request)?)? > 0);
        }
        let names = match self.ask(&self.catalogue("begin_drop", Effect::Once).arg(id).arg(state))? {
            Value::Nil | Value::Boolean(false) => return Ok(false),
            names => read_names(names)?,
        };
        self.of_namespaces(names, "free", &[id.to_string().as_bytes()])?;
        self.ask(&self.catalogue("end_drop", Effect::Repeatable).arg(id))?;
        Ok(true)
    }

    /// Drops what is beyond the bound, and what is left over of clients that ended halfway.
    fn tidy(&self, now: Now, is_bounded: bool) -> Result<()> {
        let is_time = {
            let mut tidied = self.shared.tidied.lock();
            let is_time = tidied.is_none_or(|tidied: Instant| tidied.elapsed() > TIDIED_EVERY);
            if is_time {
                *tidied = Some(Instant::now());
            }
            is_time
        };
        if !is_bounded && !is_time {
            return Ok(());
        }
        let rows = self.rows()?;
        let ready = rows.iter().filter(|row| row.state == State::Ready).map(|row| row.info.id).collect::<Vec<_>>();
        let most = self.shared.options.max_history.unwrap_or(usize::MAX);
        for id in &ready[..ready.len().saturating_sub(most)] {
            self.drop_row(*id, Some(State::Ready))?;
        }
        for row in rows.iter().filter(|row| row.is_left_over(now)) {
            self.drop_row(row.info.id, Some(row.state))?;
        }
        Ok(())
    }

    pub(super) fn restore_to(&self, snapshot: &RedisSnapshot) -> Result<()> {
        let id = snapshot.info().id;
        if self.is_alone() {
            let request = self.catalogue("restore_all", Effect::Once).arg(id).arg(self.layout().prefix());
            return match reply::is_word(&self.ask(&request)?, "OK") {
                true => Ok(()),
                false => Err(gone(id)),
            };
        }
        self.require_ready(id)?;
        for (_, answer) in self.of_every_namespace("restore", &[id.to_string().as_bytes()])? {
            if reply::is_word(&answer, "NOTFOUND") {
                return Err(gone(id));
            }
        }
        Ok(())
    }

    /// Answers `NotFound` for a snapshot that is not retained.
    pub(super) fn require_ready(&self, id: SnapshotId) -> Result<()> {
        match self.row(id)? {
            Some(row) if matches!(row.state, State::Ready | State::View) => Ok(()),
            _ => Err(gone(id)),
        }
    }

    pub(super) fn remove_everything(&self) -> Result<()> {
        let micros = self.now()?.revision_floor().to_string();
        if self.is_alone() {
            let request = self.catalogue("clear_all", Effect::Once).arg(micros).arg(self.layout().prefix());
            return self.ask(&request).map(drop);
        }
        self.of_every_namespace("clear", &[micros.as_bytes()]).map(drop)
    }

    /// Removes what is due and what is left over, and forgets namespaces that have been empty for long.
    pub(super) fn sweep_everything(&self) -> Result<()> {
        let now = self.now()?;
        let long_ago = now.micros.saturating_sub(i64::try_from(LEFT_OVER.as_micros()).unwrap_or(i64::MAX));
        let before = long_ago.max(0).to_string();
        self.tidy(now, true)?;
        let mut pages = NamePages::new(self, &Range::default());
        while let Some(names) = pages.next(usize::MAX)? {
            let claims = self.claims(&names)?;
            let swept = self.of_namespaces(names, "compact", &[&now.due(), before.as_bytes()])?;
            for ((name, answer), claim) in swept.into_iter().zip(claims) {
                // A claim that is fresh may belong to a first write that is on its way.
                let Some(claim) = claim else { continue };
                if reply::is_word(&answer, "FORGOTTEN") && reply::integer(&claim)? < long_ago {
                    self.ask(&self.catalogue("unregister", Effect::Repeatable).arg(name).arg(claim))?;
                }
            }
        }
        Ok(())
    }

    /// Removes at most `most` of what is due in the next namespaces, and tells how many those were. It moves on once nothing is
    /// due in them.
    pub(super) fn sweep_some(&self, most: usize) -> Result<usize> {
        let after = self.shared.swept.lock().clone();
        let range = match &after {
            Some(after) => Range::default().after(Key::new(after)?),
            None => Range::default(),
        };
        let mut pages = NamePages::new(self, &range);
        let names = pages.next(most)?.unwrap_or_default();
        let last = if pages.is_at_end { None } else { names.last().cloned() };
        let each = (most / names.len().max(1)).to_string();
        let swept = self.of_namespaces(names, "sweep", &[&self.now()?.due(), each.as_bytes()])?;
        let removed = swept.into_iter().map(|(_, answer)| reply::count(answer)).sum::<Result<u64>>()? as usize;
        if removed == 0 {
            *self.shared.swept.lock() = last;
        }
        Ok(removed)
    }

    /// When namespaces were claimed.
    fn claims(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let request = Request::command("HMGET", &self.layout().catalogue().hash);
        let request = names.iter().fold(request, |request, name| request.arg(format!("n{name}")));
        reply::array(self.ask(&request)?)?.into_iter().map(reply::optional_bytes).collect()
    }
}

/// The error for a snapshot that is not retained.
pub(super) fn gone(id: SnapshotId) -> Error {
    Error::not_found(format!("snapshot {id}"))
}

fn unavailable(what: &str) -> Error {
    Error::Unavailable { what: what.to_owned() }
}

fn info(id: SnapshotId, parent: SnapshotId, usage: Usage, now: Now) -> SnapshotInfo {
    SnapshotInfo { id, taken_at_micros: now.micros, parent: (parent > 0).then_some(parent), usage }
}

fn read_names(names: Value) -> Result<Vec<String>> {
    reply::list(names)?.iter().map(|name| layout::read_name(name)).collect()
}

/// Sixteen characters that no other request has, so that a request is known when it comes twice.
fn token() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
