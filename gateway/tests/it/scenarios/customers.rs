//! Feature: customers register.

use mallbots_domain::id::CustomerId;
use serde_json::json;

use crate::support::{Mall, on_both_backends};

on_both_backends! {
    registering_a_new_customer,
    a_customer_is_stopped_and_let_in_again,
}

async fn registering_a_new_customer(mall: Mall) {
    // When I register a customer
    let input = json!({ "name": "Ada Lovelace", "smsNumber": "+1 555 0100" });
    let registered = mall.when("registerCustomer", input).await.succeeds();

    // Then I expect the customer to be known, and to be allowed to shop
    let id: CustomerId = registered["customer"]["id"].as_str().unwrap().parse().unwrap();
    let customer = mall.read("customer", id, "name smsNumber enabled").await;
    assert_eq!(
        customer,
        json!({ "name": "Ada Lovelace", "smsNumber": "+15550100", "enabled": true })
    );
    let find = r#"{ customers(text: "lovelace") { nodes { id } } }"#;
    let found = mall.ask(find, json!({})).await.succeeds();
    assert_eq!(found["customers"]["nodes"], json!([{ "id": id }]));
}

async fn a_customer_is_stopped_and_let_in_again(mall: Mall) {
    let customer = mall.given_a_customer("Ada").await;

    // Given the customer is stopped
    let stopped = mall.given("disableCustomer", json!({ "id": customer })).await;
    assert_eq!(stopped["customer"]["enabled"], false);

    // Then they get no basket
    mall.when("startBasket", json!({ "customerId": customer }))
        .await
        .is_refused("FAILED_PRECONDITION")
        .because("CUSTOMER_DISABLED");

    // When they are let in again, then they do
    mall.given("enableCustomer", json!({ "id": customer })).await;
    mall.when("startBasket", json!({ "customerId": customer })).await.succeeds();
}
