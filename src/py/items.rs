//! `Items`: LangGraph's long-term memory, as the store's Python part calls it.
//!
//! Questions and changes come in as plain tuples, values as the dicts that they are; where a record lies, and what is found, is
//! [`items`](crate::items)'s.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::argument::{self, Argument};
use super::codec;
use super::error::{OrRaise, to_py};
use super::store::{PyStore, run_whole, with_value};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::items::{Address, Answer, Change, Content, Filter, Found, Items, Listing, Match, Question, Search, Similar};

/// LangGraph's long-term memory in a store.
///
/// What `SwarmStateStore` is made of.
///
/// Args:
///     store: The store that holds the items.
#[pyclass(frozen, name = "Items", module = "swarmstate._core")]
pub(crate) struct PyItems {
    /// Where the engine waits, calls run detached from the interpreter as a whole, on a handle that waits plainly.
    waits: bool,
    items: Items,
}

impl PyItems {
    fn run<R: Send>(
        &self,
        py: Python<'_>,
        is_long: bool,
        work: impl FnOnce(&Items) -> Result<R> + Send,
    ) -> PyResult<R> {
        run_whole(py, self.waits || is_long, || work(&self.items))
    }
}

#[pymethods]
impl PyItems {
    #[new]
    fn new(store: PyRef<'_, PyStore>) -> Self {
        let (engine, waits) = store.whole_engine();
        Self { waits, items: Items::new(engine) }
    }

    /// Answer questions from one consistent cut.
    ///
    /// Args:
    ///     questions: ("get", labels, key, refresh), ("search", labels, filter, limit, offset, vector, refresh) or
    ///         ("list", patterns, max depth, limit, offset), where a pattern is ("prefix" or "suffix", labels). A
    ///         vector is the bytes of an array of 32-bit floats.
    ///
    /// Returns:
    ///     For each question: an item or None, a list of items, or a list of labels; an item is (labels, key, value,
    ///     created at, updated at, score), times in seconds since 1970.
    ///
    /// Raises:
    ///     InvalidError: An operator of a filter does not exist, a number is negative, or a vector is of another length
    ///         than those of the items.
    ///     CorruptError: A record is not what was stored.
    #[pyo3(signature = (questions, /))]
    fn read<'py>(&self, py: Python<'py>, questions: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let questions = questions.iter().map(|question| to_question(&question)).collect::<PyResult<Vec<_>>>()?;
        let are_quick = questions.iter().all(|question| matches!(question, Question::Get(..)));
        let answers = self.run(py, !are_quick, |items| items.read(&questions))?;
        list(py, answers.iter().map(|answer| from_answer(py, answer)))
    }

    /// Carry out all changes or none; of several to one item the last counts.
    ///
    /// Args:
    ///     changes: (labels, key, value, ttl in seconds, vectors as in `read`); a value of None removes the item.
    ///
    /// Raises:
    ///     TypeError: A part of a value is not storable; the message names it.
    ///     ValueError: An int is out of range, or a value nests too deep or contains itself.
    ///     InvalidError: An address is above the limit, a ttl not above 0, or vectors differ in length.
    ///     TooLargeError: A value or the whole is above the limit of the store; nothing is written.
    #[pyo3(signature = (changes, /))]
    fn write(&self, py: Python<'_>, changes: &Bound<'_, PyList>) -> PyResult<()> {
        let rows = changes.iter().map(|change| Row::of(&change)).collect::<PyResult<Vec<_>>>()?;
        let changes: Vec<Change<'_>> = rows.iter().map(Row::change).collect();
        self.run(py, false, |items| items.write(&changes))
    }

    /// Free the room of what has ended; it is gone for every read already.
    fn sweep(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, true, Items::sweep)
    }
}

/// A change with what it owns.
struct Row {
    address: Address,
    value: Option<Vec<u8>>,
    ttl: Option<Duration>,
    vectors: Vec<Vec<f32>>,
}

/// What Python may leave out.
type Maybe<'py> = Option<Bound<'py, PyAny>>;

impl Row {
    fn of(change: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (labels, key, value, ttl, vectors) =
            change.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>, Maybe<'_>, Maybe<'_>, Vec<Bound<'_, PyBytes>>)>()?;
        let value = value.map(|value| with_value(&value, |value| Ok(value.as_bytes().to_vec()))).transpose()?;
        let ttl = ttl.map(|ttl| argument::seconds("ttl", &ttl)).transpose()?;
        let vectors = vectors.iter().map(|numbers| to_vector(numbers.as_bytes())).collect::<PyResult<_>>()?;
        Ok(Self { address: to_address(&labels, &key)?, value, ttl, vectors })
    }

    fn change(&self) -> Change<'_> {
        let content = self.value.as_ref().map(|value| Content { value, ttl: self.ttl, vectors: &self.vectors });
        Change { address: &self.address, content }
    }
}

fn to_address(labels: Argument<'_, '_>, key: Argument<'_, '_>) -> PyResult<Address> {
    Ok(Address { labels: to_labels(labels)?, key: argument::text("key", key)?.to_owned() })
}

/// The labels of a namespace. A str would be iterable too, letter by letter.
fn to_labels(object: Argument<'_, '_>) -> PyResult<Vec<String>> {
    if object.is_instance_of::<PyString>() {
        return Err(argument::wrong_type("namespace", "a tuple of str", object));
    }
    argument::iterator("namespace", "str", object)?
        .map(|label| argument::text("label of a namespace", &label?).map(str::to_owned))
        .collect()
}

fn to_question(question: &Bound<'_, PyAny>) -> PyResult<Question> {
    let kind: String = question.get_item(0)?.extract()?;
    match &*kind {
        "get" => {
            let (_, labels, key, refresh) = question.extract::<(String, Bound<'_, PyAny>, Bound<'_, PyAny>, bool)>()?;
            Ok(Question::Get(to_address(&labels, &key)?, refresh))
        }
        "search" => to_search(question).map(Question::Search),
        "list" => to_listing(question).map(Question::List),
        other => Err(PyTypeError::new_err(format!("{other:?} is no question; there are get, search and list"))),
    }
}

fn to_search(question: &Bound<'_, PyAny>) -> PyResult<Search> {
    let (_, labels, filter, limit, offset, vector, refresh) = question.extract::<(
        String,
        Bound<'_, PyAny>,
        Maybe<'_>,
        Bound<'_, PyAny>,
        Bound<'_, PyAny>,
        Option<Bound<'_, PyBytes>>,
        bool,
    )>()?;
    let filter = match filter {
        Some(filter) => with_value(&filter, |filter| Filter::parse(filter.as_bytes()).or_raise())?,
        None => Filter::default(),
    };
    let similar = vector.map(|numbers| Similar::to(&to_vector(numbers.as_bytes())?).or_raise()).transpose()?;
    let (offset, limit) = (size("offset", &offset)?, size("limit", &limit)?);
    Ok(Search { labels: to_labels(&labels)?, filter, offset, limit, similar, refresh })
}

fn to_listing(question: &Bound<'_, PyAny>) -> PyResult<Listing> {
    let (_, patterns, max_depth, limit, offset) =
        question
            .extract::<(String, Vec<(String, Bound<'_, PyAny>)>, Maybe<'_>, Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
    let matches = patterns.into_iter().map(|(kind, labels)| match &*kind {
        "prefix" => to_labels(&labels).map(Match::Prefix),
        "suffix" => to_labels(&labels).map(Match::Suffix),
        _ => Err(to_py(Error::invalid(format!("a namespace is matched by \"prefix\" or \"suffix\", not by {kind:?}")))),
    });
    let matches = matches.collect::<PyResult<_>>()?;
    let max_depth = max_depth.map(|depth| size("max_depth", &depth)).transpose()?;
    Ok(Listing { matches, max_depth, offset: size("offset", &offset)?, limit: size("limit", &limit)? })
}

/// The numbers of an array of C floats, which comes as its bytes: a list would cost more than all the rest of a search.
fn to_vector(numbers: &[u8]) -> PyResult<Vec<f32>> {
    let (numbers, rest) = numbers.as_chunks();
    match rest {
        [] => Ok(numbers.iter().map(|number| f32::from_ne_bytes(*number)).collect()),
        _ => Err(to_py(Error::invalid("a vector is the bytes of whole 32-bit floats".to_owned()))),
    }
}

fn size(name: &str, object: Argument<'_, '_>) -> PyResult<usize> {
    Ok(usize::try_from(argument::count(name, object)?).unwrap_or(usize::MAX))
}

fn from_answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    Ok(match answer {
        Answer::Item(None) => py.None().into_bound(py),
        Answer::Item(Some(found)) => from_found(py, found)?.into_any(),
        Answer::Items(found) => list(py, found.iter().map(|found| from_found(py, found)))?.into_any(),
        Answer::Namespaces(found) => list(py, found.iter().map(|labels| PyTuple::new(py, labels)))?.into_any(),
    })
}

fn list<'py, T: IntoPyObject<'py>>(
    py: Python<'py>,
    items: impl Iterator<Item = PyResult<T>>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for item in items {
        list.append(item?)?;
    }
    Ok(list)
}

fn from_found<'py>(py: Python<'py>, found: &Found) -> PyResult<Bound<'py, PyTuple>> {
    let Address { labels, key } = &found.address;
    let value = codec::decode(py, found.value().or_raise()?)?;
    let (created_at, updated_at) = (seconds(found.created_at()), seconds(found.updated_at().or_raise()?));
    (PyTuple::new(py, labels)?, key, value, created_at, updated_at, found.score).into_pyobject(py)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
