//! Items under labels, filtered, and ranked where a query is given.
//!
//! Without a query they come in the order of (labels, key). With one the vectors are compared with it one by one, exactly; items
//! without a vector come last. The filter is asked in the order of the result, so that it reads no more items than are needed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};

use super::layout::{self, Record};
use super::record::{self, VectorsRecord};
use super::{Filter, Found, Pages};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace};
use crate::store::Reader;
use crate::value::Entry;

/// Ranked items that are read at a time.
const RANKED_PAGE: usize = 64;

/// Which items are searched for.
///
/// # Cost
/// Without a query: what is read ends with the last item shown. With one: O(vectors × dimensions) under the labels.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What the labels of their namespace begin with.
    pub labels: Vec<String>,
    /// What their values must be.
    pub filter: Filter,
    /// How many are passed over.
    pub offset: usize,
    /// How many are shown, at the most.
    pub limit: usize,
    /// What they are ranked by.
    pub similar: Option<Similar>,
    /// Whether the time to live of what is shown begins anew.
    pub refresh: bool,
}

/// The vector that items are ranked by their cosine with.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar(Vec<f32>);

impl Similar {
    /// Takes a vector of any length but zero dimensions; one that is all zeros is as near to all.
    ///
    /// # Errors
    /// `Invalid` when it has no dimensions, or a number is not finite.
    pub fn to(vector: &[f32]) -> Result<Self> {
        record::unit(vector, vector.len()).map(Self)
    }
}

impl Search {
    pub(super) fn run(&self, view: &dyn Reader) -> Result<Vec<Found>> {
        let mut page = Shown { search: self, passed: 0, found: Vec::new() };
        match &self.similar {
            Some(similar) => self.run_ranked(view, similar, &mut page)?,
            None => self.run_in_order(view, &HashSet::new(), &mut page)?,
        }
        Ok(page.found)
    }

    fn run_in_order(&self, view: &dyn Reader, except: &HashSet<String>, page: &mut Shown<'_>) -> Result<()> {
        let first = self.offset.saturating_add(self.limit);
        let mut pages = Pages::new(view, layout::under(Record::Item, &self.labels)?, first);
        while !page.is_full() {
            let entries = pages.next()?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if except.is_empty() || !except.contains(entry.key()) {
                    page.offer(entry, None)?;
                }
            }
        }
        Ok(())
    }

    fn run_ranked(&self, view: &dyn Reader, similar: &Similar, page: &mut Shown<'_>) -> Result<()> {
        let mut ranking = self.rank(view, similar)?;
        let mut ranked = HashSet::new();
        while !page.is_full() && !ranking.is_empty() {
            let next: Vec<Ranked> = std::iter::from_fn(|| ranking.pop()).take(RANKED_PAGE).collect();
            for (ranked, entry) in next.iter().zip(read_items(view, &next)?) {
                if let Some(entry) = entry {
                    page.offer(entry, Some(f64::from(ranked.score)))?;
                }
            }
            ranked.extend(next.into_iter().map(|ranked| ranked.key));
        }
        self.run_in_order(view, &ranked, page)
    }

    fn rank(&self, view: &dyn Reader, similar: &Similar) -> Result<BinaryHeap<Ranked>> {
        let mut pages = Pages::new(view, layout::under(Record::Vectors, &self.labels)?, usize::MAX);
        let mut ranking = Vec::new();
        loop {
            let entries = pages.next()?;
            if entries.is_empty() {
                return Ok(ranking.into());
            }
            for entry in entries {
                ranking.extend(Ranked::of(&entry, similar)?);
            }
        }
    }
}

/// The part of a search's result that it shows.
struct Shown<'a> {
    search: &'a Search,
    passed: usize,
    found: Vec<Found>,
}

impl Shown<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.search.limit
    }

    fn offer(&mut self, entry: Entry, score: Option<f64>) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let mut found = Found::read(entry)?;
        let filter = &self.search.filter;
        if !filter.is_empty() && !filter.keeps(found.value()?).ok_or_else(|| found.corrupt())? {
            return Ok(());
        }
        if self.passed < self.search.offset {
            self.passed += 1;
        } else {
            found.score = score;
            self.found.push(found);
        }
        Ok(())
    }
}

fn read_items(view: &dyn Reader, ranked: &[Ranked]) -> Result<Vec<Option<Entry>>> {
    let namespace = layout::items();
    let pairs = ranked.iter().map(|ranked| Ok((namespace.borrow(), Key::new(&*ranked.key)?)));
    view.get_many(&pairs.collect::<Result<Vec<(Namespace<'_>, Key<'_>)>>>()?)
}

/// An item with its score; the greatest is shown first: the best score, and of equal ones the first in order.
struct Ranked {
    score: f32,
    key: String,
}

impl Ranked {
    fn of(entry: &Entry, similar: &Similar) -> Result<Option<Self>> {
        let corrupt = || Error::corrupt(format!("the vectors of an item cannot be read, at {:?}", entry.key()));
        let vectors = VectorsRecord::decode(entry.value()).ok_or_else(corrupt)?;
        if vectors.dimensions != similar.0.len() {
            return Err(other_length(entry, vectors.dimensions, similar.0.len()));
        }
        let key = layout::item_of_vectors(entry.key()).ok_or_else(corrupt)?;
        Ok(vectors.best(&similar.0).map(|score| Self { score, key }))
    }
}

#[cold]
fn other_length(entry: &Entry, stored: usize, asked: usize) -> Error {
    let item = match layout::read(Record::Vectors, entry.key()) {
        Some(address) => format!("item {:?} under {:?}", address.key, address.labels),
        None => "an item".to_owned(),
    };
    Error::invalid(format!(
        "{item} was embedded in {stored} dimensions, and the query in {asked}: put it again, with the embedding that queries use"
    ))
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| Reverse(&self.key).cmp(&Reverse(&other.key)))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
