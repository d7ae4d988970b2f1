//! What the ledger holds.

use std::{borrow::Cow, fmt, sync::Arc};

use mallbots_domain::id::AnyId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::trace::{self, Place, Span, SpanKind};

/// A place in the whole history: 1 for the first message, then one more for
/// each, without gaps and in commit order. Zero is before everything.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub i64);

/// A place in one stream: 1 for its first event. Zero is an empty stream.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub i64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Something that happened to an aggregate; part of its stream.
    Event,
    /// Something asked of a context.
    Command,
    /// What became of a command.
    Reply,
}

impl MessageKind {
    /// As it is stored and as it stands in subjects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Reply => "reply",
        }
    }
}

/// Who did something, and what it belongs to. Recorded with each message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who asked: a viewer, or a part of the mall (`saga`, `policy`, `timer`).
    pub actor: String,
    /// The request or message that was being handled: the same for all that one command made.
    pub command_id: Uuid,
    /// Where it all began: the same for everything that follows from one request.
    pub correlation_id: Uuid,
    /// The message that led to this one, when a message did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace context of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What else systems along the trace have to say to each other, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl Metadata {
    /// What a request from outside begins.
    #[must_use]
    pub fn begin(actor: impl Into<String>, request_id: Uuid) -> Self {
        Self {
            actor: actor.into(),
            command_id: request_id,
            correlation_id: request_id,
            causation_id: None,
            traceparent: None,
            tracestate: None,
        }
    }

    /// What follows from a recorded message.
    #[must_use]
    pub fn caused_by(&self, actor: impl Into<String>, cause: Uuid) -> Self {
        Self {
            actor: actor.into(),
            command_id: cause,
            correlation_id: self.correlation_id,
            causation_id: Some(cause),
            traceparent: self.traceparent.clone(),
            tracestate: self.tracestate.clone(),
        }
    }

    /// A span that follows from it, if its trace is recorded.
    #[must_use]
    pub fn follow<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Span {
        let traceparent = self.traceparent.as_deref();
        let place = |traceparent| Place { traceparent, tracestate: self.tracestate.as_deref() };
        Span::follow(traceparent.map(place), kind, name)
    }
}

/// A message as the ledger has it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Where it stands in all history.
    pub position: Position,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// An event's stream; whom a command or a reply is for.
    pub stream: AnyId,
    /// An event's place in its stream; zero for commands and replies.
    pub version: Version,
    /// Its type: `<context>.<Type>`, such as `ordering.OrderCreated`.
    pub name: String,
    /// The shape of its payload, from 1.
    pub schema_version: i32,
    /// Its id, which follows from what caused it or sorts by time.
    pub message_id: Uuid,
    /// Its content, a JSON object.
    pub payload: Box<str>,
    /// [`Metadata`] as JSON, decoded only by those who ask.
    pub metadata: Box<str>,
    /// When it was recorded, in microseconds since the Unix epoch.
    pub recorded_at: i64,
}

impl Recorded {
    /// Its logical partition, `0..64`.
    #[must_use]
    pub const fn partition(&self) -> u8 {
        self.stream.partition()
    }

    /// Who did it and why.
    pub fn metadata(&self) -> Result<Metadata, serde_json::Error> {
        serde_json::from_str(&self.metadata)
    }

    /// The W3C trace context of what it follows from, if it has one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        trace::find(&self.metadata).map(|place| &self.metadata[place])
    }

    /// What systems along its trace have to say to each other, if anything.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        // Few have one, and only they are worth being parsed.
        let has_state = self.metadata.contains("\"tracestate\"");
        has_state.then(|| self.metadata().ok()).flatten()?.tracestate
    }

    /// A span that follows from it, if its trace is recorded.
    #[must_use]
    pub fn follow<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Span {
        let is_recorded = |text: &&str| trace::is_on() && trace::is_sampled(text);
        let Some(traceparent) = self.traceparent().filter(is_recorded) else {
            return Span::none();
        };
        let tracestate = self.tracestate();
        let place = Place { traceparent, tracestate: tracestate.as_deref() };
        Span::follow(Some(place), kind, name)
    }

    /// Lets what follows from it follow from another span of its trace.
    pub fn retrace(&mut self, traceparent: &str) {
        if let Some(place) = trace::find(&self.metadata) {
            let (before, behind) = (&self.metadata[..place.start], &self.metadata[place.end..]);
            self.metadata = format!("{before}{traceparent}{behind}").into();
        }
    }

    /// The bounded context it belongs to or is for: the first half of its name.
    #[must_use]
    pub fn context(&self) -> &str {
        self.name.split_once('.').map_or("", |(context, _)| context)
    }
}

/// Messages read together, shared by all who read them.
pub type Messages = Arc<[Arc<Recorded>]>;
