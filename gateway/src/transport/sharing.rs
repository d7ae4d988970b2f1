//! Equal subscriptions share one execution, and what it says is put into JSON
//! once.
//!
//! Who watches the same is in one room. Each has a snapshot of its own, made
//! by an execution that ends with it; what changes comes from one execution
//! for the whole room, by way of the room's log. Nobody misses anything in
//! between: the room listens before the snapshot is read, so that every change
//! is in the snapshot, or in the log behind the newcomer's place, or in both;
//! and what is in both is known by its position.
//!
//! The log is short. Where a newer item replaces an older one it keeps the
//! newest of each thing, so that whoever lags skips what is out of date; of a
//! feed that only grows it keeps all. Whoever lags behind its end begins again
//! with a snapshot behind what it was last told.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use axum::http::HeaderValue;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    future::{AbortHandle, abortable},
    stream::BoxStream,
};
use mallbots_eventstore::metrics::Presence;
use metrics::Counter;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    context::CallerTrace,
    part::{Mark, Part},
};
use crate::{error::ErrorCode, metrics::door::Sharing};

/// How much a log keeps for those who lag.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// How many items.
    items: usize,
    /// How many bytes of payload.
    bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { items: 1024, bytes: 1024 * 1024 }
    }
}

/// An answer as it goes out, whatever the transport: put into JSON once, for
/// however many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The whole answer.
    pub payload: Bytes,
    /// Its errors alone, if it is a refusal: nothing was executed, and nothing
    /// comes after it.
    pub refusal: Option<Bytes>,
    /// Where a subscriber goes on that has seen it.
    pub cursor: Option<Arc<str>>,
    /// The code of its first error.
    pub code: Option<ErrorCode>,
    /// In how many seconds to come again, if it is a refusal for now.
    pub retry_after: Option<HeaderValue>,
    /// Within which trace it was made, if that is recorded: what led to an item
    /// of a subscription began in another one than the subscription.
    pub trace: Option<CallerTrace>,
}

/// An answer, and how it is recognized.
pub(super) type Marked = (Arc<Sent>, Option<Mark>);

/// What makes subscriptions equal: a digest of the document, the operation,
/// the variables and what the caller may see.
pub(super) type Key = [u8; 32];

/// Executes the subscription of a room, or that part of it.
pub(super) type Run = Box<dyn Fn(Part) -> BoxStream<'static, Marked> + Send + Sync>;

/// The rooms in which somebody is. One per process.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    open: Arc<Mutex<HashMap<Key, Weak<Room>>>>,
    /// Where their executions run.
    tracker: TaskTracker,
    bounds: Bounds,
    tally: Sharing,
}

impl Rooms {
    /// Takes part in what others with the same key are told.
    pub(super) fn enter(&self, key: Key, run: Run) -> Member {
        Member::of(self.room(key, &run), run, &self.tally)
    }

    fn room(&self, key: Key, run: &Run) -> Arc<Room> {
        let (room, over) = {
            let mut open = lock(&self.open);
            match open.get(&key).and_then(Weak::upgrade) {
                Some(room) if !room.log.is_over() => return room,
                over => {
                    let log = Arc::new(Log::within(self.bounds));
                    let answers = run(Part::changes(Arc::clone(&log)));
                    let (told, abort) = abortable(tell(Arc::clone(&log), answers));
                    self.tracker.spawn(told);
                    let open_rooms = Arc::clone(&self.open);
                    let presence = Presence::of(&self.tally.executions);
                    let room =
                        Arc::new(Room { key, log, abort, open: open_rooms, _presence: presence });
                    open.insert(key, Arc::downgrade(&room));
                    (room, over)
                }
            }
        };
        // Whoever leaves a room last takes the lock.
        drop(over);
        room
    }

    /// In how many rooms somebody is.
    pub(super) fn count(&self) -> usize {
        lock(&self.open).len()
    }
}

/// Writes what a room is told into its log.
async fn tell(log: Arc<Log>, mut answers: BoxStream<'static, Marked>) {
    // However this ends, nobody waits for more.
    let over = Over(log);
    while let Some((sent, mark)) = answers.next().await {
        over.0.push(sent, mark);
    }
}

struct Over(Arc<Log>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Those who watch the same. Ends when the last one leaves.
#[derive(Debug)]
struct Room {
    key: Key,
    log: Arc<Log>,
    abort: AbortHandle,
    open: Arc<Mutex<HashMap<Key, Weak<Room>>>>,
    _presence: Presence,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.abort.abort();
        let mut open = lock(&self.open);
        // Another one may have been opened in its place.
        if open.get(&self.key).is_some_and(|room| room.strong_count() == 0) {
            open.remove(&self.key);
        }
    }
}

/// The latest of what a room was told.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    bounds: Bounds,
    stage: Stage,
    /// The number of the first entry that is kept.
    first: u64,
    /// What was told, and gaps where something newer replaced it.
    kept: VecDeque<Option<Entry>>,
    /// The newest entry of each thing, where newer ones replace older ones.
    newest: HashMap<Uuid, u64>,
    items: usize,
    bytes: usize,
    /// Who reads.
    readers: Vec<Option<Reader>>,
    /// The places of those who have left.
    free: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody listens yet to what changes.
    #[default]
    Opening,
    /// Every change from now on is going to be told.
    Open,
    /// Nothing more will be told.
    Over,
}

#[derive(Debug, Clone)]
struct Entry {
    sent: Arc<Sent>,
    mark: Option<Mark>,
}

#[derive(Debug)]
struct Reader {
    /// The number of the entry it reads next.
    next: u64,
    waker: Option<Waker>,
}

/// What there is to read.
enum Read {
    Entry(Entry),
    /// What was to come next is no longer kept.
    Behind,
    Over,
}

impl Log {
    fn within(bounds: Bounds) -> Self {
        Self(Mutex::new(Entries { bounds, ..Entries::default() }))
    }

    /// Says that from now on every change is going to be told.
    pub(super) fn open(&self) {
        let wakers = {
            let mut log = lock(&self.0);
            if log.stage == Stage::Opening {
                log.stage = Stage::Open;
            }
            log.wakers()
        };
        wake(wakers);
    }

    fn end(&self) {
        let wakers = {
            let mut log = lock(&self.0);
            log.stage = Stage::Over;
            log.wakers()
        };
        wake(wakers);
    }

    fn is_over(&self) -> bool {
        lock(&self.0).stage == Stage::Over
    }

    fn push(&self, sent: Arc<Sent>, mark: Option<Mark>) {
        let wakers = {
            let mut log = lock(&self.0);
            log.push(Entry { sent, mark });
            log.wakers()
        };
        wake(wakers);
    }

    /// A place for a reader of what comes from now on.
    fn join(&self) -> usize {
        let mut log = lock(&self.0);
        let place = log.free.pop().unwrap_or_else(|| {
            log.readers.push(None);
            log.readers.len() - 1
        });
        log.readers[place] = Some(Reader { next: log.end(), waker: None });
        place
    }

    fn leave(&self, place: usize) {
        let mut log = lock(&self.0);
        log.readers[place] = None;
        log.free.push(place);
    }

    /// Waits until the room listens; false if it never will. The reader goes on
    /// behind what was told up to now.
    fn poll_open(&self, place: usize, cx: &mut Context<'_>) -> Poll<bool> {
        let mut log = lock(&self.0);
        match log.stage {
            Stage::Opening => {
                log.wait(place, cx);
                Poll::Pending
            }
            Stage::Open => {
                log.skip_to_end(place);
                Poll::Ready(true)
            }
            Stage::Over => Poll::Ready(false),
        }
    }

    fn poll_read(&self, place: usize, cx: &mut Context<'_>) -> Poll<Read> {
        let mut log = lock(&self.0);
        let Some(next) = log.readers[place].as_ref().map(|reader| reader.next) else {
            return Poll::Ready(Read::Over);
        };
        if next < log.first {
            return Poll::Ready(Read::Behind);
        }
        let skipped = usize::try_from(next - log.first).unwrap_or(usize::MAX);
        let mut waiting = (next..).zip(log.kept.range(skipped..));
        let found = waiting.find_map(|(number, entry)| Some((number, entry.clone()?)));
        if let Some((number, entry)) = found {
            let next = number + 1;
            if let Some(reader) = &mut log.readers[place] {
                reader.next = next;
            }
            return Poll::Ready(Read::Entry(entry));
        }
        if log.stage == Stage::Over {
            return Poll::Ready(Read::Over);
        }
        log.skip_to_end(place);
        log.wait(place, cx);
        Poll::Pending
    }

    /// Has a reader go on behind what was told up to now.
    fn catch_up(&self, place: usize) {
        lock(&self.0).skip_to_end(place);
    }
}

impl Entries {
    /// The number of the entry that comes next.
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn push(&mut self, entry: Entry) {
        self.forget_what_all_have_read();
        let number = self.end();
        if let Some(thing) = entry.mark.and_then(|mark| mark.of)
            && let Some(older) = self.newest.insert(thing, number)
            && let Some(at) = older.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())
        {
            self.drop_at(at);
        }
        self.items += 1;
        self.bytes += entry.sent.payload.len();
        self.kept.push_back(Some(entry));
        while self.items > 1
            && (self.items > self.bounds.items
                || self.bytes > self.bounds.bytes
                // Gaps are small, but not nothing.
                || self.kept.len() > 4 * self.bounds.items)
        {
            self.drop_first();
        }
        while let Some(None) = self.kept.front() {
            self.kept.pop_front();
            self.first += 1;
        }
    }

    fn forget_what_all_have_read(&mut self) {
        let end = self.end();
        let slowest = self.readers.iter().flatten().map(|reader| reader.next).min().unwrap_or(end);
        while self.first < slowest && !self.kept.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.drop_at(0);
        if self.kept.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Leaves a gap.
    fn drop_at(&mut self, at: usize) {
        let Some(entry) = self.kept.get_mut(at).and_then(Option::take) else { return };
        self.items -= 1;
        self.bytes -= entry.sent.payload.len();
        let number = self.first + at as u64;
        if let Some(thing) = entry.mark.and_then(|mark| mark.of)
            && self.newest.get(&thing) == Some(&number)
        {
            self.newest.remove(&thing);
        }
    }

    fn skip_to_end(&mut self, place: usize) {
        let end = self.end();
        if let Some(Some(reader)) = self.readers.get_mut(place) {
            reader.next = end;
        }
    }

    fn wait(&mut self, place: usize, cx: &Context<'_>) {
        if let Some(Some(reader)) = self.readers.get_mut(place) {
            match &mut reader.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().flatten().filter_map(|reader| reader.waker.take()).collect()
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// One who watches: first a snapshot of its own, then what the room is told.
pub(super) struct Member {
    room: Arc<Room>,
    /// Where it reads in the room's log.
    place: usize,
    run: Run,
    now: Now,
    /// Everything up to here it was told, or knew before.
    done: i64,
    /// What it was told beyond that.
    early: HashMap<Option<Uuid>, i64>,
    behind: Counter,
    _presence: Presence,
}

/// What a member is at.
enum Now {
    /// The room does not listen yet.
    Entering,
    /// It is told what there is.
    Snapshot {
        answers: BoxStream<'static, Marked>,
        part: Part,
        /// Whether it was told everything up to `done` before.
        again: bool,
    },
    /// It is told what the room is told.
    Listening,
    /// There is no room for it.
    Alone(BoxStream<'static, Marked>),
    Over,
}

impl Member {
    fn of(room: Arc<Room>, run: Run, tally: &Sharing) -> Self {
        let place = room.log.join();
        Self {
            room,
            place,
            run,
            now: Now::Entering,
            done: 0,
            early: HashMap::new(),
            behind: tally.behind.clone(),
            _presence: Presence::of(&tally.subscribers),
        }
    }

    fn begin_snapshot(&mut self, behind: Option<i64>) {
        let part = Part::snapshot(behind);
        let answers = (self.run)(part.clone());
        self.now = Now::Snapshot { answers, part, again: behind.is_some() };
    }

    /// Whether an item of the snapshot is news.
    fn is_news(&mut self, mark: Option<Mark>, again: bool) -> bool {
        let Some(mark) = mark else { return true };
        if again && (mark.position <= self.done || self.knows(mark)) {
            return false;
        }
        self.early.insert(mark.of, mark.position);
        true
    }

    /// Whether what the room is told is news to this member.
    fn is_change(&mut self, mark: Option<Mark>) -> bool {
        let Some(mark) = mark else { return true };
        let is_news = mark.position > self.done && !self.knows(mark);
        if mark.done > self.done {
            self.done = mark.done;
            self.early.retain(|_, position| *position > mark.done);
        }
        if is_news && mark.position > self.done {
            self.early.insert(mark.of, mark.position);
        }
        is_news
    }
}

impl Member {
    fn knows(&self, mark: Mark) -> bool {
        self.early.get(&mark.of).is_some_and(|early| *early >= mark.position)
    }
}

impl Stream for Member {
    type Item = Arc<Sent>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Arc<Sent>>> {
        let this = self.get_mut();
        loop {
            match &mut this.now {
                Now::Entering => {
                    if std::task::ready!(this.room.log.poll_open(this.place, cx)) {
                        this.begin_snapshot(None);
                    } else {
                        // What keeps the room from opening is said to everybody in person.
                        this.now = Now::Alone((this.run)(Part::default()));
                    }
                }
                Now::Snapshot { answers, part, again } => {
                    let again = *again;
                    match std::task::ready!(answers.poll_next_unpin(cx)) {
                        Some((sent, mark)) => {
                            if this.is_news(mark, again) {
                                return Poll::Ready(Some(sent));
                            }
                        }
                        None => match part.completed() {
                            Some(done) => {
                                this.done = done.max(this.done);
                                let done = this.done;
                                this.early.retain(|_, position| *position > done);
                                this.now = Now::Listening;
                            }
                            // It was refused, or broke off.
                            None => this.now = Now::Over,
                        },
                    }
                }
                Now::Listening => {
                    match std::task::ready!(this.room.log.poll_read(this.place, cx)) {
                        Read::Entry(Entry { sent, mark }) => {
                            if this.is_change(mark) {
                                return Poll::Ready(Some(sent));
                            }
                        }
                        Read::Behind => {
                            this.behind.increment(1);
                            this.room.log.catch_up(this.place);
                            this.begin_snapshot(Some(this.done));
                        }
                        Read::Over => this.now = Now::Over,
                    }
                }
                Now::Alone(answers) => {
                    let answer = std::task::ready!(answers.poll_next_unpin(cx));
                    return Poll::Ready(answer.map(|(sent, _)| sent));
                }
                Now::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.log.leave(self.place);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::{sync::broadcast, task::yield_now};

    use super::*;

    /// A library of a few things. What was committed can be read at once; it is
    /// announced later.
    struct World {
        state: Mutex<State>,
        told: broadcast::Sender<(i64, usize)>,
    }

    #[derive(Default)]
    struct State {
        /// The position of each thing's last change.
        things: [i64; 3],
        /// The things that changed, in order; the first at position 1.
        history: Vec<usize>,
        /// Up to where it was announced.
        reached: i64,
        /// How many executions there were of what changes.
        executions: usize,
    }

    impl World {
        fn new() -> Arc<Self> {
            // So few that an execution misses something now and then.
            Arc::new(Self { state: Mutex::default(), told: broadcast::channel(2).0 })
        }

        fn commit(&self, thing: usize) {
            let mut state = lock(&self.state);
            state.history.push(thing);
            state.things[thing] = i64::try_from(state.history.len()).unwrap();
        }

        fn announce(&self) {
            let mut state = lock(&self.state);
            let reached = usize::try_from(state.reached).unwrap();
            if let Some(thing) = state.history.get(reached).copied() {
                state.reached += 1;
                let _ = self.told.send((state.reached, thing));
            }
        }

        fn reached(&self) -> i64 {
            lock(&self.state).reached
        }

        fn things(&self) -> Vec<(usize, i64)> {
            let things = lock(&self.state).things;
            things.into_iter().enumerate().filter(|(_, position)| *position > 0).collect()
        }

        fn length(&self) -> i64 {
            i64::try_from(lock(&self.state).history.len()).unwrap()
        }

        /// Things as they are now and whenever they change, as resolvers tell
        /// it; an item says which thing and where it changed.
        fn latest(self: &Arc<Self>) -> Run {
            let world = Arc::clone(self);
            Box::new(move |part| {
                let world = Arc::clone(&world);
                async_stream::stream! {
                    let mut told = world.told.subscribe();
                    let mut done = world.reached();
                    let mut early = HashMap::new();
                    part.listens();
                    if part.has_snapshot() {
                        yield_now().await;
                        let behind = part.behind().unwrap_or_default();
                        for (thing, position) in world.things() {
                            if position > behind {
                                early.insert(thing, position);
                                yield item(thing, position, done);
                            }
                        }
                        part.complete(done);
                    } else {
                        lock(&world.state).executions += 1;
                    }
                    while part.has_changes() {
                        let (things, reached) = match told.recv().await {
                            Ok((position, thing)) => {
                                yield_now().await;
                                let now = world.things().into_iter().filter(|(of, _)| *of == thing);
                                (now.collect(), position)
                            }
                            Err(broadcast::error::RecvError::Lagged(_)) => {
                                let reached = world.reached();
                                (world.things(), reached)
                            }
                            Err(broadcast::error::RecvError::Closed) => return,
                        };
                        for (thing, position) in things {
                            if position > done && early.get(&thing) != Some(&position) {
                                early.insert(thing, position);
                                yield item(thing, position, done);
                            }
                        }
                        done = done.max(reached);
                        early.retain(|_, position| *position > done);
                    }
                }
                .boxed()
            })
        }

        /// Everything that changed behind a position, and each new change.
        fn feed(self: &Arc<Self>, after: i64) -> Run {
            let world = Arc::clone(self);
            Box::new(move |part| {
                let world = Arc::clone(&world);
                async_stream::stream! {
                    let mut told = world.told.subscribe();
                    let mut after = part.behind().unwrap_or(after);
                    if part.has_snapshot() {
                        yield_now().await;
                        while after < world.length() {
                            after += 1;
                            yield entry(after);
                        }
                        part.complete(after);
                    } else {
                        after = world.reached();
                        lock(&world.state).executions += 1;
                    }
                    part.listens();
                    while part.has_changes() {
                        if let Err(broadcast::error::RecvError::Closed) = told.recv().await {
                            return;
                        }
                        yield_now().await;
                        while after < world.length() {
                            after += 1;
                            yield entry(after);
                        }
                    }
                }
                .boxed()
            })
        }
    }

    fn item(thing: usize, position: i64, done: i64) -> Marked {
        let of = Some(Uuid::from_u128(thing as u128));
        (sent(thing, position), Some(Mark { of, position, done }))
    }

    fn entry(position: i64) -> Marked {
        (sent(0, position), Some(Mark { of: None, position, done: position }))
    }

    fn sent(thing: usize, position: i64) -> Arc<Sent> {
        let payload = format!("{thing} {position}").into_bytes().into();
        Arc::new(Sent {
            payload,
            refusal: None,
            cursor: None,
            code: None,
            retry_after: None,
            trace: None,
        })
    }

    /// One who watches, and what it was told so far.
    struct Watcher {
        member: Member,
        after: i64,
        told: Vec<(usize, i64)>,
    }

    impl Watcher {
        /// Takes in at most so many items.
        fn read(&mut self, most: usize) -> bool {
            let mut is_news = false;
            for _ in 0..most {
                let Some(sent) = self.member.next().now_or_never() else { break };
                let sent = sent.expect("it never ends");
                let text = std::str::from_utf8(&sent.payload).unwrap();
                let (thing, position) = text.split_once(' ').unwrap();
                self.told.push((thing.parse().unwrap(), position.parse().unwrap()));
                is_news = true;
            }
            is_news
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Commit(usize),
        Announce,
        /// Somebody comes, who was here before if there was something then.
        Join(i64),
        Leave(usize),
        Read(usize, usize),
        /// Others get to do something.
        Yield,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..3_usize).prop_map(Step::Commit),
            4 => Just(Step::Announce),
            2 => (0..4_i64).prop_map(Step::Join),
            1 => (0..5_usize).prop_map(Step::Leave),
            4 => (0..5_usize, 1..4_usize).prop_map(|(who, most)| Step::Read(who, most)),
            6 => Just(Step::Yield),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// Takes the steps, and then everything that is left to be told.
    async fn play(
        steps: &[Step],
        run: impl Fn(&Arc<World>, i64) -> Run,
    ) -> (Arc<World>, Vec<Watcher>) {
        let world = World::new();
        let rooms = Rooms { bounds: Bounds { items: 3, bytes: 1 << 20 }, ..Rooms::default() };
        let mut watchers: Vec<Watcher> = Vec::new();
        for step in steps {
            match *step {
                Step::Commit(thing) => world.commit(thing),
                Step::Announce => world.announce(),
                Step::Join(back) => {
                    let after = (world.reached() - back).max(0);
                    let member = rooms.enter([0; 32], run(&world, after));
                    watchers.push(Watcher { member, after, told: Vec::new() });
                }
                Step::Leave(who) if who < watchers.len() => drop(watchers.remove(who)),
                Step::Read(who, most) if who < watchers.len() => _ = watchers[who].read(most),
                Step::Leave(_) | Step::Read(..) => {}
                Step::Yield => yield_now().await,
            }
        }
        while world.reached() < world.length() {
            world.announce();
        }
        let mut quiet = 0;
        while quiet < 20 {
            yield_now().await;
            let news = watchers.iter_mut().map(|watcher| watcher.read(1));
            quiet = if news.fold(false, |any, news| any | news) { 0 } else { quiet + 1 };
        }
        assert!(rooms.count() <= 1);
        (world, watchers)
    }

    fn in_runtime(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(test);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn whoever_joins_whenever_sees_each_thing_move_forward_to_where_it_is(steps in steps()) {
            in_runtime(async {
                let (world, watchers) = play(&steps, |world, _| world.latest()).await;
                for watcher in watchers {
                    let mut seen = HashMap::new();
                    for (thing, position) in watcher.told {
                        let before = seen.insert(thing, position);
                        assert!(before < Some(position), "{thing} went from {before:?} to {position}");
                    }
                    assert_eq!(seen, world.things().into_iter().collect());
                }
            });
        }

        #[test]
        fn whoever_joins_whenever_gets_every_item_of_a_feed_once(steps in steps()) {
            in_runtime(async {
                let (world, watchers) = play(&steps, World::feed).await;
                for watcher in watchers {
                    let told: Vec<_> = watcher.told.into_iter().map(|(_, position)| position).collect();
                    assert_eq!(told, (watcher.after + 1..=world.length()).collect::<Vec<_>>());
                }
            });
        }
    }

    #[tokio::test]
    async fn those_who_watch_the_same_share_one_execution_and_one_payload() {
        let (world, rooms) = (World::new(), Rooms::default());
        let mut members: Vec<_> = (0..100).map(|_| rooms.enter([1; 32], world.feed(0))).collect();
        for member in &mut members {
            // Nothing is there yet; it listens.
            assert!(within(member, 20).await.is_none());
        }
        world.commit(0);
        world.announce();
        let mut payloads = Vec::new();
        for member in &mut members {
            payloads.push(within(member, 20).await.expect("an item"));
        }
        assert!(payloads.iter().all(|sent| Arc::ptr_eq(sent, &payloads[0])));
        assert_eq!(lock(&world.state).executions, 1);
        assert_eq!(rooms.count(), 1);
        let other = rooms.enter([2; 32], world.feed(0));
        assert_eq!(rooms.count(), 2);
        drop((members, other));
        assert_eq!(rooms.count(), 0);
    }

    /// What a member is told before so many rounds of everybody are over.
    async fn within(member: &mut Member, rounds: usize) -> Option<Arc<Sent>> {
        for _ in 0..rounds {
            if let Some(sent) = member.next().now_or_never() {
                return sent;
            }
            yield_now().await;
        }
        None
    }

    #[test]
    fn a_log_stays_short_whoever_lags() {
        let log = Log::within(Bounds { items: 10, bytes: 1_000 });
        let lagging = log.join();
        for number in 0..10_000 {
            // One thing that never changes again keeps its place.
            let thing = usize::from(number > 0);
            let (sent, mark) = item(thing, number, number - 1);
            log.push(sent, mark);
            let log = lock(&log.0);
            assert!(log.kept.len() <= 41 && log.items <= 10 && log.bytes <= 1_000);
            assert!(log.newest.len() <= log.items);
        }
        log.leave(lagging);
        let (sent, mark) = item(0, 10_000, 9_999);
        log.push(sent, mark);
        assert_eq!(lock(&log.0).kept.len(), 1);
    }
}
