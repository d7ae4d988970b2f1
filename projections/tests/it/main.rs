//! The read side, from events to answers, on each database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// The same case on each database.
macro_rules! on_each_database {
    ($($(#[$attribute:meta])* $case:ident),* $(,)?) => {
        mod sqlite {
            $($(#[$attribute])* #[tokio::test] async fn $case() {
                super::$case(mallbots_eventstore::connect::Backend::Sqlite).await;
            })*
        }
        mod postgres {
            $($(#[$attribute])* #[tokio::test] async fn $case() {
                super::$case(mallbots_eventstore::connect::Backend::Postgres).await;
            })*
        }
    };
}

mod carried;
mod delivery;
mod feed;
mod histories;
mod library;
mod mall;
mod parking;
mod plans;
mod processes;
mod queries;
mod rebuild;
mod replica;
mod rows;
mod verify;
