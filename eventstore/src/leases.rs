//! Who does what only one may do at a time, among processes that share a ledger.
//!
//! Time is the database's own, so that processes whose clocks disagree still
//! agree on whose a lease is. A lease only spares double work: its holder may
//! be held up and lose it without noticing, so what must happen once is kept
//! apart by inbox, versions and checkpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    codec,
    error::StoreError,
    ledger::Ledger,
    sql::{self, Arg},
};

/// A lease as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who has it, or had it last.
    pub holder: String,
    /// A number that grows whenever the lease is taken.
    pub fence: i64,
    /// For how much longer it is held; nothing when it is free.
    pub left: Duration,
}

impl Ledger {
    /// Takes those of the leases that are free, prolongs those that `holder`
    /// has, and says how all leases stand afterwards.
    pub async fn hold_leases(
        &self,
        holder: &str,
        names: &[String],
        ttl: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        if !names.is_empty() {
            let args = vec![Arg::text(holder), list(names)?, micros(ttl)];
            self.run(vec![(sql::HOLD_LEASES, args)]).await?;
        }
        self.leases().await
    }

    /// How all leases stand, by name.
    pub async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let mut leases = self
            .rows(&sql::LEASES, &[], |row| {
                let left = u64::try_from(row.int(3)?).unwrap_or_default();
                Ok(Lease {
                    name: row.text(0)?.to_owned(),
                    holder: row.text(1)?.to_owned(),
                    fence: row.int(2)?,
                    left: Duration::from_micros(left),
                })
            })
            .await?;
        leases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(leases)
    }

    /// Gives leases back, as far as `holder` has them.
    pub async fn release_leases(&self, holder: &str, names: &[String]) -> Result<(), StoreError> {
        let args = vec![Arg::text(holder), list(names)?];
        self.run(vec![(sql::RELEASE_LEASES, args)]).await.map(drop)
    }

    /// Says that `member` is there to share the work of these groups, and
    /// returns who is, in every group.
    pub async fn attend(
        &self,
        member: &str,
        groups: &[String],
        ttl: Duration,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
        if !groups.is_empty() {
            let args = vec![Arg::text(member), list(groups)?, micros(ttl)];
            self.run(vec![(sql::ATTEND, args)]).await?;
        }
        let rows = self
            .rows(&sql::MEMBERS, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
            .await?;
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (group, member) in rows {
            groups.entry(group).or_default().insert(member);
        }
        Ok(groups)
    }

    /// Says that `member` is gone from all groups.
    pub async fn leave(&self, member: &str) -> Result<(), StoreError> {
        self.run(vec![(sql::LEAVE, vec![Arg::text(member)])]).await.map(drop)
    }
}

fn list(names: &[String]) -> Result<Arg, StoreError> {
    let names = serde_json::to_string(names)
        .map_err(|error| codec::undecodable("names", "a lease", error))?;
    Ok(Arg::Text(Some(names)))
}

fn micros(ttl: Duration) -> Arg {
    Arg::Int(Some(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX / 2)))
}
