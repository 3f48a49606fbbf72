//! Opens a store by its URL: the only file that names all engines.

use std::sync::Arc;

use crate::engine::memory::{Memory, MemoryOptions};
#[cfg(feature = "redis")]
use crate::engine::redis::{Redis, RedisOptions};
#[cfg(feature = "sqlite")]
use crate::engine::sqlite::{Durability, Sqlite, SqliteOptions};
use crate::error::{Error, Result};
use crate::store::Store;

/// Opens the store that `url` names.
///
/// `memory:` is a new store each time; `sqlite:///state.db` is a file in the current folder and `sqlite:////var/lib/state.db` one
/// by its absolute path; `redis[s]://[user:password@]host[:port][/db]` and `unix:///path?db=n` are a server, and
/// `redis[s]+cluster://host:port,host:port` a cluster. Names are percent-decoded. The query takes the options of the engine by
/// name, as in `memory:?max_history=100`.
///
/// | engine | options |
/// |---|---|
/// | `memory` | `max_history` |
/// | `sqlite` | `durability` (`full` or `normal`), `timeout` (seconds), `max_history`, `create` (`true` or `false`) |
/// | `redis` | `prefix`, `timeout` (seconds), `max_history`, `ca` (a file in PEM) |
///
/// # Errors
/// `Invalid` for a URL that names no engine, an option that the engine does not have, or a value that it does not take; else what
/// opening the engine answers.
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
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let (path, options) = sqlite_options(rest)?;
            Ok(Arc::new(Sqlite::open(&path, options)?))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "unix" | "redis+cluster" | "rediss+cluster" => {
            Ok(Arc::new(Redis::open(url, RedisOptions::default())?))
        }
        _ => Err(no_engine(scheme)),
    }
}

fn no_engine(what: &str) -> Error {
    Error::invalid(format!(
        "{what:?} names no engine; a store's URL begins with `memory:`, `sqlite:///`, `redis:`, `rediss:`, `unix:`, \
         `redis+cluster:` or `rediss+cluster:`"
    ))
}

fn memory_options(rest: &str) -> Result<MemoryOptions> {
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !name.is_empty() {
        return Err(Error::invalid(format!("a memory store has no name, but the URL gives {rest:?}")));
    }
    let mut options = MemoryOptions::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "max_history" => options.max_history = Some(parse_max_history(&value)?),
            _ => return Err(Error::invalid(format!("a memory store has no option {name:?}; it has `max_history`"))),
        }
    }
    Ok(options)
}

/// The file that a URL names, and how to open it.
#[cfg(feature = "sqlite")]
fn sqlite_options(rest: &str) -> Result<(std::path::PathBuf, SqliteOptions)> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(path) = path.strip_prefix("///") else {
        return Err(Error::invalid(format!(
            "\"sqlite:{path}\" names no file; a relative one has three slashes, `sqlite:///state.db`, an absolute one four"
        )));
    };
    let mut options = SqliteOptions::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "durability" => options.durability = parse_durability(&value)?,
            "timeout" => options.timeout = parse_timeout(&value)?,
            "max_history" => options.max_history = Some(parse_max_history(&value)?),
            "create" => options.create = parse_flag("create", &value)?,
            _ => {
                return Err(Error::invalid(format!(
                    "a SQLite store has no option {name:?}; it has `durability`, `timeout`, `max_history` and `create`"
                )));
            }
        }
    }
    Ok((decode_path(path)?, options))
}

/// On Unix a path may hold any bytes.
#[cfg(all(feature = "sqlite", unix))]
fn decode_path(path: &str) -> Result<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(percent_encoding::percent_decode_str(path).collect()).into())
}

#[cfg(all(feature = "sqlite", not(unix)))]
fn decode_path(path: &str) -> Result<std::path::PathBuf> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    Ok(decoded
        .map_err(|_| Error::invalid(format!("the path {path:?} is not UTF-8 when it is decoded")))?
        .into_owned()
        .into())
}

/// Reads what `durability` says.
///
/// # Errors
/// `Invalid` for anything but `full` and `normal`.
#[cfg(feature = "sqlite")]
pub fn parse_durability(value: &str) -> Result<Durability> {
    match value {
        "full" => Ok(Durability::Full),
        "normal" => Ok(Durability::Normal),
        _ => Err(Error::invalid(format!("durability must be \"full\" or \"normal\", not {value:?}"))),
    }
}

#[cfg(feature = "sqlite")]
fn parse_timeout(value: &str) -> Result<std::time::Duration> {
    let seconds: Option<f64> = value.parse().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Error::invalid(format!("timeout must be seconds above 0, not {value:?}")))
}

#[cfg(feature = "sqlite")]
fn parse_flag(name: &str, value: &str) -> Result<bool> {
    value.parse().map_err(|_| Error::invalid(format!("{name} must be `true` or `false`, not {value:?}")))
}

fn parse_max_history(value: &str) -> Result<usize> {
    value.parse().map_err(|_| Error::invalid(format!("max_history must be a whole number, not {value:?}")))
}

/// Opens the store that lies beside `store` under `name` and goes by `clock`: another file, another prefix on the same server, or
/// another one in memory.
///
/// Of `state.db` the one named `registry` is `state.registry.db`; of the prefix `swarmstate` it is `swarmstate.registry`.
///
/// # Errors
/// What opening the engine answers.
#[cfg(feature = "service")]
pub fn open_beside(store: &dyn Store, name: &str, clock: crate::clock::Clock) -> Result<Arc<dyn Store>> {
    let engine: &dyn std::any::Any = store;
    #[cfg(feature = "sqlite")]
    if let Some(file) = engine.downcast_ref::<Sqlite>() {
        let beside = path_beside(file.path(), &format!("{name}.db"));
        return Ok(Arc::new(Sqlite::open(&beside, SqliteOptions { clock, ..SqliteOptions::default() })?));
    }
    #[cfg(feature = "redis")]
    if let Some(server) = engine.downcast_ref::<Redis>() {
        return Ok(Arc::new(server.open_beside(name, clock)?));
    }
    match engine.is::<Memory>() {
        true => Ok(Arc::new(Memory::with_options(MemoryOptions { clock, ..MemoryOptions::default() })?)),
        false => {
            Err(Error::unsupported("nothing can lie beside a store of this engine; give the registry's own store"))
        }
    }
}

/// The path with `.db` replaced by `.extension`, or that behind the whole name.
#[cfg(all(feature = "service", feature = "sqlite"))]
fn path_beside(path: &std::path::Path, extension: &str) -> std::path::PathBuf {
    let mut beside = match path.extension() {
        Some(known) if known == "db" => path.with_extension("").into_os_string(),
        _ => path.as_os_str().to_owned(),
    };
    beside.push(".");
    beside.push(extension);
    beside.into()
}
