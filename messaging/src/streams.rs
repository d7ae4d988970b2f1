//! The stream and its consumers on JetStream: made when they are missing, and
//! changed to what is asked for.
//!
//! Everything in them can be made again from the ledger, so whoever finds one
//! gone makes it, and nobody needs to have been first.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Error as AnyError,
    jetstream::{
        ErrorCode,
        consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::{ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamErrorKind},
        stream::{self, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use mallbots_eventstore::message::Position;

use crate::{nats::Nats, wire};

/// The stream's name.
pub const STREAM: &str = "MALL";
/// What an unacknowledged message may take before it is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many messages a consumer may have that are not acknowledged: one ack
/// covers a whole batch, and comes after its commit.
const MAX_ACK_PENDING: i64 = 20_000;

/// JetStream's handle of a stream.
pub type Stream = stream::Stream<stream::Info>;

/// How much the stream keeps, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// How many servers of a cluster keep it: 1, 3 or 5.
    pub replicas: usize,
    /// How long a message is kept. `None` is for ever.
    pub max_age: Option<Duration>,
    /// How many bytes are kept. `None` is as many as the server has room for.
    pub max_bytes: Option<i64>,
    /// How long the server remembers ids to refuse what it was given before.
    pub duplicate_window: Duration,
}

impl Default for StreamOptions {
    /// A week, in one copy: the ledger has everything, and who comes later
    /// than that reads it there.
    fn default() -> Self {
        Self {
            replicas: 1,
            max_age: Some(Duration::from_hours(7 * 24)),
            max_bytes: None,
            duplicate_window: Duration::from_secs(30),
        }
    }
}

/// A durable consumer that pulls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// Its name.
    pub name: String,
    /// The subjects it is given; none is all of them.
    pub subjects: Vec<String>,
    /// What its group has: it is given what stands behind that when it has to
    /// be made. Whoever makes it may be given more than that.
    pub behind: Position,
    /// After how long the server forgets it if nobody asks for messages; it
    /// never does without.
    pub forgotten_after: Option<Duration>,
}

/// Why stream or consumer are not as they should be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamsError {
    /// What is there was made differently, and cannot be changed in place.
    #[error(
        "{name} has {what} {is} and not {should}, which cannot be changed: delete it, the relay fills it again"
    )]
    Fixed {
        /// The stream or the consumer.
        name: String,
        /// What it is about.
        what: &'static str,
        /// How it is.
        is: String,
        /// How it should be.
        should: String,
    },
    /// The server does not allow what is asked for.
    #[error("{name} cannot be as it is configured: {reason}")]
    Refused {
        /// The stream or the consumer.
        name: String,
        /// What the server says.
        reason: String,
    },
    /// The server does not answer, or not now.
    #[error("JetStream did not do what it was asked")]
    Unavailable(#[source] Arc<AnyError>),
}

impl StreamsError {
    pub(crate) fn unavailable(error: impl Into<AnyError>) -> Self {
        Self::Unavailable(Arc::new(error.into()))
    }

    /// Whether waiting may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Fixed { .. } | Self::Refused { .. } => false,
        }
    }
}

/// The stream as it is asked for: made, or changed, if need be.
pub async fn ensure_stream(nats: &Nats, options: &StreamOptions) -> Result<Stream, StreamsError> {
    let wanted = config(options);
    let mut stream = match nats.jetstream().get_stream(STREAM).await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                return create_stream(nats, wanted).await;
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName => {
                return Err(StreamsError::unavailable(error));
            }
        },
    };
    let found = &stream.cached_info().config;
    let fixed = |what, is: String, should: String| {
        Err(StreamsError::Fixed { name: format!("the stream {STREAM}"), what, is, should })
    };
    if found.storage != wanted.storage {
        return fixed("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage));
    }
    if found.retention != wanted.retention {
        let (is, should) = (format!("{:?}", found.retention), format!("{:?}", wanted.retention));
        return fixed("retention", is, should);
    }
    let changed = mended(found, wanted);
    if &changed != found {
        match nats.jetstream().update_stream(changed).await {
            Ok(_) => stream.info().await.map(drop).map_err(StreamsError::unavailable)?,
            Err(error) => return Err(stream_refused(error)),
        }
    }
    Ok(stream)
}

/// What is there, with what is asked for in place of what can be changed.
fn mended(found: &stream::Config, wanted: stream::Config) -> stream::Config {
    stream::Config {
        subjects: wanted.subjects,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        max_messages: wanted.max_messages,
        max_messages_per_subject: wanted.max_messages_per_subject,
        max_message_size: wanted.max_message_size,
        discard: wanted.discard,
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        ..found.clone()
    }
}

/// How a stream differs from what is asked for, in words; nothing if it does
/// not.
pub(crate) fn differences(found: &stream::Config, options: &StreamOptions) -> Vec<String> {
    let wanted = config(options);
    let mut differences = Vec::new();
    let mut compare = |what: &str, is: String, should: String| {
        if is != should {
            differences.push(format!("{what} is {is} and should be {should}"));
        }
    };
    compare("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage));
    compare("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention));
    compare("replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string());
    compare("max_age", format!("{:?}", found.max_age), format!("{:?}", wanted.max_age));
    compare("max_bytes", found.max_bytes.to_string(), wanted.max_bytes.to_string());
    compare("subjects", found.subjects.join(", "), wanted.subjects.join(", "));
    compare(
        "duplicate_window",
        format!("{:?}", found.duplicate_window),
        format!("{:?}", wanted.duplicate_window),
    );
    let same = mended(found, wanted) == *found;
    if differences.is_empty() && !same {
        differences.push("its limits on messages are others".to_owned());
    }
    differences
}

async fn create_stream(nats: &Nats, wanted: stream::Config) -> Result<Stream, StreamsError> {
    let error = match nats.jetstream().create_stream(wanted).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    if let CreateStreamErrorKind::JetStream(reason) = error.kind()
        && reason.error_code() == ErrorCode::STREAM_NAME_EXIST
    {
        // Somebody else was faster, and will be looked at the next time.
        return nats.jetstream().get_stream(STREAM).await.map_err(StreamsError::unavailable);
    }
    Err(stream_refused(error))
}

fn stream_refused(error: async_nats::jetstream::context::CreateStreamError) -> StreamsError {
    match error.kind() {
        CreateStreamErrorKind::JetStream(reason) if is_final(&reason) => {
            let name = format!("the stream {STREAM}");
            StreamsError::Refused { name, reason: reason.to_string() }
        }
        CreateStreamErrorKind::JetStream(_)
        | CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => StreamsError::unavailable(error),
    }
}

/// Whether no waiting helps: the request is at fault, and not that the server
/// has no time or the stream is gone.
fn is_final(reason: &async_nats::jetstream::Error) -> bool {
    let is_ours = (400..500).contains(&reason.code()) && reason.code() != 404;
    is_ours
        || [
            ErrorCode::STREAM_INVALID_CONFIG,
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
            ErrorCode::STREAM_REPLICAS_NOT_UPDATABLE,
            ErrorCode::STORAGE_RESOURCES_EXCEEDED,
            ErrorCode::CONSUMER_CREATE,
        ]
        .contains(&reason.error_code())
}

fn config(options: &StreamOptions) -> stream::Config {
    let max_age = options.max_age.unwrap_or_default();
    // The server remembers no longer than it keeps.
    let duplicate_window = match options.max_age {
        Some(max_age) => options.duplicate_window.min(max_age),
        None => options.duplicate_window,
    };
    stream::Config {
        name: STREAM.to_owned(),
        description: Some("What the ledger holds, in its order. Made by MallBots.".to_owned()),
        subjects: vec![wire::EVERYTHING.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age,
        max_bytes: options.max_bytes.unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        num_replicas: options.replicas,
        duplicate_window,
        ..stream::Config::default()
    }
}

/// A consumer as it is asked for: made, or changed, if need be. The stream is
/// made as well if it is missing.
pub async fn ensure_consumer(
    nats: &Nats,
    options: &StreamOptions,
    durable: &Durable,
) -> Result<PullConsumer, StreamsError> {
    let stream = ensure_stream(nats, options).await?;
    let known = stream.consumer_info(&durable.name).await;
    let deliver_policy = match known {
        Ok(info) => {
            let found = info.config;
            if let Some(error) = differs(durable, &found) {
                return Err(error);
            }
            // Where it began cannot be changed, and does not matter any more.
            if same_subjects(&found, durable) && found.max_ack_pending == MAX_ACK_PENDING {
                return stream
                    .get_consumer(&durable.name)
                    .await
                    .map_err(|error| StreamsError::Unavailable(Arc::new(error)));
            }
            found.deliver_policy
        }
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound => {
                let start_sequence = sequence_behind(&stream, durable.behind).await?;
                DeliverPolicy::ByStartSequence { start_sequence }
            }
            ConsumerInfoErrorKind::InvalidName
            | ConsumerInfoErrorKind::Offline
            | ConsumerInfoErrorKind::StreamNotFound
            | ConsumerInfoErrorKind::Request
            | ConsumerInfoErrorKind::JetStream(_)
            | ConsumerInfoErrorKind::TimedOut
            | ConsumerInfoErrorKind::NoResponders => return Err(StreamsError::unavailable(error)),
        },
    };
    let config = pull::Config {
        durable_name: Some(durable.name.clone()),
        deliver_policy,
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        filter_subjects: durable.subjects.clone(),
        inactive_threshold: durable.forgotten_after.unwrap_or_default(),
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| match error.kind() {
        ConsumerErrorKind::JetStream(reason) if is_final(&reason) => {
            let name = format!("the consumer {}", durable.name);
            StreamsError::Refused { name, reason: reason.to_string() }
        }
        ConsumerErrorKind::JetStream(_)
        | ConsumerErrorKind::TimedOut
        | ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => StreamsError::unavailable(error),
    })
}

fn same_subjects(found: &consumer::Config, durable: &Durable) -> bool {
    let is = match &*found.filter_subject {
        "" => found.filter_subjects.clone(),
        one => vec![one.to_owned()],
    };
    is == durable.subjects
}

/// What a consumer has that cannot be changed in place.
fn differs(durable: &Durable, found: &consumer::Config) -> Option<StreamsError> {
    let fixed = |what, is: String, should: &str| {
        Some(StreamsError::Fixed {
            name: format!("the consumer {}", durable.name),
            what,
            is,
            should: should.to_owned(),
        })
    };
    if found.deliver_subject.is_some() {
        return fixed("delivery", "Push".to_owned(), "Pull");
    }
    if found.ack_policy != AckPolicy::All {
        return fixed("acknowledgment", format!("{:?}", found.ack_policy), "All");
    }
    None
}

/// The sequence of the first message that stands behind a position: none
/// before it does, as far as positions rise.
pub async fn sequence_behind(stream: &Stream, behind: Position) -> Result<u64, StreamsError> {
    let state = stream.get_info().await.map_err(StreamsError::unavailable)?.state;
    let (mut low, mut high) = (state.first_sequence.max(1), state.last_sequence + 1);
    // Everything before `low` stands at the position or before it.
    while low < high {
        let middle = low + (high - low) / 2;
        let claimed = match stored(stream, middle).await? {
            Some(message) => wire::claimed_position(&message),
            None => None,
        };
        match claimed {
            Some(position) if position <= behind => low = middle + 1,
            // What is gone or is not ours might stand anywhere: look before it.
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// A message of the stream, if it is there.
pub(crate) async fn stored(
    stream: &Stream,
    sequence: u64,
) -> Result<Option<async_nats::jetstream::message::StreamMessage>, StreamsError> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            stream::RawMessageErrorKind::NoMessageFound => Ok(None),
            stream::RawMessageErrorKind::JetStream(_)
            | stream::RawMessageErrorKind::InvalidSubject
            | stream::RawMessageErrorKind::Other => Err(StreamsError::unavailable(error)),
        },
    }
}
