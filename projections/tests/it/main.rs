//! The read side, from events to answers, on each database.

mod delivery;
mod feed;
mod library;
mod mall;
mod parking;
mod queries;
mod rows;
