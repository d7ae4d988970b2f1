//! The read models: nothing was dropped on the way to them, and they know
//! nothing that the ledger does not.

use std::collections::HashMap;

use mallbots_domain::id::{Kind, PARTITIONS};
use mallbots_eventstore::message::MessageKind;
use mallbots_projections::{
    audit::{ParkedAt, Standing},
    parked::CONSUMER,
};

use super::{Check, Seen};

pub(super) struct Library {
    dropped: Check,
    ahead: Check,
    letters: Check,
    standing: Standing,
    /// How far each partition is in the tables.
    reached: Vec<i64>,
    /// How many events of each kind are to be in the tables.
    events: HashMap<Kind, i64>,
    /// What is parked and was not seen yet.
    parked: HashMap<i64, ParkedAt>,
}

impl Library {
    pub(super) fn of(standing: Standing) -> Self {
        let mut reached = vec![0; usize::from(PARTITIONS)];
        for (name, partition, position) in &standing.checkpoints {
            let place = usize::try_from(*partition).ok().filter(|_| name == CONSUMER);
            if let Some(place) = place.and_then(|place| reached.get_mut(place)) {
                *place = *position;
            }
        }
        let parked = standing.parked.iter().map(|parked| (parked.position, parked.clone()));
        Self {
            dropped: Check::new("events - projected - parked = 0"),
            ahead: Check::new("no read model is ahead of the ledger"),
            letters: Check::new("events parked before the read models are in the ledger"),
            parked: parked.collect(),
            standing,
            reached,
            events: HashMap::new(),
        }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let message = seen.message;
        if message.kind != MessageKind::Event {
            return;
        }
        let reached = self.reached.get(usize::from(message.partition())).copied();
        if message.position.0 <= reached.unwrap_or_default() {
            *self.events.entry(message.stream.kind).or_default() += 1;
        }
        if let Some(parked) = self.parked.get(&message.position.0)
            && parked.stream == message.stream.to_string()
            && parked.name == message.name
        {
            self.parked.remove(&message.position.0);
        }
    }

    pub(super) fn end(mut self, head: i64) -> Vec<Check> {
        for model in &self.standing.models {
            let events = self.events.get(&model.kind).copied().unwrap_or_default();
            self.dropped.checked += u64::try_from(events).unwrap_or_default();
            let rest = events - model.events - model.parked;
            if rest != 0 {
                self.dropped.differs(format!(
                    "{}: {events} events - {} projected - {} parked = {rest}",
                    model.name, model.events, model.parked
                ));
            }
        }
        for (name, partition, position) in &self.standing.checkpoints {
            self.ahead.saw();
            if *position > head {
                self.ahead.differs(format!(
                    "{name} is at {position} in partition {partition}, the ledger at {head}"
                ));
            }
        }
        let lag = head - self.reached.iter().copied().max().unwrap_or_default();
        if lag > 0 {
            self.ahead.note(format!("they are {lag} messages behind"));
        }
        for parked in &self.standing.parked {
            self.letters.saw();
            if let Some(ParkedAt { id, stream, position, name }) =
                self.parked.get(&parked.position).filter(|missing| missing.id == parked.id)
            {
                self.letters.differs(format!(
                    "{id} is about {name} of {stream}, which is not at position {position}"
                ));
            }
        }
        vec![self.dropped, self.ahead, self.letters]
    }
}
