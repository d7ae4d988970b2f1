//! What is on JetStream, beside what the ledger has: for whoever goes through
//! the books. Nothing is changed.

use std::{collections::BTreeSet, sync::Arc};

use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
use futures_util::{StreamExt, TryStreamExt, stream};
use mallbots_eventstore::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
};

use crate::{
    nats::Nats,
    streams::{STREAM, Stream, StreamsError, stored},
    wire::{self, Decoded, WireError},
};

/// How many of the last messages are looked at.
pub const LOOKED_AT: u64 = 5_000;
/// How many of them are asked for at once.
const AT_ONCE: usize = 32;
/// How many messages are read from the ledger at once.
const PAGE: u32 = 512;

/// What was found on the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamAudit {
    /// How many messages were looked at.
    pub looked_at: u64,
    /// What is there and the ledger does not have, each with its place.
    pub wrong: Vec<String>,
    /// How many messages are there more than once.
    pub repeated: u64,
    /// How many positions between the first and the last are not there.
    pub missing: u64,
    /// The last position that is there.
    pub last: Position,
    /// What consumers have yet to be given, by their names.
    pub pending: Vec<(String, u64)>,
}

/// Why nothing can be said of the stream.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// JetStream does not show it.
    #[error(transparent)]
    Streams(#[from] StreamsError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares the last messages of the stream with the ledger. `None` if there
/// is no stream.
pub async fn audit(nats: &Nats, ledger: &Ledger) -> Result<Option<StreamAudit>, AuditError> {
    let stream = match nats.jetstream().get_stream(STREAM).await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                return Ok(None);
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName => {
                return Err(StreamsError::unavailable(error).into());
            }
        },
    };
    let mut found = StreamAudit::default();
    let mut claims = BTreeSet::new();
    let mut page: Vec<Arc<Recorded>> = Vec::new();
    let state = &stream.cached_info().state;
    let first = (state.last_sequence + 1).saturating_sub(LOOKED_AT).max(state.first_sequence);
    let messages = stream::iter(first.max(1)..=state.last_sequence)
        .map(|sequence| {
            let stream = &stream;
            async move { Ok::<_, StreamsError>((sequence, stored(stream, sequence).await?)) }
        })
        .buffered(AT_ONCE);
    let mut messages = std::pin::pin!(messages);
    while let Some((sequence, message)) = messages.try_next().await? {
        let Some(message) = message else { continue };
        found.looked_at += 1;
        let (position, decoded) = match wire::decode_stored(&message) {
            Ok(Decoded { recorded, .. }) => (recorded.position, Some(recorded)),
            Err(WireError::Omitted(_)) => match wire::claimed_position(&message) {
                Some(position) => (position, None),
                None => continue,
            },
            Err(error) => {
                found.wrong.push(format!("{} at place {sequence}: {error}", message.subject));
                continue;
            }
        };
        let known = in_ledger(ledger, &mut page, position).await?;
        let is_right = match (&decoded, known) {
            (Some(recorded), Some(known)) => wire::is_same(recorded, known),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if !is_right {
            found.wrong.push(format!(
                "{} at place {sequence} is not what the ledger has at position {position}",
                message.subject
            ));
        } else if !claims.insert(position) {
            found.repeated += 1;
        }
    }
    if let (Some(first), Some(last)) = (claims.first(), claims.last()) {
        found.last = *last;
        let all = u64::try_from(last.0 - first.0 + 1).unwrap_or_default();
        found.missing = all.saturating_sub(claims.len() as u64);
    }
    found.pending = pending(&stream).await?;
    Ok(Some(found))
}

/// What the ledger has at a position. What stands near it is kept at hand.
async fn in_ledger<'a>(
    ledger: &Ledger,
    page: &'a mut Vec<Arc<Recorded>>,
    position: Position,
) -> Result<Option<&'a Recorded>, StoreError> {
    let place = |page: &[Arc<Recorded>]| page.binary_search_by_key(&position, |it| it.position);
    if place(page).is_err() {
        *page = ledger.read(Position((position.0 - 1).max(0)), PAGE).await?;
    }
    Ok(place(page).ok().and_then(|place| page.get(place)).map(|found| &**found))
}

async fn pending(stream: &Stream) -> Result<Vec<(String, u64)>, StreamsError> {
    let consumers: Vec<_> =
        stream.consumers().try_collect().await.map_err(StreamsError::unavailable)?;
    let mut pending: Vec<_> = consumers
        .into_iter()
        .map(|it| (it.name, it.num_pending + it.num_ack_pending as u64))
        .collect();
    pending.retain(|(_, count)| *count > 0);
    pending.sort();
    Ok(pending)
}
