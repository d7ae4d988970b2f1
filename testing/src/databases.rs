//! A database for one test, empty but for its tables.

use std::path::PathBuf;

use anyhow::Context;
use mallbots_eventstore::connect::{Backend, Database, Durability};
use mallbots_migrations::{LedgerMigrator, ViewsMigrator, up};
use tempfile::TempDir;

use crate::postgres;

/// How many connections a test may have to PostgreSQL at once.
const CONNECTIONS: u32 = 8;

/// A database that is gone when this is dropped.
#[derive(Debug)]
pub struct FreshDatabase {
    /// The ledger's tables; on PostgreSQL the views' as well.
    pub database: Database,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(TempDir),
    Server(postgres::TestDatabase),
}

/// A database of this kind, with all tables.
pub async fn fresh(kind: Backend) -> anyhow::Result<FreshDatabase> {
    match kind {
        Backend::Sqlite => fresh_sqlite().await,
        Backend::Postgres => fresh_postgres().await,
    }
}

/// A folder with an empty `ledger.db`.
pub async fn fresh_sqlite() -> anyhow::Result<FreshDatabase> {
    let folder = tempfile::Builder::new().prefix("mallbots-").tempdir()?;
    let database = Database::sqlite(&folder.path().join("ledger.db"), Durability::Full).await?;
    up::<LedgerMigrator>(&database.write).await?;
    Ok(FreshDatabase { database, place: Place::Folder(folder) })
}

/// An empty database on the tests' own server.
pub async fn fresh_postgres() -> anyhow::Result<FreshDatabase> {
    let place = postgres::fresh().await?;
    let database = Database::postgres(place.url(), CONNECTIONS).await?;
    Ok(FreshDatabase { database, place: Place::Server(place) })
}

/// Makes all tables in a database on a server.
pub async fn lay_out(database: &Database) -> anyhow::Result<()> {
    up::<LedgerMigrator>(&database.write).await?;
    up::<ViewsMigrator>(&database.write).await?;
    Ok(())
}

/// A folder with an empty `views.db`, or an empty database on the server.
pub async fn fresh_views(kind: Backend) -> anyhow::Result<FreshDatabase> {
    match kind {
        Backend::Postgres => fresh_postgres().await,
        Backend::Sqlite => {
            let folder = tempfile::Builder::new().prefix("mallbots-").tempdir()?;
            let path = folder.path().join("views.db");
            let database = Database::sqlite(&path, Durability::Normal).await?;
            up::<ViewsMigrator>(&database.write).await?;
            Ok(FreshDatabase { database, place: Place::Folder(folder) })
        }
    }
}

impl FreshDatabase {
    /// Connects to it once more, as another process would.
    pub async fn connect(&self) -> anyhow::Result<Database> {
        Ok(match &self.place {
            Place::Folder(_) => {
                let path = self.database.path.as_deref().context("a file has a path")?;
                Database::sqlite(path, Durability::Full).await?
            }
            Place::Server(server) => Database::postgres(server.url(), CONNECTIONS).await?,
        })
    }

    /// Where a process finds it: the URL of the server, or the folder of the file.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.path().display().to_string(),
            Place::Server(server) => server.url().to_owned(),
        }
    }

    /// The folder, on SQLite.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path().to_owned()),
            Place::Server(_) => None,
        }
    }
}
