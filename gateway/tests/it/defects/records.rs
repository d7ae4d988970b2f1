//! What is recorded, and what is made of it (D17–D49).

use std::{fs, path::Path};

use futures_util::future::join_all;
use mallbots_eventstore::connect::Database;
use sea_orm::{FromQueryResult, JsonValue, Statement};
use serde_json::json;

use crate::support::{Mall, Outcome};

/// One column of all rows of a query.
async fn column(database: &Database, sql: &str, name: &str) -> Vec<JsonValue> {
    let statement = Statement::from_string(database.read.get_database_backend(), sql);
    let rows = JsonValue::find_by_statement(statement).all(&database.read).await.unwrap();
    rows.into_iter().map(|mut row| row[name].take()).collect()
}

#[tokio::test]
async fn d17_what_was_handled_is_not_kept_for_ever() {
    let mut mall = Mall::open().await;
    for _ in 0..3 {
        mall.given_an_approved_order().await;
    }
    assert!(mall.stop().await.success());
    let (ledger, _) = mall.databases().await;
    let kept = column(&ledger, "SELECT consumer FROM inbox", "consumer").await;
    assert!(kept.is_empty(), "{kept:?}");
}

#[tokio::test]
async fn d24_what_is_said_twice_is_taken_in_once() {
    let mall = Mall::open().await;
    let id: mallbots_domain::id::CustomerId = crate::support::new_id();
    let input = json!({ "id": id, "name": "Ada", "smsNumber": "+15550100" });
    for _ in 0..3 {
        mall.given("registerCustomer", input.clone()).await;
    }
    let customers = mall.ask("{ customers { nodes { id } } }", json!({})).await.succeeds();
    assert_eq!(customers["customers"]["nodes"], json!([{ "id": id }]));
    let models = mall.ask("{ projections { name parked lag } }", json!({})).await.succeeds();
    for model in models["projections"].as_array().unwrap() {
        assert_eq!((&model["parked"], &model["lag"]), (&json!(0), &json!(0)), "{model}");
    }
}

#[tokio::test]
async fn d25_prices_travel_as_they_are_not_as_differences() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    mall.given("increaseProductPrice", json!({ "id": product, "price": "12.50" })).await;
    mall.given("decreaseProductPrice", json!({ "id": product, "price": "5.00" })).await;
    let document = "query($id: ID!) { history(id: $id) { nodes { name payload } } }";
    let history = mall.ask(document, json!({ "id": product })).await.succeeds();
    let prices: Vec<_> = history["history"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|event| {
            let payload: JsonValue =
                serde_json::from_str(event["payload"].as_str().unwrap()).unwrap();
            (event["name"].as_str().unwrap().to_owned(), payload)
        })
        .collect();
    assert_eq!(
        prices,
        [
            ("stores.ProductPriceIncreased".to_owned(), json!({ "old": 999, "new": 1250 })),
            ("stores.ProductPriceDecreased".to_owned(), json!({ "old": 1250, "new": 500 })),
        ]
    );
}

#[tokio::test]
async fn d26_a_removed_product_does_not_come_back() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    mall.given("removeProduct", json!({ "id": product })).await;

    // Not even when all that was said of it is told again.
    mall.given("rebuildProjection", json!({ "name": "products" })).await;
    let mut watch = mall.watch("projectionsChanged", &[], "name rebuilding").await;
    watch
        .until(|models| {
            let mut models = models.as_array().unwrap().iter();
            models.all(|model| model["rebuilding"].is_null())
        })
        .await;
    let removed = mall.read("product", product, "removed").await;
    assert_eq!(removed["removed"], true);
    let shelf = mall.read("store", store, "products { nodes { id } }").await;
    assert_eq!(shelf["products"]["nodes"], json!([]));
}

#[tokio::test]
async fn d42_of_eight_parallel_additions_all_count() {
    let mall = Mall::open().await;
    let shopper = mall.given_a_shopper().await;
    let product = shopper.lines[0].product;
    let attempts = (0..8).map(|_| mall.when_adding(shopper.basket, 1, product));
    for attempt in join_all(attempts).await {
        attempt.succeeds();
    }
    let basket = mall.read("basket", shopper.basket, "items { quantity }").await;
    assert_eq!(basket["items"], json!([{ "quantity": 10 }]));
}

#[tokio::test]
async fn d46_of_eight_parallel_payments_of_an_invoice_one_succeeds() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;
    let invoice = shopper.order().invoice();
    let attempts = (0..8).map(|_| mall.when("payInvoice", json!({ "id": invoice })));
    let (paid, refused): (Vec<Outcome>, Vec<Outcome>) =
        join_all(attempts).await.into_iter().partition(|attempt| attempt.0.is_ok());
    assert_eq!(paid.len(), 1);
    for attempt in refused {
        attempt.is_refused("FAILED_PRECONDITION").because("INVOICE_ALREADY_PAID");
    }
    mall.then_the_history(invoice, &["payments.InvoiceCreated", "payments.InvoicePaid"]).await;
}

/// All source text below a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[tokio::test]
async fn d49_no_table_is_dead() {
    let mut mall = Mall::open().await;
    assert!(mall.stop().await.success());
    let (ledger, views) = mall.databases().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (database, rooms) in
        [(ledger, ["eventstore", "messaging"].as_slice()), (views, ["projections"].as_slice())]
    {
        let code: String = rooms.iter().map(|room| sources(&root.join(room).join("src"))).collect();
        let tables = column(
            &database,
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            "name",
        )
        .await;
        assert!(tables.len() > 8, "{tables:?}");
        for table in tables {
            let table = table.as_str().unwrap();
            let of_migrations = table.contains("migrations");
            assert!(of_migrations || code.contains(table), "nothing speaks of {table}");
        }
    }
}
