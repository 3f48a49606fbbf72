//! A reader that shows one namespace of another reader, so that whatever takes a whole reader takes that namespace alone.
//!
//! Every other name is absent, also where the reader behind it says something of it.

use std::sync::Arc;

use super::{NamespaceInfo, Order, Range, Reader, Usage};
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::value::Entry;

/// One namespace of a reader.
pub struct Only {
    source: Arc<dyn Reader>,
    namespace: Namespace<'static>,
}

impl Only {
    /// Shows of `source` only `namespace`.
    pub fn new(source: Arc<dyn Reader>, namespace: Namespace<'static>) -> Self {
        Self { source, namespace }
    }

    fn shows(&self, namespace: &Namespace<'_>) -> bool {
        *namespace == self.namespace
    }

    /// Whether the one name lies in `range`, whatever its limit.
    fn is_in(&self, range: &Range<'_>) -> bool {
        let name = self.namespace.as_str();
        let is_behind = range.after.as_ref().is_none_or(|after| match range.order {
            Order::Ascending => name > after.as_str(),
            Order::Descending => name < after.as_str(),
        });
        is_behind && name.starts_with(range.prefix.as_str())
    }
}

impl Reader for Only {
    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
        if self.shows(namespace) { self.source.get(namespace, key) } else { Ok(None) }
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
        let borrow =
            |(namespace, key): &(Namespace<'_>, Key<'_>)| (namespace.borrow().into_owned(), key.borrow().into_owned());
        let shown: Vec<_> = pairs.iter().filter(|(namespace, _)| self.shows(namespace)).map(borrow).collect();
        let mut found = self.source.get_many(&shown)?.into_iter();
        Ok(pairs
            .iter()
            .map(|(namespace, _)| if self.shows(namespace) { found.next().flatten() } else { None })
            .collect())
    }

    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
        if self.shows(namespace) { self.source.entries(namespace, range) } else { Ok(Vec::new()) }
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
        if self.shows(namespace) { self.source.keys(namespace, range) } else { Ok(Vec::new()) }
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
        let is_there = range.limit > 0 && self.is_in(range) && self.namespace(&self.namespace)?.is_some();
        Ok(is_there.then(|| self.namespace.as_str().to_owned()).into_iter().collect())
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
        if self.shows(namespace) { self.source.namespace(namespace) } else { Ok(None) }
    }

    fn usage(&self) -> Result<Usage> {
        Ok(self.namespace(&self.namespace)?.map_or_else(Usage::default, |info| info.usage))
    }
}
