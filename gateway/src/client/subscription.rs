//! What is watched: the protocol `graphql-transport-ws`, a socket for each
//! subscription.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use reqwest::{
    StatusCode, Upgraded,
    header::{
        CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};

use super::{Answer, CallError, Client, Problem, Said, operations::Operation};

/// How long it may take to open a socket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a mall may be silent: it pings three times as often.
const SILENCE: Duration = Duration::from_mins(1);

/// The operation's name on its socket, on which it is alone.
const ID: &str = "1";

/// What the mall says along a socket.
#[derive(Debug)]
enum Heard {
    Acknowledged,
    Next(Answer),
    Refused(Vec<Problem>),
    Complete,
    Ping,
    Pong,
}

impl Heard {
    fn read(text: &str) -> serde_json::Result<Self> {
        /// As it is written: raw values do not go into tagged enums.
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(rename = "type")]
            kind: Kind,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Kind {
            ConnectionAck,
            Next,
            Error,
            Complete,
            Ping,
            Pong,
        }

        let Message { kind, payload } = serde_json::from_str(text)?;
        let payload = payload.map_or("null", RawValue::get);
        Ok(match kind {
            Kind::ConnectionAck => Self::Acknowledged,
            Kind::Next => Self::Next(serde_json::from_str(payload)?),
            Kind::Error => Self::Refused(serde_json::from_str(payload)?),
            Kind::Complete => Self::Complete,
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
        })
    }
}

/// Something that is being watched. Dropping it ends it.
pub struct Subscription<T> {
    /// Never locked: it lets threads share what they cannot reach without `&mut`.
    socket: Mutex<WebSocketStream<Upgraded>>,
    over: bool,
    item: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("over", &self.over).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    pub(super) async fn open(client: &Client, operation: &Operation<T>) -> Result<Self, CallError> {
        let open = async {
            let socket = Mutex::new(upgrade(client).await?);
            let mut this = Self { socket, over: false, item: PhantomData };
            let token = client.token.as_ref();
            let payload = token.map(|token| serde_json::json!({ "token": token.expose() }));
            this.say(&Said::ConnectionInit { payload }).await?;
            loop {
                match this.hear().await? {
                    Heard::Acknowledged => break,
                    Heard::Ping => this.say(&Said::Pong).await?,
                    Heard::Pong => {}
                    Heard::Next(_) | Heard::Refused(_) | Heard::Complete => {
                        return Err(CallError::garbled("an answer before the acknowledgment"));
                    }
                }
            }
            let payload = operation.payload().map_err(CallError::garbled)?;
            this.say(&Said::Subscribe { id: ID, payload: &payload }).await?;
            Ok(this)
        };
        match timeout(OPEN_TIMEOUT, open).await {
            Ok(opened) => opened,
            Err(elapsed) => Err(CallError::unreachable(elapsed)),
        }
    }

    /// The next item, or why there is none; nothing when it is over. After an
    /// error it is over.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        if self.over {
            return None;
        }
        let item = self.item().await.transpose();
        self.over = !matches!(item, Some(Ok(_)));
        item
    }

    async fn item(&mut self) -> Result<Option<T>, CallError> {
        loop {
            match self.hear().await? {
                Heard::Next(answer) => return super::only(&answer.data()?).map(Some),
                Heard::Refused(problems) => {
                    let problem = problems.into_iter().next();
                    let problem =
                        problem.ok_or_else(|| CallError::garbled("an error that says nothing"))?;
                    return Err(CallError::Refused(Box::new(problem)));
                }
                Heard::Complete => return Ok(None),
                Heard::Ping => self.say(&Said::Pong).await?,
                Heard::Acknowledged | Heard::Pong => {}
            }
        }
    }

    /// Says goodbye properly.
    pub async fn close(mut self) {
        // A mall that is gone already needs no goodbye.
        let _ = timeout(OPEN_TIMEOUT, self.socket().close(None)).await;
    }

    fn socket(&mut self) -> &mut WebSocketStream<Upgraded> {
        self.socket.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn say(&mut self, message: &Said<'_>) -> Result<(), CallError> {
        let text = serde_json::to_string(message).map_err(CallError::garbled)?;
        self.socket().send(Message::text(text)).await.map_err(CallError::unreachable)
    }

    async fn hear(&mut self) -> Result<Heard, CallError> {
        loop {
            let heard = timeout(SILENCE, self.socket().next());
            match heard.await.map_err(CallError::unreachable)? {
                Some(Ok(Message::Text(text))) => {
                    return Heard::read(&text).map_err(CallError::garbled);
                }
                // Pings are answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                    return Err(CallError::garbled("not text"));
                }
                Some(Err(error)) => return Err(CallError::unreachable(error)),
                None => return Err(closed(None)),
            }
        }
    }
}

fn closed(frame: Option<&tungstenite::protocol::CloseFrame>) -> CallError {
    match frame {
        // The protocol's own codes say that the client is at fault.
        Some(frame) if (4400..4500).contains(&u16::from(frame.code)) => {
            CallError::Garbled(format!("the socket was closed: {} {}", frame.code, frame.reason))
        }
        Some(frame) => CallError::unreachable(format!(
            "the socket was closed: {} {}",
            frame.code, frame.reason
        )),
        None => CallError::unreachable("the socket broke"),
    }
}

/// Opens a socket, over the same HTTP client as everything else: one way of
/// resolving names and speaking TLS.
async fn upgrade(client: &Client) -> Result<WebSocketStream<Upgraded>, CallError> {
    let key = generate_key();
    let response = client
        .http
        .get(client.url.clone())
        .header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("graphql-transport-ws"))
        .send()
        .await
        .map_err(CallError::unreachable)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(super::refused_upgrade(response).await);
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
        return Err(CallError::garbled("the socket was opened for somebody else"));
    }
    let stream = response.upgrade().await.map_err(CallError::unreachable)?;
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_protocol_is_understood() {
        let read = |text| format!("{:?}", Heard::read(text).unwrap());
        assert_eq!(read(r#"{"type":"connection_ack"}"#), "Acknowledged");
        assert_eq!(read(r#"{"type":"connection_ack","payload":{"a":1}}"#), "Acknowledged");
        assert_eq!(read(r#"{"type":"ping","payload":{"reauthenticate":true}}"#), "Ping");
        assert_eq!(read(r#"{"type":"pong"}"#), "Pong");
        assert_eq!(read(r#"{"id":"1","type":"complete"}"#), "Complete");
        let next = r#"{"id":"1","type":"next","payload":{"data":{"order":{"a":[1]}}}}"#;
        let Ok(Heard::Next(answer)) = Heard::read(next) else { panic!("{}", read(next)) };
        assert_eq!(answer.data().unwrap().get(), r#"{"order":{"a":[1]}}"#);
        let error = r#"{"id":"1","type":"error","payload":[{"message":"no","extensions":{"code":"NOT_FOUND"}}]}"#;
        let Ok(Heard::Refused(problems)) = Heard::read(error) else { panic!("{}", read(error)) };
        assert_eq!(problems[0].code(), "NOT_FOUND");
        for text in ["", "{}", r#"{"type":"next"}"#, r#"{"type":"subscribe"}"#, "7"] {
            assert!(Heard::read(text).is_err(), "{text}");
        }
    }
}
