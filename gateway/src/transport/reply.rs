//! What a client is answered: the executor's response, with every error given
//! a code and a request id, and everything nobody chose words for masked.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use async_graphql::{PathSegment, Pos, Response, ServerError, Value};
use axum::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use bytes::Bytes;
use mallbots_eventstore::trace;
use serde::{Serialize, Serializer, ser::SerializeMap};
use tracing::{error, warn};
use uuid::Uuid;

use super::{context::TRACEPARENT, sharing::Sent};
use crate::error::{Cause, ClientError, ErrorCode, MASKED};

/// At most this many errors are told; who has more mends these first.
const MOST_ERRORS: usize = 20;

/// An answer, ready to be encoded.
#[derive(Debug)]
pub struct Reply {
    /// What was asked for. `None` when the request was refused before it was
    /// executed, or given up: the answer then has no `data` at all.
    pub data: Option<Value>,
    /// What went wrong.
    pub errors: Vec<ServerError>,
    /// What else there is to say.
    pub extensions: BTreeMap<String, Value>,
    /// HTTP headers that resolvers set.
    pub headers: HeaderMap,
}

impl Reply {
    /// The request was not executed, or not to its end.
    pub fn refused(error: ClientError, locations: Vec<Pos>, request_id: Uuid) -> Self {
        let headers = retry_after(&error).map(|wait| (RETRY_AFTER, wait)).into_iter().collect();
        let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
        error.locations = locations;
        Self {
            data: None,
            errors: vec![in_words(error, request_id)],
            extensions: BTreeMap::new(),
            headers,
        }
    }

    /// A resolver panicked.
    pub(super) fn panicked(panic: &(dyn Any + Send), request_id: Uuid) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("not a text");
        error!(request.id = %request_id, panic = text, "a resolver panicked");
        Self::refused(ClientError::new(ErrorCode::Internal, MASKED), Vec::new(), request_id)
    }

    /// The executor's response, in words for the client.
    pub(super) fn executed(response: Response, request_id: Uuid) -> Self {
        let refused = is_refusal(&response);
        let mut errors = response.errors;
        errors.truncate(MOST_ERRORS);
        Self {
            data: (!refused).then_some(response.data),
            errors: errors.into_iter().map(|error| in_words(error, request_id)).collect(),
            extensions: response.extensions,
            headers: response.http_headers,
        }
    }

    /// The same, saying in which recorded trace it was made: to everybody in a
    /// header, and beside what is the server's fault, for whoever reports it.
    #[must_use]
    pub(super) fn traced(mut self, traceparent: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(traceparent) {
            self.headers.insert(TRACEPARENT, value);
        }
        for error in &mut self.errors {
            let is_ours =
                matches!(code_of(error), Some(ErrorCode::Internal | ErrorCode::Unavailable));
            if let (true, Some((id, _))) = (is_ours, trace::ids(traceparent)) {
                error.extensions.get_or_insert_default().set("traceId", id);
            }
        }
        self
    }

    /// The answer as JSON.
    pub(super) fn encoded(&self) -> Vec<u8> {
        // Values came from JSON or from resolvers; none has a form without JSON.
        serde_json::to_vec(self).unwrap_or_else(|error| {
            error!(%error, "an answer could not be encoded");
            let code = ErrorCode::Internal;
            format!(r#"{{"errors":[{{"message":"{MASKED}","extensions":{{"code":"{code}"}}}}]}}"#)
                .into_bytes()
        })
    }

    /// The code of the first error, if there is one.
    pub fn code(&self) -> Option<ErrorCode> {
        let error = self.errors.first()?;
        Some(code_of(error).unwrap_or(ErrorCode::Internal))
    }
}

impl Reply {
    /// As it goes out.
    pub(super) fn sent(&self) -> Sent {
        let cursor = match self.extensions.get("cursor") {
            Some(Value::String(cursor)) => Some(cursor.as_str().into()),
            _ => None,
        };
        Sent {
            payload: self.encoded().into(),
            refusal: self.data.is_none().then(|| encoded(&self.errors)),
            cursor,
            code: self.code(),
            retry_after: self.headers.get(RETRY_AFTER).cloned(),
            trace: None,
        }
    }
}

fn encoded(value: &impl Serialize) -> Bytes {
    match serde_json::to_vec(value) {
        Ok(text) => text.into(),
        Err(error) => {
            error!(%error, "an answer could not be encoded");
            Bytes::from_static(b"{}")
        }
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.errors.is_empty() {
            map.serialize_entry("errors", &self.errors)?;
        }
        if let Some(data) = &self.data {
            map.serialize_entry("data", data)?;
        }
        if !self.extensions.is_empty() {
            map.serialize_entry("extensions", &self.extensions)?;
        }
        map.end()
    }
}

/// How long a caller that asks too fast is to wait, as a header.
fn retry_after(error: &ClientError) -> Option<HeaderValue> {
    let Value::Object(details) = error.details.as_ref()? else { return None };
    details.get("retryAfter")?.to_string().parse().ok()
}

/// Whether the executor refused the request before it called any resolver.
///
/// Errors of resolvers and of their arguments have a path, those of validation
/// have none; there is no other way to tell them apart from outside.
pub(super) fn is_refusal(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives an error its code and request id, and masks it if nobody chose its words.
fn in_words(mut error: ServerError, request_id: Uuid) -> ServerError {
    let code = match code_of(&error) {
        Some(code) => {
            if let Some(cause) = cause_of(&error) {
                log(code, &chain(cause.0.as_ref()), &error.path, request_id);
            }
            code
        }
        None if error.path.is_empty() => refusal_code(&error.message),
        None if is_input_error(&error) => ErrorCode::BadUserInput,
        None => {
            log(ErrorCode::Internal, &error.message, &error.path, request_id);
            MASKED.clone_into(&mut error.message);
            error.extensions = None;
            ErrorCode::Internal
        }
    };
    if code == ErrorCode::BadUserInput
        && let Some(field) = argument_at_fault(&error.message)
    {
        let field = field.to_owned();
        error.extensions.get_or_insert_default().set("field", field);
    }
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.as_str());
    extensions.set("requestId", request_id.to_string());
    error
}

fn code_of(error: &ServerError) -> Option<ErrorCode> {
    let Value::String(code) = error.extensions.as_ref()?.get("code")? else { return None };
    ErrorCode::from_text(code)
}

fn cause_of(error: &ServerError) -> Option<&Cause> {
    error.source.as_ref().map(Arc::as_ref).and_then(<dyn Any + Send + Sync>::downcast_ref)
}

/// What an error says together with all that led to it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}

fn log(code: ErrorCode, what: &str, path: &[PathSegment], request_id: Uuid) {
    let path = path
        .iter()
        .map(|segment| match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        })
        .collect::<Vec<_>>()
        .join(".");
    if code == ErrorCode::Unavailable {
        warn!(request.id = %request_id, graphql.path = path, error = what, "a resolver is unavailable");
    } else {
        error!(request.id = %request_id, graphql.path = path, error = what, "a resolver failed");
    }
}

/// The code of an error by which the executor refuses a document. It has only
/// texts to tell them apart (async-graphql 7.2: `validation/mod.rs`, `schema.rs`).
fn refusal_code(message: &str) -> ErrorCode {
    if message == "Query is too complex." {
        ErrorCode::QueryTooCostly
    } else if message == "Query is nested too deep." || message.starts_with("The recursion depth") {
        ErrorCode::QueryTooDeep
    } else if message.starts_with("The number of directives") {
        ErrorCode::TooManyDirectives
    } else if message.starts_with(INVALID_ARGUMENT) {
        ErrorCode::BadUserInput
    } else {
        ErrorCode::ValidationFailed
    }
}

const INVALID_ARGUMENT: &str = "Invalid value for argument \"";

/// Whether an error is the executor's word on an argument it could not read.
/// Those have no source, which everything that came through `?` in a resolver has.
fn is_input_error(error: &ServerError) -> bool {
    error.source.is_none()
        && (error.message.starts_with("Failed to parse \"")
            || error.message.starts_with("Expected input type \""))
}

/// The argument named by the executor's complaint, as a client names it: what
/// stands in a mutation's one `input` is known by its own name.
fn argument_at_fault(message: &str) -> Option<&str> {
    let path = message.strip_prefix(INVALID_ARGUMENT)?.split('"').next()?;
    Some(path.strip_prefix("input.").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use async_graphql::ErrorExtensionValues;

    use super::*;

    fn resolver_error(error: async_graphql::Error) -> ServerError {
        error
            .into_server_error(Pos::default())
            .with_path(vec![PathSegment::Field("order".to_owned())])
    }

    fn extension<'a>(error: &'a ServerError, name: &str) -> Option<&'a Value> {
        error.extensions.as_ref().and_then(|extensions| extensions.get(name))
    }

    fn settled(error: ServerError) -> (ErrorCode, ServerError) {
        let request_id = Uuid::now_v7();
        let error = in_words(error, request_id);
        assert_eq!(extension(&error, "requestId"), Some(&Value::from(request_id.to_string())));
        (code_of(&error).unwrap(), error)
    }

    #[test]
    fn words_chosen_for_the_client_are_kept() {
        let chosen = ClientError::new(ErrorCode::NotFound, "there is no such order");
        let (code, error) = settled(resolver_error(chosen.into()));
        assert_eq!((code, error.message.as_str()), (ErrorCode::NotFound, "there is no such order"));
    }

    #[test]
    fn what_came_through_a_question_mark_is_masked() {
        let leak = async_graphql::Error::from(std::io::Error::other("/var/lib/secret"));
        let (code, error) = settled(resolver_error(leak));
        assert_eq!((code, error.message.as_str()), (ErrorCode::Internal, MASKED));

        // Not even when it reads like the executor's own words.
        let leak = async_graphql::Error::from(std::io::Error::other("Failed to parse \"/etc\""));
        assert_eq!(settled(resolver_error(leak)).0, ErrorCode::Internal);
    }

    #[test]
    fn an_unknown_code_is_no_code() {
        let mut error = resolver_error(async_graphql::Error::new("relation orders does not exist"));
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", "42P01");
        error.extensions = Some(extensions);
        let (code, error) = settled(error);
        assert_eq!((code, error.message.as_str()), (ErrorCode::Internal, MASKED));
    }

    #[test]
    fn arguments_that_cannot_be_read_are_the_clients_to_mend() {
        let error = async_graphql::Error::new("Failed to parse \"Decimal\": too many digits");
        assert_eq!(settled(resolver_error(error)).0, ErrorCode::BadUserInput);

        let error = ServerError::new(
            "Invalid value for argument \"input.price\", expected type \"Decimal\"",
            None,
        );
        let (code, error) = settled(error);
        assert_eq!(code, ErrorCode::BadUserInput);
        assert_eq!(extension(&error, "field"), Some(&Value::from("price")));
    }

    #[test]
    fn a_refused_document_keeps_its_words_and_gets_a_code() {
        for (message, code) in [
            ("Unknown field \"a\" on type \"Query\".", ErrorCode::ValidationFailed),
            ("Query is too complex.", ErrorCode::QueryTooCostly),
            ("Query is nested too deep.", ErrorCode::QueryTooDeep),
        ] {
            let (found, error) = settled(ServerError::new(message, None));
            assert_eq!((found, error.message.as_str()), (code, message));
        }
    }

    #[test]
    fn a_refusal_has_no_data_and_a_failure_has() {
        let refusal = Response::from_errors(vec![ServerError::new("Unknown field", None)]);
        assert_eq!(Reply::executed(refusal, Uuid::now_v7()).data, None);
        let failure = Response::from_errors(vec![resolver_error("no".into())]);
        assert_eq!(Reply::executed(failure, Uuid::now_v7()).data, Some(Value::Null));
    }

    #[test]
    fn twenty_errors_are_enough() {
        let errors = (0..50).map(|n| ServerError::new(n.to_string(), None)).collect();
        let reply = Reply::executed(Response::from_errors(errors), Uuid::now_v7());
        assert_eq!(reply.errors.len(), 20);
    }

    #[test]
    fn the_whole_chain_of_a_cause_is_logged() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading the orders")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(chain(&Outer(std::io::Error::other("no disk"))), "reading the orders: no disk");
    }
}
