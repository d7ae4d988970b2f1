//! The bots.

use std::collections::HashMap;

use mallbots_domain::{
    depot::bot::{BotEvent, BotStatus},
    id::{AnyId, BotId, EntityId, ShoppingListId},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as BotRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// A bot.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "bots")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<BotId>,
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub status: Text<BotStatus>,
    /// The list it has.
    pub list_id: Option<Text<ShoppingListId>>,
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

row!(BotId);

impl Projection for Entity {
    type Event = BotEvent;

    fn fold(row: &mut Option<Model>, event: BotEvent, of: &Occurred) -> Result<(), Misfit> {
        let (status, list_id, row) = match (event, row.as_mut()) {
            (BotEvent::BotRegistered { name }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    name: name.into(),
                    status: Text(BotStatus::Offline),
                    list_id: None,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
                return Ok(());
            }
            (BotEvent::BotBroughtOnline {} | BotEvent::BotReleased { list_id: _ }, Some(row)) => {
                (BotStatus::Idle, None, row)
            }
            (BotEvent::BotTakenOffline {}, Some(row)) => (BotStatus::Offline, None, row),
            (BotEvent::BotAssigned { list_id }, Some(row)) => {
                (BotStatus::Active, Some(Text(list_id)), row)
            }
            (BotEvent::BotRegistered { .. }, Some(_))
            | (
                BotEvent::BotBroughtOnline {}
                | BotEvent::BotTakenOffline {}
                | BotEvent::BotAssigned { .. }
                | BotEvent::BotReleased { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        };
        row.status = Text(status);
        row.list_id = list_id;
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        row.list_id.iter().map(|list| list.any()).collect()
    }
}

/// A bot.
pub async fn by_id(reads: &Reads, id: BotId) -> Result<Option<BotRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several bots.
pub async fn by_ids(reads: &Reads, ids: &[BotId]) -> Result<HashMap<BotId, BotRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Bots, oldest first.
pub async fn list(reads: &Reads, request: &PageRequest) -> Result<Page<BotRow>, ReadError> {
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Up };
    page::page(reads, Entity::find(), sort, request).await
}
