//! The shape every consistency boundary has: decide, evolve, nothing else.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use crate::id::{EntityId, Kind};

/// A consistency boundary: the state a decision is made from, rebuilt from its
/// own events.
pub trait Aggregate:
    Default + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Which stream category holds its history. Part of every stored stream
    /// id, so changing it orphans history.
    const KIND: Kind;
    /// The bounded context it belongs to; the first half of its message names
    /// (`ordering` in `ordering.OrderCreated`). Changing it orphans history.
    const CONTEXT: &'static str;
    /// Raise it whenever the state's shape changes: snapshots of another
    /// schema are ignored and rebuilt from events.
    const SNAPSHOT_SCHEMA: u32;

    /// What names one of them.
    type Id: EntityId;
    /// What a caller may ask for.
    type Command: Clone + Debug + Send + Sync;
    /// What has happened, past tense.
    type Event: Clone + Debug + Serialize + DeserializeOwned + Send + Sync;
    /// Why a command was refused.
    type Error: DomainError;

    /// Decides what a command means in the current state.
    ///
    /// An error is a refusal: nothing happens. A refusal whose kind is
    /// [`ErrorKind::AlreadyDone`] is shown to people and taken as success by
    /// sagas and policies, whose messages may arrive twice or late.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Applies a fact. Total: history is never argued with.
    #[must_use]
    fn evolve(self, event: Self::Event) -> Self;
}

/// A refusal that clients may branch on.
pub trait DomainError: std::error::Error + PartialEq + Clone + Send + Sync + 'static {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// The stable name of this refusal, `SCREAMING_SNAKE`. API: never renamed.
    fn reason(&self) -> &'static str;

    /// The state that stands in the way, in the words of the GraphQL enum
    /// (`CHECKED_OUT`), where there is one.
    fn state(&self) -> Option<&'static str> {
        None
    }

    /// The input field at fault, in camelCase, where there is one.
    fn field(&self) -> Option<&'static str> {
        None
    }

    /// What exactly is at fault, where a name is not enough: one record for
    /// each thing, as names in camelCase and values as the API writes them.
    fn details(&self) -> Vec<Vec<(&'static str, String)>> {
        Vec::new()
    }
}

/// What kind of refusal it is, by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// The input is wrong whatever the state: mend it.
    Invalid,
    /// Something else holds the place that was asked for (an id, a SKU).
    Conflict,
    /// The state forbids it: look again, then decide.
    WrongState,
    /// The state forbids it because what was asked has been done, or nothing
    /// is left to do. People are told; sagas and policies go on.
    AlreadyDone,
}

/// Rebuilds a state from its history.
pub fn replay<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> A {
    events.into_iter().fold(A::default(), A::evolve)
}
