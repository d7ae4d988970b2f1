//! The door, knocked on from outside: a real listener, real clients, and a
//! small schema that misbehaves on purpose.

mod attacks;
mod streams;
mod terms;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    Context, Enum, InputObject, Object, Schema, Subscription, ValidationMode, Value as GraphQlValue,
};
use futures_util::{
    SinkExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use mallbots_gateway::{
    cli::SettingsArgs,
    config::Config,
    error::{ClientError, ErrorCode},
    startup::{Application, Lifecycle, Readiness, StopSignals, Stopped},
    transport::{
        TransportSettings,
        context::{ConnectionInit, TransportExt},
        part::Mark,
        pipeline::{Pipeline, PipelineSettings},
        websocket::WebSocketSettings,
    },
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::frame::{
            Frame,
            coding::{Data as OpData, OpCode},
        },
    },
};
use uuid::Uuid;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

// ---- a schema that misbehaves

/// What resolvers share with the test.
#[derive(Debug)]
struct World {
    mutations: AtomicU32,
    /// Lets `wait` go on.
    release: Notify,
    /// Told when `wait` begins.
    waiting: Notify,
    /// Has a permit for each stream or resolver that was dropped.
    dropped: Arc<Semaphore>,
    /// How many news there are.
    news: watch::Sender<i64>,
    /// How many executions there were that listen to news.
    listeners: AtomicU32,
}

/// Adds a permit when it is dropped.
struct OnDrop(Arc<Semaphore>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum Mood {
    Good,
    Bad,
}

#[derive(InputObject)]
struct SumInput {
    a: i32,
    b: Option<i32>,
}

fn leak() -> async_graphql::Error {
    std::io::Error::other("password=hunter2 at /var/lib/mall").into()
}

fn world<'a>(ctx: &Context<'a>) -> &'a Arc<World> {
    ctx.data_unchecked()
}

struct Node;

#[Object]
impl Node {
    async fn name(&self) -> &str {
        "node"
    }

    async fn node(&self) -> Node {
        Node
    }

    async fn leak(&self) -> async_graphql::Result<Option<i32>> {
        Err(leak())
    }

    async fn required(&self) -> async_graphql::Result<i32> {
        Err(leak())
    }
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn node(&self) -> Node {
        Node
    }

    async fn maybe(&self) -> Option<Node> {
        Some(Node)
    }

    async fn nodes(&self, #[graphql(default = 1)] count: usize) -> Vec<Node> {
        (0..count).map(|_| Node).collect()
    }

    async fn echo(&self, text: String) -> String {
        text
    }

    async fn number(&self, of: Option<i32>) -> Option<i32> {
        of
    }

    async fn needs(&self, it: i32) -> i32 {
        it
    }

    async fn sum(&self, input: SumInput) -> i32 {
        input.a + input.b.unwrap_or_default()
    }

    async fn mood(&self, is: Option<Mood>) -> Option<Mood> {
        is
    }

    async fn id(&self, id: async_graphql::ID) -> async_graphql::ID {
        id
    }

    #[graphql(complexity = "count * child_complexity")]
    async fn page(&self, count: usize) -> Vec<Node> {
        vec![Node; count.min(1)]
    }

    async fn leak(&self) -> async_graphql::Result<Option<i32>> {
        Err(leak())
    }

    async fn hand_made(&self) -> async_graphql::Result<Option<i32>> {
        Err(async_graphql::Error::new("SELECT secret FROM vault"))
    }

    async fn missing(&self) -> async_graphql::Result<Option<i32>> {
        Err(ClientError::new(ErrorCode::NotFound, "there is no such thing").into())
    }

    async fn required(&self) -> async_graphql::Result<i32> {
        Err(ClientError::new(ErrorCode::NotFound, "there is no such thing").into())
    }

    async fn broken(&self) -> async_graphql::Result<Option<i32>> {
        Err(ClientError::broken(std::io::Error::other("password=hunter2")).into())
    }

    async fn panic(&self, #[graphql(default = true)] really: bool) -> i32 {
        assert!(!really, "password=hunter2");
        0
    }

    async fn wait(&self, ctx: &Context<'_>) -> &str {
        let world = world(ctx);
        let _dropped = OnDrop(Arc::clone(&world.dropped));
        world.waiting.notify_one();
        world.release.notified().await;
        "done"
    }

    async fn request(&self, ctx: &Context<'_>) -> Vec<Option<String>> {
        let request = ctx.request();
        vec![
            Some(request.request_id.to_string()),
            request.idempotency_key.clone(),
            request.trace.traceparent.clone(),
        ]
    }

    async fn extended(&self, ctx: &Context<'_>) -> bool {
        ctx.response_extensions().set("consistency", "17");
        true
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn count(&self, ctx: &Context<'_>) -> u32 {
        world(ctx).mutations.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn wait(&self, ctx: &Context<'_>) -> u32 {
        let world = world(ctx);
        world.waiting.notify_one();
        world.release.notified().await;
        world.mutations.fetch_add(1, Ordering::Relaxed) + 1
    }
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    /// Counts, with a cursor beside each number.
    async fn count(&self, ctx: &Context<'_>, to: u32) -> impl Stream<Item = u32> + use<> {
        let extensions = ctx.response_extensions().clone();
        stream::iter(1..=to).inspect(move |number| extensions.set("cursor", format!("c{number}")))
    }

    /// Says nothing until it is dropped.
    async fn silence(&self, ctx: &Context<'_>) -> BoxStream<'static, i32> {
        let dropped = OnDrop(Arc::clone(&world(ctx).dropped));
        stream::pending().inspect(move |_: &i32| _ = &dropped).boxed()
    }

    /// Says more than anybody can take in.
    async fn flood(&self, ctx: &Context<'_>) -> BoxStream<'static, String> {
        let dropped = OnDrop(Arc::clone(&world(ctx).dropped));
        stream::repeat("x".repeat(64 * 1024)).inspect(move |_| _ = &dropped).boxed()
    }

    /// Fails with every second item.
    async fn leaking(&self) -> impl Stream<Item = async_graphql::Result<i32>> + use<> {
        stream::iter([Ok(1), Err(leak()), Ok(3)])
    }

    /// Panics after the first item.
    async fn panicking(&self) -> impl Stream<Item = i32> + use<> {
        stream::iter([1, 2]).inspect(|number| assert_ne!(*number, 2, "password=hunter2"))
    }

    /// All news, each with its number, and from then on each new one: for all
    /// who ask alike.
    async fn news(
        &self,
        ctx: &Context<'_>,
        after: Option<i64>,
        #[graphql(default)] padding: usize,
    ) -> impl Stream<Item = String> + use<> {
        let (world, part) = (Arc::clone(world(ctx)), ctx.part().clone());
        let extensions = ctx.response_extensions().clone();
        let resume = ctx.resume().map(|cursor| cursor.parse().unwrap());
        let mut told = part.behind().or(after).or(resume).unwrap_or_default();
        async_stream::stream! {
            let dropped = OnDrop(Arc::clone(&world.dropped));
            let mut news = world.news.subscribe();
            if !part.has_snapshot() {
                world.listeners.fetch_add(1, Ordering::Relaxed);
                told = *news.borrow();
            }
            part.listens();
            loop {
                let all = *news.borrow_and_update();
                while told < all {
                    told += 1;
                    part.mark(Mark { of: None, position: told, done: told });
                    extensions.set("cursor", told.to_string());
                    yield format!("{told}{}", "x".repeat(padding));
                }
                if !part.has_changes() {
                    part.complete(told);
                    break;
                }
                if news.changed().await.is_err() {
                    break;
                }
            }
            drop(dropped);
        }
    }

    /// Cannot be had.
    async fn missing(&self) -> async_graphql::Result<BoxStream<'static, i32>> {
        Err(ClientError::new(ErrorCode::NotFound, "there is no such thing").into())
    }

    /// Tells what the transport knows.
    async fn told(&self, ctx: &Context<'_>) -> impl Stream<Item = Vec<Option<String>>> + use<> {
        let init = ctx.data_opt::<ConnectionInit>();
        let name = init.and_then(|init| init.0.get("name")?.as_str()).map(str::to_owned);
        stream::iter([vec![ctx.resume().map(str::to_owned), name]])
    }
}

// ---- the server

struct Server {
    address: std::net::SocketAddr,
    world: Arc<World>,
    client: reqwest::Client,
    signals: StopSignals,
    readiness: Readiness,
    running: JoinHandle<Stopped>,
}

async fn server() -> Server {
    server_with(TransportSettings::default(), PipelineSettings::default()).await
}

async fn server_with_sockets(websocket: WebSocketSettings) -> Server {
    let settings = TransportSettings { websocket, ..TransportSettings::default() };
    server_with(settings, PipelineSettings::default()).await
}

async fn server_with(transport: TransportSettings, pipeline: PipelineSettings) -> Server {
    server_of(transport, pipeline, |pipeline| pipeline).await
}

async fn server_of(
    transport: TransportSettings,
    pipeline: PipelineSettings,
    with: impl FnOnce(Pipeline) -> Pipeline,
) -> Server {
    let pipeline = PipelineSettings { shared: &["news"], ..pipeline };
    let world = Arc::new(World {
        mutations: AtomicU32::new(0),
        release: Notify::new(),
        waiting: Notify::new(),
        dropped: Arc::new(Semaphore::new(0)),
        news: watch::Sender::new(0),
        listeners: AtomicU32::new(0),
    });
    let shared = Arc::clone(&world);
    let schema = move |mode: ValidationMode| {
        Schema::build(Query, Mutation, Subscriptions)
            .validation_mode(mode)
            .limit_complexity(10_000)
            .data(Arc::clone(&shared))
            .finish()
    };
    let pipeline = with(Pipeline::new(schema, pipeline).unwrap());
    let flags =
        SettingsArgs { listen: Some("127.0.0.1:0".parse().unwrap()), ..SettingsArgs::default() };
    let config = Config::load(&flags, []).unwrap();
    let readiness = Readiness::default();
    let application = Application::with_settings(
        &config,
        transport,
        pipeline,
        Lifecycle::default(),
        readiness.clone(),
    )
    .await
    .unwrap();
    let address = application.address();
    let signals = StopSignals::default();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it by its handle")]
    let running = tokio::spawn(application.run_until_stopped(signals.clone()));
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    Server { address, world, client, signals, readiness, running }
}

impl Server {
    fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    fn get(&self, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let url = reqwest::Url::parse_with_params(&self.url(), parameters).unwrap();
        self.client.get(url)
    }

    fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client.post(self.url()).header("content-type", "application/json").body(body)
    }

    /// Sends the rest of a POST as it is and reads all that comes back.
    async fn by_hand(&self, rest: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may stop reading before all is written.
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let talk = async { tokio::join!(write.write_all(rest), read.read_to_end(&mut answer)) };
        let _ = timeout(PATIENCE, talk).await.expect("an answer in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn ask(&self, request: Value) -> Value {
        let response = self.post(request.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    async fn query(&self, query: &str) -> Value {
        self.ask(json!({ "query": query })).await
    }

    async fn dropped(&self) {
        timeout(PATIENCE, self.world.dropped.acquire()).await.unwrap().unwrap().forget();
    }

    fn mutations(&self) -> u32 {
        self.world.mutations.load(Ordering::Relaxed)
    }

    async fn socket(&self) -> Socket {
        let mut socket = self.open(Some("graphql-transport-ws"), None).await.unwrap();
        socket.send(json!({ "type": "connection_init" })).await;
        socket.expect(json!({ "type": "connection_ack" })).await;
        socket
    }

    async fn open(&self, protocol: Option<&str>, origin: Option<&str>) -> Result<Socket, Error> {
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().unwrap();
        if let Some(protocol) = protocol {
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        Ok(Socket(connect_async(request).await?.0))
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    async fn send_raw(&mut self, message: Message) {
        timeout(PATIENCE, self.0.send(message)).await.unwrap().unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn frame(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("a message in time").unwrap().unwrap()
    }

    /// The next message of the protocol.
    async fn next(&mut self) -> Value {
        loop {
            match self.frame().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    async fn expect(&mut self, message: Value) {
        assert_eq!(self.next().await, message);
    }

    /// Reads on to the close, and tells its code and reason.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.frame().await {
                let frame = frame.expect("a code");
                // Says goodbye too, or the server would wait for it.
                self.0.flush().await.ok();
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

fn assert_masked(error: &Value) {
    assert_eq!(error["message"], "internal server error");
    assert_eq!(error["extensions"]["code"], "INTERNAL_SERVER_ERROR");
    error["extensions"]["requestId"].as_str().unwrap().parse::<Uuid>().unwrap();
    assert!(!error.to_string().contains("hunter2"));
}

// ---- HTTP

#[tokio::test]
async fn a_query_is_answered() {
    let server = server().await;
    let response = server.post(r#"{"query":"{ hello }"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept", "Origin"]);
    let id: Uuid = response.headers()["x-request-id"].to_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(response.text().await.unwrap(), r#"{"data":{"hello":"world"}}"#);
}

#[tokio::test]
async fn the_statuses_follow_the_media_type() {
    let server = server().await;
    let requests = [
        ("an answer", json!({ "query": "{ hello }" }), 200),
        ("a field's error", json!({ "query": "{ hello missing }" }), 200),
        ("a syntax error", json!({ "query": "{ hello" }), 400),
        ("an unknown field", json!({ "query": "{ goodbye }" }), 400),
        ("a missing variable", json!({ "query": "query($a: Int!) { number(of: $a) }" }), 400),
        (
            "a wrong variable",
            json!({ "query": "query($a: Int) { number(of: $a) }", "variables": { "a": "x" } }),
            400,
        ),
        ("no such operation", json!({ "query": "{ hello }", "operationName": "a" }), 400),
        ("a limit", json!({ "query": format!("{{ {} }}", "hello ".repeat(21)) }), 400),
    ];
    for (what, request, status) in requests {
        let send = async |accept: &str| {
            let request = server.post(request.to_string()).header("accept", accept);
            let response = request.send().await.unwrap();
            let form = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert_eq!(form, format!("{accept}; charset=utf-8"), "{what}");
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        let (json_status, json_body) = send("application/json").await;
        assert_eq!(json_status, 200, "{what}");
        let (graphql_status, body) = send("application/graphql-response+json").await;
        assert_eq!(graphql_status, status, "{what}");
        for body in [json_body, body] {
            assert_eq!(body.get("data").is_some(), status == 200, "{what}: {body}");
            assert_eq!(body.get("errors").is_some(), what != "an answer", "{what}: {body}");
        }
    }
}

#[tokio::test]
async fn what_is_no_graphql_request_is_answered_400_in_any_form() {
    let server = server().await;
    for body in [
        "",
        "{",
        "null",
        "1",
        "{}",
        r#"{"query":null}"#,
        r#"{"query":1}"#,
        r#"{"query":["{ hello }"]}"#,
        r#"{"query":"{ hello }","operationName":1}"#,
        r#"{"query":"{ hello }","variables":"x"}"#,
        r#"{"query":"{ hello }","variables":[1]}"#,
        r#"{"query":"{ hello }","extensions":"x"}"#,
        r#"{"query":"{ hello }","extensions":[1]}"#,
        r#"[{"query":"{ hello }"}]"#,
        r#"{"query":"{ hello }"} {"query":"{ hello }"}"#,
        &format!(r#"{{"query":"{{ hello }}","variables":{}}}"#, nested_json(33)),
        "{\"query\":\"\u{1}\"}",
    ] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let request = server.post(body.to_owned()).header("accept", accept);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
            let body: Value = response.json().await.unwrap();
            assert_eq!(code(&body), "BAD_REQUEST", "{body}");
            assert!(body.get("data").is_none(), "{body}");
        }
    }
}

fn nested_json(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

#[tokio::test]
async fn null_stands_for_nothing_said() {
    let server = server().await;
    let request = json!({
        "query": "{ hello }", "operationName": null, "variables": null, "extensions": null,
    });
    assert_eq!(server.ask(request).await["data"]["hello"], "world");
    let request = json!({ "query": "{ hello }", "operationName": "", "more": 1 });
    assert_eq!(server.ask(request).await["data"]["hello"], "world");
}

#[tokio::test]
async fn only_json_is_read() {
    let server = server().await;
    let send = async |content_type: Option<&str>, encoding: Option<&str>| {
        let mut request =
            server.client.post(server.url()).body(r#"{"query":"mutation { count }"}"#);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        request.send().await.unwrap()
    };
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/graphql"),
        Some("application/json; charset=latin1"),
    ] {
        let response = send(content_type, None).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(code(&body), "UNSUPPORTED_MEDIA_TYPE");
    }
    let response = send(Some("application/json"), Some("gzip")).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(server.mutations(), 0);
    let response = send(Some("application/json; charset=utf-8"), Some("identity")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(server.mutations(), 1);
}

#[tokio::test]
async fn a_form_nobody_serves_is_answered_406() {
    let server = server().await;
    let request = server.post(r#"{"query":"{ hello }"}"#).header("accept", "text/html");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(response.headers()["vary"], "Accept");
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "NOT_ACCEPTABLE");
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let server = server().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::HEAD] {
        let response = server.client.request(method.clone(), server.url()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()["allow"], "GET, POST");
    }
}

#[tokio::test]
async fn get_serves_queries_and_nothing_else() {
    let server = server().await;
    let get = async |query: &str| {
        let response = server.client.get(format!("{}?{query}", server.url())).send().await.unwrap();
        (response.status(), response.headers().clone(), response.json::<Value>().await.unwrap())
    };
    let (status, _, body) = get("query=%7B%20hello%20%7D").await;
    assert_eq!((status, &body["data"]["hello"]), (StatusCode::OK, &json!("world")));
    let (_, _, body) =
        get("query=query+A{hello}+query+B($t:String!){echo(text:$t)}&operationName=B&variables=%7B%22t%22:%22x%22%7D").await;
    assert_eq!(body["data"]["echo"], "x");

    let (status, headers, body) = get("query=mutation{count}").await;
    assert_eq!((status, code(&body)), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"));
    assert_eq!(headers["allow"], "POST");
    // Nor when the document also has a query.
    let (status, _, _) = get("query=query+A{hello}+mutation+B{count}&operationName=B").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(server.mutations(), 0);

    let (status, _, _) = get("query=subscription{silence}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _, _) = get("").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_subscription_is_told_to_take_a_socket() {
    let server = server().await;
    let response = server.post(r#"{"query":"subscription { silence }"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("graphql-transport-ws"));
}

#[tokio::test]
async fn a_body_of_256_kib_is_read_and_one_byte_more_is_not() {
    let server = server().await;
    let body = |length: usize| {
        let start = r#"{"query":"{ hello }","more":""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    let response = server.post(body(256 * 1024)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    let too_long = body(256 * 1024 + 1);
    let response = server.post(too_long.clone()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(code(&answer), "PAYLOAD_TOO_LARGE");

    // Nor when the length is not announced.
    let mut chunked = b"transfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in too_long.as_bytes().chunks(10_000) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answer = server.by_hand(&chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_of_30_mb_is_not_read() {
    let server = server().await;
    let mut request = b"content-length: 31457280\r\n\r\n".to_vec();
    request.resize(4 * 1024 * 1024, b' ');
    let answer = server.by_hand(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let settings = TransportSettings {
        body_timeout: Duration::from_millis(50),
        ..TransportSettings::default()
    };
    let server = server_with(settings, PipelineSettings::default()).await;
    let answer = server.by_hand(b"content-length: 100\r\n\r\n{").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn each_limit_has_a_code() {
    let server = server().await;
    let aliases =
        |count: usize| (0..count).map(|n| format!("a{n}: name")).collect::<Vec<_>>().join(" ");
    let deep = |depth: usize| {
        format!("{}hello{}", "{ node ".repeat(depth - 1) + "{", "}".repeat(depth))
            .replace("hello", if depth == 1 { "hello" } else { "name" })
    };
    for (query, expected) in [
        (format!("{{ node {{ {} }} }}", aliases(30)), "none"),
        (format!("{{ node {{ {} }} }}", aliases(31)), "TOO_MANY_ALIASES"),
        (format!("{{ {} }}", "hello ".repeat(20)), "none"),
        (format!("{{ {} }}", "hello ".repeat(21)), "TOO_MANY_ROOT_FIELDS"),
        (format!("{{ hello {} }}", "@skip(if: false) ".repeat(21)), "TOO_MANY_DIRECTIVES"),
        (deep(15), "none"),
        (deep(16), "QUERY_TOO_DEEP"),
        (format!("{{ echo(text: {}1{}) }}", "[".repeat(60), "]".repeat(60)), "QUERY_TOO_DEEP"),
        (format!("{{ node {{ {} }} }}", "name ".repeat(1_999)), "none"),
        (format!("{{ node {{ {} }} }}", "name ".repeat(2_000)), "QUERY_TOO_COMPLEX"),
        (format!("{{ node {{ {} }} }}", "name ".repeat(4_000)), "TOO_MANY_TOKENS"),
        (format!("{{ hello }} #{}", "x".repeat(32 * 1024)), "QUERY_TOO_LARGE"),
        ("{ page(count: 10000) { name } }".to_owned(), "none"),
        ("{ page(count: 10001) { name } }".to_owned(), "QUERY_TOO_COSTLY"),
        ("{ ...a } fragment a on Query { ...a }".to_owned(), "FRAGMENT_CYCLE"),
        ("{ hello".to_owned(), "GRAPHQL_PARSE_FAILED"),
        ("{ goodbye }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("{ echo }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("{ echo(text: 1) }".to_owned(), "BAD_USER_INPUT"),
        ("query A { hello } query B { hello }".to_owned(), "OPERATION_RESOLUTION_FAILURE"),
        ("subscription { count(to: 1) silence }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let body = server.query(&query).await;
        assert_eq!(code(&body), expected, "{query}\n{body}");
        if expected != "none" {
            assert!(body.get("data").is_none(), "{body}");
            body["errors"][0]["extensions"]["requestId"].as_str().unwrap().parse::<Uuid>().unwrap();
        }
    }
}

#[tokio::test]
async fn fragment_bombs_go_out_before_they_are_validated() {
    let server = server().await;
    for rounds in 10..=30 {
        let fragments = (0..rounds)
            .map(|n| format!("fragment f{n} on Node {{ ...f{0} ...f{0} }}", n + 1))
            .collect::<Vec<_>>()
            .join(" ");
        let query =
            format!("{{ node {{ ...f0 }} }} {fragments} fragment f{rounds} on Node {{ name }}");
        let body = server.query(&query).await;
        assert_eq!(code(&body), "QUERY_TOO_COMPLEX", "2^{rounds}");
        let actual = body["errors"][0]["extensions"]["details"]["actual"].as_u64();
        assert_eq!(actual, Some(3 << rounds));
    }
}

#[tokio::test]
async fn tools_may_ask_for_the_whole_schema() {
    let server = server().await;
    let body = server.query(include_str!("../../src/transport/introspection.graphql")).await;
    assert!(body.get("errors").is_none(), "{body}");
    assert_eq!(body["data"]["__schema"]["queryType"]["name"], "Query");
}

#[tokio::test]
async fn at_most_twenty_errors_are_told() {
    let server = server().await;
    let body = server.query("{ nodes(count: 100) { leak } }").await;
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 20);
    errors.iter().for_each(assert_masked);
    let unknown = (0..50).map(|n| format!("x{n}")).collect::<Vec<_>>().join(" ");
    let body = server.query(&format!("{{ node {{ {unknown} }} }}")).await;
    assert_eq!(body["errors"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn errors_nobody_chose_words_for_are_masked() {
    let server = server().await;
    for field in ["leak", "handMade", "broken", "node { leak }"] {
        let body = server.query(&format!("{{ hello {field} }}")).await;
        assert_masked(&body["errors"][0]);
        assert_eq!(body["data"]["hello"], "world");
        assert!(!body.to_string().contains("SELECT"));
    }
    let body = server.query("{ missing }").await;
    assert_eq!(code(&body), "NOT_FOUND");
    assert_eq!(body["errors"][0]["message"], "there is no such thing");
    assert_eq!(body["errors"][0]["path"], json!(["missing"]));
}

#[tokio::test]
async fn a_field_that_failed_is_null_and_so_is_what_cannot_do_without() {
    let server = server().await;
    for (query, data) in [
        ("{ hello missing }", json!({ "hello": "world", "missing": null })),
        ("{ missing }", json!({ "missing": null })),
        ("{ hello required }", json!(null)),
        (
            "{ hello node { name leak } }",
            json!({ "hello": "world", "node": { "name": "node", "leak": null } }),
        ),
        ("{ node { leak } }", json!({ "node": { "leak": null } })),
        ("{ hello node { name required } }", json!(null)),
        ("{ hello maybe { name required } }", json!({ "hello": "world", "maybe": null })),
        ("{ hello maybe { node { required } } }", json!({ "hello": "world", "maybe": null })),
    ] {
        let body = server.query(query).await;
        assert_eq!(body["data"], data, "{query}");
        assert!(body.as_object().unwrap().contains_key("data"));
        assert_eq!(body["errors"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_panic_is_masked_and_the_server_goes_on() {
    let server = server().await;
    let response = server.post(r#"{"query":"{ panic }"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_masked(&body["errors"][0]);
    assert_eq!(body["errors"][0]["extensions"]["requestId"], id);
    assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_given_up() {
    let pipeline =
        PipelineSettings { timeout: Duration::from_millis(50), ..PipelineSettings::default() };
    let server = server_with(TransportSettings::default(), pipeline).await;
    let response = server.post(r#"{"query":"{ wait }"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "TIMEOUT");
    server.dropped().await;
}

#[tokio::test]
async fn resolvers_know_the_request_and_may_add_to_the_answer() {
    let server = server().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let response = server
        .post(r#"{"query":"{ request extended }"}"#)
        .header("idempotency-key", "key-1")
        .header("traceparent", trace)
        .send()
        .await
        .unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()["consistency-token"], "0000000000000017");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["data"]["request"], json!([id, "key-1", trace]));
    assert_eq!(body["extensions"], json!({ "consistency": "17" }));

    let request = server.post(r#"{"query":"{ request }"}"#).header("idempotency-key", "two words");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_known_document_is_judged_like_an_unknown_one() {
    let server = server().await;
    let queries = [
        (
            "query($v: Int) { number(of: $v) }",
            vec![json!(1), json!(null), json!("1"), json!(1.5), json!(4_000_000_000_u64)],
        ),
        ("query($v: Int!) { number(of: $v) }", vec![json!(1), json!(null), json!(true)]),
        ("query($v: Int = 7) { number(of: $v) }", vec![json!(1), json!(null), json!([1])]),
        ("query($v: String!) { echo(text: $v) }", vec![json!("a"), json!(1), json!({})]),
        ("query($v: ID!) { id(id: $v) }", vec![json!("a"), json!(1), json!(1.5)]),
        ("query($v: Mood) { mood(is: $v) }", vec![json!("GOOD"), json!("SO_SO"), json!(1)]),
        (
            "query($v: SumInput!) { sum(input: $v) }",
            vec![
                json!({ "a": 1, "b": 2 }),
                json!({ "a": 1, "c": 2 }),
                json!({ "b": 2 }),
                json!({ "a": "1" }),
                json!([{ "a": 1 }]),
                json!(null),
            ],
        ),
        (
            "query($v: Int = 1) { sum(input: { a: 1, b: $v }) }",
            vec![json!(2), json!(null), json!("x")],
        ),
        ("query($v: Int = 7) { needs(it: $v) }", vec![json!(1), json!(null), json!("x")]),
        ("query($v: String) { sum(input: { a: $v }) }", vec![json!("x"), json!(null), json!(1)]),
        ("query($v: Int) { sum(input: { a: $v }) }", vec![json!(1), json!(null), json!("x")]),
        (
            "query($v: Boolean = true) { hello @include(if: $v) node { name } }",
            vec![json!(true), json!(false), json!("x")],
        ),
    ];
    for (query, values) in queries {
        let ask = async |query: &str, variables: &Value| {
            let mut body = server.ask(json!({ "query": query, "variables": variables })).await;
            for error in body["errors"].as_array_mut().into_iter().flatten() {
                error["extensions"].as_object_mut().unwrap().remove("requestId");
            }
            body
        };
        let variables = values.into_iter().map(|value| json!({ "v": value }));
        let variables: Vec<_> = variables.chain([json!({}), json!({ "w": 1 })]).collect();
        let mut unknown = Vec::new();
        for (n, variables) in variables.iter().enumerate() {
            // A comment makes it a document nobody knows.
            unknown.push(ask(&format!("{query} # {n}"), variables).await);
        }
        // Whatever comes first, the document is known after that which went well.
        for _ in 0..2 {
            for (variables, unknown) in variables.iter().zip(&unknown) {
                assert_eq!(&ask(query, variables).await, unknown, "{query} {variables}");
            }
        }
    }
}

#[tokio::test]
async fn defaults_hold_for_conditions_too() {
    let server = server().await;
    let query = "query($v: Boolean = true) { hello @include(if: $v) node @skip(if: $v) { name } }";
    assert_eq!(server.query(query).await, json!({ "data": { "hello": "world" } }));
}

#[tokio::test]
async fn a_page_of_another_host_may_not_call() {
    let settings = TransportSettings {
        origins: mallbots_gateway::transport::origin::Origins {
            allowed: vec!["https://console.example".to_owned()],
            loopback_only: true,
            hosts: Vec::new(),
        },
        ..TransportSettings::default()
    };
    let server = server_with(settings, PipelineSettings::default()).await;
    let own = format!("http://{}", server.address);
    for (origin, status) in [
        (own.as_str(), 200),
        ("https://console.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let request = server.post(r#"{"query":"{ hello }"}"#).header("origin", origin);
        assert_eq!(request.send().await.unwrap().status(), status, "{origin}");
        let socket = server.open(Some("graphql-transport-ws"), Some(origin)).await;
        match socket {
            Ok(_) => assert_eq!(status, 200, "{origin}"),
            Err(Error::Http(response)) => assert_eq!(response.status(), status, "{origin}"),
            Err(error) => panic!("{error}"),
        }
    }
    let request = server.post(r#"{"query":"{ hello }"}"#).header("host", "rebound.example");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn readiness_names_each_check() {
    let server = server().await;
    let ready = async || {
        let url = format!("http://{}/readyz?verbose", server.address);
        let response = server.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let report = json!({ "ready": true, "status": "ready", "checks": [] });
    assert_eq!(ready().await, (200, report));
    server.readiness.register("ledger", async || Ok(()));
    server.readiness.register("projections", async || Err("12 behind".to_owned()));
    let checks = json!([
        { "name": "ledger", "status": "ready" },
        { "name": "projections", "status": "not ready", "reason": "12 behind" },
    ]);
    let report = json!({ "ready": false, "status": "not ready", "checks": checks });
    assert_eq!(ready().await, (503, report));
    let url = format!("http://{}/livez", server.address);
    assert_eq!(server.client.get(url).send().await.unwrap().status(), StatusCode::OK);
}

// ---- WebSocket

#[tokio::test]
async fn a_subscription_sends_its_items_and_completes() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { count(to: 2) }").await;
    for n in 1..=2 {
        let payload =
            json!({ "data": { "count": n }, "extensions": { "cursor": format!("c{n}") } });
        socket.expect(json!({ "type": "next", "id": "1", "payload": payload })).await;
    }
    socket.expect(json!({ "type": "complete", "id": "1" })).await;
    // The id is free again.
    socket.subscribe("1", "subscription { count(to: 0) }").await;
    socket.expect(json!({ "type": "complete", "id": "1" })).await;
}

#[tokio::test]
async fn queries_and_mutations_travel_by_socket_too() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("q", "{ hello }").await;
    socket
        .expect(json!({ "type": "next", "id": "q", "payload": { "data": { "hello": "world" } } }))
        .await;
    socket.expect(json!({ "type": "complete", "id": "q" })).await;
    socket.subscribe("m", "mutation { count }").await;
    socket
        .expect(json!({ "type": "next", "id": "m", "payload": { "data": { "count": 1 } } }))
        .await;
    socket.expect(json!({ "type": "complete", "id": "m" })).await;
}

#[tokio::test]
async fn a_refused_document_is_an_error_and_the_socket_stays() {
    let server = server().await;
    let mut socket = server.socket().await;
    for (query, code) in [
        ("{ goodbye }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...a } fragment a on Query { ...a }", "FRAGMENT_CYCLE"),
    ] {
        socket.subscribe("1", query).await;
        let message = socket.next().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")));
        assert_eq!(message["payload"][0]["extensions"]["code"], code);
        assert!(message["payload"][0]["extensions"]["requestId"].is_string());
    }
    // Nothing else came, not even `complete`.
    socket.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    socket.expect(json!({ "type": "pong", "payload": { "n": 1 } })).await;
}

#[tokio::test]
async fn the_items_of_a_subscription_are_masked_too() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { leaking }").await;
    assert_eq!(socket.next().await["payload"], json!({ "data": { "leaking": 1 } }));
    let failed = socket.next().await;
    assert_eq!(failed["type"], "next");
    assert_masked(&failed["payload"]["errors"][0]);

    let mut socket = server.socket().await;
    socket.subscribe("2", "subscription { panicking }").await;
    assert_eq!(socket.next().await["payload"], json!({ "data": { "panicking": 1 } }));
    let panicked = socket.next().await;
    assert_eq!(panicked["type"], "error");
    assert_masked(&panicked["payload"][0]);

    socket.subscribe("3", "{ panic }").await;
    assert_masked(&socket.next().await["payload"][0]);

    socket.subscribe("4", "subscription { missing }").await;
    let missing = socket.next().await;
    assert_eq!(missing["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND");
    socket.expect(json!({ "type": "complete", "id": "4" })).await;
}

#[tokio::test]
async fn complete_ends_a_subscription_at_once_and_is_not_echoed() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { silence }").await;
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    server.dropped().await;
    // Completing what is not there is no fault: it may just have ended.
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    socket.send(json!({ "type": "ping" })).await;
    socket.expect(json!({ "type": "pong" })).await;
    // The same id may be used right away.
    socket.subscribe("1", "subscription { silence }").await;
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    socket.subscribe("1", "{ hello }").await;
    assert_eq!(socket.next().await["payload"]["data"]["hello"], "world");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_operations_along() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { silence }").await;
    socket.subscribe("2", "{ wait }").await;
    timeout(PATIENCE, server.world.waiting.notified()).await.unwrap();
    drop(socket);
    server.dropped().await;
    server.dropped().await;
}

#[tokio::test]
async fn resuming_is_told_beside_the_document() {
    let server = server().await;
    let told = async |init: Value, extensions: Value| {
        let mut socket = server.open(Some("graphql-transport-ws"), None).await.unwrap();
        socket.send(json!({ "type": "connection_init", "payload": init })).await;
        socket.expect(json!({ "type": "connection_ack" })).await;
        let payload = json!({ "query": "subscription { told }", "extensions": extensions });
        socket.send(json!({ "type": "subscribe", "id": "a", "payload": payload })).await;
        socket.next().await["payload"]["data"]["told"].clone()
    };
    assert_eq!(told(json!(null), json!(null)).await, json!([null, null]));
    assert_eq!(told(json!({ "name": "t" }), json!({ "resume": "c1" })).await, json!(["c1", "t"]));
    assert_eq!(told(json!({ "resume": "c2" }), json!({})).await, json!(["c2", null]));
    let by_id = json!({ "resume": { "a": "c3", "b": "c4" } });
    assert_eq!(told(by_id.clone(), json!({})).await, json!(["c3", null]));
    assert_eq!(told(by_id, json!({ "resume": "c5" })).await, json!(["c5", null]));
}

#[tokio::test]
async fn a_socket_carries_fifty_operations_and_no_more() {
    let server = server().await;
    let mut socket = server.socket().await;
    for n in 0..50 {
        socket.subscribe(&n.to_string(), "subscription { silence }").await;
    }
    socket.subscribe("more", "subscription { silence }").await;
    let refused = socket.next().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("more")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
    socket.send(json!({ "type": "complete", "id": "7" })).await;
    socket.subscribe("more", "{ hello }").await;
    assert_eq!(socket.next().await["payload"]["data"]["hello"], "world");
}

#[tokio::test]
async fn a_message_that_is_none_closes_with_4400() {
    let server = server().await;
    for message in [
        Message::text(""),
        Message::text("hello"),
        Message::text("{}"),
        Message::text(r#"{"type":"start","id":"1"}"#),
        Message::text(r#"{"type":"subscribe","id":"1"}"#),
        Message::text(r#"{"type":"subscribe","payload":{"query":"{ hello }"}}"#),
        Message::text(r#"{"type":"subscribe","id":1,"payload":{"query":"{ hello }"}}"#),
        Message::text(r#"{"type":"subscribe","id":"","payload":{"query":"{ hello }"}}"#),
        Message::text(r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#),
        Message::text(
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ hello }","variables":[]}}"#,
        ),
        Message::text(r#"{"type":"connection_init","payload":1}"#),
        Message::text(format!(r#"{{"type":"ping","payload":{}}}"#, nested_json(1_000))),
        Message::text(format!(
            r#"{{"type":"ping","payload":{{"a":"{}"}}}}"#,
            "x".repeat(64 * 1024)
        )),
        Message::binary(r#"{"type":"ping"}"#),
        // Text that is no UTF-8.
        Message::Frame(Frame::message(vec![0xff], OpCode::Data(OpData::Text), true)),
    ] {
        let mut socket = server.socket().await;
        socket.send_raw(message.clone()).await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 4400, "{message:.100?}");
        assert!(!reason.is_empty() && reason.len() <= 123, "{reason}");
    }
}

#[tokio::test]
async fn subscribing_before_the_acknowledgement_closes_with_4401() {
    let server = server().await;
    let mut socket = server.open(Some("graphql-transport-ws"), None).await.unwrap();
    socket.subscribe("1", "{ hello }").await;
    assert_eq!(socket.closed().await.0, 4401);
}

#[tokio::test]
async fn a_refused_init_closes_with_4403() {
    let server = server().await;
    for payload in [
        json!({ "token": "bad" }),
        json!({ "token": 1 }),
        json!({ "authorization": "Bearer bad" }),
        json!({ "Authorization": "bad" }),
        json!({ "token": "bad", "authorization": "Bearer bad" }),
        json!({ "token": "ü".repeat(10_000) }),
    ] {
        let mut socket = server.open(Some("graphql-transport-ws"), None).await.unwrap();
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 4403, "{payload}");
        assert!(reason.starts_with("the token is refused") && reason.len() <= 123, "{reason}");
    }
}

#[tokio::test]
async fn another_subprotocol_closes_with_4406() {
    let server = server().await;
    // Clients refuse a handshake that leaves their protocol out; so by hand.
    for protocol in ["graphql-ws", "soap, graphql-ws"] {
        assert_eq!(close_code_by_hand(&server, Some(protocol)).await, 4406, "{protocol}");
    }
    assert_eq!(close_code_by_hand(&server, None).await, 4406);
    assert!(server.open(Some("soap, graphql-transport-ws"), None).await.is_ok());
}

/// Shakes hands without checking the answer, and reads the code of the close.
async fn close_code_by_hand(server: &Server, protocol: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let protocol = protocol.map_or(String::new(), |p| format!("sec-websocket-protocol: {p}\r\n"));
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end_of_head = loop {
        let mut byte = [0];
        timeout(PATIENCE, stream.read_exact(&mut byte)).await.unwrap().unwrap();
        answer.push(byte[0]);
        if answer.ends_with(b"\r\n\r\n") {
            break answer.len();
        }
    };
    assert!(answer[..end_of_head].starts_with(b"HTTP/1.1 101"));
    // A close frame: two bytes of head, two of code.
    let mut frame = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[0], 0x88);
    u16::from_be_bytes([frame[2], frame[3]])
}

#[tokio::test]
async fn a_request_for_a_socket_that_is_none_is_told_so() {
    let server = server().await;
    let request = server.client.get(server.url()).header("upgrade", "websocket");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "BAD_REQUEST");
}

#[tokio::test]
async fn a_client_that_does_not_begin_is_closed_with_4408() {
    let settings =
        WebSocketSettings { init_timeout: Duration::from_millis(50), ..Default::default() };
    let server = server_with_sockets(settings).await;
    let mut socket = server.open(Some("graphql-transport-ws"), None).await.unwrap();
    assert_eq!(socket.closed().await.0, 4408);
}

#[tokio::test]
async fn an_id_in_use_closes_with_4409() {
    let server = server().await;
    let mut socket = server.socket().await;
    let long = "i".repeat(1_000);
    socket.subscribe(&long, "subscription { silence }").await;
    socket.subscribe(&long, "{ hello }").await;
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 4409);
    assert_eq!(reason.len(), 123);
    server.dropped().await;
}

#[tokio::test]
async fn a_second_init_closes_with_4429() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.closed().await.0, 4429);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let settings = WebSocketSettings {
        ping_every: Duration::from_millis(10),
        deadline: Duration::from_millis(60),
        ..Default::default()
    };
    let server = server_with_sockets(settings).await;
    let mut socket = server.socket().await;
    let mut pings = 0;
    while pings < 20 {
        // Reading answers them.
        pings += u32::from(matches!(socket.frame().await, Message::Ping(_)));
    }
    socket.subscribe("1", "{ hello }").await;
    assert_eq!(socket.next().await["payload"]["data"]["hello"], "world");
}

#[tokio::test]
async fn a_client_that_shows_no_sign_of_life_is_closed_with_1013() {
    let settings = WebSocketSettings {
        ping_every: Duration::from_millis(10),
        deadline: Duration::from_millis(60),
        ..Default::default()
    };
    let server = server_with_sockets(settings).await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { silence }").await;
    // Nothing is read meanwhile, so nothing is answered.
    server.dropped().await;
    assert_eq!(socket.closed().await.0, 1013);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_1013() {
    let settings =
        WebSocketSettings { send_timeout: Duration::from_millis(100), ..Default::default() };
    let server = server_with_sockets(settings).await;
    let mut stuck = server.socket().await;
    stuck.subscribe("1", "subscription { flood }").await;
    // Others are served as if nothing was.
    let mut other = server.socket().await;
    other.subscribe("1", "{ hello }").await;
    assert_eq!(other.next().await["payload"]["data"]["hello"], "world");

    server.dropped().await;
    assert_eq!(stuck.closed().await.0, 1013);
}

#[tokio::test]
async fn equal_subscriptions_share_one_execution() {
    let server = server().await;
    let mut sockets = Vec::new();
    for number in 0..100 {
        let mut socket = server.socket().await;
        // Where one goes on makes no difference once it has caught up.
        let query = "subscription($a: Int) { news(after: $a) }";
        let payload = json!({ "query": query, "variables": { "a": number % 3 } });
        socket
            .send(json!({ "type": "subscribe", "id": number.to_string(), "payload": payload }))
            .await;
        sockets.push(socket);
    }
    server.world.news.send_replace(5);
    for (number, socket) in sockets.iter_mut().enumerate() {
        for n in number % 3 + 1..=5 {
            let payload = json!({ "data": { "news": n.to_string() }, "extensions": { "cursor": n.to_string() } });
            socket
                .expect(json!({ "type": "next", "id": number.to_string(), "payload": payload }))
                .await;
        }
    }
    server.world.news.send_replace(6);
    for socket in &mut sockets {
        assert_eq!(socket.next().await["payload"]["data"]["news"], "6");
    }
    assert_eq!(server.world.listeners.load(Ordering::Relaxed), 1);

    // Other arguments are another thing to watch.
    let mut other = server.socket().await;
    other.subscribe("1", "subscription { news(padding: 1) }").await;
    assert_eq!(other.next().await["payload"]["data"]["news"], "1x");
    while server.world.listeners.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }

    // Nothing goes on that nobody watches: each had a snapshot, and there were
    // two executions besides.
    drop((sockets, other));
    for _ in 0..101 + 2 {
        server.dropped().await;
    }
}

#[tokio::test]
async fn a_shared_subscription_resumes_in_each_of_the_three_ways() {
    let server = server().await;
    server.world.news.send_replace(4);
    let mut listening = server.socket().await;
    listening.subscribe("1", "subscription { news }").await;
    for n in 1..=4 {
        assert_eq!(listening.next().await["payload"]["extensions"]["cursor"], n.to_string());
    }
    for (init, extensions, query, first) in [
        (json!({}), json!({}), "subscription { news(after: 3) }", "4"),
        (json!({}), json!({ "resume": "2" }), "subscription { news }", "3"),
        (json!({ "resume": { "1": "1" } }), json!({}), "subscription { news }", "2"),
        (json!({ "resume": "1" }), json!({ "resume": "3" }), "subscription { news }", "4"),
    ] {
        let mut socket = server.open(Some("graphql-transport-ws"), None).await.unwrap();
        socket.send(json!({ "type": "connection_init", "payload": init })).await;
        socket.expect(json!({ "type": "connection_ack" })).await;
        let payload = json!({ "query": query, "extensions": extensions });
        socket.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
        assert_eq!(socket.next().await["payload"]["data"]["news"], first);
    }
}

#[tokio::test]
async fn one_who_does_not_read_holds_up_nobody_who_watches_the_same() {
    let settings = WebSocketSettings {
        send_timeout: Duration::from_millis(500),
        close_timeout: PATIENCE,
        ..Default::default()
    };
    let server = server_with_sockets(settings).await;
    let query = "subscription { news(padding: 30000) }";
    let mut stuck = server.socket().await;
    stuck.subscribe("1", query).await;
    let mut reader = server.socket().await;
    reader.subscribe("1", query).await;
    // More than a log keeps, so that it also begins anew, and more than the
    // kernel takes for it.
    for n in 1..=1_000_i64 {
        server.world.news.send_replace(n);
        let item = reader.next().await;
        assert_eq!(item["payload"]["extensions"]["cursor"], n.to_string());
    }
    // What it takes in late is complete as far as it goes.
    let mut next = 1;
    let (code, _) = loop {
        match stuck.frame().await {
            Message::Text(text) => {
                let item: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(item["payload"]["extensions"]["cursor"], next.to_string());
                next += 1;
            }
            Message::Close(Some(frame)) => break (u16::from(frame.code), frame.reason),
            Message::Close(None) | Message::Binary(_) | Message::Frame(_) => panic!("not closed"),
            Message::Ping(_) | Message::Pong(_) => {}
        }
    };
    assert_eq!(code, 1013);
    assert!(1 < next && next < 1_000, "{next}");
    // And the cursor resumes it.
    let mut again = server.socket().await;
    again.subscribe("1", &format!("subscription {{ news(after: {}) }}", next - 1)).await;
    assert_eq!(again.next().await["payload"]["extensions"]["cursor"], next.to_string());
}

#[tokio::test]
async fn a_flood_of_sockets_that_say_nothing_passes() {
    let settings =
        WebSocketSettings { init_timeout: Duration::from_millis(200), ..Default::default() };
    let server = server_with_sockets(settings).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(server.open(Some("graphql-transport-ws"), None).await.unwrap());
    }
    assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
    for socket in &mut silent {
        assert_eq!(socket.closed().await.0, 4408);
    }
}

#[tokio::test]
async fn a_flood_of_operations_is_refused_and_the_socket_stays() {
    let server = server().await;
    let mut socket = server.socket().await;
    let mut refused = 0;
    for n in 0..500 {
        socket.subscribe(&n.to_string(), "subscription { silence }").await;
        if n >= 50 {
            let message = socket.next().await;
            assert_eq!(message["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
            refused += 1;
        }
    }
    assert_eq!(refused, 450);
    socket.send(json!({ "type": "ping" })).await;
    socket.expect(json!({ "type": "pong" })).await;
    drop(socket);
    for _ in 0..50 {
        server.dropped().await;
    }
}

#[tokio::test]
async fn operations_that_come_and_go_leave_nothing_behind() {
    let server = server().await;
    let mut socket = server.socket().await;
    for n in 0..200 {
        socket.subscribe("1", "subscription { news }").await;
        socket.send(json!({ "type": "complete", "id": "1" })).await;
        if n % 20 == 0 {
            socket.send(json!({ "type": "ping" })).await;
            socket.expect(json!({ "type": "pong" })).await;
        }
    }
    // One after the other has its turn.
    socket.subscribe("1", "subscription { news }").await;
    server.world.news.send_replace(1);
    assert_eq!(socket.next().await["payload"]["data"]["news"], "1");
}

#[tokio::test]
async fn a_message_of_64_kib_is_read() {
    let server = server().await;
    let mut socket = server.socket().await;
    let frame = r#"{"type":"ping","payload":{"a":""}}"#;
    let text = "x".repeat(64 * 1024 - frame.len());
    socket.send(json!({ "type": "ping", "payload": { "a": text } })).await;
    socket.expect(json!({ "type": "pong", "payload": { "a": text } })).await;
}

#[tokio::test]
async fn a_drain_ends_shared_subscriptions_too() {
    let server = server().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = server.socket().await;
        socket.subscribe("1", "subscription { news }").await;
        sockets.push(socket);
    }
    server.world.news.send_replace(1);
    for socket in &mut sockets {
        socket.next().await;
    }
    server.signals.drain.cancel();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await.0, 1001);
    }
    assert_eq!(timeout(PATIENCE, server.running).await.unwrap().unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn a_drain_closes_sockets_with_1001_after_what_must_be_finished() {
    let server = server().await;
    let mut idle = server.socket().await;
    let mut busy = server.socket().await;
    busy.subscribe("s", "subscription { silence }").await;
    busy.subscribe("m", "mutation { wait }").await;
    timeout(PATIENCE, server.world.waiting.notified()).await.unwrap();

    server.signals.drain.cancel();
    assert_eq!(idle.closed().await.0, 1001);
    server.dropped().await;
    busy.subscribe("late", "{ hello }").await;
    let refused = busy.next().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("late")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "UNAVAILABLE");
    server.world.release.notify_one();
    assert_eq!(busy.next().await["payload"]["data"]["wait"], 1);
    busy.expect(json!({ "type": "complete", "id": "m" })).await;
    assert_eq!(busy.closed().await.0, 1001);
    assert_eq!(timeout(PATIENCE, server.running).await.unwrap().unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn a_drain_finishes_requests_and_takes_no_new_ones() {
    let server = server().await;
    // An idle connection is closed, not waited for.
    server.query("{ hello }").await;
    let waiting = server.post(r#"{"query":"mutation { wait }"}"#).send();
    let drain = async {
        timeout(PATIENCE, server.world.waiting.notified()).await.unwrap();
        server.signals.drain.cancel();
        // Refused, once the listener is gone.
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        server.world.release.notify_one();
    };
    let (response, ()) = tokio::join!(waiting, drain);
    let body: Value = response.unwrap().json().await.unwrap();
    assert_eq!(body["data"]["wait"], 1);
    assert_eq!(timeout(PATIENCE, server.running).await.unwrap().unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let server = server().await;
    let mut socket = server.socket().await;
    socket.subscribe("m", "mutation { wait }").await;
    timeout(PATIENCE, server.world.waiting.notified()).await.unwrap();
    server.signals.drain.cancel();
    server.signals.abort.cancel();
    assert_eq!(timeout(PATIENCE, server.running).await.unwrap().unwrap(), Stopped::Aborted);
}

#[test]
fn a_value_of_the_schema_reads_like_json() {
    // The pipeline hands variables over as they come; this is what it relies on.
    let value: GraphQlValue = serde_json::from_str(r#"{"a":[1,2.5,null,"x",true]}"#).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), json!({ "a": [1, 2.5, null, "x", true] }));
}
