//! The read side, from events to answers, on each database.

mod delivery;
mod feed;
mod histories;
mod library;
mod mall;
mod parking;
mod plans;
mod queries;
mod rows;
