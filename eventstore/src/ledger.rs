//! The ledger itself: what can be asked of it and written into it.

use std::{collections::HashSet, sync::Arc};

use mallbots_domain::{
    aggregate::Aggregate,
    id::{AnyId, DeadLetterId, PARTITIONS},
};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    append::{Append, Appended},
    clock::Clock,
    connect::Database,
    dead_letters::{DeadLetter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    error::{AppendError, CommandError, StoreError},
    message::{Metadata, Position, Recorded, Version},
    tail::Tail,
    timers::DueTimer,
    upcast::Upcasters,
};

/// The one history of the mall. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
}

/// How the ledger keeps house.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Every how many events of a stream its state is kept beside it.
    pub snapshot_every: i64,
    /// How many recent aggregates are kept in memory.
    pub cache_capacity: u64,
    /// How many recent messages are kept in memory for those who read the tail.
    pub tail_capacity: usize,
    /// How to read old shapes of events.
    pub upcasters: Upcasters,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            snapshot_every: 100,
            cache_capacity: 10_000,
            tail_capacity: 8_192,
            upcasters: Upcasters::default(),
        }
    }
}

/// An aggregate as it stands.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Its state; the default when it has no history.
    pub state: A,
    /// How many events made it.
    pub version: Version,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The version the aggregate has now.
    pub version: Version,
    /// Where the last event stands; the head, when nothing happened.
    pub position: Position,
    /// How many events happened.
    pub events: usize,
}

/// What was answered to a client's request before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What was asked, as a digest.
    pub fingerprint: String,
    /// What was answered, as JSON.
    pub result: String,
    /// The position of the first message it made.
    pub first: Position,
    /// The position of the last message it made.
    pub last: Position,
}

/// How far a consumer has come in each partition.
pub type Checkpoints = [Position; PARTITIONS as usize];

impl Ledger {
    /// Opens the ledger and starts its tasks on `tracker`. When `shutdown` is
    /// canceled they finish what is queued, then every call is refused as
    /// [`StoreError::Closed`].
    pub async fn open(
        database: Database,
        clock: Clock,
        tracker: &TaskTracker,
        shutdown: CancellationToken,
        options: LedgerOptions,
    ) -> Result<Self, StoreError> {
        let _ = (clock, tracker, shutdown, options);
        Ok(Self { inner: Arc::new(Inner { database }) })
    }

    /// Where it is kept.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// The clock that dates its messages.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        unimplemented!()
    }

    /// How to read old shapes of events.
    #[must_use]
    pub fn upcasters(&self) -> &Upcasters {
        unimplemented!()
    }

    /// Writes one decision, whole or not at all.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let _ = append;
        unimplemented!()
    }

    /// An aggregate as it stands.
    pub async fn load<A: Aggregate>(&self, id: A::Id) -> Result<Loaded<A>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// Lets an aggregate decide on a command and records what it decided. A
    /// lost race is decided again, a few times.
    pub async fn execute<A: Aggregate>(
        &self,
        id: A::Id,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<Executed, CommandError> {
        let _ = (id, command, metadata);
        unimplemented!()
    }

    /// Folds an aggregate from its events alone, up to and with a moment.
    pub async fn replay<A: Aggregate>(
        &self,
        id: A::Id,
        as_of: Option<i64>,
    ) -> Result<Loaded<A>, StoreError> {
        let _ = (id, as_of);
        unimplemented!()
    }

    /// Messages of all kinds, in position order.
    pub async fn read(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = (after, limit);
        unimplemented!()
    }

    /// A stream's events, in version order.
    pub async fn read_stream(
        &self,
        stream: AnyId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = (stream, after, limit);
        unimplemented!()
    }

    /// A stream's events up to and with a moment, in version order.
    pub async fn read_stream_before(
        &self,
        stream: AnyId,
        as_of: i64,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = (stream, as_of);
        unimplemented!()
    }

    /// Everything said by or to one thing: events, commands and replies, in
    /// position order.
    pub async fn read_about(
        &self,
        stream: AnyId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = (stream, after, limit);
        unimplemented!()
    }

    /// One message, by its id.
    pub async fn message(&self, message_id: Uuid) -> Result<Option<Arc<Recorded>>, StoreError> {
        let _ = message_id;
        unimplemented!()
    }

    /// What followed directly from a message, in position order.
    pub async fn caused_by(&self, message_id: Uuid) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = message_id;
        unimplemented!()
    }

    /// The position of the last message this process knows of.
    #[must_use]
    pub fn head(&self) -> Position {
        unimplemented!()
    }

    /// Tells whenever the head moves.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        unimplemented!()
    }

    /// Reads on from a position as messages come.
    #[must_use]
    pub fn tail(&self, after: Position) -> Tail {
        Tail::new(self.clone(), after)
    }

    /// What was answered to a caller's request before.
    pub async fn recall(&self, caller: &str, key: &str) -> Result<Option<Remembered>, StoreError> {
        let _ = (caller, key);
        unimplemented!()
    }

    /// Timers that are due, the longest due first.
    pub async fn due_timers(&self, now: i64, limit: u32) -> Result<Vec<DueTimer>, StoreError> {
        let _ = (now, limit);
        unimplemented!()
    }

    /// When the next timer is due.
    pub async fn next_timer(&self) -> Result<Option<i64>, StoreError> {
        unimplemented!()
    }

    /// Told when this process has set a timer. Other processes' timers are
    /// seen by looking now and then.
    #[must_use]
    pub fn timer_set(&self) -> &Notify {
        unimplemented!()
    }

    /// How far a consumer has come; zero where it has not begun.
    pub async fn checkpoints(&self, consumer: &str) -> Result<Checkpoints, StoreError> {
        let _ = consumer;
        unimplemented!()
    }

    /// Moves a consumer's checkpoints forward, never back, and forgets the
    /// inbox entries that all of its checkpoints have passed.
    pub async fn save_checkpoints(
        &self,
        consumer: &str,
        checkpoints: &[(u8, Position)],
    ) -> Result<(), StoreError> {
        let _ = (consumer, checkpoints);
        unimplemented!()
    }

    /// Sets a message aside. The same message of the same consumer is set
    /// aside once, however often this is said.
    pub async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let _ = letter;
        unimplemented!()
    }

    /// Messages that are set aside, in ledger order.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: DeadLetterPage,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let _ = (filter, page);
        unimplemented!()
    }

    /// One message that is set aside.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// Changes a dead letter. False if it is not there any more.
    pub async fn update_dead_letter(
        &self,
        id: DeadLetterId,
        change: &DeadLetterChange,
    ) -> Result<bool, StoreError> {
        let _ = (id, change);
        unimplemented!()
    }

    /// The keys a consumer has set messages aside for: what else comes with
    /// such a key must wait behind them.
    pub async fn parked_keys(&self, consumer: &str) -> Result<HashSet<String>, StoreError> {
        let _ = consumer;
        unimplemented!()
    }

    /// A setting that lives with the data.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let _ = key;
        unimplemented!()
    }

    /// Sets it unless it is set, and says what it is then.
    pub async fn set_setting_if_absent(
        &self,
        key: &str,
        value: &str,
    ) -> Result<String, StoreError> {
        let _ = (key, value);
        unimplemented!()
    }
}
