//! What a context does, unasked, when something happens elsewhere.

use crate::{
    aggregate::Aggregate,
    baskets::{BasketEvent, Item},
    depot::shopping_list::ShoppingListEvent,
    event::DomainEvent,
    id::{AnyId, BasketId, CustomerId, IdError, InvoiceId, OrderId, PaymentId, ShoppingListId},
    money::Money,
    notifications::{Notification, NotificationKind},
    ordering::{Order, OrderEvent},
    payments::{invoice::InvoiceEvent, payment::Payment},
};

/// What a context wants to do because of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// A basket was checked out: place the order.
    CreateOrder {
        /// The order, named after the basket.
        order_id: OrderId,
        /// Who orders.
        customer_id: CustomerId,
        /// What pays for it.
        payment_id: PaymentId,
        /// What is ordered.
        items: Vec<Item>,
    },
    /// A bot set out: the order is in progress.
    StartOrder {
        /// The order.
        order_id: OrderId,
    },
    /// The bot is back: the order is ready.
    ReadyOrder {
        /// The order.
        order_id: OrderId,
    },
    /// The invoice is paid: the order is complete.
    CompleteOrder {
        /// The order.
        order_id: OrderId,
        /// The invoice that was paid.
        invoice_id: InvoiceId,
    },
    /// The order is ready: bill it.
    CreateInvoice {
        /// The order.
        order_id: OrderId,
        /// Who is billed.
        customer_id: CustomerId,
        /// What will pay it.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
    },
    /// The invoice is paid: take the money.
    CapturePayment {
        /// The payment.
        payment_id: PaymentId,
        /// The order it pays.
        order_id: OrderId,
    },
    /// The order will not be: let go of money that was never bound to it.
    LetGoPayment {
        /// The payment.
        payment_id: PaymentId,
        /// The order.
        order_id: OrderId,
        /// Who ordered.
        customer_id: CustomerId,
    },
    /// Tell the customer.
    Notify {
        /// To whom.
        customer_id: CustomerId,
        /// About which order.
        order_id: OrderId,
        /// What for.
        kind: NotificationKind,
    },
}

impl Reaction {
    /// The context that reacts.
    #[must_use]
    pub const fn context(&self) -> &'static str {
        match self {
            Self::CreateOrder { .. }
            | Self::StartOrder { .. }
            | Self::ReadyOrder { .. }
            | Self::CompleteOrder { .. } => Order::CONTEXT,
            Self::CreateInvoice { .. }
            | Self::CapturePayment { .. }
            | Self::LetGoPayment { .. } => Payment::CONTEXT,
            Self::Notify { .. } => Notification::CONTEXT,
        }
    }
}

/// What follows from an event of `stream`: at most one reaction in each context.
pub fn reactions(stream: AnyId, event: &DomainEvent) -> Result<Vec<Reaction>, IdError> {
    Ok(match event {
        DomainEvent::Basket(event) => of_basket(stream.expect()?, event),
        DomainEvent::Order(event) => of_order(stream.expect()?, event),
        DomainEvent::ShoppingList(event) => of_shopping_list(stream.expect()?, event),
        DomainEvent::Invoice(event) => of_invoice(stream.expect()?, event),
        DomainEvent::Store(_)
        | DomainEvent::Product(_)
        | DomainEvent::Customer(_)
        | DomainEvent::Payment(_)
        | DomainEvent::Bot(_)
        | DomainEvent::Saga(_)
        | DomainEvent::Notification(_) => vec![],
    })
}

fn of_basket(basket_id: BasketId, event: &BasketEvent) -> Vec<Reaction> {
    match event {
        BasketEvent::BasketCheckedOut { customer_id, payment_id, items, total: _ } => {
            vec![Reaction::CreateOrder {
                order_id: basket_id.order(),
                customer_id: *customer_id,
                payment_id: *payment_id,
                items: items.clone(),
            }]
        }
        BasketEvent::BasketStarted { .. }
        | BasketEvent::BasketItemAdded { .. }
        | BasketEvent::BasketItemRemoved { .. }
        | BasketEvent::BasketCanceled {}
        | BasketEvent::BasketAbandoned {} => vec![],
    }
}

fn of_order(order_id: OrderId, event: &OrderEvent) -> Vec<Reaction> {
    let notify = |customer_id: &CustomerId, kind| Reaction::Notify {
        customer_id: *customer_id,
        order_id,
        kind,
    };
    let let_go = |payment_id: &PaymentId, customer_id: &CustomerId| Reaction::LetGoPayment {
        payment_id: *payment_id,
        order_id,
        customer_id: *customer_id,
    };
    match event {
        OrderEvent::OrderCreated { customer_id, .. } => {
            vec![notify(customer_id, NotificationKind::OrderCreated)]
        }
        OrderEvent::OrderApproved { customer_id, .. } => {
            vec![notify(customer_id, NotificationKind::OrderApproved)]
        }
        OrderEvent::OrderRejected { customer_id, payment_id, reason: _ } => vec![
            let_go(payment_id, customer_id),
            notify(customer_id, NotificationKind::OrderRejected),
        ],
        OrderEvent::OrderStarted {} => vec![],
        OrderEvent::OrderReadied { customer_id, payment_id, total } => vec![
            Reaction::CreateInvoice {
                order_id,
                customer_id: *customer_id,
                payment_id: *payment_id,
                amount: *total,
            },
            notify(customer_id, NotificationKind::OrderReady),
        ],
        OrderEvent::OrderCompleted { customer_id, .. } => {
            vec![notify(customer_id, NotificationKind::OrderCompleted)]
        }
        OrderEvent::OrderCanceled { customer_id, payment_id, .. } => vec![
            let_go(payment_id, customer_id),
            notify(customer_id, NotificationKind::OrderCanceled),
        ],
    }
}

fn of_shopping_list(_list_id: ShoppingListId, event: &ShoppingListEvent) -> Vec<Reaction> {
    match event {
        ShoppingListEvent::ShoppingStarted { order_id, bot_id: _ } => {
            vec![Reaction::StartOrder { order_id: *order_id }]
        }
        ShoppingListEvent::ShoppingListCompleted { order_id, .. } => {
            vec![Reaction::ReadyOrder { order_id: *order_id }]
        }
        ShoppingListEvent::ShoppingListCreated { .. }
        | ShoppingListEvent::ShoppingListInitiated {}
        | ShoppingListEvent::ShoppingListAssigned { .. }
        | ShoppingListEvent::ItemPicked { .. }
        | ShoppingListEvent::ShoppingListCanceled { .. } => vec![],
    }
}

fn of_invoice(invoice_id: InvoiceId, event: &InvoiceEvent) -> Vec<Reaction> {
    match event {
        InvoiceEvent::InvoicePaid { order_id, payment_id, amount: _ } => vec![
            Reaction::CapturePayment { payment_id: *payment_id, order_id: *order_id },
            Reaction::CompleteOrder { order_id: *order_id, invoice_id },
        ],
        InvoiceEvent::InvoiceCreated { .. }
        | InvoiceEvent::InvoiceAdjusted { .. }
        | InvoiceEvent::InvoiceCanceled {} => vec![],
    }
}
