//! Sagas, step by step, as they stand.

use std::collections::HashMap;

use mallbots_domain::{
    id::{OrderId, SagaId},
    saga::SagaState,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as SagaRow;
use crate::{
    column::{Json, Text},
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads, Row},
};

/// A saga.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "sagas")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<SagaId>,
    /// The order it is about.
    pub order_id: Text<OrderId>,
    /// What it is called, such as `create_order`.
    pub name: String,
    /// Where it stands.
    pub state: Text<SagaState>,
    /// Its steps, in order.
    pub steps: Json<Vec<SagaStep>>,
    /// Why it turned back: the stable name of the refusal.
    pub refusal: Option<String>,
    /// When it arrived, or was back where it began.
    pub ended_at: Option<i64>,
    /// How many of its events the row knows.
    pub version: i64,
    /// The ledger position of the last of them.
    pub position: i64,
    /// When it began.
    pub created_at: i64,
    /// When the last of its events was recorded.
    pub updated_at: i64,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    type Id = SagaId;

    fn id(&self) -> SagaId {
        *self.id
    }
}

/// A step of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaStep {
    /// What it is called, such as `AuthorizeCustomer`.
    pub name: String,
    /// Where it stands.
    pub state: SagaStepState,
    /// How often it was tried in the direction the saga last went.
    pub attempts: u32,
    /// When it was first tried in that direction.
    pub started_at: Option<i64>,
    /// When it was done, refused, undone or skipped.
    pub ended_at: Option<i64>,
    /// When it will be tried again.
    pub next_attempt_at: Option<i64>,
    /// Why it was refused or has to be tried again: a stable name.
    pub reason: Option<String>,
}

/// Where a step of a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SagaStepState {
    /// Its turn has not come.
    Waiting,
    /// It was asked for.
    Running,
    /// It was done.
    Succeeded,
    /// The context said no.
    Refused,
    /// It will be tried again.
    Retrying,
    /// It is being undone.
    Compensating,
    /// It was undone.
    Compensated,
    /// The saga turned back before it.
    Skipped,
    /// It needs an operator.
    Stuck,
}

/// A saga.
pub async fn by_id(reads: &Reads, id: SagaId) -> Result<Option<SagaRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several sagas.
pub async fn by_ids(reads: &Reads, ids: &[SagaId]) -> Result<HashMap<SagaId, SagaRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// The latest saga of each of several orders: the one that undoes it where
/// there is one, else the one that accepts it.
pub async fn latest_of_orders(
    reads: &Reads,
    order_ids: &[OrderId],
) -> Result<HashMap<OrderId, SagaRow>, ReadError> {
    let ids: Vec<SagaId> =
        order_ids.iter().flat_map(|id| [id.create_saga(), id.cancel_saga()]).collect();
    let mut sagas = by_ids(reads, &ids).await?;
    Ok(order_ids
        .iter()
        .filter_map(|id| {
            let saga =
                sagas.remove(&id.cancel_saga()).or_else(|| sagas.remove(&id.create_saga()))?;
            Some((*id, saga))
        })
        .collect())
}

/// Sagas in these states, or all, newest first.
pub async fn list(
    reads: &Reads,
    states: Option<&[SagaState]>,
    request: &PageRequest,
) -> Result<Page<SagaRow>, ReadError> {
    let mut select = Entity::find();
    if let Some(states) = states {
        select = select.filter(Column::State.is_in(states.iter().copied().map(Text)));
    }
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Down };
    page::page(reads, select, sort, request).await
}
