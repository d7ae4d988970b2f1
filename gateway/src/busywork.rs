//! The load generator: keeps a running mall busy, through GraphQL like
//! everybody else, and tells how it did.
//!
//! A number of virtual clients each draw one job after the other from
//! [`JOBS`]. What the mall refuses because another client was faster is counted
//! and no fault. Whatever else goes wrong is one, and is never passed over:
//! the summary tells it, and the command fails. Every mutation carries an
//! idempotency key and is sent again under the same key while the mall is
//! away, so that a mall that is killed and comes back loses and doubles
//! nothing.

mod jobs;
mod progress;
mod summary;
mod tally;
mod words;
mod worker;

use std::{
    convert::Infallible,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

pub use self::{
    jobs::Job,
    summary::{
        Acknowledged, Counts, Fault, JobSummary, OperationSummary, OrdersSummary, Refusal, Retry,
        Summary,
    },
};
use self::{tally::Tally, worker::Worker};
use crate::{cli::BusyworkArgs, client::Client, config::Secret, startup::StopSignals};

/// How often each job is drawn, of a thousand.
///
/// The first seven are the mix of the book's program, in its proportions
/// (37.5 %, 12.5 %, 20 %, 15 %, 5 %, 5 %, 5 %), scaled to six tenths. The rest
/// is what that program never did.
pub const JOBS: &[(Job, u32)] = &[
    (Job::Browse, 225),
    (Job::Buy, 75),
    (Job::Register, 120),
    (Job::AddProducts, 90),
    (Job::OpenStore, 30),
    (Job::RebrandStore, 30),
    (Job::RebrandProduct, 30),
    (Job::ChangePrice, 60),
    (Job::ChangeMind, 60),
    (Job::CancelAtOnce, 30),
    (Job::CancelApproved, 30),
    (Job::Depot, 100),
    (Job::PayInvoices, 60),
    (Job::DisableCustomer, 20),
    (Job::PayTooLittle, 20),
    (Job::RemoveProduct, 10),
    (Job::Participation, 10),
];

/// How the load is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The mall's GraphQL.
    pub url: String,
    /// How many clients work at once.
    pub clients: u32,
    /// When to stop.
    pub duration: Option<Duration>,
    /// After how many operations to stop. An operation is something asked of
    /// the mall, however often it had to be sent.
    pub operations: Option<u64>,
    /// What chance starts from. The same seed makes the same choices, as far
    /// as the mall gives the same answers.
    pub seed: u64,
    /// How fast each client works: at 1 it pauses for 0.5 to 2 seconds between
    /// two calls, as in the book's program, at 10 for a tenth of that, and at 0
    /// not at all.
    pub pace: f64,
    /// How long the mall may be away before an operation is given up.
    pub patience: Duration,
    /// Whether the summary is to list what the mall acknowledged.
    pub record: bool,
    /// What the clients show to be let in: that of an administrator.
    pub token: Option<Secret>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080/graphql".to_owned(),
            clients: 5,
            duration: None,
            operations: None,
            seed: 0,
            pace: 1.0,
            patience: Duration::from_mins(1),
            record: false,
            token: None,
        }
    }
}

/// How long calls under way may take to end when the work is over.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps the mall busy until the time is up, the operations are done, or it is
/// canceled. Fails only if the work cannot be begun; all that goes wrong in it
/// is in the summary.
pub async fn run(options: Options, cancel: CancellationToken) -> anyhow::Result<Summary> {
    Shift::new(options, &cancel)?.work().await
}

/// The command: works, tells of it on standard error, and prints the summary
/// on standard output.
pub async fn command(args: &BusyworkArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        url: args.url.clone(),
        clients: args.clients,
        duration: args.duration,
        operations: args.operations,
        seed: args.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>())),
        pace: args.pace,
        token: args.token.read()?,
        ..Options::default()
    };
    let StopSignals { drain, abort } = StopSignals::of_process().context("listening to signals")?;
    let shift = Shift::new(options, &drain)?;
    let summary = {
        let shown = progress::shown(&shift);
        tokio::select! {
            summary = Arc::clone(&shift).work() => summary?,
            never = shown => match never {},
            () = abort.cancelled() => return Ok(ExitCode::from(130)),
        }
    };
    let text = if args.json {
        serde_json::to_string_pretty(&summary).context("writing the summary")? + "\n"
    } else {
        summary.to_string()
    };
    io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What all clients of a run share.
#[derive(Debug)]
struct Shift {
    options: Options,
    client: Client,
    tally: Tally,
    /// How many operations may still be begun.
    budget: Option<AtomicU64>,
    /// Canceled when the work is over.
    over: CancellationToken,
    begun: Instant,
}

impl Shift {
    fn new(options: Options, cancel: &CancellationToken) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            client: Client::new(&options.url)?.with_token(options.token.clone()),
            tally: Tally::new(options.record)?,
            budget: options.operations.map(AtomicU64::new),
            over: cancel.child_token(),
            begun: Instant::now(),
            options,
        }))
    }

    async fn work(self: Arc<Self>) -> anyhow::Result<Summary> {
        let time_is_up = async {
            if let Some(duration) = self.options.duration {
                sleep(duration).await;
                self.over.cancel();
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            worked = self.all_work() => worked?,
            never = time_is_up => match never {},
        }
        Ok(self.tally.summary(&self.options, self.begun.elapsed()))
    }

    async fn all_work(self: &Arc<Self>) -> anyhow::Result<()> {
        let first = Worker::new(Arc::clone(self), 0);
        first.open_the_mall().await.with_context(|| format!("calling {}", self.client.url()))?;
        let mut workers = JoinSet::new();
        for number in 1..=self.options.clients {
            workers.spawn(Worker::new(Arc::clone(self), number).work());
        }
        while let Some(ended) = workers.join_next().await {
            // A client that panics is a fault of this program.
            ended.context("a client broke down")?;
        }
        Ok(())
    }

    /// Whether another operation may be begun. If not, the work is over.
    fn may_begin(&self) -> bool {
        if self.over.is_cancelled() {
            return false;
        }
        let Some(budget) = &self.budget else { return true };
        let took = budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok();
        if !took {
            self.over.cancel();
        }
        took
    }

    /// Ends when calls under way have had their time after the work is over.
    async fn grace_is_over(&self) {
        self.over.cancelled().await;
        sleep(GRACE).await;
    }

    fn chance(&self, number: u32) -> StdRng {
        StdRng::seed_from_u64(self.options.seed.wrapping_add(u64::from(number) << 32))
    }
}

#[cfg(test)]
mod tests;
