//! What history makes of empty tables, from the first message on: the same as
//! the projector made of the live ones, what operators said included.

use std::{collections::HashMap, sync::Arc};

use mallbots_domain::id::{AnyId, DeadLetterId};
use mallbots_eventstore::{
    connect::Backend,
    message::{MessageKind, Position, Recorded},
    upcast::Upcasters,
};
use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    projector::{batch, retry::Order},
    row::Occurred,
    tables::Tables,
};

/// Tables that are being filled from the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    tables: Tables,
    upcasters: Upcasters,
    /// Up to where they are filled.
    at: Position,
    /// Events that do not fit, and those behind them in their streams.
    aside: HashMap<AnyId, Vec<Arc<Recorded>>>,
    /// Streams that are not followed from a position on.
    cut: HashMap<AnyId, Position>,
}

impl Replay {
    /// Begins with empty tables that have this behind their names.
    pub(crate) fn new(backend: Backend, suffix: &str, upcasters: Upcasters) -> Self {
        Self {
            tables: Tables::new(backend, suffix),
            upcasters,
            at: Position(0),
            aside: HashMap::new(),
            cut: HashMap::new(),
        }
    }

    /// Leaves streams alone from these positions on.
    pub(crate) fn cutting(self, cut: HashMap<AnyId, Position>) -> Self {
        Self { cut, ..self }
    }

    /// Up to where the tables are filled.
    pub(crate) const fn at(&self) -> Position {
        self.at
    }

    /// Takes messages in, the next ones of the ledger.
    pub(crate) async fn take_in(
        &mut self,
        db: &impl ConnectionTrait,
        messages: &[Arc<Recorded>],
    ) -> Result<(), DbErr> {
        let mut rest = messages;
        while let [first, behind @ ..] = rest {
            if let Some((order, about)) = Order::of(first) {
                self.obey(db, order, about).await?;
                rest = behind;
            } else {
                let plain = rest.iter().take_while(|message| Order::of(message).is_none()).count();
                self.fold(db, &rest[..plain]).await?;
                rest = &rest[plain..];
            }
            self.tables.flush(db).await?;
            self.tables.clear();
        }
        if let Some(last) = messages.last() {
            self.at = last.position;
        }
        Ok(())
    }

    async fn fold(
        &mut self,
        db: &impl ConnectionTrait,
        messages: &[Arc<Recorded>],
    ) -> Result<(), DbErr> {
        let mut events = Vec::new();
        let mut sources = Vec::new();
        for message in messages {
            let of_stream = &message.stream;
            if message.kind != MessageKind::Event
                || self.cut.get(of_stream).is_some_and(|from| message.position >= *from)
            {
                continue;
            }
            if let Some(waiting) = self.aside.get_mut(of_stream) {
                waiting.push(Arc::clone(message));
                continue;
            }
            match batch::decode(message, &self.upcasters) {
                Ok(Some(event)) => {
                    events.push((Occurred::of(message), event));
                    sources.push(message);
                }
                Ok(None) => {}
                Err(_) => self.put_aside(message),
            }
        }
        self.tables.load(db, &events).await?;
        for ((of, event), message) in events.into_iter().zip(sources) {
            // Whatever follows a misfit in its stream does not fit either.
            if self.tables.fold(event, &of).is_err() {
                self.put_aside(message);
            }
        }
        Ok(())
    }

    fn put_aside(&mut self, message: &Arc<Recorded>) {
        let waiting = self.aside.entry(message.stream).or_default();
        let place = waiting.partition_point(|other| other.position < message.position);
        waiting.insert(place, Arc::clone(message));
    }

    /// Does what an operator said about an event, if that does not fit now.
    async fn obey(
        &mut self,
        db: &impl ConnectionTrait,
        order: Order,
        about: DeadLetterId,
    ) -> Result<(), DbErr> {
        let is_meant = |message: &Arc<Recorded>| batch::letter_id(message) == about;
        let found = self.aside.iter().find(|(_, waiting)| waiting.iter().any(is_meant));
        let Some(stream) = found.map(|(stream, _)| *stream) else { return Ok(()) };
        let waiting = self.aside.remove(&stream).unwrap_or_default();
        for (place, message) in waiting.iter().enumerate() {
            let of = Occurred::of(message);
            let fits = if order == Order::Discard && is_meant(message) {
                self.tables.pass_over(db, &of).await?;
                true
            } else {
                match batch::decode(message, &self.upcasters) {
                    Ok(None) => true,
                    Ok(Some(event)) => {
                        let events = [(of, event)];
                        self.tables.load(db, &events).await?;
                        let [(of, event)] = events;
                        self.tables.fold(event, &of).is_ok()
                    }
                    Err(_) => false,
                }
            };
            if !fits {
                self.aside.insert(stream, waiting[place..].to_vec());
                break;
            }
        }
        Ok(())
    }
}
