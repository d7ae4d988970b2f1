//! The customers.

use std::collections::HashMap;

use mallbots_domain::{
    customers::CustomerEvent,
    id::{AnyId, CustomerId},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::Model as CustomerRow;
use crate::{
    column::Text,
    page::{self, Page, PageRequest, Sort, Way},
    reads::{ReadError, Reads},
    row::{Misfit, Occurred, Projection, row},
    search,
};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "customers")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<CustomerId>,
    /// What they are called.
    pub name: String,
    /// Where messages reach them.
    pub sms_number: String,
    /// Whether they may shop.
    pub enabled: bool,
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

row!(CustomerId);

impl Projection for Entity {
    type Event = CustomerEvent;

    fn fold(row: &mut Option<Model>, event: CustomerEvent, of: &Occurred) -> Result<(), Misfit> {
        match (event, row.as_mut()) {
            (CustomerEvent::CustomerRegistered { name, sms_number }, None) => {
                *row = Some(Model {
                    id: Text(of.id()),
                    search: search::searchable([name.as_str(), sms_number.as_str()]),
                    name: name.into(),
                    sms_number: sms_number.as_str().to_owned(),
                    enabled: true,
                    version: of.version,
                    position: of.position,
                    created_at: of.at,
                    updated_at: of.at,
                });
            }
            (CustomerEvent::CustomerSmsChanged { sms_number }, Some(row)) => {
                row.search = search::searchable([&row.name, sms_number.as_str()]);
                sms_number.as_str().clone_into(&mut row.sms_number);
            }
            (CustomerEvent::CustomerEnabled {}, Some(row)) => row.enabled = true,
            (CustomerEvent::CustomerDisabled {}, Some(row)) => row.enabled = false,
            // Shows in the timeline of the order's saga.
            (CustomerEvent::CustomerAuthorized { order_id: _ }, Some(_)) => {}
            (CustomerEvent::CustomerRegistered { .. }, Some(_))
            | (
                CustomerEvent::CustomerSmsChanged { .. }
                | CustomerEvent::CustomerEnabled {}
                | CustomerEvent::CustomerDisabled {}
                | CustomerEvent::CustomerAuthorized { .. },
                None,
            ) => return Err(Misfit::OutOfPlace),
        }
        Ok(())
    }

    fn parents(_: &Model) -> Vec<AnyId> {
        Vec::new()
    }
}

/// Which customers a list is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct CustomerFilter {
    /// Those with this in their name or number, in small or capital letters.
    pub text: Option<String>,
}

/// A customer.
pub async fn by_id(reads: &Reads, id: CustomerId) -> Result<Option<CustomerRow>, ReadError> {
    Ok(Entity::find_by_id(Text(id)).one(reads.db()).await?)
}

/// Several customers.
pub async fn by_ids(
    reads: &Reads,
    ids: &[CustomerId],
) -> Result<HashMap<CustomerId, CustomerRow>, ReadError> {
    reads.by_ids::<Entity>(ids, Column::Id).await
}

/// Customers, oldest first.
pub async fn list(
    reads: &Reads,
    filter: &CustomerFilter,
    request: &PageRequest,
) -> Result<Page<CustomerRow>, ReadError> {
    let mut select = Entity::find();
    if let Some(text) = &filter.text {
        select = select.filter(search::holds(Column::Search, text));
    }
    let sort = Sort { value: Column::CreatedAt, id: Column::Id, way: Way::Up };
    page::page(reads, select, sort, request).await
}
