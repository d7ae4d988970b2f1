//! Given what happened, when this is asked, then that happens: how the rules
//! are tested, here and in the crates above.

use std::fmt::Debug;

use crate::aggregate::{Aggregate, replay};

/// Begins with what has happened.
pub fn given<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(replay(history))
}

/// An aggregate with a history.
#[derive(Debug)]
#[must_use = "nothing was asked of it yet"]
pub struct Given<A>(A);

impl<A: Aggregate> Given<A> {
    /// Asks something of it.
    pub fn when(self, command: A::Command) -> When<A> {
        When(self.0.decide(command))
    }

    /// What its history has made of it.
    pub fn state(self) -> A {
        self.0
    }
}

/// What an aggregate answered.
#[derive(Debug)]
#[must_use = "nothing was expected of it yet"]
pub struct When<A: Aggregate>(Result<Vec<A::Event>, A::Error>);

impl<A: Aggregate> When<A>
where
    A::Event: PartialEq + Debug,
{
    /// Expects that this happens, in this order, and nothing else.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }

    /// Expects a refusal.
    #[track_caller]
    pub fn then_refused(self, error: A::Error) {
        assert_eq!(self.0, Err(error));
    }
}
