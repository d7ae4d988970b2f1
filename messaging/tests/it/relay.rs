//! The relay: whatever happens to NATS, the stream gets what the ledger has.

use std::time::{Duration, Instant};

use mallbots_domain::id::PARTITIONS;
use mallbots_eventstore::{
    connect::Backend,
    ledger::{Ledger, LedgerOptions},
    message::{Position, Recorded},
};
use mallbots_messaging::{
    leases::{LeaseKeeper, LeaseOptions},
    nats::{Connection, Nats, NatsOptions},
    relay::{RelayOptions, RelayState},
    streams::{STREAM, ensure_stream},
    wire,
};
use mallbots_testing::{
    ledgers::{Tasks, TestLedger},
    nats::{NatsServer, NatsSettings},
};
use sea_orm::{ConnectionTrait, Statement};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    exchange::{
        Exchange, Relaying, busy, connect, events, everything, hasty, is_omitted, reach, stored,
    },
    mall::{in_time, on_each_database},
};

on_each_database! {
    what_is_appended_is_on_the_stream_in_order_and_once,
    two_relays_at_once_leave_the_stream_exact,
    nats_may_be_killed_in_the_middle_of_it,
    a_server_that_lost_everything_is_given_everything_again,
    a_purged_stream_is_given_what_not_everybody_has,
    a_deleted_stream_is_made_and_filled_again,
    a_server_that_was_restored_from_an_older_copy_is_given_the_rest,
    one_relay_works_and_the_other_stands_by,
    a_relay_may_end_at_any_moment,
}

async fn what_is_appended_is_on_the_stream_in_order_and_once(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    busy(exchange.ledger(), 30).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 300).await;
    exchange.expect_all_relayed(&relaying).await;
    let status = relaying.status.borrow().clone();
    assert_eq!((status.lag(), status.omitted), (0, 0));
    assert_eq!(status.published, u64::try_from(exchange.ledger().head().0).unwrap());
    relaying.end().await;

    // Another one goes on where it ended.
    let relaying = exchange.relay();
    busy(exchange.ledger(), 10).await;
    exchange.expect_all_relayed(&relaying).await;
}

async fn two_relays_at_once_leave_the_stream_exact(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    let other_nats = connect(&exchange.server).await;
    // On PostgreSQL another process's, on SQLite there is only one.
    let (other_ledger, other_tasks) = match backend {
        Backend::Postgres => {
            let (ledger, tasks) = exchange.test.another(LedgerOptions::default()).await.unwrap();
            (ledger, Some(tasks))
        }
        Backend::Sqlite => (exchange.ledger().clone(), None),
    };
    let one = exchange.relay();
    let other = Relaying::start(&other_ledger, &other_nats, hasty(), true);
    for _ in 0..5 {
        busy(exchange.ledger(), 100).await;
    }
    one.caught_up(exchange.ledger()).await;
    other.caught_up(exchange.ledger()).await;
    exchange.expect_exact(Position(0)).await;
    one.end().await;
    other.end().await;
    if let Some(tasks) = other_tasks {
        tasks.end().await;
    }
}

async fn nats_may_be_killed_in_the_middle_of_it(backend: Backend) {
    let mut exchange = Exchange::open(backend).await;
    let options = RelayOptions { window: 16, ..hasty() };
    let relaying = Relaying::start(exchange.ledger(), &exchange.nats, options, true);
    for round in 1..=3 {
        let ledger = exchange.ledger().clone();
        let appending = busy(&ledger, 400);
        let killing = async {
            let least = relaying.status.borrow().published + 50;
            relaying.until("some messages", |status| status.published >= least).await;
            exchange.server.kill().await.unwrap();
            reach(&exchange.nats, Connection::Disconnected).await;
        };
        tokio::join!(appending, killing);
        let away = relaying.until("the loss", |it| it.state == RelayState::Disconnected).await;
        assert!(away.position < ledger.head(), "round {round}: it was all over before");
        exchange.server.restart().await.unwrap();
        exchange.expect_all_relayed(&relaying).await;
    }
}

async fn a_server_that_lost_everything_is_given_everything_again(backend: Backend) {
    let mut exchange = Exchange::open(backend).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 60).await;
    exchange.expect_all_relayed(&relaying).await;

    exchange.server.kill().await.unwrap();
    exchange.server.wipe().unwrap();
    busy(exchange.ledger(), 10).await;
    exchange.server.restart().await.unwrap();
    exchange.expect_all_relayed(&relaying).await;
}

async fn a_purged_stream_is_given_what_not_everybody_has(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 60).await;
    relaying.caught_up(exchange.ledger()).await;

    let all = |at| (0..PARTITIONS).map(|partition| (partition, at)).collect::<Vec<_>>();
    exchange.ledger().save_checkpoints("fast", &all(exchange.ledger().head())).await.unwrap();
    exchange.ledger().save_checkpoints("slow", &all(Position(70))).await.unwrap();
    let before = relaying.status.borrow().published;
    let stream = exchange.nats.jetstream().get_stream(STREAM).await.unwrap();
    stream.purge().await.unwrap();
    let due = u64::try_from(exchange.ledger().head().0 - 70).unwrap();
    relaying.until("what was purged", |status| status.published == before + due).await;
    exchange.expect_exact(Position(70)).await;

    // And under way.
    let ((), purged) = tokio::join!(busy(exchange.ledger(), 100), stream.purge());
    purged.unwrap();
    relaying.caught_up(exchange.ledger()).await;
    let left = stored(&exchange.nats).await;
    let left: Vec<_> = left.iter().map(|it| wire::decode_stored(it).unwrap()).collect();
    let first = left.first().map_or(exchange.ledger().head(), |first| first.recorded.position);
    exchange.expect_exact(Position(first.0 - 1)).await;
}

async fn a_deleted_stream_is_made_and_filled_again(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&relaying).await;

    // While nothing happens.
    let before = relaying.status.borrow().published;
    exchange.nats.jetstream().delete_stream(STREAM).await.unwrap();
    relaying.until("the stream again", |status| status.published >= 2 * before).await;
    exchange.expect_all_relayed(&relaying).await;

    // And while something does.
    let deleting = async { exchange.nats.jetstream().delete_stream(STREAM).await.unwrap() };
    tokio::join!(busy(exchange.ledger(), 300), deleting);
    exchange.expect_all_relayed(&relaying).await;
}

async fn a_server_that_was_restored_from_an_older_copy_is_given_the_rest(backend: Backend) {
    let mut exchange = Exchange::open(backend).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&relaying).await;
    exchange.server.stop().await.unwrap();
    let copy = exchange.server.copy().unwrap();
    exchange.server.restart().await.unwrap();
    busy(exchange.ledger(), 60).await;
    exchange.expect_all_relayed(&relaying).await;

    exchange.server.kill().await.unwrap();
    exchange.server.restore(&copy).unwrap();
    exchange.server.restart().await.unwrap();
    relaying.until("the loss", |status| status.published > 0).await;
    reach(&exchange.nats, Connection::Connected).await;
    // Nothing new is needed to notice.
    let head = exchange.ledger().head();
    in_time("the rest", async {
        loop {
            let stream = exchange.nats.jetstream().get_stream(STREAM).await.unwrap();
            if stream.cached_info().state.messages == u64::try_from(head.0).unwrap() {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    exchange.expect_all_relayed(&relaying).await;
}

async fn one_relay_works_and_the_other_stands_by(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    let one = exchange.relay();
    let other = Relaying::start(exchange.ledger(), &exchange.nats, hasty(), false);
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&one).await;
    let status = other.until("its head", |it| it.head == exchange.ledger().head()).await;
    assert_eq!((status.state, status.published), (RelayState::Standby, 0));

    one.active.send_replace(false);
    one.until("its rest", |status| status.state == RelayState::Standby).await;
    let published = one.status.borrow().published;
    busy(exchange.ledger(), 30).await;
    assert_eq!(stored(&exchange.nats).await.len(), usize::try_from(published).unwrap());
    other.active.send_replace(true);
    exchange.expect_all_relayed(&other).await;
    assert_eq!(one.status.borrow().published, published);

    other.active.send_replace(false);
    one.active.send_replace(true);
    busy(exchange.ledger(), 3).await;
    exchange.expect_all_relayed(&one).await;
}

async fn a_relay_may_end_at_any_moment(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    let options = RelayOptions { window: 32, ..hasty() };
    let ledger = exchange.ledger().clone();
    let appending = busy(&ledger, 400);
    let ending = async {
        for least in [1, 10, 40, 5, 80] {
            let relaying = Relaying::start(&ledger, &exchange.nats, options.clone(), true);
            relaying.until("some messages", |status| status.published >= least).await;
            relaying.end().await;
        }
    };
    tokio::join!(appending, ending);
    let relaying = exchange.relay();
    exchange.expect_all_relayed(&relaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_the_lease_relays_and_the_next_takes_over_within_five_seconds() {
    let exchange = Exchange::open(Backend::Postgres).await;
    let (other_ledger, other_tasks) =
        exchange.test.another(LedgerOptions::default()).await.unwrap();
    let start = |ledger: &Ledger| {
        let tasks = Tasks::default();
        let options = LeaseOptions::default();
        let keeper = LeaseKeeper::start(ledger, options, &tasks.tracker, &tasks.shutdown);
        let active = keeper.hold("relay");
        (Relaying::while_active(ledger, &exchange.nats, hasty(), active), tasks)
    };
    let (one, one_lease) = start(exchange.ledger());
    busy(exchange.ledger(), 20).await;
    one.caught_up(exchange.ledger()).await;
    let (other, other_lease) = start(&other_ledger);
    busy(exchange.ledger(), 20).await;
    one.caught_up(exchange.ledger()).await;
    assert_eq!(other.status.borrow().state, RelayState::Standby);

    let since = Instant::now();
    one.end().await;
    one_lease.end().await;
    busy(exchange.ledger(), 20).await;
    exchange.expect_all_relayed(&other).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    other.end().await;
    other_lease.end().await;
    other_tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_lease_nobody_keeps_ends() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let (keeper, active) = watch::channel(true);
    let relaying = Relaying::while_active(exchange.ledger(), &exchange.nats, hasty(), active);
    busy(exchange.ledger(), 5).await;
    relaying.caught_up(exchange.ledger()).await;
    drop(keeper);
    let mut status = relaying.status.clone();
    let gone = async { while status.changed().await.is_ok() {} };
    in_time("its end", gone).await;
    assert_eq!(relaying.status.borrow().state, RelayState::Standby);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_may_come_later_than_the_relay() {
    let mut server = NatsServer::start().await.unwrap();
    server.stop().await.unwrap();
    let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let relaying = Relaying::start(&test.ledger, &nats, hasty(), true);
    busy(&test.ledger, 20).await;
    let status = relaying.until("its head", |status| status.head == test.ledger.head()).await;
    assert_eq!(status.lag(), u64::try_from(test.ledger.head().0).unwrap());
    relaying.until("the absence", |status| status.state == RelayState::Disconnected).await;
    server.restart().await.unwrap();
    relaying.caught_up(&test.ledger).await;
    Exchange { test, server, nats }.expect_exact(Position(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_missed_and_found_again() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&relaying).await;
    exchange.server.freeze().unwrap();
    busy(exchange.ledger(), 30).await;
    relaying
        .until("the trouble", |status| {
            matches!(status.state, RelayState::Failing(_) | RelayState::Disconnected)
        })
        .await;
    exchange.server.thaw().unwrap();
    exchange.expect_all_relayed(&relaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_announced_without_its_content() {
    let settings = NatsSettings { max_payload: Some(8_192), ..NatsSettings::default() };
    let exchange = Exchange::open_with(Backend::Sqlite, &settings).await;
    let relaying = exchange.relay();
    let large = "x".repeat(10_000);
    exchange.ledger().append(events(&["before", &large, "after"])).await.unwrap();
    exchange.ledger().append(events(&[&large])).await.unwrap();
    relaying.caught_up(exchange.ledger()).await;
    let omitted: Vec<_> = exchange.stored().await.iter().map(is_omitted).collect();
    assert_eq!(omitted, [false, true, false, true]);
    assert_eq!(relaying.status.borrow().omitted, 2);
    relaying.end().await;

    // Its place is known also to one who begins anew.
    let relaying = exchange.relay();
    exchange.ledger().append(events(&["later"])).await.unwrap();
    relaying.caught_up(exchange.ledger()).await;
    assert_eq!(relaying.status.borrow().published, 1);
    assert_eq!(exchange.stored().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_smaller_messages_than_the_server_gets_them_without_content() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let stream = ensure_stream(&exchange.nats, &hasty().stream).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    let relaying = exchange.relay();
    exchange.ledger().append(events(&["before"])).await.unwrap();
    relaying.caught_up(exchange.ledger()).await;
    // An operator's doing, after the relay has seen to the stream.
    config.max_message_size = 4_096;
    exchange.nats.jetstream().update_stream(config).await.unwrap();
    exchange.ledger().append(events(&[&"x".repeat(10_000), "after"])).await.unwrap();
    relaying.caught_up(exchange.ledger()).await;
    assert_eq!(exchange.stored().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_holds_the_relay_up_until_there_is_room() {
    let tight = NatsSettings { max_store: Some(300_000), ..NatsSettings::default() };
    let mut exchange = Exchange::open_with(Backend::Sqlite, &tight).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 600).await;
    relaying.until("the limit", |status| matches!(status.state, RelayState::Failing(_))).await;
    exchange.server.configure(&NatsSettings::default()).unwrap();
    exchange.server.restart().await.unwrap();
    exchange.expect_all_relayed(&relaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_more_than_the_ledger_halts_the_relay() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&relaying).await;
    relaying.end().await;
    let before = exchange.stored().await.len();

    // A ledger that has lost its history, and begins another.
    let young = TestLedger::open(Backend::Sqlite).await.unwrap();
    let relaying = Relaying::start(&young.ledger, &exchange.nats, hasty(), true);
    let halted = relaying.until("the halt", |it| matches!(it.state, RelayState::Halted(_))).await;
    assert!(format!("{halted:?}").contains("the ledger ends before that"), "{halted:?}");
    busy(&young.ledger, 60).await;
    let differs = "different messages";
    relaying.until("the difference", |it| format!("{it:?}").contains(differs)).await;
    assert_eq!(exchange.stored().await.len(), before, "nothing is published");

    // Somebody has decided which of the two is right.
    exchange.nats.jetstream().get_stream(STREAM).await.unwrap().purge().await.unwrap();
    relaying.caught_up(&young.ledger).await;
    let exchange = Exchange { test: young, ..exchange };
    exchange.expect_exact(Position(0)).await;
}

/// Publishes what somebody who is not the relay might.
async fn meddle(exchange: &Exchange) {
    let jetstream = exchange.nats.jetstream();
    let last = everything(exchange.ledger()).await.pop().unwrap();
    let first = exchange.ledger().read(Position(0), 1).await.unwrap().remove(0);
    let publish = async |subject: String, headers, payload| {
        jetstream.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
    };
    let junk = async_nats::HeaderMap::new();
    publish("mall.event.testing.3.Noted".to_owned(), junk, "junk".into()).await;
    let mut broken = wire::encode(&last, Position(0));
    broken.headers.insert("Nats-Msg-Id", format!("broken {}", Uuid::now_v7()).as_str());
    publish(broken.subject, broken.headers, broken.payload).await;
    let mut forged = Recorded::clone(&last);
    forged.position = Position(last.position.0 + 1_000);
    forged.message_id = Uuid::now_v7();
    let forged = wire::encode(&forged, last.position);
    publish(forged.subject, forged.headers, forged.payload).await;
    let mut replayed = wire::encode(&first, Position(0));
    replayed
        .headers
        .insert("Nats-Msg-Id", format!("{}/{}", first.message_id, Uuid::now_v7()).as_str());
    publish(replayed.subject, replayed.headers, replayed.payload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_publish_does_not_lead_the_relay_astray() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let relaying = exchange.relay();
    let mut strangers = 0;
    for _ in 0..3 {
        busy(exchange.ledger(), 20).await;
        relaying.caught_up(exchange.ledger()).await;
        meddle(&exchange).await;
        strangers += 4;
    }
    busy(exchange.ledger(), 20).await;
    relaying.caught_up(exchange.ledger()).await;
    let status = relaying.status.borrow().clone();
    assert_eq!(status.published, u64::try_from(exchange.ledger().head().0).unwrap());
    let stored = exchange.stored().await;
    assert_eq!(stored.len(), usize::try_from(status.published).unwrap() + strangers);
}

/// The server refuses what it remembers, also what it does not have any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_from_the_end_is_published_again() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 30).await;
    exchange.expect_all_relayed(&relaying).await;
    relaying.end().await;

    let stream = exchange.nats.jetstream().get_stream(STREAM).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    for sequence in last - 10..=last {
        stream.delete_message(sequence).await.unwrap();
    }
    let relaying = exchange.relay();
    busy(exchange.ledger(), 3).await;
    exchange.expect_all_relayed(&relaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_break_all_connections_in_the_middle_of_it() {
    const BREAK: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let exchange = Exchange::open(Backend::Postgres).await;
    let relaying = exchange.relay();
    let meddler = exchange.test.place.connect().await.unwrap();
    let ledger = exchange.ledger();
    // An append that was cut off may have been written or not.
    let append = async || drop(ledger.append(events(&["one", "two"])).await);
    for _ in 0..3 {
        for _ in 0..50 {
            append().await;
        }
        let breaking = Statement::from_string(meddler.write.get_database_backend(), BREAK);
        meddler.write.query_all_raw(breaking).await.unwrap();
    }
    in_time("the ledger", async { while ledger.append(events(&["last"])).await.is_err() {} }).await;
    exchange.expect_all_relayed(&relaying).await;
}
