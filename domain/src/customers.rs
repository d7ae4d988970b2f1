//! Customers.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{CustomerId, Kind, OrderId},
    text::{Name, SmsNumber},
};

/// A customer's record, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Customer {
    /// No customer was registered under this id.
    #[default]
    Unknown,
    /// They are known here.
    Registered(CustomerDetails),
}

/// What is known of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerDetails {
    /// What they are called.
    pub name: Name,
    /// Where messages reach them.
    pub sms_number: SmsNumber,
    /// Whether they may shop.
    pub enabled: bool,
    /// The order they were last cleared for, so that the same question asked
    /// again adds nothing.
    pub authorized: Option<OrderId>,
}

impl Customer {
    /// What is known of them, if they are registered.
    pub const fn details(&self) -> Option<&CustomerDetails> {
        match self {
            Self::Unknown => None,
            Self::Registered(customer) => Some(customer),
        }
    }
}

/// What may be asked of a customer's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerCommand {
    /// Enter a new customer.
    Register {
        /// What they are called.
        name: Name,
        /// Where messages reach them.
        sms_number: SmsNumber,
    },
    /// Reach them elsewhere.
    ChangeSmsNumber {
        /// The new number.
        sms_number: SmsNumber,
    },
    /// Let them shop.
    Enable,
    /// Stop them from shopping.
    Disable,
    /// Say whether they may place this order.
    Authorize {
        /// The order in question.
        order_id: OrderId,
    },
}

/// What has happened to a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerEvent {
    /// A new customer, enabled.
    CustomerRegistered {
        /// What they are called.
        name: Name,
        /// Where messages reach them.
        sms_number: SmsNumber,
    },
    /// They are reached elsewhere.
    CustomerSmsChanged {
        /// The new number.
        sms_number: SmsNumber,
    },
    /// They may shop.
    CustomerEnabled {},
    /// They may not shop.
    CustomerDisabled {},
    /// They may place this order.
    CustomerAuthorized {
        /// The order in question.
        order_id: OrderId,
    },
}

/// Why a customer's record said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CustomerError {
    /// No customer has this id.
    #[error("there is no such customer")]
    NotFound,
    /// A customer has this id already.
    #[error("a customer with this id exists")]
    Exists,
    /// They may not shop.
    #[error("the customer is disabled")]
    Disabled,
    /// They may shop already.
    #[error("the customer is enabled already")]
    AlreadyEnabled,
    /// They may not shop anyway.
    #[error("the customer is disabled already")]
    AlreadyDisabled,
    /// They were cleared for this order.
    #[error("the customer is authorized for this order already")]
    AlreadyAuthorized,
    /// They are reached there already.
    #[error("the customer has that number already")]
    NothingChanged,
}

impl DomainError for CustomerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::Disabled | Self::NothingChanged => ErrorKind::WrongState,
            Self::AlreadyEnabled | Self::AlreadyDisabled | Self::AlreadyAuthorized => {
                ErrorKind::AlreadyDone
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "CUSTOMER_NOT_FOUND",
            Self::Exists => "CUSTOMER_EXISTS",
            Self::Disabled => "CUSTOMER_DISABLED",
            Self::AlreadyEnabled => "CUSTOMER_ALREADY_ENABLED",
            Self::AlreadyDisabled => "CUSTOMER_ALREADY_DISABLED",
            Self::AlreadyAuthorized => "CUSTOMER_ALREADY_AUTHORIZED",
            Self::NothingChanged => "NOTHING_CHANGED",
        }
    }
}

impl Aggregate for Customer {
    const KIND: Kind = Kind::Customer;
    const CONTEXT: &'static str = "customers";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = CustomerId;
    type Command = CustomerCommand;
    type Event = CustomerEvent;
    type Error = CustomerError;

    fn decide(&self, command: CustomerCommand) -> Result<Vec<CustomerEvent>, CustomerError> {
        use CustomerCommand::{Authorize, ChangeSmsNumber, Disable, Enable, Register};

        match (command, self) {
            (Register { name, sms_number }, Self::Unknown) => {
                Ok(vec![CustomerEvent::CustomerRegistered { name, sms_number }])
            }
            (Register { .. }, Self::Registered(_)) => Err(CustomerError::Exists),
            (ChangeSmsNumber { .. } | Enable | Disable | Authorize { .. }, Self::Unknown) => {
                Err(CustomerError::NotFound)
            }

            (ChangeSmsNumber { sms_number }, Self::Registered(customer))
                if customer.sms_number == sms_number =>
            {
                Err(CustomerError::NothingChanged)
            }
            (ChangeSmsNumber { sms_number }, Self::Registered(_)) => {
                Ok(vec![CustomerEvent::CustomerSmsChanged { sms_number }])
            }

            (Enable, Self::Registered(customer)) if customer.enabled => {
                Err(CustomerError::AlreadyEnabled)
            }
            (Enable, Self::Registered(_)) => Ok(vec![CustomerEvent::CustomerEnabled {}]),

            (Disable, Self::Registered(customer)) if !customer.enabled => {
                Err(CustomerError::AlreadyDisabled)
            }
            (Disable, Self::Registered(_)) => Ok(vec![CustomerEvent::CustomerDisabled {}]),

            // Before the question whether they are enabled: an answer once
            // given is not taken back by asking again.
            (Authorize { order_id }, Self::Registered(customer))
                if customer.authorized == Some(order_id) =>
            {
                Err(CustomerError::AlreadyAuthorized)
            }
            (Authorize { .. }, Self::Registered(customer)) if !customer.enabled => {
                Err(CustomerError::Disabled)
            }
            (Authorize { order_id }, Self::Registered(_)) => {
                Ok(vec![CustomerEvent::CustomerAuthorized { order_id }])
            }
        }
    }

    fn evolve(self, event: CustomerEvent) -> Self {
        use CustomerEvent::{
            CustomerAuthorized, CustomerDisabled, CustomerEnabled, CustomerRegistered,
            CustomerSmsChanged,
        };

        match (event, self) {
            (CustomerRegistered { name, sms_number }, _) => Self::Registered(CustomerDetails {
                name,
                sms_number,
                enabled: true,
                authorized: None,
            }),
            (CustomerSmsChanged { sms_number }, Self::Registered(customer)) => {
                Self::Registered(CustomerDetails { sms_number, ..customer })
            }
            (CustomerEnabled {}, Self::Registered(customer)) => {
                Self::Registered(CustomerDetails { enabled: true, ..customer })
            }
            (CustomerDisabled {}, Self::Registered(customer)) => {
                Self::Registered(CustomerDetails { enabled: false, ..customer })
            }
            (CustomerAuthorized { order_id }, Self::Registered(customer)) => {
                Self::Registered(CustomerDetails { authorized: Some(order_id), ..customer })
            }
            (
                CustomerSmsChanged { .. }
                | CustomerEnabled {}
                | CustomerDisabled {}
                | CustomerAuthorized { .. },
                Self::Unknown,
            ) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Customer, CustomerCommand, CustomerError, CustomerEvent};
    use crate::{
        testing::{given, id, name},
        text::SmsNumber,
    };

    fn number(text: &str) -> SmsNumber {
        SmsNumber::new(text).unwrap()
    }

    fn register() -> CustomerCommand {
        CustomerCommand::Register { name: name("Ada"), sms_number: number("+15550100") }
    }

    fn registered() -> CustomerEvent {
        CustomerEvent::CustomerRegistered { name: name("Ada"), sms_number: number("+15550100") }
    }

    fn disabled() -> Vec<CustomerEvent> {
        vec![registered(), CustomerEvent::CustomerDisabled {}]
    }

    fn change_to(text: &str) -> CustomerCommand {
        CustomerCommand::ChangeSmsNumber { sms_number: number(text) }
    }

    fn authorize(order: u32) -> CustomerCommand {
        CustomerCommand::Authorize { order_id: id(order) }
    }

    fn authorized(order: u32) -> CustomerEvent {
        CustomerEvent::CustomerAuthorized { order_id: id(order) }
    }

    #[test]
    fn a_new_customer_may_shop() {
        given::<Customer>([]).when(register()).then([registered()]);
        assert!(given::<Customer>([registered()]).state().details().unwrap().enabled);
    }

    #[test]
    fn a_customer_is_registered_once() {
        given::<Customer>([registered()]).when(register()).then_refused(CustomerError::Exists);
    }

    #[test]
    fn d12_an_sms_number_can_be_changed() {
        let changed = CustomerEvent::CustomerSmsChanged { sms_number: number("+15550199") };
        given::<Customer>([registered()]).when(change_to("+15550199")).then([changed.clone()]);
        let state = given::<Customer>([registered(), changed]).state();
        assert_eq!(state.details().unwrap().sms_number, number("+15550199"));
    }

    #[test]
    fn an_sms_number_is_not_changed_to_itself() {
        given::<Customer>([registered()])
            .when(change_to("+1 555 0100"))
            .then_refused(CustomerError::NothingChanged);
    }

    #[test]
    fn a_customer_is_disabled_once() {
        given::<Customer>([registered()])
            .when(CustomerCommand::Disable)
            .then([CustomerEvent::CustomerDisabled {}]);
        given::<Customer>(disabled())
            .when(CustomerCommand::Disable)
            .then_refused(CustomerError::AlreadyDisabled);
    }

    #[test]
    fn a_customer_is_enabled_once() {
        given::<Customer>(disabled())
            .when(CustomerCommand::Enable)
            .then([CustomerEvent::CustomerEnabled {}]);
        given::<Customer>([registered()])
            .when(CustomerCommand::Enable)
            .then_refused(CustomerError::AlreadyEnabled);
    }

    #[test]
    fn an_enabled_customer_is_authorized_for_each_order() {
        given::<Customer>([registered()]).when(authorize(1)).then([authorized(1)]);
        given::<Customer>([registered(), authorized(1)]).when(authorize(2)).then([authorized(2)]);
    }

    #[test]
    fn a_disabled_customer_is_not_authorized() {
        given::<Customer>(disabled()).when(authorize(1)).then_refused(CustomerError::Disabled);
    }

    #[test]
    fn asking_twice_about_an_order_adds_nothing() {
        given::<Customer>([registered(), authorized(1)])
            .when(authorize(1))
            .then_refused(CustomerError::AlreadyAuthorized);
    }

    #[test]
    fn an_authorization_stands_though_the_customer_is_disabled_later() {
        given::<Customer>([registered(), authorized(1), CustomerEvent::CustomerDisabled {}])
            .when(authorize(1))
            .then_refused(CustomerError::AlreadyAuthorized);
    }

    #[test]
    fn d44_a_customer_who_was_never_registered_does_nothing() {
        for command in [
            change_to("+15550199"),
            CustomerCommand::Enable,
            CustomerCommand::Disable,
            authorize(1),
        ] {
            given::<Customer>([]).when(command).then_refused(CustomerError::NotFound);
        }
    }
}
