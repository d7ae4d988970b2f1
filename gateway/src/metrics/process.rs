//! What the system knows of this process, by the names that every Prometheus
//! client gives it. Written out by hand: a recorder counts in whole numbers.

use std::{fmt::Write, fs, time::SystemTime};

use mallbots_eventstore::metrics::{Kind, Metric};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, labels: &[], help }
}

const CPU: Metric =
    metric("process_cpu_seconds_total", Kind::Counter, "How much CPU time has it used?");
const RESIDENT: Metric =
    metric("process_resident_memory_bytes", Kind::Gauge, "How much memory does it have?");
const VIRTUAL: Metric =
    metric("process_virtual_memory_bytes", Kind::Gauge, "How much address space has it reserved?");
const FILES: Metric =
    metric("process_open_fds", Kind::Gauge, "How many files and connections has it open?");
const MOST_FILES: Metric = metric("process_max_fds", Kind::Gauge, "How many may it have open?");
const THREADS: Metric = metric("process_threads", Kind::Gauge, "How many threads has it?");
const STARTED: Metric = metric(
    "process_start_time_seconds",
    Kind::Gauge,
    "When did it start, in seconds since the Unix epoch?",
);

/// All that is told of the process.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static ALL: [Metric; 7] = [CPU, RESIDENT, VIRTUAL, FILES, MOST_FILES, THREADS, STARTED];
    ALL.iter()
}

/// When the process opened.
#[derive(Debug, Clone, Copy)]
pub struct Started(SystemTime);

impl Started {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now())
    }

    /// Writes what is known, as Prometheus reads it. What the system does not
    /// tell is left out.
    pub fn write(self, out: &mut String) {
        let mut put = |metric: &Metric, value: Option<f64>| {
            let Some(value) = value else { return };
            let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
            let (name, help) = (metric.name, metric.help);
            // Text takes whatever is written to it.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        };
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = super::number(cpu.tv_sec) + super::number(cpu.tv_nsec) / 1e9;
        put(&CPU, Some(cpu));
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        put(&RESIDENT, field(&status, "VmRSS:").map(|kib| kib * 1024.0));
        put(&VIRTUAL, field(&status, "VmSize:").map(|kib| kib * 1024.0));
        put(&THREADS, field(&status, "Threads:"));
        let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        put(&FILES, files.and_then(|files| Some(super::number(i64::try_from(files).ok()?))));
        let most = getrlimit(Resource::Nofile).current;
        put(&MOST_FILES, most.and_then(|most| Some(super::number(i64::try_from(most).ok()?))));
        let started = self.0.duration_since(SystemTime::UNIX_EPOCH).ok();
        put(&STARTED, started.map(|started| started.as_secs_f64()));
    }
}

/// A number of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
