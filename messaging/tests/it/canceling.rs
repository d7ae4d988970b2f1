//! An order that is called off, at every point of its way.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mallbots_domain::{
    depot::{
        bot::{Bot, BotCommand, BotStatus},
        shopping_list::{ShoppingList, ShoppingListCommand, ShoppingListStatus},
    },
    id::BotId,
    notifications::NotificationKind,
    ordering::{Order, OrderCommand, OrderStatus},
    payments::payment::PaymentStatus,
    saga::{SagaEvent, SagaState},
    testing::{name, reason},
};
use mallbots_eventstore::{
    error::CommandError,
    message::{MessageKind, Recorded},
};
use mallbots_messaging::envelope::ReplyEnvelope;

use crate::mall::{Mall, Shape, Shopper, in_each_shape, new, options, request};

in_each_shape!(
    d9_an_order_canceled_before_any_step_is_never_approved,
    d9_an_order_canceled_while_a_step_is_asked_for_is_never_approved,
    d9_an_order_canceled_before_a_step_turns_back_as_soon_as_it_hears,
    d9_an_order_canceled_when_a_step_was_done_is_undone,
    d10_an_accepted_order_is_undone,
    d10_a_canceled_order_frees_its_bot,
    an_order_canceled_between_its_approval_and_the_answer_is_undone,
    an_order_canceled_while_it_turns_back_stays_canceled,
    an_order_whose_saga_is_stuck_can_be_canceled,
    a_bot_that_comes_back_too_late_finds_its_list_torn_up,
    d32_an_undoing_that_fails_waits_for_an_operator,
    d38_a_refusal_leaves_nothing_half_done,
    whoever_is_faster_everything_is_accounted_for,
);

const CANCEL_SAGA: [&str; 5] =
    ["cancel_order", "CancelShoppingList", "ReleasePayment", "CancelInvoice", "completed"];

/// The create-order saga's commands, and the steps they are for.
const COMMANDS: [(&str, &str); 5] = [
    ("customers.AuthorizeCustomer", "AuthorizeCustomer"),
    ("depot.CreateShoppingList", "CreateShoppingList"),
    ("payments.ConfirmPayment", "ConfirmPayment"),
    ("depot.InitiateShopping", "InitiateShopping"),
    ("ordering.ApproveOrder", "ApproveOrder"),
];

/// The order is canceled for good, and nothing is held for it.
async fn assert_undone(mall: &Mall, shopper: &Shopper) {
    assert_eq!(mall.order_status(shopper).await, Some(OrderStatus::Canceled));
    assert_eq!(mall.events(shopper.order()).await.last().unwrap(), "OrderCanceled");
    let list = mall.list_status(shopper).await;
    assert!(matches!(list, None | Some(ShoppingListStatus::Canceled)), "{list:?}");
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Released));
    assert_eq!(mall.invoice_status(shopper).await, None);
    let create = mall.saga_state(shopper.saga()).await;
    let cancel = mall.saga_state(shopper.cancel_saga()).await;
    assert!(
        matches!(
            (create, cancel),
            (Some(SagaState::Compensated), None)
                | (Some(SagaState::Completed), Some(SagaState::Completed))
        ),
        "{create:?} {cancel:?}"
    );
    assert!(mall.told(shopper).await.contains(&NotificationKind::OrderCanceled));
    mall.assert_quiet().await;
}

/// It was never accepted at all.
async fn assert_turned_back(mall: &Mall, shopper: &Shopper) {
    assert_undone(mall, shopper).await;
    assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderCanceled"]);
    let steps = mall.steps(shopper.saga()).await;
    assert!(steps.contains(&"back ORDER_CANCELED".to_owned()), "{steps:?}");
    assert_eq!(steps.last().unwrap(), "compensated ORDER_CANCELED");
}

async fn d9_an_order_canceled_before_any_step_is_never_approved(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall
        .gate()
        .hold(|consumer, message| consumer == "sagas" && &*message.name == "ordering.OrderCreated");
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    mall.cancel(&shopper).await;
    hold.release();
    mall.settle().await;
    assert_turned_back(&mall, &shopper).await;
}

async fn d9_an_order_canceled_while_a_step_is_asked_for_is_never_approved(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    for (command, step) in COMMANDS {
        let hold = mall.gate().hold_named(command);
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        hold.reached().await;
        mall.cancel(&shopper).await;
        // The saga hears of it first and turns back; then the step is taken.
        mall.until("the saga to turn back", async || {
            mall.saga_events(shopper.saga())
                .await
                .iter()
                .any(|it| matches!(it, SagaEvent::CompensationStarted { .. }))
        })
        .await;
        hold.release();
        mall.settle().await;
        assert_turned_back(&mall, &shopper).await;
        let steps = mall.steps(shopper.saga()).await;
        assert!(!steps.contains(&step.to_owned()), "{step} was under way: {steps:?}");
    }
}

async fn d9_an_order_canceled_before_a_step_turns_back_as_soon_as_it_hears(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    for (command, step) in COMMANDS {
        let hold = mall.gate().hold_named(command);
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        hold.reached().await;
        // Now the step and the news race each other.
        mall.cancel(&shopper).await;
        hold.release();
        mall.settle().await;
        assert_undone(&mall, &shopper).await;
        let events = mall.events(shopper.order()).await;
        assert!(!events.contains(&"OrderApproved".to_owned()), "at {step}: {events:?}");
    }
}

/// Whether a message answers this step of a saga.
fn answers(step: &'static str) -> impl Fn(&str, &Recorded) -> bool {
    move |_, message| {
        message.kind == MessageKind::Reply
            && serde_json::from_str::<ReplyEnvelope>(&message.payload).unwrap().of.step == step
    }
}

async fn d9_an_order_canceled_when_a_step_was_done_is_undone(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    for (_, step) in &COMMANDS[..4] {
        let hold = mall.gate().hold(answers(step));
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        hold.reached().await;
        mall.cancel(&shopper).await;
        hold.release();
        mall.settle().await;
        assert_turned_back(&mall, &shopper).await;
        let steps = mall.steps(shopper.saga()).await;
        assert!(steps.contains(&(*step).to_owned()), "{step} was done: {steps:?}");
    }
}

async fn an_order_canceled_between_its_approval_and_the_answer_is_undone(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold(answers("ApproveOrder"));
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    mall.cancel(&shopper).await;
    hold.release();
    mall.settle().await;
    assert_undone(&mall, &shopper).await;
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Completed));
    assert_eq!(mall.steps(shopper.cancel_saga()).await, CANCEL_SAGA);
}

async fn d10_an_accepted_order_is_undone(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    mall.cancel(&shopper).await;
    mall.settle().await;
    assert_undone(&mall, &shopper).await;
    assert_eq!(mall.steps(shopper.cancel_saga()).await, CANCEL_SAGA);
    assert_eq!(
        mall.told(&shopper).await,
        [
            NotificationKind::OrderCreated,
            NotificationKind::OrderApproved,
            NotificationKind::OrderCanceled,
        ]
    );
}

async fn d10_a_canceled_order_frees_its_bot(shape: Shape) {
    let mall = Mall::open(shape).await;
    let bot = mall.bot().await;
    for sets_out in [false, true] {
        let shopper = mall.settled_shopper().await;
        mall.assign(&shopper, bot).await;
        if sets_out {
            mall.start_shopping(&shopper).await;
            mall.settle().await;
            assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::InProgress));
        }
        assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Active));
        mall.cancel(&shopper).await;
        mall.settle().await;
        assert_undone(&mall, &shopper).await;
        assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Idle));
        assert_eq!(mall.steps(shopper.cancel_saga()).await, CANCEL_SAGA);
    }
}

async fn an_order_canceled_while_it_turns_back_stays_canceled(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold_named("depot.CancelShoppingList");
    let shopper = mall.shopper_with(1).await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    mall.cancel(&shopper).await;
    mall.until("the payment to be let go", async || {
        mall.payment_status(shopper.payment).await == Some(PaymentStatus::Released)
    })
    .await;
    hold.release();
    mall.settle().await;
    assert_undone(&mall, &shopper).await;
    let steps = mall.steps(shopper.saga()).await;
    assert_eq!(steps.last().unwrap(), "compensated PAYMENT_TOO_SMALL");
}

async fn an_order_whose_saga_is_stuck_can_be_canceled(shape: Shape) {
    let mut mall = Mall::closed(shape).await.with_crew(&["depot"]);
    let shopper = mall.settled_shopper().await;
    while mall.saga_state(shopper.saga()).await != Some(SagaState::Stuck) {
        mall.advance(options().sagas.step_timeout).await;
        mall.settle().await;
    }
    mall.cancel(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Compensating));
    mall.crew().call_in("depot");
    mall.settle().await;
    assert_turned_back(&mall, &shopper).await;
}

async fn a_bot_that_comes_back_too_late_finds_its_list_torn_up(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let shopper = mall.settled_shopper().await;
    let bot = mall.bot().await;
    mall.assign(&shopper, bot).await;
    mall.start_shopping(&shopper).await;
    mall.settle().await;

    // The bot brings everything before the depot hears that it need not.
    let hold = mall.gate().hold_named("depot.CancelShoppingList");
    mall.cancel(&shopper).await;
    hold.reached().await;
    mall.shop(&shopper).await;
    hold.release();
    mall.settle().await;

    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Canceled));
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Completed));
    assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Idle));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Released));
    assert_eq!(mall.invoice_status(&shopper).await, None);
    assert_eq!(mall.steps(shopper.cancel_saga()).await, CANCEL_SAGA);
    mall.assert_quiet().await;
}

/// Somebody who calls off an order whose list, somehow, was given to a bot that
/// nobody knows.
async fn at_a_loss(mall: &Mall) -> (Shopper, BotId) {
    let shopper = mall.settled_shopper().await;
    let bot: BotId = new();
    let assign = ShoppingListCommand::Assign { bot_id: bot };
    mall.ledger().execute::<ShoppingList>(shopper.list(), assign, &request()).await.unwrap();
    mall.cancel(&shopper).await;
    mall.settle().await;
    (shopper, bot)
}

async fn d38_a_refusal_leaves_nothing_half_done(shape: Shape) {
    let mall = Mall::open(shape).await;
    let (shopper, bot) = at_a_loss(&mall).await;
    // The list tore itself up; then its bot was to be freed, and there was none.
    let steps = mall.steps(shopper.cancel_saga()).await;
    assert_eq!(steps[1], "CancelShoppingList BOT_NOT_FOUND");
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Assigned));
    assert_eq!(
        mall.events(shopper.list()).await,
        ["ShoppingListCreated", "ShoppingListInitiated", "ShoppingListAssigned"]
    );
    assert_eq!(mall.events(bot).await, [""; 0]);
}

async fn d32_an_undoing_that_fails_waits_for_an_operator(shape: Shape) {
    let mall = Mall::open(shape).await;
    let (shopper, bot) = at_a_loss(&mall).await;
    for _ in 0..2 {
        mall.advance(options().sagas.backoff.cap).await;
        mall.settle().await;
    }

    let stuck = [
        "cancel_order",
        "CancelShoppingList BOT_NOT_FOUND",
        "CancelShoppingList 2",
        "CancelShoppingList BOT_NOT_FOUND",
        "CancelShoppingList 3",
        "CancelShoppingList BOT_NOT_FOUND",
        "stuck CancelShoppingList BOT_NOT_FOUND",
    ];
    assert_eq!(mall.steps(shopper.cancel_saga()).await, stuck);
    assert_eq!(mall.saga_state(shopper.cancel_saga()).await, Some(SagaState::Stuck));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Confirmed));
    mall.assert_quiet().await;

    // The operator mends what is wrong and lets it go on.
    let register = BotCommand::Register { name: name("R2") };
    mall.ledger().execute::<Bot>(bot, register, &request()).await.unwrap();
    mall.retry_saga(shopper.cancel_saga()).await.unwrap();
    mall.settle().await;
    assert_undone(&mall, &shopper).await;
    let steps = mall.steps(shopper.cancel_saga()).await;
    assert_eq!(steps[stuck.len()], "CancelShoppingList 4");
    assert_eq!(steps[stuck.len() + 1..], CANCEL_SAGA[1..]);
}

async fn whoever_is_faster_everything_is_accounted_for(shape: Shape) {
    let mall = Mall::open(shape).await;
    let mut shoppers = Vec::new();
    for _ in 0..12 {
        shoppers.push(mall.shopper().await);
    }
    // Each order is called off as soon as its saga has come a little further.
    join_all(shoppers.iter().enumerate().map(async |(n, shopper)| {
        mall.check_out(shopper).await;
        mall.until("the saga to get there", async || mall.events(shopper.saga()).await.len() >= n)
            .await;
        let command = OrderCommand::Cancel { reason: reason("no"), by: "admin".to_owned() };
        loop {
            let canceled =
                mall.ledger().execute::<Order>(shopper.order(), command.clone(), &request()).await;
            match canceled {
                Ok(_) => break,
                // The order of this basket is not placed yet.
                Err(CommandError::Refused(refusal)) if refusal.reason == "ORDER_NOT_FOUND" => {
                    mall.until("the order", async || mall.order_status(shopper).await.is_some())
                        .await;
                }
                Err(CommandError::Contended) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }))
    .await;
    mall.settle().await;

    let mut ends = BTreeSet::new();
    for shopper in &shoppers {
        assert_undone(&mall, shopper).await;
        let events = mall.events(shopper.order()).await;
        ends.insert(events.contains(&"OrderApproved".to_owned()));
    }
    assert!(ends.contains(&false), "some were canceled before they were approved");
}
