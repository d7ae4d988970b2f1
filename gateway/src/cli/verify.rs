//! `mallbots verify`: whether everything that must hold of a mall's data does.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use super::bar::Bar;
use crate::{config::Config, verify::verify};

/// The exit code when something does not hold.
const DIFFERENCES: u8 = 1;

/// What the help says at its end.
pub(crate) const HELP: &str = "\
Examples:
  mallbots verify                           the mall in ./mallbots-data, also while it is open
  mallbots --data /tmp/mall verify --json   another one, for programs
  DATABASE_URL=postgres://… mallbots verify --quick

What is checked: positions without gaps; versions 1 to n in each stream; unique
message ids; everything can be read; names, answers and what consumers remember
agree with history; every command is answered, every saga ended, stuck or under
way; the money adds up; orders go as they may; the read models miss nothing and
equal tables filled anew; no lease is held for ever. With NATS_URL, too: the last
messages on JetStream are what the ledger has. What is missing there is told and
no fault.

Exit codes:
  0  everything holds
  1  something does not; the first ten differences of each check are told
  2  it could not be checked; the message says why";

/// How the books are gone through.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct VerifyArgs {
    /// Leaves out comparing the read models with tables filled anew
    #[arg(long)]
    pub quick: bool,

    /// Prints what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks, and tells what was found. Fails if it could not be checked.
pub async fn command(args: &VerifyArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let report = {
        let mut bar = Bar::new();
        verify(config, args.quick, &mut |share, what| bar.at(share, what)).await?
    };
    let text = if args.json {
        serde_json::to_string_pretty(&report).context("writing the report")? + "\n"
    } else {
        report.to_string()
    };
    io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENCES) })
}
