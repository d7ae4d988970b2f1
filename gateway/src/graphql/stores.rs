//! Stores and products.

use async_graphql::{Context, Description, ID, InputObject, Object, Result, Subscription};
use futures_util::{FutureExt, Stream, StreamExt};
use mallbots_domain::{
    id::{Kind, ProductId, StoreId},
    stores::{
        product::{Product as ProductAggregate, ProductCommand},
        store::{Store as StoreAggregate, StoreCommand},
    },
    text::{Description as DescriptionText, Name, Sku},
};
use mallbots_messaging::contexts::stores::{NewProduct, add_product, remove_product};
use mallbots_projections::{
    page::PageRequest,
    products::{self, ProductFilter, ProductRow},
    stores::{self, StoreFilter, StoreRow},
};

use super::{
    access::{own_product, own_store},
    connection::{Cut, Paging, connection, cut},
    ids,
    live::{Live, latest},
    loaders::ProductsOf,
    mutate::{create, execute, made, mutate, payload},
    scalars::{Cursor, Decimal, Money},
    search_text,
    services::ContextExt,
};
use crate::error::{ClientError, ForClient};

/// A store of the mall.
#[derive(Debug, Clone, Description)]
pub struct Store(pub StoreRow);

#[Object(use_type_description)]
impl Store {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where in the mall it is.
    async fn location(&self) -> &str {
        &self.0.location
    }

    /// Whether bots may shop in it: only then can its products be bought.
    async fn participating(&self) -> bool {
        self.0.participating
    }

    /// What it sells, in the order it was put on sale. Products that were removed are not in it.
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only products with this in their name or SKU.")] text: Option<String>,
    ) -> Result<ProductConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, PRODUCTS)?;
        let part = ProductsOf { of: *self.0.id, text: search_text(text)?, request };
        let page = ctx.loaders().one(part).await.for_client()?;
        let page = page.map(|page| (*page).clone()).unwrap_or_default();
        Ok(cut(page, key, PRODUCTS, Product).into())
    }
}

/// A product of a store.
#[derive(Debug, Clone, Description)]
pub struct Product(pub ProductRow);

#[Object(use_type_description)]
impl Product {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The store that sells it.
    async fn store(&self, ctx: &Context<'_>) -> Result<Store> {
        let store = ctx.loaders().one(*self.0.store_id).await.for_client()?;
        Ok(store.map(Store).ok_or_else(|| ids::not_found("store"))?)
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is like.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The store's own number for it.
    async fn sku(&self) -> &str {
        &self.0.sku
    }

    /// What one piece costs now.
    async fn price(&self, ctx: &Context<'_>) -> Money {
        ctx.money(self.0.price)
    }

    /// Whether it went off sale.
    async fn removed(&self) -> bool {
        self.0.removed
    }
}

connection!(StoreConnection, StoreEdge, Store, "stores");
connection!(ProductConnection, ProductEdge, Product, "products");

const STORES: &str = "stores";
const PRODUCTS: &str = "products";

/// What may be asked about stores.
#[derive(Debug, Default)]
pub struct StoreQueries;

#[Object]
impl StoreQueries {
    /// A store.
    async fn store(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The store's id.")] id: ID,
    ) -> Result<Option<Store>> {
        let store = ctx.loaders().one(ids::of::<StoreId>(&id, "id")?).await.for_client()?;
        Ok(Some(store.map(Store).ok_or_else(|| ids::not_found("store"))?))
    }

    /// The stores of the mall.
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn stores(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only stores that participate, or only those that do not.")]
        participating: Option<bool>,
        #[graphql(desc = "Only stores with this in their name or location.")] text: Option<String>,
    ) -> Result<StoreConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, STORES)?;
        let filter = StoreFilter { participating, text: search_text(text)? };
        let page = stores::list(&ctx.services().reads, &filter, &request).await.for_client()?;
        Ok(cut(page, key, STORES, Store).into())
    }

    /// A product, also one that went off sale.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product's id.")] id: ID,
    ) -> Result<Option<Product>> {
        let product = ctx.loaders().one(ids::of::<ProductId>(&id, "id")?).await.for_client()?;
        Ok(Some(product.map(Product).ok_or_else(|| ids::not_found("product"))?))
    }

    /// What is on sale in the mall.
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only what this store sells.")] store_id: Option<ID>,
        #[graphql(desc = "Only products with this in their name or SKU.")] text: Option<String>,
    ) -> Result<ProductConnection> {
        let store_id = store_id.map(|id| ids::of(&id, "storeId")).transpose()?;
        let filter = ProductFilter { store_id, text: search_text(text)? };
        Ok(product_page(ctx, &filter, &Paging { first, after, last, before }).await?)
    }
}

async fn product_page(
    ctx: &Context<'_>,
    filter: &ProductFilter,
    paging: &Paging,
) -> Result<ProductConnection, ClientError> {
    let key = &ctx.services().cursors;
    let request = paging.request(key, PRODUCTS)?;
    let page = products::list(&ctx.services().reads, filter, &request).await.for_client()?;
    let cut: Cut<Product> = cut(page, key, PRODUCTS, Product);
    Ok(cut.into())
}

/// A store to be opened.
#[derive(Debug, InputObject)]
pub struct CreateStoreInput {
    /// What it is to be called, 1 to 200 characters.
    name: String,
    /// Where in the mall it is, 1 to 200 characters.
    location: String,
    /// The new store's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A new name for a store.
#[derive(Debug, InputObject)]
pub struct RebrandStoreInput {
    /// Which store.
    id: ID,
    /// What it is to be called, 1 to 200 characters.
    name: String,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A store that is to participate.
#[derive(Debug, InputObject)]
pub struct EnableStoreParticipationInput {
    /// Which store.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A store that is to participate no longer.
#[derive(Debug, InputObject)]
pub struct DisableStoreParticipationInput {
    /// Which store.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A product to be put on sale.
#[derive(Debug, InputObject)]
pub struct AddProductInput {
    /// The store that sells it.
    store_id: ID,
    /// What it is called, 1 to 200 characters.
    name: String,
    /// What it is like, at most 4000 characters.
    #[graphql(default)]
    description: String,
    /// The store's own number for it, 1 to 64 characters; no other product on sale there may have it.
    sku: String,
    /// What one piece costs, zero or more.
    price: Decimal,
    /// The new product's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// What a product is to be called and said to be.
#[derive(Debug, InputObject)]
pub struct RebrandProductInput {
    /// Which product.
    id: ID,
    /// What it is to be called, 1 to 200 characters.
    name: String,
    /// What it is like, at most 4000 characters.
    #[graphql(default)]
    description: String,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A higher price.
#[derive(Debug, InputObject)]
pub struct IncreaseProductPriceInput {
    /// Which product.
    id: ID,
    /// What one piece is to cost: more than now.
    price: Decimal,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A lower price.
#[derive(Debug, InputObject)]
pub struct DecreaseProductPriceInput {
    /// Which product.
    id: ID,
    /// What one piece is to cost: less than now.
    price: Decimal,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A product to be taken off sale.
#[derive(Debug, InputObject)]
pub struct RemoveProductInput {
    /// Which product.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

payload! {
    /// What came of opening a store.
    CreateStorePayload {
        /// The store; null if it is not in the read model yet.
        store: Store
    }
}
payload! {
    /// What came of renaming a store.
    RebrandStorePayload {
        /// The store; null if it is not in the read model yet.
        store: Store
    }
}
payload! {
    /// What came of letting a store participate.
    EnableStoreParticipationPayload {
        /// The store; null if it is not in the read model yet.
        store: Store
    }
}
payload! {
    /// What came of stopping a store from participating.
    DisableStoreParticipationPayload {
        /// The store; null if it is not in the read model yet.
        store: Store
    }
}
payload! {
    /// What came of putting a product on sale.
    AddProductPayload {
        /// The product; null if it is not in the read model yet.
        product: Product
    }
}
payload! {
    /// What came of describing a product anew.
    RebrandProductPayload {
        /// The product; null if it is not in the read model yet.
        product: Product
    }
}
payload! {
    /// What came of raising a price.
    IncreaseProductPricePayload {
        /// The product; null if it is not in the read model yet.
        product: Product
    }
}
payload! {
    /// What came of lowering a price.
    DecreaseProductPricePayload {
        /// The product; null if it is not in the read model yet.
        product: Product
    }
}
payload! {
    /// What came of taking a product off sale.
    RemoveProductPayload {
        /// The product; null if it is not in the read model yet.
        product: Product
    }
}

/// What may be done to stores.
#[derive(Debug, Default)]
pub struct StoreMutations;

#[Object]
impl StoreMutations {
    /// Opens a store. It does not participate yet.
    async fn create_store(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The store.")] input: CreateStoreInput,
    ) -> Result<CreateStorePayload> {
        let id: StoreId = ids::new(input.id.as_ref())?;
        own_store(ctx, id)?;
        let name = Name::new(&input.name).for_field("name")?;
        let location = Name::new(&input.location).for_field("location")?;
        let command = StoreCommand::Create { name, location };
        let mark = input.client_mutation_id;
        let done = create::<StoreAggregate>(ctx, mark, id, command).await?;
        let store = store(ctx, done.value).await?;
        Ok(CreateStorePayload::new(done, store))
    }

    /// Gives a store another name.
    async fn rebrand_store(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which store, and the name.")] input: RebrandStoreInput,
    ) -> Result<RebrandStorePayload> {
        let id = ids::of(&input.id, "id")?;
        own_store(ctx, id)?;
        let command = StoreCommand::Rebrand { name: Name::new(&input.name).for_field("name")? };
        let done = execute::<StoreAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(RebrandStorePayload::new(done, store(ctx, id).await?))
    }

    /// Lets the bots shop in a store.
    async fn enable_store_participation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which store.")] input: EnableStoreParticipationInput,
    ) -> Result<EnableStoreParticipationPayload> {
        let id = ids::of(&input.id, "id")?;
        own_store(ctx, id)?;
        let command = StoreCommand::EnableParticipation;
        let done = execute::<StoreAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(EnableStoreParticipationPayload::new(done, store(ctx, id).await?))
    }

    /// Stops the bots from shopping in a store: its products cannot be bought any more.
    async fn disable_store_participation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which store.")] input: DisableStoreParticipationInput,
    ) -> Result<DisableStoreParticipationPayload> {
        let id = ids::of(&input.id, "id")?;
        own_store(ctx, id)?;
        let command = StoreCommand::DisableParticipation;
        let done = execute::<StoreAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(DisableStoreParticipationPayload::new(done, store(ctx, id).await?))
    }

    /// Puts a product on sale.
    async fn add_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product.")] input: AddProductInput,
    ) -> Result<AddProductPayload> {
        let id: ProductId = ids::new(input.id.as_ref())?;
        let store_id = ids::of(&input.store_id, "storeId")?;
        own_store(ctx, store_id)?;
        let new = NewProduct {
            store_id,
            name: Name::new(&input.name).for_field("name")?,
            description: DescriptionText::new(&input.description).for_field("description")?,
            sku: Sku::new(&input.sku).for_field("sku")?,
            price: input.price.money().for_field("price")?,
        };
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            let new = new.clone();
            async move { Ok(made(id, add_product(unit, id, new).await?)) }.boxed()
        })
        .await?;
        let product = product(ctx, done.value).await?;
        Ok(AddProductPayload::new(done, product))
    }

    /// Gives a product another name and description.
    async fn rebrand_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product, and how it is described.")] input: RebrandProductInput,
    ) -> Result<RebrandProductPayload> {
        let id = ids::of(&input.id, "id")?;
        own_product(ctx, id).await?;
        let name = Name::new(&input.name).for_field("name")?;
        let description = DescriptionText::new(&input.description).for_field("description")?;
        let command = ProductCommand::Rebrand { name, description };
        let done = execute::<ProductAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(RebrandProductPayload::new(done, product(ctx, id).await?))
    }

    /// Raises a product's price.
    async fn increase_product_price(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product, and the new price.")] input: IncreaseProductPriceInput,
    ) -> Result<IncreaseProductPricePayload> {
        let id = ids::of(&input.id, "id")?;
        own_product(ctx, id).await?;
        let price = input.price.money().for_field("price")?;
        let command = ProductCommand::IncreasePrice { price };
        let done = execute::<ProductAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(IncreaseProductPricePayload::new(done, product(ctx, id).await?))
    }

    /// Lowers a product's price.
    async fn decrease_product_price(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product, and the new price.")] input: DecreaseProductPriceInput,
    ) -> Result<DecreaseProductPricePayload> {
        let id = ids::of(&input.id, "id")?;
        own_product(ctx, id).await?;
        let price = input.price.money().for_field("price")?;
        let command = ProductCommand::DecreasePrice { price };
        let done = execute::<ProductAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(DecreaseProductPricePayload::new(done, product(ctx, id).await?))
    }

    /// Takes a product off sale, for good. Its SKU is free again.
    async fn remove_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product.")] input: RemoveProductInput,
    ) -> Result<RemoveProductPayload> {
        let id: ProductId = ids::of(&input.id, "id")?;
        own_product(ctx, id).await?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((remove_product(unit, id).await?, None)) }.boxed()
        })
        .await?;
        Ok(RemoveProductPayload::new(done, product(ctx, id).await?))
    }
}

async fn store(ctx: &Context<'_>, id: StoreId) -> Result<Option<Store>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Store))
}

async fn product(ctx: &Context<'_>, id: ProductId) -> Result<Option<Product>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Product))
}

/// How many products a subscriber is told of at first.
const SNAPSHOT: u32 = 100;

/// What may be watched of stores.
#[derive(Debug, Default)]
pub struct StoreSubscriptions;

#[Subscription]
impl StoreSubscriptions {
    /// The products of a store: the oldest hundred as they are now, then each one whenever
    /// it is added, changes or goes off sale.
    async fn products_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The store's id.")] store_id: ID,
    ) -> Result<impl Stream<Item = Result<Product>> + use<>> {
        let store_id: StoreId = ids::of(&store_id, "storeId")?;
        store(ctx, store_id).await?.ok_or_else(|| ids::not_found("store"))?;
        let products = latest(
            Live::new(ctx, format!("productsChanged/{store_id}")),
            move |change| change.kind() == Kind::Product && change.also.contains(&store_id.into()),
            move |row: &ProductRow| *row.store_id == store_id,
            move |reads| async move {
                let filter = ProductFilter { store_id: Some(store_id), text: None };
                let first = PageRequest::first(SNAPSHOT);
                let page = products::list(&reads, &filter, &first).await?;
                Ok(page.rows.into_iter().map(|(_, row)| row).collect())
            },
        );
        Ok(products.map(|item| Ok(Product(item?))))
    }
}
