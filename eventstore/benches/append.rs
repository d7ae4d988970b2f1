//! What writing to the ledger and reading from it costs, against what the
//! database itself can do on the same machine in the same minutes.
//!
//! `cargo bench -p mallbots-eventstore -- [sqlite|postgres|load] [--seconds N] [--runs N] [--tasks N] [--url URL]`
//!
//! PostgreSQL is the tests' own server, or an empty database at the URL.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails may as well stop, and says what it has to say"
)]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use mallbots_domain::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{BasketId, EntityId, Kind},
};
use mallbots_eventstore::{
    append::{Append, NewEvent, StreamWrite},
    clock::Clock,
    connect::{Backend, Database, Durability},
    ledger::{Ledger, LedgerOptions},
    message::{Metadata, Version},
};
use mallbots_migrations::LedgerMigrator;
use mallbots_testing::{
    databases::{FreshDatabase, fresh},
    ledgers::Tasks,
};
use sea_orm::sqlx::{
    self, ConnectOptions,
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The one the mall is shipped with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An aggregate with an event of some 300 bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Parcel {
    stops: u64,
    contents: String,
}

#[derive(Debug, Clone)]
enum ParcelCommand {
    Send,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum ParcelEvent {
    Sent { from: String, to: String, contents: String, weight: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl DomainError for Never {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn reason(&self) -> &'static str {
        "NEVER"
    }
}

impl Aggregate for Parcel {
    const KIND: Kind = Kind::Basket;
    const CONTEXT: &'static str = "bench";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = BasketId;
    type Command = ParcelCommand;
    type Event = ParcelEvent;
    type Error = Never;

    fn decide(&self, ParcelCommand::Send: ParcelCommand) -> Result<Vec<ParcelEvent>, Never> {
        Ok(vec![sent()])
    }

    fn evolve(self, ParcelEvent::Sent { contents, .. }: ParcelEvent) -> Self {
        Self { stops: self.stops + 1, contents }
    }
}

fn sent() -> ParcelEvent {
    ParcelEvent::Sent {
        from: "store_01h455vb4pex5vsknk084sn02q".to_owned(),
        to: "customer_01h455vb4pex5vsknk084sn02q".to_owned(),
        contents: "apples and pears ".repeat(10),
        weight: 12_345,
    }
}

fn payload() -> String {
    let event = serde_json::to_value(sent()).unwrap();
    event["Sent"].to_string()
}

fn metadata() -> Metadata {
    Metadata::begin("bench", Uuid::now_v7())
}

fn new_id() -> BasketId {
    BasketId::from_uuid(Uuid::now_v7())
}

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
struct Plan {
    time: Duration,
    runs: usize,
    /// Only with so many tasks, if it says so.
    tasks: Option<usize>,
}

impl Plan {
    fn wants(&self, tasks: usize) -> bool {
        self.tasks.is_none_or(|only| only == tasks)
    }
}

/// What came of it: how many a second, and how long one took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    per_second: f64,
    median: Duration,
}

/// Repeats work in so many tasks at once until the time is up, several times
/// over, and takes the run in the middle.
async fn measure<W, F>(plan: Plan, tasks: usize, mut worker: impl FnMut(usize) -> W) -> Measured
where
    W: FnMut() -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let mut runs = Vec::new();
    for run in 0..=plan.runs {
        let is_over = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        let begun = Instant::now();
        for number in 0..tasks {
            let (is_over, done, mut work) = (is_over.clone(), done.clone(), worker(number));
            running.spawn(async move {
                let mut times = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    work().await;
                    times.push(begun.elapsed());
                    done.fetch_add(1, Ordering::Relaxed);
                }
                times
            });
        }
        tokio::time::sleep(plan.time).await;
        let count = done.load(Ordering::Relaxed);
        let elapsed = begun.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let mut times = running.join_all().await.concat();
        times.sort_unstable();
        // The first run only warms up.
        if run > 0 {
            runs.push(Measured {
                per_second: count as f64 / elapsed.as_secs_f64(),
                median: times[times.len() / 2],
            });
        }
    }
    runs.sort_unstable_by(|a, b| a.per_second.total_cmp(&b.per_second));
    runs[runs.len() / 2]
}

fn row(what: &str, measured: Measured, against: Option<(&str, f64)>) {
    let ratio = against.map_or_else(String::new, |(name, base)| {
        format!("{:.2} x {name}", measured.per_second / base)
    });
    println!(
        "| {what:<44} | {:>9.0}/s | {:>8.3} ms | {ratio:<24} |",
        measured.per_second,
        measured.median.as_secs_f64() * 1_000.0
    );
}

fn head(title: &str) {
    println!("\n{title}");
    println!("| {:<44} | {:>11} | {:>11} | {:<24} |", "", "rate", "median", "against");
    println!("|{:-<46}|{:->13}|{:->13}|{:-<26}|", "", "", "", "");
}

/// Where to measure.
struct Place {
    address: String,
    kind: Backend,
    /// Dropped with this, unless it is somebody else's.
    _fresh: Option<FreshDatabase>,
}

impl Place {
    async fn new(kind: Backend, url: Option<&str>) -> Self {
        if let Some(url) = url.filter(|_| kind == Backend::Postgres) {
            let database = Database::postgres(url, 2).await.unwrap();
            LedgerMigrator::up(&database.write, None).await.unwrap();
            Self { address: url.to_owned(), kind, _fresh: None }
        } else {
            let fresh = fresh(kind).await.unwrap();
            Self { address: fresh.address(), kind, _fresh: Some(fresh) }
        }
    }

    async fn connect(&self) -> Database {
        match self.kind {
            Backend::Sqlite => {
                let path = Path::new(&self.address).join("ledger.db");
                Database::sqlite(&path, Durability::Full).await.unwrap()
            }
            Backend::Postgres => Database::postgres(&self.address, 8).await.unwrap(),
        }
    }
}

async fn open(place: &Place, options: LedgerOptions) -> (Ledger, Tasks) {
    let tasks = Tasks::default();
    let database = place.connect().await;
    let ledger =
        Ledger::open(database, Clock::System, &tasks.tracker, tasks.shutdown.clone(), options);
    (ledger.await.unwrap(), tasks)
}

fn an_execute(ledger: &Ledger) -> impl FnMut() -> BoxFuture<'static, ()> + use<> {
    let ledger = ledger.clone();
    move || {
        let ledger = ledger.clone();
        Box::pin(async move {
            ledger.execute::<Parcel>(new_id(), ParcelCommand::Send, &metadata()).await.unwrap();
        })
    }
}

fn an_append(ledger: &Ledger) -> impl FnMut() -> BoxFuture<'static, ()> + use<> {
    let ledger = ledger.clone();
    move || {
        let ledger = ledger.clone();
        Box::pin(async move {
            ledger.append(append(new_id(), 0, 1)).await.unwrap();
        })
    }
}

fn append(id: BasketId, expected: i64, events: usize) -> Append {
    let event = NewEvent { name: "bench.Sent".to_owned(), schema_version: 1, payload: payload() };
    Append {
        streams: vec![StreamWrite {
            stream: id.any(),
            expected: Version(expected),
            events: vec![event; events],
        }],
        ..Append::new(metadata())
    }
}

async fn plain_postgres(place: &Place) -> PgConnection {
    let options: PgConnectOptions = place.address.parse().unwrap();
    options.disable_statement_logging().connect().await.unwrap()
}

async fn postgres(plan: Plan, url: Option<&str>) {
    const INSERT: &str =
        "INSERT INTO plain_events (stream, version, name, payload) VALUES ($1, 1, $2, $3::jsonb)";

    let place = Place::new(Backend::Postgres, url).await;
    sqlx::raw_sql(
        "CREATE TABLE plain_events (position bigserial PRIMARY KEY, stream text NOT NULL,
            version bigint NOT NULL, name text NOT NULL, payload jsonb NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, version))",
    )
    .execute(&mut plain_postgres(&place).await)
    .await
    .unwrap();

    head("PostgreSQL");
    let mut inserts = Vec::new();
    for connections in [1, 32] {
        let mut pool = Vec::new();
        for _ in 0..connections {
            pool.push(Arc::new(tokio::sync::Mutex::new(plain_postgres(&place).await)));
        }
        let measured = measure(plan, connections, |number| {
            let connection = pool[number].clone();
            move || {
                let connection = connection.clone();
                async move {
                    sqlx::query(INSERT)
                        .bind(new_id().to_string())
                        .bind("bench.Sent")
                        .bind(payload())
                        .execute(&mut *connection.lock().await)
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        row(&format!("plain inserts, {connections} connections"), measured, None);
        inserts.push(measured);
    }
    let (ledger, tasks) = open(&place, LedgerOptions::default()).await;
    ledger_rows(plan, &ledger, inserts[0], ("32 plain", inserts[1])).await;
    tasks.end().await;
}

/// The ledger, alone against one insert and in a crowd against many.
async fn ledger_rows(
    plan: Plan,
    ledger: &Ledger,
    one: Measured,
    (name, many): (&'static str, Measured),
) {
    if plan.wants(1) {
        let append = measure(plan, 1, |_| an_append(ledger)).await;
        row("append, 1 task", append, Some(("1 plain", one.per_second)));
        let execute = measure(plan, 1, |_| an_execute(ledger)).await;
        row("execute, 1 task", execute, Some(("1 plain", one.per_second)));
        println!(
            "| a lone append costs {:.2} plain inserts, a lone execute {:.2}",
            append.median.as_secs_f64() / one.median.as_secs_f64(),
            execute.median.as_secs_f64() / one.median.as_secs_f64(),
        );
    }
    for tasks in [32, 256] {
        if plan.wants(tasks) {
            let measured = measure(plan, tasks, |_| an_execute(ledger)).await;
            row(&format!("execute, {tasks} tasks"), measured, Some((name, many.per_second)));
        }
    }
}

async fn sqlite(plan: Plan) {
    const INSERT: &str =
        "INSERT INTO plain_events (stream, version, name, payload) VALUES ($1, 1, $2, $3)";

    let place = Place::new(Backend::Sqlite, None).await;
    // In a file of its own, as only one may write to the ledger's.
    let options = SqliteConnectOptions::new()
        .filename(Path::new(&place.address).join("plain.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE plain_events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL,
            version INTEGER NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL,
            UNIQUE (stream, version))",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let connection = Arc::new(tokio::sync::Mutex::new(connection));

    head("SQLite");
    let insert = measure(plan, 1, |_| {
        let connection = connection.clone();
        move || {
            let connection = connection.clone();
            async move {
                sqlx::query(INSERT)
                    .bind(new_id().to_string())
                    .bind("bench.Sent")
                    .bind(payload())
                    .execute(&mut *connection.lock().await)
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    row("plain inserts, one a transaction", insert, None);
    let (ledger, tasks) = open(&place, LedgerOptions::default()).await;
    ledger_rows(plan, &ledger, insert, ("1 plain", insert)).await;
    tasks.end().await;
    drop(connection);
}

async fn load(plan: Plan, kind: Backend, url: Option<&str>) {
    let place = Place::new(kind, url).await;
    // Nothing is kept in memory, so that each load goes to the database.
    let options = LedgerOptions { cache_capacity: 0, ..LedgerOptions::default() };
    let (ledger, tasks) = open(&place, options).await;

    head(&format!("Loading an aggregate, {kind:?}"));
    let mut shortest = None;
    for length in [10, 1_000, 100_000] {
        let id = new_id();
        let mut version = 0;
        while version < length {
            let events = (length - version).min(1_000);
            let append = append(id, version, usize::try_from(events).unwrap());
            ledger.append(append).await.unwrap();
            version += events;
        }
        // Whoever reads a long history keeps a snapshot of it; then half an
        // interval of events comes after it.
        if length >= 1_000 {
            ledger.load::<Parcel>(id).await.unwrap();
            while ledger.load::<Parcel>(id).await.unwrap().version.0 < length {}
            for _ in 0..50 {
                ledger.execute::<Parcel>(id, ParcelCommand::Send, &metadata()).await.unwrap();
            }
        }
        let measured = measure(plan, 1, |_| {
            let ledger = ledger.clone();
            move || {
                let ledger = ledger.clone();
                async move {
                    ledger.load::<Parcel>(id).await.unwrap();
                }
            }
        })
        .await;
        let base = *shortest.get_or_insert(measured.per_second);
        row(&format!("{length} events"), measured, Some(("10 events", base)));
    }
    tasks.end().await;

    let (ledger, tasks) = open(&place, LedgerOptions::default()).await;
    let id = new_id();
    ledger.append(append(id, 0, 1_000)).await.unwrap();
    ledger.load::<Parcel>(id).await.unwrap();
    let measured = measure(plan, 1, |_| {
        let ledger = ledger.clone();
        move || {
            let ledger = ledger.clone();
            async move {
                ledger.load::<Parcel>(id).await.unwrap();
                // What is in memory is there at once.
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    row("1000 events, lately seen", measured, None);
    tasks.end().await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let plan = Plan {
        time: Duration::from_secs(number("--seconds", 2)),
        runs: usize::try_from(number("--runs", 3)).expect("a small number"),
        tasks: usize::try_from(number("--tasks", 0)).ok().filter(|tasks| *tasks > 0),
    };
    let url = arguments.iter().position(|argument| argument == "--url");
    let url = url.and_then(|at| arguments.get(at + 1)).map(String::as_str);
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !["sqlite", "postgres", "load"].into_iter().any(named);

    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if all || named("postgres") {
            postgres(plan, url).await;
        }
        if all || named("sqlite") {
            sqlite(plan).await;
        }
        if all || named("load") {
            for kind in [Backend::Sqlite, Backend::Postgres] {
                load(plan, kind, url).await;
            }
        }
    });
}
