//! How a batch is written to SQLite: one transaction on the one connection
//! that writes, so what was looked up cannot change before it is written.
//!
//! Statements are handed to the connection's thread together, as each
//! handing over costs more than most statements.

use sea_orm::sqlx::{
    Arguments, AssertSqlSafe, Encode, Error, Executor, Sqlite, Type, query_with,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};
use serde::Serialize;

use super::batch::{Part, Probe, Touched, Writes, place};
use crate::sql::{Arg, Columns, Sql, for_sqlite};

/// Takes the lock for writing at once: to take it later could fail.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// What makes a statement fail, and everything with it: an overflow.
const FAIL: &str = "abs(-9223372036854775807 - 1)";

/// Looks up how what the batch touches stands, and begins the transaction for
/// that. Says whether there was anything to look up.
pub(super) async fn look(
    connection: &mut SqliteConnection,
    touched: &mut Touched<'_>,
) -> Result<bool, Error> {
    let mut statement = Statement::default();
    for probe in touched.probes() {
        if statement.sql.is_empty() {
            statement.add(BEGIN);
        }
        statement.look(&probe)?;
    }
    if statement.sql.is_empty() {
        return Ok(false);
    }
    let rows = statement.run(connection).await?;
    rows.iter().try_for_each(|row| touched.found(row))?;
    Ok(true)
}

/// Begins the transaction, when there was nothing to look up and there is
/// nothing to write.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), Error> {
    connection.execute(BEGIN).await.map(drop)
}

/// Writes the batch and returns where the head stood before.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    writes: &Writes<'_>,
    now: i64,
    has_begun: bool,
    commits: bool,
) -> Result<i64, Error> {
    let mut statement = Statement::default();
    if !has_begun {
        statement.add(BEGIN);
    }
    statement.write(writes, now)?;
    if commits {
        statement.add("COMMIT");
    }
    let rows = statement.run(connection).await?;
    rows.first().ok_or(Error::RowNotFound)?.int(0)
}

/// Runs other statements within the transaction, and returns how many rows
/// the last of them changed.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    statements: &[(Sql, Vec<Arg>)],
) -> Result<u64, Error> {
    let mut changed = 0;
    for (sql, args) in statements {
        changed = for_sqlite(sql, args).execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed)
}

/// Ends the transaction.
pub(super) async fn commit(connection: &mut SqliteConnection) -> Result<(), Error> {
    connection.execute("COMMIT").await.map(drop)
}

/// Ends the transaction as if it had not been. It may have ended already:
/// some failures do that.
pub(super) async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(error) = connection.execute("ROLLBACK").await {
        tracing::debug!(error = &error as &dyn std::error::Error, "there was nothing to roll back");
    }
}

/// Statements that are put together from their parts and run together. There
/// are few combinations of parts, so few are prepared.
#[derive(Default)]
struct Statement {
    sql: String,
    args: SqliteArguments,
}

impl Statement {
    /// Runs all of it and returns the rows of all of it.
    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>, Error> {
        query_with(AssertSqlSafe(self.sql), self.args).fetch_all(connection).await
    }

    fn add(&mut self, sql: &str) {
        self.sql.push_str(sql);
        self.sql.push(';');
    }

    /// Binds a value and returns its placeholder.
    fn bind<'v, T>(&mut self, value: T) -> Result<String, Error>
    where
        T: Encode<'v, Sqlite> + Type<Sqlite>,
    {
        self.args.add(value).map_err(Error::Encode)?;
        // Not `?N`: of a statement that names only the fifth, the driver takes
        // the other four for values of their own, and leaves the fifth NULL.
        Ok(format!("${}", self.args.len()))
    }

    /// Binds rows as one JSON array of arrays.
    fn bind_rows<T: Serialize>(&mut self, rows: &[T]) -> Result<String, Error> {
        let json = serde_json::to_string(rows).map_err(|error| Error::Encode(error.into()))?;
        self.bind(json)
    }

    /// Adds a statement that must change just so many rows.
    fn counted(&mut self, sql: &str, rows: usize) -> Result<(), Error> {
        self.add(sql);
        let count = self.bind(place(rows))?;
        self.add(&format!("SELECT iif(changes() = {count}, 0, {FAIL})"));
        Ok(())
    }

    fn look(&mut self, probe: &Probe) -> Result<(), Error> {
        let keys = self.bind_rows(&probe.keys)?;
        let part = probe.part as i64;
        let (found, from) = found(probe.part);
        self.add(&format!(
            "SELECT {part}, k.n, {found}
             FROM (SELECT key AS n, value ->> 0 AS a, value ->> 1 AS b FROM json_each({keys})) AS k
             {from}"
        ));
        Ok(())
    }

    fn write(&mut self, writes: &Writes<'_>, now: i64) -> Result<(), Error> {
        let count = self.bind(writes.count())?;
        let now = self.bind(now)?;
        self.add(&format!(
            "UPDATE ledger_head SET position = position + {count} WHERE id = 1
             RETURNING position - {count}"
        ));
        // From here on, a place in the batch becomes a position by this.
        let before = format!("(SELECT position - {count} FROM ledger_head WHERE id = 1)");

        if !writes.asserted.is_empty() {
            let count = self.bind(place(writes.asserted.len()))?;
            let rows = self.bind_rows(&writes.asserted)?;
            self.add(&format!(
                "SELECT iif(count(*) = {count}, 0, {FAIL})
                 FROM json_each({rows}) AS a CROSS JOIN messages AS m
                 ON m.stream = a.value ->> 0 AND m.kind = 'event' AND m.version = a.value ->> 1"
            ));
        }
        if !writes.rows.is_empty() {
            let rows: Vec<_> = writes
                .rows
                .iter()
                .map(|row| {
                    (
                        row.kind.as_str(),
                        &*row.stream_text,
                        row.version.0,
                        &*row.name,
                        row.schema_version,
                        row.stream.partition(),
                        row.message_id,
                        row.causation_id,
                        &*row.payload,
                        &*row.metadata,
                    )
                })
                .collect();
            let rows = self.bind_rows(&rows)?;
            self.add(&format!(
                "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                    partition, message_id, causation_id, payload, metadata, recorded_at)
                 SELECT {before} + 1 + key, value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                    value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9,
                    {now}
                 FROM json_each({rows})"
            ));
        }
        if !writes.inbox.is_empty() {
            let rows: Vec<_> = writes
                .inbox
                .iter()
                .map(|(entry, guard)| (entry.consumer, entry.message_id, entry.position, guard))
                .collect();
            let count = rows.len();
            let rows = self.bind_rows(&rows)?;
            let insert = format!(
                "INSERT INTO inbox (consumer, message_id, position)
                 SELECT i.value ->> 0, i.value ->> 1, i.value ->> 2 FROM json_each({rows}) AS i
                 WHERE NOT EXISTS (
                    SELECT 1 FROM messages AS m CROSS JOIN checkpoints AS c
                        ON c.consumer = i.value ->> 0 AND c.partition = m.partition
                        AND c.position >= m.position
                    WHERE m.position = i.value ->> 3)"
            );
            self.counted(&insert, count)?;
        }
        if !writes.answers.is_empty() {
            let rows: Vec<_> = writes
                .answers
                .iter()
                .map(|answer| {
                    let entry = answer.entry;
                    (
                        &*entry.caller,
                        &*entry.key,
                        &*entry.fingerprint,
                        &*entry.result,
                        answer.first,
                        answer.last,
                    )
                })
                .collect();
            let rows = self.bind_rows(&rows)?;
            self.add(&format!(
                "INSERT INTO idempotency (caller, key, fingerprint, result, first_position,
                    last_position, answered_at)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                    {before} + (value ->> 4), {before} + (value ->> 5), {now}
                 FROM json_each({rows})"
            ));
        }
        self.claims(writes)?;
        self.timers(writes)?;
        if !writes.letters_taken.is_empty() {
            let ids = self.bind_rows(&writes.letters_taken)?;
            self.counted(
                &format!(
                    "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each({ids}))"
                ),
                writes.letters_taken.len(),
            )?;
        }
        Ok(())
    }

    fn claims(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let released = &writes.claims_released;
        if !released.is_empty() {
            let rows: Vec<_> = released.iter().map(|(key, owner)| (key.0, key.1, owner)).collect();
            let rows = self.bind_rows(&rows)?;
            self.counted(
                &format!(
                    "DELETE FROM claims WHERE (scope, key, owner) IN
                     (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each({rows}))"
                ),
                released.len(),
            )?;
        }
        let taken = &writes.claims_taken;
        if !taken.is_empty() {
            let rows: Vec<_> = taken.iter().map(|(key, owner)| (key.0, key.1, owner)).collect();
            let rows = self.bind_rows(&rows)?;
            self.add(&format!(
                "INSERT INTO claims (scope, key, owner)
                 SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each({rows})"
            ));
        }
        let moved = &writes.claims_moved;
        if !moved.is_empty() {
            let rows: Vec<_> =
                moved.iter().map(|(key, from, to)| (key.0, key.1, from, to)).collect();
            let rows = self.bind_rows(&rows)?;
            self.counted(
                &format!(
                    "UPDATE claims SET owner = m.value ->> 3 FROM json_each({rows}) AS m
                     WHERE claims.scope = m.value ->> 0 AND claims.key = m.value ->> 1
                        AND claims.owner = m.value ->> 2"
                ),
                moved.len(),
            )?;
        }
        Ok(())
    }

    fn timers(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let cleared = &writes.timers_cleared;
        if !cleared.is_empty() {
            let rows = self.bind_rows(cleared)?;
            self.add(&format!(
                "DELETE FROM timers WHERE (owner, name) IN
                 (SELECT value ->> 0, value ->> 1 FROM json_each({rows}))"
            ));
        }
        // Those that are set anew are taken too.
        let taken = writes.timers_taken.iter().map(|((owner, name), due)| (*owner, *name, *due));
        let moved = writes.timers_moved.iter().map(|(due, it)| (it.owner, it.name, *due));
        let taken: Vec<_> = taken.chain(moved).collect();
        if !taken.is_empty() {
            let rows = self.bind_rows(&taken)?;
            self.counted(
                &format!(
                    "DELETE FROM timers WHERE (owner, name, due_at) IN
                     (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each({rows}))"
                ),
                taken.len(),
            )?;
        }
        let moved = writes.timers_moved.iter().map(|(_, timer)| timer);
        let set: Vec<_> = writes
            .timers_set
            .iter()
            .chain(moved)
            .map(|timer| {
                (
                    timer.owner,
                    timer.name,
                    timer.due_at,
                    timer.message.kind.as_str(),
                    timer.message.stream,
                    &*timer.message.name,
                    timer.message.message_id,
                    &*timer.message.payload,
                    &*timer.metadata,
                )
            })
            .collect();
        if !set.is_empty() {
            let rows = self.bind_rows(&set)?;
            self.add(&format!(
                "INSERT INTO timers (owner, name, due_at, kind, stream, message_name, message_id,
                    payload, metadata)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    value ->> 5, value ->> 6, value ->> 7, value ->> 8
                 FROM json_each({rows}) WHERE true
                 ON CONFLICT (owner, name) DO UPDATE SET due_at = excluded.due_at,
                    kind = excluded.kind, stream = excluded.stream,
                    message_name = excluded.message_name, message_id = excluded.message_id,
                    payload = excluded.payload, metadata = excluded.metadata"
            ));
        }
        Ok(())
    }
}

/// What is there under the key `k`: a number and a text, and where from.
const fn found(part: Part) -> (&'static str, &'static str) {
    match part {
        // A subquery, because `max` then takes one step down the index.
        Part::Streams => (
            "coalesce((SELECT max(version) FROM messages
                WHERE stream = k.a AND kind = 'event'), 0), NULL",
            "",
        ),
        Part::Messages => ("1, NULL", "CROSS JOIN messages AS f ON f.message_id = k.a"),
        Part::Handled => {
            ("1, NULL", "CROSS JOIN inbox AS f ON f.consumer = k.a AND f.message_id = k.b")
        }
        Part::Passed => (
            "1, NULL",
            "CROSS JOIN messages AS m ON m.position = CAST(k.b AS INTEGER)
             CROSS JOIN checkpoints AS f ON f.consumer = k.a AND f.partition = m.partition
                AND f.position >= m.position",
        ),
        Part::Answered => {
            ("1, NULL", "CROSS JOIN idempotency AS f ON f.caller = k.a AND f.key = k.b")
        }
        Part::Claims => ("0, f.owner", "CROSS JOIN claims AS f ON f.scope = k.a AND f.key = k.b"),
        Part::Timers => {
            ("f.due_at, NULL", "CROSS JOIN timers AS f ON f.owner = k.a AND f.name = k.b")
        }
        Part::Letters => ("1, NULL", "CROSS JOIN dead_letters AS f ON f.id = k.a"),
    }
}

#[cfg(test)]
mod tests {
    use mallbots_domain::id::{BasketId, DeadLetterId, EntityId};
    use sea_orm::sqlx::{Connection, Row, raw_sql};
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;
    use crate::{
        append::{
            Append, Claim, IdempotencyEntry, InboxEntry, NewEvent, NewMessage, StreamWrite, Take,
            Timer, TimerChange,
        },
        appender::{
            batch::Care,
            request::{Basis, Request},
        },
        message::{MessageKind, Metadata, Position, Version},
        upcast::Upcasters,
    };

    const TABLES: &str = include_str!("../../../migrations/src/ledger/m0001_ledger.sqlite.sql");

    /// An append with something in each part.
    fn everything() -> Append {
        let id = BasketId::from_uuid(Uuid::now_v7()).any();
        let message = NewMessage {
            kind: MessageKind::Command,
            stream: id,
            name: "testing.DoIt".to_owned(),
            message_id: Uuid::now_v7(),
            payload: "{}".to_owned(),
        };
        let claim = |key: &str| Claim { scope: "sku", key: key.to_owned(), owner: id };
        let event = NewEvent {
            name: "testing.Done".to_owned(),
            schema_version: 1,
            payload: "{}".to_owned(),
        };
        let timer = Timer { owner: id, name: "alarm", due_at: 1, message: message.clone() };
        Append {
            streams: vec![StreamWrite { stream: id, expected: Version(0), events: vec![event] }],
            messages: vec![message.clone()],
            inbox: Some(InboxEntry {
                consumer: "one",
                message_id: message.message_id,
                position: Position(1),
            }),
            idempotency: Some(IdempotencyEntry {
                caller: "anna".to_owned(),
                key: "key".to_owned(),
                fingerprint: "f".to_owned(),
                result: "null".to_owned(),
            }),
            claims: vec![claim("a")],
            releases: vec![claim("b")],
            timers: vec![TimerChange::Set(timer), TimerChange::Clear { owner: id, name: "other" }],
            takes: vec![
                Take::Timer { owner: id, name: "taken".to_owned(), due_at: 1 },
                Take::DeadLetter { id: DeadLetterId::from_uuid(Uuid::now_v7()) },
            ],
            ..Append::new(Metadata::begin("tester", Uuid::now_v7()))
        }
    }

    async fn plan(connection: &mut SqliteConnection, statements: &str) -> Vec<String> {
        let mut steps = Vec::new();
        for statement in statements.split(';').filter(|sql| !sql.trim().is_empty()) {
            let explain = format!("EXPLAIN QUERY PLAN {statement}");
            let rows = raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await;
            steps.extend(rows.unwrap().iter().map(|row| row.get::<String, _>("detail")));
        }
        steps
    }

    #[tokio::test]
    async fn nothing_is_found_by_scanning_a_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        raw_sql(TABLES).execute(&mut connection).await.unwrap();
        let (reply, _) = oneshot::channel();
        let upcasters = Upcasters::default();
        let request =
            Request::new(everything(), Vec::new(), Basis::Stated, &upcasters, reply).unwrap();
        let requests = [request];

        let mut looking = Statement::default();
        for probe in Touched::by(&requests, Care::Look, |_| None).probes() {
            looking.look(&probe).unwrap();
        }
        let mut writing = Statement::default();
        let (_, mut writes) = Touched::by(&requests, Care::Trust, |_| None).judge(&requests);
        writes.asserted.push((requests[0].streams[0].id, 1));
        writing.write(&writes, 1).unwrap();

        for sql in [looking.sql, writing.sql] {
            for step in plan(&mut connection, &sql).await {
                let is_scan = step.starts_with("SCAN")
                    && !step.contains("VIRTUAL TABLE")
                    && step != "SCAN CONSTANT ROW";
                assert!(!is_scan, "{step}");
            }
        }
    }
}
