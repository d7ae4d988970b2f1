//! What is particular to a ledger in a file.

use mallbots_eventstore::{
    connect::{Backend, Database, Durability},
    error::StoreError,
    ledger::{Ledger, LedgerOptions},
};
use mallbots_testing::ledgers::{Tasks, TestLedger};

use crate::tally::{new_id, number, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_a_file_is_for_one_process() {
    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let tasks = Tasks::default();
    let second = Ledger::open(
        test.place.connect().await.unwrap(),
        test.clock.clone(),
        &tasks.tracker,
        tasks.shutdown.clone(),
        LedgerOptions::default(),
    );
    let refused = second.await.unwrap_err();
    assert!(matches!(&refused, StoreError::InUse { .. }));
    assert!(refused.to_string().ends_with("ledger.db.lock is in use by another process"));

    // It is free as soon as the first has ended, whoever still holds on to it.
    let kept = test.ledger.clone();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    test.ledger.append(write(new_id(), 0, &["a"])).await.unwrap();
    drop(kept);
}

#[tokio::test]
async fn a_ledger_survives_the_loss_of_power() {
    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let database = &test.place.database;
    assert_eq!(number(database, "PRAGMA synchronous").await, 2, "FULL");
    let folder = test.place.folder().unwrap();
    let views = Database::sqlite(&folder.join("views.db"), Durability::Normal).await.unwrap();
    assert_eq!(number(&views, "PRAGMA synchronous").await, 1, "NORMAL");
}

#[tokio::test]
async fn readers_cannot_write() {
    use sea_orm::ConnectionTrait;

    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let refused = test.place.database.read.execute_unprepared("DELETE FROM messages").await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}
