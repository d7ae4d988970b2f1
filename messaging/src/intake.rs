//! Where a consumer's messages come from: the ledger itself, or JetStream with
//! the ledger underneath.
//!
//! Either way they come in ledger order and none is missing. What JetStream
//! delivers names the message before it; if that one has not been seen, what
//! lies between is read from the ledger. If JetStream falls silent while the
//! ledger grows, the ledger is followed until JetStream keeps up again. So
//! nothing that happens to NATS or its data costs more than time.

mod feed;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use mallbots_eventstore::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
};
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use self::feed::{Brought, Deliveries, Received, Seat};
pub use self::feed::{Feeds, Receipts};
use crate::{
    nats::{Connection, Nats},
    ranges::{self, Range},
    streams::StreamOptions,
    wire,
};

/// How messages get from the ledger to whoever acts on them.
#[derive(Debug, Clone, Default)]
pub enum Carrier {
    /// They are read from the ledger.
    #[default]
    Ledger,
    /// JetStream brings them.
    JetStream(Arc<JetStream>),
}

impl From<JetStream> for Carrier {
    fn from(jetstream: JetStream) -> Self {
        Self::JetStream(Arc::new(jetstream))
    }
}

/// What it takes to receive from JetStream.
#[derive(Debug, Clone)]
pub struct JetStream {
    /// The connection.
    pub nats: Nats,
    /// The stream, in case it has to be made.
    pub stream: StreamOptions,
    /// How long a message may be in the ledger without being delivered before
    /// it is taken from there.
    pub patience: Duration,
    /// What those who take in the same here share.
    pub feeds: Feeds,
}

impl JetStream {
    /// Receives over this connection, with a second's patience.
    #[must_use]
    pub fn new(nats: Nats, stream: StreamOptions) -> Self {
        Self { nats, stream, patience: Duration::from_secs(1), feeds: Feeds::default() }
    }
}

/// The part of the ledger that is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everything.
    Whole,
    /// The range with this number.
    Range(u8),
}

impl Part {
    /// Its partitions.
    #[must_use]
    pub const fn range(self) -> Range {
        match self {
            Self::Whole => Range::WHOLE,
            Self::Range(number) => Range::number(number),
        }
    }

    /// Whether a message belongs to it.
    #[must_use]
    pub const fn has(self, message: &Recorded) -> bool {
        match self {
            Self::Whole => true,
            Self::Range(number) => ranges::of(message.partition()) == number,
        }
    }
}

/// Where messages came from, counted.
#[derive(Debug, Default)]
pub struct Origins {
    delivered: AtomicU64,
    read: AtomicU64,
}

impl Origins {
    /// How many messages JetStream brought in time.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// How many were read from the ledger.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// A reader that never skips within its part.
pub struct Intake {
    ledger: Ledger,
    part: Part,
    /// Everything of the part up to here was returned.
    reached: Position,
    origins: Arc<Origins>,
    delivery: Option<Delivery>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, reached, .. } = self;
        f.debug_struct("Intake").field("part", part).field("reached", reached).finish()
    }
}

/// How many messages are read from the ledger at once when it is far ahead.
const PAGE: u32 = 512;
/// Farther behind than this, a range is read by itself and not with the others.
const FAR: i64 = 2_048;

impl Intake {
    /// Takes in a part behind a position, as the group of this name.
    #[must_use]
    pub fn open(
        ledger: &Ledger,
        carrier: &Carrier,
        group: &str,
        part: Part,
        behind: Position,
    ) -> Self {
        let origins = Arc::new(Origins::default());
        let delivery = match carrier {
            Carrier::Ledger => None,
            Carrier::JetStream(jetstream) => {
                Some(Delivery::open(ledger, jetstream, group, part, behind))
            }
        };
        Self { ledger: ledger.clone(), part, reached: behind, origins, delivery }
    }

    /// Everything of its part up to here was returned. It also moves without
    /// messages, when there are none.
    #[must_use]
    pub const fn reached(&self) -> Position {
        self.reached
    }

    /// Counts where its messages come from together with others.
    #[must_use]
    pub fn counting(mut self, origins: Arc<Origins>) -> Self {
        self.origins = origins;
        self
    }

    /// Where its messages came from.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Says that everything up to here has taken effect.
    pub fn done(&self, to: Position) {
        self.receipts().done(to);
    }

    /// Where to say that, for whoever hands what is taken in on to another.
    #[must_use]
    pub fn receipts(&self) -> Receipts {
        Receipts(self.delivery.as_ref().map(|delivery| Arc::clone(&delivery.done)))
    }

    /// Waits for what comes next: some messages, about as many as `limit` at
    /// most, or none when it only turned out that there are none up to where
    /// it has reached. A call that is dropped has consumed nothing.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let limit = limit.max(1);
        let Some(delivery) = &mut self.delivery else {
            return self.follow(limit).await;
        };
        if let Some(error) = self.ledger.went_back() {
            return Err(error);
        }
        if delivery.stalled {
            // So that it can show that it keeps up, however much is read.
            for _ in 0..limit {
                if delivery.held.is_some() {
                    break;
                }
                let Some(Some(brought)) = delivery.feed.next().now_or_never() else { break };
                delivery.held = delivery.heard(brought, self.reached);
            }
            delivery.is_ahead_of(self.part, self.reached);
        }
        let mut due = delivery.due(self.reached);
        loop {
            if delivery.stalled && matches!(due, Due::At(_)) {
                return self.heal(limit).await;
            }
            if let Some(received) = &delivery.held {
                let received = received.clone();
                return self.place(received, limit).await;
            }
            let wait = async {
                match due {
                    Due::At(instant) | Due::Glance(instant) => sleep_until(instant).await,
                    Due::Nothing => std::future::pending().await,
                }
            };
            select! {
                biased;
                Some(brought) = delivery.feed.next() => {
                    delivery.held = delivery.heard(brought, self.reached);
                }
                Ok(()) = delivery.connection.changed() => {}
                Ok(()) = delivery.head.changed(), if due == Due::Nothing => {}
                () = wait => match due {
                    Due::Glance(_) => {
                        delivery.glanced = true;
                        let range = self.part.range();
                        let quiet = self.ledger.quiet_until(range.partitions(), self.reached);
                        if quiet > self.reached {
                            self.reached = quiet;
                            return Ok(Vec::new());
                        }
                    }
                    Due::At(_) | Due::Nothing => return self.heal(limit).await,
                }
            }
            due = delivery.due(self.reached);
        }
    }

    /// Reads what follows from the ledger, with all others who do.
    async fn follow(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let ahead = self.ledger.head().0 - self.reached.0;
        if matches!(self.part, Part::Range(_)) && ahead > FAR {
            let head = self.ledger.head();
            return self.read(head, limit).await;
        }
        let mut tail = self.ledger.tail(self.reached);
        let mut messages = tail.next(limit).await?;
        self.reached = tail.after();
        let part = self.part;
        if part != Part::Whole {
            messages.retain(|message| part.has(message));
        }
        self.count_read(&messages);
        Ok(messages)
    }

    /// Reads the part from the ledger, up to a position.
    async fn read(&mut self, to: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX).min(PAGE);
        let partitions = self.part.range().partitions().clone();
        let messages = self.ledger.read_partitions(partitions, self.reached, to, limit).await?;
        self.reached = match messages.last() {
            Some(last) if messages.len() >= limit as usize => last.position,
            Some(_) | None => to,
        };
        self.count_read(&messages);
        Ok(messages)
    }

    fn count_read(&self, messages: &[Arc<Recorded>]) {
        self.origins.read.fetch_add(messages.len() as u64, Ordering::Relaxed);
    }

    /// JetStream has not brought in time what is in the ledger, if that is
    /// any of this part's.
    async fn heal(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let Some(delivery) = &mut self.delivery else { return Ok(Vec::new()) };
        if delivery.stalled || !delivery.is_connected() {
            delivery.stalled = true;
            return self.follow(limit).await;
        }
        let to = delivery.mark;
        let messages = self.read(to, limit).await?;
        if let Some(delivery) = &mut self.delivery {
            // What could not be read was there at least.
            if !delivery.hastened && !messages.is_empty() {
                debug!(consumer = delivery.name, "not delivered in time, following the ledger");
                delivery.stalled = true;
            }
            delivery.hastened = false;
        }
        Ok(messages)
    }

    /// Puts a message that was received where it belongs: behind what is
    /// missing before it.
    async fn place(
        &mut self,
        received: Received,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let Some(delivery) = &mut self.delivery else { return Ok(Vec::new()) };
        // Another way was faster.
        if received.position <= self.reached {
            delivery.held = None;
            return Ok(Vec::new());
        }
        let shift = received.shift();
        let is_known = delivery.shift == Some(shift) && received.position <= self.ledger.head();
        if !is_known {
            // The first of its kind: a message somebody else has put in, or
            // the stream was made again.
            let before = Position(received.position.0 - 1);
            let partitions = self.part.range().partitions().clone();
            let found = self.ledger.read_partitions(partitions, before, received.position, 1);
            let found = found.await?;
            if !found.first().is_some_and(|found| wire::is_same(&received.message, found)) {
                warn!(
                    consumer = delivery.name,
                    position = received.position.0,
                    sequence = received.sequence,
                    "a message that is not the ledger's is on JetStream"
                );
                delivery.held = None;
                return Ok(Vec::new());
            }
            delivery.shift = Some(shift);
        }
        let before = Position(received.position.0 - 1);
        if received.previous_in(self.part) > self.reached {
            let messages = self.read(before, limit).await?;
            // Everything before it may be there now; it is looked at again.
            return Ok(messages);
        }
        let mut messages = Vec::new();
        delivery.held = None;
        self.reached = received.position;
        messages.push(received.message);
        // Whatever else is there already.
        while messages.len() < limit
            && let Some(Some(brought)) = delivery.feed.next().now_or_never()
        {
            let Some(received) = delivery.heard(brought, self.reached) else { continue };
            if delivery.shift != Some(received.shift())
                || received.position > self.ledger.head()
                || received.previous_in(self.part) > self.reached
            {
                delivery.held = Some(received);
                break;
            }
            self.reached = received.position;
            messages.push(received.message);
        }
        self.origins.delivered.fetch_add(messages.len() as u64, Ordering::Relaxed);
        if messages.len() >= limit / 4 {
            // It brings more than is asked for: if this reader is behind, that
            // is not for want of messages.
            delivery.marked_at = Instant::now();
        }
        Ok(messages)
    }
}

/// What JetStream brings, and how far it can be relied on.
struct Delivery {
    name: String,
    feed: Deliveries,
    head: watch::Receiver<Position>,
    connection: watch::Receiver<Connection>,
    done: Arc<Seat>,
    patience: Duration,
    /// What was received and stands behind something that is missing.
    held: Option<Received>,
    /// How far positions are ahead of the stream's sequences, as checked.
    shift: Option<i64>,
    /// Where the ledger's head was some time ago, and when.
    mark: Position,
    marked_at: Instant,
    /// Whether it was seen without asking that nothing is missing up to there.
    glanced: bool,
    /// Something that was received could not be read: it is looked for at once.
    hastened: bool,
    /// JetStream does not keep up: the ledger is followed instead.
    stalled: bool,
}

/// When to look into the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// There is nothing in it that was not returned.
    Nothing,
    /// Into what this process knows of it.
    Glance(Instant),
    /// Into itself.
    At(Instant),
}

impl Delivery {
    fn open(
        ledger: &Ledger,
        jetstream: &JetStream,
        group: &str,
        part: Part,
        behind: Position,
    ) -> Self {
        let (feed, done) = feed::join(jetstream, group, part, behind);
        Self {
            name: match part {
                Part::Whole => group.to_owned(),
                Part::Range(number) => format!("{group}-{number}"),
            },
            feed,
            head: ledger.subscribe(),
            connection: jetstream.nats.connection(),
            done,
            patience: jetstream.patience,
            held: None,
            shift: None,
            mark: Position(0),
            marked_at: Instant::now(),
            glanced: false,
            hastened: false,
            // Until it has shown that it keeps up.
            stalled: true,
        }
    }

    fn is_connected(&self) -> bool {
        *self.connection.borrow() == Connection::Connected
    }

    /// When to look into the ledger for what was not delivered.
    fn due(&mut self, reached: Position) -> Due {
        let head = *self.head.borrow_and_update();
        let now = Instant::now();
        let is_old = self.stalled && self.marked_at + self.patience < now;
        if head > reached && (reached >= self.mark || is_old) {
            self.mark = head;
            self.marked_at = now;
            self.glanced = false;
        }
        if head <= reached {
            Due::Nothing
        } else if self.stalled || !self.is_connected() {
            Due::At(now)
        } else if self.hastened {
            Due::At(self.marked_at + self.patience / 40)
        } else if self.glanced {
            Due::At(self.marked_at + self.patience)
        } else {
            Due::Glance(self.marked_at + self.patience / 40)
        }
    }

    /// Learns from what is held that JetStream brings what comes next: then it
    /// is not JetStream that is behind, and the ledger need not be read as well.
    fn is_ahead_of(&mut self, part: Part, reached: Position) {
        let comes_next =
            self.held.as_ref().is_some_and(|received| received.previous_in(part) <= reached);
        if comes_next && self.is_connected() {
            debug!(consumer = self.name, "what comes next is delivered");
            self.stalled = false;
            self.marked_at = Instant::now();
        }
    }

    /// Learns from what was brought how JetStream does, and keeps what is new.
    fn heard(&mut self, brought: Brought, reached: Position) -> Option<Received> {
        let position = match &brought {
            Brought::Message(received) => received.position,
            Brought::Known(position) => *position,
            Brought::Unreadable => {
                self.hastened = true;
                return None;
            }
        };
        if self.stalled
            && position >= self.mark
            && self.marked_at.elapsed() < self.patience
            && self.is_connected()
        {
            debug!(consumer = self.name, "delivered in time again");
            self.stalled = false;
        }
        match brought {
            Brought::Message(received) if position > reached => Some(received),
            Brought::Message(_) | Brought::Known(_) | Brought::Unreadable => None,
        }
    }
}
