//! `mallbots completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;

/// What the help says at its end.
pub(crate) const HELP: &str = "\
Examples:
  mallbots completions bash > ~/.local/share/bash-completion/completions/mallbots
  mallbots completions zsh > \"${fpath[1]}/_mallbots\"
  mallbots completions fish > ~/.config/fish/completions/mallbots.fish

Exit codes:
  0  done
  1  it could not be written
  2  wrong usage";

/// For which shell.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The script for the shell.
pub fn script(args: &CompletionsArgs) -> Vec<u8> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "mallbots", &mut script);
    script
}
