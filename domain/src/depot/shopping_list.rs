//! What a bot collects for an order.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    baskets::Item,
    id::{BotId, Kind, OrderId, ProductId, ShoppingListId, StoreId},
    quantity::Quantity,
    text::{Name, Reason},
};

/// A shopping list's way through the depot. Each state holds only what is true
/// in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShoppingList {
    /// No list was written under this id.
    #[default]
    Unknown,
    /// Written, not yet to be taken.
    Pending(ShoppingListDetails),
    /// Waiting for a bot.
    Available(ShoppingListDetails),
    /// A bot has it.
    Assigned {
        /// What is to be collected, and for which order.
        list: ShoppingListDetails,
        /// Which bot.
        bot_id: BotId,
    },
    /// The bot is shopping.
    Active {
        /// What is to be collected, and for which order.
        list: ShoppingListDetails,
        /// Which bot.
        bot_id: BotId,
    },
    /// The bot is back.
    Completed {
        /// What was collected, and for which order.
        list: ShoppingListDetails,
        /// Which bot.
        bot_id: BotId,
        /// What is missing.
        shortages: Vec<Shortage>,
    },
    /// Torn up.
    Canceled {
        /// What was to be collected, and for which order.
        list: ShoppingListDetails,
        /// The bot that had it.
        bot_id: Option<BotId>,
    },
}

/// What is to be collected, and for which order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShoppingListDetails {
    /// The order it is for.
    pub order_id: OrderId,
    /// Where to go and what to take, and what was taken so far.
    pub stops: Vec<Stop>,
}

impl ShoppingList {
    /// Where it stands, if there is such a list.
    pub const fn status(&self) -> Option<ShoppingListStatus> {
        match self {
            Self::Unknown => None,
            Self::Pending(_) => Some(ShoppingListStatus::Pending),
            Self::Available(_) => Some(ShoppingListStatus::Available),
            Self::Assigned { .. } => Some(ShoppingListStatus::Assigned),
            Self::Active { .. } => Some(ShoppingListStatus::Active),
            Self::Completed { .. } => Some(ShoppingListStatus::Completed),
            Self::Canceled { .. } => Some(ShoppingListStatus::Canceled),
        }
    }

    /// What is to be collected, and for which order.
    pub const fn details(&self) -> Option<&ShoppingListDetails> {
        match self {
            Self::Unknown => None,
            Self::Pending(list)
            | Self::Available(list)
            | Self::Assigned { list, .. }
            | Self::Active { list, .. }
            | Self::Completed { list, .. }
            | Self::Canceled { list, .. } => Some(list),
        }
    }

    /// The bot that has it, or had it at the end.
    pub const fn bot_id(&self) -> Option<BotId> {
        match self {
            Self::Unknown | Self::Pending(_) | Self::Available(_) => None,
            Self::Assigned { bot_id, .. }
            | Self::Active { bot_id, .. }
            | Self::Completed { bot_id, .. } => Some(*bot_id),
            Self::Canceled { bot_id, .. } => *bot_id,
        }
    }
}

impl ShoppingListDetails {
    fn items(&self) -> impl Iterator<Item = &StopItem> {
        self.stops.iter().flat_map(|stop| &stop.items)
    }

    fn item(&self, store_id: StoreId, product_id: ProductId) -> Option<&StopItem> {
        let stop = self.stops.iter().find(|stop| stop.store_id == store_id)?;
        stop.items.iter().find(|item| item.product_id == product_id)
    }

    fn picked(mut self, store_id: StoreId, product_id: ProductId, quantity: Quantity) -> Self {
        for stop in self.stops.iter_mut().filter(|stop| stop.store_id == store_id) {
            for item in stop.items.iter_mut().filter(|item| item.product_id == product_id) {
                item.picked = item.picked.saturating_add(quantity.get());
            }
        }
        self
    }
}

impl StopItem {
    /// How many are still on the shelf.
    pub const fn missing(&self) -> u32 {
        self.quantity.saturating_sub(self.picked)
    }
}

/// What may be asked of a shopping list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShoppingListCommand {
    /// Write it.
    Create {
        /// The order it is for.
        order_id: OrderId,
        /// The order's lines. Lines of one product add up.
        items: Vec<Item>,
    },
    /// Let bots take it.
    Initiate,
    /// Give it to a bot.
    Assign {
        /// The bot, which must be idle: the caller moves it to active in the
        /// same append.
        bot_id: BotId,
    },
    /// The bot sets out.
    Start,
    /// The bot takes something from a shelf.
    Pick {
        /// Where.
        store_id: StoreId,
        /// What.
        product_id: ProductId,
        /// How many.
        quantity: Quantity,
    },
    /// The bot is back.
    Complete {
        /// What is missing, and why. Empty when all was picked.
        shortages: Vec<Shortage>,
    },
    /// Tear it up.
    Cancel,
}

/// Something the bot could not bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// What.
    pub product_id: ProductId,
    /// Why.
    pub reason: Reason,
}

/// A store to go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Which store.
    pub store_id: StoreId,
    /// What it is called.
    pub store_name: Name,
    /// Where it is.
    pub location: Name,
    /// What to take there.
    pub items: Vec<StopItem>,
}

/// Something to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopItem {
    /// What.
    pub product_id: ProductId,
    /// What it is called.
    pub product_name: Name,
    /// How many. Several lines of a basket may add up to more than one line holds.
    pub quantity: u32,
    /// How many were taken so far.
    #[serde(default)]
    pub picked: u32,
}

/// What has happened to a shopping list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShoppingListEvent {
    /// It was written.
    ShoppingListCreated {
        /// The order it is for.
        order_id: OrderId,
        /// Where to go and what to take, `picked` all zero.
        stops: Vec<Stop>,
    },
    /// Bots may take it.
    ShoppingListInitiated {},
    /// A bot has it.
    ShoppingListAssigned {
        /// Which bot.
        bot_id: BotId,
    },
    /// The bot set out.
    ShoppingStarted {
        /// The order it shops for.
        order_id: OrderId,
        /// Which bot.
        bot_id: BotId,
    },
    /// The bot took something.
    ItemPicked {
        /// Where.
        store_id: StoreId,
        /// What.
        product_id: ProductId,
        /// How many.
        quantity: Quantity,
    },
    /// The bot is back.
    ShoppingListCompleted {
        /// The order it shopped for.
        order_id: OrderId,
        /// Which bot.
        bot_id: BotId,
        /// What is missing.
        shortages: Vec<Shortage>,
    },
    /// It was torn up.
    ShoppingListCanceled {
        /// The bot that had it, which is free again.
        bot_id: Option<BotId>,
    },
}

/// Where a shopping list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ShoppingListStatus {
    /// Written, not yet to be taken.
    Pending,
    /// Waiting for a bot.
    Available,
    /// A bot has it.
    Assigned,
    /// The bot is shopping.
    Active,
    /// All is brought.
    Completed,
    /// Torn up.
    Canceled,
}

impl ShoppingListStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Available => "AVAILABLE",
            Self::Assigned => "ASSIGNED",
            Self::Active => "ACTIVE",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why a shopping list said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShoppingListError {
    /// No list has this id.
    #[error("there is no such shopping list")]
    NotFound,
    /// A list has this id already.
    #[error("a shopping list with this id exists")]
    Exists,
    /// There is nothing to collect.
    #[error("a shopping list needs at least one item")]
    Empty,
    /// Bots take only lists that wait for one.
    #[error("the shopping list is not available")]
    NotAvailable(ShoppingListStatus),
    /// A bot sets out only with a list that it has.
    #[error("the shopping list is not assigned")]
    NotAssigned(ShoppingListStatus),
    /// Things are taken from shelves, and brought, only while a bot shops.
    #[error("the shopping list is not active")]
    NotActive(ShoppingListStatus),
    /// It was torn up.
    #[error("the shopping list is canceled")]
    Canceled,
    /// It stands there already, or has gone where nothing is left to do.
    #[error("there is nothing left to do for the shopping list")]
    Already(ShoppingListStatus),
    /// The list does not ask for this product at this store.
    #[error("the shopping list does not ask for this product at this store")]
    ItemNotOnList,
    /// The list does not ask for so many.
    #[error("the shopping list does not ask for so many")]
    PickedTooMany,
    /// Something is missing and nobody said why.
    #[error("not everything was picked, and not every shortage has a reason")]
    NotAllPicked {
        /// The products in question.
        product_ids: Vec<ProductId>,
    },
    /// Something is said to be short that is not on the list, was picked to
    /// the last piece, or was named before.
    #[error("a shortage names a product that is not short")]
    NotShort {
        /// The product in question.
        product_id: ProductId,
    },
}

impl DomainError for ShoppingListError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::Empty | Self::ItemNotOnList => ErrorKind::Invalid,
            Self::NotAvailable(_)
            | Self::NotAssigned(_)
            | Self::NotActive(_)
            | Self::Canceled
            | Self::PickedTooMany
            | Self::NotAllPicked { .. }
            | Self::NotShort { .. } => ErrorKind::WrongState,
            Self::Already(_) => ErrorKind::AlreadyDone,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "SHOPPING_LIST_NOT_FOUND",
            Self::Exists => "SHOPPING_LIST_EXISTS",
            Self::Empty => "SHOPPING_LIST_EMPTY",
            Self::NotAvailable(_) => "SHOPPING_LIST_NOT_AVAILABLE",
            Self::NotAssigned(_) => "SHOPPING_LIST_NOT_ASSIGNED",
            Self::NotActive(_) => "SHOPPING_LIST_NOT_ACTIVE",
            Self::Canceled => "SHOPPING_LIST_CANCELED",
            Self::Already(status) => match status {
                ShoppingListStatus::Pending => "SHOPPING_LIST_ALREADY_PENDING",
                ShoppingListStatus::Available => "SHOPPING_LIST_ALREADY_AVAILABLE",
                ShoppingListStatus::Assigned => "SHOPPING_LIST_ALREADY_ASSIGNED",
                ShoppingListStatus::Active => "SHOPPING_LIST_ALREADY_ACTIVE",
                ShoppingListStatus::Completed => "SHOPPING_LIST_ALREADY_COMPLETED",
                ShoppingListStatus::Canceled => "SHOPPING_LIST_ALREADY_CANCELED",
            },
            Self::ItemNotOnList => "ITEM_NOT_ON_LIST",
            Self::PickedTooMany => "PICKED_TOO_MANY",
            Self::NotAllPicked { .. } => "NOT_ALL_PICKED",
            Self::NotShort { .. } => "PRODUCT_NOT_SHORT",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotAvailable(status)
            | Self::NotAssigned(status)
            | Self::NotActive(status)
            | Self::Already(status) => Some(status.as_str()),
            Self::Canceled => Some(ShoppingListStatus::Canceled.as_str()),
            Self::PickedTooMany | Self::NotAllPicked { .. } | Self::NotShort { .. } => {
                Some(ShoppingListStatus::Active.as_str())
            }
            Self::NotFound | Self::Exists | Self::Empty | Self::ItemNotOnList => None,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::ItemNotOnList => Some("productId"),
            Self::PickedTooMany => Some("quantity"),
            Self::NotAllPicked { .. } | Self::NotShort { .. } => Some("shortages"),
            Self::NotFound
            | Self::Exists
            | Self::Empty
            | Self::NotAvailable(_)
            | Self::NotAssigned(_)
            | Self::NotActive(_)
            | Self::Canceled
            | Self::Already(_) => None,
        }
    }

    fn details(&self) -> Vec<Vec<(&'static str, String)>> {
        let record = |product_id: &ProductId| vec![("productId", product_id.to_string())];
        match self {
            Self::NotAllPicked { product_ids } => product_ids.iter().map(record).collect(),
            Self::NotShort { product_id } => vec![record(product_id)],
            Self::NotFound
            | Self::Exists
            | Self::Empty
            | Self::NotAvailable(_)
            | Self::NotAssigned(_)
            | Self::NotActive(_)
            | Self::Canceled
            | Self::Already(_)
            | Self::ItemNotOnList
            | Self::PickedTooMany => Vec::new(),
        }
    }
}

impl Aggregate for ShoppingList {
    const KIND: Kind = Kind::ShoppingList;
    const CONTEXT: &'static str = "depot";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = ShoppingListId;
    type Command = ShoppingListCommand;
    type Event = ShoppingListEvent;
    type Error = ShoppingListError;

    #[expect(clippy::match_same_arms, reason = "one group of arms a command: the state diagram")]
    fn decide(
        &self,
        command: ShoppingListCommand,
    ) -> Result<Vec<ShoppingListEvent>, ShoppingListError> {
        use ShoppingListCommand::{Assign, Cancel, Complete, Create, Initiate, Pick, Start};

        let Some(status) = self.status() else {
            return match command {
                Create { items, .. } if items.is_empty() => Err(ShoppingListError::Empty),
                Create { order_id, items } => Ok(vec![ShoppingListEvent::ShoppingListCreated {
                    order_id,
                    stops: stops(items),
                }]),
                Initiate | Assign { .. } | Start | Pick { .. } | Complete { .. } | Cancel => {
                    Err(ShoppingListError::NotFound)
                }
            };
        };

        match (command, self) {
            (Create { .. }, _) => Err(ShoppingListError::Exists),

            (Initiate, Self::Pending(_)) => Ok(vec![ShoppingListEvent::ShoppingListInitiated {}]),
            (Initiate, Self::Canceled { .. }) => Err(ShoppingListError::Canceled),
            (Initiate, _) => Err(ShoppingListError::Already(status)),

            (Assign { bot_id }, Self::Available(_)) => {
                Ok(vec![ShoppingListEvent::ShoppingListAssigned { bot_id }])
            }
            (Assign { .. }, _) => Err(ShoppingListError::NotAvailable(status)),

            (Start, Self::Assigned { list, bot_id }) => {
                Ok(vec![ShoppingListEvent::ShoppingStarted {
                    order_id: list.order_id,
                    bot_id: *bot_id,
                }])
            }
            (Start, Self::Active { .. }) => Err(ShoppingListError::Already(status)),
            (Start, _) => Err(ShoppingListError::NotAssigned(status)),

            (Pick { store_id, product_id, quantity }, Self::Active { list, .. }) => {
                list.check_pick(store_id, product_id, quantity)?;
                Ok(vec![ShoppingListEvent::ItemPicked { store_id, product_id, quantity }])
            }
            (Pick { .. }, _) => Err(ShoppingListError::NotActive(status)),

            (Complete { shortages }, Self::Active { list, bot_id }) => {
                list.check_shortages(&shortages)?;
                Ok(vec![ShoppingListEvent::ShoppingListCompleted {
                    order_id: list.order_id,
                    bot_id: *bot_id,
                    shortages,
                }])
            }
            (Complete { .. }, Self::Completed { .. }) => Err(ShoppingListError::Already(status)),
            (Complete { .. }, _) => Err(ShoppingListError::NotActive(status)),

            (Cancel, Self::Completed { .. } | Self::Canceled { .. }) => {
                Err(ShoppingListError::Already(status))
            }
            (Cancel, _) => {
                Ok(vec![ShoppingListEvent::ShoppingListCanceled { bot_id: self.bot_id() }])
            }
        }
    }

    fn evolve(self, event: ShoppingListEvent) -> Self {
        use ShoppingListEvent::{
            ItemPicked, ShoppingListAssigned, ShoppingListCanceled, ShoppingListCompleted,
            ShoppingListCreated, ShoppingListInitiated, ShoppingStarted,
        };

        match (event, self) {
            (ShoppingListCreated { order_id, stops }, _) => {
                Self::Pending(ShoppingListDetails { order_id, stops })
            }
            (ShoppingListInitiated {}, Self::Pending(list)) => Self::Available(list),
            (ShoppingListAssigned { bot_id }, Self::Available(list)) => {
                Self::Assigned { list, bot_id }
            }
            (ShoppingStarted { .. }, Self::Assigned { list, bot_id }) => {
                Self::Active { list, bot_id }
            }
            (ItemPicked { store_id, product_id, quantity }, Self::Active { list, bot_id }) => {
                Self::Active { list: list.picked(store_id, product_id, quantity), bot_id }
            }
            (ShoppingListCompleted { shortages, .. }, Self::Active { list, bot_id }) => {
                Self::Completed { list, bot_id, shortages }
            }
            (
                ShoppingListCanceled { bot_id },
                Self::Pending(list)
                | Self::Available(list)
                | Self::Assigned { list, .. }
                | Self::Active { list, .. },
            ) => Self::Canceled { list, bot_id },
            (
                ShoppingListInitiated {}
                | ShoppingListAssigned { .. }
                | ShoppingStarted { .. }
                | ItemPicked { .. }
                | ShoppingListCompleted { .. }
                | ShoppingListCanceled { .. },
                state,
            ) => state,
        }
    }
}

impl ShoppingListDetails {
    fn check_pick(
        &self,
        store_id: StoreId,
        product_id: ProductId,
        quantity: Quantity,
    ) -> Result<(), ShoppingListError> {
        let item = self.item(store_id, product_id).ok_or(ShoppingListError::ItemNotOnList)?;
        if quantity.get() <= item.missing() {
            Ok(())
        } else {
            Err(ShoppingListError::PickedTooMany)
        }
    }

    /// Every shortage must be one, and every one must be said.
    fn check_shortages(&self, shortages: &[Shortage]) -> Result<(), ShoppingListError> {
        let mut unexplained: Vec<ProductId> =
            self.items().filter(|item| item.missing() > 0).map(|item| item.product_id).collect();
        for &Shortage { product_id, .. } in shortages {
            let before = unexplained.len();
            unexplained.retain(|missing| *missing != product_id);
            if unexplained.len() == before {
                return Err(ShoppingListError::NotShort { product_id });
            }
        }
        if unexplained.is_empty() {
            Ok(())
        } else {
            Err(ShoppingListError::NotAllPicked { product_ids: unexplained })
        }
    }
}

/// Sorts what was ordered by where it is: stores in the order they are first
/// met, lines of one product added up.
fn stops(items: Vec<Item>) -> Vec<Stop> {
    let mut stops: Vec<Stop> = Vec::new();
    for item in items {
        let quantity = item.quantity.get();
        let wanted = StopItem {
            product_id: item.product_id,
            product_name: item.product_name,
            quantity,
            picked: 0,
        };
        let Some(stop) = stops.iter_mut().find(|stop| stop.store_id == item.store_id) else {
            stops.push(Stop {
                store_id: item.store_id,
                store_name: item.store_name,
                location: item.store_location,
                items: vec![wanted],
            });
            continue;
        };
        match stop.items.iter_mut().find(|other| other.product_id == wanted.product_id) {
            Some(same) => same.quantity = same.quantity.saturating_add(quantity),
            None => stop.items.push(wanted),
        }
    }
    stops
}

#[cfg(test)]
mod tests;
