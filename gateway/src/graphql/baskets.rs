//! Baskets.

use async_graphql::{
    Context, Description, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription,
};
use futures_util::{FutureExt, Stream, StreamExt};
use mallbots_domain::{
    baskets::{BasketStatus as Status, Item},
    id::{BasketId, PaymentId, ProductId},
    quantity::{Quantity, QuantityError},
};
use mallbots_messaging::contexts::baskets as work;
use mallbots_projections::baskets::{self, BasketRow};

use super::{
    access::{own_basket, own_customer, own_payment},
    customers::Customer,
    ids,
    live::{Live, latest},
    mutate::{Done, made, mutate, payload},
    orders::{Order, placed},
    scalars::{Money, Position},
    services::ContextExt,
    stores::Product,
};
use crate::error::{ClientError, ForClient};

/// Where a basket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub enum BasketStatus {
    /// It is being filled.
    Open,
    /// It was bought.
    CheckedOut,
    /// It was put back.
    Canceled,
    /// Nobody touched it for so long that it was cleared away.
    Abandoned,
}

/// A customer's basket.
#[derive(Debug, Clone, Description)]
pub struct Basket(pub BasketRow);

#[Object(use_type_description)]
impl Basket {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// Whose it is.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        let customer = super::customers::customer(ctx, *self.0.customer_id).await?;
        Ok(customer.ok_or_else(|| ids::not_found("customer"))?)
    }

    /// Where it stands.
    async fn status(&self) -> BasketStatus {
        self.0.status.0.into()
    }

    /// What is in it, in the order it was put in.
    async fn items(&self) -> Vec<BasketItem> {
        self.0.items.iter().cloned().map(BasketItem).collect()
    }

    /// What all of it costs.
    async fn total(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.total)
    }

    /// The order it became, once it was bought.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        if self.0.status.0 != Status::CheckedOut {
            return Ok(None);
        }
        Ok(ctx.loaders().one(self.0.id.order()).await.for_client()?.map(Order))
    }
}

/// A line of a basket, with names and price as they were when it was put in.
#[derive(Debug, Clone, Description)]
pub struct BasketItem(Item);

#[Object(use_type_description)]
impl BasketItem {
    /// The product as it is now.
    async fn product(&self, ctx: &Context<'_>) -> Result<Product> {
        let product = ctx.loaders().one(self.0.product_id).await.for_client()?;
        Ok(product.map(Product).ok_or_else(|| ids::not_found("product"))?)
    }

    /// What the product was called.
    async fn product_name(&self) -> &str {
        self.0.product_name.as_str()
    }

    /// What the store was called.
    async fn store_name(&self) -> &str {
        self.0.store_name.as_str()
    }

    /// What one piece cost.
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

/// What a line costs. Its basket's total was checked, so each line's fits.
pub(super) fn line_total(ctx: &Context<'_>, item: &Item) -> Money {
    ctx.money(item.total().map(mallbots_domain::money::Money::minor).unwrap_or_default())
}

/// What may be asked about baskets.
#[derive(Debug, Default)]
pub struct BasketQueries;

#[Object]
impl BasketQueries {
    /// A basket.
    async fn basket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The basket's id.")] id: ID,
    ) -> Result<Option<Basket>> {
        let basket = basket(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(basket.ok_or_else(|| ids::not_found("basket"))?))
    }
}

/// A basket to be started.
#[derive(Debug, InputObject)]
pub struct StartBasketInput {
    /// Whose it is.
    customer_id: ID,
    /// The new basket's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Something to put into a basket.
#[derive(Debug, InputObject)]
pub struct AddBasketItemInput {
    /// Which basket.
    id: ID,
    /// What.
    product_id: ID,
    /// How many, 1 to 999.
    quantity: i32,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Something to take out of a basket.
#[derive(Debug, InputObject)]
pub struct RemoveBasketItemInput {
    /// Which basket.
    id: ID,
    /// What.
    product_id: ID,
    /// How many, 1 to 999; more than there is takes the whole line out.
    quantity: i32,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A basket to be put back.
#[derive(Debug, InputObject)]
pub struct CancelBasketInput {
    /// Which basket.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A basket to be bought.
#[derive(Debug, InputObject)]
pub struct CheckoutBasketInput {
    /// Which basket.
    id: ID,
    /// What pays for it: an authorised payment of the same customer.
    payment_id: ID,
    /// Whether prices that changed since the basket was filled are accepted. If not, the answer is
    /// `PRICE_CHANGED` and names old and new.
    #[graphql(default)]
    accept_price_changes: bool,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of starting a basket.
    StartBasketPayload {
        /// The basket; null if it is not in the read model yet.
        basket: Basket
    }
}
payload! {
    /// What came of putting something in.
    AddBasketItemPayload {
        /// The basket; null if it is not in the read model yet.
        basket: Basket
    }
}
payload! {
    /// What came of taking something out.
    RemoveBasketItemPayload {
        /// The basket; null if it is not in the read model yet.
        basket: Basket
    }
}
payload! {
    /// What came of putting a basket back.
    CancelBasketPayload {
        /// The basket; null if it is not in the read model yet.
        basket: Basket
    }
}

/// What came of buying a basket.
#[derive(Debug, SimpleObject)]
pub struct CheckoutBasketPayload {
    /// The basket; null if it is not in the read model yet.
    basket: Option<Basket>,
    /// The order it became. Watch it with `orderProgress`.
    order_id: ID,
    /// Where the change stands in the ledger.
    position: Position,
    /// The mark the client gave, returned.
    client_mutation_id: Option<String>,
}

/// What may be done to baskets.
#[derive(Debug, Default)]
pub struct BasketMutations;

#[Object]
impl BasketMutations {
    /// Starts a basket for a customer who may shop.
    async fn start_basket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose basket.")] input: StartBasketInput,
    ) -> Result<StartBasketPayload> {
        let id: BasketId = ids::new(input.id.as_ref())?;
        let customer_id = ids::of(&input.customer_id, "customerId")?;
        own_customer(ctx, customer_id)?;
        let wind = ctx.services().settings.abandon_after;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok(made(id, work::start(unit, id, customer_id, wind).await?)) }.boxed()
        })
        .await?;
        let basket = basket(ctx, done.value).await?;
        Ok(StartBasketPayload::new(done, basket))
    }

    /// Puts pieces of a product into an open basket, at the present price.
    async fn add_basket_item(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which basket, what, and how many.")] input: AddBasketItemInput,
    ) -> Result<AddBasketItemPayload> {
        let id: BasketId = ids::of(&input.id, "id")?;
        own_basket(ctx, id).await?;
        let product_id: ProductId = ids::of(&input.product_id, "productId")?;
        let quantity = quantity(input.quantity)?;
        let wind = ctx.services().settings.abandon_after;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move {
                work::add_item(unit, id, product_id, quantity, wind).await?;
                Ok(((), None))
            }
            .boxed()
        })
        .await?;
        Ok(AddBasketItemPayload::new(done, basket(ctx, id).await?))
    }

    /// Takes pieces of a product out of an open basket.
    async fn remove_basket_item(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which basket, what, and how many.")] input: RemoveBasketItemInput,
    ) -> Result<RemoveBasketItemPayload> {
        let id: BasketId = ids::of(&input.id, "id")?;
        own_basket(ctx, id).await?;
        let product_id: ProductId = ids::of(&input.product_id, "productId")?;
        let quantity = quantity(input.quantity)?;
        let wind = ctx.services().settings.abandon_after;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move {
                work::remove_item(unit, id, product_id, quantity, wind).await?;
                Ok(((), None))
            }
            .boxed()
        })
        .await?;
        Ok(RemoveBasketItemPayload::new(done, basket(ctx, id).await?))
    }

    /// Puts an open basket back.
    async fn cancel_basket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which basket.")] input: CancelBasketInput,
    ) -> Result<CancelBasketPayload> {
        let id: BasketId = ids::of(&input.id, "id")?;
        own_basket(ctx, id).await?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((work::cancel(unit, id).await?, None)) }.boxed()
        })
        .await?;
        Ok(CancelBasketPayload::new(done, basket(ctx, id).await?))
    }

    /// Buys what is in an open basket. An order is placed, and accepted or turned down within
    /// moments: watch it with `orderProgress`.
    async fn checkout_basket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which basket, and what pays for it.")] input: CheckoutBasketInput,
    ) -> Result<CheckoutBasketPayload> {
        let id: BasketId = ids::of(&input.id, "id")?;
        own_basket(ctx, id).await?;
        let payment_id: PaymentId = ids::of(&input.payment_id, "paymentId")?;
        own_payment(ctx, payment_id).await?;
        let accept = input.accept_price_changes;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((work::checkout(unit, id, payment_id, accept).await?, None)) }.boxed()
        })
        .await?;
        placed(ctx, id.order()).await?;
        let Done { position, client_mutation_id, value: () } = done;
        let basket = basket(ctx, id).await?;
        let order_id = ID(id.order().to_string());
        Ok(CheckoutBasketPayload { basket, order_id, position, client_mutation_id })
    }
}

pub(super) fn quantity(pieces: i32) -> Result<Quantity, ClientError> {
    u32::try_from(pieces).map_err(|_| QuantityError).and_then(Quantity::new).for_field("quantity")
}

async fn basket(ctx: &Context<'_>, id: BasketId) -> Result<Option<Basket>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Basket))
}

/// What may be watched of baskets.
#[derive(Debug, Default)]
pub struct BasketSubscriptions;

#[Subscription]
impl BasketSubscriptions {
    /// A basket as it is now, and again whenever it changes.
    async fn basket_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The basket's id.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Basket>> + use<>> {
        let id: BasketId = ids::of(&id, "id")?;
        basket(ctx, id).await?.ok_or_else(|| ids::not_found("basket"))?;
        let items = latest(
            Live::new(ctx, format!("basketChanged/{id}")),
            move |change| change.id == id.into(),
            move |row: &BasketRow| *row.id == id,
            move |reads| async move { Ok(baskets::by_id(&reads, id).await?.into_iter().collect()) },
        );
        Ok(items.map(|item| Ok(Basket(item?))))
    }
}
