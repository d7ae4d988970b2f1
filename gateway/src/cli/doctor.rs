//! `mallbots doctor`: whether all is there that a mall needs.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use super::{SettingsArgs, asking::tame};
use crate::{
    config::Config,
    doctor::{Diagnosis, Finding, Level, examine},
};

/// What the help says at its end.
pub(crate) const HELP: &str = "\
Examples:
  mallbots doctor                           before the first start, or when something is wrong
  DATABASE_URL=postgres://… NATS_URL=nats://… mallbots doctor --roles relay
  mallbots doctor --json | jq '.findings[] | select(.level != \"good\")'

Exit codes:
  0  nothing is bad; there may be warnings
  1  something is bad; each line says how to mend it
  2  wrong usage";

/// How it is told.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Prints what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// Looks, and tells what was found.
pub async fn command(args: &DoctorArgs, flags: &SettingsArgs) -> anyhow::Result<ExitCode> {
    let diagnosis = Box::pin(examine(Config::read(&[], flags, std::env::vars()))).await;
    let text = if args.json {
        serde_json::to_string_pretty(&diagnosis).context("writing what was found")? + "\n"
    } else {
        in_words(&diagnosis)
    };
    io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(if diagnosis.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn in_words(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for Finding { area, level, found, mend } in &diagnosis.findings {
        let level = match level {
            Level::Good => "good",
            Level::Warning => "WARNING",
            Level::Bad => "BAD",
        };
        let _ = writeln!(text, "{area:<8}  {level:<7}  {}", tame(found));
        if let Some(mend) = mend {
            let _ = writeln!(text, "{:<8}  {:<7}  → {mend}", "", "");
        }
    }
    let is_bad = |level: Level| diagnosis.findings.iter().filter(|one| one.level == level).count();
    let (bad, warnings) = (is_bad(Level::Bad), is_bad(Level::Warning));
    let _ = match (bad, warnings) {
        (0, 0) => writeln!(text, "\nAll is well."),
        (bad, warnings) => writeln!(text, "\n{bad} bad, {warnings} to be looked at."),
    };
    text
}
