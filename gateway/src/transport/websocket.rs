//! GraphQL over a WebSocket: the protocol `graphql-transport-ws`, and no other.
//!
//! One task per socket reads, polls its operations and writes. It writes one
//! thing at a time and waits for it, so a client that does not read holds up
//! nothing but itself, and not for long: after [`WebSocketSettings::send_timeout`]
//! it is closed and resumes with its cursor. Nothing is buffered beyond what
//! the next write takes.

mod outgoing;

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use axum::{
    extract::{FromRequestParts, Request, ws::WebSocketUpgrade},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
        },
    },
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    stream::{AbortHandle, Abortable, SelectAll},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use mallbots_eventstore::metrics::Presence;
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use tracing::debug;

use self::outgoing::{COALESCED_BYTES, Greeting, Output, Outputs, Reauthenticate, put_answer};
use super::{
    Door,
    context::{CallerTrace, ConnectionInit, RequestContext, Resume},
    http::Refused,
    parameters::check_json_depth,
    pipeline::{Call, Parameters, Pipeline, Refusal, RequestLine, Transport},
    reply::Reply,
};
use crate::{
    auth::Caller,
    error::{ClientError, ErrorCode},
};

/// What a client is told that does not read.
const TOO_SLOW: &str = "Too slow";

/// The subprotocol spoken here.
pub const PROTOCOL: &str = "graphql-transport-ws";

/// How sockets are kept.
#[derive(Debug, Clone)]
pub struct WebSocketSettings {
    /// How long a client may take to send `connection_init`.
    pub init_timeout: Duration,
    /// How often a client is asked whether it is there.
    pub ping_every: Duration,
    /// How long a client may stay silent.
    pub deadline: Duration,
    /// How long a client may take to take what is sent to it.
    pub send_timeout: Duration,
    /// How long a client may take to say goodbye.
    pub close_timeout: Duration,
    /// How many operations a socket may carry at once.
    pub max_operations: usize,
    /// The longest message of a client, in bytes.
    pub max_message: usize,
    /// How long before its token expires a client is told to come with another.
    pub reauthenticate: Duration,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(5),
            ping_every: Duration::from_secs(20),
            deadline: Duration::from_secs(50),
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            max_operations: 50,
            max_message: 64 * 1024,
            reauthenticate: Duration::from_secs(30),
        }
    }
}

/// Why the server closes a socket. Clients such as `graphql-ws` connect again
/// after 1001, 1013, 4403 and 4408, and give up after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// The server drains.
    GoingAway,
    /// The client does not keep up.
    TryAgainLater,
    /// A message that is none.
    BadRequest,
    /// An operation before the connection was acknowledged.
    Unauthorized,
    /// `connection_init` was refused.
    Forbidden,
    /// The client speaks another protocol.
    SubprotocolNotAcceptable,
    /// No `connection_init` came.
    InitTimeout,
    /// An operation under the id of another.
    SubscriberAlreadyExists,
    /// A second `connection_init`.
    TooManyInits,
}

impl CloseCode {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::GoingAway,
        Self::TryAgainLater,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::SubprotocolNotAcceptable,
        Self::InitTimeout,
        Self::SubscriberAlreadyExists,
        Self::TooManyInits,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::TryAgainLater => 1013,
            Self::BadRequest => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::SubprotocolNotAcceptable => 4406,
            Self::InitTimeout => 4408,
            Self::SubscriberAlreadyExists => 4409,
            Self::TooManyInits => 4429,
        }
    }
}

/// Opens a socket, if the request may have one.
pub(super) async fn upgrade(
    door: Arc<Door>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Box<Refused>> {
    let (mut parts, _) = request.into_parts();
    door.settings
        .origins
        .check(&parts.headers)
        .map_err(|error| Refused::new(StatusCode::FORBIDDEN, error))?;
    let on_upgrade = parts.extensions.get::<OnUpgrade>().cloned();
    // It knows all that can be wrong with a handshake; the socket is our own,
    // for it has to be written to directly.
    if let Err(error) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        let (status, text) = (error.status(), error.body_text());
        return Err(Refused::new(status, ClientError::new(ErrorCode::BadRequest, text)));
    }
    let no_upgrade = || {
        let error = ClientError::new(ErrorCode::BadRequest, "this connection cannot be a socket");
        Refused::new(StatusCode::UPGRADE_REQUIRED, error)
    };
    let key = parts.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(no_upgrade)?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok();
    let accept = accept.ok_or_else(no_upgrade)?;
    let on_upgrade = on_upgrade.ok_or_else(no_upgrade)?;

    let speaks = speaks_our_protocol(&parts.headers);
    let RequestContext { request_id, trace, .. } = context;
    // Counted from now, so that no drain misses a socket between two tasks.
    let serving = Arc::clone(&door);
    door.sockets.spawn(async move {
        let upgraded = match on_upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return debug!(request.id = %request_id, %error, "no socket came of it"),
        };
        let settings = &serving.settings.websocket;
        let config = WebSocketConfig::default()
            // Small, so that an idle subscriber costs little.
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(settings.max_message))
            .max_frame_size(Some(settings.max_message));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        let tally = serving.pipeline.tally();
        let _here = Presence::of(&tally.sockets);
        let connection = Connection::new(socket, &serving, trace);
        let closed = connection.run(speaks).await;
        tally.closed(closed);
        debug!(request.id = %request_id, close.code = closed.map(CloseCode::number), "socket closed");
    });

    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if speaks {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

/// Whether [`PROTOCOL`] is among those the client offers.
fn speaks_our_protocol(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    offered
        .flat_map(|offered| offered.as_bytes().split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii() == PROTOCOL.as_bytes())
}

/// What clients say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
    ConnectionInit {
        payload: Option<serde_json::Map<String, serde_json::Value>>,
    },
    Ping {
        payload: Option<serde_json::Map<String, serde_json::Value>>,
    },
    Pong {
        #[serde(rename = "payload")]
        _payload: Option<serde_json::Map<String, serde_json::Value>>,
    },
    Subscribe {
        id: String,
        payload: Parameters,
    },
    Complete {
        id: String,
    },
}

/// An operation under way.
struct Running {
    abort: AbortHandle,
    kind: OperationType,
}

/// When the token ends with which a socket was opened.
#[derive(Clone, Copy)]
struct Expiry {
    /// When it is announced; once that is done, when the end comes.
    next: Instant,
    end: Instant,
}

impl Expiry {
    fn of(caller: &Caller, settings: &WebSocketSettings) -> Option<Self> {
        let remaining = caller.remaining()?;
        // A token that lives short is announced when half of its life is over.
        let announced = remaining.saturating_sub(settings.reauthenticate.min(remaining / 2));
        let now = Instant::now();
        // Further ahead than a clock can tell is never.
        Some(Self { next: now.checked_add(announced)?, end: now.checked_add(remaining)? })
    }
}

/// How a socket ends.
enum End {
    /// The server closes it.
    Close(CloseCode, String),
    /// The client did, or it broke.
    Gone,
}

impl End {
    fn close(code: CloseCode, reason: impl Into<String>) -> Self {
        Self::Close(code, reason.into())
    }
}

/// What a socket was opened with, and by whom.
#[derive(Clone)]
struct Init {
    payload: ConnectionInit,
    caller: Caller,
}

struct Connection {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// Frames that are to be written. Empty while nothing is.
    out: BytesMut,
    door: Arc<Door>,
    /// The trace the socket was opened in.
    trace: CallerTrace,
    /// What came with `connection_init`, once it came.
    init: Option<Init>,
    running: HashMap<Arc<str>, Running>,
    /// Polls only what was woken.
    outputs: SelectAll<Abortable<Outputs>>,
    draining: bool,
    expiry: Option<Expiry>,
    heard: Instant,
    next_ping: Instant,
    wake: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(
        socket: WebSocketStream<TokioIo<Upgraded>>,
        door: &Arc<Door>,
        trace: CallerTrace,
    ) -> Self {
        let now = Instant::now();
        let init_until = now + door.settings.websocket.init_timeout;
        Self {
            socket,
            out: BytesMut::new(),
            door: Arc::clone(door),
            trace,
            init: None,
            running: HashMap::new(),
            outputs: SelectAll::new(),
            draining: false,
            expiry: None,
            heard: now,
            next_ping: now,
            wake: Box::pin(sleep_until(init_until)),
        }
    }

    fn settings(&self) -> &WebSocketSettings {
        &self.door.settings.websocket
    }

    fn pipeline(&self) -> &Arc<Pipeline> {
        &self.door.pipeline
    }

    /// Serves the socket to its end.
    async fn run(mut self, speaks: bool) -> Option<CloseCode> {
        let end = if speaks {
            loop {
                if let Err(end) = self.step().await {
                    break end;
                }
            }
        } else {
            End::close(CloseCode::SubprotocolNotAcceptable, "Subprotocol not acceptable")
        };
        // Whatever is under way ends before the goodbye is waited for.
        self.running.clear();
        self.outputs.clear();
        match end {
            End::Close(code, reason) => {
                if reason == TOO_SLOW {
                    self.pipeline().tally().slow_sockets.increment(1);
                }
                self.close(code, &reason).await;
                Some(code)
            }
            End::Gone => None,
        }
    }

    /// Waits for one thing to happen and deals with it.
    async fn step(&mut self) -> Result<(), End> {
        if self.draining && self.running.is_empty() {
            return Err(End::close(CloseCode::GoingAway, "Server is going away"));
        }
        tokio::select! {
            message = self.socket.next() => match message {
                Some(Ok(message)) => {
                    self.heard = Instant::now();
                    self.heard(message).await
                }
                Some(Err(error)) => Err(self.unreadable(&error)),
                None => Err(End::Gone),
            },
            Some(output) = self.outputs.next(), if !self.outputs.is_empty() => {
                self.put_out(output).await
            }
            () = &mut self.wake => self.woke().await,
            () = self.door.closing.cancelled(), if !self.draining => {
                self.drain();
                Ok(())
            }
        }
    }

    /// A client that sent too much is told; from one that does not speak
    /// WebSocket there is nothing more to expect.
    fn unreadable(&self, error: &Error) -> End {
        if let Error::Capacity(_) = error {
            let most = self.settings().max_message;
            End::close(CloseCode::BadRequest, format!("A message may have {most} bytes"))
        } else if let Error::Utf8(_) = error {
            End::close(CloseCode::BadRequest, "A message must be UTF-8")
        } else {
            End::Gone
        }
    }

    async fn heard(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                return Err(End::close(CloseCode::BadRequest, "Messages are text"));
            }
            // Answered by the library; that it came is what counts.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) | Message::Frame(_) => return Err(End::Gone),
        };
        check_json_depth(text.as_bytes())
            .map_err(|error| End::close(CloseCode::BadRequest, error.message.clone()))?;
        let message = serde_json::from_str(&text).map_err(|error| {
            End::close(CloseCode::BadRequest, format!("Invalid message: {error}"))
        })?;
        match message {
            ClientMessage::ConnectionInit { payload } => {
                self.initialize(payload.unwrap_or_default()).await
            }
            ClientMessage::Ping { payload } => self.say(&Greeting::Pong { payload }).await,
            ClientMessage::Pong { .. } => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.subscribe(&id, payload).await,
            ClientMessage::Complete { id } => {
                self.stop(&id);
                Ok(())
            }
        }
    }

    async fn initialize(
        &mut self,
        payload: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), End> {
        if self.init.is_some() {
            return Err(End::close(CloseCode::TooManyInits, "Too many initialisation requests"));
        }
        let init = ConnectionInit(Arc::new(payload));
        let admitted = self.door.settings.authenticator.of_payload(&init.0).await;
        let caller = admitted.map_err(|error| {
            // Not now, rather than not at all.
            let is_late = error.code == ErrorCode::Unavailable;
            let code = if is_late { CloseCode::TryAgainLater } else { CloseCode::Forbidden };
            End::close(code, &*error.message)
        })?;
        self.expiry = Expiry::of(&caller, self.settings());
        self.init = Some(Init { payload: init, caller });
        self.next_ping = Instant::now() + self.settings().ping_every;
        self.wake_later();
        self.say(&Greeting::ConnectionAck).await
    }

    async fn subscribe(&mut self, id: &str, parameters: Parameters) -> Result<(), End> {
        let Some(Init { payload: init, caller }) = self.init.clone() else {
            return Err(End::close(CloseCode::Unauthorized, "Unauthorized"));
        };
        if id.is_empty() {
            return Err(End::close(CloseCode::BadRequest, "An id must not be empty"));
        }
        if self.running.contains_key(id) {
            return Err(End::close(
                CloseCode::SubscriberAlreadyExists,
                format!("Subscriber for {id} already exists"),
            ));
        }

        let began = Instant::now().into_std();
        // No idempotency key: the socket's would name all its operations alike.
        // The operation knows best which trace it is in.
        let trace = parameters.extensions.as_ref().map(CallerTrace::of_entries);
        let trace = trace.unwrap_or_default().or_else(|| CallerTrace::of_entries(&init.0));
        let trace = trace.or_else(|| self.trace.clone());
        let context = RequestContext { trace, ..RequestContext::mint() };
        let resume = parameters.extension("resume").map(str::to_owned);
        let resume = Resume(resume.or_else(|| resume_of(&init, id)));
        let prepared = self
            .may_start()
            .map_err(Refusal::from)
            .and_then(|()| self.pipeline().prepare(parameters, &caller));
        let id: Arc<str> = id.into();
        let operation = match prepared {
            Ok(operation) => operation,
            Err(Refusal { error, locations }) => {
                let RequestContext { request_id, trace, .. } = &context;
                let line = RequestLine::of_refused(Transport::WebSocket, *request_id, trace, began);
                line.finished(Some(error.code));
                self.pipeline().tally().refused(error.code);
                let reply = Reply::refused(error, locations, context.request_id);
                put_answer(&mut self.out, &id, &reply.sent());
                return self.write_out().await;
            }
        };

        let kind = operation.kind;
        let call = Call { init, resume, ..Call::new(Transport::WebSocket, context, caller) };
        let answers = self.pipeline().stream(operation, call);
        let (abort, registration) = AbortHandle::new_pair();
        let outputs = Outputs::new(Arc::clone(&id), answers);
        self.outputs.push(Abortable::new(outputs, registration));
        self.running.insert(id, Running { abort, kind });
        Ok(())
    }

    fn may_start(&self) -> Result<(), ClientError> {
        let most = self.settings().max_operations;
        if self.running.len() >= most {
            return Err(ClientError::new(
                ErrorCode::TooManyOperations,
                format!("a socket carries at most {most} operations at once"),
            ));
        }
        if self.draining {
            return Err(ClientError::new(ErrorCode::Unavailable, "the server is going away"));
        }
        Ok(())
    }

    /// Ends an operation: its stream is dropped when the set is polled next,
    /// which is before the task waits for anything else.
    fn stop(&mut self, id: &str) {
        if let Some(running) = self.running.remove(id) {
            running.abort.abort();
        }
    }

    /// Queries and mutations are finished, subscriptions end: their clients
    /// resume elsewhere.
    fn drain(&mut self) {
        self.draining = true;
        self.running.retain(|_, running| match running.kind {
            OperationType::Query | OperationType::Mutation => true,
            OperationType::Subscription => {
                running.abort.abort();
                false
            }
        });
    }

    /// Sends what an operation has to say, and what others have ready besides.
    async fn put_out(&mut self, output: Output) -> Result<(), End> {
        let mut next = Some(output);
        while let Some(Output { id, frames, last }) = next.take() {
            if last {
                self.running.remove(&id);
            }
            if self.out.is_empty() {
                self.out = frames;
            } else {
                self.out.extend_from_slice(&frames);
            }
            if self.out.len() < COALESCED_BYTES {
                next = self.outputs.next().now_or_never().flatten();
            }
        }
        self.write_out().await
    }

    async fn say(&mut self, greeting: &Greeting) -> Result<(), End> {
        greeting.put(&mut self.out);
        self.write_out().await
    }

    async fn write_out(&mut self) -> Result<(), End> {
        let patience = self.settings().send_timeout;
        in_time(patience, write_all(&mut self.socket, &mut self.out)).await?;
        // Whoever is idle keeps no memory for it.
        self.out = BytesMut::new();
        Ok(())
    }

    /// It is time to look whether the client is still there.
    async fn woke(&mut self) -> Result<(), End> {
        if self.init.is_none() {
            return Err(End::close(CloseCode::InitTimeout, "Connection initialisation timeout"));
        }
        let now = Instant::now();
        if now >= self.heard + self.settings().deadline {
            return Err(End::close(CloseCode::TryAgainLater, "No sign of life"));
        }
        if let Some(expiry) = &mut self.expiry
            && now >= expiry.next
        {
            if now >= expiry.end {
                return Err(End::close(CloseCode::Forbidden, "The token has expired"));
            }
            expiry.next = expiry.end;
            let payload = Reauthenticate { reauthenticate: true };
            self.say(&Greeting::Ping { payload }).await?;
        }
        if now >= self.next_ping {
            self.next_ping = now + self.settings().ping_every;
            let ping = self.socket.send(Message::Ping(Bytes::new()));
            in_time(self.door.settings.websocket.send_timeout, ping).await?;
        }
        self.wake_later();
        Ok(())
    }

    fn wake_later(&mut self) {
        let at = self.next_ping.min(self.heard + self.settings().deadline);
        let at = self.expiry.map_or(at, |expiry| at.min(expiry.next));
        self.wake.as_mut().reset(at);
    }

    /// Says goodbye and waits a while for the client to say it too.
    async fn close(mut self, code: CloseCode, reason: &str) {
        // A control frame has 125 bytes, two of them for the code.
        let reason = &reason[..reason.floor_char_boundary(123)];
        let frame = CloseFrame { code: code.number().into(), reason: reason.into() };
        let goodbye = async {
            // A frame that was begun is finished: what follows would be taken for its rest.
            write_all(&mut self.socket, &mut self.out).await?;
            self.socket.send(Message::Close(Some(frame))).await?;
            while self.socket.next().await.transpose()?.is_some() {}
            Ok::<_, Error>(())
        };
        // A client that does not take even that is dropped.
        let _ = timeout(self.door.settings.websocket.close_timeout, goodbye).await;
    }
}

/// Where an operation is to go on, as told when the socket was opened: one
/// cursor for all, or one per operation's id.
fn resume_of(init: &ConnectionInit, id: &str) -> Option<String> {
    let resume = init.0.get("resume")?;
    resume.as_str().or_else(|| resume.get(id)?.as_str()).map(str::to_owned)
}

/// Writes frames, behind what the library has to say (pongs). Whoever gives up
/// waiting finds in `out` what was not written.
async fn write_all(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    socket.flush().await?;
    let stream = socket.get_mut();
    stream.write_all_buf(out).await?;
    Ok(stream.flush().await?)
}

/// A client that does not take what is sent to it in time is closed.
async fn in_time(
    patience: Duration,
    sending: impl Future<Output = Result<(), Error>>,
) -> Result<(), End> {
    match timeout(patience, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::close(CloseCode::TryAgainLater, TOO_SLOW)),
    }
}
