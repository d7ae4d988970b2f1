//! Stores and what they sell.

pub mod product;
pub mod store;
