//! Asking the library: where it stands, what changed, and the connection that
//! every query goes through.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mallbots_domain::id::Kind;
use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database},
    message::Position,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, ModelTrait, Order, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};
use tokio::sync::watch;

use crate::{
    changes::Changes,
    feed::{Halt, Listening},
    parked,
    rebuild::{self, ALL, RebuildError, RebuildStatus},
    replica::Source,
    row::Row,
    tables::READ_MODELS,
};

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

/// How one of the read models stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionStatus {
    /// The table family, such as `orders`.
    pub name: &'static str,
    /// Up to where it is filled.
    pub position: Position,
    /// How many messages of the ledger it does not know yet.
    pub lag: u64,
    /// How many events it could not take in and put aside.
    pub parked: u64,
    /// How far a rebuild of it has come, from 0 to 1, while there is one.
    pub rebuilding: Option<f64>,
    /// How its last rebuild went, or goes: of it alone or of all, whichever
    /// was asked for last.
    pub rebuild: Option<RebuildStatus>,
}

/// Somebody waits to see something.
#[derive(Debug)]
pub struct Hurry(Arc<watch::Sender<usize>>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// The library's counter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reads {
    source: Source,
    /// Only to ask for rebuilds with.
    write: DatabaseConnection,
    backend: Backend,
    clock: Clock,
    head: watch::Receiver<Position>,
    listening: Listening,
}

impl Reads {
    pub(crate) fn new(
        views: &Database,
        head: watch::Receiver<Position>,
        clock: Clock,
        listening: Listening,
    ) -> Self {
        let source = Source::primary(views.read.clone());
        let (write, backend) = (views.write.clone(), views.kind);
        Self { source, write, backend, clock, head, listening }
    }

    /// Up to where everything is in the tables.
    #[must_use]
    pub fn position(&self) -> Position {
        self.listening.progress.borrow().reached
    }

    /// Waits until the tables have reached a position.
    pub async fn reached(&self, want: Position, timeout: Duration) -> Result<(), StaleRead> {
        let mut progress = self.listening.progress.clone();
        let _hurry = (want > progress.borrow().reached).then(|| self.hurry());
        let reached = progress.wait_for(|progress| progress.reached >= want);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Too late, or whoever would tell is gone.
            Ok(Err(_)) | Err(_) => Err(StaleRead { have: self.position(), want }),
        }
    }

    /// As long as somebody in the projector's process keeps this, nothing
    /// gathers before it is taken in: for those who wait to see something.
    #[must_use]
    pub fn hurry(&self) -> Hurry {
        self.listening.hurry.send_modify(|waiting| *waiting += 1);
        Hurry(Arc::clone(&self.listening.hurry))
    }

    /// What changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(self.listening.changes.upgrade().map(|changes| changes.subscribe()))
    }

    /// Why nothing is written to the tables any more, if that is so.
    #[must_use]
    pub fn halted(&self) -> Option<Halt> {
        *self.listening.halt.borrow()
    }

    /// How each read model stands.
    pub async fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let parked = parked::counts(self, None).await?;
        let mut rebuilds = rebuild::statuses(self.source.never_behind()).await?;
        let of_all = rebuilds.remove(ALL);
        let position = self.position();
        let lag = self.head.borrow().0.saturating_sub(position.0).try_into().unwrap_or_default();
        let status = |&(name, kind): &(&'static str, Option<Kind>)| {
            let of_kind = parked.iter().filter(|(key, _)| Some(key.kind) == kind);
            let parked = of_kind.map(|(_, count)| count).sum();
            let rebuilds = rebuilds.get(name).cloned().into_iter().chain(of_all.clone());
            let rebuild =
                rebuilds.max_by_key(|rebuild| (rebuild.is_underway(), rebuild.requested_at));
            let underway = rebuild.as_ref().filter(|rebuild| rebuild.is_underway());
            let rebuilding = underway.map(RebuildStatus::share);
            ProjectionStatus { name, position, lag, parked, rebuilding, rebuild }
        };
        Ok(READ_MODELS.iter().map(status).collect())
    }

    /// Asks for a read model to be filled anew from the ledger, beside the live
    /// one, or for all of them under the name [`ALL`]. Whichever process writes
    /// the tables does it and swaps the new ones in when they have caught up;
    /// [`projections`](Self::projections) says how far it is. There is one
    /// rebuild at a time.
    pub async fn rebuild(&self, name: &str) -> Result<(), RebuildError> {
        let head = *self.head.borrow();
        rebuild::ask(&self.write, self.backend, name, head, self.clock.now()).await?;
        self.listening.asked.notify_one();
        Ok(())
    }

    /// Whether a replica answers now.
    #[must_use]
    pub fn is_on_replica(&self) -> bool {
        self.source.is_on_replica()
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        self.source.now()
    }

    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) const fn listening(&self) -> &Listening {
        &self.listening
    }

    /// The same, answered from elsewhere and told of by others.
    pub(crate) fn answering_from(self, source: Source, listening: Listening) -> Self {
        Self { source, listening, ..self }
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
        let rows = E::find().filter(self.any_of(column, ids)).all(self.db()).await?;
        Ok(rows.into_iter().map(|row| (row.id(), row)).collect())
    }

    /// The rows of a table that changed behind a position, in the order of
    /// their last change, at most `limit`.
    pub async fn changed_behind<R>(&self, position: i64, limit: u32) -> Result<Vec<R>, ReadError>
    where
        R: Row + ModelTrait<Entity: EntityTrait<Model = R>>,
    {
        Ok(<R::Entity as EntityTrait>::find()
            .filter(Expr::col("position").gt(position))
            .order_by(Expr::col("position"), Order::Asc)
            .limit(u64::from(limit))
            .all(self.db())
            .await?)
    }

    /// Whether a column holds one of these texts: one parameter, however many
    /// there are, so that the statement stays the same and stays prepared.
    pub(crate) fn any_of<C: ColumnTrait, T: ToString>(&self, column: C, texts: &[T]) -> Expr {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let column = Expr::col(column.as_column_ref());
        match self.backend {
            Backend::Postgres => column.eq(PgFunc::any(texts)),
            Backend::Sqlite => {
                let texts = serde_json::Value::from(texts).to_string();
                let wanted = Query::select()
                    .column("value")
                    .from_function(Func::cust("json_each").arg(texts), "wanted")
                    .to_owned();
                column.in_subquery(wanted)
            }
        }
    }
}
