//! The whole post in one process: a consumer for each context, the saga
//! runner, the notifier, the timers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mallbots_domain::{aggregate::Aggregate, saga::Saga};
use mallbots_eventstore::{connect::Backend, ledger::Ledger, message::Position};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{
    consumer::{self, ConsumerOptions, Handler, Office, Progress},
    inbound::{CONTEXTS, Inbound},
    intake::Carrier,
    leases::{LeaseKeeper, LeaseOptions},
    notifier::{Notifier, Notifying},
    ranges::RANGES,
    sagas::{SagaOptions, Sagas},
    timers,
};

/// How the post goes about it.
#[derive(Debug, Clone)]
pub struct PostOptions {
    /// For every consumer.
    pub consumer: ConsumerOptions,
    /// For sagas.
    pub sagas: SagaOptions,
    /// What this process does of all there is to do: [`Post::everything`] or
    /// some of it.
    pub groups: BTreeSet<&'static str>,
    /// How messages come.
    pub carrier: Carrier,
    /// Who keeps this process's leases. Without one the post keeps its own.
    pub keeper: Option<LeaseKeeper>,
}

impl Default for PostOptions {
    fn default() -> Self {
        Self {
            consumer: ConsumerOptions::default(),
            sagas: SagaOptions::default(),
            groups: Post::everything(),
            carrier: Carrier::default(),
            keeper: None,
        }
    }
}

/// A running post.
#[derive(Debug, Clone)]
pub struct Post {
    progress: Arc<BTreeMap<&'static str, Progress>>,
    /// How many parts there are of each consumer's work.
    parts: usize,
}

impl Post {
    /// Starts this process's part of it on `tracker`; it stops between
    /// messages at `shutdown`. A part that ends before that takes the process
    /// down with it.
    #[must_use]
    pub fn start(
        ledger: &Ledger,
        notifier: Notifier,
        options: &PostOptions,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let keeper = options.keeper.clone().unwrap_or_else(|| match ledger.database().kind {
            Backend::Sqlite => LeaseKeeper::alone(),
            Backend::Postgres => {
                LeaseKeeper::start(ledger, LeaseOptions::default(), tracker, shutdown)
            }
        });
        let office = Office { ledger: ledger.clone(), carrier: options.carrier.clone(), keeper };
        let does = |group: &str| options.groups.contains(group);
        let mut progress = BTreeMap::new();
        let post = Starting { office: &office, options, tracker, shutdown };
        for context in CONTEXTS.into_iter().filter(|context| does(context)) {
            post.consume(Inbound::new(ledger.clone(), context), &mut progress);
        }
        if does(Self::SAGAS) {
            post.consume(Sagas::new(ledger.clone(), options.sagas), &mut progress);
        }
        if does(Self::NOTIFIER) {
            post.consume(Notifying::new(ledger.clone(), notifier), &mut progress);
        }
        if does(Self::TIMERS) {
            let turn = office.keeper.hold(Self::TIMERS);
            post.spawn(Self::TIMERS, timers::run_in_turn(ledger.clone(), turn, shutdown.clone()));
        }
        let parts = match options.carrier {
            Carrier::Ledger => 1,
            Carrier::JetStream(_) => usize::from(RANGES),
        };
        Self { progress: Arc::new(progress), parts }
    }

    /// Up to where each consumer has handled or parked everything that is
    /// this process's. Consumers of which nothing is are left out.
    #[must_use]
    pub fn progress(&self) -> BTreeMap<&'static str, Position> {
        let positions = self.progress.iter();
        positions.filter_map(|(name, progress)| Some((*name, progress.position()?))).collect()
    }

    /// The same, part by part.
    #[must_use]
    pub fn consumers(&self) -> &BTreeMap<&'static str, Progress> {
        &self.progress
    }

    /// The saga runner's name among the consumers.
    pub const SAGAS: &'static str = Saga::CONTEXT;
    /// The name of who tells customers.
    pub const NOTIFIER: &'static str = "notifier";
    /// The name of who says what is due.
    pub const TIMERS: &'static str = "timers";

    /// All there is to do: every context, the sagas, the notifier, the timers.
    #[must_use]
    pub fn everything() -> BTreeSet<&'static str> {
        CONTEXTS.into_iter().chain([Self::SAGAS, Self::NOTIFIER, Self::TIMERS]).collect()
    }

    /// Waits until all that its consumers have to do is this process's.
    pub async fn has_everything(&self) {
        for progress in self.progress.values() {
            progress.has(self.parts).await;
        }
    }

    /// Waits until nothing is left to do: every consumer has dealt with all
    /// that is this process's of what the ledger holds. Timers that are not
    /// due do not count.
    pub async fn settle(&self, ledger: &Ledger) {
        loop {
            let head = ledger.head();
            for progress in self.progress.values() {
                progress.reaches(head).await;
            }
            if ledger.head() == head {
                return;
            }
        }
    }
}

struct Starting<'a> {
    office: &'a Office,
    options: &'a PostOptions,
    tracker: &'a TaskTracker,
    shutdown: &'a CancellationToken,
}

impl Starting<'_> {
    fn consume<H: Handler>(&self, handler: H, progress: &mut BTreeMap<&'static str, Progress>) {
        let (name, parts) = (handler.name(), Progress::default());
        progress.insert(name, parts.clone());
        self.spawn(
            name,
            consumer::run(
                self.office.clone(),
                Arc::new(handler),
                self.options.consumer.clone(),
                parts,
                self.shutdown.clone(),
            ),
        );
    }

    fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move {
            // However it ends, by a panic too.
            let _down = shutdown.clone().drop_guard();
            match task.await {
                Ok(()) if shutdown.is_cancelled() => {}
                Ok(()) => error!(task.name = name, "stopped early"),
                Err(error) => error!(task.name = name, error = format!("{error:#}"), "failed"),
            }
        });
    }
}
