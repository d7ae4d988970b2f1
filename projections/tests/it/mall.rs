//! A mall in memory: commands go in, and what the ledger would have recorded
//! comes out. Only what the domain allows happens.

use std::{any::Any, collections::HashMap, sync::Arc};

use mallbots_domain::{
    aggregate::Aggregate,
    baskets::{Basket, BasketCommand, Item, Offer, Tender},
    customers::{Customer, CustomerCommand},
    depot::{
        bot::{Bot, BotCommand},
        shopping_list::{ShoppingList, ShoppingListCommand, Shortage},
    },
    id::{
        AnyId, BasketId, BotId, CustomerId, EntityId, OrderId, PaymentId, ProductId, SagaId,
        StoreId,
    },
    notifications::{Notification, NotificationCommand, NotificationKind},
    ordering::{Order, OrderCommand},
    payments::{
        invoice::{Invoice, InvoiceCommand},
        payment::{Payment, PaymentCommand, PaymentStatus},
    },
    quantity::Quantity,
    saga::{Definition, FollowUp, Outcome, Saga, SagaCommand, SagaEvent, SagaInput, Try},
    sagas::{cancel_order::CancelOrder, create_order::CreateOrder},
    stores::{
        product::{Product, ProductCommand},
        store::{Store, StoreCommand},
    },
    testing::{money, name, pieces, reason},
    text::{Description, Sku, SmsNumber},
};
use mallbots_eventstore::{
    codec,
    message::{MessageKind, Position, Recorded, Version},
    upcast::Upcasters,
};
use uuid::Uuid;

/// The `n`th id of its kind, each kind apart, spread over the partitions.
pub(crate) fn id<I: EntityId>(n: u32) -> I {
    let spread = u128::from(n.wrapping_mul(0x9E37_79B1)) << 32;
    let kind = (I::KIND as u128) << 112;
    let base = 0x0190_0000_0000_7000_8000_0000_0000_0000;
    I::from_uuid(Uuid::from_u128((base + kind) | spread | u128::from(n)))
}

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Paid and handed over.
    Completed,
    /// The customer may not buy.
    Rejected,
    /// Called off after it was accepted.
    Canceled,
}

/// A mall in memory.
#[derive(Default)]
pub(crate) struct Mall {
    /// What was recorded.
    pub(crate) messages: Vec<Arc<Recorded>>,
    states: HashMap<AnyId, (Box<dyn Any + Send + Sync>, i64)>,
}

impl Mall {
    /// Where its history ends.
    pub(crate) fn end(&self) -> Position {
        self.messages.last().map_or(Position(0), |message| message.position)
    }

    /// Asks something of an aggregate. What it refuses does not happen.
    pub(crate) fn ask<A: Aggregate>(&mut self, id: A::Id, command: A::Command) -> Vec<A::Event> {
        let (state, version) = self.state::<A>(id);
        let Ok(events) = state.decide(command) else { return Vec::new() };
        let mut state = state;
        let mut version = version;
        for event in &events {
            version += 1;
            let encoded = codec::encode::<A>(event, &Upcasters::default()).unwrap();
            self.record(MessageKind::Event, id.any(), version, &encoded.name, &encoded.payload);
            state = state.evolve(event.clone());
        }
        self.states.insert(id.any(), (Box::new(state), version));
        events
    }

    /// An aggregate as it stands.
    pub(crate) fn state<A: Aggregate>(&self, id: A::Id) -> (A, i64) {
        self.states.get(&id.any()).map_or_else(Default::default, |(state, version)| {
            (state.downcast_ref::<A>().unwrap().clone(), *version)
        })
    }

    /// Records a message, one millisecond after the one before.
    pub(crate) fn record(
        &mut self,
        kind: MessageKind,
        stream: AnyId,
        version: i64,
        name: &str,
        payload: &str,
    ) {
        let position = i64::try_from(self.messages.len()).unwrap() + 1;
        let message_id =
            0x0191_0000_0000_7000_8000_0000_0000_0000 + u128::from(position.unsigned_abs());
        self.messages.push(Arc::new(Recorded {
            position: Position(position),
            kind,
            stream,
            version: Version(version),
            name: name.to_owned(),
            schema_version: 1,
            message_id: Uuid::from_u128(message_id),
            payload: payload.into(),
            metadata: "{}".into(),
            recorded_at: 1_700_000_000_000_000 + position * 1000,
        }));
    }

    /// Opens the `n`th store.
    pub(crate) fn store(&mut self, n: u32) -> StoreId {
        let store = id(n);
        let command = StoreCommand::Create {
            name: name(&format!("Store {n}")),
            location: name(&format!("Level {}", n % 5)),
        };
        self.ask::<Store>(store, command);
        self.ask::<Store>(store, StoreCommand::EnableParticipation);
        store
    }

    /// Puts the `n`th product on sale.
    pub(crate) fn product(&mut self, n: u32, store_id: StoreId) -> ProductId {
        let product = id(n);
        let command = ProductCommand::Add {
            store_id,
            name: name(&format!("Product {n}")),
            description: Description::new(&format!("The finest product {n} of them all.")).unwrap(),
            sku: Sku::new(&format!("SKU-{n}")).unwrap(),
            price: money(i64::from(n % 50) * 100 + 99),
        };
        self.ask::<Product>(product, command);
        product
    }

    /// Registers the `n`th customer.
    pub(crate) fn customer(&mut self, n: u32) -> CustomerId {
        let customer = id(n);
        let command = CustomerCommand::Register {
            name: name(&format!("Customer {n}")),
            sms_number: SmsNumber::new(&format!("+1555{n:07}")).unwrap(),
        };
        self.ask::<Customer>(customer, command);
        customer
    }

    /// Registers the `n`th bot and brings it online.
    pub(crate) fn bot(&mut self, n: u32) -> BotId {
        let bot = id(n);
        self.ask::<Bot>(bot, BotCommand::Register { name: name(&format!("Bot {n}")) });
        self.ask::<Bot>(bot, BotCommand::BringOnline);
        bot
    }

    /// A product as its store offers it now.
    pub(crate) fn offer(&self, product_id: ProductId) -> Option<Offer> {
        let (product, _) = self.state::<Product>(product_id);
        let details = product.details()?.clone();
        let (store, _) = self.state::<Store>(details.store_id);
        let store = store.details()?.clone();
        Some(Offer {
            product_id,
            store_id: details.store_id,
            product_name: details.name,
            store_name: store.name,
            store_location: store.location,
            price: details.price,
            participating: store.participating,
            removed: product.removed(),
        })
    }

    /// What is in a basket.
    pub(crate) fn items(&self, basket: BasketId) -> Vec<Item> {
        let (basket, _) = self.state::<Basket>(basket);
        basket.details().map_or_else(Vec::new, |basket| basket.items.clone())
    }

    /// A payment as it stands at checkout.
    pub(crate) fn tender(&self, payment_id: PaymentId) -> Option<Tender> {
        let (payment, _) = self.state::<Payment>(payment_id);
        Some(Tender {
            payment_id,
            customer_id: payment.details()?.customer_id,
            authorized: payment.status() == Some(PaymentStatus::Authorized),
        })
    }

    /// Checks a basket out and places the order.
    pub(crate) fn check_out(&mut self, basket: BasketId, payment: PaymentId) -> Option<OrderId> {
        let offers = self.items(basket).iter().filter_map(|i| self.offer(i.product_id)).collect();
        let tender = self.tender(payment)?;
        let command = BasketCommand::Checkout { tender, offers, accept_price_changes: true };
        if self.ask::<Basket>(basket, command).is_empty() {
            return None;
        }
        let (customer, _) = self.state::<Customer>(tender.customer_id);
        let command = OrderCommand::Create {
            customer_id: tender.customer_id,
            customer_name: customer.details()?.name.clone(),
            payment_id: payment,
            items: self.items(basket),
        };
        self.ask::<Order>(basket.order(), command);
        self.notify(basket.order(), NotificationKind::OrderCreated);
        Some(basket.order())
    }

    /// Gives a saga an input and says what it wants said.
    pub(crate) fn saga(&mut self, saga: SagaId, input: SagaInput) -> Option<(Try, SagaCommand)> {
        let events = self.ask::<Saga>(saga, input);
        self.said(saga, &events)
    }

    fn said(&mut self, saga: SagaId, events: &[SagaEvent]) -> Option<(Try, SagaCommand)> {
        let (state, _) = self.state::<Saga>(saga);
        let mut said = None;
        for follow_up in state.follow_ups(events) {
            if let FollowUp::Send { of, command } = follow_up {
                let name = format!("{}.Command", command.context());
                self.record(MessageKind::Command, command.target(), 0, &name, "{}");
                said = Some((of, command));
            }
        }
        said
    }

    /// Begins the saga that accepts an order.
    pub(crate) fn begin(&mut self, order_id: OrderId) -> Option<(Try, SagaCommand)> {
        let (order, _) = self.state::<Order>(order_id);
        let order = order.details()?.clone();
        let definition = Definition::CreateOrder(CreateOrder {
            order_id,
            customer_id: order.customer_id,
            payment_id: order.payment_id,
            items: order.items,
            total: order.total,
        });
        self.saga(order_id.create_saga(), SagaInput::Start { definition })
    }

    /// Does what a saga asked for and tells it how it went.
    pub(crate) fn answer(
        &mut self,
        saga: SagaId,
        of: Try,
        command: SagaCommand,
    ) -> Option<(Try, SagaCommand)> {
        let outcome = self.obey(command);
        self.record(MessageKind::Reply, saga.any(), 0, "sagas.Reply", "{}");
        self.saga(saga, SagaInput::Replied { of, outcome, retry_at: None })
    }

    fn obey(&mut self, command: SagaCommand) -> Outcome {
        match command {
            SagaCommand::AuthorizeCustomer { customer_id, order_id } => {
                self.outcome::<Customer>(customer_id, CustomerCommand::Authorize { order_id })
            }
            SagaCommand::CreateShoppingList { list_id, order_id, items } => self
                .outcome::<ShoppingList>(list_id, ShoppingListCommand::Create { order_id, items }),
            SagaCommand::InitiateShopping { list_id } => {
                self.outcome::<ShoppingList>(list_id, ShoppingListCommand::Initiate)
            }
            SagaCommand::CancelShoppingList { list_id } => {
                let (list, _) = self.state::<ShoppingList>(list_id);
                let outcome = self.outcome::<ShoppingList>(list_id, ShoppingListCommand::Cancel);
                if let Some(bot) = list.bot_id() {
                    self.ask::<Bot>(bot, BotCommand::Release { list_id });
                }
                outcome
            }
            SagaCommand::ConfirmPayment { payment_id, order_id, customer_id, amount } => self
                .outcome::<Payment>(
                payment_id,
                PaymentCommand::Confirm { order_id, customer_id, amount },
            ),
            SagaCommand::ReleasePayment { payment_id, order_id } => {
                self.outcome::<Payment>(payment_id, PaymentCommand::GiveBack { order_id })
            }
            SagaCommand::ApproveOrder { order_id, list_id } => {
                let command = OrderCommand::Approve { shopping_list_id: list_id };
                let outcome = self.outcome::<Order>(order_id, command);
                self.notify(order_id, NotificationKind::OrderApproved);
                outcome
            }
            SagaCommand::RejectOrder { order_id, reason } => {
                let outcome = self.outcome::<Order>(order_id, OrderCommand::Reject { reason });
                self.notify(order_id, NotificationKind::OrderRejected);
                outcome
            }
            SagaCommand::CancelInvoice { invoice_id } => {
                self.ask::<Invoice>(invoice_id, InvoiceCommand::Cancel);
                Outcome::Succeeded {}
            }
        }
    }

    fn outcome<A: Aggregate>(&mut self, id: A::Id, command: A::Command) -> Outcome {
        use mallbots_domain::aggregate::{DomainError, ErrorKind};

        let (state, _) = self.state::<A>(id);
        match state.decide(command.clone()) {
            Ok(_) => {
                self.ask::<A>(id, command);
                Outcome::Succeeded {}
            }
            Err(refusal) if refusal.kind() == ErrorKind::AlreadyDone => Outcome::Succeeded {},
            Err(refusal) => Outcome::Refused {
                reason: refusal.reason().to_owned(),
                message: refusal.to_string(),
            },
        }
    }

    /// Tells the customer of an order.
    pub(crate) fn notify(&mut self, order_id: OrderId, kind: NotificationKind) {
        let (order, _) = self.state::<Order>(order_id);
        let Some(order) = order.details().cloned() else { return };
        let (customer, _) = self.state::<Customer>(order.customer_id);
        let Some(customer) = customer.details().cloned() else { return };
        let command = NotificationCommand::Request {
            customer_id: order.customer_id,
            sms_number: customer.sms_number,
            order_id,
            kind,
        };
        let notification = order_id.notification(kind);
        self.ask::<Notification>(notification, command);
        self.ask::<Notification>(notification, NotificationCommand::MarkSent);
    }

    /// Walks a saga to its end.
    pub(crate) fn walk(&mut self, saga: SagaId, first: Option<(Try, SagaCommand)>) {
        let mut next = first;
        while let Some((of, command)) = next {
            next = self.answer(saga, of, command);
        }
    }

    /// Calls an order off and undoes it.
    pub(crate) fn cancel(&mut self, order_id: OrderId) -> Option<(Try, SagaCommand)> {
        let command =
            OrderCommand::Cancel { reason: reason("changed my mind"), by: "admin".to_owned() };
        if self.ask::<Order>(order_id, command).is_empty() {
            return None;
        }
        self.notify(order_id, NotificationKind::OrderCanceled);
        let (creating, _) = self.state::<Saga>(order_id.create_saga());
        if matches!(creating, Saga::Underway(_)) {
            let input = SagaInput::TurnBack { reason: "ORDER_CANCELED".to_owned() };
            return self.saga(order_id.create_saga(), input);
        }
        let (order, _) = self.state::<Order>(order_id);
        let payment_id = order.details()?.payment_id;
        let definition = Definition::CancelOrder(CancelOrder { order_id, payment_id });
        self.saga(order_id.cancel_saga(), SagaInput::Start { definition })
    }
}

/// The whole life of an order, step by step: each call does a little, until
/// there is nothing more to do.
pub(crate) struct Life {
    n: u32,
    basket: BasketId,
    customer: CustomerId,
    payment: PaymentId,
    products: Vec<ProductId>,
    bot: BotId,
    ending: Ending,
    stage: Stage,
}

enum Stage {
    Start,
    Fill(usize),
    CheckOut,
    Saga(SagaId, Try, SagaCommand),
    Shop(usize),
    Bill,
    Pay,
    Over,
}

impl Life {
    /// The life of the `n`th order.
    pub(crate) fn new(
        n: u32,
        customer: CustomerId,
        products: Vec<ProductId>,
        bot: BotId,
        ending: Ending,
    ) -> Self {
        let (basket, payment) = (id(n), id(n));
        Self { n, basket, customer, payment, products, bot, ending, stage: Stage::Start }
    }

    /// Lives a little; false when it is over.
    pub(crate) fn step(&mut self, mall: &mut Mall) -> bool {
        let order = self.basket.order();
        let (list, invoice) = (order.shopping_list(), order.invoice());
        self.stage = match &self.stage {
            Stage::Start => {
                let command =
                    BasketCommand::Start { customer_id: self.customer, customer_enabled: true };
                mall.ask::<Basket>(self.basket, command);
                let command = PaymentCommand::Authorize {
                    customer_id: self.customer,
                    amount: money(if self.ending == Ending::Rejected { 1 } else { 1_000_000 }),
                };
                mall.ask::<Payment>(self.payment, command);
                Stage::Fill(0)
            }
            Stage::Fill(at) => match self.products.get(*at).and_then(|p| mall.offer(*p)) {
                Some(offer) => {
                    let quantity = pieces(1 + (self.n + u32::try_from(*at).unwrap()) % 3);
                    mall.ask::<Basket>(self.basket, BasketCommand::AddItem { offer, quantity });
                    Stage::Fill(at + 1)
                }
                None => Stage::CheckOut,
            },
            Stage::CheckOut => match mall.check_out(self.basket, self.payment) {
                Some(order) => next(order.create_saga(), mall.begin(order), Stage::Over),
                None => Stage::Over,
            },
            Stage::Saga(saga, of, command) => {
                let said = mall.answer(*saga, of.clone(), command.clone());
                let end = if *saga == order.cancel_saga() || self.ending == Ending::Rejected {
                    Stage::Over
                } else {
                    Stage::Shop(0)
                };
                next(*saga, said, end)
            }
            Stage::Shop(0) => {
                let busy = mall.state::<Bot>(self.bot).0.list_id().is_some();
                if busy {
                    Stage::Shop(0)
                } else {
                    let bot_id = self.bot;
                    mall.ask::<ShoppingList>(list, ShoppingListCommand::Assign { bot_id });
                    mall.ask::<Bot>(bot_id, BotCommand::Assign { list_id: list });
                    mall.ask::<ShoppingList>(list, ShoppingListCommand::Start);
                    mall.ask::<Order>(order, OrderCommand::Start);
                    if self.ending == Ending::Canceled {
                        next(order.cancel_saga(), mall.cancel(order), Stage::Over)
                    } else {
                        Stage::Shop(1)
                    }
                }
            }
            Stage::Shop(at) => {
                let (state, _) = mall.state::<ShoppingList>(list);
                let todo = state.details().and_then(|list| {
                    list.stops.iter().find_map(|stop| {
                        let item = stop.items.iter().find(|item| item.missing() > 0)?;
                        Some((stop.store_id, item.product_id, item.missing()))
                    })
                });
                if let Some((store_id, product_id, missing)) = todo {
                    let quantity = Quantity::new(missing).unwrap();
                    let command = ShoppingListCommand::Pick { store_id, product_id, quantity };
                    mall.ask::<ShoppingList>(list, command);
                    Stage::Shop(at + 1)
                } else {
                    let shortages: Vec<Shortage> = Vec::new();
                    mall.ask::<ShoppingList>(list, ShoppingListCommand::Complete { shortages });
                    mall.ask::<Bot>(self.bot, BotCommand::Release { list_id: list });
                    mall.ask::<Order>(order, OrderCommand::Ready);
                    mall.notify(order, NotificationKind::OrderReady);
                    Stage::Bill
                }
            }
            Stage::Bill => {
                let (state, _) = mall.state::<Order>(order);
                if let Some(details) = state.details() {
                    let command = InvoiceCommand::Create {
                        order_id: order,
                        customer_id: details.customer_id,
                        payment_id: details.payment_id,
                        amount: details.total,
                    };
                    mall.ask::<Invoice>(invoice, command);
                }
                Stage::Pay
            }
            Stage::Pay => {
                mall.ask::<Invoice>(invoice, InvoiceCommand::Pay);
                mall.ask::<Payment>(self.payment, PaymentCommand::Capture { order_id: order });
                mall.ask::<Order>(order, OrderCommand::Complete { invoice_id: invoice });
                mall.notify(order, NotificationKind::OrderCompleted);
                Stage::Over
            }
            Stage::Over => Stage::Over,
        };
        !matches!(self.stage, Stage::Over)
    }
}

fn next(saga: SagaId, said: Option<(Try, SagaCommand)>, end: Stage) -> Stage {
    match said {
        Some((of, command)) => Stage::Saga(saga, of, command),
        None => end,
    }
}

/// A busy mall: so many orders, so many of them under way at once.
pub(crate) fn busy(orders: u32, at_once: usize) -> Mall {
    let mut mall = Mall::default();
    let stores: Vec<StoreId> = (0..10).map(|n| mall.store(n)).collect();
    let products: Vec<ProductId> =
        (0..200).map(|n| mall.product(n, stores[n as usize % stores.len()])).collect();
    let customers: Vec<CustomerId> = (0..100).map(|n| mall.customer(n)).collect();
    let bots: Vec<BotId> = (0..u32::try_from(at_once).unwrap()).map(|n| mall.bot(n)).collect();

    // A number that goes its own way, the same each time.
    let mut chance: u32 = 1;
    let mut chance = || {
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        chance as usize
    };
    let mut begun = 0;
    let mut lives: Vec<Option<Life>> = (0..at_once).map(|_| None).collect();
    loop {
        let at = chance() % at_once;
        if let Some(life) = &mut lives[at] {
            if !life.step(&mut mall) {
                lives[at] = None;
            }
        } else if begun < orders {
            let size = 2 + chance() % 4;
            let basket = (0..size).map(|_| products[chance() % products.len()]).collect();
            let ending = match begun % 10 {
                3 => Ending::Rejected,
                7 => Ending::Canceled,
                _ => Ending::Completed,
            };
            let customer = customers[chance() % customers.len()];
            lives[at] = Some(Life::new(begun, customer, basket, bots[at], ending));
            begun += 1;
        } else if lives.iter().all(Option::is_none) {
            return mall;
        }
    }
}
