//! Feature: shopping at a kiosk.

use mallbots_domain::{id::BasketId, ordering::OrderStatus};
use serde_json::{Value, json};

use crate::support::{Mall, on_both_backends};

on_both_backends! {
    shopping_at_a_kiosk,
    browsing_page_by_page,
}

async fn shopping_at_a_kiosk(mall: Mall) {
    // Given two stores with something to sell, and one that does not take part
    let books = mall.given_a_store("Waldorf Books").await;
    mall.given_a_product(books, "Wizard w/ crystal", "9.99").await;
    mall.given_a_product(books, "Owl", "20.00").await;
    let toys = mall.given_a_store("Statler Toys").await;
    mall.given_a_product(toys, "Wizard's hat", "5.00").await;
    let closed = mall.given_a_store("Closed Curtains").await;
    let curtain = mall.given_a_product(closed, "Curtain", "1.00").await;
    mall.given("disableStoreParticipation", json!({ "id": closed })).await;
    let customer = mall.given_a_customer("Ada").await;

    // When I browse the stores that take part, I see two of them
    let browse = "{ stores(participating: true) { nodes { name products { nodes {
        id name price { amount } } } } } }";
    let stores = mall.ask(browse, json!({})).await.succeeds();
    let stores = stores["stores"]["nodes"].as_array().unwrap();
    let mut names: Vec<_> = stores.iter().map(|store| store["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Statler Toys", "Waldorf Books"]);

    // When I look for wizards, I find them in both
    let look = r#"{ products(text: "wizard") { nodes { id name store { name } } } }"#;
    let found = mall.ask(look, json!({})).await.succeeds();
    let found = found["products"]["nodes"].as_array().unwrap();
    let product = |name: &str| {
        let product = found.iter().find(|product| product["name"] == name).unwrap();
        product["id"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(found.len(), 2);
    let (wizard, hat) = (product("Wizard w/ crystal"), product("Wizard's hat"));

    // When I fill a basket from both, and watch what it costs
    let basket: BasketId = mall.given_a_basket(customer).await;
    let watching = [("id", "ID!", json!(basket))];
    let mut costs = mall.watch("basketChanged", &watching, "total { amount }").await;
    let cost = |item: Value| item["total"]["amount"].as_str().unwrap().to_owned();
    assert_eq!(cost(costs.next().await), "0.00");
    mall.given_in_the_basket(basket, 1, wizard).await;
    assert_eq!(cost(costs.next().await), "9.99");
    mall.given_in_the_basket(basket, 3, hat).await;
    assert_eq!(cost(costs.next().await), "24.99");

    // And find that of the store that takes no part nothing can be had
    mall.when_adding(basket, 1, curtain)
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("STORE_NOT_PARTICIPATING");

    // When I change my mind about two hats
    mall.when_removing(basket, 2, hat).await.succeeds();
    assert_eq!(cost(costs.next().await), "14.99");

    // And pay, and check out
    let payment = mall.given_a_payment(customer, "14.99").await;
    mall.when_checking_out(basket, payment).await.succeeds();

    // Then I have an order of a wizard and a hat, to be collected at two stores
    let order = mall.then_the_order(basket.order()).is(OrderStatus::Approved).await;
    let lines: Vec<_> = order["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["storeName"].as_str().unwrap(), item["quantity"].as_u64().unwrap()))
        .collect();
    assert_eq!(lines, [("Waldorf Books", 1), ("Statler Toys", 1)]);
    let stops = order["shoppingList"]["stops"].as_array().unwrap();
    let mut stops: Vec<_> = stops.iter().map(|stop| stop["storeName"].as_str().unwrap()).collect();
    stops.sort_unstable();
    assert_eq!(stops, ["Statler Toys", "Waldorf Books"]);

    // And find it among my orders
    let mine = mall.read("customer", customer, "orders { nodes { id status } }").await;
    assert_eq!(mine["orders"]["nodes"], json!([{ "id": basket.order(), "status": "APPROVED" }]));
}

async fn browsing_page_by_page(mall: Mall) {
    let store = mall.given_a_store("Waldorf Books").await;
    for number in 1..=7 {
        mall.given_a_product(store, &format!("Volume {number}"), "1.00").await;
    }
    let document = "query($first: Int, $after: Cursor, $last: Int, $before: Cursor, $id: ID) {
        products(first: $first, after: $after, last: $last, before: $before, storeId: $id) {
            nodes { name } edges { cursor node { name } }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let page = async |arguments: Value| {
        let mut arguments = arguments;
        arguments["id"] = json!(store);
        mall.ask(document, arguments).await.succeeds()["products"].take()
    };
    let names = |page: &Value| -> Vec<String> {
        let nodes = page["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    };

    // When I turn the pages forward, I see everything once
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let part = page(json!({ "first": 3, "after": after })).await;
        assert_eq!(part["pageInfo"]["hasPreviousPage"], !seen.is_empty());
        assert_eq!(part["pageInfo"]["startCursor"], part["edges"][0]["cursor"]);
        seen.extend(names(&part));
        after = part["pageInfo"]["endCursor"].clone();
        if part["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    let all: Vec<_> = (1..=7).map(|number| format!("Volume {number}")).collect();
    assert_eq!(seen, all);

    // When I turn them backward, too
    let end = page(json!({ "last": 3 })).await;
    assert_eq!(names(&end), all[4..]);
    assert_eq!(end["pageInfo"]["hasPreviousPage"], true);
    let before = page(json!({ "last": 3, "before": end["pageInfo"]["startCursor"] })).await;
    assert_eq!(names(&before), all[1..4]);
    assert_eq!(before["pageInfo"]["hasNextPage"], true);
}
