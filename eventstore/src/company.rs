//! Whether other processes want to hear of what this one appends.
//!
//! A notification costs a lone append a quarter of its time: the server wakes
//! the listeners before it answers. So nobody is notified when nobody else
//! listens. Who listens holds a shared lock that shows it, and says so to the
//! others when it begins.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use sea_orm::sqlx::{
    Error,
    postgres::{PgListener, PgPool},
    query, query_scalar,
};

use crate::appender::postgres::CHANNEL;

/// What is said on the channel, besides positions, by who begins to listen.
const GREETING: &str = "here";
/// The lock of those who listen, in each database its own.
const LOCK: i32 = 0x6D61_6C6C;

/// What a process knows about the others.
#[derive(Debug)]
pub(crate) struct Company {
    /// How many greetings were heard.
    greetings: AtomicU64,
    /// How many were when nobody else was found.
    alone_as_of: AtomicU64,
    /// The server's process that listens for this one.
    listener: AtomicI32,
}

impl Default for Company {
    fn default() -> Self {
        Self {
            greetings: AtomicU64::default(),
            alone_as_of: AtomicU64::new(u64::MAX),
            listener: AtomicI32::default(),
        }
    }
}

impl Company {
    /// Whether nobody else listens. Not known is no.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone_as_of.load(Ordering::Acquire) == self.greetings.load(Ordering::Acquire)
    }

    /// Takes what was said for a greeting, if it is one.
    pub(crate) fn hear(&self, said: &str) {
        if said == GREETING {
            self.greetings.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Makes this process's listener known to the others.
    pub(crate) async fn greet(&self, listener: &mut PgListener) -> Result<(), Error> {
        let process = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *listener).await?;
        self.listener.store(process, Ordering::Release);
        // The lock first: who hears the greeting finds it.
        query("SELECT pg_advisory_lock_shared($1, 0)").bind(LOCK).execute(&mut *listener).await?;
        let greeting = query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(GREETING);
        greeting.execute(&mut *listener).await.map(drop)
    }

    /// Looks who else listens.
    pub(crate) async fn look(&self, pool: &PgPool) -> Result<(), Error> {
        // Who greets while this is under way is not overlooked.
        let greetings = self.greetings.load(Ordering::Acquire);
        let others: i64 = query_scalar(
            "SELECT count(*) FROM pg_locks
             WHERE locktype = 'advisory' AND classid = $1::bigint::oid AND objid = 0::oid
                AND objsubid = 2 AND pid <> $2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .bind(i64::from(LOCK))
        .bind(self.listener.load(Ordering::Acquire))
        .fetch_one(pool)
        .await?;
        let alone_as_of = if others == 0 { greetings } else { u64::MAX };
        self.alone_as_of.store(alone_as_of, Ordering::Release);
        Ok(())
    }
}
