//! Fills read models anew from the ledger, beside the live ones, and swaps them
//! in at an exact position. Queries go on meanwhile.
//!
//! All tables are filled, since some read others while they are folded; only
//! those asked for are swapped in, the rest is thrown away.

use std::{collections::HashMap, sync::Arc};

use mallbots_eventstore::{connect::Backend, error::StoreError, ledger::Ledger, message::Position};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::{projector::ProjectError, replay::Replay, table::statement, tables::families};

/// What the names of tables that are being filled end with.
pub(crate) const NEXT: &str = "__next";
/// How many messages are taken in at once.
const BATCH: u32 = 2_000;
/// How close to the live tables is close enough to swap.
const CLOSE: i64 = 500;

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
    /// Another projector moved the checkpoint at the moment of the swap.
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

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Underway {
    /// Which read model.
    pub(crate) name: &'static str,
    /// From 0 to 1.
    pub(crate) share: f64,
}

/// Where rebuilds are asked for and watched. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Rebuilds {
    orders: mpsc::Sender<&'static str>,
    underway: Arc<watch::Sender<Option<Underway>>>,
}

impl Rebuilds {
    /// Both ends: one to ask with, one for who does the work.
    pub(crate) fn new() -> (Self, mpsc::Receiver<&'static str>) {
        let (orders, receiver) = mpsc::channel(1);
        (Self { orders, underway: Arc::new(watch::Sender::new(None)) }, receiver)
    }

    /// The rebuild under way, if there is one.
    pub(crate) fn underway(&self) -> Option<Underway> {
        *self.underway.borrow()
    }

    /// Asks for a rebuild, and fails if one is under way.
    pub(crate) fn begin(&self, name: &str) -> Result<(), RebuildError> {
        let (name, _) = families()
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or(RebuildError::Unknown)?;
        let began = self.underway.send_if_modified(|underway| {
            let free = underway.is_none();
            if free {
                *underway = Some(Underway { name, share: 0.0 });
            }
            free
        });
        if !began {
            return Err(RebuildError::UnderWay);
        }
        self.orders.try_send(name).map_err(|_| {
            self.underway.send_replace(None);
            RebuildError::Closed
        })
    }

    fn tell(&self, name: &'static str, at: Position, head: Position) {
        #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
        let share = at.0 as f64 / head.0.max(1) as f64;
        self.underway.send_replace(Some(Underway { name, share: share.clamp(0.0, 1.0) }));
    }

    fn ended(&self) {
        self.underway.send_replace(None);
    }
}

/// New tables that are close behind the live ones, on their way to the
/// projector, which alone knows where exactly those stand.
#[derive(Debug)]
pub(crate) struct Swap {
    /// Which tables are to be live.
    pub(crate) live: Vec<&'static str>,
    /// The new tables.
    pub(crate) next: Replay,
    /// Told how it went.
    pub(crate) reply: oneshot::Sender<Result<Position, RebuildError>>,
}

/// Does what is asked for, one rebuild after the other, until the projector
/// stops.
pub(crate) async fn run(
    rebuilds: Rebuilds,
    mut orders: mpsc::Receiver<&'static str>,
    swaps: mpsc::Sender<Swap>,
    ledger: Ledger,
    db: DatabaseConnection,
    backend: Backend,
) {
    while let Some(name) = orders.recv().await {
        info!(projection = name, "rebuild begins");
        match rebuild(name, &rebuilds, &swaps, &ledger, &db, backend).await {
            Ok(position) => info!(projection = name, position = position.0, "rebuild swapped in"),
            Err(error) => {
                warn!(
                    projection = name,
                    error = &error as &dyn std::error::Error,
                    "rebuild failed"
                );
            }
        }
        if let Err(error) = discard(&db, backend).await {
            warn!(error = &error as &dyn std::error::Error, "tables of a rebuild were left behind");
        }
        rebuilds.ended();
    }
}

async fn rebuild(
    name: &'static str,
    rebuilds: &Rebuilds,
    swaps: &mpsc::Sender<Swap>,
    ledger: &Ledger,
    db: &DatabaseConnection,
    backend: Backend,
) -> Result<Position, RebuildError> {
    discard(db, backend).await?;
    lay_out(db, backend, ledger.head()).await?;
    let mut next = Replay::new(backend, NEXT, ledger.upcasters().clone());
    while next.at().0 + CLOSE < ledger.head().0 {
        let messages = ledger.read(next.at(), BATCH).await?;
        if messages.is_empty() {
            break;
        }
        let transaction = db.begin().await?;
        next.take_in(&transaction, &messages).await?;
        transaction.commit().await?;
        rebuilds.tell(name, next.at(), ledger.head());
    }
    let live = families()
        .into_iter()
        .find_map(|(known, tables)| (known == name).then_some(tables))
        .unwrap_or_default();
    let (reply, swapped) = oneshot::channel();
    swaps.send(Swap { live, next, reply }).await.map_err(|_| RebuildError::Closed)?;
    swapped.await.map_err(|_| RebuildError::Closed)?
}

/// Brings new tables to a position and puts them in the place of the live ones.
pub(crate) async fn swap_in(
    next: &mut Replay,
    db: &impl ConnectionTrait,
    ledger: &Ledger,
    backend: Backend,
    live: &[&'static str],
    to: Position,
) -> Result<(), RebuildError> {
    while next.at() < to {
        let mut messages = ledger.read(next.at(), BATCH).await?;
        messages.retain(|message| message.position <= to);
        if messages.is_empty() {
            break;
        }
        next.take_in(db, &messages).await?;
    }
    for table in live {
        for sql in [
            format!("DROP TABLE \"{table}\""),
            format!("ALTER TABLE \"{table}{NEXT}\" RENAME TO \"{table}\""),
        ] {
            db.execute_raw(statement(backend, &sql, [])).await?;
        }
    }
    Ok(())
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
async fn lay_out(
    db: &impl ConnectionTrait,
    backend: Backend,
    number: Position,
) -> Result<(), DbErr> {
    for table in families().into_iter().flat_map(|(_, tables)| tables) {
        let creates = match backend {
            Backend::Postgres => {
                vec![format!("CREATE TABLE \"{table}{NEXT}\" (LIKE \"{table}\" INCLUDING ALL)")]
            }
            Backend::Sqlite => sqlite_creates(db, table, number).await?,
        };
        for sql in creates {
            db.execute_raw(statement(backend, &sql, [])).await?;
        }
    }
    Ok(())
}

/// What SQLite keeps of how a table and its indexes were created, for a table
/// and indexes of other names.
async fn sqlite_creates(
    db: &impl ConnectionTrait,
    table: &str,
    number: Position,
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
