//! The engine under every handler: reads the ledger's tail, hands out each
//! message once, in order within a key and side by side across keys, tries
//! again what broke, and parks what cannot be handled together with all that
//! comes after it under the same key.
//!
//! A handler commits its inbox entry with its effects, so a message that is
//! delivered twice takes effect once. The checkpoint only says from where to
//! read after a restart: it follows behind the lowest message still at work.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::id::{DeadLetterId, EntityId};
use mallbots_eventstore::{
    append::{Append, InboxEntry, Take},
    checkpoints::Checkpoints,
    connect::Backend,
    dead_letters::{DeadLetter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    error::{AppendError, CommandError, StoreError},
    ledger::{Ledger, Moment},
    message::{Metadata, Position, Recorded},
    trace::{self, Span, SpanKind},
    unit::Unit,
};
use sea_orm::{DbErr, RuntimeErr, sqlx::error::DatabaseError};
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};
use uuid::Uuid;

use crate::{
    dead_letters::Control,
    envelope,
    intake::{Carrier, Intake, Origins, Part},
    leases::LeaseKeeper,
    metrics::{Became, Failures, Tally},
    ranges::RANGES,
    retry::Backoff,
    wire,
};

/// What acts on messages.
pub trait Handler: Send + Sync + 'static {
    /// The consumer's name: its checkpoint, inbox and dead letters go by it.
    fn name(&self) -> &'static str;

    /// What must be handled one after the other with what; `None` for messages
    /// this handler has no business with. Called for every message there is,
    /// so it must be cheap.
    fn key(&self, message: &Recorded) -> Option<Uuid>;

    /// Acts on one message. What it writes must go through
    /// [`Delivery::accept`] in the same unit.
    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>>;
}

/// A message on its way to a handler.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Recorded>,
    /// How often it was tried since it was read, this time included.
    pub attempt: u32,
    consumer: &'static str,
    /// The dead letter it comes out of, when it was parked before.
    letter: Option<Letter>,
}

/// A dead letter that is tried again.
#[derive(Debug, Clone, Copy)]
struct Letter {
    id: DeadLetterId,
    /// Where the order to try it again stands, on the last letter of that
    /// order: it has been carried out when this one is dealt with.
    order: Option<Position>,
}

impl Delivery {
    /// Writes into the unit that the message was handled, so that it cannot be
    /// handled again.
    pub fn accept(&self, unit: &mut Unit<'_>) {
        unit.inbox(self.entry());
        if let Some(Letter { id, .. }) = self.letter {
            unit.take(Take::DeadLetter { id });
        }
    }

    fn entry(&self) -> InboxEntry {
        InboxEntry {
            consumer: self.consumer,
            message_id: self.message.message_id,
            position: self.message.position,
        }
    }
}

/// Why a message was not handled.
#[derive(Debug)]
pub enum Failure {
    /// The machinery is away: tried again without end.
    Unavailable(String),
    /// It did not work out: tried again a few times, then parked.
    Failed(String),
    /// It will never work out: parked at once.
    Poison(String),
}

impl Failure {
    /// Which of them it is, for traces.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Failed(_) => "failed",
            Self::Poison(_) => "poison",
        }
    }
}

/// A message that was handled before is handled; a refusal nobody can answer
/// is poison; what broke may mend.
pub fn outcome<T>(result: Result<T, CommandError>) -> Result<(), Failure> {
    match result {
        Ok(_) | Err(CommandError::Handled | CommandError::Gone) => Ok(()),
        Err(CommandError::Refused(refusal)) => {
            Err(Failure::Poison(format!("{}: {refusal}", refusal.reason)))
        }
        Err(error @ CommandError::KeyReused) => Err(Failure::Poison(error.to_string())),
        Err(error @ CommandError::Contended) => Err(Failure::Unavailable(error.to_string())),
        Err(CommandError::Store(error)) => Err(broke(&error)),
    }
}

/// A database that is away comes back. What it refuses it refuses again, and
/// history does not mend by itself.
fn broke(error: &StoreError) -> Failure {
    let reason = chain(error);
    match error {
        StoreError::Undecodable { .. } => Failure::Poison(reason),
        StoreError::Hole { .. } => Failure::Failed(reason),
        StoreError::Database(cause) if is_refusal(cause) => Failure::Failed(reason),
        StoreError::Database(_)
        | StoreError::InUse { .. }
        | StoreError::File { .. }
        | StoreError::WentBack { .. }
        | StoreError::Closed => Failure::Unavailable(reason),
    }
}

/// Whether it is what was asked, not the database, that is at fault.
fn is_refusal(error: &DbErr) -> bool {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return false;
    };
    match code.len() {
        // PostgreSQL's classes: bad data, broken constraint.
        5 => code.starts_with("22") || code.starts_with("23"),
        // SQLite's, the low byte: error (such as malformed JSON), constraint, mismatch.
        _ => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xFF, 1 | 19 | 20)),
    }
}

/// Payloads that cannot be read are poison.
pub fn undecodable(error: &serde_json::Error) -> Failure {
    Failure::Poison(format!("the payload cannot be decoded: {error}"))
}

/// How a consumer goes about it.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How many messages may be read ahead of the lowest still at work.
    pub window: usize,
    /// How many keys are worked on at a time.
    pub concurrency: usize,
    /// How often a failing message is tried before it is parked.
    pub attempts: u32,
    /// The waits between.
    pub backoff: Backoff,
    /// How often the checkpoint is saved while it moves.
    pub checkpoint_every: Duration,
    /// How long the checkpoint stays behind what is done where other processes
    /// may be at the same messages: what the checkpoint has passed is taken
    /// out of the inbox, and for so long another may lag without doing again
    /// what is done.
    pub linger: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            window: 4096,
            concurrency: 128,
            attempts: 5,
            backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) },
            checkpoint_every: Duration::from_secs(1),
            linger: Duration::from_secs(10),
        }
    }
}

/// What a consumer works with.
#[derive(Debug, Clone)]
pub struct Office {
    /// Where everything is written.
    pub ledger: Ledger,
    /// How messages come.
    pub carrier: Carrier,
    /// Who says which of them are this process's.
    pub keeper: LeaseKeeper,
}

impl Office {
    /// Of a process that reads everything from the ledger itself.
    #[must_use]
    pub fn embedded(ledger: Ledger) -> Self {
        Self { ledger, carrier: Carrier::Ledger, keeper: LeaseKeeper::alone() }
    }
}

/// How far a consumer has come, part by part: of its parts that are this
/// process's.
#[derive(Debug, Clone)]
pub struct Progress {
    parts: watch::Sender<BTreeMap<Part, watch::Receiver<Position>>>,
    origins: Arc<Origins>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { parts: watch::Sender::new(BTreeMap::new()), origins: Arc::default() }
    }
}

impl Progress {
    /// Up to where everything is handled or parked; nothing if no part is
    /// this process's.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.parts.borrow().values().map(|position| *position.borrow()).min()
    }

    /// The parts that are this process's.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.parts.borrow().keys().copied().collect()
    }

    /// Where its messages came from.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Waits until this process has so many parts.
    pub async fn has(&self, parts: usize) {
        // The sender is here.
        let _ = self.parts.subscribe().wait_for(|now| now.len() == parts).await;
    }

    /// Waits until everything of this process's parts is handled or parked up
    /// to a position.
    pub async fn reaches(&self, to: Position) {
        let mut parts = self.parts.subscribe();
        'anew: loop {
            let now = parts.borrow_and_update().clone();
            for mut position in now.into_values() {
                select! {
                    // A desk that is gone deals with nothing more.
                    _ = position.wait_for(|position| *position >= to) => {}
                    Ok(()) = parts.changed() => continue 'anew,
                }
            }
            if !parts.has_changed().unwrap_or_default() {
                return;
            }
        }
    }

    /// A part more, and who says how far it is.
    fn add(&self, part: Part, turns: &Arc<Semaphore>) -> Station {
        let (position, receiver) = watch::channel(Position::default());
        self.parts.send_modify(|parts| {
            parts.insert(part, receiver);
        });
        Station { position, origins: self.origins.clone(), turns: Arc::clone(turns) }
    }

    fn remove(&self, part: Part) {
        self.parts.send_modify(|parts| {
            parts.remove(&part);
        });
    }
}

/// What a desk has in common with the consumer's others.
struct Station {
    /// Where it says how far it is.
    position: watch::Sender<Position>,
    origins: Arc<Origins>,
    /// One for each key that may be worked on.
    turns: Arc<Semaphore>,
}

/// Runs a handler until shutdown: on everything, if it is read from the
/// ledger; on this process's share of the ranges if JetStream brings it.
/// `progress` says up to where everything is handled or parked.
pub fn run<H: Handler>(
    office: Office,
    handler: Arc<H>,
    options: ConsumerOptions,
    progress: Progress,
    shutdown: CancellationToken,
) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    // Known before it begins: who waits for it must not miss it.
    let turns = Arc::new(Semaphore::new(options.concurrency));
    let whole = match office.carrier {
        Carrier::Ledger => Some(progress.add(Part::Whole, &turns)),
        Carrier::JetStream(_) => None,
    };
    async move {
        match whole {
            Some(station) => {
                at_desk(office, Part::Whole, handler, options, station, shutdown).await
            }
            None => at_desks(office, handler, options, progress, turns, shutdown).await,
        }
    }
}

/// Runs a desk for each range that is this process's, for as long as it is.
async fn at_desks<H: Handler>(
    office: Office,
    handler: Arc<H>,
    options: ConsumerOptions,
    progress: Progress,
    turns: Arc<Semaphore>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let name = handler.name();
    let mut share = office.keeper.share(name, RANGES);
    let mut desks = JoinSet::new();
    let mut at_work = BTreeMap::new();
    loop {
        let held = share.held();
        for (range, stop) in &at_work {
            let stop: &CancellationToken = stop;
            if !held.contains(range) {
                stop.cancel();
            }
        }
        for range in held {
            at_work.entry(range).or_insert_with(|| {
                let (stop, part) = (shutdown.child_token(), Part::Range(range));
                let station = progress.add(part, &turns);
                let (office, handler) = (office.clone(), Arc::clone(&handler));
                let work = at_desk(office, part, handler, options.clone(), station, stop.clone());
                desks.spawn(async move { (range, work.await) });
                stop
            });
        }
        select! {
            () = shutdown.cancelled() => break,
            kept = share.changed() => if !kept {
                anyhow::bail!("nobody keeps the leases");
            },
            Some(ended) = desks.join_next() => {
                let (range, result) = ended?;
                result?;
                progress.remove(Part::Range(range));
                share.give_back(range);
                let was_asked = at_work.remove(&range).is_some_and(|stop| stop.is_cancelled());
                anyhow::ensure!(was_asked, "a desk was left");
            }
        }
    }
    while let Some(ended) = desks.join_next().await {
        ended?.1?;
    }
    Ok(())
}

/// What a desk must know before it begins.
struct Beginning {
    checkpoints: Checkpoints,
    parked: HashMap<Uuid, Position>,
    seen_before: HashSet<Uuid>,
}

impl Beginning {
    async fn find(ledger: &Ledger, name: &'static str, part: Part) -> Result<Self, StoreError> {
        Ok(Self {
            checkpoints: ledger.checkpoints(name).await?,
            parked: first_parked(ledger, name).await?,
            seen_before: ledger.handled(name, part.range().partitions()).await?,
        })
    }
}

/// Acts on a part of the messages until shutdown.
async fn at_desk<H: Handler>(
    office: Office,
    part: Part,
    handler: Arc<H>,
    options: ConsumerOptions,
    station: Station,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Station { position: progress, origins, turns } = station;
    let (name, ledger) = (handler.name(), office.ledger);
    let mut failures = 0;
    let Beginning { checkpoints, parked, seen_before } = loop {
        let error = match Beginning::find(&ledger, name, part).await {
            Ok(beginning) => break beginning,
            Err(StoreError::Closed) => return Ok(()),
            Err(error) => error,
        };
        failures += 1;
        warn!(consumer = name, error = chain(&error), "cannot begin");
        select! {
            () = shutdown.cancelled() => return Ok(()),
            () = time::sleep(options.backoff.after(failures)) => {}
        }
    };
    let at = |partition: u8| checkpoints.get(usize::from(partition)).copied().unwrap_or_default();
    // It has begun, and whoever asks how far everybody is should know.
    if let Err(error) = ledger.save_checkpoint(name, part.range().partitions(), Position(0)).await {
        warn!(consumer = name, error = chain(&error), "the checkpoint was not begun");
    }
    let start = part.range().partitions().clone().map(at).min().unwrap_or_default();
    info!(consumer = name, ?part, position = start.0, "consumer starts");

    let mut intake = Intake::open(&ledger, &office.carrier, name, part, start).counting(origins);
    let mut desk = Desk {
        ledger: ledger.clone(),
        handler,
        options: options.clone(),
        shutdown: shutdown.clone(),
        seen_before,
        parked,
        retried: HashSet::new(),
        queues: HashMap::new(),
        ready: VecDeque::new(),
        running: JoinSet::new(),
        turns: Arc::clone(&turns),
        open: BTreeSet::new(),
        read_to: start,
        tally: Tally::of(name),
    };
    let mut marks = Trail::new(match ledger.database().kind {
        Backend::Sqlite => Duration::ZERO,
        Backend::Postgres => options.linger,
    });
    let mut saved = start;
    progress.send_replace(start);
    let every = options.checkpoint_every;
    let mut save = time::interval_at(Instant::now() + every, every);
    save.set_missed_tick_behavior(time::MissedTickBehavior::Delay);

    loop {
        desk.dispatch();
        progress.send_if_modified(|position| {
            let moved = *position != desk.done_to();
            *position = desk.done_to();
            moved
        });
        select! {
            () = shutdown.cancelled() => break,
            Some(finished) = desk.running.join_next() => desk.finish(finished?).await,
            // Another desk has given one up.
            Ok(turn) = Arc::clone(&turns).acquire_owned(), if !desk.ready.is_empty() => {
                desk.begin(turn);
            }
            _ = save.tick() => {
                let done_to = marks.mark(desk.done_to());
                saved = save_checkpoint(&ledger, name, part, saved, done_to).await;
                intake.done(desk.done_to());
            }
            batch = intake.next(512), if desk.open.len() < options.window => match batch {
                Ok(batch) => {
                    for message in batch {
                        let seen = at(message.partition());
                        desk.take(message, seen).await;
                    }
                    desk.read_to = intake.reached();
                }
                Err(StoreError::Closed) => break,
                Err(error) => {
                    warn!(consumer = name, error = chain(&error), "the ledger cannot be read");
                    time::sleep(options.backoff.after(3)).await;
                }
            },
        }
    }
    // Messages at work are finished; those that wait are read again next time.
    desk.ready.clear();
    desk.queues.clear();
    while let Some(finished) = desk.running.join_next().await {
        desk.finish(finished?).await;
    }
    save_checkpoint(&ledger, name, part, saved, marks.mark(desk.done_to())).await;
    info!(consumer = name, ?part, position = desk.done_to().0, "consumer stopped");
    Ok(())
}

/// Where under each key the first parked message stands.
async fn first_parked(
    ledger: &Ledger,
    name: &'static str,
) -> Result<HashMap<Uuid, Position>, StoreError> {
    let keys: Vec<_> = ledger.parked_keys(name).await?.into_iter().collect();
    let mut first = HashMap::new();
    if !keys.is_empty() {
        // They come in ledger order.
        for (consumer, key, position) in ledger.parked_positions(&keys).await? {
            if consumer == name
                && let Ok(key) = key.parse()
            {
                first.entry(key).or_insert(position);
            }
        }
    }
    Ok(first)
}

/// How far a consumer had come a while ago.
struct Trail {
    linger: Duration,
    marks: VecDeque<(Instant, Position)>,
    reached: Position,
}

impl Trail {
    const fn new(linger: Duration) -> Self {
        Self { linger, marks: VecDeque::new(), reached: Position(0) }
    }

    /// Marks where it is now, and says where it was.
    fn mark(&mut self, now: Position) -> Position {
        self.marks.push_back((Instant::now(), now));
        while let Some((at, position)) = self.marks.front().copied()
            && at.elapsed() >= self.linger
        {
            self.reached = position;
            self.marks.pop_front();
        }
        self.reached
    }
}

async fn save_checkpoint(
    ledger: &Ledger,
    name: &'static str,
    part: Part,
    saved: Position,
    done_to: Position,
) -> Position {
    if done_to <= saved {
        return saved;
    }
    match ledger.save_checkpoint(name, part.range().partitions(), done_to).await {
        Ok(()) => done_to,
        Err(error) => {
            warn!(consumer = name, error = chain(&error), "the checkpoint was not saved");
            saved
        }
    }
}

/// What lies on a consumer's desk.
struct Desk<H> {
    ledger: Ledger,
    handler: Arc<H>,
    options: ConsumerOptions,
    shutdown: CancellationToken,
    /// What was handled before the restart and may be read again.
    seen_before: HashSet<Uuid>,
    /// Keys whose messages are parked, from where on.
    parked: HashMap<Uuid, Position>,
    /// Dead letters that are being tried again.
    retried: HashSet<DeadLetterId>,
    /// What waits, by key. A key with a queue is at work or ready.
    queues: HashMap<Uuid, VecDeque<Delivery>>,
    /// Keys that could be worked on.
    ready: VecDeque<Uuid>,
    running: JoinSet<Finished>,
    turns: Arc<Semaphore>,
    /// Positions not yet dealt with.
    open: BTreeSet<Position>,
    read_to: Position,
    tally: Tally,
}

struct Finished {
    key: Uuid,
    delivery: Delivery,
    /// How long the last try took.
    took: Duration,
    result: Result<(), Parking>,
}

/// Why a message is parked.
struct Parking {
    reason: String,
    attempts: i32,
    /// The process is going down: leave the message for the next one.
    interrupted: bool,
}

const BEHIND: &str = "waits behind an earlier message";

impl<H: Handler> Desk<H> {
    /// Everything up to here is handled or parked.
    fn done_to(&self) -> Position {
        self.open.first().map_or(self.read_to, |first| Position(first.0 - 1))
    }

    /// Takes a message that was read.
    async fn take(&mut self, message: Arc<Recorded>, seen: Position) {
        self.read_to = message.position;
        if message.position <= seen || self.seen_before.remove(&message.message_id) {
            self.tally.redelivered.increment(1);
            return;
        }
        let consumer = self.handler.name();
        if let Some(control) = Control::of(&message, consumer) {
            return self.control(control, message.position).await;
        }
        let Some(key) = self.handler.key(&message) else { return };
        let position = message.position;
        let delivery = Delivery { message, attempt: 0, consumer, letter: None };
        self.open.insert(position);
        // What stands before the first parked message was dealt with before a
        // restart; if not by writing anything, it is looked at again.
        if self.parked.get(&key).is_some_and(|first| *first <= position) {
            self.park(key, &delivery, BEHIND, 0).await;
        } else {
            self.enqueue(key, delivery);
        }
    }

    fn enqueue(&mut self, key: Uuid, delivery: Delivery) {
        let queue = self.queues.entry(key).or_insert_with(|| {
            self.ready.push_back(key);
            VecDeque::new()
        });
        queue.push_back(delivery);
    }

    /// Starts work on keys that are ready.
    fn dispatch(&mut self) {
        while !self.ready.is_empty()
            && let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned()
        {
            self.begin(turn);
        }
    }

    /// Starts work on one of them.
    fn begin(&mut self, turn: OwnedSemaphorePermit) {
        while let Some(key) = self.ready.pop_front() {
            match self.queues.get_mut(&key).and_then(VecDeque::pop_front) {
                // A task of its own: what it holds while it waits, such as a
                // connection, must not wait for the desk.
                Some(delivery) => {
                    let work = attempt(
                        Arc::clone(&self.handler),
                        self.options.clone(),
                        self.shutdown.clone(),
                        self.tally.failures.clone(),
                        key,
                        delivery,
                    );
                    self.running.spawn(async move {
                        let finished = work.await;
                        drop(turn);
                        finished
                    });
                    return;
                }
                None => {
                    self.queues.remove(&key);
                }
            }
        }
    }

    async fn finish(&mut self, Finished { key, delivery, took, result }: Finished) {
        match result {
            Ok(()) => {
                if let Some(Letter { id, .. }) = delivery.letter {
                    let mut failures = 0;
                    while let Err(error) = self.settle(id, delivery.entry()).await {
                        // If it is not written down, it is done again: as nothing.
                        if self.goes_down(&error, &mut failures).await {
                            return;
                        }
                    }
                }
                self.close(&delivery);
                let (recorded_at, now) = (delivery.message.recorded_at, self.ledger.now());
                let became = Became::Handled { took, recorded_at, now };
                self.tally.became(&delivery.message.name, became);
                let names = [self.handler.name(), &delivery.message.name];
                self.ledger.reached(Moment::Handled, &names);
                self.ready.push_back(key);
            }
            Err(Parking { interrupted: true, .. }) => {}
            Err(Parking { reason, attempts, interrupted: false }) => {
                if !self.park(key, &delivery, &reason, attempts).await {
                    // Somebody has settled it meanwhile.
                    self.ready.push_back(key);
                    return;
                }
                self.parked.insert(key, delivery.message.position);
                for behind in self.queues.remove(&key).unwrap_or_default() {
                    self.park(key, &behind, BEHIND, 0).await;
                }
            }
        }
    }

    /// A delivery is dealt with.
    fn close(&mut self, delivery: &Delivery) {
        match delivery.letter {
            Some(Letter { id, order }) => {
                self.retried.remove(&id);
                if let Some(order) = order {
                    self.open.remove(&order);
                }
            }
            None => {
                self.open.remove(&delivery.message.position);
            }
        }
    }

    /// Parks a message. Until that is written down, nothing else goes on.
    /// False if it was parked before and has been settled since.
    async fn park(&mut self, key: Uuid, delivery: &Delivery, reason: &str, attempts: i32) -> bool {
        let consumer = self.handler.name();
        let message = &delivery.message;
        if attempts > 0 {
            error!(
                consumer,
                event.r#type = message.name,
                event.id = %message.message_id,
                position = message.position.0,
                reason,
                "message parked"
            );
        }
        let letter = DeadLetter {
            id: DeadLetterId::from_uuid(envelope::derived_beside(
                message.message_id,
                consumer,
                message.partition(),
            )),
            consumer: consumer.to_owned(),
            key: key.to_string(),
            position: message.position,
            message_id: message.message_id,
            reason: reason.to_owned(),
            attempts,
            first_failed_at: self.ledger.now(),
            payload_override: None,
        };
        let mut failures = 0;
        loop {
            let written = match delivery.letter {
                None => self.ledger.park(&letter).await.map(|()| true),
                // One that only waited behind another stays as it was.
                Some(_) if attempts == 0 => Ok(true),
                Some(Letter { id, .. }) => {
                    let change = DeadLetterChange {
                        reason: Some(reason.to_owned()),
                        attempts: Some(attempts),
                        payload_override: None,
                    };
                    self.ledger.update_dead_letter(id, &change).await
                }
            };
            match written {
                Ok(is_parked) => {
                    if attempts > 0 {
                        self.tally.became(&message.name, Became::Parked);
                    } else if delivery.letter.is_none() {
                        self.tally.became(&message.name, Became::Behind);
                    }
                    self.close(delivery);
                    return is_parked;
                }
                Err(error) => {
                    // Not closed, it is read again after the restart.
                    if self.goes_down(&error, &mut failures).await {
                        return true;
                    }
                }
            }
        }
    }

    /// An operator wants a dead letter retried or discarded: what is parked
    /// under its key goes back to work, in order.
    async fn control(&mut self, control: Control, position: Position) {
        self.open.insert(position);
        let mut failures = 0;
        while let Err(error) = self.carry_out(&control, position).await {
            if self.goes_down(&error, &mut failures).await {
                return;
            }
        }
    }

    async fn carry_out(&mut self, control: &Control, position: Position) -> Result<(), StoreError> {
        let consumer = self.handler.name();
        if let Control::Discard { id, .. } = *control
            && let Some(letter) = self.ledger.dead_letter(id).await?
            && letter.consumer == consumer
        {
            let DeadLetter { message_id, position, .. } = letter;
            self.settle(id, InboxEntry { consumer, message_id, position }).await?;
        }
        let key = control.key();
        let filter =
            DeadLetterFilter { consumer: Some(consumer.to_owned()), key: Some(key.to_string()) };
        let all = DeadLetterPage { after: None, limit: u32::MAX >> 1 };
        let mut deliveries = Vec::new();
        for letter in self.ledger.dead_letters(&filter, all).await? {
            if self.retried.contains(&letter.id) {
                debug!(consumer, "the dead letter is tried again already");
                continue;
            }
            let Some(mut message) = self.ledger.message(letter.message_id).await? else {
                self.ledger.discard_dead_letter(letter.id).await?;
                continue;
            };
            if let Some(payload) = letter.payload_override {
                Arc::make_mut(&mut message).payload = payload.into();
            }
            let letter = Some(Letter { id: letter.id, order: None });
            deliveries.push(Delivery { message, attempt: 0, consumer, letter });
        }

        self.parked.remove(&key);
        match deliveries.last_mut().and_then(|last| last.letter.as_mut()) {
            Some(last) => last.order = Some(position),
            None => {
                self.open.remove(&position);
            }
        }
        for delivery in deliveries {
            self.retried.extend(delivery.letter.map(|letter| letter.id));
            self.enqueue(key, delivery);
        }
        Ok(())
    }

    /// A dead letter is dealt with: it goes, and should its message be read
    /// again it counts as handled.
    async fn settle(&self, id: DeadLetterId, entry: InboxEntry) -> Result<(), StoreError> {
        let metadata = Metadata::begin(entry.consumer, entry.message_id);
        let takes = vec![Take::DeadLetter { id }];
        let append = Append { inbox: Some(entry), takes, ..Append::new(metadata) };
        match self.ledger.append(append).await {
            // What was handled is in the inbox already.
            Err(AppendError::Handled) => self.ledger.discard_dead_letter(id).await,
            Err(AppendError::Store(error)) => Err(error),
            Ok(_)
            | Err(
                AppendError::Gone
                | AppendError::Conflict { .. }
                | AppendError::Answered
                | AppendError::Claimed { .. },
            ) => Ok(()),
        }
    }

    /// Waits before something is written again that could not be written. True
    /// if the process goes down first.
    async fn goes_down(&self, error: &StoreError, failures: &mut u32) -> bool {
        let consumer = self.handler.name();
        warn!(consumer, error = chain(error), "dead letters cannot be kept");
        *failures += 1;
        select! {
            () = self.shutdown.cancelled() => true,
            () = time::sleep(self.options.backoff.after(*failures)) => false,
        }
    }
}

/// Tries a message until it is handled or has to be parked.
async fn attempt<H: Handler>(
    handler: Arc<H>,
    options: ConsumerOptions,
    shutdown: CancellationToken,
    count: Failures,
    key: Uuid,
    mut delivery: Delivery,
) -> Finished {
    let mut failures = 0;
    let message = Arc::clone(&delivery.message);
    let (took, result) = loop {
        delivery.attempt += 1;
        let (tried, began) = (delivery.attempt, Instant::now());
        let mut span = processed(&mut delivery, &message);
        let work = async { handler.handle(&delivery).await }.instrument(log_span(&span));
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        let took = began.elapsed();
        count.count(outcome.as_ref().ok());
        match &outcome {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => span.fail(failure.kind()),
            Err(_) => span.fail("panic"),
        }
        drop(span);
        let parking = |reason, interrupted| {
            let attempts = i32::try_from(tried).unwrap_or(i32::MAX);
            (took, Err(Parking { reason, attempts, interrupted }))
        };
        match outcome {
            Ok(Ok(())) => break (took, Ok(())),
            Ok(Err(Failure::Poison(reason))) => break parking(reason, false),
            Err(panic) => break parking(panicked(&*panic), false),
            Ok(Err(Failure::Failed(reason))) => {
                failures += 1;
                if failures >= options.attempts {
                    break parking(reason, false);
                }
                debug!(consumer = handler.name(), reason, "message failed, trying again");
            }
            Ok(Err(Failure::Unavailable(reason))) => {
                warn!(consumer = handler.name(), reason, "cannot handle messages now");
            }
        }
        select! {
            () = shutdown.cancelled() => break parking(String::new(), true),
            () = time::sleep(options.backoff.after(tried)) => {}
        }
    };
    Finished { key, delivery, took, result }
}

/// The span of one try. What the handler writes follows from it.
fn processed(delivery: &mut Delivery, message: &Arc<Recorded>) -> Span {
    let name = || format!("process {}", message.name);
    let mut span = message.follow(SpanKind::Consumer, name);
    if let Some(traceparent) = span.traceparent() {
        span.set("messaging.operation.name", "process");
        span.set("messaging.operation.type", "process");
        span.set("messaging.consumer.group.name", delivery.consumer);
        span.set("attempt", delivery.attempt);
        wire::describe(&mut span, message);
        let mut retraced = Recorded::clone(message);
        retraced.retrace(&traceparent);
        delivery.message = Arc::new(retraced);
    }
    span
}

/// What says in the log to which trace a line belongs.
fn log_span(span: &Span) -> tracing::Span {
    let traceparent = span.traceparent();
    match traceparent.as_deref().and_then(trace::ids) {
        Some((trace, span)) => info_span!("process", trace.id = trace, span.id = span),
        None => tracing::Span::none(),
    }
}

/// What a handler said when it panicked.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(
        || "the handler panicked".to_owned(),
        |text| format!("the handler panicked: {text}"),
    )
}

/// An error with all its sources, for logs.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
