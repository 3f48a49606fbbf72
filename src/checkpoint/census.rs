//! The checkpoints of a thread on one consistent cut, and which of them stay.

use std::collections::{BTreeMap, BTreeSet};

use super::layout;
use super::saved::Found;
use super::thread::Thread;
use crate::error::Result;
use crate::store::{Range, Reader, Usage};

/// What joins the namespaces of nested subgraphs, and what stands before the id of the task that a subgraph runs in.
const NESTED: char = '|';
const TASK: char = ':';

/// Namespace and id of a checkpoint.
pub(super) type Address<'c> = (&'c str, &'c str);

/// The checkpoints that stay.
pub(super) type Kept<'c> = BTreeSet<Address<'c>>;

/// The checkpoints of a thread.
pub(super) struct Census<'v> {
    pub(super) view: &'v dyn Reader,
    pub(super) thread: &'v Thread<'v>,
    /// By namespace, then by id.
    checkpoints: BTreeMap<String, BTreeMap<String, Found>>,
}

impl<'v> Census<'v> {
    pub(super) fn take(view: &'v dyn Reader, thread: &'v Thread<'v>) -> Result<Self> {
        let mut checkpoints: BTreeMap<String, BTreeMap<String, Found>> = BTreeMap::new();
        for entry in view.entries(&thread.namespace, &Range::of(layout::all_checkpoints()?))? {
            let found = Found::read(thread.id, entry)?;
            let of_namespace = checkpoints.entry(found.checkpoint_ns.clone()).or_default();
            of_namespace.insert(found.checkpoint_id.clone(), found);
        }
        Ok(Self { view, thread, checkpoints })
    }

    /// Every checkpoint.
    pub(super) fn all(&self) -> impl Iterator<Item = &Found> {
        self.checkpoints.values().flat_map(BTreeMap::values)
    }

    pub(super) fn find(&self, (checkpoint_ns, checkpoint_id): Address<'_>) -> Option<&Found> {
        self.checkpoints.get(checkpoint_ns)?.get(checkpoint_id)
    }

    /// The greatest id of a namespace.
    pub(super) fn latest(&self, checkpoint_ns: &str) -> Option<&str> {
        self.checkpoints.get(checkpoint_ns)?.last_key_value().map(|(id, _)| id.as_str())
    }

    /// How much the whole thread takes.
    pub(super) fn usage(&self) -> Result<Usage> {
        Ok(self.view.namespace(&self.thread.namespace)?.map_or_else(Usage::default, |info| info.usage))
    }

    /// The newest `count` of each namespace, without the subgraphs whose surroundings go, and with the ancestors that
    /// delta channels are rebuilt from.
    pub(super) fn newest(&self, count: usize) -> Result<Kept<'_>> {
        let mut by_depth: Vec<&String> = self.checkpoints.keys().collect();
        by_depth.sort_by_key(|name| name.matches(NESTED).count());
        let mut kept = Kept::new();
        for checkpoint_ns in by_depth {
            let newest: Vec<&Found> = self.checkpoints[checkpoint_ns].values().rev().take(count).collect();
            if !self.is_outlived(newest.first().copied(), &kept)? {
                kept.extend(newest.iter().map(|found| found.place()));
            }
        }
        for found in kept.clone() {
            self.keep_ancestors(found, &mut kept)?;
        }
        Ok(kept)
    }

    /// Whether a subgraph ran under a checkpoint that goes; what is not known stays.
    fn is_outlived(&self, newest: Option<&Found>, kept: &Kept<'_>) -> Result<bool> {
        let Some(found) = newest else { return Ok(false) };
        let (around, own) = found.checkpoint_ns.rsplit_once(NESTED).unwrap_or(("", &found.checkpoint_ns));
        let record = found.record()?;
        let Some((_, parent_id)) = record.origin.parents.iter().find(|(name, _)| own.contains(TASK) && *name == around)
        else {
            return Ok(false);
        };
        // A subgraph may be stored before the checkpoint that it runs under.
        let is_known = self.latest(around).is_some_and(|latest| *parent_id <= latest);
        Ok(is_known && !kept.contains(&(around, parent_id)))
    }

    /// Keeps the ancestors of a checkpoint, up to those that store a value of each of its delta channels.
    fn keep_ancestors<'c>(&'c self, start: Address<'c>, kept: &mut Kept<'c>) -> Result<()> {
        let Some(mut found) = self.find(start) else { return Ok(()) };
        let mut wanted = found.record()?.origin.delta_channels.clone();
        let mut walked = BTreeSet::new();
        loop {
            let mut still_wanted = Vec::new();
            for channel in wanted {
                if found.row_of(self.view, &self.thread.namespace, channel)?.is_none() {
                    still_wanted.push(channel);
                }
            }
            wanted = still_wanted;
            let Some(parent_id) = found.parent_id()? else { return Ok(()) };
            let Some(parent) = self.find((start.0, &parent_id)) else { return Ok(()) };
            if wanted.is_empty() || !walked.insert(&parent.checkpoint_id) {
                return Ok(());
            }
            kept.insert(parent.place());
            found = parent;
        }
    }

    /// All but those that the runs made; `None` where they made none.
    pub(super) fn without_runs(&self, run_ids: &[&str]) -> Result<Option<Kept<'_>>> {
        let mut kept = Kept::new();
        for found in self.all() {
            if !found.record()?.origin.run_id.is_some_and(|run_id| run_ids.contains(&run_id)) {
                kept.insert(found.place());
            }
        }
        let is_any_gone = kept.len() < self.all().count();
        Ok(is_any_gone.then_some(kept))
    }
}
