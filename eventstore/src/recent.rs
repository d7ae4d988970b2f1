//! What this process remembers: the last messages, and aggregates lately seen.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mallbots_domain::{aggregate::Aggregate, id::AnyId};
use moka::sync::Cache;
use tokio::sync::{Notify, watch};

use crate::message::{Position, Recorded, Version};

/// What the tasks of a ledger share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the ledger ends, as far as this process knows.
    head: watch::Sender<Position>,
    pub(crate) messages: LastMessages,
    pub(crate) aggregates: LastAggregates,
    pub(crate) timer_set: Notify,
}

impl Shared {
    pub(crate) fn new(head: Position, tail_capacity: usize, cache_capacity: u64) -> Self {
        Self {
            head: watch::Sender::new(head),
            messages: LastMessages::new(tail_capacity),
            aggregates: LastAggregates::new(cache_capacity),
            timer_set: Notify::new(),
        }
    }

    pub(crate) fn head(&self) -> Position {
        *self.head.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Moves the head on, never back.
    pub(crate) fn advance(&self, to: Position) {
        self.head.send_if_modified(|head| {
            let moves = to > *head;
            *head = to.max(*head);
            moves
        });
    }
}

/// The last messages, without a gap, for those who read the tail.
#[derive(Debug)]
pub(crate) struct LastMessages {
    capacity: usize,
    messages: Mutex<VecDeque<Arc<Recorded>>>,
}

impl LastMessages {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), messages: Mutex::default() }
    }

    /// Adds messages that stand right behind the last it has. Others would
    /// leave a gap and are not taken.
    pub(crate) fn push(&self, new: &[Arc<Recorded>]) {
        self.extend(new, false);
    }

    /// Adds messages, and forgets the others if they do not fit together.
    pub(crate) fn push_or_restart(&self, new: &[Arc<Recorded>]) {
        self.extend(new, true);
    }

    fn extend(&self, new: &[Arc<Recorded>], may_restart: bool) {
        let mut messages = self.lock();
        // Some of them may have come another way meanwhile.
        let last = messages.back().map(|last| last.position);
        let known = last.map_or(0, |last| new.partition_point(|message| message.position <= last));
        let new = new.get(known..).unwrap_or_default();
        let Some(first) = new.first() else { return };
        if last.is_some_and(|last| last.0 + 1 != first.position.0) {
            if !may_restart {
                return;
            }
            messages.clear();
        }
        messages.extend(new.iter().cloned());
        let surplus = messages.len().saturating_sub(self.capacity);
        messages.drain(..surplus);
    }

    /// The messages behind a position, if it has the first of them.
    pub(crate) fn after(&self, after: Position, limit: usize) -> Option<Vec<Arc<Recorded>>> {
        let messages = self.lock();
        let first = messages.front()?.position;
        let skip = usize::try_from(after.0 + 1 - first.0).ok()?;
        let end = messages.len().min(skip.saturating_add(limit));
        (skip < end).then(|| messages.range(skip..end).cloned().collect())
    }

    /// Whether a position is the last it has, or it has nothing: then what
    /// is read next belongs in here.
    pub(crate) fn ends_at_or_before(&self, position: Position) -> bool {
        self.lock().back().is_none_or(|last| last.position <= position)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Recorded>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An aggregate's state, whatever its type.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

/// Aggregates lately seen.
///
/// Where this process is the only writer, what is in here is how things
/// stand, not merely how they stood; so a state that was read before an
/// append must not come in after it.
pub(crate) struct LastAggregates {
    states: Cache<AnyId, Held>,
    /// The last position that touched a stream of the stripe. The lock is held
    /// while a state of the stripe comes or goes.
    stripes: Box<[Mutex<Position>]>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Held {
    version: Version,
    state: AnyState,
}

const STRIPES: usize = 1_024;

impl LastAggregates {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            states: Cache::new(capacity),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The state of a stream, if it is here.
    pub(crate) fn get<A: Aggregate>(&self, stream: AnyId) -> Option<(Arc<A>, Version)> {
        let held = self.states.get(&stream)?;
        Some((held.state.downcast::<A>().ok()?, held.version))
    }

    /// Takes in a state that was read when the head stood at `read_at`.
    pub(crate) fn was_read(
        &self,
        stream: AnyId,
        version: Version,
        state: AnyState,
        read_at: Position,
    ) {
        let touched = self.stripe(stream);
        if *touched <= read_at && self.states.get(&stream).is_none_or(|held| held.version < version)
        {
            self.states.insert(stream, Held { version, state });
        }
    }

    /// Forgets the state of a stream.
    pub(crate) fn forget(&self, stream: AnyId) {
        let _held = self.stripe(stream);
        self.states.invalidate(&stream);
    }

    /// Takes in, or forgets, the state of a stream that was written to.
    pub(crate) fn was_written(
        &self,
        stream: AnyId,
        position: Position,
        now: Option<(Version, AnyState)>,
    ) {
        let mut touched = self.stripe(stream);
        *touched = position;
        match now {
            Some((version, state)) => self.states.insert(stream, Held { version, state }),
            None => self.states.invalidate(&stream),
        }
    }

    fn stripe(&self, stream: AnyId) -> MutexGuard<'_, Position> {
        let index = usize::try_from(self.hasher.hash_one(stream) % STRIPES as u64).unwrap_or(0);
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LastAggregates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastAggregates")
            .field("states", &self.states.entry_count())
            .finish_non_exhaustive()
    }
}
