//! Which part of a subscription an execution is for, and what its resolver
//! tells of the items it makes.
//!
//! Equal subscriptions share one execution of what changes, and each has one
//! of what there is when it comes ([`sharing`](super::sharing)). A resolver
//! that knows of parts says where one ends and the other begins; one that does
//! not is always asked for the whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mallbots_eventstore::trace::Span;
use uuid::Uuid;

use super::sharing::Log;

/// Which part of a subscription is wanted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Part(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Wanted,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
enum Wanted {
    /// What there is, and then what changes.
    #[default]
    Whole,
    /// Only what there is; behind a position, for one who was here before.
    Snapshot { behind: Option<i64> },
    /// Only what changes from now on.
    Changes(Arc<Log>),
}

/// What the resolver has told.
#[derive(Debug, Default)]
struct Told {
    mark: Option<Mark>,
    complete: Option<i64>,
    push: Span,
}

/// How an item is recognized when it comes from two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What it shows, where a newer item replaces an older one of the same
    /// thing; nothing in a feed that only grows.
    pub of: Option<Uuid>,
    /// The ledger position of its last change.
    pub position: i64,
    /// Everything up to here came before it.
    pub done: i64,
}

impl Part {
    /// Only what there is, or what of it lies behind a position.
    pub(super) fn snapshot(behind: Option<i64>) -> Self {
        Self::of(Wanted::Snapshot { behind })
    }

    /// Only what changes from now on.
    pub(super) fn changes(log: Arc<Log>) -> Self {
        Self::of(Wanted::Changes(log))
    }

    fn of(wanted: Wanted) -> Self {
        Self(Arc::new(Inner { wanted, told: Mutex::default() }))
    }

    /// Whether what there is is to be told.
    pub fn has_snapshot(&self) -> bool {
        !matches!(self.0.wanted, Wanted::Changes(_))
    }

    /// Whether what changes is to be told.
    pub fn has_changes(&self) -> bool {
        !matches!(self.0.wanted, Wanted::Snapshot { .. })
    }

    /// Behind which position to begin, whatever the arguments say.
    pub fn behind(&self) -> Option<i64> {
        match self.0.wanted {
            Wanted::Snapshot { behind } => behind,
            Wanted::Whole | Wanted::Changes(_) => None,
        }
    }

    /// From now on no change is missed. To be said before anything is read.
    pub fn listens(&self) {
        if let Wanted::Changes(log) = &self.0.wanted {
            log.open();
        }
    }

    /// The snapshot is whole: everything up to this position is in it.
    pub fn complete(&self, position: i64) {
        self.told().complete = Some(position);
    }

    /// What the item is that comes next.
    pub fn mark(&self, mark: Mark) {
        self.told().mark = Some(mark);
    }

    /// What the making of the item that comes next is part of.
    pub fn push(&self, span: Span) {
        self.told().push = span;
    }

    pub(super) fn take_push(&self) -> Span {
        std::mem::take(&mut self.told().push)
    }

    pub(super) fn take_mark(&self) -> Option<Mark> {
        self.told().mark.take()
    }

    pub(super) fn completed(&self) -> Option<i64> {
        self.told().complete
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // A panic elsewhere cannot leave these half changed.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
