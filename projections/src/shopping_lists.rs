//! The depot board: what bots collect, where they stop and what they have picked.
//! An order's list is found by the id that follows from the order's.

use std::collections::HashMap;

use mallbots_domain::{
    depot::shopping_list::{ShoppingListEvent, ShoppingListStatus, Shortage, Stop},
    id::{AnyId, BotId, EntityId, OrderId, ShoppingListId},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as ShoppingListRow;
use crate::{
    column::{Json, Text},
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
};

/// A shopping list.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "shopping_lists")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<ShoppingListId>,
    /// The order it is for.
    pub order_id: Text<OrderId>,
    /// The bot that has it, or had it last.
    pub bot_id: Option<Text<BotId>>,
    /// Where it stands.
    pub status: Text<ShoppingListStatus>,
    /// Where to go, what to take and how much of it was taken.
    pub stops: Json<Vec<Stop>>,
    /// What the bot could not bring.
    pub shortages: Json<Vec<Shortage>>,
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

row!(ShoppingListId);

impl Projection for Entity {
    type Event = ShoppingListEvent;

    fn fold(
        row: &mut Option<Model>,
        event: ShoppingListEvent,
        of: &Occurred,
    ) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (ShoppingListEvent::ShoppingListCreated { order_id, stops }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    order_id: Text(order_id),
                    bot_id: None,
                    status: Text(ShoppingListStatus::Pending),
                    stops: Json(stops),
                    shortages: Json(Vec::new()),
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (ShoppingListEvent::ShoppingListInitiated {}, Some(row)) => {
                row.status = Text(ShoppingListStatus::Available);
            }
            (ShoppingListEvent::ShoppingListAssigned { bot_id }, Some(row)) => {
                row.status = Text(ShoppingListStatus::Assigned);
                row.bot_id = Some(Text(bot_id));
            }
            (ShoppingListEvent::ShoppingStarted { order_id: _, bot_id: _ }, Some(row)) => {
                row.status = Text(ShoppingListStatus::Active);
            }
            (ShoppingListEvent::ItemPicked { store_id, product_id, quantity }, Some(row)) => {
                row.stops
                    .0
                    .iter_mut()
                    .filter(|stop| stop.store_id == store_id)
                    .flat_map(|stop| &mut stop.items)
                    .filter(|item| item.product_id == product_id)
                    .for_each(|item| item.picked = item.picked.saturating_add(quantity.get()));
            }
            (
                ShoppingListEvent::ShoppingListCompleted { order_id: _, bot_id: _, shortages },
                Some(row),
            ) => {
                row.status = Text(ShoppingListStatus::Completed);
                row.shortages = Json(shortages);
            }
            (ShoppingListEvent::ShoppingListCanceled { bot_id: _ }, Some(row)) => {
                row.status = Text(ShoppingListStatus::Canceled);
            }
            (ShoppingListEvent::ShoppingListCreated { .. }, Some(_))
            | (
                ShoppingListEvent::ShoppingListInitiated {}
                | ShoppingListEvent::ShoppingListAssigned { .. }
                | ShoppingListEvent::ShoppingStarted { .. }
                | ShoppingListEvent::ItemPicked { .. }
                | ShoppingListEvent::ShoppingListCompleted { .. }
                | ShoppingListEvent::ShoppingListCanceled { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        let order = row.order_id.any();
        row.bot_id.iter().map(|bot| bot.any()).chain([order]).collect()
    }
}

/// A shopping list.
pub async fn by_id(
    reads: &Reads,
    id: ShoppingListId,
) -> Result<Option<ShoppingListRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several shopping lists.
pub async fn by_ids(
    reads: &Reads,
    ids: &[ShoppingListId],
) -> Result<HashMap<ShoppingListId, ShoppingListRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Shopping lists of these statuses, or all, oldest first.
pub async fn list(
    reads: &Reads,
    statuses: Option<&[ShoppingListStatus]>,
    request: &PageRequest,
) -> Result<Page<ShoppingListRow>, ReadError> {
    let mut select = Entity::find();
    if let Some(statuses) = statuses {
        select = select.filter(Column::Status.is_in(statuses.iter().copied().map(Text)));
    }
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Up };
    page::page(reads, select, sort, request).await
}
