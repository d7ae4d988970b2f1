//! What people ask about orders, sagas and histories, to look at all of it.

use mallbots_domain::{ordering::OrderStatus, saga::SagaState};
use mallbots_projections::sagas::SagaStepState;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    operating::Page,
    operations::{Amount, Operation},
};

/// Money with its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// How much.
    pub amount: Amount,
    /// Of what, such as `USD`.
    pub currency: String,
}

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// Somebody, or something with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Names it.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// An order in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSummary {
    /// Names it.
    pub id: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// Who ordered.
    pub customer: Named,
    /// What all of it costs.
    pub total: Price,
    /// When it was placed.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
}

const ORDER_SUMMARY: &str =
    "id status customer { id name } total { amount currency } createdAt updatedAt";

/// How orders are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderSort {
    /// Newest first.
    #[default]
    #[value(name = "newest")]
    CreatedDesc,
    /// Oldest first.
    #[value(name = "oldest")]
    CreatedAsc,
    /// Dearest first.
    #[value(name = "dearest")]
    TotalDesc,
    /// Cheapest first.
    #[value(name = "cheapest")]
    TotalAsc,
}

/// Which orders: those that fit all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderFilter {
    /// Those of one customer.
    pub customer_id: Option<String>,
    /// Those with something from one of these stores.
    pub store_ids: Option<Vec<String>>,
    /// Those with one of these products.
    pub product_ids: Option<Vec<String>>,
    /// Those in one of these states.
    pub statuses: Option<Vec<OrderStatus>>,
    /// Those placed at this moment or later.
    pub created_after: Option<String>,
    /// Those placed before this moment.
    pub created_before: Option<String>,
    /// Those that cost at least this.
    pub min_total: Option<Amount>,
    /// Those that cost at most this.
    pub max_total: Option<Amount>,
    /// Those with this in a name.
    pub text: Option<String>,
}

/// A page of the orders that fit.
pub fn orders(
    filter: &OrderFilter,
    sort: OrderSort,
    first: u32,
    after: Option<&str>,
) -> Operation<Page<OrderSummary>> {
    let document = format!(
        "query orders($first: Int!, $after: Cursor, $filter: OrderFilter, $sort: OrderSort) \
         {{ orders(first: $first, after: $after, filter: $filter, sort: $sort) \
         {{ nodes {{ {ORDER_SUMMARY} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let variables = json!({ "first": first, "after": after, "filter": filter, "sort": sort });
    Operation::query("orders", &document, variables)
}

/// How many orders are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCount {
    /// The state.
    pub status: OrderStatus,
    /// How many.
    pub count: u64,
}

/// How many of the orders that fit are in each state.
pub fn order_counts(filter: &OrderFilter) -> Operation<Vec<StatusCount>> {
    Operation::query(
        "orderStatusCounts",
        "query orderStatusCounts($filter: OrderFilter) \
         { orderStatusCounts(filter: $filter) { status count } }",
        json!({ "filter": filter }),
    )
}

/// An order with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderDetails {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: OrderSummary,
    /// What was ordered.
    pub items: Vec<OrderLine>,
    /// Its payment.
    pub payment: Option<Billed>,
    /// Its invoice.
    pub invoice: Option<Billed>,
    /// What a bot collects for it.
    pub shopping_list: Option<Collected>,
    /// The long process it is in, or was in last.
    pub saga: Option<SagaRef>,
    /// Why it was turned down.
    pub rejection_reason: Option<String>,
    /// Why it was called off.
    pub cancellation_reason: Option<String>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    /// What.
    pub product_id: String,
    /// What it was called.
    pub product_name: String,
    /// Whose.
    pub store_name: String,
    /// What one piece costs.
    pub price: Price,
    /// How many.
    pub quantity: u32,
    /// What the line costs.
    pub line_total: Price,
}

/// A payment or an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// Names it.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// How much.
    pub amount: Price,
}

/// A shopping list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Names it.
    pub id: String,
    /// Where it stands.
    pub status: String,
}

/// A saga, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRef {
    /// Names it.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub state: SagaState,
}

/// An order with all that belongs to it.
pub fn order(id: &str) -> Operation<Option<OrderDetails>> {
    let document = format!(
        "query order($id: ID!) {{ order(id: $id) {{ {ORDER_SUMMARY} \
         items {{ productId productName storeName price {{ amount currency }} quantity \
         lineTotal {{ amount currency }} }} \
         payment {{ id status amount {{ amount currency }} }} \
         invoice {{ id status amount {{ amount currency }} }} \
         shoppingList {{ id status }} saga {{ id name state }} \
         rejectionReason cancellationReason }} }}"
    );
    Operation::query("order", &document, json!({ "id": id }))
}

/// A saga, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaDetails {
    /// Names it.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub state: SagaState,
    /// The order it is about.
    pub order: OrderRef,
    /// When it began.
    pub started_at: String,
    /// When it was over.
    pub ended_at: Option<String>,
    /// Why it turned back.
    pub refusal: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<SagaStep>,
}

/// An order, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRef {
    /// Names it.
    pub id: String,
    /// Where it stands.
    pub status: OrderStatus,
}

/// A step of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaStep {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub state: SagaStepState,
    /// How often it was tried in the direction the saga last went.
    pub attempts: u32,
    /// When it was first tried.
    pub started_at: Option<String>,
    /// When it was over.
    pub ended_at: Option<String>,
    /// When it will be tried again.
    pub next_attempt_at: Option<String>,
    /// Why it was refused or has to be tried again.
    pub reason: Option<String>,
}

const SAGA: &str = "id name state order { id status } startedAt endedAt refusal \
     steps { name state attempts startedAt endedAt nextAttemptAt reason }";

/// A page of sagas in some states, or in any; newest first.
pub fn sagas(
    states: Option<&[SagaState]>,
    first: u32,
    after: Option<&str>,
) -> Operation<Page<SagaDetails>> {
    let document = format!(
        "query sagas($first: Int!, $after: Cursor, $states: [SagaState!]) \
         {{ sagas(first: $first, after: $after, states: $states) \
         {{ nodes {{ {SAGA} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let variables = json!({ "first": first, "after": after, "states": states });
    Operation::query("sagas", &document, variables)
}

/// A saga.
pub fn saga(id: &str) -> Operation<Option<SagaDetails>> {
    let document = format!("query saga($id: ID!) {{ saga(id: $id) {{ {SAGA} }} }}");
    Operation::query("saga", &document, json!({ "id": id }))
}

/// What came of letting a stuck saga go on.
#[derive(Debug, Clone, Deserialize)]
pub struct SagaRetried {
    /// The saga, unless the read side is late.
    pub saga: Option<SagaDetails>,
}

/// Lets a stuck saga go on.
pub fn retry_saga(id: &str) -> Operation<SagaRetried> {
    Operation::mutation("retrySaga", &format!("saga {{ {SAGA} }}"), &json!({ "id": id }))
}

/// Something that happened to something, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventEdge {
    /// Its place.
    pub cursor: String,
    /// What happened.
    pub node: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The message's own id.
    pub id: String,
    /// Its place in all history.
    pub position: String,
    /// Which event of its stream it is, from 1.
    pub version: u64,
    /// Its type.
    pub name: String,
    /// When it happened.
    pub at: String,
    /// Who did it.
    pub actor: Option<String>,
    /// Its content: JSON.
    #[serde(deserialize_with = "json_in_text")]
    pub payload: Value,
    /// The message that led to it.
    pub cause: Option<Cause>,
}

/// The message that led to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The message's own id.
    pub id: String,
    /// Its type.
    pub name: String,
    /// To what it happened, or whom it was for.
    pub stream: String,
}

/// What is told as text is JSON; what cannot be read stays text.
fn json_in_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    let text = String::deserialize(from)?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

const EVENT: &str = "id position version name at actor payload cause { id name stream }";

/// A page of what happened to something, from the beginning.
pub fn history(id: &str, first: u32, after: Option<&str>) -> Operation<Page<Event>> {
    let document = format!(
        "query history($id: ID!, $first: Int!, $after: Cursor) \
         {{ history(id: $id, first: $first, after: $after) \
         {{ nodes {{ {EVENT} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    Operation::query("history", &document, json!({ "id": id, "first": first, "after": after }))
}

/// The same, and then each new event as it happens.
pub fn history_changed(id: &str, after: Option<&str>) -> Operation<EventEdge> {
    let document = format!(
        "subscription historyChanged($id: ID!, $after: Cursor) \
         {{ historyChanged(id: $id, after: $after) {{ cursor node {{ {EVENT} }} }} }}"
    );
    Operation::subscription("historyChanged", &document, json!({ "id": id, "after": after }))
}
