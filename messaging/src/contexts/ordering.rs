//! Orders.

use mallbots_domain::{
    baskets::Item,
    id::{CustomerId, OrderId, PaymentId},
    ordering::{Order, OrderCommand},
};
use mallbots_eventstore::{error::CommandError, unit::Unit};

use super::{customers, settled};

/// Places the order of a checked-out basket.
pub async fn create(
    unit: &mut Unit<'_>,
    id: OrderId,
    customer_id: CustomerId,
    payment_id: PaymentId,
    items: Vec<Item>,
) -> Result<(), CommandError> {
    // A basket becomes one order. Its name may have changed since, so the
    // order that is there already is not compared.
    if unit.load::<Order>(id).await?.status().is_some() {
        return Ok(());
    }
    let customer_name = customers::existing(unit, customer_id).await?.name;
    let command = OrderCommand::Create { customer_id, customer_name, payment_id, items };
    unit.decide::<Order>(id, command).await?;
    Ok(())
}

/// Moves an order on for a saga or a policy, to whom it is the same whether
/// it moved now or before.
pub async fn advance(
    unit: &mut Unit<'_>,
    id: OrderId,
    command: OrderCommand,
) -> Result<(), CommandError> {
    settled(unit.decide::<Order>(id, command).await)?;
    Ok(())
}
