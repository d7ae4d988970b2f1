//! What is written: one append is one decision, all of it or nothing.

use mallbots_domain::id::{AnyId, DeadLetterId};
use uuid::Uuid;

use crate::message::{MessageKind, Metadata, Position, Version};

/// Everything that one decision writes. It enters the ledger in one
/// transaction, whole or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// Who did it and why: recorded with each message.
    pub metadata: Metadata,
    /// Events, stream by stream.
    pub streams: Vec<StreamWrite>,
    /// Commands and replies, written after the events.
    pub messages: Vec<NewMessage>,
    /// The message this handles: refused if the same consumer handled it before.
    pub inbox: Option<InboxEntry>,
    /// The client's request this answers: refused if it was answered before.
    pub idempotency: Option<IdempotencyEntry>,
    /// Names to hold: refused if somebody else holds one.
    pub claims: Vec<Claim>,
    /// Names to give up.
    pub releases: Vec<Claim>,
    /// Timers to set or clear.
    pub timers: Vec<TimerChange>,
    /// Rows that must still be there and are gone afterwards.
    pub takes: Vec<Take>,
}

impl Append {
    /// An append of nothing yet.
    #[must_use]
    pub const fn new(metadata: Metadata) -> Self {
        Self {
            metadata,
            streams: Vec::new(),
            messages: Vec::new(),
            inbox: None,
            idempotency: None,
            claims: Vec::new(),
            releases: Vec::new(),
            timers: Vec::new(),
            takes: Vec::new(),
        }
    }
}

/// New events of one stream.
#[derive(Debug, Clone)]
pub struct StreamWrite {
    /// The stream.
    pub stream: AnyId,
    /// The version the decision was made at. A stream that is behind it or
    /// ahead of it refuses the append.
    pub expected: Version,
    /// The events, oldest first; may be empty to assert a version only.
    pub events: Vec<NewEvent>,
}

/// An event that is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// `<context>.<Type>`.
    pub name: String,
    /// The shape of the payload, from 1.
    pub schema_version: i32,
    /// Its content, a JSON object.
    pub payload: String,
}

/// A command or reply that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Command or reply.
    pub kind: MessageKind,
    /// Whom it is for.
    pub stream: AnyId,
    /// `<context>.<Type>`.
    pub name: String,
    /// Its id, the same each time it is sent for the same cause. What was said
    /// under an id before is not said again: the rest of the append is written
    /// without it.
    pub message_id: Uuid,
    /// Its content, a JSON object.
    pub payload: String,
}

/// That a consumer has handled a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Which consumer.
    pub consumer: &'static str,
    /// Which message.
    pub message_id: Uuid,
    /// Where it stands; what is behind the consumer's checkpoint is pruned.
    pub position: Position,
}

/// That a client's request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// Whose key it is: keys of different callers do not meet.
    pub caller: String,
    /// The client's key.
    pub key: String,
    /// What was asked, as a digest: the same key for something else is refused.
    pub fingerprint: String,
    /// What was answered, as JSON, to be answered again.
    pub result: String,
}

/// A name only one may hold, such as a SKU in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The kind of name, such as `sku`.
    pub scope: &'static str,
    /// The name.
    pub key: String,
    /// Who holds it.
    pub owner: AnyId,
}

/// Something to be said later.
#[derive(Debug, Clone)]
pub struct Timer {
    /// Whose timer.
    pub owner: AnyId,
    /// Which of its timers: setting it again moves it.
    pub name: &'static str,
    /// When, in microseconds since the Unix epoch.
    pub due_at: i64,
    /// What to say then.
    pub message: NewMessage,
}

/// A change to the timers.
#[derive(Debug, Clone)]
pub enum TimerChange {
    /// Set it, or move it.
    Set(Timer),
    /// Clear it, if it is set.
    Clear {
        /// Whose timer.
        owner: AnyId,
        /// Which of its timers.
        name: &'static str,
    },
}

/// A row that must still be there when the append commits, and is gone
/// afterwards: what makes firing a timer or settling a dead letter happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// A timer, as it was read.
    Timer {
        /// Whose timer.
        owner: AnyId,
        /// Which of its timers.
        name: String,
        /// When it was due; a timer moved since stays.
        due_at: i64,
    },
    /// A dead letter, by its id.
    DeadLetter {
        /// Which one.
        id: DeadLetterId,
    },
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The position of its first message.
    pub first: Position,
    /// The position of its last message. With no messages, both are the head.
    pub last: Position,
}
