//! What the process tells of itself in numbers: `/metrics` on a listener of
//! its own.
//!
//! Every crate has a list of what it measures; here is the door's, and the
//! recorder that all of them count into. It is there only if somebody has set
//! a listener: without one nothing is counted. What happens is counted as it
//! happens; how things stand is asked when somebody looks (`standing.rs`).
//!
//! `docs/observability.md` has a table of all of them, written from the lists.

pub mod admin;
pub mod door;
pub mod process;
pub mod standing;

use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, anyhow};
use mallbots_eventstore::metrics::{Kind, Metric};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Everything that the mall measures, in the order of its documentation.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    door::all()
        .chain(mallbots_eventstore::metrics::all())
        .chain(mallbots_messaging::metrics::all())
        .chain(mallbots_projections::metrics::all())
        .chain(standing::all())
        .chain(process::all())
}

/// Makes the recorder of this process, or finds it. Rooms that are opened
/// before it are not counted.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder.clone());
    }
    let mut builder = PrometheusBuilder::new();
    for metric in all() {
        if let Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, buckets).context(metric.name)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // Its error holds the recorder, which nobody wants to see.
    metrics::set_global_recorder(recorder).map_err(|_| anyhow!("there is a recorder already"))?;
    all().for_each(Metric::describe);
    Ok(RECORDER.get_or_init(|| handle).clone())
}

/// A number as metrics have it.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³, which no count here reaches")]
pub(crate) const fn number(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write, fs};

    use super::*;

    const BEGIN: &str = "<!-- The table is written by `UPDATE_DOCS=1` from the code. -->\n";
    const END: &str = "<!-- End of the table. -->\n";

    #[test]
    fn every_metric_is_documented() {
        let mut table = "\n| metric | type | labels | unit | what it answers |\n\
                         |---|---|---|---|---|\n"
            .to_owned();
        for metric in all() {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, labels, unit) = (metric.name, labels.join(", "), metric.unit());
            writeln!(table, "| `{name}` | {kind} | {labels} | {unit} | {} |", metric.help).unwrap();
        }
        table.push('\n');
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observability.md");
        let text = fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let due = format!("{before}{BEGIN}{table}{END}{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, &due).unwrap();
        }
        assert_eq!(fs::read_to_string(path).unwrap(), due, "run with UPDATE_DOCS=1");
    }

    #[test]
    fn names_say_what_they_are_and_come_once() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, labels, help } in all() {
            assert!(names.insert(name), "{name} comes twice");
            assert!(name.starts_with("mallbots_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.contains('?'), "{name} answers no question");
            assert!(!labels.iter().any(|label| label.ends_with("id")), "{name} counts ids");
        }
    }
}
