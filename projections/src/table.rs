//! One table in one batch: the rows it needs are loaded at once, changed in
//! memory, and written with one statement.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use mallbots_domain::id::EntityId;
use mallbots_eventstore::{connect::Backend, message::Position};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable,
    PrimaryKeyToColumn, Statement, Value,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    changes::Change,
    row::{Misfit, Occurred, Projection, Row},
};

/// The rows of a table that a batch works on.
#[derive(Debug, Clone)]
pub(crate) struct Table<P: Projection> {
    sql: Sql,
    rows: HashMap<Uuid, Slot<P::Model>>,
    /// What has changed, in the order of the first change.
    changed: Vec<Uuid>,
}

#[derive(Debug, Clone)]
struct Slot<M> {
    row: Option<M>,
    changed: bool,
}

impl<M: Row> Slot<M> {
    fn stamp(&mut self, of: &Occurred, changed: &mut Vec<Uuid>) {
        if let Some(row) = &mut self.row {
            row.stamp(of);
        }
        if !self.changed {
            self.changed = true;
            changed.push(of.stream.uuid);
        }
    }
}

impl<P: Projection> Table<P> {
    /// A table that has this behind its name.
    pub(crate) fn new(backend: Backend, suffix: &str) -> Self {
        Self {
            sql: Sql::of::<P>(backend, suffix, OnConflict::ReplaceOlder),
            rows: HashMap::new(),
            changed: Vec::new(),
        }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.changed.clear();
    }

    /// Loads the rows that are not at hand yet.
    pub(crate) async fn load(
        &mut self,
        db: &impl ConnectionTrait,
        ids: &HashSet<Uuid>,
    ) -> Result<(), DbErr> {
        let missing: Vec<String> = ids
            .iter()
            .filter(|id| !self.rows.contains_key(id))
            .map(|id| <P::Model as Row>::Id::from_uuid(*id).to_string())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for row in db.query_all_raw(self.sql.load(missing)).await? {
            let row = P::Model::from_query_result(&row, "")?;
            self.rows.insert(row.id().uuid(), Slot { row: Some(row), changed: false });
        }
        Ok(())
    }

    /// A row that is at hand.
    pub(crate) fn get(&self, id: <P::Model as Row>::Id) -> Option<&P::Model> {
        self.rows.get(&id.uuid())?.row.as_ref()
    }

    /// Takes an event into its row, once.
    pub(crate) fn fold(&mut self, event: P::Event, of: &Occurred) -> Result<(), Misfit> {
        let slot = match self.rows.entry(of.stream.uuid) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => slot.insert(Slot { row: None, changed: false }),
        };
        let known = slot.row.as_ref().map_or(0, Row::version);
        if of.version <= known {
            return Ok(());
        }
        if of.version != known + 1 {
            return Err(Misfit::Gap { version: of.version, known });
        }
        P::fold(&mut slot.row, event, of)?;
        slot.stamp(of, &mut self.changed);
        Ok(())
    }

    /// Notes in its row, if it is at hand and this is its next event, that an
    /// event is known.
    pub(crate) fn pass_over(&mut self, of: &Occurred) {
        if let Some(slot) = self.rows.get_mut(&of.stream.uuid)
            && slot.row.as_ref().is_some_and(|row| row.version() + 1 == of.version)
        {
            slot.stamp(of, &mut self.changed);
        }
    }

    /// Writes what has changed, and says so.
    pub(crate) async fn flush(
        &mut self,
        db: &impl ConnectionTrait,
        changes: &mut Vec<Change>,
    ) -> Result<(), DbErr> {
        if self.changed.is_empty() {
            return Ok(());
        }
        for id in &self.changed {
            if let Some(slot) = self.rows.get_mut(id) {
                slot.changed = false;
            }
        }
        let rows: Vec<&P::Model> =
            self.changed.drain(..).filter_map(|id| self.rows.get(&id)?.row.as_ref()).collect();
        let write = self.sql.write(&rows)?;
        changes.extend(rows.into_iter().map(|row| Change {
            id: row.id().any(),
            position: Position(row.position()),
            also: P::parents(row),
        }));
        db.execute_raw(write).await?;
        Ok(())
    }
}

/// The rows that a batch adds to a table without reading any.
#[derive(Debug, Clone)]
pub(crate) struct Additions<E: EntityTrait> {
    sql: Sql,
    rows: Vec<E::Model>,
}

impl<E: EntityTrait<Model: Serialize + Sync>> Additions<E> {
    /// A table that has this behind its name.
    pub(crate) fn new(backend: Backend, suffix: &str, on_conflict: OnConflict) -> Self {
        Self { sql: Sql::of::<E>(backend, suffix, on_conflict), rows: Vec::new() }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: E::Model) {
        self.rows.push(row);
    }

    /// Writes what was added.
    pub(crate) async fn flush(&mut self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        if self.rows.is_empty() {
            return Ok(());
        }
        db.execute_raw(self.sql.write(&self.rows)?).await?;
        self.rows.clear();
        Ok(())
    }
}

/// What to do with a row that is there already.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnConflict {
    /// Leave it.
    Keep,
    /// Write it anew.
    Replace,
    /// Write it anew if what is written knows more events.
    ReplaceOlder,
}

/// The statements of one table. They are the same whatever is loaded or
/// written, so the database parses them once: everything is in one parameter.
#[derive(Debug, Clone)]
struct Sql {
    backend: Backend,
    load: String,
    write: String,
}

impl Sql {
    /// The columns are those of the entity: a new field needs nothing here.
    fn of<E: EntityTrait>(backend: Backend, suffix: &str, on_conflict: OnConflict) -> Self {
        let table = format!("\"{}{suffix}\"", E::default().table_name());
        let columns: Vec<&str> = E::Column::iter().map(|column| column.as_str()).collect();
        let keys: Vec<&str> = E::PrimaryKey::iter().map(|key| key.into_column().as_str()).collect();
        let list = quoted(columns.iter().copied());

        let (ids, rows) = match backend {
            Backend::Postgres => (
                "= ANY($1)".to_owned(),
                format!("SELECT {list} FROM json_populate_recordset(NULL::{table}, $1::json)"),
            ),
            // Without `WHERE` the parser would take `ON CONFLICT` for a join.
            Backend::Sqlite => {
                let values: Vec<String> =
                    columns.iter().map(|column| format!("value ->> '$.{column}'")).collect();
                (
                    "IN (SELECT value FROM json_each(?))".to_owned(),
                    format!("SELECT {} FROM json_each(?) WHERE true", values.join(", ")),
                )
            }
        };
        let conflict = match on_conflict {
            OnConflict::Keep => "ON CONFLICT DO NOTHING".to_owned(),
            OnConflict::Replace | OnConflict::ReplaceOlder => {
                let set: Vec<String> = columns
                    .iter()
                    .filter(|column| !keys.contains(column))
                    .map(|column| format!("\"{column}\" = excluded.\"{column}\""))
                    .collect();
                let older = match on_conflict {
                    OnConflict::ReplaceOlder => {
                        format!(" WHERE {table}.version < excluded.version")
                    }
                    OnConflict::Keep | OnConflict::Replace => String::new(),
                };
                format!(
                    "ON CONFLICT ({}) DO UPDATE SET {}{older}",
                    quoted(keys.iter().copied()),
                    set.join(", "),
                )
            }
        };
        Self {
            backend,
            load: format!("SELECT {list} FROM {table} WHERE {} {ids}", quoted(keys)),
            write: format!("INSERT INTO {table} ({list}) {rows} {conflict}"),
        }
    }

    fn load(&self, ids: Vec<String>) -> Statement {
        statement(self.backend, &self.load, [texts(self.backend, ids)])
    }

    fn write<R: Serialize>(&self, rows: &[R]) -> Result<Statement, DbErr> {
        let json = serde_json::to_string(rows).map_err(|error| DbErr::Json(error.to_string()))?;
        Ok(statement(self.backend, &self.write, [json.into()]))
    }
}

/// A statement with its parameters.
pub(crate) fn statement(
    backend: Backend,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let backend = match backend {
        Backend::Postgres => DbBackend::Postgres,
        Backend::Sqlite => DbBackend::Sqlite,
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// Several texts as one parameter.
pub(crate) fn texts(backend: Backend, texts: Vec<String>) -> Value {
    match backend {
        Backend::Postgres => texts.into(),
        Backend::Sqlite => serde_json::Value::from(texts).to_string().into(),
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}
