//! GraphQL over HTTP: POST with JSON, GET for queries, and the way to a socket.
//!
//! Statuses follow the specification "GraphQL over HTTP": with
//! `application/json` every well-formed request is answered 200, with
//! `application/graphql-response+json` one that is refused is answered 400.

use std::{sync::Arc, time::Duration};

use async_graphql::{Variables, parser::types::OperationType};
use axum::{
    body::BodyDataStream,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
            RETRY_AFTER, UPGRADE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{
    Door,
    context::{REQUEST_ID, RequestContext},
    pipeline::{Call, Operation, Parameters, Refusal, RequestLine, Transport},
    reply::Reply,
    websocket,
};
use crate::{
    error::{ClientError, ErrorCode, MASKED},
    pages,
};

/// Answers everything that comes to `/graphql`.
pub(super) async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    let context = RequestContext::mint();
    let request_id = context.request_id;
    let answer = if is_upgrade(&request) {
        websocket::upgrade(door, context, request).await
    } else {
        query(&door, context, request).await
    };
    let mut response = answer.unwrap_or_else(|refused| {
        RequestLine::of_refused(Transport::Http, request_id).finished(Some(refused.code()));
        let Refused { status, media, error, locations, headers } = *refused;
        let mut response = respond(Reply::refused(error, locations, request_id), media, status);
        response.headers_mut().extend(headers);
        response
    });
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
    let media = MediaType::accepted(headers).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            ClientError::new(
                ErrorCode::NotAcceptable,
                "answers are application/json or application/graphql-response+json",
            ),
        )
    })?;
    let bad_request =
        |error: ClientError| Refused::new(StatusCode::BAD_REQUEST, error).in_form(media);
    let context = context.with_headers(headers).map_err(bad_request)?;

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
    let operation = door.pipeline.prepare(parameters).map_err(|Refusal { error, locations }| {
        let status = status_of_refusal(error.code, media);
        let mut refused = Refused::new(status, error).in_form(media);
        refused.locations = locations;
        refused
    })?;
    may_travel(&operation, &method).map_err(|refused| refused.in_form(media))?;

    let call = Call::new(Transport::Http, context, caller);
    let reply = door.pipeline.execute(operation, call).await;
    let status = match reply.code() {
        Some(code) if reply.data.is_none() => status_of_refusal(code, media),
        _ => StatusCode::OK,
    };
    Ok(respond(reply, media, status))
}

/// Whether an operation may come by this method.
fn may_travel(operation: &Operation, method: &Method) -> Result<(), Box<Refused>> {
    match operation.kind {
        OperationType::Query => Ok(()),
        OperationType::Mutation if *method == Method::POST => Ok(()),
        OperationType::Mutation => {
            let error = ClientError::new(
                ErrorCode::MethodNotAllowed,
                "a mutation changes something and must be sent by POST",
            );
            Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, error).allow("POST"))
        }
        OperationType::Subscription => {
            let error = ClientError::new(
                ErrorCode::BadRequest,
                "a subscription needs a WebSocket that speaks graphql-transport-ws",
            );
            Err(Refused::new(StatusCode::BAD_REQUEST, error))
        }
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
    match media {
        MediaType::Json => StatusCode::OK,
        MediaType::GraphQlResponse => StatusCode::BAD_REQUEST,
    }
}

fn respond(reply: Reply, media: MediaType, status: StatusCode) -> Response {
    let (status, body) = match serde_json::to_vec(&reply) {
        Ok(body) => (status, body),
        // Values came from JSON or from resolvers; none has a form without JSON.
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, unencodable())
        }
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.extend(reply.headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn unencodable() -> Vec<u8> {
    format!(
        r#"{{"errors":[{{"message":"{MASKED}","extensions":{{"code":"{}"}}}}]}}"#,
        ErrorCode::Internal
    )
    .into_bytes()
}

/// The forms an answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    GraphQlResponse,
}

impl MediaType {
    /// In the order they are preferred where the client does not care.
    const ALL: [Self; 2] = [Self::Json, Self::GraphQlResponse];

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::GraphQlResponse => "application/graphql-response+json",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }

    /// The form the client likes best (RFC 9110, 12.5.1): for each form its
    /// most specific range counts; of equals, the one named first.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut ranges = Vec::new();
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().ok()?.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                if name.is_empty() {
                    continue;
                }
                let quality = parts
                    .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                    .map_or(Some(1.0), |quality| quality.trim().parse::<f32>().ok())
                    .filter(|quality| (0.0..=1.0).contains(quality));
                ranges.push((name, quality.unwrap_or_default()));
            }
        }
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        let mut best: Option<(f32, usize, Self)> = None;
        for form in Self::ALL {
            let range = [form.name(), "application/*", "*/*"]
                .iter()
                .find_map(|name| ranges.iter().position(|(range, _)| range == name));
            let Some(place) = range else { continue };
            let quality = ranges[place].1;
            if quality > 0.0
                && best.is_none_or(|(most, first, _)| {
                    quality > most || (quality >= most && place < first)
                })
            {
                best = Some((quality, place, form));
            }
        }
        best.map(|(_, _, form)| form)
    }
}

/// Reads a body of JSON, within its bounds.
async fn body(door: &Door, request: Request) -> Result<Bytes, Box<Refused>> {
    check_content(request.headers())?;
    let most = door.settings.max_body;
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let stream = request.into_body().into_data_stream();
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large(stream, 0, most, door.settings.body_timeout).await);
    }
    match timeout(door.settings.body_timeout, collect(stream, most)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Broken::TooLarge(stream, read))) => {
            Err(too_large(*stream, read, most, door.settings.body_timeout).await)
        }
        Ok(Err(Broken::Off)) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            ClientError::new(ErrorCode::BadRequest, "the body broke off"),
        )),
        Err(_) => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            ClientError::new(ErrorCode::Timeout, "the body took too long to arrive"),
        )),
    }
}

enum Broken {
    TooLarge(Box<BodyDataStream>, usize),
    Off,
}

async fn collect(mut stream: BodyDataStream, most: usize) -> Result<Bytes, Broken> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Broken::Off)?;
        let read = first.len().max(whole.len()) + chunk.len();
        if read > most {
            return Err(Broken::TooLarge(Box::new(stream), read));
        }
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one piece: no need to copy it.
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// Refuses a body for its length, after reading a little more of it: a client
/// that is still sending when the connection closes would never see the answer.
async fn too_large(
    mut stream: BodyDataStream,
    mut read: usize,
    most: usize,
    patience: Duration,
) -> Box<Refused> {
    let bound = most.saturating_mul(8);
    // Whether it ends, breaks off or goes on: the answer is the same.
    let _ = timeout(patience, async {
        while read < bound {
            match stream.next().await {
                Some(Ok(chunk)) => read += chunk.len(),
                Some(Err(_)) | None => break,
            }
        }
    })
    .await;
    Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ClientError::new(
            ErrorCode::PayloadTooLarge,
            format!("a body may have {most} bytes and no more"),
        ),
    )
}

/// JSON only: what a form on a foreign page can send is not served.
fn check_content(headers: &HeaderMap) -> Result<(), Box<Refused>> {
    let encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !encoded && content_type.is_some_and(is_json) {
        return Ok(());
    }
    let error = ClientError::new(
        ErrorCode::UnsupportedMediaType,
        "a request must be application/json in UTF-8, without encoding",
    );
    Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// The deepest nesting of JSON that is read.
const MAX_JSON_DEPTH: usize = 32;

/// Reads a request from JSON.
pub(super) fn parameters_of_json(body: &[u8]) -> Result<Parameters, ClientError> {
    check_json_depth(body)?;
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ClientError::new(
            ErrorCode::BadRequest,
            "batches are not served, send each request by itself",
        ));
    }
    serde_json::from_slice(body).map_err(|error| not_a_request(&error))
}

fn not_a_request(error: &serde_json::Error) -> ClientError {
    ClientError::new(ErrorCode::BadRequest, format!("this is not a GraphQL request: {error}"))
}

/// Refuses JSON that is nested deeper than anything here could mean.
pub(super) fn check_json_depth(json: &[u8]) -> Result<(), ClientError> {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if deepest > MAX_JSON_DEPTH {
        return Err(ClientError::new(
            ErrorCode::BadRequest,
            format!("the JSON is nested {deepest} deep, {MAX_JSON_DEPTH} are allowed"),
        ));
    }
    Ok(())
}

/// Reads a request from the query string of a URL.
fn parameters_of_url(query: &str) -> Result<Parameters, ClientError> {
    let bad = |message: &str| ClientError::new(ErrorCode::BadRequest, message);
    let (mut document, mut operation_name) = (None, None);
    let (mut variables, mut extensions) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text| decode(text).ok_or_else(|| bad("the URL is not encoded as UTF-8"));
        let place = match decode(name)?.as_str() {
            "query" => &mut document,
            "operationName" => &mut operation_name,
            "variables" => &mut variables,
            "extensions" => &mut extensions,
            // Not ours: caches and trackers add their own.
            _ => continue,
        };
        if place.replace(decode(value)?).is_some() {
            return Err(bad("a parameter is given twice"));
        }
    }
    Ok(Parameters {
        query: document.ok_or_else(|| bad("the URL has no parameter \"query\""))?,
        operation_name,
        variables: json::<Variables>(variables.as_deref())?.unwrap_or_default(),
        extensions: json(extensions.as_deref())?,
    })
}

fn json<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, ClientError> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => {
            check_json_depth(text.as_bytes())?;
            serde_json::from_str::<Option<T>>(text).map_err(|error| not_a_request(&error))
        }
    }
}

/// Undoes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &[&str]) -> Option<MediaType> {
        let headers = accept.iter().map(|value| (ACCEPT, value.parse().unwrap()));
        MediaType::accepted(&headers.collect())
    }

    #[test]
    fn the_form_the_client_likes_best_is_served() {
        use MediaType::{GraphQlResponse, Json};
        for (accept, media) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("Application/JSON; charset=utf-8", Some(Json)),
            ("application/graphql-response+json", Some(GraphQlResponse)),
            ("application/graphql-response+json, application/json", Some(GraphQlResponse)),
            ("application/json, application/graphql-response+json", Some(Json)),
            ("application/json;q=0.9, application/graphql-response+json", Some(GraphQlResponse)),
            ("application/graphql-response+json;q=0.5, */*;q=0.8", Some(Json)),
            ("application/json;q=0, */*", Some(GraphQlResponse)),
            ("text/html, application/json;q=0.1", Some(Json)),
            ("application/json;q=wrong", None),
            ("text/html", None),
            ("application/xml, image/*", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(accepted(&[accept]), media, "{accept}");
        }
        assert_eq!(accepted(&[]), Some(Json));
        assert_eq!(accepted(&["text/html", "application/json"]), Some(Json));
    }

    #[test]
    fn only_json_in_utf_8_is_read() {
        for good in ["application/json", "APPLICATION/JSON", "application/json; charset=\"UTF-8\""]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/plain", "application/json5", "application/json; charset=latin1"] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_url_is_read_as_a_form_would_write_it() {
        let read = parameters_of_url(
            "query=query+A%28%24a:Int%29%7Ba%7D&operationName=A&variables=%7B%22a%22:1%7D&_=17",
        )
        .unwrap();
        assert_eq!(read.query, "query A($a:Int){a}");
        assert_eq!(read.operation_name.as_deref(), Some("A"));
        assert_eq!(read.variables.into_value(), async_graphql::value!({ "a": 1 }));

        for bad in [
            "",
            "variables={}",
            "query=%7",
            "query=%zz",
            "query=%ff",
            "query=a&query=b",
            "query=a&variables=[]",
            "query=a&variables=1",
            "query=a&extensions=x",
        ] {
            assert_eq!(parameters_of_url(bad).unwrap_err().code, ErrorCode::BadRequest, "{bad}");
        }
        assert!(parameters_of_url("query=a&variables=null&extensions=").is_ok());
    }

    #[test]
    fn json_may_be_nested_32_deep_and_no_deeper() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check_json_depth(nested(32).as_bytes()).is_ok());
        assert!(check_json_depth(nested(33).as_bytes()).is_err());
        assert!(check_json_depth(nested(100_000).as_bytes()).is_err());
        let text = format!(r#"{{"query": "{} \" {}"}}"#, nested(40), "[".repeat(40));
        assert!(check_json_depth(text.as_bytes()).is_ok());
    }
}
