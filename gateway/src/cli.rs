//! What can be typed after `mallbots`.

pub mod completions;
pub mod dlq;
pub mod doctor;
pub mod events;
pub mod orders;
pub mod projections;
pub mod sagas;
pub mod settings;
pub mod token;
pub mod verify;

mod asking;
mod bar;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use self::{
    completions::CompletionsArgs, dlq::DlqCommand, doctor::DoctorArgs, events::EventsArgs,
    orders::OrdersCommand, projections::ProjectionsCommand, sagas::SagaCommand,
    settings::ConfigCommand, token::TokenCommand, verify::VerifyArgs,
};
use crate::config::{self, LogFormat, Secret, duration, listen};

/// A shopping mall served by robots.
///
/// Customers fill baskets, a saga turns each into an order, bots collect the
/// goods, invoices are paid. Everything is asked for, changed and watched over
/// GraphQL.
#[derive(Debug, Parser)]
#[command(name = "mallbots", version, after_long_help = after_help())]
pub struct Cli {
    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Opens the mall and serves it until it is told to stop. The default.
    #[command(after_help = SERVE_HELP)]
    Serve,
    /// Brings the database to what this version needs, and ends. `serve` does it too.
    #[command(after_help = MIGRATE_HELP)]
    Migrate,
    /// Asks the server with the same settings whether it is ready, and ends with 0 if so.
    #[command(after_help = HEALTH_HELP)]
    Health,
    /// Prints the GraphQL schema.
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Serves a mall with simulated customers and bots, in which everything moves.
    /// It is kept in ./mallbots-demo, and quiet, if nothing else is said.
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// Keeps a running mall busy, and tells how it did.
    #[command(after_help = BUSYWORK_HELP)]
    Busywork(BusyworkArgs),
    /// Checks that everything holds that must hold of a mall's data.
    ///
    /// The databases are only read, and the mall may be open meanwhile.
    #[command(after_help = verify::HELP)]
    Verify(VerifyArgs),
    /// Makes a token, for somebody who is to come in as what it says.
    ///
    /// It is signed with the key that a server with the same settings checks it
    /// by: auth_secret, or in development mode the one that is kept with the
    /// data. It is printed, and kept nowhere.
    #[expect(clippy::doc_markdown, reason = "clap shows the comment as it stands")]
    #[command(after_help = token::HELP)]
    Token(TokenCommand),
    /// What customers of a running mall have ordered.
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// The long processes that orders of a running mall are in, step by step.
    #[command(subcommand)]
    Saga(SagaCommand),
    /// What happened to anything in a running mall, and on as it happens.
    #[command(after_help = events::HELP)]
    Events(EventsArgs),
    /// How the read models of a running mall stand, and filling them anew.
    #[command(subcommand)]
    Projections(ProjectionsCommand),
    /// What is parked in a running mall because it could not be handled.
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Looks whether all is there that a mall needs, and says how to mend what is not.
    ///
    /// Settings, data folder or PostgreSQL, NATS, clocks and ports, as a server
    /// with the same settings would find them, whether one runs or not. Nothing is
    /// changed, and nothing takes longer than half a minute.
    #[command(after_help = doctor::HELP)]
    Doctor(DoctorArgs),
    /// The settings, and where each comes from.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints what a shell needs to complete this command line.
    #[command(after_help = completions::HELP)]
    Completions(CompletionsArgs),
}

const SERVE_HELP: &str = "\
Examples:
  mallbots serve                            the mall in ./mallbots-data, on 127.0.0.1:8080
  mallbots serve --data /srv/mall --log-format json
  DATABASE_URL=postgres://… NATS_URL=nats://… mallbots serve --roles gateway

Exit codes:
  0    stopped as it was told to
  1    failed; the log says why
  2    wrong usage or settings
  3    stopped, but not everything ended within the shutdown timeout
  130  ended at once, by a second signal";

const MIGRATE_HELP: &str = "\
Examples:
  DATABASE_URL=postgres://… mallbots migrate   the tables, before the first server starts
  mallbots --data /srv/mall migrate

Exit codes:
  0  the tables are as this version needs them
  1  failed; the message says why
  2  wrong usage or settings";

const HEALTH_HELP: &str = "\
Examples:
  mallbots health
  mallbots --listen 127.0.0.1:9000 health   the server that listens there

Exit codes:
  0  it is ready
  1  it is not, or does not answer
  2  wrong usage or settings";

const SCHEMA_HELP: &str = "\
Examples:
  mallbots schema > schema.graphql

Exit codes:
  0  done
  1  it could not be written
  2  wrong usage";

const DEMO_HELP: &str = "\
Examples:
  mallbots demo --open                      … and look at it in a browser
  mallbots demo --pace 10 --customers 50 --bots 20
  mallbots demo --seed 7                    the same customers with the same wishes

Exit codes:
  0    stopped as it was told to
  1    failed; the message says why
  2    wrong usage or settings
  3    stopped, but not everything ended within the shutdown timeout
  130  ended at once, by a second signal";

const BUSYWORK_HELP: &str = "\
Examples:
  mallbots busywork --duration 30s
  mallbots busywork --clients 50 --pace 0 --operations 10000 --json

Exit codes:
  0  all went as it should
  1  something did not; the summary says what
  2  wrong usage";

const BEFORE_SETTINGS: &str = "\
Examples:
  mallbots                                 serve the mall in ./mallbots-data on 127.0.0.1:8080
  mallbots --listen 127.0.0.1:0            … on any free port; the real address is printed
  mallbots --data /tmp/mall --log debug    … from another folder, with more to read
  MALLBOTS_LISTEN=[::1]:80 mallbots        each option is also a variable
  DATABASE_URL=postgres://… mallbots       … on PostgreSQL instead of files
  mallbots --config mall.toml              … with settings from a file
  mallbots --roles commands --contexts depot   one process of several that share PostgreSQL
  DATABASE_URL=postgres://… mallbots migrate   the tables, before the first server starts
  mallbots schema > schema.graphql         the schema, for tools
  mallbots verify                          whether everything holds that must hold
  mallbots doctor                          what is missing, and how to mend it
  mallbots orders list --status ready      what waits to be paid
  mallbots saga list --stuck               what waits for an operator
  mallbots events ID --follow              what happens to an order, a basket, anything
  mallbots projections rebuild --all       the read models anew, while the mall goes on
  mallbots dlq list                        what could not be handled
  mallbots token --role depot              somebody's way in
  mallbots config show --origin            every setting, and where it comes from

Settings without an option come from the environment or the file, for example
MALLBOTS_CURRENCY or `currency` in the file:
";

const AFTER_SETTINGS: &str = "
Commands that ask a running mall show the token in MALLBOTS_TOKEN, or in the
file named by --token-file or MALLBOTS_TOKEN_FILE.

Exit codes:
  0    stopped as it was told to
  1    failed; the log says why
  2    wrong usage or settings
  3    stopped, but not everything ended within the shutdown timeout
  130  ended at once, by a second signal";

fn after_help() -> String {
    format!("{BEFORE_SETTINGS}{}{AFTER_SETTINGS}", config::settings::help())
}

/// Settings that can be made by option.
#[expect(clippy::doc_markdown, reason = "clap shows the comments as they stand")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// A file of settings, in TOML [env: MALLBOTS_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What this process does, of gateway, commands, sagas, projector, relay
    /// and notifier [env: MALLBOTS_ROLES] [default: everything]
    #[arg(long, global = true, value_name = "ROLES")]
    pub roles: Option<String>,

    /// The contexts whose commands it handles, of baskets, customers, ordering,
    /// payments, depot and notifications [env: MALLBOTS_CONTEXTS] [default: all]
    #[arg(long, global = true, value_name = "CONTEXTS")]
    pub contexts: Option<String>,

    /// Where to listen; port 0 takes any free one [env: MALLBOTS_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = listen)]
    pub listen: Option<SocketAddr>,

    /// Where to listen for who asks for metrics and health; port 0 takes any
    /// free one [env: MALLBOTS_ADMIN_LISTEN] [default: nowhere]
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = listen)]
    pub admin_listen: Option<SocketAddr>,

    /// Where the databases live [env: MALLBOTS_DATA] [default: ./mallbots-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or a filter for each
    /// module [env: MALLBOTS_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,

    /// How the log is written [env: MALLBOTS_LOG_FORMAT] [default: pretty]
    #[arg(long, global = true, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

impl SettingsArgs {
    /// The settings that were made, as text by name.
    pub(crate) fn as_settings(&self) -> std::collections::BTreeMap<String, String> {
        let Self { config: _, roles, contexts, listen, admin_listen, data, log, log_format } = self;
        let settings = [
            ("roles", roles.clone()),
            ("contexts", contexts.clone()),
            ("listen", listen.map(|address| address.to_string())),
            ("admin_listen", admin_listen.map(|address| address.to_string())),
            ("data", data.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("log", log.clone()),
            ("log_format", log_format.map(|format| format.to_string())),
        ];
        let made = settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        made.collect()
    }
}

/// How the demonstration runs.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DemoArgs {
    /// How fast the mall moves: 1 is life, 10 is ten times as fast
    #[arg(long, default_value = "1", value_parser = pace)]
    pub pace: f64,

    /// What chance starts from: the same seed, the same customers with the same wishes
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// How many customers shop
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub customers: u32,

    /// How many bots collect
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub bots: u32,

    #[expect(missing_docs, reason = "clap would take it for a description of the command")]
    #[command(flatten)]
    pub token: TokenArgs,

    /// Opens the console in a browser
    #[arg(long)]
    pub open: bool,
}

/// How the load is made.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct BusyworkArgs {
    /// The mall to keep busy
    #[arg(long, default_value = "http://127.0.0.1:8080/graphql")]
    pub url: String,

    /// How many clients work at once
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub clients: u32,

    /// When to stop, such as 30s or 10m; never, if neither this nor --operations is given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// After how many operations to stop
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub operations: Option<u64>,

    /// What chance starts from
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// How fast each client works: 1 is a person's pace, 100 hardly pauses, 0
    /// does not pause at all
    #[arg(long, default_value = "1", value_parser = pace_or_none)]
    pub pace: f64,

    /// Prints the summary as JSON
    #[arg(long)]
    pub json: bool,

    #[expect(missing_docs, reason = "clap would take it for a description of the command")]
    #[command(flatten)]
    pub token: TokenArgs,
}

/// As whom a command comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct TokenArgs {
    /// The file of the token to come in with; without, it is MALLBOTS_TOKEN
    #[expect(clippy::doc_markdown, reason = "clap shows the comment as it stands")]
    #[arg(long, value_name = "FILE", env = "MALLBOTS_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The token, if there is one: a server in development mode does without.
    pub fn read(&self) -> anyhow::Result<Option<Secret>> {
        config::token(self.token_file.as_deref())
    }
}

fn pace_or_none(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if pace == 0.0 || (0.1..=100.0).contains(&pace) => Ok(pace),
        _ => Err("must be a number from 0.1 to 100, or 0".to_owned()),
    }
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.1..=100.0).contains(&pace) => Ok(pace),
        _ => Err("must be a number from 0.1 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::auth::Role;

    #[derive(Debug, Parser)]
    struct Demo {
        #[command(flatten)]
        args: DemoArgs,
    }

    #[derive(Debug, Parser)]
    struct Busywork {
        #[command(flatten)]
        args: BusyworkArgs,
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        Demo::command().debug_assert();
        Busywork::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default_and_takes_options_before_and_after() {
        let bare = Cli::try_parse_from(["mallbots"]).unwrap();
        assert_eq!((bare.command, bare.settings), (None, SettingsArgs::default()));
        for line in [
            ["mallbots", "--listen", "127.0.0.1:0", "serve"],
            ["mallbots", "serve", "--listen", "127.0.0.1:0"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.command, Some(Command::Serve));
            assert_eq!(cli.settings.listen, Some("127.0.0.1:0".parse().unwrap()));
        }
        assert!(Cli::try_parse_from(["mallbots", "--listen", "nowhere"]).is_err());
        assert!(Cli::try_parse_from(["mallbots", "--log-format", "xml"]).is_err());
    }

    #[test]
    fn the_roles_of_a_token_are_not_those_of_a_process() {
        let line = ["mallbots", "token", "--role", "depot", "--role", "admin", "--roles", "sagas"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.settings.roles.as_deref(), Some("sagas"));
        let Some(Command::Token(token)) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(token.roles, [Role::Depot, Role::Admin]);
        assert!(Cli::try_parse_from(["mallbots", "token"]).is_err());
        assert!(Cli::try_parse_from(["mallbots", "token", "--role", "root"]).is_err());
    }

    #[test]
    fn paces_and_counts_have_bounds() {
        for pace in ["0.1", "100", "2.5"] {
            assert!(Demo::try_parse_from(["demo", "--pace", pace]).is_ok(), "{pace}");
        }
        for pace in ["0", "0.09", "101", "-1", "NaN", "inf", "fast"] {
            assert!(Demo::try_parse_from(["demo", "--pace", pace]).is_err(), "{pace}");
        }
        let busywork = Busywork::try_parse_from(["busywork"]).unwrap().args;
        assert_eq!((busywork.clients, busywork.duration), (5, None));
        for clients in ["0", "201"] {
            assert!(Busywork::try_parse_from(["busywork", "--clients", clients]).is_err());
        }
    }
}
