//! What tests stand on: fresh databases, and servers of their own.
//!
//! Tests run against the real thing or fail; nothing here stands in for a
//! database or a broker, and nothing is skipped because one is missing.

pub mod databases;
pub mod ledgers;
pub mod nats;
pub mod postgres;
pub mod prometheus;
pub mod servers;
pub mod shapes;
