//! What holds for all aggregates alike, and tools for their own tests.

use std::fmt::Write;

use proptest::{
    prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest},
    test_runner::TestCaseError,
};
use serde::Serialize;

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind, replay},
    baskets::{Basket, BasketError, BasketStatus},
    customers::{Customer, CustomerCommand, CustomerError},
    depot::{
        bot::{Bot, BotCommand, BotError, BotStatus},
        shopping_list::{ShoppingList, ShoppingListError, ShoppingListStatus},
    },
    id::{EntityId, Kind},
    notifications::{Notification, NotificationCommand, NotificationError, NotificationKind},
    ordering::{Order, OrderError, OrderStatus},
    payments::{
        invoice::{Invoice, InvoiceCommand, InvoiceError, InvoiceStatus},
        payment::{Payment, PaymentError, PaymentStatus},
    },
    stores::{
        product::{Product, ProductCommand, ProductError},
        store::{Store, StoreCommand, StoreError},
    },
    testing::{id, money, name},
    text::{Description, Sku, SmsNumber},
};

/// What each state answers to each command: the state diagram as a table.
pub(crate) fn answers<A: Aggregate>(
    states: &[(&str, Vec<A::Event>)],
    commands: &[(&str, A::Command)],
) -> String {
    let mut table = String::new();
    for (asked, command) in commands {
        table.push_str(asked);
        table.push('\n');
        for (state, history) in states {
            let answer = match replay::<A>(history.clone()).decide(command.clone()) {
                Ok(events) => events.iter().map(event_name).collect::<Vec<_>>().join(" + "),
                Err(refusal) if refusal.kind() == ErrorKind::AlreadyDone => {
                    format!("already done: {}", refusal.reason())
                }
                Err(refusal) => format!("refused: {}", refusal.reason()),
            };
            writeln!(table, "  {state:<12} {answer}").unwrap();
        }
    }
    table
}

fn event_name<E: Serialize>(event: &E) -> String {
    let event = serde_json::to_value(event).unwrap();
    event.as_object().unwrap().keys().next().unwrap().clone()
}

/// Asks one thing after the other and checks what has to hold whatever was
/// asked: what was recorded makes the same state when it is replayed, and both
/// the record and the state come back from JSON as they went in.
///
/// Returns every state on the way.
pub(crate) fn ask_in_turn<A>(commands: Vec<A::Command>) -> Result<Vec<A>, TestCaseError>
where
    A: Aggregate + PartialEq,
    A::Event: PartialEq,
{
    let mut history = Vec::new();
    let mut states = vec![A::default()];
    let mut state = A::default();
    for command in commands {
        let Ok(events) = state.decide(command) else { continue };
        state = events.iter().cloned().fold(state, A::evolve);
        history.extend(events);
        states.push(state.clone());
    }
    prop_assert_eq!(&replay::<A>(history.clone()), &state, "replay");

    let json = serde_json::to_string(&history).unwrap();
    let stored: Vec<A::Event> = serde_json::from_str(&json).unwrap();
    prop_assert_eq!(&stored, &history, "events come back from JSON");
    let json = serde_json::to_string(&state).unwrap();
    let snapshot: A = serde_json::from_str(&json).unwrap();
    prop_assert_eq!(&snapshot, &state, "snapshots come back from JSON");
    Ok(states)
}

/// Up to forty of these, in any order.
pub(crate) fn any_order<C: std::fmt::Debug + Clone + 'static>(
    commands: Vec<C>,
) -> impl Strategy<Value = Vec<C>> {
    proptest::collection::vec(proptest::sample::select(commands), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_store_is_what_its_events_say(commands in any_order(vec![
        StoreCommand::Create { name: name("one"), location: name("here") },
        StoreCommand::EnableParticipation,
        StoreCommand::DisableParticipation,
        StoreCommand::Rebrand { name: name("one") },
        StoreCommand::Rebrand { name: name("two") },
    ])) {
        ask_in_turn::<Store>(commands)?;
    }

    #[test]
    fn a_product_is_what_its_events_say(commands in any_order(vec![
        ProductCommand::Add {
            store_id: id(1),
            name: name("tea"),
            description: Description::new("green").unwrap(),
            sku: Sku::new("T-1").unwrap(),
            price: money(1_000),
        },
        ProductCommand::Rebrand {
            name: name("chai"),
            description: Description::new("").unwrap(),
        },
        ProductCommand::IncreasePrice { price: money(1_500) },
        ProductCommand::DecreasePrice { price: money(500) },
        ProductCommand::Remove,
    ])) {
        ask_in_turn::<Product>(commands)?;
    }

    #[test]
    fn a_customer_is_what_their_events_say(commands in any_order(vec![
        CustomerCommand::Register {
            name: name("Ada"),
            sms_number: SmsNumber::new("+15550100").unwrap(),
        },
        CustomerCommand::ChangeSmsNumber { sms_number: SmsNumber::new("+15550199").unwrap() },
        CustomerCommand::Enable,
        CustomerCommand::Disable,
        CustomerCommand::Authorize { order_id: id(1) },
        CustomerCommand::Authorize { order_id: id(2) },
    ])) {
        ask_in_turn::<Customer>(commands)?;
    }

    #[test]
    fn an_invoice_is_what_its_events_say(commands in any_order(vec![
        InvoiceCommand::Create {
            order_id: id(1),
            customer_id: id(2),
            payment_id: id(3),
            amount: money(2_997),
        },
        InvoiceCommand::Adjust { amount: money(1_998) },
        InvoiceCommand::Adjust { amount: money(2_997) },
        InvoiceCommand::Pay,
        InvoiceCommand::Cancel,
    ])) {
        ask_in_turn::<Invoice>(commands)?;
    }

    #[test]
    fn a_bot_is_what_its_events_say(commands in any_order(vec![
        BotCommand::Register { name: name("R2") },
        BotCommand::BringOnline,
        BotCommand::TakeOffline,
        BotCommand::Assign { list_id: id(1) },
        BotCommand::Assign { list_id: id(2) },
        BotCommand::Release { list_id: id(1) },
        BotCommand::Release { list_id: id(2) },
    ])) {
        ask_in_turn::<Bot>(commands)?;
    }

    #[test]
    fn a_notification_is_what_its_events_say(commands in any_order(vec![
        NotificationCommand::Request {
            customer_id: id(1),
            sms_number: SmsNumber::new("+15550100").unwrap(),
            order_id: id(2),
            kind: NotificationKind::OrderReady,
        },
        NotificationCommand::MarkSent,
        NotificationCommand::MarkFailed { reason: "no network".to_owned() },
    ])) {
        ask_in_turn::<Notification>(commands)?;
    }
}

#[test]
fn where_history_is_kept_does_not_change() {
    fn line<A: Aggregate>() -> String {
        assert_eq!(A::KIND, A::Id::KIND);
        format!("{} {} {}\n", A::KIND.prefix(), A::CONTEXT, A::SNAPSHOT_SCHEMA)
    }
    let lines = [
        line::<Store>(),
        line::<Product>(),
        line::<Customer>(),
        line::<Basket>(),
        line::<Order>(),
        line::<Payment>(),
        line::<Invoice>(),
        line::<ShoppingList>(),
        line::<Bot>(),
        line::<Notification>(),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    store stores 1
    product stores 1
    customer customers 1
    basket baskets 1
    order ordering 1
    payment payments 1
    invoice payments 1
    list depot 1
    bot depot 1
    notification notifications 1
    ");
}

#[test]
fn a_status_is_called_the_same_in_json_and_in_the_api() {
    fn same<S: Serialize>(statuses: &[(S, &str)]) {
        for (status, text) in statuses {
            assert_eq!(serde_json::to_value(status).unwrap(), *text);
        }
    }
    same(&BASKET_STATUSES.map(|status| (status, status.as_str())));
    same(&ORDER_STATUSES.map(|status| (status, status.as_str())));
    same(&PAYMENT_STATUSES.map(|status| (status, status.as_str())));
    same(&INVOICE_STATUSES.map(|status| (status, status.as_str())));
    same(&LIST_STATUSES.map(|status| (status, status.as_str())));
    same(&BOT_STATUSES.map(|status| (status, status.as_str())));
    same(&NotificationKind::ALL.map(|kind| (kind, kind.as_str())));
}

/// Every variant of an error. That none is missing is the compiler's to see.
macro_rules! variants {
    ($error:ident: $(
        $variant:ident $(($($value:expr),*))? $({ $($field:ident: $inner:expr),* })?
    ),* $(,)?) => {{
        let _ = |error: &$error| match error { $($error::$variant { .. } => (),)* };
        vec![$($error::$variant $(($($value),*))? $({ $($field: $inner),* })?),*]
    }};
}

#[test]
fn reasons_are_api() {
    fn list<E: DomainError>(aggregate: &str, errors: &[E]) -> String {
        let mut list = format!("{aggregate}\n");
        for error in errors {
            let fault = error.field().map(|field| format!(" ({field})")).unwrap_or_default();
            writeln!(list, "  {} {:?}{fault}", error.reason(), error.kind()).unwrap();
        }
        list
    }
    let mut orders = variants![OrderError: NotFound, Exists, Empty, TotalTooLarge,
        NotPending(OrderStatus::Ready), NotApproved(OrderStatus::Ready),
        NotInProgress(OrderStatus::Ready), NotReady(OrderStatus::Pending),
        NotCancelable(OrderStatus::Ready), Canceled, Already(OrderStatus::Pending)];
    orders.extend(ORDER_STATUSES.into_iter().skip(1).map(OrderError::Already));
    let mut lists = variants![ShoppingListError: NotFound, Exists, Empty,
        NotAvailable(ShoppingListStatus::Pending), NotAssigned(ShoppingListStatus::Pending),
        NotActive(ShoppingListStatus::Pending), Canceled, ItemNotOnList, PickedTooMany,
        NotAllPicked { product_ids: vec![id(1)] }, NotShort { product_id: id(1) },
        Already(ShoppingListStatus::Pending)];
    lists.extend(LIST_STATUSES.into_iter().skip(1).map(ShoppingListError::Already));

    let all = [
        list(
            "store",
            &variants![StoreError: NotFound, Exists, AlreadyParticipating,
            NotParticipating, NothingChanged],
        ),
        list(
            "product",
            &variants![ProductError: NotFound, Exists, Removed, AlreadyRemoved,
            NothingChanged, PriceNotHigher, PriceNotLower],
        ),
        list(
            "customer",
            &variants![CustomerError: NotFound, Exists, Disabled, AlreadyEnabled,
            AlreadyDisabled, AlreadyAuthorized, NothingChanged],
        ),
        list(
            "basket",
            &variants![BasketError: NotFound, Exists, CustomerDisabled,
            NotOpen(BasketStatus::CheckedOut), AlreadyClosed(BasketStatus::Canceled),
            ProductRemoved { product_id: id(1) }, StoreNotParticipating { product_id: id(1) },
            QuantityTooLarge, Full, TotalTooLarge, ItemNotInBasket, Empty,
            PaymentOfAnotherCustomer, PaymentNotAuthorized, PriceChanged { changes: vec![] }],
        ),
        list("order", &orders),
        list(
            "payment",
            &variants![PaymentError: NotFound, Exists, AmountNotPositive,
            OfAnotherCustomer, TooSmall, AlreadyUsed(PaymentStatus::Confirmed),
            NotAuthorized(PaymentStatus::Released), NotConfirmed(PaymentStatus::Authorized),
            AlreadyConfirmed(PaymentStatus::Confirmed), AlreadyCaptured,
            NothingHeld(PaymentStatus::Released)],
        ),
        list(
            "invoice",
            &variants![InvoiceError: NotFound, Exists, AmountNotPositive,
            NothingChanged, NotPending(InvoiceStatus::Paid), AlreadyPaid, AlreadyCanceled],
        ),
        list("shopping list", &lists),
        list(
            "bot",
            &variants![BotError: NotFound, Exists, NotIdle(BotStatus::Active),
            AlreadyOnline(BotStatus::Idle), AlreadyOffline, AlreadyReleased(BotStatus::Idle)],
        ),
        list(
            "notification",
            &variants![NotificationError: NotFound, Exists, AlreadySent,
            AlreadyFailed],
        ),
    ];
    insta::assert_snapshot!(all.concat(), @r"
    store
      STORE_NOT_FOUND NotFound
      STORE_EXISTS Conflict
      STORE_ALREADY_PARTICIPATING AlreadyDone
      STORE_NOT_PARTICIPATING AlreadyDone
      NOTHING_CHANGED WrongState
    product
      PRODUCT_NOT_FOUND NotFound
      PRODUCT_EXISTS Conflict
      PRODUCT_REMOVED WrongState
      PRODUCT_ALREADY_REMOVED AlreadyDone
      NOTHING_CHANGED WrongState
      PRICE_NOT_HIGHER WrongState (price)
      PRICE_NOT_LOWER WrongState (price)
    customer
      CUSTOMER_NOT_FOUND NotFound
      CUSTOMER_EXISTS Conflict
      CUSTOMER_DISABLED WrongState
      CUSTOMER_ALREADY_ENABLED AlreadyDone
      CUSTOMER_ALREADY_DISABLED AlreadyDone
      CUSTOMER_ALREADY_AUTHORIZED AlreadyDone
      NOTHING_CHANGED WrongState
    basket
      BASKET_NOT_FOUND NotFound
      BASKET_EXISTS Conflict
      CUSTOMER_DISABLED WrongState
      BASKET_NOT_OPEN WrongState
      BASKET_ALREADY_CLOSED AlreadyDone
      PRODUCT_REMOVED WrongState
      STORE_NOT_PARTICIPATING WrongState
      QUANTITY_TOO_LARGE WrongState (quantity)
      BASKET_FULL WrongState
      TOTAL_TOO_LARGE WrongState
      ITEM_NOT_IN_BASKET WrongState (productId)
      BASKET_EMPTY WrongState
      PAYMENT_OF_ANOTHER_CUSTOMER WrongState (paymentId)
      PAYMENT_NOT_AUTHORIZED WrongState (paymentId)
      PRICE_CHANGED WrongState (acceptPriceChanges)
    order
      ORDER_NOT_FOUND NotFound
      ORDER_EXISTS Conflict
      ORDER_EMPTY Invalid
      TOTAL_TOO_LARGE Invalid
      ORDER_NOT_PENDING WrongState
      ORDER_NOT_APPROVED WrongState
      ORDER_NOT_IN_PROGRESS WrongState
      ORDER_NOT_READY WrongState
      ORDER_NOT_CANCELABLE WrongState
      ORDER_CANCELED WrongState
      ORDER_ALREADY_PENDING AlreadyDone
      ORDER_ALREADY_APPROVED AlreadyDone
      ORDER_ALREADY_REJECTED AlreadyDone
      ORDER_ALREADY_IN_PROGRESS AlreadyDone
      ORDER_ALREADY_READY AlreadyDone
      ORDER_ALREADY_COMPLETED AlreadyDone
      ORDER_ALREADY_CANCELED AlreadyDone
    payment
      PAYMENT_NOT_FOUND NotFound
      PAYMENT_EXISTS Conflict
      AMOUNT_NOT_POSITIVE Invalid (amount)
      PAYMENT_OF_ANOTHER_CUSTOMER WrongState
      PAYMENT_TOO_SMALL WrongState
      PAYMENT_ALREADY_USED WrongState
      PAYMENT_NOT_AUTHORIZED WrongState
      PAYMENT_NOT_CONFIRMED WrongState
      PAYMENT_ALREADY_CONFIRMED AlreadyDone
      PAYMENT_ALREADY_CAPTURED AlreadyDone
      PAYMENT_NOT_HELD AlreadyDone
    invoice
      INVOICE_NOT_FOUND NotFound
      INVOICE_EXISTS Conflict
      AMOUNT_NOT_POSITIVE Invalid (amount)
      NOTHING_CHANGED WrongState
      INVOICE_NOT_PENDING WrongState
      INVOICE_ALREADY_PAID AlreadyDone
      INVOICE_ALREADY_CANCELED AlreadyDone
    shopping list
      SHOPPING_LIST_NOT_FOUND NotFound
      SHOPPING_LIST_EXISTS Conflict
      SHOPPING_LIST_EMPTY Invalid
      SHOPPING_LIST_NOT_AVAILABLE WrongState
      SHOPPING_LIST_NOT_ASSIGNED WrongState
      SHOPPING_LIST_NOT_ACTIVE WrongState
      SHOPPING_LIST_CANCELED WrongState
      ITEM_NOT_ON_LIST Invalid (productId)
      PICKED_TOO_MANY WrongState (quantity)
      NOT_ALL_PICKED WrongState (shortages)
      PRODUCT_NOT_SHORT WrongState (shortages)
      SHOPPING_LIST_ALREADY_PENDING AlreadyDone
      SHOPPING_LIST_ALREADY_AVAILABLE AlreadyDone
      SHOPPING_LIST_ALREADY_ASSIGNED AlreadyDone
      SHOPPING_LIST_ALREADY_ACTIVE AlreadyDone
      SHOPPING_LIST_ALREADY_COMPLETED AlreadyDone
      SHOPPING_LIST_ALREADY_CANCELED AlreadyDone
    bot
      BOT_NOT_FOUND NotFound
      BOT_EXISTS Conflict
      BOT_NOT_IDLE WrongState
      BOT_ALREADY_ONLINE AlreadyDone
      BOT_ALREADY_OFFLINE AlreadyDone
      BOT_ALREADY_RELEASED AlreadyDone
    notification
      NOTIFICATION_NOT_FOUND NotFound
      NOTIFICATION_EXISTS Conflict
      NOTIFICATION_ALREADY_SENT AlreadyDone
      NOTIFICATION_ALREADY_FAILED AlreadyDone
    ");
}

#[test]
fn kinds_of_ids_are_never_renamed() {
    let prefixes: Vec<_> = Kind::ALL.iter().map(|kind| kind.prefix()).collect();
    insta::assert_snapshot!(prefixes.join(" "), @"store product customer basket order payment invoice list bot saga notification deadletter");
}

const BASKET_STATUSES: [BasketStatus; 4] =
    [BasketStatus::Open, BasketStatus::CheckedOut, BasketStatus::Canceled, BasketStatus::Abandoned];
const ORDER_STATUSES: [OrderStatus; 7] = [
    OrderStatus::Pending,
    OrderStatus::Approved,
    OrderStatus::Rejected,
    OrderStatus::InProgress,
    OrderStatus::Ready,
    OrderStatus::Completed,
    OrderStatus::Canceled,
];
const PAYMENT_STATUSES: [PaymentStatus; 5] = [
    PaymentStatus::Authorized,
    PaymentStatus::Confirmed,
    PaymentStatus::Captured,
    PaymentStatus::Released,
    PaymentStatus::Refunded,
];
const INVOICE_STATUSES: [InvoiceStatus; 3] =
    [InvoiceStatus::Pending, InvoiceStatus::Paid, InvoiceStatus::Canceled];
const LIST_STATUSES: [ShoppingListStatus; 6] = [
    ShoppingListStatus::Pending,
    ShoppingListStatus::Available,
    ShoppingListStatus::Assigned,
    ShoppingListStatus::Active,
    ShoppingListStatus::Completed,
    ShoppingListStatus::Canceled,
];
const BOT_STATUSES: [BotStatus; 3] = [BotStatus::Offline, BotStatus::Idle, BotStatus::Active];
