//! Reading on as messages come.

use std::sync::Arc;

use crate::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
};

/// A reader that follows the ledger. It never skips: each message it returns
/// stands right behind the one before.
#[derive(Debug)]
pub struct Tail {
    ledger: Ledger,
    after: Position,
}

impl Tail {
    pub(crate) fn new(ledger: Ledger, after: Position) -> Self {
        Self { ledger, after }
    }

    /// The position of the last message it returned.
    #[must_use]
    pub const fn after(&self) -> Position {
        self.after
    }

    /// Waits for messages and returns the next ones, at least one and at most
    /// `limit`. A call that is dropped has consumed nothing.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let _ = (limit, &self.ledger);
        unimplemented!()
    }
}
