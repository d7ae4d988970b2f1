//! Follows the ledger, batch by batch: decode once, load once, fold in memory,
//! write each table with one statement, move the checkpoint, commit once, then
//! say what changed.

pub(crate) mod batch;
mod checkpoints;
pub(crate) mod retry;

use std::{
    collections::HashSet,
    error::Error,
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
    tail::Tail,
    upcast::Upcasters,
};
use rand::Rng;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, QuerySelect, TransactionTrait,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::{batch::Batch, checkpoints::Checkpoints, retry::Order};
use crate::{
    changes::{Change, Changed},
    column::Text,
    parked,
    reads::{Announcer, Reads},
    rebuild::{self, RebuildError, Rebuilds, Swap},
    replay::Replay,
    table::{Additions, OnConflict},
    tables::Tables,
};

/// How many messages are taken in at once, when so many wait. Of a row that
/// many of them change only the last state is written.
pub const BATCH: usize = 2_000;

/// The name of the checkpoints that all read models share.
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
    /// How many wait to see something.
    hurried: watch::Receiver<usize>,
    checkpoints: Checkpoints,
    /// When the checkpoints of all partitions were last moved.
    all_moved_at: Instant,
    tables: Tables,
    letters: Additions<parked::Entity>,
    /// The streams with events put aside.
    parked: HashSet<AnyId>,
    /// Up to where everything is in the tables.
    reached: Position,
    /// New tables that are to take the place of live ones.
    swaps: mpsc::Receiver<Swap>,
    /// What makes them.
    workshop: Option<Workshop>,
}

/// What it takes to rebuild tables beside the projector.
#[derive(Debug)]
struct Workshop {
    rebuilds: Rebuilds,
    orders: mpsc::Receiver<&'static str>,
    swap: mpsc::Sender<Swap>,
    backend: Backend,
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
    /// Opens the read side where it was left: its writer, and the counter for
    /// everyone who asks.
    pub async fn open(views: &Database, ledger: &Ledger) -> Result<(Self, Reads), ProjectError> {
        let (rebuilds, orders) = Rebuilds::new();
        let (announcer, reads) = Reads::new(views, ledger.subscribe(), rebuilds.clone());
        let (swap, swaps) = mpsc::channel(1);
        let backend = views.kind;
        let mut projector = Self {
            kind: backend,
            upcasters: ledger.upcasters().clone(),
            clock: ledger.clock().clone(),
            announcer,
            hurried: reads.hurried(),
            checkpoints: Checkpoints::new(backend, CHECKPOINTS),
            all_moved_at: Instant::now(),
            tables: Tables::new(backend, ""),
            letters: Additions::new(backend, "", OnConflict::Replace),
            parked: HashSet::new(),
            reached: Position(0),
            swaps,
            workshop: Some(Workshop { rebuilds, orders, swap, backend }),
            db: views.write.clone(),
        };
        projector.resume().await?;
        projector.announcer.reached(projector.position());
        Ok((projector, reads))
    }

    /// Behind which position there are messages to take in.
    #[must_use]
    pub fn position(&self) -> Position {
        self.checkpoints.least()
    }

    /// Follows the ledger until told to stop. What merely fails is tried
    /// again; what cannot be taken in is parked.
    pub async fn run(mut self, ledger: Ledger, stop: CancellationToken) {
        let mut failures = 0;
        let workshop = self.workshop.take().map(|workshop| {
            let Workshop { rebuilds, orders, swap, backend } = workshop;
            rebuild::run(rebuilds, orders, swap, ledger.clone(), self.db.clone(), backend)
        });
        let follow = async {
            loop {
                match self.follow(&ledger, &mut failures).await {
                    Setback::Closed => return,
                    Setback::Overtaken => debug!("another projector was faster"),
                    Setback::Failed(cause) => {
                        warn!(error = &*cause as &dyn Error, failures, "the views stand still");
                    }
                }
                failures += 1;
                tokio::time::sleep(wait_after(failures)).await;
            }
        };
        // Between two statements is as good a place to stop as any: what is not
        // committed is taken in again.
        let all = Box::pin(async {
            tokio::join!(follow, async {
                if let Some(workshop) = workshop {
                    workshop.await;
                }
            })
        });
        stop.run_until_cancelled(all).await;
    }

    /// Goes on from what is committed, until something comes in between. While
    /// one batch is written the next is read.
    async fn follow(&mut self, ledger: &Ledger, failures: &mut u32) -> Setback {
        if let Err(error) = self.resume().await {
            return error.into();
        }
        let tail = ledger.tail(self.position());
        let hurried = self.hurried.clone();
        let (batches, read) = mpsc::channel(1);
        tokio::select! {
            setback = self.keep_up(ledger, read, failures) => setback,
            () = read_ahead(tail, hurried, batches) => Setback::Closed,
        }
    }

    async fn keep_up(
        &mut self,
        ledger: &Ledger,
        mut read: mpsc::Receiver<Result<Vec<Arc<Recorded>>, StoreError>>,
        failures: &mut u32,
    ) -> Setback {
        loop {
            tokio::select! {
                Some(messages) = read.recv() => {
                    let messages = match messages {
                        Ok(messages) => messages,
                        Err(error) => return error.into(),
                    };
                    if let Err(error) = self.project(&messages).await {
                        return error.into();
                    }
                    *failures = 0;
                }
                Some(swap) = self.swaps.recv() => {
                    let Swap { live, next, reply } = swap;
                    let swapped = self.swap_in(ledger, &live, next).await;
                    let setback = swapped.is_err();
                    // Whoever asked may have gone.
                    let _ = reply.send(swapped);
                    if setback {
                        return Setback::Overtaken;
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
        if batch.is_empty() && !all {
            self.reached = end.max(self.reached);
            self.announcer.reached(end);
            return Ok(());
        }
        let moved: Vec<u8> =
            if all { Checkpoints::all() } else { batch.partitions.iter().copied().collect() };

        let transaction = self.begin().await?;
        self.checkpoints.move_to(&transaction, &moved, end).await?;
        self.tables.load(&transaction, &batch.events).await?;
        batch.fold(&mut self.tables, now);
        for letter in batch.letters {
            self.letters.add(letter);
        }
        let changes = self.write(&transaction).await?;
        transaction.commit().await?;

        self.parked.extend(batch.parked.into_keys());
        if all {
            self.all_moved_at = Instant::now();
        }
        self.committed(&moved, end, changes);
        Ok(())
    }

    /// Brings new tables to where the live ones stand and puts them in their
    /// place, in one transaction.
    async fn swap_in(
        &mut self,
        ledger: &Ledger,
        live: &[&'static str],
        mut next: Replay,
    ) -> Result<Position, RebuildError> {
        let to = self.reached;
        let all = Checkpoints::all();
        let transaction = self.db.begin().await?;
        // Nobody else writes until this is done.
        self.checkpoints.move_to(&transaction, &all, to).await?;
        rebuild::swap_in(&mut next, &transaction, ledger, self.kind, live, to).await?;
        transaction.commit().await?;
        self.tables.clear();
        self.checkpoints.moved(&all, to);
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
        self.committed(&moved, message.position, changes);
        Ok(())
    }

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.db.begin().await?;
        if self.kind == Backend::Postgres {
            transaction.execute_unprepared(PLAN_FOR_MANY_ROWS).await?;
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

    fn committed(&mut self, partitions: &[u8], to: Position, rows: Vec<Change>) {
        self.checkpoints.moved(partitions, to);
        self.reached = to.max(self.reached);
        self.announcer.announce(Changed { position: to, rows });
    }
}

/// Reads on as long as somebody takes what was read.
async fn read_ahead(
    mut tail: Tail,
    mut hurried: watch::Receiver<usize>,
    batches: mpsc::Sender<Result<Vec<Arc<Recorded>>, StoreError>>,
) {
    loop {
        let batch = tail.next(BATCH).await;
        let more_wait = batch.as_ref().is_ok_and(|batch| batch.len() >= BATCH);
        if batches.send(batch).await.is_err() {
            return;
        }
        if more_wait {
            continue;
        }
        let somebody_waits = hurried.wait_for(|waiting| *waiting > 0);
        // Either is a reason to go on.
        let _ = tokio::time::timeout(GATHER, somebody_waits).await;
    }
}

/// Why the projector did not get on.
enum Setback {
    Closed,
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
