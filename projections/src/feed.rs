//! How a process hears what the projector wrote, be it here or elsewhere.
//!
//! Three ways lead here: the projector of this process tells directly, those
//! of others through announcements, and under both a look at the checkpoints
//! now and then. What was announced is passed on; of what only the look has
//! found, subscribers are told that they missed something and read again. So a
//! lost announcement costs time and a read, never the truth.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mallbots_eventstore::{connect::Database, ledger::Ledger, message::Position};
use mallbots_messaging::announcements::Announcements;
use sea_orm::DatabaseConnection;
use tokio::{
    sync::{Notify, broadcast, mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::{
    changes::{Changed, Heard},
    projector,
    reads::{ReadError, Reads},
};

mod wire;

/// How often the checkpoints are looked at while nothing can be heard of other
/// processes.
const LOOK: Duration = Duration::from_millis(100);
/// How often while it can. A lost announcement is found at the second look.
const LOOK_RARELY: Duration = Duration::from_millis(250);
/// How many announcements may wait to be sent to other processes.
const WAITING: usize = 256;
/// How many announcements a subscriber may be behind before it has missed some.
const ANNOUNCEMENTS: usize = 1024;
/// How long the ledger may seem to end before the tables do: the head is heard
/// of a moment later than the tables are read.
pub(crate) const HEARSAY: Duration = Duration::from_secs(5);

/// Why nothing is written to the tables any more, until somebody has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// The ledger ends before what the tables know: it is an older copy, or
    /// another one.
    LedgerBehind {
        /// Up to where the tables are filled.
        tables: Position,
        /// Where the ledger ends.
        ledger: Position,
    },
    /// The tables know less than they did: they are an older copy.
    TablesWentBack {
        /// Up to where they were filled.
        before: Position,
        /// Up to where they are now.
        now: Position,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LedgerBehind { tables, ledger } => write!(
                f,
                "the read models know the ledger up to {tables}, but it ends at {ledger}: \
                 one of them was replaced by an older copy"
            ),
            Self::TablesWentBack { before, now } => write!(
                f,
                "the read models were at {before} and are now at {now}: \
                 they were replaced by an older copy"
            ),
        }
    }
}

/// Where whoever writes or looks says what there is to hear. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(Arc<Told>);

#[derive(Debug)]
struct Told {
    /// Up to where everything is in the tables, and up to where subscribers
    /// were told. Changed under one lock, so that nobody is told out of turn.
    progress: watch::Sender<Progress>,
    changes: broadcast::Sender<Heard>,
    halt: watch::Sender<Option<Halt>>,
    /// The greatest position at which the tables were ever seen to be.
    seen: AtomicI64,
    /// Told when a rebuild was asked for here.
    asked: Arc<Notify>,
    /// How many here wait for what the projector takes in next.
    hurry: Arc<watch::Sender<usize>>,
    /// Where announcements go that others are to hear.
    others: OnceLock<mpsc::Sender<Announced>>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Up to where everything is in the tables.
    pub(crate) reached: Position,
    /// Up to where subscribers were told what changed.
    told: Position,
}

/// What one commit changed, as others are told.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    /// Up to where everything was in the tables before.
    pub(crate) before: Position,
    /// What changed.
    pub(crate) changed: Arc<Changed>,
}

/// The ends of an [`Announcer`] that [`Reads`] listen at.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) changes: broadcast::WeakSender<Heard>,
    pub(crate) halt: watch::Receiver<Option<Halt>>,
    pub(crate) asked: Arc<Notify>,
    pub(crate) hurry: Arc<watch::Sender<usize>>,
}

impl Announcer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Told {
            progress: watch::Sender::new(Progress::default()),
            changes: broadcast::channel(ANNOUNCEMENTS).0,
            halt: watch::Sender::new(None),
            seen: AtomicI64::new(0),
            asked: Arc::default(),
            hurry: Arc::default(),
            others: OnceLock::new(),
        }))
    }

    pub(crate) fn listening(&self) -> Listening {
        Listening {
            progress: self.0.progress.subscribe(),
            changes: self.0.changes.downgrade(),
            halt: self.0.halt.subscribe(),
            asked: Arc::clone(&self.0.asked),
            hurry: Arc::clone(&self.0.hurry),
        }
    }

    /// Says what was committed here.
    pub(crate) fn announce(&self, before: Position, changed: Changed) {
        let changed = Arc::new(changed);
        self.hear(before, &changed);
        if let Some(others) = self.0.others.get() {
            // If they do not keep up they notice that something is missing.
            let _ = others.try_send(Announced { before, changed });
        }
    }

    /// Passes on what was committed, here or elsewhere.
    pub(crate) fn hear(&self, before: Position, changed: &Arc<Changed>) {
        self.0.progress.send_if_modified(|progress| {
            if before > progress.told {
                // What was committed in between was not heard of.
                self.tell(Heard::Missed);
            }
            progress.told = changed.position.max(progress.told);
            if !changed.rows.is_empty() {
                self.tell(Heard::Changed(Arc::clone(changed)));
            }
            progress.reach(changed.position)
        });
    }

    /// Says how far the tables are, whoever wrote them. Never goes back.
    pub(crate) fn reached(&self, position: Position) {
        self.0.progress.send_if_modified(|progress| progress.reach(position));
    }

    /// Says that nothing more will be heard of what changed up to here.
    pub(crate) fn heard_all(&self, position: Position) {
        self.0.progress.send_if_modified(|progress| {
            if position > progress.told {
                progress.told = position;
                self.tell(Heard::Missed);
            }
            progress.reach(position)
        });
    }

    /// Says that this is where the telling begins.
    pub(crate) fn begin(&self, position: Position) {
        self.0.progress.send_if_modified(|progress| {
            progress.told = position.max(progress.told);
            progress.reach(position)
        });
    }

    /// Passes on what was heard elsewhere.
    pub(crate) fn pass_on(&self, heard: Heard) {
        self.tell(heard);
    }

    /// Up to where it was said that the tables are.
    pub(crate) fn said(&self) -> Position {
        self.0.progress.borrow().reached
    }

    /// Up to where subscribers were told.
    pub(crate) fn told(&self) -> Position {
        self.0.progress.borrow().told
    }

    /// Says that nothing is written any more.
    pub(crate) fn halt(&self, halt: Halt) {
        self.0.halt.send_if_modified(|halted| {
            let is_new = halted.is_none();
            if is_new {
                error!(%halt, "the read models are halted");
                *halted = Some(halt);
            }
            is_new
        });
    }

    /// Waits until nothing is written any more.
    pub(crate) async fn halted(&self) {
        // The sender is held here.
        let _ = self.0.halt.subscribe().wait_for(Option::is_some).await;
    }

    /// The greatest position at which the tables were ever seen to be.
    pub(crate) fn seen(&self) -> Position {
        Position(self.0.seen.load(Ordering::Acquire))
    }

    /// Notes where the tables were seen to be. `known` is what was known before
    /// they were looked at: whoever finds less has found older tables.
    pub(crate) fn note(&self, known: Position, now: Position) -> Result<(), Halt> {
        if now < known {
            let halt = Halt::TablesWentBack { before: known, now };
            self.halt(halt);
            return Err(halt);
        }
        self.0.seen.fetch_max(now.0, Ordering::AcqRel);
        Ok(())
    }

    /// Where to hear what others are to be told, from now on. For one who asks.
    fn for_others(&self) -> Option<mpsc::Receiver<Announced>> {
        let (others, announced) = mpsc::channel(WAITING);
        self.0.others.set(others).ok().map(|()| announced)
    }

    /// How many here wait for what is taken in next.
    pub(crate) fn hurry(&self) -> &watch::Sender<usize> {
        &self.0.hurry
    }

    /// Told when a rebuild was asked for here.
    pub(crate) fn asked(&self) -> &Notify {
        &self.0.asked
    }

    fn tell(&self, heard: Heard) {
        // An error only says that nobody listens.
        let _ = self.0.changes.send(heard);
    }
}

impl Progress {
    fn reach(&mut self, position: Position) -> bool {
        let on = position > self.reached;
        self.reached = position.max(self.reached);
        on
    }
}

/// What keeps the [`Reads`] of a process up to date when other processes write,
/// or may.
#[derive(Debug)]
pub struct Feed {
    announcer: Announcer,
    db: DatabaseConnection,
    head: watch::Receiver<Position>,
}

impl Reads {
    /// The counter of a process whose projector is not the only one, or that
    /// has none; and what keeps it up to date, once it runs.
    pub async fn open(views: &Database, ledger: &Ledger) -> Result<(Self, Feed), ReadError> {
        let announcer = Announcer::new();
        announcer.begin(projector::position_of(&views.reserved).await?);
        let head = ledger.subscribe();
        let reads = Self::new(views, head.clone(), ledger.clock().clone(), announcer.listening());
        Ok((reads, Feed { announcer, db: views.reserved.clone(), head }))
    }
}

impl Feed {
    pub(crate) const fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// Keeps up until told to stop; with announcements at once, else within a
    /// tenth of a second.
    pub async fn run(self, announcements: Option<Announcements>, stop: CancellationToken) {
        let announcements = announcements.as_ref();
        let all = Box::pin(async {
            tokio::join!(self.look(announcements), async {
                if let Some(announcements) = announcements {
                    let myself = Uuid::now_v7();
                    tokio::join!(
                        wire::tell(&self.announcer, announcements, myself),
                        wire::hear(&self.announcer, announcements, myself),
                    );
                }
            })
        });
        stop.run_until_cancelled(all).await;
    }

    /// Looks where the tables are, again and again. What was seen at one look
    /// and not announced until the next is not going to be.
    async fn look(&self, announcements: Option<&Announcements>) {
        let mut before = Position(0);
        let mut ahead_since = None;
        let mut is_well = true;
        loop {
            let are_others_heard = announcements.is_some_and(Announcements::is_connected);
            sleep(if are_others_heard { LOOK_RARELY } else { LOOK }).await;
            let known = before;
            let position = match projector::position_of(&self.db).await {
                Ok(position) => position,
                Err(error) => {
                    // Once, not ten times a second.
                    if is_well {
                        warn!(error = &error as &dyn Error, "the checkpoints cannot be read");
                    }
                    is_well = false;
                    continue;
                }
            };
            is_well = true;
            if self.announcer.note(known, position).is_err() {
                continue;
            }
            before = position;
            let head = *self.head.borrow();
            if position > head {
                let since = *ahead_since.get_or_insert_with(Instant::now);
                if since.elapsed() > HEARSAY {
                    self.announcer.halt(Halt::LedgerBehind { tables: position, ledger: head });
                }
            } else {
                ahead_since = None;
            }
            self.announcer.reached(position);
            // Without announcements there is nothing to wait for.
            let due = if announcements.is_some() { known } else { position };
            if self.announcer.told() < due {
                self.announcer.heard_all(position);
            }
        }
    }
}
