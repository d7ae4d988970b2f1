//! Payments and invoices.

use mallbots_domain::{
    id::{CustomerId, InvoiceId, OrderId, PaymentId},
    money::Money,
    payments::{
        invoice::{Invoice, InvoiceCommand},
        payment::{Payment, PaymentCommand, PaymentError},
    },
};
use mallbots_eventstore::{
    error::CommandError,
    unit::{Creation, Unit},
};

use super::{customers, refused, settled, settled_or_absent};

/// Sets a customer's money aside.
pub async fn authorize(
    unit: &mut Unit<'_>,
    id: PaymentId,
    customer_id: CustomerId,
    amount: Money,
) -> Result<Creation, CommandError> {
    customers::existing(unit, customer_id).await?;
    unit.create::<Payment>(id, PaymentCommand::Authorize { customer_id, amount }).await
}

/// Binds a payment to an order.
pub async fn confirm(
    unit: &mut Unit<'_>,
    id: PaymentId,
    order_id: OrderId,
    customer_id: CustomerId,
    amount: Money,
) -> Result<(), CommandError> {
    let command = PaymentCommand::Confirm { order_id, customer_id, amount };
    settled(unit.decide::<Payment>(id, command).await)?;
    Ok(())
}

/// Gives a payment back that is bound to this order.
pub async fn give_back(
    unit: &mut Unit<'_>,
    id: PaymentId,
    order_id: OrderId,
) -> Result<(), CommandError> {
    let command = PaymentCommand::GiveBack { order_id };
    settled_or_absent(unit.decide::<Payment>(id, command).await)?;
    Ok(())
}

/// Lets go of a payment that was never bound to any order.
pub async fn let_go(
    unit: &mut Unit<'_>,
    id: PaymentId,
    order_id: OrderId,
    customer_id: CustomerId,
) -> Result<(), CommandError> {
    let command = PaymentCommand::LetGo { order_id, customer_id };
    settled_or_absent(unit.decide::<Payment>(id, command).await)?;
    Ok(())
}

/// Takes the money.
pub async fn capture(
    unit: &mut Unit<'_>,
    id: PaymentId,
    order_id: OrderId,
) -> Result<(), CommandError> {
    settled(unit.decide::<Payment>(id, PaymentCommand::Capture { order_id }).await)?;
    Ok(())
}

/// Bills an order, once.
pub async fn bill(
    unit: &mut Unit<'_>,
    order_id: OrderId,
    customer_id: CustomerId,
    payment_id: PaymentId,
    amount: Money,
) -> Result<(), CommandError> {
    let command = InvoiceCommand::Create { order_id, customer_id, payment_id, amount };
    unit.create::<Invoice>(order_id.invoice(), command).await?;
    Ok(())
}

/// Bills another amount, within what the payment holds.
pub async fn adjust(unit: &mut Unit<'_>, id: InvoiceId, amount: Money) -> Result<(), CommandError> {
    let invoice = unit.load::<Invoice>(id).await?;
    let payment_id = invoice.details().map(|details| details.payment_id);
    if let Some(payment_id) = payment_id {
        let payment = unit.load::<Payment>(payment_id).await?;
        if payment.details().is_none_or(|details| details.amount < amount) {
            return Err(refused(PaymentError::TooSmall));
        }
    }
    unit.decide::<Invoice>(id, InvoiceCommand::Adjust { amount }).await?;
    Ok(())
}

/// Withdraws an invoice, if there is one that is not settled.
pub async fn withdraw(unit: &mut Unit<'_>, id: InvoiceId) -> Result<(), CommandError> {
    settled_or_absent(unit.decide::<Invoice>(id, InvoiceCommand::Cancel).await)?;
    Ok(())
}
