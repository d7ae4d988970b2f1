//! Money: whole minor units of the mall's one currency, never floats.

use std::fmt;

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

/// As people write it, with two decimals: `12.34`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

// By hand, so that an amount that cannot be does not come in through JSON.
impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_minor(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Money, MoneyError};
    use crate::testing::money;

    #[test]
    fn d65_money_is_whole_minor_units() {
        // 0.1 + 0.2 is 0.3, and a hundred thousand fits.
        assert_eq!(money(10).plus(money(20)), Ok(money(30)));
        assert_eq!(money(999).times(3), Ok(money(2_997)));
        assert_eq!(money(10_000_000).plus(money(1)), Ok(money(10_000_001)));
        assert!(serde_json::from_str::<Money>("9.99").is_err());
        assert_eq!(money(5).to_string(), "0.05");
        assert_eq!(money(i64::MAX).to_string(), "92233720368547758.07");
    }

    #[test]
    fn an_amount_is_not_negative() {
        assert_eq!(Money::from_minor(-1), Err(MoneyError::Negative));
        assert_eq!(Money::from_minor(0), Ok(Money::ZERO));
        assert!(serde_json::from_str::<Money>("-1").is_err());
    }

    #[test]
    fn an_amount_is_a_number_in_json() {
        assert_eq!(serde_json::to_string(&money(2_997)).unwrap(), "2997");
        assert_eq!(serde_json::from_str::<Money>("2997").unwrap(), money(2_997));
    }

    #[test]
    fn nothing_adds_up_to_nothing() {
        assert_eq!(Money::sum([]), Ok(Money::ZERO));
    }

    fn checked(exact: i128) -> Result<Money, MoneyError> {
        i64::try_from(exact).map_err(|_| MoneyError::Overflow).and_then(Money::from_minor)
    }

    proptest! {
        #[test]
        fn money_never_wraps(a in 0..=i64::MAX, b in 0..=i64::MAX, n in any::<u32>()) {
            prop_assert_eq!(money(a).plus(money(b)), checked(i128::from(a) + i128::from(b)));
            prop_assert_eq!(money(a).times(n), checked(i128::from(a) * i128::from(n)));
        }

        #[test]
        fn sums_never_wrap(amounts in proptest::collection::vec(0..=i64::MAX / 3, 0..8)) {
            let exact = amounts.iter().copied().map(i128::from).sum();
            prop_assert_eq!(Money::sum(amounts.into_iter().map(money)), checked(exact));
        }
    }
}
