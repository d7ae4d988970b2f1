//! How requests are read: bodies within their bounds, JSON, query strings.

use std::time::Duration;

use async_graphql::Variables;
use axum::{
    body::BodyDataStream,
    extract::Request,
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{Door, http::Refused, pipeline::Parameters};
use crate::error::{ClientError, ErrorCode};

/// Reads a body of JSON, within its bounds.
pub(super) async fn body(door: &Door, request: Request) -> Result<Bytes, Box<Refused>> {
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
pub(super) fn parameters_of_url(query: &str) -> Result<Parameters, ClientError> {
    let bad = |message: &str| ClientError::new(ErrorCode::BadRequest, message);
    let (mut document, mut document_id, mut operation_name) = (None, None, None);
    let (mut variables, mut extensions) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text| decode(text).ok_or_else(|| bad("the URL is not encoded as UTF-8"));
        let place = match decode(name)?.as_str() {
            "query" => &mut document,
            "documentId" | "doc_id" => &mut document_id,
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
        query: document,
        document_id,
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
        assert_eq!(read.query.as_deref(), Some("query A($a:Int){a}"));
        let named = parameters_of_url("documentId=sha256:ab").unwrap();
        assert_eq!((named.query, named.document_id.as_deref()), (None, Some("sha256:ab")));
        assert_eq!(read.operation_name.as_deref(), Some("A"));
        assert_eq!(read.variables.into_value(), async_graphql::value!({ "a": 1 }));

        for bad in [
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
