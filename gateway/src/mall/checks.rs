//! How a process can tell that its rooms are well.

use mallbots_eventstore::ledger::Ledger;
use mallbots_messaging::{
    nats::Nats,
    relay::{RelayState, RelayStatus},
};
use mallbots_projections::reads::Reads;
use sea_orm::DatabaseConnection;
use tokio::sync::watch;

use crate::startup::Readiness;

/// How far the library may be behind before the process says it is not ready.
const MOST_LAG: i64 = 10_000;

pub(super) fn of_ledger(readiness: &Readiness, ledger: &Ledger) {
    let ledger = ledger.clone();
    readiness.register("ledger", move || {
        let ledger = ledger.clone();
        async move {
            if let Some(error) = ledger.went_back() {
                return Err(error.to_string());
            }
            let answer = ledger.database().reserved.ping().await;
            answer.map_err(|_| "the ledger does not answer".to_owned())
        }
    });
}

pub(super) fn of_library(
    readiness: &Readiness,
    ledger: &Ledger,
    reads: &Reads,
    views: DatabaseConnection,
) {
    let behind = (ledger.clone(), reads.clone());
    readiness.register("read models", move || {
        let (views, (ledger, reads)) = (views.clone(), behind.clone());
        async move {
            views.ping().await.map_err(|_| "the read models do not answer".to_owned())?;
            if let Some(halt) = reads.halted() {
                return Err(halt.to_string());
            }
            let lag = ledger.head().0 - reads.position().0;
            if lag > MOST_LAG {
                return Err(format!("the read models are {lag} messages behind"));
            }
            Ok(())
        }
    });
}

/// Without its replica the primary answers.
pub(super) fn of_replica(readiness: &Readiness, reads: &Reads) {
    let reads = reads.clone();
    readiness.register_helpful("replica", move || {
        let answers = reads.is_on_replica();
        async move {
            if answers {
                Ok(())
            } else {
                Err("it is behind or away: the primary answers queries".to_owned())
            }
        }
    });
}

/// Without NATS everything goes on, through the ledger.
pub(super) fn of_nats(readiness: &Readiness, nats: &Nats) {
    let nats = nats.clone();
    readiness.register_helpful("nats", move || {
        let is_there = nats.is_connected();
        async move {
            if is_there {
                Ok(())
            } else {
                Err("it is away: messages are read from the ledger".to_owned())
            }
        }
    });
}

/// A relay that does not get on costs time, too.
pub(super) fn of_relay(readiness: &Readiness, status: watch::Receiver<RelayStatus>) {
    readiness.register_helpful("relay", move || {
        let state = status.borrow().state.clone();
        async move {
            match state {
                RelayState::Failing(reason) | RelayState::Halted(reason) => Err(reason),
                RelayState::Disconnected => Err("nats is away".to_owned()),
                RelayState::Standby | RelayState::Looking | RelayState::Running => Ok(()),
            }
        }
    });
}
