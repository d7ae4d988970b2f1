//! What is watched: first what there is, then every change; and what can be
//! resumed is resumed, across restarts and crashes of the server too.

use std::collections::BTreeSet;

use futures_util::{SinkExt, StreamExt};
use mallbots_domain::{
    id::{BasketId, CustomerId, EntityId, OrderId, StoreId},
    ordering::OrderStatus,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::support::{
    Line, Mall, PROGRESS, Progress, Shopper, new_id, on_both_backends, progress, within,
};

on_both_backends! {
    a_basket_is_watched,
    the_products_of_a_store_are_watched,
    bots_are_watched,
    shopping_lists_are_watched,
    an_order_is_watched,
    orders_that_fit_are_watched,
    messages_to_a_customer_are_watched,
    whoever_comes_in_the_middle_misses_nothing,
    progress_resumes_behind_any_item,
    progress_resumes_across_a_restart,
    progress_resumes_across_crashes_in_the_middle,
}

// ---- the latest value

async fn a_basket_is_watched(mall: Mall) {
    let shopper = mall.given_a_shopper().await;
    let line = shopper.lines[0];
    let arguments = [("id", "ID!", json!(shopper.basket))];
    let mut watch = mall.watch("basketChanged", &arguments, "status items { quantity }").await;
    let basket = |status: &str, quantities: &[u32]| {
        let items: Vec<_> =
            quantities.iter().map(|quantity| json!({ "quantity": quantity })).collect();
        json!({ "status": status, "items": items })
    };

    assert_eq!(watch.next().await, basket("OPEN", &[2]));
    mall.given_in_the_basket(shopper.basket, 3, line.product).await;
    assert_eq!(watch.next().await, basket("OPEN", &[5]));
    mall.when_removing(shopper.basket, 5, line.product).await.succeeds();
    assert_eq!(watch.next().await, basket("OPEN", &[]));
    mall.given("cancelBasket", json!({ "id": shopper.basket })).await;
    assert_eq!(watch.next().await, basket("CANCELED", &[]));

    // Whoever comes later begins with what there is now.
    let mut late = mall.watch("basketChanged", &arguments, "status items { quantity }").await;
    assert_eq!(late.next().await, basket("CANCELED", &[]));
}

async fn the_products_of_a_store_are_watched(mall: Mall) {
    let store = mall.given_a_store("Waldorf Books").await;
    let other = mall.given_a_store("Statler Toys").await;
    let wizard = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;
    let owl = mall.given_a_product(store, "Owl", "20.00").await;
    let arguments = [("storeId", "ID!", json!(store))];
    let selection = "id name price { amount } removed";
    let mut watch = mall.watch("productsChanged", &arguments, selection).await;
    let product = |id, name: &str, price: &str, removed: bool| json!({ "id": id, "name": name, "price": { "amount": price }, "removed": removed });

    assert_eq!(watch.next().await, product(wizard, "Wizard w/ crystal", "9.99", false));
    assert_eq!(watch.next().await, product(owl, "Owl", "20.00", false));
    // What happens in another store is not told.
    mall.given_a_product(other, "Hat", "5.00").await;
    let bat = mall.given_a_product(store, "Bat", "1.00").await;
    assert_eq!(watch.next().await, product(bat, "Bat", "1.00", false));
    mall.given("increaseProductPrice", json!({ "id": owl, "price": "21.00" })).await;
    assert_eq!(watch.next().await, product(owl, "Owl", "21.00", false));
    mall.given("removeProduct", json!({ "id": wizard })).await;
    assert_eq!(watch.next().await, product(wizard, "Wizard w/ crystal", "9.99", true));
}

async fn bots_are_watched(mall: Mall) {
    let robby = mall.given_an_idle_bot("Robby").await;
    let mut watch = mall.watch("botsChanged", &[], "id status").await;
    let bot = |id, status: &str| json!({ "id": id, "status": status });

    assert_eq!(watch.next().await, bot(robby, "IDLE"));
    mall.given("takeBotOffline", json!({ "id": robby })).await;
    assert_eq!(watch.next().await, bot(robby, "OFFLINE"));
    let marvin = new_id();
    mall.given("registerBot", json!({ "id": marvin, "name": "Marvin" })).await;
    assert_eq!(watch.next().await, bot(marvin, "OFFLINE"));
    mall.given("bringBotOnline", json!({ "id": marvin })).await;
    assert_eq!(watch.next().await, bot(marvin, "IDLE"));
    let shopper = mall.given_an_approved_order().await;
    mall.given("assignShoppingList", json!({ "id": shopper.list(), "botId": marvin })).await;
    assert_eq!(watch.next().await, bot(marvin, "ACTIVE"));
}

async fn shopping_lists_are_watched(mall: Mall) {
    let first = mall.given_an_approved_order().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let selection = "id status stops { items { picked } }";
    let states = json!(["AVAILABLE", "ASSIGNED", "ACTIVE"]);
    let arguments = [("statuses", "[ShoppingListStatus!]", states)];
    let mut watch = mall.watch("shoppingListsChanged", &arguments, selection).await;
    let list = |shopper: &Shopper, status: &str, picked: u32| {
        json!({
            "id": shopper.list(), "status": status, "stops": [{ "items": [{ "picked": picked }] }],
        })
    };

    // The board as it is, then each list that comes onto it or moves on it.
    assert_eq!(watch.next().await, list(&first, "AVAILABLE", 0));
    let second = mall.given_an_approved_order().await;
    assert_eq!(watch.next().await, list(&second, "AVAILABLE", 0));
    mall.given("assignShoppingList", json!({ "id": first.list(), "botId": bot })).await;
    assert_eq!(watch.next().await, list(&first, "ASSIGNED", 0));
    mall.given("startShopping", json!({ "id": first.list() })).await;
    assert_eq!(watch.next().await, list(&first, "ACTIVE", 0));
    mall.given_all_is_picked(&first).await;
    assert_eq!(watch.next().await, list(&first, "ACTIVE", 2));

    // Lists that are done leave it without a word here, but not where all are watched.
    let mut all = mall.watch("shoppingListsChanged", &[], selection).await;
    let mut now = [all.next().await, all.next().await];
    now.sort_by_key(|list| list["id"].to_string());
    assert_eq!(now, [list(&first, "ACTIVE", 2), list(&second, "AVAILABLE", 0)]);
    mall.given("completeShoppingList", json!({ "id": first.list() })).await;
    assert_eq!(all.next().await, list(&first, "COMPLETED", 2));
    mall.when_canceling(second.order()).await.succeeds();
    assert_eq!(all.next().await, list(&second, "CANCELED", 0));
    let third = mall.given_an_approved_order().await;
    assert_eq!(watch.next().await, list(&third, "AVAILABLE", 0));
}

async fn an_order_is_watched(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let order = shopper.order();
    let bot = mall.given_an_idle_bot("Robby").await;
    let arguments = [("id", "ID!", json!(order))];
    let mut watch = mall.watch("orderChanged", &arguments, "id status").await;
    let is = |status: &str| json!({ "id": order, "status": status });

    assert_eq!(watch.next().await, is("APPROVED"));
    mall.given("assignShoppingList", json!({ "id": shopper.list(), "botId": bot })).await;
    mall.given("startShopping", json!({ "id": shopper.list() })).await;
    assert_eq!(watch.next().await, is("IN_PROGRESS"));
    mall.given_all_is_picked(&shopper).await;
    mall.given("completeShoppingList", json!({ "id": shopper.list() })).await;
    assert_eq!(watch.next().await, is("READY"));
    mall.until(order, "the invoice", |order| order["invoice"].is_object()).await;
    mall.given("payInvoice", json!({ "id": order.invoice() })).await;
    assert_eq!(watch.next().await, is("COMPLETED"));

    // An order can be watched from the moment its basket is bought.
    let next = mall.given_a_shopper().await;
    mall.when_checking_out(next.basket, next.payment).await.succeeds();
    let arguments = [("id", "ID!", json!(next.order()))];
    let mut watch = mall.watch("orderChanged", &arguments, "status").await;
    watch.until(|order| order["status"] == "APPROVED").await;
}

async fn orders_that_fit_are_watched(mall: Mall) {
    let ada = mall.given_an_approved_order().await;
    let filter = json!({ "customerId": ada.customer, "statuses": ["APPROVED", "CANCELED"] });
    let arguments = [("filter", "OrderFilter", filter)];
    let mut watch = mall.watch("ordersChanged", &arguments, "id status").await;
    let is = |order: OrderId, status: &str| json!({ "id": order, "status": status });

    assert_eq!(watch.next().await, is(ada.order(), "APPROVED"));
    // Neither somebody else's orders are told nor those that do not stand there.
    mall.given_an_approved_order().await;
    let again = mall.given_a_shopper_with(ada.customer, &ada.lines, "19.98").await;
    mall.given_it_is_approved(&again).await;
    assert_eq!(watch.next().await, is(again.order(), "APPROVED"));
    mall.when_canceling(ada.order()).await.succeeds();
    assert_eq!(watch.next().await, is(ada.order(), "CANCELED"));

    // Whoever comes later sees the newest first.
    let mut late = mall.watch("ordersChanged", &arguments, "id status").await;
    assert_eq!(late.next().await, is(again.order(), "APPROVED"));
    assert_eq!(late.next().await, is(ada.order(), "CANCELED"));
}

#[tokio::test]
async fn how_far_the_read_models_are_is_watched() {
    let mall = Mall::open().await;
    let mut watch = mall.watch("projectionsChanged", &[], "name position lag parked").await;
    let now = watch.next().await;
    let names: BTreeSet<_> =
        now.as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert!(names.contains("orders") && names.contains("order_timeline"), "{names:?}");

    let reached = mall.position().await;
    watch
        .until(|models| {
            models.as_array().unwrap().iter().all(|model| {
                let position: u64 = model["position"].as_str().unwrap().parse().unwrap();
                position >= reached && model["lag"] == 0 && model["parked"] == 0
            })
        })
        .await;
}

// ---- every item

/// A socket whose frames are looked at whole: what stands beside an item's
/// data is of interest here.
struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(mall: &Mall, init: Value) -> Self {
        let url = mall.client.url().as_str().replacen("http", "ws", 1);
        let mut request = url.into_client_request().unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let mut socket = Self(connect_async(request).await.unwrap().0);
        socket.send(json!({ "type": "connection_init", "payload": init })).await;
        assert_eq!(socket.next().await["type"], "connection_ack");
        socket
    }

    async fn subscribe(&mut self, payload: Value) {
        self.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            match within("a frame", self.0.next()).await.unwrap().unwrap() {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] != "ping" {
                        return message;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    /// The next item: its data and its cursor.
    async fn item(&mut self) -> (Value, String) {
        let mut message = self.next().await;
        assert_eq!(message["type"], "next", "{message}");
        let payload = &mut message["payload"];
        let cursor = payload["extensions"]["cursor"].as_str().unwrap().to_owned();
        (payload["data"].take(), cursor)
    }
}

async fn messages_to_a_customer_are_watched(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let document = "subscription($id: ID!, $after: Cursor) {
        notificationSent(customerId: $id, after: $after) { kind status order { id } } }";
    let about = |after: Option<&str>| json!({ "query": document, "variables": { "id": shopper.customer, "after": after } });
    let message = |kind: &str| {
        let order = json!({ "id": shopper.order() });
        json!({ "notificationSent": { "kind": kind, "status": "SENT", "order": order } })
    };

    // What went out, then what goes out.
    let mut socket = Socket::open(&mall, json!({})).await;
    socket.subscribe(about(None)).await;
    let (first, after_first) = socket.item().await;
    let (second, after_second) = socket.item().await;
    let mut both = [first.clone(), second.clone()];
    both.sort_by_key(ToString::to_string);
    assert_eq!(both, [message("ORDER_APPROVED"), message("ORDER_CREATED")]);
    mall.when_canceling(shopper.order()).await.succeeds();
    assert_eq!(socket.item().await.0, message("ORDER_CANCELED"));

    // Behind a cursor, told as an argument, with the operation or with the socket.
    let mut by_argument = Socket::open(&mall, json!({})).await;
    by_argument.subscribe(about(Some(&after_first))).await;
    assert_eq!(by_argument.item().await, (second.clone(), after_second.clone()));
    assert_eq!(by_argument.item().await.0, message("ORDER_CANCELED"));
    let mut with_operation = Socket::open(&mall, json!({})).await;
    let mut payload = about(None);
    payload["extensions"] = json!({ "resume": after_second });
    with_operation.subscribe(payload).await;
    assert_eq!(with_operation.item().await.0, message("ORDER_CANCELED"));
    let mut with_socket = Socket::open(&mall, json!({ "resume": after_first })).await;
    with_socket.subscribe(about(None)).await;
    assert_eq!(with_socket.item().await, (second, after_second));
}

async fn whoever_comes_in_the_middle_misses_nothing(mall: Mall) {
    let shopper = mall.given_a_shopper().await;
    let order = shopper.order();
    mall.when_checking_out(shopper.basket, shopper.payment).await.succeeds();

    // They come one after the other, as long as something happens.
    let mut watches = Vec::new();
    let mut lasts = Vec::new();
    let arguments = [("id", "ID!", json!(order))];
    let state = "query($id: ID!) { order(id: $id) { saga { state } } }";
    loop {
        watches.push(mall.watch_progress(order, None).await);
        lasts.push(mall.watch("orderChanged", &arguments, "status").await);
        let now = mall.ask(state, json!({ "id": order })).await.succeeds();
        if now["order"]["saga"]["state"] == "COMPLETED" {
            break;
        }
    }
    mall.then_the_customer_was_told(order, &["ORDER_CREATED", "ORDER_APPROVED"]).await;
    let all = mall.timeline(order).await;
    for watch in &mut watches {
        for item in &all {
            assert_eq!(progress(watch.next().await), *item);
        }
    }
    for watch in &mut lasts {
        watch.until(|order| order["status"] == "APPROVED").await;
    }
}

async fn progress_resumes_behind_any_item(mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let order = shopper.order();
    let all = mall.timeline(order).await;
    assert!(all.len() > 15, "{all:#?}");

    // From the beginning, every item once, then the next to come.
    let mut from_the_start = mall.watch_progress(order, None).await;
    for item in &all {
        assert_eq!(progress(from_the_start.next().await), *item);
    }
    let mut resumed = Vec::new();
    for item in &all {
        resumed.push(mall.watch_progress(order, Some(&item.cursor)).await);
    }
    mall.when_canceling(order).await.succeeds();
    mall.then_the_customer_was_told(order, &["ORDER_CANCELED"]).await;
    mall.until(order, "the saga's end", |order| order["saga"]["state"] == "COMPLETED").await;
    let longer = mall.timeline(order).await;
    assert_eq!(longer[..all.len()], all);
    for item in &longer[all.len()..] {
        assert_eq!(progress(from_the_start.next().await), *item);
    }

    // Behind any item, all the others, those to come included.
    for (place, watch) in resumed.iter_mut().enumerate() {
        for item in &longer[place + 1..] {
            assert_eq!(progress(watch.next().await), *item);
        }
    }

    // The saga's steps are a feed of their own, with the same cursors.
    let of_saga: Vec<_> = longer.iter().filter(|item| item.kind == "SAGA").collect();
    let selection = "cursor state step { name state attempts reason } saga { id }";
    let watching =
        |after: Option<&str>| [("orderId", "ID!", json!(order)), ("after", "Cursor", json!(after))];
    let mut sagas = mall.watch("sagaProgress", &watching(None), selection).await;
    let mut states = Vec::new();
    for item in &of_saga {
        let seen = sagas.next().await;
        assert_eq!(seen["cursor"], item.cursor);
        let step: Option<crate::support::Step> =
            serde_json::from_value(seen["step"].clone()).unwrap();
        assert_eq!(step, item.saga_step);
        states.push(seen["state"].as_str().unwrap().to_owned());
    }
    assert_eq!((&*states[0], &**states.last().unwrap()), ("RUNNING", "COMPLETED"));
    let middle = of_saga.len() / 2;
    let mut sagas =
        mall.watch("sagaProgress", &watching(Some(&of_saga[middle].cursor)), selection).await;
    assert_eq!(sagas.next().await["cursor"], of_saga[middle + 1].cursor);

    // And the pages of the timeline stand where the feed does.
    let page = "query($id: ID!, $after: Cursor) { order(id: $id) {
        timeline(first: 5, after: $after) { nodes { cursor } pageInfo { hasNextPage } } } }";
    let variables = json!({ "id": order, "after": all[2].cursor });
    let answer = mall.ask(page, variables).await.succeeds();
    let nodes = answer["order"]["timeline"]["nodes"].as_array().unwrap();
    let cursors: Vec<_> = nodes.iter().map(|node| node["cursor"].as_str().unwrap()).collect();
    let expected: Vec<_> = longer[3..8].iter().map(|item| item.cursor.as_str()).collect();
    assert_eq!(cursors, expected);
    assert_eq!(answer["order"]["timeline"]["pageInfo"]["hasNextPage"], true);
}

async fn progress_resumes_across_a_restart(mut mall: Mall) {
    let shopper = mall.given_an_approved_order().await;
    let order = shopper.order();
    let before = mall.timeline(order).await;
    let cursor = before[before.len() / 2].cursor.clone();
    let mut watch = mall.watch_progress(order, Some(&cursor)).await;
    for item in &before[before.len() / 2 + 1..] {
        assert_eq!(progress(watch.next().await), *item);
    }

    // When the server stops, the watchers are told; when it is back, the same
    // cursor leads to the same place.
    let stopping = mall.stop();
    let watching = async move { assert_eq!(watch.next_or_gone().await, None) };
    let (status, ()) = futures_util::future::join(stopping, watching).await;
    assert!(status.success(), "{status}");
    mall.reopen().await;
    let mut watch = mall.watch_progress(order, Some(&cursor)).await;
    for item in &before[before.len() / 2 + 1..] {
        assert_eq!(progress(watch.next().await), *item);
    }
    mall.when_canceling(order).await.succeeds();
    assert_eq!(watch.next().await["status"], "CANCELED");
}

async fn progress_resumes_across_crashes_in_the_middle(mut mall: Mall) {
    // Given a few full baskets
    let store = mall.given_a_store("Waldorf Books").await;
    let product = mall.given_a_product(store, "Wizard w/ crystal", "9.99").await;
    let customer = mall.given_a_customer("Ada").await;
    let line = Line { store, product, quantity: 2 };
    let mut shoppers = Vec::new();
    for _ in 0..4 {
        shoppers.push(mall.given_a_shopper_with(customer, &[line], "19.98").await);
    }
    let mut seen: Vec<Vec<Progress>> = vec![Vec::new(); shoppers.len()];

    // When one after the other is bought, and each time the server dies after
    // so many more items, while all that were bought so far are watched
    for (round, more) in [1, 4, 7, 11].into_iter().enumerate() {
        let newest = &shoppers[round];
        mall.when_checking_out(newest.basket, newest.payment).await.succeeds();
        let mut watches = Vec::new();
        for (shopper, seen) in shoppers.iter().zip(&seen).take(round + 1) {
            let after = seen.last().map(|item| item.cursor.as_str());
            watches.push(mall.watch_progress(shopper.order(), after).await);
        }
        for _ in 0..more {
            seen[round].push(progress(watches[round].next().await));
        }
        mall.kill().await;
        // What was on its way counts too.
        for (watch, seen) in watches.iter_mut().zip(&mut seen) {
            while let Some(item) = watch.next_or_gone().await {
                seen.push(progress(item));
            }
        }
        mall.reopen().await;
    }

    // Then each order is approved, and every item came once and in order
    for (shopper, mut seen) in shoppers.iter().zip(seen) {
        let order = shopper.order();
        mall.then_the_order(order).is(OrderStatus::Approved).await;
        mall.then_the_customer_was_told(order, &["ORDER_CREATED", "ORDER_APPROVED"]).await;
        mall.until(order, "the saga's end", |order| order["saga"]["state"] == "COMPLETED").await;
        let all = mall.timeline(order).await;
        let after = seen.last().map(|item| item.cursor.clone());
        let mut watch = mall.watch_progress(order, after.as_deref()).await;
        while seen.len() < all.len() {
            seen.push(progress(watch.next().await));
        }
        assert_eq!(seen, all);
        mall.then_the_history(order, &["ordering.OrderCreated", "ordering.OrderApproved"]).await;
    }
}

#[tokio::test]
async fn the_latest_value_has_a_cursor_too_and_whoever_resumes_gets_the_present_one() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let payload = json!({ "query": "subscription { botsChanged { id status } }" });
    let mut socket = Socket::open(&mall, json!({})).await;
    socket.subscribe(payload.clone()).await;
    let is = |status: &str| json!({ "botsChanged": { "id": bot, "status": status } });
    let (item, cursor) = socket.item().await;
    assert_eq!(item, is("IDLE"));
    mall.given("takeBotOffline", json!({ "id": bot })).await;
    let (item, after) = socket.item().await;
    assert_eq!(item, is("OFFLINE"));
    assert_ne!(cursor, after);

    let mut resumed = Socket::open(&mall, json!({ "resume": cursor })).await;
    resumed.subscribe(payload).await;
    assert_eq!(resumed.item().await, (is("OFFLINE"), after));
}

// ---- what cannot be watched

#[tokio::test]
async fn a_cursor_that_is_not_of_the_feed_is_bad_input() {
    let mall = Mall::open().await;
    let one = mall.given_an_approved_order().await;
    let other = mall.given_an_approved_order().await;
    let cursor = mall.timeline(one.order()).await[3].cursor.clone();
    let refuse = async |order: OrderId, cursor: &str| {
        let arguments = [("orderId", "ID!", json!(order)), ("after", "Cursor", json!(cursor))];
        for (field, selection) in [("orderProgress", PROGRESS), ("sagaProgress", "cursor")] {
            let watch = mall.watch(field, &arguments, selection).await;
            watch.outcome().await.is_bad_input("after").saying("use one as it came");
        }
    };

    // Of another order's feed.
    refuse(other.order(), &cursor).await;
    // Of another list.
    let page = "{ orders(first: 1) { pageInfo { endCursor } } }";
    let page = mall.ask(page, json!({})).await.succeeds();
    refuse(one.order(), page["orders"]["pageInfo"]["endCursor"].as_str().unwrap()).await;
    // Changed, cut, or made up.
    let middle = cursor.len() / 2;
    let letter = if cursor.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = format!("{}{letter}{}", &cursor[..middle], &cursor[middle + 1..]);
    for forged in [changed.as_str(), &cursor[..middle], "", "17", "MTc"] {
        refuse(one.order(), forged).await;
    }
    // Of a list, told to a page.
    let page = "query($after: Cursor) { orders(after: $after) { nodes { id } } }";
    mall.ask(page, json!({ "after": cursor })).await.is_bad_input("after");
    // Of another mall.
    let elsewhere = Mall::open().await;
    let foreign = elsewhere.given_an_approved_order().await;
    let cursor = elsewhere.timeline(foreign.order()).await[3].cursor.clone();
    refuse(one.order(), &cursor).await;
    // Of the messages to another customer.
    let arguments = [("id", "ID!", json!(one.customer)), ("after", "Cursor", json!(cursor))];
    let arguments = arguments.map(|(name, kind, value)| match name {
        "id" => ("customerId", kind, value),
        _ => (name, kind, value),
    });
    let watch = mall.watch("notificationSent", &arguments, "kind").await;
    watch.outcome().await.is_bad_input("after");
}

#[tokio::test]
async fn what_is_not_there_cannot_be_watched() {
    let mall = Mall::open().await;
    let customer = mall.given_a_customer("Ada").await;
    let basket = mall.given_a_basket(customer).await;
    let (nobody, nothing): (CustomerId, OrderId) = (new_id(), new_id());
    let (no_basket, no_store): (BasketId, StoreId) = (new_id(), new_id());
    for (field, argument, unknown, wrong, selection) in [
        ("orderChanged", "id", nothing.to_string(), basket.to_string(), "id"),
        ("orderProgress", "orderId", nothing.to_string(), basket.to_string(), "cursor"),
        ("sagaProgress", "orderId", nothing.to_string(), basket.to_string(), "cursor"),
        // A basket that was not bought is no order yet.
        ("orderChanged", "id", basket.order().to_string(), customer.to_string(), "id"),
        ("basketChanged", "id", no_basket.to_string(), nothing.to_string(), "id"),
        ("productsChanged", "storeId", no_store.to_string(), customer.to_string(), "id"),
        ("notificationSent", "customerId", nobody.to_string(), basket.to_string(), "id"),
    ] {
        let refused = async |id: String| {
            let watch = mall.watch(field, &[(argument, "ID!", json!(id))], selection).await;
            watch.outcome().await
        };
        refused(unknown).await.is_refused("NOT_FOUND").saying("there is no such");
        refused(wrong).await.is_bad_input(argument).saying("not an id of");
        refused("nonsense".to_owned()).await.is_bad_input(argument).saying("not an id");
    }
    assert_eq!(nobody.any().kind.prefix(), "customer");
}
