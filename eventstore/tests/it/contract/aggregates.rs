//! Loading aggregates and letting them decide.

use mallbots_domain::id::EntityId;
use mallbots_eventstore::{
    append::NewEvent,
    error::{CommandError, StoreError},
    ledger::LedgerOptions,
    message::{Position, Version},
    upcast::Upcasters,
};
use mallbots_testing::ledgers::TestLedger;
use serde_json::{Value, json};

use crate::tally::{
    Tally, TallyCommand, TallyEvent, count, everything, meddle, metadata, new_id, open, write,
};

pub(super) async fn an_aggregate_nobody_knows_is_its_default(test: TestLedger) {
    let loaded = test.ledger.load::<Tally>(new_id()).await.unwrap();
    assert_eq!((loaded.state, loaded.version), (Tally::default(), Version(0)));
}

pub(super) async fn d44_looking_at_an_unknown_aggregate_leaves_no_trace(test: TestLedger) {
    let refused = test.ledger.execute::<Tally>(new_id(), count(), &metadata()).await;
    assert!(matches!(refused, Err(CommandError::Refused(why)) if why.reason == "TALLY_NOT_OPEN"));
    assert!(everything(&test.ledger).await.is_empty());
}

pub(super) async fn an_aggregate_is_as_its_events_say(test: TestLedger) {
    let id = new_id();
    let done = test.ledger.execute::<Tally>(id, open(5), &metadata()).await.unwrap();
    assert_eq!((done.version, done.position, done.events), (Version(1), Position(1), 1));
    let times = TallyCommand::CountTimes { times: 3 };
    let done = test.ledger.execute::<Tally>(id, times, &metadata()).await.unwrap();
    assert_eq!((done.version, done.position, done.events), (Version(4), Position(4), 3));
    let done = test.ledger.execute::<Tally>(id, TallyCommand::Nothing, &metadata()).await.unwrap();
    assert_eq!((done.version, done.position, done.events), (Version(4), Position(4), 0));

    let expected = Tally { limit: Some(5), count: 3, last_note: "2".to_owned() };
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state, expected);
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    let loaded = test.ledger.load::<Tally>(id).await.unwrap();
    assert_eq!((loaded.state, loaded.version), (expected, Version(4)));
}

pub(super) async fn a_state_in_memory_is_as_good_as_one_from_the_database(test: TestLedger) {
    // Each is read while others write: none may see less than was acknowledged.
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(1_000), &metadata()).await.unwrap();
    let acknowledged = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (ledger, acknowledged) = (test.ledger.clone(), acknowledged.clone());
            test.tasks.tracker.spawn(async move {
                loop {
                    let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
                    let loaded = ledger.load::<Tally>(id).await.unwrap();
                    assert!(loaded.state.count >= before);
                    assert_eq!(loaded.state.count + 1, loaded.version.0);
                    if before == 100 {
                        break;
                    }
                    // What is in memory is there at once, and would let nobody else run.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=100 {
        // By hand in between: that leaves no state in memory.
        if number % 3 == 0 {
            test.ledger.append(write(id, number, &["by hand"])).await.unwrap();
        } else {
            test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
        }
        acknowledged.store(number, std::sync::atomic::Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

pub(super) async fn an_append_by_hand_is_seen_at_once(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(5), &metadata()).await.unwrap();
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 0);
    test.ledger.append(write(id, 1, &["by hand"])).await.unwrap();
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.last_note, "by hand");
    test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 2);
}

pub(super) async fn d43_a_hole_in_a_stream_is_an_error(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(9), &metadata()).await.unwrap();
    test.ledger.append(write(id, 1, &["a", "b", "c"])).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    meddle(&test.place.database, "DELETE FROM messages WHERE version = 3").await;
    let broken = test.ledger.load::<Tally>(id).await;
    assert!(matches!(broken, Err(StoreError::Hole { of, after: 2 }) if of == id.to_string()));
    let broken = test.ledger.execute::<Tally>(id, count(), &metadata()).await;
    assert!(matches!(broken, Err(CommandError::Store(StoreError::Hole { .. }))));
    let broken = test.ledger.read_stream(id.any(), Version(0), 100).await;
    assert!(matches!(broken, Err(StoreError::Hole { .. })));
}

pub(super) async fn d43_an_event_that_cannot_be_read_is_an_error(test: TestLedger) {
    let (id, other) = (new_id(), new_id());
    test.ledger.execute::<Tally>(id, open(9), &metadata()).await.unwrap();
    let mut append = write(id, 1, &["a", "b"]);
    append.streams[0].events[0].payload = String::from("{\"other\":1}");
    test.ledger.append(append).await.unwrap();
    let broken = test.ledger.load::<Tally>(id).await;
    assert!(
        matches!(broken, Err(StoreError::Undecodable { name, .. }) if name == "testing.Counted")
    );

    let mut append = write(other, 0, &["a"]);
    append.streams[0].events[0] =
        NewEvent { name: "elsewhere.Counted".to_owned(), ..append.streams[0].events[0].clone() };
    test.ledger.append(append).await.unwrap();
    let broken = test.ledger.load::<Tally>(other).await;
    assert!(matches!(broken, Err(StoreError::Undecodable { .. })));
}

pub(super) async fn old_shapes_of_events_are_brought_up_to_date(test: TestLedger) {
    // Version 1 had a number, version 2 a text of another name, version 3 is today's.
    let upcasters = Upcasters::default()
        .with("testing.Counted", 1, |old| json!({ "text": old["number"].to_string() }))
        .with("testing.Counted", 2, |old| json!({ "note": old["text"] }));
    let test = test.reopen(LedgerOptions { upcasters, ..LedgerOptions::default() }).await.unwrap();
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(9), &metadata()).await.unwrap();
    let mut append = write(id, 1, &["", "", "third"]);
    let events = &mut append.streams[0].events;
    events[0].payload = String::from("{\"number\":1}");
    events[1].payload = String::from("{\"text\":\"second\"}");
    events[1].schema_version = 2;
    events[2].schema_version = 3;
    test.ledger.append(append).await.unwrap();
    test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();

    let loaded = test.ledger.load::<Tally>(id).await.unwrap();
    assert_eq!((loaded.state.count, &*loaded.state.last_note), (4, "one"));
    let stored = test.ledger.read_stream(id.any(), Version(1), 10).await.unwrap();
    let versions: Vec<_> = stored.iter().map(|event| event.schema_version).collect();
    assert_eq!(versions, [1, 2, 3, 3], "what was stored stays, what is new is of today");
    let notes: Vec<_> = stored
        .iter()
        .map(|event| {
            let upcasters = test.ledger.upcasters();
            let now: Value = serde_json::from_str(
                &mallbots_eventstore::codec::payload(event, upcasters).unwrap(),
            )
            .unwrap();
            let event = mallbots_eventstore::codec::decode::<Tally>(event, upcasters).unwrap();
            assert_eq!(event, TallyEvent::Counted { note: now["note"].as_str().unwrap().into() });
            now["note"].clone()
        })
        .collect();
    assert_eq!(notes, ["1", "second", "third", "one"]);
}

pub(super) async fn d48_a_loaded_state_is_the_callers_own(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(5), &metadata()).await.unwrap();
    let mut loaded = test.ledger.load::<Tally>(id).await.unwrap();
    loaded.state.count = 99;
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 0);
}

pub(super) async fn a_long_history_is_read_whole(test: TestLedger) {
    // More than are read at once, and no snapshot to begin at.
    let test = test
        .reopen(LedgerOptions { snapshot_every: i64::MAX, ..LedgerOptions::default() })
        .await
        .unwrap();
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(9_999), &metadata()).await.unwrap();
    let notes: Vec<_> = (0..2_500).map(|number| number.to_string()).collect();
    let notes: Vec<_> = notes.iter().map(String::as_str).collect();
    test.ledger.append(write(id, 1, &notes)).await.unwrap();
    let loaded = test.ledger.load::<Tally>(id).await.unwrap();
    assert_eq!((loaded.state.count, loaded.version), (2_500, Version(2_501)));
    let replayed = test.ledger.replay::<Tally>(id, None).await.unwrap();
    assert_eq!((replayed.state, replayed.version), (loaded.state, loaded.version));
    let read = test.ledger.read_stream_before(id.any(), i64::MAX).await.unwrap();
    assert_eq!(read.len(), 2_501);
}
