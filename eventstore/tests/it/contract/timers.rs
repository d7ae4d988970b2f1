//! What is to be said later.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    append::{Append, NewMessage, Take, Timer, TimerChange},
    error::AppendError,
    ledger::LedgerOptions,
    message::Metadata,
};
use mallbots_testing::ledgers::TestLedger;

use crate::tally::{command, everything, metadata, new_id, write};

fn set(owner: BasketId, due_at: i64) -> Append {
    with(set_change(owner, due_at, &command(owner)))
}

fn set_change(owner: BasketId, due_at: i64, message: &NewMessage) -> TimerChange {
    TimerChange::Set(Timer { owner: owner.any(), name: "alarm", due_at, message: message.clone() })
}

fn with(change: TimerChange) -> Append {
    Append { timers: vec![change], ..Append::new(metadata()) }
}

async fn due(test: &TestLedger, now: i64) -> Vec<i64> {
    let due = test.ledger.due_timers(now, 100).await.unwrap();
    due.iter().map(|timer| timer.due_at).collect()
}

pub(super) async fn timers_are_due_in_order(test: TestLedger) {
    assert_eq!(test.ledger.next_timer().await.unwrap(), None);
    for due_at in [30, 10, 20] {
        test.ledger.append(set(new_id(), due_at)).await.unwrap();
    }
    assert_eq!(test.ledger.next_timer().await.unwrap(), Some(10));
    assert_eq!(due(&test, 9).await, [0; 0]);
    assert_eq!(due(&test, 20).await, [10, 20]);
    assert_eq!(test.ledger.due_timers(99, 2).await.unwrap().len(), 2);
}

pub(super) async fn setting_a_timer_again_moves_it(test: TestLedger) {
    let (owner, message) = (new_id(), command(new_id()));
    test.ledger.append(set(owner, 10)).await.unwrap();
    test.ledger.append(with(set_change(owner, 20, &message))).await.unwrap();
    let timers = test.ledger.due_timers(99, 100).await.unwrap();
    assert_eq!(timers.len(), 1);
    assert_eq!((timers[0].due_at, timers[0].message.message_id), (20, message.message_id));
}

pub(super) async fn a_cleared_timer_is_never_due(test: TestLedger) {
    let owner = new_id();
    test.ledger.append(set(owner, 10)).await.unwrap();
    let clear = || with(TimerChange::Clear { owner: owner.any(), name: "alarm" });
    test.ledger.append(clear()).await.unwrap();
    assert_eq!(due(&test, 99).await, [0; 0]);
    test.ledger.append(clear()).await.unwrap();
    // Set and cleared at once is not set.
    let both = Append { timers: [set(owner, 5).timers, clear().timers].concat(), ..clear() };
    test.ledger.append(both).await.unwrap();
    assert_eq!(due(&test, 99).await, [0; 0]);
}

pub(super) async fn a_timer_fires_once(test: TestLedger) {
    test.ledger.append(set(new_id(), 10)).await.unwrap();
    let timer = test.ledger.due_timers(10, 1).await.unwrap().remove(0);
    let done = join_all((0..8).map(|_| {
        let (ledger, timer) = (test.ledger.clone(), timer.clone());
        test.tasks.tracker.spawn(async move {
            let append = Append {
                takes: vec![timer.take()],
                // The same each time, as it is kept with the timer.
                messages: vec![timer.message.clone()],
                ..Append::new(timer.metadata.caused_by("timer", timer.message.message_id))
            };
            ledger.append(append).await
        })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    assert_eq!(done.iter().filter(|done| matches!(done, Err(AppendError::Gone))).count(), 7);
    assert_eq!(everything(&test.ledger).await.len(), 1);
    assert_eq!(due(&test, 99).await, [0; 0]);
}

pub(super) async fn a_timer_that_was_moved_does_not_fire_as_it_was(test: TestLedger) {
    let owner = new_id();
    test.ledger.append(set(owner, 10)).await.unwrap();
    let timer = test.ledger.due_timers(10, 1).await.unwrap().remove(0);
    test.ledger.append(set(owner, 20)).await.unwrap();
    let fire = |take: Take| Append { takes: vec![take], ..write(new_id(), 0, &["fired"]) };
    let refused = test.ledger.append(fire(timer.take())).await;
    assert!(matches!(refused, Err(AppendError::Gone)));
    assert_eq!(due(&test, 99).await, [20]);
    let timer = test.ledger.due_timers(20, 1).await.unwrap().remove(0);
    test.ledger.append(fire(timer.take())).await.unwrap();
    assert_eq!(due(&test, 99).await, [0; 0]);
}

pub(super) async fn a_timer_can_be_fired_and_set_anew_at_once(test: TestLedger) {
    let owner = new_id();
    test.ledger.append(set(owner, 10)).await.unwrap();
    let timer = test.ledger.due_timers(10, 1).await.unwrap().remove(0);
    let again = Append { takes: vec![timer.take()], ..set(owner, 20) };
    test.ledger.append(again.clone()).await.unwrap();
    assert_eq!(due(&test, 99).await, [20]);
    assert!(matches!(test.ledger.append(again).await, Err(AppendError::Gone)));
    assert_eq!(due(&test, 99).await, [20]);
}

pub(super) async fn setting_a_timer_is_told(test: TestLedger) {
    let alarms = test.ledger.alarms();
    test.ledger.append(set(new_id(), 10)).await.unwrap();
    // Told before anybody waited, and not lost.
    tokio::time::timeout(Duration::from_secs(10), alarms.before(5)).await.unwrap();

    // One that is looked for in time anyway wakes nobody.
    test.ledger.append(set(new_id(), 10)).await.unwrap();
    assert!(alarms.before(5).now_or_never().is_none());
    test.ledger.append(set(new_id(), 4)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), alarms.before(5)).await.unwrap();
}

pub(super) async fn a_timer_knows_who_set_it(test: TestLedger) {
    let (owner, message) = (new_id(), command(new_id()));
    let metadata = Metadata { traceparent: Some("trace".to_owned()), ..metadata() };
    let append =
        Append { timers: vec![set_change(owner, 10, &message)], ..Append::new(metadata.clone()) };
    test.ledger.append(append).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    let timer = test.ledger.due_timers(10, 1).await.unwrap().remove(0);
    assert_eq!((timer.owner, &*timer.name), (owner.any(), "alarm"));
    assert_eq!(timer.metadata, metadata);
    assert_eq!((timer.message.kind, timer.message.stream), (message.kind, message.stream));
    assert_eq!((timer.message.name, timer.message.payload), (message.name, message.payload));
}
