//! What is left when a process is killed.

use std::{
    io::{BufRead, BufReader, Write, stdin, stdout},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    answers::IdempotencyKey,
    clock::Clock,
    connect::{Backend, Database, Durability},
    ledger::{Ledger, LedgerOptions, Moment, Probe},
    message::Metadata,
};
use mallbots_testing::{
    databases::{FreshDatabase, fresh},
    ledgers::Tasks,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::tally::{Tally, count, everything, metadata, new_id, notes, number, open};

/// What the process that is to be killed does.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Orders {
    backend: String,
    address: String,
    /// The stream it counts on, or none for many streams by many tasks.
    stream: Option<BasketId>,
    /// At which of its commits it dies, and when about it.
    dies: Option<(u32, bool)>,
}

/// The process that is to be killed: this test, run by the others.
#[test]
#[ignore = "is run by the tests that kill it"]
fn victim() {
    let mut orders = String::new();
    stdin().read_line(&mut orders).unwrap();
    let Ok(orders) = serde_json::from_str::<Orders>(&orders) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(obey(orders));
}

async fn obey(orders: Orders) {
    let database = match &*orders.backend {
        "sqlite" => {
            let path = Path::new(&orders.address).join("ledger.db");
            Database::sqlite(&path, Durability::Full).await.unwrap()
        }
        _ => Database::postgres(&orders.address, 8).await.unwrap(),
    };
    let commits = AtomicU32::new(0);
    let dies = orders.dies;
    let probe = Probe::new(move |moment| {
        let Some((at, after_commit)) = dies else { return };
        let is_it = match moment {
            Moment::BeforeCommit => {
                commits.fetch_add(1, Ordering::SeqCst) + 1 == at && !after_commit
            }
            Moment::AfterCommit => commits.load(Ordering::SeqCst) == at && after_commit,
            Moment::Handled => false,
        };
        if is_it {
            let process = std::process::id().to_string();
            Command::new("kill").args(["-9", &process]).status().unwrap();
        }
    });
    let tasks = Tasks::default();
    let options = LedgerOptions { probe: Some(probe), ..LedgerOptions::default() };
    let ledger =
        Ledger::open(database, Clock::System, &tasks.tracker, tasks.shutdown.clone(), options)
            .await
            .unwrap();
    if let Some(id) = orders.stream {
        for number in 1.. {
            count_once(&ledger, id, number).await;
            acknowledge(id, number);
        }
    }
    let counting: Vec<_> = (0..16)
        .map(|_| {
            let ledger = ledger.clone();
            tasks.tracker.spawn(async move {
                let id = new_id();
                ledger.execute::<Tally>(id, open(i64::MAX), &metadata()).await.unwrap();
                acknowledge(id, 1);
                for number in 2.. {
                    ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
                    acknowledge(id, number);
                }
            })
        })
        .collect();
    for task in counting {
        task.await.unwrap();
    }
}

/// Counts for the nth time: asked again, it is not counted again.
async fn count_once(ledger: &Ledger, id: BasketId, number: i64) -> bool {
    let key = IdempotencyKey {
        caller: "client".to_owned(),
        key: number.to_string(),
        fingerprint: "count".to_owned(),
    };
    let metadata = Metadata::begin("client", Uuid::now_v7());
    let work = ledger.transact_once(&metadata, Some(&key), |unit| {
        async move {
            if unit.load::<Tally>(id).await?.limit.is_none() {
                unit.decide::<Tally>(id, open(i64::MAX)).await?;
            } else {
                unit.decide::<Tally>(id, count()).await?;
            }
            Ok(())
        }
        .boxed()
    });
    work.await.unwrap().replayed
}

fn acknowledge(id: BasketId, version: i64) {
    // Past the test harness, which would keep it for itself.
    let mut out = stdout();
    writeln!(out, "\nack {id} {version}").unwrap();
}

/// Runs the victim and returns it with what it says.
fn run(orders: &Orders) -> (Child, impl Iterator<Item = (BasketId, i64)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::victim", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut orders = serde_json::to_string(orders).unwrap();
    orders.push('\n');
    child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = said.map_while(Result::ok).filter_map(|line| {
        let (id, version) = line.strip_prefix("ack ")?.split_once(' ')?;
        Some((id.parse().ok()?, version.parse().ok()?))
    });
    (child, said)
}

async fn orders(kind: Backend) -> (FreshDatabase, Orders) {
    let place = fresh(kind).await.unwrap();
    let backend = match kind {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    let orders =
        Orders { backend: backend.to_owned(), address: place.address(), stream: None, dies: None };
    (place, orders)
}

async fn open_again(place: &FreshDatabase) -> (Ledger, Tasks) {
    if place.database.kind == Backend::Postgres {
        // What the victim asked for last may still be done after its death.
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND state <> 'idle'";
        while number(&place.database, busy).await > 0 {}
    }
    let tasks = Tasks::default();
    let ledger = Ledger::open(
        place.connect().await.unwrap(),
        Clock::System,
        &tasks.tracker,
        tasks.shutdown.clone(),
        LedgerOptions::default(),
    );
    (ledger.await.unwrap(), tasks)
}

/// Dies at the fifth commit, and is asked again for what it did not answer.
async fn dies_at_a_commit(kind: Backend, after_commit: bool) {
    let (place, orders) = orders(kind).await;
    let id = new_id();
    let orders = Orders { stream: Some(id), dies: Some((5, after_commit)), ..orders };
    let (mut child, said) = run(&orders);
    let acknowledged = said.count();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(acknowledged, 4);

    let (ledger, tasks) = open_again(&place).await;
    let written = everything(&ledger).await.len();
    assert_eq!(written, if after_commit { 5 } else { 4 });
    assert_eq!(notes(&ledger, id).await.len(), written);
    assert_eq!(ledger.head().0, i64::try_from(written).unwrap());

    // The client has no answer and asks again.
    assert_eq!(count_once(&ledger, id, 5).await, after_commit);
    assert_eq!(everything(&ledger).await.len(), 5);
    assert_eq!(ledger.load::<Tally>(id).await.unwrap().state.count, 4);
    tasks.end().await;
}

/// Dies at any moment, several times over.
async fn dies_at_any_moment(kind: Backend) {
    let (place, orders) = orders(kind).await;
    let mut acknowledged: Vec<(BasketId, i64)> = Vec::new();
    for patience in [1, 7, 40, 133, 300] {
        let (mut child, mut said) = run(&orders);
        acknowledged.extend(said.by_ref().take(patience));
        child.kill().unwrap();
        // What it said before it died counts too.
        acknowledged.extend(said);
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let (ledger, tasks) = open_again(&place).await;
        let all = everything(&ledger).await;
        assert_eq!(ledger.head().0, i64::try_from(all.len()).unwrap());
        for (id, version) in &acknowledged {
            let events = notes(&ledger, *id).await;
            assert!(events.len() >= usize::try_from(*version).unwrap(), "{id} at {version}");
            // And each stream ends with at most one that nobody was told of.
            let said = acknowledged.iter().filter(|(other, _)| other == id).count();
            assert!(events.len() <= said + 1, "{id}: {} of {said}", events.len());
        }
        let streams: std::collections::HashSet<_> = all.iter().map(|it| it.stream).collect();
        for stream in streams {
            notes(&ledger, BasketId::from_uuid(stream.uuid)).await;
        }
        tasks.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_before_a_commit() {
    dies_at_a_commit(Backend::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_after_a_commit() {
    dies_at_a_commit(Backend::Sqlite, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_at_any_moment() {
    dies_at_any_moment(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_before_a_commit() {
    dies_at_a_commit(Backend::Postgres, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_after_a_commit() {
    dies_at_a_commit(Backend::Postgres, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_at_any_moment() {
    dies_at_any_moment(Backend::Postgres).await;
}
