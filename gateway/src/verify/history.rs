//! The ledger itself: nothing is missing, nothing is there twice, and all of it
//! can be read.

use std::collections::HashMap;

use mallbots_domain::{event::DomainEvent, id::AnyId};
use mallbots_eventstore::{
    audit::{RawMessage, Snapshot},
    error::StoreError,
    message::{MessageKind, Recorded},
    upcast::Upcasters,
};

use super::{Check, count, read};

pub(super) struct History<'a> {
    upcasters: &'a Upcasters,
    positions: Check,
    versions: Check,
    content: Check,
    /// The last position.
    last: i64,
    /// The last version of each stream.
    streams: HashMap<AnyId, i64>,
}

impl<'a> History<'a> {
    pub(super) fn new(upcasters: &'a Upcasters) -> Self {
        Self {
            upcasters,
            positions: Check::new("positions have no gaps and end at the head"),
            versions: Check::new("the versions of each stream are 1 to n"),
            content: Check::new("every message can be read"),
            last: 0,
            streams: HashMap::new(),
        }
    }

    /// What is in a row, if it can be read.
    pub(super) fn see(&mut self, raw: &RawMessage) -> Option<(Recorded, Option<DomainEvent>)> {
        self.positions.saw();
        let due = self.last + 1;
        if raw.position == due + 1 {
            self.positions.differs(format!("position {due} is missing"));
        } else if raw.position != due {
            let until = raw.position - 1;
            self.positions.differs(format!("positions {due} to {until} are missing"));
        }
        self.last = raw.position;

        self.content.saw();
        let found = match read(raw, self.upcasters) {
            Ok(found) => Some(found),
            Err(reason) => {
                let RawMessage { position, name, stream, .. } = raw;
                self.content
                    .differs(format!("{name} of {stream} at position {position}: {reason}"));
                None
            }
        };
        // Also of one whose content cannot be read.
        if raw.kind == MessageKind::Event.as_str()
            && let Ok(stream) = raw.stream.parse()
        {
            self.in_order(stream, raw);
        }
        found
    }

    fn in_order(&mut self, stream: AnyId, raw: &RawMessage) {
        self.versions.saw();
        let last = self.streams.entry(stream).or_default();
        if raw.version != *last + 1 {
            let RawMessage { position, version, .. } = raw;
            let due = *last + 1;
            self.versions.differs(format!(
                "{stream}: version {version} stands where {due} is due, at position {position}"
            ));
        }
        *last = raw.version;
    }

    pub(super) async fn end(
        mut self,
        snapshot: &Snapshot,
        head: i64,
    ) -> Result<Vec<Check>, StoreError> {
        if self.last != head {
            let last = self.last;
            self.positions.differs(format!("the head is at {head}, the last message at {last}"));
        }
        self.versions.note(format!("{} streams", count(self.streams.len())));
        let mut ids = Check::new("message ids are unique");
        ids.checked = self.positions.checked;
        for (id, times) in snapshot.doubled_ids().await? {
            ids.differs(format!("{id} is there {times} times"));
        }
        let mut answers = Check::new("answers that are kept speak of messages that are there");
        answers.checked = u64::try_from(snapshot.answers().await?).unwrap_or_default();
        for answer in snapshot.answers_to_nothing().await? {
            answers.differs(format!(
                "the answer to {} of {} speaks of position {}",
                answer.which, answer.whose, answer.position
            ));
        }
        Ok(vec![self.positions, self.versions, ids, self.content, answers])
    }
}
