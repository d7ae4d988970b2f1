//! What is measured, and how each measure is described: a metric is used
//! through its entry in a list, so that none is without a name, a unit and a
//! question it answers. `docs/observability.md` is written from these lists.
//!
//! Here only the facade is spoken. Whether anybody counts is decided by the
//! process, before it opens its rooms: handles that are made earlier count for
//! nobody.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Unit};

use crate::{
    error::AppendError,
    message::{MessageKind, Recorded},
};

/// What is counted, shown or timed under one name.
#[derive(Debug)]
pub struct Metric {
    /// Its name: `mallbots_`, what it is about, its unit; `_total` for counters.
    pub name: &'static str,
    /// Of which kind it is.
    pub kind: Kind,
    /// By what it is divided. Each has few values, never an id.
    pub labels: &'static [&'static str],
    /// The question that it answers, for people.
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from the start of the process.
    Counter,
    /// How something is now.
    Gauge,
    /// How often which values were seen, by the upper ends of these buckets.
    Histogram(&'static [f64]),
}

/// Buckets for what should take milliseconds, in seconds.
pub const SHORT: Kind = Kind::Histogram(&[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
]);
/// Buckets for how late something is, in seconds.
pub const LATE: Kind = Kind::Histogram(&[
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
]);
/// Buckets for what may wait for somebody, in seconds.
pub const LONG: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
]);
/// Buckets for how many come together.
pub const MANY: Kind =
    Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0]);

const SOURCE: Metadata<'static> = Metadata::new("mallbots", Level::INFO, None);

impl Metric {
    /// Its unit, as its name says it.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        match name.rsplit_once('_') {
            Some((_, "seconds")) => "seconds",
            Some((_, "bytes")) => "bytes",
            Some((_, "ratio")) => "ratio",
            Some(_) | None => "",
        }
    }

    /// Tells the recorder what it is.
    pub fn describe(&self) {
        let (name, help) = (KeyName::from_const_str(self.name), self.help.into());
        let unit = match self.unit() {
            "seconds" => Some(Unit::Seconds),
            "bytes" => Some(Unit::Bytes),
            _ => None,
        };
        metrics::with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.describe_counter(name, unit, help),
            Kind::Gauge => recorder.describe_gauge(name, unit, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
        });
    }

    /// Counts, with a value for each label.
    pub fn counter(&self, values: &[&str]) -> Counter {
        metrics::with_recorder(|it| it.register_counter(&self.key(values), &SOURCE))
    }

    /// Shows, with a value for each label.
    pub fn gauge(&self, values: &[&str]) -> Gauge {
        metrics::with_recorder(|it| it.register_gauge(&self.key(values), &SOURCE))
    }

    /// Times or sizes, with a value for each label.
    pub fn histogram(&self, values: &[&str]) -> Histogram {
        metrics::with_recorder(|it| it.register_histogram(&self.key(values), &SOURCE))
    }

    fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        let labels = self.labels.iter().zip(values);
        let labels = labels.map(|(label, value)| Label::new(*label, (*value).to_owned()));
        Key::from_parts(KeyName::from_const_str(self.name), labels.collect::<Vec<_>>())
    }
}

/// Something shown that goes up with what is there and down when it is dropped.
#[derive(Debug)]
pub struct Presence(Gauge);

impl Presence {
    /// One more.
    #[must_use]
    pub fn of(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// How long before `now` something was, both in microseconds of the clock, in
/// seconds; nothing if the clocks disagree.
#[must_use]
pub fn seconds_since(then: i64, now: i64) -> f64 {
    let passed = u64::try_from(now.saturating_sub(then)).unwrap_or_default();
    Duration::from_micros(passed).as_secs_f64()
}

/// How long an append takes, its wait for others included.
pub const APPEND_DURATION: Metric = Metric {
    name: "mallbots_ledger_append_duration_seconds",
    kind: SHORT,
    labels: &[],
    help: "How long does who appends wait, from asking until it is committed or refused?",
};
/// How long one transaction takes.
pub const BATCH_DURATION: Metric = Metric {
    name: "mallbots_ledger_batch_duration_seconds",
    kind: SHORT,
    labels: &[],
    help: "How long does one transaction of the appender take?",
};
/// How many appends share a transaction.
pub const BATCH_APPENDS: Metric = Metric {
    name: "mallbots_ledger_batch_appends",
    kind: MANY,
    labels: &[],
    help: "How many appends share a transaction?",
};
/// What became of appends.
pub const APPENDS: Metric = Metric {
    name: "mallbots_ledger_appends_total",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "What became of appends: written, conflict (a race was lost; it is decided again), \
           handled, answered, claimed, gone, failed?",
};
/// What was committed.
pub const MESSAGES: Metric = Metric {
    name: "mallbots_ledger_messages_total",
    kind: Kind::Counter,
    labels: &["kind", "name"],
    help: "How many messages did this process commit, by kind (event, command, reply) and name? \
           Each is counted once, by the process that wrote it.",
};

/// What people count of what happens, by the event it is counted from. Like
/// every message each is counted once in all processes, by the one that
/// committed it.
pub const MILESTONES: [(&str, Metric); 12] = [
    (
        "baskets.BasketStarted",
        milestone("mallbots_baskets_started_total", "How many baskets were started?"),
    ),
    (
        "baskets.BasketCheckedOut",
        milestone("mallbots_baskets_checked_out_total", "How many baskets were checked out?"),
    ),
    (
        "baskets.BasketCanceled",
        milestone("mallbots_baskets_canceled_total", "How many baskets were canceled?"),
    ),
    (
        "customers.CustomerRegistered",
        milestone("mallbots_customers_registered_total", "How many customers registered?"),
    ),
    (
        "ordering.OrderApproved",
        milestone("mallbots_orders_approved_total", "How many orders were approved?"),
    ),
    (
        "ordering.OrderRejected",
        milestone("mallbots_orders_rejected_total", "How many orders were turned down?"),
    ),
    (
        "ordering.OrderCanceled",
        milestone("mallbots_orders_canceled_total", "How many orders were called off?"),
    ),
    (
        "ordering.OrderCompleted",
        milestone("mallbots_orders_completed_total", "How many orders were handed over?"),
    ),
    (
        "sagas.StepStarted",
        milestone("mallbots_saga_steps_total", "How many steps did sagas take, back included?"),
    ),
    (
        "sagas.StepRetried",
        milestone("mallbots_saga_step_retries_total", "How many steps had to be tried again?"),
    ),
    (
        "sagas.CompensationStarted",
        milestone("mallbots_sagas_turned_back_total", "How many sagas turned back?"),
    ),
    (
        "sagas.SagaStuck",
        milestone("mallbots_sagas_stuck_total", "How many times did a saga get stuck?"),
    ),
];

const fn milestone(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels: &[], help }
}

/// How long one waits for a connection.
pub const POOL_WAIT: Metric = Metric {
    name: "mallbots_database_acquire_duration_seconds",
    kind: SHORT,
    labels: &["pool"],
    help: "How long does the ledger wait for a connection of a pool (work, questions, reserved)?",
};

/// All that this crate measures.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static OWN: [Metric; 6] =
        [APPEND_DURATION, BATCH_DURATION, BATCH_APPENDS, APPENDS, MESSAGES, POOL_WAIT];
    static MARKED: [(&str, Metric); 12] = MILESTONES;
    OWN.iter().chain(MARKED.iter().map(|(_, metric)| metric))
}

/// What the appender counts. It is one task, so that nothing here is shared.
pub(crate) struct Tally {
    pub(crate) batch_duration: Histogram,
    pub(crate) batch_appends: Histogram,
    outcomes: Outcomes,
    /// By kind and name: made when the first of them is written.
    messages: [HashMap<String, Counter>; 3],
    milestones: HashMap<&'static str, Counter>,
}

struct Outcomes {
    written: Counter,
    conflict: Counter,
    handled: Counter,
    answered: Counter,
    claimed: Counter,
    gone: Counter,
    failed: Counter,
}

impl Default for Tally {
    fn default() -> Self {
        let outcome = |name| APPENDS.counter(&[name]);
        Self {
            batch_duration: BATCH_DURATION.histogram(&[]),
            batch_appends: BATCH_APPENDS.histogram(&[]),
            outcomes: Outcomes {
                written: outcome("written"),
                conflict: outcome("conflict"),
                handled: outcome("handled"),
                answered: outcome("answered"),
                claimed: outcome("claimed"),
                gone: outcome("gone"),
                failed: outcome("failed"),
            },
            messages: Default::default(),
            milestones: MILESTONES.map(|(event, metric)| (event, metric.counter(&[]))).into(),
        }
    }
}

impl Tally {
    /// What became of an append.
    pub(crate) fn became<T>(&self, result: &Result<T, AppendError>) {
        let Outcomes { written, conflict, handled, answered, claimed, gone, failed } =
            &self.outcomes;
        let counter = match result {
            Ok(_) => written,
            Err(AppendError::Conflict { .. }) => conflict,
            Err(AppendError::Handled) => handled,
            Err(AppendError::Answered) => answered,
            Err(AppendError::Claimed { .. }) => claimed,
            Err(AppendError::Gone) => gone,
            Err(AppendError::Store(_)) => failed,
        };
        counter.increment(1);
    }

    /// A message is in the ledger.
    pub(crate) fn committed(&mut self, message: &Recorded) {
        let (place, kind) = match message.kind {
            MessageKind::Event => (0, "event"),
            MessageKind::Command => (1, "command"),
            MessageKind::Reply => (2, "reply"),
        };
        let counters = &mut self.messages[place];
        if let Some(counter) = counters.get(&message.name) {
            counter.increment(1);
        } else {
            let counter = MESSAGES.counter(&[kind, &message.name]);
            counter.increment(1);
            counters.insert(message.name.clone(), counter);
        }
        if message.kind == MessageKind::Event
            && let Some(milestone) = self.milestones.get(&*message.name)
        {
            milestone.increment(1);
        }
    }
}
