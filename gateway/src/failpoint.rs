//! Where the process is to die, for tests of crashes: only in builds with the
//! feature `test-support`.
//!
//! `MALLBOTS_DIE_AT=after_commit:ordering.OrderCreated:2` kills it, as
//! `kill -9` would, when an append with an `ordering.OrderCreated` is committed
//! for the second time. The moments are those of the ledger's [`Probe`]; where
//! several names are given, `handled:sagas/ordering.OrderCreated`, all must fit.
//!
//! `MALLBOTS_CHECKPOINT_EVERY=2ms` has consumers save how far they are so often
//! that little is read again after a death.

use std::{
    io::{self, Write},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use mallbots_eventstore::ledger::{Moment, Probe};
use mallbots_messaging::post::PostOptions;
use rustix::process::{Signal, getpid, kill_process};

use crate::config::Config;

/// Consumers that save how far they are as often as a test wants.
pub fn hurried(mut options: PostOptions, config: &Config) -> PostOptions {
    if let Some(every) = config.checkpoint_every {
        options.consumer.checkpoint_every = every;
    }
    options
}

/// A moment at which the process dies.
#[derive(Debug, Clone)]
pub struct Failpoint {
    moment: Moment,
    names: Vec<String>,
    /// At which of these moments, from 1.
    nth: u32,
    /// As it was written.
    text: String,
}

impl FromStr for Failpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let moment = match parts.next() {
            Some("before_commit") => Moment::BeforeCommit,
            Some("after_commit") => Moment::AfterCommit,
            Some("handled") => Moment::Handled,
            Some(_) | None => return Err("must begin with before_commit, after_commit or handled"),
        };
        let names = parts.next().filter(|names| !names.is_empty()).ok_or("must name a message")?;
        let names = names.split('/').map(str::to_owned).collect();
        let nth = match parts.next() {
            None => 1,
            Some(nth) => nth.parse().map_err(|_| "must end with a number")?,
        };
        Ok(Self { moment, names, nth, text: text.to_owned() })
    }
}

impl Failpoint {
    /// What ends the process when its moment has come.
    pub fn probe(&self) -> Probe {
        let (this, seen) = (self.clone(), Arc::new(AtomicU32::new(0)));
        Probe::naming(move |moment, names| {
            let is_it = moment == this.moment
                && this.names.iter().all(|wanted| names.contains(&wanted.as_str()));
            if is_it && seen.fetch_add(1, Ordering::Relaxed) + 1 == this.nth {
                this.die();
            }
        })
    }

    fn die(&self) -> ! {
        // If nobody can be told, the signal tells enough.
        let _ = writeln!(io::stderr(), "died at {}", self.text);
        let _ = kill_process(getpid(), Signal::KILL);
        // The signal is on its way: nothing may happen any more.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_and_what_is_none_is_refused() {
        let failpoint: Failpoint = "handled:sagas/ordering.OrderCreated:3".parse().unwrap();
        assert_eq!(failpoint.moment, Moment::Handled);
        assert_eq!(failpoint.names, ["sagas", "ordering.OrderCreated"]);
        assert_eq!(failpoint.nth, 3);
        let failpoint: Failpoint = "before_commit:depot.ShoppingListCreated".parse().unwrap();
        assert_eq!((failpoint.moment, failpoint.nth), (Moment::BeforeCommit, 1));
        for text in ["", "after_commit", "after_commit:", "sometimes:x", "handled:x:y"] {
            assert!(text.parse::<Failpoint>().is_err(), "{text}");
        }
    }
}
