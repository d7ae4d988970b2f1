//! The ledger: one gapless, commit-ordered history of everything that was
//! said in the mall, on SQLite or PostgreSQL.
//!
//! It is event store and outbox at once: events, commands and replies enter
//! in one transaction and are read from here by whoever carries them on, so
//! nothing is ever published "after the commit".
//!
//! This crate knows aggregates only by their trait. It knows nothing of
//! brokers, read models or GraphQL.

pub mod message;
pub mod trace;

pub mod append;
pub mod error;

pub mod clock;
pub mod connect;
pub mod ledger;
pub mod metrics;

pub mod aggregates;
pub mod tail;
pub mod unit;

pub mod answers;
pub mod audit;
pub mod checkpoints;
pub mod checkup;
pub mod dead_letters;
pub mod leases;
pub mod partitions;
pub mod settings;
pub mod standing;
pub mod timers;

pub mod codec;
pub mod upcast;

mod appender;
mod company;
mod listen;
mod loader;
mod recent;
pub mod sql;
mod turns;
