//! `mallbots config`: every setting as a server would take it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::asking::table;
use crate::config::{Config, ConfigError, Made, Origin, Reading};

/// The exit code when a server would not start with these settings.
const WRONG: u8 = 2;

/// What can be done with the settings.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Every setting, as `serve` would take it. Nothing is opened.
    ///
    /// Options go over the environment, that over the file, that over the
    /// defaults. Secrets are not shown, nor passwords in addresses.
    #[command(after_help = HELP)]
    Show(ShowArgs),
}

const HELP: &str = "\
Examples:
  mallbots config show                      what a server here would take
  mallbots config show --origin             … and where each setting comes from
  mallbots --config mall.toml --log debug config show --origin
  mallbots config show --json | jq -r '.settings[] | select(.origin.kind != \"default\").name'

Exit codes:
  0  a server would start with these settings
  1  they cannot be shown; the message says why
  2  wrong usage, or wrong settings: the message names them all";

/// How the settings are shown.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ShowArgs {
    /// Tells where each comes from: an option, a variable, a file or the default
    #[arg(long)]
    pub origin: bool,

    /// Prints them as JSON, with their origins
    #[arg(long)]
    pub json: bool,
}

/// The settings, for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    settings: Vec<ToldSetting<'a>>,
    /// What is wrong, in words.
    faults: &'a [String],
    /// Variables that look like settings but are none.
    ignored: &'a [String],
}

#[derive(Debug, Serialize)]
struct ToldSetting<'a> {
    name: &'static str,
    value: Option<&'a str>,
    origin: ToldOrigin,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ToldOrigin {
    Default,
    File { path: String },
    Environment { variable: String },
    Flag { option: String },
}

impl From<&Origin> for ToldOrigin {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::Default => Self::Default,
            Origin::File(path) => Self::File { path: path.display().to_string() },
            Origin::Variable(name) => Self::Environment { variable: name.clone() },
            Origin::Flag(name) => Self::Flag { option: name.clone() },
        }
    }
}

/// Shows what was read. Wrong settings are shown too, before they are told.
pub fn command(command: &ConfigCommand, reading: &Reading) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Show(args) = command;
    let Reading { config: Config { ignored, .. }, made, faults } = reading;
    let text = if args.json {
        let settings = made.iter().map(told).collect();
        let told = Told { settings, faults, ignored };
        serde_json::to_string_pretty(&told).context("writing the settings")? + "\n"
    } else {
        in_words(made, args.origin)
    };
    io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    // With standard error gone there is nobody to tell.
    for name in ignored {
        let _ = writeln!(io::stderr(), "mallbots: {name} is no setting and changes nothing");
    }
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(io::stderr(), "mallbots: {}", ConfigError(faults.clone()));
    Ok(ExitCode::from(WRONG))
}

fn told(made: &Made) -> ToldSetting<'_> {
    let Made { setting, value, origin } = made;
    ToldSetting { name: setting.key, value: value.as_deref(), origin: origin.into() }
}

fn in_words(made: &[Made], with_origin: bool) -> String {
    let value = |made: &Made| made.value.clone().unwrap_or_else(|| "–".to_owned());
    if with_origin {
        let row = |made: &Made| [made.setting.key.to_owned(), value(made), made.origin.to_string()];
        let rows: Vec<_> = made.iter().map(row).collect();
        table(["SETTING", "VALUE", "FROM"], &rows)
    } else {
        let rows: Vec<_> =
            made.iter().map(|made| [made.setting.key.to_owned(), value(made)]).collect();
        table(["SETTING", "VALUE"], &rows)
    }
}
