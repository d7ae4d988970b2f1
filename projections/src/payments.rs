//! Customers' payments.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, CustomerId, EntityId, OrderId, PaymentId},
    payments::payment::{PaymentEvent, PaymentStatus},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as PaymentRow;
use crate::{
    column::Text,
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
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

row!(PaymentId);

impl Projection for Entity {
    type Event = PaymentEvent;

    fn fold(row: &mut Option<Model>, event: PaymentEvent, of: &Occurred) -> Result<(), Misfit> {
        let (status, order_id, row) = match (event, row.as_mut()) {
            (PaymentEvent::PaymentAuthorized { customer_id, amount }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    customer_id: Text(customer_id),
                    order_id: None,
                    amount: amount.minor(),
                    status: Text(PaymentStatus::Authorized),
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
                return Ok(());
            }
            (PaymentEvent::PaymentConfirmed { order_id, amount: _ }, Some(row)) => {
                (PaymentStatus::Confirmed, order_id, row)
            }
            (PaymentEvent::PaymentReleased { order_id }, Some(row)) => {
                (PaymentStatus::Released, order_id, row)
            }
            (PaymentEvent::PaymentCaptured { order_id }, Some(row)) => {
                (PaymentStatus::Captured, order_id, row)
            }
            (PaymentEvent::PaymentRefunded { order_id }, Some(row)) => {
                (PaymentStatus::Refunded, order_id, row)
            }
            (PaymentEvent::PaymentAuthorized { .. }, Some(_))
            | (
                PaymentEvent::PaymentConfirmed { .. }
                | PaymentEvent::PaymentReleased { .. }
                | PaymentEvent::PaymentCaptured { .. }
                | PaymentEvent::PaymentRefunded { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        };
        row.status = Text(status);
        row.order_id = Some(Text(order_id));
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        let customer = row.customer_id.any();
        row.order_id.iter().map(|order| order.any()).chain([customer]).collect()
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
