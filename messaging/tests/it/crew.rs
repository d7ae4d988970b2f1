//! The consumers of the post one by one, so that a test can send some of them
//! home, hold what they are about to do, make it fail or have it done twice.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_eventstore::{
    append::{Append, NewMessage},
    ledger::Ledger,
    message::{MessageKind, Metadata, Position, Recorded},
};
use mallbots_messaging::{
    consumer::{self, ConsumerOptions, Delivery, Failure, Handler, Office, Progress},
    envelope,
    inbound::{CONTEXTS, Inbound},
    intake::Carrier,
    notifier::{Notifier, Notifying},
    post::PostOptions,
    ranges::RANGES,
    sagas::Sagas,
    timers,
};
use mallbots_testing::ledgers::Tasks;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::mall::in_time;

/// Chooses messages: of this consumer, this message?
type Choice = Arc<dyn Fn(&str, &Recorded) -> bool + Send + Sync>;

/// Where a test stands between the engine and the handlers.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<Rules>>);

#[derive(Default)]
struct Rules {
    holds: Vec<Hold>,
    faults: Vec<(Choice, u32)>,
    doubles: bool,
    /// Copies are not copied again.
    copies: HashSet<Uuid>,
}

/// Messages that are held before they are handled.
#[derive(Clone)]
pub(crate) struct Hold {
    choice: Choice,
    held: watch::Sender<usize>,
    open: CancellationToken,
}

impl Hold {
    /// Waits until a message is held.
    pub(crate) async fn reached(&self) {
        self.holds(1).await;
    }

    /// Waits until so many messages are held.
    pub(crate) async fn holds(&self, count: usize) {
        let mut held = self.held.subscribe();
        in_time("messages to be held", held.wait_for(|held| *held >= count)).await.unwrap();
    }

    /// Lets them go.
    pub(crate) fn release(&self) {
        self.open.cancel();
    }
}

impl Gate {
    /// Holds messages from now on, until they are released.
    pub(crate) fn hold(
        &self,
        choice: impl Fn(&str, &Recorded) -> bool + Send + Sync + 'static,
    ) -> Hold {
        let hold = Hold {
            choice: Arc::new(choice),
            held: watch::Sender::new(0),
            open: CancellationToken::new(),
        };
        self.0.lock().unwrap().holds.push(hold.clone());
        hold
    }

    /// Holds messages of this name.
    pub(crate) fn hold_named(&self, name: &'static str) -> Hold {
        self.hold(move |_, message| message.name == name)
    }

    /// Has the machinery away for the first tries of these messages.
    pub(crate) fn break_down(
        &self,
        times: u32,
        choice: impl Fn(&str, &Recorded) -> bool + Send + Sync + 'static,
    ) {
        self.0.lock().unwrap().faults.push((Arc::new(choice), times));
    }

    /// Has each command, reply and timer come twice from now on, the second
    /// time under an id of its own.
    pub(crate) fn double(&self) {
        self.0.lock().unwrap().doubles = true;
    }

    async fn pass(&self, consumer: &'static str, delivery: &Delivery) -> Result<(), Failure> {
        let message = &delivery.message;
        let (holds, is_away) = {
            let rules = self.0.lock().unwrap();
            let holds = rules.holds.iter().filter(|it| (it.choice)(consumer, message));
            let faults = rules.faults.iter().filter(|(choice, _)| choice(consumer, message));
            let is_away = faults.clone().any(|(_, times)| delivery.attempt <= *times);
            (holds.cloned().collect::<Vec<_>>(), is_away)
        };
        for hold in holds {
            hold.held.send_modify(|held| *held += 1);
            hold.open.cancelled().await;
        }
        if is_away { Err(Failure::Unavailable("away".to_owned())) } else { Ok(()) }
    }

    /// What to say once more, if this is not that.
    fn copy(&self, message: &Recorded) -> Option<NewMessage> {
        let mut rules = self.0.lock().unwrap();
        if !rules.doubles
            || message.kind == MessageKind::Event
            || rules.copies.contains(&message.message_id)
        {
            return None;
        }
        let copy = again(message);
        rules.copies.insert(copy.message_id);
        Some(copy)
    }
}

/// A message once more, under an id of its own.
pub(crate) fn again(message: &Recorded) -> NewMessage {
    NewMessage {
        kind: message.kind,
        stream: message.stream,
        name: message.name.clone(),
        message_id: envelope::derived(message.message_id, "again"),
        payload: message.payload.to_string(),
    }
}

/// A handler behind the gate.
struct Gated<H> {
    inner: H,
    gate: Gate,
    ledger: Ledger,
}

impl<H: Handler> Handler for Gated<H> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn key(&self, message: &Recorded) -> Option<Uuid> {
        self.inner.key(message)
    }

    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.gate.pass(self.name(), delivery).await?;
            self.inner.handle(delivery).await?;
            if let Some(copy) = self.gate.copy(&delivery.message) {
                let metadata = Metadata::begin("tester", Uuid::now_v7());
                let append = Append { messages: vec![copy], ..Append::new(metadata) };
                self.ledger.append(append).await.unwrap();
            }
            Ok(())
        }
        .boxed()
    }
}

/// A consumer at work.
pub(crate) struct Consumer {
    pub(crate) progress: Progress,
    parts: usize,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Consumer {
    /// Starts a consumer.
    pub(crate) fn start<H: Handler>(
        office: &Office,
        handler: Arc<H>,
        options: &ConsumerOptions,
        tasks: &Tasks,
    ) -> Self {
        let progress = Progress::default();
        let shutdown = tasks.shutdown.child_token();
        let running = consumer::run(
            office.clone(),
            handler,
            options.clone(),
            progress.clone(),
            shutdown.clone(),
        );
        let parts = match office.carrier {
            Carrier::Ledger => 1,
            Carrier::JetStream(_) => usize::from(RANGES),
        };
        Self { progress, parts, shutdown, task: tasks.tracker.spawn(running) }
    }

    /// Up to where everything is handled or parked.
    pub(crate) fn done_to(&self) -> Position {
        self.progress.position().unwrap_or_default()
    }

    /// Waits until all the ledger holds now is handled or parked.
    pub(crate) async fn caught_up(&self, ledger: &Ledger) {
        let head = ledger.head();
        in_time("a consumer to begin", self.progress.has(self.parts)).await;
        in_time("a consumer", self.progress.reaches(head)).await;
    }

    /// Waits until nothing is left to do.
    pub(crate) async fn settle(&self, ledger: &Ledger) {
        loop {
            let head = ledger.head();
            self.caught_up(ledger).await;
            if ledger.head() == head {
                return;
            }
        }
    }

    /// Stops it between messages.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        in_time("a consumer to stop", self.task).await.unwrap().unwrap();
    }

    /// Kills it: it saves nothing and finishes nothing.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// All consumers of the post and its timers, each behind the gate.
pub(crate) struct Crew {
    pub(crate) gate: Gate,
    ledger: Ledger,
    office: Office,
    options: PostOptions,
    tasks: Tasks,
    consumers: BTreeMap<&'static str, Consumer>,
}

/// Everybody's name.
pub(crate) fn everybody() -> impl Iterator<Item = &'static str> {
    CONTEXTS.into_iter().chain(["sagas", "notifier"])
}

impl Crew {
    /// Everybody comes to work, but for those named.
    pub(crate) fn start(office: Office, options: PostOptions, gate: Gate, but: &[&str]) -> Self {
        let ledger = office.ledger.clone();
        let tasks = Tasks::default();
        tasks.tracker.spawn(timers::run(ledger.clone(), tasks.shutdown.clone()));
        let consumers = BTreeMap::new();
        let mut crew = Self { gate, ledger, office, options, tasks, consumers };
        for name in everybody().filter(|name| !but.contains(name)) {
            crew.call_in(name);
        }
        crew
    }

    /// Somebody comes to work.
    pub(crate) fn call_in(&mut self, name: &'static str) {
        let ledger = self.ledger.clone();
        let consumer = match name {
            "sagas" => self.employ(Sagas::new(ledger, self.options.sagas)),
            "notifier" => self.employ(Notifying::new(ledger, Notifier::Log)),
            context => self.employ(Inbound::new(ledger, context)),
        };
        self.consumers.insert(name, consumer);
    }

    fn employ<H: Handler>(&self, inner: H) -> Consumer {
        let gated = Gated { inner, gate: self.gate.clone(), ledger: self.ledger.clone() };
        Consumer::start(&self.office, Arc::new(gated), &self.options.consumer, &self.tasks)
    }

    /// Waits until nothing is left to do for those who are at work.
    pub(crate) async fn settle(&self) {
        loop {
            let head = self.ledger.head();
            for consumer in self.consumers.values() {
                consumer.caught_up(&self.ledger).await;
            }
            if self.ledger.head() == head {
                return;
            }
        }
    }

    /// Everybody goes home, once what they have at hand is done.
    pub(crate) async fn end(&self) {
        in_time("everybody to go home", self.tasks.end()).await;
    }
}

/// How the tests go about it: impatient, and saving checkpoints only in the end.
pub(crate) fn impatient() -> ConsumerOptions {
    ConsumerOptions {
        attempts: 3,
        backoff: mallbots_messaging::retry::Backoff {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(5),
        },
        checkpoint_every: Duration::from_hours(1),
        linger: Duration::ZERO,
        ..ConsumerOptions::default()
    }
}
