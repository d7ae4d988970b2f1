//! What becomes of a ledger when its server is short of connections, dies,
//! comes back, or comes back as another.

use std::time::{Duration, Instant};

use mallbots_domain::id::EntityId;
use mallbots_eventstore::{
    connect::{Backend, Database, PoolLimits, PostgresOptions},
    error::{AppendError, StoreError},
    ledger::{Ledger, LedgerOptions},
    message::{Position, Version},
};
use mallbots_migrations::{LedgerMigrator, up};
use mallbots_testing::{
    databases::fresh_postgres,
    ledgers::{Tasks, TestLedger, open},
    servers::PrivateServer,
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::time::timeout;

use crate::tally::{everything, meddle, new_id, number, write};

const PATIENCE: Duration = Duration::from_secs(30);

async fn opened(server: &PrivateServer) -> (Ledger, Tasks) {
    let database = Database::postgres(&server.url("postgres"), 4).await.unwrap();
    up::<LedgerMigrator>(&database.write).await.unwrap();
    let clock = mallbots_eventstore::clock::Clock::System;
    open(database, &clock, LedgerOptions::default()).await.unwrap()
}

/// Appends until it is acknowledged.
async fn insist(ledger: &Ledger) -> Position {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ledger.append(write(new_id(), 0, &["a"])).await {
            Ok(appended) => return appended.last,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_outlives_the_death_of_its_server() {
    let mut server = PrivateServer::start().await.unwrap();
    let (ledger, tasks) = opened(&server).await;
    let (other, other_tasks) = opened(&server).await;
    let mut acknowledged = vec![insist(&ledger).await];
    for is_killed in [true, false] {
        // Questions leave connections behind that lead nowhere afterwards.
        ledger.for_questions().read(Position(0), 10).await.unwrap();
        if is_killed {
            server.kill().await.unwrap();
        } else {
            server.stop();
        }
        let refused = ledger.append(write(new_id(), 0, &["a"])).await;
        assert!(matches!(refused, Err(AppendError::Store(_))), "{refused:?}");
        server.start_again().await.unwrap();

        acknowledged.push(insist(&ledger).await);
        assert!(ledger.went_back().is_none());
        ledger.for_questions().read(Position(0), 10).await.unwrap();
        // What another process does is heard of again.
        let appended = insist(&other).await;
        acknowledged.push(appended);
        let mut head = ledger.subscribe();
        let heard = head.wait_for(|head| *head >= appended);
        timeout(PATIENCE, heard).await.unwrap().unwrap();
    }
    let kept = everything(&ledger).await;
    assert!(acknowledged.iter().all(|position| kept.iter().any(|it| it.position == *position)));
    tasks.end().await;
    other_tasks.end().await;
}

/// Waits until it is seen that the ledger is another.
async fn noticed(ledger: &Ledger) -> StoreError {
    let mut head = ledger.subscribe();
    let noticed = head.wait_for(|_| ledger.went_back().is_some());
    drop(timeout(PATIENCE, noticed).await.unwrap().unwrap());
    ledger.went_back().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_went_back_is_not_written_to() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    for _ in 0..5 {
        insist(&test.ledger).await;
    }
    let mut tail = test.ledger.tail(Position(5));
    let go_back = "WITH gone AS (DELETE FROM messages WHERE position > 3)
        UPDATE ledger_head SET position = 3";
    meddle(&test.place.database, go_back).await;

    let told = noticed(&test.ledger).await;
    assert!(matches!(told, StoreError::WentBack { known: 5, found: 3 }), "{told:?}");
    let refused = test.ledger.append(write(new_id(), 0, &["a"])).await;
    assert!(matches!(refused, Err(AppendError::Store(StoreError::WentBack { .. }))));
    let halted = timeout(PATIENCE, tail.next(1)).await.unwrap();
    assert!(matches!(halted, Err(StoreError::WentBack { .. })));
    assert_eq!(number(&test.place.database, "SELECT count(*) FROM messages").await, 3);

    // Whoever is started now takes it as it is.
    let (anew, tasks) = test.another(LedgerOptions::default()).await.unwrap();
    assert_eq!(insist(&anew).await, Position(4));
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_that_was_written_to_is_noticed() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    for _ in 0..3 {
        insist(&test.ledger).await;
    }
    // As far as before, and farther: but not with the same messages.
    meddle(
        &test.place.database,
        "UPDATE messages SET message_id = gen_random_uuid() WHERE position = 3",
    )
    .await;
    let told = noticed(&test.ledger).await;
    assert!(matches!(told, StoreError::WentBack { known: 3, found: 3 }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_connection_to_an_older_copy() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    for _ in 0..5 {
        insist(&test.ledger).await;
    }
    // As a fail-over does it: every connection is lost, and leads to the copy then.
    meddle(
        &test.place.database,
        "DO $$ BEGIN
            DELETE FROM messages WHERE position > 2;
            UPDATE ledger_head SET position = 2;
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid();
        END $$",
    )
    .await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = test.ledger.append(write(new_id(), 0, &["a"])).await.unwrap_err();
        if matches!(refused, AppendError::Store(StoreError::WentBack { .. })) {
            break;
        }
        assert!(Instant::now() < deadline, "{refused:?}");
    }
    let place = test.place.connect().await.unwrap();
    assert_eq!(number(&place, "SELECT count(*) FROM messages").await, 2);
}

/// A database with few connections, for which nobody waits long.
async fn narrow(url: &str) -> Database {
    let limits = PoolLimits {
        connections: 2,
        statement_timeout: Duration::from_millis(200),
        acquire_timeout: Duration::from_millis(200),
    };
    let options = PostgresOptions {
        work: PoolLimits { acquire_timeout: PATIENCE, ..limits },
        questions: limits,
        ..PostgresOptions::new(url)
    };
    Database::postgres_with(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_keeps_nobody_else_waiting() {
    let place = fresh_postgres().await.unwrap();
    let clock = mallbots_eventstore::clock::Clock::System;
    let database = narrow(&place.address()).await;
    let (ledger, tasks) = open(database.clone(), &clock, LedgerOptions::default()).await.unwrap();
    let id = new_id();
    // All connections for questions are taken.
    let held = (database.read.begin().await.unwrap(), database.read.begin().await.unwrap());
    let refused = ledger.for_questions().read_stream(id.any(), Version(0), 1).await;
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");

    let work = async {
        ledger.append(write(id, 0, &["a"])).await.unwrap();
        assert_eq!(ledger.read(Position(0), 10).await.unwrap().len(), 1);
        ledger.save_checkpoints("flooded", &[(0, Position(1))]).await.unwrap();
        database.reserved.ping().await.unwrap();
    };
    timeout(PATIENCE, work).await.unwrap();
    drop(held);

    // All connections for work are taken.
    let _held = (database.write.begin().await.unwrap(), database.write.begin().await.unwrap());
    let (other, other_tasks) =
        open(place.connect().await.unwrap(), &clock, LedgerOptions::default()).await.unwrap();
    let appended = insist(&other).await;
    let health = async {
        database.reserved.ping().await.unwrap();
        ledger.subscribe().wait_for(|head| *head >= appended).await.map(drop).unwrap();
        ledger.for_questions().read_stream(id.any(), Version(0), 1).await.unwrap();
    };
    timeout(PATIENCE, health).await.unwrap();
    tasks.end().await;
    other_tasks.end().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let place = fresh_postgres().await.unwrap();
    let database = narrow(&place.address()).await;
    for connection in [&database.write, &database.read] {
        let sleep = connection.execute_unprepared("SELECT pg_sleep(60)");
        let ended = timeout(PATIENCE, sleep).await.unwrap().unwrap_err();
        assert!(ended.to_string().contains("statement timeout"), "{ended}");
    }
}

#[tokio::test]
async fn what_connects_does_not_show_its_password() {
    let options = PostgresOptions {
        replica_url: Some("postgres://mall:hunter3@replica/mall".to_owned()),
        ..PostgresOptions::new("postgres://mall:hunter2@primary/mall")
    };
    assert!(!format!("{options:?}").contains("hunter"));
}
