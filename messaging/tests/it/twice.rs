//! Whatever is said twice, late or all over again happens once.

use std::collections::BTreeMap;

use mallbots_domain::{
    depot::shopping_list::{ShoppingList, ShoppingListCommand},
    id::{AnyId, EntityId},
    notifications::NotificationKind,
    ordering::{Order, OrderCommand},
};
use mallbots_eventstore::message::MessageKind;

use crate::{
    crew::{Gate, again},
    mall::{Mall, Shape, Shopper, TOTAL, in_each_shape, request},
};

in_each_shape!(
    every_action_and_compensation_done_twice_is_done_once,
    d33_what_was_said_long_ago_changes_nothing,
    what_was_said_is_not_said_again_under_its_id,
    d27_reading_history_again_has_no_effect,
    a_question_about_an_older_order_is_not_answered_again,
);

/// The ways an order may go, by the step at which somebody says no.
const WAYS: [&str; 8] = [
    "accepted",
    "AuthorizeCustomer",
    "ConfirmPayment",
    "InitiateShopping",
    "ApproveOrder",
    "canceled early",
    "canceled late",
    "completed",
];

/// Goes one of the ways.
async fn go(mall: &mut Mall, way: &str) -> Shopper {
    let money = if way == "ConfirmPayment" { TOTAL - 1 } else { TOTAL };
    let shopper = mall.shopper_with(money).await;
    let name = match way {
        "InitiateShopping" | "canceled early" => "depot.InitiateShopping",
        "ApproveOrder" => "ordering.ApproveOrder",
        _ => "nothing",
    };
    let hold = mall.gate().hold_named(name);
    if way == "AuthorizeCustomer" {
        mall.disable(shopper.customer).await;
    }
    mall.check_out(&shopper).await;
    match way {
        "accepted" | "AuthorizeCustomer" | "ConfirmPayment" => {}
        "InitiateShopping" => {
            hold.reached().await;
            let cancel = ShoppingListCommand::Cancel;
            let list = shopper.list();
            mall.ledger().execute::<ShoppingList>(list, cancel, &request()).await.unwrap();
        }
        "ApproveOrder" => {
            hold.reached().await;
            let reject = OrderCommand::Reject { reason: "NO".to_owned() };
            mall.ledger().execute::<Order>(shopper.order(), reject, &request()).await.unwrap();
        }
        "canceled early" => {
            hold.reached().await;
            mall.cancel(&shopper).await;
            mall.until("the saga to turn back", async || {
                let events = mall.events(shopper.saga()).await;
                events.contains(&"CompensationStarted".to_owned())
            })
            .await;
        }
        "canceled late" | "completed" => {
            mall.settle().await;
            let bot = mall.bot().await;
            mall.assign(&shopper, bot).await;
            mall.start_shopping(&shopper).await;
            mall.settle().await;
            if way == "canceled late" {
                mall.cancel(&shopper).await;
            } else {
                mall.shop(&shopper).await;
                mall.settle().await;
                mall.pay(&shopper).await;
            }
        }
        way => panic!("{way} leads nowhere"),
    }
    hold.release();
    mall.settle().await;
    shopper
}

/// What happened to everything that has to do with an order.
async fn story(mall: &Mall, shopper: &Shopper) -> BTreeMap<String, Vec<String>> {
    let mut streams: Vec<(&str, AnyId)> = vec![
        ("customer", shopper.customer.any()),
        ("basket", shopper.basket.any()),
        ("order", shopper.order().any()),
        ("payment", shopper.payment.any()),
        ("list", shopper.list().any()),
        ("invoice", shopper.invoice().any()),
        ("saga", shopper.saga().any()),
        ("cancel saga", shopper.cancel_saga().any()),
    ];
    for kind in NotificationKind::ALL {
        streams.push((kind.as_str(), shopper.order().notification(kind).any()));
    }
    let list = mall.ledger().load::<ShoppingList>(shopper.list()).await.unwrap().state;
    streams.extend(list.bot_id().map(|bot| ("bot", bot.any())));
    let mut story = BTreeMap::new();
    for (what, stream) in streams {
        story.insert(what.to_owned(), mall.events(stream).await);
    }
    story
}

async fn every_action_and_compensation_done_twice_is_done_once(shape: Shape) {
    let mut once = Mall::staffed(shape).await;
    let mut twice = Mall::staffed(shape).await;
    twice.gate().double();
    for way in WAYS {
        let shopper = go(&mut once, way).await;
        let expected = story(&once, &shopper).await;
        let shopper = go(&mut twice, way).await;
        assert_eq!(story(&twice, &shopper).await, expected, "{way}");
    }
    let said = async |mall: &Mall| {
        let everything = mall.everything().await;
        let said = everything.iter().filter(|it| it.kind == MessageKind::Command);
        said.count()
    };
    assert_eq!(said(&twice).await, 2 * said(&once).await, "each command was given twice");
    twice.assert_quiet().await;
}

async fn d33_what_was_said_long_ago_changes_nothing(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    for way in WAYS {
        go(&mut mall, way).await;
    }
    let streams = mall.streams().await;
    let said: Vec<_> = mall.everything().await;
    let mut copies = 0;
    for message in said.iter().filter(|it| it.kind != MessageKind::Event) {
        mall.say(again(message)).await;
        copies += 1;
    }
    assert!(copies > 60, "{copies} are few");
    mall.settle().await;
    assert_eq!(mall.streams().await, streams);
    mall.assert_quiet().await;
}

async fn what_was_said_is_not_said_again_under_its_id(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    go(&mut mall, "ConfirmPayment").await;
    let head = mall.ledger().head();
    for message in mall.everything().await {
        if message.kind != MessageKind::Event {
            let mut copy = again(&message);
            copy.message_id = message.message_id;
            mall.say(copy).await;
        }
    }
    mall.settle().await;
    assert_eq!(mall.ledger().head(), head);
}

async fn d27_reading_history_again_has_no_effect(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    for way in WAYS {
        go(&mut mall, way).await;
    }
    let head = mall.ledger().head();
    for _ in 0..2 {
        mall = mall.forgotten().await.with_gated_crew(Gate::default(), &[]);
        mall.settle().await;
        assert_eq!(mall.ledger().head(), head, "nothing happened, and nobody was told anything");
        mall.assert_quiet().await;
    }
}

async fn a_question_about_an_older_order_is_not_answered_again(shape: Shape) {
    let mall = Mall::open(shape).await;
    let first = mall.settled_shopper().await;
    let second = Shopper {
        basket: mall.full_basket(first.customer).await,
        payment: mall.payment(first.customer, TOTAL).await,
        ..first
    };
    mall.check_out(&second).await;
    mall.settle().await;
    let events = ["CustomerRegistered", "CustomerAuthorized", "CustomerAuthorized"];
    assert_eq!(mall.events(first.customer).await, events);

    let asked = "customers.AuthorizeCustomer";
    for message in mall.everything().await.iter().filter(|it| &*it.name == asked) {
        mall.say(again(message)).await;
    }
    mall.settle().await;
    assert_eq!(mall.events(first.customer).await, events);
}
