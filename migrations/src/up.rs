//! Migrating where many processes may start at once.

use std::time::Duration;

use sea_orm_migration::{
    MigratorTrait, SchemaManager,
    sea_orm::{
        ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, SqlxPostgresConnector,
        Statement, sqlx::postgres::PgPoolOptions,
    },
};
use tokio::time::sleep;
use tracing::info;

/// What PostgreSQL knows the right to migrate by: "mallbots" in ASCII.
const LOCK: i64 = 0x6d61_6c6c_626f_7473;
/// How often it is asked whether the one who migrates is done.
const LOOK: Duration = Duration::from_millis(100);
/// What a statement that waits for a busy table gives up after: behind it
/// everybody would wait who only wants to read.
const LOCK_TIMEOUT: &str = "10s";

/// Brings the tables to what this version needs.
///
/// On PostgreSQL one process at a time does so, and the others wait until it
/// is done; its connection is its own and has no statement timeout. A database
/// that a newer version has migrated is left as it is: what a newer version
/// does to the tables, the one before it can live with.
pub async fn up<M: MigratorTrait>(database: &DatabaseConnection) -> Result<(), DbErr> {
    if database.get_database_backend() != DatabaseBackend::Postgres {
        return migrate::<M>(database).await;
    }
    let options = database.get_postgres_connection_pool().connect_options();
    let options = options
        .as_ref()
        .clone()
        .options([("statement_timeout", "0"), ("lock_timeout", LOCK_TIMEOUT)]);
    // A single connection, so that the lock, which belongs to a connection, is
    // held by the one that migrates.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options);
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);

    let done = async {
        lock(&connection).await?;
        migrate::<M>(&connection).await
    };
    let done = done.await;
    // The lock goes with the connection, however it ends.
    connection.close().await?;
    done
}

/// Waits for its turn. It asks again and again rather than wait in a statement:
/// an index that is built concurrently would wait for that statement to end.
async fn lock(connection: &DatabaseConnection) -> Result<(), DbErr> {
    let backend = DatabaseBackend::Postgres;
    let mut is_told = false;
    loop {
        let ask = format!("SELECT pg_try_advisory_lock({LOCK})");
        let row = connection.query_one_raw(Statement::from_string(backend, ask)).await?;
        let row = row.ok_or_else(|| DbErr::Migration("a lock gave no answer".to_owned()))?;
        if row.try_get_by_index(0)? {
            return Ok(());
        }
        if !is_told {
            info!("another process migrates the database");
            is_told = true;
        }
        sleep(LOOK).await;
    }
}

async fn migrate<M: MigratorTrait>(connection: &DatabaseConnection) -> Result<(), DbErr> {
    if is_newer::<M>(connection).await? {
        info!("the tables are of a newer version");
        return Ok(());
    }
    M::up(connection, None).await
}

/// Whether everything this version knows is done, and more.
async fn is_newer<M: MigratorTrait>(connection: &DatabaseConnection) -> Result<bool, DbErr> {
    M::install(connection).await?;
    let State { missing, unknown } = compare::<M>(connection).await?;
    Ok(missing.is_empty() && !unknown.is_empty())
}

/// How a database stands against what this version needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What this version would do to it.
    pub missing: Vec<String>,
    /// What was done to it that this version does not know.
    pub unknown: Vec<String>,
}

/// Looks how a database stands, and changes nothing.
pub async fn state<M: MigratorTrait>(database: &DatabaseConnection) -> Result<State, DbErr> {
    let table = M::migration_table_name();
    if SchemaManager::new(database).has_table(table.inner()).await? {
        return compare::<M>(database).await;
    }
    let known = M::migrations();
    let missing = known.iter().map(|one| one.name().to_owned()).collect();
    Ok(State { missing, unknown: Vec::new() })
}

/// The same, once the table of what was done is there.
async fn compare<M: MigratorTrait>(connection: &DatabaseConnection) -> Result<State, DbErr> {
    let table = M::migration_table_name();
    let applied = connection
        .query_all_raw(Statement::from_string(
            connection.get_database_backend(),
            format!("SELECT version FROM {}", table.inner()),
        ))
        .await?;
    let applied: Vec<String> =
        applied.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let known: Vec<_> = M::migrations().iter().map(|one| one.name().to_owned()).collect();
    Ok(State {
        missing: known.iter().filter(|name| !applied.contains(name)).cloned().collect(),
        unknown: applied.iter().filter(|name| !known.contains(name)).cloned().collect(),
    })
}
