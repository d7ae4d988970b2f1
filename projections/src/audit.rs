//! How the read models' tables stand, for whoever checks the books: in one
//! snapshot, while the mall goes on.

use mallbots_domain::id::Kind;
use mallbots_eventstore::connect::{Backend, Database};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IsolationLevel, QuerySelect,
    Statement, TransactionTrait,
};

use crate::{column::Text, parked, tables::READ_MODELS};

/// How the tables stand.
#[derive(Debug, Clone)]
pub struct Standing {
    /// How far each partition has come, by the name of what moves it.
    pub checkpoints: Vec<(String, i64, i64)>,
    /// The read models that are made of the events of one kind of thing.
    pub models: Vec<ModelStanding>,
    /// What is parked before them.
    pub parked: Vec<ParkedAt>,
}

/// How a read model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelStanding {
    /// What it is called.
    pub name: &'static str,
    /// Whose events make it.
    pub kind: Kind,
    /// How many events its rows know together.
    pub events: i64,
    /// How many events are parked before it.
    pub parked: i64,
}

/// Where a parked event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedAt {
    /// Its name among the dead letters.
    pub id: String,
    /// Its stream.
    pub stream: String,
    /// Its place in the ledger.
    pub position: i64,
    /// Its type.
    pub name: String,
}

/// Looks at the tables.
pub async fn standing(views: &Database) -> Result<Standing, DbErr> {
    let snapshot = match views.kind {
        Backend::Postgres => {
            views.read.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?
        }
        Backend::Sqlite => views.read.begin().await?,
    };
    let sql = "SELECT name, CAST(partition AS bigint), position FROM projection_checkpoints
        ORDER BY name, partition";
    let rows = query(&snapshot, sql).await?;
    let checkpoints = rows
        .iter()
        .map(|row| {
            Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
        })
        .collect::<Result<_, DbErr>>()?;
    let mut models = Vec::new();
    for (name, kind) in READ_MODELS {
        let Some(kind) = kind else { continue };
        let sql = format!("SELECT CAST(coalesce(sum(version), 0) AS bigint) FROM \"{name}\"");
        let rows = query(&snapshot, &sql).await?;
        let events = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
        models.push(ModelStanding { name, kind, events, parked: 0 });
    }
    let rows = parked::Entity::find()
        .select_only()
        .columns([
            parked::Column::Id,
            parked::Column::Key,
            parked::Column::Position,
            parked::Column::Name,
        ])
        .into_tuple::<(String, Text<mallbots_domain::id::AnyId>, i64, String)>()
        .all(&snapshot)
        .await?;
    let mut parked = Vec::new();
    for (id, stream, position, name) in rows {
        if let Some(model) = models.iter_mut().find(|model| model.kind == stream.kind) {
            model.parked += 1;
        }
        parked.push(ParkedAt { id, stream: stream.to_string(), position, name });
    }
    snapshot.rollback().await?;
    Ok(Standing { checkpoints, models, parked })
}

async fn query(
    snapshot: &DatabaseTransaction,
    sql: &str,
) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    let statement = Statement::from_string(snapshot.get_database_backend(), sql);
    snapshot.query_all_raw(statement).await
}
