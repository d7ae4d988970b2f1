//! The orders' invoices. An order's invoice is found by the id that follows from the order's.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, CustomerId, EntityId, InvoiceId, OrderId, PaymentId},
    payments::invoice::{InvoiceEvent, InvoiceStatus},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as InvoiceRow;
use crate::{
    column::Text,
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "invoices")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<InvoiceId>,
    /// What is billed.
    pub order_id: Text<OrderId>,
    /// Who is billed.
    pub customer_id: Text<CustomerId>,
    /// What will pay it.
    pub payment_id: Text<PaymentId>,
    /// How much, in minor units.
    pub amount: i64,
    /// Where it stands.
    pub status: Text<InvoiceStatus>,
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

row!(InvoiceId);

impl Projection for Entity {
    type Event = InvoiceEvent;

    fn fold(row: &mut Option<Model>, event: InvoiceEvent, of: &Occurred) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (InvoiceEvent::InvoiceCreated { order_id, customer_id, payment_id, amount }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    order_id: Text(order_id),
                    customer_id: Text(customer_id),
                    payment_id: Text(payment_id),
                    amount: amount.minor(),
                    status: Text(InvoiceStatus::Pending),
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (InvoiceEvent::InvoiceAdjusted { old: _, new }, Some(row)) => row.amount = new.minor(),
            (InvoiceEvent::InvoicePaid { order_id: _, payment_id: _, amount: _ }, Some(row)) => {
                row.status = Text(InvoiceStatus::Paid);
            }
            (InvoiceEvent::InvoiceCanceled {}, Some(row)) => {
                row.status = Text(InvoiceStatus::Canceled);
            }
            (InvoiceEvent::InvoiceCreated { .. }, Some(_))
            | (
                InvoiceEvent::InvoiceAdjusted { .. }
                | InvoiceEvent::InvoicePaid { .. }
                | InvoiceEvent::InvoiceCanceled {},
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.order_id.any(), row.customer_id.any()]
    }
}

/// An invoice.
pub async fn by_id(reads: &Reads, id: InvoiceId) -> Result<Option<InvoiceRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several invoices.
pub async fn by_ids(
    reads: &Reads,
    ids: &[InvoiceId],
) -> Result<HashMap<InvoiceId, InvoiceRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}
