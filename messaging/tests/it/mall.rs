//! A mall with a post: what happens in it, and what became of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::{
    baskets::{Basket, BasketStatus, Item},
    customers::{Customer, CustomerCommand},
    depot::{
        bot::{Bot, BotCommand, BotStatus},
        shopping_list::{ShoppingList, ShoppingListCommand, ShoppingListStatus},
    },
    id::{
        AnyId, BasketId, BotId, CustomerId, EntityId, InvoiceId, Kind, OrderId, PaymentId,
        ProductId, SagaId, ShoppingListId, StoreId,
    },
    notifications::NotificationKind,
    ordering::{Order, OrderCommand, OrderStatus},
    payments::{
        invoice::{Invoice, InvoiceCommand, InvoiceStatus},
        payment::{Payment, PaymentStatus},
    },
    saga::{Direction, Saga, SagaEvent, SagaState},
    stores::store::{Store, StoreCommand},
    testing::{money, name, pieces, reason},
    text::{Description, Sku, SmsNumber},
};
use mallbots_eventstore::{
    append::{Append, NewMessage},
    codec,
    connect::Backend,
    dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterPage},
    error::{CommandError, Refusal},
    ledger::{Ledger, LedgerOptions},
    message::{MessageKind, Metadata, Position, Recorded, Version},
    unit::Unit,
};
use mallbots_messaging::{
    consumer::Office,
    contexts,
    intake::Carrier,
    notifier::Notifier,
    post::{Post, PostOptions},
    retry::Backoff,
    sagas::{self, SagaOptions},
};
use mallbots_testing::ledgers::{Tasks, TestLedger};
use sea_orm::ConnectionTrait;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    courier::{Manners, Streaming},
    crew::{Crew, Gate, impatient},
};

/// How long anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_mins(1);
/// When an untouched basket is cleared away.
pub(crate) const ABANDONED_AFTER: Duration = Duration::from_hours(24);
/// What the goods in each basket cost together.
pub(crate) const TOTAL: i64 = 2 * 999 + 250;

/// How a mall is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// On SQLite.
    Sqlite,
    /// On PostgreSQL.
    Postgres,
    /// On PostgreSQL, its messages carried by JetStream.
    JetStream,
}

impl Shape {
    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::Sqlite => Backend::Sqlite,
            Self::Postgres | Self::JetStream => Backend::Postgres,
        }
    }

    /// JetStream, if it is there, and whoever fills it.
    pub(crate) async fn streaming(self, ledger: &Ledger) -> Option<Streaming> {
        match self {
            Self::Sqlite | Self::Postgres => None,
            Self::JetStream => {
                let mut streaming = Streaming::start().await;
                streaming.employ(ledger, Manners::Good);
                Some(streaming)
            }
        }
    }
}

/// What consumers work with.
pub(crate) fn office(ledger: &Ledger, streaming: Option<&Streaming>) -> Office {
    let carrier = streaming.map_or(Carrier::Ledger, Streaming::carrier);
    Office { carrier, ..Office::embedded(ledger.clone()) }
}

/// Runs cases in each shape: the contract that every way of delivery keeps.
macro_rules! in_each_shape {
    ($($case:ident),* $(,)?) => {
        crate::mall::cases!(sqlite, crate::mall::Shape::Sqlite, $($case),*);
        crate::mall::cases!(postgres, crate::mall::Shape::Postgres, $($case),*);
        crate::mall::cases!(jetstream, crate::mall::Shape::JetStream, $($case),*);
    };
}

/// Runs cases on each database.
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {
        crate::mall::cases!(sqlite, mallbots_eventstore::connect::Backend::Sqlite, $($case),*);
        crate::mall::cases!(postgres, mallbots_eventstore::connect::Backend::Postgres, $($case),*);
    };
}

macro_rules! cases {
    ($name:ident, $given:expr, $($case:ident),*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($given).await;
            })*
        }
    };
}

pub(crate) use cases;
pub(crate) use in_each_shape;
pub(crate) use on_each_database;

/// Waits for something, but not for ever.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A new id.
pub(crate) fn new<I: EntityId>() -> I {
    I::from_uuid(Uuid::now_v7())
}

/// How patient the tests are.
pub(crate) fn options() -> PostOptions {
    PostOptions {
        consumer: impatient(),
        sagas: SagaOptions {
            step_timeout: Duration::from_secs(30),
            attempts: 3,
            backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(1) },
        },
        ..PostOptions::default()
    }
}

/// A mall, and who works in it.
pub(crate) struct Mall {
    pub(crate) test: TestLedger,
    pub(crate) streaming: Option<Streaming>,
    staff: Staff,
}

enum Staff {
    Nobody,
    Post { post: Post, tasks: Tasks },
    Crew(Box<Crew>),
}

/// A customer with a full basket and money set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shopper {
    pub(crate) customer: CustomerId,
    pub(crate) basket: BasketId,
    pub(crate) payment: PaymentId,
}

impl Shopper {
    pub(crate) fn order(&self) -> OrderId {
        self.basket.order()
    }

    pub(crate) fn list(&self) -> ShoppingListId {
        self.order().shopping_list()
    }

    pub(crate) fn invoice(&self) -> InvoiceId {
        self.order().invoice()
    }

    pub(crate) fn saga(&self) -> SagaId {
        self.order().create_saga()
    }

    pub(crate) fn cancel_saga(&self) -> SagaId {
        self.order().cancel_saga()
    }
}

/// Who works in it.
impl Mall {
    /// A mall where nobody works yet.
    pub(crate) async fn closed(shape: Shape) -> Self {
        let test = TestLedger::open(shape.backend()).await.unwrap();
        let streaming = shape.streaming(&test.ledger).await;
        Self { test, streaming, staff: Staff::Nobody }
    }

    /// A mall with the whole post.
    pub(crate) async fn open(shape: Shape) -> Self {
        Self::closed(shape).await.with_post(Notifier::Log)
    }

    /// A mall whose consumers can be held and sent home.
    pub(crate) async fn staffed(shape: Shape) -> Self {
        Self::closed(shape).await.with_crew(&[])
    }

    /// The whole post comes to work.
    pub(crate) fn with_post(mut self, notifier: Notifier) -> Self {
        let tasks = Tasks::default();
        let options = PostOptions { carrier: self.office().carrier, ..options() };
        let post = Post::start(self.ledger(), notifier, &options, &tasks.tracker, &tasks.shutdown);
        self.staff = Staff::Post { post, tasks };
        self
    }

    /// Everybody comes to work, but for those named.
    pub(crate) fn with_crew(self, but: &[&str]) -> Self {
        self.with_gated_crew(Gate::default(), but)
    }

    /// The same, behind a gate that may hold messages already.
    pub(crate) fn with_gated_crew(mut self, gate: Gate, but: &[&str]) -> Self {
        self.staff = Staff::Crew(Box::new(Crew::start(self.office(), options(), gate, but)));
        self
    }

    pub(crate) fn crew(&mut self) -> &mut Crew {
        match &mut self.staff {
            Staff::Crew(crew) => crew,
            Staff::Nobody | Staff::Post { .. } => panic!("there is no crew"),
        }
    }

    pub(crate) fn gate(&mut self) -> Gate {
        self.crew().gate.clone()
    }

    pub(crate) fn post(&self) -> &Post {
        match &self.staff {
            Staff::Post { post, .. } => post,
            Staff::Nobody | Staff::Crew(_) => panic!("there is no post"),
        }
    }

    /// Everybody goes home.
    pub(crate) async fn close(mut self) -> Self {
        match std::mem::replace(&mut self.staff, Staff::Nobody) {
            Staff::Nobody => {}
            Staff::Post { tasks, .. } => in_time("the post to end", tasks.end()).await,
            Staff::Crew(crew) => crew.end().await,
        }
        self
    }

    /// The process ends; another opens what it left behind.
    pub(crate) async fn reopened(self) -> Self {
        let Self { test, mut streaming, .. } = self.close().await;
        if let Some(streaming) = &streaming {
            streaming.dismiss().await;
        }
        let test = test.reopen(LedgerOptions::default()).await.unwrap();
        if let Some(streaming) = &mut streaming {
            streaming.employ(&test.ledger, Manners::Good);
        }
        Self { test, streaming, staff: Staff::Nobody }
    }

    /// Waits until nothing is left to do.
    pub(crate) async fn settle(&self) {
        match &self.staff {
            Staff::Nobody => panic!("nobody works here"),
            Staff::Post { post, .. } => {
                in_time("the post to begin", post.has_everything()).await;
                in_time("the post", post.settle(self.ledger())).await;
            }
            Staff::Crew(crew) => in_time("the crew", crew.settle()).await,
        }
    }

    /// Time goes by; what is due by then has been said.
    pub(crate) async fn advance(&self, by: Duration) {
        self.test.clock.advance(by);
        let ledger = self.ledger();
        ledger.alarms().ring();
        self.until("timers to fire", async || {
            ledger.due_timers(ledger.now(), 1).await.unwrap().is_empty()
        })
        .await;
        // What can be read is not yet known to all; when this comes back, it is.
        ledger.append(Append::new(request())).await.unwrap();
    }

    /// Waits until something holds, looking whenever the ledger grows.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let mut head = self.ledger().subscribe();
        in_time(what, async {
            while !holds().await {
                head.changed().await.unwrap();
            }
        })
        .await;
    }

    /// What consumers work with.
    pub(crate) fn office(&self) -> Office {
        office(self.ledger(), self.streaming.as_ref())
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.test.ledger
    }
}

/// A request from outside.
pub(crate) fn request() -> Metadata {
    Metadata::begin("admin", Uuid::now_v7())
}

/// What people do in it.
impl Mall {
    /// Does something as a mutation would.
    pub(crate) async fn act<'a, T: Send>(
        &'a self,
        work: impl for<'u> FnMut(&'u mut Unit<'a>) -> BoxFuture<'u, Result<T, CommandError>> + Send,
    ) -> Result<T, CommandError> {
        self.ledger().transact(&request(), work).await.map(|committed| committed.value)
    }

    /// Says something by hand.
    pub(crate) async fn say(&self, message: NewMessage) {
        let append = Append { messages: vec![message], ..Append::new(request()) };
        self.ledger().append(append).await.unwrap();
    }

    /// Somebody with a full basket and just enough money.
    pub(crate) async fn shopper(&self) -> Shopper {
        self.shopper_with(TOTAL).await
    }

    /// Somebody with a full basket and this much money.
    pub(crate) async fn shopper_with(&self, amount: i64) -> Shopper {
        let customer = self.customer().await;
        let payment = self.payment(customer, amount).await;
        let basket = self.full_basket(customer).await;
        Shopper { customer, basket, payment }
    }

    pub(crate) async fn customer(&self) -> CustomerId {
        let customer = new();
        let command = CustomerCommand::Register {
            name: name("Ada"),
            sms_number: SmsNumber::new("+15550100").unwrap(),
        };
        self.ledger().execute::<Customer>(customer, command, &request()).await.unwrap();
        customer
    }

    pub(crate) async fn disable(&self, customer: CustomerId) {
        let command = CustomerCommand::Disable;
        self.ledger().execute::<Customer>(customer, command, &request()).await.unwrap();
    }

    pub(crate) async fn payment(&self, customer: CustomerId, amount: i64) -> PaymentId {
        let payment = new();
        self.act(|unit| {
            contexts::payments::authorize(unit, payment, customer, money(amount)).boxed()
        })
        .await
        .unwrap();
        payment
    }

    /// A product of a new store.
    pub(crate) async fn product(&self, price: i64) -> ProductId {
        let (store, product): (StoreId, ProductId) = (new(), new());
        let create = StoreCommand::Create { name: name("Books"), location: name("Level 1") };
        for command in [create, StoreCommand::EnableParticipation] {
            self.ledger().execute::<Store>(store, command, &request()).await.unwrap();
        }
        self.act(|unit| {
            let new = contexts::stores::NewProduct {
                store_id: store,
                name: name("Wizard"),
                description: Description::new("It glows.").unwrap(),
                sku: Sku::new("W-1").unwrap(),
                price: money(price),
            };
            contexts::stores::add_product(unit, product, new).boxed()
        })
        .await
        .unwrap();
        product
    }

    pub(crate) async fn empty_basket(&self, customer: CustomerId) -> BasketId {
        let basket = new();
        self.act(|unit| contexts::baskets::start(unit, basket, customer, ABANDONED_AFTER).boxed())
            .await
            .unwrap();
        basket
    }

    pub(crate) async fn put(&self, basket: BasketId, product: ProductId, count: u32) {
        self.act(|unit| {
            let count = pieces(count);
            contexts::baskets::add_item(unit, basket, product, count, ABANDONED_AFTER).boxed()
        })
        .await
        .unwrap();
    }

    pub(crate) async fn take_out(&self, basket: BasketId, product: ProductId) {
        self.act(|unit| {
            let count = pieces(1);
            contexts::baskets::remove_item(unit, basket, product, count, ABANDONED_AFTER).boxed()
        })
        .await
        .unwrap();
    }

    /// A basket with things of two stores that cost [`TOTAL`].
    pub(crate) async fn full_basket(&self, customer: CustomerId) -> BasketId {
        let basket = self.empty_basket(customer).await;
        for (price, count) in [(999, 2), (250, 1)] {
            let product = self.product(price).await;
            self.put(basket, product, count).await;
        }
        basket
    }

    pub(crate) async fn check_out(&self, shopper: &Shopper) {
        let Shopper { basket, payment, .. } = *shopper;
        self.act(|unit| contexts::baskets::checkout(unit, basket, payment, false).boxed())
            .await
            .unwrap();
    }

    /// Somebody who has checked out, and whose order stands where nothing more happens to it.
    pub(crate) async fn settled_shopper(&self) -> Shopper {
        let shopper = self.shopper().await;
        self.check_out(&shopper).await;
        self.settle().await;
        shopper
    }

    /// Places the order of a basket that was not checked out, with whatever payment.
    pub(crate) async fn order_unchecked(&self, shopper: &Shopper) {
        let Shopper { customer, payment, .. } = *shopper;
        let items = self.items(shopper.basket).await;
        let order = shopper.order();
        self.act(|unit| {
            contexts::ordering::create(unit, order, customer, payment, items.clone()).boxed()
        })
        .await
        .unwrap();
        let basket = shopper.basket;
        self.act(|unit| contexts::baskets::cancel(unit, basket).boxed()).await.unwrap();
    }

    pub(crate) async fn cancel(&self, shopper: &Shopper) {
        let command = OrderCommand::Cancel { reason: reason("no longer"), by: "admin".to_owned() };
        self.ledger().execute::<Order>(shopper.order(), command, &request()).await.unwrap();
    }

    /// A bot that waits for work.
    pub(crate) async fn bot(&self) -> BotId {
        let bot = new();
        for command in [BotCommand::Register { name: name("R2") }, BotCommand::BringOnline] {
            self.ledger().execute::<Bot>(bot, command, &request()).await.unwrap();
        }
        bot
    }

    pub(crate) async fn assign(&self, shopper: &Shopper, bot: BotId) {
        let list = shopper.list();
        self.act(|unit| contexts::depot::assign(unit, list, bot).boxed()).await.unwrap();
    }

    pub(crate) async fn start_shopping(&self, shopper: &Shopper) {
        let command = ShoppingListCommand::Start;
        self.ledger().execute::<ShoppingList>(shopper.list(), command, &request()).await.unwrap();
    }

    /// The bot takes everything and comes back.
    pub(crate) async fn shop(&self, shopper: &Shopper) {
        let list = shopper.list();
        let loaded = self.ledger().load::<ShoppingList>(list).await.unwrap().state;
        for stop in &loaded.details().unwrap().stops {
            for item in &stop.items {
                let command = ShoppingListCommand::Pick {
                    store_id: stop.store_id,
                    product_id: item.product_id,
                    quantity: pieces(item.quantity),
                };
                self.ledger().execute::<ShoppingList>(list, command, &request()).await.unwrap();
            }
        }
        self.act(|unit| contexts::depot::complete(unit, list, vec![]).boxed()).await.unwrap();
    }

    pub(crate) async fn pay(&self, shopper: &Shopper) {
        let command = InvoiceCommand::Pay;
        self.ledger().execute::<Invoice>(shopper.invoice(), command, &request()).await.unwrap();
    }

    /// From a full basket to goods handed over.
    pub(crate) async fn whole_life(&self) -> Shopper {
        let shopper = self.settled_shopper().await;
        let bot = self.bot().await;
        self.assign(&shopper, bot).await;
        self.start_shopping(&shopper).await;
        self.settle().await;
        self.shop(&shopper).await;
        self.settle().await;
        self.pay(&shopper).await;
        self.settle().await;
        shopper
    }

    pub(crate) async fn retry_saga(&self, id: SagaId) -> Result<(), Refusal> {
        let retried = self.act(|unit| sagas::retry(unit, id, options().sagas).boxed()).await;
        match retried {
            Ok(()) => Ok(()),
            Err(CommandError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What became of it.
impl Mall {
    pub(crate) async fn order(&self, shopper: &Shopper) -> Order {
        self.ledger().load::<Order>(shopper.order()).await.unwrap().state
    }

    pub(crate) async fn order_status(&self, shopper: &Shopper) -> Option<OrderStatus> {
        self.order(shopper).await.status()
    }

    pub(crate) async fn payment_status(&self, payment: PaymentId) -> Option<PaymentStatus> {
        self.ledger().load::<Payment>(payment).await.unwrap().state.status()
    }

    pub(crate) async fn list_status(&self, shopper: &Shopper) -> Option<ShoppingListStatus> {
        self.ledger().load::<ShoppingList>(shopper.list()).await.unwrap().state.status()
    }

    pub(crate) async fn invoice_status(&self, shopper: &Shopper) -> Option<InvoiceStatus> {
        self.ledger().load::<Invoice>(shopper.invoice()).await.unwrap().state.status()
    }

    pub(crate) async fn basket_status(&self, basket: BasketId) -> Option<BasketStatus> {
        self.ledger().load::<Basket>(basket).await.unwrap().state.status()
    }

    pub(crate) async fn bot_status(&self, bot: BotId) -> Option<BotStatus> {
        self.ledger().load::<Bot>(bot).await.unwrap().state.status()
    }

    pub(crate) async fn saga_state(&self, id: SagaId) -> Option<SagaState> {
        self.ledger().load::<Saga>(id).await.unwrap().state.state()
    }

    pub(crate) async fn items(&self, basket: BasketId) -> Vec<Item> {
        let basket = self.ledger().load::<Basket>(basket).await.unwrap().state;
        basket.details().unwrap().items.clone()
    }

    pub(crate) async fn saga_events(&self, id: SagaId) -> Vec<SagaEvent> {
        let events = self.ledger().read_stream(id.any(), Version(0), 1_000).await.unwrap();
        let read = |event: &Arc<Recorded>| codec::decode::<Saga>(event, self.ledger().upcasters());
        events.iter().map(read).collect::<Result<_, _>>().unwrap()
    }

    /// What a saga did, in short: `CreateShoppingList` for a step done,
    /// `-CreateShoppingList` for one undone, and so on.
    pub(crate) async fn steps(&self, id: SagaId) -> Vec<String> {
        let mut steps = Vec::new();
        for event in self.saga_events(id).await {
            steps.push(match event {
                SagaEvent::SagaStarted { saga } => saga.name().to_owned(),
                SagaEvent::StepStarted { .. } => continue,
                SagaEvent::StepSucceeded { of } => {
                    assert_eq!(of.direction, Direction::Forward);
                    of.step
                }
                SagaEvent::StepRefused { of, reason, .. } => format!("{} {reason}", of.step),
                SagaEvent::StepTimedOut { of } => format!("{} late", of.step),
                SagaEvent::StepRetried { of, .. } => format!("{} {}", of.step, of.attempt),
                SagaEvent::CompensationStarted { reason } => format!("back {reason}"),
                SagaEvent::StepCompensated { of } => {
                    assert_eq!(of.direction, Direction::Backward);
                    format!("-{}", of.step)
                }
                SagaEvent::SagaCompleted {} => "completed".to_owned(),
                SagaEvent::SagaCompensated { reason } => format!("compensated {reason}"),
                SagaEvent::SagaStuck { of, reason } => format!("stuck {} {reason}", of.step),
            });
        }
        steps
    }

    /// Everything in the ledger, which must be without a gap.
    pub(crate) async fn everything(&self) -> Vec<Arc<Recorded>> {
        let mut all: Vec<Arc<Recorded>> = Vec::new();
        loop {
            let after = all.last().map_or(Position(0), |last| last.position);
            let page = self.ledger().read(after, 1_000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The names of a stream's events, without the context.
    pub(crate) async fn events(&self, stream: impl Into<AnyId>) -> Vec<String> {
        let events = self.ledger().read_stream(stream.into(), Version(0), 1_000).await.unwrap();
        events.iter().map(|event| short(event).to_owned()).collect()
    }

    /// The events of each stream.
    pub(crate) async fn streams(&self) -> BTreeMap<String, Vec<String>> {
        let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for message in self.everything().await {
            if message.kind == MessageKind::Event {
                let stream = streams.entry(message.stream.to_string()).or_default();
                stream.push(short(&message).to_owned());
            }
        }
        streams
    }

    /// What a customer was told about an order, in order.
    pub(crate) async fn told(&self, shopper: &Shopper) -> Vec<NotificationKind> {
        let sent = "notifications.NotificationSent";
        let everything = self.everything().await;
        let ids = everything.iter().filter(|it| &*it.name == sent).map(|it| it.stream);
        ids.filter_map(|id| {
            let order = shopper.order();
            NotificationKind::ALL.into_iter().find(|kind| order.notification(*kind).any() == id)
        })
        .collect()
    }

    /// What cannot be handled.
    pub(crate) async fn letters(&self) -> Vec<DeadLetter> {
        let page = DeadLetterPage { after: None, limit: 1_000 };
        self.ledger().dead_letters(&DeadLetterFilter::default(), page).await.unwrap()
    }

    /// Nothing is parked, and nothing is still to come.
    pub(crate) async fn assert_quiet(&self) {
        assert_eq!(self.letters().await, []);
        assert_eq!(self.ledger().next_timer().await.unwrap(), None);
    }

    /// Does something to the database behind the ledger's back.
    pub(crate) async fn meddle(&self, sql: &str) {
        self.test.place.database.write.execute_unprepared(sql).await.unwrap();
    }

    /// What consumers remember of what they did is lost, and they begin anew.
    pub(crate) async fn forgotten(self) -> Self {
        let mall = self.close().await;
        mall.meddle("DELETE FROM inbox").await;
        mall.meddle("DELETE FROM checkpoints").await;
        mall.reopened().await
    }
}

/// An event's type.
fn short(event: &Recorded) -> &str {
    event.name.split_once('.').unwrap().1
}

/// Whether a message is about this kind of thing.
pub(crate) fn is_about(kind: Kind) -> impl Fn(&str, &Recorded) -> bool {
    move |_, message| message.stream.kind == kind
}
