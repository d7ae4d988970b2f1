//! What commands, replies and timers look like inside a message.

use std::time::Duration;

use mallbots_domain::{
    id::{EntityId, SagaId},
    saga::{Outcome, SagaCommand, Try},
};
use mallbots_eventstore::{
    append::NewMessage,
    message::{MessageKind, Recorded},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a context answers a saga with.
pub const REPLIED: &str = "sagas.StepReplied";
/// What the timer of a step becomes when nobody answered.
pub const TIMED_OUT: &str = "sagas.StepTimedOut";
/// What the timer of a step becomes when it is to be tried again.
pub const DUE: &str = "sagas.StepDue";

/// A saga's command on its way to a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// Who asks.
    pub saga: SagaId,
    /// For which try.
    #[serde(rename = "try")]
    pub of: Try,
    /// What.
    pub command: SagaCommand,
}

/// A context's answer on its way to a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyEnvelope {
    /// To which try.
    #[serde(rename = "try")]
    pub of: Try,
    /// What became of it.
    pub outcome: Outcome,
}

/// A saga's timer on its way back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerEnvelope {
    /// Which try it was wound for.
    #[serde(rename = "try")]
    pub of: Try,
}

/// A saga's command as a message. Its id follows from saga, step, direction
/// and attempt, so that it can only be sent once.
pub fn command(saga: SagaId, of: &Try, command: SagaCommand) -> serde_json::Result<NewMessage> {
    let target = command.target();
    let context = command.context();
    let envelope = CommandEnvelope { saga, of: of.clone(), command };
    let variant = variant_name(&envelope.command)?;
    Ok(NewMessage {
        kind: MessageKind::Command,
        stream: target,
        name: format!("{context}.{variant}"),
        message_id: derived(saga.uuid(), &try_label("command", of)),
        payload: serde_json::to_string(&envelope)?,
    })
}

/// A context's answer as a message.
pub fn reply(
    to: &Recorded,
    asked: &CommandEnvelope,
    outcome: Outcome,
) -> serde_json::Result<NewMessage> {
    let envelope = ReplyEnvelope { of: asked.of.clone(), outcome };
    Ok(NewMessage {
        kind: MessageKind::Reply,
        stream: asked.saga.any(),
        name: REPLIED.to_owned(),
        message_id: derived(to.message_id, "reply"),
        payload: serde_json::to_string(&envelope)?,
    })
}

/// What a saga's timer says when it is due.
pub fn timer(saga: SagaId, name: &'static str, of: &Try) -> serde_json::Result<NewMessage> {
    Ok(NewMessage {
        kind: MessageKind::Command,
        stream: saga.any(),
        name: name.to_owned(),
        message_id: derived(saga.uuid(), &try_label(name, of)),
        payload: serde_json::to_string(&TimerEnvelope { of: of.clone() })?,
    })
}

/// An id that follows from another and a label: a UUID of version 8 (RFC 9562)
/// made of a SHA-256 digest.
#[must_use]
pub fn derived(from: Uuid, label: &str) -> Uuid {
    let digest = Sha256::new().chain_update(from.as_bytes()).chain_update(label).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A duration in the ledger's unit of time.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn try_label(what: &str, of: &Try) -> String {
    let Try { step, direction, attempt } = of;
    format!("{what}/{step}/{direction:?}/{attempt}")
}

/// The name serde gives the variant of an externally tagged enum.
fn variant_name(command: &SagaCommand) -> serde_json::Result<String> {
    match serde_json::to_value(command)? {
        serde_json::Value::Object(tagged) => Ok(tagged.keys().next().cloned().unwrap_or_default()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_) => Ok(String::new()),
    }
}
