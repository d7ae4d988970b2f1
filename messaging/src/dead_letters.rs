//! What operators say about parked messages: retry, mend and retry, discard.
//!
//! It is said through the ledger, so it reaches the consumer in whatever
//! process it runs and survives a crash of whoever said it.

use mallbots_domain::id::{AnyId, DeadLetterId};
use mallbots_eventstore::{
    append::NewMessage,
    message::{MessageKind, Recorded},
    unit::Unit,
};
use serde::Deserialize;
use uuid::Uuid;

const RETRY: &str = "operations.RetryDeadLetter";
const DISCARD: &str = "operations.DiscardDeadLetter";

/// What is to be done with what is parked under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Try all of it again, in order.
    Retry {
        /// The key.
        key: Uuid,
    },
    /// Throw one message away, then try the rest again.
    Discard {
        /// The dead letter.
        id: DeadLetterId,
        /// Its key.
        key: Uuid,
    },
}

#[derive(Deserialize)]
struct Order {
    consumer: String,
    key: String,
}

impl Control {
    /// Reads what an operator said to this consumer; `None` for other messages.
    #[must_use]
    pub fn of(message: &Recorded, consumer: &str) -> Option<Self> {
        if message.kind != MessageKind::Command || !matches!(&*message.name, RETRY | DISCARD) {
            return None;
        }
        let Order { consumer: whom, key } = serde_json::from_str(&message.payload).ok()?;
        if whom != consumer {
            return None;
        }
        let key = key.parse().ok()?;
        Some(if message.name == RETRY {
            Self::Retry { key }
        } else {
            Self::Discard { id: message.stream.expect().ok()?, key }
        })
    }

    /// The key it is about.
    #[must_use]
    pub const fn key(&self) -> Uuid {
        match self {
            Self::Retry { key } | Self::Discard { key, .. } => *key,
        }
    }
}

/// Asks for everything parked under a letter's key to be tried again.
pub fn retry(unit: &mut Unit<'_>, letter: DeadLetterId, consumer: &str, key: &str) {
    say(unit, letter, consumer, key, RETRY);
}

/// Asks for a letter to be thrown away and the rest under its key tried again.
pub fn discard(unit: &mut Unit<'_>, letter: DeadLetterId, consumer: &str, key: &str) {
    say(unit, letter, consumer, key, DISCARD);
}

fn say(unit: &mut Unit<'_>, letter: DeadLetterId, consumer: &str, key: &str, name: &str) {
    unit.send(NewMessage {
        kind: MessageKind::Command,
        stream: AnyId::from(letter),
        name: name.to_owned(),
        message_id: Uuid::now_v7(),
        payload: serde_json::json!({ "consumer": consumer, "key": key }).to_string(),
    });
}
