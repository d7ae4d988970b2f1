//! Names that only one may hold.

use std::pin::pin;

use futures_util::{FutureExt, future::join_all, poll};
use mallbots_domain::{
    aggregate::ErrorKind,
    id::{BasketId, EntityId},
};
use mallbots_eventstore::{
    append::{Append, Claim},
    error::{AppendError, CommandError},
    ledger::LedgerOptions,
};
use mallbots_testing::ledgers::TestLedger;

use crate::tally::{Gate, Tally, everything, metadata, new_id, notes, open, write};

fn claim(owner: BasketId) -> Claim {
    Claim { scope: "sku", key: "store/apple".to_owned(), owner: owner.any() }
}

fn taking(owner: BasketId) -> Append {
    Append { claims: vec![claim(owner)], ..write(new_id(), 0, &["a"]) }
}

fn giving_up(owner: BasketId) -> Append {
    Append { releases: vec![claim(owner)], ..write(new_id(), 0, &["a"]) }
}

fn is_claimed<T>(result: &Result<T, AppendError>) -> bool {
    matches!(result, Err(AppendError::Claimed { scope: "sku", key }) if key == "store/apple")
}

pub(super) async fn a_name_has_one_holder(test: TestLedger) {
    test.ledger.append(taking(new_id())).await.unwrap();
    assert!(is_claimed(&test.ledger.append(taking(new_id())).await));
    assert_eq!(everything(&test.ledger).await.len(), 1);
}

pub(super) async fn whoever_holds_a_name_may_take_it_again(test: TestLedger) {
    let owner = new_id();
    test.ledger.append(taking(owner)).await.unwrap();
    test.ledger.append(taking(owner)).await.unwrap();
}

pub(super) async fn a_name_given_up_is_free(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    test.ledger.append(taking(one)).await.unwrap();
    test.ledger.append(giving_up(one)).await.unwrap();
    test.ledger.append(taking(two)).await.unwrap();
    assert!(is_claimed(&test.ledger.append(taking(one)).await));
}

pub(super) async fn only_the_holder_gives_a_name_up(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    test.ledger.append(taking(one)).await.unwrap();
    test.ledger.append(giving_up(two)).await.unwrap();
    assert!(is_claimed(&test.ledger.append(taking(two)).await));
}

pub(super) async fn a_name_changes_hands_within_one_append(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    test.ledger.append(taking(one)).await.unwrap();
    let hand_over = Append { releases: vec![claim(one)], ..taking(two) };
    test.ledger.append(hand_over).await.unwrap();
    assert!(is_claimed(&test.ledger.append(taking(one)).await));
    test.ledger.append(taking(two)).await.unwrap();
}

pub(super) async fn in_a_batch_a_name_has_one_holder(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let ledger = &test.ledger;
    let (one, two, three) = (new_id(), new_id(), new_id());

    gate.close();
    let mut before = pin!(ledger.append(write(new_id(), 0, &["before"])));
    assert!(poll!(&mut before).is_pending());
    gate.wait_for_appender();
    let mut first = pin!(ledger.append(taking(one)));
    let mut second = pin!(ledger.append(taking(two)));
    let mut released = pin!(ledger.append(giving_up(one)));
    let mut third = pin!(ledger.append(taking(three)));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut released).is_pending());
    assert!(poll!(&mut third).is_pending());
    gate.open();

    before.await.unwrap();
    first.await.unwrap();
    assert!(is_claimed(&second.await));
    released.await.unwrap();
    third.await.unwrap();
    assert!(is_claimed(&ledger.append(taking(one)).await));
    // Taken and given up in one batch is as if nothing had been.
    ledger.append(giving_up(three)).await.unwrap();
    ledger.append(taking(one)).await.unwrap();
}

pub(super) async fn a_race_for_a_name_has_one_winner(test: TestLedger) {
    let done = join_all((0..16).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks.tracker.spawn(async move { ledger.append(taking(new_id())).await })
    }));
    let done: Vec<_> = done.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    assert_eq!(done.iter().filter(|done| is_claimed(done)).count(), 15);
}

pub(super) async fn a_taken_sku_is_told_in_words(test: TestLedger) {
    test.ledger.append(taking(new_id())).await.unwrap();
    let id = new_id();
    let refused = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.decide::<Tally>(id, open(1)).await?;
                unit.claim(claim(id));
                Ok(())
            }
            .boxed()
        })
        .await;
    let Err(CommandError::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.kind, ErrorKind::Conflict);
    assert_eq!((refusal.reason, refusal.field), ("SKU_TAKEN", Some("sku")));
    assert_eq!(notes(&test.ledger, id).await, [""; 0]);
}
