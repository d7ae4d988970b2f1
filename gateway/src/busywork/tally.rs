//! Counting, while the work goes on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use hdrhistogram::Histogram;
use mallbots_domain::ordering::OrderStatus;

use super::{
    JOBS, Job, Options,
    summary::{
        Acknowledged, Counts, Fault, JobSummary, Latencies, OperationSummary, OrdersSummary,
        Refusal, Retry, Summary,
    },
};

/// The longest time that is told apart, in microseconds: half an hour.
const LONGEST: u64 = 1_800_000_000;

/// The count so far.
#[derive(Debug)]
pub(super) struct Tally(Mutex<Books>);

#[derive(Debug)]
struct Books {
    record: bool,
    empty: Histogram<u64>,
    counts: Counts,
    abandoned: u64,
    acknowledged: u64,
    jobs: BTreeMap<Job, JobBook>,
    operations: BTreeMap<&'static str, OperationBook>,
    refusals: BTreeMap<(Job, String, String), u64>,
    faults: BTreeMap<(Job, &'static str, String), (u64, String)>,
    retries: BTreeMap<String, u64>,
    records: Vec<Acknowledged>,
    settled: BTreeMap<&'static str, u64>,
    settling: Histogram<u64>,
}

#[derive(Debug, Default)]
struct JobBook {
    runs: u64,
    counts: Counts,
}

#[derive(Debug)]
struct OperationBook {
    counts: Counts,
    latencies: Histogram<u64>,
}

/// What became of an operation.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// It was done; what it was about is told for a mutation.
    Ok { changed: Option<&'a str> },
    /// The mall said no, as it may.
    Refused { code: &'a str, reason: &'a str },
    /// It went wrong.
    Failed { code: &'a str, message: String },
}

impl Tally {
    pub(super) fn new(record: bool) -> anyhow::Result<Self> {
        let empty =
            Histogram::new_with_bounds(1, LONGEST, 3).context("preparing to measure latencies")?;
        Ok(Self(Mutex::new(Books {
            record,
            counts: Counts::default(),
            abandoned: 0,
            acknowledged: 0,
            jobs: BTreeMap::new(),
            operations: BTreeMap::new(),
            refusals: BTreeMap::new(),
            faults: BTreeMap::new(),
            retries: BTreeMap::new(),
            records: Vec::new(),
            settled: BTreeMap::new(),
            settling: empty.clone(),
            empty,
        })))
    }

    /// A job was begun.
    pub(super) fn began(&self, job: Job) {
        self.books().jobs.entry(job).or_default().runs += 1;
    }

    /// An operation was done with.
    pub(super) fn did(
        &self,
        job: Job,
        operation: &'static str,
        took: Duration,
        outcome: Outcome<'_>,
    ) {
        let mut books = self.books();
        let books = &mut *books;
        let operation_book = books.operations.entry(operation).or_insert_with(|| OperationBook {
            counts: Counts::default(),
            latencies: books.empty.clone(),
        });
        operation_book.latencies.saturating_record(micros(took));
        let counts = [
            &mut books.counts,
            &mut books.jobs.entry(job).or_default().counts,
            &mut operation_book.counts,
        ];
        match outcome {
            Outcome::Ok { changed } => {
                for counts in counts {
                    counts.ok += 1;
                }
                if let Some(id) = changed {
                    books.acknowledged += 1;
                    if books.record {
                        books.records.push(Acknowledged { operation, id: id.to_owned() });
                    }
                }
            }
            Outcome::Refused { code, reason } => {
                for counts in counts {
                    counts.refused += 1;
                }
                let key = (job, code.to_owned(), reason.to_owned());
                *books.refusals.entry(key).or_default() += 1;
            }
            Outcome::Failed { code, message } => {
                for counts in counts {
                    counts.failed += 1;
                }
                let key = (job, operation, code.to_owned());
                books.faults.entry(key).or_insert((0, message)).0 += 1;
            }
        }
    }

    /// The mall did something else than it should have.
    pub(super) fn wrong(&self, job: Job, operation: &'static str, message: String) {
        let key = (job, operation, "WRONG_OUTCOME".to_owned());
        self.books().faults.entry(key).or_insert((0, message)).0 += 1;
    }

    /// An operation was sent again.
    pub(super) fn retried(&self, code: &str) {
        *self.books().retries.entry(code.to_owned()).or_default() += 1;
    }

    /// The work was over before an operation was answered. What became of it is
    /// not known.
    pub(super) fn abandoned(&self) {
        self.books().abandoned += 1;
    }

    /// An order came as far as it was followed, so long after its checkout.
    pub(super) fn settled(&self, status: OrderStatus, took: Duration) {
        let mut books = self.books();
        *books.settled.entry(status.as_str()).or_default() += 1;
        if status == OrderStatus::Approved {
            books.settling.saturating_record(micros(took));
        }
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> Counts {
        self.books().counts
    }

    /// All of it.
    pub(super) fn summary(&self, options: &Options, elapsed: Duration) -> Summary {
        let books = self.books();
        let seconds = elapsed.as_secs_f64();
        let jobs = JOBS.iter().filter_map(|(job, _)| {
            let JobBook { runs, counts } = books.jobs.get(job)?;
            Some(JobSummary { job: *job, runs: *runs, counts: *counts })
        });
        let operations = books.operations.iter().map(|(operation, book)| OperationSummary {
            operation,
            counts: book.counts,
            latencies: Latencies::of(&book.latencies),
        });
        let refusals = books.refusals.iter().map(|((job, code, reason), count)| Refusal {
            job: *job,
            code: code.clone(),
            reason: reason.clone(),
            count: *count,
        });
        let faults = books.faults.iter().map(|((job, operation, code), (count, message))| Fault {
            job: *job,
            operation,
            code: code.clone(),
            message: message.clone(),
            count: *count,
        });
        let retries = books.retries.iter();
        let retries = retries.map(|(code, count)| Retry { code: code.clone(), count: *count });
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one decimal")]
        let per_second = books.counts.total() as f64 / seconds.max(1e-6);
        Summary {
            url: options.url.clone(),
            seed: options.seed,
            clients: options.clients,
            seconds,
            counts: books.counts,
            per_second,
            acknowledged: books.acknowledged,
            abandoned: books.abandoned,
            jobs: jobs.collect(),
            operations: operations.collect(),
            refusals: refusals.collect(),
            faults: faults.collect(),
            retries: retries.collect(),
            orders: OrdersSummary {
                followed: books.settled.iter().map(|(status, count)| (*status, *count)).collect(),
                checkout_to_approved: Latencies::of(&books.settling),
            },
            records: books.records.clone(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Counts stay counts, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_happened_is_in_the_summary() {
        let tally = Tally::new(true).unwrap();
        let ms = Duration::from_millis;
        tally.began(Job::Buy);
        tally.did(Job::Buy, "startBasket", ms(1), Outcome::Ok { changed: Some("basket_1") });
        tally.did(Job::Buy, "products", ms(2), Outcome::Ok { changed: None });
        for took in [3, 5] {
            let outcome = Outcome::Refused { code: "PRICE_CHANGED", reason: "PRICE_CHANGED" };
            tally.did(Job::Buy, "checkoutBasket", ms(took), outcome);
        }
        let outcome = Outcome::Failed { code: "TIMEOUT", message: "given up".to_owned() };
        tally.did(Job::Buy, "checkoutBasket", ms(10), outcome);
        tally.retried("UNREACHABLE");
        tally.abandoned();
        tally.settled(OrderStatus::Approved, ms(7));
        tally.settled(OrderStatus::Rejected, ms(9));

        let summary = tally.summary(&Options::default(), Duration::from_secs(2));
        assert_eq!(summary.counts, Counts { ok: 2, refused: 2, failed: 1 });
        assert_eq!((summary.acknowledged, summary.abandoned), (1, 1));
        assert!((summary.per_second - 2.5).abs() < 1e-9);
        assert_eq!(summary.records[0].id, "basket_1");
        let [job] = &summary.jobs[..] else { panic!("{:?}", summary.jobs) };
        assert_eq!((job.job, job.runs, job.counts), (Job::Buy, 1, summary.counts));
        let checkout = &summary.operations[0];
        assert_eq!(checkout.operation, "checkoutBasket");
        assert_eq!(checkout.counts, Counts { ok: 0, refused: 2, failed: 1 });
        assert!((checkout.latencies.p50_ms - 5.0).abs() < 0.1, "{checkout:?}");
        assert!((checkout.latencies.max_ms - 10.0).abs() < 0.1, "{checkout:?}");
        assert_eq!(summary.refusals[0].count, 2);
        assert_eq!(summary.faults[0].message, "given up");
        assert_eq!(summary.retries[0].count, 1);
        assert_eq!(summary.orders.followed.len(), 2);
        assert_eq!(summary.orders.checkout_to_approved.count, 1);
        assert!(!summary.is_clean());
    }

    #[test]
    fn refusals_and_retries_are_no_faults_and_wrong_outcomes_are() {
        let tally = Tally::new(false).unwrap();
        let refused = Outcome::Refused { code: "CONFLICT", reason: "SKU_TAKEN" };
        tally.did(Job::AddProducts, "addProduct", Duration::ZERO, refused);
        let changed = Outcome::Ok { changed: Some("bot_1") };
        tally.did(Job::Depot, "registerBot", Duration::ZERO, changed);
        tally.retried("UNAVAILABLE");
        let summary = tally.summary(&Options::default(), Duration::ZERO);
        assert!(summary.is_clean());
        assert!(summary.records.is_empty());

        tally.wrong(Job::PayTooLittle, "checkoutBasket", "approved".to_owned());
        assert!(!tally.summary(&Options::default(), Duration::ZERO).is_clean());
    }
}
