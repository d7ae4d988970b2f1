//! The views' tables: what can be rebuilt from the ledger.
//!
//! The statements are written out for each database: strict tables, collations
//! and room on the page have no common builder.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

mod m0001_views;
mod m0002_rebuilds;

/// Brings the views' tables up to date.
#[derive(Debug, Clone, Copy)]
pub struct ViewsMigrator;

#[async_trait::async_trait]
impl MigratorTrait for ViewsMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_views::Migration), Box::new(m0002_rebuilds::Migration)]
    }

    fn migration_table_name() -> DynIden {
        "views_migrations".into_iden()
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
