//! Events that could not be taken in, and the later ones of the same stream,
//! which wait behind them.

use std::collections::HashMap;

use mallbots_domain::id::{AnyId, DeadLetterId};
use sea_orm::{FromQueryResult, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as ParkedRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
};

/// The name under which the read side's dead letters are listed.
pub const CONSUMER: &str = "views";

/// An event that was put aside. It is whole: the ledger need not be asked for it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "projection_dead_letters")]
pub struct Model {
    /// Its id: that of the message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<DeadLetterId>,
    /// Its stream. Later events of the same stream wait behind it.
    pub key: Text<AnyId>,
    /// Where it stands in the ledger.
    pub position: i64,
    /// Which event of its stream it is.
    pub version: i64,
    /// Its type, such as `ordering.OrderCreated`.
    pub name: String,
    /// The shape of its payload.
    pub schema_version: i32,
    /// Its content.
    pub payload: String,
    /// Who did it and why.
    pub metadata: String,
    /// When it was recorded.
    pub recorded_at: i64,
    /// What was wrong with it.
    pub reason: String,
    /// How often it was tried. Zero for one that waits behind another.
    pub attempts: i32,
    /// When it was put aside.
    pub first_failed_at: i64,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Parked events by their ids; what is not there is missing from the answer.
pub async fn by_ids(
    reads: &Reads,
    ids: &[DeadLetterId],
) -> Result<HashMap<DeadLetterId, ParkedRow>, ReadError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Entity::find().filter(reads.any_of(Column::Id, ids)).all(reads.db()).await?;
    Ok(rows.into_iter().map(|row| (*row.id, row)).collect())
}

/// Parked events, in ledger order. The value of a key is the position.
pub async fn list(reads: &Reads, request: &PageRequest) -> Result<Page<ParkedRow>, ReadError> {
    let sort = Sort { value: Column::Position, id: Column::Id, way: Way::Up };
    page::page(reads, Entity::find(), sort, request).await
}

/// How many events are parked in each of several streams, or in all.
pub async fn counts(
    reads: &Reads,
    keys: Option<&[AnyId]>,
) -> Result<HashMap<AnyId, u64>, ReadError> {
    #[derive(FromQueryResult)]
    struct Counted {
        key: Text<AnyId>,
        letters: i64,
    }

    let mut select = Entity::find()
        .select_only()
        .column(Column::Key)
        .column_as(Column::Id.count(), "letters")
        .group_by(Column::Key);
    if let Some(keys) = keys {
        select = select.filter(reads.any_of(Column::Key, keys));
    }
    let counted = select.into_model::<Counted>().all(reads.db()).await?;
    Ok(counted
        .into_iter()
        .map(|counted| (*counted.key, counted.letters.try_into().unwrap_or_default()))
        .collect())
}

/// How many events are parked in all, and since when, in microseconds since
/// the Unix epoch.
pub async fn standing(reads: &Reads) -> Result<(i64, Option<i64>), ReadError> {
    let row = Entity::find()
        .select_only()
        .column_as(Column::Id.count(), "letters")
        .column_as(Column::FirstFailedAt.min(), "since")
        .into_tuple()
        .one(reads.db())
        .await?;
    Ok(row.unwrap_or_default())
}

/// Where the parked events of several streams stand, with their streams.
pub async fn positions(reads: &Reads, keys: &[AnyId]) -> Result<Vec<(AnyId, i64)>, ReadError> {
    let rows: Vec<(Text<AnyId>, i64)> = Entity::find()
        .select_only()
        .column(Column::Key)
        .column(Column::Position)
        .filter(reads.any_of(Column::Key, keys))
        .into_tuple()
        .all(reads.db())
        .await?;
    Ok(rows.into_iter().map(|(key, position)| (*key, position)).collect())
}
