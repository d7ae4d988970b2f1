//! What consumers keep: what they handled, how far they came, what they set aside.

use std::{collections::HashSet, ops::RangeInclusive, pin::pin};

use futures_util::poll;
use mallbots_domain::id::{DeadLetterId, EntityId, PARTITIONS};
use mallbots_eventstore::{
    append::{Append, InboxEntry, Take},
    dead_letters::{DeadLetter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    error::AppendError,
    ledger::LedgerOptions,
    message::Position,
};
use mallbots_testing::ledgers::{BEGINNING, TestLedger};
use uuid::Uuid;

use crate::tally::{Gate, everything, metadata, new_id, number, write};

fn handled(consumer: &'static str, message_id: Uuid, position: i64) -> Append {
    Append {
        inbox: Some(InboxEntry { consumer, message_id, position: Position(position) }),
        ..write(new_id(), 0, &["done"])
    }
}

pub(super) async fn a_message_is_handled_once_by_each_consumer(test: TestLedger) {
    let message = Uuid::now_v7();
    test.ledger.append(handled("one", message, 1)).await.unwrap();
    let refused = test.ledger.append(handled("one", message, 1)).await;
    assert!(matches!(refused, Err(AppendError::Handled)));
    test.ledger.append(handled("two", message, 1)).await.unwrap();
    test.ledger.append(handled("one", Uuid::now_v7(), 2)).await.unwrap();
    assert_eq!(everything(&test.ledger).await.len(), 3);
}

pub(super) async fn in_a_batch_a_message_is_handled_once(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let message = Uuid::now_v7();

    gate.close();
    let mut before = pin!(test.ledger.append(write(new_id(), 0, &["before"])));
    assert!(poll!(&mut before).is_pending());
    gate.wait_for_appender();
    let mut first = pin!(test.ledger.append(handled("one", message, 1)));
    let mut second = pin!(test.ledger.append(handled("one", message, 1)));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    gate.open();

    before.await.unwrap();
    first.await.unwrap();
    assert!(matches!(second.await, Err(AppendError::Handled)));
}

pub(super) async fn checkpoints_move_forward_only(test: TestLedger) {
    let ledger = &test.ledger;
    assert!(ledger.checkpoints("one").await.unwrap().iter().all(|it| *it == Position(0)));
    ledger.save_checkpoints("one", &[(0, Position(10)), (63, Position(5))]).await.unwrap();
    ledger.save_checkpoints("one", &[(0, Position(7)), (63, Position(8))]).await.unwrap();
    ledger.save_checkpoints("two", &[(0, Position(3))]).await.unwrap();
    let checkpoints = ledger.checkpoints("one").await.unwrap();
    assert_eq!(
        (checkpoints[0], checkpoints[1], checkpoints[63]),
        (Position(10), Position(0), Position(8))
    );
    assert_eq!(ledger.checkpoints("two").await.unwrap()[0], Position(3));
}

pub(super) async fn the_inbox_is_pruned_behind_all_checkpoints(test: TestLedger) {
    let ledger = &test.ledger;
    for position in 1..=4 {
        ledger.append(handled("one", Uuid::now_v7(), position)).await.unwrap();
        ledger.append(handled("two", Uuid::now_v7(), position)).await.unwrap();
    }
    let left = async |consumer: &str| {
        let sql = format!("SELECT count(*) FROM inbox WHERE consumer = '{consumer}'");
        number(ledger.database(), &sql).await
    };
    let all_but_one: Vec<_> = (1..PARTITIONS).map(|it| (it, Position(9))).collect();
    ledger.save_checkpoints("one", &all_but_one).await.unwrap();
    assert_eq!(left("one").await, 4, "one partition has not begun");
    ledger.save_checkpoints("one", &[(0, Position(2))]).await.unwrap();
    assert_eq!(left("one").await, 2, "what lies behind the lowest checkpoint is forgotten");
    assert_eq!(left("two").await, 4, "another's inbox is its own");
}

pub(super) async fn a_range_has_its_own_checkpoints_and_inbox(test: TestLedger) {
    let ledger = &test.ledger;
    for _ in 0..40 {
        ledger.append(write(new_id(), 0, &["asked"])).await.unwrap();
    }
    let asked = everything(ledger).await;
    for message in &asked {
        ledger.append(handled("one", message.message_id, message.position.0)).await.unwrap();
    }
    let of = |range: &RangeInclusive<u8>, after: i64| {
        let of = asked.iter().filter(|it| range.contains(&it.partition()) && it.position.0 > after);
        of.map(|it| it.message_id).collect::<HashSet<_>>()
    };
    let (range, other) = (16..=31, 32..=47);
    assert_eq!(ledger.handled("one", &range).await.unwrap(), of(&range, 0));
    ledger.save_checkpoint("one", &range, Position(25)).await.unwrap();
    ledger.save_checkpoint("one", &range, Position(7)).await.unwrap();
    assert_eq!(ledger.handled("one", &range).await.unwrap(), of(&range, 25));
    assert_eq!(ledger.handled("one", &other).await.unwrap(), of(&other, 0));
    let checkpoints = ledger.checkpoints("one").await.unwrap();
    for (partition, position) in (0_u8..).zip(checkpoints) {
        let expected = if range.contains(&partition) { 25 } else { 0 };
        assert_eq!(position, Position(expected));
    }
    // Nothing is handled twice, in the inbox or passed.
    for message in &asked {
        let again = handled("one", message.message_id, message.position.0);
        assert!(matches!(ledger.append(again).await, Err(AppendError::Handled)));
    }
}

pub(super) async fn what_a_checkpoint_has_passed_is_handled(test: TestLedger) {
    let ledger = &test.ledger;
    for _ in 0..4 {
        ledger.append(write(new_id(), 0, &["asked"])).await.unwrap();
    }
    let asked = everything(ledger).await;
    let entry = |n: usize| InboxEntry {
        consumer: "one",
        message_id: asked[n].message_id,
        position: asked[n].position,
    };
    let handle = |n: usize| Append { inbox: Some(entry(n)), ..write(new_id(), 0, &["done"]) };
    let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, Position(2))).collect();
    ledger.save_checkpoints("one", &all).await.unwrap();
    for n in [0, 1] {
        // Whoever was held up may come again, and again.
        for _ in 0..2 {
            assert!(matches!(ledger.append(handle(n)).await, Err(AppendError::Handled)));
        }
    }
    ledger.append(handle(2)).await.unwrap();
    // What was set aside has been passed, and is not handled yet.
    let parked = letter("one", "key", 1);
    ledger.park(&parked).await.unwrap();
    let takes = vec![Take::DeadLetter { id: parked.id }];
    ledger.append(Append { takes: takes.clone(), ..handle(0) }).await.unwrap();
    assert!(matches!(
        ledger.append(Append { takes, ..handle(0) }).await,
        Err(AppendError::Gone | AppendError::Handled)
    ));
    assert_eq!(everything(ledger).await.len(), 6);
}

fn letter(consumer: &str, key: &str, position: i64) -> DeadLetter {
    DeadLetter {
        id: DeadLetterId::from_uuid(Uuid::now_v7()),
        consumer: consumer.to_owned(),
        key: key.to_owned(),
        position: Position(position),
        message_id: Uuid::now_v7(),
        reason: "it does not compute".to_owned(),
        attempts: 3,
        first_failed_at: BEGINNING,
        payload_override: None,
    }
}

const ALL: DeadLetterPage = DeadLetterPage { after: None, limit: 100 };

pub(super) async fn a_message_is_parked_once(test: TestLedger) {
    let parked = letter("one", "key", 5);
    test.ledger.park(&parked).await.unwrap();
    let again = DeadLetter {
        id: DeadLetterId::from_uuid(Uuid::now_v7()),
        message_id: parked.message_id,
        reason: "again".to_owned(),
        ..letter("one", "key", 5)
    };
    test.ledger.park(&again).await.unwrap();
    let found = test.ledger.dead_letters(&DeadLetterFilter::default(), ALL).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&parked));
    assert_eq!(test.ledger.dead_letter(parked.id).await.unwrap(), Some(parked));
    assert_eq!(test.ledger.dead_letter(again.id).await.unwrap(), None);
}

pub(super) async fn parked_messages_are_listed_in_order(test: TestLedger) {
    let ledger = &test.ledger;
    for (consumer, key, position) in
        [("one", "b", 7), ("two", "a", 2), ("one", "a", 3), ("one", "a", 1), ("two", "b", 7)]
    {
        ledger.park(&letter(consumer, key, position)).await.unwrap();
    }
    let list = async |consumer: Option<&str>, key: Option<&str>, page| {
        let filter =
            DeadLetterFilter { consumer: consumer.map(str::to_owned), key: key.map(str::to_owned) };
        ledger.dead_letters(&filter, page).await.unwrap()
    };
    let positions =
        |letters: &[DeadLetter]| letters.iter().map(|it| it.position.0).collect::<Vec<_>>();

    let all = list(None, None, ALL).await;
    assert_eq!(positions(&all), [1, 2, 3, 7, 7]);
    assert_eq!(positions(&list(Some("one"), None, ALL).await), [1, 3, 7]);
    assert_eq!(positions(&list(None, Some("a"), ALL).await), [1, 2, 3]);
    assert_eq!(positions(&list(Some("two"), Some("b"), ALL).await), [7]);

    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|last: &DeadLetter| (last.position, last.id));
        let page = list(None, None, DeadLetterPage { after, limit: 2 }).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);

    let mut paged = Vec::new();
    loop {
        let before = paged.last().map(|last: &DeadLetter| (last.position, last.id));
        let page = ledger.dead_letters_before(before, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    paged.reverse();
    assert_eq!(paged, all);

    let keys = ledger.parked_keys("one").await.unwrap();
    assert_eq!(keys, ["a", "b"].map(str::to_owned).into());
    let parked = ledger.parked_positions(&["b".to_owned(), "c".to_owned()]).await.unwrap();
    let expected = [("one", 7), ("two", 7)]
        .map(|(consumer, at)| (consumer.to_owned(), "b".to_owned(), Position(at)));
    assert_eq!(parked, expected);
}

pub(super) async fn a_parked_message_can_be_mended_and_dropped(test: TestLedger) {
    let parked = letter("one", "key", 5);
    test.ledger.park(&parked).await.unwrap();
    let change = DeadLetterChange {
        reason: Some("still not".to_owned()),
        attempts: Some(4),
        payload_override: None,
    };
    assert!(test.ledger.update_dead_letter(parked.id, &change).await.unwrap());
    let mended = DeadLetterChange {
        payload_override: Some(Some("{\"mended\":true}".to_owned())),
        ..DeadLetterChange::default()
    };
    assert!(test.ledger.update_dead_letter(parked.id, &mended).await.unwrap());
    let found = test.ledger.dead_letter(parked.id).await.unwrap().unwrap();
    assert_eq!((&*found.reason, found.attempts), ("still not", 4));
    assert_eq!(found.payload_override.as_deref(), Some("{\"mended\":true}"));
    let as_it_was =
        DeadLetterChange { payload_override: Some(None), ..DeadLetterChange::default() };
    assert!(test.ledger.update_dead_letter(parked.id, &as_it_was).await.unwrap());
    let found = test.ledger.dead_letter(parked.id).await.unwrap().unwrap();
    assert_eq!(found.payload_override, None);

    test.ledger.discard_dead_letter(parked.id).await.unwrap();
    test.ledger.discard_dead_letter(parked.id).await.unwrap();
    assert!(!test.ledger.update_dead_letter(parked.id, &change).await.unwrap());
}

pub(super) async fn settling_a_dead_letter_happens_once(test: TestLedger) {
    let parked = letter("one", "key", 5);
    test.ledger.park(&parked).await.unwrap();
    let settle = || Append {
        takes: vec![Take::DeadLetter { id: parked.id }],
        ..write(new_id(), 0, &["settled"])
    };
    test.ledger.append(settle()).await.unwrap();
    assert!(matches!(test.ledger.append(settle()).await, Err(AppendError::Gone)));
    assert_eq!(test.ledger.dead_letter(parked.id).await.unwrap(), None);
    assert_eq!(everything(&test.ledger).await.len(), 1);
    // A take alone is an append too.
    test.ledger.park(&parked).await.unwrap();
    let takes = vec![Take::DeadLetter { id: parked.id }];
    test.ledger.append(Append { takes, ..Append::new(metadata()) }).await.unwrap();
    assert_eq!(test.ledger.dead_letter(parked.id).await.unwrap(), None);
}

pub(super) async fn a_setting_is_set_once(test: TestLedger) {
    let ledger = &test.ledger;
    assert_eq!(ledger.setting("secret").await.unwrap(), None);
    assert_eq!(ledger.set_setting_if_absent("secret", "first").await.unwrap(), "first");
    assert_eq!(ledger.set_setting_if_absent("secret", "second").await.unwrap(), "first");
    assert_eq!(ledger.setting("secret").await.unwrap().as_deref(), Some("first"));
}
