//! Hearing of what other processes append, on PostgreSQL.

use std::{sync::Arc, time::Duration};

use sea_orm::sqlx::{
    Error,
    postgres::{PgListener, PgPool},
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    appender::postgres::CHANNEL,
    connect::{Database, Pools},
    error::StoreError,
    message::Position,
    recent::Shared,
    sql,
};

/// How long a position can go unheard when notifications do not come.
const POLL: Duration = Duration::from_secs(1);

/// Moves the head when another process says that it has moved.
pub(crate) async fn listen(database: Database, shared: Arc<Shared>, shutdown: CancellationToken) {
    let Pools::Postgres(pool) = database.pools() else { return };
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
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        match listener.try_recv().await? {
            Some(notification) => {
                if let Ok(position) = notification.payload().parse() {
                    shared.advance(Position(position));
                }
            }
            // The connection was lost, and what was said meanwhile with it.
            None => {
                let _ = look(database, shared).await;
            }
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

async fn look(database: &Database, shared: &Shared) -> Result<(), StoreError> {
    let head = sql::fetch(database, &sql::HEAD, &[], sql::int).await?;
    if let Some(head) = head.first() {
        shared.advance(Position(*head));
    }
    Ok(())
}
