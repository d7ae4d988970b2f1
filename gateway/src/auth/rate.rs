//! How fast a caller may ask, whichever way the requests come.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock};
use moka::sync::Cache;

use super::Caller;

/// How fast a caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many operations a second, over time.
    pub per_second: NonZeroU32,
    /// So many at once, after a while without.
    pub burst: NonZeroU32,
}

impl Rate {
    /// How many seconds' worth may come at once, if nobody says.
    pub(crate) const USUAL_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
    /// Where there are keys.
    pub const USUAL: Self = {
        let per_second = NonZeroU32::MIN.saturating_add(99);
        Self { per_second, burst: per_second.saturating_mul(Self::USUAL_BURST) }
    };
}

/// At most so many callers are remembered; who is forgotten starts anew.
const MOST_CALLERS: u64 = 100_000;

/// Counts what callers ask.
pub(crate) struct Rates {
    quota: Quota,
    /// Each with a count of their own, by the names in their tokens.
    callers: Cache<String, Arc<DefaultDirectRateLimiter>>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("quota", &self.quota).finish_non_exhaustive()
    }
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        // Who was away for longer than it takes to fill up again has all to spend anyway.
        let idle = quota.burst_size_replenished_in() + Duration::from_secs(1);
        let callers = Cache::builder().max_capacity(MOST_CALLERS).time_to_idle(idle).build();
        Self { quota, callers }
    }

    /// Counts one operation; when it is one too many, how long to wait.
    pub(crate) fn count(&self, caller: &Caller) -> Result<(), Duration> {
        let limiter = match self.callers.get(caller.subject()) {
            Some(limiter) => limiter,
            None => self.callers.get_with(caller.subject().to_owned(), || {
                Arc::new(RateLimiter::direct(self.quota))
            }),
        };
        limiter.check().map_err(|until| until.wait_time_from(limiter.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::auth::Rights;

    fn caller(name: &str) -> Caller {
        Caller::new(name, Rights::default(), None)
    }

    #[test]
    fn each_caller_has_a_count_of_their_own() {
        let one = NonZeroU32::MIN;
        let rates = Rates::new(Rate { per_second: one, burst: one.saturating_add(1) });
        let (alice, bob) = (caller("alice"), caller("bob"));
        assert_eq!((rates.count(&alice), rates.count(&alice)), (Ok(()), Ok(())));
        let wait = rates.count(&alice).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rates.count(&bob), Ok(()));
    }

    #[test]
    fn who_waits_as_long_as_told_may_ask_again() {
        let often = NonZeroU32::MIN.saturating_add(199);
        let rates = Rates::new(Rate { per_second: often, burst: NonZeroU32::MIN });
        let alice = caller("alice");
        assert_eq!(rates.count(&alice), Ok(()));
        // Asked first: the wait counts from the moment of the answer.
        let wait = rates.count(&alice).unwrap_err();
        let until = Instant::now() + wait;
        while Instant::now() <= until {
            std::hint::spin_loop();
        }
        assert_eq!(rates.count(&alice), Ok(()));
    }

    #[test]
    fn callers_are_remembered_within_a_bound() {
        let rates = Rates::new(Rate::USUAL);
        for n in 0..MOST_CALLERS + 10_000 {
            assert_eq!(rates.count(&caller(&n.to_string())), Ok(()));
        }
        rates.callers.run_pending_tasks();
        assert!(rates.callers.entry_count() <= MOST_CALLERS);
    }
}
