//! Orders and what happens to them.

use async_graphql::{
    Context, Description, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription,
};
use futures_util::{Stream, StreamExt};
use mallbots_domain::{
    baskets::Item,
    id::{EntityId, InvoiceId, Kind, OrderId},
    ordering::{Order as OrderAggregate, OrderCommand, OrderStatus as Status},
    text::Reason,
};
use mallbots_projections::{
    orders::{self, OrderFilter as Filter, OrderRow, OrderSort as Sort},
    page::{Key, PageRequest},
    timeline::{self, TimelineKind, TimelineRow},
};
use tokio::time::{Instant, timeout_at};

use super::{
    access::{Belongs, own_order, own_orders},
    baskets::line_total,
    connection::{Cut, Paging, connection, cut},
    customers::Customer,
    depot::ShoppingList,
    ids,
    live::{Live, PAGE, Positioned, feed, latest},
    loaders::{SagaOf, TimelineOf},
    mutate::{execute, payload},
    payments::{Invoice, Payment},
    sagas::{Saga, SagaStep},
    scalars::{Cursor, DateTime, Decimal, Money},
    search_text,
    services::{ContextExt, Inner},
};
use crate::error::{ClientError, ErrorCode, ForClient};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub enum OrderStatus {
    /// It waits to be accepted.
    Pending,
    /// It was accepted; a bot will shop for it.
    Approved,
    /// It was turned down.
    Rejected,
    /// A bot is shopping for it.
    InProgress,
    /// The goods are at the depot; the invoice is to be paid.
    Ready,
    /// It is paid and handed over.
    Completed,
    /// It was called off.
    Canceled,
}

/// An order made of a checked-out basket.
#[derive(Debug, Clone, Description)]
pub struct Order(pub OrderRow);

#[Object(use_type_description)]
impl Order {
    /// Names it: the basket's id with its own prefix.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// Who ordered.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        let customer = super::customers::customer(ctx, *self.0.customer_id).await?;
        Ok(customer.ok_or_else(|| ids::not_found("customer"))?)
    }

    /// Where it stands.
    async fn status(&self) -> OrderStatus {
        self.0.status.0.into()
    }

    /// What was ordered, in the order it was put into the basket.
    async fn items(&self) -> Vec<OrderItem> {
        self.0.items.iter().cloned().map(OrderItem).collect()
    }

    /// What all of it costs.
    async fn total(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.total)
    }

    /// What pays for it.
    async fn payment(&self, ctx: &Context<'_>) -> Result<Option<Payment>> {
        Ok(ctx.loaders().one(*self.0.payment_id).await.for_client()?.map(Payment))
    }

    /// Its invoice, once the goods are at the depot.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Option<Invoice>> {
        let id: InvoiceId = self.0.id.invoice();
        Ok(ctx.loaders().one(id).await.for_client()?.map(Invoice))
    }

    /// What a bot collects for it, once it was written.
    async fn shopping_list(&self, ctx: &Context<'_>) -> Result<Option<ShoppingList>> {
        let id = self.0.id.shopping_list();
        Ok(ctx.loaders().one(id).await.for_client()?.map(ShoppingList))
    }

    /// The long process it is in, or was in last: the one that accepts it or, once an accepted
    /// order was called off, the one that undoes it.
    async fn saga(&self, ctx: &Context<'_>) -> Result<Option<Saga>> {
        Ok(ctx.loaders().one(SagaOf(*self.0.id)).await.for_client()?.map(Saga))
    }

    /// When it was placed.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it changed last.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Why it was turned down: a stable name, such as `CUSTOMER_DISABLED`.
    async fn rejection_reason(&self) -> Option<&str> {
        self.0.rejection_reason.as_deref()
    }

    /// Why it was called off.
    async fn cancellation_reason(&self) -> Option<&str> {
        self.0.cancellation_reason.as_deref()
    }

    /// What happened to it, from the beginning. Its cursors resume `orderProgress` too.
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<OrderProgressConnection> {
        let key = &ctx.services().cursors;
        let name = progress(*self.0.id);
        let asked = Paging { first, after, last, before }.feed(key, &name)?;
        let place =
            |value: Option<i64>| value.map(|value| Key { value, id: self.0.id.to_string() });
        let request = PageRequest {
            take: asked.take,
            after: place(asked.after),
            before: place(asked.before),
        };
        let page = ctx.loaders().one(TimelineOf { of: *self.0.id, request }).await.for_client()?;
        let page = page.map(|page| (*page).clone()).unwrap_or_default();
        let items = page.rows.into_iter().map(|(_, row)| {
            let cursor = key.sign(&name, &row.position);
            (cursor.clone(), OrderProgress { cursor, row })
        });
        Ok(Cut::new(items.collect(), page.has_next, page.has_previous).into())
    }
}

/// What the feed of an order's progress is called in cursors.
pub(super) fn progress(id: OrderId) -> String {
    format!("progress/{id}")
}

/// A line of an order, with names and price as they were at checkout.
#[derive(Debug, Clone, Description)]
pub struct OrderItem(Item);

#[Object(use_type_description)]
impl OrderItem {
    /// What.
    async fn product_id(&self) -> ID {
        ID(self.0.product_id.to_string())
    }

    /// What the product was called.
    async fn product_name(&self) -> &str {
        self.0.product_name.as_str()
    }

    /// Whose.
    async fn store_id(&self) -> ID {
        ID(self.0.store_id.to_string())
    }

    /// What the store was called.
    async fn store_name(&self) -> &str {
        self.0.store_name.as_str()
    }

    /// What one piece costs.
    async fn price(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.price.minor())
    }

    /// How many.
    async fn quantity(&self) -> u32 {
        self.0.quantity.get()
    }

    /// What the line costs.
    async fn line_total(&self, ctx: &Context<'_>) -> Money {
        line_total(ctx, &self.0)
    }
}

/// What an item of an order's progress is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "TimelineKind")]
pub enum OrderProgressKind {
    /// The order itself.
    Order,
    /// A saga's step.
    Saga,
    /// What bots do for it.
    Shopping,
    /// Its payment or invoice.
    Payment,
    /// A message to the customer.
    Notification,
}

/// Something that happened to an order, as it was at that moment.
#[derive(Debug, Clone, Description)]
pub struct OrderProgress {
    cursor: Cursor,
    row: TimelineRow,
}

#[Object(use_type_description)]
impl OrderProgress {
    /// Its place: send it as `after` to go on behind it.
    async fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// What it is about.
    async fn kind(&self) -> OrderProgressKind {
        self.row.kind.0.into()
    }

    /// What happened, in a short sentence.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// Where the order stood then.
    async fn status(&self) -> OrderStatus {
        self.row.order_status.0.into()
    }

    /// The saga's step it is about, as it stood then.
    async fn saga_step(&self) -> Option<SagaStep> {
        self.row.saga_step.as_ref().map(|step| SagaStep((**step).clone()))
    }

    /// The order as it is now.
    async fn order(&self, ctx: &Context<'_>) -> Result<Order> {
        let order = order(ctx, *self.row.order_id).await?;
        Ok(order.ok_or_else(|| ids::not_found("order"))?)
    }
}

impl Positioned for TimelineRow {
    fn position(&self) -> i64 {
        self.position
    }
}

connection!(OrderConnection, OrderEdge, Order, "orders");
connection!(OrderProgressConnection, OrderProgressEdge, OrderProgress, "what happened to an order");

/// What lists of orders, newest first, are called in cursors.
pub(super) const ORDERS: &str = "orders/CREATED_DESC";

/// Which orders: those that fit all that is given.
#[derive(Debug, Default, InputObject)]
pub struct OrderFilter {
    /// Those of one customer.
    customer_id: Option<ID>,
    /// Those with something from one of these stores, at most 100.
    store_ids: Option<Vec<ID>>,
    /// Those with one of these products, at most 100.
    product_ids: Option<Vec<ID>>,
    /// Those in one of these states.
    statuses: Option<Vec<OrderStatus>>,
    /// Those placed at this moment or later.
    created_after: Option<DateTime>,
    /// Those placed before this moment.
    created_before: Option<DateTime>,
    /// Those that cost at least this.
    min_total: Option<Decimal>,
    /// Those that cost at most this.
    max_total: Option<Decimal>,
    /// Those with this in the name of the customer, a product or a store, at most 200 characters.
    text: Option<String>,
}

impl OrderFilter {
    fn read(self) -> Result<Filter, ClientError> {
        Ok(Filter {
            customer_id: self
                .customer_id
                .map(|id| ids::of(&id, "filter.customerId"))
                .transpose()?,
            store_ids: self.store_ids.map(|ids| several(&ids, "filter.storeIds")).transpose()?,
            product_ids: self
                .product_ids
                .map(|ids| several(&ids, "filter.productIds"))
                .transpose()?,
            statuses: self.statuses.map(|statuses| statuses.into_iter().map(Into::into).collect()),
            created_after: self.created_after.map(|moment| moment.0),
            created_before: self.created_before.map(|moment| moment.0),
            min_total: self.min_total.map(|total| total.0),
            max_total: self.max_total.map(|total| total.0),
            text: search_text(self.text)?,
        })
    }
}

/// A list of ids of one kind.
fn several<I>(given: &[ID], field: &str) -> Result<Vec<I>, ClientError>
where
    I: EntityId + std::str::FromStr<Err = mallbots_domain::id::IdError>,
{
    if given.len() > 100 {
        let message = "at most 100 ids can be asked for at once";
        return Err(ClientError::new(ErrorCode::BadUserInput, message).on_field(field));
    }
    given.iter().map(|id| ids::of(id, field)).collect()
}

/// How orders are sorted; those of equal time or total by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[graphql(remote = "Sort")]
pub enum OrderSort {
    /// Newest first.
    #[default]
    CreatedDesc,
    /// Oldest first.
    CreatedAsc,
    /// Dearest first.
    TotalDesc,
    /// Cheapest first.
    TotalAsc,
}

/// How many orders are in a state.
#[derive(Debug, SimpleObject)]
pub struct OrderStatusCount {
    /// The state.
    status: OrderStatus,
    /// How many.
    count: i32,
}

/// What may be asked about orders.
#[derive(Debug, Default)]
pub struct OrderQueries;

#[Object]
impl OrderQueries {
    /// An order, as it is or as it was.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
        #[graphql(desc = "As it was at this moment, replayed from its history.")] as_of: Option<
            DateTime,
        >,
    ) -> Result<Option<Order>> {
        let id: OrderId = ids::of(&id, "id")?;
        let found = match as_of {
            Some(moment) => order_as_of(ctx, id, moment).await?,
            None => order(ctx, id).await?,
        };
        Ok(Some(found.ok_or_else(|| ids::not_found("order"))?))
    }

    /// Orders that fit.
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only orders that fit.")] filter: Option<OrderFilter>,
        #[graphql(desc = "How they are sorted; newest first when not given.")] sort: Option<
            OrderSort,
        >,
    ) -> Result<OrderConnection> {
        let sort = sort.unwrap_or_default();
        let list = match sort {
            OrderSort::CreatedDesc => ORDERS,
            OrderSort::CreatedAsc => "orders/CREATED_ASC",
            OrderSort::TotalDesc => "orders/TOTAL_DESC",
            OrderSort::TotalAsc => "orders/TOTAL_ASC",
        };
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, list)?;
        let filter = own_orders(ctx, filter.unwrap_or_default().read()?)?;
        let reads = &ctx.services().reads;
        let page = orders::list(reads, &filter, sort.into(), &request).await.for_client()?;
        Ok(cut(page, key, list, Order).into())
    }

    /// How many of the orders that fit are in each state. Every state is listed.
    async fn order_status_counts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only orders that fit.")] filter: Option<OrderFilter>,
    ) -> Result<Vec<OrderStatusCount>> {
        let filter = own_orders(ctx, filter.unwrap_or_default().read()?)?;
        let counts = orders::status_counts(&ctx.services().reads, &filter).await.for_client()?;
        let count = |status: Status| {
            let found = counts.iter().find(|(counted, _)| *counted == status);
            i32::try_from(found.map_or(0, |(_, count)| *count)).unwrap_or(i32::MAX)
        };
        let all = <OrderStatus as async_graphql::resolver_utils::EnumType>::items();
        Ok(all
            .iter()
            .map(|item| OrderStatusCount { status: item.value, count: count(item.value.into()) })
            .collect())
    }
}

/// An order to be called off.
#[derive(Debug, InputObject)]
pub struct CancelOrderInput {
    /// Which order.
    id: ID,
    /// Why, 1 to 500 characters.
    #[graphql(default_with = "\"the customer changed their mind\".to_owned()")]
    reason: String,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of calling an order off.
    CancelOrderPayload {
        /// The order; null if it is not in the read model yet.
        order: Order
    }
}

/// What may be done to orders.
#[derive(Debug, Default)]
pub struct OrderMutations;

#[Object]
impl OrderMutations {
    /// Calls an order off whose goods are not at the depot yet. The list is torn up, its bot
    /// freed and the money given back: watch it with `orderProgress`.
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, and why.")] input: CancelOrderInput,
    ) -> Result<CancelOrderPayload> {
        let id: OrderId = ids::of(&input.id, "id")?;
        own_order(ctx, id).await?;
        let reason = Reason::new(&input.reason).for_field("reason")?;
        let command = OrderCommand::Cancel { reason, by: ctx.caller().subject().to_owned() };
        let done = execute::<OrderAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(CancelOrderPayload::new(done, order(ctx, id).await?))
    }
}

pub(super) async fn order(ctx: &Context<'_>, id: OrderId) -> Result<Option<Order>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Order))
}

/// Waits, as long as a mutation waits for what it made, until the order of a
/// basket that was just bought is there to be asked for.
pub(super) async fn placed(ctx: &Context<'_>, id: OrderId) -> Result<(), ClientError> {
    let Inner { reads, settings, .. } = &**ctx.services();
    let deadline = Instant::now() + settings.read_back;
    // Listen first, then look.
    let mut changes = reads.changes();
    let _hurry = reads.hurry();
    while order(ctx, id).await?.is_none() {
        // Too late, or the process is going down: it will be there in a moment.
        let Ok(Some(_)) = timeout_at(deadline, changes.next()).await else { break };
    }
    Ok(())
}

/// Folds an order's row from its history, up to and with a moment.
async fn order_as_of(
    ctx: &Context<'_>,
    id: OrderId,
    moment: DateTime,
) -> Result<Option<Order>, ClientError> {
    let ledger = &ctx.services().ledger.for_questions();
    let history = ledger.read_stream_before(id.any(), moment.0).await.for_client()?;
    let row = orders::as_of(&history, ledger.upcasters()).for_client()?;
    let Some(row) = row else { return Ok(None) };
    let belongs = Belongs::ToCustomer(*row.customer_id);
    Ok(ctx.loaders().sees(belongs).await.for_client()?.then_some(Order(row)))
}

/// How many orders a subscriber is told of at first.
const SNAPSHOT: u32 = 100;

/// What may be watched of orders.
#[derive(Debug, Default)]
pub struct OrderSubscriptions;

#[Subscription]
impl OrderSubscriptions {
    /// An order as it is now, and again whenever it changes.
    async fn order_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Order>> + use<>> {
        let id: OrderId = ids::of(&id, "id")?;
        known(ctx, id).await?;
        let items = latest(
            Live::new(ctx, format!("orderChanged/{id}")),
            move |change| change.id == id.into(),
            move |row: &OrderRow| *row.id == id,
            move |reads| async move { Ok(orders::by_id(&reads, id).await?.into_iter().collect()) },
        );
        Ok(items.map(|item| Ok(Order(item?))))
    }

    /// Orders that fit: the newest hundred as they are now, then each one whenever it is placed
    /// or changes.
    async fn orders_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only orders that fit.")] filter: Option<OrderFilter>,
    ) -> Result<impl Stream<Item = Result<Order>> + use<>> {
        let filter = own_orders(ctx, filter.unwrap_or_default().read()?)?;
        let fits = filter.clone();
        let items = latest(
            Live::new(ctx, "ordersChanged"),
            |change| change.kind() == Kind::Order,
            move |row: &OrderRow| fits.fits(row),
            move |reads| async move {
                let first = PageRequest::first(SNAPSHOT);
                let page = orders::list(&reads, &filter, Sort::CreatedDesc, &first).await?;
                Ok(page.rows.into_iter().map(|(_, row)| row).collect())
            },
        );
        Ok(items.map(|item| Ok(Order(item?))))
    }

    /// Everything that happens to an order: from the beginning, or from behind a cursor, then each
    /// new thing. Nothing is missed and nothing comes twice, across reconnects too.
    async fn order_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] order_id: ID,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<OrderProgress>> + use<>> {
        let id: OrderId = ids::of(&order_id, "orderId")?;
        known(ctx, id).await?;
        let items = timeline_feed(ctx, id, None, after.as_ref())?;
        Ok(items.map(|item| {
            let (cursor, row) = item?;
            Ok(OrderProgress { cursor, row })
        }))
    }
}

/// That there is such an order, or that its basket was just bought and there
/// will be in a moment.
pub(super) async fn known(ctx: &Context<'_>, id: OrderId) -> Result<(), ClientError> {
    if order(ctx, id).await?.is_some() {
        return Ok(());
    }
    let basket = ctx.loaders().one(id.basket()).await.for_client()?;
    match basket {
        Some(basket) if basket.status.0 == mallbots_domain::baskets::BasketStatus::CheckedOut => {
            Ok(())
        }
        Some(_) | None => Err(ids::not_found("order")),
    }
}

/// What happens to an order, of one kind or all, with cursors, in the items
/// and beside them.
pub(super) fn timeline_feed(
    ctx: &Context<'_>,
    id: OrderId,
    kind: Option<TimelineKind>,
    after: Option<&Cursor>,
) -> Result<impl Stream<Item = Result<(Cursor, TimelineRow), ClientError>> + use<>, ClientError> {
    let live = Live::new(ctx, progress(id));
    let after = live.after(after)?;
    let (reads, services) = (live.reads().clone(), ctx.services().clone());
    let since = move |after| {
        let reads = reads.clone();
        async move { timeline::since(&reads, id, kind, after, PAGE).await }
    };
    let read = since.clone();
    let newest = move |after, position| {
        let (services, read) = (services.clone(), read.clone());
        async move {
            let key = ((id, kind), after, position);
            services.fresh.timelines.get(&key, move || read(after)).await
        }
    };
    Ok(feed(live, after, move |change| change.concerns(id.into()), since, newest))
}
