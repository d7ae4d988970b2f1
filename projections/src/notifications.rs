//! What customers were told.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, CustomerId, EntityId, NotificationId, OrderId},
    notifications::{NotificationEvent, NotificationKind},
};
use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as NotificationRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// A message to a customer.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<NotificationId>,
    /// To whom.
    pub customer_id: Text<CustomerId>,
    /// About which order.
    pub order_id: Text<OrderId>,
    /// What for.
    pub kind: Text<NotificationKind>,
    /// Where it goes.
    pub sms_number: String,
    /// What it says.
    pub text: String,
    /// How it ended.
    pub status: Text<NotificationStatus>,
    /// What went wrong, when it could not be sent.
    pub failure: Option<String>,
    /// When it went out.
    pub sent_at: Option<i64>,
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

row!(NotificationId);

impl Projection for Entity {
    type Event = NotificationEvent;

    fn fold(
        row: &mut Option<Model>,
        event: NotificationEvent,
        of: &Occurred,
    ) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (
                NotificationEvent::NotificationRequested {
                    customer_id,
                    sms_number,
                    order_id,
                    kind,
                    text,
                },
                None,
            ) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    customer_id: Text(customer_id),
                    order_id: Text(order_id),
                    kind: Text(kind),
                    sms_number: sms_number.as_str().to_owned(),
                    text,
                    status: Text(NotificationStatus::Requested),
                    failure: None,
                    sent_at: None,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (NotificationEvent::NotificationSent {}, Some(row)) => {
                row.status = Text(NotificationStatus::Sent);
                row.sent_at = Some(of.at);
            }
            (NotificationEvent::NotificationFailed { reason }, Some(row)) => {
                row.status = Text(NotificationStatus::Failed);
                row.failure = Some(reason);
            }
            (NotificationEvent::NotificationRequested { .. }, Some(_))
            | (
                NotificationEvent::NotificationSent {}
                | NotificationEvent::NotificationFailed { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.order_id.any(), row.customer_id.any()]
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotificationStatus {
    /// It waits to be sent.
    Requested,
    /// It went out.
    Sent,
    /// It could not be sent.
    Failed,
}

/// A message to a customer.
pub async fn by_id(
    reads: &Reads,
    id: NotificationId,
) -> Result<Option<NotificationRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several notifications.
pub async fn by_ids(
    reads: &Reads,
    ids: &[NotificationId],
) -> Result<HashMap<NotificationId, NotificationRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// What a customer was told, newest first.
pub async fn of_customer(
    reads: &Reads,
    customer_id: CustomerId,
    request: &PageRequest,
) -> Result<Page<NotificationRow>, ReadError> {
    let select = Entity::find().filter(Column::CustomerId.eq(Text(customer_id)));
    page::page(reads, select, SORT, request).await
}

/// The same page of what each of several customers was told, in one query.
/// Customers who were told nothing are missing from the answer.
pub async fn of_customers(
    reads: &Reads,
    customer_ids: &[CustomerId],
    request: &PageRequest,
) -> Result<HashMap<CustomerId, Page<NotificationRow>>, ReadError> {
    let select = Entity::find().filter(reads.any_of(Column::CustomerId, customer_ids));
    page::pages(reads, select, Column::CustomerId, SORT, request).await
}

/// What went out to a customer behind a position, in the order it went out:
/// at most `limit` messages. A row that went out does not change any more, so
/// its `position` is its place in this feed.
pub async fn sent_to(
    reads: &Reads,
    customer_id: CustomerId,
    after: i64,
    limit: u32,
) -> Result<Vec<NotificationRow>, ReadError> {
    Ok(Entity::find()
        .filter(Column::CustomerId.eq(Text(customer_id)))
        .filter(Column::Status.eq(Text(NotificationStatus::Sent)))
        .filter(Column::Position.gt(after))
        .order_by_asc(Column::Position)
        .limit(u64::from(limit))
        .all(reads.db())
        .await?)
}

const SORT: Sort<Column> = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Down };
