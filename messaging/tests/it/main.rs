//! The post, over a real ledger on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails in a test fails it")]
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::unchecked_time_subtraction,
    clippy::assigning_clones,
    clippy::default_trait_access,
    clippy::match_same_arms,
    reason = "scripts of acts read best with their default last, and in few words"
)]

mod accepting;
mod audit;
mod canceling;
mod cluster;
mod courier;
mod crew;
mod delivery;
mod engine;
mod exchange;
mod leases;
mod mall;
mod nats;
mod notifying;
mod parking;
mod patience;
mod policies;
mod processes;
mod relay;
mod restarts;
mod scripted;
mod streams;
mod twice;
mod webhook;
