//! What a message looks like on JetStream.
//!
//! The subject says what it is, the body is the payload as the ledger has it,
//! the headers hold the rest. A digest over all of it tells whether it is still
//! what the relay published: what does not decode counts as missing, and its
//! reader takes it from the ledger.

use std::fmt::Write;

use async_nats::{
    HeaderMap, HeaderName, HeaderValue, Message, header::NATS_MESSAGE_ID,
    jetstream::message::StreamMessage,
};
use bytes::Bytes;
use mallbots_domain::id::AnyId;
use mallbots_eventstore::{
    message::{MessageKind, Position, Recorded, Version},
    trace::{self, Span},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{ranges::Range, streams};

/// What every subject begins with.
pub const PREFIX: &str = "mall";
/// Every subject there is.
pub const EVERYTHING: &str = "mall.>";

/// The ledger's position of the message.
pub const POSITION: HeaderName = HeaderName::from_static("Position");
/// The position of the message before it in the same range, zero if there is
/// none. Who has not seen that one has missed something.
pub const PREVIOUS: HeaderName = HeaderName::from_static("Previous");
/// The stream the message belongs to, or whom it is for.
pub const STREAM: HeaderName = HeaderName::from_static("Stream");
/// An event's place in its stream; zero for others.
pub const VERSION: HeaderName = HeaderName::from_static("Version");
/// The shape of the payload.
pub const SCHEMA_VERSION: HeaderName = HeaderName::from_static("Schema-Version");
/// When it was recorded, in microseconds since the Unix epoch.
pub const RECORDED_AT: HeaderName = HeaderName::from_static("Recorded-At");
/// Who did it and why, as JSON.
pub const METADATA: HeaderName = HeaderName::from_static("Metadata");
/// The first 16 bytes of a SHA-256 over everything else, in hexadecimal.
pub const DIGEST: HeaderName = HeaderName::from_static("Digest");
/// The W3C trace context of what the message follows from: whoever reads it
/// from here follows from that it was published.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What else systems along the trace have to say to each other.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The trace context as Jaeger's clients write it.
pub const UBER_TRACE_ID: HeaderName = HeaderName::from_static("uber-trace-id");
/// That the payload was left out, because the server takes none so large: the
/// number of bytes it has.
pub const OMITTED: HeaderName = HeaderName::from_static("Omitted");

/// A message on its way to JetStream.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Where it is published.
    pub subject: String,
    /// Everything but the payload.
    pub headers: HeaderMap,
    /// The payload.
    pub payload: Bytes,
}

/// A message that came from JetStream, as the ledger has it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The message.
    pub recorded: Recorded,
    /// The position of the one before it in its range.
    pub previous: Position,
}

/// Why a message is not what the relay published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A header is missing, or makes no sense.
    #[error("the header {0} is missing or makes no sense")]
    Header(&'static str),
    /// The subject is not one of ours.
    #[error("the subject makes no sense")]
    Subject,
    /// The payload is not text.
    #[error("the payload is not text")]
    Payload,
    /// The payload was left out, for it is too large.
    #[error("the payload of {0} bytes was left out")]
    Omitted(u64),
    /// It was changed on its way, or is somebody else's.
    #[error("the digest does not fit")]
    Digest,
}

/// The subject of a message: `mall.<kind>.<context>.<partition>.<Name>`.
#[must_use]
pub fn subject(message: &Recorded) -> String {
    let (context, name) = halves(&message.name);
    let mut subject = String::with_capacity(64);
    // Writing to a string does not fail.
    let _ = write!(
        subject,
        "{PREFIX}.{}.{}.{}.{}",
        message.kind.as_str(),
        Token(context),
        message.partition(),
        Token(name)
    );
    subject
}

/// What to subscribe to for everything of a range.
#[must_use]
pub fn subjects_of(range: &Range) -> Vec<String> {
    range.partitions().clone().map(|partition| format!("{PREFIX}.*.*.{partition}.>")).collect()
}

/// Puts a message together; `previous` is the position of the one before it in
/// its range.
#[must_use]
pub fn encode(message: &Recorded, previous: Position) -> Encoded {
    let mut headers = headers(message, previous);
    headers.insert(DIGEST, value(&digest(message, previous)));
    Encoded {
        subject: subject(message),
        headers,
        payload: Bytes::copy_from_slice(message.payload.as_bytes()),
    }
}

/// The same, with its payload and metadata left out: for a server that does
/// not take a message so large. It holds the place, and its reader takes it
/// from the ledger.
#[must_use]
pub fn encode_omitted(message: &Recorded, previous: Position) -> Encoded {
    let short = Recorded { metadata: "{}".into(), ..message.clone() };
    let mut headers = headers(&short, previous);
    headers.insert(OMITTED, value(&message.payload.len()));
    Encoded { subject: subject(message), headers, payload: Bytes::new() }
}

fn headers(message: &Recorded, previous: Position) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, value(&message.message_id));
    headers.insert(POSITION, value(&message.position));
    headers.insert(PREVIOUS, value(&previous));
    headers.insert(STREAM, value(&message.stream));
    headers.insert(VERSION, value(&message.version));
    headers.insert(SCHEMA_VERSION, value(&message.schema_version));
    headers.insert(RECORDED_AT, value(&message.recorded_at));
    headers.insert(METADATA, value(&one_line(&message.metadata)));
    if let Some(traceparent) = message.traceparent() {
        put_trace(&mut headers, traceparent);
        if let Some(tracestate) = message.tracestate() {
            headers.insert(TRACESTATE, value(&one_line(&tracestate)));
        }
    }
    headers
}

/// Says what a message follows from, in both ways there are.
pub(crate) fn put_trace(headers: &mut HeaderMap, traceparent: &str) {
    headers.insert(TRACEPARENT, value(traceparent));
    if let Some(uber_trace_id) = trace::uber_trace_id(traceparent) {
        headers.insert(UBER_TRACE_ID, value(&uber_trace_id));
    }
}

/// Says of a span which message it is about.
pub(crate) fn describe(span: &mut Span, message: &Recorded) {
    if span.is_recording() {
        span.set("messaging.system", "nats");
        span.set("messaging.destination.name", streams::STREAM);
        span.set("messaging.destination.partition.id", message.partition().to_string());
        span.set("event.type", message.name.clone());
        span.set("position", message.position.0);
    }
}

/// Whether a message that was taken apart is what the ledger has. Its metadata
/// may be written in another way.
#[must_use]
pub fn is_same(decoded: &Recorded, found: &Recorded) -> bool {
    let Recorded {
        position,
        kind,
        stream,
        version,
        name,
        schema_version,
        message_id,
        payload,
        metadata: _,
        recorded_at,
    } = found;
    decoded.position == *position
        && decoded.kind == *kind
        && decoded.stream == *stream
        && decoded.version == *version
        && decoded.name == *name
        && decoded.schema_version == *schema_version
        && decoded.message_id == *message_id
        && decoded.payload == *payload
        && decoded.recorded_at == *recorded_at
}

/// Takes a message apart that was received from a consumer.
pub fn decode(message: &Message) -> Result<Decoded, WireError> {
    let headers = message.headers.as_ref().ok_or(WireError::Header("Position"))?;
    decode_parts(&message.subject, headers, &message.payload)
}

/// Takes a message apart that was read from the stream.
pub fn decode_stored(message: &StreamMessage) -> Result<Decoded, WireError> {
    decode_parts(&message.subject, &message.headers, &message.payload)
}

/// Takes a message apart.
pub fn decode_parts(
    subject: &str,
    headers: &HeaderMap,
    payload: &[u8],
) -> Result<Decoded, WireError> {
    let mut tokens = subject.splitn(5, '.');
    let mut token = || tokens.next().ok_or(WireError::Subject);
    if token()? != PREFIX {
        return Err(WireError::Subject);
    }
    let kind = match token()? {
        "event" => MessageKind::Event,
        "command" => MessageKind::Command,
        "reply" => MessageKind::Reply,
        _ => return Err(WireError::Subject),
    };
    let context = token()?;
    let partition: u8 = token()?.parse().map_err(|_| WireError::Subject)?;
    let name = format!("{context}.{}", token()?);

    if let Some(omitted) = headers.get(OMITTED) {
        let length = omitted.as_str().parse().map_err(|_| WireError::Header("Omitted"))?;
        return Err(WireError::Omitted(length));
    }
    let mut recorded = Recorded {
        position: Position(header(headers, POSITION, "Position")?),
        kind,
        stream: header::<AnyId>(headers, STREAM, "Stream")?,
        version: Version(header(headers, VERSION, "Version")?),
        name,
        schema_version: header(headers, SCHEMA_VERSION, "Schema-Version")?,
        message_id: message_id(headers)?,
        payload: std::str::from_utf8(payload).map_err(|_| WireError::Payload)?.into(),
        metadata: headers.get(METADATA).ok_or(WireError::Header("Metadata"))?.as_str().into(),
        recorded_at: header(headers, RECORDED_AT, "Recorded-At")?,
    };
    if recorded.partition() != partition {
        return Err(WireError::Subject);
    }
    let previous = Position(header(headers, PREVIOUS, "Previous")?);
    let found = headers.get(DIGEST).ok_or(WireError::Header("Digest"))?;
    if found.as_str() != digest(&recorded, previous) {
        return Err(WireError::Digest);
    }
    // No part of what the ledger has, so not in the digest either.
    let traceparent = headers.get(TRACEPARENT).map(HeaderValue::as_str);
    if let Some(traceparent) = traceparent.filter(|text| trace::is_traceparent(text)) {
        recorded.retrace(traceparent);
    }
    Ok(Decoded { recorded, previous })
}

/// The message's position as it claims it, for who looks for a place in the
/// stream and checks nothing.
#[must_use]
pub fn claimed_position(message: &StreamMessage) -> Option<Position> {
    header(&message.headers, POSITION, "Position").ok().map(Position)
}

/// The message's id as it claims it.
pub(crate) fn claimed_id(message: &StreamMessage) -> Option<Uuid> {
    message_id(&message.headers).ok()
}

/// The message's id. The relay adds to it what makes the server take a message
/// that it remembers and no longer has.
fn message_id(headers: &HeaderMap) -> Result<Uuid, WireError> {
    const MISSING: WireError = WireError::Header("Nats-Msg-Id");
    let id = headers.get(NATS_MESSAGE_ID).ok_or(MISSING)?.as_str();
    let id = id.split_once(AGAIN).map_or(id, |(id, _)| id);
    id.parse().map_err(|_| MISSING)
}

/// Between a message's id and what makes it new to the server.
const AGAIN: char = '/';

/// Makes a message new to a server that remembers its id and yet does not have
/// it. `which` must differ from try to try.
pub(crate) fn again(encoded: &mut Encoded, message: &Recorded, which: u64) {
    encoded
        .headers
        .insert(NATS_MESSAGE_ID, value(&format!("{}{AGAIN}{which}", message.message_id)));
}

fn header<T: std::str::FromStr>(
    headers: &HeaderMap,
    name: HeaderName,
    plain: &'static str,
) -> Result<T, WireError> {
    let missing = WireError::Header(plain);
    match headers.get(name) {
        Some(value) => value.as_str().parse().map_err(|_| missing),
        None => Err(missing),
    }
}

fn value(text: &(impl ToString + ?Sized)) -> HeaderValue {
    HeaderValue::from(text.to_string())
}

/// Over everything that is decoded, each part with its length before it.
fn digest(message: &Recorded, previous: Position) -> String {
    let mut sha = Sha256::new();
    let mut part = |bytes: &[u8]| {
        sha.update((bytes.len() as u64).to_be_bytes());
        sha.update(bytes);
    };
    part(&message.position.0.to_be_bytes());
    part(&previous.0.to_be_bytes());
    part(message.kind.as_str().as_bytes());
    part(message.stream.kind.prefix().as_bytes());
    part(message.stream.uuid.as_bytes());
    part(&message.version.0.to_be_bytes());
    part(message.name.as_bytes());
    part(&message.schema_version.to_be_bytes());
    part(message.message_id.as_bytes());
    part(&message.recorded_at.to_be_bytes());
    part(message.payload.as_bytes());
    part(message.metadata.as_bytes());
    let mut hex = String::with_capacity(32);
    for byte in &sha.finalize()[..16] {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The two halves of a message's name.
fn halves(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or(("", name))
}

/// A name as a part of a subject. Ours are plain words; another would not
/// fit its digest afterwards, and be taken from the ledger.
struct Token<'a>(&'a str);

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_char('_');
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.0.chars().try_for_each(|c| f.write_char(plain(c)))
    }
}

/// Headers are lines. JSON needs no line breaks: what has some, and so was not
/// written by us, does not fit its digest afterwards.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use mallbots_domain::id::{AnyId, Kind};
    use mallbots_eventstore::message::{MessageKind, Metadata, Position, Recorded, Version};
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use uuid::Uuid;

    use super::{
        DIGEST, Encoded, OMITTED, POSITION, PREVIOUS, WireError, again, decode_parts, encode,
        encode_omitted, subjects_of,
    };
    use crate::ranges::Range;

    fn message() -> Recorded {
        let request = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00c0);
        let metadata = Metadata {
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            ..Metadata::begin("Zoë", request)
        };
        Recorded {
            position: Position(1_234),
            kind: MessageKind::Event,
            stream: AnyId {
                kind: Kind::Order,
                uuid: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0051),
            },
            version: Version(1),
            name: "ordering.OrderCreated".to_owned(),
            schema_version: 1,
            message_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00aa),
            payload: r#"{"total":2248,"note":"für dich"}"#.into(),
            metadata: serde_json::to_string(&metadata).unwrap().into(),
            recorded_at: 1_700_000_000_000_000,
        }
    }

    fn lines(headers: &HeaderMap) -> String {
        let mut lines: Vec<_> = headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    fn same(one: &Recorded, other: &Recorded) -> bool {
        format!("{one:?}") == format!("{other:?}")
    }

    fn decoded(encoded: &Encoded) -> Result<super::Decoded, WireError> {
        decode_parts(&encoded.subject, &encoded.headers, &encoded.payload)
    }

    /// Other processes, of other versions, read what this one writes.
    #[test]
    fn a_message_on_the_wire_looks_like_this_for_ever() {
        let encoded = encode(&message(), Position(1_200));
        assert_eq!(encoded.subject, "mall.event.ordering.17.OrderCreated");
        assert_eq!(encoded.payload, r#"{"total":2248,"note":"für dich"}"#.as_bytes());
        assert_eq!(
            lines(&encoded.headers),
            "Digest: 42f864d3b9e4c66df5f63643fecf014b\n\
             Metadata: {\"actor\":\"Zoë\",\"command_id\":\"01900000-0000-7000-8000-0000000000c0\",\
             \"correlation_id\":\"01900000-0000-7000-8000-0000000000c0\",\"traceparent\":\
             \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}\n\
             Nats-Msg-Id: 01900000-0000-7000-8000-0000000000aa\n\
             Position: 1234\n\
             Previous: 1200\n\
             Recorded-At: 1700000000000000\n\
             Schema-Version: 1\n\
             Stream: order_01j0000000e00800000000002h\n\
             Version: 1\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n\
             uber-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1"
        );
    }

    fn messages() -> impl Strategy<Value = (Recorded, Position)> {
        let kinds = prop_oneof![
            proptest::strategy::Just(MessageKind::Event),
            proptest::strategy::Just(MessageKind::Command),
            proptest::strategy::Just(MessageKind::Reply),
        ];
        let numbers = (any::<i64>(), any::<i64>(), any::<i64>(), any::<i32>(), any::<i64>());
        let ids = (any::<u128>(), any::<u128>());
        let texts = ("[a-z]{1,9}\\.[A-Za-z0-9]{1,20}", "\\PC{0,80}", "\\PC{0,80}");
        (kinds, numbers, ids, texts).prop_map(|(kind, numbers, ids, (name, payload, actor))| {
            let (position, previous, version, schema_version, recorded_at) = numbers;
            let metadata = Metadata::begin(actor, Uuid::from_u128(ids.1));
            let recorded = Recorded {
                position: Position(position),
                kind,
                stream: AnyId { kind: Kind::Basket, uuid: Uuid::from_u128(ids.0) },
                version: Version(version),
                name,
                schema_version,
                message_id: Uuid::from_u128(ids.1),
                payload: payload.into(),
                metadata: serde_json::to_string(&metadata).unwrap().into(),
                recorded_at,
            };
            (recorded, Position(previous))
        })
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_what_was_encoded((recorded, previous) in messages()) {
            let decoded = decoded(&encode(&recorded, previous)).unwrap();
            prop_assert!(same(&decoded.recorded, &recorded), "{decoded:?} of {recorded:?}");
            prop_assert_eq!(decoded.previous, previous);
        }

        #[test]
        fn a_message_that_was_changed_does_not_decode(
            (recorded, previous) in messages(),
            (other, _) in messages(),
            which in 0_usize..9,
        ) {
            let mut encoded = encode(&recorded, previous);
            let forged = encode(&other, Position(previous.0 ^ 1));
            let name = ["Position", "Previous", "Stream", "Version", "Schema-Version",
                "Recorded-At", "Metadata", "Nats-Msg-Id"].get(which);
            if let Some(name) = name {
                if encoded.headers.get(*name) == forged.headers.get(*name) {
                    return Ok(());
                }
                let value = forged.headers.get(*name).unwrap().clone();
                encoded.headers.insert(*name, value);
            } else {
                if encoded.payload == forged.payload {
                    return Ok(());
                }
                encoded.payload = forged.payload;
            }
            prop_assert!(decoded(&encoded).is_err());
        }
    }

    #[test]
    fn what_is_missing_or_foreign_is_named() {
        let whole = encode(&message(), Position(7));
        for (name, plain) in [(POSITION, "Position"), (PREVIOUS, "Previous"), (DIGEST, "Digest")] {
            let headers = whole.headers.iter().filter(|(found, _)| **found != name);
            let headers = headers.map(|(name, values)| (name.clone(), values[0].clone())).collect();
            let refused = decode_parts(&whole.subject, &headers, &whole.payload);
            assert_eq!(refused.unwrap_err(), WireError::Header(plain));
        }
        for subject in [
            "mall",
            "mall.event.ordering.17",
            "shop.event.ordering.17.OrderCreated",
            "mall.rumor.ordering.17.OrderCreated",
            "mall.event.ordering.18.OrderCreated",
        ] {
            let refused = decode_parts(subject, &whole.headers, &whole.payload);
            assert_eq!(refused.unwrap_err(), WireError::Subject, "{subject}");
        }
        let another = decode_parts("mall.event.ordering.17.OrderApproved", &whole.headers, b"{}");
        assert_eq!(another.unwrap_err(), WireError::Digest);
        let noise = decode_parts(&whole.subject, &whole.headers, &[0xff]);
        assert_eq!(noise.unwrap_err(), WireError::Payload);
        let empty = decode_parts(&whole.subject, &HeaderMap::new(), &whole.payload);
        assert!(empty.is_err());
    }

    #[test]
    fn what_would_break_a_subject_or_a_header_is_sent_harmless_and_not_decoded() {
        for name in ["a b.*>", "nameless", "", "x.y.z\r\n"] {
            let odd = Recorded { name: name.to_owned(), ..message() };
            let encoded = encode(&odd, Position(0));
            assert_eq!(encoded.subject.split('.').count(), 5, "{}", encoded.subject);
            assert!(!encoded.subject.contains([' ', '*', '>', '\r', '\n']), "{}", encoded.subject);
            assert!(decoded(&encoded).is_err());
        }
        let odd = Recorded { metadata: "{\n\"actor\": \"me\"}".into(), ..message() };
        let encoded = encode(&odd, Position(0));
        assert!(!lines(&encoded.headers).contains("{\n"));
        assert_eq!(decoded(&encoded).unwrap_err(), WireError::Digest);
    }

    #[test]
    fn a_message_whose_payload_was_left_out_says_how_large_it_is() {
        let encoded = encode_omitted(&message(), Position(1));
        assert!(encoded.payload.is_empty() && encoded.headers.get(OMITTED).is_some());
        assert_eq!(decoded(&encoded).unwrap_err(), WireError::Omitted(33));
    }

    #[test]
    fn a_message_that_is_sent_again_is_the_same_message_under_another_id() {
        let mut encoded = encode(&message(), Position(1));
        let id = encoded.headers.get("Nats-Msg-Id").cloned();
        again(&mut encoded, &message(), 99);
        assert_ne!(encoded.headers.get("Nats-Msg-Id").cloned(), id);
        assert!(same(&decoded(&encoded).unwrap().recorded, &message()));
    }

    #[test]
    fn a_range_has_the_subjects_of_its_partitions() {
        let subjects = subjects_of(&Range::number(1));
        assert_eq!(subjects.len(), 16);
        assert_eq!(subjects[0], "mall.*.*.16.>");
        assert_eq!(subjects[15], "mall.*.*.31.>");
    }
}
