//! What could be asked, by whom, and what came back (D54, D67–D72, D79).

use std::{collections::BTreeSet, process::Command};

use async_graphql::parser::{
    parse_schema,
    types::{TypeDefinition, TypeKind, TypeSystemDefinition},
};
use mallbots_domain::id::{CustomerId, InvoiceId, ShoppingListId, StoreId};
use mallbots_gateway::client::IdempotencyKey;
use serde_json::{Value, json};

use crate::support::{Line, Mall, new_id};

/// The types of the schema.
fn types() -> Vec<TypeDefinition> {
    let output = Command::new(env!("CARGO_BIN_EXE_mallbots")).arg("schema").output().unwrap();
    let sdl = String::from_utf8(output.stdout).unwrap();
    parse_schema(sdl)
        .unwrap()
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
        })
        .collect()
}

/// The names of all mutations.
fn mutations() -> BTreeSet<String> {
    let types = types();
    let mutation = types.iter().find(|definition| definition.name.node == "Mutation").unwrap();
    let TypeKind::Object(mutation) = &mutation.kind else { panic!("no object") };
    mutation.fields.iter().map(|field| field.node.name.node.to_string()).collect()
}

#[test]
fn d54_nobody_sets_the_prices_of_an_order() {
    assert!(!mutations().contains("createOrder"));
    for definition in types() {
        let TypeKind::InputObject(input) = &definition.kind else { continue };
        for field in &input.fields {
            let name = definition.name.node.as_str();
            let may = match field.node.name.node.as_str() {
                "price" | "prices" => matches!(
                    name,
                    "AddProductInput" | "IncreaseProductPriceInput" | "DecreaseProductPriceInput"
                ),
                "amount" => matches!(name, "AuthorizePaymentInput" | "AdjustInvoiceInput"),
                "total" | "productName" | "storeName" => false,
                _ => true,
            };
            assert!(may, "{name} sets {}", field.node.name.node);
        }
    }
}

#[test]
fn d67_without_keys_only_this_machine_is_served() {
    let output = Command::new(env!("CARGO_BIN_EXE_mallbots"))
        .args(["serve", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("not a loopback address"), "{told}");
}

#[test]
fn d68_steps_within_a_flow_cannot_be_taken_from_outside() {
    let mutations = mutations();
    for step in [
        "createOrder",
        "approveOrder",
        "rejectOrder",
        "startOrder",
        "readyOrder",
        "completeOrder",
        "authorizeCustomer",
        "createShoppingList",
        "initiateShopping",
        "cancelShoppingList",
        "confirmPayment",
        "capturePayment",
        "releasePayment",
        "refundPayment",
        "createInvoice",
        "abandonBasket",
        "releaseBot",
        "sendNotification",
    ] {
        assert!(!mutations.contains(step), "{step} is open to everybody");
    }
}

#[tokio::test]
async fn d69_what_is_not_there_is_not_found() {
    let mall = Mall::open().await;
    for (field, id) in [
        ("store", new_id::<StoreId>().to_string()),
        ("customer", new_id::<CustomerId>().to_string()),
        ("invoice", new_id::<InvoiceId>().to_string()),
        ("shoppingList", new_id::<ShoppingListId>().to_string()),
    ] {
        let document = format!("query($id: ID!) {{ {field}(id: $id) {{ id }} }}");
        let refusal = mall.ask(&document, json!({ "id": id })).await.is_refused("NOT_FOUND");
        assert!(!refusal.0.message.contains("SELECT"), "{:?}", refusal.0);
    }
}

#[tokio::test]
async fn d70_a_request_that_is_sent_again_creates_nothing_twice() {
    let mall = Mall::open().await;
    let customer = mall.given_a_customer("Ada").await;
    for (mutation, input) in [
        ("startBasket", json!({ "customerId": customer })),
        ("authorizePayment", json!({ "customerId": customer, "amount": "1.00" })),
        ("createStore", json!({ "name": "Waldorf Books", "location": "Level 1" })),
        ("registerBot", json!({ "name": "Robby" })),
    ] {
        let key = IdempotencyKey::mint();
        let first = mall.when_keyed(mutation, input.clone(), Some(&key)).await.succeeds();
        let again = mall.when_keyed(mutation, input, Some(&key)).await.succeeds();
        assert_eq!(first, again);
    }
}

#[test]
fn d71_everything_can_be_read_and_long_lists_are_paged() {
    let types = types();
    let query = types.iter().find(|definition| definition.name.node == "Query").unwrap();
    let TypeKind::Object(query) = &query.kind else { panic!("no object") };
    let names: BTreeSet<_> =
        query.fields.iter().map(|field| field.node.name.node.to_string()).collect();
    for name in [
        "store",
        "product",
        "customer",
        "basket",
        "order",
        "payment",
        "invoice",
        "shoppingList",
        "saga",
        "node",
    ] {
        assert!(names.contains(name), "{name} cannot be read");
    }
    for field in &query.fields {
        let ty = field.node.ty.node.to_string();
        let name = field.node.name.node.as_str();
        // Of these there are only as many as were asked for, or as there are kinds.
        let is_short = matches!(
            name,
            "nodes"
                | "_entities"
                | "orderStatusCounts"
                | "sagaStateCounts"
                | "projections"
                | "consumers"
        );
        assert!(!ty.starts_with('[') || is_short, "{name} is a list without pages");
    }
}

#[test]
fn d72_names_are_spelt_one_way() {
    // What a subgraph must be called by Apollo's specification.
    const FEDERATION: [&str; 5] = ["_entities", "_service", "_Any", "_Entity", "_Service"];
    let is_ours = |name: &str| !FEDERATION.contains(&name);
    let is_camel = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_pascal = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_screaming =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let one_spelling = |name: &str| {
        let name = name.to_ascii_lowercase();
        assert!(!name.contains("cancelled") && !name.contains("colour"), "{name}");
    };
    for definition in types() {
        let name = definition.name.node.as_str();
        assert!(is_pascal(name) || !is_ours(name), "{name}");
        one_spelling(name);
        let (fields, inputs) = match &definition.kind {
            TypeKind::Object(object) => (object.fields.as_slice(), [].as_slice()),
            TypeKind::Interface(interface) => (interface.fields.as_slice(), [].as_slice()),
            TypeKind::InputObject(input) => ([].as_slice(), input.fields.as_slice()),
            TypeKind::Enum(values) => {
                for value in &values.values {
                    let value = value.node.value.node.as_str();
                    assert!(is_screaming(value), "{name}.{value}");
                    one_spelling(value);
                }
                continue;
            }
            TypeKind::Scalar | TypeKind::Union(_) => continue,
        };
        for field in fields.iter().map(|field| &field.node) {
            let field_name = field.name.node.as_str();
            assert!(is_camel(field_name) || !is_ours(field_name), "{name}.{field_name}");
            one_spelling(&field.name.node);
            for argument in &field.arguments {
                assert!(is_camel(&argument.node.name.node), "{name}.{}", field.name.node);
            }
        }
        for input in inputs {
            assert!(is_camel(&input.node.name.node), "{name}.{}", input.node.name.node);
        }
    }
}

#[tokio::test]
async fn d79_orders_are_found_by_everything_they_hold() {
    let mall = Mall::open().await;
    let books = mall.given_a_store("Waldorf Books").await;
    let toys = mall.given_a_store("Statler Toys").await;
    let wizard = mall.given_a_product(books, "Wizard w/ crystal", "9.99").await;
    let hat = mall.given_a_product(toys, "Pointed hat", "5.00").await;
    let ada = mall.given_a_customer("Ada Lovelace").await;
    let bob = mall.given_a_customer("Bob").await;
    let wizards = Line { store: books, product: wizard, quantity: 2 };
    let hats = Line { store: toys, product: hat, quantity: 1 };
    let first = mall.given_a_shopper_with(ada, &[wizards], "100.00").await;
    mall.given_it_is_approved(&first).await;
    let second = mall.given_a_shopper_with(bob, &[hats, wizards], "100.00").await;
    mall.given_it_is_approved(&second).await;
    mall.when_canceling(second.order()).await.succeeds();
    let (one, two) = (first.order().to_string(), second.order().to_string());
    let created = mall.order(second.order()).await["createdAt"].clone();
    let year: i32 = created.as_str().unwrap()[..4].parse().unwrap();
    assert!(year > 2000, "{created}");

    let document = "query($filter: OrderFilter, $sort: OrderSort) {
        orders(filter: $filter, sort: $sort) { nodes { id total { amount } } } }";
    let find = async |filter: Value, sort: &str| -> Vec<String> {
        let variables = json!({ "filter": filter, "sort": sort });
        let found = mall.ask(document, variables).await.succeeds();
        let nodes = found["orders"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    for (filter, expected) in [
        (json!({}), vec![&two, &one]),
        (json!({ "customerId": ada }), vec![&one]),
        (json!({ "storeIds": [toys] }), vec![&two]),
        (json!({ "storeIds": [books] }), vec![&two, &one]),
        (json!({ "storeIds": [books, toys] }), vec![&two, &one]),
        (json!({ "productIds": [hat] }), vec![&two]),
        (json!({ "statuses": ["CANCELED"] }), vec![&two]),
        (json!({ "statuses": ["APPROVED", "CANCELED"] }), vec![&two, &one]),
        (json!({ "statuses": [] }), vec![]),
        (json!({ "createdAfter": created }), vec![&two]),
        (json!({ "createdBefore": created }), vec![&one]),
        (json!({ "minTotal": "20.00" }), vec![&two]),
        (json!({ "maxTotal": "19.98" }), vec![&one]),
        (json!({ "minTotal": "19.98", "maxTotal": "24.98" }), vec![&two, &one]),
        (json!({ "text": "lovelace" }), vec![&one]),
        (json!({ "text": "pointed HAT" }), vec![&two]),
        (json!({ "text": "waldorf" }), vec![&two, &one]),
        (json!({ "text": "nobody" }), vec![]),
        (json!({ "customerId": ada, "storeIds": [toys] }), vec![]),
    ] {
        let words = filter.to_string();
        let found = find(filter, "CREATED_DESC").await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{words}");
    }
    assert_eq!(find(json!({}), "CREATED_ASC").await, [one.clone(), two.clone()]);
    assert_eq!(find(json!({}), "TOTAL_ASC").await, [one.clone(), two.clone()]);
    assert_eq!(find(json!({}), "TOTAL_DESC").await, [two, one]);
}
