//! Follows the ledger, batch by batch: decode once, load once, fold in memory,
//! write each table with one statement, move the checkpoint, commit once, then
//! say what changed. What JetStream brings is acknowledged after the commit.

pub(crate) mod batch;
mod checkpoints;
pub(crate) mod retry;

use std::{
    collections::HashSet,
    error::Error,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use mallbots_domain::id::{AnyId, DeadLetterId};
use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database},
    error::StoreError,
    ledger::Ledger,
    message::{MessageKind, Position, Recorded},
    metrics::seconds_since,
    trace::{self, Span, SpanKind},
    upcast::Upcasters,
};
use mallbots_messaging::intake::{Carrier, Intake, Origins, Part, Receipts};
use rand::Rng;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, QuerySelect, TransactionTrait,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::{batch::Batch, checkpoints::Checkpoints, retry::Order};
use crate::{
    changes::{Change, Changed, Traced},
    column::Text,
    feed::{Announcer, Feed, HEARSAY, Halt},
    metrics::Tally,
    parked,
    reads::Reads,
    rebuild::{self, RebuildError, Swap},
    replay::Replay,
    sagas::Took,
    table::{Additions, OnConflict},
    tables::Tables,
};

/// How many messages are taken in at once, when so many wait. Of a row that
/// many of them change only the last state is written.
pub const BATCH: usize = 2_000;

/// Of how many messages of a batch the traces are followed. Exporters take as
/// many links of a span.
const TRACED: usize = 128;

/// The name of the checkpoints that all read models share, and of the group
/// that takes messages in for them.
const CHECKPOINTS: &str = "views";
/// How long the checkpoints of partitions in which nothing happens may stay
/// behind: what is read again after a restart.
const IDLE_PARTITIONS: Duration = Duration::from_secs(1);
/// Statements are planned once, while the tables may be nearly empty, and kept:
/// they must find their rows by index all the same when the tables have grown.
const PLAN_FOR_MANY_ROWS: &str = "SET LOCAL plan_cache_mode = force_generic_plan; \
     SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
/// How long what follows on a batch may gather before it is taken in, if nobody
/// waits for it: a saga's next step comes within a millisecond or two, and
/// every transaction that is saved is time for that step.
const GATHER: Duration = Duration::from_millis(2);
/// How long messages must fail to come before it is noted how far those went
/// that change nothing: other processes know it from the checkpoints only.
const IDLE: Duration = Duration::from_millis(50);
/// A process that was stopped in the middle must not hold up the one that takes
/// over: the server ends its transaction.
pub(crate) const DO_NOT_DAWDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '2s'";
/// The longest wait after the first failure, and after many.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Up to where the tables are filled, for who only reads them.
pub(crate) async fn position_of(db: &impl ConnectionTrait) -> Result<Position, DbErr> {
    checkpoints::most(db, CHECKPOINTS).await
}

/// The writer of the read side. Two of them on one database do no harm: one
/// takes a batch in and the other finds it taken.
#[derive(Debug)]
pub struct Projector {
    kind: Backend,
    db: DatabaseConnection,
    upcasters: Upcasters,
    clock: Clock,
    announcer: Announcer,
    carrier: Carrier,
    origins: Arc<Origins>,
    checkpoints: Checkpoints,
    /// When the checkpoints of all partitions were last moved.
    all_moved_at: Instant,
    tables: Tables,
    letters: Additions<parked::Entity>,
    /// The streams with events put aside.
    parked: HashSet<AnyId>,
    /// Up to where everything is in the tables.
    reached: Position,
    tally: Tally,
}

/// Why a batch was not taken in. Nothing of it was written; only if the commit
/// itself failed it may have been, and then the checkpoint will tell.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The database did not do what it was asked.
    #[error("the views cannot be written")]
    Database(#[from] DbErr),
    /// Another projector has moved the checkpoint.
    #[error("another projector was faster")]
    Overtaken,
}

impl Projector {
    /// Opens the read side where it was left, for a process that alone writes
    /// to it: its writer, and the counter for everyone who asks.
    pub async fn open(views: &Database, ledger: &Ledger) -> Result<(Self, Reads), ProjectError> {
        let announcer = Announcer::new();
        let reads =
            Reads::new(views, ledger.subscribe(), ledger.clock().clone(), announcer.listening());
        Ok((Self::telling(announcer, views, ledger).await?, reads))
    }

    /// The same, for one of several processes: what it writes it tells those
    /// who read through the [`Feed`] of this process, and that tells the others.
    pub async fn open_beside(
        feed: &Feed,
        views: &Database,
        ledger: &Ledger,
    ) -> Result<Self, ProjectError> {
        Self::telling(feed.announcer().clone(), views, ledger).await
    }

    async fn telling(
        announcer: Announcer,
        views: &Database,
        ledger: &Ledger,
    ) -> Result<Self, ProjectError> {
        let backend = views.kind;
        let mut projector = Self {
            kind: backend,
            upcasters: ledger.upcasters().clone(),
            clock: ledger.clock().clone(),
            announcer,
            carrier: Carrier::Ledger,
            origins: Arc::default(),
            checkpoints: Checkpoints::new(backend, CHECKPOINTS),
            all_moved_at: Instant::now(),
            tables: Tables::new(backend, ""),
            letters: Additions::new(backend, "", OnConflict::Replace),
            parked: HashSet::new(),
            reached: Position(0),
            tally: Tally::default(),
            db: views.write.clone(),
        };
        projector.resume().await?;
        projector.announcer.begin(projector.reached);
        Ok(projector)
    }

    /// Has its messages brought in this way; else it reads the ledger.
    #[must_use]
    pub fn fed_by(self, carrier: Carrier) -> Self {
        Self { carrier, ..self }
    }

    /// Where its messages come from, counted from now on.
    #[must_use]
    pub fn origins(&self) -> Arc<Origins> {
        Arc::clone(&self.origins)
    }

    /// Behind which position there are messages to take in.
    #[must_use]
    pub fn position(&self) -> Position {
        self.checkpoints.least()
    }

    /// Follows the ledger until told to stop. What merely fails is tried
    /// again; what cannot be taken in is parked.
    pub async fn run(self, ledger: Ledger, stop: CancellationToken) {
        let (_always, may_write) = watch::channel(true);
        self.run_while(ledger, may_write, stop).await;
    }

    /// The same, while this process is the one that may write: when it may not
    /// it stands by, and takes over from what is committed when it may again.
    pub async fn run_while(
        mut self,
        ledger: Ledger,
        mut may_write: watch::Receiver<bool>,
        stop: CancellationToken,
    ) {
        // Between two statements is as good a place to stop as any: what is not
        // committed is taken in again.
        let all = Box::pin(async {
            // Whoever would say so is gone: it never may again.
            while allowed(&mut may_write).await {
                tokio::select! {
                    () = no_longer(may_write.clone()) => {
                        info!("another process writes the read models");
                    }
                    () = self.work(&ledger) => return,
                }
            }
        });
        stop.run_until_cancelled(all).await;
    }

    /// Follows the ledger, and rebuilds what it is asked to, until the ledger
    /// is closed.
    async fn work(&mut self, ledger: &Ledger) {
        let (swap, mut swaps) = mpsc::channel(1);
        let (announcer, db, backend) = (self.announcer.clone(), self.db.clone(), self.kind);
        let rebuilds = rebuild::run(announcer.asked(), swap, ledger, &db, backend);
        let follow = async {
            let mut failures = 0;
            loop {
                match self.follow(ledger, &mut swaps, &mut failures).await {
                    Setback::Closed => return,
                    Setback::Halted => pending().await,
                    Setback::Overtaken => {
                        self.tally.overtaken.increment(1);
                        debug!("another projector was faster");
                    }
                    Setback::Failed(cause) => {
                        self.tally.failed.increment(1);
                        warn!(error = &*cause as &dyn Error, failures, "the views stand still");
                    }
                }
                failures += 1;
                tokio::time::sleep(wait_after(failures)).await;
            }
        };
        tokio::select! {
            () = follow => {}
            () = rebuilds => {}
        }
    }

    /// Goes on from what is committed, until something comes in between. While
    /// one batch is written the next is read.
    async fn follow(
        &mut self,
        ledger: &Ledger,
        swaps: &mut mpsc::Receiver<Swap>,
        failures: &mut u32,
    ) -> Setback {
        let known = self.announcer.seen();
        if let Err(error) = self.resume().await {
            return error.into();
        }
        if self.announcer.note(known, self.checkpoints.most()).is_err() {
            return Setback::Halted;
        }
        if let Err(halt) = self.known_to(ledger).await {
            self.announcer.halt(halt);
            return Setback::Halted;
        }
        // Others may have written since.
        self.announcer.heard_all(self.reached);
        let intake = Intake::open(ledger, &self.carrier, CHECKPOINTS, Part::Whole, self.position())
            .counting(Arc::clone(&self.origins));
        let receipts = intake.receipts();
        let hurried = self.announcer.hurry().subscribe();
        let (batches, read) = mpsc::channel(1);
        let announcer = self.announcer.clone();
        tokio::select! {
            biased;
            () = announcer.halted() => Setback::Halted,
            setback = self.keep_up(ledger, read, &receipts, swaps, failures) => setback,
            () = read_ahead(intake, hurried, batches) => Setback::Closed,
        }
    }

    /// That the ledger goes as far as the tables.
    async fn known_to(&self, ledger: &Ledger) -> Result<(), Halt> {
        let tables = self.checkpoints.most();
        let mut head = ledger.subscribe();
        let heard = timeout(HEARSAY, head.wait_for(|head| *head >= tables)).await.is_ok();
        if heard { Ok(()) } else { Err(Halt::LedgerBehind { tables, ledger: ledger.head() }) }
    }

    async fn keep_up(
        &mut self,
        ledger: &Ledger,
        mut read: mpsc::Receiver<Result<Vec<Arc<Recorded>>, StoreError>>,
        receipts: &Receipts,
        swaps: &mut mpsc::Receiver<Swap>,
        failures: &mut u32,
    ) -> Setback {
        loop {
            let unsettled = self.reached > self.checkpoints.most();
            tokio::select! {
                Some(messages) = read.recv() => {
                    let messages = match messages {
                        Ok(messages) => messages,
                        Err(error) => return error.into(),
                    };
                    if let Err(error) = self.project(&messages).await {
                        return error.into();
                    }
                    if let Some(last) = messages.last() {
                        receipts.done(last.position);
                    }
                    *failures = 0;
                }
                Some(swap) = swaps.recv() => {
                    let Swap { run, next, reply } = swap;
                    let swapped = self.swap_in(ledger, &run, next).await;
                    let setback = swapped.is_err();
                    // Whoever asked may have gone.
                    let _ = reply.send(swapped);
                    if setback {
                        return Setback::Overtaken;
                    }
                }
                () = tokio::time::sleep(IDLE), if unsettled => {
                    if let Err(error) = self.settle().await {
                        return error.into();
                    }
                }
                else => return Setback::Closed,
            }
        }
    }

    /// Takes messages in, in ledger order, and says what changed. Those behind
    /// the checkpoint change nothing.
    ///
    /// After an error, [`resume`](Self::resume) and read on from
    /// [`position`](Self::position).
    pub async fn project(&mut self, messages: &[Arc<Recorded>]) -> Result<(), ProjectError> {
        let full = messages.len() >= BATCH;
        let mut rest = messages;
        while let [first, behind @ ..] = rest {
            if let Some((order, about)) = Order::of(first) {
                self.obey(first, order, about).await?;
                rest = behind;
            } else {
                let plain = rest.iter().take_while(|message| Order::of(message).is_none()).count();
                self.take_in(&rest[..plain], full).await?;
                rest = &rest[plain..];
            }
        }
        Ok(())
    }

    /// Reads anew where the tables stand.
    pub async fn resume(&mut self) -> Result<(), ProjectError> {
        self.tables.clear();
        self.letters.clear();
        self.checkpoints.read(&self.db).await?;
        self.reached = self.checkpoints.most();
        let keys: Vec<Text<AnyId>> = parked::Entity::find()
            .select_only()
            .column(parked::Column::Key)
            .distinct()
            .into_tuple()
            .all(&self.db)
            .await?;
        self.parked = keys.into_iter().map(|key| key.0).collect();
        Ok(())
    }

    /// Takes one batch in, in one transaction.
    async fn take_in(
        &mut self,
        messages: &[Arc<Recorded>],
        full: bool,
    ) -> Result<(), ProjectError> {
        let Some(last) = messages.last() else { return Ok(()) };
        let (end, now) = (last.position, self.clock.now());
        let mut batch = Batch::default();
        for message in messages {
            if message.kind == MessageKind::Event && !self.checkpoints.covers(message) {
                batch.decode(message, &self.parked, &self.upcasters, now);
            }
        }

        let all = full || self.all_moved_at.elapsed() >= IDLE_PARTITIONS;
        let behind = self.checkpoints.before(end);
        if batch.is_empty() && (!all || behind.is_empty()) {
            self.arrived(end, Vec::new(), Vec::new());
            return Ok(());
        }
        let mut traces = self.traced(messages);
        let mut span = self.span(&traces, batch.events.len());
        let moved: Vec<u8> = if all { behind } else { batch.partitions.iter().copied().collect() };

        let began = Instant::now();
        let written = self.write_batch(&mut batch, &moved, end, now).await;
        let (changes, took) = written.inspect_err(|_| span.fail("database"))?;
        let by = span.traceparent().unwrap_or_default();
        drop(span);

        self.parked.extend(batch.parked.into_keys());
        if all {
            self.all_moved_at = Instant::now();
        }
        self.tally.batch_duration.record(began.elapsed());
        self.tally.batch_messages.record(u32::try_from(messages.len()).unwrap_or(u32::MAX));
        if let Some(first) = messages.first() {
            self.tally.delay.record(seconds_since(first.recorded_at, self.clock.now()));
        }
        self.tally.rows.increment(u64::try_from(changes.len()).unwrap_or(u64::MAX));
        for took in took {
            self.tally.took(took);
        }
        for traced in &mut traces {
            traced.by.clone_from(&by);
        }
        self.committed(&moved, end, changes, traces);
        Ok(())
    }

    /// What changed, and how long those sagas took that ended.
    async fn write_batch(
        &mut self,
        batch: &mut Batch,
        moved: &[u8],
        end: Position,
        now: i64,
    ) -> Result<(Vec<Change>, Vec<Took>), ProjectError> {
        let transaction = self.begin().await?;
        self.checkpoints.move_to(&transaction, moved, end).await?;
        self.tables.load(&transaction, &batch.events).await?;
        batch.fold(&mut self.tables, now);
        for letter in batch.letters.drain(..) {
            self.letters.add(letter);
        }
        let took = self.tables.take_took();
        let changes = self.write(&transaction).await?;
        transaction.commit().await?;
        Ok((changes, took))
    }

    /// The events of a batch that belong to traces that are recorded; the last,
    /// if they are many, for all of them are announced with what changed. The
    /// commit they are taken in with is still to come.
    fn traced(&self, messages: &[Arc<Recorded>]) -> Vec<Traced> {
        if !trace::is_on() {
            return Vec::new();
        }
        let events = messages.iter().filter(|message| message.kind == MessageKind::Event);
        let sampled = events.rev().filter(|message| !self.checkpoints.covers(message));
        let sampled = sampled.filter_map(|message| {
            let traceparent = message.traceparent().filter(|text| trace::is_sampled(text))?;
            Some(Traced {
                position: message.position,
                traceparent: traceparent.to_owned(),
                tracestate: message.tracestate(),
                by: String::new(),
            })
        });
        sampled.take(TRACED).collect()
    }

    /// The span of a batch: it is about several things at once, so it is part
    /// of none of their traces, and linked to all of them.
    fn span(&self, traces: &[Traced], events: usize) -> Span {
        let things = traces.iter().map(|traced| &*traced.traceparent);
        let mut span = Span::about(things, SpanKind::Consumer, "project");
        span.set("messaging.operation.name", "project");
        span.set("messaging.operation.type", "process");
        span.set("messaging.consumer.group.name", CHECKPOINTS);
        span.set("messaging.batch.message_count", events);
        span.set("db.system.name", self.kind.system_name());
        span.set("db.operation.name", "upsert");
        span
    }

    /// Notes how far the messages went that changed nothing.
    async fn settle(&mut self) -> Result<(), ProjectError> {
        let to = self.reached;
        let moved = self.checkpoints.before(to);
        self.checkpoints.move_to(&self.db, &moved, to).await?;
        self.all_moved_at = Instant::now();
        self.committed(&moved, to, Vec::new(), Vec::new());
        Ok(())
    }

    /// Brings new tables to where the live ones stand and puts them in their
    /// place, in one transaction.
    async fn swap_in(
        &mut self,
        ledger: &Ledger,
        run: &rebuild::Run,
        next: Replay,
    ) -> Result<Position, RebuildError> {
        let to = self.reached;
        let transaction = self.db.begin().await?;
        if self.kind == Backend::Postgres {
            transaction.execute_unprepared(DO_NOT_DAWDLE).await?;
        }
        // Nobody else writes until this is done.
        let moved = Checkpoints::all();
        self.checkpoints.move_to(&transaction, &moved, to).await?;
        run.swap_in(&transaction, next, ledger, to).await?;
        transaction.commit().await?;
        self.tables.clear();
        self.committed(&moved, to, Vec::new(), Vec::new());
        Ok(to)
    }

    /// Does what an operator said about a parked event, in one transaction.
    async fn obey(
        &mut self,
        message: &Recorded,
        order: Order,
        about: DeadLetterId,
    ) -> Result<(), ProjectError> {
        if self.checkpoints.covers(message) {
            return Ok(());
        }
        let moved = [message.partition()];
        let transaction = self.begin().await?;
        self.checkpoints.move_to(&transaction, &moved, message.position).await?;
        let outcome =
            retry::try_again(&transaction, &mut self.tables, &self.upcasters, order, about).await?;
        let mut free = None;
        if let Some(outcome) = outcome {
            let settled = outcome.settled.into_iter().map(Text);
            parked::Entity::delete_many()
                .filter(parked::Column::Id.is_in(settled))
                .exec(&transaction)
                .await?;
            match outcome.stuck {
                Some(letter) => self.letters.add(letter),
                None => free = Some(outcome.key),
            }
        }
        let changes = self.write(&transaction).await?;
        transaction.commit().await?;

        if let Some(key) = free {
            self.parked.remove(&key);
        }
        self.committed(&moved, message.position, changes, Vec::new());
        Ok(())
    }

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.db.begin().await?;
        if self.kind == Backend::Postgres {
            transaction
                .execute_unprepared(&format!("{PLAN_FOR_MANY_ROWS}; {DO_NOT_DAWDLE}"))
                .await?;
        }
        Ok(transaction)
    }

    /// Writes the rows that changed and the events that were put aside.
    async fn write(&mut self, db: &impl ConnectionTrait) -> Result<Vec<Change>, DbErr> {
        let changes = self.tables.flush(db).await?;
        self.tables.clear();
        self.letters.flush(db).await?;
        Ok(changes)
    }

    fn committed(
        &mut self,
        partitions: &[u8],
        to: Position,
        rows: Vec<Change>,
        traces: Vec<Traced>,
    ) {
        self.checkpoints.moved(partitions, to);
        let most = self.checkpoints.most();
        // It is never less than was known.
        let _ = self.announcer.note(Position(0), most);
        self.arrived(to, rows, traces);
    }

    /// Says how far the tables are now and what changed on the way.
    fn arrived(&mut self, at: Position, rows: Vec<Change>, traces: Vec<Traced>) {
        let before = self.reached;
        if at > before || !rows.is_empty() {
            self.reached = at.max(before);
            self.announcer.announce(before, Changed { position: at, rows, traces });
        }
    }
}

/// Waits until this process may write. Whether it ever will.
async fn allowed(may_write: &mut watch::Receiver<bool>) -> bool {
    may_write.wait_for(|may| *may).await.is_ok()
}

/// Waits until this process may not write any more.
async fn no_longer(mut may_write: watch::Receiver<bool>) {
    // Whoever would say that it may is gone.
    let _ = may_write.wait_for(|may| !*may).await;
}

/// Reads on as long as somebody takes what was read.
async fn read_ahead(
    mut intake: Intake,
    mut hurried: watch::Receiver<usize>,
    batches: mpsc::Sender<Result<Vec<Arc<Recorded>>, StoreError>>,
) {
    loop {
        let batch = intake.next(BATCH).await;
        if batch.as_ref().is_ok_and(Vec::is_empty) {
            // It only looked for what is missing.
            continue;
        }
        let more_wait = batch.as_ref().is_ok_and(|batch| batch.len() >= BATCH);
        if batches.send(batch).await.is_err() {
            return;
        }
        if more_wait {
            continue;
        }
        let somebody_waits = hurried.wait_for(|waiting| *waiting > 0);
        // Either is a reason to go on.
        let _ = timeout(GATHER, somebody_waits).await;
    }
}

/// Why the projector did not get on.
enum Setback {
    Closed,
    Halted,
    Overtaken,
    Failed(Box<dyn Error + Send + Sync>),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Closed) {
            Self::Closed
        } else {
            Self::Failed(Box::new(error))
        }
    }
}

impl From<ProjectError> for Setback {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Overtaken => Self::Overtaken,
            ProjectError::Database(_) => Self::Failed(Box::new(error)),
        }
    }
}

/// Longer after each failure, and never the same for two who failed together.
fn wait_after(failures: u32) -> Duration {
    let (first, longest) = WAITS;
    let ceiling = first.saturating_mul(1 << failures.min(10)).min(longest);
    ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
}
