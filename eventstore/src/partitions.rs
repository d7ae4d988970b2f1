//! Where the partitions stand, for whoever carries messages on.

use mallbots_domain::id::PARTITIONS;

use crate::{
    checkpoints::Checkpoints,
    error::StoreError,
    ledger::Ledger,
    message::Position,
    sql::{self, Arg, narrow},
};

impl Ledger {
    /// The last message of each partition up to and with a position; zero
    /// where there is none.
    pub async fn last_in_partitions(&self, up_to: Position) -> Result<Checkpoints, StoreError> {
        let rows = self
            .rows(&sql::LAST_IN_PARTITIONS, &[Arg::int(up_to.0)], |row| {
                Ok((narrow::<usize>(row, 0)?, Position(row.int(1)?)))
            })
            .await?;
        let mut last = [Position::default(); PARTITIONS as usize];
        for (partition, position) in rows {
            if let Some(last) = last.get_mut(partition) {
                *last = position;
            }
        }
        Ok(last)
    }

    /// The least of all consumers' checkpoints: everybody has what is not
    /// behind it. Zero when nobody has kept one.
    pub async fn least_checkpoint(&self) -> Result<Position, StoreError> {
        let rows = self.rows(&sql::LEAST_CHECKPOINT, &[], sql::int).await?;
        Ok(Position(rows.first().copied().unwrap_or_default()))
    }
}
