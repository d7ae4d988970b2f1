use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::{Order, OrderCommand, OrderDetails, OrderError, OrderEvent, OrderStatus};
use crate::{
    baskets::Item,
    id::ShoppingListId,
    testing::{given, id, item, money, name, reason},
    tests::{answers, any_order, ask_in_turn},
};

const CUSTOMER: u32 = 1;
const PAYMENT: u32 = 2;
const LIST: u32 = 3;
const INVOICE: u32 = 4;

fn items() -> Vec<Item> {
    vec![item(2, 3, 999), item(1, 1, 500)]
}

fn create(items: Vec<Item>) -> OrderCommand {
    OrderCommand::Create {
        customer_id: id(CUSTOMER),
        customer_name: name("Ada"),
        payment_id: id(PAYMENT),
        items,
    }
}

fn approve(list: u32) -> OrderCommand {
    OrderCommand::Approve { shopping_list_id: id(list) }
}

fn reject() -> OrderCommand {
    OrderCommand::Reject { reason: "CUSTOMER_DISABLED".to_owned() }
}

fn complete() -> OrderCommand {
    OrderCommand::Complete { invoice_id: id(INVOICE) }
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: reason("changed my mind"), by: "Ada".to_owned() }
}

fn was_created() -> OrderEvent {
    OrderEvent::OrderCreated {
        customer_id: id(CUSTOMER),
        customer_name: name("Ada"),
        payment_id: id(PAYMENT),
        items: items(),
        total: money(3_497),
    }
}

fn was_approved() -> OrderEvent {
    OrderEvent::OrderApproved { customer_id: id(CUSTOMER), shopping_list_id: id(LIST) }
}

fn was_rejected() -> OrderEvent {
    OrderEvent::OrderRejected {
        customer_id: id(CUSTOMER),
        payment_id: id(PAYMENT),
        reason: "CUSTOMER_DISABLED".to_owned(),
    }
}

fn was_readied() -> OrderEvent {
    OrderEvent::OrderReadied {
        customer_id: id(CUSTOMER),
        payment_id: id(PAYMENT),
        total: money(3_497),
    }
}

fn was_completed() -> OrderEvent {
    OrderEvent::OrderCompleted { customer_id: id(CUSTOMER), invoice_id: id(INVOICE) }
}

fn was_canceled() -> OrderEvent {
    OrderEvent::OrderCanceled {
        customer_id: id(CUSTOMER),
        payment_id: id(PAYMENT),
        reason: reason("changed my mind"),
        by: "Ada".to_owned(),
    }
}

fn pending() -> Vec<OrderEvent> {
    vec![was_created()]
}

fn approved() -> Vec<OrderEvent> {
    [pending(), vec![was_approved()]].concat()
}

fn rejected() -> Vec<OrderEvent> {
    [pending(), vec![was_rejected()]].concat()
}

fn in_progress() -> Vec<OrderEvent> {
    [approved(), vec![OrderEvent::OrderStarted {}]].concat()
}

fn ready() -> Vec<OrderEvent> {
    [in_progress(), vec![was_readied()]].concat()
}

fn completed() -> Vec<OrderEvent> {
    [ready(), vec![was_completed()]].concat()
}

fn canceled() -> Vec<OrderEvent> {
    [pending(), vec![was_canceled()]].concat()
}

#[test]
fn d56_the_states_of_an_order() {
    let table = answers::<Order>(
        &[
            ("unplaced", vec![]),
            ("pending", pending()),
            ("approved", approved()),
            ("in progress", in_progress()),
            ("ready", ready()),
            ("completed", completed()),
            ("rejected", rejected()),
            ("canceled", canceled()),
        ],
        &[
            ("create", create(items())),
            ("approve", approve(LIST)),
            ("approve with another list", approve(LIST + 1)),
            ("reject", reject()),
            ("start", OrderCommand::Start),
            ("ready", OrderCommand::Ready),
            ("complete", complete()),
            ("cancel", cancel()),
        ],
    );
    insta::assert_snapshot!(table, @r"
    create
      unplaced     OrderCreated
      pending      refused: ORDER_EXISTS
      approved     refused: ORDER_EXISTS
      in progress  refused: ORDER_EXISTS
      ready        refused: ORDER_EXISTS
      completed    refused: ORDER_EXISTS
      rejected     refused: ORDER_EXISTS
      canceled     refused: ORDER_EXISTS
    approve
      unplaced     refused: ORDER_NOT_FOUND
      pending      OrderApproved
      approved     already done: ORDER_ALREADY_APPROVED
      in progress  already done: ORDER_ALREADY_IN_PROGRESS
      ready        already done: ORDER_ALREADY_READY
      completed    already done: ORDER_ALREADY_COMPLETED
      rejected     refused: ORDER_NOT_PENDING
      canceled     refused: ORDER_CANCELED
    approve with another list
      unplaced     refused: ORDER_NOT_FOUND
      pending      OrderApproved
      approved     refused: ORDER_NOT_PENDING
      in progress  refused: ORDER_NOT_PENDING
      ready        refused: ORDER_NOT_PENDING
      completed    refused: ORDER_NOT_PENDING
      rejected     refused: ORDER_NOT_PENDING
      canceled     refused: ORDER_CANCELED
    reject
      unplaced     refused: ORDER_NOT_FOUND
      pending      OrderRejected
      approved     refused: ORDER_NOT_PENDING
      in progress  refused: ORDER_NOT_PENDING
      ready        refused: ORDER_NOT_PENDING
      completed    refused: ORDER_NOT_PENDING
      rejected     already done: ORDER_ALREADY_REJECTED
      canceled     already done: ORDER_ALREADY_CANCELED
    start
      unplaced     refused: ORDER_NOT_FOUND
      pending      refused: ORDER_NOT_APPROVED
      approved     OrderStarted
      in progress  already done: ORDER_ALREADY_IN_PROGRESS
      ready        already done: ORDER_ALREADY_READY
      completed    already done: ORDER_ALREADY_COMPLETED
      rejected     refused: ORDER_NOT_APPROVED
      canceled     already done: ORDER_ALREADY_CANCELED
    ready
      unplaced     refused: ORDER_NOT_FOUND
      pending      refused: ORDER_NOT_IN_PROGRESS
      approved     refused: ORDER_NOT_IN_PROGRESS
      in progress  OrderReadied
      ready        already done: ORDER_ALREADY_READY
      completed    already done: ORDER_ALREADY_COMPLETED
      rejected     refused: ORDER_NOT_IN_PROGRESS
      canceled     already done: ORDER_ALREADY_CANCELED
    complete
      unplaced     refused: ORDER_NOT_FOUND
      pending      refused: ORDER_NOT_READY
      approved     refused: ORDER_NOT_READY
      in progress  refused: ORDER_NOT_READY
      ready        OrderCompleted
      completed    already done: ORDER_ALREADY_COMPLETED
      rejected     refused: ORDER_NOT_READY
      canceled     refused: ORDER_CANCELED
    cancel
      unplaced     refused: ORDER_NOT_FOUND
      pending      OrderCanceled
      approved     OrderCanceled
      in progress  OrderCanceled
      ready        refused: ORDER_NOT_CANCELABLE
      completed    refused: ORDER_NOT_CANCELABLE
      rejected     refused: ORDER_NOT_CANCELABLE
      canceled     already done: ORDER_ALREADY_CANCELED
    ");
}

#[test]
fn an_order_costs_what_its_items_cost_in_the_order_they_were_added() {
    given::<Order>([]).when(create(items())).then([was_created()]);
    assert_eq!(
        given::<Order>(pending()).state().details(),
        Some(&OrderDetails {
            customer_id: id(CUSTOMER),
            customer_name: name("Ada"),
            payment_id: id(PAYMENT),
            items: items(),
            total: money(3_497),
        })
    );
}

#[test]
fn nothing_cannot_be_ordered() {
    given::<Order>([]).when(create(vec![])).then_refused(OrderError::Empty);
}

#[test]
fn d65_a_total_that_cannot_be_counted_is_refused() {
    for items in [vec![item(1, 2, i64::MAX)], vec![item(1, 1, i64::MAX), item(2, 1, 1)]] {
        given::<Order>([]).when(create(items)).then_refused(OrderError::TotalTooLarge);
    }
}

#[test]
fn an_order_is_created_once() {
    given::<Order>(pending()).when(create(items())).then_refused(OrderError::Exists);
    given::<Order>(canceled()).when(create(items())).then_refused(OrderError::Exists);
}

#[test]
fn a_pending_order_is_approved() {
    given::<Order>(pending()).when(approve(LIST)).then([was_approved()]);
    let state = given::<Order>(approved()).state();
    assert_eq!(state.status(), Some(OrderStatus::Approved));
    assert_eq!(state.shopping_list_id(), Some(id::<ShoppingListId>(LIST)));
}

#[test]
fn approving_twice_adds_nothing() {
    for (history, status) in [
        (approved(), OrderStatus::Approved),
        (in_progress(), OrderStatus::InProgress),
        (ready(), OrderStatus::Ready),
        (completed(), OrderStatus::Completed),
    ] {
        given::<Order>(history.clone())
            .when(approve(LIST))
            .then_refused(OrderError::Already(status));
        given::<Order>(history)
            .when(approve(LIST + 1))
            .then_refused(OrderError::NotPending(status));
    }
}

#[test]
fn d9_a_canceled_order_is_never_approved() {
    given::<Order>(canceled()).when(approve(LIST)).then_refused(OrderError::Canceled);
    // Nor when it was approved before it was called off.
    let late = [approved(), vec![was_canceled()]].concat();
    given::<Order>(late).when(approve(LIST)).then_refused(OrderError::Canceled);
}

#[test]
fn a_pending_order_is_rejected() {
    given::<Order>(pending()).when(reject()).then([was_rejected()]);
}

#[test]
fn rejecting_what_was_rejected_or_canceled_adds_nothing() {
    for (history, status) in
        [(rejected(), OrderStatus::Rejected), (canceled(), OrderStatus::Canceled)]
    {
        given::<Order>(history).when(reject()).then_refused(OrderError::Already(status));
    }
}

#[test]
fn d56_an_approved_order_is_not_rejected() {
    for (history, status) in [
        (approved(), OrderStatus::Approved),
        (in_progress(), OrderStatus::InProgress),
        (ready(), OrderStatus::Ready),
        (completed(), OrderStatus::Completed),
    ] {
        given::<Order>(history).when(reject()).then_refused(OrderError::NotPending(status));
    }
}

#[test]
fn an_approved_order_is_started() {
    given::<Order>(approved()).when(OrderCommand::Start).then([OrderEvent::OrderStarted {}]);
}

#[test]
fn d57_an_order_that_nobody_shops_for_does_not_become_ready() {
    for (history, status) in [
        (pending(), OrderStatus::Pending),
        (approved(), OrderStatus::Approved),
        (rejected(), OrderStatus::Rejected),
    ] {
        given::<Order>(history)
            .when(OrderCommand::Ready)
            .then_refused(OrderError::NotInProgress(status));
    }
    given::<Order>(in_progress()).when(OrderCommand::Ready).then([was_readied()]);
}

#[test]
fn d58_a_completed_order_knows_its_invoice() {
    given::<Order>(ready()).when(complete()).then([was_completed()]);
    assert_eq!(given::<Order>(completed()).state().invoice_id(), Some(id(INVOICE)));
}

#[test]
fn d57_an_order_that_is_not_ready_is_not_completed() {
    for (history, status) in [
        (pending(), OrderStatus::Pending),
        (approved(), OrderStatus::Approved),
        (in_progress(), OrderStatus::InProgress),
        (rejected(), OrderStatus::Rejected),
    ] {
        given::<Order>(history).when(complete()).then_refused(OrderError::NotReady(status));
    }
}

#[test]
fn that_a_canceled_order_was_paid_is_not_passed_over() {
    given::<Order>(canceled()).when(complete()).then_refused(OrderError::Canceled);
}

#[test]
fn an_order_is_canceled_until_it_is_ready() {
    for history in [pending(), approved(), in_progress()] {
        given::<Order>(history).when(cancel()).then([was_canceled()]);
    }
    for (history, status) in [
        (ready(), OrderStatus::Ready),
        (completed(), OrderStatus::Completed),
        (rejected(), OrderStatus::Rejected),
    ] {
        given::<Order>(history).when(cancel()).then_refused(OrderError::NotCancelable(status));
    }
    given::<Order>(canceled())
        .when(cancel())
        .then_refused(OrderError::Already(OrderStatus::Canceled));
}

#[test]
fn a_canceled_order_knows_the_list_it_had() {
    assert_eq!(given::<Order>(canceled()).state().shopping_list_id(), None);
    let late = [in_progress(), vec![was_canceled()]].concat();
    assert_eq!(given::<Order>(late).state().shopping_list_id(), Some(id(LIST)));
}

#[test]
fn d44_an_order_that_was_never_placed_does_nothing() {
    for command in
        [approve(LIST), reject(), OrderCommand::Start, OrderCommand::Ready, complete(), cancel()]
    {
        given::<Order>([]).when(command).then_refused(OrderError::NotFound);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_order_never_leaves_the_diagram(commands in any_order(vec![
        create(items()),
        create(vec![item(5, 1, 1)]),
        approve(LIST),
        approve(LIST + 1),
        reject(),
        OrderCommand::Start,
        OrderCommand::Ready,
        complete(),
        cancel(),
    ])) {
        use OrderStatus::{Approved, Canceled, Completed, InProgress, Pending, Ready, Rejected};

        let states = ask_in_turn::<Order>(commands)?;
        for pair in states.windows(2) {
            let [before, after] = pair else { continue };
            prop_assert!(
                matches!(
                    (before.status(), after.status()),
                    (None, Some(Pending))
                        | (Some(Pending), Some(Approved | Rejected | Canceled))
                        | (Some(Approved), Some(InProgress | Canceled))
                        | (Some(InProgress), Some(Ready | Canceled))
                        | (Some(Ready), Some(Completed))
                ),
                "{before:?} became {after:?}",
            );
            if before.details().is_some() {
                prop_assert_eq!(before.details(), after.details(), "what was ordered stays");
            }
        }
    }

    #[test]
    fn facts_out_of_place_are_taken_as_they_are(events in any_order(
        [completed(), vec![was_rejected(), was_canceled()]].concat(),
    )) {
        let known = given::<Order>(events.clone()).state().status().is_some();
        prop_assert_eq!(known, events.contains(&was_created()));
    }
}
