//! Asking the library: where it stands, what changed, and the connection that
//! every query goes through.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mallbots_domain::id::EntityId;
use mallbots_eventstore::message::Position;
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, ModelTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};
use tokio::sync::{broadcast, watch};

use crate::changes::{Changed, Changes};

/// The read side did not answer. What was wrong is for the log, not for
/// whoever asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the read side failed")]
pub struct ReadError(#[source] Arc<DbErr>);

impl From<DbErr> for ReadError {
    fn from(error: DbErr) -> Self {
        Self(Arc::new(error))
    }
}

/// The tables are not as far as was asked for, and were not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read side has reached position {have}, not {want}")]
pub struct StaleRead {
    /// Where they are.
    pub have: Position,
    /// Where they were to be.
    pub want: Position,
}

/// A row that one aggregate's events make.
pub trait Row: ModelTrait {
    /// What names it.
    type Id: EntityId;

    /// Its id.
    fn id(&self) -> Self::Id;
}

/// How one of the read models stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// The table family, such as `orders`.
    pub name: &'static str,
    /// Up to where it is filled.
    pub position: Position,
    /// How many messages of the ledger it does not know yet.
    pub lag: u64,
    /// How many events it could not take in and put aside.
    pub parked: u64,
}

/// The library's counter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reads {
    db: DatabaseConnection,
    progress: watch::Receiver<Position>,
    head: watch::Receiver<Position>,
    changes: broadcast::Sender<Arc<Changed>>,
}

impl Reads {
    /// Up to where everything is in the tables.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.progress.borrow()
    }

    /// Waits until the tables have reached a position.
    pub async fn reached(&self, want: Position, timeout: Duration) -> Result<(), StaleRead> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|&position| position >= want);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Too late, or the projector is gone.
            Ok(Err(_)) | Err(_) => Err(StaleRead { have: self.position(), want }),
        }
    }

    /// What changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(self.changes.subscribe())
    }

    /// How each read model stands.
    pub async fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        todo!()
    }

    pub(crate) const fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Rows by their ids; what is not there is missing from the answer.
    pub(crate) async fn by_ids<E>(
        &self,
        ids: &[<E::Model as Row>::Id],
        column: E::Column,
    ) -> Result<HashMap<<E::Model as Row>::Id, E::Model>, ReadError>
    where
        E: EntityTrait,
        E::Model: Row,
    {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = E::find().filter(self.any_of(column, ids)).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| (row.id(), row)).collect())
    }

    /// Whether a column holds one of these texts: one parameter, however many
    /// there are, so that the statement stays the same and stays prepared.
    pub(crate) fn any_of<C: ColumnTrait, T: ToString>(&self, column: C, texts: &[T]) -> Expr {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        any_of(self.db.get_database_backend(), column, texts)
    }
}

fn any_of<C: ColumnTrait>(backend: DbBackend, column: C, texts: Vec<String>) -> Expr {
    let column = Expr::col(column.as_column_ref());
    match backend {
        DbBackend::Postgres => column.eq(PgFunc::any(texts)),
        _ => column.in_subquery(
            Query::select()
                .column("value")
                .from_function(
                    Func::cust("json_each").arg(serde_json::Value::from(texts).to_string()),
                    "wanted",
                )
                .to_owned(),
        ),
    }
}
