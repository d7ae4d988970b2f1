//! The manager: changes a price now and then.

use std::sync::Arc;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::{Deeds, Refused, Town};
use crate::client::operations::{
    Amount, End, decrease_product_price, increase_product_price, products, stores,
};

/// The manager's work, for ever.
pub(super) async fn work(town: Arc<Town>) {
    let mut rng = town.chance(4_000_000);
    loop {
        town.while_away(&mut rng, 10.0, 30.0).await;
        // Whatever was refused, there is another price.
        if change_a_price(&town, &mut rng).await.is_ok() {
            Deeds::count(&town.deeds.repriced);
        }
    }
}

async fn change_a_price(town: &Town, rng: &mut StdRng) -> Result<(), Refused> {
    let stores = town.call(stores(End::First(100))).await?.nodes;
    let Some(store) = stores.choose(rng) else { return Ok(()) };
    let products = town.call(products(store.id, End::First(100))).await?.nodes;
    let Some(product) = products.choose(rng) else { return Ok(()) };
    let old = product.price.amount.0;
    let change = rng.random_range(1..=old / 10 + 1);
    if old - change < 100 || (old < 10_000 && rng.random_bool(0.5)) {
        town.call(increase_product_price(product.id, Amount(old + change))).await.map(drop)
    } else {
        town.call(decrease_product_price(product.id, Amount(old - change))).await.map(drop)
    }
}
