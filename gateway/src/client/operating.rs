//! What operators ask of a mall and have it do.

pub use mallbots_projections::rebuild::RebuildState;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operations::Operation;

/// A page of a list, and whether there is another behind it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What is on it.
    pub nodes: Vec<T>,
    /// What is behind it.
    pub page_info: PageInfo,
}

/// What is behind a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// Whether there is more.
    pub has_next_page: bool,
    /// Where the page ends.
    pub end_cursor: Option<String>,
}

/// How a read model stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Projection {
    /// What it is called.
    pub name: String,
    /// Up to where it is filled.
    pub position: String,
    /// How many messages of the ledger it does not know yet.
    pub lag: u64,
    /// How many events it could not take in.
    pub parked: u64,
    /// How far a rebuild of it has come, from 0 to 1, while there is one.
    pub rebuilding: Option<f64>,
    /// How its last rebuild went, or goes.
    pub rebuild: Option<Rebuild>,
}

/// How a rebuild goes, or went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {
    /// Where it stands.
    pub state: RebuildState,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was asked for.
    pub requested_at: String,
    /// When it was over.
    pub ended_at: Option<String>,
}

const PROJECTION: &str =
    "name position lag parked rebuilding rebuild { state error requestedAt endedAt }";

/// How each read model stands.
pub fn projections() -> Operation<Vec<Projection>> {
    let document = format!("query projections {{ projections {{ {PROJECTION} }} }}");
    Operation::query("projections", &document, json!({}))
}

/// What came of asking for a rebuild.
#[derive(Debug, Clone, Deserialize)]
pub struct RebuildBegun {
    /// How the read model stands now.
    pub projection: Projection,
}

/// Fills a read model anew, or `all` of them.
pub fn rebuild_projection(name: &str) -> Operation<RebuildBegun> {
    let selection = format!("projection {{ {PROJECTION} }}");
    Operation::mutation("rebuildProjection", &selection, &json!({ "name": name }))
}

/// A message that could not be handled, and that others may wait behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Names it.
    pub id: String,
    /// Who could not handle it.
    pub consumer: String,
    /// What it is about.
    pub key: String,
    /// The message's type.
    pub message_name: String,
    /// The message's content, as JSON.
    pub payload: String,
    /// What went wrong last.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it first failed.
    pub first_failed_at: String,
    /// How many messages wait behind it.
    pub blocked: u64,
}

const DEAD_LETTER: &str =
    "id consumer key messageName payload reason attempts firstFailedAt blocked";

/// A page of what is parked, in the order of the ledger.
pub fn dead_letters(first: u32, after: Option<&str>) -> Operation<Page<DeadLetter>> {
    let document = format!(
        "query deadLetters($first: Int!, $after: Cursor) \
         {{ deadLetters(first: $first, after: $after) \
         {{ nodes {{ {DEAD_LETTER} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    Operation::query("deadLetters", &document, json!({ "first": first, "after": after }))
}

/// A message that is parked.
pub fn dead_letter(id: &str) -> Operation<Option<DeadLetter>> {
    let document = format!(
        "query node($id: ID!) {{ node(id: $id) {{ ... on DeadLetter {{ {DEAD_LETTER} }} }} }}"
    );
    Operation::query("node", &document, json!({ "id": id }))
}

/// What came of settling a parked message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// Which one.
    pub dead_letter_id: String,
    /// Where the request stands in the ledger.
    pub position: String,
}

/// Tries a parked message again, mended or as it is, and all behind it.
pub fn retry_dead_letter(id: &str, payload: Option<&str>) -> Operation<Settled> {
    let input = json!({ "id": id, "payload": payload });
    Operation::mutation("retryDeadLetter", "deadLetterId position", &input)
}

/// Throws a parked message away and tries all behind it.
pub fn discard_dead_letter(id: &str) -> Operation<Settled> {
    Operation::mutation("discardDeadLetter", "deadLetterId position", &json!({ "id": id }))
}
