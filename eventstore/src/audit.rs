//! The ledger's tables as they are, whatever is wrong with them, for whoever
//! checks them: in one snapshot, while others go on writing.

use std::str::FromStr;

use mallbots_domain::id::{AnyId, PARTITIONS};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbErr, IsolationLevel, QueryResult,
    Statement, TransactionTrait, TryGetable, Value,
};

use crate::{
    connect::{Backend, Database},
    error::StoreError,
    message::{MessageKind, Position, Recorded, Version},
};

/// The ledger at one moment.
#[derive(Debug)]
pub struct Snapshot {
    transaction: DatabaseTransaction,
    kind: Backend,
}

/// A row of `messages`, not yet believed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct RawMessage {
    pub position: i64,
    pub kind: String,
    pub stream: String,
    pub version: i64,
    pub name: String,
    pub schema_version: i64,
    pub partition: i64,
    pub message_id: String,
    pub causation_id: Option<String>,
    pub payload: String,
    pub metadata: String,
    pub recorded_at: i64,
}

/// A name, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldName {
    /// The kind of name.
    pub scope: String,
    /// The name.
    pub key: String,
    /// Who holds it.
    pub owner: String,
}

/// A row that speaks of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Whose row it is: a consumer, a caller.
    pub whose: String,
    /// Which row: a key, a message's id.
    pub which: String,
    /// Where the message is said to stand.
    pub position: i64,
    /// Whether it stands there.
    pub is_there: bool,
}

impl RawMessage {
    /// The message, if it is one.
    pub fn read(&self) -> Result<Recorded, String> {
        let kind = [MessageKind::Event, MessageKind::Command, MessageKind::Reply]
            .into_iter()
            .find(|kind| kind.as_str() == self.kind)
            .ok_or_else(|| format!("{} is no kind of message", self.kind))?;
        let stream: AnyId = parse("stream", &self.stream)?;
        if self.partition != i64::from(stream.partition()) {
            return Err(format!(
                "it is in partition {} of {PARTITIONS}, and belongs into {}",
                self.partition,
                stream.partition()
            ));
        }
        let recorded = Recorded {
            position: Position(self.position),
            kind,
            stream,
            version: Version(self.version),
            name: self.name.clone(),
            schema_version: i32::try_from(self.schema_version)
                .map_err(|_| format!("schema version {}", self.schema_version))?,
            message_id: parse("message id", &self.message_id)?,
            payload: self.payload.as_str().into(),
            metadata: self.metadata.as_str().into(),
            recorded_at: self.recorded_at,
        };
        let metadata = recorded.metadata().map_err(|error| format!("metadata: {error}"))?;
        let cause = metadata.causation_id.map(|id| id.to_string());
        if cause != self.causation_id {
            return Err("metadata and column name different causes".to_owned());
        }
        Ok(recorded)
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{what} {text:?}: {error}"))
}

impl Snapshot {
    /// How it is now.
    pub async fn of(database: &Database) -> Result<Self, StoreError> {
        let transaction = match database.kind {
            Backend::Postgres => {
                let isolation = Some(IsolationLevel::RepeatableRead);
                database.read.begin_with_config(isolation, Some(AccessMode::ReadOnly)).await?
            }
            Backend::Sqlite => database.read.begin().await?,
        };
        let snapshot = Self { transaction, kind: database.kind };
        // SQLite takes it with the first read.
        snapshot.head().await?;
        Ok(snapshot)
    }

    /// Lets go of it.
    pub async fn end(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }

    /// Where the ledger says it ends.
    pub async fn head(&self) -> Result<i64, StoreError> {
        let heads =
            self.rows("SELECT position FROM ledger_head WHERE id = 1", [], |row| at(row, 0));
        Ok(heads.await?.into_iter().next().unwrap_or_default())
    }

    /// Messages in the order of their positions.
    pub async fn messages(&self, after: i64, limit: u32) -> Result<Vec<RawMessage>, StoreError> {
        let [id, cause] = match self.kind {
            Backend::Postgres => ["message_id::text", "causation_id::text"],
            Backend::Sqlite => ["message_id", "causation_id"],
        };
        let sql = format!(
            "SELECT position, kind, stream, version, name, CAST(schema_version AS bigint),
                CAST(partition AS bigint), {id}, {cause}, CAST(payload AS text),
                CAST(metadata AS text), recorded_at
             FROM messages WHERE position > $1 ORDER BY position LIMIT $2"
        );
        let values = [after.into(), i64::from(limit).into()];
        self.rows(&sql, values, |row| {
            Ok(RawMessage {
                position: at(row, 0)?,
                kind: at(row, 1)?,
                stream: at(row, 2)?,
                version: at(row, 3)?,
                name: at(row, 4)?,
                schema_version: at(row, 5)?,
                partition: at(row, 6)?,
                message_id: at(row, 7)?,
                causation_id: at(row, 8)?,
                payload: at(row, 9)?,
                metadata: at(row, 10)?,
                recorded_at: at(row, 11)?,
            })
        })
        .await
    }

    /// Message ids that are there more than once, and how often.
    pub async fn doubled_ids(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let id = self.text_of("message_id");
        let sql = format!(
            "SELECT {id}, count(*) FROM messages GROUP BY message_id HAVING count(*) > 1 ORDER BY 1"
        );
        self.rows(&sql, [], |row| Ok((at(row, 0)?, at(row, 1)?))).await
    }

    /// All names that are held.
    pub async fn names(&self) -> Result<Vec<HeldName>, StoreError> {
        let sql = "SELECT scope, key, owner FROM claims ORDER BY scope, key";
        self.rows(sql, [], |row| {
            Ok(HeldName { scope: at(row, 0)?, key: at(row, 1)?, owner: at(row, 2)? })
        })
        .await
    }

    /// How many answers to requests are kept.
    pub async fn answers(&self) -> Result<i64, StoreError> {
        self.count("SELECT count(*) FROM idempotency").await
    }

    /// Answers that speak of messages which are not there.
    pub async fn answers_to_nothing(&self) -> Result<Vec<Mention>, StoreError> {
        let sql = "SELECT caller, key, last_position FROM idempotency, ledger_head
            WHERE first_position < 0 OR last_position < first_position
                OR last_position > ledger_head.position
            ORDER BY caller, key";
        self.rows(sql, [], |row| {
            Ok(Mention {
                whose: at(row, 0)?,
                which: at(row, 1)?,
                position: at(row, 2)?,
                is_there: false,
            })
        })
        .await
    }

    /// How many messages consumers remember to have handled.
    pub async fn handled(&self) -> Result<i64, StoreError> {
        self.count("SELECT count(*) FROM inbox").await
    }

    /// What consumers remember to have handled and is not where they say.
    pub async fn handled_nothing(&self) -> Result<Vec<Mention>, StoreError> {
        let id = self.text_of("i.message_id");
        let sql = format!(
            "SELECT i.consumer, {id}, i.position, CAST(0 AS bigint)
             FROM inbox AS i LEFT JOIN messages AS m ON m.position = i.position
             WHERE m.message_id IS NULL OR m.message_id <> i.message_id
             ORDER BY i.consumer, i.position"
        );
        self.rows(&sql, [], mention).await
    }

    /// What consumers have set aside.
    pub async fn parked(&self) -> Result<Vec<(String, Mention)>, StoreError> {
        let sql = "SELECT d.consumer, d.id, d.position,
                CASE WHEN m.message_id = d.message_id THEN CAST(1 AS bigint) ELSE 0 END, d.key
             FROM dead_letters AS d LEFT JOIN messages AS m ON m.position = d.position
             ORDER BY d.position, d.id";
        self.rows(sql, [], |row| Ok((at(row, 4)?, mention(row)?))).await
    }

    /// How far each consumer has come in each partition.
    pub async fn checkpoints(&self) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let sql = "SELECT consumer, CAST(partition AS bigint), position FROM checkpoints
            ORDER BY consumer, partition";
        self.rows(sql, [], |row| Ok((at(row, 0)?, at(row, 1)?, at(row, 2)?))).await
    }

    /// Whose timers are wound.
    pub async fn timer_owners(&self) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT DISTINCT owner FROM timers", [], |row| at(row, 0)).await
    }

    fn text_of(&self, column: &str) -> String {
        match self.kind {
            Backend::Postgres => format!("{column}::text"),
            Backend::Sqlite => column.to_owned(),
        }
    }

    async fn count(&self, sql: &str) -> Result<i64, StoreError> {
        Ok(self.rows(sql, [], |row| at(row, 0)).await?.into_iter().next().unwrap_or_default())
    }

    async fn rows<T>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value> + Send,
        read: impl Fn(&QueryResult) -> Result<T, DbErr> + Send,
    ) -> Result<Vec<T>, StoreError> {
        let backend = self.transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let rows = self.transaction.query_all_raw(statement).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

fn mention(row: &QueryResult) -> Result<Mention, DbErr> {
    Ok(Mention {
        whose: at(row, 0)?,
        which: at(row, 1)?,
        position: at(row, 2)?,
        is_there: at::<i64>(row, 3)? == 1,
    })
}

fn at<T: TryGetable>(row: &QueryResult, column: usize) -> Result<T, DbErr> {
    row.try_get_by_index(column)
}
