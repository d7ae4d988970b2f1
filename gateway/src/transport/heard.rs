//! What a stream of answers has to say next, seen from a transport that sends
//! it: the two over HTTP differ only in how they write it down.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::sharing::Sent;

/// What happened.
pub(super) enum Heard {
    /// There is an answer.
    Reply(Arc<Sent>),
    /// There will be no more.
    End,
    /// Nothing, for so long that a word should be said.
    Silence,
    /// The server drains.
    Closing,
}

/// Waits for the next thing to happen.
pub(super) async fn hear(
    replies: &mut BoxStream<'static, Arc<Sent>>,
    patience: Duration,
    closing: &CancellationToken,
) -> Heard {
    tokio::select! {
        biased;
        () = closing.cancelled() => Heard::Closing,
        reply = replies.next() => reply.map_or(Heard::End, Heard::Reply),
        () = sleep(patience) => Heard::Silence,
    }
}
