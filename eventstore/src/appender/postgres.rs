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

use super::{
    batch::{Part, Probe, Touched, Writes},
    request::TimerRow,
};
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

/// Writes the batch and returns where the head stood before. It `tells` the
/// other processes if there are any.
pub(super) async fn write(
    connection: &mut PgConnection,
    writes: &Writes<'_>,
    now: i64,
    tells: bool,
) -> Result<i64, Error> {
    let statement = writing(writes, now, tells)?;
    query_with(AssertSqlSafe(statement.sql), statement.args).fetch_one(connection).await?.int(0)
}

/// A statement that is put together from its parts. There are few
/// combinations of parts, so the server sees few statements.
#[derive(Default)]
struct Statement {
    sql: String,
    args: PgArguments,
    /// Whether rows are written out. Of many, the server takes arrays faster,
    /// and a statement for each number of rows would be too many statements.
    is_short: bool,
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
fn writing(writes: &Writes<'_>, now: i64, tells: bool) -> Result<Statement, Error> {
    let mut statement = Statement { is_short: is_short(writes), ..Statement::default() };
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
    statement.end(&count, tells && writes.count() > 0)?;
    Ok(statement)
}

/// Whether a batch is what one request writes, or little more: then taking
/// arrays apart would be a fifth of the server's work.
const fn is_short(writes: &Writes<'_>) -> bool {
    writes.rows.len() <= 3 && writes.inbox.len() <= 1 && writes.timers_set.len() <= 1
}

/// A column of the rows that a part writes.
enum Column<'v> {
    Texts(Vec<&'v str>),
    Strings(Vec<String>),
    /// Texts that may be missing.
    Perhaps(Vec<Option<String>>),
    Longs(Vec<i64>),
    Ints(Vec<i32>),
    Shorts(Vec<i16>),
}

impl Column<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Texts(values) => values.len(),
            Self::Strings(values) => values.len(),
            Self::Perhaps(values) => values.len(),
            Self::Longs(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Shorts(values) => values.len(),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Texts(_) | Self::Strings(_) | Self::Perhaps(_) => "text",
            Self::Longs(_) => "bigint",
            Self::Ints(_) => "integer",
            Self::Shorts(_) => "smallint",
        }
    }
}

impl Statement {
    /// The rows with these columns, and `n` that counts them from one, under
    /// the name. There is at least one row.
    fn rows<const N: usize>(
        &mut self,
        name: &str,
        columns: [(&str, Column<'_>); N],
    ) -> Result<String, Error> {
        let names = columns.each_ref().map(|(column, _)| *column).join(", ");
        if !self.is_short {
            let mut arrays = Vec::with_capacity(N);
            for (_, column) in columns {
                let kind = column.kind();
                arrays.push(format!("{}::{kind}[]", self.bind_all(column)?));
            }
            let arrays = arrays.join(", ");
            return Ok(format!("unnest({arrays}) WITH ORDINALITY AS {name} ({names}, n)"));
        }
        let count = columns.first().map_or(0, |(_, column)| column.len());
        let mut rows = Vec::with_capacity(count);
        for row in 0..count {
            let mut values = String::new();
            for (_, column) in &columns {
                let value = self.bind_one(column, row)?;
                // Writing to a string cannot fail.
                let _ = write!(values, "{value}::{}, ", column.kind());
            }
            rows.push(format!("({values}{}::bigint)", row + 1));
        }
        Ok(format!("(VALUES {}) AS {name} ({names}, n)", rows.join(", ")))
    }

    fn bind_all(&mut self, column: Column<'_>) -> Result<String, Error> {
        match column {
            Column::Texts(values) => self.bind(values),
            Column::Strings(values) => self.bind(values),
            Column::Perhaps(values) => self.bind(values),
            Column::Longs(values) => self.bind(values),
            Column::Ints(values) => self.bind(values),
            Column::Shorts(values) => self.bind(values),
        }
    }

    fn bind_one(&mut self, column: &Column<'_>, row: usize) -> Result<String, Error> {
        match column {
            Column::Texts(values) => self.bind(values[row]),
            Column::Strings(values) => self.bind(&*values[row]),
            Column::Perhaps(values) => self.bind(values[row].as_deref()),
            Column::Longs(values) => self.bind(values[row]),
            Column::Ints(values) => self.bind(values[row]),
            Column::Shorts(values) => self.bind(values[row]),
        }
    }

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
        let count = rows.len();
        let rows = self.rows(
            "a",
            [
                ("stream", strings(rows, |(stream, _)| stream)),
                ("version", longs(rows, |(_, version)| *version)),
            ],
        )?;
        self.part(
            "asserted",
            &format!(
                "SELECT 1 FROM {rows}
                 CROSS JOIN LATERAL (SELECT 1 FROM messages WHERE stream = a.stream
                    AND kind = 'event' AND version = a.version LIMIT 1) AS f"
            ),
        );
        self.counted.push("asserted");
        self.expected += super::batch::place(count);
        Ok(())
    }

    fn messages(&mut self, writes: &Writes<'_>, now: i64) -> Result<(), Error> {
        let rows = &writes.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let rows = self.rows(
            "m",
            [
                ("kind", texts(rows, |row| row.kind.as_str())),
                ("stream", texts(rows, |row| &row.stream_text)),
                ("version", longs(rows, |row| row.version.0)),
                ("name", texts(rows, |row| &row.name)),
                (
                    "schema_version",
                    Column::Ints(rows.iter().map(|row| row.schema_version).collect()),
                ),
                (
                    "partition",
                    Column::Shorts(
                        rows.iter().map(|row| i16::from(row.stream.partition())).collect(),
                    ),
                ),
                ("message_id", strings(rows, |row| &row.message_id)),
                (
                    "causation_id",
                    Column::Perhaps(
                        rows.iter().map(|row| row.causation_id.map(|id| id.to_string())).collect(),
                    ),
                ),
                ("payload", texts(rows, |row| &row.payload)),
                ("metadata", texts(rows, |row| &row.metadata)),
            ],
        )?;
        let now = self.bind(now)?;
        self.part(
            "new_messages",
            &format!(
                "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                    partition, message_id, causation_id, payload, metadata, recorded_at)
                 SELECT head.before + m.n, m.kind, m.stream, m.version, m.name, m.schema_version,
                    m.partition, m.message_id::uuid, m.causation_id::uuid, m.payload::json,
                    m.metadata::json, {now}
                 FROM head, {rows}"
            ),
        );
        Ok(())
    }

    fn inbox(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.inbox;
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let rows = self.rows(
            "i",
            [
                ("consumer", texts(rows, |(row, _)| row.consumer)),
                ("message_id", strings(rows, |(row, _)| &row.message_id)),
                ("position", longs(rows, |(row, _)| row.position.0)),
                // Nothing stands at zero.
                ("guard", longs(rows, |(_, guard)| guard.map_or(0, |guard| guard.0))),
            ],
        )?;
        self.counted(
            "new_inbox",
            &format!(
                "INSERT INTO inbox (consumer, message_id, position)
                 SELECT i.consumer, i.message_id::uuid, i.position
                 FROM head, {rows}
                 WHERE NOT EXISTS (
                    SELECT 1 FROM messages AS m JOIN checkpoints AS c ON c.consumer = i.consumer
                        AND c.partition = m.partition AND c.position >= m.position
                    WHERE m.position = i.guard)"
            ),
            count,
        );
        Ok(())
    }

    fn answers(&mut self, writes: &Writes<'_>, now: i64) -> Result<(), Error> {
        let rows = &writes.answers;
        if rows.is_empty() {
            return Ok(());
        }
        let rows = self.rows(
            "a",
            [
                ("caller", texts(rows, |row| &row.entry.caller)),
                ("key", texts(rows, |row| &row.entry.key)),
                ("fingerprint", texts(rows, |row| &row.entry.fingerprint)),
                ("result", texts(rows, |row| &row.entry.result)),
                ("first", longs(rows, |row| row.first)),
                ("last", longs(rows, |row| row.last)),
            ],
        )?;
        let now = self.bind(now)?;
        self.part(
            "new_answers",
            &format!(
                "INSERT INTO idempotency (caller, key, fingerprint, result, first_position,
                    last_position, answered_at)
                 SELECT a.caller, a.key, a.fingerprint, a.result, head.before + a.first,
                    head.before + a.last, {now}
                 FROM head, {rows}"
            ),
        );
        Ok(())
    }

    fn claims(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.claims_taken;
        if !rows.is_empty() {
            let rows = self.rows(
                "n",
                [
                    ("scope", texts(rows, |(key, _)| key.0)),
                    ("key", texts(rows, |(key, _)| key.1)),
                    ("owner", strings(rows, |(_, owner)| owner)),
                ],
            )?;
            self.part(
                "claims_taken",
                &format!(
                    "INSERT INTO claims (scope, key, owner) SELECT n.scope, n.key, n.owner
                     FROM head, {rows}"
                ),
            );
        }
        let rows = &writes.claims_moved;
        if !rows.is_empty() {
            let count = rows.len();
            let rows = self.rows(
                "m",
                [
                    ("scope", texts(rows, |(key, ..)| key.0)),
                    ("key", texts(rows, |(key, ..)| key.1)),
                    ("old_owner", strings(rows, |(_, from, _)| from)),
                    ("new_owner", strings(rows, |(.., to)| to)),
                ],
            )?;
            self.counted(
                "claims_moved",
                &format!(
                    "UPDATE claims AS c SET owner = m.new_owner
                     FROM head, {rows}
                     WHERE c.scope = m.scope AND c.key = m.key AND c.owner = m.old_owner"
                ),
                count,
            );
        }
        let rows = &writes.claims_released;
        if !rows.is_empty() {
            let rows = self.rows(
                "r",
                [
                    ("scope", texts(rows, |(key, _)| key.0)),
                    ("key", texts(rows, |(key, _)| key.1)),
                    ("owner", strings(rows, |(_, owner)| owner)),
                ],
            )?;
            self.part(
                "claims_released",
                &format!(
                    "DELETE FROM claims AS c
                     USING head, {rows}
                     WHERE c.scope = r.scope AND c.key = r.key AND c.owner = r.owner"
                ),
            );
        }
        Ok(())
    }

    fn timers(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.timers_cleared;
        if !rows.is_empty() {
            let rows = self.rows(
                "c",
                [
                    ("owner", strings(rows, |(owner, _)| owner)),
                    ("name", texts(rows, |(_, name)| name)),
                ],
            )?;
            self.part(
                "timers_cleared",
                &format!(
                    "DELETE FROM timers AS t
                     USING head, {rows}
                     WHERE t.owner = c.owner AND t.name = c.name"
                ),
            );
        }
        let rows = &writes.timers_taken;
        if !rows.is_empty() {
            let count = rows.len();
            let rows = self.rows(
                "c",
                [
                    ("owner", strings(rows, |((owner, _), _)| owner)),
                    ("name", texts(rows, |((_, name), _)| name)),
                    ("due_at", longs(rows, |(_, due_at)| *due_at)),
                ],
            )?;
            self.counted(
                "timers_taken",
                &format!(
                    "DELETE FROM timers AS t
                     USING head, {rows}
                     WHERE t.owner = c.owner AND t.name = c.name AND t.due_at = c.due_at"
                ),
                count,
            );
        }
        if !writes.timers_set.is_empty() {
            let rows = self.rows("n", timers(&writes.timers_set))?;
            self.part(
                "timers_set",
                &format!(
                    "INSERT INTO timers (owner, name, due_at, kind, stream, message_name,
                        message_id, payload, metadata)
                     SELECT n.owner, n.name, n.due_at, n.kind, n.stream, n.message_name,
                        n.message_id::uuid, n.payload::json, n.metadata::json
                     FROM head, {rows}
                     ON CONFLICT (owner, name) DO UPDATE SET due_at = excluded.due_at,
                        kind = excluded.kind, stream = excluded.stream,
                        message_name = excluded.message_name, message_id = excluded.message_id,
                        payload = excluded.payload, metadata = excluded.metadata"
                ),
            );
        }
        let rows = &writes.timers_moved;
        if !rows.is_empty() {
            let moved: Vec<_> = rows.iter().map(|(_, timer)| *timer).collect();
            let count = rows.len();
            let old = self.rows(
                "o",
                [
                    ("owner", strings(rows, |(_, timer)| &timer.owner)),
                    ("name", texts(rows, |(_, timer)| timer.name)),
                    ("due_at", longs(rows, |(due_at, _)| *due_at)),
                ],
            )?;
            let new = self.rows("n", timers(&moved))?;
            self.counted(
                "timers_moved",
                &format!(
                    "UPDATE timers AS t SET due_at = n.due_at, kind = n.kind, stream = n.stream,
                        message_name = n.message_name, message_id = n.message_id::uuid,
                        payload = n.payload::json, metadata = n.metadata::json
                     FROM head, {new}, {old}
                     WHERE t.owner = n.owner AND t.name = n.name AND o.owner = n.owner
                        AND o.name = n.name AND t.due_at = o.due_at"
                ),
                count,
            );
        }
        Ok(())
    }

    fn letters(&mut self, writes: &Writes<'_>) -> Result<(), Error> {
        let rows = &writes.letters_taken;
        if !rows.is_empty() {
            let count = rows.len();
            let rows = self.rows("t", [("id", strings(rows, |id| id))])?;
            self.counted(
                "letters_taken",
                &format!(
                    "DELETE FROM dead_letters AS d USING head, {rows}
                     WHERE d.id = t.id"
                ),
                count,
            );
        }
        Ok(())
    }

    /// Returns where the head stood, tells the other processes if asked to, and makes the
    /// whole statement fail when a count is wrong.
    fn end(&mut self, count: &str, tells: bool) -> Result<(), Error> {
        self.sql.push_str(" SELECT head.before");
        if tells {
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
fn texts<'r, T>(rows: &'r [T], text: impl Fn(&'r T) -> &'r str) -> Column<'r> {
    Column::Texts(rows.iter().map(text).collect())
}

/// A column of texts that are made from the rows.
fn strings<'r, T, S: ToString + 'r>(
    rows: &'r [T],
    value: impl Fn(&'r T) -> &'r S,
) -> Column<'static> {
    Column::Strings(rows.iter().map(|row| value(row).to_string()).collect())
}

/// A column of numbers.
fn longs<T>(rows: &[T], value: impl Fn(&T) -> i64) -> Column<'static> {
    Column::Longs(rows.iter().map(value).collect())
}

/// The columns of timers.
fn timers<'r>(rows: &'r [&'r TimerRow]) -> [(&'static str, Column<'r>); 9] {
    [
        ("owner", strings(rows, |row| &row.owner)),
        ("name", texts(rows, |row| row.name)),
        ("due_at", longs(rows, |row| row.due_at)),
        ("kind", texts(rows, |row| row.message.kind.as_str())),
        ("stream", strings(rows, |row| &row.message.stream)),
        ("message_name", texts(rows, |row| &row.message.name)),
        ("message_id", strings(rows, |row| &row.message.message_id)),
        ("payload", texts(rows, |row| &row.message.payload)),
        ("metadata", texts(rows, |row| &row.metadata)),
    ]
}
