//! What operators ask of the ledger itself: all of it, what led to what, and who
//! keeps up with it.

use mallbots_domain::id::CustomerId;
use serde_json::{Value, json};

use crate::support::{Mall, on_both_backends, within};

on_both_backends! {
    the_ledger_is_read_backwards_without_gaps,
    what_led_to_a_message_and_what_followed_is_told,
    consumers_and_sagas_are_counted,
}

const MESSAGE: &str = "id kind position stream version name actor causationId";

async fn the_ledger_is_read_backwards_without_gaps(mall: Mall) {
    for number in 0..5 {
        mall.given("registerBot", json!({ "name": format!("Bot {number}") })).await;
    }
    let document = "query($first: Int, $after: Cursor) { ledger(first: $first, after: $after) {
        nodes { position name kind } pageInfo { hasNextPage hasPreviousPage endCursor } } }";
    let mut positions = Vec::new();
    let mut after = Value::Null;
    loop {
        let answer = mall.ask(document, json!({ "first": 2, "after": after })).await.succeeds();
        let page = &answer["ledger"];
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        for node in page["nodes"].as_array().unwrap() {
            assert_eq!(node["name"], "depot.BotRegistered");
            assert_eq!(node["kind"], "EVENT");
            positions.push(node["position"].as_str().unwrap().parse::<u64>().unwrap());
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(positions, [5, 4, 3, 2, 1]);
    // Behind the last there is nothing.
    let answer = mall.ask(document, json!({ "first": 2, "after": after })).await.succeeds();
    assert_eq!(answer["ledger"]["nodes"], json!([]));
}

async fn what_led_to_a_message_and_what_followed_is_told(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let document = format!(
        "query($id: ID!) {{ history(id: $id) {{ nodes {{ {MESSAGE} cause {{ {MESSAGE} }}
            effects {{ {MESSAGE} effects {{ {MESSAGE} }} }} }} }} }}"
    );
    let answer = mall.ask(&document, json!({ "id": shopper.order().to_string() })).await.succeeds();
    let created = &answer["history"]["nodes"][0];
    assert_eq!(created["name"], "ordering.OrderCreated");
    assert_eq!(created["cause"]["name"], "baskets.BasketCheckedOut");
    assert_eq!(created["cause"]["id"], created["causationId"]);
    assert_eq!(created["cause"]["actor"], "admin");

    // The saga begins and asks the first context, which answers.
    let effects = created["effects"].as_array().unwrap();
    let command = effects.iter().find(|effect| effect["kind"] == "COMMAND").unwrap();
    assert_eq!(command["name"], "customers.AuthorizeCustomer");
    assert_eq!(command["stream"], shopper.customer.to_string());
    assert_eq!(command["version"], 0);
    let followed = command["effects"].as_array().unwrap();
    let kinds: Vec<_> = followed.iter().map(|effect| effect["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"EVENT") && kinds.contains(&"REPLY"), "{followed:?}");

    // Each of them can be asked for, and says the same.
    let document = format!("query($id: ID!) {{ ledgerEvent(id: $id) {{ {MESSAGE} }} }}");
    let answer = mall.ask(&document, json!({ "id": followed[0]["id"] })).await.succeeds();
    assert_eq!(answer["ledgerEvent"], followed[0]);
    let nobody = json!({ "id": "0190f5fe-0000-7000-8000-000000000000" });
    mall.ask(&document, nobody).await.is_refused("NOT_FOUND");
    mall.ask(&document, json!({ "id": "order_1" })).await.is_bad_input("id");
}

async fn consumers_and_sagas_are_counted(mall: Mall) {
    let document = "{ consumers { name lag } relay { lag } sagaStateCounts { state count } }";
    let answer = mall.ask(document, json!({})).await.succeeds();
    assert_eq!(answer["relay"], Value::Null, "nothing is relayed without NATS");
    let states: Vec<_> = answer["sagaStateCounts"].as_array().unwrap().iter().collect();
    assert!(states.iter().all(|counted| counted["count"] == 0), "{states:?}");
    assert_eq!(states.len(), 5);

    mall.given_an_approved_order().await;
    let shopper = mall.given_a_shopper().await;
    let customer: CustomerId = shopper.customer;
    mall.given("disableCustomer", json!({ "id": customer })).await;
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
    within("both sagas to end and everybody to have caught up", async {
        loop {
            let answer = mall.ask(document, json!({})).await.succeeds();
            let count = |state: &str| {
                let counts = answer["sagaStateCounts"].as_array().unwrap();
                counts.iter().find(|counted| counted["state"] == state).unwrap()["count"].clone()
            };
            let consumers = answer["consumers"].as_array().unwrap();
            let names: Vec<_> = consumers.iter().map(|it| it["name"].as_str().unwrap()).collect();
            assert!(names.contains(&"depot") && names.contains(&"notifier"), "{names:?}");
            let quiet = consumers.iter().all(|consumer| consumer["lag"] == 0);
            if quiet && count("COMPLETED") == 1 && count("COMPENSATED") == 1 {
                break;
            }
        }
    })
    .await;
}
