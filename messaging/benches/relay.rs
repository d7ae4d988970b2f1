//! How fast the ledger is relayed, against a loop that does nothing but publish
//! the same messages: with the same headers and ids, and as many under way.
//!
//! `cargo bench -p mallbots-messaging --bench relay -- [sqlite|postgres] [--messages N] [--runs N]`
//!
//! Each run has a fresh server for each of the two. The relay reads from the
//! database what it publishes; the loop has it in memory.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails may as well stop, and says what it has to say"
)]

use std::{
    collections::VecDeque,
    future::IntoFuture,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID},
    jetstream::message::PublishMessage,
};
use bytes::Bytes;
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    append::{Append, NewEvent, StreamWrite},
    connect::Backend,
    ledger::Ledger,
    message::{Metadata, Position, Version},
};
use mallbots_messaging::{
    nats::{Connection, Nats, NatsOptions},
    relay::{self, RelayOptions, RelayStatus},
    streams::ensure_stream,
    wire,
};
use mallbots_testing::{
    ledgers::{Tasks, TestLedger},
    nats::NatsServer,
};
use tokio::sync::watch;
use uuid::Uuid;

/// The one the mall is shipped with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events one append writes.
const AT_ONCE: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let (messages, runs) = (number("--messages", 50_000), number("--runs", 3));
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !["sqlite", "postgres"].into_iter().any(named);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (name, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
            if all || named(name) {
                compare(name, backend, messages, runs).await;
            }
        }
    });
}

async fn compare(name: &str, backend: Backend, messages: usize, runs: usize) {
    let test = TestLedger::open(backend).await.unwrap();
    fill(&test.ledger, messages).await;
    let prepared = prepare(&test.ledger).await;
    let mut ratios = Vec::new();
    for run in 1..=runs.max(1) {
        let bare = prepared.len() as f64 / bare(&prepared).await.as_secs_f64();
        let relayed = prepared.len() as f64 / relayed(&test.ledger).await.as_secs_f64();
        println!(
            "{name} run {run}: relay {relayed:.0}/s, bare {bare:.0}/s, ratio {:.2}",
            relayed / bare
        );
        ratios.push(relayed / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{name}: ratio {:.2} (median of {}; must reach 0.50)",
        ratios[ratios.len() / 2],
        ratios.len()
    );
}

/// Events of some 300 bytes.
async fn fill(ledger: &Ledger, messages: usize) {
    let payload = serde_json::json!({ "note": "x".repeat(280) }).to_string();
    for _ in 0..messages.div_ceil(AT_ONCE) {
        let event = NewEvent {
            name: "testing.Noted".to_owned(),
            schema_version: 1,
            payload: payload.clone(),
        };
        let stream = BasketId::from_uuid(Uuid::now_v7()).any();
        let write = StreamWrite { stream, expected: Version(0), events: vec![event; AT_ONCE] };
        let metadata = Metadata::begin("bench", Uuid::now_v7());
        ledger.append(Append { streams: vec![write], ..Append::new(metadata) }).await.unwrap();
    }
}

/// Everything as it is published, down to the last header.
async fn prepare(ledger: &Ledger) -> Vec<(String, HeaderMap, Bytes)> {
    let mut prepared: Vec<(String, HeaderMap, Bytes)> = Vec::new();
    let mut after = Position(0);
    loop {
        let page = ledger.read(after, 1_000).await.unwrap();
        let Some(last) = page.last() else { return prepared };
        after = last.position;
        for message in page {
            let mut encoded = wire::encode(&message, Position(message.position.0 - 1));
            encoded.headers.insert(NATS_EXPECTED_LAST_SEQUENCE, prepared.len().to_string());
            if let Some((_, before, _)) = prepared.last() {
                let id = before.get(NATS_MESSAGE_ID).expect("each has one").clone();
                encoded.headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, id);
            }
            prepared.push((encoded.subject, encoded.headers, encoded.payload));
        }
    }
}

/// A server with an empty stream, and a connection to it.
async fn server() -> (NatsServer, Nats) {
    let server = NatsServer::start().await.unwrap();
    let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
    nats.connection().wait_for(|it| *it == Connection::Connected).await.unwrap();
    ensure_stream(&nats, &RelayOptions::default().stream).await.unwrap();
    (server, nats)
}

async fn bare(prepared: &[(String, HeaderMap, Bytes)]) -> Duration {
    let (_server, nats) = server().await;
    let most = RelayOptions::default().window;
    let begin = Instant::now();
    let mut window = VecDeque::with_capacity(most);
    for (subject, headers, payload) in prepared {
        if window.len() == most {
            first(&mut window).await;
        }
        let message = PublishMessage::build().headers(headers.clone()).payload(payload.clone());
        let ack = nats.jetstream().send_publish(subject.clone(), message).await.unwrap();
        window.push_back(ack);
    }
    while !window.is_empty() {
        first(&mut window).await;
    }
    begin.elapsed()
}

async fn first<F: IntoFuture<Output = Result<T, E>>, T, E: std::fmt::Debug>(
    window: &mut VecDeque<F>,
) {
    window.pop_front().expect("there is one").await.unwrap();
}

async fn relayed(ledger: &Ledger) -> Duration {
    let (_server, nats) = server().await;
    let tasks = Tasks::default();
    let (_active, active) = watch::channel(true);
    let (told, mut status) = watch::channel(RelayStatus::new(ledger));
    let shutdown = tasks.shutdown.clone();
    let begin = Instant::now();
    tasks.tracker.spawn(relay::run(
        ledger.clone(),
        nats,
        RelayOptions::default(),
        active,
        told,
        shutdown,
    ));
    let head = ledger.head();
    let done = status.wait_for(|status| status.position == head).await.unwrap().clone();
    let elapsed = begin.elapsed();
    assert_eq!(done.published, u64::try_from(head.0).unwrap(), "all of it, once");
    tasks.end().await;
    elapsed
}
