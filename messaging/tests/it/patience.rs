//! What sagas do when nobody answers.

use std::time::Duration;

use mallbots_domain::{
    id::EntityId,
    ordering::OrderStatus,
    saga::{SagaEvent, SagaState},
};
use mallbots_eventstore::message::MessageKind;
use mallbots_messaging::envelope::TIMED_OUT;

use crate::{
    crew::Gate,
    mall::{Mall, Shape, Shopper, in_each_shape, new, options},
};

in_each_shape!(
    d31_a_step_nobody_answers_is_asked_for_again_and_gets_stuck,
    a_stuck_saga_goes_on_when_an_operator_says_so,
    only_a_stuck_saga_can_be_retried,
    waits_between_tries_grow,
    an_answer_that_comes_late_counts_once,
    an_answer_wakes_a_stuck_saga,
    timers_outlive_the_process,
    a_timer_that_was_answered_does_not_fire,
);

fn timeout() -> Duration {
    options().sagas.step_timeout
}

/// A saga that waits for a depot where nobody works.
async fn waiting(shape: Shape) -> (Mall, Shopper) {
    let mall = Mall::closed(shape).await.with_crew(&["depot"]);
    let shopper = mall.settled_shopper().await;
    assert_eq!(mall.steps(shopper.saga()).await, ["create_order", "AuthorizeCustomer"]);
    (mall, shopper)
}

async fn stuck(shape: Shape) -> (Mall, Shopper) {
    let (mall, shopper) = waiting(shape).await;
    for _ in 0..5 {
        mall.advance(timeout()).await;
        mall.settle().await;
    }
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Stuck));
    (mall, shopper)
}

/// How often the depot was asked for the list.
async fn asked(mall: &Mall) -> usize {
    let everything = mall.everything().await;
    everything.iter().filter(|it| &*it.name == "depot.CreateShoppingList").count()
}

async fn d31_a_step_nobody_answers_is_asked_for_again_and_gets_stuck(shape: Shape) {
    let (mall, shopper) = waiting(shape).await;
    let mut steps = vec!["create_order".to_owned(), "AuthorizeCustomer".to_owned()];
    for attempt in 1..=3 {
        assert_eq!(asked(&mall).await, attempt);
        // A moment before, nothing happens.
        mall.advance(timeout() - Duration::from_micros(1)).await;
        mall.settle().await;
        assert_eq!(mall.steps(shopper.saga()).await, steps);
        mall.advance(Duration::from_micros(1)).await;
        mall.settle().await;
        steps.push("CreateShoppingList late".to_owned());
        steps.push(match attempt {
            3 => "stuck CreateShoppingList NO_ANSWER".to_owned(),
            _ => format!("CreateShoppingList {}", attempt + 1),
        });
        assert_eq!(mall.steps(shopper.saga()).await, steps);
        if attempt < 3 {
            assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Running));
            let due_at = mall.ledger().next_timer().await.unwrap().unwrap();
            let wait = u64::try_from(due_at - mall.ledger().now()).unwrap();
            mall.advance(Duration::from_micros(wait)).await;
            mall.settle().await;
        }
    }
    // It waits for somebody, it does not wait for the time; and silence is no refusal.
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Stuck));
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Pending));
    mall.assert_quiet().await;
}

async fn a_stuck_saga_goes_on_when_an_operator_says_so(shape: Shape) {
    let (mut mall, shopper) = stuck(shape).await;
    mall.retry_saga(shopper.saga()).await.unwrap();
    mall.settle().await;
    assert_eq!(asked(&mall).await, 4);
    // Too early: one more try, and it is stuck again.
    mall.advance(timeout()).await;
    mall.settle().await;
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Stuck));

    mall.retry_saga(shopper.saga()).await.unwrap();
    mall.crew().call_in("depot");
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    assert_eq!(mall.events(shopper.list()).await, ["ShoppingListCreated", "ShoppingListInitiated"]);
    mall.assert_quiet().await;
}

async fn only_a_stuck_saga_can_be_retried(shape: Shape) {
    let (mut mall, shopper) = waiting(shape).await;
    let refusal = mall.retry_saga(shopper.saga()).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.state), ("SAGA_NOT_STUCK", Some("RUNNING")));
    mall.crew().call_in("depot");
    mall.settle().await;
    let refusal = mall.retry_saga(shopper.saga()).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.state), ("SAGA_NOT_STUCK", Some("COMPLETED")));
    let refusal = mall.retry_saga(new()).await.unwrap_err();
    assert_eq!(refusal.reason, "SAGA_NOT_FOUND");
}

async fn waits_between_tries_grow(shape: Shape) {
    let (mall, shopper) = stuck(shape).await;
    let stream = shopper.saga().any();
    let events = mall.ledger().read_stream(stream, Default::default(), 100).await.unwrap();
    let mut longest = options().sagas.backoff.base;
    let mut retried = 0;
    for (event, recorded) in mall.saga_events(shopper.saga()).await.iter().zip(events) {
        if let SagaEvent::StepRetried { at, .. } = event {
            let wait = Duration::from_micros(u64::try_from(at - recorded.recorded_at).unwrap());
            assert!(longest / 2 <= wait && wait <= longest, "{wait:?} of {longest:?}");
            longest *= 2;
            retried += 1;
        }
    }
    assert_eq!(retried, 2);
}

async fn an_answer_that_comes_late_counts_once(shape: Shape) {
    let (mut mall, shopper) = waiting(shape).await;
    mall.advance(timeout()).await;
    mall.settle().await;
    // The depot comes when it is about to be asked again.
    mall.crew().call_in("depot");
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    assert_eq!(asked(&mall).await, 1);
    mall.assert_quiet().await;

    // And when it was asked twice.
    let mut mall = mall.close().await.with_crew(&["depot"]);
    let shopper = mall.settled_shopper().await;
    for _ in 0..2 {
        mall.advance(timeout()).await;
        mall.settle().await;
    }
    assert_eq!(asked(&mall).await, 1 + 2);
    mall.crew().call_in("depot");
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    assert_eq!(mall.events(shopper.list()).await, ["ShoppingListCreated", "ShoppingListInitiated"]);
    mall.assert_quiet().await;
}

async fn an_answer_wakes_a_stuck_saga(shape: Shape) {
    let (mut mall, shopper) = stuck(shape).await;
    mall.crew().call_in("depot");
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Completed));
    mall.assert_quiet().await;
}

async fn timers_outlive_the_process(shape: Shape) {
    let (mall, shopper) = waiting(shape).await;
    let due_at = mall.ledger().next_timer().await.unwrap();
    assert!(due_at.is_some());
    let mall = mall.reopened().await;
    assert_eq!(mall.ledger().next_timer().await.unwrap(), due_at);

    // It comes due while nobody is there, and fires when somebody is again.
    mall.test.clock.advance(timeout());
    let mall = mall.with_gated_crew(Gate::default(), &["depot"]);
    mall.advance(Duration::ZERO).await;
    mall.settle().await;
    let steps = mall.steps(shopper.saga()).await;
    assert_eq!(steps[2..], ["CreateShoppingList late", "CreateShoppingList 2"]);
}

async fn a_timer_that_was_answered_does_not_fire(shape: Shape) {
    let mall = Mall::open(shape).await;
    mall.settled_shopper().await;
    mall.advance(timeout() * 2).await;
    mall.settle().await;
    let everything = mall.everything().await;
    let late = everything.iter().filter(|it| it.kind == MessageKind::Command);
    assert_eq!(late.filter(|it| &*it.name == TIMED_OUT).count(), 0);
}
