//! The saga runner: one generic engine for every saga of the domain.
//!
//! It hears what begins a saga, what contexts answer and which timers are due,
//! lets the saga decide, and appends the saga's events together with the next
//! command and timer. A crash before the append leaves the message to be read
//! again; a crash after it leaves everything done.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::{
    aggregate::Aggregate,
    event::DomainEvent,
    id::{EntityId, Kind, OrderId, SagaId},
    ordering::OrderEvent,
    saga::{Definition, FollowUp, Saga, SagaEvent, SagaInput, Try},
    sagas::{cancel_order::CancelOrder, create_order::CreateOrder},
};
use mallbots_eventstore::{
    append::{Timer, TimerChange},
    error::CommandError,
    ledger::Ledger,
    message::{MessageKind, Metadata, Recorded},
    trace::{Span, SpanKind},
    unit::Unit,
};
use tracing::debug;
use uuid::Uuid;

use crate::{
    consumer::{Delivery, Failure, Handler, chain, outcome, undecodable},
    contexts::settled,
    envelope::{self, ReplyEnvelope, TimerEnvelope},
    inbound::encoding,
    retry::Backoff,
};

const TIMER: &str = "step";
/// Why a create-order saga turns back when its order is called off.
const ORDER_CANCELED: &str = "ORDER_CANCELED";

/// How patient sagas are.
#[derive(Debug, Clone, Copy)]
pub struct SagaOptions {
    /// How long a step may take before it is asked for again.
    pub step_timeout: Duration,
    /// How often a step is tried before the saga is stuck.
    pub attempts: u32,
    /// The waits between.
    pub backoff: Backoff,
}

impl Default for SagaOptions {
    fn default() -> Self {
        Self {
            step_timeout: Duration::from_secs(30),
            attempts: 8,
            backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(1) },
        }
    }
}

/// The consumer that runs sagas.
#[derive(Debug, Clone)]
pub struct Sagas {
    ledger: Ledger,
    options: SagaOptions,
}

impl Sagas {
    /// The runner over this ledger.
    #[must_use]
    pub const fn new(ledger: Ledger, options: SagaOptions) -> Self {
        Self { ledger, options }
    }
}

impl Handler for Sagas {
    fn name(&self) -> &'static str {
        Saga::CONTEXT
    }

    /// Everything about one order is handled in order: both its sagas too.
    fn key(&self, message: &Recorded) -> Option<Uuid> {
        let saga = || message.stream.expect::<SagaId>().ok().map(|id| id.order().uuid());
        match message.kind {
            MessageKind::Event => {
                (message.stream.kind == Kind::Order).then_some(message.stream.uuid)
            }
            MessageKind::Reply => saga(),
            MessageKind::Command if message.context() == Saga::CONTEXT => saga(),
            MessageKind::Command => None,
        }
    }

    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let heard = self.hear(&delivery.message)?;
            let Some(heard) = heard else { return Ok(()) };
            let metadata = delivery
                .message
                .metadata()
                .map_err(|error| undecodable(&error))?
                .caused_by("saga", delivery.message.message_id);
            let (mut span, metadata) = heard.traced(metadata);
            let (options, heard) = (self.options, &heard);
            let committed = self
                .ledger
                .transact(&metadata, |unit| {
                    async move {
                        act(unit, heard.clone(), options).await?;
                        if !unit.is_empty() {
                            delivery.accept(unit);
                        }
                        Ok(())
                    }
                    .boxed()
                })
                .await;
            if committed.is_err() {
                span.fail("failed");
            }
            outcome(committed)
        }
        .boxed()
    }
}

/// What a message means to the runner.
#[derive(Debug, Clone)]
enum Heard {
    Created(CreateOrder),
    Canceled(CancelOrder),
    Said { saga: SagaId, input: SagaInput },
}

impl Heard {
    /// A span of what the saga makes of it, and what is recorded with that.
    fn traced(&self, metadata: Metadata) -> (Span, Metadata) {
        let mut span = metadata.follow(SpanKind::Internal, || "saga step");
        if !span.is_recording() {
            return (span, metadata);
        }
        let (heard, of) = match self {
            Self::Created(_) => ("created", None),
            Self::Canceled(_) => ("canceled", None),
            Self::Said { input, .. } => match input {
                SagaInput::Start { .. } => ("start", None),
                SagaInput::Replied { of, .. } => ("replied", Some(of)),
                SagaInput::TimedOut { of, .. } => ("timed out", Some(of)),
                SagaInput::Due { of } => ("due", Some(of)),
                SagaInput::TurnBack { .. } => ("turn back", None),
                SagaInput::Retry { .. } => ("retry", None),
            },
        };
        span.set("saga.heard", heard);
        if let Some(of) = of {
            span.set("saga.step", of.step.clone());
            span.set("saga.attempt", of.attempt);
        }
        let traceparent = span.traceparent();
        (span, Metadata { traceparent, ..metadata })
    }
}

impl Sagas {
    fn hear(&self, message: &Recorded) -> Result<Option<Heard>, Failure> {
        match message.kind {
            MessageKind::Event => of_event(&self.ledger, message),
            MessageKind::Reply => {
                let ReplyEnvelope { of, outcome } = decode(message)?;
                let retry_at = self.retry_at(&of);
                said(message, SagaInput::Replied { of, outcome, retry_at })
            }
            MessageKind::Command if message.name == envelope::TIMED_OUT => {
                let TimerEnvelope { of } = decode(message)?;
                let retry_at = self.retry_at(&of);
                said(message, SagaInput::TimedOut { of, retry_at })
            }
            MessageKind::Command if message.name == envelope::DUE => {
                let TimerEnvelope { of } = decode(message)?;
                said(message, SagaInput::Due { of })
            }
            MessageKind::Command => {
                Err(Failure::Poison(format!("sagas do not know {}", message.name)))
            }
        }
    }

    fn retry_at(&self, of: &Try) -> Option<i64> {
        let wait = self.options.backoff.after(of.attempt);
        (of.attempt < self.options.attempts).then(|| self.ledger.now() + envelope::micros(wait))
    }
}

fn said(message: &Recorded, input: SagaInput) -> Result<Option<Heard>, Failure> {
    let saga = message.stream.expect().map_err(|error| Failure::Poison(error.to_string()))?;
    Ok(Some(Heard::Said { saga, input }))
}

fn of_event(ledger: &Ledger, message: &Recorded) -> Result<Option<Heard>, Failure> {
    let event = ledger.decode(message).map_err(|error| Failure::Poison(chain(&error)))?;
    let DomainEvent::Order(event) = event else { return Ok(None) };
    let order_id: OrderId =
        message.stream.expect().map_err(|error| Failure::Poison(error.to_string()))?;
    Ok(match event {
        OrderEvent::OrderCreated { customer_id, payment_id, items, total, customer_name: _ } => {
            Some(Heard::Created(CreateOrder { order_id, customer_id, payment_id, items, total }))
        }
        OrderEvent::OrderCanceled { payment_id, .. } => {
            Some(Heard::Canceled(CancelOrder { order_id, payment_id }))
        }
        OrderEvent::OrderApproved { .. }
        | OrderEvent::OrderRejected { .. }
        | OrderEvent::OrderStarted {}
        | OrderEvent::OrderReadied { .. }
        | OrderEvent::OrderCompleted { .. } => None,
    })
}

fn decode<T: serde::de::DeserializeOwned>(message: &Recorded) -> Result<T, Failure> {
    serde_json::from_str(&message.payload).map_err(|error| undecodable(&error))
}

async fn act(unit: &mut Unit<'_>, heard: Heard, options: SagaOptions) -> Result<(), CommandError> {
    match heard {
        Heard::Created(saga) => start(unit, Definition::CreateOrder(saga), options).await,
        Heard::Said { saga, input } => settled(step(unit, saga, input, options).await),
        Heard::Canceled(cancel) => {
            let creating = cancel.order_id.create_saga();
            match unit.load::<Saga>(creating).await? {
                // It still goes forward, or waits for an operator: undo what it did.
                Saga::Underway(_) => {
                    let input = SagaInput::TurnBack { reason: ORDER_CANCELED.to_owned() };
                    settled(step(unit, creating, input, options).await)
                }
                Saga::Completed | Saga::NotStarted => {
                    start(unit, Definition::CancelOrder(cancel), options).await
                }
                Saga::Compensated => {
                    debug!("the order was undone before it was called off");
                    Ok(())
                }
            }
        }
    }
}

async fn start(
    unit: &mut Unit<'_>,
    definition: Definition,
    options: SagaOptions,
) -> Result<(), CommandError> {
    let id = definition.id();
    settled(step(unit, id, SagaInput::Start { definition }, options).await)
}

/// Lets a saga decide and writes what follows: its events, its next command,
/// its timer.
async fn step(
    unit: &mut Unit<'_>,
    id: SagaId,
    input: SagaInput,
    options: SagaOptions,
) -> Result<(), CommandError> {
    let events: Vec<SagaEvent> = unit.decide::<Saga>(id, input).await?;
    let saga = unit.load::<Saga>(id).await?;
    let mut timer = None;
    for follow_up in saga.follow_ups(&events) {
        timer = Some(match follow_up {
            FollowUp::Send { of, command } => {
                unit.send(envelope::command(id, &of, command).map_err(encoding)?);
                let due_at = unit.now() + envelope::micros(options.step_timeout);
                wind(id, due_at, envelope::TIMED_OUT, &of)?
            }
            FollowUp::WakeAt { of, at } => wind(id, at, envelope::DUE, &of)?,
            FollowUp::Rest => TimerChange::Clear { owner: id.any(), name: TIMER },
        });
    }
    if let Some(timer) = timer {
        unit.timer(timer);
    }
    Ok(())
}

fn wind(
    id: SagaId,
    due_at: i64,
    name: &'static str,
    of: &Try,
) -> Result<TimerChange, CommandError> {
    let message = envelope::timer(id, name, of).map_err(encoding)?;
    Ok(TimerChange::Set(Timer { owner: id.any(), name: TIMER, due_at, message }))
}

/// Lets a stuck saga go on: an operator has mended what was in its way.
pub async fn retry(
    unit: &mut Unit<'_>,
    id: SagaId,
    options: SagaOptions,
) -> Result<(), CommandError> {
    let now = unit.now();
    step(unit, id, SagaInput::Retry { now }, options).await
}
