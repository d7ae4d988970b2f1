//! What each context does with a command: loads what the decision needs,
//! decides, and writes all that changes in one unit. Used by mutations, sagas
//! and policies alike, so a rule stands in one place.
//!
//! A command that needs to know another aggregate loads it from the ledger,
//! never from a read model: it sees what has happened, not what was projected.

pub mod baskets;
pub mod customers;
pub mod depot;
pub mod notifications;
pub mod ordering;
pub mod payments;
pub mod stores;

use mallbots_domain::aggregate::ErrorKind;
use mallbots_eventstore::error::{CommandError, Refusal};

/// Takes a refusal because nothing is left to do as success: for sagas and
/// policies, whose messages may arrive twice or late.
pub fn settled<T: Default>(result: Result<T, CommandError>) -> Result<T, CommandError> {
    match result {
        Err(CommandError::Refused(Refusal { kind: ErrorKind::AlreadyDone, .. })) => {
            Ok(T::default())
        }
        other => other,
    }
}

/// Takes the absence of what was to be undone as success.
pub fn settled_or_absent<T: Default>(result: Result<T, CommandError>) -> Result<T, CommandError> {
    match result {
        Err(CommandError::Refused(Refusal { kind: ErrorKind::NotFound, .. })) => Ok(T::default()),
        other => settled(other),
    }
}

/// A refusal of an aggregate that the command did not go to.
pub(crate) fn refused(error: impl Into<Refusal>) -> CommandError {
    CommandError::Refused(error.into())
}
