//! How messages get out to customers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hmac::{Hmac, KeyInit, Mac};
use mallbots_domain::{
    id::EntityId,
    notifications::{
        Notification, NotificationEvent,
        NotificationKind::{self, OrderApproved, OrderCreated},
    },
};
use mallbots_eventstore::{codec, message::Version};
use mallbots_messaging::notifier::{Notifier, Notifying, Webhook};
use mallbots_testing::ledgers::{BEGINNING, Tasks};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::{
    crew::{Consumer, Crew, Gate, impatient},
    mall::{Mall, Shape, Shopper, in_each_shape, in_time, options},
    webhook::{Request, Server},
};

in_each_shape!(
    by_default_messages_go_to_the_log,
    a_webhook_is_told_signed_and_once,
    a_webhook_that_fails_is_told_again,
    a_webhook_that_keeps_failing_is_given_up,
    a_webhook_nobody_listens_at_is_given_up,
    a_redirect_is_no_success,
    what_was_sent_is_not_sent_again_after_a_restart,
    what_was_not_sent_is_sent_after_a_restart,
    a_customer_is_told_in_order,
    a_webhook_that_hangs_does_not_hold_up_the_mall,
);

const SECRET: &str = "s3cret";

fn webhook(url: &str) -> Notifier {
    Notifier::Webhook(Webhook::new(url.parse().unwrap(), SECRET).unwrap())
}

async fn mall_with(shape: Shape, url: &str) -> Mall {
    Mall::closed(shape).await.with_post(webhook(url))
}

/// An order that makes the mall say two things, both of which are settled.
async fn two_things(mall: &Mall) -> Shopper {
    mall.settled_shopper().await
}

/// How a message ended.
async fn ended(mall: &Mall, shopper: &Shopper, kind: NotificationKind) -> NotificationEvent {
    let stream = shopper.order().notification(kind).any();
    let events = mall.ledger().read_stream(stream, Version(1), 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].metadata().unwrap().actor, "notifier");
    codec::decode::<Notification>(&events[0], mall.ledger().upcasters()).unwrap()
}

fn ids(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.header("idempotency-key").to_owned()).collect()
}

async fn by_default_messages_go_to_the_log(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = two_things(&mall).await;
    for kind in [OrderCreated, OrderApproved] {
        assert_eq!(ended(&mall, &shopper, kind).await, NotificationEvent::NotificationSent {});
    }
}

async fn a_webhook_is_told_signed_and_once(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| "204 No Content".to_owned()).await;
    let mall = mall_with(shape, &server.url).await;
    let shopper = two_things(&mall).await;

    let requests = server.requests();
    let created = shopper.order().notification(OrderCreated);
    let approved = shopper.order().notification(OrderApproved);
    assert_eq!(ids(&requests), [created.to_string(), approved.to_string()]);
    for request in &requests {
        assert_eq!(request.line, "POST /hook?secret=1 HTTP/1.1");
        assert_eq!(request.header("content-type"), "application/json");
        let signature = request.header("x-mallbots-signature");
        let (at, digest) = signature.split_once(",v1=").unwrap();
        let at = at.strip_prefix("t=").unwrap();
        assert_eq!(at, (BEGINNING / 1_000_000).to_string());
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{at}.{}", request.body).as_bytes());
        let digest: Vec<u8> = (0..digest.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap())
            .collect();
        mac.verify_slice(&digest).unwrap();
    }
    let body: Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(
        body,
        json!({
            "id": created,
            "customerId": shopper.customer,
            "smsNumber": "+15550100",
            "orderId": shopper.order(),
            "kind": "ORDER_CREATED",
            "text": format!("We received your order {}.", shopper.order()),
        })
    );
    assert_eq!(ended(&mall, &shopper, OrderApproved).await, NotificationEvent::NotificationSent {});
    mall.close().await;
    tasks.end().await;
}

async fn a_webhook_that_fails_is_told_again(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |nth| {
        let answer = if nth <= 5 { "503 Service Unavailable" } else { "200 OK" };
        answer.to_owned()
    })
    .await;
    let mall = mall_with(shape, &server.url).await;
    let shopper = two_things(&mall).await;

    let ids = ids(&server.requests());
    let created = shopper.order().notification(OrderCreated).to_string();
    assert_eq!(ids.len(), 7);
    assert!(ids[..6].iter().all(|id| *id == created), "under the same key each time");
    for kind in [OrderCreated, OrderApproved] {
        assert_eq!(ended(&mall, &shopper, kind).await, NotificationEvent::NotificationSent {});
    }
    mall.assert_quiet().await;
    mall.close().await;
    tasks.end().await;
}

async fn a_webhook_that_keeps_failing_is_given_up(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| "500 Internal Server Error".to_owned()).await;
    let mall = mall_with(shape, &server.url).await;
    let shopper = two_things(&mall).await;

    assert_eq!(server.requests().len(), 2 * 8);
    for kind in [OrderCreated, OrderApproved] {
        assert_eq!(
            ended(&mall, &shopper, kind).await,
            NotificationEvent::NotificationFailed {
                reason: "the webhook answered 500 Internal Server Error".to_owned()
            }
        );
    }
    // It is the message that failed: nothing is stuck behind it.
    mall.assert_quiet().await;
    mall.close().await;
    tasks.end().await;
}

async fn a_webhook_nobody_listens_at_is_given_up(shape: Shape) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mall = mall_with(shape, &format!("http://{address}/hook?secret=1")).await;
    let shopper = two_things(&mall).await;
    let NotificationEvent::NotificationFailed { reason } =
        ended(&mall, &shopper, OrderCreated).await
    else {
        panic!("nobody was told");
    };
    assert!(reason.contains("Connection refused"), "{reason}");
    assert!(!reason.contains("secret"), "{reason}");
    mall.assert_quiet().await;
}

async fn a_redirect_is_no_success(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| "302 Found\r\nlocation: /elsewhere".to_owned()).await;
    let mall = mall_with(shape, &server.url).await;
    let shopper = two_things(&mall).await;
    assert!(server.requests().iter().all(|request| request.line.starts_with("POST /hook")));
    assert_eq!(
        ended(&mall, &shopper, OrderCreated).await,
        NotificationEvent::NotificationFailed {
            reason: "the webhook answered 302 Found".to_owned()
        }
    );
    mall.close().await;
    tasks.end().await;
}

async fn what_was_sent_is_not_sent_again_after_a_restart(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| "200 OK".to_owned()).await;
    let mall = mall_with(shape, &server.url).await;
    two_things(&mall).await;
    assert_eq!(server.requests().len(), 2);
    let mall = mall.reopened().await.with_post(webhook(&server.url));
    mall.settle().await;
    // Not even if the consumer has forgotten all about it.
    let mall = mall.forgotten().await.with_post(webhook(&server.url));
    mall.settle().await;
    assert_eq!(server.requests().len(), 2);
    mall.close().await;
    tasks.end().await;
}

async fn what_was_not_sent_is_sent_after_a_restart(shape: Shape) {
    let tasks = Tasks::default();
    let works = Arc::new(AtomicBool::new(false));
    let answers = works.clone();
    let server = Server::start(&tasks, move |_| {
        // Until it works, it never answers.
        if answers.load(Ordering::SeqCst) { "200 OK".to_owned() } else { String::new() }
    })
    .await;
    let mall = Mall::closed(shape).await;
    let hung = Tasks::default();
    let shopper = {
        let notifier = Arc::new(Notifying::new(mall.ledger().clone(), webhook(&server.url)));
        let consumer = Consumer::start(&mall.office(), notifier, &impatient(), &hung);
        let crew = Crew::start(mall.office(), options(), Gate::default(), &["notifier"]);
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        let mut heard = server.heard();
        in_time("the webhook", heard.wait_for(|requests| !requests.is_empty())).await.unwrap();
        crew.settle().await;
        crew.end().await;
        consumer.kill().await;
        shopper
    };
    works.store(true, Ordering::SeqCst);
    let mall = mall.with_post(webhook(&server.url));
    mall.settle().await;
    let created = shopper.order().notification(OrderCreated).to_string();
    let told = ids(&server.requests());
    assert_eq!(told.iter().filter(|id| **id == created).count(), 2, "it may have been heard");
    assert_eq!(told.len(), 3);
    assert_eq!(ended(&mall, &shopper, OrderCreated).await, NotificationEvent::NotificationSent {});
    mall.close().await;
    tasks.end().await;
}

async fn a_customer_is_told_in_order(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let first = mall.shopper().await;
    let created = first.order().notification(OrderCreated).any();
    let hold = mall
        .gate()
        .hold(move |consumer, message| consumer == "notifier" && message.stream == created);
    mall.check_out(&first).await;
    hold.reached().await;
    mall.until("something else to tell", async || {
        mall.events(first.order().notification(OrderApproved)).await.len() == 1
    })
    .await;

    // Others are told what came later; but not the one who was not told what came first.
    let second = mall.shopper().await;
    mall.check_out(&second).await;
    mall.until("the others to be told", async || mall.told(&second).await.len() == 2).await;
    assert_eq!(mall.told(&first).await, []);
    hold.release();
    mall.settle().await;
    assert_eq!(mall.told(&first).await, [OrderCreated, OrderApproved]);
}

async fn a_webhook_that_hangs_does_not_hold_up_the_mall(shape: Shape) {
    let tasks = Tasks::default();
    let server = Server::start(&tasks, |_| String::new()).await;
    let mall = mall_with(shape, &server.url).await;
    let shopper = mall.shopper().await;
    mall.check_out(&shopper).await;
    mall.until("the order to be approved", async || {
        mall.events(shopper.order()).await.contains(&"OrderApproved".to_owned())
    })
    .await;
    // It hangs up, and the post can end.
    tasks.end().await;
    mall.close().await;
    drop(server);
}
