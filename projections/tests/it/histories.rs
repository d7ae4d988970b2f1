//! Whatever legal history the ledger holds, the tables follow from it alone:
//! not from how it was cut into batches, nor from how often it was delivered,
//! nor from when the projector was restarted.

use mallbots_domain::{
    baskets::{Basket, BasketCommand},
    customers::{Customer, CustomerCommand},
    depot::{
        bot::{Bot, BotCommand},
        shopping_list::{ShoppingList, ShoppingListCommand, Shortage},
    },
    id::{BasketId, BotId, OrderId, SagaId},
    notifications::{Notification, NotificationCommand, NotificationKind},
    ordering::{Order, OrderCommand},
    payments::{
        invoice::{Invoice, InvoiceCommand},
        payment::{Payment, PaymentCommand},
    },
    quantity::Quantity,
    saga::{Outcome, SagaCommand, SagaInput, Try},
    stores::{
        product::{Product, ProductCommand},
        store::{Store, StoreCommand},
    },
    testing::{money, name, pieces, reason},
    text::{Description, SmsNumber},
};
use mallbots_eventstore::connect::Backend;
use mallbots_projections::projector::Projector;
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any, proptest},
};
use tokio::runtime::Runtime;

use crate::{
    library::Library,
    mall::{Mall, id},
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_follow_from_history_alone_on_sqlite(choices in vec(any::<(u8, u8, u8)>(), 1..900)) {
        Runtime::new().unwrap().block_on(tables_follow_from_history_alone(Backend::Sqlite, &choices));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_follow_from_history_alone_on_postgres(choices in vec(any::<(u8, u8, u8)>(), 1..900)) {
        Runtime::new().unwrap().block_on(tables_follow_from_history_alone(Backend::Postgres, &choices));
    }
}

async fn tables_follow_from_history_alone(backend: Backend, choices: &[(u8, u8, u8)]) {
    let mut people = People::default();
    people.furnish();
    for choice in choices {
        people.choose(*choice);
    }
    let history = people.mall.messages;

    // Bit by bit as it happens, with restarts and repeats.
    let mut live = Library::new(backend).await;
    for (n, batch) in history.chunks(7).enumerate() {
        live.take_in(batch, 1 + n % 7).await;
        if n % 5 == 0 {
            let ledger = &live.ledger.ledger;
            (live.projector, live.reads) =
                Projector::open(&live.views.database, ledger).await.unwrap();
            live.take_in(batch, 2).await;
        }
    }
    assert_eq!(live.dump().await["projection_dead_letters"], serde_json::json!([]));

    // From nothing, in great pieces.
    let mut rebuilt = Library::new(backend).await;
    rebuilt.take_in(&history, 500).await;
    rebuilt.assert_equals(&live).await;

    // And from nothing over what is there.
    live.forget_checkpoints().await;
    live.take_in(&history, 93).await;
    live.assert_equals(&rebuilt).await;
}

/// People who do one thing or another. What is refused does not happen.
#[derive(Default)]
struct People {
    mall: Mall,
    /// What sagas have asked for and not been told of.
    asked: Vec<(SagaId, Try, SagaCommand)>,
}

impl People {
    /// A mall that is open, so that there is something to choose from.
    fn furnish(&mut self) {
        for n in 0..3 {
            let store = self.mall.store(n);
            self.mall.product(n, store);
            self.mall.customer(n);
            self.mall.bot(n);
        }
    }

    fn choose(&mut self, (what, who, which): (u8, u8, u8)) {
        // Few of each, so that their ways cross.
        let (who, which) = (u32::from(who), u32::from(which));
        let (a, b) = (who % 3, which % 3);
        let basket: BasketId = id(who % 12);
        let order: OrderId = basket.order();
        let (list, invoice) = (order.shopping_list(), order.invoice());
        let bot: BotId = id(b);
        let mall = &mut self.mall;
        match what % 40 {
            0 => drop(mall.store(a)),
            1 => drop(mall.ask::<Store>(id(a), StoreCommand::EnableParticipation)),
            2 if which > 200 => {
                mall.ask::<Store>(id(a), StoreCommand::DisableParticipation);
            }
            2 | 3 => {
                let name = name(&format!("Store {which}"));
                mall.ask::<Store>(id(a), StoreCommand::Rebrand { name });
            }
            4 => drop(mall.product(a, id(b))),
            5 => {
                let command = ProductCommand::Rebrand {
                    name: name(&format!("Product {which}")),
                    description: Description::new("It's \"new\".").unwrap(),
                };
                mall.ask::<Product>(id(a), command);
            }
            6 => {
                let price = money(i64::from(which) * 10);
                mall.ask::<Product>(id(a), ProductCommand::IncreasePrice { price });
            }
            7 => {
                let price = money(i64::from(which));
                mall.ask::<Product>(id(a), ProductCommand::DecreasePrice { price });
            }
            8 if which > 200 => drop(mall.ask::<Product>(id(a), ProductCommand::Remove)),
            8 | 9 => drop(mall.customer(a)),
            10 => {
                let sms_number = SmsNumber::new(&format!("+1555{which:07}")).unwrap();
                let command = CustomerCommand::ChangeSmsNumber { sms_number };
                mall.ask::<Customer>(id(a), command);
            }
            11 => drop(mall.ask::<Customer>(id(a), CustomerCommand::Enable)),
            12 if which > 230 => drop(mall.ask::<Customer>(id(a), CustomerCommand::Disable)),
            12 | 13 => {
                let start = BasketCommand::Start { customer_id: id(a), customer_enabled: true };
                mall.ask::<Basket>(basket, start);
                let command =
                    PaymentCommand::Authorize { customer_id: id(a), amount: money(1_000_000) };
                mall.ask::<Payment>(id(who % 12), command);
            }
            14..=17 => {
                if let Some(offer) = mall.offer(id(b)) {
                    let quantity = pieces(1 + which % 5);
                    mall.ask::<Basket>(basket, BasketCommand::AddItem { offer, quantity });
                }
            }
            18 => {
                let quantity = pieces(1 + which % 4);
                let command = BasketCommand::RemoveItem { product_id: id(b), quantity };
                mall.ask::<Basket>(basket, command);
            }
            19 if which > 230 => drop(mall.ask::<Basket>(basket, BasketCommand::Cancel)),
            20 if which > 230 => drop(mall.ask::<Basket>(basket, BasketCommand::Abandon)),
            19..=21 => {
                let amount = money(1 + i64::from(which) * 1000);
                let command = PaymentCommand::Authorize { customer_id: id(b), amount };
                mall.ask::<Payment>(id(who % 12), command);
            }
            22..=24 => {
                let payment = if which > 240 { which } else { who };
                if let Some(order) = mall.check_out(basket, id(payment % 12)) {
                    let said = mall.begin(order);
                    self.hear(order.create_saga(), said);
                }
            }
            31 if which > 127 => {
                let canceled = mall.cancel(order);
                self.hear(order.cancel_saga(), canceled);
            }
            25..=29 | 31 => self.answer(who, which),
            30 => {
                let saga = if which % 2 == 0 { order.create_saga() } else { order.cancel_saga() };
                let now = i64::from(which);
                let said = mall.saga(saga, SagaInput::Retry { now });
                self.hear(saga, said);
            }
            32 => drop(mall.bot(b)),
            33 => {
                let command =
                    if which > 200 { BotCommand::TakeOffline } else { BotCommand::BringOnline };
                mall.ask::<Bot>(bot, command);
            }
            34 => {
                let assign = ShoppingListCommand::Assign { bot_id: bot };
                if !mall.ask::<ShoppingList>(list, assign).is_empty() {
                    mall.ask::<Bot>(bot, BotCommand::Assign { list_id: list });
                }
            }
            35 => {
                if !mall.ask::<ShoppingList>(list, ShoppingListCommand::Start).is_empty() {
                    mall.ask::<Order>(order, OrderCommand::Start);
                }
            }
            36 => self.pick(order),
            37 => self.bring(order),
            38 => {
                let (state, _) = mall.state::<Order>(order);
                let amount = money(1 + i64::from(which));
                let command = match (state.details(), which % 4) {
                    (Some(details), 0 | 1) => InvoiceCommand::Create {
                        order_id: order,
                        customer_id: details.customer_id,
                        payment_id: details.payment_id,
                        amount,
                    },
                    (_, 2) => InvoiceCommand::Adjust { amount },
                    (_, _) => InvoiceCommand::Pay,
                };
                mall.ask::<Invoice>(invoice, command);
                mall.ask::<Payment>(id(b), PaymentCommand::Capture { order_id: order });
                mall.ask::<Order>(order, OrderCommand::Complete { invoice_id: invoice });
            }
            _ => {
                let kind = NotificationKind::ALL[which as usize % 6];
                let fail = NotificationCommand::MarkFailed { reason: "no route".to_owned() };
                if which > 200 {
                    let message = order.notification(kind);
                    let request = NotificationCommand::Request {
                        customer_id: id(b),
                        sms_number: SmsNumber::new("+15550100").unwrap(),
                        order_id: order,
                        kind,
                    };
                    mall.ask::<Notification>(message, request);
                    mall.ask::<Notification>(message, fail);
                } else {
                    mall.notify(order, kind);
                }
            }
        }
    }

    fn hear(&mut self, saga: SagaId, said: Option<(Try, SagaCommand)>) {
        self.asked.extend(said.map(|(of, command)| (saga, of, command)));
    }

    /// A context answers a saga, or does not.
    fn answer(&mut self, who: u32, how: u32) {
        if self.asked.is_empty() {
            return;
        }
        let (saga, of, command) = self.asked.swap_remove(who as usize % self.asked.len());
        let at = 1_700_000_000_000_000 + i64::from(how);
        let said = match how % 24 {
            0 => {
                let late = SagaInput::TimedOut { of: of.clone(), retry_at: Some(at) };
                self.mall.saga(saga, late);
                let again = Try { attempt: of.attempt + 1, ..of };
                self.mall.saga(saga, SagaInput::Due { of: again })
            }
            1 => self.mall.saga(saga, SagaInput::TimedOut { of, retry_at: None }),
            2 => {
                let outcome =
                    Outcome::Refused { reason: "NO".to_owned(), message: "no".to_owned() };
                let retry_at = (how > 127).then_some(at);
                self.mall.saga(saga, SagaInput::Replied { of, outcome, retry_at })
            }
            _ => self.mall.answer(saga, of, command),
        };
        self.hear(saga, said);
    }

    fn pick(&mut self, order: OrderId) {
        let (list, _) = self.mall.state::<ShoppingList>(order.shopping_list());
        let todo = list.details().and_then(|list| {
            let mut items = list.stops.iter().flat_map(|stop| {
                stop.items.iter().map(|item| (stop.store_id, item.product_id, item.missing()))
            });
            items.find(|(_, _, missing)| *missing > 0)
        });
        if let Some((store_id, product_id, missing)) = todo {
            let quantity = Quantity::new(missing.div_ceil(2)).unwrap();
            let pick = ShoppingListCommand::Pick { store_id, product_id, quantity };
            self.mall.ask::<ShoppingList>(order.shopping_list(), pick);
        }
    }

    fn bring(&mut self, order: OrderId) {
        let list_id = order.shopping_list();
        let (list, _) = self.mall.state::<ShoppingList>(list_id);
        let Some(details) = list.details() else { return };
        let missing = details.stops.iter().flat_map(|stop| &stop.items);
        let shortages = missing
            .filter(|item| item.missing() > 0)
            .map(|item| Shortage { product_id: item.product_id, reason: reason("sold out") })
            .collect();
        let complete = ShoppingListCommand::Complete { shortages };
        if !self.mall.ask::<ShoppingList>(list_id, complete).is_empty() {
            if let Some(bot) = list.bot_id() {
                self.mall.ask::<Bot>(bot, BotCommand::Release { list_id });
            }
            self.mall.ask::<Order>(order, OrderCommand::Ready);
        }
    }
}
