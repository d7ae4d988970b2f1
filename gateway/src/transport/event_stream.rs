//! Answers as server-sent events: the protocol "GraphQL over SSE" in its mode
//! of distinct connections, one operation to a request.
//!
//! An event's `id` is its cursor, so that a browser's `EventSource` resumes by
//! itself: it sends the last one it saw as `Last-Event-ID`.

use std::{sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use super::{
    context::Resume,
    heard::{Heard, hear},
    sharing::Sent,
};

/// The cursor of the last event a client saw.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A comment, which clients skip: tells proxies and the socket that somebody
/// is there.
const HEARTBEAT: &str = ":\n\n";
const COMPLETE: &str = "event: complete\ndata:\n\n";

/// Where a client wants to go on.
pub(super) fn resume(headers: &HeaderMap) -> Resume {
    let id = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    Resume(id.filter(|id| !id.is_empty()).map(str::to_owned))
}

/// Answers as a body that is sent while they are made.
pub(super) fn body(
    replies: BoxStream<'static, Arc<Sent>>,
    heartbeat: Duration,
    closing: CancellationToken,
) -> Body {
    Body::from_stream(events(replies, heartbeat, closing).map(Ok::<_, std::convert::Infallible>))
}

/// Ends without `complete` when the server drains: clients then connect again.
fn events(
    mut replies: BoxStream<'static, Arc<Sent>>,
    heartbeat: Duration,
    closing: CancellationToken,
) -> impl Stream<Item = Bytes> {
    stream! {
        yield Bytes::from_static(HEARTBEAT.as_bytes());
        loop {
            match hear(&mut replies, heartbeat, &closing).await {
                Heard::Reply(sent) => {
                    yield next(&sent);
                    if sent.refusal.is_some() {
                        break;
                    }
                }
                Heard::End => break,
                Heard::Silence => yield Bytes::from_static(HEARTBEAT.as_bytes()),
                Heard::Closing => return,
            }
        }
        yield Bytes::from_static(COMPLETE.as_bytes());
    }
}

/// One answer and the end, for a request that is answered at once.
pub(super) fn whole(sent: &Sent) -> Vec<u8> {
    [&next(sent)[..], COMPLETE.as_bytes()].concat()
}

fn next(sent: &Sent) -> Bytes {
    let mut event = b"event: next\n".to_vec();
    if let Some(cursor) = cursor(sent) {
        event.extend_from_slice(b"id: ");
        event.extend_from_slice(cursor.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    // JSON on one line: its own line breaks are escaped.
    event.extend_from_slice(&sent.payload);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// Where an item stands, if that can be an event's id.
fn cursor(sent: &Sent) -> Option<&str> {
    let cursor = sent.cursor.as_deref()?;
    let fits = !cursor.is_empty() && cursor.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(cursor)
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, value};
    use futures_util::{FutureExt, stream};
    use uuid::Uuid;

    use super::*;
    use crate::transport::reply::Reply;

    fn reply(n: i32) -> Arc<Sent> {
        let mut response = Response::new(value!({ "n": n }));
        response.extensions.insert("cursor".to_owned(), format!("c{n}").into());
        Arc::new(Reply::executed(response, Uuid::now_v7()).sent())
    }

    fn events_of(replies: BoxStream<'static, Arc<Sent>>) -> impl Stream<Item = String> {
        events(replies, Duration::from_secs(20), CancellationToken::new())
            .map(|event| String::from_utf8(event.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn items_are_events_with_their_cursors_as_ids() {
        let replies = stream::iter([reply(1), reply(2)]).boxed();
        let events: Vec<_> = events_of(replies).collect().await;
        let next = |n: i32| {
            format!(
                "event: next\nid: c{n}\ndata: {{\"data\":{{\"n\":{n}}},\"extensions\":{{\"cursor\":\"c{n}\"}}}}\n\n"
            )
        };
        assert_eq!(events, [":\n\n", &next(1), &next(2), "event: complete\ndata:\n\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_comments() {
        let mut events = Box::pin(events_of(stream::pending().boxed()));
        for _ in 0..4 {
            assert_eq!(events.next().await.unwrap(), ":\n\n");
        }
        assert!(events.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_drain_ends_the_stream_without_completing_it() {
        let closing = CancellationToken::new();
        let mut events =
            Box::pin(events(stream::pending().boxed(), Duration::from_secs(20), closing.clone()));
        assert!(events.next().await.is_some());
        closing.cancel();
        assert_eq!(events.next().await, None);
    }

    #[test]
    fn an_id_has_no_line_breaks() {
        for broken in ["", "a\nb", "a\0"] {
            let sent = Sent { cursor: Some(broken.into()), ..(*reply(1)).clone() };
            assert_eq!(cursor(&sent), None, "{broken:?}");
        }
    }
}
