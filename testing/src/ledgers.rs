//! A ledger for one test, and a clock that stands still.

use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database},
    ledger::{Ledger, LedgerOptions},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::databases::{FreshDatabase, fresh};

/// When tests begin: microseconds since the Unix epoch, some day in 2023.
pub const BEGINNING: i64 = 1_700_000_000_000_000;

/// An open ledger on a database of its own.
#[derive(Debug)]
pub struct TestLedger {
    /// The ledger.
    pub ledger: Ledger,
    /// Its clock.
    pub clock: Clock,
    /// Its tasks, and those a test may want to add.
    pub tasks: Tasks,
    /// Where it is kept.
    pub place: FreshDatabase,
}

/// Tasks, and how to end them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    /// Knows them.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

impl Tasks {
    /// Ends them and waits until they have ended.
    pub async fn end(&self) {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl TestLedger {
    /// A ledger with nothing in it.
    pub async fn open(kind: Backend) -> anyhow::Result<Self> {
        Self::open_with(kind, LedgerOptions::default()).await
    }

    /// The same, that keeps house differently.
    pub async fn open_with(kind: Backend, options: LedgerOptions) -> anyhow::Result<Self> {
        let place = fresh(kind).await?;
        let clock = Clock::manual(BEGINNING);
        let (ledger, tasks) = open(place.database.clone(), &clock, options).await?;
        Ok(Self { ledger, clock, tasks, place })
    }

    /// A second ledger on the same database, as another process would have it.
    /// Only on PostgreSQL; on SQLite it is refused.
    pub async fn another(&self, options: LedgerOptions) -> anyhow::Result<(Ledger, Tasks)> {
        open(self.place.connect().await?, &self.clock, options).await
    }

    /// Closes it and opens it again, with nothing left in memory.
    pub async fn reopen(self, options: LedgerOptions) -> anyhow::Result<Self> {
        let Self { ledger, clock, tasks, mut place } = self;
        tasks.end().await;
        drop(ledger);
        place.database.close().await?;
        place.database = place.connect().await?;
        let (ledger, tasks) = open(place.database.clone(), &clock, options).await?;
        Ok(Self { ledger, clock, tasks, place })
    }

    /// Closes it.
    pub async fn close(self) -> anyhow::Result<FreshDatabase> {
        self.tasks.end().await;
        Ok(self.place)
    }
}

/// Opens the ledger of a database, whose tables must be there.
pub async fn open(
    database: Database,
    clock: &Clock,
    options: LedgerOptions,
) -> anyhow::Result<(Ledger, Tasks)> {
    let tasks = Tasks::default();
    let shutdown = tasks.shutdown.clone();
    let ledger = Ledger::open(database, clock.clone(), &tasks.tracker, shutdown, options).await?;
    Ok((ledger, tasks))
}
