//! One decision over one or several aggregates, written together.

use futures_util::future::BoxFuture;
use mallbots_domain::aggregate::Aggregate;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    append::{Claim, InboxEntry, NewMessage, Take, TimerChange},
    error::CommandError,
    ledger::Ledger,
    message::{Metadata, Position},
};

/// What is to be written together. Nothing is written before the work that
/// fills it is done; the work may run again when it loses a race, so it must
/// not do anything else.
#[derive(Debug)]
pub struct Unit<'a> {
    ledger: &'a Ledger,
}

/// What became of creating something under a chosen id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is new.
    New,
    /// The same was created under this id before; nothing is added.
    Before {
        /// Where the first event of its creation stands.
        first: Position,
        /// Where the last event of its creation stands.
        last: Position,
    },
}

/// What was written, and what the work said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the work returned.
    pub value: T,
    /// The position of the first message, if any was written.
    pub first: Option<Position>,
    /// The position of the last message, if any was written.
    pub last: Option<Position>,
    /// Whether this was answered before, and nothing was written now.
    pub replayed: bool,
}

/// A client's request, named by the client so that it can ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different callers do not meet.
    pub caller: String,
    /// The client's key.
    pub key: String,
    /// What is asked, as a digest: the same key for something else is refused.
    pub fingerprint: String,
}

impl<'a> Unit<'a> {
    /// The ledger it reads from and will be written to.
    #[must_use]
    pub const fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// An aggregate as it stands, with what this unit has decided so far.
    pub async fn load<A: Aggregate>(&mut self, id: A::Id) -> Result<A, CommandError> {
        let _ = id;
        unimplemented!()
    }

    /// Lets an aggregate decide; what it decides is part of the unit, as is
    /// that it has not changed meanwhile. Returns those events (REQUESTS.md 1).
    pub async fn decide<A: Aggregate>(
        &mut self,
        id: A::Id,
        command: A::Command,
    ) -> Result<Vec<A::Event>, CommandError> {
        let _ = (id, command);
        unimplemented!()
    }

    /// Creates something under an id that the client may have chosen. If it is
    /// there already and began with just these events, it was created before;
    /// if it began otherwise, it refuses.
    pub async fn create<A: Aggregate>(
        &mut self,
        id: A::Id,
        command: A::Command,
    ) -> Result<Creation, CommandError> {
        let _ = (id, command);
        unimplemented!()
    }

    /// Says a command or a reply.
    pub fn send(&mut self, message: NewMessage) {
        let _ = message;
        unimplemented!()
    }

    /// Sets or clears a timer.
    pub fn timer(&mut self, change: TimerChange) {
        let _ = change;
        unimplemented!()
    }

    /// Takes hold of a name.
    pub fn claim(&mut self, claim: Claim) {
        let _ = claim;
        unimplemented!()
    }

    /// Gives a name up.
    pub fn release(&mut self, claim: Claim) {
        let _ = claim;
        unimplemented!()
    }

    /// Takes a row that must still be there.
    pub fn take(&mut self, take: Take) {
        let _ = take;
        unimplemented!()
    }

    /// Notes that a message has been handled.
    pub fn inbox(&mut self, entry: InboxEntry) {
        let _ = entry;
        unimplemented!()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
}

impl Ledger {
    /// Runs the work and writes what it gathered, whole or not at all. When
    /// another was faster, the work runs again on what is there then, a few
    /// times. Work that gathers nothing writes nothing.
    pub async fn transact<'a, T, F>(
        &'a self,
        metadata: &Metadata,
        work: F,
    ) -> Result<Committed<T>, CommandError>
    where
        T: Send,
        F: for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<T, CommandError>> + Send,
    {
        let _ = (metadata, work);
        unimplemented!()
    }

    /// As [`transact`](Self::transact), but a request with a key that was
    /// answered before gets that answer again, and nothing is written.
    pub async fn transact_once<'a, T, F>(
        &'a self,
        metadata: &Metadata,
        key: Option<&IdempotencyKey>,
        work: F,
    ) -> Result<Committed<T>, CommandError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<T, CommandError>> + Send,
    {
        let _ = (metadata, key, work);
        unimplemented!()
    }
}
