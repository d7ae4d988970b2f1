//! Sagas, step by step.

use async_graphql::{
    Context, Description, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription,
};
use futures_util::{FutureExt, Stream, StreamExt};
use mallbots_domain::{
    id::{OrderId, SagaId},
    saga::SagaState as State,
};
use mallbots_messaging::sagas::retry;
use mallbots_projections::{
    sagas::{self, SagaRow, SagaStep as StepDetails, SagaStepState as StepState},
    timeline::{TimelineKind, TimelineRow},
};

use super::{
    connection::{Paging, connection, cut},
    ids,
    mutate::{mutate, payload},
    orders::{Order, known, order, timeline_feed},
    scalars::{Cursor, DateTime},
    services::ContextExt,
};
use crate::error::{ClientError, ForClient};

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "State")]
pub enum SagaState {
    /// It goes forward.
    Running,
    /// It goes back, undoing what it did.
    Compensating,
    /// It arrived.
    Completed,
    /// It is back where it began.
    Compensated,
    /// It waits for an operator: `retrySaga` lets it go on.
    Stuck,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "StepState")]
pub enum SagaStepState {
    /// Its turn has not come.
    Waiting,
    /// It was asked for.
    Running,
    /// It was done.
    Succeeded,
    /// The context said no.
    Refused,
    /// It will be tried again.
    Retrying,
    /// It is being undone.
    Compensating,
    /// It was undone.
    Compensated,
    /// The saga turned back before it.
    Skipped,
    /// It needs an operator.
    Stuck,
}

/// A long process over several contexts.
#[derive(Debug, Clone, Description)]
pub struct Saga(pub SagaRow);

#[Object(use_type_description)]
impl Saga {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What it is called: `create_order` or `cancel_order`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands.
    async fn state(&self) -> SagaState {
        self.0.state.0.into()
    }

    /// The order it is about.
    async fn order(&self, ctx: &Context<'_>) -> Result<Order> {
        let order = order(ctx, *self.0.order_id).await?;
        Ok(order.ok_or_else(|| ids::not_found("order"))?)
    }

    /// When it began.
    async fn started_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it arrived, or was back where it began.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }

    /// Its steps, in order.
    async fn steps(&self) -> Vec<SagaStep> {
        self.0.steps.iter().cloned().map(SagaStep).collect()
    }

    /// Why it turned back: a stable name, such as `CUSTOMER_DISABLED`.
    async fn refusal(&self) -> Option<&str> {
        self.0.refusal.as_deref()
    }
}

/// A step of a saga.
#[derive(Debug, Clone, Description)]
pub struct SagaStep(pub StepDetails);

#[Object(use_type_description)]
impl SagaStep {
    /// What it is called, such as `AuthorizeCustomer`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands.
    async fn state(&self) -> SagaStepState {
        self.0.state.into()
    }

    /// How often it was tried in the direction the saga last went.
    async fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// When it was first tried in that direction.
    async fn started_at(&self) -> Option<DateTime> {
        self.0.started_at.map(DateTime)
    }

    /// When it was done, refused, undone or skipped.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }

    /// When it will be tried again.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }

    /// Why it was refused or has to be tried again: a stable name.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
}

/// Something that happened to a saga, as it was at that moment.
#[derive(Debug, Clone, Description)]
pub struct SagaProgress {
    cursor: Cursor,
    row: TimelineRow,
}

#[Object(use_type_description)]
impl SagaProgress {
    /// Its place: send it as `after` to go on behind it.
    async fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// Where the saga stood then.
    async fn state(&self) -> SagaState {
        self.row.saga_state.as_ref().map_or(State::Running, |state| state.0).into()
    }

    /// The step it is about, as it stood then.
    async fn step(&self) -> Option<SagaStep> {
        self.row.saga_step.as_ref().map(|step| SagaStep((**step).clone()))
    }

    /// The saga as it is now.
    async fn saga(&self, ctx: &Context<'_>) -> Result<Saga> {
        let id = match &self.row.saga_id {
            Some(id) => **id,
            None => self.row.order_id.create_saga(),
        };
        Ok(saga(ctx, id).await?.ok_or_else(|| ids::not_found("saga"))?)
    }
}

connection!(SagaConnection, SagaEdge, Saga, "sagas");

/// How many sagas are in a state.
#[derive(Debug, SimpleObject)]
pub struct SagaStateCount {
    /// The state.
    state: SagaState,
    /// How many.
    count: i32,
}

const SAGAS: &str = "sagas";

/// What may be asked about sagas.
#[derive(Debug, Default)]
pub struct SagaQueries;

#[Object]
impl SagaQueries {
    /// A saga.
    async fn saga(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The saga's id.")] id: ID,
    ) -> Result<Option<Saga>> {
        let saga = saga(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(saga.ok_or_else(|| ids::not_found("saga"))?))
    }

    /// Sagas, newest first.
    async fn sagas(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only sagas in one of these states.")] states: Option<Vec<SagaState>>,
    ) -> Result<SagaConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, SAGAS)?;
        let states: Option<Vec<State>> =
            states.map(|states| states.into_iter().map(Into::into).collect());
        let reads = &ctx.services().reads;
        let page = sagas::list(reads, states.as_deref(), &request).await.for_client()?;
        Ok(cut(page, key, SAGAS, Saga).into())
    }

    /// How many sagas are in each state. Every state is listed.
    async fn saga_state_counts(&self, ctx: &Context<'_>) -> Result<Vec<SagaStateCount>> {
        let counts = sagas::state_counts(&ctx.services().reads).await.for_client()?;
        let count = |state: State| {
            let found = counts.iter().find(|(counted, _)| *counted == state);
            i32::try_from(found.map_or(0, |(_, count)| *count)).unwrap_or(i32::MAX)
        };
        let all = <SagaState as async_graphql::resolver_utils::EnumType>::items();
        Ok(all
            .iter()
            .map(|item| SagaStateCount { state: item.value, count: count(item.value.into()) })
            .collect())
    }
}

/// A stuck saga that is to go on.
#[derive(Debug, InputObject)]
pub struct RetrySagaInput {
    /// Which saga.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of letting a stuck saga go on.
    RetrySagaPayload {
        /// The saga; null if it is not in the read model yet.
        saga: Saga
    }
}

/// What operators may do to sagas.
#[derive(Debug, Default)]
pub struct SagaMutations;

#[Object]
impl SagaMutations {
    /// Lets a stuck saga go on: the step it is stuck at is tried again now.
    async fn retry_saga(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which saga.")] input: RetrySagaInput,
    ) -> Result<RetrySagaPayload> {
        let id: SagaId = ids::of(&input.id, "id")?;
        let options = ctx.services().settings.sagas;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((retry(unit, id, options).await?, None)) }.boxed()
        })
        .await?;
        Ok(RetrySagaPayload::new(done, saga(ctx, id).await?))
    }
}

async fn saga(ctx: &Context<'_>, id: SagaId) -> Result<Option<Saga>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Saga))
}

/// What may be watched of sagas.
#[derive(Debug, Default)]
pub struct SagaSubscriptions;

#[Subscription]
impl SagaSubscriptions {
    /// Everything an order's sagas do, step by step: from the beginning, or from behind a cursor,
    /// then each new thing.
    async fn saga_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] order_id: ID,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<SagaProgress>> + use<>> {
        let id: OrderId = ids::of(&order_id, "orderId")?;
        known(ctx, id).await?;
        let items = timeline_feed(ctx, id, Some(TimelineKind::Saga), after.as_ref())?;
        Ok(items.map(|item| {
            let (cursor, row) = item?;
            Ok(SagaProgress { cursor, row })
        }))
    }
}
