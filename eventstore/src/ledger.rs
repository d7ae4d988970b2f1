//! The ledger itself: opening it, writing to it, reading from it.

use std::{
    fmt,
    fs::{File, TryLockError},
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
};

use mallbots_domain::{event::DomainEvent, id::AnyId};
use metrics::Histogram;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    append::{Append, Appended},
    appender::{Appender, Basis, Chore, NewState, Request, Work},
    clock::Clock,
    codec,
    connect::{Backend, Database, Lane, Pools, broken},
    error::{AppendError, StoreError},
    listen,
    loader::{self, Wanted},
    message::{Position, Recorded, Version},
    metrics::APPEND_DURATION,
    recent::Shared,
    sql::{self, Arg, Sql},
    tail::Tail,
    timers::Alarms,
    trace::SpanKind,
    turns::Turns,
    upcast::Upcasters,
};

/// How many appends and loads may wait before those who ask for more wait too.
const QUEUE: usize = 1_024;

/// The one history of the mall. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
    /// On whose connections this handle reads.
    lane: Lane,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    clock: Clock,
    options: LedgerOptions,
    tracker: TaskTracker,
    shared: Arc<Shared>,
    appends: mpsc::Sender<Work>,
    loads: mpsc::Sender<Wanted>,
    turns: Turns,
    append_duration: AppendDuration,
    /// Whether it is only looked at, and does not know where it ends.
    is_read_only: bool,
    /// Held by the one who reads on for all who follow the tail.
    filling: tokio::sync::Mutex<()>,
}

/// Says how long appends take.
struct AppendDuration(Histogram);

impl Default for AppendDuration {
    fn default() -> Self {
        Self(APPEND_DURATION.histogram(&[]))
    }
}

impl fmt::Debug for AppendDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppendDuration")
    }
}

/// How the ledger keeps house.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Every how many events of a stream its state is kept beside it.
    pub snapshot_every: i64,
    /// How many recent aggregates are kept in memory.
    pub cache_capacity: u64,
    /// How many recent messages are kept in memory for those who read the tail.
    pub tail_capacity: usize,
    /// How to read old shapes of events.
    pub upcasters: Upcasters,
    /// Told of the moments at which a crash is worth a test.
    pub probe: Option<Probe>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            snapshot_every: 100,
            cache_capacity: 10_000,
            tail_capacity: 4_096,
            upcasters: Upcasters::default(),
            probe: None,
        }
    }
}

/// A moment at which a crash is worth a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Everything is ready; nothing is committed.
    BeforeCommit,
    /// Everything is committed; nobody has been told.
    AfterCommit,
    /// A consumer has handled a message; its checkpoint does not say so yet.
    Handled,
}

/// Told of moments on the way of a message. It runs on the task that gets
/// there, which waits for it.
#[derive(Clone)]
pub struct Probe(Arc<Told>);

type Told = dyn Fn(Moment, &[&str]) + Send + Sync;

impl Probe {
    /// Calls `told` at each moment.
    pub fn new(told: impl Fn(Moment) + Send + Sync + 'static) -> Self {
        Self::naming(move |moment, _| told(moment))
    }

    /// The same, with the names of what it is about: the messages of a
    /// commit; a consumer and the message it has handled.
    pub fn naming(told: impl Fn(Moment, &[&str]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(crate) fn reached(&self, moment: Moment, names: &[&str]) {
        (self.0)(moment, names);
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl Ledger {
    /// Opens the ledger, whose tables must be there, and starts its tasks on
    /// `tracker`. When `shutdown` is canceled they finish what is queued, then
    /// every call that needs them is refused as [`StoreError::Closed`].
    ///
    /// A ledger in a file is for one process: a second is refused as
    /// [`StoreError::InUse`] until the first one's tasks have ended.
    pub async fn open(
        database: Database,
        clock: Clock,
        tracker: &TaskTracker,
        shutdown: CancellationToken,
        options: LedgerOptions,
    ) -> Result<Self, StoreError> {
        let lock = database.path.as_deref().map(lock).transpose()?;
        let rows = sql::fetch(&database, Lane::Work, &sql::END, &[], |row| {
            Ok((row.int(0)?, row.int(1)?, row.int(2)?))
        })
        .await?;
        let (head, last, recorded_at) = rows.first().copied().unwrap_or_default();
        if head != last {
            return Err(StoreError::Hole { of: "the ledger".to_owned(), after: head.min(last) });
        }

        let shared =
            Arc::new(Shared::new(Position(head), options.tail_capacity, options.cache_capacity));
        let (appends, waiting_appends) = mpsc::channel(QUEUE);
        let (loads, waiting_loads) = mpsc::channel(QUEUE);
        let appender = Appender::new(
            database.clone(),
            clock.clone(),
            shared.clone(),
            options.probe.clone(),
            recorded_at,
            lock,
        );
        tracker.spawn(appender.run(waiting_appends, shutdown.clone()));
        tracker.spawn(loader::run(
            database.clone(),
            waiting_loads,
            tracker.clone(),
            shutdown.clone(),
        ));
        if database.kind == Backend::Postgres {
            tracker.spawn(listen::listen(database.clone(), shared.clone(), shutdown.clone()));
            tracker.spawn(listen::look_now_and_then(database.clone(), shared.clone(), shutdown));
        }

        Ok(Self {
            inner: Arc::new(Inner {
                database,
                clock,
                options,
                tracker: tracker.clone(),
                shared,
                appends,
                loads,
                turns: Turns::default(),
                append_duration: AppendDuration::default(),
                is_read_only: false,
                filling: tokio::sync::Mutex::default(),
            }),
            lane: Lane::Work,
        })
    }

    /// A ledger only to read from, whoever else works with it: it has no tasks,
    /// its head stands still, and what would be appended or loaded is refused
    /// as [`StoreError::Closed`].
    pub async fn read_only(
        database: Database,
        clock: Clock,
        options: LedgerOptions,
    ) -> Result<Self, StoreError> {
        let heads = sql::fetch(&database, Lane::Work, &sql::HEAD, &[], sql::int).await?;
        let head = Position(heads.first().copied().unwrap_or_default());
        // Nobody is at the other ends.
        let ((appends, _), (loads, _)) = (mpsc::channel(1), mpsc::channel(1));
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                clock,
                shared: Arc::new(Shared::new(head, options.tail_capacity, options.cache_capacity)),
                options,
                tracker: TaskTracker::new(),
                appends,
                loads,
                turns: Turns::default(),
                append_duration: AppendDuration::default(),
                is_read_only: true,
                filling: tokio::sync::Mutex::default(),
            }),
            lane: Lane::Work,
        })
    }

    /// The same ledger for the questions of people: what is read through this
    /// handle waits for the connections of questions, of which there may be
    /// any number, and takes none from the work of the house.
    #[must_use]
    pub fn for_questions(&self) -> Self {
        Self { inner: self.inner.clone(), lane: Lane::Questions }
    }

    /// The same ledger for those who watch over the process: their questions
    /// wait for nobody's.
    #[must_use]
    pub fn for_watching(&self) -> Self {
        Self { inner: self.inner.clone(), lane: Lane::Reserved }
    }

    /// That the ledger is not the one this process has seen, once that is
    /// seen: [`StoreError::WentBack`]. Then nothing more is appended or handed
    /// to consumers until the process is started anew.
    #[must_use]
    pub fn went_back(&self) -> Option<StoreError> {
        self.inner.shared.went_back()
    }

    /// Where it is kept.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// The clock that dates its messages.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.inner.clock.now()
    }

    /// An event as it is matched on, whatever its aggregate.
    pub fn decode(&self, recorded: &Recorded) -> Result<DomainEvent, StoreError> {
        codec::decode_event(recorded, self.upcasters())
    }

    /// How to read old shapes of events.
    #[must_use]
    pub fn upcasters(&self) -> &Upcasters {
        &self.inner.options.upcasters
    }

    /// Writes one decision, whole or not at all.
    ///
    /// Whoever drops the call does not know whether it was written, as after
    /// [`AppendError::Store`].
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_with(append, Vec::new(), Basis::Stated).await
    }

    /// The same, for who knows the states the events lead to.
    pub(crate) async fn append_with(
        &self,
        mut append: Append,
        states: Vec<NewState>,
        basis: Basis,
    ) -> Result<Appended, AppendError> {
        let mut span = append.metadata.follow(SpanKind::Client, || "append");
        if span.is_recording() {
            span.set("db.system.name", self.inner.database.kind.system_name());
            span.set("db.operation.name", "append");
            span.set("db.collection.name", "messages");
            let events: usize = append.streams.iter().map(|stream| stream.events.len()).sum();
            span.set("db.operation.batch.size", events + append.messages.len());
            append.metadata.traceparent = span.traceparent();
        }
        let appended = self.append_within(append, states, basis).await;
        match &appended {
            Ok(appended) => span.set("position", appended.last.0),
            Err(error @ AppendError::Store(_)) => span.fail(error.kind()),
            // Refused as it should be: another was faster, or it was done before.
            Err(error) => span.set("error.type", error.kind()),
        }
        appended
    }

    async fn append_within(
        &self,
        append: Append,
        states: Vec<NewState>,
        basis: Basis,
    ) -> Result<Appended, AppendError> {
        let began = Instant::now();
        let (reply, answer) = oneshot::channel();
        let request = Request::new(append, states, basis, self.upcasters(), reply)
            .map_err(|error| codec::undecodable("metadata", "an append", error))?;
        self.inner
            .appends
            .send(Work::Append(Box::new(request)))
            .await
            .map_err(|_| StoreError::Closed)?;
        let answer = answer.await.map_err(|_| StoreError::Closed)?;
        self.inner.append_duration.0.record(began.elapsed());
        answer
    }

    /// Messages of all kinds, in position order.
    pub async fn read(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        // What is in the file before this process has digested it is nobody's
        // business yet: the states in memory would be older than the messages.
        let end = match self.inner.database.kind {
            Backend::Sqlite if !self.inner.is_read_only => self.head().0,
            Backend::Sqlite | Backend::Postgres => i64::MAX,
        };
        let args = [Arg::int(after.0), Arg::int(end), Arg::int(limit)];
        let messages = self.find(&sql::READ, &args).await?;
        let gap = (after.0 + 1..).zip(&messages).find(|(due, found)| *due != found.position.0);
        match gap {
            None => Ok(messages),
            Some((due, _)) => Err(StoreError::Hole { of: "the ledger".to_owned(), after: due - 1 }),
        }
    }

    /// Messages of some partitions that stand behind `after` and not behind
    /// `to`, in position order. Fewer than `limit` are all there are.
    pub async fn read_partitions(
        &self,
        partitions: RangeInclusive<u8>,
        after: Position,
        to: Position,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let end = match self.inner.database.kind {
            Backend::Sqlite => to.min(self.head()),
            Backend::Postgres => to,
        };
        let args = [
            Arg::int(after.0),
            Arg::int(end.0),
            Arg::int(*partitions.start()),
            Arg::int(*partitions.end()),
            Arg::int(limit),
        ];
        self.find(&sql::READ_PARTITIONS, &args).await
    }

    /// A stream's events, in version order.
    pub async fn read_stream(
        &self,
        stream: AnyId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let args = [Arg::text(&stream), Arg::int(after.0), Arg::int(limit)];
        let events = self.find(&sql::READ_STREAM, &args).await?;
        let gap = (after.0 + 1..).zip(&events).find(|(due, found)| *due != found.version.0);
        match gap {
            None => Ok(events),
            Some((due, _)) => Err(StoreError::Hole { of: stream.to_string(), after: due - 1 }),
        }
    }

    /// How many events a stream has; 0 if there is no such stream.
    pub async fn stream_version(&self, stream: AnyId) -> Result<Version, StoreError> {
        let args = [Arg::text(&stream)];
        let versions =
            sql::fetch(&self.inner.database, self.lane, &sql::STREAM_VERSION, &args, |row| {
                Ok(Version(row.int(0)?))
            })
            .await?;
        Ok(versions.into_iter().next().unwrap_or(Version(0)))
    }

    /// A stream's events up to and with a moment, in version order.
    pub async fn read_stream_before(
        &self,
        stream: AnyId,
        as_of: i64,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let mut events: Vec<Arc<Recorded>> = Vec::new();
        loop {
            let after = events.last().map_or(Version(0), |last| last.version);
            let page = self.read_stream(stream, after, PAGE).await?;
            let is_last =
                page.len() < PAGE as usize || page.iter().any(|event| event.recorded_at > as_of);
            events.extend(page.into_iter().take_while(|event| event.recorded_at <= as_of));
            if is_last {
                return Ok(events);
            }
        }
    }

    /// Everything said by or to one thing: events, commands and replies, in
    /// position order.
    pub async fn read_about(
        &self,
        stream: AnyId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let args = [Arg::text(&stream), Arg::int(after.0), Arg::int(limit)];
        self.find(&sql::READ_ABOUT, &args).await
    }

    /// One message, by its id.
    pub async fn message(&self, message_id: Uuid) -> Result<Option<Arc<Recorded>>, StoreError> {
        let found = self.find(&sql::MESSAGE, &[Arg::text(&message_id)]).await?;
        Ok(found.into_iter().next())
    }

    /// Several messages by their ids, in position order.
    pub async fn messages(&self, message_ids: &[Uuid]) -> Result<Vec<Arc<Recorded>>, StoreError> {
        self.find(&sql::MESSAGES, &[listed(message_ids)?]).await
    }

    /// What followed directly from any of these messages, in position order.
    pub async fn caused_by(&self, message_ids: &[Uuid]) -> Result<Vec<Arc<Recorded>>, StoreError> {
        self.find(&sql::CAUSED_BY, &[listed(message_ids)?]).await
    }

    async fn find(&self, sql: &Sql, args: &[Arg]) -> Result<Vec<Arc<Recorded>>, StoreError> {
        sql::fetch(&self.inner.database, self.lane, sql, args, |row| {
            sql::recorded(row).map(Arc::new)
        })
        .await
    }

    /// The position of the last message this process knows of.
    #[must_use]
    pub fn head(&self) -> Position {
        self.inner.shared.head()
    }

    /// Tells whenever the head moves.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.inner.shared.subscribe()
    }

    /// How far this process knows, without asking, that nothing of some
    /// partitions follows a position.
    #[must_use]
    pub fn quiet_until(&self, partitions: &RangeInclusive<u8>, after: Position) -> Position {
        self.inner.shared.messages.quiet_until(partitions, after)
    }

    /// Reads on from a position as messages come.
    #[must_use]
    pub fn tail(&self, after: Position) -> Tail {
        Tail::new(self.clone(), after)
    }

    /// Told when this process has set a timer that is due before somebody looks
    /// anyway. Other processes' timers are seen by looking now and then.
    #[must_use]
    pub fn alarms(&self) -> &Alarms {
        &self.inner.shared.alarms
    }

    /// Tells the probe, if there is one, that a moment has come.
    pub fn reached(&self, moment: Moment, names: &[&str]) {
        if let Some(probe) = &self.inner.options.probe {
            probe.reached(moment, names);
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn options(&self) -> &LedgerOptions {
        &self.inner.options
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(crate) fn filling(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.filling
    }

    pub(crate) fn loads(&self) -> &mpsc::Sender<Wanted> {
        &self.inner.loads
    }

    /// Does something in the background that need not be done.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tracker.spawn(work);
    }

    /// Reads rows of the ledger's smaller tables.
    pub(crate) async fn rows<T: Send>(
        &self,
        sql: &Sql,
        args: &[Arg],
        read: sql::Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        sql::fetch(&self.inner.database, self.lane, sql, args, read).await
    }

    /// Writes to the ledger's smaller tables, and says how many rows the last
    /// statement changed.
    pub(crate) async fn run(&self, statements: Vec<(Sql, Vec<Arg>)>) -> Result<u64, StoreError> {
        match self.inner.database.pools() {
            Pools::Sqlite { .. } => {
                let (reply, answer) = oneshot::channel();
                let work = Work::Run(Chore { statements, reply });
                self.inner.appends.send(work).await.map_err(|_| StoreError::Closed)?;
                answer.await.map_err(|_| StoreError::Closed)?
            }
            Pools::Postgres { work: pool, .. } => {
                if let [(sql, args)] = &*statements {
                    let done = sql::for_postgres(sql, args).execute(pool).await;
                    return Ok(done.map_err(broken)?.rows_affected());
                }
                let mut transaction = pool.begin().await.map_err(broken)?;
                let mut changed = 0;
                for (sql, args) in &statements {
                    let done = sql::for_postgres(sql, args).execute(&mut *transaction).await;
                    changed = done.map_err(broken)?.rows_affected();
                }
                transaction.commit().await.map_err(broken)?;
                Ok(changed)
            }
        }
    }
}

/// How many messages of a long history are read at once.
const PAGE: u32 = 1_000;

/// Message ids as one argument.
fn listed(message_ids: &[Uuid]) -> Result<Arg, StoreError> {
    let ids = serde_json::to_string(message_ids)
        .map_err(|error| codec::undecodable("message ids", "a question", error))?;
    Ok(Arg::Text(Some(ids)))
}

/// Keeps other processes from a file, for as long as the lock is kept.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = Path::new(&name);
    let failed =
        |source| StoreError::File { path: path.display().to_string(), source: Arc::new(source) };
    let file =
        File::options().create(true).write(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::InUse { path: path.display().to_string() })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
