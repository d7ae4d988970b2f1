//! What the commands share that ask a running mall.

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde::{
    Serialize,
    de::{DeserializeOwned, IntoDeserializer, value},
};

use super::TokenArgs;
use crate::client::{
    Backoff, CallError, Client, SetupError, Subscription, operating::Page, operations::Operation,
};

/// How long a mall may be away before a command gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The exit code when the mall refused, or could not do what it was asked.
const REFUSED: u8 = 1;
/// The exit code when the mall could not be reached.
const UNREACHABLE: u8 = 3;

/// Which mall is asked, and how the answer is told.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MallArgs {
    /// The mall's GraphQL
    #[arg(long, default_value = "http://127.0.0.1:8080/graphql")]
    pub url: String,

    /// Prints the answer as JSON
    #[arg(long)]
    pub json: bool,

    // No doc comment: clap would take it for a description of the command.
    #[command(flatten)]
    pub token: TokenArgs,
}

/// How much of a list is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Paged {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

impl Paged {
    /// Everything.
    pub(super) const ALL: Self = Self { limit: u32::MAX, all: true };
}

/// Which one thing is shown.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ShowArgs {
    /// Which
    #[arg(value_name = "ID")]
    pub id: String,

    #[command(flatten)]
    pub mall: MallArgs,
}

/// How many things the mall tells at once.
const LONGEST_PAGE: u32 = 100;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The address is none.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The mall did not answer, or not as hoped.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Something on this side.
    #[error("{0}")]
    Here(String),
    /// The answer cannot be shown.
    #[error("writing the answer")]
    Write(#[from] io::Error),
}

impl AskError {
    /// Whether it may go better later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Here(_) => true,
            Self::Setup(_) | Self::Write(_) => false,
        }
    }
}

/// A mall, and how its answers are told.
pub(super) struct Mall {
    client: Client,
    /// Whether answers are told as JSON.
    pub(super) json: bool,
}

impl Mall {
    pub(super) fn of(args: &MallArgs) -> Result<Self, AskError> {
        let token = args.token.read().map_err(|error| AskError::Here(format!("{error:#}")))?;
        Ok(Self { client: Client::new(&args.url)?.with_token(token), json: args.json })
    }

    /// Asks, and asks again while the mall is away for a moment.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
    ) -> Result<T, AskError> {
        Ok(self.client.insist(operation, PATIENCE, |_| {}).await?)
    }

    /// Asks for something that should not be asked for twice.
    pub(super) async fn ask_once<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
    ) -> Result<T, AskError> {
        Ok(self.client.call(operation, None).await?)
    }

    /// How long it is tried to reach a mall.
    pub(super) fn patience() -> Backoff {
        Backoff::lasting(PATIENCE)
    }

    /// Watches something.
    pub(super) async fn watch<T: DeserializeOwned>(
        &self,
        operation: &Operation<T>,
    ) -> Result<Subscription<T>, AskError> {
        Ok(self.client.subscribe(operation).await?)
    }

    /// As much of a list as is wanted, page by page. That there is more is told
    /// on standard error.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        wanted: Paged,
        page: impl Fn(u32, Option<String>) -> Operation<Page<T>>,
    ) -> Result<Vec<T>, AskError> {
        let limit = if wanted.all { usize::MAX } else { wanted.limit as usize };
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let missing = u32::try_from(limit - found.len()).unwrap_or(u32::MAX);
            let Page { nodes, page_info } =
                self.ask(&page(missing.min(LONGEST_PAGE), after)).await?;
            found.extend(nodes);
            after = page_info.end_cursor;
            if !page_info.has_next_page || after.is_none() {
                break;
            }
            if found.len() >= limit {
                // With standard error gone there is nobody to tell.
                let _ = writeln!(io::stderr(), "mallbots: there are more; --all tells them all");
                break;
            }
        }
        Ok(found)
    }

    /// Prints an answer: as JSON, or in the words for people.
    pub(super) fn tell<T: Serialize + ?Sized>(
        &self,
        answer: &T,
        in_words: impl FnOnce(&T) -> String,
    ) -> Result<(), AskError> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(answer);
            json.map_err(|error| AskError::Here(error.to_string()))? + "\n"
        } else {
            in_words(answer)
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}

/// How a command ended, for the shell.
pub(super) fn ended(done: Result<bool, AskError>) -> ExitCode {
    let error = match done {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => return ExitCode::from(REFUSED),
        // Whoever read it has enough.
        Err(AskError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(error) => error,
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    // With standard error gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "mallbots: {text}");
    ExitCode::from(match error {
        AskError::Call(CallError::Unreachable(_)) => UNREACHABLE,
        AskError::Setup(_) => 2,
        AskError::Call(_) | AskError::Here(_) | AskError::Write(_) => REFUSED,
    })
}

/// A table for people: columns as wide as what is in them. What would move
/// the cursor of a terminal is shown as a sign of its own.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| tame(cell))).collect();
    let mut widths = header.map(|name| name.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(header);
    for row in &rows {
        line(row.each_ref().map(String::as_str));
    }
    text
}

/// A state as people write it, in whatever case.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let name = text.to_ascii_uppercase();
    let name: value::StrDeserializer<'_, value::Error> = name.as_str().into_deserializer();
    T::deserialize(name).map_err(|error| error.to_string().to_ascii_lowercase())
}

/// A state as people write it: the schema's name, in lower case.
pub(super) fn lower(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name.to_ascii_lowercase(),
        Ok(_) | Err(_) => String::new(),
    }
}

/// Text from elsewhere as it may go to a terminal: on one line, without what
/// a terminal would obey.
pub(super) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A position for people: without the zeros that keep it in order as text.
pub(super) fn position(text: &str) -> String {
    let short = text.trim_start_matches('0');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let rows = [["orders".to_owned(), "7".to_owned()], ["q".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "LAG"], &rows), "NAME    LAG\norders  7\nq\n");
    }

    #[test]
    fn positions_are_shown_without_their_zeros() {
        assert_eq!(position("0000000000000042"), "42");
        assert_eq!(position("0000000000000000"), "0");
    }
}
