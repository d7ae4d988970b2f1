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
    pub(crate) const fn joined(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after taking some away; `None` when nothing is.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        if self.0 > other.0 { Some(Self(self.0 - other.0)) } else { None }
    }
}
