//! States that are kept beside long streams.

use std::time::Duration;

use mallbots_domain::id::BasketId;
use mallbots_eventstore::{
    connect::Database, error::StoreError, ledger::LedgerOptions, message::Version,
};
use mallbots_testing::ledgers::TestLedger;

use crate::tally::{
    LaterTally, Tally, TallyCommand, count, meddle, metadata, new_id, number, open, write,
};

fn every(snapshot_every: i64) -> LedgerOptions {
    LedgerOptions { snapshot_every, ..LedgerOptions::default() }
}

/// Snapshots are kept in the background: waits until one is.
async fn wait_for_snapshot(database: &Database, version: i64, schema: i64) {
    let sql =
        format!("SELECT count(*) FROM snapshots WHERE version = {version} AND schema = {schema}");
    let kept = async {
        while number(database, &sql).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), kept).await.expect("a snapshot is kept");
}

async fn counted(test: &TestLedger, times: i64) -> BasketId {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(10_000), &metadata()).await.unwrap();
    for _ in 0..times {
        test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    }
    id
}

pub(super) async fn a_snapshot_spares_the_events_before_it(test: TestLedger) {
    let test = test.reopen(every(10)).await.unwrap();
    let id = counted(&test, 12).await;
    wait_for_snapshot(&test.place.database, 10, 1).await;
    let test = test.reopen(every(10)).await.unwrap();
    // The proof: without the events before it, the state is still whole.
    meddle(&test.place.database, "DELETE FROM messages WHERE version < 10").await;
    let loaded = test.ledger.load::<Tally>(id).await.unwrap();
    assert_eq!((loaded.state.count, loaded.version), (12, Version(13)));
    assert!(matches!(test.ledger.replay::<Tally>(id, None).await, Err(StoreError::Hole { .. })));
}

pub(super) async fn a_snapshot_of_another_schema_is_ignored_and_replaced(test: TestLedger) {
    let test = test.reopen(every(10)).await.unwrap();
    let id = counted(&test, 12).await;
    wait_for_snapshot(&test.place.database, 10, 1).await;
    let test = test.reopen(every(10)).await.unwrap();
    let loaded = test.ledger.load::<LaterTally>(id).await.unwrap();
    assert_eq!((loaded.state.tally.count, loaded.state.is_full), (12, false));
    assert_eq!(loaded.version, Version(13));
    wait_for_snapshot(&test.place.database, 13, 2).await;
    // And the old program ignores the new one's.
    let test = test.reopen(every(10)).await.unwrap();
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 12);
}

pub(super) async fn a_snapshot_that_cannot_be_read_is_ignored_and_replaced(test: TestLedger) {
    let test = test.reopen(every(10)).await.unwrap();
    let id = counted(&test, 12).await;
    wait_for_snapshot(&test.place.database, 10, 1).await;
    let test = test.reopen(every(10)).await.unwrap();
    meddle(&test.place.database, "UPDATE snapshots SET state = '{\"nonsense\":true}'").await;
    let loaded = test.ledger.load::<Tally>(id).await.unwrap();
    assert_eq!((loaded.state.count, loaded.version), (12, Version(13)));
    wait_for_snapshot(&test.place.database, 13, 1).await;
}

pub(super) async fn d47_the_interval_of_snapshots_can_be_chosen(test: TestLedger) {
    let test = test.reopen(every(5)).await.unwrap();
    let id = counted(&test, 3).await;
    // Over two multiples at once.
    let times = TallyCommand::CountTimes { times: 8 };
    test.ledger.execute::<Tally>(id, times, &metadata()).await.unwrap();
    wait_for_snapshot(&test.place.database, 12, 1).await;
    assert_eq!(number(&test.place.database, "SELECT count(*) FROM snapshots").await, 1);

    // Also of what was appended by hand, once somebody has read it.
    let test = test.reopen(every(5)).await.unwrap();
    let by_hand = new_id();
    test.ledger.execute::<Tally>(by_hand, open(100), &metadata()).await.unwrap();
    test.ledger.append(write(by_hand, 1, &["a", "b", "c", "d", "e", "f"])).await.unwrap();
    test.ledger.load::<Tally>(by_hand).await.unwrap();
    wait_for_snapshot(&test.place.database, 7, 1).await;
}
