//! The mall's rules: what may be asked, what then happens, and what follows.
//!
//! Everything here is pure. Nothing waits, reads a clock, mints an id or knows
//! of a database: time, ids and prices come in with the command. That is what
//! lets each rule be tested in microseconds and replayed for ever.
//!
//! Read `aggregate` first, then `ordering`, then `sagas`.

pub mod aggregate;
pub mod id;
pub mod money;
pub mod quantity;
pub mod text;

pub mod baskets;
pub mod customers;
pub mod depot;
pub mod notifications;
pub mod ordering;
pub mod payments;
pub mod stores;

pub mod event;
pub mod policies;
pub mod saga;
pub mod sagas;

#[cfg(any(test, feature = "test-support"))]
pub mod testing;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
