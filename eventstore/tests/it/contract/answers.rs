//! Requests that carry a key are done once.

use futures_util::{FutureExt, future::join_all};
use mallbots_domain::id::BasketId;
use mallbots_eventstore::{
    answers::IdempotencyKey,
    append::{Append, IdempotencyEntry},
    error::{AppendError, CommandError},
    ledger::{Ledger, LedgerOptions},
    message::Position,
    unit::Committed,
};
use mallbots_testing::ledgers::{BEGINNING, TestLedger};

use crate::tally::{Tally, count, everything, metadata, new_id, notes, open, write};

fn key(caller: &str, fingerprint: &str) -> IdempotencyKey {
    IdempotencyKey {
        caller: caller.to_owned(),
        key: "key-1".to_owned(),
        fingerprint: fingerprint.to_owned(),
    }
}

/// Counts once, whatever the key says, and answers with the count.
async fn count_once(
    ledger: &Ledger,
    id: BasketId,
    key: &IdempotencyKey,
) -> Result<Committed<i64>, CommandError> {
    ledger
        .transact_once(&metadata(), Some(key), |unit| {
            async move {
                unit.decide::<Tally>(id, count()).await?;
                Ok(unit.load::<Tally>(id).await?.count)
            }
            .boxed()
        })
        .await
}

async fn opened(test: &TestLedger, limit: i64) -> BasketId {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(limit), &metadata()).await.unwrap();
    id
}

pub(super) async fn the_same_key_gets_the_same_answer(test: TestLedger) {
    let id = opened(&test, 10).await;
    let first = count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    assert_eq!(
        first,
        Committed { value: 1, first: Some(Position(2)), last: Some(Position(2)), replayed: false }
    );
    test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    let again = count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    assert_eq!(again, Committed { replayed: true, ..first });
    assert_eq!(notes(&test.ledger, id).await.len(), 3);
}

pub(super) async fn the_same_key_for_something_else_is_refused(test: TestLedger) {
    let id = opened(&test, 10).await;
    count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    let refused = count_once(&test.ledger, id, &key("anna", "something else")).await;
    assert!(matches!(refused, Err(CommandError::KeyReused)));
    assert_eq!(notes(&test.ledger, id).await.len(), 2);
}

pub(super) async fn keys_of_different_callers_do_not_meet(test: TestLedger) {
    let id = opened(&test, 10).await;
    count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    let other = count_once(&test.ledger, id, &key("bert", "count")).await.unwrap();
    assert_eq!((other.value, other.replayed), (2, false));
}

pub(super) async fn a_race_for_one_key_is_done_once(test: TestLedger) {
    // Of these eight, seven would be refused as full if they were not the same.
    let id = opened(&test, 1).await;
    let done = join_all((0..8).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks
            .tracker
            .spawn(async move { count_once(&ledger, id, &key("anna", "count")).await.unwrap() })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert!(done.iter().all(|done| done.value == 1 && done.last == Some(Position(2))));
    assert_eq!(done.iter().filter(|done| !done.replayed).count(), 1);
    assert_eq!(notes(&test.ledger, id).await.len(), 2);
}

pub(super) async fn an_answer_is_kept_even_if_nothing_was_written(test: TestLedger) {
    let id = opened(&test, 10).await;
    let look = async |fingerprint: &str| {
        test.ledger
            .transact_once(&metadata(), Some(&key("anna", fingerprint)), |unit| {
                async move { Ok(unit.load::<Tally>(id).await?.count) }.boxed()
            })
            .await
    };
    let first = look("look").await.unwrap();
    assert_eq!((first.value, first.first, first.replayed), (0, None, false));
    test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    let again = look("look").await.unwrap();
    assert_eq!((again.value, again.last, again.replayed), (0, Some(Position(1)), true));
    assert!(matches!(look("look elsewhere").await, Err(CommandError::KeyReused)));
}

pub(super) async fn an_answer_outlives_the_process(test: TestLedger) {
    let id = opened(&test, 10).await;
    let first = count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    let again = count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    assert_eq!(again, Committed { replayed: true, ..first });
    assert_eq!(everything(&test.ledger).await.len(), 2);
    let remembered = test.ledger.recall("anna", "key-1").await.unwrap().unwrap();
    assert_eq!((&*remembered.fingerprint, &*remembered.result), ("count", "1"));
    assert!(test.ledger.recall("bert", "key-1").await.unwrap().is_none());
}

pub(super) async fn a_refusal_is_not_an_answer(test: TestLedger) {
    let id = new_id();
    let refused = count_once(&test.ledger, id, &key("anna", "count")).await;
    assert!(matches!(refused, Err(CommandError::Refused(_))));
    test.ledger.execute::<Tally>(id, open(10), &metadata()).await.unwrap();
    assert!(!count_once(&test.ledger, id, &key("anna", "count")).await.unwrap().replayed);
}

pub(super) async fn old_answers_can_be_forgotten(test: TestLedger) {
    let id = opened(&test, 10).await;
    count_once(&test.ledger, id, &key("anna", "count")).await.unwrap();
    assert_eq!(test.ledger.forget_answers(BEGINNING).await.unwrap(), 0);
    assert_eq!(test.ledger.forget_answers(BEGINNING + 1).await.unwrap(), 1);
    assert!(!count_once(&test.ledger, id, &key("anna", "count")).await.unwrap().replayed);

    // By hand, for who appends without a unit.
    let answered = || Append {
        idempotency: Some(IdempotencyEntry {
            caller: "bert".to_owned(),
            key: "key-2".to_owned(),
            fingerprint: "f".to_owned(),
            result: "null".to_owned(),
        }),
        ..write(new_id(), 0, &["a"])
    };
    test.ledger.append(answered()).await.unwrap();
    assert!(matches!(test.ledger.append(answered()).await, Err(AppendError::Answered)));
}
