//! Asking the library: where it stands, what changed, and the connection that
//! every query goes through.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mallbots_domain::id::Kind;
use mallbots_eventstore::{
    connect::{Backend, Database},
    message::Position,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};
use tokio::sync::{broadcast, watch};

use crate::{
    changes::{Changed, Changes},
    parked,
    rebuild::{RebuildError, Rebuilds},
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
}

/// How many announcements a subscriber may be behind before it has missed some.
const ANNOUNCEMENTS: usize = 1024;

/// The projector's end of the counter.
#[derive(Debug)]
pub(crate) struct Announcer {
    progress: watch::Sender<Position>,
    changes: broadcast::Sender<Arc<Changed>>,
}

impl Announcer {
    /// Says what was committed.
    pub(crate) fn announce(&self, changed: Changed) {
        let position = changed.position;
        if !changed.rows.is_empty() {
            // An error only says that nobody listens.
            let _ = self.changes.send(Arc::new(changed));
        }
        self.reached(position);
    }

    /// Says how far the tables are. Never goes back.
    pub(crate) fn reached(&self, position: Position) {
        self.progress.send_if_modified(|reached| {
            let on = position > *reached;
            *reached = position.max(*reached);
            on
        });
    }
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
    db: DatabaseConnection,
    backend: Backend,
    progress: watch::Receiver<Position>,
    head: watch::Receiver<Position>,
    /// How many wait for what the projector takes in next.
    hurry: Arc<watch::Sender<usize>>,
    changes: broadcast::WeakSender<Arc<Changed>>,
    rebuilds: Rebuilds,
}

impl Reads {
    pub(crate) fn new(
        views: &Database,
        head: watch::Receiver<Position>,
        rebuilds: Rebuilds,
    ) -> (Announcer, Self) {
        let (progress, _) = watch::channel(Position(0));
        let (changes, _) = broadcast::channel(ANNOUNCEMENTS);
        let reads = Self {
            db: views.read.clone(),
            backend: views.kind,
            progress: progress.subscribe(),
            head,
            hurry: Arc::default(),
            changes: changes.downgrade(),
            rebuilds,
        };
        (Announcer { progress, changes }, reads)
    }

    /// Up to where everything is in the tables.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.progress.borrow()
    }

    /// Waits until the tables have reached a position.
    pub async fn reached(&self, want: Position, timeout: Duration) -> Result<(), StaleRead> {
        let mut progress = self.progress.clone();
        let _hurry = (want > *progress.borrow()).then(|| self.hurry());
        let reached = progress.wait_for(|&position| position >= want);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Too late, or the projector is gone.
            Ok(Err(_)) | Err(_) => Err(StaleRead { have: self.position(), want }),
        }
    }

    /// As long as somebody in the projector's process keeps this, nothing
    /// gathers before it is taken in: for those who wait to see something.
    #[must_use]
    pub fn hurry(&self) -> Hurry {
        self.hurry.send_modify(|waiting| *waiting += 1);
        Hurry(Arc::clone(&self.hurry))
    }

    /// How many are in a hurry.
    pub(crate) fn hurried(&self) -> watch::Receiver<usize> {
        self.hurry.subscribe()
    }

    /// What changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(self.changes.upgrade().map(|changes| changes.subscribe()))
    }

    /// How each read model stands.
    pub async fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let parked = parked::counts(self, None).await?;
        let position = self.position();
        let lag = self.head.borrow().0.saturating_sub(position.0).try_into().unwrap_or_default();
        let status = |&(name, kind): &(&'static str, Option<Kind>)| {
            let of_kind = parked.iter().filter(|(key, _)| Some(key.kind) == kind);
            let parked = of_kind.map(|(_, count)| count).sum();
            let underway = self.rebuilds.underway().filter(|underway| underway.name == name);
            let rebuilding = underway.map(|underway| underway.share);
            ProjectionStatus { name, position, lag, parked, rebuilding }
        };
        Ok(READ_MODELS.iter().map(status).collect())
    }

    /// Begins to fill a read model anew from the ledger, beside the live one.
    /// It is swapped in when it has caught up; [`projections`](Self::projections)
    /// says how far it is. There is one rebuild at a time.
    pub fn rebuild(&self, name: &str) -> Result<(), RebuildError> {
        self.rebuilds.begin(name)
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
