//! What each event makes of the rows. Every message is delivered twice.

use mallbots_domain::{
    baskets::{Basket, BasketCommand, BasketStatus},
    customers::{Customer, CustomerCommand},
    depot::{
        bot::{Bot, BotCommand, BotStatus},
        shopping_list::{ShoppingList, ShoppingListCommand, ShoppingListStatus, Shortage},
    },
    id::{BasketId, BotId, CustomerId, OrderId, PaymentId, StoreId},
    notifications::{Notification, NotificationCommand, NotificationKind},
    ordering::{Order, OrderCommand, OrderStatus},
    payments::{
        invoice::{Invoice, InvoiceCommand, InvoiceStatus},
        payment::{Payment, PaymentCommand, PaymentStatus},
    },
    saga::{Outcome, SagaInput, SagaState},
    stores::{
        product::{Product, ProductCommand},
        store::{Store, StoreCommand},
    },
    testing::{money, name, pieces, reason},
    text::{Description, SmsNumber},
};
use mallbots_eventstore::connect::Backend;
use mallbots_projections::{
    baskets, bots, customers, invoices,
    notifications::{self, NotificationStatus},
    orders, payments, products,
    sagas::{self, SagaStepState},
    shopping_lists, stores,
    timeline::{self, TimelineKind, TimelineRow},
};

use crate::{
    library::Library,
    mall::{Mall, id},
};

on_each_database!(
    a_store_is_created_participates_and_is_rebranded,
    a_product_is_added_changes_its_price_and_is_removed_but_found,
    a_customer_is_registered_changes_number_and_is_disabled,
    a_basket_holds_what_was_put_in_and_not_taken_out,
    a_basket_is_put_back_or_cleared_away,
    an_order_goes_through_its_states,
    an_order_is_turned_down,
    an_order_is_called_off,
    a_payment_is_bound_and_captured_released_or_refunded,
    an_invoice_is_adjusted_and_paid_or_canceled,
    a_shopping_list_is_collected,
    a_bot_goes_to_work_and_home,
    a_message_is_sent_or_fails,
    a_saga_shows_each_step,
    a_saga_that_is_refused_goes_back,
    a_saga_waits_for_an_operator,
    the_timeline_tells_an_order_s_life,
);

/// A mall and the read side that hears of it.
struct Told {
    mall: Mall,
    library: Library,
    heard: usize,
}

impl Told {
    async fn new(backend: Backend) -> Self {
        Self { mall: Mall::default(), library: Library::new(backend).await, heard: 0 }
    }

    /// Lets something happen and tells the read side, twice.
    async fn tell<T>(&mut self, happens: impl FnOnce(&mut Mall) -> T) -> T {
        let value = happens(&mut self.mall);
        let news = self.mall.messages[self.heard..].to_vec();
        self.heard = self.mall.messages.len();
        self.library.take_in(&news, 500).await;
        self.library.forget_checkpoints().await;
        self.library.take_in(&news, 1).await;
        value
    }

    fn at(&self) -> i64 {
        self.mall.messages.last().unwrap().recorded_at
    }

    async fn timeline(&self, order: OrderId) -> Vec<TimelineRow> {
        timeline::since(&self.library.reads, order, None, 0, 1000).await.unwrap()
    }
}

macro_rules! row {
    ($told:expr, $slice:ident, $id:expr) => {
        $slice::by_id(&$told.library.reads, $id).await.unwrap().unwrap()
    };
}

async fn a_store_is_created_participates_and_is_rebranded(backend: Backend) {
    let mut told = Told::new(backend).await;
    let store: StoreId = id(1);
    let (title, place) = (name("Bücher & Büsche"), name("Level 2"));
    let create = StoreCommand::Create { name: title, location: place };
    told.tell(|mall| mall.ask::<Store>(store, create)).await;
    let row = row!(told, stores, store);
    assert_eq!((row.name.as_str(), row.location.as_str()), ("Bücher & Büsche", "Level 2"));
    assert!(!row.participating);
    assert_eq!(row.search, "bücher & büsche\nlevel 2");
    assert_eq!((row.version, row.position), (1, 1));
    assert_eq!((row.created_at, row.updated_at), (told.at(), told.at()));

    told.tell(|mall| mall.ask::<Store>(store, StoreCommand::EnableParticipation)).await;
    let row = row!(told, stores, store);
    assert!(row.participating);
    assert_eq!((row.version, row.position), (2, 2));
    assert!(row.created_at < row.updated_at);

    told.tell(|mall| mall.ask::<Store>(store, StoreCommand::DisableParticipation)).await;
    assert!(!row!(told, stores, store).participating);

    let rebrand = StoreCommand::Rebrand { name: name("Books") };
    told.tell(|mall| mall.ask::<Store>(store, rebrand)).await;
    let row = row!(told, stores, store);
    assert_eq!((row.name.as_str(), row.search.as_str()), ("Books", "books\nlevel 2"));
    assert_eq!(row.version, 4);
}

async fn a_product_is_added_changes_its_price_and_is_removed_but_found(backend: Backend) {
    let mut told = Told::new(backend).await;
    let product = told.tell(|mall| {
        let store = mall.store(1);
        mall.product(1, store)
    });
    let product = product.await;
    let row = row!(told, products, product);
    assert_eq!((row.name.as_str(), row.sku.as_str()), ("Product 1", "SKU-1"));
    assert_eq!((row.price, row.removed, *row.store_id), (199, false, id(1)));
    assert_eq!(row.search, "product 1\nsku-1");

    let up = ProductCommand::IncreasePrice { price: money(250) };
    told.tell(|mall| mall.ask::<Product>(product, up)).await;
    assert_eq!(row!(told, products, product).price, 250);
    let down = ProductCommand::DecreasePrice { price: money(150) };
    told.tell(|mall| mall.ask::<Product>(product, down)).await;
    assert_eq!(row!(told, products, product).price, 150);

    let rebrand = ProductCommand::Rebrand {
        name: name("Novel"),
        description: Description::new("Long.").unwrap(),
    };
    told.tell(|mall| mall.ask::<Product>(product, rebrand)).await;
    let row = row!(told, products, product);
    assert_eq!((row.name.as_str(), row.description.as_str()), ("Novel", "Long."));
    assert_eq!(row.search, "novel\nsku-1");

    told.tell(|mall| mall.ask::<Product>(product, ProductCommand::Remove)).await;
    let row = row!(told, products, product);
    assert!(row.removed);
    assert_eq!(row.version, 5);
}

async fn a_customer_is_registered_changes_number_and_is_disabled(backend: Backend) {
    let mut told = Told::new(backend).await;
    let customer = told.tell(|mall| mall.customer(1)).await;
    let row = row!(told, customers, customer);
    assert_eq!((row.name.as_str(), row.sms_number.as_str()), ("Customer 1", "+15550000001"));
    assert!(row.enabled);

    let sms_number = SmsNumber::new("+15550000009").unwrap();
    let change = CustomerCommand::ChangeSmsNumber { sms_number };
    told.tell(|mall| mall.ask::<Customer>(customer, change)).await;
    let row = row!(told, customers, customer);
    assert_eq!(row.sms_number, "+15550000009");
    assert_eq!(row.search, "customer 1\n+15550000009");

    told.tell(|mall| mall.ask::<Customer>(customer, CustomerCommand::Disable)).await;
    assert!(!row!(told, customers, customer).enabled);
    told.tell(|mall| mall.ask::<Customer>(customer, CustomerCommand::Enable)).await;
    assert!(row!(told, customers, customer).enabled);
    let authorize = CustomerCommand::Authorize { order_id: id(1) };
    told.tell(|mall| mall.ask::<Customer>(customer, authorize)).await;
    assert_eq!(row!(told, customers, customer).version, 5);
}

/// A customer with a basket of two products of two stores, and a payment.
fn basket(mall: &mut Mall) -> (CustomerId, BasketId, PaymentId) {
    let customer = mall.customer(1);
    let (basket, payment) = (id(1), id(1));
    let start = BasketCommand::Start { customer_id: customer, customer_enabled: true };
    mall.ask::<Basket>(basket, start);
    let authorize = PaymentCommand::Authorize { customer_id: customer, amount: money(100_000) };
    mall.ask::<Payment>(payment, authorize);
    for n in [1, 2] {
        let store = mall.store(n);
        let product = mall.product(n, store);
        let offer = mall.offer(product).unwrap();
        let add = BasketCommand::AddItem { offer, quantity: pieces(n) };
        mall.ask::<Basket>(basket, add);
    }
    (customer, basket, payment)
}

async fn a_basket_holds_what_was_put_in_and_not_taken_out(backend: Backend) {
    let mut told = Told::new(backend).await;
    let (customer, basket, payment) = told.tell(basket).await;
    let row = row!(told, baskets, basket);
    assert_eq!((*row.customer_id, *row.status), (customer, BasketStatus::Open));
    assert_eq!(row.payment_id, None);
    assert_eq!(row.total, 199 + 2 * 299);
    assert_eq!(*row.items, told.mall.items(basket));

    let more = told.mall.offer(id(1)).unwrap();
    let more = BasketCommand::AddItem { offer: more, quantity: pieces(4) };
    told.tell(|mall| mall.ask::<Basket>(basket, more)).await;
    let row = row!(told, baskets, basket);
    assert_eq!(*row.items, told.mall.items(basket));
    assert_eq!((row.items.len(), row.total), (2, 5 * 199 + 2 * 299));

    for (quantity, total) in [(3, 2 * 199 + 2 * 299), (9, 2 * 299)] {
        let less = BasketCommand::RemoveItem { product_id: id(1), quantity: pieces(quantity) };
        told.tell(|mall| mall.ask::<Basket>(basket, less)).await;
        let row = row!(told, baskets, basket);
        assert_eq!(*row.items, told.mall.items(basket));
        assert_eq!(row.total, total);
    }

    told.tell(|mall| mall.check_out(basket, payment)).await.unwrap();
    let row = row!(told, baskets, basket);
    assert_eq!((*row.status, row.payment_id), (BasketStatus::CheckedOut, Some(payment.into())));
    assert_eq!(row.total, 2 * 299);
}

async fn a_basket_is_put_back_or_cleared_away(backend: Backend) {
    let mut told = Told::new(backend).await;
    for (n, command, status) in [
        (1, BasketCommand::Cancel, BasketStatus::Canceled),
        (2, BasketCommand::Abandon, BasketStatus::Abandoned),
    ] {
        let basket: BasketId = id(n);
        told.tell(|mall| {
            let customer_id = mall.customer(1);
            let start = BasketCommand::Start { customer_id, customer_enabled: true };
            mall.ask::<Basket>(basket, start);
            mall.ask::<Basket>(basket, command);
        })
        .await;
        assert_eq!(*row!(told, baskets, basket).status, status);
    }
}

/// An order that waits for its saga.
fn order(mall: &mut Mall) -> OrderId {
    let (_, basket, payment) = basket(mall);
    mall.check_out(basket, payment).unwrap()
}

/// An order that was accepted.
fn accepted(mall: &mut Mall) -> OrderId {
    let order = order(mall);
    let first = mall.begin(order);
    mall.walk(order.create_saga(), first);
    order
}

/// An order that a bot shops for.
fn shopping(mall: &mut Mall) -> OrderId {
    let order = accepted(mall);
    let (list, bot) = (order.shopping_list(), mall.bot(1));
    mall.ask::<ShoppingList>(list, ShoppingListCommand::Assign { bot_id: bot });
    mall.ask::<Bot>(bot, BotCommand::Assign { list_id: list });
    mall.ask::<ShoppingList>(list, ShoppingListCommand::Start);
    mall.ask::<Order>(order, OrderCommand::Start);
    order
}

async fn an_order_goes_through_its_states(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let row = row!(told, orders, order_id);
    assert_eq!(*row.status, OrderStatus::Pending);
    assert_eq!((*row.customer_id, row.customer_name.as_str()), (id(1), "Customer 1"));
    assert_eq!((*row.payment_id, row.total), (id(1), 199 + 2 * 299));
    assert_eq!(*row.items, told.mall.items(order_id.basket()));
    assert_eq!(row.search, "customer 1\nproduct 1\nstore 1\nproduct 2\nstore 2");
    let (created_at, position) = (row.created_at, row.position);

    let list = order_id.shopping_list();
    let approve = OrderCommand::Approve { shopping_list_id: list };
    told.tell(|mall| mall.ask::<Order>(order_id, approve)).await;
    let row = row!(told, orders, order_id);
    assert_eq!(*row.status, OrderStatus::Approved);
    assert_eq!((row.shopping_list_id, row.approved_at), (Some(list.into()), Some(told.at())));
    assert!(row.position > position);

    told.tell(|mall| mall.ask::<Order>(order_id, OrderCommand::Start)).await;
    let row = row!(told, orders, order_id);
    assert_eq!((*row.status, row.started_at), (OrderStatus::InProgress, Some(told.at())));

    told.tell(|mall| mall.ask::<Order>(order_id, OrderCommand::Ready)).await;
    let row = row!(told, orders, order_id);
    assert_eq!((*row.status, row.readied_at), (OrderStatus::Ready, Some(told.at())));

    let complete = OrderCommand::Complete { invoice_id: order_id.invoice() };
    told.tell(|mall| mall.ask::<Order>(order_id, complete)).await;
    let row = row!(told, orders, order_id);
    assert_eq!((*row.status, row.completed_at), (OrderStatus::Completed, Some(told.at())));
    assert_eq!(row.invoice_id, Some(order_id.invoice().into()));
    assert_eq!((row.version, row.created_at, row.updated_at), (5, created_at, told.at()));
}

async fn an_order_is_turned_down(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let reject = OrderCommand::Reject { reason: "CUSTOMER_DISABLED".to_owned() };
    told.tell(|mall| mall.ask::<Order>(order_id, reject)).await;
    let row = row!(told, orders, order_id);
    assert_eq!((*row.status, row.rejected_at), (OrderStatus::Rejected, Some(told.at())));
    assert_eq!(row.rejection_reason.as_deref(), Some("CUSTOMER_DISABLED"));
}

async fn an_order_is_called_off(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let cancel = OrderCommand::Cancel { reason: reason("too late"), by: "admin".to_owned() };
    told.tell(|mall| mall.ask::<Order>(order_id, cancel)).await;
    let row = row!(told, orders, order_id);
    assert_eq!((*row.status, row.canceled_at), (OrderStatus::Canceled, Some(told.at())));
    assert_eq!(row.cancellation_reason.as_deref(), Some("too late"));
    assert_eq!(row.canceled_by.as_deref(), Some("admin"));
}

async fn a_payment_is_bound_and_captured_released_or_refunded(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id: OrderId = id(7);
    let (confirm, capture, give_back) = (
        PaymentCommand::Confirm { order_id, customer_id: id(1), amount: money(400) },
        PaymentCommand::Capture { order_id },
        PaymentCommand::GiveBack { order_id },
    );
    for (n, commands, status) in [
        (1, vec![], PaymentStatus::Authorized),
        (2, vec![confirm.clone()], PaymentStatus::Confirmed),
        (3, vec![confirm.clone(), capture.clone()], PaymentStatus::Captured),
        (4, vec![confirm.clone(), give_back.clone()], PaymentStatus::Released),
        (5, vec![confirm, capture, give_back], PaymentStatus::Refunded),
    ] {
        let payment: PaymentId = id(n);
        let bound = !commands.is_empty();
        let authorize = PaymentCommand::Authorize { customer_id: id(1), amount: money(500) };
        told.tell(|mall| mall.ask::<Payment>(payment, authorize)).await;
        for command in commands {
            told.tell(|mall| mall.ask::<Payment>(payment, command)).await;
        }
        let row = row!(told, payments, payment);
        assert_eq!((*row.status, row.amount, *row.customer_id), (status, 500, id(1)));
        assert_eq!(row.order_id, bound.then(|| order_id.into()));
    }
}

async fn an_invoice_is_adjusted_and_paid_or_canceled(backend: Backend) {
    let mut told = Told::new(backend).await;
    for (n, end, status) in [
        (1, InvoiceCommand::Pay, InvoiceStatus::Paid),
        (2, InvoiceCommand::Cancel, InvoiceStatus::Canceled),
    ] {
        let order_id: OrderId = id(n);
        let invoice = order_id.invoice();
        let create = InvoiceCommand::Create {
            order_id,
            customer_id: id(1),
            payment_id: id(1),
            amount: money(500),
        };
        told.tell(|mall| mall.ask::<Invoice>(invoice, create)).await;
        let row = row!(told, invoices, invoice);
        assert_eq!((*row.status, row.amount), (InvoiceStatus::Pending, 500));
        assert_eq!((*row.order_id, *row.customer_id, *row.payment_id), (order_id, id(1), id(1)));

        let adjust = InvoiceCommand::Adjust { amount: money(450) };
        told.tell(|mall| mall.ask::<Invoice>(invoice, adjust)).await;
        assert_eq!(row!(told, invoices, invoice).amount, 450);
        told.tell(|mall| mall.ask::<Invoice>(invoice, end)).await;
        assert_eq!(*row!(told, invoices, invoice).status, status);
    }
}

async fn a_shopping_list_is_collected(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let list = order_id.shopping_list();
    let items = told.mall.items(order_id.basket());
    let create = ShoppingListCommand::Create { order_id, items };
    told.tell(|mall| mall.ask::<ShoppingList>(list, create)).await;
    let row = row!(told, shopping_lists, list);
    assert_eq!((*row.status, *row.order_id), (ShoppingListStatus::Pending, order_id));
    assert_eq!(row.stops.len(), 2);
    assert_eq!((row.stops[1].items[0].quantity, row.stops[1].items[0].picked), (2, 0));

    told.tell(|mall| mall.ask::<ShoppingList>(list, ShoppingListCommand::Initiate)).await;
    assert_eq!(*row!(told, shopping_lists, list).status, ShoppingListStatus::Available);
    let bot: BotId = id(3);
    let assign = ShoppingListCommand::Assign { bot_id: bot };
    told.tell(|mall| mall.ask::<ShoppingList>(list, assign)).await;
    let row = row!(told, shopping_lists, list);
    assert_eq!((*row.status, row.bot_id), (ShoppingListStatus::Assigned, Some(bot.into())));
    told.tell(|mall| mall.ask::<ShoppingList>(list, ShoppingListCommand::Start)).await;
    assert_eq!(*row!(told, shopping_lists, list).status, ShoppingListStatus::Active);

    for picked in [1, 2] {
        let pick =
            ShoppingListCommand::Pick { store_id: id(2), product_id: id(2), quantity: pieces(1) };
        told.tell(|mall| mall.ask::<ShoppingList>(list, pick)).await;
        let row = row!(told, shopping_lists, list);
        assert_eq!(row.stops[1].items[0].picked, picked);
        assert_eq!(row.stops[0].items[0].picked, 0);
    }
    let shortage = Shortage { product_id: id(1), reason: reason("sold out") };
    let complete = ShoppingListCommand::Complete { shortages: vec![shortage.clone()] };
    told.tell(|mall| mall.ask::<ShoppingList>(list, complete)).await;
    let row = row!(told, shopping_lists, list);
    assert_eq!(*row.status, ShoppingListStatus::Completed);
    assert_eq!(*row.shortages, [shortage]);

    let told = &mut Told::new(backend).await;
    let order_id = told.tell(shopping).await;
    let list = order_id.shopping_list();
    told.tell(|mall| mall.ask::<ShoppingList>(list, ShoppingListCommand::Cancel)).await;
    assert_eq!(*row!(told, shopping_lists, list).status, ShoppingListStatus::Canceled);
}

async fn a_bot_goes_to_work_and_home(backend: Backend) {
    let mut told = Told::new(backend).await;
    let bot: BotId = id(1);
    let list_id = id(5);
    for (command, status, list) in [
        (BotCommand::Register { name: name("Rosie") }, BotStatus::Offline, None),
        (BotCommand::BringOnline, BotStatus::Idle, None),
        (BotCommand::Assign { list_id }, BotStatus::Active, Some(list_id.into())),
        (BotCommand::Release { list_id }, BotStatus::Idle, None),
        (BotCommand::TakeOffline, BotStatus::Offline, None),
    ] {
        told.tell(|mall| mall.ask::<Bot>(bot, command)).await;
        let row = row!(told, bots, bot);
        assert_eq!((row.name.as_str(), *row.status, row.list_id), ("Rosie", status, list));
    }
}

async fn a_message_is_sent_or_fails(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let sent = order_id.notification(NotificationKind::OrderCreated);
    let row = row!(told, notifications, sent);
    assert_eq!((*row.customer_id, *row.order_id), (id(1), order_id));
    assert_eq!(
        (*row.kind, *row.status),
        (NotificationKind::OrderCreated, NotificationStatus::Sent)
    );
    assert_eq!((row.sent_at, row.failure), (Some(told.at()), None));
    assert!(row.text.contains(&order_id.to_string()));

    let failed = order_id.notification(NotificationKind::OrderReady);
    let request = NotificationCommand::Request {
        customer_id: id(1),
        sms_number: SmsNumber::new("+15550000001").unwrap(),
        order_id,
        kind: NotificationKind::OrderReady,
    };
    told.tell(|mall| mall.ask::<Notification>(failed, request)).await;
    let row = row!(told, notifications, failed);
    assert_eq!((*row.status, row.sent_at), (NotificationStatus::Requested, None));
    assert_eq!(row.sms_number, "+15550000001");
    let fail = NotificationCommand::MarkFailed { reason: "no route".to_owned() };
    told.tell(|mall| mall.ask::<Notification>(failed, fail)).await;
    let row = row!(told, notifications, failed);
    assert_eq!(
        (*row.status, row.failure.as_deref()),
        (NotificationStatus::Failed, Some("no route"))
    );
}

fn states(row: &sagas::SagaRow) -> Vec<SagaStepState> {
    row.steps.iter().map(|step| step.state).collect()
}

async fn a_saga_shows_each_step(backend: Backend) {
    use SagaStepState::{Running, Succeeded, Waiting};

    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let saga = order_id.create_saga();
    let (of, command) = told.tell(|mall| mall.begin(order_id)).await.unwrap();
    let row = row!(told, sagas, saga);
    assert_eq!((row.name.as_str(), *row.order_id), ("create_order", order_id));
    assert_eq!((*row.state, row.ended_at), (SagaState::Running, None));
    assert_eq!(states(&row), [Succeeded, Running, Waiting, Waiting, Waiting, Waiting]);
    let step = row.step("AuthorizeCustomer").unwrap();
    assert_eq!((step.attempts, step.started_at.is_some(), step.ended_at), (1, true, None));

    let next = told.tell(|mall| mall.answer(saga, of, command)).await;
    let row = row!(told, sagas, saga);
    assert_eq!(states(&row), [Succeeded, Succeeded, Running, Waiting, Waiting, Waiting]);
    assert!(row.step("AuthorizeCustomer").unwrap().ended_at.is_some());

    told.tell(|mall| mall.walk(saga, next)).await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, row.ended_at), (SagaState::Completed, Some(told.at())));
    assert_eq!(states(&row), [Succeeded; 6]);
}

async fn a_saga_that_is_refused_goes_back(backend: Backend) {
    use SagaStepState::{Compensated, Refused, Skipped, Succeeded};

    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let saga = order_id.create_saga();
    // The payment is bound to another order in the meantime.
    told.tell(|mall| {
        let confirm =
            PaymentCommand::Confirm { order_id: id(99), customer_id: id(1), amount: money(1) };
        mall.ask::<Payment>(id(1), confirm);
        let first = mall.begin(order_id);
        mall.walk(saga, first);
    })
    .await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, row.ended_at), (SagaState::Compensated, Some(told.at())));
    assert_eq!(states(&row), [Compensated, Succeeded, Compensated, Refused, Skipped, Skipped]);
    let refused = row.step("ConfirmPayment").unwrap();
    assert_eq!(refused.reason, row.refusal);
    assert!(row.refusal.is_some());
    assert_eq!(*row!(told, orders, order_id).status, OrderStatus::Rejected);
    let list = order_id.shopping_list();
    assert_eq!(*row!(told, shopping_lists, list).status, ShoppingListStatus::Canceled);
}

async fn a_saga_waits_for_an_operator(backend: Backend) {
    use SagaStepState::{Compensating, Retrying, Running, Skipped, Stuck, Succeeded, Waiting};

    let mut told = Told::new(backend).await;
    let order_id = told.tell(order).await;
    let saga = order_id.create_saga();
    let (of, _) = told.tell(|mall| mall.begin(order_id)).await.unwrap();

    let at = told.at() + 5_000_000;
    let late = SagaInput::TimedOut { of: of.clone(), retry_at: Some(at) };
    told.tell(|mall| mall.saga(saga, late)).await;
    let row = row!(told, sagas, saga);
    assert_eq!(states(&row)[..3], [Succeeded, Retrying, Waiting]);
    let step = row.step("AuthorizeCustomer").unwrap();
    assert_eq!((step.attempts, step.next_attempt_at), (1, Some(at)));
    assert_eq!(step.reason.as_deref(), Some("NO_ANSWER"));

    let again = mallbots_domain::saga::Try { attempt: 2, ..of };
    told.tell(|mall| mall.saga(saga, SagaInput::Due { of: again.clone() })).await;
    let row = row!(told, sagas, saga);
    let step = row.step("AuthorizeCustomer").unwrap();
    assert_eq!((step.state, step.attempts, step.next_attempt_at), (Running, 2, None));

    let give_up = SagaInput::TimedOut { of: again.clone(), retry_at: None };
    told.tell(|mall| mall.saga(saga, give_up)).await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, states(&row)[1]), (SagaState::Stuck, Stuck));

    let now = told.at();
    told.tell(|mall| mall.saga(saga, SagaInput::Retry { now })).await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, states(&row)[1]), (SagaState::Running, Running));
    assert_eq!(row.step("AuthorizeCustomer").unwrap().attempts, 3);

    let back = SagaInput::TurnBack { reason: "ORDER_CANCELED".to_owned() };
    let (of, _) = told.tell(|mall| mall.saga(saga, back)).await.unwrap();
    let row = row!(told, sagas, saga);
    assert_eq!(*row.state, SagaState::Compensating);
    assert_eq!(row.refusal.as_deref(), Some("ORDER_CANCELED"));
    assert_eq!(states(&row), [Compensating, Skipped, Skipped, Skipped, Skipped, Skipped]);

    let refused = Outcome::Refused { reason: "NO".to_owned(), message: "no".to_owned() };
    let refused = SagaInput::Replied { of, outcome: refused, retry_at: None };
    told.tell(|mall| mall.saga(saga, refused)).await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, states(&row)[0]), (SagaState::Stuck, Stuck));
    let now = told.at();
    told.tell(|mall| mall.saga(saga, SagaInput::Retry { now })).await;
    let row = row!(told, sagas, saga);
    assert_eq!((*row.state, states(&row)[0]), (SagaState::Compensating, Compensating));
}

async fn the_timeline_tells_an_order_s_life(backend: Backend) {
    let mut told = Told::new(backend).await;
    let order_id = told.tell(shopping).await;
    told.tell(|mall| {
        let (list, invoice) = (order_id.shopping_list(), order_id.invoice());
        for (n, count) in [(1, 1), (2, 2)] {
            let pick = ShoppingListCommand::Pick {
                store_id: id(n),
                product_id: id(n),
                quantity: pieces(count),
            };
            mall.ask::<ShoppingList>(list, pick);
        }
        let complete = ShoppingListCommand::Complete { shortages: vec![] };
        mall.ask::<ShoppingList>(list, complete);
        mall.ask::<Bot>(id(1), BotCommand::Release { list_id: list });
        mall.ask::<Order>(order_id, OrderCommand::Ready);
        let create = InvoiceCommand::Create {
            order_id,
            customer_id: id(1),
            payment_id: id(1),
            amount: money(797),
        };
        mall.ask::<Invoice>(invoice, create);
        mall.ask::<Invoice>(invoice, InvoiceCommand::Pay);
        mall.ask::<Payment>(id(1), PaymentCommand::Capture { order_id });
        mall.ask::<Order>(order_id, OrderCommand::Complete { invoice_id: invoice });
    })
    .await;

    let items = told.timeline(order_id).await;
    let story: Vec<String> = items
        .iter()
        .map(|item| format!("{:?} {:?} {}", *item.order_status, *item.kind, item.title))
        .collect();
    assert_eq!(
        story,
        [
            "Pending Order The order was placed.",
            "Pending Notification The customer is to be told: ORDER_CREATED.",
            "Pending Notification The customer was told: ORDER_CREATED.",
            "Pending Saga The saga create_order began.",
            "Pending Saga AuthorizeCustomer began.",
            "Pending Saga AuthorizeCustomer succeeded.",
            "Pending Saga CreateShoppingList began.",
            "Pending Shopping The shopping list was written.",
            "Pending Saga CreateShoppingList succeeded.",
            "Pending Saga ConfirmPayment began.",
            "Pending Payment The payment was confirmed.",
            "Pending Saga ConfirmPayment succeeded.",
            "Pending Saga InitiateShopping began.",
            "Pending Shopping The shopping list waits for a bot.",
            "Pending Saga InitiateShopping succeeded.",
            "Pending Saga ApproveOrder began.",
            "Approved Order The order was approved.",
            "Approved Notification The customer is to be told: ORDER_APPROVED.",
            "Approved Notification The customer was told: ORDER_APPROVED.",
            "Approved Saga ApproveOrder succeeded.",
            "Approved Saga The saga completed.",
            "Approved Shopping A bot has the shopping list.",
            "Approved Shopping The bot started shopping.",
            "InProgress Order The order is in progress.",
            "InProgress Shopping The bot picked 1 × Product 1.",
            "InProgress Shopping The bot picked 2 × Product 2.",
            "InProgress Shopping The bot brought everything.",
            "Ready Order The order is ready at the depot.",
            "Ready Payment The invoice was made out.",
            "Ready Payment The invoice was paid.",
            "Ready Payment The payment was captured.",
            "Completed Order The order was completed.",
        ]
    );

    // Positions are those of the events, and each saga item shows its step as
    // it was then.
    assert!(items.is_sorted_by_key(|item| item.position));
    let reads = &told.library.reads;
    let saga = timeline::since(reads, order_id, Some(TimelineKind::Saga), 0, 100).await.unwrap();
    assert_eq!(saga.len(), 12);
    assert_eq!(saga[0].saga_step, None);
    assert_eq!(saga[0].saga_id, Some(order_id.create_saga().into()));
    assert_eq!(saga[1].saga_step.as_ref().unwrap().state, SagaStepState::Running);
    assert_eq!(saga[2].saga_step.as_ref().unwrap().state, SagaStepState::Succeeded);
    assert_eq!(saga[11].saga_state, Some(SagaState::Completed.into()));

    // From any item on, what follows.
    let after = timeline::since(reads, order_id, None, items[9].position, 5).await.unwrap();
    assert_eq!(after, items[10..15]);
    assert_eq!(told.library.reads.position(), told.mall.end());
}
