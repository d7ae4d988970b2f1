use proptest::prelude::{
    ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::{
    ShoppingList, ShoppingListCommand, ShoppingListDetails, ShoppingListError, ShoppingListEvent,
    ShoppingListStatus, Shortage, Stop, StopItem,
};
use crate::{
    baskets::Item,
    testing::{given, id, item, name, pieces, reason},
    tests::{answers, any_order, ask_in_turn},
};

const ORDER: u32 = 1;
const BOT: u32 = 2;

/// A line of another store than the first.
fn item_of(store: u32, n: u32, count: u32) -> Item {
    Item {
        store_id: id(store),
        store_name: name(&format!("store {store}")),
        store_location: name(&format!("level {store}")),
        ..item(n, count, 1)
    }
}

fn stop(store: u32, items: Vec<StopItem>) -> Stop {
    Stop {
        store_id: id(store),
        store_name: name(&format!("store {store}")),
        location: name(&format!("level {store}")),
        items,
    }
}

fn wanted(n: u32, quantity: u32) -> StopItem {
    StopItem { product_id: id(n), product_name: name(&format!("product {n}")), quantity, picked: 0 }
}

fn create(items: Vec<Item>) -> ShoppingListCommand {
    ShoppingListCommand::Create { order_id: id(ORDER), items }
}

fn assign() -> ShoppingListCommand {
    ShoppingListCommand::Assign { bot_id: id(BOT) }
}

fn pick(store: u32, n: u32, count: u32) -> ShoppingListCommand {
    ShoppingListCommand::Pick { store_id: id(store), product_id: id(n), quantity: pieces(count) }
}

fn complete(short: &[u32]) -> ShoppingListCommand {
    ShoppingListCommand::Complete { shortages: shortages(short) }
}

fn shortages(short: &[u32]) -> Vec<Shortage> {
    let short = short.iter();
    short.map(|n| Shortage { product_id: id(*n), reason: reason("sold out") }).collect()
}

fn was_created(stops: Vec<Stop>) -> ShoppingListEvent {
    ShoppingListEvent::ShoppingListCreated { order_id: id(ORDER), stops }
}

fn was_picked(store: u32, n: u32, count: u32) -> ShoppingListEvent {
    ShoppingListEvent::ItemPicked {
        store_id: id(store),
        product_id: id(n),
        quantity: pieces(count),
    }
}

fn was_completed(short: &[u32]) -> ShoppingListEvent {
    ShoppingListEvent::ShoppingListCompleted {
        order_id: id(ORDER),
        bot_id: id(BOT),
        shortages: shortages(short),
    }
}

fn was_started() -> ShoppingListEvent {
    ShoppingListEvent::ShoppingStarted { order_id: id(ORDER), bot_id: id(BOT) }
}

/// Three of product 1 and one of product 2 at store 1, two of product 3 at store 2.
fn stops() -> Vec<Stop> {
    vec![stop(1, vec![wanted(1, 3), wanted(2, 1)]), stop(2, vec![wanted(3, 2)])]
}

fn pending() -> Vec<ShoppingListEvent> {
    vec![was_created(stops())]
}

fn available() -> Vec<ShoppingListEvent> {
    [pending(), vec![ShoppingListEvent::ShoppingListInitiated {}]].concat()
}

fn assigned() -> Vec<ShoppingListEvent> {
    [available(), vec![ShoppingListEvent::ShoppingListAssigned { bot_id: id(BOT) }]].concat()
}

fn active() -> Vec<ShoppingListEvent> {
    [assigned(), vec![was_started()]].concat()
}

fn all_picked() -> Vec<ShoppingListEvent> {
    [active(), vec![was_picked(1, 1, 3), was_picked(1, 2, 1), was_picked(2, 3, 2)]].concat()
}

fn completed() -> Vec<ShoppingListEvent> {
    [all_picked(), vec![was_completed(&[])]].concat()
}

fn canceled() -> Vec<ShoppingListEvent> {
    [pending(), vec![ShoppingListEvent::ShoppingListCanceled { bot_id: None }]].concat()
}

#[test]
fn the_states_of_a_shopping_list() {
    let table = answers::<ShoppingList>(
        &[
            ("unknown", vec![]),
            ("pending", pending()),
            ("available", available()),
            ("assigned", assigned()),
            ("active", active()),
            ("all picked", all_picked()),
            ("completed", completed()),
            ("canceled", canceled()),
        ],
        &[
            ("create", create(vec![item(1, 1, 1)])),
            ("initiate", ShoppingListCommand::Initiate),
            ("assign", assign()),
            ("start", ShoppingListCommand::Start),
            ("pick", pick(1, 1, 1)),
            ("complete", complete(&[])),
            ("complete short of all", complete(&[1, 2, 3])),
            ("cancel", ShoppingListCommand::Cancel),
        ],
    );
    insta::assert_snapshot!(table, @r"
    create
      unknown      ShoppingListCreated
      pending      refused: SHOPPING_LIST_EXISTS
      available    refused: SHOPPING_LIST_EXISTS
      assigned     refused: SHOPPING_LIST_EXISTS
      active       refused: SHOPPING_LIST_EXISTS
      all picked   refused: SHOPPING_LIST_EXISTS
      completed    refused: SHOPPING_LIST_EXISTS
      canceled     refused: SHOPPING_LIST_EXISTS
    initiate
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      ShoppingListInitiated
      available    already done: SHOPPING_LIST_ALREADY_AVAILABLE
      assigned     already done: SHOPPING_LIST_ALREADY_ASSIGNED
      active       already done: SHOPPING_LIST_ALREADY_ACTIVE
      all picked   already done: SHOPPING_LIST_ALREADY_ACTIVE
      completed    already done: SHOPPING_LIST_ALREADY_COMPLETED
      canceled     refused: SHOPPING_LIST_CANCELED
    assign
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      refused: SHOPPING_LIST_NOT_AVAILABLE
      available    ShoppingListAssigned
      assigned     refused: SHOPPING_LIST_NOT_AVAILABLE
      active       refused: SHOPPING_LIST_NOT_AVAILABLE
      all picked   refused: SHOPPING_LIST_NOT_AVAILABLE
      completed    refused: SHOPPING_LIST_NOT_AVAILABLE
      canceled     refused: SHOPPING_LIST_NOT_AVAILABLE
    start
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      refused: SHOPPING_LIST_NOT_ASSIGNED
      available    refused: SHOPPING_LIST_NOT_ASSIGNED
      assigned     ShoppingStarted
      active       already done: SHOPPING_LIST_ALREADY_ACTIVE
      all picked   already done: SHOPPING_LIST_ALREADY_ACTIVE
      completed    refused: SHOPPING_LIST_NOT_ASSIGNED
      canceled     refused: SHOPPING_LIST_NOT_ASSIGNED
    pick
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      refused: SHOPPING_LIST_NOT_ACTIVE
      available    refused: SHOPPING_LIST_NOT_ACTIVE
      assigned     refused: SHOPPING_LIST_NOT_ACTIVE
      active       ItemPicked
      all picked   refused: PICKED_TOO_MANY
      completed    refused: SHOPPING_LIST_NOT_ACTIVE
      canceled     refused: SHOPPING_LIST_NOT_ACTIVE
    complete
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      refused: SHOPPING_LIST_NOT_ACTIVE
      available    refused: SHOPPING_LIST_NOT_ACTIVE
      assigned     refused: SHOPPING_LIST_NOT_ACTIVE
      active       refused: NOT_ALL_PICKED
      all picked   ShoppingListCompleted
      completed    already done: SHOPPING_LIST_ALREADY_COMPLETED
      canceled     refused: SHOPPING_LIST_NOT_ACTIVE
    complete short of all
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      refused: SHOPPING_LIST_NOT_ACTIVE
      available    refused: SHOPPING_LIST_NOT_ACTIVE
      assigned     refused: SHOPPING_LIST_NOT_ACTIVE
      active       ShoppingListCompleted
      all picked   refused: PRODUCT_NOT_SHORT
      completed    already done: SHOPPING_LIST_ALREADY_COMPLETED
      canceled     refused: SHOPPING_LIST_NOT_ACTIVE
    cancel
      unknown      refused: SHOPPING_LIST_NOT_FOUND
      pending      ShoppingListCanceled
      available    ShoppingListCanceled
      assigned     ShoppingListCanceled
      active       ShoppingListCanceled
      all picked   ShoppingListCanceled
      completed    already done: SHOPPING_LIST_ALREADY_COMPLETED
      canceled     already done: SHOPPING_LIST_ALREADY_CANCELED
    ");
}

#[test]
fn stores_are_visited_in_the_order_they_are_met() {
    given::<ShoppingList>([])
        .when(create(vec![item_of(2, 3, 2), item_of(1, 1, 3), item_of(2, 4, 5), item_of(1, 2, 1)]))
        .then([was_created(vec![
            stop(2, vec![wanted(3, 2), wanted(4, 5)]),
            stop(1, vec![wanted(1, 3), wanted(2, 1)]),
        ])]);
}

#[test]
fn d61_lines_of_one_product_add_up() {
    given::<ShoppingList>([])
        .when(create(vec![item_of(1, 1, 1), item_of(1, 2, 4), item_of(1, 1, 5)]))
        .then([was_created(vec![stop(1, vec![wanted(1, 6), wanted(2, 4)])])]);
    // Beyond what one line of a basket holds.
    given::<ShoppingList>([])
        .when(create(vec![item_of(1, 1, 999), item_of(1, 1, 999)]))
        .then([was_created(vec![stop(1, vec![wanted(1, 1_998)])])]);
}

#[test]
fn a_list_of_nothing_is_not_written() {
    given::<ShoppingList>([]).when(create(vec![])).then_refused(ShoppingListError::Empty);
}

#[test]
fn a_list_is_written_once() {
    for history in [pending(), completed(), canceled()] {
        given::<ShoppingList>(history)
            .when(create(vec![item(1, 1, 1)]))
            .then_refused(ShoppingListError::Exists);
    }
}

#[test]
fn d2_a_list_goes_all_the_way_to_completed() {
    given::<ShoppingList>(pending())
        .when(ShoppingListCommand::Initiate)
        .then([ShoppingListEvent::ShoppingListInitiated {}]);
    let state = given::<ShoppingList>(available()).state();
    assert_eq!(state.status(), Some(ShoppingListStatus::Available));
    given::<ShoppingList>(available())
        .when(assign())
        .then([ShoppingListEvent::ShoppingListAssigned { bot_id: id(BOT) }]);
    given::<ShoppingList>(assigned()).when(ShoppingListCommand::Start).then([was_started()]);
    given::<ShoppingList>(active()).when(pick(1, 1, 3)).then([was_picked(1, 1, 3)]);
    given::<ShoppingList>(all_picked()).when(complete(&[])).then([was_completed(&[])]);
    let state = given::<ShoppingList>(completed()).state();
    assert_eq!(state.status(), Some(ShoppingListStatus::Completed));
    assert_eq!(state.bot_id(), Some(id(BOT)));
}

#[test]
fn initiating_twice_adds_nothing() {
    for (history, status) in [
        (available(), ShoppingListStatus::Available),
        (assigned(), ShoppingListStatus::Assigned),
        (active(), ShoppingListStatus::Active),
        (completed(), ShoppingListStatus::Completed),
    ] {
        given::<ShoppingList>(history)
            .when(ShoppingListCommand::Initiate)
            .then_refused(ShoppingListError::Already(status));
    }
}

#[test]
fn a_canceled_list_is_not_taken_up_again() {
    given::<ShoppingList>(canceled())
        .when(ShoppingListCommand::Initiate)
        .then_refused(ShoppingListError::Canceled);
}

#[test]
fn d62_one_bot_takes_a_list_that_waits_for_one() {
    for (history, status) in [
        (pending(), ShoppingListStatus::Pending),
        (assigned(), ShoppingListStatus::Assigned),
        (active(), ShoppingListStatus::Active),
        (completed(), ShoppingListStatus::Completed),
        (canceled(), ShoppingListStatus::Canceled),
    ] {
        given::<ShoppingList>(history)
            .when(assign())
            .then_refused(ShoppingListError::NotAvailable(status));
    }
}

#[test]
fn picking_adds_up_to_what_is_on_the_list() {
    let some = [active(), vec![was_picked(1, 1, 2)]].concat();
    given::<ShoppingList>(some.clone()).when(pick(1, 1, 1)).then([was_picked(1, 1, 1)]);
    given::<ShoppingList>(some.clone())
        .when(pick(1, 1, 2))
        .then_refused(ShoppingListError::PickedTooMany);

    let state = given::<ShoppingList>(some).state();
    let item = &state.details().unwrap().stops[0].items[0];
    assert_eq!((item.picked, item.missing()), (2, 1));
}

#[test]
fn only_what_is_on_the_list_is_picked_and_only_where_it_is() {
    for (store, n) in [(1, 9), (9, 1), (2, 1), (1, 3)] {
        given::<ShoppingList>(active())
            .when(pick(store, n, 1))
            .then_refused(ShoppingListError::ItemNotOnList);
    }
}

#[test]
fn what_is_missing_is_explained() {
    let some = [active(), vec![was_picked(1, 1, 2), was_picked(1, 2, 1)]].concat();
    given::<ShoppingList>(some.clone())
        .when(complete(&[]))
        .then_refused(ShoppingListError::NotAllPicked { product_ids: vec![id(1), id(3)] });
    given::<ShoppingList>(some.clone())
        .when(complete(&[3]))
        .then_refused(ShoppingListError::NotAllPicked { product_ids: vec![id(1)] });
    given::<ShoppingList>(some).when(complete(&[3, 1])).then([was_completed(&[3, 1])]);
}

#[test]
fn only_what_is_missing_is_explained_and_only_once() {
    let some = [active(), vec![was_picked(1, 1, 3), was_picked(1, 2, 1)]].concat();
    for (short, not_short) in [(&[3, 9][..], 9), (&[3, 1], 1), (&[3, 3], 3)] {
        given::<ShoppingList>(some.clone())
            .when(complete(short))
            .then_refused(ShoppingListError::NotShort { product_id: id(not_short) });
    }
}

#[test]
fn a_canceled_list_says_which_bot_is_free_again() {
    for (history, bot_id) in [
        (pending(), None),
        (available(), None),
        (assigned(), Some(id(BOT))),
        (active(), Some(id(BOT))),
        (all_picked(), Some(id(BOT))),
    ] {
        let event = ShoppingListEvent::ShoppingListCanceled { bot_id };
        given::<ShoppingList>(history.clone())
            .when(ShoppingListCommand::Cancel)
            .then([event.clone()]);
        let state = given::<ShoppingList>([history, vec![event]].concat()).state();
        assert_eq!(state.status(), Some(ShoppingListStatus::Canceled));
        assert_eq!(state.bot_id(), bot_id);
    }
}

#[test]
fn a_list_that_has_ended_is_not_canceled() {
    for (history, status) in
        [(completed(), ShoppingListStatus::Completed), (canceled(), ShoppingListStatus::Canceled)]
    {
        given::<ShoppingList>(history)
            .when(ShoppingListCommand::Cancel)
            .then_refused(ShoppingListError::Already(status));
    }
}

#[test]
fn d44_a_list_that_was_never_written_does_nothing() {
    for command in [
        ShoppingListCommand::Initiate,
        assign(),
        ShoppingListCommand::Start,
        pick(1, 1, 1),
        complete(&[]),
        ShoppingListCommand::Cancel,
    ] {
        given::<ShoppingList>([]).when(command).then_refused(ShoppingListError::NotFound);
    }
}

/// Something that might happen to a list of seven products, mostly picking.
fn doings() -> impl Strategy<Value = ShoppingListCommand> {
    prop_oneof![
        40 => (1..8_u32, 1..4_u32).prop_map(|(n, count)| pick(store_of(n), n, count)),
        5 => (1..4_u32, 1..8_u32, 1..4_u32).prop_map(|(store, n, count)| pick(store, n, count)),
        1 => proptest::sample::subsequence(vec![1, 2, 3, 4, 5, 6, 7], 0..=7)
            .prop_map(|short| complete(&short)),
    ]
}

fn lines() -> impl Strategy<Value = Vec<Item>> {
    let line = (1..8_u32, 1..6_u32).prop_map(|(n, count)| item_of(store_of(n), n, count));
    proptest::collection::vec(line, 1..10)
}

fn store_of(product: u32) -> u32 {
    1 + product % 3
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_more_is_picked_than_was_ordered(
        lines in lines(),
        doings in proptest::collection::vec(doings(), 0..60),
        complete_at_last in proptest::bool::ANY,
    ) {
        let ordered: u32 = lines.iter().map(|line| line.quantity.get()).sum();
        let mut commands = vec![create(lines), ShoppingListCommand::Initiate, assign()];
        commands.push(ShoppingListCommand::Start);
        commands.extend(doings);
        if complete_at_last {
            let state = ask_in_turn::<ShoppingList>(commands.clone())?.pop().unwrap_or_default();
            let missing = state.details().into_iter().flat_map(ShoppingListDetails::items);
            let missing = missing.filter(|item| item.missing() > 0);
            commands.push(ShoppingListCommand::Complete {
                shortages: missing
                    .map(|item| Shortage {
                        product_id: item.product_id,
                        reason: reason("sold out"),
                    })
                    .collect(),
            });
        }

        let states = ask_in_turn::<ShoppingList>(commands)?;
        for list in states.iter().filter_map(ShoppingList::details) {
            prop_assert!(list.items().all(|item| item.picked <= item.quantity));
            prop_assert_eq!(list.items().map(|item| item.quantity).sum::<u32>(), ordered);
        }
        let last = states.last().and_then(ShoppingList::status);
        prop_assert!(!complete_at_last || last == Some(ShoppingListStatus::Completed));
        if let Some(ShoppingList::Completed { list, shortages, .. }) = states.last() {
            for item in list.items() {
                let explained = shortages.iter().any(|short| short.product_id == item.product_id);
                prop_assert_eq!(explained, item.missing() > 0);
            }
        }
    }

    #[test]
    fn facts_out_of_place_are_taken_as_they_are(events in any_order(
        [completed(), canceled()].concat(),
    )) {
        let known = given::<ShoppingList>(events.clone()).state().status().is_some();
        prop_assert_eq!(known, events.contains(&pending()[0]));
    }
}
