//! What the server says on a socket, from words to frames.
//!
//! Frames are put together here and written as they are: a payload that a
//! thousand subscribers are sent is in JSON already, and what is added for one
//! of them is a dozen bytes before it and one behind.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use serde::Serialize;

use crate::transport::sharing::Sent;

/// At most this much is put together before it is written.
pub(super) const COALESCED_BYTES: usize = 32 * 1024;

/// What the server says that is not about an operation.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Greeting {
    ConnectionAck,
    Ping {
        payload: Reauthenticate,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Map<String, serde_json::Value>>,
    },
}

/// The payload of a ping that announces the end of a token.
#[derive(Debug, Serialize)]
pub(super) struct Reauthenticate {
    pub(super) reauthenticate: bool,
}

impl Greeting {
    pub(super) fn put(&self, frames: &mut BytesMut) {
        match serde_json::to_vec(self) {
            Ok(text) => put_text(frames, &[&text]),
            Err(error) => tracing::error!(%error, "a message could not be encoded"),
        }
    }
}

/// What an operation has to say.
pub(super) struct Output {
    pub(super) id: Arc<str>,
    pub(super) frames: BytesMut,
    /// Whether it is the operation's last word.
    pub(super) last: bool,
}

/// The answers of an operation as frames, as many at once as there are.
pub(super) struct Outputs {
    id: Arc<str>,
    /// None after the last word.
    answers: Option<BoxStream<'static, Arc<Sent>>>,
}

impl Outputs {
    pub(super) fn new(id: Arc<str>, answers: BoxStream<'static, Arc<Sent>>) -> Self {
        Self { id, answers: Some(answers) }
    }
}

impl Stream for Outputs {
    type Item = Output;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Output>> {
        let Self { id, answers: all } = self.get_mut();
        let Some(answers) = all else { return Poll::Ready(None) };
        let mut frames = BytesMut::new();
        let mut last = false;
        while !last && frames.len() < COALESCED_BYTES {
            match answers.poll_next_unpin(cx) {
                Poll::Ready(Some(sent)) => {
                    last = sent.refusal.is_some();
                    put_answer(&mut frames, id, &sent);
                }
                Poll::Ready(None) => {
                    last = true;
                    put_complete(&mut frames, id);
                }
                Poll::Pending if frames.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if last {
            *all = None;
        }
        Poll::Ready(Some(Output { id: Arc::clone(id), frames, last }))
    }
}

/// An answer; a refusal ends the operation without `complete`.
pub(super) fn put_answer(frames: &mut BytesMut, id: &str, sent: &Sent) {
    match &sent.refusal {
        None => put_message(frames, "next", id, &sent.payload),
        Some(errors) => put_message(frames, "error", id, errors),
    }
}

fn put_message(frames: &mut BytesMut, kind: &str, id: &str, payload: &[u8]) {
    let (kind, id) = (kind.as_bytes(), quoted(id));
    put_text(
        frames,
        &[br#"{"type":""#, kind, br#"","id":"#, &id, br#","payload":"#, payload, b"}"],
    );
}

fn put_complete(frames: &mut BytesMut, id: &str) {
    put_text(frames, &[br#"{"type":"complete","id":"#, &quoted(id), b"}"]);
}

/// Text in quotes, as JSON has it. Most ids need no more than the quotes.
fn quoted(text: &str) -> Vec<u8> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte)) {
        [b"\"", text.as_bytes(), b"\""].concat()
    } else {
        serde_json::Value::from(text).to_string().into_bytes()
    }
}

/// A text message in one frame (RFC 6455, 5.2).
fn put_text(frames: &mut BytesMut, parts: &[&[u8]]) {
    const LAST_FRAME_OF_TEXT: u8 = 0x81;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    frames.reserve(length + 10);
    frames.put_u8(LAST_FRAME_OF_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => frames.put_u8(short),
        (_, Ok(middling)) => {
            frames.put_u8(126);
            frames.put_u16(middling);
        }
        (_, Err(_)) => {
            frames.put_u8(127);
            frames.put_u64(length as u64);
        }
    }
    for part in parts {
        frames.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;

    use super::*;

    fn sent(payload: &str) -> Arc<Sent> {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        Arc::new(Sent {
            payload,
            refusal: None,
            cursor: None,
            code: None,
            retry_after: None,
            trace: None,
        })
    }

    fn texts(frames: &BytesMut) -> Vec<String> {
        let mut socket = FrameSocket::new(Cursor::new(frames.to_vec()));
        let mut texts = Vec::new();
        while let Some(frame) = socket.read(None).unwrap() {
            texts.push(frame.into_text().unwrap().to_string());
        }
        texts
    }

    #[test]
    fn a_frame_of_any_length_reads_like_what_was_put_in() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let text = "x".repeat(length);
            let mut frames = BytesMut::new();
            put_text(&mut frames, &[text.as_bytes()]);
            put_text(&mut frames, &[b"a", b"", b"b"]);
            assert_eq!(texts(&frames), [text, "ab".to_owned()], "{length}");
        }
    }

    #[test]
    fn an_id_is_said_as_it_came_whatever_it_is_made_of() {
        for id in ["1", "0190-af", "a\"b\\c", "ü \n\u{1}"] {
            let mut frames = BytesMut::new();
            put_answer(&mut frames, id, &sent("{}"));
            let message: serde_json::Value = serde_json::from_str(&texts(&frames)[0]).unwrap();
            assert_eq!(message, serde_json::json!({ "type": "next", "id": id, "payload": {} }));
        }
    }

    #[test]
    fn what_is_ready_goes_out_together_up_to_a_bound() {
        let few = stream::iter((0..3).map(|n| sent(&n.to_string())));
        let mut outputs = Outputs::new("1".into(), few.boxed());
        let output = outputs.next().now_or_never().flatten().unwrap();
        assert!(output.last);
        assert_eq!(texts(&output.frames).len(), 4);
        assert!(outputs.next().now_or_never().unwrap().is_none());

        let endless = stream::repeat(sent(&"1".repeat(10_000)));
        let mut outputs = Outputs::new("1".into(), endless.boxed());
        let output = outputs.next().now_or_never().flatten().unwrap();
        assert!(!output.last);
        assert_eq!(texts(&output.frames).len(), 4);
    }
}
