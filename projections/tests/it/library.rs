//! A read side to test: fresh tables, a ledger to follow, and a look at all of
//! it at once.

use std::{path::Path, sync::Arc};

use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database, Durability},
    ledger::{Ledger, LedgerOptions},
    message::Recorded,
};
use mallbots_migrations::{LedgerMigrator, ViewsMigrator};
use mallbots_projections::{
    baskets, bots, customers, invoices, notifications, orders, parked, payments, products,
    projector::Projector, reads::Reads, sagas, shopping_lists, stores, timeline,
};
use sea_orm::{ConnectionTrait, EntityTrait, Iterable, PrimaryKeyToColumn, QueryOrder};
use sea_orm_migration::MigratorTrait;
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A read side of its own.
pub(crate) struct Library {
    pub(crate) views: Database,
    pub(crate) ledger: Ledger,
    pub(crate) projector: Projector,
    pub(crate) reads: Reads,
    _folder: tempfile::TempDir,
}

impl Library {
    pub(crate) async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.db");
        let ledger = Database::sqlite(&file, Durability::Normal).await.unwrap();
        LedgerMigrator::up(&ledger.write, None).await.unwrap();
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let clock = Clock::manual(1_800_000_000_000_000);
        let options = LedgerOptions::default();
        let ledger = Ledger::open(ledger, clock, &tracker, stop, options).await.unwrap();

        let views = views(backend, folder.path()).await;
        ViewsMigrator::up(&views.write, None).await.unwrap();
        let (projector, reads) = Projector::open(&views, &ledger).await.unwrap();
        Self { views, ledger, projector, reads, _folder: folder }
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
        self.views.write.execute_unprepared(forget).await.unwrap();
        self.projector.resume().await.unwrap();
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

    async fn table<E: EntityTrait>(&self) -> (String, Value)
    where
        E::Model: serde::Serialize,
    {
        let mut select = E::find();
        for key in E::PrimaryKey::iter() {
            select = select.order_by_asc(key.into_column());
        }
        let rows = select.all(&self.views.read).await.unwrap();
        (E::default().table_name().to_owned(), serde_json::to_value(rows).unwrap())
    }
}

async fn views(backend: Backend, folder: &Path) -> Database {
    match backend {
        Backend::Sqlite => {
            Database::sqlite(&folder.join("views.db"), Durability::Normal).await.unwrap()
        }
        Backend::Postgres => postgres().await,
    }
}

async fn postgres() -> Database {
    #[expect(clippy::disallowed_methods, reason = "where the test's server is")]
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a PostgreSQL server");
    let schema = format!("views_{}", uuid::Uuid::now_v7().simple());
    let admin = Database::postgres(&url, 1).await.unwrap();
    admin.write.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    admin.close().await.unwrap();
    Database::postgres(&format!("{url}?options=-csearch_path%3D{schema}"), 4).await.unwrap()
}

/// The same case on each database.
macro_rules! on_each_database {
    ($($(#[$attribute:meta])* $case:ident),* $(,)?) => {
        mod sqlite {
            $($(#[$attribute])* #[tokio::test] async fn $case() {
                super::$case(mallbots_eventstore::connect::Backend::Sqlite).await;
            })*
        }
        mod postgres {
            $($(#[$attribute])* #[tokio::test] async fn $case() {
                super::$case(mallbots_eventstore::connect::Backend::Postgres).await;
            })*
        }
    };
}

pub(crate) use on_each_database;
