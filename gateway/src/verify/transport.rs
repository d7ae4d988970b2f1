//! What carries messages: what is on JetStream is the ledger's, and no lease is
//! held so long that nobody could take over. None of it is the truth; but it
//! says that somebody meddles, or that a clock is wrong.

use std::time::Duration;

use anyhow::Context;
use mallbots_eventstore::{leases::Lease, ledger::Ledger};
use mallbots_messaging::{
    audit::{StreamAudit, audit},
    nats::{Connection, Nats},
};
use tokio::time::timeout;

use super::{Check, chain, count};
use crate::config;

/// How long NATS may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// No process asks for a lease that lasts longer.
const LONGEST_LEASE: Duration = Duration::from_secs(30);

/// Looks at the end of the stream.
pub(super) async fn stream(
    settings: &config::nats::Nats,
    ledger: &Ledger,
) -> anyhow::Result<Check> {
    let mut check = Check::new("what is on JetStream is the ledger's");
    let nats = Nats::connect(&settings.options("mallbots verify".to_owned())).await;
    let nats = nats.context("connecting to NATS")?;
    let mut connection = nats.connection();
    let connected = connection.wait_for(|it| *it == Connection::Connected);
    if timeout(PATIENCE, connected).await.is_err() {
        check.note("NATS does not answer: nothing was compared");
        return Ok(check);
    }
    // A moment later than the stream, so that it has all that is there.
    let found = audit(&nats, ledger).await;
    nats.close().await;
    match found {
        Ok(Some(found)) => compared(&mut check, found, ledger),
        Ok(None) => check.note("there is no stream"),
        Err(error) => check.note(format!("nothing was compared: {}", chain(&error))),
    }
    Ok(check)
}

fn compared(check: &mut Check, found: StreamAudit, ledger: &Ledger) {
    let StreamAudit { looked_at, wrong, repeated, missing, last, pending } = found;
    check.checked = looked_at;
    for what in wrong {
        check.differs(what);
    }
    let behind = ledger.head().0 - last.0;
    if looked_at > 0 && behind > 0 {
        check.note(format!("the stream is {behind} messages behind the ledger"));
    }
    if missing > 0 {
        check.note(format!("{missing} are not there, and are read from the ledger"));
    }
    if repeated > 0 {
        check.note(format!("{repeated} are there more than once, and take effect once"));
    }
    let waiting: Vec<_> = pending.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !waiting.is_empty() {
        check.note(format!("to be delivered or acknowledged: {}", waiting.join(", ")));
    }
}

/// Looks at who may do what one process does for all.
pub(super) async fn leases(ledger: &Ledger) -> anyhow::Result<Check> {
    let mut check = Check::new("leases pass on within seconds");
    let leases = ledger.leases().await.context("reading the leases")?;
    let held = leases.iter().filter(|lease| !lease.left.is_zero()).count();
    for Lease { name, holder, fence, left } in &leases {
        check.saw();
        if *left > LONGEST_LEASE {
            check.differs(format!("{holder} holds {name} for {} s more", left.as_secs()));
        }
        if *fence < 1 {
            check.differs(format!("{name} was taken {fence} times"));
        }
    }
    if !leases.is_empty() {
        check.note(format!("{} of {} are held", count(held), count(leases.len())));
    }
    Ok(check)
}
