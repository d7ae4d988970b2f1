//! Ids at the door.

use async_graphql::ID;
use mallbots_domain::id::{self, EntityId};
use uuid::Uuid;

use crate::error::{ClientError, ErrorCode, ForClient};

/// An id of a kind that is fixed by where it stands.
pub fn of<I: EntityId + std::str::FromStr<Err = id::IdError>>(
    given: &ID,
    field: &str,
) -> Result<I, ClientError> {
    given.parse().for_field(field)
}

/// The id of something new: the client's, or one made now.
pub fn new<I: EntityId>(chosen: Option<&ID>) -> Result<I, ClientError> {
    match chosen {
        Some(chosen) => id::chosen(chosen).for_field("id"),
        None => Ok(I::from_uuid(Uuid::now_v7())),
    }
}

/// That there is no such thing.
pub fn not_found(what: &str) -> ClientError {
    ClientError::new(ErrorCode::NotFound, format!("there is no such {what}"))
}
