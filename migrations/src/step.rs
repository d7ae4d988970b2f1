//! One migration: a name and its statements for each database.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

/// A migration that runs statements written out for each database.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
    /// The same on both.
    pub(crate) down: &'static str,
}

/// The migration whose statements are in the files of this name.
macro_rules! step {
    ($folder:literal, $name:literal) => {
        Box::new(crate::step::Step {
            name: $name,
            sqlite: include_str!(concat!($folder, "/", $name, ".sqlite.sql")),
            postgres: include_str!(concat!($folder, "/", $name, ".postgres.sql")),
            down: include_str!(concat!($folder, "/", $name, ".down.sql")),
        })
    };
}
pub(crate) use step;

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[expect(elided_lifetimes_in_paths, reason = "`async_trait` must find the trait's own lifetimes")]
#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.sqlite, self.postgres).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.down, self.down).await
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
