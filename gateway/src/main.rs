//! `mallbots`: one binary for all roles.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use mallbots_gateway::{
    busywork,
    cli::{self, Cli, Command},
    config::Config,
    demo, health, mall, startup, telemetry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of wrong usage; clap ends with the same.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => configured(&cli, &[], serve),
        Command::Migrate => configured(&cli, &[], migrate),
        Command::Demo(args) => configured(&cli, &demo::DEFAULTS, |config| {
            telemetry::start(&config.log).context("starting the log")?;
            let _flush = telemetry::traces::start(config)?;
            block_on(demo::command(&args, config))
        }),
        Command::Busywork(args) => {
            block_on(busywork::command(&args)).unwrap_or_else(|error| fail(&error, 1))
        }
        Command::Health => configured(&cli, &[], |config| block_on(health::command(config))),
        Command::Verify(args) => match settings(&cli, &[]) {
            // Here 1 says that something was found.
            Ok(config) => block_on(cli::verify::command(&args, &config))
                .unwrap_or_else(|error| fail(&error, WRONG_USAGE)),
            Err(error) => fail(&error, WRONG_USAGE),
        },
        Command::Token(command) => {
            configured(&cli, &[], |config| block_on(cli::token::command(&command, config)))
        }
        Command::Orders(command) => asking(cli::orders::command(&command)),
        Command::Saga(command) => asking(cli::sagas::command(&command)),
        Command::Events(args) => asking(cli::events::command(&args)),
        Command::Projections(command) => asking(cli::projections::command(&command)),
        Command::Dlq(command) => asking(cli::dlq::command(&command)),
        Command::Doctor(args) => block_on(cli::doctor::command(&args, &cli.settings))
            .unwrap_or_else(|error| fail(&error, 1)),
        Command::Config(command) => match Config::read(&[], &cli.settings, std::env::vars()) {
            Ok(reading) => {
                cli::settings::command(&command, &reading).unwrap_or_else(|error| fail(&error, 1))
            }
            Err(error) => fail(&error.into(), WRONG_USAGE),
        },
        Command::Completions(args) => {
            print(&cli::completions::script(&args)).unwrap_or_else(|error| fail(&error, 1))
        }
        Command::Schema => print(startup::sdl().as_bytes()).unwrap_or_else(|error| fail(&error, 1)),
    }
}

/// Does what needs the settings, if they are good.
fn configured(
    cli: &Cli,
    defaults: &[(&str, &str)],
    work: impl Fn(&Config) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    match settings(cli, defaults) {
        Ok(config) => work(&config).unwrap_or_else(|error| fail(&error, 1)),
        Err(error) => fail(&error, WRONG_USAGE),
    }
}

/// Does what asks a running mall, and tells itself how it ended.
fn asking(work: impl Future<Output = ExitCode>) -> ExitCode {
    block_on(async { Ok(work.await) }).unwrap_or_else(|error| fail(&error, 1))
}

fn settings(cli: &Cli, defaults: &[(&str, &str)]) -> anyhow::Result<Config> {
    Ok(Config::load_over(defaults, &cli.settings, std::env::vars())?)
}

fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config.log).context("starting the log")?;
    block_on(async {
        mall::Databases::open(config).await?.close().await;
        print(b"The tables are as this version needs them.\n")
    })
}

fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config.log).context("starting the log")?;
    let _flush = telemetry::traces::start(config)?;
    block_on(async { startup::serve(config).await.map(ExitCode::from) })
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let done = runtime.block_on(work);
    // What is still running was given its time.
    runtime.shutdown_background();
    done
}

fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(text).context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    // With standard error gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "mallbots: {error:#}");
    ExitCode::from(code)
}
