//! A customer's basket.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{BasketId, CustomerId, Kind, PaymentId, ProductId, StoreId},
    money::{Money, MoneyError},
    quantity::{MAX_QUANTITY, Quantity},
    text::Name,
};

/// The most lines a basket may hold.
pub const MAX_LINES: usize = 100;

/// A line of a basket, and later of the order made of it. It carries what
/// other contexts need to know, as it was when the item was added, so that
/// nobody has to ask the store again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What.
    pub product_id: ProductId,
    /// Whose.
    pub store_id: StoreId,
    /// What the product was called.
    pub product_name: Name,
    /// What the store was called.
    pub store_name: Name,
    /// Where the store is.
    pub store_location: Name,
    /// What one piece cost.
    pub price: Money,
    /// How many.
    pub quantity: Quantity,
}

/// A product as its store offers it at the moment of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What.
    pub product_id: ProductId,
    /// Whose.
    pub store_id: StoreId,
    /// What it is called.
    pub product_name: Name,
    /// What the store is called.
    pub store_name: Name,
    /// Where the store is.
    pub store_location: Name,
    /// What one piece costs.
    pub price: Money,
    /// Whether its store participates.
    pub participating: bool,
    /// Whether it went off sale.
    pub removed: bool,
}

/// A customer's payment as it stands at the moment of checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tender {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Who authorised it.
    pub customer_id: CustomerId,
    /// Whether it is authorised and nothing more yet.
    pub authorized: bool,
}

/// A basket, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basket {
    /// Nobody took a basket under this id.
    #[default]
    Unknown,
    /// It is being filled.
    Open(BasketDetails),
    /// It was bought.
    CheckedOut {
        /// Whose it was, and what was in it at the prices agreed.
        basket: BasketDetails,
        /// What pays for it.
        payment_id: PaymentId,
    },
    /// It was put back.
    Canceled(BasketDetails),
    /// It was cleared away.
    Abandoned(BasketDetails),
}

/// Whose basket it is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketDetails {
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What is in it, one line a product, in the order it was put in.
    pub items: Vec<Item>,
}

impl Basket {
    /// Where it stands, if there is such a basket.
    pub const fn status(&self) -> Option<BasketStatus> {
        match self {
            Self::Unknown => None,
            Self::Open(_) => Some(BasketStatus::Open),
            Self::CheckedOut { .. } => Some(BasketStatus::CheckedOut),
            Self::Canceled(_) => Some(BasketStatus::Canceled),
            Self::Abandoned(_) => Some(BasketStatus::Abandoned),
        }
    }

    /// Whose it is, and what is in it.
    pub const fn details(&self) -> Option<&BasketDetails> {
        match self {
            Self::Unknown => None,
            Self::Open(basket)
            | Self::CheckedOut { basket, .. }
            | Self::Canceled(basket)
            | Self::Abandoned(basket) => Some(basket),
        }
    }

    /// What pays for it, once it was bought.
    pub const fn payment_id(&self) -> Option<PaymentId> {
        match self {
            Self::CheckedOut { payment_id, .. } => Some(*payment_id),
            Self::Unknown | Self::Open(_) | Self::Canceled(_) | Self::Abandoned(_) => None,
        }
    }
}

/// What may be asked of a basket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BasketCommand {
    /// Take one.
    Start {
        /// Whose it is.
        customer_id: CustomerId,
        /// Whether that customer may shop.
        customer_enabled: bool,
    },
    /// Put something in.
    AddItem {
        /// What, as it is offered now.
        offer: Offer,
        /// How many.
        quantity: Quantity,
    },
    /// Take something out.
    RemoveItem {
        /// What.
        product_id: ProductId,
        /// How many; more than there is takes the whole line out.
        quantity: Quantity,
    },
    /// Buy what is in it.
    Checkout {
        /// What pays for it.
        tender: Tender,
        /// Every product in it, as offered now.
        offers: Vec<Offer>,
        /// Whether prices that changed since are accepted.
        accept_price_changes: bool,
    },
    /// Put it back.
    Cancel,
    /// Clear it away because nobody touched it for a while.
    Abandon,
}

/// What has happened to a basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BasketEvent {
    /// A customer took it.
    BasketStarted {
        /// Whose it is.
        customer_id: CustomerId,
    },
    /// Something was put in: a new line, or more of one (then the price and
    /// names of the first time stay).
    BasketItemAdded {
        /// The pieces put in.
        item: Item,
    },
    /// Something was taken out.
    BasketItemRemoved {
        /// What.
        product_id: ProductId,
        /// How many were taken out, never more than there were.
        quantity: Quantity,
    },
    /// It was bought.
    BasketCheckedOut {
        /// Who bought it.
        customer_id: CustomerId,
        /// What pays for it.
        payment_id: PaymentId,
        /// What was in it, in the order it was put in, at the prices agreed.
        items: Vec<Item>,
        /// What all of it costs.
        total: Money,
    },
    /// It was put back.
    BasketCanceled {},
    /// It was cleared away.
    BasketAbandoned {},
}

/// Where a basket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BasketStatus {
    /// Being filled.
    Open,
    /// Bought.
    CheckedOut,
    /// Put back.
    Canceled,
    /// Cleared away.
    Abandoned,
}

impl BasketStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::CheckedOut => "CHECKED_OUT",
            Self::Canceled => "CANCELED",
            Self::Abandoned => "ABANDONED",
        }
    }
}

/// Why a basket said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BasketError {
    /// No basket has this id.
    #[error("there is no such basket")]
    NotFound,
    /// A basket has this id already.
    #[error("a basket with this id exists")]
    Exists,
    /// The customer may not shop.
    #[error("the customer is disabled")]
    CustomerDisabled,
    /// Only an open basket can be filled, bought or put back.
    #[error("the basket is not open")]
    NotOpen(BasketStatus),
    /// It was put back or cleared away, or there is nothing left to clear away.
    #[error("the basket is closed already")]
    AlreadyClosed(BasketStatus),
    /// It went off sale.
    #[error("the product was removed")]
    ProductRemoved {
        /// The product in question.
        product_id: ProductId,
    },
    /// Bots do not shop there.
    #[error("the store does not participate")]
    StoreNotParticipating {
        /// The product that is sold there.
        product_id: ProductId,
    },
    /// One line can hold only so many.
    #[error("a line cannot hold more than {MAX_QUANTITY} pieces")]
    QuantityTooLarge,
    /// One basket can hold only so many lines.
    #[error("a basket cannot hold more than {MAX_LINES} lines")]
    Full,
    /// It would cost more than can be counted.
    #[error("the total of the basket is too large")]
    TotalTooLarge,
    /// There is none of it to take out.
    #[error("the product is not in the basket")]
    ItemNotInBasket,
    /// Nothing cannot be bought.
    #[error("the basket is empty")]
    Empty,
    /// It is somebody else's money.
    #[error("the payment is of another customer")]
    PaymentOfAnotherCustomer,
    /// The money is not set aside, or not any more.
    #[error("the payment is not authorized")]
    PaymentNotAuthorized,
    /// Not what the customer saw.
    #[error("prices changed since the items were added")]
    PriceChanged {
        /// Every price that changed.
        changes: Vec<PriceChange>,
    },
}

/// A price that is not what it was when the item was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceChange {
    /// What.
    pub product_id: ProductId,
    /// What one piece cost when it was added.
    pub old: Money,
    /// What one piece costs now.
    pub new: Money,
}

impl DomainError for BasketError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AlreadyClosed(_) => ErrorKind::AlreadyDone,
            Self::CustomerDisabled
            | Self::NotOpen(_)
            | Self::ProductRemoved { .. }
            | Self::StoreNotParticipating { .. }
            | Self::QuantityTooLarge
            | Self::Full
            | Self::TotalTooLarge
            | Self::ItemNotInBasket
            | Self::Empty
            | Self::PaymentOfAnotherCustomer
            | Self::PaymentNotAuthorized
            | Self::PriceChanged { .. } => ErrorKind::WrongState,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "BASKET_NOT_FOUND",
            Self::Exists => "BASKET_EXISTS",
            Self::CustomerDisabled => "CUSTOMER_DISABLED",
            Self::NotOpen(_) => "BASKET_NOT_OPEN",
            Self::AlreadyClosed(_) => "BASKET_ALREADY_CLOSED",
            Self::ProductRemoved { .. } => "PRODUCT_REMOVED",
            Self::StoreNotParticipating { .. } => "STORE_NOT_PARTICIPATING",
            Self::QuantityTooLarge => "QUANTITY_TOO_LARGE",
            Self::Full => "BASKET_FULL",
            Self::TotalTooLarge => "TOTAL_TOO_LARGE",
            Self::ItemNotInBasket => "ITEM_NOT_IN_BASKET",
            Self::Empty => "BASKET_EMPTY",
            Self::PaymentOfAnotherCustomer => "PAYMENT_OF_ANOTHER_CUSTOMER",
            Self::PaymentNotAuthorized => "PAYMENT_NOT_AUTHORIZED",
            Self::PriceChanged { .. } => "PRICE_CHANGED",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Exists | Self::CustomerDisabled => None,
            Self::NotOpen(status) | Self::AlreadyClosed(status) => Some(status.as_str()),
            Self::ProductRemoved { .. }
            | Self::StoreNotParticipating { .. }
            | Self::QuantityTooLarge
            | Self::Full
            | Self::TotalTooLarge
            | Self::ItemNotInBasket
            | Self::Empty
            | Self::PaymentOfAnotherCustomer
            | Self::PaymentNotAuthorized
            | Self::PriceChanged { .. } => Some(BasketStatus::Open.as_str()),
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::QuantityTooLarge => Some("quantity"),
            Self::ItemNotInBasket => Some("productId"),
            Self::PaymentOfAnotherCustomer | Self::PaymentNotAuthorized => Some("paymentId"),
            Self::PriceChanged { .. } => Some("acceptPriceChanges"),
            Self::NotFound
            | Self::Exists
            | Self::CustomerDisabled
            | Self::NotOpen(_)
            | Self::AlreadyClosed(_)
            | Self::ProductRemoved { .. }
            | Self::StoreNotParticipating { .. }
            | Self::Full
            | Self::TotalTooLarge
            | Self::Empty => None,
        }
    }

    fn details(&self) -> Vec<Vec<(&'static str, String)>> {
        match self {
            Self::ProductRemoved { product_id } | Self::StoreNotParticipating { product_id } => {
                vec![vec![("productId", product_id.to_string())]]
            }
            Self::PriceChanged { changes } => {
                let record = |change: &PriceChange| {
                    let PriceChange { product_id, old, new } = change;
                    vec![
                        ("productId", product_id.to_string()),
                        ("old", old.to_string()),
                        ("new", new.to_string()),
                    ]
                };
                changes.iter().map(record).collect()
            }
            Self::NotFound
            | Self::Exists
            | Self::CustomerDisabled
            | Self::NotOpen(_)
            | Self::AlreadyClosed(_)
            | Self::QuantityTooLarge
            | Self::Full
            | Self::TotalTooLarge
            | Self::ItemNotInBasket
            | Self::Empty
            | Self::PaymentOfAnotherCustomer
            | Self::PaymentNotAuthorized => Vec::new(),
        }
    }
}

impl Aggregate for Basket {
    const KIND: Kind = Kind::Basket;
    const CONTEXT: &'static str = "baskets";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = BasketId;
    type Command = BasketCommand;
    type Event = BasketEvent;
    type Error = BasketError;

    fn decide(&self, command: BasketCommand) -> Result<Vec<BasketEvent>, BasketError> {
        use BasketCommand::{Abandon, AddItem, Cancel, Checkout, RemoveItem, Start};

        let Some(status) = self.status() else {
            return match command {
                Start { customer_enabled: false, .. } => Err(BasketError::CustomerDisabled),
                Start { customer_id, customer_enabled: true } => {
                    Ok(vec![BasketEvent::BasketStarted { customer_id }])
                }
                AddItem { .. } | RemoveItem { .. } | Checkout { .. } | Cancel | Abandon => {
                    Err(BasketError::NotFound)
                }
            };
        };

        match (command, self) {
            (Start { .. }, _) => Err(BasketError::Exists),

            (AddItem { offer, quantity }, Self::Open(basket)) => {
                Ok(vec![basket.add(offer, quantity)?])
            }
            (RemoveItem { product_id, quantity }, Self::Open(basket)) => {
                Ok(vec![basket.remove(product_id, quantity)?])
            }
            (Checkout { tender, offers, accept_price_changes }, Self::Open(basket)) => {
                Ok(vec![basket.check_out(tender, &offers, accept_price_changes)?])
            }
            (AddItem { .. } | RemoveItem { .. } | Checkout { .. }, _) => {
                Err(BasketError::NotOpen(status))
            }

            (Cancel, Self::Open(_)) => Ok(vec![BasketEvent::BasketCanceled {}]),
            (Cancel, Self::CheckedOut { .. }) => Err(BasketError::NotOpen(status)),

            (Abandon, Self::Open(_)) => Ok(vec![BasketEvent::BasketAbandoned {}]),

            (Cancel | Abandon, _) => Err(BasketError::AlreadyClosed(status)),
        }
    }

    fn evolve(self, event: BasketEvent) -> Self {
        use BasketEvent::{
            BasketAbandoned, BasketCanceled, BasketCheckedOut, BasketItemAdded, BasketItemRemoved,
            BasketStarted,
        };

        match (event, self) {
            (BasketStarted { customer_id }, _) => {
                Self::Open(BasketDetails { customer_id, items: Vec::new() })
            }
            (BasketItemAdded { item }, Self::Open(basket)) => Self::Open(basket.with(item)),
            (BasketItemRemoved { product_id, quantity }, Self::Open(basket)) => {
                Self::Open(basket.without(product_id, quantity))
            }
            (BasketCheckedOut { customer_id, payment_id, items, .. }, Self::Open(_)) => {
                Self::CheckedOut { basket: BasketDetails { customer_id, items }, payment_id }
            }
            (BasketCanceled {}, Self::Open(basket)) => Self::Canceled(basket),
            (BasketAbandoned {}, Self::Open(basket)) => Self::Abandoned(basket),
            (
                BasketItemAdded { .. }
                | BasketItemRemoved { .. }
                | BasketCheckedOut { .. }
                | BasketCanceled {}
                | BasketAbandoned {},
                state,
            ) => state,
        }
    }
}

impl BasketDetails {
    /// What all of it costs, as agreed so far.
    pub fn total(&self) -> Result<Money, MoneyError> {
        total(&self.items)
    }

    fn line(&self, product_id: ProductId) -> Option<&Item> {
        self.items.iter().find(|item| item.product_id == product_id)
    }

    fn add(&self, offer: Offer, quantity: Quantity) -> Result<BasketEvent, BasketError> {
        offer.check()?;
        let item = if let Some(line) = self.line(offer.product_id) {
            line.quantity.plus(quantity).map_err(|_| BasketError::QuantityTooLarge)?;
            Item { quantity, ..line.clone() }
        } else if self.items.len() < MAX_LINES {
            offer.item(quantity)
        } else {
            return Err(BasketError::Full);
        };
        let more = item.total().and_then(|more| self.total()?.plus(more));
        more.map_err(|_| BasketError::TotalTooLarge)?;
        Ok(BasketEvent::BasketItemAdded { item })
    }

    // Asks nothing of the store: what went off sale can still be taken out.
    fn remove(
        &self,
        product_id: ProductId,
        quantity: Quantity,
    ) -> Result<BasketEvent, BasketError> {
        let line = self.line(product_id).ok_or(BasketError::ItemNotInBasket)?;
        Ok(BasketEvent::BasketItemRemoved { product_id, quantity: quantity.min(line.quantity) })
    }

    fn check_out(
        &self,
        tender: Tender,
        offers: &[Offer],
        accept_price_changes: bool,
    ) -> Result<BasketEvent, BasketError> {
        if self.items.is_empty() {
            return Err(BasketError::Empty);
        }
        if tender.customer_id != self.customer_id {
            return Err(BasketError::PaymentOfAnotherCustomer);
        }
        if !tender.authorized {
            return Err(BasketError::PaymentNotAuthorized);
        }

        let mut items = self.items.clone();
        let mut changes = Vec::new();
        for item in &mut items {
            let product_id = item.product_id;
            let offer = offers.iter().find(|offer| offer.product_id == product_id);
            let offer = offer.ok_or(BasketError::ProductRemoved { product_id })?;
            offer.check()?;
            if offer.price != item.price {
                changes.push(PriceChange { product_id, old: item.price, new: offer.price });
                item.price = offer.price;
            }
        }
        if !changes.is_empty() && !accept_price_changes {
            return Err(BasketError::PriceChanged { changes });
        }

        let total = total(&items).map_err(|_| BasketError::TotalTooLarge)?;
        Ok(BasketEvent::BasketCheckedOut {
            customer_id: self.customer_id,
            payment_id: tender.payment_id,
            items,
            total,
        })
    }

    fn with(mut self, item: Item) -> Self {
        match self.items.iter_mut().find(|line| line.product_id == item.product_id) {
            Some(line) => line.quantity = line.quantity.joined(item.quantity),
            None => self.items.push(item),
        }
        self
    }

    fn without(mut self, product_id: ProductId, quantity: Quantity) -> Self {
        self.items.retain_mut(|line| {
            if line.product_id != product_id {
                return true;
            }
            match line.quantity.minus(quantity) {
                Some(rest) => {
                    line.quantity = rest;
                    true
                }
                None => false,
            }
        });
        self
    }
}

impl Offer {
    fn check(&self) -> Result<(), BasketError> {
        let product_id = self.product_id;
        if self.removed {
            Err(BasketError::ProductRemoved { product_id })
        } else if !self.participating {
            Err(BasketError::StoreNotParticipating { product_id })
        } else {
            Ok(())
        }
    }

    fn item(self, quantity: Quantity) -> Item {
        Item {
            product_id: self.product_id,
            store_id: self.store_id,
            product_name: self.product_name,
            store_name: self.store_name,
            store_location: self.store_location,
            price: self.price,
            quantity,
        }
    }
}

impl Item {
    /// What the line costs.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.price.times(self.quantity.get())
    }
}

/// What these lines cost together.
pub fn total(items: &[Item]) -> Result<Money, MoneyError> {
    items.iter().try_fold(Money::ZERO, |sum, item| sum.plus(item.total()?))
}

#[cfg(test)]
mod tests;
