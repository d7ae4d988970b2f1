//! What cannot be handled is parked with all that comes after it under its
//! key, and comes back in order when somebody has mended what was wrong.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::FutureExt;
use mallbots_domain::id::BasketId;
use tokio::sync::Notify;

use crate::{
    mall::{Shape, in_each_shape, in_time},
    scripted::{Act, Bench, key},
};

in_each_shape!(
    d18_a_message_that_keeps_failing_is_parked_with_what_follows,
    d19_what_cannot_be_decoded_is_parked_at_once,
    a_refused_message_is_parked_at_once,
    a_panicking_handler_parks_its_message_and_lives,
    parked_messages_are_handled_in_order_when_they_are_tried_again,
    a_mended_message_is_handled_as_it_was_mended,
    a_discarded_message_lets_the_others_through,
    a_message_that_fails_again_stays_parked,
    what_is_discarded_while_it_fails_again_blocks_nobody,
    what_comes_while_parked_messages_are_tried_waits_its_turn,
    being_told_twice_to_try_again_tries_once,
    being_told_about_another_consumer_does_nothing,
    d23_a_failure_leaves_nothing_in_the_inbox,
);

const BEHIND: &str = "waits behind an earlier message";

/// Something an operator can mend.
#[derive(Clone, Default)]
struct Fault(Arc<AtomicBool>);

impl Fault {
    fn mend(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn act(&self, act: Act) -> Act {
        if self.0.load(Ordering::SeqCst) { Act::Do } else { act }
    }
}

/// The first of a key's messages is refused until the fault is mended.
fn first_refused(fault: &Fault, key: BasketId) -> impl Fn(BasketId, i64, u32) -> Act + use<> {
    let fault = fault.clone();
    move |of, n, _| if of == key && n == 1 { fault.act(Act::Refuse) } else { Act::Do }
}

fn behind() -> (i32, String) {
    (0, BEHIND.to_owned())
}

async fn d18_a_message_that_keeps_failing_is_parked_with_what_follows(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (bad, good) = (key(), key());
    let handler =
        bench.handler(move |of, n, _| if of == bad && n == 2 { Act::Fail } else { Act::Do });
    let consumer = bench.start(&handler);
    for n in 1..=4 {
        bench.ask(bad, n).await;
        bench.ask(good, n).await;
    }
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(bad).await, [1]);
    assert_eq!(bench.done(good).await, [1, 2, 3, 4]);
    assert_eq!(handler.tries(bad), [1, 2, 2, 2]);
    assert_eq!(bench.parked(bad).await, [(3, "2 failed".to_owned()), behind(), behind()]);
    assert_eq!(bench.parked(good).await, []);

    // What comes later waits as well.
    bench.ask(bad, 5).await;
    bench.ask(good, 5).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(handler.tries(bad).len(), 4);
    assert_eq!(bench.parked(bad).await.len(), 4);
    assert_eq!(bench.done(good).await, [1, 2, 3, 4, 5]);
    // Nothing is lost: what is not done is parked.
    let letters = bench.letters(bad).await;
    assert!(letters.is_sorted_by_key(|letter| letter.position));
    assert!(letters.iter().all(|letter| letter.first_failed_at == bench.ledger().now()));
}

async fn d19_what_cannot_be_decoded_is_parked_at_once(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (bad, good) = (key(), key());
    let consumer = bench.start(&bench.handler(|_, _, _| Act::Do));
    bench.ask_with(bad, "{\"m\":1}").await;
    bench.ask(good, 1).await;
    consumer.settle(bench.ledger()).await;
    let parked = bench.parked(bad).await;
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].0, 1);
    assert!(parked[0].1.starts_with("the payload cannot be decoded: missing field `n`"));
    assert_eq!(bench.done(good).await, [1]);
}

async fn a_refused_message_is_parked_at_once(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(first_refused(&Fault::default(), key));
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(handler.tries(key), [1]);
    assert_eq!(bench.parked(key).await, [(1, "1 is refused".to_owned()), behind()]);
}

async fn a_panicking_handler_parks_its_message_and_lives(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (late, early, good) = (key(), key(), key());
    let consumer = bench.start(&bench.handler(move |of, _, _| {
        assert!(of != early, "this is too early");
        if of == late { Act::Panic } else { Act::Do }
    }));
    for key in [late, early, good] {
        bench.ask_all(key, 1..=2).await;
    }
    consumer.settle(bench.ledger()).await;
    let reason = "the handler panicked: 1 is too much".to_owned();
    assert_eq!(bench.parked(late).await, [(1, reason), behind()]);
    let reason = "the handler panicked: this is too early".to_owned();
    assert_eq!(bench.parked(early).await, [(1, reason), behind()]);
    assert_eq!(bench.done(good).await, [1, 2]);
}

async fn parked_messages_are_handled_in_order_when_they_are_tried_again(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, fault) = (key(), Fault::default());
    let consumer = bench.start(&bench.handler(first_refused(&fault, key)));
    bench.ask_all(key, 1..=4).await;
    consumer.settle(bench.ledger()).await;
    fault.mend();
    // Whichever of them the operator looks at.
    bench.retry(&bench.letters(key).await[2]).await;
    bench.ask_all(key, 5..=6).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.parked(key).await, []);
}

async fn a_mended_message_is_handled_as_it_was_mended(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let consumer = bench.start(&bench.handler(|_, _, _| Act::Do));
    bench.ask_with(key, "{\"m\":1}").await;
    bench.ask(key, 2).await;
    consumer.settle(bench.ledger()).await;
    let letter = bench.letters(key).await.remove(0);
    bench.mend(&letter, "{\"n\":1}").await;
    bench.retry(&letter).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2]);
    assert_eq!(bench.parked(key).await, []);
    // History keeps what was said.
    let message = bench.ledger().message(letter.message_id).await.unwrap().unwrap();
    assert_eq!(&*message.payload, "{\"m\":1}");
}

async fn a_discarded_message_lets_the_others_through(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(first_refused(&Fault::default(), key));
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    bench.discard(&bench.letters(key).await[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2, 3]);
    assert_eq!(handler.tries(key), [1, 2, 3]);
    assert_eq!(bench.parked(key).await, []);
    bench.ask(key, 4).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2, 3, 4]);
}

async fn a_message_that_fails_again_stays_parked(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, fault) = (key(), Fault::default());
    let handler = {
        let fault = fault.clone();
        bench.handler(move |_, n, _| match n {
            1 => fault.act(Act::Refuse),
            2 => Act::Fail,
            _ => Act::Do,
        })
    };
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    let before = bench.letters(key).await;
    bench.retry(&before[0]).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.letters(key).await, before, "nothing was mended");

    fault.mend();
    bench.retry(&before[0]).await;
    bench.ask(key, 4).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1]);
    assert_eq!(bench.parked(key).await, [(3, "2 failed".to_owned()), behind(), behind()]);
    assert_eq!(bench.letters(key).await[0].id, before[1].id);
}

async fn what_is_discarded_while_it_fails_again_blocks_nobody(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let (begun, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, open) = (begun.clone(), open.clone());
        let first = AtomicBool::new(true);
        bench.handler(move |_, n, _| {
            let (begun, open) = (begun.clone(), open.clone());
            if n != 1 || first.swap(false, Ordering::SeqCst) {
                return if n == 1 { Act::Refuse } else { Act::Do };
            }
            Act::First(
                async move {
                    begun.notify_one();
                    open.notified().await;
                    panic!("again");
                }
                .boxed(),
            )
        })
    };
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    let letter = bench.letters(key).await.remove(0);
    bench.retry(&letter).await;
    in_time("the second try", begun.notified()).await;
    // As another process would.
    bench.ledger().discard_dead_letter(letter.id).await.unwrap();
    open.notify_one();
    bench.ask(key, 3).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [2, 3]);
    assert_eq!(bench.parked(key).await, []);
}

async fn what_comes_while_parked_messages_are_tried_waits_its_turn(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, fault) = (key(), Fault::default());
    let (begun, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (fault, begun, open) = (fault.clone(), begun.clone(), open.clone());
        bench.handler(move |_, n, _| match fault.act(Act::Refuse) {
            Act::Do if n == 1 => {
                let (begun, open) = (begun.clone(), open.clone());
                Act::First(
                    async move {
                        begun.notify_one();
                        open.notified().await;
                    }
                    .boxed(),
                )
            }
            act if n == 1 => act,
            _ => Act::Do,
        })
    };
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    fault.mend();
    bench.retry(&bench.letters(key).await[0]).await;
    in_time("the first to be tried", begun.notified()).await;
    bench.ask_all(key, 4..=6).await;
    // Asked again, in vain: they are being tried.
    bench.retry(&bench.letters(key).await[0]).await;
    open.notify_one();
    consumer.settle(bench.ledger()).await;
    assert_eq!(bench.done(key).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(handler.tries(key), [1, 1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.parked(key).await, []);
}

async fn being_told_twice_to_try_again_tries_once(shape: Shape) {
    let bench = Bench::new(shape).await;
    let (key, fault) = (key(), Fault::default());
    let handler = bench.handler(first_refused(&fault, key));
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=3).await;
    consumer.settle(bench.ledger()).await;
    fault.mend();
    let letters = bench.letters(key).await;
    for letter in &letters {
        bench.retry(letter).await;
    }
    bench.discard(&letters[2]).await;
    consumer.settle(bench.ledger()).await;
    let done = bench.done(key).await;
    // The last may have been thrown away first.
    assert!(done == [1, 2, 3] || done == [1, 2], "{done:?}");
    assert_eq!(bench.parked(key).await, []);
}

async fn being_told_about_another_consumer_does_nothing(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(first_refused(&Fault::default(), key));
    let consumer = bench.start(&handler);
    bench.ask(key, 1).await;
    consumer.settle(bench.ledger()).await;
    let mut letter = bench.letters(key).await.remove(0);
    letter.consumer = "another".to_owned();
    bench.retry(&letter).await;
    bench.discard(&letter).await;
    letter.consumer = crate::scripted::NAME.to_owned();
    letter.key = "no key of ours".to_owned();
    bench.retry(&letter).await;
    consumer.settle(bench.ledger()).await;
    assert_eq!(handler.tries(key), [1]);
    assert_eq!(bench.parked(key).await.len(), 1);
}

async fn d23_a_failure_leaves_nothing_in_the_inbox(shape: Shape) {
    let bench = Bench::new(shape).await;
    let key = key();
    let handler = bench.handler(|_, n, attempt| match (n, attempt) {
        (1, 1) => Act::Fail,
        (1, 2) => Act::Misspell,
        (2, _) => Act::Nothing,
        _ => Act::Do,
    });
    let consumer = bench.start(&handler);
    bench.ask_all(key, 1..=2).await;
    consumer.settle(bench.ledger()).await;
    // The message that failed was not taken for one that was handled.
    assert_eq!(bench.done(key).await, [1]);
    assert_eq!(bench.inbox().await, 1);
}
