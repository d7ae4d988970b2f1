//! Hearing of what other processes append, on PostgreSQL.

use std::{sync::Arc, time::Duration};

use sea_orm::sqlx::{
    Error,
    postgres::{PgConnection, PgListener, PgPool, PgPoolOptions},
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{
    appender::postgres::CHANNEL,
    connect::{Database, Lane, Pools, broken},
    error::StoreError,
    message::Position,
    recent::Shared,
    sql::{self, Arg, Columns},
};

/// How long a position can go unheard when notifications do not come.
const POLL: Duration = Duration::from_secs(1);

/// Moves the head when another process says that it has moved.
pub(crate) async fn listen(database: Database, shared: Arc<Shared>, shutdown: CancellationToken) {
    // As those connect that nothing else can take.
    let Pools::Postgres { reserved: pool, .. } = database.pools() else { return };
    shutdown
        .run_until_cancelled(async {
            loop {
                let Err(error) = hear(pool, &database, &shared).await;
                debug!(error = &error as &dyn std::error::Error, "listening again");
                sleep(POLL).await;
            }
        })
        .await;
}

async fn hear(
    pool: &PgPool,
    database: &Database,
    shared: &Shared,
) -> Result<std::convert::Infallible, Error> {
    // Closed, and what it locks freed, when it is not listened to any more.
    let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let own = own.connect_lazy_with(pool.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    shared.company.greet(&mut listener).await?;
    loop {
        if let Some(notification) = listener.try_recv().await? {
            match notification.payload().parse() {
                Ok(position) => shared.advance(Position(position)),
                Err(_) => shared.company.hear(notification.payload()),
            }
        } else {
            // The connection was lost, and what was said meanwhile with it.
            shared.company.greet(&mut listener).await?;
            let _ = look(database, shared).await;
        }
    }
}

/// Moves the head now and then even if nobody says anything.
pub(crate) async fn look_now_and_then(
    database: Database,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_well = true;
    shutdown
        .run_until_cancelled(async {
            loop {
                ticks.tick().await;
                match look(&database, &shared).await {
                    Ok(()) => is_well = true,
                    // Once, not once a second.
                    Err(error) => {
                        if is_well {
                            let error: &dyn std::error::Error = &error;
                            warn!(error, "the head cannot be read");
                        }
                        is_well = false;
                    }
                }
            }
        })
        .await;
}

/// Sees where the ledger stands, and whether it is still the same.
async fn look(database: &Database, shared: &Shared) -> Result<(), StoreError> {
    let landmark = shared.landmark();
    let args = [Arg::int(landmark.message.map_or(0, |(position, _)| position.0))];
    let found = sql::fetch(database, Lane::Reserved, &sql::LOOK, &args, end).await?;
    if let Some((head, there)) = found.into_iter().next() {
        shared.seen(landmark, head, there);
    }
    if let Pools::Postgres { reserved: pool, .. } = database.pools() {
        shared.company.look(pool).await.map_err(broken)?;
    }
    Ok(())
}

/// The same through a connection that somebody is about to write on. False if
/// it leads to another ledger.
pub(crate) async fn is_the_same(
    connection: &mut PgConnection,
    shared: &Shared,
) -> Result<bool, Error> {
    let landmark = shared.landmark();
    let args = [Arg::int(landmark.message.map_or(0, |(position, _)| position.0))];
    let row = sql::for_postgres(&sql::LOOK, &args).fetch_one(connection).await?;
    let (head, there) = end(&row)?;
    Ok(shared.seen(landmark, head, there))
}

fn end(row: &dyn Columns) -> Result<(Position, Option<Uuid>), Error> {
    // An id that cannot be read is not the one that was looked for.
    let there = row.text_or_absent(1)?.and_then(|id| id.parse().ok());
    Ok((Position(row.int(0)?), there))
}
