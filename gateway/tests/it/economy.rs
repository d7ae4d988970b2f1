//! What answers cost: however long a list is, what hangs on its items is read
//! with as many statements as for two of them.

use futures_util::future::join_all;
use mallbots_domain::id::{AnyId, BotId, DeadLetterId, EntityId};
use serde_json::{Value, json};

use crate::support::{Line, Mall, Shopper, new_id};

/// How often a query may be asked until it is seen alone: what runs beside it
/// counts too, and what is asked for at one moment may be read at two.
const ROUNDS: usize = 60;

/// How many customers there are, each with a store, a product, an order, a bot.
const MANY: usize = 20;

/// A mall that logs each statement it sends to its databases.
async fn outspoken_mall() -> Mall {
    Mall::open_with(&[("MALLBOTS_LOG", "error,sqlx::query=trace"), ("MALLBOTS_LOG_FORMAT", "json")])
        .await
}

/// How many statements were logged so far.
fn logged(mall: &Mall) -> usize {
    mall.log().lines().filter(|line| line.contains(r#""target":"sqlx::query""#)).count()
}

/// The same, once nothing more is on its way to the log.
async fn settled(mall: &Mall) -> usize {
    let mut before = logged(mall);
    let mut quiet = 0;
    while quiet < 3 {
        mall.ask("{ __typename }", json!({})).await.succeeds();
        let now = logged(mall);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    before
}

/// That a query takes at most so many statements.
async fn takes_at_most(mall: &Mall, most: usize, document: &str, variables: &Value) {
    let mut counts = Vec::new();
    let mut before = settled(mall).await;
    for _ in 0..ROUNDS {
        mall.ask(document, variables.clone()).await.succeeds();
        let after = settled(mall).await;
        let count = after - before;
        if count <= most {
            return;
        }
        counts.push(count);
        before = after;
    }
    panic!("more than {most} statements: {counts:?}: {document}");
}

/// An order at the depot, of a customer, a store and a bot of its own.
async fn busy_customer(mall: &Mall, number: usize) -> (Shopper, BotId) {
    let store = mall.given_a_store(&format!("Store {number}")).await;
    let product = mall.given_a_product(store, &format!("Product {number}"), "9.99").await;
    let customer = mall.given_a_customer(&format!("Customer {number}")).await;
    let line = Line { store, product, quantity: 1 };
    let shopper = mall.given_a_shopper_with(customer, &[line], "9.99").await;
    let bot = mall.given_an_idle_bot(&format!("Bot {number}")).await;
    mall.given_it_is_approved(&shopper).await;
    mall.given("assignShoppingList", json!({ "id": shopper.list(), "botId": bot })).await;
    mall.given("startShopping", json!({ "id": shopper.list() })).await;
    mall.given_all_is_picked(&shopper).await;
    // Some bots are left at work, so that they have a list.
    if number.is_multiple_of(2) {
        mall.given("completeShoppingList", json!({ "id": shopper.list() })).await;
        let billed = |order: &Value| order["invoice"].is_object();
        mall.until(shopper.order(), "the invoice", billed).await;
        mall.then_the_customer_was_told(shopper.order(), &["ORDER_READY"]).await;
    }
    (shopper, bot)
}

#[tokio::test]
async fn long_lists_take_no_more_statements_than_short_ones() {
    let mall = outspoken_mall().await;
    let everybody = join_all((0..MANY).map(|number| busy_customer(&mall, number))).await;
    assert!(logged(&mall) > MANY, "the statements are not logged");

    // One statement for each thing that hangs on the items, however many they are.
    for (most, document) in [
        (
            15,
            "query($first: Int!) { orders(first: $first) { nodes {
                id status items { productName }
                customer { id name } payment { id status customer { id } order { id } }
                invoice { id amount { amount } order { id } }
                saga { id steps { name state } order { id } }
                shoppingList { id bot { id shoppingList { id } } stops { store { id name } } }
                timeline(first: 5) { nodes { title order { id } } } } } }",
        ),
        (
            3,
            "query($first: Int!) { stores(first: $first) { nodes { id
                products(first: 5) { nodes { id store { id name } } } } } }",
        ),
        (
            7,
            "query($first: Int!) { customers(first: $first) { nodes { id
                orders(first: 5) { nodes { id customer { id } payment { id } } }
                notifications(first: 5) { nodes { id order { id } customer { id } } } } } }",
        ),
        (2, "query($first: Int!) { products(first: $first) { nodes { id store { id } } } }"),
        (
            5,
            "query($first: Int!) { shoppingLists(first: $first) { nodes { id
                order { id customer { id } } bot { id } stops { store { id } } } } }",
        ),
        (
            4,
            "query($first: Int!) { bots(first: $first) { nodes { id
                shoppingList { id order { id customer { id } } } } } }",
        ),
        (
            3,
            "query($first: Int!) { sagas(first: $first) { nodes { id state
                order { id customer { id } } } } }",
        ),
    ] {
        let answer = mall.ask(document, json!({ "first": MANY })).await.succeeds();
        let lists = answer.as_object().unwrap().values();
        let lengths: Vec<_> = lists.map(|list| list["nodes"].as_array().unwrap().len()).collect();
        assert_eq!(lengths, [MANY], "{document}");
        for first in [2, MANY] {
            takes_at_most(&mall, most, document, &json!({ "first": first })).await;
        }
    }

    // What is asked for by its id, too: one statement for each kind of thing.
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id
        ... on Order { customer { id } payment { id } } ... on Bot { shoppingList { id } }
        ... on Customer { name } } }";
    let ids = everybody
        .iter()
        .flat_map(|(shopper, bot)| [shopper.order().any(), bot.any(), shopper.customer.any()]);
    let ids = json!({ "ids": ids.collect::<Vec<_>>() });
    takes_at_most(&mall, 6, document, &ids).await;
}

/// However many things a router asks for, and of whom there are none.
#[tokio::test]
async fn a_hundred_representations_take_one_statement_for_each_kind_of_thing() {
    let mall = outspoken_mall().await;
    let customers = join_all((0..50).map(async |number| {
        let customer = mall.given_a_customer(&format!("Customer {number}")).await;
        (customer, mall.given_a_basket(customer).await)
    }))
    .await;
    let document = "query($r: [_Any!]!) { _entities(representations: $r) {
        ... on Customer { name } ... on Basket { status } ... on DeadLetter { reason } } }";
    let of = |ids: Vec<AnyId>, name: &str| {
        ids.into_iter().map(|id| json!({ "__typename": name, "id": id })).collect::<Vec<_>>()
    };
    let both = [
        of(customers.iter().map(|(customer, _)| customer.any()).collect(), "Customer"),
        of(customers.iter().map(|(_, basket)| basket.any()).collect(), "Basket"),
    ]
    .concat();
    let answer = mall.ask(document, json!({ "r": both })).await.succeeds();
    let found = answer["_entities"].as_array().unwrap();
    assert_eq!(found.len(), 100);
    assert!(found[..50].iter().all(|it| it["name"].is_string()), "{found:?}");
    assert!(found[50..].iter().all(|it| it["status"] == "OPEN"), "{found:?}");
    takes_at_most(&mall, 2, document, &json!({ "r": both })).await;
    // A dead letter may be in either of two places.
    let letters = (0..100).map(|_| new_id::<DeadLetterId>().any()).collect();
    let variables = json!({ "r": of(letters, "DeadLetter") });
    takes_at_most(&mall, 2, document, &variables).await;
}

#[tokio::test]
async fn a_full_basket_takes_no_more_statements_than_an_empty_one() {
    let mall = outspoken_mall().await;
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;
    for number in 0..MANY {
        let store = mall.given_a_store(&format!("Store {number}")).await;
        let product = mall.given_a_product(store, &format!("Product {number}"), "9.99").await;
        mall.given_in_the_basket(basket, 1, product).await;
    }
    let document = "query($id: ID!) { basket(id: $id) { id customer { id }
        items { product { id store { id products(first: 2) { nodes { id } } } } } } }";
    takes_at_most(&mall, 5, document, &json!({ "id": basket })).await;
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_read() {
    let mall = outspoken_mall().await;
    let shopper = mall.given_an_approved_order().await;
    let cheap = "query($id: ID!) { order(id: $id) { id status total { amount } } }";
    takes_at_most(&mall, 1, cheap, &json!({ "id": shopper.order() })).await;
    takes_at_most(&mall, 0, "{ __typename }", &json!({})).await;
}
