//! Words between processes that nobody keeps: said once over NATS, heard by
//! whoever listens at that moment, confirmed by nobody.
//!
//! Only for what is found out anyway, a little later: a word may be lost, and
//! after a loss of the connection many are.

use std::sync::Arc;

use async_nats::{Subscriber, client::PublishErrorKind};
use futures_util::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use crate::nats::{Connection, Nats};

/// Why something was not said.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AnnounceError {
    /// It is longer than the server takes.
    #[error("the announcement is too long for the server")]
    TooLong,
    /// It cannot be written as JSON.
    #[error("the announcement cannot be written")]
    Unwritable(#[source] Arc<serde_json::Error>),
    /// The connection is closed for good.
    #[error("the connection to NATS is closed")]
    Closed,
}

/// A subject on which processes tell each other something. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Announcements {
    nats: Nats,
    subject: String,
}

impl Announcements {
    /// What is said about a topic, such as `views`.
    #[must_use]
    pub fn about(nats: &Nats, topic: &str) -> Self {
        Self { nats: nats.clone(), subject: format!("announce.{topic}") }
    }

    /// Whether the connection stands, and every change of that.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.nats.connection()
    }

    /// Whether anybody could hear.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.nats.is_connected()
    }

    /// Says something to all who listen, this process included.
    pub async fn say<T: Serialize + Sync>(&self, word: &T) -> Result<(), AnnounceError> {
        let body =
            serde_json::to_vec(word).map_err(|error| AnnounceError::Unwritable(Arc::new(error)))?;
        let said = self.nats.client().publish(self.subject.clone(), body.into()).await;
        said.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => AnnounceError::TooLong,
            PublishErrorKind::InvalidSubject | PublishErrorKind::Send => AnnounceError::Closed,
        })
    }

    /// Hears what is said from now on, also after the connection was lost and
    /// came again.
    pub async fn listen(&self) -> Result<Listener, AnnounceError> {
        let subscribed = self.nats.client().subscribe(self.subject.clone()).await;
        subscribed.map(Listener).map_err(|_| AnnounceError::Closed)
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Listener(Subscriber);

impl Listener {
    /// The next word; an error for one that is not understood, `None` when the
    /// connection is closed for good.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T, serde_json::Error>> {
        let message = self.0.next().await?;
        Some(serde_json::from_slice(&message.payload))
    }
}
