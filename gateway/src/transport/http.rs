//! GraphQL over HTTP: POST with JSON, GET for queries, and the ways to streams
//! of answers and to a socket.
//!
//! Statuses follow the specification "GraphQL over HTTP": with
//! `application/json` every well-formed request is answered 200, with
//! `application/graphql-response+json` one that is refused is answered 400.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, UPGRADE, VARY, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use super::{
    Door,
    callback::{self, Asked},
    context::{REQUEST_ID, RequestContext},
    cors, event_stream,
    exchange::Exchange,
    heard::until_expiry,
    media::{Accepted, MediaType},
    multipart,
    parameters::{body, parameters_of_json, parameters_of_url},
    pipeline::{Call, Operation, Refusal, RequestLine, Transport},
    reply::Reply,
    websocket,
};
use crate::{
    auth::Caller,
    error::{ClientError, ErrorCode},
    pages,
};

/// Tells proxies of the kind of nginx to pass on what comes at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers everything that comes to `/graphql`.
pub(super) async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    let began = Instant::now();
    let context = RequestContext::of_headers(request.headers());
    let (request_id, trace) = (context.request_id, context.trace.clone());
    let method = request.method().clone();
    let origin = cors::allowed(&door.settings.origins, request.headers());
    // What resolvers do is watched by the pipeline; this is for the rest.
    let answer = AssertUnwindSafe(async {
        if is_upgrade(&request) {
            websocket::upgrade(Arc::clone(&door), context, request).await
        } else {
            query(&door, context, request).await
        }
    });
    let mut response = match answer.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(refused)) => {
            let code = refused.code();
            let Refused { status, media, error, locations, headers } = *refused;
            let exchange = Exchange::new(&method, media);
            exchange.begun(status);
            let line = RequestLine::of_refused(Transport::Http, request_id, &trace, began);
            line.over(exchange).finished(Some(code));
            door.pipeline.tally().refused(code);
            let reply = Reply::refused(error, locations, request_id);
            let mut response = respond(reply, media, status);
            response.headers_mut().extend(headers);
            response
        }
        Err(panic) => {
            let reply = Reply::panicked(panic.as_ref(), request_id);
            respond(reply, MediaType::Json, StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    cors::share(response.headers_mut(), origin);
    let id = HeaderValue::from_str(&request_id.to_string());
    response.headers_mut().extend(id.ok().map(|id| (REQUEST_ID, id)));
    response
}

/// A request that is answered without being executed.
pub(super) struct Refused {
    status: StatusCode,
    media: MediaType,
    error: ClientError,
    locations: Vec<async_graphql::Pos>,
    headers: HeaderMap,
}

impl Refused {
    /// In the plainest of forms.
    pub(super) fn new(status: StatusCode, error: ClientError) -> Box<Self> {
        Box::new(Self {
            status,
            media: MediaType::Json,
            error,
            locations: Vec::new(),
            headers: HeaderMap::new(),
        })
    }

    /// Nobody that is known here, or not now.
    pub(super) fn unauthenticated(error: ClientError) -> Box<Self> {
        if error.code == ErrorCode::Unavailable {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, error);
        }
        let mut refused = Self::new(StatusCode::UNAUTHORIZED, error);
        refused.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        refused
    }

    fn in_form(mut self: Box<Self>, media: MediaType) -> Box<Self> {
        self.media = media;
        self
    }

    fn allow(mut self: Box<Self>, methods: &'static str) -> Box<Self> {
        self.headers.insert(ALLOW, HeaderValue::from_static(methods));
        self
    }

    fn code(&self) -> ErrorCode {
        self.error.code
    }
}

fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get(UPGRADE);
    upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn query(
    door: &Door,
    context: RequestContext,
    request: Request,
) -> Result<Response, Box<Refused>> {
    let headers = request.headers();
    door.settings
        .origins
        .check(headers)
        .map_err(|error| Refused::new(StatusCode::FORBIDDEN, error))?;
    let method = request.method().clone();
    if cors::is_preflight(&method, headers) {
        return Ok(cors::preflight());
    }
    if method == Method::GET && request.uri().query().is_none() && pages::wants_page(headers) {
        return Ok(([(VARY, "Accept")], Redirect::to(pages::PLAYGROUND)).into_response());
    }
    if method != Method::POST && method != Method::GET {
        let error = ClientError::new(
            ErrorCode::MethodNotAllowed,
            format!("{method} is not a way to send GraphQL, POST is"),
        );
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, error).allow("GET, POST"));
    }
    let accepted = Accepted::of(headers);
    if accepted.for_one().is_none() && accepted.for_many().is_none() {
        return Err(not_acceptable());
    }
    // Whoever takes nothing but streams is told of errors as JSON.
    let media = accepted.for_one().unwrap_or(MediaType::Json);
    let bad_request =
        |error: ClientError| Refused::new(StatusCode::BAD_REQUEST, error).in_form(media);
    if method == Method::GET {
        door.settings.preflight.check(headers).map_err(bad_request)?;
    }
    let context = context.with_headers(headers).map_err(bad_request)?;
    let resume = event_stream::resume(headers);

    let caller = door
        .settings
        .authenticator
        .of_headers(headers)
        .await
        .map_err(|error| Refused::unauthenticated(error).in_form(media))?;

    let parameters = if method == Method::GET {
        parameters_of_url(request.uri().query().unwrap_or_default()).map_err(bad_request)?
    } else {
        let body = body(door, request).await.map_err(|refused| refused.in_form(media))?;
        parameters_of_json(&body).map_err(bad_request)?
    };
    let callback =
        if accepted.callbacks() { Asked::of(&parameters).map_err(bad_request)? } else { None };
    let operation =
        door.pipeline.prepare(parameters, &caller).map_err(|Refusal { error, locations }| {
            let status = status_of_refusal(error.code, media);
            let mut refused = Refused::new(status, error).in_form(media);
            refused.locations = locations;
            refused
        })?;
    may_travel(&operation, &method).map_err(|refused| refused.in_form(media))?;
    if let Some(asked) = callback
        && operation.kind == OperationType::Subscription
    {
        let exchange = Exchange::new(&method, media);
        return call_back(door, asked, operation, context, caller, exchange).await;
    }
    let form = match operation.kind {
        OperationType::Query | OperationType::Mutation => {
            accepted.for_one().ok_or_else(not_acceptable)?
        }
        OperationType::Subscription => {
            accepted.for_many().ok_or_else(|| needs_a_stream().in_form(media))?
        }
    };

    let request_id = context.request_id;
    let (heartbeat, closing) = (door.settings.heartbeat, door.closing.clone());
    match form {
        MediaType::Json | MediaType::GraphQlResponse => {
            let exchange = Some(Exchange::new(&method, form));
            let call = Call { exchange, ..Call::new(Transport::Http, context, caller) };
            let reply = door.pipeline.execute(operation, call).await;
            let status = status_of(&reply, form);
            Ok(respond(reply, form, status))
        }
        MediaType::EventStream | MediaType::Multipart => {
            let is_events = form == MediaType::EventStream;
            let transport = if is_events { Transport::EventStream } else { Transport::Multipart };
            let exchange = Exchange::new(&method, form);
            let mut call = Call { resume, ..Call::new(transport, context, caller.clone()) };
            call.exchange = Some(exchange.clone());
            let replies = door.pipeline.stream(operation, call);
            let mut replies = until_expiry(replies, &caller, request_id);
            match replies.next().now_or_never() {
                Some(Some(sent)) if sent.refusal.is_some() => {
                    let code = sent.code.unwrap_or(ErrorCode::Internal);
                    let status = status_of_refusal(code, media);
                    // What is refused at once needs no stream. As an event it is told
                    // unless there is a status for coming again later.
                    let is_for_now =
                        status == StatusCode::SERVICE_UNAVAILABLE || sent.retry_after.is_some();
                    if !is_events || is_for_now {
                        exchange.begun(status);
                        let mut response = in_one(status, sent.payload.clone(), media);
                        let wait = sent.retry_after.clone().map(|wait| (RETRY_AFTER, wait));
                        response.headers_mut().extend(wait);
                        return Ok(response);
                    }
                    replies = stream::once(async { sent }).boxed();
                }
                Some(Some(sent)) => {
                    replies = stream::once(async { sent }).chain(replies).boxed();
                }
                Some(None) => replies = stream::empty().boxed(),
                None => {}
            }
            exchange.begun(StatusCode::OK);
            let body = if is_events {
                event_stream::body(replies, heartbeat, closing)
            } else {
                multipart::body(replies, heartbeat, closing, request_id)
            };
            Ok(stream_of(body, form))
        }
    }
}

/// Begins a subscription whose answers are sent by requests of our own.
async fn call_back(
    door: &Door,
    asked: Asked,
    operation: Operation,
    context: RequestContext,
    caller: Caller,
    exchange: Exchange,
) -> Result<Response, Box<Refused>> {
    let media = exchange.form();
    let refused = |error: ClientError| {
        let is_forbidden = error.code == ErrorCode::Forbidden;
        let usual = status_of_refusal(error.code, media);
        let status = if is_forbidden { StatusCode::FORBIDDEN } else { usual };
        Refused::new(status, error).in_form(media)
    };
    let callbacks = door.settings.callbacks.as_ref().ok_or_else(|| {
        let message = "this server calls nobody back";
        refused(ClientError::new(ErrorCode::BadRequest, message))
    })?;
    let line = callbacks.open(asked, &caller, &context.trace).await.map_err(refused)?;
    let request_id = context.request_id;
    let mut call = Call::new(Transport::Callback, context, caller.clone());
    call.exchange = Some(exchange.clone());
    let replies = door.pipeline.stream(operation, call);
    let mut replies = until_expiry(replies, &caller, request_id);
    match replies.next().now_or_never() {
        Some(Some(sent)) if sent.refusal.is_some() => {
            let status = status_of_refusal(sent.code.unwrap_or(ErrorCode::Internal), media);
            exchange.begun(status);
            return Ok(in_one(status, sent.payload.clone(), media));
        }
        Some(Some(sent)) => replies = stream::once(async { sent }).chain(replies).boxed(),
        Some(None) => replies = stream::empty().boxed(),
        None => {}
    }
    exchange.begun(StatusCode::OK);
    door.sockets.spawn(line.tell(replies, door.closing.clone(), request_id));
    let mut response = in_one(StatusCode::OK, Bytes::from_static(b"{\"data\":null}"), media);
    response.headers_mut().insert(callback::PROTOCOL, callback::VERSION);
    Ok(response)
}

fn not_acceptable() -> Box<Refused> {
    let error = ClientError::new(
        ErrorCode::NotAcceptable,
        "answers are application/json or application/graphql-response+json, \
         those of subscriptions text/event-stream or multipart/mixed;subscriptionSpec=1.0",
    );
    Refused::new(StatusCode::NOT_ACCEPTABLE, error)
}

fn needs_a_stream() -> Box<Refused> {
    let error = ClientError::new(
        ErrorCode::BadRequest,
        "a subscription needs a WebSocket that speaks graphql-transport-ws, or an Accept that \
         names text/event-stream or multipart/mixed;subscriptionSpec=1.0",
    );
    Refused::new(StatusCode::BAD_REQUEST, error)
}

/// Whether an operation may come by this method.
fn may_travel(operation: &Operation, method: &Method) -> Result<(), Box<Refused>> {
    match operation.kind {
        // A subscription only looks, and `EventSource` knows no other method.
        OperationType::Query | OperationType::Subscription => Ok(()),
        OperationType::Mutation if *method == Method::POST => Ok(()),
        OperationType::Mutation => {
            let error = ClientError::new(
                ErrorCode::MethodNotAllowed,
                "a mutation changes something and must be sent by POST",
            );
            Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, error).allow("POST"))
        }
    }
}

/// The status of an answer in one piece.
pub(super) fn status_of(reply: &Reply, form: MediaType) -> StatusCode {
    match reply.code() {
        Some(code) if reply.data.is_none() => status_of_refusal(code, form),
        _ => StatusCode::OK,
    }
}

/// The status of a request that has no data in its answer.
fn status_of_refusal(code: ErrorCode, media: MediaType) -> StatusCode {
    if code == ErrorCode::Internal {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if matches!(code, ErrorCode::Timeout | ErrorCode::Unavailable) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if code == ErrorCode::RateLimited {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    if code == ErrorCode::Forbidden && media == MediaType::GraphQlResponse {
        return StatusCode::FORBIDDEN;
    }
    // Not well-formed, whatever the form.
    if code == ErrorCode::BadRequest {
        return StatusCode::BAD_REQUEST;
    }
    match media {
        MediaType::Json | MediaType::EventStream | MediaType::Multipart => StatusCode::OK,
        MediaType::GraphQlResponse => StatusCode::BAD_REQUEST,
    }
}

/// An answer in one piece. Who takes only events gets it as one, unless the
/// status says that it is none.
fn respond(mut reply: Reply, media: MediaType, status: StatusCode) -> Response {
    let headers = std::mem::take(&mut reply.headers);
    let mut response = if media == MediaType::EventStream && status == StatusCode::OK {
        let mut response = event_stream::whole(&reply.sent()).into_response();
        announce(response.headers_mut(), media);
        response
    } else {
        in_one(status, reply.encoded().into(), media)
    };
    response.headers_mut().extend(headers);
    response
}

/// JSON, whatever else the client would take.
fn in_one(status: StatusCode, json: Bytes, media: MediaType) -> Response {
    let media = match media {
        MediaType::GraphQlResponse => media,
        MediaType::Json | MediaType::EventStream | MediaType::Multipart => MediaType::Json,
    };
    let mut response = (status, json).into_response();
    announce(response.headers_mut(), media);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// An answer that is sent while it is made.
fn stream_of(body: Body, media: MediaType) -> Response {
    let mut response = body.into_response();
    announce(response.headers_mut(), media);
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn announce(headers: &mut HeaderMap, media: MediaType) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
