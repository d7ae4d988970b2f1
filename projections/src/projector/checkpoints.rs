//! How far the tables have come, partition by partition.

use mallbots_domain::id::PARTITIONS;
use mallbots_eventstore::{
    connect::Backend,
    message::{Position, Recorded},
};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use serde::Serialize;

use super::ProjectError;
use crate::table::statement;

/// The checkpoints as last seen: moved from there or not at all, so that of
/// two projectors only one takes a batch in.
#[derive(Debug)]
pub(super) struct Checkpoints {
    name: &'static str,
    backend: Backend,
    positions: [i64; PARTITIONS as usize],
}

/// Up to where something was taken in, as the tables say.
pub(super) async fn most(db: &impl ConnectionTrait, name: &str) -> Result<Position, DbErr> {
    let sql = format!(
        "SELECT coalesce(max(position), 0) AS position FROM projection_checkpoints \
         WHERE name = '{name}'",
    );
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map_or(Ok(Position(0)), |row| Ok(Position(row.try_get("", "position")?)))
}

impl Checkpoints {
    pub(super) const fn new(backend: Backend, name: &'static str) -> Self {
        Self { name, backend, positions: [0; PARTITIONS as usize] }
    }

    /// Behind which position there is something to take in.
    pub(super) fn least(&self) -> Position {
        Position(self.positions.into_iter().min().unwrap_or_default())
    }

    /// Up to where something was taken in.
    pub(super) fn most(&self) -> Position {
        Position(self.positions.into_iter().max().unwrap_or_default())
    }

    /// Whether a message was taken in before.
    pub(super) fn covers(&self, message: &Recorded) -> bool {
        self.positions
            .get(usize::from(message.partition()))
            .is_some_and(|at| message.position.0 <= *at)
    }

    pub(super) fn all() -> Vec<u8> {
        (0..PARTITIONS).collect()
    }

    /// Those of all partitions that are not as far as this.
    pub(super) fn before(&self, to: Position) -> Vec<u8> {
        let is_before = |&partition: &u8| self.positions[usize::from(partition)] < to.0;
        (0..PARTITIONS).filter(is_before).collect()
    }

    /// Reads them anew, and begins those that are not there.
    pub(super) async fn read(&mut self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let begin = match self.backend {
            Backend::Postgres => {
                "INSERT INTO projection_checkpoints (name, partition, position) \
                 SELECT $1, partition, 0 FROM generate_series(0, $2 - 1) AS partition \
                 ON CONFLICT DO NOTHING"
            }
            Backend::Sqlite => {
                "WITH RECURSIVE partitions (partition) AS ( \
                     SELECT 0 UNION ALL SELECT partition + 1 FROM partitions WHERE partition < ?2 - 1 \
                 ) INSERT INTO projection_checkpoints (name, partition, position) \
                 SELECT ?1, partition, 0 FROM partitions WHERE true ON CONFLICT DO NOTHING"
            }
        };
        let values = [self.name.into(), i32::from(PARTITIONS).into()];
        db.execute_raw(statement(self.backend, begin, values)).await?;

        let select = format!(
            "SELECT CAST(partition AS bigint) AS partition, position \
             FROM projection_checkpoints WHERE name = '{}'",
            self.name,
        );
        for row in db.query_all_raw(statement(self.backend, &select, [])).await? {
            let partition: i64 = row.try_get("", "partition")?;
            let position: i64 = row.try_get("", "position")?;
            let place = usize::try_from(partition).ok();
            if let Some(place) = place.and_then(|place| self.positions.get_mut(place)) {
                *place = position;
            }
        }
        Ok(())
    }

    /// Moves these partitions' checkpoints from where they were last seen, or
    /// fails. First in its transaction, so that another projector waits here
    /// before it reads anything.
    pub(super) async fn move_to(
        &self,
        db: &impl ConnectionTrait,
        partitions: &[u8],
        to: Position,
    ) -> Result<(), ProjectError> {
        #[derive(Serialize)]
        struct Seen {
            partition: u8,
            position: i64,
        }

        let sql = match self.backend {
            Backend::Postgres => {
                "UPDATE projection_checkpoints AS own SET position = $1 \
                 FROM json_to_recordset($2::json) AS seen (partition smallint, position bigint) \
                 WHERE own.name = $3 AND own.partition = seen.partition \
                 AND own.position = seen.position"
            }
            Backend::Sqlite => {
                "UPDATE projection_checkpoints AS own SET position = ?1 \
                 FROM json_each(?2) AS seen \
                 WHERE own.name = ?3 AND own.partition = seen.value ->> '$.partition' \
                 AND own.position = seen.value ->> '$.position'"
            }
        };
        let seen: Vec<Seen> = partitions
            .iter()
            .map(|&partition| Seen { partition, position: self.positions[usize::from(partition)] })
            .collect();
        let seen = serde_json::to_string(&seen).map_err(|error| DbErr::Json(error.to_string()))?;
        let values = [to.0.into(), seen.into(), self.name.into()];
        let moved = db.execute_raw(statement(self.backend, sql, values)).await?.rows_affected();
        if usize::try_from(moved) == Ok(partitions.len()) {
            Ok(())
        } else {
            Err(ProjectError::Overtaken)
        }
    }

    /// Notes that they were moved, once that is committed.
    pub(super) fn moved(&mut self, partitions: &[u8], to: Position) {
        for &partition in partitions {
            self.positions[usize::from(partition)] = to.0;
        }
    }
}
