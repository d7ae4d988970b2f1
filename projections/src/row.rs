//! What rows and projections have in common.

use mallbots_domain::id::{AnyId, EntityId};
use mallbots_eventstore::message::Recorded;
use sea_orm::{EntityTrait, FromQueryResult, ModelTrait};
use serde::Serialize;

/// A row that the events of one aggregate make.
pub trait Row: ModelTrait + FromQueryResult + Serialize + Sync {
    /// What names it.
    type Id: EntityId;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// How many of its events it knows.
    fn version(&self) -> i64;

    /// The ledger position of the last of them.
    fn position(&self) -> i64;

    /// Notes that it knows this event too.
    fn stamp(&mut self, of: &Occurred);
}

/// Where and when an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurred {
    /// To what.
    pub stream: AnyId,
    /// As which of its events, from 1.
    pub version: i64,
    /// Where in the ledger.
    pub position: i64,
    /// When it was recorded.
    pub at: i64,
}

impl Occurred {
    /// Where and when a recorded event happened.
    pub(crate) fn of(message: &Recorded) -> Self {
        Self {
            stream: message.stream,
            version: message.version.0,
            position: message.position.0,
            at: message.recorded_at,
        }
    }

    /// The id of what it happened to, whose kind the event's type has shown.
    pub(crate) fn id<I: EntityId>(&self) -> I {
        I::from_uuid(self.stream.uuid)
    }
}

/// How the events of one kind of aggregate make the rows of one table.
pub(crate) trait Projection: EntityTrait<Model: Row> {
    /// What happens to the aggregate.
    type Event;

    /// Takes an event into its row, or begins the row. Either changes the row
    /// or returns that the event does not fit, never both.
    ///
    /// Whether it is the row's next event has been seen to, and the row's
    /// version, position and time of change are noted afterwards.
    fn fold(row: &mut Option<Self::Model>, event: Self::Event, of: &Occurred)
    -> Result<(), Misfit>;

    /// What a row belongs to, for those who watch that.
    fn parents(row: &Self::Model) -> Vec<AnyId>;
}

/// An event that cannot be taken in: the table and history do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    /// Events before it are missing.
    #[error("it is event {version} of its stream, but the row knows only {known}")]
    Gap {
        /// Which event it is.
        version: i64,
        /// How many the row knows.
        known: i64,
    },
    /// It begins what has begun, or goes on with what has not.
    #[error("it does not fit what came before it")]
    OutOfPlace,
}

/// Writes down what every row answers alike.
macro_rules! row {
    ($id:ident) => {
        impl $crate::row::Row for Model {
            type Id = $id;

            fn id(&self) -> $id {
                *self.id
            }

            fn version(&self) -> i64 {
                self.version
            }

            fn position(&self) -> i64 {
                self.position
            }

            fn stamp(&mut self, of: &$crate::row::Occurred) {
                self.version = of.version;
                self.position = of.position;
                self.updated_at = of.at;
            }
        }
    };
}

pub(crate) use row;
