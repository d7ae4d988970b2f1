//! What was answered to requests that carry a key.

use crate::{
    error::StoreError,
    ledger::Ledger,
    message::Position,
    sql::{self, Arg},
};

/// A client's request, named by the client so that it can ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different callers do not meet.
    pub caller: String,
    /// The client's key.
    pub key: String,
    /// What is asked, as a digest: the same key for something else is refused.
    pub fingerprint: String,
}

/// What was answered to a client's request before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What was asked, as a digest.
    pub fingerprint: String,
    /// What was answered, as JSON.
    pub result: String,
    /// The position of the first message it made. If it made none, both are
    /// where the head stood.
    pub first: Position,
    /// The position of the last message it made.
    pub last: Position,
}

impl Ledger {
    /// What was answered to a caller's request before.
    pub async fn recall(&self, caller: &str, key: &str) -> Result<Option<Remembered>, StoreError> {
        let found = self
            .rows(&sql::RECALL, &[Arg::text(caller), Arg::text(key)], |row| {
                Ok(Remembered {
                    fingerprint: row.text(0)?.to_owned(),
                    result: row.text(1)?.to_owned(),
                    first: Position(row.int(2)?),
                    last: Position(row.int(3)?),
                })
            })
            .await?;
        Ok(found.into_iter().next())
    }

    /// Forgets what was answered before a moment, and says how much that was.
    pub async fn forget_answers(&self, before: i64) -> Result<u64, StoreError> {
        self.run(vec![(sql::FORGET_ANSWERS, vec![Arg::int(before)])]).await
    }
}
