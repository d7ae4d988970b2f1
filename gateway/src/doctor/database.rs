//! PostgreSQL: whether it is there, lets us in, keeps what it is given, and
//! has the tables; and its replica.

use mallbots_eventstore::{
    checkup::{self, Server},
    connect::{Database, PoolLimits},
    error::StoreError,
};
use mallbots_migrations::{LedgerMigrator, State, ViewsMigrator, state};
use tokio::time::timeout;

use super::{Finding, PATIENCE, causes, clock};
use crate::config::{Config, Secret};

const AREA: &str = "database";
const REPLICA: &str = "replica";
/// The oldest version this is tested with.
const OLDEST: i64 = 150_000;

pub(super) async fn look(config: &Config, url: &Secret) -> Vec<Finding> {
    let database = match connect(url).await {
        Ok(database) => database,
        Err(reason) => return vec![away(AREA, "DATABASE_URL", &reason)],
    };
    let mut findings = Vec::new();
    match asked(checkup::postgres(&database)).await {
        Ok(server) => {
            findings.extend(server_itself(config, &server));
            findings.extend(tables(&database, AREA).await);
            findings.push(clock("PostgreSQL", server.ahead));
        }
        Err(reason) => findings.push(away(AREA, "DATABASE_URL", &reason)),
    }
    // What is closed badly is closed with the process.
    let _ = timeout(PATIENCE, database.close()).await;
    if let Some(url) = &config.database_read_url {
        findings.extend(replica(url).await);
    }
    findings
}

async fn replica(url: &Secret) -> Vec<Finding> {
    let database = match connect(url).await {
        Ok(database) => database,
        Err(reason) => return vec![away(REPLICA, "DATABASE_READ_URL", &reason)],
    };
    let found = match asked(checkup::postgres(&database)).await {
        Ok(server) if server.is_replica => Finding::good(REPLICA, "there, and follows"),
        Ok(_) => Finding::warning(
            REPLICA,
            "it follows nobody",
            "let DATABASE_READ_URL name a replica, or unset it: queries then go where the rest goes",
        ),
        Err(reason) => away(REPLICA, "DATABASE_READ_URL", &reason),
    };
    let _ = timeout(PATIENCE, database.close()).await;
    vec![found]
}

async fn connect(url: &Secret) -> Result<Database, String> {
    asked(Database::postgres_read_only(url.expose())).await
}

/// An answer, or why there is none.
async fn asked<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(causes(&error)),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

fn away(area: &'static str, setting: &str, reason: &str) -> Finding {
    let mend = format!(
        "see that the server runs and that {setting} has its host, port, name, user and \
         password; psql with the same address tells more"
    );
    Finding::bad(area, format!("cannot be used: {reason}"), mend)
}

/// How many connections this process takes at most.
fn wanted(config: &Config) -> i64 {
    let reads = match config.database_read_url {
        Some(_) => 0,
        None => config.database_reads.connections,
    };
    let PoolLimits { connections, .. } = PoolLimits::RESERVED;
    i64::from(config.database_work.connections) + i64::from(reads) + i64::from(connections)
}

fn server_itself(config: &Config, server: &Server) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = format!("PostgreSQL {}", server.version_name);
    findings.push(if server.version < OLDEST {
        Finding::warning(
            AREA,
            format!("{name} is older than what this is tested with"),
            "use 15 or later",
        )
    } else {
        Finding::good(AREA, name)
    });
    if server.is_replica {
        let mend = "let DATABASE_URL name the primary; a replica may be DATABASE_READ_URL";
        findings.push(Finding::bad(AREA, "it is a replica and takes nothing in", mend));
    }
    if server.fsync != "on" {
        let mend = "set fsync = on in postgresql.conf, and restart it";
        findings.push(Finding::bad(AREA, "fsync is off: a loss of power loses history", mend));
    }
    if server.synchronous_commit == "off" {
        let mend = "ALTER DATABASE … SET synchronous_commit = on";
        let found = "synchronous_commit is off: what was acknowledged may be lost";
        findings.push(Finding::bad(AREA, found, mend));
    }
    if server.full_page_writes != "on" {
        let mend = "set full_page_writes = on, unless the file system writes whole pages";
        findings.push(Finding::warning(AREA, "full_page_writes is off", mend));
    }
    let free = server.max_connections - server.connections;
    let wanted = wanted(config);
    if free < wanted {
        let found = format!(
            "{} of {} connections are in use; a process takes {wanted} at most",
            server.connections, server.max_connections
        );
        let mend = "raise max_connections there, or lower database_connections and \
                    database_read_connections";
        findings.push(Finding::warning(AREA, found, mend));
    }
    if !server.may_create {
        let mend = "let another user run mallbots migrate before each new version, or \
                    GRANT CREATE ON SCHEMA … TO this one";
        findings.push(Finding::warning(AREA, "this user may not make tables", mend));
    }
    findings
}

/// Whether the tables are there, as this version needs them.
pub(super) async fn tables(database: &Database, area: &'static str) -> Option<Finding> {
    let both = async {
        let ledger = state::<LedgerMigrator>(&database.read).await?;
        let views = state::<ViewsMigrator>(&database.read).await?;
        Ok::<_, StoreError>([ledger, views])
    };
    let found = match asked(both).await {
        Ok([ledger, views]) => migrated(area, "the tables", &[ledger, views]),
        Err(reason) => {
            let mend = "let this user read the schema";
            return Some(Finding::bad(area, format!("no looking at the tables: {reason}"), mend));
        }
    };
    if found.mend.is_some() {
        return Some(found);
    }
    last_ahead(database).await.or(Some(found))
}

/// What it means how the tables stand.
pub(super) fn migrated(area: &'static str, what: &str, states: &[State]) -> Finding {
    let missing: usize = states.iter().map(|state| state.missing.len()).sum();
    let unknown: usize = states.iter().map(|state| state.unknown.len()).sum();
    if missing > 0 {
        let found = format!("{what}: {missing} changes are still to be made for this version");
        let mend = "mallbots migrate makes them, and so does the next start";
        Finding::warning(area, found, mend)
    } else if unknown > 0 {
        Finding::good(area, format!("{what} are of a newer version, which this one can live with"))
    } else {
        Finding::good(area, format!("{what} are as this version needs them"))
    }
}

/// That the ledger was written by a clock that is ahead of ours, if so.
pub(super) async fn last_ahead(database: &Database) -> Option<Finding> {
    let ahead = asked(checkup::last_ahead(database)).await.ok()??;
    (ahead > 2_000_000).then(|| clock("the ledger's last message", ahead))
}
