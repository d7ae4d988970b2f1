//! The mall kills itself at each moment that is worth a name: before an append
//! is committed, after it, and when a message is handled but the checkpoint
//! does not say so, on the way forward, on the way back, and at the depot.
//!
//! Each moment is reached by the story told at it; that it was reached stands
//! in the log, and the signal says that it was the end. The next moment is set
//! at once: what was left undone is taken up by a process that is to die, too.

use std::os::unix::process::ExitStatusExt;

use tokio::task::JoinSet;

use super::{
    audit::audit,
    people::{Door, Visitor},
    stories::{Shelf, Story},
};
use crate::support::Mall;

/// Has the mall die at several moments, on files and on PostgreSQL.
macro_rules! dies {
    ($($way:ident: $moments:ident),* $(,)?) => {
        mod on_files {
            $(
                #[tokio::test]
                async fn $way() {
                    super::dies_at($crate::support::Mall::open().await, super::$moments).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $way() {
                    let mall = $crate::support::Mall::open_on_postgres().await;
                    super::dies_at(mall, super::$moments).await;
                }
            )*
        }
    };
}

dies! {
    before_a_commit_on_the_way_forward: BEFORE_COMMITS,
    after_a_commit_on_the_way_forward: AFTER_COMMITS,
    between_handling_and_acknowledging: HANDLED,
    in_a_compensation: COMPENSATIONS,
    while_an_order_is_called_off: CANCELLATIONS,
    at_the_depot: DEPOT,
}

type Moments = &'static [(&'static str, Story)];

const BEFORE_COMMITS: Moments = &[
    ("before_commit:baskets.BasketCheckedOut", Story::Approved),
    ("before_commit:ordering.OrderCreated", Story::Approved),
    ("before_commit:sagas.SagaStarted", Story::Approved),
    ("before_commit:customers.CustomerAuthorized/sagas.StepReplied", Story::Approved),
    ("before_commit:depot.ShoppingListCreated/sagas.StepReplied", Story::Approved),
    ("before_commit:payments.PaymentConfirmed/sagas.StepReplied", Story::Approved),
    ("before_commit:depot.ShoppingListInitiated/sagas.StepReplied", Story::Approved),
    ("before_commit:ordering.OrderApproved/sagas.StepReplied", Story::Approved),
    ("before_commit:sagas.SagaCompleted", Story::Approved),
    ("before_commit:notifications.NotificationRequested", Story::Approved),
    ("before_commit:notifications.NotificationSent", Story::Approved),
];

const AFTER_COMMITS: Moments = &[
    ("after_commit:baskets.BasketCheckedOut", Story::Approved),
    ("after_commit:ordering.OrderCreated", Story::Approved),
    ("after_commit:sagas.SagaStarted/customers.AuthorizeCustomer", Story::Approved),
    ("after_commit:customers.CustomerAuthorized/sagas.StepReplied", Story::Approved),
    ("after_commit:depot.ShoppingListCreated/sagas.StepReplied", Story::Approved),
    ("after_commit:payments.PaymentConfirmed/sagas.StepReplied", Story::Approved),
    ("after_commit:depot.ShoppingListInitiated/sagas.StepReplied", Story::Approved),
    ("after_commit:ordering.OrderApproved/sagas.StepReplied", Story::Approved),
    ("after_commit:sagas.SagaCompleted", Story::Approved),
    ("after_commit:notifications.NotificationRequested", Story::Approved),
    ("after_commit:notifications.NotificationSent", Story::Approved),
];

const HANDLED: Moments = &[
    ("handled:ordering/baskets.BasketCheckedOut", Story::Approved),
    ("handled:sagas/ordering.OrderCreated", Story::Approved),
    ("handled:notifications/ordering.OrderCreated", Story::Approved),
    ("handled:notifier/notifications.NotificationRequested", Story::Approved),
    ("handled:customers/customers.AuthorizeCustomer", Story::Approved),
    ("handled:sagas/sagas.StepReplied:2", Story::Approved),
    ("handled:depot/depot.CreateShoppingList", Story::Approved),
    ("handled:payments/payments.ConfirmPayment", Story::Approved),
    ("handled:depot/depot.InitiateShopping", Story::Approved),
    ("handled:ordering/ordering.ApproveOrder", Story::Approved),
];

const COMPENSATIONS: Moments = &[
    ("before_commit:sagas.StepRefused/sagas.CompensationStarted", Story::TooExpensive),
    ("after_commit:sagas.StepRefused/sagas.CompensationStarted", Story::TooExpensive),
    ("before_commit:depot.ShoppingListCanceled/sagas.StepReplied", Story::TooExpensive),
    ("after_commit:depot.ShoppingListCanceled/sagas.StepReplied", Story::TooExpensive),
    ("handled:depot/depot.CancelShoppingList", Story::TooExpensive),
    ("before_commit:sagas.StepCompensated", Story::TooExpensive),
    ("after_commit:sagas.StepCompensated", Story::TooExpensive),
    ("before_commit:ordering.OrderRejected/sagas.StepReplied", Story::Disabled),
    ("after_commit:ordering.OrderRejected/sagas.StepReplied", Story::Disabled),
    ("handled:ordering/ordering.RejectOrder", Story::Disabled),
    ("before_commit:payments.PaymentReleased", Story::Disabled),
    ("after_commit:payments.PaymentReleased", Story::Disabled),
    ("handled:payments/ordering.OrderRejected", Story::TooExpensive),
    ("before_commit:sagas.SagaCompensated", Story::TooExpensive),
    ("after_commit:sagas.SagaCompensated", Story::TooExpensive),
];

const CANCELLATIONS: Moments = &[
    ("before_commit:ordering.OrderCanceled", Story::CalledOff),
    ("after_commit:ordering.OrderCanceled", Story::CalledOff),
    ("handled:sagas/ordering.OrderCanceled", Story::CalledOff),
    ("before_commit:ordering.OrderCanceled", Story::CalledBack),
    ("after_commit:ordering.OrderCanceled", Story::CalledBack),
    ("before_commit:depot.ShoppingListCanceled/depot.BotReleased", Story::CalledBack),
    ("after_commit:depot.ShoppingListCanceled/depot.BotReleased", Story::CalledBack),
    ("handled:depot/depot.CancelShoppingList", Story::CalledBack),
    ("before_commit:payments.PaymentReleased/sagas.StepReplied", Story::CalledBack),
    ("after_commit:payments.PaymentReleased/sagas.StepReplied", Story::CalledBack),
    ("handled:payments/payments.ReleasePayment", Story::CalledBack),
    ("handled:payments/payments.CancelInvoice", Story::CalledBack),
];

const DEPOT: Moments = &[
    ("before_commit:depot.ShoppingListAssigned/depot.BotAssigned", Story::Collected),
    ("after_commit:depot.ShoppingListAssigned/depot.BotAssigned", Story::Collected),
    ("before_commit:ordering.OrderStarted", Story::Collected),
    ("handled:ordering/depot.ShoppingStarted", Story::Collected),
    ("before_commit:depot.ShoppingListCompleted/depot.BotReleased", Story::Collected),
    ("after_commit:depot.ShoppingListCompleted/depot.BotReleased", Story::Collected),
    ("after_commit:ordering.OrderReadied", Story::Collected),
    ("before_commit:payments.InvoiceCreated", Story::Collected),
    ("after_commit:payments.InvoiceCreated", Story::Collected),
    ("before_commit:payments.InvoicePaid", Story::Collected),
    ("after_commit:payments.InvoicePaid", Story::Collected),
    ("before_commit:payments.PaymentCaptured", Story::Collected),
    ("after_commit:payments.PaymentCaptured", Story::Collected),
    ("handled:payments/payments.InvoicePaid", Story::Collected),
    ("before_commit:ordering.OrderCompleted", Story::Collected),
    ("handled:ordering/payments.InvoicePaid", Story::Collected),
];

async fn dies_at(mut mall: Mall, moments: Moments) {
    let door = Door::of(&mall);
    let visitor = Visitor::through(&door);
    let shelf = Shelf::filled_by(&visitor).await;
    mall.kill().await;

    let mut telling = JoinSet::new();
    for (moment, story) in moments {
        let died = match mall.try_reopen(&[("MALLBOTS_DIE_AT", moment)]).await {
            Ok(()) => {
                door.opened(&mall);
                telling.spawn(story.tell(visitor.clone(), shelf));
                mall.ended().await
            }
            // An earlier story was there before it could be opened.
            Err(died) => died,
        };
        assert_eq!(died.signal(), Some(9), "{moment}");
        assert!(mall.log().ends_with(&format!("died at {moment}\n")), "{moment}");
    }
    mall.reopen().await;
    door.opened(&mall);
    let endings: Vec<_> = telling.join_all().await.into_iter().flatten().collect();

    let answered = visitor.asks_again().await;
    assert!(mall.stop().await.success());
    audit(&mall, &answered, &endings).await;
}
