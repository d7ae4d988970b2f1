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

#[cfg(test)]
mod tests {
    use super::{Store, StoreCommand, StoreError, StoreEvent};
    use crate::testing::{given, name};

    fn created() -> StoreEvent {
        StoreEvent::StoreCreated { name: name("Waldorf Books"), location: name("level 2") }
    }

    fn create() -> StoreCommand {
        StoreCommand::Create { name: name("Waldorf Books"), location: name("level 2") }
    }

    fn rebrand(to: &str) -> StoreCommand {
        StoreCommand::Rebrand { name: name(to) }
    }

    #[test]
    fn a_new_store_does_not_participate() {
        given::<Store>([]).when(create()).then([created()]);
        let state = given::<Store>([created()]).state();
        assert!(!state.details().unwrap().participating);
    }

    #[test]
    fn d45_a_store_is_created_once() {
        given::<Store>([created()]).when(create()).then_refused(StoreError::Exists);
    }

    #[test]
    fn participation_is_enabled_once() {
        let enabled = StoreEvent::StoreParticipationEnabled {};
        given::<Store>([created()]).when(StoreCommand::EnableParticipation).then([enabled.clone()]);
        given::<Store>([created(), enabled])
            .when(StoreCommand::EnableParticipation)
            .then_refused(StoreError::AlreadyParticipating);
    }

    #[test]
    fn participation_is_disabled_once() {
        let enabled = StoreEvent::StoreParticipationEnabled {};
        let disabled = StoreEvent::StoreParticipationDisabled {};
        given::<Store>([created(), enabled.clone()])
            .when(StoreCommand::DisableParticipation)
            .then([disabled.clone()]);
        for history in [vec![created()], vec![created(), enabled, disabled]] {
            given::<Store>(history)
                .when(StoreCommand::DisableParticipation)
                .then_refused(StoreError::NotParticipating);
        }
    }

    #[test]
    fn a_store_takes_another_name_but_not_the_one_it_has() {
        let renamed = StoreEvent::StoreRebranded { name: name("Statler Books") };
        given::<Store>([created()]).when(rebrand("Statler Books")).then([renamed.clone()]);
        given::<Store>([created()])
            .when(rebrand("Waldorf Books"))
            .then_refused(StoreError::NothingChanged);
        given::<Store>([created(), renamed])
            .when(rebrand("Statler Books"))
            .then_refused(StoreError::NothingChanged);
    }

    #[test]
    fn a_new_name_leaves_the_rest_as_it_is() {
        let state = given::<Store>([
            created(),
            StoreEvent::StoreParticipationEnabled {},
            StoreEvent::StoreRebranded { name: name("Statler Books") },
        ])
        .state();
        let store = state.details().unwrap();
        assert_eq!(store.name, name("Statler Books"));
        assert_eq!(store.location, name("level 2"));
        assert!(store.participating);
    }

    #[test]
    fn d44_a_store_that_was_never_created_does_nothing() {
        for command in [
            StoreCommand::EnableParticipation,
            StoreCommand::DisableParticipation,
            rebrand("Statler Books"),
        ] {
            given::<Store>([]).when(command).then_refused(StoreError::NotFound);
        }
    }
}
