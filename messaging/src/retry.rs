//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng;

/// Exponential back-off with jitter, so that those who failed together do not
/// come back together.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait at all.
    pub cap: Duration,
}

impl Backoff {
    /// How long to wait after this many failures, from 1: at most twice as long
    /// each time, at least half of that.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}
