//! Queries on a replica: never less than was promised.

use std::time::Duration;

use mallbots_domain::{
    id::{EntityId, StoreId},
    stores::store::{Store, StoreCommand},
    testing,
};
use mallbots_eventstore::{
    clock::Clock,
    connect::{Database, PostgresOptions},
    ledger::{Ledger, LedgerOptions},
    message::{Metadata, Position},
};
use mallbots_projections::{reads::Reads, stores};
use mallbots_testing::{
    databases::lay_out,
    ledgers::{Tasks, open},
    servers::PrivateServer,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

async fn opened(ledger: &Ledger, name: &str) -> (StoreId, Position) {
    let id = StoreId::from_uuid(Uuid::now_v7());
    let (name, location) = (testing::name(name), testing::name("Roof"));
    let command = StoreCommand::Create { name, location };
    let metadata = Metadata::begin("test", Uuid::now_v7());
    let done = ledger.execute::<Store>(id, command, &metadata).await.unwrap();
    (id, done.position)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_never_shows_less_than_was_promised() {
    let primary = PrivateServer::start().await.unwrap();
    let bare = Database::postgres(&primary.url("postgres"), 4).await.unwrap();
    lay_out(&bare).await.unwrap();
    let mut replica = primary.replica().await.unwrap();
    let options = PostgresOptions {
        replica_url: Some(replica.url("postgres")),
        ..PostgresOptions::new(primary.url("postgres"))
    };
    let views = Database::postgres_with(&options).await.unwrap();
    let (ledger, tasks) =
        open(views.clone(), &Clock::System, LedgerOptions::default()).await.unwrap();
    let reads = run(&views, &ledger, &tasks).await;

    // What was waited for is there, whoever answers, from the first on.
    let sees = async |name: &str| {
        let (id, position) = opened(&ledger, name).await;
        reads.reached(position, PATIENCE).await.unwrap();
        stores::by_id(&reads, id).await.unwrap().is_some()
    };
    until("the replica answers", async || {
        assert!(sees("Kites").await);
        reads.is_on_replica()
    })
    .await;
    for _ in 0..50 {
        assert!(sees("Kites").await);
    }
    assert!(reads.is_on_replica());

    // A replica that stands still is not asked for long.
    let on_replica = views.replica.clone().unwrap();
    on_replica.execute_unprepared("SELECT pg_wal_replay_pause()").await.unwrap();
    let (id, position) = opened(&ledger, "Hats").await;
    assert!(reads.reached(position, Duration::from_millis(200)).await.is_err());
    assert!(reads.position() < position);
    reads.reached(position, PATIENCE).await.unwrap();
    assert!(stores::by_id(&reads, id).await.unwrap().is_some());
    assert!(!reads.is_on_replica());

    // It is asked again once it has caught up.
    on_replica.execute_unprepared("SELECT pg_wal_replay_resume()").await.unwrap();
    until("the replica answers again", async || reads.is_on_replica()).await;
    assert!(stores::by_id(&reads, id).await.unwrap().is_some());

    // Without it the primary answers.
    replica.stop();
    until("the primary answers", async || !reads.is_on_replica()).await;
    assert!(sees("Shoes").await);
    tasks.end().await;
}

/// The read side of a process, over the replica.
async fn run(views: &Database, ledger: &Ledger, tasks: &Tasks) -> Reads {
    let (projector, reads) =
        mallbots_projections::projector::Projector::open(views, ledger).await.unwrap();
    let (reads, follower) = reads.on_replica(views);
    tasks.tracker.spawn(projector.run(ledger.clone(), tasks.shutdown.clone()));
    tasks.tracker.spawn(follower.unwrap().run(tasks.shutdown.clone()));
    reads
}
