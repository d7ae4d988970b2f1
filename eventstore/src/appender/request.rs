//! An append on its way to the database, made ready by who asks for it so
//! that the one task that writes has little left to do.

use std::sync::Arc;

use mallbots_domain::id::AnyId;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    append::{
        Append, Appended, Claim, IdempotencyEntry, InboxEntry, NewMessage, Take, TimerChange,
    },
    error::AppendError,
    message::{MessageKind, Position, Recorded, Version},
    recent::AnyState,
    upcast::Upcasters,
};

/// An append, and who waits for it.
pub(crate) struct Request {
    pub(super) streams: Vec<Stream>,
    pub(super) messages: Vec<Row>,
    pub(super) inbox: Option<InboxEntry>,
    /// Where the message it handles stands, unless it was set aside: what a
    /// checkpoint has passed is handled, and no more in the inbox.
    pub(super) guard: Option<Position>,
    pub(super) idempotency: Option<IdempotencyEntry>,
    pub(super) claims: Vec<Claim>,
    pub(super) releases: Vec<Claim>,
    pub(super) timers: Vec<TimerEdit>,
    pub(super) takes: Vec<Take>,
    /// The states the events lead to, where who asks knows them.
    pub(super) states: Vec<NewState>,
    /// Whether the versions it expects were seen in the database, or follow
    /// from there being nothing yet.
    pub(super) basis: Basis,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Where the versions that an append expects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// From the ledger. They are asserted by the statement that writes; to look
    /// them up before would only say in advance what is nearly always so.
    Loaded,
    /// From somebody. They are looked up, so that being wrong costs others nothing.
    Stated,
}

/// A state that an append leads to.
pub(crate) struct NewState {
    pub(crate) stream: AnyId,
    pub(crate) state: AnyState,
}

/// New events of one stream, and the version they follow.
pub(super) struct Stream {
    pub(super) id: AnyId,
    pub(super) expected: Version,
    pub(super) events: Vec<Row>,
}

/// A message, but for where it will stand and when.
pub(super) struct Row {
    pub(super) kind: MessageKind,
    pub(super) stream: AnyId,
    pub(super) stream_text: Arc<str>,
    pub(super) version: Version,
    pub(super) name: String,
    pub(super) schema_version: i32,
    pub(super) message_id: Uuid,
    pub(super) causation_id: Option<Uuid>,
    pub(super) payload: Box<str>,
    pub(super) metadata: Arc<str>,
}

impl Row {
    pub(super) fn recorded(self, position: Position, recorded_at: i64) -> Recorded {
        Recorded {
            position,
            kind: self.kind,
            stream: self.stream,
            version: self.version,
            name: self.name,
            schema_version: self.schema_version,
            message_id: self.message_id,
            payload: self.payload,
            metadata: self.metadata.as_ref().into(),
            recorded_at,
        }
    }
}

/// What becomes of a timer.
pub(super) struct TimerEdit {
    pub(super) owner: AnyId,
    pub(super) name: &'static str,
    /// What it is set to; nothing when it is cleared.
    pub(super) set: Option<TimerRow>,
}

/// A timer to be set.
pub(super) struct TimerRow {
    pub(super) owner: AnyId,
    pub(super) name: &'static str,
    pub(super) due_at: i64,
    pub(super) message: NewMessage,
    pub(super) metadata: Arc<str>,
}

impl Request {
    pub(crate) fn new(
        append: Append,
        states: Vec<NewState>,
        basis: Basis,
        upcasters: &Upcasters,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
    ) -> Result<Self, serde_json::Error> {
        let was_aside = append.takes.iter().any(|take| matches!(take, Take::DeadLetter { .. }));
        let metadata: Arc<str> = serde_json::to_string(&append.metadata)?.into();
        let streams = append
            .streams
            .into_iter()
            .map(|write| {
                let stream_text: Arc<str> = write.stream.to_string().into();
                let events = (write.expected.0 + 1..)
                    .zip(write.events)
                    .map(|(version, event)| Row {
                        kind: MessageKind::Event,
                        stream: write.stream,
                        stream_text: stream_text.clone(),
                        version: Version(version),
                        name: event.name,
                        schema_version: event.schema_version,
                        message_id: Uuid::now_v7(),
                        causation_id: append.metadata.causation_id,
                        payload: event.payload.into(),
                        metadata: metadata.clone(),
                    })
                    .collect();
                Stream { id: write.stream, expected: write.expected, events }
            })
            .collect();
        let messages = append
            .messages
            .into_iter()
            .map(|message| Row {
                kind: message.kind,
                stream: message.stream,
                stream_text: message.stream.to_string().into(),
                version: Version::default(),
                schema_version: upcasters.schema_version(&message.name),
                name: message.name,
                message_id: message.message_id,
                causation_id: append.metadata.causation_id,
                payload: message.payload.into(),
                metadata: metadata.clone(),
            })
            .collect();
        let timers = append
            .timers
            .into_iter()
            .map(|change| match change {
                TimerChange::Set(timer) => TimerEdit {
                    owner: timer.owner,
                    name: timer.name,
                    set: Some(TimerRow {
                        owner: timer.owner,
                        name: timer.name,
                        due_at: timer.due_at,
                        message: timer.message,
                        metadata: metadata.clone(),
                    }),
                },
                TimerChange::Clear { owner, name } => TimerEdit { owner, name, set: None },
            })
            .collect();

        Ok(Self {
            streams,
            messages,
            guard: append.inbox.as_ref().map(|entry| entry.position).filter(|_| !was_aside),
            inbox: append.inbox,
            idempotency: append.idempotency,
            claims: append.claims,
            releases: append.releases,
            timers,
            takes: append.takes,
            states,
            basis,
            reply,
        })
    }

    /// Its messages in the order they are written: events, then the others.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.streams.iter().flat_map(|stream| &stream.events).chain(&self.messages)
    }

    /// The same, to keep.
    pub(super) fn take_rows(&mut self) -> impl Iterator<Item = Row> {
        let events = std::mem::take(&mut self.streams).into_iter().flat_map(|stream| stream.events);
        events.chain(std::mem::take(&mut self.messages))
    }
}
