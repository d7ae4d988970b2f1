//! Waiting until the library shows what a caller has written.

use std::time::Duration;

use async_graphql::value;
use futures_util::{FutureExt, future::BoxFuture};
use mallbots_eventstore::message::Position;
use mallbots_projections::reads::{Reads, StaleRead};

use crate::{
    error::{ClientError, ErrorCode},
    transport::consistency::{Freshness, Token},
};

/// How long a query waits for what its caller has written.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How far the library is.
#[derive(Debug)]
pub struct Library {
    /// What knows.
    pub reads: Reads,
    /// How long a query waits.
    pub patience: Duration,
}

impl Freshness for Library {
    fn reached(&self, want: Token) -> BoxFuture<'_, Result<(), ClientError>> {
        async move {
            let reached = self.reads.reached(Position(want.0), self.patience).await;
            reached.map_err(|StaleRead { have, want }| {
                let [have, want] = [have, want].map(|position| Token(position.0).to_string());
                ClientError::new(
                    ErrorCode::StaleRead,
                    format!("what can be read is at {have}, what was asked for is at {want}"),
                )
                .with_details(value!({ "have": have, "want": want }))
            })
        }
        .boxed()
    }
}
