//! What the command line says of itself: the help of every command, and
//! `docs/cli.md`, which is made of it.

use std::fmt::Write as _;

use clap::CommandFactory;
use mallbots_gateway::cli::Cli;

/// The commands with their help, depth first.
fn helps(command: &clap::Command, path: &str, text: &mut String) {
    let mut told = command.clone().term_width(100);
    writeln!(
        text,
        "\n## {path}\n\n```text\n{}\n```",
        told.render_long_help().to_string().trim_end()
    )
    .unwrap();
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        helps(inner, &format!("{path} {}", inner.get_name()), text);
    }
}

/// `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_help_of_every_command_is_as_written_down() {
    let mut text = String::from(
        "# The command line\n\n\
         What `--help` says of each command, written down by `gateway/tests/it/help.rs` \
         (`UPDATE_DOCS=1` writes it anew).\n\n\
         Settings are taken from options, the environment, a file and the defaults, the former \
         over the latter; `mallbots config show --origin` tells which.\n\
         Secrets are never options: those show in lists of processes.\n\
         Commands that ask a running mall go through its public schema, with the token in \
         `MALLBOTS_TOKEN` or a file, and print tables for people and, with `--json`, JSON for \
         programs.\n\
         Each help ends with its exit codes.\n\
         Wherever they apply, 0 is done, 1 is refused or failed, 2 is wrong usage or settings, \
         and 3 is a mall that cannot be reached.\n",
    );
    let mut command = Cli::command();
    command.build();
    helps(&command, "mallbots", &mut text);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap();
    for (is, was) in text.lines().zip(known.lines()) {
        assert_eq!(is, was, "run with UPDATE_DOCS=1, and look at what changed");
    }
    assert_eq!(text.lines().count(), known.lines().count());
}

/// A command that does something.
fn leaves<'a>(
    command: &'a clap::Command,
    path: &str,
    found: &mut Vec<(String, &'a clap::Command)>,
) {
    let mut inner = command.get_subcommands().filter(|inner| inner.get_name() != "help").peekable();
    if inner.peek().is_none() {
        found.push((path.to_owned(), command));
    }
    for inner in inner {
        leaves(inner, &format!("{path} {}", inner.get_name()), found);
    }
}

#[test]
fn every_command_shows_examples_and_exit_codes_and_takes_no_secret() {
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, "mallbots", &mut found);
    assert!(found.len() > 10, "{}", found.len());
    for (path, command) in found {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains("Exit codes:"), "{path}");
        assert!(help.contains("Examples:") && help.contains("\n  mallbots "), "{path}");
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let is_secret = ["secret", "password", "key", "credentials"].contains(&name);
            // The key of parked messages is what they are about.
            assert!(!is_secret || path == "mallbots dlq list", "{path} --{name}");
            assert_ne!(name, "token", "{path}: a token comes in a file or a variable");
        }
    }
}
