//! The listener for those who watch over the process: its numbers and its
//! health, and nothing of the mall's. It goes on answering while the process
//! drains.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{process::Started, standing::Watched};
use crate::{
    startup::Lifecycle,
    transport::connections::{ConnectionSettings, accept},
};

/// How often what was timed is put into its buckets, if nobody looks.
const UPKEEP: Duration = Duration::from_secs(5);
/// How many may look at a time.
const MOST: usize = 64;
/// How Prometheus says which form it reads.
const FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Admin {
    recorder: PrometheusHandle,
    watched: Watched,
    started: Started,
}

/// Listens for those who watch over the process until all its tasks have
/// ended. Tells where.
pub(crate) async fn listen(
    address: SocketAddr,
    recorder: PrometheusHandle,
    watched: Watched,
    health: Router,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} for metrics (admin_listen)"))?;
    let address = listener.local_addr().context("finding out the address of metrics")?;
    let upkeep = recorder.clone();
    lifecycle.spawn("metrics", |stop| async move {
        let mut rounds = tokio::time::interval(UPKEEP);
        let rounds = async {
            loop {
                rounds.tick().await;
                upkeep.run_upkeep();
            }
        };
        stop.run_until_cancelled(rounds).await;
        Ok(())
    });
    let admin = Arc::new(Admin { recorder, watched, started: Started::now() });
    let router = Router::new().route("/metrics", get(metrics)).with_state(admin).merge(health);
    let settings = ConnectionSettings {
        max: MOST,
        max_per_address: MOST,
        listener: "admin",
        ..ConnectionSettings::default()
    };
    let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
    tracker.spawn(accept(listener, router, settings, closing.clone(), tracker.clone()));
    lifecycle.on_close("metrics", async move {
        closing.cancel();
        tracker.close();
        tracker.wait().await;
    });
    Ok(address)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let Admin { recorder, watched, started } = &*admin;
    watched.look().await;
    let mut text = recorder.render();
    started.write(&mut text);
    ([(CONTENT_TYPE, FORM)], text).into_response()
}
