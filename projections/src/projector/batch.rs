//! Messages on their way into the tables.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    error::Error,
    sync::Arc,
};

use mallbots_domain::{
    aggregate::Aggregate,
    baskets::Basket,
    customers::Customer,
    depot::{bot::Bot, shopping_list::ShoppingList},
    event::DomainEvent,
    id::{AnyId, DeadLetterId, EntityId, Kind},
    notifications::Notification,
    ordering::Order,
    payments::{invoice::Invoice, payment::Payment},
    saga::Saga,
    stores::{product::Product, store::Store},
};
use mallbots_eventstore::{
    codec,
    error::StoreError,
    message::{MessageKind, Position, Recorded, Version},
    upcast::Upcasters,
};

use crate::{column::Text, parked::ParkedRow, row::Occurred, tables::Tables};

/// What became of the messages of one batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What happened, decoded, with the messages it was decoded from.
    pub(super) events: Vec<(Occurred, DomainEvent)>,
    messages: Vec<Arc<Recorded>>,
    /// In which partitions.
    pub(super) partitions: BTreeSet<u8>,
    /// What could not be taken in.
    pub(super) letters: Vec<ParkedRow>,
    /// Of which streams, and from which position on.
    pub(super) parked: HashMap<AnyId, i64>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.letters.is_empty()
    }

    /// Decodes an event, or puts it aside.
    pub(crate) fn decode(
        &mut self,
        message: &Arc<Recorded>,
        parked: &HashSet<AnyId>,
        upcasters: &Upcasters,
        now: i64,
    ) {
        self.partitions.insert(message.partition());
        if parked.contains(&message.stream) || self.parked.contains_key(&message.stream) {
            self.letters.push(waiting(message, now));
            return;
        }
        match decode(message, upcasters) {
            Ok(Some(event)) => {
                self.events.push((Occurred::of(message), event));
                self.messages.push(Arc::clone(message));
            }
            Ok(None) => {}
            Err(cause) => self.park(message, &cause, now),
        }
    }

    /// Takes the events into the tables' rows, in memory. What does not fit is
    /// put aside, and whatever comes after it in its stream.
    pub(super) fn fold(&mut self, tables: &mut Tables, now: i64) {
        let events = std::mem::take(&mut self.events);
        let messages = std::mem::take(&mut self.messages);
        for ((of, event), message) in events.into_iter().zip(&messages) {
            // What came before it in its stream is as good as ever.
            if self.parked.get(&of.stream).is_some_and(|from| of.position > *from) {
                self.letters.push(waiting(message, now));
            } else if let Err(cause) = tables.fold(event, &of) {
                self.park(message, &cause, now);
            }
        }
    }

    fn park(&mut self, message: &Recorded, cause: &dyn Error, now: i64) {
        let reason = chain(cause);
        tracing::error!(
            position = message.position.0,
            aggregate.id = %message.stream,
            event.type = message.name,
            reason,
            "an event does not fit the views and is parked"
        );
        self.parked.insert(message.stream, message.position.0);
        self.letters.push(ParkedRow { reason, attempts: 1, ..waiting(message, now) });
    }
}

/// An event as what it says. `None` for streams that nothing is shown of.
pub(crate) fn decode(
    message: &Recorded,
    upcasters: &Upcasters,
) -> Result<Option<DomainEvent>, StoreError> {
    fn read<A: Aggregate>(
        message: &Recorded,
        upcasters: &Upcasters,
        event: impl FnOnce(A::Event) -> DomainEvent,
    ) -> Result<Option<DomainEvent>, StoreError> {
        codec::decode::<A>(message, upcasters).map(|decoded| Some(event(decoded)))
    }

    match message.stream.kind {
        Kind::Store => read::<Store>(message, upcasters, DomainEvent::Store),
        Kind::Product => read::<Product>(message, upcasters, DomainEvent::Product),
        Kind::Customer => read::<Customer>(message, upcasters, DomainEvent::Customer),
        Kind::Basket => read::<Basket>(message, upcasters, DomainEvent::Basket),
        Kind::Order => read::<Order>(message, upcasters, DomainEvent::Order),
        Kind::Payment => read::<Payment>(message, upcasters, DomainEvent::Payment),
        Kind::Invoice => read::<Invoice>(message, upcasters, DomainEvent::Invoice),
        Kind::ShoppingList => read::<ShoppingList>(message, upcasters, DomainEvent::ShoppingList),
        Kind::Bot => read::<Bot>(message, upcasters, DomainEvent::Bot),
        Kind::Saga => read::<Saga>(message, upcasters, DomainEvent::Saga),
        Kind::Notification => read::<Notification>(message, upcasters, DomainEvent::Notification),
        Kind::DeadLetter => Ok(None),
    }
}

/// What names an event that was put aside.
pub(crate) fn letter_id(message: &Recorded) -> DeadLetterId {
    DeadLetterId::from_uuid(message.message_id)
}

/// An event put aside because an earlier one of its stream was.
fn waiting(message: &Recorded, now: i64) -> ParkedRow {
    ParkedRow {
        id: Text(letter_id(message)),
        key: Text(message.stream),
        position: message.position.0,
        version: message.version.0,
        name: message.name.clone(),
        schema_version: message.schema_version,
        payload: message.payload.to_string(),
        metadata: message.metadata.to_string(),
        recorded_at: message.recorded_at,
        reason: "it waits behind an earlier event of its stream".to_owned(),
        attempts: 0,
        first_failed_at: now,
    }
}

/// The message that was put aside.
pub(super) fn message_of(letter: &ParkedRow) -> Recorded {
    Recorded {
        position: Position(letter.position),
        kind: MessageKind::Event,
        stream: *letter.key,
        version: Version(letter.version),
        name: letter.name.clone(),
        schema_version: letter.schema_version,
        message_id: letter.id.uuid(),
        payload: letter.payload.clone().into(),
        metadata: letter.metadata.clone().into(),
        recorded_at: letter.recorded_at,
    }
}

/// Where and when what was put aside happened.
pub(super) fn occurred_then(letter: &ParkedRow) -> Occurred {
    Occurred {
        stream: *letter.key,
        version: letter.version,
        position: letter.position,
        at: letter.recorded_at,
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
