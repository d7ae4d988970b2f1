//! What a router asks: things by their keys, for whoever may see them, and what
//! this schema adds to a larger one. How it composes with others and what comes
//! through a gateway is told by `tests/clients/federation.test.mjs`.

use mallbots_domain::id::{CustomerId, OrderId};
use mallbots_gateway::{
    auth::{Rights, Role},
    config::Secret,
};
use serde_json::{Value, json};

use crate::{
    auth::{KEYS, guarded_mall, rights, token},
    support::{Mall, new_id, within},
};

const ENTITIES: &str = "query($r: [_Any!]!) { _entities(representations: $r) { __typename
    ... on Customer { name } ... on Store { name } ... on Order { customer { name } } } }";

fn named(name: &str, id: impl serde::Serialize) -> Value {
    json!({ "__typename": name, "id": id })
}

/// Asks with these tokens: of whoever is behind it, and of the router itself.
async fn ask(
    mall: &Mall,
    user: Option<&Secret>,
    router: Option<&Secret>,
    document: &str,
    variables: Value,
) -> (u16, Value) {
    let body = json!({ "query": document, "variables": variables });
    let mut request = reqwest::Client::new()
        .post(mall.client.url().clone())
        .header("content-type", "application/json")
        .body(body.to_string());
    for (name, token) in [("authorization", user), ("router-authorization", router)] {
        if let Some(token) = token {
            request = request.header(name, format!("Bearer {}", token.expose()));
        }
    }
    let response = within("an answer", request.send()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn things_come_in_the_order_of_their_keys_and_null_for_what_is_not_there() {
    let mall = Mall::open().await;
    let store = mall.given_a_store("Waldorf").await;
    let customer = mall.given_a_customer("Ada").await;
    let representations = json!([
        named("Store", store),
        named("Customer", new_id::<CustomerId>()),
        named("Customer", customer),
        // Whoever mixes them up has the key of nothing.
        named("Customer", store),
        named("Nowhere", store),
        named("Store", "not a key"),
        named("Store", store),
    ]);
    let answer = mall.ask(ENTITIES, json!({ "r": representations })).await.succeeds();
    let store = json!({ "__typename": "Store", "name": "Waldorf" });
    let ada = json!({ "__typename": "Customer", "name": "Ada" });
    assert_eq!(answer["_entities"], json!([store, null, ada, null, null, null, store]));
}

#[tokio::test]
async fn what_is_no_representation_is_refused() {
    let mall = Mall::open().await;
    let many = vec![named("Order", new_id::<OrderId>()); 101];
    mall.ask(ENTITIES, json!({ "r": many })).await.is_bad_input("representations");
    mall.ask(ENTITIES, json!({ "r": many[..100] })).await.succeeds();
    for broken in [json!("Order"), json!({ "__typename": "Order" }), json!({ "id": "x" })] {
        mall.ask(ENTITIES, json!({ "r": [broken] })).await.is_refused("BAD_USER_INPUT");
    }
    // Each of them counts for all that is asked of it.
    let dear = "query($r: [_Any!]!) { _entities(representations: $r) {
        ... on Customer { orders(first: 100) { nodes { id } } } } }";
    mall.ask(dear, json!({ "r": many[..1] })).await.succeeds();
    mall.ask(dear, json!({ "r": many[..100] })).await.is_refused("QUERY_TOO_COSTLY");
}

#[tokio::test]
async fn a_router_sees_what_whoever_asked_it_may_see() {
    let mall = guarded_mall().await;
    let (own, other) = (mall.given_a_customer("Ada").await, mall.given_a_customer("Bob").await);
    let store = mall.given_a_store("Waldorf").await;
    let router = token("router", &rights(&[Role::Router]));
    let ada = Rights { customer: Some(own), ..rights(&[Role::Customer]) };
    let ada = token("ada", &ada);
    let everybodys = json!({ "r": [named("Store", store)] });
    let stores = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Store { name } } }";
    let somebodys = json!({ "r": [named("Customer", own), named("Customer", other)] });
    let found = |answer: &Value| answer["data"]["_entities"].clone();
    let code = |answer: &Value| answer["errors"][0]["extensions"]["code"].clone();

    // A customer cannot ask like a router, nor a router like a customer.
    let (_, answer) = ask(&mall, Some(&ada), None, stores, everybodys.clone()).await;
    assert_eq!(code(&answer), "FORBIDDEN");
    let (_, answer) = ask(&mall, Some(&router), None, stores, everybodys.clone()).await;
    assert_eq!(found(&answer), json!([{ "name": "Waldorf" }]));
    let (_, answer) = ask(&mall, Some(&router), None, ENTITIES, somebodys.clone()).await;
    assert_eq!(code(&answer), "FORBIDDEN");

    // A router on a customer's behalf sees theirs, and nobody else's.
    let (_, answer) = ask(&mall, Some(&ada), Some(&router), ENTITIES, somebodys.clone()).await;
    assert_eq!(found(&answer), json!([{ "__typename": "Customer", "name": "Ada" }, null]));
    let (_, answer) = ask(&mall, None, Some(&router), stores, everybodys.clone()).await;
    assert_eq!(found(&answer), json!([{ "name": "Waldorf" }]));

    // The second token counts only if it is a router's, and never for the first.
    for (user, router) in [(&ada, &ada), (&router, &ada)] {
        let (status, answer) =
            ask(&mall, Some(user), Some(router), stores, everybodys.clone()).await;
        assert_eq!((status, code(&answer)), (401, json!("UNAUTHENTICATED")));
    }
    let broken: Secret = "no.such.token".parse().unwrap();
    let (status, _) = ask(&mall, Some(&broken), Some(&router), stores, everybodys).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_the_schema_adds_is_told_like_the_schema_itself() {
    const SERVICE: &str = "{ _service { sdl } }";
    let mall = guarded_mall().await;
    let code = |answer: &Value| answer["errors"][0]["extensions"]["code"].clone();
    let router = |schema| token("router", &Rights { schema, ..rights(&[Role::Router]) });
    let (_, answer) = ask(&mall, Some(&router(true)), None, SERVICE, json!({})).await;
    let sdl = answer["data"]["_service"]["sdl"].as_str().unwrap();
    assert!(sdl.starts_with("extend schema @link("), "{sdl}");
    assert!(sdl.contains("type Subscription {"), "{sdl}");
    let (_, answer) = ask(&mall, Some(&router(false)), None, SERVICE, json!({})).await;
    assert_eq!(code(&answer), "FORBIDDEN");

    // With the switch off it is told to nobody; what a running router needs goes on.
    let settings = [&KEYS[..], &[("MALLBOTS_INTROSPECTION", "false")]].concat();
    let mall = Mall::open_with(&settings).await;
    let (_, answer) = ask(&mall, Some(&router(true)), None, SERVICE, json!({})).await;
    assert_eq!(code(&answer), "FORBIDDEN");
    let none = json!({ "r": [named("Store", "x")] });
    let stores = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Store { name } } }";
    let (_, answer) = ask(&mall, Some(&router(true)), None, stores, none).await;
    assert_eq!(answer["data"]["_entities"], json!([null]));
}
