//! Reading on as messages come.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::error;

use crate::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
};

/// How many messages are read at once for all who follow.
const PAGE: u32 = 512;
/// How often a hole is looked at again before it is believed.
const LOOKS: u32 = 3;

/// A reader that follows the ledger. It never skips: each message it returns
/// stands right behind the one before.
///
/// What this process appended, or has read for another follower, comes from
/// memory.
#[derive(Debug)]
pub struct Tail {
    ledger: Ledger,
    after: Position,
}

impl Tail {
    pub(crate) const fn new(ledger: Ledger, after: Position) -> Self {
        Self { ledger, after }
    }

    /// The position of the last message it returned.
    #[must_use]
    pub const fn after(&self) -> Position {
        self.after
    }

    /// Waits for messages and returns the next ones: at least one, and at most
    /// `limit`. A call that is dropped has consumed nothing.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let limit = limit.max(1);
        let after = self.after;
        let mut head = self.ledger.subscribe();
        let mut holes = 0;
        loop {
            // The sender lives in the ledger, which is held here.
            let shared = self.ledger.shared();
            let moved = head.wait_for(|head| *head > after || shared.is_lost()).await;
            drop(moved.map_err(|_| StoreError::Closed)?);
            if let Some(error) = shared.went_back() {
                return Err(error);
            }
            match self.read(limit).await {
                Ok(messages) => {
                    if let Some(last) = messages.last() {
                        self.after = last.position;
                        return Ok(messages);
                    }
                    // The head is known before the message can be seen only if
                    // somebody else has taken the ledger back to an older copy.
                    holes += 1;
                }
                Err(StoreError::Hole { .. }) if holes < LOOKS => holes += 1,
                Err(error) => return Err(error),
            }
            if holes > LOOKS {
                error!(position = after.0, "the ledger ends before its head");
                return Err(StoreError::Hole { of: "the ledger".to_owned(), after: after.0 });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn read(&self, limit: usize) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let known = &self.ledger.shared().messages;
        if let Some(messages) = known.after(self.after, limit) {
            return Ok(messages);
        }
        let page = u32::try_from(limit).unwrap_or(u32::MAX);
        if !known.ends_at_or_before(self.after) {
            // Far behind the others: what it reads is of no use to them.
            return self.ledger.read(self.after, page).await;
        }
        let _filling = self.ledger.filling().lock().await;
        if let Some(messages) = known.after(self.after, limit) {
            return Ok(messages);
        }
        let mut messages = self.ledger.read(self.after, page.max(PAGE)).await?;
        known.push_or_restart(&messages);
        messages.truncate(limit);
        Ok(messages)
    }
}
