//! The schema: one file for each context, with its objects, queries, mutations
//! and subscriptions. A resolver authorizes, calls and wraps; it decides
//! nothing.
//!
//! Start with `orders`, then `mutate` and `live` for how mutations and
//! subscriptions run.

pub mod baskets;
pub mod customers;
pub mod depot;
pub mod entities;
pub mod node;
pub mod operations;
pub mod orders;
pub mod payments;
pub mod sagas;
pub mod stores;

pub mod services;

pub mod subgraph;

pub mod access;

pub mod connection;
pub mod cursor;
pub mod fresh;
pub mod freshness;
pub mod ids;
pub mod live;
pub mod loaders;
pub mod mutate;
pub mod scalars;

use async_graphql::{MergedObject, MergedSubscription, Schema, SchemaBuilder};

use crate::error::{ClientError, ErrorCode};

/// The queries of all contexts.
#[derive(Debug, Default, MergedObject)]
pub struct Query(
    node::NodeQueries,
    stores::StoreQueries,
    customers::CustomerQueries,
    baskets::BasketQueries,
    orders::OrderQueries,
    payments::PaymentQueries,
    depot::DepotQueries,
    sagas::SagaQueries,
    operations::OperationQueries,
    entities::EntityQueries,
);

/// The mutations of all contexts.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(
    stores::StoreMutations,
    customers::CustomerMutations,
    baskets::BasketMutations,
    orders::OrderMutations,
    payments::PaymentMutations,
    depot::DepotMutations,
    sagas::SagaMutations,
    operations::OperationMutations,
);

/// The subscriptions of all contexts.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(
    orders::OrderSubscriptions,
    sagas::SagaSubscriptions,
    baskets::BasketSubscriptions,
    stores::StoreSubscriptions,
    depot::DepotSubscriptions,
    customers::CustomerSubscriptions,
    operations::OperationSubscriptions,
);

/// Subscriptions of which equal ones share an execution: all of them.
pub const SHARED: &[&str] = &[
    "basketChanged",
    "botsChanged",
    "deadLettersChanged",
    "historyChanged",
    "notificationSent",
    "orderChanged",
    "orderProgress",
    "ordersChanged",
    "productsChanged",
    "projectionsChanged",
    "sagaProgress",
    "shoppingListsChanged",
];

/// The mall's schema.
pub type MallSchema = Schema<Query, Mutation, Subscription>;

/// The schema without what is behind it: enough to print it.
#[must_use]
pub fn schema_builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
}

/// The longest text that can be looked for, in characters.
const LONGEST_SEARCH: usize = 200;

/// Text to look for, trimmed; none if nothing is left.
fn search_text(text: Option<String>) -> Result<Option<String>, ClientError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.chars().count() > LONGEST_SEARCH {
        let message = format!("text to look for has at most {LONGEST_SEARCH} characters");
        return Err(ClientError::new(ErrorCode::BadUserInput, message).on_field("text"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
