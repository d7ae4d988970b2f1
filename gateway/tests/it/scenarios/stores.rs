//! Feature: stores and what they sell.

use mallbots_domain::id::{ProductId, StoreId};
use serde_json::json;

use crate::support::{Mall, new_id, on_both_backends};

on_both_backends! {
    creating_a_store_called_waldorf_books,
    cannot_create_stores_without_a_name,
    creating_a_product_called_wizard_with_crystal,
    a_store_opens_takes_another_name_and_closes,
    a_product_is_described_priced_and_taken_off_sale,
}

async fn creating_a_store_called_waldorf_books(mall: Mall) {
    // When I create a store called "Waldorf Books"
    let input = json!({ "name": "Waldorf Books", "location": "Level 1, Unit 7" });
    let created = mall.when("createStore", input).await.succeeds();

    // Then I expect the store to be there, and not to participate yet
    let id: StoreId = created["store"]["id"].as_str().unwrap().parse().unwrap();
    let store = mall.read("store", id, "name location participating").await;
    assert_eq!(
        store,
        json!({ "name": "Waldorf Books", "location": "Level 1, Unit 7", "participating": false })
    );
    mall.then_the_history(id, &["stores.StoreCreated"]).await;
}

async fn cannot_create_stores_without_a_name(mall: Mall) {
    // When I create a store called ""
    let input = json!({ "name": "", "location": "Level 1, Unit 7" });
    let attempt = mall.when("createStore", input).await;

    // Then I am told that the name cannot be blank
    attempt.is_bad_input("name").saying("cannot be blank");

    // And there is no store
    let stores = mall.ask("{ stores { nodes { id } } }", json!({})).await.succeeds();
    assert_eq!(stores["stores"]["nodes"], json!([]));
}

async fn creating_a_product_called_wizard_with_crystal(mall: Mall) {
    // Given a store called "Waldorf Books"
    let store = mall.given_a_store("Waldorf Books").await;

    // When I create the product called "Wizard w/ crystal"
    let input = json!({
        "storeId": store, "name": "Wizard w/ crystal", "description": "Bronze, nine inches",
        "sku": "WIZ-1", "price": "9.99",
    });
    let created = mall.when("addProduct", input).await.succeeds();

    // Then I expect the product to be in the store's catalog
    let id: ProductId = created["product"]["id"].as_str().unwrap().parse().unwrap();
    let store = mall
        .read("store", store, "products { nodes { id name description sku price { amount } } }")
        .await;
    assert_eq!(
        store["products"]["nodes"],
        json!([{
            "id": id, "name": "Wizard w/ crystal", "description": "Bronze, nine inches",
            "sku": "WIZ-1", "price": { "amount": "9.99" },
        }])
    );
}

async fn a_store_opens_takes_another_name_and_closes(mall: Mall) {
    let store: StoreId = new_id();
    let input = json!({ "id": store, "name": "Waldorf Books", "location": "Level 1" });
    mall.given("createStore", input).await;

    // When it opens and takes another name
    let enabled = mall.given("enableStoreParticipation", json!({ "id": store })).await;
    assert_eq!(enabled["store"]["participating"], true);
    let input = json!({ "id": store, "name": "Statler Books" });
    let rebranded = mall.given("rebrandStore", input).await;
    assert_eq!(rebranded["store"]["name"], "Statler Books");

    // Then it is found under its new name among those that participate
    let find = "query($text: String, $participating: Boolean) {
        stores(text: $text, participating: $participating) { nodes { id } } }";
    let found = |text: &'static str, participating: bool| {
        mall.ask(find, json!({ "text": text, "participating": participating }))
    };
    let here = json!({ "stores": { "nodes": [{ "id": store }] } });
    let nowhere = json!({ "stores": { "nodes": [] } });
    assert_eq!(found("statler", true).await.succeeds(), here);
    assert_eq!(found("waldorf", true).await.succeeds(), nowhere);

    // When it closes, then it is there but does not participate
    mall.given("disableStoreParticipation", json!({ "id": store })).await;
    assert_eq!(found("statler", true).await.succeeds(), nowhere);
    assert_eq!(found("statler", false).await.succeeds(), here);
    mall.then_the_history(
        store,
        &[
            "stores.StoreCreated",
            "stores.StoreParticipationEnabled",
            "stores.StoreRebranded",
            "stores.StoreParticipationDisabled",
        ],
    )
    .await;
}

async fn a_product_is_described_priced_and_taken_off_sale(mall: Mall) {
    let store = mall.given_a_store("Waldorf Books").await;
    let wizard = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;

    // When it gets another name and other prices
    let input = json!({ "id": wizard, "name": "Wizard w/o crystal", "description": "Dropped" });
    mall.given("rebrandProduct", input).await;
    let dearer = json!({ "id": wizard, "price": "12.50" });
    let dearer = mall.given("increaseProductPrice", dearer).await;
    assert_eq!(dearer["product"]["price"]["amount"], "12.50");
    let cheaper = mall.given("decreaseProductPrice", json!({ "id": wizard, "price": "4" })).await;
    assert_eq!(cheaper["product"]["price"]["amount"], "4.00");

    // When it goes off sale, then it is no longer in the catalog, but still known
    mall.given("removeProduct", json!({ "id": wizard })).await;
    let shelf = mall.read("store", store, "products { nodes { id } }").await;
    assert_eq!(shelf["products"]["nodes"], json!([]));
    let product = mall.read("product", wizard, "name description removed").await;
    assert_eq!(
        product,
        json!({ "name": "Wizard w/o crystal", "description": "Dropped", "removed": true })
    );
}
