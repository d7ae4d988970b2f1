//! Sagas, step by step, as they stand.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, EntityId, OrderId, SagaId},
    saga::{Definition, Direction, SagaEvent, SagaState, Steps, Try},
};
use mallbots_eventstore::metrics::seconds_since;
use sea_orm::{FromQueryResult, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

pub use self::Model as SagaRow;
use crate::{
    column::{Json, Text},
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// A saga.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "sagas")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<SagaId>,
    /// The order it is about.
    pub order_id: Text<OrderId>,
    /// What it is called, such as `create_order`.
    pub name: String,
    /// Where it stands.
    pub state: Text<SagaState>,
    /// Its steps, in order.
    pub steps: Json<Vec<SagaStep>>,
    /// Why it turned back: the stable name of the refusal.
    pub refusal: Option<String>,
    /// When it arrived, or was back where it began.
    pub ended_at: Option<i64>,
    /// How many of its events the row knows.
    pub version: i64,
    /// The ledger position of the last of them.
    pub position: i64,
    /// When it began.
    pub created_at: i64,
    /// When the last of its events was recorded.
    pub updated_at: i64,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

row!(SagaId);

impl Projection for Entity {
    type Event = SagaEvent;

    fn fold(row: &mut Option<Model>, event: SagaEvent, of: &Occurred) -> Result<(), Misfit> {
        let Some(saga) = row else {
            let SagaEvent::SagaStarted { saga } = event else { return Err(Misfit::OutOfPlace) };
            *row = Some(Model {
                id: Text(of.id()),
                order_id: Text(saga.order_id()),
                name: saga.name().to_owned(),
                state: Text(SagaState::Running),
                steps: Json(begin(&saga, of.at)),
                refusal: None,
                ended_at: None,
                version: of.version,
                position: of.position,
                created_at: of.at,
                updated_at: of.at,
            });
            return Ok(());
        };
        match event {
            SagaEvent::SagaStarted { .. } => return Err(Misfit::OutOfPlace),
            SagaEvent::StepStarted { of: attempt } => {
                saga.state = Text(walking(attempt.direction));
                saga.at_step(&attempt.step, |step| step.start(&attempt, of.at));
            }
            SagaEvent::StepSucceeded { of: attempt } => {
                saga.at_step(&attempt.step, |step| step.end(SagaStepState::Succeeded, of.at));
            }
            SagaEvent::StepRefused { of: attempt, reason, message: _ } => {
                saga.at_step(&attempt.step, |step| {
                    step.end(SagaStepState::Refused, of.at);
                    step.reason = Some(reason);
                });
            }
            SagaEvent::StepTimedOut { of: attempt } => {
                saga.at_step(&attempt.step, |step| step.reason = Some(NO_ANSWER.to_owned()));
            }
            SagaEvent::StepRetried { of: attempt, at } => {
                saga.state = Text(walking(attempt.direction));
                saga.at_step(&attempt.step, |step| {
                    step.state = SagaStepState::Retrying;
                    step.ended_at = None;
                    step.next_attempt_at = Some(at);
                });
            }
            SagaEvent::CompensationStarted { reason } => {
                saga.state = Text(SagaState::Compensating);
                saga.refusal = Some(reason);
                saga.steps.0.iter_mut().for_each(|step| step.pass_over(of.at));
            }
            SagaEvent::StepCompensated { of: attempt } => {
                saga.at_step(&attempt.step, |step| step.end(SagaStepState::Compensated, of.at));
            }
            SagaEvent::SagaCompleted {} => {
                saga.state = Text(SagaState::Completed);
                saga.ended_at = Some(of.at);
            }
            SagaEvent::SagaCompensated { reason } => {
                saga.state = Text(SagaState::Compensated);
                saga.refusal = Some(reason);
                saga.ended_at = Some(of.at);
            }
            SagaEvent::SagaStuck { of: attempt, reason } => {
                saga.state = Text(SagaState::Stuck);
                saga.at_step(&attempt.step, |step| {
                    step.state = SagaStepState::Stuck;
                    step.ended_at = None;
                    step.next_attempt_at = None;
                    step.reason = Some(reason);
                });
            }
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.order_id.any()]
    }
}

/// How long a saga took, or a step of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Took {
    /// What the saga is called.
    pub(crate) saga: String,
    /// Which step; nothing if it is the saga itself.
    pub(crate) step: Option<String>,
    /// How it ended.
    pub(crate) outcome: &'static str,
    /// From its start to its end, in seconds.
    pub(crate) seconds: f64,
}

/// What ends with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    step: Option<String>,
    outcome: &'static str,
}

impl End {
    /// What ends with this event, if anything does.
    pub(crate) fn of(event: &SagaEvent) -> Option<Self> {
        let step = |of: &Try, outcome| Some(Self { step: Some(of.step.clone()), outcome });
        match event {
            SagaEvent::StepSucceeded { of } => step(of, "succeeded"),
            SagaEvent::StepRefused { of, .. } => step(of, "refused"),
            SagaEvent::StepCompensated { of } => step(of, "compensated"),
            SagaEvent::SagaCompleted {} => Some(Self { step: None, outcome: "completed" }),
            SagaEvent::SagaCompensated { .. } => Some(Self { step: None, outcome: "compensated" }),
            SagaEvent::SagaStarted { .. }
            | SagaEvent::StepStarted { .. }
            | SagaEvent::StepTimedOut { .. }
            | SagaEvent::StepRetried { .. }
            | SagaEvent::CompensationStarted { .. }
            | SagaEvent::SagaStuck { .. } => None,
        }
    }

    /// How long that took of a saga which has just taken the event in.
    pub(crate) fn took(self, saga: &Model) -> Option<Took> {
        let Self { step, outcome } = self;
        let began = match &step {
            Some(step) => saga.step(step)?.started_at?,
            None => saga.created_at,
        };
        let seconds = seconds_since(began, saga.updated_at);
        Some(Took { saga: saga.name.clone(), step, outcome, seconds })
    }
}

/// How many sagas of a name are in a state, and since when.
#[derive(Debug, Clone, FromQueryResult)]
pub struct SagasStanding {
    /// What they are called.
    pub name: String,
    /// Where they stand.
    pub state: Text<SagaState>,
    /// How many.
    pub sagas: i64,
    /// When the oldest of them began, in microseconds since the Unix epoch.
    pub since: i64,
}

/// The sagas that have not ended, by name and state.
pub async fn standing(reads: &Reads) -> Result<Vec<SagasStanding>, ReadError> {
    let open = [SagaState::Running, SagaState::Compensating, SagaState::Stuck];
    Ok(Entity::find()
        .select_only()
        .column(Column::Name)
        .column(Column::State)
        .column_as(Column::Id.count(), "sagas")
        .column_as(Column::CreatedAt.min(), "since")
        .filter(Column::State.is_in(open.map(Text)))
        .group_by(Column::Name)
        .group_by(Column::State)
        .into_model()
        .all(reads.db())
        .await?)
}

/// Why a step is tried again that nobody answered.
const NO_ANSWER: &str = "NO_ANSWER";

impl Model {
    /// A step, by its name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&SagaStep> {
        self.steps.iter().find(|step| step.name == name)
    }

    fn at_step(&mut self, name: &str, change: impl FnOnce(&mut SagaStep)) {
        if let Some(step) = self.steps.0.iter_mut().find(|step| step.name == name) {
            change(step);
        }
    }
}

impl SagaStep {
    fn start(&mut self, attempt: &Try, at: i64) {
        // The first try in either direction begins anew; a later one goes on.
        if attempt.attempt == 1 || self.started_at.is_none() {
            self.started_at = Some(at);
            self.reason = None;
        }
        self.state = match attempt.direction {
            Direction::Forward => SagaStepState::Running,
            Direction::Backward => SagaStepState::Compensating,
        };
        self.attempts = attempt.attempt;
        self.ended_at = None;
        self.next_attempt_at = None;
    }

    fn end(&mut self, state: SagaStepState, at: i64) {
        self.state = state;
        self.ended_at = Some(at);
        self.next_attempt_at = None;
        self.reason = None;
    }

    /// The saga turns back. What has not ended by itself will not any more: it
    /// is undone if it can be, and otherwise left.
    fn pass_over(&mut self, at: i64) {
        match self.state {
            SagaStepState::Waiting
            | SagaStepState::Running
            | SagaStepState::Retrying
            | SagaStepState::Stuck => self.end(SagaStepState::Skipped, at),
            SagaStepState::Succeeded
            | SagaStepState::Refused
            | SagaStepState::Compensating
            | SagaStepState::Compensated
            | SagaStepState::Skipped => {}
        }
    }
}

const fn walking(direction: Direction) -> SagaState {
    match direction {
        Direction::Forward => SagaState::Running,
        Direction::Backward => SagaState::Compensating,
    }
}

/// The steps of a saga that begins. Those that ask for nothing were done before.
fn begin(saga: &Definition, at: i64) -> Vec<SagaStep> {
    match saga {
        Definition::CreateOrder(saga) => steps(saga, at),
        Definition::CancelOrder(saga) => steps(saga, at),
    }
}

fn steps<S: Steps>(saga: &S, at: i64) -> Vec<SagaStep> {
    let step = |&step| {
        let mut row = SagaStep {
            name: S::name(step).to_owned(),
            state: SagaStepState::Waiting,
            attempts: 0,
            started_at: None,
            ended_at: None,
            next_attempt_at: None,
            reason: None,
        };
        if saga.action(step).is_none() {
            row.started_at = Some(at);
            row.end(SagaStepState::Succeeded, at);
        }
        row
    };
    S::STEPS.iter().map(step).collect()
}

/// A step of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaStep {
    /// What it is called, such as `AuthorizeCustomer`.
    pub name: String,
    /// Where it stands.
    pub state: SagaStepState,
    /// How often it was tried in the direction the saga last went.
    pub attempts: u32,
    /// When it was first tried in that direction.
    pub started_at: Option<i64>,
    /// When it was done, refused, undone or skipped.
    pub ended_at: Option<i64>,
    /// When it will be tried again.
    pub next_attempt_at: Option<i64>,
    /// Why it was refused or has to be tried again: a stable name.
    pub reason: Option<String>,
}

/// Where a step of a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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

/// A saga.
pub async fn by_id(reads: &Reads, id: SagaId) -> Result<Option<SagaRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several sagas.
pub async fn by_ids(reads: &Reads, ids: &[SagaId]) -> Result<HashMap<SagaId, SagaRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// The latest saga of each of several orders: the one that undoes it where
/// there is one, else the one that accepts it.
pub async fn latest_of_orders(
    reads: &Reads,
    order_ids: &[OrderId],
) -> Result<HashMap<OrderId, SagaRow>, ReadError> {
    let ids: Vec<SagaId> =
        order_ids.iter().flat_map(|id| [id.create_saga(), id.cancel_saga()]).collect();
    let mut sagas = by_ids(reads, &ids).await?;
    Ok(order_ids
        .iter()
        .filter_map(|id| {
            let saga =
                sagas.remove(&id.cancel_saga()).or_else(|| sagas.remove(&id.create_saga()))?;
            Some((*id, saga))
        })
        .collect())
}

/// Sagas in these states, or all, newest first.
pub async fn list(
    reads: &Reads,
    states: Option<&[SagaState]>,
    request: &PageRequest,
) -> Result<Page<SagaRow>, ReadError> {
    let mut select = Entity::find();
    if let Some(states) = states {
        select = select.filter(Column::State.is_in(states.iter().copied().map(Text)));
    }
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Down };
    page::page(reads, select, sort, request).await
}

/// How many sagas are in each state. States without sagas are missing from the
/// answer.
pub async fn state_counts(reads: &Reads) -> Result<Vec<(SagaState, u64)>, ReadError> {
    #[derive(FromQueryResult)]
    struct Counted {
        state: Text<SagaState>,
        sagas: i64,
    }

    let counted = Entity::find()
        .select_only()
        .column(Column::State)
        .column_as(Column::Id.count(), "sagas")
        .group_by(Column::State)
        .into_model::<Counted>()
        .all(reads.db())
        .await?;
    Ok(counted
        .into_iter()
        .map(|counted| (*counted.state, counted.sagas.try_into().unwrap_or_default()))
        .collect())
}
