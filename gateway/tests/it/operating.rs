//! The commands for operators, against a real mall.

use mallbots_domain::{
    id::{CustomerId, EntityId, OrderId},
    saga::{Direction, SagaCommand, Try},
};
use mallbots_messaging::envelope;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Ended, Mall, new_id, on_both_backends, within};

/// Runs a command against the mall.
async fn operate(mall: &Mall, arguments: &[&str], input: &str) -> Ended {
    let url = mall.client.url().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--url", &url]).collect();
    mall.command(&arguments, input).await
}

async fn read_models_are_listed_and_rebuilt(mall: Mall) {
    mall.given("createStore", json!({ "name": "Kites", "location": "Roof" })).await;
    let list = operate(&mall, &["projections", "list"], "").await;
    assert_eq!(list.code, Some(0), "{list:?}");
    assert!(list.out.starts_with("NAME"), "{list:?}");
    assert!(list.out.contains("\norder_timeline "), "{list:?}");

    let one = operate(&mall, &["projections", "rebuild", "stores", "orders"], "").await;
    assert_eq!((one.code, &*one.out), (Some(0), "stores: rebuilt\norders: rebuilt\n"), "{one:?}");
    let all = operate(&mall, &["projections", "rebuild", "--all", "--json"], "").await;
    assert_eq!(all.code, Some(0), "{all:?}");
    assert_eq!(all.json(), json!([{ "name": "all", "state": "DONE", "error": null }]));
    let stores = mall.ask("{ stores { nodes { name } } }", json!({})).await.succeeds();
    assert_eq!(stores["stores"]["nodes"], json!([{ "name": "Kites" }]));
    let list = operate(&mall, &["projections", "list", "--json"], "").await.json();
    assert!(list.as_array().unwrap().iter().all(|it| it["rebuild"]["state"] == "DONE"), "{list}");

    let unknown = operate(&mall, &["projections", "rebuild", "hats"], "").await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("PROJECTION_NOT_FOUND"), "{unknown:?}");
}

/// A command that no context can read, about this customer, as it stands in
/// the ledger.
async fn broken_command(mall: &Mall, customer: CustomerId) {
    let (ledger, views) = mall.databases().await;
    let (id, partition) = (Uuid::now_v7(), customer.any().partition());
    let metadata = json!({ "actor": "test", "command_id": id, "correlation_id": id });
    for sql in [
        "UPDATE ledger_head SET position = position + 1".to_owned(),
        format!(
            "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                partition, message_id, payload, metadata, recorded_at)
             SELECT position, 'command', '{customer}', 0, 'customers.AuthorizeCustomer', 1,
                {partition}, '{id}', '{{\"broken\":true}}', '{metadata}', 0 FROM ledger_head"
        ),
    ] {
        ledger.write.execute_unprepared(&sql).await.unwrap();
    }
    ledger.close().await.unwrap();
    views.close().await.unwrap();
}

/// What the command should have said.
fn mended(customer: CustomerId) -> String {
    let order: OrderId = new_id();
    let of =
        Try { step: "AuthorizeCustomer".to_owned(), direction: Direction::Forward, attempt: 1 };
    let command = SagaCommand::AuthorizeCustomer { order_id: order, customer_id: customer };
    envelope::command(order.create_saga(), &of, command).unwrap().payload
}

/// Waits until so many messages are parked.
async fn parked(mall: &Mall, count: usize) -> Vec<Value> {
    within("messages to be parked", async {
        loop {
            // The saga that never was cannot take the answer in, which is its own matter.
            let arguments = ["dlq", "list", "--consumer", "customers", "--json"];
            let list = operate(mall, &arguments, "").await;
            assert_eq!(list.code, Some(0), "{list:?}");
            let letters = list.json().as_array().unwrap().clone();
            if letters.len() == count {
                return letters;
            }
        }
    })
    .await
}

async fn parked_messages_are_listed_shown_retried_mended_and_thrown_away(mut mall: Mall) {
    let none = operate(&mall, &["dlq", "list"], "").await;
    assert_eq!((none.code, &*none.out), (Some(0), "Nothing is parked.\n"), "{none:?}");
    assert!(mall.stop().await.success());
    let (first, second): (CustomerId, CustomerId) = (new_id(), new_id());
    broken_command(&mall, first).await;
    broken_command(&mall, first).await;
    broken_command(&mall, second).await;
    mall.reopen().await;

    let letters = parked(&mall, 3).await;
    let id = |number: usize| letters[number]["id"].as_str().unwrap();
    let list = operate(&mall, &["dlq", "list", "--consumer", "customers"], "").await;
    assert_eq!(list.out.lines().count(), 4, "{list:?}");
    assert!(list.out.contains("customers.AuthorizeCustomer"), "{list:?}");
    let none = operate(&mall, &["dlq", "list", "--consumer", "depot", "--json"], "").await;
    assert_eq!(none.json(), json!([]));
    let shown = operate(&mall, &["dlq", "show", id(0)], "").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("\"broken\": true"), "{shown:?}");
    assert!(shown.out.contains("behind it     1"), "{shown:?}");

    let again = operate(&mall, &["dlq", "retry", id(0), "--wait", "1s"], "").await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.out.contains("still parked"), "{again:?}");
    let wrong = operate(&mall, &["dlq", "edit", id(0), "--payload", "-"], "[1]").await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("not a JSON object"), "{wrong:?}");
    let same = operate(&mall, &["dlq", "edit", id(0), "--editor", "true"], "").await;
    assert_eq!((same.code, &*same.out), (Some(0), ""), "{same:?}");

    let payload = mended(first);
    let done = operate(&mall, &["dlq", "edit", id(0), "--payload", "-", "--json"], &payload).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json(), json!([{ "id": id(0), "outcome": "HANDLED", "reason": null }]));
    // The one behind it is no better than before.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mended(first)).unwrap();
    let editor = format!("cp {}", file.path().display());
    let done = operate(&mall, &["dlq", "edit", id(1), "--editor", &editor], "").await;
    assert_eq!((done.code, done.out), (Some(0), format!("{}: handled\n", id(1))), "{}", done.err);
    let gone = operate(&mall, &["dlq", "discard", id(2)], "").await;
    assert_eq!((gone.code, gone.out), (Some(0), format!("{}: thrown away\n", id(2))));
    parked(&mall, 0).await;
    let unknown = operate(&mall, &["dlq", "show", id(2)], "").await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("is not parked"), "{unknown:?}");
}

on_both_backends!(
    read_models_are_listed_and_rebuilt,
    parked_messages_are_listed_shown_retried_mended_and_thrown_away,
);

#[tokio::test]
async fn a_mall_that_is_away_and_a_wrong_word_are_told_apart() {
    let mut mall = Mall::open().await;
    let url = mall.client.url().to_string();
    assert!(mall.stop().await.success());
    let away = mall.command(&["dlq", "list", "--url", &url], "").await;
    assert_eq!(away.code, Some(3), "{away:?}");
    for wrong in [&["dlq", "lost"] as &[_], &["projections", "rebuild"], &["dlq", "retry"]] {
        let wrong = mall.command(wrong, "").await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
    let address = mall.command(&["dlq", "list", "--url", "nowhere"], "").await;
    assert_eq!(address.code, Some(2), "{address:?}");
    let help = mall.command(&["dlq", "edit", "--help"], "").await;
    assert!(help.out.contains("Examples:") && help.out.contains("Exit codes:"), "{help:?}");
}
