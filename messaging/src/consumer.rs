//! The engine under every handler: reads the ledger's tail, hands out each
//! message once, in order within a key and side by side across keys, tries
//! again what broke, and parks what cannot be handled together with all that
//! comes after it under the same key.
//!
//! A handler commits its inbox entry with its effects, so a message that is
//! delivered twice takes effect once. The checkpoint only says from where to
//! read after a restart: it follows behind the lowest message still at work.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use mallbots_domain::id::{DeadLetterId, EntityId, PARTITIONS};
use mallbots_eventstore::{
    append::{InboxEntry, Take},
    dead_letters::{DeadLetter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    error::{CommandError, StoreError},
    ledger::{Ledger, Moment},
    message::{Position, Recorded},
    unit::Unit,
};
use tokio::{select, sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::{dead_letters::Control, envelope, retry::Backoff};

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
    consumer: &'static str,
    dead_letter: Option<DeadLetterId>,
}

impl Delivery {
    /// Writes into the unit that the message was handled, so that it cannot be
    /// handled again.
    pub fn accept(&self, unit: &mut Unit<'_>) {
        match self.dead_letter {
            Some(id) => unit.take(Take::DeadLetter { id }),
            None => unit.inbox(InboxEntry {
                consumer: self.consumer,
                message_id: self.message.message_id,
                position: self.message.position,
            }),
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

/// A message that was handled before is handled; a refusal nobody can answer
/// is poison; what broke may mend.
pub fn outcome<T>(result: Result<T, CommandError>) -> Result<(), Failure> {
    match result {
        Ok(_) | Err(CommandError::Handled | CommandError::Gone) => Ok(()),
        Err(CommandError::Refused(refusal)) => {
            Err(Failure::Poison(format!("{}: {refusal}", refusal.reason)))
        }
        Err(error @ CommandError::KeyReused) => Err(Failure::Poison(error.to_string())),
        Err(CommandError::Store(error @ StoreError::Undecodable { .. })) => {
            Err(Failure::Poison(chain(&error)))
        }
        Err(error @ (CommandError::Contended | CommandError::Store(_))) => {
            Err(Failure::Unavailable(chain(&error)))
        }
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
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            window: 4096,
            concurrency: 128,
            attempts: 5,
            backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) },
            checkpoint_every: Duration::from_secs(1),
        }
    }
}

/// Runs a handler until shutdown. `progress` says up to where everything is
/// handled or parked.
pub async fn run<H: Handler>(
    ledger: Ledger,
    handler: Arc<H>,
    options: ConsumerOptions,
    progress: watch::Sender<Position>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let name = handler.name();
    let checkpoints = ledger.checkpoints(name).await?;
    let at = |partition: u8| checkpoints.get(usize::from(partition)).copied().unwrap_or_default();
    let start = checkpoints.iter().min().copied().unwrap_or_default();
    let parked =
        ledger.parked_keys(name).await?.iter().filter_map(|key| key.parse().ok()).collect();
    info!(consumer = name, position = start.0, "consumer starts");

    let mut tail = ledger.tail(start);
    let mut desk = Desk {
        ledger: ledger.clone(),
        handler,
        options: options.clone(),
        shutdown: shutdown.clone(),
        parked,
        queues: HashMap::new(),
        ready: VecDeque::new(),
        running: FuturesUnordered::new(),
        open: BTreeSet::new(),
        read_to: start,
    };
    let mut saved = start;
    progress.send_replace(start);
    let mut save = time::interval(options.checkpoint_every);
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
            Some(finished) = desk.running.next() => desk.finish(finished).await,
            _ = save.tick() => {
                saved = save_checkpoint(&ledger, name, saved, desk.done_to()).await;
            }
            batch = tail.next(512), if desk.open.len() < options.window => match batch {
                Ok(batch) => for message in batch {
                    let seen = at(message.partition());
                    desk.take(message, seen).await;
                },
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
    while let Some(finished) = desk.running.next().await {
        desk.finish(finished).await;
    }
    save_checkpoint(&ledger, name, saved, desk.done_to()).await;
    info!(consumer = name, position = desk.done_to().0, "consumer stopped");
    Ok(())
}

async fn save_checkpoint(
    ledger: &Ledger,
    name: &'static str,
    saved: Position,
    done_to: Position,
) -> Position {
    if done_to == saved {
        return saved;
    }
    let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, done_to)).collect();
    match ledger.save_checkpoints(name, &all).await {
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
    /// Keys whose messages are parked.
    parked: HashSet<Uuid>,
    /// What waits, by key. A key with a queue is at work or ready.
    queues: HashMap<Uuid, VecDeque<Delivery>>,
    /// Keys that could be worked on.
    ready: VecDeque<Uuid>,
    running: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Positions not yet dealt with.
    open: BTreeSet<Position>,
    read_to: Position,
}

struct Finished {
    key: Uuid,
    delivery: Delivery,
    result: Result<(), Parking>,
}

/// Why a message is parked.
struct Parking {
    reason: String,
    attempts: i32,
    /// The process is going down: leave the message for the next one.
    interrupted: bool,
}

impl<H: Handler> Desk<H> {
    /// Everything up to here is handled or parked.
    fn done_to(&self) -> Position {
        self.open.first().map_or(self.read_to, |first| Position(first.0 - 1))
    }

    /// Takes a message that was read.
    async fn take(&mut self, message: Arc<Recorded>, seen: Position) {
        self.read_to = message.position;
        if message.position <= seen {
            return;
        }
        if let Some(control) = Control::of(&message, self.handler.name()) {
            return self.control(control).await;
        }
        let Some(key) = self.handler.key(&message) else { return };
        let consumer = self.handler.name();
        let delivery = Delivery { message, consumer, dead_letter: None };
        self.open.insert(delivery.message.position);
        if self.parked.contains(&key) {
            self.park(key, delivery, "waits behind an earlier message", 0).await;
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
        while self.running.len() < self.options.concurrency
            && let Some(key) = self.ready.pop_front()
        {
            match self.queues.get_mut(&key).and_then(VecDeque::pop_front) {
                Some(delivery) => self.running.push(
                    attempt(
                        Arc::clone(&self.handler),
                        self.options.clone(),
                        self.shutdown.clone(),
                        key,
                        delivery,
                    )
                    .boxed(),
                ),
                None => {
                    self.queues.remove(&key);
                }
            }
        }
    }

    async fn finish(&mut self, Finished { key, delivery, result }: Finished) {
        match result {
            Ok(()) => {
                if let Some(id) = delivery.dead_letter {
                    settle(&self.ledger, id).await;
                }
                self.open.remove(&delivery.message.position);
                let names = [self.handler.name(), &delivery.message.name];
                self.ledger.reached(Moment::Handled, &names);
                self.ready.push_back(key);
            }
            Err(Parking { interrupted: true, .. }) => {}
            Err(Parking { reason, attempts, interrupted: false }) => {
                self.parked.insert(key);
                self.park(key, delivery, &reason, attempts).await;
                for behind in self.queues.remove(&key).unwrap_or_default() {
                    self.park(key, behind, "waits behind an earlier message", 0).await;
                }
            }
        }
    }

    /// Parks a message. Until that is written down, nothing else goes on.
    async fn park(&mut self, key: Uuid, delivery: Delivery, reason: &str, attempts: i32) {
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
            id: DeadLetterId::from_uuid(envelope::derived(message.message_id, consumer)),
            consumer: consumer.to_owned(),
            key: key.to_string(),
            position: message.position,
            message_id: message.message_id,
            reason: reason.to_owned(),
            attempts,
            first_failed_at: self.ledger.now(),
            payload_override: None,
        };
        if let Some(id) = delivery.dead_letter {
            failed_again(&self.ledger, id, reason, attempts).await;
            self.open.remove(&delivery.message.position);
            return;
        }
        let mut failures = 0;
        while let Err(error) = self.ledger.park(&letter).await {
            failures += 1;
            warn!(consumer, error = chain(&error), "a message could not be parked");
            select! {
                // Read again after the restart.
                () = self.shutdown.cancelled() => return,
                () = time::sleep(self.options.backoff.after(failures)) => {}
            }
        }
        self.open.remove(&delivery.message.position);
    }

    /// An operator wants a dead letter retried or discarded: what is parked
    /// under its key goes back to work, in order.
    async fn control(&mut self, control: Control) {
        let consumer = self.handler.name();
        if let Control::Discard { id, .. } = control {
            settle(&self.ledger, id).await;
        }
        let key = control.key();
        let filter =
            DeadLetterFilter { consumer: Some(consumer.to_owned()), key: Some(key.to_string()) };
        let all = DeadLetterPage { after: None, limit: u32::MAX >> 1 };
        let letters = match self.ledger.dead_letters(&filter, all).await {
            Ok(letters) => letters,
            Err(error) => {
                warn!(consumer, error = chain(&error), "dead letters cannot be read");
                return;
            }
        };
        if !letters.is_empty() && self.queues.contains_key(&key) {
            debug!(consumer, "the key is at work already");
            return;
        }
        self.parked.remove(&key);
        for letter in letters {
            match self.ledger.message(letter.message_id).await {
                Ok(Some(mut message)) => {
                    if let Some(payload) = letter.payload_override {
                        Arc::make_mut(&mut message).payload = payload.into();
                    }
                    let dead_letter = Some(letter.id);
                    self.enqueue(key, Delivery { message, consumer, dead_letter });
                }
                Ok(None) => settle(&self.ledger, letter.id).await,
                Err(error) => {
                    warn!(consumer, error = chain(&error), "a dead letter cannot be read");
                    self.parked.insert(key);
                    return;
                }
            }
        }
    }
}

/// A dead letter that was tried again failed again: it stays, with what went
/// wrong this time. One that only waited behind it stays as it was.
async fn failed_again(ledger: &Ledger, id: DeadLetterId, reason: &str, attempts: i32) {
    if attempts == 0 {
        return;
    }
    let change = DeadLetterChange {
        reason: Some(reason.to_owned()),
        attempts: Some(attempts),
        payload_override: None,
    };
    if let Err(error) = ledger.update_dead_letter(id, &change).await {
        warn!(error = chain(&error), "a dead letter was not brought up to date");
    }
}

async fn settle(ledger: &Ledger, id: DeadLetterId) {
    if let Err(error) = ledger.discard_dead_letter(id).await {
        warn!(error = chain(&error), "a settled dead letter was left behind");
    }
}

/// Tries a message until it is handled or has to be parked.
async fn attempt<H: Handler>(
    handler: Arc<H>,
    options: ConsumerOptions,
    shutdown: CancellationToken,
    key: Uuid,
    delivery: Delivery,
) -> Finished {
    let mut failures = 0;
    let mut tried = 0;
    let result = loop {
        tried += 1;
        let handled = AssertUnwindSafe(handler.handle(&delivery)).catch_unwind().await;
        let parking = |reason, interrupted| {
            let attempts = i32::try_from(tried).unwrap_or(i32::MAX);
            Err(Parking { reason, attempts, interrupted })
        };
        match handled {
            Ok(Ok(())) => break Ok(()),
            Ok(Err(Failure::Poison(reason))) => break parking(reason, false),
            Err(_) => break parking("the handler panicked".to_owned(), false),
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
    Finished { key, delivery, result }
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
