//! What resolvers may reach, typed. They never look anything up by type.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use futures_util::future::try_join_all;
use mallbots_eventstore::{
    ledger::Ledger,
    message::{Metadata, Position},
};
use mallbots_messaging::{post::Post, relay::RelayStatus, sagas::SagaOptions};
use mallbots_projections::reads::Reads;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{
    access::{self, Belongs, Guarded},
    cursor::CursorKey,
    fresh::Fresh,
    loaders::{Library, LoadError},
    scalars::{CurrencyCode, Money},
};
use crate::{
    auth::{Caller, Rights},
    transport::context::{CallerTrace, TransportExt},
};

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
    /// How the relay stands, if this process has one.
    pub relay: Option<watch::Receiver<RelayStatus>>,
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
    pub fn loaders(&self) -> SharedLoaders {
        let tracker = self.tracker.clone();
        let spawn = move |task| {
            tracker.spawn(task);
        };
        let library = self.library();
        // Fields of one list are resolved together before the loader runs, so
        // that waiting longer would gain nothing.
        SharedLoaders(Arc::new(DataLoader::new(library, spawn).delay(Duration::ZERO)))
    }
}

/// What reads rows for everybody. What comes out of it has not been looked at:
/// resolvers ask [`Loaders`].
#[derive(Clone)]
pub struct SharedLoaders(Arc<DataLoader<Library>>);

/// Reads rows of the library for one caller, those asked for together in one
/// query. What is another's is not there.
pub struct Loaders<'a> {
    shared: &'a DataLoader<Library>,
    rights: &'a Rights,
}

impl Loaders<'_> {
    /// The row with this key, if there is one and the caller may see it.
    pub async fn one<K>(&self, key: K) -> Result<Option<<Library as Loader<K>>::Value>, LoadError>
    where
        K: Guarded,
        Library: Loader<K, Error: Into<LoadError>>,
    {
        let row = self.shared.load_one(key.clone()).await.map_err(Into::into)?;
        let Some(row) = row else { return Ok(None) };
        Ok(self.sees(key.belongs(&row)).await?.then_some(row))
    }

    /// The rows with these keys, in their order.
    pub async fn many<K>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Option<<Library as Loader<K>>::Value>>, LoadError>
    where
        K: Guarded,
        Library: Loader<K, Error: Into<LoadError>>,
    {
        // Those who ask at the same moment share a query.
        try_join_all(keys.iter().map(|key| self.one(key.clone()))).await
    }

    /// Whether the caller may see what belongs so.
    pub async fn sees(&self, belongs: Belongs) -> Result<bool, LoadError> {
        let order = match access::sees(self.rights, belongs) {
            Ok(seen) => return Ok(seen),
            Err(order) => order,
        };
        let customer = match self.shared.load_one(order).await? {
            Some(order) => Some(*order.customer_id),
            // It may have been made a moment ago: then its basket tells.
            None => self.shared.load_one(order.basket()).await?.map(|basket| *basket.customer_id),
        };
        Ok(customer.is_some_and(|customer| self.rights.has_customer(customer)))
    }
}

/// Typed access to what resolvers may reach.
pub trait ContextExt {
    /// Everything behind the schema.
    fn services(&self) -> &Services;
    /// What reads the rows that the caller may see, those asked for together in
    /// one query.
    fn loaders(&self) -> Loaders<'_>;
    /// Who asks.
    fn caller(&self) -> &Caller;
    /// What is recorded with whatever this request does.
    fn metadata(&self) -> Metadata;
    /// An amount of the mall's currency.
    fn money(&self, minor: i64) -> Money;
}

impl ContextExt for Context<'_> {
    fn services(&self) -> &Services {
        self.data_unchecked()
    }

    fn loaders(&self) -> Loaders<'_> {
        let shared = &self.data_unchecked::<SharedLoaders>().0;
        Loaders { shared, rights: self.caller().rights() }
    }

    fn caller(&self) -> &Caller {
        self.data_unchecked()
    }

    fn metadata(&self) -> Metadata {
        let request = self.request();
        let CallerTrace { traceparent, tracestate } = request.trace.clone();
        Metadata {
            traceparent,
            tracestate,
            ..Metadata::begin(self.caller().subject(), request.request_id)
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
