//! What a database says of itself, for who looks whether it is fit. Nothing is
//! changed.

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};

use crate::{clock::Clock, connect::Database, error::StoreError};

/// What a PostgreSQL server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version for programs, such as 150004.
    pub version: i64,
    /// Its version for people.
    pub version_name: String,
    /// Whether what is committed is on its disk.
    pub fsync: String,
    /// Whether a commit waits for that.
    pub synchronous_commit: String,
    /// Whether it survives the loss of power in the middle of a page.
    pub full_page_writes: String,
    /// How many connections it lets in.
    pub max_connections: i64,
    /// How many there are.
    pub connections: i64,
    /// Whether it only follows another.
    pub is_replica: bool,
    /// Whether tables may be made in it.
    pub may_create: bool,
    /// By how much its clock is ahead of ours, in microseconds, to within half
    /// of what asking took.
    pub ahead: i64,
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The version of SQLite that reads it.
    pub version: String,
    /// How it is written: `wal`, if a mall made it.
    pub journal_mode: String,
}

/// Asks a server. On the connections for work.
pub async fn postgres(database: &Database) -> Result<Server, StoreError> {
    let before = Clock::System.now();
    let row = one(
        &database.write,
        "SELECT current_setting('server_version_num')::bigint, \
         current_setting('server_version'), current_setting('fsync'), \
         current_setting('synchronous_commit'), current_setting('full_page_writes'), \
         current_setting('max_connections')::bigint, \
         (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::bigint, \
         pg_is_in_recovery(), \
         coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), \
         (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    )
    .await?;
    let now = before.midpoint(Clock::System.now());
    Ok(Server {
        version: row.try_get_by_index(0)?,
        version_name: row.try_get_by_index(1)?,
        fsync: row.try_get_by_index(2)?,
        synchronous_commit: row.try_get_by_index(3)?,
        full_page_writes: row.try_get_by_index(4)?,
        max_connections: row.try_get_by_index(5)?,
        connections: row.try_get_by_index(6)?,
        is_replica: row.try_get_by_index(7)?,
        may_create: row.try_get_by_index(8)?,
        ahead: row.try_get_by_index::<i64>(9)?.saturating_sub(now),
    })
}

/// Asks about a file.
pub async fn sqlite(database: &Database) -> Result<File, StoreError> {
    let version = one(&database.read, "SELECT sqlite_version()").await?;
    let mode = one(&database.read, "PRAGMA journal_mode").await?;
    Ok(File { version: version.try_get_by_index(0)?, journal_mode: mode.try_get_by_index(0)? })
}

/// By how much the last message of the ledger is ahead of our clock, in
/// microseconds; nothing if there is none. The tables must be there.
pub async fn last_ahead(database: &Database) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT recorded_at FROM messages ORDER BY position DESC LIMIT 1";
    let row = database.read.query_one_raw(statement(&database.read, sql)).await?;
    let Some(row) = row else { return Ok(None) };
    let recorded_at: i64 = row.try_get_by_index(0)?;
    Ok(Some(recorded_at.saturating_sub(Clock::System.now())))
}

async fn one(connection: &DatabaseConnection, sql: &str) -> Result<QueryResult, StoreError> {
    let row = connection.query_one_raw(statement(connection, sql)).await?;
    row.ok_or_else(|| StoreError::from(sea_orm::DbErr::RecordNotFound(sql.to_owned())))
}

fn statement(connection: &DatabaseConnection, sql: &str) -> Statement {
    Statement::from_string(connection.get_database_backend(), sql)
}
