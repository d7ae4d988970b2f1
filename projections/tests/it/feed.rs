//! How far it is, and what changed.

use std::{collections::HashSet, time::Duration};

use mallbots_domain::{
    id::{BasketId, EntityId, Kind, StoreId},
    stores::store::{Store, StoreCommand},
    testing::name,
};
use mallbots_eventstore::{
    connect::Backend,
    message::{Metadata, Position},
};
use mallbots_projections::{
    changes::{Change, Heard},
    orders,
    reads::StaleRead,
    stores,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    library::Library,
    mall::{Mall, busy, id},
};

on_each_database!(
    a_commit_is_announced_once_with_all_it_changed,
    a_projector_follows_the_ledger_until_it_is_told_to_stop,
    what_merely_fails_is_tried_again,
    a_read_waits_until_it_is_not_stale,
);

const PATIENCE: Duration = Duration::from_secs(20);

async fn a_commit_is_announced_once_with_all_it_changed(backend: Backend) {
    let mall = busy(4, 4);
    let mut library = Library::new(backend).await;
    let mut feed = library.reads.changes();
    library.take_in(&mall.messages, mall.messages.len()).await;

    let Some(Heard::Changed(changed)) = feed.next().await else { panic!() };
    assert_eq!(changed.position, library.reads.position());
    assert!(changed.rows.is_sorted_by_key(|change| change.position));
    let ids: HashSet<_> = changed.rows.iter().map(|change| change.id).collect();
    assert_eq!(ids.len(), changed.rows.len());
    let kinds: HashSet<_> = changed.rows.iter().map(Change::kind).collect();
    let silent = [Kind::DeadLetter];
    assert_eq!(kinds, Kind::ALL.iter().copied().filter(|k| !silent.contains(k)).collect());

    // Who watches an order hears of all that belongs to it.
    let order = id::<BasketId>(1).order();
    let about: Vec<Kind> =
        changed.rows.iter().filter(|c| c.concerns(order.any())).map(Change::kind).collect();
    for kind in [
        Kind::Order,
        Kind::Saga,
        Kind::ShoppingList,
        Kind::Invoice,
        Kind::Payment,
        Kind::Notification,
    ] {
        assert!(about.contains(&kind), "{kind:?}");
    }
    let row = orders::by_id(&library.reads, order).await.unwrap().unwrap();
    let change = changed.rows.iter().find(|change| change.id == order.any()).unwrap();
    assert_eq!(change.position, Position(row.position));

    // Nothing changed, nothing is said: the next to be heard is the end.
    library.take_in(&mall.messages, 100).await;
    let (library, projector) = library.split();
    drop(projector);
    assert_eq!(feed.next().await, None);
    assert_eq!(library.reads.changes().next().await, None);
}

#[tokio::test]
async fn who_falls_behind_is_told_so() {
    let mut mall = Mall::default();
    let store = mall.store(1);
    for _ in 0..600 {
        mall.ask::<Store>(store, StoreCommand::DisableParticipation);
        mall.ask::<Store>(store, StoreCommand::EnableParticipation);
    }
    let mut library = Library::new(Backend::Sqlite).await;
    let mut feed = library.reads.changes();
    library.take_in(&mall.messages, 1).await;
    assert_eq!(feed.next().await, Some(Heard::Missed));
    // And hears again what comes.
    let Some(Heard::Changed(changed)) = feed.next().await else { panic!() };
    assert_eq!(changed.rows[0].id, store.any());
}

fn metadata() -> Metadata {
    Metadata::begin("admin", Uuid::from_u128(7))
}

async fn create<P: Sync>(library: &Library<P>, n: u32) -> Position {
    let command = StoreCommand::Create { name: name("Store"), location: name("Level 1") };
    let ledger = &library.ledger.ledger;
    ledger.execute::<Store>(id(n), command, &metadata()).await.unwrap().position
}

async fn a_projector_follows_the_ledger_until_it_is_told_to_stop(backend: Backend) {
    let library = Library::on(backend, backend).await;
    let before = create(&library, 1).await;
    let stop = library.ledger.tasks.shutdown.child_token();
    let ledger = library.ledger.ledger.clone();
    let (library, projector) = library.split();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger, stop.clone()));

    library.reads.reached(before, PATIENCE).await.unwrap();
    for n in 2..20 {
        let position = create(&library, n).await;
        library.reads.reached(position, PATIENCE).await.unwrap();
        let row = stores::by_id(&library.reads, id(n)).await.unwrap().unwrap();
        assert_eq!(row.position, position.0);
    }
    for status in library.reads.projections().await.unwrap() {
        assert_eq!((status.lag, status.parked), (0, 0), "{}", status.name);
    }

    stop.cancel();
    running.await.unwrap();
    let position = create(&library, 99).await;
    let status = &library.reads.projections().await.unwrap()[0];
    assert_eq!((status.name, status.lag), ("stores", 1));
    let late = library.reads.reached(position, Duration::from_millis(5)).await;
    assert_eq!(late, Err(StaleRead { have: Position(position.0 - 1), want: position }));
}

async fn what_merely_fails_is_tried_again(backend: Backend) {
    let library = Library::new(backend).await;
    let ledger = library.ledger.ledger.clone();
    let stop = library.ledger.tasks.shutdown.child_token();
    let (library, projector) = library.split();
    let database = &library.views.database.write;
    database.execute_unprepared("ALTER TABLE stores RENAME TO mislaid").await.unwrap();
    let running = library.ledger.tasks.tracker.spawn(projector.run(ledger, stop.clone()));

    let position = create(&library, 1).await;
    let late = library.reads.reached(position, Duration::from_millis(200)).await;
    assert_eq!(late, Err(StaleRead { have: Position(0), want: position }));
    database.execute_unprepared("ALTER TABLE mislaid RENAME TO stores").await.unwrap();
    library.reads.reached(position, PATIENCE).await.unwrap();
    let store: StoreId = id(1);
    assert!(stores::by_id(&library.reads, store).await.unwrap().is_some());
    assert_eq!(library.dump().await["projection_dead_letters"], serde_json::json!([]));
    stop.cancel();
    running.await.unwrap();
}

async fn a_read_waits_until_it_is_not_stale(backend: Backend) {
    let mall = busy(1, 1);
    let mut library = Library::new(backend).await;
    let end = mall.end();
    let reads = library.reads.clone();
    let waiting =
        library.ledger.tasks.tracker.spawn(async move { reads.reached(end, PATIENCE).await });
    library.take_in(&mall.messages, 10).await;
    waiting.await.unwrap().unwrap();
    library.reads.reached(Position(0), Duration::ZERO).await.unwrap();
}
