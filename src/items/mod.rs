//! LangGraph's long-term memory as store operations: items under labels, with vectors to search them by.
//!
//! All items of a store lie in one namespace, so the changes of a call are one atomic batch on every engine, and what a call reads
//! is one consistent cut. An item's vectors are written with it and go with it. Nothing is remembered between calls: all who share
//! a store agree on what it holds. Where an embedding comes from is the caller's.

mod filter;
mod layout;
mod listing;
mod record;
mod search;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::filter::Filter;
use self::layout::Record;
pub use self::listing::{Listing, Match};
use self::record::{ItemRecord, encode_vectors};
pub use self::search::{Search, Similar};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{Key, Namespace, Prefix};
use crate::store::{Batch, Condition, Expiry, Operation, Range, Reader, Store};
use crate::value::Entry;

/// Items whose end is put off in one batch.
const PUT_OFF_AT_A_TIME: usize = 1000;

/// Where an item lies. Labels and key hold any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The labels of its namespace, outermost first.
    pub labels: Vec<String>,
    /// Its key there.
    pub key: String,
}

/// A change of one item.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Which one.
    pub address: &'a Address,
    /// What it becomes; `None` = it goes.
    pub content: Option<Content<'a>>,
}

/// What an item becomes.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The value: a dict in msgpack.
    pub value: &'a [u8],
    /// How long it lives; `None` = for ever.
    pub ttl: Option<Duration>,
    /// What it is found by, all of one length; a search ranks it by the nearest of them.
    pub vectors: &'a [Vec<f32>],
}

/// A question to the items.
#[derive(Clone, Debug)]
pub enum Question {
    /// One item; where the flag is set, its time to live begins anew.
    Get(Address, bool),
    /// Items under labels.
    Search(Search),
    /// Namespaces.
    List(Listing),
}

/// The answer to a [`Question`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Question::Get`].
    Item(Option<Found>),
    /// To [`Question::Search`].
    Items(Vec<Found>),
    /// To [`Question::List`].
    Namespaces(Vec<Vec<String>>),
}

/// An item as it was read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it lies.
    pub address: Address,
    /// The cosine of its nearest vector, where a search ranked it.
    pub score: Option<f64>,
    entry: Entry,
}

impl Found {
    fn read(entry: Entry) -> Result<Self> {
        let address = layout::read(Record::Item, entry.key())
            .ok_or_else(|| Error::corrupt(format!("{:?} is not the key of an item", entry.key())))?;
        let found = Self { address, score: None, entry };
        found.record().map(|_| ())?;
        Ok(found)
    }

    fn record(&self) -> Result<ItemRecord<'_>> {
        ItemRecord::decode(self.entry.value()).ok_or_else(|| self.corrupt())
    }

    #[cold]
    fn corrupt(&self) -> Error {
        let Address { labels, key } = &self.address;
        Error::corrupt(format!("item {key:?} under {labels:?} cannot be read"))
    }

    /// The value, a dict in msgpack.
    ///
    /// # Errors
    /// `Corrupt` when the record is not what was stored.
    pub fn value(&self) -> Result<&[u8]> {
        Ok(self.record()?.value)
    }

    /// When the item came to be.
    pub fn created_at(&self) -> Timestamp {
        self.entry.created_at()
    }

    /// When its value was written; a read that puts its end off does not count.
    ///
    /// # Errors
    /// As [`Found::value`].
    pub fn updated_at(&self) -> Result<Timestamp> {
        Ok(self.record()?.written_at.unwrap_or(self.entry.updated_at()))
    }
}

/// The items that a store holds. Any number of these may share one store.
#[derive(Clone)]
pub struct Items {
    store: Arc<dyn Store>,
}

impl Items {
    /// The items in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Carries out all changes or none; of several to one item the last counts.
    ///
    /// # Cost
    /// One batch of two operations for each item.
    ///
    /// # Errors
    /// `Invalid` when an address is longer than a name may be or vectors differ in length, `TooLarge` above the store's limits:
    /// nothing is written. `Unavailable`: it may have happened, and a repeat does no harm.
    pub fn write(&self, changes: &[Change<'_>]) -> Result<()> {
        let last: HashMap<&Address, usize> =
            changes.iter().enumerate().map(|(position, change)| (change.address, position)).collect();
        let mut batch = Batch::new();
        for (position, change) in changes.iter().enumerate() {
            if last[change.address] == position {
                push(&mut batch, change)?;
            }
        }
        if batch.operations().is_empty() {
            return Ok(());
        }
        self.store.write(&batch).map(drop)
    }

    /// Answers all questions from one consistent cut, then puts off the end of the items that were read so.
    ///
    /// # Cost
    /// A read for each item that is asked for by its address; what [`Search`] and [`Listing`] say. One write where an item's end
    /// is put off.
    ///
    /// # Errors
    /// `Corrupt` when a record is not what was stored, `Invalid` for a query of another length than the vectors have,
    /// `Unavailable` when the store does not answer.
    pub fn read(&self, questions: &[Question]) -> Result<Vec<Answer>> {
        let answers = match questions {
            // One key needs no cut.
            [question @ Question::Get(..)] => vec![answer(&*self.store, question)?],
            _ => {
                let view = self.store.view_of(&layout::items())?;
                questions.iter().map(|question| answer(&*view, question)).collect::<Result<_>>()?
            }
        };
        let read = questions.iter().zip(&answers).flat_map(|(question, answer)| match (question, answer) {
            (Question::Get(_, true), Answer::Item(Some(found))) => std::slice::from_ref(found),
            (Question::Search(Search { refresh: true, .. }), Answer::Items(found)) => found,
            _ => &[],
        });
        self.put_off(read)?;
        Ok(answers)
    }

    /// Lets the time to live of items begin anew, except where somebody has written them meanwhile, who gave them a time as new.
    fn put_off<'a>(&self, items: impl Iterator<Item = &'a Found>) -> Result<()> {
        let mut ending: HashMap<&str, &Found> = HashMap::new();
        for found in items {
            if found.record()?.ttl.is_some() {
                ending.insert(found.entry.key(), found);
            }
        }
        let ending: Vec<&Found> = ending.into_values().collect();
        ending.chunks(PUT_OFF_AT_A_TIME).try_for_each(|found| self.put_off_together(found))
    }

    fn put_off_together(&self, found: &[&Found]) -> Result<()> {
        let mut batch = Batch::new();
        found.iter().try_for_each(|found| push_put_off(&mut batch, found))?;
        match self.store.write(&batch) {
            Err(Error::Conflict(_)) if found.len() == 1 => Ok(()),
            Err(Error::Conflict(_)) => found.chunks(1).try_for_each(|one| self.put_off_together(one)),
            other => other.map(drop),
        }
    }

    /// Frees the room of what has ended. What has ended is gone for every read already.
    ///
    /// # Errors
    /// As [`Store::compact`].
    pub fn sweep(&self) -> Result<()> {
        self.store.compact()
    }
}

fn answer(view: &dyn Reader, question: &Question) -> Result<Answer> {
    Ok(match question {
        Question::Get(address, _) => {
            let entry = view.get(&layout::items(), &layout::key(Record::Item, address)?)?;
            Answer::Item(entry.map(Found::read).transpose()?)
        }
        Question::Search(search) => Answer::Items(search.run(view)?),
        Question::List(listing) => Answer::Namespaces(listing.run(view)?),
    })
}

/// Adds what makes an item what `change` says. What it was found by before goes in any case.
fn push(batch: &mut Batch<'_>, change: &Change<'_>) -> Result<()> {
    let (item, vectors) = keys(change.address)?;
    let namespace = layout::items();
    let Some(content) = &change.content else {
        batch.push(Operation::Delete { namespace: namespace.clone(), key: item });
        batch.push(Operation::Delete { namespace, key: vectors });
        return Ok(());
    };
    let expiry = content.ttl.map_or(Expiry::Never, Expiry::After);
    let record = ItemRecord { ttl: content.ttl, written_at: None, value: content.value };
    batch.set(namespace.clone(), item, record.encode(), expiry);
    if content.vectors.is_empty() {
        batch.push(Operation::Delete { namespace, key: vectors });
    } else {
        batch.set(namespace, vectors, encode_vectors(content.vectors)?, expiry);
    }
    Ok(())
}

/// Adds what lets the time to live of an item begin anew, if it is still what was found.
fn push_put_off(batch: &mut Batch<'_>, found: &Found) -> Result<()> {
    let record = found.record()?;
    let (item, vectors) = keys(&found.address)?;
    let (namespace, expiry) = (layout::items(), record.ttl.map_or(Expiry::Never, Expiry::After));
    batch.require(Condition::at(namespace.clone(), item.clone(), found.entry.revision()));
    match record.written_at {
        Some(_) => batch.push(Operation::Touch { namespace: namespace.clone(), key: item, expiry }),
        None => {
            let kept = ItemRecord { written_at: Some(found.entry.updated_at()), ..record };
            batch.set(namespace.clone(), item, kept.encode(), expiry)
        }
    };
    batch.push(Operation::Touch { namespace, key: vectors, expiry });
    Ok(())
}

fn keys(address: &Address) -> Result<(Key<'static>, Key<'static>)> {
    Ok((layout::key(Record::Item, address)?, layout::key(Record::Vectors, address)?))
}

/// All entries of a namespace's range, a page at a time, each longer than the one before.
struct Pages<'a> {
    view: &'a dyn Reader,
    namespace: Namespace<'static>,
    prefix: Prefix<'static>,
    cursor: Option<Key<'static>>,
    length: usize,
    is_over: bool,
}

/// Entries that are read at a time, at the most, and how much longer each page is than the one before.
const LONGEST_PAGE: usize = 1024;
const PAGE_GROWTH: usize = 4;

impl<'a> Pages<'a> {
    fn new(view: &'a dyn Reader, prefix: Prefix<'static>, first: usize) -> Self {
        let length = first.clamp(1, LONGEST_PAGE);
        Self { view, namespace: layout::items(), prefix, cursor: None, length, is_over: false }
    }

    /// The next entries; none at the end.
    fn next(&mut self) -> Result<Vec<Entry>> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let after = self.cursor.as_ref().map(Key::borrow);
        let range = Range { after, ..Range::of(self.prefix.borrow()).limit(self.length) };
        let page = self.view.entries(&self.namespace, &range)?;
        self.is_over = page.len() < self.length;
        self.length = (self.length * PAGE_GROWTH).min(LONGEST_PAGE);
        if let Some(last) = page.last() {
            self.cursor = Some(Key::new(last.key().to_owned())?);
        }
        Ok(page)
    }
}
