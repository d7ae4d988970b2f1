//! Where the stream stands, compared with the ledger.

use async_nats::jetstream::message::StreamMessage;
use mallbots_eventstore::{ledger::Ledger, message::Position};
use tracing::warn;

use super::Trouble;
use crate::{
    streams::{Stream, StreamsError, stored},
    wire::{self, WireError},
};

/// How many messages at the end of the stream may be none of ours before it
/// counts as one that has nothing of ours.
const STRANGERS: u64 = 1_000;

/// Where the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    /// The sequence of its last message, whatever that is.
    pub(super) sequence: u64,
    /// It has everything up to here, or nobody needs it any more.
    pub(super) position: Position,
    /// The sequence of the message of that position, if it is there.
    at: Option<u64>,
    /// Whether the stream has no message at all.
    pub(super) is_empty: bool,
}

impl Stand {
    /// Right behind a message of ours.
    pub(super) const fn at(sequence: u64, position: Position) -> Self {
        Self { sequence, position, at: Some(sequence), is_empty: false }
    }
}

/// Finds out, starting from where this relay has left it, if it has.
pub(super) async fn find(
    ledger: &Ledger,
    stream: &Stream,
    left: Option<Stand>,
) -> Result<Stand, Trouble> {
    let state = stream.get_info().await.map_err(StreamsError::unavailable)?.state;
    let sequence = state.last_sequence;
    if state.messages == 0 {
        let position = ledger.least_checkpoint().await?;
        return Ok(Stand { sequence, position, at: None, is_empty: true });
    }

    let left = match left {
        Some(left) if is_still_there(stream, &left, sequence).await? => Some(left),
        Some(_) | None => None,
    };
    let oldest = state.first_sequence.max(sequence.saturating_sub(STRANGERS));
    let mut at = sequence;
    while at >= oldest.max(1) {
        if let Some(left) = left.filter(|left| left.at.is_some_and(|left| at <= left)) {
            // Everything behind it was somebody else's.
            return Ok(Stand { sequence, ..left });
        }
        if let Some(message) = stored(stream, at).await? {
            match compare(ledger, &message).await? {
                // One of before that somebody has published once more tells nothing.
                Verdict::Ours(position) if left.is_none_or(|left| position > left.position) => {
                    return Ok(Stand { sequence, ..Stand::at(at, position) });
                }
                Verdict::Ours(_) => {}
                // Known to be somebody else's if this relay was here before.
                Verdict::Foreign(reason) if left.is_some() => stranger(at, &reason),
                Verdict::Foreign(reason) => return Err(Trouble::Ahead(reason)),
                Verdict::Junk(error) => stranger(at, &error.to_string()),
            }
        }
        at -= 1;
    }
    let position = ledger.least_checkpoint().await?;
    Ok(Stand { sequence, position, at: None, is_empty: false })
}

fn stranger(sequence: u64, reason: &str) {
    warn!(sequence, reason, "a message on the stream is none of the relay's");
}

/// Whether the stream still has what this relay published last.
async fn is_still_there(
    stream: &Stream,
    left: &Stand,
    last_sequence: u64,
) -> Result<bool, StreamsError> {
    let Some(at) = left.at.filter(|at| *at <= last_sequence) else { return Ok(false) };
    let found = stored(stream, at).await?;
    Ok(found.is_some_and(|found| wire::claimed_position(&found) == Some(left.position)))
}

/// What a message on the stream is.
enum Verdict {
    /// What the ledger has at this position.
    Ours(Position),
    /// A whole message that the ledger does not have.
    Foreign(String),
    /// None at all, or a broken one.
    Junk(WireError),
}

async fn compare(ledger: &Ledger, message: &StreamMessage) -> Result<Verdict, Trouble> {
    let (position, message_id, payload) = match wire::decode_stored(message) {
        Ok(decoded) => {
            let recorded = decoded.recorded;
            (recorded.position, recorded.message_id, Some(recorded.payload))
        }
        Err(WireError::Omitted(length)) => {
            let claimed = wire::claimed_position(message).zip(wire::claimed_id(message));
            match claimed {
                Some((position, message_id)) => (position, message_id, None),
                None => return Ok(Verdict::Junk(WireError::Omitted(length))),
            }
        }
        Err(error) => return Ok(Verdict::Junk(error)),
    };
    if position <= Position(0) {
        return Ok(Verdict::Junk(WireError::Header("Position")));
    }
    let recorded = ledger.read(Position(position.0 - 1), 1).await?.into_iter().next();
    Ok(match recorded {
        None => Verdict::Foreign(format!(
            "the stream has a message of position {position}, and the ledger ends before that"
        )),
        Some(recorded)
            if recorded.message_id == message_id
                && payload.is_none_or(|payload| payload == recorded.payload) =>
        {
            Verdict::Ours(position)
        }
        Some(_) => Verdict::Foreign(format!(
            "the stream and the ledger have different messages of position {position}"
        )),
    })
}
