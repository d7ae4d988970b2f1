//! The door, measured from outside: requests and sockets of the gateway's own
//! transport next to the stock integration of the same executor, and next to
//! a bare handler, in one run.
//!
//! `cargo bench -p mallbots --bench door -- [one-row|twenty-orders|idle|equal|
//! fan-out|many|stuck] [files|postgres] [--sockets N] [--seconds N]`:
//! everything, or only what is named. `--sockets` is for the idle ones, the
//! others are scaled alike.
//!
//! Servers are processes of their own, so that what they cost can be told from
//! what the clients cost; both share the machine.

#![expect(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that fails may as well stop, and says what it has to say"
)]

mod live;
mod process;
mod requests;
mod served;
mod wire;

use std::time::Duration;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it builds.
    if words.iter().any(|word| word == "--test") {
        return;
    }
    process::allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if words.first().is_some_and(|word| word == process::SERVE) {
        return runtime.block_on(served::serve(&words[1..]));
    }
    runtime.block_on(measure(&Plan::of(&words)));
}

/// What to measure.
struct Plan {
    parts: Vec<String>,
    backends: Vec<&'static str>,
    /// How many sockets are open where the most are.
    sockets: usize,
    /// How long something steady is watched.
    time: Duration,
}

impl Plan {
    fn of(words: &[String]) -> Self {
        let number = |name: &str, default: u64| {
            let place = words.iter().position(|word| word == name);
            place.map_or(default, |place| words[place + 1].parse().expect("a number"))
        };
        let named = |all: &[&'static str]| -> Vec<&'static str> {
            all.iter().copied().filter(|known| words.iter().any(|word| word == known)).collect()
        };
        let parts = ["one-row", "twenty-orders", "idle", "equal", "fan-out", "many", "stuck"];
        let backends = named(&served::BACKENDS);
        Self {
            parts: named(&parts).into_iter().map(str::to_owned).collect(),
            backends: if backends.is_empty() { served::BACKENDS.to_vec() } else { backends },
            sockets: usize::try_from(number("--sockets", 10_000)).unwrap(),
            time: Duration::from_secs(number("--seconds", 20)),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    /// So many, if the most sockets are ten thousand.
    fn scaled(&self, count: usize) -> usize {
        (count * self.sockets / 10_000).max(1)
    }
}

async fn measure(plan: &Plan) {
    println!("| what | measured | must reach | |");
    println!("|---|---|---|---|");
    for backend in &plan.backends {
        if plan.wants("one-row") {
            requests::one_row(backend, plan.time).await;
        }
        if plan.wants("twenty-orders") {
            requests::twenty_orders(backend, plan.time).await;
        }
    }
    if plan.wants("idle") {
        live::idle(plan.sockets).await;
    }
    if plan.wants("equal") {
        live::equal(plan.scaled(2_000), plan.time).await;
    }
    if plan.wants("fan-out") {
        live::fan_out(plan.scaled(1_000)).await;
    }
    if plan.wants("many") {
        live::many(plan.scaled(2_000), plan.time).await;
    }
    if plan.wants("stuck") {
        live::stuck(plan.scaled(500), plan.time.mul_f64(1.5)).await;
    }
}

fn row(what: &str, measured: &str, goal: &str, reached: Option<bool>) {
    let verdict = match reached {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    };
    println!("| {what} | {measured} | {goal} | {verdict} |");
}
