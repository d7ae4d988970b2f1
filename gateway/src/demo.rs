//! The demonstration: a mall with stores, customers and bots in which
//! everything moves.
//!
//! The mall is served as always. What happens in it is done by simulated
//! people, who come in through the door like everybody else: customers shop,
//! clerks send bots through the stores, a cashier takes payment of invoices,
//! and a manager changes a price now and then. The console shows all of it.
//! Stop it at any moment and start it again: what was left lying is taken up.

mod cashier;
mod catalog;
mod customers;
mod depot;
mod manager;
mod seed;
mod story;

use std::{
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::de::DeserializeOwned;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    cli::DemoArgs,
    client::{Backoff, CallError, Client, Extensions, Problem, operations::Operation, url_of},
    config::{Config, Secret},
    startup,
};

/// How the mall moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The mall's GraphQL.
    pub url: String,
    /// How fast: 1 is life, 10 ten times as fast.
    pub pace: f64,
    /// What chance starts from.
    pub seed: u64,
    /// How many customers shop.
    pub customers: u32,
    /// How many bots collect.
    pub bots: u32,
    /// Whether to tell on standard error how it goes.
    pub tell: bool,
    /// What they show to be let in: all are one administrator.
    pub token: Option<Secret>,
}

/// Fills the mall if it is empty, and keeps it moving until it is canceled.
/// Fails if there is a mall already that is not the demonstration's.
pub async fn simulate(options: Options, cancel: CancellationToken) -> anyhow::Result<()> {
    let town = Arc::new(Town {
        client: Client::new(&options.url)?.with_token(options.token.clone()),
        options,
        cancel: cancel.clone(),
        deeds: Deeds::default(),
    });
    tokio::select! {
        seeded = seed::seed(&town) => seeded?,
        () = cancel.cancelled() => return Ok(()),
    }
    let mut people = JoinSet::new();
    for number in 1..=town.options.customers {
        people.spawn(customers::live(Arc::clone(&town), number));
    }
    people.spawn(depot::work(Arc::clone(&town)));
    people.spawn(cashier::work(Arc::clone(&town)));
    people.spawn(manager::work(Arc::clone(&town)));
    if town.options.tell {
        people.spawn(story::tell(Arc::clone(&town)));
    }
    // They go on for ever: whoever ends before the demonstration does, broke down.
    tokio::select! {
        Some(ended) = people.join_next() => ended.context("somebody in the mall broke down"),
        () = cancel.cancelled() => Ok(()),
    }
}

/// Settings of the demonstration that differ from the usual defaults: a mall of
/// its own, and a log that leaves room for the story.
pub const DEFAULTS: [(&str, &str); 2] = [("data", "mallbots-demo"), ("log", "warn")];

/// The command: serves the mall, and simulates people in it.
pub async fn command(args: &DemoArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let &DemoArgs { pace, seed, customers, bots, ref token, open } = args;
    let token = token.read()?;
    let stopped = startup::serve_with(config, |application| {
        let options = Options {
            url: url_of(application.address()),
            pace,
            seed: seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>())),
            customers,
            bots,
            tell: true,
            token,
        };
        if open {
            show(&format!("http://{}/", application.address()));
        }
        application.lifecycle().spawn("demonstration", |stop| simulate(options, stop));
    });
    Ok(stopped.await?.into())
}

/// Opens a page in whatever browser the visitor has. Without one they have the
/// address.
fn show(page: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(program);
    let quiet = command.arg(page).stdin(Stdio::null()).stdout(Stdio::null());
    match quiet.stderr(Stdio::null()).spawn() {
        // Somebody has to hear how it ended; nobody has to act on it.
        Ok(mut browser) => drop(std::thread::spawn(move || browser.wait())),
        Err(error) => warn!(%error, program, "no browser could be opened"),
    }
}

/// What everybody in the mall shares.
#[derive(Debug)]
struct Town {
    options: Options,
    client: Client,
    cancel: CancellationToken,
    deeds: Deeds,
}

/// What was done since the start.
#[derive(Debug, Default)]
struct Deeds {
    bought: AtomicU64,
    put_back: AtomicU64,
    picked: AtomicU64,
    paid: AtomicU64,
    repriced: AtomicU64,
}

impl Deeds {
    fn count(deed: &AtomicU64) {
        deed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Town {
    /// What chance has in store for somebody.
    fn chance(&self, somebody: u64) -> StdRng {
        StdRng::seed_from_u64(self.options.seed.wrapping_add(somebody << 32))
    }

    /// Lets some seconds of life pass.
    async fn while_away(&self, rng: &mut StdRng, from: f64, to: f64) {
        let seconds = rng.random_range(from..=to) / self.options.pace;
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Asks the mall until it answers. None if it refused or failed: in a mall
    /// where people may also play along by hand, that is life.
    async fn call<T>(&self, operation: Operation<T>) -> Result<T, Refused>
    where
        T: DeserializeOwned + Send,
    {
        let patience = Duration::from_hours(1);
        match self.client.insist(&operation, patience, |_| ()).await {
            Ok(answer) => Ok(answer),
            Err(CallError::Refused(problem)) if is_life(problem.code()) => Err(Refused(problem)),
            Err(error) => {
                if !self.cancel.is_cancelled() {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, graphql.operation.name = operation.name(), "the mall is at fault");
                }
                // Not at once again.
                sleep(Duration::from_secs(1)).await;
                Err(Refused(Box::new(Problem {
                    message: error.to_string(),
                    extensions: Extensions::default(),
                })))
            }
        }
    }

    /// Watches something for as long as somebody wants to see more of it, over
    /// however many sockets that takes.
    async fn watch<T, R>(
        &self,
        operation: impl Fn() -> Operation<T> + Send,
        mut see: impl FnMut(T) -> Option<R> + Send,
    ) -> R
    where
        T: DeserializeOwned + Send,
        R: Send,
    {
        loop {
            let mut backoff = Backoff::lasting(Duration::from_hours(1));
            let mut changes = loop {
                match self.client.subscribe(&operation()).await {
                    Ok(changes) => break changes,
                    Err(_) => backoff.wait().await,
                };
            };
            while let Some(Ok(item)) = changes.next().await {
                if let Some(seen) = see(item) {
                    changes.close().await;
                    return seen;
                }
            }
            // The mall restarts, or there is nothing to see yet.
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What the mall said no with.
#[derive(Debug)]
struct Refused(Box<Problem>);

/// Whether a refusal is what happens where many want the same.
fn is_life(code: &str) -> bool {
    matches!(code, "PRICE_CHANGED" | "FAILED_PRECONDITION" | "CONFLICT" | "NOT_FOUND")
}
