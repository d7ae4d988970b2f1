//! What operators see and mend: how far the read models are, what is parked,
//! and the history of anything.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    Context, Description, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription,
};
use async_stream::try_stream;
use futures_util::{FutureExt, Stream, StreamExt};
use mallbots_domain::id::{AnyId, DeadLetterId};
use mallbots_eventstore::{
    dead_letters::{DeadLetter as Letter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    message::{self, MessageKind, Recorded, Version},
};
use mallbots_messaging::{
    dead_letters::{discard, retry},
    relay::{self, RelayStatus},
};
use mallbots_projections::{
    page::{Key, PageRequest, Take},
    parked::{self, CONSUMER, ParkedRow},
    reads::ProjectionStatus,
    rebuild::{ALL, RebuildState, RebuildStatus},
};
use tracing::warn;
use uuid::Uuid;

use super::{
    connection::{Cut, Paging, connection},
    ids,
    live::{self, Live},
    loaders::{BlockedBy, EffectsOf, MessageOf},
    mutate::{Done, mutate},
    scalars::{Cursor, DateTime, Position},
    services::{ContextExt, Services},
};
use crate::{
    error::{ClientError, ErrorCode, ForClient},
    transport::{
        context::TransportExt,
        part::{Mark, Part},
    },
};

/// A family of read models that is filled from the ledger.
#[derive(Debug, Clone, Description)]
pub struct Projection(ProjectionStatus);

#[Object(use_type_description)]
impl Projection {
    /// What it is called, such as `orders`.
    async fn name(&self) -> &str {
        self.0.name
    }

    /// Up to where it is filled.
    async fn position(&self) -> Position {
        Position(self.0.position)
    }

    /// How many messages of the ledger it does not know yet.
    async fn lag(&self) -> i32 {
        i32::try_from(self.0.lag).unwrap_or(i32::MAX)
    }

    /// How many events it could not take in and put aside.
    async fn parked(&self) -> i32 {
        i32::try_from(self.0.parked).unwrap_or(i32::MAX)
    }

    /// How far a rebuild of it has come, from 0 to 1, while there is one.
    async fn rebuilding(&self) -> Option<f64> {
        self.0.rebuilding
    }

    /// How its last rebuild went, or goes: of it alone or of all.
    async fn rebuild(&self) -> Option<Rebuild> {
        self.0.rebuild.clone().map(Rebuild)
    }
}

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RebuildState", name = "RebuildState")]
pub enum RebuildStateName {
    /// It was asked for and waits for the projector.
    Requested,
    /// New tables are being filled.
    Running,
    /// The new tables are the live ones.
    Done,
    /// It was given up; the live tables are as they were.
    Failed,
}

/// How a rebuild of a read model goes, or went.
#[derive(Debug, Clone, Description)]
pub struct Rebuild(RebuildStatus);

#[Object(use_type_description)]
impl Rebuild {
    /// Where it stands.
    async fn state(&self) -> RebuildStateName {
        self.0.state.into()
    }

    /// Up to where the new tables are filled.
    async fn done(&self) -> Position {
        Position(self.0.done)
    }

    /// Where the ledger ended when that was last looked at.
    async fn total(&self) -> Position {
        Position(self.0.total)
    }

    /// How often it was begun: again when a projector stopped while it was at it.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// What went wrong last.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it was asked for.
    async fn requested_at(&self) -> DateTime {
        DateTime(self.0.requested_at)
    }

    /// When it was over.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }
}

/// A message that could not be handled and was parked, together with all that came after it under
/// the same key.
#[derive(Debug, Clone, PartialEq, Eq, Description)]
pub struct DeadLetter(Parked);

/// Where a parked message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    /// With a consumer of the post: the message itself is in the ledger.
    Post(Letter),
    /// With the projector, whole.
    Library(ParkedRow),
}

impl DeadLetter {
    const fn letter_id(&self) -> DeadLetterId {
        match &self.0 {
            Parked::Post(letter) => letter.id,
            Parked::Library(row) => row.id.0,
        }
    }

    const fn position(&self) -> message::Position {
        match &self.0 {
            Parked::Post(letter) => letter.position,
            Parked::Library(row) => message::Position(row.position),
        }
    }

    /// Whose it is, and what waits behind it.
    fn blocks(&self) -> BlockedBy {
        match &self.0 {
            Parked::Post(letter) => {
                BlockedBy { consumer: letter.consumer.clone(), key: letter.key.clone() }
            }
            Parked::Library(row) => {
                BlockedBy { consumer: CONSUMER.to_owned(), key: row.key.to_string() }
            }
        }
    }
}

/// The message of a letter of the post.
async fn message(ctx: &Context<'_>, letter: &Letter) -> Result<Option<Arc<Recorded>>, ClientError> {
    ctx.loaders().one(MessageOf(letter.message_id)).await.for_client()
}

#[Object(use_type_description)]
impl DeadLetter {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.letter_id().to_string())
    }

    /// Who could not handle it.
    async fn consumer(&self) -> String {
        self.blocks().consumer
    }

    /// What it is about: later messages with the same key wait behind it.
    async fn key(&self) -> String {
        self.blocks().key
    }

    /// The message's type, such as `depot.CreateShoppingList`.
    async fn message_name(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(match &self.0 {
            Parked::Library(row) => row.name.clone(),
            Parked::Post(letter) => {
                message(ctx, letter).await?.map(|message| message.name.clone()).unwrap_or_default()
            }
        })
    }

    /// The message's content, as JSON: as it came, or as an operator mended it.
    async fn payload(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(match &self.0 {
            Parked::Library(row) => row.payload.clone(),
            Parked::Post(Letter { payload_override: Some(mended), .. }) => mended.clone(),
            Parked::Post(letter) => message(ctx, letter)
                .await?
                .map(|message| message.payload.to_string())
                .unwrap_or_default(),
        })
    }

    /// What went wrong last.
    async fn reason(&self) -> &str {
        match &self.0 {
            Parked::Post(letter) => &letter.reason,
            Parked::Library(row) => &row.reason,
        }
    }

    /// How often it was tried; 0 if it only waits behind another.
    async fn attempts(&self) -> i32 {
        match &self.0 {
            Parked::Post(letter) => letter.attempts,
            Parked::Library(row) => row.attempts,
        }
    }

    /// When it first failed.
    async fn first_failed_at(&self) -> DateTime {
        DateTime(match &self.0 {
            Parked::Post(letter) => letter.first_failed_at,
            Parked::Library(row) => row.first_failed_at,
        })
    }

    /// How many messages wait behind it.
    async fn blocked(&self, ctx: &Context<'_>) -> Result<i32> {
        let positions = ctx.loaders().one(self.blocks()).await.for_client()?.unwrap_or_default();
        let behind = positions.iter().filter(|position| **position > self.position()).count();
        Ok(i32::try_from(behind).unwrap_or(i32::MAX))
    }
}

/// What a message of the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "MessageKind")]
pub enum LedgerEventKind {
    /// That something happened.
    Event,
    /// That a context is to do something.
    Command,
    /// What became of a command.
    Reply,
}

/// A message of the ledger: something that happened, and among what led to it and what followed
/// from it also what contexts were asked and how they answered.
#[derive(Debug, Clone, Description)]
pub struct LedgerEvent(Arc<Recorded>);

#[Object(use_type_description)]
impl LedgerEvent {
    /// The message's own id.
    async fn id(&self) -> ID {
        ID(self.0.message_id.to_string())
    }

    /// What it says.
    async fn kind(&self) -> LedgerEventKind {
        self.0.kind.into()
    }

    /// Its place in all history.
    async fn position(&self) -> Position {
        Position(self.0.position)
    }

    /// To what it happened, or whom it is for.
    async fn stream(&self) -> ID {
        ID(self.0.stream.to_string())
    }

    /// Which event of that it is, from 1; 0 for commands and replies.
    async fn version(&self) -> i32 {
        i32::try_from(self.0.version.0).unwrap_or(i32::MAX)
    }

    /// Its type, such as `ordering.OrderCreated`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(self.0.recorded_at)
    }

    /// Who did it.
    async fn actor(&self) -> Option<String> {
        self.0.metadata().ok().map(|metadata| metadata.actor)
    }

    /// Its content, as JSON.
    async fn payload(&self) -> &str {
        &self.0.payload
    }

    /// The message that led to it, when a message did.
    async fn causation_id(&self) -> Option<ID> {
        let metadata = self.0.metadata().ok()?;
        metadata.causation_id.map(|id| ID(id.to_string()))
    }

    /// The request with which it all began.
    async fn correlation_id(&self) -> Option<ID> {
        self.0.metadata().ok().map(|metadata| ID(metadata.correlation_id.to_string()))
    }

    /// The message that led to it, itself.
    async fn cause(&self, ctx: &Context<'_>) -> Result<Option<LedgerEvent>> {
        let cause = self.0.metadata().ok().and_then(|metadata| metadata.causation_id);
        Ok(match cause {
            Some(id) => ctx.loaders().one(MessageOf(id)).await.for_client()?.map(LedgerEvent),
            None => None,
        })
    }

    /// What followed directly from it, in the order of the ledger.
    async fn effects(&self, ctx: &Context<'_>) -> Result<Vec<LedgerEvent>> {
        let effects = ctx.loaders().one(EffectsOf(self.0.message_id)).await.for_client()?;
        Ok(effects.unwrap_or_default().into_iter().map(LedgerEvent).collect())
    }
}

/// Somebody in this process who acts on messages: a context, the saga runner, the notifier.
#[derive(Debug, SimpleObject)]
pub struct Consumer {
    /// What it is called, such as `depot`.
    name: &'static str,
    /// Up to where it has handled or parked everything that is its.
    position: Position,
    /// How many messages of the ledger it has not looked at yet.
    lag: i32,
}

/// What a relay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RelayState {
    /// Another process relays.
    Standby,
    /// NATS is away.
    Disconnected,
    /// It looks where the stream stands.
    Looking,
    /// It publishes, or waits for something to publish.
    Running,
    /// Something is in the way; it is tried again and again.
    Failing,
    /// The stream has what the ledger does not have: somebody has to see to that.
    Halted,
}

/// Who publishes the ledger on JetStream, as far as this process knows.
#[derive(Debug, Clone, Description)]
pub struct Relay(RelayStatus);

#[Object(use_type_description)]
impl Relay {
    /// What it is doing.
    async fn state(&self) -> RelayState {
        match &self.0.state {
            relay::RelayState::Standby => RelayState::Standby,
            relay::RelayState::Disconnected => RelayState::Disconnected,
            relay::RelayState::Looking => RelayState::Looking,
            relay::RelayState::Running => RelayState::Running,
            relay::RelayState::Failing(_) => RelayState::Failing,
            relay::RelayState::Halted(_) => RelayState::Halted,
        }
    }

    /// What is in its way.
    async fn reason(&self) -> Option<&str> {
        match &self.0.state {
            relay::RelayState::Failing(reason) | relay::RelayState::Halted(reason) => Some(reason),
            relay::RelayState::Standby
            | relay::RelayState::Disconnected
            | relay::RelayState::Looking
            | relay::RelayState::Running => None,
        }
    }

    /// Up to where the stream has everything.
    async fn position(&self) -> Position {
        Position(self.0.position)
    }

    /// How many messages the stream does not have yet.
    async fn lag(&self) -> i32 {
        i32::try_from(self.0.lag()).unwrap_or(i32::MAX)
    }
}

connection!(DeadLetterConnection, DeadLetterEdge, DeadLetter, "parked messages");
connection!(LedgerEventConnection, LedgerEventEdge, LedgerEvent, "what happened to something");

const DEAD_LETTERS: &str = "dead_letters";
const LEDGER: &str = "ledger";

/// What operators may ask.
#[derive(Debug, Default)]
pub struct OperationQueries;

#[Object]
impl OperationQueries {
    /// What happened to anything, from the beginning, as the ledger has it.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<LedgerEventConnection> {
        let id: AnyId = id.parse().for_field("id")?;
        let key = &ctx.services().cursors;
        let name = history_of(id);
        let asked = Paging { first, after, last, before }.feed(key, &name)?;
        let ledger = &ctx.services().ledger.for_questions();
        let end = ledger.stream_version(id).await.for_client()?;
        if end.0 == 0 {
            return Err(ids::not_found(id.kind.prefix()).into());
        }
        let part = asked.oldest_first(end.0);
        let events = ledger.read_stream(id, Version(part.behind), part.count).await.for_client()?;
        let items = events
            .into_iter()
            .map(|event| (key.sign(&name, &event.version), LedgerEvent(event)))
            .collect();
        Ok(Cut::new(items, part.has_next, part.has_previous).into())
    }

    /// What was said in the mall, newest first: events, commands and replies. What has no cause
    /// was begun by somebody; the rest followed from it.
    async fn ledger(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<LedgerEventConnection> {
        let key = &ctx.services().cursors;
        let asked = Paging { first, after, last, before }.feed(key, LEDGER)?;
        let ledger = &ctx.services().ledger.for_questions();
        // Positions have no gaps: the page's beginning follows from its end.
        let part = asked.newest_first(ledger.head().0);
        let messages =
            ledger.read(message::Position(part.behind), part.count).await.for_client()?;
        let items = messages
            .into_iter()
            .rev()
            .map(|message| (key.sign(LEDGER, &message.position), LedgerEvent(message)))
            .collect();
        Ok(Cut::new(items, part.has_next, part.has_previous).into())
    }

    /// A message of the ledger.
    async fn ledger_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message's own id.")] id: ID,
    ) -> Result<Option<LedgerEvent>> {
        let id: Uuid = id.parse().map_err(|_| {
            let message = "a message's id is a UUID";
            ClientError::new(ErrorCode::BadUserInput, message.to_owned()).on_field("id")
        })?;
        let message = ctx.loaders().one(MessageOf(id)).await.for_client()?;
        Ok(Some(LedgerEvent(message.ok_or_else(|| ids::not_found("message"))?)))
    }

    /// How far those are who act on messages in this process.
    async fn consumers(&self, ctx: &Context<'_>) -> Vec<Consumer> {
        let services = ctx.services();
        let head = services.ledger.head();
        let consumer = |(name, position): (&'static str, message::Position)| Consumer {
            name,
            position: Position(position),
            lag: i32::try_from(head.0.saturating_sub(position.0).max(0)).unwrap_or(i32::MAX),
        };
        services.post.progress().into_iter().map(consumer).collect()
    }

    /// The relay, if this process may be the one that relays.
    async fn relay(&self, ctx: &Context<'_>) -> Option<Relay> {
        ctx.services().relay.as_ref().map(|status| Relay(status.borrow().clone()))
    }

    /// How each family of read models stands.
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<Projection>> {
        Ok(projections(ctx.services().reads.projections().await.for_client()?))
    }

    /// What is parked, in the order of the ledger.
    async fn dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<DeadLetterConnection> {
        let services = ctx.services();
        let key = &services.cursors;
        let request = Paging { first, after, last, before }.request(key, DEAD_LETTERS)?;
        let (letters, has_next, has_previous) = parked(services, &request).await?;
        let items = letters
            .into_iter()
            .map(|letter| {
                let place = Key { value: letter.position().0, id: letter.letter_id().to_string() };
                (key.sign(DEAD_LETTERS, &place), letter)
            })
            .collect();
        Ok(Cut::new(items, has_next, has_previous).into())
    }
}

/// What the history of something is called in cursors.
fn history_of(id: AnyId) -> String {
    format!("history/{id}")
}

fn projections(statuses: Vec<ProjectionStatus>) -> Vec<Projection> {
    statuses.into_iter().map(Projection).collect()
}

pub(super) async fn dead_letter(
    ctx: &Context<'_>,
    id: DeadLetterId,
) -> Result<Option<DeadLetter>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(DeadLetter))
}

/// A parked message to be tried again.
#[derive(Debug, InputObject)]
pub struct RetryDeadLetterInput {
    /// Which one. All that is parked under its key is tried again, in order.
    id: ID,
    /// What to handle in place of its content: a JSON object, mended.
    payload: Option<String>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A parked message to be thrown away.
#[derive(Debug, InputObject)]
pub struct DiscardDeadLetterInput {
    /// Which one. What waits behind it is tried again, in order.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A read model to be rebuilt.
#[derive(Debug, InputObject)]
pub struct RebuildProjectionInput {
    /// What it is called, such as `orders`; or `all`, for every one of them in one go.
    name: String,
    /// The client's own mark, returned.
    client_mutation_id: Option<String>,
}

/// What came of asking for a parked message to be tried again.
#[derive(Debug, SimpleObject)]
pub struct RetryDeadLetterPayload {
    /// Which one.
    dead_letter_id: ID,
    /// Where the request stands in the ledger.
    position: Position,
    /// The mark the client gave, returned.
    client_mutation_id: Option<String>,
}

/// What came of asking for a parked message to be thrown away.
#[derive(Debug, SimpleObject)]
pub struct DiscardDeadLetterPayload {
    /// Which one.
    dead_letter_id: ID,
    /// Where the request stands in the ledger.
    position: Position,
    /// The mark the client gave, returned.
    client_mutation_id: Option<String>,
}

/// What came of asking for a rebuild.
#[derive(Debug, SimpleObject)]
pub struct RebuildProjectionPayload {
    /// How the read model stands now. Watch `projectionsChanged` for how far the rebuild has come.
    projection: Projection,
    /// Up to where the ledger was when the rebuild began.
    position: Position,
    /// The mark the client gave, returned.
    client_mutation_id: Option<String>,
}

/// What operators may do.
#[derive(Debug, Default)]
pub struct OperationMutations;

#[Object]
impl OperationMutations {
    /// Tries a parked message again, mended or as it is, then all that waits behind it.
    async fn retry_dead_letter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and its content if it was mended.")]
        input: RetryDeadLetterInput,
    ) -> Result<RetryDeadLetterPayload> {
        let letter = existing(ctx, &input.id).await?;
        if let Some(payload) = &input.payload {
            mend(ctx, &letter, payload).await?;
        }
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            let of = letter.blocks();
            let id = letter.letter_id();
            async move {
                retry(unit, id, &of.consumer, &of.key);
                Ok(((), None))
            }
            .boxed()
        })
        .await?;
        let Done { position, client_mutation_id, .. } = done;
        Ok(RetryDeadLetterPayload { dead_letter_id: input.id, position, client_mutation_id })
    }

    /// Throws a parked message away, then tries all that waits behind it.
    async fn discard_dead_letter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: DiscardDeadLetterInput,
    ) -> Result<DiscardDeadLetterPayload> {
        let letter = existing(ctx, &input.id).await?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            let of = letter.blocks();
            let id = letter.letter_id();
            async move {
                discard(unit, id, &of.consumer, &of.key);
                Ok(((), None))
            }
            .boxed()
        })
        .await?;
        let Done { position, client_mutation_id, .. } = done;
        Ok(DiscardDeadLetterPayload { dead_letter_id: input.id, position, client_mutation_id })
    }

    /// Fills a read model anew from the ledger, beside the live one, and swaps it in when it has
    /// caught up. Queries go on meanwhile.
    async fn rebuild_projection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which read model.")] input: RebuildProjectionInput,
    ) -> Result<RebuildProjectionPayload> {
        let services = ctx.services();
        services.reads.rebuild(&input.name).await.for_client()?;
        let mut statuses = services.reads.projections().await.for_client()?.into_iter();
        let status = if input.name == ALL {
            statuses.next().map(|first| ProjectionStatus { name: ALL, ..first })
        } else {
            statuses.find(|status| status.name == input.name)
        };
        let projection = Projection(status.ok_or_else(|| ids::not_found("projection"))?);
        let position = Position(services.ledger.head());
        let client_mutation_id = input.client_mutation_id;
        Ok(RebuildProjectionPayload { projection, position, client_mutation_id })
    }
}

async fn existing(ctx: &Context<'_>, id: &ID) -> Result<DeadLetter, ClientError> {
    let letter = dead_letter(ctx, ids::of(id, "id")?).await?;
    letter.ok_or_else(|| ids::not_found("dead letter"))
}

/// Puts an operator's content in place of a message's own.
async fn mend(ctx: &Context<'_>, letter: &DeadLetter, payload: &str) -> Result<(), ClientError> {
    let broken = |message: &str| {
        ClientError::new(ErrorCode::BadUserInput, message.to_owned()).on_field("payload")
    };
    if payload.len() > 64 * 1024 {
        return Err(broken("a message's content has at most 64 KiB"));
    }
    let parsed: serde_json::Value =
        serde_json::from_str(payload).map_err(|error| broken(&format!("not JSON: {error}")))?;
    if !parsed.is_object() {
        return Err(broken("a message's content is a JSON object"));
    }
    let letter = match &letter.0 {
        Parked::Post(letter) => letter,
        Parked::Library(_) => {
            return Err(ClientError::new(
                ErrorCode::FailedPrecondition,
                "an event that the read models cannot take in is history and cannot be mended: \
                 discard it, or give the server a way to read it",
            )
            .because("EVENT_IS_HISTORY"));
        }
    };
    let change = DeadLetterChange {
        payload_override: Some(Some(payload.to_owned())),
        ..DeadLetterChange::default()
    };
    if !ctx.services().ledger.update_dead_letter(letter.id, &change).await.for_client()? {
        return Err(ids::not_found("dead letter"));
    }
    Ok(())
}

/// A page of what is parked, in the order of the ledger, and whether there is
/// more after it and before it.
async fn parked(
    services: &Services,
    request: &PageRequest,
) -> Result<(Vec<DeadLetter>, bool, bool), ClientError> {
    let place = |key: &Option<Key>, field| match key {
        Some(place) => {
            let id: DeadLetterId = place.id.parse().for_field(field)?;
            Ok::<_, ClientError>(Some((message::Position(place.value), id)))
        }
        None => Ok(None),
    };
    let (after, before) = (place(&request.after, "after")?, place(&request.before, "before")?);
    // Both places are asked for a page and one more; of both the nearest are the page.
    let ledger = services.ledger.for_questions();
    let (count, post) = match request.take {
        Take::First(count) => {
            let page = DeadLetterPage { after, limit: count + 1 };
            (count, ledger.dead_letters(&DeadLetterFilter::default(), page).await)
        }
        Take::Last(count) => (count, ledger.dead_letters_before(before, count + 1).await),
    };
    let library = parked::list(&services.reads, request).await.for_client()?;
    let (mut has_next, mut has_previous) = (library.has_next, library.has_previous);
    let library = library.rows.into_iter().map(|(_, row)| DeadLetter(Parked::Library(row)));
    let post = post.for_client()?.into_iter().map(|letter| DeadLetter(Parked::Post(letter)));
    let at = |letter: &DeadLetter| (letter.position(), letter.letter_id());
    let mut letters: Vec<_> = post
        .filter(|letter| after.is_none_or(|after| at(letter) > after))
        .filter(|letter| before.is_none_or(|before| at(letter) < before))
        .chain(library)
        .collect();
    letters.sort_by_key(at);
    let surplus = letters.len().saturating_sub(count as usize);
    match request.take {
        Take::First(_) => {
            letters.truncate(count as usize);
            has_next |= surplus > 0;
        }
        Take::Last(_) => {
            letters.drain(..surplus);
            has_previous |= surplus > 0;
        }
    }
    Ok((letters, has_next, has_previous))
}

/// How often a subscriber is told how the read models stand, at most.
const PACE: Duration = Duration::from_millis(250);
/// How often it is looked whether messages were parked or let go: that is in
/// the database, and nobody announces it.
const LOOK: Duration = Duration::from_secs(1);

/// What operators may watch.
#[derive(Debug, Default)]
pub struct OperationSubscriptions;

#[Subscription]
impl OperationSubscriptions {
    /// What happened to anything: from the beginning, or from behind a cursor, then each new event.
    /// Nothing is missed and nothing comes twice, across reconnects too. Its cursors are those of
    /// `history`.
    async fn history_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<LedgerEventEdge>> + use<>> {
        let id: AnyId = id.parse().for_field("id")?;
        let live = Live::new(ctx, history_of(id));
        let after = live.after(after.as_ref())?;
        let ledger = ctx.services().ledger.for_questions();
        if ledger.read_stream(id, Version(0), 1).await.for_client()?.is_empty() {
            return Err(ids::not_found(id.kind.prefix()).into());
        }
        Ok(live::history(live, ledger, id, after).map(|item| {
            let (cursor, event) = item?;
            Ok(LedgerEventEdge { cursor, node: LedgerEvent(event) })
        }))
    }

    /// How each family of read models stands: now, and again as they move, at most four times a
    /// second.
    async fn projections_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Vec<Projection>>> + use<>> {
        let (reads, part) = (ctx.services().reads.clone(), ctx.part().clone());
        let look = move || {
            let reads = reads.clone();
            async move { reads.projections().await.for_client() }
        };
        Ok(standing(part, PACE, look).map(|stands| Ok(projections(stands?))))
    }

    /// The first hundred messages that are parked: now, and again whenever one of them is parked,
    /// tried, or gone, at most once a second.
    async fn dead_letters_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Vec<DeadLetter>>> + use<>> {
        let (services, part) = (ctx.services().clone(), ctx.part().clone());
        let look = move || {
            let services = services.clone();
            let first = PageRequest { take: Take::First(live::PAGE), after: None, before: None };
            async move { Ok(parked(&services, &first).await?.0) }
        };
        Ok(standing(part, LOOK, look).map(|stands| Ok(stands?)))
    }
}

/// How something stands: now, and again when it is found changed. It is looked
/// at once in a while, for all who watch it together.
fn standing<T, F>(
    part: Part,
    pace: Duration,
    look: impl Fn() -> F + Send,
) -> impl Stream<Item = Result<T, ClientError>>
where
    T: PartialEq + Clone + Send,
    F: Future<Output = Result<T, ClientError>> + Send,
{
    try_stream! {
        let mut sent = None;
        if !part.has_snapshot() {
            sent = Some(look().await?);
        }
        part.listens();
        let mut pace = tokio::time::interval(pace);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 1.. {
            pace.tick().await;
            let stands = match look().await {
                Ok(stands) => stands,
                // Who watches has lost nothing yet, and is told when it can be seen again.
                Err(error) if sent.is_some() => {
                    warn!(code = %error.code, "a subscription waits for the database");
                    continue;
                }
                Err(error) => Err(error)?,
            };
            if sent.as_ref() != Some(&stands) {
                sent = Some(stands.clone());
                if !part.has_snapshot() {
                    // Each takes the place of the one before it.
                    part.mark(Mark { of: Some(Uuid::nil()), position: number, done: 0 });
                }
                yield stands;
            }
            if !part.has_changes() {
                part.complete(0);
                break;
            }
        }
    }
}
