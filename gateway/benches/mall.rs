//! What the mall costs and how fast it is, as a client of the real binary sees
//! it.
//!
//! `cargo bench -p mallbots -- [size|start|memory|saga|buyers] [files|postgres]
//! [--orders N] [--seconds N]`: everything, or only what is named.
//!
//! PostgreSQL is the tests' own server. Clients and servers share the machine.

#![expect(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that fails may as well stop, and says what it has to say"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use mallbots_domain::{
    id::{BasketId, CustomerId, EntityId, OrderId, PaymentId, ProductId, StoreId},
    ordering::OrderStatus,
};
use mallbots_gateway::client::{
    Client, Subscription,
    operations::{self, Amount, NewProduct, Operation},
};
use mallbots_testing::postgres::{self, TestDatabase};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_mallbots");

/// What a single measurement must not wait longer for.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it builds.
    if words.iter().any(|word| word == "--test") {
        return;
    }
    let plan = Plan::of(&words);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&plan));
}

/// What to measure.
struct Plan {
    parts: Vec<String>,
    backends: Vec<Backend>,
    orders: u64,
    time: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Files,
    Postgres,
}

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Postgres => "postgres",
        }
    }
}

impl Plan {
    fn of(words: &[String]) -> Self {
        let number = |name: &str, default| {
            let place = words.iter().position(|word| word == name);
            place.map_or(default, |place| words[place + 1].parse().expect("a number"))
        };
        let mut parts = Vec::new();
        let mut backends = Vec::new();
        for word in words {
            match word.as_str() {
                "files" => backends.push(Backend::Files),
                "postgres" => backends.push(Backend::Postgres),
                "size" | "start" | "memory" | "saga" | "buyers" => parts.push(word.clone()),
                _ => {}
            }
        }
        if backends.is_empty() {
            backends = vec![Backend::Files, Backend::Postgres];
        }
        Self {
            parts,
            backends,
            orders: number("--orders", 400),
            time: Duration::from_secs(number("--seconds", 15)),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

async fn measure(plan: &Plan) {
    println!("| what | where | measured | must reach | |");
    println!("|---|---|---|---|---|");
    if plan.wants("size") {
        let size = megabytes(fs::metadata(BINARY).unwrap().len());
        row("binary size", "", &format!("{size:.1} MB"), "≤ 60 MB", Some(size <= 60.0));
    }
    for backend in &plan.backends {
        if plan.wants("start") {
            start(*backend).await;
        }
        if plan.wants("memory") {
            memory(*backend).await;
        }
        if plan.wants("saga") {
            saga(*backend, plan.orders).await;
        }
        if plan.wants("buyers") {
            for count in [1, 16, 64] {
                buyers(*backend, count, plan.time).await;
            }
        }
    }
}

fn row(what: &str, place: &str, measured: &str, goal: &str, reached: Option<bool>) {
    let verdict = match reached {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    };
    println!("| {what} | {place} | {measured} | {goal} | {verdict} |");
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

// ---- what is measured

/// From the start of the process to the first answer: where there is nothing
/// yet, and where some orders were left behind.
async fn start(backend: Backend) {
    let mut server = Server::new(backend).await;
    let mut times = Vec::new();
    let mut first = 0.0;
    for round in 0..11 {
        let began = Instant::now();
        server.open();
        server.client.ask("{ __typename }", Value::Null).await.unwrap();
        let time = began.elapsed().as_secs_f64() * 1_000.0;
        match round {
            0 => {
                first = time;
                let shelf = Arc::new(Shelf::filled(&server.client).await);
                let bought = (0..8).map(|_| bought_some(&server.client, &shelf, 50));
                join_all(bought).await;
            }
            _ => times.push(time),
        }
        server.close();
    }
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    row(
        "start to first answer",
        backend.name(),
        &format!("{first:.0} ms empty, {median:.0} ms (worst {worst:.0}) with 400 orders"),
        "≤ 1 s",
        Some(first.max(worst) <= 1_000.0),
    );
}

/// The memory of a server that has nothing to do.
async fn memory(backend: Backend) {
    let mut server = Server::new(backend).await;
    server.open();
    server.client.ask("{ __typename }", Value::Null).await.unwrap();
    let fresh = server.memory();
    let shelf = Arc::new(Shelf::filled(&server.client).await);
    join_all((0..16).map(|_| bought_some(&server.client, &shelf, 60))).await;
    let worked = server.memory();
    row(
        "idle memory",
        backend.name(),
        &format!("{fresh:.1} MB; {worked:.1} MB after 960 orders"),
        "≤ 60 MB",
        Some(fresh <= 60.0),
    );
}

/// From the checkout to the approval, one order at a time.
async fn saga(backend: Backend, orders: u64) {
    let mut server = Server::new(backend).await;
    server.open();
    let client = &server.client;
    let shelf = Shelf::filled(client).await;
    for _ in 0..50 {
        approval(client, &shelf).await;
    }
    let mut answers = Histogram::<u64>::new(3).unwrap();
    let mut approvals = Histogram::<u64>::new(3).unwrap();
    for _ in 0..orders {
        let (answered, approved) = approval(client, &shelf).await;
        answers.record(micros(answered)).unwrap();
        approvals.record(micros(approved)).unwrap();
    }
    let at = |of: &Histogram<u64>, quantile| milliseconds(of.value_at_quantile(quantile));
    let (median, most) = (at(&approvals, 0.5), at(&approvals, 0.99));
    row(
        "checkout → APPROVED",
        backend.name(),
        &format!(
            "p50 {median:.1} ms, p99 {most:.1} ms, worst {:.1} ms ({orders} orders; \
             checkout answered p50 {:.1} ms)",
            at(&approvals, 1.0),
            at(&answers, 0.5)
        ),
        "p50 ≤ 15 ms, p99 ≤ 60 ms",
        Some(median <= 15.0 && most <= 60.0),
    );
}

/// How long until a checkout is answered and its order approved, as one hears
/// it who follows the order. Returns when nothing more happens to the order.
async fn approval(client: &Client, shelf: &Shelf) -> (Duration, Duration) {
    let (basket, payment) = shelf.basket(client, shelf.customer).await;
    let checkout = operations::checkout_basket(basket, payment, false);
    let began = Instant::now();
    client.call(&checkout, None).await.unwrap();
    let answered = began.elapsed();
    let mut progress = follow(client, basket.order()).await;
    let mut approved = None;
    let (mut completed, mut told) = (false, false);
    while approved.is_none() || !completed || !told {
        let item = tokio::time::timeout(PATIENCE, progress.next()).await.expect("progress");
        match &*item.expect("more progress").unwrap().title {
            "The order was approved." => approved = Some(began.elapsed()),
            "The saga completed." => completed = true,
            "The customer was told: ORDER_APPROVED." => told = true,
            _ => {}
        }
    }
    (answered, approved.unwrap())
}

#[derive(Deserialize)]
struct Item {
    title: String,
}

async fn follow(client: &Client, order: OrderId) -> Subscription<Item> {
    let document = "subscription orderProgress($id: ID!) { orderProgress(orderId: $id) { title } }";
    let operation = Operation::subscription("orderProgress", document, json!({ "id": order }));
    client.subscribe(&operation).await.unwrap()
}

/// How many orders are approved a second when so many customers shop at once:
/// each fills a basket, buys it, waits for the approval and begins anew.
async fn buyers(backend: Backend, count: usize, time: Duration) {
    let mut server = Server::new(backend).await;
    server.open();
    let shelf = Arc::new(Shelf::filled(&server.client).await);
    let client = &server.client;
    join_all((0..count).map(|_| bought_some(client, &shelf, 2))).await;

    let until = Instant::now() + time;
    let began = Instant::now();
    let mut shopping = JoinSet::new();
    for _ in 0..count {
        let (client, shelf) = (client.clone(), Arc::clone(&shelf));
        shopping.spawn(async move {
            let mut customer = Customer::enters(&client, shelf).await;
            let mut times = Vec::new();
            while Instant::now() < until {
                times.push(customer.buys().await);
            }
            times
        });
    }
    let times = shopping.join_all().await;
    let elapsed = began.elapsed().as_secs_f64();
    let mut approvals = Histogram::<u64>::new(3).unwrap();
    for time in times.into_iter().flatten() {
        approvals.record(micros(time)).unwrap();
    }
    let at = |quantile| milliseconds(approvals.value_at_quantile(quantile));
    row(
        &format!("{count} buyers"),
        backend.name(),
        &format!(
            "{:.0} orders/s; checkout → APPROVED p50 {:.1} ms, p99 {:.1} ms; {:.1} MB",
            approvals.len() as f64 / elapsed,
            at(0.5),
            at(0.99),
            server.memory()
        ),
        "",
        None,
    );
}

/// A customer who has so many orders approved.
async fn bought_some(client: &Client, shelf: &Arc<Shelf>, orders: u32) {
    let mut customer = Customer::enters(client, Arc::clone(shelf)).await;
    for _ in 0..orders {
        customer.buys().await;
    }
}

/// Where an order stands.
#[derive(Deserialize)]
struct Standing {
    id: OrderId,
    status: OrderStatus,
}

/// Somebody who shops and watches what becomes of it.
struct Customer {
    client: Client,
    shelf: Arc<Shelf>,
    id: CustomerId,
    orders: Subscription<Standing>,
}

impl Customer {
    async fn enters(client: &Client, shelf: Arc<Shelf>) -> Self {
        let id = registered(client).await;
        let document = "subscription ordersChanged($id: ID!) \
             { ordersChanged(filter: { customerId: $id }) { id status } }";
        let operation = Operation::subscription("ordersChanged", document, json!({ "id": id }));
        let orders = client.subscribe(&operation).await.unwrap();
        Self { client: client.clone(), shelf, id, orders }
    }

    /// Buys something; how long it takes until that is approved.
    async fn buys(&mut self) -> Duration {
        let (basket, payment) = self.shelf.basket(&self.client, self.id).await;
        let began = Instant::now();
        let checkout = operations::checkout_basket(basket, payment, false);
        self.client.call(&checkout, None).await.unwrap();
        loop {
            let order = tokio::time::timeout(PATIENCE, self.orders.next()).await;
            let order = order.expect("an approval").expect("more orders").unwrap();
            if order.id == basket.order() && order.status == OrderStatus::Approved {
                return began.elapsed();
            }
        }
    }
}

/// What is on sale, and somebody who buys it.
struct Shelf {
    products: Vec<ProductId>,
    customer: CustomerId,
}

impl Shelf {
    async fn filled(client: &Client) -> Self {
        let mut products = Vec::new();
        for number in 0..2 {
            let store: StoreId = new_id();
            let name = format!("Store {number}");
            client.call(&operations::create_store(store, &name, "Level 1"), None).await.unwrap();
            client.call(&operations::enable_store_participation(store), None).await.unwrap();
            let id: ProductId = new_id();
            let product = NewProduct {
                store_id: store,
                name: "Wizard w/ crystal".to_owned(),
                description: String::new(),
                sku: "1".to_owned(),
                price: Amount(999),
                id: Some(id),
            };
            client.call(&operations::add_product(&product), None).await.unwrap();
            products.push(id);
        }
        Self { products, customer: registered(client).await }
    }

    /// A basket with something of each store, and the money for it.
    async fn basket(&self, client: &Client, customer: CustomerId) -> (BasketId, PaymentId) {
        let (basket, payment): (BasketId, PaymentId) = (new_id(), new_id());
        client.call(&operations::start_basket(basket, customer), None).await.unwrap();
        for product in &self.products {
            client.call(&operations::add_basket_item(basket, *product, 2), None).await.unwrap();
        }
        let money = Amount(999 * 2 * 2);
        client.call(&operations::authorize_payment(payment, customer, money), None).await.unwrap();
        (basket, payment)
    }
}

async fn registered(client: &Client) -> CustomerId {
    let id: CustomerId = new_id();
    client.call(&operations::register_customer(id, "Ada", "+15550100"), None).await.unwrap();
    id
}

fn new_id<I: EntityId>() -> I {
    I::from_uuid(Uuid::now_v7())
}

// ---- the server

/// A server of the real binary, as it is when nothing is configured.
struct Server {
    backend: Backend,
    data: TempDir,
    database: Option<TestDatabase>,
    process: Option<Child>,
    client: Client,
}

impl Server {
    async fn new(backend: Backend) -> Self {
        let database = match backend {
            Backend::Files => None,
            Backend::Postgres => Some(postgres::fresh().await.unwrap()),
        };
        let data = tempfile::tempdir().unwrap();
        let client = Client::new("http://127.0.0.1:1/graphql").unwrap();
        Self { backend, data, database, process: None, client }
    }

    /// Returns when it has told its address.
    fn open(&mut self) {
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars() {
            if name.starts_with("MALLBOTS_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("MallBots is open: GraphQL at ");
        let url = url.unwrap_or_else(|| panic!("{} did not open: {line:?}", self.backend.name()));
        self.client = Client::new(url).unwrap();
        self.process = Some(process);
    }

    /// What of it is in memory, in megabytes.
    fn memory(&self) -> f64 {
        let id = self.process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        megabytes(kibibytes * 1024)
    }

    fn close(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}
