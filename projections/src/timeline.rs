//! What happened to each order, item by item, its sagas, shopping, payment and
//! messages included. Items are added and never change.

use std::collections::HashMap;

use mallbots_domain::{
    depot::shopping_list::ShoppingListEvent,
    event::DomainEvent,
    id::{InvoiceId, NotificationId, OrderId, SagaId, ShoppingListId},
    notifications::NotificationEvent,
    ordering::{OrderEvent, OrderStatus},
    payments::{invoice::InvoiceEvent, payment::PaymentEvent},
    saga::{Direction, SagaEvent, SagaState},
};
use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as TimelineRow;
use crate::{
    column::{Json, Text},
    notifications::NotificationRow,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::Occurred,
    sagas::{SagaRow, SagaStep},
    shopping_lists::ShoppingListRow,
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

/// The order that an event is about, if it is about one.
pub(crate) fn order_of(event: &DomainEvent, of: &Occurred) -> Option<OrderId> {
    match event {
        DomainEvent::Order(_) => Some(of.id()),
        DomainEvent::Saga(_) => Some(of.id::<SagaId>().order()),
        DomainEvent::ShoppingList(_) => Some(of.id::<ShoppingListId>().order()),
        DomainEvent::Invoice(_) => Some(of.id::<InvoiceId>().order()),
        DomainEvent::Notification(_) => Some(of.id::<NotificationId>().order()),
        DomainEvent::Payment(event) => match event {
            PaymentEvent::PaymentAuthorized { .. } => None,
            PaymentEvent::PaymentConfirmed { order_id, amount: _ }
            | PaymentEvent::PaymentReleased { order_id }
            | PaymentEvent::PaymentCaptured { order_id }
            | PaymentEvent::PaymentRefunded { order_id } => Some(*order_id),
        },
        DomainEvent::Store(_)
        | DomainEvent::Product(_)
        | DomainEvent::Customer(_)
        | DomainEvent::Basket(_)
        | DomainEvent::Bot(_) => None,
    }
}

/// What an event adds to an order's timeline, but for how things stand after it.
#[derive(Debug)]
pub(crate) struct Entry {
    kind: TimelineKind,
    title: String,
    /// The step of the saga it is about.
    step: Option<String>,
}

/// What is known, before the event, of what it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) list: Option<&'a ShoppingListRow>,
    pub(crate) notification: Option<&'a NotificationRow>,
}

/// What an event adds to the timeline of its order; `None` for events that are
/// about no order.
pub(crate) fn entry(event: &DomainEvent, before: Before<'_>) -> Option<Entry> {
    let entry = |kind, title| Some(Entry { kind, title, step: None });
    match event {
        DomainEvent::Order(event) => entry(TimelineKind::Order, of_ordering(event)),
        DomainEvent::Saga(event) => {
            let (title, step) = of_saga(event);
            Some(Entry { kind: TimelineKind::Saga, title, step })
        }
        DomainEvent::ShoppingList(event) => {
            entry(TimelineKind::Shopping, of_shopping(event, before.list))
        }
        DomainEvent::Invoice(event) => entry(TimelineKind::Payment, of_invoice(event).to_owned()),
        DomainEvent::Payment(event) => entry(TimelineKind::Payment, of_payment(event)?.to_owned()),
        DomainEvent::Notification(event) => {
            entry(TimelineKind::Notification, of_message(event, before.notification))
        }
        DomainEvent::Store(_)
        | DomainEvent::Product(_)
        | DomainEvent::Customer(_)
        | DomainEvent::Basket(_)
        | DomainEvent::Bot(_) => None,
    }
}

impl Entry {
    /// The item, once the event is in the other tables.
    pub(crate) fn finish(
        self,
        order_id: OrderId,
        order_status: OrderStatus,
        saga: Option<&SagaRow>,
        of: &Occurred,
    ) -> TimelineRow {
        let step = self.step.and_then(|step| saga?.step(&step).cloned());
        TimelineRow {
            order_id: Text(order_id),
            position: of.position,
            at: of.at,
            kind: Text(self.kind),
            title: self.title,
            order_status: Text(order_status),
            saga_id: saga.map(|saga| saga.id),
            saga_state: saga.map(|saga| saga.state),
            saga_step: step.map(Json),
        }
    }
}

fn of_ordering(event: &OrderEvent) -> String {
    match event {
        OrderEvent::OrderCreated { .. } => "The order was placed.".to_owned(),
        OrderEvent::OrderApproved { .. } => "The order was approved.".to_owned(),
        OrderEvent::OrderRejected { reason, .. } => format!("The order was rejected: {reason}."),
        OrderEvent::OrderStarted {} => "The order is in progress.".to_owned(),
        OrderEvent::OrderReadied { .. } => "The order is ready at the depot.".to_owned(),
        OrderEvent::OrderCompleted { .. } => "The order was completed.".to_owned(),
        OrderEvent::OrderCanceled { reason, .. } => {
            format!("The order was canceled: {}", sentence(reason.as_str()))
        }
    }
}

fn of_saga(event: &SagaEvent) -> (String, Option<String>) {
    match event {
        SagaEvent::SagaStarted { saga } => (format!("The saga {} began.", saga.name()), None),
        SagaEvent::StepStarted { of } => {
            let step = &of.step;
            let title = match (of.direction, of.attempt) {
                (Direction::Forward, 1) => format!("{step} began."),
                (Direction::Forward, attempt) => format!("{step} began, attempt {attempt}."),
                (Direction::Backward, 1) => format!("{step} is being undone."),
                (Direction::Backward, attempt) => {
                    format!("{step} is being undone, attempt {attempt}.")
                }
            };
            (title, Some(step.clone()))
        }
        SagaEvent::StepSucceeded { of } => {
            (format!("{} succeeded.", of.step), Some(of.step.clone()))
        }
        SagaEvent::StepRefused { of, reason, message: _ } => {
            (format!("{} was refused: {reason}.", of.step), Some(of.step.clone()))
        }
        SagaEvent::StepTimedOut { of } => {
            (format!("{} was not answered in time.", of.step), Some(of.step.clone()))
        }
        SagaEvent::StepRetried { of, at: _ } => {
            (format!("{} will be tried again.", of.step), Some(of.step.clone()))
        }
        SagaEvent::CompensationStarted { reason } => {
            (format!("The saga turned back: {reason}."), None)
        }
        SagaEvent::StepCompensated { of } => {
            (format!("{} was undone.", of.step), Some(of.step.clone()))
        }
        SagaEvent::SagaCompleted {} => ("The saga completed.".to_owned(), None),
        SagaEvent::SagaCompensated { reason: _ } => {
            ("The saga is back where it began.".to_owned(), None)
        }
        SagaEvent::SagaStuck { of, reason } => {
            (format!("{} is stuck: {reason}.", of.step), Some(of.step.clone()))
        }
    }
}

fn of_shopping(event: &ShoppingListEvent, list: Option<&ShoppingListRow>) -> String {
    match event {
        ShoppingListEvent::ShoppingListCreated { .. } => {
            "The shopping list was written.".to_owned()
        }
        ShoppingListEvent::ShoppingListInitiated {} => {
            "The shopping list waits for a bot.".to_owned()
        }
        ShoppingListEvent::ShoppingListAssigned { .. } => "A bot has the shopping list.".to_owned(),
        ShoppingListEvent::ShoppingStarted { .. } => "The bot started shopping.".to_owned(),
        ShoppingListEvent::ItemPicked { store_id, product_id, quantity } => {
            let name = list
                .into_iter()
                .flat_map(|list| list.stops.iter())
                .filter(|stop| stop.store_id == *store_id)
                .flat_map(|stop| &stop.items)
                .find(|item| item.product_id == *product_id)
                .map_or("something", |item| item.product_name.as_str());
            format!("The bot picked {} × {name}.", quantity.get())
        }
        ShoppingListEvent::ShoppingListCompleted { shortages, .. } if shortages.is_empty() => {
            "The bot brought everything.".to_owned()
        }
        ShoppingListEvent::ShoppingListCompleted { shortages, .. } => {
            format!("The bot is back; products it could not bring: {}.", shortages.len())
        }
        ShoppingListEvent::ShoppingListCanceled { .. } => {
            "The shopping list was canceled.".to_owned()
        }
    }
}

const fn of_payment(event: &PaymentEvent) -> Option<&'static str> {
    match event {
        // Not about an order yet.
        PaymentEvent::PaymentAuthorized { .. } => None,
        PaymentEvent::PaymentConfirmed { .. } => Some("The payment was confirmed."),
        PaymentEvent::PaymentReleased { .. } => Some("The payment was released."),
        PaymentEvent::PaymentCaptured { .. } => Some("The payment was captured."),
        PaymentEvent::PaymentRefunded { .. } => Some("The payment was refunded."),
    }
}

const fn of_invoice(event: &InvoiceEvent) -> &'static str {
    match event {
        InvoiceEvent::InvoiceCreated { .. } => "The invoice was made out.",
        InvoiceEvent::InvoiceAdjusted { .. } => "The invoice was adjusted.",
        InvoiceEvent::InvoicePaid { .. } => "The invoice was paid.",
        InvoiceEvent::InvoiceCanceled {} => "The invoice was canceled.",
    }
}

fn of_message(event: &NotificationEvent, before: Option<&NotificationRow>) -> String {
    let about = before.map_or("ORDER", |message| message.kind.as_str());
    match event {
        NotificationEvent::NotificationRequested { kind, .. } => {
            format!("The customer is to be told: {}.", kind.as_str())
        }
        NotificationEvent::NotificationSent {} => format!("The customer was told: {about}."),
        NotificationEvent::NotificationFailed { .. } => {
            format!("The customer could not be told: {about}.")
        }
    }
}

/// What people typed, closed as a sentence.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

const SORT: Sort<Column> = Sort { value: Column::Position, id: Column::OrderId, way: Way::Up };
