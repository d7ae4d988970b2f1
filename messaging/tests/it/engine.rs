//! The engine: in order within a key, side by side across keys, tried again
//! when the machinery is away, stopped between messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use mallbots_domain::ordering::OrderStatus;
use mallbots_eventstore::message::Position;
use tokio::sync::{Notify, Semaphore};

use crate::{
    crew::everybody,
    mall::{Mall, Shape, in_each_shape, in_time},
    scripted::{Act, Bench, key},
};

in_each_shape!(
    d8_every_consumer_hears_everything,
    d14_what_is_said_while_nobody_listens_is_heard_later,
    d16_messages_of_a_key_are_handled_in_order,
    d22_a_message_that_is_tried_again_is_not_overtaken,
    keys_are_handled_side_by_side,
    only_so_many_keys_are_worked_on_at_a_time,
    d18_what_is_away_is_waited_for_without_end,
    d20_one_message_of_a_key_is_at_work_at_a_time,
    d37_what_the_database_does_not_take_is_parked_in_the_end,
    handlers_that_wait_for_a_connection_do_not_hold_up_the_desk,
    a_consumer_that_cannot_keep_up_reads_on_later,
    it_stops_between_messages,
    it_stops_while_something_is_away,
);

async fn d8_every_consumer_hears_everything(shape: Shape) {
    // As notifications and search did, but both hear of each order.
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let head = mall.ledger().head();
    let progress = mall.post().progress();
    assert_eq!(progress.len(), everybody().count());
    for (name, done_to) in progress {
        assert_eq!(done_to, head, "{name}");
    }
    assert_eq!(mall.told(&shopper).await.len(), 2);
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
}

async fn d14_what_is_said_while_nobody_listens_is_heard_later(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    bench.ask_all(key, 1..=3).await;
    let handler = bench.handler(|_, _, _| Act::Do);
    let consumer = bench.start(&handler);
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3]);
    consumer.stop().await;
    bench.ask_all(key, 4..=6).await;
    bench.start(&handler).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4, 5, 6]);
}

async fn d16_messages_of_a_key_are_handled_in_order(shape: Shape) {
    let bench = Bench::new(shape).await;
    let keys = [key(), key(), key()];
    let consumer = bench.start(&bench.handler(|_, _, _| Act::Do));
    for n in 0..40 {
        for key in keys {
            bench.ask(key, n).await;
        }
    }
    consumer.settle(bench.ledger()).await;
    for key in keys {
        assert_eq!(bench.done(key).await, (0..40).collect::<Vec<_>>());
    }
}

async fn d22_a_message_that_is_tried_again_is_not_overtaken(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, other) = (key(), key());
    let handler =
        bench.handler(
            move |of, n, attempt| {
                if of == key && n % 3 == 0 && attempt <= 2 { Act::Fail } else { Act::Do }
            },
        );
    let consumer = bench.start(&handler);
    bench.ask_all(key, 0..=6).await;
    bench.ask_all(other, 0..=6).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.done(other).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(handler.tries(key), [0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 6, 6]);
    assert_eq!(bench.parked(key).await, []);
}

async fn keys_are_handled_side_by_side(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (held, free) = (key(), key());
    let open = Arc::new(Notify::new());
    let waits = open.clone();
    let consumer = bench.start(&bench.handler(move |of, n, _| {
        let waits = waits.clone();
        if of == held && n == 1 {
            Act::First(async move { waits.notified().await }.boxed())
        } else {
            Act::Do
        }
    }));
    bench.ask_all(held, 1..=2).await;
    bench.ask_all(free, 1..=20).await;
    bench.wait_for(free, 20).await;
    assert_eq!(bench.done(held).await, [0; 0]);
    open.notify_one();
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(held).await, [1, 2]);
}

async fn only_so_many_keys_are_worked_on_at_a_time(shape: Shape) {
    let mut bench = Bench::new(shape).await;
    bench.options.concurrency = 3;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (ledger, seen) = (bench.ledger().clone(), most.clone());
    let consumer = bench.start(&bench.handler(move |_, _, _| {
        let (ledger, now, most) = (ledger.clone(), now.clone(), seen.clone());
        Act::First(
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                ledger.read(Position(0), 1).await.unwrap();
                now.fetch_sub(1, Ordering::SeqCst);
            }
            .boxed(),
        )
    }));
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    for key in &keys {
        bench.ask(*key, 1).await;
    }
    consumer.settle(bench.ledger()).await;
    for key in keys {
        assert_eq!(bench.done(key).await, [1]);
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
}

async fn d18_what_is_away_is_waited_for_without_end(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(|_, n, attempt| match n {
        2 if attempt <= 25 => Act::Away,
        _ => Act::Do,
    });
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3]);
    assert_eq!(handler.tries(key).len(), 1 + 26 + 1);
    assert_eq!(bench.parked(key).await, []);
}

async fn d20_one_message_of_a_key_is_at_work_at_a_time(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let alone = Arc::new(Semaphore::new(1));
    let (ledger, turns) = (bench.ledger().clone(), alone.clone());
    let handler = bench.handler(move |_, n, attempt| {
        let (ledger, turns) = (ledger.clone(), turns.clone());
        // A slow try that fails is over before the next begins.
        if n == 1 && attempt == 1 {
            return Act::Fail;
        }
        Act::First(
            async move {
                let _turn = turns.try_acquire().expect("nobody else is at it");
                ledger.read(Position(0), 10).await.unwrap();
            }
            .boxed(),
        )
    });
    let consumer = bench.start(&handler);
    bench.ask_all(key, 0..20).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, (0..20).collect::<Vec<_>>());
    assert_eq!(bench.parked(key).await, []);
}

async fn d37_what_the_database_does_not_take_is_parked_in_the_end(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, other) = (key(), key());
    let handler =
        bench.handler(move |of, n, _| if of == key && n == 1 { Act::Misspell } else { Act::Do });
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    bench.ask_all(other, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(other).await, [1, 2]);
    assert_eq!(handler.tries(key), [1, 1, 1]);
    let parked = bench.parked(key).await;
    assert_eq!(parked.len(), 2);
    assert_eq!(parked[0].0, 3);
    assert!(parked[0].1.starts_with("the database failed: "), "{}", parked[0].1);
}

/// More handlers read at once than there are connections, while the desk
/// itself needs one to look at dead letters.
async fn handlers_that_wait_for_a_connection_do_not_hold_up_the_desk(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (mended, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let bad = key();
    let handler = {
        let (mended, stop, ledger) = (mended.clone(), stop.clone(), bench.ledger().clone());
        bench.handler(move |of, _, _| {
            if of == bad {
                return if mended.load(Ordering::SeqCst) { Act::Do } else { Act::Refuse };
            }
            let (stop, ledger) = (stop.clone(), ledger.clone());
            Act::First(
                async move {
                    while !stop.load(Ordering::SeqCst) {
                        ledger.read(Position(0), 50).await.unwrap();
                    }
                }
                .boxed(),
            )
        })
    };
    let consumer = bench.start(&handler);
    bench.ask_all(bad, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    let letter = bench.letters(bad).await.remove(0);

    let busy: Vec<_> = (0..60).map(|_| key()).collect();
    for key in &busy {
        bench.ask(*key, 1).await;
    }
    mended.store(true, Ordering::SeqCst);
    bench.retry(&letter).await;
    bench.wait_for(bad, 3).await;
    stop.store(true, Ordering::SeqCst);
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.parked(bad).await, []);
}

async fn a_consumer_that_cannot_keep_up_reads_on_later(shape: Shape) {
    let mut bench = Bench::new(shape).await;
    bench.options.window = 8;
    let (held, other) = (key(), key());
    let open = Arc::new(Notify::new());
    let waits = open.clone();
    let handler = bench.handler(move |of, n, _| {
        let waits = waits.clone();
        if of == held && n == 0 {
            Act::First(async move { waits.notified().await }.boxed())
        } else {
            Act::Do
        }
    });
    bench.ask_all(held, 0..20).await;
    // Read in one go, as many as there are; then no more until there is room.
    let consumer = bench.start(&handler);
    bench.ask_all(other, 0..20).await;
    assert!(consumer.done_to() < Position(1));
    open.notify_one();
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(held).await, (0..20).collect::<Vec<_>>());
    assert_eq!(bench.done(other).await, (0..20).collect::<Vec<_>>());
}

async fn it_stops_between_messages(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let (begun, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, open) = (begun.clone(), open.clone());
        bench.handler(move |_, n, _| {
            let (begun, open) = (begun.clone(), open.clone());
            if n != 2 {
                return Act::Do;
            }
            Act::First(
                async move {
                    begun.notify_one();
                    open.notified().await;
                }
                .boxed(),
            )
        })
    };
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    let third = bench.ask(key, 3).await;
    bench.ask(key, 4).await;
    in_time("the second", begun.notified()).await;
    let mut stopping = Box::pin(consumer.stop());
    assert!(futures_util::poll!(&mut stopping).is_pending(), "one is at work");
    open.notify_one();
    stopping.await;

    // What was at work is done, what waited is left for the next.
    assert_eq!(bench.done(key).await, [1, 2]);
    assert_eq!(bench.checkpoint_of(key).await, Position(third.0 - 1));
    bench.start(&bench.handler(|_, _, _| Act::Do)).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4]);
}

async fn it_stops_while_something_is_away(shape: Shape) {
    let mut bench = Bench::new(shape).await;
    bench.options.backoff.base = Duration::from_hours(1);
    bench.options.backoff.cap = Duration::from_hours(1);
    let key = key();
    let begun = Arc::new(Notify::new());
    let tells = begun.clone();
    let consumer = bench.start(&bench.handler(move |_, _, _| {
        tells.notify_one();
        Act::Away
    }));
    bench.ask_all(key, 1..=2).await;
    in_time("the first try", begun.notified()).await;
    consumer.stop().await;
    assert_eq!(bench.checkpoint().await, Position(0));
    assert_eq!(bench.parked(key).await, []);
    bench.start(&bench.handler(|_, _, _| Act::Do)).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2]);
}
