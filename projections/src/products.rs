//! The catalog: what the stores sell, at its present price.

use std::collections::HashMap;

use mallbots_domain::{
    id::{AnyId, EntityId, ProductId, StoreId},
    stores::product::ProductEvent,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as ProductRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
    search,
};

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "products")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<ProductId>,
    /// The store that sells it.
    pub store_id: Text<StoreId>,
    /// What it is called.
    pub name: String,
    /// What it is like.
    pub description: String,
    /// The store's own number for it.
    pub sku: String,
    /// What one piece costs, in minor units.
    pub price: i64,
    /// Whether it went off sale. Then no list shows it, but it can be found by its id.
    pub removed: bool,
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

row!(ProductId);

impl Projection for Entity {
    type Event = ProductEvent;

    fn fold(row: &mut Option<Model>, event: ProductEvent, of: &Occurred) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (ProductEvent::ProductAdded { store_id, name, description, sku, price }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    store_id: Text(store_id),
                    search: search::searchable([name.as_str(), sku.as_str()]),
                    name: name.into(),
                    description: description.into(),
                    sku: sku.into(),
                    price: price.minor(),
                    removed: false,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (ProductEvent::ProductRebranded { name, description }, Some(row)) => {
                row.search = search::searchable([name.as_str(), &row.sku]);
                row.name = name.into();
                row.description = description.into();
            }
            (
                ProductEvent::ProductPriceIncreased { old: _, new }
                | ProductEvent::ProductPriceDecreased { old: _, new },
                Some(row),
            ) => row.price = new.minor(),
            (ProductEvent::ProductRemoved {}, Some(row)) => row.removed = true,
            (ProductEvent::ProductAdded { .. }, Some(_))
            | (
                ProductEvent::ProductRebranded { .. }
                | ProductEvent::ProductPriceIncreased { .. }
                | ProductEvent::ProductPriceDecreased { .. }
                | ProductEvent::ProductRemoved {},
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(row: &Model) -> Vec<AnyId> {
        vec![row.store_id.any()]
    }
}

/// Which products a list is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ProductFilter {
    /// Those of one store.
    pub store_id: Option<StoreId>,
    /// Those with this in their name or SKU, in small or capital letters.
    pub text: Option<String>,
}

/// A product.
pub async fn by_id(reads: &Reads, id: ProductId) -> Result<Option<ProductRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several products.
pub async fn by_ids(
    reads: &Reads,
    ids: &[ProductId],
) -> Result<HashMap<ProductId, ProductRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Products on sale, oldest first.
pub async fn list(
    reads: &Reads,
    filter: &ProductFilter,
    request: &PageRequest,
) -> Result<Page<ProductRow>, ReadError> {
    let mut select = on_sale(filter.text.as_deref());
    if let Some(store_id) = filter.store_id {
        select = select.filter(Column::StoreId.eq(Text(store_id)));
    }
    page::page(reads, select, SORT, request).await
}

/// The same page of the products of each of several stores, in one query.
/// Stores that sell nothing are missing from the answer.
pub async fn of_stores(
    reads: &Reads,
    store_ids: &[StoreId],
    text: Option<&str>,
    request: &PageRequest,
) -> Result<HashMap<StoreId, Page<ProductRow>>, ReadError> {
    let select = on_sale(text).filter(reads.any_of(Column::StoreId, store_ids));
    page::pages(reads, select, Column::StoreId, SORT, request).await
}

const SORT: Sort<Column> = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Up };

fn on_sale(text: Option<&str>) -> Select<Entity> {
    let mut select = Entity::find().filter(Column::Removed.eq(false));
    if let Some(text) = text {
        select = select.filter(search::holds(Column::Search, text));
    }
    select
}
