//! Copies what one store, snapshot or view holds into another store, of any engine.

use std::sync::Arc;

use super::{BATCH_BYTES, BATCH_OPERATIONS};
use crate::engine::memory::{Memory, MemoryOptions, MemorySnapshot};
use crate::error::{Conflict, Error, Expected, Result};
use crate::key::{Key, Namespace};
use crate::store::{Batch, EntryPages, Expiry, NamespacePages, Reader, Snapshot, Store};
use crate::value::Entry;

/// Copies every live entry of `source` into `target` and returns how many those were.
///
/// Values, kinds and expiries stay as they are; revisions and times are the target's own. `progress` is told, after every
/// batch, how many entries are done, of how many; what it answers with an error ends the copy.
///
/// # Cost
/// O(n), a page in memory at a time.
///
/// # Errors
/// `Conflict` when a namespace of `source` exists in `target`: nothing is written. Any other error leaves in `target` what
/// was copied by then: clear it and repeat.
pub fn copy<E: From<Error>>(
    source: &dyn Reader,
    target: &dyn Store,
    mut progress: impl FnMut(u64, u64) -> Result<(), E>,
) -> Result<u64, E> {
    let total = source.usage()?.entries;
    let mut namespaces = NamespacePages::new(source);
    while let Some(name) = namespaces.next()? {
        require_absent(target, &name)?;
    }
    let mut copied = 0;
    let mut namespaces = NamespacePages::new(source);
    while let Some(name) = namespaces.next()? {
        let namespace = Namespace::new(name).map_err(E::from)?;
        let mut entries = EntryPages::new(source, &namespace);
        while let Some(page) = next_batch(&mut entries, target)? {
            write(target, &namespace, &page)?;
            copied += page.len() as u64;
            progress(copied, total)?;
        }
    }
    Ok(copied)
}

pub(super) fn require_absent(target: &dyn Store, name: &str) -> Result<()> {
    match target.namespace(&Namespace::new(name)?)? {
        None => Ok(()),
        Some(standing) => Err(Box::new(Conflict {
            namespace: name.to_owned(),
            key: None,
            expected: Expected::Absent,
            actual: standing.revision,
            position: 0,
        })
        .into()),
    }
}

fn next_batch(entries: &mut EntryPages<'_>, target: &dyn Store) -> Result<Option<Vec<Entry>>> {
    let most = BATCH_OPERATIONS.min(target.capabilities().max_batch_operations);
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < most && bytes < BATCH_BYTES {
        let Some(entry) = entries.next()? else { break };
        bytes += entry.value().len() + entry.key_bytes().len();
        page.push(entry);
    }
    Ok(Some(page).filter(|page| !page.is_empty()))
}

fn write(target: &dyn Store, namespace: &Namespace<'_>, page: &[Entry]) -> Result<()> {
    let mut batch = Batch::new();
    for entry in page {
        let expiry = entry.expires_at().map_or(Expiry::Never, Expiry::At);
        batch.set(namespace.borrow(), Key::new(entry.key())?, entry.to_value(), expiry);
    }
    target.write(&batch).map(drop)
}

/// A memory store of its own that begins as `snapshot` is.
///
/// # Cost
/// O(1) for a snapshot of a memory store, which keeps its revisions; else O(n), with new ones.
///
/// # Errors
/// As [`Memory::with_options`], and whatever reading the snapshot answers.
pub fn fork(snapshot: &dyn Snapshot, max_history: Option<usize>) -> Result<Arc<dyn Store>> {
    if let Some(snapshot) = snapshot.downcast::<MemorySnapshot>() {
        return Ok(Arc::new(Memory::fork(snapshot, max_history)?));
    }
    let store = Memory::with_options(MemoryOptions { max_history, clock: snapshot.clock().clone() })?;
    copy(snapshot, &store, |_, _| Ok::<(), Error>(()))?;
    Ok(Arc::new(store))
}
