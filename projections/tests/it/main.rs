//! The read side, from events to answers, on each database.

mod delivery;
mod library;
mod mall;
mod rows;
