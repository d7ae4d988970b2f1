//! Connections to the databases.

use std::{path::Path, sync::Arc, time::Duration};

use log::LevelFilter;
use sea_orm::{
    DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions,
        postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions},
        sqlite::{
            SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
            SqliteSynchronous,
        },
    },
};

use crate::error::StoreError;

/// How many connections read a file at once.
const SQLITE_READERS: u32 = 4;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 256;

/// Statements are logged for those who ask for `sqlx::query=trace`, never with
/// what they carry.
const LOGGED_AT: LevelFilter = LevelFilter::Trace;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file of this process.
    Sqlite,
    /// A server, shared by any number of processes.
    Postgres,
}

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: for what cannot be made again.
    Full,
    /// The death of the process: for what can be rebuilt.
    Normal,
}

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    /// Which database it is.
    pub kind: Backend,
    /// For writing. On SQLite one connection only, because several would fight
    /// over the lock; on PostgreSQL the same pool as `read`.
    pub write: DatabaseConnection,
    /// For reading. On SQLite these connections cannot write.
    pub read: DatabaseConnection,
    /// The file, on SQLite.
    pub path: Option<Arc<Path>>,
}

impl Database {
    /// Opens a file, making it if it is not there.
    pub async fn sqlite(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Normal => SqliteSynchronous::Normal,
            })
            .foreign_keys(false)
            // What a burst has made the log grow to is given back.
            .pragma("journal_size_limit", "67108864")
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(STATEMENTS)
            // Rows come from another thread: few hand-overs, not one a row.
            .row_buffer_size(1_024)
            .log_statements(LOGGED_AT)
            .log_slow_statements(LevelFilter::Off, Duration::MAX);

        // The writer comes first: it makes the file and turns the WAL on.
        let write = sqlite_pool(1).connect_with(options.clone()).await.map_err(broken)?;
        let read = sqlite_pool(SQLITE_READERS)
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(broken)?;

        Ok(Self {
            kind: Backend::Sqlite,
            write: SqlxSqliteConnector::from_sqlx_sqlite_pool(write),
            read: SqlxSqliteConnector::from_sqlx_sqlite_pool(read),
            path: Some(path.into()),
        })
    }

    /// Connects to a server.
    pub async fn postgres(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let options = url
            .parse::<PgConnectOptions>()
            .map_err(broken)?
            .application_name("mallbots")
            .statement_cache_capacity(STATEMENTS)
            .log_statements(LOGGED_AT)
            .log_slow_statements(LevelFilter::Off, Duration::MAX);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(10))
            // A ping before each use would cost a fifth of the throughput;
            // reads are tried again on another connection instead.
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(broken)?;
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);

        Ok(Self {
            kind: Backend::Postgres,
            write: connection.clone(),
            read: connection,
            path: None,
        })
    }

    /// Closes every connection, once those in use are given back.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.read.close_by_ref().await?;
        self.write.close_by_ref().await?;
        Ok(())
    }

    /// The pools as the driver knows them, for statements that no builder can make.
    pub(crate) fn pools(&self) -> Pools<'_> {
        match self.kind {
            Backend::Sqlite => Pools::Sqlite {
                write: self.write.get_sqlite_connection_pool(),
                read: self.read.get_sqlite_connection_pool(),
            },
            Backend::Postgres => Pools::Postgres(self.write.get_postgres_connection_pool()),
        }
    }
}

/// The driver's own pools.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pools<'a> {
    /// One writer and some readers.
    Sqlite {
        /// Of one connection.
        write: &'a SqlitePool,
        /// Of connections that cannot write.
        read: &'a SqlitePool,
    },
    /// One pool for all.
    Postgres(&'a PgPool),
}

/// A connection for the statements that run all the time. Each touches a few
/// rows by an index whatever the tables hold, so they are planned once, and
/// not by statistics that were taken when a table was empty.
pub(crate) async fn tuned(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let settings =
        [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")];
    pool.connect_options().as_ref().clone().options(settings).connect().await
}

fn sqlite_pool(max_connections: u32) -> SqlitePoolOptions {
    // Opening a connection costs more than keeping it.
    SqlitePoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(30))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// An error of the driver, as one of SeaORM.
pub(crate) fn broken(error: sqlx::Error) -> StoreError {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))).into()
}
