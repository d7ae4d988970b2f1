//! A store of the mall.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{Kind, StoreId},
    text::Name,
};

/// A store, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Store {
    /// No store was created under this id.
    #[default]
    Unknown,
    /// It is there; whether bots shop in it is its own decision.
    Open(StoreDetails),
}

/// What is known of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreDetails {
    /// What it is called.
    pub name: Name,
    /// Where in the mall it is.
    pub location: Name,
    /// Whether bots may shop in it.
    pub participating: bool,
}

impl Store {
    /// What is known of it, if it is there.
    pub const fn details(&self) -> Option<&StoreDetails> {
        match self {
            Self::Unknown => None,
            Self::Open(store) => Some(store),
        }
    }
}

/// What may be asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCommand {
    /// Open it.
    Create {
        /// What it is called.
        name: Name,
        /// Where in the mall it is.
        location: Name,
    },
    /// Let the bots shop in it.
    EnableParticipation,
    /// Stop the bots from shopping in it.
    DisableParticipation,
    /// Call it something else.
    Rebrand {
        /// The new name.
        name: Name,
    },
}

/// What has happened to a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreEvent {
    /// It was opened; it does not participate yet.
    StoreCreated {
        /// What it is called.
        name: Name,
        /// Where in the mall it is.
        location: Name,
    },
    /// Bots may shop in it.
    StoreParticipationEnabled {},
    /// Bots may no longer shop in it.
    StoreParticipationDisabled {},
    /// It has a new name.
    StoreRebranded {
        /// The new name.
        name: Name,
    },
}

/// Why a store said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No store has this id.
    #[error("there is no such store")]
    NotFound,
    /// A store has this id already.
    #[error("a store with this id exists")]
    Exists,
    /// Bots shop in it already.
    #[error("the store participates already")]
    AlreadyParticipating,
    /// Bots do not shop in it anyway.
    #[error("the store does not participate")]
    NotParticipating,
    /// It is called that already.
    #[error("the store is called that already")]
    NothingChanged,
}

impl DomainError for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::AlreadyParticipating | Self::NotParticipating => ErrorKind::AlreadyDone,
            Self::NothingChanged => ErrorKind::WrongState,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "STORE_NOT_FOUND",
            Self::Exists => "STORE_EXISTS",
            Self::AlreadyParticipating => "STORE_ALREADY_PARTICIPATING",
            Self::NotParticipating => "STORE_NOT_PARTICIPATING",
            Self::NothingChanged => "NOTHING_CHANGED",
        }
    }
}

impl Aggregate for Store {
    const KIND: Kind = Kind::Store;
    const CONTEXT: &'static str = "stores";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = StoreId;
    type Command = StoreCommand;
    type Event = StoreEvent;
    type Error = StoreError;

    fn decide(&self, command: StoreCommand) -> Result<Vec<StoreEvent>, StoreError> {
        use StoreCommand::{Create, DisableParticipation, EnableParticipation, Rebrand};

        match (command, self) {
            (Create { name, location }, Self::Unknown) => {
                Ok(vec![StoreEvent::StoreCreated { name, location }])
            }
            (Create { .. }, Self::Open(_)) => Err(StoreError::Exists),
            (EnableParticipation | DisableParticipation | Rebrand { .. }, Self::Unknown) => {
                Err(StoreError::NotFound)
            }

            (EnableParticipation, Self::Open(store)) if store.participating => {
                Err(StoreError::AlreadyParticipating)
            }
            (EnableParticipation, Self::Open(_)) => {
                Ok(vec![StoreEvent::StoreParticipationEnabled {}])
            }

            (DisableParticipation, Self::Open(store)) if !store.participating => {
                Err(StoreError::NotParticipating)
            }
            (DisableParticipation, Self::Open(_)) => {
                Ok(vec![StoreEvent::StoreParticipationDisabled {}])
            }

            (Rebrand { name }, Self::Open(store)) if store.name == name => {
                Err(StoreError::NothingChanged)
            }
            (Rebrand { name }, Self::Open(_)) => Ok(vec![StoreEvent::StoreRebranded { name }]),
        }
    }

    fn evolve(self, event: StoreEvent) -> Self {
        use StoreEvent::{
            StoreCreated, StoreParticipationDisabled, StoreParticipationEnabled, StoreRebranded,
        };

        match (event, self) {
            (StoreCreated { name, location }, _) => {
                Self::Open(StoreDetails { name, location, participating: false })
            }
            (StoreParticipationEnabled {}, Self::Open(store)) => {
                Self::Open(StoreDetails { participating: true, ..store })
            }
            (StoreParticipationDisabled {}, Self::Open(store)) => {
                Self::Open(StoreDetails { participating: false, ..store })
            }
            (StoreRebranded { name }, Self::Open(store)) => {
                Self::Open(StoreDetails { name, ..store })
            }
            (
                StoreParticipationEnabled {}
                | StoreParticipationDisabled {}
                | StoreRebranded { .. },
                Self::Unknown,
            ) => Self::Unknown,
        }
    }
}
