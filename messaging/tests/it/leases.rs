//! Processes share what there is to do.

use std::{collections::BTreeSet, time::Duration};

use mallbots_eventstore::{
    connect::Backend,
    ledger::{Ledger, LedgerOptions},
};
use mallbots_messaging::leases::{LeaseKeeper, LeaseOptions, Share, holder_of};
use mallbots_testing::ledgers::{Tasks, TestLedger};
use tokio::task::JoinHandle;

use crate::mall::in_time;

/// Leases of processes that are quick to notice.
pub(crate) const QUICK: LeaseOptions =
    LeaseOptions { ttl: Duration::from_millis(1_500), every: Duration::from_millis(50) };

struct Process {
    keeper: LeaseKeeper,
    tasks: Tasks,
}

impl Process {
    fn start(ledger: &Ledger) -> Self {
        let tasks = Tasks::default();
        let keeper = LeaseKeeper::start(ledger, QUICK, &tasks.tracker, &tasks.shutdown);
        Self { keeper, tasks }
    }
}

/// Somebody who works on a share, and gives back what is asked for.
struct Worker {
    at_work: tokio::sync::watch::Receiver<BTreeSet<u8>>,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(mut share: Share, tasks: &Tasks) -> Self {
        let (sender, at_work) = tokio::sync::watch::channel(BTreeSet::new());
        let task = tasks.tracker.spawn(async move {
            loop {
                let held = share.held();
                let before = sender.send_replace(held.clone());
                for part in before.difference(&held) {
                    share.give_back(*part);
                }
                if !share.changed().await {
                    return;
                }
            }
        });
        Self { at_work, task }
    }

    async fn has(&self, parts: usize) -> BTreeSet<u8> {
        let mut at_work = self.at_work.clone();
        let has = at_work.wait_for(|at_work| at_work.len() == parts);
        in_time("a share", has).await.unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_gets_a_share_and_whoever_leaves_gives_it_back() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let one = Process::start(&test.ledger);
    let worker = Worker::start(one.keeper.share("depot", 4), &test.tasks);
    worker.has(4).await;

    let two = Process::start(&test.ledger);
    let second = Worker::start(two.keeper.share("depot", 4), &test.tasks);
    let (ours, theirs) = (worker.has(2).await, second.has(2).await);
    assert!(ours.is_disjoint(&theirs));
    // Another group's work is another matter.
    let elsewhere = Worker::start(two.keeper.share("sagas", 4), &test.tasks);
    elsewhere.has(4).await;

    second.task.abort();
    elsewhere.task.abort();
    two.tasks.end().await;
    worker.has(4).await;
    worker.task.abort();
    one.tasks.end().await;
    assert!(test.ledger.leases().await.unwrap().iter().all(|lease| lease.left.is_zero()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_without_a_word_is_replaced() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let (ledger, tasks) = test.another(LedgerOptions::default()).await.unwrap();
    let silent = Process::start(&ledger);
    let mut theirs = silent.keeper.hold("relay");
    in_time("the lease", theirs.wait_for(|held| *held)).await.unwrap();
    let one = Process::start(&test.ledger);
    let mut ours = one.keeper.hold("relay");

    // It cannot reach the database any more, as if it were cut off.
    ledger.database().close().await.unwrap();
    in_time("the other to notice", theirs.wait_for(|held| !*held)).await.unwrap();
    in_time("the lease", ours.wait_for(|held| *held)).await.unwrap();
    one.tasks.end().await;
    tasks.shutdown.cancel();
    silent.tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_does_what_is_done_for_all() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let processes: Vec<_> = (0..3).map(|_| Process::start(&test.ledger)).collect();
    let mut turns = Vec::new();
    for process in processes {
        turns.push((process.keeper.hold("timers"), process.tasks));
    }
    while !turns.is_empty() {
        let any = turns.iter_mut().map(|(held, _)| Box::pin(held.wait_for(|held| *held)));
        let (_, turn, _) =
            in_time("somebody to take it", futures_util::future::select_all(any)).await;
        assert_eq!(turns.iter().filter(|(held, _)| *held.borrow()).count(), 1);
        let (held, tasks) = turns.remove(turn);
        drop(held);
        tasks.end().await;
    }
}

#[tokio::test]
async fn whoever_is_alone_has_everything() {
    let keeper = LeaseKeeper::alone();
    assert!(*keeper.hold("timers").borrow());
    assert_eq!(keeper.share("depot", 4).held(), (0..4).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_held_is_free_at_once() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    let mut killed = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let holder = holder_of(killed.id()).unwrap();
    let (views, hour) = (["views".to_owned()], Duration::from_hours(1));
    test.ledger.hold_leases(&holder, &views, hour).await.unwrap();
    test.ledger.attend(&holder, &["depot".to_owned()], hour).await.unwrap();

    // As long as it is there nobody takes anything from it.
    let process = Process::start(&test.ledger);
    let mut turn = process.keeper.hold("views");
    let worker = Worker::start(process.keeper.share("depot", 4), &test.tasks);
    worker.has(2).await;
    assert!(!*turn.borrow());

    killed.kill().unwrap();
    killed.wait().unwrap();
    in_time("the turn", turn.wait_for(|turn| *turn)).await.unwrap();
    worker.has(4).await;
    worker.task.abort();
    drop(turn);
    process.tasks.end().await;
    test.tasks.end().await;
}
