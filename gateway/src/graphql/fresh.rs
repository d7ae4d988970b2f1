//! What has just changed, read once for all who watch it.
//!
//! An announcement says which rows changed. The first who needs one of them
//! reads them all in one query, and whoever heard the same announcement shares
//! the answer, be it waiting or there. It is kept for a moment only: whoever
//! comes later has heard of something newer.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_graphql::dataloader::Loader;
use futures_util::{
    FutureExt,
    future::{BoxFuture, WeakShared},
};
use mallbots_domain::id::{CustomerId, EntityId, OrderId};
use mallbots_projections::{
    baskets::BasketRow,
    bots::BotRow,
    changes::Changed,
    notifications::NotificationRow,
    orders::OrderRow,
    products::ProductRow,
    reads::ReadError,
    row::Row,
    shopping_lists::ShoppingListRow,
    timeline::{TimelineKind, TimelineRow},
};

use super::loaders::Library;

/// What has just changed, by what it is.
#[derive(Debug, Default)]
pub struct Fresh {
    orders: Rows<OrderRow>,
    baskets: Rows<BasketRow>,
    products: Rows<ProductRow>,
    lists: Rows<ShoppingListRow>,
    bots: Rows<BotRow>,
    /// The newest items of orders' timelines.
    pub timelines: Pages<(OrderId, Option<TimelineKind>), TimelineRow>,
    /// The newest messages to customers.
    pub notifications: Pages<CustomerId, NotificationRow>,
}

/// Pieces of feeds: whose, behind which position, and up to which one at least.
pub type Pages<O, R> = Memo<(O, i64, i64), Vec<R>, 256>;

impl Fresh {
    /// How often something was read here.
    pub fn reads(&self) -> u64 {
        self.orders.0.reads()
            + self.baskets.0.reads()
            + self.products.0.reads()
            + self.lists.0.reads()
            + self.bots.0.reads()
            + self.timelines.reads()
            + self.notifications.reads()
    }
}

/// A row that can be watched.
pub trait Watched: Row + Clone + 'static {
    /// Where it is read when it has changed.
    fn rows(fresh: &Fresh) -> &Rows<Self>;
}

macro_rules! watched {
    ($($row:ty => $rows:ident),* $(,)?) => { $(
        impl Watched for $row {
            fn rows(fresh: &Fresh) -> &Rows<Self> {
                &fresh.$rows
            }
        }
    )* };
}

watched! {
    OrderRow => orders,
    BasketRow => baskets,
    ProductRow => products,
    ShoppingListRow => lists,
    BotRow => bots,
}

/// The rows of one table that have just changed.
#[derive(Debug)]
pub struct Rows<R: Row>(Memo<ByAnnouncement, HashMap<R::Id, R>, 8>);

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Self(Memo::default())
    }
}

impl<R> Rows<R>
where
    R: Watched,
    Library: Loader<R::Id, Value = R, Error = ReadError>,
{
    /// All rows of the table that an announcement names.
    pub async fn of(
        &self,
        library: &Library,
        changed: &Arc<Changed>,
    ) -> Result<Arc<HashMap<R::Id, R>>, ReadError> {
        let read = || {
            let (library, changed) = (library.clone(), Arc::clone(changed));
            async move {
                let rows = changed.rows.iter().filter(|row| row.kind() == R::Id::KIND);
                let ids: Vec<_> = rows.map(|row| R::Id::from_uuid(row.id.uuid)).collect();
                library.load(&ids).await
            }
        };
        self.0.get(&ByAnnouncement(Arc::clone(changed)), read).await
    }
}

/// An announcement, equal only to itself.
#[derive(Debug, Clone)]
struct ByAnnouncement(Arc<Changed>);

impl PartialEq for ByAnnouncement {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

type Asked<V> = BoxFuture<'static, Result<Arc<V>, ReadError>>;

/// Answers to the last so many questions. Who asks what was just asked gets the
/// same answer, be it there or on its way.
#[derive(Debug)]
pub struct Memo<K, V, const KEPT: usize> {
    recent: Mutex<VecDeque<(K, Answer<V>)>>,
    reads: AtomicU64,
}

/// What became of a question.
#[derive(Debug)]
enum Answer<V> {
    /// It was asked. Only who waits for the answer keeps the asking: what
    /// nobody waits for any more would hold its connection to the database, or
    /// its place in the queue for one, for ever.
    Awaited(WeakShared<Asked<V>>),
    /// It is answered.
    There(Arc<V>),
}

impl<K, V, const KEPT: usize> Default for Memo<K, V, KEPT> {
    fn default() -> Self {
        Self { recent: Mutex::default(), reads: AtomicU64::new(0) }
    }
}

impl<K, V, const KEPT: usize> Memo<K, V, KEPT>
where
    K: Clone + PartialEq + Send + Sync,
    V: Send + Sync + 'static,
{
    /// The answer to a question that is the same whoever asks.
    pub async fn get<F>(
        &self,
        key: &K,
        read: impl FnOnce() -> F + Send,
    ) -> Result<Arc<V>, ReadError>
    where
        F: Future<Output = Result<V, ReadError>> + Send + 'static,
    {
        let asked = {
            let mut recent = self.recent();
            let known = recent.iter().find(|(known, _)| known == key);
            let awaited = match known {
                Some((_, Answer::There(value))) => return Ok(Arc::clone(value)),
                Some((_, Answer::Awaited(asked))) => asked.upgrade(),
                None => None,
            };
            if let Some(asked) = awaited {
                asked
            } else {
                self.reads.fetch_add(1, Ordering::Relaxed);
                let read = read();
                let asked = async move { read.await.map(Arc::new) }.boxed().shared();
                if let Some(weak) = asked.downgrade() {
                    recent.retain(|(known, _)| known != key);
                    recent.truncate(KEPT - 1);
                    recent.push_front((key.clone(), Answer::Awaited(weak)));
                }
                asked
            }
        };
        let found = asked.await;
        let mut recent = self.recent();
        match &found {
            Ok(value) => {
                if let Some((_, answer)) = recent.iter_mut().find(|(known, _)| known == key) {
                    *answer = Answer::There(Arc::clone(value));
                }
            }
            // Whoever asks again may be luckier.
            Err(_) => recent.retain(|(known, _)| known != key),
        }
        drop(recent);
        found
    }
}

impl<K, V, const KEPT: usize> Memo<K, V, KEPT> {
    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(K, Answer<V>)>> {
        // Nothing in here panics half way.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_let_go() {
        let memo = Memo::<u8, u8, 4>::default();
        let (connection, mut is_free) = oneshot::channel::<()>();
        let mut asked = Box::pin(memo.get(&1, || async move {
            let _connection = connection;
            std::future::pending().await
        }));
        assert!(poll!(&mut asked).is_pending());
        assert_eq!(is_free.try_recv(), Err(oneshot::error::TryRecvError::Empty));

        drop(asked);
        assert_eq!(is_free.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        // And who asks next asks anew.
        assert_eq!(*memo.get(&1, || async { Ok(7) }).await.unwrap(), 7);
        assert_eq!(memo.reads(), 2);
    }

    #[tokio::test]
    async fn who_asks_the_same_gets_the_same_answer() {
        let memo = Memo::<u8, u8, 4>::default();
        let (answer, answered) = oneshot::channel();
        let mut first = Box::pin(memo.get(&1, || async { Ok(answered.await.unwrap()) }));
        assert!(poll!(&mut first).is_pending());
        let mut second = Box::pin(memo.get(&1, || async { Ok(9) }));
        assert!(poll!(&mut second).is_pending());
        // Who asked first need not be there when the answer comes.
        drop(first);
        answer.send(7).unwrap();
        assert_eq!(*second.await.unwrap(), 7);
        assert_eq!(*memo.get(&1, || async { Ok(9) }).await.unwrap(), 7);
        assert_eq!(memo.reads(), 1);
    }
}
