//! What changed, told to whoever listens, after it was committed.
//!
//! An announcement says which rows changed and up to where, never what is in
//! them: whoever is told reads again. So an announcement that is missed costs
//! a read, not the truth.

use std::sync::Arc;

use mallbots_domain::id::{AnyId, Kind};
use mallbots_eventstore::message::Position;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// A row that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which row; its kind says in which read model.
    pub id: AnyId,
    /// The ledger position of the event that changed it last.
    pub position: Position,
    /// What it belongs to: the order of a saga, the store of a product, the
    /// customer of an order. A change of an order's timeline is announced as
    /// a change of whatever the new item is about, with the order here.
    pub also: Vec<AnyId>,
}

impl Change {
    /// Which read model it is a row of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.id.kind
    }

    /// Whether it is a change of this thing, or of something that belongs to it.
    #[must_use]
    pub fn concerns(&self, id: AnyId) -> bool {
        self.id == id || self.also.contains(&id)
    }
}

/// All that one commit changed, each row once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Up to where everything is in the tables now.
    pub position: Position,
    /// The rows, in the order of their last change.
    pub rows: Vec<Change>,
    /// What of it belongs to traces that are recorded; not more than the last
    /// hundred or so.
    pub traces: Vec<Traced>,
}

/// An event that was taken in and belongs to a trace that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Where it stands in the ledger.
    pub position: Position,
    /// The trace context that it was recorded with.
    pub traceparent: String,
    /// What systems along the trace have to say to each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// That of the commit it was taken in with.
    pub by: String,
}

impl Changed {
    /// The event at a position, if its trace is recorded.
    #[must_use]
    pub fn traced(&self, position: i64) -> Option<&Traced> {
        self.traces.iter().find(|traced| traced.position.0 == position)
    }
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Rows changed.
    Changed(Arc<Changed>),
    /// More changed than this subscriber was told: it did not take everything
    /// in, or an announcement was lost. Read again whatever is watched.
    Missed,
}

/// A place in the feed of changes.
#[derive(Debug)]
pub struct Changes(Option<broadcast::Receiver<Heard>>);

impl Changes {
    pub(crate) const fn new(receiver: Option<broadcast::Receiver<Heard>>) -> Self {
        Self(receiver)
    }

    /// The next announcement; `None` when whoever would tell is gone. Nothing is
    /// lost if the wait is abandoned.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.as_mut()?.recv().await {
            Ok(heard) => Some(heard),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
