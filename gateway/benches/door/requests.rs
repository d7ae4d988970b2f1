//! Queries over HTTP.

use std::{sync::Arc, time::Duration};

use mallbots_domain::id::{BasketId, CustomerId, EntityId, PaymentId, ProductId, StoreId};
use mallbots_gateway::client::{
    Client,
    operations::{self, Amount, NewProduct},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    process::Server,
    row,
    wire::{self, Requests},
};

/// As many as the load generator of the first measurements had.
const CONNECTIONS: usize = 32;

/// A row by its id, next to a handler that reads the same row with `sqlx`.
pub(crate) async fn one_row(backend: &str, time: Duration) {
    let mall = Mall::open(backend);
    let store = mall.a_store().await;
    let query = "query($id: ID!) { store(id: $id) { id name location participating } }";
    let own = asked("/graphql", query, &json!({ "id": store }));
    let bare = wire::request("GET", &format!("/bare/{store}"), "");
    mall.answer_alike(&own, &bare).await;
    let ratio = compare((&mall.own, &own), (&mall.other, &bare), time).await;
    row(
        &format!("one row over GraphQL / a bare handler, {backend}"),
        &ratio.told(),
        "≥ 0.7",
        Some(ratio.quotient >= 0.7),
    );
}

/// A page of orders with what is in them and whose they are, next to the stock
/// integration over the same resolvers.
pub(crate) async fn twenty_orders(backend: &str, time: Duration) {
    let mall = Mall::open(backend);
    mall.sell(20).await;
    let query = "{ orders(first: 20) { nodes { id status total { amount currency } \
         items { productName storeName quantity price { amount } } customer { id name } } } }";
    let request = asked("/graphql", query, &json!({}));
    mall.answer_alike(&request, &request).await;
    let stock = (&*mall.other, &*request);
    let ratio = compare((&mall.own, &request), stock, time).await;
    row(
        &format!("20 orders with items and customers / stock, {backend}"),
        &ratio.told(),
        "≥ 1.2",
        Some(ratio.quotient >= 1.2),
    );
    // What the same executor does without any door: more cannot be had.
    let executed = asked("/executed", query, &json!({}));
    let ratio = compare((&mall.other, &executed), stock, time).await;
    row(&format!("20 orders, executed and no more / stock, {backend}"), &ratio.told(), "", None);
}

/// How often an address answers a request against how often another does; turn
/// by turn, so that whatever else the machine does hits both.
async fn compare(ours: (&str, &[u8]), theirs: (&str, &[u8]), time: Duration) -> Ratio {
    let turn = time / 10;
    let (mut our_rates, mut their_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..6 {
        let our_rate = wire::rate(ours.0, ours.1, CONNECTIONS, turn).await;
        let their_rate = wire::rate(theirs.0, theirs.1, CONNECTIONS, turn).await;
        // The first only warms up.
        if round > 0 {
            our_rates.push(our_rate);
            their_rates.push(their_rate);
            ratios.push(our_rate / their_rate);
        }
    }
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Ratio { ours: median(our_rates), theirs: median(their_rates), quotient: median(ratios) }
}

fn asked(path: &str, query: &str, variables: &Value) -> Vec<u8> {
    let body = json!({ "query": query, "variables": variables });
    wire::request("POST", path, &body.to_string())
}

struct Mall {
    _server: Server,
    client: Client,
    own: String,
    other: String,
}

struct Ratio {
    ours: f64,
    theirs: f64,
    quotient: f64,
}

impl Ratio {
    fn told(&self) -> String {
        format!("{:.2} ({:.0}/s against {:.0}/s)", self.quotient, self.ours, self.theirs)
    }
}

impl Mall {
    fn open(backend: &str) -> Self {
        let mut server = Server::start(&[backend]);
        let said = server.says();
        let (own, other) = said.split_once(' ').unwrap();
        let client = Client::new(&format!("http://{own}/graphql")).unwrap();
        Self { _server: server, client, own: own.to_owned(), other: other.to_owned() }
    }

    /// That both say the same, or the comparison would be worth nothing.
    async fn answer_alike(&self, ours: &[u8], theirs: &[u8]) {
        let ours = Requests::open(&self.own).await.ask(ours).await;
        let theirs = Requests::open(&self.other).await.ask(theirs).await;
        let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
        assert_eq!(read(&ours)["data"], read(&theirs)["data"]);
        assert!(read(&ours)["errors"].is_null(), "{}", read(&ours));
    }

    async fn a_store(&self) -> StoreId {
        let store: StoreId = new_id();
        let client = &self.client;
        client
            .call(&operations::create_store(store, "Waldorf Books", "Level 1"), None)
            .await
            .unwrap();
        client.call(&operations::enable_store_participation(store), None).await.unwrap();
        store
    }

    /// So many orders of as many customers.
    async fn sell(&self, orders: usize) {
        let client = &self.client;
        let mut products = Vec::new();
        for _ in 0..3 {
            let product: ProductId = new_id();
            let store = self.a_store().await;
            let new = NewProduct {
                store_id: store,
                name: "Wizard w/ crystal".to_owned(),
                description: String::new(),
                sku: "1".to_owned(),
                price: Amount(999),
                id: Some(product),
            };
            client.call(&operations::add_product(&new), None).await.unwrap();
            products.push(product);
        }
        let products = Arc::new(products);
        for _ in 0..orders {
            let customer: CustomerId = new_id();
            let (basket, payment): (BasketId, PaymentId) = (new_id(), new_id());
            let register = operations::register_customer(customer, "Ada", "+15550100");
            client.call(&register, None).await.unwrap();
            client.call(&operations::start_basket(basket, customer), None).await.unwrap();
            for product in &*products {
                let add = operations::add_basket_item(basket, *product, 2);
                client.call(&add, None).await.unwrap();
            }
            let money = Amount(999 * 2 * 3);
            let pay = operations::authorize_payment(payment, customer, money);
            client.call(&pay, None).await.unwrap();
            let buy = operations::checkout_basket(basket, payment, false);
            client.call(&buy, None).await.unwrap();
        }
        // Until nothing happens to them any more.
        let settled = "{ orders(first: 100) { nodes { status saga { state } } } }";
        loop {
            let answer: Value = client.ask(settled, Value::Null).await.unwrap();
            let nodes = answer["orders"]["nodes"].as_array().unwrap();
            let done = nodes.iter().filter(|order| order["saga"]["state"] == "COMPLETED");
            if done.count() == orders {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn new_id<I: EntityId>() -> I {
    I::from_uuid(Uuid::now_v7())
}
