//! Connections to the databases.

use std::{path::Path, sync::Arc};

use sea_orm::DatabaseConnection;

use crate::error::StoreError;

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
    /// For writing. On SQLite one connection only.
    pub write: DatabaseConnection,
    /// For reading. On SQLite read-only connections, on PostgreSQL the same pool.
    pub read: DatabaseConnection,
    /// The file, on SQLite.
    pub path: Option<Arc<Path>>,
}

impl Database {
    /// Opens the file, making it if it is not there.
    pub async fn sqlite(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let _ = (path, durability);
        unimplemented!()
    }

    /// Connects to a server.
    pub async fn postgres(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let _ = (url, max_connections);
        unimplemented!()
    }
}
