//! What clients are told when something goes wrong: the only place where words
//! for them are chosen.
//!
//! A resolver ends a call with `.for_client()?`. What has no code by the time
//! it reaches the transport is nobody's decision, and is masked there.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use async_graphql::{ErrorExtensionValues, Name, Value};
use mallbots_domain::{
    aggregate::{DomainError, ErrorKind},
    id::IdError,
    money::MoneyError,
    quantity::QuantityError,
    text::TextError,
};
use mallbots_eventstore::error::Refusal;

macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $text:literal,)*) => {
        /// Every `extensions.code` there is, documented by what the client does next.
        ///
        /// Codes are API: one may be added, none renamed or given another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $meaning])+ $name,)*
        }

        impl ErrorCode {
            /// All of them, in the order they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as clients see it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means and what the client does next.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+),)*
                }
            }
        }
    };
}

error_codes! {
    /// The input is wrong whatever the state: mend `field` and send it again.
    BadUserInput = "BAD_USER_INPUT",
    /// The document is not GraphQL: mend the syntax at `locations`.
    ParseFailed = "GRAPHQL_PARSE_FAILED",
    /// The document does not fit the schema: mend it, or fetch the schema again.
    ValidationFailed = "GRAPHQL_VALIDATION_FAILED",
    /// The document holds no such operation, or several and no name was given: send `operationName`.
    OperationNotFound = "OPERATION_RESOLUTION_FAILURE",
    /// The server does not know a document by this name or hash: send the document along with its hash.
    PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND",
    /// The server keeps no documents for its clients: send the document itself.
    PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED",
    /// The server executes only documents it was given beforehand: send one of them, or have this one added.
    DocumentNotTrusted = "DOCUMENT_NOT_TRUSTED",
    /// The request is not a GraphQL request: mend the client.
    BadRequest = "BAD_REQUEST",
    /// There is no token, or none that counts (any more): come again with another.
    Unauthenticated = "UNAUTHENTICATED",
    /// The caller's roles do not allow it, or it came from a page that may not call: ask as somebody else.
    Forbidden = "FORBIDDEN",
    /// There is no such thing: do not ask again with this id.
    NotFound = "NOT_FOUND",
    /// Another has the place that was asked for, or was faster: read again, then decide.
    Conflict = "CONFLICT",
    /// The state, told in `state`, forbids it: read again, then decide.
    FailedPrecondition = "FAILED_PRECONDITION",
    /// Prices changed since the basket was filled, told in `details`: show them, then send `acceptPriceChanges`.
    PriceChanged = "PRICE_CHANGED",
    /// The idempotency key was used with other input: mint a new key for a new intent.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED",
    /// The read side has not caught up yet: what was asked for was done, read it again in a moment.
    StaleRead = "STALE_READ",
    /// The caller asks too fast: wait for the seconds in `details` and `Retry-After`, then send it again.
    RateLimited = "RATE_LIMITED",
    /// The document is longer than the server reads: ask for less, or move literals into variables.
    QueryTooLarge = "QUERY_TOO_LARGE",
    /// The document has more tokens than the server reads: ask for less.
    TooManyTokens = "TOO_MANY_TOKENS",
    /// The document is nested too deep: ask in several steps.
    QueryTooDeep = "QUERY_TOO_DEEP",
    /// The document asks for too many fields once its fragments are written out: ask for less.
    QueryTooComplex = "QUERY_TOO_COMPLEX",
    /// The fields asked for, times the page sizes, cost too much: ask for shorter pages.
    QueryTooCostly = "QUERY_TOO_COSTLY",
    /// The document has too many aliases: send several requests.
    TooManyAliases = "TOO_MANY_ALIASES",
    /// The operation has too many root fields: send several requests.
    TooManyRootFields = "TOO_MANY_ROOT_FIELDS",
    /// The document has too many directives: take some out.
    TooManyDirectives = "TOO_MANY_DIRECTIVES",
    /// A fragment contains itself: break the circle.
    FragmentCycle = "FRAGMENT_CYCLE",
    /// The socket carries as many operations as it may: complete one, or open another socket.
    TooManyOperations = "TOO_MANY_OPERATIONS",
    /// The request's body is longer than the server reads: send less.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    /// The HTTP method does not fit: use one that `Allow` names.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// No media type in `Accept` can be served: accept `application/json`.
    NotAcceptable = "NOT_ACCEPTABLE",
    /// The request's media type is not served: send `application/json`.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// It took too long and was given up: ask for less, or send it again, a mutation with the same idempotency key.
    Timeout = "TIMEOUT",
    /// The server cannot do it now: send it again later, a mutation with the same idempotency key.
    Unavailable = "UNAVAILABLE",
    /// The server is at fault: report `requestId`.
    Internal = "INTERNAL_SERVER_ERROR",
}

impl ErrorCode {
    /// Finds a code by the text clients see.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error in words for the client.
///
/// It has no `Display` on purpose: async-graphql would then take the text and
/// drop the code.
#[derive(Debug)]
pub struct ClientError(Box<Words>);

/// What a [`ClientError`] says. Boxed there, so that results stay small.
#[derive(Debug)]
pub struct Words {
    /// What the client does next.
    pub code: ErrorCode,
    /// What happened, for people.
    pub message: String,
    /// The input field at fault, in camelCase.
    pub field: Option<String>,
    /// The domain's stable name for the refusal.
    pub reason: Option<&'static str>,
    /// The state that stands in the way.
    pub state: Option<&'static str>,
    /// What else the client needs for its next step.
    pub details: Option<Value>,
    /// What really happened, for the log alone.
    pub cause: Option<Cause>,
}

/// The error behind a [`ClientError`]: logged once, by the transport, and
/// never sent.
#[derive(Debug)]
pub struct Cause(pub Box<dyn std::error::Error + Send + Sync>);

impl Deref for ClientError {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl ClientError {
    /// An error with a code and a message, and nothing else.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            code,
            message: message.into(),
            field: None,
            reason: None,
            state: None,
            details: None,
            cause: None,
        }))
    }

    /// The caller is to wait for so long.
    pub fn too_fast(wait: Duration) -> Self {
        // Whole seconds, as `Retry-After` has them; never none.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(ErrorCode::RateLimited, "too many requests, wait a moment")
            .with_details(async_graphql::value!({ "retryAfter": seconds }))
    }

    /// The domain said no.
    pub fn refused(refusal: &impl DomainError) -> Self {
        Self::of_refusal(refusal.clone().into())
    }

    /// The domain said no, as the ledger passes it on.
    pub fn of_refusal(refusal: Refusal) -> Self {
        let Refusal { kind, reason, message, state, field, details } = refusal;
        let mut error = Self::new(code_of(kind, reason), message);
        error.0.reason = Some(reason);
        error.0.state = state;
        error.0.field = field.map(str::to_owned);
        if !details.is_empty() {
            let record = |record: Vec<(&'static str, String)>| -> Value {
                let fields =
                    record.into_iter().map(|(name, value)| (Name::new(name), value.into()));
                Value::Object(fields.collect())
            };
            error.0.details = Some(Value::List(details.into_iter().map(record).collect()));
        }
        error
    }

    /// The server is at fault. The client learns that and nothing more.
    pub fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(ErrorCode::Internal, MASKED);
        error.0.cause = Some(Cause(cause.into()));
        error
    }

    /// The server cannot do it now, but may later.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error =
            Self::new(ErrorCode::Unavailable, "the server cannot do this now, try again later");
        error.0.cause = Some(Cause(cause.into()));
        error
    }

    /// Names the input field at fault.
    #[must_use]
    pub fn on_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds the stable name of the refusal.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// Adds what else the client needs for its next step.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }
}

/// The code that goes with a kind of refusal.
fn code_of(kind: ErrorKind, reason: &str) -> ErrorCode {
    if reason == ErrorCode::PriceChanged.as_str() {
        return ErrorCode::PriceChanged;
    }
    match kind {
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::Invalid => ErrorCode::BadUserInput,
        ErrorKind::Conflict => ErrorCode::Conflict,
        ErrorKind::WrongState | ErrorKind::AlreadyDone => ErrorCode::FailedPrecondition,
    }
}

/// All that clients learn of an error nobody chose words for.
pub(crate) const MASKED: &str = "internal server error";

impl From<ClientError> for async_graphql::Error {
    fn from(ClientError(words): ClientError) -> Self {
        let error = *words;
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code.as_str());
        if let Some(field) = error.field {
            extensions.set("field", field);
        }
        if let Some(reason) = error.reason {
            extensions.set("reason", reason);
        }
        if let Some(state) = error.state {
            extensions.set("state", state);
        }
        if let Some(details) = error.details {
            extensions.set("details", details);
        }
        Self {
            message: error.message,
            source: error.cause.map(|cause| Arc::new(cause) as _),
            extensions: Some(extensions),
        }
    }
}

/// An error that knows what to tell a client.
pub trait Explain {
    /// Chooses the words.
    fn explain(self) -> ClientError;
}

impl Explain for ClientError {
    fn explain(self) -> ClientError {
        self
    }
}

macro_rules! bad_user_input {
    ($($error:ty),* $(,)?) => { $(
        impl Explain for $error {
            fn explain(self) -> ClientError {
                ClientError::new(ErrorCode::BadUserInput, self.to_string())
            }
        }
    )* };
}

bad_user_input!(IdError, MoneyError, QuantityError, TextError);

/// Turns results into what a resolver may hand out: `.for_client()?`.
pub trait ForClient<T> {
    /// Chooses words for the error.
    fn for_client(self) -> Result<T, ClientError>;

    /// Chooses words for the error and names the input field at fault.
    fn for_field(self, field: &str) -> Result<T, ClientError>;
}

impl<T, E: Explain> ForClient<T> for Result<T, E> {
    fn for_client(self) -> Result<T, ClientError> {
        self.map_err(E::explain)
    }

    fn for_field(self, field: &str) -> Result<T, ClientError> {
        self.map_err(|error| error.explain().on_field(field))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[derive(Debug, Clone, PartialEq, thiserror::Error)]
    #[error("the basket is checked out")]
    struct Refusal {
        kind: ErrorKind,
        reason: &'static str,
    }

    impl DomainError for Refusal {
        fn kind(&self) -> ErrorKind {
            self.kind
        }

        fn reason(&self) -> &'static str {
            self.reason
        }

        fn state(&self) -> Option<&'static str> {
            Some("CHECKED_OUT")
        }

        fn field(&self) -> Option<&'static str> {
            Some("paymentId")
        }
    }

    fn code(kind: ErrorKind, reason: &'static str) -> ErrorCode {
        ClientError::refused(&Refusal { kind, reason }).code
    }

    #[test]
    fn codes_are_api() {
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(
            codes,
            [
                "BAD_USER_INPUT",
                "GRAPHQL_PARSE_FAILED",
                "GRAPHQL_VALIDATION_FAILED",
                "OPERATION_RESOLUTION_FAILURE",
                "PERSISTED_QUERY_NOT_FOUND",
                "PERSISTED_QUERY_NOT_SUPPORTED",
                "DOCUMENT_NOT_TRUSTED",
                "BAD_REQUEST",
                "UNAUTHENTICATED",
                "FORBIDDEN",
                "NOT_FOUND",
                "CONFLICT",
                "FAILED_PRECONDITION",
                "PRICE_CHANGED",
                "IDEMPOTENCY_KEY_REUSED",
                "STALE_READ",
                "RATE_LIMITED",
                "QUERY_TOO_LARGE",
                "TOO_MANY_TOKENS",
                "QUERY_TOO_DEEP",
                "QUERY_TOO_COMPLEX",
                "QUERY_TOO_COSTLY",
                "TOO_MANY_ALIASES",
                "TOO_MANY_ROOT_FIELDS",
                "TOO_MANY_DIRECTIVES",
                "FRAGMENT_CYCLE",
                "TOO_MANY_OPERATIONS",
                "PAYLOAD_TOO_LARGE",
                "METHOD_NOT_ALLOWED",
                "NOT_ACCEPTABLE",
                "UNSUPPORTED_MEDIA_TYPE",
                "TIMEOUT",
                "UNAVAILABLE",
                "INTERNAL_SERVER_ERROR",
            ]
        );
    }

    /// `UPDATE_DOCS=1` writes it anew.
    #[test]
    fn the_catalogue_is_up_to_date() {
        let mut text = String::from(
            "# Errors\n\n\
             Every error has `extensions.code` from this closed set and `extensions.requestId`; \
             `UNAVAILABLE` and `INTERNAL_SERVER_ERROR` also have `extensions.traceId`, if the \
             request was traced.\n\
             Where it helps there are also `field` (the input at fault), `reason` (the domain's stable \
             name for the refusal), `state` (what stands in the way) and `details`.\n\
             Codes and reasons are API: they are added, never renamed.\n\n\
             | code | what it means | what to do |\n|---|---|---|\n",
        );
        for code in ErrorCode::ALL {
            let (means, next) = code.meaning().trim().split_once(": ").unwrap();
            writeln!(text, "| `{code}` | {means} | {next} |").unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "run with UPDATE_DOCS=1");
    }

    #[test]
    fn each_code_is_found_by_its_text_and_says_what_to_do() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_text(code.as_str()), Some(code));
            assert!(code.meaning().contains(": "), "{code} tells the client nothing to do");
        }
        assert_eq!(ErrorCode::from_text("NO_SUCH_CODE"), None);
    }

    #[test]
    fn a_refusal_gets_the_code_of_its_kind() {
        assert_eq!(code(ErrorKind::NotFound, "BASKET_NOT_FOUND"), ErrorCode::NotFound);
        assert_eq!(code(ErrorKind::Invalid, "TOO_MANY_LINES"), ErrorCode::BadUserInput);
        assert_eq!(code(ErrorKind::Conflict, "SKU_TAKEN"), ErrorCode::Conflict);
        assert_eq!(code(ErrorKind::WrongState, "NOT_OPEN"), ErrorCode::FailedPrecondition);
        assert_eq!(code(ErrorKind::AlreadyDone, "ALREADY_OPEN"), ErrorCode::FailedPrecondition);
        assert_eq!(code(ErrorKind::WrongState, "PRICE_CHANGED"), ErrorCode::PriceChanged);
    }

    #[test]
    fn a_refusal_carries_reason_state_and_field() {
        let refusal = Refusal { kind: ErrorKind::WrongState, reason: "NOT_OPEN" };
        let error: async_graphql::Error = ClientError::refused(&refusal).into();
        assert_eq!(error.message, "the basket is checked out");
        let extensions = error.extensions.unwrap();
        assert_eq!(extensions.get("code"), Some(&Value::from("FAILED_PRECONDITION")));
        assert_eq!(extensions.get("reason"), Some(&Value::from("NOT_OPEN")));
        assert_eq!(extensions.get("state"), Some(&Value::from("CHECKED_OUT")));
        assert_eq!(extensions.get("field"), Some(&Value::from("paymentId")));
    }

    #[test]
    fn a_broken_server_tells_nothing_but_keeps_the_cause_for_the_log() {
        let error: async_graphql::Error =
            ClientError::broken(std::io::Error::other("disk on fire")).into();
        assert_eq!(error.message, MASKED);
        let source = error.source.unwrap();
        assert_eq!(source.downcast_ref::<Cause>().unwrap().0.to_string(), "disk on fire");
    }

    #[test]
    fn text_that_does_not_fit_names_its_field() {
        let refused = mallbots_domain::text::Name::new("  ").for_field("name").unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadUserInput);
        assert_eq!(refused.field.as_deref(), Some("name"));
    }
}
