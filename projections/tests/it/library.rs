//! A read side to test: fresh tables, a ledger to follow, and a look at all of
//! it at once.

use std::sync::Arc;

use mallbots_eventstore::{
    append::{Append, NewEvent, NewMessage, StreamWrite},
    connect::Backend,
    message::{MessageKind, Metadata, Recorded, Version},
};
use mallbots_projections::{
    baskets, bots, customers, invoices, notifications, orders, parked, payments, products,
    projector::Projector, reads::Reads, sagas, shopping_lists, stores, timeline,
};
use mallbots_testing::{
    databases::{self, FreshDatabase},
    ledgers::TestLedger,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, EntityTrait, Iterable, PrimaryKeyToColumn, QueryOrder,
};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A read side of its own. Its projector waits to be given messages, or to be
/// taken away and run.
pub(crate) struct Library<P = Projector> {
    pub(crate) views: FreshDatabase,
    pub(crate) ledger: TestLedger,
    pub(crate) projector: P,
    pub(crate) reads: Reads,
}

impl Library {
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::with(backend, |_| {}).await
    }

    /// The same, with a word in the ear of those who read.
    pub(crate) async fn with(backend: Backend, tell: impl FnOnce(&mut DatabaseConnection)) -> Self {
        // The history comes from the test; the ledger only lends its clock.
        Self::build(Backend::Sqlite, backend, tell).await
    }

    /// The same, where it matters where the ledger is.
    pub(crate) async fn on(ledger: Backend, backend: Backend) -> Self {
        Self::build(ledger, backend, |_| {}).await
    }

    async fn build(
        ledger: Backend,
        backend: Backend,
        tell: impl FnOnce(&mut DatabaseConnection),
    ) -> Self {
        let ledger = TestLedger::open(ledger).await.unwrap();
        let mut views = databases::fresh_views(backend).await.unwrap();
        tell(&mut views.database.read);
        let (projector, reads) = Projector::open(&views.database, &ledger.ledger).await.unwrap();
        Self { views, ledger, projector, reads }
    }

    /// Takes a history in, so many messages at a time.
    pub(crate) async fn take_in(&mut self, messages: &[Arc<Recorded>], at_once: usize) {
        for batch in messages.chunks(at_once) {
            self.projector.project(batch).await.unwrap();
        }
    }

    /// Forgets how far it has come, but not what it knows.
    pub(crate) async fn forget_checkpoints(&mut self) {
        let forget = "UPDATE projection_checkpoints SET position = 0";
        self.views.database.write.execute_unprepared(forget).await.unwrap();
        self.projector.resume().await.unwrap();
    }

    /// The library without its projector, and the projector.
    pub(crate) fn split(self) -> (Library<()>, Projector) {
        let Self { views, ledger, projector, reads } = self;
        (Library { views, ledger, projector: (), reads }, projector)
    }
}

impl<P: Sync> Library<P> {
    /// Writes a history into the ledger.
    pub(crate) async fn record(&self, messages: &[Arc<Recorded>]) {
        for batch in messages.chunks(200) {
            self.ledger.ledger.append(append(batch)).await.unwrap();
        }
    }

    /// Every row of every table.
    pub(crate) async fn dump(&self) -> Value {
        let mut dump = Map::new();
        macro_rules! tables {
            ($($entity:path),*) => {$(
                let (name, rows) = self.table::<$entity>().await;
                dump.insert(name, rows);
            )*};
        }
        tables!(
            stores::Entity,
            products::Entity,
            customers::Entity,
            baskets::Entity,
            orders::Entity,
            orders::lines::Entity,
            timeline::Entity,
            sagas::Entity,
            payments::Entity,
            invoices::Entity,
            shopping_lists::Entity,
            bots::Entity,
            notifications::Entity,
            parked::Entity
        );
        Value::Object(dump)
    }

    /// Whether another library holds the same; the first difference if not.
    pub(crate) async fn assert_equals(&self, other: &Self) {
        let (ours, theirs) = (self.dump().await, other.dump().await);
        for (name, rows) in ours.as_object().unwrap() {
            let (ours, theirs) = (rows.as_array().unwrap(), theirs[name].as_array().unwrap());
            for (our, their) in ours.iter().zip(theirs) {
                assert_eq!(our, their, "a row of {name}");
            }
            assert_eq!(ours.len(), theirs.len(), "rows of {name}");
        }
    }

    async fn table<E: EntityTrait>(&self) -> (String, Value)
    where
        E::Model: serde::Serialize,
    {
        let mut select = E::find();
        for key in E::PrimaryKey::iter() {
            select = select.order_by_asc(key.into_column());
        }
        let rows = select.all(&self.views.database.read).await.unwrap();
        (E::default().table_name().to_owned(), serde_json::to_value(rows).unwrap())
    }
}

/// The same history, as far as an append can write it.
pub(crate) fn append(batch: &[Arc<Recorded>]) -> Append {
    let mut streams: Vec<StreamWrite> = Vec::new();
    let mut sent = Vec::new();
    for message in batch {
        if message.kind != MessageKind::Event {
            sent.push(NewMessage {
                kind: message.kind,
                stream: message.stream,
                name: message.name.clone(),
                message_id: message.message_id,
                payload: message.payload.to_string(),
            });
            continue;
        }
        let event = NewEvent {
            name: message.name.clone(),
            schema_version: message.schema_version,
            payload: message.payload.to_string(),
        };
        match streams.iter_mut().find(|write| write.stream == message.stream) {
            Some(write) => write.events.push(event),
            None => streams.push(StreamWrite {
                stream: message.stream,
                expected: Version(message.version.0 - 1),
                events: vec![event],
            }),
        }
    }
    Append {
        metadata: Metadata::begin("bench", Uuid::from_u128(1)),
        streams,
        messages: sent,
        inbox: None,
        idempotency: None,
        claims: Vec::new(),
        releases: Vec::new(),
        timers: Vec::new(),
        takes: Vec::new(),
    }
}
