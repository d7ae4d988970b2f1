//! Keeps a process's leases: what one process does for all of them, and which
//! share of a group's work is this one's.
//!
//! A lease that is held is prolonged well before it ends. If it cannot be, it
//! counts as lost by this process's own clock before another can have it; a
//! process that stands still meanwhile learns of it late, which costs double
//! work and nothing else. What a process held that was killed on this machine
//! is free at once.

mod place;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mallbots_eventstore::{error::StoreError, leases::Lease, ledger::Ledger};
use rand::seq::SliceRandom;
use tokio::{
    select,
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

pub use self::place::holder_of;
use crate::consumer::chain;

/// How leases are kept.
#[derive(Debug, Clone, Copy)]
pub struct LeaseOptions {
    /// How long a lease outlives a holder who says nothing any more.
    pub ttl: Duration,
    /// How often it is prolonged.
    pub every: Duration,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(4), every: Duration::from_secs(1) }
    }
}

/// Keeps a process's leases. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LeaseKeeper {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The process, as others see it.
    holder: String,
    /// Nobody else can be there: everything is this process's.
    alone: bool,
    wishes: Mutex<Vec<Wish>>,
    /// Told when there is something to do before the next round.
    hurry: Notify,
}

/// Something this process would do, whole or in part.
#[derive(Debug)]
struct Wish {
    group: String,
    parts: u8,
    /// What it does.
    held: BTreeSet<u8>,
    /// What it was asked to stop and has not yet given back.
    ending: BTreeSet<u8>,
    /// What it has given back.
    over: BTreeSet<u8>,
    told: Told,
}

#[derive(Debug)]
enum Told {
    Whole(watch::Sender<bool>),
    Parts(watch::Sender<BTreeSet<u8>>),
}

/// This process's share of a group's work.
#[derive(Debug)]
pub struct Share {
    keeper: LeaseKeeper,
    group: String,
    held: watch::Receiver<BTreeSet<u8>>,
}

impl LeaseKeeper {
    /// Keeps leases in a ledger that several processes share, until shutdown.
    #[must_use]
    pub fn start(
        ledger: &Ledger,
        options: LeaseOptions,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let keeper = Self::new(false);
        let rounds = Rounds {
            ledger: ledger.clone(),
            options,
            inner: keeper.inner.clone(),
            valid_until: Instant::now(),
        };
        tracker.spawn(rounds.run(shutdown.clone()));
        keeper
    }

    /// For a process that has the ledger for itself.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(true)
    }

    fn new(alone: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                holder: place::holder(),
                alone,
                wishes: Mutex::default(),
                hurry: Notify::new(),
            }),
        }
    }

    /// Asks for something that one process does for all. True while it is this
    /// one's turn; whoever stops listening gives it back.
    #[must_use]
    pub fn hold(&self, name: &str) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(self.inner.alone);
        self.wish(name, 1, Told::Whole(sender));
        receiver
    }

    /// Asks for a share of a group's work, which has so many parts.
    #[must_use]
    pub fn share(&self, group: &str, parts: u8) -> Share {
        let all = if self.inner.alone { (0..parts).collect() } else { BTreeSet::new() };
        let (sender, held) = watch::channel(all);
        self.wish(group, parts, Told::Parts(sender));
        Share { keeper: self.clone(), group: group.to_owned(), held }
    }

    /// How many parts of everything it was asked for are this process's.
    #[must_use]
    pub fn held(&self) -> BTreeMap<String, usize> {
        let wishes = self.inner.wishes();
        let mut held = BTreeMap::new();
        for wish in wishes.iter().filter(|wish| !wish.is_over()) {
            let own = if self.inner.alone { wish.parts.into() } else { wish.held.len() };
            *held.entry(wish.group.clone()).or_default() += own;
        }
        held
    }

    fn wish(&self, group: &str, parts: u8, told: Told) {
        let none = BTreeSet::new;
        let group = group.to_owned();
        let wish = Wish { group, parts, held: none(), ending: none(), over: none(), told };
        self.inner.wishes().push(wish);
        self.inner.hurry.notify_one();
    }
}

impl Share {
    /// The parts that are to be worked on.
    #[must_use]
    pub fn held(&mut self) -> BTreeSet<u8> {
        self.held.borrow_and_update().clone()
    }

    /// Waits until other parts are to be worked on. False if nobody keeps the
    /// leases any more.
    pub async fn changed(&mut self) -> bool {
        self.held.changed().await.is_ok()
    }

    /// Says that work on a part that is no longer to be worked on has ended.
    pub fn give_back(&self, part: u8) {
        let mut wishes = self.keeper.inner.wishes();
        for wish in wishes.iter_mut().filter(|wish| wish.group == self.group) {
            if wish.ending.remove(&part) {
                wish.over.insert(part);
                self.keeper.inner.hurry.notify_one();
            }
        }
    }
}

impl Inner {
    fn wishes(&self) -> MutexGuard<'_, Vec<Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wish {
    /// What the lease of a part is called.
    fn name(&self, part: u8) -> String {
        match self.told {
            Told::Whole(_) => self.group.clone(),
            Told::Parts(_) => format!("{}/{part}", self.group),
        }
    }

    fn is_over(&self) -> bool {
        match &self.told {
            Told::Whole(told) => told.is_closed(),
            Told::Parts(told) => told.is_closed(),
        }
    }

    /// The names of the leases it has.
    fn names(&self) -> impl Iterator<Item = String> {
        self.held.iter().chain(&self.ending).map(|part| self.name(*part))
    }

    fn tell(&self) {
        match &self.told {
            Told::Whole(told) => {
                told.send_if_modified(|held| mem::replace(held, !self.held.is_empty()) != *held);
            }
            Told::Parts(told) => {
                told.send_if_modified(|held| {
                    let differs = *held != self.held;
                    held.clone_from(&self.held);
                    differs
                });
            }
        }
    }

    /// Gives up what is more than its share.
    fn shrink(&mut self, quota: usize) {
        while self.held.len() > quota
            && let Some(part) = self.held.pop_last()
        {
            self.ending.insert(part);
        }
    }

    /// Which parts to try for: as many as it may have, of those that nobody has.
    fn tries(&self, quota: usize, taken: &BTreeMap<&str, &Lease>) -> Vec<String> {
        let room = quota.saturating_sub(self.held.len() + self.ending.len());
        let mut free: Vec<_> = (0..self.parts)
            .filter(|part| !self.held.contains(part) && !self.ending.contains(part))
            .map(|part| self.name(part))
            .filter(|name| !taken.contains_key(&**name))
            .collect();
        // So that those who try together do not all try for the same.
        free.shuffle(&mut rand::rng());
        free.truncate(room);
        free
    }

    /// Takes in which leases it has now.
    fn settle(&mut self, mine: &BTreeSet<&str>) {
        for part in 0..self.parts {
            let name = self.name(part);
            if !mine.contains(&*name) {
                if self.held.remove(&part) {
                    warn!(lease = name, "lease lost");
                    if matches!(self.told, Told::Parts(_)) {
                        self.ending.insert(part);
                    }
                }
            } else if !self.ending.contains(&part) && self.held.insert(part) {
                info!(lease = name, "lease taken");
            }
        }
    }
}

struct Rounds {
    ledger: Ledger,
    options: LeaseOptions,
    inner: Arc<Inner>,
    /// Until when everything that is held is held for sure.
    valid_until: Instant,
}

impl Rounds {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut is_well = true;
        let stop = shutdown.clone();
        let rounds = stop.run_until_cancelled(async {
            loop {
                let began = Instant::now();
                // If it takes longer, what is held is not held any more.
                let until = self.valid_until.max(began + self.options.ttl / 2);
                let next = match timeout_at(until, self.round()).await {
                    Ok(Ok(next)) => {
                        is_well = true;
                        self.valid_until = began + self.options.ttl;
                        began + next
                    }
                    failed => {
                        if is_well && let Ok(Err(error)) = &failed {
                            warn!(error = chain(error), "leases cannot be kept");
                        }
                        is_well = false;
                        if Instant::now() >= self.valid_until {
                            self.lose();
                        }
                        Instant::now() + self.options.every / 4
                    }
                };
                select! {
                    () = sleep_until(next) => {}
                    () = self.inner.hurry.notified() => {}
                }
            }
        });
        let _: Option<()> = rounds.await;
        // Those at work end by the same word; they are waited for, not for ever.
        let _ = timeout(self.options.ttl / 2, self.ended()).await;
        let names: Vec<_> = self.inner.wishes().iter().flat_map(Wish::names).collect();
        let gone = async {
            self.ledger.release_leases(&self.inner.holder, &names).await?;
            self.ledger.leave(&self.inner.holder).await
        };
        // They end by themselves.
        let _ = timeout(self.options.ttl / 2, gone).await;
    }

    /// Prolongs, gives up, takes. Says when to look again.
    async fn round(&self) -> Result<Duration, StoreError> {
        let (ledger, holder, ttl) = (&self.ledger, &*self.inner.holder, self.options.ttl);
        let (groups, over) = self.wanted();
        if !over.is_empty() {
            ledger.release_leases(holder, &over).await?;
            self.forget_over(&over);
        }
        self.free_what_the_gone_held().await?;
        let members = ledger.attend(holder, &groups, ttl).await?;
        let quota = |wish: &Wish| {
            let alive = members.get(&wish.group).map_or(1, BTreeSet::len).max(1);
            usize::from(wish.parts).div_ceil(alive)
        };
        let leases = ledger.leases().await?;
        let taken = leases.iter().filter(|lease| !lease.left.is_zero());
        let taken: BTreeMap<_, _> = taken.map(|lease| (&*lease.name, lease)).collect();
        let names: Vec<_> = {
            let mut wishes = self.inner.wishes();
            let mut names = Vec::new();
            for wish in wishes.iter_mut() {
                wish.shrink(quota(wish));
                wish.tell();
                names.extend(wish.names());
                names.extend(wish.tries(quota(wish), &taken));
            }
            names
        };
        let leases = ledger.hold_leases(holder, &names, ttl).await?;
        let mine = leases.iter().filter(|lease| lease.holder == holder && !lease.left.is_zero());
        let mine: BTreeSet<_> = mine.map(|lease| &*lease.name).collect();
        let mut wishes = self.inner.wishes();
        let mut next = self.options.every;
        for wish in wishes.iter_mut() {
            wish.settle(&mine);
            wish.tell();
            // Somebody else's may be free sooner.
            if wish.held.len() + wish.ending.len() < quota(wish) {
                let others = (0..wish.parts).map(|part| wish.name(part));
                let soonest = others
                    .filter_map(|name| leases.iter().find(|lease| lease.name == name))
                    .filter(|lease| lease.holder != holder)
                    .map(|lease| lease.left + SLACK)
                    .min();
                next = soonest.map_or(next, |soonest| next.min(soonest));
            }
        }
        Ok(next)
    }

    /// Gives back for processes that cannot do so any more.
    async fn free_what_the_gone_held(&self) -> Result<(), StoreError> {
        let leases = self.ledger.leases().await?;
        let mut gone: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Lease { name, holder, left, .. } in leases {
            if !left.is_zero() && holder != self.inner.holder && place::is_gone(&holder) {
                gone.entry(holder).or_default().push(name);
            }
        }
        for (holder, names) in gone {
            info!(holder, "its process is gone: its leases are free");
            self.ledger.release_leases(&holder, &names).await?;
            self.ledger.leave(&holder).await?;
        }
        Ok(())
    }

    /// The groups there are, and the leases that are to be given back.
    fn wanted(&self) -> (Vec<String>, Vec<String>) {
        let mut wishes = self.inner.wishes();
        let mut over = Vec::new();
        for wish in wishes.iter() {
            over.extend(wish.over.iter().map(|part| wish.name(*part)));
            if wish.is_over() {
                over.extend(wish.names());
            }
        }
        wishes.retain(|wish| !wish.is_over());
        let shared = wishes.iter().filter(|wish| wish.parts > 1);
        (shared.map(|wish| wish.group.clone()).collect(), over)
    }

    fn forget_over(&self, names: &[String]) {
        for wish in self.inner.wishes().iter_mut() {
            let over = mem::take(&mut wish.over);
            wish.over =
                over.into_iter().filter(|part| !names.contains(&wish.name(*part))).collect();
        }
    }

    /// Nothing is held any more.
    fn lose(&self) {
        for wish in self.inner.wishes().iter_mut() {
            wish.settle(&BTreeSet::new());
            wish.tell();
        }
    }

    /// Waits until nobody listens any more.
    async fn ended(&self) {
        loop {
            let listener = {
                let wishes = self.inner.wishes();
                let at_work = wishes.iter().find(|wish| !wish.is_over());
                at_work.map(|wish| match &wish.told {
                    Told::Whole(told) => Listener::Whole(told.clone()),
                    Told::Parts(told) => Listener::Parts(told.clone()),
                })
            };
            match listener {
                None => return,
                Some(Listener::Whole(told)) => told.closed().await,
                Some(Listener::Parts(told)) => told.closed().await,
            }
        }
    }
}

enum Listener {
    Whole(watch::Sender<bool>),
    Parts(watch::Sender<BTreeSet<u8>>),
}

/// A lease is looked at again so much after it should have ended.
const SLACK: Duration = Duration::from_millis(20);
