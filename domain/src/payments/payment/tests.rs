use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::{Payment, PaymentCommand, PaymentDetails, PaymentError, PaymentEvent, PaymentStatus};
use crate::{
    testing::{given, id, money},
    tests::{answers, any_order, ask_in_turn},
};

const ADA: u32 = 1;
const BOB: u32 = 2;
const ORDER: u32 = 11;
const OTHER_ORDER: u32 = 12;

fn authorize(minor: i64) -> PaymentCommand {
    PaymentCommand::Authorize { customer_id: id(ADA), amount: money(minor) }
}

fn confirm(order: u32, customer: u32, minor: i64) -> PaymentCommand {
    PaymentCommand::Confirm { order_id: id(order), customer_id: id(customer), amount: money(minor) }
}

fn capture(order: u32) -> PaymentCommand {
    PaymentCommand::Capture { order_id: id(order) }
}

fn give_back(order: u32) -> PaymentCommand {
    PaymentCommand::GiveBack { order_id: id(order) }
}

fn let_go(order: u32, customer: u32) -> PaymentCommand {
    PaymentCommand::LetGo { order_id: id(order), customer_id: id(customer) }
}

fn authorized() -> Vec<PaymentEvent> {
    vec![PaymentEvent::PaymentAuthorized { customer_id: id(ADA), amount: money(3_000) }]
}

fn confirmed() -> Vec<PaymentEvent> {
    let bound = PaymentEvent::PaymentConfirmed { order_id: id(ORDER), amount: money(2_997) };
    [authorized(), vec![bound]].concat()
}

fn captured() -> Vec<PaymentEvent> {
    [confirmed(), vec![PaymentEvent::PaymentCaptured { order_id: id(ORDER) }]].concat()
}

fn released() -> Vec<PaymentEvent> {
    [confirmed(), vec![PaymentEvent::PaymentReleased { order_id: id(ORDER) }]].concat()
}

fn refunded() -> Vec<PaymentEvent> {
    [captured(), vec![PaymentEvent::PaymentRefunded { order_id: id(ORDER) }]].concat()
}

#[test]
fn the_states_of_a_payment() {
    let table = answers::<Payment>(
        &[
            ("unknown", vec![]),
            ("authorized", authorized()),
            ("confirmed", confirmed()),
            ("captured", captured()),
            ("released", released()),
            ("refunded", refunded()),
        ],
        &[
            ("authorize", authorize(3_000)),
            ("confirm for the order", confirm(ORDER, ADA, 2_997)),
            ("confirm for another order", confirm(OTHER_ORDER, ADA, 2_997)),
            ("capture for the order", capture(ORDER)),
            ("capture for another order", capture(OTHER_ORDER)),
            ("give back for the order", give_back(ORDER)),
            ("give back for another order", give_back(OTHER_ORDER)),
            ("let go", let_go(ORDER, ADA)),
            ("let go for another customer", let_go(ORDER, BOB)),
        ],
    );
    insta::assert_snapshot!(table, @r"
    authorize
      unknown      PaymentAuthorized
      authorized   refused: PAYMENT_EXISTS
      confirmed    refused: PAYMENT_EXISTS
      captured     refused: PAYMENT_EXISTS
      released     refused: PAYMENT_EXISTS
      refunded     refused: PAYMENT_EXISTS
    confirm for the order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   PaymentConfirmed
      confirmed    already done: PAYMENT_ALREADY_CONFIRMED
      captured     already done: PAYMENT_ALREADY_CONFIRMED
      released     refused: PAYMENT_NOT_AUTHORIZED
      refunded     refused: PAYMENT_NOT_AUTHORIZED
    confirm for another order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   PaymentConfirmed
      confirmed    refused: PAYMENT_ALREADY_USED
      captured     refused: PAYMENT_ALREADY_USED
      released     refused: PAYMENT_NOT_AUTHORIZED
      refunded     refused: PAYMENT_NOT_AUTHORIZED
    capture for the order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   refused: PAYMENT_NOT_CONFIRMED
      confirmed    PaymentCaptured
      captured     already done: PAYMENT_ALREADY_CAPTURED
      released     refused: PAYMENT_NOT_CONFIRMED
      refunded     refused: PAYMENT_NOT_CONFIRMED
    capture for another order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   refused: PAYMENT_NOT_CONFIRMED
      confirmed    refused: PAYMENT_ALREADY_USED
      captured     refused: PAYMENT_ALREADY_USED
      released     refused: PAYMENT_NOT_CONFIRMED
      refunded     refused: PAYMENT_NOT_CONFIRMED
    give back for the order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   already done: PAYMENT_NOT_HELD
      confirmed    PaymentReleased
      captured     PaymentRefunded
      released     already done: PAYMENT_NOT_HELD
      refunded     already done: PAYMENT_NOT_HELD
    give back for another order
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   already done: PAYMENT_NOT_HELD
      confirmed    already done: PAYMENT_NOT_HELD
      captured     already done: PAYMENT_NOT_HELD
      released     already done: PAYMENT_NOT_HELD
      refunded     already done: PAYMENT_NOT_HELD
    let go
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   PaymentReleased
      confirmed    already done: PAYMENT_NOT_HELD
      captured     already done: PAYMENT_NOT_HELD
      released     already done: PAYMENT_NOT_HELD
      refunded     already done: PAYMENT_NOT_HELD
    let go for another customer
      unknown      refused: PAYMENT_NOT_FOUND
      authorized   already done: PAYMENT_NOT_HELD
      confirmed    already done: PAYMENT_NOT_HELD
      captured     already done: PAYMENT_NOT_HELD
      released     already done: PAYMENT_NOT_HELD
      refunded     already done: PAYMENT_NOT_HELD
    ");
}

#[test]
fn money_is_set_aside() {
    given::<Payment>([]).when(authorize(3_000)).then(authorized());
    let state = given::<Payment>(authorized()).state();
    assert_eq!(state.status(), Some(PaymentStatus::Authorized));
    assert_eq!(
        state.details(),
        Some(&PaymentDetails { customer_id: id(ADA), amount: money(3_000) })
    );
    assert_eq!(state.order_id(), None);
}

#[test]
fn d55_nothing_cannot_be_set_aside() {
    given::<Payment>([]).when(authorize(0)).then_refused(PaymentError::AmountNotPositive);
}

#[test]
fn d55_a_payment_covers_the_order() {
    given::<Payment>(authorized())
        .when(confirm(ORDER, ADA, 3_001))
        .then_refused(PaymentError::TooSmall);
    given::<Payment>(authorized())
        .when(confirm(ORDER, ADA, 3_000))
        .then([PaymentEvent::PaymentConfirmed { order_id: id(ORDER), amount: money(3_000) }]);
}

#[test]
fn d55_a_payment_pays_for_nobody_else() {
    given::<Payment>(authorized())
        .when(confirm(ORDER, BOB, 2_997))
        .then_refused(PaymentError::OfAnotherCustomer);
}

#[test]
fn d55_a_payment_pays_one_order_only() {
    given::<Payment>(confirmed())
        .when(confirm(OTHER_ORDER, ADA, 1))
        .then_refused(PaymentError::AlreadyUsed(PaymentStatus::Confirmed));
    given::<Payment>(captured())
        .when(confirm(OTHER_ORDER, ADA, 1))
        .then_refused(PaymentError::AlreadyUsed(PaymentStatus::Captured));
}

#[test]
fn confirming_twice_adds_nothing() {
    given::<Payment>(confirmed())
        .when(confirm(ORDER, ADA, 2_997))
        .then_refused(PaymentError::AlreadyConfirmed(PaymentStatus::Confirmed));
    given::<Payment>(captured())
        .when(confirm(ORDER, ADA, 2_997))
        .then_refused(PaymentError::AlreadyConfirmed(PaymentStatus::Captured));
}

#[test]
fn money_that_went_back_is_not_bound_again() {
    given::<Payment>(released())
        .when(confirm(ORDER, ADA, 2_997))
        .then_refused(PaymentError::NotAuthorized(PaymentStatus::Released));
    given::<Payment>(refunded())
        .when(confirm(OTHER_ORDER, ADA, 2_997))
        .then_refused(PaymentError::NotAuthorized(PaymentStatus::Refunded));
}

#[test]
fn d60_the_money_is_taken_once_and_for_its_order() {
    given::<Payment>(confirmed())
        .when(capture(ORDER))
        .then([PaymentEvent::PaymentCaptured { order_id: id(ORDER) }]);
    given::<Payment>(captured()).when(capture(ORDER)).then_refused(PaymentError::AlreadyCaptured);
    given::<Payment>(confirmed())
        .when(capture(OTHER_ORDER))
        .then_refused(PaymentError::AlreadyUsed(PaymentStatus::Confirmed));
    given::<Payment>(authorized())
        .when(capture(ORDER))
        .then_refused(PaymentError::NotConfirmed(PaymentStatus::Authorized));
}

#[test]
fn what_is_held_is_released_and_what_was_taken_is_refunded() {
    given::<Payment>(confirmed())
        .when(give_back(ORDER))
        .then([PaymentEvent::PaymentReleased { order_id: id(ORDER) }]);
    given::<Payment>(captured())
        .when(give_back(ORDER))
        .then([PaymentEvent::PaymentRefunded { order_id: id(ORDER) }]);
}

#[test]
fn an_order_gives_back_only_its_own_money() {
    for (history, status) in [
        (authorized(), PaymentStatus::Authorized),
        (confirmed(), PaymentStatus::Confirmed),
        (captured(), PaymentStatus::Captured),
    ] {
        given::<Payment>(history)
            .when(give_back(OTHER_ORDER))
            .then_refused(PaymentError::NothingHeld(status));
    }
}

#[test]
fn money_that_was_never_bound_is_let_go_for_its_customer_only() {
    given::<Payment>(authorized())
        .when(let_go(ORDER, ADA))
        .then([PaymentEvent::PaymentReleased { order_id: id(ORDER) }]);
    given::<Payment>(authorized())
        .when(let_go(ORDER, BOB))
        .then_refused(PaymentError::NothingHeld(PaymentStatus::Authorized));
    // Another order has it: that this one will not be changes nothing.
    given::<Payment>(confirmed())
        .when(let_go(OTHER_ORDER, ADA))
        .then_refused(PaymentError::NothingHeld(PaymentStatus::Confirmed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn money_moves_one_way(commands in any_order(vec![
        authorize(3_000),
        confirm(ORDER, ADA, 2_997),
        confirm(OTHER_ORDER, ADA, 1),
        confirm(OTHER_ORDER, BOB, 1),
        capture(ORDER),
        capture(OTHER_ORDER),
        give_back(ORDER),
        give_back(OTHER_ORDER),
        let_go(ORDER, ADA),
        let_go(OTHER_ORDER, BOB),
    ])) {
        let states = ask_in_turn::<Payment>(commands)?;
        let captures = states.iter().filter(|state| matches!(state, Payment::Captured { .. }));
        prop_assert!(captures.count() <= 1, "captured at most once");
        for pair in states.windows(2) {
            // Once bound, bound for ever.
            let [before, after] = pair else { continue };
            prop_assert!(before.order_id().is_none() || before.order_id() == after.order_id());
            prop_assert!(before.details().is_none() || before.details() == after.details());
        }
    }

    #[test]
    fn facts_out_of_place_are_taken_as_they_are(events in any_order(
        [refunded(), vec![PaymentEvent::PaymentReleased { order_id: id(OTHER_ORDER) }]].concat(),
    )) {
        let known = given::<Payment>(events.clone()).state().status().is_some();
        prop_assert_eq!(known, events.contains(&authorized()[0]));
    }
}
