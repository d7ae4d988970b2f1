//! What this process remembers: the last messages, and aggregates lately seen.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher, RandomState},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use mallbots_domain::{aggregate::Aggregate, id::AnyId};
use tokio::sync::watch;
use tracing::error;
use uuid::Uuid;

use crate::{
    company::Company,
    error::StoreError,
    message::{Position, Recorded, Version},
    timers::Alarms,
};

/// What the tasks of a ledger share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the ledger ends, as far as this process knows.
    head: watch::Sender<Position>,
    /// That the ledger is not what it was, once that is seen.
    went_back: OnceLock<StoreError>,
    pub(crate) messages: LastMessages,
    pub(crate) aggregates: LastAggregates,
    pub(crate) alarms: Alarms,
    pub(crate) company: Company,
}

impl Shared {
    pub(crate) fn new(head: Position, tail_capacity: usize, cache_capacity: u64) -> Self {
        Self {
            head: watch::Sender::new(head),
            went_back: OnceLock::new(),
            messages: LastMessages::new(tail_capacity),
            aggregates: LastAggregates::new(cache_capacity),
            alarms: Alarms::default(),
            company: Company::default(),
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

    /// What to look for to see that the ledger is still the same. Taken before
    /// looking: it may move on meanwhile, never back.
    pub(crate) fn landmark(&self) -> Landmark {
        Landmark { head: self.head(), message: self.messages.last() }
    }

    /// Notes where the ledger stands and which message stands where the
    /// landmark is. False if it is not the ledger it was.
    pub(crate) fn seen(&self, landmark: Landmark, head: Position, there: Option<Uuid>) -> bool {
        let found = match landmark.message {
            _ if head < landmark.head => head,
            Some((position, id)) if there != Some(id) => position,
            Some(_) | None => {
                self.advance(head);
                return !self.is_lost();
            }
        };
        let (known, found) = (landmark.head.0, found.0);
        if self.went_back.set(StoreError::WentBack { known, found }).is_ok() {
            error!(known, found, "the ledger went back: nothing more is written to it");
            // Whoever waits for it to move on should know.
            self.head.send_modify(|_| {});
        }
        false
    }

    /// That the ledger is not what it was, once that is seen.
    pub(crate) fn went_back(&self) -> Option<StoreError> {
        self.went_back.get().cloned()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.went_back.get().is_some()
    }
}

/// What the end of the ledger looked like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landmark {
    pub(crate) head: Position,
    /// The last message that this process remembers, if any.
    pub(crate) message: Option<(Position, Uuid)>,
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

    /// The last message it has.
    pub(crate) fn last(&self) -> Option<(Position, Uuid)> {
        self.lock().back().map(|last| (last.position, last.message_id))
    }

    /// How far it can be seen that nothing of some partitions follows a position.
    pub(crate) fn quiet_until(&self, partitions: &RangeInclusive<u8>, after: Position) -> Position {
        let messages = self.lock();
        let Some(first) = messages.front() else { return after };
        let Ok(skip) = usize::try_from(after.0 + 1 - first.position.0) else { return after };
        let quiet = messages.iter().skip(skip);
        let quiet = quiet.take_while(|message| !partitions.contains(&message.partition()));
        quiet.last().map_or(after, |last| last.position)
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
/// append must not come in after it. Each stripe knows the last append to any
/// of its streams, under the lock that guards its states.
pub(crate) struct LastAggregates {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: RandomState,
}

/// Some of the streams, by their hash.
#[derive(Default)]
struct Stripe {
    capacity: usize,
    /// The last position at which one of its streams was written to.
    written_at: Position,
    held: HashMap<AnyId, Held>,
    /// All that is held, in the order in which it may go.
    queue: VecDeque<AnyId>,
}

struct Held {
    /// How far the stream has come at least.
    version: Version,
    /// Its state at that version, if it is known.
    state: Option<AnyState>,
    /// Whether it was asked for since it was last up to go.
    is_wanted: bool,
}

/// A power of two, and small beside the number of aggregates.
const STRIPES: usize = 64;

impl LastAggregates {
    pub(crate) fn new(capacity: u64) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX).div_ceil(STRIPES);
        let stripe = || Mutex::new(Stripe { capacity, ..Stripe::default() });
        Self { stripes: (0..STRIPES).map(|_| stripe()).collect(), hasher: RandomState::new() }
    }

    /// The state of a stream, if it is here.
    pub(crate) fn get<A: Aggregate>(&self, stream: AnyId) -> Option<(Arc<A>, Version)> {
        let mut stripe = self.stripe(stream);
        let held = stripe.held.get_mut(&stream)?;
        held.is_wanted = true;
        let (state, version) = (held.state.clone()?, held.version);
        drop(stripe);
        Some((state.downcast::<A>().ok()?, version))
    }

    /// How far a stream has come at least, if that is known here.
    pub(crate) fn version(&self, stream: AnyId) -> Option<Version> {
        self.stripe(stream).held.get(&stream).map(|held| held.version)
    }

    /// Takes in a state that was read when the head stood at `read_at`.
    pub(crate) fn was_read(
        &self,
        stream: AnyId,
        version: Version,
        state: AnyState,
        read_at: Position,
    ) {
        let mut stripe = self.stripe(stream);
        if stripe.written_at <= read_at {
            stripe.hold(stream, version, Some(state));
        }
    }

    /// Takes in the version, and the state if it is known, of a stream that
    /// was written to.
    pub(crate) fn was_written(
        &self,
        stream: AnyId,
        position: Position,
        version: Version,
        state: Option<AnyState>,
    ) {
        let mut stripe = self.stripe(stream);
        stripe.written_at = stripe.written_at.max(position);
        stripe.hold(stream, version, state);
    }

    /// Forgets the state of a stream that may have been written to, and does
    /// not take in any that was read before the head stood at `position`.
    pub(crate) fn may_have_been_written(&self, stream: AnyId, position: Position) {
        let mut stripe = self.stripe(stream);
        stripe.written_at = stripe.written_at.max(position);
        stripe.forget(stream);
    }

    /// Forgets the state of a stream.
    pub(crate) fn forget(&self, stream: AnyId) {
        self.stripe(stream).forget(stream);
    }

    fn stripe(&self, stream: AnyId) -> MutexGuard<'_, Stripe> {
        let hash = self.hasher.hash_one(stream);
        let number = usize::try_from(hash % STRIPES as u64).unwrap_or(0);
        self.stripes[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stripe {
    /// Keeps what is newest of a stream.
    fn hold(&mut self, stream: AnyId, version: Version, state: Option<AnyState>) {
        if let Some(held) = self.held.get_mut(&stream) {
            if held.version < version || (held.version == version && state.is_some()) {
                held.version = version;
                held.state = state;
            }
            return;
        }
        if self.capacity == 0 {
            return;
        }
        while self.held.len() >= self.capacity {
            self.let_one_go();
        }
        self.held.insert(stream, Held { version, state, is_wanted: false });
        self.queue.push_back(stream);
    }

    /// The one that has been here longest goes, unless it was wanted meanwhile.
    fn let_one_go(&mut self) {
        while let Some(stream) = self.queue.pop_front() {
            match self.held.get_mut(&stream) {
                Some(held) if held.is_wanted => {
                    held.is_wanted = false;
                    self.queue.push_back(stream);
                }
                Some(_) | None => {
                    self.held.remove(&stream);
                    return;
                }
            }
        }
    }

    fn forget(&mut self, stream: AnyId) {
        if let Some(held) = self.held.get_mut(&stream) {
            held.state = None;
        }
    }
}

impl fmt::Debug for LastAggregates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastAggregates").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mallbots_domain::{
        baskets::Basket,
        id::{BasketId, EntityId},
    };
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> AnyId {
        BasketId::from_uuid(Uuid::from_u128(number)).any()
    }

    fn state() -> AnyState {
        Arc::new(Basket::default())
    }

    #[test]
    fn what_was_read_before_a_write_does_not_come_in_after_it() {
        let last = LastAggregates::new(1_000);
        last.was_written(id(1), Position(5), Version(2), None);
        last.was_read(id(1), Version(1), state(), Position(4));
        assert!(last.get::<Basket>(id(1)).is_none());
        last.was_read(id(1), Version(2), state(), Position(5));
        assert_eq!(last.get::<Basket>(id(1)).map(|(_, version)| version), Some(Version(2)));
    }

    #[test]
    fn an_older_state_does_not_replace_a_newer() {
        let last = LastAggregates::new(1_000);
        last.was_written(id(1), Position(5), Version(2), Some(state()));
        last.was_read(id(1), Version(1), state(), Position(5));
        assert_eq!(last.version(id(1)), Some(Version(2)));
        last.was_written(id(1), Position(6), Version(3), None);
        assert!(last.get::<Basket>(id(1)).is_none());
        assert_eq!(last.version(id(1)), Some(Version(3)));
    }

    #[test]
    fn what_may_have_been_written_is_forgotten() {
        let last = LastAggregates::new(1_000);
        last.was_written(id(1), Position(5), Version(2), Some(state()));
        last.may_have_been_written(id(1), Position(9));
        assert!(last.get::<Basket>(id(1)).is_none());
        last.was_read(id(1), Version(2), state(), Position(8));
        assert!(last.get::<Basket>(id(1)).is_none());
        last.was_read(id(1), Version(3), state(), Position(9));
        assert!(last.get::<Basket>(id(1)).is_some());
    }

    #[test]
    fn it_holds_no_more_than_it_may_and_keeps_what_is_wanted() {
        let last = LastAggregates::new(10 * STRIPES as u64);
        last.was_written(id(0), Position(1), Version(1), Some(state()));
        for number in 1..10_000 {
            last.was_written(id(number), Position(1), Version(1), Some(state()));
            assert!(last.get::<Basket>(id(0)).is_some());
        }
        let held: usize = last.stripes.iter().map(|stripe| stripe.lock().unwrap().held.len()).sum();
        assert_eq!(held, 10 * STRIPES);
        let nothing = LastAggregates::new(0);
        nothing.was_written(id(0), Position(1), Version(1), Some(state()));
        assert!(nothing.get::<Basket>(id(0)).is_none());
    }
}
