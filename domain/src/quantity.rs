//! How many of something.

use serde::{Deserialize, Serialize};

/// The most pieces one line may hold.
pub const MAX_QUANTITY: u32 = 999;

/// A number of pieces, `1..=999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(u32);

/// A number of pieces that a line cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quantity must be from 1 to {MAX_QUANTITY}")]
pub struct QuantityError;

impl Quantity {
    /// Takes a number of pieces.
    pub const fn new(pieces: u32) -> Result<Self, QuantityError> {
        if 1 <= pieces && pieces <= MAX_QUANTITY { Ok(Self(pieces)) } else { Err(QuantityError) }
    }

    /// The number of pieces.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Both together, unless the line would hold too many.
    pub const fn plus(self, other: Self) -> Result<Self, QuantityError> {
        Self::new(self.0.saturating_add(other.0))
    }

    /// Both together, whatever the limit says today: history was checked when
    /// it was made.
    #[must_use]
    pub const fn joined(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after taking some away; `None` when nothing is.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        if self.0 > other.0 { Some(Self(self.0 - other.0)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{MAX_QUANTITY, Quantity, QuantityError};
    use crate::testing::pieces;

    #[test]
    fn d51_a_quantity_is_from_1_to_999() {
        for count in [0, 1_000, u32::MAX] {
            assert_eq!(Quantity::new(count), Err(QuantityError));
        }
        for count in [1, 999] {
            assert_eq!(Quantity::new(count).map(Quantity::get), Ok(count));
        }
    }

    #[test]
    fn what_is_left_is_at_least_one_or_nothing() {
        assert_eq!(pieces(3).minus(pieces(2)), Some(pieces(1)));
        assert_eq!(pieces(3).minus(pieces(3)), None);
        assert_eq!(pieces(3).minus(pieces(4)), None);
    }

    // History is not measured by a limit that was set later.
    #[test]
    fn a_stored_quantity_is_read_back_as_it_is() {
        let stored: Quantity = serde_json::from_str("1000").unwrap();
        assert_eq!(stored.get(), 1_000);
        assert_eq!(stored.plus(pieces(1)), Err(QuantityError));
        assert_eq!(stored.joined(pieces(1)).get(), 1_001);
    }

    proptest! {
        #[test]
        fn together_they_fit_or_are_refused(a in 1..=MAX_QUANTITY, b in 1..=MAX_QUANTITY) {
            prop_assert_eq!(pieces(a).plus(pieces(b)), Quantity::new(a + b));
        }

        #[test]
        fn quantities_never_wrap(a in any::<u32>(), b in any::<u32>()) {
            let [a, b] = [Quantity(a), Quantity(b)];
            let sum = u64::from(a.get()) + u64::from(b.get());
            prop_assert_eq!(u64::from(a.joined(b).get()), sum.min(u64::from(u32::MAX)));
            prop_assert_eq!(a.plus(b).is_ok(), (1..=999).contains(&sum));
        }
    }
}
