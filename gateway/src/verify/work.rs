//! What consumers have done: every command is answered once, waits or is
//! parked; what they remember is there; nobody is ahead of the ledger.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use mallbots_domain::{
    aggregate::Aggregate,
    id::{AnyId, EntityId, SagaId},
    saga::Saga,
};
use mallbots_eventstore::{
    audit::{Mention, Snapshot},
    error::StoreError,
    message::{MessageKind, Recorded},
};
use mallbots_messaging::{contexts::baskets::ABANDON, inbound::CONTEXTS};
use serde::Deserialize;
use uuid::Uuid;

use super::{Check, Seen, orders::key};

/// What an operator says who throws a parked message away.
const DISCARD: &str = "operations.DiscardDeadLetter";

pub(super) struct Work {
    answered: Check,
    remembered: Check,
    ahead: Check,
    letters: Check,
    /// Commands that were not answered.
    open: HashMap<Uuid, Command>,
    /// The last message in each partition.
    last: HashMap<u8, i64>,
    checkpoints: HashMap<(String, u8), i64>,
    timers: HashSet<String>,
    /// By whom, and where.
    parked: HashSet<(String, i64)>,
    /// By whom, and about what.
    parked_keys: HashSet<(String, String)>,
    /// Keys of which something was thrown away.
    discarded: HashSet<(String, String)>,
}

/// A command that is to be answered.
struct Command {
    context: String,
    name: String,
    stream: AnyId,
    position: i64,
}

#[derive(Deserialize)]
struct Discarded {
    consumer: String,
    key: String,
}

impl Work {
    pub(super) async fn of(snapshot: &Snapshot) -> anyhow::Result<Self> {
        let read = async {
            let mut work = Self {
                answered: Check::new("every command is answered once, waits or is parked"),
                remembered: Check::new("what consumers remember is in the ledger"),
                ahead: Check::new("no consumer is ahead of the ledger"),
                letters: Check::new("parked messages are in the ledger"),
                open: HashMap::new(),
                last: HashMap::new(),
                checkpoints: HashMap::new(),
                timers: snapshot.timer_owners().await?.into_iter().collect(),
                parked: HashSet::new(),
                parked_keys: HashSet::new(),
                discarded: HashSet::new(),
            };
            for (consumer, partition, position) in snapshot.checkpoints().await? {
                let partition = u8::try_from(partition).unwrap_or(u8::MAX);
                work.checkpoints.insert((consumer, partition), position);
            }
            for (key, letter) in snapshot.parked().await? {
                work.letters.saw();
                let Mention { whose, which, position, is_there } = letter;
                if !is_there {
                    work.letters.differs(format!(
                        "{which} of {whose} is about a message that is not at position {position}"
                    ));
                }
                work.parked.insert((whose.clone(), position));
                work.parked_keys.insert((whose, key));
            }
            Ok::<_, StoreError>(work)
        };
        read.await.context("reading the ledger")
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let message = seen.message;
        self.last.insert(message.partition(), message.position.0);
        match message.kind {
            MessageKind::Event => {}
            MessageKind::Command => self.command(message),
            MessageKind::Reply => {
                let cause = message.metadata().ok().and_then(|metadata| metadata.causation_id);
                if cause.and_then(|cause| self.open.remove(&cause)).is_none() {
                    self.answered.differs(format!(
                        "the reply at position {} answers no command, or one that was answered",
                        message.position
                    ));
                }
            }
        }
    }

    fn command(&mut self, message: &Recorded) {
        let context = message.context();
        if message.name == DISCARD
            && let Ok(Discarded { consumer, key }) = serde_json::from_str(&message.payload)
        {
            self.discarded.insert((consumer, key));
        }
        if !CONTEXTS.contains(&context) || message.name == ABANDON {
            return;
        }
        self.answered.saw();
        let command = Command {
            context: context.to_owned(),
            name: message.name.clone(),
            stream: message.stream,
            position: message.position.0,
        };
        self.open.insert(message.message_id, command);
    }

    /// Whether a consumer has yet to come to a message.
    pub(super) fn is_waiting(&self, consumer: &str, stream: AnyId, position: i64) -> bool {
        let checkpoint = self.checkpoints.get(&(consumer.to_owned(), stream.partition()));
        checkpoint.copied().unwrap_or_default() < position
            || self.parked.contains(&(consumer.to_owned(), position))
    }

    /// Whether an operator had a say in what is about this.
    pub(super) fn is_settled(&self, consumer: &str, key: &str) -> bool {
        let about = (consumer.to_owned(), key.to_owned());
        self.discarded.contains(&about) || self.parked_keys.contains(&about)
    }

    /// Whether a saga's timer is wound, or something waits for it to hear.
    pub(super) fn will_wake(&self, saga: SagaId) -> bool {
        let last = self.last.get(&saga.any().partition()).copied().unwrap_or_default();
        self.timers.contains(&saga.to_string())
            || self.is_waiting(Saga::CONTEXT, saga.any(), last)
            || self.is_settled(Saga::CONTEXT, &key(saga.order()))
    }

    pub(super) async fn end(
        mut self,
        snapshot: &Snapshot,
        head: i64,
    ) -> Result<Vec<Check>, StoreError> {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_unstable_by_key(|command| command.position);
        let mut waiting = 0_u64;
        for Command { context, name, stream, position } in open {
            if self.is_waiting(&context, stream, position)
                || self.is_settled(&context, &stream.uuid.to_string())
            {
                waiting += 1;
            } else {
                self.answered.differs(format!(
                    "{name} for {stream} at position {position} was never answered"
                ));
            }
        }
        if waiting > 0 {
            self.answered.note(format!("{waiting} wait to be handled, or are parked"));
        }

        self.remembered.checked = u64::try_from(snapshot.handled().await?).unwrap_or_default();
        for Mention { whose, which, position, .. } in snapshot.handled_nothing().await? {
            self.remembered.differs(format!(
                "{whose} has handled {which}, which is not at position {position}"
            ));
        }
        let mut checkpoints: Vec<_> = self.checkpoints.into_iter().collect();
        checkpoints.sort_unstable();
        for ((consumer, partition), position) in checkpoints {
            self.ahead.saw();
            if position > head {
                self.ahead.differs(format!(
                    "{consumer} is at {position} in partition {partition}, the ledger at {head}"
                ));
            }
        }
        Ok(vec![self.answered, self.remembered, self.ahead, self.letters])
    }
}
