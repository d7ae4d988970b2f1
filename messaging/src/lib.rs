//! The post: carries what the ledger holds to whoever must act on it.
//!
//! Consumers read the ledger's tail and hand each message to the one context
//! it concerns. What a handler does, what it answers and that it handled the
//! message enter the ledger in one append, so every message takes effect
//! exactly once, however often it is delivered.
//!
//! Read `contexts` for what the contexts can do, `inbound` for what makes them
//! do it, `sagas` for the runner, and `consumer` for the engine under all.

pub mod announcements;
pub mod audit;
pub mod checkup;
pub mod consumer;
pub mod contexts;
pub mod dead_letters;
pub mod envelope;
pub mod inbound;
pub mod intake;
pub mod leases;
pub mod metrics;
pub mod nats;
pub mod notifier;
pub mod post;
pub mod ranges;
pub mod relay;
pub mod retry;
pub mod sagas;
pub mod streams;
pub mod timers;
pub mod wire;
