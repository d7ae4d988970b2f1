//! The views' tables: what can be rebuilt from the ledger.

use sea_orm_migration::prelude::*;

/// Brings the views' tables up to date.
#[derive(Debug, Clone, Copy)]
pub struct ViewsMigrator;

#[async_trait::async_trait]
impl MigratorTrait for ViewsMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Vec::new()
    }

    fn migration_table_name() -> DynIden {
        "views_migrations".into_iden()
    }
}
