//! Which namespaces hold items, in the order of their labels.
//!
//! Namespaces are not stored: they are read off the keys, and what lies in one is passed over at once.

use super::layout::{self, Record};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{Range, Reader};

/// A label of a pattern that stands for any label.
const ANY: &str = "*";

/// Which namespaces are listed.
///
/// # Cost
/// One read for each namespace that begins as the first labels of the patterns say, of those that are cut alike one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What all must hold.
    pub matches: Vec<Match>,
    /// The most labels that are shown; what is longer is cut, and shown once.
    pub max_depth: Option<usize>,
    /// How many are passed over.
    pub offset: usize,
    /// How many are shown, at the most.
    pub limit: usize,
}

/// A pattern of labels, in which `*` stands for any one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// What a namespace begins with.
    Prefix(Vec<String>),
    /// What it ends with.
    Suffix(Vec<String>),
}

impl Match {
    fn holds(&self, labels: &[String]) -> bool {
        let fits = |(label, wanted): (&String, &String)| wanted == ANY || label == wanted;
        match self {
            Self::Prefix(pattern) => labels.len() >= pattern.len() && labels.iter().zip(pattern).all(fits),
            Self::Suffix(pattern) => {
                labels.len() >= pattern.len() && labels.iter().rev().zip(pattern.iter().rev()).all(fits)
            }
        }
    }

    /// The labels that a namespace must begin with for this to hold.
    fn stem(&self) -> &[String] {
        match self {
            Self::Prefix(pattern) => {
                let known = pattern.iter().position(|label| label == ANY).unwrap_or(pattern.len());
                &pattern[..known]
            }
            Self::Suffix(_) => &[],
        }
    }
}

impl Listing {
    pub(super) fn run(&self, view: &dyn Reader) -> Result<Vec<Vec<String>>> {
        let stem = self.matches.iter().map(Match::stem).max_by_key(|stem| stem.len()).unwrap_or_default();
        let mut namespaces = Namespaces { view, stem, cursor: None, last: None };
        let (mut shown, mut passed, mut last) = (Vec::new(), 0, None);
        while shown.len() < self.limit {
            let Some(mut labels) = namespaces.next()? else { break };
            if !self.matches.iter().all(|pattern| pattern.holds(&labels)) {
                continue;
            }
            if let Some(depth) = self.max_depth.filter(|depth| *depth <= labels.len()) {
                labels.truncate(depth);
                namespaces.pass(&labels);
            }
            // Cut or not, they come in order, so equal ones are neighbours.
            if last.as_ref() == Some(&labels) {
                continue;
            }
            last = Some(labels.clone());
            if passed < self.offset {
                passed += 1;
            } else {
                shown.push(labels);
            }
        }
        Ok(shown)
    }
}

/// The namespaces below a stem, each once.
struct Namespaces<'a> {
    view: &'a dyn Reader,
    stem: &'a [String],
    cursor: Option<Key<'static>>,
    last: Option<Vec<String>>,
}

impl Namespaces<'_> {
    fn next(&mut self) -> Result<Option<Vec<String>>> {
        loop {
            let prefix = layout::under(Record::Item, self.stem)?;
            let range = Range { after: self.cursor.take(), ..Range::of(prefix).limit(1) };
            let Some(key) = self.view.keys(&layout::items(), &range)?.pop() else { return Ok(None) };
            let labels = layout::read(Record::Item, &key)
                .ok_or_else(|| Error::corrupt(format!("{key:?} is not the key of an item")))?
                .labels;
            let is_new = self.last.as_ref() != Some(&labels);
            self.cursor = Some(match layout::behind(&labels) {
                Ok(far) if is_new && far.as_str() > &*key => far,
                // A key begins with the greatest character, or the cursor would be too long a name: one key at a time.
                _ => Key::new(key)?,
            });
            if is_new {
                self.last = Some(labels.clone());
                return Ok(Some(labels));
            }
        }
    }

    /// Passes over all that lies below `labels`; where the cursor for that would be too long a name, it is met and left out.
    fn pass(&mut self, labels: &[String]) {
        if let Ok(far) = layout::behind_below(labels) {
            self.cursor = Some(far);
        }
    }
}
