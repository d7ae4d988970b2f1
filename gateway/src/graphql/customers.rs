//! Customers and what they were told.

use async_graphql::{Context, Description, ID, InputObject, Object, Result, Subscription};
use futures_util::{Stream, StreamExt};
use mallbots_domain::{
    customers::{Customer as CustomerAggregate, CustomerCommand},
    id::{CustomerId, Kind},
    text::{Name, SmsNumber},
};
use mallbots_projections::{
    changes::Change,
    customers::{self, CustomerFilter, CustomerRow},
    notifications::{self, NotificationRow, NotificationStatus},
};

use super::{
    access::own_customer,
    connection::{Paging, connection, cut},
    ids,
    live::{Live, PAGE, Positioned, feed},
    loaders::{NotificationsOf, OrdersOf},
    mutate::{create, execute, payload},
    orders::{ORDERS, Order, OrderConnection},
    scalars::{Cursor, DateTime},
    search_text,
    services::ContextExt,
};
use crate::error::{ClientError, ForClient};

/// A customer of the mall.
#[derive(Debug, Clone, Description)]
pub struct Customer(pub CustomerRow);

#[Object(use_type_description)]
impl Customer {
    /// Names them.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What they are called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where messages reach them, in E.164 form.
    async fn sms_number(&self) -> &str {
        &self.0.sms_number
    }

    /// Whether they may shop.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// Their orders, newest first.
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<OrderConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, ORDERS)?;
        let page = ctx.loaders().one(OrdersOf { of: *self.0.id, request }).await.for_client()?;
        let page = page.map(|page| (*page).clone()).unwrap_or_default();
        Ok(cut(page, key, ORDERS, Order).into())
    }

    /// What they were told, newest first.
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<NotificationConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, NOTIFICATIONS)?;
        let of = NotificationsOf { of: *self.0.id, request };
        let page = ctx.loaders().one(of).await.for_client()?;
        let page = page.map(|page| (*page).clone()).unwrap_or_default();
        Ok(cut(page, key, NOTIFICATIONS, Notification).into())
    }
}

/// A message to a customer.
#[derive(Debug, Clone, Description)]
pub struct Notification(pub NotificationRow);

#[Object(use_type_description)]
impl Notification {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// To whom.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        let customer = customer(ctx, *self.0.customer_id).await?;
        Ok(customer.ok_or_else(|| ids::not_found("customer"))?)
    }

    /// About which order.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(ctx.loaders().one(*self.0.order_id).await.for_client()?.map(Order))
    }

    /// What for, such as `ORDER_APPROVED`.
    async fn kind(&self) -> &str {
        self.0.kind.as_str()
    }

    /// What it says.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// When it went out.
    async fn sent_at(&self) -> Option<DateTime> {
        self.0.sent_at.map(DateTime)
    }

    /// How it ended: `REQUESTED`, `SENT` or `FAILED`.
    async fn status(&self) -> &str {
        match self.0.status.0 {
            NotificationStatus::Requested => "REQUESTED",
            NotificationStatus::Sent => "SENT",
            NotificationStatus::Failed => "FAILED",
        }
    }
}

impl Positioned for NotificationRow {
    fn position(&self) -> i64 {
        self.position
    }
}

connection!(CustomerConnection, CustomerEdge, Customer, "customers");
connection!(NotificationConnection, NotificationEdge, Notification, "messages to a customer");

const CUSTOMERS: &str = "customers";
const NOTIFICATIONS: &str = "notifications";

/// What may be asked about customers.
#[derive(Debug, Default)]
pub struct CustomerQueries;

#[Object]
impl CustomerQueries {
    /// A customer.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's id.")] id: ID,
    ) -> Result<Option<Customer>> {
        let customer = customer(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(customer.ok_or_else(|| ids::not_found("customer"))?))
    }

    /// The customers of the mall.
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only customers with this in their name.")] text: Option<String>,
    ) -> Result<CustomerConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, CUSTOMERS)?;
        let filter = CustomerFilter { text: search_text(text)? };
        let page = customers::list(&ctx.services().reads, &filter, &request).await.for_client()?;
        Ok(cut(page, key, CUSTOMERS, Customer).into())
    }
}

/// A new customer.
#[derive(Debug, InputObject)]
pub struct RegisterCustomerInput {
    /// What they are called, 1 to 200 characters.
    name: String,
    /// Where messages reach them, in E.164 form, such as `+15550100`.
    sms_number: String,
    /// The new customer's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Another number for a customer.
#[derive(Debug, InputObject)]
pub struct ChangeSmsNumberInput {
    /// Which customer.
    id: ID,
    /// Where messages are to reach them, in E.164 form.
    sms_number: String,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A customer who may shop again.
#[derive(Debug, InputObject)]
pub struct EnableCustomerInput {
    /// Which customer.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A customer who may shop no longer.
#[derive(Debug, InputObject)]
pub struct DisableCustomerInput {
    /// Which customer.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of registering a customer.
    RegisterCustomerPayload {
        /// The customer; null if they are not in the read model yet.
        customer: Customer
    }
}
payload! {
    /// What came of changing a number.
    ChangeSmsNumberPayload {
        /// The customer; null if they are not in the read model yet.
        customer: Customer
    }
}
payload! {
    /// What came of enabling a customer.
    EnableCustomerPayload {
        /// The customer; null if they are not in the read model yet.
        customer: Customer
    }
}
payload! {
    /// What came of disabling a customer.
    DisableCustomerPayload {
        /// The customer; null if they are not in the read model yet.
        customer: Customer
    }
}

/// What may be done to customers.
#[derive(Debug, Default)]
pub struct CustomerMutations;

#[Object]
impl CustomerMutations {
    /// Enters a new customer, who may shop at once.
    async fn register_customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer.")] input: RegisterCustomerInput,
    ) -> Result<RegisterCustomerPayload> {
        let id: CustomerId = ids::new(input.id.as_ref())?;
        own_customer(ctx, id)?;
        let name = Name::new(&input.name).for_field("name")?;
        let sms_number = SmsNumber::new(&input.sms_number).for_field("smsNumber")?;
        let command = CustomerCommand::Register { name, sms_number };
        let mark = input.client_mutation_id;
        let done = create::<CustomerAggregate>(ctx, mark, id, command).await?;
        let customer = customer(ctx, done.value).await?;
        Ok(RegisterCustomerPayload::new(done, customer))
    }

    /// Changes where messages reach a customer.
    async fn change_sms_number(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which customer, and the number.")] input: ChangeSmsNumberInput,
    ) -> Result<ChangeSmsNumberPayload> {
        let id = ids::of(&input.id, "id")?;
        own_customer(ctx, id)?;
        let sms_number = SmsNumber::new(&input.sms_number).for_field("smsNumber")?;
        let command = CustomerCommand::ChangeSmsNumber { sms_number };
        let done = execute::<CustomerAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(ChangeSmsNumberPayload::new(done, customer(ctx, id).await?))
    }

    /// Lets a customer shop again.
    async fn enable_customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which customer.")] input: EnableCustomerInput,
    ) -> Result<EnableCustomerPayload> {
        let id = ids::of(&input.id, "id")?;
        let command = CustomerCommand::Enable;
        let done = execute::<CustomerAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(EnableCustomerPayload::new(done, customer(ctx, id).await?))
    }

    /// Stops a customer from shopping: their baskets cannot be started and their orders are
    /// turned down.
    async fn disable_customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which customer.")] input: DisableCustomerInput,
    ) -> Result<DisableCustomerPayload> {
        let id = ids::of(&input.id, "id")?;
        let command = CustomerCommand::Disable;
        let done = execute::<CustomerAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(DisableCustomerPayload::new(done, customer(ctx, id).await?))
    }
}

pub(super) async fn customer(
    ctx: &Context<'_>,
    id: CustomerId,
) -> Result<Option<Customer>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Customer))
}

/// What may be watched of customers.
#[derive(Debug, Default)]
pub struct CustomerSubscriptions;

#[Subscription]
impl CustomerSubscriptions {
    /// Each message that goes out to a customer: all that went out, or all behind a cursor, then
    /// each new one. Each item's cursor is in `extensions.cursor`.
    async fn notification_sent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's id.")] customer_id: ID,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<Notification>> + use<>> {
        let id: CustomerId = ids::of(&customer_id, "customerId")?;
        customer(ctx, id).await?.ok_or_else(|| ids::not_found("customer"))?;
        let live = Live::new(ctx, format!("notifications/{id}"));
        let after = live.after(after.as_ref())?;
        let (reads, services) = (live.reads().clone(), ctx.services().clone());
        let since = move |after| {
            let reads = reads.clone();
            async move { notifications::sent_to(&reads, id, after, PAGE).await }
        };
        let read = since.clone();
        let newest = move |after, position| {
            let (services, read) = (services.clone(), read.clone());
            async move {
                let key = (id, after, position);
                services.fresh.notifications.get(&key, move || read(after)).await
            }
        };
        let watches = move |change: &Change| {
            change.kind() == Kind::Notification && change.concerns(id.into())
        };
        let items = feed(live, after, watches, since, newest);
        Ok(items.map(|item| Ok(Notification(item?.1))))
    }
}
