//! A ledger, a NATS server, and what carries messages from one to the other.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    message::StreamMessage,
    stream::{RawMessageErrorKind, Stream},
};
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    append::{Append, NewEvent, StreamWrite},
    connect::Backend,
    ledger::Ledger,
    message::{Metadata, Position, Recorded, Version},
};
use mallbots_messaging::{
    nats::{Connection, Nats, NatsOptions},
    ranges::{self, RANGES},
    relay::{self, RelayOptions, RelayState, RelayStatus},
    retry::Backoff,
    streams::STREAM,
    wire::{self, Decoded, WireError},
};
use mallbots_testing::{
    ledgers::{Tasks, TestLedger},
    nats::{NatsServer, NatsSettings},
};
use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

use crate::mall::in_time;

/// How the tests relay: they do not wait long before they look.
pub(crate) fn hasty() -> RelayOptions {
    RelayOptions {
        look_every: Duration::from_millis(100),
        backoff: Backoff { base: Duration::from_millis(10), cap: Duration::from_millis(200) },
        ..RelayOptions::default()
    }
}

/// A ledger and a server.
pub(crate) struct Exchange {
    pub(crate) test: TestLedger,
    pub(crate) server: NatsServer,
    pub(crate) nats: Nats,
}

/// A relay at work.
pub(crate) struct Relaying {
    pub(crate) status: watch::Receiver<RelayStatus>,
    pub(crate) active: watch::Sender<bool>,
    tasks: Tasks,
}

impl Exchange {
    pub(crate) async fn open(backend: Backend) -> Self {
        Self::open_with(backend, &NatsSettings::default()).await
    }

    pub(crate) async fn open_with(backend: Backend, settings: &NatsSettings) -> Self {
        let server = NatsServer::start_with(settings).await.unwrap();
        let nats = connect(&server).await;
        Self { test: TestLedger::open(backend).await.unwrap(), server, nats }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.test.ledger
    }

    /// A relay that is the active one.
    pub(crate) fn relay(&self) -> Relaying {
        Relaying::start(self.ledger(), &self.nats, hasty(), true)
    }

    /// Everything on the stream, with the sequence of each.
    pub(crate) async fn stored(&self) -> Vec<StreamMessage> {
        stored(&self.nats).await
    }

    /// Waits until a relay has relayed everything, and compares.
    pub(crate) async fn expect_all_relayed(&self, relaying: &Relaying) {
        relaying.caught_up(self.ledger()).await;
        self.expect_exact(Position(0)).await;
    }

    /// That the stream has what the ledger has behind a position, in its
    /// order, and nothing else.
    pub(crate) async fn expect_exact(&self, behind: Position) {
        expect_exact(self.ledger(), &self.nats, behind).await;
    }
}

impl Relaying {
    pub(crate) fn start(
        ledger: &Ledger,
        nats: &Nats,
        options: RelayOptions,
        is_active: bool,
    ) -> Self {
        let (active, is_active) = watch::channel(is_active);
        Self { active, ..Self::while_active(ledger, nats, options, is_active) }
    }

    /// The same, while somebody else says so.
    pub(crate) fn while_active(
        ledger: &Ledger,
        nats: &Nats,
        options: RelayOptions,
        is_active: watch::Receiver<bool>,
    ) -> Self {
        let (told, status) = watch::channel(RelayStatus::new(ledger));
        let tasks = Tasks::default();
        let relay = relay::run(
            ledger.clone(),
            nats.clone(),
            options,
            is_active,
            told,
            tasks.shutdown.clone(),
        );
        tasks.tracker.spawn(relay);
        Self { status, active: watch::Sender::new(false), tasks }
    }

    /// Waits until the relay says something.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl FnMut(&RelayStatus) -> bool,
    ) -> RelayStatus {
        let mut status = self.status.clone();
        in_time(what, status.wait_for(is_so)).await.unwrap().clone()
    }

    pub(crate) async fn caught_up(&self, ledger: &Ledger) {
        let head = ledger.head();
        self.until("the relay", |status| {
            status.position >= head && status.state == RelayState::Running
        })
        .await;
    }

    pub(crate) async fn end(self) {
        self.tasks.end().await;
    }
}

/// A connection that stands.
pub(crate) async fn connect(server: &NatsServer) -> Nats {
    let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
    reach(&nats, Connection::Connected).await;
    nats
}

/// Waits until the connection stands, or does not.
pub(crate) async fn reach(nats: &Nats, state: Connection) {
    let mut connection = nats.connection();
    in_time("the connection", connection.wait_for(|it| *it == state)).await.unwrap();
}

/// That the stream has what the ledger has behind a position, in its order,
/// and nothing else.
pub(crate) async fn expect_exact(ledger: &Ledger, nats: &Nats, behind: Position) {
    let on_stream: Vec<_> =
        stored(nats).await.iter().map(|message| wire::decode_stored(message).unwrap()).collect();
    let mut previous = [Position(0); RANGES as usize];
    let mut expected = everything(ledger).await;
    for message in expected.iter().filter(|message| message.position <= behind) {
        previous[usize::from(ranges::of(message.partition()))] = message.position;
    }
    expected.retain(|message| message.position > behind);
    let positions = |messages: &[Decoded]| -> Vec<i64> {
        messages.iter().map(|message| message.recorded.position.0).collect()
    };
    let last = expected.last().map_or(behind.0, |last| last.position.0);
    assert_eq!(positions(&on_stream), (behind.0 + 1..=last).collect::<Vec<_>>());
    for (found, expected) in on_stream.iter().zip(&expected) {
        assert_eq!(format!("{:?}", found.recorded), format!("{expected:?}"));
        let previous = &mut previous[usize::from(ranges::of(expected.partition()))];
        assert_eq!(found.previous, *previous, "before {}", expected.position);
        *previous = expected.position;
    }
}

/// Everything on the stream.
pub(crate) async fn stored(nats: &Nats) -> Vec<StreamMessage> {
    let stream = nats.jetstream().get_stream(STREAM).await.unwrap();
    let state = &stream.cached_info().state;
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        messages.extend(in_time("a message", message(&stream, sequence)).await);
    }
    messages
}

/// A message, unless there is none: servers that are choosing a leader have no
/// answer, which says nothing.
async fn message(stream: &Stream, sequence: u64) -> Option<StreamMessage> {
    loop {
        match stream.get_raw_message(sequence).await {
            Ok(message) => return Some(message),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return None,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Everything in the ledger.
pub(crate) async fn everything(ledger: &Ledger) -> Vec<Arc<Recorded>> {
    let mut all: Vec<Arc<Recorded>> = Vec::new();
    loop {
        let after = all.last().map_or(Position(0), |last| last.position);
        let page = ledger.read(after, 1_000).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Some events of a new stream.
pub(crate) fn events(payloads: &[&str]) -> Append {
    let id = BasketId::from_uuid(Uuid::now_v7());
    let events = payloads
        .iter()
        .map(|payload| NewEvent {
            name: "testing.Noted".to_owned(),
            schema_version: 1,
            payload: serde_json::json!({ "note": payload }).to_string(),
        })
        .collect();
    Append {
        streams: vec![StreamWrite { stream: id.any(), expected: Version(0), events }],
        ..Append::new(Metadata::begin("Zoë", Uuid::now_v7()))
    }
}

/// Appends so many decisions of one to three events, eight at a time.
pub(crate) async fn busy(ledger: &Ledger, decisions: usize) {
    let work = (0..8).map(|worker| {
        let ledger = ledger.clone();
        async move {
            for turn in (worker..decisions).step_by(8) {
                let notes = &["one", "two", "three"][..=turn % 3];
                ledger.append(events(notes)).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(work).await;
}

/// Whether what is on the stream was left out for its size.
pub(crate) fn is_omitted(message: &StreamMessage) -> bool {
    matches!(wire::decode_stored(message), Err(WireError::Omitted(_)))
}
