//! Payments and invoices.

pub mod invoice;
pub mod payment;
