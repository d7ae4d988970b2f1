//! Given what happened, when this is asked, then that happens: how the rules
//! are tested, here and in the crates above.

use std::fmt::Debug;

use uuid::Uuid;

use crate::{
    aggregate::{Aggregate, replay},
    baskets::{Item, Offer},
    id::{EntityId, ProductId, StoreId},
    money::Money,
    quantity::Quantity,
    text::{Name, Reason},
};

/// Begins with what has happened.
pub fn given<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(replay(history))
}

/// An aggregate with a history.
#[derive(Debug)]
#[must_use = "nothing was asked of it yet"]
pub struct Given<A>(A);

impl<A: Aggregate> Given<A> {
    /// Asks something of it.
    pub fn when(self, command: A::Command) -> When<A> {
        When(self.0.decide(command))
    }

    /// What its history has made of it.
    pub fn state(self) -> A {
        self.0
    }
}

/// What an aggregate answered.
#[derive(Debug)]
#[must_use = "nothing was expected of it yet"]
pub struct When<A: Aggregate>(Result<Vec<A::Event>, A::Error>);

impl<A: Aggregate> When<A>
where
    A::Event: PartialEq + Debug,
{
    /// Expects that this happens, in this order, and nothing else.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }

    /// Expects a refusal.
    #[track_caller]
    pub fn then_refused(self, error: A::Error) {
        assert_eq!(self.0, Err(error));
    }
}

/// The `n`th id of its kind: the same one in each test, and fit to be chosen
/// by a client.
#[must_use]
pub fn id<I: EntityId>(n: u32) -> I {
    I::from_uuid(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 | u128::from(n)))
}

/// A name. Panics if it is not fit to be one.
#[must_use]
#[track_caller]
pub fn name(text: &str) -> Name {
    fit(Name::new(text))
}

/// A reason. Panics if it is not fit to be one.
#[must_use]
#[track_caller]
pub fn reason(text: &str) -> Reason {
    fit(Reason::new(text))
}

/// So many minor units. Panics below zero.
#[must_use]
#[track_caller]
pub fn money(minor: i64) -> Money {
    fit(Money::from_minor(minor))
}

/// So many pieces. Panics if no line can hold them.
#[must_use]
#[track_caller]
pub fn pieces(count: u32) -> Quantity {
    fit(Quantity::new(count))
}

/// The `n`th product of the mall as offered by its store, the first one unless
/// said otherwise.
#[must_use]
#[track_caller]
pub fn offer(n: u32, minor: i64) -> Offer {
    Offer {
        product_id: id::<ProductId>(n),
        store_id: id::<StoreId>(1),
        product_name: name(&format!("product {n}")),
        store_name: name("store 1"),
        store_location: name("level 1"),
        price: money(minor),
        participating: true,
        removed: false,
    }
}

/// A line of that offer.
#[must_use]
#[track_caller]
pub fn item(n: u32, count: u32, minor: i64) -> Item {
    let offer = offer(n, minor);
    Item {
        product_id: offer.product_id,
        store_id: offer.store_id,
        product_name: offer.product_name,
        store_name: offer.store_name,
        store_location: offer.store_location,
        price: offer.price,
        quantity: pieces(count),
    }
}

#[track_caller]
fn fit<T, E: Debug>(parsed: Result<T, E>) -> T {
    match parsed {
        Ok(value) => value,
        Err(error) => panic!("not fit for a test: {error:?}"),
    }
}
