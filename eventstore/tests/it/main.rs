//! What the ledger promises, on SQLite and on PostgreSQL.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what cannot go on has failed")]

mod contract;
mod crash;
mod plans;
mod postgres;
mod servers;
mod sqlite;
mod tally;
