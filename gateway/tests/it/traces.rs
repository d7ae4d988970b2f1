//! Traces as a collector sees them: it takes OTLP over HTTP, and is asked for
//! the tree of one order, across the processes it went through.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::SocketAddr,
    path::Path,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use mallbots_domain::ordering::OrderStatus;
use mallbots_testing::shapes::{self, Shape};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::support::{Mall, Shopper, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00f067aa0ba902b7";
const STATE: &str = "vendor=a:1,mall=robots";

/// A span as the collector was told of it.
#[derive(Debug, Clone)]
struct Span {
    /// What the process does that it is from.
    duties: String,
    name: String,
    kind: SpanKind,
    trace: String,
    id: String,
    parent: String,
    /// Traces and spans.
    links: Vec<(String, String)>,
    attributes: BTreeMap<String, String>,
    failed: bool,
    /// What systems along the trace say to each other.
    state: String,
}

/// A collector that keeps what it is told.
struct Collector {
    address: SocketAddr,
    spans: watch::Receiver<Vec<Span>>,
}

impl Collector {
    async fn open() -> Self {
        let (told, spans) = watch::channel(Vec::new());
        let router = Router::new().route("/v1/traces", post(take)).with_state(told);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, spans }
    }

    fn settings(&self, ratio: &str) -> [(String, String); 3] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://{}", self.address)),
            ("OTEL_TRACES_SAMPLER_ARG".to_owned(), ratio.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "50".to_owned()),
        ]
    }

    fn all(&self) -> Tree {
        Tree(self.spans.borrow().clone())
    }

    /// Waits until it has been told of what makes this so.
    async fn until<T>(&mut self, what: &str, find: impl Fn(&Tree) -> Option<T> + Sync) -> T {
        let spans = &mut self.spans;
        let found = within(what, async {
            loop {
                let tree = Tree(spans.borrow_and_update().clone());
                if let Some(found) = find(&tree) {
                    return found;
                }
                spans.changed().await.unwrap();
            }
        });
        found.await
    }
}

async fn take(
    State(told): State<watch::Sender<Vec<Span>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Vec<u8>, StatusCode> {
    if headers[CONTENT_TYPE] != "application/x-protobuf" {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    told.send_modify(|spans| {
        for of in request.resource_spans {
            let resource = attributes(of.resource.unwrap_or_default().attributes);
            assert_eq!(resource["service.name"], "mallbots");
            let of_scopes = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(of_scopes.map(|span| Span {
                duties: resource["mallbots.duties"].clone(),
                kind: span.kind(),
                failed: span.status.is_some_and(|it| it.code() == SpanStatus::Error),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                links: span.links.iter().map(|it| (hex(&it.trace_id), hex(&it.span_id))).collect(),
                attributes: attributes(span.attributes),
                state: span.trace_state,
                name: span.name,
            }));
        }
    });
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    // The exporter's own, of which there are several kinds, are not asked for.
    let all = all.into_iter().filter(|it| !it.key.starts_with("telemetry.sdk"));
    all.map(|it| (it.key, text(it.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// What the collector knows so far.
#[derive(Debug)]
struct Tree(Vec<Span>);

impl Tree {
    fn of<'t>(&'t self, trace: &'t str) -> impl Iterator<Item = &'t Span> {
        self.0.iter().filter(move |span| span.trace == trace)
    }

    fn named<'t>(&'t self, trace: &'t str, name: &'t str) -> impl Iterator<Item = &'t Span> {
        self.of(trace).filter(move |span| span.name == name)
    }

    /// The way to a span from the caller's: who did what.
    fn way(&self, span: &Span) -> Option<Vec<(String, String)>> {
        let mut way = vec![(span.duties.clone(), span.name.clone())];
        let mut at = span;
        while at.parent != CALLER {
            at = self.of(&span.trace).find(|other| other.id == at.parent)?;
            way.push((at.duties.clone(), at.name.clone()));
        }
        way.reverse();
        Some(way)
    }
}

/// What the saga asks of contexts, in order.
const STEPS: [&str; 5] = [
    "customers.AuthorizeCustomer",
    "depot.CreateShoppingList",
    "payments.ConfirmPayment",
    "depot.InitiateShopping",
    "ordering.ApproveOrder",
];

/// The way from a caller's mutation to the approval of the order.
fn way_to_the_approval() -> Vec<(String, String)> {
    let mut way = Vec::new();
    let mut go = |duties: &str, name: &str| way.push((duties.to_owned(), name.to_owned()));
    go("gateway", "mutation");
    go("gateway", "command checkoutBasket");
    go("gateway", "append");
    go("relay", "publish baskets.BasketCheckedOut");
    go("commands", "process baskets.BasketCheckedOut");
    go("commands", "append");
    let mut heard = "ordering.OrderCreated".to_owned();
    for step in STEPS {
        go("relay", &format!("publish {heard}"));
        go("sagas", &format!("process {heard}"));
        go("sagas", "saga step");
        go("sagas", "append");
        go("relay", &format!("publish {step}"));
        go("commands", &format!("process {step}"));
        go("commands", "append");
        "sagas.StepReplied".clone_into(&mut heard);
    }
    go("relay", "publish ordering.OrderApproved");
    way
}

/// A shape of many processes that says what it does to a collector.
async fn traced_shape(collector: &Collector, folder: &Path) -> Shape {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let mut services = shapes::read(&file, "microservices", &BTreeMap::new()).unwrap();
    for planned in &mut services.mall {
        planned.environment.extend(collector.settings("0"));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_mallbots"));
    Shape::start(&services, program, folder).await.unwrap()
}

/// Checks a basket out within a trace, told by headers.
async fn check_out<const N: usize>(
    mall: &Mall,
    shopper: &Shopper,
    headers: [(&str, String); N],
) -> reqwest::Response {
    let query = "mutation Buy($input: CheckoutBasketInput!) \
                 { checkoutBasket(input: $input) { orderId } }";
    let input = json!({ "id": shopper.basket, "paymentId": shopper.payment });
    let mut request = reqwest::Client::new()
        .post(mall.client.url().clone())
        .header("content-type", "application/json")
        .body(json!({ "query": query, "variables": { "input": input } }).to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = within("an answer", request.send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response
}

#[tokio::test]
async fn one_trace_leads_from_the_mutation_through_every_process_to_the_subscriber() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::open().await;
    let mut shape = traced_shape(&collector, folder.path()).await;
    let gateway = |number| {
        let address =
            shape.of("gateway").find(|it| it.number() == number).unwrap().address().unwrap();
        Mall::at(&format!("http://{address}/graphql"))
    };
    let (mall, watching) = (gateway(1), gateway(2));

    let w3c =
        [("traceparent", format!("00-{TRACE}-{CALLER}-01")), ("tracestate", STATE.to_owned())];
    let jaeger = [
        ("uber-trace-id", format!("{OTHER}:{CALLER}:0:1")),
        // Jaeger's clients know nothing of it.
        ("tracestate", STATE.to_owned()),
    ];
    for (trace, state, headers) in [(TRACE, STATE, w3c), (OTHER, "", jaeger)] {
        let shopper = mall.given_a_shopper().await;
        let mut watch = watching.watch("ordersChanged", &[], "id status").await;
        let response = check_out(&mall, &shopper, headers).await;
        let told = response.headers()["traceparent"].to_str().unwrap();
        assert!(told.contains(trace), "{told}");
        let order = shopper.order().to_string();
        let approved = OrderStatus::Approved.as_str();
        watch.until(|item| item["id"] == order && item["status"] == approved).await;

        // The last of what this waits for is told, and all before it.
        let approval = way_to_the_approval();
        let found = collector
            .until("the way to the approval", |tree| {
                let mut ends = tree.named(trace, "publish ordering.OrderApproved");
                let published = ends.find_map(|span| Some((span.clone(), tree.way(span)?)))?;
                let ends = tree
                    .named(trace, "push ordersChanged")
                    .filter(|span| span.parent == published.0.id);
                let push = ends.last()?.clone();
                let batch = push.links.first()?.clone();
                let batch = tree.named(&batch.0, "project").find(|span| span.id == batch.1)?;
                let batch = batch.clone();
                Some((published, push, batch))
            })
            .await;
        let ((published, way), push, batch) = found;
        assert_eq!(way, approval);

        // What is done at once about many things is part of none of them.
        assert_eq!((&*batch.duties, batch.kind), ("projector", SpanKind::Consumer));
        assert_ne!(batch.trace, trace);
        assert!(batch.links.contains(&(trace.to_owned(), published.id)), "{batch:?}");
        assert_eq!(batch.attributes["db.system.name"], "postgresql");
        assert_eq!((&*push.duties, push.kind), ("gateway", SpanKind::Producer));

        // The answer to the last step may come later than what it led to.
        let steps = |tree: &Tree| {
            let steps = tree.named(trace, "saga step");
            let steps = steps.filter_map(|span| span.attributes.get("saga.step").cloned());
            let steps: BTreeSet<_> = steps.collect();
            (steps.len() == STEPS.len()).then_some(())
        };
        collector.until("every step of the saga", steps).await;
        let tree = collector.all();
        let mutation = tree.named(trace, "mutation").next().unwrap();
        assert_eq!(mutation.kind, SpanKind::Server);
        let expected = [
            ("graphql.operation.type", "mutation"),
            ("graphql.operation.name", "Buy"),
            ("http.request.method", "POST"),
            ("http.response.status_code", "200"),
            ("http.route", "/graphql"),
            ("url.path", "/graphql"),
            ("url.scheme", "http"),
            ("network.protocol.name", "http"),
        ];
        for (name, value) in expected {
            assert_eq!(mutation.attributes[name], value);
        }
        let publish = tree.named(trace, "publish ordering.OrderCreated").next().unwrap();
        assert_eq!(publish.kind, SpanKind::Producer);
        assert_eq!(publish.attributes["messaging.system"], "nats");
        assert_eq!(publish.attributes["messaging.destination.name"], "MALL");
        assert_eq!(publish.attributes["messaging.operation.type"], "send");
        let process = tree.named(trace, "process ordering.OrderCreated");
        let groups: BTreeSet<_> = process
            .map(|span| {
                assert_eq!(span.kind, SpanKind::Consumer);
                span.attributes["messaging.consumer.group.name"].as_str()
            })
            .collect();
        assert!(groups.is_superset(&["sagas", "notifications"].into()), "{groups:?}");
        // Whoever is in the trace says nothing of whom it is about.
        for span in tree.of(trace) {
            assert!(!span.failed, "{span:?}");
            assert_eq!(span.state, state, "{span:?}");
            let customer = shopper.customer.to_string();
            assert!(!span.attributes.values().any(|it| *it == customer), "{span:?}");
        }
    }
    // Nothing else was traced: what led there came without.
    let tree = collector.all();
    let others = tree.0.iter().filter(|span| span.name != "project");
    let traces: BTreeSet<_> = others.map(|span| span.trace.as_str()).collect();
    assert_eq!(traces, [TRACE, OTHER].into());
    shape.stop().await.unwrap();
}

/// A mall of one process that tells a collector.
async fn traced_mall(collector: &Collector, ratio: &str) -> Mall {
    traced_mall_with(collector, ratio, &[]).await
}

/// The same with more settings.
async fn traced_mall_with(collector: &Collector, ratio: &str, more: &[(&str, &str)]) -> Mall {
    let settings = collector.settings(ratio);
    let mut settings: Vec<_> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.push(("MALLBOTS_LOG_FORMAT", "json"));
    settings.extend(more);
    Mall::open_with(&settings).await
}

#[tokio::test]
async fn what_nobody_wants_traced_is_not_and_who_brings_a_trace_decides() {
    let collector = Collector::open().await;
    let mut mall = traced_mall(&collector, "0").await;
    let shopper = mall.given_an_approved_order().await;
    let refused = [("traceparent", format!("00-{OTHER}-{CALLER}-00"))];
    let response = check_out(&mall, &shopper, refused).await;
    assert_eq!(response.headers().get("traceparent"), None);
    let wanted = [("traceparent", format!("00-{TRACE}-{CALLER}-01"))];
    let response = check_out(&mall, &shopper, wanted).await;
    let told = response.headers()["traceparent"].to_str().unwrap().to_owned();
    assert!(mall.stop().await.success());

    // All that was left was told at the end.
    let tree = collector.all();
    let names: Vec<_> = tree.0.iter().map(|span| (&*span.trace, &*span.name)).collect();
    let expected = [(TRACE, "append"), (TRACE, "command checkoutBasket"), (TRACE, "mutation")];
    assert_eq!(names.last(), expected.last(), "{names:?}");
    assert!(names.iter().all(|name| expected.contains(name)), "{names:?}");
    let mutation = tree.named(TRACE, "mutation").next().unwrap();
    assert_eq!(told, format!("00-{TRACE}-{}-01", mutation.id));

    // The log says where to look.
    let log = mall.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests: Vec<_> = lines
        .filter(|line| line["message"] == "request" && line["trace.id"].is_string())
        .map(|line| (line["trace.id"].clone(), line["span.id"].clone()))
        .collect();
    assert_eq!(requests, [(json!(OTHER), json!(CALLER)), (json!(TRACE), json!(mutation.id))]);
}

#[tokio::test]
async fn whoever_brings_no_trace_begins_one() {
    let mut collector = Collector::open().await;
    let mall = traced_mall(&collector, "1").await;
    mall.given_a_store("Waldorf Books").await;
    let (mutation, append) = collector
        .until("the store's trace", |tree| {
            let append = tree.0.iter().find(|span| span.name == "append")?;
            let command = tree.0.iter().find(|span| span.id == append.parent)?;
            let mutation = tree.0.iter().find(|span| span.id == command.parent)?;
            Some((mutation.clone(), append.clone()))
        })
        .await;
    assert_eq!((&*mutation.name, &*mutation.parent), ("mutation", ""));
    assert_eq!(append.attributes["db.system.name"], "sqlite");
    assert_eq!(append.attributes["db.operation.batch.size"], "1");
}

#[tokio::test]
async fn an_operation_on_a_socket_says_itself_which_trace_it_is_in() {
    let mut collector = Collector::open().await;
    let mall = traced_mall(&collector, "0").await;
    let url = mall.client.url().to_string().replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let protocol = "graphql-transport-ws".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let query = "{ __typename }";
    let own = json!({ "traceparent": format!("00-{TRACE}-{CALLER}-01") });
    let opened = json!({ "uber-trace-id": format!("{OTHER}:{CALLER}:0:1") });
    for message in [
        json!({ "type": "connection_init", "payload": opened }),
        json!({ "type": "subscribe", "id": "1", "payload": { "query": query } }),
        json!({ "type": "subscribe", "id": "2",
                "payload": { "query": query, "extensions": own } }),
    ] {
        let text = Message::text(message.to_string());
        futures_util::SinkExt::send(&mut socket, text).await.unwrap();
    }
    for trace in [OTHER, TRACE] {
        let found = collector.until("the query", |tree| tree.named(trace, "query").next().cloned());
        let query = found.await;
        assert_eq!(query.parent, CALLER);
        assert_eq!(query.attributes["network.protocol.name"], "websocket");
    }
}

/// A request that the mall made, with what it said of the trace it belongs to.
#[derive(Debug)]
struct Called {
    headers: HeaderMap,
    body: String,
}

impl Called {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The trace and the span in it.
    fn place(&self) -> (String, String) {
        let traceparent = self.header("traceparent");
        let (trace, span) = mallbots_eventstore::trace::ids(traceparent).unwrap();
        assert_eq!(self.header("uber-trace-id"), format!("{trace}:{span}:0:1"));
        (trace.to_owned(), span.to_owned())
    }
}

/// Somebody whom the mall calls: where, and what it hears.
async fn somebody_called() -> (SocketAddr, mpsc::UnboundedReceiver<Called>) {
    let (tell, told) = mpsc::unbounded_channel();
    let hear = move |headers: HeaderMap, body: String| async move {
        let _ = tell.send(Called { headers, body });
        StatusCode::NO_CONTENT
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/called", post(hear));
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, told)
}

#[tokio::test]
async fn a_webhook_is_told_signed_in_which_trace_it_is() {
    let mut collector = Collector::open().await;
    let (address, mut told) = somebody_called().await;
    let url = format!("http://{address}/called");
    let more = [("MALLBOTS_WEBHOOK_URL", &*url), ("MALLBOTS_WEBHOOK_SECRET", "s3cret")];
    let mall = traced_mall_with(&collector, "0", &more).await;
    let shopper = mall.given_a_shopper().await;
    let headers =
        [("traceparent", format!("00-{TRACE}-{CALLER}-01")), ("tracestate", STATE.to_owned())];
    check_out(&mall, &shopper, headers).await;

    let called = within("the webhook", told.recv()).await.unwrap();
    let (trace, span) = called.place();
    assert_eq!((&*trace, called.header("tracestate")), (TRACE, STATE));
    let signature = called.header("x-mallbots-signature");
    let (at, digest) = signature.split_once(",v1=").unwrap();
    let at = at.strip_prefix("t=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cret").unwrap();
    mac.update(format!("{at}.{}", called.body).as_bytes());
    assert_eq!(hex(&mac.finalize().into_bytes()), digest);
    let body: Value = serde_json::from_str(&called.body).unwrap();
    assert_eq!(body["orderId"], shopper.order().to_string());

    // The span it names leads back to the caller.
    let find = |tree: &Tree| {
        let post = tree.named(TRACE, "POST").find(|it| it.id == span)?;
        Some((post.clone(), tree.way(post)?))
    };
    let (post, way) = collector.until("the call", find).await;
    assert_eq!((post.kind, &*post.state), (SpanKind::Client, STATE));
    assert_eq!(post.attributes["http.request.method"], "POST");
    assert_eq!(post.attributes["http.response.status_code"], "204");
    assert_eq!(post.attributes["server.port"], address.port().to_string());
    let way: Vec<_> = way.iter().map(|(_, name)| &**name).collect();
    assert_eq!(way[..2], ["mutation", "command checkoutBasket"], "{way:?}");
    let before = way[way.len() - 2];
    assert!(before.starts_with("process notifications."), "{way:?}");
}

#[tokio::test]
async fn a_router_is_called_back_within_the_trace_that_led_to_the_item() {
    let mut collector = Collector::open().await;
    let (address, mut told) = somebody_called().await;
    let (url, origin) = (format!("http://{address}/called"), format!("http://{address}"));
    let more = [("MALLBOTS_CALLBACK_ORIGINS", &*origin)];
    let mall = traced_mall_with(&collector, "0", &more).await;
    let shopper = mall.given_a_shopper().await;
    let body = json!({
        "query": "subscription Look { ordersChanged { id } }",
        "extensions": { "subscription": {
            "callbackUrl": url, "subscriptionId": "1", "verifier": "v", "heartbeatIntervalMs": 0,
        } },
    });
    let request = reqwest::Client::new()
        .post(mall.client.url().clone())
        .header("content-type", "application/json")
        .header("accept", "application/json;callbackSpec=1.0")
        .header("traceparent", format!("00-{OTHER}-{CALLER}-01"))
        .header("tracestate", STATE)
        .body(body.to_string());
    let response = within("an answer", request.send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    // Whoever asked is asked back within their own trace.
    let check = within("the check", told.recv()).await.unwrap();
    assert!(check.body.contains("\"check\""), "{}", check.body);
    let (trace, span) = check.place();
    assert_eq!((&*trace, check.header("tracestate")), (OTHER, STATE));
    let find = |tree: &Tree| tree.named(OTHER, "POST").find(|it| it.id == span).cloned();
    let post = collector.until("the check", find).await;
    assert_eq!((&*post.parent, post.kind), (CALLER, SpanKind::Client));
    assert_eq!(post.attributes["callback.action"], "check");
    assert_eq!(post.attributes["http.response.status_code"], "204");

    // What somebody else did then is told within theirs.
    let headers = [("traceparent", format!("00-{TRACE}-{CALLER}-01"))];
    check_out(&mall, &shopper, headers).await;
    let next = within("an order", told.recv()).await.unwrap();
    assert!(next.body.contains(&shopper.order().to_string()), "{}", next.body);
    let (trace, span) = next.place();
    assert_eq!((&*trace, next.header("tracestate")), (TRACE, ""));
    let find = |tree: &Tree| {
        let post = tree.named(TRACE, "POST").find(|it| it.id == span)?;
        let push = tree.of(TRACE).find(|it| it.id == post.parent)?;
        Some((post.clone(), push.name.clone(), tree.way(post)?))
    };
    let (post, push, way) = collector.until("the call", find).await;
    assert_eq!((&*push, &*way[0].1), ("push ordersChanged", "mutation"));
    assert_eq!(post.attributes["callback.action"], "next");
}

#[tokio::test]
async fn a_request_that_is_refused_says_so_in_its_trace() {
    let mut collector = Collector::open().await;
    let mall = traced_mall(&collector, "0").await;
    let ask = |id: &str, trace: &str| {
        let query = "subscription Look($id: ID!) { orderProgress(id: $id) { __typename } }";
        let body = json!({ "query": query, "variables": { "id": id } });
        reqwest::Client::new()
            .post(mall.client.url().clone())
            .header("content-type", "application/json")
            .header("accept", "text/event-stream, application/graphql-response+json")
            .header("traceparent", format!("00-{trace}-{CALLER}-01"))
            .body(body.to_string())
            .send()
    };
    let answer = within("an answer", ask("nobody", TRACE)).await.unwrap();
    let status = answer.status().as_u16().to_string();
    drop(answer);
    let find = |tree: &Tree| tree.named(TRACE, "subscription").next().cloned();
    let span = collector.until("the subscription", find).await;
    assert_eq!(span.attributes["http.response.status_code"], status);
    assert_eq!(span.attributes["http.request.method"], "POST");
}

#[tokio::test]
async fn what_never_becomes_an_operation_is_told_in_its_trace_too() {
    let mut collector = Collector::open().await;
    let mall = traced_mall(&collector, "0").await;
    let ask = reqwest::Client::new()
        .delete(mall.client.url().clone())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let answer = within("an answer", ask.send()).await.unwrap();
    assert_eq!(answer.status(), 405);
    let find = |tree: &Tree| tree.named(TRACE, "GraphQL Operation").next().cloned();
    let span = collector.until("the refused request", find).await;
    assert_eq!(span.attributes["http.response.status_code"], "405");
    assert_eq!(span.attributes["http.request.method"], "DELETE");
    assert_eq!(span.attributes["error.type"], "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn without_its_collector_the_mall_goes_on_and_says_so_once() {
    // Nobody answers there.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
    ];
    let mut mall = Mall::open_with(&settings).await;
    mall.given_an_approved_order().await;
    mall.given_an_approved_order().await;
    assert!(mall.stop().await.success());
    let log = mall.log();
    assert_eq!(log.matches("traces are not taken").count(), 1, "{log}");
    assert_eq!(log.matches("spans were lost").count(), 1, "{log}");
}
