//! The library: what the mall looks like, kept in tables for whoever asks.
//!
//! The projector follows the ledger, folds each event into the rows it is
//! about and says which rows changed. Everything that is asked of the mall is
//! answered from these tables and from nothing else; they can be thrown away
//! and filled again from the ledger at any time.
//!
//! One module is one read model: its row, how events change it, and what may
//! be asked of it. Read `orders` first, then `projection` and `projector`.
//!
//! This crate knows nothing of GraphQL, and nothing here decides: a command
//! never looks at these tables.

pub mod column;
pub mod page;
pub mod reads;
pub mod row;
pub mod search;

pub mod baskets;
pub mod bots;
pub mod customers;
pub mod invoices;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod products;
pub mod sagas;
pub mod shopping_lists;
pub mod stores;
pub mod timeline;

pub mod audit;
pub mod changes;
pub mod feed;
pub mod metrics;
pub mod parked;
pub mod projector;
pub mod rebuild;
pub mod replica;
pub mod verify;

mod replay;
mod table;
mod tables;
