//! The aggregate the tests count with, and what else they share.

use std::sync::{Arc, Condvar, Mutex};

use mallbots_domain::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{BasketId, EntityId, Kind},
};
use mallbots_eventstore::{
    append::{Append, NewEvent, NewMessage, StreamWrite},
    connect::Database,
    ledger::{Ledger, Moment, Probe},
    message::{MessageKind, Metadata, Position, Recorded, Version},
};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Counts up to a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) limit: Option<i64>,
    pub(crate) count: i64,
    pub(crate) last_note: String,
}

#[derive(Debug, Clone)]
pub(crate) enum TallyCommand {
    Open { limit: i64 },
    Count { note: String },
    CountTimes { times: i64 },
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TallyEvent {
    Opened { limit: i64 },
    Counted { note: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TallyError {
    NotOpen,
    AlreadyOpen,
    Full,
}

impl std::fmt::Display for TallyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the tally is not open",
            Self::AlreadyOpen => "the tally is open",
            Self::Full => "the tally is full",
        })
    }
}

impl std::error::Error for TallyError {}

impl DomainError for TallyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotOpen => ErrorKind::NotFound,
            Self::AlreadyOpen => ErrorKind::Conflict,
            Self::Full => ErrorKind::WrongState,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotOpen => "TALLY_NOT_OPEN",
            Self::AlreadyOpen => "TALLY_EXISTS",
            Self::Full => "TALLY_FULL",
        }
    }
}

impl Aggregate for Tally {
    const KIND: Kind = Kind::Basket;
    const CONTEXT: &'static str = "testing";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = BasketId;
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Error = TallyError;

    fn decide(&self, command: TallyCommand) -> Result<Vec<TallyEvent>, TallyError> {
        match (command, self.limit) {
            (TallyCommand::Nothing, _) => Ok(Vec::new()),
            (TallyCommand::Open { limit }, None) => Ok(vec![TallyEvent::Opened { limit }]),
            (TallyCommand::Open { .. }, Some(_)) => Err(TallyError::AlreadyOpen),
            (TallyCommand::Count { .. } | TallyCommand::CountTimes { .. }, None) => {
                Err(TallyError::NotOpen)
            }
            (TallyCommand::Count { note }, Some(limit)) if self.count < limit => {
                Ok(vec![TallyEvent::Counted { note }])
            }
            (TallyCommand::CountTimes { times }, Some(limit)) if self.count + times <= limit => {
                Ok((0..times).map(|n| TallyEvent::Counted { note: n.to_string() }).collect())
            }
            (TallyCommand::Count { .. } | TallyCommand::CountTimes { .. }, Some(_)) => {
                Err(TallyError::Full)
            }
        }
    }

    fn evolve(mut self, event: TallyEvent) -> Self {
        match event {
            TallyEvent::Opened { limit } => self.limit = Some(limit),
            TallyEvent::Counted { note } => {
                self.count += 1;
                self.last_note = note;
            }
        }
        self
    }
}

/// A tally as a later version of the program knows it: the same events, another state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaterTally {
    pub(crate) tally: Tally,
    pub(crate) is_full: bool,
}

impl Aggregate for LaterTally {
    const KIND: Kind = Kind::Basket;
    const CONTEXT: &'static str = "testing";
    const SNAPSHOT_SCHEMA: u32 = 2;

    type Id = BasketId;
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Error = TallyError;

    fn decide(&self, command: TallyCommand) -> Result<Vec<TallyEvent>, TallyError> {
        self.tally.decide(command)
    }

    fn evolve(self, event: TallyEvent) -> Self {
        let tally = self.tally.evolve(event);
        Self { is_full: tally.limit.is_some_and(|limit| tally.count >= limit), tally }
    }
}

/// A new id.
pub(crate) fn new_id() -> BasketId {
    BasketId::from_uuid(Uuid::now_v7())
}

/// A request of nobody in particular.
pub(crate) fn metadata() -> Metadata {
    Metadata::begin("tester", Uuid::now_v7())
}

pub(crate) fn open(limit: i64) -> TallyCommand {
    TallyCommand::Open { limit }
}

pub(crate) fn count() -> TallyCommand {
    TallyCommand::Count { note: "one".to_owned() }
}

/// An event as whoever appends by hand writes it.
pub(crate) fn event(note: &str) -> NewEvent {
    NewEvent {
        name: "testing.Counted".to_owned(),
        schema_version: 1,
        payload: format!("{{\"note\":\"{note}\"}}"),
    }
}

/// An append of events to one stream.
pub(crate) fn write(id: BasketId, expected: i64, notes: &[&str]) -> Append {
    Append {
        streams: vec![StreamWrite {
            stream: id.any(),
            expected: Version(expected),
            events: notes.iter().map(|note| event(note)).collect(),
        }],
        ..Append::new(metadata())
    }
}

/// A command to somebody.
pub(crate) fn command(to: BasketId) -> NewMessage {
    NewMessage {
        kind: MessageKind::Command,
        stream: to.any(),
        name: "testing.DoIt".to_owned(),
        message_id: Uuid::now_v7(),
        payload: "{}".to_owned(),
    }
}

/// Everything in the ledger, which must be without a gap.
pub(crate) async fn everything(ledger: &Ledger) -> Vec<Arc<Recorded>> {
    let mut all: Vec<Arc<Recorded>> = Vec::new();
    loop {
        let after = all.last().map_or(Position(0), |last| last.position);
        let page = ledger.read(after, 1_000).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    assert_eq!(
        all.iter().map(|message| message.position.0).collect::<Vec<_>>(),
        (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>(),
        "positions are gapless"
    );
    all
}

/// The notes of a stream's events, whose versions must be without a gap.
pub(crate) async fn notes(ledger: &Ledger, id: BasketId) -> Vec<String> {
    let events = ledger.read_stream(id.any(), Version(0), 10_000).await.unwrap();
    events
        .iter()
        .enumerate()
        .map(|(number, event)| {
            assert_eq!(event.version.0, i64::try_from(number + 1).unwrap());
            let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
            payload["note"].as_str().unwrap_or("opened").to_owned()
        })
        .collect()
}

/// Does something to the database behind the ledger's back.
pub(crate) async fn meddle(database: &Database, sql: &str) {
    database.write.execute_unprepared(sql).await.unwrap();
}

/// A number from the database.
pub(crate) async fn number(database: &Database, sql: &str) -> i64 {
    let backend = database.write.get_database_backend();
    let statement = Statement::from_string(backend, sql);
    let row = database.write.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// Makes the appender wait, so that appends gather.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waits: bool,
}

impl Gate {
    /// A probe that waits at this gate before each commit.
    pub(crate) fn probe(&self) -> Probe {
        let gate = self.clone();
        Probe::new(move |moment| {
            if moment == Moment::BeforeCommit {
                gate.pass();
            }
        })
    }

    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waits = state.is_closed;
        changed.notify_all();
        while state.is_closed {
            state = changed.wait(state).unwrap();
        }
        state.waits = false;
    }

    pub(crate) fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().is_closed = false;
        self.0.1.notify_all();
    }

    /// Waits until the appender waits.
    pub(crate) fn wait_for_appender(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        while !state.waits {
            state = changed.wait(state).unwrap();
        }
    }
}
