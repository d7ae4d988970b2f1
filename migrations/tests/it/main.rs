//! Tables come, go and come again, on each database.

#![expect(clippy::unwrap_used, reason = "what cannot go on has failed")]

use mallbots_migrations::{LedgerMigrator, ViewsMigrator};
use mallbots_testing::databases::{FreshDatabase, fresh_postgres, fresh_sqlite};
use sea_orm_migration::{
    MigratorTrait, SchemaManager,
    sea_orm::{ConnectionTrait, Statement},
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
