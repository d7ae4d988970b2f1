//! Messages that a consumer could not handle, set aside so that the others flow.

use std::collections::HashSet;

use mallbots_domain::id::DeadLetterId;
use sea_orm::sqlx::Error;
use uuid::Uuid;

use crate::{
    codec,
    error::StoreError,
    ledger::Ledger,
    message::Position,
    sql::{self, Arg, Columns, narrow, parse},
};

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

impl Ledger {
    /// Sets a message aside. The same message of the same consumer is set
    /// aside once, however often this is said.
    pub async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let args = vec![
            Arg::text(&letter.id),
            Arg::text(&letter.consumer),
            Arg::text(&letter.key),
            Arg::int(letter.position.0),
            Arg::text(&letter.message_id),
            Arg::text(&letter.reason),
            Arg::int(letter.attempts),
            Arg::int(letter.first_failed_at),
            Arg::Text(letter.payload_override.clone()),
        ];
        self.run(vec![(sql::PARK, args)]).await.map(drop)
    }

    /// Messages that are set aside, in ledger order.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: DeadLetterPage,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (position, id) =
            page.after.map_or((0, String::new()), |(position, id)| (position.0, id.to_string()));
        let args = [
            Arg::int(position),
            Arg::Text(Some(id)),
            Arg::Text(filter.consumer.clone()),
            Arg::Text(filter.key.clone()),
            Arg::int(page.limit),
        ];
        self.rows(&sql::DEAD_LETTERS, &args, letter).await
    }

    /// The last so many messages that are set aside, from the end of the ledger's
    /// order: of all, or of what stands before one of them.
    pub async fn dead_letters_before(
        &self,
        before: Option<(Position, DeadLetterId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (position, id) =
            before.map_or((i64::MAX, String::new()), |(position, id)| (position.0, id.to_string()));
        let args = [Arg::int(position), Arg::Text(Some(id)), Arg::int(limit)];
        self.rows(&sql::DEAD_LETTERS_BEFORE, &args, letter).await
    }

    /// One message that is set aside.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        Ok(self.dead_letters_by_id(&[id]).await?.pop())
    }

    /// Messages that are set aside, by their ids and in no order. What is not
    /// there is missing from the answer.
    pub async fn dead_letters_by_id(
        &self,
        ids: &[DeadLetterId],
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let ids = serde_json::to_string(ids)
            .map_err(|error| codec::undecodable("ids", "a question", error))?;
        self.rows(&sql::DEAD_LETTERS_BY_ID, &[Arg::Text(Some(ids))], letter).await
    }

    /// Changes a dead letter. False if it is not there any more.
    pub async fn update_dead_letter(
        &self,
        id: DeadLetterId,
        change: &DeadLetterChange,
    ) -> Result<bool, StoreError> {
        let args = vec![
            Arg::text(&id),
            Arg::Text(change.reason.clone()),
            Arg::Int(change.attempts.map(i64::from)),
            Arg::int(change.payload_override.is_some()),
            Arg::Text(change.payload_override.clone().flatten()),
        ];
        self.run(vec![(sql::UPDATE_DEAD_LETTER, args)]).await.map(|changed| changed > 0)
    }

    /// Drops a dead letter, if it is still there.
    pub async fn discard_dead_letter(&self, id: DeadLetterId) -> Result<(), StoreError> {
        self.run(vec![(sql::DISCARD_DEAD_LETTER, vec![Arg::text(&id)])]).await.map(drop)
    }

    /// What is set aside under these keys: by which consumer, under which key,
    /// and where it stands.
    pub async fn parked_positions(
        &self,
        keys: &[String],
    ) -> Result<Vec<(String, String, Position)>, StoreError> {
        let keys = serde_json::to_string(keys)
            .map_err(|error| codec::undecodable("keys", "a question", error))?;
        self.rows(&sql::PARKED_POSITIONS, &[Arg::Text(Some(keys))], |row| {
            Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), Position(row.int(2)?)))
        })
        .await
    }

    /// The keys a consumer has set messages aside for: what else comes with
    /// such a key must wait behind them.
    pub async fn parked_keys(&self, consumer: &str) -> Result<HashSet<String>, StoreError> {
        let keys = self.rows(&sql::PARKED_KEYS, &[Arg::text(consumer)], sql::text).await?;
        Ok(keys.into_iter().collect())
    }
}

fn letter(row: &dyn Columns) -> Result<DeadLetter, Error> {
    Ok(DeadLetter {
        id: parse(row, 0)?,
        consumer: row.text(1)?.to_owned(),
        key: row.text(2)?.to_owned(),
        position: Position(row.int(3)?),
        message_id: parse(row, 4)?,
        reason: row.text(5)?.to_owned(),
        attempts: narrow(row, 6)?,
        first_failed_at: row.int(7)?,
        payload_override: row.text_or_absent(8)?.map(str::to_owned),
    })
}
