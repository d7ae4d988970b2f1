//! Going through the books: whether everything that must hold of a mall's data
//! does hold.
//!
//! The databases are only read, each in one snapshot, so the mall may go on.
//! One file holds the checks of one subject: each sees every message of the
//! ledger once, in order, and says at the end what was wrong.

mod history;
mod library;
mod money;
mod names;
mod orders;
mod sagas;
mod transport;
mod work;

use std::{fmt, time::Instant};

use anyhow::Context;
use mallbots_domain::event::DomainEvent;
use mallbots_eventstore::{
    audit::{RawMessage, Snapshot},
    clock::Clock,
    codec,
    connect::Database,
    ledger::{Ledger, LedgerOptions},
    message::{MessageKind, Position, Recorded},
    upcast::Upcasters,
};
use mallbots_projections::{audit::standing, verify::compare};
use serde::Serialize;

use self::{
    history::History, library::Library, money::Money, names::Names, orders::Orders, sagas::Sagas,
    work::Work,
};
use crate::config::{self, Config};

/// How many differences of a check are told one by one.
const TOLD: usize = 10;
/// How many messages are read at once.
const PAGE: u32 = 2_000;

/// What came of going through the books.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether everything holds.
    pub clean: bool,
    /// Up to where the ledger was read.
    pub position: Position,
    /// How long it took.
    pub seconds: f64,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// Something that must hold, and what does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// Of how many things it was checked.
    pub checked: u64,
    /// For how many it does not hold.
    pub differences: u64,
    /// The first of them.
    pub first: Vec<String>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
}

impl Check {
    const fn new(name: &'static str) -> Self {
        Self { name, checked: 0, differences: 0, first: Vec::new(), notes: Vec::new() }
    }

    /// Something was looked at.
    const fn saw(&mut self) {
        self.checked += 1;
    }

    /// Something is not as it must be.
    fn differs(&mut self, what: impl fmt::Display) {
        self.differences += 1;
        if self.first.len() < TOLD {
            self.first.push(what.to_string());
        }
    }

    fn note(&mut self, what: impl fmt::Display) {
        self.notes.push(what.to_string());
    }
}

/// A message with what is in it.
struct Seen<'a> {
    message: &'a Recorded,
    /// What happened, if it is an event.
    event: Option<&'a DomainEvent>,
}

/// How far it is: from 0 to 1, and with what.
pub type Progress<'a> = &'a mut (dyn FnMut(f64, &str) + Send);

/// Goes through the books of the mall that the settings name. `is_quick`
/// leaves out comparing the read models with tables that are filled anew.
pub async fn verify(
    config: &Config,
    is_quick: bool,
    progress: Progress<'_>,
) -> anyhow::Result<Report> {
    let (ledger, views) = open(config).await?;
    let report = verify_in(&ledger, &views, config.nats.as_ref(), is_quick, progress).await;
    // What was found counts, not how the connections end.
    let _ = (ledger.close().await, views.close().await);
    report
}

async fn open(config: &Config) -> anyhow::Result<(Database, Database)> {
    if let Some(url) = &config.database_url {
        let database = Database::postgres_read_only(url.expose()).await;
        let database = database.context("connecting to PostgreSQL")?;
        return Ok((database.clone(), database));
    }
    let open = async |name: &str| {
        let path = config.data.join(name);
        let database = Database::sqlite_read_only(&path).await;
        database.with_context(|| format!("opening {}", path.display()))
    };
    Ok((open("ledger.db").await?, open("views.db").await?))
}

async fn verify_in(
    ledger: &Database,
    views: &Database,
    nats: Option<&config::nats::Nats>,
    is_quick: bool,
    progress: Progress<'_>,
) -> anyhow::Result<Report> {
    let begun = Instant::now();
    // The views first: then the ledger knows all that they know.
    let standing = standing(views).await.context("reading the read models")?;
    let snapshot = Snapshot::of(ledger).await.context("reading the ledger")?;
    let head = snapshot.head().await.context("reading the ledger")?;
    let in_ledger = if is_quick { 1.0 } else { 0.5 };

    let upcasters = Upcasters::default();
    let mut history = History::new(&upcasters);
    let (mut names, mut money, mut orders) = (Names::new(), Money::new(), Orders::new());
    let (mut sagas, mut work) = (Sagas::new(), Work::of(&snapshot).await?);
    let mut library = Library::of(standing);
    let mut after = 0;
    loop {
        let page = snapshot.messages(after, PAGE).await.context("reading the ledger")?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for raw in &page {
            let Some((message, event)) = history.see(raw) else { continue };
            let seen = Seen { message: &message, event: event.as_ref() };
            names.see(&seen);
            money.see(&seen);
            orders.see(&seen);
            sagas.see(&seen);
            work.see(&seen);
            library.see(&seen);
        }
        progress(share(after, head) * in_ledger, "reading the ledger");
    }

    let mut checks = history.end(&snapshot, head).await.context("reading the ledger")?;
    checks.push(names.end(&snapshot).await.context("reading the ledger")?);
    checks.extend(money.end());
    checks.extend(sagas.end(&orders, &work));
    checks.extend(orders.end());
    checks.extend(work.end(&snapshot, head).await.context("reading the ledger")?);
    checks.extend(library.end(head));
    snapshot.end().await.context("reading the ledger")?;
    let ledger = Ledger::read_only(ledger.clone(), Clock::System, LedgerOptions::default()).await;
    let ledger = ledger.context("reading the ledger")?;
    checks.push(transport::leases(&ledger).await?);
    if let Some(nats) = nats {
        checks.push(transport::stream(nats, &ledger).await?);
    }
    if !is_quick {
        checks.push(rebuilt(&ledger, views, progress).await);
    }

    let clean = checks.iter().all(|check| check.differences == 0);
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Report { clean, position: Position(head), seconds, checks })
}

/// Compares the read models with tables that are filled from nothing.
async fn rebuilt(ledger: &Ledger, views: &Database, progress: Progress<'_>) -> Check {
    let mut check = Check::new("live tables equal tables rebuilt from the ledger");
    let told = |at: Position, to: Position| {
        progress(0.5 + share(at.0, to.0) * 0.5, "filling tables to compare with");
    };
    match compare(views, ledger, told).await {
        Ok(comparison) => {
            check.checked = comparison.rows;
            for table in comparison.differences {
                let told = table.first.len();
                for row in &table.first {
                    check.differs(format!("{}: {row}", table.table));
                }
                check.differences += table.rows.saturating_sub(count(told));
            }
        }
        // A ledger that cannot be read to its end is told of by other checks too.
        Err(error) => check.differs(format!("they cannot be compared: {}", chain(&error))),
    }
    check
}

#[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
fn share(at: i64, of: i64) -> f64 {
    at as f64 / of.max(1) as f64
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// An error with all that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What is in a row of the ledger.
fn read(
    raw: &RawMessage,
    upcasters: &Upcasters,
) -> Result<(Recorded, Option<DomainEvent>), String> {
    let message = raw.read()?;
    let event = match message.kind {
        MessageKind::Event => {
            Some(codec::decode_event(&message, upcasters).map_err(|error| chain(&error))?)
        }
        MessageKind::Command | MessageKind::Reply => {
            serde_json::from_str::<serde_json::Map<_, _>>(&message.payload)
                .map_err(|error| format!("its content is no JSON object: {error}"))?;
            None
        }
    };
    Ok((message, event))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, checked, differences, first, notes } in &self.checks {
            let mark = if *differences == 0 { "ok" } else { "!!" };
            writeln!(f, "{mark}  {name} ({checked} checked)")?;
            for difference in first {
                writeln!(f, "      {difference}")?;
            }
            let more = differences.saturating_sub(count(first.len()));
            if more > 0 {
                writeln!(f, "      … and {more} more")?;
            }
            for note in notes {
                writeln!(f, "      note: {note}")?;
            }
        }
        let position = self.position;
        if self.clean {
            writeln!(f, "Everything holds, up to position {position}.")
        } else {
            let failed = self.checks.iter().filter(|check| check.differences > 0).count();
            writeln!(
                f,
                "{failed} of {} checks failed, up to position {position}.",
                self.checks.len()
            )
        }
    }
}
