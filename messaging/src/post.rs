//! The whole post in one process: a consumer for each context, the saga
//! runner, the notifier, the timers.

use std::{collections::BTreeMap, sync::Arc};

use mallbots_domain::{aggregate::Aggregate, saga::Saga};
use mallbots_eventstore::{ledger::Ledger, message::Position};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{
    consumer::{self, ConsumerOptions, Handler},
    inbound::{CONTEXTS, Inbound},
    notifier::{Notifier, Notifying},
    sagas::{SagaOptions, Sagas},
    timers,
};

/// How the post goes about it.
#[derive(Debug, Clone, Default)]
pub struct PostOptions {
    /// For every consumer.
    pub consumer: ConsumerOptions,
    /// For sagas.
    pub sagas: SagaOptions,
}

/// A running post.
#[derive(Debug, Clone)]
pub struct Post {
    progress: Arc<BTreeMap<&'static str, watch::Receiver<Position>>>,
}

impl Post {
    /// Starts everything on `tracker`; it stops between messages at `shutdown`.
    /// A part that ends before that takes the process down with it.
    #[must_use]
    pub fn start(
        ledger: &Ledger,
        notifier: Notifier,
        options: &PostOptions,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let mut progress = BTreeMap::new();
        let post = Starting { ledger, options, tracker, shutdown };
        for context in CONTEXTS {
            post.consume(Inbound::new(ledger.clone(), context), &mut progress);
        }
        post.consume(Sagas::new(ledger.clone(), options.sagas), &mut progress);
        post.consume(Notifying::new(ledger.clone(), notifier), &mut progress);
        post.spawn("timers", timers::run(ledger.clone(), shutdown.clone()));
        Self { progress: Arc::new(progress) }
    }

    /// Up to where each consumer has handled or parked everything.
    #[must_use]
    pub fn progress(&self) -> BTreeMap<&'static str, Position> {
        self.progress.iter().map(|(name, position)| (*name, *position.borrow())).collect()
    }

    /// The saga runner's name among the consumers.
    pub const SAGAS: &'static str = Saga::CONTEXT;

    /// Waits until nothing is left to do: every consumer has dealt with all
    /// the ledger holds. Timers that are not due do not count.
    pub async fn settle(&self, ledger: &Ledger) {
        loop {
            let head = ledger.head();
            for position in self.progress.values() {
                let mut position = position.clone();
                // A consumer that is gone deals with nothing more.
                let _ = position.wait_for(|position| *position >= head).await;
            }
            if ledger.head() == head {
                return;
            }
        }
    }
}

struct Starting<'a> {
    ledger: &'a Ledger,
    options: &'a PostOptions,
    tracker: &'a TaskTracker,
    shutdown: &'a CancellationToken,
}

impl Starting<'_> {
    fn consume<H: Handler>(
        &self,
        handler: H,
        progress: &mut BTreeMap<&'static str, watch::Receiver<Position>>,
    ) {
        let name = handler.name();
        let (sender, receiver) = watch::channel(Position::default());
        progress.insert(name, receiver);
        self.spawn(
            name,
            consumer::run(
                self.ledger.clone(),
                Arc::new(handler),
                self.options.consumer.clone(),
                sender,
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
