//! The depot: what bots collect, and the bots.

pub mod bot;
pub mod shopping_list;
