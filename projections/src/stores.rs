//! The mall: its stores, and whether bots shop in them.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, StoreId},
    stores::store::StoreEvent,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as StoreRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
    search,
};

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "stores")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<StoreId>,
    /// What it is called.
    pub name: String,
    /// Where in the mall it is.
    pub location: String,
    /// Whether bots may shop in it.
    pub participating: bool,
    /// What text is looked for in.
    pub search: String,
    /// How many of its events the row knows.
    pub version: i64,
    /// The ledger position of the last of them.
    pub position: i64,
    /// When the first was recorded.
    pub created_at: i64,
    /// When the last was recorded.
    pub updated_at: i64,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

row!(StoreId);

impl Projection for Entity {
    type Event = StoreEvent;

    fn fold(row: &mut Option<Model>, event: StoreEvent, of: &Occurred) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (StoreEvent::StoreCreated { name, location }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    search: search::searchable([name.as_str(), location.as_str()]),
                    name: name.into(),
                    location: location.into(),
                    participating: false,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (StoreEvent::StoreParticipationEnabled {}, Some(row)) => row.participating = true,
            (StoreEvent::StoreParticipationDisabled {}, Some(row)) => row.participating = false,
            (StoreEvent::StoreRebranded { name }, Some(row)) => {
                row.search = search::searchable([name.as_str(), &row.location]);
                row.name = name.into();
            }
            (StoreEvent::StoreCreated { .. }, Some(_))
            | (
                StoreEvent::StoreParticipationEnabled {}
                | StoreEvent::StoreParticipationDisabled {}
                | StoreEvent::StoreRebranded { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(_: &Model) -> Vec<AnyId> {
        Vec::new()
    }
}

/// Which stores a list is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StoreFilter {
    /// Those where bots shop, or those where they do not.
    pub participating: Option<bool>,
    /// Those with this in their name or location, in small or capital letters.
    pub text: Option<String>,
}

/// A store.
pub async fn by_id(reads: &Reads, id: StoreId) -> Result<Option<StoreRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several stores.
pub async fn by_ids(
    reads: &Reads,
    ids: &[StoreId],
) -> Result<HashMap<StoreId, StoreRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Stores, oldest first.
pub async fn list(
    reads: &Reads,
    filter: &StoreFilter,
    request: &PageRequest,
) -> Result<Page<StoreRow>, ReadError> {
    let mut select = Entity::find();
    if let Some(participating) = filter.participating {
        select = select.filter(Column::Participating.eq(participating));
    }
    if let Some(text) = &filter.text {
        select = select.filter(search::holds(Column::Search, text));
    }
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Up };
    page::page(reads, select, sort, request).await
}
