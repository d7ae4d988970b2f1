//! Messages to customers.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{CustomerId, Kind, NotificationId, OrderId},
    text::SmsNumber,
};

/// A message's way out, or the lack of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// No message was written under this id.
    #[default]
    Unknown,
    /// It waits to be sent.
    Requested(NotificationDetails),
    /// It went out.
    Sent(NotificationDetails),
    /// It could not be sent.
    Failed(NotificationDetails),
}

/// What a message says, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDetails {
    /// To whom.
    pub customer_id: CustomerId,
    /// Where it goes.
    pub sms_number: SmsNumber,
    /// About which order.
    pub order_id: OrderId,
    /// What for.
    pub kind: NotificationKind,
    /// What it says.
    pub text: String,
}

impl Notification {
    /// What it says, and to whom, if it was written.
    pub const fn details(&self) -> Option<&NotificationDetails> {
        match self {
            Self::Unknown => None,
            Self::Requested(message) | Self::Sent(message) | Self::Failed(message) => Some(message),
        }
    }

    /// Whether it still has to be sent.
    pub const fn waiting(&self) -> bool {
        matches!(self, Self::Requested(_))
    }
}

/// What may be asked of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationCommand {
    /// Write it.
    Request {
        /// To whom.
        customer_id: CustomerId,
        /// Where it goes.
        sms_number: SmsNumber,
        /// About which order.
        order_id: OrderId,
        /// What for.
        kind: NotificationKind,
    },
    /// It went out.
    MarkSent,
    /// It could not be sent, and will not be tried again.
    MarkFailed {
        /// What went wrong, in words fit for an operator.
        reason: String,
    },
}

/// What has happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationEvent {
    /// It was written.
    NotificationRequested {
        /// To whom.
        customer_id: CustomerId,
        /// Where it goes.
        sms_number: SmsNumber,
        /// About which order.
        order_id: OrderId,
        /// What for.
        kind: NotificationKind,
        /// What it says.
        text: String,
    },
    /// It went out.
    NotificationSent {},
    /// It could not be sent.
    NotificationFailed {
        /// What went wrong.
        reason: String,
    },
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotificationKind {
    /// An order was placed.
    OrderCreated,
    /// An order was accepted.
    OrderApproved,
    /// An order was turned down.
    OrderRejected,
    /// An order can be picked up.
    OrderReady,
    /// An order was called off.
    OrderCanceled,
    /// An order was paid and handed over.
    OrderCompleted,
}

impl NotificationKind {
    /// Every kind there is.
    pub const ALL: [Self; 6] = [
        Self::OrderCreated,
        Self::OrderApproved,
        Self::OrderRejected,
        Self::OrderReady,
        Self::OrderCanceled,
        Self::OrderCompleted,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderCreated => "ORDER_CREATED",
            Self::OrderApproved => "ORDER_APPROVED",
            Self::OrderRejected => "ORDER_REJECTED",
            Self::OrderReady => "ORDER_READY",
            Self::OrderCanceled => "ORDER_CANCELED",
            Self::OrderCompleted => "ORDER_COMPLETED",
        }
    }

    /// What the customer reads.
    fn text(self, order_id: OrderId) -> String {
        match self {
            Self::OrderCreated => format!("We received your order {order_id}."),
            Self::OrderApproved => format!("Your order {order_id} is accepted."),
            Self::OrderRejected => format!("We are sorry: we cannot accept your order {order_id}."),
            Self::OrderReady => format!("Your order {order_id} is ready at the depot."),
            Self::OrderCanceled => format!("Your order {order_id} is canceled."),
            Self::OrderCompleted => format!("Your order {order_id} is complete. Thank you!"),
        }
    }
}

/// Why a message said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// No message has this id.
    #[error("there is no such notification")]
    NotFound,
    /// A message has this id already.
    #[error("a notification with this id exists")]
    Exists,
    /// It went out.
    #[error("the notification was sent already")]
    AlreadySent,
    /// It was given up.
    #[error("the notification has failed already")]
    AlreadyFailed,
}

impl DomainError for NotificationError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AlreadySent | Self::AlreadyFailed => ErrorKind::AlreadyDone,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "NOTIFICATION_NOT_FOUND",
            Self::Exists => "NOTIFICATION_EXISTS",
            Self::AlreadySent => "NOTIFICATION_ALREADY_SENT",
            Self::AlreadyFailed => "NOTIFICATION_ALREADY_FAILED",
        }
    }
}

impl Aggregate for Notification {
    const KIND: Kind = Kind::Notification;
    const CONTEXT: &'static str = "notifications";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = NotificationId;
    type Command = NotificationCommand;
    type Event = NotificationEvent;
    type Error = NotificationError;

    fn decide(
        &self,
        command: NotificationCommand,
    ) -> Result<Vec<NotificationEvent>, NotificationError> {
        use NotificationCommand::{MarkFailed, MarkSent, Request};

        match (command, self) {
            (Request { customer_id, sms_number, order_id, kind }, Self::Unknown) => {
                let text = kind.text(order_id);
                Ok(vec![NotificationEvent::NotificationRequested {
                    customer_id,
                    sms_number,
                    order_id,
                    kind,
                    text,
                }])
            }
            (Request { .. }, Self::Requested(_) | Self::Sent(_) | Self::Failed(_)) => {
                Err(NotificationError::Exists)
            }
            (MarkSent | MarkFailed { .. }, Self::Unknown) => Err(NotificationError::NotFound),

            (MarkSent, Self::Requested(_)) => Ok(vec![NotificationEvent::NotificationSent {}]),
            (MarkFailed { reason }, Self::Requested(_)) => {
                Ok(vec![NotificationEvent::NotificationFailed { reason }])
            }
            (MarkSent | MarkFailed { .. }, Self::Sent(_)) => Err(NotificationError::AlreadySent),
            (MarkSent | MarkFailed { .. }, Self::Failed(_)) => {
                Err(NotificationError::AlreadyFailed)
            }
        }
    }

    fn evolve(self, event: NotificationEvent) -> Self {
        use NotificationEvent::{NotificationFailed, NotificationRequested, NotificationSent};

        match (event, self) {
            (NotificationRequested { customer_id, sms_number, order_id, kind, text }, _) => {
                Self::Requested(NotificationDetails {
                    customer_id,
                    sms_number,
                    order_id,
                    kind,
                    text,
                })
            }
            (NotificationSent {}, Self::Requested(message)) => Self::Sent(message),
            (NotificationFailed { .. }, Self::Requested(message)) => Self::Failed(message),
            (NotificationSent {} | NotificationFailed { .. }, state) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Notification, NotificationCommand, NotificationError, NotificationEvent, NotificationKind,
    };
    use crate::{
        id::OrderId,
        testing::{given, id},
        text::SmsNumber,
    };

    fn request(kind: NotificationKind) -> NotificationCommand {
        NotificationCommand::Request {
            customer_id: id(1),
            sms_number: SmsNumber::new("+15550100").unwrap(),
            order_id: id(2),
            kind,
        }
    }

    fn requested(kind: NotificationKind, text: &str) -> NotificationEvent {
        NotificationEvent::NotificationRequested {
            customer_id: id(1),
            sms_number: SmsNumber::new("+15550100").unwrap(),
            order_id: id(2),
            kind,
            text: text.to_owned(),
        }
    }

    fn waiting() -> NotificationEvent {
        requested(NotificationKind::OrderReady, "come and get it")
    }

    fn sent() -> Vec<NotificationEvent> {
        vec![waiting(), NotificationEvent::NotificationSent {}]
    }

    fn failed() -> Vec<NotificationEvent> {
        vec![waiting(), NotificationEvent::NotificationFailed { reason: "no network".to_owned() }]
    }

    fn mark_failed() -> NotificationCommand {
        NotificationCommand::MarkFailed { reason: "no network".to_owned() }
    }

    #[test]
    fn each_kind_says_what_happened_to_which_order() {
        let order: OrderId = id(2);
        for (kind, text) in [
            (NotificationKind::OrderCreated, format!("We received your order {order}.")),
            (NotificationKind::OrderApproved, format!("Your order {order} is accepted.")),
            (
                NotificationKind::OrderRejected,
                format!("We are sorry: we cannot accept your order {order}."),
            ),
            (NotificationKind::OrderReady, format!("Your order {order} is ready at the depot.")),
            (NotificationKind::OrderCanceled, format!("Your order {order} is canceled.")),
            (
                NotificationKind::OrderCompleted,
                format!("Your order {order} is complete. Thank you!"),
            ),
        ] {
            given::<Notification>([]).when(request(kind)).then([requested(kind, &text)]);
        }
    }

    #[test]
    fn a_message_is_written_once() {
        for history in [vec![waiting()], sent(), failed()] {
            given::<Notification>(history)
                .when(request(NotificationKind::OrderReady))
                .then_refused(NotificationError::Exists);
        }
    }

    #[test]
    fn a_message_that_waits_is_sent_or_given_up() {
        assert!(given::<Notification>([waiting()]).state().waiting());
        given::<Notification>([waiting()])
            .when(NotificationCommand::MarkSent)
            .then([NotificationEvent::NotificationSent {}]);
        given::<Notification>([waiting()])
            .when(mark_failed())
            .then([NotificationEvent::NotificationFailed { reason: "no network".to_owned() }]);
    }

    #[test]
    fn how_a_message_ended_is_said_once() {
        for command in [NotificationCommand::MarkSent, mark_failed()] {
            given::<Notification>(sent())
                .when(command.clone())
                .then_refused(NotificationError::AlreadySent);
            given::<Notification>(failed())
                .when(command)
                .then_refused(NotificationError::AlreadyFailed);
        }
        assert!(!given::<Notification>(sent()).state().waiting());
        assert!(!given::<Notification>(failed()).state().waiting());
    }

    #[test]
    fn d44_a_message_that_was_never_written_does_nothing() {
        for command in [NotificationCommand::MarkSent, mark_failed()] {
            given::<Notification>([]).when(command).then_refused(NotificationError::NotFound);
        }
    }
}
