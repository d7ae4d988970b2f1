//! Where spans go: to a collector such as Jaeger, by OTLP over HTTP.
//!
//! A span that ends is put into a bounded queue, which a thread of its own
//! empties. Whoever made it never waits: what the queue cannot take is dropped
//! and counted, and a collector that is away is told of once.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use mallbots_eventstore::trace::{self, New, Place, Recording, Value};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer,
        TracerProvider,
    },
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{self as sdk, SdkTracer, SdkTracerProvider, SpanData},
};
use rand::Rng;
use tokio::runtime::{self, Runtime};
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::{Config, Traces};

/// How long the collector may take over a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that ends may take over what is left.
const FAREWELL: Duration = Duration::from_secs(3);

/// Sends what is left of the spans when it is dropped, whatever led to that.
#[derive(Debug)]
pub struct Flush(Option<SdkTracerProvider>);

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(FAREWELL)
        {
            warn!(error = &error as &dyn std::error::Error, "the last spans were not sent");
        }
    }
}

/// Lets spans go where the settings say; nowhere, and at no cost, if they say
/// nothing. Once per process.
pub fn start(config: &Config) -> anyhow::Result<Flush> {
    let Some(traces) = &config.traces else { return Ok(Flush(None)) };
    let provider = provider(traces, config).context("starting to trace")?;
    let tracer = Spans { tracer: provider.tracer("mallbots"), ratio: traces.ratio };
    ensure!(trace::install(tracer), "traces were begun before");
    info!(ratio = traces.ratio, "traces are sent");
    Ok(Flush(Some(provider)))
}

fn provider(traces: &Traces, config: &Config) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new()?)
        .with_endpoint(format!("{}/v1/traces", traces.endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        // Whoever tries longer has more to drop meanwhile, and ends later.
        .with_retry_policy(RetryPolicy::recommended().with_max_retries(1))
        .build()?;
    // It also reads OTEL_RESOURCE_ATTRIBUTES.
    let resource = Resource::builder()
        .with_service_name(traces.service_name.clone())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
            KeyValue::new("mallbots.duties", config.duties.to_string()),
        ])
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        // What comes here is to be recorded: that is decided where a trace begins.
        .with_sampler(sdk::Sampler::AlwaysOn)
        .with_batch_exporter(Patient { exporter, lost: AtomicU64::new(0) })
        .build())
}

/// Makes spans of what the mall says of them.
struct Spans {
    tracer: SdkTracer,
    /// Of how many requests that bring no trace one is begun: from 0 to 1.
    ratio: f64,
}

impl trace::Tracer for Spans {
    fn samples(&self) -> bool {
        rand::rng().random_bool(self.ratio)
    }

    fn start(&self, new: New<'_>) -> Box<dyn Recording> {
        let builder = SpanBuilder::from_name(new.name).with_kind(match new.kind {
            trace::SpanKind::Server => SpanKind::Server,
            trace::SpanKind::Client => SpanKind::Client,
            trace::SpanKind::Producer => SpanKind::Producer,
            trace::SpanKind::Consumer => SpanKind::Consumer,
            trace::SpanKind::Internal => SpanKind::Internal,
        });
        let builder = match new.began {
            Some(began) => builder.with_start_time(SystemTime::now() - began.elapsed()),
            None => builder,
        };
        let parent = match new.parent.and_then(context_of) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        Box::new(Recorded(self.tracer.build_with_context(builder, &parent)))
    }
}

fn context_of(Place { traceparent, tracestate }: Place<'_>) -> Option<SpanContext> {
    let (trace, span) = trace::ids(traceparent)?;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    // One that cannot be read is passed on by messages, but means nothing here.
    let state = tracestate.and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default();
    Some(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state))
}

/// A span; it ends when it is dropped.
struct Recorded(sdk::Span);

impl Recording for Recorded {
    fn traceparent(&self) -> String {
        let context = self.0.span_context();
        format!("00-{}-{}-01", context.trace_id(), context.span_id())
    }

    fn tracestate(&self) -> Option<String> {
        let state = self.0.span_context().trace_state().header();
        (!state.is_empty()).then_some(state)
    }

    fn link(&mut self, traceparent: &str) {
        if let Some(context) = context_of(traceparent.into()) {
            self.0.add_link(context, Vec::new());
        }
    }

    fn set(&mut self, key: &'static str, value: Value) {
        self.0.set_attribute(match value {
            Value::Text(Cow::Borrowed(text)) => KeyValue::new(key, text),
            Value::Text(Cow::Owned(text)) => KeyValue::new(key, text),
            Value::Number(number) => KeyValue::new(key, number),
        });
    }

    fn fail(&mut self, kind: Cow<'static, str>) {
        self.0.set_status(Status::error(kind.clone()));
        self.set("error.type", Value::Text(kind));
    }
}

/// An exporter that tells once when the collector goes away, and what was lost
/// when it is back, instead of an error for every batch.
#[derive(Debug)]
struct Patient {
    exporter: SpanExporter,
    /// How many spans were lost since the last batch that was taken.
    lost: AtomicU64,
}

impl sdk::SpanExporter for Patient {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                let spans = self.lost.swap(0, Ordering::Relaxed);
                if spans > 0 {
                    info!(spans, "traces are taken again, some spans were lost");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "traces are not taken, spans are lost");
                }
            }
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let spans = self.lost.load(Ordering::Relaxed);
        if spans > 0 {
            warn!(spans, "spans were lost");
        }
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The HTTP client that there is anyway, run by the thread that exports: what
/// is sent takes nothing from those who serve, and can still be sent when they
/// have stopped.
struct Client {
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    fn new() -> anyhow::Result<Self> {
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(redirect).build()?;
        Ok(Self { http, runtime: runtime::Builder::new_current_thread().enable_all().build()? })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.execute(request.try_into()?).await;
        // The address may hold a secret.
        let answer = answer.map_err(reqwest::Error::without_url)?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = answer.headers().clone();
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move { self.runtime.block_on(self.send(request)) })
    }
}

#[cfg(test)]
mod tests {
    use mallbots_eventstore::trace::Tracer as _;
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_span_is_part_of_the_trace_it_follows_from() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let spans = Spans { tracer: provider.tracer("test"), ratio: 0.0 };
        assert!(!spans.samples());
        let kind = trace::SpanKind::Consumer;
        let parent = Some(Place { traceparent: PARENT, tracestate: Some("mall=robots,other=1") });
        let mut span = spans.start(New { name: "process".into(), kind, parent, began: None });
        let traceparent = span.traceparent();
        assert!(trace::is_traceparent(&traceparent) && trace::is_sampled(&traceparent));
        assert_eq!(span.tracestate().as_deref(), Some("mall=robots,other=1"));
        span.link(&PARENT.replace("b7-", "b8-"));
        span.set("position", 7_i64.into());
        span.fail("poison".into());
        drop(span);

        let [span] = exporter.get_finished_spans().unwrap().try_into().unwrap();
        let (trace, parent) = trace::ids(PARENT).unwrap();
        assert_eq!(span.span_context.trace_id().to_string(), trace);
        assert_eq!(span.parent_span_id.to_string(), parent);
        assert_eq!(span.span_context.trace_state().get("mall"), Some("robots"));
        assert_eq!(trace::ids(&traceparent).unwrap().1, span.span_context.span_id().to_string());
        assert_eq!(span.links.links[0].span_context.span_id().to_string(), "00f067aa0ba902b8");
        assert_eq!(span.status, Status::error("poison"));
        assert!(span.attributes.contains(&KeyValue::new("position", 7)));
    }
}
