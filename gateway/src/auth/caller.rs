//! Who asks, and what they may.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc, time::Duration};

use mallbots_domain::id::{CustomerId, StoreId};

use super::token::now;
use crate::config::one_of;

/// What somebody is to the mall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Role {
    /// Shops: has baskets, orders, payments and messages of their own.
    Customer,
    /// Runs stores of their own.
    StoreOwner,
    /// Works at the depot, with lists and bots.
    Depot,
    /// Operates the mall.
    Admin,
    /// Joins this schema with others on behalf of many.
    Router,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Customer, Self::StoreOwner, Self::Depot, Self::Admin, Self::Router];

    /// What it is called in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::StoreOwner => "store_owner",
            Self::Depot => "depot",
            Self::Admin => "admin",
            Self::Router => "router",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
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

/// Several roles.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < roles.len() {
            bits |= roles[at].bit();
            at += 1;
        }
        Self(bits)
    }

    /// Whether a role is one of them.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether they share one with others.
    #[must_use]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.each().map(Role::name).collect();
        f.write_str(if names.is_empty() { "nobody" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.each()).finish()
    }
}

/// What somebody may see and do. Two callers with equal rights see the same:
/// what one of them watches may be read once for both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// What they are.
    pub roles: Roles,
    /// The customer they are, as one.
    pub customer: Option<CustomerId>,
    /// The stores they run, as an owner of stores.
    pub stores: BTreeSet<StoreId>,
    /// Whether they may ask what the schema is.
    pub schema: bool,
}

impl Rights {
    /// All of it in one word, so that equal rights are equal words.
    #[must_use]
    pub fn word(&self) -> String {
        let Self { roles, customer, stores, schema } = self;
        format!("{roles:?} {customer:?} {stores:?} {schema}")
    }

    /// Whether they see and may do everything.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.roles.has(Role::Admin)
    }

    /// Whether they work at the depot.
    #[must_use]
    pub const fn is_depot(&self) -> bool {
        self.roles.has(Role::Depot)
    }

    /// Whether they are this customer, or may act for any.
    #[must_use]
    pub fn has_customer(&self, customer: CustomerId) -> bool {
        self.is_admin() || self.roles.has(Role::Customer) && self.customer == Some(customer)
    }

    /// Whether they run this store, or may act for any.
    #[must_use]
    pub fn has_store(&self, store: StoreId) -> bool {
        self.is_admin() || self.roles.has(Role::StoreOwner) && self.stores.contains(&store)
    }
}

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Arc<Known>);

#[derive(Debug, PartialEq, Eq)]
struct Known {
    subject: String,
    rights: Rights,
    expires_at: Option<u64>,
}

impl Caller {
    /// Somebody by the name their token gives them. `expires_at` is in seconds
    /// since 1970: from then on they are nobody.
    #[must_use]
    pub fn new(subject: impl Into<String>, rights: Rights, expires_at: Option<u64>) -> Self {
        Self(Arc::new(Known { subject: subject.into(), rights, expires_at }))
    }

    /// Who asks without a token in development mode: bound to this machine,
    /// everybody is the mall's administrator.
    #[must_use]
    pub fn developer() -> Self {
        let rights = Rights { roles: Roles::of(&[Role::Admin]), schema: true, ..Rights::default() };
        Self::new("admin", rights, None)
    }

    /// Everybody with the same rights.
    #[must_use]
    pub fn for_all(&self) -> Self {
        Self::new("everybody", self.rights().clone(), None)
    }

    /// As whom they are recorded with what they do.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// What they may see and do.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.0.rights
    }

    /// The same, who may also ask what the schema is.
    pub(super) fn who_knows_the_schema(self) -> Self {
        let Known { subject, rights, expires_at } = &*self.0;
        let rights = Rights { schema: true, ..rights.clone() };
        Self::new(subject, rights, *expires_at)
    }

    /// The same, asking through a router: what a router may is added, and it
    /// lasts as long as both.
    pub(super) fn through(&self, router: &Self) -> Self {
        let Known { subject, rights, expires_at } = &*self.0;
        let roles = rights.roles.each().chain([Role::Router]).collect();
        let ends = [*expires_at, router.0.expires_at];
        Self::new(subject, Rights { roles, ..rights.clone() }, ends.into_iter().flatten().min())
    }

    /// How long it is until they are nobody; none, if that never comes.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let end = Duration::from_secs(self.0.expires_at?);
        Some(end.saturating_sub(now()))
    }
}

#[cfg(test)]
mod tests {
    use mallbots_domain::id::EntityId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn roles_are_found_by_their_names_and_by_no_other() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(<Role as clap::ValueEnum>::from_str(role.name(), false), Ok(role));
        }
        for other in ["", "Admin", "root", "customer "] {
            assert!(other.parse::<Role>().is_err(), "{other:?}");
        }
    }

    #[test]
    fn an_id_counts_only_with_the_role_it_belongs_to() {
        let (customer, store) =
            (CustomerId::from_uuid(Uuid::now_v7()), StoreId::from_uuid(Uuid::now_v7()));
        let rights = |roles: &[Role]| Rights {
            roles: Roles::of(roles),
            customer: Some(customer),
            stores: [store].into(),
            schema: false,
        };
        assert!(rights(&[Role::Customer]).has_customer(customer));
        assert!(!rights(&[Role::Customer]).has_store(store));
        assert!(rights(&[Role::StoreOwner]).has_store(store));
        assert!(!rights(&[Role::StoreOwner, Role::Depot]).has_customer(customer));
        let other = CustomerId::from_uuid(Uuid::now_v7());
        assert!(!rights(&[Role::Customer]).has_customer(other));
        assert!(rights(&[Role::Admin]).has_customer(other));
    }
}
