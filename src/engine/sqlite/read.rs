//! Reads of one connection, as of now or as of a snapshot's cut.
//!
//! Whoever calls sees to it that reads which belong together happen in one transaction. A range of names is one on the primary
//! key: from its smallest name up to, but without, the smallest that is too great.

use rusqlite::types::{FromSqlError, ToSqlOutput, Type, ValueRef};
use rusqlite::{OptionalExtension, Params, Row, ToSql, params};

use super::connection::Link;
use super::sql;
use crate::clock::Timestamp;
use crate::key::{Key, Namespace};
use crate::store::{NamespaceInfo, Order, Range, Usage};
use crate::value::{Entry, Kind, Stamp, Value};

/// More than this of anything no file holds.
const MOST: i64 = 1 << 62;

/// Which state a read sees.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    /// The current one, without what is due at this time.
    Now(Timestamp),
    /// That of a snapshot which cuts here; nothing in it is due.
    Cut(i64),
}

impl Moment {
    /// The statement for this moment, and its parameter.
    fn choose<T>(self, now: T, at: T) -> (T, i64) {
        match self {
            Self::Now(time) => (now, time.as_millis()),
            Self::Cut(cut) => (at, cut),
        }
    }
}

/// What can be read by a connection, for what has a `read` of one statement, a `read_several` and a `usage_by`.
macro_rules! read_by {
    ($type:ty) => {
        impl Reader for $type {
            fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>> {
                self.read(|link, moment| read::get(link, moment, namespace, key))
            }

            fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>> {
                self.read_several(|link, moment| read::get_many(link, moment, pairs))
            }

            fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>> {
                self.read(|link, moment| read::entries(link, moment, namespace, range))
            }

            fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>> {
                self.read(|link, moment| read::keys(link, moment, namespace, range))
            }

            fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>> {
                self.read(|link, moment| read::namespaces(link, moment, range))
            }

            fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>> {
                self.read(|link, moment| read::namespace(link, moment, namespace))
            }

            fn usage(&self) -> Result<Usage> {
                self.read(|link, _| self.usage_by(link))
            }
        }
    };
}
pub(super) use read_by;

pub(super) fn get(
    link: &Link,
    moment: Moment,
    namespace: &Namespace<'_>,
    key: &Key<'_>,
) -> rusqlite::Result<Option<Entry>> {
    let (statement, moment) = moment.choose(sql::GET_NOW, sql::GET_AT);
    let mut statement = link.prepare_cached(statement)?;
    statement.query_row(params![namespace.as_str(), key.as_str(), moment], entry).optional()
}

/// Several reads, which are of one state where the caller has a transaction open.
pub(super) fn get_many(
    link: &Link,
    moment: Moment,
    pairs: &[(Namespace<'_>, Key<'_>)],
) -> rusqlite::Result<Vec<Option<Entry>>> {
    pairs.iter().map(|(namespace, key)| get(link, moment, namespace, key)).collect()
}

pub(super) fn entries(
    link: &Link,
    moment: Moment,
    namespace: &Namespace<'_>,
    range: &Range<'_>,
) -> rusqlite::Result<Vec<Entry>> {
    let (statements, moment) = moment.choose(sql::ENTRIES_NOW, sql::ENTRIES_AT);
    let Bounds { from, below, limit } = Bounds::of(range);
    page(link, statements, range.order, params![namespace.as_str(), from, below, moment, limit], entry)
}

pub(super) fn keys(
    link: &Link,
    moment: Moment,
    namespace: &Namespace<'_>,
    range: &Range<'_>,
) -> rusqlite::Result<Vec<String>> {
    let (statements, moment) = moment.choose(sql::KEYS_NOW, sql::KEYS_AT);
    let Bounds { from, below, limit } = Bounds::of(range);
    page(link, statements, range.order, params![namespace.as_str(), from, below, moment, limit], |row| row.get(0))
}

pub(super) fn namespaces(link: &Link, moment: Moment, range: &Range<'_>) -> rusqlite::Result<Vec<String>> {
    let (statements, moment) = moment.choose(sql::SPACES_NOW, sql::SPACES_AT);
    let Bounds { from, below, limit } = Bounds::of(range);
    page(link, statements, range.order, params![from, below, moment, limit], |row| row.get(0))
}

fn page<T>(
    link: &Link,
    [ascending, descending]: [&str; 2],
    order: Order,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = link.prepare_cached(match order {
        Order::Ascending => ascending,
        Order::Descending => descending,
    })?;
    statement.query_map(parameters, read)?.collect()
}

pub(super) fn namespace(
    link: &Link,
    moment: Moment,
    namespace: &Namespace<'_>,
) -> rusqlite::Result<Option<NamespaceInfo>> {
    let (statement, moment) = moment.choose(sql::SPACE_NOW, sql::SPACE_AT);
    let mut statement = link.prepare_cached(statement)?;
    let found = statement.query_row(params![namespace.as_str(), moment], |row| {
        Ok(NamespaceInfo { usage: usage_in(row, 0)?, revision: row.get::<_, i64>(2)?.cast_unsigned() })
    });
    Ok(found.optional()?.filter(|info| info.usage.entries > 0))
}

/// How much is live now. A snapshot knows its own usage.
pub(super) fn usage(link: &Link, now: Timestamp) -> rusqlite::Result<Usage> {
    link.prepare_cached(sql::USAGE)?.query_row([now.as_millis()], |row| usage_in(row, 0))
}

pub(super) fn usage_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Usage> {
    Ok(Usage { entries: count(row, column)?.cast_unsigned(), size_bytes: count(row, column + 1)?.cast_unsigned() })
}

/// A number of things. One that no store can reach is damage, and nothing is added to it.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    let count = row.get(column)?;
    match count {
        0..=MOST => Ok(count),
        _ => Err(rusqlite::Error::IntegralValueOutOfRange(column, count)),
    }
}

/// The entry in the columns of `version!`.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind = to_kind(row.get(1)?)?;
    let stamp = Stamp {
        revision: row.get::<_, i64>(2)?.cast_unsigned(),
        created_at: Timestamp::from_millis(row.get(3)?),
        updated_at: Timestamp::from_millis(row.get(4)?),
        expires_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
    };
    let key = Key::new(text(row, 0)?).map_err(|error| misread(0, Type::Text, error))?;
    Ok(Entry::new(&key, &Value::borrowed(kind, value(row)?), stamp))
}

/// The bytes of a value, from its row or from the table of large ones.
pub(super) fn value<'r>(row: &'r Row<'_>) -> rusqlite::Result<&'r [u8]> {
    for column in [6, 7] {
        if let ValueRef::Blob(bytes) = row.get_ref(column)? {
            return Ok(bytes);
        }
    }
    Err(rusqlite::Error::InvalidColumnType(6, "value".to_owned(), Type::Null))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r str> {
    row.get_ref(column)?.as_str().map_err(|error| misread(column, Type::Text, error))
}

fn misread(column: usize, found: Type, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, found, Box::new(error))
}

/// How a kind is kept.
pub(super) const fn from_kind(kind: Kind) -> i64 {
    match kind {
        Kind::Integer => 0,
        Kind::String => 1,
        Kind::Bytes => 2,
        Kind::Json => 3,
    }
}

pub(super) fn to_kind(kept: i64) -> rusqlite::Result<Kind> {
    match kept {
        0 => Ok(Kind::Integer),
        1 => Ok(Kind::String),
        2 => Ok(Kind::Bytes),
        3 => Ok(Kind::Json),
        other => Err(misread(1, Type::Integer, FromSqlError::OutOfRange(other))),
    }
}

/// A range of names as the bounds of a statement.
struct Bounds {
    from: String,
    below: Below,
    limit: i64,
}

impl Bounds {
    fn of(range: &Range<'_>) -> Self {
        let prefix = range.prefix.as_str();
        let (mut from, mut below) = (prefix.to_owned(), Below::prefix(prefix));
        match (&range.after, range.order) {
            (Some(after), Order::Ascending) if after.as_str() >= prefix => from = format!("{}\0", after.as_str()),
            (Some(after), Order::Descending) if below.is_above(after.as_str()) => {
                below = Below::Name(after.as_str().to_owned());
            }
            _ => {}
        }
        Self { from, below, limit: i64::try_from(range.limit).unwrap_or(i64::MAX) }
    }
}

/// The smallest name that is too great, if there is one.
#[derive(Debug, PartialEq)]
enum Below {
    Name(String),
    /// Every name is below it.
    End,
}

impl Below {
    /// Behind all names that begin with `prefix`: its last character is raised, for a raised byte need not be UTF-8.
    fn prefix(prefix: &str) -> Self {
        let mut raised = prefix.to_owned();
        while let Some(last) = raised.pop() {
            let next = match last {
                '\u{d7ff}' => Some('\u{e000}'),
                _ => char::from_u32(u32::from(last) + 1),
            };
            if let Some(next) = next {
                raised.push(next);
                return Self::Name(raised);
            }
        }
        Self::End
    }

    fn is_above(&self, name: &str) -> bool {
        match self {
            Self::Name(below) => name < below.as_str(),
            Self::End => true,
        }
    }
}

impl ToSql for Below {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Name(name) => ValueRef::Text(name.as_bytes()),
            // SQLite sorts every blob behind every text.
            Self::End => ValueRef::Blob(&[]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_least_name_behind_all_that_begin_with_it() {
        let below = |prefix| match Below::prefix(prefix) {
            Below::Name(name) => name,
            Below::End => "the end".to_owned(),
        };

        assert_eq!(
            ["a", "a\0", "é", "\u{d7ff}", "a\u{10ffff}", "\u{10ffff}", ""].map(below),
            ["b", "a\u{1}", "ê", "\u{e000}", "b", "the end", "the end"]
        );
    }
}
