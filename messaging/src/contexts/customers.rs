//! Customers.

use mallbots_domain::{
    customers::{Customer, CustomerCommand, CustomerDetails, CustomerError},
    id::{CustomerId, OrderId},
    ordering::{Order, OrderStatus},
};
use mallbots_eventstore::{error::CommandError, unit::Unit};

use super::{refused, settled};

/// Loads a customer who must exist.
pub(crate) async fn existing(
    unit: &mut Unit<'_>,
    id: CustomerId,
) -> Result<CustomerDetails, CommandError> {
    let customer = unit.load::<Customer>(id).await?;
    customer.details().cloned().ok_or_else(|| refused(CustomerError::NotFound))
}

/// Says whether a customer may place an order. Nothing, if the order no longer
/// waits for it: then the question comes late, or once more.
pub async fn authorize(
    unit: &mut Unit<'_>,
    id: CustomerId,
    order_id: OrderId,
) -> Result<(), CommandError> {
    if unit.load::<Order>(order_id).await?.status() != Some(OrderStatus::Pending) {
        return Ok(());
    }
    settled(unit.decide::<Customer>(id, CustomerCommand::Authorize { order_id }).await)?;
    Ok(())
}
