//! The door: everything between a client and the mall.
//!
//! This crate is the only one that knows of HTTP and GraphQL. It decides
//! nothing about the mall: inputs become commands, rows become objects.

pub mod startup;

pub mod auth;
pub mod transport;

pub mod pages;

pub mod error;

pub mod cli;
pub mod config;
#[cfg(feature = "test-support")]
pub mod failpoint;
pub mod telemetry;

pub mod client;

pub mod busywork;
pub mod demo;
pub mod doctor;

pub mod graphql;
pub mod health;
pub mod mall;
pub mod metrics;
pub mod verify;
