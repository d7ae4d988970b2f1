//! An order.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    baskets::{self, Item},
    id::{CustomerId, InvoiceId, Kind, OrderId, PaymentId, ShoppingListId},
    money::Money,
    text::{Name, Reason},
};

/// An order's place in its life. Each state holds only what is true in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// No order was placed under this id.
    #[default]
    Unplaced,
    /// Waiting for the create-order saga.
    Pending(OrderDetails),
    /// Accepted; the depot looks for a bot.
    Approved {
        /// What is ordered, and by whom.
        order: OrderDetails,
        /// The list a bot will collect.
        shopping_list_id: ShoppingListId,
    },
    /// A bot is shopping.
    InProgress {
        /// What is ordered, and by whom.
        order: OrderDetails,
        /// The list the bot collects.
        shopping_list_id: ShoppingListId,
    },
    /// The goods are at the depot.
    Ready {
        /// What is ordered, and by whom.
        order: OrderDetails,
        /// The list the bot collected.
        shopping_list_id: ShoppingListId,
    },
    /// Paid and handed over.
    Completed {
        /// What was ordered, and by whom.
        order: OrderDetails,
        /// The list the bot collected.
        shopping_list_id: ShoppingListId,
        /// The invoice that was paid.
        invoice_id: InvoiceId,
    },
    /// Turned down.
    Rejected {
        /// What was ordered, and by whom.
        order: OrderDetails,
        /// Why.
        reason: String,
    },
    /// Called off.
    Canceled {
        /// What was ordered, and by whom.
        order: OrderDetails,
        /// The list it had, if it was accepted before.
        shopping_list_id: Option<ShoppingListId>,
        /// Why.
        reason: Reason,
    },
}

/// What is ordered, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDetails {
    /// Who orders.
    pub customer_id: CustomerId,
    /// What the customer is called.
    pub customer_name: Name,
    /// What pays for it.
    pub payment_id: PaymentId,
    /// What is ordered, in the order it was put into the basket.
    pub items: Vec<Item>,
    /// What all of it costs.
    pub total: Money,
}

impl Order {
    /// Where it stands, if there is such an order.
    pub const fn status(&self) -> Option<OrderStatus> {
        match self {
            Self::Unplaced => None,
            Self::Pending(_) => Some(OrderStatus::Pending),
            Self::Approved { .. } => Some(OrderStatus::Approved),
            Self::InProgress { .. } => Some(OrderStatus::InProgress),
            Self::Ready { .. } => Some(OrderStatus::Ready),
            Self::Completed { .. } => Some(OrderStatus::Completed),
            Self::Rejected { .. } => Some(OrderStatus::Rejected),
            Self::Canceled { .. } => Some(OrderStatus::Canceled),
        }
    }

    /// What is ordered, and by whom.
    pub const fn details(&self) -> Option<&OrderDetails> {
        match self {
            Self::Unplaced => None,
            Self::Pending(order)
            | Self::Approved { order, .. }
            | Self::InProgress { order, .. }
            | Self::Ready { order, .. }
            | Self::Completed { order, .. }
            | Self::Rejected { order, .. }
            | Self::Canceled { order, .. } => Some(order),
        }
    }

    /// The list a bot collects, once it was accepted.
    pub const fn shopping_list_id(&self) -> Option<ShoppingListId> {
        match self {
            Self::Unplaced | Self::Pending(_) | Self::Rejected { .. } => None,
            Self::Approved { shopping_list_id, .. }
            | Self::InProgress { shopping_list_id, .. }
            | Self::Ready { shopping_list_id, .. }
            | Self::Completed { shopping_list_id, .. } => Some(*shopping_list_id),
            Self::Canceled { shopping_list_id, .. } => *shopping_list_id,
        }
    }

    /// The invoice that was paid.
    pub const fn invoice_id(&self) -> Option<InvoiceId> {
        match self {
            Self::Completed { invoice_id, .. } => Some(*invoice_id),
            Self::Unplaced
            | Self::Pending(_)
            | Self::Approved { .. }
            | Self::InProgress { .. }
            | Self::Ready { .. }
            | Self::Rejected { .. }
            | Self::Canceled { .. } => None,
        }
    }
}

/// What may be asked of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderCommand {
    /// Place it: only a checked-out basket does.
    Create {
        /// Who orders.
        customer_id: CustomerId,
        /// What the customer is called.
        customer_name: Name,
        /// What pays for it.
        payment_id: PaymentId,
        /// What is ordered, in the order it was put into the basket.
        items: Vec<Item>,
    },
    /// Accept it.
    Approve {
        /// The list a bot will collect.
        shopping_list_id: ShoppingListId,
    },
    /// Turn it down.
    Reject {
        /// Why: the stable name of the refusal, such as `CUSTOMER_DISABLED`.
        reason: String,
    },
    /// A bot set out.
    Start,
    /// The goods are at the depot.
    Ready,
    /// The goods are paid and handed over.
    Complete {
        /// The invoice that was paid.
        invoice_id: InvoiceId,
    },
    /// Call it off.
    Cancel {
        /// Why.
        reason: Reason,
        /// Who.
        by: String,
    },
}

/// What has happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// It was placed.
    OrderCreated {
        /// Who orders.
        customer_id: CustomerId,
        /// What the customer is called.
        customer_name: Name,
        /// What pays for it.
        payment_id: PaymentId,
        /// What is ordered, in the order it was put into the basket.
        items: Vec<Item>,
        /// What all of it costs.
        total: Money,
    },
    /// It was accepted.
    OrderApproved {
        /// Who ordered.
        customer_id: CustomerId,
        /// The list a bot will collect.
        shopping_list_id: ShoppingListId,
    },
    /// It was turned down.
    OrderRejected {
        /// Who ordered.
        customer_id: CustomerId,
        /// What was to pay for it.
        payment_id: PaymentId,
        /// Why.
        reason: String,
    },
    /// A bot set out.
    OrderStarted {},
    /// The goods are at the depot.
    OrderReadied {
        /// Who ordered.
        customer_id: CustomerId,
        /// What will pay for it.
        payment_id: PaymentId,
        /// What it costs.
        total: Money,
    },
    /// Paid and handed over.
    OrderCompleted {
        /// Who ordered.
        customer_id: CustomerId,
        /// The invoice that was paid.
        invoice_id: InvoiceId,
    },
    /// Called off.
    OrderCanceled {
        /// Who ordered.
        customer_id: CustomerId,
        /// What was to pay for it.
        payment_id: PaymentId,
        /// Why.
        reason: Reason,
        /// Who called it off.
        by: String,
    },
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// Waiting to be accepted.
    Pending,
    /// Accepted.
    Approved,
    /// Turned down.
    Rejected,
    /// A bot is shopping.
    InProgress,
    /// At the depot.
    Ready,
    /// Paid and handed over.
    Completed,
    /// Called off.
    Canceled,
}

impl OrderStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::InProgress => "IN_PROGRESS",
            Self::Ready => "READY",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why an order said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No order has this id.
    #[error("there is no such order")]
    NotFound,
    /// An order has this id already.
    #[error("an order with this id exists")]
    Exists,
    /// Nothing cannot be ordered.
    #[error("an order needs at least one item")]
    Empty,
    /// It costs more than can be counted.
    #[error("the total of the order is too large")]
    TotalTooLarge,
    /// Only an order that waits can be accepted or turned down.
    #[error("the order is not pending")]
    NotPending(OrderStatus),
    /// Only an order that was accepted can be started.
    #[error("the order is not approved")]
    NotApproved(OrderStatus),
    /// Only an order that a bot shops for can become ready.
    #[error("the order is not in progress")]
    NotInProgress(OrderStatus),
    /// Only an order that is at the depot can be completed.
    #[error("the order is not ready")]
    NotReady(OrderStatus),
    /// It is too late to call it off, or there is nothing to call off.
    #[error("the order cannot be canceled any more")]
    NotCancelable(OrderStatus),
    /// It was called off, which neither acceptance nor payment undoes.
    #[error("the order is canceled")]
    Canceled,
    /// It stands there already, or has gone where nothing is left to do.
    #[error("there is nothing left to do for the order")]
    Already(OrderStatus),
}

impl DomainError for OrderError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::Empty | Self::TotalTooLarge => ErrorKind::Invalid,
            Self::NotPending(_)
            | Self::NotApproved(_)
            | Self::NotInProgress(_)
            | Self::NotReady(_)
            | Self::NotCancelable(_)
            | Self::Canceled => ErrorKind::WrongState,
            Self::Already(_) => ErrorKind::AlreadyDone,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "ORDER_NOT_FOUND",
            Self::Exists => "ORDER_EXISTS",
            Self::Empty => "ORDER_EMPTY",
            Self::TotalTooLarge => "TOTAL_TOO_LARGE",
            Self::NotPending(_) => "ORDER_NOT_PENDING",
            Self::NotApproved(_) => "ORDER_NOT_APPROVED",
            Self::NotInProgress(_) => "ORDER_NOT_IN_PROGRESS",
            Self::NotReady(_) => "ORDER_NOT_READY",
            Self::NotCancelable(_) => "ORDER_NOT_CANCELABLE",
            Self::Canceled => "ORDER_CANCELED",
            Self::Already(status) => match status {
                OrderStatus::Pending => "ORDER_ALREADY_PENDING",
                OrderStatus::Approved => "ORDER_ALREADY_APPROVED",
                OrderStatus::Rejected => "ORDER_ALREADY_REJECTED",
                OrderStatus::InProgress => "ORDER_ALREADY_IN_PROGRESS",
                OrderStatus::Ready => "ORDER_ALREADY_READY",
                OrderStatus::Completed => "ORDER_ALREADY_COMPLETED",
                OrderStatus::Canceled => "ORDER_ALREADY_CANCELED",
            },
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Exists | Self::Empty | Self::TotalTooLarge => None,
            Self::NotPending(status)
            | Self::NotApproved(status)
            | Self::NotInProgress(status)
            | Self::NotReady(status)
            | Self::NotCancelable(status)
            | Self::Already(status) => Some(status.as_str()),
            Self::Canceled => Some(OrderStatus::Canceled.as_str()),
        }
    }
}

impl Aggregate for Order {
    const KIND: Kind = Kind::Order;
    const CONTEXT: &'static str = "ordering";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = OrderId;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderError;

    #[expect(clippy::match_same_arms, reason = "one group of arms a command: the state diagram")]
    fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        use OrderCommand::{Approve, Cancel, Complete, Create, Ready, Reject, Start};
        use OrderStatus as At;

        let (Some(status), Some(order)) = (self.status(), self.details()) else {
            return match command {
                Create { customer_id, customer_name, payment_id, items } => {
                    created(customer_id, customer_name, payment_id, items)
                }
                Approve { .. }
                | Reject { .. }
                | Start
                | Ready
                | Complete { .. }
                | Cancel { .. } => Err(OrderError::NotFound),
            };
        };
        let &OrderDetails { customer_id, payment_id, total, .. } = order;

        match (command, status) {
            (Create { .. }, _) => Err(OrderError::Exists),

            (Approve { shopping_list_id }, At::Pending) => {
                Ok(vec![OrderEvent::OrderApproved { customer_id, shopping_list_id }])
            }
            // The create-order saga may be slower than the cancel: what was
            // called off is never accepted.
            (Approve { .. }, At::Canceled) => Err(OrderError::Canceled),
            (Approve { shopping_list_id }, _)
                if self.shopping_list_id() == Some(shopping_list_id) =>
            {
                Err(OrderError::Already(status))
            }
            (Approve { .. }, _) => Err(OrderError::NotPending(status)),

            (Reject { reason }, At::Pending) => {
                Ok(vec![OrderEvent::OrderRejected { customer_id, payment_id, reason }])
            }
            (Reject { .. }, At::Rejected | At::Canceled) => Err(OrderError::Already(status)),
            (Reject { .. }, At::Approved | At::InProgress | At::Ready | At::Completed) => {
                Err(OrderError::NotPending(status))
            }

            (Start, At::Approved) => Ok(vec![OrderEvent::OrderStarted {}]),
            (Start, At::InProgress | At::Ready | At::Completed | At::Canceled) => {
                Err(OrderError::Already(status))
            }
            (Start, At::Pending | At::Rejected) => Err(OrderError::NotApproved(status)),

            (Ready, At::InProgress) => {
                Ok(vec![OrderEvent::OrderReadied { customer_id, payment_id, total }])
            }
            (Ready, At::Ready | At::Completed | At::Canceled) => Err(OrderError::Already(status)),
            (Ready, At::Pending | At::Approved | At::Rejected) => {
                Err(OrderError::NotInProgress(status))
            }

            (Complete { invoice_id }, At::Ready) => {
                Ok(vec![OrderEvent::OrderCompleted { customer_id, invoice_id }])
            }
            (Complete { .. }, At::Completed) => Err(OrderError::Already(status)),
            // Money was taken for it: somebody must look.
            (Complete { .. }, At::Canceled) => Err(OrderError::Canceled),
            (Complete { .. }, At::Pending | At::Approved | At::InProgress | At::Rejected) => {
                Err(OrderError::NotReady(status))
            }

            (Cancel { reason, by }, At::Pending | At::Approved | At::InProgress) => {
                Ok(vec![OrderEvent::OrderCanceled { customer_id, payment_id, reason, by }])
            }
            (Cancel { .. }, At::Canceled) => Err(OrderError::Already(status)),
            (Cancel { .. }, At::Ready | At::Completed | At::Rejected) => {
                Err(OrderError::NotCancelable(status))
            }
        }
    }

    fn evolve(self, event: OrderEvent) -> Self {
        use OrderEvent::{
            OrderApproved, OrderCanceled, OrderCompleted, OrderCreated, OrderReadied,
            OrderRejected, OrderStarted,
        };

        match (event, self) {
            (OrderCreated { customer_id, customer_name, payment_id, items, total }, _) => {
                Self::Pending(OrderDetails { customer_id, customer_name, payment_id, items, total })
            }
            (OrderApproved { shopping_list_id, .. }, Self::Pending(order)) => {
                Self::Approved { order, shopping_list_id }
            }
            (OrderRejected { reason, .. }, Self::Pending(order)) => {
                Self::Rejected { order, reason }
            }
            (OrderStarted {}, Self::Approved { order, shopping_list_id }) => {
                Self::InProgress { order, shopping_list_id }
            }
            (OrderReadied { .. }, Self::InProgress { order, shopping_list_id }) => {
                Self::Ready { order, shopping_list_id }
            }
            (OrderCompleted { invoice_id, .. }, Self::Ready { order, shopping_list_id }) => {
                Self::Completed { order, shopping_list_id, invoice_id }
            }
            (OrderCanceled { reason, .. }, Self::Pending(order)) => {
                Self::Canceled { order, shopping_list_id: None, reason }
            }
            (
                OrderCanceled { reason, .. },
                Self::Approved { order, shopping_list_id }
                | Self::InProgress { order, shopping_list_id },
            ) => Self::Canceled { order, shopping_list_id: Some(shopping_list_id), reason },
            (
                OrderApproved { .. }
                | OrderRejected { .. }
                | OrderStarted {}
                | OrderReadied { .. }
                | OrderCompleted { .. }
                | OrderCanceled { .. },
                state,
            ) => state,
        }
    }
}

fn created(
    customer_id: CustomerId,
    customer_name: Name,
    payment_id: PaymentId,
    items: Vec<Item>,
) -> Result<Vec<OrderEvent>, OrderError> {
    if items.is_empty() {
        return Err(OrderError::Empty);
    }
    // Counted here and nowhere else: no caller can set it.
    let total = baskets::total(&items).map_err(|_| OrderError::TotalTooLarge)?;
    Ok(vec![OrderEvent::OrderCreated { customer_id, customer_name, payment_id, items, total }])
}

#[cfg(test)]
mod tests;
