//! Looking back.

use std::time::Duration;

use mallbots_domain::id::EntityId;
use mallbots_eventstore::{
    append::Append,
    error::StoreError,
    ledger::LedgerOptions,
    message::{MessageKind, Position, Version},
};
use mallbots_testing::ledgers::{BEGINNING, TestLedger};

use crate::tally::{Tally, command, count, everything, meddle, metadata, new_id, open, write};

pub(super) async fn a_stream_can_be_read_as_it_was(test: TestLedger) {
    let id = new_id();
    for expected in 0..5 {
        test.ledger.append(write(id, expected, &["a"])).await.unwrap();
        test.clock.advance(Duration::from_secs(1));
    }
    let as_of = async |seconds: i64| {
        let moment = BEGINNING + seconds * 1_000_000;
        test.ledger.read_stream_before(id.any(), moment).await.unwrap().len()
    };
    assert_eq!(as_of(-1).await, 0);
    assert_eq!(as_of(0).await, 1);
    assert_eq!(as_of(2).await, 3);
    assert_eq!(as_of(60).await, 5);
}

pub(super) async fn an_aggregate_can_be_replayed_as_it_was(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(9), &metadata()).await.unwrap();
    for _ in 0..3 {
        test.clock.advance(Duration::from_secs(1));
        test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    }
    let then = test.ledger.replay::<Tally>(id, Some(BEGINNING + 2_500_000)).await.unwrap();
    assert_eq!((then.state.count, then.version), (2, Version(3)));
    let before = test.ledger.replay::<Tally>(id, Some(BEGINNING - 1)).await.unwrap();
    assert_eq!((before.state, before.version), (Tally::default(), Version(0)));
    let now = test.ledger.replay::<Tally>(id, None).await.unwrap();
    assert_eq!((now.state.count, now.version), (3, Version(4)));
}

pub(super) async fn causes_lead_to_what_followed(test: TestLedger) {
    let cause = command(new_id());
    let messages = vec![cause.clone()];
    test.ledger.append(Append { messages, ..Append::new(metadata()) }).await.unwrap();
    let begun = metadata();
    for note in ["first", "second"] {
        let append = Append {
            metadata: begun.caused_by("saga", cause.message_id),
            ..write(new_id(), 0, &[note])
        };
        test.ledger.append(append).await.unwrap();
    }
    let followed = test.ledger.caused_by(&[cause.message_id]).await.unwrap();
    assert_eq!(followed.iter().map(|it| it.position.0).collect::<Vec<_>>(), [2, 3]);
    let metadata = followed[0].metadata().unwrap();
    assert_eq!(metadata.causation_id, Some(cause.message_id));
    assert_eq!(metadata.correlation_id, begun.correlation_id);
    assert!(test.ledger.caused_by(&[followed[0].message_id]).await.unwrap().is_empty());
}

pub(super) async fn messages_are_found_by_their_ids(test: TestLedger) {
    test.ledger.append(write(new_id(), 0, &["a", "b", "c"])).await.unwrap();
    let all = everything(&test.ledger).await;
    let found = test.ledger.message(all[1].message_id).await.unwrap().unwrap();
    assert_eq!(found.position, Position(2));
    assert!(test.ledger.message(new_id().uuid()).await.unwrap().is_none());
    let ids = [all[2].message_id, new_id().uuid(), all[0].message_id];
    let found = test.ledger.messages(&ids).await.unwrap();
    assert_eq!(found.iter().map(|it| it.position.0).collect::<Vec<_>>(), [1, 3]);
    assert!(test.ledger.messages(&[]).await.unwrap().is_empty());
}

pub(super) async fn everything_about_one_thing_is_found_together(test: TestLedger) {
    let (id, other) = (new_id(), new_id());
    let append = Append { messages: vec![command(id)], ..write(other, 0, &["a"]) };
    test.ledger.append(append).await.unwrap();
    test.ledger.append(write(id, 0, &["b"])).await.unwrap();
    let found = test.ledger.read_about(id.any(), Position(0), 10).await.unwrap();
    let kinds: Vec<_> = found.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [MessageKind::Command, MessageKind::Event]);
    let found = test.ledger.read_about(id.any(), found[0].position, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(test.ledger.read_stream(id.any(), Version(0), 10).await.unwrap().len(), 1);
}

pub(super) async fn d43_a_hole_in_the_ledger_is_an_error(test: TestLedger) {
    test.ledger.append(write(new_id(), 0, &["a", "b", "c"])).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    meddle(&test.place.database, "DELETE FROM messages WHERE position = 2").await;
    let broken = test.ledger.read(Position(0), 10).await;
    assert!(matches!(broken, Err(StoreError::Hole { after: 1, .. })));
    let broken = test.ledger.tail(Position(0)).next(10).await;
    assert!(matches!(broken, Err(StoreError::Hole { after: 1, .. })));
    // A ledger that lost its end is not opened at all.
    meddle(&test.place.database, "DELETE FROM messages WHERE position = 3").await;
    let refused = test.reopen(LedgerOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("has a hole after 1"), "{refused}");
}
