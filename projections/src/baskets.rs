//! Customers' baskets, with what is in them.

use std::collections::HashMap;

use mallbots_domain::{
    baskets::{BasketStatus, Item},
    id::{BasketId, CustomerId, PaymentId},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as BasketRow;
use crate::{
    column::{Json, Text},
    reads::{ReadError, Reads, Row},
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

impl Row for Model {
    type Id = BasketId;

    fn id(&self) -> BasketId {
        *self.id
    }
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
