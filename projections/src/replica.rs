//! Queries on a replica, without ever showing less than was promised.
//!
//! A replica is behind, by moments or by minutes. So what this process says of
//! the tables, up to where they are and which rows changed, is held back until
//! the replica's own checkpoints are there: whoever waits for a position or is
//! told of a change finds it in the very database that answers. When the
//! replica is too far behind, or gone, the primary answers until it has caught
//! up again.
//!
//! A replica must be one server: several behind one address would each be
//! somewhere else.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mallbots_eventstore::{connect::Database, message::Position};
use sea_orm::DatabaseConnection;
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    changes::Heard,
    feed::{Announcer, Listening, Progress},
    projector,
    reads::Reads,
};

/// How far behind the replica may be before the primary answers: less than a
/// mutation waits for what it has made.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the replica is looked at while something is awaited of it.
const LOOK: Duration = Duration::from_millis(5);
/// How often it is looked at while the primary answers.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How many announcements are held back before subscribers are told to read
/// again instead.
const HELD_BACK: usize = 1_024;

/// The database that answers queries.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    primary: DatabaseConnection,
    replica: Option<(DatabaseConnection, Arc<AtomicBool>)>,
}

impl Source {
    /// One database for everything.
    pub(crate) const fn primary(primary: DatabaseConnection) -> Self {
        Self { primary, replica: None }
    }

    /// The one that answers now.
    pub(crate) fn now(&self) -> &DatabaseConnection {
        match &self.replica {
            Some((replica, answers)) if answers.load(Ordering::Acquire) => replica,
            Some(_) | None => &self.primary,
        }
    }

    /// Whether that is the replica.
    pub(crate) fn is_on_replica(&self) -> bool {
        self.replica.as_ref().is_some_and(|(_, answers)| answers.load(Ordering::Acquire))
    }

    /// The one that is never behind.
    pub(crate) const fn never_behind(&self) -> &DatabaseConnection {
        &self.primary
    }
}

/// What holds back what is said of the tables until the replica is there.
#[derive(Debug)]
pub struct Follower {
    replica: DatabaseConnection,
    answers: Arc<AtomicBool>,
    /// What is said of the primary.
    progress: watch::Receiver<Progress>,
    changes: Option<broadcast::Receiver<Heard>>,
    /// Where it is said again.
    announcer: Announcer,
    /// What is not said yet.
    held_back: VecDeque<(Position, Heard)>,
    /// What the replica has yet to reach, and since when.
    owed: VecDeque<(Position, Instant)>,
}

impl Reads {
    /// The same over the replica of these views, if they have one; and what
    /// holds back what is said of the tables until the replica is there, once
    /// it runs. Until then the primary answers.
    #[must_use]
    pub fn on_replica(self, views: &Database) -> (Self, Option<Follower>) {
        let Some(replica) = views.replica.clone() else { return (self, None) };
        let announcer = Announcer::new();
        announcer.begin(self.position());
        let answers = Arc::new(AtomicBool::new(false));
        let (said, source) = (self.listening().clone(), self.source().clone());
        let follower = Follower {
            replica: replica.clone(),
            answers: Arc::clone(&answers),
            progress: said.progress.clone(),
            changes: said.changes.upgrade().map(|changes| changes.subscribe()),
            announcer: announcer.clone(),
            held_back: VecDeque::new(),
            owed: VecDeque::new(),
        };
        let Listening { halt, asked, hurry, .. } = said;
        let listening = Listening { halt, asked, hurry, ..announcer.listening() };
        let source = Source { replica: Some((replica, answers)), ..source };
        (self.answering_from(source, listening), Some(follower))
    }
}

impl Follower {
    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut looked_at = Instant::now();
        loop {
            let is_answering = self.answers.load(Ordering::Acquire);
            let wait = if is_answering && !self.owed.is_empty() { LOOK } else { LOOK_AGAIN };
            tokio::select! {
                heard = next(&mut self.changes) => self.hold_back(heard),
                changed = self.progress.changed() => {
                    if changed.is_err() {
                        // Nobody writes or looks any more.
                        return;
                    }
                }
                () = sleep(wait) => {}
            }
            let due = self.progress.borrow_and_update().reached;
            if self.owed.back().is_none_or(|(last, _)| *last < due) && self.announcer.said() < due {
                self.owed.push_back((due, Instant::now()));
            }
            if is_answering {
                let at = self.replica_position().await;
                self.say(at.unwrap_or_default().min(due));
                let since = self.owed.front().map(|(_, since)| since.elapsed());
                if at.is_none() || since.is_some_and(|since| since > PATIENCE) {
                    warn!("the replica is behind or gone: the primary answers");
                    self.answers.store(false, Ordering::Release);
                    self.say(due);
                }
            } else {
                self.say(due);
                if looked_at.elapsed() >= LOOK_AGAIN {
                    looked_at = Instant::now();
                    // Not less than what was said while the primary answered.
                    if self.replica_position().await.is_some_and(|at| at >= due) {
                        info!("the replica answers");
                        self.answers.store(true, Ordering::Release);
                    }
                }
            }
        }
    }

    /// Where the replica's own checkpoints are; nothing if it does not say.
    async fn replica_position(&self) -> Option<Position> {
        timeout(PATIENCE, projector::position_of(&self.replica)).await.ok()?.ok()
    }

    fn hold_back(&mut self, heard: Heard) {
        let position = match &heard {
            Heard::Changed(changed) => changed.position,
            Heard::Missed => self.progress.borrow().reached,
        };
        self.held_back.push_back((position, heard));
        if self.held_back.len() > HELD_BACK {
            self.held_back.clear();
            self.held_back.push_back((position, Heard::Missed));
        }
    }

    /// Says what there is to say up to a position.
    fn say(&mut self, to: Position) {
        // What changed up to there may have been said but not been taken here yet.
        while let Some(heard) = ready(&mut self.changes) {
            self.hold_back(heard);
        }
        while let Some((_, heard)) = self.held_back.pop_front_if(|(position, _)| *position <= to) {
            self.announcer.pass_on(heard);
        }
        while self.owed.pop_front_if(|(position, _)| *position <= to).is_some() {}
        self.announcer.reached(to);
    }
}

/// The next announcement. It waits for ever once there are no more.
async fn next(changes: &mut Option<broadcast::Receiver<Heard>>) -> Heard {
    if let Some(receiver) = changes {
        match receiver.recv().await {
            Ok(heard) => return heard,
            Err(broadcast::error::RecvError::Lagged(_)) => return Heard::Missed,
            Err(broadcast::error::RecvError::Closed) => *changes = None,
        }
    }
    std::future::pending().await
}

/// An announcement that is there already.
fn ready(changes: &mut Option<broadcast::Receiver<Heard>>) -> Option<Heard> {
    match changes.as_mut()?.try_recv() {
        Ok(heard) => Some(heard),
        Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Heard::Missed),
        Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
    }
}
