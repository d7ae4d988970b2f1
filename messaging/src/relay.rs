//! The relay: publishes what the ledger holds on JetStream, in its order.
//!
//! The stream itself says how far it has come: its last message of ours does.
//! Each message is published on the condition that it becomes the one right
//! behind the one before it, by sequence and by id: two relays at once cannot
//! mix their messages, and nothing is published behind what was refused. Who is
//! refused looks again where the stream stands and goes on from there; that is
//! also the answer to everything else that can happen to a stream.
//!
//! One relay works at a time and others stand by, only so that nobody works in
//! vain. What is on the stream is never truth: a message that it does not take,
//! because it is too large, is announced without its content, and whoever needs
//! it reads it from the ledger.

mod stand;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::{
    HeaderValue,
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID},
    jetstream::{
        ErrorCode,
        context::{PublishAckFuture, PublishError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
    },
};
use futures_util::{FutureExt, future::BoxFuture};
use mallbots_eventstore::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
    tail::Tail,
    trace::{Span, SpanKind},
};
use tokio::{
    select,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::stand::Stand;
use crate::{
    consumer::chain,
    nats::{Connection, Nats},
    ranges::{self, RANGES},
    retry::Backoff,
    streams::{self, STREAM, Stream, StreamOptions, StreamsError},
    wire::{self, Encoded},
};

/// How many messages are read from the ledger at once.
const PAGE: usize = 256;
/// How many times as many are made ready ahead.
const AHEAD: usize = 2;

/// How the relay goes about it.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// What the stream should be like.
    pub stream: StreamOptions,
    /// How many messages may be under way that are not acknowledged.
    pub window: usize,
    /// How often a quiet stream is looked at: somebody may have emptied it.
    pub look_every: Duration,
    /// How long to wait after what went wrong.
    pub backoff: Backoff,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            stream: StreamOptions::default(),
            window: 256,
            look_every: Duration::from_secs(5),
            backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(2) },
        }
    }
}

/// What the relay is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// Another process relays.
    Standby,
    /// NATS is away.
    Disconnected,
    /// Looking where the stream stands.
    Looking,
    /// Publishing, or waiting for something to publish.
    Running,
    /// Something is in the way; it is tried again and again.
    Failing(String),
    /// The stream has what the ledger does not have: the ledger has lost some
    /// of its history. Nothing is published until somebody has seen to that.
    Halted(String),
}

/// How far the relay has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// The stream has everything up to here, as far as this process knows: one
    /// that stands by does not look.
    pub position: Position,
    /// Where the ledger ends.
    pub head: Position,
    /// How many messages this process has published.
    pub published: u64,
    /// How many of them it had published before.
    pub republished: u64,
    /// How many of them without their content, for it is too large.
    pub omitted: u64,
    /// What it is doing.
    pub state: RelayState,
}

impl RelayStatus {
    /// A relay that has not begun.
    #[must_use]
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            position: Position::default(),
            head: ledger.head(),
            published: 0,
            republished: 0,
            omitted: 0,
            state: RelayState::Standby,
        }
    }

    /// How many messages the stream does not have yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        u64::try_from(self.head.0 - self.position.0).unwrap_or_default()
    }
}

/// Relays while `active` is true, until shutdown or until nobody can say any
/// more whether it is: [`LeaseKeeper::hold`](crate::leases::LeaseKeeper::hold)
/// of one name in all processes makes it true in one of them.
pub async fn run(
    ledger: Ledger,
    nats: Nats,
    options: RelayOptions,
    active: watch::Receiver<bool>,
    status: watch::Sender<RelayStatus>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let told = status.clone();
    let mut head = ledger.subscribe();
    let following = async {
        while head.changed().await.is_ok() {
            let head = *head.borrow_and_update();
            told.send_modify(|status| status.head = head);
        }
    };
    let relay = Relay {
        ledger: ledger.clone(),
        nats,
        options,
        status,
        last: None,
        known: None,
        renewed: Position(0),
        farthest: Position(0),
        too_large: None,
    };
    select! {
        () = shutdown.cancelled() => Ok(()),
        // The ledger's tasks have ended: the process is going down.
        () = following => Ok(()),
        () = relay.work(active) => Ok(()),
    }
}

struct Relay {
    ledger: Ledger,
    nats: Nats,
    options: RelayOptions,
    status: watch::Sender<RelayStatus>,
    /// Where this relay has left the stream.
    last: Option<Stand>,
    /// A message the server knew.
    known: Option<Position>,
    /// The server remembers ids up to here whose messages it does not have.
    renewed: Position,
    /// The last message that this relay has ever published.
    farthest: Position,
    /// A message that the stream did not take.
    too_large: Option<Position>,
}

/// Why publishing ended.
#[derive(Debug)]
enum Trouble {
    /// The stream does not end where it should: somebody else published, or
    /// something is gone.
    Elsewhere,
    /// The server remembers this message, wherever it is.
    Known(Position),
    /// The stream does not take a message of this size.
    TooLarge(Position),
    /// The stream has more than the ledger, which has lost it.
    Ahead(String),
    /// It did not work, and may later.
    Failed(String),
    /// The process is going down.
    Closed,
}

impl Trouble {
    /// Which of them it is, for traces.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Known(_) => "known",
            Self::TooLarge(_) => "too large",
            Self::Ahead(_) => "ahead",
            Self::Failed(_) => "failed",
            Self::Closed => "closed",
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::Closed,
            StoreError::WentBack { .. } => Self::Ahead(chain(&error)),
            StoreError::Database(_)
            | StoreError::Undecodable { .. }
            | StoreError::Hole { .. }
            | StoreError::InUse { .. }
            | StoreError::File { .. } => Self::Failed(chain(&error)),
        }
    }
}

impl From<StreamsError> for Trouble {
    fn from(error: StreamsError) -> Self {
        Self::Failed(chain(&error))
    }
}

impl Relay {
    async fn work(mut self, mut active: watch::Receiver<bool>) {
        loop {
            self.tell(RelayState::Standby);
            if active.wait_for(|active| *active).await.is_err() {
                return;
            }
            info!("relaying");
            // Others may have relayed meanwhile.
            self.last = None;
            let lost = select! {
                () = self.relay() => return,
                lost = active.wait_for(|active| !*active) => lost,
            };
            info!("standing by");
            if lost.is_err() {
                // Whoever kept the lease is gone, and keeps none any more.
                self.tell(RelayState::Standby);
                return;
            }
        }
    }

    /// Relays until the process goes down.
    async fn relay(&mut self) {
        let mut connection = self.nats.connection();
        let mut failures = 0;
        loop {
            if *connection.borrow_and_update() == Connection::Disconnected {
                self.tell(RelayState::Disconnected);
                let connected = connection.wait_for(|it| *it == Connection::Connected).await;
                if connected.is_err() {
                    return;
                }
                failures = 0;
            }
            let before = self.status.borrow().published;
            let trouble = select! {
                trouble = self.publish() => trouble,
                _ = connection.wait_for(|it| *it == Connection::Disconnected) => continue,
            };
            // Whoever gets on has not failed again and again.
            failures = if self.status.borrow().published > before { 1 } else { failures + 1 };
            match trouble {
                Trouble::Closed => return,
                Trouble::Elsewhere => debug!("the stream stands elsewhere"),
                Trouble::Known(position) => self.known = Some(position),
                Trouble::TooLarge(position) => self.too_large = Some(position),
                Trouble::Ahead(reason) => self.halt(&reason),
                Trouble::Failed(reason) => self.fail(reason),
            }
            select! {
                () = sleep(self.options.backoff.after(failures)) => {}
                _ = connection.wait_for(|it| *it == Connection::Disconnected) => {}
            }
        }
    }

    fn tell(&self, state: RelayState) {
        self.status.send_if_modified(|status| {
            let changes = status.state != state;
            status.state = state;
            changes
        });
    }

    /// Says loudly, and once, that nothing more is published.
    fn halt(&self, reason: &str) {
        let state = RelayState::Halted(reason.to_owned());
        let is_new = self.status.borrow().state != state;
        if is_new {
            error!(reason, "nothing more is relayed: the ledger has lost some of its history");
        }
        self.tell(state);
    }

    fn fail(&self, reason: String) {
        let is_new = !matches!(self.status.borrow().state, RelayState::Failing(_));
        if is_new {
            warn!(error = reason, "the relay cannot go on");
        }
        self.tell(RelayState::Failing(reason));
    }

    /// Looks where the stream stands and publishes from there, until something
    /// is in the way.
    async fn publish(&mut self) -> Trouble {
        match self.try_publish().await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    async fn try_publish(&mut self) -> Result<std::convert::Infallible, Trouble> {
        // What went wrong stays visible until something goes well.
        if matches!(
            *self.status.borrow(),
            RelayStatus { state: RelayState::Standby | RelayState::Disconnected, .. }
        ) {
            self.tell(RelayState::Looking);
        }
        let stream = streams::ensure_stream(&self.nats, &self.options.stream).await?;
        let stand = stand::find(&self.ledger, &stream, self.last).await?;
        self.last = Some(stand);
        if self.known.take().is_some_and(|known| known > stand.position) {
            // It does not have what it remembers.
            self.renewed = self.ledger.head();
        }
        self.status.send_modify(|status| {
            status.position = stand.position;
            status.state = RelayState::Running;
        });
        let mut course = Course { sequence: stand.sequence, id: None };
        // Reading and encoding is half of the work, and need not wait for the
        // other half. It ends with this.
        let (fed, mut ready) = mpsc::channel(AHEAD);
        let mut feeding = JoinSet::new();
        feeding.spawn(Feed::new(self, stand.position).await?.run(fed));

        let mut waiting: VecDeque<Ready> = VecDeque::new();
        let mut window: VecDeque<UnderWay> = VecDeque::new();
        let every = self.options.look_every;
        let mut looks = interval_at(Instant::now() + every, every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while window.len() < self.options.window.max(1) {
                let Some(message) = waiting.pop_front() else { break };
                window.push_back(self.send(message, &mut course).await?);
            }
            let is_idle = window.is_empty();
            select! {
                biased;
                first = acknowledged(&mut window) => self.advance(first, &mut window)?,
                more = ready.recv(), if waiting.is_empty() => match more {
                    Some(messages) => waiting.extend(messages?),
                    None => return Err(Trouble::Closed),
                },
                _ = looks.tick(), if is_idle => self.look_at(&stream).await?,
            }
        }
    }

    /// Publishes a message right behind the last one.
    async fn send(&mut self, ready: Ready, course: &mut Course) -> Result<UnderWay, Trouble> {
        let Ready { message, previous, mut encoded, mut omits } = ready;
        let span = published(&message, &mut encoded);
        let mut id = encoded.headers.get(NATS_MESSAGE_ID).cloned();
        let ack = match self.try_send(encoded, course).await {
            Err(error) if is_too_large(&error) && !omits => {
                omits = true;
                let mut encoded = wire::encode_omitted(&message, previous);
                if let Some(id) = &id {
                    encoded.headers.insert(NATS_MESSAGE_ID, id.clone());
                }
                if let Some(traceparent) = span.traceparent() {
                    wire::put_trace(&mut encoded.headers, &traceparent);
                }
                self.try_send(encoded, course).await
            }
            done => done,
        };
        let ack = ack.map_err(|error| Trouble::Failed(chain(&error)))?;
        if omits {
            warn!(
                position = message.position.0,
                message.name,
                bytes = message.payload.len(),
                "a message is too large for nats: its readers take it from the ledger"
            );
        }
        course.id = id.take();
        course.sequence += 1;
        Ok(UnderWay { position: message.position, sequence: course.sequence, omits, ack, span })
    }

    async fn try_send(
        &self,
        encoded: Encoded,
        course: &Course,
    ) -> Result<BoxFuture<'static, Answer>, PublishError> {
        let Encoded { subject, mut headers, payload } = encoded;
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, course.sequence.to_string());
        if let Some(id) = &course.id {
            headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, id.clone());
        }
        let message = PublishMessage::build().headers(headers).payload(payload);
        let ack = self.nats.jetstream().send_publish(subject, message).await?;
        Ok(PublishAckFuture::into_future(ack))
    }

    /// Goes on to the last message up to which everything is acknowledged.
    fn advance(
        &mut self,
        first: (UnderWay, Answer),
        window: &mut VecDeque<UnderWay>,
    ) -> Result<(), Trouble> {
        let (mut sent, mut answer) = first;
        let (mut published, mut republished, mut omitted) = (0, 0, 0);
        let outcome = loop {
            if let Err(trouble) = judge(&sent, answer) {
                sent.span.fail(trouble.kind());
                break Err(trouble);
            }
            self.last = Some(Stand::at(sent.sequence, sent.position));
            published += 1;
            republished += u64::from(sent.position <= self.farthest);
            self.farthest = self.farthest.max(sent.position);
            omitted += u64::from(sent.omits);
            let Some(next) = window.front_mut() else { break Ok(()) };
            let Some(next) = (&mut next.ack).now_or_never() else { break Ok(()) };
            let Some(next_sent) = window.pop_front() else { break Ok(()) };
            (sent, answer) = (next_sent, next);
        };
        if published > 0 {
            self.status.send_modify(|status| {
                status.position = self.last.map_or(status.position, |last| last.position);
                status.published += published;
                status.republished += republished;
                status.omitted += omitted;
            });
        }
        outcome
    }

    /// Whether the stream is still as this relay has left it.
    async fn look_at(&self, stream: &Stream) -> Result<(), Trouble> {
        let state = stream.get_info().await.map_err(|error| {
            debug!(error = &error as &dyn std::error::Error, "the stream does not show itself");
            Trouble::Elsewhere
        })?;
        let is_as_left = self.last.is_some_and(|last| {
            state.state.last_sequence == last.sequence
                && (last.is_empty || state.state.messages > 0)
        });
        if is_as_left { Ok(()) } else { Err(Trouble::Elsewhere) }
    }
}

/// Where the next message goes.
struct Course {
    /// The sequence of the last message.
    sequence: u64,
    /// Its id, if it was published on this course. Somebody else's messages
    /// may fill just as many places as ours were refused.
    id: Option<HeaderValue>,
}

/// A message that can be published.
struct Ready {
    message: Arc<Recorded>,
    previous: Position,
    encoded: Encoded,
    omits: bool,
}

/// Reads messages and makes them ready.
struct Feed {
    tail: Tail,
    /// The last message of each range.
    previous: [Position; RANGES as usize],
    renewed: Position,
    too_large: Option<Position>,
}

impl Feed {
    async fn new(relay: &Relay, after: Position) -> Result<Self, StoreError> {
        Ok(Self {
            tail: relay.ledger.tail(after),
            previous: last_in_ranges(&relay.ledger, after).await?,
            renewed: relay.renewed,
            too_large: relay.too_large,
        })
    }

    async fn run(mut self, fed: mpsc::Sender<Result<Vec<Ready>, StoreError>>) {
        loop {
            let read = self.tail.next(PAGE).await;
            let is_over = read.is_err();
            let ready = read.map(|page| page.into_iter().map(|it| self.prepare(it)).collect());
            if fed.send(ready).await.is_err() || is_over {
                return;
            }
        }
    }

    fn prepare(&mut self, message: Arc<Recorded>) -> Ready {
        let last = &mut self.previous[usize::from(ranges::of(message.partition()))];
        let previous = std::mem::replace(last, message.position);
        let omits = self.too_large == Some(message.position);
        let mut encoded = if omits {
            wire::encode_omitted(&message, previous)
        } else {
            wire::encode(&message, previous)
        };
        if message.position <= self.renewed {
            // Any number the server has not been given before.
            wire::again(&mut encoded, &message, rand::random());
        }
        Ready { message, previous, encoded, omits }
    }
}

type Answer = Result<PublishAck, PublishError>;

/// A message that is published and not acknowledged.
struct UnderWay {
    position: Position,
    sequence: u64,
    omits: bool,
    ack: BoxFuture<'static, Answer>,
    span: Span,
}

/// The span of a message that is about to be published. Who reads the message
/// follows from it.
fn published(message: &Recorded, encoded: &mut Encoded) -> Span {
    let name = || format!("publish {}", message.name);
    let mut span = message.follow(SpanKind::Producer, name);
    if let Some(traceparent) = span.traceparent() {
        wire::put_trace(&mut encoded.headers, &traceparent);
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        wire::describe(&mut span, message);
        span.set("messaging.message.body.size", encoded.payload.len());
    }
    span
}

/// Waits for the first acknowledgment that is due; for ever if none is.
async fn acknowledged(window: &mut VecDeque<UnderWay>) -> (UnderWay, Answer) {
    let Some(first) = window.front_mut() else { return std::future::pending().await };
    let ack = (&mut first.ack).await;
    match window.pop_front() {
        Some(first) => (first, ack),
        None => std::future::pending().await,
    }
}

/// What an answer means.
fn judge(sent: &UnderWay, answer: Answer) -> Result<(), Trouble> {
    match answer {
        Ok(ack) if ack.duplicate => Err(Trouble::Known(sent.position)),
        Ok(ack) if ack.sequence != sent.sequence || ack.stream != STREAM => Err(Trouble::Elsewhere),
        Ok(_) => Ok(()),
        Err(error) if is_too_large(&error) && !sent.omits => Err(Trouble::TooLarge(sent.position)),
        Err(error) => match error.kind() {
            PublishErrorKind::WrongLastSequence
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::StreamNotFound => Err(Trouble::Elsewhere),
            PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => Err(Trouble::Failed(chain(&error))),
        },
    }
}

async fn last_in_ranges(
    ledger: &Ledger,
    up_to: Position,
) -> Result<[Position; RANGES as usize], StoreError> {
    let mut last = [Position::default(); RANGES as usize];
    for (partition, position) in (0..).zip(ledger.last_in_partitions(up_to).await?) {
        let last = &mut last[usize::from(ranges::of(partition))];
        *last = position.max(*last);
    }
    Ok(last)
}

/// Whether the server does not take a message for its size.
fn is_too_large(error: &PublishError) -> bool {
    use std::error::Error;

    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return true;
    }
    let reason =
        error.source().and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
    reason.is_some_and(|reason| {
        [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM]
            .contains(&reason.error_code())
    })
}
