//! The ledger's tables: what must never be lost.
//!
//! The statements are written out for each database: what makes the ledger
//! fast and safe (partial and expression indexes, `json` that keeps its text,
//! strict tables) has no common builder.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

mod m0001_ledger;
mod m0002_leases;

/// Brings the ledger's tables up to date.
#[derive(Debug, Clone, Copy)]
pub struct LedgerMigrator;

#[async_trait::async_trait]
impl MigratorTrait for LedgerMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_ledger::Migration), Box::new(m0002_leases::Migration)]
    }

    fn migration_table_name() -> DynIden {
        "ledger_migrations".into_iden()
    }
}

/// Runs the statements of the database at hand.
async fn run(manager: &SchemaManager<'_>, sqlite: &str, postgres: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let backend = connection.get_database_backend();
    let statements = if backend == DatabaseBackend::Postgres {
        postgres
    } else if backend == DatabaseBackend::Sqlite {
        sqlite
    } else {
        return Err(DbErr::Migration(format!("{backend:?} is not supported")));
    };
    connection.execute_unprepared(statements).await.map(drop)
}
