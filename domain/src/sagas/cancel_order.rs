//! Undoes an accepted order that was called off: the list is torn up and its
//! bot freed, the money given back, the invoice withdrawn. There is no way
//! back from here: what is refused is tried again until an operator looks.

use serde::{Deserialize, Serialize};

use crate::{
    id::{OrderId, PaymentId},
    saga::{SagaCommand, Steps},
};

/// What the saga works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// The order.
    pub order_id: OrderId,
    /// What was to pay for it.
    pub payment_id: PaymentId,
}

/// The steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named after what they ask for")]
pub enum Step {
    CancelShoppingList,
    ReleasePayment,
    CancelInvoice,
}

impl Steps for CancelOrder {
    const NAME: &'static str = "cancel_order";
    type Step = Step;
    const STEPS: &'static [Step] =
        &[Step::CancelShoppingList, Step::ReleasePayment, Step::CancelInvoice];

    fn name(step: Step) -> &'static str {
        match step {
            Step::CancelShoppingList => "CancelShoppingList",
            Step::ReleasePayment => "ReleasePayment",
            Step::CancelInvoice => "CancelInvoice",
        }
    }

    fn action(&self, step: Step) -> Option<SagaCommand> {
        let Self { order_id, payment_id } = *self;
        Some(match step {
            Step::CancelShoppingList => {
                SagaCommand::CancelShoppingList { list_id: order_id.shopping_list() }
            }
            Step::ReleasePayment => SagaCommand::ReleasePayment { payment_id, order_id },
            Step::CancelInvoice => SagaCommand::CancelInvoice { invoice_id: order_id.invoice() },
        })
    }

    fn compensation(&self, step: Step, _reason: &str) -> Option<SagaCommand> {
        match step {
            Step::CancelShoppingList | Step::ReleasePayment | Step::CancelInvoice => None,
        }
    }
}
