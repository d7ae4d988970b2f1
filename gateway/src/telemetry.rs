//! The log: to standard error, so that standard output is left to answers. And
//! where spans go.

pub mod traces;

use std::io::{self, IsTerminal};

use tracing::error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Starts the log, and sends panics there too. Once per process.
pub fn start(log: &Log) -> anyhow::Result<()> {
    // The client of NATS tells of each try to connect; what there is to know of
    // that is told by this house, once.
    let quiet = if log.filter.contains("async_nats") { "" } else { ",async_nats=warn" };
    let filter = EnvFilter::try_new(format!("{}{quiet}", log.filter))?;
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Pretty => registry
            .with(fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()))
            .try_init()?,
        LogFormat::Json => registry
            .with(fmt::layer().with_writer(io::stderr).json().flatten_event(true))
            .try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        error!(
            panic = panic.payload_as_str().unwrap_or("not a text"),
            code.location = panic.location().map(ToString::to_string),
            "panicked",
        );
    }));
    Ok(())
}
