//! Checks that the live tables are what history makes of empty ones.
//!
//! The tables to compare with are filled in a file of their own, so that the
//! database that is looked at is only read: a copy of it will do as well. They
//! are filled up to exactly where the live ones stand in one snapshot, and the
//! mall goes on meanwhile.

use std::{
    cmp::Ordering,
    collections::{HashMap, VecDeque},
    fmt, io,
};

use mallbots_domain::id::AnyId;
use mallbots_eventstore::{
    connect::{Backend, Database, Durability},
    error::StoreError,
    ledger::Ledger,
    message::Position,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, IdenStatic,
    IsolationLevel, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter, QueryOrder, QuerySelect,
    Schema, TransactionTrait, Value,
    sea_query::{Expr, ExprTrait, SimpleExpr},
};
use serde::Serialize;

use crate::{
    baskets, bots, column::Text, customers, invoices, notifications, orders, parked, payments,
    products, projector, replay::Replay, sagas, shopping_lists, stores, tables::families, timeline,
};

/// How many differing rows of a table are told one by one.
pub const TOLD: usize = 10;
/// How many messages are taken in at once.
const BATCH: u32 = 2_000;
/// How many rows are compared at once.
const PAGE: u64 = 1_000;
/// How often to begin again because an operator settled what was parked.
const TRIES: u32 = 3;

/// Why the tables could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    Ledger(#[from] StoreError),
    /// The tables could not be read, or those to compare with not written.
    #[error("the tables cannot be read")]
    Database(#[from] DbErr),
    /// There is no room for the tables to compare with.
    #[error("no temporary folder for the tables to compare with")]
    Room(#[from] io::Error),
    /// The ledger does not go as far as the tables: one of them is an older
    /// copy.
    #[error("the tables are at position {tables}, but the ledger ends at {ledger}")]
    Ahead {
        /// Where the tables stand.
        tables: Position,
        /// Where the ledger ends.
        ledger: Position,
    },
    /// What is parked changed each time while it was looked at.
    #[error("parked events are being settled; try again when that is over")]
    Unsettled,
}

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Where the tables stood.
    pub position: Position,
    /// How many rows they had.
    pub rows: u64,
    /// The tables that differ.
    pub differences: Vec<TableDifference>,
}

/// How a table differs from what history makes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDifference {
    /// Which table.
    pub table: &'static str,
    /// How many rows differ.
    pub rows: u64,
    /// The first [`TOLD`] of them, by key.
    pub first: Vec<RowDifference>,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowDifference {
    /// Its key: an id, or several with commas between.
    pub key: String,
    /// In what.
    #[serde(flatten)]
    pub how: Differs,
}

/// In what a row differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Differs {
    /// The live table lacks it.
    Missing,
    /// The live table has it, history does not.
    Surplus,
    /// Some columns hold something else.
    Other {
        /// Which.
        columns: Vec<ColumnDifference>,
    },
}

/// How a column of a row differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDifference {
    /// Its name.
    pub column: String,
    /// What is in the live table.
    pub live: serde_json::Value,
    /// What history makes of it.
    pub rebuilt: serde_json::Value,
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            Differs::Missing => write!(f, "{} is missing", self.key),
            Differs::Surplus => write!(f, "{} should not be there", self.key),
            Differs::Other { columns } => {
                write!(f, "{}", self.key)?;
                for ColumnDifference { column, live, rebuilt } in columns {
                    write!(f, " · {column} is {live}, should be {rebuilt}")?;
                }
                Ok(())
            }
        }
    }
}

/// Fills tables from the whole ledger and compares the live ones with them, in
/// one snapshot of these. Told as it goes: up to where it has read, and how far
/// it has to.
///
/// Streams with parked events are compared up to the first of them.
pub async fn compare(
    views: &Database,
    ledger: &Ledger,
    mut progress: impl FnMut(Position, Position) + Send,
) -> Result<Comparison, CompareError> {
    for _ in 0..TRIES {
        let folder = tempfile::Builder::new().prefix("mallbots-verify-").tempdir()?;
        let scratch =
            Database::sqlite(&folder.path().join("rebuilt.db"), Durability::Normal).await?;
        let compared = compare_in(&scratch, views, ledger, &mut progress).await;
        scratch.close().await?;
        if let Some(comparison) = compared? {
            return Ok(comparison);
        }
    }
    Err(CompareError::Unsettled)
}

/// `None` if something was parked or settled in between.
async fn compare_in(
    scratch: &Database,
    views: &Database,
    ledger: &Ledger,
    progress: &mut (impl FnMut(Position, Position) + Send),
) -> Result<Option<Comparison>, CompareError> {
    let before = parked_from(&views.read).await?;
    lay_out(scratch).await?;
    let mut replay =
        Replay::new(Backend::Sqlite, "", ledger.upcasters().clone()).cutting(before.clone());
    let near = projector::position_of(&views.read).await?;
    fill(&mut replay, scratch, ledger, near, progress).await?;

    let snapshot = match views.kind {
        Backend::Postgres => {
            let level = Some(IsolationLevel::RepeatableRead);
            let snapshot = views.read.begin_with_config(level, None).await?;
            // Before the first look: a table that is swapped in later would
            // seem to be empty.
            let tables: Vec<_> = families().into_iter().flat_map(|(_, tables)| tables).collect();
            let keep = format!("LOCK TABLE {} IN ACCESS SHARE MODE", tables.join(", "));
            snapshot.execute_unprepared(&keep).await?;
            snapshot
        }
        Backend::Sqlite => views.read.begin().await?,
    };
    let position = projector::position_of(&snapshot).await?;
    if parked_from(&snapshot).await? != before {
        return Ok(None);
    }
    fill(&mut replay, scratch, ledger, position, progress).await?;
    let mut comparison = Comparison { position, rows: 0, differences: Vec::new() };
    macro_rules! compare_tables {
        ($($entity:path),* $(,)?) => {$(
            compare_table::<$entity>(&snapshot, scratch, &mut comparison).await?;
        )*};
    }
    compare_tables!(
        stores::Entity,
        products::Entity,
        customers::Entity,
        baskets::Entity,
        orders::Entity,
        orders::lines::Entity,
        timeline::Entity,
        sagas::Entity,
        payments::Entity,
        invoices::Entity,
        shopping_lists::Entity,
        bots::Entity,
        notifications::Entity,
    );
    snapshot.rollback().await?;
    Ok(Some(comparison))
}

/// The streams with parked events, and where the first of them stands.
async fn parked_from(db: &impl ConnectionTrait) -> Result<HashMap<AnyId, Position>, DbErr> {
    let first: Vec<(Text<AnyId>, i64)> = parked::Entity::find()
        .select_only()
        .column(parked::Column::Key)
        .column_as(parked::Column::Position.min(), "first")
        .group_by(parked::Column::Key)
        .into_tuple()
        .all(db)
        .await?;
    Ok(first.into_iter().map(|(key, position)| (*key, Position(position))).collect())
}

/// Tables like the live ones, as far as comparing needs it.
async fn lay_out(scratch: &Database) -> Result<(), DbErr> {
    async fn create<E: EntityTrait>(scratch: &Database, entity: E) -> Result<(), DbErr> {
        let table = Schema::new(DbBackend::Sqlite).create_table_from_entity(entity);
        scratch.write.execute(&table).await.map(drop)
    }

    // Whatever becomes of the file, it is thrown away.
    scratch.write.execute_unprepared("PRAGMA synchronous = OFF").await?;
    create(scratch, stores::Entity).await?;
    create(scratch, products::Entity).await?;
    create(scratch, customers::Entity).await?;
    create(scratch, baskets::Entity).await?;
    create(scratch, orders::Entity).await?;
    create(scratch, orders::lines::Entity).await?;
    create(scratch, timeline::Entity).await?;
    create(scratch, sagas::Entity).await?;
    create(scratch, payments::Entity).await?;
    create(scratch, invoices::Entity).await?;
    create(scratch, shopping_lists::Entity).await?;
    create(scratch, bots::Entity).await?;
    create(scratch, notifications::Entity).await
}

/// Fills the tables up to a position.
async fn fill(
    replay: &mut Replay,
    scratch: &Database,
    ledger: &Ledger,
    to: Position,
    progress: &mut (impl FnMut(Position, Position) + Send),
) -> Result<(), CompareError> {
    while replay.at() < to {
        let mut messages = ledger.read(replay.at(), BATCH).await?;
        messages.retain(|message| message.position <= to);
        if messages.is_empty() {
            return Err(CompareError::Ahead { tables: to, ledger: replay.at() });
        }
        let transaction = scratch.write.begin().await?;
        replay.take_in(&transaction, &messages).await?;
        transaction.commit().await?;
        progress(replay.at(), to);
    }
    Ok(())
}

async fn compare_table<E: EntityTrait>(
    live: &DatabaseTransaction,
    scratch: &Database,
    comparison: &mut Comparison,
) -> Result<(), DbErr>
where
    E::Model: ModelTrait<Entity = E> + Serialize + Send + Sync,
{
    let mut difference =
        TableDifference { table: E::default().table_name(), rows: 0, first: Vec::new() };
    let (mut live, mut rebuilt) = (Rows::<E, _>::new(live), Rows::<E, _>::new(&scratch.read));
    let (mut ours, mut theirs) = (live.next().await?, rebuilt.next().await?);
    loop {
        let order = match (&ours, &theirs) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.key.cmp(&theirs.key),
        };
        let differs = match order {
            Ordering::Less => Some(Differs::Surplus),
            Ordering::Greater => Some(Differs::Missing),
            Ordering::Equal => other(ours.as_ref(), theirs.as_ref()),
        };
        let told = if order == Ordering::Greater { &theirs } else { &ours };
        if let (Some(how), Some(row)) = (differs, told) {
            difference.rows += 1;
            if difference.first.len() < TOLD {
                difference.first.push(RowDifference { key: row.name(), how });
            }
        }
        if order != Ordering::Greater {
            comparison.rows += 1;
            ours = live.next().await?;
        }
        if order != Ordering::Less {
            theirs = rebuilt.next().await?;
        }
    }
    if difference.rows > 0 {
        comparison.differences.push(difference);
    }
    Ok(())
}

/// In what two rows of one key differ.
fn other(live: Option<&KeyedRow>, rebuilt: Option<&KeyedRow>) -> Option<Differs> {
    let (live, rebuilt) = (&live?.row, &rebuilt?.row);
    if live == rebuilt {
        return None;
    }
    let columns = live.as_object()?.iter().filter_map(|(column, ours)| {
        let theirs = rebuilt.get(column).unwrap_or(&serde_json::Value::Null);
        (ours != theirs).then(|| ColumnDifference {
            column: column.clone(),
            live: ours.clone(),
            rebuilt: theirs.clone(),
        })
    });
    Some(Differs::Other { columns: columns.collect() })
}

/// A row with what it is found by.
struct KeyedRow {
    key: Vec<KeyPart>,
    row: serde_json::Value,
}

/// A part of a key, in the order in which both databases sort it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart {
    Number(i64),
    Text(String),
}

impl KeyedRow {
    fn name(&self) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .map(|part| match part {
                KeyPart::Number(number) => number.to_string(),
                KeyPart::Text(text) => text.clone(),
            })
            .collect();
        parts.join(", ")
    }
}

/// The rows of a table by key, a page at a time.
struct Rows<'a, E: EntityTrait, C> {
    db: &'a C,
    page: VecDeque<E::Model>,
    after: Option<Vec<Value>>,
    is_last: bool,
}

impl<'a, E, C> Rows<'a, E, C>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Serialize + Send + Sync,
    C: ConnectionTrait,
{
    fn new(db: &'a C) -> Self {
        Self { db, page: VecDeque::new(), after: None, is_last: false }
    }

    async fn next(&mut self) -> Result<Option<KeyedRow>, DbErr> {
        if self.page.is_empty() && !self.is_last {
            let mut select = E::find().limit(PAGE);
            for column in keys::<E>() {
                select = select.order_by_asc(column);
            }
            if let Some(after) = &self.after {
                let columns = keys::<E>().map(|key| Expr::col(key.as_column_ref()));
                let place = after.iter().cloned().map(Expr::val);
                select =
                    select.filter(SimpleExpr::from(Expr::tuple(columns)).gt(Expr::tuple(place)));
            }
            self.page = select.all(self.db).await?.into();
            self.is_last = u64::try_from(self.page.len()).is_ok_and(|rows| rows < PAGE);
            self.after = self.page.back().map(|row| keys::<E>().map(|key| row.get(key)).collect());
        }
        let Some(row) = self.page.pop_front() else { return Ok(None) };
        let row = serde_json::to_value(row).map_err(|error| DbErr::Json(error.to_string()))?;
        let key = keys::<E>().map(|key| {
            let part = &row[key.as_str()];
            part.as_i64().map_or_else(
                || KeyPart::Text(part.as_str().unwrap_or_default().to_owned()),
                KeyPart::Number,
            )
        });
        Ok(Some(KeyedRow { key: key.collect(), row }))
    }
}

fn keys<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column)
}
