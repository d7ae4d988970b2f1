//! What becomes of orders, in seven ways. Each story ends when nothing is left
//! to happen to its orders.

use futures_util::future::{BoxFuture, FutureExt, join};
use mallbots_domain::{
    id::{BasketId, BotId, CustomerId, OrderId, PaymentId, ProductId, ShoppingListId, StoreId},
    ordering::OrderStatus,
};
use serde_json::json;

use super::people::{Follower, Heard, Visitor};
use crate::support::new_id;

/// Something on sale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shelf {
    store: StoreId,
    product: ProductId,
}

impl Shelf {
    pub(super) async fn filled_by(visitor: &Visitor) -> Self {
        let (store, product): (StoreId, ProductId) = (new_id(), new_id());
        let input = json!({ "id": store, "name": "Waldorf Books", "location": "Level 1" });
        visitor.does("createStore", input).await;
        visitor.does("enableStoreParticipation", json!({ "id": store })).await;
        let input = json!({
            "id": product, "storeId": store, "name": "Wizard w/ crystal", "description": "",
            "price": "9.99", "sku": "1",
        });
        visitor.does("addProduct", input).await;
        Self { store, product }
    }
}

/// What was ordered, and how it has to end.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) order: OrderId,
    pub(super) payment: PaymentId,
    pub(super) status: OrderStatus,
    /// Why it was rejected.
    pub(super) reason: Option<&'static str>,
    /// All that was heard of it.
    pub(super) heard: Vec<String>,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Story {
    /// It is approved, and waits for a bot.
    Approved,
    /// A bot brings it, and it is paid.
    Collected,
    /// Who buys is disabled.
    Disabled,
    /// It costs more than was set aside.
    TooExpensive,
    /// Two orders are to be paid with the same money.
    PaidTwice,
    /// It is called off at once.
    CalledOff,
    /// It is called off while a bot shops for it.
    CalledBack,
}

impl Story {
    pub(super) const ALL: [Self; 7] = [
        Self::Approved,
        Self::Collected,
        Self::Disabled,
        Self::TooExpensive,
        Self::PaidTwice,
        Self::CalledOff,
        Self::CalledBack,
    ];

    /// How many answers there are in it.
    pub(super) const fn answers(self) -> u64 {
        match self {
            Self::Approved | Self::TooExpensive => 5,
            Self::Disabled | Self::CalledOff => 6,
            Self::PaidTwice => 8,
            Self::CalledBack => 10,
            Self::Collected => 12,
        }
    }

    pub(super) fn tell(self, visitor: Visitor, of: Shelf) -> BoxFuture<'static, Vec<Ending>> {
        match self {
            Self::Approved => approved(visitor, of).boxed(),
            Self::Collected => collected(visitor, of).boxed(),
            Self::Disabled => disabled(visitor, of).boxed(),
            Self::TooExpensive => too_expensive(visitor, of).boxed(),
            Self::PaidTwice => paid_twice(visitor, of).boxed(),
            Self::CalledOff => called_off(visitor, of).boxed(),
            Self::CalledBack => called_back(visitor, of).boxed(),
        }
    }
}

/// Two wizards in a basket, and money.
struct Basket {
    visitor: Visitor,
    shelf: Shelf,
    customer: CustomerId,
    id: BasketId,
    payment: PaymentId,
}

impl Basket {
    async fn filled(visitor: Visitor, shelf: Shelf, money: &str) -> Self {
        let (customer, payment): (CustomerId, PaymentId) = (new_id(), new_id());
        let input = json!({ "id": customer, "name": "Ada", "smsNumber": "+15550100" });
        visitor.does("registerCustomer", input).await;
        let input = json!({ "id": payment, "customerId": customer, "amount": money });
        visitor.does("authorizePayment", input).await;
        Self::filled_for(visitor, shelf, customer, payment).await
    }

    async fn filled_for(
        visitor: Visitor,
        shelf: Shelf,
        customer: CustomerId,
        payment: PaymentId,
    ) -> Self {
        let id: BasketId = new_id();
        visitor.does("startBasket", json!({ "id": id, "customerId": customer })).await;
        let input = json!({ "id": id, "productId": shelf.product, "quantity": 2 });
        visitor.does("addBasketItem", input).await;
        Self { visitor, shelf, customer, id, payment }
    }

    async fn bought(self) -> Purchase {
        let input = json!({ "id": self.id, "paymentId": self.payment });
        self.visitor.does("checkoutBasket", input).await;
        Purchase::of(self)
    }
}

/// A basket that was bought, and what is heard of it.
struct Purchase {
    basket: Basket,
    follower: Follower,
}

impl Purchase {
    fn of(basket: Basket) -> Self {
        let follower = basket.visitor.follows(basket.id.order());
        Self { basket, follower }
    }

    fn list(&self) -> ShoppingListId {
        self.basket.id.order().shopping_list()
    }

    async fn is_called_off(&self) {
        let input = json!({ "id": self.basket.id.order(), "reason": "it takes too long" });
        self.basket.visitor.does("cancelOrder", input).await;
    }

    /// A bot sets out for it.
    async fn is_being_collected(&mut self) {
        let (bot, list): (BotId, _) = (new_id(), self.list());
        let visitor = self.basket.visitor.clone();
        visitor.does("registerBot", json!({ "id": bot, "name": "Robby" })).await;
        visitor.does("bringBotOnline", json!({ "id": bot })).await;
        self.follower.hears("The saga completed.").await;
        visitor.does("assignShoppingList", json!({ "id": list, "botId": bot })).await;
        visitor.does("startShopping", json!({ "id": list })).await;
        self.follower.hears("The order is in progress.").await;
    }

    /// Waits until all of this has happened, and what has to follow.
    async fn ends(
        mut self,
        status: OrderStatus,
        reason: Option<&'static str>,
        all: &[&str],
    ) -> Ending {
        let wait_for = |heard: &[Heard]| {
            is_quiet(heard) && all.iter().all(|title| heard.iter().any(|it| it.title == *title))
        };
        self.follower.until("its end", wait_for).await;
        let Basket { id, payment, .. } = self.basket;
        Ending { order: id.order(), payment, status, reason, heard: self.follower.tells() }
    }
}

/// What makes a message to the customer.
const TOLD: [(&str, &str); 6] = [
    ("The order was placed", "ORDER_CREATED"),
    ("The order was approved", "ORDER_APPROVED"),
    ("The order was rejected", "ORDER_REJECTED"),
    ("The order is ready", "ORDER_READY"),
    ("The order was completed", "ORDER_COMPLETED"),
    ("The order was canceled", "ORDER_CANCELED"),
];

/// Whether the sagas that began have ended and all messages are out.
fn is_quiet(heard: &[Heard]) -> bool {
    let titles = || heard.iter().map(|heard| &*heard.title);
    let began = titles().filter(|it| {
        matches!(*it, "The saga create_order began." | "The saga cancel_order began.")
    });
    let ended = titles().filter(|it| matches!(*it, "The saga completed." | BACK));
    let is_told = |(cause, kind): (&str, &str)| {
        let message = format!("The customer was told: {kind}.");
        !titles().any(|it| it.starts_with(cause)) || titles().any(|it| it == message)
    };
    began.count() == ended.count() && TOLD.into_iter().all(is_told)
}

const MONEY: &str = "19.98";
const RELEASED: &str = "The payment was released.";
const BACK: &str = "The saga is back where it began.";

async fn approved(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let purchase = Basket::filled(visitor, shelf, MONEY).await.bought().await;
    let all = ["The order was approved.", "The saga completed."];
    vec![purchase.ends(OrderStatus::Approved, None, &all).await]
}

async fn collected(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let mut purchase = Basket::filled(visitor, shelf, MONEY).await.bought().await;
    purchase.is_being_collected().await;
    let (visitor, list) = (purchase.basket.visitor.clone(), purchase.list());
    let Shelf { store, product } = purchase.basket.shelf;
    let input = json!({ "id": list, "storeId": store, "productId": product, "quantity": 2 });
    visitor.does("pickItem", input).await;
    visitor.does("completeShoppingList", json!({ "id": list })).await;
    purchase.follower.hears("The invoice was made out.").await;
    visitor.does("payInvoice", json!({ "id": purchase.basket.id.order().invoice() })).await;
    let all = ["The order was completed.", "The payment was captured."];
    vec![purchase.ends(OrderStatus::Completed, None, &all).await]
}

async fn disabled(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let basket = Basket::filled(visitor.clone(), shelf, MONEY).await;
    visitor.does("disableCustomer", json!({ "id": basket.customer })).await;
    let purchase = basket.bought().await;
    let reason = Some("CUSTOMER_DISABLED");
    vec![purchase.ends(OrderStatus::Rejected, reason, &[BACK, RELEASED]).await]
}

async fn too_expensive(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let purchase = Basket::filled(visitor, shelf, "19.97").await.bought().await;
    let reason = Some("PAYMENT_TOO_SMALL");
    vec![purchase.ends(OrderStatus::Rejected, reason, &[BACK, RELEASED]).await]
}

async fn paid_twice(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let one = Basket::filled(visitor.clone(), shelf, MONEY).await;
    let other = Basket::filled_for(visitor, shelf, one.customer, one.payment).await;
    let (one, other) = join(paid_perhaps(one), paid_perhaps(other)).await;
    let endings: Vec<_> = one.into_iter().chain(other).collect();
    let approved = endings.iter().filter(|ending| ending.status == OrderStatus::Approved);
    assert_eq!(approved.count(), 1, "{endings:#?}");
    endings
}

/// Buys, with money that another may be faster to use: then that is said at
/// the counter, or by the saga.
async fn paid_perhaps(basket: Basket) -> Option<Ending> {
    let input = json!({ "id": basket.id, "paymentId": basket.payment });
    if let Err(problem) = basket.visitor.tries("checkoutBasket", input).await {
        assert_eq!(problem.reason(), "PAYMENT_NOT_AUTHORIZED", "{problem:?}");
        return None;
    }
    let mut purchase = Purchase::of(basket);
    let is_approved =
        |heard: &[Heard]| heard.iter().any(|it| it.title == "The order was approved.");
    let is_back = |heard: &[Heard]| heard.iter().any(|it| it.title == BACK);
    purchase.follower.until("its end", |heard| is_approved(heard) || is_back(heard)).await;
    let (status, reason) = if purchase.follower.has_heard(is_approved) {
        (OrderStatus::Approved, None)
    } else {
        (OrderStatus::Rejected, Some("PAYMENT_ALREADY_USED"))
    };
    Some(purchase.ends(status, reason, &[]).await)
}

async fn called_off(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let mut purchase = Basket::filled(visitor, shelf, MONEY).await.bought().await;
    purchase.follower.hears("The order was placed.").await;
    purchase.is_called_off().await;
    vec![purchase.ends(OrderStatus::Canceled, None, &[CANCELED, RELEASED]).await]
}

async fn called_back(visitor: Visitor, shelf: Shelf) -> Vec<Ending> {
    let mut purchase = Basket::filled(visitor, shelf, MONEY).await.bought().await;
    purchase.is_being_collected().await;
    purchase.is_called_off().await;
    vec![purchase.ends(OrderStatus::Canceled, None, &[CANCELED, RELEASED]).await]
}

const CANCELED: &str = "The order was canceled: it takes too long.";
