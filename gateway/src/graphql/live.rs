//! Subscriptions: what is there now, then every change, without a gap.
//!
//! Each listens first, then reads, then goes on with what it hears. A row that
//! was read before its change was announced is not sent twice: rows carry the
//! position of their last change. Whoever hears too late reads again what has
//! changed meanwhile.
//!
//! A resolver may be asked for a [`Part`] only: what there is, or what
//! changes. Every item has a cursor beside it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Context, dataloader::Loader};
use async_stream::try_stream;
use futures_util::Stream;
use mallbots_domain::id::{AnyId, EntityId};
use mallbots_eventstore::{
    ledger::Ledger,
    message::{MessageKind, Recorded, Version},
    trace::{Place, Span, SpanKind},
};
use mallbots_projections::{
    changes::{Change, Changed, Heard},
    reads::{ReadError, Reads},
};
use tokio::time::{Instant, sleep};
use tracing::warn;
use uuid::Uuid;

use super::{
    cursor::CursorKey,
    fresh::Watched,
    loaders::Library,
    scalars::Cursor,
    services::{ContextExt, Services},
};
use crate::{
    error::{ClientError, ForClient},
    transport::{
        context::{ResponseExtensions, TransportExt},
        part::{Mark, Part},
    },
};

/// How many rows are read at once.
pub const PAGE: u32 = 100;

/// What a subscription is made with.
#[derive(Debug)]
pub struct Live {
    services: Services,
    part: Part,
    extensions: ResponseExtensions,
    /// The field that is subscribed to.
    field: String,
    /// What it is called in cursors.
    name: String,
    /// Where the subscriber wants to go on, if it said so beside the document.
    resume: Option<String>,
}

impl Live {
    /// For the subscription that is being resolved, under a name of its own.
    pub fn new(ctx: &Context<'_>, name: impl Into<String>) -> Self {
        Self {
            services: ctx.services().clone(),
            part: ctx.part().clone(),
            extensions: ctx.response_extensions().clone(),
            field: ctx.field().name().to_owned(),
            name: name.into(),
            resume: ctx.resume().map(str::to_owned),
        }
    }

    /// Where to read.
    pub fn reads(&self) -> &Reads {
        &self.services.reads
    }

    fn cursors(&self) -> &CursorKey {
        &self.services.cursors
    }

    /// Where the subscriber wants to go on: as the argument says, or else what
    /// was told beside the document; 0 for the beginning.
    pub fn after(&self, argument: Option<&Cursor>) -> Result<i64, ClientError> {
        if let Some(behind) = self.part.behind() {
            return Ok(behind);
        }
        match argument.map(|cursor| &*cursor.0).or(self.resume.as_deref()) {
            Some(cursor) => self.cursors().open(&self.name, cursor),
            None => Ok(0),
        }
    }

    /// The next item is made because of an event: it is part of that one's
    /// trace until it is on its way.
    fn follows(&self, announced: &Changed, position: i64) {
        let Some(traced) = announced.traced(position) else { return };
        let name = || format!("push {}", self.field);
        let (traceparent, tracestate) = (&*traced.traceparent, traced.tracestate.as_deref());
        let place = Place { traceparent, tracestate };
        let mut span = Span::follow(Some(place), SpanKind::Producer, name);
        span.link(&traced.by);
        span.set("graphql.operation.type", "subscription");
        span.set("position", position);
        self.part.push(span);
    }

    /// Says what the next item is, and puts its cursor beside it.
    fn tell(&self, mark: Mark) -> Cursor {
        self.part.mark(mark);
        let cursor = self.cursors().sign(&self.name, &mark.position);
        self.extensions.set("cursor", cursor.0.clone());
        cursor
    }
}

/// Rows as they are now, and again whenever they change: the latest value
/// only. `snapshot` reads what is there now, `watches` says which changes may
/// matter and `fits` which rows do.
pub fn latest<R, S>(
    live: Live,
    watches: impl Fn(&Change) -> bool + Send + 'static,
    fits: impl Fn(&R) -> bool + Send + Sync + 'static,
    snapshot: impl FnOnce(Reads) -> S + Send + 'static,
) -> impl Stream<Item = Result<R, ClientError>> + Send
where
    R: Watched + sea_orm::ModelTrait<Entity: sea_orm::EntityTrait<Model = R>>,
    S: Future<Output = Result<Vec<R>, ReadError>> + Send,
    Library: Loader<R::Id, Value = R, Error = ReadError>,
{
    try_stream! {
        let reads = live.reads().clone();
        let mut changes = reads.changes();
        // Everything up to here has been sent; beyond it, what was read early.
        let mut done = reads.position().0;
        let mut early: HashMap<Uuid, i64> = HashMap::new();
        live.part.listens();
        if live.part.has_snapshot() {
            let rows = match live.part.behind() {
                Some(behind) => changed_behind(&reads, behind, &fits).await,
                None => snapshot(reads.clone()).await,
            };
            for row in rows.for_client()? {
                let (id, position) = (row.id().uuid(), row.position());
                if position > done {
                    early.insert(id, position);
                }
                live.tell(Mark { of: Some(id), position, done });
                yield row;
            }
            live.part.complete(done);
        }
        let library = live.services.library();
        while live.part.has_changes() && let Some(heard) = changes.next().await {
            let (rows, reached, because) = match heard {
                Heard::Changed(announced) => {
                    let rows = if announced.rows.iter().any(&watches) {
                        let fresh = R::rows(&live.services.fresh);
                        let rows = insist(|| fresh.of(&library, &announced)).await;
                        watched(&announced, &watches, &*rows.for_client()?)
                    } else {
                        Vec::new()
                    };
                    (rows, announced.position.0, Some(announced))
                }
                Heard::Missed => {
                    let reached = reads.position().0;
                    let rows = insist(|| changed_behind(&reads, done, &fits)).await;
                    (rows.for_client()?, reached, None)
                }
            };
            for row in rows {
                let (id, position) = (row.id().uuid(), row.position());
                if position > done && early.get(&id) != Some(&position) && fits(&row) {
                    early.insert(id, position);
                    if let Some(because) = &because {
                        live.follows(because, position);
                    }
                    live.tell(Mark { of: Some(id), position, done });
                    yield row;
                }
            }
            done = done.max(reached);
            early.retain(|_, position| *position > done);
        }
    }
}

/// How long a running subscription waits for a library that does not answer,
/// and between which bounds it asks again.
const PATIENCE: Duration = Duration::from_mins(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Reads, again and again if that fails: whoever is subscribed has lost nothing
/// yet, and waits. What changes meanwhile is heard afterwards. After a minute
/// the failure is told and ends the subscription, whose cursor resumes it.
async fn insist<T, F>(mut read: impl FnMut() -> F + Send) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>> + Send,
{
    let end = Instant::now() + PATIENCE;
    let mut wait = SHORTEST_WAIT;
    loop {
        match read().await {
            Err(error) if Instant::now() + wait <= end => {
                warn!(%error, "a subscription waits for the library");
                sleep(wait).await;
                wait = (2 * wait).min(LONGEST_WAIT);
            }
            read => return read,
        }
    }
}

/// Those of the rows that are watched, in the order of their last change.
fn watched<R: Watched>(
    announced: &Changed,
    watches: &impl Fn(&Change) -> bool,
    rows: &HashMap<R::Id, R>,
) -> Vec<R> {
    let watched = announced.rows.iter().filter(|change| watches(change));
    let mut rows: Vec<_> =
        watched.filter_map(|change| rows.get(&R::Id::from_uuid(change.id.uuid)).cloned()).collect();
    rows.sort_by_key(R::position);
    rows
}

/// All rows that fit and changed behind a position, in the order of their last
/// change.
async fn changed_behind<R>(
    reads: &Reads,
    position: i64,
    fits: &(impl Fn(&R) -> bool + Sync),
) -> Result<Vec<R>, ReadError>
where
    R: Watched + sea_orm::ModelTrait<Entity: sea_orm::EntityTrait<Model = R>>,
{
    let mut found = Vec::new();
    let mut behind = position;
    loop {
        let rows: Vec<R> = reads.changed_behind(behind, PAGE).await?;
        let is_last = rows.len() < PAGE as usize;
        if let Some(last) = rows.last() {
            behind = last.position();
        }
        found.extend(rows.into_iter().filter(fits));
        if is_last {
            return Ok(found);
        }
    }
}

/// An item of a feed that only grows.
pub trait Positioned {
    /// Its place: the ledger position of what it tells of.
    fn position(&self) -> i64;
}

/// Items of a feed that only grows, with their cursors: all behind `after`,
/// then each new one. `since` reads up to [`PAGE`] items behind a place;
/// `newest` does the same, once for all who heard that something was added at a
/// position. A reader that falls behind reads on from where it is.
pub fn feed<R, S, N>(
    live: Live,
    after: i64,
    watches: impl Fn(&Change) -> bool + Send + 'static,
    since: impl Fn(i64) -> S + Send + Sync + 'static,
    newest: impl Fn(i64, i64) -> N + Send + Sync + 'static,
) -> impl Stream<Item = Result<(Cursor, R), ClientError>> + Send
where
    R: Positioned + Clone + Send + Sync,
    S: Future<Output = Result<Vec<R>, ReadError>> + Send,
    N: Future<Output = Result<Arc<Vec<R>>, ReadError>> + Send,
{
    try_stream! {
        let reads = live.reads().clone();
        let mut changes = reads.changes();
        let mut after = after;
        if live.part.has_snapshot() {
            loop {
                let items = since(after).await.for_client()?;
                let is_last = items.len() < PAGE as usize;
                for item in items {
                    after = item.position();
                    yield (live.tell(Mark { of: None, position: after, done: after }), item);
                }
                if is_last {
                    break;
                }
            }
            live.part.complete(after);
        } else {
            after = reads.position().0;
        }
        live.part.listens();
        while live.part.has_changes() && let Some(heard) = changes.next().await {
            let added = match heard {
                Heard::Changed(announced) if !announced.rows.iter().any(&watches) => continue,
                Heard::Changed(announced) => Some(announced),
                Heard::Missed => None,
            };
            loop {
                let items = match &added {
                    Some(announced) => insist(|| newest(after, announced.position.0)).await,
                    None => insist(|| since(after)).await.map(Arc::new),
                };
                let items = items.for_client()?;
                for item in items.iter().cloned() {
                    after = item.position();
                    if let Some(announced) = &added {
                        live.follows(announced, after);
                    }
                    yield (live.tell(Mark { of: None, position: after, done: after }), item);
                }
                if items.len() < PAGE as usize {
                    break;
                }
            }
        }
    }
}

/// What happened to one thing, with cursors: all behind a version, then each
/// new event. What is new is heard from the ledger itself, whose latest
/// messages are in memory once for all who follow.
pub fn history(
    live: Live,
    ledger: Ledger,
    id: AnyId,
    after: i64,
) -> impl Stream<Item = Result<(Cursor, Arc<Recorded>), ClientError>> + Send {
    try_stream! {
        // What comes from here on is heard; what was before is read.
        let mut tail = ledger.tail(ledger.head());
        let mut after = after;
        live.part.listens();
        if live.part.has_snapshot() {
            loop {
                let events = ledger.read_stream(id, Version(after), PAGE).await.for_client()?;
                let is_last = events.len() < PAGE as usize;
                for event in events {
                    after = event.version.0;
                    yield (live.tell(Mark { of: None, position: after, done: after }), event);
                }
                if is_last {
                    break;
                }
            }
            live.part.complete(after);
        }
        while live.part.has_changes() {
            for message in tail.next(PAGE as usize).await.for_client()? {
                let is_its = message.kind == MessageKind::Event && message.stream == id;
                if is_its && message.version.0 > after {
                    after = message.version.0;
                    yield (live.tell(Mark { of: None, position: after, done: after }), message);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failed() -> ReadError {
        sea_orm::DbErr::Custom("the server is away".to_owned()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_fails_is_tried_until_it_does_not() {
        let tries = AtomicU32::new(0);
        let read = insist(|| async {
            let tried = tries.fetch_add(1, Ordering::Relaxed);
            if tried < 5 { Err(failed()) } else { Ok(tried) }
        });
        assert_eq!(read.await.unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_library_that_stays_away_is_given_up() {
        let begun = Instant::now();
        assert!(insist(|| async { Err::<(), _>(failed()) }).await.is_err());
        assert!(begun.elapsed() <= PATIENCE);
    }
}
