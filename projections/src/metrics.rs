//! What the library measures. How far the tables are is asked of
//! [`Reads`](crate::reads::Reads) when somebody looks; here are the names for
//! that, and what the projector times as it goes.

use std::collections::HashMap;

use mallbots_eventstore::metrics::{Kind, LATE, LONG, MANY, Metric, SHORT};
use metrics::{Counter, Histogram};

use crate::sagas::Took;

/// How many messages are taken in together.
pub const BATCH_MESSAGES: Metric = Metric {
    name: "mallbots_projector_batch_messages",
    kind: MANY,
    labels: &[],
    help: "How many messages does the projector take in with one transaction?",
};
/// How long that takes.
pub const BATCH_DURATION: Metric = Metric {
    name: "mallbots_projector_batch_duration_seconds",
    kind: SHORT,
    labels: &[],
    help: "How long does that take, from the first statement to the commit?",
};
/// How late messages are to be seen.
pub const DELAY: Metric = Metric {
    name: "mallbots_projector_delay_seconds",
    kind: LATE,
    labels: &[],
    help: "How long after the first message of a batch was recorded is it to be seen in the tables?",
};
/// What changed.
pub const ROWS: Metric = Metric {
    name: "mallbots_projector_rows_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How many rows did the projector change?",
};
/// Batches that were not taken in.
pub const SETBACKS: Metric = Metric {
    name: "mallbots_projector_setbacks_total",
    kind: Kind::Counter,
    labels: &["kind"],
    help: "How many times did the projector not get on: overtaken (another was faster), failed?",
};
/// How far the tables are.
pub const POSITION: Metric = Metric {
    name: "mallbots_projection_position",
    kind: Kind::Gauge,
    labels: &[],
    help: "Up to where is everything in the tables, as this process knows?",
};
/// How many messages they are behind.
pub const LAG: Metric = Metric {
    name: "mallbots_projection_lag_messages",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many messages of the ledger are not in the tables?",
};
/// How much time they are behind.
pub const LAG_SECONDS: Metric = Metric {
    name: "mallbots_projection_lag_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "Since when does the first message wait that is not in the tables?",
};
/// Whether they stand still for good.
pub const HALTED: Metric = Metric {
    name: "mallbots_projection_halted",
    kind: Kind::Gauge,
    labels: &[],
    help: "Is nothing written any more because the ledger has lost some of its history (1)?",
};
/// How far a rebuild is.
pub const REBUILD: Metric = Metric {
    name: "mallbots_projection_rebuild_ratio",
    kind: Kind::Gauge,
    labels: &["projection"],
    help: "How far is the rebuild of a read model, from 0 to 1? 1 when there is none.",
};
/// Whether the replica answers.
pub const ON_REPLICA: Metric = Metric {
    name: "mallbots_projection_on_replica",
    kind: Kind::Gauge,
    labels: &[],
    help: "Does the replica answer queries (1), or the primary (0)?",
};
/// Where sagas stand.
pub const SAGAS: Metric = Metric {
    name: "mallbots_sagas",
    kind: Kind::Gauge,
    labels: &["saga", "state"],
    help: "How many sagas are under way, by state: RUNNING, COMPENSATING, STUCK?",
};
/// How old the oldest is.
pub const SAGAS_AGE: Metric = Metric {
    name: "mallbots_sagas_oldest_age_seconds",
    kind: Kind::Gauge,
    labels: &["saga", "state"],
    help: "When did the oldest of them begin?",
};

/// How long sagas take.
pub const SAGA_DURATION: Metric = Metric {
    name: "mallbots_saga_duration_seconds",
    kind: LONG,
    labels: &["saga", "outcome"],
    help: "How long did sagas take from their start to their end, by outcome: completed, \
           compensated? Each is timed once, by the process that took its end in.",
};
/// How long their steps take.
pub const STEP_DURATION: Metric = Metric {
    name: "mallbots_saga_step_duration_seconds",
    kind: LONG,
    labels: &["saga", "step", "outcome"],
    help: "How long did their steps take from the first try to the answer, by outcome: succeeded, \
           refused, compensated? Compensating is timed by itself.",
};

/// All that this crate measures.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static ALL: [Metric; 15] = [
        BATCH_MESSAGES,
        BATCH_DURATION,
        DELAY,
        ROWS,
        SETBACKS,
        POSITION,
        LAG,
        LAG_SECONDS,
        HALTED,
        REBUILD,
        ON_REPLICA,
        SAGAS,
        SAGAS_AGE,
        SAGA_DURATION,
        STEP_DURATION,
    ];
    ALL.iter()
}

/// What the projector counts.
pub(crate) struct Tally {
    pub(crate) batch_messages: Histogram,
    pub(crate) batch_duration: Histogram,
    pub(crate) delay: Histogram,
    pub(crate) rows: Counter,
    pub(crate) overtaken: Counter,
    pub(crate) failed: Counter,
    /// By saga and outcome: made when the first of them ends.
    sagas: HashMap<(String, &'static str), Histogram>,
    /// By saga, step and outcome, likewise.
    steps: HashMap<(String, String, &'static str), Histogram>,
}

impl Tally {
    /// A saga, or a step of one, has ended.
    pub(crate) fn took(&mut self, took: Took) {
        let Took { saga, step, outcome, seconds } = took;
        let histogram = match step {
            None => {
                let key = (saga, outcome);
                self.sagas
                    .entry(key)
                    .or_insert_with_key(|(saga, outcome)| SAGA_DURATION.histogram(&[saga, outcome]))
            }
            Some(step) => {
                let key = (saga, step, outcome);
                self.steps.entry(key).or_insert_with_key(|(saga, step, outcome)| {
                    STEP_DURATION.histogram(&[saga, step, outcome])
                })
            }
        };
        histogram.record(seconds);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            batch_messages: BATCH_MESSAGES.histogram(&[]),
            batch_duration: BATCH_DURATION.histogram(&[]),
            delay: DELAY.histogram(&[]),
            rows: ROWS.counter(&[]),
            overtaken: SETBACKS.counter(&["overtaken"]),
            failed: SETBACKS.counter(&["failed"]),
            sagas: HashMap::new(),
            steps: HashMap::new(),
        }
    }
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tally")
    }
}
