//! Money: whole minor units of the mall's one currency, never floats.

use serde::{Deserialize, Serialize};

/// An amount of money, zero or more, in minor units (cents).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Money(i64);

/// An amount that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Below zero.
    #[error("an amount of money cannot be negative")]
    Negative,
    /// More than fits.
    #[error("the amount is too large")]
    Overflow,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Takes an amount in minor units.
    pub const fn from_minor(minor: i64) -> Result<Self, MoneyError> {
        if minor < 0 { Err(MoneyError::Negative) } else { Ok(Self(minor)) }
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The sum, unless it does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// So many times the amount, unless it does not fit.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        self.0.checked_mul(i64::from(quantity)).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The sum of many amounts, unless it does not fit.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}

// By hand, so that an amount that cannot be does not come in through JSON.
impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_minor(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
