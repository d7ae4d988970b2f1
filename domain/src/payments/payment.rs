//! A customer's authorised money.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{CustomerId, Kind, OrderId, PaymentId},
    money::Money,
};

/// A payment, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payment {
    /// No payment was authorised under this id.
    #[default]
    Unknown,
    /// Money is set aside for whatever the customer orders.
    Authorized(PaymentDetails),
    /// It is bound to an order, and to no other ever after.
    Confirmed {
        /// Whose money, and how much.
        payment: PaymentDetails,
        /// The order it will pay.
        order_id: OrderId,
    },
    /// The money was taken.
    Captured {
        /// Whose money, and how much.
        payment: PaymentDetails,
        /// The order it paid.
        order_id: OrderId,
    },
    /// It was let go.
    Released {
        /// Whose money, and how much.
        payment: PaymentDetails,
        /// The order that did not need it.
        order_id: OrderId,
    },
    /// The money was taken and paid back.
    Refunded {
        /// Whose money, and how much.
        payment: PaymentDetails,
        /// The order it had paid.
        order_id: OrderId,
    },
}

/// Whose money, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDetails {
    /// Whose money.
    pub customer_id: CustomerId,
    /// How much of it.
    pub amount: Money,
}

impl Payment {
    /// Where it stands, if there is such a payment.
    pub const fn status(&self) -> Option<PaymentStatus> {
        match self {
            Self::Unknown => None,
            Self::Authorized(_) => Some(PaymentStatus::Authorized),
            Self::Confirmed { .. } => Some(PaymentStatus::Confirmed),
            Self::Captured { .. } => Some(PaymentStatus::Captured),
            Self::Released { .. } => Some(PaymentStatus::Released),
            Self::Refunded { .. } => Some(PaymentStatus::Refunded),
        }
    }

    /// Whose money, and how much.
    pub const fn details(&self) -> Option<&PaymentDetails> {
        match self {
            Self::Unknown => None,
            Self::Authorized(payment)
            | Self::Confirmed { payment, .. }
            | Self::Captured { payment, .. }
            | Self::Released { payment, .. }
            | Self::Refunded { payment, .. } => Some(payment),
        }
    }

    /// The order it pays, was to pay or paid.
    pub const fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Unknown | Self::Authorized(_) => None,
            Self::Confirmed { order_id, .. }
            | Self::Captured { order_id, .. }
            | Self::Released { order_id, .. }
            | Self::Refunded { order_id, .. } => Some(*order_id),
        }
    }
}

/// What may be asked of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentCommand {
    /// Set money aside.
    Authorize {
        /// Whose money.
        customer_id: CustomerId,
        /// How much; more than nothing.
        amount: Money,
    },
    /// Bind it to an order: refused for another customer's order, for an order
    /// that costs more, and when it is bound to another order.
    Confirm {
        /// The order it is to pay.
        order_id: OrderId,
        /// Who ordered.
        customer_id: CustomerId,
        /// What the order costs.
        amount: Money,
    },
    /// Give it back if it is bound to this order; captured money is refunded.
    GiveBack {
        /// The order that no longer needs it.
        order_id: OrderId,
    },
    /// Let go of money that was set aside for an order that will not be, and
    /// that was never bound to any.
    LetGo {
        /// The order that will not be.
        order_id: OrderId,
        /// Who ordered.
        customer_id: CustomerId,
    },
    /// Take the money.
    Capture {
        /// The order it pays.
        order_id: OrderId,
    },
}

/// What has happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentEvent {
    /// Money was set aside.
    PaymentAuthorized {
        /// Whose money.
        customer_id: CustomerId,
        /// How much.
        amount: Money,
    },
    /// It was bound to an order.
    PaymentConfirmed {
        /// The order it will pay.
        order_id: OrderId,
        /// What the order costs.
        amount: Money,
    },
    /// It was let go.
    PaymentReleased {
        /// The order that did not need it.
        order_id: OrderId,
    },
    /// The money was taken.
    PaymentCaptured {
        /// The order it paid.
        order_id: OrderId,
    },
    /// The money was paid back.
    PaymentRefunded {
        /// The order it had paid.
        order_id: OrderId,
    },
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Money is set aside.
    Authorized,
    /// It is bound to an order.
    Confirmed,
    /// The money was taken.
    Captured,
    /// It was let go.
    Released,
    /// It was paid back.
    Refunded,
}

impl PaymentStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "AUTHORIZED",
            Self::Confirmed => "CONFIRMED",
            Self::Captured => "CAPTURED",
            Self::Released => "RELEASED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// Why a payment said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// No payment has this id.
    #[error("there is no such payment")]
    NotFound,
    /// A payment has this id already.
    #[error("a payment with this id exists")]
    Exists,
    /// Nothing cannot be set aside.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// It is somebody else's money.
    #[error("the payment is of another customer")]
    OfAnotherCustomer,
    /// The order costs more than was set aside.
    #[error("the payment does not cover the order")]
    TooSmall,
    /// It is bound to another order.
    #[error("the payment is used for another order")]
    AlreadyUsed(PaymentStatus),
    /// Money that is not set aside any more cannot be bound to an order.
    #[error("the payment is not authorized any more")]
    NotAuthorized(PaymentStatus),
    /// Only money that is bound to an order can be taken.
    #[error("the payment is not confirmed")]
    NotConfirmed(PaymentStatus),
    /// It is bound to this order.
    #[error("the payment is confirmed for this order already")]
    AlreadyConfirmed(PaymentStatus),
    /// The money was taken, and is not taken twice.
    #[error("the payment is captured already")]
    AlreadyCaptured,
    /// Nothing of it is held for this order.
    #[error("nothing of the payment is held for this order")]
    NothingHeld(PaymentStatus),
}

impl DomainError for PaymentError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AmountNotPositive => ErrorKind::Invalid,
            Self::OfAnotherCustomer
            | Self::TooSmall
            | Self::AlreadyUsed(_)
            | Self::NotAuthorized(_)
            | Self::NotConfirmed(_) => ErrorKind::WrongState,
            Self::AlreadyConfirmed(_) | Self::AlreadyCaptured | Self::NothingHeld(_) => {
                ErrorKind::AlreadyDone
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "PAYMENT_NOT_FOUND",
            Self::Exists => "PAYMENT_EXISTS",
            Self::AmountNotPositive => "AMOUNT_NOT_POSITIVE",
            Self::OfAnotherCustomer => "PAYMENT_OF_ANOTHER_CUSTOMER",
            Self::TooSmall => "PAYMENT_TOO_SMALL",
            Self::AlreadyUsed(_) => "PAYMENT_ALREADY_USED",
            Self::NotAuthorized(_) => "PAYMENT_NOT_AUTHORIZED",
            Self::NotConfirmed(_) => "PAYMENT_NOT_CONFIRMED",
            Self::AlreadyConfirmed(_) => "PAYMENT_ALREADY_CONFIRMED",
            Self::AlreadyCaptured => "PAYMENT_ALREADY_CAPTURED",
            Self::NothingHeld(_) => "PAYMENT_NOT_HELD",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotFound
            | Self::Exists
            | Self::AmountNotPositive
            | Self::OfAnotherCustomer
            | Self::TooSmall => None,
            Self::AlreadyUsed(status)
            | Self::NotAuthorized(status)
            | Self::NotConfirmed(status)
            | Self::AlreadyConfirmed(status)
            | Self::NothingHeld(status) => Some(status.as_str()),
            Self::AlreadyCaptured => Some(PaymentStatus::Captured.as_str()),
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::AmountNotPositive => Some("amount"),
            Self::NotFound
            | Self::Exists
            | Self::OfAnotherCustomer
            | Self::TooSmall
            | Self::AlreadyUsed(_)
            | Self::NotAuthorized(_)
            | Self::NotConfirmed(_)
            | Self::AlreadyConfirmed(_)
            | Self::AlreadyCaptured
            | Self::NothingHeld(_) => None,
        }
    }
}

impl Aggregate for Payment {
    const KIND: Kind = Kind::Payment;
    const CONTEXT: &'static str = "payments";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = PaymentId;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentError;

    fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        use PaymentCommand::{Authorize, Capture, Confirm, GiveBack, LetGo};

        let Some(status) = self.status() else {
            return match command {
                Authorize { amount: Money::ZERO, .. } => Err(PaymentError::AmountNotPositive),
                Authorize { customer_id, amount } => {
                    Ok(vec![PaymentEvent::PaymentAuthorized { customer_id, amount }])
                }
                Confirm { .. } | GiveBack { .. } | LetGo { .. } | Capture { .. } => {
                    Err(PaymentError::NotFound)
                }
            };
        };
        let bound_to = |order_id| self.order_id() == Some(order_id);

        match (command, self) {
            (Authorize { .. }, _) => Err(PaymentError::Exists),

            (Confirm { customer_id, .. }, Self::Authorized(payment))
                if payment.customer_id != customer_id =>
            {
                Err(PaymentError::OfAnotherCustomer)
            }
            (Confirm { amount, .. }, Self::Authorized(payment)) if payment.amount < amount => {
                Err(PaymentError::TooSmall)
            }
            (Confirm { order_id, amount, .. }, Self::Authorized(_)) => {
                Ok(vec![PaymentEvent::PaymentConfirmed { order_id, amount }])
            }
            (Confirm { order_id, .. }, Self::Confirmed { .. } | Self::Captured { .. })
                if bound_to(order_id) =>
            {
                Err(PaymentError::AlreadyConfirmed(status))
            }
            (Confirm { .. }, Self::Confirmed { .. } | Self::Captured { .. }) => {
                Err(PaymentError::AlreadyUsed(status))
            }
            (Confirm { .. }, _) => Err(PaymentError::NotAuthorized(status)),

            (Capture { order_id }, Self::Confirmed { .. }) if bound_to(order_id) => {
                Ok(vec![PaymentEvent::PaymentCaptured { order_id }])
            }
            (Capture { order_id }, Self::Captured { .. }) if bound_to(order_id) => {
                Err(PaymentError::AlreadyCaptured)
            }
            (Capture { .. }, Self::Confirmed { .. } | Self::Captured { .. }) => {
                Err(PaymentError::AlreadyUsed(status))
            }
            (Capture { .. }, _) => Err(PaymentError::NotConfirmed(status)),

            (GiveBack { order_id }, Self::Confirmed { .. }) if bound_to(order_id) => {
                Ok(vec![PaymentEvent::PaymentReleased { order_id }])
            }
            (GiveBack { order_id }, Self::Captured { .. }) if bound_to(order_id) => {
                Ok(vec![PaymentEvent::PaymentRefunded { order_id }])
            }
            (LetGo { order_id, customer_id }, Self::Authorized(payment))
                if payment.customer_id == customer_id =>
            {
                Ok(vec![PaymentEvent::PaymentReleased { order_id }])
            }
            (GiveBack { .. } | LetGo { .. }, _) => Err(PaymentError::NothingHeld(status)),
        }
    }

    fn evolve(self, event: PaymentEvent) -> Self {
        use PaymentEvent::{
            PaymentAuthorized, PaymentCaptured, PaymentConfirmed, PaymentRefunded, PaymentReleased,
        };

        match (event, self) {
            (PaymentAuthorized { customer_id, amount }, _) => {
                Self::Authorized(PaymentDetails { customer_id, amount })
            }
            (PaymentConfirmed { order_id, .. }, Self::Authorized(payment)) => {
                Self::Confirmed { payment, order_id }
            }
            (PaymentCaptured { order_id }, Self::Confirmed { payment, .. }) => {
                Self::Captured { payment, order_id }
            }
            (
                PaymentReleased { order_id },
                Self::Authorized(payment) | Self::Confirmed { payment, .. },
            ) => Self::Released { payment, order_id },
            (PaymentRefunded { order_id }, Self::Captured { payment, .. }) => {
                Self::Refunded { payment, order_id }
            }
            (
                PaymentConfirmed { .. }
                | PaymentCaptured { .. }
                | PaymentReleased { .. }
                | PaymentRefunded { .. },
                state,
            ) => state,
        }
    }
}

#[cfg(test)]
mod tests;
