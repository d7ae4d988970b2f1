//! Fills read models anew from the ledger, beside the live ones, and swaps them
//! in at an exact position. Queries go on meanwhile.
//!
//! A rebuild is asked for through a table, by any process; whichever projector
//! writes carries it out, and every process sees in that table how far it is.
//! If the projector dies on the way, the next one begins it again, a few times
//! at most. One that was only slow finds out before it writes anything more:
//! each run has a number, and each of its transactions begins by asking for it.
//!
//! All tables are filled, since some read others while they are folded; only
//! those asked for are swapped in, the rest is thrown away.

use std::{collections::HashMap, error::Error, time::Duration};

use mallbots_eventstore::{connect::Backend, error::StoreError, ledger::Ledger, message::Position};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, RuntimeErr,
    SqlErr, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    column::Text,
    projector::{DO_NOT_DAWDLE, ProjectError, batch::chain},
    replay::Replay,
    table::statement,
    tables::families,
};

/// The name that stands for every read model, rebuilt in one go.
pub const ALL: &str = "all";

/// What the names of tables that are being filled end with.
pub(crate) const NEXT: &str = "__next";
/// How many messages are taken in at once.
const BATCH: u32 = 2_000;
/// How close to the live tables is close enough to swap.
const CLOSE: i64 = 500;
/// How often a rebuild is begun before it is given up.
const ATTEMPTS: i32 = 3;
/// How often new tables are tried to be swapped in: somebody may be reading the
/// old ones for a long time.
const SWAPS: u32 = 60;
/// How long to wait before the next try.
const BETWEEN_SWAPS: Duration = Duration::from_secs(1);
/// How long a request made in another process may go unnoticed.
const LOOK: Duration = Duration::from_millis(500);
/// How long queries may have to wait for a swap that cannot be made at once.
const SWAP_PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";

/// Why a rebuild did not begin, or did not end.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such read model.
    #[error("there is no read model of this name")]
    Unknown,
    /// One is under way; there is one at a time.
    #[error("a rebuild is under way already")]
    UnderWay,
    /// The projector is gone: the process is going down.
    #[error("the projector has stopped")]
    Closed,
    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    Ledger(#[from] StoreError),
    /// The tables could not be written.
    #[error("the new tables cannot be written")]
    Database(#[from] DbErr),
    /// Another projector has taken over.
    #[error("another projector was faster")]
    Overtaken,
}

impl From<ProjectError> for RebuildError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Database(error) => Self::Database(error),
            ProjectError::Overtaken => Self::Overtaken,
        }
    }
}

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RebuildState {
    /// It was asked for and waits for the projector.
    Requested,
    /// New tables are being filled.
    Running,
    /// The new tables are the live ones.
    Done,
    /// It was given up; the live tables are as they were.
    Failed,
}

/// How the last rebuild of a read model stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildStatus {
    /// Where it stands.
    pub state: RebuildState,
    /// Up to where the new tables are filled.
    pub done: Position,
    /// Where the ledger ended when that was last looked at.
    pub total: Position,
    /// How often it was begun.
    pub attempts: i32,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was asked for.
    pub requested_at: i64,
    /// When it was over.
    pub ended_at: Option<i64>,
}

impl RebuildStatus {
    /// Whether it is not over.
    #[must_use]
    pub const fn is_underway(&self) -> bool {
        match self.state {
            RebuildState::Requested | RebuildState::Running => true,
            RebuildState::Done | RebuildState::Failed => false,
        }
    }

    /// How far it has come, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
    pub fn share(&self) -> f64 {
        (self.done.0 as f64 / self.total.0.max(1) as f64).clamp(0.0, 1.0)
    }
}

/// The table through which rebuilds are asked for.
mod request {
    use sea_orm::entity::prelude::*;

    use super::{RebuildState, Text};

    /// The last rebuild of a read model.
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "projection_rebuilds")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) name: String,
        pub(crate) state: Text<RebuildState>,
        pub(crate) run: i64,
        pub(crate) attempts: i32,
        pub(crate) done: i64,
        pub(crate) total: i64,
        pub(crate) error: Option<String>,
        pub(crate) requested_at: i64,
        pub(crate) ended_at: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Asks for a rebuild, and fails if one is under way.
pub(crate) async fn ask(
    db: &DatabaseConnection,
    backend: Backend,
    name: &str,
    total: Position,
    now: i64,
) -> Result<(), RebuildError> {
    if tables_of(name).is_empty() {
        return Err(RebuildError::Unknown);
    }
    let sql = "INSERT INTO projection_rebuilds \
         (name, state, underway, run, attempts, done, total, error, requested_at, ended_at) \
         VALUES ($1, 'REQUESTED', 1, 0, 0, 0, $2, NULL, $3, NULL) \
         ON CONFLICT (name) DO UPDATE SET state = excluded.state, underway = 1, attempts = 0, \
         done = 0, total = excluded.total, error = NULL, \
         requested_at = excluded.requested_at, ended_at = NULL \
         WHERE projection_rebuilds.underway IS NULL";
    let values = [name.into(), total.0.into(), now.into()];
    match db.execute_raw(statement(backend, sql, values)).await {
        Ok(done) if done.rows_affected() == 0 => Err(RebuildError::UnderWay),
        Ok(_) => Ok(()),
        // One of another name.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(RebuildError::UnderWay)
        }
        Err(error) => Err(error.into()),
    }
}

/// How the last rebuilds stand, by name.
pub(crate) async fn statuses(
    db: &DatabaseConnection,
) -> Result<HashMap<String, RebuildStatus>, DbErr> {
    let rows = request::Entity::find().all(db).await?;
    let status = |row: request::Model| {
        let status = RebuildStatus {
            state: *row.state,
            done: Position(row.done),
            total: Position(row.total),
            attempts: row.attempts,
            error: row.error,
            requested_at: row.requested_at,
            ended_at: row.ended_at,
        };
        (row.name, status)
    };
    Ok(rows.into_iter().map(status).collect())
}

/// The tables that a name stands for; none if it is unknown.
fn tables_of(name: &str) -> Vec<&'static str> {
    let named = |known: &str| name == ALL || name == known;
    families()
        .into_iter()
        .filter(|(known, _)| named(known))
        .flat_map(|(_, tables)| tables)
        .collect()
}

/// New tables that are close behind the live ones, on their way to the
/// projector, which alone knows where exactly those stand.
#[derive(Debug)]
pub(crate) struct Swap {
    /// Whose they are.
    pub(crate) run: Run,
    /// The new tables.
    pub(crate) next: Replay,
    /// Told how it went.
    pub(crate) reply: oneshot::Sender<Result<Position, RebuildError>>,
}

/// One attempt at a rebuild.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What is rebuilt.
    pub(crate) name: String,
    number: i64,
    attempt: i32,
    backend: Backend,
}

impl Run {
    /// Begins what was asked for, if something was, with empty tables.
    async fn begin(
        db: &DatabaseConnection,
        backend: Backend,
        ledger: &Ledger,
    ) -> Result<Option<Self>, DbErr> {
        let open = "SELECT 1 FROM projection_rebuilds WHERE underway = 1";
        if db.query_one_raw(statement(backend, open, [])).await?.is_none() {
            return Ok(None);
        }
        let transaction = begin(db, backend).await?;
        // Taken from whoever was at it before.
        let claim = "UPDATE projection_rebuilds SET state = 'RUNNING', \
             run = (SELECT max(run) + 1 FROM projection_rebuilds), attempts = attempts + 1, \
             done = 0, total = $1 WHERE underway = 1 \
             RETURNING name, run, attempts";
        let values = [ledger.head().0.into()];
        let claimed = transaction.query_one_raw(statement(backend, claim, values)).await?;
        let Some(row) = claimed else { return Ok(None) };
        let run = Self {
            name: row.try_get("", "name")?,
            number: row.try_get("", "run")?,
            attempt: row.try_get("", "attempts")?,
            backend,
        };
        discard(&transaction, backend).await?;
        if run.attempt > ATTEMPTS {
            let died = "the projector stopped each time while it was at it";
            run.end(&transaction, RebuildState::Failed, Some(died), ledger.now()).await?;
            transaction.commit().await?;
            warn!(projection = run.name, "a rebuild is given up: {died}");
            return Ok(None);
        }
        transaction.commit().await?;
        info!(projection = run.name, attempt = run.attempt, "rebuild begins");
        Ok(Some(run))
    }

    /// Says how far it is, unless another has taken over.
    async fn go_on(
        &self,
        db: &impl ConnectionTrait,
        done: Position,
        total: Position,
    ) -> Result<(), RebuildError> {
        let sql = "UPDATE projection_rebuilds SET done = $1, total = $2 \
             WHERE name = $3 AND run = $4 AND underway = 1";
        let values = [done.0.into(), total.0.into(), self.name.clone().into(), self.number.into()];
        let told = db.execute_raw(statement(self.backend, sql, values)).await?;
        if told.rows_affected() == 1 { Ok(()) } else { Err(RebuildError::Overtaken) }
    }

    /// Says that it is over, or to be begun again. Whether it was still ours.
    async fn end(
        &self,
        db: &impl ConnectionTrait,
        state: RebuildState,
        error: Option<&str>,
        now: i64,
    ) -> Result<bool, DbErr> {
        let (underway, ended_at) = match state {
            RebuildState::Requested | RebuildState::Running => (Some(1_i16), None),
            RebuildState::Done | RebuildState::Failed => (None, Some(now)),
        };
        let sql = "UPDATE projection_rebuilds \
             SET state = $1, underway = $2, error = $3, ended_at = $4 \
             WHERE name = $5 AND run = $6 AND underway = 1";
        let values = [
            Text(state).into(),
            underway.into(),
            error.map(str::to_owned).into(),
            ended_at.into(),
            self.name.clone().into(),
            self.number.into(),
        ];
        let ended = db.execute_raw(statement(self.backend, sql, values)).await?;
        Ok(ended.rows_affected() == 1)
    }

    /// Fills new tables and has them swapped in.
    async fn carry_out(
        &self,
        swaps: &mpsc::Sender<Swap>,
        ledger: &Ledger,
        db: &DatabaseConnection,
    ) -> Result<Position, RebuildError> {
        let transaction = begin(db, self.backend).await?;
        self.go_on(&transaction, Position(0), ledger.head()).await?;
        lay_out(&transaction, self.backend, self.number).await?;
        transaction.commit().await?;
        let mut next = Replay::new(self.backend, NEXT, ledger.upcasters().clone());
        self.fill(&mut next, ledger, db).await?;
        if self.backend == Backend::Postgres {
            for table in tables_of(&self.name) {
                // Nobody else looks at it before it is live.
                db.execute_unprepared(&format!("ANALYZE \"{table}{NEXT}\"")).await?;
            }
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let (reply, swapped) = oneshot::channel();
            let swap = Swap { run: self.clone(), next: next.clone(), reply };
            swaps.send(swap).await.map_err(|_| RebuildError::Closed)?;
            match swapped.await.map_err(|_| RebuildError::Closed)? {
                Err(RebuildError::Database(error)) if tries < SWAPS && is_held_up(&error) => {
                    info!(
                        projection = self.name,
                        error = &error as &dyn Error,
                        "the new tables cannot be swapped in yet"
                    );
                    sleep(BETWEEN_SWAPS).await;
                    self.fill(&mut next, ledger, db).await?;
                }
                swapped => return swapped,
            }
        }
    }

    /// Fills the new tables until they are close behind the live ones.
    async fn fill(
        &self,
        next: &mut Replay,
        ledger: &Ledger,
        db: &DatabaseConnection,
    ) -> Result<(), RebuildError> {
        while next.at().0 + CLOSE < ledger.head().0 {
            let messages = ledger.read(next.at(), BATCH).await?;
            if messages.is_empty() {
                break;
            }
            let transaction = begin(db, self.backend).await?;
            let at = messages.last().map_or(next.at(), |last| last.position);
            self.go_on(&transaction, at, ledger.head()).await?;
            next.take_in(&transaction, &messages).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Brings the new tables to a position and puts those asked for in the place
    /// of the live ones.
    pub(crate) async fn swap_in(
        &self,
        db: &impl ConnectionTrait,
        mut next: Replay,
        ledger: &Ledger,
        to: Position,
    ) -> Result<(), RebuildError> {
        self.go_on(db, to, to).await?;
        while next.at() < to {
            let mut messages = ledger.read(next.at(), BATCH).await?;
            messages.retain(|message| message.position <= to);
            if messages.is_empty() {
                break;
            }
            next.take_in(db, &messages).await?;
        }
        if self.backend == Backend::Postgres {
            db.execute_unprepared(SWAP_PATIENCE).await?;
        }
        for table in tables_of(&self.name) {
            for sql in [
                format!("DROP TABLE \"{table}\""),
                format!("ALTER TABLE \"{table}{NEXT}\" RENAME TO \"{table}\""),
            ] {
                db.execute_raw(statement(self.backend, &sql, [])).await?;
            }
        }
        discard(db, self.backend).await?;
        self.end(db, RebuildState::Done, None, ledger.now()).await?;
        Ok(())
    }

    /// Throws away what was filled, and notes why; to be begun again unless that
    /// was tried often enough.
    async fn give_up(&self, db: &DatabaseConnection, reason: &str, now: i64) -> Result<(), DbErr> {
        let state =
            if self.attempt < ATTEMPTS { RebuildState::Requested } else { RebuildState::Failed };
        let transaction = db.begin().await?;
        if self.end(&transaction, state, Some(reason), now).await? {
            discard(&transaction, self.backend).await?;
        }
        transaction.commit().await
    }
}

/// Does what is asked for, one rebuild after the other, for as long as this
/// process writes.
pub(crate) async fn run(
    asked: &Notify,
    swaps: mpsc::Sender<Swap>,
    ledger: &Ledger,
    db: &DatabaseConnection,
    backend: Backend,
) {
    loop {
        match Run::begin(db, backend, ledger).await {
            Ok(Some(run)) => match run.carry_out(&swaps, ledger, db).await {
                Ok(position) => {
                    info!(projection = run.name, position = position.0, "rebuild swapped in");
                    continue;
                }
                Err(error) => {
                    let reason = chain(&error);
                    warn!(projection = run.name, attempt = run.attempt, reason, "rebuild failed");
                    if let Err(error) = run.give_up(db, &reason, ledger.now()).await {
                        // The request is still there, and will be begun again.
                        warn!(error = &error as &dyn Error, "a failed rebuild was left behind");
                    }
                }
            },
            Ok(None) => {}
            Err(error) => {
                warn!(error = &error as &dyn Error, "requests for rebuilds cannot be read");
            }
        }
        // Too late is as good as asked.
        let _ = timeout(LOOK, asked.notified()).await;
    }
}

/// Whether somebody held a table for longer than one may wait.
fn is_held_up(error: &DbErr) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const DEADLOCK: &str = "40P01";

    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
        error
    else {
        return false;
    };
    cause.as_database_error().is_some_and(|cause| {
        cause.code().is_some_and(|code| code == LOCK_NOT_AVAILABLE || code == DEADLOCK)
    })
}

async fn begin(db: &DatabaseConnection, backend: Backend) -> Result<DatabaseTransaction, DbErr> {
    let transaction = db.begin().await?;
    if backend == Backend::Postgres {
        transaction.execute_unprepared(DO_NOT_DAWDLE).await?;
    }
    Ok(transaction)
}

/// Drops what a rebuild has left.
pub(crate) async fn discard(db: &impl ConnectionTrait, backend: Backend) -> Result<(), DbErr> {
    for (_, tables) in families() {
        for table in tables {
            let sql = format!("DROP TABLE IF EXISTS \"{table}{NEXT}\"");
            db.execute_raw(statement(backend, &sql, [])).await?;
        }
    }
    Ok(())
}

/// Creates empty tables like the live ones, indexes included. Indexes keep
/// their names when the tables are swapped, so each rebuild numbers its own.
async fn lay_out(db: &impl ConnectionTrait, backend: Backend, number: i64) -> Result<(), DbErr> {
    for table in families().into_iter().flat_map(|(_, tables)| tables) {
        let creates = match backend {
            Backend::Postgres => vec![postgres_create(db, table).await?],
            Backend::Sqlite => sqlite_creates(db, table, number).await?,
        };
        for sql in creates {
            db.execute_raw(statement(backend, &sql, [])).await?;
        }
    }
    Ok(())
}

/// All that is said of a table, and how full its pages are to be, which `LIKE`
/// leaves out.
async fn postgres_create(db: &impl ConnectionTrait, table: &str) -> Result<String, DbErr> {
    let sql = "SELECT coalesce(array_to_string(reloptions, ', '), '') AS options \
               FROM pg_class WHERE oid = to_regclass($1)";
    let found = db.query_one_raw(statement(Backend::Postgres, sql, [table.into()])).await?;
    let options: String = found.map_or(Ok(String::new()), |row| row.try_get("", "options"))?;
    let with = if options.is_empty() { options } else { format!(" WITH ({options})") };
    Ok(format!("CREATE TABLE \"{table}{NEXT}\" (LIKE \"{table}\" INCLUDING ALL){with}"))
}

/// What SQLite keeps of how a table and its indexes were created, for a table
/// and indexes of other names.
async fn sqlite_creates(
    db: &impl ConnectionTrait,
    table: &str,
    number: i64,
) -> Result<Vec<String>, DbErr> {
    let sql = "SELECT name, type, sql FROM sqlite_master \
               WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC";
    let found = db.query_all_raw(statement(Backend::Sqlite, sql, [table.into()])).await?;
    let mut renamed = HashMap::from([(table.to_owned(), format!("{table}{NEXT}"))]);
    let mut creates = Vec::new();
    for row in found {
        let (name, kind, sql): (String, String, String) =
            (row.try_get("", "name")?, row.try_get("", "type")?, row.try_get("", "sql")?);
        if kind == "index" {
            let base = name.split_once("__r").map_or(&*name, |(base, _)| base);
            renamed.insert(name.clone(), format!("{base}__r{number}"));
        }
        creates.push(rename(&sql, &renamed));
    }
    Ok(creates)
}

/// The statement with these identifiers in place of those.
fn rename(sql: &str, names: &HashMap<String, String>) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(start) = rest.find(is_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        out.push_str(before);
        out.push_str(names.get(word).map_or(word, String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_identifiers_are_renamed() {
        let names = HashMap::from([
            ("orders".to_owned(), "orders__next".to_owned()),
            ("orders_by_total".to_owned(), "orders_by_total__r7".to_owned()),
        ]);
        assert_eq!(
            rename("CREATE INDEX \"orders_by_total\" ON orders (total, orders_total)", &names),
            "CREATE INDEX \"orders_by_total__r7\" ON orders__next (total, orders_total)"
        );
    }
}
