//! Decisions that were made on something that is not so any more.

use std::pin::pin;

use futures_util::{FutureExt, future::join_all, poll};
use mallbots_domain::id::EntityId;
use mallbots_eventstore::{
    append::{Append, StreamWrite},
    error::{AppendError, CommandError},
    ledger::LedgerOptions,
    message::{Position, Version},
};
use mallbots_testing::ledgers::TestLedger;

use crate::tally::{Gate, Tally, count, everything, metadata, new_id, notes, number, open, write};

pub(super) async fn an_append_behind_the_stream_writes_nothing(test: TestLedger) {
    let id = new_id();
    test.ledger.append(write(id, 0, &["a", "b"])).await.unwrap();
    let refused = test.ledger.append(write(id, 1, &["c"])).await;
    assert!(matches!(
        refused,
        Err(AppendError::Conflict { stream, expected: Version(1), actual: Version(2) })
            if stream == id.any()
    ));
    assert_eq!(notes(&test.ledger, id).await, ["a", "b"]);
}

pub(super) async fn an_append_ahead_of_the_stream_writes_nothing(test: TestLedger) {
    let id = new_id();
    test.ledger.append(write(id, 0, &["a"])).await.unwrap();
    let refused = test.ledger.append(write(id, 2, &["c"])).await;
    assert!(matches!(
        refused,
        Err(AppendError::Conflict { expected: Version(2), actual: Version(1), .. })
    ));
    let refused = test.ledger.append(write(new_id(), 1, &["a"])).await;
    assert!(matches!(refused, Err(AppendError::Conflict { actual: Version(0), .. })));
    assert_eq!(everything(&test.ledger).await.len(), 1);
}

pub(super) async fn one_stream_in_conflict_keeps_the_others_back(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    test.ledger.append(write(two, 0, &["a"])).await.unwrap();
    let append = write(one, 0, &["b"]);
    let append =
        Append { streams: [append.streams, write(two, 0, &["c"]).streams].concat(), ..append };
    let refused = test.ledger.append(append).await;
    assert!(matches!(refused, Err(AppendError::Conflict { stream, .. }) if stream == two.any()));
    assert_eq!(notes(&test.ledger, one).await, [""; 0]);
    test.ledger.append(write(one, 0, &["b"])).await.unwrap();
}

pub(super) async fn a_version_can_be_asserted_without_writing(test: TestLedger) {
    let (id, other) = (new_id(), new_id());
    test.ledger.append(write(id, 0, &["a"])).await.unwrap();
    let asserting = |version| {
        let append = write(other, 0, &["b"]);
        let assertion =
            StreamWrite { stream: id.any(), expected: Version(version), events: Vec::new() };
        Append { streams: [append.streams, vec![assertion]].concat(), ..append }
    };
    let refused = test.ledger.append(asserting(0)).await;
    assert!(matches!(refused, Err(AppendError::Conflict { .. })));
    test.ledger.append(asserting(1)).await.unwrap();
    assert_eq!(notes(&test.ledger, other).await, ["b"]);
}

pub(super) async fn in_a_batch_the_second_append_sees_the_first(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let ledger = &test.ledger;
    let id = new_id();

    gate.close();
    let mut before = pin!(ledger.append(write(new_id(), 0, &["before"])));
    assert!(poll!(&mut before).is_pending());
    gate.wait_for_appender();
    let mut first = pin!(ledger.append(write(id, 0, &["a"])));
    let mut same_version = pin!(ledger.append(write(id, 0, &["lost"])));
    let mut next_version = pin!(ledger.append(write(id, 1, &["b", "c"])));
    let mut too_far = pin!(ledger.append(write(id, 4, &["lost"])));
    let mut after_that = pin!(ledger.append(write(id, 3, &["d"])));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut same_version).is_pending());
    assert!(poll!(&mut next_version).is_pending());
    assert!(poll!(&mut too_far).is_pending());
    assert!(poll!(&mut after_that).is_pending());
    gate.open();

    before.await.unwrap();
    assert_eq!(first.await.unwrap().last, Position(2));
    assert!(matches!(
        same_version.await,
        Err(AppendError::Conflict { expected: Version(0), actual: Version(1), .. })
    ));
    assert_eq!(next_version.await.unwrap().last, Position(4));
    assert!(matches!(
        too_far.await,
        Err(AppendError::Conflict { expected: Version(4), actual: Version(3), .. })
    ));
    assert_eq!(after_that.await.unwrap().last, Position(5));
    assert_eq!(notes(ledger, id).await, ["a", "b", "c", "d"]);
    everything(ledger).await;
}

pub(super) async fn a_failing_neighbour_in_the_batch_fails_alone(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let ledger = &test.ledger;

    gate.close();
    let mut before = pin!(ledger.append(write(new_id(), 0, &["before"])));
    assert!(poll!(&mut before).is_pending());
    gate.wait_for_appender();
    let ids: Vec<_> = (0..9).map(|_| new_id()).collect();
    let mut waiting: Vec<_> = ids
        .iter()
        .enumerate()
        // Every third is ahead of its stream.
        .map(|(number, id)| {
            let expected = i64::from(number % 3 == 1);
            Box::pin(ledger.append(write(*id, expected, &["a", "b"])))
        })
        .collect();
    for asked in &mut waiting {
        assert!(poll!(asked).is_pending());
    }
    gate.open();

    before.await.unwrap();
    for (number, asked) in waiting.into_iter().enumerate() {
        assert_eq!(asked.await.is_err(), number % 3 == 1);
    }
    assert_eq!(everything(ledger).await.len(), 1 + 6 * 2);
    let head = number(ledger.database(), "SELECT position FROM ledger_head").await;
    assert_eq!(head, 13);
}

pub(super) async fn d42_eight_parallel_counts_all_succeed(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
    let done = join_all((0..8).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks.tracker.spawn(async move {
            ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap().version
        })
    }));
    let mut versions: Vec<_> = done.await.into_iter().map(|done| done.unwrap().0).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=9).collect::<Vec<_>>());
}

pub(super) async fn d46_of_eight_parallel_payments_one_succeeds(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(1), &metadata()).await.unwrap();
    let done = join_all((0..8).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks
            .tracker
            .spawn(async move { ledger.execute::<Tally>(id, count(), &metadata()).await })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    for refused in done.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, CommandError::Refused(why) if why.reason == "TALLY_FULL"));
    }
    assert_eq!(notes(&test.ledger, id).await.len(), 2);
}

pub(super) async fn a_race_of_32_tasks_fills_a_tally_exactly(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(20), &metadata()).await.unwrap();
    let done = join_all((0..32).map(|number| {
        let ledger = test.ledger.clone();
        test.tasks.tracker.spawn(async move {
            // Half of them as units, which take turns only when they have lost.
            if number % 2 == 0 {
                ledger.execute::<Tally>(id, count(), &metadata()).await.map(drop)
            } else {
                let metadata = metadata();
                let work = ledger.transact(&metadata, |unit| {
                    async move { unit.decide::<Tally>(id, count()).await }.boxed()
                });
                work.await.map(drop)
            }
        })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 20);
    for refused in done.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, CommandError::Refused(why) if why.reason == "TALLY_FULL"));
    }
    // Opened and counted: versions 1 to 21, checked on the way.
    assert_eq!(notes(&test.ledger, id).await.len(), 21);
}
