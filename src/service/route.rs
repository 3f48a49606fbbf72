//! Which path means what, and what its query says.
//!
//! A path is split before it is decoded, so an encoded slash is part of a name and never splits it, and each name is decoded
//! once. Behind `/api/kv/` the segment `_` is always the marker of an explicit namespace.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use super::ops::Query;
use super::refusal::{Reason, Refusal, Result};

/// What a request is for. Names stand as they came, undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// One entry, and what is done with it.
    Entry(Option<String>, String, Verb),
    /// The entries of a namespace.
    Entries(Option<String>, Collection),
    /// The namespaces.
    Namespaces,
    /// A table of the registry, or a row of it.
    Registry(Table, Option<String>, Change),
    /// The pages.
    Pages(Publishing),
    /// The snapshots.
    History(History),
    /// What is looked into.
    Inspect(Inspect),
}

/// What of a store is looked into; its names stand in the query, where any characters may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inspect {
    Store,
    Namespaces,
    Entries,
    Entry,
    Threads,
    Checkpoints,
    Checkpoint,
}

/// What is wanted of the pages. Ids stand as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Publishing {
    List,
    Make,
    Remove(String),
    Launch(String),
}

/// What is wanted of the snapshots. Ids stand as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum History {
    List,
    Take,
    Diff(String),
    Restore(String),
    /// The entry of a namespace and a key in a snapshot.
    Entry(String, String, String),
}

/// What is done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Delete,
    Increment,
    Claim,
}

/// What is done with the entries of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    List,
    Batch,
}

/// A table of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Agents,
    Tasks,
    Tokens,
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    List,
    Make,
    Remove,
}

impl Route {
    /// The route of a request.
    ///
    /// # Errors
    /// `NoRoute` for a path that nothing has, also one with an empty segment, and `Method` for one that has other methods.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match segments[..] {
            ["api", "kv"] => Self::entries(None, method),
            ["api", "kv", "_", namespace] if !namespace.is_empty() => Self::entries(Some(namespace), method),
            ["api", "kv", "_", namespace, ref key @ ..] => Self::entry(Some(namespace), key, method),
            ["api", "kv", ref key @ ..] => Self::entry(None, key, method),
            ["api", "namespaces"] if is_read(method) => Ok(Self::Namespaces),
            ["api", "namespaces"] => Err(Reason::Method("GET, HEAD").into()),
            ["api", "snapshots", ref rest @ ..] => History::of(rest, method).map(Self::History),
            ["api", "pages", ref rest @ ..] => Publishing::of(rest, method).map(Self::Pages),
            ["api", "inspect", ref rest @ ..] => Inspect::of(rest, method).map(Self::Inspect),
            ["api", table, ref id @ ..] => Self::registry(table, id, method),
            _ => Err(Reason::NoRoute.into()),
        }
    }

    /// What the operation is called where requests are counted.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Entry(_, _, Verb::Get) => "get",
            Self::Entry(_, _, Verb::Put) => "put",
            Self::Entry(_, _, Verb::Delete) => "delete",
            Self::Entry(_, _, Verb::Increment) => "incr",
            Self::Entry(_, _, Verb::Claim) => "claim",
            Self::Entries(_, Collection::List) => "list",
            Self::Entries(_, Collection::Batch) => "batch",
            Self::Namespaces => "namespaces",
            Self::Registry(..) => "registry",
            Self::Pages(_) => "pages",
            Self::History(_) => "snapshots",
            Self::Inspect(_) => "inspect",
        }
    }

    fn entries(namespace: Option<&str>, method: &Method) -> Result<Self> {
        let collection = match (method, namespace) {
            (method, _) if is_read(method) => Collection::List,
            (&Method::POST, Some(_)) => Collection::Batch,
            (_, Some(_)) => return Err(Reason::Method("GET, HEAD, POST").into()),
            (_, None) => return Err(Reason::Method("GET, HEAD").into()),
        };
        Ok(Self::Entries(namespace.map(str::to_owned), collection))
    }

    fn entry(namespace: Option<&str>, key: &[&str], method: &Method) -> Result<Self> {
        let is_marker = namespace.is_none() && key.first() == Some(&"_");
        if key.is_empty() || is_marker || namespace == Some("") || key.contains(&"") {
            return Err(Reason::NoRoute.into());
        }
        let (key, verb) = match (method, key) {
            (&Method::POST, [key @ .., "incr"]) if !key.is_empty() => (key, Verb::Increment),
            (&Method::POST, [key @ .., "claim"]) if !key.is_empty() => (key, Verb::Claim),
            (&Method::PUT, key) => (key, Verb::Put),
            (&Method::DELETE, key) => (key, Verb::Delete),
            (method, key) if is_read(method) => (key, Verb::Get),
            _ => return Err(Reason::Method("GET, HEAD, PUT, DELETE").into()),
        };
        Ok(Self::Entry(namespace.map(str::to_owned), key.join("/"), verb))
    }

    fn registry(table: &str, id: &[&str], method: &Method) -> Result<Self> {
        let table = match table {
            "agents" => Table::Agents,
            "tasks" => Table::Tasks,
            "tokens" => Table::Tokens,
            _ => return Err(Reason::NoRoute.into()),
        };
        let (id, change) = match (id, method) {
            ([], method) if is_read(method) => (None, Change::List),
            ([], &Method::POST) => (None, Change::Make),
            ([], _) => return Err(Reason::Method("GET, HEAD, POST").into()),
            ([""], _) => return Err(Reason::NoRoute.into()),
            ([id], &Method::DELETE) => (Some((*id).to_owned()), Change::Remove),
            ([_], _) => return Err(Reason::Method("DELETE").into()),
            _ => return Err(Reason::NoRoute.into()),
        };
        Ok(Self::Registry(table, id, change))
    }
}

impl Publishing {
    fn of(rest: &[&str], method: &Method) -> Result<Self> {
        match rest {
            [] if is_read(method) => Ok(Self::List),
            [] if method == Method::POST => Ok(Self::Make),
            [] => Err(Reason::Method("GET, HEAD, POST").into()),
            [""] | ["", _] => Err(Reason::NoRoute.into()),
            [id] if method == Method::DELETE => Ok(Self::Remove((*id).to_owned())),
            [_] => Err(Reason::Method("DELETE").into()),
            [id, "launch"] if method == Method::POST => Ok(Self::Launch((*id).to_owned())),
            [_, "launch"] => Err(Reason::Method("POST").into()),
            _ => Err(Reason::NoRoute.into()),
        }
    }
}

impl History {
    fn of(rest: &[&str], method: &Method) -> Result<Self> {
        match rest {
            [] if is_read(method) => Ok(Self::List),
            [] if method == Method::POST => Ok(Self::Take),
            [] => Err(Reason::Method("GET, HEAD, POST").into()),
            [id, "diff"] if is_read(method) => Ok(Self::Diff((*id).to_owned())),
            [id, "restore"] if method == Method::POST => Ok(Self::Restore((*id).to_owned())),
            [_, "restore"] => Err(Reason::Method("POST").into()),
            [id, "kv", "_", namespace, key @ ..] if !key.is_empty() && !namespace.is_empty() && !key.contains(&"") => {
                match is_read(method) {
                    true => Ok(Self::Entry((*id).to_owned(), (*namespace).to_owned(), key.join("/"))),
                    false => Err(Reason::Method("GET, HEAD").into()),
                }
            }
            [_, "diff"] => Err(Reason::Method("GET, HEAD").into()),
            _ => Err(Reason::NoRoute.into()),
        }
    }
}

impl Inspect {
    fn of(rest: &[&str], method: &Method) -> Result<Self> {
        let wanted = match rest {
            [] => Self::Store,
            ["namespaces"] => Self::Namespaces,
            ["entries"] => Self::Entries,
            ["entry"] => Self::Entry,
            ["threads"] => Self::Threads,
            ["checkpoints"] => Self::Checkpoints,
            ["checkpoint"] => Self::Checkpoint,
            _ => return Err(Reason::NoRoute.into()),
        };
        if is_read(method) { Ok(wanted) } else { Err(Reason::Method("GET, HEAD").into()) }
    }
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Decodes a name once.
///
/// # Errors
/// `Invalid` for what is not UTF-8 then.
pub(super) fn decode(name: &str) -> Result<String> {
    match percent_decode_str(name).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(Refusal::invalid("a name in the path is not UTF-8 when it is decoded")),
    }
}

/// What the query of a list says.
#[derive(Clone, Debug)]
pub(super) struct ListQuery {
    pub(super) query: Query,
    pub(super) keys_only: bool,
    /// Whether changes are wanted rather than what stands.
    pub(super) watch: bool,
}

impl ListQuery {
    /// Reads a query; parameters that no list has are ignored.
    ///
    /// # Errors
    /// `Invalid` for a value that is none, and for a cursor beside an offset.
    pub(super) fn read(query: &str) -> Result<Self> {
        let (mut prefix, mut keys_only, mut watch) = (String::new(), false, false);
        let (mut limit, mut cursor, mut offset) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "prefix" => prefix = value.into_owned(),
                "limit" => limit = Some(whole("limit", &value)?),
                "cursor" => cursor = Some(value.into_owned()),
                "offset" => offset = Some(whole("offset", &value)?),
                "keysOnly" => keys_only = flag("keysOnly", &value)?,
                "watch" => watch = flag("watch", &value)?,
                _ => {}
            }
        }
        Ok(Self { query: Query::of(prefix, limit, cursor, offset)?, keys_only, watch })
    }
}

fn flag(name: &str, value: &str) -> Result<bool> {
    value.parse().map_err(|_| bad(name, "true or false"))
}

/// A number of digits alone.
fn whole(name: &str, value: &str) -> Result<u64> {
    let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    number.filter(|number: &u64| i64::try_from(*number).is_ok()).ok_or_else(|| bad(name, "a whole number from 0 up"))
}

fn bad(name: &str, wanted: &str) -> Refusal {
    Refusal::invalid(format!("the query's {name} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(namespace: Option<&str>, key: &str, verb: Verb) -> Result<Route> {
        Ok(Route::Entry(namespace.map(str::to_owned), key.to_owned(), verb))
    }

    #[test]
    fn the_segment_behind_api_kv_is_a_marker_and_the_rest_a_key() {
        assert_eq!(Route::of(&Method::GET, "/api/kv/a/b"), entry(None, "a/b", Verb::Get));
        assert_eq!(Route::of(&Method::PUT, "/api/kv/_/n/a/b"), entry(Some("n"), "a/b", Verb::Put));
        assert_eq!(Route::of(&Method::POST, "/api/kv/_/n/a/incr"), entry(Some("n"), "a", Verb::Increment));
        assert_eq!(Route::of(&Method::POST, "/api/kv/a/claim"), entry(None, "a", Verb::Claim));
        assert_eq!(Route::of(&Method::GET, "/api/kv/a/incr"), entry(None, "a/incr", Verb::Get));
        assert_eq!(Route::of(&Method::GET, "/api/kv/_/n"), Ok(Route::Entries(Some("n".to_owned()), Collection::List)));
    }

    #[test]
    fn an_empty_segment_has_no_route() {
        for path in
            ["/", "//api/kv/a", "/api//kv/a", "/api/kv/", "/api/kv//a", "/api/kv/a/", "/api/kv/_", "/api/kv/_//a"]
        {
            assert_eq!(Route::of(&Method::GET, path), Err(Reason::NoRoute.into()), "{path}");
        }
    }

    #[test]
    fn a_path_tells_the_methods_that_it_takes() {
        let refused = |method, path| Route::of(&method, path);
        assert_eq!(refused(Method::POST, "/api/kv/a"), Err(Reason::Method("GET, HEAD, PUT, DELETE").into()));
        assert_eq!(refused(Method::POST, "/api/kv"), Err(Reason::Method("GET, HEAD").into()));
        assert_eq!(refused(Method::PUT, "/api/kv/_/n"), Err(Reason::Method("GET, HEAD, POST").into()));
        assert_eq!(refused(Method::GET, "/api/tokens/x"), Err(Reason::Method("DELETE").into()));
    }
}
