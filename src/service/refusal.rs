//! Why the service does not carry out a request.
//!
//! What a store answers is one of the reasons; the others are known before a store is asked. No reason holds a secret or a
//! value. How a reason looks over HTTP is for `problem`.

use crate::error::Error;

/// What the operations of the service return.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

/// Why a request is refused. Nothing was written, unless the store's own error says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub reason: Reason,
    /// The place of the offending operation in a batch, from 0.
    pub operation: Option<usize>,
    /// The namespace that was named or resolved, once it is known.
    pub namespace: Option<String>,
}

/// The kinds of refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nobody is known by the credentials, or there are none.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller is known, and may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing has this path.
    #[error("no such route; the keys of a namespace are under /api/kv")]
    NoRoute,
    /// The path has other methods.
    #[error("this path does not take the method; it takes {0}")]
    Method(&'static str),
    /// The Host header names another server.
    #[error("the Host header names another server; start the service with --public-url for the name that clients use")]
    Misdirected,
    /// The body is in no format that is read.
    #[error("the body must be application/json")]
    MediaType,
    /// The body took too long to arrive.
    #[error("{0}")]
    Late(&'static str),
    /// Others take all the room that there is.
    #[error("{0}")]
    Busy(&'static str),
    /// The caller asks more often than the server lets anyone.
    #[error("too many requests; the server takes only so many a second from each caller")]
    Often,
    /// What the store, or a check before it, answered.
    #[error(transparent)]
    Store(#[from] Error),
}

impl<T: Into<Reason>> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Self { reason: reason.into(), operation: None, namespace: None }
    }
}

impl Refusal {
    /// A caller who may not do `what`.
    pub fn forbidden(what: impl Into<String>) -> Self {
        Reason::Forbidden(what.into()).into()
    }

    /// A request that is wrong and will be wrong again.
    pub fn invalid(what: impl Into<String>) -> Self {
        Error::invalid(what).into()
    }

    /// The same refusal, told of the operation at `place` in a batch.
    pub fn at(mut self, place: usize) -> Self {
        self.operation = Some(place);
        self
    }

    /// The same refusal, told of a namespace.
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }
}
