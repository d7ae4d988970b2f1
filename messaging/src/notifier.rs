//! Gets messages out to customers: into the log by default, to a webhook when
//! one is configured.
//!
//! A message goes out at least once. A webhook is told the message's id as
//! `Idempotency-Key`, so that it can drop one it has seen.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use anyhow::ensure;

use futures_util::{FutureExt, future::BoxFuture};
use hmac::{Hmac, KeyInit, Mac};
use mallbots_domain::{
    id::{EntityId, Kind, NotificationId},
    notifications::{Notification, NotificationCommand, NotificationDetails},
};
use mallbots_eventstore::{
    ledger::Ledger,
    message::{MessageKind, Metadata, Recorded},
    trace::{self, SpanKind},
};
use sha2::Sha256;
use tracing::info;
use uuid::Uuid;

use crate::{
    consumer::{Delivery, Failure, Handler, outcome, undecodable},
    contexts::settled,
};

const REQUESTED: &str = "notifications.NotificationRequested";
/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a webhook is tried before the message has failed: with the usual
/// waits between, for some seconds.
const ATTEMPTS: u32 = 8;

/// How messages go out.
pub enum Notifier {
    /// As structured log lines.
    Log,
    /// As signed requests to a webhook.
    Webhook(Webhook),
}

/// Where messages are posted and how they are signed.
pub struct Webhook {
    url: reqwest::Url,
    secret: Vec<u8>,
    client: reqwest::Client,
}

impl Webhook {
    /// A webhook at `url`. Each request carries `X-MallBots-Signature:
    /// t=<unix seconds>,v1=<hex>`: HMAC-SHA-256 under `secret` over
    /// `<unix seconds>.<body>`.
    pub fn new(url: reqwest::Url, secret: impl Into<Vec<u8>>) -> anyhow::Result<Self> {
        // Whoever follows a redirect may end up with a request that says nothing.
        let redirect = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect).build()?;
        Ok(Self { url, secret: secret.into(), client })
    }

    fn signature(&self, seconds: i64, body: &str) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret)?;
        mac.update(format!("{seconds}.{body}").as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut signature = format!("t={seconds},v1=");
        for byte in digest {
            write!(signature, "{byte:02x}")?;
        }
        Ok(signature)
    }

    /// Posts a message. The webhook is told what it follows from.
    async fn post(
        &self,
        id: NotificationId,
        body: String,
        now: i64,
        asked: &Metadata,
    ) -> anyhow::Result<()> {
        let mut span = asked.follow(SpanKind::Client, || "POST");
        if span.is_recording() {
            span.set("http.request.method", "POST");
            span.set("server.address", self.url.host_str().unwrap_or_default().to_owned());
            span.set("server.port", i64::from(self.url.port_or_known_default().unwrap_or(0)));
        }
        let traceparent = span.traceparent().or_else(|| asked.traceparent.clone());
        let sent = self.send(id, body, now, traceparent.as_deref(), asked).await;
        match &sent {
            Ok(status) => {
                span.set("http.response.status_code", i64::from(status.as_u16()));
                if !status.is_success() {
                    span.fail(status.as_str().to_owned());
                }
            }
            Err(_) => span.fail("unreachable"),
        }
        let status = sent?;
        ensure!(status.is_success(), "the webhook answered {status}");
        Ok(())
    }

    async fn send(
        &self,
        id: NotificationId,
        body: String,
        now: i64,
        traceparent: Option<&str>,
        asked: &Metadata,
    ) -> anyhow::Result<reqwest::StatusCode> {
        let signature = self.signature(now / 1_000_000, &body)?;
        let mut request = self.client.post(self.url.clone());
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
            if let Some(uber_trace_id) = trace::uber_trace_id(traceparent) {
                request = request.header("uber-trace-id", uber_trace_id);
            }
            if let Some(tracestate) = &asked.tracestate {
                request = request.header("tracestate", tracestate);
            }
        }
        let response = request
            .header("content-type", "application/json")
            .header("idempotency-key", id.to_string())
            .header("x-mallbots-signature", signature)
            .body(body)
            .send()
            .await
            // The address may hold a secret.
            .map_err(reqwest::Error::without_url)?;
        Ok(response.status())
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "Log",
            Self::Webhook(_) => "Webhook",
        })
    }
}

/// The consumer that sends what was requested and records how it ended.
#[derive(Debug)]
pub struct Notifying {
    ledger: Ledger,
    notifier: Notifier,
}

impl Notifying {
    /// Sends through `notifier`.
    #[must_use]
    pub const fn new(ledger: Ledger, notifier: Notifier) -> Self {
        Self { ledger, notifier }
    }

    /// Sends a message and says how it ended; an error if it is to be tried again.
    async fn send(
        &self,
        id: NotificationId,
        details: &NotificationDetails,
        attempt: u32,
        asked: &Metadata,
    ) -> anyhow::Result<NotificationCommand> {
        let NotificationDetails { customer_id, sms_number, order_id, kind, text } = details;
        match &self.notifier {
            Notifier::Log => {
                // The number is the customer's own: it stays out of the log.
                info!(notification.id = %id, customer.id = %customer_id, order.id = %order_id,
                    notification.kind = kind.as_str(), text, "customer notified");
                Ok(NotificationCommand::MarkSent)
            }
            Notifier::Webhook(webhook) => {
                let body = serde_json::json!({
                    "id": id, "customerId": customer_id, "smsNumber": sms_number,
                    "orderId": order_id, "kind": kind, "text": text,
                })
                .to_string();
                match webhook.post(id, body, self.ledger.now(), asked).await {
                    Ok(()) => Ok(NotificationCommand::MarkSent),
                    Err(error) if attempt >= ATTEMPTS => {
                        Ok(NotificationCommand::MarkFailed { reason: format!("{error:#}") })
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }
}

impl Handler for Notifying {
    fn name(&self) -> &'static str {
        crate::post::Post::NOTIFIER
    }

    /// What a customer is told about one order is told in order.
    fn key(&self, message: &Recorded) -> Option<Uuid> {
        let requested = message.kind == MessageKind::Event
            && message.stream.kind == Kind::Notification
            && message.name == REQUESTED;
        let id = requested.then(|| message.stream.expect::<NotificationId>().ok()).flatten()?;
        Some(id.order().uuid())
    }

    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let message = &delivery.message;
            let id: NotificationId =
                message.stream.expect().map_err(|error| Failure::Poison(error.to_string()))?;
            let loaded = self.ledger.load::<Notification>(id).await;
            let loaded = loaded.map_err(|error| match outcome::<()>(Err(error.into())) {
                Err(failure) => failure,
                Ok(()) => Failure::Failed("the message cannot be loaded".to_owned()),
            })?;
            if !loaded.state.waiting() {
                return Ok(());
            }
            let Some(details) = loaded.state.details() else { return Ok(()) };
            let asked = message.metadata().map_err(|error| undecodable(&error))?;
            // Until the last attempt has failed: the engine waits and tries again.
            let ended = self.send(id, details, delivery.attempt, &asked).await;
            let ended = ended.map_err(|error| Failure::Unavailable(format!("{error:#}")))?;
            let metadata = asked.caused_by("notifier", message.message_id);
            let ended = &ended;
            let committed = self
                .ledger
                .transact(&metadata, |unit| {
                    async move {
                        settled(unit.decide::<Notification>(id, ended.clone()).await)?;
                        delivery.accept(unit);
                        Ok(())
                    }
                    .boxed()
                })
                .await;
            outcome(committed)
        }
        .boxed()
    }
}
