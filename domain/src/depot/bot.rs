//! A robot.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, DomainError, ErrorKind},
    id::{BotId, Kind, ShoppingListId},
    text::Name,
};

/// A bot's day, or the lack of a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bot {
    /// No bot was registered under this id.
    #[default]
    Unknown,
    /// It is out of work.
    Offline {
        /// What it is called.
        name: Name,
    },
    /// It waits for work.
    Idle {
        /// What it is called.
        name: Name,
    },
    /// It has a list.
    Active {
        /// What it is called.
        name: Name,
        /// The list it has.
        list_id: ShoppingListId,
    },
}

impl Bot {
    /// Where it stands, if there is such a bot.
    pub const fn status(&self) -> Option<BotStatus> {
        match self {
            Self::Unknown => None,
            Self::Offline { .. } => Some(BotStatus::Offline),
            Self::Idle { .. } => Some(BotStatus::Idle),
            Self::Active { .. } => Some(BotStatus::Active),
        }
    }

    /// What it is called.
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Unknown => None,
            Self::Offline { name } | Self::Idle { name } | Self::Active { name, .. } => Some(name),
        }
    }

    /// The list it has.
    pub const fn list_id(&self) -> Option<ShoppingListId> {
        match self {
            Self::Unknown | Self::Offline { .. } | Self::Idle { .. } => None,
            Self::Active { list_id, .. } => Some(*list_id),
        }
    }
}

/// What may be asked of a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BotCommand {
    /// Enter a new one, offline.
    Register {
        /// What it is called.
        name: Name,
    },
    /// Make it ready for work.
    BringOnline,
    /// Take it out of work; refused while it shops.
    TakeOffline,
    /// Give it a list; refused unless it is idle.
    Assign {
        /// The list.
        list_id: ShoppingListId,
    },
    /// Take this list from it again, done or not.
    Release {
        /// The list.
        list_id: ShoppingListId,
    },
}

/// What has happened to a bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BotEvent {
    /// A new bot, offline.
    BotRegistered {
        /// What it is called.
        name: Name,
    },
    /// It is ready for work.
    BotBroughtOnline {},
    /// It is out of work.
    BotTakenOffline {},
    /// It has a list.
    BotAssigned {
        /// The list.
        list_id: ShoppingListId,
    },
    /// It has no list any more and is idle.
    BotReleased {
        /// The list it had.
        list_id: ShoppingListId,
    },
}

/// Where a bot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BotStatus {
    /// Out of work.
    Offline,
    /// Waiting for work.
    Idle,
    /// At work.
    Active,
}

impl BotStatus {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "OFFLINE",
            Self::Idle => "IDLE",
            Self::Active => "ACTIVE",
        }
    }
}

/// Why a bot said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BotError {
    /// No bot has this id.
    #[error("there is no such bot")]
    NotFound,
    /// A bot has this id already.
    #[error("a bot with this id exists")]
    Exists,
    /// Only a bot that waits for work can take some, or go home.
    #[error("the bot is not idle")]
    NotIdle(BotStatus),
    /// It is ready for work, or at it.
    #[error("the bot is online already")]
    AlreadyOnline(BotStatus),
    /// It is out of work anyway.
    #[error("the bot is offline already")]
    AlreadyOffline,
    /// It does not have the list that is to be taken from it.
    #[error("the bot does not have that list")]
    AlreadyReleased(BotStatus),
}

impl DomainError for BotError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Exists => ErrorKind::Conflict,
            Self::NotIdle(_) => ErrorKind::WrongState,
            Self::AlreadyOnline(_) | Self::AlreadyOffline | Self::AlreadyReleased(_) => {
                ErrorKind::AlreadyDone
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "BOT_NOT_FOUND",
            Self::Exists => "BOT_EXISTS",
            Self::NotIdle(_) => "BOT_NOT_IDLE",
            Self::AlreadyOnline(_) => "BOT_ALREADY_ONLINE",
            Self::AlreadyOffline => "BOT_ALREADY_OFFLINE",
            Self::AlreadyReleased(_) => "BOT_ALREADY_RELEASED",
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Exists => None,
            Self::NotIdle(status) | Self::AlreadyOnline(status) | Self::AlreadyReleased(status) => {
                Some(status.as_str())
            }
            Self::AlreadyOffline => Some(BotStatus::Offline.as_str()),
        }
    }
}

impl Aggregate for Bot {
    const KIND: Kind = Kind::Bot;
    const CONTEXT: &'static str = "depot";
    const SNAPSHOT_SCHEMA: u32 = 1;

    type Id = BotId;
    type Command = BotCommand;
    type Event = BotEvent;
    type Error = BotError;

    fn decide(&self, command: BotCommand) -> Result<Vec<BotEvent>, BotError> {
        use BotCommand::{Assign, BringOnline, Register, Release, TakeOffline};

        let Some(status) = self.status() else {
            return match command {
                Register { name } => Ok(vec![BotEvent::BotRegistered { name }]),
                BringOnline | TakeOffline | Assign { .. } | Release { .. } => {
                    Err(BotError::NotFound)
                }
            };
        };
        match (command, status) {
            (Register { .. }, _) => Err(BotError::Exists),

            (BringOnline, BotStatus::Offline) => Ok(vec![BotEvent::BotBroughtOnline {}]),
            (BringOnline, BotStatus::Idle | BotStatus::Active) => {
                Err(BotError::AlreadyOnline(status))
            }

            (TakeOffline, BotStatus::Idle) => Ok(vec![BotEvent::BotTakenOffline {}]),
            (TakeOffline, BotStatus::Offline) => Err(BotError::AlreadyOffline),
            (TakeOffline, BotStatus::Active) => Err(BotError::NotIdle(status)),

            (Assign { list_id }, BotStatus::Idle) => Ok(vec![BotEvent::BotAssigned { list_id }]),
            (Assign { .. }, BotStatus::Offline | BotStatus::Active) => {
                Err(BotError::NotIdle(status))
            }

            (Release { list_id }, _) if self.list_id() == Some(list_id) => {
                Ok(vec![BotEvent::BotReleased { list_id }])
            }
            (Release { .. }, _) => Err(BotError::AlreadyReleased(status)),
        }
    }

    fn evolve(self, event: BotEvent) -> Self {
        use BotEvent::{
            BotAssigned, BotBroughtOnline, BotRegistered, BotReleased, BotTakenOffline,
        };

        match (event, self) {
            (BotRegistered { name }, _) | (BotTakenOffline {}, Self::Idle { name }) => {
                Self::Offline { name }
            }
            (BotBroughtOnline {}, Self::Offline { name })
            | (BotReleased { .. }, Self::Active { name, .. }) => Self::Idle { name },
            (BotAssigned { list_id }, Self::Idle { name }) => Self::Active { name, list_id },
            (
                BotBroughtOnline {} | BotTakenOffline {} | BotAssigned { .. } | BotReleased { .. },
                state,
            ) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bot, BotCommand, BotError, BotEvent, BotStatus};
    use crate::testing::{given, id, name};

    fn registered() -> BotEvent {
        BotEvent::BotRegistered { name: name("R2") }
    }

    fn offline() -> Vec<BotEvent> {
        vec![registered()]
    }

    fn idle() -> Vec<BotEvent> {
        vec![registered(), BotEvent::BotBroughtOnline {}]
    }

    fn active() -> Vec<BotEvent> {
        vec![registered(), BotEvent::BotBroughtOnline {}, BotEvent::BotAssigned { list_id: id(1) }]
    }

    fn register() -> BotCommand {
        BotCommand::Register { name: name("R2") }
    }

    fn assign(list: u32) -> BotCommand {
        BotCommand::Assign { list_id: id(list) }
    }

    fn release(list: u32) -> BotCommand {
        BotCommand::Release { list_id: id(list) }
    }

    #[test]
    fn a_new_bot_is_offline() {
        given::<Bot>([]).when(register()).then([registered()]);
        assert_eq!(given::<Bot>(offline()).state().status(), Some(BotStatus::Offline));
    }

    #[test]
    fn a_bot_is_registered_once() {
        for history in [offline(), idle(), active()] {
            given::<Bot>(history).when(register()).then_refused(BotError::Exists);
        }
    }

    #[test]
    fn an_offline_bot_is_brought_online() {
        given::<Bot>(offline()).when(BotCommand::BringOnline).then([BotEvent::BotBroughtOnline {}]);
        given::<Bot>(idle())
            .when(BotCommand::BringOnline)
            .then_refused(BotError::AlreadyOnline(BotStatus::Idle));
        given::<Bot>(active())
            .when(BotCommand::BringOnline)
            .then_refused(BotError::AlreadyOnline(BotStatus::Active));
    }

    #[test]
    fn only_an_idle_bot_is_taken_offline() {
        given::<Bot>(idle()).when(BotCommand::TakeOffline).then([BotEvent::BotTakenOffline {}]);
        given::<Bot>(offline())
            .when(BotCommand::TakeOffline)
            .then_refused(BotError::AlreadyOffline);
        given::<Bot>(active())
            .when(BotCommand::TakeOffline)
            .then_refused(BotError::NotIdle(BotStatus::Active));
    }

    #[test]
    fn an_idle_bot_takes_a_list() {
        given::<Bot>(idle()).when(assign(1)).then([BotEvent::BotAssigned { list_id: id(1) }]);
        let state = given::<Bot>(active()).state();
        assert_eq!(state.list_id(), Some(id(1)));
        assert_eq!(state.status(), Some(BotStatus::Active));
    }

    #[test]
    fn d62_only_an_idle_bot_takes_a_list() {
        given::<Bot>([]).when(assign(2)).then_refused(BotError::NotFound);
        given::<Bot>(offline()).when(assign(2)).then_refused(BotError::NotIdle(BotStatus::Offline));
        for list in [1, 2] {
            given::<Bot>(active())
                .when(assign(list))
                .then_refused(BotError::NotIdle(BotStatus::Active));
        }
    }

    #[test]
    fn a_bot_is_idle_again_once_its_list_is_taken() {
        let released = BotEvent::BotReleased { list_id: id(1) };
        given::<Bot>(active()).when(release(1)).then([released.clone()]);
        let state = given::<Bot>(active().into_iter().chain([released])).state();
        assert_eq!(state, given::<Bot>(idle()).state());
    }

    #[test]
    fn a_list_that_a_bot_does_not_have_is_not_taken_from_it() {
        for (history, status) in [
            (offline(), BotStatus::Offline),
            (idle(), BotStatus::Idle),
            (active(), BotStatus::Active),
        ] {
            given::<Bot>(history).when(release(2)).then_refused(BotError::AlreadyReleased(status));
        }
    }

    #[test]
    fn d44_a_bot_that_was_never_registered_does_nothing() {
        for command in [BotCommand::BringOnline, BotCommand::TakeOffline, assign(1), release(1)] {
            given::<Bot>([]).when(command).then_refused(BotError::NotFound);
        }
    }
}
