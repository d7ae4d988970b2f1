//! How things stand, found out when somebody looks.
//!
//! What is in memory is read each time. What only the database knows is asked
//! at most every few seconds, by one at a time, and not for long: while it is
//! away the last answers stand, and it is told how old they are.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use mallbots_domain::{
    saga::{SagaState, Steps},
    sagas::{cancel_order::CancelOrder, create_order::CreateOrder},
};
use mallbots_eventstore::{
    connect::Database,
    ledger::Ledger,
    message::Position,
    metrics::{Kind, Metric, seconds_since},
};
use mallbots_messaging::{
    intake::Origins,
    leases::LeaseKeeper,
    metrics as of_post,
    nats::Nats,
    post::Post,
    relay::{RelayState, RelayStatus},
};
use mallbots_projections::{metrics as of_library, parked, reads::Reads, sagas};
use tokio::{
    runtime::Handle,
    sync::{Mutex, watch},
    time::timeout,
};
use tracing::debug;

use super::number;
use crate::config::duties::Duties;

/// How long answers of the database are good.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the ledger ends.
pub const HEAD: Metric = Metric {
    name: "mallbots_ledger_head_position",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many messages does the ledger hold, as this process knows?",
};
/// Whether the ledger is another.
pub const WENT_BACK: Metric = Metric {
    name: "mallbots_ledger_went_back",
    kind: Kind::Gauge,
    labels: &[],
    help: "Has the database lost what this process has seen (1): does it refuse to go on?",
};
/// Connections there are.
pub const POOL_SIZE: Metric = Metric {
    name: "mallbots_database_connections",
    kind: Kind::Gauge,
    labels: &["database", "pool"],
    help: "How many connections does a pool have? On PostgreSQL one database (ledger) is for both; \
           a file has its own (views).",
};
/// Connections nobody uses.
pub const POOL_IDLE: Metric = Metric {
    name: "mallbots_database_connections_idle",
    kind: Kind::Gauge,
    labels: &["database", "pool"],
    help: "How many of them are idle?",
};
/// Connections there may be.
pub const POOL_MAX: Metric = Metric {
    name: "mallbots_database_connections_max",
    kind: Kind::Gauge,
    labels: &["database", "pool"],
    help: "How many may it have?",
};
/// Questions that failed.
pub const UNANSWERED: Metric = Metric {
    name: "mallbots_metrics_unanswered_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How often was the database asked for these numbers and did not answer in time?",
};
/// How old the answers are.
pub const ANSWERS_AGE: Metric = Metric {
    name: "mallbots_metrics_answers_age_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How old are those numbers that only the database knows: parked messages, sagas, timers?",
};
/// Tasks of the runtime.
pub const TASKS: Metric = Metric {
    name: "mallbots_runtime_tasks",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many tasks are alive in the process?",
};
/// Tasks that wait for a thread.
pub const QUEUE: Metric = Metric {
    name: "mallbots_runtime_queue",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many of them wait in the common queue for a thread?",
};
/// What runs.
pub const BUILD: Metric = Metric {
    name: "mallbots_build_info",
    kind: Kind::Gauge,
    labels: &["version", "roles", "database"],
    help: "Which version is it, with which roles, on which database? Always 1.",
};

/// All that is here.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static ALL: [Metric; 10] = [
        HEAD,
        WENT_BACK,
        POOL_SIZE,
        POOL_IDLE,
        POOL_MAX,
        UNANSWERED,
        ANSWERS_AGE,
        TASKS,
        QUEUE,
        BUILD,
    ];
    ALL.iter()
}

/// What is looked at.
#[derive(Debug)]
pub struct Watched {
    /// What the process does.
    pub duties: Duties,
    /// What happened.
    pub ledger: Ledger,
    /// What it looks like.
    pub views: Database,
    /// The NATS, if there is one.
    pub nats: Option<Nats>,
    /// The relay, if it may be here.
    pub relay: Option<watch::Receiver<RelayStatus>>,
    /// Who acts on messages here.
    pub post: Post,
    /// Who keeps this process's leases.
    pub keeper: LeaseKeeper,
    /// The library's counter, if somebody here reads or writes.
    pub reads: Option<Reads>,
    /// Where the projector's messages come from, if it may be here.
    pub projector: Option<Arc<Origins>>,
    /// What the database said last.
    pub answers: Mutex<Answers>,
}

/// What the database said last.
#[derive(Debug, Default)]
pub struct Answers {
    at: Option<Instant>,
    /// Since when what comes next waits, for those who are behind.
    since: HashMap<Position, i64>,
}

impl Watched {
    /// Looks at everything, in bounded time.
    pub async fn look(&self) {
        let behind = self.look_around();
        // If somebody else looks just now, that will do.
        let Ok(mut answers) = self.answers.try_lock() else { return };
        let is_good = answers.at.is_some_and(|at| at.elapsed() < GOOD_FOR);
        let unknown = behind.iter().any(|(_, position)| !answers.since.contains_key(position));
        if !is_good || unknown {
            match timeout(PATIENCE, self.ask(&behind, &mut answers, !is_good)).await {
                Ok(Ok(())) => {}
                failed => {
                    UNANSWERED.counter(&[]).increment(1);
                    if let Ok(Err(error)) = failed {
                        debug!(error = format!("{error:#}"), "metrics without an answer");
                    }
                }
            }
        }
        let age = answers.at.map_or(f64::INFINITY, |at| at.elapsed().as_secs_f64());
        ANSWERS_AGE.gauge(&[]).set(age);
        let now = self.ledger.now();
        for (whose, position) in behind {
            let since = answers.since.get(&position).copied();
            whose.set(since.map_or(0.0, |since| seconds_since(since, now)));
        }
    }

    /// What can be seen without asking. Says who is behind, and where.
    fn look_around(&self) -> Vec<(metrics::Gauge, Position)> {
        UNANSWERED.counter(&[]).increment(0);
        let head = self.ledger.head();
        HEAD.gauge(&[]).set(number(head.0));
        WENT_BACK.gauge(&[]).set(flag(self.ledger.went_back().is_some()));
        self.look_at_pools();
        let runtime = Handle::current().metrics();
        TASKS.gauge(&[]).set(count(runtime.num_alive_tasks()));
        QUEUE.gauge(&[]).set(count(runtime.global_queue_depth()));
        let database = match self.views.kind {
            mallbots_eventstore::connect::Backend::Sqlite => "sqlite",
            mallbots_eventstore::connect::Backend::Postgres => "postgresql",
        };
        let roles = self.duties.to_string();
        BUILD.gauge(&[env!("CARGO_PKG_VERSION"), &roles, database]).set(1.0);
        if let Some(nats) = &self.nats {
            of_post::NATS_CONNECTED.gauge(&[]).set(flag(nats.is_connected()));
        }
        for (lease, parts) in self.keeper.held() {
            of_post::LEASES.gauge(&[&lease]).set(count(parts));
        }

        let mut behind = Vec::new();
        let mut lag = |lag: &Metric, seconds: &Metric, labels: &[&str], at: Position| {
            lag.gauge(labels).set(number((head.0 - at.0).max(0)));
            let seconds = seconds.gauge(labels);
            if at < head {
                behind.push((seconds, at));
            } else {
                seconds.set(0.0);
            }
        };
        for (name, progress) in self.post.consumers() {
            let name: &str = name;
            of_post::PARTS.gauge(&[name]).set(count(progress.parts().len()));
            // Of what others do nothing is known here.
            let position = progress.position().unwrap_or(head);
            of_post::POSITION.gauge(&[name]).set(number(position.0));
            lag(&of_post::LAG, &of_post::LAG_SECONDS, &[name], position);
            look_at_origins(name, progress.origins());
        }
        if let Some(reads) = &self.reads {
            let position = reads.position();
            of_library::POSITION.gauge(&[]).set(number(position.0));
            lag(&of_library::LAG, &of_library::LAG_SECONDS, &[], position);
            of_library::HALTED.gauge(&[]).set(flag(reads.halted().is_some()));
            of_library::ON_REPLICA.gauge(&[]).set(flag(reads.is_on_replica()));
        }
        if let Some(origins) = &self.projector {
            look_at_origins(parked::CONSUMER, origins);
        }
        if let Some(relay) = &self.relay {
            let status = relay.borrow().clone();
            let is_standby = status.state == RelayState::Standby;
            let position = if is_standby { head } else { status.position };
            of_post::RELAY_POSITION.gauge(&[]).set(number(status.position.0));
            lag(&of_post::RELAY_LAG, &of_post::RELAY_LAG_SECONDS, &[], position);
            of_post::RELAY_PUBLISHED.counter(&[]).absolute(status.published);
            of_post::RELAY_REPUBLISHED.counter(&[]).absolute(status.republished);
            of_post::RELAY_OMITTED.counter(&[]).absolute(status.omitted);
            let now = state(&status.state);
            for name in STATES {
                of_post::RELAY_STATE.gauge(&[name]).set(flag(name == now));
            }
        }
        behind
    }

    fn look_at_pools(&self) {
        let ledger = self.ledger.database();
        let show = |database: &str, of: &Database| {
            for (pool, status) in of.pool_status() {
                POOL_SIZE.gauge(&[database, pool]).set(status.size);
                POOL_IDLE.gauge(&[database, pool]).set(status.idle);
                POOL_MAX.gauge(&[database, pool]).set(status.max);
            }
        };
        show("ledger", ledger);
        if self.views.path != ledger.path {
            show("views", &self.views);
        }
    }

    /// Asks the database: for everything, or only since when those wait who
    /// are behind.
    async fn ask(
        &self,
        behind: &[(metrics::Gauge, Position)],
        answers: &mut Answers,
        everything: bool,
    ) -> anyhow::Result<()> {
        let ledger = self.ledger.for_watching();
        answers.since.retain(|known, _| behind.iter().any(|(_, position)| position == known));
        let mut unknown: Vec<_> = behind.iter().map(|(_, position)| *position).collect();
        unknown.retain(|position| !answers.since.contains_key(position));
        unknown.dedup();
        if !unknown.is_empty() {
            answers.since.extend(ledger.waiting_since(&unknown).await?);
        }
        if !everything {
            return Ok(());
        }
        let now = self.ledger.now();
        let mut letters: HashMap<String, (i64, f64)> = Post::everything()
            .into_iter()
            .filter(|group| *group != Post::TIMERS)
            .map(|group| (group.to_owned(), (0, 0.0)))
            .collect();
        for parked in ledger.parked_standing().await? {
            letters.insert(parked.consumer, (parked.letters, seconds_since(parked.since, now)));
        }
        if let Some(reads) = &self.reads {
            let (parked, since) = parked::standing(reads).await?;
            let age = since.map_or(0.0, |since| seconds_since(since, now));
            letters.insert(parked::CONSUMER.to_owned(), (parked, age));
            self.ask_library(reads, now).await?;
        }
        for (consumer, (parked, age)) in letters {
            of_post::DEAD_LETTERS.gauge(&[&consumer]).set(number(parked));
            of_post::DEAD_LETTERS_AGE.gauge(&[&consumer]).set(age);
        }
        let timers = ledger.timers_standing().await?;
        of_post::TIMERS.gauge(&[]).set(number(timers.set));
        of_post::TIMERS_DUE.gauge(&[]).set(number(timers.due));
        let overdue = timers.first.map_or(0.0, |first| seconds_since(first, now));
        of_post::TIMERS_OVERDUE.gauge(&[]).set(overdue);
        answers.at = Some(Instant::now());
        Ok(())
    }

    async fn ask_library(&self, reads: &Reads, now: i64) -> anyhow::Result<()> {
        let standing = sagas::standing(reads).await?;
        for saga in [CreateOrder::NAME, CancelOrder::NAME] {
            for state in [SagaState::Running, SagaState::Compensating, SagaState::Stuck] {
                let is_it = |it: &&sagas::SagasStanding| it.name == saga && *it.state == state;
                let found = standing.iter().find(is_it);
                let age = found.map_or(0.0, |found| seconds_since(found.since, now));
                let labels = [saga, state.as_str()];
                of_library::SAGAS.gauge(&labels).set(number(found.map_or(0, |found| found.sagas)));
                of_library::SAGAS_AGE.gauge(&labels).set(age);
            }
        }
        for projection in reads.projections().await? {
            let done = projection.rebuilding.unwrap_or(1.0);
            of_library::REBUILD.gauge(&[projection.name]).set(done);
        }
        Ok(())
    }
}

fn look_at_origins(consumer: &str, origins: &Origins) {
    of_post::TAKEN_IN.counter(&[consumer, "stream"]).absolute(origins.delivered());
    of_post::TAKEN_IN.counter(&[consumer, "ledger"]).absolute(origins.read());
}

const STATES: [&str; 6] = ["standby", "disconnected", "looking", "running", "failing", "halted"];

const fn state(state: &RelayState) -> &'static str {
    match state {
        RelayState::Standby => "standby",
        RelayState::Disconnected => "disconnected",
        RelayState::Looking => "looking",
        RelayState::Running => "running",
        RelayState::Failing(_) => "failing",
        RelayState::Halted(_) => "halted",
    }
}

fn count(things: usize) -> f64 {
    number(i64::try_from(things).unwrap_or(i64::MAX))
}

fn flag(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}
