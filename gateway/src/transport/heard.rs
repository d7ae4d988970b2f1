//! What a stream of answers has to say next, seen from a transport that sends
//! it: the two over HTTP differ only in how they write it down.

use std::{pin::pin, sync::Arc, time::Duration};

use async_stream::stream;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{reply::Reply, sharing::Sent};
use crate::{
    auth::Caller,
    error::{ClientError, ErrorCode},
};

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

/// Answers for as long as the caller's token lasts. Then there is one more,
/// which says so, and the end.
pub(super) fn until_expiry(
    mut replies: BoxStream<'static, Arc<Sent>>,
    caller: &Caller,
    request_id: Uuid,
) -> BoxStream<'static, Arc<Sent>> {
    let Some(remaining) = caller.remaining() else { return replies };
    stream! {
        let mut expiry = pin!(sleep(remaining));
        loop {
            let reply = tokio::select! {
                biased;
                () = expiry.as_mut() => break,
                reply = replies.next() => reply,
            };
            match reply {
                Some(reply) => yield reply,
                None => return,
            }
        }
        let error = ClientError::new(ErrorCode::Unauthenticated, "the token has expired");
        yield Arc::new(Reply::refused(error, Vec::new(), request_id).sent());
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, value};
    use futures_util::stream;

    use super::*;
    use crate::auth::{Rights, token::now};

    fn caller(seconds: Option<u64>) -> Caller {
        let ends = seconds.map(|seconds| now().as_secs() + seconds);
        Caller::new("ada", Rights::default(), ends)
    }

    fn answer() -> Arc<Sent> {
        let response = Response::new(value!({ "n": 1 }));
        Arc::new(Reply::executed(response, Uuid::now_v7()).sent())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_the_token_it_came_with() {
        let replies = stream::iter([answer()]).chain(stream::pending()).boxed();
        let replies = until_expiry(replies, &caller(Some(60)), Uuid::now_v7());
        let replies: Vec<_> = replies.collect().await;
        assert_eq!(replies.len(), 2);
        assert_eq!((replies[0].code, replies[0].refusal.is_some()), (None, false));
        assert_eq!(replies[1].code, Some(ErrorCode::Unauthenticated));
        assert!(replies[1].refusal.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_before_is_told_nothing_more() {
        for caller in [caller(Some(60)), caller(None)] {
            let replies = stream::iter([answer()]).boxed();
            let replies = until_expiry(replies, &caller, Uuid::now_v7());
            assert_eq!(replies.collect::<Vec<_>>().await.len(), 1);
        }
    }
}
