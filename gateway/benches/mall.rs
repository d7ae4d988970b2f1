//! What the mall costs and how fast it is, as a client of the real binary sees
//! it.
//!
//! `cargo bench -p mallbots -- [size|start|memory|saga|buyers|live|tracing|growth]
//! [files|postgres|jetstream|microservices] [--orders N] [--seconds N]
//! [--stored N,N,…]`: everything, or only what is named. `growth` is measured
//! only if it is named: it stores a million orders first.
//!
//! PostgreSQL and NATS are the tests' own servers. Clients and servers share
//! the machine.

#![expect(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that fails may as well stop, and says what it has to say"
)]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
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
use mallbots_messaging::post::Post;
use mallbots_testing::{
    nats::NatsServer,
    postgres::{self, TestDatabase},
    shapes::{self, Shape},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
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
    /// With how many orders stored the mall is measured, one after the other.
    stored: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    /// One process on SQLite.
    Files,
    /// One process on PostgreSQL.
    Postgres,
    /// One process on PostgreSQL and JetStream.
    Jetstream,
    /// The processes of the compose file on both.
    Microservices,
}

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Postgres => "postgres",
            Self::Jetstream => "jetstream",
            Self::Microservices => "microservices",
        }
    }

    /// How long a checkout may take to APPROVED, in milliseconds: in half of
    /// all cases, and in all but one of a hundred.
    const fn approval_goal(self) -> (f64, f64) {
        match self {
            Self::Files | Self::Postgres => (15.0, 60.0),
            Self::Jetstream => (40.0, 150.0),
            Self::Microservices => (60.0, f64::INFINITY),
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
                "jetstream" => backends.push(Backend::Jetstream),
                "microservices" => backends.push(Backend::Microservices),
                "size" | "start" | "memory" | "saga" | "buyers" | "live" | "tracing" | "growth" => {
                    parts.push(word.clone());
                }
                _ => {}
            }
        }
        if backends.is_empty() {
            let all =
                [Backend::Files, Backend::Postgres, Backend::Jetstream, Backend::Microservices];
            backends = all.into();
        }
        let stored = words.iter().position(|word| word == "--stored");
        let stored = stored.map_or("1000,1000000", |place| &*words[place + 1]);
        Self {
            parts,
            backends,
            orders: number("--orders", 400),
            time: Duration::from_secs(number("--seconds", 15)),
            stored: stored.split(',').map(|count| count.parse().expect("a number")).collect(),
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
        let is_one_process = *backend != Backend::Microservices;
        if plan.wants("start") && is_one_process {
            start(*backend).await;
        }
        if plan.wants("memory") && is_one_process {
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
        if plan.wants("live") {
            live(*backend, plan.time).await;
        }
        if plan.wants("tracing") && is_one_process {
            tracing(*backend, plan.time).await;
        }
        let has_database = *backend != Backend::Files;
        if plan.parts.iter().any(|part| part == "growth") && has_database {
            growth(*backend, plan).await;
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
        server.open().await;
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
        server.close().await;
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
    server.open().await;
    server.client.ask("{ __typename }", Value::Null).await.unwrap();
    let fresh = server.memory().unwrap();
    let shelf = Arc::new(Shelf::filled(&server.client).await);
    join_all((0..16).map(|_| bought_some(&server.client, &shelf, 60))).await;
    let worked = server.memory().unwrap();
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
    server.open().await;
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
    let (median_goal, most_goal) = backend.approval_goal();
    let goal = if most_goal.is_finite() {
        format!("p50 ≤ {median_goal} ms, p99 ≤ {most_goal} ms")
    } else {
        format!("p50 ≤ {median_goal} ms")
    };
    row(
        "checkout → APPROVED",
        backend.name(),
        &format!(
            "p50 {median:.1} ms, p99 {most:.1} ms, worst {:.1} ms ({orders} orders; \
             checkout answered p50 {:.1} ms)",
            at(&approvals, 1.0),
            at(&answers, 0.5)
        ),
        &goal,
        Some(median <= median_goal && most <= most_goal),
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
    server.open().await;
    let shelf = Arc::new(Shelf::filled(&server.client).await);
    join_all((0..count).map(|_| bought_some(&server.client, &shelf, 2))).await;
    let shopped = shop(&server.client, &shelf, count, time).await;
    let memory = server.memory().map_or_else(String::new, |memory| format!("; {memory:.1} MB"));
    // Fewer buyers wait for their orders rather than the mall for buyers.
    let is_judged = count == 64 && backend != Backend::Microservices;
    row(
        &format!("{count} buyers"),
        backend.name(),
        &format!("{shopped}{memory}"),
        if is_judged { "≥ 150 orders/s" } else { "" },
        is_judged.then_some(shopped.rate >= 150.0),
    );
}

/// What customers who shopped at the same time saw of the mall.
struct Shopped {
    /// Orders approved each second.
    rate: f64,
    /// How long each approval took, in microseconds.
    approvals: Histogram<u64>,
}

impl std::fmt::Display for Shopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |quantile| milliseconds(self.approvals.value_at_quantile(quantile));
        let (rate, median, most) = (self.rate, at(0.5), at(0.99));
        write!(f, "{rate:.0} orders/s; checkout → APPROVED p50 {median:.1} ms, p99 {most:.1} ms")
    }
}

async fn shop(client: &Client, shelf: &Arc<Shelf>, count: usize, time: Duration) -> Shopped {
    let until = Instant::now() + time;
    let began = Instant::now();
    let mut shopping = JoinSet::new();
    for _ in 0..count {
        let (client, shelf) = (client.clone(), Arc::clone(shelf));
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
    Shopped { rate: approvals.len() as f64 / elapsed, approvals }
}

/// How often each mall is measured.
const ROUNDS: u32 = 6;
/// How many of them ask at once.
const ASKING: usize = 16;

/// What traces cost: of two malls one records one of ten and sends them to a
/// collector that throws them away, the other none. They take turns, so that
/// the machine treats them alike.
async fn tracing(backend: Backend, time: Duration) {
    let mut malls = Vec::new();
    for settings in [Vec::new(), sent_to(collector().await)] {
        let mut server = Server::new(backend).await;
        server.settings = settings;
        server.open().await;
        let shelf = Arc::new(Shelf::filled(&server.client).await);
        join_all((0..ASKING).map(|_| bought_some(&server.client, &shelf, 4))).await;
        malls.push((server, shelf));
    }
    let share = time / ROUNDS;
    let (mut queries, mut orders) = ([0.0; 2], [0.0; 2]);
    for round in 0..ROUNDS {
        // Neither always has the other behind it.
        let turns = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for turn in turns {
            let (server, shelf) = &malls[turn];
            queries[turn] += asked(&server.client, shelf, share).await / f64::from(ROUNDS);
        }
        for turn in turns {
            let (server, shelf) = &malls[turn];
            let shopped = shop(&server.client, shelf, ASKING, share).await;
            orders[turn] += shopped.rate / f64::from(ROUNDS);
        }
    }
    for (what, [off, on]) in [("queries", queries), ("orders", orders)] {
        let ratio = on / off;
        row(
            &format!("{what}/s with one of ten traced / with none"),
            backend.name(),
            &format!("{ratio:.3} ({on:.0} / {off:.0})"),
            "≥ 0.95",
            Some(ratio >= 0.95),
        );
    }
}

/// How many queries a second are answered.
async fn asked(client: &Client, shelf: &Shelf, time: Duration) -> f64 {
    let query = "query($id: ID!) { product(id: $id) { id name price { amount } } }";
    let variables = json!({ "id": shelf.products[0] });
    let began = Instant::now();
    let asking = (0..ASKING).map(|_| async {
        let mut count = 0_u32;
        while began.elapsed() < time {
            client.ask(query, variables.clone()).await.unwrap();
            count += 1;
        }
        f64::from(count)
    });
    join_all(asking).await.into_iter().sum::<f64>() / began.elapsed().as_secs_f64()
}

/// A collector that throws away what it is told; where it is.
async fn collector() -> String {
    let take = async |told: Bytes| {
        drop(told);
        StatusCode::OK
    };
    let router = Router::new().route("/v1/traces", post(take));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the measurements")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

fn sent_to(collector: String) -> Vec<(&'static str, String)> {
    let ratio = ("OTEL_TRACES_SAMPLER_ARG", "0.1".to_owned());
    vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector), ratio]
}

/// How many changes of prices are made each second.
const CHANGES: u64 = 200;
/// Of how many products, so that no change overtakes the one before.
const CHANGING: usize = 400;

/// From a change's entry in the ledger to a subscriber's socket, at a steady
/// rate of changes. The entry is dated before it is committed, so the commit
/// is part of what is measured.
async fn live(backend: Backend, time: Duration) {
    let mut server = Server::new(backend).await;
    server.open().await;
    let client = &server.client;
    let store: StoreId = new_id();
    client.call(&operations::create_store(store, "Prices", "Level 2"), None).await.unwrap();
    client.call(&operations::enable_store_participation(store), None).await.unwrap();
    let mut products = Vec::new();
    for number in 0..CHANGING {
        let id: ProductId = new_id();
        let product = NewProduct {
            store_id: store,
            name: format!("Product {number}"),
            description: String::new(),
            sku: number.to_string(),
            price: Amount(1),
            id: Some(id),
        };
        client.call(&operations::add_product(&product), None).await.unwrap();
        products.push(id);
    }
    let document = "subscription productsChanged($id: ID!) \
         { productsChanged(storeId: $id) { id price { amount } } }";
    let operation = Operation::subscription("productsChanged", document, json!({ "id": store }));
    let mut watching: Subscription<Priced> = client.subscribe(&operation).await.unwrap();

    let count = CHANGES * time.as_secs();
    let last = i64::try_from(count + 1).unwrap();
    let mut watcher = JoinSet::new();
    watcher.spawn(async move {
        let mut seen = HashMap::new();
        loop {
            let priced = tokio::time::timeout(PATIENCE, watching.next()).await.expect("a price");
            let priced = priced.expect("more prices").unwrap();
            let price = priced.price.amount.0;
            seen.entry((priced.id, price)).or_insert_with(now);
            if price == last {
                return seen;
            }
        }
    });
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(CHANGES).unwrap());
    let mut changing = JoinSet::new();
    for (id, price) in products.iter().cycle().zip(2..=last) {
        ticks.tick().await;
        let (client, id) = (client.clone(), *id);
        changing.spawn(async move {
            let change = operations::increase_product_price(id, Amount(price));
            client.call(&change, None).await.unwrap();
        });
    }
    changing.join_all().await;
    let seen = watcher.join_next().await.expect("a watcher").unwrap();

    let database = server.database().await;
    let sql = "SELECT stream, CAST(payload AS text), recorded_at FROM messages \
         WHERE name = 'stores.ProductPriceIncreased'";
    let mut delays = Histogram::<u64>::new(3).unwrap();
    let mut missed = 0;
    for row in query(&database, sql).await {
        let (stream, payload): (String, String) =
            (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        let recorded_at: i64 = row.try_get_by_index(2).unwrap();
        let payload: Value = serde_json::from_str(&payload).unwrap();
        let price = payload["new"].as_i64().expect("a price");
        match seen.get(&(stream.parse().unwrap(), price)) {
            Some(seen_at) => delays.record(seen_at.abs_diff(recorded_at)).unwrap(),
            None => missed += 1,
        }
    }
    let at = |quantile| milliseconds(delays.value_at_quantile(quantile));
    let (median, most) = (at(0.5), at(0.99));
    row(
        "recorded → on a socket",
        backend.name(),
        &format!(
            "p50 {median:.1} ms, p99 {most:.1} ms, worst {:.1} ms ({CHANGES} changes/s, {} in \
             all; overtaken by the next: {missed})",
            at(1.0),
            delays.len()
        ),
        "p50 ≤ 10 ms, p99 ≤ 50 ms",
        Some(median <= 10.0 && most <= 50.0),
    );
}

/// A product and what it costs.
#[derive(Deserialize)]
struct Priced {
    id: ProductId,
    price: Price,
}

#[derive(Deserialize)]
struct Price {
    amount: Amount,
}

/// Microseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// How many customers shop while it is measured what stored orders cost.
const CROWD: usize = 32;

/// How many orders are approved a second with more and more of them stored.
async fn growth(backend: Backend, plan: &Plan) {
    let mut server = Server::new(backend).await;
    server.open().await;
    let shelf = Arc::new(Shelf::filled(&server.client).await);
    let client = server.client.clone();
    join_all((0..CROWD).map(|_| bought_some(&client, &shelf, 32))).await;
    let mut first = None;
    for stored in &plan.stored {
        let database = server.database().await;
        let number = "SELECT count(*) FROM orders";
        let known = u64::try_from(one(&database, number).await).unwrap();
        if known < *stored {
            server.close().await;
            let began = Instant::now();
            multiply_orders(&database, *stored).await;
            eprintln!("{stored} orders written in {:.0} s", began.elapsed().as_secs_f64());
            server.forget_stream().await;
            server.open().await;
            let behind = "SELECT (SELECT position FROM ledger_head) \
                 - (SELECT max(position) FROM projection_checkpoints)";
            while one(&database, behind).await > 0 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            eprintln!("and shown after {:.0} s", began.elapsed().as_secs_f64());
            // Not while it is measured.
            database.execute_unprepared("VACUUM ANALYZE").await.unwrap();
        }
        let stored = one(&database, number).await;
        let client = server.client.clone();
        // What is kept in memory comes first.
        shop(&client, &shelf, CROWD, plan.time / 3).await;
        let shopped = shop(&client, &shelf, CROWD, plan.time).await;
        let rate = shopped.rate;
        let base: f64 = *first.get_or_insert(rate);
        row(
            &format!("{CROWD} buyers, {stored} orders stored"),
            backend.name(),
            &format!("{shopped}; {:.0} % of the first", 100.0 * rate / base),
            "≥ 85 % of the first",
            Some(rate >= 0.85 * base),
        );
    }
}

/// Writes copies of the orders that are there into the ledger, with their
/// baskets, lists, invoices and sagas, until there are so many. All consumers
/// have handled them; the read models have not.
async fn multiply_orders(database: &DatabaseConnection, stored: u64) {
    let run = async |sql: &str| database.execute_unprepared(sql).await.unwrap();
    // All that belongs to an order has an id that ends as the order's.
    run("CREATE TABLE template AS \
         SELECT row_number() OVER (ORDER BY position) AS number, right(stream, 26) AS suffix, * \
         FROM messages WHERE kind = 'event' AND right(stream, 26) IN \
             (SELECT right(id, 26) FROM orders ORDER BY created_at LIMIT 1000)")
    .await;
    let templates = "SELECT count(DISTINCT suffix) FROM template";
    let templates = u64::try_from(one(database, templates).await).unwrap();
    let count = one(database, "SELECT count(*) FROM template").await;
    let known = u64::try_from(one(database, "SELECT count(*) FROM orders").await).unwrap();
    // No copy has the number of one that was made before.
    let copies = known.div_ceil(templates)..;
    for (copy, _) in copies.zip(0..(stored - known).div_ceil(templates)) {
        let head = one(database, "SELECT position FROM ledger_head").await;
        // Characters that stand for chance alone: each copy has its own.
        let code: String = (0..4)
            .map(|place| {
                let digit = usize::try_from((copy >> (5 * place)) % 32).unwrap();
                char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[digit])
            })
            .collect();
        let suffix = format!("(left(suffix, 14) || '{code}' || right(suffix, 8))");
        run(&format!(
            "INSERT INTO messages \
             SELECT {head} + number, kind, left(stream, -26) || {suffix}, version, name, \
                 schema_version, partition, gen_random_uuid(), NULL, \
                 replace(payload::text, suffix, {suffix})::json, metadata, recorded_at \
             FROM template; \
             UPDATE ledger_head SET position = position + {count}"
        ))
        .await;
    }
    run("DROP TABLE template").await;
    for consumer in Post::everything() {
        run(&format!(
            "INSERT INTO checkpoints (consumer, partition, position) \
             SELECT '{consumer}', partition, (SELECT position FROM ledger_head) \
             FROM generate_series(0, 63) AS partition \
             ON CONFLICT (consumer, partition) DO UPDATE SET position = excluded.position"
        ))
        .await;
    }
    run("VACUUM ANALYZE messages").await;
}

async fn query(database: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_all_raw(statement).await.unwrap()
}

async fn one(database: &DatabaseConnection, sql: &str) -> i64 {
    query(database, sql).await[0].try_get_by_index(0).unwrap()
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

/// A server of the real binary, as it is when nothing is configured; or the
/// processes of the compose file.
struct Server {
    backend: Backend,
    data: TempDir,
    postgres: Option<TestDatabase>,
    nats: Option<NatsServer>,
    shape: Option<Shape>,
    process: Option<Child>,
    client: Client,
    /// What it is told besides, if it is one process.
    settings: Vec<(&'static str, String)>,
}

impl Server {
    async fn new(backend: Backend) -> Self {
        let (postgres, nats) = match backend {
            Backend::Files | Backend::Microservices => (None, None),
            Backend::Postgres => (Some(postgres::fresh().await.unwrap()), None),
            Backend::Jetstream => {
                (Some(postgres::fresh().await.unwrap()), Some(NatsServer::start().await.unwrap()))
            }
        };
        let data = tempfile::tempdir().unwrap();
        let client = Client::new("http://127.0.0.1:1/graphql").unwrap();
        let (shape, process, settings) = (None, None, Vec::new());
        Self { backend, data, postgres, nats, shape, process, client, settings }
    }

    /// Returns when it has told its address.
    async fn open(&mut self) {
        let url = if self.backend == Backend::Microservices {
            self.open_shape().await
        } else {
            self.open_process()
        };
        self.client = Client::new(&url).unwrap();
    }

    async fn open_shape(&mut self) -> String {
        if let Some(shape) = &mut self.shape {
            for process in &mut shape.processes {
                process.restart().await.unwrap();
            }
            shape.ready().await.unwrap();
        } else {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
            let mut services = shapes::read(&file, "microservices", &BTreeMap::new()).unwrap();
            services.postgres.extend(["-c".to_owned(), "fsync=on".to_owned()]);
            let shape = Shape::start(&services, Path::new(BINARY), self.data.path()).await;
            self.shape = Some(shape.unwrap());
        }
        let gateway = self.shape.as_mut().unwrap().one("gateway", 1).unwrap();
        format!("http://{}/graphql", gateway.address().unwrap())
    }

    fn open_process(&mut self) -> String {
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars() {
            if name.starts_with("MALLBOTS_") || name == "DATABASE_URL" || name == "NATS_URL" {
                command.env_remove(name);
            }
        }
        if let Some(database) = &self.postgres {
            command.env("DATABASE_URL", database.url());
        }
        if let Some(nats) = &self.nats {
            command.env("NATS_URL", nats.url());
        }
        let mut process = command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
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
        self.process = Some(process);
        url.to_owned()
    }

    /// Its database, to look into.
    async fn database(&self) -> DatabaseConnection {
        let url = match (&self.postgres, &self.shape) {
            (Some(database), _) => database.url().to_owned(),
            (None, Some(shape)) => shape.database_url(),
            (None, None) => {
                format!("sqlite://{}?mode=ro", self.data.path().join("ledger.db").display())
            }
        };
        Database::connect(url).await.unwrap()
    }

    /// What of it is in memory, in megabytes, if it is one process.
    fn memory(&self) -> Option<f64> {
        let id = self.process.as_ref()?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Some(megabytes(kibibytes * 1024))
    }

    /// Loses what is on JetStream, so that nobody publishes what everybody has.
    async fn forget_stream(&mut self) {
        let nats = match &mut self.shape {
            Some(shape) => Some(&mut shape.nats),
            None => self.nats.as_mut(),
        };
        if let Some(nats) = nats {
            nats.stop().await.unwrap();
            nats.wipe().unwrap();
            nats.restart().await.unwrap();
        }
    }

    async fn close(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if let Some(shape) = &mut self.shape {
            for process in &mut shape.processes {
                process.kill().unwrap();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
