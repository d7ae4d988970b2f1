//! What time it is, so that tests can say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells the time in microseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Stands still until it is moved: for tests. Clones share the hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `micros` until it is moved.
    #[must_use]
    pub fn manual(micros: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(micros)))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|elapsed| i64::try_from(elapsed.as_micros()).ok())
                .unwrap_or(0),
            Self::Manual(hand) => hand.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock on; the machine's own stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(hand) = self {
            hand.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}
