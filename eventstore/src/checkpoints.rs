//! How far consumers have come.

use std::{collections::HashSet, ops::RangeInclusive};

use mallbots_domain::id::PARTITIONS;
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::Ledger,
    message::Position,
    sql::{self, Arg, narrow, parse},
};

/// How far a consumer has come in each partition.
pub type Checkpoints = [Position; PARTITIONS as usize];

impl Ledger {
    /// How far a consumer has come; zero where it has not begun.
    pub async fn checkpoints(&self, consumer: &str) -> Result<Checkpoints, StoreError> {
        let rows = self
            .rows(&sql::CHECKPOINTS, &[Arg::text(consumer)], |row| {
                Ok((narrow::<usize>(row, 0)?, Position(row.int(1)?)))
            })
            .await?;
        let mut checkpoints = Checkpoints::from([Position(0); PARTITIONS as usize]);
        for (partition, position) in rows {
            if let Some(checkpoint) = checkpoints.get_mut(partition) {
                *checkpoint = position;
            }
        }
        Ok(checkpoints)
    }

    /// The messages of some partitions that a consumer has handled and its
    /// checkpoints have not all passed: it reads them again after a restart.
    pub async fn handled(
        &self,
        consumer: &str,
        partitions: &RangeInclusive<u8>,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let args =
            [Arg::text(consumer), Arg::int(*partitions.start()), Arg::int(*partitions.end())];
        let ids = self.rows(&sql::HANDLED, &args, |row| parse(row, 0)).await?;
        Ok(ids.into_iter().collect())
    }

    /// Moves a consumer's checkpoints forward, never back, and forgets the
    /// inbox entries that all of its checkpoints have passed.
    pub async fn save_checkpoints(
        &self,
        consumer: &str,
        checkpoints: &[(u8, Position)],
    ) -> Result<(), StoreError> {
        let rows = serde_json::to_string(checkpoints)
            .map_err(|error| crate::codec::undecodable("checkpoints", consumer, error))?;
        self.run(vec![
            (sql::SAVE_CHECKPOINTS, vec![Arg::text(consumer), Arg::Text(Some(rows))]),
            (sql::PRUNE_INBOX, vec![Arg::text(consumer)]),
        ])
        .await
        .map(drop)
    }

    /// Moves the checkpoints of a consumer's range forward, never back, and
    /// forgets the inbox entries of that range that they have passed.
    pub async fn save_checkpoint(
        &self,
        consumer: &str,
        range: &RangeInclusive<u8>,
        position: Position,
    ) -> Result<(), StoreError> {
        let rows: Vec<_> = range.clone().map(|partition| (partition, position)).collect();
        if rows.len() == usize::from(PARTITIONS) {
            return self.save_checkpoints(consumer, &rows).await;
        }
        let rows = serde_json::to_string(&rows)
            .map_err(|error| crate::codec::undecodable("checkpoints", consumer, error))?;
        let (first, last) = (Arg::int(*range.start()), Arg::int(*range.end()));
        self.run(vec![
            (sql::SAVE_CHECKPOINTS, vec![Arg::text(consumer), Arg::Text(Some(rows))]),
            (sql::PRUNE_RANGE, vec![Arg::text(consumer), first, last]),
        ])
        .await
        .map(drop)
    }
}
