//! Answers as parts of one: Apollo's protocol of subscriptions over multipart
//! HTTP (`multipart/mixed; subscriptionSpec=1.0`).
//!
//! A part can be read only when the delimiter behind it has come; so each is
//! sent with it.

use std::{sync::Arc, time::Duration};

use async_stream::stream;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    heard::{Heard, hear},
    reply::Reply,
    sharing::Sent,
};
use crate::error::{ClientError, ErrorCode};

const FIRST_DELIMITER: &str = "--graphql";
const DELIMITER: &str = "\r\n--graphql";
/// Makes of the delimiter just sent the last one.
const END: &str = "--\r\n";
const HEAD: &str = "\r\ncontent-type: application/json\r\n\r\n";

/// Answers as a body that is sent while they are made.
pub(super) fn body(
    replies: BoxStream<'static, Arc<Sent>>,
    heartbeat: Duration,
    closing: CancellationToken,
    request_id: Uuid,
) -> Body {
    let parts = parts(replies, heartbeat, closing, request_id);
    Body::from_stream(parts.map(Ok::<_, std::convert::Infallible>))
}

fn parts(
    mut replies: BoxStream<'static, Arc<Sent>>,
    heartbeat: Duration,
    closing: CancellationToken,
    request_id: Uuid,
) -> impl Stream<Item = Bytes> {
    stream! {
        yield Bytes::from_static(FIRST_DELIMITER.as_bytes());
        loop {
            match hear(&mut replies, heartbeat, &closing).await {
                Heard::Reply(sent) => {
                    if let Some(errors) = &sent.refusal {
                        yield failure(errors);
                        break;
                    }
                    yield part(&[br#"{"payload":"#, &sent.payload, b"}"]);
                }
                Heard::End => break,
                Heard::Silence => yield part(&[b"{}"]),
                Heard::Closing => {
                    yield failure(&going_away(request_id));
                    break;
                }
            }
        }
        yield Bytes::from_static(END.as_bytes());
    }
}

/// What subscribers are told when the server drains.
fn going_away(request_id: Uuid) -> Bytes {
    let error = ClientError::new(ErrorCode::Unavailable, "the server is going away");
    Reply::refused(error, Vec::new(), request_id).sent().refusal.unwrap_or_default()
}

/// The subscription has failed and ends.
fn failure(errors: &[u8]) -> Bytes {
    part(&[br#"{"payload":null,"errors":"#, errors, b"}"])
}

/// A part of these pieces of JSON, and the delimiter behind it.
fn part(json: &[&[u8]]) -> Bytes {
    [HEAD.as_bytes(), &json.concat(), DELIMITER.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, value};
    use futures_util::stream;

    use super::*;

    fn reply(n: i32) -> Reply {
        Reply::executed(Response::new(value!({ "n": n })), Uuid::now_v7())
    }

    async fn whole(replies: Vec<Reply>) -> String {
        let replies = stream::iter(replies).map(|reply| Arc::new(reply.sent())).boxed();
        let patience = Duration::from_secs(20);
        let parts = parts(replies, patience, CancellationToken::new(), Uuid::now_v7());
        let parts: Vec<_> = parts.collect().await;
        String::from_utf8(parts.concat()).unwrap()
    }

    #[tokio::test]
    async fn each_item_is_a_part_with_its_delimiter() {
        let part = |n: i32| {
            format!(
                "\r\ncontent-type: application/json\r\n\r\n{{\"payload\":{{\"data\":{{\"n\":{n}}}}}}}\r\n--graphql"
            )
        };
        let text = whole(vec![reply(1), reply(2)]).await;
        assert_eq!(text, format!("--graphql{}{}--\r\n", part(1), part(2)));
        assert_eq!(whole(Vec::new()).await, "--graphql--\r\n");
    }

    #[tokio::test]
    async fn a_failure_is_told_without_payload_and_ends_it() {
        let failed = Reply::refused(
            ClientError::new(ErrorCode::Timeout, "late"),
            Vec::new(),
            Uuid::now_v7(),
        );
        let text = whole(vec![reply(1), failed, reply(2)]).await;
        assert!(text.contains(r#"{"payload":null,"errors":[{"message":"late""#), "{text}");
        assert!(text.ends_with("\r\n--graphql--\r\n") && !text.contains(r#""n":2"#), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_empty_parts() {
        let heartbeat = Duration::from_secs(20);
        let closing = CancellationToken::new();
        let parts = parts(stream::pending().boxed(), heartbeat, closing.clone(), Uuid::now_v7());
        let mut parts = Box::pin(parts.map(|part| String::from_utf8(part.to_vec()).unwrap()));
        parts.next().await.unwrap();
        for _ in 0..3 {
            assert!(parts.next().await.unwrap().contains("\r\n\r\n{}\r\n--graphql"));
        }
        closing.cancel();
        assert!(parts.next().await.unwrap().contains("UNAVAILABLE"));
        assert_eq!(parts.next().await.unwrap(), "--\r\n");
        assert_eq!(parts.next().await, None);
    }
}
