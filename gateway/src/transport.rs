//! The door: the way of every request from a socket's bytes to a schema and back.
//!
//! `connections` takes bytes in; `pipeline` is what all requests share; each
//! transport is one file over it: `http`, `event_stream`, `multipart`,
//! `callback`, `websocket`.
//! async-graphql executes and knows nothing of any of this: its own handlers
//! take whatever comes.

pub mod pipeline;

pub mod guard;

pub mod document_cache;

pub mod persisted;

pub(crate) mod fields;

mod cost;

pub mod consistency;

mod variables;

pub mod reply;

mod nulls;

pub mod part;

pub mod sharing;

pub mod context;

pub mod origin;

pub mod preflight;

mod cors;

mod media;

mod parameters;

mod exchange;

mod http;

mod heard;

mod event_stream;

mod multipart;

pub mod callback;

pub mod websocket;

pub mod connections;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use mallbots_projections::reads::Reads;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    callback::Callbacks, connections::ConnectionSettings, origin::Origins, pipeline::Pipeline,
    preflight::Preflight, websocket::WebSocketSettings,
};
use crate::auth::Authenticator;

/// How requests are taken in.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The longest body of a request, in bytes.
    pub max_body: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// Which pages and host names may come in.
    pub origins: Origins,
    /// Which GETs must show that no foreign page sent them.
    pub preflight: Preflight,
    /// After how long a silence subscribers over HTTP are told that somebody
    /// is there.
    pub heartbeat: Duration,
    /// Which routers may be called back, if any.
    pub callbacks: Option<Callbacks>,
    /// How sockets are kept.
    pub websocket: WebSocketSettings,
    /// Tells who comes in.
    pub authenticator: Authenticator,
    /// Where the playground finds somebody to offer tokens of.
    pub people: Option<Reads>,
    /// How many connections are kept, and how patiently.
    pub connections: ConnectionSettings,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            max_body: 256 * 1024,
            body_timeout: Duration::from_secs(15),
            origins: Origins::default(),
            preflight: Preflight::default(),
            heartbeat: Duration::from_secs(15),
            callbacks: None,
            websocket: WebSocketSettings::default(),
            authenticator: Authenticator::default(),
            people: None,
            connections: ConnectionSettings::default(),
        }
    }
}

/// Where GraphQL is spoken.
const PATH: &str = "/graphql";

/// What every transport needs.
#[derive(Debug)]
struct Door {
    pipeline: Arc<Pipeline>,
    settings: TransportSettings,
    /// Canceled when the server drains: sockets say goodbye.
    closing: CancellationToken,
    /// Counts open sockets, so that the drain can wait for them.
    sockets: TaskTracker,
}

/// The routes of GraphQL.
///
/// When `closing` is canceled, sockets finish what they must and close; they
/// are tracked by `sockets`.
pub fn router(
    pipeline: Arc<Pipeline>,
    settings: TransportSettings,
    closing: CancellationToken,
    sockets: TaskTracker,
) -> Router {
    let door = Arc::new(Door { pipeline, settings, closing, sockets });
    Router::new().route(PATH, any(http::answer)).with_state(door)
}
