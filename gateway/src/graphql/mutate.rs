//! How mutations run: input to command, command to the ledger, and back what
//! was made, read from the library once it is there.

use async_graphql::{Context, Positioned, Value, parser::types::Selection};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::{aggregate::Aggregate, id::EntityId};
use mallbots_eventstore::{
    answers::IdempotencyKey,
    error::{CommandError, Refusal, StoreError},
    message,
    trace::SpanKind,
    unit::{Creation, Unit},
};
use mallbots_projections::{reads::ReadError, rebuild::RebuildError};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    loaders::LoadError,
    scalars::Position,
    services::{ContextExt, read_back},
};
use crate::{
    error::{ClientError, ErrorCode, Explain, ForClient},
    transport::{
        consistency::{CONSISTENCY, Token},
        context::TransportExt,
    },
};

/// What a mutation did.
#[derive(Debug, Clone)]
pub struct Done<T> {
    /// What its work says it made.
    pub value: T,
    /// Where that stands in the ledger.
    pub position: Position,
    /// The client's own mark, returned.
    pub client_mutation_id: Option<String>,
}

/// What a unit of work made, and where, when that was before now.
pub type Made<T> = (T, Option<message::Position>);

/// Runs a unit of work for a mutation, once for each idempotency key, then
/// waits until the library shows it.
pub async fn mutate<'a, T, F>(
    ctx: &'a Context<'_>,
    client_mutation_id: Option<String>,
    work: F,
) -> Result<Done<T>, ClientError>
where
    T: Serialize + DeserializeOwned + Send,
    F: for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<Made<T>, CommandError>> + Send,
{
    let key = idempotency_key(ctx, client_mutation_id.as_deref())?;
    let ledger = &ctx.services().ledger;
    let mut metadata = ctx.metadata();
    let name = || format!("command {}", ctx.field().name());
    let mut span = metadata.follow(SpanKind::Internal, name);
    metadata.traceparent = span.traceparent().or(metadata.traceparent);
    let committed = ledger.transact_once(&metadata, key.as_ref(), work).await;
    match &committed {
        Ok(_) => {}
        Err(CommandError::Refused(refusal)) => span.set("reason", refusal.reason),
        Err(_) => span.fail("failed"),
    }
    drop(span);
    let committed = committed.for_client()?;
    let (value, before) = committed.value;
    let position = committed.last.or(before).unwrap_or_else(|| ledger.head());
    ctx.response_extensions().raise(CONSISTENCY, Token(position.0));
    read_back(ctx, position).await;
    Ok(Done { value, position: Position(position), client_mutation_id })
}

/// Asks one aggregate for something.
pub async fn execute<A: Aggregate>(
    ctx: &Context<'_>,
    client_mutation_id: Option<String>,
    id: A::Id,
    command: A::Command,
) -> Result<Done<()>, ClientError> {
    mutate(ctx, client_mutation_id, move |unit| {
        let command = command.clone();
        async move {
            unit.decide::<A>(id, command).await?;
            Ok(((), None))
        }
        .boxed()
    })
    .await
}

/// Creates an aggregate, under an id from [`ids::new`](super::ids::new).
pub async fn create<A: Aggregate>(
    ctx: &Context<'_>,
    client_mutation_id: Option<String>,
    id: A::Id,
    command: A::Command,
) -> Result<Done<A::Id>, ClientError>
where
    A::Id: Serialize + DeserializeOwned,
{
    mutate(ctx, client_mutation_id, move |unit| {
        let command = command.clone();
        async move { Ok(made(id, unit.create::<A>(id, command).await?)) }.boxed()
    })
    .await
}

/// Where something that may have been created before stands.
pub fn made<I: EntityId>(id: I, creation: Creation) -> Made<I> {
    match creation {
        Creation::New => (id, None),
        Creation::Before { last, .. } => (id, Some(last)),
    }
}

/// The name under which a mutation happens once: the request's header, or the
/// mutation's own mark. Further mutations of the same request count on.
fn idempotency_key(
    ctx: &Context<'_>,
    client_mutation_id: Option<&str>,
) -> Result<Option<IdempotencyKey>, ClientError> {
    let request = ctx.request();
    let key = match (&request.idempotency_key, client_mutation_id) {
        (Some(key), _) => format!("header:{key}:{}", place(ctx)),
        (None, Some(mark)) if mark.len() > 255 => {
            return Err(ClientError::new(
                ErrorCode::BadUserInput,
                "a clientMutationId has at most 255 bytes",
            )
            .on_field("clientMutationId"));
        }
        (None, Some(mark)) => format!("mark:{mark}"),
        (None, None) => return Ok(None),
    };
    let caller = ctx.caller().subject().to_owned();
    Ok(Some(IdempotencyKey { caller, key, fingerprint: fingerprint(ctx)? }))
}

/// Which of the operation's mutations this is: its number, or its name where
/// it stands in a fragment.
fn place(ctx: &Context<'_>) -> String {
    let this = ctx.item.node.response_key().node.as_str();
    let selections = &ctx.query_env.operation.node.selection_set.node.items;
    let is_this = |selection: &Positioned<Selection>| match &selection.node {
        Selection::Field(field) => field.node.response_key().node.as_str() == this,
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    };
    let place = selections.iter().position(is_this);
    place.map_or_else(|| this.to_owned(), |place| place.to_string())
}

/// A digest of what is asked: the mutation and its arguments.
fn fingerprint(ctx: &Context<'_>) -> Result<String, ClientError> {
    let mut digest = Sha256::new();
    digest.update(ctx.field().name());
    let arguments = ctx
        .field()
        .arguments()
        .map_err(|error| ClientError::new(ErrorCode::BadUserInput, error.message))?;
    for (name, value) in arguments {
        digest.update(name.as_bytes());
        digest.update(canonical(value).to_string());
    }
    Ok(BASE64_STANDARD.encode(digest.finalize()))
}

/// The same value with its fields in one order, however the client wrote them.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::List(values) => Value::List(values.into_iter().map(canonical).collect()),
        value @ (Value::Null
        | Value::Number(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Binary(_)
        | Value::Enum(_)) => value,
    }
}

impl Explain for Refusal {
    fn explain(self) -> ClientError {
        ClientError::of_refusal(self)
    }
}

impl Explain for StoreError {
    fn explain(self) -> ClientError {
        match self {
            Self::Undecodable { .. } | Self::Hole { .. } => ClientError::broken(self),
            Self::Database(_)
            | Self::Closed
            | Self::WentBack { .. }
            | Self::InUse { .. }
            | Self::File { .. } => ClientError::unavailable(self),
        }
    }
}

impl Explain for CommandError {
    fn explain(self) -> ClientError {
        match self {
            Self::Refused(refusal) => refusal.explain(),
            Self::Contended => ClientError::new(
                ErrorCode::Conflict,
                "too many others are changing the same thing: read it again, then try again",
            ),
            Self::KeyReused => ClientError::new(
                ErrorCode::IdempotencyKeyReused,
                "this idempotency key was used for another request: mint a new one",
            ),
            Self::Store(error) => error.explain(),
            Self::Handled | Self::Gone => ClientError::broken(self),
        }
    }
}

impl Explain for ReadError {
    fn explain(self) -> ClientError {
        ClientError::unavailable(self)
    }
}

impl Explain for RebuildError {
    fn explain(self) -> ClientError {
        match self {
            Self::Unknown => ClientError::new(ErrorCode::NotFound, self.to_string())
                .on_field("name")
                .because("PROJECTION_NOT_FOUND"),
            Self::UnderWay => {
                ClientError::new(ErrorCode::Conflict, self.to_string()).because("REBUILD_UNDER_WAY")
            }
            Self::Closed | Self::Ledger(_) | Self::Database(_) | Self::Overtaken => {
                ClientError::unavailable(self)
            }
        }
    }
}

impl Explain for LoadError {
    fn explain(self) -> ClientError {
        match self {
            Self::Ledger(error) => error.explain(),
            Self::Library(error) => error.explain(),
        }
    }
}

/// Declares what a mutation returns: what was made, where it stands in the
/// ledger, and the client's mark.
macro_rules! payload {
    ($(#[$doc:meta])* $payload:ident { $(#[$field_doc:meta])* $field:ident: $node:ty }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $payload {
            $(#[$field_doc])*
            $field: Option<$node>,
            /// Where the change stands in the ledger.
            position: crate::graphql::scalars::Position,
            /// The mark the client gave, returned.
            client_mutation_id: Option<String>,
        }

        impl $payload {
            fn new<T>(done: crate::graphql::mutate::Done<T>, $field: Option<$node>) -> Self {
                let crate::graphql::mutate::Done { position, client_mutation_id, .. } = done;
                Self { $field, position, client_mutation_id }
            }
        }
    };
}
pub(crate) use payload;
