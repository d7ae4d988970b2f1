//! Tables come, go and come again, on each database.

#![expect(clippy::unwrap_used, reason = "what cannot go on has failed")]

use futures_util::future::join_all;
use mallbots_migrations::{LedgerMigrator, ViewsMigrator, up};
use mallbots_testing::{
    databases::{FreshDatabase, fresh_postgres, fresh_sqlite},
    postgres,
};
use sea_orm_migration::{
    MigrationTrait, MigratorTrait, SchemaManager, async_trait,
    prelude::{DeriveMigrationName, DynIden},
    sea_orm::{ConnectionTrait, Database, DbErr, Statement},
};

/// The tables there are, and their indexes.
async fn tables(place: &FreshDatabase) -> Vec<String> {
    let connection = &place.database.write;
    let backend = connection.get_database_backend();
    let sql = if place.folder().is_some() {
        "SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name"
    } else {
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type
         FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1"
    };
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn down_and_up_again(place: &FreshDatabase) {
    let connection = &place.database.write;
    ViewsMigrator::up(connection, None).await.unwrap();
    let before = tables(place).await;
    assert!(LedgerMigrator::get_pending_migrations(connection).await.unwrap().is_empty());
    assert!(ViewsMigrator::get_pending_migrations(connection).await.unwrap().is_empty());

    // The views go alone: they can be rebuilt, the ledger cannot.
    ViewsMigrator::down(connection, None).await.unwrap();
    assert!(SchemaManager::new(connection).has_table("messages").await.unwrap());
    ViewsMigrator::up(connection, None).await.unwrap();
    assert_eq!(tables(place).await, before);

    LedgerMigrator::down(connection, None).await.unwrap();
    assert!(!SchemaManager::new(connection).has_table("messages").await.unwrap());
    LedgerMigrator::up(connection, None).await.unwrap();
    assert_eq!(tables(place).await, before);
    // Once more is nothing more.
    LedgerMigrator::up(connection, None).await.unwrap();
    assert_eq!(tables(place).await, before);
}

#[tokio::test]
async fn sqlite_tables_go_and_come_again() {
    down_and_up_again(&fresh_sqlite().await.unwrap()).await;
}

#[tokio::test]
async fn postgres_tables_go_and_come_again() {
    down_and_up_again(&fresh_postgres().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_may_migrate_an_empty_database_at_once() {
    let place = postgres::empty().await.unwrap();
    let all = (0..8).map(|_| async {
        let connection = Database::connect(place.url()).await.unwrap();
        up::<LedgerMigrator>(&connection).await.unwrap();
        up::<ViewsMigrator>(&connection).await.unwrap();
        // Whoever is let through finds everything done.
        assert!(SchemaManager::new(&connection).has_table("orders").await.unwrap());
        connection.close().await.unwrap();
    });
    join_all(all).await;

    let connection = Database::connect(place.url()).await.unwrap();
    for table in ["ledger_migrations", "views_migrations"] {
        let sql = format!("SELECT count(*), count(DISTINCT version) FROM {table}");
        let count = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(count).await.unwrap().unwrap();
        let (all, distinct): (i64, i64) =
            (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        assert!(all > 0 && all == distinct);
    }
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let locks = Statement::from_string(connection.get_database_backend(), locks);
    // The server may take a moment to see that a connection was closed.
    while connection.query_one_raw(locks.clone()).await.unwrap().unwrap().try_get_by_index(0)
        != Ok(0_i64)
    {
        tokio::task::yield_now().await;
    }
    connection.close().await.unwrap();
}

/// The next version: it adds a column, as an expanding migration may.
struct NextVersion;

impl MigratorTrait for NextVersion {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = LedgerMigrator::migrations();
        all.push(Box::new(Expand));
        all
    }

    fn migration_table_name() -> DynIden {
        LedgerMigrator::migration_table_name()
    }
}

#[derive(DeriveMigrationName)]
struct Expand;

#[expect(elided_lifetimes_in_paths, reason = "`async_trait` must find the trait's own lifetimes")]
#[async_trait::async_trait]
impl MigrationTrait for Expand {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "ALTER TABLE settings ADD COLUMN note text";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}

async fn an_older_version_starts(place: &FreshDatabase) {
    let connection = &place.database.write;
    up::<NextVersion>(connection).await.unwrap();
    up::<LedgerMigrator>(connection).await.unwrap();
    up::<NextVersion>(connection).await.unwrap();
    let expanded = SchemaManager::new(connection).has_column("settings", "note").await.unwrap();
    assert!(expanded);
}

#[tokio::test]
async fn an_older_version_starts_on_the_tables_of_the_next() {
    an_older_version_starts(&fresh_postgres().await.unwrap()).await;
    an_older_version_starts(&fresh_sqlite().await.unwrap()).await;
}
