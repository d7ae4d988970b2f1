//! What there is to do in a mall.

use std::time::Instant;

use mallbots_domain::{
    depot::{bot::BotStatus, shopping_list::ShoppingListStatus},
    id::{BasketId, BotId, CustomerId, EntityId, OrderId, PaymentId, StoreId},
    ordering::OrderStatus,
    payments::invoice::InvoiceStatus,
};
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    JOBS, words,
    worker::{Halt, Step, Worker},
};
use crate::client::operations::{
    self, Amount, BasketItem, Bot, End, NewProduct, Order, Product, ShoppingList, Shortage, Store,
};

/// Something a client does from beginning to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Job {
    /// A new customer fills a basket in one to three stores and puts it back.
    Browse,
    /// A new customer fills a basket, pays, checks out, and waits until the
    /// order is approved or rejected.
    Buy,
    /// A new customer registers; some change their number at once.
    Register,
    /// A store puts one to three products on sale.
    AddProducts,
    /// A new store puts two to five products on sale and participates.
    OpenStore,
    /// A store gets another name.
    RebrandStore,
    /// A product gets another name and description.
    RebrandProduct,
    /// A price goes up or down.
    ChangePrice,
    /// A new customer fills a basket, takes some of it out again, and buys or
    /// leaves the rest.
    ChangeMind,
    /// A new customer buys and calls the order off while it is being accepted.
    CancelAtOnce,
    /// A new customer buys, waits for the approval, and calls the order off.
    CancelApproved,
    /// The depot's shift: lists are given to bots, collected and completed.
    Depot,
    /// Invoices at the depot are paid, some at a rebate.
    PayInvoices,
    /// A customer is shut out, turned down, and let in again.
    DisableCustomer,
    /// A new customer authorizes less than the basket costs: the order must be
    /// rejected.
    PayTooLittle,
    /// A product goes off sale.
    RemoveProduct,
    /// A store leaves for a moment.
    Participation,
}

impl Job {
    /// What people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browse => "just browsing",
            Self::Buy => "buying",
            Self::Register => "registering",
            Self::AddProducts => "adding products",
            Self::OpenStore => "opening a store",
            Self::RebrandStore => "rebranding a store",
            Self::RebrandProduct => "rebranding a product",
            Self::ChangePrice => "changing a price",
            Self::ChangeMind => "changing one's mind",
            Self::CancelAtOnce => "canceling at once",
            Self::CancelApproved => "canceling when approved",
            Self::Depot => "depot work",
            Self::PayInvoices => "paying invoices",
            Self::DisableCustomer => "disabling a customer",
            Self::PayTooLittle => "paying too little",
            Self::RemoveProduct => "removing a product",
            Self::Participation => "leaving for a moment",
        }
    }

    /// Draws one, each as often as [`JOBS`] says.
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        JOBS.choose_weighted(rng, |(_, weight)| *weight).map_or(Self::Browse, |(job, _)| *job)
    }
}

/// Does the worker's job.
pub(super) async fn perform(worker: &mut Worker) -> Step<()> {
    match worker.job() {
        Job::Browse => browse(worker).await,
        Job::Buy => buy(worker).await,
        Job::Register => register(worker).await,
        Job::AddProducts => add_products(worker).await,
        Job::OpenStore => open_store(worker).await,
        Job::RebrandStore => rebrand_store(worker).await,
        Job::RebrandProduct => rebrand_product(worker).await,
        Job::ChangePrice => change_price(worker).await,
        Job::ChangeMind => change_mind(worker).await,
        Job::CancelAtOnce => cancel_at_once(worker).await,
        Job::CancelApproved => cancel_approved(worker).await,
        Job::Depot => depot(worker).await,
        Job::PayInvoices => pay_invoices(worker).await,
        Job::DisableCustomer => disable_customer(worker).await,
        Job::PayTooLittle => pay_too_little(worker).await,
        Job::RemoveProduct => remove_product(worker).await,
        Job::Participation => participation(worker).await,
    }
}

/// How many stores and bots a mall has at least.
const FIRST_STORES: usize = 3;
const FIRST_BOTS: usize = 2;

/// Sees to it that a mall has stores to shop in and bots to shop.
pub(super) async fn open_the_mall(worker: &mut Worker) -> Step<()> {
    let stores = worker.call(operations::stores(End::First(10))).await?.nodes;
    for _ in stores.len()..FIRST_STORES {
        open_store(worker).await?;
    }
    let bots = worker.call(operations::bots(10)).await?.nodes;
    for _ in bots.len()..FIRST_BOTS {
        new_bot(worker).await?;
    }
    Ok(())
}

// ---- shopping

/// A customer with a filled basket.
struct Shopping {
    customer: CustomerId,
    basket: BasketId,
    items: Vec<BasketItem>,
    total: Amount,
}

async fn browse(worker: &mut Worker) -> Step<()> {
    let shopping = fill_basket(worker).await?;
    worker.call(operations::cancel_basket(shopping.basket)).await.map(drop)
}

async fn buy(worker: &mut Worker) -> Step<()> {
    let shopping = fill_basket(worker).await?;
    let (order, since) = check_out(worker, &shopping, shopping.total).await?;
    worker.follow(order, since, accepted_or_not).await.map(drop)
}

async fn change_mind(worker: &mut Worker) -> Step<()> {
    let mut shopping = fill_basket(worker).await?;
    for item in shopping.items.clone() {
        if worker.rng.random_bool(0.5) {
            // Sometimes more than there is, which takes all of it.
            let quantity = worker.rng.random_range(1..=item.quantity + 1);
            let operation =
                operations::remove_basket_item(shopping.basket, item.product.id, quantity);
            let left = worker.call(operation).await?.basket;
            refresh(worker, &mut shopping, left).await?;
        }
    }
    if shopping.items.is_empty() || worker.rng.random_bool(0.5) {
        return worker.call(operations::cancel_basket(shopping.basket)).await.map(drop);
    }
    let (order, since) = check_out(worker, &shopping, shopping.total).await?;
    worker.follow(order, since, accepted_or_not).await.map(drop)
}

async fn cancel_at_once(worker: &mut Worker) -> Step<()> {
    let shopping = fill_basket(worker).await?;
    let (order, since) = check_out(worker, &shopping, shopping.total).await?;
    for _ in 0..TRIES_TO_CANCEL {
        worker.hurry();
        match cancel(worker, order).await {
            // The basket is bought, the order made of it a moment later.
            Err(Halt::Refused(problem)) if problem.reason() == "ORDER_NOT_FOUND" => {
                worker.a_moment().await;
            }
            canceled => {
                canceled?;
                break;
            }
        }
    }
    worker.follow(order, since, canceled_or_rejected).await.map(drop)
}

/// How often it is tried to call off an order that is not there yet.
const TRIES_TO_CANCEL: u32 = 100;

async fn cancel_approved(worker: &mut Worker) -> Step<()> {
    let shopping = fill_basket(worker).await?;
    let (order, since) = check_out(worker, &shopping, shopping.total).await?;
    if worker.follow(order, since, accepted_or_not).await? == OrderStatus::Approved {
        let since = Instant::now();
        cancel(worker, order).await?;
        worker.follow(order, since, canceled_or_rejected).await?;
    }
    Ok(())
}

async fn cancel(worker: &mut Worker, order: OrderId) -> Step<()> {
    let reasons = ["changed my mind", "ordered by mistake", "found it at home"];
    let reason = reasons.choose(&mut worker.rng).copied().unwrap_or_default();
    worker.call(operations::cancel_order(order, reason)).await.map(drop)
}

async fn pay_too_little(worker: &mut Worker) -> Step<()> {
    let shopping = fill_basket(worker).await?;
    // A basket of gifts has no price below it.
    if shopping.total.0 < 2 {
        return worker.call(operations::cancel_basket(shopping.basket)).await.map(drop);
    }
    let too_little = Amount(shopping.total.0 - 1);
    let (order, since) = check_out(worker, &shopping, too_little).await?;
    match worker.follow(order, since, accepted_or_not).await? {
        OrderStatus::Rejected | OrderStatus::Canceled => Ok(()),
        status @ (OrderStatus::Pending
        | OrderStatus::Approved
        | OrderStatus::InProgress
        | OrderStatus::Ready
        | OrderStatus::Completed) => {
            let what = format!(
                "{order} costs {} and is {} for {too_little}",
                shopping.total,
                status.as_str()
            );
            Err(worker.wrong("checkoutBasket", what))
        }
    }
}

/// A new customer visits one to three stores and takes one to four of a
/// product in each.
async fn fill_basket(worker: &mut Worker) -> Step<Shopping> {
    let customer = register_customer(worker).await?;
    let basket = mint();
    worker.call(operations::start_basket(basket, customer)).await?;
    let mut shopping = Shopping { customer, basket, items: Vec::new(), total: Amount(0) };
    for store in some_stores(worker).await? {
        let Some(product) = some_product(worker, store.id).await? else { continue };
        let quantity = worker.rng.random_range(1..=4);
        let operation = operations::add_basket_item(basket, product.id, quantity);
        let filled = worker.call(operation).await?.basket;
        refresh(worker, &mut shopping, filled).await?;
    }
    if shopping.items.is_empty() {
        // Nothing was on sale anywhere: the next client finds something.
        add_some_products(worker, 1).await?;
    }
    Ok(shopping)
}

/// Takes over what the mall says is in the basket, or asks for it.
async fn refresh(
    worker: &mut Worker,
    shopping: &mut Shopping,
    told: Option<operations::Basket>,
) -> Step<()> {
    let told = match told {
        Some(told) => Some(told),
        None => worker.call(operations::basket(shopping.basket)).await?,
    };
    if let Some(basket) = told {
        shopping.total = basket.total.amount;
        shopping.items = basket.items;
    }
    Ok(())
}

/// Authorizes an amount and buys the basket.
async fn check_out(
    worker: &mut Worker,
    shopping: &Shopping,
    amount: Amount,
) -> Step<(OrderId, Instant)> {
    let payment: PaymentId = mint();
    // Gifts cost nothing, but a payment of nothing is none.
    let amount = amount.max(Amount(1));
    worker.call(operations::authorize_payment(payment, shopping.customer, amount)).await?;
    let since = Instant::now();
    let checkout = |accept| operations::checkout_basket(shopping.basket, payment, accept);
    let bought = match worker.call(checkout(false)).await {
        // Half of the customers take the new prices. If they pay too little
        // then, the order is rejected.
        Err(Halt::Refused(problem))
            if problem.code() == "PRICE_CHANGED"
                && amount == shopping.total
                && worker.rng.random_bool(0.5) =>
        {
            worker.call(checkout(true)).await?
        }
        bought => bought?,
    };
    Ok((bought.order_id, since))
}

fn accepted_or_not(status: OrderStatus) -> bool {
    status != OrderStatus::Pending
}

fn canceled_or_rejected(status: OrderStatus) -> bool {
    match status {
        OrderStatus::Canceled | OrderStatus::Rejected => true,
        OrderStatus::Pending
        | OrderStatus::Approved
        | OrderStatus::InProgress
        | OrderStatus::Ready
        | OrderStatus::Completed => false,
    }
}

// ---- customers

async fn register(worker: &mut Worker) -> Step<()> {
    let customer = register_customer(worker).await?;
    if worker.rng.random_bool(0.2) {
        let number = words::telephone(&mut worker.rng);
        worker.call(operations::change_sms_number(customer, &number)).await?;
    }
    Ok(())
}

async fn register_customer(worker: &mut Worker) -> Step<CustomerId> {
    let id = mint();
    let name = words::person(&mut worker.rng);
    let number = words::telephone(&mut worker.rng);
    worker.call(operations::register_customer(id, &name, &number)).await?;
    Ok(id)
}

async fn disable_customer(worker: &mut Worker) -> Step<()> {
    if worker.rng.random_bool(0.5) {
        // Shut out before shopping.
        let customer = register_customer(worker).await?;
        worker.call(operations::disable_customer(customer)).await?;
        let start = operations::start_basket(mint(), customer);
        match worker.call(start).await {
            Err(Halt::Refused(problem)) if problem.reason() == "CUSTOMER_DISABLED" => {}
            Ok(_) => {
                let what = format!("{customer} is disabled and may shop");
                return Err(worker.wrong("startBasket", what));
            }
            Err(halt) => return Err(halt),
        }
        worker.call(operations::enable_customer(customer)).await.map(drop)
    } else {
        // Shut out before paying.
        let shopping = fill_basket(worker).await?;
        worker.call(operations::disable_customer(shopping.customer)).await?;
        let (order, since) = check_out(worker, &shopping, shopping.total).await?;
        let status = worker.follow(order, since, accepted_or_not).await?;
        if status == OrderStatus::Approved {
            let what = format!("{order} of a disabled customer is approved");
            return Err(worker.wrong("checkoutBasket", what));
        }
        worker.call(operations::enable_customer(shopping.customer)).await.map(drop)
    }
}

// ---- stores

/// As many as a list gives at once.
const PAGE: u32 = 100;

/// One end or the other: a mall may have more than one page holds.
fn either_end(worker: &mut Worker) -> End {
    if worker.rng.random_bool(0.5) { End::First(PAGE) } else { End::Last(PAGE) }
}

async fn some_stores(worker: &mut Worker) -> Step<Vec<Store>> {
    let end = either_end(worker);
    let mut stores = worker.call(operations::stores(end)).await?.nodes;
    stores.shuffle(&mut worker.rng);
    stores.truncate(worker.rng.random_range(1..=3));
    Ok(stores)
}

/// A store that participates. Opens one where there is none.
async fn some_store(worker: &mut Worker) -> Step<StoreId> {
    match some_stores(worker).await?.first() {
        Some(store) => Ok(store.id),
        None => new_store(worker).await,
    }
}

async fn some_product(worker: &mut Worker, store: StoreId) -> Step<Option<Product>> {
    let end = either_end(worker);
    let products = worker.call(operations::products(store, end)).await?.nodes;
    Ok(products.choose(&mut worker.rng).cloned())
}

/// A product of a store that participates. Adds one where there is none, and
/// has it next time.
async fn any_product(worker: &mut Worker) -> Step<Option<Product>> {
    let store = some_store(worker).await?;
    let product = some_product(worker, store).await?;
    if product.is_none() {
        add_to(worker, store, 1).await?;
    }
    Ok(product)
}

async fn add_products(worker: &mut Worker) -> Step<()> {
    let count = worker.rng.random_range(1..=3);
    add_some_products(worker, count).await
}

async fn add_some_products(worker: &mut Worker, count: u32) -> Step<()> {
    let store = some_store(worker).await?;
    add_to(worker, store, count).await
}

async fn add_to(worker: &mut Worker, store_id: StoreId, count: u32) -> Step<()> {
    for _ in 0..count {
        let rng = &mut worker.rng;
        let product = NewProduct {
            store_id,
            name: words::product(rng),
            description: words::description(rng),
            sku: words::sku(rng),
            price: Amount(rng.random_range(500..=1199)),
            // The idempotency key alone holds it to one.
            id: None,
        };
        worker.call(operations::add_product(&product)).await?;
    }
    Ok(())
}

async fn open_store(worker: &mut Worker) -> Step<()> {
    new_store(worker).await.map(drop)
}

async fn new_store(worker: &mut Worker) -> Step<StoreId> {
    let id = mint();
    let name = words::store(&mut worker.rng);
    let location = words::location(&mut worker.rng);
    worker.call(operations::create_store(id, &name, &location)).await?;
    let count = worker.rng.random_range(2..=5);
    add_to(worker, id, count).await?;
    worker.call(operations::enable_store_participation(id)).await?;
    Ok(id)
}

async fn rebrand_store(worker: &mut Worker) -> Step<()> {
    let store = some_store(worker).await?;
    let name = words::store(&mut worker.rng);
    worker.call(operations::rebrand_store(store, &name)).await.map(drop)
}

async fn rebrand_product(worker: &mut Worker) -> Step<()> {
    let Some(product) = any_product(worker).await? else { return Ok(()) };
    let name = words::product(&mut worker.rng);
    let description = words::description(&mut worker.rng);
    worker.call(operations::rebrand_product(product.id, &name, &description)).await.map(drop)
}

async fn change_price(worker: &mut Worker) -> Step<()> {
    let Some(product) = any_product(worker).await? else { return Ok(()) };
    let old = product.price.amount.0;
    let change = worker.rng.random_range(1..=old / 5 + 1);
    // Up and down alike, but no further down than a fair price.
    if old - change < 100 || (old < 2_500 && worker.rng.random_bool(0.5)) {
        let price = Amount(old + change);
        worker.call(operations::increase_product_price(product.id, price)).await.map(drop)
    } else {
        let price = Amount(old - change);
        worker.call(operations::decrease_product_price(product.id, price)).await.map(drop)
    }
}

async fn remove_product(worker: &mut Worker) -> Step<()> {
    let store = some_store(worker).await?;
    let products = worker.call(operations::products(store, End::First(PAGE))).await?.nodes;
    match products.choose(&mut worker.rng) {
        // A store keeps something to sell.
        Some(product) if products.len() > 2 => {
            worker.call(operations::remove_product(product.id)).await.map(drop)
        }
        Some(_) | None => add_to(worker, store, 1).await,
    }
}

async fn participation(worker: &mut Worker) -> Step<()> {
    let store = some_store(worker).await?;
    worker.call(operations::disable_store_participation(store)).await?;
    worker.call(operations::enable_store_participation(store)).await.map(drop)
}

// ---- the depot

/// How many lists a shift does at most.
const LISTS_A_SHIFT: usize = 3;

async fn depot(worker: &mut Worker) -> Step<()> {
    let bots = worker.call(operations::bots(PAGE)).await?.nodes;
    let mut lists = lists_in(worker, ShoppingListStatus::Available).await?;
    lists.shuffle(&mut worker.rng);
    lists.truncate(LISTS_A_SHIFT);
    if lists.is_empty() {
        return lend_a_hand(worker).await;
    }
    for list in lists {
        let done = match some_bot(worker, &bots).await? {
            Some(bot) => collect(worker, &list, bot).await,
            None => return Ok(()),
        };
        match done {
            // Another was faster, or the order was called off: on to the next.
            Ok(()) | Err(Halt::Refused(_)) => {}
            Err(halt @ (Halt::Over | Halt::Failed)) => return Err(halt),
        }
    }
    Ok(())
}

async fn lists_in(worker: &mut Worker, status: ShoppingListStatus) -> Step<Vec<ShoppingList>> {
    Ok(worker.call(operations::shopping_lists(20, &[status])).await?.nodes)
}

/// A bot that waits for work, or one that is made to: of those that were
/// looked at, or a new one as long as there are fewer than clients.
async fn some_bot(worker: &mut Worker, bots: &[Bot]) -> Step<Option<BotId>> {
    let in_state = |status| -> Vec<BotId> {
        bots.iter().filter(|bot| bot.status == status).map(|bot| bot.id).collect()
    };
    if let Some(bot) = in_state(BotStatus::Idle).choose(&mut worker.rng) {
        return Ok(Some(*bot));
    }
    if let Some(bot) = in_state(BotStatus::Offline).choose(&mut worker.rng) {
        worker.call(operations::bring_bot_online(*bot)).await?;
        return Ok(Some(*bot));
    }
    if bots.len() < usize::try_from(worker.crew()).unwrap_or(usize::MAX) {
        return new_bot(worker).await.map(Some);
    }
    Ok(None)
}

async fn new_bot(worker: &mut Worker) -> Step<BotId> {
    let id = mint();
    let name = words::bot(&mut worker.rng);
    worker.call(operations::register_bot(id, &name)).await?;
    worker.call(operations::bring_bot_online(id)).await?;
    Ok(id)
}

/// A bot collects a list, and sometimes goes home after.
async fn collect(worker: &mut Worker, list: &ShoppingList, bot: BotId) -> Step<()> {
    worker.call(operations::assign_shopping_list(list.id, bot)).await?;
    worker.call(operations::start_shopping(list.id)).await?;
    pick_and_complete(worker, list).await?;
    if worker.rng.random_bool(0.1) {
        worker.call(operations::take_bot_offline(bot)).await?;
    }
    Ok(())
}

async fn pick_and_complete(worker: &mut Worker, list: &ShoppingList) -> Step<()> {
    let mut missing: Vec<_> = list.missing().collect();
    let mut shortages = Vec::new();
    if missing.len() > 1
        && worker.rng.random_bool(0.1)
        && let Some((_, product_id, _)) = missing.pop()
    {
        shortages.push(Shortage { product_id, reason: "sold out".to_owned() });
    }
    for (store, product, quantity) in missing {
        // Some of it first, the rest after, now and then.
        let first = worker.rng.random_range(1..=quantity);
        for quantity in [first, quantity - first].into_iter().filter(|quantity| *quantity > 0) {
            worker.call(operations::pick_item(list.id, store, product, quantity)).await?;
        }
    }
    worker.call(operations::complete_shopping_list(list.id, &shortages)).await.map(drop)
}

/// With nothing to begin, somebody else's work is done to its end: it may have
/// been left behind.
async fn lend_a_hand(worker: &mut Worker) -> Step<()> {
    let assigned = lists_in(worker, ShoppingListStatus::Assigned).await?;
    if let Some(list) = assigned.choose(&mut worker.rng) {
        worker.call(operations::start_shopping(list.id)).await?;
        return pick_and_complete(worker, list).await;
    }
    let active = lists_in(worker, ShoppingListStatus::Active).await?;
    if let Some(list) = active.choose(&mut worker.rng) {
        return pick_and_complete(worker, list).await;
    }
    Ok(())
}

/// How many invoices are paid at once at most.
const INVOICES_AT_ONCE: usize = 5;

async fn pay_invoices(worker: &mut Worker) -> Step<()> {
    let mut orders = worker.call(operations::orders(50, &[OrderStatus::Ready])).await?.nodes;
    orders.shuffle(&mut worker.rng);
    orders.truncate(INVOICES_AT_ONCE);
    for order in orders {
        match pay_invoice(worker, &order).await {
            // Another paid it.
            Ok(()) | Err(Halt::Refused(_)) => {}
            Err(halt @ (Halt::Over | Halt::Failed)) => return Err(halt),
        }
    }
    Ok(())
}

async fn pay_invoice(worker: &mut Worker, order: &Order) -> Step<()> {
    let Some(invoice) = &order.invoice else { return Ok(()) };
    if invoice.status != InvoiceStatus::Pending {
        return Ok(());
    }
    let amount = invoice.amount.amount.0;
    if amount > 1 && worker.rng.random_bool(0.1) {
        let rebate = worker.rng.random_range(1..=amount / 10 + 1).min(amount - 1);
        worker.call(operations::adjust_invoice(invoice.id, Amount(amount - rebate))).await?;
    }
    let since = Instant::now();
    worker.call(operations::pay_invoice(invoice.id)).await?;
    worker.follow(order.id, since, |status| status == OrderStatus::Completed).await.map(drop)
}

/// An id for something new. Where it is told to the mall, that also holds it
/// to one.
fn mint<I: EntityId>() -> I {
    I::from_uuid(Uuid::now_v7())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// The book's program: reference for the first seven.
    const BOOK: [(Job, u32); 7] = [
        (Job::Browse, 375),
        (Job::Buy, 125),
        (Job::Register, 200),
        (Job::AddProducts, 150),
        (Job::OpenStore, 50),
        (Job::RebrandStore, 50),
        (Job::RebrandProduct, 50),
    ];

    #[test]
    fn the_weights_are_of_a_thousand_and_each_job_has_one() {
        assert_eq!(JOBS.iter().map(|(_, weight)| weight).sum::<u32>(), 1000);
        let jobs: BTreeSet<_> = JOBS.iter().map(|(job, _)| job).collect();
        assert_eq!(jobs.len(), JOBS.len());
    }

    #[test]
    fn the_books_mix_keeps_its_proportions() {
        for ((job, weight), (ours, our_weight)) in BOOK.iter().zip(JOBS) {
            assert_eq!(job, ours);
            assert_eq!(weight * 6 / 10, *our_weight, "{}", job.as_str());
        }
    }

    #[test]
    fn jobs_are_drawn_as_often_as_their_weights_say() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn = BTreeMap::new();
        for _ in 0..100_000 {
            *drawn.entry(Job::draw(&mut rng)).or_insert(0_i64) += 1;
        }
        for (job, weight) in JOBS {
            let expected = i64::from(*weight) * 100;
            let off = (drawn[job] - expected).abs();
            assert!(off * 8 < expected, "{}: {} for {expected}", job.as_str(), drawn[job]);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_jobs() {
        let draw = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..50).map(|_| Job::draw(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
