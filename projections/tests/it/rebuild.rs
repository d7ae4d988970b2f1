//! A read model filled anew is the same as the live one, and so is the live
//! one afterwards.

use std::time::Duration;

use mallbots_domain::{
    stores::store::{Store, StoreCommand},
    testing::name,
};
use mallbots_eventstore::{connect::Backend, message::Metadata};
use mallbots_projections::{
    reads::Reads,
    rebuild::{ALL, RebuildError, RebuildState, RebuildStatus},
    stores,
    verify::compare,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    library::Library,
    mall::{busy, id},
};

on_each_database!(
    every_read_model_is_rebuilt_as_it_was,
    what_was_lost_comes_back_and_the_next_event_finds_its_row,
    everything_is_rebuilt_in_one_go_for_whoever_asks,
    a_second_rebuild_is_refused_until_the_first_is_over,
    a_rebuild_whose_projector_died_is_begun_again_by_the_next,
    a_rebuild_that_fails_each_time_is_given_up_and_says_why,
    a_rebuild_while_the_ledger_grows_loses_nothing,
);

const PATIENCE: Duration = Duration::from_mins(1);

/// Rebuilds a read model and waits until it is done.
async fn rebuild<P: Sync>(library: &Library<P>, name: &str) {
    library.reads.rebuild(name).await.unwrap();
    let done = async {
        loop {
            let statuses = library.reads.projections().await.unwrap();
            let failed =
                statuses.iter().filter_map(|status| status.rebuild.as_ref()?.error.clone());
            assert_eq!(failed.collect::<Vec<_>>(), Vec::<String>::new());
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
    assert!(matches!(library.reads.rebuild("toys").await, Err(RebuildError::Unknown)));
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

/// How the last rebuild of a read model stands, as this process sees it.
async fn status(reads: &Reads, name: &str) -> RebuildStatus {
    let statuses = reads.projections().await.unwrap();
    statuses.into_iter().find(|status| status.name == name).unwrap().rebuild.unwrap()
}

async fn settled(reads: &Reads, name: &str) -> RebuildStatus {
    let settled = async {
        loop {
            let status = status(reads, name).await;
            if !status.is_underway() {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, settled).await.unwrap()
}

/// The tables that a rebuild has left.
async fn leftovers<P: Sync>(library: &Library<P>) -> usize {
    let database = &library.views.database;
    let sql = match database.kind {
        Backend::Postgres => "SELECT tablename FROM pg_tables WHERE tablename LIKE '%\\_\\_next'",
        Backend::Sqlite => {
            "SELECT name FROM sqlite_master WHERE name LIKE '%\\_\\_next' ESCAPE '\\'"
        }
    };
    let statement = Statement::from_string(database.write.get_database_backend(), sql);
    database.write.query_all_raw(statement).await.unwrap().len()
}

async fn everything_is_rebuilt_in_one_go_for_whoever_asks(backend: Backend) {
    let mall = busy(10, 5);
    let library = Library::on(backend, backend).await;
    library.record(&mall.messages).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();
    let before = library.dump().await;
    for table in ["stores", "orders", "order_lines", "order_timeline", "bots"] {
        let empty = format!("DELETE FROM {table}");
        library.views.database.write.execute_unprepared(&empty).await.unwrap();
    }

    // Asked for by a process that does not write.
    let views = library.views.connect().await.unwrap();
    let (asker, _feed) = Reads::open(&views, &ledger).await.unwrap();
    asker.rebuild(ALL).await.unwrap();
    let done = settled(&asker, "bots").await;
    assert_eq!((done.state, done.error.clone()), (RebuildState::Done, None));
    assert_eq!((done.done, done.total), (ledger.head(), ledger.head()));
    assert!(done.ended_at.is_some());
    assert_eq!(status(&library.reads, "orders").await, done);
    assert!(library.dump().await == before);
    assert_eq!(leftovers(&library).await, 0);
    stop.cancel();
    running.await.unwrap();
}

async fn a_second_rebuild_is_refused_until_the_first_is_over(backend: Backend) {
    // Nobody writes: what is asked for waits.
    let library = Library::on(backend, backend).await;
    library.reads.rebuild("orders").await.unwrap();
    for name in ["orders", "stores", ALL] {
        let refused = library.reads.rebuild(name).await;
        assert!(matches!(refused, Err(RebuildError::UnderWay)), "{name}: {refused:?}");
    }
    assert_eq!(status(&library.reads, "orders").await.state, RebuildState::Requested);
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger, stop.clone()));
    assert_eq!(settled(&library.reads, "orders").await.state, RebuildState::Done);
    library.reads.rebuild("stores").await.unwrap();
    assert_eq!(settled(&library.reads, "stores").await.state, RebuildState::Done);
    stop.cancel();
    running.await.unwrap();
}

async fn a_rebuild_whose_projector_died_is_begun_again_by_the_next(backend: Backend) {
    let mall = busy(10, 5);
    let library = Library::on(backend, backend).await;
    library.record(&mall.messages).await;
    let ledger = library.ledger.ledger.clone();
    // As a projector leaves it that is killed on the way.
    let database = &library.views.database.write;
    library.reads.rebuild("stores").await.unwrap();
    let begun = "UPDATE projection_rebuilds SET state = 'RUNNING', run = 7, attempts = 1, done = 3; \
                 CREATE TABLE stores__next (id INTEGER); CREATE TABLE bots__next (id INTEGER)";
    database.execute_unprepared(begun).await.unwrap();
    assert_eq!(leftovers(&library).await, 2);

    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    let done = settled(&library.reads, "stores").await;
    assert_eq!((done.state, done.attempts), (RebuildState::Done, 2));
    assert_eq!(leftovers(&library).await, 0);
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();
    let compared = compare(&library.views.database, &ledger, |_, _| {}).await.unwrap();
    assert_eq!(compared.differences, []);
    stop.cancel();
    running.await.unwrap();
}

async fn a_rebuild_that_fails_each_time_is_given_up_and_says_why(backend: Backend) {
    let library = Library::on(backend, backend).await;
    library.record(&busy(3, 3).messages).await;
    let ledger = library.ledger.ledger.clone();
    let database = library.views.database.write.clone();
    // Without the old table no new one can be made like it.
    let hide = "ALTER TABLE bots RENAME TO mislaid";
    let show = "ALTER TABLE mislaid RENAME TO bots";
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();
    let before = library.dump().await;
    database.execute_unprepared(hide).await.unwrap();
    library.reads.rebuild("bots").await.unwrap();
    let failed = settled(&library.reads, "bots").await;
    assert_eq!((failed.state, failed.attempts), (RebuildState::Failed, 3));
    assert!(failed.error.is_some());
    assert_eq!(leftovers(&library).await, 0);

    database.execute_unprepared(show).await.unwrap();
    assert!(library.dump().await == before);
    library.reads.rebuild("bots").await.unwrap();
    assert_eq!(settled(&library.reads, "bots").await.state, RebuildState::Done);
    assert!(library.dump().await == before);
    stop.cancel();
    running.await.unwrap();
}

async fn a_rebuild_while_the_ledger_grows_loses_nothing(backend: Backend) {
    let mall = busy(30, 10);
    let (before, after) = mall.messages.split_at(mall.messages.len() / 2);
    let library = Library::on(backend, backend).await;
    library.record(before).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.rebuild(ALL).await.unwrap();
    tokio::join!(library.record(after), async {
        assert_eq!(settled(&library.reads, "orders").await.state, RebuildState::Done);
    });
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();
    let compared = compare(&library.views.database, &ledger, |_, _| {}).await.unwrap();
    assert_eq!(compared.differences, []);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_swap_waits_for_whoever_reads_and_lets_others_read_meanwhile() {
    let backend = Backend::Postgres;
    let library = Library::on(backend, backend).await;
    library.record(&busy(3, 3).messages).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger.clone(), stop.clone()));
    library.reads.reached(ledger.head(), PATIENCE).await.unwrap();
    let reader = library.views.database.write.begin().await.unwrap();
    let look = Statement::from_string(DbBackend::Postgres, "SELECT id FROM stores");
    reader.query_all_raw(look.clone()).await.unwrap();
    library.reads.rebuild("stores").await.unwrap();
    // The projector goes on, and so do those who ask.
    for n in 0..3 {
        let rebrand = StoreCommand::Rebrand { name: name(&format!("Name {n}")) };
        let metadata = Metadata::begin("admin", Uuid::from_u128(n));
        let done = ledger.execute::<Store>(id(1), rebrand, &metadata).await.unwrap();
        library.reads.reached(done.position, PATIENCE).await.unwrap();
        let row = timeout(Duration::from_secs(5), stores::by_id(&library.reads, id(1)));
        assert_eq!(row.await.unwrap().unwrap().unwrap().name, format!("Name {n}"));
    }
    assert!(status(&library.reads, "stores").await.is_underway());
    reader.query_all_raw(look).await.unwrap();
    reader.commit().await.unwrap();
    let done = settled(&library.reads, "stores").await;
    assert_eq!((done.state, done.attempts), (RebuildState::Done, 1));
    stop.cancel();
    running.await.unwrap();
}
