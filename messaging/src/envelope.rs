//! What commands, replies and timers look like inside a message.

use std::time::Duration;

use mallbots_domain::{
    id::{EntityId, PARTITIONS, SagaId},
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

/// The same, in a partition: beside what has the same last bits.
#[must_use]
pub fn derived_beside(from: Uuid, label: &str, partition: u8) -> Uuid {
    let mut bytes = derived(from, label).into_bytes();
    bytes[15] = bytes[15] / PARTITIONS * PARTITIONS + partition % PARTITIONS;
    Uuid::from_bytes(bytes)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mallbots_domain::{
        id::{CustomerId, EntityId, OrderId, PARTITIONS, PaymentId, SagaId},
        saga::{Direction, Outcome, SagaCommand, Try},
        testing::{id, item, money},
    };
    use mallbots_eventstore::message::{MessageKind, Position, Recorded, Version};
    use uuid::Uuid;

    use super::{
        CommandEnvelope, DUE, REPLIED, ReplyEnvelope, TIMED_OUT, TimerEnvelope, command, derived,
        derived_beside, reply, timer,
    };

    const SAGA: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

    fn saga() -> SagaId {
        SagaId::from_uuid(SAGA)
    }

    fn of(step: &str, attempt: u32) -> Try {
        Try { step: step.to_owned(), direction: Direction::Forward, attempt }
    }

    /// One of each.
    fn commands() -> Vec<SagaCommand> {
        let order_id: OrderId = id(1);
        let (customer_id, payment_id): (CustomerId, PaymentId) = (id(2), id(3));
        let (list_id, invoice_id) = (order_id.shopping_list(), order_id.invoice());
        vec![
            SagaCommand::AuthorizeCustomer { customer_id, order_id },
            SagaCommand::CreateShoppingList { list_id, order_id, items: vec![item(4, 2, 999)] },
            SagaCommand::InitiateShopping { list_id },
            SagaCommand::CancelShoppingList { list_id },
            SagaCommand::ConfirmPayment { payment_id, order_id, customer_id, amount: money(1) },
            SagaCommand::ReleasePayment { payment_id, order_id },
            SagaCommand::ApproveOrder { order_id, list_id },
            SagaCommand::RejectOrder { order_id, reason: "CUSTOMER_DISABLED".to_owned() },
            SagaCommand::CancelInvoice { invoice_id },
        ]
    }

    /// Ids that were given out stay what they are: whoever changes how they
    /// are made makes everything that was said be said again.
    #[test]
    fn derived_ids_never_change() {
        for (label, expected) in [
            ("", "5b49ad0f-1037-841f-a56f-59c8a4803d4c"),
            ("reply", "0bafcd24-8ac0-81f0-94a0-de1b39adde74"),
            ("command/CreateShoppingList/Forward/1", "f044cb1b-f90f-8bf2-a22e-73a8d4bd6e71"),
        ] {
            assert_eq!(derived(SAGA, label).to_string(), expected, "{label}");
        }
    }

    #[test]
    fn an_id_can_be_derived_in_any_partition() {
        for partition in 0..PARTITIONS {
            let id = derived_beside(SAGA, "depot", partition);
            assert_eq!(SagaId::from_uuid(id).any().partition(), partition);
            assert_eq!(id.get_version_num(), 8);
            assert_eq!(id, derived_beside(SAGA, "depot", partition));
            assert_ne!(id, derived_beside(SAGA, "sagas", partition));
        }
    }

    #[test]
    fn derived_ids_differ_by_origin_and_label() {
        let mut ids = BTreeSet::new();
        for n in 0..100 {
            let from = Uuid::from_u128(n);
            for label in ["", "reply", "command/ConfirmPayment/Forward/1"] {
                let id = derived(from, label);
                assert_eq!(id.get_version_num(), 8);
                assert!(ids.insert(id));
            }
        }
    }

    #[test]
    fn a_command_is_named_after_its_context_and_what_it_asks() {
        let names: Vec<_> = commands()
            .into_iter()
            .map(|asked| {
                let target = asked.target();
                let message = command(saga(), &of("Step", 1), asked.clone()).unwrap();
                assert_eq!((message.kind, message.stream), (MessageKind::Command, target));
                let read: CommandEnvelope = serde_json::from_str(&message.payload).unwrap();
                let sent = CommandEnvelope { saga: saga(), of: of("Step", 1), command: asked };
                assert_eq!(read, sent);
                message.name
            })
            .collect();
        assert_eq!(
            names,
            [
                "customers.AuthorizeCustomer",
                "depot.CreateShoppingList",
                "depot.InitiateShopping",
                "depot.CancelShoppingList",
                "payments.ConfirmPayment",
                "payments.ReleasePayment",
                "ordering.ApproveOrder",
                "ordering.RejectOrder",
                "payments.CancelInvoice",
            ]
        );
    }

    #[test]
    fn a_command_can_be_sent_once_for_each_try() {
        let sent = |of: &Try| command(saga(), of, commands().remove(2)).unwrap().message_id;
        let first = of("InitiateShopping", 1);
        let back = Try { direction: Direction::Backward, ..first.clone() };
        assert_eq!(sent(&first), sent(&first));
        let others = [of("InitiateShopping", 2), of("ApproveOrder", 1), back];
        let ids: BTreeSet<_> = others.iter().chain([&first]).map(sent).collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn a_reply_goes_back_to_the_saga_and_says_which_try_it_answers() {
        let asked = CommandEnvelope {
            saga: saga(),
            of: of("InitiateShopping", 3),
            command: commands().remove(2),
        };
        let to = Recorded {
            position: Position(7),
            kind: MessageKind::Command,
            stream: asked.command.target(),
            version: Version(0),
            name: "depot.InitiateShopping".to_owned(),
            schema_version: 1,
            message_id: Uuid::from_u128(9),
            payload: "{}".into(),
            metadata: "{}".into(),
            recorded_at: 0,
        };
        let outcome = Outcome::Refused { reason: "NO".to_owned(), message: "not today".to_owned() };
        let message = reply(&to, &asked, outcome.clone()).unwrap();
        assert_eq!((message.kind, message.stream), (MessageKind::Reply, saga().any()));
        assert_eq!(message.name, REPLIED);
        assert_eq!(message.message_id, derived(to.message_id, "reply"));
        let read: ReplyEnvelope = serde_json::from_str(&message.payload).unwrap();
        assert_eq!(read, ReplyEnvelope { of: asked.of, outcome });
    }

    #[test]
    fn a_timer_says_which_try_it_was_wound_for() {
        let tries = [of("ConfirmPayment", 1), of("ConfirmPayment", 2)];
        let mut ids = BTreeSet::new();
        for (name, of) in
            [TIMED_OUT, DUE].into_iter().flat_map(|name| tries.iter().map(move |of| (name, of)))
        {
            let message = timer(saga(), name, of).unwrap();
            assert_eq!((message.kind, message.stream), (MessageKind::Command, saga().any()));
            assert_eq!(message.name, name);
            let read: TimerEnvelope = serde_json::from_str(&message.payload).unwrap();
            assert_eq!(read.of, *of);
            assert!(ids.insert(message.message_id));
        }
    }
}
