//! Feature: orders that are turned down, and what is undone then.

use futures_util::future::join_all;
use mallbots_domain::ordering::OrderStatus;
use serde_json::{Value, json};

use crate::support::{Mall, Outcome, Shopper, on_both_backends, titles};

on_both_backends! {
    a_disabled_customer,
    a_payment_that_is_too_small,
    a_payment_of_another_customer,
    a_payment_used_twice,
}

/// All about a rejected order, once everything is undone and told.
async fn rejected(mall: &Mall, shopper: &Shopper) -> Value {
    let order = shopper.order();
    mall.then_the_order(order).is(OrderStatus::Rejected).await;
    mall.then_the_customer_was_told(order, &["ORDER_REJECTED"]).await;
    mall.until(order, "the saga to be compensated", |order| order["saga"]["state"] == "COMPENSATED")
        .await
}

async fn a_disabled_customer(mall: Mall) {
    // Given a shopper who is stopped while the basket is full
    let shopper = mall.given_a_shopper().await;
    mall.given("disableCustomer", json!({ "id": shopper.customer })).await;

    // When they check out
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();

    // Then the order is rejected for that reason
    let order = rejected(&mall, &shopper).await;
    assert_eq!(order["rejectionReason"], "CUSTOMER_DISABLED");
    assert_eq!(order["saga"]["refusal"], "CUSTOMER_DISABLED");
    assert!(order["saga"]["endedAt"].is_string());
    assert_eq!(
        states(&order),
        [
            ("PlaceOrder", "COMPENSATED"),
            ("AuthorizeCustomer", "REFUSED"),
            ("CreateShoppingList", "SKIPPED"),
            ("ConfirmPayment", "SKIPPED"),
            ("InitiateShopping", "SKIPPED"),
            ("ApproveOrder", "SKIPPED"),
        ]
    );

    // And no list was written, and the money is free
    assert_eq!(order["shoppingList"], Value::Null);
    let order = mall
        .until(shopper.order(), "the money", |order| order["payment"]["status"] == "RELEASED")
        .await;
    assert_eq!(order["invoice"], Value::Null);

    // And each step was to be seen, in order
    let progress = mall.timeline(shopper.order()).await;
    assert_eq!(
        titles(&progress, &["ORDER", "SAGA", "SHOPPING"]),
        [
            "The order was placed.",
            "The saga create_order began.",
            "AuthorizeCustomer began.",
            "AuthorizeCustomer was refused: CUSTOMER_DISABLED.",
            "The saga turned back: CUSTOMER_DISABLED.",
            "PlaceOrder is being undone.",
            "The order was rejected: CUSTOMER_DISABLED.",
            "PlaceOrder was undone.",
            "The saga is back where it began.",
        ]
    );
    assert_eq!(titles(&progress, &["PAYMENT"]), ["The payment was released."]);
    let refused = progress.iter().find(|item| item.title.contains("was refused")).unwrap();
    let step = refused.saga_step.as_ref().unwrap();
    assert_eq!(
        (step.state.as_str(), step.reason.as_deref()),
        ("REFUSED", Some("CUSTOMER_DISABLED"))
    );
}

async fn a_payment_that_is_too_small(mall: Mall) {
    // Given a shopper with a cent too little
    let shopper = mall.given_a_shopper_who_pays("19.97").await;

    // When they check out, then the order is rejected for that reason
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
    let order = rejected(&mall, &shopper).await;
    assert_eq!(order["rejectionReason"], "PAYMENT_TOO_SMALL");
    assert_eq!(order["saga"]["refusal"], "PAYMENT_TOO_SMALL");
    assert_eq!(
        states(&order),
        [
            ("PlaceOrder", "COMPENSATED"),
            ("AuthorizeCustomer", "SUCCEEDED"),
            ("CreateShoppingList", "COMPENSATED"),
            ("ConfirmPayment", "REFUSED"),
            ("InitiateShopping", "SKIPPED"),
            ("ApproveOrder", "SKIPPED"),
        ]
    );

    // And the list is torn up, and the money is free
    assert_eq!(order["shoppingList"]["status"], "CANCELED");
    mall.until(shopper.order(), "the money", |order| order["payment"]["status"] == "RELEASED")
        .await;

    // And each step was to be seen, in order
    let progress = mall.timeline(shopper.order()).await;
    assert_eq!(titles(&progress, &["ORDER", "SAGA", "SHOPPING"]), undone("PAYMENT_TOO_SMALL"));
    assert_eq!(titles(&progress, &["PAYMENT"]), ["The payment was released."]);
    mall.then_the_history(
        shopper.payment,
        &["payments.PaymentAuthorized", "payments.PaymentReleased"],
    )
    .await;
}

async fn a_payment_of_another_customer(mall: Mall) {
    // Given a shopper, and somebody else's money
    let shopper = mall.given_a_shopper().await;
    let other = mall.given_a_customer("Bob").await;
    let others = mall.given_a_payment(other, "100.00").await;

    // When they check out with it, then that is refused there and then
    mall.when_checking_out(shopper.basket, others)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("PAYMENT_OF_ANOTHER_CUSTOMER")
        .on_field("paymentId");

    // And there is no order, and the money stays where it is
    mall.ask("query($id: ID!) { order(id: $id) { id } }", json!({ "id": shopper.order() }))
        .await
        .is_refused("NOT_FOUND");
    assert_eq!(mall.read("payment", others, "status").await["status"], "AUTHORIZED");
}

async fn a_payment_used_twice(mall: Mall) {
    // Given a customer with several full baskets and money for one
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let line = crate::support::Line { store, product, quantity: 2 };
    let mut all_bought = Vec::new();

    // When they are checked out at once with the same money. Whoever comes
    // after the first was confirmed is refused at the counter, so it may take
    // several rounds until two get past it.
    for round in 1.. {
        let payment = mall.given_a_payment(customer, "19.98").await;
        let mut shoppers = Vec::new();
        for _ in 0..6 {
            let shopper = mall.given_a_shopper_with(customer, &[line], "1.00").await;
            shoppers.push(Shopper { payment, ..shopper });
        }
        let attempts =
            shoppers.iter().map(|shopper| mall.when_checking_out(shopper.basket, payment));
        let attempts = join_all(attempts).await;
        let mut bought = Vec::new();
        for (shopper, attempt) in shoppers.into_iter().zip(attempts) {
            if matches!(attempt, Outcome(Ok(_))) {
                bought.push(shopper);
            } else {
                attempt
                    .is_refused("FAILED_PRECONDITION")
                    .because("PAYMENT_NOT_AUTHORIZED")
                    .on_field("paymentId");
            }
        }
        assert!(!bought.is_empty());
        let enough = bought.len() > 1;
        all_bought.push(bought);
        if enough {
            break;
        }
        assert!(round < 50, "no two orders ever reached the saga with the same payment");
    }

    // Then one order is approved, and the others are rejected for that reason
    let mut rejections = 0;
    for bought in all_bought {
        let mut approved = Vec::new();
        for shopper in bought {
            let ended = |order: &Value| {
                matches!(order["saga"]["state"].as_str(), Some("COMPLETED" | "COMPENSATED"))
            };
            let order = mall.until(shopper.order(), "the saga's end", ended).await;
            if order["status"] == "APPROVED" {
                approved.push(shopper);
                continue;
            }
            let order = rejected(&mall, &shopper).await;
            assert_eq!(order["status"], "REJECTED");
            assert_eq!(order["rejectionReason"], "PAYMENT_ALREADY_USED");
            assert_eq!(order["shoppingList"]["status"], "CANCELED");
            let progress = mall.timeline(shopper.order()).await;
            assert_eq!(
                titles(&progress, &["ORDER", "SAGA", "SHOPPING"]),
                undone("PAYMENT_ALREADY_USED")
            );
            rejections += 1;
        }

        // And the money stays with the first
        assert_eq!(approved.len(), 1);
        let payment = mall.read("payment", approved[0].payment, "status order { id }").await;
        assert_eq!(
            payment,
            json!({ "status": "CONFIRMED", "order": { "id": approved[0].order() } })
        );
        mall.then_the_history(
            approved[0].payment,
            &["payments.PaymentAuthorized", "payments.PaymentConfirmed"],
        )
        .await;
    }
    assert!(rejections > 0);
}

/// The way forward to the payment, and back.
fn undone(reason: &str) -> Vec<String> {
    [
        "The order was placed.",
        "The saga create_order began.",
        "AuthorizeCustomer began.",
        "AuthorizeCustomer succeeded.",
        "CreateShoppingList began.",
        "The shopping list was written.",
        "CreateShoppingList succeeded.",
        "ConfirmPayment began.",
        "ConfirmPayment was refused: REASON.",
        "The saga turned back: REASON.",
        "CreateShoppingList is being undone.",
        "The shopping list was canceled.",
        "CreateShoppingList was undone.",
        "PlaceOrder is being undone.",
        "The order was rejected: REASON.",
        "PlaceOrder was undone.",
        "The saga is back where it began.",
    ]
    .iter()
    .map(|title| title.replace("REASON", reason))
    .collect()
}

/// Each step of an order's saga with its state.
fn states(order: &Value) -> Vec<(&str, &str)> {
    let steps = order["saga"]["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| (step["name"].as_str().unwrap(), step["state"].as_str().unwrap()))
        .collect()
}
