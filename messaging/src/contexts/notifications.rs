//! Messages to customers.

use mallbots_domain::{
    id::{CustomerId, OrderId},
    notifications::{Notification, NotificationCommand, NotificationKind},
};
use mallbots_eventstore::{error::CommandError, unit::Unit};

use super::customers;

/// Writes a message to a customer about an order: one of each kind.
pub async fn request(
    unit: &mut Unit<'_>,
    customer_id: CustomerId,
    order_id: OrderId,
    kind: NotificationKind,
) -> Result<(), CommandError> {
    let id = order_id.notification(kind);
    if unit.load::<Notification>(id).await?.details().is_some() {
        return Ok(());
    }
    let sms_number = customers::existing(unit, customer_id).await?.sms_number;
    let command = NotificationCommand::Request { customer_id, sms_number, order_id, kind };
    unit.decide::<Notification>(id, command).await?;
    Ok(())
}
