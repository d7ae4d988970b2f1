//! What the post measures. How its parts stand is asked of them when somebody
//! looks; here are the names for that, and what is counted as it happens.

use std::{collections::HashMap, time::Duration};

use mallbots_eventstore::metrics::{Kind, LATE, Metric, SHORT, seconds_since};
use metrics::{Counter, Histogram};

use crate::consumer::Failure;

/// What became of messages.
pub const MESSAGES: Metric = Metric {
    name: "mallbots_consumer_messages_total",
    kind: Kind::Counter,
    labels: &["consumer", "name", "outcome"],
    help: "How many messages did each consumer deal with, by name and outcome: handled, parked, \
           behind (parked because an earlier one of the same key is)?",
};
/// How long handling takes.
pub const DURATION: Metric = Metric {
    name: "mallbots_consumer_message_duration_seconds",
    kind: SHORT,
    labels: &["consumer", "name"],
    help: "How long does handling a message take, its commit included, the last try of it?",
};
/// How late messages are handled.
pub const DELAY: Metric = Metric {
    name: "mallbots_consumer_delay_seconds",
    kind: LATE,
    labels: &["consumer"],
    help: "How long after it was recorded is a message handled?",
};
/// Tries that did not work.
pub const FAILURES: Metric = Metric {
    name: "mallbots_consumer_failures_total",
    kind: Kind::Counter,
    labels: &["consumer", "kind"],
    help: "How many tries to handle a message failed: unavailable (the machinery is away), failed, \
           poison, panic?",
};
/// What came again.
pub const REDELIVERED: Metric = Metric {
    name: "mallbots_consumer_redelivered_total",
    kind: Kind::Counter,
    labels: &["consumer"],
    help: "How many messages came again that were handled before?",
};
/// How far a consumer is.
pub const POSITION: Metric = Metric {
    name: "mallbots_consumer_position",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "Up to where has this process's part of a consumer dealt with everything?",
};
/// How many messages it is behind.
pub const LAG: Metric = Metric {
    name: "mallbots_consumer_lag_messages",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "How many messages of the ledger has this process's part of a consumer not dealt with?",
};
/// How much time it is behind.
pub const LAG_SECONDS: Metric = Metric {
    name: "mallbots_consumer_lag_seconds",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "Since when does the first message wait that this process's part has not dealt with?",
};
/// How much of a consumer's work is here.
pub const PARTS: Metric = Metric {
    name: "mallbots_consumer_parts",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "How many parts of a consumer's work does this process have (one without NATS, of four \
           with it)?",
};
/// How messages come.
pub const TAKEN_IN: Metric = Metric {
    name: "mallbots_consumer_taken_in_total",
    kind: Kind::Counter,
    labels: &["consumer", "origin"],
    help: "How many messages came by JetStream (stream), how many were read from the ledger?",
};
/// What is set aside.
pub const DEAD_LETTERS: Metric = Metric {
    name: "mallbots_dead_letters",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "How many messages are parked, for each consumer and the read models (views)?",
};
/// Since when.
pub const DEAD_LETTERS_AGE: Metric = Metric {
    name: "mallbots_dead_letters_oldest_age_seconds",
    kind: Kind::Gauge,
    labels: &["consumer"],
    help: "Since when does the oldest of them wait for somebody?",
};
/// How far the relay is.
pub const RELAY_POSITION: Metric = Metric {
    name: "mallbots_relay_position",
    kind: Kind::Gauge,
    labels: &[],
    help: "Up to where does the stream have everything, as the active relay knows?",
};
/// How many messages the relay is behind.
pub const RELAY_LAG: Metric = Metric {
    name: "mallbots_relay_lag_messages",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many messages of the ledger does the stream not have? Zero for one that stands by.",
};
/// How much time it is behind.
pub const RELAY_LAG_SECONDS: Metric = Metric {
    name: "mallbots_relay_lag_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "Since when does the first message wait that the stream does not have?",
};
/// What was published.
pub const RELAY_PUBLISHED: Metric = Metric {
    name: "mallbots_relay_published_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How many messages did this relay publish?",
};
/// What was published again.
pub const RELAY_REPUBLISHED: Metric = Metric {
    name: "mallbots_relay_republished_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How many of them had this relay published before: the stream had lost them?",
};
/// What was published without its content.
pub const RELAY_OMITTED: Metric = Metric {
    name: "mallbots_relay_omitted_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How many of them went without their content, too large for NATS?",
};
/// What the relay is doing.
pub const RELAY_STATE: Metric = Metric {
    name: "mallbots_relay_state",
    kind: Kind::Gauge,
    labels: &["state"],
    help: "What is the relay doing: 1 for one of standby, disconnected, looking, running, failing, \
           halted?",
};
/// Whether NATS is there.
pub const NATS_CONNECTED: Metric = Metric {
    name: "mallbots_nats_connected",
    kind: Kind::Gauge,
    labels: &[],
    help: "Is this process connected to NATS (1) or not (0)?",
};
/// What this process does for all.
pub const LEASES: Metric = Metric {
    name: "mallbots_leases_held",
    kind: Kind::Gauge,
    labels: &["lease"],
    help: "How many parts of what is divided among processes does this one have: relay, views, \
           tidying, timers, and each consumer's?",
};
/// What is to be said later.
pub const TIMERS: Metric = Metric {
    name: "mallbots_timers",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many timers are set?",
};
/// What should have been said.
pub const TIMERS_DUE: Metric = Metric {
    name: "mallbots_timers_due",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many timers are due and have not fired?",
};
/// How late the first is.
pub const TIMERS_OVERDUE: Metric = Metric {
    name: "mallbots_timers_overdue_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How late is the first timer that is due?",
};

/// All that this crate measures.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static ALL: [Metric; 24] = [
        MESSAGES,
        DURATION,
        DELAY,
        FAILURES,
        REDELIVERED,
        POSITION,
        LAG,
        LAG_SECONDS,
        PARTS,
        TAKEN_IN,
        DEAD_LETTERS,
        DEAD_LETTERS_AGE,
        RELAY_POSITION,
        RELAY_LAG,
        RELAY_LAG_SECONDS,
        RELAY_PUBLISHED,
        RELAY_REPUBLISHED,
        RELAY_OMITTED,
        RELAY_STATE,
        NATS_CONNECTED,
        LEASES,
        TIMERS,
        TIMERS_DUE,
        TIMERS_OVERDUE,
    ];
    ALL.iter()
}

/// What a desk counts. Only the desk does, so that nothing here is shared.
pub(crate) struct Tally {
    consumer: &'static str,
    by_name: HashMap<String, Named>,
    delay: Histogram,
    pub(crate) redelivered: Counter,
    pub(crate) failures: Failures,
}

struct Named {
    handled: Counter,
    parked: Counter,
    behind: Counter,
    duration: Histogram,
}

/// What became of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Became {
    Handled { took: Duration, recorded_at: i64, now: i64 },
    Parked,
    Behind,
}

impl Tally {
    pub(crate) fn of(consumer: &'static str) -> Self {
        Self {
            consumer,
            by_name: HashMap::new(),
            delay: DELAY.histogram(&[consumer]),
            redelivered: REDELIVERED.counter(&[consumer]),
            failures: Failures::of(consumer),
        }
    }

    /// A message is dealt with.
    pub(crate) fn became(&mut self, name: &str, became: Became) {
        if !self.by_name.contains_key(name) {
            let counter = |outcome| MESSAGES.counter(&[self.consumer, name, outcome]);
            let named = Named {
                handled: counter("handled"),
                parked: counter("parked"),
                behind: counter("behind"),
                duration: DURATION.histogram(&[self.consumer, name]),
            };
            self.by_name.insert(name.to_owned(), named);
        }
        let Some(named) = self.by_name.get(name) else { return };
        match became {
            Became::Handled { took, recorded_at, now } => {
                named.handled.increment(1);
                named.duration.record(took);
                self.delay.record(seconds_since(recorded_at, now));
            }
            Became::Parked => named.parked.increment(1),
            Became::Behind => named.behind.increment(1),
        }
    }
}

/// Counts tries that did not work. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Failures {
    unavailable: Counter,
    failed: Counter,
    poison: Counter,
    panic: Counter,
}

impl Failures {
    fn of(consumer: &'static str) -> Self {
        let counter = |kind| FAILURES.counter(&[consumer, kind]);
        Self {
            unavailable: counter("unavailable"),
            failed: counter("failed"),
            poison: counter("poison"),
            panic: counter("panic"),
        }
    }

    /// A try ended; with a panic if there is no outcome.
    pub(crate) fn count(&self, outcome: Option<&Result<(), Failure>>) {
        let counter = match outcome {
            Some(Ok(())) => return,
            Some(Err(Failure::Unavailable(_))) => &self.unavailable,
            Some(Err(Failure::Failed(_))) => &self.failed,
            Some(Err(Failure::Poison(_))) => &self.poison,
            None => &self.panic,
        };
        counter.increment(1);
    }
}
