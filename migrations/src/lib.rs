//! How the tables came to be, step by step.
//!
//! The ledger and the views migrate apart: the first is the truth and must
//! never be lost, the second can be thrown away and built again. They may
//! share a database (PostgreSQL) or live in two files (SQLite).

pub mod ledger;
pub mod views;

mod step;
mod up;

pub use ledger::LedgerMigrator;
pub use sea_orm_migration::MigratorTrait;
pub use up::{State, state, up};
pub use views::ViewsMigrator;
