//! Filling an empty mall.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use mallbots_domain::id::{BotId, CustomerId, ProductId, StoreId};
use rand::Rng;

use super::{Refused, Town, catalog};
use crate::client::operations::{self, Amount, End, NewProduct};

/// Sees to it that everything and everybody is there. Whatever is there
/// already stays as it is, so that a mall that was left half filled is filled,
/// and one with fewer people than asked for gets more.
pub(super) async fn seed(town: &Town) -> anyhow::Result<()> {
    ensure_own(town).await?;
    let open: BTreeSet<StoreId> = match town.call(operations::stores(End::First(100))).await {
        Ok(stores) => stores.nodes.iter().map(|store| store.id).collect(),
        Err(Refused(problem)) => bail!("reading the stores: {problem}"),
    };
    let mut rng = town.chance(0);
    let mut number = 0;
    for (place, store) in (1..).zip(catalog::STORES) {
        let store_id: StoreId = catalog::id(place);
        let seen = open.contains(&store_id);
        if !seen {
            there(town.call(operations::create_store(store_id, store.name, store.location)).await)?;
        }
        for product in store.products {
            number += 1;
            // Drawn for each, so that a store that is there changes no other's prices.
            let price = product.price + rng.random_range(-9..=9) * product.price / 100;
            let product = NewProduct {
                store_id,
                name: product.name.to_owned(),
                description: product.description.to_owned(),
                sku: format!("D-{number:03}"),
                price: Amount(price),
                id: Some(catalog::id::<ProductId>(number)),
            };
            if !seen {
                there(town.call(operations::add_product(&product)).await)?;
            }
        }
        // Last, so that a store that is open is complete.
        if !seen {
            there(town.call(operations::enable_store_participation(store_id)).await)?;
        }
    }
    for number in 1..=town.options.customers {
        let id: CustomerId = catalog::id(number);
        let telephone = format!("+1555{number:07}");
        let customer = catalog::customer(number);
        there(town.call(operations::register_customer(id, &customer, &telephone)).await)?;
    }
    for number in 1..=town.options.bots {
        let id: BotId = catalog::id(number);
        there(town.call(operations::register_bot(id, &catalog::bot(number))).await)?;
        there(town.call(operations::bring_bot_online(id)).await)?;
    }
    Ok(())
}

/// Simulated customers have no business in a mall that others opened.
async fn ensure_own(town: &Town) -> anyhow::Result<()> {
    let first: StoreId = catalog::id(1);
    match town.call(operations::store(first)).await {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => {}
        Err(Refused(problem)) if problem.code() == "NOT_FOUND" => {}
        Err(Refused(problem)) => bail!("looking for stores: {problem}"),
    }
    match town.call(operations::any_store()).await {
        Ok(stores) => {
            ensure!(
                stores.nodes.is_empty(),
                "this mall has stores of its own, and simulated customers must not shop there: \
                 choose another --data folder for the demonstration"
            );
            Ok(())
        }
        Err(Refused(problem)) => bail!("looking for stores: {problem}"),
    }
}

/// Whether something is there: made now, or before, maybe a little different.
fn there<T>(made: Result<T, Refused>) -> anyhow::Result<()> {
    match made {
        Ok(_) => Ok(()),
        Err(Refused(problem)) if matches!(problem.code(), "CONFLICT" | "FAILED_PRECONDITION") => {
            Ok(())
        }
        Err(Refused(problem)) => bail!("filling the mall: {problem}"),
    }
}
