//! Flows that broke, and what ended the process (D1–D13).

use futures_util::future::join_all;
use mallbots_domain::{notifications::NotificationKind, ordering::OrderStatus};
use mallbots_gateway::client::Backoff;
use serde_json::{Value, json};

use crate::support::{Line, Mall, Outcome, PATIENCE, Shopper};

#[tokio::test]
async fn d01_initiating_shopping_makes_the_list_available() {
    let mall = Mall::open().await;
    let shopper = mall.given_an_approved_order().await;
    let order = mall.order(shopper.order()).await;
    assert_eq!(order["shoppingList"]["status"], "AVAILABLE");
    mall.then_the_history(
        shopper.list(),
        &["depot.ShoppingListCreated", "depot.ShoppingListInitiated"],
    )
    .await;
}

#[tokio::test]
async fn d02_a_list_can_be_assigned_and_completed() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;
    let order = mall.order(shopper.order()).await;
    assert_eq!(order["status"], "READY");
    assert_eq!(order["shoppingList"]["status"], "COMPLETED");
    assert_eq!(order["invoice"]["status"], "PENDING");
}

#[tokio::test]
async fn d03_paying_the_invoice_completes_the_order() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;
    mall.given("payInvoice", json!({ "id": shopper.order().invoice() })).await;
    mall.then_the_order(shopper.order()).is(OrderStatus::Completed).await;
    let taken = |order: &Value| order["payment"]["status"] == "CAPTURED";
    mall.until(shopper.order(), "the money", taken).await;
}

#[tokio::test]
async fn d04_search_and_customers_learn_of_approvals_and_rejections() {
    let mall = Mall::open().await;
    let approved = mall.given_an_approved_order().await;
    let rejected = mall.given_a_shopper_who_pays("0.01").await;
    mall.when_checking_out(rejected.basket, rejected.payment).await.succeeds();
    mall.then_the_order(rejected.order()).is(OrderStatus::Rejected).await;
    for (shopper, status) in [(&approved, "APPROVED"), (&rejected, "REJECTED")] {
        let document = "query($statuses: [OrderStatus!]) {
            orders(filter: { statuses: $statuses }) { nodes { id } } }";
        let found = mall.ask(document, json!({ "statuses": [status] })).await.succeeds();
        assert_eq!(found["orders"]["nodes"], json!([{ "id": shopper.order() }]));
        let kind = format!("ORDER_{status}");
        mall.then_the_customer_was_told(shopper.order(), &[&kind]).await;
    }
}

#[tokio::test]
async fn d05_price_changes_leave_the_process_alone() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    mall.given("increaseProductPrice", json!({ "id": product, "price": "12.50" })).await;
    mall.given("decreaseProductPrice", json!({ "id": product, "price": "0.00" })).await;
    let product = mall.read("product", product, "price { amount }").await;
    assert_eq!(product["price"]["amount"], "0.00");
    assert_eq!(mall.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn d06_searching_orders_answers() {
    let mall = Mall::open().await;
    let shopper = mall.given_an_approved_order().await;
    let document = "query($filter: OrderFilter) { orders(filter: $filter) { nodes { id } }
        orderStatusCounts(filter: $filter) { status count } }";
    let filter = json!({ "customerId": shopper.customer, "text": "wizard" });
    let found = mall.ask(document, json!({ "filter": filter })).await.succeeds();
    assert_eq!(found["orders"]["nodes"], json!([{ "id": shopper.order() }]));
    let counts = found["orderStatusCounts"].as_array().unwrap();
    assert!(counts.contains(&json!({ "status": "APPROVED", "count": 1 })));
    assert_eq!(counts.len(), 7);
}

#[tokio::test]
async fn d07_a_database_that_goes_away_ends_nothing() {
    let mall = Mall::open_on_postgres().await;
    let shopper = mall.given_a_shopper().await;

    // While it is away, whoever asks is told to come back.
    mall.let_it_reach_its_database(false).await;
    let input = json!({ "id": shopper.basket, "paymentId": shopper.payment });
    mall.when("checkoutBasket", input.clone()).await.is_refused("UNAVAILABLE").saying("later");
    mall.ask("{ stores { nodes { id } } }", json!({}))
        .await
        .is_refused("UNAVAILABLE")
        .saying("later");

    // When it is back, everything goes on in the same process.
    mall.let_it_reach_its_database(true).await;
    let mut backoff = Backoff::lasting(PATIENCE);
    loop {
        match mall.when("checkoutBasket", input.clone()).await {
            Outcome(Ok(_)) => break,
            away => {
                away.is_refused("UNAVAILABLE");
                assert!(backoff.wait().await, "it never came back");
            }
        }
    }
    mall.then_the_order(shopper.order()).is(OrderStatus::Approved).await;
}

#[tokio::test]
async fn d08_every_order_reaches_search_and_its_customer() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    let line = Line { store, product, quantity: 1 };
    let mut shoppers = Vec::new();
    for number in 0..8 {
        let customer = mall.given_a_customer(&format!("Customer {number}")).await;
        shoppers.push(mall.given_a_shopper_with(customer, &[line], "9.99").await);
    }
    join_all(shoppers.iter().map(|shopper| mall.given_it_is_approved(shopper))).await;
    let found = mall.ask("{ orders { nodes { id } } }", json!({})).await.succeeds();
    let mut found: Vec<_> = found["orders"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect();
    found.sort_unstable();
    let mut expected: Vec<_> = shoppers.iter().map(|shopper| shopper.order().to_string()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn d09_a_canceled_order_is_never_approved() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let line = Line { store, product, quantity: 1 };
    let mut shoppers: Vec<Shopper> = Vec::new();
    for _ in 0..8 {
        shoppers.push(mall.given_a_shopper_with(customer, &[line], "9.99").await);
    }
    join_all(shoppers.iter().map(async |shopper| {
        mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
        while mall.when_canceling(shopper.order()).await.0.is_err() {}
    }))
    .await;
    for shopper in &shoppers {
        let ended = |order: &Value| order["saga"]["endedAt"].is_string();
        let order = mall.until(shopper.order(), "the saga's end", ended).await;
        assert_eq!(order["status"], "CANCELED");
        let history = mall.history(shopper.order()).await;
        assert_eq!(history.last().map(String::as_str), Some("ordering.OrderCanceled"));
    }
}

#[tokio::test]
async fn d12_messages_go_to_the_number_a_customer_changed_to() {
    let mall = Mall::open().await;
    let shopper = mall.given_a_shopper().await;
    let input = json!({ "id": shopper.customer, "smsNumber": "+15550177" });
    let changed = mall.given("changeSmsNumber", input).await;
    assert_eq!(changed["customer"]["smsNumber"], "+15550177");
    mall.given_it_is_approved(&shopper).await;
    let message = shopper.order().notification(NotificationKind::OrderApproved);
    let document = "query($id: ID!) { history(id: $id) { nodes { name payload } } }";
    let history = mall.ask(document, json!({ "id": message })).await.succeeds();
    let payload = history["history"]["nodes"][0]["payload"].as_str().unwrap();
    assert!(payload.contains("+15550177"), "{payload}");
}

#[tokio::test]
async fn d13_customers_are_really_told() {
    let mall = Mall::open().await;
    let shopper = mall.given_an_approved_order().await;
    let message = shopper.order().notification(NotificationKind::OrderApproved);
    let selection = "... on Notification { kind status sentAt text customer { id } }";
    let told = mall.read("node", message, selection).await;
    assert_eq!(told["kind"], "ORDER_APPROVED");
    assert_eq!(told["status"], "SENT");
    assert!(told["sentAt"].is_string());
    assert!(told["text"].as_str().unwrap().contains(&shopper.order().to_string()));
    // By default into the log.
    assert!(mall.log().contains("customer notified"));
}
