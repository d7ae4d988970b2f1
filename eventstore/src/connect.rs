//! Connections to the databases.

use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use log::LevelFilter;
use metrics::Histogram;
use sea_orm::{
    DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions, Connection,
        postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions},
        sqlite::{
            SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
            SqliteSynchronous,
        },
    },
};

use crate::{error::StoreError, metrics::POOL_WAIT};

/// How many connections read a file at once.
const SQLITE_READERS: u32 = 4;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 256;

/// How long a connection may lie idle and be used again unasked: less than a
/// server takes to start.
const TRUSTED_FOR: Duration = Duration::from_millis(500);
/// How long a transaction may wait for whoever began it.
const IDLE_IN_TRANSACTION: &str = "10s";

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

impl Backend {
    /// What it is called in traces: `db.system.name`.
    #[must_use]
    pub const fn system_name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
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
///
/// Whoever may come in any number has connections of their own, so that they
/// take none from the others.
#[derive(Debug, Clone)]
pub struct Database {
    /// Which database it is.
    pub kind: Backend,
    /// For the work of the house: whatever writes, and the reads that this
    /// needs. On SQLite one connection only, because several would fight over
    /// the lock.
    pub write: DatabaseConnection,
    /// For the questions of people, which must not keep the work waiting. On
    /// SQLite these connections cannot write.
    pub read: DatabaseConnection,
    /// For seeing how it is: health checks, and where the ledger ends. Nobody
    /// else takes these.
    pub reserved: DatabaseConnection,
    /// A copy that may be behind, for questions that know how to wait for it.
    /// On PostgreSQL, if there is one.
    pub replica: Option<DatabaseConnection>,
    /// The file, on SQLite.
    pub path: Option<Arc<Path>>,
    pub(crate) waits: Waits,
}

/// How to connect to PostgreSQL.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is. May hold a password, and so is not shown.
    pub url: String,
    /// Where a copy is that may be behind, if there is one.
    pub replica_url: Option<String>,
    /// What the work of the house is given.
    pub work: PoolLimits,
    /// What the questions of people are given; on the replica as much again.
    pub questions: PoolLimits,
}

/// What a pool of connections is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many connections it has at most.
    pub connections: u32,
    /// How long a statement may take before the server ends it.
    pub statement_timeout: Duration,
    /// How long one waits for a connection before giving up.
    pub acquire_timeout: Duration,
}

impl PoolLimits {
    /// For the work of the house. It can wait, and must not fail for a moment's trouble.
    pub const WORK: Self = Self {
        connections: 8,
        statement_timeout: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(10),
    };
    /// For the questions of people, who would rather ask again than wait long.
    pub const QUESTIONS: Self = Self {
        connections: 8,
        statement_timeout: Duration::from_secs(5),
        acquire_timeout: Duration::from_secs(3),
    };
    /// For seeing how it is: one listens, one looks where the ledger ends, one
    /// asks after its health.
    pub const RESERVED: Self = Self {
        connections: 3,
        statement_timeout: Duration::from_secs(5),
        acquire_timeout: Duration::from_secs(5),
    };
}

impl PostgresOptions {
    /// The usual, with everything on one server.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            replica_url: None,
            work: PoolLimits::WORK,
            questions: PoolLimits::QUESTIONS,
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, replica_url, work, questions } = self;
        f.debug_struct("PostgresOptions")
            .field("has_replica", &replica_url.is_some())
            .field("work", work)
            .field("questions", questions)
            .finish_non_exhaustive()
    }
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
            // What it would take to undo a statement of many rows: not a file
            // made and thrown away for each batch.
            .pragma("temp_store", "memory")
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(STATEMENTS)
            // Rows come from another thread: few hand-overs, not one a row.
            .row_buffer_size(1_024)
            .log_statements(LOGGED_AT)
            .log_slow_statements(LevelFilter::Off, Duration::MAX);

        // The writer comes first: it makes the file and turns the WAL on.
        let write = sqlite_pool(1).connect_with(options.clone()).await.map_err(broken)?;
        let options = options.create_if_missing(false).read_only(true);
        let read =
            sqlite_pool(SQLITE_READERS).connect_with(options.clone()).await.map_err(broken)?;
        let reserved = sqlite_pool(1).connect_lazy_with(options);

        Ok(Self {
            kind: Backend::Sqlite,
            write: SqlxSqliteConnector::from_sqlx_sqlite_pool(write),
            read: SqlxSqliteConnector::from_sqlx_sqlite_pool(read),
            reserved: SqlxSqliteConnector::from_sqlx_sqlite_pool(reserved),
            replica: None,
            path: Some(path.into()),
            waits: Waits::default(),
        })
    }

    /// Connects to a server, with so many connections of each sort at most.
    pub async fn postgres(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let mut options = PostgresOptions::new(url);
        options.work.connections = max_connections;
        options.questions.connections = max_connections;
        Self::postgres_with(&options).await
    }

    /// Connects to a server. That a replica does not answer is no reason to fail.
    pub async fn postgres_with(options: &PostgresOptions) -> Result<Self, StoreError> {
        let primary = postgres_options(&options.url)?;
        let reserved = postgres_pool(&primary, PoolLimits::RESERVED);
        let replica = match &options.replica_url {
            Some(url) => Some(postgres_pool(&postgres_options(url)?, options.questions)),
            None => None,
        };
        // Somebody should find out now if it is not there.
        drop(reserved.acquire().await.map_err(broken)?);

        let connector = SqlxPostgresConnector::from_sqlx_postgres_pool;
        Ok(Self {
            kind: Backend::Postgres,
            write: connector(postgres_pool(&primary, options.work)),
            read: connector(postgres_pool(&primary, options.questions)),
            reserved: connector(reserved),
            replica: replica.map(connector),
            path: None,
            waits: Waits::default(),
        })
    }

    /// Opens a file only to look at it, also while a process works with it.
    pub async fn sqlite_read_only(path: &Path) -> Result<Self, StoreError> {
        Self::sqlite_to_look_at(path, false).await
    }

    /// Opens a file for one short look. Nothing is left beside a file that
    /// nobody has open: a log of another user's would keep its owner out. What
    /// is read of a file that is opened by others during the look may be wrong.
    pub async fn sqlite_for_a_glance(path: &Path) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self::sqlite_to_look_at(path, !Path::new(&log).exists()).await
    }

    async fn sqlite_to_look_at(path: &Path, is_at_rest: bool) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .immutable(is_at_rest)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            .log_statements(LOGGED_AT)
            .log_slow_statements(LevelFilter::Off, Duration::MAX);
        let pool = sqlite_pool(SQLITE_READERS).connect_with(options).await.map_err(broken)?;
        let connection = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
        Ok(Self {
            kind: Backend::Sqlite,
            write: connection.clone(),
            read: connection.clone(),
            reserved: connection,
            replica: None,
            path: Some(path.into()),
            waits: Waits::default(),
        })
    }

    /// Connects to a server only to look at it, for as long as that takes.
    pub async fn postgres_read_only(url: &str) -> Result<Self, StoreError> {
        let options = postgres_options(url)?.options([
            ("default_transaction_read_only", "on"),
            ("idle_in_transaction_session_timeout", "0"),
        ]);
        let limits =
            PoolLimits { connections: 4, statement_timeout: Duration::ZERO, ..PoolLimits::WORK };
        let pool = postgres_pool(&options, limits);
        drop(pool.acquire().await.map_err(broken)?);
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        Ok(Self {
            kind: Backend::Postgres,
            write: connection.clone(),
            read: connection.clone(),
            reserved: connection,
            replica: None,
            path: None,
            waits: Waits::default(),
        })
    }

    /// Closes every connection, once those in use are given back.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(replica) = &self.replica {
            replica.close_by_ref().await?;
        }
        self.read.close_by_ref().await?;
        self.reserved.close_by_ref().await?;
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
            Backend::Postgres => Pools::Postgres {
                work: self.write.get_postgres_connection_pool(),
                questions: self.read.get_postgres_connection_pool(),
                reserved: self.reserved.get_postgres_connection_pool(),
            },
        }
    }
}

/// On whose connections something is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those of the work of the house.
    Work,
    /// Those of the questions of people.
    Questions,
    /// Those that are kept for seeing how it is.
    Reserved,
}

/// Says how long one waits for a connection.
#[derive(Clone)]
pub(crate) struct Waits(Arc<[Histogram; 3]>);

impl Default for Waits {
    fn default() -> Self {
        Self(Arc::new(["work", "questions", "reserved"].map(|pool| POOL_WAIT.histogram(&[pool]))))
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waits")
    }
}

impl Waits {
    /// Waits for a connection.
    pub(crate) async fn timed<T>(&self, lane: Lane, acquired: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let connection = acquired.await;
        let [work, questions, reserved] = &*self.0;
        let histogram = match lane {
            Lane::Work => work,
            Lane::Questions => questions,
            Lane::Reserved => reserved,
        };
        histogram.record(began.elapsed());
        connection
    }
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// How many connections it has.
    pub size: u32,
    /// How many of them nobody uses.
    pub idle: u32,
    /// How many it may have.
    pub max: u32,
}

impl Database {
    /// How its pools stand, by what they are for.
    #[must_use]
    pub fn pool_status(&self) -> Vec<(&'static str, PoolStatus)> {
        let replica = self.replica.iter().map(|replica| ("replica", replica));
        let own = [("work", &self.write), ("questions", &self.read), ("reserved", &self.reserved)];
        let all = own.into_iter().chain(replica);
        all.map(|(name, connection)| (name, self.status_of(connection))).collect()
    }

    fn status_of(&self, connection: &DatabaseConnection) -> PoolStatus {
        let (size, idle, max) = match self.kind {
            Backend::Sqlite => {
                let pool = connection.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
            Backend::Postgres => {
                let pool = connection.get_postgres_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
        };
        PoolStatus { size, idle: u32::try_from(idle).unwrap_or(u32::MAX), max }
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
    /// One pool for each sort of user.
    Postgres {
        /// For the work of the house.
        work: &'a PgPool,
        /// For the questions of people.
        questions: &'a PgPool,
        /// For seeing how it is.
        reserved: &'a PgPool,
    },
}

/// A connection for the statements that run all the time. Each touches a few
/// rows by an index whatever the tables hold, so they are planned once, and
/// not by statistics that were taken when a table was empty.
pub(crate) async fn tuned(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let settings =
        [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")];
    pool.connect_options().as_ref().clone().options(settings).connect().await
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(url
        .parse::<PgConnectOptions>()
        .map_err(broken)?
        .application_name("mallbots")
        .statement_cache_capacity(STATEMENTS)
        .log_statements(LOGGED_AT)
        .log_slow_statements(LevelFilter::Off, Duration::MAX)
        // A process that is stopped in the middle must not stop the others.
        .options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION)]))
}

/// It connects when it is first used.
fn postgres_pool(options: &PgConnectOptions, limits: PoolLimits) -> PgPool {
    let timeout = limits.statement_timeout.as_millis().to_string();
    PgPoolOptions::new()
        .max_connections(limits.connections)
        .acquire_timeout(limits.acquire_timeout)
        // A ping before each use would cost a fifth of the throughput. One
        // that lay idle may have lost its server, and is asked.
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(
                async move { Ok(known.idle_for < TRUSTED_FOR || connection.ping().await.is_ok()) },
            )
        })
        .connect_lazy_with(options.clone().options([("statement_timeout", timeout)]))
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
