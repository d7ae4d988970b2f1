//! The life of the process: opening, serving, and closing in order.
//!
//! Whoever has work of their own puts it on the [`Lifecycle`], so that it
//! starts, stops and is waited for with everything else, and tells
//! [`Readiness`] how to see that it is well.

use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use async_graphql::SDLExportOptions;
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{FutureExt, future::BoxFuture, future::join_all};
use mallbots_projections::reads::Reads;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::{
    auth::Authenticator,
    config::{Config, duties::Role},
    graphql,
    graphql::freshness::{self, Library},
    mall::{self, Opened},
    metrics::{self, admin, standing::Watched},
    pages::{self, Visitors},
    transport::{
        self, TransportSettings,
        callback::Callbacks,
        connections::{ConnectionSettings, accept},
        origin::Origins,
        persisted::{PersistedDocuments, TrustedDocuments},
        pipeline::{Pipeline, PipelineSettings},
    },
};

/// What runs in the process besides answering requests, and how it ends.
///
/// The order of the end: the door closes (no new connections, requests finish,
/// sockets say goodbye), then the tasks are asked to stop and waited for, then
/// what was registered with [`on_close`](Self::on_close) is closed, last
/// registered first.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<Stages>);

#[derive(Default)]
struct Stages {
    /// Canceled to ask for a shutdown from within.
    ending: CancellationToken,
    /// Canceled when the door closes.
    closing: CancellationToken,
    /// Connections and the sockets they became.
    connections: TaskTracker,
    /// Canceled when tasks are to stop.
    stopping: CancellationToken,
    tasks: TaskTracker,
    closers: Mutex<Vec<(&'static str, BoxFuture<'static, ()>)>>,
    /// Whether a task ended that had to go on.
    failed: AtomicBool,
}

impl std::fmt::Debug for Stages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stages").finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// Runs a task as long as the process serves. It stops when its token is
    /// canceled; if it ends before, whatever the reason, the process shuts
    /// down and fails.
    pub fn spawn<F>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stages = Arc::clone(&self.0);
        let running = AssertUnwindSafe(task(stages.stopping.child_token())).catch_unwind();
        let watched = async move {
            let ended = running.await;
            let told = stages.stopping.is_cancelled();
            match ended {
                Ok(Ok(())) if told => debug!("stopped"),
                Ok(Ok(())) => error!("stopped early"),
                Ok(Err(error)) => error!(error = format!("{error:#}"), "failed"),
                Err(_) => error!("failed by a panic"),
            }
            if !told {
                stages.failed.store(true, Ordering::Relaxed);
                stages.ending.cancel();
            }
        };
        self.0.tasks.spawn(watched.instrument(info_span!("task", task.name = name)));
    }

    /// Has something closed after all tasks stopped.
    pub fn on_close(&self, name: &'static str, close: impl Future<Output = ()> + Send + 'static) {
        let mut closers = self.0.closers.lock().unwrap_or_else(PoisonError::into_inner);
        closers.push((name, close.boxed()));
    }

    /// Asks the process to shut down in order.
    pub fn end(&self) {
        self.0.ending.cancel();
    }

    /// Ends everything, stage by stage.
    async fn close(&self, readiness: &Readiness) {
        let Stages { closing, connections, stopping, tasks, closers, .. } = &*self.0;
        readiness.draining();
        closing.cancel();
        connections.close();
        connections.wait().await;
        debug!("the door is closed");
        stopping.cancel();
        tasks.close();
        tasks.wait().await;
        debug!("the tasks have stopped");
        loop {
            let last = closers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, close)) = last else { break };
            close.await;
            debug!(name, "closed");
        }
    }
}

/// How the process can tell that it is able to serve.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Checks>);

#[derive(Default)]
struct Checks {
    draining: AtomicBool,
    checks: Mutex<Vec<(&'static str, Weight, Check)>>,
}

/// What it means when a check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// The process cannot do its work.
    Needed,
    /// It does its work, but not as well.
    Helpful,
}

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("draining", &self.draining).finish_non_exhaustive()
    }
}

/// How long a check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

impl Readiness {
    /// Adds a check of what the process cannot do without. The error says what
    /// is wrong, in words fit for everybody.
    pub fn register<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, Weight::Needed, Arc::new(move || check().boxed()));
    }

    /// Adds a check of what the process does its work without, only not as well.
    pub fn register_helpful<F>(
        &self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, Weight::Helpful, Arc::new(move || check().boxed()));
    }

    fn add(&self, name: &'static str, weight: Weight, check: Check) {
        let mut checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.push((name, weight, check));
    }

    /// From now on the process is not ready, whatever the checks say.
    fn draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    async fn report(&self, patience: Duration) -> Report {
        let checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut findings = join_all(checks.into_iter().map(|(name, weight, check)| async move {
            let reason = match timeout(patience, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(reason),
                Err(_) => Some("did not answer in time".to_owned()),
            };
            Finding::new(name, weight, reason)
        }))
        .await;
        if self.0.draining.load(Ordering::Relaxed) {
            let reason = Some("shutting down".to_owned());
            findings.insert(0, Finding::new("server", Weight::Needed, reason));
        }
        let status = findings.iter().map(|finding| finding.status).max();
        let status = status.unwrap_or(Status::Ready);
        Report { ready: status != Status::NotReady, status, checks: findings }
    }
}

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    status: Status,
    /// What is not as it should be, or everything for those who ask for it.
    checks: Vec<Finding>,
}

/// How it is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ready,
    /// Something helpful is missing; the work is done all the same.
    Degraded,
    #[serde(rename = "not ready")]
    NotReady,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Finding {
    fn new(name: &'static str, weight: Weight, reason: Option<String>) -> Self {
        let status = match (&reason, weight) {
            (None, _) => Status::Ready,
            (Some(_), Weight::Helpful) => Status::Degraded,
            (Some(_), Weight::Needed) => Status::NotReady,
        };
        Self { name, status, reason }
    }
}

/// Asks the process to stop: gently first, then at once.
#[derive(Debug, Clone, Default)]
pub struct StopSignals {
    /// Canceled to drain.
    pub drain: CancellationToken,
    /// Canceled to end at once.
    pub abort: CancellationToken,
}

impl StopSignals {
    /// Listens to SIGINT and SIGTERM: the first drains, the second ends.
    pub fn of_process() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let signals = Self::default();
        let Self { drain, abort } = signals.clone();
        // On a tracker of its own: nobody waits for signals that may never come.
        TaskTracker::new().spawn(async move {
            for token in [drain, abort] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(signals)
    }
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// As it was told to, everything in order.
    Drained,
    /// Because a task ended that had to go on.
    Failed,
    /// Not everything ended in time.
    TimedOut,
    /// At once.
    Aborted,
}

impl From<Stopped> for ExitCode {
    fn from(stopped: Stopped) -> Self {
        Self::from(match stopped {
            Stopped::Drained => 0,
            Stopped::Failed => 1,
            Stopped::TimedOut => 3,
            Stopped::Aborted => 130,
        })
    }
}

/// The server, bound to its address.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    router: Router,
    connections: ConnectionSettings,
    lifecycle: Lifecycle,
    readiness: Readiness,
    shutdown_timeout: Duration,
}

impl Application {
    /// Binds the address and lays the routes. Requests wait until it is run.
    pub async fn build(
        config: &Config,
        pipeline: Pipeline,
        authenticator: Authenticator,
        people: Option<Reads>,
        lifecycle: Lifecycle,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let origins = Origins {
            allowed: config.allowed_origins.clone(),
            // Without keys, whoever is let in is an admin.
            loopback_only: authenticator.is_open(),
            hosts: config.allowed_hosts.clone(),
        };
        // From elsewhere nobody is offered a way in.
        let people = people.filter(|_| config.listen.ip().is_loopback());
        let usual = TransportSettings::default();
        let settings = TransportSettings {
            origins,
            authenticator,
            people,
            preflight: config.preflight,
            callbacks: callbacks(config)?,
            body_timeout: config.body_timeout.unwrap_or(usual.body_timeout),
            connections: connections(config),
            ..usual
        };
        Self::with_settings(config, settings, pipeline, lifecycle, readiness).await
    }

    /// The same, with the transport's settings given.
    pub async fn with_settings(
        config: &Config,
        settings: TransportSettings,
        pipeline: Pipeline,
        lifecycle: Lifecycle,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let Stages { closing, connections, .. } = &*lifecycle.0;
        let limits = settings.connections.clone();
        let visitors = Visitors {
            authenticator: settings.authenticator.clone(),
            origins: settings.origins.clone(),
            people: settings.people.clone(),
        };
        let router = pages::router(visitors).merge(transport::router(
            Arc::new(pipeline),
            settings,
            closing.clone(),
            connections.clone(),
        ));
        Self::bind(config, router, limits, lifecycle, readiness).await
    }

    /// The same for a process that is no gateway: only its health can be asked for.
    pub async fn without_door(
        config: &Config,
        lifecycle: Lifecycle,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let connections = connections(config);
        Self::bind(config, Router::new(), connections, lifecycle, readiness).await
    }

    async fn bind(
        config: &Config,
        router: Router,
        connections: ConnectionSettings,
        lifecycle: Lifecycle,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let router = router.merge(health(&readiness));
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listening on {}", config.listen))?;
        let address = listener.local_addr().context("finding out the address")?;
        Ok(Self {
            listener,
            address,
            admin: None,
            router,
            connections,
            lifecycle,
            readiness,
            shutdown_timeout: config.shutdown_timeout,
        })
    }

    /// The real address, also where any port would do.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are, if they are anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Listens also for those who watch over the process.
    async fn watched(
        mut self,
        config: &Config,
        recorder: Option<PrometheusHandle>,
        watched: Watched,
    ) -> anyhow::Result<Self> {
        if let (Some(address), Some(recorder)) = (config.admin_listen, recorder) {
            let health = health(&self.readiness);
            let listening = admin::listen(address, recorder, watched, health, &self.lifecycle);
            self.admin = Some(listening.await?);
        }
        Ok(self)
    }

    /// What runs in the process besides.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Serves until it is told to stop, and then closes in order.
    pub async fn run_until_stopped(self, signals: StopSignals) -> Stopped {
        let Self { listener, router, connections: settings, lifecycle, readiness, .. } = self;
        let stages = Arc::clone(&lifecycle.0);
        let (closing, tracker) = (stages.closing.clone(), stages.connections.clone());
        let accepting = accept(listener, router, settings, closing, tracker);
        stages.connections.spawn(accepting);

        tokio::select! {
            () = signals.drain.cancelled() => info!("told to stop"),
            () = stages.ending.cancelled() => {}
            () = signals.abort.cancelled() => return Stopped::Aborted,
        }
        tokio::select! {
            closed = timeout(self.shutdown_timeout, lifecycle.close(&readiness)) => match closed {
                Ok(()) if stages.failed.load(Ordering::Relaxed) => Stopped::Failed,
                Ok(()) => {
                    info!("stopped");
                    Stopped::Drained
                }
                Err(_) => {
                    warn!("not everything ended in time");
                    Stopped::TimedOut
                }
            },
            () = signals.abort.cancelled() => {
                warn!("told again to stop, ending at once");
                Stopped::Aborted
            }
        }
    }
}

/// The pages that say how it is.
fn health(readiness: &Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        // Nothing listens before everything is open.
        .route("/startupz", get(async || "started\n"))
        .route("/readyz", get(readyz))
        .with_state(readiness.clone())
}

/// Which routers may be called back.
fn callbacks(config: &Config) -> anyhow::Result<Option<Callbacks>> {
    if config.callback_origins.is_empty() {
        return Ok(None);
    }
    let callbacks = Callbacks::new(&config.callback_origins, config.max_callbacks);
    callbacks.map(Some).context("preparing to call back")
}

/// How many connections are kept. From this machine alone all come from one
/// address.
fn connections(config: &Config) -> ConnectionSettings {
    let usual = ConnectionSettings::default();
    let max = config.max_connections.unwrap_or(usual.max);
    let alone = config.listen.ip().is_loopback();
    let per_address = if alone { max } else { usual.max_per_address };
    ConnectionSettings {
        head_timeout: config.head_timeout.unwrap_or(usual.head_timeout),
        write_timeout: config.write_timeout.unwrap_or(usual.write_timeout),
        max,
        max_per_address: config.max_connections_per_address.unwrap_or(per_address),
        ..usual
    }
}

/// Opens the mall and serves it until it is told to stop.
pub async fn serve(config: &Config) -> anyhow::Result<Stopped> {
    serve_with(config, |_| ()).await
}

/// The same, with more work in the process: it is begun when the address is known.
pub async fn serve_with(
    config: &Config,
    begin: impl FnOnce(&Application),
) -> anyhow::Result<Stopped> {
    for name in &config.ignored {
        warn!(name, "this variable looks like a setting but is none");
    }
    let signals = StopSignals::of_process().context("listening to signals")?;
    let abort = signals.abort.clone();
    let application = tokio::select! {
        application = open(config) => application?,
        () = abort.cancelled() => return Ok(Stopped::Aborted),
    };
    announce(config, &application);
    begin(&application);
    Ok(application.run_until_stopped(signals).await)
}

/// Opens the rooms that the process has work in, and binds its address.
pub async fn open(config: &Config) -> anyhow::Result<Application> {
    let (lifecycle, readiness) = (Lifecycle::default(), Readiness::default());
    // Before there is anything to count.
    let recorder = config.admin_listen.map(|_| metrics::install()).transpose()?;
    let Opened { services, watched } = mall::open(config, &lifecycle, &readiness).await?;
    let Some(services) = services else {
        let application = Application::without_door(config, lifecycle, readiness).await?;
        return application.watched(config, recorder, watched).await;
    };
    let authenticator = Authenticator::open(config, &services.ledger, &lifecycle).await?;
    let loaders = services.loaders();
    let settings = pipeline_settings(config)?;
    let schema = |mode| {
        let builder = graphql::schema_builder()
            .data(services.clone())
            .data(loaders.clone())
            .validation_mode(mode);
        // Who may not see the schema is not told its names one by one either.
        if config.introspection { builder } else { builder.disable_suggestions() }.finish()
    };
    let pipeline = Pipeline::new(schema, settings).context("reading the schema")?;
    let reads = services.reads.clone();
    let people = Some(reads.clone());
    let pipeline = pipeline.waiting_for(Library { reads, patience: freshness::PATIENCE });
    let application =
        Application::build(config, pipeline, authenticator, people, lifecycle, readiness).await?;
    application.watched(config, recorder, watched).await
}

fn pipeline_settings(config: &Config) -> anyhow::Result<PipelineSettings> {
    let usual = PipelineSettings::default();
    let trusted = match &config.trusted_documents {
        Some(file) => TrustedDocuments::read(file, &usual.limits)?,
        None => TrustedDocuments::default(),
    };
    let persisted = PersistedDocuments {
        automatic: config.persisted_queries,
        trusted: Arc::new(trusted),
        only_trusted: config.trusted_documents_only,
    };
    let timeout = config.operation_timeout.unwrap_or(usual.timeout);
    let shared = graphql::SHARED;
    let (introspection, rate) = (config.introspection, config.rate);
    Ok(PipelineSettings { timeout, persisted, introspection, shared, rate, ..usual })
}

/// The schema's definition, as `schema.graphql` holds it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    graphql::schema_builder().finish().sdl_with_options(options)
}

/// Says how it is, and what is wrong; `?verbose` lists what is well too.
async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let mut report = readiness.report(CHECK_TIMEOUT).await;
    if query.is_none_or(|query| query != "verbose") {
        report.checks.retain(|finding| finding.status != Status::Ready);
    }
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// Tells where the mall is, on standard output, for people and scripts.
fn announce(config: &Config, application: &Application) {
    let address = application.address();
    let mut lines = if config.duties.has(Role::Gateway) {
        format!(
            "MallBots is open: GraphQL at http://{address}/graphql\n\
             In a browser: http://{address}/\n"
        )
    } else {
        format!("MallBots is at work: {} at http://{address}/readyz\n", config.duties)
    };
    if let Some(admin) = application.admin_address() {
        lines = format!("{lines}Metrics at http://{admin}/metrics\n");
    }
    let mut out = io::stdout().lock();
    // Nobody reading it is no reason not to serve.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    use super::*;
    use crate::cli::SettingsArgs;

    struct Root;

    #[Object]
    impl Root {
        async fn here(&self) -> bool {
            true
        }
    }

    async fn application(lifecycle: &Lifecycle, variables: &[(&str, &str)]) -> Application {
        let flags = SettingsArgs {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..SettingsArgs::default()
        };
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let config = Config::load(&flags, variables).unwrap();
        let schema = |mode| {
            Schema::build(Root, EmptyMutation, EmptySubscription).validation_mode(mode).finish()
        };
        let pipeline = Pipeline::new(schema, PipelineSettings::default()).unwrap();
        let readiness = Readiness::default();
        let anybody = Authenticator::default();
        let lifecycle = lifecycle.clone();
        Application::build(&config, pipeline, anybody, None, lifecycle, readiness).await.unwrap()
    }

    fn drained() -> StopSignals {
        let signals = StopSignals::default();
        signals.drain.cancel();
        signals
    }

    #[tokio::test]
    async fn tasks_stop_before_anything_closes_and_the_last_opened_closes_first() {
        let lifecycle = Lifecycle::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = Arc::clone(&order);
            async move { order.lock().unwrap().push(what) }
        };
        lifecycle.on_close("ledger", note("ledger"));
        lifecycle.on_close("views", note("views"));
        let stopped = note("consumer");
        lifecycle.spawn("consumer", |token| async move {
            token.cancelled().await;
            stopped.await;
            Ok(())
        });
        let stopped = application(&lifecycle, &[]).await.run_until_stopped(drained()).await;
        assert_eq!(stopped, Stopped::Drained);
        assert_eq!(*order.lock().unwrap(), ["consumer", "views", "ledger"]);
    }

    #[tokio::test]
    async fn a_task_that_ends_early_takes_the_process_down() {
        for how in ["done", "failed", "panicked"] {
            let lifecycle = Lifecycle::default();
            lifecycle.spawn("consumer", |_| async move {
                assert_ne!(how, "panicked");
                if how == "failed" { Err(anyhow::anyhow!("no")) } else { Ok(()) }
            });
            let application = application(&lifecycle, &[]).await;
            let stopped = application.run_until_stopped(StopSignals::default()).await;
            assert_eq!(stopped, Stopped::Failed, "{how}");
        }
    }

    #[tokio::test]
    async fn a_task_that_will_not_stop_is_not_waited_for_beyond_the_timeout() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn("consumer", |_| std::future::pending());
        let application = application(&lifecycle, &[("MALLBOTS_SHUTDOWN_TIMEOUT", "10ms")]).await;
        assert_eq!(application.run_until_stopped(drained()).await, Stopped::TimedOut);
    }

    #[tokio::test]
    async fn a_process_that_drains_is_not_ready() {
        let readiness = Readiness::default();
        readiness.register("ledger", async || Ok(()));
        assert!(readiness.report(CHECK_TIMEOUT).await.ready);
        readiness.draining();
        let report = readiness.report(CHECK_TIMEOUT).await;
        assert!(!report.ready);
        let found: Vec<_> = report.checks.iter().map(|check| (check.name, check.status)).collect();
        assert_eq!(found, [("server", Status::NotReady), ("ledger", Status::Ready)]);
    }

    #[tokio::test]
    async fn a_process_that_lacks_what_only_helps_is_ready_and_says_what() {
        let readiness = Readiness::default();
        readiness.register("ledger", async || Ok(()));
        readiness.register_helpful("nats", async || Err("it is away".to_owned()));
        let report = readiness.report(CHECK_TIMEOUT).await;
        assert_eq!((report.ready, report.status), (true, Status::Degraded));
        readiness.register("read models", async || Err("12 behind".to_owned()));
        let report = readiness.report(CHECK_TIMEOUT).await;
        assert_eq!((report.ready, report.status), (false, Status::NotReady));
    }

    #[tokio::test]
    async fn a_check_that_hangs_has_failed() {
        let readiness = Readiness::default();
        readiness.register("ledger", std::future::pending);
        let report = readiness.report(Duration::from_millis(10)).await;
        assert_eq!(report.checks[0].reason.as_deref(), Some("did not answer in time"));
    }
}
