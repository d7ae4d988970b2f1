//! Which order holds what: only to look for orders by.

use mallbots_domain::{
    baskets::Item,
    id::{OrderId, ProductId, StoreId},
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::column::Text;

/// That an order holds a product of a store. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order_lines")]
pub struct Model {
    /// The order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Text<OrderId>,
    /// What it holds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: Text<ProductId>,
    /// Whose that is.
    pub store_id: Text<StoreId>,
}

/// It stands for itself.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The lines of an order.
pub(crate) fn of(order_id: OrderId, items: &[Item]) -> Vec<Model> {
    items
        .iter()
        .map(|item| Model {
            order_id: Text(order_id),
            product_id: Text(item.product_id),
            store_id: Text(item.store_id),
        })
        .collect()
}
