use super::*;
use crate::{
    aggregate::replay,
    id::{ProductId, StoreId},
    quantity::Quantity,
    text::Name,
};
use uuid::Uuid;

const ATTEMPTS: u32 = 3;

fn order_id() -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn create_order() -> Definition {
    Definition::CreateOrder(CreateOrder {
        order_id: order_id(),
        customer_id: CustomerId::from_uuid(Uuid::from_u128(2)),
        payment_id: payment_id(),
        items: vec![Item {
            product_id: ProductId::from_uuid(Uuid::from_u128(4)),
            store_id: StoreId::from_uuid(Uuid::from_u128(5)),
            product_name: Name::new("Wizard w/ crystal").unwrap(),
            store_name: Name::new("Waldorf Books").unwrap(),
            store_location: Name::new("Level 1").unwrap(),
            price: Money::from_minor(999).unwrap(),
            quantity: Quantity::new(3).unwrap(),
        }],
        total: Money::from_minor(2997).unwrap(),
    })
}

fn cancel_order() -> Definition {
    Definition::CancelOrder(CancelOrder { order_id: order_id(), payment_id: payment_id() })
}

fn payment_id() -> PaymentId {
    PaymentId::from_uuid(Uuid::from_u128(3))
}

/// A saga with everything it said, played without a database.
#[derive(Debug, Clone, Default)]
struct Play {
    saga: Saga,
    history: Vec<SagaEvent>,
    said: Vec<(Try, SagaCommand)>,
}

impl Play {
    fn of(definition: Definition) -> Self {
        let mut play = Self::default();
        play.hear(SagaInput::Start { definition }).unwrap();
        play
    }

    fn hear(&mut self, input: SagaInput) -> Result<(), SagaError> {
        let events = self.saga.decide(input)?;
        self.history.extend(events.clone());
        self.saga = events.iter().cloned().fold(std::mem::take(&mut self.saga), Saga::evolve);
        for follow_up in self.saga.follow_ups(&events) {
            match follow_up {
                FollowUp::Send { of, command } => self.said.push((of, command)),
                FollowUp::WakeAt { .. } | FollowUp::Rest => {}
            }
        }
        Ok(())
    }

    fn reply(&mut self, outcome: Outcome) -> Result<(), SagaError> {
        let (of, _) = self.said.last().unwrap().clone();
        let retry_at = (of.attempt < ATTEMPTS).then_some(1000);
        self.hear(SagaInput::Replied { of, outcome, retry_at })
    }

    fn succeed(&mut self) {
        self.reply(Outcome::Succeeded {}).unwrap();
    }

    fn refuse(&mut self, reason: &str) {
        self.reply(Outcome::Refused { reason: reason.to_owned(), message: reason.to_owned() })
            .unwrap();
    }

    fn ended(&self) -> bool {
        matches!(self.saga, Saga::Completed | Saga::Compensated)
    }

    fn finish(&mut self) {
        while !self.ended() {
            self.succeed();
        }
    }

    fn commands(&self) -> Vec<SagaCommand> {
        self.said.iter().map(|(_, command)| command.clone()).collect()
    }

    fn at(&self) -> Try {
        self.said.last().unwrap().0.clone()
    }

    fn state(&self) -> SagaState {
        self.saga.state().unwrap()
    }
}

fn reject(reason: &str) -> SagaCommand {
    SagaCommand::RejectOrder { order_id: order_id(), reason: reason.to_owned() }
}

fn cancel_list() -> SagaCommand {
    SagaCommand::CancelShoppingList { list_id: order_id().shopping_list() }
}

fn release() -> SagaCommand {
    SagaCommand::ReleasePayment { payment_id: payment_id(), order_id: order_id() }
}

/// The names of the steps that say something, in order.
const STEPS: [&str; 5] = [
    "AuthorizeCustomer",
    "CreateShoppingList",
    "ConfirmPayment",
    "InitiateShopping",
    "ApproveOrder",
];

/// What must be said, in order, to undo what was done before step `refused`.
fn undoing(done: usize, reason: &str) -> Vec<SagaCommand> {
    let mut undo = vec![];
    if done > 2 {
        undo.push(release());
    }
    if done > 1 {
        undo.push(cancel_list());
    }
    undo.push(reject(reason));
    undo
}

#[test]
fn a_saga_nobody_refuses_approves_the_order_last() {
    let mut play = Play::of(create_order());
    for step in STEPS {
        assert_eq!(play.at().step, step);
        play.succeed();
    }
    assert_eq!(play.state(), SagaState::Completed);
    assert_eq!(
        play.commands().last(),
        Some(&SagaCommand::ApproveOrder {
            order_id: order_id(),
            list_id: order_id().shopping_list()
        })
    );
}

#[test]
fn a_refusal_at_any_step_rejects_the_order_last() {
    for (refused, step) in STEPS.iter().enumerate() {
        let mut play = Play::of(create_order());
        for _ in 0..refused {
            play.succeed();
        }
        let said = play.said.len();
        play.refuse("NO");
        play.finish();
        assert_eq!(play.state(), SagaState::Compensated, "refused at {step}");
        assert_eq!(play.commands()[said..], undoing(refused, "NO"), "refused at {step}");
    }
}

#[test]
fn turning_back_at_any_step_undoes_the_step_under_way_too() {
    for (under_way, step) in STEPS.iter().enumerate() {
        let mut play = Play::of(create_order());
        for _ in 0..under_way {
            play.succeed();
        }
        let (said, happened) = (play.said.len(), play.history.len());
        play.hear(SagaInput::TurnBack { reason: "ORDER_CANCELED".to_owned() }).unwrap();
        play.finish();
        assert_eq!(play.state(), SagaState::Compensated, "turned back at {step}");
        assert_eq!(
            play.commands()[said..],
            undoing(under_way + 1, "ORDER_CANCELED"),
            "turned back at {step}"
        );
        assert!(!play.history[happened..].iter().any(|event| matches!(
            event,
            SagaEvent::StepSucceeded { .. } | SagaEvent::SagaCompleted {}
        )));
    }
}

/// Each action and each compensation answered twice: the second answer finds
/// the saga elsewhere and changes nothing.
#[test]
fn every_answer_given_twice_counts_once() {
    for refused in 0..=STEPS.len() {
        let mut once = Play::of(create_order());
        let mut twice = Play::of(create_order());
        for step in 0.. {
            if once.ended() {
                break;
            }
            let outcome = if step == refused {
                Outcome::Refused { reason: "NO".to_owned(), message: "no".to_owned() }
            } else {
                Outcome::Succeeded {}
            };
            once.reply(outcome.clone()).unwrap();
            let of = twice.at();
            let input = SagaInput::Replied { of, outcome, retry_at: Some(1) };
            twice.hear(input.clone()).unwrap();
            let again = twice.hear(input).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::AlreadyDone, "{again:?}");
        }
        assert_eq!(once.history, twice.history, "refused at {refused}");
        assert_eq!(once.said, twice.said, "refused at {refused}");
    }
}

#[test]
fn a_step_nobody_answers_is_asked_for_again_and_then_waits_for_an_operator() {
    let mut play = Play::of(create_order());
    for attempt in 1..=ATTEMPTS {
        let of = play.at();
        assert_eq!((of.attempt, play.state()), (attempt, SagaState::Running));
        let retry_at = (attempt < ATTEMPTS).then_some(77);
        play.hear(SagaInput::TimedOut { of: of.clone(), retry_at }).unwrap();
        if attempt < ATTEMPTS {
            assert_eq!(
                play.history.last(),
                Some(&SagaEvent::StepRetried { of: of.next(), at: 77 })
            );
            play.hear(SagaInput::Due { of: of.next() }).unwrap();
        }
    }
    assert_eq!(play.state(), SagaState::Stuck);
    assert!(
        !play.commands().iter().any(|command| matches!(command, SagaCommand::RejectOrder { .. }))
    );

    play.hear(SagaInput::Retry { now: 99 }).unwrap();
    assert_eq!((play.at().attempt, play.state()), (ATTEMPTS + 1, SagaState::Running));
    play.finish();
    assert_eq!(play.state(), SagaState::Completed);
}

#[test]
fn an_answer_to_an_earlier_attempt_is_as_good() {
    let mut play = Play::of(create_order());
    let first = play.at();
    play.hear(SagaInput::TimedOut { of: first.clone(), retry_at: Some(1) }).unwrap();
    let outcome = Outcome::Succeeded {};
    play.hear(SagaInput::Replied { of: first.clone(), outcome, retry_at: None }).unwrap();
    assert_eq!(play.at().step, STEPS[1]);
    let late = play.hear(SagaInput::Due { of: first.next() }).unwrap_err();
    assert_eq!(late, SagaError::Late);
}

#[test]
fn a_late_answer_wakes_a_stuck_saga() {
    let mut play = Play::of(create_order());
    let of = play.at();
    play.hear(SagaInput::TimedOut { of, retry_at: None }).unwrap();
    assert_eq!(play.state(), SagaState::Stuck);
    play.succeed();
    assert_eq!((play.at().step.as_str(), play.state()), (STEPS[1], SagaState::Running));
}

#[test]
fn a_compensation_that_is_refused_stays_put_until_an_operator_looks() {
    let mut play = Play::of(create_order());
    play.succeed();
    play.succeed();
    play.refuse("PAYMENT_TOO_SMALL");
    let undoing = play.at();
    assert_eq!((undoing.step.as_str(), undoing.direction), (STEPS[1], Direction::Backward));
    for attempt in 1..=ATTEMPTS {
        assert_eq!(play.state(), SagaState::Compensating);
        play.refuse("NOT_NOW");
        if attempt < ATTEMPTS {
            let of = Try { attempt: attempt + 1, ..undoing.clone() };
            play.hear(SagaInput::Due { of }).unwrap();
        }
    }
    assert_eq!(play.state(), SagaState::Stuck);
    play.hear(SagaInput::Retry { now: 5 }).unwrap();
    assert_eq!(play.state(), SagaState::Compensating);
    play.finish();
    assert_eq!(play.state(), SagaState::Compensated);
    assert_eq!(play.commands().last(), Some(&reject("PAYMENT_TOO_SMALL")));
}

#[test]
fn a_refusal_that_only_means_to_ask_again_counts_once() {
    for (definition, done) in [(create_order(), 2), (cancel_order(), 1)] {
        let mut play = Play::of(definition.clone());
        for _ in 0..done {
            play.succeed();
        }
        if definition == create_order() {
            play.refuse("PAYMENT_TOO_SMALL");
        }
        let of = play.at();
        let refused = |of: &Try, retry_at| SagaInput::Replied {
            of: of.clone(),
            outcome: Outcome::Refused { reason: "NO".to_owned(), message: "no".to_owned() },
            retry_at,
        };
        play.hear(refused(&of, Some(7))).unwrap();
        let happened = play.history.len();
        // Once more while the saga waits, and once more while it asks again.
        assert_eq!(play.hear(refused(&of, Some(7))), Err(SagaError::Late));
        play.hear(SagaInput::Due { of: of.next() }).unwrap();
        assert_eq!(play.hear(refused(&of, Some(7))), Err(SagaError::Late));
        play.hear(refused(&of.next(), None)).unwrap();
        assert_eq!(play.state(), SagaState::Stuck);
        assert_eq!(play.hear(refused(&of.next(), None)), Err(SagaError::Late));
        assert_eq!(play.history.len(), happened + 3);
        play.succeed();
        assert_ne!(play.state(), SagaState::Stuck);
    }
}

#[test]
fn a_saga_that_goes_back_cannot_be_turned_back_again() {
    let mut play = Play::of(create_order());
    play.refuse("CUSTOMER_DISABLED");
    let again = play.hear(SagaInput::TurnBack { reason: "ORDER_CANCELED".to_owned() });
    assert_eq!(again, Err(SagaError::AlreadyTurnedBack));
}

#[test]
fn an_ended_saga_hears_nothing() {
    let mut play = Play::of(create_order());
    play.finish();
    let of = play.at();
    let inputs = [
        SagaInput::Replied { of: of.clone(), outcome: Outcome::Succeeded {}, retry_at: None },
        SagaInput::TimedOut { of: of.clone(), retry_at: None },
        SagaInput::Due { of },
        SagaInput::TurnBack { reason: "LATE".to_owned() },
    ];
    for input in inputs {
        assert_eq!(play.hear(input), Err(SagaError::Ended));
    }
    assert_eq!(
        play.hear(SagaInput::Retry { now: 1 }),
        Err(SagaError::NotStuck { state: SagaState::Completed })
    );
}

#[test]
fn a_saga_begins_once() {
    let mut play = Play::of(create_order());
    let again = play.hear(SagaInput::Start { definition: create_order() });
    assert_eq!(again, Err(SagaError::AlreadyStarted));
}

#[test]
fn only_a_stuck_saga_can_be_retried() {
    let mut play = Play::of(create_order());
    let refused = play.hear(SagaInput::Retry { now: 1 });
    assert_eq!(refused, Err(SagaError::NotStuck { state: SagaState::Running }));
    let absent = Saga::default().decide(SagaInput::Retry { now: 1 });
    assert_eq!(absent, Err(SagaError::NotFound));
}

#[test]
fn canceling_an_accepted_order_undoes_it_step_by_step() {
    let mut play = Play::of(cancel_order());
    play.finish();
    assert_eq!(play.state(), SagaState::Completed);
    let withdraw = SagaCommand::CancelInvoice { invoice_id: order_id().invoice() };
    assert_eq!(play.commands(), [cancel_list(), release(), withdraw]);
}

#[test]
fn a_cancellation_that_is_refused_is_tried_again_and_never_turns_back() {
    for refused in 0..3 {
        let mut play = Play::of(cancel_order());
        for _ in 0..refused {
            play.succeed();
        }
        play.refuse("NOT_NOW");
        assert_eq!(play.state(), SagaState::Running, "refused at {refused}");
        let of = play.at().next();
        play.hear(SagaInput::Due { of }).unwrap();
        play.finish();
        assert_eq!(play.state(), SagaState::Completed, "refused at {refused}");
    }
    let mut play = Play::of(cancel_order());
    let refused = play.hear(SagaInput::TurnBack { reason: "NO".to_owned() });
    assert_eq!(refused, Err(SagaError::CannotTurnBack));
}

#[test]
fn a_saga_rebuilt_from_its_history_is_the_same_saga() {
    for refused in 0..=STEPS.len() {
        let mut play = Play::of(create_order());
        for _ in 0..refused {
            play.succeed();
        }
        if !play.ended() {
            play.refuse("NO");
        }
        play.finish();
        for upto in 0..=play.history.len() {
            let history = &play.history[..upto];
            let json = serde_json::to_string(history).unwrap();
            let read: Vec<SagaEvent> = serde_json::from_str(&json).unwrap();
            assert_eq!(read, history);
            assert_eq!(replay::<Saga>(read), replay::<Saga>(history.to_vec()));
        }
        assert_eq!(replay::<Saga>(play.history.clone()), play.saga);
    }
}

#[test]
fn both_sagas_of_an_order_are_found_from_it_and_share_its_partition() {
    let order = order_id();
    assert_ne!(order.create_saga(), order.cancel_saga());
    assert_eq!(order.create_saga().order(), order);
    assert_eq!(order.cancel_saga().order(), order);
    assert_eq!(order.cancel_saga().any().partition(), order.any().partition());
}
