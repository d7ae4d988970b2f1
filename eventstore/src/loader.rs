//! Reads the histories of aggregates, those that are wanted at the same
//! moment together.
//!
//! A lone load waits for nobody; under load many share a round trip, which is
//! most of what a load costs.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::sqlx::{Error, postgres::PgConnection, query};
use tokio::{
    select,
    sync::{Semaphore, mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connect::{Database, Pools, broken, tuned},
    error::StoreError,
    sql::{self, Columns, narrow},
};

/// How many loads may share a statement.
const BATCH: usize = 512;
/// How many statements may be under way at once.
const STATEMENTS: usize = 2;
/// How many events of a stream are read at once.
pub(crate) const PAGE: i64 = 1_000;

/// What is wanted of a stream.
pub(crate) struct Wanted {
    pub(crate) stream: String,
    /// What is known of it already.
    pub(crate) after: i64,
    /// Which snapshots can be read; -1 for none.
    pub(crate) schema: i64,
    pub(crate) reply: oneshot::Sender<Result<History, StoreError>>,
}

/// A part of a stream's history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// A state that was kept, and the version it was kept at.
    pub(crate) snapshot: Option<(i64, String)>,
    /// The events behind it, or behind what was known; at most a page.
    pub(crate) events: Vec<Entry>,
}

/// An event, with no more than it takes to decode it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) schema_version: i32,
    pub(crate) payload: String,
}

/// Works until it is told to stop, then finishes what is queued.
pub(crate) async fn run(
    database: Database,
    mut queue: mpsc::Receiver<Wanted>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
) {
    let reader = Arc::new(Reader { database, idle: Mutex::default() });
    let permits = Arc::new(Semaphore::new(STATEMENTS));
    loop {
        // First the permit, so that what comes while all are busy comes together.
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let mut wanted = Vec::new();
        select! {
            count = queue.recv_many(&mut wanted, BATCH) => {
                if count == 0 {
                    break;
                }
            }
            () = shutdown.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        }
        let reader = reader.clone();
        tracker.spawn(async move {
            reader.serve(wanted).await;
            drop(permit);
        });
    }
}

struct Reader {
    database: Database,
    /// Connections to PostgreSQL that are not in use.
    idle: Mutex<Vec<PgConnection>>,
}

impl Reader {
    async fn serve(&self, wanted: Vec<Wanted>) {
        match sql::again(|| self.read(&wanted)).await {
            Ok(histories) => {
                for (wanted, history) in wanted.into_iter().zip(histories) {
                    // Whoever asked may have gone.
                    let _ = wanted.reply.send(Ok(history));
                }
            }
            Err(error) => {
                let error = broken(error);
                for wanted in wanted {
                    let _ = wanted.reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn read(&self, wanted: &[Wanted]) -> Result<Vec<History>, Error> {
        let mut histories: Vec<_> = wanted.iter().map(|_| History::default()).collect();
        match self.database.pools() {
            Pools::Sqlite { read, .. } => {
                let asked: Vec<_> =
                    wanted.iter().map(|one| (&*one.stream, one.after, one.schema)).collect();
                let asked =
                    serde_json::to_string(&asked).map_err(|error| Error::Encode(error.into()))?;
                let rows = query(sql::LOAD.sqlite).bind(asked).bind(PAGE).fetch_all(read).await?;
                rows.iter().try_for_each(|row| take_in(&mut histories, row))?;
            }
            Pools::Postgres { work: pool, .. } => {
                let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut connection = match idle {
                    Some(connection) => connection,
                    None => tuned(pool).await?,
                };
                let rows = query(sql::LOAD.postgres)
                    .bind(wanted.iter().map(|one| &*one.stream).collect::<Vec<_>>())
                    .bind(PAGE)
                    .bind(wanted.iter().map(|one| one.after).collect::<Vec<_>>())
                    .bind(wanted.iter().map(|one| one.schema).collect::<Vec<_>>())
                    .fetch_all(&mut connection)
                    .await?;
                // After an error the connection is not to be trusted, and is dropped.
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                rows.iter().try_for_each(|row| take_in(&mut histories, row))?;
            }
        }
        Ok(histories)
    }
}

fn take_in(histories: &mut [History], row: &dyn Columns) -> Result<(), Error> {
    let number: usize = narrow(row, 0)?;
    let history = histories
        .get_mut(number)
        .ok_or_else(|| Error::Protocol("an answer to no question".to_owned()))?;
    let version = row.int(2)?;
    let payload = row.text(5)?.to_owned();
    if row.int(1)? == 0 {
        history.snapshot = Some((version, payload));
    } else {
        history.events.push(Entry {
            version,
            name: row.text(3)?.to_owned(),
            schema_version: narrow(row, 4)?,
            payload,
        });
    }
    Ok(())
}
