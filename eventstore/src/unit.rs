//! One decision over one or several aggregates, written together.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mallbots_domain::{
    aggregate::{Aggregate, ErrorKind},
    id::{AnyId, EntityId},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    aggregates::{ATTEMPTS, evolved, known},
    answers::{IdempotencyKey, Remembered},
    append::{
        Append, Claim, IdempotencyEntry, InboxEntry, NewEvent, NewMessage, StreamWrite, Take,
        TimerChange,
    },
    appender::{Basis, NewState},
    codec,
    error::{AppendError, CommandError, Refusal, StoreError},
    ledger::Ledger,
    message::{Metadata, Position, Version},
    recent::AnyState,
    turns::Turn,
};

/// What is to be written together. Nothing is written before the work that
/// fills it is done; the work may run again when it loses a race, so it must
/// not do anything else.
#[derive(Debug)]
pub struct Unit<'a> {
    ledger: &'a Ledger,
    aggregates: Vec<Held>,
    /// How many aggregates have decided.
    decided: usize,
    messages: Vec<NewMessage>,
    inbox: Option<InboxEntry>,
    claims: Vec<Claim>,
    releases: Vec<Claim>,
    timers: Vec<TimerChange>,
    takes: Vec<Take>,
    /// Where what was created before begins and ends.
    before: Option<(Position, Position)>,
    /// Whether what is not known here may be taken to be new.
    is_hopeful: bool,
}

/// An aggregate in a unit.
#[derive(Debug)]
struct Held {
    stream: AnyId,
    /// The version it was loaded at.
    base: Version,
    state: AnyState,
    /// When it first decided, among the others; it may only have been looked at.
    turn: Option<usize>,
    events: Vec<NewEvent>,
    /// Keeps its state beside its stream, once it is written.
    keep: fn(&Ledger, AnyId, Version, Version, &AnyState),
}

impl Held {
    fn new<A: Aggregate>(stream: AnyId, state: Arc<A>, base: Version) -> Self {
        Self { stream, base, state, turn: None, events: Vec::new(), keep: keep::<A> }
    }

    fn version(&self) -> Version {
        Version(self.base.0 + i64::try_from(self.events.len()).unwrap_or(i64::MAX))
    }

    fn state<A: Aggregate>(&self) -> Result<Arc<A>, StoreError> {
        known(&self.state).ok_or_else(|| {
            let error = serde::de::Error::custom("two kinds of aggregate share a stream");
            codec::undecodable(A::CONTEXT, &self.stream.to_string(), error)
        })
    }
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
    /// The position of the first message: one that was written now, or, if
    /// nothing was, one that was written when the same was done before.
    pub first: Option<Position>,
    /// The position of the last message, likewise.
    pub last: Option<Position>,
    /// Whether the same was done before, and nothing was written now.
    pub replayed: bool,
}

impl<'a> Unit<'a> {
    const fn new(ledger: &'a Ledger, is_hopeful: bool) -> Self {
        Self {
            ledger,
            is_hopeful,
            aggregates: Vec::new(),
            decided: 0,
            messages: Vec::new(),
            inbox: None,
            claims: Vec::new(),
            releases: Vec::new(),
            timers: Vec::new(),
            takes: Vec::new(),
            before: None,
        }
    }

    /// The ledger it reads from and will be written to.
    #[must_use]
    pub const fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// An aggregate as it stands, with what this unit has decided so far.
    pub async fn load<A: Aggregate>(&mut self, id: A::Id) -> Result<A, CommandError> {
        let held = self.hold::<A>(id.any()).await?;
        Ok((*held.state::<A>()?).clone())
    }

    /// How many events an aggregate has, with what this unit has decided so far.
    pub async fn version<A: Aggregate>(&mut self, id: A::Id) -> Result<Version, CommandError> {
        Ok(self.hold::<A>(id.any()).await?.version())
    }

    /// Lets an aggregate decide; what it decides is part of the unit, as is
    /// that it has not changed meanwhile. Returns the events.
    pub async fn decide<A: Aggregate>(
        &mut self,
        id: A::Id,
        command: A::Command,
    ) -> Result<Vec<A::Event>, CommandError> {
        let ledger = self.ledger;
        let turn = self.decided;
        let held = self.hold::<A>(id.any()).await?;
        let state = held.state::<A>()?;
        let events = state.decide(command).map_err(Refusal::from)?;
        let (_, new_events, state) = evolved(state, events.clone(), ledger)?;
        held.events.extend(new_events);
        held.state = state;
        held.turn.get_or_insert(turn);
        self.decided += 1;
        Ok(events)
    }

    /// Creates something under an id that the client may have chosen. If it is
    /// there already and began with just these events, it was created before;
    /// if it began otherwise, it refuses.
    pub async fn create<A: Aggregate>(
        &mut self,
        id: A::Id,
        command: A::Command,
    ) -> Result<Creation, CommandError> {
        let ledger = self.ledger;
        let stream = id.any();
        if self.is_hopeful
            && self.held(stream).is_none()
            && ledger.begun::<A>(stream, &command).is_some()
        {
            self.aggregates.push(Held::new::<A>(stream, Arc::new(A::default()), Version(0)));
        }
        let base = self.hold::<A>(stream).await?.base;
        if base == Version(0) {
            self.decide::<A>(id, command).await?;
            return Ok(Creation::New);
        }

        let wanted = A::default().decide(command.clone()).map_err(Refusal::from)?;
        let limit = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let stored = ledger.read_stream(id.any(), Version(0), limit).await?;
        let mut is_same = !stored.is_empty() && stored.len() == wanted.len();
        for (stored, wanted) in stored.iter().zip(&wanted) {
            // Both as they would be written now: what is stored may be of an older shape.
            let stored = codec::decode::<A>(stored, ledger.upcasters())?;
            let stored = codec::encode::<A>(&stored, ledger.upcasters())?;
            let wanted = codec::encode::<A>(wanted, ledger.upcasters())?;
            is_same &= stored == wanted;
        }
        match (stored.first(), stored.last()) {
            (Some(first), Some(last)) if is_same => {
                let (first, last) = (first.position, last.position);
                let before = self.before.get_or_insert((first, last));
                *before = (before.0.min(first), before.1.max(last));
                Ok(Creation::Before { first, last })
            }
            _ => {
                // The aggregate says in its own words that it is there.
                let state = self.hold::<A>(id.any()).await?.state::<A>()?;
                state.decide(command).map_err(Refusal::from)?;
                Err(Refusal {
                    kind: ErrorKind::Conflict,
                    reason: "ALREADY_EXISTS",
                    message: "there is another with this id".to_owned(),
                    state: None,
                    field: Some("id"),
                    details: Vec::new(),
                }
                .into())
            }
        }
    }

    /// Says a command or a reply.
    pub fn send(&mut self, message: NewMessage) {
        self.messages.push(message);
    }

    /// Sets or clears a timer.
    pub fn timer(&mut self, change: TimerChange) {
        self.timers.push(change);
    }

    /// Takes hold of a name.
    pub fn claim(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// Gives a name up. Done before any name is taken hold of.
    pub fn release(&mut self, claim: Claim) {
        self.releases.push(claim);
    }

    /// Takes a row that must still be there.
    pub fn take(&mut self, take: Take) {
        self.takes.push(take);
    }

    /// Notes that a message has been handled.
    pub fn inbox(&mut self, entry: InboxEntry) {
        self.inbox = Some(entry);
    }

    /// Forgets what was decided, said, claimed and timed so far, so that only
    /// a refusal is left to tell. Which message is being handled stays.
    pub fn discard(&mut self) {
        self.aggregates.retain(|held| held.turn.is_none());
        self.messages.clear();
        self.claims.clear();
        self.releases.clear();
        self.timers.clear();
        self.before = None;
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.ledger.now()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.aggregates.iter().all(|held| held.events.is_empty())
            && self.messages.is_empty()
            && self.inbox.is_none()
            && self.claims.is_empty()
            && self.releases.is_empty()
            && self.timers.is_empty()
            && self.takes.is_empty()
    }

    async fn hold<A: Aggregate>(&mut self, stream: AnyId) -> Result<&mut Held, StoreError> {
        let number = if let Some(number) = self.held(stream) {
            number
        } else {
            let (state, base) = self.ledger.load_shared::<A>(stream).await?;
            self.aggregates.push(Held::new::<A>(stream, state, base));
            self.aggregates.len() - 1
        };
        Ok(&mut self.aggregates[number])
    }

    fn held(&self, stream: AnyId) -> Option<usize> {
        self.aggregates.iter().position(|held| held.stream == stream)
    }

    /// What it comes to: the append, and the aggregates that decided.
    fn close(self, metadata: &Metadata) -> (Append, Vec<Decided>) {
        let mut held: Vec<_> =
            self.aggregates.into_iter().filter(|held| held.turn.is_some()).collect();
        held.sort_by_key(|held| held.turn);
        let decided = held.iter().map(Decided::of).collect();
        let streams = held
            .into_iter()
            .map(|held| StreamWrite {
                stream: held.stream,
                expected: held.base,
                events: held.events,
            })
            .collect();
        let append = Append {
            metadata: metadata.clone(),
            streams,
            messages: self.messages,
            inbox: self.inbox,
            idempotency: None,
            claims: self.claims,
            releases: self.releases,
            timers: self.timers,
            takes: self.takes,
        };
        (append, decided)
    }
}

fn keep<A: Aggregate>(
    ledger: &Ledger,
    stream: AnyId,
    before: Version,
    now: Version,
    state: &AnyState,
) {
    if let Some(state) = known::<A>(state) {
        ledger.keep_snapshot_if_due(stream, before, now, state);
    }
}

/// An aggregate that decided in a unit.
struct Decided {
    stream: AnyId,
    before: Version,
    now: Version,
    state: AnyState,
    keep: fn(&Ledger, AnyId, Version, Version, &AnyState),
}

impl Decided {
    fn of(held: &Held) -> Self {
        Self {
            stream: held.stream,
            before: held.base,
            now: held.version(),
            state: held.state.clone(),
            keep: held.keep,
        }
    }

    fn new_state(&self) -> NewState {
        NewState { stream: self.stream, state: self.state.clone() }
    }
}

impl Ledger {
    /// Runs the work and writes what it gathered, whole or not at all. When
    /// another was faster, the work runs again on what is there then, a few
    /// times. Work that gathers nothing writes nothing.
    pub async fn transact<'a, T, F>(
        &'a self,
        metadata: &Metadata,
        mut work: F,
    ) -> Result<Committed<T>, CommandError>
    where
        T: Send,
        F: for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<T, CommandError>> + Send,
    {
        let mut race = Race::default();
        loop {
            let mut unit = Unit::new(self, race.attempts == 0);
            let value = work(&mut unit).await?;
            if unit.is_empty() {
                return Ok(Committed::of_nothing(value, unit.before));
            }
            match self.write(unit, metadata, None).await {
                Ok((first, last)) => return Ok(Committed::now(value, first, last)),
                Err(error) => race.lost(self, error).await?,
            }
        }
    }

    /// As [`transact`](Self::transact), but a request with a key that was
    /// answered before gets that answer again, and nothing is written. The
    /// answer is kept even if the work gathers nothing.
    pub async fn transact_once<'a, T, F>(
        &'a self,
        metadata: &Metadata,
        key: Option<&IdempotencyKey>,
        mut work: F,
    ) -> Result<Committed<T>, CommandError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<T, CommandError>> + Send,
    {
        let Some(key) = key else { return self.transact(metadata, work).await };
        if let Some(answer) = self.answer(key).await? {
            return Ok(answer);
        }
        let mut race = Race::default();
        loop {
            let mut unit = Unit::new(self, race.attempts == 0);
            let value = match work(&mut unit).await {
                Ok(value) => value,
                // The same request may have come twice at once, and this one
                // may have seen what the other made: then it is no refusal.
                Err(refused @ CommandError::Refused(_)) => {
                    return self.answer(key).await?.ok_or(refused);
                }
                Err(error) => return Err(error),
            };
            let result = serde_json::to_string(&value)
                .map_err(|error| codec::undecodable("result", &key.key, error))?;
            let entry = IdempotencyEntry {
                caller: key.caller.clone(),
                key: key.key.clone(),
                fingerprint: key.fingerprint.clone(),
                result,
            };
            let is_empty = unit.is_empty();
            let before = unit.before;
            match self.write(unit, metadata, Some(entry)).await {
                Ok(_) if is_empty => return Ok(Committed::of_nothing(value, before)),
                Ok((first, last)) => return Ok(Committed::now(value, first, last)),
                Err(AppendError::Answered) => {
                    if let Some(answer) = self.answer(key).await? {
                        return Ok(answer);
                    }
                    // Answered and forgotten in between: it may be done again.
                }
                Err(error @ AppendError::Claimed { .. }) => {
                    return match self.answer(key).await? {
                        Some(answer) => Ok(answer),
                        None => race.lost(self, error).await.and(Err(CommandError::Contended)),
                    };
                }
                Err(error) => race.lost(self, error).await?,
            }
        }
    }

    async fn write(
        &self,
        unit: Unit<'_>,
        metadata: &Metadata,
        idempotency: Option<IdempotencyEntry>,
    ) -> Result<(Position, Position), AppendError> {
        let (append, decided) = unit.close(metadata);
        let append = Append { idempotency, ..append };
        let states = decided.iter().map(Decided::new_state).collect();
        let appended = self.append_with(append, states, Basis::Loaded).await?;
        for decided in decided {
            (decided.keep)(self, decided.stream, decided.before, decided.now, &decided.state);
        }
        Ok((appended.first, appended.last))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<Committed<T>>, CommandError> {
        let Some(remembered) = self.recall(&key.caller, &key.key).await? else { return Ok(None) };
        let Remembered { fingerprint, result, first, last } = remembered;
        if fingerprint != key.fingerprint {
            return Err(CommandError::KeyReused);
        }
        let value = serde_json::from_str(&result)
            .map_err(|error| codec::undecodable("result", &key.key, error))?;
        Ok(Some(Committed { value, first: Some(first), last: Some(last), replayed: true }))
    }
}

impl<T> Committed<T> {
    const fn now(value: T, first: Position, last: Position) -> Self {
        Self { value, first: Some(first), last: Some(last), replayed: false }
    }

    fn of_nothing(value: T, before: Option<(Position, Position)>) -> Self {
        let (first, last) = before.unzip();
        Self { value, first, last, replayed: before.is_some() }
    }
}

/// The attempts of one unit.
#[derive(Default)]
struct Race {
    attempts: u32,
    /// The turn on the stream the last race was lost on. One at most, so that
    /// no two units can wait for each other.
    turn: Option<Turn>,
}

impl Race {
    async fn lost(&mut self, ledger: &Ledger, error: AppendError) -> Result<(), CommandError> {
        self.attempts += 1;
        let stream = match &error {
            AppendError::Conflict { stream, .. } => Some(*stream),
            AppendError::Handled
            | AppendError::Answered
            | AppendError::Claimed { .. }
            | AppendError::Gone
            | AppendError::Store(_) => None,
        };
        ledger.lost_race(error, self.attempts).await?;
        if self.attempts >= ATTEMPTS {
            return Err(CommandError::Contended);
        }
        self.turn = None;
        if let Some(stream) = stream {
            self.turn = Some(ledger.turns().take(stream).await);
        }
        Ok(())
    }
}

/// What to tell a person whose name for something is taken.
pub(crate) fn claimed(scope: &'static str) -> Refusal {
    let (reason, message, field) = match scope {
        "sku" => ("SKU_TAKEN", "another product of the store has this SKU", Some("sku")),
        _ => ("NAME_TAKEN", "somebody else holds this name", None),
    };
    Refusal {
        kind: ErrorKind::Conflict,
        reason,
        message: message.to_owned(),
        state: None,
        field,
        details: Vec::new(),
    }
}
