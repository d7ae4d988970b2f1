//! Feature: order processing, from the checkout to the paid invoice.

use mallbots_domain::{depot::bot::BotStatus, ordering::OrderStatus};
use serde_json::json;

use crate::support::{Mall, on_both_backends, titles};

on_both_backends! {
    processing_an_order,
    bringing_less_than_was_ordered,
    an_invoice_is_adjusted_and_paid,
}

async fn processing_an_order(mall: Mall) {
    // Given a shopper and a bot that waits for work
    let shopper = mall.given_a_shopper().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let (order, list) = (shopper.order(), shopper.list());

    // When I check out and watch, then I see the saga go step by step
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
    let progress = mall.progress_through(order, |item| item.title == "The saga completed.").await;
    assert_eq!(
        titles(&progress, &["ORDER", "SAGA", "SHOPPING", "PAYMENT"]),
        [
            "The order was placed.",
            "The saga create_order began.",
            "AuthorizeCustomer began.",
            "AuthorizeCustomer succeeded.",
            "CreateShoppingList began.",
            "The shopping list was written.",
            "CreateShoppingList succeeded.",
            "ConfirmPayment began.",
            "The payment was confirmed.",
            "ConfirmPayment succeeded.",
            "InitiateShopping began.",
            "The shopping list waits for a bot.",
            "InitiateShopping succeeded.",
            "ApproveOrder began.",
            "The order was approved.",
            "ApproveOrder succeeded.",
            "The saga completed.",
        ]
    );
    let steps = progress.iter().filter_map(|item| item.saga_step.as_ref());
    assert!(steps.clone().all(|step| step.attempts == 1), "{progress:#?}");
    let states: Vec<_> = steps.map(|step| (step.name.as_str(), step.state.as_str())).collect();
    assert_eq!(
        states,
        [
            ("AuthorizeCustomer", "RUNNING"),
            ("AuthorizeCustomer", "SUCCEEDED"),
            ("CreateShoppingList", "RUNNING"),
            ("CreateShoppingList", "SUCCEEDED"),
            ("ConfirmPayment", "RUNNING"),
            ("ConfirmPayment", "SUCCEEDED"),
            ("InitiateShopping", "RUNNING"),
            ("InitiateShopping", "SUCCEEDED"),
            ("ApproveOrder", "RUNNING"),
            ("ApproveOrder", "SUCCEEDED"),
        ]
    );
    let saga = &mall.order(order).await["saga"];
    assert_eq!((&saga["name"], &saga["state"]), (&json!("create_order"), &json!("COMPLETED")));

    // When the bot takes the list and sets out, then the order is in progress
    let input = json!({ "id": list, "botId": bot });
    let assigned = mall.given("assignShoppingList", input).await;
    assert_eq!(assigned["shoppingList"]["status"], "ASSIGNED");
    let busy = mall.then_the_bot(bot, BotStatus::Active).await;
    assert_eq!(busy["shoppingList"]["id"], list.to_string());
    mall.given("startShopping", json!({ "id": list })).await;
    mall.then_the_order(order).is(OrderStatus::InProgress).await;

    // When it picks all and comes back, then the order is ready and billed
    mall.given_all_is_picked(&shopper).await;
    let brought = mall.given("completeShoppingList", json!({ "id": list })).await;
    assert_eq!(brought["shoppingList"]["status"], "COMPLETED");
    mall.then_the_order(order).is(OrderStatus::Ready).await;
    mall.then_the_bot(bot, BotStatus::Idle).await;
    let billed = mall.until(order, "the invoice", |order| order["invoice"].is_object()).await;
    assert_eq!(
        billed["invoice"],
        json!({
            "id": order.invoice(), "status": "PENDING", "amount": { "amount": "19.98" },
            "order": { "id": order },
        })
    );

    // When I pay the invoice, then the order completes and the money is taken
    let paid = mall.given("payInvoice", json!({ "id": order.invoice() })).await;
    assert_eq!(paid["invoice"]["status"], "PAID");
    mall.then_the_order(order).is(OrderStatus::Completed).await;
    mall.until(order, "the money", |order| order["payment"]["status"] == "CAPTURED").await;

    // And I was told each time
    let told = ["ORDER_CREATED", "ORDER_APPROVED", "ORDER_READY", "ORDER_COMPLETED"];
    mall.then_the_customer_was_told(order, &told).await;
    let messages = mall
        .read("customer", shopper.customer, "notifications { nodes { kind status order { id } } }")
        .await;
    let mut kinds: Vec<_> = messages["notifications"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            assert_eq!(message["status"], "SENT");
            assert_eq!(message["order"]["id"], order.to_string());
            message["kind"].as_str().unwrap()
        })
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ORDER_APPROVED", "ORDER_COMPLETED", "ORDER_CREATED", "ORDER_READY"]);

    // And nothing happened twice
    mall.then_the_history(
        order,
        &[
            "ordering.OrderCreated",
            "ordering.OrderApproved",
            "ordering.OrderStarted",
            "ordering.OrderReadied",
            "ordering.OrderCompleted",
        ],
    )
    .await;
    mall.then_the_history(
        shopper.payment,
        &["payments.PaymentAuthorized", "payments.PaymentConfirmed", "payments.PaymentCaptured"],
    )
    .await;
    mall.then_the_history(order.invoice(), &["payments.InvoiceCreated", "payments.InvoicePaid"])
        .await;
    mall.then_the_history(
        list,
        &[
            "depot.ShoppingListCreated",
            "depot.ShoppingListInitiated",
            "depot.ShoppingListAssigned",
            "depot.ShoppingStarted",
            "depot.ItemPicked",
            "depot.ShoppingListCompleted",
        ],
    )
    .await;
}

async fn bringing_less_than_was_ordered(mall: Mall) {
    // Given a bot that shops for two wizards
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_in_progress(bot).await;
    let (list, line) = (shopper.list(), shopper.lines[0]);

    // When it finds only one
    let pick = json!({
        "id": list, "storeId": line.store, "productId": line.product, "quantity": 1,
    });
    let picked = mall.given("pickItem", pick.clone()).await;
    assert_eq!(picked["shoppingList"]["stops"][0]["items"][0]["picked"], 1);

    // Then it cannot come back without a word, nor with more than was asked for
    mall.when("completeShoppingList", json!({ "id": list }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("NOT_ALL_PICKED")
        .on_field("shortages");
    let mut too_many = pick;
    too_many["quantity"] = json!(2);
    mall.when("pickItem", too_many)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("PICKED_TOO_MANY");

    // When it says what is missing, then the order is ready
    let shortage = json!({ "productId": line.product, "reason": "the shelf is empty" });
    let input = json!({ "id": list, "shortages": [shortage] });
    mall.given("completeShoppingList", input).await;
    mall.then_the_order(shopper.order()).is(OrderStatus::Ready).await;
    let progress = mall.timeline(shopper.order()).await;
    assert!(
        titles(&progress, &["SHOPPING"])
            .ends_with(&["The bot is back; products it could not bring: 1."]),
        "{progress:#?}"
    );
    mall.then_the_bot(bot, BotStatus::Idle).await;
}

async fn an_invoice_is_adjusted_and_paid(mall: Mall) {
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;
    let invoice = shopper.order().invoice();

    // When one wizard has a scratch, and the invoice is adjusted
    let input = json!({ "id": invoice, "amount": "15.00" });
    let adjusted = mall.given("adjustInvoice", input).await;
    assert_eq!(adjusted["invoice"]["amount"]["amount"], "15.00");

    // Then it cannot be raised above what was set aside
    mall.when("adjustInvoice", json!({ "id": invoice, "amount": "19.99" }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("PAYMENT_TOO_SMALL");

    // When it is paid, then it is paid once
    mall.given("payInvoice", json!({ "id": invoice })).await;
    mall.when("payInvoice", json!({ "id": invoice }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("INVOICE_ALREADY_PAID")
        .in_state("PAID");
    mall.then_the_order(shopper.order()).is(OrderStatus::Completed).await;
}
