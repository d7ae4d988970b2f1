//! Customers' payments.

use std::collections::HashMap;

use mallbots_domain::{
    id::{CustomerId, OrderId, PaymentId},
    payments::payment::PaymentStatus,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as PaymentRow;
use crate::{
    column::Text,
    reads::{ReadError, Reads, Row},
};

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "payments")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<PaymentId>,
    /// Whose money.
    pub customer_id: Text<CustomerId>,
    /// The order it pays, was to pay or paid.
    pub order_id: Option<Text<OrderId>>,
    /// How much, in minor units.
    pub amount: i64,
    /// Where it stands.
    pub status: Text<PaymentStatus>,
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
    type Id = PaymentId;

    fn id(&self) -> PaymentId {
        *self.id
    }
}

/// A payment.
pub async fn by_id(reads: &Reads, id: PaymentId) -> Result<Option<PaymentRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several payments.
pub async fn by_ids(
    reads: &Reads,
    ids: &[PaymentId],
) -> Result<HashMap<PaymentId, PaymentRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}
