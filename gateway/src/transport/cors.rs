//! What browsers are told when a page of an allowed origin calls: that it may,
//! with which headers, and which of the answer's it may read.

use axum::{
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    response::{IntoResponse, Response},
};

use super::origin::Origins;

/// What pages may send.
const REQUEST_HEADERS: &str = "accept, apollo-require-preflight, authorization, \
     consistency-token, content-type, graphql-require-preflight, idempotency-key, last-event-id, \
     traceparent, tracestate, uber-trace-id, x-apollo-operation-name, x-request-id";

/// What pages may read.
const RESPONSE_HEADERS: &str = "consistency-token, retry-after, traceparent, x-request-id";

/// How long a browser may remember it, in seconds. Chromium's longest.
const REMEMBERED: &str = "7200";

/// The origin that is to be told it may read the answer. No wildcards, and no
/// credentials: callers show who they are by a header of their own.
pub(super) fn allowed(origins: &Origins, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origins.is_listed(origin.to_str().ok()?).then(|| origin.clone())
}

/// Whether a browser asks if a page may send something.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that, for an origin that may call.
pub(super) fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, REMEMBERED),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets a page of this origin read an answer.
pub(super) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    // Said to others too: what a cache keeps for one is not for another.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_listed_origins_are_told_that_they_may() {
        let origins =
            Origins { allowed: vec!["https://a.example".to_owned()], ..Origins::default() };
        let told = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            allowed(&origins, &headers)
        };
        assert_eq!(told("https://a.example").unwrap(), "https://a.example");
        for other in ["https://b.example", "null", "*", "", "http://a.example"] {
            assert_eq!(told(other), None, "{other}");
        }
        assert_eq!(allowed(&origins, &HeaderMap::new()), None);
    }

    #[test]
    fn header_names_are_names() {
        for name in REQUEST_HEADERS.split(',').chain(RESPONSE_HEADERS.split(',')) {
            assert!(HeaderName::try_from(name.trim()).is_ok(), "{name}");
        }
    }
}
