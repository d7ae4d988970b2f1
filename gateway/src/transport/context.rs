//! What resolvers know of the request they answer, beside its document.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{Context, Value};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use mallbots_eventstore::trace::{self, Place, Span};
use uuid::Uuid;

use super::{consistency::Token, part::Part};
use crate::error::{ClientError, ErrorCode};

/// Who is asked to do something only once names the request with this header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The W3C trace context of the caller.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What else systems along its trace have to say to each other.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The trace context of the caller as Jaeger's clients write it.
pub const UBER_TRACE_ID: HeaderName = HeaderName::from_static("uber-trace-id");
/// Names the request in the answer, in its errors and in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request: an HTTP request, or one operation on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Names it in the answer, in its errors and in the log. Minted here,
    /// time-ordered, unless the caller has named it.
    pub request_id: Uuid,
    /// The caller's name for what is to happen only once.
    pub idempotency_key: Option<String>,
    /// The trace it is in: the caller's, or our own span of it once it has one.
    pub trace: CallerTrace,
    /// Up to where the caller has written what it wants to see.
    pub consistency: Option<Token>,
}

impl RequestContext {
    /// A request that brings nothing along.
    pub fn mint() -> Self {
        Self {
            request_id: Uuid::now_v7(),
            idempotency_key: None,
            trace: CallerTrace::default(),
            consistency: None,
        }
    }

    /// The request that came with these headers, in the trace they tell of and
    /// under the name they give it. A trace context that cannot be one is
    /// ignored, as its standard says, and so is a name that is no UUID:
    /// whatever else stands there would end up in logs.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let name = headers.get(REQUEST_ID).and_then(|name| name.to_str().ok());
        let name = name.filter(|name| matches!(name.len(), 32 | 36));
        let name = name.and_then(|name| Uuid::try_parse(name).ok()).filter(|name| !name.is_nil());
        let minted = Self::mint();
        Self {
            request_id: name.unwrap_or(minted.request_id),
            trace: CallerTrace::of_headers(headers),
            ..minted
        }
    }

    /// Takes along what else the headers say. What cannot be read is an error.
    pub fn with_headers(self, headers: &HeaderMap) -> Result<Self, ClientError> {
        let idempotency_key = match headers.get(IDEMPOTENCY_KEY) {
            None => None,
            Some(key) => Some(idempotency_key(key.as_bytes())?),
        };
        let consistency = Token::of_headers(headers)?;
        Ok(Self { idempotency_key, consistency, ..self })
    }
}

fn idempotency_key(key: &[u8]) -> Result<String, ClientError> {
    std::str::from_utf8(key)
        .ok()
        .filter(|key| (1..=255).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or_else(|| {
            ClientError::new(
                ErrorCode::BadUserInput,
                "an Idempotency-Key has 1 to 255 visible ASCII characters",
            )
            .on_field("Idempotency-Key")
        })
}

/// The trace that a caller is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerTrace {
    /// Where in it, as W3C has it.
    pub traceparent: Option<String>,
    /// What else systems along it have to say to each other.
    pub tracestate: Option<String>,
}

impl CallerTrace {
    /// What `find` says under the names there are: W3C's first, then Jaeger's.
    /// What cannot be a trace context is ignored.
    pub(super) fn of<'v>(find: impl Fn(&HeaderName) -> Option<Cow<'v, str>>) -> Self {
        let w3c = find(&TRACEPARENT).filter(|text| trace::is_traceparent(text));
        match w3c {
            Some(traceparent) => Self {
                traceparent: Some(traceparent.into_owned()),
                tracestate: find(&TRACESTATE)
                    .filter(|text| is_tracestate(text))
                    .map(Cow::into_owned),
            },
            None => Self {
                traceparent: find(&UBER_TRACE_ID).and_then(|text| trace::of_uber_trace_id(&text)),
                tracestate: None,
            },
        }
    }

    /// A header may come in several lines, which read as one with commas
    /// between them (RFC 9110, 5.2): that makes one `tracestate` of many, and
    /// of several places in a trace none.
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        Self::of(|name| {
            let mut lines = headers.get_all(name).iter().map(HeaderValue::to_str);
            let first = lines.next()?.ok()?;
            let joined = lines.try_fold(Cow::Borrowed(first), |all, line| {
                line.map(|line| Cow::Owned(format!("{all},{line}")))
            });
            joined.ok()
        })
    }

    /// What stands beside a document, or in the payload of `connection_init`.
    pub(super) fn of_entries(entries: &serde_json::Map<String, serde_json::Value>) -> Self {
        Self::of(|name| entries.get(name.as_str())?.as_str().map(Cow::Borrowed))
    }

    /// That of what follows from a span, if it is recorded.
    pub(super) fn of_span(span: &Span) -> Option<Self> {
        let traceparent = span.traceparent();
        traceparent.is_some().then(|| Self { traceparent, tracestate: span.tracestate() })
    }

    /// As it is told to whoever is called within it.
    pub(super) fn headers(&self) -> HeaderMap {
        let traceparent = self.traceparent.as_deref();
        let said = [
            (TRACEPARENT, traceparent.map(str::to_owned)),
            (UBER_TRACE_ID, traceparent.and_then(trace::uber_trace_id)),
            (TRACESTATE, self.tracestate.clone()),
        ];
        let values = said
            .into_iter()
            .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?)));
        values.collect()
    }

    /// As spans are told.
    pub(super) fn place(&self) -> Option<Place<'_>> {
        let traceparent = self.traceparent.as_deref()?;
        Some(Place { traceparent, tracestate: self.tracestate.as_deref() })
    }

    /// This, unless there is none in it: then another.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.traceparent.is_some() { self } else { other() }
    }
}

/// Whether it can be passed on (W3C Trace Context, 3.3.1.5).
fn is_tracestate(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The cursor after which a subscriber that was here before wants to go on,
/// told beside the document: by `extensions.resume` of the subscribe payload,
/// or by `resume` of `connection_init`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resume(pub Option<String>);

/// The payload a socket was opened with.
#[derive(Debug, Clone, Default)]
pub struct ConnectionInit(pub Arc<serde_json::Map<String, serde_json::Value>>);

/// What resolvers add to `extensions` of the answer, or of the item of a
/// subscription that is being made.
#[derive(Debug, Clone, Default)]
pub struct ResponseExtensions(Arc<Mutex<BTreeMap<String, Value>>>);

impl ResponseExtensions {
    /// Adds an entry, or replaces the one of that name.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        self.entries().insert(name.to_owned(), value.into());
    }

    /// Adds a token, unless there is a later one of that name.
    pub fn raise(&self, name: &str, token: Token) {
        let mut entries = self.entries();
        if entries.get(name).and_then(Token::of_answer).is_none_or(|before| before < token) {
            entries.insert(name.to_owned(), token.into());
        }
    }

    /// Takes all entries out, so that the next item starts without.
    pub(super) fn take(&self) -> BTreeMap<String, Value> {
        std::mem::take(&mut *self.entries())
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Value>> {
        // A panic elsewhere cannot leave a map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Typed access to what the transport knows. Resolvers never look it up by type.
pub trait TransportExt {
    /// The request being answered.
    fn request(&self) -> &RequestContext;

    /// Where a subscriber wants to go on, if it said so beside the document.
    fn resume(&self) -> Option<&str>;

    /// What goes into `extensions` of the answer.
    fn response_extensions(&self) -> &ResponseExtensions;

    /// Which part of a subscription is wanted.
    fn part(&self) -> &Part;
}

impl TransportExt for Context<'_> {
    fn request(&self) -> &RequestContext {
        self.data_unchecked()
    }

    fn resume(&self) -> Option<&str> {
        self.data_opt::<Resume>().and_then(|resume| resume.0.as_deref())
    }

    fn response_extensions(&self) -> &ResponseExtensions {
        self.data_unchecked()
    }

    fn part(&self) -> &Part {
        self.data_unchecked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> Result<RequestContext, ClientError> {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        RequestContext::of_headers(&headers).with_headers(&headers)
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii_of_at_most_255_characters() {
        for key in ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", &"k".repeat(255)] {
            assert_eq!(with(IDEMPOTENCY_KEY, key).unwrap().idempotency_key.as_deref(), Some(key));
        }
        for key in ["", "two words", "schlüssel", &"k".repeat(256)] {
            let error = with(IDEMPOTENCY_KEY, key).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadUserInput, "{key:?}");
        }
    }

    #[test]
    fn a_trace_context_is_taken_along_and_a_broken_one_ignored() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(with(TRACEPARENT, good).unwrap().trace.traceparent.as_deref(), Some(good));
        for broken in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(with(TRACEPARENT, broken).unwrap().trace.traceparent, None, "{broken}");
        }
    }

    #[test]
    fn the_lines_of_a_header_are_one_list() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = |lines: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, line) in lines {
                headers.append(name, line.parse().unwrap());
            }
            CallerTrace::of_headers(&headers)
        };
        let trace = read(&[(TRACEPARENT, good), (TRACESTATE, "a=1"), (TRACESTATE, "b=2,c=3")]);
        assert_eq!(trace.tracestate.as_deref(), Some("a=1,b=2,c=3"));
        // Nobody is in two places at once.
        assert_eq!(read(&[(TRACEPARENT, good), (TRACEPARENT, good)]), CallerTrace::default());
    }

    #[test]
    fn a_trace_is_told_in_either_way_and_the_standard_counts_if_both_are() {
        let (w3c, other) = ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf9");
        let uber = "a3ce929d0e0e4736:b7:0:1";
        let of_uber = "00-0000000000000000a3ce929d0e0e4736-00000000000000b7-01";
        for (traceparent, uber, state, expected) in [
            (Some(w3c), None, Some("a=b"), (Some(w3c), Some("a=b"))),
            (Some(w3c), Some(uber), None, (Some(w3c), None)),
            (None, Some(uber), Some("a=b"), (Some(of_uber), None)),
            (Some(other), Some(uber), None, (Some(of_uber), None)),
            (Some(w3c), None, Some("ä"), (Some(w3c), None)),
            (None, Some("1:2:3"), None, (None, None)),
        ] {
            let told =
                [("traceparent", traceparent), ("uber-trace-id", uber), ("tracestate", state)];
            let entries = told.into_iter().filter_map(|(name, text)| Some((name, text?)));
            let entries = entries.map(|(name, text)| (name.to_owned(), text.into())).collect();
            let CallerTrace { traceparent, tracestate } = CallerTrace::of_entries(&entries);
            assert_eq!((traceparent.as_deref(), tracestate.as_deref()), expected);
        }
    }

    #[test]
    fn a_request_has_the_name_its_caller_gave_it_if_that_can_be_one() {
        let named = |name: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, name.parse().unwrap())]);
            RequestContext::of_headers(&headers).request_id.to_string()
        };
        let name = "0190a7b1-5f6e-7000-8000-00000000002a";
        assert_eq!(named(name), name);
        assert_eq!(named(&name.replace('-', "")), name);
        for other in ["", "x", &"a".repeat(36), &format!("{{{name}}}"), &Uuid::nil().to_string()] {
            assert_eq!(named(other).parse::<Uuid>().unwrap().get_version_num(), 7, "{other}");
        }
    }

    #[test]
    fn of_several_tokens_the_latest_counts() {
        let extensions = ResponseExtensions::default();
        for position in [9, 17, 10] {
            extensions.raise("consistency", Token(position));
        }
        assert_eq!(extensions.take()["consistency"], Token(17).into());
    }

    #[test]
    fn extensions_last_for_one_item() {
        let extensions = ResponseExtensions::default();
        extensions.set("cursor", "a");
        extensions.clone().set("cursor", "b");
        assert_eq!(extensions.take(), BTreeMap::from([("cursor".to_owned(), Value::from("b"))]));
        assert_eq!(extensions.take(), BTreeMap::new());
    }
}
