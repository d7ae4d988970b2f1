//! Feature: checking out.

use mallbots_domain::{id::PaymentId, ordering::OrderStatus};
use serde_json::json;

use crate::support::{Mall, new_id, on_both_backends};

on_both_backends! {
    checking_out_a_basket,
    cannot_check_out_an_empty_basket,
    cannot_check_out_twice,
    cannot_pay_with_what_is_not_there_or_not_ones_own,
    prices_that_changed_are_told_before_they_are_paid,
    what_went_off_sale_stops_the_checkout,
}

async fn checking_out_a_basket(mall: Mall) {
    // Given a basket with two wizards and the money for them
    let shopper = mall.given_a_shopper().await;

    // When I check out
    let bought = mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();

    // Then the basket is bought, and becomes an order that bears its id
    assert_eq!(bought["basket"]["status"], "CHECKED_OUT");
    assert_eq!(bought["orderId"], shopper.order().to_string());
    let order = mall.then_the_order(shopper.order()).is(OrderStatus::Approved).await;
    assert_eq!(order["customer"]["id"], shopper.customer.to_string());
    assert_eq!(order["total"], json!({ "amount": "19.98", "currency": "USD" }));
    assert_eq!(
        order["items"],
        json!([{
            "productId": shopper.lines[0].product, "productName": "Wizard w/ crystal",
            "storeId": shopper.lines[0].store, "storeName": "Waldorf Books",
            "price": { "amount": "9.99" }, "quantity": 2, "lineTotal": { "amount": "19.98" },
        }])
    );
    assert_eq!(order["payment"]["id"], shopper.payment.to_string());
    assert_eq!(order["payment"]["status"], "CONFIRMED");
    assert_eq!(order["payment"]["order"]["id"], shopper.order().to_string());
    assert_eq!(order["shoppingList"]["status"], "AVAILABLE");
    assert_eq!(order["invoice"], json!(null));
    let basket = mall.read("basket", shopper.basket, "order { id }").await;
    assert_eq!(basket["order"]["id"], shopper.order().to_string());
}

async fn cannot_check_out_an_empty_basket(mall: Mall) {
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;
    let payment = mall.given_a_payment(customer, "10.00").await;

    mall.when_checking_out(basket, payment)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("BASKET_EMPTY")
        .in_state("OPEN");
}

async fn cannot_check_out_twice(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;

    mall.when_checking_out(shopper.basket, shopper.payment)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("BASKET_NOT_OPEN")
        .in_state("CHECKED_OUT");
    let orders = mall.ask("{ orders { nodes { id } } }", json!({})).await.succeeds();
    assert_eq!(orders["orders"]["nodes"], json!([{ "id": shopper.order() }]));
}

async fn cannot_pay_with_what_is_not_there_or_not_ones_own(mall: Mall) {
    let shopper = mall.given_a_shopper().await;

    // When I pay with nothing
    mall.when_checking_out(shopper.basket, new_id::<PaymentId>())
        .await
        .is_refused("NOT_FOUND")
        .because("PAYMENT_NOT_FOUND");

    // When I pay with somebody else's money
    let other = mall.given_a_customer("Bob").await;
    let others = mall.given_a_payment(other, "100.00").await;
    mall.when_checking_out(shopper.basket, others)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("PAYMENT_OF_ANOTHER_CUSTOMER")
        .on_field("paymentId");

    // Then the basket is still open, nothing was ordered, and the money is untouched
    let basket = mall.read("basket", shopper.basket, "status order { id }").await;
    assert_eq!(basket, json!({ "status": "OPEN", "order": null }));
    for payment in [shopper.payment, others] {
        let payment = mall.read("payment", payment, "status").await;
        assert_eq!(payment["status"], "AUTHORIZED");
    }
}

async fn prices_that_changed_are_told_before_they_are_paid(mall: Mall) {
    // Given a basket with two wizards at 9.99 and an owl at 20.00
    let shopper = mall.given_a_shopper_who_pays("100.00").await;
    let wizard = shopper.lines[0].product;
    let owl = mall.given_a_product(shopper.lines[0].store, "Owl", "20.00").await;
    mall.given_in_the_basket(shopper.basket, 1, owl).await;

    // When the wizard becomes dearer, then I am told before I buy it
    mall.given("increaseProductPrice", json!({ "id": wizard, "price": "12.00" })).await;
    let refusal = mall
        .when_checking_out(shopper.basket, shopper.payment)
        .await
        .is_refused("PRICE_CHANGED")
        .because("PRICE_CHANGED")
        .on_field("acceptPriceChanges");
    assert_eq!(
        refusal.0.extensions.details,
        Some(json!([{ "productId": wizard, "old": "9.99", "new": "12.00" }]))
    );

    // When I accept the new price, then that is what I pay
    let input = json!({
        "id": shopper.basket, "paymentId": shopper.payment, "acceptPriceChanges": true,
    });
    mall.given("checkoutBasket", input).await;
    let order = mall.then_the_order(shopper.order()).is(OrderStatus::Approved).await;
    assert_eq!(order["total"]["amount"], "44.00");
    assert_eq!(order["items"][0]["price"]["amount"], "12.00");
    assert_eq!(order["items"][1]["price"]["amount"], "20.00");
}

async fn what_went_off_sale_stops_the_checkout(mall: Mall) {
    let shopper = mall.given_a_shopper().await;
    let line = shopper.lines[0];

    // When its store stops taking part
    mall.given("disableStoreParticipation", json!({ "id": line.store })).await;
    mall.when_checking_out(shopper.basket, shopper.payment)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("STORE_NOT_PARTICIPATING");
    mall.given("enableStoreParticipation", json!({ "id": line.store })).await;

    // When the product goes off sale
    mall.given("removeProduct", json!({ "id": line.product })).await;
    mall.when_checking_out(shopper.basket, shopper.payment)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("PRODUCT_REMOVED");

    // Then it can be taken out, and something else be bought
    mall.when_removing(shopper.basket, 2, line.product).await.succeeds();
    let owl = mall.given_a_product(line.store, "Owl", "19.98").await;
    mall.given_in_the_basket(shopper.basket, 1, owl).await;
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
    mall.then_the_order(shopper.order()).is(OrderStatus::Approved).await;
}
