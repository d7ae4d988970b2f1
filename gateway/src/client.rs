//! A client of the mall: GraphQL over HTTP, and over a socket for what is
//! watched.
//!
//! The load generator, the demonstration and the tests come in through this,
//! as anybody else would. What may be asked for stands in [`operations`].

pub mod details;
pub mod operating;
pub mod operations;

mod subscription;

use std::{collections::BTreeMap, error::Error, fmt, time::Duration};

use bytes::Bytes;
use rand::Rng;
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::operations::Operation;
pub use self::subscription::Subscription;
use crate::config::Secret;

/// How long the mall may take to answer: longer than it gives itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// How long it may take to get through to the mall.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept: shorter than the mall keeps it, so
/// that no request is sent into a connection that is being closed.
const KEEP_IDLE: Duration = Duration::from_secs(20);

/// A client of one mall. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    /// What it shows to be let in.
    token: Option<Secret>,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not the address of a mall.
    #[error("{0:?} is not an address such as http://127.0.0.1:8080/graphql")]
    Address(String),
    /// The machine lacks something.
    #[error("preparing HTTP")]
    Http(#[source] reqwest::Error),
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The mall said no, or that it cannot.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The mall was not reached, or was lost before it answered. Whether it
    /// did what it was asked to is not known.
    #[error("the mall cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// What came back is not an answer to what was asked.
    #[error("the answer makes no sense: {0}")]
    Garbled(String),
}

impl CallError {
    /// The mall's code, or one of this client's own.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => problem.code(),
            Self::Unreachable(_) => "UNREACHABLE",
            Self::Garbled(_) => "GARBLED",
        }
    }

    /// What the mall said.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Unreachable(_) | Self::Garbled(_) => None,
        }
    }

    /// Whether the same again may go better: always safe for a query, and for
    /// a mutation under the same idempotency key.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(problem) => {
                matches!(problem.code(), "UNAVAILABLE" | "TIMEOUT" | "RATE_LIMITED")
            }
            Self::Unreachable(_) => true,
            Self::Garbled(_) => false,
        }
    }

    fn unreachable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable(cause.into())
    }

    fn garbled(what: impl fmt::Display) -> Self {
        Self::Garbled(what.to_string())
    }
}

/// An error as the mall tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Problem {
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(default)]
    pub extensions: Extensions,
}

/// What programs are told of an error.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Extensions {
    /// What the client does next.
    pub code: Option<String>,
    /// The domain's name for the refusal.
    pub reason: Option<String>,
    /// The input field at fault.
    pub field: Option<String>,
    /// The state that stands in the way.
    pub state: Option<String>,
    /// What else the next step needs.
    pub details: Option<serde_json::Value>,
    /// Where to find it in the mall's log.
    pub request_id: Option<String>,
}

impl Problem {
    /// What the client does next. A mall gives every error a code; one
    /// without is its fault.
    pub fn code(&self) -> &str {
        self.extensions.code.as_deref().unwrap_or("INTERNAL_SERVER_ERROR")
    }

    /// The domain's name for the refusal, or nothing.
    pub fn reason(&self) -> &str {
        self.extensions.reason.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, self.code())?;
        match &self.extensions.reason {
            Some(reason) => write!(f, ", {reason})"),
            None => f.write_str(")"),
        }
    }
}

/// What a mutation is called once: sent with it, and with it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key nobody has used.
    #[must_use]
    pub fn mint() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

impl Client {
    /// A client of the mall at an address, such as
    /// `http://127.0.0.1:8080/graphql`. Nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        let fault = || SetupError::Address(url.to_owned());
        let url = Url::parse(url).map_err(|_| fault())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(fault());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_idle_timeout(KEEP_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(SetupError::Http)?;
        Ok(Self { http, url, token: None })
    }

    /// The same for somebody: with a token, or without.
    #[must_use]
    pub fn with_token(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// Where the mall is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks once for the whole `data` of any document.
    pub async fn ask(
        &self,
        document: &str,
        variables: serde_json::Value,
    ) -> Result<serde_json::Value, CallError> {
        let body = serde_json::json!({ "query": document, "variables": variables });
        let answer = self.post(body.to_string().into(), None).await?;
        serde_json::from_str(answer.get()).map_err(CallError::garbled)
    }

    /// Asks once for what an operation is about, a mutation under the given
    /// key.
    pub async fn call<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
        key: Option<&IdempotencyKey>,
    ) -> Result<T, CallError> {
        let data = self.post(operation.body(), key).await?;
        only(&data)
    }

    /// Asks until there is an answer, for as long as patience lasts, a
    /// mutation under one key of its own: however often it is sent, it happens
    /// once. What a retry is made for is told to `on_retry`.
    pub async fn insist<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
        patience: Duration,
        mut on_retry: impl FnMut(&CallError) + Send,
    ) -> Result<T, CallError> {
        let key = operation.is_mutation().then(IdempotencyKey::mint);
        let mut backoff = Backoff::lasting(patience);
        loop {
            let error = match self.call(operation, key.as_ref()).await {
                Err(error) if error.is_transient() => error,
                answer => return answer,
            };
            if !backoff.wait().await {
                return Err(error);
            }
            on_retry(&error);
        }
    }

    /// Watches something, over a socket of its own.
    pub async fn subscribe<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
    ) -> Result<Subscription<T>, CallError> {
        Subscription::open(self, operation).await
    }

    /// Sends a request and reads the `data` of its answer.
    async fn post(
        &self,
        body: Bytes,
        key: Option<&IdempotencyKey>,
    ) -> Result<Box<RawValue>, CallError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        if let Some(IdempotencyKey(key)) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(CallError::unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(CallError::unreachable)?;
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) => answer.data(),
            Err(error) => Err(not_graphql(status, &error)),
        }
    }
}

/// Why no socket was opened.
async fn refused_upgrade(response: Response) -> CallError {
    let status = response.status();
    let answer = match response.bytes().await {
        Ok(body) => serde_json::from_slice::<Answer>(&body),
        Err(error) => return CallError::unreachable(error),
    };
    match answer.map(Answer::data) {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => CallError::Garbled(format!("status {status} instead of a socket")),
        Err(error) => not_graphql(status, &error),
    }
}

/// Something between here and the mall answered. On the mall's behalf it may
/// say that the mall is away.
fn not_graphql(status: StatusCode, error: &serde_json::Error) -> CallError {
    if status.is_server_error() {
        CallError::unreachable(format!("answered with status {status}"))
    } else {
        CallError::Garbled(format!("status {status}, {error}"))
    }
}

/// A GraphQL answer.
#[derive(Debug, Deserialize)]
struct Answer {
    data: Option<Box<RawValue>>,
    #[serde(default)]
    errors: Vec<Problem>,
}

impl Answer {
    /// All of it, or why not. Half an answer is none.
    fn data(self) -> Result<Box<RawValue>, CallError> {
        if let Some(problem) = self.errors.into_iter().next() {
            return Err(CallError::Refused(Box::new(problem)));
        }
        self.data.ok_or_else(|| CallError::garbled("neither data nor errors"))
    }
}

/// Pauses between attempts, each longer than the one before up to a bound,
/// and not alike for all, so that clients of a mall that comes back do not
/// come all at once.
#[derive(Debug)]
pub struct Backoff {
    until: Instant,
    next: Duration,
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Pauses for as long as patience lasts, from now.
    #[must_use]
    pub fn lasting(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, next: Self::FIRST, attempts: 0 }
    }

    /// Whether it was waited for once so far.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.attempts == 1
    }

    /// Waits before the next attempt; whether there should be one.
    pub async fn wait(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = (self.next * 2).min(Self::LONGEST);
        self.attempts += 1;
        sleep(pause.min(left)).await;
        true
    }
}

/// The one field of an answer's `data`, whatever it is called.
fn only<T: DeserializeOwned>(data: &RawValue) -> Result<T, CallError> {
    let mut fields: BTreeMap<String, T> =
        serde_json::from_str(data.get()).map_err(CallError::garbled)?;
    match (fields.pop_first(), fields.is_empty()) {
        (Some((_, value)), true) => Ok(value),
        (Some(_), false) | (None, _) => Err(CallError::garbled("not one field")),
    }
}

/// The address of a mall's GraphQL, where it listens.
pub fn url_of(address: std::net::SocketAddr) -> String {
    format!("http://{address}/graphql")
}

/// What is sent to open a socket, and along it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    ConnectionInit {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
    },
    Subscribe {
        id: &'a str,
        payload: &'a RawValue,
    },
    Pong,
}

#[cfg(test)]
mod tests;
