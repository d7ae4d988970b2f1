//! A request by HTTP and its answer, as the span of its operation tells of them.

use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode};
use mallbots_eventstore::trace::Span;

use super::{http::status_of, media::MediaType, reply::Reply};

/// What is known of one. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Exchange {
    method: &'static str,
    form: MediaType,
    /// What it was answered with, once it was.
    status: Arc<OnceLock<StatusCode>>,
}

impl Exchange {
    /// A request for an answer of this form.
    pub(super) fn new(method: &Method, form: MediaType) -> Self {
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "HEAD" => "HEAD",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            "OPTIONS" => "OPTIONS",
            // Names that anybody may make up are not told.
            _ => "_OTHER",
        };
        Self { method, form, status: Arc::default() }
    }

    /// The form of an answer in one piece.
    pub(super) const fn form(&self) -> MediaType {
        self.form
    }

    /// It is answered in one piece.
    pub(super) fn answered(&self, reply: &Reply) {
        self.begun(status_of(reply, self.form));
    }

    /// An answer that is made while it is sent begins so.
    pub(super) fn begun(&self, status: StatusCode) {
        self.status.get_or_init(|| status);
    }

    /// With what it was answered; nothing if whoever asked did not wait for it.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status.get().copied()
    }

    /// Says of an operation's span how the operation came.
    pub(super) fn describe(&self, span: &mut Span) {
        span.set("network.protocol.name", "http");
        span.set("http.request.method", self.method);
        span.set("http.route", super::PATH);
        span.set("url.path", super::PATH);
        // Whoever speaks TLS does so in front of the mall.
        span.set("url.scheme", "http");
    }
}
