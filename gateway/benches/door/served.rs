//! What is served: the gateway's own transport, the stock integration over the
//! same schema, and a bare handler.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use async_graphql::{
    Context, EmptyMutation, Object, ObjectType, Request, Schema, SimpleObject, Subscription,
    SubscriptionType, ValidationMode, parser::parse_query,
};
use async_graphql_axum::{GraphQL, GraphQLSubscription};
use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    http::header::CONTENT_TYPE,
    routing::{MethodRouter, get, post, post_service},
};
use futures_util::Stream;
use mallbots_gateway::{
    auth::Caller,
    cli::SettingsArgs,
    config::Config,
    graphql, mall,
    startup::{Application, Lifecycle, Readiness, StopSignals},
    transport::{
        TransportSettings,
        part::{Mark, Part},
        pipeline::{Pipeline, PipelineSettings},
        websocket::WebSocketSettings,
    },
};
use mallbots_testing::postgres;
use sea_orm::sqlx::{self, Row};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::wire::now;

pub(crate) const BACKENDS: [&str; 2] = ["files", "postgres"];

/// Serves what the words say, and says where: the address of the gateway's own
/// transport and that of everything else.
pub(crate) async fn serve(words: &[String]) {
    match words[0].as_str() {
        "ticks" => ticks().await,
        "files" => mall_on("files").await,
        "postgres" => mall_on("postgres").await,
        other => panic!("there is nothing called {other}"),
    }
}

/// Serves two routers to the end.
async fn run(own: Application, other: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {}", own.address(), listener.local_addr().unwrap());
    let others = async move { axum::serve(listener, other).await.unwrap() };
    tokio::join!(own.run_until_stopped(StopSignals::default()), others);
}

/// Both ways to a schema.
async fn both<Q, M, S>(
    config: &Config,
    build: impl Fn(ValidationMode) -> Schema<Q, M, S>,
    shared: &'static [&'static str],
    lifecycle: Lifecycle,
) -> (Application, Router)
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let settings = PipelineSettings { shared, ..PipelineSettings::default() };
    let pipeline = Pipeline::new(&build, settings).unwrap();
    let websocket = WebSocketSettings { max_operations: 10_000, ..WebSocketSettings::default() };
    let transport = TransportSettings { websocket, ..TransportSettings::default() };
    let own =
        Application::with_settings(config, transport, pipeline, lifecycle, Readiness::default());
    let schema = build(ValidationMode::Strict);
    let stock = Router::new()
        .route("/graphql", post_service(GraphQL::new(schema.clone())))
        .route_service("/graphql/ws", GraphQLSubscription::new(schema))
        .route("/executed", executed(build(ValidationMode::Fast)));
    (own.await.unwrap(), stock)
}

/// The least that any door over this executor can do: the first document that
/// comes is kept, and from then on every request is for it, whatever it says.
fn executed<Q, M, S>(schema: Schema<Q, M, S>) -> MethodRouter
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let document = Arc::new(OnceLock::new());
    post(move |body: Bytes| {
        let (schema, document) = (schema.clone(), Arc::clone(&document));
        async move {
            let document = document.get_or_init(|| {
                let body: Value = serde_json::from_slice(&body).unwrap();
                parse_query(body["query"].as_str().unwrap()).unwrap()
            });
            let mut request = Request::new(String::new());
            request.set_parsed_query(document.clone());
            let answer = schema.execute(request).await;
            ([(CONTENT_TYPE, "application/json")], serde_json::to_vec(&answer).unwrap())
        }
    })
}

fn config(flags: SettingsArgs, variables: &[(&str, &str)]) -> Config {
    let flags = SettingsArgs { listen: Some("127.0.0.1:0".parse().unwrap()), ..flags };
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::load(&flags, variables).unwrap()
}

// ---- the mall

async fn mall_on(backend: &str) {
    let data = tempfile::tempdir().unwrap();
    let flags = SettingsArgs { data: Some(data.path().to_owned()), ..SettingsArgs::default() };
    let database = match backend {
        "postgres" => Some(postgres::fresh().await.unwrap()),
        _ => None,
    };
    let url = database.as_ref().map(|database| ("DATABASE_URL", database.url()));
    let config = config(flags, url.as_slice());
    let lifecycle = Lifecycle::default();
    let services =
        mall::open(&config, &lifecycle, &Readiness::default()).await.unwrap().services.unwrap();
    let loaders = services.loaders();
    let build = |mode| {
        graphql::schema_builder()
            .data(services.clone())
            .data(loaders.clone())
            // Where nobody has found out who asks.
            .data(Caller::developer())
            .validation_mode(mode)
            .finish()
    };
    let (own, stock) = both(&config, build, graphql::SHARED, lifecycle).await;
    let views = mall::Databases::open(&config).await.unwrap().views.read;
    let is_postgres = database.is_some();
    let store = async move |Path(id): Path<String>| -> Json<Value> {
        const STORE: &str = "SELECT name, location, participating FROM stores WHERE id = $1";
        // Both answer with what the one-row query answers with.
        macro_rules! answered {
            ($pool:expr) => {{
                let row = sqlx::query(STORE).bind(&id).fetch_one($pool).await.unwrap();
                let (name, location) = (row.get::<String, _>(0), row.get::<String, _>(1));
                let participating: bool = row.get(2);
                json!({ "data": { "store": {
                    "id": id, "name": name, "location": location, "participating": participating,
                } } })
            }};
        }
        Json(if is_postgres {
            answered!(views.get_postgres_connection_pool())
        } else {
            answered!(views.get_sqlite_connection_pool())
        })
    };
    run(own, stock.route("/bare/{id}", get(store))).await;
}

// ---- ticks

/// When each tick was told, the first at the beginning; and how many there are.
struct Clock {
    told: Mutex<Vec<u64>>,
    count: watch::Sender<usize>,
}

impl Clock {
    fn tick(&self, count: usize) {
        let length = {
            let mut told = self.told.lock().unwrap();
            let at = now();
            told.extend(std::iter::repeat_n(at, count));
            told.len()
        };
        self.count.send_replace(length);
    }
}

/// Ten fields, about 270 bytes of JSON.
#[derive(SimpleObject)]
struct Tick {
    number: usize,
    at: String,
    status: &'static str,
    name: &'static str,
    title: String,
    customer: &'static str,
    total: &'static str,
    quantity: i32,
    approved: bool,
    text: String,
}

struct Query;

#[Object]
impl Query {
    async fn here(&self) -> bool {
        true
    }
}

struct Ticks;

#[Subscription]
impl Ticks {
    /// Every tick from now on.
    async fn tick(
        &self,
        ctx: &Context<'_>,
        #[graphql(default)] of: u32,
        #[graphql(default)] padding: usize,
    ) -> impl Stream<Item = Tick> + use<> {
        let clock = Arc::clone(ctx.data_unchecked::<Arc<Clock>>());
        let part = ctx.data_opt::<Part>().cloned().unwrap_or_default();
        async_stream::stream! {
            let mut count = clock.count.subscribe();
            let mut sent = *count.borrow_and_update();
            part.listens();
            if part.has_snapshot() {
                if let Some(behind) = part.behind() {
                    for number in usize::try_from(behind).unwrap()..sent {
                        part.mark(mark(number));
                        yield tick(&clock, number, of, padding);
                    }
                }
                part.complete(i64::try_from(sent).unwrap());
            }
            while part.has_changes() && count.changed().await.is_ok() {
                let now = *count.borrow_and_update();
                while sent < now {
                    part.mark(mark(sent));
                    yield tick(&clock, sent, of, padding);
                    sent += 1;
                }
            }
        }
    }
}

fn mark(number: usize) -> Mark {
    let position = i64::try_from(number + 1).unwrap();
    Mark { of: None, position, done: position }
}

fn tick(clock: &Clock, number: usize, of: u32, padding: usize) -> Tick {
    Tick {
        number,
        at: clock.told.lock().unwrap()[number].to_string(),
        status: "APPROVED",
        name: "Wizard w/ crystal",
        title: format!("tick of {of}"),
        customer: "customer_01jd0000000000000000000000",
        total: "19.98",
        quantity: 2,
        approved: true,
        text: "x".repeat(padding + 60),
    }
}

/// The selection of all of a tick.
pub(crate) const TICK: &str = "number at status name title customer total quantity approved text";

async fn ticks() {
    let clock = Arc::new(Clock { told: Mutex::default(), count: watch::Sender::new(0) });
    let shared = Arc::clone(&clock);
    let build = move |mode| {
        Schema::build(Query, EmptyMutation, Ticks)
            .validation_mode(mode)
            .data(Arc::clone(&shared))
            .finish()
    };
    let config = config(SettingsArgs::default(), &[]);
    let (own, stock) = both(&config, build, &["tick"], Lifecycle::default()).await;
    let one = Arc::clone(&clock);
    let control = Router::new()
        .route(
            "/tick/{count}",
            post(async move |Path(count): Path<usize>| {
                one.tick(count);
                "done"
            }),
        )
        .route(
            "/every/{milliseconds}/{count}",
            post(async move |Path((milliseconds, count)): Path<(u64, usize)>| {
                let mut pace = tokio::time::interval(Duration::from_millis(milliseconds));
                for _ in 0..count {
                    pace.tick().await;
                    clock.tick(1);
                }
                "done"
            }),
        );
    run(own, stock.merge(control)).await;
}
