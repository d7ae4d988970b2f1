//! The views' tables: what can be rebuilt from the ledger.
//!
//! The statements are written out for each database: strict tables, collations
//! and room on the page have no common builder.

use sea_orm_migration::prelude::*;

use crate::step::step;

/// Brings the views' tables up to date.
#[derive(Debug, Clone, Copy)]
pub struct ViewsMigrator;

#[async_trait::async_trait]
impl MigratorTrait for ViewsMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![step!("views", "m0001_views"), step!("views", "m0002_rebuilds")]
    }

    fn migration_table_name() -> DynIden {
        "views_migrations".into_iden()
    }
}
