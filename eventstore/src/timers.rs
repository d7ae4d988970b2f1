//! Timers that are due.

use std::sync::atomic::{AtomicI64, Ordering};

use mallbots_domain::id::AnyId;
use sea_orm::sqlx::Error;
use tokio::sync::Notify;

use crate::{
    append::{NewMessage, Take},
    error::StoreError,
    ledger::Ledger,
    message::Metadata,
    sql::{self, Arg, Columns, parse},
};

/// A timer whose time has come. It stays until an append takes it.
#[derive(Debug, Clone)]
pub struct DueTimer {
    /// Whose timer.
    pub owner: AnyId,
    /// Which of its timers.
    pub name: String,
    /// When it was due, in microseconds since the Unix epoch.
    pub due_at: i64,
    /// What to say now.
    pub message: NewMessage,
    /// Who set it and why.
    pub metadata: Metadata,
}

impl DueTimer {
    /// What the append that fires it must take, so that it fires once.
    #[must_use]
    pub fn take(&self) -> Take {
        Take::Timer { owner: self.owner, name: self.name.clone(), due_at: self.due_at }
    }
}

/// Wakes the one who looks for due timers when one is set that cannot wait
/// until they look anyway. Most can: a saga sets a timer with every step.
#[derive(Debug)]
pub struct Alarms {
    rings: Notify,
    /// By when they look anyway.
    by: AtomicI64,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { rings: Notify::new(), by: AtomicI64::new(i64::MAX) }
    }
}

impl Alarms {
    /// To be called before looking: rings for whatever is set from now on.
    pub fn looking(&self) {
        self.by.store(i64::MAX, Ordering::SeqCst);
    }

    /// Waits until a timer was set, since the last look, that is due before
    /// `by`. For one who waits: a second would miss it.
    pub async fn before(&self, by: i64) {
        self.by.store(by, Ordering::SeqCst);
        self.rings.notified().await;
    }

    /// Wakes whoever waits, whatever is set.
    pub fn ring(&self) {
        self.rings.notify_one();
    }

    /// A timer was set.
    pub(crate) fn set(&self, due_at: i64) {
        if due_at < self.by.load(Ordering::SeqCst) {
            self.ring();
        }
    }
}

impl Ledger {
    /// Timers that are due, the longest due first.
    pub async fn due_timers(&self, now: i64, limit: u32) -> Result<Vec<DueTimer>, StoreError> {
        self.rows(&sql::DUE_TIMERS, &[Arg::int(now), Arg::int(limit)], due_timer).await
    }

    /// When the next timer is due.
    pub async fn next_timer(&self) -> Result<Option<i64>, StoreError> {
        let due = self.rows(&sql::NEXT_TIMER, &[], sql::int).await?;
        Ok(due.into_iter().next())
    }
}

fn due_timer(row: &dyn Columns) -> Result<DueTimer, Error> {
    let metadata = serde_json::from_str(row.text(8)?).map_err(|error| Error::ColumnDecode {
        index: "metadata".to_owned(),
        source: error.into(),
    })?;
    Ok(DueTimer {
        owner: parse(row, 0)?,
        name: row.text(1)?.to_owned(),
        due_at: row.int(2)?,
        message: NewMessage {
            kind: sql::kind(row, 3)?,
            stream: parse(row, 4)?,
            name: row.text(5)?.to_owned(),
            message_id: parse(row, 6)?,
            payload: row.text(7)?.to_owned(),
        },
        metadata,
    })
}
