//! Customers' baskets, with what is in them.

use std::collections::HashMap;

use mallbots_domain::{
    baskets::{self, BasketEvent, BasketStatus, Item},
    id::{AnyId, BasketId, CustomerId, EntityId, PaymentId},
    money::Money,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as BasketRow;
use crate::{
    column::{Json, Text},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// A basket.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "baskets")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<BasketId>,
    /// Whose it is.
    pub customer_id: Text<CustomerId>,
    /// What pays for it, once it was bought.
    pub payment_id: Option<Text<PaymentId>>,
    /// Where it stands.
    pub status: Text<BasketStatus>,
    /// What is in it, in the order it was put in.
    pub items: Json<Vec<Item>>,
    /// What all of it costs, in minor units.
    pub total: i64,
    /// How many of its events the row knows.
    pub version: i64,
    /// The ledger position of the last of them.
    pub position: i64,
    /// When the first was recorded.
    pub created_at: i64,
    /// When the last was recorded.
    pub updated_at: i64,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

row!(BasketId);

impl Projection for Entity {
    type Event = BasketEvent;

    fn fold(row: &mut Option<Model>, event: BasketEvent, of: &Occurred) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (BasketEvent::BasketStarted { customer_id }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    customer_id: Text(customer_id),
                    payment_id: None,
                    status: Text(BasketStatus::Open),
                    items: Json(Vec::new()),
                    total: 0,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (BasketEvent::BasketItemAdded { item }, Some(row)) => {
                match row.items.0.iter_mut().find(|line| line.product_id == item.product_id) {
                    Some(line) => line.quantity = line.quantity.joined(item.quantity),
                    None => row.items.0.push(item),
                }
                row.total = total(&row.items);
            }
            (BasketEvent::BasketItemRemoved { product_id, quantity }, Some(row)) => {
                row.items.0.retain_mut(|line| {
                    if line.product_id != product_id {
                        return true;
                    }
                    let left = line.quantity.minus(quantity);
                    line.quantity = left.unwrap_or(line.quantity);
                    left.is_some()
                });
                row.total = total(&row.items);
            }
            (
                BasketEvent::BasketCheckedOut { customer_id: _, payment_id, items, total },
                Some(row),
            ) => {
                row.status = Text(BasketStatus::CheckedOut);
                row.payment_id = Some(Text(payment_id));
                row.items = Json(items);
                row.total = total.minor();
            }
            (BasketEvent::BasketCanceled {}, Some(row)) => {
                row.status = Text(BasketStatus::Canceled);
            }
            (BasketEvent::BasketAbandoned {}, Some(row)) => {
                row.status = Text(BasketStatus::Abandoned);
            }
            (BasketEvent::BasketStarted { .. }, Some(_))
            | (
                BasketEvent::BasketItemAdded { .. }
                | BasketEvent::BasketItemRemoved { .. }
                | BasketEvent::BasketCheckedOut { .. }
                | BasketEvent::BasketCanceled {}
                | BasketEvent::BasketAbandoned {},
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.customer_id.any()]
    }
}

/// What is in a basket costs no more than fits: what costs more is not let in.
fn total(items: &[Item]) -> i64 {
    baskets::total(items).map_or(i64::MAX, Money::minor)
}

/// A basket.
pub async fn by_id(reads: &Reads, id: BasketId) -> Result<Option<BasketRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several baskets.
pub async fn by_ids(
    reads: &Reads,
    ids: &[BasketId],
) -> Result<HashMap<BasketId, BasketRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}
