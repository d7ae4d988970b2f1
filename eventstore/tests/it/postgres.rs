//! What is particular to a ledger that processes share.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    answers::IdempotencyKey,
    append::{Append, Claim, InboxEntry, Timer, TimerChange},
    connect::Backend,
    error::{AppendError, CommandError},
    ledger::{Ledger, LedgerOptions},
    message::Position,
};
use mallbots_testing::ledgers::{Tasks, TestLedger};
use sea_orm::sqlx::{
    self, Connection,
    postgres::{PgConnection, PgListener},
};
use uuid::Uuid;

use crate::tally::{
    Tally, command, count, everything, meddle, metadata, new_id, notes, open, write,
};

/// How much is appended while others read.
const ALL: i64 = 32 * 12;

/// Two processes on one database.
async fn two() -> (TestLedger, Ledger, Tasks) {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let (other, tasks) = test.another(LedgerOptions::default()).await.unwrap();
    (test, other, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_skips_what_two_processes_append() {
    let (test, other, tasks) = two().await;
    // Readers on both sides, and one that remembers nothing.
    let mut readers = Vec::new();
    for ledger in [test.ledger.clone(), other.clone()] {
        readers.push(test.tasks.tracker.spawn(async move {
            let mut tail = ledger.tail(Position(0));
            let mut last = 0;
            while last < ALL {
                for message in tail.next(20).await.unwrap() {
                    assert_eq!(message.position.0, last + 1);
                    last += 1;
                }
            }
        }));
    }
    let ledger = test.ledger.clone();
    readers.push(test.tasks.tracker.spawn(async move {
        let mut last = 0;
        while last < ALL {
            // It would say so if there were a gap.
            let page = ledger.read(Position(last), 20).await.unwrap();
            last = page.last().map_or(last, |message| message.position.0);
            tokio::task::yield_now().await;
        }
    }));
    let appenders = (0..32).map(|number| {
        let ledger = if number % 2 == 0 { test.ledger.clone() } else { other.clone() };
        test.tasks.tracker.spawn(async move {
            let id = new_id();
            for version in 0..4 {
                ledger.append(write(id, version * 3, &["a", "b", "c"])).await.unwrap();
            }
        })
    });
    for done in join_all(appenders).await {
        done.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(everything(&other).await.len(), usize::try_from(ALL).unwrap());
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_is_heard_of_at_once() {
    let (test, other, tasks) = two().await;
    let mut tail = other.tail(Position(0));
    for number in 1..=5 {
        test.ledger.append(write(new_id(), 0, &["a"])).await.unwrap();
        let found = tokio::time::timeout(Duration::from_secs(20), tail.next(10)).await;
        assert_eq!(found.unwrap().unwrap()[0].position, Position(number));
    }
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_in_memory_never_hides_what_another_process_did() {
    let (test, other, tasks) = two().await;
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
    for number in 1..=20 {
        let (writer, reader) =
            if number % 2 == 0 { (&test.ledger, &other) } else { (&other, &test.ledger) };
        assert_eq!(reader.load::<Tally>(id).await.unwrap().state.count, number - 1);
        writer.execute::<Tally>(id, count(), &metadata()).await.unwrap();
        assert_eq!(reader.load::<Tally>(id).await.unwrap().state.count, number);
    }
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_of_two_processes_fills_a_tally_exactly() {
    let (test, other, tasks) = two().await;
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(20), &metadata()).await.unwrap();
    let done = join_all((0..32).map(|number| {
        let ledger = if number % 2 == 0 { test.ledger.clone() } else { other.clone() };
        test.tasks.tracker.spawn(async move {
            loop {
                match ledger.execute::<Tally>(id, count(), &metadata()).await {
                    Ok(_) => return true,
                    Err(CommandError::Refused(_)) => return false,
                    Err(CommandError::Contended) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 20);
    assert_eq!(notes(&test.ledger, id).await.len(), 21);
    everything(&test.ledger).await;
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_happen_once_happens_once_over_two_processes() {
    let (test, other, tasks) = two().await;
    let owner = new_id();
    let timer = Timer { owner: owner.any(), name: "alarm", due_at: 10, message: command(owner) };
    let set = Append { timers: vec![TimerChange::Set(timer)], ..Append::new(metadata()) };
    test.ledger.append(set).await.unwrap();
    let timer = test.ledger.due_timers(10, 1).await.unwrap().remove(0);
    let message_id = Uuid::now_v7();

    let race = async |append: &(dyn Fn() -> Append + Sync)| {
        let done = join_all((0..24).map(|number| {
            let ledger = if number % 2 == 0 { test.ledger.clone() } else { other.clone() };
            let append = append();
            test.tasks.tracker.spawn(async move { ledger.append(append).await })
        }));
        let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
        done.into_iter().find_map(Result::err).unwrap()
    };
    let lost = race(&|| Append { takes: vec![timer.take()], ..write(new_id(), 0, &["a"]) }).await;
    assert!(matches!(lost, AppendError::Gone));
    let inbox = InboxEntry { consumer: "one", message_id, position: Position(1) };
    let lost = race(&|| Append { inbox: Some(inbox.clone()), ..write(new_id(), 0, &["a"]) }).await;
    assert!(matches!(lost, AppendError::Handled));
    let lost = race(&|| {
        let claim = Claim { scope: "sku", key: "apple".to_owned(), owner: new_id().any() };
        Append { claims: vec![claim], ..write(new_id(), 0, &["a"]) }
    })
    .await;
    assert!(matches!(lost, AppendError::Claimed { .. }));
    let id = new_id();
    let lost = race(&|| write(id, 0, &["a"])).await;
    assert!(matches!(lost, AppendError::Conflict { .. }));
    assert_eq!(everything(&test.ledger).await.len(), 4);
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_handed_over_once_over_two_processes() {
    let (test, other, tasks) = two().await;
    let claim = |owner: BasketId| Claim { scope: "sku", key: "k".to_owned(), owner: owner.any() };
    let first = new_id();
    let take = Append { claims: vec![claim(first)], ..Append::new(metadata()) };
    test.ledger.append(take).await.unwrap();
    let done = join_all((0..16).map(|number| {
        let ledger = if number % 2 == 0 { test.ledger.clone() } else { other.clone() };
        let hand_over = Append {
            releases: vec![claim(first)],
            claims: vec![claim(new_id())],
            ..write(new_id(), 0, &["a"])
        };
        test.tasks.tracker.spawn(async move { ledger.append(hand_over).await })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    assert!(
        done.iter()
            .filter_map(|done| done.as_ref().err())
            .all(|lost| matches!(lost, AppendError::Claimed { .. }))
    );
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_of_two_processes_for_one_key_is_done_once() {
    let (test, other, tasks) = two().await;
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(1), &metadata()).await.unwrap();
    let done = join_all((0..16).map(|number| {
        let ledger = if number % 2 == 0 { test.ledger.clone() } else { other.clone() };
        test.tasks.tracker.spawn(async move {
            let key = IdempotencyKey {
                caller: "anna".to_owned(),
                key: "key".to_owned(),
                fingerprint: "count".to_owned(),
            };
            let metadata = metadata();
            let work = ledger.transact_once(&metadata, Some(&key), |unit| {
                async move {
                    unit.decide::<Tally>(id, count()).await?;
                    Ok(unit.load::<Tally>(id).await?.count)
                }
                .boxed()
            });
            work.await.unwrap()
        })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert!(done.iter().all(|done| done.value == 1 && done.last == Some(Position(2))));
    assert_eq!(done.iter().filter(|done| !done.replayed).count(), 1);
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_made_again() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
    let mut written = 0;
    for round in 1..=5 {
        let (fresh, tasks) = test.another(LedgerOptions::default()).await.unwrap();
        meddle(
            fresh.database(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        tasks.end().await;
        // One whose fate is not known may be reported; the next goes through.
        for _ in 0..2 {
            match test.ledger.execute::<Tally>(id, count(), &metadata()).await {
                Ok(_) => break,
                Err(CommandError::Store(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let count = test.ledger.load::<Tally>(id).await.unwrap().state.count;
        assert!(count > written, "round {round}");
        written = count;
    }
    // It is listened again too: what another process does is still heard of.
    let (other, tasks) = test.another(LedgerOptions::default()).await.unwrap();
    let mut head = test.ledger.subscribe();
    let appended = other.append(write(new_id(), 0, &["a"])).await.unwrap();
    let word = head.wait_for(|head| *head >= appended.last);
    tokio::time::timeout(Duration::from_secs(20), word).await.unwrap().unwrap();
    everything(&test.ledger).await;
    tasks.end().await;
}

/// Appends until what is heard of that is as it should be: until positions are
/// told, or until they are not.
async fn append_until_told(
    ledger: &Ledger,
    listener: &mut PgListener,
    speaker: &mut PgConnection,
    should_be_told: bool,
) {
    const MARK: &str = "everything before this was said";

    let attempts = async {
        loop {
            ledger.append(write(new_id(), 0, &["something"])).await.unwrap();
            let mark = sqlx::query("SELECT pg_notify('mallbots_ledger', $1)").bind(MARK);
            mark.execute(&mut *speaker).await.unwrap();
            let mut is_told = false;
            loop {
                let heard = listener.recv().await.unwrap();
                if heard.payload() == MARK {
                    break;
                }
                is_told |= heard.payload().parse::<i64>().is_ok();
            }
            if is_told == should_be_told {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), attempts).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_notified_who_does_not_listen() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let address = test.place.address();
    let mut listener = PgListener::connect(&address).await.unwrap();
    listener.listen("mallbots_ledger").await.unwrap();
    let mut speaker = PgConnection::connect(&address).await.unwrap();

    append_until_told(&test.ledger, &mut listener, &mut speaker, false).await;
    let (_other, tasks) = test.another(LedgerOptions::default()).await.unwrap();
    append_until_told(&test.ledger, &mut listener, &mut speaker, true).await;
    tasks.end().await;
    append_until_told(&test.ledger, &mut listener, &mut speaker, false).await;
    test.close().await.unwrap();
}
