//! The statements that read, in the words of each database, and what carries
//! them there.
//!
//! They are public so that tests can ask the databases how they would run
//! them; nobody else has a use for them.

use std::{str::FromStr, time::Duration};

use mallbots_domain::id::AnyId;
use sea_orm::sqlx::{
    self, Error, Row,
    error::DatabaseError,
    postgres::{PgArguments, PgRow, Postgres},
    query::Query,
    sqlite::{Sqlite, SqliteArguments, SqliteRow},
};
use tracing::debug;
use uuid::Uuid;

use crate::{
    connect::{Database, Lane, Pools, broken},
    error::StoreError,
    message::{MessageKind, Position, Recorded, Version},
};

/// A statement in the words of each database.
#[derive(Debug, Clone, Copy)]
pub struct Sql {
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

impl Sql {
    /// A statement that both understand.
    const fn both(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// A value that is bound to a statement. Its type must not depend on the
/// value: PostgreSQL prepares a statement once for one set of types.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
}

impl Arg {
    pub(crate) fn int(value: impl Into<i64>) -> Self {
        Self::Int(Some(value.into()))
    }

    pub(crate) fn text(value: &(impl ToString + ?Sized)) -> Self {
        Self::Text(Some(value.to_string()))
    }
}

macro_rules! columns {
    (sqlite) => {
        "position, kind, stream, version, name, schema_version, message_id, payload, metadata, recorded_at"
    };
    (postgres) => {
        "position, kind, stream, version, name, schema_version, message_id::text, payload, metadata, recorded_at"
    };
}

/// Messages, the same for both but for how a UUID is written.
macro_rules! messages {
    ($rest:literal) => {
        Sql {
            sqlite: concat!("SELECT ", columns!(sqlite), " FROM messages ", $rest),
            postgres: concat!("SELECT ", columns!(postgres), " FROM messages ", $rest),
        }
    };
}

/// The head of the ledger.
pub const HEAD: Sql = Sql::both("SELECT position FROM ledger_head WHERE id = 1");
/// The head, and which message stands where one is known to stand.
pub const LOOK: Sql = Sql {
    sqlite: "SELECT position, (SELECT message_id FROM messages WHERE position = $1)
        FROM ledger_head WHERE id = 1",
    postgres: "SELECT position, (SELECT message_id::text FROM messages WHERE position = $1)
        FROM ledger_head WHERE id = 1",
};
/// The head, the last message there is, and when it was recorded.
pub const END: Sql = Sql::both(
    "SELECT position, coalesce((SELECT max(position) FROM messages), 0),
        coalesce((SELECT recorded_at FROM messages ORDER BY position DESC LIMIT 1), 0)
     FROM ledger_head WHERE id = 1",
);
/// Messages of all kinds, in order.
pub const READ: Sql =
    messages!("WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3");
/// Messages of some partitions, in order. They are walked by position and the
/// others left out: an index over partitions would have to be sorted.
pub const READ_PARTITIONS: Sql = messages!(
    "WHERE position > $1 AND position <= $2 AND partition + 0 BETWEEN $3 AND $4
        ORDER BY position LIMIT $5"
);
/// A stream's events, in order.
pub const READ_STREAM: Sql =
    messages!("WHERE stream = $1 AND kind = 'event' AND version > $2 ORDER BY version LIMIT $3");
/// How many events a stream has.
pub const STREAM_VERSION: Sql = Sql::both(
    "SELECT coalesce(max(version), 0) FROM messages WHERE stream = $1 AND kind = 'event'",
);
/// Everything said by or to one thing: its events are found by their versions,
/// which are in the order of their positions, the rest by position.
pub const READ_ABOUT: Sql = Sql {
    sqlite: concat!(
        "SELECT * FROM (SELECT ",
        columns!(sqlite),
        " FROM messages WHERE stream = $1 AND kind = 'event' AND position > $2
            ORDER BY version LIMIT $3)
        UNION ALL SELECT * FROM (SELECT ",
        columns!(sqlite),
        " FROM messages WHERE stream = $1 AND kind <> 'event' AND position > $2
            ORDER BY position LIMIT $3)
        ORDER BY position LIMIT $3"
    ),
    postgres: concat!(
        "SELECT * FROM (SELECT ",
        columns!(postgres),
        " FROM messages WHERE stream = $1 AND kind = 'event' AND position > $2
            ORDER BY version LIMIT $3) AS e
        UNION ALL SELECT * FROM (SELECT ",
        columns!(postgres),
        " FROM messages WHERE stream = $1 AND kind <> 'event' AND position > $2
            ORDER BY position LIMIT $3) AS m
        ORDER BY position LIMIT $3"
    ),
};
/// One message.
pub const MESSAGE: Sql = Sql {
    sqlite: concat!("SELECT ", columns!(sqlite), " FROM messages WHERE message_id = $1"),
    postgres: concat!("SELECT ", columns!(postgres), " FROM messages WHERE message_id = $1::uuid"),
};
/// Several messages.
pub const MESSAGES: Sql = Sql {
    sqlite: concat!(
        "SELECT ",
        columns!(sqlite),
        " FROM messages WHERE message_id IN (SELECT value FROM json_each($1)) ORDER BY position"
    ),
    postgres: concat!(
        "SELECT ",
        columns!(postgres),
        " FROM messages WHERE message_id = ANY (ARRAY (
            SELECT value::uuid FROM json_array_elements_text($1::json) AS i (value)))
        ORDER BY position"
    ),
};
/// What followed from several messages.
pub const CAUSED_BY: Sql = Sql {
    sqlite: concat!(
        "SELECT ",
        columns!(sqlite),
        " FROM messages WHERE causation_id IN (SELECT value FROM json_each($1)) ORDER BY position"
    ),
    postgres: concat!(
        "SELECT ",
        columns!(postgres),
        " FROM messages WHERE causation_id = ANY (ARRAY (
            SELECT value::uuid FROM json_array_elements_text($1::json) AS i (value)))
        ORDER BY position"
    ),
};
/// What was answered before.
pub const RECALL: Sql = Sql::both(
    "SELECT fingerprint, result, first_position, last_position FROM idempotency
     WHERE caller = $1 AND key = $2",
);
/// Answers that are old enough to forget.
pub(crate) const FORGET_ANSWERS: Sql = Sql::both("DELETE FROM idempotency WHERE answered_at < $1");
/// Timers that are due.
pub const DUE_TIMERS: Sql = Sql {
    sqlite: "SELECT owner, name, due_at, kind, stream, message_name, message_id, payload, metadata
        FROM timers WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
    postgres: "SELECT owner, name, due_at, kind, stream, message_name, message_id::text, payload,
        metadata FROM timers WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
};
/// How many timers are set, how many of them are due, and since when.
pub(crate) const TIMERS: Sql = Sql::both(
    "SELECT count(*), coalesce(sum(CASE WHEN due_at <= $1 THEN 1 ELSE 0 END), 0),
        coalesce(min(due_at), 0) FROM timers",
);
/// How many messages each consumer has set aside, and since when.
pub const DEAD_LETTER_COUNTS: Sql = Sql::both(
    "SELECT consumer, count(*), min(first_failed_at) FROM dead_letters GROUP BY consumer",
);
/// When the messages behind some positions were recorded.
pub const RECORDED_AT: Sql = Sql {
    sqlite: "SELECT p.value, coalesce((SELECT recorded_at FROM messages WHERE position = p.value + 1), 0)
        FROM json_each($1) AS p",
    postgres: "SELECT p.value::bigint,
            coalesce((SELECT recorded_at FROM messages WHERE position = p.value::bigint + 1), 0)
        FROM json_array_elements_text($1::json) AS p (value)",
};
/// When the next timer is due.
pub const NEXT_TIMER: Sql = Sql::both("SELECT due_at FROM timers ORDER BY due_at LIMIT 1");
/// How far a consumer has come.
pub const CHECKPOINTS: Sql =
    Sql::both("SELECT partition, position FROM checkpoints WHERE consumer = $1");
/// The least of all checkpoints. A consumer that has saved not all of its
/// partitions has begun nowhere in the others.
pub const LEAST_CHECKPOINT: Sql = Sql::both(
    "SELECT coalesce(min(least), 0) FROM (
        SELECT CASE WHEN count(*) = 64 THEN min(position) ELSE 0 END AS least
        FROM checkpoints GROUP BY consumer) AS c",
);
/// The last message of each partition up to a position.
pub const LAST_IN_PARTITIONS: Sql = Sql::both(
    "WITH RECURSIVE p (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM p WHERE n < 63)
     SELECT n, coalesce((SELECT max(position) FROM messages
        WHERE partition = n AND position <= $1), 0) FROM p",
);
/// Moves checkpoints forward.
pub(crate) const SAVE_CHECKPOINTS: Sql = Sql {
    sqlite: "INSERT INTO checkpoints (consumer, partition, position)
        SELECT $1, c.value ->> 0, c.value ->> 1 FROM json_each($2) AS c WHERE true
        ON CONFLICT (consumer, partition) DO UPDATE SET position = excluded.position
        WHERE excluded.position > checkpoints.position",
    // In one order, so that two processes cannot wait for each other.
    postgres: "INSERT INTO checkpoints (consumer, partition, position)
        SELECT $1, (c.value ->> 0)::smallint, (c.value ->> 1)::bigint
        FROM json_array_elements($2::json) AS c (value) ORDER BY 2
        ON CONFLICT (consumer, partition) DO UPDATE SET position = excluded.position
        WHERE excluded.position > checkpoints.position",
};
/// What time it is for leases, in microseconds.
macro_rules! now {
    (sqlite) => {
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
    };
    (postgres) => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}

/// Takes leases that are free and prolongs those that are held. A lease that
/// is taken gets a new fence, one that is prolonged keeps its own.
pub(crate) const HOLD_LEASES: Sql = Sql {
    sqlite: concat!(
        "INSERT INTO leases (name, holder, fence, expires_at)
        SELECT n.value, $1, 1, ",
        now!(sqlite),
        " + $3 FROM json_each($2) AS n WHERE true
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
            expires_at = excluded.expires_at, fence = leases.fence
                + (leases.holder <> excluded.holder OR leases.expires_at <= ",
        now!(sqlite),
        ") WHERE leases.holder = excluded.holder OR leases.expires_at <= ",
        now!(sqlite)
    ),
    // In one order, so that two processes cannot wait for each other.
    postgres: concat!(
        "INSERT INTO leases (name, holder, fence, expires_at)
        SELECT n.value, $1, 1, ",
        now!(postgres),
        " + $3 FROM json_array_elements_text($2::json) AS n (value) ORDER BY 1
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
            expires_at = excluded.expires_at, fence = leases.fence
                + (leases.holder <> excluded.holder OR leases.expires_at <= ",
        now!(postgres),
        ")::integer WHERE leases.holder = excluded.holder OR leases.expires_at <= ",
        now!(postgres)
    ),
};
/// How leases stand, and for how much longer.
pub(crate) const LEASES: Sql = Sql {
    sqlite: concat!("SELECT name, holder, fence, expires_at - ", now!(sqlite), " FROM leases"),
    postgres: concat!("SELECT name, holder, fence, expires_at - ", now!(postgres), " FROM leases"),
};
/// Gives leases back.
pub(crate) const RELEASE_LEASES: Sql = Sql {
    sqlite: "UPDATE leases SET expires_at = 0 WHERE holder = $1
        AND name IN (SELECT value FROM json_each($2))",
    postgres: "UPDATE leases SET expires_at = 0 FROM (
            SELECT name FROM leases WHERE holder = $1 AND name = ANY (ARRAY (
                SELECT value FROM json_array_elements_text($2::json) AS n (value)))
            ORDER BY name FOR UPDATE) AS l
        WHERE leases.name = l.name",
};
/// Says that a member is there.
pub(crate) const ATTEND: Sql = Sql {
    sqlite: concat!(
        "INSERT INTO members (grp, member, expires_at) SELECT g.value, $1, ",
        now!(sqlite),
        " + $3 FROM json_each($2) AS g WHERE true
        ON CONFLICT (grp, member) DO UPDATE SET expires_at = excluded.expires_at"
    ),
    postgres: concat!(
        "INSERT INTO members (grp, member, expires_at) SELECT g.value, $1, ",
        now!(postgres),
        " + $3 FROM json_array_elements_text($2::json) AS g (value) ORDER BY 1
        ON CONFLICT (grp, member) DO UPDATE SET expires_at = excluded.expires_at"
    ),
};
/// Who is there, group by group.
pub(crate) const MEMBERS: Sql = Sql {
    sqlite: concat!(
        "SELECT grp, member FROM members WHERE expires_at > ",
        now!(sqlite),
        " ORDER BY grp, member"
    ),
    postgres: concat!(
        "SELECT grp, member FROM members WHERE expires_at > ",
        now!(postgres),
        " ORDER BY grp, member"
    ),
};
/// Says that a member is gone, and forgets those who went without a word.
pub(crate) const LEAVE: Sql = Sql {
    sqlite: concat!("DELETE FROM members WHERE member = $1 OR expires_at <= ", now!(sqlite)),
    postgres: concat!("DELETE FROM members WHERE member = $1 OR expires_at <= ", now!(postgres)),
};
/// What a consumer has handled in some partitions and not yet left behind.
pub const HANDLED: Sql = Sql {
    sqlite: "SELECT message_id FROM inbox WHERE consumer = $1
        AND (SELECT partition FROM messages AS m WHERE m.position = inbox.position)
            BETWEEN $2 AND $3",
    postgres: "SELECT message_id::text FROM inbox WHERE consumer = $1
        AND (SELECT partition FROM messages AS m WHERE m.position = inbox.position)
            BETWEEN $2 AND $3",
};
/// Forgets what a consumer handled before all of its checkpoints.
pub const PRUNE_INBOX: Sql = Sql::both(
    "DELETE FROM inbox WHERE consumer = $1 AND position <= (
        SELECT CASE WHEN count(*) = 64 THEN min(position) ELSE 0 END
        FROM checkpoints WHERE consumer = $1)",
);
/// Forgets what a consumer handled of a range before its checkpoints there.
pub const PRUNE_RANGE: Sql = Sql {
    sqlite: "DELETE FROM inbox WHERE consumer = $1 AND position <= (
            SELECT CASE WHEN count(*) = $3 - $2 + 1 THEN min(position) ELSE 0 END
            FROM checkpoints WHERE consumer = $1 AND partition BETWEEN $2 AND $3)
        AND (SELECT partition FROM messages AS m WHERE m.position = inbox.position)
            BETWEEN $2 AND $3",
    postgres: "DELETE FROM inbox WHERE consumer = $1 AND position <= (
            SELECT CASE WHEN count(*) = $3::bigint - $2::bigint + 1 THEN min(position) ELSE 0 END
            FROM checkpoints WHERE consumer = $1 AND partition BETWEEN $2 AND $3)
        AND (SELECT partition FROM messages AS m WHERE m.position = inbox.position)
            BETWEEN $2 AND $3",
};
/// Sets a message aside, once.
pub(crate) const PARK: Sql = Sql {
    sqlite: "INSERT INTO dead_letters (id, consumer, key, position, message_id, reason, attempts,
        first_failed_at, payload_override) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING",
    postgres: "INSERT INTO dead_letters (id, consumer, key, position, message_id, reason, attempts,
        first_failed_at, payload_override)
        VALUES ($1, $2, $3, $4, $5::uuid, $6, $7::integer, $8, $9::json)
        ON CONFLICT DO NOTHING",
};
/// Messages that are set aside.
pub const DEAD_LETTERS: Sql = Sql {
    sqlite: "SELECT id, consumer, key, position, message_id, reason, attempts, first_failed_at,
        payload_override FROM dead_letters
        WHERE (position, id) > ($1, $2) AND consumer = coalesce($3, consumer)
        AND key = coalesce($4, key) ORDER BY position, id LIMIT $5",
    postgres: "SELECT id, consumer, key, position, message_id::text, reason, attempts,
        first_failed_at, payload_override FROM dead_letters
        WHERE (position, id) > ($1, $2) AND consumer = coalesce($3, consumer)
        AND key = coalesce($4, key) ORDER BY position, id LIMIT $5",
};
/// The same from the end of the list.
pub const DEAD_LETTERS_BEFORE: Sql = Sql {
    sqlite: "SELECT id, consumer, key, position, message_id, reason, attempts, first_failed_at,
        payload_override FROM dead_letters
        WHERE (position, id) < ($1, $2) ORDER BY position DESC, id DESC LIMIT $3",
    postgres: "SELECT id, consumer, key, position, message_id::text, reason, attempts,
        first_failed_at, payload_override FROM dead_letters
        WHERE (position, id) < ($1, $2) ORDER BY position DESC, id DESC LIMIT $3",
};
/// Several messages that are set aside.
pub const DEAD_LETTERS_BY_ID: Sql = Sql {
    sqlite: "SELECT id, consumer, key, position, message_id, reason, attempts, first_failed_at,
        payload_override FROM dead_letters WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id, consumer, key, position, message_id::text, reason, attempts,
        first_failed_at, payload_override FROM dead_letters WHERE id = ANY (ARRAY (
            SELECT value FROM json_array_elements_text($1::json) AS i (value)))",
};
/// Changes a message that is set aside.
pub(crate) const UPDATE_DEAD_LETTER: Sql = Sql {
    sqlite: "UPDATE dead_letters SET reason = coalesce($2, reason),
        attempts = coalesce($3, attempts),
        payload_override = CASE $4 WHEN 1 THEN $5 ELSE payload_override END WHERE id = $1",
    postgres: "UPDATE dead_letters SET reason = coalesce($2, reason),
        attempts = coalesce($3::integer, attempts),
        payload_override = CASE $4::bigint WHEN 1 THEN $5::json ELSE payload_override END
        WHERE id = $1",
};
/// What a consumer has set messages aside for.
pub const PARKED_KEYS: Sql = Sql::both("SELECT DISTINCT key FROM dead_letters WHERE consumer = $1");
/// What several keys have set aside, whoever did it.
pub const PARKED_POSITIONS: Sql = Sql {
    sqlite: "SELECT consumer, key, position FROM dead_letters
        WHERE key IN (SELECT value FROM json_each($1)) ORDER BY position, consumer",
    postgres: "SELECT consumer, key, position FROM dead_letters
        WHERE key = ANY (ARRAY (
            SELECT value FROM json_array_elements_text($1::json) AS k (value)))
        ORDER BY position, consumer",
};
/// Drops a message that is set aside.
pub(crate) const DISCARD_DEAD_LETTER: Sql = Sql::both("DELETE FROM dead_letters WHERE id = $1");
/// A setting.
pub(crate) const SETTING: Sql = Sql::both("SELECT value FROM settings WHERE key = $1");
/// Sets a setting that is not set.
pub(crate) const SET_SETTING: Sql =
    Sql::both("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING");
/// Keeps a state beside its stream. One of the same version replaces it, so
/// that a broken one is mended.
pub(crate) const SAVE_SNAPSHOT: Sql = Sql {
    sqlite: "INSERT INTO snapshots (stream, version, schema, state, taken_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (stream) DO UPDATE SET version = excluded.version,
        schema = excluded.schema, state = excluded.state, taken_at = excluded.taken_at
        WHERE excluded.version >= snapshots.version OR excluded.schema <> snapshots.schema",
    postgres: "INSERT INTO snapshots (stream, version, schema, state, taken_at)
        VALUES ($1, $2, $3::integer, $4::json, $5)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version,
        schema = excluded.schema, state = excluded.state, taken_at = excluded.taken_at
        WHERE excluded.version >= snapshots.version OR excluded.schema <> snapshots.schema",
};
/// The histories of several streams at once: for each its snapshot, if it has
/// one of the right schema that is ahead of what is known, and the events
/// behind it, a page of them.
pub const LOAD: Sql = Sql {
    sqlite: "WITH asked AS MATERIALIZED (
            SELECT r.key AS n, r.value ->> 0 AS stream, s.version AS snapshot, s.state AS state,
                max(r.value ->> 1, coalesce(s.version, 0)) AS base
            FROM json_each($1) AS r LEFT JOIN snapshots AS s ON s.stream = r.value ->> 0
                AND s.schema = r.value ->> 2 AND s.version > r.value ->> 1
        )
        SELECT n, 0, snapshot AS version, '' AS name, 0 AS schema_version, state AS payload
        FROM asked WHERE snapshot IS NOT NULL
        UNION ALL
        SELECT a.n, 1, m.version, m.name, m.schema_version, m.payload
        FROM asked AS a CROSS JOIN messages AS m
        WHERE m.stream = a.stream AND m.kind = 'event'
            AND m.version > a.base AND m.version <= a.base + $2
        ORDER BY 1, 2, 3",
    postgres: "WITH asked AS MATERIALIZED (
            SELECT r.n, r.stream, s.version AS snapshot, s.state,
                greatest(r.after, coalesce(s.version, 0)) AS base
            FROM unnest($1::text[], $3::bigint[], $4::bigint[])
                WITH ORDINALITY AS r (stream, after, schema, n)
            LEFT JOIN LATERAL (
                SELECT version, state FROM snapshots
                WHERE stream = r.stream AND schema = r.schema AND version > r.after
                LIMIT 1
            ) AS s ON true
        )
        SELECT n - 1, 0, snapshot AS version, '' AS name, 0 AS schema_version, state AS payload
        FROM asked WHERE snapshot IS NOT NULL
        UNION ALL
        SELECT a.n - 1, 1, m.version, m.name, m.schema_version, m.payload
        FROM asked AS a CROSS JOIN LATERAL (
            SELECT version, name, schema_version, payload FROM messages
            WHERE stream = a.stream AND kind = 'event'
                AND version > a.base AND version <= a.base + $2
            ORDER BY version
        ) AS m
        ORDER BY 1, 2, 3",
};

/// A row of either database.
pub(crate) trait Columns {
    fn int(&self, column: usize) -> Result<i64, Error>;
    fn text(&self, column: usize) -> Result<&str, Error>;
    fn text_or_absent(&self, column: usize) -> Result<Option<&str>, Error>;
}

// Unchecked, because what is stored as json, or in fewer bytes, reads the same.
macro_rules! columns_of {
    ($($row:ty),*) => { $(
        impl Columns for $row {
            fn int(&self, column: usize) -> Result<i64, Error> {
                self.try_get_unchecked(column)
            }

            fn text(&self, column: usize) -> Result<&str, Error> {
                self.try_get_unchecked(column)
            }

            fn text_or_absent(&self, column: usize) -> Result<Option<&str>, Error> {
                self.try_get_unchecked(column)
            }
        }
    )* };
}

columns_of!(SqliteRow, PgRow);

/// Makes something of a row.
pub(crate) type Read<T> = fn(&dyn Columns) -> Result<T, Error>;

/// Makes something of a text column.
pub(crate) fn parse<T>(row: &dyn Columns, column: usize) -> Result<T, Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.text(column)?.parse().map_err(|source: T::Err| Error::ColumnDecode {
        index: column.to_string(),
        source: Box::new(source),
    })
}

/// A number that is stored in fewer bits.
pub(crate) fn narrow<T: TryFrom<i64>>(row: &dyn Columns, column: usize) -> Result<T, Error> {
    T::try_from(row.int(column)?).map_err(|_| Error::ColumnDecode {
        index: column.to_string(),
        source: "the number is out of its range".into(),
    })
}

/// A kind of message, as it is stored.
pub(crate) fn kind(row: &dyn Columns, column: usize) -> Result<MessageKind, Error> {
    match row.text(column)? {
        "event" => Ok(MessageKind::Event),
        "command" => Ok(MessageKind::Command),
        "reply" => Ok(MessageKind::Reply),
        other => Err(Error::ColumnDecode {
            index: column.to_string(),
            source: format!("{other} is no kind of message").into(),
        }),
    }
}

/// A whole message.
pub(crate) fn recorded(row: &dyn Columns) -> Result<Recorded, Error> {
    Ok(Recorded {
        position: Position(row.int(0)?),
        kind: kind(row, 1)?,
        stream: parse::<AnyId>(row, 2)?,
        version: Version(row.int(3)?),
        name: row.text(4)?.to_owned(),
        schema_version: narrow(row, 5)?,
        message_id: parse::<Uuid>(row, 6)?,
        payload: row.text(7)?.into(),
        metadata: row.text(8)?.into(),
        recorded_at: row.int(9)?,
    })
}

/// A number by itself.
pub(crate) fn int(row: &dyn Columns) -> Result<i64, Error> {
    row.int(0)
}

/// A text by itself.
pub(crate) fn text(row: &dyn Columns) -> Result<String, Error> {
    row.text(0).map(str::to_owned)
}

/// Binds values to a statement of PostgreSQL.
pub(crate) fn for_postgres<'q>(sql: &Sql, args: &[Arg]) -> Query<'q, Postgres, PgArguments> {
    args.iter().fold(sqlx::query(sql.postgres), |query, arg| match arg {
        Arg::Int(value) => query.bind(*value),
        Arg::Text(value) => query.bind(value.clone()),
    })
}

/// Binds values to a statement of SQLite.
pub(crate) fn for_sqlite<'q>(sql: &Sql, args: &[Arg]) -> Query<'q, Sqlite, SqliteArguments> {
    args.iter().fold(sqlx::query(sql.sqlite), |query, arg| match arg {
        Arg::Int(value) => query.bind(*value),
        Arg::Text(value) => query.bind(value.clone()),
    })
}

/// Reads rows. A connection that turns out to be broken is replaced.
pub(crate) async fn fetch<T: Send>(
    database: &Database,
    lane: Lane,
    sql: &Sql,
    args: &[Arg],
    read: Read<T>,
) -> Result<Vec<T>, StoreError> {
    again(|| async {
        match database.pools() {
            Pools::Sqlite { read: pool, .. } => {
                let mut connection = database.waits.timed(lane, Box::pin(pool.acquire())).await?;
                let rows = for_sqlite(sql, args).fetch_all(&mut *connection).await?;
                rows.iter().map(|row| read(row)).collect()
            }
            Pools::Postgres { work, questions, reserved } => {
                let pool = match lane {
                    Lane::Work => work,
                    Lane::Questions => questions,
                    Lane::Reserved => reserved,
                };
                let mut connection = database.waits.timed(lane, Box::pin(pool.acquire())).await?;
                let rows = for_postgres(sql, args).fetch_all(&mut *connection).await?;
                rows.iter().map(|row| read(row)).collect()
            }
        }
    })
    .await
    .map_err(broken)
}

/// Tries a read again, a few times, when it was the connection that broke.
pub(crate) async fn again<T, F>(read: impl Fn() -> F + Send + Sync) -> Result<T, Error>
where
    T: Send,
    F: Future<Output = Result<T, Error>> + Send,
{
    let mut waits = [20, 100, 400].into_iter();
    loop {
        match read().await {
            Err(error) if is_passing(&error) => match waits.next() {
                Some(wait) => {
                    debug!(error = &error as &dyn std::error::Error, "a read failed, trying again");
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                None => return Err(error),
            },
            done => return done,
        }
    }
}

/// Whether an error is of the connection rather than of what was asked.
pub(crate) fn is_passing(error: &Error) -> bool {
    if matches!(error, Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed) {
        return true;
    }
    // Shutting down, starting up, out of connections, lost a deadlock.
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| {
        code.len() == 5 && ["57P", "08", "53", "40"].iter().any(|class| code.starts_with(class))
    })
}
