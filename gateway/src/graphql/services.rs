//! What resolvers may reach, typed. They never look anything up by type.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use mallbots_eventstore::{
    ledger::Ledger,
    message::{Metadata, Position},
};
use mallbots_messaging::{post::Post, sagas::SagaOptions};
use mallbots_projections::reads::Reads;
use tokio_util::task::TaskTracker;

use super::{
    cursor::CursorKey,
    fresh::Fresh,
    loaders::Library,
    scalars::{CurrencyCode, Money},
};
use crate::transport::context::TransportExt;

/// Everything behind the schema. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services(Arc<Inner>);

/// What [`Services`] are made of.
#[derive(Debug)]
pub struct Inner {
    /// Where commands go.
    pub ledger: Ledger,
    /// Where answers come from.
    pub reads: Reads,
    /// Who acts on what was said.
    pub post: Post,
    /// Signs cursors.
    pub cursors: CursorKey,
    /// The choices of whoever runs the mall.
    pub settings: Settings,
    /// Where loaders run their queries.
    pub tracker: TaskTracker,
    /// What has just changed, read once for all who watch it.
    pub fresh: Fresh,
}

/// The choices that the schema needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The mall's one currency.
    pub currency: CurrencyCode,
    /// When an untouched basket is cleared away.
    pub abandon_after: Duration,
    /// How patient sagas are.
    pub sagas: SagaOptions,
    /// How long a mutation waits to read back what it made.
    pub read_back: Duration,
}

impl std::ops::Deref for Services {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Services {
    /// Puts them behind the schema.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The library, as loaders ask it.
    pub fn library(&self) -> Library {
        Library { reads: self.reads.clone(), ledger: self.ledger.for_questions() }
    }

    /// What reads rows for all requests, so that those who ask at the same
    /// moment share a query. It does not remember: a socket would see its
    /// first answer for ever.
    pub fn loaders(&self) -> Loaders {
        let tracker = self.tracker.clone();
        let spawn = move |task| {
            tracker.spawn(task);
        };
        let library = self.library();
        // Fields of one list are resolved together before the loader runs, so
        // that waiting longer would gain nothing.
        Loaders(Arc::new(DataLoader::new(library, spawn).delay(Duration::ZERO)))
    }
}

/// Reads rows of the library, those asked for together in one query.
#[derive(Clone)]
pub struct Loaders(Arc<DataLoader<Library>>);

impl Loaders {
    /// The row with this key, if there is one.
    pub async fn one<K>(
        &self,
        key: K,
    ) -> Result<Option<<Library as Loader<K>>::Value>, <Library as Loader<K>>::Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
        Library: Loader<K>,
    {
        self.0.load_one(key).await
    }

    /// The rows with these keys, in their order.
    pub async fn many<K>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Option<<Library as Loader<K>>::Value>>, <Library as Loader<K>>::Error>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
        Library: Loader<K>,
    {
        let mut rows = self.0.load_many(keys.iter().cloned()).await?;
        Ok(keys.iter().map(|key| rows.remove(key)).collect())
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// As what they are recorded.
    pub actor: String,
}

impl Default for Viewer {
    /// Without keys the mall is in development mode, bound to this machine:
    /// everybody is its administrator.
    fn default() -> Self {
        Self { actor: "admin".to_owned() }
    }
}

/// Typed access to what resolvers may reach.
pub trait ContextExt {
    /// Everything behind the schema.
    fn services(&self) -> &Services;
    /// What reads rows, those asked for together in one query.
    fn loaders(&self) -> Loaders;
    /// Who asks.
    fn viewer(&self) -> Viewer;
    /// What is recorded with whatever this request does.
    fn metadata(&self) -> Metadata;
    /// An amount of the mall's currency.
    fn money(&self, minor: i64) -> Money;
}

impl ContextExt for Context<'_> {
    fn services(&self) -> &Services {
        self.data_unchecked()
    }

    fn loaders(&self) -> Loaders {
        self.data_unchecked::<Loaders>().clone()
    }

    fn viewer(&self) -> Viewer {
        self.data_opt::<Viewer>().cloned().unwrap_or_default()
    }

    fn metadata(&self) -> Metadata {
        let request = self.request();
        Metadata {
            traceparent: request.traceparent.clone(),
            ..Metadata::begin(self.viewer().actor, request.request_id)
        }
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.services().settings.currency)
    }
}

/// Waits until the library has reached a position, for as long as a mutation
/// is willing to. Whether it has.
pub async fn read_back(ctx: &Context<'_>, position: Position) -> bool {
    let Inner { reads, settings, .. } = &**ctx.services();
    reads.reached(position, settings.read_back).await.is_ok()
}
