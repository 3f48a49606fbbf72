//! LangGraph's cache as store operations: what a task answered, under a namespace of labels and a key.
//!
//! Each namespace of the cache is one of the store, so clearing it is one operation and never touches another, however alike their
//! labels are. An entry goes at its time by the store's own expiry. What the bytes mean is left to the serializer that wrote them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::key::{Key, KeyWriter, Namespace, Prefix};
use crate::msgpack::{self, Item, Reader};
use crate::store::{Batch, Expiry, Operation, Range, Store};
use crate::value::{Entry, Kind, Value};

/// What the namespaces of the cache begin with; U+001F keeps them apart from a user's own.
const CACHE: &str = "\u{1f}cache:";
/// Namespaces that are cleared at a time.
const NAMESPACES_AT_A_TIME: usize = 1000;

/// Where a cached value lies. Labels and key hold any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The labels of its namespace.
    pub labels: Vec<String>,
    /// Its key there.
    pub key: String,
}

/// A value to be cached.
#[derive(Clone, Debug)]
pub struct NewCached<'a> {
    /// Where.
    pub place: Place,
    /// What the serializer calls the form of the bytes.
    pub form: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
    /// How long it stays; `None` = until it is cleared.
    pub ttl: Option<Duration>,
}

/// A value as it was cached.
#[derive(Clone, Debug)]
pub struct Cached(Entry);

impl Cached {
    /// Form and bytes.
    ///
    /// # Errors
    /// `Corrupt` when the record is not what was stored.
    pub fn typed(&self) -> Result<(&str, &[u8])> {
        decode(self.0.value())
            .ok_or_else(|| Error::corrupt(format!("the cached value of key {:?} cannot be read", self.0.key())))
    }
}

/// The cache that a store holds. Any number of these may share one store.
#[derive(Clone)]
pub struct Cache {
    store: Arc<dyn Store>,
}

impl Cache {
    /// The cache in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// What is cached at each place; `None` where nothing is.
    ///
    /// # Errors
    /// `Invalid` when a place is longer than a name may be, `Unavailable` when the store does not answer.
    pub fn get(&self, places: &[Place]) -> Result<Vec<Option<Cached>>> {
        let pairs = places.iter().map(|place| Ok((namespace(&place.labels)?, Key::new(&*place.key)?)));
        let entries = self.store.get_many(&pairs.collect::<Result<Vec<_>>>()?)?;
        Ok(entries.into_iter().map(|entry| entry.map(Cached)).collect())
    }

    /// Caches values, in the place of what is there; of several at one place the last counts.
    ///
    /// # Cost
    /// One batch, or one for each namespace where the store writes no batch over several.
    ///
    /// # Errors
    /// `Invalid` for a place that is too long, `TooLarge` above the store's limits, `Unavailable`: some namespaces may have been
    /// written, and a repeat does no harm.
    pub fn set(&self, values: &[NewCached<'_>]) -> Result<()> {
        let mut last: BTreeMap<(String, &str), Operation<'_>> = BTreeMap::new();
        for new in values {
            let (namespace, key) = (namespace(&new.place.labels)?, Key::new(&*new.place.key)?);
            let expiry = new.ttl.map_or(Expiry::Never, Expiry::After);
            let address = (namespace.as_str().to_owned(), &*new.place.key);
            last.insert(address, Operation::Set { namespace, key, value: encode(new)?, expiry });
        }
        self.write(last.into_values())
    }

    /// Removes all that is cached under just these labels, not below them; `None` = everything.
    ///
    /// # Errors
    /// As [`Cache::set`].
    pub fn clear(&self, namespaces: Option<&[Vec<String>]>) -> Result<()> {
        let Some(namespaces) = namespaces else { return self.clear_all() };
        let names: BTreeMap<String, Namespace<'_>> = namespaces
            .iter()
            .map(|labels| namespace(labels).map(|name| (name.as_str().to_owned(), name)))
            .collect::<Result<_>>()?;
        self.write(names.into_values().map(|namespace| Operation::DeleteNamespace { namespace }))
    }

    fn clear_all(&self) -> Result<()> {
        loop {
            let range = Range::of(Prefix::new(CACHE)?).limit(NAMESPACES_AT_A_TIME);
            let names = self.store.namespaces(&range)?;
            if names.is_empty() {
                return Ok(());
            }
            let names = names.into_iter().map(Namespace::new).collect::<Result<Vec<_>>>()?;
            self.write(names.into_iter().map(|namespace| Operation::DeleteNamespace { namespace }))?;
        }
    }

    /// Writes operations that come sorted by namespace.
    fn write<'a>(&self, operations: impl Iterator<Item = Operation<'a>>) -> Result<()> {
        let is_one_batch = self.store.capabilities().atomic_across_namespaces;
        let mut batch = Batch::new();
        for operation in operations {
            let is_other = batch.operations().last().is_some_and(|last| last.namespace() != operation.namespace());
            if is_other && !is_one_batch {
                self.store.write(&std::mem::take(&mut batch))?;
            }
            batch.push(operation);
        }
        if batch.operations().is_empty() { Ok(()) } else { self.store.write(&batch).map(drop) }
    }
}

fn namespace(labels: &[String]) -> Result<Namespace<'static>> {
    Namespace::new(labels.iter().fold(KeyWriter::new().tag(CACHE), |name, label| name.text(label)).finish())
}

fn encode(new: &NewCached<'_>) -> Result<Value<'static>> {
    let mut bytes = Vec::with_capacity(new.bytes.len() + new.form.len() + 16);
    let written = msgpack::write_array_head(&mut bytes, 2)
        .and_then(|()| msgpack::write_str(&mut bytes, new.form))
        .and_then(|()| msgpack::write_bin(&mut bytes, new.bytes));
    written.map_err(|_| Error::TooLarge {
        what: format!("the cached value of key {:?} in bytes", new.place.key),
        size: new.bytes.len() as u64,
        limit: u64::from(u32::MAX),
    })?;
    Ok(Value::shared(Kind::Json, bytes))
}

fn decode(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let mut reader = Reader::new(bytes, 0);
    let Ok(Item::Array(2)) = reader.item() else { return None };
    let Ok(Item::Str(form)) = reader.item() else { return None };
    let Ok(Item::Bin(bytes)) = reader.item() else { return None };
    Some((std::str::from_utf8(form).ok()?, bytes)).filter(|_| reader.is_at_end())
}
