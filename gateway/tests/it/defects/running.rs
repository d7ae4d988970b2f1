//! Running it (D76, D83, D84).

use std::time::{Duration, Instant};

use mallbots_gateway::client::Backoff;
use serde_json::{Value, json};

use crate::support::{Line, Mall, PATIENCE};

#[tokio::test]
async fn d76_readiness_says_whether_it_can_serve() {
    let mall = Mall::open_on_postgres().await;
    let ready = async || {
        let (status, report) = mall.get("/readyz").await;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["ready"], status == 200, "{report}");
        (status, report)
    };
    let (status, report) = ready().await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(mall.get("/livez").await.0, 200);

    // Without its database it lives, but says that it is not ready, and why.
    mall.let_it_reach_its_database(false).await;
    let (status, report) = ready().await;
    assert_eq!(status, 503, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let ledger = checks.iter().find(|check| check["name"] == "ledger").unwrap();
    assert_eq!(ledger["status"], "not ready");
    assert!(ledger["reason"].is_string());
    assert_eq!(mall.get("/livez").await.0, 200);

    mall.let_it_reach_its_database(true).await;
    let mut backoff = Backoff::lasting(PATIENCE);
    while ready().await.0 != 200 {
        assert!(backoff.wait().await, "it is never ready again");
    }
}

#[tokio::test]
async fn d83_an_idle_saga_waits_for_no_poll() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard", "9.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let line = Line { store, product, quantity: 1 };
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let shopper = mall.given_a_shopper_with(customer, &[line], "9.99").await;
        let begun = Instant::now();
        mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
        mall.progress_through(shopper.order(), |item| item.title == "The order was approved.")
            .await;
        fastest = fastest.min(begun.elapsed());
    }
    // Ten polls of the book's outbox take a second and a half.
    assert!(fastest < Duration::from_millis(750), "{fastest:?}");
}

#[tokio::test]
async fn d84_migrations_alone_make_a_database() {
    let mut mall = Mall::open_on_postgres().await;
    assert!(mall.stop().await.success());
    let (ledger, _) = mall.databases().await;
    sea_orm::ConnectionTrait::execute_unprepared(
        &ledger.write,
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
    )
    .await
    .unwrap();
    ledger.close().await.unwrap();
    mall.reopen().await;
    mall.given_an_approved_order().await;
    let models = mall.ask("{ projections { name parked } }", json!({})).await.succeeds();
    assert!(models["projections"].as_array().unwrap().len() > 10);
}
