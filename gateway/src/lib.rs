//! The door: everything between a client and the mall.
//!
//! This crate is the only one that knows of HTTP and GraphQL. It decides
//! nothing about the mall: inputs become commands, rows become objects.

pub mod transport;

pub mod error;
