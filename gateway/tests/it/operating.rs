//! The commands for operators, against a real mall.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mallbots_domain::{
    id::{CustomerId, EntityId, OrderId},
    saga::{Direction, SagaCommand, Try},
};
use mallbots_messaging::envelope;
use mallbots_testing::nats::NatsServer;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use uuid::Uuid;

use crate::support::{Ended, Mall, new_id, on_both_backends, within};

/// Runs a command against the mall.
async fn operate(mall: &Mall, arguments: &[&str], input: &str) -> Ended {
    let url = mall.client.url().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--url", &url]).collect();
    mall.command(&arguments, input).await
}

async fn read_models_are_listed_and_rebuilt(mall: Mall) {
    mall.given("createStore", json!({ "name": "Kites", "location": "Roof" })).await;
    let list = operate(&mall, &["projections", "list"], "").await;
    assert_eq!(list.code, Some(0), "{list:?}");
    assert!(list.out.starts_with("NAME"), "{list:?}");
    assert!(list.out.contains("\norder_timeline "), "{list:?}");

    let one = operate(&mall, &["projections", "rebuild", "stores", "orders"], "").await;
    assert_eq!((one.code, &*one.out), (Some(0), "stores: rebuilt\norders: rebuilt\n"), "{one:?}");
    let all = operate(&mall, &["projections", "rebuild", "--all", "--json"], "").await;
    assert_eq!(all.code, Some(0), "{all:?}");
    assert_eq!(all.json(), json!([{ "name": "all", "state": "DONE", "error": null }]));
    let stores = mall.ask("{ stores { nodes { name } } }", json!({})).await.succeeds();
    assert_eq!(stores["stores"]["nodes"], json!([{ "name": "Kites" }]));
    let list = operate(&mall, &["projections", "list", "--json"], "").await.json();
    assert!(list.as_array().unwrap().iter().all(|it| it["rebuild"]["state"] == "DONE"), "{list}");

    let unknown = operate(&mall, &["projections", "rebuild", "hats"], "").await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("PROJECTION_NOT_FOUND"), "{unknown:?}");
}

/// A command that no context can read, about this customer, as it stands in
/// the ledger.
async fn broken_command(mall: &Mall, customer: CustomerId) {
    let (ledger, views) = mall.databases().await;
    let (id, partition) = (Uuid::now_v7(), customer.any().partition());
    let metadata = json!({ "actor": "test", "command_id": id, "correlation_id": id });
    for sql in [
        "UPDATE ledger_head SET position = position + 1".to_owned(),
        format!(
            "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                partition, message_id, payload, metadata, recorded_at)
             SELECT position, 'command', '{customer}', 0, 'customers.AuthorizeCustomer', 1,
                {partition}, '{id}', '{{\"broken\":true}}', '{metadata}', 0 FROM ledger_head"
        ),
    ] {
        ledger.write.execute_unprepared(&sql).await.unwrap();
    }
    ledger.close().await.unwrap();
    views.close().await.unwrap();
}

/// What the command should have said.
fn mended(customer: CustomerId) -> String {
    let order: OrderId = new_id();
    let of =
        Try { step: "AuthorizeCustomer".to_owned(), direction: Direction::Forward, attempt: 1 };
    let command = SagaCommand::AuthorizeCustomer { order_id: order, customer_id: customer };
    envelope::command(order.create_saga(), &of, command).unwrap().payload
}

/// Waits until so many messages are parked.
async fn parked(mall: &Mall, count: usize) -> Vec<Value> {
    within("messages to be parked", async {
        loop {
            // The saga that never was cannot take the answer in, which is its own matter.
            let arguments = ["dlq", "list", "--consumer", "customers", "--json"];
            let list = operate(mall, &arguments, "").await;
            assert_eq!(list.code, Some(0), "{list:?}");
            let letters = list.json().as_array().unwrap().clone();
            if letters.len() == count {
                return letters;
            }
        }
    })
    .await
}

/// What is parked, from the end, in pages of two.
async fn walked_back(mall: &Mall) -> Vec<String> {
    let mut ids = Vec::new();
    let mut place = String::new();
    loop {
        let document = format!(
            "{{ deadLetters(last: 2{place}) {{ nodes {{ id }} \
             pageInfo {{ startCursor hasPreviousPage hasNextPage }} }} }}"
        );
        let page = mall.ask(&document, json!({})).await.succeeds()["deadLetters"].take();
        assert_eq!(page["pageInfo"]["hasNextPage"], !place.is_empty(), "{page}");
        let nodes = page["nodes"].as_array().unwrap().iter().rev();
        ids.extend(nodes.map(|letter| letter["id"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasPreviousPage"] == false {
            return ids;
        }
        let start = page["pageInfo"]["startCursor"].as_str().unwrap();
        place = format!(", before: \"{start}\"");
    }
}

async fn parked_messages_are_listed_shown_retried_mended_and_thrown_away(mut mall: Mall) {
    let none = operate(&mall, &["dlq", "list"], "").await;
    assert_eq!((none.code, &*none.out), (Some(0), "Nothing is parked.\n"), "{none:?}");
    assert!(mall.stop().await.success());
    let (first, second): (CustomerId, CustomerId) = (new_id(), new_id());
    broken_command(&mall, first).await;
    broken_command(&mall, first).await;
    broken_command(&mall, second).await;
    mall.reopen().await;

    // Who watches is told without asking: what is there, and what becomes of it.
    let mut watch = mall.watch("deadLettersChanged", &[], "id consumer attempts payload").await;
    let with_customers = |letters: &Value| {
        let letters = letters.as_array().unwrap().iter();
        let ids = letters.filter(|it| it["consumer"] == "customers").map(|it| it["id"].clone());
        ids.collect::<Vec<_>>()
    };
    watch.until(|letters| with_customers(letters).len() == 3).await;

    let letters = parked(&mall, 3).await;
    let id = |number: usize| letters[number]["id"].as_str().unwrap();
    assert_eq!(walked_back(&mall).await, [id(2), id(1), id(0)]);
    let list = operate(&mall, &["dlq", "list", "--consumer", "customers"], "").await;
    assert_eq!(list.out.lines().count(), 4, "{list:?}");
    assert!(list.out.contains("customers.AuthorizeCustomer"), "{list:?}");
    let none = operate(&mall, &["dlq", "list", "--consumer", "depot", "--json"], "").await;
    assert_eq!(none.json(), json!([]));
    let shown = operate(&mall, &["dlq", "show", id(0)], "").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("\"broken\": true"), "{shown:?}");
    assert!(shown.out.contains("behind it     1"), "{shown:?}");

    let shown = operate(&mall, &["dlq", "show", id(0), "--json"], "").await.json();
    assert_eq!((&shown["id"], &shown["consumer"]), (&json!(id(0)), &json!("customers")), "{shown}");

    let again = operate(&mall, &["dlq", "retry", id(0), "--wait", "1s"], "").await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.out.contains("still parked"), "{again:?}");
    let wrong = operate(&mall, &["dlq", "edit", id(0), "--payload", "-"], "[1]").await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("not a JSON object"), "{wrong:?}");
    let same = operate(&mall, &["dlq", "edit", id(0), "--editor", "true"], "").await;
    assert_eq!((same.code, &*same.out), (Some(0), ""), "{same:?}");

    let payload = mended(first);
    let done = operate(&mall, &["dlq", "edit", id(0), "--payload", "-", "--json"], &payload).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json(), json!([{ "id": id(0), "outcome": "HANDLED", "reason": null }]));
    // The one behind it is no better than before.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mended(first)).unwrap();
    let editor = format!("cp {}", file.path().display());
    let done = operate(&mall, &["dlq", "edit", id(1), "--editor", &editor], "").await;
    assert_eq!((done.code, done.out), (Some(0), format!("{}: handled\n", id(1))), "{}", done.err);
    let gone = operate(&mall, &["dlq", "discard", id(2)], "").await;
    assert_eq!((gone.code, gone.out), (Some(0), format!("{}: thrown away\n", id(2))));
    parked(&mall, 0).await;
    watch.until(|letters| with_customers(letters).is_empty()).await;
    let unknown = operate(&mall, &["dlq", "show", id(2)], "").await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("is not parked"), "{unknown:?}");
}

async fn orders_are_listed_counted_and_shown(mall: Mall) {
    let none = operate(&mall, &["orders", "list"], "").await;
    assert_eq!((none.code, &*none.out), (Some(0), "There are no orders that fit.\n"), "{none:?}");
    let shopper = mall.given_an_approved_order().await;
    let other = mall.given_an_approved_order().await;
    let (id, customer) = (shopper.order().to_string(), shopper.customer.to_string());

    let one = operate(&mall, &["orders", "list", "--limit", "1", "--json"], "").await;
    assert_eq!(one.json()[0]["id"], other.order().to_string(), "{one:?}");
    assert!(one.err.contains("there are more"), "{one:?}");
    let all = operate(&mall, &["orders", "list", "--all", "--sort", "oldest"], "").await;
    assert_eq!(all.out.lines().count(), 3, "{all:?}");
    assert!(all.out.lines().nth(1).unwrap().starts_with(&id), "{all:?}");
    let line = &shopper.lines[0];
    let (store, product) = (line.store.to_string(), line.product.to_string());
    let fitting = [["--customer", &customer], ["--store", &store], ["--product", &product]];
    for filter in fitting {
        let found =
            operate(&mall, &[&["orders", "list", "--json"], &filter[..]].concat(), "").await;
        assert_eq!(found.json().as_array().unwrap().len(), 1, "{filter:?} {found:?}");
        assert_eq!(found.json()[0]["id"], id.as_str(), "{filter:?}");
    }
    for (filter, count) in [
        (["--status", "approved"], 2),
        (["--status", "canceled"], 0),
        (["--min-total", "19.98"], 2),
        (["--max-total", "19.97"], 0),
        (["--text", "wizard"], 2),
        (["--created-after", "2020-01-01T00:00:00Z"], 2),
        (["--created-before", "2020-01-01T00:00:00Z"], 0),
    ] {
        let found =
            operate(&mall, &[&["orders", "list", "--json"], &filter[..]].concat(), "").await;
        assert_eq!(found.json().as_array().unwrap().len(), count, "{filter:?} {found:?}");
        let counts =
            operate(&mall, &[&["orders", "counts", "--json"], &filter[..]].concat(), "").await;
        let counts = counts.json();
        let approved = counts.as_array().unwrap().iter().find(|it| it["status"] == "APPROVED");
        assert_eq!(approved.unwrap()["count"], count, "{filter:?} {counts}");
    }

    let shown = operate(&mall, &["orders", "show", &id], "").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for words in ["approved", "Wizard w/ crystal", "19.98 USD", &customer, "create_order"] {
        assert!(shown.out.contains(words), "{words}: {shown:?}");
    }
    let shown = operate(&mall, &["orders", "show", &id, "--json"], "").await.json();
    assert_eq!(shown["items"][0]["quantity"], 2, "{shown}");
    let unknown = operate(&mall, &["orders", "show", &new_id::<OrderId>().to_string()], "").await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
}

async fn sagas_are_listed_drawn_and_retried(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let id = shopper.order().create_saga().to_string();
    let list = operate(&mall, &["saga", "list"], "").await;
    assert!(list.out.contains("+++++"), "{list:?}");
    let list = operate(&mall, &["saga", "list", "--state", "completed", "--json"], "").await;
    assert_eq!(list.json()[0]["id"], id.as_str(), "{list:?}");
    let stuck = operate(&mall, &["saga", "list", "--stuck", "--json"], "").await;
    assert_eq!((stuck.code, stuck.json()), (Some(0), json!([])), "{stuck:?}");

    let drawn = operate(&mall, &["saga", "show", &id], "").await;
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    assert!(drawn.out.contains("[+] AuthorizeCustomer "), "{drawn:?}");
    assert!(drawn.out.contains("   ▼\n"), "{drawn:?}");
    let shown = operate(&mall, &["saga", "show", &id, "--json"], "").await.json();
    assert_eq!(shown["state"], "COMPLETED");
    assert_eq!(shown["order"]["id"], shopper.order().to_string());

    let again = operate(&mall, &["saga", "retry", &id], "").await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("SAGA_NOT_STUCK"), "{again:?}");
}

async fn histories_are_told(mall: Mall) {
    let customer = mall.given_a_customer("Ada").await;
    let id = customer.to_string();
    mall.given("changeSmsNumber", json!({ "id": customer, "smsNumber": "+15550101" })).await;
    let told = operate(&mall, &["events", &id], "").await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("customers.CustomerRegistered\n      by "), "{told:?}");
    let told = operate(&mall, &["events", &id, "--json"], "").await.json();
    let names: Vec<_> = told.as_array().unwrap().iter().map(|it| it["version"].clone()).collect();
    assert_eq!(names, [1, 2]);
    assert_eq!(told[0]["payload"]["name"], "Ada", "{told}");
    let nobody = new_id::<CustomerId>().to_string();
    for arguments in [&["events", &nobody][..], &["events", &nobody, "--follow"]] {
        let unknown = operate(&mall, arguments, "").await;
        assert_eq!(unknown.code, Some(1), "{unknown:?}");
        assert!(unknown.err.contains("NOT_FOUND"), "{unknown:?}");
    }
}

/// A way to the mall that can be cut.
struct Way {
    address: SocketAddr,
    is_open: Arc<AtomicBool>,
    cut: watch::Sender<u32>,
    _carried: JoinSet<()>,
}

impl Way {
    async fn to(mall: &Mall) -> Self {
        let url = mall.client.url();
        let to = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(AtomicBool::new(true));
        let (cut, cuts) = watch::channel(0);
        let mut carried = JoinSet::new();
        let open = is_open.clone();
        carried.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut here, _) = listener.accept().await.unwrap();
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let (to, mut cuts) = (to.clone(), cuts.clone());
                cuts.mark_unchanged();
                connections.spawn(async move {
                    let mut there = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, is_open, cut, _carried: carried }
    }

    fn close(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

async fn a_history_is_followed_across_a_lost_connection(mall: Mall) {
    let customer = mall.given_a_customer("Ada").await;
    let change = async |number: u32| {
        let number = format!("+1555010{number}");
        mall.given("changeSmsNumber", json!({ "id": customer, "smsNumber": number })).await;
    };
    change(1).await;
    let way = Way::to(&mall).await;
    let url = format!("http://{}/graphql", way.address);
    let id = customer.to_string();
    let mut following = mall.begin(&["events", &id, "--follow", "--json", "--url", &url]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = within("an event", lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("it goes on")).unwrap()
    };
    assert_eq!(next().await["version"], 1);
    assert_eq!(next().await["version"], 2);
    change(2).await;
    assert_eq!(next().await["version"], 3);

    way.close();
    change(3).await;
    change(4).await;
    way.open();
    change(5).await;
    for version in 4..=6 {
        let event = next().await;
        assert_eq!(event["version"], version, "{event}");
        assert_eq!(event["name"], "customers.CustomerSmsChanged", "{event}");
    }
    following.kill().await.unwrap();
    let mut told = String::new();
    following.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
    assert!(told.contains("the connection is lost"), "{told}");
}

/// What a look finds: the exit code, and each finding's area, level and words.
async fn examined(mall: &Mall, arguments: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let ended = mall.command(&[&["doctor", "--json"], arguments].concat(), "").await;
    let diagnosis = ended.json();
    assert_eq!(ended.code == Some(0), diagnosis["healthy"] == json!(true), "{ended:?}");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = diagnosis["findings"].as_array().unwrap().iter().map(|finding| {
        let is_mended = finding["mend"].is_string();
        assert_eq!(is_mended, finding["level"] != "good", "{finding}");
        (text(finding, "area"), text(finding, "level"), text(finding, "found"))
    });
    (ended.code, findings.collect())
}

async fn a_doctor_finds_a_mall_well_open_or_closed(mut mall: Mall) {
    let url = mall.client.url().clone();
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let (code, found) = examined(&mall, &["--listen", &address]).await;
    assert_eq!(code, Some(0), "{found:?}");
    let port = found.iter().find(|(area, ..)| area == "port").unwrap();
    assert!(port.2.contains("a mall's"), "{port:?}");
    assert!(found.iter().any(|(.., words)| words.contains("as this version needs")), "{found:?}");

    assert!(mall.stop().await.success());
    let listing = || {
        let entries = std::fs::read_dir(mall.data()).unwrap();
        let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        entries.sort();
        entries
    };
    let before = listing();
    assert!(!before.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{before:?}");
    // An address of this machine that nobody else here listens on.
    let elsewhere = format!("127.9.8.7:{}", url.port().unwrap());
    let (code, found) = examined(&mall, &["--listen", &elsewhere]).await;
    assert_eq!(code, Some(0), "{found:?}");
    assert!(found.iter().any(|(.., words)| words.ends_with("is free")), "{found:?}");
    assert_eq!(listing(), before);

    let told = mall.command(&["doctor", "--listen", "127.0.0.1:0"], "").await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("good") && !told.out.contains("BAD"), "{told:?}");
}

on_both_backends!(
    orders_are_listed_counted_and_shown,
    sagas_are_listed_drawn_and_retried,
    histories_are_told,
    a_history_is_followed_across_a_lost_connection,
    a_doctor_finds_a_mall_well_open_or_closed,
    read_models_are_listed_and_rebuilt,
    parked_messages_are_listed_shown_retried_mended_and_thrown_away,
);

#[tokio::test]
async fn a_mall_that_is_away_and_a_wrong_word_are_told_apart() {
    let mut mall = Mall::open().await;
    let url = mall.client.url().to_string();
    assert!(mall.stop().await.success());
    let away = mall.command(&["dlq", "list", "--url", &url], "").await;
    assert_eq!(away.code, Some(3), "{away:?}");
    for wrong in [&["dlq", "lost"] as &[_], &["projections", "rebuild"], &["dlq", "retry"]] {
        let wrong = mall.command(wrong, "").await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
    let address = mall.command(&["dlq", "list", "--url", "nowhere"], "").await;
    assert_eq!(address.code, Some(2), "{address:?}");
    let help = mall.command(&["dlq", "edit", "--help"], "").await;
    assert!(help.out.contains("Examples:") && help.out.contains("Exit codes:"), "{help:?}");
}

#[tokio::test]
async fn a_doctor_says_what_is_in_the_way() {
    let mall = Mall::open().await;
    let bad = |found: &[(String, String, String)], area: &str| -> String {
        let of = found.iter().find(|(of, level, _)| of == area && level == "bad");
        of.unwrap_or_else(|| panic!("{area} is not bad: {found:?}")).2.clone()
    };
    // Somebody listens there who never says anything, or something else.
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let mut talking = JoinSet::new();
    talking.spawn(async move {
        loop {
            drop(stranger.accept().await.unwrap());
        }
    });
    let (code, found) = examined(&mall, &["--listen", &address]).await;
    assert_eq!(code, Some(1));
    assert!(bad(&found, "port").contains("another program's"));

    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    let listen = ["--listen", "127.0.0.1:0", "--data"];
    let (_, found) = examined(&mall, &[&listen[..], &[inside.to_str().unwrap()]].concat()).await;
    assert!(bad(&found, "data").contains("is not a folder"));

    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (setting, url, area) in [
        ("DATABASE_URL", format!("postgres://me:hunter2@127.0.0.1:{port}/mall"), "database"),
        ("NATS_URL", format!("nats://me:hunter2@127.0.0.1:{port}"), "nats"),
    ] {
        let elsewhere = Mall::closed_with(&[(setting, &url), ("MALLBOTS_LISTEN", "127.0.0.1:0")]);
        let (code, found) = examined(&elsewhere, &[]).await;
        assert_eq!(code, Some(1));
        let words = bad(&found, area);
        assert!(words.starts_with("cannot be used: ") && !words.contains("hunter2"), "{words}");
    }
    let wrong = Mall::closed_with(&[("MALLBOTS_CURRENCY", "BTC")]);
    let (_, found) = examined(&wrong, &[]).await;
    assert!(bad(&found, "settings").starts_with("MALLBOTS_CURRENCY: "));
}

#[tokio::test]
async fn a_doctor_knows_nats_and_its_stream() {
    let server = NatsServer::start().await.unwrap();
    let url = server.url();
    let settings = [("NATS_URL", &*url), ("MALLBOTS_LISTEN", "127.0.0.1:0")];
    let (code, found) = examined(&Mall::closed_with(&settings), &[]).await;
    assert_eq!(code, Some(0), "{found:?}");
    let has = |found: &[(String, String, String)], words: &str| {
        found.iter().any(|(.., told)| told.contains(words))
    };
    for words in ["JetStream is on", "there is no stream yet", "may publish the ledger"] {
        assert!(has(&found, words), "{words}: {found:?}");
    }

    let mall = Mall::open_with(&settings[..1]).await;
    within("the stream", async {
        loop {
            let (_, found) = examined(&mall, &["--listen", "127.0.0.1:0"]).await;
            if has(&found, "the stream is as configured") {
                assert!(has(&found, "NATS and this machine agree"), "{found:?}");
                break;
            }
        }
    })
    .await;
    let other = [settings[0], settings[1], ("MALLBOTS_STREAM_MAX_AGE", "1d")];
    let (code, found) = examined(&Mall::closed_with(&other), &[]).await;
    assert_eq!(code, Some(0), "{found:?}");
    assert!(has(&found, "the stream is not as configured: max_age"), "{found:?}");
}
