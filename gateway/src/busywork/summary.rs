//! What came of the work, for people and for programs.

use std::{collections::BTreeMap, fmt};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Job;

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The mall.
    pub url: String,
    /// What chance started from.
    pub seed: u64,
    /// How many clients worked.
    pub clients: u32,
    /// How long.
    pub seconds: f64,
    /// What became of the operations, all together.
    #[serde(flatten)]
    pub counts: Counts,
    /// How many operations a second, whatever became of them.
    pub per_second: f64,
    /// How many mutations the mall said were done.
    pub acknowledged: u64,
    /// How many operations were under way when the work ended, and not waited for.
    pub abandoned: u64,
    /// By job, as they stand in [`JOBS`](super::JOBS).
    pub jobs: Vec<JobSummary>,
    /// By operation.
    pub operations: Vec<OperationSummary>,
    /// What was refused, as it may be where many want the same.
    pub refusals: Vec<Refusal>,
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// Why operations were sent more than once.
    pub retries: Vec<Retry>,
    /// What became of orders.
    pub orders: OrdersSummary,
    /// All that was acknowledged, if it was to be recorded.
    #[serde(skip)]
    pub records: Vec<Acknowledged>,
}

/// What became of some operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Done.
    pub ok: u64,
    /// Refused, as they may be.
    pub refused: u64,
    /// Gone wrong.
    pub failed: u64,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobSummary {
    /// Which.
    pub job: Job,
    /// How often it was begun.
    pub runs: u64,
    /// What became of its operations.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What became of an operation.
#[derive(Debug, Clone, Serialize)]
pub struct OperationSummary {
    /// Which.
    pub operation: &'static str,
    /// What became of it.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long it took, retries included.
    pub latencies: Latencies,
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// How many times it was measured.
    pub count: u64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// 95 % took no longer.
    pub p95_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// In which job.
    pub job: Job,
    /// By which code.
    pub code: String,
    /// For which reason, in the domain's words.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// In which job.
    pub job: Job,
    /// In which operation.
    pub operation: &'static str,
    /// By which code: the mall's, `UNREACHABLE`, `GARBLED`, `NOT_SETTLED` (an
    /// order that stayed as it was) or `WRONG_OUTCOME` (the mall did what it
    /// should not have done).
    pub code: String,
    /// What was said about it, the first time.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Why operations were sent more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// What the attempt before had come to.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// What became of orders.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrdersSummary {
    /// How many came to which state, of those that were followed to it.
    pub followed: BTreeMap<&'static str, u64>,
    /// How long it took from checkout to approval.
    pub checkout_to_approved: Latencies,
}

/// A mutation that the mall said was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// Which.
    pub operation: &'static str,
    /// What it was about; empty where the mall chose the id.
    pub id: String,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.ok + self.refused + self.failed
    }
}

impl Latencies {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "half an hour in microseconds is exact")]
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: ms(histogram.max()),
        }
    }
}

impl Summary {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// How often something went wrong under a code.
    #[must_use]
    pub fn faults_of(&self, code: &str) -> u64 {
        self.faults.iter().filter(|fault| fault.code == code).map(|fault| fault.count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { ok, refused, failed } = self.counts;
        writeln!(
            f,
            "{} clients kept {} busy for {:.1} s (seed {})",
            self.clients, self.url, self.seconds, self.seed
        )?;

        writeln!(f, "\n{:<28}{:>9}{:>9}{:>9}{:>9}", "job", "runs", "ok", "refused", "failed")?;
        for JobSummary { job, runs, counts } in &self.jobs {
            let Counts { ok, refused, failed } = counts;
            writeln!(f, "{:<28}{runs:>9}{ok:>9}{refused:>9}{failed:>9}", job.as_str())?;
        }

        writeln!(
            f,
            "\n{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "operation", "ok", "refused", "failed", "p50 ms", "p95 ms", "p99 ms", "max ms"
        )?;
        for OperationSummary { operation, counts, latencies } in &self.operations {
            let Counts { ok, refused, failed } = counts;
            writeln!(f, "{operation:<28}{ok:>9}{refused:>9}{failed:>9}{latencies}")?;
        }

        let OrdersSummary { followed, checkout_to_approved } = &self.orders;
        if checkout_to_approved.count > 0 {
            let approved = "checkout to approved";
            writeln!(
                f,
                "{approved:<28}{:>9}{:18}{checkout_to_approved}",
                checkout_to_approved.count, ""
            )?;
        }
        if !followed.is_empty() {
            let followed: Vec<_> =
                followed.iter().map(|(status, count)| format!("{count} {status}")).collect();
            writeln!(f, "\norders followed: {}", followed.join(", "))?;
        }

        if !self.refusals.is_empty() {
            writeln!(f, "\nrefused, as it may happen where many want the same:")?;
            for Refusal { job, code, reason, count } in &self.refusals {
                writeln!(f, "{count:>9}  {:<26}{code} {reason}", job.as_str())?;
            }
        }
        if !self.retries.is_empty() {
            writeln!(f, "\nsent again:")?;
            for Retry { code, count } in &self.retries {
                writeln!(f, "{count:>9}  after {code}")?;
            }
        }
        if !self.faults.is_empty() {
            writeln!(f, "\nwent wrong:")?;
            for Fault { job, operation, code, message, count } in &self.faults {
                writeln!(f, "{count:>9}  {:<26}{code} in {operation}: {message}", job.as_str())?;
            }
        }
        if self.abandoned > 0 {
            writeln!(f, "\n{} under way at the end were not waited for", self.abandoned)?;
        }
        writeln!(
            f,
            "\n{} operations, {:.1} a second: {ok} ok, {refused} refused, {failed} failed; \
             {} changes acknowledged",
            self.counts.total(),
            self.per_second,
            self.acknowledged
        )
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count: _, p50_ms, p95_ms, p99_ms, max_ms } = self;
        write!(f, "{p50_ms:>9.1}{p95_ms:>9.1}{p99_ms:>9.1}{max_ms:>9.1}")
    }
}
