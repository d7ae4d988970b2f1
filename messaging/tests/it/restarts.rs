//! The process dies and comes back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::FutureExt;
use mallbots_eventstore::message::Position;
use tokio::sync::Notify;

use crate::{
    mall::{Mall, Shape, in_each_shape, in_time},
    scripted::{Act, Bench, key},
};

in_each_shape!(
    the_checkpoint_stays_behind_the_lowest_message_at_work,
    what_was_handled_before_a_crash_is_not_handled_again,
    d17_the_inbox_is_pruned_behind_the_checkpoint,
    a_checkpoint_that_lingers_keeps_the_inbox,
    parked_keys_stay_parked,
    what_was_handled_before_a_parked_message_is_not_parked_behind_it,
    a_retried_message_is_not_handled_again_after_a_crash,
    a_discarded_message_does_not_come_back_after_a_crash,
    an_order_to_try_again_outlives_a_crash,
    sagas_go_on_where_they_were,
);

async fn the_checkpoint_stays_behind_the_lowest_message_at_work(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (slow, quick) = (key(), key());
    let open = Arc::new(Notify::new());
    let waits = open.clone();
    let handler = bench.handler(move |of, n, _| {
        let waits = waits.clone();
        if of == slow && n == 2 {
            Act::First(async move { waits.notified().await }.boxed())
        } else {
            Act::Do
        }
    });
    let consumer = bench.start(&handler);
    bench.ask(slow, 1).await;
    bench.wait_for(slow, 1).await;
    let at_work = bench.ask(slow, 2).await;
    bench.ask_all(quick, 1..=5).await;
    bench.wait_for(quick, 5).await;
    assert!(consumer.done_to() < at_work);
    consumer.kill().await;
    assert_eq!(bench.checkpoint().await, Position(0));

    // Whoever comes next begins there, and does not do again what was done.
    let handler = bench.handler(|_, _, _| Act::Do);
    let consumer = bench.start(&handler);
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(slow).await, [1, 2]);
    assert_eq!(bench.done(quick).await, [1, 2, 3, 4, 5]);
    assert_eq!(handler.tries(slow), [2]);
    consumer.stop().await;
    assert_eq!(bench.checkpoint().await, bench.ledger().head());
}

async fn what_was_handled_before_a_crash_is_not_handled_again(shape: Shape) {
    let bench = Bench::new(shape).await;
    let keys: Vec<_> = (0..5).map(|_| key()).collect();
    let mut asked = 0;
    for round in 0..4 {
        let handler = bench.handler(|_, n, _| if n % 4 == 0 { Act::Nothing } else { Act::Do });
        let consumer = bench.start(&handler);
        for key in &keys {
            bench.ask_all(*key, asked + 1..=asked + 3).await;
        }
        asked += 3;
        if round == 3 {
            consumer.settle(bench.ledger()).await;
        } else {
            // Somewhere in the middle.
            let done = (1..=asked).filter(|n| n % 4 != 0).count();
            bench.wait_for(keys[round], done).await;
        }
        consumer.kill().await;
    }
    for key in keys {
        let done: Vec<_> = (1..=asked).filter(|n| n % 4 != 0).collect();
        assert_eq!(bench.done(key).await, done);
    }
    assert_eq!(bench.checkpoint().await, Position(0), "no checkpoint was ever saved");
}

async fn d17_the_inbox_is_pruned_behind_the_checkpoint(shape: Shape) {
    let mut bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(|_, _, _| Act::Do);
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=5).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.inbox().await, 5);
    consumer.stop().await;
    assert_eq!(bench.checkpoint().await, bench.ledger().head());
    assert_eq!(bench.inbox().await, 0);

    // While it works, too.
    bench.options.checkpoint_every = std::time::Duration::from_millis(1);
    let consumer = bench.start(&handler);
    bench.ask(key, 6).await;
    consumer.settle(bench.ledger()).await;
    in_time("the inbox to be pruned", async {
        while bench.inbox().await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4, 5, 6]);
}

async fn a_checkpoint_that_lingers_keeps_the_inbox(shape: Shape) {
    let mut bench = Bench::new(shape).await;
    bench.options.linger = std::time::Duration::from_hours(1);
    let key = key();
    let handler = bench.handler(|_, _, _| Act::Do);
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=5).await;
    consumer.settle(bench.ledger()).await;
    consumer.stop().await;
    let left = match shape {
        // A file is for one process: nobody can lag.
        Shape::Sqlite => 0,
        Shape::Postgres | Shape::JetStream => 5,
    };
    assert_eq!(bench.inbox().await, left);
    bench.start(&handler).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4, 5]);
    assert_eq!(handler.tries(key).len(), 5, "what is in the inbox is not even tried");
}

async fn parked_keys_stay_parked(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (bad, good) = (key(), key());
    let script = move |of, n, _| if of == bad && n == 1 { Act::Refuse } else { Act::Do };
    let consumer = bench.start(&bench.handler(script));
    bench.ask_all(bad, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    let before = bench.letters(bad).await;
    assert_eq!(before.len(), 2);

    for dies in [true, false] {
        let handler = bench.handler(|_, _, _| Act::Do);
        let consumer = bench.start(&handler);
        consumer.settle(bench.ledger()).await;
        assert_eq!(bench.letters(bad).await, before);
        assert_eq!(handler.tries(bad), [0; 0]);
        if dies { consumer.kill().await } else { consumer.stop().await }
    }
    let handler = bench.handler(|_, _, _| Act::Do);
    let consumer = bench.start(&handler);
    bench.ask(bad, 3).await;
    bench.ask(good, 1).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.letters(bad).await.len(), 3);
    assert_eq!(bench.done(good).await, [1]);
    bench.retry(&before[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(bad).await, [1, 2, 3]);
    assert_eq!(bench.letters(bad).await, []);
}

async fn what_was_handled_before_a_parked_message_is_not_parked_behind_it(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let script = |_, n, _| match n {
        1 => Act::Nothing,
        2 => Act::Do,
        3 => Act::Refuse,
        _ => Act::Do,
    };
    let consumer = bench.start(&bench.handler(script));
    bench.ask_all(key, 1..=4).await;
    consumer.settle(bench.ledger()).await;
    let parked = bench.letters(key).await;
    assert_eq!(parked.len(), 2);
    consumer.kill().await;

    let handler = bench.handler(|_, n, _| if n == 1 { Act::Nothing } else { Act::Do });
    let consumer = bench.start(&handler);
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.letters(key).await, parked);
    bench.retry(&parked[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2, 3, 4]);
    assert_eq!(bench.letters(key).await, []);
}

async fn a_retried_message_is_not_handled_again_after_a_crash(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, mended) = (key(), Arc::new(AtomicBool::new(false)));
    let script = {
        let mended = mended.clone();
        move |_, n, _| {
            if n != 2 && !mended.load(Ordering::SeqCst) { Act::Refuse } else { Act::Do }
        }
    };
    let consumer = bench.start(&bench.handler(script));
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    mended.store(true, Ordering::SeqCst);
    bench.retry(&bench.letters(key).await[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3]);
    consumer.kill().await;

    // From the beginning, as no checkpoint was saved.
    let handler = bench.handler(|_, _, _| Act::Do);
    bench.start(&handler).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3]);
    assert_eq!(bench.letters(key).await, []);
}

async fn a_discarded_message_does_not_come_back_after_a_crash(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let consumer =
        bench.start(&bench.handler(|_, n, _| if n == 1 { Act::Refuse } else { Act::Do }));
    bench.ask_all(key, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    bench.discard(&bench.letters(key).await[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2]);
    consumer.kill().await;

    let handler = bench.handler(|_, _, _| Act::Do);
    bench.start(&handler).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2]);
    assert_eq!(handler.tries(key), [0; 0]);
    assert_eq!(bench.letters(key).await, []);
}

async fn an_order_to_try_again_outlives_a_crash(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let begun = Arc::new(Notify::new());
    let tells = begun.clone();
    let first = AtomicBool::new(true);
    let handler = bench.handler(move |_, _, _| {
        if first.swap(false, Ordering::SeqCst) {
            return Act::Refuse;
        }
        let tells = tells.clone();
        Act::First(
            async move {
                tells.notify_one();
                std::future::pending::<()>().await;
            }
            .boxed(),
        )
    });
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    bench.retry(&bench.letters(key).await[0]).await;
    in_time("the second try", begun.notified()).await;
    assert!(consumer.done_to() < bench.ledger().head(), "what was ordered is not done yet");
    consumer.kill().await;

    bench.start(&bench.handler(|_, _, _| Act::Do)).settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2]);
    assert_eq!(bench.letters(key).await, []);
}

async fn sagas_go_on_where_they_were(shape: Shape) {
    // Each context in turn is away, and the process ends meanwhile.
    for away in ["customers", "depot", "payments", "ordering", "sagas"] {
        let mall = Mall::closed(shape).await.with_crew(&[away]);
        let shopper = mall.settled_shopper().await;
        let mall = mall.reopened().await.with_crew(&[]);
        mall.settle().await;
        let state = mall.saga_state(shopper.saga()).await;
        assert_eq!(state, Some(mallbots_domain::saga::SagaState::Completed), "{away}");
        assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderApproved"], "{away}");
        mall.assert_quiet().await;
    }
}
