//! Following the ledger.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{future::join_all, poll};
use mallbots_eventstore::{
    ledger::{Ledger, LedgerOptions},
    message::{Position, Recorded},
};
use mallbots_testing::ledgers::TestLedger;

use crate::tally::{Tally, command, count, everything, metadata, new_id, open, write};

/// Follows until a position, and checks that nothing is skipped or repeated.
async fn follow(ledger: &Ledger, after: i64, until: i64, limit: usize) -> Vec<Arc<Recorded>> {
    let mut tail = ledger.tail(Position(after));
    let mut found: Vec<Arc<Recorded>> = Vec::new();
    while tail.after().0 < until {
        let messages = tail.next(limit).await.unwrap();
        assert!((1..=limit).contains(&messages.len()));
        for message in messages {
            let last = found.last().map_or(after, |last: &Arc<Recorded>| last.position.0);
            assert_eq!(message.position.0, last + 1);
            found.push(message);
        }
    }
    found
}

pub(super) async fn a_tail_returns_everything_in_order(test: TestLedger) {
    for _ in 0..5 {
        test.ledger.append(write(new_id(), 0, &["a", "b", "c"])).await.unwrap();
    }
    let stored = everything(&test.ledger).await;
    for (found, stored) in follow(&test.ledger, 0, 15, 4).await.iter().zip(&stored) {
        assert_eq!((found.message_id, &found.payload), (stored.message_id, &stored.payload));
    }
    assert_eq!(follow(&test.ledger, 7, 15, 100).await.len(), 8);
}

pub(super) async fn a_tail_waits_for_what_comes(test: TestLedger) {
    let mut tail = test.ledger.tail(Position(0));
    let mut next = pin!(tail.next(10));
    assert!(poll!(&mut next).is_pending());
    test.ledger.append(write(new_id(), 0, &["a"])).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(20), next).await.unwrap().unwrap();
    assert_eq!(found.len(), 1);
}

pub(super) async fn a_tail_that_is_dropped_while_waiting_has_lost_nothing(test: TestLedger) {
    let mut tail = test.ledger.tail(Position(0));
    for number in 1..=20 {
        assert!(poll!(pin!(tail.next(10))).is_pending());
        test.ledger.append(write(new_id(), 0, &["a"])).await.unwrap();
        assert_eq!(tail.next(10).await.unwrap()[0].position, Position(number));
    }
}

pub(super) async fn a_tail_returns_no_more_than_was_asked(test: TestLedger) {
    test.ledger.append(write(new_id(), 0, &["a"; 30])).await.unwrap();
    assert_eq!(test.ledger.tail(Position(0)).next(7).await.unwrap().len(), 7);
    assert_eq!(test.ledger.tail(Position(25)).next(7).await.unwrap().len(), 5);
    assert_eq!(test.ledger.tail(Position(0)).next(0).await.unwrap().len(), 1);
}

pub(super) async fn ten_tails_each_see_everything(test: TestLedger) {
    // Some that begin before there is anything in memory.
    for _ in 0..5 {
        test.ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    }
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    let tails: Vec<_> = (0..10)
        .map(|number| {
            let ledger = test.ledger.clone();
            test.tasks.tracker.spawn(async move {
                follow(&ledger, number, 110, 3 + usize::try_from(number).unwrap()).await.len()
            })
        })
        .collect();
    for _ in 0..50 {
        test.ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    }
    for (number, tail) in tails.into_iter().enumerate() {
        assert_eq!(tail.await.unwrap(), 110 - number);
    }
}

pub(super) async fn a_tail_never_skips_while_32_tasks_append(test: TestLedger) {
    let appenders = (0..32).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks.tracker.spawn(async move {
            let id = new_id();
            ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
            for _ in 0..10 {
                ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
            }
        })
    });
    let appenders: Vec<_> = appenders.collect();
    let found = follow(&test.ledger, 0, 32 * 11, 50).await;
    for done in join_all(appenders).await {
        done.unwrap();
    }
    let stored = everything(&test.ledger).await;
    assert_eq!(found.len(), stored.len());
    assert!(found.iter().zip(stored).all(|(found, stored)| found.message_id == stored.message_id));
}

pub(super) async fn a_tail_behind_the_memory_reads_from_the_database(test: TestLedger) {
    let options = LedgerOptions { tail_capacity: 8, ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    for _ in 0..20 {
        let mut append = write(new_id(), 0, &["a", "b"]);
        append.messages.push(command(new_id()));
        test.ledger.append(append).await.unwrap();
    }
    assert_eq!(follow(&test.ledger, 0, 60, 7).await.len(), 60);
    assert_eq!(follow(&test.ledger, 55, 60, 7).await.len(), 5);
}

pub(super) async fn some_partitions_can_be_read_by_themselves(test: TestLedger) {
    for _ in 0..60 {
        test.ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    }
    let all = everything(&test.ledger).await;
    for (partitions, after, to) in [(0..=15, 0, 200), (16..=31, 7, 90), (0..=63, 0, 200)] {
        let (after, to) = (Position(after), Position(to));
        let expected = all.iter().filter(|it| {
            partitions.contains(&it.partition()) && it.position > after && it.position <= to
        });
        let expected: Vec<_> = expected.map(|it| it.position).collect();
        let mut found = Vec::new();
        loop {
            let after = found.last().copied().unwrap_or(after);
            let page = test.ledger.read_partitions(partitions.clone(), after, to, 7).await.unwrap();
            found.extend(page.iter().map(|it| it.position));
            if page.len() < 7 {
                break;
            }
        }
        assert_eq!(found, expected);
    }
}

pub(super) async fn the_head_is_there_after_opening(test: TestLedger) {
    test.ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    assert_eq!(test.ledger.head(), Position(2));
    let mut head = test.ledger.subscribe();
    test.ledger.append(write(new_id(), 0, &["c"])).await.unwrap();
    head.wait_for(|head| *head == Position(3)).await.unwrap();
}
