//! Refused, raced, broke: three things, never mixed.

use mallbots_domain::{
    aggregate::{DomainError, ErrorKind},
    id::AnyId,
};

use crate::message::Version;

/// The machinery broke: a connection, a disk, a row that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database did not do what it was asked.
    #[error("the database failed")]
    Database(#[source] std::sync::Arc<sea_orm::DbErr>),
    /// A stored message cannot be understood.
    #[error("a stored message cannot be decoded: {name} at {stream}")]
    Undecodable {
        /// Its type.
        name: String,
        /// Its stream.
        stream: String,
        /// What is wrong with it.
        #[source]
        source: std::sync::Arc<serde_json::Error>,
    },
    /// History is not what it was: a message between two others is gone.
    #[error("the history of {of} has a hole after {after}")]
    Hole {
        /// Which history: a stream, or the whole ledger.
        of: String,
        /// The last place before the hole.
        after: i64,
    },
    /// The ledger is not the one this process has seen: somebody has put an
    /// older copy in its place, or the database has failed over to one.
    #[error("the ledger went back: it stood at {known}, and at {found} it is another")]
    WentBack {
        /// Where this process has seen it stand.
        known: i64,
        /// Where it stands now, or where it differs.
        found: i64,
    },
    /// Another process writes to this ledger.
    #[error("{path} is in use by another process")]
    InUse {
        /// The lock file.
        path: String,
    },
    /// A file cannot be opened.
    #[error("{path} cannot be opened")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// The ledger's task has stopped: the process is going down.
    #[error("the ledger is closed")]
    Closed,
}

impl From<sea_orm::DbErr> for StoreError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(std::sync::Arc::new(error))
    }
}

/// Why nothing was appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A stream is not at the version the decision was made at.
    #[error("{stream} is at version {actual}, not {expected}")]
    Conflict {
        /// Which stream.
        stream: AnyId,
        /// Where the decision thought it was.
        expected: Version,
        /// Where it is.
        actual: Version,
    },
    /// This consumer has handled this message before.
    #[error("the message was handled before")]
    Handled,
    /// A request with this idempotency key was answered before.
    #[error("the request was answered before")]
    Answered,
    /// Somebody else holds the name.
    #[error("{key} is taken")]
    Claimed {
        /// The kind of name.
        scope: &'static str,
        /// The name.
        key: String,
    },
    /// A row that was to be taken is gone.
    #[error("what was to be taken is gone")]
    Gone,
    /// The machinery broke; whether it was written is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppendError {
    /// Which of them it is, for traces.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Handled => "handled",
            Self::Answered => "answered",
            Self::Claimed { .. } => "claimed",
            Self::Gone => "gone",
            Self::Store(_) => "store",
        }
    }
}

/// A refusal with everything its reader needs and nothing of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Its stable name.
    pub reason: &'static str,
    /// What to tell a person.
    pub message: String,
    /// The state that stands in the way.
    pub state: Option<&'static str>,
    /// The input field at fault.
    pub field: Option<&'static str>,
    /// What exactly is at fault, record by record.
    pub details: Vec<Vec<(&'static str, String)>>,
}

impl<E: DomainError> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            reason: error.reason(),
            message: error.to_string(),
            state: error.state(),
            field: error.field(),
            details: error.details(),
        }
    }
}

/// Why a command came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// An aggregate said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Every attempt lost its race.
    #[error("too many others are changing the same thing")]
    Contended,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// This consumer has handled this message before.
    #[error("the message was handled before")]
    Handled,
    /// A row that was to be taken is gone.
    #[error("what was to be taken is gone")]
    Gone,
    /// The machinery broke.
    #[error(transparent)]
    Store(#[from] StoreError),
}
