//! Accepts an order: the customer may buy, the list is written, the payment is
//! bound, a bot may shop. Whoever says no turns the order down.

use serde::{Deserialize, Serialize};

use crate::{
    baskets::Item,
    id::{CustomerId, OrderId, PaymentId},
    money::Money,
    saga::{SagaCommand, Steps},
};

/// What the saga works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateOrder {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What is to pay for it.
    pub payment_id: PaymentId,
    /// What was ordered.
    pub items: Vec<Item>,
    /// What it costs.
    pub total: Money,
}

/// The steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named after what they ask for")]
pub enum Step {
    PlaceOrder,
    AuthorizeCustomer,
    CreateShoppingList,
    ConfirmPayment,
    InitiateShopping,
    ApproveOrder,
}

impl Steps for CreateOrder {
    const NAME: &'static str = "create_order";
    type Step = Step;
    const STEPS: &'static [Step] = &[
        Step::PlaceOrder,
        Step::AuthorizeCustomer,
        Step::CreateShoppingList,
        Step::ConfirmPayment,
        Step::InitiateShopping,
        Step::ApproveOrder,
    ];

    fn name(step: Step) -> &'static str {
        match step {
            Step::PlaceOrder => "PlaceOrder",
            Step::AuthorizeCustomer => "AuthorizeCustomer",
            Step::CreateShoppingList => "CreateShoppingList",
            Step::ConfirmPayment => "ConfirmPayment",
            Step::InitiateShopping => "InitiateShopping",
            Step::ApproveOrder => "ApproveOrder",
        }
    }

    fn action(&self, step: Step) -> Option<SagaCommand> {
        let Self { order_id, customer_id, payment_id, items, total } = self;
        let (order_id, list_id) = (*order_id, order_id.shopping_list());
        match step {
            // Done before the saga began.
            Step::PlaceOrder => None,
            Step::AuthorizeCustomer => {
                Some(SagaCommand::AuthorizeCustomer { customer_id: *customer_id, order_id })
            }
            Step::CreateShoppingList => {
                Some(SagaCommand::CreateShoppingList { list_id, order_id, items: items.clone() })
            }
            Step::ConfirmPayment => Some(SagaCommand::ConfirmPayment {
                payment_id: *payment_id,
                order_id,
                customer_id: *customer_id,
                amount: *total,
            }),
            Step::InitiateShopping => Some(SagaCommand::InitiateShopping { list_id }),
            Step::ApproveOrder => Some(SagaCommand::ApproveOrder { order_id, list_id }),
        }
    }

    fn compensation(&self, step: Step, reason: &str) -> Option<SagaCommand> {
        let Self { order_id, payment_id, .. } = *self;
        match step {
            Step::PlaceOrder => {
                Some(SagaCommand::RejectOrder { order_id, reason: reason.to_owned() })
            }
            Step::CreateShoppingList => {
                Some(SagaCommand::CancelShoppingList { list_id: order_id.shopping_list() })
            }
            Step::ConfirmPayment => Some(SagaCommand::ReleasePayment { payment_id, order_id }),
            // Tearing the list up covers that bots might have taken it.
            Step::AuthorizeCustomer | Step::InitiateShopping | Step::ApproveOrder => None,
        }
    }
}
