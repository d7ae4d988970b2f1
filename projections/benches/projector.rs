//! How fast an empty read side catches up on PostgreSQL, against SQL written
//! by hand that folds the same batches and upserts the same tables, in turns.
//!
//! `cargo bench -p mallbots-projections`; `ORDERS` says how long the history
//! is, `ROUNDS` how often it is taken in.

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
use mallbots_projections::projector::BATCH;

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

    let (mut ours, mut theirs, mut through) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..number("ROUNDS", 5) {
        let mut library = Library::new(Backend::Postgres).await;
        let start = Instant::now();
        library.take_in(&messages, BATCH).await;
        ours.push(start.elapsed());

        let hand = Library::new(Backend::Postgres).await;
        let pool = hand.views.database.write.get_postgres_connection_pool().clone();
        let mut by_hand = ByHand::new(pool);
        let start = Instant::now();
        for batch in messages.chunks(BATCH) {
            by_hand.take_in(batch).await.unwrap();
        }
        theirs.push(start.elapsed());
        // Otherwise it would be easy to be fast.
        hand.assert_equals(&library).await;

        through.push(through_the_ledger(&messages).await);
    }

    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        #[expect(clippy::cast_precision_loss, reason = "a rate, to five digits")]
        let events = events as f64;
        events / times[times.len() / 2].as_secs_f64()
    };
    let (by_hand, projector, ledger) = (rate(&mut theirs), rate(&mut ours), rate(&mut through));
    say("");
    say("| catch-up from an empty read side, PostgreSQL | events/s | against by hand |");
    say("|---|---:|---:|");
    for (name, rate) in [
        ("SQL by hand: the same batches, the same tables", by_hand),
        ("projector", projector),
        ("projector, reading the ledger (PostgreSQL) as it goes", ledger),
    ] {
        say(&format!("| {name} | {rate:.0} | {:.2} |", rate / by_hand));
    }
    let enough = projector >= by_hand / 3.0 && ledger >= 30_000.0;
    say(&format!("\nat least 1/3 and 30,000 events/s: {}", if enough { "yes" } else { "NO" }));
}

/// The whole way: the projector follows a ledger that is there already.
async fn through_the_ledger(messages: &[Arc<Recorded>]) -> Duration {
    let library = Library::on(Backend::Postgres, Backend::Postgres).await;
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
