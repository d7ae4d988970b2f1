//! What a process does, of all there is to do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use mallbots_messaging::inbound::CONTEXTS;

use super::one_of;

/// A kind of work that a process may do or leave to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Serves GraphQL.
    Gateway,
    /// Handles the commands that contexts are sent, and acts on events.
    Commands,
    /// Runs sagas.
    Sagas,
    /// Keeps the read models.
    Projector,
    /// Publishes the ledger on NATS.
    Relay,
    /// Tells customers.
    Notifier,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Gateway, Self::Commands, Self::Sagas, Self::Projector, Self::Relay, Self::Notifier];

    /// What it is called in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Commands => "commands",
            Self::Sagas => "sagas",
            Self::Projector => "projector",
            Self::Relay => "relay",
            Self::Notifier => "notifier",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        one_of(&Self::ALL, Self::name, "a role", text)
    }
}

/// A context, by its name.
pub(super) fn context(text: &str) -> Result<&'static str, String> {
    one_of(&CONTEXTS, |context| context, "a context with work to do", text)
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duties {
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// The contexts whose commands it handles, if that is one of its roles.
    pub contexts: BTreeSet<&'static str>,
}

impl Duties {
    /// Everything that can be done, with NATS or without.
    #[must_use]
    pub fn all(nats: bool) -> Self {
        Self {
            roles: Role::ALL.into_iter().filter(|role| *role != Role::Relay || nats).collect(),
            contexts: CONTEXTS.into(),
        }
    }

    /// Whether a role is one of them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl fmt::Display for Duties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        f.write_str(&roles.join(","))
    }
}
