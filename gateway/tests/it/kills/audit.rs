//! Goes through everything a mall has kept, once it is closed and all stories
//! have ended.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use mallbots_domain::{
    depot::{
        bot::{Bot, BotEvent, BotStatus},
        shopping_list::{ShoppingList, ShoppingListStatus},
    },
    event::DomainEvent,
    id::{AnyId, EntityId, OrderId},
    notifications::{Notification, NotificationEvent, NotificationKind},
    ordering::{Order, OrderEvent, OrderStatus},
    payments::{
        invoice::{Invoice, InvoiceStatus},
        payment::{Payment, PaymentEvent},
    },
    saga::{Saga, SagaEvent, SagaState},
};
use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database},
    dead_letters::{DeadLetterFilter, DeadLetterPage},
    ledger::{Ledger, LedgerOptions},
    message::{MessageKind, Metadata, Position, Recorded},
};
use mallbots_projections::projector::Projector;
use mallbots_testing::databases::fresh_views;
use sea_orm::{ConnectionTrait, Statement};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::stories::Ending;
use crate::support::Mall;

/// That the ledger holds what was answered and nothing else, that orders ended
/// as they should, and that the read models are what the ledger makes of them.
pub(super) async fn audit(mall: &Mall, answered: &[i64], endings: &[Ending]) {
    let (database, views) = mall.databases().await;
    let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
    let options = LedgerOptions::default();
    let ledger = Ledger::open(database, Clock::System, &tracker, closing.clone(), options);
    let books = Books::of(ledger.await.unwrap()).await;

    books.have_no_gaps();
    books.hold_each_answer_once(answered).await;
    books.answer_each_command_once();
    books.follow_each_message_once();
    books.went_forward_without_help().await;
    books.let_nothing_follow_an_end();
    books.tell_customers_once();
    books.account_for_all_money();
    for ending in endings {
        books.end_an_order_as(ending).await;
        the_timeline_is_as_heard(&views, ending).await;
    }
    books.leave_no_bot_busy().await;
    books.have_orders_that_were_told_of(endings);
    the_read_models_are_what_the_ledger_makes_of_them(&books, &views).await;

    views.close().await.unwrap();
    closing.cancel();
    tracker.close();
    tracker.wait().await;
}

/// The ledger, read from the first to the last message.
struct Books {
    ledger: Ledger,
    messages: Vec<Arc<Recorded>>,
    events: Vec<(AnyId, DomainEvent)>,
}

impl Books {
    async fn of(ledger: Ledger) -> Self {
        let mut messages = Vec::new();
        let mut after = Position(0);
        loop {
            let page = ledger.read(after, 1_000).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.position;
            messages.extend(page);
        }
        let events = messages.iter().filter(|message| message.kind == MessageKind::Event);
        let events = events.map(|message| (message.stream, ledger.decode(message).unwrap()));
        Self { events: events.collect(), ledger, messages }
    }

    fn have_no_gaps(&self) {
        let positions = self.messages.iter().map(|message| message.position.0);
        assert!(positions.eq(1..=self.ledger.head().0));
        let ids: HashSet<Uuid> = self.messages.iter().map(|message| message.message_id).collect();
        assert_eq!(ids.len(), self.messages.len());
        let mut versions: HashMap<AnyId, i64> = HashMap::new();
        for message in &self.messages {
            if message.kind == MessageKind::Event {
                let version = versions.entry(message.stream).or_default();
                *version += 1;
                assert_eq!(message.version.0, *version, "{}", message.stream);
            }
        }
    }

    /// What people did themselves is in the ledger once for each answer they
    /// got.
    async fn hold_each_answer_once(&self, answered: &[i64]) {
        let sql = "SELECT first_position, last_position FROM idempotency ORDER BY last_position";
        let kept: Vec<(i64, i64)> = rows(self.ledger.database(), sql).await;
        let mut answered = answered.to_vec();
        answered.sort_unstable();
        assert_eq!(kept.iter().map(|(_, last)| *last).collect::<Vec<_>>(), answered);

        let of_answers: Vec<i64> = kept.iter().flat_map(|(first, last)| *first..=*last).collect();
        let of_people = self.messages.iter().filter(|message| {
            let is_event = message.kind == MessageKind::Event;
            is_event && metadata(message).causation_id.is_none()
        });
        let of_people: Vec<i64> = of_people.map(|message| message.position.0).collect();
        assert_eq!(of_answers, of_people);
    }

    fn answer_each_command_once(&self) {
        let mut replies: HashMap<Uuid, u32> = HashMap::new();
        for message in &self.messages {
            if message.kind == MessageKind::Reply {
                *replies.entry(metadata(message).causation_id.unwrap()).or_default() += 1;
            }
        }
        let commands = self.messages.iter().filter(|it| it.kind == MessageKind::Command);
        let mut count = 0;
        for command in commands {
            assert_eq!(replies.get(&command.message_id), Some(&1), "{command:?}");
            count += 1;
        }
        assert_eq!(replies.len(), count);
    }

    /// A message that was handled twice had its effects once.
    fn follow_each_message_once(&self) {
        let mut followed = HashSet::new();
        for message in &self.messages {
            if let Some(cause) = metadata(message).causation_id {
                assert!(followed.insert((cause, message.stream, &message.name)), "{message:?}");
            }
        }
    }

    /// No work was lost and found again by a timeout only, and none was put
    /// aside.
    async fn went_forward_without_help(&self) {
        for (stream, event) in &self.events {
            let DomainEvent::Saga(event) = event else { continue };
            assert!(
                !matches!(
                    event,
                    SagaEvent::StepTimedOut { .. }
                        | SagaEvent::StepRetried { .. }
                        | SagaEvent::SagaStuck { .. }
                ),
                "{stream}: {event:?}"
            );
        }
        let page = DeadLetterPage { after: None, limit: 100 };
        let letters = self.ledger.dead_letters(&DeadLetterFilter::default(), page).await.unwrap();
        assert_eq!(letters, []);
        let sql = "SELECT count(*), count(*) FROM timers WHERE owner LIKE 'saga%'";
        assert_eq!(rows::<i64, i64>(self.ledger.database(), sql).await, [(0, 0)]);
    }

    /// An order that was rejected, canceled or completed stays so.
    fn let_nothing_follow_an_end(&self) {
        let mut ended = HashSet::new();
        for (stream, event) in &self.events {
            let DomainEvent::Order(event) = event else { continue };
            assert!(!ended.contains(stream), "{event:?} after the end of {stream}");
            if matches!(
                event,
                OrderEvent::OrderRejected { .. }
                    | OrderEvent::OrderCanceled { .. }
                    | OrderEvent::OrderCompleted { .. }
            ) {
                ended.insert(*stream);
            }
        }
    }

    /// For each thing that happens to an order, one message, sent once.
    fn tell_customers_once(&self) {
        let mut due: BTreeMap<String, u32> = BTreeMap::new();
        let (mut requested, mut sent) = (due.clone(), due.clone());
        for (stream, event) in &self.events {
            if let DomainEvent::Order(event) = event
                && let Some(kind) = told(event)
            {
                let message = stream.expect::<OrderId>().unwrap().notification(kind);
                *due.entry(message.to_string()).or_default() += 1;
            }
            let DomainEvent::Notification(event) = event else { continue };
            match event {
                NotificationEvent::NotificationRequested { .. } => {
                    *requested.entry(stream.to_string()).or_default() += 1;
                }
                NotificationEvent::NotificationSent {} => {
                    *sent.entry(stream.to_string()).or_default() += 1;
                }
                NotificationEvent::NotificationFailed { .. } => panic!("{stream} failed"),
            }
        }
        assert!(due.values().all(|count| *count == 1), "{due:?}");
        assert_eq!(requested, due);
        assert_eq!(sent, due);
    }

    /// All that was set aside is held, taken, let go of or paid back.
    fn account_for_all_money(&self) {
        let mut payments: HashMap<AnyId, i64> = HashMap::new();
        let (mut authorized, mut captured) = (0, 0);
        let (mut taken, mut freed) = (HashSet::new(), HashSet::new());
        let (mut released, mut refunded) = (0, 0);
        for (stream, event) in &self.events {
            let DomainEvent::Payment(event) = event else { continue };
            match event {
                PaymentEvent::PaymentAuthorized { amount, .. } => {
                    assert!(payments.insert(*stream, amount.minor()).is_none(), "{stream}");
                    authorized += amount.minor();
                }
                PaymentEvent::PaymentConfirmed { .. } => assert!(!freed.contains(stream)),
                PaymentEvent::PaymentCaptured { .. } => {
                    assert!(taken.insert(*stream), "{stream} was captured twice");
                    assert!(!freed.contains(stream));
                    captured += payments[stream];
                }
                PaymentEvent::PaymentReleased { .. } => {
                    assert!(freed.insert(*stream), "{stream} was let go of twice");
                    assert!(!taken.contains(stream));
                    released += payments[stream];
                }
                PaymentEvent::PaymentRefunded { .. } => {
                    assert!(freed.insert(*stream), "{stream} was paid back twice");
                    assert!(taken.contains(stream));
                    captured -= payments[stream];
                    refunded += payments[stream];
                }
            }
        }
        let held = payments.iter().filter(|(id, _)| !taken.contains(*id) && !freed.contains(*id));
        let held: i64 = held.map(|(_, amount)| amount).sum();
        assert_eq!(authorized, held + captured + released + refunded);
    }

    async fn end_an_order_as(&self, ending: &Ending) {
        let Ending { order, payment, status, reason, heard } = ending;
        let ledger = &self.ledger;
        let found = ledger.load::<Order>(*order).await.unwrap().state;
        assert_eq!(found.status(), Some(*status), "{order}: {heard:#?}");
        let mut rejections = Vec::new();
        for (stream, event) in &self.events {
            if let DomainEvent::Order(OrderEvent::OrderRejected { reason, .. }) = event
                && *stream == order.any()
            {
                rejections.push(reason.as_str());
            }
        }
        assert_eq!(rejections, reason.as_slice());

        let list = ledger.load::<ShoppingList>(order.shopping_list()).await.unwrap().state;
        let payment = ledger.load::<Payment>(*payment).await.unwrap().state;
        let invoice = ledger.load::<Invoice>(order.invoice()).await.unwrap().state;
        let creating = ledger.load::<Saga>(order.create_saga()).await.unwrap().state.state();
        let canceling = ledger.load::<Saga>(order.cancel_saga()).await.unwrap().state.state();
        let canceled = [None, Some(ShoppingListStatus::Canceled)];
        let stands = format!("{list:?} {payment:?} {invoice:?} {creating:?} {canceling:?}");
        let as_it_should = match status {
            OrderStatus::Approved => {
                list.status() == Some(ShoppingListStatus::Available)
                    && matches!(payment, Payment::Confirmed { order_id, .. } if order_id == *order)
                    && invoice == Invoice::default()
                    && (creating, canceling) == (Some(SagaState::Completed), None)
            }
            OrderStatus::Completed => {
                list.status() == Some(ShoppingListStatus::Completed)
                    && matches!(payment, Payment::Captured { order_id, .. } if order_id == *order)
                    && invoice.status() == Some(InvoiceStatus::Paid)
                    && (creating, canceling) == (Some(SagaState::Completed), None)
            }
            OrderStatus::Rejected => {
                let is_another_ones = |payment: &Payment| payment.order_id() != Some(*order);
                (matches!(payment, Payment::Released { .. })
                    || matches!(&payment, Payment::Confirmed { .. } if is_another_ones(&payment)))
                    && canceled.contains(&list.status())
                    && invoice == Invoice::default()
                    && (creating, canceling) == (Some(SagaState::Compensated), None)
            }
            OrderStatus::Canceled => {
                let undone = [
                    (Some(SagaState::Compensated), None),
                    (Some(SagaState::Completed), Some(SagaState::Completed)),
                ];
                matches!(payment, Payment::Released { .. })
                    && canceled.contains(&list.status())
                    && invoice == Invoice::default()
                    && undone.contains(&(creating, canceling))
            }
            OrderStatus::Pending | OrderStatus::InProgress | OrderStatus::Ready => false,
        };
        assert!(as_it_should, "{order} {status:?}: {stands}\n{heard:#?}");

        for (stream, event) in &self.events {
            if let DomainEvent::Notification(_) = event {
                let id: mallbots_domain::id::NotificationId = stream.expect().unwrap();
                if id.order() == *order {
                    let message = ledger.load::<Notification>(id).await.unwrap().state;
                    assert!(!message.waiting(), "{message:?}");
                }
            }
        }
    }

    async fn leave_no_bot_busy(&self) {
        for (stream, event) in &self.events {
            if let DomainEvent::Bot(BotEvent::BotRegistered { .. }) = event {
                let bot = self.ledger.load::<Bot>(stream.expect().unwrap()).await.unwrap().state;
                assert_eq!(bot.status(), Some(BotStatus::Idle), "{bot:?}");
            }
        }
    }

    /// No order came about that nobody placed.
    fn have_orders_that_were_told_of(&self, endings: &[Ending]) {
        let mut placed: Vec<String> = Vec::new();
        for (stream, event) in &self.events {
            if let DomainEvent::Order(OrderEvent::OrderCreated { .. }) = event {
                placed.push(stream.to_string());
            }
        }
        let mut told: Vec<_> = endings.iter().map(|ending| ending.order.to_string()).collect();
        placed.sort_unstable();
        told.sort_unstable();
        assert_eq!(placed, told);
    }
}

fn metadata(message: &Recorded) -> Metadata {
    message.metadata().unwrap()
}

/// What customers are told of.
const fn told(event: &OrderEvent) -> Option<NotificationKind> {
    match event {
        OrderEvent::OrderCreated { .. } => Some(NotificationKind::OrderCreated),
        OrderEvent::OrderApproved { .. } => Some(NotificationKind::OrderApproved),
        OrderEvent::OrderRejected { .. } => Some(NotificationKind::OrderRejected),
        OrderEvent::OrderStarted {} => None,
        OrderEvent::OrderReadied { .. } => Some(NotificationKind::OrderReady),
        OrderEvent::OrderCompleted { .. } => Some(NotificationKind::OrderCompleted),
        OrderEvent::OrderCanceled { .. } => Some(NotificationKind::OrderCanceled),
    }
}

/// Whoever followed the order heard each item of its timeline once, in order,
/// and nothing else.
async fn the_timeline_is_as_heard(views: &Database, ending: &Ending) {
    let Ending { order, heard, .. } = ending;
    let sql = format!(
        "SELECT position, title FROM order_timeline WHERE order_id = '{order}' ORDER BY position"
    );
    let kept: Vec<(i64, String)> = rows(views, &sql).await;
    let kept: Vec<_> = kept.into_iter().map(|(_, title)| title).collect();
    assert_eq!(kept, *heard, "{order}");
}

const READ_MODELS: [&str; 14] = [
    "stores",
    "products",
    "customers",
    "baskets",
    "orders",
    "order_lines",
    "order_timeline",
    "sagas",
    "payments",
    "invoices",
    "shopping_lists",
    "bots",
    "notifications",
    "projection_dead_letters",
];

/// The rows are the same as in tables that are filled from nothing.
async fn the_read_models_are_what_the_ledger_makes_of_them(books: &Books, views: &Database) {
    let fresh = fresh_views(views.kind).await.unwrap();
    let (mut projector, _reads) = Projector::open(&fresh.database, &books.ledger).await.unwrap();
    projector.project(&books.messages).await.unwrap();
    for table in READ_MODELS {
        let live = contents(views, table).await;
        let rebuilt = contents(&fresh.database, table).await;
        assert_eq!(live, rebuilt, "{table}");
        match table {
            "orders" | "order_timeline" => assert!(!live.is_empty()),
            "projection_dead_letters" => assert!(live.is_empty(), "{live:?}"),
            _ => {}
        }
    }
}

/// The rows of a table as text, in the order of their texts.
async fn contents(database: &Database, table: &str) -> Vec<String> {
    let columns = match database.kind {
        Backend::Postgres => "to_jsonb(t)::text".to_owned(),
        Backend::Sqlite => {
            let sql = format!("SELECT cid, name FROM pragma_table_info('{table}')");
            let columns: Vec<(i64, String)> = rows(database, &sql).await;
            let columns: Vec<_> = columns.into_iter().map(|(_, name)| name).collect();
            format!("json_array({})", columns.join(", "))
        }
    };
    let sql = format!("SELECT cast(0 AS bigint), {columns} FROM {table} AS t ORDER BY 2");
    let rows: Vec<(i64, String)> = rows(database, &sql).await;
    rows.into_iter().map(|(_, text)| text).collect()
}

/// Rows of two columns.
async fn rows<A, B>(database: &Database, sql: &str) -> Vec<(A, B)>
where
    A: sea_orm::TryGetable,
    B: sea_orm::TryGetable,
{
    let backend = database.read.get_database_backend();
    let rows = database.read.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter()
        .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
        .collect()
}
