//! Which of the waiting appends may be written, and what that comes to.
//!
//! The appends of a batch are judged one after the other, as if each had been
//! written before the next was looked at; one that is refused leaves no trace.
//! So whoever waits cannot tell whether it was written alone.

use std::{collections::HashMap, hash::Hash};

use mallbots_domain::id::{AnyId, DeadLetterId};
use sea_orm::sqlx::Error;
use uuid::Uuid;

use super::request::{Basis, Request, Row, TimerRow};
use crate::{
    append::{IdempotencyEntry, InboxEntry, Take},
    error::AppendError,
    message::{MessageKind, Position, Version},
    sql::{Columns, narrow, parse},
};

/// What the appends of a batch touch: how it stands in the database, and how
/// it stands after the appends that were judged so far.
#[derive(Default)]
pub(super) struct Touched<'r> {
    streams: Table<AnyId, StreamSlot>,
    asked_streams: Vec<usize>,
    messages: Table<Uuid, bool>,
    handled: Table<(&'r str, Uuid), bool>,
    passed: Table<(&'r str, i64), bool>,
    answered: Table<(&'r str, &'r str), bool>,
    claims: Table<(&'r str, &'r str), Holder>,
    timers: Table<(AnyId, &'r str), TimerSlot<'r>>,
    letters: Table<DeadLetterId, Letter>,
    /// Whether the database is asked for everything.
    looks: bool,
}

/// How sure to be before writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Nothing is looked up: all is taken to be as the requests expect, which
    /// the statement that writes asserts. Nearly always it is so.
    Trust,
    /// Everything is looked up, so that one request that is wrong does not
    /// cost the others.
    Look,
    /// Everything is looked up while no other process can append.
    Lock,
}

/// Things by their keys, numbered in the order they were first named.
struct Table<K, V> {
    numbers: HashMap<K, usize>,
    rows: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), rows: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    fn name(&mut self, key: K) -> &mut V {
        let rows = &mut self.rows;
        let number = *self.numbers.entry(key).or_insert_with(|| {
            rows.push((key, V::default()));
            rows.len() - 1
        });
        &mut self.rows[number].1
    }

    fn has(&self, key: K) -> bool {
        self.numbers.contains_key(&key)
    }

    fn at(&mut self, number: usize) -> Option<&mut V> {
        self.rows.get_mut(number).map(|(_, value)| value)
    }
}

/// A part of what a batch touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Streams,
    Messages,
    Handled,
    Passed,
    Answered,
    Claims,
    Timers,
    Letters,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Streams,
        Self::Messages,
        Self::Handled,
        Self::Passed,
        Self::Answered,
        Self::Claims,
        Self::Timers,
        Self::Letters,
    ];
}

/// What to ask the database of one part: each key is one text, or two.
pub(super) struct Probe {
    pub(super) part: Part,
    pub(super) keys: Vec<[String; 2]>,
}

fn pair(a: &impl ToString, b: &impl ToString) -> [String; 2] {
    [a.to_string(), b.to_string()]
}

/// How far a stream has come.
#[derive(Clone, Copy, Default)]
struct StreamSlot {
    /// Whether the database must be asked.
    asked: bool,
    /// Its version before the batch: as the database says, or, unless it is
    /// asked, as the first request that names it says.
    before: i64,
    now: i64,
}

/// Who holds a name.
#[derive(Clone, Copy, Default)]
struct Holder {
    /// In the database.
    before: Option<AnyId>,
    now: Option<AnyId>,
}

/// A timer.
#[derive(Clone, Copy, Default)]
struct TimerSlot<'r> {
    /// Whether somebody takes it, so that the database must be asked.
    asked: bool,
    /// When it is due, in the database.
    before: Option<i64>,
    /// What was done to it.
    now: TimerNow<'r>,
    /// Whether what was in the database was taken.
    taken: bool,
}

#[derive(Clone, Copy, Default)]
enum TimerNow<'r> {
    #[default]
    Unchanged,
    Cleared,
    Set(&'r TimerRow),
}

impl TimerSlot<'_> {
    const fn due_at(&self) -> Option<i64> {
        match self.now {
            TimerNow::Unchanged => self.before,
            TimerNow::Cleared => None,
            TimerNow::Set(timer) => Some(timer.due_at),
        }
    }
}

/// A dead letter.
#[derive(Clone, Copy, Default)]
struct Letter {
    /// Whether it is there.
    there: bool,
    taken: bool,
}

impl<'r> Touched<'r> {
    /// Names everything the requests touch. `known` says how far a stream has
    /// come at least.
    pub(super) fn by(
        requests: &'r [Request],
        care: Care,
        known: impl Fn(AnyId) -> Option<Version>,
    ) -> Self {
        let mut touched = Self { looks: care != Care::Trust, ..Self::default() };
        for request in requests {
            // A version that somebody states may well be wrong. If there is
            // nobody to suffer for that, it is found out by trying.
            let is_doubtful = request.basis == Basis::Stated && requests.len() > 1;
            for stream in &request.streams {
                touched.streams.name(stream.id).asked |= touched.looks || is_doubtful;
            }
            for message in &request.messages {
                touched.messages.name(message.message_id);
            }
            if let Some(entry) = &request.inbox {
                touched.handled.name((entry.consumer, entry.message_id));
                if let Some(guard) = request.guard {
                    touched.passed.name((entry.consumer, guard.0));
                }
            }
            if let Some(entry) = &request.idempotency {
                touched.answered.name((&entry.caller, &entry.key));
            }
            for release in &request.releases {
                let key = (release.scope, release.key.as_str());
                let is_first = !touched.claims.has(key);
                let holder = touched.claims.name(key);
                if is_first && !touched.looks {
                    *holder = Holder { before: Some(release.owner), now: Some(release.owner) };
                }
            }
            for claim in &request.claims {
                touched.claims.name((claim.scope, &claim.key));
            }
            for timer in &request.timers {
                touched.timers.name((timer.owner, timer.name));
            }
            for take in &request.takes {
                match take {
                    Take::Timer { owner, name, due_at } => {
                        let slot = touched.timers.name((*owner, name));
                        slot.asked = touched.looks;
                        if !touched.looks {
                            slot.before.get_or_insert(*due_at);
                        }
                    }
                    Take::DeadLetter { id } => {
                        touched.letters.name(*id).there = !touched.looks;
                    }
                }
            }
        }
        // The first to name a stream says where it stands, unless that is asked;
        // versions do not go back, so it stands no lower than was ever seen.
        for stream in requests.iter().flat_map(|request| &request.streams).rev() {
            let slot = touched.streams.name(stream.id);
            if !slot.asked {
                slot.before = stream.expected.0;
            }
        }
        for (number, (id, slot)) in touched.streams.rows.iter_mut().enumerate() {
            if slot.asked {
                touched.asked_streams.push(number);
            } else if let Some(known) = known(*id) {
                slot.before = slot.before.max(known.0);
            }
            slot.now = slot.before;
        }
        touched
    }

    /// What to ask the database.
    pub(super) fn probes(&self) -> impl Iterator<Item = Probe> {
        let streams = self.streams.rows.iter().filter(|(_, slot)| slot.asked);
        let streams = streams.map(|(id, _)| [id.to_string(), String::new()]);
        let looks = self.looks;
        let messages = self.messages.rows.iter().filter(|_| looks);
        let messages = messages.map(|(id, _)| [id.to_string(), String::new()]);
        let handled = self.handled.rows.iter().filter(|_| looks);
        let handled = handled.map(|((consumer, id), _)| pair(consumer, id));
        let passed = self.passed.rows.iter().filter(|_| looks);
        let passed = passed.map(|((consumer, position), _)| pair(consumer, position));
        let answered = self.answered.rows.iter().filter(|_| looks);
        let answered = answered.map(|((caller, key), _)| pair(caller, key));
        let claims = self.claims.rows.iter().filter(|_| looks);
        let claims = claims.map(|((scope, key), _)| pair(scope, key));
        // Only if somebody takes one, but then all, so that their numbers fit.
        let asked = self.timers.rows.iter().any(|(_, slot)| slot.asked);
        let timers = self.timers.rows.iter().filter(|_| asked);
        let timers = timers.map(|((owner, name), _)| pair(owner, name));
        let letters = self.letters.rows.iter().filter(|_| looks);
        let letters = letters.map(|(id, _)| [id.to_string(), String::new()]);

        [
            Probe { part: Part::Streams, keys: streams.collect() },
            Probe { part: Part::Messages, keys: messages.collect() },
            Probe { part: Part::Handled, keys: handled.collect() },
            Probe { part: Part::Passed, keys: passed.collect() },
            Probe { part: Part::Answered, keys: answered.collect() },
            Probe { part: Part::Claims, keys: claims.collect() },
            Probe { part: Part::Timers, keys: timers.collect() },
            Probe { part: Part::Letters, keys: letters.collect() },
        ]
        .into_iter()
        .filter(|probe| !probe.keys.is_empty())
    }

    /// Takes in what the database answered: the part, the number of the key in
    /// it, and what is there as a number or a text. What it says nothing of
    /// is not there.
    pub(super) fn found(&mut self, row: &dyn Columns) -> Result<(), Error> {
        let part: usize = narrow(row, 0)?;
        let number: usize = narrow(row, 1)?;
        let unknown = || Error::Protocol("an answer to no question".to_owned());
        match Part::ALL.get(part).ok_or_else(unknown)? {
            Part::Streams => {
                let number = *self.asked_streams.get(number).ok_or_else(unknown)?;
                let slot = self.streams.at(number).ok_or_else(unknown)?;
                slot.before = row.int(2)?;
                slot.now = slot.before;
            }
            Part::Messages => *self.messages.at(number).ok_or_else(unknown)? = true,
            Part::Handled => *self.handled.at(number).ok_or_else(unknown)? = true,
            Part::Passed => *self.passed.at(number).ok_or_else(unknown)? = true,
            Part::Answered => *self.answered.at(number).ok_or_else(unknown)? = true,
            Part::Claims => {
                let owner = Some(parse(row, 3)?);
                *self.claims.at(number).ok_or_else(unknown)? = Holder { before: owner, now: owner };
            }
            Part::Timers => {
                self.timers.at(number).ok_or_else(unknown)?.before = Some(row.int(2)?);
            }
            Part::Letters => self.letters.at(number).ok_or_else(unknown)?.there = true,
        }
        Ok(())
    }

    /// Judges the requests in their order.
    pub(super) fn judge(mut self, requests: &'r [Request]) -> (Vec<Verdict>, Writes<'r>) {
        let mut writes = Writes::default();
        let verdicts = requests
            .iter()
            .map(|request| {
                let mut undo = Vec::new();
                match self.admit(request, &mut undo) {
                    Ok(()) => self.accept(request, &mut writes),
                    Err(error) => {
                        self.roll_back(undo);
                        Verdict::Refused(error)
                    }
                }
            })
            .collect();
        self.settle(&mut writes);
        (verdicts, writes)
    }

    /// Carries a request out on what is touched, up to the first thing that
    /// stands in its way.
    ///
    /// The order says which refusal a request gets that meets several: that it
    /// was done before comes first, and that a decision must be made again
    /// comes before what the decision asked for.
    fn admit(&mut self, request: &'r Request, undo: &mut Vec<Undo<'r>>) -> Result<(), AppendError> {
        if let Some(entry) = &request.idempotency {
            let key = (entry.caller.as_str(), entry.key.as_str());
            if std::mem::replace(self.answered.name(key), true) {
                return Err(AppendError::Answered);
            }
            undo.push(Undo::Answered(key));
        }
        if let Some(entry) = &request.inbox {
            if let Some(guard) = request.guard
                && *self.passed.name((entry.consumer, guard.0))
            {
                return Err(AppendError::Handled);
            }
            let key = (entry.consumer, entry.message_id);
            if std::mem::replace(self.handled.name(key), true) {
                return Err(AppendError::Handled);
            }
            undo.push(Undo::Handled(key));
        }
        for take in &request.takes {
            match take {
                Take::Timer { owner, name, due_at } => {
                    let key = (*owner, name.as_str());
                    let slot = self.timers.name(key);
                    if slot.due_at() != Some(*due_at) {
                        return Err(AppendError::Gone);
                    }
                    undo.push(Undo::Timer(key, *slot));
                    slot.taken |= matches!(slot.now, TimerNow::Unchanged);
                    slot.now = TimerNow::Cleared;
                }
                Take::DeadLetter { id } => {
                    let letter = self.letters.name(*id);
                    if !letter.there {
                        return Err(AppendError::Gone);
                    }
                    undo.push(Undo::Letter(*id, *letter));
                    *letter = Letter { there: false, taken: true };
                }
            }
        }
        for stream in &request.streams {
            let slot = self.streams.name(stream.id);
            if slot.now != stream.expected.0 {
                return Err(AppendError::Conflict {
                    stream: stream.id,
                    expected: stream.expected,
                    actual: Version(slot.now),
                });
            }
            undo.push(Undo::Stream(stream.id, *slot));
            slot.now = stream.events.last().map_or(slot.now, |event| event.version.0);
        }
        for release in &request.releases {
            let key = (release.scope, release.key.as_str());
            let holder = self.claims.name(key);
            if holder.now == Some(release.owner) {
                undo.push(Undo::Claim(key, *holder));
                holder.now = None;
            }
        }
        for claim in &request.claims {
            let key = (claim.scope, claim.key.as_str());
            let holder = self.claims.name(key);
            if holder.now.is_some_and(|owner| owner != claim.owner) {
                return Err(AppendError::Claimed { scope: claim.scope, key: claim.key.clone() });
            }
            undo.push(Undo::Claim(key, *holder));
            holder.now = Some(claim.owner);
        }
        Ok(())
    }

    fn roll_back(&mut self, undo: Vec<Undo<'r>>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Answered(key) => *self.answered.name(key) = false,
                Undo::Handled(key) => *self.handled.name(key) = false,
                Undo::Timer(key, slot) => *self.timers.name(key) = slot,
                Undo::Letter(key, letter) => *self.letters.name(key) = letter,
                Undo::Stream(key, slot) => *self.streams.name(key) = slot,
                Undo::Claim(key, holder) => *self.claims.name(key) = holder,
            }
        }
    }

    /// Adds what an admitted request writes.
    fn accept(&mut self, request: &'r Request, writes: &mut Writes<'r>) -> Verdict {
        let offset = writes.rows.len();
        let mut repeats = Vec::new();
        for (number, row) in request.rows().enumerate() {
            // Events have ids of their own; what else is said may be said again.
            let said = row.kind != MessageKind::Event
                && std::mem::replace(self.messages.name(row.message_id), true);
            if said {
                repeats.push(number);
            } else {
                writes.rows.push(row);
            }
        }
        for edit in &request.timers {
            self.timers.name((edit.owner, edit.name)).now =
                edit.set.as_ref().map_or(TimerNow::Cleared, TimerNow::Set);
        }
        writes.inbox.extend(request.inbox.iter().map(|entry| (entry, request.guard)));
        let written = writes.rows.len() - offset;
        writes.answers.extend(request.idempotency.iter().map(|entry| Answer {
            entry,
            first: place(offset + usize::from(written > 0)),
            last: place(offset + written),
        }));
        Verdict::Accepted { offset, written, repeats }
    }

    /// What all of it comes to, for what may be written only once.
    fn settle(self, writes: &mut Writes<'r>) {
        // That nothing stands behind a version shows when the next is written;
        // that the version itself is there must be asserted.
        let unasked = self.streams.rows.into_iter().filter(|(_, slot)| !slot.asked);
        let unasked = unasked.filter(|(_, slot)| slot.before > 0);
        writes.asserted.extend(unasked.map(|(id, slot)| (id, slot.before)));
        for (key, holder) in self.claims.rows {
            match (holder.before, holder.now) {
                (before, now) if before == now => {}
                (None, Some(owner)) => writes.claims_taken.push((key, owner)),
                (Some(from), Some(to)) => writes.claims_moved.push((key, from, to)),
                (Some(owner), None) => writes.claims_released.push((key, owner)),
                (None, None) => {}
            }
        }
        for (key, slot) in self.timers.rows {
            match (slot.now, slot.before) {
                (TimerNow::Set(timer), Some(due_at)) if slot.taken => {
                    writes.timers_moved.push((due_at, timer));
                }
                (TimerNow::Cleared, Some(due_at)) if slot.taken => {
                    writes.timers_taken.push((key, due_at));
                }
                (TimerNow::Set(timer), _) => writes.timers_set.push(timer),
                (TimerNow::Cleared, _) => writes.timers_cleared.push(key),
                (TimerNow::Unchanged, _) => {}
            }
        }
        let taken = self.letters.rows.into_iter().filter(|(_, letter)| letter.taken);
        writes.letters_taken.extend(taken.map(|(id, _)| id));
    }
}

/// How to forget what a request did.
enum Undo<'r> {
    Answered((&'r str, &'r str)),
    Handled((&'r str, Uuid)),
    Timer((AnyId, &'r str), TimerSlot<'r>),
    Letter(DeadLetterId, Letter),
    Stream(AnyId, StreamSlot),
    Claim((&'r str, &'r str), Holder),
}

/// What becomes of a request.
pub(super) enum Verdict {
    /// It is written.
    Accepted {
        /// How many messages of the batch come before its own.
        offset: usize,
        /// How many are its own.
        written: usize,
        /// Which of its messages were said before, and are not said again.
        repeats: Vec<usize>,
    },
    /// It is not.
    Refused(AppendError),
}

impl Verdict {
    pub(super) const fn is_accepted(&self) -> bool {
        match self {
            Self::Accepted { .. } => true,
            Self::Refused(_) => false,
        }
    }
}

/// What a batch writes. Positions in it count from the head.
#[derive(Default)]
pub(super) struct Writes<'r> {
    pub(super) rows: Vec<&'r Row>,
    /// Versions that streams must have, and that nobody has looked up.
    pub(super) asserted: Vec<(AnyId, i64)>,
    /// What is handled, and where it stands if no checkpoint may have passed it.
    pub(super) inbox: Vec<(&'r InboxEntry, Option<Position>)>,
    pub(super) answers: Vec<Answer<'r>>,
    /// Names nobody held, and who holds them now.
    pub(super) claims_taken: Vec<((&'r str, &'r str), AnyId)>,
    /// Names that go from one to another.
    pub(super) claims_moved: Vec<((&'r str, &'r str), AnyId, AnyId)>,
    /// Names that are given up, and by whom.
    pub(super) claims_released: Vec<((&'r str, &'r str), AnyId)>,
    /// Timers that are set, whether or not they were before.
    pub(super) timers_set: Vec<&'r TimerRow>,
    /// Timers that are cleared, whether or not they were set before.
    pub(super) timers_cleared: Vec<(AnyId, &'r str)>,
    /// Timers that must be there as they were, and then are gone.
    pub(super) timers_taken: Vec<((AnyId, &'r str), i64)>,
    /// Timers that must be there as they were, and then are set anew.
    pub(super) timers_moved: Vec<(i64, &'r TimerRow)>,
    /// Dead letters that must be there, and then are gone.
    pub(super) letters_taken: Vec<DeadLetterId>,
}

/// An answer to remember, and where what it made stands.
pub(super) struct Answer<'r> {
    pub(super) entry: &'r IdempotencyEntry,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl<'r> Writes<'r> {
    /// What its messages are called.
    pub(super) fn names(&self) -> Vec<&'r str> {
        self.rows.iter().map(|row| &*row.name).collect()
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.inbox.is_empty()
            && self.answers.is_empty()
            && self.claims_taken.is_empty()
            && self.claims_moved.is_empty()
            && self.claims_released.is_empty()
            && self.timers_set.is_empty()
            && self.timers_cleared.is_empty()
            && self.timers_taken.is_empty()
            && self.timers_moved.is_empty()
            && self.letters_taken.is_empty()
    }

    /// By how much the head moves.
    pub(super) fn count(&self) -> i64 {
        place(self.rows.len())
    }

    /// When the first of the timers that are set is due.
    pub(super) fn alarm(&self) -> Option<i64> {
        let moved = self.timers_moved.iter().map(|(_, timer)| timer.due_at);
        self.timers_set.iter().map(|timer| timer.due_at).chain(moved).min()
    }
}

/// A count as a distance between positions. No batch is near the limit.
pub(super) fn place(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
