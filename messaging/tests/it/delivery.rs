//! What JetStream may do to messages, and what comes of it: nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::stream::Stream;
use futures_util::{FutureExt, TryStreamExt};
use mallbots_domain::{
    id::{BasketId, EntityId},
    notifications::NotificationKind,
    ordering::OrderStatus,
};
use mallbots_eventstore::{
    ledger::LedgerOptions,
    message::{MessageKind, Position, Recorded},
};
use mallbots_messaging::{
    consumer::Office,
    leases::LeaseKeeper,
    notifier::{Notifier, Webhook},
    ranges,
    streams::STREAM,
    wire,
};
use mallbots_testing::ledgers::Tasks;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    courier::Manners,
    crew::Consumer,
    leases::QUICK,
    mall::{Mall, Shape, Shopper, in_time},
    scripted::{Act, Bench, Scripted, key},
    webhook::Server,
};

/// A mall whose courier has these manners.
async fn mall_with(manners: Manners, notifier: Notifier) -> Mall {
    let mut mall = Mall::closed(Shape::JetStream).await;
    let ledger = mall.ledger().clone();
    let streaming = mall.streaming.as_mut().unwrap();
    streaming.patience = Duration::from_millis(300);
    streaming.dismiss().await;
    streaming.employ(&ledger, manners);
    mall.with_post(notifier)
}

/// Some orders are placed, one of them is turned down, one called off.
async fn trade(mall: &Mall) -> Vec<Shopper> {
    let mut shoppers = Vec::new();
    for n in 0..4 {
        let shopper = if n == 3 { mall.shopper_with(1).await } else { mall.shopper().await };
        mall.check_out(&shopper).await;
        shoppers.push(shopper);
    }
    mall.settle().await;
    mall.cancel(&shoppers[0]).await;
    mall.settle().await;
    shoppers
}

/// Everything happened, and nothing twice.
async fn assert_traded(mall: &Mall, shoppers: &[Shopper]) {
    use NotificationKind::{OrderApproved, OrderCanceled, OrderCreated, OrderRejected};
    for (n, shopper) in shoppers.iter().enumerate() {
        let (events, told): (&[_], &[_]) = match n {
            0 => (
                &["OrderCreated", "OrderApproved", "OrderCanceled"],
                &[OrderCreated, OrderApproved, OrderCanceled],
            ),
            3 => (&["OrderCreated", "OrderRejected"], &[OrderCreated, OrderRejected]),
            _ => (&["OrderCreated", "OrderApproved"], &[OrderCreated, OrderApproved]),
        };
        assert_eq!(mall.events(shopper.order()).await, events, "{n}");
        assert_eq!(mall.told(shopper).await, told, "{n}");
    }
    let everything = mall.everything().await;
    let count = |kind| everything.iter().filter(|it| it.kind == kind).count();
    assert_eq!(count(MessageKind::Reply), count(MessageKind::Command));
    mall.assert_quiet().await;
}

/// How many messages came over JetStream in time, and how many did not.
fn origins(mall: &Mall) -> (u64, u64) {
    let consumers = mall.post().consumers().values();
    consumers.fold((0, 0), |(delivered, read), progress| {
        let origins = progress.origins();
        (delivered + origins.delivered(), read + origins.read())
    })
}

async fn whatever_the_courier_does(manners: Manners) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| "204 No Content".to_owned()).await;
    let webhook = Webhook::new(server.url.parse().unwrap(), "s3cret").unwrap();
    let mall = mall_with(manners, Notifier::Webhook(webhook)).await;
    let shoppers = trade(&mall).await;
    assert_traded(&mall, &shoppers).await;
    // Nobody outside was told anything twice.
    let mut told: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("idempotency-key").to_owned())
        .collect();
    assert_eq!(told.len(), 2 * 4 + 1);
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 2 * 4 + 1);
    let (delivered, read) = origins(&mall);
    match manners {
        Manners::Good | Manners::TenTimes => assert!(delivered > 0, "{delivered}, {read}"),
        Manners::Absent => assert_eq!(delivered, 0),
        Manners::Scrambled | Manners::Forgetful | Manners::Clumsy => assert!(read > 0),
    }
    tasks.shutdown.cancel();
    mall.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_over_jetstream() {
    whatever_the_courier_does(Manners::Good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_delivered_ten_times_takes_effect_once() {
    whatever_the_courier_does(Manners::TenTimes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_delivered_out_of_order_take_effect_in_order() {
    whatever_the_courier_does(Manners::Scrambled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_missing_are_taken_from_the_ledger() {
    whatever_the_courier_does(Manners::Forgetful).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_were_damaged_are_taken_from_the_ledger() {
    whatever_the_courier_does(Manners::Clumsy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_is_published_work_goes_on() {
    whatever_the_courier_does(Manners::Absent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nats_dies_work_goes_on_and_when_it_comes_back_too() {
    let mut mall = Mall::open(Shape::JetStream).await;
    let first = mall.settled_shopper().await;
    let ledger = mall.ledger().clone();
    let streaming = mall.streaming.as_mut().unwrap();
    streaming.dismiss().await;
    streaming.server.kill().await.unwrap();

    let shopper = mall.shopper().await;
    let began = Instant::now();
    mall.check_out(&shopper).await;
    mall.settle().await;
    // Not a second for each of the dozen messages it takes.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));

    // It comes back with nothing: wiped, and its consumers with it.
    let streaming = mall.streaming.as_mut().unwrap();
    streaming.server.wipe().unwrap();
    streaming.server.restart().await.unwrap();
    streaming.employ(&ledger, Manners::Good);
    let (before, _) = origins(&mall);
    let mut shoppers = vec![first, shopper];
    in_time("JetStream to be relied on again", async {
        while origins(&mall).0 == before {
            let shopper = mall.settled_shopper().await;
            shoppers.push(shopper);
        }
    })
    .await;
    for shopper in &shoppers {
        assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderApproved"]);
        assert_eq!(mall.told(shopper).await.len(), 2);
    }
    mall.assert_quiet().await;
    mall.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_deleted_and_a_stream_purged_cost_only_time() {
    let mall = mall_with(Manners::Good, Notifier::Log).await;
    let streaming = mall.streaming.as_ref().unwrap();
    let jetstream = streaming.nats.jetstream();
    let mut shoppers = Vec::new();
    for round in 0..4 {
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        // In the middle of it.
        let stream = jetstream.get_stream(STREAM).await.unwrap();
        if round % 2 == 0 {
            stream.purge().await.unwrap();
        } else {
            for consumer in consumers(&stream).await {
                stream.delete_consumer(&consumer).await.unwrap();
            }
        }
        mall.settle().await;
        shoppers.push(shopper);
    }
    for shopper in &shoppers {
        assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderApproved"]);
        assert_eq!(mall.told(shopper).await.len(), 2);
    }
    mall.assert_quiet().await;
    mall.close().await;
}

/// The names of those the stream feeds.
async fn consumers(stream: &Stream) -> Vec<String> {
    stream.consumer_names().try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_take_a_range_in_share_what_is_brought() {
    let mall = mall_with(Manners::Good, Notifier::Log).await;
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    mall.settle().await;
    let jetstream = mall.streaming.as_ref().unwrap().nats.jetstream();
    let stream = jetstream.get_stream(STREAM).await.unwrap();
    let names = consumers(&stream).await;
    assert_eq!(names.len(), usize::from(ranges::RANGES), "{names:?}");
    mall.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_taken_effect_is_acknowledged() {
    let mut bench = Bench::new(Shape::JetStream).await;
    bench.options.checkpoint_every = Duration::from_millis(20);
    let consumer = bench.start(&bench.handler(|_, _, _| Act::Do));
    for n in 0..20 {
        bench.ask(key(), n).await;
    }
    consumer.settle(bench.ledger()).await;
    let jetstream = bench.streaming.as_ref().unwrap().nats.jetstream();
    let stream = jetstream.get_stream(STREAM).await.unwrap();
    for name in consumers(&stream).await {
        let acknowledged = async {
            loop {
                let consumer = stream.consumer_info(&name).await.unwrap();
                if consumer.num_ack_pending == 0 && consumer.num_pending == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("everything is acknowledged", acknowledged).await;
    }
    consumer.stop().await;
}

/// A message as nobody said it.
fn forged(key: BasketId, position: i64, n: i64) -> Recorded {
    Recorded {
        position: Position(position),
        kind: MessageKind::Command,
        stream: key.any(),
        version: Default::default(),
        name: "testing.Work".to_owned(),
        schema_version: 1,
        message_id: Uuid::now_v7(),
        payload: format!("{{\"n\":{n}}}").into(),
        metadata: "{}".into(),
        recorded_at: 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_puts_on_the_stream_is_not_believed() {
    let bench = Bench::new(Shape::JetStream).await;
    let (streaming, key) = (bench.streaming.as_ref().unwrap(), key());
    let consumer = bench.start(&bench.handler(|_, _, _| Act::Do));
    bench.ask(key, 0).await;
    consumer.settle(bench.ledger()).await;
    let jetstream = streaming.nats.jetstream();
    for n in 1..=20 {
        let junk = jetstream.publish("mall.command.testing.3.Work", "junk".into()).await.unwrap();
        junk.await.unwrap();
        let head = bench.ledger().head().0;
        // Of a message long past, of one to come, and of one that may never be.
        for position in [1, head + 20, head + 1_000_000] {
            let encoded = wire::encode(&forged(key, position, 666), Position(position - 1));
            let published =
                jetstream.publish_with_headers(encoded.subject, encoded.headers, encoded.payload);
            published.await.unwrap().await.unwrap();
        }
        bench.ask(key, n).await;
        if n % 5 == 0 {
            consumer.settle(bench.ledger()).await;
        }
    }
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, (0..=20).collect::<Vec<_>>());
    consumer.stop().await;
}

/// What a consumer of another process works with.
fn office(bench: &Bench, tasks: &Tasks) -> Office {
    let keeper = LeaseKeeper::start(bench.ledger(), QUICK, &tasks.tracker, &tasks.shutdown);
    Office { keeper, ..bench.office() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_move_when_processes_join_and_leave_and_nothing_is_done_twice() {
    let mut bench = Bench::new(Shape::JetStream).await;
    bench.options.checkpoint_every = Duration::from_millis(20);
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    let mut asked = 0;
    let mut ask = async |count: i64| {
        for n in asked + 1..=asked + count {
            for key in &keys {
                bench.ask(*key, n).await;
            }
        }
        asked += count;
    };
    let (home, away) = (Tasks::default(), Tasks::default());
    let one = Consumer::start(
        &office(&bench, &home),
        bench.handler(|_, _, _| Act::Do),
        &bench.options,
        &home,
    );
    in_time("all ranges", one.progress.has(4)).await;
    ask(5).await;
    let other = Consumer::start(
        &office(&bench, &away),
        bench.handler(|_, _, _| Act::Do),
        &bench.options,
        &away,
    );
    ask(5).await;
    in_time("half of the ranges", one.progress.has(2)).await;
    in_time("the other half", other.progress.has(2)).await;
    ask(5).await;
    let ours = one.progress.parts();
    assert!(other.progress.parts().iter().all(|part| !ours.contains(part)));
    away.end().await;
    ask(5).await;
    in_time("all ranges again", one.progress.has(4)).await;
    ask(5).await;
    one.settle(bench.ledger()).await;
    for key in &keys {
        assert_eq!(bench.done(*key).await, (1..=25).collect::<Vec<_>>());
    }
    home.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_a_lease_in_the_middle_of_work_does_nothing_twice() {
    let mut bench = Bench::new(Shape::JetStream).await;
    // Nothing lingers: what the other has done is out of the inbox at once.
    bench.options.checkpoint_every = Duration::from_millis(1);
    let key = key();
    let (begun, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (begun.clone(), open.clone());
    let (ledger, ledger_tasks) = bench.test.another(LedgerOptions::default()).await.unwrap();
    let held_up = Scripted::new(&ledger, move |_, n, _| {
        let (tells, waits) = (tells.clone(), waits.clone());
        if n != 2 {
            return Act::Do;
        }
        Act::First(
            async move {
                tells.notify_one();
                waits.notified().await;
            }
            .boxed(),
        )
    });
    let (home, away) = (Tasks::default(), Tasks::default());
    let keeper = LeaseKeeper::start(&ledger, QUICK, &away.tracker, &away.shutdown);
    let elsewhere = Office { ledger: ledger.clone(), keeper, ..bench.office() };
    let other = Consumer::start(&elsewhere, held_up, &bench.options, &away);
    in_time("all ranges", other.progress.has(4)).await;
    bench.ask_all(key, 1..=3).await;
    in_time("the second", begun.notified()).await;

    // Somebody takes the leases away, as if it had stood still for too long.
    let handler = bench.handler(|_, _, _| Act::Do);
    let one = Consumer::start(&office(&bench, &home), handler, &bench.options, &home);
    let rob = "UPDATE leases SET expires_at = 0";
    in_time("the leases to change hands", async {
        while bench.done(key).await.len() < 3 {
            // It may lose a race for the rows.
            let database = &bench.test.place.database.write;
            let _ = sea_orm::ConnectionTrait::execute_unprepared(database, rob).await;
        }
    })
    .await;
    in_time("the inbox to be pruned", async {
        while bench.inbox().await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    open.notify_one();
    away.end().await;
    in_time("all ranges", one.progress.has(4)).await;
    bench.ask(key, 4).await;
    one.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4]);
    assert_eq!(bench.parked(key).await, []);
    home.end().await;
    ledger_tasks.end().await;
}
