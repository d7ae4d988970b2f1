//! The create-order saga, from the checkout to the answer.

use std::time::Duration;

use futures_util::FutureExt;
use mallbots_domain::{
    baskets::Item,
    customers::Customer,
    depot::{
        bot::BotStatus,
        shopping_list::{ShoppingList, ShoppingListCommand, ShoppingListStatus},
    },
    id::{AnyId, EntityId, Kind},
    notifications::NotificationKind,
    ordering::{Order, OrderCommand, OrderStatus},
    payments::{
        invoice::InvoiceStatus,
        payment::{Payment, PaymentStatus},
    },
    saga::{Outcome, SagaEvent, SagaState},
    testing::money,
};
use mallbots_eventstore::{
    append::{Append, NewEvent, NewMessage, StreamWrite},
    error::CommandError,
    message::{MessageKind, Version},
};
use mallbots_messaging::{
    contexts,
    envelope::{CommandEnvelope, REPLIED, ReplyEnvelope},
};
use uuid::Uuid;

use crate::mall::{Mall, Shape, Shopper, TOTAL, in_each_shape, in_time, is_about, new, request};

in_each_shape!(
    d1_an_order_is_accepted_step_by_step,
    an_order_lives_to_the_end,
    d34_a_disabled_customer_is_turned_down,
    a_list_that_cannot_be_written_turns_the_order_down,
    a_payment_that_is_too_small_turns_the_order_down,
    a_payment_of_another_customer_is_left_alone,
    a_payment_of_another_order_is_left_alone,
    a_payment_that_was_let_go_turns_the_order_down,
    a_payment_nobody_knows_turns_the_order_down,
    d35_a_list_that_nobody_may_take_gives_the_payment_back,
    d35_an_order_that_cannot_be_approved_gives_the_payment_back,
    d30_what_a_saga_did_and_what_it_says_next_stand_together,
    d36_a_context_that_is_away_rejects_no_order,
    d39_a_command_nobody_knows_is_parked,
    d39_a_refusal_says_why,
    d40_an_order_created_twice_has_one_saga,
    no_bot_takes_the_list_of_an_order_that_may_still_be_turned_down,
);

const ACCEPTED: [&str; 7] = [
    "create_order",
    "AuthorizeCustomer",
    "CreateShoppingList",
    "ConfirmPayment",
    "InitiateShopping",
    "ApproveOrder",
    "completed",
];

async fn d1_an_order_is_accepted_step_by_step(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;

    assert_eq!(mall.steps(shopper.saga()).await, ACCEPTED);
    let order = mall.order(&shopper).await;
    assert_eq!(order.status(), Some(OrderStatus::Approved));
    assert_eq!(order.shopping_list_id(), Some(shopper.list()));
    let details = order.details().unwrap();
    assert_eq!(details.customer_name.as_str(), "Ada");
    assert_eq!((details.payment_id, details.total), (shopper.payment, money(TOTAL)));

    // The list can be taken, which in the reference program it never could.
    let list = mall.ledger().load::<ShoppingList>(shopper.list()).await.unwrap().state;
    assert_eq!(list.status(), Some(ShoppingListStatus::Available));
    let stops = &list.details().unwrap().stops;
    assert_eq!(stops.iter().map(|stop| stop.items[0].quantity).collect::<Vec<_>>(), [2, 1]);

    let payment = mall.ledger().load::<Payment>(shopper.payment).await.unwrap().state;
    assert_eq!(payment.status(), Some(PaymentStatus::Confirmed));
    assert_eq!(payment.order_id(), Some(shopper.order()));
    let customer = mall.ledger().load::<Customer>(shopper.customer).await.unwrap().state;
    assert_eq!(customer.details().unwrap().authorized, Some(shopper.order()));

    let said = mall.everything().await;
    let commands: Vec<_> = said.iter().filter(|it| it.kind == MessageKind::Command).collect();
    assert_eq!(
        commands.iter().map(|it| &*it.name).collect::<Vec<_>>(),
        [
            "customers.AuthorizeCustomer",
            "depot.CreateShoppingList",
            "payments.ConfirmPayment",
            "depot.InitiateShopping",
            "ordering.ApproveOrder",
        ]
    );
    for command in commands {
        assert_eq!(command.metadata().unwrap().actor, "saga");
        let replies = mall.ledger().caused_by(&[command.message_id]).await.unwrap();
        let replies = replies.iter().filter(|it| it.kind == MessageKind::Reply);
        assert_eq!(replies.count(), 1, "{}", command.name);
    }
    assert_eq!(
        mall.told(&shopper).await,
        [NotificationKind::OrderCreated, NotificationKind::OrderApproved]
    );
    mall.assert_quiet().await;
}

async fn an_order_lives_to_the_end(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let bot = mall.bot().await;

    mall.assign(&shopper, bot).await;
    mall.start_shopping(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::InProgress));
    assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Active));

    mall.shop(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Ready));
    assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Idle));
    assert_eq!(mall.invoice_status(&shopper).await, Some(InvoiceStatus::Pending));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Confirmed));

    mall.pay(&shopper).await;
    mall.settle().await;
    let order = mall.order(&shopper).await;
    assert_eq!(order.status(), Some(OrderStatus::Completed));
    assert_eq!(order.invoice_id(), Some(shopper.invoice()));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Captured));
    assert_eq!(
        mall.told(&shopper).await,
        [
            NotificationKind::OrderCreated,
            NotificationKind::OrderApproved,
            NotificationKind::OrderReady,
            NotificationKind::OrderCompleted,
        ]
    );
    mall.assert_quiet().await;
}

/// The order was turned down for this reason after these steps, and they were
/// undone.
async fn assert_turned_down(mall: &Mall, shopper: &Shopper, done: &[&str], refusal: &str) {
    let (refused, reason) = refusal.split_once(' ').unwrap();
    let mut steps: Vec<_> = ["create_order"].iter().chain(done).map(ToString::to_string).collect();
    steps.push(format!("{refused} {reason}"));
    steps.push(format!("back {reason}"));
    let can_be_undone = |step: &&&str| ["CreateShoppingList", "ConfirmPayment"].contains(*step);
    steps.extend(done.iter().rev().filter(can_be_undone).map(|step| format!("-{step}")));
    steps.extend(["-PlaceOrder".to_owned(), format!("compensated {reason}")]);
    assert_eq!(mall.steps(shopper.saga()).await, steps);
    assert_eq!(mall.saga_state(shopper.saga()).await, Some(SagaState::Compensated));
    assert_eq!(mall.events(shopper.cancel_saga()).await, [""; 0]);

    let order = mall.order(shopper).await;
    assert!(matches!(&order, Order::Rejected { reason: said, .. } if said == reason), "{order:?}");
    assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderRejected"]);
    assert_eq!(mall.invoice_status(shopper).await, None);
    assert_eq!(
        mall.told(shopper).await,
        [NotificationKind::OrderCreated, NotificationKind::OrderRejected]
    );
    mall.assert_quiet().await;
}

async fn d34_a_disabled_customer_is_turned_down(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper().await;
    mall.disable(shopper.customer).await;
    mall.check_out(&shopper).await;
    mall.settle().await;

    assert_turned_down(&mall, &shopper, &[], "AuthorizeCustomer CUSTOMER_DISABLED").await;
    assert_eq!(mall.list_status(&shopper).await, None);
    // Set aside for this order alone, it is let go.
    assert_eq!(mall.events(shopper.payment).await, ["PaymentAuthorized", "PaymentReleased"]);
}

async fn a_list_that_cannot_be_written_turns_the_order_down(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper().await;
    let (list, order) = (shopper.list(), shopper.order());
    let items: Vec<Item> = mall.items(shopper.basket).await[..1].to_vec();
    mall.act(|unit| contexts::depot::create(unit, list, order, items.clone()).boxed())
        .await
        .unwrap();
    mall.check_out(&shopper).await;
    mall.settle().await;

    let done = ["AuthorizeCustomer"];
    assert_turned_down(&mall, &shopper, &done, "CreateShoppingList SHOPPING_LIST_EXISTS").await;
    // It is not the saga's list, so it is not the saga's to tear up.
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Pending));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Released));
}

async fn a_payment_that_is_too_small_turns_the_order_down(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper_with(TOTAL - 1).await;
    mall.check_out(&shopper).await;
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList"];
    assert_turned_down(&mall, &shopper, &done, "ConfirmPayment PAYMENT_TOO_SMALL").await;
    assert_eq!(mall.events(shopper.list()).await, ["ShoppingListCreated", "ShoppingListCanceled"]);
    assert_eq!(mall.events(shopper.payment).await, ["PaymentAuthorized", "PaymentReleased"]);
}

async fn a_payment_of_another_customer_is_left_alone(shape: Shape) {
    let mall = Mall::open(shape).await;
    let other = mall.customer().await;
    let shopper = Shopper { payment: mall.payment(other, TOTAL).await, ..mall.shopper().await };
    mall.order_unchecked(&shopper).await;
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList"];
    assert_turned_down(&mall, &shopper, &done, "ConfirmPayment PAYMENT_OF_ANOTHER_CUSTOMER").await;
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Canceled));
    assert_eq!(mall.events(shopper.payment).await, ["PaymentAuthorized"]);
}

async fn a_payment_of_another_order_is_left_alone(shape: Shape) {
    let mall = Mall::closed(shape).await;
    let first = mall.shopper().await;
    let second = Shopper { basket: mall.full_basket(first.customer).await, ..first };
    mall.check_out(&first).await;
    mall.check_out(&second).await;
    // The second order comes to its payment when the first has it.
    let mut mall = mall.with_crew(&["payments"]);
    mall.settle().await;
    mall.crew().call_in("payments");
    mall.settle().await;

    let mut both = [first, second];
    if mall.order_status(&first).await != Some(OrderStatus::Approved) {
        both.reverse();
    }
    let [accepted, turned_down] = both;
    assert_eq!(mall.steps(accepted.saga()).await, ACCEPTED);
    let done = ["AuthorizeCustomer", "CreateShoppingList"];
    assert_turned_down(&mall, &turned_down, &done, "ConfirmPayment PAYMENT_ALREADY_USED").await;
    assert_eq!(mall.list_status(&turned_down).await, Some(ShoppingListStatus::Canceled));
    assert_eq!(mall.events(first.payment).await, ["PaymentAuthorized", "PaymentConfirmed"]);
    let payment = mall.ledger().load::<Payment>(first.payment).await.unwrap().state;
    assert_eq!(payment.order_id(), Some(accepted.order()));
}

async fn a_payment_that_was_let_go_turns_the_order_down(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper().await;
    let Shopper { customer, payment, .. } = shopper;
    let other = new();
    mall.act(|unit| contexts::payments::let_go(unit, payment, other, customer).boxed())
        .await
        .unwrap();
    mall.order_unchecked(&shopper).await;
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList"];
    assert_turned_down(&mall, &shopper, &done, "ConfirmPayment PAYMENT_NOT_AUTHORIZED").await;
    assert_eq!(mall.payment_status(payment).await, Some(PaymentStatus::Released));
}

async fn a_payment_nobody_knows_turns_the_order_down(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = Shopper { payment: new(), ..mall.shopper().await };
    mall.order_unchecked(&shopper).await;
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList"];
    assert_turned_down(&mall, &shopper, &done, "ConfirmPayment PAYMENT_NOT_FOUND").await;
    assert_eq!(mall.events(shopper.payment).await, [""; 0]);
}

async fn d35_a_list_that_nobody_may_take_gives_the_payment_back(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold_named("depot.InitiateShopping");
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    let command = ShoppingListCommand::Cancel;
    mall.ledger().execute::<ShoppingList>(shopper.list(), command, &request()).await.unwrap();
    hold.release();
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList", "ConfirmPayment"];
    assert_turned_down(&mall, &shopper, &done, "InitiateShopping SHOPPING_LIST_CANCELED").await;
    assert_eq!(
        mall.events(shopper.payment).await,
        ["PaymentAuthorized", "PaymentConfirmed", "PaymentReleased"]
    );
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Canceled));
}

async fn d35_an_order_that_cannot_be_approved_gives_the_payment_back(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold_named("ordering.ApproveOrder");
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    let command = OrderCommand::Reject { reason: "ORDER_NOT_PENDING".to_owned() };
    mall.ledger().execute::<Order>(shopper.order(), command, &request()).await.unwrap();
    hold.release();
    mall.settle().await;

    let done = ["AuthorizeCustomer", "CreateShoppingList", "ConfirmPayment", "InitiateShopping"];
    assert_turned_down(&mall, &shopper, &done, "ApproveOrder ORDER_NOT_PENDING").await;
    assert_eq!(
        mall.events(shopper.payment).await,
        ["PaymentAuthorized", "PaymentConfirmed", "PaymentReleased"]
    );
    assert_eq!(
        mall.events(shopper.list()).await,
        ["ShoppingListCreated", "ShoppingListInitiated", "ShoppingListCanceled"]
    );
}

async fn d30_what_a_saga_did_and_what_it_says_next_stand_together(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper_with(TOTAL - 1).await;
    mall.check_out(&shopper).await;
    mall.settle().await;

    let everything = mall.everything().await;
    let mut started = 0;
    for (event, next) in everything.iter().zip(&everything[1..]) {
        if &*event.name == "sagas.StepStarted" {
            started += 1;
            assert_eq!(next.kind, MessageKind::Command);
            assert_eq!(next.metadata().unwrap(), event.metadata().unwrap());
            let asked: CommandEnvelope = serde_json::from_str(&next.payload).unwrap();
            let SagaEvent::StepStarted { of } =
                serde_json::from_str(&format!("{{\"StepStarted\":{}}}", event.payload)).unwrap()
            else {
                panic!("{} is no start of a step", event.name);
            };
            assert_eq!((asked.saga, asked.of), (shopper.saga(), of));
        }
    }
    // Three steps forward, the third of them refused, and two back.
    assert_eq!(started, 5);
}

async fn d36_a_context_that_is_away_rejects_no_order(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    // More often than a message may fail before it is parked.
    mall.gate().break_down(7, |_, message| message.kind != MessageKind::Event);
    mall.gate().break_down(4, is_about(Kind::Order));
    let shopper = mall.settled_shopper().await;

    assert_eq!(mall.steps(shopper.saga()).await, ACCEPTED);
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    mall.assert_quiet().await;
}

async fn d39_a_command_nobody_knows_is_parked(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let before = mall.ledger().head();
    let command = |stream: AnyId, name: &str, payload: &str| NewMessage {
        kind: MessageKind::Command,
        stream,
        name: name.to_owned(),
        message_id: Uuid::now_v7(),
        payload: payload.to_owned(),
    };
    let (bot, payment, saga) =
        (new::<mallbots_domain::id::BotId>(), shopper.payment, shopper.saga());
    mall.say(command(bot.any(), "depot.PolishBot", "{}")).await;
    mall.say(command(payment.any(), "payments.DoublePayment", "{\"command\":7}")).await;
    mall.say(command(saga.any(), "sagas.Rest", "{}")).await;
    mall.settle().await;

    // Nobody said that it was done.
    let said = mall.ledger().read(before, 100).await.unwrap();
    assert_eq!(said.len(), 3, "nothing but what was asked: {said:?}");
    let mut parked: Vec<_> =
        mall.letters().await.into_iter().map(|it| (it.consumer, it.attempts)).collect();
    parked.sort();
    assert_eq!(
        parked,
        [("depot".to_owned(), 1), ("payments".to_owned(), 1), ("sagas".to_owned(), 1)]
    );
}

async fn d39_a_refusal_says_why(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.shopper_with(1).await;
    mall.check_out(&shopper).await;
    mall.settle().await;

    let everything = mall.everything().await;
    let replies = everything.iter().filter(|it| &*it.name == REPLIED);
    let outcomes =
        replies.map(|it| serde_json::from_str::<ReplyEnvelope>(&it.payload).unwrap().outcome);
    let refusals: Vec<_> = outcomes.filter(|it| *it != Outcome::Succeeded {}).collect();
    assert_eq!(
        refusals,
        [Outcome::Refused {
            reason: "PAYMENT_TOO_SMALL".to_owned(),
            message: "the payment does not cover the order".to_owned(),
        }]
    );
}

async fn d40_an_order_created_twice_has_one_saga(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let stream = shopper.order().any();
    let created = mall.ledger().read_stream(stream, Version(0), 1).await.unwrap().remove(0);
    let events = mall.ledger().load::<Order>(shopper.order()).await.unwrap().version;
    let again = NewEvent {
        name: created.name.clone(),
        schema_version: created.schema_version,
        payload: created.payload.to_string(),
    };
    let write = StreamWrite { stream, expected: events, events: vec![again] };
    let append = Append { streams: vec![write], ..Append::new(request()) };
    mall.ledger().append(append).await.unwrap();
    mall.settle().await;

    assert_eq!(mall.steps(shopper.saga()).await, ACCEPTED);
    let sagas = mall.streams().await.into_keys().filter(|id| id.starts_with("saga_")).count();
    assert_eq!(sagas, 1);
    mall.assert_quiet().await;
}

async fn no_bot_takes_the_list_of_an_order_that_may_still_be_turned_down(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold_named("ordering.ApproveOrder");
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    hold.reached().await;
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Available));
    let (list, bot) = (shopper.list(), mall.bot().await);
    let assigned = mall.act(|unit| contexts::depot::assign(unit, list, bot).boxed()).await;
    let Err(CommandError::Refused(refusal)) = assigned else { panic!("{assigned:?}") };
    assert_eq!((refusal.reason, refusal.state), ("ORDER_NOT_APPROVED", Some("PENDING")));
    assert_eq!(mall.bot_status(bot).await, Some(BotStatus::Idle));

    // Whoever is faster than the approval may wait for it, but not for ever.
    contexts::depot::approval(mall.ledger(), list, Duration::ZERO).await.unwrap();
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Pending));
    let patience = Duration::from_mins(1);
    let mut approval = Box::pin(contexts::depot::approval(mall.ledger(), list, patience));
    assert!(futures_util::poll!(&mut approval).is_pending());
    hold.release();
    in_time("the approval", approval).await.unwrap();
    mall.assign(&shopper, bot).await;
    mall.settle().await;
    assert_eq!(mall.list_status(&shopper).await, Some(ShoppingListStatus::Assigned));
}
