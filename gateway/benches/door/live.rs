//! Subscriptions over sockets.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use tokio::time::timeout;

use crate::{
    process::Server,
    row,
    served::TICK,
    wire::{self, PATIENCE, Requests, Socket},
};

const OWN: &str = "/graphql";
const STOCK: &str = "/graphql/ws";

/// A server of ticks, and how to have it tick.
struct Ticking {
    server: Server,
    own: String,
    other: String,
}

impl Ticking {
    fn open() -> Self {
        let mut server = Server::start(&["ticks"]);
        let said = server.says();
        let (own, other) = said.split_once(' ').unwrap();
        Self { own: own.to_owned(), other: other.to_owned(), server }
    }

    async fn control(&self, path: &str) {
        Requests::open(&self.other).await.ask(&wire::request("POST", path, "")).await;
    }

    /// Ticks so often, and returns when it has.
    async fn tick(&self, count: usize) {
        self.control(&format!("/tick/{count}")).await;
    }

    /// Ticks at a pace, and returns when it has.
    async fn tick_every(&self, pace: Duration, count: usize) {
        self.control(&format!("/every/{}/{count}", pace.as_millis())).await;
    }

    /// Sockets that watch, each with what it asks for.
    async fn watching(&self, path: &str, queries: Vec<String>) -> Vec<Socket> {
        let address = if path == OWN { &self.own } else { &self.other };
        let mut sockets = Vec::new();
        // Not all at once: the listener's queue is short.
        for some in queries.chunks(100) {
            let opening = some.iter().map(|query| async move {
                let mut socket = Socket::open(address, path).await;
                socket.subscribe(0, query).await;
                socket
            });
            sockets.extend(join_all(opening).await);
        }
        // Whoever subscribed a moment ago may not listen yet.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.tick(1).await;
        sockets = self.heard(sockets, 1).await.0;
        sockets
    }

    /// All read so many items; how long each was under way.
    async fn heard(&self, sockets: Vec<Socket>, count: usize) -> (Vec<Socket>, Histogram<u64>) {
        let reading = sockets.into_iter().map(|mut socket| {
            let reading = async move {
                let mut times = Histogram::new(2).unwrap();
                socket.items(count, Some(&mut times)).await;
                (socket, times)
            };
            tokio_util::task::AbortOnDropHandle::new(spawn(reading))
        });
        let reading = timeout(PATIENCE * 4, try_join_all(reading));
        let done = reading.await.expect("all items in time").unwrap();
        let mut times = Histogram::new(2).unwrap();
        let sockets = done.into_iter().map(|(socket, some)| {
            times.add(some).unwrap();
            socket
        });
        let sockets = sockets.collect();
        (sockets, times)
    }
}

fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio_util::task::TaskTracker::new().spawn(future)
}

fn same(count: usize) -> Vec<String> {
    vec![format!("subscription {{ tick {{ {TICK} }} }}"); count]
}

fn different(count: usize) -> Vec<String> {
    (0..count).map(|of| format!("subscription {{ tick(of: {of}) {{ {TICK} }} }}")).collect()
}

fn milliseconds(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

/// What a subscriber costs who has nothing to hear.
pub(crate) async fn idle(count: usize) {
    for (what, queries) in [("alike", same(count)), ("each different", different(count / 10))] {
        let mall = Ticking::open();
        // What the first ones make the server get ready is not theirs.
        let some = mall.watching(OWN, same(10)).await;
        let before = mall.server.memory();
        let count = queries.len();
        let sockets = mall.watching(OWN, queries).await;
        let kibibytes = (mall.server.memory() - before) as f64 / count as f64 / 1024.0;
        let goal = what == "alike";
        row(
            &format!("an idle subscriber of {count}, {what}"),
            &format!("{kibibytes:.1} KiB"),
            if goal { "≤ 25 KiB" } else { "" },
            goal.then_some(kibibytes <= 25.0),
        );
        drop((some, sockets));
    }
}

/// Many who watch the same.
pub(crate) async fn equal(count: usize, time: Duration) {
    let mall = Ticking::open();
    let sockets = mall.watching(OWN, same(count)).await;
    let (share, times) = steady(&mall, sockets, time).await;
    let late = milliseconds(&times, 0.99);
    row(
        &format!("{count} equal subscriptions × 5 changes/s"),
        &format!(
            "{:.0} % of a core; delivered p50 {:.1} ms, p99 {late:.1} ms",
            share * 100.0,
            milliseconds(&times, 0.5)
        ),
        "≤ 30 %; p99 ≤ 50 ms",
        Some(share <= 0.3 && late <= 50.0),
    );
}

/// Five ticks a second for a while: what share of a core that takes, and how
/// long each item is under way.
async fn steady(mall: &Ticking, sockets: Vec<Socket>, time: Duration) -> (f64, Histogram<u64>) {
    let pace = Duration::from_millis(200);
    let ticks = usize::try_from(time.as_millis() / pace.as_millis()).unwrap().max(1);
    let share = mall.server.share();
    let ticking = mall.tick_every(pace, ticks);
    let ((_, times), ()) = tokio::join!(mall.heard(sockets, ticks), ticking);
    (share(), times)
}

/// How fast a change gets to all who watch it, next to the stock integration.
pub(crate) async fn fan_out(count: usize) {
    const BURST: usize = 200;
    let mut rates = Vec::new();
    for path in [STOCK, OWN] {
        let mall = Ticking::open();
        let mut sockets = mall.watching(path, same(count)).await;
        let mut bursts = Vec::new();
        let mut computed = Duration::ZERO;
        for _ in 0..6 {
            let (began, before) = (Instant::now(), mall.server.computed());
            let ((again, _), ()) = tokio::join!(mall.heard(sockets, BURST), mall.tick(BURST));
            sockets = again;
            bursts.push((count * BURST) as f64 / began.elapsed().as_secs_f64());
            computed += mall.server.computed().saturating_sub(before);
        }
        let each = computed.as_secs_f64() * 1e6 / (6 * count * BURST) as f64;
        let mut single = Vec::new();
        for _ in 0..30 {
            let began = Instant::now();
            let ((again, _), ()) = tokio::join!(mall.heard(sockets, 1), mall.tick(1));
            sockets = again;
            single.push(count as f64 / began.elapsed().as_secs_f64());
        }
        let median = |mut numbers: Vec<f64>| {
            numbers.sort_by(f64::total_cmp);
            numbers[numbers.len() / 2]
        };
        rates.push((median(bursts), median(single), each));
    }
    let [(stock, stock_single, stock_each), (own, own_single, own_each)] = rates[..] else {
        unreachable!("two were measured");
    };
    row(
        &format!("fan-out to {count} / stock, {BURST} changes at once"),
        &format!(
            "{:.1} × ({own:.0} messages/s against {stock:.0}/s; the server computes {own_each:.2} \
             µs against {stock_each:.2} µs for each)",
            own / stock
        ),
        "≥ 8 ×",
        Some(own / stock >= 8.0),
    );
    row(
        &format!("fan-out to {count} / stock, one change at a time"),
        &format!(
            "{:.1} × ({own_single:.0}/s against {stock_single:.0}/s)",
            own_single / stock_single
        ),
        "",
        None,
    );
}

/// One socket with very many subscriptions.
pub(crate) async fn many(count: usize, time: Duration) {
    for (what, queries) in [("each different", different(count)), ("alike", same(count))] {
        let mall = Ticking::open();
        let mut socket = Socket::open(&mall.own, OWN).await;
        for (id, query) in queries.iter().enumerate() {
            socket.subscribe(id, query).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        mall.tick(1).await;
        socket.items(count, None).await;
        let pace = Duration::from_millis(200);
        let ticks = usize::try_from(time.as_millis() / pace.as_millis()).unwrap().max(1);
        let mut times = Histogram::new(2).unwrap();
        let share = mall.server.share();
        let reading = socket.items(count * ticks, Some(&mut times));
        tokio::join!(reading, mall.tick_every(pace, ticks));
        let share = share();
        let last = milliseconds(&times, 1.0);
        row(
            &format!("one socket with {count} subscriptions × 5 items/s, {what}"),
            &format!(
                "{:.0} % of a core; p99 {:.1} ms, the last {last:.1} ms",
                share * 100.0,
                milliseconds(&times, 0.99)
            ),
            "≤ 20 %; nothing late",
            // Late is what comes after the next one was due.
            Some(share <= 0.2 && last <= 200.0),
        );
    }
}

/// What others notice of readers that do not read.
pub(crate) async fn stuck(count: usize, time: Duration) {
    const STUCK: usize = 10;
    let large = vec![format!("subscription {{ tick(padding: 30000) {{ {TICK} }} }}"); STUCK];
    let mall = Ticking::open();
    let sockets = mall.watching(OWN, same(count)).await;
    let (_, alone) = steady_with(&mall, sockets, time / 3).await;

    let sockets = mall.watching(OWN, same(count)).await;
    let before = mall.server.memory();
    let until = Instant::now() + time;
    let getting_stuck = async {
        // Each is closed after a while, and others take their places.
        while Instant::now() < until {
            let stuck = join_all(large.iter().map(|query| async {
                let mut socket = Socket::open(&mall.own, OWN).await;
                socket.subscribe(0, query).await;
                socket
            }));
            let stuck = stuck.await;
            let rest = until.saturating_duration_since(Instant::now());
            join_all(
                stuck
                    .into_iter()
                    .map(|socket| socket.stay_stuck(rest.min(Duration::from_secs(15)))),
            )
            .await;
        }
    };
    let watched = async {
        let mut most = before;
        while Instant::now() < until {
            most = most.max(mall.server.memory());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        most
    };
    let ((_, beside), (), most) =
        tokio::join!(steady_with(&mall, sockets, time), getting_stuck, watched);
    let (alone, beside) = (milliseconds(&alone, 0.99), milliseconds(&beside, 0.99));
    let megabytes = (most - before) as f64 / 1e6;
    row(
        &format!("{STUCK} stuck readers beside {count} others for {} s", time.as_secs()),
        &format!(
            "others' p99 {beside:.1} ms against {alone:.1} ms without; memory at most {megabytes:.1} \
             MB more"
        ),
        "p99 ≤ 2 ×; bounded",
        // What the kernel does not take waits in a log of a mebibyte and in
        // what each of them is being sent.
        Some(beside <= alone * 2.0 && megabytes <= 20.0),
    );
}

/// Fifty ticks a second for a while.
async fn steady_with(
    mall: &Ticking,
    sockets: Vec<Socket>,
    time: Duration,
) -> (Vec<Socket>, Histogram<u64>) {
    let pace = Duration::from_millis(20);
    let ticks = usize::try_from(time.as_millis() / pace.as_millis()).unwrap().max(1);
    let ticking = mall.tick_every(pace, ticks);
    let (heard, ()) = tokio::join!(mall.heard(sockets, ticks), ticking);
    heard
}
