//! What is live: keys, entries, namespaces, and how much of it.
//!
//! Values are read by plain commands, names by a script that leaves out what is due. A page of entries is its keys first and their
//! values after; what went in between is left out and made up for, so that a page is full as long as there is more.

use redis::Value;

use super::layout::{self, Keys, Now};
use super::script::{Effect, LIST, READ, Request};
use super::{Redis, reply};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::store::{NamespaceInfo, Range, Usage};
use crate::value::Entry;

/// Names that are read at a time, at the most.
const PAGE: usize = 1000;

impl Redis {
    pub(super) fn read_one(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        let found = self.stored(namespace.as_str(), key.as_bytes())?;
        match found {
            Some(entry) if entry.expires_at().is_some() => Ok(live(Some(entry), self.now()?)),
            found => Ok(found),
        }
    }

    /// The entry of a key, due or not.
    pub(super) fn stored(&self, namespace: &str, key: &[u8]) -> Result<Option<Entry>> {
        let request = Request::command("HGET", &self.layout().namespace(namespace).hash).arg(key);
        let found = reply::optional_bytes(self.ask(&request)?)?;
        found.map(|stored| layout::read_entry(key, &stored)).transpose()
    }

    pub(super) fn read_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        let now = self.now()?;
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (position, (namespace, _)) in pairs.iter().enumerate() {
            let place = *places.entry(namespace.as_str()).or_insert_with(|| {
                groups.push((namespace.as_str(), Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(position);
        }
        let answers = match groups.len() {
            0 => Vec::new(),
            2.. if self.is_alone() => reply::array(self.ask(&self.read_together(&groups, pairs))?)?,
            _ => {
                let requests = groups.iter().map(|(name, positions)| {
                    let request = Request::command("HMGET", &self.layout().namespace(name).hash);
                    positions.iter().fold(request, |request, position| request.arg(pairs[*position].1.as_bytes()))
                });
                let answers = self.transport()?.call_many(&requests.collect::<Vec<_>>())?;
                answers.into_iter().map(reply::array).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
            }
        };
        let mut found = vec![None; pairs.len()];
        for (position, answer) in groups.iter().flat_map(|(_, positions)| positions).zip(answers) {
            found[*position] = live(read_optional(pairs[*position].1.as_bytes(), answer)?, now);
        }
        Ok(found)
    }

    /// One script for keys of several namespaces: one instant, on a single server.
    fn read_together(&self, groups: &[(&str, Vec<usize>)], pairs: &[(Namespace<'_>, Key<'_>)]) -> Request {
        let hashes = groups.iter().map(|(name, _)| self.layout().namespace(name).hash).collect::<Vec<_>>();
        let keys = hashes.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let mut request = Request::script(&READ, &keys, Effect::Repeatable);
        for (_, positions) in groups {
            request = request.arg(positions.len());
            for position in positions {
                request = request.arg(pairs[*position].1.as_bytes());
            }
        }
        request
    }

    pub(super) fn read_keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        let now = self.now()?;
        let mut pages = KeyPages::new(self, self.layout().namespace(namespace.as_str()), range, now);
        let mut keys = Vec::new();
        while let Some(page) = pages.next(range.limit - keys.len())? {
            for key in page {
                keys.push(layout::read_name(&key)?);
            }
        }
        Ok(keys)
    }

    pub(super) fn read_entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        let (now, keys) = (self.now()?, self.layout().namespace(namespace.as_str()));
        let mut pages = KeyPages::new(self, keys.clone(), range, now);
        let mut entries = Vec::new();
        while let Some(page) = pages.next(range.limit - entries.len())? {
            if page.is_empty() {
                continue;
            }
            let request = Request::command("HMGET", &keys.hash);
            let request = page.iter().fold(request, |request, key| request.arg(key.as_slice()));
            for (key, stored) in page.iter().zip(reply::array(self.ask(&request)?)?) {
                entries.extend(live(read_optional(key, stored)?, now));
            }
        }
        Ok(entries)
    }

    pub(super) fn read_namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        let keys = self.layout().namespace(namespace.as_str());
        let [revision, entries, size_bytes] =
            reply::triple(self.ask(&Request::namespace(&keys, "usage").arg(self.now()?.due()))?)?;
        let usage = Usage { entries, size_bytes };
        Ok((entries > 0).then_some(NamespaceInfo { usage, revision }))
    }

    pub(super) fn read_usage(&self) -> Result<Usage> {
        let due = self.now()?.due();
        if self.is_alone() {
            let request = self.catalogue("usage_all", Effect::Repeatable).arg(self.layout().prefix()).arg(due);
            let mut numbers = reply::array(self.ask(&request)?)?.into_iter();
            let mut next = || reply::count(numbers.next().unwrap_or_default());
            return Ok(Usage { entries: next()?, size_bytes: next()? });
        }
        let mut usage = Usage::default();
        for (_, answer) in self.of_every_namespace("usage", &[&due])? {
            let [_, entries, size_bytes] = reply::triple(answer)?;
            usage.entries += entries;
            usage.size_bytes += size_bytes;
        }
        Ok(usage)
    }

    /// The namespaces of a range of which `verb` says that they hold something.
    pub(super) fn namespaces_where(&self, range: &Range<'_>, verb: &str, argument: &[u8]) -> Result<Vec<String>> {
        let mut pages = NamePages::new(self, range);
        let mut found = Vec::new();
        while let Some(names) = pages.next(range.limit - found.len())? {
            for (name, answer) in self.of_namespaces(names, verb, &[argument])? {
                if holds_something(answer)? {
                    found.push(name);
                }
            }
        }
        Ok(found)
    }

    /// Sends a verb to every namespace there is; answers their names and what they said.
    pub(super) fn of_every_namespace(&self, verb: &str, arguments: &[&[u8]]) -> Result<Vec<(String, Value)>> {
        let mut pages = NamePages::new(self, &Range::default());
        let mut all = Vec::new();
        while let Some(names) = pages.next(usize::MAX)? {
            all.extend(self.of_namespaces(names, verb, arguments)?);
        }
        Ok(all)
    }

    /// Sends a verb to these namespaces.
    pub(super) fn of_namespaces(
        &self,
        names: Vec<String>,
        verb: &str,
        arguments: &[&[u8]],
    ) -> Result<Vec<(String, Value)>> {
        let request = |name: &String| {
            let request = Request::namespace(&self.layout().namespace(name), verb);
            arguments.iter().fold(request, |request, argument| request.arg(*argument))
        };
        let answers = self.transport()?.call_many(&names.iter().map(request).collect::<Vec<_>>())?;
        Ok(names.into_iter().zip(answers).collect())
    }
}

/// Whether a namespace's own answer (revision, entries, bytes) tells of entries.
pub(super) fn holds_something(answer: Value) -> Result<bool> {
    match answer {
        Value::Nil | Value::Boolean(false) => Ok(false),
        answer => Ok(reply::triple(answer)?[1] > 0),
    }
}

fn read_optional(key: &[u8], answer: Value) -> Result<Option<Entry>> {
    reply::optional_bytes(answer)?.map(|stored| layout::read_entry(key, &stored)).transpose()
}

fn live(entry: Option<Entry>, now: Now) -> Option<Entry> {
    entry.filter(|entry| !entry.is_expired(now.at))
}

/// Walks a range of live keys, a page at a time.
struct KeyPages<'r> {
    redis: &'r Redis,
    keys: Keys,
    bounds: (Vec<u8>, Vec<u8>),
    order: crate::store::Order,
    due: Vec<u8>,
    is_at_end: bool,
}

impl<'r> KeyPages<'r> {
    fn new(redis: &'r Redis, keys: Keys, range: &Range<'_>, now: Now) -> Self {
        let (bounds, due) = (layout::bounds(b"k", range), now.due());
        Self { redis, keys, bounds, order: range.order, due, is_at_end: false }
    }

    /// The next keys, at most `most`; `None` at the end.
    fn next(&mut self, most: usize) -> Result<Option<Vec<Vec<u8>>>> {
        let most = most.min(PAGE);
        if self.is_at_end || most == 0 {
            return Ok(None);
        }
        let request = Request::script(&LIST, &[&self.keys.index], Effect::Repeatable)
            .arg(&self.bounds.0)
            .arg(&self.bounds.1)
            .arg(most)
            .arg(layout::order_word(self.order))
            .arg(&self.due);
        let page = reply::list(self.redis.ask(&request)?)?;
        self.is_at_end = page.len() < most;
        if let Some(last) = page.last() {
            move_on(&mut self.bounds, self.order, &[b"k", last.as_slice()].concat());
        }
        Ok(Some(page))
    }
}

/// Walks a range of the namespaces in the catalogue, a page at a time.
pub(super) struct NamePages<'r> {
    redis: &'r Redis,
    bounds: (Vec<u8>, Vec<u8>),
    order: crate::store::Order,
    pub(super) is_at_end: bool,
}

impl<'r> NamePages<'r> {
    pub(super) fn new(redis: &'r Redis, range: &Range<'_>) -> Self {
        Self { redis, bounds: layout::bounds(b"n", range), order: range.order, is_at_end: false }
    }

    /// The next names, at most `most`; `None` at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<Option<Vec<String>>> {
        let most = most.min(PAGE);
        if self.is_at_end || most == 0 {
            return Ok(None);
        }
        let (low, high) = (&self.bounds.0, &self.bounds.1);
        let (name, first, second) = match self.order {
            crate::store::Order::Ascending => ("ZRANGEBYLEX", low, high),
            crate::store::Order::Descending => ("ZREVRANGEBYLEX", high, low),
        };
        let request = Request::command(name, &self.redis.layout().catalogue().index);
        let page = reply::list(self.redis.ask(&request.arg(first).arg(second).arg("LIMIT").arg(0).arg(most))?)?;
        self.is_at_end = page.len() < most;
        if let Some(last) = page.last() {
            move_on(&mut self.bounds, self.order, last);
        }
        page.iter().map(|member| layout::read_name(&member[1..])).collect::<Result<Vec<_>>>().map(Some)
    }
}

/// Bounds behind the last member that was seen.
fn move_on(bounds: &mut (Vec<u8>, Vec<u8>), order: crate::store::Order, last: &[u8]) {
    let end = [b"(", last].concat();
    match order {
        crate::store::Order::Ascending => bounds.0 = end,
        crate::store::Order::Descending => bounds.1 = end,
    }
}
