//! How fast an empty read side catches up on PostgreSQL, against SQL written
//! by hand that folds the same batches and upserts the same tables, in turns;
//! and how many events a second go through ledger, relay, JetStream and
//! projector while all of them are at work.
//!
//! `cargo bench -p mallbots-projections`; `ORDERS` says how long the history
//! is, `ROUNDS` how often it is taken in. `-- carried` measures only the way
//! over JetStream.

#![expect(clippy::unwrap_used, reason = "a measurement that fails may as well panic")]

#[path = "projector/by_hand.rs"]
mod by_hand;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/library.rs"]
mod library;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/mall.rs"]
mod mall;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mallbots_eventstore::{
    connect::Backend,
    message::{MessageKind, Recorded},
};
use mallbots_messaging::{
    intake::JetStream,
    nats::{Connection, Nats, NatsOptions},
    relay::{self, RelayOptions, RelayStatus},
    streams::{StreamOptions, ensure_stream},
};
use mallbots_projections::projector::BATCH;
use mallbots_testing::nats::NatsServer;
use tokio::sync::watch;

use crate::{by_hand::ByHand, library::Library, mall::busy};

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

fn number(name: &str, default: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "a knob of the benchmark")]
    let value = std::env::var(name).ok().and_then(|value| value.parse().ok());
    value.unwrap_or(default)
}

async fn measure() {
    let orders = u32::try_from(number("ORDERS", 2_000)).unwrap();
    let mall = busy(orders, 50);
    let messages = mall.messages;
    let events = messages.iter().filter(|message| message.kind == MessageKind::Event).count();
    say(&format!(
        "{orders} orders, 50 at a time: {events} events, {} commands and replies",
        messages.len() - events
    ));
    carried(&messages, events).await;
    if std::env::args().any(|argument| argument == "carried") {
        return;
    }

    let [mut ours, mut theirs, mut small, mut their_small, mut through, mut on_file] =
        [const { Vec::new() }; 6];
    for _ in 0..number("ROUNDS", 5) {
        theirs.push(by_hand(&messages, BATCH).await.1);
        ours.push(projector(&messages, BATCH).await.1);
        their_small.push(by_hand(&messages, SMALL).await.1);
        small.push(projector(&messages, SMALL).await.1);
        through.push(through_the_ledger(&messages, Backend::Postgres).await);
        on_file.push(through_the_ledger(&messages, Backend::Sqlite).await);
    }
    // Otherwise it would be easy to be fast.
    let (hand, ours_too) = (by_hand(&messages, BATCH).await.0, projector(&messages, BATCH).await.0);
    hand.assert_equals(&ours_too).await;

    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        #[expect(clippy::cast_precision_loss, reason = "a rate, to five digits")]
        let events = events as f64;
        events / times[times.len() / 2].as_secs_f64()
    };
    let (hand, projector) = (rate(&mut theirs), rate(&mut ours));
    let (small_hand, small) = (rate(&mut their_small), rate(&mut small));
    let (ledger, file) = (rate(&mut through), rate(&mut on_file));
    say("");
    say("| catch-up from an empty read side | events/s | against by hand |");
    say("|---|---:|---:|");
    for (name, rate, by_hand) in [
        (format!("SQL by hand, batches of {BATCH}, PostgreSQL"), hand, hand),
        (format!("projector, batches of {BATCH}, PostgreSQL"), projector, hand),
        ("the same, reading the ledger as it goes".to_owned(), ledger, hand),
        (format!("SQL by hand, batches of {SMALL}, PostgreSQL"), small_hand, small_hand),
        (format!("projector, batches of {SMALL}, PostgreSQL"), small, small_hand),
    ] {
        say(&format!("| {name} | {rate:.0} | {:.2} |", rate / by_hand));
    }
    say(&format!("| projector reading the ledger as it goes, SQLite | {file:.0} | |"));
    let enough = ledger >= hand / 3.0 && ledger >= 30_000.0;
    say(&format!("\nat least 1/3 and 30,000 events/s: {}", if enough { "yes" } else { "NO" }));
}

/// Every way from the append to the tables at once: appended as fast as the
/// ledger takes it, relayed, brought by JetStream, projected.
async fn carried(messages: &[Arc<Recorded>], events: usize) {
    let mut rates = Vec::new();
    for _ in 0..number("ROUNDS", 5) {
        let library = Library::on(Backend::Postgres, Backend::Postgres).await;
        let ledger = library.ledger.ledger.clone();
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
        nats.connection().wait_for(|it| *it == Connection::Connected).await.unwrap();
        ensure_stream(&nats, &StreamOptions::default()).await.unwrap();
        let (library, projector) = library.split();
        let carrier = JetStream::new(nats.clone(), StreamOptions::default());
        let projector = projector.fed_by(carrier.into());
        let origins = projector.origins();

        let tasks = library.ledger.tasks.clone();
        let (_active, active) = watch::channel(true);
        let (status, mut relayed) = watch::channel(RelayStatus::new(&ledger));
        let stop = tasks.shutdown.child_token();
        let start = Instant::now();
        let relay = tasks.tracker.spawn(relay::run(
            ledger.clone(),
            nats,
            RelayOptions::default(),
            active,
            status,
            stop.clone(),
        ));
        let running = tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
        library.record(messages).await;
        let (appended, head) = (start.elapsed(), ledger.head());
        library.reads.reached(head, Duration::from_mins(10)).await.unwrap();
        relayed.wait_for(|status| status.position == head).await.unwrap();
        let elapsed = start.elapsed();
        stop.cancel();
        running.await.unwrap();
        relay.await.unwrap().unwrap();

        #[expect(clippy::cast_precision_loss, reason = "a rate, to five digits")]
        let (rate, brought) = (
            events as f64 / elapsed.as_secs_f64(),
            origins.delivered() as f64 / messages.len() as f64,
        );
        say(&format!(
            "ledger → JetStream → tables: {rate:.0} events/s; appended in {:.1} s, shown after \
             {:.1} s; {:.0} % came over JetStream, the rest was read from the ledger",
            appended.as_secs_f64(),
            elapsed.as_secs_f64(),
            brought * 100.0
        ));
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates[rates.len() / 2];
    let enough = if rate >= 10_000.0 { "yes" } else { "NO" };
    say(&format!("median {rate:.0} events/s; at least 10,000: {enough}\n"));
}

/// Smaller batches, to see what the size does.
const SMALL: usize = 500;

async fn projector(messages: &[Arc<Recorded>], at_once: usize) -> (Library, Duration) {
    let mut library = Library::new(Backend::Postgres).await;
    let start = Instant::now();
    library.take_in(messages, at_once).await;
    (library, start.elapsed())
}

async fn by_hand(messages: &[Arc<Recorded>], at_once: usize) -> (Library, Duration) {
    let library = Library::new(Backend::Postgres).await;
    let pool = library.views.database.write.get_postgres_connection_pool().clone();
    let mut by_hand = ByHand::new(pool);
    let start = Instant::now();
    for batch in messages.chunks(at_once) {
        by_hand.take_in(batch).await.unwrap();
    }
    (library, start.elapsed())
}

/// The whole way: the projector follows a ledger that is there already.
async fn through_the_ledger(messages: &[Arc<Recorded>], backend: Backend) -> Duration {
    let library = Library::on(backend, backend).await;
    let ledger = library.ledger.ledger.clone();
    library.record(messages).await;
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let start = Instant::now();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), Duration::from_mins(10)).await.unwrap();
    let elapsed = start.elapsed();
    stop.cancel();
    running.await.unwrap();
    elapsed
}

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: &str) {
    println!("{line}");
}
