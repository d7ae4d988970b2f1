//! What contexts do, unasked, when something happens elsewhere; and baskets
//! that nobody touches any more.

use std::time::Duration;

use futures_util::FutureExt;
use mallbots_domain::{
    baskets::BasketStatus,
    id::OrderId,
    notifications::NotificationKind::{
        OrderApproved, OrderCanceled, OrderCompleted, OrderCreated, OrderReady, OrderRejected,
    },
    ordering::OrderStatus,
    payments::{
        invoice::{Invoice, InvoiceStatus},
        payment::PaymentStatus,
    },
    testing::money,
};
use mallbots_messaging::contexts;

use crate::mall::{ABANDONED_AFTER, Mall, Shape, Shopper, TOTAL, in_each_shape, new};

in_each_shape!(
    a_checked_out_basket_becomes_an_order,
    a_bot_that_sets_out_starts_the_order,
    a_list_that_is_brought_makes_the_order_ready_and_billed,
    d3_a_paid_invoice_takes_the_money_and_completes_the_order,
    d4_what_becomes_of_an_order_is_told,
    d11_payments_hear_that_an_order_was_canceled,
    a_payment_is_let_go_for_its_own_customer_only,
    what_no_policy_can_do_is_parked,
    a_basket_nobody_touches_is_cleared_away,
    each_change_to_a_basket_winds_its_timer_anew,
    a_basket_that_is_closed_is_not_cleared_away,
    a_basket_touched_when_its_time_was_up_stays,
);

/// Reads everything again with nothing remembered; nothing more may happen.
async fn again(mall: Mall) -> Mall {
    let head = mall.ledger().head();
    let mall = mall.forgotten().await.with_crew(&[]);
    mall.settle().await;
    assert_eq!(mall.ledger().head(), head);
    mall.assert_quiet().await;
    mall
}

async fn a_checked_out_basket_becomes_an_order(shape: Shape) {
    // Nobody else is there to react to the order.
    let mall = Mall::closed(shape).await.with_crew(&[
        "sagas",
        "notifications",
        "payments",
        "customers",
        "depot",
    ]);
    let shopper = mall.settled_shopper().await;
    let order = mall.order(&shopper).await;
    assert_eq!(order.status(), Some(OrderStatus::Pending));
    let details = order.details().unwrap().clone();
    assert_eq!(details.customer_id, shopper.customer);
    assert_eq!(details.payment_id, shopper.payment);
    assert_eq!(details.items, mall.items(shopper.basket).await);
    assert_eq!(details.total, money(TOTAL));
    let created = mall.everything().await.pop().unwrap();
    let metadata = created.metadata().unwrap();
    assert_eq!((&*created.name, &*metadata.actor), ("ordering.OrderCreated", "policy"));
    let cause = mall.ledger().message(metadata.causation_id.unwrap()).await.unwrap().unwrap();
    assert_eq!(&*cause.name, "baskets.BasketCheckedOut");
    assert_eq!(cause.metadata().unwrap().correlation_id, metadata.correlation_id);

    let mall = mall.forgotten().await.with_crew(&["sagas", "notifications"]);
    mall.settle().await;
    assert_eq!(mall.events(shopper.order()).await, ["OrderCreated"]);
}

async fn a_bot_that_sets_out_starts_the_order(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let bot = mall.bot().await;
    mall.assign(&shopper, bot).await;
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Approved));
    mall.start_shopping(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::InProgress));
    let mall = again(mall).await;
    assert_eq!(
        mall.events(shopper.order()).await,
        ["OrderCreated", "OrderApproved", "OrderStarted"]
    );
}

async fn a_list_that_is_brought_makes_the_order_ready_and_billed(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let bot = mall.bot().await;
    mall.assign(&shopper, bot).await;
    mall.start_shopping(&shopper).await;
    mall.shop(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Ready));
    let invoice = mall.ledger().load::<Invoice>(shopper.invoice()).await.unwrap().state;
    let details = *invoice.details().unwrap();
    assert_eq!(invoice.status(), Some(InvoiceStatus::Pending));
    assert_eq!((details.order_id, details.customer_id), (shopper.order(), shopper.customer));
    assert_eq!((details.payment_id, details.amount), (shopper.payment, money(TOTAL)));

    // An invoice that was changed since is not made out again.
    mall.act(|unit| contexts::payments::adjust(unit, shopper.invoice(), money(TOTAL - 1)).boxed())
        .await
        .unwrap();
    let mall = again(mall).await;
    assert_eq!(mall.events(shopper.invoice()).await, ["InvoiceCreated", "InvoiceAdjusted"]);
}

async fn d3_a_paid_invoice_takes_the_money_and_completes_the_order(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.whole_life().await;
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Completed));
    assert_eq!(mall.payment_status(shopper.payment).await, Some(PaymentStatus::Captured));
    let mall = again(mall).await;
    assert_eq!(mall.events(shopper.order()).await.last().unwrap(), "OrderCompleted");
    assert_eq!(
        mall.events(shopper.payment).await,
        ["PaymentAuthorized", "PaymentConfirmed", "PaymentCaptured"]
    );
}

async fn d4_what_becomes_of_an_order_is_told(shape: Shape) {
    let mall = Mall::open(shape).await;
    let completed = mall.whole_life().await;
    let rejected = mall.shopper_with(1).await;
    mall.check_out(&rejected).await;
    let canceled = mall.settled_shopper().await;
    mall.cancel(&canceled).await;
    mall.settle().await;

    let mall = again(mall).await;
    assert_eq!(
        mall.told(&completed).await,
        [OrderCreated, OrderApproved, OrderReady, OrderCompleted]
    );
    assert_eq!(mall.told(&rejected).await, [OrderCreated, OrderRejected]);
    assert_eq!(mall.told(&canceled).await, [OrderCreated, OrderApproved, OrderCanceled]);
    for kind in mall.told(&completed).await {
        let id = completed.order().notification(kind);
        assert_eq!(mall.events(id).await, ["NotificationRequested", "NotificationSent"]);
    }
}

async fn d11_payments_hear_that_an_order_was_canceled(shape: Shape) {
    // No saga is there to release it; it was never bound to the order.
    let mall = Mall::closed(shape).await.with_crew(&["sagas"]);
    let shopper = mall.settled_shopper().await;
    mall.cancel(&shopper).await;
    mall.settle().await;
    assert_eq!(mall.events(shopper.payment).await, ["PaymentAuthorized", "PaymentReleased"]);
    let mall = mall.forgotten().await.with_crew(&["sagas"]);
    mall.settle().await;
    assert_eq!(mall.events(shopper.payment).await, ["PaymentAuthorized", "PaymentReleased"]);
    mall.assert_quiet().await;
}

async fn a_payment_is_let_go_for_its_own_customer_only(shape: Shape) {
    let mall = Mall::open(shape).await;
    let Shopper { customer, payment, .. } = mall.shopper().await;
    let order: OrderId = new();
    let stranger = mall.customer().await;
    let let_go = async |customer| {
        mall.act(|unit| contexts::payments::let_go(unit, payment, order, customer).boxed())
            .await
            .unwrap();
    };
    let_go(stranger).await;
    assert_eq!(mall.events(payment).await, ["PaymentAuthorized"]);
    let_go(customer).await;
    let_go(customer).await;
    assert_eq!(mall.events(payment).await, ["PaymentAuthorized", "PaymentReleased"]);
    mall.act(|unit| contexts::payments::let_go(unit, new(), order, customer).boxed())
        .await
        .unwrap();
}

async fn what_no_policy_can_do_is_parked(shape: Shape) {
    // The money is gone when the invoice is paid: somebody must look.
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let bot = mall.bot().await;
    mall.assign(&shopper, bot).await;
    mall.start_shopping(&shopper).await;
    mall.shop(&shopper).await;
    mall.settle().await;
    let Shopper { payment, .. } = shopper;
    let order = shopper.order();
    mall.act(|unit| contexts::payments::give_back(unit, payment, order).boxed()).await.unwrap();
    mall.pay(&shopper).await;
    mall.settle().await;

    let letters = mall.letters().await;
    let parked: Vec<_> = letters.iter().map(|it| (&*it.consumer, &*it.reason)).collect();
    assert_eq!(
        parked,
        [
            ("payments", "PAYMENT_NOT_CONFIRMED: the payment is not confirmed"),
            // That the order is completed, should payments ever have to do with it.
            ("payments", "waits behind an earlier message"),
        ]
    );
    // Nobody else is held up.
    assert_eq!(mall.order_status(&shopper).await, Some(OrderStatus::Completed));
    let next = mall.settled_shopper().await;
    assert_eq!(mall.order_status(&next).await, Some(OrderStatus::Approved));
}

async fn a_basket_nobody_touches_is_cleared_away(shape: Shape) {
    let mall = Mall::open(shape).await;
    let customer = mall.customer().await;
    let (empty, full) = (mall.empty_basket(customer).await, mall.full_basket(customer).await);
    mall.advance(ABANDONED_AFTER - Duration::from_micros(1)).await;
    mall.settle().await;
    for basket in [empty, full] {
        assert_eq!(mall.basket_status(basket).await, Some(BasketStatus::Open));
    }
    mall.advance(Duration::from_micros(1)).await;
    mall.settle().await;
    for basket in [empty, full] {
        assert_eq!(mall.basket_status(basket).await, Some(BasketStatus::Abandoned));
        assert_eq!(mall.events(basket.order()).await, [""; 0]);
    }
    let abandoned = mall.everything().await.pop().unwrap();
    assert_eq!(&*abandoned.name, "baskets.BasketAbandoned");
    assert_eq!(abandoned.metadata().unwrap().actor, "timer");
    again(mall).await;
}

async fn each_change_to_a_basket_winds_its_timer_anew(shape: Shape) {
    let mall = Mall::open(shape).await;
    let customer = mall.customer().await;
    let product = mall.product(100).await;
    let basket = mall.empty_basket(customer).await;
    let almost = ABANDONED_AFTER - Duration::from_secs(1);
    for change in ["put", "put", "take out"] {
        mall.advance(almost).await;
        mall.settle().await;
        assert_eq!(mall.basket_status(basket).await, Some(BasketStatus::Open), "{change}");
        match change {
            "put" => mall.put(basket, product, 2).await,
            _ => mall.take_out(basket, product).await,
        }
    }
    mall.advance(almost).await;
    mall.settle().await;
    assert_eq!(mall.basket_status(basket).await, Some(BasketStatus::Open));
    mall.advance(Duration::from_secs(1)).await;
    mall.settle().await;
    assert_eq!(mall.basket_status(basket).await, Some(BasketStatus::Abandoned));
}

async fn a_basket_that_is_closed_is_not_cleared_away(shape: Shape) {
    let mall = Mall::open(shape).await;
    let shopper = mall.settled_shopper().await;
    let canceled = mall.full_basket(shopper.customer).await;
    mall.act(|unit| contexts::baskets::cancel(unit, canceled).boxed()).await.unwrap();
    assert_eq!(mall.ledger().next_timer().await.unwrap(), None);
    mall.advance(ABANDONED_AFTER * 2).await;
    mall.settle().await;
    assert_eq!(mall.basket_status(shopper.basket).await, Some(BasketStatus::CheckedOut));
    assert_eq!(mall.basket_status(canceled).await, Some(BasketStatus::Canceled));
}

async fn a_basket_touched_when_its_time_was_up_stays(shape: Shape) {
    let mut mall = Mall::staffed(shape).await;
    let hold = mall.gate().hold_named(contexts::baskets::ABANDON);
    let customer = mall.customer().await;
    let (touched, bought) = (mall.full_basket(customer).await, mall.full_basket(customer).await);
    mall.advance(ABANDONED_AFTER).await;
    hold.holds(2).await;
    let product = mall.product(100).await;
    mall.put(touched, product, 1).await;
    let payment = mall.payment(customer, TOTAL).await;
    mall.check_out(&Shopper { customer, basket: bought, payment }).await;
    hold.release();
    mall.settle().await;
    assert_eq!(mall.basket_status(touched).await, Some(BasketStatus::Open));
    assert_eq!(mall.basket_status(bought).await, Some(BasketStatus::CheckedOut));

    // It was not forgotten for good.
    mall.advance(ABANDONED_AFTER).await;
    mall.settle().await;
    assert_eq!(mall.basket_status(touched).await, Some(BasketStatus::Abandoned));
    mall.assert_quiet().await;
}
