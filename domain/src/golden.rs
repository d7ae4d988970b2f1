//! The JSON of every event is a contract with history.
//!
//! Each event has a golden file, `golden/<context>.<Event>.v<schema>.json`. A
//! test fails when what is written differs from the file, or when the file
//! cannot be read back. Files are added with `UPDATE_GOLDEN=1`; a file that
//! exists is never changed: a new shape gets a new schema version and an
//! upcaster from the old one.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Serialize;

use crate::{
    aggregate::Aggregate,
    baskets::{Basket, BasketEvent},
    customers::{Customer, CustomerEvent},
    depot::{
        bot::{Bot, BotEvent},
        shopping_list::{ShoppingList, ShoppingListEvent, Shortage, Stop, StopItem},
    },
    event::DomainEvent,
    id::{Kind, OrderId},
    notifications::{Notification, NotificationEvent, NotificationKind},
    ordering::{Order, OrderEvent},
    payments::{
        invoice::{Invoice, InvoiceEvent},
        payment::{Payment, PaymentEvent},
    },
    saga::{Definition, Direction, Saga, SagaCommand, SagaEvent, Try},
    sagas::{cancel_order::CancelOrder, create_order::CreateOrder},
    stores::{
        product::{Product, ProductEvent},
        store::{Store, StoreEvent},
    },
    testing::{id, item, money, name, pieces, reason},
    text::{Description, Sku, SmsNumber},
};

/// One of each event; and a match that does not compile when one is missing.
macro_rules! one_of_each {
    ($($aggregate:ident: $events:ident { $($variant:ident { $($field:ident: $value:expr),* $(,)? })* })*) => {
        fn one_of_each() -> Vec<DomainEvent> {
            vec![$($(DomainEvent::$aggregate($events::$variant { $($field: $value),* }),)*)*]
        }

        fn context(event: &DomainEvent) -> &'static str {
            match event {
                $(DomainEvent::$aggregate($($events::$variant { .. })|*) => $aggregate::CONTEXT,)*
            }
        }

        fn kind(event: &DomainEvent) -> Kind {
            match event { $(DomainEvent::$aggregate(_) => $aggregate::KIND,)* }
        }

        fn json(event: &DomainEvent) -> serde_json::Value {
            match event { $(DomainEvent::$aggregate(event) => written(event),)* }
        }
    };
}

one_of_each! {
    Store: StoreEvent {
        StoreCreated { name: name("Waldorf Books"), location: name("Level 1") }
        StoreParticipationEnabled {}
        StoreParticipationDisabled {}
        StoreRebranded { name: name("Statler Books") }
    }
    Product: ProductEvent {
        ProductAdded {
            store_id: id(1), name: name("Wizard w/ crystal"), sku: Sku::new("W-1").unwrap(),
            description: Description::new("Glows.").unwrap(), price: money(999),
        }
        ProductRebranded {
            name: name("Wizard"), description: Description::new("Glows no more.").unwrap(),
        }
        ProductPriceIncreased { old: money(999), new: money(1099) }
        ProductPriceDecreased { old: money(1099), new: money(899) }
        ProductRemoved {}
    }
    Customer: CustomerEvent {
        CustomerRegistered { name: name("Kermit"), sms_number: SmsNumber::new("+15550100").unwrap() }
        CustomerSmsChanged { sms_number: SmsNumber::new("+15550101").unwrap() }
        CustomerEnabled {}
        CustomerDisabled {}
        CustomerAuthorized { order_id: id(5) }
    }
    Basket: BasketEvent {
        BasketStarted { customer_id: id(3) }
        BasketItemAdded { item: item(2, 3, 999) }
        BasketItemRemoved { product_id: id(2), quantity: pieces(2) }
        BasketCheckedOut {
            customer_id: id(3), payment_id: id(4), items: vec![item(2, 1, 999)], total: money(999),
        }
        BasketCanceled {}
        BasketAbandoned {}
    }
    Order: OrderEvent {
        OrderCreated {
            customer_id: id(3), customer_name: name("Kermit"), payment_id: id(4),
            items: vec![item(2, 1, 999)], total: money(999),
        }
        OrderApproved { customer_id: id(3), shopping_list_id: order().shopping_list() }
        OrderRejected {
            customer_id: id(3), payment_id: id(4), reason: "CUSTOMER_DISABLED".to_owned(),
        }
        OrderStarted {}
        OrderReadied { customer_id: id(3), payment_id: id(4), total: money(999) }
        OrderCompleted { customer_id: id(3), invoice_id: order().invoice() }
        OrderCanceled {
            customer_id: id(3), payment_id: id(4), reason: reason("too late"), by: "admin".to_owned(),
        }
    }
    Payment: PaymentEvent {
        PaymentAuthorized { customer_id: id(3), amount: money(999) }
        PaymentConfirmed { order_id: order(), amount: money(999) }
        PaymentReleased { order_id: order() }
        PaymentCaptured { order_id: order() }
        PaymentRefunded { order_id: order() }
    }
    Invoice: InvoiceEvent {
        InvoiceCreated { order_id: order(), customer_id: id(3), payment_id: id(4), amount: money(999) }
        InvoiceAdjusted { old: money(999), new: money(900) }
        InvoicePaid { order_id: order(), payment_id: id(4), amount: money(900) }
        InvoiceCanceled {}
    }
    ShoppingList: ShoppingListEvent {
        ShoppingListCreated { order_id: order(), stops: vec![stop()] }
        ShoppingListInitiated {}
        ShoppingListAssigned { bot_id: id(6) }
        ShoppingStarted { order_id: order(), bot_id: id(6) }
        ItemPicked { store_id: id(1), product_id: id(2), quantity: pieces(3) }
        ShoppingListCompleted {
            order_id: order(), bot_id: id(6),
            shortages: vec![Shortage { product_id: id(2), reason: reason("sold out") }],
        }
        ShoppingListCanceled { bot_id: Some(id(6)) }
    }
    Bot: BotEvent {
        BotRegistered { name: name("R2") }
        BotBroughtOnline {}
        BotTakenOffline {}
        BotAssigned { list_id: order().shopping_list() }
        BotReleased { list_id: order().shopping_list() }
    }
    Notification: NotificationEvent {
        NotificationRequested {
            customer_id: id(3), sms_number: SmsNumber::new("+15550100").unwrap(),
            order_id: order(), kind: NotificationKind::OrderReady, text: "Come.".to_owned(),
        }
        NotificationSent {}
        NotificationFailed { reason: "refused".to_owned() }
    }
    Saga: SagaEvent {
        SagaStarted { saga: create_order() }
        StepStarted { of: attempt() }
        StepSucceeded { of: attempt() }
        StepRefused { of: attempt(), reason: "PAYMENT_TOO_SMALL".to_owned(), message: "no".to_owned() }
        StepTimedOut { of: attempt() }
        StepRetried { of: attempt(), at: 1_700_000_000_000_000 }
        CompensationStarted { reason: "PAYMENT_TOO_SMALL".to_owned() }
        StepCompensated { of: attempt() }
        SagaCompleted {}
        SagaCompensated { reason: "PAYMENT_TOO_SMALL".to_owned() }
        SagaStuck { of: attempt(), reason: "NO_ANSWER".to_owned() }
    }
}

fn order() -> OrderId {
    id(5)
}

fn stop() -> Stop {
    Stop {
        store_id: id(1),
        store_name: name("Waldorf Books"),
        location: name("Level 1"),
        items: vec![StopItem {
            product_id: id(2),
            product_name: name("Wizard w/ crystal"),
            quantity: 3,
            picked: 0,
        }],
    }
}

fn create_order() -> Definition {
    Definition::CreateOrder(CreateOrder {
        order_id: order(),
        customer_id: id(3),
        payment_id: id(4),
        items: vec![item(2, 1, 999)],
        total: money(999),
    })
}

fn attempt() -> Try {
    Try { step: "ConfirmPayment".to_owned(), direction: Direction::Forward, attempt: 2 }
}

/// What sagas ask of contexts is stored too, and may wait there for a while.
fn one_of_each_command() -> Vec<SagaCommand> {
    let list_id = order().shopping_list();
    vec![
        SagaCommand::AuthorizeCustomer { customer_id: id(3), order_id: order() },
        SagaCommand::CreateShoppingList {
            list_id,
            order_id: order(),
            items: vec![item(2, 1, 999)],
        },
        SagaCommand::InitiateShopping { list_id },
        SagaCommand::CancelShoppingList { list_id },
        SagaCommand::ConfirmPayment {
            payment_id: id(4),
            order_id: order(),
            customer_id: id(3),
            amount: money(999),
        },
        SagaCommand::ReleasePayment { payment_id: id(4), order_id: order() },
        SagaCommand::ApproveOrder { order_id: order(), list_id },
        SagaCommand::RejectOrder { order_id: order(), reason: "CUSTOMER_DISABLED".to_owned() },
        SagaCommand::CancelInvoice { invoice_id: order().invoice() },
    ]
}

fn written(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Compares with a golden file, and says its name.
fn compare(context: &str, value: &serde_json::Value) -> String {
    let variant = value.as_object().unwrap().keys().next().unwrap();
    let file = format!("{context}.{variant}.v1.json");
    let path = folder().join(&file);
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    assert_eq!(*value, golden, "{file}: what is written has changed");
    file
}

#[test]
fn what_is_written_is_what_history_holds() {
    let mut files = BTreeSet::new();
    for event in one_of_each() {
        let json = json(&event);
        files.insert(compare(context(&event), &json));
        let read = DomainEvent::deserialize(kind(&event), &json).unwrap();
        assert_eq!(read, Some(event));
    }
    let cancel = Definition::CancelOrder(CancelOrder { order_id: order(), payment_id: id(4) });
    files.insert(compare("sagas.definition", &written(&cancel)));
    for command in one_of_each_command() {
        let json = written(&command);
        files.insert(compare(&format!("command.{}", command.context()), &json));
        assert_eq!(serde_json::from_value::<SagaCommand>(json).unwrap(), command);
    }
    let kept: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, files, "a golden file without an event: history holds what code cannot read");
}
