//! What happened to each order, item by item, its sagas, shopping, payment and
//! messages included. Items are added and never change.

use std::collections::HashMap;

use mallbots_domain::{
    id::{OrderId, SagaId},
    ordering::OrderStatus,
    saga::SagaState,
};
use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as TimelineRow;
use crate::{
    column::{Json, Text},
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    sagas::SagaStep,
};

/// An item of an order's timeline, as it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order_timeline")]
pub struct Model {
    /// The order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Text<OrderId>,
    /// The ledger position of the event: the item's place.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// When it was recorded.
    pub at: i64,
    /// What it is about.
    pub kind: Text<TimelineKind>,
    /// What happened, in a short sentence.
    pub title: String,
    /// Where the order stood then.
    pub order_status: Text<OrderStatus>,
    /// The saga it is about, if it is about one.
    pub saga_id: Option<Text<SagaId>>,
    /// Where the saga stood then.
    pub saga_state: Option<Text<SagaState>>,
    /// The saga's step it is about, as it stood then.
    pub saga_step: Option<Json<SagaStep>>,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What an item of a timeline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TimelineKind {
    /// The order itself.
    Order,
    /// A saga.
    Saga,
    /// What bots do for it.
    Shopping,
    /// Its payment or invoice.
    Payment,
    /// A message to the customer.
    Notification,
}

/// What happened to an order behind a position, in order: at most `limit`
/// items, of one kind or all.
pub async fn since(
    reads: &Reads,
    order_id: OrderId,
    kind: Option<TimelineKind>,
    after: i64,
    limit: u32,
) -> Result<Vec<TimelineRow>, ReadError> {
    let mut select = Entity::find()
        .filter(Column::OrderId.eq(Text(order_id)))
        .filter(Column::Position.gt(after));
    if let Some(kind) = kind {
        select = select.filter(Column::Kind.eq(Text(kind)));
    }
    Ok(select.order_by_asc(Column::Position).limit(u64::from(limit)).all(reads.db()).await?)
}

/// A page of an order's timeline, in order. The value of a key is the item's
/// position.
pub async fn of_order(
    reads: &Reads,
    order_id: OrderId,
    request: &PageRequest,
) -> Result<Page<TimelineRow>, ReadError> {
    let select = Entity::find().filter(Column::OrderId.eq(Text(order_id)));
    page::page(reads, select, SORT, request).await
}

/// The same page of the timeline of each of several orders, in one query.
/// Unknown orders are missing from the answer.
pub async fn of_orders(
    reads: &Reads,
    order_ids: &[OrderId],
    request: &PageRequest,
) -> Result<HashMap<OrderId, Page<TimelineRow>>, ReadError> {
    let select = Entity::find().filter(reads.any_of(Column::OrderId, order_ids));
    page::pages(reads, select, Column::OrderId, SORT, request).await
}

const SORT: Sort<Column> = Sort { value: Column::Position, id: Column::OrderId, way: Way::Up };
