//! Several processes on one database: one writes, the others stand by and hear,
//! and if two write nothing comes of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use mallbots_domain::id::{AnyId, EntityId};
use mallbots_eventstore::{
    connect::{Backend, Database},
    ledger::{Ledger, LedgerOptions},
    message::{Position, Recorded},
};
use mallbots_messaging::{
    announcements::Announcements,
    nats::{Nats, NatsOptions},
};
use mallbots_projections::{
    changes::{Changes, Heard},
    feed::{Feed, Halt},
    orders,
    page::PageRequest,
    projector::Projector,
    reads::Reads,
    verify,
};
use mallbots_testing::{
    databases::{self, FreshDatabase},
    ledgers::{Tasks, TestLedger},
    nats::NatsServer,
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{library::append, mall::busy};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Where several processes meet.
pub(crate) struct Site {
    pub(crate) ledger: TestLedger,
    views: FreshDatabase,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let ledger = TestLedger::open(Backend::Postgres).await.unwrap();
        let views = databases::fresh_views(Backend::Postgres).await.unwrap();
        Self { ledger, views }
    }

    /// One more process.
    pub(crate) async fn process(&self) -> Process {
        let (ledger, tasks) = self.ledger.another(LedgerOptions::default()).await.unwrap();
        let views = self.views.connect().await.unwrap();
        let (reads, feed) = Reads::open(&views, &ledger).await.unwrap();
        let projector = Projector::open_beside(&feed, &views, &ledger).await.unwrap();
        let (may_write, _) = watch::channel(false);
        Process {
            ledger,
            views,
            reads,
            feed: Some(feed),
            projector: Some(projector),
            may_write,
            stop: tasks.shutdown.child_token(),
            tasks,
        }
    }

    pub(crate) async fn record(&self, messages: &[Arc<Recorded>]) -> Position {
        for batch in messages.chunks(50) {
            self.ledger.ledger.append(append(batch)).await.unwrap();
        }
        self.ledger.ledger.head()
    }

    pub(crate) async fn assert_as_history_has_it(&self) {
        let compared = verify::compare(&self.views.database, &self.ledger.ledger, |_, _| {}).await;
        let compared = compared.unwrap();
        assert_eq!(compared.position, self.ledger.ledger.head());
        assert_eq!(compared.differences, []);
        assert!(compared.rows > 100);
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.views.database.write.execute_unprepared(sql).await.unwrap();
    }
}

/// A process, or all of it that matters here.
pub(crate) struct Process {
    ledger: Ledger,
    views: Database,
    pub(crate) reads: Reads,
    feed: Option<Feed>,
    pub(crate) projector: Option<Projector>,
    may_write: watch::Sender<bool>,
    stop: CancellationToken,
    tasks: Tasks,
}

impl Process {
    /// Starts its projector, which stands by until it may write.
    pub(crate) fn project(&mut self) {
        let projector = self.projector.take().unwrap();
        let (ledger, may, stop) =
            (self.ledger.clone(), self.may_write.subscribe(), self.stop.clone());
        self.tasks.tracker.spawn(projector.run_while(ledger, may, stop));
    }

    /// Starts to listen.
    pub(crate) fn hear(&mut self, nats: Option<&Nats>) {
        let announcements = nats.map(|nats| Announcements::about(nats, "views"));
        let feed = self.feed.take().unwrap();
        self.tasks.tracker.spawn(feed.run(announcements, self.stop.clone()));
    }

    pub(crate) fn may_write(&self, may: bool) {
        self.may_write.send_replace(may);
    }

    pub(crate) async fn reaches(&self, position: Position) {
        self.reads.reached(position, PATIENCE).await.unwrap();
    }

    /// Ends it without a word.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.end().await;
        self.views.close().await.unwrap();
    }
}

/// What somebody who watches everything was told.
#[derive(Default)]
struct Notes {
    rows: HashMap<AnyId, Position>,
    missed: u32,
    /// Up to where nothing is unknown.
    known: Position,
}

/// Watches everything; when something was missed it looks where the tables are.
fn watch_all(process: &Process) -> Arc<Mutex<Notes>> {
    let notes: Arc<Mutex<Notes>> = Arc::default();
    let (mut changes, reads, kept): (Changes, _, _) =
        (process.reads.changes(), process.reads.clone(), Arc::clone(&notes));
    let stop = process.stop.clone();
    process.tasks.tracker.spawn(async move {
        while let Some(Some(heard)) = stop.run_until_cancelled(changes.next()).await {
            let mut notes = kept.lock().unwrap();
            match heard {
                Heard::Missed => {
                    notes.missed += 1;
                    notes.known = reads.position().max(notes.known);
                }
                Heard::Changed(changed) => {
                    notes.rows.extend(changed.rows.iter().map(|row| (row.id, row.position)));
                }
            }
        }
    });
    notes
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// That who took these notes heard of the last change of every order.
async fn assert_all_heard(process: &Process, notes: &Mutex<Notes>) {
    let request = PageRequest::first(1000);
    let all = orders::OrderFilter::default();
    let sort = orders::OrderSort::CreatedAsc;
    let page = orders::list(&process.reads, &all, sort, &request).await.unwrap();
    assert!(!page.rows.is_empty());
    until("every change was announced", async || {
        let notes = notes.lock().unwrap();
        page.rows.iter().all(|(_, row)| {
            let position = Position(row.position);
            let told = notes.rows.get(&row.id.any()).copied().unwrap_or_default();
            told >= position || notes.known >= position
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_projectors_forced_at_once_make_the_tables_of_one() {
    let site = Site::new().await;
    let mall = busy(40, 10);
    let mut processes = [site.process().await, site.process().await, site.process().await];
    let notes: Vec<_> = processes.iter().map(watch_all).collect();
    // Two write whatever a lease would say; the third hears.
    for process in &mut processes {
        process.hear(None);
        process.project();
    }
    processes[0].may_write(true);
    processes[1].may_write(true);
    let end = site.record(&mall.messages).await;
    for process in &processes {
        process.reaches(end).await;
    }
    site.assert_as_history_has_it().await;
    for (process, notes) in processes.iter().zip(&notes) {
        assert_all_heard(process, notes).await;
        assert_eq!(process.reads.halted(), None);
    }
    for process in processes {
        process.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stands_by_goes_on_where_the_other_stopped() {
    let site = Site::new().await;
    let mall = busy(30, 10);
    let (mut first, mut second) = (site.process().await, site.process().await);
    for process in [&mut first, &mut second] {
        process.hear(None);
        process.project();
    }
    first.may_write(true);
    let mut parts = mall.messages.chunks(mall.messages.len().div_ceil(6));
    let mut end = site.record(parts.next().unwrap()).await;
    first.reaches(end).await;
    // Back and forth, in the middle of the work.
    for (turn, part) in parts.enumerate() {
        let end = {
            let (recorded, ()) = tokio::join!(site.record(part), async {
                first.may_write(turn % 2 == 1);
                second.may_write(turn % 2 == 0);
            });
            end = end.max(recorded);
            end
        };
        let began = Instant::now();
        second.reaches(end).await;
        first.reaches(end).await;
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    site.assert_as_history_has_it().await;
    first.end().await;
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_stopped_in_the_middle_holds_nobody_up() {
    let site = Site::new().await;
    let mall = busy(5, 5);
    let end = site.record(&mall.messages).await;
    let mut next = site.process().await;
    // Stopped after its first statement, like a process under SIGSTOP.
    let stopped = site.views.database.write.begin().await.unwrap();
    let begun = "SET LOCAL idle_in_transaction_session_timeout = '2s'; \
                 UPDATE projection_checkpoints SET position = position";
    stopped.execute_unprepared(begun).await.unwrap();
    next.project();
    next.may_write(true);
    let began = Instant::now();
    next.reaches(end).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(stopped.commit().await.is_err());
    next.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_a_projector_hears_through_nats() {
    let server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(20, 5);
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    let nats = nats(&server).await;
    writer.hear(Some(&nats));
    reader.hear(Some(&self::nats(&server).await));
    writer.project();
    let notes = watch_all(&reader);
    // All of it waits, so that it comes in few batches of very many rows.
    let end = site.record(&mall.messages).await;
    writer.may_write(true);
    reader.reaches(end).await;
    assert_all_heard(&reader, &notes).await;
    // Not by looking and reading again, but row by row.
    let heard = notes.lock().unwrap().rows.len();
    assert!(heard > 100, "{heard}");
    writer.end().await;
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_announced_is_found_within_a_moment() {
    let mut server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(20, 5);
    let (before, after) = mall.messages.split_at(mall.messages.len() / 2);
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    // The writer says nothing, and nobody tells it to.
    writer.project();
    writer.may_write(true);
    reader.hear(Some(&nats(&server).await));
    let notes = watch_all(&reader);
    let end = site.record(before).await;
    writer.reaches(end).await;
    let began = Instant::now();
    reader.reaches(end).await;
    assert_all_heard(&reader, &notes).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(notes.lock().unwrap().missed > 0);

    // Nor is NATS needed for it.
    server.kill().await.unwrap();
    let end = site.record(after).await;
    writer.reaches(end).await;
    let began = Instant::now();
    reader.reaches(end).await;
    assert_all_heard(&reader, &notes).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    writer.end().await;
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announcements_go_on_after_nats_was_away() {
    let mut server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(30, 5);
    let third = mall.messages.len() / 3;
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    let theirs = nats(&server).await;
    writer.hear(Some(&nats(&server).await));
    reader.hear(Some(&theirs));
    writer.project();
    writer.may_write(true);
    let notes = watch_all(&reader);
    reader.reaches(site.record(&mall.messages[..third]).await).await;
    server.kill().await.unwrap();
    reader.reaches(site.record(&mall.messages[third..2 * third]).await).await;
    assert_all_heard(&reader, &notes).await;
    server.restart().await.unwrap();
    until("the connection is back", async || theirs.is_connected()).await;
    let known = notes.lock().unwrap().rows.len();
    reader.reaches(site.record(&mall.messages[2 * third..]).await).await;
    assert_all_heard(&reader, &notes).await;
    until("rows are announced again", async || notes.lock().unwrap().rows.len() > known).await;
    writer.end().await;
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_change_nothing_are_reached_too() {
    let site = Site::new().await;
    let mut mall = busy(3, 3);
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    writer.project();
    writer.may_write(true);
    reader.hear(None);
    let stream = mall.messages[0].stream;
    for _ in 0..3 {
        let kind = mallbots_eventstore::message::MessageKind::Command;
        mall.record(kind, stream, 0, "depot.Command", "{}");
    }
    let end = site.record(&mall.messages).await;
    reader.reaches(end).await;
    writer.end().await;
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_ahead_of_the_ledger_halt_the_projector() {
    let site = Site::new().await;
    let mall = busy(5, 5);
    let (before, after) = mall.messages.split_at(mall.messages.len() / 2);
    let end = site.record(before).await;
    let mut writer = site.process().await;
    writer.project();
    writer.may_write(true);
    writer.reaches(end).await;
    writer.end().await;

    let tables = Position(end.0 + 1_000);
    site.sql(&format!("UPDATE projection_checkpoints SET position = {tables}")).await;
    let rows = site.views.database.write.query_all_raw(dump_stores(&site)).await.unwrap().len();
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    reader.hear(None);
    writer.project();
    writer.may_write(true);
    let expected = Halt::LedgerBehind { tables, ledger: end };
    for process in [&writer, &reader] {
        until("it says that it is halted", async || process.reads.halted() == Some(expected)).await;
    }
    // Nothing is written any more, whatever comes.
    site.record(after).await;
    site.sql("UPDATE projection_checkpoints SET position = position").await;
    let left = site.views.database.write.query_all_raw(dump_stores(&site)).await.unwrap().len();
    assert_eq!(rows, left);
    let statuses = writer.reads.projections().await.unwrap();
    assert!(statuses.iter().all(|status| status.position == tables));
    writer.end().await;
    reader.end().await;
}

fn dump_stores(site: &Site) -> sea_orm::Statement {
    let backend = site.views.database.write.get_database_backend();
    sea_orm::Statement::from_string(backend, "SELECT id, version FROM orders")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_went_back_halt_the_projector() {
    let site = Site::new().await;
    let mall = busy(5, 5);
    let (before, after) = mall.messages.split_at(mall.messages.len() / 2);
    let end = site.record(before).await;
    let (mut writer, mut reader) = (site.process().await, site.process().await);
    reader.hear(None);
    writer.project();
    writer.may_write(true);
    writer.reaches(end).await;
    reader.reaches(end).await;
    let now = Position(end.0 - 20);
    site.sql(&format!("UPDATE projection_checkpoints SET position = {now}")).await;
    site.record(after).await;
    let expected = Some(Halt::TablesWentBack { before: end, now });
    for process in [&writer, &reader] {
        until("it says that it is halted", async || process.reads.halted() == expected).await;
    }
    assert_eq!(writer.reads.position(), end);
    writer.end().await;
    reader.end().await;
}

pub(crate) async fn nats(server: &NatsServer) -> Nats {
    let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
    let mut connection = nats.connection();
    let connected =
        connection.wait_for(|state| *state == mallbots_messaging::nats::Connection::Connected);
    timeout(PATIENCE, connected).await.unwrap().unwrap();
    nats
}
