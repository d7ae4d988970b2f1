//! What is refused: with a code, with the field where there is one, in words
//! that help; and without a trace in the ledger.

use futures_util::future::join_all;
use mallbots_domain::{
    depot::bot::BotStatus,
    id::{
        BasketId, BotId, CustomerId, DeadLetterId, EntityId, InvoiceId, Kind, OrderId, PaymentId,
        ProductId, SagaId, ShoppingListId, StoreId,
    },
    ordering::OrderStatus,
};
use mallbots_gateway::client::IdempotencyKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Line, Mall, Outcome, new_id, on_both_backends, position};

on_both_backends! {
    an_idempotency_key_holds_across_a_crash,
    an_idempotency_key_holds_against_a_crowd,
    a_taken_sku_is_a_conflict,
    the_same_id_with_the_same_input_is_answered_alike,
}

/// That nothing was appended between two harmless events of one's own.
struct Untouched<'a> {
    mall: &'a Mall,
    before: u64,
}

impl<'a> Untouched<'a> {
    async fn since_now(mall: &'a Mall) -> Self {
        Self { mall, before: mall.position().await }
    }

    async fn holds(self) {
        assert_eq!(self.mall.position().await, self.before + 1, "something was appended");
    }
}

/// An input with one field changed.
fn with(input: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut input = input.clone();
    input[field] = value.into();
    input
}

/// A UUID that only chance made.
fn random() -> Uuid {
    let now = Uuid::now_v7();
    uuid::Builder::from_random_bytes(now.into_bytes()).into_uuid()
}

// ---- input that is wrong whatever the state

#[tokio::test]
async fn text_that_is_not_text_is_refused() {
    let mall = Mall::open().await;
    let shopper = mall.given_an_approved_order().await;
    let (store, product) = (shopper.lines[0].store, shopper.lines[0].product);
    let untouched = Untouched::since_now(&mall).await;
    let store_input = json!({ "name": "Waldorf Books", "location": "Level 1" });
    let product_input =
        json!({ "storeId": store, "name": "Owl", "description": "", "sku": "OWL", "price": "1" });
    let customer_input = json!({ "name": "Ada", "smsNumber": "+15550100" });

    for (mutation, field, input, longest) in [
        ("createStore", "name", &store_input, 200),
        ("createStore", "location", &store_input, 200),
        ("rebrandStore", "name", &json!({ "id": store }), 200),
        ("addProduct", "name", &product_input, 200),
        ("addProduct", "sku", &product_input, 64),
        ("rebrandProduct", "name", &json!({ "id": product, "description": "" }), 200),
        ("registerCustomer", "name", &customer_input, 200),
        ("registerBot", "name", &json!({}), 200),
        ("cancelOrder", "reason", &json!({ "id": shopper.order() }), 500),
    ] {
        for blank in ["", " ", "\t\n ", "\u{3000}"] {
            let attempt = mall.when(mutation, with(input, field, blank)).await;
            attempt.is_bad_input(field).saying("cannot be blank");
        }
        let attempt = mall.when(mutation, with(input, field, "é".repeat(longest + 1))).await;
        let words = format!("cannot be longer than {longest} characters");
        attempt.is_bad_input(field).saying(&words);
        for control in ["Wal\u{0}dorf", "Wal\ndorf", "Wal\u{1b}[31mdorf", "Wal\u{7f}dorf"] {
            let attempt = mall.when(mutation, with(input, field, control)).await;
            attempt.is_bad_input(field).saying("cannot hold control characters");
        }
    }

    for (mutation, input) in [
        ("addProduct", &product_input),
        ("rebrandProduct", &json!({ "id": product, "name": "Owl" })),
    ] {
        let attempt = mall.when(mutation, with(input, "description", "x".repeat(4001))).await;
        attempt.is_bad_input("description").saying("cannot be longer than 4000 characters");
        let attempt = mall.when(mutation, with(input, "description", "be\u{7}ll")).await;
        attempt.is_bad_input("description").saying("cannot hold control characters");
    }

    for (mutation, input) in [
        ("registerCustomer", &customer_input),
        ("changeSmsNumber", &json!({ "id": shopper.customer })),
    ] {
        for number in
            ["", "5550100", "+", "+0155501000", "+1555", "+1555010012345678", "+1x5550100"]
        {
            let attempt = mall.when(mutation, with(input, "smsNumber", number)).await;
            attempt.is_bad_input("smsNumber").saying("E.164 form, such as +15550100");
        }
    }

    let shortage = json!({ "productId": product, "reason": " " });
    mall.when("completeShoppingList", json!({ "id": shopper.list(), "shortages": [shortage] }))
        .await
        .is_bad_input("shortages.reason")
        .saying("cannot be blank");
    for list in ["stores", "products", "customers"] {
        let document =
            format!("query($text: String) {{ {list}(text: $text) {{ nodes {{ id }} }} }}");
        let attempt = mall.ask(&document, json!({ "text": "x".repeat(201) })).await;
        attempt.is_bad_input("text").saying("at most 200 characters");
    }
    untouched.holds().await;
}

#[tokio::test]
async fn quantities_that_no_line_can_hold_are_refused() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let order = mall.given_an_order_in_progress(bot).await;
    let shopper = mall.given_a_shopper_with(order.customer, &order.lines, "1.00").await;
    let line = shopper.lines[0];
    let untouched = Untouched::since_now(&mall).await;
    let in_basket = json!({ "id": shopper.basket, "productId": line.product });
    let on_list = json!({ "id": order.list(), "storeId": line.store, "productId": line.product });
    for (mutation, input) in
        [("addBasketItem", &in_basket), ("removeBasketItem", &in_basket), ("pickItem", &on_list)]
    {
        for quantity in [0, -1, 1000, i32::MAX, i32::MIN] {
            let attempt = mall.when(mutation, with(input, "quantity", quantity)).await;
            attempt.is_bad_input("quantity").saying("a quantity must be from 1 to 999");
        }
        for quantity in
            [json!(2_147_483_648_i64), json!(1.5), json!("two"), json!([1]), json!(null)]
        {
            let attempt = mall.when(mutation, with(input, "quantity", quantity)).await;
            is_wrong_type(attempt);
        }
    }

    // Together they may be too many, too.
    let attempt = mall.when_adding(shopper.basket, 998, line.product).await;
    attempt
        .is_refused("FAILED_PRECONDITION")
        .because("QUANTITY_TOO_LARGE")
        .on_field("quantity")
        .saying("999");
    untouched.holds().await;
}

/// Values that the schema itself does not take.
#[track_caller]
fn is_wrong_type(attempt: Outcome) {
    let Outcome(Err(error)) = attempt else { panic!("taken: {attempt:?}") };
    let problem = error.problem().unwrap_or_else(|| panic!("{error:?}"));
    assert!(
        matches!(problem.code(), "BAD_USER_INPUT" | "GRAPHQL_VALIDATION_FAILED"),
        "{problem:?}"
    );
    assert!(problem.extensions.request_id.is_some(), "{problem:?}");
}

#[tokio::test]
async fn amounts_that_are_not_money_are_refused() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let order = mall.given_an_order_at_the_depot(bot).await;
    let line = order.lines[0];
    let untouched = Untouched::since_now(&mall).await;
    let new_product =
        json!({ "storeId": line.store, "name": "Owl", "description": "", "sku": "OWL" });
    for (mutation, field, input) in [
        ("addProduct", "price", &new_product),
        ("increaseProductPrice", "price", &json!({ "id": line.product })),
        ("decreaseProductPrice", "price", &json!({ "id": line.product })),
        ("authorizePayment", "amount", &json!({ "customerId": order.customer })),
        ("adjustInvoice", "amount", &json!({ "id": order.order().invoice() })),
    ] {
        for amount in [
            json!("-1"),
            json!("-0.01"),
            json!(-1),
            json!("1.234"),
            json!("0.001"),
            json!("1e3"),
            json!("1,00"),
            json!("$1"),
            json!(" 1"),
            json!("one"),
            json!(""),
            json!("NaN"),
            json!("99999999999999999.00"),
            json!("92233720368547758.08"),
            json!(true),
            json!(["1"]),
            json!({ "amount": "1" }),
        ] {
            is_wrong_type(mall.when(mutation, with(input, field, amount)).await);
        }
    }
    for (mutation, input) in [
        ("authorizePayment", &json!({ "customerId": order.customer })),
        ("adjustInvoice", &json!({ "id": order.order().invoice() })),
    ] {
        mall.when(mutation, with(input, "amount", "0.00"))
            .await
            .is_bad_input("amount")
            .because("AMOUNT_NOT_POSITIVE")
            .saying("must be more than zero");
    }
    untouched.holds().await;
}

#[tokio::test]
async fn totals_that_cannot_be_counted_are_refused() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let crown = mall.given_a_product(store, "Crown", "9999999999999999.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;
    let untouched = Untouched::since_now(&mall).await;
    mall.when_adding(basket, 10, crown)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("TOTAL_TOO_LARGE");
    untouched.holds().await;
    let nine = mall.when_adding(basket, 9, crown).await.succeeds();
    assert_eq!(nine["basket"]["total"]["amount"], "89999999999999999.91");
}

#[tokio::test]
async fn a_basket_holds_a_hundred_lines() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;
    for number in 0..100 {
        let product = mall.given_a_product(store, &format!("Volume {number}"), "1.00").await;
        mall.given_in_the_basket(basket, 1, product).await;
    }
    let one_more = mall.given_a_product(store, "Index", "1.00").await;
    let untouched = Untouched::since_now(&mall).await;
    mall.when_adding(basket, 1, one_more)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("BASKET_FULL")
        .saying("100 lines");
    untouched.holds().await;
}

// ---- ids

/// Every mutation with every id it takes: the field and the kind it names.
fn references() -> Vec<(&'static str, Value, &'static str, Kind)> {
    use Kind::{
        Basket, Bot, Customer, DeadLetter, Invoice, Order, Payment, Product, Saga, ShoppingList,
        Store,
    };
    let basket: BasketId = new_id();
    let payment: PaymentId = new_id();
    let product: ProductId = new_id();
    let store: StoreId = new_id();
    let list: ShoppingListId = new_id();
    let bot: BotId = new_id();
    let item = json!({ "id": basket, "productId": product, "quantity": 1 });
    let pick = json!({ "id": list, "storeId": store, "productId": product, "quantity": 1 });
    let checkout = json!({ "id": basket, "paymentId": payment });
    let assign = json!({ "id": list, "botId": bot });
    let add = json!({ "name": "Owl", "description": "", "sku": "OWL", "price": "1" });
    let brand = json!({ "name": "Owl", "description": "" });
    vec![
        ("rebrandStore", json!({ "name": "Statler Books" }), "id", Store),
        ("enableStoreParticipation", json!({}), "id", Store),
        ("disableStoreParticipation", json!({}), "id", Store),
        ("addProduct", add, "storeId", Store),
        ("rebrandProduct", brand, "id", Product),
        ("increaseProductPrice", json!({ "price": "1" }), "id", Product),
        ("decreaseProductPrice", json!({ "price": "1" }), "id", Product),
        ("removeProduct", json!({}), "id", Product),
        ("changeSmsNumber", json!({ "smsNumber": "+15550100" }), "id", Customer),
        ("enableCustomer", json!({}), "id", Customer),
        ("disableCustomer", json!({}), "id", Customer),
        ("startBasket", json!({}), "customerId", Customer),
        ("addBasketItem", item.clone(), "id", Basket),
        ("addBasketItem", item.clone(), "productId", Product),
        ("removeBasketItem", item, "id", Basket),
        ("cancelBasket", json!({}), "id", Basket),
        ("checkoutBasket", checkout.clone(), "id", Basket),
        ("checkoutBasket", checkout, "paymentId", Payment),
        ("cancelOrder", json!({ "reason": "late" }), "id", Order),
        ("authorizePayment", json!({ "amount": "1" }), "customerId", Customer),
        ("payInvoice", json!({}), "id", Invoice),
        ("adjustInvoice", json!({ "amount": "1" }), "id", Invoice),
        ("cancelInvoice", json!({}), "id", Invoice),
        ("bringBotOnline", json!({}), "id", Bot),
        ("takeBotOffline", json!({}), "id", Bot),
        ("assignShoppingList", assign.clone(), "id", ShoppingList),
        ("assignShoppingList", assign, "botId", Bot),
        ("startShopping", json!({}), "id", ShoppingList),
        ("pickItem", pick, "id", ShoppingList),
        ("completeShoppingList", json!({}), "id", ShoppingList),
        ("retrySaga", json!({}), "id", Saga),
        ("retryDeadLetter", json!({}), "id", DeadLetter),
        ("discardDeadLetter", json!({}), "id", DeadLetter),
    ]
}

/// An id of a kind that names nothing.
fn unknown(kind: Kind) -> String {
    mallbots_domain::id::AnyId { kind, uuid: Uuid::now_v7() }.to_string()
}

const NOT_IDS: [&str; 9] = [
    "",
    "1",
    "nonsense",
    "order_",
    "order_01h2xcejqtf2nbrexx3vqjhp4",
    "ORDER_01h2xcejqtf2nbrexx3vqjhp41",
    "invader_01h2xcejqtf2nbrexx3vqjhp41",
    "0188bac7-4afa-78aa-bc3b-bd1eef28d881",
    "' OR 1=1 --",
];

#[tokio::test]
async fn ids_that_name_nothing_are_refused_by_every_mutation() {
    let mall = Mall::open().await;
    let untouched = Untouched::since_now(&mall).await;
    for (mutation, input, field, kind) in references() {
        let attempt = mall.when(mutation, with(&input, field, unknown(kind))).await;
        attempt.is_refused("NOT_FOUND").saying("there is no such");
        for nonsense in NOT_IDS {
            let attempt = mall.when(mutation, with(&input, field, nonsense)).await;
            attempt.is_bad_input(field).saying("not an id of the mall");
        }
        let other = if kind == Kind::Store { Kind::Order } else { Kind::Store };
        let attempt = mall.when(mutation, with(&input, field, unknown(other))).await;
        let words = format!("not an id of a {}: it names a {}", kind.prefix(), other.prefix());
        attempt.is_bad_input(field).saying(&words);
        is_wrong_type(mall.when(mutation, with(&input, field, json!(null))).await);
        is_wrong_type(mall.when(mutation, with(&input, field, json!({ "id": 1 }))).await);
    }
    mall.when("rebuildProjection", json!({ "name": "gossip" })).await.is_refused("NOT_FOUND");
    untouched.holds().await;
}

#[tokio::test]
async fn ids_that_name_nothing_are_refused_by_every_query() {
    let mall = Mall::open().await;
    for (field, kind) in [
        ("store", Kind::Store),
        ("product", Kind::Product),
        ("customer", Kind::Customer),
        ("basket", Kind::Basket),
        ("order", Kind::Order),
        ("payment", Kind::Payment),
        ("invoice", Kind::Invoice),
        ("shoppingList", Kind::ShoppingList),
        ("saga", Kind::Saga),
    ] {
        let document = format!("query($id: ID!) {{ {field}(id: $id) {{ id }} }}");
        let ask = |id: String| mall.ask(&document, json!({ "id": id }));
        ask(unknown(kind)).await.is_refused("NOT_FOUND").saying("there is no such");
        for nonsense in NOT_IDS {
            ask(nonsense.to_owned()).await.is_bad_input("id").saying("not an id of the mall");
        }
        let other = if kind == Kind::Store { Kind::Order } else { Kind::Store };
        ask(unknown(other)).await.is_bad_input("id").saying("it names a");
    }

    for kind in Kind::ALL {
        let node = "query($id: ID!) { node(id: $id) { id } }";
        mall.ask(node, json!({ "id": unknown(*kind) })).await.is_refused("NOT_FOUND");
        let history = "query($id: ID!) { history(id: $id) { nodes { name } } }";
        mall.ask(history, json!({ "id": unknown(*kind) })).await.is_refused("NOT_FOUND");
    }
    for document in [
        "query($id: ID!) { node(id: $id) { id } }",
        "query($id: ID!) { history(id: $id) { nodes { name } } }",
    ] {
        for nonsense in NOT_IDS {
            mall.ask(document, json!({ "id": nonsense })).await.is_bad_input("id");
        }
    }

    // Of several, those that are there come in their places.
    let customer = mall.given_a_customer("Ada").await;
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let ids = json!({ "ids": [unknown(Kind::Order), customer, unknown(Kind::Store)] });
    let found = mall.ask(nodes, ids).await.succeeds();
    assert_eq!(found["nodes"], json!([null, { "id": customer }, null]));
    mall.ask(nodes, json!({ "ids": ["nonsense"] })).await.is_bad_input("ids");
    let many: Vec<_> = (0..101).map(|_| unknown(Kind::Order)).collect();
    mall.ask(nodes, json!({ "ids": many })).await.is_bad_input("ids").saying("at most 100");
}

#[tokio::test]
async fn ids_that_cannot_be_chosen_are_refused() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let customer = mall.given_a_customer("Ada").await;
    let untouched = Untouched::since_now(&mall).await;
    let product =
        json!({ "storeId": store, "name": "Owl", "description": "", "sku": "OWL", "price": "1" });
    for (mutation, input, kind) in [
        ("createStore", json!({ "name": "Books", "location": "Level 1" }), Kind::Store),
        ("addProduct", product, Kind::Product),
        ("registerCustomer", json!({ "name": "Ada", "smsNumber": "+15550100" }), Kind::Customer),
        ("startBasket", json!({ "customerId": customer }), Kind::Basket),
        ("authorizePayment", json!({ "customerId": customer, "amount": "1" }), Kind::Payment),
        ("registerBot", json!({ "name": "Robby" }), Kind::Bot),
    ] {
        let by_chance = mallbots_domain::id::AnyId { kind, uuid: random() }.to_string();
        let attempt = mall.when(mutation, with(&input, "id", by_chance)).await;
        attempt.is_bad_input("id").saying("UUID of version 7");
        let attempt = mall.when(mutation, with(&input, "id", unknown(Kind::Order))).await;
        attempt.is_bad_input("id").saying("it names a order");
        mall.when(mutation, with(&input, "id", "mine")).await.is_bad_input("id");
    }
    untouched.holds().await;
}

// ---- pages

#[tokio::test]
async fn pages_that_cannot_be_cut_are_refused() {
    let mall = Mall::open().await;
    let customer = mall.given_a_customer("Ada").await;
    let on_customer = |list: &str| {
        format!(
            "query($first: Int) {{ customer(id: \"{customer}\") {{ {list}(first: $first) {{ nodes {{ id }} }} }} }}"
        )
    };
    let at_root =
        |list: &str| format!("query($first: Int) {{ {list}(first: $first) {{ nodes {{ id }} }} }}");
    let documents = [
        "stores",
        "products",
        "customers",
        "orders",
        "shoppingLists",
        "bots",
        "sagas",
        "deadLetters",
    ]
    .map(at_root)
    .into_iter()
    .chain(["orders", "notifications"].map(on_customer));
    for document in documents {
        for first in [0, -1, 101, i32::MAX] {
            let attempt = mall.ask(&document, json!({ "first": first })).await;
            let Outcome(Err(error)) = attempt else { panic!("{document}: taken") };
            let problem = error.problem().unwrap();
            // What costs too much is refused before it is looked at.
            assert!(
                problem.code() == "QUERY_TOO_COSTLY"
                    || (problem.code() == "BAD_USER_INPUT"
                        && problem.extensions.field.as_deref() == Some("first")
                        && problem.message.contains("100")),
                "{document} {first}: {problem:?}"
            );
        }
        mall.ask(&document, json!({ "first": 100 })).await.succeeds();
        mall.ask(&document, json!({ "first": null })).await.succeeds();
    }
    let both = "{ orders(first: 1, last: 1) { nodes { id } } }";
    mall.ask(both, json!({})).await.is_bad_input("last").saying("choose one end");
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let mall = Mall::open().await;
    let orders = "query($filter: OrderFilter) { orders(filter: $filter) { nodes { id } } }";
    let ask = |filter: Value| mall.ask(orders, json!({ "filter": filter }));
    ask(json!({ "customerId": "me" })).await.is_bad_input("filter.customerId");
    ask(json!({ "storeIds": [unknown(Kind::Order)] })).await.is_bad_input("filter.storeIds");
    ask(json!({ "productIds": ["x"] })).await.is_bad_input("filter.productIds");
    let many: Vec<_> = (0..101).map(|_| unknown(Kind::Product)).collect();
    ask(json!({ "productIds": many }))
        .await
        .is_bad_input("filter.productIds")
        .saying("at most 100");
    is_wrong_type(ask(json!({ "createdAfter": "yesterday" })).await);
    is_wrong_type(ask(json!({ "minTotal": "cheap" })).await);
    is_wrong_type(ask(json!({ "statuses": ["LOST"] })).await);
    is_wrong_type(ask(json!({ "color": "red" })).await);
    let as_of = "query($id: ID!) { order(id: $id, asOf: \"2020-01-01T00:00:00Z\") { id } }";
    let shopper = mall.given_an_approved_order().await;
    mall.ask(as_of, json!({ "id": shopper.order() })).await.is_refused("NOT_FOUND");
}

// ---- the wrong state

#[tokio::test]
async fn what_the_state_forbids_is_refused_with_the_state() {
    let mall = Mall::open().await;
    let idle = mall.given_an_idle_bot("Robby").await;
    let busy = mall.given_an_idle_bot("Marvin").await;
    let offline: BotId = new_id();
    mall.given("registerBot", json!({ "id": offline, "name": "Gort" })).await;

    // One order in each state that lasts, all quiet.
    let approved = mall.given_an_approved_order().await;
    let third = mall.given_an_idle_bot("Bender").await;
    let ready = mall.given_an_order_at_the_depot(third).await;
    let active = mall.given_an_order_in_progress(busy).await;
    let rejected = mall.given_a_shopper_who_pays("0.01").await;
    mall.when_checking_out(rejected.basket, rejected.payment).await.succeeds();
    mall.then_the_order(rejected.order()).is(OrderStatus::Rejected).await;
    mall.then_the_customer_was_told(rejected.order(), &["ORDER_REJECTED"]).await;
    let quiet = |order: &Value| {
        order["saga"]["state"] == "COMPENSATED" && order["payment"]["status"] == "RELEASED"
    };
    mall.until(rejected.order(), "its saga to end", quiet).await;
    let canceled = mall.given_an_approved_order().await;
    mall.when_canceling(canceled.order()).await.succeeds();
    mall.then_the_customer_was_told(canceled.order(), &["ORDER_CANCELED"]).await;
    let quiet = |order: &Value| {
        order["saga"]["state"] == "COMPLETED" && order["payment"]["status"] == "RELEASED"
    };
    mall.until(canceled.order(), "its saga to end", quiet).await;
    let completed = mall.given_an_order_at_the_depot(third).await;
    mall.given("payInvoice", json!({ "id": completed.order().invoice() })).await;
    mall.then_the_customer_was_told(completed.order(), &["ORDER_COMPLETED"]).await;
    mall.until(completed.order(), "the money", |order| order["payment"]["status"] == "CAPTURED")
        .await;
    mall.then_the_bot(third, BotStatus::Idle).await;
    let store = approved.lines[0].store;
    let product = approved.lines[0].product;
    let removed = mall.given_a_product(store, "Old hat", "1.00").await;
    mall.given("removeProduct", json!({ "id": removed })).await;
    let put_back = mall.given_a_basket(approved.customer).await;
    mall.given("cancelBasket", json!({ "id": put_back })).await;

    let untouched = Untouched::since_now(&mall).await;
    let list = |order: OrderId| order.shopping_list();
    let item = json!({ "productId": product, "quantity": 1 });
    let pick = json!({ "storeId": store, "productId": product, "quantity": 1 });
    let none = None;
    for (mutation, input, id, reason, state) in [
        // Stores and products.
        ("enableStoreParticipation", json!({}), store.any(), "STORE_ALREADY_PARTICIPATING", none),
        ("rebrandStore", json!({ "name": "Waldorf Books" }), store.any(), "NOTHING_CHANGED", none),
        (
            "increaseProductPrice",
            json!({ "price": "9.99" }),
            product.any(),
            "PRICE_NOT_HIGHER",
            none,
        ),
        (
            "increaseProductPrice",
            json!({ "price": "9.98" }),
            product.any(),
            "PRICE_NOT_HIGHER",
            none,
        ),
        (
            "decreaseProductPrice",
            json!({ "price": "9.99" }),
            product.any(),
            "PRICE_NOT_LOWER",
            none,
        ),
        ("decreaseProductPrice", json!({ "price": "10" }), product.any(), "PRICE_NOT_LOWER", none),
        (
            "rebrandProduct",
            json!({ "name": "Wizard w/ crystal", "description": "" }),
            product.any(),
            "NOTHING_CHANGED",
            none,
        ),
        ("removeProduct", json!({}), removed.any(), "PRODUCT_ALREADY_REMOVED", none),
        ("increaseProductPrice", json!({ "price": "2" }), removed.any(), "PRODUCT_REMOVED", none),
        ("decreaseProductPrice", json!({ "price": "0" }), removed.any(), "PRODUCT_REMOVED", none),
        ("rebrandProduct", json!({ "name": "Hat" }), removed.any(), "PRODUCT_REMOVED", none),
        // Customers.
        ("enableCustomer", json!({}), approved.customer.any(), "CUSTOMER_ALREADY_ENABLED", none),
        (
            "changeSmsNumber",
            json!({ "smsNumber": "+15550100" }),
            approved.customer.any(),
            "NOTHING_CHANGED",
            none,
        ),
        // Baskets.
        (
            "addBasketItem",
            item.clone(),
            approved.basket.any(),
            "BASKET_NOT_OPEN",
            Some("CHECKED_OUT"),
        ),
        (
            "removeBasketItem",
            item.clone(),
            approved.basket.any(),
            "BASKET_NOT_OPEN",
            Some("CHECKED_OUT"),
        ),
        ("addBasketItem", item.clone(), put_back.any(), "BASKET_NOT_OPEN", Some("CANCELED")),
        ("removeBasketItem", item, put_back.any(), "BASKET_NOT_OPEN", Some("CANCELED")),
        ("cancelBasket", json!({}), put_back.any(), "BASKET_ALREADY_CLOSED", Some("CANCELED")),
        // Orders.
        ("cancelOrder", json!({}), ready.order().any(), "ORDER_NOT_CANCELABLE", Some("READY")),
        (
            "cancelOrder",
            json!({}),
            rejected.order().any(),
            "ORDER_NOT_CANCELABLE",
            Some("REJECTED"),
        ),
        (
            "cancelOrder",
            json!({}),
            completed.order().any(),
            "ORDER_NOT_CANCELABLE",
            Some("COMPLETED"),
        ),
        (
            "cancelOrder",
            json!({}),
            canceled.order().any(),
            "ORDER_ALREADY_CANCELED",
            Some("CANCELED"),
        ),
        // Invoices.
        (
            "payInvoice",
            json!({}),
            completed.order().invoice().any(),
            "INVOICE_ALREADY_PAID",
            Some("PAID"),
        ),
        (
            "adjustInvoice",
            json!({ "amount": "1" }),
            completed.order().invoice().any(),
            "INVOICE_NOT_PENDING",
            Some("PAID"),
        ),
        (
            "cancelInvoice",
            json!({}),
            completed.order().invoice().any(),
            "INVOICE_NOT_PENDING",
            Some("PAID"),
        ),
        (
            "adjustInvoice",
            json!({ "amount": "19.98" }),
            ready.order().invoice().any(),
            "NOTHING_CHANGED",
            none,
        ),
        // Lists.
        (
            "assignShoppingList",
            json!({ "botId": offline }),
            list(approved.order()).any(),
            "BOT_NOT_IDLE",
            Some("OFFLINE"),
        ),
        (
            "assignShoppingList",
            json!({ "botId": busy }),
            list(approved.order()).any(),
            "BOT_NOT_IDLE",
            Some("ACTIVE"),
        ),
        (
            "assignShoppingList",
            json!({ "botId": idle }),
            list(active.order()).any(),
            "SHOPPING_LIST_NOT_AVAILABLE",
            Some("ACTIVE"),
        ),
        (
            "assignShoppingList",
            json!({ "botId": idle }),
            list(ready.order()).any(),
            "SHOPPING_LIST_NOT_AVAILABLE",
            Some("COMPLETED"),
        ),
        (
            "startShopping",
            json!({}),
            list(approved.order()).any(),
            "SHOPPING_LIST_NOT_ASSIGNED",
            Some("AVAILABLE"),
        ),
        (
            "startShopping",
            json!({}),
            list(active.order()).any(),
            "SHOPPING_LIST_ALREADY_ACTIVE",
            Some("ACTIVE"),
        ),
        (
            "pickItem",
            pick.clone(),
            list(approved.order()).any(),
            "SHOPPING_LIST_NOT_ACTIVE",
            Some("AVAILABLE"),
        ),
        (
            "pickItem",
            pick,
            list(ready.order()).any(),
            "SHOPPING_LIST_NOT_ACTIVE",
            Some("COMPLETED"),
        ),
        (
            "completeShoppingList",
            json!({}),
            list(approved.order()).any(),
            "SHOPPING_LIST_NOT_ACTIVE",
            Some("AVAILABLE"),
        ),
        (
            "completeShoppingList",
            json!({}),
            list(ready.order()).any(),
            "SHOPPING_LIST_ALREADY_COMPLETED",
            Some("COMPLETED"),
        ),
        // Bots.
        ("bringBotOnline", json!({}), idle.any(), "BOT_ALREADY_ONLINE", Some("IDLE")),
        ("bringBotOnline", json!({}), busy.any(), "BOT_ALREADY_ONLINE", Some("ACTIVE")),
        ("takeBotOffline", json!({}), busy.any(), "BOT_NOT_IDLE", Some("ACTIVE")),
        ("takeBotOffline", json!({}), offline.any(), "BOT_ALREADY_OFFLINE", Some("OFFLINE")),
        // Sagas.
        (
            "retrySaga",
            json!({}),
            approved.order().create_saga().any(),
            "SAGA_NOT_STUCK",
            Some("COMPLETED"),
        ),
    ] {
        let attempt = mall.when(mutation, with(&input, "id", id.to_string())).await;
        let refusal = attempt.is_refused("FAILED_PRECONDITION").because(reason);
        if let Some(state) = state {
            refusal.in_state(state);
        }
    }
    untouched.holds().await;

    // What is not on a list cannot be picked for it.
    let input = json!({
        "id": active.list(), "storeId": store, "productId": removed, "quantity": 1,
    });
    mall.when("pickItem", input).await.is_bad_input("productId").because("ITEM_NOT_ON_LIST");
    let shortage = json!({ "productId": removed, "reason": "gone" });
    mall.when("completeShoppingList", json!({ "id": active.list(), "shortages": [shortage] }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .on_field("shortages");
}

// ---- the same again

async fn a_taken_sku_is_a_conflict(mall: Mall) {
    let store = mall.given_a_store("Waldorf Books").await;
    let other = mall.given_a_store("Statler Books").await;
    let input = json!({
        "storeId": store, "name": "Wizard", "description": "", "sku": "WIZ-1", "price": "9.99",
    });
    let first = mall.given("addProduct", input.clone()).await;
    let untouched = Untouched::since_now(&mall).await;
    mall.when("addProduct", with(&input, "name", "Another wizard"))
        .await
        .is_refused("CONFLICT")
        .on_field("sku");
    untouched.holds().await;

    // In another store it is free, and once its product is off sale.
    mall.given("addProduct", with(&input, "storeId", other.to_string())).await;
    mall.given("removeProduct", json!({ "id": first["product"]["id"] })).await;
    mall.given("addProduct", with(&input, "name", "Another wizard")).await;

    // Of many who want it at once, one gets it.
    let input = with(&input, "sku", "WIZ-2");
    let attempts = (0..8).map(|_| mall.when("addProduct", input.clone()));
    let attempts = join_all(attempts).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|attempt| attempt.0.is_ok());
    assert_eq!(taken.len(), 1);
    for attempt in refused {
        attempt.is_refused("CONFLICT").on_field("sku");
    }
}

async fn the_same_id_with_the_same_input_is_answered_alike(mall: Mall) {
    let store = mall.given_a_store("Waldorf Books").await;
    let customer = mall.given_a_customer("Ada").await;
    let somebody = mall.given_a_customer("Bob").await;
    let product = json!({
        "storeId": store, "name": "Owl", "description": "", "sku": "OWL", "price": "1.00",
    });
    let mut first = Vec::new();
    let creations = [
        (
            "createStore",
            json!({ "id": new_id::<StoreId>().to_string(), "name": "Books", "location": "Level 1" }),
            ("name", json!("Toys")),
        ),
        (
            "addProduct",
            with(&product, "id", new_id::<ProductId>().to_string()),
            ("price", json!("2")),
        ),
        (
            "registerCustomer",
            json!({ "id": new_id::<CustomerId>().to_string(), "name": "Ada", "smsNumber": "+15550100" }),
            ("smsNumber", json!("+15550101")),
        ),
        (
            "startBasket",
            json!({ "id": new_id::<BasketId>().to_string(), "customerId": customer }),
            ("customerId", json!(somebody)),
        ),
        (
            "authorizePayment",
            json!({ "id": new_id::<PaymentId>().to_string(), "customerId": customer, "amount": "1" }),
            ("amount", json!("2")),
        ),
        (
            "registerBot",
            json!({ "id": new_id::<BotId>().to_string(), "name": "Robby" }),
            ("name", json!("Marvin")),
        ),
    ];
    for (mutation, input, _) in &creations {
        first.push(mall.given(mutation, input.clone()).await);
    }

    let untouched = Untouched::since_now(&mall).await;
    for ((mutation, input, (field, other)), first) in creations.iter().zip(&first) {
        assert_eq!(&mall.given(mutation, input.clone()).await, first);
        mall.when(mutation, with(input, field, other.clone())).await.is_refused("CONFLICT");
    }
    untouched.holds().await;

    // However it went on: what it began with counts.
    let (_, store, _) = &creations[0];
    mall.given("rebrandStore", json!({ "id": store["id"], "name": "Statler Books" })).await;
    let again = mall.given("createStore", store.clone()).await;
    assert_eq!(position(&again), position(&first[0]));
    assert_eq!(again["store"]["name"], "Statler Books");
    mall.when("createStore", with(store, "name", "Statler Books")).await.is_refused("CONFLICT");

    // Of many who say it at once, one does it, and all are told so.
    let input = json!({ "id": new_id::<StoreId>(), "name": "Crowd", "location": "Level 2" });
    let untouched = mall.position().await;
    let answers = join_all((0..8).map(|_| mall.when("createStore", input.clone()))).await;
    let answers: Vec<_> = answers.into_iter().map(Outcome::succeeds).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:#?}");
    assert_eq!(mall.position().await, untouched + 2);
}

async fn an_idempotency_key_holds_across_a_crash(mut mall: Mall) {
    let shopper = mall.given_a_shopper().await;
    let line = shopper.lines[0];
    let key = IdempotencyKey::mint();
    let store = json!({ "name": "Statler Books", "location": "Level 2" });
    let item = json!({ "id": shopper.basket, "productId": line.product, "quantity": 1 });
    let marked = with(&item, "clientMutationId", "add-one-more");

    // What is asked for once, by header and by mark
    let created = mall.when_keyed("createStore", store.clone(), Some(&key)).await.succeeds();
    let added = mall.given("addBasketItem", marked.clone()).await;
    assert_eq!(added["clientMutationId"], "add-one-more");
    assert_eq!(added["basket"]["items"][0]["quantity"], 3);
    let untouched = mall.position().await;

    // is answered the same when it is asked for again
    let again = async |mall: &Mall| {
        let again = mall.when_keyed("createStore", store.clone(), Some(&key)).await.succeeds();
        assert_eq!(again, created);
        let again = mall.given("addBasketItem", marked.clone()).await;
        assert_eq!(again, added);
    };
    again(&mall).await;
    again(&mall).await;

    // and refused when something else is meant.
    let reused = async |mall: &Mall| {
        for attempt in [
            mall.when_keyed("createStore", with(&store, "name", "Toys"), Some(&key)).await,
            mall.when_keyed("registerBot", json!({ "name": "Robby" }), Some(&key)).await,
            mall.when("addBasketItem", with(&marked, "quantity", 2)).await,
            mall.when("removeBasketItem", marked.clone()).await,
        ] {
            attempt.is_refused("IDEMPOTENCY_KEY_REUSED").saying("mint a new one");
        }
    };
    reused(&mall).await;
    assert_eq!(mall.position().await, untouched + 1);

    // So it is after a crash.
    mall.kill().await;
    mall.reopen().await;
    again(&mall).await;
    reused(&mall).await;
    assert_eq!(mall.position().await, untouched + 2);

    // Other keys, and other marks, mean other things.
    let another = IdempotencyKey::mint();
    let second = mall.when_keyed("createStore", store.clone(), Some(&another)).await.succeeds();
    assert_ne!(second["store"]["id"], created["store"]["id"]);
    let more = mall.given("addBasketItem", with(&item, "clientMutationId", "and-another")).await;
    assert_eq!(more["basket"]["items"][0]["quantity"], 4);
    mall.when("addBasketItem", with(&item, "clientMutationId", "x".repeat(256)))
        .await
        .is_bad_input("clientMutationId");

    // What is bought once is bought once.
    let key = IdempotencyKey::mint();
    let input = json!({ "id": shopper.basket, "paymentId": shopper.payment });
    let bought = mall.when_keyed("checkoutBasket", input.clone(), Some(&key)).await.succeeds();
    mall.kill().await;
    mall.reopen().await;
    let again = mall.when_keyed("checkoutBasket", input, Some(&key)).await.succeeds();
    assert_eq!(again, bought);
    mall.until(shopper.order(), "the saga's end", |order| order["saga"]["endedAt"].is_string())
        .await;
    let history = mall.history(shopper.basket).await;
    let bought = history.iter().filter(|name| *name == "baskets.BasketCheckedOut");
    assert_eq!(bought.count(), 1);
}

async fn an_idempotency_key_holds_against_a_crowd(mall: Mall) {
    let customer = mall.given_a_customer("Ada").await;
    let before = mall.position().await;
    let key = IdempotencyKey::mint();
    let input = json!({ "customerId": customer, "amount": "5.00" });
    let answers =
        join_all((0..12).map(|_| mall.when_keyed("authorizePayment", input.clone(), Some(&key))))
            .await;
    let answers: Vec<_> = answers.into_iter().map(Outcome::succeeds).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:#?}");
    assert_eq!(mall.position().await, before + 2);

    // Several mutations under one header count on.
    let key = IdempotencyKey::mint();
    let document = "mutation two($input: CreateStoreInput!) {
        one: createStore(input: $input) { store { id } position }
        two: createStore(input: $input) { store { id } position } }";
    let variables = json!({ "input": { "name": "Books", "location": "Level 1" } });
    let before = mall.position().await;
    let http = reqwest::Client::new();
    let body = json!({ "query": document, "variables": variables }).to_string();
    let ask = async || -> Value {
        let request = http
            .post(mall.client.url().as_str())
            .header("content-type", "application/json")
            .header("idempotency-key", "two-stores")
            .body(body.clone());
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()["data"].take()
    };
    let first = ask().await;
    assert_ne!(first["one"]["store"]["id"], first["two"]["store"]["id"]);
    assert_eq!(ask().await, first);
    assert_eq!(mall.position().await, before + 3);
    assert_ne!(key, IdempotencyKey::mint());
}

#[tokio::test]
async fn a_refusal_spends_no_key() {
    let mall = Mall::open().await;
    let shopper = mall.given_a_shopper().await;
    let line = shopper.lines[0];
    mall.given("disableStoreParticipation", json!({ "id": line.store })).await;
    let key = IdempotencyKey::mint();
    let input = json!({ "id": shopper.basket, "productId": line.product, "quantity": 1 });
    mall.when_keyed("addBasketItem", input.clone(), Some(&key))
        .await
        .is_refused("FAILED_PRECONDITION");
    mall.given("enableStoreParticipation", json!({ "id": line.store })).await;
    mall.when_keyed("addBasketItem", input, Some(&key)).await.succeeds();
}

#[tokio::test]
async fn nothing_of_the_inside_is_told() {
    let mall = Mall::open().await;
    let shopper = mall.given_an_approved_order().await;
    let Line { product, .. } = shopper.lines[0];
    let attempts = [
        mall.when("cancelBasket", json!({ "id": shopper.basket })).await,
        mall.when("removeProduct", json!({ "id": "'; DROP TABLE products; --" })).await,
        mall.when("increaseProductPrice", json!({ "id": product, "price": "1" })).await,
        mall.when_checking_out(shopper.basket, shopper.payment).await,
        mall.ask(
            "{ stores(text: \"%' OR '1'='1\") { nodes { id } } orders(first: 0) { nodes { id } } }",
            json!({}),
        )
        .await,
        mall.ask("{ nonsense }", json!({})).await,
        mall.ask("{", json!({})).await,
        mall.when("retrySaga", json!({ "id": new_id::<SagaId>() })).await,
        mall.when("payInvoice", json!({ "id": new_id::<InvoiceId>() })).await,
        mall.when("discardDeadLetter", json!({ "id": new_id::<DeadLetterId>() })).await,
    ];
    for attempt in attempts {
        let Outcome(Err(error)) = attempt else { panic!("taken: {attempt:?}") };
        let problem = error.problem().unwrap();
        let told = format!("{} {:?}", problem.message, problem.extensions);
        for inside in
            ["sqlite", "SQL", "SELECT", "sqlx", ".rs", "/tmp", "panicked", "DbErr", "Error("]
        {
            assert!(!told.contains(inside), "{told}");
        }
        assert!(problem.extensions.code.is_some(), "{told}");
    }
    let free = r#"{ stores(text: "%") { nodes { id } } }"#;
    assert_eq!(mall.ask(free, json!({})).await.succeeds()["stores"]["nodes"], json!([]));
}
