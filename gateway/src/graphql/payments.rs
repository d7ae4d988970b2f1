//! Payments and invoices.

use async_graphql::{Context, Description, Enum, ID, InputObject, Object, Result};
use futures_util::FutureExt;
use mallbots_domain::{
    id::{CustomerId, InvoiceId, PaymentId},
    payments::{
        invoice::{Invoice as InvoiceAggregate, InvoiceCommand, InvoiceStatus as InvoiceState},
        payment::PaymentStatus as PaymentState,
    },
};
use mallbots_messaging::contexts::payments as work;
use mallbots_projections::{invoices::InvoiceRow, payments::PaymentRow};

use super::{
    access::{own_customer, own_invoice},
    customers::Customer,
    ids,
    mutate::{execute, made, mutate, payload},
    orders::Order,
    scalars::{Decimal, Money},
    services::ContextExt,
};
use crate::error::{ClientError, ForClient};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "PaymentState")]
pub enum PaymentStatus {
    /// The money is set aside.
    Authorized,
    /// It is bound to an order.
    Confirmed,
    /// The money was taken.
    Captured,
    /// It was let go.
    Released,
    /// It was paid back.
    Refunded,
}

/// Money a customer has set aside.
#[derive(Debug, Clone, Description)]
pub struct Payment(pub PaymentRow);

#[Object(use_type_description)]
impl Payment {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// Whose money it is.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        let customer = super::customers::customer(ctx, *self.0.customer_id).await?;
        Ok(customer.ok_or_else(|| ids::not_found("customer"))?)
    }

    /// How much.
    async fn amount(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.amount)
    }

    /// Where it stands.
    async fn status(&self) -> PaymentStatus {
        self.0.status.0.into()
    }

    /// The order it is, or was, bound to.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let Some(id) = &self.0.order_id else { return Ok(None) };
        Ok(ctx.loaders().one(**id).await.for_client()?.map(Order))
    }
}

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "InvoiceState")]
pub enum InvoiceStatus {
    /// To be paid.
    Pending,
    /// Settled.
    Paid,
    /// Withdrawn.
    Canceled,
}

/// The invoice of an order whose goods are at the depot.
#[derive(Debug, Clone, Description)]
pub struct Invoice(pub InvoiceRow);

#[Object(use_type_description)]
impl Invoice {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What it bills.
    async fn order(&self, ctx: &Context<'_>) -> Result<Order> {
        let order = ctx.loaders().one(*self.0.order_id).await.for_client()?;
        Ok(order.map(Order).ok_or_else(|| ids::not_found("order"))?)
    }

    /// How much.
    async fn amount(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.amount)
    }

    /// Where it stands.
    async fn status(&self) -> InvoiceStatus {
        self.0.status.0.into()
    }
}

/// What may be asked about payments.
#[derive(Debug, Default)]
pub struct PaymentQueries;

#[Object]
impl PaymentQueries {
    /// A payment.
    async fn payment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The payment's id.")] id: ID,
    ) -> Result<Option<Payment>> {
        let payment = payment(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(payment.ok_or_else(|| ids::not_found("payment"))?))
    }

    /// An invoice. An order's invoice bears the order's id with its own prefix.
    async fn invoice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The invoice's id.")] id: ID,
    ) -> Result<Option<Invoice>> {
        let invoice = invoice(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(invoice.ok_or_else(|| ids::not_found("invoice"))?))
    }
}

/// Money to be set aside.
#[derive(Debug, InputObject)]
pub struct AuthorizePaymentInput {
    /// Whose money.
    customer_id: ID,
    /// How much: more than nothing.
    amount: Decimal,
    /// The new payment's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// An invoice to be paid.
#[derive(Debug, InputObject)]
pub struct PayInvoiceInput {
    /// Which invoice.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Another amount for an invoice.
#[derive(Debug, InputObject)]
pub struct AdjustInvoiceInput {
    /// Which invoice.
    id: ID,
    /// How much is to be paid: more than nothing, and no more than the order's payment holds.
    amount: Decimal,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// An invoice to be withdrawn.
#[derive(Debug, InputObject)]
pub struct CancelInvoiceInput {
    /// Which invoice.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of setting money aside.
    AuthorizePaymentPayload {
        /// The payment; null if it is not in the read model yet.
        payment: Payment
    }
}
payload! {
    /// What came of paying an invoice.
    PayInvoicePayload {
        /// The invoice; null if it is not in the read model yet.
        invoice: Invoice
    }
}
payload! {
    /// What came of adjusting an invoice.
    AdjustInvoicePayload {
        /// The invoice; null if it is not in the read model yet.
        invoice: Invoice
    }
}
payload! {
    /// What came of withdrawing an invoice.
    CancelInvoicePayload {
        /// The invoice; null if it is not in the read model yet.
        invoice: Invoice
    }
}

/// What may be done about money.
#[derive(Debug, Default)]
pub struct PaymentMutations;

#[Object]
impl PaymentMutations {
    /// Sets a customer's money aside, to pay for one order.
    async fn authorize_payment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose money, and how much.")] input: AuthorizePaymentInput,
    ) -> Result<AuthorizePaymentPayload> {
        let id: PaymentId = ids::new(input.id.as_ref())?;
        let customer_id: CustomerId = ids::of(&input.customer_id, "customerId")?;
        own_customer(ctx, customer_id)?;
        let amount = input.amount.money().for_field("amount")?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok(made(id, work::authorize(unit, id, customer_id, amount).await?)) }
                .boxed()
        })
        .await?;
        let payment = payment(ctx, done.value).await?;
        Ok(AuthorizePaymentPayload::new(done, payment))
    }

    /// Settles an invoice. The money is taken and the order completes.
    async fn pay_invoice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which invoice.")] input: PayInvoiceInput,
    ) -> Result<PayInvoicePayload> {
        let id = ids::of(&input.id, "id")?;
        own_invoice(ctx, id).await?;
        let mark = input.client_mutation_id;
        let done = execute::<InvoiceAggregate>(ctx, mark, id, InvoiceCommand::Pay).await?;
        Ok(PayInvoicePayload::new(done, invoice(ctx, id).await?))
    }

    /// Bills another amount, before the invoice is paid.
    async fn adjust_invoice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which invoice, and how much.")] input: AdjustInvoiceInput,
    ) -> Result<AdjustInvoicePayload> {
        let id: InvoiceId = ids::of(&input.id, "id")?;
        let amount = input.amount.money().for_field("amount")?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((work::adjust(unit, id, amount).await?, None)) }.boxed()
        })
        .await?;
        Ok(AdjustInvoicePayload::new(done, invoice(ctx, id).await?))
    }

    /// Withdraws an invoice, before it is paid.
    async fn cancel_invoice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which invoice.")] input: CancelInvoiceInput,
    ) -> Result<CancelInvoicePayload> {
        let id = ids::of(&input.id, "id")?;
        let mark = input.client_mutation_id;
        let done = execute::<InvoiceAggregate>(ctx, mark, id, InvoiceCommand::Cancel).await?;
        Ok(CancelInvoicePayload::new(done, invoice(ctx, id).await?))
    }
}

async fn payment(ctx: &Context<'_>, id: PaymentId) -> Result<Option<Payment>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Payment))
}

async fn invoice(ctx: &Context<'_>, id: InvoiceId) -> Result<Option<Invoice>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Invoice))
}
