//! Opens a store by its URL: the only file that names all engines.

use std::sync::Arc;

use crate::engine::memory::{Memory, MemoryOptions};
use crate::error::{Error, Result};
use crate::store::Store;

/// Opens the store that `url` names.
///
/// `memory:` is a new store each time. The query takes the options of the engine by name, as in `memory:?max_history=100`.
///
/// # Errors
/// `Invalid` for a URL that names no engine, an option that the engine does not have, or a value that it does not take.
///
/// # Example
/// ```
/// use swarmstate::StoreExt;
///
/// let store = swarmstate::open("memory:?max_history=100")?;
/// store.set("workflow", "step", 3)?;
/// # Ok::<(), swarmstate::Error>(())
/// ```
pub fn open(url: &str) -> Result<Arc<dyn Store>> {
    let (scheme, rest) = url.split_once(':').ok_or_else(|| no_engine(url))?;
    match scheme {
        "memory" => Ok(Arc::new(Memory::with_options(memory_options(rest)?)?)),
        _ => Err(no_engine(scheme)),
    }
}

fn no_engine(what: &str) -> Error {
    Error::invalid(format!("{what:?} names no engine; a store's URL begins with `memory:`"))
}

fn memory_options(rest: &str) -> Result<MemoryOptions> {
    let query = match rest.strip_prefix('?') {
        Some(query) => query,
        None if rest.is_empty() => "",
        None => return Err(Error::invalid(format!("a memory store has no name, but the URL gives {rest:?}"))),
    };
    let mut options = MemoryOptions::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "max_history" => options.max_history = Some(parse_max_history(&value)?),
            _ => return Err(Error::invalid(format!("a memory store has no option {name:?}; it has `max_history`"))),
        }
    }
    Ok(options)
}

fn parse_max_history(value: &str) -> Result<usize> {
    value.parse().map_err(|_| Error::invalid(format!("max_history must be a whole number, not {value:?}")))
}
