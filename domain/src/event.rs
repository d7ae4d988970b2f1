//! Everything that can happen in the mall, on one screen.

use serde::Deserialize;

use crate::{
    baskets::BasketEvent,
    customers::CustomerEvent,
    depot::{bot::BotEvent, shopping_list::ShoppingListEvent},
    id::Kind,
    notifications::NotificationEvent,
    ordering::OrderEvent,
    payments::{invoice::InvoiceEvent, payment::PaymentEvent},
    saga::SagaEvent,
    stores::{product::ProductEvent, store::StoreEvent},
};

/// An event of any aggregate. Whoever reads history matches on it without a
/// catch-all arm, so that a new event breaks the build wherever someone must
/// think about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented where its event is")]
pub enum DomainEvent {
    Store(StoreEvent),
    Product(ProductEvent),
    Customer(CustomerEvent),
    Basket(BasketEvent),
    Order(OrderEvent),
    Payment(PaymentEvent),
    Invoice(InvoiceEvent),
    ShoppingList(ShoppingListEvent),
    Bot(BotEvent),
    Saga(SagaEvent),
    Notification(NotificationEvent),
}

impl DomainEvent {
    /// Reads an event of a stream of this kind, in serde's externally tagged
    /// form. `None` for kinds that have no stream.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(
        kind: Kind,
        event: D,
    ) -> Result<Option<Self>, D::Error> {
        Ok(Some(match kind {
            Kind::Store => Self::Store(Deserialize::deserialize(event)?),
            Kind::Product => Self::Product(Deserialize::deserialize(event)?),
            Kind::Customer => Self::Customer(Deserialize::deserialize(event)?),
            Kind::Basket => Self::Basket(Deserialize::deserialize(event)?),
            Kind::Order => Self::Order(Deserialize::deserialize(event)?),
            Kind::Payment => Self::Payment(Deserialize::deserialize(event)?),
            Kind::Invoice => Self::Invoice(Deserialize::deserialize(event)?),
            Kind::ShoppingList => Self::ShoppingList(Deserialize::deserialize(event)?),
            Kind::Bot => Self::Bot(Deserialize::deserialize(event)?),
            Kind::Saga => Self::Saga(Deserialize::deserialize(event)?),
            Kind::Notification => Self::Notification(Deserialize::deserialize(event)?),
            Kind::DeadLetter => return Ok(None),
        }))
    }
}
