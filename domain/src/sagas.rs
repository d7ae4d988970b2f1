//! The mall's sagas, one file each: a table of steps.

pub mod cancel_order;
pub mod create_order;
