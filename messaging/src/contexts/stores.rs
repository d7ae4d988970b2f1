//! Stores and products.

use mallbots_domain::{
    id::{ProductId, StoreId},
    money::Money,
    stores::{
        product::{Product, ProductCommand, ProductError},
        store::{Store, StoreError},
    },
    text::{Description, Name, Sku},
};
use mallbots_eventstore::{
    append::Claim,
    error::CommandError,
    unit::{Creation, Unit},
};

use super::refused;

/// A product that is to go on sale.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// The store that sells it.
    pub store_id: StoreId,
    /// What it is called.
    pub name: Name,
    /// What it is like.
    pub description: Description,
    /// The store's own number for it.
    pub sku: Sku,
    /// What one piece costs.
    pub price: Money,
}

/// Puts a product on sale in a store that exists, under a SKU that is free there.
pub async fn add_product(
    unit: &mut Unit<'_>,
    id: ProductId,
    product: NewProduct,
) -> Result<Creation, CommandError> {
    let NewProduct { store_id, name, description, sku, price } = product;
    if unit.load::<Store>(store_id).await?.details().is_none() {
        return Err(refused(StoreError::NotFound));
    }
    let claim = sku_claim(id, store_id, &sku);
    let command = ProductCommand::Add { store_id, name, description, sku, price };
    let creation = unit.create::<Product>(id, command).await?;
    if matches!(creation, Creation::New) {
        unit.claim(claim);
    }
    Ok(creation)
}

/// Takes a product off sale and frees its SKU.
pub async fn remove_product(unit: &mut Unit<'_>, id: ProductId) -> Result<(), CommandError> {
    let product = unit.load::<Product>(id).await?;
    unit.decide::<Product>(id, ProductCommand::Remove).await?;
    let details = product.details().ok_or_else(|| refused(ProductError::NotFound))?;
    unit.release(sku_claim(id, details.store_id, &details.sku));
    Ok(())
}

fn sku_claim(owner: ProductId, store_id: StoreId, sku: &Sku) -> Claim {
    Claim { scope: "sku", key: format!("{store_id}/{sku}"), owner: owner.into() }
}
