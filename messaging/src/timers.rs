//! Timers are rows; due ones become messages.

use std::time::Duration;

use mallbots_eventstore::{append::Append, error::AppendError, ledger::Ledger};
use tokio::{select, sync::watch, time};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{consumer::chain, envelope, retry::Backoff};

/// How many due timers are read at a time.
const BATCH: u32 = 256;
/// The longest sleep: other processes may have wound a timer meanwhile.
const LONGEST: Duration = Duration::from_secs(1);

/// Turns due timers into messages until shutdown, whenever it is this
/// process's turn.
pub async fn run_in_turn(
    ledger: Ledger,
    mut turn: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        select! {
            () = shutdown.cancelled() => return Ok(()),
            mine = turn.wait_for(|mine| *mine) => mine?,
        };
        let stop = shutdown.child_token();
        let over = async {
            // Nobody keeps it any more: it is over, too.
            let _ = turn.wait_for(|mine| !*mine).await;
            stop.cancel();
        };
        let (ended, _) =
            tokio::join!(run(ledger.clone(), stop.clone()), stop.run_until_cancelled(over));
        ended?;
    }
}

/// Turns due timers into messages until shutdown.
pub async fn run(ledger: Ledger, shutdown: CancellationToken) -> anyhow::Result<()> {
    let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };
    let mut failures = 0;
    let alarms = ledger.alarms();
    while !shutdown.is_cancelled() {
        // What is set between looking and waiting is kept for the wait.
        alarms.looking();
        let wait = match fire(&ledger).await {
            Ok(wait) => {
                failures = 0;
                wait
            }
            Err(error) => {
                failures += 1;
                warn!(error = chain(&error), "timers cannot fire");
                backoff.after(failures)
            }
        };
        select! {
            () = shutdown.cancelled() => break,
            () = alarms.before(ledger.now().saturating_add(micros(wait))) => {}
            () = time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// Fires what is due; says how long until the next.
async fn fire(ledger: &Ledger) -> Result<Duration, AppendError> {
    let now = ledger.now();
    let due = ledger.due_timers(now, BATCH).await?;
    let full = due.len() >= BATCH as usize;
    for timer in due {
        // The same timer wound anew for the same message is a new message.
        let take = timer.take();
        let metadata = timer.metadata.clone();
        let mut message = timer.message;
        message.message_id =
            envelope::derived(message.message_id, &format!("due at {}", timer.due_at));
        let fired = ledger
            .append(Append { messages: vec![message], takes: vec![take], ..Append::new(metadata) })
            .await;
        match fired {
            Ok(_) => {}
            Err(AppendError::Gone) => debug!("a timer was moved or cleared as it fired"),
            Err(error) => return Err(error),
        }
    }
    if full {
        return Ok(Duration::ZERO);
    }
    let next = ledger.next_timer().await?;
    let until = next.map_or(LONGEST, |due_at| {
        Duration::from_micros(u64::try_from(due_at - ledger.now()).unwrap_or_default())
    });
    Ok(until.min(LONGEST))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
