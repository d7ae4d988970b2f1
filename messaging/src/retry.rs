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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};

    use super::Backoff;

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_what_doubling_says(
            base in 0_u64..10_000_000,
            cap in 0_u64..10_000_000_000,
            failures in any::<u32>(),
        ) {
            let backoff =
                Backoff { base: Duration::from_micros(base), cap: Duration::from_micros(cap) };
            let doublings = failures.saturating_sub(1).min(20);
            let most = Duration::from_micros((base << doublings).min(cap));
            let wait = backoff.after(failures);
            prop_assert!(most / 2 <= wait && wait <= most, "{wait:?} of {most:?}");
        }

        #[test]
        fn no_wait_is_longer_than_the_cap(cap in any::<u32>(), failures in any::<u32>()) {
            let cap = Duration::from_secs(u64::from(cap));
            let wait = Backoff { base: Duration::MAX, cap }.after(failures);
            prop_assert!(wait <= cap, "{wait:?}");
        }
    }

    #[test]
    fn those_who_failed_together_do_not_come_back_together() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(1) };
        let first = backoff.after(3);
        assert!((0..100).any(|_| backoff.after(3) != first));
    }
}
