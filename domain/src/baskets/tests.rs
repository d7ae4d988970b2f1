use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::{
    Basket, BasketCommand, BasketError, BasketEvent, BasketStatus, Item, MAX_LINES, Offer,
    PriceChange, Tender, total,
};
use crate::{
    aggregate::{Aggregate, DomainError},
    id::ProductId,
    money::Money,
    quantity::MAX_QUANTITY,
    testing::{given, id, item, money, name, offer, pieces},
    tests::{answers, any_order, ask_in_turn},
};

const ADA: u32 = 1;
const BOB: u32 = 2;
const PAYMENT: u32 = 3;

fn start() -> BasketCommand {
    BasketCommand::Start { customer_id: id(ADA), customer_enabled: true }
}

fn add(offer: Offer, count: u32) -> BasketCommand {
    BasketCommand::AddItem { offer, quantity: pieces(count) }
}

fn remove(product: u32, count: u32) -> BasketCommand {
    BasketCommand::RemoveItem { product_id: id(product), quantity: pieces(count) }
}

fn tender() -> Tender {
    Tender { payment_id: id(PAYMENT), customer_id: id(ADA), authorized: true }
}

fn check_out(offers: Vec<Offer>) -> BasketCommand {
    BasketCommand::Checkout { tender: tender(), offers, accept_price_changes: false }
}

fn check_out_at_any_price(offers: Vec<Offer>) -> BasketCommand {
    BasketCommand::Checkout { tender: tender(), offers, accept_price_changes: true }
}

fn check_out_with(tender: Tender) -> BasketCommand {
    BasketCommand::Checkout { tender, offers: vec![offer(1, 999)], accept_price_changes: false }
}

fn started() -> BasketEvent {
    BasketEvent::BasketStarted { customer_id: id(ADA) }
}

fn added(item: Item) -> BasketEvent {
    BasketEvent::BasketItemAdded { item }
}

fn removed(product: u32, count: u32) -> BasketEvent {
    BasketEvent::BasketItemRemoved { product_id: id(product), quantity: pieces(count) }
}

fn checked_out(items: Vec<Item>, minor: i64) -> BasketEvent {
    BasketEvent::BasketCheckedOut {
        customer_id: id(ADA),
        payment_id: id(PAYMENT),
        items,
        total: money(minor),
    }
}

/// A basket with these lines.
fn with(items: impl IntoIterator<Item = Item>) -> Vec<BasketEvent> {
    std::iter::once(started()).chain(items.into_iter().map(added)).collect()
}

fn closed() -> [(Vec<BasketEvent>, BasketStatus); 3] {
    let basket = with([item(1, 3, 999)]);
    [
        (
            [basket.clone(), vec![checked_out(vec![item(1, 3, 999)], 2_997)]].concat(),
            BasketStatus::CheckedOut,
        ),
        ([basket.clone(), vec![BasketEvent::BasketCanceled {}]].concat(), BasketStatus::Canceled),
        ([basket, vec![BasketEvent::BasketAbandoned {}]].concat(), BasketStatus::Abandoned),
    ]
}

#[test]
fn the_states_of_a_basket() {
    let [(bought, _), (canceled, _), (abandoned, _)] = closed();
    let table = answers::<Basket>(
        &[
            ("unknown", vec![]),
            ("empty", with([])),
            ("open", with([item(1, 3, 999)])),
            ("checked out", bought),
            ("canceled", canceled),
            ("abandoned", abandoned),
        ],
        &[
            ("start", start()),
            ("add", add(offer(1, 999), 1)),
            ("remove", remove(1, 1)),
            ("check out", check_out(vec![offer(1, 999)])),
            ("cancel", BasketCommand::Cancel),
            ("abandon", BasketCommand::Abandon),
        ],
    );
    insta::assert_snapshot!(table, @r"
    start
      unknown      BasketStarted
      empty        refused: BASKET_EXISTS
      open         refused: BASKET_EXISTS
      checked out  refused: BASKET_EXISTS
      canceled     refused: BASKET_EXISTS
      abandoned    refused: BASKET_EXISTS
    add
      unknown      refused: BASKET_NOT_FOUND
      empty        BasketItemAdded
      open         BasketItemAdded
      checked out  refused: BASKET_NOT_OPEN
      canceled     refused: BASKET_NOT_OPEN
      abandoned    refused: BASKET_NOT_OPEN
    remove
      unknown      refused: BASKET_NOT_FOUND
      empty        refused: ITEM_NOT_IN_BASKET
      open         BasketItemRemoved
      checked out  refused: BASKET_NOT_OPEN
      canceled     refused: BASKET_NOT_OPEN
      abandoned    refused: BASKET_NOT_OPEN
    check out
      unknown      refused: BASKET_NOT_FOUND
      empty        refused: BASKET_EMPTY
      open         BasketCheckedOut
      checked out  refused: BASKET_NOT_OPEN
      canceled     refused: BASKET_NOT_OPEN
      abandoned    refused: BASKET_NOT_OPEN
    cancel
      unknown      refused: BASKET_NOT_FOUND
      empty        BasketCanceled
      open         BasketCanceled
      checked out  refused: BASKET_NOT_OPEN
      canceled     already done: BASKET_ALREADY_CLOSED
      abandoned    already done: BASKET_ALREADY_CLOSED
    abandon
      unknown      refused: BASKET_NOT_FOUND
      empty        BasketAbandoned
      open         BasketAbandoned
      checked out  already done: BASKET_ALREADY_CLOSED
      canceled     already done: BASKET_ALREADY_CLOSED
      abandoned    already done: BASKET_ALREADY_CLOSED
    ");
}

#[test]
fn a_customer_takes_a_basket_once() {
    given::<Basket>([]).when(start()).then([started()]);
    given::<Basket>(with([])).when(start()).then_refused(BasketError::Exists);
}

#[test]
fn a_disabled_customer_takes_no_basket() {
    given::<Basket>([])
        .when(BasketCommand::Start { customer_id: id(ADA), customer_enabled: false })
        .then_refused(BasketError::CustomerDisabled);
}

#[test]
fn an_item_is_added_as_it_is_offered() {
    given::<Basket>(with([])).when(add(offer(1, 999), 2)).then([added(item(1, 2, 999))]);
}

#[test]
fn more_of_a_product_comes_at_the_first_price_and_name() {
    let mut dearer = offer(1, 1_500);
    dearer.product_name = name("product 1, improved");
    given::<Basket>(with([item(1, 2, 999)])).when(add(dearer, 1)).then([added(item(1, 1, 999))]);

    let state = given::<Basket>(with([item(1, 2, 999), item(1, 1, 999)])).state();
    assert_eq!(state.details().unwrap().items, [item(1, 3, 999)]);
}

#[test]
fn d53_lines_stay_in_the_order_they_were_added() {
    let basket = with([item(3, 1, 1), item(1, 1, 1), item(2, 1, 1), item(1, 1, 1), item(4, 1, 1)]);
    let lines = vec![item(3, 1, 1), item(1, 2, 1), item(2, 1, 1), item(4, 1, 1)];
    let offers = (1..=4).map(|n| offer(n, 1)).collect();
    given::<Basket>(basket).when(check_out(offers)).then([checked_out(lines, 5)]);
}

#[test]
fn d51_a_line_holds_at_most_999_pieces() {
    given::<Basket>(with([])).when(add(offer(1, 1), 999)).then([added(item(1, 999, 1))]);
    given::<Basket>(with([item(1, 998, 1)])).when(add(offer(1, 1), 1)).then([added(item(1, 1, 1))]);
    given::<Basket>(with([item(1, 998, 1)]))
        .when(add(offer(1, 1), 2))
        .then_refused(BasketError::QuantityTooLarge);
}

#[test]
fn a_basket_holds_at_most_100_lines() {
    let full: Vec<_> = (1..=100).map(|n| item(n, 1, 1)).collect();
    given::<Basket>(with(full[1..].to_vec()))
        .when(add(offer(1, 1), 1))
        .then([added(item(1, 1, 1))]);
    given::<Basket>(with(full.clone())).when(add(offer(101, 1), 1)).then_refused(BasketError::Full);
    // More of what is in it needs no new line.
    given::<Basket>(with(full)).when(add(offer(7, 1), 1)).then([added(item(7, 1, 1))]);
}

#[test]
fn d65_a_total_that_cannot_be_counted_is_refused() {
    given::<Basket>(with([]))
        .when(add(offer(1, i64::MAX), 2))
        .then_refused(BasketError::TotalTooLarge);
    given::<Basket>(with([item(1, 1, i64::MAX)]))
        .when(add(offer(2, 1), 1))
        .then_refused(BasketError::TotalTooLarge);
    given::<Basket>(with([item(1, 2, 1)]))
        .when(check_out_at_any_price(vec![offer(1, i64::MAX)]))
        .then_refused(BasketError::TotalTooLarge);
}

#[test]
fn a_removed_product_is_not_added() {
    let gone = Offer { removed: true, ..offer(1, 999) };
    given::<Basket>(with([]))
        .when(add(gone, 1))
        .then_refused(BasketError::ProductRemoved { product_id: id(1) });
}

#[test]
fn d63_nothing_is_added_of_a_store_that_does_not_participate() {
    let closed = Offer { participating: false, ..offer(1, 999) };
    given::<Basket>(with([]))
        .when(add(closed, 1))
        .then_refused(BasketError::StoreNotParticipating { product_id: id(1) });
}

#[test]
fn d50_removing_two_of_three_leaves_one() {
    given::<Basket>(with([item(1, 3, 999)])).when(remove(1, 2)).then([removed(1, 2)]);
    let state = given::<Basket>([with([item(1, 3, 999)]), vec![removed(1, 2)]].concat()).state();
    assert_eq!(state.details().unwrap().items, [item(1, 1, 999)]);
}

#[test]
fn removing_all_or_more_takes_the_line_out() {
    for count in [3, 4, MAX_QUANTITY] {
        given::<Basket>(with([item(1, 3, 999)])).when(remove(1, count)).then([removed(1, 3)]);
    }
    let state = given::<Basket>([with([item(1, 3, 999)]), vec![removed(1, 3)]].concat()).state();
    assert_eq!(state.details().unwrap().items, []);
}

#[test]
fn what_is_not_in_the_basket_is_not_taken_out() {
    given::<Basket>(with([item(1, 3, 999)]))
        .when(remove(2, 1))
        .then_refused(BasketError::ItemNotInBasket);
    given::<Basket>([with([item(1, 3, 999)]), vec![removed(1, 3)]].concat())
        .when(remove(1, 1))
        .then_refused(BasketError::ItemNotInBasket);
}

// The command carries no offer, so nothing about the catalog can stand in its
// way; and with the line gone the checkout goes through.
#[test]
fn d52_a_delisted_product_can_be_taken_out() {
    let basket = with([item(1, 1, 999), item(2, 1, 500)]);
    let offers = vec![Offer { removed: true, ..offer(1, 999) }, offer(2, 500)];
    given::<Basket>(basket.clone())
        .when(check_out(offers.clone()))
        .then_refused(BasketError::ProductRemoved { product_id: id(1) });
    given::<Basket>(basket.clone()).when(remove(1, 1)).then([removed(1, 1)]);
    given::<Basket>([basket, vec![removed(1, 1)]].concat())
        .when(check_out(offers))
        .then([checked_out(vec![item(2, 1, 500)], 500)]);
}

#[test]
fn a_basket_is_checked_out_with_all_that_is_in_it() {
    let lines = vec![item(2, 3, 999), item(1, 1, 500)];
    given::<Basket>(with(lines.clone()))
        .when(check_out(vec![offer(1, 500), offer(2, 999)]))
        .then([checked_out(lines.clone(), 3_497)]);

    let state =
        given::<Basket>([with(lines.clone()), vec![checked_out(lines.clone(), 3_497)]].concat())
            .state();
    assert_eq!(state.status(), Some(BasketStatus::CheckedOut));
    assert_eq!(state.payment_id(), Some(id(PAYMENT)));
    assert_eq!(state.details().unwrap().items, lines);
}

#[test]
fn an_empty_basket_is_not_checked_out() {
    given::<Basket>(with([])).when(check_out(vec![])).then_refused(BasketError::Empty);
}

#[test]
fn d55_a_basket_is_not_paid_with_the_money_of_another_customer() {
    given::<Basket>(with([item(1, 1, 999)]))
        .when(check_out_with(Tender { customer_id: id(BOB), ..tender() }))
        .then_refused(BasketError::PaymentOfAnotherCustomer);
}

#[test]
fn a_basket_is_paid_with_money_that_is_set_aside() {
    given::<Basket>(with([item(1, 1, 999)]))
        .when(check_out_with(Tender { authorized: false, ..tender() }))
        .then_refused(BasketError::PaymentNotAuthorized);
}

#[test]
fn a_product_that_is_not_offered_any_more_stops_the_checkout() {
    let gone = BasketError::ProductRemoved { product_id: id(1) };
    let basket = with([item(1, 1, 999)]);
    given::<Basket>(basket.clone())
        .when(check_out(vec![Offer { removed: true, ..offer(1, 999) }]))
        .then_refused(gone.clone());
    // Also when nobody could say what it is offered at.
    given::<Basket>(basket).when(check_out_at_any_price(vec![])).then_refused(gone);
}

#[test]
fn d63_a_store_that_stopped_participating_stops_the_checkout() {
    given::<Basket>(with([item(1, 1, 999)]))
        .when(check_out(vec![Offer { participating: false, ..offer(1, 999) }]))
        .then_refused(BasketError::StoreNotParticipating { product_id: id(1) });
}

#[test]
fn d53_changed_prices_stop_the_checkout() {
    given::<Basket>(with([item(1, 1, 999), item(2, 1, 500), item(3, 1, 100)]))
        .when(check_out(vec![offer(1, 1_099), offer(2, 500), offer(3, 50)]))
        .then_refused(BasketError::PriceChanged {
            changes: vec![
                PriceChange { product_id: id(1), old: money(999), new: money(1_099) },
                PriceChange { product_id: id(3), old: money(100), new: money(50) },
            ],
        });
}

#[test]
fn a_refusal_says_which_prices_changed() {
    let refusal = BasketError::PriceChanged {
        changes: vec![PriceChange { product_id: id(1), old: money(999), new: money(1_099) }],
    };
    let product_id: ProductId = id(1);
    assert_eq!(
        refusal.details(),
        [[
            ("productId", product_id.to_string()),
            ("old", "9.99".to_owned()),
            ("new", "10.99".to_owned()),
        ]]
    );
    assert!(BasketError::Empty.details().is_empty());
}

#[test]
fn d53_changed_prices_hold_once_they_are_accepted() {
    given::<Basket>(with([item(1, 2, 999), item(2, 1, 500)]))
        .when(check_out_at_any_price(vec![offer(1, 1_099), offer(2, 500)]))
        .then([checked_out(vec![item(1, 2, 1_099), item(2, 1, 500)], 2_698)]);
}

#[test]
fn a_closed_basket_stays_as_it_is() {
    for (history, status) in closed() {
        for command in [add(offer(1, 999), 1), remove(1, 1), check_out(vec![offer(1, 999)])] {
            given::<Basket>(history.clone())
                .when(command)
                .then_refused(BasketError::NotOpen(status));
        }
        given::<Basket>(history)
            .when(BasketCommand::Abandon)
            .then_refused(BasketError::AlreadyClosed(status));
    }
}

#[test]
fn an_open_basket_is_put_back_or_cleared_away() {
    given::<Basket>(with([])).when(BasketCommand::Cancel).then([BasketEvent::BasketCanceled {}]);
    given::<Basket>(with([item(1, 1, 1)]))
        .when(BasketCommand::Abandon)
        .then([BasketEvent::BasketAbandoned {}]);
}

#[test]
fn what_was_bought_is_not_put_back() {
    let [(bought, _), (canceled, _), (abandoned, _)] = closed();
    given::<Basket>(bought)
        .when(BasketCommand::Cancel)
        .then_refused(BasketError::NotOpen(BasketStatus::CheckedOut));
    given::<Basket>(canceled)
        .when(BasketCommand::Cancel)
        .then_refused(BasketError::AlreadyClosed(BasketStatus::Canceled));
    given::<Basket>(abandoned)
        .when(BasketCommand::Cancel)
        .then_refused(BasketError::AlreadyClosed(BasketStatus::Abandoned));
}

#[test]
fn d44_a_basket_that_nobody_took_does_nothing() {
    for command in [
        add(offer(1, 999), 1),
        remove(1, 1),
        check_out(vec![offer(1, 999)]),
        BasketCommand::Cancel,
        BasketCommand::Abandon,
    ] {
        given::<Basket>([]).when(command).then_refused(BasketError::NotFound);
    }
}

/// Something a customer might do with seven products, now and then at prices
/// that hardly fit.
fn doings() -> impl Strategy<Value = BasketCommand> {
    let price = prop_oneof![8 => 0..2_000_i64, 1 => Just(i64::MAX / 999), 1 => Just(i64::MAX)];
    let offers =
        (1..8_u32, price, any::<bool>(), 0..10_u8).prop_map(|(n, price, is_open, luck)| Offer {
            removed: luck == 0,
            participating: is_open || luck > 1,
            ..offer(n, price)
        });
    let count = prop_oneof![1..5_u32, 1..=MAX_QUANTITY];
    let bought = proptest::collection::vec(0..2_000_i64, 7)
        .prop_map(|prices| (1..).zip(prices).map(|(n, price)| offer(n, price)).collect::<Vec<_>>());
    prop_oneof![
        1 => Just(start()),
        20 => (offers, count.clone()).prop_map(|(offer, count)| add(offer, count)),
        10 => (1..8_u32, count).prop_map(|(n, count)| remove(n, count)),
        1 => bought.prop_map(check_out_at_any_price),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_basket_costs_the_sum_of_its_lines(doings in proptest::collection::vec(doings(), 0..60)) {
        let doings = std::iter::once(start()).chain(doings).collect();
        for state in ask_in_turn::<Basket>(doings)? {
            let Some(basket) = state.details() else { continue };
            prop_assert!(basket.items.len() <= MAX_LINES);
            prop_assert!(basket.items.iter().all(|line| (1..=999).contains(&line.quantity.get())));

            let mut products: Vec<_> = basket.items.iter().map(|line| line.product_id).collect();
            products.sort();
            products.dedup();
            prop_assert_eq!(products.len(), basket.items.len(), "one line a product");

            // Counted in wider numbers, which cannot wrap.
            let sum: i128 = basket
                .items
                .iter()
                .map(|line| i128::from(line.price.minor()) * i128::from(line.quantity.get()))
                .sum();
            let total = basket.total().map(Money::minor).map(i128::from);
            prop_assert_eq!(total, Ok(sum));
        }
    }

    #[test]
    fn a_checkout_takes_everything_at_the_prices_of_the_moment(
        counts in proptest::collection::vec(1..=MAX_QUANTITY, 1..20),
        price in 0..1_000_000_i64,
    ) {
        let lines: Vec<_> = (1..).zip(counts).map(|(n, count)| item(n, count, 1)).collect();
        let offers: Vec<_> = lines.iter().map(|line| offer_of(line, price)).collect();
        let basket = given::<Basket>(with(lines.clone())).state();
        let events = basket.decide(check_out_at_any_price(offers)).unwrap();
        let [BasketEvent::BasketCheckedOut { items, total: agreed, .. }] = events.as_slice() else {
            panic!("not checked out: {events:?}");
        };
        prop_assert_eq!(total(items), Ok(*agreed));
        prop_assert_eq!(items.len(), lines.len());
        for (bought, line) in items.iter().zip(&lines) {
            prop_assert_eq!(bought, &Item { price: money(price), ..line.clone() });
        }
    }

    #[test]
    fn facts_out_of_place_are_taken_as_they_are(events in any_order(
        closed().into_iter()
            .flat_map(|(history, _)| history)
            .chain([removed(1, 2), removed(7, 1)])
            .collect(),
    )) {
        let known = given::<Basket>(events.clone()).state().status().is_some();
        prop_assert_eq!(known, events.contains(&started()));
    }
}

fn offer_of(line: &Item, minor: i64) -> Offer {
    Offer { product_id: line.product_id, ..offer(1, minor) }
}
