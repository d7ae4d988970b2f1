//! The post, over a real ledger on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails in a test fails it")]

mod accepting;
mod canceling;
mod crew;
mod engine;
mod mall;
mod notifying;
mod parking;
mod patience;
mod policies;
mod processes;
mod restarts;
mod scripted;
mod twice;
mod webhook;
