//! The invoice of an order.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{CustomerId, InvoiceId, Kind, OrderId, PaymentId},
    money::Money,
};

/// An invoice, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invoice {
    /// No invoice was made out under this id.
    #[default]
    Unknown,
    /// It is to be paid.
    Pending(InvoiceDetails),
    /// It was settled.
    Paid(InvoiceDetails),
    /// It was withdrawn.
    Canceled(InvoiceDetails),
}

/// What an invoice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceDetails {
    /// What is billed.
    pub order_id: OrderId,
    /// Who is billed.
    pub customer_id: CustomerId,
    /// What will pay it.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
}

impl Invoice {
    /// Where it stands, if there is such an invoice.
    pub const fn status(&self) -> Option<InvoiceStatus> {
        match self {
            Self::Unknown => None,
            Self::Pending(_) => Some(InvoiceStatus::Pending),
            Self::Paid(_) => Some(InvoiceStatus::Paid),
            Self::Canceled(_) => Some(InvoiceStatus::Canceled),
        }
    }

    /// What it says.
    pub const fn details(&self) -> Option<&InvoiceDetails> {
        match self {
            Self::Unknown => None,
            Self::Pending(invoice) | Self::Paid(invoice) | Self::Canceled(invoice) => Some(invoice),
        }
    }
}

/// What may be asked of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvoiceCommand {
    /// Bill an order.
    Create {
        /// What is billed.
        order_id: OrderId,
        /// Who is billed.
        customer_id: CustomerId,
        /// What will pay it.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Bill another amount.
    Adjust {
        /// The new amount.
        amount: Money,
    },
    /// Settle it.
    Pay,
    /// Withdraw it.
    Cancel,
}

/// What has happened to an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvoiceEvent {
    /// An order was billed.
    InvoiceCreated {
        /// What is billed.
        order_id: OrderId,
        /// Who is billed.
        customer_id: CustomerId,
        /// What will pay it.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Another amount is billed.
    InvoiceAdjusted {
        /// The amount before.
        old: Money,
        /// The amount now.
        new: Money,
    },
    /// It was settled.
    InvoicePaid {
        /// What was billed.
        order_id: OrderId,
        /// What paid it.
        payment_id: PaymentId,
        /// How much was paid.
        amount: Money,
    },
    /// It was withdrawn.
    InvoiceCanceled {},
}

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvoiceStatus {
    /// To be paid.
    Pending,
    /// Settled.
    Paid,
    /// Withdrawn.
    Canceled,
}

impl InvoiceStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Paid => "PAID",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why an invoice said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// No invoice has this id.
    #[error("there is no such invoice")]
    NotFound,
    /// An invoice has this id already.
    #[error("an invoice with this id exists")]
    Exists,
    /// Nothing cannot be billed.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// That much is billed already.
    #[error("the invoice is of that amount already")]
    NothingChanged,
    /// Only an invoice that is to be paid can be changed, paid or withdrawn.
    #[error("the invoice is not pending")]
    NotPending(InvoiceStatus),
    /// It was settled, and is not settled twice.
    #[error("the invoice is paid already")]
    AlreadyPaid,
    /// It was withdrawn.
    #[error("the invoice is canceled already")]
    AlreadyCanceled,
}

impl DomainError for InvoiceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AmountNotPositive => ErrorKind::Invalid,
            Self::NothingChanged | Self::NotPending(_) => ErrorKind::WrongState,
            Self::AlreadyPaid | Self::AlreadyCanceled => ErrorKind::AlreadyDone,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "INVOICE_NOT_FOUND",
            Self::Exists => "INVOICE_EXISTS",
            Self::AmountNotPositive => "AMOUNT_NOT_POSITIVE",
            Self::NothingChanged => "NOTHING_CHANGED",
            Self::NotPending(_) => "INVOICE_NOT_PENDING",
            Self::AlreadyPaid => "INVOICE_ALREADY_PAID",
            Self::AlreadyCanceled => "INVOICE_ALREADY_CANCELED",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Exists | Self::AmountNotPositive | Self::NothingChanged => None,
            Self::NotPending(status) => Some(status.as_str()),
            Self::AlreadyPaid => Some(InvoiceStatus::Paid.as_str()),
            Self::AlreadyCanceled => Some(InvoiceStatus::Canceled.as_str()),
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::AmountNotPositive => Some("amount"),
            Self::NotFound
            | Self::Exists
            | Self::NothingChanged
            | Self::NotPending(_)
            | Self::AlreadyPaid
            | Self::AlreadyCanceled => None,
        }
    }
}

impl Aggregate for Invoice {
    const KIND: Kind = Kind::Invoice;
    const CONTEXT: &'static str = "payments";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = InvoiceId;
    type Command = InvoiceCommand;
    type Event = InvoiceEvent;
    type Error = InvoiceError;

    #[expect(clippy::match_same_arms, reason = "one group of arms a command: the state diagram")]
    fn decide(&self, command: InvoiceCommand) -> Result<Vec<InvoiceEvent>, InvoiceError> {
        use InvoiceCommand::{Adjust, Cancel, Create, Pay};

        match (command, self) {
            // Of any amount: an order of free samples is billed with nothing.
            (Create { order_id, customer_id, payment_id, amount }, Self::Unknown) => {
                Ok(vec![InvoiceEvent::InvoiceCreated { order_id, customer_id, payment_id, amount }])
            }
            (Create { .. }, Self::Pending(_) | Self::Paid(_) | Self::Canceled(_)) => {
                Err(InvoiceError::Exists)
            }
            (Adjust { .. } | Pay | Cancel, Self::Unknown) => Err(InvoiceError::NotFound),

            (Adjust { amount: Money::ZERO }, Self::Pending(_)) => {
                Err(InvoiceError::AmountNotPositive)
            }
            (Adjust { amount }, Self::Pending(invoice)) if amount == invoice.amount => {
                Err(InvoiceError::NothingChanged)
            }
            (Adjust { amount }, Self::Pending(invoice)) => {
                Ok(vec![InvoiceEvent::InvoiceAdjusted { old: invoice.amount, new: amount }])
            }
            (Adjust { .. }, Self::Paid(_)) => Err(InvoiceError::NotPending(InvoiceStatus::Paid)),
            (Adjust { .. }, Self::Canceled(_)) => {
                Err(InvoiceError::NotPending(InvoiceStatus::Canceled))
            }

            (Pay, Self::Pending(invoice)) => Ok(vec![InvoiceEvent::InvoicePaid {
                order_id: invoice.order_id,
                payment_id: invoice.payment_id,
                amount: invoice.amount,
            }]),
            (Pay, Self::Paid(_)) => Err(InvoiceError::AlreadyPaid),
            (Pay, Self::Canceled(_)) => Err(InvoiceError::NotPending(InvoiceStatus::Canceled)),

            (Cancel, Self::Pending(_)) => Ok(vec![InvoiceEvent::InvoiceCanceled {}]),
            (Cancel, Self::Paid(_)) => Err(InvoiceError::NotPending(InvoiceStatus::Paid)),
            (Cancel, Self::Canceled(_)) => Err(InvoiceError::AlreadyCanceled),
        }
    }

    fn evolve(self, event: InvoiceEvent) -> Self {
        use InvoiceEvent::{InvoiceAdjusted, InvoiceCanceled, InvoiceCreated, InvoicePaid};

        match (event, self) {
            (InvoiceCreated { order_id, customer_id, payment_id, amount }, _) => {
                Self::Pending(InvoiceDetails { order_id, customer_id, payment_id, amount })
            }
            (InvoiceAdjusted { new, .. }, Self::Pending(invoice)) => {
                Self::Pending(InvoiceDetails { amount: new, ..invoice })
            }
            (InvoicePaid { .. }, Self::Pending(invoice)) => Self::Paid(invoice),
            (InvoiceCanceled {}, Self::Pending(invoice)) => Self::Canceled(invoice),
            (InvoiceAdjusted { .. } | InvoicePaid { .. } | InvoiceCanceled {}, state) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Invoice, InvoiceCommand, InvoiceDetails, InvoiceError, InvoiceEvent, InvoiceStatus,
    };
    use crate::testing::{given, id, money};

    fn create(minor: i64) -> InvoiceCommand {
        InvoiceCommand::Create {
            order_id: id(1),
            customer_id: id(2),
            payment_id: id(3),
            amount: money(minor),
        }
    }

    fn created(minor: i64) -> InvoiceEvent {
        InvoiceEvent::InvoiceCreated {
            order_id: id(1),
            customer_id: id(2),
            payment_id: id(3),
            amount: money(minor),
        }
    }

    fn paid_event(minor: i64) -> InvoiceEvent {
        InvoiceEvent::InvoicePaid { order_id: id(1), payment_id: id(3), amount: money(minor) }
    }

    fn pending() -> Vec<InvoiceEvent> {
        vec![created(2_997)]
    }

    fn paid() -> Vec<InvoiceEvent> {
        vec![created(2_997), paid_event(2_997)]
    }

    fn canceled() -> Vec<InvoiceEvent> {
        vec![created(2_997), InvoiceEvent::InvoiceCanceled {}]
    }

    fn adjust(minor: i64) -> InvoiceCommand {
        InvoiceCommand::Adjust { amount: money(minor) }
    }

    #[test]
    fn an_order_is_billed_once() {
        given::<Invoice>([]).when(create(2_997)).then([created(2_997)]);
        for history in [pending(), paid(), canceled()] {
            given::<Invoice>(history).when(create(2_997)).then_refused(InvoiceError::Exists);
        }
    }

    #[test]
    fn an_order_of_free_samples_is_billed_with_nothing() {
        given::<Invoice>([]).when(create(0)).then([created(0)]);
    }

    #[test]
    fn d60_an_invoice_knows_its_order_customer_and_payment() {
        assert_eq!(
            given::<Invoice>(pending()).state().details(),
            Some(&InvoiceDetails {
                order_id: id(1),
                customer_id: id(2),
                payment_id: id(3),
                amount: money(2_997)
            })
        );
    }

    #[test]
    fn a_pending_invoice_is_adjusted() {
        let adjusted = InvoiceEvent::InvoiceAdjusted { old: money(2_997), new: money(1_998) };
        given::<Invoice>(pending()).when(adjust(1_998)).then([adjusted.clone()]);
        given::<Invoice>([created(2_997), adjusted])
            .when(InvoiceCommand::Pay)
            .then([paid_event(1_998)]);
    }

    #[test]
    fn an_adjustment_changes_the_amount_to_something() {
        given::<Invoice>(pending()).when(adjust(0)).then_refused(InvoiceError::AmountNotPositive);
        given::<Invoice>(pending()).when(adjust(2_997)).then_refused(InvoiceError::NothingChanged);
    }

    #[test]
    fn d59_only_a_pending_invoice_is_adjusted() {
        given::<Invoice>(paid())
            .when(adjust(1))
            .then_refused(InvoiceError::NotPending(InvoiceStatus::Paid));
        given::<Invoice>(canceled())
            .when(adjust(1))
            .then_refused(InvoiceError::NotPending(InvoiceStatus::Canceled));
    }

    #[test]
    fn d59_a_canceled_invoice_can_be_read_back() {
        let state = given::<Invoice>(canceled()).state();
        assert_eq!(state.status(), Some(InvoiceStatus::Canceled));
        let stored = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<Invoice>(&stored).unwrap(), state);
    }

    #[test]
    fn a_pending_invoice_is_paid() {
        given::<Invoice>(pending()).when(InvoiceCommand::Pay).then([paid_event(2_997)]);
    }

    #[test]
    fn d46_an_invoice_is_paid_once() {
        given::<Invoice>(paid()).when(InvoiceCommand::Pay).then_refused(InvoiceError::AlreadyPaid);
    }

    #[test]
    fn a_canceled_invoice_is_not_paid() {
        given::<Invoice>(canceled())
            .when(InvoiceCommand::Pay)
            .then_refused(InvoiceError::NotPending(InvoiceStatus::Canceled));
    }

    #[test]
    fn only_a_pending_invoice_is_canceled() {
        given::<Invoice>(pending())
            .when(InvoiceCommand::Cancel)
            .then([InvoiceEvent::InvoiceCanceled {}]);
        given::<Invoice>(paid())
            .when(InvoiceCommand::Cancel)
            .then_refused(InvoiceError::NotPending(InvoiceStatus::Paid));
        given::<Invoice>(canceled())
            .when(InvoiceCommand::Cancel)
            .then_refused(InvoiceError::AlreadyCanceled);
    }

    #[test]
    fn d44_an_invoice_that_was_never_made_out_does_nothing() {
        for command in [adjust(1), InvoiceCommand::Pay, InvoiceCommand::Cancel] {
            given::<Invoice>([]).when(command).then_refused(InvoiceError::NotFound);
        }
    }
}
