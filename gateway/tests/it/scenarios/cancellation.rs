//! Feature: calling an order off, at any moment.

use futures_util::future::join_all;
use mallbots_domain::{depot::bot::BotStatus, ordering::OrderStatus};
use serde_json::{Value, json};

use crate::support::{Line, Mall, Outcome, Shopper, on_both_backends, titles};

on_both_backends! {
    canceling_an_approved_order,
    canceling_an_order_that_a_bot_has,
    canceling_an_order_that_a_bot_shops_for,
    canceling_while_the_saga_runs,
    canceling_too_late,
}

/// All about a canceled order, once everything is undone and told.
async fn undone(mall: &Mall, shopper: &Shopper) -> Value {
    let order = shopper.order();
    mall.then_the_order(order).is(OrderStatus::Canceled).await;
    mall.then_the_customer_was_told(order, &["ORDER_CANCELED"]).await;
    let order = mall
        .until(order, "the saga's end", |order| {
            matches!(order["saga"]["state"].as_str(), Some("COMPLETED" | "COMPENSATED"))
                && order["payment"]["status"] == "RELEASED"
        })
        .await;
    let list = &order["shoppingList"];
    assert!(list.is_null() || list["status"] == "CANCELED", "{order:#}");
    assert!(order["invoice"].is_null(), "{order:#}");
    order
}

async fn canceling_an_approved_order(mall: Mall) {
    // Given an approved order
    let shopper = mall.given_an_approved_order().await;

    // When it is called off
    let canceled = mall.when_canceling(shopper.order()).await.succeeds();
    assert_eq!(canceled["order"]["status"], "CANCELED");
    assert_eq!(canceled["order"]["cancellationReason"], "it takes too long");

    // Then the list is torn up and the money is free, step by step
    let order = undone(&mall, &shopper).await;
    assert_eq!(order["saga"]["name"], "cancel_order");
    assert_eq!(order["saga"]["state"], "COMPLETED");
    let progress = mall.timeline(shopper.order()).await;
    let titles = titles(&progress, &["ORDER", "SAGA", "SHOPPING", "PAYMENT"]);
    assert!(
        titles.ends_with(&[
            "The order was canceled: it takes too long.",
            "The saga cancel_order began.",
            "CancelShoppingList began.",
            "The shopping list was canceled.",
            "CancelShoppingList succeeded.",
            "ReleasePayment began.",
            "The payment was released.",
            "ReleasePayment succeeded.",
            "CancelInvoice began.",
            "CancelInvoice succeeded.",
            "The saga completed.",
        ]),
        "{titles:#?}"
    );

    // And no bot can take the list any more
    let bot = mall.given_an_idle_bot("Robby").await;
    mall.when("assignShoppingList", json!({ "id": shopper.list(), "botId": bot }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .in_state("CANCELED");
    mall.then_the_bot(bot, BotStatus::Idle).await;
}

async fn canceling_an_order_that_a_bot_has(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    mall.given("assignShoppingList", json!({ "id": shopper.list(), "botId": bot })).await;
    mall.then_the_bot(bot, BotStatus::Active).await;

    mall.when_canceling(shopper.order()).await.succeeds();

    let order = undone(&mall, &shopper).await;
    assert_eq!(order["shoppingList"]["status"], "CANCELED");
    let idle = mall.then_the_bot(bot, BotStatus::Idle).await;
    assert_eq!(idle["shoppingList"], Value::Null);
}

async fn canceling_an_order_that_a_bot_shops_for(mall: Mall) {
    // Given a bot that has picked one of two wizards
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_in_progress(bot).await;
    let line = shopper.lines[0];
    let pick = json!({
        "id": shopper.list(), "storeId": line.store, "productId": line.product, "quantity": 1,
    });
    mall.given("pickItem", pick.clone()).await;

    // When the order is called off
    mall.when_canceling(shopper.order()).await.succeeds();

    // Then the saga completes, the bot is idle, and the money is free
    let order = undone(&mall, &shopper).await;
    assert_eq!(
        (&order["saga"]["name"], &order["saga"]["state"]),
        (&json!("cancel_order"), &json!("COMPLETED"))
    );
    assert_eq!(order["shoppingList"]["status"], "CANCELED");
    mall.then_the_bot(bot, BotStatus::Idle).await;

    // And the bot can neither pick on nor come back, but take other work
    mall.when("pickItem", pick).await.is_refused("FAILED_PRECONDITION").in_state("CANCELED");
    mall.when("completeShoppingList", json!({ "id": shopper.list() }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .in_state("CANCELED");
    let next = mall.given_an_approved_order().await;
    mall.given("assignShoppingList", json!({ "id": next.list(), "botId": bot })).await;
}

/// Calls an order off as soon as so many things have happened to it, or as
/// soon as there is an order at all.
async fn cancel_after(mall: &Mall, shopper: &Shopper, seen: usize) {
    let mut watch = mall.watch_progress(shopper.order(), None).await;
    for _ in 0..seen {
        watch.next().await;
    }
    loop {
        match mall.when_canceling(shopper.order()).await {
            Outcome(Ok(_)) => return,
            refused => {
                // The basket is bought, and the order is being made of it.
                refused.is_refused("NOT_FOUND").because("ORDER_NOT_FOUND");
            }
        }
    }
}

async fn canceling_while_the_saga_runs(mall: Mall) {
    // Given many full baskets
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let line = Line { store, product, quantity: 1 };
    let mut shoppers = Vec::new();
    for _ in 0..24 {
        shoppers.push(mall.given_a_shopper_with(customer, &[line], "9.99").await);
    }

    // When each is checked out and called off at another moment
    join_all(shoppers.iter().enumerate().map(async |(number, shopper)| {
        mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
        cancel_after(&mall, shopper, number % 16).await;
    }))
    .await;

    // Then each is canceled and nothing of it is left
    let mut ways = Vec::new();
    for shopper in &shoppers {
        let order = undone(&mall, shopper).await;
        let events = mall.history(shopper.order()).await;
        let way = match events.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["ordering.OrderCreated", "ordering.OrderCanceled"] => "while pending",
            ["ordering.OrderCreated", "ordering.OrderApproved", "ordering.OrderCanceled"] => {
                "once approved"
            }
            _ => panic!("{events:?}"),
        };
        ways.push((way, order["saga"]["name"].as_str().unwrap().to_owned()));

        // And what happened last, happened once
        let payment = mall.history(shopper.payment).await;
        let released = payment.iter().filter(|name| *name == "payments.PaymentReleased");
        assert_eq!(released.count(), 1, "{payment:?}");
        let list = mall.ask(
            "query($id: ID!) { history(id: $id) { nodes { name } } }",
            json!({ "id": shopper.list() }),
        );
        if let Outcome(Ok(list)) = list.await {
            let nodes = list["history"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.last().unwrap()["name"], "depot.ShoppingListCanceled");
        }
    }
    assert!(ways.iter().any(|(way, _)| *way == "while pending"), "{ways:?}");
}

async fn canceling_too_late(mall: Mall) {
    // Given an order at the depot
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;

    // Then it cannot be called off any more
    mall.when_canceling(shopper.order())
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("ORDER_NOT_CANCELABLE")
        .in_state("READY");

    // Nor can one that was called off before
    let other = mall.given_an_approved_order().await;
    mall.when_canceling(other.order()).await.succeeds();
    mall.when_canceling(other.order())
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("ORDER_ALREADY_CANCELED")
        .in_state("CANCELED");
    undone(&mall, &other).await;
}
