//! The load generator and the demonstration, against a real mall.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use mallbots_domain::{
    id::{BasketId, OrderId, ProductId, StoreId},
    ordering::OrderStatus,
};
use mallbots_gateway::{
    busywork::{self, JOBS, Job, Options, Summary},
    client::{
        Client,
        operations::{self, Operation, Ref},
    },
    demo,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Mall, on_both_backends, within};

fn options(url: &str, operations: u64) -> Options {
    Options {
        url: url.to_owned(),
        clients: 4,
        operations: Some(operations),
        seed: 82,
        pace: 0.0,
        record: true,
        ..Options::default()
    }
}

async fn busy(options: Options) -> Summary {
    busywork::run(options, CancellationToken::new()).await.unwrap()
}

fn mallbots(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mallbots"));
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
}

// ---- looking into the mall

#[derive(Deserialize)]
struct Page<I> {
    nodes: Vec<Ref<I>>,
    #[serde(rename = "pageInfo")]
    info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

/// The ids of everything on a list.
async fn all<I: serde::de::DeserializeOwned>(client: &Client, list: &'static str) -> Vec<I> {
    let document = format!(
        "query {list}($after: Cursor) {{ {list}(first: 100, after: $after) \
         {{ nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let variables = json!({ "after": after });
        let operation = Operation::<Page<I>>::query(list, &document, variables);
        let page = client.call(&operation, None).await.unwrap();
        ids.extend(page.nodes.into_iter().map(|node| node.id));
        if !page.info.has_next_page {
            return ids;
        }
        after = page.info.end_cursor;
    }
}

/// What the mall said was done is there, once.
async fn is_as_acknowledged(client: &Client, summary: &Summary) {
    let acknowledged = |operation: &str| -> Vec<&str> {
        let records = summary.records.iter().filter(|record| record.operation == operation);
        records.map(|record| record.id.as_str()).collect()
    };
    // Products have ids of the mall's choice: nothing but the key held them to one.
    let products: Vec<ProductId> = all(client, "products").await;
    let expected = acknowledged("addProduct").len() - acknowledged("removeProduct").len();
    assert_eq!(products.len(), expected, "products");
    for (list, operation) in
        [("stores", "createStore"), ("customers", "registerCustomer"), ("bots", "registerBot")]
    {
        let mut there: Vec<String> = all(client, list).await;
        let mut expected = acknowledged(operation);
        there.sort_unstable();
        expected.sort_unstable();
        assert_eq!(there, expected, "{list}");
    }
    let mut bought: Vec<OrderId> = acknowledged("checkoutBasket")
        .into_iter()
        .map(|basket| basket.parse::<BasketId>().unwrap().order())
        .collect();
    for order in &bought {
        is_accepted_or_not(client, *order).await;
    }
    let mut orders: Vec<OrderId> = all(client, "orders").await;
    orders.sort_unstable();
    bought.sort_unstable();
    assert_eq!(orders, bought, "orders");
}

/// Waits until an order is pending no longer: the last ones were bought just
/// before the work ended.
async fn is_accepted_or_not(client: &Client, order: OrderId) {
    let mut changes = client.subscribe(&operations::order_changed(order)).await.unwrap();
    within("an order to be accepted", async {
        while changes.next().await.unwrap().unwrap().status == OrderStatus::Pending {}
    })
    .await;
}

#[track_caller]
fn is_clean(summary: &Summary) {
    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.abandoned, 0, "{summary}");
}

// ---- the load generator

on_both_backends!(
    d82_busywork_does_without_a_catalog_and_passes_nothing_over,
    a_mall_that_is_killed_under_load_loses_nothing_and_doubles_nothing,
);

async fn d82_busywork_does_without_a_catalog_and_passes_nothing_over(mall: Mall) {
    let summary = busy(options(mall.client.url().as_str(), 500)).await;
    is_clean(&summary);
    assert_eq!(summary.counts.total(), 500);
    assert!(summary.acknowledged > 250, "{summary}");
    let done: Vec<Job> = summary.jobs.iter().map(|job| job.job).collect();
    for (job, weight) in JOBS {
        assert!(*weight < 100 || done.contains(job), "{} was never done", job.as_str());
    }
    assert!(summary.orders.followed["APPROVED"] > 0, "{summary}");
    is_as_acknowledged(&mall.client, &summary).await;
}

#[tokio::test]
async fn d82_busywork_at_a_persons_pace_leaves_the_processor_alone() {
    let mall = Mall::open().await;
    // The shell tells what processor time its children took.
    let script = r#""$1" busywork --url "$2" --duration 4s --seed 1 > /dev/null && times"#;
    let output = Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_mallbots"), mall.client.url().as_str()])
        .stderr(Stdio::null())
        .output();
    let output = within("busywork to end", output).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let times = String::from_utf8(output.stdout).unwrap();
    // Its second line: minutes and seconds, of the program and of the system for it.
    let children = times.lines().nth(1).unwrap().split_whitespace();
    let seconds: f64 = children
        .map(|time| {
            let (minutes, seconds) = time.strip_suffix('s').unwrap().split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        })
        .sum();
    assert!(seconds < 2.0, "busy for {seconds} of 4 s");
}

async fn a_mall_that_is_killed_under_load_loses_nothing_and_doubles_nothing(mut mall: Mall) {
    let street = Street::to(address(&mall)).await;
    let mut shift = JoinSet::new();
    shift.spawn(busy(options(&street.url(), 500)));
    for kilobytes in [40, 90, 140] {
        within("load", street.has_carried(kilobytes * 1_000)).await;
        mall.kill().await;
        mall.reopen().await;
        street.lead_to(address(&mall));
    }
    let summary = within("busywork to end", shift.join_next()).await.unwrap().unwrap();
    is_clean(&summary);
    assert!(!summary.retries.is_empty(), "{summary}");
    is_as_acknowledged(&mall.client, &summary).await;
}

fn address(mall: &Mall) -> SocketAddr {
    let url = mall.client.url();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap()
}

#[tokio::test]
async fn the_command_prints_json_and_nothing_else() {
    let mall = Mall::open().await;
    let url = mall.client.url().as_str();
    let arguments = ["busywork", "--url", url, "--operations", "100", "--pace", "0", "--json"];
    let output = within("busywork to end", mallbots(&arguments).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["clients"], 5);
    let counts = ["ok", "refused", "failed"].map(|count| summary[count].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 100);
    assert!(summary["operations"][0]["latencies"]["p99Ms"].is_number(), "{summary}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn the_command_fails_if_something_went_wrong() {
    // Nobody has this port: it is taken and let go.
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/graphql", listener.local_addr().unwrap())
    };
    let output = mallbots(&["busywork", "--url", &url]).output();
    let output = within("busywork to give up", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("calling {url}: the mall cannot be reached")), "{told}");
}

#[tokio::test]
async fn an_interrupt_ends_the_command_with_its_summary() {
    let mall = Mall::open().await;
    let url = mall.client.url().as_str();
    let mut child = mallbots(&["busywork", "--url", url, "--pace", "0"]).spawn().unwrap();
    let mut orders =
        mall.client.subscribe(&operations::orders_changed(&[OrderStatus::Approved])).await.unwrap();
    within("an order", orders.next()).await.unwrap().unwrap();
    signal(&child, "INT").await;
    let status = within("busywork to end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let mut summary = String::new();
    child.stdout.take().unwrap().read_to_string(&mut summary).await.unwrap();
    assert!(summary.starts_with(&format!("5 clients kept {url} busy for ")), "{summary}");
    assert!(summary.trim_end().ends_with("changes acknowledged"), "{summary}");
}

// ---- the demonstration

/// Opens a demonstration, as fast as it goes.
async fn demonstration(data: &std::path::Path) -> (Child, Client) {
    let mut command = mallbots(&["demo", "--listen", "127.0.0.1:0", "--pace", "100", "--data"]);
    let mut child = command.arg(data).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within("the mall to open", lines.next_line()).await.unwrap().unwrap();
    let url = line.strip_prefix("MallBots is open: GraphQL at ").unwrap();
    (child, Client::new(url).unwrap())
}

async fn completes(client: &Client, orders: usize) {
    let operation = operations::orders_changed(&[OrderStatus::Completed]);
    let mut changes = client.subscribe(&operation).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    within("orders to be completed", async {
        while seen.len() < orders {
            seen.insert(changes.next().await.unwrap().unwrap().id);
        }
    })
    .await;
}

#[tokio::test]
async fn the_demonstration_moves_and_moves_on_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let (mut child, client) = demonstration(data.path()).await;
    completes(&client, 5).await;
    let products: Vec<ProductId> = all(&client, "products").await;
    assert_eq!(products.len(), 48);
    child.kill().await.unwrap();

    let (mut child, client) = demonstration(data.path()).await;
    let before: Vec<String> = all(&client, "orders").await;
    completes(&client, before.len() + 5).await;
    let stores: Vec<StoreId> = all(&client, "stores").await;
    assert_eq!(stores.len(), 6);
    assert_eq!(all::<ProductId>(&client, "products").await.len(), 48);
    signal(&child, "TERM").await;
    assert_eq!(within("the mall to close", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_demonstration_keeps_out_of_a_mall_that_others_opened() {
    let mall = Mall::open().await;
    mall.given_a_store("Ours").await;
    let options = demo::Options {
        url: mall.client.url().to_string(),
        pace: 100.0,
        seed: 1,
        customers: 1,
        bots: 1,
        tell: false,
        token: None,
    };
    let refused = demo::simulate(options, CancellationToken::new()).await.unwrap_err();
    assert!(refused.to_string().starts_with("this mall has stores of its own"), "{refused:#}");
    assert_eq!(all::<StoreId>(&mall.client, "stores").await.len(), 1);
}

// ---- the way to a mall

/// A street of one address, which leads to whatever address the mall has now.
struct Street {
    address: SocketAddr,
    leads_to: Arc<Mutex<SocketAddr>>,
    carried: watch::Receiver<u64>,
    _traffic: JoinSet<()>,
}

impl Street {
    async fn to(mall: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let leads_to = Arc::new(Mutex::new(mall));
        let (count, carried) = watch::channel(0);
        let mut traffic = JoinSet::new();
        traffic.spawn({
            let leads_to = Arc::clone(&leads_to);
            async move {
                let mut travelers = JoinSet::new();
                loop {
                    let (from, _) = listener.accept().await.unwrap();
                    let to = *leads_to.lock().unwrap();
                    travelers.spawn(travel(from, to, count.clone()));
                }
            }
        });
        Self { address, leads_to, carried, _traffic: traffic }
    }

    fn url(&self) -> String {
        mallbots_gateway::client::url_of(self.address)
    }

    fn lead_to(&self, mall: SocketAddr) {
        *self.leads_to.lock().unwrap() = mall;
    }

    /// Waits until clients have sent so many bytes.
    async fn has_carried(&self, bytes: u64) {
        self.carried.clone().wait_for(|carried| *carried >= bytes).await.unwrap();
    }
}

/// Carries bytes both ways until one end is gone.
async fn travel(from: TcpStream, to: SocketAddr, carried: watch::Sender<u64>) {
    // A mall that is away takes nobody in.
    let Ok(to) = TcpStream::connect(to).await else { return };
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::select! {
        () = carry(from_read, to_write, |bytes| carried.send_modify(|carried| *carried += bytes)) => {}
        () = carry(to_read, from_write, |_| ()) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: impl Fn(u64)) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        count(read as u64);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
