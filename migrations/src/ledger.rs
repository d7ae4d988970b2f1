//! The ledger's tables: what must never be lost.
//!
//! The statements are written out for each database: what makes the ledger
//! fast and safe (partial and expression indexes, `json` that keeps its text,
//! strict tables) has no common builder.

use sea_orm_migration::prelude::*;

use crate::step::step;

/// Brings the ledger's tables up to date.
#[derive(Debug, Clone, Copy)]
pub struct LedgerMigrator;

#[async_trait::async_trait]
impl MigratorTrait for LedgerMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            step!("ledger", "m0001_ledger"),
            step!("ledger", "m0002_leases"),
            step!("ledger", "m0003_lean_checks"),
        ]
    }

    fn migration_table_name() -> DynIden {
        "ledger_migrations".into_iden()
    }
}
