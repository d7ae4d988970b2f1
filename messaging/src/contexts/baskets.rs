//! Baskets. Each change winds the timer that clears a forgotten basket away.

use std::time::Duration;

use mallbots_domain::{
    baskets::{Basket, BasketCommand, Offer, Tender},
    id::{BasketId, CustomerId, EntityId, PaymentId, ProductId},
    payments::payment::{Payment, PaymentError, PaymentStatus},
    quantity::Quantity,
    stores::{
        product::{Product, ProductError},
        store::{Store, StoreError},
    },
};
use mallbots_eventstore::{
    append::{NewMessage, Timer, TimerChange},
    error::CommandError,
    message::{MessageKind, Version},
    unit::{Creation, Unit},
};
use serde::{Deserialize, Serialize};

use super::{customers, refused, settled};
use crate::{envelope, inbound::encoding};

/// The message that a forgotten basket's timer becomes.
pub const ABANDON: &str = "baskets.AbandonBasket";
const TIMER: &str = "abandon";

/// What that message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// How the basket stood when the timer was wound: who touches it later
    /// has not forgotten it.
    pub version: Version,
}

/// Starts a basket for a customer who may shop.
pub async fn start(
    unit: &mut Unit<'_>,
    id: BasketId,
    customer_id: CustomerId,
    abandon_after: Duration,
) -> Result<Creation, CommandError> {
    let customer = customers::existing(unit, customer_id).await?;
    let command = BasketCommand::Start { customer_id, customer_enabled: customer.enabled };
    let creation = unit.create::<Basket>(id, command).await?;
    if matches!(creation, Creation::New) {
        wind(unit, id, abandon_after).await?;
    }
    Ok(creation)
}

/// Puts pieces of a product in, as its store offers it now.
pub async fn add_item(
    unit: &mut Unit<'_>,
    id: BasketId,
    product_id: ProductId,
    quantity: Quantity,
    abandon_after: Duration,
) -> Result<(), CommandError> {
    let offer = offer(unit, product_id).await?;
    unit.decide::<Basket>(id, BasketCommand::AddItem { offer, quantity }).await?;
    wind(unit, id, abandon_after).await
}

/// Takes pieces of a product out, whether or not it is still on sale.
pub async fn remove_item(
    unit: &mut Unit<'_>,
    id: BasketId,
    product_id: ProductId,
    quantity: Quantity,
    abandon_after: Duration,
) -> Result<(), CommandError> {
    unit.decide::<Basket>(id, BasketCommand::RemoveItem { product_id, quantity }).await?;
    wind(unit, id, abandon_after).await
}

/// Buys what is in the basket.
pub async fn checkout(
    unit: &mut Unit<'_>,
    id: BasketId,
    payment_id: PaymentId,
    accept_price_changes: bool,
) -> Result<(), CommandError> {
    let payment = unit.load::<Payment>(payment_id).await?;
    let details = payment.details().ok_or_else(|| refused(PaymentError::NotFound))?;
    let tender = Tender {
        payment_id,
        customer_id: details.customer_id,
        authorized: payment.status() == Some(PaymentStatus::Authorized),
    };
    let basket = unit.load::<Basket>(id).await?;
    let items = basket.details().map(|details| details.items.clone()).unwrap_or_default();
    let mut offers = Vec::with_capacity(items.len());
    for item in items {
        offers.push(offer(unit, item.product_id).await?);
    }
    let command = BasketCommand::Checkout { tender, offers, accept_price_changes };
    unit.decide::<Basket>(id, command).await?;
    unit.timer(TimerChange::Clear { owner: id.any(), name: TIMER });
    Ok(())
}

/// Puts the basket back.
pub async fn cancel(unit: &mut Unit<'_>, id: BasketId) -> Result<(), CommandError> {
    unit.decide::<Basket>(id, BasketCommand::Cancel).await?;
    unit.timer(TimerChange::Clear { owner: id.any(), name: TIMER });
    Ok(())
}

/// Clears a forgotten basket away, unless it was touched meanwhile.
pub async fn abandon(
    unit: &mut Unit<'_>,
    id: BasketId,
    Forgotten { version }: Forgotten,
) -> Result<(), CommandError> {
    if unit.version::<Basket>(id).await? == version {
        settled(unit.decide::<Basket>(id, BasketCommand::Abandon).await)?;
    }
    Ok(())
}

/// What a store offers now.
async fn offer(unit: &mut Unit<'_>, product_id: ProductId) -> Result<Offer, CommandError> {
    let product = unit.load::<Product>(product_id).await?;
    let details = product.details().ok_or_else(|| refused(ProductError::NotFound))?;
    let store = unit.load::<Store>(details.store_id).await?;
    let store = store.details().ok_or_else(|| refused(StoreError::NotFound))?;
    Ok(Offer {
        product_id,
        store_id: details.store_id,
        product_name: details.name.clone(),
        store_name: store.name.clone(),
        store_location: store.location.clone(),
        price: details.price,
        participating: store.participating,
        removed: product.removed(),
    })
}

async fn wind(
    unit: &mut Unit<'_>,
    id: BasketId,
    abandon_after: Duration,
) -> Result<(), CommandError> {
    let due_at = unit.now() + envelope::micros(abandon_after);
    let forgotten = Forgotten { version: unit.version::<Basket>(id).await? };
    unit.timer(TimerChange::Set(Timer {
        owner: id.any(),
        name: TIMER,
        due_at,
        message: NewMessage {
            kind: MessageKind::Command,
            stream: id.any(),
            name: ABANDON.to_owned(),
            message_id: envelope::derived(id.uuid(), &format!("{TIMER}/{due_at}")),
            payload: serde_json::to_string(&forgotten).map_err(encoding)?,
        },
    }));
    Ok(())
}
