use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use mallbots_domain::id::{CustomerId, EntityId};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    operations::{
        Amount, Done, Operation, disable_customer, order_status_counts, register_customer,
    },
    *,
};

/// What a mall does next.
enum Script {
    Answer(Value),
    Status(u16, &'static str),
    BreakOff,
}

/// What was sent: its idempotency key, and its body.
type Heard = (Option<String>, Value);

/// A mall that follows a script and remembers what was sent.
#[derive(Clone, Default)]
struct Mall {
    script: Arc<Mutex<VecDeque<Script>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Mall {
    async fn open(script: impl IntoIterator<Item = Script>) -> (Self, Client, JoinSet<()>) {
        let mall = Self::default();
        mall.script.lock().unwrap().extend(script);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&url_of(listener.local_addr().unwrap())).unwrap();
        let router = Router::new().route("/graphql", post(answer)).with_state(mall.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (mall, client, serving)
    }

    fn keys(&self) -> Vec<Option<String>> {
        self.heard.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }
}

async fn answer(State(mall): State<Mall>, headers: HeaderMap, body: String) -> Response {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    mall.heard.lock().unwrap().push((key, serde_json::from_str(&body).unwrap()));
    match mall.script.lock().unwrap().pop_front().unwrap() {
        Script::Answer(value) => axum::Json(value).into_response(),
        Script::Status(status, text) => {
            (StatusCode::from_u16(status).unwrap(), text).into_response()
        }
        Script::BreakOff => {
            let broken = futures_util::stream::once(async { Err::<&str, _>(io::Error::other("")) });
            Body::from_stream(broken).into_response()
        }
    }
}

fn problem(code: &str, reason: Option<&str>) -> Script {
    let error = json!({ "message": "no", "extensions": { "code": code, "reason": reason } });
    Script::Answer(json!({ "data": null, "errors": [error] }))
}

fn registered() -> Script {
    Script::Answer(json!({ "data": { "registerCustomer": { "position": "7" } } }))
}

fn registration() -> Operation<Done> {
    register_customer(CustomerId::from_uuid(Uuid::now_v7()), "Ada", "+15550000000")
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_mutation_is_sent_again_under_the_same_key_until_it_is_answered() {
    let script = [
        Script::BreakOff,
        Script::Status(503, "<html>"),
        problem("UNAVAILABLE", None),
        problem("TIMEOUT", None),
        registered(),
        registered(),
    ];
    let (mall, client, _serving) = Mall::open(script).await;
    let mut retries = Vec::new();
    let done = client
        .insist(&registration(), PATIENCE, |error| retries.push(error.code().to_owned()))
        .await
        .unwrap();
    assert_eq!(done.position, "7");
    assert_eq!(retries, ["UNREACHABLE", "UNREACHABLE", "UNAVAILABLE", "TIMEOUT"]);

    client.insist(&registration(), PATIENCE, |_| ()).await.unwrap();
    let keys = mall.keys();
    assert!(keys[..5].iter().all(|key| key.is_some() && *key == keys[0]), "{keys:?}");
    assert_ne!(keys[5], keys[0]);
    let heard = mall.heard.lock().unwrap();
    assert!(heard[..5].iter().all(|(_, body)| *body == heard[0].1));
}

#[tokio::test]
async fn a_refusal_is_told_at_once_in_the_malls_words() {
    let (mall, client, _serving) = Mall::open([problem("CONFLICT", Some("CUSTOMER_EXISTS"))]).await;
    let error = client.insist(&registration(), PATIENCE, |_| ()).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.code(), problem.reason()), ("CONFLICT", "CUSTOMER_EXISTS"));
    assert_eq!(error.to_string(), "no (CONFLICT, CUSTOMER_EXISTS)");
    assert_eq!(mall.keys().len(), 1);
}

#[tokio::test]
async fn a_query_has_no_key_and_half_an_answer_is_none() {
    let half = json!({
        "data": { "orderStatusCounts": [] },
        "errors": [{ "message": "internal server error" }],
    });
    let counts = json!({ "data": { "orderStatusCounts": [{ "status": "READY", "count": 3 }] } });
    let (mall, client, _serving) = Mall::open([Script::Answer(half), Script::Answer(counts)]).await;
    let error = client.call(&order_status_counts(), None).await.unwrap_err();
    assert_eq!(error.code(), "INTERNAL_SERVER_ERROR");
    let counts = client.call(&order_status_counts(), None).await.unwrap();
    assert_eq!(counts[0].count, 3);
    assert_eq!(mall.keys(), [None, None]);
}

#[tokio::test]
async fn what_is_not_graphql_is_told_apart_from_a_mall_that_is_away() {
    let script = [
        Script::Status(404, "nothing here"),
        Script::Status(502, "bad gateway"),
        Script::Answer(json!({ "data": {} })),
        Script::Answer(json!({})),
    ];
    let (_mall, client, _serving) = Mall::open(script).await;
    for (code, transient) in
        [("GARBLED", false), ("UNREACHABLE", true), ("GARBLED", false), ("GARBLED", false)]
    {
        let error = client.call(&order_status_counts(), None).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), (code, transient), "{error:?}");
    }
}

#[tokio::test]
async fn patience_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&url_of(listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let patience = Duration::from_millis(120);
    let error = client.insist(&registration(), patience, |_| ()).await.unwrap_err();
    assert_eq!(error.code(), "UNREACHABLE");
    assert_eq!(client.subscribe(&order_status_counts()).await.unwrap_err().code(), "UNREACHABLE");
}

#[tokio::test]
async fn a_door_without_sockets_is_told_from_one_that_refuses() {
    let (_mall, client, _serving) = Mall::open([]).await;
    // Only POST is served there.
    let error = client.subscribe(&order_status_counts()).await.unwrap_err();
    assert_eq!(error.code(), "GARBLED", "{error:?}");
}

#[test]
fn addresses_are_checked() {
    for url in ["http://127.0.0.1:8080/graphql", "https://mall.example/graphql"] {
        assert!(Client::new(url).is_ok(), "{url}");
    }
    for url in ["", "localhost:8080", "ftp://mall.example", "http://"] {
        assert!(matches!(Client::new(url), Err(SetupError::Address(_))), "{url}");
    }
}

#[test]
fn amounts_are_read_as_they_are_written() {
    for minor in [0, 1, 99, 100, 1234, i64::MAX] {
        let text = Amount(minor).to_string();
        assert_eq!(text.parse(), Ok(Amount(minor)), "{text}");
    }
    assert_eq!(Amount(1205).to_string(), "12.05");
    for text in
        ["", ".", "1", "1.", ".50", "1.5", "1.555", "-1.00", "1.-5", "99999999999999999999.00"]
    {
        assert!(text.parse::<Amount>().is_err(), "{text}");
    }
}

#[test]
fn a_mutation_knows_what_it_is_about() {
    let id = CustomerId::from_uuid(Uuid::now_v7());
    let operation = disable_customer(id);
    assert!(operation.is_mutation());
    assert_eq!(operation.subject(), Some(id.to_string().as_str()));
    assert_eq!(
        operation.document(),
        "mutation disableCustomer($input: DisableCustomerInput!) \
         { disableCustomer(input: $input) { position customer { id enabled } } }"
    );
    assert_eq!(order_status_counts().subject(), None);
}

/// The operation with its fields left out, so that it is checked as a whole
/// and then nothing is done.
fn left_out(document: &str) -> String {
    let (head, body) = document.split_at(document.find('{').unwrap());
    format!("{head}{{ ... @skip(if: true) {body} }}")
}

/// Checks an operation against the schema.
async fn fits<T>(operation: Operation<T>) {
    let schema = crate::graphql::schema_builder().finish();
    let variables = async_graphql::Variables::from_json(operation.variables());
    let document = left_out(operation.document());
    let request = async_graphql::Request::new(&document).variables(variables);
    let mut responses = std::pin::pin!(schema.execute_stream(request));
    while let Some(response) = futures_util::StreamExt::next(&mut responses).await {
        assert!(response.errors.is_empty(), "{document}\n{:?}", response.errors);
    }
}

#[tokio::test]
async fn every_operation_fits_the_schema() {
    use mallbots_domain::{
        depot::shopping_list::ShoppingListStatus,
        id::{BasketId, BotId, OrderId, PaymentId, ProductId, StoreId},
        ordering::OrderStatus,
    };
    use operations::*;

    let uuid = Uuid::now_v7();
    let (store_id, product_id) = (StoreId::from_uuid(uuid), ProductId::from_uuid(uuid));
    let (customer_id, basket_id) = (CustomerId::from_uuid(uuid), BasketId::from_uuid(uuid));
    let (payment_id, bot_id) = (PaymentId::from_uuid(uuid), BotId::from_uuid(uuid));
    let order_id = OrderId::from_uuid(uuid);
    let (list_id, invoice_id) = (order_id.shopping_list(), order_id.invoice());
    let price = Amount(999);
    let product = NewProduct {
        store_id,
        name: "Kite".to_owned(),
        description: String::new(),
        sku: "K".to_owned(),
        price,
        id: Some(product_id),
    };
    let shortage = Shortage { product_id, reason: "sold out".to_owned() };

    fits(stores(End::First(1))).await;
    fits(any_store()).await;
    fits(store(store_id)).await;
    fits(products(store_id, End::Last(1))).await;
    fits(create_store(store_id, "Kites", "Roof")).await;
    fits(rebrand_store(store_id, "Kites")).await;
    fits(enable_store_participation(store_id)).await;
    fits(disable_store_participation(store_id)).await;
    fits(add_product(&product)).await;
    fits(rebrand_product(product_id, "Kite", "")).await;
    fits(increase_product_price(product_id, price)).await;
    fits(decrease_product_price(product_id, price)).await;
    fits(remove_product(product_id)).await;
    fits(register_customer(customer_id, "Ada", "+15550000000")).await;
    fits(change_sms_number(customer_id, "+15550000000")).await;
    fits(enable_customer(customer_id)).await;
    fits(disable_customer(customer_id)).await;
    fits(start_basket(basket_id, customer_id)).await;
    fits(add_basket_item(basket_id, product_id, 1)).await;
    fits(remove_basket_item(basket_id, product_id, 1)).await;
    fits(cancel_basket(basket_id)).await;
    fits(checkout_basket(basket_id, payment_id, true)).await;
    fits(basket(basket_id)).await;
    fits(order_changed(order_id)).await;
    fits(orders_changed(&[OrderStatus::InProgress])).await;
    fits(orders(1, &[OrderStatus::Ready])).await;
    fits(order_status_counts()).await;
    fits(cancel_order(order_id, "no")).await;
    fits(authorize_payment(payment_id, customer_id, price)).await;
    fits(pay_invoice(invoice_id)).await;
    fits(adjust_invoice(invoice_id, price)).await;
    fits(bots(1)).await;
    fits(register_bot(bot_id, "Bolt")).await;
    fits(bring_bot_online(bot_id)).await;
    fits(take_bot_offline(bot_id)).await;
    fits(shopping_list(list_id)).await;
    fits(shopping_lists(1, &[ShoppingListStatus::Available])).await;
    fits(shopping_lists_changed(&[ShoppingListStatus::Active])).await;
    fits(assign_shopping_list(list_id, bot_id)).await;
    fits(start_shopping(list_id)).await;
    fits(pick_item(list_id, store_id, product_id, 1)).await;
    fits(complete_shopping_list(list_id, &[shortage])).await;

    let letter = "deadletter_01h455vb4pex5vsknk084sn02q";
    fits(operating::projections()).await;
    fits(operating::rebuild_projection("orders")).await;
    fits(operating::dead_letters(1, None)).await;
    fits(operating::dead_letter(letter)).await;
    fits(operating::retry_dead_letter(letter, Some("{}"))).await;
    fits(operating::discard_dead_letter(letter)).await;

    let (order, saga) = (order_id.to_string(), order_id.create_saga().to_string());
    let filter = details::OrderFilter::default();
    fits(details::orders(&filter, details::OrderSort::TotalAsc, 1, None)).await;
    fits(details::order_counts(&filter)).await;
    fits(details::order(&order)).await;
    fits(details::sagas(Some(&[mallbots_domain::saga::SagaState::Stuck]), 1, None)).await;
    fits(details::saga(&saga)).await;
    fits(details::retry_saga(&saga)).await;
    fits(details::history(&order, 1, None)).await;
    fits(details::history_changed(&order, None)).await;
}

#[tokio::test]
#[should_panic(expected = "Unknown field")]
async fn an_operation_that_does_not_fit_the_schema_is_noticed() {
    let document = "query stores { stores { nodes { nonsense } } }";
    fits(Operation::<Value>::query("stores", document, json!({}))).await;
}
