//! Orders, and the index to look for them.
//!
//! All that a list of orders shows or filters by came with the order's own
//! events, so that no other context is asked and no other table is joined but
//! the order's own lines.

pub mod lines;

use std::{collections::HashMap, sync::Arc};

use mallbots_domain::{
    baskets::Item,
    id::{
        AnyId, CustomerId, EntityId, InvoiceId, OrderId, PaymentId, ProductId, ShoppingListId,
        StoreId,
    },
    ordering::{self, OrderEvent, OrderStatus},
};
use mallbots_eventstore::{codec, error::StoreError, message::Recorded, upcast::Upcasters};
use sea_orm::{FromQueryResult, QuerySelect, QueryTrait, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as OrderRow;
use crate::{
    column::{Json, Text},
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, Row as _, row},
    search,
};

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<OrderId>,
    /// Who ordered.
    pub customer_id: Text<CustomerId>,
    /// What the customer was called.
    pub customer_name: String,
    /// What pays for it.
    pub payment_id: Text<PaymentId>,
    /// What a bot collects for it, once it was accepted.
    pub shopping_list_id: Option<Text<ShoppingListId>>,
    /// The invoice that was paid, once it was.
    pub invoice_id: Option<Text<InvoiceId>>,
    /// Where it stands.
    pub status: Text<OrderStatus>,
    /// What was ordered, with the names and prices of that moment.
    pub items: Json<Vec<Item>>,
    /// What all of it costs, in minor units.
    pub total: i64,
    /// When it was accepted.
    pub approved_at: Option<i64>,
    /// When it was turned down.
    pub rejected_at: Option<i64>,
    /// When a bot set out.
    pub started_at: Option<i64>,
    /// When the goods were at the depot.
    pub readied_at: Option<i64>,
    /// When it was paid and handed over.
    pub completed_at: Option<i64>,
    /// When it was called off.
    pub canceled_at: Option<i64>,
    /// Why it was turned down: the stable name of the refusal.
    pub rejection_reason: Option<String>,
    /// Why it was called off.
    pub cancellation_reason: Option<String>,
    /// Who called it off.
    pub canceled_by: Option<String>,
    /// What text is looked for in: the names of the customer, the products
    /// and the stores.
    pub search: String,
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

row!(OrderId);

impl Projection for Entity {
    type Event = OrderEvent;

    fn fold(row: &mut Option<Model>, event: OrderEvent, of: &Occurred) -> Result<(), Misfit> {
        let (status, row) = match (event, row.as_mut()) {
            (
                OrderEvent::OrderCreated { customer_id, customer_name, payment_id, items, total },
                None,
            ) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    customer_id: Text(customer_id),
                    payment_id: Text(payment_id),
                    shopping_list_id: None,
                    invoice_id: None,
                    status: Text(OrderStatus::Pending),
                    total: total.minor(),
                    approved_at: None,
                    rejected_at: None,
                    started_at: None,
                    readied_at: None,
                    completed_at: None,
                    canceled_at: None,
                    rejection_reason: None,
                    cancellation_reason: None,
                    canceled_by: None,
                    search: searchable(customer_name.as_str(), &items),
                    customer_name: customer_name.into(),
                    items: Json(items),
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
                return Ok(());
            }
            (OrderEvent::OrderApproved { customer_id: _, shopping_list_id }, Some(row)) => {
                row.shopping_list_id = Some(Text(shopping_list_id));
                row.approved_at = Some(of.at);
                (OrderStatus::Approved, row)
            }
            (OrderEvent::OrderRejected { customer_id: _, payment_id: _, reason }, Some(row)) => {
                row.rejection_reason = Some(reason);
                row.rejected_at = Some(of.at);
                (OrderStatus::Rejected, row)
            }
            (OrderEvent::OrderStarted {}, Some(row)) => {
                row.started_at = Some(of.at);
                (OrderStatus::InProgress, row)
            }
            (OrderEvent::OrderReadied { customer_id: _, payment_id: _, total: _ }, Some(row)) => {
                row.readied_at = Some(of.at);
                (OrderStatus::Ready, row)
            }
            (OrderEvent::OrderCompleted { customer_id: _, invoice_id }, Some(row)) => {
                row.invoice_id = Some(Text(invoice_id));
                row.completed_at = Some(of.at);
                (OrderStatus::Completed, row)
            }
            (
                OrderEvent::OrderCanceled { customer_id: _, payment_id: _, reason, by },
                Some(row),
            ) => {
                row.cancellation_reason = Some(reason.into());
                row.canceled_by = Some(by);
                row.canceled_at = Some(of.at);
                (OrderStatus::Canceled, row)
            }
            (OrderEvent::OrderCreated { .. }, Some(_))
            | (
                OrderEvent::OrderApproved { .. }
                | OrderEvent::OrderRejected { .. }
                | OrderEvent::OrderStarted {}
                | OrderEvent::OrderReadied { .. }
                | OrderEvent::OrderCompleted { .. }
                | OrderEvent::OrderCanceled { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        };
        row.status = Text(status);
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.customer_id.any()]
    }
}

/// An order's row as these events of it alone make it. `None` without events.
pub fn as_of(
    history: &[Arc<Recorded>],
    upcasters: &Upcasters,
) -> Result<Option<OrderRow>, StoreError> {
    let mut row: Option<Model> = None;
    for recorded in history {
        let event = codec::decode::<ordering::Order>(recorded, upcasters)?;
        let of = Occurred::of(recorded);
        // What does not fit is no part of the picture.
        if Entity::fold(&mut row, event, &of).is_ok()
            && let Some(row) = &mut row
        {
            row.stamp(&of);
        }
    }
    Ok(row)
}

fn searchable(customer: &str, items: &[Item]) -> String {
    let mut names = vec![customer];
    for item in items {
        for name in [item.product_name.as_str(), item.store_name.as_str()] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    search::searchable(names)
}

/// Which orders a list is about: those that fit all that is given. An empty
/// list of names fits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Those of one customer.
    pub customer_id: Option<CustomerId>,
    /// Those with something from one of these stores.
    pub store_ids: Option<Vec<StoreId>>,
    /// Those with one of these products.
    pub product_ids: Option<Vec<ProductId>>,
    /// Those in one of these states.
    pub statuses: Option<Vec<OrderStatus>>,
    /// Those placed at this time or later.
    pub created_after: Option<i64>,
    /// Those placed before this time.
    pub created_before: Option<i64>,
    /// Those that cost at least this, in minor units.
    pub min_total: Option<i64>,
    /// Those that cost at most this, in minor units.
    pub max_total: Option<i64>,
    /// Those with this in the name of the customer, a product or a store, in
    /// small or capital letters.
    pub text: Option<String>,
}

/// How a list of orders is sorted; orders of equal time or total by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderSort {
    /// Newest first.
    #[default]
    CreatedDesc,
    /// Oldest first.
    CreatedAsc,
    /// Dearest first.
    TotalDesc,
    /// Cheapest first.
    TotalAsc,
}

/// An order.
pub async fn by_id(reads: &Reads, id: OrderId) -> Result<Option<OrderRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several orders.
pub async fn by_ids(
    reads: &Reads,
    ids: &[OrderId],
) -> Result<HashMap<OrderId, OrderRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Orders that fit.
pub async fn list(
    reads: &Reads,
    filter: &OrderFilter,
    sort: OrderSort,
    request: &PageRequest,
) -> Result<Page<OrderRow>, ReadError> {
    page::page(reads, fitting(reads, filter), sort.into(), request).await
}

/// The same page of the orders of each of several customers, newest first, in
/// one query. Customers without orders are missing from the answer.
pub async fn of_customers(
    reads: &Reads,
    customer_ids: &[CustomerId],
    request: &PageRequest,
) -> Result<HashMap<CustomerId, Page<OrderRow>>, ReadError> {
    let select = Entity::find().filter(reads.any_of(Column::CustomerId, customer_ids));
    page::pages(reads, select, Column::CustomerId, OrderSort::CreatedDesc.into(), request).await
}

/// How many of the orders that fit are in each state. States without orders
/// are missing from the answer.
pub async fn status_counts(
    reads: &Reads,
    filter: &OrderFilter,
) -> Result<Vec<(OrderStatus, u64)>, ReadError> {
    #[derive(FromQueryResult)]
    struct Counted {
        status: Text<OrderStatus>,
        orders: i64,
    }

    let counted = fitting(reads, filter)
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "orders")
        .group_by(Column::Status)
        .into_model::<Counted>()
        .all(reads.db())
        .await?;
    Ok(counted
        .into_iter()
        .map(|counted| (*counted.status, counted.orders.try_into().unwrap_or_default()))
        .collect())
}

impl OrderFilter {
    /// Whether an order fits: what the queries ask the database, asked of a
    /// row at hand.
    #[must_use]
    pub fn fits(&self, order: &OrderRow) -> bool {
        let Self {
            customer_id,
            store_ids,
            product_ids,
            statuses,
            created_after,
            created_before,
            min_total,
            max_total,
            text,
        } = self;
        customer_id.is_none_or(|id| *order.customer_id == id)
            && store_ids
                .as_ref()
                .is_none_or(|ids| order.items.iter().any(|item| ids.contains(&item.store_id)))
            && product_ids
                .as_ref()
                .is_none_or(|ids| order.items.iter().any(|item| ids.contains(&item.product_id)))
            && statuses.as_ref().is_none_or(|statuses| statuses.contains(&*order.status))
            && created_after.is_none_or(|time| order.created_at >= time)
            && created_before.is_none_or(|time| order.created_at < time)
            && min_total.is_none_or(|total| order.total >= total)
            && max_total.is_none_or(|total| order.total <= total)
            && text.as_ref().is_none_or(|text| search::is_in(&order.search, text))
    }
}

impl From<OrderSort> for Sort<Column> {
    fn from(sort: OrderSort) -> Self {
        let (value, way) = match sort {
            OrderSort::CreatedDesc => (Column::CreatedAt, Way::Down),
            OrderSort::CreatedAsc => (Column::CreatedAt, Way::Up),
            OrderSort::TotalDesc => (Column::Total, Way::Down),
            OrderSort::TotalAsc => (Column::Total, Way::Up),
        };
        Self { value, id: Column::Id, way }
    }
}

fn fitting(reads: &Reads, filter: &OrderFilter) -> Select<Entity> {
    let OrderFilter {
        customer_id,
        store_ids,
        product_ids,
        statuses,
        created_after,
        created_before,
        min_total,
        max_total,
        text,
    } = filter;
    let with_line = |condition| {
        let orders = lines::Entity::find()
            .select_only()
            .column(lines::Column::OrderId)
            .filter::<Expr>(condition)
            .into_query();
        Column::Id.in_subquery(orders)
    };

    let mut select = Entity::find();
    if let Some(customer_id) = customer_id {
        select = select.filter(Column::CustomerId.eq(Text(*customer_id)));
    }
    if let Some(ids) = store_ids {
        select = select.filter(with_line(reads.any_of(lines::Column::StoreId, ids)));
    }
    if let Some(ids) = product_ids {
        select = select.filter(with_line(reads.any_of(lines::Column::ProductId, ids)));
    }
    if let Some(statuses) = statuses {
        select = select.filter(Column::Status.is_in(statuses.iter().copied().map(Text)));
    }
    if let Some(time) = created_after {
        select = select.filter(Column::CreatedAt.gte(*time));
    }
    if let Some(time) = created_before {
        select = select.filter(Column::CreatedAt.lt(*time));
    }
    if let Some(total) = min_total {
        select = select.filter(Column::Total.gte(*total));
    }
    if let Some(total) = max_total {
        select = select.filter(Column::Total.lte(*total));
    }
    if let Some(text) = text {
        select = select.filter(search::holds(Column::Search, text));
    }
    select
}
