//! A product of a store.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{Kind, ProductId, StoreId},
    money::Money,
    text::{Description, Name, Sku},
};

/// A product, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Product {
    /// No product was added under this id.
    #[default]
    Unknown,
    /// It can be bought.
    OnSale(ProductDetails),
    /// It was taken off sale, for good.
    Removed(ProductDetails),
}

/// What is known of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductDetails {
    /// The store that sells it.
    pub store_id: StoreId,
    /// What it is called.
    pub name: Name,
    /// What it is like.
    pub description: Description,
    /// The store's own number for it.
    pub sku: Sku,
    /// What one piece costs.
    pub price: Money,
}

impl Product {
    /// What is known of it, on sale or not.
    pub const fn details(&self) -> Option<&ProductDetails> {
        match self {
            Self::Unknown => None,
            Self::OnSale(product) | Self::Removed(product) => Some(product),
        }
    }

    /// Whether it went off sale.
    pub const fn removed(&self) -> bool {
        matches!(self, Self::Removed(_))
    }
}

/// What may be asked of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductCommand {
    /// Put it on sale. That the store exists and that the SKU is free there is
    /// the caller's to see to: the ledger claims the SKU in the same append.
    Add {
        /// The store that sells it.
        store_id: StoreId,
        /// What it is called.
        name: Name,
        /// What it is like.
        description: Description,
        /// The store's own number for it.
        sku: Sku,
        /// What one piece costs.
        price: Money,
    },
    /// Describe it anew.
    Rebrand {
        /// The new name.
        name: Name,
        /// The new description.
        description: Description,
    },
    /// Make it dearer.
    IncreasePrice {
        /// The new price, above the present one.
        price: Money,
    },
    /// Make it cheaper.
    DecreasePrice {
        /// The new price, below the present one.
        price: Money,
    },
    /// Take it off sale, for good.
    Remove,
}

/// What has happened to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductEvent {
    /// It went on sale.
    ProductAdded {
        /// The store that sells it.
        store_id: StoreId,
        /// What it is called.
        name: Name,
        /// What it is like.
        description: Description,
        /// The store's own number for it.
        sku: Sku,
        /// What one piece costs.
        price: Money,
    },
    /// It was described anew.
    ProductRebranded {
        /// The new name.
        name: Name,
        /// The new description.
        description: Description,
    },
    /// It became dearer. Absolute prices: applied twice, nothing changes.
    ProductPriceIncreased {
        /// The price before.
        old: Money,
        /// The price now.
        new: Money,
    },
    /// It became cheaper.
    ProductPriceDecreased {
        /// The price before.
        old: Money,
        /// The price now.
        new: Money,
    },
    /// It went off sale.
    ProductRemoved {},
}

/// Why a product said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// No product has this id.
    #[error("there is no such product")]
    NotFound,
    /// A product has this id already.
    #[error("a product with this id exists")]
    Exists,
    /// It is off sale, for good.
    #[error("the product was removed")]
    Removed,
    /// It is off sale already.
    #[error("the product was removed already")]
    AlreadyRemoved,
    /// It is described like that already.
    #[error("the product is described like that already")]
    NothingChanged,
    /// An increase must increase.
    #[error("the new price is not above the present one")]
    PriceNotHigher,
    /// A decrease must decrease.
    #[error("the new price is not below the present one")]
    PriceNotLower,
}

impl DomainError for ProductError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AlreadyRemoved => ErrorKind::AlreadyDone,
            Self::Removed | Self::NothingChanged | Self::PriceNotHigher | Self::PriceNotLower => {
                ErrorKind::WrongState
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "PRODUCT_NOT_FOUND",
            Self::Exists => "PRODUCT_EXISTS",
            Self::Removed => "PRODUCT_REMOVED",
            Self::AlreadyRemoved => "PRODUCT_ALREADY_REMOVED",
            Self::NothingChanged => "NOTHING_CHANGED",
            Self::PriceNotHigher => "PRICE_NOT_HIGHER",
            Self::PriceNotLower => "PRICE_NOT_LOWER",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::PriceNotHigher | Self::PriceNotLower => Some("price"),
            Self::NotFound
            | Self::Exists
            | Self::Removed
            | Self::AlreadyRemoved
            | Self::NothingChanged => None,
        }
    }
}

impl Aggregate for Product {
    const KIND: Kind = Kind::Product;
    const CONTEXT: &'static str = "stores";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = ProductId;
    type Command = ProductCommand;
    type Event = ProductEvent;
    type Error = ProductError;

    fn decide(&self, command: ProductCommand) -> Result<Vec<ProductEvent>, ProductError> {
        use ProductCommand::{Add, DecreasePrice, IncreasePrice, Rebrand, Remove};

        match (command, self) {
            (Add { store_id, name, description, sku, price }, Self::Unknown) => {
                Ok(vec![ProductEvent::ProductAdded { store_id, name, description, sku, price }])
            }
            (Add { .. }, Self::OnSale(_) | Self::Removed(_)) => Err(ProductError::Exists),
            (
                Rebrand { .. } | IncreasePrice { .. } | DecreasePrice { .. } | Remove,
                Self::Unknown,
            ) => Err(ProductError::NotFound),

            (Rebrand { name, description }, Self::OnSale(product))
                if product.name == name && product.description == description =>
            {
                Err(ProductError::NothingChanged)
            }
            (Rebrand { name, description }, Self::OnSale(_)) => {
                Ok(vec![ProductEvent::ProductRebranded { name, description }])
            }

            (IncreasePrice { price }, Self::OnSale(product)) if price <= product.price => {
                Err(ProductError::PriceNotHigher)
            }
            (IncreasePrice { price }, Self::OnSale(product)) => {
                Ok(vec![ProductEvent::ProductPriceIncreased { old: product.price, new: price }])
            }

            (DecreasePrice { price }, Self::OnSale(product)) if price >= product.price => {
                Err(ProductError::PriceNotLower)
            }
            (DecreasePrice { price }, Self::OnSale(product)) => {
                Ok(vec![ProductEvent::ProductPriceDecreased { old: product.price, new: price }])
            }

            (Remove, Self::OnSale(_)) => Ok(vec![ProductEvent::ProductRemoved {}]),
            (Remove, Self::Removed(_)) => Err(ProductError::AlreadyRemoved),
            (Rebrand { .. } | IncreasePrice { .. } | DecreasePrice { .. }, Self::Removed(_)) => {
                Err(ProductError::Removed)
            }
        }
    }

    fn evolve(self, event: ProductEvent) -> Self {
        use ProductEvent::{
            ProductAdded, ProductPriceDecreased, ProductPriceIncreased, ProductRebranded,
            ProductRemoved,
        };

        match (event, self) {
            (ProductAdded { store_id, name, description, sku, price }, _) => {
                Self::OnSale(ProductDetails { store_id, name, description, sku, price })
            }
            (ProductRebranded { name, description }, Self::OnSale(product)) => {
                Self::OnSale(ProductDetails { name, description, ..product })
            }
            (
                ProductPriceIncreased { new, .. } | ProductPriceDecreased { new, .. },
                Self::OnSale(product),
            ) => Self::OnSale(ProductDetails { price: new, ..product }),
            (ProductRemoved {}, Self::OnSale(product)) => Self::Removed(product),
            (
                ProductRebranded { .. }
                | ProductPriceIncreased { .. }
                | ProductPriceDecreased { .. }
                | ProductRemoved {},
                state @ (Self::Unknown | Self::Removed(_)),
            ) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Product, ProductCommand, ProductError, ProductEvent};
    use crate::{
        testing::{given, id, money, name},
        text::{Description, Sku},
    };

    fn description(text: &str) -> Description {
        Description::new(text).unwrap()
    }

    fn add() -> ProductCommand {
        ProductCommand::Add {
            store_id: id(1),
            name: name("tea"),
            description: description("green"),
            sku: Sku::new("T-1").unwrap(),
            price: money(1_000),
        }
    }

    fn added() -> ProductEvent {
        ProductEvent::ProductAdded {
            store_id: id(1),
            name: name("tea"),
            description: description("green"),
            sku: Sku::new("T-1").unwrap(),
            price: money(1_000),
        }
    }

    fn removed() -> Vec<ProductEvent> {
        vec![added(), ProductEvent::ProductRemoved {}]
    }

    fn rebrand(to: &str, like: &str) -> ProductCommand {
        ProductCommand::Rebrand { name: name(to), description: description(like) }
    }

    fn increase(minor: i64) -> ProductCommand {
        ProductCommand::IncreasePrice { price: money(minor) }
    }

    fn decrease(minor: i64) -> ProductCommand {
        ProductCommand::DecreasePrice { price: money(minor) }
    }

    #[test]
    fn a_product_is_added_once() {
        given::<Product>([]).when(add()).then([added()]);
        given::<Product>([added()]).when(add()).then_refused(ProductError::Exists);
        given::<Product>(removed()).when(add()).then_refused(ProductError::Exists);
    }

    #[test]
    fn a_product_may_cost_nothing() {
        given::<Product>([added()])
            .when(decrease(0))
            .then([ProductEvent::ProductPriceDecreased { old: money(1_000), new: money(0) }]);
    }

    #[test]
    fn a_product_is_described_anew_when_anything_changes() {
        for (to, like) in [("tea", "black"), ("chai", "green"), ("chai", "black")] {
            given::<Product>([added()]).when(rebrand(to, like)).then([
                ProductEvent::ProductRebranded { name: name(to), description: description(like) },
            ]);
        }
        given::<Product>([added()])
            .when(rebrand("tea", "green"))
            .then_refused(ProductError::NothingChanged);
    }

    #[test]
    fn prices_are_recorded_old_and_new() {
        given::<Product>([added()])
            .when(increase(1_001))
            .then([ProductEvent::ProductPriceIncreased { old: money(1_000), new: money(1_001) }]);
        given::<Product>([added()])
            .when(decrease(999))
            .then([ProductEvent::ProductPriceDecreased { old: money(1_000), new: money(999) }]);
    }

    #[test]
    fn d66_a_price_change_changes_the_price_in_its_direction() {
        for minor in [0, 999, 1_000] {
            given::<Product>([added()])
                .when(increase(minor))
                .then_refused(ProductError::PriceNotHigher);
        }
        for minor in [1_000, 1_001] {
            given::<Product>([added()])
                .when(decrease(minor))
                .then_refused(ProductError::PriceNotLower);
        }
    }

    #[test]
    fn the_next_change_starts_from_the_last_price() {
        let dearer = ProductEvent::ProductPriceIncreased { old: money(1_000), new: money(1_500) };
        given::<Product>([added(), dearer.clone()])
            .when(decrease(1_200))
            .then([ProductEvent::ProductPriceDecreased { old: money(1_500), new: money(1_200) }]);
        // Absolute prices: a fact that arrives twice changes nothing.
        let once = given::<Product>([added(), dearer.clone()]).state();
        let twice = given::<Product>([added(), dearer.clone(), dearer]).state();
        assert_eq!(once, twice);
    }

    #[test]
    fn a_product_goes_off_sale_once() {
        given::<Product>([added()])
            .when(ProductCommand::Remove)
            .then([ProductEvent::ProductRemoved {}]);
        given::<Product>(removed())
            .when(ProductCommand::Remove)
            .then_refused(ProductError::AlreadyRemoved);
    }

    #[test]
    fn d45_a_removed_product_stays_as_it_was() {
        for command in [rebrand("chai", "black"), increase(2_000), decrease(500)] {
            given::<Product>(removed()).when(command).then_refused(ProductError::Removed);
        }
        let state = given::<Product>(removed()).state();
        assert!(state.removed());
        assert_eq!(state.details(), given::<Product>([added()]).state().details());
    }

    #[test]
    fn d44_a_product_that_was_never_added_does_nothing() {
        for command in
            [rebrand("chai", "black"), increase(2_000), decrease(500), ProductCommand::Remove]
        {
            given::<Product>([]).when(command).then_refused(ProductError::NotFound);
        }
    }
}
