//! How a long process walks through its steps, forward and, when a context
//! says no, back.
//!
//! A saga's state is itself a stream of events. What the saga says to the
//! contexts follows from those events (`follow_ups`), so the runner only
//! appends both together. Replies carry step, direction and attempt: one that
//! comes late or twice finds the saga elsewhere and changes nothing.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    baskets::Item,
    id::{
        AnyId, CustomerId, EntityId, InvoiceId, Kind, OrderId, PaymentId, SagaId, ShoppingListId,
    },
    money::Money,
    sagas::{cancel_order::CancelOrder, create_order::CreateOrder},
};

/// A list of steps: what each asks for and what takes it back.
pub trait Steps {
    /// What the saga is called, in `snake_case`. Part of history.
    const NAME: &'static str;
    /// Its steps, in order.
    const STEPS: &'static [Self::Step];
    /// The saga's own closed set of steps.
    type Step: Copy + 'static;

    /// What a step is called, in `PascalCase`. Part of history.
    fn name(step: Self::Step) -> &'static str;
    /// What a step asks for; `None` for what was done before the saga began.
    fn action(&self, step: Self::Step) -> Option<SagaCommand>;
    /// What takes a step back; `None` where nothing needs to be.
    fn compensation(&self, step: Self::Step, reason: &str) -> Option<SagaCommand>;
}

/// A saga of the mall with the facts it works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Definition {
    /// Accepts an order, or turns it down.
    CreateOrder(CreateOrder),
    /// Undoes an accepted order.
    CancelOrder(CancelOrder),
}

impl Definition {
    /// What the saga is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateOrder(_) => CreateOrder::NAME,
            Self::CancelOrder(_) => CancelOrder::NAME,
        }
    }

    /// The order it is about.
    #[must_use]
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::CreateOrder(saga) => saga.order_id,
            Self::CancelOrder(saga) => saga.order_id,
        }
    }

    /// The id of this saga for its order.
    #[must_use]
    pub const fn id(&self) -> SagaId {
        match self {
            Self::CreateOrder(saga) => saga.order_id.create_saga(),
            Self::CancelOrder(saga) => saga.order_id.cancel_saga(),
        }
    }

    /// The names of its steps, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<&'static str> {
        match self {
            Self::CreateOrder(_) => names::<CreateOrder>(),
            Self::CancelOrder(_) => names::<CancelOrder>(),
        }
    }

    fn action(&self, step: usize) -> Option<SagaCommand> {
        match self {
            Self::CreateOrder(saga) => saga.action(*CreateOrder::STEPS.get(step)?),
            Self::CancelOrder(saga) => saga.action(*CancelOrder::STEPS.get(step)?),
        }
    }

    fn compensation(&self, step: usize, reason: &str) -> Option<SagaCommand> {
        match self {
            Self::CreateOrder(saga) => saga.compensation(*CreateOrder::STEPS.get(step)?, reason),
            Self::CancelOrder(saga) => saga.compensation(*CancelOrder::STEPS.get(step)?, reason),
        }
    }

    /// The first step from here on that asks for something.
    fn forward_from(&self, step: usize) -> Option<usize> {
        (step..self.steps().len()).find(|&step| self.action(step).is_some())
    }

    /// The last step before this one that needs to be taken back.
    fn backward_before(&self, step: usize) -> Option<usize> {
        (0..step).rev().find(|&step| self.compensation(step, "").is_some())
    }

    fn can_turn_back(&self) -> bool {
        self.backward_before(self.steps().len()).is_some()
    }
}

fn names<S: Steps>() -> Vec<&'static str> {
    S::STEPS.iter().copied().map(S::name).collect()
}

/// Which way a saga walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Step by step to the end.
    Forward,
    /// Back, undoing.
    Backward,
}

/// Which try of which step a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Try {
    /// The step's name.
    pub step: String,
    /// Whether it is done or undone.
    pub direction: Direction,
    /// From 1.
    pub attempt: u32,
}

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SagaState {
    /// Going forward.
    Running,
    /// Going back.
    Compensating,
    /// Arrived.
    Completed,
    /// Back where it began.
    Compensated,
    /// Waiting for an operator.
    Stuck,
}

impl SagaState {
    /// The state's name as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Compensating => "COMPENSATING",
            Self::Completed => "COMPLETED",
            Self::Compensated => "COMPENSATED",
            Self::Stuck => "STUCK",
        }
    }
}

/// What a saga asks of a context. Sent as a command message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SagaCommand {
    /// May this customer place this order?
    AuthorizeCustomer {
        /// Who.
        customer_id: CustomerId,
        /// What.
        order_id: OrderId,
    },
    /// Write the shopping list of an order.
    CreateShoppingList {
        /// The list.
        list_id: ShoppingListId,
        /// The order.
        order_id: OrderId,
        /// What is ordered.
        items: Vec<Item>,
    },
    /// Let bots take the list.
    InitiateShopping {
        /// The list.
        list_id: ShoppingListId,
    },
    /// Tear the list up and free its bot.
    CancelShoppingList {
        /// The list.
        list_id: ShoppingListId,
    },
    /// Bind a payment to an order.
    ConfirmPayment {
        /// The payment.
        payment_id: PaymentId,
        /// The order.
        order_id: OrderId,
        /// Who ordered.
        customer_id: CustomerId,
        /// What the order costs.
        amount: Money,
    },
    /// Give a payment back: release it, or refund it when it was captured.
    ReleasePayment {
        /// The payment.
        payment_id: PaymentId,
        /// The order.
        order_id: OrderId,
    },
    /// Accept the order.
    ApproveOrder {
        /// The order.
        order_id: OrderId,
        /// Its list.
        list_id: ShoppingListId,
    },
    /// Turn the order down.
    RejectOrder {
        /// The order.
        order_id: OrderId,
        /// The stable name of the refusal that is the reason.
        reason: String,
    },
    /// Withdraw the order's invoice, if there is one.
    CancelInvoice {
        /// The invoice.
        invoice_id: InvoiceId,
    },
}

impl SagaCommand {
    /// The context it is for: the first half of its message name.
    #[must_use]
    pub const fn context(&self) -> &'static str {
        match self {
            Self::AuthorizeCustomer { .. } => crate::customers::Customer::CONTEXT,
            Self::CreateShoppingList { .. }
            | Self::InitiateShopping { .. }
            | Self::CancelShoppingList { .. } => crate::depot::shopping_list::ShoppingList::CONTEXT,
            Self::ConfirmPayment { .. }
            | Self::ReleasePayment { .. }
            | Self::CancelInvoice { .. } => crate::payments::payment::Payment::CONTEXT,
            Self::ApproveOrder { .. } | Self::RejectOrder { .. } => crate::ordering::Order::CONTEXT,
        }
    }

    /// The aggregate it is about.
    #[must_use]
    pub fn target(&self) -> AnyId {
        match self {
            Self::AuthorizeCustomer { customer_id, .. } => customer_id.any(),
            Self::CreateShoppingList { list_id, .. }
            | Self::InitiateShopping { list_id }
            | Self::CancelShoppingList { list_id } => list_id.any(),
            Self::ConfirmPayment { payment_id, .. } | Self::ReleasePayment { payment_id, .. } => {
                payment_id.any()
            }
            Self::ApproveOrder { order_id, .. } | Self::RejectOrder { order_id, .. } => {
                order_id.any()
            }
            Self::CancelInvoice { invoice_id } => invoice_id.any(),
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Succeeded {},
    /// The context said no. What merely broke is not an outcome: it is tried
    /// again until it is one.
    Refused {
        /// The refusal's stable name.
        reason: String,
        /// What to tell a person.
        message: String,
    },
}

/// What may happen to a saga from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaInput {
    /// What it waits for has come about.
    Start {
        /// Which saga, about what.
        definition: Definition,
    },
    /// A context has answered.
    Replied {
        /// Which try it answers.
        of: Try,
        /// What it says.
        outcome: Outcome,
        /// When to try again if that is what it takes, in microseconds;
        /// `None` when it has been tried often enough.
        retry_at: Option<i64>,
    },
    /// No context has answered in time.
    TimedOut {
        /// Which try.
        of: Try,
        /// When to try again; `None` when it has been tried often enough.
        retry_at: Option<i64>,
    },
    /// The time to try again has come.
    Due {
        /// Which try is to be made.
        of: Try,
    },
    /// Go no further and undo what was done.
    TurnBack {
        /// The stable name of the reason.
        reason: String,
    },
    /// An operator wants a stuck saga to go on, now.
    Retry {
        /// The present time, in microseconds.
        now: i64,
    },
}

/// What has happened to a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SagaEvent {
    /// It began.
    SagaStarted {
        /// Which saga, about what.
        saga: Definition,
    },
    /// A step's command was sent.
    StepStarted {
        /// Which try.
        #[serde(flatten)]
        of: Try,
    },
    /// A step was done.
    StepSucceeded {
        /// Which try did it.
        #[serde(flatten)]
        of: Try,
    },
    /// A context said no.
    StepRefused {
        /// To which try.
        #[serde(flatten)]
        of: Try,
        /// The refusal's stable name.
        reason: String,
        /// What to tell a person.
        message: String,
    },
    /// Nobody answered in time.
    StepTimedOut {
        /// Which try.
        #[serde(flatten)]
        of: Try,
    },
    /// It will be tried again.
    StepRetried {
        /// The try that is to come.
        #[serde(flatten)]
        of: Try,
        /// When, in microseconds since the Unix epoch.
        at: i64,
    },
    /// It turned back.
    CompensationStarted {
        /// The stable name of the reason.
        reason: String,
    },
    /// A step was undone.
    StepCompensated {
        /// Which try undid it.
        #[serde(flatten)]
        of: Try,
    },
    /// It arrived.
    SagaCompleted {},
    /// It is back where it began.
    SagaCompensated {
        /// Why it turned back.
        reason: String,
    },
    /// It needs an operator.
    SagaStuck {
        /// The last try that failed.
        #[serde(flatten)]
        of: Try,
        /// What was wrong with it.
        reason: String,
    },
}

/// A saga's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Saga {
    /// Nothing has begun under this id.
    #[default]
    NotStarted,
    /// On its way.
    Underway(Underway),
    /// Arrived.
    Completed,
    /// Back where it began.
    Compensated,
}

/// A saga on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// Which saga, about what.
    pub definition: Definition,
    /// The try it is at.
    pub at: Try,
    /// What it waits for.
    pub waiting: Waiting,
    /// Why it turned back, once it did.
    pub reason: Option<String>,
}

/// What a saga on its way waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waiting {
    /// An answer.
    Reply,
    /// The time to try again.
    Retry,
    /// An operator.
    Operator,
}

/// Why a saga does not take an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SagaError {
    /// There is no such saga.
    #[error("there is no such saga")]
    NotFound,
    /// It has begun already.
    #[error("the saga has begun already")]
    AlreadyStarted,
    /// The input is about a try the saga is no longer at.
    #[error("the saga is no longer at that step")]
    Late,
    /// It has ended.
    #[error("the saga has ended")]
    Ended,
    /// It goes back already.
    #[error("the saga goes back already")]
    AlreadyTurnedBack,
    /// It has nothing to undo and can only go on.
    #[error("this saga cannot turn back")]
    CannotTurnBack,
    /// Only a stuck saga waits for an operator.
    #[error("only a stuck saga can be retried")]
    NotStuck {
        /// Where it stands.
        state: SagaState,
    },
}

impl DomainError for SagaError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::AlreadyStarted | Self::Late | Self::Ended | Self::AlreadyTurnedBack => {
                ErrorKind::AlreadyDone
            }
            Self::CannotTurnBack | Self::NotStuck { .. } => ErrorKind::WrongState,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "SAGA_NOT_FOUND",
            Self::AlreadyStarted => "SAGA_EXISTS",
            Self::Late => "SAGA_MOVED_ON",
            Self::Ended => "SAGA_ENDED",
            Self::AlreadyTurnedBack => "SAGA_COMPENSATING",
            Self::CannotTurnBack => "SAGA_CANNOT_TURN_BACK",
            Self::NotStuck { .. } => "SAGA_NOT_STUCK",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotStuck { state } => Some(state.as_str()),
            Self::NotFound
            | Self::AlreadyStarted
            | Self::Late
            | Self::Ended
            | Self::AlreadyTurnedBack
            | Self::CannotTurnBack => None,
        }
    }
}

impl Saga {
    /// Where it stands; `None` before it began.
    #[must_use]
    pub const fn state(&self) -> Option<SagaState> {
        match self {
            Self::NotStarted => None,
            Self::Underway(Underway { waiting: Waiting::Operator, .. }) => Some(SagaState::Stuck),
            Self::Underway(Underway { reason: Some(_), .. }) => Some(SagaState::Compensating),
            Self::Underway(_) => Some(SagaState::Running),
            Self::Completed => Some(SagaState::Completed),
            Self::Compensated => Some(SagaState::Compensated),
        }
    }

    /// What follows from events that have just happened to this saga: what to
    /// say and when to wake. To be asked of the state after the events.
    #[must_use]
    pub fn follow_ups(&self, events: &[SagaEvent]) -> Vec<FollowUp> {
        events.iter().filter_map(|event| self.follow_up(event)).collect()
    }

    fn follow_up(&self, event: &SagaEvent) -> Option<FollowUp> {
        match event {
            SagaEvent::StepStarted { of } => match self {
                Self::Underway(underway) => {
                    underway.command(of).map(|command| FollowUp::Send { of: of.clone(), command })
                }
                Self::NotStarted | Self::Completed | Self::Compensated => None,
            },
            SagaEvent::StepRetried { of, at } => Some(FollowUp::WakeAt { of: of.clone(), at: *at }),
            SagaEvent::SagaCompleted {}
            | SagaEvent::SagaCompensated { .. }
            | SagaEvent::SagaStuck { .. } => Some(FollowUp::Rest),
            SagaEvent::SagaStarted { .. }
            | SagaEvent::StepSucceeded { .. }
            | SagaEvent::StepRefused { .. }
            | SagaEvent::StepTimedOut { .. }
            | SagaEvent::CompensationStarted { .. }
            | SagaEvent::StepCompensated { .. } => None,
        }
    }
}

/// What follows from a saga's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// Say this, and time out if nobody answers.
    Send {
        /// Which try it is.
        of: Try,
        /// What to say.
        command: SagaCommand,
    },
    /// Come back to this try then.
    WakeAt {
        /// Which try is due.
        of: Try,
        /// When, in microseconds.
        at: i64,
    },
    /// Nothing more is awaited: clear the saga's timer.
    Rest,
}

impl Underway {
    fn index(&self, step: &str) -> Option<usize> {
        self.definition.steps().iter().position(|name| *name == step)
    }

    fn command(&self, of: &Try) -> Option<SagaCommand> {
        let step = self.index(&of.step)?;
        match of.direction {
            Direction::Forward => self.definition.action(step),
            Direction::Backward => {
                self.definition.compensation(step, self.reason.as_deref().unwrap_or_default())
            }
        }
    }

    fn started(&self, step: usize, direction: Direction) -> SagaEvent {
        SagaEvent::StepStarted { of: self.definition.first_try(step, direction) }
    }

    /// After a step was done: the next one, or the end.
    fn onward(&self) -> SagaEvent {
        let next = self.index(&self.at.step).map_or(0, |step| step + 1);
        match self.definition.forward_from(next) {
            Some(step) => self.started(step, Direction::Forward),
            None => SagaEvent::SagaCompleted {},
        }
    }

    /// Undoing what was done before `step`: the step to undo next, or the end.
    fn back_from(&self, step: usize, reason: &str) -> SagaEvent {
        match self.definition.backward_before(step) {
            Some(step) => self.started(step, Direction::Backward),
            None => SagaEvent::SagaCompensated { reason: reason.to_owned() },
        }
    }

    fn try_again(&self, retry_at: Option<i64>, reason: &str) -> SagaEvent {
        match retry_at {
            Some(at) => SagaEvent::StepRetried { of: self.at.next(), at },
            None => SagaEvent::SagaStuck { of: self.at.clone(), reason: reason.to_owned() },
        }
    }

    /// Whether an answer leaves the saga where it is, to ask again.
    fn asks_again(&self, outcome: &Outcome) -> bool {
        let is_back = self.at.direction == Direction::Backward;
        matches!(outcome, Outcome::Refused { .. }) && (is_back || !self.definition.can_turn_back())
    }

    fn replied(&self, outcome: Outcome, retry_at: Option<i64>) -> Vec<SagaEvent> {
        let of = self.at.clone();
        let step = self.index(&of.step).unwrap_or_default();
        match (outcome, of.direction) {
            (Outcome::Succeeded {}, Direction::Forward) => {
                vec![SagaEvent::StepSucceeded { of }, self.onward()]
            }
            (Outcome::Succeeded {}, Direction::Backward) => {
                let reason = self.reason.clone().unwrap_or_default();
                vec![SagaEvent::StepCompensated { of }, self.back_from(step, &reason)]
            }
            (Outcome::Refused { reason, message }, Direction::Forward)
                if self.definition.can_turn_back() =>
            {
                let back = self.back_from(step, &reason);
                vec![
                    SagaEvent::StepRefused { of, reason: reason.clone(), message },
                    SagaEvent::CompensationStarted { reason },
                    back,
                ]
            }
            // A compensation that is refused stays put and is tried again, and
            // so does a step of a saga that has no way back.
            (Outcome::Refused { reason, message }, Direction::Forward | Direction::Backward) => {
                let again = self.try_again(retry_at, &reason);
                vec![SagaEvent::StepRefused { of, reason, message }, again]
            }
        }
    }
}

impl Definition {
    fn first_try(&self, step: usize, direction: Direction) -> Try {
        let step = self.steps().get(step).copied().unwrap_or_default().to_owned();
        Try { step, direction, attempt: 1 }
    }
}

impl Try {
    fn next(&self) -> Self {
        Self { attempt: self.attempt + 1, ..self.clone() }
    }
}

impl Aggregate for Saga {
    const KIND: Kind = Kind::Saga;
    const CONTEXT: &'static str = "sagas";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = SagaId;
    type Command = SagaInput;
    type Event = SagaEvent;
    type Error = SagaError;

    fn decide(&self, input: SagaInput) -> Result<Vec<SagaEvent>, SagaError> {
        match (input, self) {
            (SagaInput::Start { definition }, Self::NotStarted) => {
                let first = match definition.forward_from(0) {
                    Some(step) => SagaEvent::StepStarted {
                        of: definition.first_try(step, Direction::Forward),
                    },
                    None => SagaEvent::SagaCompleted {},
                };
                Ok(vec![SagaEvent::SagaStarted { saga: definition }, first])
            }
            (SagaInput::Start { .. }, _) => Err(SagaError::AlreadyStarted),
            (_, Self::NotStarted) => Err(SagaError::NotFound),

            (SagaInput::Replied { of, outcome, retry_at }, Self::Underway(underway)) => {
                // An answer to an earlier attempt of the same step is as good:
                // what was asked is the same.
                if of.step != underway.at.step || of.direction != underway.at.direction {
                    return Err(SagaError::Late);
                }
                // But a no that only means to ask again counts once.
                let is_waited_for = of == underway.at && underway.waiting == Waiting::Reply;
                if underway.asks_again(&outcome) && !is_waited_for {
                    return Err(SagaError::Late);
                }
                Ok(underway.replied(outcome, retry_at))
            }
            (SagaInput::TimedOut { of, retry_at }, Self::Underway(underway)) => {
                if of != underway.at || underway.waiting != Waiting::Reply {
                    return Err(SagaError::Late);
                }
                Ok(vec![SagaEvent::StepTimedOut { of }, underway.try_again(retry_at, "NO_ANSWER")])
            }
            (SagaInput::Due { of }, Self::Underway(underway)) => {
                if of != underway.at || underway.waiting != Waiting::Retry {
                    return Err(SagaError::Late);
                }
                Ok(vec![SagaEvent::StepStarted { of }])
            }
            (SagaInput::TurnBack { reason }, Self::Underway(underway)) => {
                if underway.reason.is_some() {
                    return Err(SagaError::AlreadyTurnedBack);
                }
                if !underway.definition.can_turn_back() {
                    return Err(SagaError::CannotTurnBack);
                }
                // The step under way is undone too: it may have happened, and
                // its context hears the command before its compensation.
                let step = underway.index(&underway.at.step).map_or(0, |step| step + 1);
                let back = underway.back_from(step, &reason);
                Ok(vec![SagaEvent::CompensationStarted { reason }, back])
            }
            (SagaInput::Retry { now }, Self::Underway(underway)) => match underway.waiting {
                Waiting::Operator => Ok(vec![
                    SagaEvent::StepRetried { of: underway.at.next(), at: now },
                    SagaEvent::StepStarted { of: underway.at.next() },
                ]),
                Waiting::Reply | Waiting::Retry => {
                    let state = self.state().unwrap_or(SagaState::Running);
                    Err(SagaError::NotStuck { state })
                }
            },
            (SagaInput::Retry { .. }, Self::Completed) => {
                Err(SagaError::NotStuck { state: SagaState::Completed })
            }
            (SagaInput::Retry { .. }, Self::Compensated) => {
                Err(SagaError::NotStuck { state: SagaState::Compensated })
            }
            (
                SagaInput::Replied { .. }
                | SagaInput::TimedOut { .. }
                | SagaInput::Due { .. }
                | SagaInput::TurnBack { .. },
                Self::Completed | Self::Compensated,
            ) => Err(SagaError::Ended),
        }
    }

    fn evolve(self, event: SagaEvent) -> Self {
        match (event, self) {
            (SagaEvent::SagaStarted { saga }, _) => {
                let at = saga.first_try(0, Direction::Forward);
                Self::Underway(Underway {
                    definition: saga,
                    at,
                    waiting: Waiting::Reply,
                    reason: None,
                })
            }
            (SagaEvent::StepStarted { of }, Self::Underway(underway)) => {
                Self::Underway(Underway { at: of, waiting: Waiting::Reply, ..underway })
            }
            (SagaEvent::StepRetried { of, at: _ }, Self::Underway(underway)) => {
                Self::Underway(Underway { at: of, waiting: Waiting::Retry, ..underway })
            }
            (SagaEvent::CompensationStarted { reason }, Self::Underway(underway)) => {
                Self::Underway(Underway { reason: Some(reason), ..underway })
            }
            (SagaEvent::SagaStuck { of, reason: _ }, Self::Underway(underway)) => {
                Self::Underway(Underway { at: of, waiting: Waiting::Operator, ..underway })
            }
            (SagaEvent::SagaCompleted {}, _) => Self::Completed,
            (SagaEvent::SagaCompensated { .. }, _) => Self::Compensated,
            // What came of a try shows in the event that follows it.
            (
                SagaEvent::StepSucceeded { .. }
                | SagaEvent::StepRefused { .. }
                | SagaEvent::StepTimedOut { .. }
                | SagaEvent::StepCompensated { .. },
                saga,
            )
            // A saga that is not under way makes no steps.
            | (
                SagaEvent::StepStarted { .. }
                | SagaEvent::StepRetried { .. }
                | SagaEvent::CompensationStarted { .. }
                | SagaEvent::SagaStuck { .. },
                saga @ (Self::NotStarted | Self::Completed | Self::Compensated),
            ) => saga,
        }
    }
}

#[cfg(test)]
mod tests;
