//! A virtual client: draws jobs, calls the mall, and has everything counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mallbots_domain::{id::OrderId, ordering::OrderStatus};
use rand::{Rng, rngs::StdRng};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::{
    Shift,
    jobs::{self, Job},
    tally::Outcome,
};
use crate::client::{
    Backoff, CallError, Problem,
    operations::{Operation, order_changed},
};

/// Why a job was not done to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The work is over.
    Over,
    /// The mall refused something, as it may.
    Refused(Box<Problem>),
    /// Something went wrong.
    Failed,
}

/// How a step of a job ends.
pub(super) type Step<T> = Result<T, Halt>;

/// A virtual client.
#[derive(Debug)]
pub(super) struct Worker {
    shift: Arc<Shift>,
    pub(super) rng: StdRng,
    job: Job,
    /// Whether the next call needs no pause before.
    fresh: bool,
}

impl Worker {
    pub(super) fn new(shift: Arc<Shift>, number: u32) -> Self {
        let rng = shift.chance(number);
        Self { shift, rng, job: Job::OpenStore, fresh: true }
    }

    /// Works until the work is over. Each round waits for the mall at least
    /// once, so none of them spins.
    pub(super) async fn work(mut self) {
        while !self.shift.over.is_cancelled() {
            let job = Job::draw(&mut self.rng);
            self.begin(job);
            match jobs::perform(&mut self).await {
                // What was refused or went wrong has been counted.
                Ok(()) | Err(Halt::Refused(_) | Halt::Failed) => self.pause().await,
                Err(Halt::Over) => break,
            }
        }
    }

    /// Sees to it that there is a mall to be busy in. The first call tells
    /// whether there is a mall at all.
    pub(super) async fn open_the_mall(mut self) -> Result<(), CallError> {
        let probe = crate::client::operations::order_status_counts();
        let shift = Arc::clone(&self.shift);
        let patience = shift.options.patience.min(FIRST_PATIENCE);
        tokio::select! {
            answer = shift.client.insist(&probe, patience, |_| ()) => { answer?; }
            () = shift.over.cancelled() => return Ok(()),
        }
        self.begin(Job::OpenStore);
        match jobs::open_the_mall(&mut self).await {
            // Whatever it is, the jobs will meet it and count it.
            Ok(()) | Err(Halt::Over | Halt::Refused(_) | Halt::Failed) => Ok(()),
        }
    }

    fn begin(&mut self, job: Job) {
        self.job = job;
        self.fresh = true;
        self.shift.tally.began(job);
    }

    /// The next call needs no pause before: it is to be in time for something.
    pub(super) fn hurry(&mut self) {
        self.fresh = true;
    }

    /// Waits a moment for something that is under way in the mall.
    pub(super) async fn a_moment(&self) {
        sleep(A_MOMENT).await;
    }

    /// What is being done.
    pub(super) fn job(&self) -> Job {
        self.job
    }

    /// How many clients work.
    pub(super) fn crew(&self) -> u32 {
        self.shift.options.clients
    }

    /// Calls the mall. A refusal ends the job, unless the job deals with it.
    pub(super) async fn call<T>(&mut self, operation: Operation<T>) -> Step<T>
    where
        T: DeserializeOwned + Send,
    {
        self.pause().await;
        let shift = Arc::clone(&self.shift);
        if !shift.may_begin() {
            return Err(Halt::Over);
        }
        let began = Instant::now();
        let retried = |error: &CallError| shift.tally.retried(error.code());
        let answer = tokio::select! {
            answer = shift.client.insist(&operation, shift.options.patience, retried) => answer,
            () = shift.grace_is_over() => {
                shift.tally.abandoned();
                return Err(Halt::Over);
            }
        };
        let outcome = match &answer {
            Ok(_) => Outcome::Ok { changed: operation.subject() },
            Err(error) => outcome_of(error),
        };
        shift.tally.did(self.job, operation.name(), began.elapsed(), outcome);
        answer.map_err(Halt::from)
    }

    /// Follows an order until it stands where it is wanted, however often the
    /// mall is lost meanwhile. `since` is when the customer had done all.
    pub(super) async fn follow(
        &mut self,
        order: OrderId,
        since: Instant,
        wanted: fn(OrderStatus) -> bool,
    ) -> Step<OrderStatus> {
        let shift = Arc::clone(&self.shift);
        if !shift.may_begin() {
            return Err(Halt::Over);
        }
        let began = Instant::now();
        let operation = order_changed(order);
        let followed = tokio::select! {
            followed = settled(&shift, order, wanted) => followed,
            () = shift.grace_is_over() => {
                shift.tally.abandoned();
                return Err(Halt::Over);
            }
        };
        let outcome = match &followed {
            Ok(_) => Outcome::Ok { changed: None },
            Err(Lost::Refused(error)) => outcome_of(error),
            Err(Lost::Late(last)) => Outcome::Failed {
                code: "NOT_SETTLED",
                message: match last {
                    Some(last) => format!("{order} is {} still", last.as_str()),
                    None => format!("{order} was not seen"),
                },
            },
        };
        shift.tally.did(self.job, operation.name(), began.elapsed(), outcome);
        match followed {
            Ok(status) => {
                shift.tally.settled(status, since.elapsed());
                Ok(status)
            }
            Err(Lost::Refused(error)) => Err(error.into()),
            Err(Lost::Late(_)) => Err(Halt::Failed),
        }
    }

    /// The mall did something else than it should have.
    pub(super) fn wrong(&self, operation: &'static str, what: String) -> Halt {
        self.shift.tally.wrong(self.job, operation, what);
        Halt::Failed
    }

    /// Takes its time between two calls, as the pace allows.
    async fn pause(&mut self) {
        let pace = self.shift.options.pace;
        if std::mem::take(&mut self.fresh) || pace <= 0.0 {
            return;
        }
        let pause = Duration::from_secs_f64(self.rng.random_range(0.5..=2.0) / pace);
        tokio::select! {
            () = sleep(pause) => {}
            () = self.shift.over.cancelled() => {}
        }
    }
}

/// Half of what the mall takes to accept an order, when it is idle.
const A_MOMENT: Duration = Duration::from_millis(5);

/// How long the mall may be away at the very start.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// Why an order was not seen where it was wanted.
enum Lost {
    /// The mall would not tell.
    Refused(CallError),
    /// It took too long; where the order stood last.
    Late(Option<OrderStatus>),
}

async fn settled(
    shift: &Shift,
    order: OrderId,
    wanted: fn(OrderStatus) -> bool,
) -> Result<OrderStatus, Lost> {
    let operation = order_changed(order);
    let deadline = tokio::time::Instant::now() + shift.options.patience;
    let mut backoff = Backoff::lasting(shift.options.patience);
    let mut last = None;
    loop {
        let watched = async {
            let mut changes = shift.client.subscribe(&operation).await?;
            while let Some(order) = changes.next().await {
                let status = order?.status;
                last = Some(status);
                if wanted(status) {
                    changes.close().await;
                    return Ok(Some(status));
                }
            }
            Ok::<_, CallError>(None)
        };
        match tokio::time::timeout_at(deadline, watched).await {
            Ok(Ok(Some(status))) => return Ok(status),
            // It ended, though the order goes on: the mall closes, perhaps.
            Ok(Ok(None)) => {}
            // An order exists a moment after its basket was bought.
            Ok(Err(error)) if error.is_transient() => shift.tally.retried(error.code()),
            Ok(Err(error)) if error.code() == "NOT_FOUND" => {}
            Ok(Err(error)) => return Err(Lost::Refused(error)),
            Err(_) => return Err(Lost::Late(last)),
        }
        if !backoff.wait().await {
            return Err(Lost::Late(last));
        }
    }
}

/// What the mall may say no with where many want the same at once.
const EXPECTED: [&str; 4] = ["PRICE_CHANGED", "FAILED_PRECONDITION", "CONFLICT", "NOT_FOUND"];

fn outcome_of(error: &CallError) -> Outcome<'_> {
    match error.problem() {
        Some(problem) if EXPECTED.contains(&problem.code()) => {
            Outcome::Refused { code: problem.code(), reason: problem.reason() }
        }
        Some(_) | None => Outcome::Failed { code: error.code(), message: chain(error) },
    }
}

impl From<CallError> for Halt {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) if EXPECTED.contains(&problem.code()) => {
                Self::Refused(problem)
            }
            CallError::Refused(_) | CallError::Unreachable(_) | CallError::Garbled(_) => {
                Self::Failed
            }
        }
    }
}

/// What an error says together with all that led to it.
fn chain(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
