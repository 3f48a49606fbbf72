//! `Batch`: changes that are carried out together or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::argument::{self, Argument, expiry};
use super::error::{OrRaise, to_py};
use super::store::{summand, with_value};
use crate::error::Error;
use crate::key::{Key, Namespace};
use crate::store::{Batch, Condition, Expiry, Operation, Outcome, Store};
use crate::value::Value;

/// Changes that are carried out together, or not at all, when the with block ends.
///
/// Made by Store.batch. Nothing is written before the block ends, and nothing at all when it ends with an exception or
/// when a condition does not hold. Values are encoded at once, so that errors in them surface where they are given. A
/// key is named once; only a later `set` of a key that was `set` takes the place of the earlier one.
#[pyclass(frozen, name = "Batch", module = "swarmstate")]
pub(crate) struct PyBatch {
    store: Arc<dyn Store>,
    /// What was collected; taken for moments only, and never while Python code runs.
    collected: Mutex<Collected>,
}

#[derive(Default)]
struct Collected {
    operations: Vec<Operation<'static>>,
    conditions: Vec<Condition<'static>>,
    /// Where the `set` of an address stands among the operations.
    sets: HashMap<(Namespace<'static>, Key<'static>), usize>,
    outcomes: Option<Vec<Outcome>>,
    is_over: bool,
}

impl PyBatch {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, collected: Mutex::default() }
    }

    fn collect(&self, change: impl FnOnce(&mut Collected)) -> PyResult<()> {
        self.unless_over(change).ok_or_else(over)
    }

    /// Runs `change` on what was collected; what Python sees of a batch that is over is made without the lock.
    fn unless_over<R>(&self, change: impl FnOnce(&mut Collected) -> R) -> Option<R> {
        let mut collected = self.collected.lock();
        (!collected.is_over).then(|| change(&mut collected))
    }

    fn push(&self, operation: Operation<'static>) -> PyResult<()> {
        self.collect(|collected| collected.operations.push(operation))
    }

    fn require(&self, condition: Condition<'static>) -> PyResult<()> {
        self.collect(|collected| collected.conditions.push(condition))
    }
}

impl Collected {
    fn over() -> Self {
        Self { is_over: true, ..Self::default() }
    }

    fn set(&mut self, address: (Namespace<'static>, Key<'static>), value: Value<'static>, expiry: Expiry) {
        let (namespace, key) = address.clone();
        let operation = Operation::Set { namespace, key, value, expiry };
        let next = self.operations.len();
        match *self.sets.entry(address).or_insert(next) {
            at if at < next => self.operations[at] = operation,
            _ => self.operations.push(operation),
        }
    }
}

#[cold]
fn over() -> PyErr {
    to_py(Error::invalid("the batch is over; take a new one from the store"))
}

fn owned(namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<(Namespace<'static>, Key<'static>)> {
    let (namespace, key) = argument::address(namespace, key)?;
    Ok((namespace.into_owned(), key.into_owned()))
}

fn owned_namespace(name: &str, namespace: Argument<'_, '_>) -> PyResult<Namespace<'static>> {
    Ok(argument::namespace(name, namespace)?.into_owned())
}

#[pymethods]
impl PyBatch {
    /// Write a value, whatever stands there.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Under which key.
    ///     value: What, as for Store.set.
    ///     ttl: Seconds until it goes; None = it stays, and an expiry is cleared.
    ///
    /// Raises:
    ///     TypeError: A part of the value is not storable; the message gives the path to it.
    ///     ValueError: An int is out of range, or the value nests too deep or contains itself.
    #[pyo3(signature = (namespace, key, value, *, ttl=None))]
    fn set(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        value: Argument<'_, '_>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<()> {
        let address = owned(namespace, key)?;
        let value = with_value(value, |value| Ok(value.into_owned()))?;
        let expiry = expiry(ttl)?;
        self.collect(|collected| collected.set(address, value, expiry))
    }

    /// Write a value unless the key is live.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Under which key.
    ///     value: What, as for Store.set.
    ///     ttl: Seconds until it goes, if it is written; None = it stays.
    ///
    /// Raises:
    ///     TypeError: A part of the value is not storable; the message gives the path to it.
    ///     ValueError: An int is out of range, or the value nests too deep or contains itself.
    #[pyo3(signature = (namespace, key, value, *, ttl=None))]
    fn ensure(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        value: Argument<'_, '_>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        let value = with_value(value, |value| Ok(value.into_owned()))?;
        self.push(Operation::Ensure { namespace, key, value, expiry: expiry(ttl)? })
    }

    /// Remove a key, if it is live.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    fn delete(&self, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        self.push(Operation::Delete { namespace, key })
    }

    /// Add to an integer.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key; an absent one counts as 0.
    ///     by: What to add; may be negative.
    ///     ttl: Seconds until it goes, if this creates the key.
    #[pyo3(signature = (namespace, key, by=None, *, ttl=None), text_signature = "($self, namespace, key, by=1, *, ttl=None)")]
    fn increment(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        by: Option<Argument<'_, '_>>,
        ttl: Option<Argument<'_, '_>>,
    ) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        self.push(Operation::Add { namespace, key, by: summand(by)?, expiry: expiry(ttl)? })
    }

    /// Set or clear the expiry of a live key.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     ttl: Seconds from the write until it goes; None = it stays.
    fn touch(&self, namespace: Argument<'_, '_>, key: Argument<'_, '_>, ttl: Option<Argument<'_, '_>>) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        self.push(Operation::Touch { namespace, key, expiry: expiry(ttl)? })
    }

    /// Remove a namespace with all its keys.
    ///
    /// Args:
    ///     namespace: Which one.
    fn delete_namespace(&self, namespace: Argument<'_, '_>) -> PyResult<()> {
        self.push(Operation::DeleteNamespace { namespace: owned_namespace("namespace", namespace)? })
    }

    /// Copy a namespace, as it stands before the batch, into one that holds nothing.
    ///
    /// Args:
    ///     source: What to copy.
    ///     target: Where to.
    fn copy_namespace(&self, source: Argument<'_, '_>, target: Argument<'_, '_>) -> PyResult<()> {
        self.push(Operation::CopyNamespace {
            source: owned_namespace("source", source)?,
            target: owned_namespace("target", target)?,
        })
    }

    /// Insist that a key is at a revision before the batch.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    ///     revision: Its revision; 0 = it must be absent.
    #[pyo3(name = "require")]
    fn require_revision(
        &self,
        namespace: Argument<'_, '_>,
        key: Argument<'_, '_>,
        revision: Argument<'_, '_>,
    ) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        self.require(Condition::at(namespace, key, argument::count("revision", revision)?))
    }

    /// Insist that a key is live before the batch, at whatever revision.
    ///
    /// Args:
    ///     namespace: Where.
    ///     key: Which key.
    fn require_present(&self, namespace: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<()> {
        let (namespace, key) = owned(namespace, key)?;
        self.require(Condition::KeyPresent { namespace, key })
    }

    /// Insist that nothing in a namespace changed since a revision.
    ///
    /// Args:
    ///     namespace: Which one.
    ///     revision: The revision of its last change; 0 = no key of it may be live.
    fn require_namespace(&self, namespace: Argument<'_, '_>, revision: Argument<'_, '_>) -> PyResult<()> {
        self.require(Condition::NamespaceAt {
            namespace: owned_namespace("namespace", namespace)?,
            revision: argument::count("revision", revision)?,
        })
    }

    /// What became of each operation, in their order; None before the block has ended well.
    #[getter]
    fn outcomes(&self) -> Option<Vec<PyOutcome>> {
        let outcomes = self.collected.lock().outcomes.clone();
        outcomes.map(|outcomes| outcomes.into_iter().map(PyOutcome).collect())
    }

    fn __len__(&self) -> usize {
        self.collected.lock().operations.len()
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        slf.collect(|_| {})?;
        Ok(slf)
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        exc_type: Option<Bound<'_, PyType>>,
        exc_value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        let end = |collected: &mut Collected| std::mem::replace(collected, Collected::over());
        let collected = self.unless_over(end).ok_or_else(over)?;
        if exc_type.is_some() {
            return Ok(());
        }
        let batch = Batch::from_parts(collected.operations, collected.conditions);
        let outcomes = self.store.write(&batch).or_raise()?;
        self.collected.lock().outcomes = Some(outcomes);
        Ok(())
    }

    fn __repr__(&self) -> String {
        let collected = self.collected.lock();
        match (&collected.outcomes, collected.is_over) {
            (Some(outcomes), _) => format!("<Batch: {} operations carried out>", outcomes.len()),
            (None, true) => "<Batch: over, nothing carried out>".to_owned(),
            (None, false) => format!("<Batch: {} operations>", collected.operations.len()),
        }
    }
}

/// What became of one operation of a batch.
#[pyclass(frozen, name = "Outcome", module = "swarmstate")]
pub(crate) struct PyOutcome(Outcome);

#[pymethods]
impl PyOutcome {
    /// The revision that it took or, for an ensure that found the key live, met; 0 when there is none.
    #[getter]
    fn revision(&self) -> u64 {
        self.0.revision
    }

    /// Whether it changed something.
    #[getter]
    fn written(&self) -> bool {
        self.0.written
    }

    /// The sum, for an increment; else None.
    #[getter]
    fn integer(&self) -> Option<i64> {
        self.0.integer
    }

    fn __repr__(&self) -> String {
        let written = if self.0.written { "True" } else { "False" };
        let integer = self.0.integer.map_or("None".to_owned(), |integer| integer.to_string());
        format!("Outcome(revision={}, written={written}, integer={integer})", self.0.revision)
    }
}
