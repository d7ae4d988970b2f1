//! Customers: they browse, fill baskets, change their minds, and mostly buy.

use std::sync::Arc;

use mallbots_domain::{
    id::{BasketId, CustomerId, EntityId, OrderId, PaymentId},
    ordering::OrderStatus,
};
use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use uuid::Uuid;

use super::{Deeds, Refused, Town, catalog};
use crate::client::operations::{self, Amount, Basket, End};

/// How many customers wait at the gate before it opens and know what they
/// want: whoever looks in first sees something happen at once.
const EARLY: u32 = 3;

/// The life of a customer: shopping, and what lies between.
pub(super) async fn live(town: Arc<Town>, number: u32) {
    let customer: CustomerId = catalog::id(number);
    let mut rng = town.chance(u64::from(number));
    if number <= EARLY {
        let _ = buy_from_a_list(&town, &mut rng, customer).await;
    }
    // Not all come at once.
    town.while_away(&mut rng, 0.0, 10.0).await;
    loop {
        // Whatever was refused, there is another day.
        let _ = shop(&town, &mut rng, customer).await;
        town.while_away(&mut rng, 5.0, 20.0).await;
    }
}

async fn shop(town: &Town, rng: &mut StdRng, customer: CustomerId) -> Result<(), Refused> {
    let basket = BasketId::from_uuid(Uuid::now_v7());
    town.call(operations::start_basket(basket, customer)).await?;
    fill(town, rng, basket).await?;
    let Some(filled) = town.call(operations::basket(basket)).await? else { return Ok(()) };
    if filled.items.is_empty() || rng.random_bool(0.12) {
        town.while_away(rng, 2.0, 6.0).await;
        town.call(operations::cancel_basket(basket)).await?;
        Deeds::count(&town.deeds.put_back);
        return Ok(());
    }
    town.while_away(rng, 2.0, 5.0).await;
    let order = check_out(town, rng, customer, &filled).await?;
    Deeds::count(&town.deeds.bought);
    if rng.random_bool(0.08) {
        town.while_away(rng, 0.0, 12.0).await;
        // Too late is too late.
        let _ = town.call(operations::cancel_order(order, "changed my mind")).await;
    }
    town.watch(|| operations::order_changed(order), |order| is_over(order.status).then_some(()))
        .await;
    Ok(())
}

/// Shops without looking around.
async fn buy_from_a_list(
    town: &Town,
    rng: &mut StdRng,
    customer: CustomerId,
) -> Result<(), Refused> {
    let basket = BasketId::from_uuid(Uuid::now_v7());
    town.call(operations::start_basket(basket, customer)).await?;
    let mut stores = town.call(operations::stores(End::First(100))).await?.nodes;
    stores.shuffle(rng);
    for store in stores.iter().take(2) {
        let products = town.call(operations::products(store.id, End::First(100))).await?.nodes;
        if let Some(product) = products.choose(rng) {
            town.call(operations::add_basket_item(basket, product.id, 1)).await?;
        }
    }
    let Some(filled) = town.call(operations::basket(basket)).await? else { return Ok(()) };
    check_out(town, rng, customer, &filled).await?;
    Deeds::count(&town.deeds.bought);
    Ok(())
}

async fn fill(town: &Town, rng: &mut StdRng, basket: BasketId) -> Result<(), Refused> {
    let mut stores = town.call(operations::stores(End::First(100))).await?.nodes;
    stores.shuffle(rng);
    stores.truncate(rng.random_range(1..=3));
    let mut taken = Vec::new();
    for store in stores {
        let products = town.call(operations::products(store.id, End::First(100))).await?.nodes;
        for product in products.choose_multiple(rng, rng.clone().random_range(1..=2)) {
            town.while_away(rng, 2.0, 6.0).await;
            let quantity = rng.random_range(1..=3);
            let operation = operations::add_basket_item(basket, product.id, quantity);
            // Sold out under one's hands: there is more to see.
            if town.call(operation).await.is_ok() {
                taken.push(product.id);
            }
        }
    }
    if rng.random_bool(0.2)
        && let Some(product) = taken.choose(rng)
    {
        town.while_away(rng, 1.0, 4.0).await;
        town.call(operations::remove_basket_item(basket, *product, 1)).await?;
    }
    Ok(())
}

/// Pays and buys. Now and then the card does not cover it, and the order will
/// be rejected.
async fn check_out(
    town: &Town,
    rng: &mut StdRng,
    customer: CustomerId,
    basket: &Basket,
) -> Result<OrderId, Refused> {
    let total = basket.total.amount;
    let covered = if rng.random_bool(0.06) { Amount(total.0 / 2) } else { total };
    let payment = authorize(town, customer, covered).await?;
    match town.call(operations::checkout_basket(basket.id, payment, false)).await {
        Ok(bought) => Ok(bought.order_id),
        Err(Refused(problem)) if problem.code() == "PRICE_CHANGED" => {
            // A look at the new price, then they pay that.
            town.while_away(rng, 2.0, 4.0).await;
            let again = town.call(operations::basket(basket.id)).await?;
            let total = again.map_or(total, |basket| basket.total_now());
            let payment = authorize(town, customer, total).await?;
            let operation = operations::checkout_basket(basket.id, payment, true);
            Ok(town.call(operation).await?.order_id)
        }
        Err(refused) => Err(refused),
    }
}

async fn authorize(
    town: &Town,
    customer: CustomerId,
    amount: Amount,
) -> Result<PaymentId, Refused> {
    let payment = PaymentId::from_uuid(Uuid::now_v7());
    let amount = amount.max(Amount(1));
    town.call(operations::authorize_payment(payment, customer, amount)).await?;
    Ok(payment)
}

const fn is_over(status: OrderStatus) -> bool {
    match status {
        OrderStatus::Rejected | OrderStatus::Completed | OrderStatus::Canceled => true,
        OrderStatus::Pending
        | OrderStatus::Approved
        | OrderStatus::InProgress
        | OrderStatus::Ready => false,
    }
}
