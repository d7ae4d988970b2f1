//! How a batch is written to PostgreSQL: by one statement, which commits by
//! itself.
//!
//! What was expected, or looked up before, may not be so any more. The
//! statement catches that, all or nothing: versions, inbox, answers and names
//! by their unique indexes, what is taken, moved or asserted, and what a
//! checkpoint has passed, by counting. The
//! caller then looks, under a lock.

use std::fmt::{self, Write};

use sea_orm::sqlx::{
    Arguments, AssertSqlSafe, Encode, Error, Type,
    postgres::{PgArguments, PgConnection, Postgres},
    query_with, raw_sql,
};

use super::batch::{Part, Probe, Touched, Writes};
use crate::sql::Columns;

/// The channel on which processes tell each other that the head has moved.
pub(crate) const CHANNEL: &str = "mallbots_ledger";

/// Begins a transaction in which nobody else can append.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), Error> {
    const LOCK: &str = "BEGIN; SELECT position FROM ledger_head WHERE id = 1 FOR UPDATE";

    raw_sql(LOCK).execute(connection).await.map(drop)
}

/// Ends that transaction.
pub(super) async fn commit(connection: &mut PgConnection) -> Result<(), Error> {
    raw_sql("COMMIT").execute(connection).await.map(drop)
}

/// Ends that transaction as if it had not been.
pub(super) async fn roll_back(connection: &mut PgConnection) -> Result<(), Error> {
    raw_sql("ROLLBACK").execute(connection).await.map(drop)
}

/// Looks up how what the batch touches stands in the database.
pub(super) async fn look(
    connection: &mut PgConnection,
    touched: &mut Touched<'_>,
) -> Result<(), Error> {
    let statement = looking(touched.probes())?;
    if statement.sql.is_empty() {
        return Ok(());
    }
    let rows =
        query_with(AssertSqlSafe(statement.sql), statement.args).fetch_all(connection).await?;
    rows.iter().try_for_each(|row| touched.found(row))
}

/// Writes the batch and returns where the head stood before.
pub(super) async fn write(
    connection: &mut PgConnection,
    writes: &Writes<'_>,
    now: i64,
) -> Result<i64, Error> {
    let statement = writing(writes, now)?;
    query_with(AssertSqlSafe(statement.sql), statement.args).fetch_one(connection).await?.int(0)
}

/// A statement that is put together from its parts. There are few
/// combinations of parts, so the server sees few statements.
#[derive(Default)]
struct Statement {
    sql: String,
    args: PgArguments,
    /// What must be counted, and how many there must be.
    counted: Vec<&'static str>,
    expected: i64,
}

/// The statement that looks, empty when there is nothing to look at.
fn looking(probes: impl Iterator<Item = Probe>) -> Result<Statement, Error> {
    let mut statement = Statement::default();
    for probe in probes {
        let (a, b): (Vec<_>, Vec<_>) = probe.keys.iter().map(|[a, b]| (&**a, &**b)).unzip();
        let a = statement.bind(a)?;
        let b = statement.bind(b)?;
        let part = probe.part as i64;
        let found = found(probe.part);
        if !statement.sql.is_empty() {
            statement.sql.push_str(" UNION ALL ");
        }
        statement.add(format_args!(
            "SELECT {part}::bigint, k.n - 1, f.number, f.text
             FROM unnest({a}::text[], {b}::text[]) WITH ORDINALITY AS k (a, b, n)
             CROSS JOIN LATERAL ({found} LIMIT 1) AS f"
        ));
    }
    Ok(statement)
}

/// What is there under the key `k`.
pub(super) const fn found(part: Part) -> &'static str {
    match part {
        Part::Streams => {
            "SELECT version AS number, NULL::text AS text FROM messages
             WHERE stream = k.a AND kind = 'event' ORDER BY version DESC"
        }
        Part::Messages => {
            "SELECT 1::bigint AS number, NULL::text AS text FROM messages
             WHERE message_id = k.a::uuid"
        }
        Part::Handled => {
            "SELECT 1::bigint AS number, NULL::text AS text FROM inbox
             WHERE consumer = k.a AND message_id = k.b::uuid"
        }
        Part::Passed => {
            "SELECT 1::bigint AS number, NULL::text AS text FROM messages AS m
             JOIN checkpoints AS c ON c.consumer = k.a AND c.partition = m.partition
                AND c.position >= m.position
             WHERE m.position = k.b::bigint"
        }
        Part::Answered => {
            "SELECT 1::bigint AS number, NULL::text AS text FROM idempotency
             WHERE caller = k.a AND key = k.b"
        }
        Part::Claims => {
            "SELECT 0::bigint AS number, owner::text AS text FROM claims
             WHERE scope = k.a AND key = k.b"
        }
        Part::Timers => {
            "SELECT due_at AS number, NULL::text AS text FROM timers
             WHERE owner = k.a AND name = k.b"
        }
        Part::Letters => {
            "SELECT 1::bigint AS number, NULL::text AS text FROM dead_letters WHERE id = k.a"
        }
    }
}

/// The statement that writes. Everything in it waits for the head, so that
/// two processes can never wait for each other.
fn writing(writes: &Writes<'_>, now: i64) -> Result<Statement, Error> {
    let mut statement = Statement::default();
    let count = statement.bind(writes.count())?;
    statement.sql = format!(
        "WITH head AS (
            UPDATE ledger_head SET position = position + {count} WHERE id = 1
            RETURNING position - {count} AS before
        )"
    );
    statement.asserted(writes)?;
    statement.messages(writes, now)?;
    statement.inbox(writes)?;
    statement.answers(writes, now)?;
    statement.claims(writes)?;
    statement.timers(writes)?;
    statement.letters(writes)?;
    statement.end(&count, writes.count() > 0)?;
    Ok(statement)
}

impl Statement {
    /// Binds a value and returns its placeholder.
    fn bind<'v, T>(&mut self, value: T) -> Result<String, Error>
    where
        T: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.args.add(value).map_err(Error::Encode)?;
        Ok(format!("${}", self.args.len()))
    }

    /// Adds a part that writes, unless there is nothing to write.
    fn part(&mut self, name: &str, sql: &str) {
        self.add(format_args!(", {name} AS ({sql})"));
    }

    fn add(&mut self, sql: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.sql.write_fmt(sql);
    }

    /// Adds a part that must find just as many rows as it names.
    fn counted(&mut self, name: &'static str, sql: &str, rows: usize) {
        self.part(name, &format!("{sql} RETURNING 1"));
        self.counted.push(name);
        self.expected += super::batch::place(rows);
    }

    fn asserted(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.asserted;
        if rows.is_empty() {
            return Ok(());
        }
        let streams = self.bind(strings(rows, |(stream, _)| stream))?;
        let versions = self.bind(rows.iter().map(|(_, version)| *version).collect::<Vec<_>>())?;
        self.part(
            "asserted",
            &format!(
                "SELECT 1 FROM unnest({streams}::text[], {versions}::bigint[])
                    AS a (stream, version)
                 CROSS JOIN LATERAL (SELECT 1 FROM messages WHERE stream = a.stream
                    AND kind = 'event' AND version = a.version LIMIT 1) AS f"
            ),
        );
        self.counted.push("asserted");
        self.expected += super::batch::place(rows.len());
        Ok(())
    }

    fn messages(&mut self, writes: &Writes<'_>, now: i64) -> Result<(), Error> {
        let rows = &writes.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let kinds = self.bind(texts(rows, |row| row.kind.as_str()))?;
        let streams = self.bind(texts(rows, |row| &row.stream_text))?;
        let versions = self.bind(rows.iter().map(|row| row.version.0).collect::<Vec<_>>())?;
        let names = self.bind(texts(rows, |row| &row.name))?;
        let schemas = self.bind(rows.iter().map(|row| row.schema_version).collect::<Vec<_>>())?;
        let partitions =
            rows.iter().map(|row| i16::from(row.stream.partition())).collect::<Vec<_>>();
        let partitions = self.bind(partitions)?;
        let ids =
            self.bind(rows.iter().map(|row| row.message_id.to_string()).collect::<Vec<_>>())?;
        let causes = rows.iter().map(|row| row.causation_id.map(|id| id.to_string()));
        let causes = self.bind(causes.collect::<Vec<_>>())?;
        let payloads = self.bind(texts(rows, |row| &row.payload))?;
        let metadata = self.bind(texts(rows, |row| &row.metadata))?;
        let now = self.bind(now)?;
        self.part(
            "new_messages",
            &format!(
                "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                    partition, message_id, causation_id, payload, metadata, recorded_at)
                 SELECT head.before + m.n, m.kind, m.stream, m.version, m.name, m.schema_version,
                    m.partition, m.message_id::uuid, m.causation_id::uuid, m.payload::json,
                    m.metadata::json, {now}
                 FROM head, unnest({kinds}::text[], {streams}::text[], {versions}::bigint[],
                    {names}::text[], {schemas}::integer[], {partitions}::smallint[],
                    {ids}::text[], {causes}::text[], {payloads}::text[], {metadata}::text[])
                    WITH ORDINALITY AS m (kind, stream, version, name, schema_version, partition,
                    message_id, causation_id, payload, metadata, n)"
            ),
        );
        Ok(())
    }

    fn inbox(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.inbox;
        if rows.is_empty() {
            return Ok(());
        }
        let consumers = self.bind(texts(rows, |(row, _)| row.consumer))?;
        let ids = rows.iter().map(|(row, _)| row.message_id.to_string());
        let ids = self.bind(ids.collect::<Vec<_>>())?;
        let positions = rows.iter().map(|(row, _)| row.position.0);
        let positions = self.bind(positions.collect::<Vec<_>>())?;
        // Nothing stands at zero.
        let guards = rows.iter().map(|(_, guard)| guard.map_or(0, |guard| guard.0));
        let guards = self.bind(guards.collect::<Vec<_>>())?;
        self.counted(
            "new_inbox",
            &format!(
                "INSERT INTO inbox (consumer, message_id, position)
                 SELECT i.consumer, i.message_id::uuid, i.position
                 FROM head, unnest({consumers}::text[], {ids}::text[], {positions}::bigint[],
                    {guards}::bigint[]) AS i (consumer, message_id, position, guard)
                 WHERE NOT EXISTS (
                    SELECT 1 FROM messages AS m JOIN checkpoints AS c ON c.consumer = i.consumer
                        AND c.partition = m.partition AND c.position >= m.position
                    WHERE m.position = i.guard)"
            ),
            rows.len(),
        );
        Ok(())
    }

    fn answers(&mut self, writes: &Writes<'_>, now: i64) -> Result<(), Error> {
        let rows = &writes.answers;
        if rows.is_empty() {
            return Ok(());
        }
        let callers = self.bind(texts(rows, |row| &row.entry.caller))?;
        let keys = self.bind(texts(rows, |row| &row.entry.key))?;
        let fingerprints = self.bind(texts(rows, |row| &row.entry.fingerprint))?;
        let results = self.bind(texts(rows, |row| &row.entry.result))?;
        let first = self.bind(rows.iter().map(|row| row.first).collect::<Vec<_>>())?;
        let last = self.bind(rows.iter().map(|row| row.last).collect::<Vec<_>>())?;
        let now = self.bind(now)?;
        self.part(
            "new_answers",
            &format!(
                "INSERT INTO idempotency (caller, key, fingerprint, result, first_position,
                    last_position, answered_at)
                 SELECT a.caller, a.key, a.fingerprint, a.result, head.before + a.first,
                    head.before + a.last, {now}
                 FROM head, unnest({callers}::text[], {keys}::text[], {fingerprints}::text[],
                    {results}::text[], {first}::bigint[], {last}::bigint[])
                    AS a (caller, key, fingerprint, result, first, last)"
            ),
        );
        Ok(())
    }

    fn claims(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.claims_taken;
        if !rows.is_empty() {
            let scopes = self.bind(texts(rows, |(key, _)| key.0))?;
            let keys = self.bind(texts(rows, |(key, _)| key.1))?;
            let owners = self.bind(strings(rows, |(_, owner)| owner))?;
            self.part(
                "claims_taken",
                &format!(
                    "INSERT INTO claims (scope, key, owner) SELECT c.scope, c.key, c.owner
                     FROM head, unnest({scopes}::text[], {keys}::text[], {owners}::text[])
                        AS c (scope, key, owner)"
                ),
            );
        }
        let rows = &writes.claims_moved;
        if !rows.is_empty() {
            let scopes = self.bind(texts(rows, |(key, ..)| key.0))?;
            let keys = self.bind(texts(rows, |(key, ..)| key.1))?;
            let from = self.bind(strings(rows, |(_, from, _)| from))?;
            let to = self.bind(strings(rows, |(.., to)| to))?;
            self.counted(
                "claims_moved",
                &format!(
                    "UPDATE claims AS c SET owner = m.new_owner
                     FROM head, unnest({scopes}::text[], {keys}::text[], {from}::text[],
                        {to}::text[]) AS m (scope, key, old_owner, new_owner)
                     WHERE c.scope = m.scope AND c.key = m.key AND c.owner = m.old_owner"
                ),
                rows.len(),
            );
        }
        let rows = &writes.claims_released;
        if !rows.is_empty() {
            let scopes = self.bind(texts(rows, |(key, _)| key.0))?;
            let keys = self.bind(texts(rows, |(key, _)| key.1))?;
            let owners = self.bind(strings(rows, |(_, owner)| owner))?;
            self.part(
                "claims_released",
                &format!(
                    "DELETE FROM claims AS c
                     USING head, unnest({scopes}::text[], {keys}::text[], {owners}::text[])
                        AS r (scope, key, owner)
                     WHERE c.scope = r.scope AND c.key = r.key AND c.owner = r.owner"
                ),
            );
        }
        Ok(())
    }

    fn timers(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.timers_cleared;
        if !rows.is_empty() {
            let owners = self.bind(strings(rows, |(owner, _)| owner))?;
            let names = self.bind(texts(rows, |(_, name)| name))?;
            self.part(
                "timers_cleared",
                &format!(
                    "DELETE FROM timers AS t
                     USING head, unnest({owners}::text[], {names}::text[]) AS c (owner, name)
                     WHERE t.owner = c.owner AND t.name = c.name"
                ),
            );
        }
        let rows = &writes.timers_taken;
        if !rows.is_empty() {
            let owners = self.bind(strings(rows, |((owner, _), _)| owner))?;
            let names = self.bind(texts(rows, |((_, name), _)| name))?;
            let due = self.bind(rows.iter().map(|(_, due_at)| *due_at).collect::<Vec<_>>())?;
            self.counted(
                "timers_taken",
                &format!(
                    "DELETE FROM timers AS t
                     USING head, unnest({owners}::text[], {names}::text[], {due}::bigint[])
                        AS c (owner, name, due_at)
                     WHERE t.owner = c.owner AND t.name = c.name AND t.due_at = c.due_at"
                ),
                rows.len(),
            );
        }
        if !writes.timers_set.is_empty() {
            let timers = self.timer_rows(&writes.timers_set)?;
            self.part(
                "timers_set",
                &format!(
                    "INSERT INTO timers (owner, name, due_at, kind, stream, message_name,
                        message_id, payload, metadata)
                     SELECT n.owner, n.name, n.due_at, n.kind, n.stream, n.message_name,
                        n.message_id::uuid, n.payload::json, n.metadata::json
                     FROM head, {timers}
                     ON CONFLICT (owner, name) DO UPDATE SET due_at = excluded.due_at,
                        kind = excluded.kind, stream = excluded.stream,
                        message_name = excluded.message_name, message_id = excluded.message_id,
                        payload = excluded.payload, metadata = excluded.metadata"
                ),
            );
        }
        let rows = &writes.timers_moved;
        if !rows.is_empty() {
            let due = self.bind(rows.iter().map(|(due_at, _)| *due_at).collect::<Vec<_>>())?;
            let owners = self.bind(strings(rows, |(_, timer)| &timer.owner))?;
            let names = self.bind(texts(rows, |(_, timer)| timer.name))?;
            let timers: Vec<_> = rows.iter().map(|(_, timer)| *timer).collect();
            let timers = self.timer_rows(&timers)?;
            self.counted(
                "timers_moved",
                &format!(
                    "UPDATE timers AS t SET due_at = n.due_at, kind = n.kind, stream = n.stream,
                        message_name = n.message_name, message_id = n.message_id::uuid,
                        payload = n.payload::json, metadata = n.metadata::json
                     FROM head, {timers},
                        unnest({owners}::text[], {names}::text[], {due}::bigint[])
                        AS o (owner, name, due_at)
                     WHERE t.owner = n.owner AND t.name = n.name AND o.owner = n.owner
                        AND o.name = n.name AND t.due_at = o.due_at"
                ),
                rows.len(),
            );
        }
        Ok(())
    }

    /// Timers as rows named `n`.
    fn timer_rows(&mut self, rows: &[&super::request::TimerRow]) -> Result<String, Error> {
        let owners = self.bind(strings(rows, |row| &row.owner))?;
        let names = self.bind(texts(rows, |row| row.name))?;
        let due = self.bind(rows.iter().map(|row| row.due_at).collect::<Vec<_>>())?;
        let kinds = self.bind(texts(rows, |row| row.message.kind.as_str()))?;
        let streams = self.bind(strings(rows, |row| &row.message.stream))?;
        let message_names = self.bind(texts(rows, |row| &row.message.name))?;
        let ids = self.bind(strings(rows, |row| &row.message.message_id))?;
        let payloads = self.bind(texts(rows, |row| &row.message.payload))?;
        let metadata = self.bind(texts(rows, |row| &row.metadata))?;
        Ok(format!(
            "unnest({owners}::text[], {names}::text[], {due}::bigint[], {kinds}::text[],
                {streams}::text[], {message_names}::text[], {ids}::text[], {payloads}::text[],
                {metadata}::text[]) AS n (owner, name, due_at, kind, stream, message_name,
                message_id, payload, metadata)"
        ))
    }

    fn letters(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.letters_taken;
        if !rows.is_empty() {
            let ids = self.bind(strings(rows, |id| id))?;
            self.counted(
                "letters_taken",
                &format!(
                    "DELETE FROM dead_letters AS d USING head, unnest({ids}::text[]) AS t (id)
                     WHERE d.id = t.id"
                ),
                rows.len(),
            );
        }
        Ok(())
    }

    /// Returns where the head stood, tells the other processes, and makes the
    /// whole statement fail when a count is wrong.
    fn end(&mut self, count: &str, moved: bool) -> Result<(), Error> {
        self.sql.push_str(" SELECT head.before");
        if moved {
            self.add(format_args!(", pg_notify('{CHANNEL}', (head.before + {count})::text)"));
        }
        if !self.counted.is_empty() {
            let expected = self.bind(self.expected)?;
            let counts: Vec<_> =
                self.counted.iter().map(|name| format!("(SELECT count(*) FROM {name})")).collect();
            let counts = counts.join(" + ");
            self.add(format_args!(", 1 / (CASE WHEN {counts} = {expected} THEN 1 ELSE 0 END)"));
        }
        self.sql.push_str(" FROM head");
        Ok(())
    }
}

/// A column of texts, borrowed from the rows.
fn texts<T>(rows: &[T], text: impl Fn(&T) -> &str) -> Vec<&str> {
    rows.iter().map(text).collect()
}

/// A column of texts that are made from the rows.
fn strings<T, S: ToString>(rows: &[T], value: impl Fn(&T) -> &S) -> Vec<String> {
    rows.iter().map(|row| value(row).to_string()).collect()
}
