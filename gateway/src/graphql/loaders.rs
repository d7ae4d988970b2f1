//! What is read together is read in one query.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use mallbots_domain::id::{
    AnyId, BasketId, BotId, CustomerId, DeadLetterId, InvoiceId, NotificationId, OrderId,
    PaymentId, ProductId, SagaId, ShoppingListId, StoreId,
};
use mallbots_eventstore::{
    error::StoreError,
    ledger::Ledger,
    message::{Position, Recorded},
};
use mallbots_projections::{
    baskets, bots, customers, invoices, notifications, orders,
    page::{Page, PageRequest},
    parked, payments, products,
    reads::{ReadError, Reads},
    sagas, shopping_lists, stores, timeline,
};
use uuid::Uuid;

use super::operations::Parked;

/// The library, as loaders ask it.
#[derive(Debug, Clone)]
pub struct Library {
    /// The read models.
    pub reads: Reads,
    /// The ledger, for history and dead letters only.
    pub ledger: Ledger,
}

macro_rules! by_id {
    ($($id:ty => $slice:ident::$row:ident),* $(,)?) => { $(
        impl Loader<$id> for Library {
            type Value = $slice::$row;
            type Error = ReadError;

            async fn load(&self, ids: &[$id]) -> Result<HashMap<$id, Self::Value>, ReadError> {
                $slice::by_ids(&self.reads, ids).await
            }
        }
    )* };
}

by_id! {
    StoreId => stores::StoreRow,
    ProductId => products::ProductRow,
    CustomerId => customers::CustomerRow,
    BasketId => baskets::BasketRow,
    OrderId => orders::OrderRow,
    PaymentId => payments::PaymentRow,
    InvoiceId => invoices::InvoiceRow,
    ShoppingListId => shopping_lists::ShoppingListRow,
    BotId => bots::BotRow,
    SagaId => sagas::SagaRow,
    NotificationId => notifications::NotificationRow,
}

/// The latest saga of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SagaOf(pub OrderId);

impl Loader<SagaOf> for Library {
    type Value = sagas::SagaRow;
    type Error = ReadError;

    async fn load(&self, keys: &[SagaOf]) -> Result<HashMap<SagaOf, Self::Value>, ReadError> {
        let orders: Vec<_> = keys.iter().map(|key| key.0).collect();
        let sagas = sagas::latest_of_orders(&self.reads, &orders).await?;
        Ok(sagas.into_iter().map(|(order, saga)| (SagaOf(order), saga)).collect())
    }
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident($owner:ty) => $slice:ident::$row:ident by $query:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            /// Whose list.
            pub of: $owner,
            /// Which part of it.
            pub request: PageRequest,
        }

        impl Loader<$name> for Library {
            type Value = Arc<Page<$slice::$row>>;
            type Error = ReadError;

            async fn load(&self, keys: &[$name]) -> Result<HashMap<$name, Self::Value>, ReadError> {
                // Those who ask for the same part of their lists are answered together.
                let mut by_request: HashMap<&PageRequest, Vec<$owner>> = HashMap::new();
                for key in keys {
                    by_request.entry(&key.request).or_default().push(key.of);
                }
                let mut found = HashMap::with_capacity(keys.len());
                for (request, owners) in by_request {
                    for (of, page) in $slice::$query(&self.reads, &owners, request).await? {
                        found.insert($name { of, request: request.clone() }, Arc::new(page));
                    }
                }
                Ok(found)
            }
        }
    )* };
}

pages! {
    /// Part of a customer's list of orders.
    OrdersOf(CustomerId) => orders::OrderRow by of_customers,
    /// Part of the list of messages to a customer.
    NotificationsOf(CustomerId) => notifications::NotificationRow by of_customers,
    /// Part of an order's timeline.
    TimelineOf(OrderId) => timeline::TimelineRow by of_orders,
}

/// Part of a store's list of products.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProductsOf {
    /// Whose list.
    pub of: StoreId,
    /// Only products with this in their name or SKU.
    pub text: Option<String>,
    /// Which part of it.
    pub request: PageRequest,
}

impl Loader<ProductsOf> for Library {
    type Value = Arc<Page<products::ProductRow>>;
    type Error = ReadError;

    async fn load(
        &self,
        keys: &[ProductsOf],
    ) -> Result<HashMap<ProductsOf, Self::Value>, ReadError> {
        let mut alike: HashMap<(&Option<String>, &PageRequest), Vec<StoreId>> = HashMap::new();
        for key in keys {
            alike.entry((&key.text, &key.request)).or_default().push(key.of);
        }
        let mut found = HashMap::with_capacity(keys.len());
        for ((text, request), stores) in alike {
            let pages = products::of_stores(&self.reads, &stores, text.as_deref(), request).await?;
            for (of, page) in pages {
                let key = ProductsOf { of, text: text.clone(), request: request.clone() };
                found.insert(key, Arc::new(page));
            }
        }
        Ok(found)
    }
}

/// Either of the two places that were asked did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// The library.
    #[error(transparent)]
    Library(#[from] ReadError),
}

/// A message of the ledger, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageOf(pub Uuid);

impl Loader<MessageOf> for Library {
    type Value = Arc<Recorded>;
    type Error = StoreError;

    async fn load(
        &self,
        keys: &[MessageOf],
    ) -> Result<HashMap<MessageOf, Self::Value>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let messages = self.ledger.messages(&ids).await?;
        Ok(messages.into_iter().map(|message| (MessageOf(message.message_id), message)).collect())
    }
}

/// What followed directly from a message, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EffectsOf(pub Uuid);

impl Loader<EffectsOf> for Library {
    type Value = Vec<Arc<Recorded>>;
    type Error = StoreError;

    async fn load(
        &self,
        keys: &[EffectsOf],
    ) -> Result<HashMap<EffectsOf, Self::Value>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<EffectsOf, Self::Value> = HashMap::new();
        for effect in self.ledger.caused_by(&ids).await? {
            let cause = effect.metadata().ok().and_then(|metadata| metadata.causation_id);
            if let Some(cause) = cause {
                found.entry(EffectsOf(cause)).or_default().push(effect);
            }
        }
        Ok(found)
    }
}

impl Loader<DeadLetterId> for Library {
    type Value = Parked;
    type Error = LoadError;

    async fn load(
        &self,
        ids: &[DeadLetterId],
    ) -> Result<HashMap<DeadLetterId, Self::Value>, LoadError> {
        let letters = self.ledger.dead_letters_by_id(ids).await?;
        let mut found: HashMap<_, _> =
            letters.into_iter().map(|letter| (letter.id, Parked::Post(letter))).collect();
        let rest: Vec<_> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
        let rows = parked::by_ids(&self.reads, &rest).await?;
        found.extend(rows.into_iter().map(|(id, row)| (id, Parked::Library(row))));
        Ok(found)
    }
}

/// Where the messages stand that are parked under a consumer's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockedBy {
    /// Whose.
    pub consumer: String,
    /// Which key.
    pub key: String,
}

impl Loader<BlockedBy> for Library {
    type Value = Vec<Position>;
    type Error = LoadError;

    async fn load(&self, keys: &[BlockedBy]) -> Result<HashMap<BlockedBy, Self::Value>, LoadError> {
        let wanted: Vec<_> = keys.iter().map(|key| key.key.clone()).collect();
        let mut found: HashMap<BlockedBy, Vec<Position>> = HashMap::new();
        for (consumer, key, position) in self.ledger.parked_positions(&wanted).await? {
            found.entry(BlockedBy { consumer, key }).or_default().push(position);
        }
        let streams: Vec<AnyId> = wanted.iter().filter_map(|key| key.parse().ok()).collect();
        for (key, position) in parked::positions(&self.reads, &streams).await? {
            let blocked = BlockedBy { consumer: parked::CONSUMER.to_owned(), key: key.to_string() };
            found.entry(blocked).or_default().push(Position(position));
        }
        Ok(found)
    }
}
