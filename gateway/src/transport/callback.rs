//! Subscriptions told by requests of our own: Apollo's protocol of HTTP
//! callbacks (`application/json;callbackSpec=1.0`), for routers that have more
//! subscribers than they want to keep connections.
//!
//! Whoever can make a server send requests can reach what only the server can
//! reach. So it is off unless origins are listed, nothing else is ever called
//! (no redirects, no proxy), only routers may ask, an address must confirm that
//! it wants to be called before anything is begun, and there are only so many.
//! A router that stops listening ends its subscription: nothing is sent twice.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use mallbots_eventstore::trace::{Span, SpanKind};
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::{context::CallerTrace, pipeline::Parameters, reply::Reply, sharing::Sent};
use crate::{
    auth::{Caller, Role, Roles},
    error::{ClientError, ErrorCode},
};

/// Names the protocol in every message of it.
pub(super) const PROTOCOL: HeaderName = HeaderName::from_static("subscription-protocol");
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("callback/1.0");

/// How long a router may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether it still listens, if it does not say.
const USUAL_HEARTBEAT: u64 = 5_000;
/// Between which bounds it may say how often, in milliseconds.
const HEARTBEATS: (u64, u64) = (500, 60_000);
/// How long an id or a verifier may be, in bytes.
const LONGEST_TEXT: usize = 1_000;

/// Who may be called, and how many at once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Callbacks {
    client: Client,
    /// As URLs write them: scheme, host and port.
    origins: Arc<[String]>,
    places: Arc<Semaphore>,
}

impl Callbacks {
    /// For routers at these origins, `max` subscriptions of all of them together.
    pub fn new(origins: &[String], max: usize) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE / 2)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        let origins = origins.iter().map(|origin| Ok(origin_of(&Url::parse(origin)?)));
        Ok(Self {
            client,
            origins: origins.collect::<anyhow::Result<_>>()?,
            places: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// The line to a router that has confirmed that it wants to be called.
    /// What it is told from then on is part of the trace it asked within, or of
    /// that of what led to an item.
    pub(super) async fn open(
        &self,
        asked: Asked,
        caller: &Caller,
        trace: &CallerTrace,
    ) -> Result<Line, ClientError> {
        let refused = |message: &str| ClientError::new(ErrorCode::BadRequest, message);
        if !caller.rights().roles.meets(Roles::of(&[Role::Router, Role::Admin])) {
            let message = "subscriptions by callback are for routers";
            return Err(ClientError::new(ErrorCode::Forbidden, message));
        }
        let url = Url::parse(&asked.callback_url)
            .map_err(|_| refused("callbackUrl is not an address"))?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || !self.origins.contains(&origin_of(&url)) {
            return Err(refused("callbackUrl is not among those that may be called"));
        }
        for (name, text) in [("subscriptionId", &asked.id), ("verifier", &asked.verifier)] {
            if text.is_empty() || text.len() > LONGEST_TEXT {
                let message = format!("{name} has 1 to {LONGEST_TEXT} bytes");
                return Err(refused(&message));
            }
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "there are too many subscriptions by callback, try again later";
            ClientError::new(ErrorCode::Unavailable, message)
        })?;
        let heartbeat = match asked.heartbeat {
            0 => None,
            every => Some(Duration::from_millis(every.clamp(HEARTBEATS.0, HEARTBEATS.1))),
        };
        let (client, id, verifier) = (self.client.clone(), asked.id, asked.verifier);
        let trace = trace.clone();
        let line = Line { client, url, id, verifier, heartbeat, trace, _place: place };
        if line.call("check", &[], &line.trace).await {
            Ok(line)
        } else {
            Err(refused("callbackUrl did not confirm that it wants to be called"))
        }
    }
}

/// Scheme, host and port.
fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// What a router says of itself, in `extensions.subscription`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    callback_url: String,
    #[serde(rename = "subscriptionId")]
    id: String,
    verifier: String,
    #[serde(rename = "heartbeatIntervalMs", default = "usual_heartbeat")]
    heartbeat: u64,
}

const fn usual_heartbeat() -> u64 {
    USUAL_HEARTBEAT
}

impl Asked {
    /// Reads it from a request, if there is anything of it.
    pub(super) fn of(parameters: &Parameters) -> Result<Option<Self>, ClientError> {
        let said = parameters.extensions.as_ref().and_then(|all| all.get("subscription"));
        said.map(Self::deserialize).transpose().map_err(|_| {
            let message = "extensions.subscription has a callbackUrl, a subscriptionId, \
                a verifier and heartbeatIntervalMs";
            ClientError::new(ErrorCode::BadRequest, message)
        })
    }
}

/// The way to a router, for one subscription.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    url: Url,
    id: String,
    verifier: String,
    heartbeat: Option<Duration>,
    /// The trace that it was asked for in.
    trace: CallerTrace,
    /// Given back when the subscription ends.
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// Tells the router all there is to say, and that there is no more. Ends
    /// before if the router does not listen.
    pub(super) async fn tell(
        self,
        mut replies: BoxStream<'static, Arc<Sent>>,
        closing: CancellationToken,
        request_id: Uuid,
    ) {
        let mut heartbeat = self.heartbeat.map(every);
        let errors = loop {
            let is_heard = tokio::select! {
                biased;
                () = closing.cancelled() => {
                    let error = ClientError::new(ErrorCode::Unavailable, "the server is going away");
                    break Reply::refused(error, Vec::new(), request_id).sent().refusal;
                }
                // Whether somebody still listens is no part of what was asked for.
                () = tick(&mut heartbeat) => self.say("check", &[], &CallerTrace::default()).await.is_ok(),
                reply = replies.next() => match reply {
                    None => break None,
                    Some(sent) => match &sent.refusal {
                        Some(errors) => break Some(errors.clone()),
                        None => self.next(&sent).await,
                    },
                },
            };
            if !is_heard {
                return;
            }
        };
        let errors: Option<Bytes> = errors;
        match &errors {
            Some(errors) => self.call("complete", &[b",\"errors\":", errors], &self.trace).await,
            None => self.call("complete", &[], &self.trace).await,
        };
    }

    /// Tells an item, within the trace of what led to it.
    async fn next(&self, sent: &Sent) -> bool {
        let trace = sent.trace.as_ref().unwrap_or(&self.trace);
        self.call("next", &[b",\"payload\":", &sent.payload], trace).await
    }

    /// Sends a message that follows from something, and tells whether the
    /// router wants more of them.
    async fn call(&self, action: &'static str, rest: &[&[u8]], follows: &CallerTrace) -> bool {
        let mut span = Span::follow(follows.place(), SpanKind::Client, || "POST");
        if span.is_recording() {
            span.set("http.request.method", "POST");
            span.set("server.address", self.url.host_str().unwrap_or_default().to_owned());
            span.set("server.port", i64::from(self.url.port_or_known_default().unwrap_or(0)));
            span.set("callback.action", action);
        }
        let trace = CallerTrace::of_span(&span);
        let said = self.say(action, rest, trace.as_ref().unwrap_or(follows)).await;
        match said {
            Ok(status) | Err(Some(status)) => {
                span.set("http.response.status_code", i64::from(status.as_u16()));
                if !status.is_success() {
                    span.fail(status.as_str().to_owned());
                }
            }
            Err(None) => span.fail("unreachable"),
        }
        said.is_ok()
    }

    /// Sends a message within a trace. What the router answers, if it wants more
    /// of them: 404 says that it knows nothing of the subscription, everything
    /// but success is as good as that. Nothing if it cannot be reached.
    async fn say(
        &self,
        action: &str,
        rest: &[&[u8]],
        trace: &CallerTrace,
    ) -> Result<StatusCode, Option<StatusCode>> {
        let head = json!({
            "kind": "subscription", "action": action, "id": self.id, "verifier": self.verifier,
        });
        let head = head.to_string();
        let mut body = head.strip_suffix('}').unwrap_or(&head).as_bytes().to_vec();
        body.extend(rest.concat());
        body.push(b'}');
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header(PROTOCOL, VERSION)
            .headers(trace.headers())
            .body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response.status()),
            Ok(response) => {
                let is_gone = response.status() == StatusCode::NOT_FOUND;
                debug!(action, status = response.status().as_u16(), is_gone, "a callback ends");
                Err(Some(response.status()))
            }
            Err(error) => {
                debug!(action, %error, "a callback cannot be reached");
                Err(None)
            }
        }
    }
}

fn every(heartbeat: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + heartbeat, heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tick(heartbeat: &mut Option<Interval>) {
    match heartbeat {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Rights;

    #[tokio::test]
    async fn only_listed_addresses_are_called() {
        // Nobody listens there: whoever were called would be refused otherwise.
        let origins = ["http://router.example:4000".to_owned(), "https://b.example".to_owned()];
        let callbacks = Callbacks::new(&origins, 1).unwrap();
        for url in [
            "",
            "router.example",
            "http://router.example/x",
            "https://router.example:4000/x",
            "http://router.example:4001/x",
            "http://router.example.evil.example:4000/x",
            "http://router.example:4000@evil.example/x",
            "http://user@router.example:4000/x",
            "http://evil.example/?http://router.example:4000",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]:4000/x",
            "file:///etc/passwd",
            "https://b.example:8443/",
        ] {
            let trace = CallerTrace::default();
            let asked = Asked {
                callback_url: url.to_owned(),
                id: "1".to_owned(),
                verifier: "v".to_owned(),
                heartbeat: 0,
            };
            let refused = callbacks.open(asked, &Caller::developer(), &trace).await.unwrap_err();
            assert!(refused.message.starts_with("callbackUrl is not"), "{url}: {refused:?}");
        }
        assert_eq!(callbacks.places.available_permits(), 1);
    }

    #[tokio::test]
    async fn only_routers_may_ask() {
        let callbacks = Callbacks::new(&["http://router.example".to_owned()], 1).unwrap();
        for role in [Role::Customer, Role::StoreOwner, Role::Depot] {
            let rights = Rights { roles: Roles::of(&[role]), ..Rights::default() };
            let asked = Asked {
                callback_url: "http://router.example/".to_owned(),
                id: "1".to_owned(),
                verifier: "v".to_owned(),
                heartbeat: 0,
            };
            let (caller, trace) = (Caller::new("x", rights, None), CallerTrace::default());
            let refused = callbacks.open(asked, &caller, &trace).await;
            assert_eq!(refused.unwrap_err().code, ErrorCode::Forbidden, "{role}");
        }
    }
}
