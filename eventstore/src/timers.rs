//! Timers that are due.

use mallbots_domain::id::AnyId;

use crate::{
    append::{NewMessage, Take},
    message::Metadata,
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
