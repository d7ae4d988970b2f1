//! Shopping lists and bots.

use async_graphql::{Context, Description, Enum, ID, InputObject, Object, Result, Subscription};
use futures_util::{FutureExt, Stream, StreamExt};
use mallbots_domain::{
    depot::{
        bot::{Bot as BotAggregate, BotCommand, BotStatus as BotState},
        shopping_list::{
            ShoppingList as ListAggregate, ShoppingListCommand, ShoppingListStatus as ListState,
            Shortage, Stop as StopDetails, StopItem as StopItemDetails,
        },
    },
    id::{BotId, Kind, ProductId, ShoppingListId},
    text::{Name, Reason},
};
use mallbots_messaging::contexts::depot as work;
use mallbots_projections::{
    bots::{self, BotRow},
    page::PageRequest,
    shopping_lists::{self, ShoppingListRow},
};

use super::{
    baskets::quantity,
    connection::{Paging, connection, cut},
    ids,
    live::{Live, latest},
    mutate::{create, execute, mutate, payload},
    orders::Order,
    scalars::Cursor,
    services::ContextExt,
    stores::Store,
};
use crate::error::{ClientError, ForClient};

/// Where a shopping list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ListState")]
pub enum ShoppingListStatus {
    /// It is written, but no bot may take it yet.
    Pending,
    /// It waits for a bot.
    Available,
    /// A bot has it.
    Assigned,
    /// The bot is shopping.
    Active,
    /// The goods are at the depot.
    Completed,
    /// It was torn up.
    Canceled,
}

/// What a bot collects for an order.
#[derive(Debug, Clone, Description)]
pub struct ShoppingList(pub ShoppingListRow);

#[Object(use_type_description)]
impl ShoppingList {
    /// Names it. An order's list bears the order's id with its own prefix.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The order it is for.
    async fn order(&self, ctx: &Context<'_>) -> Result<Order> {
        let order = ctx.loaders().one(*self.0.order_id).await.for_client()?;
        Ok(order.map(Order).ok_or_else(|| ids::not_found("order"))?)
    }

    /// Where it stands.
    async fn status(&self) -> ShoppingListStatus {
        self.0.status.0.into()
    }

    /// The bot that has it, or had it last.
    async fn bot(&self, ctx: &Context<'_>) -> Result<Option<Bot>> {
        match &self.0.bot_id {
            Some(id) => Ok(bot(ctx, **id).await?),
            None => Ok(None),
        }
    }

    /// Where to go and what to take there.
    async fn stops(&self) -> Vec<Stop> {
        self.0.stops.iter().cloned().map(Stop).collect()
    }
}

/// A store to go to.
#[derive(Debug, Clone, Description)]
pub struct Stop(StopDetails);

#[Object(use_type_description)]
impl Stop {
    /// The store as it is now.
    async fn store(&self, ctx: &Context<'_>) -> Result<Store> {
        let store = ctx.loaders().one(self.0.store_id).await.for_client()?;
        Ok(store.map(Store).ok_or_else(|| ids::not_found("store"))?)
    }

    /// What it was called when the goods were chosen.
    async fn store_name(&self) -> &str {
        self.0.store_name.as_str()
    }

    /// Where in the mall it is.
    async fn location(&self) -> &str {
        self.0.location.as_str()
    }

    /// What to take there.
    async fn items(&self) -> Vec<StopItem> {
        self.0.items.iter().cloned().map(StopItem).collect()
    }
}

/// Something to take.
#[derive(Debug, Clone, Description)]
pub struct StopItem(StopItemDetails);

#[Object(use_type_description)]
impl StopItem {
    /// What.
    async fn product_id(&self) -> ID {
        ID(self.0.product_id.to_string())
    }

    /// What it was called when it was chosen.
    async fn product_name(&self) -> &str {
        self.0.product_name.as_str()
    }

    /// How many to take.
    async fn quantity(&self) -> u32 {
        self.0.quantity
    }

    /// How many were taken so far.
    async fn picked(&self) -> u32 {
        self.0.picked
    }
}

/// Where a bot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "BotState")]
pub enum BotStatus {
    /// Out of work.
    Offline,
    /// Waiting for work.
    Idle,
    /// At work.
    Active,
}

/// A robot that collects goods.
#[derive(Debug, Clone, Description)]
pub struct Bot(pub BotRow);

#[Object(use_type_description)]
impl Bot {
    /// Names it.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands.
    async fn status(&self) -> BotStatus {
        self.0.status.0.into()
    }

    /// The list it has now.
    async fn shopping_list(&self, ctx: &Context<'_>) -> Result<Option<ShoppingList>> {
        match &self.0.list_id {
            Some(id) => Ok(list(ctx, **id).await?),
            None => Ok(None),
        }
    }
}

connection!(ShoppingListConnection, ShoppingListEdge, ShoppingList, "shopping lists");
connection!(BotConnection, BotEdge, Bot, "bots");

const LISTS: &str = "shopping_lists";
const BOTS: &str = "bots";

/// What may be asked about the depot.
#[derive(Debug, Default)]
pub struct DepotQueries;

#[Object]
impl DepotQueries {
    /// A shopping list.
    async fn shopping_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The list's id.")] id: ID,
    ) -> Result<Option<ShoppingList>> {
        let list = list(ctx, ids::of(&id, "id")?).await?;
        Ok(Some(list.ok_or_else(|| ids::not_found("shopping list"))?))
    }

    /// The depot's lists, oldest first.
    async fn shopping_lists(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
        #[graphql(desc = "Only lists in one of these states.")] statuses: Option<
            Vec<ShoppingListStatus>,
        >,
    ) -> Result<ShoppingListConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, LISTS)?;
        let statuses = states(statuses);
        let reads = &ctx.services().reads;
        let page = shopping_lists::list(reads, statuses.as_deref(), &request).await.for_client()?;
        Ok(cut(page, key, LISTS, ShoppingList).into())
    }

    /// The depot's bots.
    async fn bots(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 20 when not given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only what comes behind this place.")] after: Option<Cursor>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this place.")] before: Option<Cursor>,
    ) -> Result<BotConnection> {
        let key = &ctx.services().cursors;
        let request = Paging { first, after, last, before }.request(key, BOTS)?;
        let page = bots::list(&ctx.services().reads, &request).await.for_client()?;
        Ok(cut(page, key, BOTS, Bot).into())
    }
}

/// A new bot.
#[derive(Debug, InputObject)]
pub struct RegisterBotInput {
    /// What it is called, 1 to 200 characters.
    name: String,
    /// The new bot's id, if the client chooses it: the same input again is answered alike.
    id: Option<ID>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A bot that is ready for work.
#[derive(Debug, InputObject)]
pub struct BringBotOnlineInput {
    /// Which bot.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A bot that is out of work.
#[derive(Debug, InputObject)]
pub struct TakeBotOfflineInput {
    /// Which bot.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A list for a bot.
#[derive(Debug, InputObject)]
pub struct AssignShoppingListInput {
    /// Which list.
    id: ID,
    /// Which bot. It must be idle.
    bot_id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A bot setting out.
#[derive(Debug, InputObject)]
pub struct StartShoppingInput {
    /// With which list.
    id: ID,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Something taken from a shelf.
#[derive(Debug, InputObject)]
pub struct PickItemInput {
    /// For which list.
    id: ID,
    /// In which store.
    store_id: ID,
    /// What.
    product_id: ID,
    /// How many, 1 to 999.
    quantity: i32,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// A list whose bot is back.
#[derive(Debug, InputObject)]
pub struct CompleteShoppingListInput {
    /// Which list.
    id: ID,
    /// What could not be brought, if not everything was picked.
    #[graphql(default)]
    shortages: Vec<ShortageInput>,
    /// The client's own mark. The same mark again does nothing again.
    client_mutation_id: Option<String>,
}

/// Something that could not be brought.
#[derive(Debug, InputObject)]
pub struct ShortageInput {
    /// What.
    product_id: ID,
    /// Why, 1 to 500 characters.
    reason: String,
}

payload! {
    /// What came of entering a bot.
    RegisterBotPayload {
        /// The bot; null if it is not in the read model yet.
        bot: Bot
    }
}
payload! {
    /// What came of bringing a bot online.
    BringBotOnlinePayload {
        /// The bot; null if it is not in the read model yet.
        bot: Bot
    }
}
payload! {
    /// What came of taking a bot offline.
    TakeBotOfflinePayload {
        /// The bot; null if it is not in the read model yet.
        bot: Bot
    }
}
payload! {
    /// What came of giving a list to a bot.
    AssignShoppingListPayload {
        /// The list; null if it is not in the read model yet.
        shopping_list: ShoppingList
    }
}
payload! {
    /// What came of a bot setting out.
    StartShoppingPayload {
        /// The list; null if it is not in the read model yet.
        shopping_list: ShoppingList
    }
}
payload! {
    /// What came of taking something.
    PickItemPayload {
        /// The list; null if it is not in the read model yet.
        shopping_list: ShoppingList
    }
}
payload! {
    /// What came of a bot coming back.
    CompleteShoppingListPayload {
        /// The list; null if it is not in the read model yet.
        shopping_list: ShoppingList
    }
}

/// What may be done in the depot.
#[derive(Debug, Default)]
pub struct DepotMutations;

#[Object]
impl DepotMutations {
    /// Enters a new bot, which is offline at first.
    async fn register_bot(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The bot.")] input: RegisterBotInput,
    ) -> Result<RegisterBotPayload> {
        let id: BotId = ids::new(input.id.as_ref())?;
        let command = BotCommand::Register { name: Name::new(&input.name).for_field("name")? };
        let mark = input.client_mutation_id;
        let done = create::<BotAggregate>(ctx, mark, id, command).await?;
        let bot = bot(ctx, done.value).await?;
        Ok(RegisterBotPayload::new(done, bot))
    }

    /// Makes a bot ready for work.
    async fn bring_bot_online(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which bot.")] input: BringBotOnlineInput,
    ) -> Result<BringBotOnlinePayload> {
        let id = ids::of(&input.id, "id")?;
        let mark = input.client_mutation_id;
        let done = execute::<BotAggregate>(ctx, mark, id, BotCommand::BringOnline).await?;
        Ok(BringBotOnlinePayload::new(done, bot(ctx, id).await?))
    }

    /// Takes a bot out of work, unless it is at work.
    async fn take_bot_offline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which bot.")] input: TakeBotOfflineInput,
    ) -> Result<TakeBotOfflinePayload> {
        let id = ids::of(&input.id, "id")?;
        let mark = input.client_mutation_id;
        let done = execute::<BotAggregate>(ctx, mark, id, BotCommand::TakeOffline).await?;
        Ok(TakeBotOfflinePayload::new(done, bot(ctx, id).await?))
    }

    /// Gives an available list of an approved order to an idle bot.
    async fn assign_shopping_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which list, and which bot.")] input: AssignShoppingListInput,
    ) -> Result<AssignShoppingListPayload> {
        let id: ShoppingListId = ids::of(&input.id, "id")?;
        let bot_id: BotId = ids::of(&input.bot_id, "botId")?;
        let services = ctx.services();
        work::approval(&services.ledger, id, services.settings.read_back).await.for_client()?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            async move { Ok((work::assign(unit, id, bot_id).await?, None)) }.boxed()
        })
        .await?;
        Ok(AssignShoppingListPayload::new(done, list(ctx, id).await?))
    }

    /// The bot sets out; the order is in progress.
    async fn start_shopping(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "With which list.")] input: StartShoppingInput,
    ) -> Result<StartShoppingPayload> {
        let id = ids::of(&input.id, "id")?;
        let mark = input.client_mutation_id;
        let done = execute::<ListAggregate>(ctx, mark, id, ShoppingListCommand::Start).await?;
        Ok(StartShoppingPayload::new(done, list(ctx, id).await?))
    }

    /// The bot takes pieces of a product from a store's shelf.
    async fn pick_item(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For which list, where, what, and how many.")] input: PickItemInput,
    ) -> Result<PickItemPayload> {
        let id = ids::of(&input.id, "id")?;
        let command = ShoppingListCommand::Pick {
            store_id: ids::of(&input.store_id, "storeId")?,
            product_id: ids::of(&input.product_id, "productId")?,
            quantity: quantity(input.quantity)?,
        };
        let done = execute::<ListAggregate>(ctx, input.client_mutation_id, id, command).await?;
        Ok(PickItemPayload::new(done, list(ctx, id).await?))
    }

    /// The bot is back and idle again; the order is ready, and billed.
    async fn complete_shopping_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which list, and what is missing.")] input: CompleteShoppingListInput,
    ) -> Result<CompleteShoppingListPayload> {
        let id: ShoppingListId = ids::of(&input.id, "id")?;
        let shortages = input.shortages.iter().map(shortage).collect::<Result<Vec<_>, _>>()?;
        let done = mutate(ctx, input.client_mutation_id, move |unit| {
            let shortages = shortages.clone();
            async move { Ok((work::complete(unit, id, shortages).await?, None)) }.boxed()
        })
        .await?;
        Ok(CompleteShoppingListPayload::new(done, list(ctx, id).await?))
    }
}

fn shortage(input: &ShortageInput) -> Result<Shortage, ClientError> {
    let product_id: ProductId = ids::of(&input.product_id, "shortages.productId")?;
    let reason = Reason::new(&input.reason).for_field("shortages.reason")?;
    Ok(Shortage { product_id, reason })
}

fn states(statuses: Option<Vec<ShoppingListStatus>>) -> Option<Vec<ListState>> {
    statuses.map(|statuses| statuses.into_iter().map(Into::into).collect())
}

async fn list(ctx: &Context<'_>, id: ShoppingListId) -> Result<Option<ShoppingList>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(ShoppingList))
}

async fn bot(ctx: &Context<'_>, id: BotId) -> Result<Option<Bot>, ClientError> {
    Ok(ctx.loaders().one(id).await.for_client()?.map(Bot))
}

/// How many a subscriber is told of at first.
const SNAPSHOT: u32 = 100;

/// What may be watched of the depot.
#[derive(Debug, Default)]
pub struct DepotSubscriptions;

#[Subscription]
impl DepotSubscriptions {
    /// The depot board: the oldest hundred lists in these states, then each list whenever it comes
    /// into one of them or changes there.
    async fn shopping_lists_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only lists in one of these states; all when not given.")]
        statuses: Option<Vec<ShoppingListStatus>>,
    ) -> Result<impl Stream<Item = Result<ShoppingList>> + use<>> {
        let statuses = states(statuses);
        let fits = statuses.clone();
        let items = latest(
            Live::new(ctx, "shoppingListsChanged"),
            |change| change.kind() == Kind::ShoppingList,
            move |row: &ShoppingListRow| {
                fits.as_ref().is_none_or(|statuses| statuses.contains(&row.status))
            },
            move |reads| async move {
                let first = PageRequest::first(SNAPSHOT);
                let page = shopping_lists::list(&reads, statuses.as_deref(), &first).await?;
                Ok(page.rows.into_iter().map(|(_, row)| row).collect())
            },
        );
        Ok(items.map(|item| Ok(ShoppingList(item?))))
    }

    /// The bots: the first hundred as they are now, then each one whenever it changes.
    async fn bots_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Bot>> + use<>> {
        let items = latest(
            Live::new(ctx, "botsChanged"),
            |change| change.kind() == Kind::Bot,
            |_: &BotRow| true,
            |reads| async move {
                let page = bots::list(&reads, &PageRequest::first(SNAPSHOT)).await?;
                Ok(page.rows.into_iter().map(|(_, row)| row).collect())
            },
        );
        Ok(items.map(|item| Ok(Bot(item?))))
    }
}
