//! All that a store can answer besides a value.
//!
//! A variant is named for what the caller can do next, its fields carry the facts. Every door (Python, HTTP, MCP) maps the
//! variants in one `match` without a catch-all arm, so a new one does not compile until each door has answered.

use crate::value::{Kind, Revision};

/// What a store operation returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not carried out.
///
/// Unless a variant says otherwise, nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing that was asked for by name does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for, such as `snapshot 7`.
        what: String,
    },
    /// A condition of the batch does not hold: read again, decide again, repeat.
    #[error(transparent)]
    Conflict(#[from] Box<Conflict>),
    /// The entry is of a kind that the operation does not work on.
    #[error("key {key:?} in namespace {namespace:?} holds {kind}, and only an integer can be incremented")]
    WrongType {
        /// Where the entry is.
        namespace: String,
        /// The entry's key.
        key: String,
        /// What the entry holds.
        kind: Kind,
    },
    /// The request itself is wrong and will be wrong again.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The request is above a limit that [`Capabilities`](crate::store::Capabilities) states.
    #[error("{what} takes {size}, more than the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: String,
        /// Its size.
        size: u64,
        /// The largest size that is accepted.
        limit: u64,
    },
    /// This engine cannot do it.
    #[error("{what}")]
    Unsupported {
        /// What cannot be done, and what to do instead.
        what: String,
    },
    /// Stored bytes are not what was written: call for help.
    #[error("{what}")]
    Corrupt {
        /// What was found where.
        what: String,
    },
    /// The engine did not answer. The write may have happened; a repeat under a revision condition cannot apply it twice.
    #[error("{what}")]
    Unavailable {
        /// Who did not answer, and how long it was waited for.
        what: String,
    },
}

/// What a failed condition expected, and what it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The namespace that the condition names.
    pub namespace: String,
    /// The key that it names; `None` when it speaks of the whole namespace.
    pub key: Option<String>,
    /// What was required.
    pub expected: Expected,
    /// The revision that was found; 0 when there is nothing live.
    pub actual: Revision,
    /// The place of the failed condition among the batch's conditions, or, where no condition failed, of the operation
    /// among its operations.
    pub position: usize,
}

/// What a condition requires of a key or of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is at exactly this revision.
    Revision(Revision),
    /// It does not exist.
    Absent,
    /// It exists, at whatever revision.
    Present,
}

impl std::error::Error for Conflict {}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "key {key:?} in namespace {:?} ", self.namespace)?,
            None => write!(f, "namespace {:?} ", self.namespace)?,
        }
        match self.actual {
            0 => f.write_str("does not exist, but was required ")?,
            revision => write!(f, "is at revision {revision}, but was required ")?,
        }
        match self.expected {
            Expected::Revision(revision) => write!(f, "to be at revision {revision}"),
            Expected::Absent => f.write_str("not to exist"),
            Expected::Present => f.write_str("to exist"),
        }
    }
}

impl Error {
    /// An [`Error::Invalid`] that says `what`.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// An [`Error::NotFound`] for `what`.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// An [`Error::Unsupported`] that says `what`.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    /// An [`Error::Corrupt`] that says `what`.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}
