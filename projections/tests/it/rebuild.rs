//! A read model filled anew is the same as the live one, and so is the live
//! one afterwards.

use std::time::Duration;

use mallbots_domain::{
    stores::store::{Store, StoreCommand},
    testing::name,
};
use mallbots_eventstore::{connect::Backend, message::Metadata};
use mallbots_projections::{rebuild::RebuildError, stores};
use sea_orm::ConnectionTrait;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    library::Library,
    mall::{busy, id},
};

on_each_database!(
    every_read_model_is_rebuilt_as_it_was,
    what_was_lost_comes_back_and_the_next_event_finds_its_row,
);

const PATIENCE: Duration = Duration::from_mins(1);

/// Rebuilds a read model and waits until it is done.
async fn rebuild<P: Sync>(library: &Library<P>, name: &str) {
    library.reads.rebuild(name).unwrap();
    let done = async {
        loop {
            let statuses = library.reads.projections().await.unwrap();
            if statuses.iter().all(|status| status.rebuilding.is_none()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, done).await.unwrap();
}

async fn every_read_model_is_rebuilt_as_it_was(backend: Backend) {
    let mall = busy(10, 5);
    let library = Library::on(backend, backend).await;
    library.record(&mall.messages).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();

    let before = library.dump().await;
    let names: Vec<_> = library.reads.projections().await.unwrap();
    for status in names {
        rebuild(&library, status.name).await;
        let after = library.dump().await;
        for (table, rows) in before.as_object().unwrap() {
            assert!(after[table] == *rows, "{table} after a rebuild of {}", status.name);
        }
    }
    assert!(matches!(library.reads.rebuild("toys"), Err(RebuildError::Unknown)));
    stop.cancel();
    running.await.unwrap();
}

async fn what_was_lost_comes_back_and_the_next_event_finds_its_row(backend: Backend) {
    let mall = busy(3, 3);
    let library = Library::on(backend, backend).await;
    library.record(&mall.messages).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();

    let before = library.dump().await;
    library.views.database.write.execute_unprepared("DELETE FROM stores").await.unwrap();
    rebuild(&library, "stores").await;
    assert!(library.dump().await == before);

    let rebrand = StoreCommand::Rebrand { name: name("The same, only different") };
    let metadata = Metadata::begin("admin", Uuid::from_u128(1));
    let done = ledger.execute::<Store>(id(1), rebrand, &metadata).await.unwrap();
    library.reads.reached(done.position, PATIENCE).await.unwrap();
    let row = stores::by_id(&library.reads, id(1)).await.unwrap().unwrap();
    assert_eq!(row.name, "The same, only different");
    stop.cancel();
    running.await.unwrap();
}
