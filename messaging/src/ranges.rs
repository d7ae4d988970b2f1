//! The partitions of the ledger in ranges: what is leased, read and
//! checkpointed together.
//!
//! Whatever must happen in order has one key, and whoever shares a key shares
//! its partition, so no order is lost between ranges.

use std::ops::RangeInclusive;

use mallbots_domain::id::PARTITIONS;

/// How many ranges there are. Consumers are named after them.
pub const RANGES: u8 = 4;

const WIDTH: u8 = PARTITIONS / RANGES;

/// Some of the partitions, next to each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Range(RangeInclusive<u8>);

impl Range {
    /// All there are.
    pub const WHOLE: Self = Self(0..=PARTITIONS - 1);

    /// One of the [`RANGES`].
    #[must_use]
    pub const fn number(number: u8) -> Self {
        Self(number * WIDTH..=number * WIDTH + (WIDTH - 1))
    }

    /// The partitions.
    #[must_use]
    pub const fn partitions(&self) -> &RangeInclusive<u8> {
        &self.0
    }

    /// Whether a partition is one of them.
    #[must_use]
    pub fn has(&self, partition: u8) -> bool {
        self.0.contains(&partition)
    }
}

/// The range a partition is in.
#[must_use]
pub const fn of(partition: u8) -> u8 {
    partition / WIDTH
}

#[cfg(test)]
mod tests {
    use mallbots_domain::id::PARTITIONS;

    use super::{RANGES, Range, of};

    #[test]
    fn each_partition_is_in_one_range() {
        for partition in 0..PARTITIONS {
            let ranges: Vec<_> =
                (0..RANGES).filter(|number| Range::number(*number).has(partition)).collect();
            assert_eq!(ranges, [of(partition)]);
            assert!(Range::WHOLE.has(partition));
        }
    }
}
