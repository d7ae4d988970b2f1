//! How the ledger's smaller tables stand, for those who watch over the mall.

use crate::{
    error::StoreError,
    ledger::Ledger,
    message::Position,
    sql::{self, Arg},
};

/// The timers there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimersStanding {
    /// How many are set.
    pub set: i64,
    /// How many of them are due.
    pub due: i64,
    /// When the first was or will be due, in microseconds since the Unix epoch.
    pub first: Option<i64>,
}

/// What one consumer has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStanding {
    /// Which consumer.
    pub consumer: String,
    /// How many messages.
    pub letters: i64,
    /// Since when the oldest lies there, in microseconds since the Unix epoch.
    pub since: i64,
}

impl Ledger {
    /// How many timers there are.
    pub async fn timers_standing(&self) -> Result<TimersStanding, StoreError> {
        let rows = self
            .rows(&sql::TIMERS, &[Arg::int(self.now())], |row| {
                Ok((row.int(0)?, row.int(1)?, row.int(2)?))
            })
            .await?;
        let (set, due, first) = rows.into_iter().next().unwrap_or_default();
        Ok(TimersStanding { set, due, first: (set > 0).then_some(first) })
    }

    /// What consumers have set aside. Who has set nothing aside is left out.
    pub async fn parked_standing(&self) -> Result<Vec<ParkedStanding>, StoreError> {
        self.rows(&sql::DEAD_LETTER_COUNTS, &[], |row| {
            Ok(ParkedStanding {
                consumer: row.text(0)?.to_owned(),
                letters: row.int(1)?,
                since: row.int(2)?,
            })
        })
        .await
    }

    /// When the messages right behind these positions were recorded, in
    /// microseconds since the Unix epoch: for who has come so far, since when
    /// what comes next waits. Positions at the head are left out.
    pub async fn waiting_since(
        &self,
        positions: &[Position],
    ) -> Result<Vec<(Position, i64)>, StoreError> {
        let positions: Vec<_> = positions.iter().map(|position| position.0).collect();
        let positions = serde_json::to_string(&positions)
            .map_err(|error| crate::codec::undecodable("positions", "a question", error))?;
        let rows = self
            .rows(&sql::RECORDED_AT, &[Arg::Text(Some(positions))], |row| {
                Ok((Position(row.int(0)?), row.int(1)?))
            })
            .await?;
        Ok(rows.into_iter().filter(|(_, at)| *at > 0).collect())
    }
}
