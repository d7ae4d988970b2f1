//! What JetStream brings. All who take the same range in share one consumer
//! within a process: each message crosses the network and is taken apart once,
//! however many groups of consumers there are.
//!
//! Who does not keep up with the others misses what the queue has no place for,
//! and finds it in the ledger, like everything else that is missing.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_nats::jetstream::{Message, consumer::pull};
use futures_util::{Stream, StreamExt, stream};
use mallbots_eventstore::message::{Position, Recorded};
use tokio::{
    select,
    sync::{broadcast, watch},
    task::JoinSet,
    time::sleep,
};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{JetStream, Part};
use crate::{
    consumer::chain,
    nats::{Connection, Nats},
    ranges::Range,
    retry::Backoff,
    streams::{Durable, StreamOptions, StreamsError, ensure_consumer},
    wire::{self, Decoded},
};

/// What JetStream brings.
#[derive(Debug, Clone)]
pub(super) enum Brought {
    /// Something that may be new.
    Message(Received),
    /// What has taken effect already.
    Known(Position),
    /// Something that is not as it was published.
    Unreadable,
}

/// A message that JetStream has brought.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) position: Position,
    previous: Position,
    pub(super) sequence: u64,
    pub(super) message: Arc<Recorded>,
}

impl Received {
    /// The position of the one before it in a part.
    pub(super) const fn previous_in(&self, part: Part) -> Position {
        match part {
            Part::Whole => Position(self.position.0 - 1),
            Part::Range(_) => self.previous,
        }
    }

    /// How far its position is ahead of its place in the stream.
    pub(super) fn shift(&self) -> i64 {
        self.position.0 - i64::try_from(self.sequence).unwrap_or(i64::MAX)
    }
}

/// Where it is said what has taken effect, so that JetStream need not bring it
/// again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Receipts(pub(super) Option<Arc<Seat>>);

impl Receipts {
    /// Says that everything up to here has taken effect.
    pub fn done(&self, to: Position) {
        if let Some(seat) = &self.0 {
            seat.floor.change(|seats| {
                if let Some(done) = seats.get_mut(&seat.number) {
                    *done = to.max(*done);
                }
            });
        }
    }
}

/// How far everybody is who has a part in a feed.
#[derive(Debug)]
struct Floor {
    seats: Mutex<BTreeMap<u64, Position>>,
    /// What has taken effect with all of them.
    all: watch::Sender<Position>,
}

impl Floor {
    fn new(behind: Position) -> Arc<Self> {
        Arc::new(Self { seats: Mutex::default(), all: watch::Sender::new(behind) })
    }

    fn seat(self: &Arc<Self>, behind: Position) -> Arc<Seat> {
        let mut number = 0;
        self.change(|seats| {
            number = seats.last_key_value().map_or(0, |(last, _)| last + 1);
            seats.insert(number, behind);
        });
        Arc::new(Seat { floor: Arc::clone(self), number })
    }

    /// It only rises: what was acknowledged stays so.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Position>)) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seats);
        let Some(least) = seats.values().min().copied() else { return };
        self.all.send_if_modified(|all| {
            let rises = least > *all;
            *all = least.max(*all);
            rises
        });
    }
}

/// A part in a feed, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    floor: Arc<Floor>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.floor.change(|seats| {
            seats.remove(&self.number);
        });
    }
}

/// What is brought to one who takes it in.
pub(super) type Deliveries = Pin<Box<dyn Stream<Item = Brought> + Send>>;

/// The feeds of this process that several share. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    /// What tells this process's consumers from those of others.
    owner: Uuid,
    ranges: Arc<Mutex<HashMap<u8, Weak<Shared>>>>,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { owner: Uuid::now_v7(), ranges: Arc::default() }
    }
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeds").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A feed that somebody drives as long as anybody has a part in it.
struct Shared {
    floor: Arc<Floor>,
    brought: broadcast::Sender<Brought>,
    _driver: JoinSet<()>,
}

/// How many messages wait for one who is slower than the others.
const QUEUE: usize = 1_024;
/// So many messages may wait for the acknowledgment of the slowest who share;
/// then it no longer counts: it finds them in the ledger.
const UNACKNOWLEDGED: usize = 8_192;
/// After so long the server forgets the consumers of a process that is gone.
const FORGOTTEN: Duration = Duration::from_mins(5);

/// What JetStream brings a group that has everything up to a position, and
/// where to say what has taken effect. Needs a runtime to be driven by.
pub(super) fn join(
    jetstream: &JetStream,
    group: &str,
    part: Part,
    behind: Position,
) -> (Deliveries, Arc<Seat>) {
    match part {
        Part::Whole => {
            let durable = Durable {
                name: group.to_owned(),
                subjects: Vec::new(),
                behind,
                forgotten_after: None,
            };
            let floor = Floor::new(behind);
            let seat = floor.seat(behind);
            let feed = Feed::new(jetstream, durable, &floor, usize::MAX);
            let brought = stream::unfold(feed, |mut feed| async {
                let brought = feed.next().await;
                Some((brought, feed))
            });
            (brought.boxed(), seat)
        }
        Part::Range(number) => {
            let shared = share(jetstream, number, behind);
            let seat = shared.floor.seat(behind);
            let queue = shared.brought.subscribe();
            let brought = stream::unfold((queue, shared), |(mut queue, shared)| async {
                loop {
                    match queue.recv().await {
                        Ok(brought) => return Some((brought, (queue, shared))),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            });
            (brought.boxed(), seat)
        }
    }
}

/// The feed of a range, begun by the first who asks for it.
fn share(jetstream: &JetStream, number: u8, behind: Position) -> Arc<Shared> {
    let Feeds { owner, ranges } = &jetstream.feeds;
    let mut ranges = ranges.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = ranges.get(&number).and_then(Weak::upgrade) {
        return shared;
    }
    let durable = Durable {
        name: format!("post-{}-{number}", owner.simple()),
        subjects: wire::subjects_of(&Range::number(number)),
        behind,
        forgotten_after: Some(FORGOTTEN),
    };
    let floor = Floor::new(behind);
    let mut feed = Feed::new(jetstream, durable, &floor, UNACKNOWLEDGED);
    let (brought, _) = broadcast::channel(QUEUE);
    let mut driver = JoinSet::new();
    let to = brought.clone();
    driver.spawn(async move {
        loop {
            // Nobody may be there to hear it, just now.
            let _ = to.send(feed.next().await);
        }
    });
    let shared = Arc::new(Shared { floor, brought, _driver: driver });
    ranges.insert(number, Arc::downgrade(&shared));
    shared
}

/// A durable consumer, made again whenever it is gone.
struct Feed {
    nats: Nats,
    stream: StreamOptions,
    durable: Durable,
    done: watch::Receiver<Position>,
    messages: Option<pull::Stream>,
    /// Received and not acknowledged, by position.
    unacknowledged: BTreeMap<Position, Message>,
    /// So many of them, and then the oldest are acknowledged all the same.
    most: usize,
    failures: u32,
}

/// How many messages are asked for at a time: of everything by one reader, of
/// a range by each of many.
const BATCHES: [usize; 2] = [2_048, 512];
/// How long a request for messages stands.
const STANDS: Duration = Duration::from_secs(30);
/// How often the server says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(3);

impl Feed {
    fn new(jetstream: &JetStream, durable: Durable, floor: &Floor, most: usize) -> Self {
        Self {
            nats: jetstream.nats.clone(),
            stream: jetstream.stream.clone(),
            durable,
            done: floor.all.subscribe(),
            messages: None,
            unacknowledged: BTreeMap::new(),
            most,
            failures: 0,
        }
    }

    /// Waits for a message. A call that is dropped has lost nothing.
    async fn next(&mut self) -> Brought {
        loop {
            let Some(messages) = &mut self.messages else {
                if let Err(error) = self.begin().await {
                    self.failed(&error).await;
                }
                continue;
            };
            let message = select! {
                biased;
                message = messages.next() => message,
                Ok(()) = self.done.changed() => {
                    let done = *self.done.borrow_and_update();
                    self.acknowledge(done).await;
                    continue;
                }
            };
            match message {
                Some(Ok(message)) => {
                    return self.received(message).await;
                }
                Some(Err(error)) => {
                    debug!(consumer = self.durable.name, error = chain(&error), "made again");
                    self.messages = None;
                }
                None => self.messages = None,
            }
        }
    }

    async fn begin(&mut self) -> Result<(), StreamsError> {
        let mut connection = self.nats.connection();
        // The sender lives as long as the connection.
        let _ = connection.wait_for(|it| *it == Connection::Connected).await;
        self.durable.behind = *self.done.borrow();
        let consumer = ensure_consumer(&self.nats, &self.stream, &self.durable).await?;
        let [of_all, of_a_range] = BATCHES;
        let batch = if self.durable.subjects.is_empty() { of_all } else { of_a_range };
        let messages = consumer
            .stream()
            .max_messages_per_batch(batch)
            .expires(STANDS)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(StreamsError::unavailable)?;
        self.messages = Some(messages);
        self.failures = 0;
        Ok(())
    }

    async fn failed(&mut self, error: &StreamsError) {
        self.failures += 1;
        let consumer = &*self.durable.name;
        // Once, not with every try; what waiting cannot help is said again.
        if self.failures == 1 || !error.is_passing() {
            warn!(consumer, error = chain(error), "nothing is received");
        }
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(2) };
        sleep(backoff.after(self.failures)).await;
    }

    async fn received(&mut self, message: Message) -> Brought {
        let done = *self.done.borrow();
        let claimed = message.headers.as_ref().and_then(|headers| headers.get(wire::POSITION));
        let claimed = claimed.and_then(|position| position.as_str().parse().ok()).map(Position);
        if let Some(position) = claimed
            && position <= done
        {
            self.unacknowledged.insert(position, message);
            self.acknowledge(done).await;
            return Brought::Known(position);
        }
        let sequence = message.info().map(|info| info.stream_sequence).ok();
        match (wire::decode(&message), sequence) {
            (Ok(Decoded { recorded, previous }), Some(sequence)) => {
                let position = recorded.position;
                self.unacknowledged.insert(position, message);
                if self.unacknowledged.len() > self.most
                    && let Some(middle) = self.unacknowledged.keys().nth(self.most / 2).copied()
                {
                    self.acknowledge(middle).await;
                }
                let message = Arc::new(recorded);
                Brought::Message(Received { position, previous, sequence, message })
            }
            // The next one's acknowledgment covers it.
            (Ok(_), None) => Brought::Unreadable,
            (Err(error), _) => {
                let consumer = &*self.durable.name;
                debug!(consumer, error = chain(&error), "received what cannot be read");
                Brought::Unreadable
            }
        }
    }

    /// One acknowledgment covers everything before it.
    async fn acknowledge(&mut self, done: Position) {
        let rest = self.unacknowledged.split_off(&Position(done.0 + 1));
        let covered = std::mem::replace(&mut self.unacknowledged, rest);
        if let Some((_, last)) = covered.last_key_value()
            && self.nats.is_connected()
            && let Err(error) = last.ack().await
        {
            debug!(
                consumer = self.durable.name,
                error = &*error as &dyn std::error::Error,
                "not acknowledged"
            );
        }
    }
}
