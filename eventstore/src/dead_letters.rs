//! Messages that a consumer could not handle, set aside so that the others flow.

use mallbots_domain::id::DeadLetterId;
use uuid::Uuid;

use crate::message::Position;

/// A message that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its own name.
    pub id: DeadLetterId,
    /// Who could not handle it.
    pub consumer: String,
    /// What it is about: later messages with the same key wait behind it.
    pub key: String,
    /// Where the message stands in the ledger.
    pub position: Position,
    /// Which message it is.
    pub message_id: Uuid,
    /// What went wrong last.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it first failed, in microseconds since the Unix epoch.
    pub first_failed_at: i64,
    /// What to handle in place of the message's own payload: a JSON object
    /// that somebody has mended.
    pub payload_override: Option<String>,
}

/// Which dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Only those of this consumer.
    pub consumer: Option<String>,
    /// Only those with this key.
    pub key: Option<String>,
}

/// Which part of a list to read.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterPage {
    /// Only what stands after this one, in ledger order.
    pub after: Option<(Position, DeadLetterId)>,
    /// At most this many.
    pub limit: u32,
}

/// What to change on a dead letter; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterChange {
    /// What went wrong this time.
    pub reason: Option<String>,
    /// How often it has been tried now.
    pub attempts: Option<i32>,
    /// What to handle in place of the message's payload; `Some(None)` goes
    /// back to the message's own.
    pub payload_override: Option<Option<String>>,
}
