//! Feature: filling baskets.

use mallbots_domain::id::{BasketId, ProductId};
use serde_json::json;

use crate::support::{Mall, new_id, on_both_backends};

on_both_backends! {
    create_a_basket,
    adding_items,
    cannot_add_items_that_do_not_exist,
    taking_items_out,
    putting_a_basket_back,
}

async fn create_a_basket(mall: Mall) {
    // Given a registered customer
    let customer = mall.given_a_customer("Ada").await;

    // When I start a new basket
    let input = json!({ "customerId": customer });
    let started = mall.when("startBasket", input).await.succeeds();

    // Then I expect the basket to be open and empty, and to be the customer's
    let id: BasketId = started["basket"]["id"].as_str().unwrap().parse().unwrap();
    let basket =
        mall.read("basket", id, "status customer { id } items { quantity } total { amount }").await;
    assert_eq!(
        basket,
        json!({
            "status": "OPEN", "customer": { "id": customer }, "items": [],
            "total": { "amount": "0.00" },
        })
    );
}

async fn adding_items(mall: Mall) {
    // Given a store with products, and a basket
    let store = mall.given_a_store("Waldorf Books").await;
    let wizard = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;
    let owl = mall.given_a_product(store, "Owl", "20.00").await;
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;

    // When I add the items
    mall.when_adding(basket, 1, wizard).await.succeeds();
    mall.when_adding(basket, 1, owl).await.succeeds();
    let filled = mall.when_adding(basket, 2, wizard).await.succeeds();

    // Then I expect them in the basket, in the order they were put in
    let line = |product, name: &str, price: &str, quantity: u32, total: &str| {
        json!({
            "product": { "id": product }, "productName": name, "storeName": "Waldorf Books",
            "price": { "amount": price }, "quantity": quantity, "lineTotal": { "amount": total },
        })
    };
    assert_eq!(
        filled["basket"]["items"],
        json!([
            line(wizard, "Wizard w/ crystal", "9.99", 3, "29.97"),
            line(owl, "Owl", "20.00", 1, "20.00"),
        ])
    );
    assert_eq!(filled["basket"]["total"]["amount"], "49.97");
}

async fn cannot_add_items_that_do_not_exist(mall: Mall) {
    // Given a basket
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;

    // When I add a product that nobody sells
    let nothing: ProductId = new_id();
    let attempt = mall.when_adding(basket, 1, nothing).await;

    // Then I am told that there is no such product
    attempt.is_refused("NOT_FOUND").because("PRODUCT_NOT_FOUND").saying("there is no such product");

    // And the basket is empty
    let basket = mall.read("basket", basket, "items { quantity }").await;
    assert_eq!(basket["items"], json!([]));
}

async fn taking_items_out(mall: Mall) {
    let shopper = mall.given_a_shopper().await;
    let wizard = shopper.lines[0].product;

    // When I take one of two out, then one is left
    let left = mall.when_removing(shopper.basket, 1, wizard).await.succeeds();
    assert_eq!(left["basket"]["items"][0]["quantity"], 1);
    assert_eq!(left["basket"]["total"]["amount"], "9.99");

    // When I take more out than there is, then the line is gone
    let left = mall.when_removing(shopper.basket, 5, wizard).await.succeeds();
    assert_eq!(left["basket"]["items"], json!([]));
    mall.when_removing(shopper.basket, 1, wizard)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("ITEM_NOT_IN_BASKET")
        .on_field("productId");
}

async fn putting_a_basket_back(mall: Mall) {
    let shopper = mall.given_a_shopper().await;

    // When I put it back
    let back = mall.given("cancelBasket", json!({ "id": shopper.basket })).await;
    assert_eq!(back["basket"]["status"], "CANCELED");

    // Then nothing can be put in, and it cannot be bought
    mall.when_adding(shopper.basket, 1, shopper.lines[0].product)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("BASKET_NOT_OPEN")
        .in_state("CANCELED");
    mall.when_checking_out(shopper.basket, shopper.payment)
        .await
        .is_refused("FAILED_PRECONDITION")
        .in_state("CANCELED");
}

#[tokio::test]
async fn a_basket_that_nobody_touches_is_cleared_away() {
    // Given a mall that clears baskets away soon
    let mall = Mall::open_with(&[("MALLBOTS_BASKET_ABANDONED_AFTER", "3s")]).await;
    let shopper = mall.given_a_shopper().await;

    // When nobody touches it, then it is cleared away
    let arguments = [("id", "ID!", json!(shopper.basket))];
    let mut watch = mall.watch("basketChanged", &arguments, "status").await;
    watch.until(|basket| basket["status"] == "ABANDONED").await;
    mall.when_adding(shopper.basket, 1, shopper.lines[0].product)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("BASKET_NOT_OPEN")
        .in_state("ABANDONED");
}
