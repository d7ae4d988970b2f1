//! The one task of a process that writes to the ledger.
//!
//! Positions are given out in the order of the commits, so appends have to go
//! one after the other. One task that takes all that wait at a moment into one
//! transaction makes that cheap: under load, many share a commit; a lone one
//! waits for nobody.

mod batch;
pub(crate) mod postgres;
mod request;
mod sqlite;

use std::{fs::File, io::ErrorKind, mem, sync::Arc, time::Duration};

use sea_orm::sqlx::{
    Connection, Error, Sqlite,
    error::DatabaseError,
    pool::PoolConnection,
    postgres::{PgConnection, PgPool},
    sqlite::SqlitePool,
};
use tokio::{
    select,
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::batch::{Care, Touched, Verdict, Writes, place};
pub(crate) use self::request::{Basis, NewState, Request};
use crate::{
    append::Appended,
    clock::Clock,
    connect::{Database, Lane, Pools, broken, tuned},
    error::{AppendError, StoreError},
    ledger::{Moment, Probe},
    listen,
    message::Position,
    metrics::Tally,
    recent::Shared,
    sql::{self, Arg, Sql},
};

/// How many appends may share a transaction.
const BATCH: usize = 512;
/// For how many batches everything is looked up after one was refused.
const CAUTION: u32 = 32;
/// After how long without use a connection is tried before it is relied on.
const IDLE: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take over a batch before it is taken for lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the appender is asked to do.
pub(crate) enum Work {
    /// To write an append.
    Append(Box<Request>),
    /// To run other statements, in a transaction with the appends around
    /// them. Only on SQLite, where nobody else may write.
    Run(Chore),
}

/// Statements that are not part of an append.
pub(crate) struct Chore {
    pub(crate) statements: Vec<(Sql, Vec<Arg>)>,
    /// Told how many rows the last one changed.
    pub(crate) reply: oneshot::Sender<Result<u64, StoreError>>,
}

/// The task.
pub(crate) struct Appender {
    database: Database,
    clock: Clock,
    shared: Arc<Shared>,
    probe: Option<Probe>,
    /// How many more batches to look everything up for.
    caution: u32,
    /// When the last message was recorded: time does not go back in the ledger.
    recorded_at: i64,
    /// The connection to PostgreSQL, while there is one, and its last use.
    postgres: Option<(PgConnection, Instant)>,
    /// The connection to SQLite, while there is work.
    sqlite: Option<PoolConnection<Sqlite>>,
    tally: Tally,
    /// Keeps other processes from a ledger in a file.
    _lock: Option<File>,
}

/// Why a batch was not written.
enum Failure {
    /// The database refused it. One of its requests is to blame, or another
    /// process came in between; then it is worth looking again.
    Refused { error: Error, look_again: bool },
    /// Something broke. Whether it was written is not known.
    Broken(Error),
}

/// What became of a batch.
struct Outcome {
    verdicts: Vec<Verdict>,
    /// Where the head stood before it.
    before: Position,
    is_written: bool,
    /// When the first of the timers it set is due.
    alarm: Option<i64>,
}

impl Appender {
    pub(crate) fn new(
        database: Database,
        clock: Clock,
        shared: Arc<Shared>,
        probe: Option<Probe>,
        recorded_at: i64,
        lock: Option<File>,
    ) -> Self {
        Self {
            database,
            clock,
            shared,
            probe,
            caution: 0,
            recorded_at,
            postgres: None,
            sqlite: None,
            tally: Tally::default(),
            _lock: lock,
        }
    }

    /// Works until it is told to stop, then finishes what is queued.
    pub(crate) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Work>,
        shutdown: CancellationToken,
    ) {
        let mut waiting = Vec::with_capacity(BATCH);
        loop {
            if queue.is_empty() {
                // Somebody else may need it: there is only one.
                self.sqlite = None;
            }
            select! {
                count = queue.recv_many(&mut waiting, BATCH) => {
                    if count == 0 {
                        break;
                    }
                }
                () = shutdown.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            }
            let mut requests = Vec::with_capacity(waiting.len());
            let mut chores = Vec::new();
            for work in waiting.drain(..) {
                match work {
                    Work::Append(request) => requests.push(*request),
                    Work::Run(chore) => chores.push(chore),
                }
            }
            self.write_together(requests, chores).await;
        }
        debug!("the appender has stopped");
    }

    /// Writes a batch in one transaction, or one by one if that fails.
    async fn write_together(&mut self, requests: Vec<Request>, chores: Vec<Chore>) {
        if let Some(lost) = self.shared.went_back() {
            for request in requests {
                self.refuse(request, lost.clone());
            }
            return;
        }
        self.recorded_at = self.clock.now().max(self.recorded_at);
        let care = self.care(&requests);
        if !requests.is_empty() {
            self.tally.batch_appends.record(u32::try_from(requests.len()).unwrap_or(u32::MAX));
        }
        let began = Instant::now();
        let mut attempt = self.attempt(&requests, &chores, care).await;
        if let Err(Failure::Refused { look_again: true, .. }) = attempt
            && care != Care::Lock
        {
            debug!("something is not as it was expected to be");
            self.caution = CAUTION;
            attempt = self.attempt(&requests, &chores, Care::Lock).await;
        }
        self.tally.batch_duration.record(began.elapsed());
        match attempt {
            Ok((outcome, done)) => {
                self.finish(requests, outcome);
                for (chore, result) in chores.into_iter().zip(done) {
                    // Whoever asked may have gone; it is done all the same.
                    let _ = chore.reply.send(result.map_err(broken));
                }
            }
            Err(Failure::Refused { error, .. }) => {
                debug!(error = &error as &dyn std::error::Error, "writing one by one");
                for request in requests {
                    self.write_alone(request).await;
                }
                for chore in chores {
                    self.run_alone(chore).await;
                }
            }
            Err(Failure::Broken(cause)) => self.give_up(requests, chores, cause).await,
        }
    }

    /// How sure to be before a batch is written.
    fn care(&mut self, requests: &[Request]) -> Care {
        let is_cautious = self.caution > 0;
        self.caution = self.caution.saturating_sub(1);
        let mut streams = requests.iter().flat_map(|request| &request.streams);
        if streams.any(|stream| stream.events.is_empty()) {
            // That nobody writes to a stream shows only while nobody can.
            Care::Lock
        } else if is_cautious {
            Care::Look
        } else {
            Care::Trust
        }
    }

    async fn write_alone(&mut self, request: Request) {
        let requests = [request];
        match self.attempt(&requests, &[], Care::Lock).await {
            Ok((outcome, _)) => self.finish(requests.into(), outcome),
            Err(Failure::Refused { error, .. }) => {
                let [request] = requests;
                self.refuse(request, broken(error));
            }
            Err(Failure::Broken(cause)) => {
                self.give_up(requests.into(), Vec::new(), cause).await;
            }
        }
    }

    async fn run_alone(&mut self, chore: Chore) {
        let result = match self.attempt(&[], std::slice::from_ref(&chore), Care::Trust).await {
            Ok((_, mut done)) => done.pop().unwrap_or(Ok(0)),
            Err(Failure::Refused { error, .. } | Failure::Broken(error)) => Err(error),
        };
        let _ = chore.reply.send(result.map_err(broken));
    }

    /// Says that nobody knows what became of a batch, and finds out where the
    /// ledger stands now.
    async fn give_up(&mut self, requests: Vec<Request>, chores: Vec<Chore>, cause: Error) {
        let cause = self.shared.went_back().unwrap_or_else(|| broken(cause));
        error!(error = &cause as &dyn std::error::Error, "appending failed");
        self.postgres = None;
        self.sqlite = None;
        match sql::fetch(&self.database, Lane::Work, &sql::HEAD, &[], sql::int).await {
            Ok(head) => self.shared.advance(head.first().copied().map_or(Position(0), Position)),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the head cannot be read");
            }
        }
        let head = self.shared.head();
        for request in requests {
            for stream in &request.streams {
                self.shared.aggregates.may_have_been_written(stream.id, head);
            }
            self.refuse(request, cause.clone());
        }
        for chore in chores {
            let _ = chore.reply.send(Err(cause.clone()));
        }
    }

    fn refuse(&self, request: Request, cause: StoreError) {
        let result = Err(AppendError::Store(cause));
        self.tally.became(&result);
        // Whoever asked may have gone.
        let _ = request.reply.send(result);
    }

    async fn attempt(
        &mut self,
        requests: &[Request],
        chores: &[Chore],
        care: Care,
    ) -> Result<(Outcome, Vec<Result<u64, Error>>), Failure> {
        let database = self.database.clone();
        match database.pools() {
            Pools::Sqlite { write, .. } => self.attempt_sqlite(write, requests, chores, care).await,
            Pools::Postgres { work: pool, .. } => {
                let attempt = timeout(PATIENCE, self.attempt_postgres(pool, requests, care));
                match attempt.await {
                    Ok(attempt) => Ok((attempt?, Vec::new())),
                    Err(_) => Err(Failure::Broken(Error::Io(ErrorKind::TimedOut.into()))),
                }
            }
        }
    }

    async fn attempt_postgres(
        &mut self,
        pool: &PgPool,
        requests: &[Request],
        care: Care,
    ) -> Result<Outcome, Failure> {
        // Connecting and looking change nothing, so they may be tried again.
        let mut waits = [20, 100, 400, 1_000].into_iter();
        let (mut connection, touched) = loop {
            match self.look_postgres(pool, requests, care).await {
                Ok(looked) => break looked,
                Err(error) => match waits.next() {
                    Some(wait) if sql::is_passing(&error) => {
                        debug!(error = &error as &dyn std::error::Error, "connecting again");
                        sleep(Duration::from_millis(wait)).await;
                    }
                    Some(_) | None => return Err(refused(error)),
                },
            }
        };
        let (verdicts, writes) = touched.judge(requests);
        let written = self.write_postgres(&mut connection, &writes, care).await;
        // After anything but a refusal the connection is not to be trusted.
        if !matches!(written, Err(Failure::Broken(_))) {
            self.postgres = Some((connection, Instant::now()));
        }
        Ok(Outcome {
            before: written?,
            is_written: !writes.is_empty(),
            alarm: writes.alarm(),
            verdicts,
        })
    }

    /// Looks up what the requests touch, as far as that takes care. The
    /// connection is handed over only when it is sound.
    async fn look_postgres<'r>(
        &mut self,
        pool: &PgPool,
        requests: &'r [Request],
        care: Care,
    ) -> Result<(PgConnection, Touched<'r>), Error> {
        let mut connection = if let Some((mut connection, used_at)) = self.postgres.take() {
            // One that broke while nobody used it should not cost an append.
            if used_at.elapsed() > IDLE {
                connection.ping().await?;
            }
            connection
        } else {
            let mut connection = tuned(pool).await?;
            // It may lead to another server than the last one did.
            if !listen::is_the_same(&mut connection, &self.shared).await? {
                return Err(another_ledger());
            }
            connection
        };
        if care == Care::Lock {
            postgres::lock(&mut connection).await?;
        }
        let mut touched = self.touched(requests, care);
        postgres::look(&mut connection, &mut touched).await?;
        Ok((connection, touched))
    }

    async fn write_postgres(
        &self,
        connection: &mut PgConnection,
        writes: &Writes<'_>,
        care: Care,
    ) -> Result<Position, Failure> {
        let is_locked = care == Care::Lock;
        if writes.is_empty() {
            if is_locked {
                postgres::roll_back(connection).await.map_err(Failure::Broken)?;
            }
            return Ok(self.shared.head());
        }
        self.probe(Moment::BeforeCommit, || writes.names());
        let landmark = self.shared.landmark();
        let tells = !self.shared.company.is_alone();
        match postgres::write(connection, writes, self.recorded_at, tells).await {
            Ok(before) => {
                let before = Position(before);
                let went_back = before < landmark.head;
                if went_back {
                    self.shared.seen(landmark, before, None);
                }
                if is_locked {
                    if went_back {
                        postgres::roll_back(connection).await.map_err(Failure::Broken)?;
                    } else {
                        postgres::commit(connection).await.map_err(Failure::Broken)?;
                    }
                }
                if went_back { Err(Failure::Broken(another_ledger())) } else { Ok(before) }
            }
            Err(error) => {
                if is_locked {
                    postgres::roll_back(connection).await.map_err(Failure::Broken)?;
                }
                Err(refused(error))
            }
        }
    }

    async fn attempt_sqlite(
        &mut self,
        pool: &SqlitePool,
        requests: &[Request],
        chores: &[Chore],
        care: Care,
    ) -> Result<(Outcome, Vec<Result<u64, Error>>), Failure> {
        let mut connection = match self.sqlite.take() {
            Some(connection) => connection,
            None => pool.acquire().await.map_err(Failure::Broken)?,
        };
        let mut touched = self.touched(requests, care);
        let has_begun = match sqlite::look(&mut connection, &mut touched).await {
            Ok(has_begun) => has_begun,
            Err(error) => {
                sqlite::roll_back(&mut connection).await;
                return Err(refused(error));
            }
        };
        let (verdicts, writes) = touched.judge(requests);
        let written = self.write_sqlite(&mut connection, &writes, chores, has_begun).await;
        let (is_written, alarm) = (!writes.is_empty(), writes.alarm());
        match written {
            Ok((before, done)) => {
                self.sqlite = Some(connection);
                Ok((Outcome { verdicts, before, is_written, alarm }, done))
            }
            Err(failure) => {
                sqlite::roll_back(&mut connection).await;
                self.sqlite = Some(connection);
                Err(failure)
            }
        }
    }

    async fn write_sqlite(
        &self,
        connection: &mut PoolConnection<Sqlite>,
        writes: &Writes<'_>,
        chores: &[Chore],
        has_begun: bool,
    ) -> Result<(Position, Vec<Result<u64, Error>>), Failure> {
        // The last thing to do commits along with it.
        let commits = chores.is_empty() && self.probe.is_none();
        let before = if writes.is_empty() {
            if !has_begun {
                if chores.is_empty() {
                    return Ok((self.shared.head(), Vec::new()));
                }
                sqlite::begin(connection).await.map_err(refused)?;
            }
            self.shared.head()
        } else {
            let now = self.recorded_at;
            let written = sqlite::write(connection, writes, now, has_begun, commits).await;
            let before = Position(written.map_err(refused)?);
            if commits {
                return Ok((before, Vec::new()));
            }
            before
        };
        let mut done = Vec::with_capacity(chores.len());
        for chore in chores {
            done.push(sqlite::run(connection, &chore.statements).await);
        }
        if !writes.is_empty() {
            self.probe(Moment::BeforeCommit, || writes.names());
        }
        sqlite::commit(connection).await.map_err(Failure::Broken)?;
        Ok((before, done))
    }

    fn touched<'r>(&self, requests: &'r [Request], care: Care) -> Touched<'r> {
        Touched::by(requests, care, |stream| self.shared.aggregates.version(stream))
    }

    /// Lets everybody know what was written.
    fn finish(&mut self, requests: Vec<Request>, outcome: Outcome) {
        let Outcome { verdicts, before, is_written, alarm } = outcome;
        if is_written {
            self.probe(Moment::AfterCommit, || {
                let accepted = requests.iter().zip(&verdicts).filter(|(_, it)| it.is_accepted());
                accepted.flat_map(|(request, _)| request.rows()).map(|row| &*row.name).collect()
            });
        }
        let mut messages = Vec::new();
        let mut replies = Vec::with_capacity(requests.len());
        let mut written_states = Vec::new();
        for (mut request, verdict) in requests.into_iter().zip(verdicts) {
            let result = match verdict {
                Verdict::Refused(error) => Err(error),
                Verdict::Accepted { offset, written, repeats } => {
                    let mut states = mem::take(&mut request.states);
                    for stream in &request.streams {
                        let Some(last) = stream.events.last() else { continue };
                        let known = states.iter().position(|state| state.stream == stream.id);
                        let state = known.map(|known| states.swap_remove(known).state);
                        written_states.push((stream.id, last.version, state));
                    }
                    let rows = request.take_rows().enumerate();
                    let rows = rows.filter(|(number, _)| !repeats.contains(number));
                    let first = before.0 + place(offset);
                    messages.extend((first + 1..).zip(rows).map(|(position, (_, row))| {
                        Arc::new(row.recorded(Position(position), self.recorded_at))
                    }));
                    Ok(Appended {
                        first: Position(first + i64::from(written > 0)),
                        last: Position(first + place(written)),
                    })
                }
            };
            replies.push((request.reply, result));
        }

        // Whoever hears of a message must find the aggregate it belongs to as
        // it is after it, so the states come first and the head moves last.
        let head = messages.last().map_or(before, |last| last.position);
        for (stream, version, state) in written_states {
            self.shared.aggregates.was_written(stream, head, version, state);
        }
        self.shared.messages.push(&messages);
        self.shared.advance(head);
        for message in &messages {
            self.tally.committed(message);
        }
        if let Some(due_at) = alarm {
            self.shared.alarms.set(due_at);
        }
        for (reply, result) in replies {
            self.tally.became(&result);
            // Whoever asked may have gone; it is written all the same.
            let _ = reply.send(result);
        }
    }

    fn probe<'n>(&self, moment: Moment, names: impl FnOnce() -> Vec<&'n str>) {
        if let Some(probe) = &self.probe {
            probe.reached(moment, &names());
        }
    }
}

/// What a statement ends with that found another ledger than was known. It is
/// not tried again.
fn another_ledger() -> Error {
    Error::Configuration("the connection leads to another ledger".into())
}

/// Tells a refusal of the database, after which nothing was written, from a
/// failure, after which nothing is known.
fn refused(error: Error) -> Failure {
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return Failure::Broken(error);
    };
    // PostgreSQL's classes: bad data, broken constraint, lost race. A division
    // by zero is how a statement says that a count was wrong.
    if let "22012" | "23505" | "40001" | "40P01" = &*code {
        return Failure::Refused { error, look_again: true };
    }
    if code.len() == 5 && ["22", "23", "42"].iter().any(|class| code.starts_with(class)) {
        return Failure::Refused { error, look_again: false };
    }
    // SQLite's, the low byte: error (an overflow is how it says that a count was
    // wrong), constraint, mismatch.
    if code.len() < 5 && code.parse::<i32>().is_ok_and(|code| matches!(code & 0xFF, 1 | 19 | 20)) {
        return Failure::Refused { error, look_again: true };
    }
    Failure::Broken(error)
}
